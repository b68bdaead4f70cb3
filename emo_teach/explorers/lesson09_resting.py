"""Resting-place explorer (lesson 09): which model has the least mean loss, for six losses, when labels are laws, words or smoothed words."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Polygon, Rectangle

from .. import inputs, pictures, transport
from ..worked import COST, TOKENS
from . import lesson04_soft_label, widget
from .lesson04_soft_label import BANDS, CORNERS, NATS_SHOWN, PALETTE

WHOLE, ONE_HOT, SMOOTHED = "whole law", "one token at a time", "smoothed token"
KINDS = (WHOLE, ONE_HOT, SMOOTHED)
CE, BOUND, EMD, SINKHORN, DIVERGENCE, DEBIASED = LOSSES = (
    "cross-entropy",
    "product bound",
    "exact EMD",
    "Sinkhorn loss",
    "Sinkhorn divergence",
    "debiased score",
)
ENTROPIC = (SINKHORN, DIVERGENCE)
CONTROLS = (
    widget.Choice("loss", "loss", SINKHORN, LOSSES),
    widget.Choice("kind", "labels", WHOLE, KINDS),
    widget.Slider("monday", "τ: Monday's share of days", 0.625, 0.0, 1.0, 0.025),
    widget.Slider("banana", "τ: banana", 0.2, 0.0, 1.0, 0.05),
    widget.Slider("log10_regularisation", "log₁₀ of regularisation", -1.0, -2.0, 1.0, 0.1),
)
SPREAD = 0.3  # the part of a smoothed label that is spread evenly over the token's class
CLASSES = (0, 0, 1)  # two days and a fruit
STEPS = 60  # models a side
ROWS, COLUMNS = 208, 240  # pixels of the map
OFF_SIDES = 1 / (4 * STEPS)  # where cross-entropy, which may be infinite there, is shown for a side
MOST = 500  # turns of an iteration
SHOWN, EXACT = 1e-8, 1e-13  # how near a value is to be, for the map and for finding the least
ROUNDING = 1e-15
FINEST = 3e-6  # of the lattices on which a least value is looked for
LEAST = 0.01  # the least regularisation: the kernel's entries, and what is made of them, stay far from underflow
TIED = 1e-9
AT = 5e-4  # closer than this is "at": half of the last digit shown


@dataclass(frozen=True)
class Data:
    """Truth and mean label (3,), the mean loss on `lattice()` and its least value, and the models that have it (k, 3), nearest to the truth first.

    k is 1, or 2 where all models on a line tie and these are its ends; `apart`: total variation between the truth and each.
    """

    loss: str
    kind: str
    regularisation: float
    tau: np.ndarray
    mean: np.ndarray
    values: np.ndarray
    least: float
    resting: np.ndarray
    apart: np.ndarray


@lru_cache(maxsize=1)
def lattice():
    """Models p with all entries multiples of 1 / `STEPS`, row by row from banana 0 up.

    Returns (m, 3), m = (STEPS + 1)(STEPS + 2) / 2.
    """
    models = np.array([(STEPS - i - k, i, k) for k in range(STEPS + 1) for i in range(STEPS + 1 - k)]) / STEPS
    models.setflags(write=False)
    return models


def labels_of(kind, tau):
    """The labels that a model is given when tokens follow the law tau: their shares, and each label.

    Formula: tau itself; or `e_k` with share tau_k; or `(1 - s) e_k + s/n_k` over the `n_k` tokens of k's class, s =
    `SPREAD`. Returns shares (k,), labels (k, 3). Raises ValueError for another kind or a tau that is no law.
    """
    tau = _law("tau", tau)
    if kind not in KINDS:
        raise ValueError(f"kind = {kind!r} must be one of {', '.join(KINDS)}")
    if kind == WHOLE:
        return np.ones(1), tau[None]
    same = np.equal.outer(CLASSES, CLASSES) / np.bincount(CLASSES)[list(CLASSES)]
    spread = SPREAD if kind == SMOOTHED else 0.0
    return tau, (1 - spread) * np.eye(3) + spread * same


def _law(name, values):
    values = inputs.distribution(name, values)
    if len(values) != 3:
        raise ValueError(f"{name} has {len(values)} entries, not 3")
    return values


def entropic_values(p, label, regularisation, tolerance=EXACT):
    """Entropic transport from many models to one label: Newton's method on the dual, in the label's potential alone.

    Formula: D12, the maximum over g of `label @ g + p @ f`, `f_i = -r log sum_j label_j exp((g_j - cost_ij)/r)`. It
    starts at the best potential of the exact distance, and a step that does not go up is cut until it does. Returns
    (m,), each within about `tolerance`. Raises ValueError for bad probabilities and a regularisation below `LEAST`;
    `transport.SolverError` where it does not converge. Source: Cuturi & Peyré, A smoothed dual approach for
    variational Wasserstein problems (2016).
    """
    p, label, r = _models(p), _law("label", label), inputs.number("regularisation", regularisation, low=LEAST)
    order = np.argsort(-label, kind="stable")  # the likeliest token first: its potential stays, the others move
    label, cost = label[order], COST[:, order]
    if label[1] == 0:
        return p @ cost[:, 0]  # one plan
    kernel = np.exp(-cost / r)
    vertices = lesson04_soft_label.dual_vertices()
    g = vertices[(p @ vertices[:, :3].T + label @ vertices[:, 3:][:, order].T).argmax(-1), 3:][:, order]
    g = g - g[:, :1]
    value, rows, now = np.empty(len(p)), np.arange(len(p)), _dual(p, label, kernel, g, r)
    for _ in range(MOST):
        step, gain, missed = _newton(label, now, r)
        value[rows] = now[0]
        going = (missed > EXACT) & (gain > tolerance)
        if not going.any():
            return value
        if not going.all():
            rows, p, g, step, now = rows[going], p[going], g[going], step[going], [part[going] for part in now]
        new = _dual(p, label, kernel, g + step, r)
        down = np.flatnonzero(new[0] < now[0] - ROUNDING)
        while len(down):
            step[down] /= 4
            for part, other in zip(new, _dual(p[down], label, kernel, g[down] + step[down], r), strict=True):
                part[down] = other
            down = down[new[0][down] < now[0][down] - ROUNDING]
        g, now = g + step, new
    raise transport.SolverError(f"no entropic plan at regularisation {r:g} after {MOST} turns")


def _models(p):
    p = inputs.distributions("p", p)
    if p.ndim != 2 or p.shape[1] != 3:
        raise ValueError(f"p must be (m, 3), got shape {p.shape}")
    return p


def _dual(p, label, kernel, g, r):
    """Value (m,) of the dual at g (m, 3), the columns' masses (m, 3), and minus the Hessian's entries 01, 02 and 12, times r (m, 3)."""
    v = label * np.exp(g / r)
    reach = v @ kernel.T
    u = p / reach
    pairs = v[:, [0, 0, 1]] * v[:, [1, 2, 2]] * ((u / reach) @ (kernel[:, [0, 0, 1]] * kernel[:, [1, 2, 2]]))
    return [g @ label - r * (p * np.log(reach)).sum(-1), v * (u @ kernel), pairs]


def _newton(label, now, r):
    """Newton's step (m, 3) on the potential, held below about 1, what it should gain (m,), and the largest miss of a column's mass (m,)."""
    a, b, c = now[2].T  # the Hessian is minus the Laplacian of a graph on three nodes with these edges, over r
    miss = label - now[1]
    missed = np.abs(miss).max(-1)
    held = np.maximum(r * missed, 1e-100)  # an edge more from each node to the first: no step is longer than the costs
    a, b = a + held, b + held
    scale = r / (a * b + a * c + b * c)
    step = np.stack(
        [
            np.zeros_like(a),
            scale * ((b + c) * miss[:, 1] + c * miss[:, 2]),
            scale * ((a + c) * miss[:, 2] + c * miss[:, 1]),
        ],
        -1,
    )
    return step, 0.5 * (miss * step).sum(-1), missed


def own_values(p, regularisation):
    """Entropic transport from models to themselves: both sides share one potential, and each turn goes half of the way.

    Formula: D12 with tau = p. Returns (m,). Source: Feydy et al. (2019).
    """
    p, r = _models(p), inputs.number("regularisation", regularisation, low=LEAST)
    kernel, u = np.exp(-COST / r), np.ones_like(p)
    for _ in range(MOST):
        reach = (u * p) @ kernel
        if np.abs(p * (u * reach - 1)).max() <= 1e-8:  # the value's error is of its square
            return r * (p * np.log(u / reach)).sum(-1)
        u = np.sqrt(u / reach)
    raise transport.SolverError(f"no entropic plan at regularisation {r:g} after {MOST} turns")


def mean_loss(loss, p, tau, kind, regularisation, tolerance=EXACT):
    """The mean of a loss over the labels that a model is given when tokens follow tau: what training makes small.

    Formula: `sum_k w_k loss(p, label_k)` with A2, A6, A4, D12 or D9 for the loss and `labels_of` for shares and
    labels. Returns (m,); `tolerance` as in `entropic_values`. Raises ValueError for an unknown loss or kind and as
    `entropic_values`.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss = {loss!r} must be one of {', '.join(LOSSES)}")
    p, (shares, labels) = _models(p), labels_of(kind, tau)
    if loss not in ENTROPIC:
        named = "debiased" if loss == DEBIASED else loss
        return sum(
            share * lesson04_soft_label.loss_values(named, p, label)
            for share, label in zip(shares, labels, strict=True)
            if share > 0
        )
    mean = sum(
        share * entropic_values(p, label, regularisation, tolerance)
        for share, label in zip(shares, labels, strict=True)
        if share > 0
    )
    return (
        mean
        if loss == SINKHORN
        else mean - 0.5 * own_values(p, regularisation) - 0.5 * shares @ own_values(labels, regularisation)
    )


