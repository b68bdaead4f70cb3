"""Still pictures and what explorers draw: a short alt text, numbers that are computed, nothing cut off or faint."""

import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from emo_teach import figures, pictures, transport, worked
from emo_teach.authoring import build
from tests.test_explorers import EXPLORERS, computed, module, picture, settings_to_try

pytestmark = pytest.mark.filterwarnings("error")
LONGEST = 150  # characters of an alt text: about ten seconds of speech
MOST_ROWS = 40  # below a header


def rows_of(name, seed):
    """A study's committed rows; with another seed, other numbers."""
    pytest.importorskip("transformers")
    from emo_teach import studies

    keep = {"seed", "step", "synonyms", "texts", "layers", "width", "hopeless"}
    rows = studies.table(name)
    if not seed:
        return rows
    factors = np.random.default_rng(seed).uniform(0.5, 1.5, len(rows))
    return [
        {key: value * x if isinstance(value, float) and key not in keep else value for key, value in row.items()}
        for row, x in zip(rows, factors, strict=True)
    ]


def drawn(seed):
    """Distributions, paths and histories, by name, other ones for each seed."""
    rng = np.random.default_rng(seed)
    p, tau = rng.dirichlet(np.ones(3), size=2)
    walk = lambda end: np.linspace(np.ones(3) / 3, end, 40)  # noqa: E731
    history = [{"step": k, **dict.fromkeys(("forward_kl", "reverse_kl", "emd_classes"), 1 / (k + 1))} for k in (0, 50)]
    return {
        "rng": rng,
        "p": p,
        "tau": tau,
        "paths": {"CE": walk(tau), "transport": walk(np.eye(3)[seed % 3])},
        "heads": {name: rng.normal(size=(12, 4)) for name in ("pretrained head", "random head")},
        "tracks": {
            name: [entry | {"entropy": 2 - rng.uniform() * entry["step"] / 50} for entry in history]
            for name in ("ce", "emo-mode-1", "ce+debiased")
        },
        "curve": np.sort(rng.uniform(size=12)),
    }


def base_cell():
    pytest.importorskip("transformers")
    from emo_teach.studies.lesson09_questions import Cell

    return Cell()


def objectives(rng, points):
    return {name: rng.uniform(0.1, 1, points) for name in ("ce", "tailr", "emo", "emo-mode-1", "debiased")}


# figure: its arguments, given `drawn(seed)`
CASES = {
    "generators": lambda d, seed: (),
    "two_bumps": lambda d, seed: (
        d["rng"].dirichlet(np.ones(40)),
        {
            name: (d["rng"].dirichlet(np.ones(40)), *d["rng"].integers(1, 30, 2))
            for name in ("KL", "reverse KL", "total variation", "Jensen-Shannon")
        },
    ),
    "wrong_labels": lambda d, seed: (
        np.array([-1.0, 1, 5, 6, 7 + seed]),
        np.array([0, 1, 0, 0, seed], bool),
        {name: tuple(d["rng"].uniform(0.1, 3, 2)) for name in ("KL", "Pearson chi2", "family, γ = 0.5")},
        (3.0, 0.0),
    ),
    "moved_plans": lambda d, seed: (
        d["p"],
        d["tau"],
        worked.COST,
        {"product": np.outer(d["p"], d["tau"]), "best": transport.emd(d["p"], d["tau"], worked.COST).plan},
        worked.TOKENS,
    ),
    "entropic_plans": lambda d, seed: (d["p"], d["tau"], worked.COST * 9, (1, 10)),
    "accuracy_staircase": lambda d, seed: (np.arange(12.0) - seed, d["curve"][::-1] > 0.5, d["curve"][::-1]),
    "training_paths": lambda d, seed: (d["tau"], worked.COST, d["paths"]),
    "word_costs": lambda d, seed: (
        {"days": ["Monday", "Tuesday", "Friday"][seed:], "fruit": ["banana", "mango", "apple"][: 3 - seed]},
    ),
    "sandwich": lambda d, seed: (d["p"], d["tau"], worked.EMBEDDING, worked.TOKENS),
    "regularisation_dial": lambda d, seed: (
        np.geomspace(0.1, 9, 12),
        d["curve"],
        d["curve"][::-1],
        0.5,
        1.0,
        0.1 + 0.1 * seed,
    ),
    "shrinking_costs": lambda d, seed: (
        ["a", "b", "c"],
        {step: worked.COST * x for step, x in zip((0, 30, 100), np.sort(d["tau"])[::-1], strict=True)},
        {name: d["rng"].uniform(size=(2, 9, 2)) for name in ("random labels", "labels that can be learned")},
    ),
    "rivals": lambda d, seed: (np.geomspace(1e-6 * (1 + seed), 1, 12), *(objectives(d["rng"], 12) for _ in range(2))),
    "rest_points": lambda d, seed: (d["tau"], {"ce": d["tau"], "mode 1": d["p"], "debiased": d["tau"]}, seed),
    "head_cosines": lambda d, seed: (
        {name: rows / np.linalg.norm(rows, axis=1, keepdims=True) for name, rows in d["heads"].items()},
        np.arange(12) // 3,
    ),
    "against_truth": lambda d, seed: (d["tracks"], 1.5 + 0.1 * seed),
    "study": lambda d, seed: (
        [row for row in rows_of("objectives", seed) if row["regime"] != "small model"],
        ("forward_kl", "mauve"),
    ),
    "growth": lambda d, seed: (rows_of("scratch", seed), "tv"),
    "dose": lambda d, seed: (rows_of("scratch", seed),),
    "mass": lambda d, seed: (rows_of("questions", seed), base_cell()),
    "varied": lambda d, seed: (rows_of("questions", seed), "emd_classes"),
    "soft_training": lambda d, seed: (rows_of("soft_labels", seed),),
}
PANELS = EXPLORERS


