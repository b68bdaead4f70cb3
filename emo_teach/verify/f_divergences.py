"""Rows of lesson 02: D10."""

import numpy as np

from .. import divergences
from . import exact, instances, references
from .core import Row, register
from .instances import one_hot

ALPHAS = (-2.0, -1e-9, 1e-9, 0.3, 0.5, 1 - 1e-9, 1 + 1e-9, 2.0, 3.0)
FINITE_AT_ZERO = ("KL", "total variation", "Jensen-Shannon", "squared Hellinger", "Pearson chi2")
STATEMENT = r"D_f(\mathrm{onehot}_t\|p) = p_t\, f(1/p_t) + (1 - p_t) f(0)"


def _generators():
    """(ours, exact) for every named generator and powers alpha."""
    for name in divergences.GENERATORS:
        yield divergences.GENERATORS[name], name
    for alpha in ALPHAS:
        yield divergences.alpha_generator(alpha), exact.power_generator(alpha)


def _one_hot_instances():
    """(generators, p, target) with p_t from 0 to 1; what the other tokens share must not matter."""
    rng = np.random.default_rng(instances.SEED)
    for generator in _generators():
        for p_t in (0.0, 1e-300, 1e-12, 1e-6, 0.1, 0.5, 0.9, 1 - 1e-9, 1.0):
            rest = instances.spread(rng, 5) * (1 - p_t)
            yield generator, np.concatenate([[p_t], rest]), 0
        yield generator, np.ones(1), 0


def _soft_instances():
    """(generators, tau, p): every generator on pairs of up to 13 entries, zeros on either side included."""
    for generator in _generators():
        for _, p, tau in instances.pairs(large=False):
            if p.size <= 13:
                yield generator, tau, p


def _without_recession(c):
    (generator, _), tau, p = c
    seen = p > 0
    return generator.perspective(tau[seen], p[seen]).sum()


register(
    Row(
        label="D10",
        name="f-divergence",
        statement=r"D_f(\tau\|p) = \sum_i p_i f(\tau_i/p_i),\quad \tau_i \lim_{u\to\infty} f(u)/u \text{ where } p_i = 0",
        kind="identity",
        code=(divergences.f_divergence, divergences.alpha_generator, divergences.kl, divergences.total_variation),
        reference="60-digit sum",
        instances=_soft_instances,
        ours=lambda c: divergences.f_divergence(c[0][0], c[1], c[2]),
        independent=lambda c: exact.f_divergence(c[0][1], c[1], c[2]),
        wrong=_without_recession,
        mistake="forgets the recession slope: skips the tokens to which the model gives nothing",
        tolerance=1e-9,
        why="powers of ratios up to 1e12 multiply the rounding of the masses; near alpha 0 and 1 a factor 1e9 cancels",
    )
)
register(
    Row(
        label="D10",
        name="never-negative",
        statement=r"D_f(\tau\|p) \ge f(1) = 0, \text{ by Jensen's inequality}",
        kind="bound",
        code=(divergences.f_divergence, divergences.alpha_generator),
        reference="Jensen's inequality",
        instances=_soft_instances,
        ours=lambda c: divergences.f_divergence(c[0][0], c[1], c[2]),
        independent=lambda c: 0.0,
        sense=">=",
        wrong=_without_recession,
        mistake="skips the tokens to which the model gives nothing, so that what is left of the label sums to less than 1",
        tolerance=1e-12,
        why="terms of both signs cancel to 1e-16 where p = tau",
    )
)
register(
    Row(
        label="D10",
        name="one-hot-sees-p_t-alone",
        statement=STATEMENT,
        kind="identity",
        code=(divergences.one_hot_loss, divergences.f_divergence),
        reference="60-digit full sum",
        instances=_one_hot_instances,
        ours=lambda c: np.array(
            [
                divergences.one_hot_loss(c[0][0], c[1][c[2]]),
                divergences.f_divergence(c[0][0], one_hot(c[1].size, c[2]), c[1]),
            ]
        ),
        independent=lambda c: np.full(2, exact.f_divergence(c[0][1], one_hot(c[1].size, c[2]), c[1])),
        wrong=lambda c: np.full(2, c[0][0].perspective(np.float64(1), np.float64(c[1][c[2]]))),
        mistake="forgets f(0), what the wrong tokens cost",
        tolerance=1e-9,
        why="rounding of 1 - p_t against the sum of the other masses, relative where the loss is large",
    )
)

