"""Soft-label, cost-matrix and resting-place explorer show what is true: bounds in order, minima where they are, LP and closed form equal."""

import io
import re
from itertools import product

import numpy as np
import pytest
from PIL import Image

from emo_teach import divergences, pictures, transport, worked
from emo_teach.explorers import lesson04_soft_label, lesson05_cost_matrix, lesson09_resting, widget
from emo_teach.words import load_words

EXPLORERS = [lesson04_soft_label, lesson05_cost_matrix, lesson09_resting]
pytestmark = pytest.mark.filterwarnings("error")
ROUNDING = 1e-12  # sums of at most nine products below 2: their rounding stays under 1e-14
LABELS = [(s, t) for s in np.linspace(0, 1, 11) for t in np.linspace(0, 1, 6)]


def start(module, **given):
    return widget.settings_for(module.CONTROLS, given)


def soft(**given):
    return lesson04_soft_label.compute(**start(lesson04_soft_label, **given))


def matrix(**given):
    return lesson05_cost_matrix.compute(**start(lesson05_cost_matrix, **given))


def corners(module):
    """Settings at both ends of all sliders at once, for every option of a choice."""
    ends = [
        control.options if isinstance(control, widget.Choice) else (control.low, control.high)
        for control in module.CONTROLS
    ]
    return [dict(zip([c.name for c in module.CONTROLS], values, strict=True)) for values in product(*ends)]


# ---- all three explorers


@pytest.mark.parametrize("module", EXPLORERS)
def test_every_control_changes_the_picture_and_its_alt_text(module):
    picture = module.draw(module.compute(**start(module)))
    before, said = picture.pixels().copy(), picture.alt(picture.data)
    for control in module.CONTROLS:
        other = control.samples()[0] if control.samples()[0] != control.value else control.samples()[-1]
        picture.set(module.compute(**start(module, **{control.name: other})))
        assert (picture.pixels() != before).any(), control.name
        assert picture.alt(picture.data) != said, control.name
    picture.set(module.compute(**start(module)))
    assert (picture.pixels() == before).all()  # nothing is left behind by the moves


@pytest.mark.parametrize("module", EXPLORERS)
def test_the_ends_of_all_sliders_draw_without_a_warning(module):
    picture = module.draw(module.compute(**start(module)))
    for settings in corners(module)[:: 1 if module is lesson04_soft_label else 7]:
        page = picture.set(module.compute(**settings)).to_html()
        assert not re.search(r"\b(nan|inf)\b", picture.alt(picture.data)) and "data:image/png" in page


@pytest.mark.parametrize("module", EXPLORERS)
def test_size_and_panel(module):
    picture = module.draw(module.compute(**start(module)))
    assert picture.pixels().shape[1] >= 720
    figure, alt = module.panel()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=pictures.DENSITY)
    assert np.asarray(Image.open(buffer)).std() > 10  # something is drawn
    assert sum(part.replace(".", "").isdigit() for part in alt.replace(",", " ").replace(";", " ").split()) >= 6


# ---- soft label


@pytest.mark.parametrize(("softness", "share"), LABELS)
def test_the_sandwich_holds_and_closes_for_a_one_hot_label(softness, share):
    for p_monday, p_tuesday in ((0.5, 0.6), (0.0, 0.0), (1.0, 1.0), (0.2, 0.9)):
        data = soft(softness=softness, tau_tuesday=share, p_monday=p_monday, p_tuesday=p_tuesday)
        for values in (data.values, data.curves):
            assert np.all(values["jensen"] <= values["exact"] + ROUNDING)
            assert np.all(values["exact"] <= values["product"] + ROUNDING)
        if data.tau.max() == 1:
            assert data.values["exact"] == pytest.approx(data.values["product"], abs=ROUNDING)


def test_the_largest_dual_vertex_is_the_linear_program():
    rng = np.random.default_rng(4)
    p, tau = rng.dirichlet(np.full(3, 0.4), 200), rng.dirichlet(np.full(3, 0.4), 200)
    tau[::4] = np.eye(3)[rng.integers(3, size=50)]
    np.testing.assert_allclose(
        lesson04_soft_label.loss_values("exact EMD", p, tau),
        transport.emd_many(p, tau, worked.COST).value,
        atol=ROUNDING,
    )


def test_the_start_is_the_worked_example():
    data = soft()
    np.testing.assert_allclose([data.p, data.tau], [worked.P, worked.TAU], atol=ROUNDING)
    assert data.values["product"] == pytest.approx(transport.product_bound(worked.P, worked.TAU, worked.COST))


