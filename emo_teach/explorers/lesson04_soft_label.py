"""Soft-label explorer (lesson 04): the exact distance between its two bounds, and where each loss has its minimum over all models p."""

from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Polygon

from .. import divergences, pictures, transport
from ..worked import COST, EMBEDDING, TOKENS
from . import widget

LOSSES = ("cross-entropy", "exact EMD", "product bound", "debiased")
LATER = {"debiased": "\n(lesson 06)"}
CONTROLS = (
    widget.Slider("softness", "τ: mass off Monday", 0.4, 0.0, 1.0, 0.05),
    widget.Slider("tau_tuesday", "τ: Tuesday's share of it", 1.0, 0.0, 1.0, 0.05),
    widget.Slider("p_monday", "p: mass on Monday", 0.5, 0.0, 1.0, 0.01),
    widget.Slider("p_tuesday", "p: Tuesday's share of rest", 0.6, 0.0, 1.0, 0.05),
    widget.Choice("loss", "loss in the triangle", "product bound", LOSSES),
)
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])  # Monday, Tuesday, banana
SOFTNESS = np.linspace(0.0, 1.0, 41)
BANDS = 12  # flat steps of colour, so that their borders read as contour lines
NATS_SHOWN = 2.5  # cross-entropy is infinite at the triangle's sides: the map stops this far above its minimum
TINTS = LinearSegmentedColormap.from_list("loss", ["#FFFFFF", "#7E8C96"])(np.linspace(0, 1, BANDS))[:, :3]
PALETTE = (255 * TINTS).round().astype(np.uint8)
SANDWICH = (("product", "product bound", "--"), ("exact", "exact EMD", "-"), ("jensen", "Jensen bound", ":"))
# Where a loss is least: marker, size, colour. Three of them meet at tau, so they are rings of growing size around it.
MARKS = {
    "cross-entropy": ("s", 11, pictures.COLOURS["ce"]),
    "exact EMD": ("o", 17, pictures.COLOURS["emd"]),
    "debiased": ("D", 18, pictures.COLOURS["emd"]),
    "product bound": ("*", 17, pictures.COLOURS["emd"]),
}


@dataclass(frozen=True)
class Data:
    """Label and model (3,), the three values and their curves along the label's softness, the chosen loss at every pixel, and the minimisers.

    `minimisers`: loss -> (k, 3), the models at which it is least; k > 1 where several corners tie, and then all mixtures of them do.
    """

    softness: float
    tau: np.ndarray
    p: np.ndarray
    loss: str
    values: dict
    curves: dict
    map: np.ndarray
    minimisers: dict


def _three(first, share):
    """(first, share of the rest, what is left), along a last axis."""
    first = np.asarray(first, float)
    return np.stack([first, (1 - first) * share, (1 - first) * (1 - share)], axis=-1)


@lru_cache(maxsize=1)
def _pixels(columns=170, rows=148):
    """Models p at the pixels of the triangle's box, (rows, columns, 3), top row first; beyond a side, the nearest shares (clipped away)."""
    x, y = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows)[::-1] + 0.5) / rows * CORNERS[2, 1])
    banana = y / CORNERS[2, 1]
    p = np.clip(
        np.stack([1 - x - banana / 2, x - banana / 2, banana], axis=-1), 1e-6, None
    )  # off the sides: cross-entropy stays finite
    return p / p.sum(-1, keepdims=True)


@lru_cache(maxsize=1)
def _lattice(steps=40):
    """Models p with all entries multiples of 1 / steps: where a minimum is looked for."""
    return np.array([(i, j, steps - i - j) for i in range(steps + 1) for j in range(steps + 1 - i)]) / steps


