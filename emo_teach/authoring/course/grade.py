"""Grade a folder of submissions, each in a process of its own; each result is kept as soon as it is there.

What grading leaves behind: `grades.csv`, the lines of `manual.csv` that wait for points by hand, and feedback. See
`worker` for what student code is kept from, and what not.
"""

import contextlib
import csv
import hashlib
import html
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

from ...files import alone, need, refuse_foreign, write_whole
from . import release, submissions
from .limits import Limits

MARKER, MADE_BY = "grading.json", "emo_teach course grade"
COLUMNS = ("student", "set", "status", "score", "max", "pending", "problems", "note")
POINTS = ("student", "set", "problem", "max", "points", "comment")
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; max-width: 45em; margin: 2em auto">
<h1>{title}</h1><p><b>{status}</b></p><p>{note}</p></body></html>
"""


def grade_course(folder, course="build/course", out="build/grades", limits=None, show=print):
    """Grade all submissions; returns the lines (dictionaries) of the table that is written to `out`/grades.csv.

    A submission whose bytes, set and points by hand are unchanged keeps its result, unless it hit a limit that has
    changed since. Raises ValueError for a course, folder, name or `manual.csv` that makes no sense, and when another
    grading is at work in `out`.
    """
    need("nbgrader", "jupytext", "psutil")
    course, out, folder = Path(course).resolve(), Path(out).resolve(), Path(folder).resolve()
    sets = release.read_manifest(course)["sets"]
    listed = submissions.collect(folder, list(sets))
    if out == folder or out.is_relative_to(folder) or folder.is_relative_to(out):
        raise ValueError(f"--out {out} and the submissions in {folder} must not contain one another")
    refuse_foreign(out, MARKER, MADE_BY)
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / MARKER, json.dumps({"made_by": MADE_BY}))
    with _alone(out):
        _, given = read_points(out / "manual.csv", sets)
        done = _grade_all(listed, _Course(course, out, sets, given, limits or Limits()), show)
        lines, _ = read_points(out / "manual.csv", sets)  # a person may have written there in the meantime
        pairs = [(one, problem) for one, result in done for problem in result["problems"] if problem["score"] is None]
        extend_points(out / "manual.csv", lines, [(one.student, one.set, p["problem"], p["max"]) for one, p in pairs])
    handed_in = {(one.student, one.set) for one in listed}
    for student, name in (key for key in given if key not in handed_in):
        show(f"manual.csv: {student} {name} matches no submission: is the name right?", flush=True)
    return _rows(done, sets)


@contextlib.contextmanager
def _alone(out):
    """Two gradings must not write into one folder. Scratch folders of a killed one are removed."""
    with alone(out, work="grading"):
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

    def write_feedback(self, submission, result, html_page=None):
        """Write a page of feedback, by default one that says the status and what to do."""
        write_whole(self.place("feedback", submission, "html"), html_page or page(submission.set, result))

    def kept(self, submission):
        """The earlier result, or None; it counts only together with its feedback."""
        result = self.place("results", submission, "json")
        if result.is_file() and self.place("feedback", submission, "html").is_file():
            return json.loads(result.read_text(encoding="utf-8"))
        return None


def _grade_all(listed, course, show):
    """Grade in parallel; the table is written again, whole, after each. Returns [(submission, result)] in order."""
    begun, done = time.monotonic(), {}
    pool = ThreadPoolExecutor(course.limits.workers)
    try:
        coming = {pool.submit(_grade, submission, course): place for place, submission in enumerate(listed)}
        for future in as_completed(coming):
            submission = listed[coming[future]]
            result, fresh = _outcome(future, submission, course)
            done[coming[future]] = (submission, result)
            write_whole(course.out / "grades.csv", table(_rows([done[key] for key in sorted(done)], course.sets)))
            line = row(submission.student, submission.set, result, "")
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


def _ungraded(status, note):
    return {"status": status, "note": note, "problems": []}


def _joined(*notes):
    return "; ".join(filter(None, notes))


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
    kept = course.kept(submission) or {"key": None}
    if kept["key"] == key and (kept["status"] == "graded" or (kept["limits"] == limits and kept["status"] != "failed")):
        return kept, False
    result, html_page = _run(content, submission, course, by_hand)
    result |= {"key": key, "limits": limits, "note": _joined(submission.note, result["note"])}
    course.write_feedback(submission, result, html_page)
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
        job = {"root": str(root), "set": name, "limits": asdict(course.limits), "manual": by_hand}
        job |= {"notebook": str(root / "submission"), "problems": course.sets[name]["problems"]}
        job["release"] = str(instructor / "release" / name / f"{name}.ipynb")
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
    feedback, log = root / "feedback.html", root / "log.txt"
    if outcome["ended"] == "time":
        return _ungraded("time limit", "stopped from outside: its cells could not be interrupted"), None
    try:
        result = json.loads((root / "result.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        tail = log.read_text(encoding="utf-8", errors="replace").strip()[-200:] if log.is_file() else ""
        return _ungraded("failed", f"grading it ended without a result ({outcome['ended']}): {tail}"), None
    if outcome["left"]:
        result["note"] = _joined(result["note"], f"{outcome['left']} processes left behind, killed")
    return result, feedback.read_text(encoding="utf-8") if feedback.is_file() else None


# tables and pages


def _rows(done, sets):
    return [row(one.student, one.set, result, sets.get(one.set, {}).get("points", "")) for one, result in done]


def row(student, name, result, points):
    """A line of grades.csv as a dictionary: where nothing was graded the score is blank, never 0."""
    problems, pending, listed = result["problems"], "", []
    score = "0" if result["status"] == "not handed in" else ""
    if problems:
        score = format(sum(one["score"] or 0 for one in problems), "g")
        pending = sum(one["max"] for one in problems if one["score"] is None)
        shown = ["?" if one["score"] is None else format(one["score"], "g") for one in problems]
        listed = [f"{one['problem']} {value}/{one['max']}" for one, value in zip(problems, shown, strict=True)]
    values = (student, name, result["status"], score, points, pending, "; ".join(listed), _one_line(result["note"]))
    return dict(zip(COLUMNS, values, strict=True))


def _one_line(text):
    """A note without what harms a table: line breaks, a beginning that makes it a formula, half of a character."""
    text = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return f" {text}" if text.startswith(("=", "+", "-", "@")) else text


def table(rows, columns=COLUMNS):
    """The lines as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def page(name, result):
    """Feedback on a submission that could not be graded: its status and what to do."""
    return PAGE.format(title=name, status=html.escape(result["status"]), note=html.escape(_one_line(result["note"])))