@pytest.mark.parametrize(("softness", "share"), LABELS)
def test_marked_minima(softness, share):
    data = soft(softness=softness, tau_tuesday=share)
    corners = data.minimisers["product bound"]
    assert np.isin(corners, (0, 1)).all() and (corners.sum(1) == 1).all()
    assert np.eye(3)[transport.medoid(data.tau, worked.COST)].tolist() in corners.tolist()
    for loss in ("cross-entropy", "exact EMD", "debiased"):
        np.testing.assert_allclose(data.minimisers[loss], data.tau[None], atol=ROUNDING)
    for loss, models in data.minimisers.items():
        shown = soft(softness=softness, tau_tuesday=share, loss=loss).map
        assert (lesson04_soft_label.loss_values(loss, models, data.tau) <= shown.min() + ROUNDING).all(), (
            loss
        )  # no pixel is better


def test_the_product_bound_can_end_at_a_word_the_label_never_names():
    data = soft(softness=0.5, tau_tuesday=0.0)
    assert data.tau[1] == 0 and data.minimisers["product bound"].tolist() == [[0, 1, 0]]
    tied = soft(softness=0.5, tau_tuesday=1.0).minimisers["product bound"]
    assert tied.tolist() == [[1, 0, 0], [0, 1, 0]]
    assert "Monday or Tuesday" in lesson04_soft_label.draw(soft(softness=0.5, tau_tuesday=1.0)).alt(
        soft(softness=0.5, tau_tuesday=1.0)
    )


def test_the_map_is_the_loss_at_the_pixels_place():
    data = soft(loss="cross-entropy")
    places = lesson04_soft_label._pixels()
    rows, columns = places.shape[:2]
    for share in ([0.6, 0.3, 0.1], [0.2, 0.2, 0.6], [0.1, 0.8, 0.1]):
        x, y = np.array(share) @ lesson04_soft_label.CORNERS
        at = int((1 - y / lesson04_soft_label.CORNERS[2, 1]) * rows), int(x * columns)
        np.testing.assert_allclose(places[at], share, atol=0.02)  # two pixels
        assert data.map[at] == pytest.approx(divergences.cross_entropy(data.tau, places[at]))


def test_soft_label_alt_states_the_values_and_a_wrong_loss_is_refused():
    data = soft()
    alt = lesson04_soft_label.draw(data).alt(data)
    assert all(f"{value:.3f}" in alt for value in data.values.values())
    with pytest.raises(ValueError, match="'hinge'"):
        soft(loss="hinge")


# ---- cost matrix


@pytest.mark.parametrize("example", lesson05_cost_matrix.EXAMPLES)
def test_linear_program_equals_closed_form_and_gradients_balance(example):
    for near, far, power, weight in product((0.0, 0.45), (0.0, 0.3), (0.25, 1.0, 4.0), (0.0, 0.5, 1.0)):
        data = matrix(example=example, near=near, far=far, power=power, weight=weight)
        assert data.values["emo"] == pytest.approx(data.values["emd"], abs=ROUNDING)
        assert abs(data.ce_gradient.sum()) < ROUNDING and abs(data.emo_gradient.sum()) < ROUNDING
        np.testing.assert_allclose(data.plan[:, 0], data.p, atol=ROUNDING)
        assert data.plan[:, 1:].max() == 0
        lifted = data.emo_gradient < 0
        assert (
            lifted[: data.lifted].all() and not lifted[data.lifted :].any()
        )  # the border parts them, nearest words first
        assert (np.diff(data.cost[:, 0]) >= 0).all()


@pytest.mark.parametrize("example", lesson05_cost_matrix.EXAMPLES)
def test_gradients_are_those_of_the_losses(example):
    data, step = matrix(example=example), 1e-5
    logits = np.log(data.p)
    shifted = logits + step * np.concatenate([np.eye(9), -np.eye(9)])
    p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
    for gradient, loss in ((data.ce_gradient, -np.log(p[:, 0])), (data.emo_gradient, p @ data.cost[:, 0])):
        np.testing.assert_allclose(
            (loss[:9] - loss[9:]) / (2 * step), gradient, atol=1e-9
        )  # central difference: error of the order step**2


