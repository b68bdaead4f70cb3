"""Rows of lesson 04, continued: A5 to A7 and D2, when the bound is exact, and what a loss wants that is linear in p."""

import math

import numpy as np

from .. import costs, divergences, transport, worked
from . import exact, instances, references
from .core import Row, register
from .instances import one_hot

ROUNDING = "sums of at most 30 products"
SEEN = 1e-15  # masses below the rounding of a sum of 1 leave a solver free to price them as it likes


def _prices_to_target(c):
    solved = transport.emd(c.p, c.label, c.cost)
    return np.append(solved.u[c.p > SEEN], solved.v[c.target])


register(
    Row(
        label="A5",
        name="one-hot-potentials",
        statement=r"\tau = \mathrm{onehot}_t \Rightarrow u_i = c_{it},\ v_t = 0 \text{ wherever } p_i > 0",
        kind="identity",
        code=(transport.emd,),
        reference="column of the cost",
        instances=lambda: instances.cost_cases(per_pair=1),
        ours=_prices_to_target,
        independent=lambda c: np.append(c.cost[c.p > SEEN, c.target], 0.0),
        wrong=lambda c: np.append(c.cost[c.target, c.p > SEEN], 0.0),
        mistake="reads the target's row of the cost, not its column",
        tolerance=1e-12,
        why="the only plan uses one column, so each price is one entry of the cost up to the solver's rounding",
    )
)


def _separable():
    """(p, tau, first, second): prices whose sums are the cost."""
    rng = np.random.default_rng(instances.SEED)
    for _, p, tau in instances.pairs(large=False):
        yield p, tau, rng.normal(size=p.size), rng.normal(size=p.size)


def _two_values(p, tau, cost):
    return np.array([transport.product_bound(p, tau, cost), transport.emd(p, tau, cost).value])


