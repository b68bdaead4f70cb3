"""How long from a key press to the changed picture, in a real browser: `python -m emo_teach.authoring.latency [EXPLORER ...]`.

Each explorer is measured beside the usual way, `interactive_output` with `plt.show()` of the same picture, moves interleaved, in one run. What counts
is the time from the key event until the new picture is decoded and a frame is due.
"""

import statistics
import sys
import tempfile
from pathlib import Path

from . import browser, build

EXPLORERS = (
    "lesson00_first_look",
    "lesson01_ce_kl",
    "lesson02_divergence",
    "lesson03_transport",
    "lesson04_soft_label",
    "lesson05_cost_matrix",
    "lesson06_objectives",
    "lesson07_samples",
    "lesson07_frontier",
    "lesson08_silence",
    "lesson09_resting",
)
MOVES = 25
USUAL = """\
import matplotlib.pyplot as plt
from ipywidgets import FloatSlider, VBox, fixed, interactive_output
from unittest import mock
from emo_teach.explorers import widget, {name} as found
from emo_teach import pictures
module = found.demo() if hasattr(found, "demo") else found

def usual(**settings):
    pyplot_figure = lambda width=7.6, height=3.4: plt.figure(figsize=(width, height), dpi=pictures.DENSITY, layout="constrained")
    with mock.patch.object(widget, "new_figure", pyplot_figure):
        picture = module.draw(module.compute(**settings))
    for artist in picture._live:
        artist.set_animated(False)
    plt.show()

moved = next(c for c in module.CONTROLS if isinstance(c, widget.Slider))
slider = FloatSlider(value=moved.value, min=moved.low, max=moved.high, step=moved.step)
others = {{c.name: fixed(c.value) for c in module.CONTROLS if c is not moved}}
VBox([slider, interactive_output(usual, {{moved.name: slider, **others}})])"""
OURS = "from emo_teach.explorers import {name} as found\n(found.demo() if hasattr(found, 'demo') else found).explorer()"
# Resolves with the milliseconds from the next key press to the next new picture inside the cell's output.
WATCH = """(cell) => {
    const output = document.querySelectorAll('.jp-CodeCell')[cell].querySelector('.jp-Cell-outputArea');
    const source = () => output.querySelector('img')?.src;
    const old = source();
    window.measured = new Promise((resolve, reject) => {
        let pressed = null;
        addEventListener('keydown', (event) => { pressed = event.timeStamp; }, {capture: true, once: true});
        const watcher = new MutationObserver(async () => {
            if (pressed === null || !source() || source() === old) return;
            watcher.disconnect();
            await output.querySelector('img').decode();
            requestAnimationFrame(() => resolve(performance.now() - pressed));
        });
        watcher.observe(output, {subtree: true, childList: true, attributes: true});
        setTimeout(() => reject(new Error('the picture did not change within 10 s')), 10000);
    });
}"""


def _notebook(name):
    """Two code cells: ours, and the usual way."""
    import nbformat

    cells = [nbformat.v4.new_code_cell(code.format(name=name)) for code in (OURS, USUAL)]
    return nbformat.v4.new_notebook(cells=cells, metadata=build.METADATA)


def _press(page, cell, key):
    """Milliseconds from one key press on the cell's first slider to its changed picture."""
    page.evaluate(WATCH, cell)
    page.locator(".jp-CodeCell").nth(cell).locator(".noUi-handle").first.focus()
    page.keyboard.press(key)
    return page.evaluate("() => window.measured")


def measure(page, server, name):
    """(our times, usual times, picture's width in CSS pixels) for one explorer; times in ms, the first move of each left out.

    Raises RuntimeError when a cell fails, Playwright's Error when a picture does not come or does not change.
    """
    browser.open_notebook(page, server, f"{name}.ipynb")
    problems = browser.errors(browser.run_all(page))
    if problems:
        raise RuntimeError(f"{name}: {problems}")
    page.wait_for_function(
        "() => [...document.querySelectorAll('.jp-CodeCell')].every(c => c.querySelector('.jp-Cell-outputArea img'))",
        timeout=60_000,
    )
    page.wait_for_timeout(1000)
    width = page.locator(".jp-CodeCell").first.locator(".jupyter-widgets img").first.bounding_box()["width"]
    times = ([], [])
    for move in range(MOVES + 1):
        for cell in (0, 1):
            times[cell].append(_press(page, cell, "ArrowRight" if move % 2 == 0 else "ArrowLeft"))
            page.wait_for_timeout(150)
    return times[0][1:], times[1][1:], width


def _quantiles(times):
    return statistics.median(times), statistics.quantiles(times, n=10)[8]


def main(names):
    """Print one line per explorer; returns the exit status.

    Formula: median and ninetieth percentile. Returns 0, or 2 for an unknown name.
    """
    import nbformat

    unknown = [name for name in names if name not in EXPLORERS]
    if unknown:
        print(f"no explorer named {', '.join(unknown)}; there are {', '.join(EXPLORERS)}")
        return 2
    names = names or EXPLORERS
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            nbformat.write(_notebook(name), Path(folder) / f"{name}.ipynb")
        print(f"key press to changed picture, ms, median / p90 of {MOVES} moves, interleaved\n")
        print(f"{'explorer':12} {'width':>6} {'ours':>14} {'usual way':>14} {'ratio':>6}")
        with browser.lab(folder) as server, browser.tab(width=1400) as page:
            for name in names:
                ours, usual, width = measure(page, server, name)
                (m, p), (um, up) = _quantiles(ours), _quantiles(usual)
                print(f"{name:12} {width:6.0f} {m:6.0f} / {p:5.0f} {um:6.0f} / {up:5.0f} {m / um:6.2f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
