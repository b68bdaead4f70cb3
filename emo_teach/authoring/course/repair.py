"""A submitted notebook, whatever was done to it, as one that nbgrader grades rightly: pure data in, pure data out, nothing is run.

nbgrader trusts the metadata of a submission. It gives full points to a test cell that carries the tag `skip-execution`, 0 without a word to a
notebook whose metadata Colab dropped, and stops at a cell that was copied with its marks. So each cell is made anew here from its type and text,
and every mark is taken from the release.
"""

import json

MOST = 50 * 2**20  # bytes of a notebook that are looked at


class Refused(Exception):
    """A submission that cannot be graded: its `status`, and a sentence that says what to do."""

    def __init__(self, status, note):
        super().__init__(f"{status}: {note}")
        self.status, self.note = status, note


def parse(content):
    """The notebook in a file's bytes, as nbformat 4.

    Returns a dictionary with a list "cells". Raises Refused where there is no notebook in it. Source: the nbformat
    schema, https://nbformat.readthedocs.io.
    """
    if len(content) > MOST:
        raise Refused(
            "not a notebook", f"the file has {len(content) >> 20} MiB: clear its outputs and hand it in again"
        )
    try:
        document = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as err:
        raise Refused(
            "not a notebook", f"broken JSON ({str(err)[:120]}): download it again with Save, then hand it in again"
        ) from None
    if isinstance(document, dict) and isinstance(document.get("worksheets"), list):  # nbformat 3, before 2015
        sheets = document["worksheets"]
        document = {"cells": [cell for sheet in sheets if isinstance(sheet, dict) for cell in sheet.get("cells") or ()]}
    if not isinstance(document, dict) or not isinstance(document.get("cells"), list):
        raise Refused("not a notebook", "the file is JSON, but has no cells")
    return document


def marks(cell):
    """nbgrader's name of a cell, or None."""
    found = cell
    for key in ("metadata", "nbgrader", "grade_id"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) and found else None


def which(document):
    """The sets whose cells a notebook holds, by the number of cells.

    Returns a dictionary from names to counts.
    """
    counts = {}
    for name in filter(None, map(marks, document["cells"])):
        name = name.rpartition("-")[0].split("-")[0]
        counts[name] = counts.get(name, 0) + 1
    return counts


def which_of(path):
    """The sets whose cells a notebook file holds, as `which`.

    Raises Refused where it is no notebook, OSError where it cannot be read.
    """
    if path.stat().st_size > MOST:
        raise Refused("not a notebook", "too large")
    return which(parse(path.read_bytes()))


def mend(document, release):
    """A clean notebook with the submission's answers and the release's marks, and a list of what was put right.

    Of a cell that is there twice the last counts, as in nbgrader. A missing test cell is put before the next cell of the release that is there (at
    the end if there is none), a missing setup cell at the beginning, a missing proof beside the next cell, empty. A missing answer stays away: if
    it stands in another cell, the tests find it.
    Returns (dictionary, list of strings). Raises Refused where no cell carries a mark of the release.
    """
    ours = {marks(cell): cell for cell in release["cells"] if marks(cell)}
    cells, notes = [_bare(cell) for cell in document["cells"]], []
    names = [marks(cell) for cell in document["cells"]]
    _same_set(names, ours, which(document))
    last = {name: place for place, name in enumerate(names) if name in ours}
    kept = []
    for place, (name, cell) in enumerate(zip(names, cells, strict=True)):
        if name in ours and last[name] == place:
            cell["cell_type"], cell["metadata"] = ours[name]["cell_type"], _metadata(ours[name])
            cell["source"], changed = _text(ours[name], cell["source"])
            notes += [f"{name} had been changed: the original was used"] if changed else []
            kept.append((name, cell))
        else:
            notes += [f"{name} was there twice: the last counts"] if name in ours else []
            kept.append((None, cell))
    notes += _put_back(kept, ours)
    return _notebook([cell for _, cell in kept], release), notes


def _same_set(names, ours, counts):
    """Refuse a notebook without any of our marks: another set's, or one that lost them."""
    if any(name in ours for name in names):
        return
    if counts:
        raise Refused("another set", f"its cells are those of {', '.join(sorted(counts))}")
    raise Refused(
        "metadata stripped",
        "the notebook has lost nbgrader's marks, so its answers cannot be found (Colab and some editors drop them): "
        "copy the answers into a fresh copy of the release notebook and hand that in",
    )


def _bare(cell):
    """Type and text of a cell, and pictures that were pasted into text; everything else goes."""
    cell = cell if isinstance(cell, dict) else {}
    kind, text = cell.get("cell_type"), cell.get("source", cell.get("input", ""))
    text = "".join(map(str, text)) if isinstance(text, list) else str(text)
    text = text.encode("utf-16", "surrogatepass").decode(
        "utf-16", "replace"
    )  # halves of an emoji are joined, or replaced
    made = {"cell_type": kind if kind in ("code", "raw") else "markdown", "metadata": {}, "source": text}
    if made["cell_type"] == "markdown" and isinstance(cell.get("attachments"), dict):
        made["attachments"] = cell["attachments"]
    return made


def _metadata(cell):
    return {"nbgrader": dict(cell["metadata"]["nbgrader"])}


def _text(original, text):
    """The text to grade and whether a locked one had been changed (nbgrader puts the original with its hidden tests there in any case)."""
    flags, whole = original["metadata"]["nbgrader"], _joined(original)
    if flags["solution"]:
        return text, False
    return whole, text.split() != whole.split()


def _joined(cell):
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def _put_back(kept, ours):
    """Put what is missing into the list of (name, cell); returns what was done."""
    order, notes = list(ours), []
    for place in reversed(range(len(order))):  # from the end, so that the next cell is there already
        name = order[place]
        here = [each for each, _ in kept]
        if name in here:
            continue
        flags = ours[name]["metadata"]["nbgrader"]
        if flags["solution"] and not flags["grade"]:
            notes.append(f"{name}, the cell of an answer, is missing")
            continue
        following = next((each for each in order[place + 1 :] if each in here), None)
        at = 0 if not flags["grade"] else here.index(following) if following else len(kept)
        kept.insert(at, (name, _bare(ours[name]) | {"metadata": _metadata(ours[name])}))
        notes.append(f"{name} was missing: put back")
    return notes[::-1]


def _notebook(cells, release):
    """A notebook of today's format: Colab's has no ids, which are part of format 4.5."""
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
        cell.pop("attachments", None) if cell["cell_type"] != "markdown" else None
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
    return {
        "cells": cells,
        "metadata": {"kernelspec": release["metadata"]["kernelspec"]},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
