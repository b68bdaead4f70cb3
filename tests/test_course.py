"""Problem sets as a course: what is handed out, what is handed in, grades. The marker `course` needs nbgrader."""

import contextlib
import csv
import html
import json
import os
import re
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from emo_teach import files
from emo_teach.__main__ import main
from emo_teach.authoring import build
from emo_teach.authoring.course import grade, leaks, release, source, submissions
from emo_teach.authoring.course.limits import Limits
from tests import submissions as class_of

SETUP = '# %% tags=["setup"]\nSEED = 0\n'
ANSWER = (
    '# %% tags=["answer:1.1"]\ndef gap(a, b):\n    ### BEGIN SOLUTION\n'
    "    spread = numpy_free_sum(a, b)  # both of them\n    return spread\n    ### END SOLUTION\n"
)
TESTS = (
    '# %% tags=["tests:1.1", "points:2"]\nassert gap(1, 2) == 3\n### BEGIN HIDDEN TESTS\n'
    'assert gap(secret_draw, 5) == other_name, "no"\n### END HIDDEN TESTS\n'
)
PROOF = (
    '# %% [markdown] tags=["proof:1.2", "points:3"]\n'
    "# ### BEGIN SOLUTION\n# By Gibbs, the average is negative.\n# ### END SOLUTION\n"
)


def written(tmp_path, text, name="ps9"):
    path = tmp_path / f"{name}.py"
    path.write_text(text)
    return path


# --- sources


def test_a_source_becomes_a_marked_notebook(tmp_path):
    notebook = source.read(written(tmp_path, SETUP + ANSWER + TESTS + PROOF), seed=7)
    marks = [cell.metadata["nbgrader"] for cell in notebook.cells]
    assert [one["grade_id"] for one in marks] == ["ps9-setup", "ps9-1-answer", "ps9-1-tests", "ps9-2-proof"]
    assert [one.get("points") for one in marks] == [None, None, 2, 3]
    assert "SEED = 7" in notebook.cells[0].source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ANSWER + TESTS, "no setup cell"),
        (SETUP.replace("SEED = 0", "SEED = 1") + ANSWER + TESTS, "it has 0"),
        (SETUP + "SEED = 0\n" + ANSWER + TESTS, "it has 2"),
        (SETUP + ANSWER, "problem 1.1 has answer, but no tests"),
        (SETUP + TESTS, "problem 1.1 has tests, but no answer"),
        (SETUP + ANSWER + ANSWER + TESTS, "answer:1.1 is there twice"),
        (SETUP + ANSWER + TESTS.replace("points:2", "points:0"), "points = '0'"),
        (SETUP + ANSWER + TESTS.replace(', "points:2"', ""), "points = ''"),
        (SETUP + ANSWER + TESTS.replace("points:2", "points:1.5"), "points = '1.5'"),
    ],
)
def test_faults_of_a_source_are_named(tmp_path, text, message):
    with pytest.raises(ValueError, match="ps9: .*" + message.replace(".", r"\.")):
        source.read(written(tmp_path, text))


# --- leaks


@pytest.fixture
def secret(tmp_path):
    return {"ps9": source.read(written(tmp_path, SETUP + ANSWER + TESTS + PROOF))}


@pytest.fixture
def edition(tmp_path):
    """A student edition with nothing in it that it should not have."""
    folder = tmp_path / "student"
    folder.mkdir()
    cells = [{"cell_type": "code", "metadata": {}, "source": ["def gap(a, b):\n", "    raise NotImplementedError"]}]
    (folder / "ps9.ipynb").write_text(json.dumps({"cells": cells, "metadata": {}}))
    (folder / "module.py").write_text("spread = 1\nreturn_spread = spread\n")
    return folder


SECRETS = {
    "spread=numpy_free_sum(a,b)",
    "spread=numpy_free_sum(a,b)#bothofthem",
    "assertgap(secret_draw,5)==other_name,no",
    "ByGibbs,theaverageisnegative.",
}


