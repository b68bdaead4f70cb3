"""Exact transport, its closed forms, bounds and cousins: what `verify` does not show. (Refusals: `test_refusals`.)"""

import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emo_teach import costs, divergences, transport
from emo_teach.verify.references import linear_program, softmax

from . import drawing

P, TAU, E = np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.4, 0.0]), np.array([[2.0, 0.0], [4.0, 3.0], [0.0, 3.0]])
C = costs.cosine(E)
pytestmark = pytest.mark.filterwarnings("error")  # solvers raise, and say nothing beside
PAIRS = st.integers(1, 7).flatmap(lambda n: st.tuples(drawing.distribution(n), drawing.distribution(n)))


@given(drawing.problems())
def test_emd_solves_the_linear_program(problem):
    p, tau, cost = problem
    solved = transport.emd(p, tau, cost)
    np.testing.assert_allclose(solved.plan.sum(1), p, atol=1e-14)
    np.testing.assert_allclose(solved.plan.sum(0), tau, atol=1e-14)
    assert solved.plan.min() >= 0
    assert abs((solved.plan * cost).sum() - solved.value) < 1e-12
    # a feasible dual of equal value is a certificate of optimality
    slack = cost - solved.u[:, None] - solved.v
    assert slack.min() > -1e-10
    # where there is no mass the potentials are the largest feasible ones
    np.testing.assert_allclose(slack[np.ix_(p > 0, tau == 0)].min(0), 0, atol=1e-10)
    np.testing.assert_allclose(slack[p == 0].min(1), 0, atol=1e-10)
    assert abs(solved.gap) < 1e-10 and abs(p @ solved.u + tau @ solved.v - solved.value) < 1e-10
    assert abs(tau @ solved.v) < 1e-12
    assert abs(solved.value - linear_program(p, tau, cost)[0]) < 1e-8


@given(drawing.problems(), st.floats(0.1, 10), st.floats(-5, 5))
def test_emd_moves_with_its_cost(problem, scale, shift):
    p, tau, cost = problem
    value = transport.emd(p, tau, cost).value
    assert abs(transport.emd(p, tau, scale * cost + shift).value - (scale * value + shift)) < 1e-10
    assert abs(transport.emd(tau, p, cost.T).value - value) < 1e-11


def test_emd_takes_sums_off_by_rounding():
    p = softmax(np.random.default_rng(0).normal(size=300)).astype(np.float32)
    tau = np.full(300, 1 / 300, dtype=np.float32)
    solved = transport.emd(p, tau, costs.zero_one(300))
    np.testing.assert_allclose(solved.plan.sum(1), p, atol=1e-9)
    assert abs(solved.value - divergences.total_variation(p, tau)) < 1e-6
    assert transport.emd(np.array([0.5, 0.5 + 5e-7]), [1, 0], costs.zero_one(2)).value == pytest.approx(0.5, abs=1e-6)


@pytest.mark.parametrize("solve", [transport.emd, transport.emd_many])
def test_a_solver_that_stops_early_is_an_error(solve):
    rng = np.random.default_rng(0)
    p, tau, cost = rng.dirichlet(np.ones(40)), rng.dirichlet(np.ones(40)), rng.uniform(size=(40, 40))
    with pytest.raises(transport.SolverError, match="size 40.*numItermax"):
        solve(p, tau, cost, max_iterations=1)
    assert issubclass(transport.SolverError, RuntimeError)


def test_sinkhorn_that_stops_early_is_an_error():
    with pytest.raises(transport.SolverError, match="regularisation 0.01 .* in 2 iterations"):
        transport.entropic(P, [0.1, 0.1, 0.8], C, 0.01, max_iterations=2)
    with pytest.raises(transport.SolverError):
        transport.sinkhorn_divergence(P, [0.1, 0.1, 0.8], C, 0.01, max_iterations=2)


