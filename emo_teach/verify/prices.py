"""Rows of lesson 03, continued: D6, what the potentials say about other models: they are slopes of the distance, and tangents to it."""

import numpy as np

from .. import transport, worked
from . import instances, references
from .core import Row, register


def _basic(p, tau, cost):
    """The least mass in the plan of HiGHS, or 0 when that plan is degenerate, so that the potentials need not be unique."""
    plan = references.linear_program(p, tau, cost)[1]
    used = plan[plan > 1e-9]
    return used.min() if used.size == np.count_nonzero(p) + np.count_nonzero(tau) - 1 else 0.0


def _unique_duals():
    """(p, tau, cost, step): problems whose plan has as many cells as it can; steps up to its least mass leave the set of cells as it is."""
    rng = np.random.default_rng(instances.SEED)
    problems = [(worked.P, worked.TAU, worked.COST)]
    for n in (2, 3, 3, 5, 5, 8):
        problems += [
            (instances.spread(rng, n, 3.0), instances.spread(rng, n, 3.0), rng.uniform(0, 2, size=(n, n)))
            for _ in range(2)
        ]
    for problem in problems:
        least = _basic(*problem)
        if least > 4e-3:
            yield *problem, least / 2


def _slopes(c):
    """Central differences of the distance as mass goes from token 0 to each other one."""
    p, tau, cost, step = c
    away = step * (np.eye(p.size)[1:] - np.eye(p.size)[0])
    return np.array(
        [references.linear_program(p + d, tau, cost)[0] - references.linear_program(p - d, tau, cost)[0] for d in away]
    ) / (2 * step)


def _price_differences(c):
    u = transport.emd(*c[:3]).u
    return u[1:] - u[0]


register(
    Row(
        label="D6",
        name="potentials-are-slopes",
        statement=r"\tfrac{d}{d\epsilon}\, C[p + \epsilon(\delta_i - \delta_k), \tau] = u_i - u_k \text{ where the plan is not degenerate}",
        kind="identity",
        code=(transport.emd,),
        reference="differences of LPs by HiGHS",
        instances=_unique_duals,
        ours=_price_differences,
        independent=_slopes,
        wrong=lambda c: c[2][0, 1:],
        mistake="takes the direct cost for the price: forgets that the other mass is rearranged",
        tolerance=1e-9,
        why="the distance is linear up to the plan's least mass: differences over half of it, at least 2e-3, keep HiGHS's rounding only",
    )
)


def _other_models():
    """(case, q): q spreads over tokens to which the case's p gives nothing."""
    rng = np.random.default_rng(instances.SEED + 1)
    for case in instances.cost_cases(per_pair=1):
        if case.p.size <= 13:
            yield case, instances.spread(rng, case.p.size)


def _tangent(c, completed=True):
    case, q = c
    solved = transport.emd(case.p, case.tau, case.cost)
    return solved.value + (solved.u if completed else np.where(case.p > 0, solved.u, 0.0)) @ (q - case.p)


register(
    Row(
        label="D6",
        name="tangent-from-below",
        statement=r"C[q,\tau] \ge C[p,\tau] + \langle u, q - p\rangle \text{ for every } q: \text{ the distance is convex in } p",
        kind="bound",
        code=(transport.emd,),
        reference="LP by HiGHS",
        instances=_other_models,
        ours=_tangent,
        independent=lambda c: references.linear_program(c[1], c[0].tau, c[0].cost)[0],
        wrong=lambda c: _tangent(c, completed=False),
        mistake="leaves the potentials of tokens without mass at 0",
        tolerance=1e-9,
        why="two solvers; HiGHS keeps its constraints to 1e-10",
    )
)
