"""The look of all pictures: one table of colours, one of looks, and figures that carry their alt text."""

import base64
import html
import io
import re
import sys
from contextlib import contextmanager
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure

# By role; the colours of data are Okabe & Ito's colour-blind-safe palette and a few beside it. Lessons name some of
# them: `PROSE` in tests/test_pictures.py holds the words to these colours.
COLOURS = {
    "p": "#0072B2",  # the model
    "tau": "#E69F00",  # the label, the truth
    "cost": "#707070",
    "plan": "#009E73",
    "gradient": "#CC79A7",
    "ce": "#222222",  # cross-entropy and KL
    "emd": "#D55E00",  # the exact distance, its bounds, and EMO
    "debiased": "#882255",
    "accuracy": "#56B4E9",  # 1 - p_t, total variation, the 0/1 cost
    "divergence": "#8C510A",  # f-divergences other than KL and total variation
    "family": "#5D3A9B",  # a family with a parameter (Cressie-Read's alpha, archives/9526's gamma)
    "loss": "#7E8C96",  # the dark end of a map of losses
    "synonyms": "#332288",
    "wrong": "#B34700",  # wrong labels, improbable words; and the ground behind such words
    "wrong ground": "#FBE0CF",
    "ink": "#222222",
    "tick": "#333333",
    "outline": "#555555",
    "rule": "#999999",  # a line that marks a value or a place
    "faint": "#D9D9D9",
    "grid": "#EEEEEE",
}
STYLE = {
    "font.family": "DejaVu Sans", "font.size": 10, "axes.titlesize": 10.5, "axes.titlelocation": "left",
    "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": COLOURS["outline"],
    "axes.labelcolor": COLOURS["ink"], "xtick.color": COLOURS["tick"], "ytick.color": COLOURS["tick"],
    "figure.facecolor": "white", "savefig.facecolor": "white", "legend.frameon": False,
}  # fmt: skip
COST_MAP = "Greys"
DENSITY = 100  # pixels per inch of a live picture
STATIC_DENSITY = 150
TRUTH = "truth"


class Look(NamedTuple):
    """Colour, dash and marker (the last two tell objectives apart without colour), and the name in a legend."""

    colour: str
    dash: str | tuple
    marker: str
    label: str

    @property
    def curve(self):
        """Colour and dash, as matplotlib names them."""
        return {"color": self.colour, "ls": self.dash}

    @property
    def line(self):
        """Colour, dash and marker, as matplotlib names them."""
        return self.curve | {"marker": self.marker}


# Every objective, distribution and distance that pictures draw: name -> (role of its colour, dash, marker, label).
LOOKS = {
    name: Look(COLOURS[role], *rest)
    for name, (role, *rest) in {
        TRUTH: ("tau", "-", "|", "truth"),
        "tau": ("tau", "-", "o", "label τ"),
        "p": ("p", "-", "o", "model p"),
        "ce": ("ce", "-", "o", "CE"),
        "ce matched": ("ce", ":", "o", "CE at the same entropy"),
        "kl": ("ce", "--", "8", "KL"),
        "reverse kl": ("divergence", "-", "d", "reverse KL"),
        "neyman chi2": ("divergence", "-.", "v", "Neyman chi2"),
        "pearson chi2": ("divergence", "--", "^", "Pearson chi2"),
        "jensen-shannon": ("divergence", (0, (6, 1, 1, 1, 1, 1)), "s", "Jensen-Shannon"),
        "squared hellinger": ("divergence", ":", "D", "squared Hellinger"),
        "total variation": ("accuracy", "-", "H", "total variation"),
        "accuracy": ("accuracy", "-", "h", "1 − p(target)"),
        "overconfidence": ("family", "--", "X", "overconfidence"),
        "tailr": ("family", "-", "P", "TaiLr"),
        "mixce": ("divergence", "-", "p", "MixCE"),
        "smoothing": ("gradient", "-", "*", "label smoothing"),
        "emo": ("emd", ":", "v", "EMO"),
        "emo-mode-1": ("emd", "-", "s", "EMO, mode 1"),
        "emo-mode-1 detached": ("emd", (0, (4, 1, 1, 1, 1, 1)), "P", "EMO, mode 1, detached"),
        "emo-mode-2": ("emd", "--", "D", "EMO, mode 2"),
        "ce+emo": ("emd", "-.", "^", "CE + EMO"),
        "ce to emo": ("emd", (0, (8, 4)), "8", "CE to EMO"),
        "-log(1 - x)": ("family", "-", "o", "−log(1 − x)"),
        "x/(1 - x)": ("family", "--", "s", "x/(1 − x)"),
        "atanh x": ("family", ":", "^", "atanh x"),
        "debiased": ("debiased", ":", "<", "debiased EMO"),
        "ce+debiased": ("debiased", "-", ">", "CE + debiased EMO"),
        "emd": ("emd", "-", "o", "exact EMD"),
        "product bound": ("emd", "--", "*", "product bound"),
        "jensen bound": ("emd", ":", "d", "Jensen bound"),
        "sinkhorn": ("plan", ":", "^", "entropic transport"),
        "sinkhorn-divergence": ("plan", "-", "D", "Sinkhorn divergence"),
    }.items()
}
OTHER = Look(COLOURS["cost"], "--", "d", "other")  # the shuffled controls, and whatever has no look of its own
_SAME = {"mle": "ce", "cross-entropy": "ce", "exact emd": "emd", "bound": "product bound"}
_SAME |= {name.removeprefix("emo-"): name for name in LOOKS if name.startswith("emo-mode")}


