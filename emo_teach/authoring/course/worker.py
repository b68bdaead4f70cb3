"""Run one submission in a subprocess with time and memory limits; kill its whole process tree at the end.

The tree is killed too when the grader itself dies. What the limits do: an endless loop ends, memory beyond the limit is
refused to each process, no file grows beyond a size, the code sees an empty home and few environment variables, and
processes that it leaves behind are killed. What they do not do: the code runs as the user who grades. It can read and
write that user's files and use the network; the hidden tests are in its kernel's memory and in its scratch folder, and
the result is written by a process that it could reach. So they protect from mistakes, not from malice: grade strangers'
code in a container or on a machine of its own.
"""

import contextlib
import ctypes
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from .limits import Limits

PASSED_ON = ("PATH", "LANG", "LC_ALL", "PYTHONPATH", "JUPYTER_PATH", "VIRTUAL_ENV")
PLACES = {"HOME": "home", "TMPDIR": "tmp", "IPYTHONDIR": "home/ipython", "MPLCONFIGDIR": "home/mpl"}
PLACES["JUPYTER_RUNTIME_DIR"] = "home/runtime"
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: orphans of this tree become children of this process (Linux)


def environment(root):
    """The environment of a submission's process: few variables, and home and temporary files in its scratch folder."""
    own = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "PYTHONDONTWRITEBYTECODE"), "1")
    for name, place in PLACES.items():
        own[name] = f"{root}/{place}"
        Path(own[name]).mkdir(parents=True, exist_ok=True)
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | own


def keep(job_path):
    """Run one job; returns {"ended": "ok", "time" or "parent", "left": number of processes killed at the end}."""
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    root, limits = job["root"], Limits(**job["limits"])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    memory = limits.memory * 2**20

    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
        resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file, limits.file))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    with open(Path(root) / "log.txt", "wb") as log:
        command = [sys.executable, "-m", "emo_teach.authoring.course.autograde", job_path]
        streams = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
        child = subprocess.Popen(command, env=environment(root), cwd=root, preexec_fn=limit, **streams)
        ended = _wait(child, time.monotonic() + limits.timeout + limits.grace)
    left = kill_descendants()
    well = (ended, child.returncode) == ("ok", 0)  # otherwise it is nbgrader's own kernel that was left
    return {"ended": ended, "left": left if well else 0}


def _wait(child, deadline):
    """Until the child has ended, its time is up, or the other end of our standard input is gone."""
    while child.poll() is None:
        if time.monotonic() > deadline:
            return "time"
        if select.select([sys.stdin], [], [], 0.1)[0] and not os.read(sys.stdin.fileno(), 1):
            return "parent"
    return "ok"


def kill_descendants():
    """Kill everything that descends from this process, until nothing does; returns how many there were."""
    import psutil

    me, seen, end = psutil.Process(), set(), time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        alive = [one for one in me.children(recursive=True) if one.is_running()]
        if not alive:
            break
        for one in alive:
            seen.add(one.pid)
            with contextlib.suppress(psutil.Error):
                one.send_signal(signal.SIGKILL)
        time.sleep(0.02)
    return len(seen)


if __name__ == "__main__":
    outcome = keep(sys.argv[1])
    if outcome["ended"] != "parent":
        print(json.dumps(outcome))
