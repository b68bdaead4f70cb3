"""Grade a folder of submissions: who handed in what, each submission in a process of its own, results kept one by one.

See `worker` for what student code is kept from, and what not.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from ...files import write_whole
from . import feedback, points_by_hand, release, repair, submissions, worker

MARKER, MADE_BY = "grading.json", "emo_teach course grade"
FEWEST = {"timeout": 5, "memory": 512, "workers": 1}


def grade_course(folder, course="build/course", out="build/grades", timeout=120, memory=6144, workers=None, show=print):
    """Grade all submissions; returns the lines of the table that is written to `out`/grades.csv.

    `timeout` is the time of one notebook, of which a cell may take a quarter; `memory` limits the address space of each process. A submission whose
    bytes, whose set and whose points by hand are unchanged keeps its result, unless it ran into a limit that is another now.
    Returns a list of dictionaries (`feedback.COLUMNS`). Raises ValueError for a course, folder, name, limit or
    `points_by_hand.csv` that makes no sense, and when another grading is at work in `out`.
    """
    release.need_nbgrader()
    workers = workers or os.cpu_count() or 1
    for name, value in (("timeout", timeout), ("memory", memory), ("workers", workers)):
        if isinstance(value, bool) or not isinstance(value, int) or value < FEWEST[name]:
            raise ValueError(f"{name} = {value!r} must be a whole number, {FEWEST[name]} or above")
    course, out, folder = Path(course).resolve(), Path(out).resolve(), Path(folder).resolve()
    sets = release.read_manifest(course)["sets"]
    listed = submissions.collect(folder, list(sets))
    _apart(folder, out)
    release.refuse_foreign(out, MARKER, MADE_BY)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / MARKER, json.dumps({"made_by": MADE_BY}))
    with _alone(out):
        lines, given = points_by_hand.read(out / "manual.csv", sets)
        limits = {"timeout": timeout, "memory": memory}
        done = _all(listed, workers, _Course(course, out, sets, given, limits), show)
        lines, _ = points_by_hand.read(
            out / "manual.csv", sets
        )  # a person may have written in it while the grading went on
        points_by_hand.extend(out / "manual.csv", lines, _waiting(done, sets))
    handed = {(one.student, one.set) for one in listed}
    for student, name in given:
        if (student, name) not in handed:
            show(f"manual.csv: {student} {name} matches no submission: is the name right?", flush=True)
    return _rows(done, sets)


def _apart(folder, out):
    if out == folder or out.is_relative_to(folder) or folder.is_relative_to(out):
        raise ValueError(f"--out {out} and the submissions in {folder} must not contain one another")


@contextlib.contextmanager
def _alone(out):
    """Two gradings must not write into one folder. Scratch folders of a killed one are removed."""
    with open(out / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"another grading is at work in {out}") from None
        shutil.rmtree(out / "scratch", ignore_errors=True)
        yield
        shutil.rmtree(out / "scratch", ignore_errors=True)


@dataclass(frozen=True)
class _Course:
    """What grading one submission needs to know beside the submission."""

    folder: Path
    out: Path
    sets: dict
    given: dict
    limits: dict


def _all(listed, workers, course, show):
    """Grade in parallel; the table is written again, whole, after each. Returns [(submission, result)] in order."""
    begun, done = time.monotonic(), {}
    pool = ThreadPoolExecutor(workers)
    try:
        coming = {pool.submit(_one, submission, course): place for place, submission in enumerate(listed)}
        for future in as_completed(coming):
            place = coming[future]
            result, fresh = _told(future, listed[place], course)
            done[place] = (listed[place], result)
            rows = _rows([done[key] for key in sorted(done)], course.sets)
            write_whole(course.out / "grades.csv", feedback.table(rows))
            line = feedback.row(listed[place].student, listed[place].set, result, "")
            show(
                f"{line['student']} {line['set']}: {line['status']}  {line['problems']}{'' if fresh else ' (as before)'}",
                flush=True,
            )
    finally:
        pool.shutdown(cancel_futures=True)
    show(f"{len(done)} lines in {course.out / 'grades.csv'}, {time.monotonic() - begun:.0f} s", flush=True)
    return [done[key] for key in sorted(done)]


def _told(future, submission, course):
    """A submission's result; one that cannot be graded for whatever reason is a line of its own, and the rest go on."""
    try:
        return future.result()
    except Exception as err:
        result = {"status": "failed", "note": f"{type(err).__name__}: {str(err)[:300]}", "problems": []}
        with contextlib.suppress(Exception):
            _write_feedback(course, submission, feedback.page(submission.set, result))
        return result, True


