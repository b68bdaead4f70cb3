"""Slow and sure: the sums of the definitions in 60-digit decimal arithmetic or exact fractions, term by term, in plain Python."""

from decimal import Context, Decimal, localcontext
from fractions import Fraction

import numpy as np

DIGITS = 60
INFINITY = Decimal("Infinity")
_WIDE = Context(prec=DIGITS, Emin=-(10**9), Emax=10**9)


def decimals(values):
    """The exact decimal value of every float in a vector.

    Returns a list of n. Source: Python's `decimal`.
    """
    return [Decimal(float(v)) for v in values]


def xlog(x, y):
    """x log y for decimals.

    Formula: `x log y`, 0 where x = 0, minus infinity where y = 0 < x. Shape: single numbers. Units: nats.
    Raises nothing for x, y of at least 0. Source: the convention `0 log 0 = 0`.
    """
    if x == 0:
        return Decimal(0)
    return x * y.ln() if y > 0 else -INFINITY


def cross_entropy(tau, p):
    """Cross-entropy term by term.

    Formula: A2, `-sum_i tau_i log p_i`. Shape: (n,), (n,), returns a float. Units: nats. Raises nothing. Source: the definition.
    """
    with localcontext(_WIDE):
        return float(-sum(xlog(t, q) for t, q in zip(decimals(tau), decimals(p), strict=True)))


def entropy(tau):
    """Entropy term by term.

    Formula: A3, `-sum_i tau_i log tau_i`. Shape: (n,), returns a float. Units: nats. Raises nothing. Source: the definition.
    """
    return cross_entropy(tau, tau)


def skew_kl(tau, p, gamma):
    """KL from the label to its mixture with the model, term by term, the mixture in decimals too.

    Formula: D10, `KL(tau || gamma tau + (1 - gamma) p) / (1 - gamma)`. Shape: (n,), (n,), a number, returns a float. Units: nats.
    Raises nothing for gamma in [0, 1). Source: the definition.
    """
    share = Decimal(float(gamma))
    with localcontext(_WIDE):
        mixed = ((t, share * t + (1 - share) * q) for t, q in zip(decimals(tau), decimals(p), strict=True))
        return float(sum(xlog(t, t) - xlog(t, m) for t, m in mixed) / (1 - share))


def logit_cross_entropy(tau, logits):
    """Cross-entropy from logits, term by term.

    Formula: A2, `log sum_k exp(z_k) - sum_i tau_i z_i`. Shape: (n,), (n,), returns a float. Units: nats. Raises nothing. Source: the definition.
    """
    with localcontext(_WIDE):
        z = decimals(logits)
        return float(sum(x.exp() for x in z).ln() - _dot(decimals(tau), z))


def _js(u):
    return (xlog(u, u) - (u + 1) * ((u + 1) / 2).ln()) / 2


GENERATORS = {  # name: (f(u) for u > 0, f(0), slope of f at infinity)
    "KL": (lambda u: u * u.ln(), 0, INFINITY),
    "reverse KL": (lambda u: -u.ln(), INFINITY, 0),
    "total variation": (lambda u: abs(u - 1) / 2, Decimal(1) / 2, Decimal(1) / 2),
    "Jensen-Shannon": (_js, _WIDE.ln(Decimal(2)) / 2, _WIDE.ln(Decimal(2)) / 2),
    "squared Hellinger": (lambda u: (u.sqrt() - 1) ** 2 / 2, Decimal(1) / 2, Decimal(1) / 2),
    "Pearson chi2": (lambda u: (u - 1) ** 2, 1, INFINITY),
    "Neyman chi2": (lambda u: (u - 1) ** 2 / u, INFINITY, 1),
}


def power_generator(alpha):
    """The Cressie-Read generator in decimals, for alpha other than 0 and 1.

    Formula: `(u^alpha - 1 - alpha (u - 1)) / (alpha (alpha - 1))`. Shape: returns (f, f(0), slope at infinity). Units: none.
    Raises an arithmetic error of `decimal` at 0 and 1. Source: Cressie & Read (1984).
    """
    a = Decimal(float(alpha))
    with localcontext(_WIDE):
        at_zero = 1 / a if a > 0 else INFINITY
        slope = 1 / (1 - a) if a < 1 else INFINITY
    return lambda u: (u**a - 1 - a * (u - 1)) / (a * (a - 1)), at_zero, slope


