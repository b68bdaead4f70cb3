"""Silence explorer (lesson 08): a model that believes in one wrong word, and how hard each loss pulls the right one up."""

from dataclasses import dataclass

import numpy as np

from .. import costs, pictures
from ..words import load_words
from . import widget

TARGET, OTHERS = "Monday", ("Tuesday", "weekend", "banana", "table")  # from near to far
CONTROLS = (
    widget.Choice("wrong", "the model believes in", "table", OTHERS),
    widget.Slider("log10_rest", "log₁₀ of what is left", -2.0, -6.0, -0.2, 0.1),
    widget.Slider("share", "Monday's share of that", 0.5, 0.0, 1.0, 0.05),
)
GRID = np.linspace(-6, -0.2, 59)  # log10 of what is left
LOOKS = {  # loss: (colour, line style, width)
    "CE": ("ce", "-", 2.2),
    "EMO": ("emd", "-", 2.2),
    "−log(1 − x)": ("family", "-", 1.8),
    "x/(1 − x)": ("family", "--", 1.8),
    "atanh x": ("family", ":", 2.4),
    "CE + EMO": ("divergence", (0, (5, 2)), 1.8),
}
FLOOR, CEILING = 1e-7, 1e6


@dataclass(frozen=True)
class Data:
    """Words with the target first, their costs to it and the model (n,); the pull of each loss on the target, here and along `GRID`."""

    words: tuple
    cost: np.ndarray
    p: np.ndarray
    wrong: str
    pulls: dict
    curves: dict
    here: float


def pulls(p, cost):
    """Pull of each loss on the logit of token 0, the target: minus the derivative.

    Formula: CE `1 - p_t`; EMO D1, `p_t L`; its transforms D14, `psi'(L/M) p_t L` with `1 - L/M = sum_i p_i (M -
    c_i)/M`. Returns a dictionary, loss -> (...).
    """
    most = cost.max()
    left = p @ (most - cost) / most
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
    """The pulls on Monday when the model believes in a wrong word, for real words' costs.

    Returns `Data`. Raises ValueError for another word.
    """
    if wrong not in OTHERS:
        raise ValueError(f"wrong = {wrong!r} must be one of {', '.join(OTHERS)}")
    words = (TARGET, *OTHERS)
    unit = costs.unit_rows(load_words().rows(list(words)))
    cost = np.append(0.0, 1 - unit[1:] @ unit[0])
    place = words.index(wrong)
    p = _models(np.array(10.0**log10_rest), share, place)
    return Data(
        words, cost, p, wrong, pulls(p, cost), pulls(_models(10.0**GRID, share, place), cost), float(log10_rest)
    )


class SilencePicture(widget.Picture):
    """Left: the costs and the model. Right: the pull on the target of each loss, the surer the model is of the wrong word."""

    size = (8.8, 3.9)

    def build(self):
        self.left, self.right = self.figure.subplots(1, 2, width_ratios=(1, 2.3))
        rows = np.arange(len(OTHERS) + 1)
        self.bars = [
            self.live(bar)
            for bar in self.left.barh(
                rows + 0.18, np.zeros(len(rows)), 0.36, color=pictures.COLOURS["p"], label="model p"
            )
        ]
        self.costs = [
            self.live(bar)
            for bar in self.left.barh(
                rows - 0.18, np.zeros(len(rows)), 0.36, color=pictures.COLOURS["cost"], label="cost"
            )
        ]
        self.left.set(
            xlim=(0, 1.25),
            ylim=(len(rows) - 0.4, -0.6),
            yticks=rows,
            yticklabels=(TARGET, *OTHERS),
            title="cost to Monday, model p",
        )
        self.left.tick_params(axis="y", length=0)
        self.left.legend(fontsize=9, loc="upper right")
        self.lines = {}
        for name, (colour, dash, width) in LOOKS.items():
            self.lines[name] = self.live(
                self.right.plot(10.0**GRID, np.ones(len(GRID)), ls=dash, lw=width, color=pictures.COLOURS[colour])[0]
            )
        self.mark = self.live(self.right.axvline(0.1, color=pictures.COLOURS["tau"], lw=1.5))
        self.right.set(xscale="log", yscale="log", xlim=(10.0 ** GRID[-1], 10.0 ** GRID[0]), ylim=(FLOOR, CEILING))
        self.right.set(
            xlabel="probability left for other words  (surer of the wrong one →)", title="pull on Monday's logit"
        )
        self.right.set_yticks([1e-6, 1e-4, 1e-2, 1, 1e2, 1e4])
        self.right.minorticks_off()
        handles = [
            self.right.plot([], [], ls=dash, lw=width, color=pictures.COLOURS[colour])[0]
            for colour, dash, width in LOOKS.values()
        ]
        self.right.legend(handles, LOOKS, fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))

    def update(self, data):
        for bars, widths in ((self.bars, data.p), (self.costs, data.cost)):
            for bar, width in zip(bars, widths, strict=True):
                bar.set_width(width)
        for name, line in self.lines.items():
            line.set_ydata(
                np.clip(data.curves[name], FLOOR, CEILING)
                if data.p[0] > 0 or "CE" in name
                else np.full(len(GRID), FLOOR)
            )
        self.mark.set_xdata([10.0**data.here] * 2)

    def alt(self, data):
        said = ", ".join(f"{name} {_short(value)}" for name, value in data.pulls.items())
        far = "the farthest word" if data.wrong == OTHERS[-1] else "not the farthest word"
        return f"The model gives {data.wrong}, {far}, {data.p.max():.6g} and Monday {data.p[0]:.2g}. Pulls on Monday's logit: {said}."


def _short(x):
    return "0" if x == 0 else f"{x:.2g}"


draw = SilencePicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples: the model believes in a near, a middling and the farthest word: (figure, alt text).

    Returns (matplotlib figure, string).
    """
    figure, said = pictures.new_figure(9.2, 3.3), []
    with pictures.rc_context(pictures.STYLE):
        for axes, wrong in zip(figure.subplots(1, 3, sharey=True), ("Tuesday", "banana", "table"), strict=True):
            data = compute(wrong, -6.0, 0.5)
            for name, (colour, dash, width) in LOOKS.items():
                axes.plot(
                    10.0**GRID,
                    np.clip(data.curves[name], FLOOR, CEILING),
                    ls=dash,
                    lw=width,
                    color=pictures.COLOURS[colour],
                    label=name,
                )
            axes.set(
                xscale="log",
                yscale="log",
                xlim=(10.0 ** GRID[-1], 10.0 ** GRID[0]),
                ylim=(FLOOR, CEILING),
                xlabel="left for other words",
            )
            axes.set_title(f"sure of {wrong}, cost {data.cost[data.words.index(wrong)]:.2f}")
            axes.set_xticks([1e-1, 1e-3, 1e-5])
            axes.minorticks_off()
            said.append(
                f"sure of {wrong}: " + ", ".join(f"{name} {_short(value)}" for name, value in data.pulls.items())
            )
        figure.axes[0].set_ylabel("pull on Monday's logit")
        figure.legend(
            *figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(LOOKS), fontsize=9.5
        )
    return (
        figure,
        f"Pull on Monday as a model grows sure of a wrong word. With a millionth left, half of it on Monday: {'; '.join(said)}.",
    )
