"""Points given by hand: a table, `manual.csv`, that grading extends by what waits for a person, and that a person fills in."""

import csv
import io
from pathlib import Path

from ...files import write_whole

COLUMNS = ("student", "set", "problem", "max", "points", "comment")


def read(path, sets):
    """The lines of the table as they are, and the points that were given: {(student, set): {problem: (points, comment)}}.

    Returns a list and a dictionary. Raises ValueError for other columns, a line given twice, an unknown problem, or
    points that are no number from 0 to the most.
    """
    path, given, seen = Path(path), {}, set()
    if not path.exists():
        return [], {}
    reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(
            f"{path.name} must have the columns {', '.join(COLUMNS)}, it has {', '.join(map(str, reader.fieldnames or ()))}"
        )
    lines = list(reader)
    for number, line in enumerate(lines, start=2):
        where, key = f"{path.name}, line {number}", (line["student"], line["set"], line["problem"])
        if None in line or None in line.values():
            raise ValueError(f"{where}: {len(COLUMNS)} columns are needed")
        if key in seen:
            raise ValueError(f"{where}: {' '.join(key)} is there twice")
        seen.add(key)
        if line["points"].strip():
            points = _points(where, line, sets)
            given.setdefault(key[:2], {})[key[2]] = (points, line["comment"])
    return lines, given


def _points(where, line, sets):
    most = [
        one["points"]
        for one in sets.get(line["set"], {"problems": {}})["problems"].values()
        if one["manual"] and one["problem"] == line["problem"]
    ]
    if not most:
        raise ValueError(f"{where}: {line['set']} has no problem {line['problem']!r} that is graded by hand")
    try:
        points = float(line["points"])
    except ValueError:
        points = float("nan")
    if not 0 <= points <= most[0]:
        raise ValueError(f"{where}: points = {line['points']!r} must be a number from 0 to {most[0]}")
    return points


def extend(path, lines, waiting):
    """Add lines for what waits for a person, (student, set, problem, max); nothing that is there is changed, and without news nothing is written.

    Raises OSError.
    """
    there = {(line["student"], line["set"], line["problem"]) for line in lines}
    new = [dict(zip(COLUMNS, (*one, "", ""), strict=True)) for one in waiting if tuple(one[:3]) not in there]
    if not new:
        return
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines + new)
    write_whole(path, text.getvalue())
