"""Rows of lesson 05, continued: D12, rigorous two-sided bounds on entropic transport.

Write B = p^T C tau, osc = max C - min C, eps for the regularisation and OT = min <plan, C> + eps KL(plan || p tau^T).
Small eps. KL >= 0 gives EMD <= OT; the optimal plan has KL = mutual information <= min(H(p), H(tau)), hence OT <= EMD + eps min(H).
Large eps. The product plan has KL = 0, hence OT <= B. Dropping the marginal constraints can only lower the minimum, which is then
-eps log E exp(-C / eps) under the product (Gibbs), and Hoeffding's lemma bounds that below by B - osc^2 / (8 eps).
Three such terms with weights 1, -1/2, -1/2 give |S - D9| <= osc^2 / (8 eps) for the Sinkhorn divergence.
"""

import math

import numpy as np
from scipy.special import rel_entr

from .. import costs, transport
from . import exact, instances, references
from .core import Row, register

SINKHORN = "Sinkhorn meets the marginals to 1e-11, and costs are at most 2"


def _cases():
    """(p, tau, cost, regularisation): small ones, with zeros and corners, since Sinkhorn is slow where the regularisation is small."""
    rng = np.random.default_rng(instances.SEED)
    chosen = [
        (p, tau) for name, p, tau in instances.pairs(large=False) if p.size <= 10 and not name.startswith("spiky")
    ]
    for p, tau in chosen:
        for eps in (0.2, 1.0, 30.0):
            yield p, tau, costs.cosine(rng.normal(size=(p.size, 3))), eps


def _entropic(c):
    return transport.entropic(*c)[0]


def _uniform_reference(c):
    p, _, cost, eps = c
    plan = transport.entropic(*c)[1]
    return (plan * cost).sum() + eps * rel_entr(plan, np.full(plan.shape, 1 / p.size**2)).sum()


def _entropy_only(c):
    plan = transport.entropic(*c)[1]
    return (plan * c[2]).sum() + c[3] * rel_entr(plan, np.ones_like(plan)).sum()


def _least_entropy(c):
    return min(exact.entropy(c[0]), exact.entropy(c[1]))


def _reach(c):
    return (c[2].max() - c[2].min()) ** 2 / (8 * c[3])


def _two_by_two():
    rng = np.random.default_rng(instances.SEED)
    for eps in (0.05, 0.3, 1.0, 10.0):
        for _ in range(3):
            yield instances.spread(rng, 2), instances.spread(rng, 2), rng.uniform(0, 2, size=(2, 2)), eps


def _by_one_root(c):
    """Entropic value of a 2 x 2 problem: one unknown entry x, where the derivative of the objective vanishes."""
    from scipy.optimize import brentq

    p, tau, cost, eps = c

    def plan(x):
        return np.array([[x, p[0] - x], [tau[0] - x, 1 - p[0] - tau[0] + x]])

    def slope(x):
        (a, b), (d, e) = plan(x)
        return (
            cost[0, 0]
            - cost[0, 1]
            - cost[1, 0]
            + cost[1, 1]
            + eps * (math.log(a) + math.log(e) - math.log(b) - math.log(d))
        )

    low, high = max(0.0, p[0] + tau[0] - 1), min(p[0], tau[0])
    width = high - low
    best = plan(brentq(slope, low + 1e-15 * width, high - 1e-15 * width, xtol=1e-16, rtol=1e-14))
    flat = zip(best.ravel().tolist(), cost.ravel().tolist(), np.outer(p, tau).ravel().tolist(), strict=True)
    return math.fsum(g * k + eps * g * math.log(g / r) for g, k, r in flat)


