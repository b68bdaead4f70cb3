"""Pictures that carry their alt text, and sliders that change them within a few tens of milliseconds.

A `Picture` keeps its figure. What never changes (axes, ticks, titles) is drawn once, as a background; a slider redraws
only the live artists over it. The page gets an HTML `<img>` with alt text, for every front end and screen reader.
"""

import asyncio
import html
import io
import warnings
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib import rc_context

from .. import inputs
from ..pictures import STYLE, TRUTH, as_image, folded, new_figure, table

LABEL = {"description_width": "175px"}
BOX, TRACK = {"flex": "0 0 auto", "width": "245px"}, {"flex": "1 1 80px", "width": "auto"}
COLUMNS = "repeat(auto-fit, minmax(min(100%, 390px), 1fr))"
QUIET = 0.5  # seconds after the last move until a screen reader hears of it
SIGN = "The picture follows when the kernel is free."
# A slider's handle has no name and says rounded values. The Tab key passes over an invisible one, and what is drawn on
# it still obeys the mouse (ipywidgets 8 has `noUi`, 7 `ui-slider`): the keyboard has the number box, which is named.
CSS = """<style>
.emo-explorer { position: relative; }
.emo-explorer .noUi-handle, .emo-explorer .ui-slider-handle { visibility: hidden; }
.emo-explorer .noUi-touch-area, .emo-explorer .ui-slider-handle::before {
  visibility: visible; display: block; width: 100%; height: 100%; box-sizing: border-box; border-radius: 50%;
  content: ""; border: 1px solid dimgrey; background: white; }
.emo-explorer [disabled] .noUi-touch-area, .emo-explorer .ui-state-disabled::before { background: lightgrey; }
.emo-explorer:has(.emo-fold input:not(:checked)) .emo-numbers { display: none; }
.emo-numbers { overflow-x: auto; }
.emo-numbers th, .emo-numbers td { padding: 1px 10px; text-align: left; font-variant-numeric: tabular-nums; }
.emo-waiting, .emo-status, .emo-style {
  position: absolute; width: 1px; height: 1px; margin: 0; overflow: hidden; clip-path: inset(50%); }
.emo-sign, .emo-note { height: 0; margin: 0; overflow: visible; }
.emo-sign .widget-html-content, .emo-note .widget-html-content {
  position: absolute; z-index: 1; max-width: 90%; padding: 0 8px; color: black; background: moccasin; }
.emo-sign .widget-html-content { right: 0; visibility: hidden; }
.emo-waiting:has(.widget-html-content:not(:empty)) + .emo-sign .widget-html-content {
  visibility: visible; transition: visibility 0s 0.3s; }
.emo-note .widget-html-content:empty { display: none; }
</style>"""


class Picture:
    """A figure that is kept and updated. A subclass defines `size` (inches) and three methods:

    `build()` makes the axes on `self.figure` and registers what moves by `self.live(artist)`, `live_line`, `live_bars`
    and `live_text`; `update(data)` sets the artists' values, and calls `self.stale()` when it changed something else
    (limits, ticks, titles), which costs a full redraw; `alt(data)` says in a sentence what the picture shows. `numbers`
    has the numbers for a folded table.
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

    def alt(self, data):
        """ONE sentence, at most 150 characters: what the picture shows, with the two or three numbers that matter."""
        raise NotImplementedError

    def numbers(self, data):
        """All numbers of the picture as rows of cells, a header first; () where the alt text has them all."""
        return ()

    def to_html(self):
        """The picture with its numbers folded below, for a page without a kernel."""
        return self.to_img() + folded(self.numbers(self.data))

    def to_img(self):
        """The picture as an HTML `<img>` with its alt text."""
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

    def check(self, value, named=None):
        """ValueError when the slider cannot stand at `value`."""
        inputs.number(named or self.name, value, low=self.low, high=self.high)


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

    def check(self, value, named=None):
        """ValueError when `value` is none of the options."""
        if not isinstance(value, Hashable) or value not in self.options:  # an array would be compared entry by entry
            raise ValueError(f"{named or self.name} = {value!r} is none of {', '.join(map(str, self.options))}")


def _tip(words=""):
    """The argument that gives a widget its tooltip, in ipywidgets 7 and 8; without one its label's is "null"."""
    from ipywidgets import __version__

    return {"description_tooltip" if __version__.startswith("7.") else "tooltip": words}


def _after(seconds, function):
    """Call the function after some seconds; at once where no event loop runs. Returns the timer."""
    try:
        return asyncio.get_running_loop().call_later(seconds, function)
    except RuntimeError:
        return function()


class _Row:
    """A control in the page. The kernel reads one widget, `source`: a menu, or the number box before a slider.

    The *browser* ties box and slider, so that they agree while the kernel is busy. The slider snaps to its steps, but
    does not pass that on to the box: a number typed between two steps stays as typed.
    """

    def __init__(self, control, value):
        from ipywidgets import Dropdown, FloatSlider, FloatText, HBox, Layout, jslink

        self.control, self.slides, self.reason = control, isinstance(control, Slider), ""
        look = {"description": control.label, "style": LABEL, **_tip(control.label)}
        if self.slides:
            box = FloatText(value=value, step=control.step, continuous_update=True, layout=BOX, **look)
            shared = {"value": value, "min": control.low, "max": control.high, "step": control.step}
            slider = FloatSlider(readout=False, layout=TRACK, **shared, **_tip(control.label))
            self.moved, self.link = (box, slider), jslink((box, "value"), (slider, "value"))
        else:
            menu = Dropdown(
                options=list(control.options), value=value, layout=Layout(flex="1 1 245px", width="auto"), **look
            )
            self.moved = (menu,)
        self.source = self.moved[0]
        self.view = HBox(self.moved, layout=Layout(width="auto", flex_flow="row wrap"))

    @property
    def value(self):
        """What the control is set to: a slider's steps gather rounding, -1.99999 for -2."""
        return round(self.source.value, 9) + 0.0 if self.slides else self.source.value

    def show(self, value, reason):
        """Show the value that is used; a reason to rest disables the control and stands in its tooltip."""
        if self.value != value:
            self.source.value = value
        if reason != self.reason:
            self.reason = reason
            for part in self.moved:
                part.disabled = bool(reason)
                for name, words in _tip(f"{self.control.label}: {reason}" if reason else self.control.label).items():
                    setattr(part, name, words)


