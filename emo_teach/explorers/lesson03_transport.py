"""Transport explorer (lesson 03): two histograms, a cost, the cheapest plan, and the potentials that prove it."""

from typing import NamedTuple

import numpy as np

from .. import costs, inputs, transport
from ..pictures import COLOURS, COST_MAP, darker, drawing
from ..words import load_words
from . import widget

N = 8
WORDS = ("Monday", "Tuesday", "Friday", "January", "coffee", "tea", "banana", "apple")
COSTS = ("|i − j|^k", "0/1", "random", "cosine of words")
CONTROLS = (
    widget.Slider("p_centre", "model p: centre", 2.0, 0.0, 7.0, 0.1),
    widget.Slider("p_width", "model p: width", 1.2, 0.2, 4.0, 0.1),
    widget.Slider("tau_centre", "label τ: centre", 4.5, 0.0, 7.0, 0.1),
    widget.Slider("tau_width", "label τ: width", 0.8, 0.2, 4.0, 0.1),
    widget.Choice("cost", "cost", COSTS[0], COSTS),
    widget.Slider("power", "k of |i − j|^k", 2.0, 0.25, 3.0, 0.25),
)


def idle(settings):
    """The power acts on one cost alone."""
    return {} if settings["cost"] == COSTS[0] else {"power": f"only the cost {COSTS[0]} has a power"}


TIGHT = 1e-9  # slack, in units of the largest cost, below which a constraint of the dual counts as tight


class Data(NamedTuple):
    """The problem, its solution, what the product plan costs, and what it is compared with: another way to the value
    or a rival plan, and what that gives (None where the cost has none).
    """

    p: np.ndarray
    tau: np.ndarray
    cost_name: str
    labels: tuple
    cost: np.ndarray
    solved: transport.Transport
    product: float
    compared: str
    compared_value: float | None


def _histogram(centre, width):
    """A bell over the classes; masses too small to see are set to 0, so that the plan's cells are the ones shown."""
    mass = np.exp(-0.5 * ((np.arange(N) - centre) / width) ** 2)
    mass[mass < 1e-2 * mass.max()] = 0
    return mass / mass.sum()


def _cost(name, power):
    if name == "0/1":
        return costs.zero_one(N)
    if name == "random":
        return np.random.default_rng(3).uniform(size=(N, N))  # not symmetric, and staying is not free
    return costs.cosine(load_words().rows(WORDS)) if name == COSTS[3] else costs.ordinal(N, power)


def _compare(name, p, tau, cost):
    """What else gives the value, or fails to: (name, value)."""
    if name == "0/1":
        return "total variation", float(0.5 * np.abs(p - tau).sum())
    if name == COSTS[0]:
        ordered = transport.emd(p, tau, costs.ordinal(N, 2)).plan  # squared distance: only the ordered plan is optimal
        return "plan that keeps the order", float((ordered * cost).sum())
    return "", None


def compute(p_centre, p_width, tau_centre, tau_width, cost, power):
    """The exact plan and potentials (A4, D6) for one setting, and what is compared (A6, D8), in the cost's unit."""
    CONTROLS[4].check(cost)
    for key, width in (("p_width", p_width), ("tau_width", tau_width)):
        inputs.number(key, width, low=0, open_low=True)
    p, tau = _histogram(p_centre, p_width), _histogram(tau_centre, tau_width)
    matrix = _cost(cost, power)
    name = f"|i − j|^{power:g}" if cost == COSTS[0] else cost
    labels = WORDS if cost == COSTS[3] else tuple(map(str, range(N)))
    solved, product = transport.emd(p, tau, matrix), float(transport.product_bound(p, tau, matrix))
    return Data(p, tau, name, labels, matrix, solved, product, *_compare(cost, p, tau, matrix))


def _cells(plan):
    """Rows, columns and masses of the cells that carry mass."""
    rows, columns = np.nonzero(plan > 1e-12)  # POT's masses are exact up to rounding near 1e-16
    return rows, columns, plan[rows, columns]


def _image(axes, cost):
    """The cost as grey cells, the largest at two thirds of black, so that green shows on it."""
    look = {"cmap": COST_MAP, "vmin": 0, "vmax": 1.5 * cost.max(), "interpolation": "nearest"}
    return axes.imshow(cost, extent=(-0.5, N - 0.5, N - 0.5, -0.5), **look)


