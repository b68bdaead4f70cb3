"""A model's next-token distributions against the true ones: N contexts at a time, one exact number per context.

`log_p` (..., V) are the model's log-probabilities (from `measure.reading.next_token_log_probs`), `truth` (..., V) the
exact probabilities; a divergence is infinite where its first side has mass (be it below the least float) and its second
none. The module has a KL of its own because log-probabilities keep a finite price for a token whose probability
underflows.
"""

from typing import NamedTuple

import numpy as np

from .. import inputs, transport
from ..inputs import integers, log_distributions


def _pair(log_p, truth):
    log_p, truth = log_distributions("log_p", log_p), inputs.distributions("truth", truth)
    if log_p.shape != truth.shape:
        raise ValueError(f"log_p {log_p.shape} and truth {truth.shape} must have the same shape")
    return log_p, truth


def _log(values):
    with np.errstate(divide="ignore"):
        return np.log(values)


def _expected_gap(weights, log_weights, log_other):
    """Sum of weights * (log_weights - log_other), never below 0; infinite where log_other alone is -inf."""
    has = log_weights > -np.inf
    lost = (has & (log_other == -np.inf)).any(-1)
    both = has & (log_other > -np.inf)
    gap = np.where(both, log_weights, 0.0) - np.where(both, log_other, 0.0)
    return np.where(lost, np.inf, inputs.not_negative((weights * gap).sum(-1)))


def forward_kl(log_p, truth):
    """Forward KL divergence from the truth to the model: what maximum likelihood brings down.

    Formula: A3, `KL(truth || p) = sum_i truth_i (log truth_i - log p_i)`, with `0 log 0 = 0`. Shape: (..., V) to (...).
    Units: nats, 0 or above. Raises ValueError for bad (log-)probabilities or shapes that differ. Source: Kullback &
    Leibler (1951).
    """
    log_p, truth = _pair(log_p, truth)
    return _expected_gap(truth, _log(truth), log_p)


def reverse_kl(log_p, truth):
    """Reverse KL divergence from the model to the truth: how unlikely the model's own tokens are.

    Formula: `KL(p || truth) = sum_i p_i (log p_i - log truth_i)`. Shape: (..., V) to (...). Units: nats, 0 or above.
    Raises ValueError as `forward_kl`. Source: Kullback & Leibler (1951).
    """
    log_p, truth = _pair(log_p, truth)
    return _expected_gap(np.exp(log_p), log_p, _log(truth))


def total_variation(log_p, truth):
    """Total variation distance: the share of probability that is in the wrong place.

    Formula: D8, `½ sum_i |p_i - truth_i|`. Shape: (..., V) to (...). Units: probability, in [0, 1]. Raises ValueError
    as `forward_kl`. Source: Levin & Peres, Markov Chains and Mixing Times, section 4.1.
    """
    log_p, truth = _pair(log_p, truth)
    return np.minimum(0.5 * np.abs(np.exp(log_p) - truth).sum(-1), 1.0)


def js(log_p, truth):
    """Jensen-Shannon divergence: KL to the middle, averaged over both sides; finite for any two distributions.

    Formula: `½ KL(p || m) + ½ KL(truth || m)` with `m = ½ (p + truth)`. Shape: (..., V) to (...). Units: nats, in [0,
    log 2]. Raises ValueError as `forward_kl`. Source: Lin, IEEE Trans. Inf. Theory 37 (1991).
    """
    log_p, truth = _pair(log_p, truth)
    p, log_truth = np.exp(log_p), _log(truth)
    log_m = np.logaddexp(log_p, log_truth) - np.log(2)
    both = _expected_gap(p, log_p, log_m) + _expected_gap(truth, log_truth, log_m)
    return np.minimum(0.5 * both, np.log(2))


