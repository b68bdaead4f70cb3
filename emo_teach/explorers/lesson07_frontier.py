"""Frontier explorer (lesson 07): sharpness against truth. One model's temperature is moved until it is as sure of itself as another one.

In the world the laws of the next word are known, so the divergence frontier needs no samples, features or clusters. Averages over contexts are those
of the joint law of context and next word, all contexts being equally likely.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .. import inputs, pictures
from ..inputs import log_distributions
from ..measure import oracle
from ..measure.mauve import EDGE, curve
from . import widget
from .language import Explorer, log_softmax, named, small_models

MOST, POINTS = 12, 25  # models, points of a frontier
BY_HAND, MATCHED = "by hand", "match entropy"
PATH = np.geomspace(0.4, 2.5, 49)  # temperatures of the path
RANGE = (0.02, 20.0)  # temperatures among which a matching one is looked for
MAUVE_POINTS = np.linspace(EDGE, 1 - EDGE, POINTS)
NUMBERS = {"entropy": "entropy", "forward_kl": "forward KL", "reverse_kl": "reverse KL", "area": "area"}


@dataclass(frozen=True)
class Data:
    """Two models, the first at a temperature, as numbers and curves; the path of the first through all temperatures.

    `names`: of the two models; `numbers`: "first" and "second" -> {entropy, forward_kl, reverse_kl in nats, area}; `curves`: the same -> (27, 2);
    `path`: (49, 2), forward and reverse KL at the temperatures `PATH`; `matched`: the temperature of equal entropy, or None where there is none.
    """

    names: tuple
    temperature: float
    mode: str
    matched: float | None
    numbers: dict
    curves: dict
    path: np.ndarray


def frontiers(log_p, truth, points=POINTS):
    """The divergence frontier of exact laws: averages over contexts, from r = truth to r = p.

    Formula: means over contexts of `(KL(truth||r), KL(p||r))` with `r = w p + (1 - w) truth` for equally spaced w from
    1e-6 to 1 - 1e-6. Returns (points, 2). Raises ValueError for fewer than two points. Source: Pillutla et al., MAUVE
    (arXiv 2102.01454), section 2; joint laws: this project.
    """
    p, log_truth = np.exp(log_p), np.log(truth)
    own = (p * np.where(p > 0, log_p, 0.0)).sum(), (truth * log_truth).sum()
    found = np.empty((inputs.count("points", points, low=2), 2))
    for row, weight in enumerate(np.linspace(EDGE, 1 - EDGE, points)):
        mixed = np.log(truth + weight * (p - truth))
        found[row] = own[1] - np.vdot(truth, mixed), own[0] - np.vdot(p, mixed)
    return np.maximum(found, 0.0) / len(truth)  # rounding may leave a hair below 0


def _divergences(log_p, truth, log_truth):
    """Mean forward and reverse KL, as in `measure.oracle` but for laws that were checked once."""
    gap = log_truth - log_p
    return np.vdot(truth, gap) / len(truth), -np.vdot(np.exp(log_p), gap) / len(truth)


class Frontier(Explorer):
    """The explorer for models whose laws were evaluated in the same contexts.

    `log_probs`: dictionary of name -> (n, V) log-probabilities; `truth` (n, V), nowhere 0. The first model's temperature is moved: cross-entropy's
    ("ce" or "mle"), when it is there.
    """

    def __init__(self, log_probs, truth):
        self.truth = inputs.distributions("truth", truth)
        if self.truth.ndim != 2:
            raise ValueError(f"truth must be (n, V), got shape {self.truth.shape}")
        inputs.refuse_where(
            "truth", self.truth, self.truth <= 0, "the truth must be above 0 everywhere, or the reverse KL is infinite"
        )
        self.log_probs = {name: self._law(name, law) for name, law in named("log_probs", log_probs, MOST).items()}
        self.log_truth, names = np.log(self.truth), tuple(self.log_probs)
        first = next((name for name in names if name in ("ce", "mle")), names[0])
        second = next((name for name in names if name.startswith("emo")), names[-1])
        self.CONTROLS = (
            widget.Choice("first", "model whose T moves", first, names),
            widget.Choice("second", "model beside it", second, names),
            widget.Slider("temperature", "temperature T", 1.0, 0.4, 2.5, 0.02),
            widget.Choice("mode", "T is set", BY_HAND, (BY_HAND, MATCHED)),
        )
        self._path, self._second, self._matched = (
            lru_cache(maxsize=64)(f) for f in (self._path_of, self._second_of, self._matched_of)
        )

    def _law(self, name, law):
        law = log_distributions(f"log_probs[{name!r}]", law)
        if law.shape != self.truth.shape:
            raise ValueError(f"log_probs[{name!r}] {law.shape} and truth {self.truth.shape} must have the same shape")
        return inputs.finite(f"log_probs[{name!r}]", law)

    def _at(self, name, temperature):
        return log_softmax(self.log_probs[name] / temperature)

    def _path_of(self, name):
        return np.array([_divergences(self._at(name, t), self.truth, self.log_truth) for t in PATH])

    def _second_of(self, name):
        return self._measured(self.log_probs[name])

    def _matched_of(self, first, second):
        try:
            return oracle.matched_temperature(
                self.log_probs[first], oracle.mean_entropy(self.log_probs[second]), *RANGE, tolerance=1e-6
            )
        except ValueError:  # no temperature in the range gives that entropy
            return None

    def _measured(self, law):
        """The numbers of one law, and its divergence curve."""
        forward, reverse = _divergences(law, self.truth, self.log_truth)
        found = curve(frontiers(law, self.truth))
        x, y = found.T
        area = 0.5 * ((x[:-1] - x[1:]) * (y[:-1] + y[1:])).sum()
        entropy = -np.vdot(np.exp(law), law) / len(law)
        return {
            "entropy": float(entropy),
            "forward_kl": float(forward),
            "reverse_kl": float(reverse),
            "area": float(area),
        }, found

    def compute(self, first, second, temperature, mode):
        """Numbers, curves and path for one setting; ValueError when no temperature gives the second model's entropy and that is asked for."""
        for argument, name in (("first", first), ("second", second)):
            if name not in self.log_probs:
                raise ValueError(f"{argument} = {name!r} must be one of {', '.join(self.log_probs)}")
        if mode not in (BY_HAND, MATCHED):
            raise ValueError(f"mode = {mode!r} must be one of {BY_HAND}, {MATCHED}")
        matched = self._matched(first, second)
        if mode == MATCHED:
            if matched is None:
                raise ValueError(
                    f"no temperature of {first} from {RANGE[0]:g} to {RANGE[1]:g} gives it the entropy of {second}"
                )
            temperature = matched
        temperature = inputs.number("temperature", temperature, low=0, open_low=True)
        both = {"first": self._measured(self._at(first, temperature)), "second": self._second(second)}
        parts = [{key: pair[k] for key, pair in both.items()} for k in (0, 1)]
        return Data((first, second), temperature, mode, matched, *parts, self._path(first))

    def draw(self, data):
        """The picture."""
        return FrontierPicture(data)

    def panel(self):
        """Static small multiples: the plane with the path, and the curves by hand (T = 1) and at equal entropy: (figure, alt text)."""
        first, second = (control.value for control in self.CONTROLS[:2])
        shown = [self.compute(first, second, 1.0, BY_HAND)]
        if shown[0].matched is not None:
            shown.append(self.compute(first, second, 1.0, MATCHED))
        return _panel(shown)


