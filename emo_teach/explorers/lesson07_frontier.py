"""Frontier explorer (lesson 07), sharpness against truth: a temperature moves until a model is as sure as another one.

The world knows the distribution of the next word, so that the divergence frontier needs no samples, features or
clusters. Averages over contexts are those of the joint distribution of context and next word, contexts equally likely.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator
from scipy.integrate import trapezoid
from scipy.special import log_softmax

from .. import inputs
from ..measure import oracle
from ..measure.mauve import EDGE, curve
from ..pictures import COLOURS, drawing, look
from ..studies.summary import NAMES
from ..world import small_models
from . import widget

MAX_MODELS, POINTS = 12, 25  # models, points of a frontier
BY_HAND, MATCHED = "by hand", "match entropy"
PATH = np.geomspace(0.4, 2.5, 49)  # temperatures of the path
RANGE = (0.02, 20.0)  # temperatures among which a matching one is looked for
NUMBERS = {key: NAMES.get(key, key) for key in ("entropy", "forward_kl", "reverse_kl", "area")}  # with their labels


class Data(NamedTuple):
    """Two models, the first at a temperature: names, the temperature of equal entropy (or None), then by "first" and
    "second" {entropy, forward_kl, reverse_kl in nats, area} and curve (27, 2); the first's KLs (49, 2) along `PATH`;
    and the control that is overruled with the value used.
    """

    names: tuple
    temperature: float
    matched: float | None
    numbers: dict
    curves: dict
    path: np.ndarray
    settings: dict


def frontiers(log_p, truth, points=POINTS):
    """`measure.mauve.divergence_frontier` of the joint distributions (n, V), (points, 2), in a tenth of its time.

    Means over contexts of `(KL(truth||r), KL(p||r))`, `r = w p + (1 - w) truth`; what w does not change is found once.
    """
    p, log_truth = np.exp(log_p), np.log(truth)
    own = (p * np.where(p > 0, log_p, 0.0)).sum(), (truth * log_truth).sum()
    mixtures = (np.log(truth + weight * (p - truth)) for weight in np.linspace(EDGE, 1 - EDGE, points))
    found = np.array([(own[1] - np.vdot(truth, mixed), own[0] - np.vdot(p, mixed)) for mixed in mixtures])
    return np.maximum(found, 0.0) / len(truth)  # rounding may leave a hair below 0


def _limits(data):
    """Ends of the plane's axes: round, and far enough for the path and both points."""
    points = np.vstack([data.path, *[[[n["forward_kl"], n["reverse_kl"]]] for n in data.numbers.values()]])
    low, high = np.maximum(points.min(0), 1e-4) / 1.15, np.maximum(points.max(0), 2e-4) * 1.15
    step = 0.25 * np.log10(2)  # limits move in steps, so that the axes are seldom drawn anew
    low, high = 10 ** (step * np.floor(np.log10(low) / step)), 10 ** (step * np.ceil(np.log10(high) / step))
    return list(zip(low, high, strict=True))


def _plane(axes):
    axes.set(xscale="log", xlabel="forward KL: what the model misses (nats)")
    axes.set(yscale="log", ylabel="reverse KL: what it makes up (nats)")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())


END_TEXT = {"textcoords": "offset points", "ha": "right", "fontsize": 9}
ENDS = ((0, (3, 5)), (-1, (-9, -3)))  # ends of the path, and where the temperature stands beside each, in points
EDGES = {"mec": "white", "mew": 0.8}  # of the models' marks


def _curve_axes(axes):
    axes.plot([0, 1, 1], [1, 1, 0], ":", color=COLOURS["cost"], lw=1)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])


