"""Objectives explorer (lesson 06): one token's logits, and where a step of every training objective would move them."""

from dataclasses import dataclass

import numpy as np
from scipy.special import log_softmax, softmax

from .. import costs, pictures
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
# The first row sees p_t alone, the second how far the other words are.
PANELS = {
    "CE": "ce",
    "1 − p(target)": "accuracy",
    "9526, γ = 0.1": "family",
    "TaiLr": "family",
    "EMO": "emd",
    "mode 1": "emd",
    "mode 2": "emd",
    "debiased EMO": "emd",
}
REACH = 1.25  # where the axis of the pushes ends; a longer bar is cut there and its number is printed


@dataclass(frozen=True)
class Data:
    """Words from the target (index 0) on, their costs to it and p (n,); by objective its value and the step -gradient (n,) on the logits.

    `shown` holds the bars: the steps, or their shares (what is pulled up adds to 1).
    """

    words: tuple
    cost: np.ndarray
    p: np.ndarray
    values: dict
    steps: dict
    shown: dict
    shares: bool


def gradients(logits, unit):
    """Value and logit gradient of every objective in `PANELS` for one token whose target is index 0.

    Formula: A1; A7; archives/9526 and TaiLr, weights on cross-entropy; A9 with D1; D7 and mode 2, whose ratio is a
    constant of the gradient; D9, `B = ½|m_p - ê_t|²` with `dB/dz_j = p_j <ê_j - m_p, m_p - ê_t>`. Returns a
    dictionary, name -> (number, (n,)). Source: https://spaces.ac.cn/archives/9797 and 9526; arXiv 2310.04691,
    2302.13344; D9 in this project's `appendix_derivations`.
    """
    p, ce = softmax(logits), -log_softmax(logits)[0]
    off, p_t = p[1:].sum(), p[0]
    of_ce = p.copy()
    of_ce[0] = -off
    cost = np.append(0.0, np.clip(1 - unit[1:] @ unit[0], 0, None))
    emo = p @ cost
    of_emo = p * (cost - emo)
    toward = p @ unit - unit[0]
    along = unit @ toward
    peek = GAMMA + (1 - GAMMA) * p_t
    gamma, floor = TAILR
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


def _shares(step):
    total = np.abs(step).sum() / 2
    return step / total if total > 0 else step


def compute(target, z_target, z_near, z_far, bars):
    """Every objective's value and the step -gradient on the logits, for real words; costs have no unit, cross-entropy is in nats.

    Returns `Data`. Raises ValueError for a target or a kind of bars that is not there.
    """
    if target not in GROUPS:
        raise ValueError(f"target = {target!r} must be one of {', '.join(GROUPS)}")
    if bars not in (AS_THEY_ARE, IN_SHARES):
        raise ValueError(f"bars = {bars!r} must be one of {AS_THEY_ARE}, {IN_SHARES}")
    words = np.array(GROUPS[target].split())
    unit = costs.unit_rows(load_words().rows(words))
    cost = 1 - unit @ unit[0]
    order = np.append(0, 1 + np.argsort(cost[1:], kind="stable"))
    words, unit, cost = words[order], unit[order], np.append(0.0, cost[order][1:])
    logits = np.zeros(len(words))
    logits[0], logits[1], logits[-1] = z_target, z_near, z_far
    found = gradients(logits, unit)
    steps = {name: -gradient for name, (_, gradient) in found.items()}
    shown = {name: _shares(step) for name, step in steps.items()} if bars == IN_SHARES else steps
    values = {name: float(value) for name, (value, _) in found.items()}
    return Data(tuple(map(str, words)), cost, softmax(logits), values, steps, shown, bars == IN_SHARES)


