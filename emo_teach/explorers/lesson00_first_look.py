"""The first slider (lesson 00): move the wrong half of the probability from banana to Tuesday. Which loss notices?"""

from typing import NamedTuple

import numpy as np

from .. import divergences, transport, worked
from ..pictures import COLOURS, drawing
from . import simplex, widget

CONTROLS = (widget.Slider("tuesday", "Tuesday's share of the rest", 0.2, 0.0, 1.0, 0.05),)
SWEEP = np.linspace(0, 1, 21)


class Data(NamedTuple):
    """Model (3,), its two losses for the label Monday, and both along the slider."""

    share: float
    p: np.ndarray
    cross_entropy: float
    emd: float
    ce_curve: np.ndarray
    emd_curve: np.ndarray


def compute(tuesday):
    """Model and losses (A1, A5) when `tuesday` of the half that is not on Monday is on Tuesday, the rest on banana."""
    models = simplex.three(0.5, np.append(tuesday, SWEEP))
    ce = divergences.log_loss(models, worked.TARGET)
    emd = transport.one_hot_emd(models, worked.COST, worked.TARGET)
    return Data(tuesday, models[0], float(ce[0]), float(emd[0]), ce[1:], emd[1:])


class FirstPicture(widget.Picture):
    """Left: the model's three probabilities. Right: the two losses along the slider."""

    size = (7.6, 2.9)

    def build(self):
        bars, curves = self.figure.subplots(1, 2, width_ratios=[1, 1.5])
        self.bars = self.live_bars(bars.bar, range(3), 0.6, color=COLOURS["p"])
        bars.set_xticks(range(3), worked.TOKENS)
        bars.set(ylim=(0, 0.62), ylabel="probability", title="the model p (Monday is right)")
        self.ce = self.live_line(curves, color=COLOURS["ce"], lw=2, label="cross-entropy (nats)")
        self.emd = self.live_line(curves, color=COLOURS["emd"], lw=2, label="transport cost")
        self.dots = self.live_line(curves, "o", color=COLOURS["ink"], ms=6)
        self.texts = [self.live_text(curves, ha="center", va="bottom", fontsize=9.5) for _ in range(2)]
        curves.set(xlim=(-0.04, 1.04), ylim=(0, 0.98), xlabel="Tuesday's share of the rest", ylabel="loss")
        curves.set_title("which loss notices?")
        curves.legend(loc="upper right", fontsize=9, ncols=2)

    def update(self, data):
        for bar, height in zip(self.bars, data.p, strict=True):
            bar.set_height(height)
        self.ce.set_data(SWEEP, data.ce_curve)
        self.emd.set_data(SWEEP, data.emd_curve)
        self.dots.set_data([data.share] * 2, [data.cross_entropy, data.emd])
        for text, value in zip(self.texts, (data.cross_entropy, data.emd), strict=True):
            text.set(position=(min(max(data.share, 0.04), 0.96), value + 0.045), text=f"{value:.2f}")

    def alt(self, data):
        ce, emd = f"Cross-entropy stays at {data.cross_entropy:.3f} nats", f"the transport cost is {data.emd:.3f}"
        tuesday, banana = data.p[1:]
        return f"{ce}; {emd} and falls as probability goes from banana ({banana:.3f}) to Tuesday ({tuesday:.3f})."

    def numbers(self, data):
        values = ("cross-entropy, nats", f"{data.cross_entropy:.3f}"), ("transport cost", f"{data.emd:.3f}")
        return [("quantity", "value"), *simplex.rows("model p", data.p), *values]


draw = FirstPicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples for three shares: (figure, alt text, numbers)."""
    rows = []
    with drawing(7.6, 2.4) as figure:
        for axes, share in zip(figure.subplots(1, 3, sharey=True), (0.0, 0.5, 1.0), strict=True):
            data = compute(share)
            axes.bar(range(3), data.p, 0.6, color=COLOURS["p"])
            axes.set(xticks=range(3), xticklabels=worked.TOKENS, ylim=(0, 0.62))
            losses = f"cross-entropy {data.cross_entropy:.2f}", f"transport cost {data.emd:.2f}"
            axes.set_title("\n".join(losses))
            rows.append([f"{x:.2f}" for x in (*data.p, data.cross_entropy, data.emd)])
        figure.axes[0].set_ylabel("probability")
    ce, worst, best = rows[0][3], rows[0][4], rows[-1][4]
    alt = (
        f"Three models with 0.50 on Monday have cross-entropy {ce}; their transport costs fall from {worst} to {best}."
    )
    return figure, alt, [[*(f"p({token})" for token in worked.TOKENS), "cross-entropy, nats", "transport cost"], *rows]
