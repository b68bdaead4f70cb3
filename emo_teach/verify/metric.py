"""Rows of lesson 05, continued: D4, which of the costs are metrics."""

from itertools import product

import numpy as np

from .. import costs, transport
from . import exact, instances, references
from .core import Row, register

SOLVERS = "HiGHS keeps its constraints to 1e-10"


def _small():
    return [c for c in instances.token_cases(large=False) if c.p.size <= 13]


register(
    Row(
        label="D4",
        name="chord-and-angle",
        statement=r"|\hat e_i - \hat e_j|,\quad \tfrac12|\hat e_i - \hat e_j|^2 = 1 - \cos,\quad \angle_{ij} = 2\arcsin\tfrac12|\hat e_i - \hat e_j|",
        kind="identity",
        code=(costs.chord, costs.angle),
        reference="60 digits, element by element",
        instances=_small,
        ours=lambda c: np.stack(
            [costs.chord(c.embedding), costs.chord(c.embedding) ** 2 / 2, 2 * np.sin(costs.angle(c.embedding) / 2)]
        ),
        independent=lambda c: np.stack([exact.chord(c.embedding), exact.cosine(c.embedding), exact.chord(c.embedding)]),
        wrong=lambda c: np.stack(
            [np.sqrt(costs.cosine(c.embedding)), costs.cosine(c.embedding), np.sqrt(costs.cosine(c.embedding))]
        ),
        mistake="takes the root of 1 - cos without the factor 2",
        tolerance=1e-12,
        why="differences of unit vectors, exact to 1e-16 even between equal directions",
    )
)


def _excess(distance):
    """Largest broken triangle by enumeration."""
    d = distance.tolist()
    return max(d[i][k] - d[i][j] - d[j][k] for i, j, k in product(range(len(d)), repeat=3))


register(
    Row(
        label="D4",
        name="chord-and-angle-are-metrics",
        statement=r"d_{ik} \le d_{ij} + d_{jk} \text{ for the chord and for the angle}",
        kind="bound",
        code=(costs.metric_report, costs.chord, costs.angle),
        reference="the axiom: no excess",
        instances=lambda: instances.token_cases(large=False),
        ours=lambda c: np.array(
            [costs.metric_report(d(c.embedding)).triangle_excess for d in (costs.chord, costs.angle)]
        ),
        independent=lambda c: np.array([0.0, 0.0]),
        wrong=lambda c: np.full(2, costs.metric_report(costs.cosine(c.embedding)).triangle_excess),
        mistake="makes the same claim of 1 - cos",
        tolerance=1e-12,
        why="lengths and angles exact to 1e-15",
    )
)


def _fans():
    """Three directions in a plane, a middle one between two others; and three among random ones."""
    yield np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    yield np.array([[3.0, 0.0, 0.0], [0.0, 0.5, 0.1], [-2.0, 0.0, 0.0], [0.7, 0.7, 0.0]])


register(
    Row(
        label="D4",
        name="cosine-cost-is-no-metric",
        statement=r"\exists\, i, j, k:\ c_{ik} > c_{ij} + c_{jk} \text{ for } c = 1 - \cos \ (0°, 45°, 90°)",
        kind="witness",
        code=(costs.metric_report, costs.cosine),
        reference="60 digits, all triples",
        instances=_fans,
        ours=lambda e: costs.metric_report(costs.cosine(e)).triangle_excess,
        independent=lambda e: _excess(exact.cosine(e)),
        wrong=lambda e: costs.metric_report(costs.chord(e)).triangle_excess,
        mistake="makes the same claim of the chord",
        tolerance=1e-12,
        why="three entries of the cost",
        threshold=0.1,
    )
)
register(
    Row(
        label="D4",
        name="half-squared-w2",
        statement=r"C[p,\tau] \text{ under } 1 - \cos = \tfrac12 W_2^2 \text{ under the chord}",
        kind="identity",
        code=(transport.emd, costs.cosine),
        reference="LP on squared chords",
        instances=_small,
        ours=lambda c: transport.emd(c.p, c.tau, costs.cosine(c.embedding)).value,
        independent=lambda c: 0.5 * references.linear_program(c.p, c.tau, exact.chord(c.embedding) ** 2)[0],
        wrong=lambda c: 0.5 * transport.emd(c.p, c.tau, costs.chord(c.embedding)).value ** 2,
        mistake="squares W_1 instead of the distances inside",
        tolerance=1e-9,
        why=SOLVERS,
    )
)


def _corner_excess(cost, distance):
    """Broken triangle of a transport distance between the first, second and third one-hot distribution."""
    a, b, c = np.eye(len(cost))[:3]
    return distance(a, c, cost) - distance(a, b, cost) - distance(b, c, cost)


def _emd_value(p, tau, cost):
    return transport.emd(p, tau, cost).value


def _lp_value(p, tau, cost):
    return references.linear_program(p, tau, cost)[0]


