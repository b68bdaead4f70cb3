"""Divergence explorer (lesson 02): for a one-hot label every f-divergence sees the target's probability alone."""

from typing import NamedTuple

import numpy as np

from .. import divergences
from ..pictures import COLOURS, darker, drawing, look
from ..worked import TOKENS
from . import simplex, widget

TAU = np.array([1.0, 0.0, 0.0])
NAMES = tuple(divergences.GENERATORS)
CONTROLS = (
    widget.Choice("first", "first divergence (solid)", "KL", NAMES),
    widget.Choice("second", "second divergence (dashed)", "total variation", NAMES),
    widget.Slider("alpha", "Cressie-Read α (dotted)", 0.5, -1.0, 2.0, 0.1),
    widget.Slider("log10_p", "log₁₀ of p(Monday)", -2.0, -6.0, -0.01, 0.01),
    widget.Slider("tuesday", "Tuesday's share of the rest", 0.8, 0.0, 1.0, 0.05),
)
SWEEP = 10.0 ** np.linspace(-6, -0.01, 80)  # p(Monday)
DASHES = ("-", "--", ":")
FAMILIES = (
    ("infinite", ("reverse KL", "Neyman chi2")),
    ("unbounded, steady pull", ("KL",)),
    ("flat, pull dies out", ("total variation", "Jensen-Shannon", "squared Hellinger")),
    ("unbounded, pull grows", ("Pearson chi2",)),
)
TOP = 7.0  # upper end of the axis of values


class Curve(NamedTuple):
    """One divergence: value and size of the pull on Monday's logit at p and along `SWEEP`, and their fate as p(Monday)
    falls; where it is infinite, `value` is inf, and `pull`, `values` and `pulls` are None.
    """

    name: str
    value: float
    pull: float | None
    values: np.ndarray | None
    pulls: np.ndarray | None
    verdict: str


class Data(NamedTuple):
    """Model (3,), the three curves, and the largest relative change of their values over all shares of Tuesday."""

    p: np.ndarray
    share: float
    curves: tuple
    change: float


def _curve(generator, p):
    """The `Curve` of one generator; the value comes from all three tokens, the curve from p_t alone."""
    name, value = generator.name, float(divergences.f_divergence(generator, TAU, p))
    if not np.isfinite(generator.at_zero):
        return Curve(name, value, None, None, None, "∞ at every p_t < 1, as f(0) = ∞")
    *pulls, pull, tail, later = np.abs(divergences.one_hot_logit_gradient(generator, [*SWEEP, p[0], 1e-9, 1e-6]))
    limit = generator.at_zero + generator.slope_at_infinity
    growth = np.log10(tail / later) / 3  # decades of pull per decade of p_t, on the way to 0
    fate = "dies out" if growth < -0.01 else "grows" if growth > 0.01 else "stays"
    rise = f"flat: never above {limit:.3g}" if np.isfinite(limit) else "grows without bound"
    values = divergences.one_hot_loss(generator, SWEEP)
    return Curve(name, value, float(pull), values, np.array(pulls), f"{rise}, pull {fate}")


def compute(first, second, alpha, log10_p, tuesday):
    """Values and pulls of two divergences and Cressie-Read's of order alpha for the label Monday, by D10."""
    for control, name in zip(CONTROLS, (first, second), strict=False):
        control.check(name)
    first_p = 10.0**log10_p
    p = simplex.three(first_p, tuesday)
    family = divergences.alpha_generator(round(alpha, 6) + 0.0)  # a slider's 1e-17 is 0
    generators = [divergences.GENERATORS[first], divergences.GENERATORS[second], family]
    shares = simplex.three(first_p, np.linspace(0, 1, 11))
    values = [divergences.f_divergence(g, TAU, shares) for g in generators]
    change = max((np.ptp(each) / each.max() for each in values if np.isfinite(each).all()), default=0.0)
    return Data(p, tuesday, tuple(_curve(g, p) for g in generators), float(change))


def _label_axes(values, pulls):
    """Scales, limits and titles that the explorer and the panel share."""
    values.set(xscale="log", ylim=(0, TOP), ylabel="value (KL, JS: nats)")
    pulls.set(xscale="log", yscale="log", ylim=(3e-7, 3e6), ylabel="|gradient|")
    for axes in (values, pulls):
        axes.set(xlim=(7e-7, 1), xlabel="p(Monday), the target", xticks=(1e-6, 1e-4, 1e-2, 1))
        axes.minorticks_off()