def _limits(data):
    """Ends of the plane's axes: round, and far enough for the path and both points."""
    points = np.vstack([data.path, *[[[n["forward_kl"], n["reverse_kl"]]] for n in data.numbers.values()]])
    low, high = np.maximum(points.min(0), 1e-4) / 1.15, np.maximum(points.max(0), 2e-4) * 1.15
    step = 0.25 * np.log10(2)  # limits move in steps, so that the axes are seldom drawn anew
    return [
        (10 ** (step * np.floor(np.log10(a) / step)), 10 ** (step * np.ceil(np.log10(b) / step)))
        for a, b in zip(low, high, strict=True)
    ]


def _plane(axes):
    axes.set(
        xscale="log",
        yscale="log",
        xlabel="forward KL: what the model misses (nats)",
        ylabel="reverse KL: what it makes up (nats)",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(_ticks())
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(_none())


END_TEXT = {"textcoords": "offset points", "ha": "right", "fontsize": 9}
ENDS = ((0, (3, 5)), (-1, (-9, -3)))  # ends of the path, and where its temperature is written beside each, in points


def _ticks():
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1, 2, 5))


def _none():
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _curve_axes(axes):
    axes.plot([0, 1, 1], [1, 1, 0], ":", color=pictures.COLOURS["cost"], lw=1)
    axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    axes.set(xlabel="exp(−5 KL(truth‖r)): covers the truth", ylabel="exp(−5 KL(model‖r)): stays with it")


