"""Pictures that carry their alt text, and sliders that change them within a few tens of milliseconds.

A `Picture` keeps its figure. What never changes (axes, ticks, titles) is drawn once, as a background; a slider redraws
only the live artists over it. The page gets an HTML `<img>` with alt text, for every front end and screen reader.
"""

import html
import io
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context

from .. import inputs
from ..pictures import STYLE, TRUTH, as_image, new_figure

LABEL = {"description_width": "185px"}


class Picture:
    """A figure that is kept and updated. A subclass defines `size` (inches) and three methods:

    `build()` makes the axes on `self.figure` and registers what moves by `self.live(artist)`, `live_line`, `live_bars`
    and `live_text`; `update(data)` sets the artists' values, and calls `self.stale()` when it changed something else
    (limits, ticks, titles), which costs a full redraw; `alt(data)` returns in words what the picture shows, values
    included.
    """

    size = (7.6, 3.4)

    def __init__(self, data):
        self.figure = new_figure(*self.size)
        self._live, self._background = [], None
        with rc_context(STYLE):
            self.data = data
            self.build()
            self.update(data)

    def live(self, artist):
        """Register an artist that changes with the data, and return it. The layout of the figure ignores it."""
        artist.set_animated(True)
        artist.set_in_layout(False)
        self._live.append(artist)
        return artist

    def live_line(self, axes, *style, **look):
        """A live line without points yet."""
        return self.live(axes.plot([], [], *style, **look)[0])

    def live_bars(self, draw, places, thickness, **look):
        """Live bars of length 0; `draw` is an axes' `bar` or `barh`."""
        return [self.live(bar) for bar in draw(places, np.zeros(len(places)), thickness, **look)]

    def live_text(self, axes, x=0, y=0, **look):
        """A live text without words yet."""
        return self.live(axes.text(x, y, "", **look))

    def stale(self):
        """Redraw the background at the next render."""
        self._background = None

    def title(self, axes, words):
        """Set a title that belongs to the background."""
        if words != axes.get_title(loc="left"):
            axes.set_title(words)
            self.stale()

    def set(self, data):
        """Bring the picture to new data; returns itself."""
        with rc_context(STYLE):
            self.data = data
            self.update(data)
        return self

    def pixels(self):
        """Draw; returns the RGBA buffer, shape (height, width, 4), uint8."""
        canvas = self.figure.canvas
        with rc_context(STYLE):
            shown = [artist for artist in self._live if artist.get_visible()]
            if self._background is None:
                for artist in shown:  # matplotlib skips animated artists, but not images, whose soft edges would double
                    artist.set_visible(False)
                canvas.draw()
                self.figure.set_layout_engine("none")  # the layout of the first drawing stays, so that nothing jumps
                self._background = canvas.copy_from_bbox(self.figure.bbox)
                for artist in shown:
                    artist.set_visible(True)
            canvas.restore_region(self._background)
            for artist in shown:
                self.figure.draw_artist(artist)
        return np.asarray(canvas.buffer_rgba())

    def to_html(self):
        """The picture as an HTML `<img>` whose alt text states the values shown."""
        from PIL import Image

        pixels, buffer = self.pixels(), io.BytesIO()
        Image.fromarray(pixels).convert("RGB").save(buffer, format="PNG", compress_level=1)
        return as_image(buffer.getvalue(), self.alt(self.data), pixels.shape[1])

    def _repr_html_(self):
        return self.to_html()


@dataclass(frozen=True)
class Slider:
    """A number the reader moves: name of the setting, label shown, start, range and step."""

    name: str
    label: str
    value: float
    low: float
    high: float
    step: float

    def samples(self, k=5):
        """`k` settings across the range, both ends included."""
        steps = round((self.high - self.low) / self.step)
        return [self.low + self.step * round(i) for i in np.linspace(0, steps, k)]

    def check(self, value):
        """ValueError when the slider cannot stand at `value`."""
        inputs.number(self.name, value, low=self.low, high=self.high)


