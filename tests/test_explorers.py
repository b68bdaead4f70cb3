"""Explorers: right numbers at every slider's ends, pictures that follow the sliders, alt text that states what is shown."""

import base64
import importlib
import io
import re
from dataclasses import fields, is_dataclass
from functools import lru_cache

import numpy as np
import pytest
from PIL import Image

from emo_teach import costs, divergences, pictures, transport
from emo_teach.explorers import widget

BRING_DATA = (
    "lesson07_samples",
    "lesson07_frontier",
)  # explorers of what a reader has trained; `demo()` has models that come along
EXPLORERS = (
    "lesson00_first_look",
    "lesson01_ce_kl",
    "lesson02_divergence",
    "lesson03_transport",
    "lesson04_soft_label",
    "lesson05_cost_matrix",
    "lesson06_objectives",
    "lesson08_silence",
    "lesson09_resting",
    *BRING_DATA,
)
pytestmark = pytest.mark.filterwarnings("error")


@lru_cache
def module(name):
    if name not in BRING_DATA:
        return importlib.import_module(f"emo_teach.explorers.{name}")
    pytest.importorskip("transformers")
    return importlib.import_module(f"emo_teach.explorers.{name}").demo()


def defaults(name):
    return widget.settings_for(module(name).CONTROLS, {})


def settings_to_try(name):
    """The start, one control at a time over its samples (both ends included), and combined extremes."""
    controls, start = module(name).CONTROLS, defaults(name)
    tried = [start]
    for control in controls:
        tried += [start | {control.name: value} for value in control.samples()]
    ends = {control.name: (control.samples()[0], control.samples()[-1]) for control in controls}
    tried += [{key: pair[k] for key, pair in ends.items()} for k in (0, 1)]
    tried += [{key: pair[(k + j) % 2] for j, (key, pair) in enumerate(ends.items())} for k in (0, 1)]
    for control in controls:
        if isinstance(control, widget.Choice):
            tried += [
                {key: pair[k] for key, pair in ends.items()} | {control.name: value}
                for value in control.options
                for k in (0, 1)
            ]
    return tried


@lru_cache
def picture(name):
    """One kept picture for each explorer, as the widget has."""
    return module(name).draw(module(name).compute(**defaults(name)))


def pixels(name, settings):
    """The kept picture at these settings, copied."""
    return picture(name).set(module(name).compute(**settings)).pixels().copy()


def look(name, settings):
    """What the page shows, pixels and words beside the picture, and all its words, alt text included."""
    image = pixels(name, settings).tobytes()
    words = re.sub(r"base64,[^\"]+", "", picture(name).to_html())
    return (image, re.sub(r"<img[^>]*>", "", words)), words


def numbers(value):
    """Every array of numbers in a Data, however deep."""
    if is_dataclass(value):
        value = [getattr(value, field.name) for field in fields(value)]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [array for item in value for array in numbers(item)]
    array = np.asarray(value)
    return [array.astype(float)] if array.dtype.kind in "fiub" else []


def check_ce_kl(settings, data, alt):
    assert data.entropy + data.kl == pytest.approx(
        data.cross_entropy, abs=1e-12
    )  # A3, a few roundings of numbers below 10
    np.testing.assert_allclose(data.ce_curve - data.kl_curve, data.entropy, atol=1e-12)
    assert data.p.sum() == pytest.approx(1) and data.p[0] == pytest.approx(settings["p_monday"])
    assert all(f"{x:.3f}" in alt for x in (data.entropy, data.kl, data.cross_entropy))


def check_divergence(settings, data, alt):
    assert data.p[0] == pytest.approx(10 ** settings["log10_p"])
    assert data.change < 1e-12  # D10: the split of the rest is not seen; rounding only
    family = divergences.alpha_generator(round(settings["alpha"], 6))
    for generator, curve in zip((settings["first"], settings["second"], family), data.curves, strict=True):
        expected = float(divergences.one_hot_loss(generator, data.p[0]))
        assert curve.value == pytest.approx(expected, rel=1e-12)  # the three tokens against p_t alone
        assert curve.name in alt
        if np.isinf(expected):
            assert curve.values is None and "∞" in curve.verdict and f"{curve.name}: infinite, no gradient" in alt
            continue
        pull = divergences.logit_gradient(generator, [1.0, 0.0, 0.0], _inner(data.p))[0]
        assert curve.pull == pytest.approx(
            abs(pull), rel=1e-6
        )  # the pull taken from all three tokens; 1e-6 for what _inner moves
        assert f"value {curve.value:.4g}, gradient −{curve.pull:.3g}" in alt
        assert ("without bound" in curve.verdict) == np.isinf(curve.limit)
        assert (np.diff(curve.values) < 0).all() and curve.values.max() <= curve.limit  # a loss: it falls as p_t rises


