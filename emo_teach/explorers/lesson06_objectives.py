"""Objectives explorer (lesson 06): one token's logits, and where a step of each training objective would move them."""

from functools import cache
from typing import NamedTuple

import numpy as np
from scipy.special import log_softmax, softmax

from .. import costs
from ..pictures import COLOURS, drawing, look
from ..words import load_words
from . import widget

GROUPS = {
    "Monday": "Monday Tuesday weekend January banana table",
    "happy": "happy glad unhappy sad angry table",
    "three": "three four ten third hundred banana",
    "went": "went goes walked came house lemon",
}
IN_SHARES, IN_SIZE = "shares of each push", "the step itself"
CONTROLS = (
    widget.Choice("target", "target", "Monday", tuple(GROUPS)),
    widget.Slider("z_target", "logit of the target", 0.0, -8.0, 8.0, 0.5),
    widget.Slider("z_near", "logit of the nearest word", 1.0, -4.0, 6.0, 0.5),
    widget.Slider("z_far", "logit of the farthest word", 0.0, -4.0, 6.0, 0.5),
    widget.Choice("bars", "bars show", IN_SHARES, (IN_SHARES, IN_SIZE)),
)
GAMMA = 0.1  # archives/9526
TAILR = (1e-7, 0.2)  # TaiLr's gamma for language models, and the floor of its weight
PANELS = {  # title: name in the table of looks. The first row sees p_t alone, the second how far the other words are.
    "CE": "ce",
    "1 − p(target)": "accuracy",
    "overconfidence": "overconfidence",
    "TaiLr": "tailr",
    "EMO": "emo",
    "mode 1": "emo-mode-1",
    "mode 2": "emo-mode-2",
    "debiased EMO": "debiased",
}
REACH = 1.25  # where the axis of the pushes ends, or twice as far, and so on, until it holds all bars


class Data(NamedTuple):
    """Words from the target (index 0) on, costs to it and p (n,); by objective the value, the step -gradient (n,) and
    the bars shown: the step, or its shares (what is pulled up adds to 1).
    """

    words: tuple
    cost: np.ndarray
    p: np.ndarray
    values: dict
    steps: dict
    shown: dict
    shares: bool


def gradients(logits, unit):
    """Value and logit gradient of each objective at one token whose target is index 0: name -> (number, (n,)).

    A1; A7; archives/9526 and TaiLr, weights on cross-entropy; A9 with D1; D7 and mode 2, whose ratio is a constant of
    the gradient; D9, `B = ½|m_p - ê_t|²` with `dB/dz_j = p_j <ê_j - m_p, m_p - ê_t>`. In numpy, as the explorer does
    without torch; the tests hold them to `losses.objective`.
    """
    p, ce = softmax(logits), -log_softmax(logits)[0]
    off, p_t = p[1:].sum(), p[0]
    of_ce = np.append(-off, p[1:])
    cost = np.append(0.0, np.clip(1 - unit[1:] @ unit[0], 0, None))
    emo = p @ cost
    of_emo = p * (cost - emo)
    toward = p @ unit - unit[0]
    along, peek, (gamma, floor) = unit @ toward, GAMMA + (1 - GAMMA) * p_t, TAILR
    tailr = np.clip(p_t / (gamma + (1 - gamma) * p_t), floor, 1)
    return {
        "CE": (ce, of_ce),
        "1 − p(target)": (off, p_t * of_ce),
        "overconfidence": (-np.log(peek) / (1 - GAMMA), p_t / peek * of_ce),
        "TaiLr": (tailr * ce, tailr * of_ce),
        "EMO": (emo, of_emo),
        "mode 1": (ce, 0.5 * (of_ce + ce / emo * of_emo)),
        "mode 2": (2 * emo, emo / ce * of_ce + of_emo),
        "debiased EMO": (0.5 * toward @ toward, p * (along - p @ along)),
    }


@cache
def largest_cost():
    """The largest cost of any word to its group's target."""
    return max(_ordered(target)[2].max() for target in GROUPS)


def _push(step):
    """How much a step moves: what is pulled up, which is what is pushed down."""
    return np.abs(step).sum() / 2


@cache
def _ordered(target):
    """A group's words from the target on, from near to far: words, directions (n, d) and costs to it (n,)."""
    words = np.array(GROUPS[target].split())
    unit = costs.unit_rows(load_words().rows(words))
    cost = 1 - unit @ unit[0]
    order = np.append(0, 1 + np.argsort(cost[1:], kind="stable"))
    return words[order], unit[order], np.append(0.0, cost[order][1:])


def compute(target, z_target, z_near, z_far, bars):
    """Each objective's value and its step -gradient on the logits; costs have no unit, cross-entropy is in nats."""
    CONTROLS[0].check(target)
    CONTROLS[-1].check(bars)
    shares = bars == IN_SHARES
    words, unit, cost = _ordered(target)
    logits = np.array([z_target, z_near, *[0.0] * (len(words) - 3), z_far], float)
    found = gradients(logits, unit)
    values = {name: float(value) for name, (value, _) in found.items()}
    steps = {name: -gradient for name, (_, gradient) in found.items()}
    shown = {name: step / (_push(step) or 1.0) for name, step in steps.items()} if shares else steps
    return Data(tuple(map(str, words)), cost, softmax(logits), values, steps, shown, shares)


