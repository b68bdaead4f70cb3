"""Rows of lesson 06, continued: D9, the debiased score."""

import numpy as np

from .. import costs, divergences, transport
from . import exact, instances, references
from .core import Row, register

ROUNDING = "float64 sums of products of size 2; clipping the cost moves entries by 1e-16"


def _unit(embedding):
    return embedding / np.sqrt((embedding**2).sum(axis=1, keepdims=True))


def _debiased(c, q=None):
    return transport.debiased(c.p if q is None else q, c.tau, costs.cosine(c.embedding))


register(
    Row(
        label="D9",
        name="debiased-is-a-squared-distance",
        statement=r"p^\top C\tau - \tfrac12 p^\top C p - \tfrac12 \tau^\top C\tau = \tfrac12 |m_p - m_\tau|^2",
        kind="identity",
        code=(transport.debiased, transport.jensen_bound),
        reference="exact sums of coordinates",
        instances=lambda: instances.token_cases(large=False),
        ours=lambda c: np.array([_debiased(c), transport.jensen_bound(c.p, c.tau, c.embedding)]),
        independent=lambda c: np.full(2, exact.squared_distance(c.p, c.tau, _unit(c.embedding)) / 2),
        wrong=lambda c: np.full(
            2, transport.product_bound(c.p, c.tau, c.cost) - transport.product_bound(c.p, c.p, c.cost)
        ),
        mistake="takes away the whole of p's own term, not half of it and half of tau's",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _expected(c, score):
    """Mean over labels t drawn from tau of score(t)."""
    return sum(mass * score(t) for t, mass in enumerate(c.tau) if mass > 0)


def _expected_debiased(c, q):
    cost = costs.cosine(c.embedding)
    return _expected(c, lambda t: transport.debiased(q, instances.one_hot(q.size, t), cost))


def _moment(c, sign=-1):
    unit = _unit(c.embedding)
    nothing = np.zeros(c.p.size)
    return exact.squared_distance(c.p, c.tau, unit) / 2 + 0.5 + sign * exact.squared_distance(c.tau, nothing, unit) / 2


register(
    Row(
        label="D9",
        name="expected-one-hot-score",
        statement=r"\mathbb E_{t\sim\tau}\,\tfrac12|m_p - \hat e_t|^2 = \tfrac12|m_p - m_\tau|^2 + \tfrac12(1 - |m_\tau|^2)",
        kind="identity",
        code=(transport.debiased,),
        reference="exact sums of coordinates",
        instances=lambda: instances.token_cases(large=False, per_pair=1),
        ours=lambda c: _expected_debiased(c, c.p),
        independent=_moment,
        wrong=lambda c: _moment(c, sign=1),
        mistake="has the wrong sign in the constant: 1 + |m_tau|^2",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _candidates(c):
    """Rivals of the label: the model, the corners, small steps from the label to a corner, random ones."""
    rng = np.random.default_rng(instances.SEED + c.p.size)
    corners = np.eye(c.p.size)[:8]
    return [c.p, *corners, *(0.99 * c.tau + 0.01 * corners), *(instances.spread(rng, c.p.size) for _ in range(6))]


def _coordinate_score(c, q):
    """Expected one-hot score from coordinates: E ½ |m_q - ê_t|^2."""
    unit = _unit(c.embedding)
    mean = q @ unit
    return 0.5 * float(c.tau @ ((mean - unit) ** 2).sum(axis=1))


register(
    Row(
        label="D9",
        name="proper",
        statement=r"\mathbb E_{t\sim\tau} S(\tau, t) \le \mathbb E_{t\sim\tau} S(q, t) \ \forall q,\quad S(q, t) = \tfrac12|m_q - \hat e_t|^2",
        kind="bound",
        code=(transport.debiased,),
        reference="coordinates, many rivals",
        instances=lambda: instances.token_cases(large=False, per_pair=1),
        ours=lambda c: _expected_debiased(c, c.tau),
        independent=lambda c: min(_coordinate_score(c, q) for q in _candidates(c)),
        wrong=lambda c: transport.product_bound(c.tau, c.tau, c.cost),
        wrong_independent=lambda c: min(transport.product_bound(q, c.tau, c.cost) for q in _candidates(c)),
        mistake="makes the same claim of the product bound (EMO), which is not debiased",
        tolerance=1e-12,
        why=ROUNDING,
    )
)
register(
    Row(
        label="D9",
        name="brier",
        statement=r"c_{ij} = 1 - \delta_{ij} \Rightarrow p^\top C\tau - \tfrac12 p^\top C p - \tfrac12 \tau^\top C\tau = \tfrac12|p - \tau|^2",
        kind="identity",
        code=(transport.debiased, costs.zero_one),
        reference="sum in exact fractions",
        instances=lambda: instances.token_cases(per_pair=1),
        ours=lambda c: transport.debiased(c.p, c.tau, costs.zero_one(c.p.size)),
        independent=lambda c: exact.squared_distance(c.p, c.tau, np.eye(c.p.size)) / 2,
        wrong=lambda c: ((c.p - c.tau) ** 2).sum(),
        mistake="forgets the half",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _crowded(extra):
    """(tau, unit vectors, direction) with V = d + 1 + extra tokens in d dimensions."""
    rng = np.random.default_rng(instances.SEED)
    for d in (2, 3, 5):
        unit = _unit(rng.normal(size=(d + 1 + extra, d)))
        yield np.full(d + 1 + extra, 1 / (d + 1 + extra)), unit, rng.normal(size=d + 1 + extra)


def _blind_spot(c, unit=None):
    """Total variation to another distribution of the same mean, less the score that should have told them apart."""
    tau, points, direction = c
    other = references.same_mean(tau, points, direction)
    return divergences.total_variation(other, tau) - transport.debiased(other, tau, costs.cosine(points))


def _blind_spot_by_hand(c):
    tau, points, direction = c
    other = references.same_mean(tau, points, direction)
    apart = sum(max(a - b, 0.0) for a, b in zip(other.tolist(), tau.tolist(), strict=True))
    return apart - exact.squared_distance(other, tau, points) / 2


def _on_a_simplex(c):
    """The same with the first d + 1 tokens only, which are affinely independent."""
    tau, points, direction = c
    n = points.shape[1] + 1
    return _blind_spot((np.full(n, 1 / n), points[:n], direction[:n]))


register(
    Row(
        label="D9",
        name="not-strictly-proper",
        statement=r"V > d + 1 \Rightarrow \exists\, q \ne \tau:\ m_q = m_\tau: \text{ the score pins the mean only}",
        kind="witness",
        code=(transport.debiased, costs.cosine),
        reference="exact sums of coordinates",
        instances=lambda: _crowded(3),
        ours=_blind_spot,
        independent=_blind_spot_by_hand,
        wrong=_on_a_simplex,
        mistake="makes the same claim of V = d + 1 affinely independent tokens",
        tolerance=1e-9,
        why="HiGHS keeps its constraints to 1e-10",
        threshold=0.05,
    )
)
