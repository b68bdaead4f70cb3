"""Divergences: what `verify` does not show, at the ends of float64 above all, and what each refuses."""

import math

import numpy as np
import pytest

from emo_teach import divergences as dv
from emo_teach.verify import references

from . import drawing

P, TAU = np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.4, 0.0])
CALLS = {
    "entropy": (dv.entropy, {"p": P}),
    "log_loss": (dv.log_loss, {"p": P, "target": 0}),
    "cross_entropy": (dv.cross_entropy, {"tau": TAU, "p": P}),
    "kl": (dv.kl, {"tau": TAU, "p": P}),
    "total_variation": (dv.total_variation, {"p": P, "tau": TAU}),
    "alpha_generator": (dv.alpha_generator, {"alpha": 0.5}),
    "f_divergence": (dv.f_divergence, {"generator": "KL", "tau": TAU, "p": P}),
    "logit_gradient": (dv.logit_gradient, {"generator": "KL", "tau": TAU, "p": P}),
    "one_hot_loss": (dv.one_hot_loss, {"generator": "KL", "p_t": 0.5}),
    "one_hot_logit_gradient": (dv.one_hot_logit_gradient, {"generator": "KL", "p_t": 0.5}),
    "overconfidence_loss": (dv.overconfidence_loss, {"p_t": 0.5, "gamma": 0.1}),
}
P_T = {
    "negative": (-0.1, "-0.1"),
    "above 1": ([0.5, 1.1], "1.1"),
    "NaN": ([np.nan], "[0] = nan"),
    "empty": ([], "empty"),
}
ONE_HOT = ("one_hot_loss", "one_hot_logit_gradient")
BAD_ALPHA = (("infinite", np.inf, "inf"), ("NaN", np.nan, "nan"), ("text", "KL", "'KL'"))
BAD_GAMMA = (("one", 1.0, "1"), ("negative", -0.1, "-0.1"), ("NaN", np.nan, "nan"))
EXTRA = [
    *((name, "p_t", kind, *bad) for name in (*ONE_HOT, "overconfidence_loss") for kind, bad in P_T.items()),
    *((f, "generator", "unknown", "kullback", "'kullback'") for f in ("f_divergence", "logit_gradient", *ONE_HOT)),
    ("one_hot_logit_gradient", "p_t", "zero", 0.0, "p_t = 0"),
    *(("alpha_generator", "alpha", *bad) for bad in BAD_ALPHA),
    *(("overconfidence_loss", "gamma", *bad) for bad in BAD_GAMMA),
]
REFUSALS = list(drawing.refusals(CALLS, [(*extra, (text,)) for *extra, text in EXTRA]))
EXTREMES = (0.0, 5e-324, 1e-310, 1e-300, 1e-160, 1e-20, 0.3, 1 - 1e-16, 1.0)
ALPHAS = (-3.0, -1.0, -1e-9, 0.0, 1.0, 1e-14, 1e-9, 0.3, 0.5, 0.99, 1 - 1e-12, 1 + 1e-9, 2.0, 14.0)


def generators():
    """All named generators and some powers."""
    yield from dv.GENERATORS.values()
    yield from map(dv.alpha_generator, ALPHAS)


def close(a, b, tolerance=1e-9):
    """Equal, infinities included, up to rounding."""
    return a == b or abs(a - b) <= tolerance * max(1.0, abs(b))


def test_every_public_function_is_tried():
    assert set(CALLS) == drawing.public_functions(dv)


@pytest.mark.parametrize(
    ("name", "argument", "kind", "value", "fragments"), REFUSALS, ids=lambda x: x if isinstance(x, str) else ""
)
def test_refuses(name, argument, kind, value, fragments):
    drawing.assert_refused(CALLS, name, argument, kind, value, fragments)


@pytest.mark.parametrize("name", CALLS)
def test_leaves_its_inputs_alone(name):
    drawing.assert_untouched(CALLS, name)


@pytest.mark.parametrize("generator", list(generators()), ids=lambda generator: generator.name)
def test_generator(generator):
    u = np.linspace(0.05, 4, 80)
    assert abs(generator.f(1.0)) < 1e-15
    assert (generator.f(u) >= 0).all() or generator.name in ("KL", "reverse KL")
    assert (np.diff(generator.f(u), 2) > -1e-12).all()  # convex
    assert generator.at_zero == generator.perspective(np.float64(0), np.float64(1))
    assert generator.slope_at_infinity == generator.perspective(np.float64(1), np.float64(0))
    if math.isfinite(generator.at_zero):
        assert close(generator.f(1e-300), generator.at_zero, 1e-6) or abs(float(generator.name.split()[-1])) < 1e-2
    if math.isfinite(generator.slope_at_infinity) and "alpha" not in generator.name:
        assert close(generator.perspective(np.float64(1), np.float64(1e-300)), generator.slope_at_infinity, 1e-6)


