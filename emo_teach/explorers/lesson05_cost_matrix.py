"""Cost-matrix explorer (lesson 05): what a mistake costs among real words, and where each loss pushes the model."""

from typing import NamedTuple

import numpy as np
from matplotlib.patches import Rectangle
from scipy.special import softmax

from .. import costs, divergences, transport
from ..files import data_path
from ..pictures import COLOURS, COST_MAP, STYLE, drawing
from ..words import load_words
from . import widget

WORDS_FILE = "cost_explorer_words.txt"


def read_examples(text):
    """The menu, name -> (target, words of its group), from lines of `group: word word* ...` with starred targets.

    Raises ValueError, naming the line, for another form, a group or word that stands twice, a word without an
    embedding, and a group of another size than the first.
    """
    examples, groups = {}, {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        group, colon, members = (part.strip() for part in line.partition(":"))
        words = tuple(word.removesuffix("*") for word in members.split())
        targets = [word.removesuffix("*") for word in members.split() if word.endswith("*")]
        try:
            if not (group and colon and targets and len(words) > 1) or group in groups or len(set(words)) < len(words):
                raise ValueError("must be `group: word word* ...`, a new group of different words, one or more starred")
            load_words().rows(words)
            groups[group] = len(words)
            if len(words) != next(iter(groups.values())):
                raise ValueError(f"has {len(words)} words, the first group {next(iter(groups.values()))}")
        except ValueError as error:
            raise ValueError(f"{WORDS_FILE}, line {number}: {error}") from None
        examples |= {f"{target} ({group})": (target, words) for target in targets}
    if not examples:
        raise ValueError(f"{WORDS_FILE} has no words")
    return examples


EXAMPLES = read_examples(data_path(WORDS_FILE).read_text(encoding="utf-8"))
CONTROLS = (
    widget.Choice("example", "target (and group)", next(iter(EXAMPLES)), tuple(EXAMPLES)),
    widget.Slider("temperature", "temperature of p", 1.0, 0.3, 4.0, 0.1),
    widget.Slider("near", "mass to the nearest word", 0.2, 0.0, 0.45, 0.05),
    widget.Slider("far", "mass to the farthest word", 0.1, 0.0, 0.45, 0.05),
    widget.Slider("power", "power of the cosine cost", 1.0, 0.25, 4.0, 0.25),
    widget.Slider("weight", "cosine's share of the cost", 1.0, 0.0, 1.0, 0.05),
)
DARKEST = 1.2  # the cost drawn black
VALUES = (
    ("cross_entropy", "cross-entropy, nats", COLOURS["ce"]),
    ("one_minus", "1 − p(target)", COLOURS["accuracy"]),
    ("emo", "EMO: Σ p × cost", COLOURS["emd"]),
    ("emd", "EMD, solved as LP", COLOURS["emd"]),
    ("difference", "EMO − EMD", COLOURS["cost"]),
)


class Data(NamedTuple):
    """Words from the target (index 0) to the farthest, cost and plan (n, n), p and both losses' logit gradients (n,),
    the numbers of `VALUES`, and how many words EMO's gradient lifts: those cheaper than EMO, the target included.
    """

    words: tuple
    cost: np.ndarray
    p: np.ndarray
    plan: np.ndarray
    ce_gradient: np.ndarray
    emo_gradient: np.ndarray
    values: dict
    lifted: int


def idle(settings):
    """The power acts on the cosine alone."""
    return {} if settings["weight"] else {"power": "all of the cost is 0/1, which has no power"}


def _model(nearness, seed, temperature, near, far):
    """A seeded model: logits by likeness to the target plus noise; then the nearest and farthest word get some mass."""
    noise = np.random.default_rng(seed).normal(0, 0.6, nearness.size)
    p = (1 - near - far) * softmax((4 * nearness + noise) / temperature)
    p[1] += near
    p[-1] += far
    return p


def compute(example, temperature, near, far, power, weight):
    """Cost (A8 to a power, blended with A7's), model, plan, values (A1, A5, A4), logit gradients (`p - onehot`, D1)."""
    CONTROLS[0].check(example)
    target, group = EXAMPLES[example]
    cosine = costs.cosine(load_words().rows(group))
    order = np.argsort(cosine[group.index(target)], kind="stable")
    cosine = cosine[np.ix_(order, order)]
    p = _model(1 - cosine[0], list(EXAMPLES).index(example), temperature, near, far)
    cost = costs.blend(costs.zero_one(p.size), cosine**power, weight)
    one_hot = np.eye(p.size)[0]
    solved, emo = transport.emd(p, one_hot, cost), float(transport.one_hot_emd(p, cost, 0))
    numbers = divergences.log_loss(p, 0), 1 - p[0], emo, solved.value, emo - solved.value
    values = {name: float(number) for (name, *_), number in zip(VALUES, numbers, strict=True)}
    gradient, words = transport.one_hot_logit_gradient(p, cost, 0), tuple(group[i] for i in order)
    return Data(words, cost, p, solved.plan, p - one_hot, gradient, values, int((cost[:, 0] < emo).sum()))


def strength(gradient):
    """How much is pulled up in all, which is as much as is pushed down: `½ sum_j |g_j|` of a logit gradient."""
    return float(np.abs(gradient).sum() / 2)


def push(gradient):
    """Each word's share of a descent step on the logits, `-g_j / (½ sum_i |g_i|)`, (n,); 0 for a gradient of 0."""
    total = strength(gradient)
    return -gradient / total if total > 0 else np.zeros_like(gradient)


class CostMatrixPicture(widget.Picture):
    """Above: the values. Left: cost and plan. Middle: p and what a word adds to EMO. Right: the pushes."""

    size = (8.4, 4.9)

    def build(self):
        self.words, n = None, len(EXAMPLES[CONTROLS[0].value][1])
        grid = self.figure.add_gridspec(2, 3, height_ratios=[0.17, 1], width_ratios=[1.2, 0.8, 1.05])
        self._build_values(self.figure.add_subplot(grid[0, :]))
        self.matrix = self.figure.add_subplot(grid[1, 0])
        model, pushes = (self.figure.add_subplot(grid[1, k], sharey=self.matrix) for k in (1, 2))
        self.cells, _ = (self.live(artist) for artist in _matrix(self.matrix, np.zeros((n, n))))
        self.matrix.set_title(f"cost: white 0, black {DARKEST:g}\nframe: to the target; green: plan")
        dots = {"edgecolor": "white", "lw": 0.8, "label": "plan"}
        self.plan = self.live(self.matrix.scatter(np.zeros(n), np.arange(n), color=COLOURS["plan"], **dots))
        self.bars = [self.live(bar) for bars in (*_model_bars(model, n), *_push_bars(pushes, n)) for bar in bars]
        model.set_title("model p\nand what it adds to EMO")
        pushes.set_title("a step moves the logits\n ")
        above = {"transform": pushes.transAxes, "fontsize": STYLE["axes.titlesize"], "va": "bottom"}
        self.headline = self.live_text(pushes, 0, 1.02, **above)  # the second line of that title
        dashed = {"color": COLOURS["cost"], "lw": 1.2, "label": "above it, words rise by EMO"}
        self.border = self.live(pushes.plot([-1.2, 1.2], [0, 0], "--", **dashed)[0])
        for axes in (model, pushes):
            axes.tick_params(axis="y", labelleft=False, length=0)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.09), fontsize=9)
        # the layout is that of the longest words, so that those of every example find room
        _name(self.matrix, sorted((word for _, group in EXAMPLES.values() for word in group), key=len)[-n:])
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def _build_values(self, axes):
        self.texts = {}
        axes.axis("off")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        for k, (name, label, colour) in enumerate(VALUES):
            axes.add_patch(Rectangle((0.2 * k, 0.05), 0.008, 0.9, color=colour))
            axes.text(0.2 * k + 0.018, 0.95, label, fontsize=9.5, va="top")
            self.texts[name] = self.live_text(axes, 0.2 * k + 0.018, 0.05, fontsize=13, va="bottom")

    def update(self, data):
        if data.words != self.words:
            self.words = data.words
            _name(self.matrix, data.words)
            self.stale()
        self.cells.set_array(data.cost)
        self.plan.set_sizes(300 * data.plan[:, 0])
        pushes = push(data.ce_gradient), push(data.emo_gradient)
        widths = np.concatenate([data.p, data.p * data.cost[:, 0], *pushes])
        for bar, width in zip(self.bars, widths, strict=True):
            bar.set_width(width)
        self.border.set_ydata([data.lifted - 0.5] * 2)
        self.headline.set_text(f"words up: 1 by CE, {data.lifted} by EMO")
        for name, text in self.texts.items():
            text.set_text(_short(data.values[name]))

    def alt(self, data):
        emo, ce = f"EMO ({data.values['emo']:.3f})", f"cross-entropy ({data.values['cross_entropy']:.3f} nats)"
        also = {1: "no other word"}.get(data.lifted, f"the {data.lifted - 1} nearest words")
        return f"Target {data.words[0]}: a step on {emo} lifts it and {also}; a step on {ce} lifts it alone."

    def numbers(self, data):
        return [("quantity", "value"), ("target", data.words[0]), *_rows(data)]