def test_what_is_secret_and_what_is_trivial(secret):
    assert set(leaks.secrets(secret["ps9"], "ps9")) == SECRETS
    trivial = ["return total", "for i in range(10):", "", "x = y", "    raise ValueError(message)", "x=np.log(y)"]
    assert not any(map(leaks.telling, trivial))
    assert all(map(leaks.telling, ["for k in range(rows):", "    return (p @ cost).sum()", "We use Jensen here"]))


LINE = "spread = numpy_free_sum(a, b)"


def add_cell(kind="code", source="", **more):
    """What adds a cell to the set's notebook in a folder."""

    def add(folder):
        notebook = json.loads((folder / "ps9.ipynb").read_text())
        notebook["cells"].append({"cell_type": kind, "source": source, **more})
        (folder / "ps9.ipynb").write_text(json.dumps(notebook))

    return add


def write_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", LINE)


PLANTED = {
    "code cell": add_cell(source=["spread =\\\n", "  numpy_free_sum(a,b)"]),
    "text": add_cell("markdown", f"Hint: `{LINE}`."),
    "output": add_cell(outputs=[{"text": [LINE]}]),
    "metadata": add_cell("raw", metadata={LINE: 1}),
    "module": lambda f: (f / "module.py").write_text(f"x = 1 # {LINE}"),
    "other quotes": lambda f: (f / "module.py").write_text("assert gap(secret_draw, 5)==other_name,  'no'"),
    "data": lambda f: (f / "blob.bin").write_bytes(b"\xff\x00 " + LINE.encode() + b"\xff"),
    "proof": lambda f: (f / "README.md").write_text("*By Gibbs, the\naverage* is negative."),
    "zip inside": lambda f: write_zip(f / "more.zip"),
    "zip beside": lambda f: write_zip(f.with_suffix(".zip")),
    "marker": add_cell(source="### BEGIN SOLUTION"),
    "rubric": add_cell("markdown", "**Rubric.** 2 points"),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_planted_line_is_found(secret, edition, plant):
    assert leaks.search(edition, secret) == []
    plant(edition)
    assert leaks.search(edition, secret)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ANSWER.replace("    ### END SOLUTION\n", "") + TESTS, "region is not closed"),
        (ANSWER.replace("### END SOLUTION", "### END SOLUTIONS") + TESTS, "region is not closed"),
        ("", "nothing to search for"),
    ],
)
def test_a_search_that_cannot_be_done_is_an_error(tmp_path, edition, text, message):
    with pytest.raises(ValueError, match=message):
        leaks.search(edition, {"ps9": source.read(written(tmp_path, SETUP + text))})


# --- submissions, mended


def mark(name, grade=False, solution=False, **points):
    flags = {"grade": grade, "solution": solution, "locked": not solution, "task": False, "schema_version": 3}
    return {"nbgrader": {"grade_id": name, "checksum": "0" * 32} | flags | points}


def released(kind, name, text, metadata):
    return {"cell_type": kind, "id": name, "metadata": metadata, "source": text}


RELEASE = {
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3"}},
    "cells": [
        released("markdown", "t", "# Set", {}),
        released("code", "s", "SEED = 0", mark("ps9-setup")),
        released("code", "a", "def f(): raise", mark("ps9-1-answer", solution=True)),
        released("code", "b", "assert f()", mark("ps9-1-tests", grade=True, points=2)),
        released("markdown", "p", "YOUR ANSWER HERE", mark("ps9-2-proof", grade=True, solution=True, points=3)),
    ],
}


def handed_in(change=lambda cells: None):
    cells = json.loads(json.dumps(RELEASE["cells"]))
    cells[2]["source"] = "def f(): return 1"
    change(cells)
    return {"cells": cells}


def order(notebook):
    return [submissions.marks(cell) for cell in notebook["cells"] if submissions.marks(cell)]


WHOLE = ["ps9-setup", "ps9-1-answer", "ps9-1-tests", "ps9-2-proof"]