@pytest.mark.parametrize("generator", list(generators()), ids=lambda generator: generator.name)
def test_terms_stay_exact_at_the_ends_of_float64(generator):
    for a in EXTREMES:
        for b in EXTREMES:
            expected = references.f_divergence(generator, [a], [b])
            assert close(float(generator.perspective(np.float64(a), np.float64(b))), expected), (a, b)
            assert math.isfinite(generator.pull(np.float64(a), np.float64(b))) or not math.isfinite(expected), (a, b)


@pytest.mark.parametrize("near", [1e-13, 1e-10, 1e-7, 1e-300, 5e-324])
def test_alpha_runs_through_its_limits(near):
    rng = np.random.default_rng(0)
    tau, p = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    for alpha, limit in ((0.0, "reverse KL"), (1.0, "KL")):
        expected = dv.f_divergence(limit, tau, p)
        assert close(dv.f_divergence(dv.alpha_generator(alpha), tau, p), expected, 1e-14)
        for side in (alpha - near, alpha + near):
            assert close(dv.f_divergence(dv.alpha_generator(side), tau, p), expected, 10 * near + 1e-14)
            gradient = dv.logit_gradient(dv.alpha_generator(side), tau, p)
            np.testing.assert_allclose(gradient, dv.logit_gradient(limit, tau, p), atol=10 * near + 1e-13)


def test_named_members_of_the_power_family():
    tau, p = np.array([0.2, 0.5, 0.3]), P
    for alpha, name, factor in ((2, "Pearson chi2", 0.5), (-1, "Neyman chi2", 0.5), (0.5, "squared Hellinger", 4)):
        assert close(dv.f_divergence(dv.alpha_generator(alpha), tau, p), factor * dv.f_divergence(name, tau, p), 1e-14)


def test_a_perfect_model_loses_exactly_nothing():
    assert dv.kl(TAU, TAU) == 0 and math.copysign(1, dv.log_loss([1.0, 0.0], 0)) == 1  # 0, not -0
    assert dv.f_divergence("squared Hellinger", TAU, np.stack([P, TAU])).tolist()[1:] == [0]


def test_logit_gradient_at_the_edges():
    np.testing.assert_allclose(dv.logit_gradient("KL", TAU, P), P - TAU, atol=1e-16)
    np.testing.assert_allclose(dv.logit_gradient("KL", [0.5, 0.5], [5e-324, 1.0]), [-0.5, 0.5], atol=1e-15)
    assert np.isnan(dv.logit_gradient("KL", [0.5, 0.5], [0.0, 1.0])).all()  # infinite loss
    np.testing.assert_array_equal(dv.logit_gradient("Jensen-Shannon", [0.5, 0.5], [0.0, 1.0])[0], 0)  # no mass, no pull


def test_one_hot_gradient_of_the_published_kinds():
    p_t = np.array([5e-324, 1e-300, 1e-6, 0.3, 1.0])
    np.testing.assert_allclose(dv.one_hot_logit_gradient("KL", p_t), p_t - 1, atol=1e-15)
    by_hand = -p_t * (1 - p_t)
    np.testing.assert_allclose(dv.one_hot_logit_gradient("total variation", p_t), by_hand, rtol=1e-14, atol=1e-320)
    assert np.isnan(dv.one_hot_logit_gradient("reverse KL", p_t)).all()


@pytest.mark.parametrize("name", ["cross_entropy", "kl", "total_variation", "f_divergence", "logit_gradient"])
def test_stacks_that_do_not_broadcast_are_named(name):
    function, arguments = CALLS[name]
    with pytest.raises(ValueError, match=r"(p|tau) \(\d, 3\) and (p|tau) \(\d, 3\) do not broadcast"):
        function(**{**arguments, "p": np.stack([P] * 2), "tau": np.stack([TAU] * 4)})


@pytest.mark.parametrize(
    ("u", "said"), [(-1.0, "u = -1 is negative"), ([1.0, np.nan], r"u\[1\] = nan"), (np.inf, "= inf")]
)
def test_generators_refuse_what_f_is_not_defined_for(u, said):
    for generator in generators():
        with pytest.raises(ValueError, match=said):
            generator.f(u)


def test_a_hair_above_one_is_shown_as_such():
    with pytest.raises(ValueError, match="p_t = 1.000000001 must lie"):
        dv.one_hot_loss("KL", 1 + 1e-9)
