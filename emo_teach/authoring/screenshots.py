"""Photograph lessons in a real JupyterLab: `python -m emo_teach.authoring.screenshots OUT [--width 800] [--dark] [--readme]`.

Writes each lesson's first screen and its explorer, run and answering, as PNG files. `--readme` renews the picture that the README shows.
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from . import browser, build

README_PICTURE = build.LESSONS / "images" / "cost_matrix.png"
README_LESSON = "05_cosine_cost"
HIDE_SIDEBAR = "() => window.jupyterapp.shell.collapseLeft()"


def _explorer(page):
    """The explorer's output area with its picture in place, scrolled into view."""
    page.wait_for_selector(".jupyter-widgets img", timeout=60_000)
    area = page.locator(".jp-OutputArea-output:has(.noUi-handle)").first
    area.scroll_into_view_if_needed()
    page.wait_for_timeout(700)
    return area


def photograph(page, server, name, out, suffix):
    """Open one lesson, write its first screen and (after running it) its explorer; returns the paths.

    Returns a list of one or two paths. Raises RuntimeError when a cell fails, Playwright's TimeoutError when the
    explorer does not come.
    """
    browser.open_notebook(page, server, f"{name}.ipynb")
    page.evaluate(HIDE_SIDEBAR)
    page.wait_for_timeout(1500)
    paths = [out / f"{name}-first{suffix}.png"]
    page.screenshot(path=paths[0])
    problems = browser.errors(browser.run_all(page))
    if problems:
        raise RuntimeError(f"{name}: {problems}")
    if page.locator(".noUi-handle").count():
        paths.append(out / f"{name}-explorer{suffix}.png")
        _explorer(page).screenshot(path=paths[1])
    return paths


def main(argv):
    """Photograph all lessons, or the README's picture only; returns the exit status.

    Raises SystemExit from argparse; else as `photograph`.
    """
    ask = argparse.ArgumentParser(prog="python -m emo_teach.authoring.screenshots", description=__doc__.splitlines()[0])
    ask.add_argument("out", type=Path, help="folder for the pictures")
    ask.add_argument("--width", type=int, default=1280)
    ask.add_argument("--dark", action="store_true")
    ask.add_argument("--readme", action="store_true", help="only the README's picture, which is replaced")
    chosen = ask.parse_args(argv)
    chosen.out.mkdir(parents=True, exist_ok=True)
    names = [README_LESSON] if chosen.readme else [path.stem for path in build.sources()]
    suffix = f"-{chosen.width}{'-dark' if chosen.dark else ''}"
    with tempfile.TemporaryDirectory() as folder:
        for path in build.LESSONS.glob("*.ipynb"):
            shutil.copy(path, folder)
        with browser.lab(folder, chosen.dark) as server, browser.tab(chosen.width, 1000) as page:
            for name in names:
                paths = photograph(page, server, name, chosen.out, suffix)
                print(*paths, flush=True)
    if chosen.readme:
        README_PICTURE.parent.mkdir(exist_ok=True)
        shutil.copy(paths[-1], README_PICTURE)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
