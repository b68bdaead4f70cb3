"""What grading leaves behind: a table for the instructor, and a page of feedback for each submission that nbgrader could not write up."""

import csv
import html
import io

COLUMNS = ("student", "set", "status", "score", "max", "pending", "problems", "note")
PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif; max-width: 45em; margin: 2em auto"><h1>{title}</h1><p><b>{status}</b></p><p>{note}</p></body></html>
"""


def row(student, name, result, points):
    """A line of the table: what a student got for a set, with a blank score (never a 0) where nothing was graded.

    Returns a dictionary with the keys `COLUMNS`.
    """
    problems = result["problems"]
    score = sum(one["score"] or 0 for one in problems) if problems else 0 if result["status"] == "not handed in" else ""
    pending = sum(one["max"] for one in problems if one["score"] is None) if problems else ""
    listed = "; ".join(
        f"{one['problem']} {'?' if one['score'] is None else format(one['score'], 'g')}/{one['max']}"
        for one in problems
    )
    shown = format(score, "g") if score != "" else ""
    return dict(
        zip(
            COLUMNS,
            (student, name, result["status"], shown, points, pending, listed, _one_line(result["note"])),
            strict=True,
        )
    )


def _one_line(text):
    """Notes quote what students wrote: no line breaks, nothing that a spreadsheet takes for a formula, no half of a character."""
    text = " ".join(text.encode("utf-8", "backslashreplace").decode().split())
    return f" {text}" if text.startswith(("=", "+", "-", "@")) else text


def table(rows):
    """The lines as CSV.

    Source: RFC 4180, with "\\n".
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def page(name, result):
    """Feedback on a submission that could not be graded: its status and what to do."""
    title = html.escape(name or "Not recognised")
    return PAGE.format(title=title, status=html.escape(result["status"]), note=html.escape(_one_line(result["note"])))
