"""Every public function says what it computes: one sentence, formula, shapes, units, what it raises, and its source."""

import ast
import importlib
import importlib.util
import inspect
import pkgutil
from pathlib import Path

import pytest

NUMERIC = ("costs", "divergences", "transport", "formulas.registry", "formulas.references", "formulas.exact", "formulas.instances")
OTHER = ("words", "datafiles")  # these read files: no formula


def functions():
    """(name, function) of every public function and method of the modules."""
    for short in (*NUMERIC, *OTHER):
        module = importlib.import_module(f"emo_teach.{short}")
        for name, member in vars(module).items():
            if name.startswith("_") or getattr(member, "__module__", None) != module.__name__:
                continue
            if inspect.isfunction(inspect.unwrap(member)):
                yield f"{short}.{name}", short, inspect.unwrap(member)
            elif inspect.isclass(member):
                assert member.__doc__, f"{short}.{name}"


CASES = list(functions())


@pytest.mark.parametrize(("name", "short", "function"), CASES, ids=[case[0] for case in CASES])
def test_docstring(name, short, function):
    text = inspect.getdoc(function)
    assert text, f"{name} has no docstring"
    first = text.splitlines()[0]
    assert first.rstrip().endswith((".", ":")), f"{name}: the first line is not a sentence: {first!r}"
    words = ("Formula", "Shape", "Units", "Raises", "Source") if short in NUMERIC else ("Raises", "Source")
    missing = [word for word in words if word not in text]
    assert not missing, f"{name} lacks {', '.join(missing)}"


@pytest.mark.parametrize("folder", ["check", "explorers", "authoring"])
def test_functions_of_the_upper_floors_have_a_docstring(folder):
    package = importlib.import_module(f"emo_teach.{folder}")
    for found in pkgutil.iter_modules(package.__path__):
        tree = ast.parse(Path(package.__path__[0], f"{found.name}.py").read_text(encoding="utf-8"))
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
                assert ast.get_docstring(node) or _is_checker(node), f"{folder}.{found.name}.{node.name} has no docstring"


def _is_checker(node):
    """Exercises' checkers are reached through their number and described by the lesson."""
    return any(getattr(getattr(d, "func", None), "id", "") == "exercise" for d in node.decorator_list)


def test_modules_have_docstrings():
    package = importlib.import_module("emo_teach")
    for found in pkgutil.iter_modules(package.__path__):
        spec = importlib.util.find_spec(f"emo_teach.{found.name}")
        source = Path(spec.origin).read_text(encoding="utf-8")
        assert source.lstrip().startswith(('"""', 'r"""')), f"{found.name} has no docstring"
