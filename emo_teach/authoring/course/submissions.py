"""A folder of students' folders, as a list of submissions: one for each student and set, and a line for everything that is none."""

import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from . import repair

ALLOWED = " _.,@+()'’-&#"
LONGEST = 100
SKIPPED = (".", "__MACOSX")


@dataclass(frozen=True)
class Submission:
    """What a student handed in for a set: a file, or, where there is none to grade, the reason as a status and a note."""

    student: str
    set: str
    path: Path | None
    status: str = ""
    note: str = ""


def collect(folder, sets):
    """The submissions in `folder`, which has one folder for each student; every set that anyone handed in appears for each.

    A notebook is known by its name, `ps1.ipynb`; one with another name by its cells, or, if these do not tell, by the set's name in its own. Copies
    of the same bytes count once. Links are not followed.
    Returns a list of `Submission`. Raises ValueError for a folder that is missing or empty, a student's name that a
    file or table cannot carry, and notebooks or archives that stand in no student's folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder of submissions")
    students = _students(folder)
    found = {student.name: _of_student(student, sets) for student in students}
    used = {one.set for group in found.values() for one in group if one.set}
    listed = []
    for student, group in found.items():
        there = {one.set for one in group}
        missing = [_missing(folder / student, name) for name in used - there]
        listed += sorted(group + missing, key=lambda one: (one.set, str(one.path)))
    return listed


def _carries(name):
    """Whether a table, a file and a command line can carry a name: letters, digits and marks of any script, and a few signs within."""
    kinds = [unicodedata.category(character)[0] for character in name]
    inside = all(kind in "LMN" or character in ALLOWED for kind, character in zip(kinds, name, strict=True))
    return inside and kinds[0] in "LN" and len(name) <= LONGEST and name == name.strip(" .")


def _students(folder):
    students = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(SKIPPED):
            continue
        if path.is_dir() and not path.is_symlink():
            if not _carries(path.name):
                raise ValueError(
                    f"student's folder {path.name!r}: a name begins with a letter or digit, has at most 100 characters, no / ; : = and no quotes"
                )
            students.append(path)
        elif path.suffix in (".ipynb", ".zip", ".gz", ".tar", ".7z") or path.is_symlink():
            raise ValueError(
                f"{path.name} stands in no student's folder: {folder} holds one folder for each student, unpacked"
            )
    if not students:
        raise ValueError(f"{folder} holds no student's folder")
    same = {}
    for path in students:
        if (other := same.setdefault(path.name.casefold(), path.name)) != path.name:
            raise ValueError(
                f"students' folders {other!r} and {path.name!r} differ in case alone: some file systems cannot tell them apart"
            )
    return students


def _missing(folder, name):
    """No notebook of a set: a file that may have been meant as one is no 0 but a question."""
    others = [path.name for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(SKIPPED)]
    others = [other for other in others if not other.endswith(".ipynb")]
    meant = [
        other for other in others if ".ipynb" in other.lower() or other.lower().endswith((".zip", ".rar", ".7z", ".gz"))
    ]
    if meant:
        note = (
            f"no notebook for this set in the folder, but {', '.join(meant)}: unpack it, or give it the ending .ipynb"
        )
        return Submission(folder.name, name, None, "unknown file", note)
    return Submission(folder.name, name, None, "not handed in", "no notebook for this set in the folder")


def _of_student(folder, sets):
    """Submissions of one student: by set, the notebook to grade or the reason why there is none."""
    by_set, group = {}, []
    for path in sorted(folder.rglob("*.ipynb"), key=lambda path: (len(path.parts), str(path))):
        inside = path.relative_to(folder)
        if any(part.startswith(SKIPPED) for part in inside.parts):
            continue
        if any(each.is_symlink() for each in (path, *path.parents[: len(inside.parts) - 1])) or not path.is_file():
            group.append(
                Submission(
                    folder.name, "", None, "unknown notebook", f"{inside} is a link or no ordinary file: not followed"
                )
            )
        elif name := _set_of(path, sets):
            by_set.setdefault(name, []).append(path)
        else:
            group.append(
                Submission(folder.name, "", None, "unknown notebook", f"{inside} belongs to no set: {', '.join(sets)}")
            )
    return group + [_one_of(folder, name, paths) for name, paths in by_set.items()]


def _set_of(path, sets):
    if path.stem in sets:
        return path.stem
    try:
        inside = [name for name in repair.which_of(path) if name in sets]
    except (repair.Refused, OSError):
        inside = []
    named = [name for name in sets if re.search(rf"(?<![a-z0-9]){name}(?![a-z0-9])", path.stem.lower())]
    return inside[0] if len(inside) == 1 else named[0] if len(named) == 1 else None


def _one_of(folder, name, paths):
    """The notebook with the set's own name, or the only one; with several that differ nobody but the student can say."""
    exact = [path for path in paths if path.stem == name] or paths
    if len({hashlib.sha256(path.read_bytes()).digest() for path in exact}) > 1:
        listed = ", ".join(str(path.relative_to(folder)) for path in exact)
        return Submission(folder.name, name, None, "several notebooks", f"which of these is to be graded? {listed}")
    others = [str(path.relative_to(folder)) for path in paths if path not in exact]
    note = f"not looked at: {', '.join(others)}" if others else ""
    own = "" if exact[0] == folder / f"{name}.ipynb" else f"handed in as {exact[0].relative_to(folder)}"
    return Submission(folder.name, name, exact[0], "", "; ".join(filter(None, (own, note))))
