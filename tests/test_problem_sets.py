"""The graders of the problem sets: differently written right answers are accepted, classic mistakes rejected, stubs fail by themselves."""

import functools
import importlib
import re

import numpy as np
import pytest

from emo_teach.authoring.course import source

SETS = source.sets()
ANSWERS = {name: importlib.import_module(f"tests.answers.{name}") for name in SETS}
STUB = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?### END SOLUTION$", re.MULTILINE | re.DOTALL)
RIGHT = [
    (name, number, k)
    for name, module in ANSWERS.items()
    for number, found in module.RIGHT.items()
    for k in range(len(found))
]
WRONG = [
    (name, number, k)
    for name, module in ANSWERS.items()
    for number, found in module.WRONG.items()
    for k in range(len(found))
]


@functools.cache
def code_cells(name, kind=None):
    """Number -> source of a kind of cell; all code cells in order, with no kind."""
    cells = [cell for cell in source.read(SETS[name]).cells if cell.cell_type == "code"]
    return (
        cells
        if kind is None
        else {source.labels(cell)[kind]: cell.source for cell in cells if kind in source.labels(cell)}
    )


@pytest.fixture(scope="module")
def solved():
    """Each set run with its own solutions, once; its names, to be copied by each test."""
    spaces = {}

    def space(name):
        if name not in spaces:
            spaces[name] = {"__name__": name}
            for cell in code_cells(name):
                exec(compile(cell.source, f"{name}: {cell.metadata.get('tags', '')}", "exec"), spaces[name])
        return {
            key: value.copy() if isinstance(value, np.ndarray) else value for key, value in spaces[name].items()
        }  # answers may spoil arrays

    return space


def grade(space, name, number, answer):
    """Run a problem's asserts, hidden ones included, on one answer."""
    space[ANSWERS[name].FUNCTIONS[number]] = answer
    exec(compile(code_cells(name, "tests")[number], f"{name}: tests of {number}", "exec"), space)


@pytest.mark.parametrize("name", SETS)
def test_every_problem_has_its_battery(name):
    module, numbers = ANSWERS[name], set(code_cells(name, "answer"))
    assert set(module.RIGHT) == set(module.WRONG) == set(module.FUNCTIONS) == numbers
    assert all(len(found) >= 3 for found in module.RIGHT.values()) and all(
        len(found) >= 4 for found in module.WRONG.values()
    )


@pytest.mark.parametrize(("name", "number", "k"), RIGHT)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_right_answers_are_accepted(solved, name, number, k):
    grade(solved(name), name, number, ANSWERS[name].RIGHT[number][k])


@pytest.mark.parametrize(("name", "number", "k"), WRONG)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_wrong_answers_are_rejected(solved, name, number, k):
    with pytest.raises(Exception) as caught:
        grade(solved(name), name, number, ANSWERS[name].WRONG[number][k])
    assert not isinstance(caught.value, (NameError, NotImplementedError, SyntaxError)), (
        caught.value
    )  # the answer itself must be what is wrong


@pytest.mark.parametrize("name", SETS)
def test_stubs_fail_in_their_own_cells(name):
    """Nothing filled in: every cell but the tests runs, and each test says that its own answer is missing."""
    space, failed = {"__name__": name}, []
    for cell in code_cells(name):
        found = source.labels(cell)
        code = STUB.sub(r"\1raise NotImplementedError", cell.source) if "answer" in found else cell.source
        if "tests" in found:
            with pytest.raises(NotImplementedError):
                exec(compile(code, f"{name}: {found}", "exec"), space)
            failed.append(found["tests"])
        else:
            exec(compile(code, f"{name}: {found}", "exec"), space)
    assert failed == list(code_cells(name, "answer"))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", SETS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_the_solutions_pass_in_other_variants(name, seed):
    space = {"__name__": name}
    for cell in source.read(SETS[name], seed).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, f"{name}, variant {seed}", "exec"), space)