def settings_for(controls, given):
    """Each control's name -> its value at the start, or the one in `given`; ValueError for one that it cannot take."""
    known = {control.name: control for control in controls}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{name!r} is not a setting here; there are {', '.join(known)}")
        known[name].check(value)
    return {name: given.get(name, control.value) for name, control in known.items()}


def all_active(settings):
    """What `idle` says where every control has an effect: none rests."""
    return {}


def tie(compute, draw, controls, given, idle=all_active):
    """The widget, an ipywidgets `VBox`: controls above one picture that follows them at once.

    `compute(**settings)` gives data, `draw(data)` a `Picture`, which is kept and updated. Where settings give a
    ValueError, its message stands above the picture, which stays as it was; at the start, it is raised.
    `idle(settings)` names the controls without effect under these settings, name -> reason: they are disabled. A
    control whose value is overruled shows the one that is used, where the data have it: `data.settings[name]`.
    """
    return _Tied(compute, draw, controls, given, idle).view


class _Tied:
    """What stands in the page, and how it follows the controls."""

    def __init__(self, compute, draw, controls, given, idle):
        self.compute, self.idle = compute, idle
        self.settings = settings_for(controls, given)
        self.picture = draw(compute(**self.settings))
        self.rows = [_Row(control, self.settings[control.name]) for control in controls]
        self.timer, self.showing = None, False
        self._build()
        self._show()
        for row in self.rows:
            row.source.observe(lambda change, row=row: self._follow(row), names="value")

    def _build(self):
        from ipywidgets import HTML, Box, Checkbox, Layout, VBox, jsdlink
        from traitlets import CUnicode

        def part(name, value=""):
            html = HTML(value, **_tip())
            html.add_class(f"emo-{name}")
            return html

        self.page, self.note, self.table, self.status = map(part, ("page", "note", "numbers", "status"))
        self._say("")
        # The browser writes here what is set, the kernel wipes it out: what stands here is not in the picture yet.
        waiting = part("waiting")
        with warnings.catch_warnings():  # ipywidgets 7.7.1, which Colab has, asks traitlets in a deprecated way
            warnings.simplefilter("ignore", DeprecationWarning)
            waiting.add_traits(value=CUnicode().tag(sync=True))
        # The move itself comes just after: wiped out at once, the sign would go before the picture has followed.
        waiting.observe(lambda change: _after(0.1, lambda: waiting.set_trait("value", "")), names="value")
        moves = [(row.source, "value" if row.slides else "index") for row in self.rows]
        self.links = [jsdlink(move, (waiting, "value")) for move in moves]
        controls = Box([row.view for row in self.rows], layout=Layout(display="grid", grid_template_columns=COLUMNS))
        fold = Checkbox(description="Show the numbers", indent=False, layout={"width": "auto"}, **_tip())
        fold.add_class("emo-fold")
        parts = [controls, waiting, part("sign", SIGN), self.note, self.page]
        numbers = [fold, self.table] if self.picture.numbers(self.picture.data) else []
        self.view = VBox([part("style", CSS), *parts, *numbers, self.status])
        self.view.add_class("emo-explorer")

    def _follow(self, row):
        """Bring the picture to what the reader has set."""
        if self.showing:
            return
        self.settings[row.control.name] = row.value
        try:
            for each in self.rows:
                each.control.check(self.settings[each.control.name], each.control.label)
            self.picture.set(self.compute(**self.settings))
            self._show()
        except ValueError as err:
            self._note(f"{err}. The picture stays as it was.")
        self._later()

    def _show(self):
        data = self.picture.data
        self.page.value, self.table.value = self.picture.to_img(), table(self.picture.numbers(data))
        self._note("")
        rest, used = self.idle(self.settings), getattr(data, "settings", {})
        self.showing = True
        for row in self.rows:
            name = row.control.name
            if row.reason or name in rest or name in used:
                row.show(used.get(name, self.settings[name]), rest.get(name, ""))
        self.showing = False

    def _note(self, words):
        self.note.value = html.escape(words)

    def _say(self, words):
        self.status.value = f'<div role="status" aria-live="polite">{words}</div>'

    def _later(self):
        """Some time after the last move, say what is seen."""
        if self.timer:
            self.timer.cancel()
        self.timer = _after(QUIET, self._settle)

    def _settle(self):
        self._say(self.note.value or html.escape(self.picture.alt(self.picture.data)))
        self.showing = True
        for row in self.rows:
            if row.source.value != row.value:  # rounding
                row.source.value = row.value
        self.showing = False


def explorer(compute, draw, controls, idle=all_active):
    """The function that a lesson calls: `tie` with an explorer's own layers, and any control's start given by name."""

    def widget(**settings):
        return tie(compute, draw, controls, settings, idle)

    names = ", ".join(f"{c.name} ({c.label}) = {c.value!r}" for c in controls)
    widget.idle = idle
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
