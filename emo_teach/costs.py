"""Cost matrices: what it costs to move one unit of probability from token i to token j.

All functions take and return numpy arrays; `cost[i, j]` is the cost from i to j, in whatever unit the cost has (the
cosine cost has none and lies in [0, 2]).
"""

from dataclasses import dataclass

import numpy as np

from . import inputs


def zero_one(n):
    """The 0/1 cost: every mistake costs the same.

    Formula: A7, `c_ij = 1 - delta_ij`. Shape: returns (n, n). Units: none. Raises ValueError when `n` is not an integer
    of at least 1. Source: https://spaces.ac.cn/archives/9797, the article's first choice of cost.

    >>> zero_one(2)
    array([[0., 1.],
           [1., 0.]])
    """
    return 1.0 - np.eye(inputs.count("n", n))


def ordinal(n, power=1.0):
    """The cost of ordered classes, a power of the distance between their ranks.

    Formula: D8, `c_ij = |i - j| ** power`, with an exact 0 on the diagonal for every power (numpy's `0 ** 0` is 1).
    Shape: returns (n, n). Units: rank steps to the given power; `power` is at least 0. Raises ValueError when `n` is
    not an integer of at least 1 or `power` is negative, not finite, or so large that a cost would overflow.
    Source: the one-dimensional case in Peyré & Cuturi, Computational Optimal Transport (2019), section 2.6.

    >>> ordinal(3, power=2)
    array([[0., 1., 4.],
           [1., 0., 1.],
           [4., 1., 0.]])
    """
    n, power = inputs.count("n", n), inputs.number("power", power, low=0)
    inputs.power_fits("power", power, n - 1)
    steps = np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(float)
    return np.power(steps, power, where=steps > 0, out=np.zeros_like(steps))


def unit_rows(embedding):
    """Divide every row by its Euclidean length, the step before any cosine.

    Formula: `ê_i = e_i / |e_i|`, as in A8 and A9. Shape: embedding (V, d), returns (V, d). Units: none.
    Raises ValueError for an empty or non-finite embedding and for a row of zeros, which has no direction.
    Source: https://spaces.ac.cn/archives/9797, the cosine in its cost.
    """
    embedding = inputs.finite("embedding", embedding, ndim=2)
    largest = np.abs(embedding).max(axis=1)
    if (largest == 0).any():
        raise ValueError(f"embedding[{int(np.argmin(largest))}] is a row of zeros: it has no direction, so no cosine")
    scaled = embedding / largest[:, None]  # so that squaring neither overflows nor underflows
    return scaled / np.sqrt((scaled**2).sum(axis=1))[:, None]


def cosine(embedding):
    """The cosine cost between all pairs of tokens.

    Formula: A8, `c_ij = 1 - <ê_i, ê_j>`; the diagonal is set to an exact 0 and rounding below 0 is cut off.
    Shape: embedding (V, d), returns (V, V). Units: none, values in [0, 2]. Raises ValueError for an empty or non-finite
    embedding and for a row of zeros. Source: https://spaces.ac.cn/archives/9797; Ren et al., EMO (arXiv 2310.04691).

    >>> cosine([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]])
    array([[0., 1., 2.],
           [1., 0., 1.],
           [2., 1., 0.]])
    """
    unit = unit_rows(embedding)
    cost = np.clip(1.0 - unit @ unit.T, 0.0, 2.0)
    np.fill_diagonal(cost, 0.0)
    return cost


def _distances(a, b):
    from scipy.spatial.distance import cdist  # slow to import, and few need it

    return cdist(a, b)


def chord(embedding):
    """Straight-line distance between the tokens' unit vectors, the metric behind the cosine cost.

    Formula: D4, `|ê_i - ê_j| = sqrt(2 (1 - cos))`, so that half its square is the cosine cost. Computed from the
    differences: the root would turn the cosine's rounding of 1e-16 into 1e-8, enough to break the triangle inequality
    between tokens that share a direction.
    Shape: embedding (V, d), returns (V, V). Units: lengths on the unit sphere, values in [0, 2]. Raises ValueError for
    an empty or non-finite embedding and for a row of zeros. Source: the law of cosines; D4 in the appendix.
    """
    unit = unit_rows(embedding)
    return _distances(unit, unit)


