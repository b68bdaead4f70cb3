"""Rows of lesson 05: A8 and D3, the cosine cost; D4, which costs are metrics; D12, bounds on entropic transport."""

import math
from itertools import product

import numpy as np
from scipy.special import rel_entr

from .. import costs, transport
from . import instances, references
from .core import row_maker

row = row_maker("05")
lp_row = row_maker("05", reference="LP by HiGHS", tolerance=1e-9)  # HiGHS keeps its constraints to 1e-10


def _small():
    return [c for c in instances.token_cases(large=False) if c.p.size <= 13]


def _range(cost):
    return np.array([-cost.min(), cost.max(), np.abs(np.diag(cost)).max()])


row(
    r"A8 cosine-cost: c_{ij} = 1 - \cos(e_i, e_j)",
    dict(reference="60 digits, element by element", instances=_small),
    ours=lambda c: costs.cosine(c.embedding),
    independent=lambda c: references.cosine(c.embedding),
    wrong=lambda c: 1 - c.embedding @ c.embedding.T,
    mistake="does not divide by the lengths",
)
row(
    r"A8 cosine-range: 0 \le c_{ij} \le 2,\quad c_{ii} = 0, \text{ exactly, in spite of rounding}",
    dict(reference="Cauchy-Schwarz", tolerance=0.0, sense="<="),  # exact by construction
    instances=instances.token_cases,
    ours=lambda c: _range(costs.cosine(c.embedding)),
    independent=lambda c: [0.0, 2.0, 0.0],
    wrong=lambda c: _range(1 - (unit := c.embedding / np.linalg.norm(c.embedding, axis=1, keepdims=True)) @ unit.T),
    mistake="neither cuts off the rounding nor sets the diagonal to 0",
)


def _means(c):
    return [transport.mean_direction(x, c.embedding) for x in (c.p, c.tau)]


def _cosine_of_means(c):
    a, b = _means(c)
    return 1 - a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300)


def _spread_terms(c):
    """The three terms of the decomposition, from coordinates, in exact sums of products."""
    unit = (c.embedding / np.abs(c.embedding).max(1, keepdims=True)).tolist()
    unit = [[x / math.sqrt(math.fsum(y * y for y in row)) for x in row] for row in unit]
    nothing = np.zeros(c.p.size)
    own = [(1 - references.squared_distance(x, nothing, unit)) / 2 for x in (c.p, c.tau)]
    return references.squared_distance(c.p, c.tau, unit) / 2, *own


def _decomposition(c):
    """The product bound, its gap term, and p's own term."""
    gap = transport.jensen_bound(c.p, c.tau, c.embedding)
    return transport.product_bound(*c.problem), gap, 0.5 * transport.product_bound(c.p, c.p, c.cost)


def _by_lengths(c):
    """The same with the mean's length in place of its square."""
    gap = transport.jensen_bound(c.p, c.tau, c.embedding)
    length = np.linalg.norm(transport.mean_direction(c.p, c.embedding))
    return gap + 1 - length, gap, 0.5 * (1 - length)


row(
    r"D3 jensen-bound: \tfrac12 |m_p - m_\tau|^2 \le C[p,\tau],\quad m_p = \sum_i p_i \hat e_i",
    dict(reference="LP by HiGHS", tolerance=1e-10, sense="<=", instances=lambda: instances.token_cases(large=False)),
    ours=lambda c: transport.jensen_bound(c.p, c.tau, c.embedding),
    independent=lambda c: references.solved(*c.problem)[0],
    wrong=lambda c: 2 * transport.jensen_bound(c.p, c.tau, c.embedding),
    mistake="forgets the half",
)
row(
    r"D3 mean-direction-bound: C[p,\tau] \le p^\top C\, \tau = 1 - \langle m_p, m_\tau\rangle",
    dict(reference="LP by HiGHS", tolerance=1e-10, sense=">=", instances=lambda: instances.token_cases(large=False)),
    ours=lambda c: [transport.product_bound(*c.problem), 1 - np.dot(*_means(c))],
    independent=lambda c: np.full(2, references.solved(*c.problem)[0]),
    wrong=lambda c: np.full(2, _cosine_of_means(c)),
    mistake="divides the mean directions by their lengths",
)
row(
    r"D3 decomposition: p^\top C \tau = \tfrac12|m_p - m_\tau|^2 + \tfrac12(1 - |m_p|^2) + \tfrac12(1 - "
    r"|m_\tau|^2),\quad \tfrac12 p^\top C p = \tfrac12(1 - |m_p|^2)",
    dict(reference="exact sums of coordinates", instances=lambda: instances.token_cases(large=False)),
    ours=_decomposition,
    independent=lambda c: [sum(_spread_terms(c)), *_spread_terms(c)[:2]],
    wrong=_by_lengths,
    mistake="takes the mean's length where its square belongs",
)


