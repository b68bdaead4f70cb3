"""Explorers: right numbers at every slider's ends, pictures that follow the sliders, alt text with the values shown."""

import base64
import importlib
import io
import re
from dataclasses import fields, is_dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from emo_teach import costs, divergences, pictures, transport
from emo_teach.explorers import widget

BRING_DATA = ("lesson07_samples", "lesson07_frontier")  # they show what a reader has trained; `demo()` has small models
OWN_DATA = "00_first_look 01_ce_kl 02_divergence 03_transport 04_soft_label 05_cost_matrix 06_objectives 08_silence"
EXPLORERS = (*(f"lesson{name}" for name in [*OWN_DATA.split(), "09_resting"]), *BRING_DATA)
pytestmark = pytest.mark.filterwarnings("error")


@lru_cache
def module(name):
    if name not in BRING_DATA:
        return importlib.import_module(f"emo_teach.explorers.{name}")
    pytest.importorskip("transformers")
    return importlib.import_module(f"emo_teach.explorers.{name}").demo()


def defaults(name, **given):
    return widget.settings_for(module(name).CONTROLS, {}) | given


def computed(name, **given):
    return module(name).compute(**defaults(name, **given))


def settings_to_try(name, whole):
    """The start, one control at a time at its ends, combined extremes, each option with one; more if `whole`."""
    controls, start = module(name).CONTROLS, defaults(name)
    ends = {control.name: (control.samples()[0], control.samples()[-1]) for control in controls}
    tried = [start]
    for control in controls:
        tried += [start | {control.name: value} for value in (control.samples() if whole else ends[control.name])]
    extremes = [{key: pair[k] for key, pair in ends.items()} for k in (0, 1)]
    mixed = [{key: pair[(k + j) % 2] for j, (key, pair) in enumerate(ends.items())} for k in (0, 1)]
    tried += [*extremes, *mixed]
    for control in controls:
        for place, option in enumerate(getattr(control, "options", ())):
            chosen = extremes if whole else [extremes[place % 2]]
            tried += [settings | {control.name: option} for settings in chosen]
    return tried


@lru_cache
def picture(name):
    """One kept picture for each explorer, as the widget has."""
    return module(name).draw(computed(name))


def pixels(name, settings):
    """The kept picture at these settings, copied."""
    return picture(name).set(module(name).compute(**settings)).pixels().copy()


def look(name, settings):
    """What the page shows, pixels and words beside the picture, and all its words, alt text and numbers included."""
    image, words = pixels(name, settings).tobytes(), re.sub(r"base64,[^\"]+", "", picture(name).to_html())
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


def check_alt(alt):
    """One sentence of at most 150 characters, with two or three numbers at least."""
    assert len(alt) <= 150 and alt.endswith(".") and not re.search(r"[.!?] ", alt), alt
    assert len(re.findall(r"\d[\d.e+-]*", alt)) >= 2, alt


def check_table(rows):
    """A header without empty cells, and rows of its length with a name each; returns the cells."""
    assert len(rows) >= 2 and {len(row) for row in rows} == {len(rows[0])}
    assert all(map(str, rows[0])) and all(str(row[0]) for row in rows)
    return [str(cell) for row in rows[1:] for cell in row]


def check_ce_kl(settings, data, words):
    assert data.entropy + data.kl == pytest.approx(data.cross_entropy, abs=1e-12)  # A3: roundings of numbers below 10
    np.testing.assert_allclose(data.ce_curve - data.kl_curve, data.entropy, atol=1e-12)
    assert data.p.sum() == pytest.approx(1) and data.p[0] == pytest.approx(settings["p_monday"])
    assert all(f"{x:.3f}" in words for x in (data.entropy, data.kl, data.cross_entropy))


