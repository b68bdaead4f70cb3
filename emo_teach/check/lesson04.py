"""Exercises of lesson 04: the one-hot closed form, the product bound, and the token that the cheap loss prefers."""

import tracemalloc

import numpy as np

from .. import transport
from .verdicts import Wrong, as_array, ask, compare, exercise


def _cost(rng, n):
    """A cost with an exact 0 diagonal that is not symmetric, so that a row taken for a column shows."""
    return rng.uniform(0.1, 2.0, (n, n)) * (1 - np.eye(n))


@exercise("04.1", "A5")
def one_hot_emd(answer, rng):
    """`answer(p, cost, target)` is the cost of the only plan there is, for costs that need not be symmetric."""
    for n in (2, 3, 6, 9):
        p, cost, target = rng.dirichlet(np.ones(n)), _cost(rng, n), int(rng.integers(n))
        column = cost[:, target]
        mistakes = [
            (float(cost[target] @ p), "that is the target's *row*: moves go from i to t, the column `cost[:, target]`"),
            (column.sum(), "the costs are not weighed: each must be multiplied by the mass p_i that is moved"),
            (column.mean(), "the costs are averaged evenly: weigh each with the mass p_i that is moved"),
            (1 - p[target], "that is A7: it ignores `cost`, as if every mistake cost 1"),
        ]
        value = ask(answer, p, cost, target)
        if np.shape(value) == (n,):
            raise Wrong("you return one number per token: the sum over i is missing")
        otherwise = "the value is off: on paper, with the worked example and target Monday, it is .3 × .2 + .2 × 1"
        compare(value, float(transport.one_hot_emd(p, cost, target)), mistakes, otherwise)


def _peak(answer, *args):
    """The most memory that the answer held, in bytes, above what was there before."""
    running = tracemalloc.is_tracing()
    if not running:
        tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        answer(*args)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not running:
            tracemalloc.stop()


def _pairs_of(value, m):
    """The value as one number per pair of rows, or the mistake that its shape betrays."""
    if np.shape(value) == (m, m):
        raise Wrong("the result is (m, m): row k of p belongs to row k of tau alone, not to every label")
    if np.shape(value) == ():
        raise Wrong("the result is a single number: sum over tokens, not over the m pairs")
    return as_array(value, (m,))


@exercise("04.2", "A6")
def product_bound(answer, rng):
    """`answer(p, tau, cost)` is the product bound of m pairs, right for any cost, without any n x n intermediate."""
    for m, n in ((2, 3), (5, 4), (1, 6)):
        p, tau, cost = rng.dirichlet(np.ones(n), m), rng.dirichlet(np.ones(n), m), _cost(rng, n)
        swapped, exact = transport.product_bound(tau, p, cost), transport.emd_many(p, tau, cost).value
        by_token = (tau * p * cost.sum(0)).sum(-1)
        mistakes = [
            (swapped, "p and tau are swapped: cost[i, j] moves from i, where p is, to j, where tau is"),
            ((p @ cost).sum(-1), "tau is missing: `p @ cost` must still be averaged over tau"),
            (by_token, "p and tau are multiplied token by token: the product plan pairs every i with every j"),
            (exact, "that is the exact distance A4: here the plan is fixed, p_i tau_j, with nothing to optimise"),
        ]
        value = ask(answer, p, tau, cost)
        if m > 1:
            value = _pairs_of(value, m)
        otherwise = "the value is off: on paper, the worked example gives .228"
        compare(value, transport.product_bound(p, tau, cost), mistakes, otherwise)
    m, n = 4, 200
    peak = _peak(answer, rng.dirichlet(np.ones(n), m), rng.dirichlet(np.ones(n), m), rng.uniform(size=(n, n)))
    if peak > 0.9 * 8 * n * n:  # `p @ cost` needs 8 m n bytes, one plan 8 n n
        raise Wrong("right, but you form the plan, an n × n array. Average over p first: `p @ cost` is only m × n")


MEDOID_MISTAKES = (
    "you looked only among tokens with tau_i > 0: the best token may be one that never is the label",
    "that is the mode of tau: it ignores `cost`",
    "you averaged over the wrong index: the model moves *from* i to the labels, `cost[i, :] @ tau`",
    "that is the worst token: you want the smallest mean cost",
    "you averaged evenly over all tokens: weigh column j of the cost with tau_j",
)


def _medoid_case(rng):
    """Label, cost, medoid and the tokens of `MEDOID_MISTAKES`, all different."""
    while True:
        n = int(rng.integers(7, 11))
        tau, cost = rng.dirichlet(np.ones(n)), _cost(rng, n)
        tau[rng.choice(n, 3, replace=False)] = 0
        tau /= tau.sum()
        mean = cost @ tau
        support = np.where(tau > 0, mean, np.inf).argmin()
        wrong = [support, tau.argmax(), (tau @ cost).argmin(), mean.argmax(), cost.mean(1).argmin()]
        if len({mean.argmin(), *wrong}) == 6:
            return tau, cost, mean.argmin(), wrong


@exercise("04.3", "D2")
def medoid(answer, rng):
    """`answer(tau, cost)` is the index of the medoid over the whole vocabulary, the first one of a tie."""
    for _ in range(4):
        tau, cost, right, wrong = _medoid_case(rng)
        value = float(as_array(ask(answer, tau, cost), ()))
        if value != round(value):
            raise Wrong("expected an index: `argmin` gives the place of the smallest value, `min` the value")
        mistakes = list(zip(wrong, MEDOID_MISTAKES, strict=True))
        compare(value, right, mistakes, "that is not the token with the smallest mean cost `cost[i, :] @ tau`")
    tau = np.array([0.0, 0.25, 0.25, 0.5])  # tokens 0, 2 and 3 tie, exactly: all sums are exact in binary
    cost = np.array([[0, 1, 1, 0.5], [1, 0, 2, 1], [1, 2, 0, 0.5], [0.5, 1, 2, 0.0]])
    tied = np.flatnonzero(cost @ tau == (cost @ tau).min())
    mistakes = [(tied[-1], "several tokens tie here: take the first one, as np.argmin does")]
    compare(ask(answer, tau, cost), tied[0], mistakes, "wrong in a case with a tie: take the first token")