class FrontierPicture(widget.Picture):
    """Above: numbers of both models. Left: both KLs and the first model's path. Right: the divergence curves."""

    size = (9.0, 4.7)

    def build(self):
        grid = self.figure.add_gridspec(2, 2, height_ratios=[0.2, 1])
        self.table = self.figure.add_subplot(grid[0, :])
        self.table.axis("off")
        self.table.set(xlim=(0, 1), ylim=(0, 1))
        self.plane, curves = (self.figure.add_subplot(grid[1, k]) for k in (0, 1))
        _plane(self.plane)
        self.plane.set(xlim=(0.01, 1), ylim=(0.01, 1), title="lower left is better; line: all T")
        _curve_axes(curves)
        curves.set(xlabel="1: misses nothing of the truth", ylabel="1: makes nothing up")
        curves.set_title("divergence curve; its area is MAUVE's")
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        ring = {"mfc": "none", "mew": 1.5, "color": COLOURS["plan"], "clip_on": False}
        self.path = self.live_line(self.plane, "-", lw=1.5)
        self.meeting = self.live_line(self.plane, "o", ms=13, **ring)
        self.dots = {key: self.live_line(self.plane, "o", ms=9, **EDGES) for key in ("second", "first")}
        self.lines = {key: self.live_line(curves, lw=lw) for key, lw in (("second", 3.2), ("first", 1.8))}
        ends = [self.plane.annotate(f"T = {PATH[k]:g}", (1, 1), place, **END_TEXT) for k, place in ENDS]
        self.ends = [self.live(text) for text in ends]
        self._build_table(ring)
        self.shown = None

    def _build_table(self, ring):
        columns, self.texts, self.keys = dict(zip(NUMBERS, (0.56, 0.7, 0.84, 0.95), strict=True)), {}, {}
        for key, x in columns.items():
            self.table.text(x, 0.85, NUMBERS[key], ha="right", va="center", fontsize=9.5)
        for y, key in ((0.48, "first"), (0.13, "second")):
            self.keys[key] = self.live(self.table.plot([0.01], [y], "o", ms=9, **EDGES)[0])
            self.texts[key, "name"] = self.live_text(self.table, 0.03, y, va="center", fontsize=10)
            for number, x in columns.items():
                self.texts[key, number] = self.live_text(self.table, x, y, ha="right", va="center", fontsize=10)
        self.table.plot([0.01], [0.85], "o", ms=11, **ring)
        self.match = self.live_text(self.table, 0.03, 0.85, va="center", fontsize=9.5)

    def update(self, data):
        shown = _limits(data)
        if shown != self.shown:
            self.shown = shown
            self.plane.set(xlim=shown[0], ylim=shown[1])
            self.stale()
        for key, name in zip(("first", "second"), data.names, strict=True):
            colour, dash, marker, _ = look(name)
            numbers = data.numbers[key]
            for mark in (self.dots[key], self.keys[key]):
                mark.set(color=colour, marker=marker, markeredgecolor="white")
            self.dots[key].set_data([numbers["forward_kl"]], [numbers["reverse_kl"]])
            self.lines[key].set(color=colour, ls=dash, data=data.curves[key].T)
            for number in NUMBERS:
                self.texts[key, number].set_text(f"{numbers[number]:.3f}")
        self.texts["first", "name"].set_text(f"{data.names[0]} at T = {data.temperature:.3f}")
        self.texts["second", "name"].set_text(f"{data.names[1]} as it is")
        self.path.set(data=data.path.T, color=look(data.names[0]).colour)
        for (k, _), text in zip(ENDS, self.ends, strict=True):
            text.xy = data.path[k]
        # a ring where the path has the second model's entropy
        self.meeting.set_visible(data.matched is not None and PATH[0] <= data.matched <= PATH[-1])
        self.match.set_text(_match(data))
        if data.matched is not None:
            place = [np.interp(np.log(data.matched), np.log(PATH), np.log(column)) for column in data.path.T]
            self.meeting.set_data(*[[value] for value in np.exp(place)])

    def alt(self, data):
        return _in_words(data)

    def numbers(self, data):
        return _rows([data])


def _match(data):
    return "Equal entropy at no T" if data.matched is None else f"Equal entropy at T = {data.matched:.3f}"


def _in_words(data):
    """The first model against the second, in both directions."""
    first, second = ([round(n[key], 3) for key in ("forward_kl", "reverse_kl")] for n in data.numbers.values())
    nearer = [name for name, a, b in zip(("forward", "reverse"), first, second, strict=True) if a < b]
    kls = ", ".join(f"{a:.3f} against {b:.3f}" for a, b in zip(first, second, strict=True))
    model = f"{data.names[0]} at T = {data.temperature:.3f}"
    return f"{model} is nearer to the truth than {data.names[1]} in {' and '.join(nearer) or 'neither'} KL: {kls}."


