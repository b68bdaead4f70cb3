"""Training dashboard (lesson 07): curves that are drawn while a model trains, several runs in one picture.

    dashboard = Dashboard(steps=60)
    dashboard.show()
    for name in ("ce", "emo-mode-1"):
        dashboard.start(name)
        finetune.finetune(..., objective=name, on_log=dashboard.on_log)
    dashboard.finish()

The picture is an output of its cell that is replaced in place, no widget: the executed notebook keeps its last state.
"""

from time import monotonic
from typing import NamedTuple

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .. import inputs
from ..pictures import as_html, drawing, look
from . import widget

MAX_RUNS = 12  # in one picture
PAUSE, SHARE = 0.3, 0.1  # seconds between two drawings at least; the share of the time that drawing may take
TITLES = {"loss": "training loss, each in its own unit", "valid_ce": "held-out cross-entropy, nats"}  # of the two sides
LINE = {"ms": 6, "mec": "white", "mew": 0.5, "lw": 1.8}


class Run(NamedTuple):
    """Points of one run by side, (k, 2): step and value; the last tokens per second and their median."""

    points: dict
    rate: float
    median_rate: float


class Data(NamedTuple):
    """Runs by name, the present one last; where the axes begin and end: steps, and values by side."""

    runs: dict
    steps: tuple
    spans: dict


def _run(name, history):
    for index, entry in enumerate(history):
        if not hasattr(entry, "keys") or "step" not in entry:
            raise ValueError(f"histories[{name!r}][{index}] = {entry!r} is no entry of a history: it has no step")
    found = {side: [(entry["step"], entry[side]) for entry in history if side in entry] for side in TITLES}
    points = {side: np.array(pairs, float).reshape(-1, 2) for side, pairs in found.items()}
    rates = [entry["tokens_per_s"] for entry in history if "tokens_per_s" in entry] or [np.nan]
    return Run(points, rates[-1], np.median(rates))


def _locator():
    return MaxNLocator(6, steps=[1, 2, 2.5, 5, 10])


def _span(values, low=None):
    """Round ends for an axis, by the data alone; they move in steps, so that the axes are seldom drawn anew."""
    values = values[np.isfinite(values)]
    lowest, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    low = lowest if low is None else low
    first, *_, last = _locator().tick_values(low, max(high, low + 0.05))
    return float(first), float(last)


def compute(histories, steps=None):
    """Curves and axes for the histories of several runs."""
    runs = {name: _run(name, each) for name, each in widget.named("histories", histories, MAX_RUNS).items()}
    sides = {side: np.concatenate([run.points[side] for run in runs.values()]) for side in TITLES}
    reached = np.concatenate([points[:, 0] for points in sides.values()])
    end = _span(reached, low=0.0)[1] if steps is None else float(inputs.count("steps", steps))
    spans = {side: _span(points[:, 1]) for side, points in sides.items()}
    return Data(runs, (0.0, max(end, reached.max(initial=1.0))), spans)


