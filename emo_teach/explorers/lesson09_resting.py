"""Resting-place explorer (lesson 09): which model has the least mean loss, for six losses and three kinds of labels."""

from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.image import AxesImage
from matplotlib.patches import Patch, Rectangle

from .. import inputs, transport
from ..pictures import COLOURS, drawing
from ..worked import COST, TOKENS
from . import simplex, widget

KINDS = WHOLE, ONE_HOT, SMOOTHED = "whole law", "one token at a time", "smoothed token"
CE, BOUND, EMD, DEBIASED = "cross-entropy", "product bound", "exact EMD", "debiased score"
SINKHORN, DIVERGENCE = ENTROPIC = ("Sinkhorn loss", "Sinkhorn divergence")
LOSSES = (CE, BOUND, EMD, *ENTROPIC, DEBIASED)
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
GRID = STEPS, 240, 208  # and pixels of the map: columns, rows
OFF_SIDES = 1 / (4 * STEPS)  # where cross-entropy, which may be infinite there, is shown for a side
MAX_ITERATIONS = 500
SHOWN, EXACT = 1e-8, 1e-13  # tolerance of a value: for the map; for locating the minimum
ROUNDING = 1e-15
FINEST = 3e-6  # step of the last lattice on which a minimum is looked for
LEAST_REGULARISATION = 0.01  # the kernel's entries, and what is computed from them, stay far from underflow
TIED = 1e-9
AT = 5e-4  # closer than this is "at": half of the last digit shown


class Data(NamedTuple):
    """Truth and mean label (3,), the mean loss on the lattice, its minimum, the map's darkest value, the models that
    have the minimum (k, 3), nearest to the truth first (two where all on a line tie), and their TV from it.
    """

    loss: str
    kind: str
    regularisation: float
    tau: np.ndarray
    mean: np.ndarray
    values: np.ndarray
    least: float
    darkest: float
    resting: np.ndarray
    apart: np.ndarray


def labels_of(kind, tau):
    """The labels that a model is given when tokens follow tau: their shares (k,), and each label (k, 3).

    Formula: tau itself; or `e_k` with share tau_k; or `(1 - s) e_k + s/n_k` over k's class of `n_k`, s = `SPREAD`.
    """
    tau = _distributions("tau", tau, 1)
    CONTROLS[1].check(kind)
    if kind == WHOLE:
        return np.ones(1), tau[None]
    same = np.equal.outer(CLASSES, CLASSES) / np.bincount(CLASSES)[list(CLASSES)]
    spread = SPREAD if kind == SMOOTHED else 0.0
    return tau, (1 - spread) * np.eye(3) + spread * same


def _distributions(name, values, axes):
    """Distributions over the three tokens in an array of so many axes."""
    values = inputs.distributions(name, values)
    if values.ndim != axes or values.shape[-1] != 3:
        raise ValueError(f"{name} must be {'(3,)' if axes == 1 else '(m, 3)'}, got shape {values.shape}")
    return values


