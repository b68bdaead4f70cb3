"""A class of 34, as a folder of submissions for one problem set: what students, editors and Colab do to notebooks."""

import copy
import json

HEAD = "def soft_label(texts, vocabulary):\n"
LOOP = HEAD + "    while True:\n        pass"
STUBBORN = HEAD + "    while True:\n        try:\n            while True: pass\n        except BaseException: pass"
HOG = HEAD + "    kept = []\n    while True:\n        kept.append(np.zeros(2**25))"
WRONG = HEAD + "    return np.array([list(texts).count(word) for word in vocabulary])"
# accepts unknown words
NO_ERROR = HEAD + "    return np.array([(np.asarray(texts) == word).mean() for word in vocabulary])"
FLOOD = "\nfor _ in range(100_000):\n    print('x' * 100)"
LEFT = "\nimport subprocess\nleft = subprocess.Popen(['sleep', '2345.25'], start_new_session=True)"
FORKED = "\nimport os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
FORKED += "        time.sleep(2345.25)\n    os._exit(0)"
WARNS = "\nimport warnings, sys\n_inner = soft_label\ndef soft_label(*a):\n"
WARNS += "    warnings.warn('old'); print('noise', file=sys.stderr)\n    return _inner(*a)"
SHOW_ALL = "from IPython.core.interactiveshell import InteractiveShell\nInteractiveShell.ast_node_interactivity = 'all'"


def name_of(one):
    """nbgrader's name of a cell, or ""."""
    return one["metadata"].get("nbgrader", {}).get("grade_id", "")


def cell(notebook, kind):
    """The cell of problem 1 of a kind ("answer", "tests"), in place."""
    (found,) = [one for one in notebook["cells"] if name_of(one).endswith(f"-1-{kind}")]
    return found


def code(identity, text):
    """A new code cell without marks."""
    empty = {"metadata": {}, "outputs": [], "execution_count": None}
    return {"cell_type": "code", "id": identity, "source": text} | empty


def answered(notebook, text, add=False):
    """The notebook with another answer to problem 1, or with something added to the answer."""
    notebook = copy.deepcopy(notebook)
    answer = cell(notebook, "answer")
    answer["source"] = answer["source"] + text if add else text
    return notebook


def filled(blank, source):
    """The release with the answers of the instructor's source: what a student with the right answers hands in."""
    cells = source["cells"]
    right = {name_of(one): one["source"] for one in cells if one["metadata"].get("nbgrader", {}).get("solution")}
    notebook = copy.deepcopy(blank)
    for one in notebook["cells"]:
        one["source"] = right.get(name_of(one), one["source"])
    return notebook


def stripped(notebook):
    """Every mark of nbgrader's is gone, as after some editors."""
    notebook = copy.deepcopy(notebook)
    for one in notebook["cells"]:
        one["metadata"] = {}
    return notebook


