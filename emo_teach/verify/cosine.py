"""Rows of lesson 05: A8 and D3. (D4 is in `metric`, D12 in `entropic`.)"""

import math

import numpy as np

from .. import costs, transport
from . import exact, instances, references
from .core import Row, register

SOLVERS = "HiGHS keeps its constraints to 1e-10"


def _small():
    return [c for c in instances.token_cases(large=False) if c.p.size <= 13]


register(
    Row(
        label="A8",
        name="cosine-cost",
        statement=r"c_{ij} = 1 - \cos(e_i, e_j)",
        kind="identity",
        code=(costs.cosine, costs.unit_rows),
        reference="60 digits, element by element",
        instances=_small,
        ours=lambda c: costs.cosine(c.embedding),
        independent=lambda c: exact.cosine(c.embedding),
        wrong=lambda c: 1 - c.embedding @ c.embedding.T,
        mistake="does not divide by the lengths",
        tolerance=1e-12,
        why="one dot product of unit vectors",
    )
)


def _range(cost):
    return np.array([-cost.min(), cost.max(), np.abs(np.diag(cost)).max()])


def _plain_cosine(c):
    unit = c.embedding / np.linalg.norm(c.embedding, axis=1, keepdims=True)
    return _range(1 - unit @ unit.T)


register(
    Row(
        label="A8",
        name="cosine-range",
        statement=r"0 \le c_{ij} \le 2,\quad c_{ii} = 0, \text{ exactly, in spite of rounding}",
        kind="bound",
        code=(costs.cosine,),
        reference="Cauchy-Schwarz",
        instances=instances.token_cases,
        ours=lambda c: _range(costs.cosine(c.embedding)),
        independent=lambda c: np.array([0.0, 2.0, 0.0]),
        wrong=_plain_cosine,
        mistake="neither cuts off the rounding nor sets the diagonal to 0",
        tolerance=0.0,
        why="exact by construction",
    )
)
register(
    Row(
        label="D3",
        name="jensen-bound",
        statement=r"\tfrac12 |m_p - m_\tau|^2 \le C[p,\tau],\quad m_p = \sum_i p_i \hat e_i",
        kind="bound",
        code=(transport.jensen_bound, transport.mean_direction),
        reference="LP by HiGHS",
        instances=lambda: instances.token_cases(large=False),
        ours=lambda c: transport.jensen_bound(c.p, c.tau, c.embedding),
        independent=lambda c: references.linear_program(c.p, c.tau, c.cost)[0],
        wrong=lambda c: 2 * transport.jensen_bound(c.p, c.tau, c.embedding),
        mistake="forgets the half",
        tolerance=1e-10,
        why=SOLVERS,
    )
)


def _cosine_of_means(c):
    a, b = (transport.mean_direction(x, c.embedding) for x in (c.p, c.tau))
    return 1 - a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-300)


register(
    Row(
        label="D3",
        name="mean-direction-bound",
        statement=r"C[p,\tau] \le p^\top C\, \tau = 1 - \langle m_p, m_\tau\rangle",
        kind="bound",
        code=(transport.mean_direction, transport.product_bound),
        reference="LP by HiGHS",
        instances=lambda: instances.token_cases(large=False),
        ours=lambda c: np.array(
            [
                transport.product_bound(c.p, c.tau, costs.cosine(c.embedding)),
                1 - transport.mean_direction(c.p, c.embedding) @ transport.mean_direction(c.tau, c.embedding),
            ]
        ),
        independent=lambda c: np.full(2, references.linear_program(c.p, c.tau, c.cost)[0]),
        sense=">=",
        wrong=lambda c: np.full(2, _cosine_of_means(c)),
        mistake="divides the mean directions by their lengths",
        tolerance=1e-10,
        why=SOLVERS,
    )
)


def _spread_terms(c):
    """The three terms of the decomposition, from coordinates, in exact sums of products."""
    unit = (c.embedding / np.abs(c.embedding).max(1, keepdims=True)).tolist()
    unit = [[x / math.sqrt(math.fsum(y * y for y in row)) for x in row] for row in unit]
    nothing = np.zeros(c.p.size)
    gap = exact.squared_distance(c.p, c.tau, unit) / 2
    own_p, own_tau = ((1 - exact.squared_distance(x, nothing, unit)) / 2 for x in (c.p, c.tau))
    return gap, own_p, own_tau


register(
    Row(
        label="D3",
        name="decomposition",
        statement=r"p^\top C \tau = \tfrac12|m_p - m_\tau|^2 + \tfrac12(1 - |m_p|^2) + \tfrac12(1 - |m_\tau|^2),"
        r"\quad \tfrac12 p^\top C p = \tfrac12(1 - |m_p|^2)",
        kind="identity",
        code=(transport.product_bound, transport.jensen_bound, costs.cosine),
        reference="exact sums of coordinates",
        instances=lambda: instances.token_cases(large=False),
        ours=lambda c: np.array(
            [
                transport.product_bound(c.p, c.tau, costs.cosine(c.embedding)),
                transport.jensen_bound(c.p, c.tau, c.embedding),
                0.5 * transport.product_bound(c.p, c.p, costs.cosine(c.embedding)),
            ]
        ),
        independent=lambda c: np.array([sum(_spread_terms(c)), *_spread_terms(c)[:2]]),
        wrong=lambda c: np.array(
            [
                transport.jensen_bound(c.p, c.tau, c.embedding)
                + 1
                - np.linalg.norm(transport.mean_direction(c.p, c.embedding)),
                transport.jensen_bound(c.p, c.tau, c.embedding),
                0.5 * (1 - np.linalg.norm(transport.mean_direction(c.p, c.embedding))),
            ]
        ),
        mistake="takes the mean's length where its square belongs",
        tolerance=1e-12,
        why="float64 sums; clipping the cost at 0 moves entries by 1e-16",
    )
)