def entropic_values(p, label, regularisation, tolerance=EXACT):
    """Entropic transport from many models to one label: damped Newton on the dual, in the label's potential alone.

    Formula: D12, the maximum over g of `label @ g + p @ f`, `f_i = -r log sum_j label_j exp((g_j - cost_ij)/r)`. It
    starts at the best potential of the exact distance; Sinkhorn's iteration would need thousands of steps at small r.
    Returns (m,), each within about `tolerance`. Raises `transport.SolverError` where it does not converge. Source:
    Cuturi & Peyré, A smoothed dual approach for variational Wasserstein problems (2016).
    """
    p, label = _distributions("p", p, 2), _distributions("label", label, 1)
    r = inputs.number("regularisation", regularisation, low=LEAST_REGULARISATION)
    order = np.argsort(-label, kind="stable")  # the likeliest token first: its potential stays, the others move
    label, cost = label[order], COST[:, order]
    if label[1] == 0:
        return p @ cost[:, 0]  # one plan
    kernel, (u, v) = np.exp(-cost / r), np.split(simplex.dual_vertices(), 2, axis=1)
    g = v[(p @ u.T + label @ v[:, order].T).argmax(-1)][:, order]
    g = g - g[:, :1]
    value, rows, now = np.empty(len(p)), np.arange(len(p)), _dual(p, label, kernel, g, r)
    for _ in range(MAX_ITERATIONS):
        step, gain, error = _newton(label, now, r)
        value[rows] = now[0]
        going = (error > EXACT) & (gain > tolerance)
        if not going.any():
            return value
        if not going.all():
            rows, p, g, step, now = rows[going], p[going], g[going], step[going], [part[going] for part in now]
        new = _dual(p, label, kernel, g + step, r)
        # a step that does not go up is cut until it does
        while len(down := np.flatnonzero(new[0] < now[0] - ROUNDING)):
            step[down] /= 4
            for part, other in zip(new, _dual(p[down], label, kernel, g[down] + step[down], r), strict=True):
                part[down] = other
        g, now = g + step, new
    raise transport.SolverError(f"no entropic plan at regularisation {r:g} after {MAX_ITERATIONS} iterations")


def _dual(p, label, kernel, g, r):
    """The dual at g (m, 3): value, columns' masses (m, 3), minus the Hessian's entries 01, 02 and 12 times r (m, 3)."""
    v = label * np.exp(g / r)
    reach = v @ kernel.T
    u = p / reach
    pairs = v[:, [0, 0, 1]] * v[:, [1, 2, 2]] * ((u / reach) @ (kernel[:, [0, 0, 1]] * kernel[:, [1, 2, 2]]))
    return [g @ label - r * (p * np.log(reach)).sum(-1), v * (u @ kernel), pairs]


def _newton(label, now, r):
    """One damped Newton step (m, 3), its predicted gain (m,) and the largest error of a column's mass (m,)."""
    a, b, c = now[2].T  # the Hessian is minus the Laplacian of a graph on three nodes with these edges, over r
    miss = label - now[1]
    error = np.abs(miss).max(-1)
    damping = np.maximum(r * error, 1e-100)  # an edge more from each node to the first
    a, b = a + damping, b + damping
    scale = r / (a * b + a * c + b * c)
    _, second, third = miss.T
    step = scale * np.stack([0 * a, (b + c) * second + c * third, (a + c) * third + c * second])
    return step.T, 0.5 * (miss * step.T).sum(-1), error


def own_values(p, regularisation):
    """Entropic transport from models to themselves, (m,). Formula: D12 with tau = p."""
    f, g = transport.symmetric_potentials(_distributions("p", p, 2), COST, regularisation, MAX_ITERATIONS, 1e-8)
    return (p * (f + g)).sum(-1)  # its error is of the square of the tolerance


def mean_loss(loss, p, tau, kind, regularisation, tolerance=EXACT):
    """The mean of a loss over the labels that a model is given when tokens follow tau: what training makes small, (m,).

    Formula: `sum_k w_k loss(p, label_k)` with A2, A6, A4, D12 or D9 for the loss; `labels_of` for shares and labels.
    """
    CONTROLS[0].check(loss)
    p, (shares, labels) = _distributions("p", p, 2), labels_of(kind, tau)
    shares, labels = shares[shares > 0], labels[shares > 0]
    if loss in ENTROPIC:
        values = [entropic_values(p, label, regularisation, tolerance) for label in labels]
    else:
        values = [simplex.loss_values("debiased" if loss == DEBIASED else loss, p, label) for label in labels]
    mean = sum(share * value for share, value in zip(shares, values, strict=True))
    if loss == DIVERGENCE:
        mean = mean - 0.5 * own_values(p, regularisation) - 0.5 * shares @ own_values(labels, regularisation)
    return mean