def test_every_still_picture_is_tried():
    assert set(CASES) == set(figures.__all__)


def check_words(alt, numbers):
    """One or two sentences of the idea, and a table without holes."""
    assert 60 <= len(alt) <= LONGEST and alt.endswith("."), (len(alt), alt)
    assert numbers[0][0] and len({len(row) for row in numbers}) == 1 and 2 <= len(numbers) <= MOST_ROWS + 1, numbers
    assert not any(re.search(r"\b(nan|inf|None)\b", str(cell)) for row in (*numbers, (alt,)) for cell in row)


def contrast(colour):
    """Of a colour on white, by WCAG 2."""
    light = [x / 12.92 if x <= 0.03928 else ((x + 0.055) / 1.055) ** 2.4 for x in to_rgb(colour)]
    return 1.05 / (np.dot(light, (0.2126, 0.7152, 0.0722)) + 0.05)


def faint(figure):
    """Words whose contrast on white is below 4.5, what WCAG's level AA asks of small text."""
    words = [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip()]
    return {text.get_text(): contrast(text.get_color()) for text in words if contrast(text.get_color()) < 4.5}


def cut_off(figure):
    """Bars and marks that the edge of their axes cuts: what a reader takes for shorter, or for another symbol."""
    found = []
    for axes in figure.axes:
        x0, y0, x1, y1 = axes.bbox.extents
        for line in axes.lines:
            if not line.get_visible() or not line.get_clip_on() or line.get_marker() in ("None", "", None, "|", "x"):
                continue
            radius = 0.5 * line.get_markersize() * figure.dpi / 72 - 1
            points = line.get_transform().transform(line.get_xydata())
            if ((points < np.array([x0, y0]) + radius) | (points > np.array([x1, y1]) - radius)).any():
                found.append(f"mark of {line.get_label()} in {axes.get_title(loc='left')!r}")
        for bar in (patch for container in axes.containers for patch in container if hasattr(patch, "get_width")):
            a, b, c, d = bar.get_window_extent().extents
            if (
                bar.get_visible()
                and bar.get_clip_on()
                and not (x0 - 1 <= a <= c <= x1 + 1 and y0 - 1 <= b <= d <= y1 + 1)
            ):
                found.append(f"bar in {axes.get_title(loc='left')!r}")
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_still_picture_says_its_idea_and_has_its_numbers_computed(name):
    seen = []
    for seed in (0, 1):
        figure, alt, numbers = getattr(figures, name)(*CASES[name](drawn(seed), seed))
        check_words(alt, numbers)
        seen.append((alt, numbers[1:]))
        figure.canvas.draw()
        assert not faint(figure)
    (alt, numbers), (other, others) = seen
    assert name == "generators" or (alt != other and numbers != others)


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_says_its_idea(name):
    figure, alt, numbers = module(name).panel()
    check_words(alt, numbers)
    figure.canvas.draw()
    assert not faint(figure) and not cut_off(figure)


@pytest.mark.parametrize("name", [name for name in EXPLORERS])
def test_nothing_is_cut_off_or_faint_at_any_setting(name):
    picture(name).pixels()  # the layout of the first drawing stays
    for settings in settings_to_try(name, False):
        shown = picture(name).set(module(name).compute(**settings))
        assert not cut_off(shown.figure) and not faint(shown.figure), settings


def test_what_is_cut_off_is_found():
    with pictures.drawing() as figure:
        axes = figure.subplots()
        bars = axes.barh([0, 1], [0.5, 1.2])
        (mark,) = axes.plot([0.5], [1.9], "o", ms=20)
        axes.set(xlim=(0, 1), ylim=(-1, 2))
        axes.text(0, 0, "grey", color="#7A7A7A")
    figure.canvas.draw()
    assert len(cut_off(figure)) == 2 and set(faint(figure)) == {"grey"}
    bars[1].set_width(1)
    mark.set_clip_on(False)
    assert not cut_off(figure)


def test_every_column_of_a_table_has_a_header_in_words():
    """A screen reader skips formulas, and an empty cell heads nothing."""
    pages = [path.read_text("utf-8") for path in build.sources()]
    heads = [head for page in pages for head in re.findall(r"^# \|(.+)\|\n# \|[ :|-]+$", page, re.MULTILINE)]
    cells = [re.sub(r"\$[^$]*\$", "", cell) for head in heads for cell in head.split("|")]
    assert len(heads) > 3 and all(re.search(r"\w\w", cell) for cell in cells), cells


def test_the_longest_cost_has_room_in_the_objectives_explorer():
    data = computed("lesson06_objectives", target="three")
    shown = picture("lesson06_objectives").set(data)
    assert max(data.cost) > 1.1 and max(data.cost) < shown.named[1].get_xlim()[1]
