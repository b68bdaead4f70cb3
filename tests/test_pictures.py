"""Pictures: one table of looks, from which every colour comes, also those that the lessons name."""

import ast
import colorsys
import re
from pathlib import Path

import pytest
from matplotlib.colors import is_color_like, to_rgb

from emo_teach import pictures
from emo_teach.pictures import COLOURS, LOOKS, OTHER, look

PACKAGE = Path(pictures.__file__).parent
ARGUMENTS = {"c", "color", "colors", "ec", "fc", "edgecolor", "edgecolors", "facecolor", "facecolors", "mec", "mfc"}
HEX = re.compile(r"#(?:[0-9a-f]{6}|[0-9a-f]{3})\b", re.IGNORECASE)
FORMAT = re.compile(r"(C\d|[bgrcmykw])[-.:,ov^<>sDd*+x|_hHpPX1-4]*")  # a colour in a format of `plot`, such as "k--"


def texts(node):
    """The strings that an expression may be."""
    parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else getattr(node, "elts", [])
    own = [node.value] if isinstance(node, ast.Constant) and isinstance(node.value, str) else []
    return own + [text for part in parts for text in texts(part)]


def colour_literals(source):
    """Every colour that a source spells out: "#...", a named colour or a grey level as an argument, or in a format."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant):
            found += [text for value in texts(node) for text in HEX.findall(value)]
        named, formats = [], []
        if isinstance(node, ast.Call):
            named = [(word.arg, word.value) for word in node.keywords]
            plots = getattr(node.func, "attr", "") in ("plot", "errorbar", "step")
            formats = [*node.args, *(value for name, value in named if name == "fmt")] if plots else []
        elif isinstance(node, ast.Dict):
            named = [(getattr(key, "value", None), value) for key, value in zip(node.keys, node.values, strict=True)]
        spelt = [text for name, value in named if name in ARGUMENTS for text in texts(value)]
        found += [text for text in spelt if is_color_like(text) and text not in ("white", "none") and text[0] != "#"]
        found += [text for value in formats for text in texts(value) if FORMAT.fullmatch(text)]
    return found


PLANTED = {
    'COLOUR = "#9A6A00"': "#9A6A00", 'f"background:#fbe;{x}"': "#fbe", 'axes.plot(x, y, color="tab:red")': "tab:red",
    'axes.axhline(0, c="0.5")': "0.5", 'axes.bar(x, y, edgecolor="white" if plain else "C0")': "C0",
    'look = {"mfc": "red"}': "red", 'axes.plot(x, y, "k--")': "k--", 'axes.errorbar(x, y, fmt="C1o")': "C1o",
}  # fmt: skip


def test_planted_colours_are_found():
    assert {source: colour_literals(source) for source in PLANTED} == {source: [c] for source, c in PLANTED.items()}


def test_colours_stand_in_pictures_alone():
    found = {path: colour_literals(path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")}
    assert found.pop(PACKAGE / "pictures.py")
    assert {str(path): colours for path, colours in found.items() if colours} == {}


def test_no_two_looks_are_alike():
    """A name's label tells it apart; colour, dash and marker do so too."""
    looks = [*LOOKS.values(), OTHER]
    assert len({each[:3] for each in looks}) == len({each.label for each in looks}) == len(looks)


def test_every_objective_has_a_look_that_needs_no_colour():
    pytest.importorskip("torch")
    from emo_teach.losses import NAMES

    assert len({LOOKS[name][1:3] for name in NAMES}) == len(NAMES)


SPELT = {
    "emo-mode-1, seed 2": "emo-mode-1", "Mode 1, detached": "emo-mode-1 detached", "EMO, mode 2": "emo-mode-2",
    "ce + 0.3 emo": "ce+emo", "CE + EMO": "ce+emo", "ce + debiased": "ce+debiased", "debiased, ppmi cost": "debiased",
    "ce matched to emo": "ce matched", "mle": "ce", "bound": "product bound", "−log(1 − x)": "-log(1 - x)",
}  # fmt: skip


def test_a_look_is_found_however_the_name_is_spelt():
    assert {name: look(name) for name in SPELT} == {name: LOOKS[known] for name, known in SPELT.items()}
    for unknown in ("emo-mode-1 shuffled", "untouched", "emollient", "ce+", ""):
        assert look(unknown) == OTHER, unknown


def test_a_darker_colour_has_two_thirds_of_the_light():
    assert pictures.darker("#E69F00") == "#996a00" and pictures.darker("#FF0000", 0) == "#000000"


# ---- colours that the lessons name: (source, phrase, role of the colour)

PROSE = (
    ("01_cross_entropy_is_kl", "grey band", "faint"),
    ("03_exact_emd_linear_programming", "Grey earth", "faint"),
    ("03_exact_emd_linear_programming", "green dot", "plan"),
    ("04_one_hot_closed_form", "blue dot", "p"),
    ("07_gpt2_finetune", "truth's (orange)", "tau"),
)
HUES = {"red-orange": (15, 32), "orange": (32, 50), "yellow": (50, 70), "green": (90, 175), "blue": (190, 250)}
WORDS = re.compile(rf"\b(?:{'|'.join(HUES)}|gr[ea]y|red|brown|violet|purple|pink)\b", re.IGNORECASE)
LESSONS = PACKAGE.parent / "notebooks" / "src"


def word(role):
    hue, _, saturation = colorsys.rgb_to_hls(*to_rgb(COLOURS[role]))
    (name,) = [name for name, (low, high) in HUES.items() if low <= 360 * hue < high] or ["red"]
    return "grey" if saturation < 0.05 else name


@pytest.mark.skipif(not LESSONS.is_dir(), reason="the sources of the lessons are in a clone only")
def test_a_colour_that_a_lesson_names_is_the_one_drawn():
    named = {path.stem: WORDS.findall(path.read_text(encoding="utf-8")) for path in LESSONS.glob("*.py")}
    assert {stem: len(words) for stem, words in named.items() if words} == {
        stem: sum(stem == each for each, *_ in PROSE) for stem, *_ in PROSE
    }, "a lesson names a colour that is not in PROSE"
    for stem, phrase, role in PROSE:
        assert phrase in (LESSONS / f"{stem}.py").read_text(encoding="utf-8") and word(role) in phrase.lower(), phrase


def test_a_key_names_the_colour_drawn():
    key = (PACKAGE / "explorers" / "lesson03_transport.py").read_text(encoding="utf-8")
    assert f"{word('cost')}: cost" in key and f"{word('plan')}: plan" in key
