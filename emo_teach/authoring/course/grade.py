"""Grade a folder of submissions, each in a process of its own; each result is kept as soon as it is there.

See `worker` for what student code is kept from, and what not.
"""

import contextlib
import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from ...files import refuse_foreign, write_whole
from . import feedback, release, submissions
from .limits import Limits

MARKER, MADE_BY = "grading.json", "emo_teach course grade"


def grade_course(folder, course="build/course", out="build/grades", limits=None, show=print):
    """Grade all submissions; returns the lines (dictionaries) of the table that is written to `out`/grades.csv.

    A submission whose bytes, set and points by hand are unchanged keeps its result, unless it hit a limit that has
    changed since. Raises ValueError for a course, folder, name or `manual.csv` that makes no sense, and when another
    grading is at work in `out`.
    """
    release.need_nbgrader()
    limits = limits or Limits()
    course, out, folder = Path(course).resolve(), Path(out).resolve(), Path(folder).resolve()
    sets = release.read_manifest(course)["sets"]
    listed = submissions.collect(folder, list(sets))
    if out == folder or out.is_relative_to(folder) or folder.is_relative_to(out):
        raise ValueError(f"--out {out} and the submissions in {folder} must not contain one another")
    refuse_foreign(out, MARKER, MADE_BY)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / MARKER, json.dumps({"made_by": MADE_BY}))
    with _alone(out):
        _, given = feedback.read_points(out / "manual.csv", sets)
        done = _grade_all(listed, _Course(course, out, sets, given, limits), show)
        lines, _ = feedback.read_points(out / "manual.csv", sets)  # a person may have written there in the meantime
        feedback.extend_points(out / "manual.csv", lines, _waiting(done))
    handed_in = {(one.student, one.set) for one in listed}
    for student, name in given:
        if (student, name) not in handed_in:
            show(f"manual.csv: {student} {name} matches no submission: is the name right?", flush=True)
    return _rows(done, sets)


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
    limits: Limits

    def place(self, kind, submission, suffix):
        """The file of a kind ("results", "feedback") for a submission."""
        folder = self.out / kind / submission.student
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{submission.set}.{suffix}"

    def write_feedback(self, submission, result, page=None):
        """Write a page of feedback, by default one that says the status and what to do."""
        page = page or feedback.page(submission.set, result)
        write_whole(self.place("feedback", submission, "html"), page)

    def kept(self, submission):
        """The earlier result, or None; it counts only together with its feedback."""
        if self.place("feedback", submission, "html").is_file():
            with contextlib.suppress(FileNotFoundError):
                return json.loads(self.place("results", submission, "json").read_text(encoding="utf-8"))
        return None


def _ungraded(status, note):
    return {"status": status, "note": note, "problems": []}


def _grade_all(listed, course, show):
    """Grade in parallel; the table is written again, whole, after each. Returns [(submission, result)] in order."""
    begun, done = time.monotonic(), {}
    pool = ThreadPoolExecutor(course.limits.workers)
    try:
        coming = {pool.submit(_grade, submission, course): place for place, submission in enumerate(listed)}
        for future in as_completed(coming):
            place = coming[future]
            submission = listed[place]
            result, fresh = _outcome(future, submission, course)
            done[place] = (submission, result)
            rows = _rows([done[key] for key in sorted(done)], course.sets)
            write_whole(course.out / "grades.csv", feedback.table(rows))
            line = feedback.row(submission.student, submission.set, result, "")
            text = f"{line['student']} {line['set']}: {line['status']}  {line['problems']}"
            show(text if fresh else f"{text} (as before)", flush=True)
    finally:
        pool.shutdown(cancel_futures=True)
    show(f"{len(done)} lines in {course.out / 'grades.csv'}, {time.monotonic() - begun:.0f} s", flush=True)
    return [done[key] for key in sorted(done)]


def _outcome(future, submission, course):
    """The result of a submission and whether it is fresh; one that cannot be graded at all does not stop the rest."""
    try:
        return future.result()
    except Exception as err:
        result = _ungraded("failed", f"{type(err).__name__}: {str(err)[:300]}")
        with contextlib.suppress(Exception):
            course.write_feedback(submission, result)
        return result, True