@lru_cache(maxsize=1)
def dual_vertices():
    """Every vertex (u, v) of the worked example's dual, `u_i + v_j <= cost_ij` with u_0 = 0.

    Formula: D6, the EMD is the largest `p @ u + tau @ v` among them. Returns (k, 6).
    """
    found = []
    for basis in combinations(np.ndindex(3, 3), 5):
        system, right = np.zeros((6, 6)), np.zeros(6)
        system[0, 0] = 1
        for row, (i, j) in enumerate(basis, start=1):
            system[row, [i, 3 + j]], right[row] = 1, COST[i, j]
        if abs(np.linalg.det(system)) > 0.5:  # 0 or 1 in size: 0 when the five cells contain a cycle
            point = np.linalg.solve(system, right)
            if (point[:3, None] + point[None, 3:] <= COST + 1e-12).all():
                found.append(point)
    return np.unique(np.round(found, 12), axis=0)


def loss_values(loss, p, tau):
    """One of `LOSSES` at models p (..., 3) for labels tau (..., 3), broadcast.

    Formula: A2, A6, D9, or A4 by D6: the largest `p @ u + tau @ v` among the dual's vertices. Returns (...). Raises
    ValueError for an unknown loss and, but for the exact EMD, for bad probabilities. Source:
    https://spaces.ac.cn/archives/9797; the worked example's cost.
    """
    if loss == "cross-entropy":
        return divergences.cross_entropy(tau, p)
    if loss == "product bound":
        return transport.product_bound(p, tau, COST)
    if loss == "debiased":
        return transport.debiased(p, tau, COST)
    if loss != "exact EMD":
        raise ValueError(f"loss = {loss!r} must be one of {', '.join(LOSSES)}")
    vertices = dual_vertices()
    return (p @ vertices[:, :3].T + tau @ vertices[:, 3:].T).max(-1)


def _minimiser(loss, tau):
    """The best models among a lattice and tau itself, (k, 3); of tied ones, the corners."""
    if loss == "product bound":  # linear in p: least at a corner, and at every mixture of tied corners
        values = COST @ tau
        return np.eye(3)[values <= values.min() + 1e-12]
    models = np.vstack([tau, _lattice()])
    return models[[np.argmin(loss_values(loss, models, tau))]]


def compute(softness, tau_tuesday, p_monday, p_tuesday, loss):
    """The sandwich along the label's softness, and the chosen loss over all models; values in the cost's unit (none), cross-entropy in nats.

    Formula: D3, `½ |m_p - m_tau|² <= EMD(p, tau) <= p' C tau`, with A4 and A6; A2 and D9 as further losses. Returns
    `Data`, tau and p (3,), curves (41,), map (148, 170). Raises ValueError for an unknown loss and for numbers that
    make p or tau no distribution. Source: https://spaces.ac.cn/archives/9797; the worked example.
    """
    tau, p = _three(1 - softness, tau_tuesday), _three(p_monday, p_tuesday)
    labels = _three(1 - SOFTNESS, tau_tuesday)
    values = {
        "product": float(transport.product_bound(p, tau, COST)),
        "exact": float(transport.emd(p, tau, COST).value),
        "jensen": float(transport.jensen_bound(p, tau, EMBEDDING)),
    }
    curves = {
        "product": transport.product_bound(p, labels, COST),
        "exact": loss_values("exact EMD", p, labels),
        "jensen": transport.jensen_bound(p, labels, EMBEDDING),
    }
    return Data(
        float(softness),
        tau,
        p,
        loss,
        values,
        curves,
        loss_values(loss, _pixels(), tau),
        {name: _minimiser(name, tau) for name in LOSSES},
    )


def _bands(data):
    """The map as an RGB image: white at the least value, a step darker for each band."""
    low = data.map.min()
    high = low + NATS_SHOWN if data.loss == "cross-entropy" else data.map.max()
    level = (data.map - low) * (BANDS / max(high - low, 1e-12))
    return PALETTE[np.clip(level.astype(int), 0, BANDS - 1)]


