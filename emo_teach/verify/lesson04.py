"""Rows of lesson 04: A5 to A7 and D2, one-hot labels, and what a loss wants that is linear in p."""

import math

import numpy as np

from .. import costs, divergences, transport, worked
from . import instances, references
from .core import row_maker
from .instances import one_hot

row = row_maker("04")
# HiGHS keeps its constraints to 1e-10
lp_row = row_maker("04", reference="LP by HiGHS", tolerance=1e-9, instances=instances.cost_cases)
RANDOM = ("random 3", "random 5", "random 8", "random 13")
SEEN = 1e-15  # masses below the rounding of a sum of 1 leave a solver free to price them as it likes


row(
    r"A5 one-hot-potentials: \tau = \mathrm{onehot}_t \Rightarrow u_i = c_{it},\ v_t = 0 \text{ wherever } p_i > 0",
    dict(reference="column of the cost", instances=lambda: instances.cost_cases(per_pair=1)),
    ours=lambda c: np.append((solved := transport.emd(*c.to_target)).u[c.p > SEEN], solved.v[c.target]),
    independent=lambda c: np.append(c.cost[c.p > SEEN, c.target], 0.0),
    wrong=lambda c: np.append(c.cost[c.target, c.p > SEEN], 0.0),
    mistake="reads the target's row of the cost, not its column",
)


def _separable():
    """(p, tau, first, second): prices whose sums are the cost."""
    rng = np.random.default_rng(instances.SEED)
    for _, p, tau in instances.pairs(large=False):
        yield p, tau, rng.normal(size=p.size), rng.normal(size=p.size)


def _two_values(p, tau, cost):
    return transport.product_bound(p, tau, cost), transport.emd(p, tau, cost).value


row(
    r"A6 exact-for-separable-costs: c_{ij} = a_i + b_j \Rightarrow p^\top C\tau = C[p,\tau] = \langle p, "
    r"a\rangle + \langle \tau, b\rangle",
    dict(reference="sum of the prices", instances=_separable),
    ours=lambda c: _two_values(c[0], c[1], np.add.outer(c[2], c[3])),
    independent=lambda c: np.full(2, math.fsum([*(c[0] * c[2]), *(c[1] * c[3])])),
    wrong=lambda c: _two_values(c[0], c[1], np.maximum.outer(c[2], c[3])),
    mistake="puts the dearer of the two prices for their sum",
)


def _targets():
    """(p, target) with p_t above 0."""
    for _, p, _ in instances.pairs():
        yield from ((p, target) for target in range(min(p.size, 12)) if p[target] > 0)
    for p_t in (1e-300, 1e-12, 1 - 1e-9, 1 - 2**-53):
        yield np.array([p_t, 1 - p_t]), 0


def _missed(c):
    return transport.one_hot_emd(c[0], costs.zero_one(c[0].size), c[1])


def _contests():
    """(logits, target): the target alone on top, tied there, and beaten, by at least 0.1."""
    z = np.array([1.0, 0.9, -0.5, 1.0, 0.2])
    yield from ((z[:3], 0), (z, 0), (z, 3), (z, 1), (z[:1], 0), (np.zeros(4), 2), (z[::-1].copy(), 4))


def _error_rate(c):
    logits, target = c[0].tolist(), c[1]
    return 1 - 1 / logits.count(logits[target]) if logits[target] == max(logits) else 1.0


row(
    r"A7 below-cross-entropy: 1 - p_t \le -\log p_t: "
    r"\text{ bounded where cross-entropy is not, equal to first order at } p_t = 1",
    dict(reference="60-digit logarithm", sense="<=", instances=_targets),
    ours=_missed,
    independent=lambda c: references.cross_entropy(one_hot(c[0].size, c[1]), c[0]),
    wrong=lambda c: np.abs(c[0] - one_hot(c[0].size, c[1])).sum(),
    mistake="takes the L1 distance, which is twice as long",
)
row(
    r"A7 limit-is-the-error-rate: p = \mathrm{softmax}(\beta z),\ \beta \to \infty:\ 1 - p_t \to 0"
    r" \text{ (alone on top)},\ 1 - \tfrac1m \text{ (}m\text{ tied)},\ 1 \text{ (beaten)}",
    dict(reference="count of the largest", instances=_contests),
    ours=lambda c: _missed((references.softmax(400 * c[0]), c[1])),
    independent=_error_rate,
    wrong=lambda c: float(np.argmax(c[0]) != c[1]),
    mistake="lets the first of tied tokens win",
)


def _mean_gradient(p, c):
    """Mean over labels drawn from tau of the one-hot gradients."""
    return sum(t * transport.one_hot_logit_gradient(p, c.cost, k) for k, t in enumerate(c.tau) if t > 0)


def _bound_gradient(c):
    return references.logit_gradient(lambda p: p @ c[1].cost @ c[1].tau, c[0])


