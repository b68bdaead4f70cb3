"""Rows of lesson 02: D10, f-divergences, their one-hot losses, and the family between cross-entropy and 1 - p_t."""

import numpy as np

from .. import divergences
from . import instances, references
from .core import row_maker
from .instances import one_hot

row = row_maker("02")


def _generators(alphas=(-2.0, -1e-9, 1e-9, 0.3, 0.5, 1 - 1e-9, 1 + 1e-9, 2.0, 3.0)):
    """Every named generator, and powers alpha."""
    return [*divergences.GENERATORS.values(), *map(divergences.alpha_generator, alphas)]


def _one_hot_instances():
    """(generator, one-hot label, p) with p_0, the target's, from 0 to 1; how the others share must not matter."""
    rng = np.random.default_rng(instances.SEED)
    for generator in _generators():
        for p_t in (0.0, 1e-300, 1e-12, 1e-6, 0.1, 0.5, 0.9, 1 - 1e-9, 1.0):
            rest = instances.spread(rng, 5) * (1 - p_t)
            yield generator, one_hot(6, 0), np.concatenate([[p_t], rest])
        yield generator, np.ones(1), np.ones(1)


def _soft_instances():
    """(generators, tau, p): every generator on pairs of up to 13 entries, zeros on either side included."""
    for generator in _generators():
        yield from ((generator, tau, p) for _, p, tau in instances.pairs(large=False) if p.size <= 13)


def _without_recession(c):
    return c[0].perspective(c[1][c[2] > 0], c[2][c[2] > 0]).sum()


def _one_hot_gradient(c):
    """Complex step of the one-hot loss: the target's component, then all of them."""
    g, logits = c
    full = references.logit_gradient(lambda p: p[0] * g.plain(1 / p[0], np) + (1 - p[0]) * g.at_zero, logits)
    return np.append(full[0], full)


def _pulls():
    rng = np.random.default_rng(instances.SEED)
    for generator in _generators((0.3, 0.5, 2.0, 3.0)):
        if np.isfinite(generator.at_zero):  # elsewhere the loss is infinite
            for steep in (0.0, 1.0, -1.0, 5.0, -14.0):
                yield generator, np.append(steep, rng.normal(size=4))


def _with_gradient(of_target, generator, logits):
    """A function of the target's probability, and then the gradient (V,) on the logits; the target is the first."""
    p = references.softmax(logits)
    return np.append(of_target(generator, p[0]), divergences.logit_gradient(generator, one_hot(p.size, 0), p))


def _our_pull(c):
    return _with_gradient(divergences.one_hot_logit_gradient, *c)


def _soft_pulls():
    rng = np.random.default_rng(instances.SEED)
    for generator in _generators((-1.0, 0.3, 0.5, 2.0)):
        for n in (1, 2, 6, 20):
            yield generator, rng.normal(size=n) * 2, instances.spread(rng, n, 2.0)


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


def _by_hand(c, divide=False):
    name, logits = c
    p, (loss, factor) = references.softmax(logits), CLOSED[name]
    return np.append(loss(p[0]), factor(p[0]) / (p[0] if divide else 1) * (one_hot(p.size, 0) - p))


def _bounded():
    """(generator, probabilities): generators that are finite at both ends."""
    p_t = np.array([0.0, 1e-300, 1e-12, 1e-3, 0.2, 0.7, 1 - 1e-9, 1.0])
    for generator in _generators((0.1, 0.5, 0.8)):
        if np.isfinite(generator.at_zero + generator.slope_at_infinity):
            yield generator, p_t


# the claim: p proportional to tau ** power
POWERS = {"KL": 1.0, "squared Hellinger": 2.0, "Pearson chi2": 0.5, "total variation": np.inf}


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
    ends = [_tilted(tau, power) for power in (0.5, 1, 2, np.inf)]
    near = [(1 - step) * end + step * np.eye(tau.size) for end in ends for step in (1e-4, 1e-2)]
    return np.concatenate([tilted, *near, rng.dirichlet(np.ones(tau.size), 200)])


def _mean_loss(name, tau, p):
    return tau @ divergences.one_hot_loss(name, p)


def _improper():
    """(name, tau, rival that does better than tau)."""
    tau = np.array([0.6, 0.3, 0.1])
    for name in ("total variation", "squared Hellinger", "Pearson chi2", "Jensen-Shannon"):
        yield name, tau, _tilted(tau, POWERS.get(name, 1.5))


def _exact_mean_loss(name, tau, p):
    return tau @ [references.f_divergence(divergences.GENERATORS[name], label, p) for label in np.eye(tau.size)]


def _better(mean_loss, name, tau, rival):
    return mean_loss(name, tau, tau) - mean_loss(name, tau, rival)