def _excess(distance):
    """Largest broken triangle by enumeration."""
    d = distance.tolist()
    return max(d[i][k] - d[i][j] - d[j][k] for i, j, k in product(range(len(d)), repeat=3))


def _fans():
    """Three directions in a plane, a middle one between two others; and three among random ones."""
    yield np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    yield np.array([[3.0, 0.0, 0.0], [0.0, 0.5, 0.1], [-2.0, 0.0, 0.0], [0.7, 0.7, 0.0]])


def _corner_excess(cost, distance):
    """Broken triangle of a transport distance between the first, second and third one-hot distribution."""
    a, b, c = np.eye(len(cost))[:3]
    return distance(a, c, cost) - distance(a, b, cost) - distance(b, c, cost)


def _emd_value(p, tau, cost):
    return transport.emd(p, tau, cost).value


def _lp_value(p, tau, cost):
    return references.solved(p, tau, cost)[0]


def _shortest(cost):
    """The largest pseudometric below a symmetric cost: shortest paths (Floyd and Warshall)."""
    d = cost.copy()
    for k in range(len(d)):
        d = np.minimum(d, d[:, k, None] + d[k])
    return d


def _fan_problems():
    yield next(_fans()), np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    yield next(_fans()), np.array([0.7, 0.0, 0.3]), np.array([0.1, 0.2, 0.7])


def _no_w1(cost, p, tau):
    return transport.emd(p, tau, cost).value - transport.emd(p, tau, _shortest(cost)).value


def _triples():
    """(embedding, three distributions): random ones, a stop at the start, the fan's corners, where C fails."""
    rng = np.random.default_rng(instances.SEED)
    yield next(_fans()), np.eye(3)
    yield next(_fans()), np.eye(3)[[0, 0, 2]]
    for n in (3, 4, 6, 8):
        yield rng.normal(size=(n, 3)), np.stack([instances.spread(rng, n, 0.5) for _ in range(3)])


def _sides(value, c):
    """The transport costs of the direct way and of the two legs, under 1 - cos."""
    cost, (a, b, d) = references.cosine(c[0]), c[1]
    return value(a, d, cost), value(a, b, cost), value(b, d, cost)


