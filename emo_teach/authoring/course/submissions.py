"""Find the submissions of a class, and mend each notebook until nbgrader can grade it. No student code runs here.

There is one submission for each student and problem set, and an entry for every file that cannot be graded. nbgrader
trusts the metadata of a submission: it gives full points to a test cell with the tag `skip-execution`, 0 to a notebook
whose metadata Colab dropped, and stops at a cell that was copied with its marks. So each cell is made anew here from
its type and text, and every mark is taken from the release.
"""

import contextlib
import hashlib
import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from .limits import Limits

ALLOWED = " _.,@+()'’-&#"
LONGEST_NAME = 100
SKIPPED = (".", "__MACOSX")
ARCHIVES = (".zip", ".rar", ".7z", ".gz")
STRIPPED = (
    "the notebook has lost nbgrader's marks, so its answers cannot be found (Colab and some editors drop them): "
    "copy the answers into a fresh copy of the release notebook and hand that in"
)


class Refused(Exception):
    """A submission that cannot be graded: its `status`, and a sentence that says what to do."""

    def __init__(self, status, note):
        super().__init__(f"{status}: {note}")
        self.status, self.note = status, note


@dataclass(frozen=True)
class Submission:
    """What a student handed in for a set: a file, or the reason (status and note) why there is none to grade."""

    student: str
    set: str
    path: Path | None
    status: str = ""
    note: str = ""


def collect(folder, sets):
    """A list of every `Submission` in `folder`, which holds one folder for each student.

    A set that anyone handed in appears for every student. A notebook is known by its name, `ps1.ipynb`; one with
    another name by its cells or, if these do not tell, by a set's name in its own. Copies of the same bytes count once.
    Links are not followed. Raises ValueError for a folder that is missing or empty, a student's name that a file or
    table cannot carry, and notebooks or archives that stand in no student's folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder of submissions")
    found = {student.name: _of_student(student, sets) for student in _students(folder)}
    used = {one.set for group in found.values() for one in group if one.set}
    listed = []
    for student, group in found.items():
        there = {one.set for one in group}
        missing = [_missing(folder / student, name) for name in used - there]
        listed += sorted(group + missing, key=lambda one: (one.set, str(one.path)))
    return listed


def _carries(name):
    """Whether tables, files and commands can carry a name: letters, digits, marks of any script and a few signs."""
    kinds = [unicodedata.category(character)[0] for character in name]
    inside = all(kind in "LMN" or character in ALLOWED for kind, character in zip(kinds, name, strict=True))
    return inside and kinds[0] in "LN" and len(name) <= LONGEST_NAME and name == name.strip(" .")


def _students(folder):
    students = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(SKIPPED):
            continue
        if path.is_dir() and not path.is_symlink():
            if not _carries(path.name):
                rule = f"begins with a letter or digit, has at most {LONGEST_NAME} characters, no / ; : = and no quotes"
                raise ValueError(f"student's folder {path.name!r}: a name {rule}")
            students.append(path)
        elif path.suffix in (".ipynb", ".zip", ".gz", ".tar", ".7z") or path.is_symlink():
            rule = f"{folder} holds one folder for each student, unpacked"
            raise ValueError(f"{path.name} stands in no student's folder: {rule}")
    if not students:
        raise ValueError(f"{folder} holds no student's folder")
    same = {}
    for path in students:
        if (other := same.setdefault(path.name.casefold(), path.name)) != path.name:
            why = "differ in case alone: some file systems cannot tell them apart"
            raise ValueError(f"students' folders {other!r} and {path.name!r} {why}")
    return students


def _missing(folder, name):
    """The entry of a student without a notebook of a set; a file that may be meant as one makes it a question."""
    others = [path.name for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(SKIPPED)]
    meant = [other for other in others if ".ipynb" in other.lower() or other.lower().endswith(ARCHIVES)]
    meant = [other for other in meant if not other.endswith(".ipynb")]
    if not meant:
        return Submission(folder.name, name, None, "not handed in", "no notebook for this set in the folder")
    note = f"no notebook for this set in the folder, but {', '.join(meant)}: unpack it, or give it the ending .ipynb"
    return Submission(folder.name, name, None, "unknown file", note)


def _of_student(folder, sets):
    """Submissions of one student: by set, the notebook to grade or the reason why there is none."""
    by_set, notes = {}, []
    for path in sorted(folder.rglob("*.ipynb"), key=lambda path: (len(path.parts), str(path))):
        inside = path.relative_to(folder)
        if any(part.startswith(SKIPPED) for part in inside.parts):
            continue
        if any(each.is_symlink() for each in (path, *path.parents[: len(inside.parts) - 1])) or not path.is_file():
            notes.append(f"{inside} is a link or no ordinary file: not followed")
        elif name := _set_of(path, sets):
            by_set.setdefault(name, []).append(path)
        else:
            notes.append(f"{inside} belongs to no set: {', '.join(sets)}")
    unknown = [Submission(folder.name, "", None, "unknown notebook", note) for note in notes]
    return unknown + [_one_of(folder, name, paths) for name, paths in by_set.items()]


def _set_of(path, sets):
    if path.stem in sets:
        return path.stem
    inside = []
    with contextlib.suppress(Refused, OSError):
        if path.stat().st_size <= Limits.notebook:
            inside = [name for name in which(parse(path.read_bytes())) if name in sets]
    named = [name for name in sets if re.search(rf"(?<![a-z0-9]){name}(?![a-z0-9])", path.stem.lower())]
    return inside[0] if len(inside) == 1 else named[0] if len(named) == 1 else None


def _one_of(folder, name, paths):
    """The notebook with the set's own name, or the only one; of several that differ only the student can choose."""
    exact = [path for path in paths if path.stem == name] or paths
    if len({hashlib.sha256(path.read_bytes()).digest() for path in exact}) > 1:
        listed = ", ".join(str(path.relative_to(folder)) for path in exact)
        return Submission(folder.name, name, None, "several notebooks", f"which of these is to be graded? {listed}")
    others = [str(path.relative_to(folder)) for path in paths if path not in exact]
    note = f"not looked at: {', '.join(others)}" if others else ""
    own = "" if exact[0] == folder / f"{name}.ipynb" else f"handed in as {exact[0].relative_to(folder)}"
    return Submission(folder.name, name, exact[0], "", "; ".join(filter(None, (own, note))))