def test_an_ordinary_submission_stays_as_it_is():
    notebook, notes = submissions.mend(handed_in(), RELEASE)
    assert notes == [] and order(notebook) == WHOLE and notebook["cells"][2]["source"] == "def f(): return 1"
    assert [cell["source"] for cell in notebook["cells"]] == [cell["source"] for cell in handed_in()["cells"]]


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda c: c.pop(3), "ps9-1-tests was missing: put back"),
        (lambda c: c.pop(1), "ps9-setup was missing: put back"),
        (lambda c: c.pop(4), "ps9-2-proof was missing: put back"),
        (lambda c: c.insert(2, dict(c[3])), "ps9-1-tests was there twice: the last counts"),
        (lambda c: c[3].update(source="pass"), "ps9-1-tests had been changed: the original was used"),
        (lambda c: c[1].update(source=["SEED = 5"]), "ps9-setup had been changed: the original was used"),
    ],
)
def test_what_happened_to_cells_is_put_right_and_said(change, note):
    notebook, notes = submissions.mend(handed_in(change), RELEASE)
    assert notes == [note] and order(notebook) == WHOLE
    assert [cell["source"] for cell in notebook["cells"] if submissions.marks(cell) == "ps9-1-tests"] == ["assert f()"]


def test_a_missing_answer_is_looked_for_in_other_cells():
    notebook, notes = submissions.mend(handed_in(lambda c: (c[2].update(metadata={}), c.pop(3))), RELEASE)
    assert notes == ["ps9-1-answer, the cell of an answer, is missing", "ps9-1-tests was missing: put back"]
    texts = [cell["source"] for cell in notebook["cells"]]
    assert texts.index("def f(): return 1") < texts.index("assert f()")


def test_marks_and_tags_are_the_release_s_own():
    def tamper(cells):
        cells[3]["metadata"]["nbgrader"].update(points=100, grade=False, solution=True)
        cells[3]["metadata"]["tags"] = ["skip-execution"]
        cells[3]["cell_type"] = "markdown"
        cells.append({"cell_type": "code", "metadata": mark("ps9-9-tests", grade=True, points=50), "source": "1"})

    notebook, _ = submissions.mend(handed_in(tamper), RELEASE)
    tests = notebook["cells"][3]
    assert tests["metadata"] == mark("ps9-1-tests", grade=True, points=2) and tests["cell_type"] == "code"
    assert order(notebook) == WHOLE


def test_colab_s_format_is_today_s_again():
    import nbformat

    def colab(cells):
        for cell in cells:
            cell["metadata"]["id"] = cell.pop("id")
            cell["metadata"]["colab"] = {"provenance": []}
            cell["source"] = cell["source"].splitlines(keepends=True)

    notebook, notes = submissions.mend(handed_in(colab) | {"nbformat": 4, "nbformat_minor": 0}, RELEASE)
    nbformat.validate(nbformat.from_dict(notebook))
    assert notes == [] and notebook["nbformat_minor"] == 5
    assert all(set(cell["metadata"]) <= {"nbgrader"} for cell in notebook["cells"])


MARKED = [{"metadata": value} for value in (None, {"nbgrader": []}, {"nbgrader": {"grade_id": 5}})]


@pytest.mark.parametrize("junk", [None, 3, "text", [], {}, *MARKED, {"source": [1, None]}])
def test_junk_among_the_cells_does_no_harm(junk):
    import nbformat

    notebook, notes = submissions.mend(handed_in(lambda cells: cells.insert(3, junk)), RELEASE)
    nbformat.validate(nbformat.from_dict(notebook))
    assert notes == [] and order(notebook) == WHOLE


