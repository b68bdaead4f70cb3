"""Docstrings: a sentence that helps; the mathematics gives formula, shapes, units, errors and source as well."""

import ast
from pathlib import Path

import pytest

import emo_teach

PACKAGE = Path(emo_teach.__file__).parent
# What a lesson teaches or a practitioner calls: here every public function is held to the full form.
MATHEMATICS = (
    "costs", "divergences", "transport", "losses.", "measure.mauve", "measure.oracle", "measure.text",
    "verify.references", "world.vectors",
)  # fmt: skip
WORDS = ("Formula", "Shape", "Units", "Raises", "Source")
EMPTY = ("Formula: none", "Shape: none", "Units: none. Raises nothing. Source: this project")  # lines that say nothing


def modules():
    """(dotted name, syntax tree) of every module but the private ones."""
    for path in sorted(set(PACKAGE.rglob("*.py")) - set(PACKAGE.glob("authoring/sources/**/*.py"))):
        if not path.name.startswith("_") or path.name in ("__init__.py", "__main__.py"):
            yield ".".join(path.relative_to(PACKAGE).with_suffix("").parts), ast.parse(path.read_text(encoding="utf-8"))


def is_checker(node):
    """Exercises' checkers are reached through their number and described by the lesson."""
    return any(getattr(getattr(d, "func", None), "id", "") == "exercise" for d in node.decorator_list)


def public(tree, kind):
    """The public functions or classes at a module's top level."""
    return [
        node for node in tree.body if isinstance(node, kind) and not node.name.startswith("_") and not is_checker(node)
    ]


MODULES = list(modules())
FUNCTIONS = [(f"{name}.{node.name}", node) for name, tree in MODULES for node in public(tree, ast.FunctionDef)]
CLASSES = [(f"{name}.{node.name}", node) for name, tree in MODULES for node in public(tree, ast.ClassDef)]


def fault(name, node):
    """What a function's docstring lacks, or None."""
    text = ast.get_docstring(node)
    if not text:
        return f"{name} has no docstring"
    first = text.splitlines()[0]
    if not first.rstrip().endswith((".", ":")):
        return f"{name}: the first line is not a sentence: {first!r}"
    empty = [words for words in EMPTY if words in text]
    if empty:
        return f"{name} has a line that says nothing: {empty[0]!r}"
    missing = [word for word in WORDS if word not in text] if name.startswith(MATHEMATICS) else []
    return f"{name} lacks {', '.join(missing)}" if missing else None


@pytest.mark.parametrize(("name", "node"), FUNCTIONS, ids=[name for name, _ in FUNCTIONS])
def test_function(name, node):
    assert fault(name, node) is None


@pytest.mark.parametrize(("name", "node"), CLASSES, ids=[name for name, _ in CLASSES])
def test_class(name, node):
    assert ast.get_docstring(node), f"{name} has no docstring"


def test_words_methods():
    """The one class whose methods a reader calls with arguments of their own."""
    (words,) = (node for name, node in CLASSES if name == "words.Words")
    faults = [fault(f"words.Words.{node.name}", node) for node in public(words, ast.FunctionDef)]
    assert faults == [None] * 4


def test_every_module_says_what_it_is():
    assert [name for name, tree in MODULES if not ast.get_docstring(tree)] == []


def test_all_floors_are_looked_at():
    names = {name for name, _ in FUNCTIONS}
    assert names >= {
        "transport.emd",
        "verify.core.verify",
        "check.verdicts.run",
        "explorers.widget.tie",
        "authoring.build.build",
        "__main__.main",
    }
    assert not any(name.startswith("check.lesson") for name in names)


@pytest.mark.parametrize(
    "source",
    [
        "def f(): pass",
        "def f(): 'No stop'",
        "def f(): 'A sentence. Formula: none. Shape: none. Units: none. Raises nothing.'",
    ],
)
def test_a_fault_is_seen(source):
    assert fault("f", ast.parse(source).body[0])