def resting_places(loss, tau, kind, regularisation):
    """The models with the least mean loss: one, or the two ends of a line of them.

    Formula: cross-entropy and the debiased score rest at the mean label, the Sinkhorn divergence of a whole law at
    that law, a mean that is linear in p at its best corners. The exact EMD's mean breaks only where some `p_i` is 0,
    `label_kj` or `1 - label_kj`: it is least at a crossing of two such lines. The others are convex, and their least
    value is found on lattices, each finer than the last. Returns (1, 3) or (2, 3).
    """
    shares, labels = labels_of(kind, tau)
    mean = shares @ labels
    if loss in (CE, DEBIASED) or (loss == DIVERGENCE and kind == WHOLE):
        return mean[None]

    def values(models):
        return mean_loss(loss, models, tau, kind, regularisation)

    crossings = _crossings(labels[shares > 0])
    found = values(crossings)
    if loss in (BOUND, EMD) or (loss == SINKHORN and kind == ONE_HOT):
        tied = crossings[found <= found.min() + TIED]  # in order along their line: the ends will do
        return tied if len(tied) == 1 else tied[[0, -1]]
    if loss == SINKHORN and kind == WHOLE:  # least where this is: D12's bound, before the plan's rows must add up to p
        kernel = np.exp(-COST / regularisation)
        return _descend(lambda models: -regularisation * np.log(models @ kernel) @ mean, crossings)[None]
    return _descend(values, np.vstack([mean, crossings]))[None]


