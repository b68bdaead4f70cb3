"""`course check`: is anything given away, and do the graders accept what is right and reject what is wrong?"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import build
from . import leaks, release, source

BATTERIES = build.ROOT / "tests" / "test_problem_sets.py"


def leaked():
    """Every leak in a student edition that is built for this check from the sources, and how many lines were looked for.

    Returns a list of `leaks.Leak` and an integer. Raises ValueError as `release.build_course`.
    """
    notebooks = {name: source.read(path) for name, path in source.sets().items()}
    with tempfile.TemporaryDirectory() as folder:
        release.build_course(Path(folder) / "course", check=False)
        found = leaks.search(Path(folder) / "course" / "student", notebooks)
    return found, sum(len(leaks.secrets(notebook, name)) for name, notebook in notebooks.items())


def main():
    """Run both checks side by side and print what they found; returns 0, or 1 where something is wrong.

    Raises ValueError where this is not the repository.
    """
    if not BATTERIES.is_file():
        raise ValueError(f"{BATTERIES} is not there: run this in a copy of the repository")
    begun, names, cores = time.monotonic(), list(source.sets()), os.cpu_count() or 1
    shares = [share for k in range(cores) if (share := names[k::cores])]
    with ThreadPoolExecutor(len(shares)) as pool:
        tested = [pool.submit(_answers, share) for share in shares]
        found, looked_for = leaked()
        outcomes = [each.result() for each in tested]
    for leak in found:
        print(leak)
    print(f"{len(found)} of {looked_for} lines of solutions and hidden tests in the student edition")
    wrong = [outcome.stdout for outcome in outcomes if outcome.returncode]
    print(
        *wrong,
        f"right and wrong answers: {'FAILED' if wrong else 'as they should be'} ({time.monotonic() - begun:.0f} s)",
        sep="\n",
    )
    return 1 if found or wrong else 0


def _answers(names):
    """The batteries of some sets, in a process with one thread; what it says, errors included, is in `stdout`."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-q",
        "--no-header",
        "-m",
        "",
        "-k",
        " or ".join(names),
        str(BATTERIES),
    ]
    one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command,
        cwd=build.ROOT,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=one_thread,
    )