def _rows(done, sets):
    return [feedback.row(one.student, one.set, result, sets.get(one.set, {}).get("points", "")) for one, result in done]


def _waiting(done, sets):
    """(student, set, problem, max) of all that a person has to grade."""
    return [
        (one.student, one.set, each["problem"], each["max"])
        for one, result in done
        for each in result["problems"]
        if each["score"] is None
    ]


def _one(submission, course):
    """The result of a submission, and whether it is fresh (False: kept from an earlier call)."""
    if submission.path is None:
        result = {"status": submission.status, "note": submission.note, "problems": []}
        if submission.set:
            _write_feedback(course, submission, feedback.page(submission.set, result))
        return result, True
    with open(submission.path, "rb") as file:
        content = file.read(repair.MOST + 1)
    by_hand = course.given.get((submission.student, submission.set), {})
    facts = [hashlib.sha256(content).hexdigest(), course.sets[submission.set]["hash"], by_hand, submission.note]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    kept = _kept(course, submission)
    if (
        kept
        and kept["key"] == key
        and (kept["status"] == "graded" or (kept["status"] != "failed" and kept["limits"] == course.limits))
    ):
        return kept, False
    result, page = _run(content, submission, course, by_hand)
    result |= {"key": key, "limits": course.limits, "note": "; ".join(filter(None, (submission.note, result["note"])))}
    _write_feedback(course, submission, page or feedback.page(submission.set, result))
    write_whole(
        _place(course, "results", submission, "json"), json.dumps(result, indent=1)
    )  # last: with it the submission is done
    return result, True


def _place(course, kind, submission, suffix):
    folder = course.out / kind / submission.student
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{submission.set}.{suffix}"


def _write_feedback(course, submission, page):
    write_whole(_place(course, "feedback", submission, "html"), page)


def _kept(course, submission):
    """The earlier result, if it is there together with its feedback."""
    if not _place(course, "feedback", submission, "html").is_file():
        return None
    with contextlib.suppress(FileNotFoundError):
        return json.loads(_place(course, "results", submission, "json").read_text(encoding="utf-8"))


def _run(content, submission, course, by_hand):
    """Result and feedback (None where nbgrader wrote none) of one submission, run in a fresh scratch folder by a keeper process."""
    name = submission.set
    (course.out / "scratch").mkdir(exist_ok=True)
    root = Path(tempfile.mkdtemp(dir=course.out / "scratch"))
    instructor = course.folder / "instructor"
    shutil.copyfile(instructor / "gradebook.db", root / "gradebook.db")
    (root / "submission").write_bytes(content)
    job = {
        "root": str(root),
        "notebook": str(root / "submission"),
        "release": str(instructor / "release" / name / f"{name}.ipynb"),
        "set": name,
    }
    job |= {"problems": course.sets[name]["problems"], "manual": by_hand} | course.limits
    (root / "job.json").write_text(json.dumps(job), encoding="utf-8")
    try:
        outcome = _keeper(root / "job.json", course.limits["timeout"])
        result, page = _left_in(root, outcome)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    return result, page


def _keeper(job, timeout):
    """Run `worker` on a job. Its standard input ends with this process: then it kills all that it started."""
    command = [sys.executable, "-m", "emo_teach.authoring.course.worker", str(job)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            said = process.stdout.read()
            process.wait(timeout + 2 * worker.GRACE)
        except BaseException:
            process.stdin.close()
            process.wait(worker.GRACE)
            raise
    with contextlib.suppress(ValueError):
        return json.loads(said)
    return {"ended": "crashed", "left": 0}


def _left_in(root, outcome):
    """What a submission's process left in its scratch folder; what it did not leave is said."""
    path, page = root / "result.json", root / "feedback.html"
    if outcome["ended"] == "time":
        return {
            "status": "time limit",
            "note": "stopped from outside: its cells could not be interrupted",
            "problems": [],
        }, None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        tail = (
            (root / "log.txt").read_text(encoding="utf-8", errors="replace").strip()[-200:]
            if (root / "log.txt").is_file()
            else ""
        )
        return {
            "status": "failed",
            "note": f"grading it ended without a result ({outcome['ended']}): {tail}",
            "problems": [],
        }, None
    if outcome["left"]:
        result["note"] = "; ".join(filter(None, (result["note"], f"{outcome['left']} processes left behind, killed")))
    return result, page.read_text(encoding="utf-8") if page.is_file() else None
