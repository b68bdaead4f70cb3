"""Soft-label explorer (lesson 04): the exact distance between its bounds, and where each loss is least."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from .. import transport
from ..pictures import COLOURS, drawing, look
from ..worked import COST, EMBEDDING, TOKENS
from . import simplex, widget
from .simplex import LOSSES

LATER = {"debiased": "\n(lesson 06)"}
CONTROLS = (
    widget.Slider("tau_monday", "label τ: Monday", 0.6, 0.0, 1.0, 0.05),
    widget.Slider("tau_tuesday", "τ: Tuesday's share of rest", 1.0, 0.0, 1.0, 0.05),
    widget.Slider("p_monday", "model p: Monday", 0.5, 0.0, 1.0, 0.01),
    widget.Slider("p_tuesday", "p: Tuesday's share of rest", 0.6, 0.0, 1.0, 0.05),
    widget.Choice("loss", "loss in the triangle", "product bound", LOSSES),
)
SWEEP = np.linspace(0.0, 1.0, 41)  # the label's probability of Monday
ROWS, COLUMNS, STEPS = 148, 170, 40  # pixels of the map; models a side where a minimum is looked for
SANDWICH = {"product": "product bound", "exact": "exact EMD", "jensen": "Jensen bound"}
# Where a loss is least: marker and size. Three losses are least at tau: their marks are rings of growing size.
MARKS = {"cross-entropy": ("s", 11), "exact EMD": ("o", 17), "debiased": ("D", 18), "product bound": ("*", 17)}


class Data(NamedTuple):
    """Label and model (3,), the sandwich's values and curves along its share of Monday, the chosen loss at every
    pixel; `minimisers`: loss -> models (k, 3) at which it is least, with their mixtures where several corners tie.
    """

    tau: np.ndarray
    p: np.ndarray
    loss: str
    values: dict
    curves: dict
    map: np.ndarray
    minimisers: dict


@lru_cache(maxsize=1)
def _pixels():
    """Models at the map's pixels; beyond a side of the triangle, the nearest ones (clipped away)."""
    p = np.clip(simplex.pixels(COLUMNS, ROWS), 1e-6, None)  # off the sides: cross-entropy stays finite
    return p / p.sum(-1, keepdims=True)


def _minimiser(loss, tau):
    """The best models among a lattice and tau itself, (k, 3); of tied ones, the corners."""
    if loss == "product bound":  # linear in p: least at a corner, and at every mixture of tied corners
        values = COST @ tau
        return np.eye(3)[values <= values.min() + 1e-12]
    models = np.vstack([tau, simplex.lattice(STEPS)])
    return models[[np.argmin(simplex.loss_values(loss, models, tau))]]


def _bounds(p, tau):
    product, jensen = transport.product_bound(p, tau, COST), transport.jensen_bound(p, tau, EMBEDDING)
    return {"product": product, "exact": simplex.loss_values("exact EMD", p, tau), "jensen": jensen}


def idle(settings):
    """Where Monday has all of the model, no rest is shared."""
    return {"p_tuesday": "Monday has all of the model"} if settings["p_monday"] == 1 else {}


def compute(tau_monday, tau_tuesday, p_monday, p_tuesday, loss):
    """The sandwich (D3, A4, A6) along the label's share of Monday, and the chosen loss (or A2, D9) over all models."""
    tau, p = simplex.three(tau_monday, tau_tuesday), simplex.three(p_monday, p_tuesday)
    labels = simplex.three(SWEEP, tau_tuesday)
    curves, values = _bounds(p, labels), {name: float(value) for name, value in _bounds(p, tau).items()}
    values["exact"] = float(transport.emd(p, tau, COST).value)
    shown, minimisers = simplex.loss_values(loss, _pixels(), tau), {name: _minimiser(name, tau) for name in LOSSES}
    return Data(tau, p, loss, values, curves, shown, minimisers)


def _tinted(data):
    low = data.map.min()
    high = low + simplex.NATS_SHOWN if data.loss == "cross-entropy" else data.map.max()
    return simplex.tints(data.map, low, high)


def _triangle(axes, image, below=0.11):
    return simplex.triangle(axes, image, (-0.12, 1.12, -below - 0.06, 0.98), below, 0.08)[0]


def _mark(axes, loss, label=None):
    """The symbol of a loss's minimum (tied corners are joined); returns the line, whose points are to be set."""
    (marker, size), colour = MARKS[loss], look(loss).colour
    face, edge, style = (colour, "white", "-") if marker == "*" else ("none", colour, "")
    shape = {"marker": marker, "ms": size, "mfc": face, "mec": edge, "mew": 1.6}
    return axes.plot([], [], ls=style, lw=3, color=colour, label=label, clip_on=False, **shape)[0]


def _dot(axes, name):
    """The point of the label or the model."""
    return axes.plot([], [], "o", ms=8, color=COLOURS[name], mec="white", mew=0.8, label=look(name).label)[0]