def test_cross_entropy_does_not_see_where_the_mistake_goes_but_emo_does():
    for example in lesson05_cost_matrix.EXAMPLES:
        near, far = matrix(example=example, near=0.3, far=0.0), matrix(example=example, near=0.0, far=0.3)
        assert near.values["cross_entropy"] == pytest.approx(far.values["cross_entropy"], abs=ROUNDING)
        assert (
            far.values["emo"] - near.values["emo"]
            == pytest.approx(0.3 * (near.cost[-1, 0] - near.cost[1, 0]), abs=ROUNDING)
            and near.cost[1, 0] > 0
        )


def test_zero_one_cost_pushes_as_cross_entropy_does():
    data = matrix(weight=0.0)
    assert data.values["emo"] == pytest.approx(data.values["one_minus"], abs=ROUNDING)
    np.testing.assert_allclose(
        lesson05_cost_matrix.push(data.emo_gradient), lesson05_cost_matrix.push(data.ce_gradient), atol=ROUNDING
    )
    np.testing.assert_allclose(data.emo_gradient, data.p[0] * data.ce_gradient, atol=ROUNDING)


def test_pushes_are_shares():
    data = matrix()
    shares = lesson05_cost_matrix.push(data.emo_gradient)
    assert shares[shares > 0].sum() == pytest.approx(1) and shares[shares < 0].sum() == pytest.approx(-1)
    assert (lesson05_cost_matrix.push(np.zeros(3)) == 0).all()


def test_at_the_start_emo_lifts_the_other_days_and_cross_entropy_does_not():
    data = matrix()
    assert data.words[: data.lifted] == ("Monday", "Tuesday", "Wednesday", "Sunday")
    assert (data.ce_gradient[1:] > 0).all()


def test_the_words_are_there_and_the_groups_are_of_one_size():
    for target, group in lesson05_cost_matrix.EXAMPLES.values():
        assert target in group and len(set(group)) == len(group) == 9
        load_words().rows(group)


def test_cost_matrix_alt_states_the_values_and_an_unknown_example_is_refused():
    data = matrix()
    alt = lesson05_cost_matrix.draw(data).alt(data)
    assert all(f"{data.values[name]:.3f}" in alt for name in ("cross_entropy", "one_minus", "emo", "emd"))
    assert "pulls up the target and Tuesday, Wednesday, Sunday" in alt
    with pytest.raises(ValueError, match="'cheese'"):
        matrix(example="cheese")


# ---- resting places

START = np.array([0.5, 0.3, 0.2])  # where the explorer starts


def laws(count, seed=0):
    """Laws of three tokens: inside, close to a corner, on a side, at a corner."""
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(3, 0.5), count)
    p[::5, rng.integers(3)] = 0
    p[::7] = np.eye(3)[rng.integers(3, size=len(p[::7]))]
    return p / p.sum(1, keepdims=True)


def rest(loss, kind, tau=START, regularisation=0.1):
    return lesson09_resting.resting_places(loss, tau, kind, regularisation)


@pytest.mark.parametrize("kind", lesson09_resting.KINDS)
def test_labels_are_laws_and_their_mean_keeps_the_classes(kind):
    for tau in laws(20):
        shares, labels = lesson09_resting.labels_of(kind, tau)
        np.testing.assert_allclose([shares.sum(), *labels.sum(1)], 1, atol=ROUNDING)
        mean = shares @ labels
        assert mean[2] == pytest.approx(tau[2], abs=ROUNDING)  # smoothing stays among the days
        expected = 0.7 * tau[:2] + 0.15 * tau[:2].sum() if kind == lesson09_resting.SMOOTHED else tau[:2]
        np.testing.assert_allclose(mean[:2], expected, atol=ROUNDING)


@pytest.mark.parametrize("kind", lesson09_resting.KINDS)
def test_mean_of_the_exact_distance_is_that_of_the_linear_program(kind):
    p = laws(60)
    for tau in laws(6, seed=1):
        shares, labels = lesson09_resting.labels_of(kind, tau)
        expected = sum(
            share * transport.emd_many(p, label, worked.COST).value for share, label in zip(shares, labels, strict=True)
        )
        np.testing.assert_allclose(
            lesson09_resting.mean_loss(lesson09_resting.EMD, p, tau, kind, 0.1), expected, atol=ROUNDING
        )