register(
    Row(
        label="D4",
        name="emd-is-no-metric",
        statement=r"\exists\, p, q, r:\ C[p,r] > C[p,q] + C[q,r] \text{ under } 1 - \cos",
        kind="witness",
        code=(transport.emd, costs.cosine),
        reference="LP by HiGHS",
        instances=lambda: [next(_fans())],
        ours=lambda e: _corner_excess(costs.cosine(e), _emd_value),
        independent=lambda e: _corner_excess(exact.cosine(e), _lp_value),
        wrong=lambda e: _corner_excess(costs.chord(e), _emd_value),
        mistake="makes the same claim under the chord, where it is W_1",
        tolerance=1e-9,
        why=SOLVERS,
        threshold=0.1,
    )
)


def _shortest(cost):
    """The largest pseudometric below a symmetric cost: shortest paths (Floyd and Warshall)."""
    d = cost.copy()
    for k in range(len(d)):
        d = np.minimum(d, d[:, k, None] + d[k])
    return d


def _fan_problems():
    yield next(_fans()), np.array([1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0])
    yield next(_fans()), np.array([0.7, 0.0, 0.3]), np.array([0.1, 0.2, 0.7])


def _no_w1(cost, p, tau):
    return transport.emd(p, tau, cost).value - transport.emd(p, tau, _shortest(cost)).value


register(
    Row(
        label="D4",
        name="no-lipschitz-dual",
        statement=r"\max_{f_i - f_j \le c_{ij}} \langle f, p - \tau\rangle < C[p,\tau] \text{ somewhere under } 1 - \cos",
        kind="witness",
        code=(transport.emd, costs.cosine),
        reference="Lipschitz dual as an LP",
        instances=_fan_problems,
        ours=lambda c: _no_w1(costs.cosine(c[0]), c[1], c[2]),
        independent=lambda c: (
            _lp_value(c[1], c[2], exact.cosine(c[0])) - references.lipschitz_dual(c[1], c[2], exact.cosine(c[0]))
        ),
        wrong=lambda c: _no_w1(costs.chord(c[0]), c[1], c[2]),
        mistake="makes the same claim under the chord, a metric",
        tolerance=1e-9,
        why=SOLVERS,
        threshold=0.1,
    )
)


def _triples():
    """(embedding, three distributions): random ones, a stop at the start, and the corners of the fan, where the triangle of C itself breaks."""
    rng = np.random.default_rng(instances.SEED)
    yield next(_fans()), np.eye(3)
    yield next(_fans()), np.eye(3)[[0, 0, 2]]
    for n in (3, 4, 6, 8):
        yield rng.normal(size=(n, 3)), np.stack([instances.spread(rng, n, 0.5) for _ in range(3)])


def _sides(value, c):
    """The transport costs of the direct way and of the two legs, under 1 - cos."""
    cost, (a, b, d) = exact.cosine(c[0]), c[1]
    return value(a, d, cost), value(a, b, cost), value(b, d, cost)


register(
    Row(
        label="D4",
        name="root-of-emd-is-a-metric",
        statement=r"\sqrt{C[p,r]} \le \sqrt{C[p,q]} + \sqrt{C[q,r]} \text{ under } 1 - \cos, \text{ for } C = \tfrac12 W_2^2",
        kind="bound",
        code=(transport.emd,),
        reference="LP by HiGHS",
        instances=_triples,
        ours=lambda c: _sides(_emd_value, c)[0] ** 0.5,
        independent=lambda c: sum(max(leg, 0.0) ** 0.5 for leg in _sides(_lp_value, c)[1:]),
        wrong=lambda c: _sides(_emd_value, c)[0],
        wrong_independent=lambda c: sum(_sides(_lp_value, c)[1:]),
        mistake="makes the same claim of C without the root",
        tolerance=1e-9,
        why=SOLVERS + "; what is below the bound is far from 0, where a root would magnify that",
    )
)
register(
    Row(
        label="D4",
        name="lipschitz-dual-of-metrics",
        statement=r"\max_{f_i - f_j \le d_{ij}} \langle f, p - \tau\rangle = C[p,\tau] \text{ under a metric } d \text{ (Kantorovich, Rubinstein)}",
        kind="identity",
        code=(transport.emd,),
        reference="Lipschitz dual as an LP",
        instances=lambda: (
            [next(_fan_problems())]
            + [(c.embedding, c.p, c.tau) for c in instances.token_cases(large=False) if 1 < c.p.size <= 7]
        ),
        ours=lambda c: np.array([_emd_value(c[1], c[2], d(c[0])) for d in (costs.chord, costs.angle)]),
        independent=lambda c: np.array(
            [references.lipschitz_dual(c[1], c[2], d(c[0])) for d in (costs.chord, costs.angle)]
        ),
        wrong=lambda c: np.full(2, _emd_value(c[1], c[2], costs.cosine(c[0]))),
        wrong_independent=lambda c: np.full(2, references.lipschitz_dual(c[1], c[2], costs.cosine(c[0]))),
        mistake="makes the same claim under 1 - cos, which is no metric",
        tolerance=1e-9,
        why=SOLVERS,
    )
)
