"""`course check`: is anything given away, and do the graders accept what is right and reject what is wrong?"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from .. import build
from . import leaks, release, source

BATTERIES = build.ROOT / "tests" / "test_problem_sets.py"


def leaked():
    """Every leak in a student edition that is built for this check from the sources, and how many lines were looked for.

    Formula: none. Shape: returns a list of `leaks.Leak` and an integer. Units: none. Raises ValueError as `release.build_course`. Source: `leaks`.
    """
    notebooks = {name: source.read(path) for name, path in source.sets().items()}
    with tempfile.TemporaryDirectory() as folder:
        release.build_course(Path(folder) / "course", check=False)
        found = leaks.search(Path(folder) / "course" / "student", notebooks)
    return found, sum(len(leaks.secrets(notebook, name)) for name, notebook in notebooks.items())


def main():
    """Run both checks and print what they found; returns 0, or 1 where something is wrong.

    Formula: none. Shape: returns an integer. Units: seconds. Raises ValueError where this is not the repository. Source: this project.
    """
    if not BATTERIES.is_file():
        raise ValueError(f"{BATTERIES} is not there: run this in a copy of the repository")
    begun = time.monotonic()
    found, looked_for = leaked()
    for leak in found:
        print(leak)
    print(f"{len(found)} of {looked_for} lines of solutions and hidden tests in the student edition ({time.monotonic() - begun:.0f} s)", flush=True)
    begun = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--no-header", "-m", "", str(BATTERIES)]
    outcome = subprocess.run(command, cwd=build.ROOT, check=False)
    print(f"right and wrong answers: {'as they should be' if outcome.returncode == 0 else 'FAILED'} ({time.monotonic() - begun:.0f} s)")
    return 1 if found or outcome.returncode else 0
