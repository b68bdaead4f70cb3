"""CE-KL explorer (lesson 01): cross-entropy is entropy plus KL, and the entropy does not depend on the model."""

from typing import NamedTuple

import numpy as np

from .. import divergences
from ..pictures import COLOURS, drawing, look
from ..worked import TOKENS
from . import simplex, widget

CONTROLS = (
    widget.Slider("tau_monday", "label τ: Monday", 0.7, 0.0, 1.0, 0.05),
    widget.Slider("tau_tuesday", "τ: Tuesday's share of rest", 0.8, 0.0, 1.0, 0.05),
    widget.Slider("p_monday", "model p: Monday", 0.5, 0.05, 0.95, 0.05),
    widget.Slider("p_tuesday", "p: Tuesday's share of rest", 0.5, 0.1, 0.9, 0.05),
)
TOP = 6.0  # nats at the top of the axes: above the largest CE that the sliders reach, -log(0.05 * 0.1)
SWEEP = np.linspace(0.01, 0.98, 98)  # p(Monday)
CE_LOOK = look("ce").curve | {"lw": 2, "label": "CE(τ, p)"}
KL_LOOK = look("kl").curve | {"lw": 2, "label": "KL(τ‖p)"}


class Data(NamedTuple):
    """Label and model (3,), the three quantities in nats, and CE and KL along the sweep of p's first entry."""

    tau: np.ndarray
    p: np.ndarray
    entropy: float
    kl: float
    cross_entropy: float
    ce_curve: np.ndarray
    kl_curve: np.ndarray


def idle(settings):
    """Where Monday has all of the label, no rest is shared."""
    return {"tau_tuesday": "Monday has all of the label"} if settings["tau_monday"] == 1 else {}


def compute(tau_monday, tau_tuesday, p_monday, p_tuesday):
    """Label, model, entropy, KL and CE in nats: A2 and A3, `CE(tau, p) = H(tau) + KL(tau||p)`."""
    tau, models = simplex.three(tau_monday, tau_tuesday), simplex.three(np.append(p_monday, SWEEP), p_tuesday)
    ce, kl = divergences.cross_entropy(tau, models), divergences.kl(tau, models)
    return Data(tau, models[0], float(divergences.entropy(tau)), float(kl[0]), float(ce[0]), ce[1:], kl[1:])


