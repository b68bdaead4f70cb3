"""Silence explorer (lesson 08): a model believes in one wrong word; how hard does each loss pull the right one up?"""

from typing import NamedTuple

import numpy as np

from .. import costs
from ..pictures import COLOURS, drawing, look
from ..words import load_words
from . import widget

TARGET, OTHERS = "Monday", ("Tuesday", "weekend", "banana", "table")  # from near to far
CONTROLS = (
    widget.Choice("wrong", "the model believes in", "table", OTHERS),
    widget.Slider("log10_rest", "the rest: 10 to the power", -2.0, -6.0, -0.2, 0.1),
    widget.Slider("share", "Monday's share of the rest", 0.5, 0.0, 1.0, 0.05),
)
GRID = np.linspace(-6, -0.2, 59)  # log10 of what is left
WIDTHS = {"CE": 2.2, "EMO": 2.4, "−log(1 − x)": 1.8, "x/(1 − x)": 1.8, "atanh x": 2.4, "CE + EMO": 1.8}  # of lines
FLOOR, CEILING = 1e-9, 1e7  # every pull above 0 is between them
TICKS = [1e-8, 1e-6, 1e-4, 1e-2, 1, 1e2, 1e4, 1e6]
REST = "the rest: probability of other words  (← surer)"


class Data(NamedTuple):
    """Words from the target on, costs to it and model (n,); the pull of each loss on the target, here and on `GRID`."""

    words: tuple
    cost: np.ndarray
    p: np.ndarray
    wrong: str
    pulls: dict
    curves: dict
    here: float


def pulls(p, cost):
    """Pull of each loss on the logit of token 0, the target, loss -> (...): minus the derivative.

    CE `1 - p_t`; EMO D1, `p_t L`; its transforms D14, `psi'(L/M) p_t L` with `1 - L/M = sum_i p_i (M - c_i)/M`.
    """
    largest = cost.max()
    left = p @ (largest - cost) / largest
    emo, ce = p[..., 0] * (p @ cost), p[..., 1:].sum(-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "CE": ce,
            "EMO": emo,
            "−log(1 − x)": emo / left,
            "x/(1 − x)": emo / left**2,
            "atanh x": emo / (left * (2 - left)),
            "CE + EMO": ce + emo,
        }


def _models(rest, share, wrong):
    """All but `rest` on the wrong word; of the rest, `share` on the target and the remainder evenly on the others."""
    n = len(OTHERS) + 1
    p = np.repeat((rest * (1 - share) / (n - 2))[..., None], n, axis=-1)
    p[..., 0], p[..., wrong] = rest * share, 1 - rest
    return p


def compute(wrong, log10_rest, share):
    """The pulls on Monday when the model believes in a wrong word, with real words' costs."""
    CONTROLS[0].check(wrong)
    words = (TARGET, *OTHERS)
    unit = costs.unit_rows(load_words().rows(list(words)))
    cost, place = np.append(0.0, 1 - unit[1:] @ unit[0]), words.index(wrong)
    p, path = (_models(rest, share, place) for rest in (np.array(10.0**log10_rest), 10.0**GRID))
    return Data(words, cost, p, wrong, pulls(p, cost), pulls(path, cost), float(log10_rest))


def _scales(axes):
    axes.set(xscale="log", yscale="log", xlim=(0.8e-6, 0.8), ylim=(FLOOR, CEILING))


