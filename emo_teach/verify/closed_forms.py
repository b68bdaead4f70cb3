"""Rows of lesson 03, continued: D8, costs under which the distance has a closed form."""

import math

import numpy as np

from .. import costs, divergences, transport
from . import instances, references
from .core import Row, register

SOLVERS = "two solvers; HiGHS keeps its constraints to 1e-10"


def _positive_part(c):
    return math.fsum(max(float(a) - float(b), 0.0) for a, b in zip(c.p, c.tau, strict=True))


register(
    Row(
        label="D8",
        name="total-variation",
        statement=r"c_{ij} = 1 - \delta_{ij} \Rightarrow C[p,\tau] = \tfrac12 \sum_i |p_i - \tau_i|",
        kind="identity",
        code=(transport.emd, costs.zero_one, divergences.total_variation),
        reference="sum of positive parts",
        instances=lambda: instances.token_cases(per_pair=1),
        ours=lambda c: np.array(
            [transport.emd(c.p, c.tau, costs.zero_one(c.p.size)).value, divergences.total_variation(c.p, c.tau)]
        ),
        independent=lambda c: np.full(2, _positive_part(c)),
        wrong=lambda c: np.full(2, np.abs(c.p - c.tau).sum()),
        mistake="forgets the half: counts the mass that leaves and the mass that arrives",
        tolerance=1e-12,
        why="sums of at most 200 masses",
    )
)


def _rank_cost(n, power):
    """|i - j| ** power, entry by entry, with 0 on the diagonal."""
    return np.array([[0.0 if i == j else float(abs(i - j)) ** power for j in range(n)] for i in range(n)])


def _small_pairs():
    return [c for c in instances.cost_cases(per_pair=1) if c.p.size <= 21]


register(
    Row(
        label="D8",
        name="cumulative-sums",
        statement=r"c_{ij} = |i - j| \Rightarrow C[p,\tau] = \sum_k |P_k - T_k|",
        kind="identity",
        code=(transport.emd_1d, transport.emd, costs.ordinal),
        reference="LP by HiGHS",
        instances=_small_pairs,
        ours=lambda c: np.array(
            [transport.emd_1d(c.p, c.tau), transport.emd(c.p, c.tau, costs.ordinal(c.p.size)).value]
        ),
        independent=lambda c: np.full(2, references.linear_program(c.p, c.tau, _rank_cost(c.p.size, 1))[0]),
        wrong=lambda c: np.full(2, abs((np.cumsum(c.p) - np.cumsum(c.tau)).sum())),
        mistake="lets surpluses to the left and to the right cancel (difference of the means)",
        tolerance=1e-9,
        why=SOLVERS,
    )
)
POWERS = (1.5, 2.0, 3.0)
register(
    Row(
        label="D8",
        name="monotone-plan",
        statement=r"c_{ij} = |i - j|^k,\ k \ge 1: \text{ matching the quantiles is optimal}",
        kind="identity",
        code=(transport.emd_1d,),
        reference="LP by HiGHS",
        instances=_small_pairs,
        ours=lambda c: np.array([transport.emd_1d(c.p, c.tau, k) for k in POWERS]),
        independent=lambda c: np.array(
            [references.linear_program(c.p, c.tau, _rank_cost(c.p.size, k))[0] for k in POWERS]
        ),
        wrong=lambda c: np.array([(np.abs(np.cumsum(c.p) - np.cumsum(c.tau)) ** k).sum() for k in POWERS]),
        mistake="raises the differences of the cumulative sums to the power k",
        tolerance=1e-9,
        why=SOLVERS + "; relative, as costs reach 20 ** 3",
    )
)


def _rectangles(n):
    return [(i, k, j, m) for i in range(n) for k in range(i + 1, n) for j in range(n) for m in range(j + 1, n)]


def _uncrossed(n, power):
    """Costs of the two trips that keep the order, for every rectangle of rows i < k and columns j < m."""
    cost = costs.ordinal(n, power)
    return np.array([cost[i, j] + cost[k, m] for i, k, j, m in _rectangles(n)])


register(
    Row(
        label="D8",
        name="uncrossing",
        statement=r"|i - j|^k + |i' - j'|^k \le |i - j'|^k + |i' - j|^k \text{ for } i < i',\ j < j',\ k \ge 1",
        kind="bound",
        code=(costs.ordinal,),
        reference="crossed trips in Python",
        instances=lambda: [(n, power) for n in (2, 5, 8) for power in (1.0, 1.5, 2.0, 3.0)],
        ours=lambda c: _uncrossed(*c),
        independent=lambda c: np.array(
            [float(abs(i - m)) ** c[1] + float(abs(k - j)) ** c[1] for i, k, j, m in _rectangles(c[0])]
        ),
        wrong=lambda c: _uncrossed(c[0], 0.5),
        wrong_independent=lambda c: np.array(
            [abs(i - m) ** 0.5 + abs(k - j) ** 0.5 for i, k, j, m in _rectangles(c[0])]
        ),
        mistake="makes the same claim of k = 0.5, which is concave",
        tolerance=1e-12,
        why="two powers per trip",
    )
)
register(
    Row(
        label="D8",
        name="zero-diagonal",
        statement=r"|i - i|^k = 0 \text{ for every } k \ge 0",
        kind="identity",
        code=(costs.ordinal, costs.zero_one),
        reference="entry by entry",
        instances=lambda: [(n, k) for n in (1, 2, 7) for k in (0.0, 0.5, 1.0, 3.0)],
        ours=lambda c: costs.ordinal(*c),
        independent=lambda c: _rank_cost(*c),
        wrong=lambda c: np.abs(np.subtract.outer(np.arange(c[0]), np.arange(c[0]))) ** c[1],
        mistake="lets numpy's 0 ** 0 = 1 onto the diagonal",
        tolerance=1e-12,
        why="one power per entry",
    )
)


def _left_behind():
    """(p, tau): mass that could stay where it is, if other mass jumps over it."""
    yield np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5])
    yield np.array([0.3, 0.3, 0.4, 0.0]), np.array([0.0, 0.3, 0.4, 0.3])


def _monotone_margin(c, power):
    """Cost of the monotone plan (the optimal one for squares) under |i - j| ** power, less the earth mover's distance."""
    n, cost = c[0].size, costs.ordinal(c[0].size, power)
    return (transport.emd(*c, costs.ordinal(n, 2)).plan * cost).sum() - transport.emd(*c, cost).value


register(
    Row(
        label="D8",
        name="concave-powers-cross",
        statement=r"c_{ij} = |i - j|^k,\ k < 1: \text{ the monotone plan need not be optimal}",
        kind="witness",
        code=(transport.emd, costs.ordinal),
        reference="north-west rule and LP",
        instances=_left_behind,
        ours=lambda c: _monotone_margin(c, 0.5),
        independent=lambda c: (
            (references.monotone_plan(*c) * _rank_cost(c[0].size, 0.5)).sum()
            - references.linear_program(*c, _rank_cost(c[0].size, 0.5))[0]
        ),
        wrong=lambda c: _monotone_margin(c, 1.5),
        mistake="makes the same claim of k = 1.5",
        tolerance=1e-9,
        why=SOLVERS,
        threshold=0.1,
    )
)
