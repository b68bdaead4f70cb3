"""A real JupyterLab in a real Chromium, driven by Playwright."""

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
SETTINGS = {  # every cell is in the page, so that what is tested is all there
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none", "autoStartDefaultKernel": True},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/docmanager-extension/plugin": {"autosave": False},
    "@jupyterlab/apputils-extension/themes": {"theme": "JupyterLab Light"},
}


def wait(question, seconds, what):
    """Poll until `question()` is true; TimeoutError says what was waited for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if question():
                return
        time.sleep(0.2)
    raise TimeoutError(f"waited {seconds} s for {what}")


class Lab:
    """A running server, asked through its REST interface."""

    def __init__(self, port, folder=None):
        self.root, self.folder = f"http://127.0.0.1:{port}", folder

    def api(self, path, method="GET"):
        """JSON answer of the server's interface."""
        request = urllib.request.Request(f"{self.root}/api/{path}?token={TOKEN}", method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or "null")

    def ready(self):
        """Whether there are kernels, and all of them are idle with a front end connected."""
        kernels = self.api("kernels")
        return kernels and all(one["execution_state"] == "idle" and one["connections"] for one in kernels)

    def open(self, page, name):
        """Open a notebook in a fresh workspace and wait for its kernel."""
        for kernel in self.api("kernels"):
            self.api(f"kernels/{kernel['id']}", "DELETE")
        page.goto(f"{self.root}/lab/tree/{name}?token={TOKEN}&reset", timeout=60_000)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        wait(self.ready, 90, "an idle kernel")
        time.sleep(1)  # connected, but the front end still sets up its channels


@contextlib.contextmanager
def lab(folder):
    """Serve `folder` by JupyterLab on the loopback address, with settings of its own; yields a `Lab`."""
    with tempfile.TemporaryDirectory() as name, socket.socket() as sock:
        home = Path(name)
        for extension, values in SETTINGS.items():
            path = home / "settings" / f"{extension}.jupyterlab-settings"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(values))
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        sock.close()
        folders = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
        env = os.environ | {variable: str(home / place) for variable, place in folders.items()}
        command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", f"--port={port}"]
        command += ["--ip=127.0.0.1", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
        command += [f"--IdentityProvider.token={TOKEN}", "--LabApp.expose_app_in_browser=True"]
        command += [f"--LabApp.user_settings_dir={home / 'settings'}", f"--LabApp.workspaces_dir={home / 'workspaces'}"]
        with (home / "log").open("w") as log:
            server = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        try:
            running = Lab(port, Path(folder))
            wait(lambda: running.api("status"), 60, "JupyterLab to start")
            yield running
        finally:
            server.terminate()
            try:
                server.wait(20)
            except subprocess.TimeoutExpired:
                server.kill()


@contextlib.contextmanager
def tab(width=1280, height=900):
    """One tab of a headless Chromium; FileNotFoundError without a Chromium."""
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


def run_all(page, seconds=480):
    """Run all cells of the open notebook; returns the errors among their outputs as readable lines."""
    run = "window.jupyterapp.commands.execute('notebook:run-all-cells').then(() => { window.ran = true; })"
    page.evaluate(f"() => {{ window.ran = false; {run}; }}")
    page.wait_for_function("() => window.ran", timeout=seconds * 1000)
    notebook = page.evaluate("() => window.jupyterapp.shell.currentWidget.content.model.toJSON()")
    outputs = [(i, o) for i, cell in enumerate(notebook["cells"]) for o in cell.get("outputs", ())]
    return [f"cell {i}: {o['ename']}: {o['evalue']}" for i, o in outputs if o["output_type"] == "error"]


def run_code(page, code):
    """Run code in a new last cell of the open notebook, without waiting for its end."""
    page.evaluate(
        """async (code) => {
            const notebook = window.jupyterapp.shell.currentWidget.content;
            notebook.activeCellIndex = notebook.widgets.length - 1;
            await window.jupyterapp.commands.execute('notebook:insert-cell-below');
            await window.jupyterapp.commands.execute('notebook:change-cell-to-code');
            notebook.activeCell.model.sharedModel.setSource(code);
            window.jupyterapp.commands.execute('notebook:run-cell');
        }""",
        code,
    )