_COMPLEX = {  # f(u), analytic on either side of u = 1
    "KL": lambda u: u * np.log(u),
    "reverse KL": lambda u: -np.log(u),
    "total variation": lambda u: 0.5 * np.where(u.real > 1, u - 1, 1 - u),
    "Jensen-Shannon": lambda u: 0.5 * (u * np.log(u) - (u + 1) * np.log((u + 1) / 2)),
    "squared Hellinger": lambda u: 0.5 * (np.sqrt(u) - 1) ** 2,
    "Pearson chi2": lambda u: (u - 1) ** 2,
    "Neyman chi2": lambda u: (u - 1) ** 2 / u,
}


def _complex_f(name):
    if isinstance(name, str):
        return _COMPLEX[name]
    return lambda u: (u**name - 1 - name * (u - 1)) / (name * (name - 1))


def _f_zero(name):
    return float(exact.GENERATORS[name][1]) if isinstance(name, str) else 1 / name


def _named(name):
    return name if isinstance(name, str) else divergences.alpha_generator(name)


def _one_hot_gradient(c):
    """Complex step of the one-hot loss through softmax: the target's component, then all of them."""
    name, logits, target = c
    f, f_zero = _complex_f(name), _f_zero(name)

    def loss(z):
        p_t = references.softmax(z)[target]
        return p_t * f(1 / p_t) + (1 - p_t) * f_zero

    full = references.complex_step(loss, logits)
    return np.concatenate([[full[target]], full])


def _pulls():
    rng = np.random.default_rng(instances.SEED)
    for name in (*FINITE_AT_ZERO, 0.3, 0.5, 2.0, 3.0):
        for steep in (0.0, 1.0, -1.0, 5.0, -14.0):
            yield name, np.concatenate([[steep], rng.normal(size=4)]), 0


def _our_pull(c):
    name, logits, target = c
    p = references.softmax(logits)
    full = divergences.logit_gradient(_named(name), one_hot(p.size, target), p)
    return np.concatenate([[divergences.one_hot_logit_gradient(_named(name), p[target])], full])


register(
    Row(
        label="D10",
        name="one-hot-gradient",
        statement=r"\partial D/\partial z_t = p_t (1 - p_t) \left[f(1/p_t) - f'(1/p_t)/p_t - f(0)\right]",
        kind="identity",
        code=(divergences.one_hot_logit_gradient, divergences.logit_gradient),
        reference="complex step",
        instances=_pulls,
        ours=_our_pull,
        independent=_one_hot_gradient,
        wrong=lambda c: _our_pull(c) / (1 - references.softmax(c[1])[c[2]]),
        mistake="forgets the factor 1 - p_t of the softmax",
        tolerance=1e-9,
        why="pulls reach p_t ** -2 (alpha 3), relative there; differences of near-equal slopes near p_t = 1",
    )
)


def _soft_pulls():
    rng = np.random.default_rng(instances.SEED)
    for name in (*_COMPLEX, -1.0, 0.3, 0.5, 2.0):
        for n in (1, 2, 6, 20):
            yield name, rng.normal(size=n) * 2, instances.spread(rng, n, 2.0)


def _soft_gradient(c):
    name, logits, tau = c
    f = _complex_f(name)

    def loss(z):
        p = references.softmax(z)
        return (p * f(tau / p)).sum()

    return references.complex_step(loss, logits)


register(
    Row(
        label="D10",
        name="logit-gradient",
        statement=r"\partial D_f/\partial z_j = p_j (s_j - \sum_i p_i s_i),\quad s = f(u) - u f'(u),\ u = \tau/p",
        kind="identity",
        code=(divergences.logit_gradient,),
        reference="complex step",
        instances=_soft_pulls,
        ours=lambda c: divergences.logit_gradient(_named(c[0]), c[2], references.softmax(c[1])),
        independent=_soft_gradient,
        wrong=lambda c: divergences.logit_gradient(_named(c[0]), references.softmax(c[1]), c[2]),
        mistake="swaps label and model: D_f(p, tau) in place of D_f(tau, p)",
        tolerance=1e-9,
        why="rounding times ratios tau / p of up to 1e4, squared",
    )
)