@dataclass(frozen=True)
class Choice:
    """A choice among a few options; `value` is the one at the start."""

    name: str
    label: str
    value: object
    options: tuple

    def samples(self, k=None):
        """Every option."""
        return self.options

    def check(self, value):
        """ValueError when `value` is none of the options."""
        if not isinstance(value, Hashable) or value not in self.options:  # an array would be compared entry by entry
            raise ValueError(f"{self.name} = {value!r} is none of {', '.join(map(str, self.options))}")


def _slider_widgets(control, value):
    """Number box and slider, tied together. The box has the label: screen readers cannot name a slider's handle."""
    from ipywidgets import BoundedFloatText, FloatSlider, HBox, Layout
    from traitlets import link

    shared = {"value": value, "min": control.low, "max": control.high, "step": control.step}
    box = BoundedFloatText(description=control.label, style=LABEL, layout=Layout(width="265px"), **shared)
    slider = FloatSlider(readout=False, layout=Layout(width="165px"), **shared)
    # the slider steps up from its lowest value and gathers rounding: without this the box would read -1.99999
    link((slider, "value"), (box, "value"), transform=(lambda value: round(value, 6), lambda value: value))
    return slider, HBox([box, slider])


def _choice_widgets(control, value):
    from ipywidgets import Dropdown, HBox, Layout

    look = {"description": control.label, "style": LABEL, "layout": Layout(width="434px")}
    menu = Dropdown(options=list(control.options), value=value, **look)
    return menu, HBox([menu])


def settings_for(controls, given):
    """Each control's name -> its value at the start, or the one in `given`; ValueError for one that it cannot take."""
    known = {control.name: control for control in controls}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{name!r} is not a setting here; there are {', '.join(known)}")
        known[name].check(value)
    return {name: given.get(name, control.value) for name, control in known.items()}


def tie(compute, draw, controls, given):
    """The widget, an ipywidgets `VBox`: controls above one picture that follows them at once.

    `compute(**settings)` gives data, `draw(data)` a `Picture`, which is kept and updated. When `compute` raises
    ValueError for some settings, the message stands in place of the picture; at the start, it is raised.
    """
    from ipywidgets import HTML, Box, Layout, VBox

    settings = settings_for(controls, given)
    picture = draw(compute(**settings))
    page = HTML(value=picture.to_html())

    def follow(change, name):
        settings[name] = change["new"]
        try:
            page.value = picture.set(compute(**settings)).to_html()
        except ValueError as err:
            page.value = f"<p role='alert'>{html.escape(str(err))}</p>"

    rows = []
    for control in controls:
        make = _slider_widgets if isinstance(control, Slider) else _choice_widgets
        source, row = make(control, settings[control.name])
        source.observe(lambda change, name=control.name: follow(change, name), names="value")
        rows.append(row)
    return VBox([Box(rows, layout=Layout(flex_flow="row wrap", display="flex")), page])


def explorer(compute, draw, controls):
    """The function that a lesson calls: `tie` with an explorer's own layers, and any control's start given by name."""

    def widget(**settings):
        return tie(compute, draw, controls, settings)

    names = ", ".join(f"{c.name} ({c.label}) = {c.value!r}" for c in controls)
    widget.__doc__ = f"The widget. Settings, by name: {names}."
    return widget


def named(argument, given, limit):
    """A dictionary of 1 to `limit` things by name, none called "truth"; ValueError for anything else."""
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and name.strip() for name in given):
        raise ValueError(f"{argument} must be a dictionary, name -> value, got {type(given).__name__}")
    if not 1 <= len(given) <= limit:
        raise ValueError(f"{argument} holds {len(given)} entries: 1 to {limit} can be shown")
    if TRUTH in given:
        raise ValueError(f"{argument}: {TRUTH!r} is the name of the world's own distribution")
    return dict(given)