def _family():
    """(p, gamma): target probabilities from 0 to 1 with every gamma from 0 to nearly 1."""
    rest = instances.spread(np.random.default_rng(instances.SEED), 4)
    for p_t in (0.0, 1e-300, 1e-12, 0.1, 0.5, 0.9, 1 - 1e-9, 1.0):
        for gamma in (0.0, 1e-7, 0.1, 0.5, 0.9, 1 - 1e-9):
            yield np.concatenate([[p_t], rest * (1 - p_t)]), gamma


def _ends(c):
    """Bounds for -loss, loss and loss."""
    p, gamma = c
    off = 1 - p[0]
    return -off, references.cross_entropy(one_hot(p.size, 0), p), off + (1 - gamma) * off**2 / (2 * gamma)


def _tailr(c, swap=False):
    """Value of the family, and TaiLr's weight (with b = 0) times the gradient of cross-entropy."""
    logits, gamma = c
    p = references.softmax(logits)
    share = 1 - gamma if swap else gamma
    gradient = p[0] / (share + (1 - share) * p[0]) * divergences.logit_gradient("KL", one_hot(p.size, 0), p)
    return np.append(divergences.overconfidence_loss(p[0], gamma), gradient)


def _family_by_complex_step(c):
    logits, gamma = c

    def loss(p):
        return -np.log(gamma + (1 - gamma) * p[0]) / (1 - gamma)

    return np.append(loss(references.softmax(logits)), references.logit_gradient(loss, logits))


