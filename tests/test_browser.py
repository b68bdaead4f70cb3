"""Lessons in a real JupyterLab and Chromium: they run, sliders obey keyboard and mouse, axe-core finds nothing new."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from emo_teach.authoring import build
from tests import browser
from tests.lessons import LESSONS

pytestmark = pytest.mark.browser
EXCEPTIONS = Path(__file__).parent / "axe_exceptions.json"
AXE_VERSION = "4.14.1"
# The only image of a lesson whose source is replaced; static ones stand in .jp-RenderedHTMLCommon outputs of their own.
PICTURE = ".jupyter-widgets img"
EXPLORER = ".emo-explorer"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """JupyterLab on a copy of the lessons, so that nothing a browser does reaches the committed ones."""
    copy = tmp_path_factory.mktemp("lessons")
    for path in build.LESSONS.glob("*.ipynb"):
        shutil.copy(path, copy)
    with browser.lab(copy) as running:
        yield running


@pytest.fixture(scope="module")
def page():
    with browser.tab() as opened:
        yield opened


@pytest.fixture(scope="module")
def axe(tmp_path_factory):
    """The text of axe-core, from npm."""
    home = tmp_path_factory.mktemp("axe")
    command = [
        "npm",
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--prefix",
        str(home),
        f"axe-core@{AXE_VERSION}",
    ]
    subprocess.run(command, check=True, timeout=300)
    return (home / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found():
    """Accessibility findings of all lessons together, so that an exception that no lesson needs any more shows."""
    return {"used": set(), "visited": set()}


def picture(page):
    """Source and alt text of the explorer's picture."""
    image = page.locator(PICTURE).first
    return image.get_attribute("src"), image.get_attribute("alt")


def move_by_key(page):
    """Press an arrow key in the first number box."""
    page.locator(f"{EXPLORER} input[type=number]:enabled").first.focus()
    page.keyboard.press("ArrowUp")


def move_by_mouse(page):
    """Drag the first slider by a third of its track."""
    track, handle = (page.locator(f"{EXPLORER} .noUi-{part}").first for part in ("target", "touch-area"))
    track.scroll_into_view_if_needed()
    box, track = handle.bounding_box(), track.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    to = track["x"] + track["width"] * (0.2 if x > track["x"] + track["width"] / 2 else 0.8)
    page.mouse.move(to, y, steps=8)
    page.mouse.up()


FIND = """async (exceptions) => {
    const result = await axe.run('.jp-Notebook', {resultTypes: ['violations']});
    const serious = result.violations.filter(v => ['serious', 'critical'].includes(v.impact));
    return serious.flatMap(v => v.nodes.map(node => {
        const element = document.querySelector(node.target[0]);
        const known = exceptions.findIndex(e => e.rule === v.id && element.matches(e.selector));
        return {known, rule: v.id, help: v.help, html: node.html.slice(0, 300)};
    }));
}"""


def look(page, axe, found):
    """Let axe-core look at the open notebook: what it finds beyond the exceptions fails."""
    page.mouse.move(1, 1)  # what the mouse hovers over shows buttons of its own
    page.evaluate(axe)
    findings = page.evaluate(FIND, json.loads(EXCEPTIONS.read_text(encoding="utf-8")))
    found["used"].update(finding["known"] for finding in findings if finding["known"] >= 0)
    assert [finding for finding in findings if finding["known"] < 0] == []


@pytest.mark.parametrize("name", [*LESSONS, "appendix_derivations"])
def test_lesson_runs_answers_and_is_accessible(name, server, page, axe, found):
    server.open(page, f"{name}.ipynb")
    assert browser.run_all(page) == []
    if name in LESSONS:
        page.wait_for_selector(PICTURE, timeout=30_000)
        assert "Error displaying widget" not in page.inner_text(".jp-Notebook")
        for move in (move_by_key, move_by_mouse):
            before = picture(page)
            move(page)
            changed = f"(old) => document.querySelector('{PICTURE}')?.getAttribute('src') !== old"
            page.wait_for_function(changed, arg=before[0], timeout=15_000)
            assert picture(page)[1] not in ("", None, before[1]), "the alt text follows the picture"
        check_controls(page)
    look(page, axe, found)
    found["visited"].add(name)


FOCUSABLE = """(explorer) => [...explorer.querySelectorAll('a, button, input, select, [tabindex], [contenteditable]')]
    .filter(e => e.tabIndex >= 0 && !e.disabled && e.checkVisibility({visibilityProperty: true}))
    .map(e => e.labels?.[0]?.textContent ?? '')"""


def check_controls(page):
    """The keyboard reaches each control once and by a name, no hover says "null", one region speaks, nothing is cut."""
    for explorer in page.locator(EXPLORER).element_handles():
        names = explorer.evaluate(FOCUSABLE)
        asked = "e => e.querySelectorAll('input[type=number]:enabled, select:enabled, input[type=checkbox]').length"
        assert all(names) and len(set(names)) == len(names) == explorer.evaluate(asked), names
        assert explorer.evaluate("e => e.querySelectorAll('[title=null], [title=undefined]').length") == 0
        assert explorer.evaluate("e => e.querySelectorAll('[aria-live], [role=status], [role=alert]').length") == 1
        assert explorer.evaluate("e => e.scrollWidth <= e.clientWidth")


def test_box_and_slider_agree_while_the_kernel_is_busy_and_a_sign_says_so(server, page):
    server.open(page, "00_start_here.ipynb")
    assert browser.run_all(page) == []
    page.wait_for_selector(PICTURE, timeout=30_000)
    seen, box = picture(page), page.locator(f"{EXPLORER} input[type=number]").first
    sign, said = page.locator(f"{EXPLORER} .emo-sign .widget-html-content"), page.locator(f"{EXPLORER} [role=status]")
    sign.wait_for(state="hidden", timeout=15_000)
    assert said.text_content() == ""
    wait = "pathlib.Path('began').touch()\nwhile not pathlib.Path('end').exists(): time.sleep(0.05)"
    browser.run_code(page, f"import pathlib, time\n{wait}")
    browser.wait((server.folder / "began").exists, 30, "the cell to begin")
    box.fill("0.733")
    at = f"() => Number(document.querySelector('{EXPLORER} .noUi-handle').getAttribute('aria-valuetext'))"
    page.wait_for_function(f"{at} === 0.75", timeout=15_000)  # the slider goes to its nearest step
    sign.wait_for(state="visible", timeout=15_000)
    assert picture(page) == seen
    (server.folder / "end").touch()
    sign.wait_for(state="hidden", timeout=30_000)
    assert box.input_value() == "0.733" and "(0.134)" in picture(page)[1]
    spoken = f"(alt) => document.querySelector('{EXPLORER} [role=status]').textContent === alt"
    page.wait_for_function(spoken, arg=picture(page)[1], timeout=15_000)


def test_no_stale_exception(found):
    """Runs last: an exception that none of the lessons needs any more must go."""
    assert found["visited"] == {*LESSONS, "appendix_derivations"}, "run the whole file"
    exceptions = json.loads(EXCEPTIONS.read_text(encoding="utf-8"))
    assert all({"rule", "selector", "reason"} == set(e) and len(e["reason"]) > 20 for e in exceptions)
    assert found["used"] == set(range(len(exceptions))), [e for k, e in enumerate(exceptions) if k not in found["used"]]