def _matrix(axes, cost):
    """The cost as grey cells, the target's column outlined; returns both. (A mesh is ten times as fast as an image.)"""
    edges = np.arange(len(cost) + 1) - 0.5
    cells = axes.pcolormesh(edges, edges, cost, cmap=COST_MAP, vmin=0, vmax=DARKEST)
    axes.invert_yaxis()
    frame = {"fill": False, "edgecolor": COLOURS["tau"], "lw": 3, "clip_on": False}
    outline = axes.add_patch(Rectangle((-0.5, -0.5), 1, len(cost), **frame))
    axes.tick_params(length=0)
    return cells, outline


def _name(axes, words):
    """The words on both axes of a matrix."""
    axes.set_yticks(range(len(words)), words)
    axes.set_xticks(range(len(words)), words, rotation=45, ha="right", rotation_mode="anchor")


def _model_bars(axes, n, p=0, added=0):
    """Bars of p, and within them what each word adds to EMO; returns both."""
    wide = axes.barh(np.arange(n), p, 0.8, color=COLOURS["p"], label="model p")
    narrow = axes.barh(np.arange(n), added, 0.36, color=COLOURS["emd"], label="p × cost: adds up to EMO")
    axes.set(xlim=(0, 1), ylim=(n - 0.5, -0.5), xticks=[0, 0.5, 1], title="model p")
    return wide, narrow