class ObjectivesPicture(widget.Picture):
    """Left: model, below it the costs. Right: each objective's step on every logit; row one sees p(target) alone."""

    size = (9.0, 4.9)

    def build(self):
        self.n, self.words, self.reach = len(GROUPS["Monday"].split()), None, None
        grid, rows = self.figure.subplots(2, 5), np.arange(self.n)
        self.named, self.panels = grid[:, 0], grid[:, 1:].ravel()
        self.bars = []
        sides = ("p", "model p", 1.0), ("cost", "cost to the target", largest_cost())
        for axes, (role, title, longest) in zip(self.named, sides, strict=True):
            self.bars += self.live_bars(axes.barh, rows, 0.62, color=COLOURS[role])
            axes.set(xlim=(0, 1.05 * longest), ylim=(self.n - 0.5, -0.5), xticks=[0, 0.5, 1], title=title)
            axes.tick_params(axis="y", length=0)
        self.texts = {name: self._panel(axes, name) for name, axes in zip(PANELS, self.panels, strict=True)}
        words = sorted((word for group in GROUPS.values() for word in group.split()), key=len)[-self.n :]
        self._name(words)  # the longest words, so that those of every group find room
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def _panel(self, axes, name):
        self.bars += self.live_bars(axes.barh, np.arange(self.n), 0.62, color=look(PANELS[name]).colour)
        axes.axvline(0, color=COLOURS["ink"], lw=0.8)
        axes.set(ylim=(self.n - 0.5, -0.5), yticks=[], title=f"{name}\n\n ")
        axes.spines["left"].set_visible(False)
        return self.live_text(axes, 0, 1.02, transform=axes.transAxes, fontsize=9.5, va="bottom")

    def _name(self, words):
        self.words = tuple(words)
        for axes in self.named:
            axes.set_yticks(range(self.n), words)

    def update(self, data):
        if data.words != self.words:
            self._name(data.words)
            self.stale()
        steps = [data.shown[name] for name in self.texts]
        reach = REACH * 2 ** max(0, np.ceil(np.log2(np.abs(steps).max() / REACH)))
        if reach != self.reach:
            self.reach = reach
            for axes in self.panels:
                axes.set_xlim(-reach, reach)
                _ticks(axes, reach / REACH)
            self.stale()
        widths = [data.p, data.cost, *steps]
        for bar, width in zip(self.bars, np.concatenate(widths), strict=True):
            bar.set_width(width)
        for name, text in self.texts.items():
            text.set_text(f"value {_short(data.values[name])}\npush {_short(_push(data.steps[name]))}")

    def alt(self, data):
        lifted = data.words[data.steps["EMO"].argmax()]
        pushes = ", ".join(f"{name} {_short(_push(data.steps[name]))}" for name in ("CE", "EMO", "mode 1"))
        shown = "shares" if data.shares else "steps"
        target = f"Target {data.words[0]}, p = {data.p[0]:.2g}"
        return f"{target}: CE lifts it alone, EMO lifts {lifted} most; push of {pushes}; bars show {shown}."

    def numbers(self, data):
        rows = [("bars", "value", "push", *data.words), ("model p", "", "", *map(_short, data.p))]
        rows.append(("cost to the target", "", "", *map(_short, data.cost)))
        for name, step in data.steps.items():
            rows.append((name, _short(data.values[name]), _short(_push(step)), *(f"{x:+.2g}" for x in step)))
        return rows


def _ticks(axes, far):
    axes.set_xticks([-far, 0, far], [f"{far:g} down", "0", f"{far:g} up"])


def _short(x):
    return f"{x:.2f}" if x >= 0.005 or x == 0 else f"{x:.0e}"


draw = ObjectivesPicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples: a near mistake, a far one and a sure one, five objectives: (figure, alt, numbers)."""
    cases = (("near mistake", 0.0, 3.0, 0.0), ("far mistake", 0.0, 0.0, 3.0), ("far, and sure of it", -6.0, 0.0, 3.0))
    names = ("CE", "1 − p(target)", "EMO", "mode 1", "debiased EMO")
    near = compute("Monday", *cases[0][1:], IN_SHARES)
    numbers = [("Monday's share of the push", "p of Monday", *names)]
    with drawing(9.0, 5.4) as figure:
        for (model, *panels), (case, *logits) in zip(figure.subplots(3, 6, sharey=True), cases, strict=True):
            data = compute("Monday", *logits, IN_SHARES)
            rows, pushes = np.arange(len(data.words)), {name: _short(_push(data.steps[name])) for name in names}
            model.barh(rows, data.p, 0.62, color=COLOURS["p"])
            model.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5), title=f"{case}\nmodel p")
            model.set_yticks(rows, data.words)
            for axes, name in zip(panels, names, strict=True):
                axes.barh(rows, data.shown[name], 0.62, color=look(PANELS[name]).colour)
                axes.axvline(0, color=COLOURS["ink"], lw=0.8)
                axes.set(xlim=(-REACH, REACH), xticks=[-1, 0, 1], title=f"{name}\npush {pushes[name]}")
                axes.spines["left"].set_visible(False)
            for axes in (model, *panels):
                axes.tick_params(axis="y", length=0)
            numbers.append(
                (case, f"{data.p[0]:.4f}", *(f"{data.shown[name][0]:.2f} of {pushes[name]}" for name in names))
            )
        for axes in figure.axes[-5:]:
            axes.set_xticks([-1, 0, 1], ["down", "0", "up"])
    ce, emo, debiased = (near.shown[name] for name in ("CE", "EMO", "debiased EMO"))
    lifted = f"CE gives Monday {ce[0]:.2f} of its upward push, debiased EMO {debiased[0]:.2f}, EMO {emo[0]:.2f}"
    alt = f"Where the model says Tuesday for Monday, {lifted} and {near.words[emo.argmax()]} {emo.max():.2f}."
    return figure, alt, numbers
