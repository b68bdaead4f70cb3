"""Training dashboard (lesson 07): curves that are drawn while a model trains, several runs in one picture.

    dashboard = Dashboard(steps=60)
    dashboard.show()
    for name in ("ce", "emo-mode-1"):
        dashboard.start(name)
        finetune.finetune(..., objective=name, on_log=dashboard.on_log)
    dashboard.finish()

The picture is an output of its cell that is replaced in place, no widget: the executed notebook keeps its last state.
"""

from dataclasses import dataclass
from time import monotonic

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from .. import inputs, pictures
from . import widget
from .language import named

MOST = 12  # runs in one picture
PAUSE, SHARE = 0.3, 0.1  # seconds between two drawings at least; the share of the time that drawing may take
SIDES = ("loss", "valid_ce")
TITLES = {"loss": "training loss, each in its own unit", "valid_ce": "held-out cross-entropy, nats"}


@dataclass(frozen=True)
class Run:
    """Points of one run, (k, 2) each: step and loss, step and held-out cross-entropy; tokens per second, the last ones and the median."""

    loss: np.ndarray
    valid_ce: np.ndarray
    rate: float
    median_rate: float


@dataclass(frozen=True)
class Data:
    """Runs by name, the last one being the present one, and where the axes begin and end: steps, and each side's values."""

    runs: dict
    steps: tuple
    spans: dict


def _points(history, column):
    found = [(entry["step"], entry[column]) for entry in history if column in entry]
    return np.array(found, float).reshape(-1, 2)


def _run(name, history):
    for index, entry in enumerate(history):
        if not hasattr(entry, "keys") or "step" not in entry:
            raise ValueError(f"histories[{name!r}][{index}] = {entry!r} is no entry of a history: it has no step")
    rates = [entry["tokens_per_s"] for entry in history if "tokens_per_s" in entry]
    return Run(
        *(_points(history, side) for side in SIDES),
        *((rates[-1], float(np.median(rates))) if rates else (np.nan, np.nan)),
    )


def _span(values, least=None):
    """Round ends for an axis: a function of the data alone, which moves in steps, so that the axes are seldom drawn anew."""
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (0.0, 1.0)
    low, high = (low if least is None else least), max(high, low + 0.05)
    ticks = MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    return float(ticks[0]), float(ticks[-1])


def compute(histories, steps=None):
    """Curves and axes for the histories of several runs.

    Returns `Data`. Raises ValueError for a history that is none, or more than 12 runs.
    """
    runs = {name: _run(name, history) for name, history in named("histories", histories, MOST).items()}
    reached = np.concatenate([points[:, 0] for run in runs.values() for points in (run.loss, run.valid_ce)])
    end = _span(reached, least=0.0)[1] if steps is None else float(inputs.count("steps", steps))
    spans = {side: _span(np.concatenate([getattr(run, side)[:, 1] for run in runs.values()])) for side in SIDES}
    return Data(runs, (0.0, max(end, reached.max(initial=1.0))), spans)


