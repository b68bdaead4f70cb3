"""Exact transport: the network simplex of POT against a general linear program by HiGHS, and how both grow."""

import statistics
import time
from dataclasses import dataclass

import numpy as np

from .. import costs, transport
from ..verify import references

WIDTH = 16  # of the random vectors behind the cosine cost
SOLVERS = {
    "POT": lambda p, tau, cost: transport.emd(p, tau, cost).value,
    "HiGHS": lambda p, tau, cost: references.linear_program(p, tau, cost)[0],
}


@dataclass(frozen=True)
class Solved:
    """One solver on problems of n points: median seconds, and the largest difference of its values from POT's."""

    solver: str
    n: int
    seconds: float
    difference: float


def problem(n, seed):
    """A problem without zeros: two distributions from Dirichlet(1) and the cosine cost of random vectors.

    Formula: A4, A8. Returns p (n,), tau (n,), cost (n, n). Raises ValueError from numpy for a negative n.
    """
    rng = np.random.default_rng(seed)
    p, tau = rng.dirichlet(np.ones(n), 2)
    return p, tau, costs.cosine(rng.normal(size=(n, WIDTH)))


def measure(plan):
    """Both solvers on the same fresh problems, in turn; the general program only up to `plan.most_points`.

    Formula: A4. Returns a list of `Solved`. Raises as the solvers.
    """
    found = []
    for n in plan.points:
        seconds, values = {}, {}
        for turn in range(plan.repeats + 1):  # round 0 warms up
            given = problem(n, turn)
            for solver, solve in SOLVERS.items():
                if solver == "HiGHS" and n > plan.most_points:
                    continue
                begun = time.perf_counter()
                values.setdefault(solver, []).append(solve(*given))
                seconds.setdefault(solver, []).append(time.perf_counter() - begun)
        for solver, taken in seconds.items():
            off = max(abs(a - b) for a, b in zip(values[solver], values["POT"], strict=True))
            found.append(Solved(solver, n, statistics.median(taken[1:]), off))
    return found