def _distance_gradient(c):
    p = references.softmax(c[0])
    u = transport.emd(p, c[1].tau, c[1].cost).u
    return p * (u - p @ u)


def _half_and_half():
    """(embedding, tau): two tokens that come half the time each, and one between them that never comes."""
    fan = np.radians([-60, 0, 60])
    tau = np.array([0.5, 0.0, 0.5])
    yield worked.EMBEDDING, tau
    yield np.stack([np.cos(fan), np.sin(fan)], axis=1), tau


def _lead(tau, cost):
    """By how much the medoid beats every token of the label."""
    answers = transport.product_bound(np.eye(tau.size), tau, cost)
    return answers[tau > 0].min() - answers[transport.medoid(tau, cost)]


def _lead_by_hand(c):
    embedding, tau = c
    answers = [references.bilinear(row, references.cosine(embedding), tau) for row in np.eye(tau.size)]
    return min(a for a, t in zip(answers, tau, strict=True) if t > 0) - min(answers)


row(
    r"D2 unbiased-for-the-bound: \mathbb E_{t\sim\tau} \nabla_z \sum_i p_i c_{it} = \nabla_z\, p^\top C\tau, "
    r"\text{ not } \nabla_z\, C[p,\tau]",
    dict(reference="complex step", instances=lambda: instances.logit_cases(lambda: instances.cost_cases(per_pair=1))),
    ours=lambda c: _mean_gradient(references.softmax(c[0]), c[1]),
    independent=_bound_gradient,
    wrong=_distance_gradient,
    mistake="takes the slope of the distance itself for what one-hot labels give on average",
)
row(
    r"D2 pushes-at-the-truth: p = \tau \Rightarrow \mathbb E_{t\sim\tau} \nabla_z \sum_i p_i c_{it} \ne 0"
    r" \text{ if } C\tau \text{ varies under } \tau",
    dict(reference="complex step", threshold=0.005),
    instances=lambda: [c for c in instances.token_cases(large=False) if c.name.startswith(RANDOM)],
    ours=lambda c: np.abs(_mean_gradient(c.tau, c)).max(),
    independent=lambda c: np.abs(_bound_gradient((np.log(c.tau), c))).max(),
    wrong=lambda c: np.abs(divergences.logit_gradient("KL", c.tau, c.tau)).max(),
    mistake="makes the same claim of cross-entropy, which rests there",
)
row(
    r"D2 go-between: \exists\, \tau, i:\ \tau_i = 0,\ \sum_j c_{ij}\tau_j < \sum_j c_{kj}\tau_j"
    r" \text{ for all } k \text{ with } \tau_k > 0",
    dict(reference="60 digits, all answers", threshold=0.1, instances=_half_and_half),
    ours=lambda c: _lead(c[1], costs.cosine(c[0])),
    independent=_lead_by_hand,
    wrong=lambda c: _lead(c[1], costs.chord(c[0])),
    mistake="makes the same claim of the chord: by the triangle inequality no stop between two tokens beats both",
)
lp_row(
    r"A5 one-coupling: \tau = \mathrm{onehot}_t \Rightarrow C[p,\tau] = \sum_i p_i c_{it}",
    ours=lambda c: [transport.one_hot_emd(c.p, c.cost, c.target), transport.emd(*c.to_target).value],
    independent=lambda c: np.full(2, references.solved(*c.to_target)[0]),
    wrong=lambda c: np.full(2, transport.one_hot_emd(c.p, c.cost.T, c.target)),
    mistake="reads the target's row of the cost, not its column",
)
row(
    r"A6 product-bound: C[p,\tau] \le \sum_{ij} p_i \tau_j c_{ij}",
    dict(reference="LP by HiGHS", tolerance=1e-10, sense=">=", instances=instances.cost_cases),
    ours=lambda c: transport.product_bound(*c.problem),
    independent=lambda c: references.solved(*c.problem)[0],
    wrong=lambda c: np.maximum(c.p - c.tau, 0) @ c.cost @ np.maximum(c.tau - c.p, 0),
    mistake="lets min(p, tau) stay and forgets to divide the rest's product by its mass",
)
row(
    r"A6 product-sum: p^\top C \tau = \sum_{ij} p_i \tau_j c_{ij} = \mathbb E_{t \sim \tau} \sum_i p_i c_{it}",
    dict(reference="sum in exact fractions", instances=instances.cost_cases),
    ours=lambda c: [
        transport.product_bound(*c.problem),
        sum(c.tau * [transport.one_hot_emd(c.p, c.cost, t) for t in range(c.p.size)]),
    ],
    independent=lambda c: np.full(2, references.bilinear(c.p, c.cost, c.tau)),
    wrong=lambda c: np.full(2, transport.product_bound(c.tau, c.p, c.cost)),
    mistake="swaps p and tau",
)


def _zero_one(n):
    return np.array([[float(i != j) for j in range(n)] for i in range(n)])


