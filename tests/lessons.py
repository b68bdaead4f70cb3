"""Reading built lessons for the tests: their pairs, their outputs, and whether two runs of one lesson said the same."""

import re
from html.parser import HTMLParser

import nbformat

from emo_teach.authoring import build

SOURCES = {path.stem: path for path in build.sources()}
LESSONS = [name for name in SOURCES if name[:2].isdigit()]  # the appendix has no exercises and no limit on words
EXEMPT = {"timing", "environment"}  # cells whose output depends on the machine
NUMBER = re.compile(r"(?<![\w.])[-+−]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")
TAG = re.compile(r"<[^>]*>")
ABSOLUTE_PATH = re.compile(r"(?:/(?:home|root|tmp|Users|work|usr|opt)/|\b[A-Z]:\\)\S*")


def built(name):
    """The committed notebook."""
    return nbformat.read(build.LESSONS / f"{name}.ipynb", as_version=4)


def tags(cell):
    """The cell's tags as a set."""
    return set(cell.metadata.get("tags", ()))


def exempt(cell):
    """True for a cell whose output depends on the machine."""
    return bool(tags(cell) & EXEMPT)


class _Images(HTMLParser):
    def __init__(self):
        super().__init__()
        self.alts = []

    def handle_starttag(self, tag, attrs):
        if tag == "img":
            self.alts.append(dict(attrs).get("alt") or "")


def image_alts(html):
    """Alt texts of all images in a piece of HTML ("" where there is none)."""
    parser = _Images()
    parser.feed(html)
    return parser.alts


def said(output):
    """What an output says to a reader: its text, and the alt texts of its pictures."""
    if output.output_type == "stream":
        return output.text
    data = output.get("data", {})
    if "text/html" in data:
        return "\n".join([*image_alts(data["text/html"]), TAG.sub(" ", data["text/html"])])
    return data.get("text/plain", "")


def same_text(first, second, relative=1e-3, tiny=1e-9):
    """True when two outputs have the same words, and equal numbers up to rounding (below `tiny` all is noise)."""
    first, second = (text.replace("equal, exactly", "equal, error 0") for text in (first, second))
    if NUMBER.sub("#", first) != NUMBER.sub("#", second):
        return False
    pairs = zip(NUMBER.findall(first), NUMBER.findall(second), strict=True)
    values = ((float(a.replace("−", "-")), float(b.replace("−", "-"))) for a, b in pairs)
    return all(abs(a - b) <= max(relative * max(abs(a), abs(b)), tiny) for a, b in values)


def without_attempts(before, after):
    """Two outputs without the lines on which the first one says that an exercise was not attempted."""
    skipped = {k for k, line in enumerate(before.split("\n")) if "not attempted yet" in line}
    return tuple(
        "\n".join(line for k, line in enumerate(text.split("\n")) if k not in skipped) for text in (before, after)
    )


def with_solutions(name):
    """The lesson with every exercise's stub replaced by its solution, and the names of the exercises solved."""
    import jupytext

    lesson, path = build.read_source(SOURCES[name]), build.TEXTS / "solutions" / f"{name}.py"
    if not path.exists():  # lesson 00 and the appendix have no exercises
        return lesson, set()
    cells = [(tag, cell) for cell in jupytext.read(path, fmt="py:percent").cells for tag in tags(cell)]
    answers = {tag: cell.source for tag, cell in cells if tag.startswith("exercise:")}
    for cell in lesson.cells:
        for tag in tags(cell) & set(answers):
            cell.source = answers[tag]
    stubs = {tag for cell in lesson.cells for tag in tags(cell) if tag.startswith("exercise:")}
    assert stubs == set(answers), f"{name} has the stubs {sorted(stubs)} and the solutions {sorted(answers)}"
    return lesson, {tag.removeprefix("exercise:") for tag in answers}


def code_cells(notebook):
    """The cells of a notebook that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def run_solved(name):
    """Run a lesson with its solutions; AssertionError unless every check passes and all else is as committed."""
    lesson, solved = with_solutions(name)
    notebook, verdicts = build.strip(build.execute(lesson)), {}
    for old, new in zip(code_cells(built(name)), code_cells(notebook), strict=True):
        for tag in tags(old):
            if tag.startswith("check:"):
                verdicts[tag.removeprefix("check:")] = said(new.outputs[-1])
        if not exempt(old) and not any(tag.startswith(("check:", "exercise:")) for tag in tags(old)):
            before, after = [said(o) for o in old.outputs], [said(o) for o in new.outputs]
            assert len(before) == len(after), old.source
            for first, second in zip(before, after, strict=True):
                first, second = without_attempts(first, second)
                assert same_text(first, second), f"{old.source}\nwas:\n{first}\nis:\n{second}"
    assert set(verdicts) == solved
    assert all(verdict.startswith("✓") for verdict in verdicts.values()), verdicts
