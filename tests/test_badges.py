"""`badges` says where the lessons are published. Here it does so in a copy of the project: nothing else may change."""

import json
import shutil
import tomllib

import pytest

from emo_teach.__main__ import main
from emo_teach.authoring import build

SLUG, REF = "some-owner/emo.teach", "v1"
LESSONS = "emo_teach/authoring/sources/lessons"
NAMES = ["00_start_here", "03_exact_emd_linear_programming", "appendix_derivations"]


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of what the command reads and writes, with three lessons, not published yet; `build` works on it."""
    root = tmp_path / "copy"
    (root / "notebooks").mkdir(parents=True)
    (root / LESSONS).mkdir(parents=True)
    names = [f"notebooks/{name}.ipynb" for name in NAMES] + [f"{LESSONS}/{name}.py" for name in NAMES]
    for name in ["README.md", "pyproject.toml", *names]:
        shutil.copy(build.ROOT / name, root / name)
    for name, place in (("ROOT", root), ("LESSONS", root / "notebooks"), ("SOURCES", root / LESSONS)):
        monkeypatch.setattr(build, name, place)
    build.publish("", "main")
    return root


def texts(root):
    """Contents of every file of the copy, by its path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_lesson_gets_its_badge_and_address_and_nothing_else_changes(copy, capsys):
    before = texts(copy)
    assert main(["badges", "--repo", SLUG, "--ref", REF]) == 0
    after, said = texts(copy), capsys.readouterr().out
    assert tomllib.loads(after["pyproject.toml"].decode())["tool"]["emo_teach"] == {"slug": SLUG, "ref": REF}
    changed = ["README.md", "pyproject.toml", *(f"notebooks/{name}.ipynb" for name in NAMES)]
    assert {name for name in before if after[name] != before[name]} == set(changed) and set(after) == set(before)
    assert said.splitlines() == [*changed, f"published at github.com/{SLUG}, {REF}"]
    readme = after["README.md"].decode()
    assert readme.count(build.BADGE) == len(NAMES)
    for name in NAMES:
        link = f"(https://colab.research.google.com/github/{SLUG}/blob/{REF}/notebooks/{name}.ipynb)"
        (row,) = [line for line in readme.splitlines() if f"(notebooks/{name}.ipynb)" in line and line[0] == "|"]
        old, new = (text[f"notebooks/{name}.ipynb"].decode() for text in (before, after))
        cells, fresh = json.loads(new)["cells"], build.read_source(build.SOURCES / f"{name}.py").cells
        lines = "".join(cells[0]["source"]).splitlines()
        assert row.count(link) == 1 and lines[0].startswith("# ") and lines[1] == lines[3] == ""
        assert lines[2].endswith(link) and "\n".join(lines) == fresh[0].source and cells[0]["id"] == fresh[0].id
        (bootstrap,) = ["".join(cell["source"]) for cell in cells if "bootstrap" in cell["metadata"].get("tags", ())]
        assert f'HOME = "git+https://github.com/{SLUG}@{REF}"' in bootstrap
        old, new = old.splitlines(), new.splitlines()
        gone, added = ([line for line in one if line not in set(other)] for one, other in ((old, new), (new, old)))
        assert len(gone) == 1 and "HOME = " in gone[0]  # the badge only adds lines
        assert len(added) == 2 and build.BADGE in added[0] and "HOME = " in added[1] and len(new) == len(old) + 2
    assert build.publish(SLUG, REF) == [], "a second time there is nothing to do"
    build.publish("other/name", "main")
    assert not any(b"some-owner" in text for text in texts(copy).values())
    assert main(["badges", "--repo", ""]) == 0 and "no badges" in capsys.readouterr().out
    assert texts(copy) == before


SLUGS = [
    "owner",
    "owner/",
    "/name",
    "owner/name/more",
    "https://github.com/o/n",
    "own er/name",
    "-o/n",
    'o/n"',
    "o/n.git",
]
REFS = ["", "a/b", "-x", "a b", "a..b", "v1.", "x.lock", 'v"1', "v1\n", None]


@pytest.mark.parametrize(
    ("slug", "ref", "message"),
    [(slug, REF, "repo = ") for slug in [*SLUGS, "o/..", None]] + [(SLUG, ref, "ref = ") for ref in REFS],
)
def test_a_wrong_address_is_refused(monkeypatch, slug, ref, message):
    monkeypatch.setattr(build, "_write", lambda texts: pytest.fail("nothing may be written"))
    with pytest.raises(ValueError, match=message):
        build.publish(slug, ref)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("README.md", "<!-- end of table -->", "", "README.md must have one table"),
        ("pyproject.toml", "\nslug = ", "\nslag = ", "one line slug"),
        (f"{LESSONS}/00_start_here.py", "# # 00", "# # 0", "00_start_here.ipynb is older than its source"),
        (f"{LESSONS}/00_start_here.py", "] meets", "] needs", "00_start_here.py: its first line"),
    ],
)
def test_an_unexpected_file_is_named_and_nothing_is_written(copy, name, old, new, message):
    path = copy / name
    path.write_text(path.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    before = texts(copy)
    with pytest.raises(ValueError, match=message):
        build.publish(SLUG, REF)
    assert texts(copy) == before


def test_the_command_says_in_one_line_what_is_wrong(capsys):
    assert main(["badges", "--repo", "nonsense"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "owner/name" in error