def _rows(shown):
    """The numbers of several settings with the same two models."""
    first, second = shown[0].names
    rows = [("model", "T", *(label.replace("\n", " ") for label in NUMBERS.values()))]
    states = [(first, f"{data.temperature:.3f}", data.numbers["first"]) for data in shown]
    for name, temperature, found in (*states, (second, "as it is", shown[0].numbers["second"])):
        rows.append((name, temperature, *(f"{found[key]:.3f}" for key in NUMBERS)))
    forward, reverse = shown[0].path.min(0)
    rows.append((f"{first}, least over all T", "", "", f"{forward:.3f}", f"{reverse:.3f}", ""))
    return [*rows, (_match(shown[0]), *[""] * 5)]


def _idle(settings):
    if settings["mode"] == BY_HAND:
        return {}
    return {"temperature": f"it gives {settings['first']} the entropy of {settings['second']}"}


class Frontier:
    """The explorer for models evaluated in the same contexts: `log_probs`, name -> (n, V); `truth` (n, V), never 0.

    The first model's temperature is moved: cross-entropy's ("ce" or "mle"), when it is there.
    """

    draw = FrontierPicture

    def __init__(self, log_probs, truth):
        self.truth = inputs.distributions("truth", truth)
        if self.truth.ndim != 2:
            raise ValueError(f"truth must be (n, V), got shape {self.truth.shape}")
        why = "the truth must be above 0 everywhere, or the reverse KL is infinite"
        inputs.refuse_where("truth", self.truth, self.truth <= 0, why)
        given = widget.named("log_probs", log_probs, MAX_MODELS)
        self.log_probs = {name: self._checked(name, log_p) for name, log_p in given.items()}
        names = tuple(self.log_probs)
        first = next((name for name in names if name in ("ce", "mle")), names[0])
        second = next((name for name in names if name.startswith("emo")), names[-1])
        self.CONTROLS = (
            widget.Choice("first", "model whose T moves", first, names),
            widget.Choice("second", "model beside it", second, names),
            widget.Slider("temperature", "temperature T", 1.0, 0.4, 2.5, 0.02),
            widget.Choice("mode", "T is set", BY_HAND, (BY_HAND, MATCHED)),
        )
        self.explorer = widget.explorer(self.compute, self.draw, self.CONTROLS, _idle)
        self._path, self._matched = lru_cache(maxsize=64)(self._path_of), lru_cache(maxsize=64)(self._matched_of)
        self._second = lru_cache(maxsize=64)(lambda name: self._measured(self.log_probs[name]))

    def _checked(self, name, log_p):
        log_p = inputs.log_distributions(f"log_probs[{name!r}]", log_p)
        if log_p.shape != self.truth.shape:
            raise ValueError(f"log_probs[{name!r}] {log_p.shape} and truth {self.truth.shape} must have the same shape")
        return inputs.finite(f"log_probs[{name!r}]", log_p)

    def _at(self, name, temperature):
        return log_softmax(self.log_probs[name] / temperature, axis=-1)

    def _divergences(self, log_p):
        return oracle.forward_kl(log_p, self.truth).mean(), oracle.reverse_kl(log_p, self.truth).mean()

    def _path_of(self, name):
        """`_divergences` at every temperature of `PATH`, (49, 2); the exponential is all that is found for each."""
        log_p, log_truth = self.log_probs[name], np.log(self.truth)
        log_p = log_p - log_p.max(-1, keepdims=True)
        own, crossed = (np.vdot(self.truth, each) for each in (log_truth, log_p))
        found = []
        for temperature in PATH:
            p = np.exp(log_p / temperature)
            total = p.sum(-1)
            p /= total[:, None]
            log_total = np.log(total).sum()
            forward = own - crossed / temperature + log_total
            found.append((forward, np.vdot(p, log_p) / temperature - log_total - np.vdot(p, log_truth)))
        return np.maximum(found, 0.0) / len(log_p)  # rounding may leave a hair below 0

    def _matched_of(self, first, second):
        entropy = oracle.mean_entropy(self.log_probs[second])
        try:
            return oracle.matched_temperature(self.log_probs[first], entropy, *RANGE, tolerance=1e-6)
        except ValueError:  # no temperature in the range gives that entropy
            return None

    def _measured(self, log_p):
        """The numbers of one model, and its divergence curve."""
        found = curve(frontiers(log_p, self.truth))
        values = oracle.mean_entropy(log_p), *self._divergences(log_p), -trapezoid(found[:, 1], found[:, 0])
        return dict(zip(NUMBERS, map(float, values), strict=True)), found

    def compute(self, first, second, temperature, mode):
        """Numbers, curves and path for one setting; ValueError when T shall match the entropy and none does."""
        for place, value in ((0, first), (1, second), (3, mode)):
            self.CONTROLS[place].check(value)
        matched = self._matched(first, second)
        if mode == MATCHED and matched is None:
            low, high = RANGE
            raise ValueError(f"no temperature of {first} from {low:g} to {high:g} gives it the entropy of {second}")
        settings = {"temperature": round(matched, 3)} if mode == MATCHED else {}
        temperature = matched if mode == MATCHED else inputs.number("temperature", temperature, low=0, open_low=True)
        both = {"first": self._measured(self._at(first, temperature)), "second": self._second(second)}
        numbers, curves = ({key: pair[k] for key, pair in both.items()} for k in (0, 1))
        return Data((first, second), temperature, matched, numbers, curves, self._path(first), settings)

    def panel(self):
        """Static small multiples: the path, and the curves at T = 1 and at equal entropy: (figure, alt, numbers)."""
        first, second = (control.value for control in self.CONTROLS[:2])
        shown = [self.compute(first, second, 1.0, BY_HAND)]
        if shown[0].matched is not None:
            shown.append(self.compute(first, second, 1.0, MATCHED))
        return _panel(shown)