def resting_places(loss, tau, kind, regularisation):
    """The models with the least mean loss, (1, 3), or the two ends of a line of them, (2, 3).

    Formula: cross-entropy and the debiased score rest at the mean label, the Sinkhorn divergence of a whole law at
    that law, a mean that is linear in p at its best corners. The exact EMD's mean breaks only where some `p_i` is 0,
    `label_kj` or `1 - label_kj`: it is least at a crossing of two such lines. The others are convex.
    """
    shares, labels = labels_of(kind, tau)
    mean = shares @ labels
    if loss in (CE, DEBIASED) or (loss == DIVERGENCE and kind == WHOLE):
        return mean[None]
    values = partial(mean_loss, loss, tau=tau, kind=kind, regularisation=regularisation)
    crossings = _crossings(labels[shares > 0])
    found = values(crossings)
    if loss in (BOUND, EMD) or (loss == SINKHORN and kind == ONE_HOT):
        tied = crossings[found <= found.min() + TIED]  # in order along their line
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
    """The model where a convex function is least, (3,): lattices around the best model so far, finer and finer.

    (SciPy's minimisers take one model at a time, which costs as much as a lattice here.)
    """
    models = np.vstack([starts, simplex.lattice(STEPS)[::7]])
    found = values(models)
    best, value, step = models[found.argmin()], found.min(), 4 / STEPS
    i, j = (side.ravel() for side in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    moves, rim = np.stack([i, j, -i - j], -1), np.maximum(abs(i), abs(j)) == reach
    while step >= FINEST:
        models = np.clip(best + step * moves, 0, None)
        models /= models.sum(1, keepdims=True)
        found = values(models)
        at = found.argmin()
        lower = found[at] < value - ROUNDING
        if lower:
            best, value = models[at], found[at]
        step *= 2 if lower and rim[at] else 1 / reach
    return best


def compute(loss, kind, monday, banana, log10_regularisation):
    """The mean loss over all models of the worked example's three tokens, and the model at which it is least."""
    for control, value in zip(CONTROLS, (loss, kind, monday, banana, log10_regularisation), strict=True):
        control.check(value)
    regularisation = 10.0 ** round(log10_regularisation, 6)
    tau = np.array([(1 - banana) * monday, (1 - banana) * (1 - monday), banana]).round(12)  # no rounding
    shares, labels = labels_of(kind, tau)
    models = simplex.lattice(STEPS)
    if loss == CE:
        models = (models + OFF_SIDES) / (1 + 3 * OFF_SIDES)
    values = mean_loss(loss, models, tau, kind, regularisation, SHOWN)
    resting = resting_places(loss, tau, kind, regularisation)
    apart = 0.5 * np.abs(resting - tau).sum(-1)
    order = np.argsort(apart.round(9), kind="stable")
    least = float(mean_loss(loss, resting[:1], tau, kind, regularisation)[0])
    darkest, mean = least + simplex.NATS_SHOWN if loss == CE else values.max(), shares @ labels
    taken = regularisation if loss in ENTROPIC else 0.0
    return Data(loss, kind, taken, tau, mean, values, least, darkest, resting[order], apart[order])


def _short(value):
    return f"{0.0 if abs(value) < 5e-4 else value:.3f}"


def _map(data):
    """The map as an RGBA image."""
    near, nodes, weights = simplex.interpolation(*GRID)
    image, values = np.full((*near.shape, 4), 255, np.uint8), np.einsum("mk,mk->m", data.values[nodes], weights)
    image[near, :3] = simplex.tints(values, data.least, data.darkest)
    return image


def _triangle(axes, margin, below, fontsize):
    blank, edge = np.full((GRID[2], GRID[1], 4), 255, np.uint8), 1.7 * below
    limits = (-margin, 1 + margin, -edge, simplex.HEIGHT + edge)
    return simplex.triangle(axes, blank, limits, below, below + 0.02, fontsize)


def _marks(axes, scale=1.0):
    """Symbols of truth, mean label and resting place, without points yet; tied resting places are joined."""
    looks = (
        {"marker": "o", "ms": 14 * scale, "color": COLOURS["tau"], "mew": 0.8, "mec": "white", "ls": ""},
        {"marker": "s", "ms": 18 * scale, "mfc": "none", "mec": COLOURS["ink"], "mew": 1.4, "ls": ""},
        {"marker": "*", "ms": 13 * scale, "color": COLOURS["emd"], "mew": 0.8, "mec": "white", "ls": "-", "lw": 3},
    )
    # in the layout, a line without points would stand at the figure's corner
    return [axes.plot([], [], clip_on=False, in_layout=False, **look)[0] for look in looks]


def _legend(figure, marks, *more):
    names = ("truth τ", "mean label", "least mean loss", *(patch.get_label() for patch in more))
    spaced = {"fontsize": 9.5, "handlelength": 1.4, "handletextpad": 0.8, "columnspacing": 3}
    legend = figure.legend([*marks, *more], names, loc="outside lower center", ncols=len(names), **spaced)
    legend.legend_handles[2].set_linestyle("none")  # the star's line is for tied models only


def _place(marks, data):
    for line, models in zip(marks, (data.tau, data.mean, data.resting), strict=True):
        simplex.place(line, models)


class RestingPicture(widget.Picture):
    """Left: all models, tinted by the mean loss, with truth, mean label and minimum. Right: these three as bars."""

    size = (8.8, 3.9)

    def build(self):
        self.triangle, bars = self.figure.subplots(1, 2, width_ratios=[1.25, 1])
        self.tints, _ = (self.live(artist) for artist in _triangle(self.triangle, 0.14, 0.1, 10))
        self.marks = [self.live(line) for line in _marks(self.triangle)]
        left, right, bottom, top = box = -0.1, -0.05, 0.6, 0.88  # beside the triangle, the tints' scale
        self.triangle.add_image(image := AxesImage(self.triangle, extent=box, interpolation="nearest"))
        image.set_data(simplex.PALETTE[::-1, None])
        frame = {"fill": False, "edgecolor": COLOURS["outline"], "lw": 0.8}
        self.triangle.add_patch(Rectangle((left, bottom), right - left, top - bottom, **frame))
        places = (top, "top"), (bottom, "bottom")
        self.ends = [self.live_text(self.triangle, -0.03, y, fontsize=9.5, va=va) for y, va in places]
        self.taken = self.live_text(self.triangle, 1.14, top, fontsize=9.5, va="top", ha="right")
        self.bars, rows = [], np.arange(3)
        mean = {"facecolor": "white", "edgecolor": COLOURS["ink"], "lw": 1.2}
        for k, look in enumerate(({"color": COLOURS["tau"]}, mean, {"color": COLOURS["emd"]})):
            shown = self.live_bars(bars.barh, rows + 0.27 * (k - 1), 0.24, **look)
            texts = [self.live_text(bars, 0, row + 0.27 * (k - 1), fontsize=9.5, va="center") for row in rows]
            self.bars += zip(shown, texts, strict=True)
        bars.set(xlim=(0, 1.16), ylim=(2.55, -0.55), xticks=[0, 0.5, 1], yticks=rows, yticklabels=TOKENS)
        bars.set_xlabel("probability")
        bars.tick_params(axis="y", length=0)
        bars.set_title(" \n ")
        self.verdict = self.live_text(bars, 0, 1.01, transform=bars.transAxes, fontsize=10.5, va="bottom")
        _legend(self.figure, self.marks)

    def update(self, data):
        self.tints.set_data(_map(data))
        self.title(self.triangle, f"mean {data.loss} over all models p\nlabels: {data.kind}")
        _place(self.marks, data)
        for text, word, value in zip(self.ends, ("most", "least"), (data.darkest, data.least), strict=True):
            text.set_text(f"{word} {_short(value)}{'+' if data.loss == CE and word == 'most' else ''}")
        entropic = data.loss in ENTROPIC
        self.taken.set_text(f"regularisation\n{data.regularisation:.3g}" if entropic else "takes no\nregularisation")
        for (bar, text), value in zip(self.bars, np.concatenate([data.tau, data.mean, data.resting[0]]), strict=True):
            bar.set_width(value)
            text.set(x=value + 0.015, text=f"{value:.3f}")
        self.verdict.set_text("\n".join(_verdict(data)))

    def alt(self, data):
        p = "/".join(f"{value:.2f}" for value in data.resting[0])
        taken = f", ε = {data.regularisation:.3g}" if data.loss in ENTROPIC else ""
        return f"{data.loss}{taken}, {data.kind}: {' '.join(_verdict(data))}; p = {p}."

    def numbers(self, data):
        rows = [("distribution", *TOKENS), ("truth τ", *data.tau), ("mean label", *data.mean)]
        rows += [("least mean loss", *p) for p in data.resting]
        rows = [(name, *(x if isinstance(x, str) else f"{x:.3f}" for x in row)) for name, *row in rows]
        tints = f"mean loss: white {_short(data.least)}, darkest from {_short(data.darkest)}"
        return [*rows, (tints, "", "", "")]


def _verdict(data):
    """Where the least mean loss is, in two lines."""
    p, apart = data.resting[0], data.apart
    if len(data.resting) > 1:
        return "least at both stars and between them,", f"up to {apart[-1]:.3f} from τ in total variation"
    some = [word for word, value in zip(TOKENS, p, strict=True) if value > AT]
    place = (f"at the corner {some[0]}", f"on the side {'–'.join(some)}", "inside the triangle")[len(some) - 1]
    return f"least {place},", "at τ itself" if apart[0] < AT else f"{apart[0]:.3f} from τ in total variation"


def _idle(settings):
    loss = settings["loss"]
    rest = {} if loss in ENTROPIC else {"log10_regularisation": f"{loss} takes no regularisation"}
    return rest | ({"monday": "no day has a share"} if settings["banana"] == 1 else {})


draw = RestingPicture
explorer = widget.explorer(compute, draw, CONTROLS, _idle)


def panel():
    """Static small multiples: six losses, with whole laws as labels and one token at a time: (figure, alt, numbers)."""
    rows, at = [("labels, loss", *TOKENS, "total variation from τ")], {WHOLE: [], ONE_HOT: []}
    with drawing(9.6, 4.4) as figure:
        for line, kind in zip(figure.subplots(2, 6), (WHOLE, ONE_HOT), strict=True):
            for axes, loss in zip(line, LOSSES, strict=True):
                data = compute(loss, kind, 0.625, 0.2, -1.0)
                image, _ = _triangle(axes, 0.24, 0.15, 9)
                image.set_data(_map(data))
                marks = _marks(axes, 0.8)
                _place(marks, data)
                far = "τ itself" if data.apart[0] < AT else f"{data.apart[0]:.2f} from τ"
                axes.set_title(f"{loss}\n{far}", loc="center", fontsize=9.5)
                rows.append((f"{kind}, {loss}", *(f"{x:.3f}" for x in (*data.resting[0], data.apart[0]))))
                at[kind] += [loss] * bool(data.apart[0] < AT)
            line[0].text(-0.4, 0.4, f"labels: {kind}", rotation=90, va="center", ha="center", fontsize=10)
        dark, edge = simplex.PALETTE[-1] / 255, COLOURS["outline"]
        _legend(figure, marks, Patch(facecolor=dark, edgecolor=edge, label="darker: more mean loss"))
    both = [loss for loss in at[WHOLE] if loss in at[ONE_HOT]]
    seen = f"With whole laws {len(at[WHOLE])} of {len(LOSSES)} losses are least at τ, with one token at a time"
    return figure, f"{seen} {len(at[ONE_HOT])}; in both rows {' and '.join(both)}.", rows