def exact_emd(p, truth, cost):
    """Earth mover's distance from the model to the truth in every context, exactly: one linear program each.

    Formula: A4, `min <plan, cost>` over plans with marginals p and truth; at V = 300 one takes some milliseconds.
    Shape: p and truth (N, V), cost (V, V), returns (N,). Units: those of the cost. Raises ValueError for bad
    probabilities, shapes that differ or a bad cost; `SolverError` as `transport.emd`. Source: `transport.emd`; for a
    cost by classes `transport.class_emd` has the closed form.
    """
    p, truth = inputs.distributions("p", p), inputs.distributions("truth", truth)
    if p.ndim != 2 or p.shape != truth.shape:
        raise ValueError(f"p {p.shape} and truth {truth.shape} must have the same shape (N, V)")
    cost = inputs.square_cost("cost", cost, p.shape[-1])
    return np.array([transport.emd(*pair, cost).value for pair in zip(p, truth, strict=True)])


def oracle_perplexity(log_truth):
    """Perplexity of a model's samples under the truth: low when its tokens are likely, whatever it leaves out.

    Formula: `exp(-mean log truth(token | its prefix))` over all sampled tokens. Shape: log_truth any, returns a float.
    Units: tokens; infinite when the truth gives a sampled token no probability. Raises ValueError for an empty array,
    NaN, or log-probabilities above 0. Source: the definition of perplexity, Jelinek et al. (1977).

    >>> round(oracle_perplexity(np.log([0.5, 0.125])), 12)
    4.0
    """
    log_truth = inputs.as_floats("log_truth", log_truth)
    if log_truth.size == 0:
        raise ValueError(f"log_truth is empty (shape {log_truth.shape})")
    log_truth = np.atleast_1d(log_truth)
    bad = np.isnan(log_truth) | (log_truth > inputs.SUM_TOLERANCE)  # float32 rounds the log of 1 to either side of 0
    inputs.refuse_where("log_truth", log_truth, bad, "log-probabilities must not be NaN or above 0")
    with np.errstate(over="ignore"):
        return float(np.exp(-np.minimum(log_truth, 0.0).mean()))


def split_kl(log_p, truth, classes, reverse=False):
    """KL divergence in two parts: between classes of tokens, and inside them.

    Formula: the chain rule, `KL(t || p) = KL(T || P) + sum_c T_c KL(t(.|c) || p(.|c))` with T, P the classes' total
    masses; `reverse` swaps t and p. Shape: log_p and truth (..., V), classes (V,) integers; returns two arrays (...),
    between and inside. Units: nats, infinite as `forward_kl` is. Raises ValueError for bad (log-)probabilities, shapes
    that differ or bad classes. Source: Cover & Thomas, Elements of Information Theory, 2.5.

    >>> between, inside = split_kl(np.log([0.5, 0.3, 0.2]), [0.2, 0.6, 0.2], [0, 0, 1])
    >>> kl = forward_kl(np.log([0.5, 0.3, 0.2]), [0.2, 0.6, 0.2])
    >>> round(float(between), 12), abs(float(inside - kl)) < 1e-12
    (0.0, True)
    """
    log_p, truth = _pair(log_p, truth)
    classes = integers("classes", classes, ndim=1)
    if classes.size != log_p.shape[-1]:
        raise ValueError(f"classes has {classes.size} entries, but the distributions have {log_p.shape[-1]}")
    first, other = (log_p, _log(truth)) if reverse else (_log(truth), log_p)
    inside, totals = 0.0, []
    for group in (classes == each for each in np.unique(classes)):
        own, rest = first[..., group], other[..., group]
        totals.append([np.logaddexp.reduce(side, -1) for side in (own, rest)])
        given = (_given(side, total[..., None]) for side, total in zip((own, rest), totals[-1], strict=True))
        inside = inside + _expected_gap(np.exp(own), *given)
    first, other = (np.stack(side, -1) for side in zip(*totals, strict=True))
    return _expected_gap(np.exp(first), first, other), inside


def _given(log, log_total):
    """Log-probabilities given their class, -inf throughout where the class has no mass."""
    has = log_total > -np.inf
    return np.where(has, log - np.where(has, log_total, 0.0), -np.inf)


class MassShares(NamedTuple):
    """Shares of probability per context, which add up to 1: the target, other tokens of its class, elsewhere."""

    target: np.ndarray
    synonyms: np.ndarray
    elsewhere: np.ndarray