NO_NOTEBOOK = (b"", b"{", b"[]", b"3", b'{"cells": 1}', b"\xff\xfe", b"[" * 100_000, b"PK\x03\x04")
UNMARKED = {"metadata stripped": class_of.stripped(handed_in())["cells"]}
UNMARKED["another set"] = [{"metadata": mark("ps8-1-answer"), "source": ""}]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        *((content, "not a notebook") for content in NO_NOTEBOOK),
        *((json.dumps({"cells": cells}).encode(), status) for status, cells in UNMARKED.items()),
        (b'{"cells": []}', "metadata stripped"),
    ],
)
def test_what_is_no_notebook_of_the_set_is_refused(content, status):
    with pytest.raises(submissions.Refused) as caught:
        submissions.mend(submissions.parse(content), RELEASE)
    assert caught.value.status == status


def test_a_notebook_of_2014_is_read():
    cell = {"cell_type": "code", "input": "x = 1", "metadata": mark("ps9-1-answer")}
    old = json.dumps({"nbformat": 3, "worksheets": [{"cells": [cell]}]})
    notebook, _ = submissions.mend(submissions.parse(old.encode()), RELEASE)
    assert "x = 1" in [cell["source"] for cell in notebook["cells"]] and order(notebook) == WHOLE


# --- folders, tables


def test_submissions_are_found_by_name_content_and_place(tmp_path):
    by_cells, folder = json.dumps({"cells": [{"metadata": mark("ps2-1-answer")}]}), tmp_path / "in"
    ann = {"ps1.ipynb": "{", "sub/mine.ipynb": by_cells, "PS1 (2).ipynb": "other"}
    ann[".ipynb_checkpoints/ps1-checkpoint.ipynb"] = "old"
    handed_in = {"ann": (ann,), "bob": ({"x.ipynb": "{}"},), "cleo": ({"note": ""},)}
    class_of.write(folder, handed_in | {"dan": ({"a/ps1.ipynb": "1", "b/ps1.ipynb": "2"},)})
    (folder / "cleo" / "ps2.ipynb").symlink_to(folder / "ann" / "ps1.ipynb")
    listed = submissions.collect(folder, ["ps1", "ps2"])
    missing = "not handed in"
    assert [(one.student, one.set, one.status) for one in listed] == [
        *[("ann", "ps1", ""), ("ann", "ps2", "")],
        *[("bob", "", "unknown notebook"), ("bob", "ps1", missing), ("bob", "ps2", missing)],
        *[("cleo", "", "unknown notebook"), ("cleo", "ps1", missing), ("cleo", "ps2", missing)],
        *[("dan", "ps1", "several notebooks"), ("dan", "ps2", missing)],
    ]
    assert listed[0].note == "not looked at: PS1 (2).ipynb" and listed[1].note == "handed in as sub/mine.ipynb"


@pytest.mark.parametrize(
    ("name", "status"),
    [("ps1.IPYNB", "unknown file"), ("ps1.ipynb.txt", "unknown file"), ("notes.txt", "not handed in")],
)
def test_a_file_that_may_have_been_meant_is_no_zero(tmp_path, name, status):
    class_of.write(tmp_path, {"ann": ({name: "{}"},), "bob": ({"ps1.ipynb": "{}"},)})
    ann, bob = submissions.collect(tmp_path, ["ps1"])
    assert (ann.student, ann.status, ann.path) == ("ann", status, None) and bob.path is not None


@pytest.mark.parametrize(
    ("folders", "file", "message"),
    [
        *(([name], None, "student's folder") for name in ("=cmd", "-x", "+1", "a\nb", "a;b", "a" * 101, "ann ", 'a"b')),
        *((["ann"], file, "stands in no student's folder") for file in ("ps1.ipynb", "ann.zip")),
        ([""], None, "holds no student's folder"),
        ([], None, "is no folder"),
        (["Ann", "ann"], None, "differ in case"),
    ],
)
def test_folders_that_are_no_class_are_refused(tmp_path, folders, file, message):
    for name in folders:
        (tmp_path / "in" / name).mkdir(parents=True)
    if file:
        (tmp_path / "in" / file).write_text("")
    with pytest.raises(ValueError, match=message):
        submissions.collect(tmp_path / "in", ["ps1"])


