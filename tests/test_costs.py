"""Costs: what `verify` does not show. (Refusals: `test_refusals`.)"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emo_teach import costs

from . import drawing

E = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 2.0]])


def test_unit_rows_of_extreme_lengths():
    unit = costs.unit_rows([[3e-320, 0.0], [0.0, -1e300], [1e200, 1e200]])
    np.testing.assert_allclose(unit, [[1, 0], [0, -1], [0.5**0.5, 0.5**0.5]], atol=1e-14)


def test_tokens_of_one_direction_are_at_distance_zero():
    rows = np.random.default_rng(0).normal(size=(5, 7))
    both = np.concatenate([rows, 3 * rows, -7 * rows])
    for distance in (costs.chord(both), costs.angle(both)):
        report = costs.metric_report(distance)
        assert report.is_pseudometric and not report.is_metric
        assert np.diag(distance[:5, 5:10]).max() < 1e-15
    np.testing.assert_allclose(np.diag(costs.angle(both)[:5, 10:]), np.pi, rtol=1e-15)


@given(st.integers(1, 6).flatmap(lambda n: st.tuples(drawing.cost(n), drawing.cost(n))), st.floats(0, 1))
def test_blend_is_linear(pair, weight):
    first, second = pair
    np.testing.assert_array_equal(costs.blend(first, second, 0), first)
    np.testing.assert_array_equal(costs.blend(first, second, 1), second)
    np.testing.assert_allclose(costs.blend(first, second, weight), first + weight * (second - first), atol=1e-13)


@given(st.integers(1, 6).flatmap(drawing.cost))
def test_metric_report_finds_the_worst_triangle(cost):
    report = costs.metric_report(cost)
    n = len(cost)
    worst = max(cost[i, k] - (cost[i, j] + cost[j, k]) for i in range(n) for j in range(n) for k in range(n))
    i, j, k = report.triple
    assert report.triangle_excess == worst == cost[i, k] - (cost[i, j] + cost[j, k])
    assert report.zero_diagonal == all(abs(cost[i, i]) <= 1e-12 for i in range(n))


def test_metric_report_on_known_costs():
    assert costs.metric_report(costs.zero_one(4)).is_metric
    assert costs.metric_report(costs.ordinal(5)).is_metric
    assert not costs.metric_report(costs.ordinal(5, 2)).is_pseudometric
    report = costs.metric_report(costs.cosine(E))
    assert (report.zero_diagonal, report.symmetric, report.separates, report.is_metric) == (True, True, True, False)
    assert not costs.metric_report([[0, 1], [2, 0]]).symmetric
    assert not costs.metric_report([[0, -1], [-1, 0]]).separates
    assert costs.metric_report([[0, 0], [0, 0]]).is_pseudometric and not costs.metric_report([[0, 0], [0, 0]]).is_metric