row(
    r"D4 chord-and-angle: |\hat e_i - \hat e_j|,\quad \tfrac12|\hat e_i - \hat e_j|^2 = 1 - \cos,"
    r"\quad \angle_{ij} = 2\arcsin\tfrac12|\hat e_i - \hat e_j|",
    dict(reference="60 digits, element by element", instances=_small),
    ours=lambda c: [(d := costs.chord(c.embedding)), d**2 / 2, 2 * np.sin(costs.angle(c.embedding) / 2)],
    independent=lambda c: [(d := references.chord(c.embedding)), references.cosine(c.embedding), d],
    wrong=lambda c: [np.sqrt(d := costs.cosine(c.embedding)), d, np.sqrt(d)],
    mistake="takes the root of 1 - cos without the factor 2",
)
row(
    r"D4 chord-and-angle-are-metrics: d_{ik} \le d_{ij} + d_{jk} \text{ for the chord and for the angle}",
    dict(reference="the axiom: no excess", sense="<=", instances=lambda: instances.token_cases(large=False)),
    ours=lambda c: [costs.metric_report(d(c.embedding)).triangle_excess for d in (costs.chord, costs.angle)],
    independent=lambda c: [0.0, 0.0],
    wrong=lambda c: np.full(2, costs.metric_report(costs.cosine(c.embedding)).triangle_excess),
    mistake="makes the same claim of 1 - cos",
)
row(
    r"D4 cosine-cost-is-no-metric: \exists\, i, j, k:\ c_{ik} > c_{ij} + c_{jk} \text{ for } c = 1 - \cos \ (0°, 45°, "
    "90°)",
    dict(reference="60 digits, all triples", threshold=0.1, instances=_fans),
    ours=lambda e: costs.metric_report(costs.cosine(e)).triangle_excess,
    independent=lambda e: _excess(references.cosine(e)),
    wrong=lambda e: costs.metric_report(costs.chord(e)).triangle_excess,
    mistake="makes the same claim of the chord",
)
lp_row(
    r"D4 half-squared-w2: C[p,\tau] \text{ under } 1 - \cos = \tfrac12 W_2^2 \text{ under the chord}",
    dict(reference="LP on squared chords", instances=_small),
    ours=lambda c: transport.emd(c.p, c.tau, costs.cosine(c.embedding)).value,
    independent=lambda c: 0.5 * references.solved(c.p, c.tau, references.chord(c.embedding) ** 2)[0],
    wrong=lambda c: 0.5 * transport.emd(c.p, c.tau, costs.chord(c.embedding)).value ** 2,
    mistake="squares W_1 instead of the distances inside",
)
lp_row(
    r"D4 emd-is-no-metric: \exists\, p, q, r:\ C[p,r] > C[p,q] + C[q,r] \text{ under } 1 - \cos",
    dict(threshold=0.1, instances=lambda: [next(_fans())]),
    ours=lambda e: _corner_excess(costs.cosine(e), _emd_value),
    independent=lambda e: _corner_excess(references.cosine(e), _lp_value),
    wrong=lambda e: _corner_excess(costs.chord(e), _emd_value),
    mistake="makes the same claim under the chord, where it is W_1",
)
lp_row(
    r"D4 no-lipschitz-dual: \max_{f_i - f_j \le c_{ij}} \langle f, "
    r"p - \tau\rangle < C[p,\tau] \text{ somewhere under } 1 - \cos",
    dict(reference="Lipschitz dual as an LP", threshold=0.1, instances=_fan_problems),
    ours=lambda c: _no_w1(costs.cosine(c[0]), c[1], c[2]),
    independent=lambda c: _lp_value(*c[1:], cost := references.cosine(c[0])) - references.lipschitz_dual(*c[1:], cost),
    wrong=lambda c: _no_w1(costs.chord(c[0]), c[1], c[2]),
    mistake="makes the same claim under the chord, a metric",
)
lp_row(
    r"D4 root-of-emd-is-a-metric: \sqrt{C[p,r]} \le \sqrt{C[p,q]} + \sqrt{C[q,r]} \text{ under } 1 - \cos, "
    r"\text{ for } C = \tfrac12 W_2^2",
    dict(sense="<=", instances=_triples),
    ours=lambda c: _sides(_emd_value, c)[0] ** 0.5,
    independent=lambda c: sum(max(leg, 0.0) ** 0.5 for leg in _sides(_lp_value, c)[1:]),
    wrong=lambda c: _sides(_emd_value, c)[0],
    wrong_independent=lambda c: sum(_sides(_lp_value, c)[1:]),
    mistake="makes the same claim of C without the root",
)
lp_row(
    r"D4 lipschitz-dual-of-metrics: \max_{f_i - f_j \le d_{ij}} \langle f, "
    r"p - \tau\rangle = C[p,\tau] \text{ under a metric } d \text{ (Kantorovich, Rubinstein)}",
    reference="Lipschitz dual as an LP",
    instances=lambda: [next(_fan_problems()), *((c.embedding, c.p, c.tau) for c in _small() if 1 < c.p.size <= 7)],
    ours=lambda c: [_emd_value(c[1], c[2], d(c[0])) for d in (costs.chord, costs.angle)],
    independent=lambda c: [references.lipschitz_dual(c[1], c[2], d(c[0])) for d in (costs.chord, costs.angle)],
    wrong=lambda c: np.full(2, _emd_value(c[1], c[2], costs.cosine(c[0]))),
    wrong_independent=lambda c: np.full(2, references.lipschitz_dual(c[1], c[2], costs.cosine(c[0]))),
    mistake="makes the same claim under 1 - cos, which is no metric",
)


ABOVE_BELOW = np.array([1.0, -1.0])  # turns a number into the two sides of a two-sided bound


def _cases():
    """(p, tau, cost, regularisation): small problems, with zeros and corners, since Sinkhorn is slow."""
    rng = np.random.default_rng(instances.SEED)
    for name, p, tau in instances.pairs(large=False):
        if p.size <= 10 and not name.startswith("spiky"):
            for eps in (0.2, 1.0, 30.0):
                yield p, tau, costs.cosine(rng.normal(size=(p.size, 3))), eps


def _entropic(c):
    return transport.entropic(*c)[0]


def _entropy_only(c, reference=1.0):
    """The optimal plan's cost with KL to a constant in place of the product plan: minus the entropy where that is 1."""
    plan = transport.entropic(*c)[1]
    return (plan * c[2]).sum() + c[3] * rel_entr(plan, reference).sum()


