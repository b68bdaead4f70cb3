"""Rows of lesson 03: A4 and D6, exact transport and its dual; D8, costs under which the distance has a closed form."""

import math
from fractions import Fraction

import numpy as np

from .. import costs, divergences, transport, worked
from . import instances, references
from .core import row_maker

row = row_maker("03")
# HiGHS keeps its constraints to 1e-10
lp_row = row_maker("03", reference="LP by HiGHS", tolerance=1e-9, instances=instances.cost_cases)


def _emd(c):
    return transport.emd(*c.problem)


def _plan_facts(plan, c, value):
    total = math.fsum(float(x) for x in (plan * c.cost).ravel())
    return np.concatenate([plan.sum(1), plan.sum(0), [min(plan.min(), 0.0), total - value]])


def _batches():
    for n in (1, 2, 5, 12):
        rng = np.random.default_rng(instances.SEED + n)
        p, tau = (np.stack([instances.spread(rng, n, a) for a in (0.05, 1, 1)]) for _ in range(2))
        yield p, tau, rng.uniform(0, 2, size=(3, n, n))


lp_row(
    r"A4 emd-value: C[p,\tau] = \min_{\gamma \ge 0,\ \gamma 1 = p,\ \gamma^\top 1 = \tau} \sum_{ij} \gamma_{ij} c_{ij}",
    ours=lambda c: _emd(c).value,
    independent=lambda c: references.solved(*c.problem)[0],
    wrong=lambda c: transport.emd(c.p, c.tau, c.cost.T).value,
    mistake="transposes the cost",
)
row(
    r"A4 emd-plan: \gamma 1 = p,\quad \gamma^\top 1 = \tau,\quad \gamma \ge 0,"
    r"\quad \langle\gamma, c\rangle = C[p,\tau]",
    dict(reference="the marginals themselves", instances=lambda: instances.cost_cases(large=True)),
    ours=lambda c: _plan_facts(_emd(c).plan, c, _emd(c).value),
    independent=lambda c: np.concatenate([c.p, c.tau, [0.0, 0.0]]),
    wrong=lambda c: _plan_facts(_emd(c).plan.T, c, _emd(c).value),
    mistake="takes columns for rows in the plan",
)
lp_row(
    r"A4 many-at-once: C[p_k,\tau_k] \text{ under } c_k, \quad k = 1, \dots, m",
    instances=_batches,
    ours=lambda c: [transport.emd_many(*c).value, [transport.emd(*problem).value for problem in zip(*c, strict=True)]],
    independent=lambda c: np.stack([[references.solved(*problem)[0] for problem in zip(*c, strict=True)]] * 2),
    wrong=lambda c: np.stack([transport.emd_many(c[0], c[1], c[2][0]).value] * 2),
    mistake="gives every problem the first one's cost",
)


def _potential_sums(c, completed=True):
    """u_i + v_j; not completed, the potentials are 0 where there is no mass."""
    u, v = _emd(c).u, _emd(c).v
    return np.add.outer(u, v) if completed else np.add.outer(np.where(c.p > 0, u, 0.0), np.where(c.tau > 0, v, 0.0))


