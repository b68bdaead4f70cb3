"""Rows of lesson 08: D13, how long a wrong answer lasts, and D15, vectors from counts. (D14 speaks of a training objective and stands with those.)"""

import math

import numpy as np

from .. import transport
from ..world import vectors
from . import references
from .core import Row, register


def _starts():
    """(p_t, cost) of two tokens, from hopeless to even."""
    return [(p, cost) for p in (1e-6, 1e-3, 0.02, 0.2, 0.45, 0.5) for cost in (0.3, 1.0, 2.0)]


def _by_quadrature(c):
    """Both times as the integral of 1/speed over the difference of the logits, by Gauss and Legendre in many short pieces."""
    p, cost = c
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(math.log(p / (1 - p)), 0.0, 61)
    half = (edges[1:] - edges[:-1]) / 2
    s = ((edges[1:] + edges[:-1]) / 2)[:, None] + half[:, None] * nodes
    gradient = [
        np.array([references.complex_step(loss, [x, 0.0])[0] for x in s.ravel()]).reshape(s.shape)
        for loss in _losses(cost)
    ]
    return np.array([(half[:, None] * weights / (-2 * g)).sum() for g in gradient])


def _losses(cost):
    return (lambda z: -np.log(references.softmax(z)[0])), (lambda z: cost * references.softmax(z)[1])


register(
    Row(
        label="D13",
        name="escape-times",
        statement=r"T_{\mathrm{CE}} = \tfrac12(1 - o - \log o),\quad T_{\mathrm{EMO}} = \frac{1/o - o - 2\log o}{2c},\quad o = \frac{p_t}{1 - p_t}",
        kind="identity",
        code=(transport.escape_times,),
        reference="complex step and quadrature",
        instances=_starts,
        ours=lambda c: np.array(transport.escape_times(*c)),
        independent=_by_quadrature,
        wrong=lambda c: 2 * np.array(transport.escape_times(*c)),
        mistake="moves one logit only, so that the gap closes at half the speed",
        tolerance=1e-9,
        why="20 nodes in 60 pieces leave 1e-12 of a smooth integrand",
    )
)


def _counts():
    """Symmetric counts, with words that never meet."""
    rng = np.random.default_rng(15)
    for n, most in ((2, 4), (5, 3), (9, 30)):
        half = rng.integers(0, most, size=(n, n))
        yield half + half.T + np.eye(n, dtype=int)


def _by_loops(counts):
    total = sum(map(sum, counts.tolist()))
    rows = [sum(row) for row in counts.tolist()]
    return np.array(
        [
            [max(0.0, math.log(n * total / (rows[i] * rows[j]))) if n else 0.0 for j, n in enumerate(row)]
            for i, row in enumerate(counts.tolist())
        ]
    )


register(
    Row(
        label="D15",
        name="positive-mutual-information",
        statement=r"M_{ij} = \max\Big(0, \log\frac{n_{ij}\,n}{n_i\,n_j}\Big)",
        kind="identity",
        code=(vectors.ppmi,),
        reference="loops in Python",
        instances=lambda: list(_counts()),
        ours=vectors.ppmi,
        independent=_by_loops,
        wrong=lambda c: np.log(np.maximum(c, 1) * c.sum() / np.outer(c.sum(1), c.sum(1))) * (c > 0),
        mistake="keeps what is rarer than chance",
        tolerance=1e-12,
        why="a logarithm of a quotient of whole numbers",
    )
)
register(
    Row(
        label="D15",
        name="vectors-hold-the-matrix",
        statement=r"X = U\sqrt S \Rightarrow X\,\mathrm{diag}(X^\top X)\,X^\top = M M^\top",
        kind="identity",
        code=(vectors.ppmi_vectors,),
        reference="matrix product",
        instances=lambda: list(_counts()),
        ours=lambda c: (lambda x: x * (x**2).sum(0) @ x.T)(vectors.ppmi_vectors(c, len(c))),
        independent=lambda c: _by_loops(c) @ _by_loops(c).T,
        wrong=lambda c: (lambda x: x @ x.T)(vectors.ppmi_vectors(c, len(c))),
        mistake="expects X X' to be M M'",
        tolerance=1e-10,
        why="a singular value decomposition of nine rows",
    )
)