def test_nothing_graded_is_a_blank_and_no_zero():
    stripped = grade.row("ann", "ps1", {"status": "metadata stripped", "note": "=1+1\nx", "problems": []}, 10)
    assert (stripped["score"], stripped["pending"], stripped["note"]) == ("", "", " =1+1 x")
    problems = [{"problem": "1.1", "score": 2.5, "max": 4}, {"problem": "1.4", "score": None, "max": 6}]
    half = grade.row("ann", "ps1", {"status": "graded", "note": "", "problems": problems}, 10)
    assert (half["score"], half["max"], half["pending"], half["problems"]) == ("2.5", 10, 6, "1.1 2.5/4; 1.4 ?/6")
    assert grade.row("ann", "ps1", {"status": "not handed in", "note": "", "problems": []}, 10)["score"] == "0"
    assert "&lt;script&gt;" in grade.page("ps1", {"status": "failed", "note": "<script>"})


PROBLEMS = [{"problem": "1.4", "points": 6, "manual": True}, {"problem": "1.1", "points": 4, "manual": False}]
SETS = {"ps1": {"problems": dict(zip("ab", PROBLEMS, strict=True))}}
HEAD = ",".join(grade.POINTS) + "\n"


def test_points_by_hand_are_kept_when_the_table_grows(tmp_path):
    path = tmp_path / "manual.csv"
    grade.extend_points(path, [], [("ann", "ps1", "1.4", 6)])
    path.write_text(path.read_text().replace("1.4,6,,", '1.4,6,4.5,"good, but"'))
    lines, given = grade.read_points(path, SETS)
    assert given == {("ann", "ps1"): {"1.4": (4.5, "good, but")}}
    grade.extend_points(path, lines, [("ann", "ps1", "1.4", 6), ("bob", "ps1", "1.4", 6)])
    assert grade.read_points(path, SETS)[1] == given and len(grade.read_points(path, SETS)[0]) == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "must have the columns"),
        (HEAD + "ann,ps1,1.4,6,7,\n", "points = '7' must be a number from 0 to 6"),
        (HEAD + "ann,ps1,1.4,6,nan,\n", "points = 'nan'"),
        (HEAD + "ann,ps1,1.4,6,x,\n", "points = 'x'"),
        (HEAD + "ann,ps1,1.1,4,1,\n", "no problem '1.1' that is graded by hand"),
        (HEAD + "ann,ps1,1.4,6,,\nann,ps1,1.4,6,,\n", "line 3: ann ps1 1.4 is there twice"),
        (HEAD + "ann,ps1\n", "6 columns"),
    ],
)
def test_faults_in_points_by_hand_are_named(tmp_path, text, message):
    (tmp_path / "manual.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        grade.read_points(tmp_path / "manual.csv", SETS)


def test_only_our_own_folders_are_replaced(tmp_path):
    (tmp_path / "thesis").mkdir()
    files.refuse_foreign(tmp_path / "thesis", release.MANIFEST, release.MADE_BY)  # empty: free to take
    files.refuse_foreign(tmp_path / "new", release.MANIFEST, release.MADE_BY)
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    for place in ("thesis", "thesis/chapter.txt"):
        with pytest.raises(ValueError, match="was not made by"):
            files.refuse_foreign(tmp_path / place, release.MANIFEST, release.MADE_BY)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["build", "--seed", "-1"], "seed = -1"),
        (["build", "ps0"], "'ps0'"),
        (["build", "ps1", "ps1"], "named twice"),
        (["grade", "in", "--course", "in"], "course build --out"),
        (["check"], "this check needs the tests of the repository"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path, monkeypatch, capsys, command, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for module in (release, grade):
        monkeypatch.setattr(module, "need", lambda *_: None)
    monkeypatch.setattr(release, "ANSWERS", tmp_path / "test_problem_sets.py")
    assert main(["course", *command]) == 2 and message in capsys.readouterr().err


@pytest.mark.parametrize("limit", [{"timeout": 1}, {"memory": 0}, {"workers": -1}, {"timeout": 9.5}, {"workers": True}])
def test_a_limit_that_makes_no_sense_is_named(limit):
    ((name, value),) = limit.items()
    with pytest.raises(ValueError, match=f"{name} = {value} must be a whole number"):
        Limits(**limit)


# --- with nbgrader

needs_nbgrader = pytest.mark.course


def table_of(out):
    with open(out / "grades.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    folder = tmp_path_factory.mktemp("course") / "course"
    release.build_course(folder, check=False)  # what it gives away is another test's business
    return folder


@pytest.fixture(scope="module")
def notebooks(course):
    """{set: (filled in with the right answers, blank)}."""
    import nbformat

    found, instructor = {}, course / "instructor" / "source"
    for name in source.sets():
        blank, right = (nbformat.read(place / f"{name}.ipynb", 4) for place in (course / "student", instructor / name))
        found[name] = (class_of.filled(blank, right), blank)
    return found


@needs_nbgrader
def test_the_student_edition_works_by_itself(course, notebooks, tmp_path):
    """Unpacked from the zip, without an installed package or a repository, its imports and its commands run."""
    with zipfile.ZipFile(course / "student.zip") as archive:
        archive.extractall(tmp_path)
    here = tmp_path / "student"
    names = {path.relative_to(here).as_posix() for path in here.rglob("*") if path.is_file()}
    assert {"README.md", "requirements.txt", "LICENSE", "ps1.ipynb", "data/words.csv", "emo_teach/__init__.py"} <= names
    assert "jupyter lab --LabApp.app_settings_dir=.lab\n" in (here / "README.md").read_text()
    assert ".lab/overrides.json" in names, "no news box over the first problem"
    assert not re.search("authoring|solution|^tests/", "\n".join(names), re.MULTILINE | re.IGNORECASE)
    cells = [cell for cell in notebooks["ps1"][1].cells if cell.cell_type == "code"][:2]
    assert cells[0].metadata["jupyter"] == {"source_hidden": True}, "the bootstrap cell is folded"
    code = [
        "import sys; sys.path.insert(0, '')",
        *(cell.source for cell in cells),
        "import emo_teach.words; emo_teach.words.load_words()",
    ]
    code += ["from emo_teach.__main__ import main", "assert main(['verify', '--label', 'A4']) == 0"]
    command = [sys.executable, "-c", "\n".join([*code, "print(emo_teach.__file__)"])]
    ran = subprocess.run(command, cwd=here, capture_output=True, text=True, check=True, timeout=120)
    assert Path(ran.stdout.split()[-1]).parent == here / "emo_teach"
    pins = (here / "requirements.txt").read_text().split()
    assert all("==" in pin for pin in pins) and {pin.split("==")[0] for pin in pins} == set(release.FOR_STUDENTS)


@needs_nbgrader
def test_nothing_is_given_away():
    found, looked_for = release.leaked()
    assert found == [] and looked_for > 20 * len(source.sets())


@needs_nbgrader
def test_the_zip_is_the_same_each_time_and_another_for_another_seed(tmp_path):
    made = []
    for number, seed in enumerate((0, 0, 1)):
        release.build_course(tmp_path / str(number), seed, ["ps1"])
        made.append((tmp_path / str(number) / "student.zip").read_bytes())
    assert made[0] == made[1] != made[2]


@needs_nbgrader
@pytest.mark.parametrize("where", ["visible", "package"])
def test_a_course_that_gives_a_solution_away_is_not_built(tmp_path, monkeypatch, where):
    place = written(tmp_path, SETUP + ANSWER + TESTS)
    if where == "visible":
        place.write_text(place.read_text() + "# %% [markdown]\n# Try `spread = numpy_free_sum(a, b)`.\n")
    monkeypatch.setattr(source, "FOLDER", tmp_path)
    if where == "package":
        original = release._student_folder

        def with_a_hint(student, *rest):
            original(student, *rest)
            (student / "emo_teach" / "hint.py").write_text("spread = numpy_free_sum(a, b)")

        monkeypatch.setattr(release, "_student_folder", with_a_hint)
    with pytest.raises(ValueError, match=r"give answers away.*ps9, answer:1\.1"):
        release.build_course(tmp_path / "out")
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


@needs_nbgrader
def test_an_interrupted_build_leaves_the_old_course(course, tmp_path, monkeypatch):
    release.build_course(tmp_path / "out", names=["ps1"])
    before = (tmp_path / "out" / release.MANIFEST).read_bytes()
    monkeypatch.setattr(release, "_zip", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        release.build_course(tmp_path / "out", 1, ["ps1"])
    assert (tmp_path / "out" / release.MANIFEST).read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@needs_nbgrader
def test_every_set_goes_round(course, notebooks, tmp_path):
    """Right answers get all points that a program gives, blank ones none; only proofs wait for a person."""
    for student, which in (("right", 0), ("blank", 1)):
        handed_in = {f"{name}.ipynb": pair[which] for name, pair in notebooks.items()}
        class_of.write(tmp_path / "in", {student: (handed_in,)})
    sets = release.read_manifest(course)["sets"]
    rows = grade.grade_course(tmp_path / "in", course, tmp_path / "out", show=lambda *_, **__: None)
    assert len(rows) == 2 * len(sets)
    for row in rows:
        about = sets[row["set"]]
        auto = about["points"] - about["manual_points"]
        expected = (f"{auto:g}", about["manual_points"]) if row["student"] == "right" else ("0", 0)
        assert (row["status"], row["note"], row["max"]) == ("graded", "", about["points"]), row
        assert (row["score"], row["pending"]) == expected, row


@pytest.fixture(scope="module")
def graded(course, notebooks, tmp_path_factory):
    """A class of 34, graded once: (what was expected, table by student, folder, minutes)."""
    folder = tmp_path_factory.mktemp("class")
    listed = class_of.everyone(*notebooks["ps1"], notebooks["ps6"][0])
    class_of.write(folder / "in", listed)
    begun = time.monotonic()
    grade.grade_course(folder / "in", course, folder / "out", limits=Limits(timeout=24), show=print)
    return listed, table_of(folder / "out"), folder, (time.monotonic() - begun) / 60


@needs_nbgrader
def test_all_submissions_are_accounted_for(graded):
    listed, rows, folder, minutes = graded
    print(f"{len(listed)} submissions in {minutes:.1f} minutes")
    assert [row["student"] for row in rows] == sorted(listed) and len(rows) == 34
    wrong = []
    for row in rows:
        _, status, points, note = listed[row["student"]]
        first = row["problems"].split(";")[0].split()
        got = None if not first else float(first[1].split("/")[0])
        right = (row["status"], got, row["problems"] == "") == (status, points, points is None)
        if not right or note not in row["note"]:
            wrong.append(row)
    assert wrong == []
    assert {path.parent.name for path in (folder / "out" / "feedback").glob("*/ps1.html")} == set(listed)


@needs_nbgrader
def test_nothing_is_left_running_or_lying_about(graded):
    _, _, folder, _ = graded
    assert not _running(b"2345.25") and not _running(str(folder).encode())
    left = {"grades.csv", "manual.csv", "feedback", "results", "grading.json"}
    assert {path.name for path in (folder / "out").iterdir()} == left


@needs_nbgrader
def test_feedback_says_what_was_wrong_and_hides_the_tests(graded, notebooks):
    _, _, folder, _ = graded
    pages = {path.parent.name: path.read_text() for path in (folder / "out" / "feedback").glob("*/ps1.html")}
    assert "AssertionError" in pages["wrong"] and "sum to 1" in pages["wrong"]
    secrets = leaks.secrets(source.read(source.sets()["ps1"]), "ps1")
    hidden = [line for line, owner in secrets.items() if owner.endswith("hidden tests")]
    for student in ("wrong", "perfect", "doubled", "exits"):
        bare = leaks.normal(html.unescape(re.sub(r"<[^>]*>", "", pages[student])))
        assert hidden and not [line for line in hidden if line in bare], student


@needs_nbgrader
def test_a_second_call_grades_only_what_is_new(graded, course, notebooks):
    listed, rows, folder, _ = graded
    class_of.write(folder / "in", {"blank": ({"ps1.ipynb": notebooks["ps1"][0]},)})
    said, table = [], folder / "out" / "manual.csv"
    kept = [line for line in table.read_text().splitlines() if not line.startswith("perfect,ps1,1.6,")]
    table.write_text("\n".join([*kept, "perfect,ps1,1.6,6,5,Nearly."]) + "\n")
    show = lambda line, **_: said.append(line)
    again = grade.grade_course(folder / "in", course, folder / "out", limits=Limits(timeout=24), show=show)
    fresh = {line.split(" ps1:")[0] for line in said if "(as before)" not in line and " ps1:" in line}
    assert fresh == {"blank", "perfect", "nothing", "two of them", "zipped"}  # the last three have nothing to run
    before, after = ({row["student"]: row for row in table} for table in (rows, again))
    assert float(after["perfect"]["score"]) == float(before["perfect"]["score"]) + 5
    assert "Nearly." in (folder / "out" / "feedback" / "perfect" / "ps1.html").read_text(encoding="utf-8")
    assert float(after["blank"]["score"]) == float(before["perfect"]["score"])
    assert table.read_text().count("perfect,ps1,1.6,6,5,Nearly.") == 1


@needs_nbgrader
def test_a_killed_grading_goes_on_and_leaves_no_process(course, notebooks, tmp_path):
    slow = class_of.answered(notebooks["ps1"][0], "\nimport time; time.sleep(8)  # 2345.75", add=True)
    class_of.write(tmp_path / "in", {"ann": ({"ps1.ipynb": notebooks["ps1"][0]},), "bob": ({"ps1.ipynb": slow},)})
    places = [str(tmp_path / "in"), "--course", str(course), "--out", str(tmp_path / "out"), "--workers", "1"]
    command = [sys.executable, "-m", "emo_teach", "course", "grade", *places]
    process = subprocess.Popen(command, cwd=build.ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().startswith("ann ps1: graded")
    process.kill()
    process.communicate()
    end = time.monotonic() + 30
    while (left := _running(str(tmp_path).encode())) and time.monotonic() < end:
        time.sleep(0.2)
    assert left == []
    assert [row["student"] for row in table_of(tmp_path / "out")] == ["ann"]
    said = []
    grade.grade_course(tmp_path / "in", course, tmp_path / "out", show=lambda line, **_: said.append(line))
    assert any("(as before)" in line and line.startswith("ann") for line in said)
    assert any(line.startswith("bob ps1: graded") for line in said)


def _running(words):
    """Command lines of the other processes that contain some words."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if words in (text := path.read_bytes()) and path.parent.name != str(os.getpid()):
                found.append(text)
    return found


@needs_nbgrader
def test_gradings_do_not_run_into_one_another_nor_into_the_submissions(course, notebooks, tmp_path):
    class_of.write(tmp_path / "in", {"ann": ({"ps1.ipynb": notebooks["ps1"][1]},)})
    for out in ("in", "in/out", "."):
        with pytest.raises(ValueError, match="must not contain"):
            grade.grade_course(tmp_path / "in", course, tmp_path / out, show=lambda *_, **__: None)
    (tmp_path / "out").mkdir()
    with grade._alone(tmp_path / "out"), pytest.raises(ValueError, match="another grading"):
        files.refuse_foreign(tmp_path / "new", grade.MARKER, grade.MADE_BY)
        (tmp_path / "out" / grade.MARKER).write_text(json.dumps({"made_by": grade.MADE_BY}))
        grade.grade_course(tmp_path / "in", course, tmp_path / "out", show=lambda *_, **__: None)