class FrontierPicture(widget.Picture):
    """Above: numbers of both models. Left: the plane of both KLs with the first model's path. Right: the divergence curves."""

    size = (9.0, 4.7)

    def build(self):
        grid = self.figure.add_gridspec(2, 2, height_ratios=[0.2, 1])
        self.table = self.figure.add_subplot(grid[0, :])
        self.table.axis("off")
        self.table.set(xlim=(0, 1), ylim=(0, 1))
        self.plane, self.curves = (self.figure.add_subplot(grid[1, k]) for k in (0, 1))
        _plane(self.plane)
        self.plane.set(xlim=(0.01, 1), ylim=(0.01, 1), title="lower left is better; line: all T")
        _curve_axes(self.curves)
        self.curves.set_title("divergence curve; its area is MAUVE's")
        self.figure.draw_without_rendering()
        self.figure.set_layout_engine("none")
        (self.path,) = self.plane.plot([], [], "-", lw=1.5)
        (self.meeting,) = self.plane.plot([], [], "o", ms=13, mfc="none", mew=1.5, color=pictures.COLOURS["plan"])
        self.dots = {key: self.plane.plot([], [], "o", ms=9, mec="white", mew=0.8)[0] for key in ("second", "first")}
        self.lines = {key: self.curves.plot([], [], lw=lw)[0] for key, lw in (("second", 3.2), ("first", 1.8))}
        self.ends = [self.plane.annotate(f"T = {PATH[k]:g}", (1, 1), place, **END_TEXT) for k, place in ENDS]
        for artist in (self.path, self.meeting, *self.dots.values(), *self.lines.values(), *self.ends):
            self.live(artist)
        self._build_table()
        self.shown = None

    def _build_table(self):
        columns, self.texts, self.keys = dict(zip(NUMBERS, (0.56, 0.7, 0.84, 0.95), strict=True)), {}, {}
        for key, label in NUMBERS.items():
            self.table.text(columns[key], 0.92, label, ha="right", va="center", fontsize=9.5)
        for y, key in ((0.55, "first"), (0.18, "second")):
            self.keys[key] = self.live(self.table.plot([0.01], [y], "o", ms=9, mec="white", mew=0.8)[0])
            self.texts[key, "name"] = self.live(self.table.text(0.03, y, "", va="center", fontsize=10))
            for number, x in columns.items():
                self.texts[key, number] = self.live(self.table.text(x, y, "", ha="right", va="center", fontsize=10))
        self.table.plot([0.01], [0.92], "o", ms=11, mfc="none", mew=1.5, color=pictures.COLOURS["plan"])
        self.match = self.live(self.table.text(0.03, 0.92, "", va="center", fontsize=9.5))

    def update(self, data):
        shown = _limits(data)
        if shown != self.shown:
            self.shown = shown
            self.plane.set(xlim=shown[0], ylim=shown[1])
            self.stale()
        for key, name in zip(("first", "second"), data.names, strict=True):
            look, numbers = pictures.look(name), data.numbers[key]
            for marker in (self.dots[key], self.keys[key]):
                marker.set(color=look.colour, marker=look.marker, markeredgecolor="white")
            self.dots[key].set_data([numbers["forward_kl"]], [numbers["reverse_kl"]])
            self.lines[key].set(color=look.colour, ls=look.dash)
            self.lines[key].set_data(*data.curves[key].T)
            for number in NUMBERS:
                self.texts[key, number].set_text(f"{numbers[number]:.3f}")
        self.texts["first", "name"].set_text(f"{data.names[0]} at T = {data.temperature:.3f}")
        self.texts["second", "name"].set_text(f"{data.names[1]} as it is")
        self.path.set_data(*data.path.T)
        self.path.set_color(pictures.look(data.names[0]).colour)
        for (k, _), text in zip(ENDS, self.ends, strict=True):
            text.xy = data.path[k]
        self._mark_match(data)

    def _mark_match(self, data):
        """A ring where the path has the second model's entropy."""
        self.meeting.set_visible(data.matched is not None and PATH[0] <= data.matched <= PATH[-1])
        self.match.set_text(_match(data))
        if data.matched is not None:
            place = [np.interp(np.log(data.matched), np.log(PATH), np.log(column)) for column in data.path.T]
            self.meeting.set_data(*[[value] for value in np.exp(place)])

    def alt(self, data):
        return _said(data)


