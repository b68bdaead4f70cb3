"""The divergence frontier of two samples and MAUVE, the area under it: how likely each is under the other.

Both are of histograms over clusters of features. A score has meaning only beside others of the same features, clusters
and amounts: always take the features of one frozen model (`measure.reading.features`), and repeat over seeds of
sampling and of the clustering.
"""

import warnings

import numpy as np

from .. import inputs

# the weights run from here to 1 minus this: at 0 and 1 the KL of unequal supports is infinite (the curve's end points)
EDGE = 1e-6
EXPLAINED = 0.9  # share of the variance that the principal components keep, as in mauve-text
_PASSES, _STARTS = 50, 5  # k-means: rounds, and starts of which the best is kept


def divergence_frontier(p, q, points=25):
    """The trade-off between two kinds of error from r = q to r = p: what p misses, KL(q||r), and what q does, KL(p||r).

    Formula: `(KL(q||r), KL(p||r))` with `r = w p + (1 - w) q` for equally spaced w from 1e-6 to 1 - 1e-6. By the
    convention of the source p are the model's samples and q the human text. Along the rows the first column rises and
    the second falls. Shape: p and q (k,), returns (points, 2). Units: nats. Raises ValueError for bad probabilities,
    lengths that disagree, or fewer than two points. Source: Pillutla et al., MAUVE (arXiv 2102.01454), section 2.
    """
    from scipy.special import rel_entr

    p, q = inputs.distribution("p", p), inputs.distribution("q", q)
    inputs.same_length("p", p, "q", q)
    weights = np.linspace(EDGE, 1 - EDGE, inputs.count("points", points, low=2))[:, None]
    mixed = weights * p + (1 - weights) * q
    terms = [(q, 1 - weights), (p, weights)]  # where a share of a mass underflows in r, r holds that share alone
    kl = (np.where(mixed > 0, rel_entr(x, mixed), -x * np.log(share)).sum(-1) for x, share in terms)
    return inputs.not_negative(np.stack(list(kl), axis=1))


def curve(frontier, scale=5.0):
    """The frontier seen as scores between 0 and 1, with its two end points (1, 0) and (0, 1).

    Formula: `exp(-scale * KL)`, each coordinate. Shape: frontier (m, 2), returns (m + 2, 2). Units: none. Raises
    ValueError unless frontier is (m, 2) of numbers and scale is above 0. Source: Pillutla et al., MAUVE (arXiv
    2102.01454), section 2, with scale c = 5.
    """
    frontier, scale = inputs.finite("frontier", frontier, ndim=2), inputs.number("scale", scale, low=0, open_low=True)
    if frontier.shape[1] != 2:
        raise ValueError(f"frontier must have two columns, got shape {frontier.shape}")
    return np.vstack([[1.0, 0.0], np.exp(-scale * frontier), [0.0, 1.0]])


def area(p, q, scale=5.0, points=25):
    """MAUVE of two histograms: the area under their divergence curve, 1 if they are equal, near 0 if disjoint.

    Formula: trapezoid rule on `curve(divergence_frontier(p, q, points), scale)`. Without a common cluster the limit of
    many points is `c B(c + 1, c)` with Euler's beta function: 1/252 at scale 5. Shape: p and q (k,), returns a float.
    Units: none. Raises ValueError as `divergence_frontier` and `curve`. Source: Pillutla et al., MAUVE (arXiv
    2102.01454); the limit of disjoint histograms is the integral that defines Euler's beta function.

    >>> round(area([0.5, 0.5], [0.5, 0.5]), 12)
    1.0
    """
    x, y = curve(divergence_frontier(p, q, points), scale).T
    return min(float(0.5 * ((x[:-1] - x[1:]) * (y[:-1] + y[1:])).sum()), 1.0)


def quantise(features_p, features_q, k, seed):
    """Histograms of two sets of features over common clusters: principal components of both together, then k-means.

    Formula: rows to length 1, components that keep 90 % of the variance, k-means++ starts, the best of five by the sum
    of squared distances. Shape: features (n, d) and (m, d), returns two (k,) arrays. Units: probability. Raises
    ValueError for features that are not finite or differ in width, a row of zeros, or k that is not in 1..n+m. Source:
    Pillutla et al., MAUVE (arXiv 2102.01454), section 3; Arthur & Vassilvitskii, k-means++ (2007).
    """
    from scipy.cluster.vq import kmeans2, vq

    a, b = _unit("features_p", features_p), _unit("features_q", features_q)
    inputs.same_length("features_p", a, "features_q", b)
    k, rng = inputs.count("k", k), np.random.default_rng(inputs.count("seed", seed, low=0))
    data = _components(np.vstack([a, b]))
    if k > len(data):
        raise ValueError(f"k = {k} clusters cannot be made of {len(data)} features")
    best = np.inf, None
    for _ in range(_STARTS):
        with warnings.catch_warnings():  # a cluster that becomes empty keeps its centre
            warnings.filterwarnings("ignore", message="One of the clusters is empty")
            centres = kmeans2(data, _plus_plus(data, k, rng), iter=_PASSES, minit="matrix")[0]
        labels, distances = vq(data, centres)
        best = min(best, ((distances**2).sum(), labels), key=lambda found: found[0])
    labels = best[1]
    return np.bincount(labels[: len(a)], minlength=k) / len(a), np.bincount(labels[len(a) :], minlength=k) / len(b)


def _unit(name, features):
    features = inputs.finite(name, features, ndim=2)
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    if (lengths == 0).any():
        raise ValueError(f"{name}[{int(np.argmin(lengths))}] is a row of zeros: it has no direction")
    return features / lengths


def _components(data):
    """The data in their principal components, as many as keep `EXPLAINED` of the variance (at least one)."""
    centred = data - data.mean(0)
    _, values, axes = np.linalg.svd(centred, full_matrices=False)
    share = np.cumsum(values**2) / max((values**2).sum(), np.finfo(float).tiny)
    kept = min(int(np.searchsorted(share, EXPLAINED)) + 1, len(values))
    return centred @ axes[:kept].T


def _plus_plus(data, k, rng):
    """k-means++ starts: draw each next centre in proportion to the squared distance to the nearest one so far."""
    centres = [data[rng.integers(len(data))]]
    nearest = ((data - centres[0]) ** 2).sum(1)
    while len(centres) < k:
        total = nearest.sum()
        index = rng.choice(len(data), p=nearest / total) if total > 0 else rng.integers(len(data))
        centres.append(data[index])
        nearest = np.minimum(nearest, ((data - centres[-1]) ** 2).sum(1))
    return np.array(centres)


def mauve(features_p, features_q, k, seed, scale=5.0):
    """MAUVE between two samples by their features: 1 for samples that cannot be told apart, near 0 for samples apart.

    Formula: `area` of `quantise(features_p, features_q, k, seed)`. It depends on k and on the amounts n and m: compare
    scores of equal ones only. Shape: features (n, d) and (m, d), returns a float. Units: none. Raises ValueError as
    `quantise` and `area`. Source: Pillutla et al., MAUVE (arXiv 2102.01454); the package mauve-text does the same with
    faiss for the clustering.
    """
    return area(*quantise(features_p, features_q, k, seed), scale=scale)