@given(drawing.problems(), drawing.problems())
def test_emd_many_is_emd_one_by_one(first, second):
    p, tau, cost = first
    other = np.roll(p, 1)
    many = transport.emd_many(np.stack([p, other]), tau, np.stack([cost, cost.T]))
    for k, single in enumerate((transport.emd(p, tau, cost), transport.emd(other, tau, cost.T))):
        for field in ("value", "plan", "u", "v", "gap"):
            np.testing.assert_array_equal(getattr(many, field)[k], getattr(single, field))
    assert transport.emd_many(p, tau, cost).plan.shape == (1, p.size, p.size)


def test_stacks_of_distributions_broadcast():
    stack = np.stack([P, TAU])
    assert transport.product_bound(stack, TAU, C).shape == (2,)
    assert transport.debiased(stack[:, None], stack, C).shape == (2, 2)
    assert transport.one_hot_emd(stack, C, 1).shape == (2,)
    assert transport.emo(stack, E, 1).shape == (2,)
    assert transport.jensen_bound(stack, P, E).shape == (2,)
    assert transport.mean_direction(stack[None], E).shape == (1, 2, 2)
    gradients = [transport.one_hot_logit_gradient(p, C, 1) for p in stack]
    np.testing.assert_allclose(transport.one_hot_logit_gradient(stack, C, 1), gradients, atol=1e-15)


@given(PAIRS, st.lists(st.integers(-1, 3), min_size=7, max_size=7), st.floats(0, 1), st.floats(0, 2))
def test_class_emd_is_the_linear_programs_value(pair, classes, share, between):
    (p, truth), within = pair, share * between
    classes = classes[: p.size]
    right = transport.emd(p, truth, costs.class_cost(classes, within, between)).value
    assert transport.class_emd(p, truth, classes, within, between) == pytest.approx(right, abs=1e-12)
    masses = [[x[np.equal(classes, c)].sum() for c in range(-1, 4)] for x in pair]
    assert transport.class_emd(p, truth, classes) == pytest.approx(divergences.total_variation(*masses), abs=1e-14)


def test_medoid_takes_the_first_of_a_tie():
    assert transport.medoid([0.5, 0.5], costs.zero_one(2)) == 0
    assert transport.medoid([0.0, 0.5, 0.5], costs.zero_one(3)) == 1


@given(PAIRS, st.floats(1, 4))
def test_one_dimension(pair, power):
    p, tau = pair
    value = transport.emd_1d(p, tau, power)
    assert isinstance(value, float)
    assert abs(value - transport.emd(p, tau, costs.ordinal(p.size, power)).value) < 1e-10 * max(1, value)
    assert transport.emd_1d(p, p, power) < 1e-12
    assert abs(transport.emd_1d(p[::-1], tau[::-1], power) - value) < 1e-10 * max(1, value)


@given(drawing.token_problems(), st.floats(0.01, 100))
def test_entropic_plan_to_itself(problem, regularisation):
    """Where alternating steps would crawl: from tau to itself, at small regularisation."""
    _, tau, embedding, _ = problem
    cost = costs.cosine(embedding)
    value, plan = transport.entropic(tau, tau, cost, regularisation)
    np.testing.assert_allclose(plan.sum(1), tau, atol=1e-10)
    np.testing.assert_allclose(plan, plan.T, atol=1e-15)
    above = min(transport.product_bound(tau, tau, cost), regularisation * divergences.entropy(tau))
    assert -1e-10 <= value <= above + 1e-9
    assert abs(transport.sinkhorn_divergence(tau, tau, cost, regularisation)) < 1e-12


def test_entropic_plan_to_itself_agrees_with_alternating_steps():
    nudged = C + np.array([[0, 1e-14, 0], [0, 0, 0], [0, 0, 0]])  # no longer symmetric: the other way is taken
    for regularisation in (0.3, 3.0):
        own, other = (transport.entropic(P, P, cost, regularisation) for cost in (C, nudged))
        assert abs(own[0] - other[0]) < 1e-9
        np.testing.assert_allclose(own[1], other[1], atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(0.3, 30))