def _push_bars(axes, n, ce=0, emo=0):
    """Bars of both losses' pushes on the logits, as shares; returns both."""
    upper = axes.barh(np.arange(n) - 0.2, ce, 0.36, color=COLOURS["ce"], label="share of CE's push")
    lower = axes.barh(np.arange(n) + 0.2, emo, 0.36, color=COLOURS["emd"], label="share of EMO's push")
    axes.axvline(0, color=COLOURS["ink"], lw=0.8)
    axes.set(xlim=(-1.2, 1.2), ylim=(n - 0.5, -0.5), title="a step moves the logits")
    axes.set_xticks([-1, 0, 1], ["← down", "0", "up →"])
    return upper, lower


def _short(value):
    """A value of the table: what is 0 up to rounding says so."""
    return f"0{' (rounding)' * bool(value)}" if abs(value) < 1e-12 else f"{value:.3f}"


def _rows(data):
    """The numbers of the picture: quantity, value."""
    columns = {"model p": data.p, "cost to the target": data.cost[:, 0]}
    columns |= {"share of CE's push": push(data.ce_gradient), "share of EMO's push": push(data.emo_gradient)}
    rows = [(label, _short(data.values[name])) for name, label, _ in VALUES]
    rows += [("total push of CE", f"{strength(data.ce_gradient):.3f}")]
    rows += [("total push of EMO", f"{strength(data.emo_gradient):.3f}")]
    rows += [("words that EMO lifts", ", ".join(data.words[: data.lifted]) or "none")]
    for name, column in columns.items():
        rows.append((name, ", ".join(f"{word} {x:.2f}" for word, x in zip(data.words, column, strict=True))))
    return rows


draw = CostMatrixPicture
explorer = widget.explorer(compute, draw, CONTROLS, idle)


def panel():
    """Static small multiples: a mistake near, far, near under the 0/1 cost, and the pushes: figure, alt, numbers."""
    cases = (("near mistake", 0.3, 0.0, 1.0), ("far mistake", 0.0, 0.3, 1.0), ("near, 0/1 cost", 0.3, 0.0, 0.0))
    rows, values_of = [("mistake", "quantity", "value")], []
    with drawing(8.8, 5.6) as figure:
        grid = figure.subplots(2, 4, width_ratios=[1.25, 1, 1, 1])
        for k, (name, near, far, weight) in enumerate(cases, start=1):
            data = compute(CONTROLS[0].value, 1.0, near, far, 1.0, weight)
            n, values = data.p.size, data.values
            _model_bars(grid[0, k], n, data.p, data.p * data.cost[:, 0])
            grid[0, k].set_title(f"{name}\nCE {values['cross_entropy']:.2f}, EMO {values['emo']:.3f}")
            _push_bars(grid[1, k], n, push(data.ce_gradient), push(data.emo_gradient))
            ce, emo = strength(data.ce_gradient), strength(data.emo_gradient)
            grid[1, k].set_title(f"total push\nCE {ce:.2f}, EMO {emo:.3f}")
            if k != 2:
                _matrix(grid[k // 3, 0], data.cost)
                _name(grid[k // 3, 0], data.words)
                grid[k // 3, 0].set_title(f"{'0/1' if weight == 0 else 'cosine'} cost\nframe: to the target")
            rows += [(name, *row) for row in _rows(data)]
            values_of.append(values["emo"])
        for axes in grid[:, 1:].flat:
            axes.set_yticks(range(n), [""] * n)
            axes.tick_params(axis="y", length=0)
        for axes, side in zip(grid[:, 1], ("left", "right"), strict=True):
            legend = {"loc": f"outside lower {side}", "fontsize": 9, "ncols": 2}
            figure.legend(*axes.get_legend_handles_labels(), **legend)
    near, far, flat = (f"{value:.3f}" for value in values_of)
    alt = (
        f"EMO is {near} for a near mistake, {far} for a far one, {flat} under the 0/1 cost; cross-entropy is the same."
    )
    return figure, alt, rows
