"""What each public function of `costs` and `transport` refuses, naming the argument; and that inputs are left alone."""

import numpy as np
import pytest

from emo_teach import costs, transport

from . import drawing

P, TAU, E = np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.4, 0.0]), np.array([[2.0, 0.0], [4.0, 3.0], [0.0, 3.0]])
C, CLASSES = costs.cosine(E), (0, 0, 1)
ONE, TWO = {"p": P, "cost": C, "target": 0}, {"p": P, "tau": TAU, "cost": C}
ENTROPIC = {**TWO, "regularisation": 1.0, "max_iterations": 1000, "tolerance": 1e-9}
CALLS = {
    "zero_one": (costs.zero_one, {"n": 3}),
    "ordinal": (costs.ordinal, {"n": 3, "power": 2.0}),
    "unit_rows": (costs.unit_rows, {"embedding": E}),
    "cosine": (costs.cosine, {"embedding": E}),
    "chord": (costs.chord, {"embedding": E}),
    "angle": (costs.angle, {"embedding": E}),
    "blend": (costs.blend, {"first": np.eye(3), "second": np.ones((3, 3)), "weight": 0.5}),
    "class_cost": (costs.class_cost, {"classes": CLASSES, "within": 0.25, "between": 1.0}),
    "metric_report": (costs.metric_report, {"cost": 1 - np.eye(3), "tolerance": 1e-9}),
    "emd": (transport.emd, {**TWO, "max_iterations": 1000}),
    "emd_many": (transport.emd_many, {**TWO, "max_iterations": 1000}),
    "one_hot_emd": (transport.one_hot_emd, ONE),
    "product_bound": (transport.product_bound, TWO),
    "jensen_bound": (transport.jensen_bound, {"p": P, "tau": TAU, "embedding": E}),
    "mean_direction": (transport.mean_direction, {"p": P, "embedding": E}),
    "emo": (transport.emo, {"p": P, "embedding": E, "target": 0}),
    "one_hot_logit_gradient": (transport.one_hot_logit_gradient, ONE),
    "debiased": (transport.debiased, TWO),
    "medoid": (transport.medoid, {"tau": TAU, "cost": C}),
    "class_emd": (transport.class_emd, {"p": P, "truth": TAU, "classes": CLASSES, "within": 0.25, "between": 1.0}),
    "emd_1d": (transport.emd_1d, {"p": P, "tau": TAU, "power": 2.0}),
    "entropic": (transport.entropic, ENTROPIC),
    "sinkhorn_divergence": (transport.sinkhorn_divergence, ENTROPIC),
    "sinkhorn_potentials": (transport.sinkhorn_potentials, ENTROPIC),
    "symmetric_potentials": (transport.symmetric_potentials, {k: v for k, v in ENTROPIC.items() if k != "tau"}),
    "escape_times": (transport.escape_times, {"p_target": np.array([0.1, 0.5])}),
}
BAD_REGULARISATIONS = (("zero", 0.0), ("negative", -1.0), ("NaN", np.nan), ("infinite", np.inf))
EXTRA = [
    *((name, "n", "zero", 0, ("0",)) for name in ("zero_one", "ordinal")),
    *((name, "n", "fraction", 2.5, ("2.5",)) for name in ("zero_one", "ordinal")),
    *((name, "n", "countless", 10**30, ("100 bits",)) for name in ("zero_one", "ordinal")),
    ("ordinal", "power", "negative", -1.0, ("-1",)),
    *((name, "power", "too large", 2000.0, ("2 ** 2000 overflows",)) for name in ("ordinal", "emd_1d")),
    *((name, "power", "far too large", 10**400, ("1329 bits",)) for name in ("ordinal", "emd_1d")),
    *((name, "power", "NaN", np.nan, ("nan",)) for name in ("ordinal", "emd_1d")),
    ("emd_1d", "power", "below 1", 0.5, ("0.5",)),
    ("ordinal", "power", "text", "2", ("'2'",)),
    *(
        ("blend", which, kind, value, fragments)
        for which in ("first", "second")
        for kind, (value, fragments) in drawing.BAD_COSTS.items()
        if (which, kind) != ("first", "other size")
    ),
    ("blend", "weight", "above 1", 1.5, ("1.5",)),
    ("blend", "weight", "a hair above 1", 1 + 1e-9, ("= 1.000000001 must",)),
    ("blend", "weight", "negative", -0.5, ("-0.5",)),
    ("blend", "weight", "NaN", np.nan, ("nan",)),
    ("metric_report", "tolerance", "negative", -1e-9, ("-1e-09",)),
    *((name, "classes", "fractions", [0.0, 1.0, 1.0], ("array of integers",)) for name in ("class_cost", "class_emd")),
    *((name, "within", "above between", 2.0, ("= 2 must be",)) for name in ("class_cost", "class_emd")),
    *((name, "between", "negative", -1.0, ("= -1 must be",)) for name in ("class_cost", "class_emd")),
    ("class_emd", "classes", "one more", [0, 1, 2, 2], ("has 4 entries, but the distributions have 3",)),
    ("class_emd", "truth", "other shape", [P, P], ("same shape",)),
    *((name, "max_iterations", "zero", 0, ("0",)) for name in ("emd", "emd_many", "entropic")),
    *((name, "max_iterations", "fraction", 10.5, ("10.5",)) for name in ("emd", "emd_many", "entropic")),
    ("emd", "max_iterations", "countless", 2**63, ("integer of 64 bits",)),
    *(
        (name, "regularisation", kind, value, (f"{value:g}",))
        for name in ("entropic", "sinkhorn_divergence", "sinkhorn_potentials", "symmetric_potentials")
        for kind, value in BAD_REGULARISATIONS
    ),
    *((name, "tolerance", "zero", 0.0, ("0",)) for name in ("entropic", "sinkhorn_potentials", "symmetric_potentials")),
    ("symmetric_potentials", "cost", "not symmetric", np.triu(np.ones((3, 3))), ("symmetric",)),
    ("escape_times", "p_target", "zero", 0.0, ("[0] = 0",)),
    ("escape_times", "p_target", "above one half", [0.1, 0.6], ("[1] = 0.6",)),
    ("escape_times", "cost", "zero", 0.0, ("0",)),
]
REFUSALS = list(drawing.refusals(CALLS, EXTRA))


