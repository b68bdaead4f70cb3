"""Cost-matrix explorer (lesson 05, the centrepiece): what a mistake costs among real words, and where each loss pushes the model."""

from dataclasses import dataclass

import numpy as np
from matplotlib.patches import Rectangle
from scipy.special import softmax

from .. import costs, divergences, pictures, transport
from ..words import load_words
from . import widget

GROUPS = {
    "days and fruit": "Monday Tuesday Wednesday Sunday weekend January banana lemon apple",
    "time": "Monday Tuesday Sunday weekend January week day banana gold",
    "family": "mother mom father daughter sister wife woman doctor stone",
    "numbers": "three two four five ten third thirty hundred banana",
    "verb forms": "went go goes going gone came walked ran table",
    "feelings": "happy glad happier joy unhappy sad angry big table",
    "praise": "good better best wonderful bad worse awful happy table",
    "speed": "fast quick rapid faster slow speed quickly easy lemon",
    "royalty": "king King kings queen prince president castle woman table",
    "medicine": "doctor physician nurse surgeon lawyer hospital patient banana river",
}
TARGETS = (
    ("Monday", "days and fruit"),
    ("banana", "days and fruit"),
    ("Monday", "time"),
    ("mother", "family"),
    ("three", "numbers"),
    ("went", "verb forms"),
    ("happy", "feelings"),
    ("good", "praise"),
    ("fast", "speed"),
    ("king", "royalty"),
    ("doctor", "medicine"),
)
EXAMPLES = {f"{target} ({group})": (target, tuple(GROUPS[group].split())) for target, group in TARGETS}
CONTROLS = (
    widget.Choice("example", "target (and group)", "Monday (days and fruit)", tuple(EXAMPLES)),
    widget.Slider("temperature", "temperature of p", 1.0, 0.3, 4.0, 0.1),
    widget.Slider("near", "mass to the nearest word", 0.2, 0.0, 0.45, 0.05),
    widget.Slider("far", "mass to the farthest word", 0.1, 0.0, 0.45, 0.05),
    widget.Slider("power", "power of the cosine cost", 1.0, 0.25, 4.0, 0.25),
    widget.Slider("weight", "0: 0/1 cost, 1: cosine", 1.0, 0.0, 1.0, 0.05),
)
DARKEST = 1.2  # the cost drawn black
VALUES = (
    ("cross_entropy", "cross-entropy, nats", pictures.COLOURS["ce"]),
    ("one_minus", "1 − p(target)", pictures.COLOURS["accuracy"]),
    ("emo", "EMO: Σ p × cost", pictures.COLOURS["emd"]),
    ("emd", "EMD, solved as LP", pictures.COLOURS["emd"]),
    ("difference", "EMO − EMD", pictures.COLOURS["cost"]),
)


@dataclass(frozen=True)
class Data:
    """Words from the target (index 0) to the farthest, cost and plan (n, n), p and both losses' logit gradients (n,), and the values.

    `values`: name -> number, as in `VALUES`; `lifted`: how many words, the target included, EMO's gradient lifts: those cheaper than EMO itself.
    """

    words: tuple
    cost: np.ndarray
    p: np.ndarray
    plan: np.ndarray
    ce_gradient: np.ndarray
    emo_gradient: np.ndarray
    values: dict
    lifted: int


def _model(nearness, seed, temperature, near, far):
    """A seeded plausible model: logits by likeness to the target plus noise; then some mass is moved to the nearest and the farthest word."""
    noise = np.random.default_rng(seed).normal(0, 0.6, nearness.size)
    p = (1 - near - far) * softmax((4 * nearness + noise) / temperature)
    p[1] += near
    p[-1] += far
    return p


def compute(example, temperature, near, far, power, weight):
    """Cost, model, plan, values and gradients for one setting; costs have no unit, cross-entropy is in nats.

    Formula: A8 to a power, blended with A7's cost; A1; EMO by A5 and EMD by A4; gradients `p - onehot` and D1, `p_j
    (c_jt - L)`. Returns `Data`, cost and plan (n, n), p and gradients (n,). Raises ValueError for an unknown example,
    a weight outside [0, 1], and numbers that make p no distribution or the cost infinite. Source: Ren et al., EMO
    (arXiv 2310.04691); data/README.md for the words.
    """
    if example not in EXAMPLES:
        raise ValueError(f"example = {example!r} must be one of {', '.join(EXAMPLES)}")
    target, group = EXAMPLES[example]
    cosine = costs.cosine(load_words().rows(group))
    order = np.argsort(cosine[group.index(target)], kind="stable")
    cosine = cosine[np.ix_(order, order)]
    p = _model(1 - cosine[0], list(EXAMPLES).index(example), temperature, near, far)
    cost = costs.blend(costs.zero_one(p.size), cosine**power, weight)
    one_hot = np.eye(p.size)[0]
    solved, emo = transport.emd(p, one_hot, cost), float(transport.one_hot_emd(p, cost, 0))
    values = {
        "cross_entropy": float(divergences.log_loss(p, 0)),
        "one_minus": float(1 - p[0]),
        "emo": emo,
        "emd": float(solved.value),
        "difference": emo - float(solved.value),
    }
    gradient = transport.one_hot_logit_gradient(p, cost, 0)
    words = tuple(group[i] for i in order)
    return Data(words, cost, p, solved.plan, p - one_hot, gradient, values, int((cost[:, 0] < emo).sum()))