class TransportPicture(widget.Picture):
    """The plan over the cost, p and τ left and on top, the potentials u and v right and below, and the numbers."""

    size = (8.4, 5.2)

    def build(self):
        self.figure.set_layout_engine("none")  # the bars must line up with the matrix
        self.matrix = self._axes(1.75, 1.35, 2.9, 2.9)
        self.left, self.right = self._axes(0.95, 1.35, 0.72, 2.9), self._axes(4.75, 1.35, 0.8, 2.9)
        self.top, self.below = self._axes(1.75, 4.32, 2.9, 0.6), self._axes(1.75, 0.62, 2.9, 0.6)
        self._build_matrix()
        self._build_margins()
        self._build_numbers(self._axes(5.85, 0.9, 2.45, 3.7))
        self.shown = None

    def _axes(self, left, bottom, width, height):
        """Axes at a place given in inches."""
        w, h = self.size
        return self.figure.add_axes((left / w, bottom / h, width / w, height / h))

    def _build_matrix(self):
        axes, self.cell = self.matrix, 2.9 / N * 72
        self.image = self.live(_image(axes, np.eye(N)))
        look = {"ms": 0.8 * self.cell, "mfc": "none", "mec": COLOURS["gradient"], "mew": 1.6}
        self.tight = self.live_line(axes, "s", **look)
        self.plan = self.live(axes.scatter([], [], [], COLOURS["plan"], edgecolors="white", linewidths=0.8))
        axes.set(xlim=(-0.5, N - 0.5), ylim=(N - 0.5, -0.5))
        axes.set_axis_off()

    def _build_margins(self):
        x = np.arange(N)
        self.p_bars = self.live_bars(self.left.barh, x, 0.8, color=COLOURS["p"])
        self.tau_bars = self.live_bars(self.top.bar, x, 0.8, color=COLOURS["tau"])
        self.u_line = self.live_line(self.right, "o-", color=COLOURS["p"], ms=4, lw=1)
        self.v_line = self.live_line(self.below, "o-", color=COLOURS["tau"], ms=4, lw=1)
        self.left.set(xlim=(1, 0), ylim=(N - 0.5, -0.5), yticks=x, xticks=[])
        self.left.tick_params(length=0)
        self.right.set(xlim=(-1.1, 1.1), ylim=(N - 0.5, -0.5), yticks=[], xticks=(-1, 0, 1), title="price u")
        self.top.set(xlim=(-0.5, N - 0.5), ylim=(0, 1), xticks=[], yticks=[])
        for axes in (self.left, self.top):
            axes.spines[["left", "bottom"]].set_visible(False)
        self.below.set(xlim=(-0.5, N - 0.5), ylim=(-1.1, 1.1), xticks=x, yticks=(-1, 0, 1), ylabel="price v")
        self.left.set_title("model p", loc="right")
        self.top.set_ylabel("label τ", rotation=0, ha="right", va="center")
        self.right.axvline(0, color=COLOURS["faint"], lw=1, zorder=0)
        self.below.axhline(0, color=COLOURS["faint"], lw=1, zorder=0)

    def _build_numbers(self, axes):
        axes.set(xlim=(0, 1), ylim=(0, 10))
        axes.set_axis_off()
        rows = (
            "cost",
            "EMD",
            "bill p·u + τ·v",
            "duality gap",
            "cells used",
            "product plan costs",
            "mass of longest bar",
        )
        self.values, y = [], 9.3
        for name in rows:
            axes.text(0, y, name, fontsize=9.5)
            colour = darker(COLOURS["emd"], 0.85) if name == "EMD" else COLOURS["ink"]
            self.values.append(self.live_text(axes, 1, y, fontsize=9.5, ha="right", color=colour))
            y -= 0.85
        self.compared = [self.live_text(axes, x, y, fontsize=9.5, ha=ha) for x, ha in ((0, "left"), (1, "right"))]
        key = "grey: cost, dark is high\ngreen: plan, area is mass\nsquares: tight, u + v = cost\n"
        key += "u, v: in units of the\nlargest cost"
        axes.text(0, 0, key, fontsize=9, color=darker(COLOURS["cost"]), va="bottom", linespacing=1.4)

    def update(self, data):
        scale, solved = data.cost.max(), data.solved
        if self.shown != data.labels:
            self._relabel(data.labels)
        self.image.set_data(data.cost)
        self.image.set_clim(0, 1.5 * scale)
        rows, columns, masses = _cells(solved.plan)
        self.plan.set_offsets(np.column_stack([columns, rows]))
        self.plan.set_sizes(2 * masses * self.cell**2)  # half the mass makes a circle as wide as a cell
        slack = data.cost - solved.u[:, None] - solved.v
        self.tight.set_data(*np.nonzero(slack <= TIGHT * scale)[::-1])
        longest = max(data.p.max(), data.tau.max())
        for left, top, p, tau in zip(self.p_bars, self.tau_bars, data.p / longest, data.tau / longest, strict=True):
            left.set_width(p)
            top.set_height(tau)
        self.u_line.set_data(solved.u / scale, np.arange(N))
        self.v_line.set_data(np.arange(N), solved.v / scale)
        most = np.count_nonzero(data.p) + np.count_nonzero(data.tau) - 1  # D6: nonzeros of a basic plan
        dual = float(data.p @ solved.u + data.tau @ solved.v)
        values = (data.cost_name, f"{solved.value:.4f}", f"{dual:.4f}", f"{abs(solved.gap):.0g}")
        values += (f"{len(rows)}, at most {most}", f"{data.product:.4f}", f"{longest:.2f}", data.compared)
        values += ("" if data.compared_value is None else f"{data.compared_value:.4f}",)
        for text, value in zip([*self.values, *self.compared], values, strict=True):
            text.set_text(value)

    def _relabel(self, labels):
        turned = {"rotation": 35, "ha": "right"} if labels is WORDS else {"rotation": 0, "ha": "center"}
        self.left.set_yticklabels(labels)
        self.below.set_xticklabels(labels, rotation_mode="anchor", **turned)
        self.shown = labels
        self.stale()

    def alt(self, data):
        values = f"EMD {data.solved.value:.4f}; the product plan costs {data.product:.4f}"
        return f"Under cost {data.cost_name} the cheapest plan from model to label costs {values}."

    def numbers(self, data):
        solved = data.solved
        columns = {"model p": data.p, "label τ": data.tau, "price u": solved.u, "price v": solved.v}
        rows = [(name, _listed(data.labels, values)) for name, values in columns.items()]
        moves = zip(*_cells(solved.plan), strict=True)
        plan = ", ".join(f"{mass:.3f} from {data.labels[i]} to {data.labels[j]}" for i, j, mass in moves)
        rows += [("plan", plan), ("EMD", f"{solved.value:.4f}"), ("duality gap", f"{abs(solved.gap):.0g}")]
        rows += [("product plan", f"{data.product:.4f}")]
        if data.compared_value is not None:
            rows.append((data.compared, f"{data.compared_value:.4f}"))
        return [("quantity", "value"), ("cost", data.cost_name), *rows]