def read_points(path, sets):
    """The lines of manual.csv, and the points in it: {(student, set): {problem: (points, comment)}}.

    Raises ValueError for other columns, a line given twice, an unknown problem, or points that are no number from 0 to
    the problem's maximum.
    """
    given, seen = {}, set()
    if not path.exists():
        return [], {}
    reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    if tuple(reader.fieldnames or ()) != POINTS:
        found = ", ".join(map(str, reader.fieldnames or ()))
        raise ValueError(f"{path.name} must have the columns {', '.join(POINTS)}, it has {found}")
    lines = list(reader)
    for number, line in enumerate(lines, start=2):
        where, key = f"{path.name}, line {number}", (line["student"], line["set"], line["problem"])
        if None in line or None in line.values():
            raise ValueError(f"{where}: {len(POINTS)} columns are needed")
        if key in seen:
            raise ValueError(f"{where}: {' '.join(key)} is there twice")
        seen.add(key)
        if line["points"].strip():
            given.setdefault(key[:2], {})[key[2]] = (_points(where, line, sets), line["comment"])
    return lines, given


def _points(where, line, sets):
    problems = sets.get(line["set"], {"problems": {}})["problems"].values()
    most = [one["points"] for one in problems if one["manual"] and one["problem"] == line["problem"]]
    if not most:
        raise ValueError(f"{where}: {line['set']} has no problem {line['problem']!r} that is graded by hand")
    with contextlib.suppress(ValueError):
        if 0 <= (points := float(line["points"])) <= most[0]:
            return points
    raise ValueError(f"{where}: points = {line['points']!r} must be a number from 0 to {most[0]}")


def extend_points(path, lines, waiting):
    """Add lines (student, set, problem, max) to manual.csv for what waits for a person; the others stay as they are."""
    there = {(line["student"], line["set"], line["problem"]) for line in lines}
    new = [dict(zip(POINTS, (*one, "", ""), strict=True)) for one in waiting if one[:3] not in there]
    if new:
        write_whole(path, table(lines + new, POINTS))