lp_row(
    r"A7 smooth-accuracy: c_{ij} = 1 - \delta_{ij},\ \tau = \mathrm{onehot}_t \Rightarrow C = 1 - p_t",
    instances=lambda: instances.cost_cases(per_pair=1),
    ours=lambda c: [transport.one_hot_emd(c.p, costs.zero_one(c.p.size), c.target), 1 - c.p[c.target]],
    independent=lambda c: np.full(2, references.solved(c.p, c.label, _zero_one(c.p.size))[0]),
    wrong=lambda c: np.full(2, np.abs(c.p - c.label).sum()),
    mistake="takes the L1 distance, which is twice as long",
)
lp_row(
    r"A7 soft-label-gives-tv: c_{ij} = 1 - \delta_{ij} \Rightarrow C[p,\tau] = \mathrm{TV}(p,\tau)",
    instances=lambda: instances.cost_cases(per_pair=1),
    ours=lambda c: divergences.total_variation(c.p, c.tau),
    independent=lambda c: references.solved(c.p, c.tau, _zero_one(c.p.size))[0],
    wrong=lambda c: 1 - c.p @ c.tau,
    mistake="takes the product bound 1 - <p, tau> for the distance",
)


def _mixtures():
    """(first, second, weight, tau, cost)."""
    rng = np.random.default_rng(instances.SEED)
    for c in instances.cost_cases():
        yield c.p, instances.spread(rng, c.p.size), rng.uniform(), c.tau, c.cost


def _answers(c):
    """What each token costs as the only answer, in exact fractions."""
    return [references.bilinear(answer, c.cost, c.tau) for answer in np.eye(c.p.size)]


def _improper():
    """Labels that are spread out, among them one of 50 tokens in 16 dimensions."""
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(50, 16))
    tau, p = rng.dirichlet(np.ones(50)), rng.dirichlet(np.ones(50))
    yield instances.Case("50 tokens", p, tau, costs.cosine(embedding), embedding, 0)
    yield from (c for c in instances.token_cases() if c.name == "fan")


def _rivals(c):
    """The label itself, then models that might score better: the vertices and mixtures of the label with them."""
    corners = np.eye(c.tau.size)
    return np.concatenate([c.tau[None], corners, 0.9 * c.tau + 0.1 * corners])


def _advantage(scores):
    return scores[0] - scores[1:].min()


row(
    r"D2 linear-in-p: (\lambda p + (1-\lambda) q)^\top C \tau = \lambda\, p^\top C \tau + (1-\lambda)\, q^\top C \tau",
    dict(reference="sum in exact fractions", instances=_mixtures),
    ours=lambda c: transport.product_bound(c[2] * c[0] + (1 - c[2]) * c[1], c[3], c[4]),
    independent=lambda c: np.array([c[2], 1 - c[2]]) @ [references.bilinear(p, c[4], c[3]) for p in c[:2]],
    wrong=lambda c: transport.emd(c[2] * c[0] + (1 - c[2]) * c[1], c[3], c[4]).value,
    mistake="makes the claim of the exact distance, which is convex and not linear",
)
lp_row(
    r"D2 minimum-at-the-medoid: \min_p p^\top C \tau = \min_i \sum_j c_{ij} \tau_j, \text{ at a vertex}",
    dict(reference="LP over the simplex", instances=instances.cost_cases),
    ours=lambda c: transport.product_bound(one_hot(c.p.size, transport.medoid(c.tau, c.cost)), c.tau, c.cost),
    independent=lambda c: references.minimise(_answers(c), A_eq=np.ones((1, c.p.size)), b_eq=[1.0]).fun,
    wrong=lambda c: (c.cost @ c.tau)[c.tau > 0].min(),
    mistake="searches the label's support only, not the whole vocabulary",
)
row(
    r"D2 mode-under-0/1-cost: c_{ij} = 1 - \delta_{ij} \Rightarrow \arg\min_i \sum_j c_{ij}\tau_j = \arg\max_i \tau_i",
    dict(reference="largest entry in Python", instances=instances.token_cases),
    ours=lambda c: c.tau[transport.medoid(c.tau, costs.zero_one(c.tau.size))],
    independent=lambda c: max(c.tau.tolist()),
    wrong=lambda c: c.tau[transport.medoid(c.tau, costs.ordinal(c.tau.size))],
    mistake="takes the median (the medoid under |i - j|) for the mode",
)
row(
    r"D2 not-proper: \exists\, \tau, q:\ q^\top C \tau < \tau^\top C \tau: "
    r"\text{ EMO alone is not a proper scoring rule}",
    dict(reference="sums in exact fractions", threshold=0.05, instances=_improper),
    ours=lambda c: _advantage(transport.product_bound(_rivals(c), c.tau, c.cost)),
    independent=lambda c: references.bilinear(c.tau, c.cost, c.tau) - min(_answers(c)),
    wrong=lambda c: _advantage(divergences.cross_entropy(c.tau, _rivals(c))),
    mistake="makes the same claim of cross-entropy, which is proper",
)