@pytest.mark.parametrize("module", [costs, transport])
def test_every_public_function_is_tried(module):
    assert {name for name, (f, _) in CALLS.items() if f.__module__ == module.__name__} == drawing.public_functions(
        module
    )


@pytest.mark.parametrize(
    ("name", "argument", "kind", "value", "fragments"), REFUSALS, ids=lambda x: x if isinstance(x, str) else ""
)
def test_refuses(name, argument, kind, value, fragments):
    drawing.assert_refused(CALLS, name, argument, kind, value, fragments)


@pytest.mark.parametrize("name", CALLS)
def test_leaves_its_inputs_alone(name):
    drawing.assert_untouched(CALLS, name)


@pytest.mark.parametrize("name", ["product_bound", "jensen_bound", "debiased", "sinkhorn_potentials"])
def test_stacks_that_do_not_broadcast_are_named(name):
    function, arguments = CALLS[name]
    with pytest.raises(ValueError, match=r"p \(2, 3\) and tau \(4, 3\) do not broadcast"):
        function(**{**arguments, "p": np.stack([P] * 2), "tau": np.stack([TAU] * 4)})


@pytest.mark.parametrize(
    ("p", "tau", "cost", "words"),
    [
        (np.stack([P, P]), np.stack([TAU] * 3), C, r"\[2, 3\]"),
        ([P, [0.5, 0.3, 0.1]], TAU, C, r"p\[1\] sums to 0.9"),
        (P[None, None], TAU, C, r"\(1, 1, 3\)"),
        (P, TAU, C[None, None], r"\(1, 1, 3, 3\)"),
    ],
)
def test_emd_many_refuses_batches_that_disagree(p, tau, cost, words):
    with pytest.raises(ValueError, match=words):
        transport.emd_many(p, tau, cost)


def test_the_place_of_a_bad_sum_in_a_stack_is_named():
    with pytest.raises(ValueError, match=r"p\[1, 0\] sums to 0.6"):
        transport.product_bound([[P], [[0.2, 0.2, 0.2]]], TAU, C)


def test_masked_arrays_are_refused_where_something_is_masked():
    masked = np.ma.array(P, mask=[False, False, True])
    with pytest.raises(ValueError, match="p must be .*mask"):
        transport.emd(masked, TAU, C)
    assert transport.emd(np.ma.array(P), TAU, C).value == transport.emd(P, TAU, C).value


def test_an_array_that_will_not_convert_is_named():
    class Stubborn:
        def __array__(self, *args, **options):
            raise RuntimeError("detach me first")  # as a torch tensor that requires a gradient does

    with pytest.raises(ValueError, match="tau must be .*Stubborn.*detach me first"):
        transport.emd(P, Stubborn(), C)