class CeKlPicture(widget.Picture):
    """Left: label and model. Middle: the stack H + KL = CE. Right: CE and KL as p moves, one constant apart."""

    size = (7.8, 3.9)

    def build(self):
        bars, stack, curves = self.figure.subplots(1, 3, width_ratios=[1.1, 0.85, 1.35])
        x = np.arange(3)
        self.tau_bars = self.live_bars(bars.bar, x - 0.2, 0.38, color=COLOURS["tau"], label="label τ")
        self.p_bars = self.live_bars(bars.bar, x + 0.2, 0.38, color=COLOURS["p"], label="model p")
        bars.set(xticks=x, xticklabels=TOKENS, ylim=(0, 1.18), yticks=np.linspace(0, 1, 6), ylabel="probability")
        bars.set_title("label and model")
        bars.legend(loc="upper left", fontsize=9, ncols=2, columnspacing=1, borderaxespad=0.2)  # above the tallest bar
        (self.h_bar,) = self.live_bars(stack.bar, [0], 0.5, color=COLOURS["cost"])
        (self.k_bar,) = self.live_bars(stack.bar, [0], 0.5, color=COLOURS["ce"])
        texts = (self.live_text(stack, ha=ha, va="center", fontsize=9) for ha in ("left", "right", "center"))
        self.h_text, self.k_text, self.ce_text = texts
        stack.set(xlim=(-1, 1), xticks=[], ylim=(0, TOP), ylabel="nats", title="H(τ) + KL = CE")
        self.ce, self.kl = self.live_line(curves, **CE_LOOK), self.live_line(curves, **KL_LOOK)
        self.gap = self.live_line(curves, color=COLOURS["cost"], lw=6, solid_capstyle="butt")
        self.dots = self.live_line(curves, "o", clip_on=False, color=COLOURS["ink"], ms=5)
        curves.set(xlim=(0, 1), ylim=(0, TOP), xlabel="p(Monday)", ylabel="nats")
        curves.set_title("same shape, H(τ) apart\n")
        curves.legend(loc="lower left", bbox_to_anchor=(-0.05, 0.97), fontsize=9, ncols=2)  # above all curves

    def update(self, data):
        for bar, height in zip([*self.tau_bars, *self.p_bars], [*data.tau, *data.p], strict=True):
            bar.set_height(height)
        self.h_bar.set_height(data.entropy)
        self.k_bar.set(y=data.entropy, height=data.kl)
        self.h_text.set(position=(0.29, data.entropy / 2), text=f"H {data.entropy:.2f}", visible=data.entropy > 0.02)
        self.k_text.set(position=(-0.29, data.entropy + data.kl / 2), text=f"KL {data.kl:.2f}")
        self.ce_text.set(position=(0, data.cross_entropy + 0.03 * TOP), text=f"CE = {data.cross_entropy:.2f}")
        self.ce.set_data(SWEEP, data.ce_curve)
        self.kl.set_data(SWEEP, data.kl_curve)
        for line in (self.gap, self.dots):
            line.set_data([data.p[0]] * 2, [data.kl, data.cross_entropy])

    def alt(self, data):
        parts = f"entropy of the label, {data.entropy:.3f} nats, plus KL, {data.kl:.3f}"
        return f"Cross-entropy {data.cross_entropy:.3f} is the {parts}: a better model lowers the KL alone."

    def numbers(self, data):
        nats = {"entropy H(τ)": data.entropy, "KL(τ‖p)": data.kl, "CE(τ, p)": data.cross_entropy}
        rows = [*simplex.rows("label τ", data.tau), *simplex.rows("model p", data.p)]
        return [("quantity", "value"), *rows, *((f"{name}, nats", f"{value:.3f}") for name, value in nats.items())]


draw = CeKlPicture
explorer = widget.explorer(compute, draw, CONTROLS, idle)


def panel():
    """Static small multiples for three labels (hard, smoothed, soft): (figure, alt text, numbers)."""
    labels = ((1.0, 0.5, "hard label"), (0.9, 0.5, "smoothed label"), (0.6, 0.9, "soft label"))
    rows = [["label", "entropy, nats", "lowest cross-entropy", "KL there", "p(Monday) there"]]
    with drawing(8.4, 2.7) as figure:
        for axes, (first, share, title) in zip(figure.subplots(1, 3, sharey=True), labels, strict=True):
            data = compute(first, share, 0.5, 0.5)
            axes.fill_between(SWEEP, data.kl_curve, data.ce_curve, color=COLOURS["faint"], label="H(τ)")
            axes.plot(SWEEP, data.ce_curve, **CE_LOOK)
            axes.plot(SWEEP, data.kl_curve, **KL_LOOK)
            best = int(np.argmin(data.ce_curve))
            axes.plot(SWEEP[best], data.ce_curve[best], "o", clip_on=False, color=COLOURS["ink"], ms=5)
            axes.set(title=f"{title}: H(τ) = {data.entropy:.2f}", xlabel="p(Monday)", ylim=(0, 3), xlim=(0, 1))
            lowest = data.ce_curve[best], data.kl_curve[best], SWEEP[best]
            rows.append([title, *(f"{x:.2f}" for x in (data.entropy, *lowest))])
        figure.axes[0].set_ylabel("nats")
        figure.axes[0].legend(fontsize=9, loc="upper right")
    at = ", ".join(row[-1] for row in rows[1:])
    alt = f"Cross-entropy and KL against p(Monday) are the label's entropy apart, and so least at one place: {at}."
    return figure, alt, rows
