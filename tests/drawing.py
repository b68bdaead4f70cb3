"""What the property tests share: drawn distributions, costs and embeddings, and the list of bad inputs."""

import inspect
import re

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

# Zeros, masses near the least subnormal and ordinary ones, so that every draw may hold corners.
MASS = st.one_of(st.just(0.0), st.floats(1e-3, 1.0), st.sampled_from([5e-324, 1e-300, 1e-12, 1e-6]))
ENTRY = st.floats(-10, 10, allow_subnormal=False)


def _normalised(weights):
    weights = np.array(weights)
    if weights.sum() < 1e-3:
        weights[len(weights) // 2] = 1.0
    return weights / weights.sum()


def distribution(n):
    """A distribution over n entries, zeros and spikes included."""
    return st.lists(MASS, min_size=n, max_size=n).map(_normalised)


def cost(n):
    """A cost matrix without any structure, negative entries included."""
    return arrays.arrays(float, (n, n), elements=ENTRY)


def embedding(n, d):
    """Rows none of which is short: a first coordinate of at least 1/8 in size is forced."""

    def lift(rows):
        rows = rows.copy()
        rows[:, 0] = np.where(np.abs(rows).max(axis=1) < 0.125, 0.125, rows[:, 0])
        return rows

    return arrays.arrays(float, (n, d), elements=ENTRY).map(lift)


@st.composite
def problems(draw, largest=7):
    """(p, tau, cost) of one size."""
    n = draw(st.integers(1, largest))
    return draw(distribution(n)), draw(distribution(n)), draw(cost(n))


@st.composite
def token_problems(draw, largest=7):
    """(p, tau, embedding, target) of one size."""
    n = draw(st.integers(1, largest))
    points = draw(embedding(n, draw(st.integers(1, 4))))
    return draw(distribution(n)), draw(distribution(n)), points, draw(st.integers(0, n - 1))


BAD_DISTRIBUTIONS = {  # what is given: fragments of the message
    "negative": ([1.1, -0.1, 0.0], ("[1] = -0.1", "negative")),
    "NaN": ([0.5, np.nan, 0.5], ("[1] = nan", "finite")),
    "infinite": ([0.5, 0.5, np.inf], ("[2] = inf", "finite")),
    "sum off": ([0.5, 0.5, 2e-6], ("sums to 1.000002",)),
    "empty": ([], ("empty",)),
    "other length": ([0.5, 0.5], ("2", "3")),
    "text": (["a", "b", "c"], ("real numbers",)),
    "complex": ([1j, 0, 0], ("real numbers", "complex")),
    "single number": (1.0, ("shape ()", "single number")),
}
BAD_COSTS = {
    "not square": (np.zeros((3, 2)), ("(3, 2)",)),
    "other size": (np.zeros((4, 4)), ("(4, 4)",)),
    "NaN": (np.array([[0, 1, 1], [1, 0, np.nan], [1, 1, 0]]), ("[1, 2] = nan", "finite")),
    "infinite": (np.array([[0, 1, 1], [1, 0, 1], [-np.inf, 1, 0]]), ("[2, 0] = -inf", "finite")),
    "empty": (np.zeros((0, 0)), ("empty", "(0, 0)")),
    "text": (np.array([["a"] * 3] * 3), ("real numbers",)),
}
BAD_TARGETS = {
    "too large": (3, ("3", "out of range")),
    "negative": (-1, ("-1", "out of range")),
    "not an integer": (0.5, ("0.5", "integer")),
    "truth value": (True, ("True", "integer")),
}
BAD_EMBEDDINGS = {
    "row of zeros": (np.array([[1.0, 0], [0, 0], [0, 1]]), ("[1]", "zeros")),
    "NaN": (np.array([[1.0, 0], [0, 1], [np.nan, 1]]), ("[2, 0] = nan", "finite")),
    "empty": (np.zeros((3, 0)), ("empty", "(3, 0)")),
    "one axis": (np.ones(3), ("(3,)",)),
    "other length": (np.ones((4, 2)), ("4", "3")),
}
SIZED = {"p", "tau", "cost", "embedding", "first", "second"}
BAD = {"p": BAD_DISTRIBUTIONS, "tau": BAD_DISTRIBUTIONS, "cost": BAD_COSTS}
BAD |= {"target": BAD_TARGETS, "embedding": BAD_EMBEDDINGS}


def refusals(calls, extra=()):
    """(function name, argument, kind, value, fragments) of every bad value of every argument; then the extra ones.

    A function with one array has no sizes that could disagree.
    """
    for name, (_, arguments) in calls.items():
        for argument in arguments:
            for kind, (value, fragments) in BAD.get(argument, {}).items():
                if not kind.startswith("other") or len(SIZED & set(arguments)) > 1:
                    yield name, argument, kind, value, fragments
    yield from extra


def assert_refused(calls, name, argument, kind, value, fragments):
    """The call raises ValueError with the argument's name (where sizes disagree, either one's) and a fragment."""
    function, arguments = calls[name]
    names = {argument} | (SIZED & set(arguments) if kind.startswith("other") else set())
    try:
        result = function(**{**arguments, argument: value})
    except ValueError as err:
        assert any(re.search(rf"\b{n}\b", str(err)) for n in names), f"{err} names none of {names}"
        assert any(f in str(err) for f in fragments), f"{err} has none of {fragments}"
    else:
        raise AssertionError(f"{name} took {argument} = {value!r} and returned {result!r}")


def assert_untouched(calls, name):
    """The call leaves its arrays as they were, and takes them read-only."""
    function, arguments = calls[name]
    given = {k: np.array(v, float) if isinstance(v, (list, np.ndarray)) else v for k, v in arguments.items()}
    before = {k: v.copy() for k, v in given.items() if isinstance(v, np.ndarray)}
    function(**given)
    for k, v in before.items():
        np.testing.assert_array_equal(given[k], v, err_msg=f"{name} changed {k}")
        given[k].setflags(write=False)
    function(**given)


def public_functions(module):
    """Names of the functions that a module defines itself and does not hide."""
    functions = {n for n, f in inspect.getmembers(module, inspect.isfunction) if f.__module__ == module.__name__}
    return {name for name in functions if not name.startswith("_")}