def _listed(labels, values):
    return ", ".join(f"{label}: {value:.2f}" for label, value in zip(labels, values, strict=True))


draw = TransportPicture
explorer = widget.explorer(compute, draw, CONTROLS, idle)


def panel():
    """Static small multiples: the same two histograms under four costs: (figure, alt text, numbers)."""
    rows = [("cost", "EMD", "mass that stays", "cells used")]
    with drawing(8.6, 3.2) as figure:
        axes = figure.subplots(2, 4, height_ratios=[0.28, 1])
        cases = ((COSTS[1], 1), (COSTS[0], 2), (COSTS[0], 0.25), (COSTS[3], 1))
        for column, (name, power) in zip(axes.T, cases, strict=True):
            data = compute(2.5, 1.5, 4.5, 1.0, name, power)
            _panel_column(*column, data)
            stay, cells = float(np.diag(data.solved.plan).sum()), len(_cells(data.solved.plan)[0])
            rows.append((data.cost_name, f"{data.solved.value:.3f}", f"{stay:.2f}", cells))
        axes[0, 0].set_ylabel("label τ")
        axes[1, 0].set_ylabel("model p")
    stays = ", ".join(f"{name} {stay}" for name, _, stay, _ in rows[1:])
    return figure, f"The cheapest plan between one p and one τ depends on the cost; mass that stays: {stays}.", rows


def _panel_column(top, matrix, data):
    top.bar(np.arange(N), data.tau, 0.8, color=COLOURS["tau"])
    top.set(xlim=(-2.2, N - 0.5), xticks=[], yticks=[], title=f"{data.cost_name}\nEMD {data.solved.value:.3f}")
    top.spines[:].set_visible(False)
    _image(matrix, data.cost)
    rows, columns, masses = _cells(data.solved.plan)
    matrix.scatter(columns, rows, 2 * masses * 14**2, COLOURS["plan"], edgecolors="white", linewidths=0.5)
    matrix.barh(np.arange(N), -4 * data.p, 0.8, left=-0.7, color=COLOURS["p"])
    matrix.set(xlim=(-2.2, N - 0.5), xticks=[], yticks=[], aspect="auto")
    if data.labels == WORDS:
        matrix.yaxis.tick_right()
        matrix.set_yticks(np.arange(N), WORDS, fontsize=8)
        matrix.tick_params(length=0)
    matrix.spines[:].set_visible(False)
