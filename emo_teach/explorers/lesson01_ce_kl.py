"""CE-KL explorer (lesson 01): cross-entropy is entropy plus KL, and the entropy does not depend on the model."""

from dataclasses import dataclass

import numpy as np

from .. import divergences, pictures
from . import widget

TOKENS = ("Monday", "Tuesday", "banana")
CONTROLS = (
    widget.Slider("tau_monday", "label τ: Monday", 0.7, 0.0, 1.0, 0.05),
    widget.Slider("tau_tuesday", "τ: Tuesday's share of rest", 0.8, 0.0, 1.0, 0.05),
    widget.Slider("p_monday", "model p: Monday", 0.5, 0.01, 0.98, 0.01),
    widget.Slider("p_tuesday", "p: Tuesday's share of rest", 0.5, 0.02, 0.98, 0.02),
)

HEIGHTS = (3.0, 9.0)  # nats at the top of the axes; the second where CE would leave the first


@dataclass(frozen=True)
class Data:
    """Label and model (3,), the three quantities in nats, and CE and KL along the sweep of p's first entry."""

    tau: np.ndarray
    p: np.ndarray
    entropy: float
    kl: float
    cross_entropy: float
    sweep: np.ndarray
    ce_curve: np.ndarray
    kl_curve: np.ndarray


def _three(first, share):
    return np.array([first, (1 - first) * share, (1 - first) * (1 - share)])


def compute(tau_monday, tau_tuesday, p_monday, p_tuesday):
    """Label, model, entropy, KL and CE for one setting of the sliders; all values in nats.

    Formula: A2 and A3, `CE(tau, p) = H(tau) + KL(tau||p)`. Returns `Data`, tau and p (3,), curves (98,). Raises
    ValueError for numbers that make tau or p no distribution. Source: https://spaces.ac.cn/archives/9797.
    """
    tau, p = _three(tau_monday, tau_tuesday), _three(p_monday, p_tuesday)
    sweep = np.linspace(0.01, 0.98, 98)
    models = np.stack([sweep, (1 - sweep) * p_tuesday, (1 - sweep) * (1 - p_tuesday)], axis=-1)
    return Data(
        tau,
        p,
        float(divergences.entropy(tau)),
        float(divergences.kl(tau, p)),
        float(divergences.cross_entropy(tau, p)),
        sweep,
        divergences.cross_entropy(tau, models),
        divergences.kl(tau, models),
    )


