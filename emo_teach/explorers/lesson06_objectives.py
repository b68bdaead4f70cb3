"""Objectives explorer (lesson 06): one token's logits, and where a step of each training objective would move them."""

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
AS_THEY_ARE, IN_SHARES = "as they are", "as shares of each push"
CONTROLS = (
    widget.Choice("target", "target", "Monday", tuple(GROUPS)),
    widget.Slider("z_target", "logit of the target", 0.0, -8.0, 8.0, 0.5),
    widget.Slider("z_near", "logit of the nearest word", 1.0, -4.0, 6.0, 0.5),
    widget.Slider("z_far", "logit of the farthest word", 0.0, -4.0, 6.0, 0.5),
    widget.Choice("bars", "bars", AS_THEY_ARE, (AS_THEY_ARE, IN_SHARES)),
)
GAMMA = 0.1  # archives/9526
TAILR = (1e-7, 0.2)  # TaiLr's gamma for language models, and the floor of its weight
PANELS = {  # title: name in the table of looks. The first row sees p_t alone, the second how far the other words are.
    "CE": "ce",
    "1 − p(target)": "accuracy",
    "9526, γ = 0.1": "overconfidence",
    "TaiLr": "tailr",
    "EMO": "emo",
    "mode 1": "emo-mode-1",
    "mode 2": "emo-mode-2",
    "debiased EMO": "debiased",
}
REACH = 1.25  # where the axis of the pushes ends; a longer bar is cut there and its number is printed


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
        "9526, γ = 0.1": (-np.log(peek) / (1 - GAMMA), p_t / peek * of_ce),
        "TaiLr": (tailr * ce, tailr * of_ce),
        "EMO": (emo, of_emo),
        "mode 1": (ce, 0.5 * (of_ce + ce / emo * of_emo)),
        "mode 2": (2 * emo, emo / ce * of_ce + of_emo),
        "debiased EMO": (0.5 * toward @ toward, p * (along - p @ along)),
    }


def _push(step):
    """How much a step moves: what is pulled up, which is what is pushed down."""
    return np.abs(step).sum() / 2


def compute(target, z_target, z_near, z_far, bars):
    """Each objective's value and its step -gradient on the logits; costs have no unit, cross-entropy is in nats."""
    CONTROLS[0].check(target)
    CONTROLS[-1].check(bars)
    words, shares = np.array(GROUPS[target].split()), bars == IN_SHARES
    unit = costs.unit_rows(load_words().rows(words))
    cost = 1 - unit @ unit[0]
    order = np.append(0, 1 + np.argsort(cost[1:], kind="stable"))
    words, unit, cost = words[order], unit[order], np.append(0.0, cost[order][1:])
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
        self.n, self.words = len(GROUPS["Monday"].split()), None
        grid, rows = self.figure.subplots(2, 5), np.arange(self.n)
        self.named = grid[:, 0]
        self.bars = []
        for axes, role, title in zip(self.named, ("p", "cost"), ("model p", "cost to the target"), strict=True):
            self.bars += self.live_bars(axes.barh, rows, 0.62, color=COLOURS[role])
            axes.set(xlim=(0, 1.1), ylim=(self.n - 0.5, -0.5), xticks=[0, 0.5, 1], title=title)
            axes.tick_params(axis="y", length=0)
        self.texts = {name: self._panel(axes, name) for name, axes in zip(PANELS, grid[:, 1:].flat, strict=True)}
        words = sorted((word for group in GROUPS.values() for word in group.split()), key=len)[-self.n :]
        self._name(words)  # the longest words, so that those of every group find room
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def _panel(self, axes, name):
        self.bars += self.live_bars(axes.barh, np.arange(self.n), 0.62, color=look(PANELS[name]).colour)
        axes.axvline(0, color=COLOURS["ink"], lw=0.8)
        axes.set(xlim=(-REACH, REACH), ylim=(self.n - 0.5, -0.5), yticks=[], title=f"{name}\n\n ")
        axes.set_xticks([-1, 0, 1], ["← down", "0", "up →"])
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
        widths = [data.p, data.cost, *(np.clip(data.shown[name], -REACH, REACH) for name in self.texts)]
        for bar, width in zip(self.bars, np.concatenate(widths), strict=True):
            bar.set_width(width)
        for name, text in self.texts.items():
            text.set_text(f"value {_short(data.values[name])}\npush {_short(_push(data.steps[name]))}")

    def alt(self, data):
        p = ", ".join(f"{word} {value:.3g}" for word, value in zip(data.words, data.p, strict=True))
        what = "Shares of each push" if data.shares else "Steps"
        return f"Target {data.words[0]}. Model: {p}. {what} on the logits. {_in_words(data)}"


def _short(x):
    return f"{x:.2f}" if x >= 0.005 or x == 0 else f"{x:.0e}"


def _in_words(data):
    """Each objective's value, its step on the target, and what else it lifts."""
    parts = []
    for name, step in data.steps.items():
        lifted = ", ".join(word for word, s in zip(data.words[1:], step[1:], strict=True) if s > 1e-9)
        parts.append(f"{name} {data.values[name]:.3g}, target {step[0]:+.2g}" + (lifted and f", also up: {lifted}"))
    return "; ".join(parts) + "."


draw = ObjectivesPicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples: a near mistake, a far one and a sure one, five objectives: (figure, alt text)."""
    cases = (("near mistake", 0.0, 3.0, 0.0), ("far mistake", 0.0, 0.0, 3.0), ("far, and sure of it", -6.0, 0.0, 3.0))
    names = ("CE", "1 − p(target)", "EMO", "mode 1", "debiased EMO")
    parts = []
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
            pulls = ", ".join(f"{name} {data.shown[name][0]:.2f} of {push}" for name, push in pushes.items())
            parts.append(f"{case}, p of Monday {data.p[0]:.4f}: {pulls}")
        for axes in figure.axes[-5:]:
            axes.set_xticks([-1, 0, 1], ["down", "0", "up"])
    seen = f"Target Monday; five objectives' pushes on the logits of {', '.join(data.words)}, in shares"
    return figure, f"{seen}. Monday's share of the push: {'; '.join(parts)}."