class ObjectivesPicture(widget.Picture):
    """Left: model, and below it the costs. Right: eight objectives, each with the step it asks of every logit; the first row sees p(target) alone."""

    size = (9.0, 4.9)

    def build(self):
        self.n, self.words = len(GROUPS["Monday"].split()), None
        grid = self.figure.subplots(2, 5)
        rows = np.arange(self.n)
        self.named = grid[:, 0]
        self.p_bars, self.cost_bars = (
            [self.live(bar) for bar in axes.barh(rows, np.zeros(self.n), 0.62, color=pictures.COLOURS[colour])]
            for axes, colour in zip(self.named, ("p", "cost"), strict=True)
        )
        for axes, title in zip(self.named, ("model p", "cost to the target"), strict=True):
            axes.set(xlim=(0, 1.1), ylim=(self.n - 0.5, -0.5), xticks=[0, 0.5, 1], title=title)
            axes.tick_params(axis="y", length=0)
        self.panels = {}
        for k, (name, colour) in enumerate(PANELS.items()):
            self.panels[name] = self._panel(grid[k // 4, 1 + k % 4], name, colour, rows)
        words = sorted((word for group in GROUPS.values() for word in group.split()), key=len)[-self.n :]
        self._name(words)  # the longest words, so that those of every group find room
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")

    def _panel(self, axes, name, colour, rows):
        bars = [self.live(bar) for bar in axes.barh(rows, np.zeros(self.n), 0.62, color=pictures.COLOURS[colour])]
        axes.axvline(0, color=pictures.COLOURS["ink"], lw=0.8)
        axes.set(xlim=(-REACH, REACH), ylim=(self.n - 0.5, -0.5), yticks=[], title=f"{name}\n\n ")
        axes.set_xticks([-1, 0, 1], ["← down", "0", "up →"])
        axes.spines["left"].set_visible(False)
        text = self.live(axes.text(0, 1.02, "", transform=axes.transAxes, fontsize=9.5, va="bottom"))
        return bars, text

    def _name(self, words):
        self.words = tuple(words)
        for axes in self.named:
            axes.set_yticks(range(self.n), words)

    def update(self, data):
        if data.words != self.words:
            self._name(data.words)
            self.stale()
        for bars, widths in ((self.p_bars, data.p), (self.cost_bars, data.cost)):
            for bar, width in zip(bars, widths, strict=True):
                bar.set_width(width)
        for name, (bars, text) in self.panels.items():
            for bar, width in zip(bars, data.shown[name], strict=True):
                bar.set_width(float(np.clip(width, -REACH, REACH)))
            text.set_text(f"value {_short(data.values[name])}\npush {_short(np.abs(data.steps[name]).sum() / 2)}")

    def alt(self, data):
        p = ", ".join(f"{word} {value:.3g}" for word, value in zip(data.words, data.p, strict=True))
        return f"Target {data.words[0]}. Model: {p}. {'Shares of each push' if data.shares else 'Steps'} on the logits. {_said(data)}"


def _short(x):
    return f"{x:.2f}" if x >= 0.005 or x == 0 else f"{x:.0e}"


def _said(data):
    """Each objective's value, its step on the target, and what else it lifts."""
    parts = []
    for name in PANELS:
        step = data.steps[name]
        lifted = [word for word, s in zip(data.words[1:], step[1:], strict=True) if s > 1e-9]
        parts.append(
            f"{name} {data.values[name]:.3g}, target {step[0]:+.2g}"
            + (f", also up: {', '.join(lifted)}" if lifted else "")
        )
    return "; ".join(parts) + "."


draw = ObjectivesPicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples: an unsure model, a near mistake and a far one, and five objectives' steps: (figure, alt text).

    Returns (matplotlib figure, string).
    """
    cases = (("near mistake", 0.0, 3.0, 0.0), ("far mistake", 0.0, 0.0, 3.0), ("far, and sure of it", -6.0, 0.0, 3.0))
    names = ("CE", "1 − p(target)", "EMO", "mode 1", "debiased EMO")
    figure = pictures.new_figure(9.0, 5.4)
    said = []
    with pictures.rc_context(pictures.STYLE):
        for row, (case, *logits) in zip(figure.subplots(3, 6, sharey=True), cases, strict=True):
            data = compute("Monday", *logits, IN_SHARES)
            rows = np.arange(len(data.words))
            row[0].barh(rows, data.p, 0.62, color=pictures.COLOURS["p"])
            row[0].set(
                xlim=(0, 1), yticks=rows, yticklabels=data.words, ylim=(len(rows) - 0.5, -0.5), title=f"{case}\nmodel p"
            )
            row[0].tick_params(axis="y", length=0)
            for axes, name in zip(row[1:], names, strict=True):
                axes.barh(rows, data.shown[name], 0.62, color=pictures.COLOURS[PANELS[name]])
                push = np.abs(data.steps[name]).sum() / 2
                axes.axvline(0, color=pictures.COLOURS["ink"], lw=0.8)
                axes.set(xlim=(-REACH, REACH), xticks=[-1, 0, 1], title=f"{name}\npush {_short(push)}")
                axes.spines["left"].set_visible(False)
                axes.tick_params(axis="y", length=0)
            pulls = ", ".join(
                f"{name} {data.shown[name][0]:.2f} of {_short(np.abs(data.steps[name]).sum() / 2)}" for name in names
            )
            said.append(f"{case}, p of Monday {data.p[0]:.4f}: {pulls}")
        for axes in figure.axes[-5:]:
            axes.set_xticks([-1, 0, 1], ["down", "0", "up"])
    return (
        figure,
        f"Target Monday; five objectives' pushes on the logits of {', '.join(data.words)}, in shares. Monday's share of the push: "
        + "; ".join(said)
        + ".",
    )
