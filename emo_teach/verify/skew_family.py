"""Rows of lesson 02, continued: D10, the family of archives/9526 between cross-entropy and 1 - p_t, which is a skew divergence."""

import numpy as np

from .. import divergences
from . import exact, instances, references
from .core import Row, register
from .instances import one_hot


def _family():
    """(p, gamma): target probabilities from 0 to 1 with every gamma from 0 to nearly 1."""
    rest = instances.spread(np.random.default_rng(instances.SEED), 4)
    for p_t in (0.0, 1e-300, 1e-12, 0.1, 0.5, 0.9, 1 - 1e-9, 1.0):
        for gamma in (0.0, 1e-7, 0.1, 0.5, 0.9, 1 - 1e-9):
            yield np.concatenate([[p_t], rest * (1 - p_t)]), gamma


def _skew(c):
    return exact.skew_kl(one_hot(c[0].size, 0), *c)


register(
    Row(
        label="D10",
        name="skew-divergence",
        statement=r"\ell_\gamma(p_t) = -\frac{\log(\gamma + (1-\gamma) p_t)}{1-\gamma}"
        r" = \frac{\mathrm{KL}(\tau\|\gamma\tau + (1-\gamma)p)}{1-\gamma},\quad \ell_0 = -\log p_t",
        kind="identity",
        code=(divergences.overconfidence_loss,),
        reference="60-digit KL to the mixture",
        instances=_family,
        ours=lambda c: divergences.overconfidence_loss(c[0][0], c[1]),
        independent=_skew,
        wrong=lambda c: divergences.overconfidence_loss(c[0][0], np.clip(1 - c[1], 0, 1 - 1e-9)),
        mistake="swaps gamma and 1 - gamma",
        tolerance=1e-12,
        why="one logarithm, by log1p where it cancels",
    )
)


def _inner():
    return [c for c in _family() if c[0][0] > 0 and c[1] > 0]  # elsewhere the upper bounds are infinite


def _around(loss):
    return np.array([-loss, loss, loss])


def _ends(c):
    p, gamma = c
    off = 1 - p[0]
    return np.array([-off, exact.cross_entropy(one_hot(p.size, 0), p), off + (1 - gamma) * off**2 / (2 * gamma)])


register(
    Row(
        label="D10",
        name="family-between-its-ends",
        statement=r"1 - p_t \le \ell_\gamma \le -\log p_t,\quad \ell_\gamma \le 1 - p_t + \tfrac{1-\gamma}{2\gamma}(1-p_t)^2:"
        r"\ \gamma \to 1 \text{ gives } 1 - p_t",
        kind="bound",
        code=(divergences.overconfidence_loss,),
        reference="60-digit logarithm, series",
        instances=_inner,
        ours=lambda c: _around(divergences.overconfidence_loss(c[0][0], c[1])),
        independent=_ends,
        wrong=lambda c: _around((1 - c[1]) * divergences.overconfidence_loss(c[0][0], c[1])),
        mistake="forgets to divide by 1 - gamma",
        tolerance=1e-12,
        why="one logarithm against a few products",
    )
)


def _tailr(c, swap=False):
    """Value of the family, and TaiLr's weight (with b = 0) times the gradient of cross-entropy."""
    logits, gamma = c
    p = references.softmax(logits)
    share = 1 - gamma if swap else gamma
    weight = p[0] / (share + (1 - share) * p[0])
    return np.concatenate(
        [
            [divergences.overconfidence_loss(p[0], gamma)],
            weight * divergences.logit_gradient("KL", one_hot(p.size, 0), p),
        ]
    )


def _family_by_complex_step(c):
    logits, gamma = c

    def loss(z):
        return -np.log(gamma + (1 - gamma) * references.softmax(z)[0]) / (1 - gamma)

    return np.concatenate([[loss(logits)], references.complex_step(loss, logits)])


register(
    Row(
        label="D10",
        name="family-has-tailr-gradient",
        statement=r"\nabla_z \ell_\gamma = w\,\nabla_z(-\log p_t),\quad w = \frac{p_t}{\gamma + (1-\gamma) p_t} \text{ (TaiLr, } b = 0)",
        kind="identity",
        code=(divergences.overconfidence_loss, divergences.logit_gradient),
        reference="complex step",
        instances=lambda: [(z, gamma) for z in instances.target_logits() for gamma in (0.0, 1e-7, 0.1, 0.5, 0.9)],
        ours=_tailr,
        independent=_family_by_complex_step,
        wrong=lambda c: _tailr(c, swap=True),
        mistake="swaps gamma and 1 - gamma in the weight",
        tolerance=1e-12,
        why="complex steps round at 1e-16; the plain logarithm loses one digit at gamma 0.9",
    )
)