class DivergencePicture(widget.Picture):
    """Top: value and pull against p_t. Bottom: the three tokens, and the numbers at the current p."""

    size = (8.3, 4.9)

    def build(self):
        grid = self.figure.add_gridspec(2, 1, height_ratios=[1.9, 1.0])
        self.values, self.pulls = grid[0].subgridspec(1, 2).subplots()
        strip, table = grid[1].subgridspec(1, 2, width_ratios=[0.75, 2]).subplots()
        _label_axes(self.values, self.pulls)
        self.values.set_title("value (label: Monday)")
        self.pulls.set_title("pull on Monday's logit")
        both = (self.values, self.pulls)
        self.now = [self.live(axes.axvline(0.1, color=COLOURS["faint"], lw=1.5)) for axes in both]
        self.value_lines, self.pull_lines = (
            [self.live_line(axes, dash, lw=width) for dash, width in zip(DASHES, (2.4, 2.4, 2.8), strict=True)]
            for axes in both
        )
        self.dots, self.pull_dots = (
            self.live_line(axes, "o", clip_on=False, color=COLOURS["ink"], ms=5) for axes in both
        )
        self.beyond = self.live_line(self.values, "^", color=COLOURS["ink"], ms=7)
        box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
        self.notes = [
            self.live_text(axes, 0.5, y, transform=axes.transAxes, ha="center", fontsize=9, bbox=box)
            for axes, y in zip(both, (0.86, 0.06), strict=True)
        ]
        self._build_strip(strip)
        self._build_table(table)

    def _build_strip(self, axes):
        y = np.arange(3)
        axes.barh(y - 0.2, TAU, 0.36, color=COLOURS["tau"], label="label τ")
        self.bars = self.live_bars(axes.barh, y + 0.2, 0.36, color=COLOURS["p"], label="model p")
        self.shares = [self.live_text(axes, 0, k + 0.2, va="center", fontsize=8.5) for k in y]
        axes.set(xlim=(0, 1.3), xticks=(0, 0.5, 1), ylim=(2.5, -0.5), xlabel="probability")
        axes.set_yticks(y, TOKENS)
        place = {"loc": "lower left", "bbox_to_anchor": (-0.05, 0.95), "borderaxespad": 0}
        axes.legend(ncols=2, fontsize=9, columnspacing=1, handlelength=1.2, **place)

    def _build_table(self, axes):
        axes.set(xlim=(0, 1), ylim=(0, 5))
        axes.set_axis_off()
        self.samples, self.rows = [], []
        places = ((0.065, "left"), (0.385, "right"), (0.525, "right"), (0.55, "left"))
        for (x, side), head in zip(places, ("", "value", "gradient", "as p(Monday) → 0"), strict=True):
            axes.text(x, 4.3, head, fontsize=9, color=darker(COLOURS["cost"]), ha=side)
        for slot in range(3):
            y = 3.3 - slot
            self.samples.append(self.live(axes.plot([0.0, 0.05], [y + 0.2] * 2, DASHES[slot], lw=2.4)[0]))
            row = [axes.text(x, y, "", ha=side, fontsize=9, in_layout=False) for x, side in places]
            # a menu changes the words of the first two rows, which then stand still: letters take longest to draw
            for artist in row if slot == 2 else row[1:3]:
                self.live(artist)
            self.rows.append(row)
        axes.text(0, 0.1, "However the rest is split, the values change by at most", fontsize=9, in_layout=False)
        self.change = self.live_text(axes, 0.685, 0.1, fontsize=9)

    def update(self, data):
        for slot, curve in enumerate(data.curves):
            self._update_curve(slot, curve)
        for bar, text, value in zip(self.bars, self.shares, data.p, strict=True):
            bar.set_width(value)
            text.set(x=value + 0.03, text=f"{value:.3g}")
        finite = [c for c in data.curves if c.values is not None]
        inside = [c.value for c in finite if c.value <= TOP]
        beyond = [TOP - 0.2] * (len(inside) < len(finite))
        marks = (self.dots, inside), (self.beyond, beyond), (self.pull_dots, [c.pull for c in finite])
        for line, heights in marks:
            line.set_data([data.p[0]] * len(heights), heights)
        for line in self.now:
            line.set_xdata([data.p[0]] * 2)
        infinite = ", ".join(dict.fromkeys(c.name for c in data.curves if c.values is None))
        for note, text in zip(self.notes, ("∞ at every p_t < 1", "no gradient"), strict=True):
            note.set(text=f"{text}: {infinite}", visible=bool(infinite))
        self.change.set_text(f"{data.change:.0e} (rounding)" if 0 < data.change < 1e-12 else f"{data.change:.0g}")

    def _update_curve(self, slot, curve):
        colour, infinite = COLOURS["family"] if slot == 2 else look(curve.name).colour, curve.values is None
        # an infinite divergence is a line at the very top of the values; of its pull nothing can be drawn
        top = np.full_like(SWEEP, TOP - 0.1 - 0.2 * slot)
        self.value_lines[slot].set_data(SWEEP, top if infinite else curve.values)
        self.pull_lines[slot].set_data(*([], []) if infinite else (SWEEP, curve.pulls))
        pull = "none" if infinite else f"−{curve.pull:.3g}"
        for line in (self.value_lines[slot], self.pull_lines[slot], self.samples[slot]):
            line.set_color(colour)
        if slot < 2 and self.rows[slot][0].get_text() != curve.name:
            self.stale()
        value = "∞" if infinite else f"{curve.value:.3g}"
        texts = (curve.name.replace("alpha", "α ="), value, pull, curve.verdict)
        for artist, text in zip(self.rows[slot], texts, strict=True):
            artist.set_text(text)

    def alt(self, data):
        values = ", ".join(f"{_spoken(curve)}: {_value(curve)}" for curve in data.curves)
        return f"p(Monday) = {data.p[0]:.3g} alone sets each divergence, however the rest is split; {values}."

    def numbers(self, data):
        rows = [("quantity", "value", "gradient on Monday's logit", "as p(Monday) falls")]
        for curve in data.curves:
            pull = "none" if curve.pull is None else f"−{curve.pull:.3g}"
            rows.append((_spoken(curve), _value(curve), pull, curve.verdict))
        rows += [(*row, "", "") for row in simplex.rows("model p", data.p)]
        return [*rows, ("largest relative change over all splits", f"{data.change:.0g}", "", "")]