def f_divergence(generator, tau, p):
    """An f-divergence term by term: `generator` is a name or a triple (f, f(0), slope at infinity).

    Formula: `sum_i p_i f(tau_i / p_i)`, with `tau_i` times the slope where p_i = 0. Shape: (n,), (n,), returns a float. Units: nats or none.
    Raises KeyError for an unknown name. Source: the definition.
    """
    f, at_zero, slope = GENERATORS[generator] if isinstance(generator, str) else generator
    total = Decimal(0)
    with localcontext(_WIDE):
        for t, q in zip(decimals(tau), decimals(p), strict=True):
            if q == 0:
                total += t * slope if t else 0
            else:
                total += q * (f(t / q) if t else at_zero)
        return float(total)


def cosine(embedding):
    """The cosine cost element by element.

    Formula: A8, `1 - <e_i, e_j> / (|e_i| |e_j|)`. Shape: (V, d), returns (V, V). Units: none. Raises a `decimal` error for a row of zeros.
    Source: the definition.
    """
    rows = [decimals(row) for row in embedding]
    with localcontext(_WIDE):
        lengths = [sum(x * x for x in row).sqrt() for row in rows]
        return np.array(
            [
                [float(1 - _dot(a, b) / (m * n)) for b, n in zip(rows, lengths, strict=True)]
                for a, m in zip(rows, lengths, strict=True)
            ]
        )


def chord(embedding):
    """Distance of the unit vectors element by element.

    Formula: D4, `|ê_i - ê_j|`. Shape: (V, d), returns (V, V). Units: none. Raises a `decimal` error for a row of zeros. Source: the definition.
    """
    rows = [decimals(row) for row in embedding]
    with localcontext(_WIDE):
        unit = [[x / sum(y * y for y in row).sqrt() for x in row] for row in rows]
        return np.array(
            [[float(sum((x - y) ** 2 for x, y in zip(a, b, strict=True)).sqrt()) for b in unit] for a in unit]
        )


def _dot(a, b):
    return sum((x * y for x, y in zip(a, b, strict=True)), start=Decimal(0))


def bilinear(p, cost, tau):
    """The double sum of the product plan, term by term.

    Formula: A6, `sum_ij p_i cost_ij tau_j`. Shape: (n,), (n, n), (n,), returns a float. Units: those of the cost. Raises nothing.
    Source: the definition.
    """
    a, b = [Fraction(float(x)) for x in p], [Fraction(float(x)) for x in tau]
    return float(
        sum(
            x * sum(Fraction(float(c)) * y for c, y in zip(row, b, strict=True) if y)
            for x, row in zip(a, cost, strict=True)
            if x
        )
    )


def squared_distance(p, tau, points):
    """Squared distance between two weighted means of points, term by term.

    Formula: D9, `|sum_i (p_i - tau_i) x_i|^2`. Shape: (n,), (n,), points (n, d), returns a float. Units: those of the points, squared.
    Raises nothing. Source: the definition.
    """
    weights = [Fraction(float(a)) - Fraction(float(b)) for a, b in zip(p, tau, strict=True)]
    means = (
        sum(w * Fraction(float(x)) for w, x in zip(weights, column, strict=True)) for column in np.asarray(points).T
    )
    return float(sum(m * m for m in means))


def rank(matrix):
    """Rank of an integer matrix by elimination in exact fractions.

    Formula: the number of pivots. Shape: (m, n), returns an integer. Units: none. Raises nothing. Source: Gauss.
    """
    rows = [[Fraction(int(x)) for x in row] for row in matrix]
    pivots = 0
    for column in range(len(rows[0])):
        pivot = next((k for k in range(pivots, len(rows)) if rows[k][column]), None)
        if pivot is None:
            continue
        rows[pivots], rows[pivot] = rows[pivot], rows[pivots]
        for k in range(pivots + 1, len(rows)):
            if rows[k][column]:
                ratio = rows[k][column] / rows[pivots][column]
                rows[k] = [x - ratio * y for x, y in zip(rows[k], rows[pivots], strict=True)]
        pivots += 1
    return pivots
