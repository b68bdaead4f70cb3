"""Exercises of lesson 09: KL between and inside classes, a trend with its interval, and the gradient of a distance."""

import numpy as np
from scipy import stats
from scipy.special import rel_entr

from .. import costs, transport
from .verdicts import as_array, ask, compare, exercise


def _kl(a, b):
    return float(rel_entr(a, b).sum())


def _parts(tau, p, classes):
    """KL between classes, the classes' masses under tau and p, and KL inside each class."""
    groups = [classes == k for k in np.unique(classes)]
    T, P = (np.array([x[g].sum() for g in groups]) for x in (tau, p))
    inside = [_kl(tau[g] / t, p[g] / q) if t > 0 else 0.0 for g, t, q in zip(groups, T, P, strict=True)]
    return _kl(T, P), T, P, np.array(inside)


@exercise("09.1", "D16")
def split(answer, rng):
    """`answer(tau, p, classes)` is KL(tau || p) between classes and inside them."""
    for n, k in ((3, 2), (7, 3), (9, 4)):
        classes = rng.permutation(np.append(np.arange(k), rng.integers(k, size=n - k)))
        tau, p = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))
        tau[classes == classes[0]] = 0.0  # a class that never comes
        tau /= tau.sum()
        between, T, P, inside = _parts(tau, p, classes)
        right = np.array([between, T @ inside])
        backward = _parts(p, np.maximum(tau, 1e-300), classes)[0]
        unweighed = "the parts inside must be weighed: each class counts T_c, its share of the truth"
        undivided = sum(_kl(tau[classes == c], p[classes == c]) for c in range(k))
        mistakes = [
            (right[::-1], "the two are swapped: first between classes, then inside"),
            ((between, inside.sum()), unweighed),
            ((between, P @ inside), "weigh the parts inside with the truth's shares T_c, not with the model's"),
            ((between, inside.mean()), "weigh the parts inside with T_c: rare classes count less than common ones"),
            ((between, _kl(tau, p)), "the second is all of KL: take the part between classes away"),
            (right / np.log(2), "that is in bits: use the natural logarithm"),
            ((between, undivided), "inside a class both must be divided by their class's mass"),
            ((backward, right[1]), "the first is KL(P || T): the truth comes first"),
        ]
        value = as_array(ask(answer, tau, p, classes), (2,), "the pair (between, inside)")
        otherwise = "the two must add up to KL(tau || p); a class that never comes adds nothing inside"
        compare(value, right, mistakes, otherwise)


@exercise("09.3", "D17")
def gradient(answer, rng):
    """`answer(p, tau, cost)` is the gradient (n,) of EMD(p, tau) on the logits behind p."""
    for n in (3, 5, 8):
        cost = costs.cosine(rng.normal(size=(n, 3)))
        p, tau = (0.9 * rng.dirichlet(np.ones(n)) + 0.1 / n for _ in range(2))
        u = transport.emd(p, tau, cost).u
        right, bound = p * (u - p @ u), p * (cost @ tau - p @ cost @ tau)
        mistakes = [
            (-right, "the sign is reversed: what costs much to move must fall (v are the prices of arrival: take u)"),
            (u - p @ u, "the factor p_j is missing: the logits act through the softmax"),
            (u, "that is the gradient on p: the logits act through the softmax, p_j (u_j - p.u)"),
            (p * u, "the average is missing: softmax takes p.u away, and the entries sum to 0"),
            (p * (u - u.mean()), "weigh the average with p"),
            (bound, "that is the product bound's gradient: the plan is not the product"),
            (p - tau, "that is cross-entropy's gradient"),
        ]
        otherwise = "the gradient is off: p_j (u_j - p.u) with u from transport.emd"
        compare(ask(answer, p, tau, cost), right, mistakes, otherwise, 1e-7)


def _slopes(gains, x):
    steps = x - x.mean()
    return gains @ steps / (steps @ steps)


@exercise("09.2", "95 % interval")
def trend(answer, rng):
    """`answer(gains, x)` is the mean slope of gains (seeds, m) on log2 x (m,), and half of its 95 % interval."""
    for m in (3, 4, 5):
        x, seeds = np.array([40.0, 128.0, 400.0, 1280.0, 4096.0])[:m], 5
        gains = 0.02 * np.log2(x) + rng.normal(size=(seeds, 1)) + 0.05 * rng.normal(size=(seeds, m))
        quantile = stats.t.ppf(0.975, seeds - 1)

        def interval(slopes, quantile=quantile, ddof=1, root=seeds**0.5):
            return slopes.mean(), quantile * slopes.std(ddof=ddof) / root

        slopes, of_x, of_log = (_slopes(gains, scale) for scale in (np.log2(x), x, np.log(x)))
        steps = np.log2(x) - np.log2(x).mean()
        rest = gains - gains.mean() - slopes.mean() * steps
        pooled = np.sqrt((rest**2).sum() / (gains.size - 2) / (seeds * steps @ steps))
        error = "that is the standard error: the interval is Student's t times it, 2.78 for five seeds"
        seed = "divide by sqrt(n): the interval is of the mean slope, not of one seed's"
        pool = "that pools all points as if each were a run of its own: take one slope per seed, then their mean"
        mistakes = [
            (interval(slopes, 1), error),
            (interval(slopes, 1.96), "1.96 is for many seeds: with five, Student's t is 2.78"),
            (interval(slopes, root=1), seed),
            (interval(slopes, ddof=0), "divide by n - 1 in the standard deviation"),
            ((slopes.mean(), 1.96 * pooled), pool),
            ((slopes.mean(), quantile * pooled), pool),
            (interval(of_x), "that is the slope on x: take log2 of it"),
            (interval(of_log), "natural logarithms: per doubling means log2"),
        ]
        value = as_array(ask(answer, gains, x), (2,), "the pair (mean slope, half of the interval)")
        otherwise = "off: one slope per seed by least squares on log2 x, then mean and 2.78 standard errors"
        compare(value, np.array(interval(slopes)), mistakes, otherwise, 1e-4)