def _crossings(labels):
    """Models two of whose entries are 0, an entry of a label or 1 less one, (m, 3): the corners are among them."""
    levels = np.unique(np.concatenate([[0.0], labels.ravel(), 1 - labels.ravel()]).round(12))
    one, two = (side.ravel() for side in np.meshgrid(levels, levels))
    three = 1 - one - two
    models = np.stack([one, two, three], -1)[three > -TIED]
    models = np.clip(np.concatenate([np.roll(models, k, axis=1) for k in range(3)]), 0, None)
    return np.unique((models / models.sum(1, keepdims=True)).round(12), axis=0)


def _descend(values, starts, reach=6):
    """The model where a convex function is least, (3,): lattices around the best model so far, finer and finer."""
    models = np.vstack([starts, lattice()[::7]])
    found = values(models)
    best, value, step = models[found.argmin()], found.min(), 4 / STEPS
    i, j = (side.ravel() for side in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    moves, rim = np.stack([i, j, -i - j], -1), np.maximum(abs(i), abs(j)) == reach
    for _ in range(MOST):
        if step < FINEST:
            break
        models = np.clip(best + step * moves, 0, None)
        found = values(models / models.sum(1, keepdims=True))
        at = found.argmin()
        lower = found[at] < value - ROUNDING
        if lower:
            best, value = models[at] / models[at].sum(), found[at]
        step *= 2 if lower and rim[at] else 1 / reach
    return best


def compute(loss, kind, monday, banana, log10_regularisation):
    """The mean loss over all models of the worked example's three tokens, and the model at which it is least.

    Formula: `mean_loss`, `resting_places`; `apart` is ½ |p - tau|. Returns `Data`. Raises ValueError for an unknown
    loss or kind, and for numbers off their sliders.
    """
    monday, banana = inputs.number("monday", monday, low=0, high=1), inputs.number("banana", banana, low=0, high=1)
    regularisation = 10.0 ** round(inputs.number("log10_regularisation", log10_regularisation, low=-2, high=1), 6)
    tau = np.array([(1 - banana) * monday, (1 - banana) * (1 - monday), banana]).round(
        12
    )  # a slider's rounding is no mass
    shares, labels = labels_of(kind, tau)
    models = lattice()
    if loss == CE:
        models = (models + OFF_SIDES) / (1 + 3 * OFF_SIDES)
    values = mean_loss(loss, models, tau, kind, regularisation, SHOWN)
    resting = resting_places(loss, tau, kind, regularisation)
    apart = 0.5 * np.abs(resting - tau).sum(-1)
    order = np.argsort(apart.round(9), kind="stable")
    least = float(mean_loss(loss, resting[:1], tau, kind, regularisation)[0])
    return Data(loss, kind, regularisation, tau, shares @ labels, values, least, resting[order], apart[order])


@lru_cache(maxsize=1)
def _pixels():
    """The map's pixels, top row first, that lie on the triangle or next to it, (ROWS, COLUMNS); for each, three nodes of `lattice()` and weights."""
    x, y = np.meshgrid(
        (np.arange(COLUMNS) + 0.5) / COLUMNS, (np.arange(ROWS)[::-1] + 0.5) / ROWS
    )  # banana's share is y
    p = np.stack([1 - x - y / 2, x - y / 2, y], -1)
    near = p.min(-1) > -2 / COLUMNS
    p = np.clip(p[near], 1e-9, None)
    p = STEPS * (p / p.sum(-1, keepdims=True))
    i, k = np.floor(p[:, 1]).astype(int), np.floor(p[:, 2]).astype(int)
    a, b = p[:, 1] - i, p[:, 2] - k
    upper = a + b > 1
    nodes = np.stack([_node(i + upper, k + upper), _node(i + 1, k), _node(i, k + 1)], -1)
    return near, nodes, np.stack([np.abs(1 - a - b), np.where(upper, 1 - b, a), np.where(upper, 1 - a, b)], -1)


def _node(i, k):
    """Where the model with i steps of Tuesday and k of banana stands in `lattice()`."""
    return np.minimum(k * (STEPS + 1) - k * (k - 1) // 2 + i, len(lattice()) - 1)


def _bands(data):
    """The map as an RGBA image: white at the least value, a step darker for each band."""
    near, nodes, weights = _pixels()
    level = (np.einsum("mk,mk->m", data.values[nodes], weights) - data.least) * (
        BANDS / max(_most(data) - data.least, 1e-12)
    )
    image = np.full((ROWS, COLUMNS, 4), 255, np.uint8)
    image[near, :3] = PALETTE[np.clip(level.astype(int), 0, BANDS - 1)]
    return image


def _most(data):
    """The value at which the map is darkest."""
    return data.least + NATS_SHOWN if data.loss == CE else data.values.max()


def _triangle(axes, margin, below, size):
    """The map clipped to the triangle, its outline, and the corners' words: (image, outline)."""
    image = axes.imshow(
        np.full((ROWS, COLUMNS, 4), 255, np.uint8), extent=(0, 1, 0, CORNERS[2, 1]), interpolation="nearest", zorder=0
    )
    image.set_clip_path(Polygon(CORNERS, transform=axes.transData))
    outline = axes.add_patch(Polygon(CORNERS, fill=False, edgecolor="#555555", lw=1))
    for (x, y), word, shift in zip(CORNERS, TOKENS, (-below, -below, below + 0.02), strict=True):
        axes.text(x, y + shift, word, ha="center", va="center", fontsize=size)
    axes.set(xlim=(-margin, 1 + margin), ylim=(-1.7 * below, CORNERS[2, 1] + 1.7 * below), aspect="equal")
    axes.axis("off")
    return image, outline


def _marks(axes, scale=1.0):
    """Symbols of truth, mean label and resting place, without points yet; tied resting places are joined."""
    white = {"mec": "white", "clip_on": False}
    (tau,) = axes.plot([], [], "o", ms=14 * scale, color=pictures.COLOURS["tau"], mew=0.8, ls="", **white)
    (mean,) = axes.plot(
        [], [], "s", ms=18 * scale, mfc="none", mec=pictures.COLOURS["ink"], mew=1.4, ls="", clip_on=False
    )
    (rest,) = axes.plot([], [], "*", ms=13 * scale, color=pictures.COLOURS["emd"], mew=0.8, ls="-", lw=3, **white)
    for line in (tau, mean, rest):
        line.set_in_layout(False)  # without points it would stand at the figure's corner
    return tau, mean, rest


def _legend(figure, marks, more=()):
    handles = [*marks, *more]
    legend = figure.legend(
        handles,
        [*LAWS, *(patch.get_label() for patch in more)],
        loc="outside lower center",
        ncols=len(handles),
        fontsize=9.5,
        handlelength=1.4,
        handletextpad=0.8,
        columnspacing=3,
    )
    legend.legend_handles[2].set_linestyle("none")  # the star's line is for tied models only


def _put(marks, data):
    for line, models in zip(marks, (data.tau, data.mean, data.resting), strict=True):
        line.set_data(*(np.atleast_2d(models) @ CORNERS).T)


LAWS = ("truth τ", "mean label", "least mean loss")


class RestingPicture(widget.Picture):
    """Left: all models p in a triangle, tinted by the mean loss, with truth, mean label and the model with the least. Right: these as bars."""

    size = (8.8, 3.9)

    def build(self):
        self.triangle, bars = self.figure.subplots(1, 2, width_ratios=[1.25, 1])
        self.image, _ = (self.live(artist) for artist in _triangle(self.triangle, 0.14, 0.1, 10))
        self.marks = [self.live(line) for line in _marks(self.triangle)]
        box = -0.1, -0.05, 0.6, 0.88  # beside the triangle, the tints' scale
        self.triangle.add_image(image := AxesImage(self.triangle, extent=box, interpolation="nearest"))
        image.set_data(PALETTE[::-1, None])
        self.triangle.add_patch(
            Rectangle((box[0], box[2]), box[1] - box[0], box[3] - box[2], fill=False, edgecolor="#555555", lw=0.8)
        )
        self.ends = [
            self.live(self.triangle.text(-0.03, y, "", fontsize=9.5, va=va))
            for y, va in ((0.88, "top"), (0.6, "bottom"))
        ]
        self.taken = self.live(self.triangle.text(1.14, 0.88, "", fontsize=9.5, va="top", ha="right"))
        self.bars, rows = [], np.arange(3)
        looks = (
            {"color": pictures.COLOURS["tau"]},
            {"facecolor": "white", "edgecolor": pictures.COLOURS["ink"], "lw": 1.2},
            {"color": pictures.COLOURS["emd"]},
        )
        for k, look in enumerate(looks):
            for row, bar in enumerate(bars.barh(rows + 0.27 * (k - 1), np.zeros(3), 0.24, **look)):
                self.bars.append(
                    (self.live(bar), self.live(bars.text(0, row + 0.27 * (k - 1), "", fontsize=9.5, va="center")))
                )
        bars.set(
            xlim=(0, 1.16),
            ylim=(2.55, -0.55),
            xticks=[0, 0.5, 1],
            xlabel="probability",
            yticks=rows,
            yticklabels=TOKENS,
        )
        bars.tick_params(axis="y", length=0)
        bars.set_title(" \n ")
        self.verdict = self.live(bars.text(0, 1.01, "", transform=bars.transAxes, fontsize=10.5, va="bottom"))
        _legend(self.figure, self.marks)

    def update(self, data):
        self.image.set_data(_bands(data))
        title = f"mean {data.loss} over all models p\nlabels: {data.kind}"
        if title != self.triangle.get_title(loc="left"):
            self.triangle.set_title(title)
            self.stale()
        _put(self.marks, data)
        for text, word, value in zip(self.ends, ("most", "least"), (_most(data), data.least), strict=True):
            text.set_text(f"{word} {_short(value)}{'+' if data.loss == CE and word == 'most' else ''}")
        self.taken.set_text(
            f"regularisation\n{data.regularisation:.3g}" if data.loss in ENTROPIC else "takes no\nregularisation"
        )
        for (bar, text), value in zip(self.bars, np.concatenate([data.tau, data.mean, data.resting[0]]), strict=True):
            bar.set_width(value)
            text.set_text(f"{value:.3f}")
            text.set_x(value + 0.015)
        self.verdict.set_text("\n".join(_verdict(data)))

    def alt(self, data):
        taken = f", regularisation {data.regularisation:.3g}" if data.loss in ENTROPIC else ""
        return (
            f"Truth: {_shares(data.tau)}. Labels: {data.kind}; mean label: {_shares(data.mean)}. "
            f"All models in a triangle, tinted by the mean {data.loss}{taken}: white at {_short(data.least)}, darkest from {_short(_most(data))}. "
            f"It is {' '.join(_verdict(data))}: {' or '.join(map(_shares, data.resting))}."
        )


def _short(value):
    return f"{0.0 if abs(value) < 5e-4 else value:.3f}"


def _shares(law):
    return ", ".join(f"{word} {value:.3f}" for word, value in zip(TOKENS, law, strict=True))


def _verdict(data):
    """Where the least mean loss is, in two lines."""
    p, apart = data.resting[0], data.apart
    if len(data.resting) > 1:
        return "least at both stars and between them,", f"up to {apart[-1]:.3f} from τ in total variation"
    some = [word for word, value in zip(TOKENS, p, strict=True) if value > AT]
    place = (f"at the corner {some[0]}", f"on the side {'–'.join(some)}", "inside the triangle")[len(some) - 1]
    if apart[0] < AT:
        return f"least {place},", "at τ itself"
    return f"least {place},", f"{apart[0]:.3f} from τ in total variation"


draw = RestingPicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples: six losses, each with whole laws as labels and with one token at a time: (figure, alt text).

    Returns (matplotlib figure, string).
    """
    figure, said = pictures.new_figure(9.6, 4.4), []
    with pictures.rc_context(pictures.STYLE):
        for line, kind in zip(figure.subplots(2, 6), (WHOLE, ONE_HOT), strict=True):
            for axes, loss in zip(line, LOSSES, strict=True):
                data = compute(loss, kind, 0.625, 0.2, -1.0)
                image, _ = _triangle(axes, 0.24, 0.15, 9)
                image.set_data(_bands(data))
                marks = _marks(axes, 0.8)
                _put(marks, data)
                far = "τ itself" if data.apart[0] < AT else f"{data.apart[0]:.2f} from τ"
                axes.set_title(f"{loss}\n{far}", loc="center", fontsize=9.5)
                said.append(f"{kind}, {loss}: {_shares(data.resting[0])}, {far}")
            line[0].text(-0.4, 0.4, f"labels: {kind}", rotation=90, va="center", ha="center", fontsize=10)
        _legend(
            figure, marks, [Patch(facecolor=PALETTE[-1] / 255, edgecolor="#555555", label="darker: more mean loss")]
        )
    start = (
        f"Truth {_shares(data.tau)}, regularisation 0.1. Triangles of all models, white where the mean loss is least."
    )
    return figure, f"{start} It is least at: {'; '.join(said)}."