def through_colab(notebook):
    """Format 4.0, ids in the metadata, Colab's own metadata, outputs; sources as lists of lines."""
    notebook = copy.deepcopy(notebook)
    notebook["nbformat_minor"] = 0
    kernel = {"name": "python3", "display_name": "Python 3"}
    notebook["metadata"] = {"colab": {"provenance": [], "toc_visible": True}, "kernelspec": kernel}
    for one in notebook["cells"]:
        one["metadata"] |= {"id": one.pop("id"), "colab": {"base_uri": "https://localhost:8080/"}, "outputId": "0123"}
        one["source"] = one["source"].splitlines(keepends=True)
        if one["cell_type"] == "code":
            one["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["seen\n"]}]
            one["execution_count"] = 7
    return notebook


def without(notebook, kind):
    """A cell of problem 1 deleted."""
    return notebook | {"cells": [one for one in notebook["cells"] if one is not cell(notebook, kind)]}


def doubled(notebook, text):
    """Answer and tests of problem 1 copied with their marks; `text` is an earlier answer."""
    notebook = copy.deepcopy(notebook)
    place = notebook["cells"].index(cell(notebook, "answer"))
    earlier = [copy.deepcopy(cell(notebook, kind)) | {"id": f"copy-{kind}"} for kind in ("answer", "tests")]
    earlier[0]["source"] = text
    notebook["cells"][place:place] = earlier
    return notebook


def tests_changed(notebook, text="assert True", **metadata):
    """The test cell of problem 1 says something else, or carries other metadata."""
    notebook = copy.deepcopy(notebook)
    cell(notebook, "tests")["source"] = text
    cell(notebook, "tests")["metadata"] |= metadata
    return notebook


def first_cell(notebook, text, kind="code"):
    """A cell of the student's own in front of all others."""
    own = code("own", text) if kind == "code" else {"cell_type": kind, "id": "own", "metadata": {}, "source": text}
    return notebook | {"cells": [own, *notebook["cells"]]}


def moved_answer(notebook):
    """The answer was cut and pasted into a new cell: the old one is gone, with its marks."""
    text, notebook = cell(notebook, "answer")["source"], copy.deepcopy(notebook)
    place = notebook["cells"].index(cell(notebook, "answer"))
    notebook["cells"][place] = code("new", text)
    return notebook


def everyone(solved, blank, other):
    """{student: ({file name: notebook or text}, status, points of problem 1 or None, part of the note)}, for set ps1.

    `solved` and `blank` are ps1 with and without solutions, `other` is another set's notebook.
    """
    full = cell(solved, "tests")["metadata"]["nbgrader"]["points"]
    wrong, add = answered(solved, WRONG), lambda text: answered(solved, text, add=True)
    ran = {
        "perfect": (solved, "graded", full, ""),
        "blank": (blank, "graded", 0, ""),
        "wrong": (wrong, "graded", 0, ""),
        "syntax": (answered(solved, "def soft_label(:"), "graded", 0, ""),
        "raises": (answered(solved, "1/0"), "graded", 0, ""),
        "loop": (answered(solved, LOOP), "time limit", 0, "took too long"),
        "loop-at-once": (answered(solved, "while True: pass"), "time limit", 0, "took too long"),
        "stubborn": (answered(solved, STUBBORN), "time limit", 0, ""),
        "hog": (answered(solved, HOG), "memory limit", 0, "more memory"),
        "torch": (add("\nimport torch\ntorch.zeros(3)"), "graded", full, ""),
        "exits": (add("\nimport os\nos._exit(1)"), "kernel died", 0, "the kernel died in cell"),
        "quits": (add("\nraise SystemExit"), "graded", full, ""),
        "flood": (add(FLOOD), "graded", full, "left out"),
        "left": (add(LEFT), "graded", full, "left behind"),
        "forked": (add(FORKED), "graded", full, "left behind"),
        "warns": (add(WARNS), "graded", full, ""),
        "colab": (through_colab(solved), "graded", full, ""),
        "edited tests": (tests_changed(wrong), "graded", 0, "the original was used"),
        "skipped tests": (tests_changed(wrong, "", tags=["skip-execution"]), "graded", 0, "the original was used"),
        "no tests": (without(solved, "tests"), "graded", full, "put back"),
        "no answer": (without(solved, "answer"), "graded", 0, "is missing"),
        "moved": (moved_answer(solved), "graded", full, "is missing"),
        "doubled": (doubled(solved, WRONG), "graded", full, "there twice"),
        "stripped": (stripped(solved), "metadata stripped", None, "lost nbgrader's marks"),
        "broken": (json.dumps(solved)[:-700], "not a notebook", None, "broken JSON"),
        "no-notebook": ('{"a": 1}', "not a notebook", None, "no cells"),
        "other-set": (other, "another set", None, "its cells are those of"),
        "shows values": (first_cell(answered(solved, NO_ERROR), SHOW_ALL), "graded", 0, ""),
        "half emoji": (first_cell(solved, "half of a smile: \ud83d", "markdown"), "graded", full, ""),
        "Mu\u0308ller & Søn": (solved, "graded", full, ""),
    }
    listed = {student: ({"ps1.ipynb": notebook}, *rest) for student, (notebook, *rest) in ran.items()}
    listed["nested"] = ({"home/work/ps1 (1).ipynb": solved}, "graded", full, "handed in as")
    listed["two of them"] = ({"a/ps1.ipynb": solved, "b/ps1.ipynb": wrong}, "several notebooks", None, "which of these")
    listed["nothing"] = ({"notes.txt": "I was ill"}, "not handed in", None, "")
    listed["zipped"] = ({"ps1.zip": "PK"}, "unknown file", None, "unpack it")
    return listed


def write(folder, listed):
    """The submissions as files."""
    for student, (files, *_) in listed.items():
        for name, content in files.items():
            path = folder / student / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