register(
    Row(
        label="A6",
        name="exact-for-separable-costs",
        statement=r"c_{ij} = a_i + b_j \Rightarrow p^\top C\tau = C[p,\tau] = \langle p, a\rangle + \langle \tau, b\rangle",
        kind="identity",
        code=(transport.product_bound, transport.emd),
        reference="sum of the prices",
        instances=_separable,
        ours=lambda c: _two_values(c[0], c[1], np.add.outer(c[2], c[3])),
        independent=lambda c: np.full(2, math.fsum([*(c[0] * c[2]), *(c[1] * c[3])])),
        wrong=lambda c: _two_values(c[0], c[1], np.maximum.outer(c[2], c[3])),
        mistake="puts the dearer of the two prices for their sum",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _targets():
    """(p, target) with p_t above 0."""
    for _, p, _ in instances.pairs():
        for target in range(min(p.size, 12)):
            if p[target] > 0:
                yield p, target
    for p_t in (1e-300, 1e-12, 1 - 1e-9, 1 - 2**-53):
        yield np.array([p_t, 1 - p_t]), 0


def _missed(c):
    return transport.one_hot_emd(c[0], costs.zero_one(c[0].size), c[1])


register(
    Row(
        label="A7",
        name="below-cross-entropy",
        statement=r"1 - p_t \le -\log p_t: \text{ bounded where cross-entropy is not, equal to first order at } p_t = 1",
        kind="bound",
        code=(transport.one_hot_emd,),
        reference="60-digit logarithm",
        instances=_targets,
        ours=_missed,
        independent=lambda c: exact.cross_entropy(one_hot(c[0].size, c[1]), c[0]),
        wrong=lambda c: np.abs(c[0] - one_hot(c[0].size, c[1])).sum(),
        mistake="takes the L1 distance, which is twice as long",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _contests():
    """(logits, target): the target alone on top, tied there, and beaten, by at least 0.1."""
    z = np.array([1.0, 0.9, -0.5, 1.0, 0.2])
    yield from ((z[:3], 0), (z, 0), (z, 3), (z, 1), (z[:1], 0), (np.zeros(4), 2), (z[::-1].copy(), 4))


def _error_rate(c):
    logits, target = c[0].tolist(), c[1]
    return 1 - 1 / logits.count(logits[target]) if logits[target] == max(logits) else 1.0


register(
    Row(
        label="A7",
        name="limit-is-the-error-rate",
        statement=r"p = \mathrm{softmax}(\beta z),\ \beta \to \infty:\ 1 - p_t \to 0 \text{ (alone on top)},"
        r"\ 1 - \tfrac1m \text{ (}m\text{ tied)},\ 1 \text{ (beaten)}",
        kind="identity",
        code=(transport.one_hot_emd, costs.zero_one),
        reference="count of the largest",
        instances=_contests,
        ours=lambda c: _missed((references.softmax(400 * c[0]), c[1])),
        independent=_error_rate,
        wrong=lambda c: float(np.argmax(c[0]) != c[1]),
        mistake="lets the first of tied tokens win",
        tolerance=1e-12,
        why="at beta 400 a difference of 0.1 leaves exp(-40), 4e-18",
    )
)


def _mean_gradient(p, c):
    """Mean over labels drawn from tau of the one-hot gradients."""
    return sum(t * transport.one_hot_logit_gradient(p, c.cost, k) for k, t in enumerate(c.tau) if t > 0)


def _bound_gradient(c):
    return references.complex_step(lambda z: references.softmax(z) @ c[1].cost @ c[1].tau, c[0])


def _distance_gradient(c):
    p = references.softmax(c[0])
    u = transport.emd(p, c[1].tau, c[1].cost).u
    return p * (u - p @ u)


register(
    Row(
        label="D2",
        name="unbiased-for-the-bound",
        statement=r"\mathbb E_{t\sim\tau} \nabla_z \sum_i p_i c_{it} = \nabla_z\, p^\top C\tau, \text{ not } \nabla_z\, C[p,\tau]",
        kind="identity",
        code=(transport.one_hot_logit_gradient,),
        reference="complex step",
        instances=lambda: list(instances.logit_cases(lambda: instances.cost_cases(per_pair=1))),
        ours=lambda c: _mean_gradient(references.softmax(c[0]), c[1]),
        independent=_bound_gradient,
        wrong=_distance_gradient,
        mistake="takes the slope of the distance itself for what one-hot labels give on average",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _at_the_truth():
    return [
        c
        for c in instances.token_cases(large=False)
        if c.name.startswith(("random 3", "random 5", "random 8", "random 13"))
    ]


def _push(c):
    """Complex-step gradient of the product bound at the logits of tau."""
    return np.abs(_bound_gradient((np.log(c.tau), c))).max()


register(
    Row(
        label="D2",
        name="pushes-at-the-truth",
        statement=r"p = \tau \Rightarrow \mathbb E_{t\sim\tau} \nabla_z \sum_i p_i c_{it} \ne 0 \text{ if } C\tau \text{ varies under } \tau",
        kind="witness",
        code=(transport.one_hot_logit_gradient,),
        reference="complex step",
        instances=_at_the_truth,
        ours=lambda c: np.abs(_mean_gradient(c.tau, c)).max(),
        independent=_push,
        wrong=lambda c: np.abs(divergences.logit_gradient("KL", c.tau, c.tau)).max(),
        mistake="makes the same claim of cross-entropy, which rests there",
        tolerance=1e-12,
        why=ROUNDING,
        threshold=0.005,
    )
)


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
    answers = [exact.bilinear(row, exact.cosine(embedding), tau) for row in np.eye(tau.size)]
    return min(a for a, t in zip(answers, tau, strict=True) if t > 0) - min(answers)


register(
    Row(
        label="D2",
        name="go-between",
        statement=r"\exists\, \tau, i:\ \tau_i = 0,\ \sum_j c_{ij}\tau_j < \sum_j c_{kj}\tau_j \text{ for all } k \text{ with } \tau_k > 0",
        kind="witness",
        code=(transport.medoid, transport.product_bound, costs.cosine),
        reference="60 digits, all answers",
        instances=_half_and_half,
        ours=lambda c: _lead(c[1], costs.cosine(c[0])),
        independent=_lead_by_hand,
        wrong=lambda c: _lead(c[1], costs.chord(c[0])),
        mistake="makes the same claim of the chord: by the triangle inequality no stop between two tokens beats both",
        tolerance=1e-12,
        why=ROUNDING,
        threshold=0.1,
    )
)