def _inner(p):
    """p with its zeros lifted a little, where every generator has a slope, and the target's probability as it was."""
    rest = np.maximum(p[1:], 1e-300)
    return np.array([p[0], *(rest / rest.sum() * (1 - p[0]))])


def check_transport(settings, data, alt):
    solved, scale = data.solved, max(1.0, data.cost.max())
    assert data.p @ solved.u + data.tau @ solved.v == pytest.approx(
        solved.value, abs=1e-12 * scale
    )  # the dual certifies the value
    assert (solved.u[:, None] + solved.v <= data.cost + 1e-12 * scale).all()
    assert (solved.plan >= 0).all() and (solved.plan * data.cost).sum() == pytest.approx(
        solved.value, abs=1e-12 * scale
    )
    np.testing.assert_allclose(solved.plan.sum(1), data.p, atol=1e-12)
    np.testing.assert_allclose(solved.plan.sum(0), data.tau, atol=1e-12)
    assert solved.value <= data.product + 1e-12 * scale  # A6
    if settings["cost"] == "0/1":
        assert data.compared_value == pytest.approx(solved.value, abs=1e-12)  # D8: total variation
    if settings["cost"].startswith("|"):
        assert data.compared_value >= solved.value - 1e-10  # the ordered plan is feasible ...
        if settings["power"] >= 1:  # ... and optimal from power 1 on, D8
            assert data.compared_value == pytest.approx(
                transport.emd_1d(data.p, data.tau, settings["power"]), abs=1e-10
            )
            assert data.compared_value == pytest.approx(solved.value, abs=1e-10)
    assert f"EMD {solved.value:.4f}" in alt and f"product plan costs {data.product:.4f}" in alt
    assert max(np.abs(solved.u).max(), np.abs(solved.v).max()) <= 1.1 * data.cost.max()  # what the axes of u and v show


def check_objectives(settings, data, alt):
    for name, step in data.steps.items():
        assert step.sum() == pytest.approx(0, abs=1e-12), name  # softmax ignores a constant
        assert f"{name} {data.values[name]:.3g}" in alt
    assert data.values["mode 1"] == pytest.approx(data.values["CE"]) == -np.log(data.p[0])  # D7
    assert data.values["EMO"] == pytest.approx(data.p @ data.cost)
    for name in ("1 − p(target)", "9526, γ = 0.1", "TaiLr"):  # what sees p_t alone pushes as cross-entropy does
        np.testing.assert_allclose(
            data.steps[name] * data.steps["CE"][0], data.steps["CE"] * data.steps[name][0], atol=1e-15
        )
    if settings["bars"] != "as they are":
        assert all(np.abs(shown).sum() == pytest.approx(2) for shown in data.shown.values())


# What must hold of an explorer's data and alt text, beyond what is asked of all: check(settings, data, alt).
CHECKS = {
    "lesson01_ce_kl": check_ce_kl,
    "lesson02_divergence": check_divergence,
    "lesson03_transport": check_transport,
    "lesson06_objectives": check_objectives,
}
# reverse KL and Neyman are infinite for a one-hot label, and CE at the corners of the triangle: that is the lesson
MAY_BE_INFINITE = {"lesson02_divergence", "lesson04_soft_label"}


@pytest.mark.parametrize("name", EXPLORERS)
def test_numbers_are_right_at_every_setting(name):
    for settings in settings_to_try(name):
        data = module(name).compute(**settings)
        for array in numbers(data):
            assert not np.isnan(array).any(), settings
            assert name in MAY_BE_INFINITE or np.isfinite(array).all(), settings
        if name in CHECKS:
            CHECKS[name](settings, data, picture(name).set(data).alt(data))


