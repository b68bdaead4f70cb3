"""From the problem sets' sources to a student edition (a folder and a zip) and an instructor's folder, by nbgrader.

`course check` makes an edition, looks for answers in it, and tries the graders.
"""

import hashlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ...files import need, whole_folder
from .. import build
from . import leaks, source

MANIFEST = "instructor/manifest.json"  # by which a later build knows that a folder is one of ours
MADE_BY = "emo_teach course build"
ANSWERS = build.ROOT / "tests" / "test_problem_sets.py"  # right and wrong answers to each problem
FOR_STUDENTS = ["jupyterlab", "ipykernel", "ipywidgets", "matplotlib", "numpy", "scipy", "pot", "safetensors", "torch"]
FOR_STUDENTS += ["transformers", "accelerate"]
README = """\
# Problem sets

| file | problems | points | of these graded by hand |
| --- | --- | --- | --- |
{rows}

Unpack this folder, then set up and start from inside it
(Python 3.11 or newer, once with a network; afterwards everything works offline):

    python3 -m venv .venv && .venv/bin/python -m pip install -q -r requirements.txt && .venv/bin/python -m jupyter lab \
--LabApp.app_settings_dir=.lab

(Windows: `py -m venv .venv`, then `.venv\\Scripts\\python` in place of `.venv/bin/python`.)

- Write where a cell says `raise NotImplementedError` or `YOUR ANSWER HERE`; add cells as you like.
- Before you hand in: Restart Kernel and Run All Cells. What fails then fails when it is graded.
- Hand in the notebook under the name that it has, such as `{first}.ipynb`. Do not delete, copy or move the cells that
came with it: they carry marks by which your answers are found. Changed test cells are replaced by the original ones,
and more tests of the same kind are run.
"""


def build_course(out, seed=0, names=(), check=True):
    """Build the student edition and the instructor's folder into `out`, whole or not at all; returns the manifest.

    Raises ValueError for a seed below 0, an unknown or repeated name, a folder that is neither empty nor an earlier
    course, and (unless `check` is False) for a line of a solution or hidden test that the student
    edition would contain.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed = {seed!r} must be a whole number, 0 or above")
    sets = source.sets()
    need("nbgrader", "jupytext")
    for name in names:
        if name not in sets:
            raise ValueError(f"no problem set named {name!r}; there are {', '.join(sets)}")
    if len(set(names)) < len(names):
        raise ValueError(f"a set is named twice in {' '.join(names)}")
    notebooks = {name: source.read(sets[name], seed) for name in names or sets}
    with whole_folder(out, MANIFEST, MADE_BY) as folder:
        manifest = _make(folder, seed, notebooks)
        if check and (found := leaks.search(folder / "student", notebooks)):
            raise ValueError("the student edition would give answers away: " + "; ".join(found[:5]))
    return manifest


def read_manifest(course):
    """The manifest of a built course; ValueError for a folder without one."""
    path = Path(course) / MANIFEST
    if not path.is_file():
        raise ValueError(f"{course} holds no course: python -m emo_teach course build --out {course}")
    manifest = json.loads(path.read_text(encoding="utf-8"))
    if manifest.get("made_by") != MADE_BY:
        raise ValueError(f"{path} was not made by {MADE_BY}")
    return manifest


def _digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _make(folder, seed, notebooks):
    """Fill a new folder; returns the manifest."""
    import nbformat

    instructor, student, sets = folder / "instructor", folder / "student", {}
    for name, notebook in notebooks.items():
        place = instructor / "source" / name / f"{name}.ipynb"
        place.parent.mkdir(parents=True)
        place.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        _convert(instructor, name)
        sets[name] = _described(notebook) | {"hash": _digest(place)}
    _student_folder(student, instructor, sets)
    _zip(student, folder / "student.zip")
    files = {path.relative_to(student).as_posix(): _digest(path) for path in _files(student)}
    manifest = {"made_by": MADE_BY, "seed": seed, "sets": sets, "student": files}
    manifest["zip"] = _digest(folder / "student.zip")
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return manifest


def _convert(root, name):
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
    """Run one of nbgrader's converters; the errors that it would log become the message of a ValueError."""
    from nbgrader.converters.base import NbGraderException

    log, old = logging.getLogger("emo_teach.nbgrader"), os.environ.get("PATH", "")
    log.propagate, log.handlers, errors = False, [], []
    keep = logging.Handler(logging.ERROR)
    keep.emit = lambda record: errors.append(record.getMessage().strip())
    log.addHandler(keep)
    converter.log = converter.coursedir.log = log
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{old}"
    try:
        converter.start()
    except NbGraderException:
        raise ValueError("nbgrader: " + " | ".join(text.splitlines()[-1] for text in errors if text)) from None
    finally:
        os.environ["PATH"] = old