def check_divergence(settings, data, words):
    assert data.p[0] == pytest.approx(10 ** settings["log10_p"])
    assert data.change < 1e-12  # D10: the split of the rest is not seen; rounding only
    rest = np.maximum(data.p[1:], 1e-300)  # above 0, where every generator has a slope; the target's p stays
    inner = np.append(data.p[0], rest / rest.sum() * (1 - data.p[0]))
    generators = [divergences.GENERATORS[settings[name]] for name in ("first", "second")]
    generators.append(divergences.alpha_generator(round(settings["alpha"], 6)))
    for generator, curve in zip(generators, data.curves, strict=True):
        expected = float(divergences.one_hot_loss(generator, data.p[0]))
        assert curve.value == pytest.approx(expected, rel=1e-12)  # the three tokens against p_t alone
        assert curve.name.replace("alpha", "α") in words
        if np.isinf(expected):
            assert curve.values is None and "∞" in curve.verdict and "infinite none" in words
            continue
        pull = divergences.logit_gradient(generator, [1.0, 0.0, 0.0], inner)[0]
        assert curve.pull == pytest.approx(abs(pull), rel=1e-6)  # from all three tokens; 1e-6 for what `inner` moves
        assert f" {curve.value:.4g} −{curve.pull:.3g} {curve.verdict}" in words
        limit = generator.at_zero + generator.slope_at_infinity
        assert ("without bound" in curve.verdict) == np.isinf(limit)
        assert (np.diff(curve.values) < 0).all() and curve.values.max() <= limit  # a loss: it falls as p_t rises


def check_transport(settings, data, words):
    solved, rounding = data.solved, 1e-12 * max(1.0, data.cost.max())
    assert data.p @ solved.u + data.tau @ solved.v == pytest.approx(solved.value, abs=rounding)  # the dual certifies it
    assert (solved.u[:, None] + solved.v <= data.cost + rounding).all()
    assert (solved.plan >= 0).all() and (solved.plan * data.cost).sum() == pytest.approx(solved.value, abs=rounding)
    np.testing.assert_allclose(solved.plan.sum(1), data.p, atol=1e-12)
    np.testing.assert_allclose(solved.plan.sum(0), data.tau, atol=1e-12)
    assert solved.value <= data.product + rounding  # A6
    if settings["cost"] == "0/1":
        assert data.compared_value == pytest.approx(solved.value, abs=1e-12)  # D8: total variation
    if settings["cost"].startswith("|"):
        assert data.compared_value >= solved.value - 1e-10  # the ordered plan is feasible ...
        if settings["power"] >= 1:  # ... and optimal from power 1 on, D8
            closed_form = transport.emd_1d(data.p, data.tau, settings["power"])
            np.testing.assert_allclose([data.compared_value, solved.value], closed_form, rtol=0, atol=1e-10)
    assert f"EMD {solved.value:.4f}" in words and f"product plan costs {data.product:.4f}" in words
    assert max(np.abs(solved.u).max(), np.abs(solved.v).max()) <= 1.1 * data.cost.max()  # what the axes of u and v show


def check_objectives(settings, data, words):
    for name, step in data.steps.items():
        assert step.sum() == pytest.approx(0, abs=1e-12), name  # softmax ignores a constant
        assert data.shown[name][0] == pytest.approx(step[0] / (np.abs(step).sum() / 2 if data.shares else 1)), name
    assert data.values["mode 1"] == pytest.approx(data.values["CE"]) == -np.log(data.p[0])  # D7
    assert data.values["EMO"] == pytest.approx(data.p @ data.cost)
    for name in ("1 − p(target)", "overconfidence", "TaiLr"):  # what sees p_t alone pushes as cross-entropy does
        step, ce = data.steps[name], data.steps["CE"]
        np.testing.assert_allclose(step * ce[0], ce * step[0], atol=1e-15)
    if settings["bars"] == "shares of each push":
        assert all(np.abs(shown).sum() == pytest.approx(2) for shown in data.shown.values())


def check_values_in_words(settings, data, words):
    values = data.values.items()
    assert all(f"{value:.3f}" in words for name, value in values if name != "difference")


# What must hold of an explorer's data and words, beyond what is asked of all: check(settings, data, words), where words
# are the alt text and the cells of the table of numbers, a blank between two.
CHECKS = {
    "lesson04_soft_label": check_values_in_words,
    "lesson05_cost_matrix": check_values_in_words,
    "lesson01_ce_kl": check_ce_kl,
    "lesson02_divergence": check_divergence,
    "lesson03_transport": check_transport,
    "lesson06_objectives": check_objectives,
}
# reverse KL and Neyman are infinite for a one-hot label, and CE at the corners of the triangle: that is the lesson
MAY_BE_INFINITE = {"lesson02_divergence", "lesson04_soft_label"}


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", EXPLORERS)
def test_numbers_alt_text_and_frame_at_every_setting(name, whole):
    for place, settings in enumerate(settings_to_try(name, whole)):
        data = module(name).compute(**settings)
        for array in numbers(data):
            assert not np.isnan(array).any(), settings
            assert name in MAY_BE_INFINITE or np.isfinite(array).all(), settings
        check_alt(alt := picture(name).alt(data))
        words = " ".join([alt, *check_table(picture(name).numbers(data))])
        assert not re.search(r"\b(nan|inf)\b", words), words
        if name in CHECKS:
            CHECKS[name](settings, data, words)
        if whole or place % 3 == 0:  # drawing takes most of the time
            image = picture(name).set(data).pixels()[..., :3]
            frame = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
            assert (frame == 255).all(), settings  # nothing is cut off at the edge