def _entropies(c):
    return [references.cross_entropy(x, x) for x in c[:2]]


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
        signs = np.array([[1, -1], [-1, 1]])
        return (signs * (cost + eps * np.log(plan(x)))).sum()

    low, high = max(0.0, p[0] + tau[0] - 1), min(p[0], tau[0])
    width = high - low
    best = plan(brentq(slope, low + 1e-15 * width, high - 1e-15 * width, xtol=1e-16, rtol=1e-14))
    flat = zip(best.ravel().tolist(), cost.ravel().tolist(), np.outer(p, tau).ravel().tolist(), strict=True)
    return math.fsum(g * k + eps * g * math.log(g / r) for g, k, r in flat)


def _score(c):
    p, tau, cost, _ = c
    cross, *own = (references.bilinear(a, cost, b) for a, b in ((p, tau), (p, p), (tau, tau)))
    return cross - sum(own) / 2


lp_row(
    r"D12 entropic-value: \mathrm{OT}_\varepsilon = \min_\gamma \langle\gamma, "
    r"c\rangle + \varepsilon\,\mathrm{KL}(\gamma\|p\tau^\top)",
    dict(reference="root of one equation, 2 x 2", instances=_two_by_two),
    ours=_entropic,
    independent=_by_one_root,
    wrong=_entropy_only,
    mistake="regularises by the entropy of the plan alone",
)
lp_row(
    r"D12 entropic-from-above: \mathrm{OT}_\varepsilon \le \min\{C[p,\tau] + \varepsilon\min(H(p), H(\tau)),\ "
    r"p^\top C \tau\}: \text{ the KL of the optimal plan is a mutual information; the product plan has none}",
    dict(reference="LP, entropies, fractions", sense="<=", instances=_cases),
    ours=lambda c: np.full(2, _entropic(c)),
    independent=lambda c: [_lp_value(*c[:3]) + c[3] * min(_entropies(c)), references.bilinear(c[0], c[2], c[1])],
    wrong=lambda c: np.full(2, _entropy_only(c, 1 / c[0].size ** 2)),
    mistake="pays for straying from the uniform plan, not from the product",
)
lp_row(
    r"D12 entropic-from-below: \mathrm{OT}_\varepsilon \ge \max\{C[p,\tau],\ p^\top C \tau - \mathrm{osc}(C)^2"
    r"/(8\varepsilon)\}: \text{ KL is not negative; Hoeffding's lemma on the minimum without marginals}",
    dict(reference="LP, fractions", sense=">=", instances=_cases),
    ours=lambda c: np.full(2, _entropic(c)),
    independent=lambda c: [references.solved(*c[:3])[0], references.bilinear(c[0], c[2], c[1]) - _reach(c)],
    wrong=lambda c: np.full(2, _entropy_only(c)),
    mistake="regularises by the entropy of the plan alone, which is negative",
)
lp_row(
    r"D12 sinkhorn-to-score: |S_\varepsilon - (p^\top C\tau - \tfrac12 p^\top C p - \tfrac12 \tau^\top C\tau)| \le "
    r"\mathrm{osc}(C)^2/(8\varepsilon): \text{ three terms, each within } [-\mathrm{osc}^2/(8\varepsilon), 0]",
    dict(reference="sums in exact fractions", sense="<=", instances=_cases),
    ours=lambda c: abs(transport.sinkhorn_divergence(*c) - _score(c)),
    independent=_reach,
    wrong=lambda c: abs(_entropic(c) - _score(c)),
    mistake="leaves the bias in: OT(p, tau) without the two own terms",
)
lp_row(
    r"D12 sinkhorn-to-emd: -\tfrac\varepsilon2 (H(p) + H(\tau)) \le S_\varepsilon - C[p,\tau] \le \varepsilon "
    r"\min(H(p), H(\tau)) \text{ for costs } \ge 0,\ c_{ii} = 0",
    dict(reference="LP, entropies", sense="<=", instances=_cases),
    ours=lambda c: (transport.sinkhorn_divergence(*c) - _lp_value(*c[:3])) * ABOVE_BELOW,
    independent=lambda c: c[3] * np.array([min(_entropies(c)), sum(_entropies(c)) / 2]),
    wrong=lambda c: (_entropic(c) - 2 * transport.entropic(c[0], c[0], *c[2:])[0] - _lp_value(*c[:3])) * ABOVE_BELOW,
    mistake="takes out the whole of twice p's own term",
)
