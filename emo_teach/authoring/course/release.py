"""From the problem sets' sources to a student edition (a folder and a zip) and an instructor's folder, by nbgrader's own converter."""

import contextlib
import hashlib
import importlib.util
import json
import logging
import os
import re
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path

from .. import build
from . import leaks, source

MANIFEST = "instructor/manifest.json"  # by which a later build knows that a folder is one of ours
MADE_BY = "emo_teach course build"
FOR_STUDENTS = [
    "jupyterlab",
    "ipykernel",
    "ipywidgets",
    "matplotlib",
    "numpy",
    "scipy",
    "pot",
    "safetensors",
    "torch",
    "transformers",
    "accelerate",
]
README = """\
# Problem sets

| file | problems | points | of these graded by hand |
| --- | --- | --- | --- |
{rows}

Unpack this folder, then set up and start from inside it (Python 3.11 or newer, once with a network; afterwards everything works offline):

    python3 -m venv .venv && .venv/bin/python -m pip install -q -r requirements.txt && .venv/bin/python -m jupyter lab

(Windows: `py -m venv .venv`, then `.venv\\Scripts\\python` in place of `.venv/bin/python`.)

- Write where a cell says `raise NotImplementedError` or `YOUR ANSWER HERE`; add cells as you like.
- Before you hand in: Restart Kernel and Run All Cells. What fails then fails when it is graded.
- Hand in the notebook under the name that it has, such as `{first}.ipynb`. Do not delete, copy or move the cells that came with it: they carry
marks by which your answers are found. Changed test cells are replaced by the original ones, and more tests of the same kind are run.
"""


def build_course(out, seed=0, names=(), check=True):
    """Build the student edition and the instructor's folder into `out`; returns the manifest.

    Everything is made beside `out` and renamed into place at the end, so that an interrupted build leaves what was there. A folder that is neither
    empty nor an earlier course is refused.
    Raises ValueError for a seed below 0, an unknown or repeated name, a folder that is not ours, a missing nbgrader,
    and (unless `check` is False) for a line of a solution or hidden test that the student edition would contain.
    """
    need_nbgrader()
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed = {seed!r} must be a whole number, 0 or above")
    chosen, out = _chosen(names), Path(out)
    refuse_foreign(out, MANIFEST, MADE_BY)
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        manifest = _make(beside, seed, chosen)
        found = (
            leaks.search(beside / "student", {name: source.read(path, seed) for name, path in chosen.items()})
            if check
            else []
        )
        if found:
            raise ValueError("the student edition would give answers away: " + "; ".join(map(str, found[:5])))
        _into_place(beside, out)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return manifest


def need_nbgrader():
    """Raise ValueError with the command that installs nbgrader, where it is missing.

    Raises ValueError.
    """
    if importlib.util.find_spec("nbgrader") is None or importlib.util.find_spec("jupytext") is None:
        raise ValueError("building and grading need nbgrader and jupytext: pip install 'emo_teach[course]'")


def refuse_foreign(folder, marker, made_by):
    """Raise ValueError unless a folder is missing, empty, or holds a file `marker` that says `made_by`.

    Raises ValueError.
    """
    folder = Path(folder)
    if not os.path.lexists(folder) or (folder.is_dir() and not folder.is_symlink() and not any(folder.iterdir())):
        return
    with contextlib.suppress(OSError, ValueError, AttributeError):
        if (
            json.loads((folder / marker).read_text(encoding="utf-8")).get("made_by") == made_by
            and not folder.is_symlink()
        ):
            return
    raise ValueError(f"{folder} was not made by {made_by}: name a new folder, or move that one away")


def read_manifest(course):
    """The manifest of a built course.

    Raises ValueError for a folder without one.
    """
    path = Path(course) / MANIFEST
    if not path.is_file():
        raise ValueError(f"{course} holds no course: python -m emo_teach course build --out {course}")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("made_by") != MADE_BY:
        raise ValueError(f"{path} was not made by {MADE_BY}")
    return manifest


def digest(path):
    """The SHA-256 of a file, in hexadecimal.

    Raises OSError for a file that cannot be read.
    """
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _chosen(names):
    known = source.sets()
    for name in names:
        if name not in known:
            raise ValueError(f"no problem set named {name!r}; there are {', '.join(known)}")
    if len(set(names)) < len(names):
        raise ValueError(f"a set is named twice in {' '.join(names)}")
    return {name: known[name] for name in names} if names else known