@pytest.mark.parametrize("name", EXPLORERS)
def test_alt_text_states_values(name):
    for settings in settings_to_try(name):
        data = module(name).compute(**settings)
        alt = picture(name).alt(data)
        assert len(re.findall(r"\d[\d.e+-]*", alt)) >= 3 and "nan" not in alt.split(), alt
        assert len(alt) < 1000


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_changes_picture_and_alt_text(name):
    controls, start = module(name).CONTROLS, defaults(name)
    # a control may act under some choice only (the power k under |i - j|^k): some base among these must show it
    bases = [start] + [
        start | {c.name: option} for c in controls if isinstance(c, widget.Choice) for option in c.options
    ]
    for control in controls:
        for base in bases:
            tried = [base | {control.name: value} for value in control.samples()]
            seen, said = zip(*(look(name, settings) for settings in tried), strict=True)
            if all(a != b for a, b in zip(seen, seen[1:], strict=False)) and len(set(said)) == len(said):
                break
        else:
            pytest.fail(f"{control.name} does not change the picture and the alt text")


@pytest.mark.parametrize("name", EXPLORERS)
def test_kept_picture_equals_a_fresh_one(name):
    start = defaults(name)
    for settings in settings_to_try(name)[-6:]:
        fresh = module(name).draw(module(name).compute(**settings)).pixels()
        pixels(name, start)
        apart = np.abs(pixels(name, settings).astype(int) - fresh)
        assert apart.max() <= 4, (
            settings
        )  # of 255: matplotlib 3.10 rounds a scaled image by up to 2; a label left behind differs by far more


@pytest.mark.parametrize("name", EXPLORERS)
def test_picture_is_an_image_of_full_width(name):
    page = picture(name).set(module(name).compute(**defaults(name))).to_html()
    shown = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])))
    assert shown.width >= 720 and re.search(r'<img alt="[^"]{80,}"', page)
    assert np.asarray(shown).std() > 10  # something is drawn


@pytest.mark.parametrize("name", EXPLORERS)
def test_live_artists_stay_inside_the_figure(name):
    for settings in settings_to_try(name):
        image = pixels(name, settings)[..., :3]
        frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert (frame == 255).all(), settings  # nothing is cut off at the edge


@pytest.mark.parametrize("name", EXPLORERS)
def test_panel_has_alt_text_with_values(name):
    figure, alt = module(name).panel()
    page = pictures.as_html(figure, alt)
    assert len(re.findall(r"\d\.\d", alt)) >= 3 and len(alt) > 100
    assert "base64" in page and figure.get_figwidth() * pictures.DENSITY >= 720


@pytest.mark.parametrize("name", EXPLORERS)
def test_unknown_setting_is_refused(name):
    with pytest.raises(ValueError, match="no_such_setting"):
        module(name).explorer(no_such_setting=1)


def parts(widget):
    """The widget and all widgets in it."""
    return [widget] + [part for child in getattr(widget, "children", ()) for part in parts(child)]


@pytest.mark.parametrize("name", EXPLORERS)
def test_widget_follows_its_controls(name):
    widgets = pytest.importorskip("ipywidgets")
    controls = module(name).CONTROLS
    all_parts = parts(module(name).explorer())
    (page,) = [part for part in all_parts if isinstance(part, widgets.HTML)]
    sliders = [part for part in all_parts if isinstance(part, widgets.FloatSlider)]
    boxes = [part for part in all_parts if isinstance(part, widgets.BoundedFloatText)]
    menus = [part for part in all_parts if isinstance(part, widgets.Dropdown)]
    assert len(sliders) == len(boxes) == sum(isinstance(c, widget.Slider) for c in controls)
    assert len(menus) == sum(isinstance(c, widget.Choice) for c in controls)
    for slider, box in zip(sliders, boxes, strict=True):
        before = page.value
        slider.value = slider.max if slider.value != slider.max else slider.min
        assert page.value != before and page.value.startswith("<img"), slider.description
        assert box.value == slider.value  # linked one way ...
        before = page.value
        box.value = (slider.min + slider.max) / 2
        assert slider.value == box.value and page.value != before  # ... and the other
    for menu in menus:
        before = page.value
        menu.value = next(option for option in menu.options if option != menu.value)
        assert page.value != before and page.value.startswith("<img"), menu.description