class SoftLabelPicture(widget.Picture):
    """Left: the sandwich along the label. Right: all models in a triangle, the loss as tint, and all minima."""

    size = (8.6, 3.7)

    def build(self):
        curves, triangle = self.figure.subplots(1, 2, width_ratios=[1, 1.9])
        self.curves = {}
        for row, (name, words) in enumerate(SANDWICH.items()):
            height, style = 0.95 - 0.08 * row, look(words).curve | {"lw": 2}
            curves.plot([0.04, 0.17], [height] * 2, transform=curves.transAxes, **style)
            line = self.live_line(curves, **style)
            dot = self.live_line(curves, "o", color=look(words).colour, ms=6, mec="white", clip_on=False)
            value = self.live_text(curves, 0.2, height, fontsize=9.5, va="center", transform=curves.transAxes)
            self.curves[name] = line, dot, value
        curves.set(xlim=(0, 1), ylim=(0, 1.3), yticks=np.linspace(0, 1, 6), ylabel="cost")
        curves.set(xlabel="label τ: Monday (1: one-hot)", title="exact EMD between its bounds")
        self.triangle = triangle
        self.image = self.live(_triangle(triangle, np.full((ROWS, COLUMNS, 3), 255, np.uint8)))
        self.p, self.tau = self.live(_dot(triangle, "p")), self.live(_dot(triangle, "tau"))
        self.marks = {loss: self.live(_mark(triangle, loss, f"least {loss}{LATER.get(loss, '')}")) for loss in LOSSES}
        spaced = {"labelspacing": 1.1, "handlelength": 1.4, "handletextpad": 1.1}
        legend = triangle.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=9, **spaced)
        for handle in legend.legend_handles:
            handle.set_linestyle("none")  # the star's line is for tied corners only

    def update(self, data):
        for name, label in SANDWICH.items():
            line, dot, value = self.curves[name]
            line.set_data(SWEEP, data.curves[name])
            dot.set_data([data.tau[0]], [data.values[name]])
            value.set_text(f"{label} {data.values[name]:.3f}")
        self.image.set_data(_tinted(data))
        self.title(self.triangle, f"{data.loss} over all models p (white: least)")
        simplex.place(self.p, data.p)
        simplex.place(self.tau, data.tau)
        for loss, line in self.marks.items():
            simplex.place(line, data.minimisers[loss])

    def alt(self, data):
        least = f"product bound is least at {_corners(data)}, the other losses at the label"
        return f"Exact EMD {data.values['exact']:.3f} lies between {_bounds_of(data)}; the {least}."

    def numbers(self, data):
        values = [(name, f"{data.values[key]:.3f}") for key, name in SANDWICH.items()]
        least = [(f"least {loss}", _where(models)) for loss, models in data.minimisers.items()]
        distributions = [*simplex.rows("label τ", data.tau), *simplex.rows("model p", data.p)]
        return [("quantity", "value"), *distributions, *values, ("tint of the triangle", data.loss), *least]


def _bounds_of(data):
    return f"its bounds {data.values['jensen']:.3f} and {data.values['product']:.3f}"


def _corners(data):
    return " or ".join(TOKENS[int(np.argmax(model))] for model in data.minimisers["product bound"])


def _where(models):
    """Where a loss is least, in words."""
    return "; or ".join(simplex.in_words(model, ".2f") for model in models)


draw = SoftLabelPicture
explorer = widget.explorer(compute, draw, CONTROLS, idle)


def _bars(axes, data, name):
    """The sandwich at one label, as three bars."""
    for row, (key, words) in enumerate(SANDWICH.items()):
        value, (colour, dash, _, _) = data.values[key], look(words)
        axes.barh(row, value, 0.62, facecolor=colour if dash == "-" else "white", edgecolor=colour, ls=dash, lw=1.4)
        axes.text(value + 0.015, row, f"{words.split()[0]} {value:.3f}", va="center", fontsize=9)
    axes.set(xlim=(0, 0.75), ylim=(2.6, -0.6), yticks=[], xticks=[], title=name)


def panel():
    """Static small multiples: the sandwich and four losses over all models for three labels: figure, alt, numbers."""
    labels = {"τ: Monday (one-hot)": (1.0, 1.0), "τ: .6 Monday, .4 Tuesday": (0.6, 1.0)}
    labels["τ: .5 Monday, .5 banana"] = (0.5, 0.0)
    numbers, corners, handles = [("label", *SANDWICH.values(), *(f"least {loss}" for loss in LOSSES))], [], {}
    with drawing(8.8, 5.4) as figure:
        rows = figure.subplots(3, 5, width_ratios=[1.2, 1, 1, 1, 1])
        for loss, axes in zip(LOSSES, rows[0, 1:], strict=True):
            axes.set_title(loss, loc="center")
        for row, (name, (first, share)) in zip(rows, labels.items(), strict=True):
            for axes, loss in zip(row[1:], LOSSES, strict=True):
                data = compute(first, share, 0.5, 0.6, loss)
                _triangle(axes, _tinted(data), 0.24)
                simplex.place(_dot(axes, "p"), data.p)
                simplex.place(_dot(axes, "tau"), data.tau)
                simplex.place(_mark(axes, loss, f"least {loss}"), data.minimisers[loss])
                handles |= {line.get_label(): line for line in axes.lines}
            _bars(row[0], data, name)
            values, least = (data.values[key] for key in SANDWICH), (_where(data.minimisers[loss]) for loss in LOSSES)
            numbers.append((name, *(f"{value:.3f}" for value in values), *least))
            corners.append(_corners(data))
        spaced = {"fontsize": 9, "handletextpad": 0.6, "columnspacing": 1.4}
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=6, **spaced)
    at = "; ".join(corners)
    emd = ", ".join(row[2] for row in numbers[1:])
    alt = f"For three labels, exact EMD {emd}: cross-entropy and EMD are least at the label, the product bound at {at}."
    return figure, alt, numbers
