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
    widget.Slider("log10_rest", "log₁₀ of what is left", -2.0, -6.0, -0.2, 0.1),
    widget.Slider("share", "Monday's share of that", 0.5, 0.0, 1.0, 0.05),
)
GRID = np.linspace(-6, -0.2, 59)  # log10 of what is left
WIDTHS = {"CE": 2.2, "EMO": 2.4, "−log(1 − x)": 1.8, "x/(1 − x)": 1.8, "atanh x": 2.4, "CE + EMO": 1.8}  # of lines
FLOOR, CEILING = 1e-7, 1e6


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
    axes.set(xscale="log", yscale="log", xlim=(10.0 ** GRID[-1], 10.0 ** GRID[0]), ylim=(FLOOR, CEILING))


class SilencePicture(widget.Picture):
    """Left: costs and model. Right: the pull on the target of each loss, the surer the model is of the wrong word."""

    size = (8.8, 3.9)

    def build(self):
        left, right = self.figure.subplots(1, 2, width_ratios=(1, 2.3))
        rows = np.arange(len(OTHERS) + 1)
        self.bars = self.live_bars(left.barh, rows + 0.18, 0.36, color=COLOURS["p"], label="model p")
        self.bars += self.live_bars(left.barh, rows - 0.18, 0.36, color=COLOURS["cost"], label="cost")
        left.set(xlim=(0, 1.25), ylim=(len(rows) - 0.4, -0.6), yticks=rows, yticklabels=(TARGET, *OTHERS))
        left.set_title("cost to Monday, model p")
        left.tick_params(axis="y", length=0)
        left.legend(fontsize=9, loc="upper right")
        self.lines = {name: self.live_line(right, lw=w, **look(name).curve) for name, w in WIDTHS.items()}
        self.mark = self.live(right.axvline(0.1, color=COLOURS["rule"], lw=1.5))
        _scales(right)
        right.set_xlabel("probability left for other words  (surer of the wrong one →)")
        right.set_title("pull on Monday's logit")
        right.set_yticks([1e-6, 1e-4, 1e-2, 1, 1e2, 1e4])
        right.minorticks_off()
        handles = [right.plot([], [], lw=width, **look(name).curve)[0] for name, width in WIDTHS.items()]
        right.legend(handles, WIDTHS, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))

    def update(self, data):
        for bar, width in zip(self.bars, [*data.p, *data.cost], strict=True):
            bar.set_width(width)
        for name, line in self.lines.items():
            silent = data.p[0] == 0 and "CE" not in name
            pull = np.full(len(GRID), FLOOR) if silent else np.clip(data.curves[name], FLOOR, CEILING)
            line.set_data(10.0**GRID, pull)
        self.mark.set_xdata([10.0**data.here] * 2)

    def alt(self, data):
        far = "the farthest word" if data.wrong == OTHERS[-1] else "not the farthest word"
        model = f"The model gives {data.wrong}, {far}, {data.p.max():.6g} and Monday {data.p[0]:.2g}"
        return f"{model}. Pulls on Monday's logit: {_in_words(data)}."


def _in_words(data):
    return ", ".join(f"{name} {'0' if pull == 0 else f'{pull:.2g}'}" for name, pull in data.pulls.items())


draw = SilencePicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples: the model believes in a near, a middling and the farthest word: (figure, alt text)."""
    parts = []
    with drawing(9.2, 3.3) as figure:
        for axes, wrong in zip(figure.subplots(1, 3, sharey=True), ("Tuesday", "banana", "table"), strict=True):
            data = compute(wrong, -6.0, 0.5)
            for name, width in WIDTHS.items():
                pull = np.clip(data.curves[name], FLOOR, CEILING)
                axes.plot(10.0**GRID, pull, lw=width, label=name, **look(name).curve)
            _scales(axes)
            axes.set_xlabel("left for other words")
            axes.set_title(f"sure of {wrong}, cost {data.cost[data.words.index(wrong)]:.2f}")
            axes.set_xticks([1e-1, 1e-3, 1e-5])
            axes.minorticks_off()
            parts.append(f"sure of {wrong}: {_in_words(data)}")
        figure.axes[0].set_ylabel("pull on Monday's logit")
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(WIDTHS), fontsize=9.5)
    seen = "Pull on Monday as a model grows sure of a wrong word. With a millionth left, half of it on Monday"
    return figure, f"{seen}: {'; '.join(parts)}."