def _make(folder, seed, chosen):
    import nbformat

    instructor, student = folder / "instructor", folder / "student"
    sets = {}
    for name, path in chosen.items():
        notebook = source.read(path, seed)
        place = instructor / "source" / name / f"{name}.ipynb"
        place.parent.mkdir(parents=True)
        place.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        convert(instructor, name)
        sets[name] = _described(notebook) | {"hash": digest(place)}
    _student_folder(student, instructor, sets)
    _zip(student, folder / "student.zip")
    files = {path.relative_to(student).as_posix(): digest(path) for path in _files(student)}
    manifest = {"made_by": MADE_BY, "seed": seed, "sets": sets, "student": files, "zip": digest(folder / "student.zip")}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def convert(root, name):
    """Run nbgrader's GenerateAssignment on `root`/source/NAME, into `root`/release/NAME and `root`/gradebook.db.

    Raises ValueError for a region that is not closed or stands in a cell of the wrong kind.
    """
    from nbgrader import preprocessors as steps
    from nbgrader.converters import GenerateAssignment
    from nbgrader.coursedir import CourseDirectory
    from traitlets.config import Config

    config = Config()
    config.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
    config.CourseDirectory.root, config.CourseDirectory.assignment_id = str(Path(root).resolve()), name
    config.GenerateAssignment.preprocessors = [
        *(steps.LockCells, steps.ClearSolutions, steps.ClearOutput, steps.CheckCellMetadata, steps.ComputeChecksums),
        *(steps.SaveCells, steps.ClearHiddenTests, steps.ComputeChecksums, steps.CheckCellMetadata),
    ]
    run_converter(GenerateAssignment(coursedir=CourseDirectory(config=config), config=config))


def run_converter(converter):
    """Run one of nbgrader's converters; what it would log as errors becomes the message of a ValueError.

    Raises ValueError where the converter fails.
    """
    from nbgrader.converters.base import NbGraderException

    log, old = logging.getLogger("emo_teach.nbgrader"), os.environ.get("PATH", "")
    log.propagate, log.handlers, said = False, [], []
    keep = logging.Handler(logging.ERROR)
    keep.emit = lambda record: said.append(record.getMessage().strip())
    log.addHandler(keep)
    converter.log = converter.coursedir.log = log
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{old}"
    try:
        converter.start()
    except NbGraderException:
        raise ValueError("nbgrader: " + " | ".join(text.splitlines()[-1] for text in said if text)) from None
    finally:
        os.environ["PATH"] = old


def _described(notebook):
    """What grading and reports need to know of a set: its problems with their points, by nbgrader's names of the cells."""
    problems = {}
    for cell in notebook.cells:
        marks, found = cell.metadata.get("nbgrader", {}), source.labels(cell)
        if marks.get("grade"):
            manual = marks["solution"]
            problems[marks["grade_id"]] = {
                "problem": found["proof" if manual else "tests"],
                "points": marks["points"],
                "manual": manual,
            }
    points = sum(one["points"] for one in problems.values())
    return {
        "points": points,
        "manual_points": sum(one["points"] for one in problems.values() if one["manual"]),
        "problems": problems,
    }


def _student_folder(student, instructor, sets):
    """The release notebooks, and what lets them run in that folder without a network or an installation of emo_teach."""
    student.mkdir()
    for name in sets:
        shutil.copyfile(instructor / "release" / name / f"{name}.ipynb", student / f"{name}.ipynb")
    for folder, leave in (("data", ()), ("emo_teach", ("authoring", "data"))):
        shutil.copytree(
            build.ROOT / folder, student / folder, ignore=shutil.ignore_patterns("__pycache__", ".*", *leave)
        )
    shutil.copyfile(build.ROOT / "LICENSE", student / "LICENSE")
    pins = {}
    for line in (build.ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines():
        if match := re.match(r"([A-Za-z0-9_.-]+)==", line):
            pins[match[1].lower()] = line.strip()
    (student / "requirements.txt").write_text("\n".join(pins[name] for name in FOR_STUDENTS) + "\n", encoding="utf-8")
    rows = [
        f"| `{name}.ipynb` | {len(one['problems'])} | {one['points']} | {one['manual_points']} |"
        for name, one in sets.items()
    ]
    (student / "README.md").write_text(README.format(rows="\n".join(rows), first=next(iter(sets))), encoding="utf-8")


def _files(folder):
    return sorted(path for path in Path(folder).rglob("*") if path.is_file())


def _zip(folder, path):
    """The same bytes for the same files: sorted, one date, one mode."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for file in _files(folder):
            entry = zipfile.ZipInfo(f"student/{file.relative_to(folder).as_posix()}", (2020, 1, 1, 0, 0, 0))
            entry.compress_type, entry.external_attr, entry.create_system = zipfile.ZIP_DEFLATED, 0o644 << 16, 3
            archive.writestr(entry, file.read_bytes(), compresslevel=9)


def _into_place(made, out):
    """Rename a finished folder over an earlier one; what was there is removed only once the new one stands."""
    os.chmod(made, 0o755)
    if not out.exists():
        os.rename(made, out)
        return
    old = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}.old."))
    os.rename(out, old / "course")
    try:
        os.rename(made, out)
    except OSError:
        os.rename(old / "course", out)
        raise
    shutil.rmtree(old)
