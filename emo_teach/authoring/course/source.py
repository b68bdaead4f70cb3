"""Read a problem set, `sources/assignments/NAME.py`, as a notebook with nbgrader's metadata.

The source is written with all solutions in it. Tags say what a cell is:

    bootstrap            filled in by `build.bootstrap_cell`
    setup                imports, and the line `SEED = 0`; locked
    answer:1.2           code that a student writes; `### BEGIN SOLUTION` to `### END SOLUTION` is the solution
    tests:1.2 points:4   asserts, locked; `### BEGIN HIDDEN TESTS` to `### END HIDDEN TESTS` is never handed out
    proof:1.4 points:6   text that a student writes and a person grades; the solution region holds the rubric too

Every other cell is text or code that comes along. `SEED` decides the data of a set and what its hidden tests draw.
"""

import re
from pathlib import Path

from .. import build

FOLDER = build.TEXTS / "assignments"
SEED = re.compile(r"^SEED = 0$", re.MULTILINE)
KINDS = {  # nbgrader's three switches
    "setup": {"grade": False, "solution": False, "locked": True},
    "answer": {"grade": False, "solution": True, "locked": False},
    "tests": {"grade": True, "solution": False, "locked": True},
    "proof": {"grade": True, "solution": True, "locked": False},
}


def sets():
    """Name and path of every problem set's source, in order; ValueError without a clone of the repository."""
    build.need_clone()
    return {path.stem: path for path in sorted(Path(FOLDER).glob("*.py"))}


def labels(cell):
    """The tags of a cell as a dictionary: "answer:1.2" gives {"answer": "1.2"}, "setup" gives {"setup": ""}."""
    return dict(tag.partition(":")[::2] for tag in cell.metadata.get("tags", ()))


def identity(name, kind, number):
    """nbgrader's name of a cell, such as "ps1-2-tests" for the tests of problem 1.2."""
    return f"{name}-{number.rpartition('.')[2]}-{kind}" if number else f"{name}-{kind}"


def read(path, seed=0):
    """A problem set with solutions and hidden tests as a notebook, its cells marked for nbgrader.

    Raises ValueError for a set that names a problem twice, lacks tests for an answer, gives points that are no whole
    number above 0, or has no line `SEED = 0`. Source: https://nbgrader.readthedocs.io (cell metadata, schema 3).
    """
    name, notebook, seen = Path(path).stem, build.read_source(path), []
    for cell in notebook.cells:
        found = labels(cell)
        kind = next((kind for kind in KINDS if kind in found), None)
        if kind is None:
            continue
        if kind == "setup":
            cell.source, count = SEED.subn(f"SEED = {seed}", cell.source)
            if count != 1:
                raise ValueError(f"{name}: the setup cell must have one line `SEED = 0`, it has {count}")
        marked = KINDS[kind] | {"task": False, "schema_version": 3, "grade_id": identity(name, kind, found[kind])}
        if KINDS[kind]["grade"]:
            text = found.get("points", "")
            if not text.isdigit() or int(text) == 0:
                raise ValueError(f"{name}: points = {text!r} must be a whole number above 0 ({found})")
            marked["points"] = int(text)
        seen.append((kind, found[kind]))
        cell.metadata["nbgrader"] = marked
    _complete(name, seen)
    return notebook


def _complete(name, seen):
    """ValueError unless there is one setup, no problem comes twice, and each answer has tests."""
    if twice := sorted({pair for pair in seen if seen.count(pair) > 1}):
        raise ValueError(f"{name}: {':'.join(twice[0])} is there twice")
    if ("setup", "") not in seen:
        raise ValueError(f"{name}: there is no setup cell")
    for kind, other in (("answer", "tests"), ("tests", "answer")):
        for number in (number for each, number in seen if each == kind):
            if (other, number) not in seen:
                raise ValueError(f"{name}: problem {number} has {kind}, but no {other}")