def _match(data):
    return "Equal entropy at no T" if data.matched is None else f"Equal entropy at T = {data.matched:.3f}"


def _said(data):
    parts = []
    for key, name in zip(("first", "second"), data.names, strict=True):
        n = data.numbers[key]
        where = f"{name} at temperature {data.temperature:.3f}" if key == "first" else f"{name} as it is"
        parts.append(
            f"{where}: entropy {n['entropy']:.3f}, forward KL {n['forward_kl']:.3f}, reverse KL {n['reverse_kl']:.3f} nats, "
            f"area under the divergence curve {n['area']:.3f}"
        )
    best = data.path.min(0)
    return (
        f"{'. '.join(parts)}. {_match(data)}. Along its temperatures {data.names[0]} has a forward KL of {best[0]:.3f} at least and a "
        f"reverse KL of {best[1]:.3f} at least."
    )


def _panel(shown):
    """The plane, then a curve for each of the settings shown."""
    figure, (first, second) = pictures.new_figure(9.0, 3.5), shown[0].names
    looks = pictures.look(first), pictures.look(second)
    with pictures.rc_context(pictures.STYLE):
        plane, *others = figure.subplots(1, 1 + len(shown), width_ratios=[1.15] + [1] * len(shown))
        _plane(plane)
        x, y = _limits(shown[0])
        plane.set(xlim=x, ylim=y, title="lower left is better")
        plane.plot(
            *shown[0].path.T, "-", lw=1.5, color=looks[0].colour, label=f"{first}, T from {PATH[0]:g} to {PATH[-1]:g}"
        )
        for k, place in ENDS:
            plane.annotate(f"T = {PATH[k]:g}", shown[0].path[k], place, **END_TEXT)
        mark = {"mec": "white", "mew": 0.8, "ls": "none"}
        for data, size in zip(shown, (9, 6), strict=False):
            n = data.numbers["first"]
            label = f"{first}, T = {data.temperature:.2f}"
            plane.plot(
                n["forward_kl"], n["reverse_kl"], looks[0].marker, color=looks[0].colour, ms=size, label=label, **mark
            )
        n = shown[0].numbers["second"]
        plane.plot(n["forward_kl"], n["reverse_kl"], looks[1].marker, color=looks[1].colour, ms=9, label=second, **mark)
        for axes, data in zip(others, shown, strict=True):
            _curve_axes(axes)
            axes.set(xlabel="covers the truth", ylabel="stays with it" if data is shown[0] else "")
            for key, look, lw in (("second", looks[1], 3.2), ("first", looks[0], 1.8)):
                axes.plot(*data.curves[key].T, look.dash, color=look.colour, lw=lw)
            areas = [data.numbers[key]["area"] for key in ("first", "second")]
            axes.set_title(
                f"area {areas[0]:.3f}: {first} at T = {data.temperature:.2f}\narea {areas[1]:.3f}: {second}",
                fontsize=9.5,
            )
        figure.legend(*plane.get_legend_handles_labels(), loc="outside lower left", fontsize=9, ncols=4)
    return figure, " ".join(map(_said, shown))


def demo():
    """The explorer over some contexts of the committed small model and a sharper copy of it, for tests and measurements.

    Returns `Frontier`, 192 contexts. Raises ValueError where the data is missing.
    """
    from ..measure import reading

    world, models = small_models()
    texts = world.sample(12, 33, seed=0)
    taken = slice(1, None, 2)
    laws = {
        name: reading.next_token_log_probs(model, texts)[:, taken].reshape(-1, world.size)
        for name, model in models.items()
    }
    return Frontier(laws, world.next_word(texts)[:, taken].reshape(-1, world.size))
