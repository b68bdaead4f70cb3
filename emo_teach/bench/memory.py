"""Peak memory of one step, measured in a process of its own: `python -m emo_teach.bench.memory METHOD N V d TARGETS` prints it."""

import json
import subprocess
import sys
from pathlib import Path

from .rows import Case

STATUS = Path("/proc/self/status")
MIB = 2**20


def fresh_process(name, case):
    """Peak extra memory of a method in a new process; a string that says why when the process did not live to tell.

    Formula: most memory in use after the inputs are made, less what was in use then; what the method keeps (cost
    embedding, gradients) is counted. Returns MiB as a float, None where the system does not tell, or a string. Raises
    OSError when no process can be started.
    """
    command = [sys.executable, "-m", __name__, name, *map(str, case)]
    ended = subprocess.run(command, capture_output=True, text=True)
    if ended.returncode == 0:
        return json.loads(ended.stdout.splitlines()[-1])
    return _why(ended)


def _why(ended):
    """Words for a process that failed."""
    if ended.returncode == -9:
        return "killed by the system, most likely for want of memory"
    last = (ended.stderr.strip().splitlines() or ["no message"])[-1]
    if "memory" in last.lower():  # MemoryError, torch's "can't allocate memory" and "CUDA out of memory"
        return f"out of memory ({last[:100]})"
    raise RuntimeError(f"the process that measures memory ended with status {ended.returncode}: {last}")


def peak(name, case):
    """Peak extra memory of one step in this process, which must be a fresh one; None where the system does not tell.

    Returns a float or None. Raises what the method raises.
    """
    from . import methods

    device = methods.device()
    _step(
        name, Case(2, 8, 4, case.targets), device
    )  # libraries load and make their buffers at first use: that is no part of the method
    weight, batch = methods.head(case, device), methods.batch(case, device, seed=1)
    before = in_use(device)
    kept = methods.ready(name, weight)
    kept(batch)()
    after = most(device)
    return None if before is None else (after - before) / MIB


def _step(name, case, device):
    from . import methods

    methods.ready(name, methods.head(case, device))(methods.batch(case, device, seed=0))()


def in_use(device):
    """Bytes in use now, from which the peak is counted.

    Returns an integer, or None where the system does not tell. Raises OSError where the kernel's report cannot be
    read.
    """
    if device.type == "cuda":
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    return _status("VmRSS") if STATUS.exists() else _maxrss()


def most(device):
    """Most bytes ever in use.

    Returns an integer, or None where the system does not tell. Raises OSError where the kernel's report cannot be
    read.
    """
    if device.type == "cuda":
        import torch

        return torch.cuda.max_memory_allocated(device)
    return _status("VmHWM") if STATUS.exists() else _maxrss()


def _status(field):
    """A field of the kernel's report on this process, in bytes. It starts anew with the program, which ru_maxrss on Linux does not."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def _maxrss():
    """Most bytes so far by the C library's account: kilobytes there, bytes on macOS; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


if __name__ == "__main__":
    method, *size, drawn = sys.argv[1:]
    print(json.dumps(peak(method, Case(*map(int, size), drawn))))
