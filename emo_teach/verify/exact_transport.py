"""Rows of lesson 03: A4 and D6. (D8 is in `closed_forms`.)"""

import math

import numpy as np

from .. import transport
from . import exact, instances, references
from .core import Row, register

SOLVERS = "two solvers; HiGHS keeps its constraints to 1e-10"


def _emd(c):
    return transport.emd(c.p, c.tau, c.cost)


register(
    Row(
        label="A4",
        name="emd-value",
        statement=r"C[p,\tau] = \min_{\gamma \ge 0,\ \gamma 1 = p,\ \gamma^\top 1 = \tau} \sum_{ij} \gamma_{ij} c_{ij}",
        kind="identity",
        code=(transport.emd,),
        reference="LP by HiGHS",
        instances=instances.cost_cases,
        ours=lambda c: _emd(c).value,
        independent=lambda c: references.linear_program(c.p, c.tau, c.cost)[0],
        wrong=lambda c: transport.emd(c.p, c.tau, c.cost.T).value,
        mistake="transposes the cost",
        tolerance=1e-9,
        why=SOLVERS,
    )
)


def _plan_facts(plan, c, value):
    total = math.fsum(float(x) for x in (plan * c.cost).ravel())
    return np.concatenate([plan.sum(1), plan.sum(0), [min(plan.min(), 0.0), total - value]])


register(
    Row(
        label="A4",
        name="emd-plan",
        statement=r"\gamma 1 = p,\quad \gamma^\top 1 = \tau,\quad \gamma \ge 0,\quad \langle\gamma, c\rangle = C[p,\tau]",
        kind="identity",
        code=(transport.emd,),
        reference="the marginals themselves",
        instances=lambda: instances.cost_cases(large=True),
        ours=lambda c: _plan_facts(_emd(c).plan, c, _emd(c).value),
        independent=lambda c: np.concatenate([c.p, c.tau, [0.0, 0.0]]),
        wrong=lambda c: _plan_facts(_emd(c).plan.T, c, _emd(c).value),
        mistake="takes columns for rows in the plan",
        tolerance=1e-12,
        why="sums of at most 200 masses",
    )
)


def _batches():
    for n in (1, 2, 5, 12):
        rng = np.random.default_rng(instances.SEED + n)
        p, tau = (np.stack([instances.spread(rng, n, a) for a in (0.05, 1, 1)]) for _ in range(2))
        yield p, tau, rng.uniform(0, 2, size=(3, n, n))


register(
    Row(
        label="A4",
        name="many-at-once",
        statement=r"C[p_k,\tau_k] \text{ under } c_k, \quad k = 1, \dots, m",
        kind="identity",
        code=(transport.emd_many, transport.emd),
        reference="LP by HiGHS",
        instances=_batches,
        ours=lambda c: np.stack(
            [transport.emd_many(*c).value, [transport.emd(*problem).value for problem in zip(*c, strict=True)]]
        ),
        independent=lambda c: np.stack(
            [[references.linear_program(*problem)[0] for problem in zip(*c, strict=True)]] * 2
        ),
        wrong=lambda c: np.stack([transport.emd_many(c[0], c[1], c[2][0]).value] * 2),
        mistake="gives every problem the first one's cost",
        tolerance=1e-9,
        why=SOLVERS,
    )
)


def _dual_value(c):
    solved = _emd(c)
    return c.p @ solved.u + c.tau @ solved.v


register(
    Row(
        label="D6",
        name="strong-duality",
        statement=r"\max_{u_i + v_j \le c_{ij}} \langle u, p\rangle + \langle v, \tau\rangle = C[p,\tau]",
        kind="identity",
        code=(transport.emd,),
        reference="LP by HiGHS",
        instances=instances.cost_cases,
        ours=lambda c: np.array([_dual_value(c), _emd(c).gap]),
        independent=lambda c: np.array([references.linear_program(c.p, c.tau, c.cost)[0], 0.0]),
        wrong=lambda c: np.array([_emd(c).u @ (c.p - c.tau), 0.0]),
        mistake="puts v = -u, which is the dual of metric costs only",
        tolerance=1e-9,
        why=SOLVERS,
    )
)


def _potential_sums(c):
    solved = _emd(c)
    return solved.u[:, None] + solved.v


def _uncompleted(c):
    """Potentials set to 0 where there is no mass."""
    solved = _emd(c)
    return np.where(c.p > 0, solved.u, 0.0)[:, None] + np.where(c.tau > 0, solved.v, 0.0)


register(
    Row(
        label="D6",
        name="dual-feasible",
        statement=r"u_i + v_j \le c_{ij} \text{ for all } i, j, \text{ mass or not}",
        kind="bound",
        code=(transport.emd,),
        reference="the cost itself",
        instances=lambda: instances.cost_cases(large=True),
        ours=_potential_sums,
        independent=lambda c: c.cost,
        wrong=_uncompleted,
        mistake="leaves the potentials of tokens without mass at 0",
        tolerance=1e-10,
        why="the solver updates its potentials pivot by pivot: about 1e-14 times n",
    )
)
register(
    Row(
        label="D6",
        name="slackness",
        statement=r"\gamma_{ij} > 0 \Rightarrow u_i + v_j = c_{ij}, \text{ for every optimal plan and every optimal dual}",
        kind="identity",
        code=(transport.emd,),
        reference="HiGHS's plan, our dual",
        instances=instances.cost_cases,
        ours=lambda c: (references.linear_program(c.p, c.tau, c.cost)[1] * (c.cost - _potential_sums(c))).sum(),
        independent=lambda c: 0.0,
        wrong=lambda c: (np.outer(c.p, c.tau) * (c.cost - _potential_sums(c))).sum(),
        mistake="takes the product plan for an optimal one",
        tolerance=1e-9,
        why=SOLVERS,
    )
)
register(
    Row(
        label="D6",
        name="basic-plan",
        statement=r"\gamma \text{ a vertex} \Rightarrow \#\{\gamma_{ij} > 0\} \le \#\mathrm{supp}\,p + \#\mathrm{supp}\,\tau - 1",
        kind="bound",
        code=(transport.emd,),
        reference="count in Python",
        instances=lambda: instances.cost_cases(large=True),
        ours=lambda c: float(np.count_nonzero(_emd(c).plan)),
        independent=lambda c: float(sum(x > 0 for x in c.p) + sum(x > 0 for x in c.tau) - 1),
        wrong=lambda c: float(np.count_nonzero(np.outer(c.p, c.tau))),
        mistake="takes the product plan, which is not basic",
        tolerance=0.0,
        why="counts",
    )
)
register(
    Row(
        label="D6",
        name="rank",
        statement=r"\mathrm{rank}\,A_{\mathrm{eq}} = 2n - 1: \text{ row sums and column sums add up to the same total}",
        kind="identity",
        code=(references.marginal_constraints,),
        reference="elimination in fractions",
        instances=lambda: (1, 2, 3, 5, 8),
        ours=lambda n: float(np.linalg.matrix_rank(references.marginal_constraints(n))),
        independent=lambda n: float(
            exact.rank(
                [[int(c // n == r) if r < n else int(c % n == r - n) for c in range(n * n)] for r in range(2 * n)]
            )
        ),
        wrong=lambda n: float(2 * n),
        mistake="takes all 2n constraints for independent",
        tolerance=0.0,
        why="integers",
    )
)