def parse(content):
    """The notebook in a file's bytes as a dictionary with a list "cells" (nbformat 4); Refused where there is none."""
    if len(content) > Limits.notebook:
        note = f"the file has {len(content) >> 20} MiB: clear its outputs and hand it in again"
        raise Refused("not a notebook", note)
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as err:
        what_to_do = "download it again with Save, then hand it in again"
        raise Refused("not a notebook", f"broken JSON ({str(err)[:120]}): {what_to_do}") from None
    if isinstance(document, dict) and isinstance(document.get("worksheets"), list):  # nbformat 3, before 2015
        sheets = document["worksheets"]
        document = {"cells": [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or ()]}
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        raise Refused("not a notebook", "the file is JSON, but has no cells")
    return document


def marks(cell):
    """nbgrader's name of a cell, or None."""
    found = cell
    for key in ("metadata", "nbgrader", "grade_id"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) and found else None


def which(document):
    """The names of the sets whose cells a notebook holds."""
    return {name.rpartition("-")[0].split("-")[0] for name in map(marks, document["cells"]) if name}


def mend(document, release):
    """A clean notebook with the submission's answers and the release's marks, and a list of what was put right.

    Of a cell that is there twice the last counts, as in nbgrader. A missing test cell is put before the next cell of
    the release that is there (at the end if there is none), a missing setup cell at the beginning, a missing proof
    beside the next cell, empty. A missing answer stays away: if it stands in another cell, the tests find it. Raises
    Refused where no cell carries a mark of the release.
    """
    ours = {}
    for cell in filter(marks, release["cells"]):
        ours[marks(cell)] = _bare(cell) | {"metadata": {"nbgrader": cell["metadata"]["nbgrader"]}}
    last = {marks(cell): place for place, cell in enumerate(document["cells"])}
    if not last.keys() & ours.keys():
        if others := sorted(which(document)):
            raise Refused("another set", f"its cells are those of {', '.join(others)}")
        raise Refused("metadata stripped", STRIPPED)
    kept, notes = [], []
    for place, given in enumerate(document["cells"]):
        name, cell = marks(given), _bare(given)
        if name in ours and last[name] == place:
            original = ours[name]
            cell |= {"cell_type": original["cell_type"], "metadata": original["metadata"]}
            if not original["metadata"]["nbgrader"]["solution"]:  # locked
                if cell["source"].split() != original["source"].split():
                    notes.append(f"{name} had been changed: the original was used")
                cell["source"] = original["source"]
        elif name in ours:
            notes.append(f"{name} was there twice: the last counts")
            name = None
        kept.append((name if name in ours else None, cell))
    notes += _put_back(kept, ours)
    return _notebook([cell for _, cell in kept], release), notes


def _bare(cell):
    """Type and text of a cell, and pictures that were pasted into text; everything else goes."""
    cell = cell if isinstance(cell, dict) else {}
    kind, text = cell.get("cell_type"), cell.get("source", cell.get("input", ""))
    text = "".join(map(str, text)) if isinstance(text, list) else str(text)
    # halves of an emoji are joined, or replaced
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    made = {"cell_type": kind if kind in ("code", "raw") else "markdown", "metadata": {}, "source": text}
    if made["cell_type"] == "markdown" and isinstance(cell.get("attachments"), dict):
        made["attachments"] = cell["attachments"]
    return made


def _put_back(kept, ours):
    """Put what is missing into the list of (name, cell); returns what was done."""
    notes, following = [], None
    for name, cell in reversed(ours.items()):  # from the end, so that the next cell is there already
        here, flags = [each for each, _ in kept], cell["metadata"]["nbgrader"]
        if name not in here:
            if flags["solution"] and not flags["grade"]:
                notes.append(f"{name}, the cell of an answer, is missing")
                continue
            place = 0 if not flags["grade"] else here.index(following) if following else len(kept)
            kept.insert(place, (name, cell))
            notes.append(f"{name} was missing: put back")
        following = name
    return notes[::-1]


def _notebook(cells, release):
    """A notebook of today's format: Colab's has no ids, which are part of format 4.5."""
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
        cell.pop("attachments", None) if cell["cell_type"] != "markdown" else None
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    metadata = {"kernelspec": release["metadata"]["kernelspec"]}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