def _every(points):
    """Every which point has a marker: a dozen at most."""
    return max(1, len(points) // 12)


def _line(axes, name, points=()):
    look = pictures.look(name)
    xy = np.asarray(points, float).reshape(-1, 2)
    (line,) = axes.plot(
        *xy.T,
        look.dash,
        markevery=_every(xy),
        color=look.colour,
        marker=look.marker,
        ms=6,
        mec="white",
        mew=0.5,
        lw=1.8,
        label=name,
    )
    return line


def _axes(figure, share):
    """A strip for the legend, `share` as high as the two sides below it."""
    grid = figure.add_gridspec(2, 2, height_ratios=[share, 1])
    strip = figure.add_subplot(grid[0, :])
    strip.axis("off")
    sides = {side: figure.add_subplot(grid[1, k]) for k, side in enumerate(SIDES)}
    for side, axes in sides.items():
        axes.set(title=TITLES[side], xlabel="step")
    return strip, sides


def _legend(strip, labels):
    """The runs' looks under the labels, in the strip above the curves."""
    looks = {name: pictures.look(name) for name in labels}
    handles = [
        Line2D([], [], ls=s.dash, color=s.colour, marker=s.marker, ms=6, mec="white", mew=0.5, lw=1.8)
        for s in looks.values()
    ]
    strip.legend(
        handles, labels.values(), loc="lower left", ncols=3, fontsize=9, borderaxespad=0, borderpad=0, handlelength=2.6
    )


def _with_rate(name, run):
    return f"{name}: {run.median_rate:,.0f} tokens/s" if np.isfinite(run.median_rate) else name


def _last(points, digits=3):
    return f"{points[-1, 1]:.{digits}f}" if len(points) else "–"


class CurvesPicture(widget.Picture):
    """Above: what the present run does, and the runs' looks. Left: training losses. Right: held-out cross-entropy."""

    size = (9.0, 3.9)

    def build(self):
        self.strip, self.sides = _axes(self.figure, 0.3)
        self.status = self.live(self.strip.text(0, 1.0, "", transform=self.strip.transAxes, va="top", fontsize=10.5))
        self.lines, self.shown = {}, None
        for axes in self.sides.values():  # the widest labels that come, so that nothing jumps
            axes.set(xlim=(0, 1), ylim=(0, 0.125), yticks=[0, 0.125])
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        for axes in self.sides.values():
            axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))

    def update(self, data):
        present = list(data.runs)[-1]
        shown = (tuple(data.runs), data.steps, tuple(data.spans.values()))
        if shown != self.shown:
            self.shown = shown
            self._rebuild(data, present)
            self.stale()
        for name, run in data.runs.items():
            for side, line in self.lines[name].items():
                line.set_data(*getattr(run, side).T)
                line.set_markevery(_every(getattr(run, side)))
        run = data.runs[present]
        rate = f", {run.rate:,.0f} tokens/s" if np.isfinite(run.rate) else ""
        step = int(max((points[-1, 0] for points in (run.loss, run.valid_ce) if len(points)), default=0))
        self.status.set_text(
            f"{present}: step {step}, loss {_last(run.loss)}, held-out cross-entropy {_last(run.valid_ce)}{rate}"
        )

    def _rebuild(self, data, present):
        """Other runs or other ends of the axes: lines that are new or gone, the legend, the limits."""
        for name in [name for name in self.lines if name not in data.runs]:
            for line in self.lines.pop(name).values():
                self._live.remove(line)
                line.remove()
        for name in data.runs:
            if name not in self.lines:
                self.lines[name] = {side: self.live(_line(axes, name)) for side, axes in self.sides.items()}
        _legend(
            self.strip, {name: name if name == present else _with_rate(name, run) for name, run in data.runs.items()}
        )
        for side, axes in self.sides.items():
            axes.set(xlim=data.steps, ylim=data.spans[side])

    def alt(self, data):
        return _said(data, rates=True)


def _moved(points):
    if not len(points):
        return "not measured"
    gaps = int((~np.isfinite(points[:, 1])).sum())
    return f"{points[0, 1]:.3f} to {points[-1, 1]:.3f}" + (f" ({gaps} values not finite)" if gaps else "")


def _said(data, rates):
    parts = []
    for name, run in data.runs.items():
        rate = f", {run.median_rate:,.0f} tokens/s" if rates and np.isfinite(run.median_rate) else ""
        parts.append(f"{name}: loss {_moved(run.loss)}, held-out cross-entropy {_moved(run.valid_ce)}{rate}")
    return (
        f"Training curves over {data.steps[1]:.0f} steps; losses in each objective's own unit, held-out cross-entropy in nats. "
        + "; ".join(parts)
        + "."
    )


draw = CurvesPicture


def _static(data, rates):
    rows = -(-len(data.runs) // 3)
    figure = pictures.new_figure(9.0, 3.1 + 0.25 * rows)
    with pictures.rc_context(pictures.STYLE):
        strip, sides = _axes(figure, 0.08 * rows)
        for side, axes in sides.items():
            for name, run in data.runs.items():
                _line(axes, name, getattr(run, side))
            axes.set(xlim=data.steps, ylim=data.spans[side])
        _legend(strip, {name: _with_rate(name, run) if rates else name for name, run in data.runs.items()})
    return figure, _said(data, rates)


def panel(histories):
    """Static curves of several runs: (figure, alt text); without tokens per second, so that it comes out alike everywhere.

    Returns (matplotlib figure, string).
    """
    return _static(compute(histories), rates=False)


class Dashboard:
    """Curves in a notebook cell that grow while models train: `show`, then for each run `start` and `on_log`, in the end `finish`.

    `steps` is where the axis of steps ends (None: as far as the runs go). `histories` holds every run's entries, by name.
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
        named("name", {**self.histories, name: []}, MOST)
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
            self._put(pictures.as_html(*_static(compute(self.histories, self.steps), rates=True)))

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
