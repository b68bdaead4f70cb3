"""The exercises' checkers: right answers pass, planted mistakes are caught and named, stubs are "not attempted"."""

import importlib
import re
from collections import Counter

import numpy as np
import pytest

from emo_teach import check
from emo_teach.check.verdicts import LESSONS, as_array, ask, close
from tests.answers import in_place

ANSWERS = {lesson: importlib.import_module(f"tests.answers.lesson{lesson}") for lesson in LESSONS}
RIGHT = [(name, answer) for module in ANSWERS.values() for name, answers in module.RIGHT.items() for answer in answers]
WRONG = [row for module in ANSWERS.values() for row in module.WRONG]
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # wrong answers divide by 0


def stub(*args):
    raise NotImplementedError


def registered():
    check.run("01.1", stub)  # loads every lesson's checkers
    return sorted(check.EXERCISES)


@pytest.mark.parametrize(("name", "answer"), RIGHT)
def test_right_answer_passes(name, answer):
    for seed in range(3):
        result = check.run(name, answer, seed=seed)
        assert result.ok, result


@pytest.mark.parametrize(("name", "answer", "said"), WRONG)
def test_wrong_answer_is_named(name, answer, said):
    for seed in range(3):
        result = check.run(name, answer, seed=seed)
        assert result.status == "failed"
        assert said.lower() in result.message.lower()


def test_every_exercise_has_planted_answers():
    right, wrong = (Counter(name for name, *_ in rows) for rows in (RIGHT, WRONG))
    assert registered() == sorted(right) == sorted(wrong)
    assert all(2 <= count <= 3 for count in right.values())
    assert all(3 <= count <= 7 for count in wrong.values())  # five, and what once slipped through


@pytest.mark.parametrize("name", registered())
def test_stub_is_not_attempted(name):
    result = check.run(name, stub)
    assert result.status == "not attempted"
    assert "not attempted yet" in repr(result)


@pytest.mark.parametrize("name", ["99.9", ["01.1"]], ids=["unknown", "unhashable"])
def test_unknown_exercise(name):
    with pytest.raises(ValueError, match=re.escape(f"no exercise {name!r}")):
        check.run(name, stub)


def test_answer_that_raises_is_a_verdict():
    result = check.run("01.1", lambda tau, p: 1 / 0)
    assert result.status == "failed"
    assert "ZeroDivisionError" in result.message


def test_ask_notices_a_changed_input():
    with pytest.raises(check.Wrong, match="in place"):
        ask(in_place(np.sum), np.zeros(2))


def test_shape_and_infinity():
    with pytest.raises(check.Wrong, match="shape"):
        as_array([1, 2], (3,))
    assert close([np.inf, 1], [np.inf, 1])
    assert not close([np.inf, 1], [1e300, 1])


@pytest.mark.parametrize(
    "spoil", [str, lambda x: x + 1j, lambda x: np.ma.array(x, mask=True)], ids=["text", "complex", "masked"]
)
def test_what_is_no_real_number_does_not_pass(spoil):
    result = check.run("03.3", lambda p, tau: spoil(np.abs(np.cumsum(p) - np.cumsum(tau)).sum()))
    assert result.status == "failed" and "not made of numbers" in result.message


@pytest.mark.parametrize("seed", [-1, 0.5, "x"])
def test_a_bad_seed_is_not_blamed_on_the_answer(seed):
    with pytest.raises(ValueError, match=f"seed .*{seed}"):
        check.run("03.3", stub, seed=seed)
