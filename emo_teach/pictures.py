"""The look of all pictures: one palette, one table of what each objective looks like, and figures that carry their alt text."""

import base64
import html
import io
import sys
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# The same thing has the same colour in every lesson (Okabe & Ito's colour-blind-safe palette).
COLOURS = {
    "p": "#0072B2",  # the model
    "tau": "#E69F00",  # the label
    "cost": "#7A7A7A",
    "plan": "#009E73",
    "gradient": "#CC79A7",
    "ce": "#222222",  # cross-entropy, and KL dashed
    "emd": "#D55E00",  # the exact distance and EMO; its bounds are dashed and dotted lines of the same colour
    "accuracy": "#56B4E9",  # 1 - p_t, total variation, the 0/1 cost
    "divergence": "#8C510A",  # f-divergences other than KL and total variation
    "family": "#5D3A9B",  # a family with a parameter (Cressie-Read's alpha, archives/9526's gamma)
    "ink": "#222222",
    "faint": "#D9D9D9",
}
STYLE = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#555555",
    "axes.labelcolor": "#222222",
    "xtick.color": "#333333",
    "ytick.color": "#333333",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "legend.frameon": False,
}
COST_MAP = "Greys"
DENSITY = 100  # pixels per inch of a live picture
STATIC_DENSITY = 150
TRUTH = "truth"
WINE = "#882255"  # beside the palette's vermillion, for the debiased losses


class Style(NamedTuple):
    """Colour, dash and marker: the three together tell objectives apart, the last two without any colour."""

    colour: str
    dash: str
    marker: str


STYLES = {
    TRUTH: Style(COLOURS["tau"], "-", "|"),
    "ce": Style(COLOURS["ce"], "-", "o"),
    "mle": Style(COLOURS["ce"], "-", "o"),
    "emo": Style(COLOURS["emd"], ":", "v"),
    "emo-mode-1": Style(COLOURS["emd"], "-", "s"),
    "emo-mode-2": Style(COLOURS["emd"], "--", "D"),
    "ce+emo": Style(COLOURS["emd"], "-.", "^"),
    "debiased": Style(WINE, ":", "<"),
    "ce+debiased": Style(WINE, "-", ">"),
    "tailr": Style(COLOURS["family"], "-", "P"),
    "overconfidence": Style(COLOURS["family"], "--", "X"),
    "mixce": Style(COLOURS["divergence"], "-", "p"),
    "accuracy": Style(COLOURS["accuracy"], "-", "h"),
    "smoothing": Style(COLOURS["gradient"], "-", "*"),
}
OTHER = Style(COLOURS["cost"], "--", "d")  # the shuffled controls, and whatever has no look of its own


def style(name):
    """The look of an objective, the same in every picture: that of the longest known name with which the label begins.

    Raises nothing: a label that is not known, or says "shuffled", is grey.

    >>> style("emo-mode-1, seed 2") == style("emo-mode-1"), style("emo-mode-1 shuffled").colour == style("emo-mode-1").colour
    (True, False)
    """
    label = str(name).lower()
    known = [key for key in STYLES if label == key or label.startswith((key + " ", key + ","))]
    return OTHER if "shuffled" in label or not known else STYLES[max(known, key=len)]


def new_figure(width=7.6, height=3.4):
    """A white figure in the lessons' style, `width` x `height` inches, with no global state behind it.

    Returns a matplotlib `Figure`. Units: inches of `DENSITY` pixels. Raises matplotlib's ValueError for negative or
    infinite sizes.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=DENSITY, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def as_image(png, alt, width):
    code = base64.b64encode(png).decode("ascii")
    return f'<img alt="{html.escape(alt, quote=True)}" src="data:image/png;base64,{code}" style="width:{width}px;max-width:100%;height:auto">'


def as_html(figure, alt):
    """The figure as one HTML `<img>` at print density; alt text is required and may not be blank.

    Raises ValueError when `alt` is no text or blank.
    """
    if not isinstance(alt, str) or not alt.strip():
        raise ValueError("alt is empty: say in words what the picture shows")
    from PIL import Image

    buffer = io.BytesIO()
    with rc_context(STYLE):
        figure.savefig(buffer, format="png", dpi=STATIC_DENSITY)
    opaque = io.BytesIO()
    Image.open(buffer).convert("RGB").save(
        opaque, format="png", optimize=True
    )  # an eighth smaller: it stays in the notebook's file
    return as_image(opaque.getvalue(), alt, round(figure.get_figwidth() * DENSITY))


def show(figure, alt):
    """Display a matplotlib figure in a notebook with its alt text (and close it, if pyplot made it)."""
    from IPython.display import HTML, display

    display(HTML(as_html(figure, alt)))
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close(figure)