def _spoken(curve):
    return curve.name.replace("alpha", "α")


def _value(curve):
    return "infinite" if curve.pull is None else f"{curve.value:.4g}"


draw = DivergencePicture
explorer = widget.explorer(compute, draw, CONTROLS)


def panel():
    """Static small multiples: value, pull, and one p_t with four splits of the rest: (figure, alt text, numbers)."""
    p_t = 0.1
    with drawing(8.6, 5.6) as figure:
        axes = figure.subplots(3, 4, sharey="row", height_ratios=[1.4, 1.4, 0.8])
        legends = ("center", "upper right", "upper right", "upper left")
        for column, (title, names), place in zip(axes.T, FAMILIES, legends, strict=True):
            _label_axes(*column[:2])
            column[0].set_title(title)
            for slot, name in enumerate(names):
                _panel_curve(column[:2], slot, _curve(divergences.GENERATORS[name], simplex.three(p_t, 0.5)))
            column[0].legend(fontsize=8, loc=place)
            column[0].set_xlabel("")
        splits = [_panel_strip(*strip) for strip in zip(axes[2], simplex.three(p_t, [1, 0.6, 0.3, 0]), strict=True)]
        for label in axes[:, 1:].flat:
            label.set_ylabel("")
    kl = " = ".join(split["KL"] for split in splits)
    alt = f"Divergences against p(Monday), four kinds; at {p_t} no split of the rest changes one: KL {kl}."
    rows = [(title, ", ".join(names)) for title, names in FAMILIES]
    rows += [(f"{name} at p(Monday) = {p_t}, four splits", ", ".join(s[name] for s in splits)) for name in splits[0]]
    return figure, alt, [("behaviour as p falls, or divergence", "divergences, or values"), *rows]


def _panel_curve(axes, slot, curve):
    style = {"color": look(curve.name).colour, "lw": 2, "ls": DASHES[slot]}
    if curve.values is None:
        axes[0].plot(SWEEP, np.full_like(SWEEP, TOP - 0.15 - 0.3 * slot), label=f"{curve.name} = ∞", **style)
        axes[1].set_title("no gradient", y=0.45, loc="center", fontsize=9)
        return
    axes[0].plot(SWEEP, curve.values, label=curve.name, **style)
    axes[1].plot(SWEEP, curve.pulls, **style)


def _panel_strip(axes, p):
    """One split of the rest as bars; returns the values it has, by name."""
    axes.bar(np.arange(3), p, 0.6, color=COLOURS["p"])
    values = {
        name: f"{divergences.f_divergence(name, TAU, p):.3f}" for name in ("KL", "total variation", "Pearson chi2")
    }
    axes.set_title("\n".join(f"{name}: {value}" for name, value in values.items()), fontsize=9)
    axes.set(xticks=np.arange(3), xticklabels=["Mon.", "Tue.", "banana"], ylim=(0, 1), ylabel="model p")
    return values