register(
    Row(
        label="D12",
        name="entropic-value",
        statement=r"\mathrm{OT}_\varepsilon = \min_\gamma \langle\gamma, c\rangle + \varepsilon\,\mathrm{KL}(\gamma\|p\tau^\top)",
        kind="identity",
        code=(transport.entropic,),
        reference="root of one equation, 2 x 2",
        instances=_two_by_two,
        ours=_entropic,
        independent=_by_one_root,
        wrong=_entropy_only,
        mistake="regularises by the entropy of the plan alone",
        tolerance=1e-9,
        why=SINKHORN,
    )
)
register(
    Row(
        label="D12",
        name="entropic-from-above",
        statement=r"\mathrm{OT}_\varepsilon \le \min\{C[p,\tau] + \varepsilon\min(H(p), H(\tau)),\ p^\top C \tau\}:"
        r" \text{ the KL of the optimal plan is a mutual information; the product plan has none}",
        kind="bound",
        code=(transport.entropic,),
        reference="LP, entropies, fractions",
        instances=_cases,
        ours=lambda c: np.full(2, _entropic(c)),
        independent=lambda c: np.array(
            [references.linear_program(*c[:3])[0] + c[3] * _least_entropy(c), exact.bilinear(c[0], c[2], c[1])]
        ),
        wrong=lambda c: np.full(2, _uniform_reference(c)),
        mistake="pays for straying from the uniform plan, not from the product",
        tolerance=1e-9,
        why=SINKHORN,
    )
)
register(
    Row(
        label="D12",
        name="entropic-from-below",
        statement=r"\mathrm{OT}_\varepsilon \ge \max\{C[p,\tau],\ p^\top C \tau - \mathrm{osc}(C)^2/(8\varepsilon)\}:"
        r" \text{ KL is not negative; Hoeffding's lemma on the minimum without marginals}",
        kind="bound",
        code=(transport.entropic,),
        reference="LP, fractions",
        instances=_cases,
        ours=lambda c: np.full(2, _entropic(c)),
        independent=lambda c: np.array(
            [references.linear_program(*c[:3])[0], exact.bilinear(c[0], c[2], c[1]) - _reach(c)]
        ),
        sense=">=",
        wrong=lambda c: np.full(2, _entropy_only(c)),
        mistake="regularises by the entropy of the plan alone, which is negative",
        tolerance=1e-9,
        why=SINKHORN,
    )
)


def _score(c):
    p, tau, cost, _ = c
    return exact.bilinear(p, cost, tau) - exact.bilinear(p, cost, p) / 2 - exact.bilinear(tau, cost, tau) / 2


register(
    Row(
        label="D12",
        name="sinkhorn-to-score",
        statement=r"|S_\varepsilon - (p^\top C\tau - \tfrac12 p^\top C p - \tfrac12 \tau^\top C\tau)| \le \mathrm{osc}(C)^2/(8\varepsilon):"
        r" \text{ three terms, each within } [-\mathrm{osc}^2/(8\varepsilon), 0]",
        kind="bound",
        code=(transport.sinkhorn_divergence,),
        reference="sums in exact fractions",
        instances=_cases,
        ours=lambda c: abs(transport.sinkhorn_divergence(*c) - _score(c)),
        independent=_reach,
        wrong=lambda c: abs(_entropic(c) - _score(c)),
        mistake="leaves the bias in: OT(p, tau) without the two own terms",
        tolerance=1e-9,
        why=SINKHORN,
    )
)
register(
    Row(
        label="D12",
        name="sinkhorn-to-emd",
        statement=r"-\tfrac\varepsilon2 (H(p) + H(\tau)) \le S_\varepsilon - C[p,\tau] \le \varepsilon \min(H(p), H(\tau))"
        r" \text{ for costs } \ge 0,\ c_{ii} = 0",
        kind="bound",
        code=(transport.sinkhorn_divergence,),
        reference="LP, entropies",
        instances=_cases,
        ours=lambda c: (
            (transport.sinkhorn_divergence(*c) - references.linear_program(*c[:3])[0]) * np.array([1.0, -1.0])
        ),
        independent=lambda c: c[3] * np.array([_least_entropy(c), (exact.entropy(c[0]) + exact.entropy(c[1])) / 2]),
        wrong=lambda c: (
            (_entropic(c) - 2 * transport.entropic(c[0], c[0], *c[2:])[0] - references.linear_program(*c[:3])[0])
            * np.array([1.0, -1.0])
        ),
        mistake="takes out the whole of twice p's own term",
        tolerance=1e-9,
        why=SINKHORN,
    )
)
