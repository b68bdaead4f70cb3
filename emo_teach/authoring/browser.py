"""A real JupyterLab in a real Chromium, driven by Playwright: for the browser tests, the latency benchmark and screenshots."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

TOKEN = "lessons"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
SETTINGS = {
    # every cell is in the page, so that what is tested and photographed is all there
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
}


def _free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def _write_settings(folder, dark):
    settings = SETTINGS | {
        "@jupyterlab/apputils-extension/themes": {"theme": f"JupyterLab {'Dark' if dark else 'Light'}"}
    }
    for name, values in settings.items():
        path = folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))


def _wait(question, seconds, what):
    """Poll until `question()` is true; TimeoutError says what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if question():
                return
        time.sleep(0.2)
    raise TimeoutError(f"waited {seconds} s for {what}")


class Lab:
    """A running server: `url(name)` opens a notebook in it, `api(path)` asks its REST interface."""

    def __init__(self, port):
        self.root = f"http://127.0.0.1:{port}"

    def url(self, name):
        """Address of one notebook, in a fresh workspace."""
        return f"{self.root}/lab/tree/{name}?token={TOKEN}&reset"

    def api(self, path):
        """JSON answer of the server's interface."""
        with urllib.request.urlopen(f"{self.root}/api/{path}?token={TOKEN}", timeout=10) as answer:
            return json.load(answer)

    def wait_for_kernel(self, seconds=90):
        """Wait until exactly the kernels that there are sit idle with a front end connected."""
        _wait(
            lambda: (
                (ks := self.api("kernels")) and all(k["execution_state"] == "idle" and k["connections"] for k in ks)
            ),
            seconds,
            "an idle kernel",
        )
        time.sleep(1)  # connected, but the front end still sets up its channels


@contextlib.contextmanager
def lab(folder, dark=False):
    """Serve `folder` by JupyterLab on the loopback address, with settings of its own; yields a `Lab`.

    Raises TimeoutError when no server is up within a minute.
    """
    with tempfile.TemporaryDirectory() as name:
        home, port = Path(name), _free_port()
        _write_settings(home / "settings", dark)
        env = os.environ | {
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
            "IPYTHONDIR": str(home / "ipython"),
        }
        command = [
            sys.executable,
            "-m",
            "jupyter",
            "lab",
            "--no-browser",
            "--allow-root",
            f"--port={port}",
            "--ip=127.0.0.1",
            "--ServerApp.port_retries=0",
        ]
        command += [
            f"--ServerApp.root_dir={folder}",
            f"--IdentityProvider.token={TOKEN}",
            "--LabApp.expose_app_in_browser=True",
        ]
        command += [f"--LabApp.user_settings_dir={home / 'settings'}", f"--LabApp.workspaces_dir={home / 'workspaces'}"]
        log = (home / "log").open("w")
        server = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            running = Lab(port)
            _wait(lambda: running.api("status"), 60, "JupyterLab to start")
            yield running
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


@contextlib.contextmanager
def tab(width=1280, height=900):
    """One tab of a headless Chromium.

    Raises FileNotFoundError without a Chromium.
    """
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise FileNotFoundError("no Chromium on the PATH: install it (Debian: apt-get install chromium)")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            yield browser.new_page(viewport={"width": width, "height": height})
        finally:
            browser.close()


def open_notebook(page, server, name):
    """Open a notebook and wait for its kernel.

    Raises TimeoutError (Python's or Playwright's) when page or kernel do not come.
    """
    for kernel in server.api("kernels"):
        request = urllib.request.Request(f"{server.root}/api/kernels/{kernel['id']}?token={TOKEN}", method="DELETE")
        urllib.request.urlopen(request, timeout=20).close()
    page.goto(server.url(name), timeout=60_000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    server.wait_for_kernel()


def contents(page):
    """The open notebook's present state, as a dictionary in nbformat's shape.

    Raises Playwright's Error when no notebook is open.
    """
    return page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.toJSON()")


def run_all(page, seconds=480):
    """Run all cells and wait until the last code cell has run; returns the notebook's state.

    Raises Playwright's TimeoutError after `seconds`.
    """
    page.evaluate(
        "() => { window.ran = false; window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ran = true; }); }"
    )
    page.wait_for_function("() => window.ran", timeout=seconds * 1000)
    return contents(page)


def errors(notebook):
    """Error outputs of a notebook's state, as readable lines.

    Raises KeyError when it is no notebook.
    """
    outputs = [(i, o) for i, cell in enumerate(notebook["cells"]) for o in cell.get("outputs", ())]
    return [f"cell {i}: {o['ename']}: {o['evalue']}" for i, o in outputs if o["output_type"] == "error"]