@pytest.mark.parametrize("name", EXPLORERS)
def test_every_control_changes_picture_and_alt_text(name):
    controls, start = module(name).CONTROLS, defaults(name)
    choices = [control for control in controls if isinstance(control, widget.Choice)]
    # a control may act under some choice only (the power k under |i - j|^k): some base among these must show it
    bases = [start] + [start | {choice.name: option} for choice in choices for option in choice.options]
    for control in controls:
        for base in bases:
            tried = [base | {control.name: value} for value in control.samples(3)[:3]]
            seen, words = zip(*(look(name, settings) for settings in tried), strict=True)
            if all(a != b for a, b in pairwise(seen)) and len(set(words)) == len(words):
                break
        else:
            pytest.fail(f"{control.name} does not change the picture and the alt text")


@pytest.mark.parametrize("name", EXPLORERS)
def test_kept_picture_equals_a_fresh_one(name):
    for settings in settings_to_try(name, False)[-3:]:
        fresh = module(name).draw(module(name).compute(**settings)).pixels()
        pixels(name, defaults(name))
        apart = np.abs(pixels(name, settings).astype(int) - fresh)
        # of 255: matplotlib 3.10 rounds a scaled image by up to 2; a label left behind differs by far more
        assert apart.max() <= 4, settings


@pytest.mark.parametrize("name", EXPLORERS)
def test_picture_and_panel_are_images_of_full_width_with_alt_text(name):
    figure, alt, numbers = module(name).panel()
    check_alt(alt)
    check_table(numbers)
    for page in (picture(name).set(computed(name)).to_html(), pictures.as_html(figure, alt, numbers)):
        shown = Image.open(io.BytesIO(base64.b64decode(re.search(r"base64,([^\"]+)", page)[1])))
        assert shown.width >= 720 and re.search(r'<img alt="[^"]{60,}"', page) and "<details>" in page
        assert np.asarray(shown).std() > 10  # something is drawn


def parts(widget):
    """The widget and all widgets in it."""
    return [widget] + [part for child in getattr(widget, "children", ()) for part in parts(child)]


def named(tied, name):
    """The part of an explorer with a class of this name."""
    (found,) = [part for part in parts(tied) if f"emo-{name}" in getattr(part, "_dom_classes", ())]
    return found


def status(tied):
    return re.fullmatch('<div role="status" aria-live="polite">(.*)</div>', named(tied, "status").value)[1]


def tip(part):
    """A control's tooltip, in ipywidgets 7 and 8."""
    from ipywidgets import __version__

    return getattr(part, "description_tooltip" if __version__.startswith("7.") else "tooltip")


@pytest.mark.parametrize("name", EXPLORERS)
def test_widget_starts_where_told_and_follows_its_controls(name):
    widgets = pytest.importorskip("ipywidgets")
    with pytest.raises(ValueError, match="no_such_setting"):
        module(name).explorer(no_such_setting=1)
    controls = module(name).CONTROLS
    first = next(control for control in controls if isinstance(control, widget.Slider))
    tied = [module(name).explorer(**{first.name: value}) for value in (first.high, first.low)]
    assert named(tied[0], "page").value != named(tied[1], "page").value
    page, all_parts = named(tied[1], "page"), parts(tied[1])
    kinds = widgets.FloatSlider, widgets.FloatText, widgets.Dropdown
    sliders, boxes, menus = ([part for part in all_parts if isinstance(part, kind)] for kind in kinds)
    assert len(sliders) == len(boxes) == sum(isinstance(c, widget.Slider) for c in controls)
    assert len(menus) == sum(isinstance(c, widget.Choice) for c in controls)
    for control in [*boxes, *menus]:
        before = page.value
        if control in menus:
            control.value = next(option for option in control.options if option != control.value)
        else:
            ends = next((s.min, s.max) for s in sliders if tip(s) == tip(control))
            control.value = ends[control.value != ends[1]]
        assert control.disabled or page.value != before and page.value.startswith("<img"), control.description
        assert status(tied[1]) in page.value  # no event loop runs here: what is seen is said at once
        assert named(tied[1], "numbers").value.startswith("<table")
    assert all(tip(part) is not None for part in all_parts if hasattr(part, "description"))  # "null" in the page