def _triangle(axes, image, below=0.11):
    """The map clipped to the triangle, its outline, and the corners' words (`below` its base); returns the image."""
    shown = axes.imshow(image, extent=(0, 1, 0, CORNERS[2, 1]), interpolation="nearest", zorder=0)
    shown.set_clip_path(Polygon(CORNERS, transform=axes.transData))
    axes.add_patch(Polygon(CORNERS, fill=False, edgecolor="#555555", lw=1))
    for (x, y), word, shift in zip(CORNERS, TOKENS, (-below, -below, 0.08), strict=True):
        axes.text(x, y + shift, word, ha="center", va="center", fontsize=9.5)
    axes.set(xlim=(-0.12, 1.12), ylim=(-below - 0.06, 0.98), aspect="equal")
    axes.axis("off")
    return shown


def _mark(axes, loss, label=None):
    """The symbol of a loss's minimum (tied corners are joined); returns the line, whose points are to be set."""
    marker, size, colour = MARKS[loss]
    face, edge, style = (colour, "white", "-") if marker == "*" else ("none", colour, "")
    (line,) = axes.plot(
        [], [], marker, ls=style, lw=3, color=colour, ms=size, mfc=face, mec=edge, mew=1.6, label=label, clip_on=False
    )
    return line


def _dot(axes, name, label):
    """The point of the label or the model."""
    (line,) = axes.plot([], [], "o", ms=8, color=pictures.COLOURS[name], mec="white", mew=0.8, label=label)
    return line


class SoftLabelPicture(widget.Picture):
    """Left: the sandwich as the label softens. Right: all models p in a triangle, the loss as tint, and where each loss is least."""

    size = (8.6, 3.7)

    def build(self):
        curves, triangle = self.figure.subplots(1, 2, width_ratios=[1, 1.9])
        self.curves = {}
        for row, (name, _, style) in enumerate(SANDWICH):
            height = 0.95 - 0.08 * row
            curves.plot(
                [0.04, 0.17], [height] * 2, style, color=pictures.COLOURS["emd"], lw=2, transform=curves.transAxes
            )
            (line,) = curves.plot([], [], style, color=pictures.COLOURS["emd"], lw=2)
            (dot,) = curves.plot([], [], "o", color=pictures.COLOURS["emd"], ms=6, mec="white", clip_on=False)
            value = curves.text(0.2, height, "", fontsize=9.5, va="center", transform=curves.transAxes)
            self.curves[name] = self.live(line), self.live(dot), self.live(value)
        curves.set(
            xlim=(0, 1),
            ylim=(0, 1.3),
            yticks=np.linspace(0, 1, 6),
            xlabel="label's mass off Monday (0: one-hot)",
            ylabel="cost",
        )
        curves.set_title("exact EMD between its bounds")
        self.image = self.live(_triangle(triangle, np.full((148, 170, 3), 255, np.uint8)))
        self.triangle = triangle
        self.p = self.live(_dot(triangle, "p", "model p"))
        self.tau = self.live(_dot(triangle, "tau", "label τ"))
        self.marks = {loss: self.live(_mark(triangle, loss, f"least {loss}{LATER.get(loss, '')}")) for loss in LOSSES}
        legend = triangle.legend(
            loc="center left",
            bbox_to_anchor=(1.0, 0.5),
            fontsize=9,
            labelspacing=1.1,
            handlelength=1.4,
            handletextpad=1.1,
        )
        for handle in legend.legend_handles:
            handle.set_linestyle("none")  # the star's line is for tied corners only

    def update(self, data):
        for name, label, _ in SANDWICH:
            line, dot, value = self.curves[name]
            line.set_data(SOFTNESS, data.curves[name])
            dot.set_data([data.softness], [data.values[name]])
            value.set_text(f"{label} {data.values[name]:.3f}")
        self.image.set_data(_bands(data))
        title = f"{data.loss} over all models p (white: least)"
        if title != self.triangle.get_title(loc="left"):
            self.triangle.set_title(title)
            self.stale()
        self.p.set_data(*(data.p @ CORNERS)[:, None])
        self.tau.set_data(*(data.tau @ CORNERS)[:, None])
        for loss, line in self.marks.items():
            line.set_data(*(data.minimisers[loss] @ CORNERS).T)

    def alt(self, data):
        low, value, high = (data.values[name] for name in ("jensen", "exact", "product"))
        return (
            f"Label: {_shares(data.tau)}. Model: {_shares(data.p)}. Jensen bound {low:.3f}, exact EMD {value:.3f}, product bound {high:.3f}. "
            f"In the triangle of all models, tinted by {data.loss}: {_where(data)}"
        )