def _panel(shown):
    """The plane, then a curve for each of the settings shown."""
    first, second = shown[0].names
    with drawing(9.0, 3.5) as figure:
        plane, *others = figure.subplots(1, 1 + len(shown), width_ratios=[1.15] + [1] * len(shown))
        _plane(plane)
        x, y = _limits(shown[0])
        plane.set(xlim=x, ylim=y, title="lower left is better")
        ends = f"{first}, T from {PATH[0]:g} to {PATH[-1]:g}"
        plane.plot(*shown[0].path.T, "-", lw=1.5, color=look(first).colour, label=ends)
        for k, place in ENDS:
            plane.annotate(f"T = {PATH[k]:g}", shown[0].path[k], place, **END_TEXT)
        models = [(first, data.numbers["first"], f"{first}, T = {data.temperature:.2f}") for data in shown]
        sizes = (*(9, 6)[: len(models)], 9)
        for (name, n, label), size in zip([*models, (second, shown[0].numbers["second"], second)], sizes, strict=True):
            mark = look(name).line | EDGES | {"ls": "none"}
            plane.plot(n["forward_kl"], n["reverse_kl"], ms=size, label=label, **mark)
        for axes, data in zip(others, shown, strict=True):
            _curve_axes(axes)
            axes.set(xlabel="1: misses nothing", ylabel="1: makes nothing up" if data is shown[0] else "")
            for key, name, width in (("second", second, 3.2), ("first", first, 1.8)):
                axes.plot(*data.curves[key].T, lw=width, **look(name).curve)
            areas = [data.numbers[key]["area"] for key in ("first", "second")]
            title = f"area {areas[0]:.3f}: {first} at T = {data.temperature:.2f}\narea {areas[1]:.3f}: {second}"
            axes.set_title(title, fontsize=9.5)
        figure.legend(*plane.get_legend_handles_labels(), loc="outside lower left", fontsize=9, ncols=4)
    return figure, _in_words(shown[-1]), _rows(shown)


def demo():
    """The explorer over 192 contexts of the committed small model and a sharper copy, for tests and measurements."""
    from ..measure import reading

    world, models = small_models()
    texts = world.sample(12, 33, seed=0)
    found = {name: reading.next_token_log_probs(model, texts) for name, model in models.items()}
    log_probs = {name: log_p[:, 1::2].reshape(-1, world.size) for name, log_p in found.items()}
    return Frontier(log_probs, world.next_word(texts)[:, 1::2].reshape(-1, world.size))