def test_a_value_out_of_range_is_named_and_the_picture_stays():
    tied = module("lesson00_first_look").explorer()
    box = next(part for part in parts(tied) if getattr(part, "continuous_update", False))
    before = named(tied, "page").value
    box.value = 35.0  # "0,35", typed where a comma does not count
    note = named(tied, "note").value
    assert "35" in note and "rest" in note and "at most 1" in note and status(tied) == note
    assert named(tied, "page").value == before
    box.value = 0.333  # between two steps: kept as typed
    assert named(tied, "note").value == "" and box.value == 0.333 and named(tied, "page").value != before
    box.value = 0.15000000000000002  # a slider's rounding is cleared away
    assert box.value == 0.15


class Plain(widget.Picture):
    size = (1, 1)

    def build(self):
        pass

    update = alt = lambda self, data: f"{data.x} and {data.y}."


class Overruled:
    def __init__(self, x, y):
        self.x, self.y, self.settings = x, y, {"y": 0.25} if x > 1 else {}
        if x == 1:
            raise ValueError("x = 1 is refused")


def test_an_error_in_compute_stands_above_the_picture_and_controls_without_effect_rest():
    widgets = pytest.importorskip("ipywidgets")
    controls = widget.Slider("x", "the x", 0.0, 0.0, 2.0, 0.5), widget.Slider("y", "the y", 0.5, 0.0, 1.0, 0.5)
    tied = widget.tie(Overruled, Plain, controls, {}, lambda given: {"y": "x decides"} if given["x"] > 1 else {})
    x, y = [part for part in parts(tied) if isinstance(part, widgets.FloatText)]
    slider = [part for part in parts(tied) if isinstance(part, widgets.FloatSlider)][1]
    x.value = 1.0
    assert "x = 1 is refused" in named(tied, "note").value and 'alt="0.0 and 0.5."' in named(tied, "page").value
    x.value = 2.0
    assert named(tied, "note").value == "" and y.value == 0.25 and y.disabled and slider.disabled
    assert tip(y) == tip(slider) == "the y: x decides"
    x.value = 0.0  # the reader's own value comes back
    assert y.value == 0.5 and not y.disabled and tip(y) == "the y"


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_control_rests_exactly_where_it_has_no_effect(name):
    controls, resting = module(name).CONTROLS, module(name).explorer.idle
    for settings in settings_to_try(name, False)[::2]:
        for control in controls:
            if isinstance(control, widget.Slider):
                found = [module(name).compute(**settings | {control.name: x}) for x in control.samples(3)]
                same = all(
                    np.array_equal(a, b)
                    for each in found[1:]
                    for a, b in zip(*map(numbers, (found[0], each)), strict=True)
                )
                assert same == (control.name in resting(settings)), (control.name, settings)


def test_infinite_divergences_are_named_in_the_picture():
    data = computed("lesson02_divergence", first="reverse KL", second="Neyman chi2")
    shown = picture("lesson02_divergence").set(data)
    assert all(note.get_visible() and "reverse KL, Neyman chi2" in note.get_text() for note in shown.notes)
    assert not any(note.get_visible() for note in shown.set(computed("lesson02_divergence")).notes)


def test_verdicts_name_what_becomes_of_the_pull():
    flat = "flat: never above 1, pull dies out"
    for name, fate in (("KL", "pull stays"), ("total variation", flat), ("Pearson chi2", "pull grows")):
        assert fate in computed("lesson02_divergence", first=name).curves[0].verdict


def test_ordered_plan_costs_more_below_power_one_somewhere():
    data = computed("lesson03_transport", power=0.25)
    assert data.compared_value > data.solved.value + 0.05  # D8: crossing is cheaper for concave costs