def angle(embedding):
    """Angle between the tokens' vectors, the other metric that ranks pairs as the cosine cost does.

    Formula: D4, `arccos <ê_i, ê_j>`, computed as `2 arctan(|ê_i - ê_j| / |ê_i + ê_j|)`, which is exact near 0 and near
    pi alike. Shape: embedding (V, d), returns (V, V). Units: radians, values in [0, pi]. Raises ValueError for an empty
    or non-finite embedding and for a row of zeros. Source: great-circle distance; D4 in the appendix.
    """
    unit = unit_rows(embedding)
    return 2.0 * np.arctan2(_distances(unit, unit), _distances(unit, -unit))


def blend(first, second, weight):
    """Mix two costs linearly, for instance the 0/1 and the cosine cost.

    Formula: `(1 - weight) * first + weight * second`. Shape: both (n, n), returns (n, n). Units: those of the costs.
    Raises ValueError for costs that are not square, not finite or not of one size, and for a weight outside [0, 1].
    Source: A5 is linear in the cost, so that losses mix as costs do.
    """
    first = inputs.square_cost("first", first)
    second = inputs.square_cost("second", second, first.shape[0])
    weight = inputs.number("weight", weight, low=0, high=1)
    return (1.0 - weight) * first + weight * second


def class_cost(classes, within=0.0, between=1.0):
    """The cost of tokens in classes (of synonyms, say): little inside a class, more across, nothing for staying.

    Formula: `c_ii = 0`, `c_ij = within` for two tokens of one class, `between` otherwise. Shape: classes (V,) integers,
    returns (V, V). Units: none. Raises ValueError for classes that are no integers and unless `0 <= within <= between`.
    Source: two levels of the 0/1 cost (A7).

    >>> class_cost([0, 0, 1], within=0.25)
    array([[0.  , 0.25, 1.  ],
           [0.25, 0.  , 1.  ],
           [1.  , 1.  , 0.  ]])
    """
    classes, between = inputs.integers("classes", classes, ndim=1), inputs.number("between", between, low=0)
    within = inputs.number("within", within, low=0, high=between)
    return np.where(classes[:, None] == classes, within, between) * (1.0 - np.eye(classes.size))


@dataclass(frozen=True)
class MetricReport:
    """Which of a metric's four axioms a cost matrix obeys, and the worst broken triangle.

    `triangle_excess` is the largest `c_ik - (c_ij + c_jk)` over all triples (for a metric at most 0, up to rounding),
    and `triple` is the (i, j, k) where it occurs. `is_metric` is True when all axioms hold; `is_pseudometric` lets
    different tokens be at distance 0.
    """

    zero_diagonal: bool
    symmetric: bool
    separates: bool
    triangle_excess: float
    triple: tuple
    is_pseudometric: bool
    is_metric: bool


def metric_report(cost, tolerance=1e-12):
    """Test a cost matrix against the axioms of a metric.

    Formula: D4; `c_ii = 0`, `c_ij = c_ji`, `c_ij > 0` for i != j, and `c_ik <= c_ij + c_jk` for all triples.
    Shape: cost (n, n); takes O(n^3) time and O(n^2) memory. Units: `tolerance` in the cost's own units.
    Raises ValueError for a cost that is not square or not finite, or a negative tolerance.
    Source: any text on metric spaces; D4 in the appendix.

    >>> metric_report([[0, .29, 1], [.29, 0, .29], [1, .29, 0]]).triple
    (0, 1, 2)
    """
    cost = inputs.square_cost("cost", cost)
    tolerance = inputs.number("tolerance", tolerance, low=0)
    n = cost.shape[0]
    worst, triple = -np.inf, (0, 0, 0)
    for j in range(n):
        excess = cost - (cost[:, j][:, None] + cost[j][None, :])
        at = int(np.argmax(excess))
        if excess.flat[at] > worst:
            worst, triple = float(excess.flat[at]), (at // n, j, at % n)
    zero = bool((np.abs(np.diag(cost)) <= tolerance).all())
    symmetric = bool((np.abs(cost - cost.T) <= tolerance).all())
    off = cost[~np.eye(n, dtype=bool)]
    pseudo = zero and symmetric and worst <= tolerance and bool((off >= -tolerance).all())
    separates = bool((off > tolerance).all())
    return MetricReport(zero, symmetric, separates, worst, triple, pseudo, pseudo and separates)