def _every(points):
    """Every which point has a marker: a dozen at most."""
    return max(1, len(points) // 12)


def _axes(figure, share):
    """A strip for the legend, `share` as high as the two sides below it."""
    grid = figure.add_gridspec(2, 2, height_ratios=[share, 1])
    strip = figure.add_subplot(grid[0, :])
    strip.axis("off")
    sides = {side: figure.add_subplot(grid[1, k], title=TITLES[side], xlabel="step") for k, side in enumerate(TITLES)}
    return strip, sides


def _legend(strip, labels):
    """The runs' looks under the labels, in the strip above the curves."""
    handles = [Line2D([], [], **look(name).line, **LINE) for name in labels]
    place = {"loc": "lower left", "ncols": 3, "fontsize": 9, "borderaxespad": 0, "borderpad": 0, "handlelength": 2.6}
    strip.legend(handles, labels.values(), **place)


def _rate(before, rate):
    return f"{before}{rate:,.0f} tokens/s" if np.isfinite(rate) else ""


class CurvesPicture(widget.Picture):
    """Above: what the present run does, and the runs' looks. Left: training losses. Right: held-out cross-entropy."""

    size = (9.0, 3.9)

    def build(self):
        self.strip, self.sides = _axes(self.figure, 0.3)
        self.status = self.live_text(self.strip, 0, 1.0, transform=self.strip.transAxes, va="top", fontsize=10.5)
        self.lines, self.shown = {}, None
        for axes in self.sides.values():  # the widest labels that come, so that nothing jumps
            axes.set(xlim=(0, 1), ylim=(0, 0.125), yticks=[0, 0.125])
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        for axes in self.sides.values():
            axes.yaxis.set_major_locator(_locator())

    def update(self, data):
        present, run = list(data.runs.items())[-1]
        shown = (tuple(data.runs), data.steps, tuple(data.spans.values()))
        if shown != self.shown:
            self.shown = shown
            self._rebuild(data, present)
            self.stale()
        for name, lines in self.lines.items():
            for side, line in lines.items():
                points = data.runs[name].points[side]
                line.set(data=points.T, markevery=_every(points))
        step = int(max((points[-1, 0] for points in run.points.values() if len(points)), default=0))
        loss, ce = (f"{points[-1, 1]:.3f}" if len(points) else "–" for points in run.points.values())
        rate = _rate(", ", run.rate)
        self.status.set_text(f"{present}: step {step}, loss {loss}, held-out cross-entropy {ce}{rate}")

    def _rebuild(self, data, present):
        """Other runs or other ends of the axes: lines that are new or gone, the legend, the limits."""
        for name in set(self.lines) - set(data.runs):
            for line in self.lines.pop(name).values():
                self._live.remove(line)
                line.remove()
        for name in data.runs:
            if name not in self.lines:
                line = look(name).line | LINE
                self.lines[name] = {side: self.live_line(axes, **line) for side, axes in self.sides.items()}
        rates = {name: "" if name == present else _rate(": ", run.median_rate) for name, run in data.runs.items()}
        _legend(self.strip, {name: name + rate for name, rate in rates.items()})
        for side, axes in self.sides.items():
            axes.set(xlim=data.steps, ylim=data.spans[side])

    def alt(self, data):
        return _in_words(data)

    def numbers(self, data):
        return _rows(data, rates=True)


draw = CurvesPicture


def _in_words(data):
    """Where the held-out cross-entropy of the best and of the worst run ends."""
    ends = {name: run.points["valid_ce"][-1:, 1] for name, run in data.runs.items()}
    ends = {name: float(end[0]) for name, end in ends.items() if np.isfinite(end).any()}
    runs = "one run" if len(data.runs) == 1 else f"{len(data.runs)} runs"
    seen = f"Training curves of {runs} over {data.steps[1]:.0f} steps"
    if not ends:
        return f"{seen}, without a held-out cross-entropy yet."
    best, worst = min(ends, key=ends.get), max(ends, key=ends.get)
    last = "" if best == worst else f", of {worst} at {ends[worst]:.3f}"
    return f"{seen}: held-out cross-entropy of {best} ends at {ends[best]:.3f}{last}."


def _rows(data, rates):
    """First and last value of each curve, and tokens per second."""
    rows = [("run", "loss at first", "last", "held-out cross-entropy at first", "last", "not finite", "tokens/s")]
    for name, run in data.runs.items():
        ends = (f"{points[k, 1]:.3f}" if len(points) else "–" for points in run.points.values() for k in (0, -1))
        gaps = sum(int((~np.isfinite(points[:, 1])).sum()) for points in run.points.values())
        rows.append((name, *ends, gaps, f"{run.median_rate:,.0f}" if np.isfinite(run.median_rate) else "–"))
    return rows if rates else [row[:-1] for row in rows]


def _static(data, rates):
    rows = -(-len(data.runs) // 3)
    with drawing(9.0, 3.1 + 0.25 * rows) as figure:
        strip, sides = _axes(figure, 0.08 * rows)
        for side, axes in sides.items():
            for name, points in ((name, run.points[side]) for name, run in data.runs.items()):
                axes.plot(*points.T, markevery=_every(points), **look(name).line, **LINE)
            axes.set(xlim=data.steps, ylim=data.spans[side])
        labels = {name: name + _rate(": ", run.median_rate) * rates for name, run in data.runs.items()}
        _legend(strip, labels)
    return figure, _in_words(data), _rows(data, rates)


def panel(histories):
    """Static curves of several runs, without tokens per second, so that they come out alike everywhere."""
    return _static(compute(histories), rates=False)


class Dashboard:
    """Curves in a notebook cell that grow while models train: `show`; for each run `start` and `on_log`; then `finish`.

    `steps` is where the axis of steps ends (None: as far as the runs go); `histories` holds the runs' entries by name.
    """

    def __init__(self, steps=None):
        self.steps = None if steps is None else inputs.count("steps", steps)
        self.histories, self._name, self._picture, self._page, self._wait_until = {}, None, None, None, 0.0

    def show(self):
        """Put the picture into this cell's output."""
        from IPython.display import HTML, display

        self._page = display(HTML(self._html()), display_id=True)

    def start(self, name):
        """Begin a run under this name, or begin it anew; it becomes the present one."""
        self.histories.pop(name, None)
        widget.named("name", {**self.histories, name: []}, MAX_RUNS)
        self.histories[name], self._name = [], name
        self._redraw()

    def on_log(self, entry):
        """Take one entry of the history of the present run, and redraw if it is time."""
        if self._name is None:
            raise ValueError("on_log was called before start(name): these numbers belong to no run")
        self.histories[self._name].append(dict(entry))
        if monotonic() >= self._wait_until:
            self._redraw()

    def finish(self):
        """Draw the last state, all of it, as finely as the static pictures."""
        if self.histories:
            self._put(as_html(*_static(compute(self.histories, self.steps), rates=True)))

    def _html(self):
        if not self.histories:
            return "<p>No run yet.</p>"
        data = compute(self.histories, self.steps)
        self._picture = draw(data) if self._picture is None else self._picture.set(data)
        return self._picture.to_html()

    def _redraw(self):
        if self._page is None:  # not shown
            return
        begun = monotonic()
        self._put(self._html())
        spent = monotonic() - begun
        self._wait_until = monotonic() + max(PAUSE, spent * (1 / SHARE - 1))

    def _put(self, page):
        if self._page is not None:
            from IPython.display import HTML

            self._page.update(HTML(page))