def _described(notebook):
    """What grading needs to know of a set: its problems with their points, by nbgrader's names of the cells."""
    problems = {}
    for cell in notebook.cells:
        marks, tags = cell.metadata.get("nbgrader", {}), source.labels(cell)
        if marks.get("grade"):
            number = tags["proof" if marks["solution"] else "tests"]
            problem = {"problem": number, "points": marks["points"], "manual": marks["solution"]}
            problems[marks["grade_id"]] = problem
    points = sum(one["points"] for one in problems.values())
    by_hand = sum(one["points"] for one in problems.values() if one["manual"])
    return {"points": points, "manual_points": by_hand, "problems": problems}


def _student_folder(student, instructor, sets):
    """The release notebooks, and what lets them run there without a network or an installation of emo_teach."""
    student.mkdir()
    for name in sets:
        shutil.copyfile(instructor / "release" / name / f"{name}.ipynb", student / f"{name}.ipynb")
    for folder, left_out in (("data", ()), ("emo_teach", ("authoring", "data"))):
        ignore = shutil.ignore_patterns("__pycache__", ".*", *left_out)
        shutil.copytree(build.ROOT / folder, student / folder, ignore=ignore)
    shutil.copytree(build.LESSONS / ".lab", student / ".lab")
    shutil.copyfile(build.ROOT / "LICENSE", student / "LICENSE")
    text = (build.ROOT / "requirements.txt").read_text(encoding="utf-8")
    pins = {name.lower(): f"{name}=={version}" for name, version in re.findall(r"(?m)^([\w.-]+)==(\S+)", text)}
    (student / "requirements.txt").write_text("\n".join(pins[name] for name in FOR_STUDENTS) + "\n", encoding="utf-8")
    row = "| `{}.ipynb` | {} | {} | {} |".format
    rows = [row(name, len(one["problems"]), one["points"], one["manual_points"]) for name, one in sets.items()]
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


def leaked():
    """Every leak in a student edition that is built for this check, and how many lines were looked for."""
    notebooks = {name: source.read(path) for name, path in source.sets().items()}
    with tempfile.TemporaryDirectory() as folder:
        build_course(Path(folder) / "course", check=False)
        found = leaks.search(Path(folder) / "course" / "student", notebooks)
    return found, sum(len(leaks.secrets(notebook, name)) for name, notebook in notebooks.items())


def check():
    """Search for leaks and try all right and wrong answers, side by side; returns 0, or 1 where something is wrong."""
    build.need_clone()
    if not ANSWERS.is_file():
        raise ValueError(f"{ANSWERS} is not there: this check needs the tests of the repository")
    begun, names, cores = time.monotonic(), list(source.sets()), os.cpu_count() or 1
    shares = [share for k in range(cores) if (share := names[k::cores])]
    with ThreadPoolExecutor(len(shares)) as pool:
        tested = [pool.submit(_try_answers, share) for share in shares]
        found, looked_for = leaked()
        outcomes = [each.result() for each in tested]
    print(*found, f"{len(found)} of {looked_for} lines of solutions and hidden tests in the student edition", sep="\n")
    wrong = [outcome.stdout for outcome in outcomes if outcome.returncode]
    verdict = "FAILED" if wrong else "as they should be"
    print(*wrong, f"right and wrong answers: {verdict} ({time.monotonic() - begun:.0f} s)", sep="\n")
    return 1 if found or wrong else 0


def _try_answers(names):
    """Test the answers to some sets in a process with one thread; its `stdout` holds its errors too."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", "--no-header", "-m", ""]
    command += ["-k", " or ".join(names), str(ANSWERS)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    return subprocess.run(command, cwd=build.ROOT, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"}, **streams)
