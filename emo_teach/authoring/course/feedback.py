"""What grading leaves behind: `grades.csv`, points by hand in `manual.csv`, and some of the feedback."""

import csv
import html
import io
from pathlib import Path

from ...files import write_whole

COLUMNS = ("student", "set", "status", "score", "max", "pending", "problems", "note")
POINTS = ("student", "set", "problem", "max", "points", "comment")
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; max-width: 45em; margin: 2em auto">
<h1>{title}</h1><p><b>{status}</b></p><p>{note}</p></body></html>
"""


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
    title = html.escape(name or "Not recognised")
    return PAGE.format(title=title, status=html.escape(result["status"]), note=html.escape(_one_line(result["note"])))


def read_points(path, sets):
    """The lines of manual.csv, and the points in it: {(student, set): {problem: (points, comment)}}.

    Raises ValueError for other columns, a line given twice, an unknown problem, or points that are no number from 0 to
    the problem's maximum.
    """
    path, given, seen = Path(path), {}, set()
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
    try:
        points = float(line["points"])
    except ValueError:
        points = float("nan")
    if not 0 <= points <= most[0]:
        raise ValueError(f"{where}: points = {line['points']!r} must be a number from 0 to {most[0]}")
    return points


def extend_points(path, lines, waiting):
    """Add lines (student, set, problem, max) to manual.csv for what waits for a person; the others stay as they are."""
    there = {(line["student"], line["set"], line["problem"]) for line in lines}
    new = [dict(zip(POINTS, (*one, "", ""), strict=True)) for one in waiting if tuple(one[:3]) not in there]
    if new:
        write_whole(path, table(lines + new, POINTS))