def test_potentials_give_the_value_and_its_gradient_for_a_batch(seed, regularisation):
    rng = np.random.default_rng(seed)
    p, tau, cost = rng.dirichlet(np.ones(4), 3), rng.dirichlet(np.ones(4)), rng.uniform(size=(4, 4))
    f, g = transport.sinkhorn_potentials(p, tau, cost, regularisation, tolerance=1e-11)
    assert f.shape == g.shape == (3, 4)
    plans = p[:, :, None] * tau * np.exp((f[:, :, None] + g[:, None] - cost) / regularisation)
    for k, (value, plan) in enumerate(transport.entropic(row, tau, cost, regularisation) for row in p):
        assert abs(p[k] @ f[k] + tau @ g[k] - value) < 1e-9
        np.testing.assert_allclose(plans[k], plan, atol=1e-9)
        np.testing.assert_allclose(plan.sum(1), p[k], atol=1e-9)
        np.testing.assert_allclose(plan.sum(0), tau, atol=1e-9)
    f, g = transport.symmetric_potentials(p, cost + cost.T, regularisation, tolerance=1e-11)
    right = [transport.entropic(row, row, cost + cost.T, regularisation)[0] for row in p]
    np.testing.assert_allclose((p * (f + g)).sum(-1), right, atol=1e-10)


@pytest.mark.parametrize("scale", [1.7e308, 1e300, 1e8, 1e-8, 1e-12, 1e-16, 1e-100, 1e-308])
def test_emd_is_as_exact_for_tiny_and_huge_costs(scale):
    """The solver's own tolerance is absolute: left alone it takes any plan for optimal under costs near 1e-16."""
    rng = np.random.default_rng(0)
    for low in (0, -0.4):  # no larger, so that no sum of two costs overflows in the check below
        p, tau, unit = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8)), rng.uniform(low, 0.5, size=(8, 8))
        solved = transport.emd(p, tau, unit * scale)
        assert abs(solved.value / scale - linear_program(p, tau, unit)[0]) < 1e-10
        assert (solved.u[:, None] / scale + solved.v / scale - unit).max() < 1e-12  # 2e-7 without scaling at 1e-8
        assert abs(solved.gap / scale) < 1e-13


def test_emd_takes_any_layout_of_its_arrays():
    tau = np.array([0.1, 0.2, 0.7])  # no zero in it: where there are zeros POT works on copies
    right = transport.emd(P, tau, C)
    views = {
        "slices with gaps": (np.repeat(P, 2)[::2], np.repeat(tau, 2)[::2], C.repeat(2, 0).repeat(2, 1)[::2, ::2]),
        "reversed views": (P[::-1].copy()[::-1], tau[::-1].copy()[::-1], C[::-1, ::-1].copy()[::-1, ::-1]),
        "columns first": (np.stack([P, P], 1)[:, 0], np.stack([tau, tau], 1)[:, 0], np.asfortranarray(C)),
        "big-endian": tuple(a.astype(">f8") for a in (P, tau, C)),
    }
    for name, problem in views.items():
        np.testing.assert_array_equal(transport.emd(*problem).plan, right.plan, err_msg=name)
    many = transport.emd_many(np.asfortranarray(np.stack([P, tau])), tau, C)
    np.testing.assert_array_equal(many.plan[0], right.plan)


def test_one_dimension_scales_what_rounding_left_over():
    p, tau = np.zeros(1000), np.zeros(1000)
    p[0], tau[0] = 1 - 9e-7, 1.0  # the same distribution; unscaled, the rest would travel 999 steps
    for power in (1.0, 2.0):
        assert transport.emd_1d(p, tau, power) < 1e-9 and transport.emd_1d(tau, p, power) < 1e-9


def test_threads_agree_with_one_after_another():
    rng = np.random.default_rng(0)
    problems = [(rng.dirichlet(np.ones(60)), rng.dirichlet(np.ones(60)), rng.uniform(size=(60, 60))) for _ in range(16)]
    alone = [transport.emd(*problem).value for problem in problems]
    before = list(warnings.filters)  # shared by all threads: without a lock one solver would undo another's
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda problem: transport.emd(*problem).value, problems)) == alone
    assert warnings.filters == before