@pytest.mark.parametrize("name", EXPLORERS)
def test_widget_starts_where_told(name):
    pytest.importorskip("ipywidgets")
    control = next(c for c in module(name).CONTROLS if isinstance(c, widget.Slider))
    first, second = (
        [part for part in parts(module(name).explorer(**{control.name: value})) if type(part).__name__ == "HTML"][
            0
        ].value
        for value in (control.low, control.high)
    )
    assert first != second


def test_infinite_divergences_are_said_in_the_picture():
    explorer = module("lesson02_divergence")
    data = explorer.compute(**defaults("lesson02_divergence") | {"first": "reverse KL", "second": "Neyman chi2"})
    shown = explorer.draw(data)
    words = [artist.get_text() for artist in shown.notes if artist.get_visible()]
    assert len(words) == 2 and all("reverse KL, Neyman chi2" in text for text in words)
    assert not any(note.get_visible() for note in shown.set(explorer.compute(**defaults("lesson02_divergence"))).notes)


def test_tuesdays_share_moves_the_bars_and_no_value():
    explorer = module("lesson02_divergence")
    low, high = (explorer.compute(**defaults("lesson02_divergence") | {"tuesday": share}) for share in (0.0, 1.0))
    assert low.p[1] == 0 and high.p[2] == 0
    for a, b in zip(low.curves, high.curves, strict=True):
        assert a.value == pytest.approx(b.value, rel=1e-12) and a.pull == b.pull


def test_verdicts_name_what_becomes_of_the_pull():
    start = defaults("lesson02_divergence")
    for name, fate in (
        ("KL", "pull stays"),
        ("total variation", "flat: never above 1, pull dies out"),
        ("Pearson chi2", "pull grows"),
    ):
        assert fate in module("lesson02_divergence").compute(**start | {"first": name}).curves[0].verdict


def test_circles_have_areas_proportional_to_the_plan():
    explorer = module("lesson03_transport")
    data = explorer.compute(**defaults("lesson03_transport"))
    shown = explorer.draw(data)
    columns, rows = shown.plan.get_offsets().T.astype(int)
    ratio = shown.plan.get_sizes() / data.solved.plan[rows, columns]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)
    assert data.solved.plan[rows, columns].sum() == pytest.approx(1, abs=1e-9)  # no mass is left out


def test_ordered_plan_is_dearer_below_power_one_somewhere():
    data = module("lesson03_transport").compute(**defaults("lesson03_transport") | {"power": 0.25})
    assert data.compared_value > data.solved.value + 0.05  # D8: crossing is cheaper for concave costs


@pytest.mark.parametrize("value", [np.array([1, 2]), [1], 3, None])
def test_a_choice_takes_its_options_only(value):
    with pytest.raises(ValueError, match="^which = .* is none of 1, 2"):
        widget.settings_for([widget.Choice("which", "Which", 1, (1, 2))], {"which": value})