def _spelt(name):
    """One spelling: lower case, no commas, blanks for hyphens inside words; in a sum no blanks and no weight."""
    name = re.sub(r"(?<=\w)-(?=\w)", " ", str(name).lower().replace("−", "-").replace(",", ""))
    return re.sub(r"\s*\+\s*([\d.]+ )?", "+", name)


_KNOWN = {_spelt(name): LOOKS[_SAME.get(name, name)] for name in (*LOOKS, *_SAME)}


def look(name):
    """The look of an objective, a distribution or a distance, the same in every picture.

    That of the longest known name with which `name` begins; without one, or with "shuffled" in it, the grey `OTHER`.

    >>> look("emo-mode-1, seed 2") == look("EMO, mode 1"), look("ce + 10 emo").label, look("emo-mode-1 shuffled").label
    (True, 'CE + EMO', 'other')
    """
    spelt = _spelt(name)
    known = [key for key in _KNOWN if spelt == key or spelt.startswith(key + " ")]
    return OTHER if "shuffled" in spelt or not known else _KNOWN[max(known, key=len)]


def darker(colour, share=2 / 3):
    """The colour with `share` of its light, for text that is to be read."""
    return to_hex([share * part for part in to_rgb(colour)])


def new_figure(width=7.6, height=3.4):
    """A white figure in the lessons' style, in inches of `DENSITY` pixels, with no global state behind it."""
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DENSITY, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


@contextmanager
def drawing(width=7.6, height=3.4):
    """A new figure, and the lessons' style for all that is drawn meanwhile."""
    with rc_context(STYLE):
        yield new_figure(width, height)


def as_image(png, alt, width):
    """The HTML `<img>` of a PNG file's bytes."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
    # white around the picture too: on a dark page its letters would stand at the very edge
    style = f"box-sizing:border-box;padding:4px;background:white;width:{width + 8}px;max-width:100%;height:auto"
    return f'<img alt="{html.escape(alt, quote=True)}" src="{source}" style="{style}">'


def table(numbers):
    """An HTML table of rows of cells, of which the first is the header; "" for none."""
    if not numbers:
        return ""
    header, *rows = ([html.escape(str(cell)) for cell in row] for row in numbers)
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = (f'<tr><th scope="row">{name}</th>{"".join(f"<td>{x}</td>" for x in rest)}</tr>' for name, *rest in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"


def folded(numbers):
    """The numbers of a picture as an HTML `table` that is folded away; "" for none."""
    return f"<details><summary>The numbers in this picture</summary>{table(numbers)}</details>" if numbers else ""


def as_html(figure, alt, numbers=()):
    """The figure as an HTML `<img>` at print density, its `numbers` folded below; ValueError when `alt` is blank."""
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("alt is empty: say in words what the picture shows")
    from PIL import Image

    buffer, opaque = io.BytesIO(), io.BytesIO()  # the opaque one is an eighth smaller: it stays in the notebook's file
    with rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=STATIC_DENSITY)
    Image.open(buffer).convert("RGB").save(opaque, format="png", optimize=True)
    return as_image(opaque.getvalue(), alt, round(figure.get_figwidth() * DENSITY)) + folded(numbers)


def show(figure, alt, numbers=()):
    """Display a matplotlib figure with its alt text and its numbers (and close it, if pyplot made it)."""
    from IPython.display import HTML, display

    display(HTML(as_html(figure, alt, numbers)))
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)