row(
    r"D10 f-divergence: D_f(\tau\|p) = \sum_i p_i f(\tau_i/p_i),"
    r"\quad \tau_i \lim_{u\to\infty} f(u)/u \text{ where } p_i = 0",
    dict(reference="60-digit sum", tolerance=1e-9, instances=_soft_instances),  # a factor 1e9 cancels near alpha 0, 1
    ours=lambda c: divergences.f_divergence(*c),
    independent=lambda c: references.f_divergence(*c),
    wrong=_without_recession,
    mistake="forgets the recession slope: skips the tokens to which the model gives nothing",
)
row(
    r"D10 never-negative: D_f(\tau\|p) \ge f(1) = 0, \text{ by Jensen's inequality}",
    dict(reference="Jensen's inequality", sense=">=", instances=_soft_instances),
    ours=lambda c: divergences.f_divergence(*c),
    independent=lambda c: 0.0,
    wrong=_without_recession,
    mistake="skips the tokens to which the model gives nothing, so that what is left of the label sums to less than 1",
)
row(
    r"D10 one-hot-sees-p_t-alone: D_f(\mathrm{onehot}_t\|p) = p_t\, f(1/p_t) + (1 - p_t) f(0)",
    dict(reference="60-digit full sum", tolerance=1e-9, instances=_one_hot_instances),  # rounding of 1 - p_t
    ours=lambda c: [divergences.one_hot_loss(c[0], c[2][0]), divergences.f_divergence(*c)],
    independent=lambda c: np.full(2, references.f_divergence(*c)),
    wrong=lambda c: np.full(2, c[0].perspective(np.float64(1), c[2][0])),
    mistake="forgets f(0), what the wrong tokens cost",
)
row(
    r"D10 one-hot-gradient: \partial D/\partial z_t = p_t (1 - p_t) \left[f(1/p_t) - f'(1/p_t)/p_t - f(0)\right]",
    dict(reference="complex step", tolerance=1e-9, instances=_pulls),  # pulls reach p_t ** -2 (alpha 3)
    ours=_our_pull,
    independent=_one_hot_gradient,
    wrong=lambda c: _our_pull(c) / (1 - references.softmax(c[1])[0]),
    mistake="forgets the factor 1 - p_t of the softmax",
)
row(
    r"D10 logit-gradient: \partial D_f/\partial z_j = p_j (s_j - \sum_i p_i s_i),\quad s = f(u) - u f'(u),\ u = \tau/p",
    dict(reference="complex step", tolerance=1e-9),  # rounding times ratios tau / p of up to 1e4, squared
    instances=_soft_pulls,
    ours=lambda c: divergences.logit_gradient(c[0], c[2], references.softmax(c[1])),
    independent=lambda c: references.logit_gradient(lambda p: (p * c[0].plain(c[2] / p, np)).sum(), c[1]),
    wrong=lambda c: divergences.logit_gradient(c[0], references.softmax(c[1]), c[2]),
    mistake="swaps label and model: D_f(p, tau) in place of D_f(tau, p)",
)
row(
    r"D10 closed-forms: F: -\log p_t,\ 1-p_t,\ 1-\sqrt{p_t},\ 1/p_t-1,\ \dots;"
    r"\quad \nabla_z F = p_t F'(p_t)\,(\mathrm{onehot}_t - p)",
    reference="loss and slope by hand",
    instances=lambda: [(name, z) for name in CLOSED for z in instances.target_logits()],
    ours=lambda c: _with_gradient(divergences.one_hot_loss, *c),
    independent=_by_hand,
    wrong=lambda c: _by_hand(c, divide=True),
    mistake="forgets that softmax moves p_t in proportion to p_t, so that total variation's pull would not die",
)
row(
    r"D10 largest-loss: F(p_t) \le \lim_{p_t \to 0} F(p_t) = f(0) + \lim_{u\to\infty} f(u)/u",
    dict(reference="both limits by hand", sense="<=", instances=_bounded),
    ours=lambda c: divergences.one_hot_loss(*c),
    independent=lambda c: np.full(c[1].size, c[0].at_zero + c[0].slope_at_infinity),
    wrong=lambda c: divergences.one_hot_loss(*c),
    wrong_independent=lambda c: np.full(c[1].size, c[0].at_zero),
    mistake="takes f(0) alone for the ceiling",
)
row(
    r"D10 least-mean-one-hot-loss: \arg\min_p \sum_t \tau_t F(p_t):\ p \propto \tau \text{ (KL)},\ \tau^2"
    r" \text{ (Hellinger)},\ \sqrt\tau \text{ (Pearson)},\ \text{the mode (TV)}",
    dict(reference="losses by hand, many rivals", sense="<="),
    instances=lambda: [(name, tau) for name in POWERS for tau in _labels()],
    ours=lambda c: _mean_loss(*c, _tilted(c[1], POWERS[c[0]])),
    independent=lambda c: (CLOSED[c[0]][0](_rivals(c[1])) @ c[1]).min(),
    wrong=lambda c: _mean_loss(*c, c[1]),
    mistake="takes the label itself for the minimiser, as if all were proper",
)
row(
    r"D10 only-kl-is-proper: \exists\, \tau, q:\ \sum_t \tau_t F(q_t) < \sum_t \tau_t F(\tau_t) \text{ for TV, "
    "Hellinger, Pearson and JS}",
    dict(reference="60-digit sums", threshold=0.005, instances=_improper),
    ours=lambda c: _better(_mean_loss, *c),
    independent=lambda c: _better(_exact_mean_loss, *c),
    wrong=lambda c: _better(_mean_loss, "KL", c[1], 0.999 * c[2] + 0.001 / 3),  # off the corner, where KL is infinite
    mistake="makes the same claim of KL, which is proper",
)
row(
    r"D10 skew-divergence: \ell_\gamma(p_t) = -\frac{\log(\gamma + (1-\gamma) p_t)}{1-\gamma} = "
    r"\frac{\mathrm{KL}(\tau\|\gamma\tau + (1-\gamma)p)}{1-\gamma},\quad \ell_0 = -\log p_t",
    dict(reference="60-digit KL to the mixture", instances=_family),
    ours=lambda c: divergences.overconfidence_loss(c[0][0], c[1]),
    independent=lambda c: references.skew_kl(one_hot(c[0].size, 0), *c),
    wrong=lambda c: divergences.overconfidence_loss(c[0][0], np.clip(1 - c[1], 0, 1 - 1e-9)),
    mistake="swaps gamma and 1 - gamma",
)
row(
    r"D10 family-between-its-ends: 1 - p_t \le \ell_\gamma \le -\log p_t,"
    r"\quad \ell_\gamma \le 1 - p_t + \tfrac{1-\gamma}{2\gamma}(1-p_t)^2:\ \gamma \to 1 \text{ gives } 1 - p_t",
    dict(reference="60-digit logarithm, series", sense="<="),
    instances=lambda: [c for c in _family() if c[0][0] > 0 and c[1] > 0],
    ours=lambda c: divergences.overconfidence_loss(c[0][0], c[1]) * np.array([-1, 1, 1]),
    independent=_ends,
    wrong=lambda c: (1 - c[1]) * divergences.overconfidence_loss(c[0][0], c[1]) * np.array([-1, 1, 1]),
    mistake="forgets to divide by 1 - gamma",
)
row(
    r"D10 family-has-tailr-gradient: \nabla_z \ell_\gamma = w\,\nabla_z(-\log p_t),"
    r"\quad w = \frac{p_t}{\gamma + (1-\gamma) p_t} \text{ (TaiLr, } b = 0)",
    reference="complex step",
    instances=lambda: [(z, gamma) for z in instances.target_logits() for gamma in (0.0, 1e-7, 0.1, 0.5, 0.9)],
    ours=_tailr,
    independent=_family_by_complex_step,
    wrong=lambda c: _tailr(c, swap=True),
    mistake="swaps gamma and 1 - gamma in the weight",
)