@pytest.mark.parametrize(
    "name, wrong",
    [
        ("lesson03_transport", {"cost": "nowhere"}),
        ("lesson03_transport", {"p_width": 0}),
        ("lesson02_divergence", {"second": "nothing"}),
    ],
)
def test_bad_settings_are_refused_by_name(name, wrong):
    ((key, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{key} = .*{value}"):
        module(name).compute(**defaults(name) | wrong)


def test_zero_one_cost_is_the_zero_one_cost():
    assert (
        module("lesson03_transport").compute(**defaults("lesson03_transport") | {"cost": "0/1"}).cost.tolist()
        == costs.zero_one(8).tolist()
    )


def test_marks_stand_where_the_numbers_say():
    start = defaults("lesson02_divergence") | {"log10_p": -0.5, "first": "Pearson chi2", "second": "Jensen-Shannon"}
    data = module("lesson02_divergence").compute(**start)
    shown = picture("lesson02_divergence").set(data)
    np.testing.assert_allclose([bar.get_width() for bar in shown.bars], data.p)
    inside = [curve.value for curve in data.curves]
    assert max(inside) < shown.values.get_ylim()[1]
    np.testing.assert_allclose(shown.dots.get_xydata(), [(data.p[0], value) for value in inside])
    np.testing.assert_allclose(shown.pull_dots.get_xydata(), [(data.p[0], curve.pull) for curve in data.curves])
    for curve, line in zip(data.curves, shown.value_lines, strict=True):
        assert np.interp(data.p[0], *line.get_data()) == pytest.approx(
            curve.value, rel=0.02
        )  # the dot is on its curve, up to the grid
    data = module("lesson03_transport").compute(**defaults("lesson03_transport"))
    shown = picture("lesson03_transport").set(data)
    longest = max(data.p.max(), data.tau.max())
    np.testing.assert_allclose([bar.get_width() for bar in shown.p_bars], data.p / longest)
    np.testing.assert_allclose([bar.get_height() for bar in shown.tau_bars], data.tau / longest)
    np.testing.assert_allclose(shown.u_line.get_xdata(), data.solved.u / data.cost.max())
    tight = {tuple(cell) for cell in shown.tight.get_xydata().astype(int)}
    assert {tuple(cell) for cell in shown.plan.get_offsets().astype(int)} <= tight  # D6: mass only where u + v = cost


def test_objectives_explorer_agrees_with_the_losses():
    torch = pytest.importorskip("torch")
    from emo_teach.losses import CostEmbedding, objective
    from emo_teach.words import load_words

    names = ("ce", "accuracy", "overconfidence", "tailr", "emo", "emo-mode-1", "emo-mode-2", "debiased")
    unit = costs.unit_rows(load_words().rows(["Monday", "Tuesday", "banana", "table"]))
    cost = CostEmbedding(torch.tensor(unit))
    for logits in np.random.default_rng(0).normal(size=(20, 4)) * 3:
        for name, (value, gradient) in zip(
            names, module("lesson06_objectives").gradients(logits, unit).values(), strict=True
        ):
            z = torch.tensor(logits, requires_grad=True)
            loss = objective(name, cost)(z, torch.tensor(0))
            loss.backward()
            assert loss.item() == pytest.approx(value, abs=1e-12), name
            np.testing.assert_allclose(z.grad.numpy(), gradient, atol=1e-12, err_msg=name)


# ---- silence


def test_silence_pulls_are_those_of_the_losses():
    """Torch's gradient of every loss that is drawn, at the start and where nothing is left on the target."""
    torch = pytest.importorskip("torch")
    from emo_teach.losses import transformed

    found = module("lesson08_silence")
    for wrong, log10_rest, share in (("table", -2.0, 0.5), ("banana", -1.0, 0.3), ("table", -3.0, 0.9)):
        data = found.compute(wrong=wrong, log10_rest=log10_rest, share=share)
        column, losses = torch.tensor(data.cost), {}
        z = torch.tensor(np.log(data.p), requires_grad=True)
        losses["CE"] = -z.log_softmax(0)[0]
        losses["EMO"] = z.softmax(0) @ column
        losses["CE + EMO"] = losses["CE"] + losses["EMO"]
        for name, kind in (("−log(1 − x)", "log"), ("x/(1 − x)", "odds"), ("atanh x", "atanh")):
            losses[name] = transformed(z[None], column[None], kind)[0]
        assert set(losses) == set(data.pulls)
        for name, loss in losses.items():
            (slope,) = torch.autograd.grad(loss, z, retain_graph=True)
            assert data.pulls[name] == pytest.approx(-slope[0].item(), rel=1e-9), name
    assert all(
        value == 0
        for name, value in found.compute(wrong="table", log10_rest=-2.0, share=0.0).pulls.items()
        if "CE" not in name
    )


def test_silence_words_go_from_near_to_far():
    data = module("lesson08_silence").compute(wrong="table", log10_rest=-2.0, share=0.5)
    assert (np.diff(data.cost) > 0).all() and data.words[-1] == "table"
    with pytest.raises(ValueError, match="'cellar'"):
        module("lesson08_silence").compute(wrong="cellar", log10_rest=-2.0, share=0.5)