def where_mass_goes(p, target, classes):
    """How a model splits its probability: the target, the target's synonyms, everything else.

    Formula: `p_t`, `sum of p_i over i != t in t's class`, and the sum over the other classes. Shape: p (N, V), target
    (N,), classes (V,); returns `MassShares` of three (N,) arrays. Units: probability. Raises ValueError for bad
    probabilities, a target out of range or sizes that disagree. Source: this project.

    >>> where_mass_goes([[0.5, 0.3, 0.2]], [1], [0, 0, 1])
    MassShares(target=array([0.3]), synonyms=array([0.5]), elsewhere=array([0.2]))
    """
    p, classes = inputs.distributions("p", p), integers("classes", classes, ndim=1)
    if p.ndim != 2 or classes.size != p.shape[1]:
        raise ValueError(f"p {p.shape} and classes {classes.shape} must be (N, V) and (V,)")
    target = integers("target", target, ndim=1, size=p.shape[1])
    if target.size != len(p):
        raise ValueError(f"target has {target.size} entries, but p has {len(p)} contexts")
    rows, own = np.arange(len(p)), classes[target][:, None] == classes
    on_target, elsewhere = p[rows, target], np.where(own, 0.0, p).sum(-1)
    own[rows, target] = False
    return MassShares(on_target, np.where(own, p, 0.0).sum(-1), elsewhere)


def mean_entropy(logits, temperature=1.0):
    """Mean entropy of next-token distributions at a temperature.

    Formula: mean over contexts of `H(softmax(logits / T))`. Shape: logits (..., V), log-probabilities or shifted by any
    constant per context; returns a float. Units: nats. Raises ValueError for NaN, +inf, a context without a finite
    logit, or a temperature that is not above 0. Source: A3's constant term.
    """
    return _mean_entropy(_logits(logits), inputs.number("temperature", temperature, low=0, open_low=True))


def _logits(values):
    """(N, V) logits with every context's largest at 0."""
    logits = inputs.as_floats("logits", values)
    if logits.ndim == 0 or logits.size == 0:
        raise ValueError(f"logits must have a last axis with entries, got shape {logits.shape}")
    inputs.refuse_where("logits", logits, np.isnan(logits) | (logits == np.inf), "logits must be finite or -inf")
    top = logits.max(-1, keepdims=True)
    if (top == -np.inf).any():
        raise ValueError(f"logits[{', '.join(map(str, np.argwhere(top[..., 0] == -np.inf)[0]))}] has no finite entry")
    return (logits - top).reshape(-1, logits.shape[-1])


def _mean_entropy(logits, temperature):
    scaled = logits / temperature
    weights = np.exp(scaled)
    total = weights.sum(-1)
    inner = (weights * np.where(weights > 0, scaled, 0.0)).sum(-1)
    return float((np.log(total) - inner / total).mean())


def matched_temperature(logits, target_entropy, low=0.05, high=5.0, tolerance=1e-9):
    """The temperature at which a model's mean next-token entropy equals a given one, by bisection.

    The control for every claim that a sharpened model samples "better": sharpen its rival by temperature to the same
    entropy first. Formula: T with `mean H(softmax(logits / T)) = target_entropy`; the mean entropy never falls as T
    grows. Shape: logits (N, V), log-probabilities will do; returns a float. Units: target in nats, T none; T is within
    `tolerance` (relative). Raises ValueError for bad logits, for a range that is not `0 < low < high`, and for a target
    that no temperature in it reaches. Source: the reviewers' request for EMO (OpenReview 4bLXfRd0CX); bisection.
    """
    logits, target = _logits(logits), inputs.number("target_entropy", target_entropy, low=0)
    low, tolerance = inputs.number("low", low, low=0, open_low=True), inputs.number("tolerance", tolerance, low=1e-15)
    high = inputs.number("high", high, low=low, open_low=True)
    least, most = _mean_entropy(logits, low), _mean_entropy(logits, high)
    if not least <= target <= most:
        reach = f"temperatures from {low:g} to {high:g} give {least:.6g} to {most:.6g} nats"
        raise ValueError(f"target_entropy = {inputs.shown(target)} is out of reach: {reach}")
    while high - low > tolerance * high:
        middle = (low * high) ** 0.5  # halves the range of log T
        low, high = (middle, high) if _mean_entropy(logits, middle) < target else (low, middle)
    return (low * high) ** 0.5
