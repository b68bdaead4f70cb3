"""The README's ways to start, read from the README and tried as a stranger would, each in a fresh copy of the project.

`.ci/run uv` starts JupyterLab by each of the two lines; it needs uv and Chromium on the PATH. `.ci/run no_torch` runs
the lessons that need no torch in an environment without it, whose Python EMO_TEACH_LIGHT_PYTHON names.
"""

import ast
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys

import pytest

from emo_teach.authoring import build
from tests import browser
from tests.lessons import SOURCES, run_solved
from tests.test_setup import README

IGNORED = [line.strip("/") for line in (build.ROOT / ".gitignore").read_text(encoding="utf-8").split()]
LIGHT = [name for name in SOURCES if name[:2] in ("00", "01", "02", "03", "04", "05")]


@contextlib.contextmanager
def started(line, folder):
    """A `browser.Lab` that a line of the README starts in `folder`, for a reader who has never opened JupyterLab."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    names = ("CONFIG_DIR", "RUNTIME_DIR", "DATA_DIR")
    env = os.environ | {f"JUPYTER_{name}": str(folder / ".home" / name) for name in names}
    env |= {"UV_CACHE_DIR": str(folder / ".home" / "uv"), "IPYTHONDIR": str(folder / ".home" / "ipython")}
    env.pop("PYTHONPATH", None)
    line += f" --no-browser --allow-root --ip=127.0.0.1 --port={port} --ServerApp.port_retries=0"
    line += f" --IdentityProvider.token={browser.TOKEN} --LabApp.expose_app_in_browser=True"
    with (folder / "log").open("w") as log:
        streams = {"stdout": log, "stderr": subprocess.STDOUT}
        server = subprocess.Popen(["bash", "-c", line], cwd=folder, env=env, start_new_session=True, **streams)
    try:
        running = browser.Lab(port)
        browser.wait(lambda: server.poll() is not None or running.api("status"), 500, "JupyterLab to start")
        assert server.poll() is None, (folder / "log").read_text()[-3000:]
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(60)


@pytest.mark.uv
@pytest.mark.parametrize("marker", ["uv", "lessons"])
def test_a_line_of_the_readme_opens_the_first_lesson_and_it_runs(marker, tmp_path):
    copy = tmp_path / "emo_teach-main"
    shutil.copytree(build.ROOT, copy, ignore=shutil.ignore_patterns(".git", *IGNORED))
    line = re.search(rf"<!-- {marker} -->\n```\n(.+)\n```", README)[1]
    with started(line, copy) as running, browser.tab(1280, 800) as page:
        running.open(page, "00_start_here.ipynb")
        shown = page.locator(".jp-DirListing-itemText").all_inner_texts()
        assert shown == [f"{name}.ipynb" for name in SOURCES], "nothing but lessons, in their order"
        assert page.locator(".jp-MarkdownOutput").get_by_text("Run All Cells").first.bounding_box()["y"] < 400
        cells = page.locator(".jp-Notebook .jp-Cell")
        assert cells.nth(1).bounding_box()["height"] < 60, "the bootstrap cell is folded"
        assert browser.run_all(page) == []
        page.evaluate("() => document.querySelector('.jp-WindowedPanel-outer').scrollTo(0, 0)")
        slider = cells.nth(2).locator(".noUi-target").first
        slider.wait_for(state="visible", timeout=30_000)
        assert slider.bounding_box()["y"] < 700, "on the first screen"
        assert page.locator(".Toastify__toast").count() == 0, page.locator(".Toastify__toast").all_inner_texts()


@pytest.fixture(scope="module")
def light(tmp_path_factory):
    """The environment without torch: its Python runs the lessons in place of the one that runs the tests."""
    python, place = os.environ["EMO_TEACH_LIGHT_PYTHON"], tmp_path_factory.mktemp("light")
    spec = {"argv": [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "", "language": ""}
    (place / "kernels" / "python3").mkdir(parents=True)
    (place / "kernels" / "python3" / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(place))
        patch.delenv("PYTHONPATH", raising=False)
        yield python


@pytest.mark.no_torch
def test_neither_torch_nor_transformers_is_there(light):
    names = "[bool(importlib.util.find_spec(name)) for name in ('emo_teach', 'torch', 'transformers')]"
    command = [light, "-c", f"import importlib.util; print(*{names})"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() == [
        "True",
        "False",
        "False",
    ]


@pytest.mark.no_torch
@pytest.mark.parametrize("name", LIGHT)
def test_a_lesson_needs_no_torch(name, light):
    run_solved(name)


def test_what_these_lessons_import_asks_for_no_torch():
    """A quick look at what the tier `no_torch` runs."""
    lines = ["import sys", "sys.modules['torch'] = sys.modules['transformers'] = None"]  # these cannot be imported now
    for name in LIGHT:
        nodes = ast.walk(ast.parse(SOURCES[name].read_text(encoding="utf-8")))
        lines += [ast.unparse(node) for node in nodes if isinstance(node, ast.Import | ast.ImportFrom)]
    assert len(lines) > 4 * len(LIGHT)
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=build.ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