def strength(gradient):
    """How much is pulled up in all, which is as much as is pushed down: half the sum of a logit gradient's sizes.

    Formula: `½ sum_j |g_j|`.
    """
    return float(np.abs(gradient).sum() / 2)


def push(gradient):
    """Each word's share of a descent step on the logits, (n,): the shares pulled up sum to 1, those pushed down to -1.

    Formula: `-g_j / (½ sum_i |g_i|)`, and 0 for a gradient of 0. Returns (n,).
    """
    total = strength(gradient)
    return -gradient / total if total > 0 else np.zeros_like(gradient)


class CostMatrixPicture(widget.Picture):
    """Above: the values. Left: cost matrix and plan. Middle: p and what each word adds to EMO. Right: where the two gradients push the logits."""

    size = (8.4, 4.9)

    def build(self):
        self.words = None
        self.n = n = len(EXAMPLES[CONTROLS[0].value][1])
        grid = self.figure.add_gridspec(2, 3, height_ratios=[0.17, 1], width_ratios=[1.2, 0.8, 1.05])
        self._build_values(self.figure.add_subplot(grid[0, :]))
        self.matrix = self.figure.add_subplot(grid[1, 0])
        model, pushes = (self.figure.add_subplot(grid[1, k], sharey=self.matrix) for k in (1, 2))
        cells, outline = _matrix(self.matrix, np.zeros((n, n)))
        self.cells, self.outline = self.live(cells), self.live(outline)
        self.matrix.set_title(f"cost: white 0, black {DARKEST:g}\nframe: to the target; green: plan")
        self.plan = self.live(
            self.matrix.scatter(
                np.zeros(n), np.arange(n), color=pictures.COLOURS["plan"], edgecolor="white", lw=0.8, label="plan"
            )
        )
        self.p_bars, self.cost_bars = ([self.live(bar) for bar in bars] for bars in _model_bars(model, n))
        self.ce_bars, self.emo_bars = ([self.live(bar) for bar in bars] for bars in _push_bars(pushes, n))
        model.set_title("model p\nand what it adds to EMO")
        pushes.set_title("push on logits, in shares\n ")
        above = {"transform": pushes.transAxes, "fontsize": pictures.STYLE["axes.titlesize"], "va": "bottom"}
        self.headline = self.live(pushes.text(0, 1.02, "", **above))  # the second line of that title
        self.border = self.live(
            pushes.plot(
                [-1.2, 1.2], [0, 0], "--", color=pictures.COLOURS["cost"], lw=1.2, label="above: cheaper than EMO"
            )[0]
        )
        for axes in (model, pushes):
            axes.tick_params(axis="y", labelleft=False, length=0)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), fontsize=9)
        self._lay_out()

    def _lay_out(self):
        """Fix the layout with the longest words, so that those of every example find room."""
        _name(self.matrix, sorted((word for _, group in EXAMPLES.values() for word in group), key=len)[-self.n :])
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def _build_values(self, axes):
        self.numbers = {}
        axes.axis("off")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        for k, (name, label, colour) in enumerate(VALUES):
            axes.add_patch(Rectangle((0.2 * k, 0.05), 0.008, 0.9, color=colour))
            axes.text(0.2 * k + 0.018, 0.95, label, fontsize=9.5, va="top")
            self.numbers[name] = self.live(axes.text(0.2 * k + 0.018, 0.05, "", fontsize=13, va="bottom"))

    def update(self, data):
        if data.words != self.words:
            self.words = data.words
            _name(self.matrix, data.words)
            self.stale()
        self.cells.set_array(data.cost)
        self.plan.set_sizes(300 * data.plan[:, 0])
        for bars, widths in (
            (self.p_bars, data.p),
            (self.cost_bars, data.p * data.cost[:, 0]),
            (self.ce_bars, push(data.ce_gradient)),
            (self.emo_bars, push(data.emo_gradient)),
        ):
            for bar, width in zip(bars, widths, strict=True):
                bar.set_width(width)
        self.border.set_ydata([data.lifted - 0.5] * 2)
        self.headline.set_text(f"words up: CE 1, EMO {data.lifted}")
        for name, text in self.numbers.items():
            equal = name == "difference" and abs(data.values[name]) < 1e-12
            text.set_text(f"0{' (rounding)' * bool(data.values[name])}" if equal else f"{data.values[name]:.3f}")

    def alt(self, data):
        return _said(data)


