"""The problem sets' graders accept differently written right answers, reject classic mistakes, and fail on stubs."""

import functools
import importlib
import re
from collections import Counter

import numpy as np
import pytest

from emo_teach.authoring.course import source

SETS = source.sets()
ANSWERS = {name: importlib.import_module(f"tests.answers.{name}") for name in SETS}
RIGHT = [(name, n, a) for name, module in ANSWERS.items() for n, answers in module.RIGHT.items() for a in answers]
WRONG = [(name, *row) for name, module in ANSWERS.items() for row in module.WRONG]
STUB = re.compile(r"^([ \t]*)### BEGIN SOLUTION\n.*?### END SOLUTION$", re.MULTILINE | re.DOTALL)
DEFINED = re.compile(r"^def (\w+)\(", re.MULTILINE)
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # wrong answers divide by 0


def battery(rows):
    """Parameters of (set, number, answer); the tests of one set share its namespace, so one worker runs them all."""
    return [
        pytest.param(*row, id=f"{row[0]}-{row[1]}-{k}", marks=pytest.mark.xdist_group(row[0]))
        for k, row in enumerate(rows)
    ]


@functools.cache
def code_cells(name, seed=0):
    """Labels and source of each code cell of a set, in order."""
    cells = source.read(SETS[name], seed).cells
    return [(source.labels(cell), cell.source) for cell in cells if cell.cell_type == "code"]


def numbered(name, kind):
    """Number -> source of all cells of a kind."""
    return {labels[kind]: text for labels, text in code_cells(name) if kind in labels}


def run_cells(name, seed=0):
    """The namespace after a set ran with its own solutions."""
    space = {"__name__": name}
    for labels, text in code_cells(name, seed):
        exec(compile(text, f"{name}, variant {seed}: {labels}", "exec"), space)
    return space


solved = functools.cache(run_cells)


def grade(name, number, answer):
    """Run a problem's asserts, hidden ones included, on one answer, with copies of all arrays, which it may spoil."""
    space = {key: value.copy() if isinstance(value, np.ndarray) else value for key, value in solved(name).items()}
    space[DEFINED.search(numbered(name, "answer")[number])[1]] = answer
    exec(compile(numbered(name, "tests")[number], f"{name}: tests of {number}", "exec"), space)


@pytest.mark.parametrize("name", SETS)
def test_every_problem_has_its_battery(name):
    module = ANSWERS[name]
    wrong = Counter(number for number, _ in module.WRONG)
    assert set(module.RIGHT) == set(wrong) == set(numbered(name, "answer"))
    assert all(2 <= len(answers) <= 3 for answers in module.RIGHT.values())  # the set's own solution is one more
    assert all(3 <= count <= 5 for count in wrong.values())


@pytest.mark.parametrize(("name", "number", "answer"), battery(RIGHT))
def test_right_answers_are_accepted(name, number, answer):
    grade(name, number, answer)


@pytest.mark.parametrize(("name", "number", "answer"), battery(WRONG))
def test_wrong_answers_are_rejected(name, number, answer):
    with pytest.raises(Exception) as caught:
        grade(name, number, answer)
    assert not isinstance(caught.value, (NameError, NotImplementedError, SyntaxError)), "not what the answer got wrong"


@pytest.mark.parametrize("name", SETS)
def test_stubs_fail_in_their_own_cells(name):
    """Nothing filled in: every cell but the tests runs, and each test says that its own answer is missing."""
    space, failed = {"__name__": name}, []
    for labels, text in code_cells(name):
        code = compile(STUB.sub(r"\1raise NotImplementedError", text), f"{name}: {labels}", "exec")
        if "tests" in labels:
            with pytest.raises(NotImplementedError):
                exec(code, space)
            failed.append(labels["tests"])
        else:
            exec(code, space)
    assert failed == list(numbered(name, "answer"))


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SETS)
def test_the_solutions_pass_in_other_variants(name, seed):
    run_cells(name, seed)
