"""Soft-label, cost-matrix and resting-place explorer show what is true: bounds in order, minima where they are."""

from itertools import product

import numpy as np
import pytest

from emo_teach import divergences, transport, worked
from emo_teach.explorers import lesson04_soft_label, lesson05_cost_matrix, simplex, widget
from emo_teach.explorers import lesson09_resting as resting

pytestmark = pytest.mark.filterwarnings("error")
ROUNDING = 1e-12  # sums of at most nine products below 2: their rounding stays under 1e-14
LABELS = list(product((1.0, 0.9, 0.6, 0.5, 0.1, 0.0), (0.0, 0.2, 0.6, 1.0)))  # τ(Monday), Tuesday's share of the rest


START = np.array([0.5, 0.3, 0.2])  # where the explorer starts
MODELS = simplex.lattice(resting.STEPS)
SLOW = pytest.mark.slow


def distributions(count, seed=0):
    """Distributions over three tokens: inside, close to a corner, on a side, at a corner."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(3, 0.5), count)
    p[::5, rng.integers(3)] = 0
    p[::7] = np.eye(3)[rng.integers(3, size=len(p[::7]))]
    return p / p.sum(1, keepdims=True)


def start(module, **given):
    return widget.settings_for(module.CONTROLS, given)


def soft(**given):
    return lesson04_soft_label.compute(**start(lesson04_soft_label, **given))


def matrix(**given):
    return lesson05_cost_matrix.compute(**start(lesson05_cost_matrix, **given))


# ---- soft label


def test_the_sandwich_holds_and_closes_for_a_one_hot_label():
    models = (0.5, 0.6), (0.0, 0.0), (1.0, 1.0), (0.2, 0.9)
    for (monday, share), (p_monday, p_tuesday) in product(LABELS[::2], models):
        data = soft(tau_monday=monday, tau_tuesday=share, p_monday=p_monday, p_tuesday=p_tuesday)
        for values in (data.values, data.curves):
            assert np.all(values["jensen"] <= values["exact"] + ROUNDING)
            assert np.all(values["exact"] <= values["product"] + ROUNDING)
        if data.tau.max() == 1:
            assert data.values["exact"] == pytest.approx(data.values["product"], abs=ROUNDING)


def test_the_largest_dual_vertex_is_the_linear_program():
    p, tau = distributions(200, seed=4), distributions(200, seed=5)
    by_program = transport.emd_many(p, tau, worked.COST).value
    np.testing.assert_allclose(simplex.loss_values("exact EMD", p, tau), by_program, atol=ROUNDING)


def test_the_start_is_the_worked_example():
    data = soft()
    np.testing.assert_allclose([data.p, data.tau], [worked.P, worked.TAU], atol=ROUNDING)
    assert data.values["product"] == pytest.approx(transport.product_bound(worked.P, worked.TAU, worked.COST))


@pytest.mark.parametrize(("monday", "share"), LABELS)
def test_marked_minima(monday, share):
    data = soft(tau_monday=monday, tau_tuesday=share)
    corners = data.minimisers["product bound"]
    assert np.isin(corners, (0, 1)).all() and (corners.sum(1) == 1).all()
    assert np.eye(3)[transport.medoid(data.tau, worked.COST)].tolist() in corners.tolist()
    for loss in ("cross-entropy", "exact EMD", "debiased"):
        np.testing.assert_allclose(data.minimisers[loss], data.tau[None], atol=ROUNDING)
    for loss, models in data.minimisers.items():
        least = soft(tau_monday=monday, tau_tuesday=share, loss=loss).map.min()
        assert (simplex.loss_values(loss, models, data.tau) <= least + ROUNDING).all(), loss  # no pixel is better


def test_the_product_bound_can_end_at_a_word_the_label_never_names():
    data = soft(tau_monday=0.5, tau_tuesday=0.0)
    assert data.tau[1] == 0 and data.minimisers["product bound"].tolist() == [[0, 1, 0]]
    tied = soft(tau_monday=0.5, tau_tuesday=1.0)
    assert tied.minimisers["product bound"].tolist() == [[1, 0, 0], [0, 1, 0]]
    assert "Monday or Tuesday" in lesson04_soft_label.draw(tied).alt(tied)


def test_the_map_is_the_loss_at_the_pixels_place():
    data = soft(loss="cross-entropy")
    places = lesson04_soft_label._pixels()
    rows, columns = places.shape[:2]
    for share in ([0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]):
        x, y = np.array(share) @ simplex.CORNERS
        at = int((1 - y / simplex.HEIGHT) * rows), int(x * columns)
        np.testing.assert_allclose(places[at], share, atol=0.02)  # two pixels
        assert data.map[at] == pytest.approx(divergences.cross_entropy(data.tau, places[at]))


# ---- cost matrix


@pytest.mark.parametrize("example", lesson05_cost_matrix.EXAMPLES)
def test_linear_program_equals_closed_form_and_gradients_balance(example):
    for near, far, power, weight in product((0.0, 0.45), (0.0, 0.3), (0.25, 4.0), (0.0, 0.5, 1.0)):
        data = matrix(example=example, near=near, far=far, power=power, weight=weight)
        assert data.values["emo"] == pytest.approx(data.values["emd"], abs=ROUNDING)
        assert abs(data.ce_gradient.sum()) < ROUNDING and abs(data.emo_gradient.sum()) < ROUNDING
        np.testing.assert_allclose(data.plan[:, 0], data.p, atol=ROUNDING)
        assert data.plan[:, 1:].max() == 0
        lifted = data.emo_gradient < 0
        assert lifted[: data.lifted].all() and not lifted[data.lifted :].any()  # the border parts them
        assert (np.diff(data.cost[:, 0]) >= 0).all()


def test_cross_entropy_does_not_see_where_the_mistake_goes_but_emo_does():
    for example in lesson05_cost_matrix.EXAMPLES:
        near, far = matrix(example=example, near=0.3, far=0.0), matrix(example=example, near=0.0, far=0.3)
        assert near.values["cross_entropy"] == pytest.approx(far.values["cross_entropy"], abs=ROUNDING)
        step = 0.3 * (near.cost[-1, 0] - near.cost[1, 0])
        assert far.values["emo"] - near.values["emo"] == pytest.approx(step, abs=ROUNDING) and near.cost[1, 0] > 0


def test_zero_one_cost_pushes_as_cross_entropy_does():
    data = matrix(weight=0.0)
    assert data.values["emo"] == pytest.approx(data.values["one_minus"], abs=ROUNDING)
    ce, emo = (lesson05_cost_matrix.push(gradient) for gradient in (data.ce_gradient, data.emo_gradient))
    np.testing.assert_allclose(emo, ce, atol=ROUNDING)
    np.testing.assert_allclose(data.emo_gradient, data.p[0] * data.ce_gradient, atol=ROUNDING)


def test_pushes_are_shares():
    data = matrix()
    shares = lesson05_cost_matrix.push(data.emo_gradient)
    assert shares[shares > 0].sum() == pytest.approx(1) and shares[shares < 0].sum() == pytest.approx(-1)
    assert (lesson05_cost_matrix.push(np.zeros(3)) == 0).all()


def test_at_the_start_emo_lifts_the_other_days_and_cross_entropy_does_not():
    data = matrix()
    assert data.words[: data.lifted] == ("Monday", "Tuesday", "Wednesday", "Sunday")
    picture = lesson05_cost_matrix.draw(data)
    assert "lifts it and the 3 nearest words" in picture.alt(data)
    assert ("words that EMO lifts", "Monday, Tuesday, Wednesday, Sunday") in picture.numbers(data)
    assert (data.ce_gradient[1:] > 0).all()


def test_the_menu_follows_the_file_of_words():
    first = "days: Monday* Tuesday banana*\n"
    read = lesson05_cost_matrix.read_examples("# words\n\n" + first + "time: week* day gold")
    days = ("Monday", "Tuesday", "banana")
    found = {"Monday (days)": ("Monday", days), "banana (days)": ("banana", days)}
    assert read == found | {"week (time)": ("week", ("week", "day", "gold"))}
    menu = lesson05_cost_matrix.CONTROLS[0].options
    assert len(menu) >= 11 and menu == tuple(lesson05_cost_matrix.EXAMPLES)


FORMLESS = ("Monday* Tuesday banana", ": Monday* Tuesday banana", "time: Monday Tuesday banana", "time: Monday*")
FORMLESS += ("days: week* day gold", "time: week* day day")
DAMAGED = dict.fromkeys(FORMLESS, "must be") | {"time: week* dayy gold": "'dayy'.*'day'"}
DAMAGED["time: week* day"] = "has 2 words, the first group 3"


@pytest.mark.parametrize(("line", "message"), DAMAGED.items())
def test_a_damaged_file_of_words_is_refused(line, message):
    with pytest.raises(ValueError, match=f"cost_explorer_words.txt, line 2: .*{message}"):
        lesson05_cost_matrix.read_examples(f"days: Monday* Tuesday banana\n{line}")
    with pytest.raises(ValueError, match="has no words"):
        lesson05_cost_matrix.read_examples("# nothing")


# ---- resting places


def rest(loss, kind, tau=START, regularisation=0.1):
    return resting.resting_places(loss, tau, kind, regularisation)


@pytest.mark.parametrize("kind", resting.KINDS)
def test_labels_are_distributions_and_their_mean_keeps_the_classes(kind):
    for tau in distributions(20):
        shares, labels = resting.labels_of(kind, tau)
        np.testing.assert_allclose([shares.sum(), *labels.sum(1)], 1, atol=ROUNDING)
        mean = shares @ labels
        assert mean[2] == pytest.approx(tau[2], abs=ROUNDING)  # smoothing stays among the days
        expected = 0.7 * tau[:2] + 0.15 * tau[:2].sum() if kind == resting.SMOOTHED else tau[:2]
        np.testing.assert_allclose(mean[:2], expected, atol=ROUNDING)


@pytest.mark.parametrize("kind", resting.KINDS)
def test_mean_losses_are_those_that_models_are_trained_with(kind):
    torch = pytest.importorskip("torch")
    from emo_teach.losses import soft

    p = np.random.default_rng(2).dirichlet(np.ones(3), 40)  # logits have no zeros
    names = ("ce", "bound", "emd", "sinkhorn", "sinkhorn-divergence", "debiased")
    shares, labels = resting.labels_of(kind, START)
    for regularisation in (0.1, 0.5, 10.0):
        for loss, name in zip(resting.LOSSES, names, strict=True):
            found = soft.soft_objective(name, worked.COST.copy(), regularisation, tolerance=1e-7)
            logits = torch.from_numpy(np.log(p))
            given = [found(logits, torch.from_numpy(np.tile(label, (len(p), 1)))).numpy() for label in labels]
            mean = resting.mean_loss(loss, p, START, kind, regularisation)
            np.testing.assert_allclose(mean, shares @ given, atol=1e-6, err_msg=loss)


@pytest.mark.parametrize("regularisation", [*(pytest.param(r, marks=SLOW) for r in (0.01, 1.0)), 0.03, 0.1, 10.0])
def test_entropic_values_are_those_of_sinkhorns_iteration(regularisation):
    options = {"max_iterations": 200_000, "tolerance": 1e-9}
    for p, label in zip(distributions(12, seed=3), distributions(12, seed=4), strict=True):
        value = resting.entropic_values(p[None], label, regularisation)
        assert value == pytest.approx(transport.entropic(p, label, worked.COST, regularisation, **options)[0], abs=1e-7)
        own = transport.entropic(p, p, worked.COST, regularisation)[0]
        assert resting.own_values(p[None], regularisation) == pytest.approx(own, abs=1e-9)


def test_the_map_is_as_good_as_promised_at_the_least_regularisation():
    for kind in resting.KINDS:
        for loss in resting.ENTROPIC:
            data = resting.compute(loss, kind, 0.6, 0.3, -2.0)
            exact = resting.mean_loss(loss, MODELS, data.tau, kind, 0.01)
            np.testing.assert_allclose(data.values, exact, atol=1e-6)


@pytest.mark.parametrize("count", [2, pytest.param(6, marks=SLOW)])
@pytest.mark.parametrize("loss", resting.LOSSES)
@pytest.mark.parametrize("kind", resting.KINDS)
def test_no_model_is_better_than_the_resting_place(loss, kind, count):
    rng = np.random.default_rng(6)
    for tau in np.vstack([START, distributions(6, seed=7)[:count]]):
        for regularisation in (0.01, 0.1, 1.0) if loss in resting.ENTROPIC else (0.1,):
            models = rest(loss, kind, tau, regularisation)
            steps = (10.0 ** -np.arange(6))[:, None, None]
            near = ((1 - steps) * models[0] + steps * rng.dirichlet(np.full(3, 0.5), 60)).reshape(-1, 3)
            values = resting.mean_loss(loss, np.vstack([models, near, MODELS[::3]]), tau, kind, regularisation)
            assert values[: len(models)].max() <= values.min() + 1e-8, (tau, regularisation)
            between = resting.mean_loss(loss, models.mean(0, keepdims=True), tau, kind, regularisation)
            assert between == pytest.approx(values[0], abs=1e-8)  # of two, all between them tie


def test_where_the_losses_rest_at_the_start():
    for loss in (resting.CE, resting.EMD, resting.DIVERGENCE, resting.DEBIASED):
        np.testing.assert_allclose(rest(loss, resting.WHOLE), START[None], atol=1e-6)
    medoid = np.eye(3)[[transport.medoid(START, worked.COST)]]
    for kind in resting.KINDS:
        np.testing.assert_allclose(rest(resting.BOUND, kind), medoid, atol=ROUNDING)
    for loss in (resting.EMD, resting.SINKHORN):  # one plan for a one-hot label: these are the product bound
        np.testing.assert_allclose(rest(loss, resting.ONE_HOT), medoid, atol=ROUNDING)
    for loss in (resting.CE, resting.DEBIASED):
        np.testing.assert_allclose(rest(loss, resting.SMOOTHED), [[0.47, 0.33, 0.2]], atol=1e-9)


def test_the_sinkhorn_divergence_goes_from_the_corner_to_the_truth_as_the_regularisation_grows():
    places = [rest(resting.DIVERGENCE, resting.ONE_HOT, regularisation=r)[0] for r in (0.01, 0.1, 1.0, 10.0)]
    apart = 0.5 * np.abs(places - START).sum(1)
    assert apart[0] > 0.69 and apart[-1] < 0.1 and (np.diff(apart) < 0).all()


def test_a_tie_has_two_ends():
    data = resting.compute(resting.BOUND, resting.ONE_HOT, 0.5, 0.0, -1.0)
    assert sorted(data.resting.tolist()) == [[0, 1, 0], [1, 0, 0]]
    alt = resting.draw(data).alt(data)
    assert "least at both stars and between them" in alt and "up to 0.500 from τ" in alt


def test_pixels_lie_between_their_nodes_and_the_map_is_clipped_to_its_bands():
    _, width, height = resting.GRID
    near, nodes, weights = simplex.interpolation(*resting.GRID)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1, atol=ROUNDING)
    p = (MODELS[nodes] * weights[..., None]).sum(1)
    rows, columns = np.nonzero(near)
    inside = p.min(1) > 0.01  # pixels beside the triangle stand for its nearest models
    places = p[inside] @ simplex.CORNERS * [width, height / simplex.HEIGHT]
    np.testing.assert_allclose(places, np.stack([columns + 0.5, height - rows - 0.5], 1)[inside], atol=1e-9)
    assert inside.mean() > 0.9


def test_marks_and_numbers_are_those_of_the_data():
    picture = resting.draw(resting.compute(**start(resting)))
    for settings in ({}, {"loss": resting.DIVERGENCE, "kind": resting.SMOOTHED}):
        data = resting.compute(**start(resting, **settings))
        picture.set(data)
        for line, law in zip(picture.marks, (data.tau, data.mean, data.resting[0]), strict=True):
            np.testing.assert_allclose(line.get_xydata(), [law @ simplex.CORNERS])
        widths = [bar.get_width() for bar, _ in picture.bars]
        np.testing.assert_allclose(widths, [*data.tau, *data.mean, *data.resting[0]])
        assert [text.get_text() for _, text in picture.bars] == [f"{width:.3f}" for width in widths]
        apart = f"{data.apart[0]:.3f} from τ"
        assert apart in picture.verdict.get_text() and apart in picture.alt(data)


def test_bad_distributions_are_refused_by_name():
    for named, function, *given in (
        ("tau", resting.labels_of, resting.WHOLE, [0.5, 0.6, 0.2]),
        ("tau", resting.labels_of, resting.WHOLE, [0.5, 0.5]),
        ("p must be", resting.mean_loss, resting.EMD, START, START, resting.WHOLE, 0.1),
        ("label", resting.entropic_values, START[None], [0.5, 0.5], 0.1),
        ("regularisation", resting.entropic_values, START[None], START, 0.001),
        ("p must be", resting.own_values, [[0.5, 0.5]], 0.1),
    ):
        with pytest.raises(ValueError, match=named):
            function(*given)