@pytest.mark.parametrize("kind", lesson09_resting.KINDS)
def test_mean_losses_are_those_that_models_are_trained_with(kind):
    torch = pytest.importorskip("torch")
    from emo_teach.losses import soft

    p = np.random.default_rng(2).dirichlet(np.ones(3), 40)  # logits have no zeros
    names = ("ce", "bound", "emd", "sinkhorn", "sinkhorn-divergence", "debiased")
    shares, labels = lesson09_resting.labels_of(kind, START)
    for regularisation in (0.1, 0.5, 10.0):
        for loss, name in zip(lesson09_resting.LOSSES, names, strict=True):
            found = soft.soft_objective(name, worked.COST.copy(), regularisation, tolerance=1e-7)
            logits = torch.from_numpy(np.log(p))
            given = [found(logits, torch.from_numpy(np.tile(label, (len(p), 1)))).numpy() for label in labels]
            np.testing.assert_allclose(
                lesson09_resting.mean_loss(loss, p, START, kind, regularisation),
                shares @ given,
                atol=1e-6,
                err_msg=loss,
            )


@pytest.mark.parametrize("regularisation", [0.01, 0.03, 0.1, 1.0, 10.0])
def test_entropic_values_are_those_of_sinkhorns_iteration(regularisation):
    options = {"max_iterations": 200_000, "tolerance": 1e-9}
    for p, label in zip(laws(12, seed=3), laws(12, seed=4), strict=True):
        value = lesson09_resting.entropic_values(p[None], label, regularisation)
        assert value == pytest.approx(transport.entropic(p, label, worked.COST, regularisation, **options)[0], abs=1e-7)
        assert lesson09_resting.own_values(p[None], regularisation) == pytest.approx(
            transport.entropic(p, p, worked.COST, regularisation)[0], abs=1e-9
        )


def test_the_map_is_as_good_as_promised_at_the_least_regularisation():
    for kind in lesson09_resting.KINDS:
        for loss in lesson09_resting.ENTROPIC:
            data = lesson09_resting.compute(loss, kind, 0.6, 0.3, -2.0)
            exact = lesson09_resting.mean_loss(loss, lesson09_resting.lattice(), data.tau, kind, 0.01)
            np.testing.assert_allclose(data.values, exact, atol=1e-6)


def test_a_sinkhorn_loss_with_whole_laws_rests_where_blahut_and_arimoto_do():
    tau = np.vstack([START, laws(12, seed=5)])
    for regularisation in (0.02, 0.1, 0.5):
        kernel, p = np.exp(-worked.COST / regularisation), np.full(tau.shape, 1 / 3)
        for _ in range(20_000):
            p = p * ((tau / (p @ kernel)) @ kernel)
        found = [rest(lesson09_resting.SINKHORN, lesson09_resting.WHOLE, law, regularisation)[0] for law in tau]
        np.testing.assert_allclose(found, p, atol=2e-4)  # the iteration nears a side slowly


@pytest.mark.parametrize("loss", lesson09_resting.LOSSES)
@pytest.mark.parametrize("kind", lesson09_resting.KINDS)
def test_no_model_is_better_than_the_resting_place(loss, kind):
    rng = np.random.default_rng(6)
    for tau in np.vstack([START, laws(6, seed=7)]):
        for regularisation in (0.01, 0.1, 1.0):
            models = rest(loss, kind, tau, regularisation)
            steps = (10.0 ** -np.arange(6))[:, None, None]
            near = ((1 - steps) * models[0] + steps * rng.dirichlet(np.full(3, 0.5), 60)).reshape(-1, 3)
            values = lesson09_resting.mean_loss(
                loss, np.vstack([models, near, lesson09_resting.lattice()[::3]]), tau, kind, regularisation
            )
            assert values[: len(models)].max() <= values.min() + 1e-8, (tau, regularisation)
            between = lesson09_resting.mean_loss(loss, models.mean(0, keepdims=True), tau, kind, regularisation)
            assert between == pytest.approx(values[0], abs=1e-8)  # of two, all between them tie


def test_where_the_losses_rest_at_the_start():
    for loss in (lesson09_resting.CE, lesson09_resting.EMD, lesson09_resting.DIVERGENCE, lesson09_resting.DEBIASED):
        np.testing.assert_allclose(rest(loss, lesson09_resting.WHOLE), START[None], atol=1e-6)
    medoid = np.eye(3)[[transport.medoid(START, worked.COST)]]
    for kind in lesson09_resting.KINDS:
        np.testing.assert_allclose(rest(lesson09_resting.BOUND, kind), medoid, atol=ROUNDING)
    for loss in (
        lesson09_resting.EMD,
        lesson09_resting.SINKHORN,
    ):  # one plan for a one-hot label: these are the product bound
        np.testing.assert_allclose(rest(loss, lesson09_resting.ONE_HOT), medoid, atol=ROUNDING)
    for loss in (lesson09_resting.CE, lesson09_resting.DEBIASED):
        np.testing.assert_allclose(rest(loss, lesson09_resting.SMOOTHED), [[0.47, 0.33, 0.2]], atol=1e-9)


