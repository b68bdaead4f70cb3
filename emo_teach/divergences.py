"""Entropy, cross-entropy, and f-divergences as losses for a label `tau` and a model `p`. Units: nats (natural logs).

One convention throughout: `D_f(P||Q) = sum_i q_i f(p_i / q_i)` with f convex and f(1) = 0; where q_i = 0 the term is
its limit (`p_i` times the slope of f at infinity), and `0 f(0/0) = 0`. As a loss P is the label and Q the model:
`D_f(tau||p)`. No value is below 0: what rounding leaves there is returned as 0.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import entr, rel_entr, xlogy

from . import inputs


def _rel_entr(p, q):
    """scipy's `p log(p/q)`; from two logarithms where the quotient overflows: its older releases say infinity there."""
    found = rel_entr(p, q)
    lost = np.isinf(found) & (p > 0) & (q > 0)
    if not np.any(lost):
        return found
    return np.where(lost, p * (np.log(np.where(lost, p, 1.0)) - np.log(np.where(lost, q, 1.0))), found)


def _ratio(a, b):
    """a / b without a warning: infinite where b = 0 < a, and 0 where both are 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(b > 0, a / np.where(b > 0, b, 1.0), np.where(a > 0, np.inf, 0.0))


def entropy(p):
    """Shannon entropy, the least achievable cross-entropy.

    Formula: part of A3, `H(p) = -sum_i p_i log p_i`, with `0 log 0 = 0`. Shape: p (..., n), returns (...). Units: nats.
    Raises ValueError for entries that are negative or NaN and for sums off 1 (`inputs.sum_tolerance`).
    Source: https://spaces.ac.cn/archives/9797, the constant term of its KL identity.
    """
    return inputs.not_negative(entr(inputs.distributions("p", p)).sum(-1))


def log_loss(p, target):
    """Cross-entropy for a one-hot label: minus the log-probability of the target.

    Formula: A1, `-log p_t`. Shape: p (..., n), target an index, returns (...). Units: nats; infinite where `p_t = 0`.
    Raises ValueError for bad probabilities and for a target out of range. Source: https://spaces.ac.cn/archives/9797.

    >>> round(float(log_loss([0.25, 0.75], 0)), 4)
    1.3863
    """
    p = inputs.distributions("p", p)
    target = inputs.target_index("target", target, p.shape[-1])
    with np.errstate(divide="ignore"):
        return inputs.not_negative(-np.log(p[..., target]))


def cross_entropy(tau, p):
    """Cross-entropy of a model p for a label distribution tau, hard or soft.

    Formula: A2, `-sum_i tau_i log p_i`, with `0 log 0 = 0`. Shape: tau and p (..., n), broadcast; returns (...). Units:
    nats; infinite where tau has mass that p has not. Raises ValueError for bad probabilities or lengths that disagree.
    Source: https://spaces.ac.cn/archives/9797.
    """
    tau, p = _pair("tau", tau, "p", p)
    return inputs.not_negative(-xlogy(tau, p).sum(-1))


def kl(tau, p):
    """Kullback-Leibler divergence from label tau to model p.

    Formula: A3, `sum_i tau_i log(tau_i / p_i)`, cross-entropy minus the entropy of tau. Shape: tau and p (..., n);
    returns (...). Units: nats; infinite where tau has mass that p has not. Raises ValueError for bad probabilities or
    lengths that disagree. Source: https://spaces.ac.cn/archives/9797; Kullback & Leibler (1951).
    """
    tau, p = _pair("tau", tau, "p", p)
    return inputs.not_negative(_rel_entr(tau, p).sum(-1))


def total_variation(p, tau):
    """Total variation distance, the share of probability that must move; also the EMD under the 0/1 cost.

    Formula: D8 and A7, `½ sum_i |p_i - tau_i|`. Shape: p and tau (..., n); returns (...). Units: probability, in [0,
    1]. Raises ValueError for bad probabilities or lengths that disagree. Source: Levin & Peres, Markov Chains and
    Mixing Times, section 4.1.
    """
    p, tau = _pair("p", p, "tau", tau)
    return np.minimum(0.5 * np.abs(p - tau).sum(-1), 1.0)


def _pair(first, a, second, b):
    a, b = inputs.distributions(first, a), inputs.distributions(second, b)
    inputs.broadcast(first, a, second, b)
    return a, b


@dataclass(frozen=True)
class Generator:
    """A convex f with f(1) = 0, held as its perspective `q f(p/q)`, which stays exact at zeros.

    `plain(u, m)` is f(u) as on paper, for u > 0 and a module m that has log and sqrt: numpy (also complex numbers) or
    mpmath. `emo_teach.verify` checks everything else against it. `at_zero` = f(0) is what a wrong token costs per unit
    of its probability under a one-hot label, and `slope_at_infinity` = lim f(u)/u what label mass costs per unit where
    the model has none; both may be infinite. `perspective(p, q)` is one term of the divergence, right at p = 0 and q =
    0; `pull(p, q)` is q times its derivative with respect to q (the model's side), `q (f(u) - u f'(u))` at u = p/q:
    what the softmax's chain rule needs, and finite where the derivative alone is not.
    """

    name: str
    plain: Callable
    at_zero: float
    slope_at_infinity: float
    perspective: Callable
    pull: Callable

    def f(self, u):
        """The generator itself at finite u >= 0, elementwise; ValueError elsewhere (see `slope_at_infinity`)."""
        u = inputs.finite("u", u)
        if (u < 0).any():
            raise ValueError(f"u = {inputs.shown(u[u < 0][0])} is negative: f is defined for u >= 0")
        return self.perspective(u, np.ones_like(u))


def _js(p, q):
    """Jensen-Shannon's term; the doubling (in place of halving the sum) keeps the least subnormal from becoming 0."""
    return 0.25 * (_rel_entr(2 * p, p + q) + _rel_entr(2 * q, p + q))


def _square_over(a, b):
    """a^2 / b, by the root of b: neither the square nor the quotient leaves float64 before the result does."""
    with np.errstate(over="ignore"):
        return _ratio(a, np.sqrt(b)) ** 2


# name: (f(u), f(0), slope of f at infinity, perspective q f(p/q), pull); `verify` checks every entry, a new one too.
_TABLE = {
    "KL": (lambda u, m: u * m.log(u), 0.0, np.inf, _rel_entr, lambda p, q: -p),
    "reverse KL": (lambda u, m: -m.log(u), np.inf, 0.0, lambda p, q: _rel_entr(q, p), lambda p, q: q + _rel_entr(q, p)),
    "total variation": (
        lambda u, m: m.sqrt((u - 1) ** 2) / 2,
        0.5,
        0.5,
        lambda p, q: 0.5 * np.abs(p - q),
        lambda p, q: 0.5 * q * np.sign(q - p),
    ),
    "Jensen-Shannon": (
        lambda u, m: (u * m.log(u) - (u + 1) * m.log((u + 1) / 2)) / 2,
        0.5 * np.log(2),
        0.5 * np.log(2),
        _js,
        lambda p, q: 0.25 * _rel_entr(2 * q, p + q),
    ),
    "squared Hellinger": (
        lambda u, m: (m.sqrt(u) - 1) ** 2 / 2,
        0.5,
        0.5,
        lambda p, q: 0.5 * (np.sqrt(p) - np.sqrt(q)) ** 2,
        lambda p, q: 0.5 * (q - np.sqrt(p) * np.sqrt(q)),
    ),
    "Pearson chi2": (
        lambda u, m: (u - 1) ** 2,
        1.0,
        np.inf,
        lambda p, q: _square_over(np.abs(p - q), q),
        lambda p, q: q - _square_over(p, q),
    ),
    "Neyman chi2": (
        lambda u, m: (u - 1) ** 2 / u,
        np.inf,
        1.0,
        lambda p, q: _square_over(np.abs(p - q), p),
        lambda p, q: 2 * _square_over(q, p) - 2 * q,
    ),
}
GENERATORS = {name: Generator(name, *fields) for name, fields in _TABLE.items()}


def alpha_generator(alpha):
    """The Cressie-Read power family, which runs through KL (alpha 1), reverse KL (0), Pearson (2) and Neyman (-1).

    Formula: `f(u) = (u^alpha - 1 - alpha (u - 1)) / (alpha (alpha - 1))`, with its limits at 0 and 1. On distributions
    the members are KL, reverse KL, half of Pearson's, half of Neyman's, and at ½ four times the squared Hellinger
    divergence. Units: alpha has none. Shape: returns a `Generator`. Raises ValueError for an alpha that is not finite.
    Source: Cressie & Read, J. R. Statist. Soc. B 46 (1984).
    """
    alpha = inputs.number("alpha", alpha)

    def plain(u, m):
        if alpha == 0:
            return u - 1 - m.log(u)
        if alpha == 1:
            return u * m.log(u) - u + 1
        return (u**alpha - 1 - alpha * (u - 1)) / (alpha * (alpha - 1))

    perspective, pull = (lambda p, q: _power_term(alpha, p, q)), (lambda p, q: _power_pull(alpha, p, q))
    limits = (float(_alone(np.float64(1), rate)) for rate in (alpha, 1 - alpha))
    return Generator(f"alpha {alpha:g}", plain, *limits, perspective, pull)


def _grown(weight, rate, logs):
    """`weight * (exp(rate * logs) - 1) / rate`: by expm1 where it cancels, in one exponential where it overflows."""
    if abs(rate) < 1e-30:  # the limit; below 1e-300 the products themselves would lose their digits
        return weight * logs
    exponent = rate * logs
    with np.errstate(over="ignore"):
        large = np.exp(np.log(weight) + np.where(exponent > 1, exponent, 0.0)) - weight
        return np.where(exponent > 1, large, weight * np.expm1(np.minimum(exponent, 1.0))) / rate


def _both(p, q):
    """Mask of entries where both have mass, and both with the others set to 1, so that logarithms exist."""
    p, q = np.broadcast_arrays(np.asarray(p, float), np.asarray(q, float))
    both = (p > 0) & (q > 0)
    return p, q, both, np.where(both, p, 1.0), np.where(both, q, 1.0)


def _alone(mass, rate):
    """What mass costs where the other side has none: `mass / rate`, infinite when the rate is not above 0."""
    with np.errstate(over="ignore"):
        return mass / rate if rate > 0 else _ratio(mass, np.zeros_like(mass))


def _power_term(alpha, p, q):
    """One term of the Cressie-Read divergence, exact as alpha nears 0 or 1."""
    p, q, both, a, b = _both(p, q)
    logs = np.log(a) - np.log(b)
    inner = (
        (_grown(a, alpha - 1, logs) - (a - b)) / alpha
        if alpha > 0.5
        else (_grown(b, alpha, logs) - (a - b)) / (alpha - 1)
    )
    return np.where(both, inner, np.where(q > 0, _alone(q, alpha), _alone(p, 1 - alpha)))


def _power_pull(alpha, p, q):
    """q times its derivative with respect to q, `q (1 - u^alpha) / alpha`."""
    p, q, both, a, b = _both(p, q)
    inner = -_grown(b, alpha, np.log(a) - np.log(b))
    only_p = np.where((alpha < 1) | (p == 0), 0.0, -np.inf)
    return np.where(both, inner, np.where(q > 0, _alone(q, alpha), only_p))


def _generator(value):
    if isinstance(value, Generator):
        return value
    if isinstance(value, str) and value in GENERATORS:
        return GENERATORS[value]
    raise ValueError(f"generator = {value!r} is neither a Generator nor one of {', '.join(GENERATORS)}")


def f_divergence(generator, tau, p):
    """An f-divergence between a label tau and a model p.

    Formula: `D_f(tau||p) = sum_i p_i f(tau_i / p_i)`, in the conventions at the top of this module. Shape: tau and p
    (..., n), broadcast; returns (...). Units: nats for the logarithmic members, else none; may be infinite.
    `generator`: a name in `GENERATORS` or a `Generator`. Raises ValueError for an unknown generator, bad probabilities
    or lengths that disagree. Source: Csiszár (1967); conventions of Polyanskiy & Wu, Information Theory, chapter 7.

    >>> float(f_divergence("total variation", [1, 0], [0.25, 0.75]))
    0.75
    """
    generator = _generator(generator)
    tau, p = _pair("tau", tau, "p", p)
    tau, p = np.broadcast_arrays(tau, p)
    return inputs.not_negative(generator.perspective(tau, p).sum(-1))


def logit_gradient(generator, tau, p):
    """Gradient of an f-divergence loss with respect to the logits z behind `p = softmax(z)`.

    Formula: `dD/dz_j = p_j (s_j - sum_i p_i s_i)` with `s_i = f(u_i) - u_i f'(u_i)`, `u_i = tau_i / p_i`; for KL this
    is `p - tau`. Shape: tau and p (..., n), returns (..., n). Units: those of the divergence. NaN where the divergence
    is infinite; 0 for a token that p leaves out otherwise (the limit); total variation's kink (tau_i = p_i) is given
    the slope 0. Raises ValueError for an unknown generator, bad probabilities or lengths that disagree. Source: chain
    rule through softmax; derived in the appendix (D10).
    """
    generator = _generator(generator)
    tau, p = np.broadcast_arrays(*_pair("tau", tau, "p", p))
    finite = np.isfinite(generator.perspective(tau, p).sum(-1, keepdims=True))
    with np.errstate(invalid="ignore", over="ignore"):
        pull = generator.pull(tau, p)  # p_j s_j
        return np.where(finite, pull - p * pull.sum(-1, keepdims=True), np.nan)


def one_hot_loss(generator, p_t):
    """What any f-divergence becomes for a one-hot label: a function of the target's probability alone.

    Formula: D10, `p_t f(1/p_t) + (1 - p_t) f(0)`. Shape: p_t any, elementwise. Units: as `f_divergence`. Raises
    ValueError for an unknown generator or a `p_t` outside [0, 1]. Source: derived in the appendix (D10).

    >>> bool(one_hot_loss("KL", 0.5) == np.log(2))
    True
    """
    generator, p_t = _generator(generator), _target_probability(p_t)
    rest = 1.0 - p_t
    hit, missed = generator.perspective(np.ones_like(p_t), p_t), generator.perspective(np.zeros_like(rest), rest)
    return inputs.not_negative(hit + missed)


def one_hot_logit_gradient(generator, p_t):
    """The pull of a one-hot f-divergence loss on the target's own logit.

    Formula: D10, `p_t (1 - p_t) (f(1/p_t) - f'(1/p_t)/p_t - f(0))`. Shape: p_t any, elementwise. Units: as
    `f_divergence`. NaN where f(0) is infinite: then the loss is infinite too and has no gradient. Raises ValueError for
    an unknown generator or a `p_t` outside (0, 1]. Source: derived in the appendix (D10).
    """
    generator, p_t = _generator(generator), _target_probability(p_t)
    if (p_t == 0).any():
        raise ValueError("p_t = 0 has no logit: probabilities must be above 0 here")
    if not np.isfinite(generator.at_zero):
        return np.full_like(p_t, np.nan)
    return (1.0 - p_t) * (generator.pull(np.ones_like(p_t), p_t) - p_t * generator.at_zero)


def overconfidence_loss(p_t, gamma):
    """The family between cross-entropy (gamma 0) and the smoothed accuracy `1 - p_t` (gamma to 1).

    Formula: `-log(gamma + (1 - gamma) p_t) / (1 - gamma)`. Shape: p_t any, elementwise. Units: nats at gamma 0. Bounded
    for gamma > 0. Raises ValueError for a `p_t` outside [0, 1] or a gamma outside [0, 1). Source:
    https://spaces.ac.cn/archives/9526 and TaiLr (arXiv 2302.13344), whose gradient it shares.
    """
    p_t, gamma = _target_probability(p_t), inputs.number("gamma", gamma, low=0)
    if gamma >= 1:
        raise ValueError(f"gamma = {gamma:g} must be below 1 (the limit at 1 is 1 - p_t)")
    lost = (1.0 - gamma) * (1.0 - p_t)
    with np.errstate(divide="ignore"):  # log1p keeps its digits near p_t = 1 and gamma = 1, log near 0
        logs = np.where(lost < 0.5, np.log1p(-np.minimum(lost, 0.5)), np.log(gamma + (1.0 - gamma) * p_t))
    return 0.0 - logs / (1.0 - gamma)


def _target_probability(p_t):
    p_t = inputs.finite("p_t", p_t)
    bad = (p_t < 0) | (p_t > 1)
    if bad.any():
        raise ValueError(f"p_t = {inputs.shown(p_t[bad][0])} must lie in [0, 1]")
    return p_t