def _matrix(axes, cost):
    """The cost as grey cells with the target's column outlined; returns both. (A mesh is drawn ten times faster than an image.)"""
    edges = np.arange(len(cost) + 1) - 0.5
    cells = axes.pcolormesh(edges, edges, cost, cmap=pictures.COST_MAP, vmin=0, vmax=DARKEST)
    axes.invert_yaxis()
    outline = axes.add_patch(
        Rectangle((-0.5, -0.5), 1, len(cost), fill=False, edgecolor=pictures.COLOURS["tau"], lw=3, clip_on=False)
    )
    axes.tick_params(length=0)
    return cells, outline


def _name(axes, words):
    """The words on both axes of a matrix."""
    axes.set_yticks(range(len(words)), words)
    axes.set_xticks(range(len(words)), words, rotation=45, ha="right", rotation_mode="anchor")


def _model_bars(axes, n, p=0, added=0):
    """Bars of p, and within them what each word adds to EMO; returns both."""
    wide = axes.barh(np.arange(n), p, 0.8, color=pictures.COLOURS["p"], label="model p")
    narrow = axes.barh(np.arange(n), added, 0.36, color=pictures.COLOURS["emd"], label="p × cost: adds up to EMO")
    axes.set(xlim=(0, 1), ylim=(n - 0.5, -0.5), xticks=[0, 0.5, 1], title="model p")
    return wide, narrow


def _push_bars(axes, n, ce=0, emo=0):
    """Bars of both losses' pushes on the logits, as shares; returns both."""
    upper = axes.barh(np.arange(n) - 0.2, ce, 0.36, color=pictures.COLOURS["ce"], label="share of CE's push")
    lower = axes.barh(np.arange(n) + 0.2, emo, 0.36, color=pictures.COLOURS["emd"], label="share of EMO's push")
    axes.axvline(0, color=pictures.COLOURS["ink"], lw=0.8)
    axes.set(
        xlim=(-1.2, 1.2),
        ylim=(n - 0.5, -0.5),
        xticks=[-1, 0, 1],
        xticklabels=["← down", "0", "up →"],
        title="a step moves the logits",
    )
    return upper, lower


def _said(data):
    p = ", ".join(f"{word} {value:.2f}" for word, value in zip(data.words, data.p, strict=True))
    return f"Target {data.words[0]}. The model's probabilities, from the nearest word to the farthest: {p}. {_lesson(data)}"


def _lesson(data):
    """The values and who is pulled up, in words."""
    values, lifted = data.values, ", ".join(data.words[1 : data.lifted]) or "no other word"
    return (
        f"Cross-entropy {values['cross_entropy']:.3f} nats, 1 - p(target) {values['one_minus']:.3f}, EMO {values['emo']:.3f}, "
        f"EMD by linear program {values['emd']:.3f}. A step on cross-entropy pulls up the target alone, in all {strength(data.ce_gradient):.3f}; "
        f"one on EMO pulls up the target and {lifted}, in all {strength(data.emo_gradient):.3f}."
    )


draw = CostMatrixPicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples: one mistake near, far, and near under the 0/1 cost, with the model and the two pushes: (figure, alt text).

    Returns (matplotlib figure, string).
    """
    example = CONTROLS[0].value
    cases = (("near mistake", 0.3, 0.0, 1.0), ("far mistake", 0.0, 0.3, 1.0), ("near, 0/1 cost", 0.3, 0.0, 0.0))
    figure = pictures.new_figure(8.8, 5.6)
    said = []
    with pictures.rc_context(pictures.STYLE):
        grid = figure.subplots(2, 4, width_ratios=[1.25, 1, 1, 1])
        for k, (name, near, far, weight) in enumerate(cases, start=1):
            data = compute(example, 1.0, near, far, 1.0, weight)
            n, values = data.p.size, data.values
            _model_bars(grid[0, k], n, data.p, data.p * data.cost[:, 0])
            grid[0, k].set_title(f"{name}\nCE {values['cross_entropy']:.2f}, EMO {values['emo']:.3f}")
            _push_bars(grid[1, k], n, push(data.ce_gradient), push(data.emo_gradient))
            grid[1, k].set_title(
                f"total push\nCE {strength(data.ce_gradient):.2f}, EMO {strength(data.emo_gradient):.3f}"
            )
            if k != 2:
                axes = grid[k // 3, 0]
                _matrix(axes, data.cost)
                _name(axes, data.words)
                axes.set_title(f"{'0/1' if weight == 0 else 'cosine'} cost\nframe: to the target")
            said.append(f"{name}: {_lesson(data)}")
        for axes in grid[:, 1:].flat:
            axes.set_yticks(range(n), [""] * n)
            axes.tick_params(axis="y", length=0)
        for k, axes in enumerate(grid[:, 1]):
            figure.legend(
                *axes.get_legend_handles_labels(),
                loc="outside lower left" if k == 0 else "outside lower right",
                fontsize=9,
                ncols=2,
            )
    return figure, f"Target {data.words[0]}, words from near to far: {', '.join(data.words[1:])}. " + " ".join(said)
