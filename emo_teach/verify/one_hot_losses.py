"""Rows of lesson 02, continued: D10, what the one-hot losses look like, how they pull, and what they prefer."""

import numpy as np

from .. import divergences
from . import exact, instances, references
from .core import Row, register
from .instances import one_hot

# name: (loss F(p_t), factor p_t F'(p_t) of the pull), worked out by hand
CLOSED = {
    "KL": (lambda x: -np.log(x), lambda x: -1.0),
    "total variation": (lambda x: 1 - x, lambda x: -x),
    "Jensen-Shannon": (
        lambda x: np.log(2) + (x * np.log(x) - (1 + x) * np.log(1 + x)) / 2,
        lambda x: x * np.log(x / (1 + x)) / 2,
    ),
    "squared Hellinger": (lambda x: 1 - np.sqrt(x), lambda x: -np.sqrt(x) / 2),
    "Pearson chi2": (lambda x: 1 / x - 1, lambda x: -1 / x),
}


def _our_loss(c):
    name, logits = c
    p = references.softmax(logits)
    return np.concatenate(
        [[divergences.one_hot_loss(name, p[0])], divergences.logit_gradient(name, one_hot(p.size, 0), p)]
    )


def _by_hand(c, divide=False):
    name, logits = c
    p, (loss, factor) = references.softmax(logits), CLOSED[name]
    return np.concatenate([[loss(p[0])], factor(p[0]) / (p[0] if divide else 1) * (one_hot(p.size, 0) - p)])


register(
    Row(
        label="D10",
        name="closed-forms",
        statement=r"F: -\log p_t,\ 1-p_t,\ 1-\sqrt{p_t},\ 1/p_t-1,\ \dots;\quad \nabla_z F = p_t F'(p_t)\,(\mathrm{onehot}_t - p)",
        kind="identity",
        code=(divergences.one_hot_loss, divergences.logit_gradient),
        reference="loss and slope by hand",
        instances=lambda: [(name, z) for name in CLOSED for z in instances.target_logits()],
        ours=_our_loss,
        independent=_by_hand,
        wrong=lambda c: _by_hand(c, divide=True),
        mistake="forgets that softmax moves p_t in proportion to p_t, so that total variation's pull would not die",
        tolerance=1e-12,
        why="a few operations; relative where the loss is large",
    )
)


def _bounded():
    """(ours, exact, probabilities): the generators that are finite at both ends."""
    p_t = np.array([0.0, 1e-300, 1e-12, 1e-3, 0.2, 0.7, 1 - 1e-9, 1.0])
    for name in ("total variation", "Jensen-Shannon", "squared Hellinger"):
        yield divergences.GENERATORS[name], exact.GENERATORS[name], p_t
    for alpha in (0.1, 0.5, 0.8):
        yield divergences.alpha_generator(alpha), exact.power_generator(alpha), p_t


def _ceiling(c):
    _, at_zero, slope = c[1]
    return np.full(c[2].size, float(at_zero + slope))


register(
    Row(
        label="D10",
        name="largest-loss",
        statement=r"F(p_t) \le \lim_{p_t \to 0} F(p_t) = f(0) + \lim_{u\to\infty} f(u)/u",
        kind="bound",
        code=(divergences.one_hot_loss, divergences.alpha_generator),
        reference="both limits, 60 digits",
        instances=_bounded,
        ours=lambda c: divergences.one_hot_loss(c[0], c[2]),
        independent=_ceiling,
        wrong=lambda c: divergences.one_hot_loss(c[0], c[2]),
        wrong_independent=lambda c: np.full(c[2].size, float(c[1][1])),
        mistake="takes f(0) alone for the ceiling",
        tolerance=1e-12,
        why="one term for the target, one for the rest",
    )
)


POWERS = {
    "KL": 1.0,
    "squared Hellinger": 2.0,
    "Pearson chi2": 0.5,
    "total variation": np.inf,
}  # the claim: p proportional to tau ** power


def _tilted(tau, power):
    """The distribution proportional to tau ** power; at infinity all mass on the mode."""
    p = (tau / tau.max()) ** power
    return p / p.sum()


def _labels():
    """Labels of 2 to 20 tokens that all occur, and lesson 02's."""
    rng = np.random.default_rng(instances.SEED)
    yield np.array([0.6, 0.3, 0.1])
    yield np.array([0.98, 0.01, 0.01])
    for n in (2, 3, 6, 20):
        yield instances.spread(rng, n, 2.0)


def _rivals(tau):
    """(k, n): tau to many powers, small steps from these towards each token, the corners, and random models."""
    rng = np.random.default_rng(instances.SEED + tau.size)
    tilted = np.stack([_tilted(tau, power) for power in (*np.arange(0.1, 4, 0.1), 10, 50, np.inf)])
    near = [
        (1 - step) * _tilted(tau, power) + step * np.eye(tau.size)
        for power in (0.5, 1, 2, np.inf)
        for step in (1e-4, 1e-2)
    ]
    return np.concatenate([tilted, *near, rng.dirichlet(np.ones(tau.size), 200)])


def _mean_loss(name, tau, p):
    return tau @ divergences.one_hot_loss(name, p)


register(
    Row(
        label="D10",
        name="least-mean-one-hot-loss",
        statement=r"\arg\min_p \sum_t \tau_t F(p_t):"
        r"\ p \propto \tau \text{ (KL)},\ \tau^2 \text{ (Hellinger)},\ \sqrt\tau \text{ (Pearson)},\ \text{the mode (TV)}",
        kind="bound",
        code=(divergences.one_hot_loss,),
        reference="losses by hand, many rivals",
        instances=lambda: [(name, tau) for name in POWERS for tau in _labels()],
        ours=lambda c: _mean_loss(*c, _tilted(c[1], POWERS[c[0]])),
        independent=lambda c: (CLOSED[c[0]][0](_rivals(c[1])) @ c[1]).min(),
        wrong=lambda c: _mean_loss(*c, c[1]),
        mistake="takes the label itself for the minimiser, as if all were proper",
        tolerance=1e-12,
        why="float64 sums of at most 20 terms; the rivals contain the claimed minimiser, so the gap is 0",
    )
)


def _improper():
    """(name, tau, rival that does better than tau)."""
    for name, power in (
        ("total variation", np.inf),
        ("squared Hellinger", 2.0),
        ("Pearson chi2", 0.5),
        ("Jensen-Shannon", 1.5),
    ):
        tau = np.array([0.6, 0.3, 0.1])
        yield name, tau, _tilted(tau, power)


def _exact_mean_loss(name, tau, p):
    return sum(t * exact.f_divergence(name, one_hot(p.size, k), p) for k, t in enumerate(tau) if t > 0)


def _better(mean_loss, name, tau, rival):
    return mean_loss(name, tau, tau) - mean_loss(name, tau, rival)


register(
    Row(
        label="D10",
        name="only-kl-is-proper",
        statement=r"\exists\, \tau, q:\ \sum_t \tau_t F(q_t) < \sum_t \tau_t F(\tau_t) \text{ for TV, Hellinger, Pearson and JS}",
        kind="witness",
        code=(divergences.one_hot_loss,),
        reference="60-digit sums",
        instances=_improper,
        ours=lambda c: _better(_mean_loss, *c),
        independent=lambda c: _better(_exact_mean_loss, *c),
        wrong=lambda c: _better(
            _mean_loss, "KL", c[1], 0.999 * c[2] + 0.001 / 3
        ),  # off the corner, where KL is infinite
        mistake="makes the same claim of KL, which is proper",
        tolerance=1e-12,
        why="float64 sums of three terms",
        threshold=0.005,
    )
)