def _rows(done, sets):
    return [feedback.row(one.student, one.set, result, sets.get(one.set, {}).get("points", "")) for one, result in done]


def _waiting(done):
    """(student, set, problem, max) of all that a person has to grade."""
    pairs = [(one, problem) for one, result in done for problem in result["problems"]]
    return [(one.student, one.set, each["problem"], each["max"]) for one, each in pairs if each["score"] is None]


def _grade(submission, course):
    """The result of a submission, and whether it is fresh (False: kept from an earlier call)."""
    if submission.path is None:
        result = _ungraded(submission.status, submission.note)
        if submission.set:
            course.write_feedback(submission, result)
        return result, True
    with open(submission.path, "rb") as file:
        content = file.read(Limits.notebook + 1)
    by_hand = course.given.get((submission.student, submission.set), {})
    facts = [hashlib.sha256(content).hexdigest(), course.sets[submission.set]["hash"], by_hand, submission.note]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    limits = {"timeout": course.limits.timeout, "memory": course.limits.memory}
    kept = course.kept(submission)
    if kept and kept["key"] == key:
        same_limits = kept["status"] != "failed" and kept["limits"] == limits
        if kept["status"] == "graded" or same_limits:
            return kept, False
    result, page = _run(content, submission, course, by_hand)
    result |= {"key": key, "limits": limits, "note": "; ".join(filter(None, (submission.note, result["note"])))}
    course.write_feedback(submission, result, page)
    # last, because a submission with a result is done
    write_whole(course.place("results", submission, "json"), json.dumps(result, indent=1))
    return result, True


def _run(content, submission, course, by_hand):
    """Run one submission in a fresh scratch folder; returns its result and nbgrader's feedback (None without one)."""
    name, instructor = submission.set, course.folder / "instructor"
    (course.out / "scratch").mkdir(exist_ok=True)
    root = Path(tempfile.mkdtemp(dir=course.out / "scratch"))
    try:
        shutil.copyfile(instructor / "gradebook.db", root / "gradebook.db")
        (root / "submission").write_bytes(content)
        places = {"root": root, "notebook": root / "submission"}
        places["release"] = instructor / "release" / name / f"{name}.ipynb"
        job = {kind: str(path) for kind, path in places.items()} | {"set": name, "limits": asdict(course.limits)}
        job |= {"problems": course.sets[name]["problems"], "manual": by_hand}
        (root / "job.json").write_text(json.dumps(job), encoding="utf-8")
        return _read_result(root, _run_worker(root / "job.json", course.limits))
    finally:
        shutil.rmtree(root, ignore_errors=True)


def _run_worker(job, limits):
    """Run `worker` on a job. Its standard input ends with this process: then it kills all that it started."""
    command = [sys.executable, "-m", "emo_teach.authoring.course.worker", str(job)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            answer = process.stdout.read()
            process.wait(limits.timeout + 2 * limits.grace)
        except BaseException:
            process.stdin.close()
            process.wait(limits.grace)
            raise
    with contextlib.suppress(ValueError):
        return json.loads(answer)
    return {"ended": "crashed", "left": 0}


def _read_result(root, outcome):
    """Read result.json and feedback.html from the scratch folder; without a result, return one whose note says why."""
    page, log = root / "feedback.html", root / "log.txt"
    if outcome["ended"] == "time":
        return _ungraded("time limit", "stopped from outside: its cells could not be interrupted"), None
    try:
        result = json.loads((root / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        tail = log.read_text(encoding="utf-8", errors="replace").strip()[-200:] if log.is_file() else ""
        return _ungraded("failed", f"grading it ended without a result ({outcome['ended']}): {tail}"), None
    if outcome["left"]:
        result["note"] = "; ".join(filter(None, (result["note"], f"{outcome['left']} processes left behind, killed")))
    return result, page.read_text(encoding="utf-8") if page.is_file() else None