@pytest.mark.parametrize("value", [np.array([1, 2]), [1], 3, None])
def test_a_choice_takes_its_options_only(value):
    with pytest.raises(ValueError, match="^which = .* is none of 1, 2"):
        widget.settings_for([widget.Choice("which", "Which", 1, (1, 2))], {"which": value})


WRONG = {
    "lesson02_divergence": {"first": "nothing", "second": "nothing"},
    "lesson03_transport": {"cost": "nowhere", "p_width": 0},
    "lesson04_soft_label": {"loss": "hinge"},
    "lesson05_cost_matrix": {"example": "cheese"},
    "lesson06_objectives": {"target": "cheese", "bars": "stout"},
    "lesson08_silence": {"wrong": "cellar"},
    "lesson09_resting": {"loss": "hinge", "kind": "rumour", "monday": 1.1, "banana": np.nan}
    | {"log10_regularisation": -2.5},
}


@pytest.mark.parametrize("name", WRONG)
def test_bad_settings_are_refused_by_name(name):
    for key, wrong in WRONG[name].items():
        with pytest.raises(ValueError, match=f"{key} = .*{wrong}"):
            computed(name, **{key: wrong})


def test_marks_of_the_divergences_stand_where_the_numbers_say():
    data = computed("lesson02_divergence", log10_p=-0.5, first="Pearson chi2", second="Jensen-Shannon")
    shown = picture("lesson02_divergence").set(data)
    np.testing.assert_allclose([bar.get_width() for bar in shown.bars], data.p)
    inside = [curve.value for curve in data.curves]
    assert max(inside) < shown.values.get_ylim()[1]
    np.testing.assert_allclose(shown.dots.get_xydata(), [(data.p[0], value) for value in inside])
    np.testing.assert_allclose(shown.pull_dots.get_xydata(), [(data.p[0], curve.pull) for curve in data.curves])
    for curve, line in zip(data.curves, shown.value_lines, strict=True):  # the dot is on its curve, up to the grid
        assert np.interp(data.p[0], *line.get_data()) == pytest.approx(curve.value, rel=0.02)


def test_marks_of_the_plan_stand_where_the_numbers_say():
    data = computed("lesson03_transport")
    shown, longest = picture("lesson03_transport").set(data), max(data.p.max(), data.tau.max())
    np.testing.assert_allclose([bar.get_width() for bar in shown.p_bars], data.p / longest)
    np.testing.assert_allclose([bar.get_height() for bar in shown.tau_bars], data.tau / longest)
    np.testing.assert_allclose(shown.u_line.get_xdata(), data.solved.u / data.cost.max())
    columns, rows = shown.plan.get_offsets().T.astype(int)
    tight = {tuple(cell) for cell in shown.tight.get_xydata().astype(int)}
    assert set(zip(columns, rows, strict=True)) <= tight  # D6: mass only where u + v = cost
    masses = data.solved.plan[rows, columns]
    assert masses.sum() == pytest.approx(1, abs=1e-9)  # no mass is left out
    ratio = shown.plan.get_sizes() / masses
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-12)  # area is mass


def test_objectives_explorer_agrees_with_the_losses():
    torch = pytest.importorskip("torch")
    from emo_teach.losses import CostEmbedding, objective
    from emo_teach.words import load_words

    names = ("ce", "accuracy", "overconfidence", "tailr", "emo", "emo-mode-1", "emo-mode-2", "debiased")
    unit = costs.unit_rows(load_words().rows(["Monday", "Tuesday", "banana", "table"]))
    cost = CostEmbedding(torch.tensor(unit))
    for logits in np.random.default_rng(0).normal(size=(20, 4)) * 3:
        found = module("lesson06_objectives").gradients(logits, unit).values()
        for name, (value, gradient) in zip(names, found, strict=True):
            z = torch.tensor(logits, requires_grad=True)
            loss = objective(name, cost)(z, torch.tensor(0))
            loss.backward()
            assert loss.item() == pytest.approx(value, abs=1e-12), name
            np.testing.assert_allclose(z.grad.numpy(), gradient, atol=1e-12, err_msg=name)


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
    assert (np.diff(data.cost) > 0).all() and data.words[-1] == "table"  # from near to far
    silent = found.compute(wrong="table", log10_rest=-2.0, share=0.0).pulls
    assert all(value == 0 for name, value in silent.items() if "CE" not in name)
