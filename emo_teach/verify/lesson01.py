"""Rows of lesson 01: A1 to A3, cross-entropy and KL."""

import numpy as np

from .. import divergences
from . import instances, references
from .core import row_maker
from .instances import one_hot

row = row_maker("01")


def _targets():
    """(p, target): every entry of the smaller vectors, plus probabilities from 0 over the least subnormal to 1."""
    for _, p, _ in instances.pairs():
        for target in range(min(p.size, 12)):
            yield p, target
    for p_t in (0.0, 5e-324, 1e-308, 1e-300, 1e-12, 1 - 2**-53):
        yield np.array([p_t, 1 - p_t]), 0


def _pairs():
    """(tau, p), both ways round, and a label of masses near the least normal number."""
    for _, p, tau in instances.pairs():
        yield tau, p
        yield p, tau
    yield np.array([1e-300, 1.0]), np.array([1 - 1e-12, 1e-12])
    yield np.array([0.5, 0.5]), np.array([5e-324, 1.0])


row(
    r"A1 log-loss: L = -\log p_t",
    dict(reference="60-digit logarithm", instances=_targets),
    ours=lambda c: divergences.log_loss(*c),
    independent=lambda c: references.cross_entropy(one_hot(c[0].size, c[1]), c[0]),
    wrong=lambda c: -np.log2(c[0][c[1]]),
    mistake="takes the logarithm to base 2 (bits, not nats)",
)
row(
    r"A2 soft-cross-entropy: L = -\sum_i \tau_i \log p_i",
    dict(reference="60-digit sum", instances=_pairs),
    ours=lambda c: divergences.cross_entropy(*c),
    independent=lambda c: references.cross_entropy(*c),
    wrong=lambda c: divergences.cross_entropy(c[1], c[0]),
    mistake="swaps label and model",
)
row(
    r"A2 cross-entropy-of-logits: -\sum_i \tau_i \log p_i = \log \sum_k e^{z_k} - \sum_i \tau_i z_i,"
    r"\quad p = \mathrm{softmax}(z)",
    reference="60-digit exponentials",
    instances=lambda: [c for c in instances.logit_cases(lambda: instances.cost_cases(per_pair=1)) if c[0].size <= 13],
    ours=lambda c: divergences.cross_entropy(c[1].tau, references.softmax(c[0])),
    independent=lambda c: references.logit_cross_entropy(c[1].tau, c[0]),
    wrong=lambda c: c[0].max() - c[1].tau @ c[0],
    mistake="takes the largest logit for the logarithm of the sum",
)


def _kl_parts(c):
    h, ce = references.cross_entropy(c[0], c[0]), references.cross_entropy(*c)
    return h, ce - h, ce


def _gradients(c):
    """Complex-step gradients with respect to the logits of CE and of KL."""
    logits, case = c
    mass = case.tau[case.tau > 0]

    def both(p):
        ce = -(case.tau * np.log(p)).sum()
        return np.array([ce, ce + (mass * np.log(mass)).sum()])

    return references.logit_gradient(both, logits).T


def _rivals(tau, p):
    """The model, small steps from the label to a corner and to the model, and random models."""
    rng = np.random.default_rng(instances.SEED + tau.size)
    near = 0.999 * tau + 0.001 * np.eye(tau.size)[:6]
    return [p, 0.99 * tau + 0.01 * p, *near, *(instances.spread(rng, tau.size) for _ in range(6))]


row(
    r"A3 ce-is-entropy-plus-kl: -\sum_i \tau_i \log p_i = H(\tau) + \mathrm{KL}(\tau\|p)",
    dict(reference="60-digit sums", instances=_pairs),
    ours=lambda c: [divergences.entropy(c[0]), divergences.kl(*c), divergences.entropy(c[0]) + divergences.kl(*c)],
    independent=_kl_parts,
    wrong=lambda c: [divergences.entropy(c[1]), divergences.kl(*c), divergences.entropy(c[1]) + divergences.kl(*c)],
    mistake="takes the model's entropy for the label's",
)
row(
    r"A3 same-gradient: \nabla_z \mathrm{CE} = \nabla_z \mathrm{KL} = p - \tau,\quad p = \mathrm{softmax}(z)",
    dict(reference="complex step", instances=instances.logit_cases),
    ours=lambda c: np.array([divergences.logit_gradient("KL", c[1].tau, references.softmax(c[0]))] * 2),
    independent=_gradients,
    wrong=lambda c: np.array([-c[1].tau / references.softmax(c[0])] * 2),
    mistake="stops at p, before the softmax: -tau / p",
)
row(
    r"A3 proper: \mathbb E_{t\sim\tau}(-\log \tau_t) \le \mathbb E_{t\sim\tau}(-\log q_t) \ \forall q,"
    r"\quad\text{that is } \mathrm{KL}(\tau\|q) \ge 0",
    dict(reference="60-digit sums, many rivals", sense="<="),
    instances=lambda: [(tau, p) for _, p, tau in instances.pairs(large=False) if p.size <= 13],
    ours=lambda c: [sum(t * divergences.log_loss(c[0], k) for k, t in enumerate(c[0]) if t), divergences.entropy(c[0])],
    independent=lambda c: np.full(2, min(references.cross_entropy(c[0], q) for q in _rivals(*c))),
    wrong=lambda c: np.full(2, c[0] @ (1 - c[0])),
    wrong_independent=lambda c: np.full(2, min(c[0] @ (1 - q) for q in _rivals(*c))),
    mistake="makes the same claim of 1 - p_t, which is not proper",
)