def _shares(distribution):
    return ", ".join(f"{word} {value:.2f}" for word, value in zip(TOKENS, distribution, strict=True))


def _where(data):
    """Where each loss is least, in words."""
    corners = " or ".join(TOKENS[int(np.argmax(model))] for model in data.minimisers["product bound"])
    at_tau = [
        loss
        for loss, models in data.minimisers.items()
        if loss != "product bound" and np.allclose(models, data.tau, atol=1e-9)
    ]
    return f"the product bound is least at the corner {corners}; {', '.join(at_tau)} at the label itself."


draw = SoftLabelPicture
explorer = widget.explorer(compute, draw, CONTROLS)


def _bars(axes, data, name):
    """The sandwich at one label, as three bars."""
    for row, (key, label, style) in enumerate(SANDWICH):
        axes.barh(
            row,
            data.values[key],
            0.62,
            facecolor=pictures.COLOURS["emd"] if style == "-" else "white",
            edgecolor=pictures.COLOURS["emd"],
            ls=style,
            lw=1.4,
        )
        axes.text(data.values[key] + 0.015, row, f"{label.split()[0]} {data.values[key]:.3f}", va="center", fontsize=9)
    axes.set(xlim=(0, 0.75), ylim=(2.6, -0.6), yticks=[], xticks=[], title=name)


def panel():
    """Static small multiples: three labels, and for each the sandwich and the four losses over all models: (figure, alt text).

    Returns (matplotlib figure, string).
    """
    labels = (
        (0.0, 1.0, "τ: Monday (one-hot)"),
        (0.4, 1.0, "τ: .6 Monday, .4 Tuesday"),
        (0.5, 0.0, "τ: .5 Monday, .5 banana"),
    )
    figure = pictures.new_figure(8.8, 5.4)
    said = []
    with pictures.rc_context(pictures.STYLE):
        for row, (softness, share, name) in zip(
            figure.subplots(3, 5, width_ratios=[1.2, 1, 1, 1, 1]), labels, strict=True
        ):
            for axes, loss in zip(row[1:], LOSSES, strict=True):
                data = compute(softness, share, 0.5, 0.6, loss)
                _triangle(axes, _bands(data), 0.24)
                _dot(axes, "p", "model p").set_data(*(data.p @ CORNERS)[:, None])
                _dot(axes, "tau", "label τ").set_data(*(data.tau @ CORNERS)[:, None])
                _mark(axes, loss, f"least {loss}").set_data(*(data.minimisers[loss] @ CORNERS).T)
                if name == labels[0][2]:
                    axes.set_title(loss, loc="center")
            _bars(row[0], data, name)
            marks = [line for axes in row[1:] for line in axes.lines]
            low, value, high = (data.values[key] for key in ("jensen", "exact", "product"))
            said.append(
                f"{name}: Jensen bound {low:.3f}, exact EMD {value:.3f}, product bound {high:.3f}; {_where(data)}"
            )
        first = {line.get_label(): line for line in marks}
        figure.legend(
            first.values(), first, loc="outside lower center", ncols=6, fontsize=9, handletextpad=0.6, columnspacing=1.4
        )
    return (
        figure,
        f"One model, {_shares(data.p)}, and three labels. In triangles of all models, each loss and its minimum. "
        + " ".join(said),
    )
