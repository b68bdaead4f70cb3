"""What all checkers share: the registry of exercises, the three verdicts, and calling an answer without trusting it."""

import importlib
from dataclasses import dataclass

import numpy as np

from .. import inputs

LESSONS = ("01", "02", "03", "04", "05", "06", "07", "08", "09")
EXERCISES = {}  # number ("03.2"): the formula it is about, and `checker(answer, rng)`, which raises `Wrong`


class Wrong(Exception):
    """Raised by a checker: the answer is wrong; the message names the likely mistake."""


@dataclass(frozen=True)
class Result:
    """Verdict on one answer: `status` is "passed", "failed" or "not attempted". Shown as one line in a notebook."""

    name: str
    status: str
    message: str

    @property
    def ok(self):
        """True when the answer passed."""
        return self.status == "passed"

    def __repr__(self):
        return f"{ {'passed': '✓', 'failed': '✗'}.get(self.status, '…') } Exercise {self.name}: {self.message}"


def exercise(name, label):
    """A decorator that registers a checker under the exercise's number; it raises ValueError for a number taken."""

    def register(checker):
        if name in EXERCISES:
            raise ValueError(f"exercise {name} is registered twice")
        EXERCISES[name] = (label, checker)
        return checker

    return register


def run(name, answer, seed=0):
    """Check an answer on random inputs and return a `Result` that says what is likely wrong with it.

    Raises ValueError for an unknown exercise or a seed that is not an integer of at least 0. An answer that raises or
    changes its input has failed; one that raises NotImplementedError is not attempted.
    """
    for lesson in LESSONS:
        importlib.import_module(f"{__package__}.lesson{lesson}")
    if not isinstance(name, str) or name not in EXERCISES:
        raise ValueError(f"there is no exercise {name!r}; there are {', '.join(sorted(EXERCISES))}")
    (label, checker), rng = EXERCISES[name], np.random.default_rng(inputs.count("seed", seed, low=0))
    try:
        checker(answer, rng)
    except NotImplementedError:
        return Result(name, "not attempted", "not attempted yet")
    except Wrong as wrong:
        return Result(name, "failed", str(wrong))
    except Exception as err:  # whatever a student's code raises is a verdict, not a crash of the lesson
        return Result(name, "failed", f"your code raised {type(err).__name__}: {err}")
    return Result(name, "passed", f"well done ({label}).")


def ask(answer, *args):
    """What an answer returns for copies of the arguments.

    Raises `Wrong` for an answer that is no function, returns None or changes an array in place; what the answer itself
    raises passes through.
    """
    if not callable(answer):
        raise Wrong(f"expected a function, got {type(answer).__name__}")
    copies = [np.array(a) if isinstance(a, np.ndarray) else a for a in args]
    value = answer(*copies)
    if value is None:
        raise Wrong("your function returns None: is the `return` missing?")
    for given, copy in zip(args, copies, strict=True):
        if isinstance(given, np.ndarray) and not np.array_equal(given, copy, equal_nan=True):
            raise Wrong("your function changed its input in place: work on a copy")
    return value


def as_array(value, shape, what="the result"):
    """The value as a float64 array of the expected shape; raises `Wrong` when it is no such array."""
    try:
        array = inputs.as_floats(what, value)
    except ValueError:
        raise Wrong(f"{what} is not made of numbers: {type(value).__name__}") from None
    if array.shape != shape:
        raise Wrong(f"{what} has shape {array.shape}, expected {shape}")
    return array


def close(value, right, tolerance=1e-8):
    """True when `|value - right| <= tolerance (1 + |right|)` elementwise; infinities must match.

    Raises numpy's ValueError or TypeError for what is no number.
    """
    value, right = np.asarray(value, float), np.asarray(right, float)
    return value.shape == right.shape and bool(np.allclose(value, right, rtol=tolerance, atol=tolerance))


def random_rows(rng, n, d):
    """An embedding (n, d) whose rows have very different lengths."""
    return rng.normal(size=(n, d)) * rng.uniform(0.3, 5.0, size=(n, 1))


def check_shift(value, right):
    """Raise `Wrong` unless an answer gave the same gradient for logits that are all larger by one large constant."""
    if not np.allclose(value, right):
        what = "adding a constant to all logits changes your answer or overflows"
        raise Wrong(f"{what}: subtract the largest logit before exp")


def compare(value, right, mistakes, otherwise, tolerance=1e-8):
    """Raise `Wrong` unless the value is right, naming the first of the known mistakes whose value was given.

    `mistakes` is a list of (value that the mistake gives, what to say).
    """
    value = as_array(value, np.shape(right))
    if close(value, right, tolerance):
        return
    for wrong, message in mistakes:
        if close(value, wrong, tolerance):
            raise Wrong(message)
    raise Wrong(otherwise)
