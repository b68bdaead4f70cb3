"""Find lines of solutions and hidden tests in the student edition.

A line is compared *normalised*: without white space, backslashes, quotes, backticks and asterisks, and without a
comment sign at its beginning. A line of code counts twice: with its comment and without. A normalised line is *telling*
if it has at least 12 characters and names at least two things (words that are neither Python's keywords nor its
built-in functions). Such a line may stand nowhere in the student edition, not even as a part of a longer line, in no
cell, output, metadata, module, data file or member of the zip. There are no exceptions: a solution that says what the
visible text says must be written otherwise.
"""

import builtins
import json
import keyword
import re
import zipfile
from pathlib import Path

LENGTH, NAMES = 12, 2
IGNORED = re.compile(r"""[\s\\'"`*]""")
KNOWN = frozenset(keyword.kwlist) | frozenset(dir(builtins))
REGION = re.compile(r"(?ms)^[ \t]*### BEGIN (SOLUTION|HIDDEN TESTS)[ \t]*\n(.*?)^[ \t]*### END \1[ \t]*$")
MARKERS = ("BEGINSOLUTION", "ENDSOLUTION", "BEGINHIDDENTESTS", "ENDHIDDENTESTS", "Rubric.")  # normalised


def normal(line):
    """A line without white space, backslashes, quotes, backticks, asterisks, and the comment sign at its beginning.

    >>> normal("    x = np.log( p )   # it's in nats")
    'x=np.log(p)#itsinnats'
    """
    return IGNORED.sub("", line).lstrip("#")


def telling(line):
    """Whether a line says enough to give something away: 12 characters, normalised, and two names not of Python.

    >>> telling("    return float(sum(x))"), telling("    return float(gap @ plan)")
    (False, True)
    """
    names = set(re.findall(r"[^\W\d]\w*", line)) - KNOWN
    return len(normal(line)) >= LENGTH and len(names) >= NAMES


def secrets(notebook, name):
    """The telling lines, normalised, of a set's solutions and hidden tests, each with the text that says whose it is.

    Raises ValueError for a region that is opened and not closed.
    """
    found = {}
    for cell in notebook.cells:
        regions = REGION.findall(cell.source)
        if cell.source.count("### BEGIN ") != len(regions) or cell.source.count("### END ") != len(regions):
            where = f"in the cell that begins {cell.source[:60]!r}"
            raise ValueError(f"{name}: a region is not closed, or its marker is misspelt, {where}")
        whose = f"{name}, {' '.join(cell.metadata.get('tags', []))}"
        for kind, text in regions:
            for line in text.splitlines():
                forms = {line, re.sub(r"\s#.*", "", line)} if cell.cell_type == "code" else {line}
                found |= {normal(form): f"{whose}, {kind.lower()}" for form in forms if telling(form)}
    return found


def texts(folder):
    """(place, text) of each file below a folder and each member of a zip there; of a notebook, all strings in it."""
    for path in sorted(Path(folder).rglob("*")):
        place = path.relative_to(folder).as_posix()
        if path.suffix == ".zip":
            yield from _members(path, place)
        elif path.is_file():
            yield place, _text(place, path.read_bytes())


def _members(path, place):
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            yield f"{place}/{member}", _text(member, archive.read(member))


def _text(name, content):
    text = content.decode("utf-8", "replace")
    return f"{name}\n" + ("\n".join(_strings(json.loads(text))) if name.endswith(".ipynb") else text)


def _strings(value):
    """All strings in a JSON value, keys included; a list of strings is the one text that notebooks cut into lines."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def search(folder, notebooks):
    """Say of every secret line where it is given away, in a folder or the zip of the same name beside it; [] when none.

    `notebooks`: sets by name as `source.read` gives them. Raises ValueError as `secrets`, and when a set has nothing to
    look for (the search would be void).
    """
    folder, wanted = Path(folder), {}
    for name, notebook in notebooks.items():
        if not (found := secrets(notebook, name)):
            raise ValueError(f"{name}: no line of its solutions is telling, so there is nothing to search for")
        wanted |= found
    archive, leaks = folder.with_suffix(".zip"), []
    for place, text in (*texts(folder), *(_members(archive, archive.name) if archive.is_file() else ())):
        bare, marks = IGNORED.sub("", text), MARKERS if place.endswith(".ipynb") else ()
        leaks += [f"{place}: a line of {owner}: {line!r}" for line, owner in wanted.items() if line in bare]
        leaks += [f"{place}: a line of the instructor's marks: {mark!r}" for mark in marks if mark in bare]
    return leaks