def test_the_sinkhorn_divergence_goes_from_the_corner_to_the_truth_as_the_regularisation_grows():
    apart = [
        0.5 * np.abs(rest(lesson09_resting.DIVERGENCE, lesson09_resting.ONE_HOT, regularisation=r)[0] - START).sum()
        for r in (0.01, 0.1, 1.0, 10.0)
    ]
    assert apart[0] > 0.69 and apart[-1] < 0.1 and (np.diff(apart) < 0).all()


def test_a_tie_has_two_ends():
    data = lesson09_resting.compute(lesson09_resting.BOUND, lesson09_resting.ONE_HOT, 0.5, 0.0, -1.0)
    assert sorted(data.resting.tolist()) == [[0, 1, 0], [1, 0, 0]]
    alt = lesson09_resting.draw(data).alt(data)
    assert "least at both stars and between them" in alt and "up to 0.500 from τ" in alt


def test_pixels_lie_between_their_nodes_and_the_map_is_clipped_to_its_bands():
    near, nodes, weights = lesson09_resting._pixels()
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(1), 1, atol=ROUNDING)
    p = (lesson09_resting.lattice()[nodes] * weights[..., None]).sum(1)
    rows, columns = np.nonzero(near)
    inside = p.min(1) > 0.01  # pixels beside the triangle stand for its nearest models
    places = (
        p[inside]
        @ lesson04_soft_label.CORNERS
        * [lesson09_resting.COLUMNS, lesson09_resting.ROWS / lesson04_soft_label.CORNERS[2, 1]]
    )
    np.testing.assert_allclose(
        places, np.stack([columns + 0.5, lesson09_resting.ROWS - rows - 0.5], 1)[inside], atol=1e-9
    )
    assert inside.mean() > 0.9


def test_marks_and_numbers_are_those_of_the_data():
    picture = lesson09_resting.draw(lesson09_resting.compute(**start(lesson09_resting)))
    for settings in ({}, {"loss": lesson09_resting.DIVERGENCE, "kind": lesson09_resting.SMOOTHED}):
        data = lesson09_resting.compute(**start(lesson09_resting, **settings))
        picture.set(data)
        for line, law in zip(picture.marks, (data.tau, data.mean, data.resting[0]), strict=True):
            np.testing.assert_allclose(line.get_xydata(), [law @ lesson04_soft_label.CORNERS])
        widths = [bar.get_width() for bar, _ in picture.bars]
        np.testing.assert_allclose(widths, [*data.tau, *data.mean, *data.resting[0]])
        assert [text.get_text() for _, text in picture.bars] == [f"{width:.3f}" for width in widths]
        assert (
            f"{data.apart[0]:.3f} from τ" in picture.verdict.get_text()
            and f"{data.apart[0]:.3f} from τ" in picture.alt(data)
        )


@pytest.mark.parametrize(
    "wrong",
    [{"loss": "hinge"}, {"kind": "rumour"}, {"monday": 1.1}, {"banana": np.nan}, {"log10_regularisation": -2.5}],
    ids=lambda wrong: [*wrong][0],
)
def test_wrong_settings_of_the_resting_place_are_refused(wrong):
    with pytest.raises(ValueError, match=[*wrong][0]):
        lesson09_resting.compute(**start(lesson09_resting) | wrong)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: lesson09_resting.labels_of(lesson09_resting.WHOLE, [0.5, 0.6, 0.2]), "tau"),
        (lambda: lesson09_resting.labels_of(lesson09_resting.WHOLE, [0.5, 0.5]), "tau"),
        (
            lambda: lesson09_resting.mean_loss(lesson09_resting.EMD, START, START, lesson09_resting.WHOLE, 0.1),
            "p must be",
        ),
        (lambda: lesson09_resting.entropic_values(START[None], [0.5, 0.5], 0.1), "label"),
        (lambda: lesson09_resting.entropic_values(START[None], START, 0.001), "regularisation"),
        (lambda: lesson09_resting.own_values([[0.5, 0.5]], 0.1), "p must be"),
    ],
)
def test_bad_laws_are_refused_by_name(call, named):
    with pytest.raises(ValueError, match=named):
        call()