class CeKlPicture(widget.Picture):
    """Left: label and model. Middle: the stack H + KL = CE. Right: CE and KL as p moves, one constant apart."""

    size = (7.8, 3.3)

    def build(self):
        bars, stack, curves = self.figure.subplots(1, 3, width_ratios=[1.15, 0.75, 1.4])
        x = np.arange(3)
        self.tau_bars = [
            self.live(b) for b in bars.bar(x - 0.2, np.zeros(3), 0.38, color=pictures.COLOURS["tau"], label="label τ")
        ]
        self.p_bars = [
            self.live(b) for b in bars.bar(x + 0.2, np.zeros(3), 0.38, color=pictures.COLOURS["p"], label="model p")
        ]
        bars.set(
            xticks=x,
            xticklabels=TOKENS,
            ylim=(0, 1.18),
            yticks=np.linspace(0, 1, 6),
            ylabel="probability",
            title="label and model",
        )
        bars.legend(loc="upper left", fontsize=9, ncols=2, columnspacing=1, borderaxespad=0.2)  # above the tallest bar
        (h,) = stack.bar([0], [0], 0.5, color=pictures.COLOURS["cost"])
        (k,) = stack.bar([0], [0], 0.5, color=pictures.COLOURS["ce"])
        self.h_bar, self.k_bar = self.live(h), self.live(k)
        self.h_text, self.k_text, self.ce_text = (
            self.live(stack.text(0, 0, "", ha="center", va="center", fontsize=9)) for _ in range(3)
        )
        stack.set(xlim=(-0.7, 0.7), xticks=[], ylabel="nats", title="H(τ) + KL = CE")
        (ce,) = curves.plot([], [], color=pictures.COLOURS["ce"], lw=2, label="CE(τ, p)")
        (kl,) = curves.plot([], [], color=pictures.COLOURS["ce"], lw=2, ls="--", label="KL(τ‖p)")
        (gap,) = curves.plot([], [], color=pictures.COLOURS["cost"], lw=6, solid_capstyle="butt")
        (dots,) = curves.plot([], [], "o", color=pictures.COLOURS["ink"], ms=5)
        self.ce, self.kl, self.gap, self.dots = (self.live(line) for line in (ce, kl, gap, dots))
        curves.set(xlim=(0, 1), xlabel="p(Monday)", ylabel="nats", title="same shape, H(τ) apart")
        curves.legend(loc="upper center", fontsize=9, ncols=2)
        self.stack, self.curves_axes, self.top = stack, curves, None
        self._reach(HEIGHTS[0])

    def _reach(self, top):
        """Let the two axes in nats end at `top`; their labels stay of one width, and so the layout."""
        if top != self.top:
            self.top = top
            for axes in (self.stack, self.curves_axes):
                axes.set_ylim(0, top)
                axes.set_yticks(ticks := np.linspace(0, top, 7), [f"{tick:.1f}" for tick in ticks])
            self.stale()

    def update(self, data):
        for bar, height in zip([*self.tau_bars, *self.p_bars], [*data.tau, *data.p], strict=True):
            bar.set_height(height)
        self._reach(HEIGHTS[data.cross_entropy > 0.9 * HEIGHTS[0]])
        self.h_bar.set_height(data.entropy)
        self.k_bar.set(y=data.entropy, height=data.kl)
        self.h_text.set(position=(0.48, data.entropy / 2), text=f"H\n{data.entropy:.2f}", visible=data.entropy > 0.02)
        self.k_text.set(position=(-0.48, data.entropy + data.kl / 2), text=f"KL\n{data.kl:.2f}")
        self.ce_text.set(position=(0, data.cross_entropy + 0.04 * self.top), text=f"CE = {data.cross_entropy:.2f}")
        self.ce.set_data(data.sweep, data.ce_curve)
        self.kl.set_data(data.sweep, data.kl_curve)
        self.gap.set_data([data.p[0]] * 2, [data.kl, data.cross_entropy])
        self.dots.set_data([data.p[0]] * 2, [data.kl, data.cross_entropy])

    def alt(self, data):
        tau, p = (
            ", ".join(f"{name} {value:.2f}" for name, value in zip(TOKENS, v, strict=True)) for v in (data.tau, data.p)
        )
        return (
            f"Label: {tau}. Model: {p}. Entropy of the label {data.entropy:.3f} nats plus KL {data.kl:.3f} nats is the cross-entropy, "
            f"{data.cross_entropy:.3f} nats. As p of Monday moves, both curves keep one shape, the entropy apart."
        )


draw = CeKlPicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples for three labels (hard, smoothed, soft): (figure, alt text).

    Returns (matplotlib figure, string).
    """
    labels = ((1.0, 0.5, "hard label"), (0.9, 0.5, "smoothed label"), (0.6, 0.9, "soft label"))
    figure = pictures.new_figure(8.4, 2.7)
    said = []
    with pictures.rc_context(pictures.STYLE):
        for axes, (first, share, title) in zip(figure.subplots(1, 3, sharey=True), labels, strict=True):
            data = compute(first, share, 0.5, 0.5)
            axes.fill_between(data.sweep, data.kl_curve, data.ce_curve, color=pictures.COLOURS["faint"], label="H(τ)")
            axes.plot(data.sweep, data.ce_curve, color=pictures.COLOURS["ce"], lw=2, label="CE(τ, p)")
            axes.plot(data.sweep, data.kl_curve, color=pictures.COLOURS["ce"], lw=2, ls="--", label="KL(τ‖p)")
            best = int(np.argmin(data.ce_curve))
            axes.plot(data.sweep[best], data.ce_curve[best], "o", color=pictures.COLOURS["ink"], ms=5)
            axes.set(title=f"{title}: H(τ) = {data.entropy:.2f}", xlabel="p(Monday)", ylim=(0, 3), xlim=(0, 1))
            said.append(
                f"{title}, entropy {data.entropy:.2f} nats, lowest cross-entropy at p(Monday) = {data.sweep[best]:.2f}"
            )
        figure.axes[0].set_ylabel("nats")
        figure.axes[0].legend(fontsize=9, loc="upper right")
    return figure, "Cross-entropy and KL against p(Monday), a constant apart: " + "; ".join(said) + "."