def _rank(n):
    """Rank of the constraints, written down anew, by elimination in exact fractions."""
    rows = [[Fraction(c // n == r if r < n else c % n == r - n) for c in range(n * n)] for r in range(2 * n)]
    pivots = 0
    while rows:
        first = rows.pop()
        pivot = next((k for k, x in enumerate(first) if x), None)
        if pivot is not None:
            pivots += 1
            ratios = [row[pivot] / first[pivot] for row in rows]
            rows = [[x - r * y for x, y in zip(row, first, strict=True)] for r, row in zip(ratios, rows, strict=True)]
    return float(pivots)


lp_row(
    r"D6 strong-duality: \max_{u_i + v_j \le c_{ij}} \langle u, p\rangle + \langle v, \tau\rangle = C[p,\tau]",
    ours=lambda c: [c.p @ _emd(c).u + c.tau @ _emd(c).v, _emd(c).gap],
    independent=lambda c: [references.solved(*c.problem)[0], 0.0],
    wrong=lambda c: [_emd(c).u @ (c.p - c.tau), 0.0],
    mistake="puts v = -u, which is the dual of metric costs only",
)
row(
    r"D6 dual-feasible: u_i + v_j \le c_{ij} \text{ for all } i, j, \text{ mass or not}",
    dict(reference="the cost itself", tolerance=1e-10, sense="<=", instances=lambda: instances.cost_cases(large=True)),
    ours=_potential_sums,
    independent=lambda c: c.cost,
    wrong=lambda c: _potential_sums(c, completed=False),
    mistake="leaves the potentials of tokens without mass at 0",
)
lp_row(
    r"D6 slackness: \gamma_{ij} > 0 \Rightarrow u_i + v_j = c_{ij}, "
    r"\text{ for every optimal plan and every optimal dual}",
    dict(reference="HiGHS's plan, our dual", instances=instances.cost_cases),
    ours=lambda c: (references.solved(*c.problem)[1] * (c.cost - _potential_sums(c))).sum(),
    independent=lambda c: 0.0,
    wrong=lambda c: (np.outer(c.p, c.tau) * (c.cost - _potential_sums(c))).sum(),
    mistake="takes the product plan for an optimal one",
)
row(
    r"D6 basic-plan: \gamma \text{ a vertex} \Rightarrow \#\{\gamma_{ij} > 0\} \le \#\mathrm{supp}\,p + "
    r"\#\mathrm{supp}\,\tau - 1",
    dict(reference="count in Python", tolerance=0.0, sense="<="),  # counts
    instances=lambda: instances.cost_cases(large=True),
    ours=lambda c: float(np.count_nonzero(_emd(c).plan)),
    independent=lambda c: float(sum(x > 0 for x in c.p) + sum(x > 0 for x in c.tau) - 1),
    wrong=lambda c: float(np.count_nonzero(np.outer(c.p, c.tau))),
    mistake="takes the product plan, which is not basic",
)
row(
    r"D6 rank: \mathrm{rank}\,A_{\mathrm{eq}} = 2n - 1: \text{ row sums and column sums add up to the same total}",
    dict(reference="elimination in fractions", tolerance=0.0, instances=lambda: (1, 2, 3, 5, 8)),  # integers
    ours=lambda n: float(np.linalg.matrix_rank(references.marginal_constraints(n))),
    independent=_rank,
    wrong=lambda n: float(2 * n),
    mistake="takes all 2n constraints for independent",
)


def _rank_cost(n, power):
    """|i - j| ** power, entry by entry, with 0 on the diagonal."""
    return np.array([[0.0 if i == j else float(abs(i - j)) ** power for j in range(n)] for i in range(n)])


def _small_pairs():
    return [c for c in instances.cost_cases(per_pair=1) if c.p.size <= 21]


POWERS = (1.5, 2.0, 3.0)


def _rectangles(n):
    return [(i, k, j, m) for i in range(n) for k in range(i + 1, n) for j in range(n) for m in range(j + 1, n)]


def _uncrossed(n, power):
    """Costs of the two trips that keep the order, for every rectangle of rows i < k and columns j < m."""
    cost = costs.ordinal(n, power)
    return np.array([cost[i, j] + cost[k, m] for i, k, j, m in _rectangles(n)])


def _left_behind():
    """(p, tau): mass that could stay where it is, if other mass jumps over it."""
    yield np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5])
    yield np.array([0.3, 0.3, 0.4, 0.0]), np.array([0.0, 0.3, 0.4, 0.3])


def _monotone_margin(c, power):
    """Cost of the monotone plan (optimal for squares) under |i - j| ** power, less the earth mover's distance."""
    n, cost = c[0].size, costs.ordinal(c[0].size, power)
    return (transport.emd(*c, costs.ordinal(n, 2)).plan * cost).sum() - transport.emd(*c, cost).value


def _monotone_margin_by_hand(c):
    """The same; the plan is the overlap of entry i of p with entry j of tau when both are laid on a line."""
    (p, tau), left, right, cost = c, np.cumsum(c[0]), np.cumsum(c[1]), _rank_cost(c[0].size, 0.5)
    plan = np.maximum(np.minimum.outer(left, right) - np.maximum.outer(left - p, right - tau), 0.0)
    return (plan * cost).sum() - references.solved(p, tau, cost)[0]


row(
    r"D8 total-variation: c_{ij} = 1 - \delta_{ij} \Rightarrow C[p,\tau] = \tfrac12 \sum_i |p_i - \tau_i|",
    dict(reference="sum of positive parts", instances=lambda: instances.token_cases(per_pair=1)),
    ours=lambda c: [transport.emd(c.p, c.tau, costs.zero_one(c.p.size)).value, divergences.total_variation(c.p, c.tau)],
    independent=lambda c: np.full(2, math.fsum(max(a - b, 0.0) for a, b in zip(c.p, c.tau, strict=True))),
    wrong=lambda c: np.full(2, np.abs(c.p - c.tau).sum()),
    mistake="forgets the half: counts the mass that leaves and the mass that arrives",
)
lp_row(
    r"D8 cumulative-sums: c_{ij} = |i - j| \Rightarrow C[p,\tau] = \sum_k |P_k - T_k|",
    instances=_small_pairs,
    ours=lambda c: [transport.emd_1d(c.p, c.tau), transport.emd(c.p, c.tau, costs.ordinal(c.p.size)).value],
    independent=lambda c: np.full(2, references.solved(c.p, c.tau, _rank_cost(c.p.size, 1))[0]),
    wrong=lambda c: np.full(2, abs((np.cumsum(c.p) - np.cumsum(c.tau)).sum())),
    mistake="lets surpluses to the left and to the right cancel (difference of the means)",
)
lp_row(
    r"D8 monotone-plan: c_{ij} = |i - j|^k,\ k \ge 1: \text{ matching the quantiles is optimal}",
    instances=_small_pairs,
    ours=lambda c: [transport.emd_1d(c.p, c.tau, k) for k in POWERS],
    independent=lambda c: [references.solved(c.p, c.tau, _rank_cost(c.p.size, k))[0] for k in POWERS],
    wrong=lambda c: [(np.abs(np.cumsum(c.p) - np.cumsum(c.tau)) ** k).sum() for k in POWERS],
    mistake="raises the differences of the cumulative sums to the power k",
)
row(
    r"D8 uncrossing: |i - j|^k + |i' - j'|^k \le |i - j'|^k + |i' - j|^k \text{ for } i < i',\ j < j',\ k \ge 1",
    dict(reference="crossed trips in Python", sense="<="),
    instances=lambda: [(n, power) for n in (2, 5, 8) for power in (1.0, 1.5, 2.0, 3.0)],
    ours=lambda c: _uncrossed(*c),
    independent=lambda c: [float(abs(i - m)) ** c[1] + float(abs(k - j)) ** c[1] for i, k, j, m in _rectangles(c[0])],
    wrong=lambda c: _uncrossed(c[0], 0.5),
    wrong_independent=lambda c: [abs(i - m) ** 0.5 + abs(k - j) ** 0.5 for i, k, j, m in _rectangles(c[0])],
    mistake="makes the same claim of k = 0.5, which is concave",
)
row(
    r"D8 zero-diagonal: |i - i|^k = 0 \text{ for every } k \ge 0",
    dict(reference="entry by entry", instances=lambda: [(n, k) for n in (1, 2, 7) for k in (0.0, 0.5, 1.0, 3.0)]),
    ours=lambda c: costs.ordinal(*c),
    independent=lambda c: _rank_cost(*c),
    wrong=lambda c: np.abs(np.subtract.outer(np.arange(c[0]), np.arange(c[0]))) ** c[1],
    mistake="lets numpy's 0 ** 0 = 1 onto the diagonal",
)
lp_row(
    r"D8 concave-powers-cross: c_{ij} = |i - j|^k,\ k < 1: \text{ the monotone plan need not be optimal}",
    dict(reference="north-west rule and LP", threshold=0.1, instances=_left_behind),
    ours=lambda c: _monotone_margin(c, 0.5),
    independent=_monotone_margin_by_hand,
    wrong=lambda c: _monotone_margin(c, 1.5),
    mistake="makes the same claim of k = 1.5",
)


def _basic(p, tau, cost):
    """The least mass in the plan of HiGHS, or 0 when that plan is degenerate: potentials need not be unique."""
    plan = references.solved(p, tau, cost)[1]
    used = plan[plan > 1e-9]
    return used.min() if used.size == np.count_nonzero(p) + np.count_nonzero(tau) - 1 else 0.0


def _unique_duals():
    """(p, tau, cost, step): plans with as many cells as possible, and a step that leaves these cells as they are."""
    rng = np.random.default_rng(instances.SEED)
    problems = [(worked.P, worked.TAU, worked.COST)]
    for n in (2, 3, 3, 5, 5, 8):
        for _ in range(2):
            p, tau = instances.spread(rng, n, 3.0), instances.spread(rng, n, 3.0)
            problems.append((p, tau, rng.uniform(0, 2, size=(n, n))))
    for problem in problems:
        least = _basic(*problem)
        if least > 4e-3:
            yield *problem, least / 2


def _slopes(c):
    """Central differences of the distance as mass goes from token 0 to each other one."""
    p, tau, cost, step = c
    ahead, behind = (p + s * step * (np.eye(p.size)[1:] - np.eye(p.size)[0]) for s in (1, -1))
    above, below = (np.array([references.solved(q, tau, cost)[0] for q in moved]) for moved in (ahead, behind))
    return (above - below) / (2 * step)


def _other_models():
    """(case, q): q spreads over tokens to which the case's p gives nothing."""
    rng = np.random.default_rng(instances.SEED + 1)
    for case in instances.cost_cases(per_pair=1):
        if case.p.size <= 13:
            yield case, instances.spread(rng, case.p.size)


def _tangent(c, completed=True):
    case, q = c
    solved = _emd(case)
    return solved.value + (solved.u if completed else np.where(case.p > 0, solved.u, 0.0)) @ (q - case.p)


lp_row(
    r"D6 potentials-are-slopes: \tfrac{d}{d\epsilon}\, C[p + \epsilon(\delta_i - \delta_k), "
    r"\tau] = u_i - u_k \text{ where the plan is not degenerate}",
    dict(reference="differences of LPs by HiGHS", instances=_unique_duals),
    ours=lambda c: transport.emd(*c[:3]).u[1:] - transport.emd(*c[:3]).u[0],
    independent=_slopes,
    wrong=lambda c: c[2][0, 1:],
    mistake="takes the direct cost for the price: forgets that the other mass is rearranged",
)
lp_row(
    r"D6 tangent-from-below: C[q,\tau] \ge C[p,\tau] + \langle u, q - p\rangle \text{ for every } q: "
    r"\text{ the distance is convex in } p",
    dict(sense="<=", instances=_other_models),
    ours=_tangent,
    independent=lambda c: references.solved(c[1], c[0].tau, c[0].cost)[0],
    wrong=lambda c: _tangent(c, completed=False),
    mistake="leaves the potentials of tokens without mass at 0",
)