class SilencePicture(widget.Picture):
    """Left: costs and model. Right: the pull on the target of each loss, the surer the model is of the wrong word."""

    size = (8.8, 3.9)

    def build(self):
        left, right, legend = self.figure.subplots(1, 3, width_ratios=(1, 2.0, 0.62))
        rows = np.arange(len(OTHERS) + 1)
        self.bars = self.live_bars(left.barh, rows + 0.18, 0.36, color=COLOURS["p"], label="model p")
        self.bars += self.live_bars(left.barh, rows - 0.18, 0.36, color=COLOURS["cost"], label="cost to Monday")
        left.set(xlim=(0, 1.05), ylim=(len(rows) - 0.4, -0.6), yticks=rows, yticklabels=(TARGET, *OTHERS))
        left.tick_params(axis="y", length=0)
        left.legend(fontsize=9, loc="lower left", bbox_to_anchor=(-0.05, 1.0), borderaxespad=0.2)
        self.lines = {name: self.live_line(right, lw=w, **look(name).curve) for name, w in WIDTHS.items()}
        self.mark = self.live(right.axvline(0.1, color=COLOURS["ink"], lw=1))
        self.rest = self.live_text(right, 0, CEILING, fontsize=9, va="top")
        self.note = self.live_text(right, 0.02, 0.02, transform=right.transAxes, fontsize=9)
        _scales(right)
        right.set(xlabel=REST, title="pull on Monday's logit", yticks=TICKS)
        right.minorticks_off()
        self._legend(legend)

    def _legend(self, axes):
        """The curves' names, and live texts for their values at the mark."""
        axes.axis("off")
        axes.set(xlim=(0, 1), ylim=(0, 1))
        self.values = {}
        for y, (name, width) in zip(np.linspace(0.9, 0.1, len(WIDTHS)), WIDTHS.items(), strict=True):
            axes.plot([0, 0.2], [y, y], lw=width, **look(name).curve)
            axes.text(0.26, y, name, fontsize=9, va="bottom")
            self.values[name] = self.live_text(axes, 0.26, y, fontsize=10, va="top", fontweight="bold")

    def update(self, data):
        for bar, width in zip(self.bars, [*data.p, *data.cost], strict=True):
            bar.set_width(width)
        for name, line in self.lines.items():
            line.set_data(10.0**GRID, data.curves[name])
            line.set_visible(data.pulls[name] > 0)
            self.values[name].set_text(_short(data.pulls[name]))
        rest = 10.0**data.here
        self.mark.set_xdata([rest] * 2)
        on_the_left = data.here < GRID.mean()
        self.rest.set(x=rest * (1.1 if on_the_left else 0.9), ha="left" if on_the_left else "right")
        self.rest.set_text(f"the rest {rest:.2g}")
        silent = [name for name, pull in data.pulls.items() if pull == 0]
        self.note.set_text(f"{len(silent)} losses pull by 0: a log axis cannot show them" if silent else "")

    def alt(self, data):
        distance = "the farthest" if data.wrong == OTHERS[-1] else "not the farthest"
        left = f"the rest {10.0**data.here:.2g}, Monday {data.p[0]:.2g}"
        pulls = ", ".join(f"{name} {_short(data.pulls[name])}" for name in ("CE", "EMO", "−log(1 − x)"))
        return f"Sure of {data.wrong}, {distance} word ({left}): Monday is pulled by {pulls}."

    def numbers(self, data):
        words = zip(data.words, data.p, data.cost, strict=True)
        rows = [("word", "model p", "cost to Monday"), *((word, f"{p:.3g}", f"{cost:.2f}") for word, p, cost in words)]
        return [*rows, *((f"pull of {name}", _short(pull), "") for name, pull in data.pulls.items())]


def _short(pull):
    return "0" if pull == 0 else f"{pull:.2g}"


draw = SilencePicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples, (figure, alt, numbers): the model believes in a near, a middling, the farthest word."""
    rest, wrongs = -6.0, ("Tuesday", "banana", OTHERS[-1])
    found = {wrong: compute(wrong, rest, 0.5) for wrong in wrongs}
    with drawing(9.2, 3.3) as figure:
        for axes, (wrong, data) in zip(figure.subplots(1, 3, sharey=True), found.items(), strict=True):
            for name, width in WIDTHS.items():
                axes.plot(10.0**GRID, data.curves[name], lw=width, label=name, **look(name).curve)
            _scales(axes)
            axes.set(xlabel="the rest  (← surer)", yticks=TICKS, xticks=[1e-5, 1e-3, 1e-1])
            axes.set_title(f"sure of {wrong}, cost {data.cost[data.words.index(wrong)]:.2f}")
            axes.minorticks_off()
        figure.axes[0].set_ylabel("pull on Monday's logit")
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(WIDTHS), fontsize=9.5)
    rows = [(f"pull at a rest of {10.0**rest:g}", *(f"sure of {wrong}" for wrong in wrongs))]
    rows += [(name, *(_short(data.pulls[name]) for data in found.values())) for name in WIDTHS]
    near, far = (_short(found[wrong].pulls["−log(1 − x)"]) for wrong in (wrongs[0], wrongs[-1]))
    ce = _short(found[wrongs[0]].pulls["CE"])
    seen = f"Sure of {wrongs[0]}, −log(1 − x) pulls Monday by {near} at a rest of {10.0**rest:g}"
    return figure, f"{seen}; sure of {wrongs[-1]}, the farthest word, by {far}; CE pulls by {ce} always.", rows
