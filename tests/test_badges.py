"""One command says where the lessons are published; here it does so in a copy of the project, and every file outside what it must change stays."""

import json
import shutil
import subprocess
import sys
import tomllib

import pytest

from emo_teach import files
from emo_teach.authoring import badges, build

SLUG, REF = "some-owner/emo.teach", "v1"


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of what the command reads and writes, not published yet; `build` works on it."""
    root = tmp_path / "copy"
    shutil.copytree(build.LESSONS, root / "notebooks", ignore=shutil.ignore_patterns("images", ".ipynb_checkpoints"))
    for name in ("README.md", "pyproject.toml"):
        shutil.copy(build.ROOT / name, root)
    monkeypatch.setattr(build, "ROOT", root)
    monkeypatch.setattr(build, "LESSONS", root / "notebooks")
    monkeypatch.setattr(build, "SOURCES", root / "notebooks" / "src")
    badges.rewrite("", "main")
    return root


def texts(root):
    """Contents of every file of the copy, by its path."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_every_lesson_gets_its_badge_and_address(copy):
    badges.rewrite(SLUG, REF)
    assert tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["emo_teach"] == {
        "slug": SLUG,
        "ref": REF,
    }
    readme = (copy / "README.md").read_text(encoding="utf-8")
    for path in build.sources():
        link = f"(https://colab.research.google.com/github/{SLUG}/blob/{REF}/notebooks/{path.stem}.ipynb)"
        (row,) = [
            line for line in readme.splitlines() if f"(notebooks/{path.stem}.ipynb)" in line and line.startswith("|")
        ]
        cells = json.loads((copy / "notebooks" / f"{path.stem}.ipynb").read_text(encoding="utf-8"))["cells"]
        lines = "".join(cells[0]["source"]).splitlines()
        assert (
            row.count(link) == 1
            and lines[0].startswith("# ")
            and lines[1] == lines[3] == ""
            and lines[2].endswith(link)
        )
        (bootstrap,) = ["".join(cell["source"]) for cell in cells if "bootstrap" in cell["metadata"].get("tags", ())]
        assert f'HOME = "git+https://github.com/{SLUG}@{REF}"' in bootstrap
    assert readme.count(badges.IMAGE) == len(build.sources()) == 11


def test_a_notebook_stays_the_pair_of_its_source(copy):
    import nbformat

    badges.rewrite(SLUG, REF)
    for path in build.sources():
        source, built = build.read_source(path), nbformat.read(copy / "notebooks" / f"{path.stem}.ipynb", as_version=4)
        assert [(c.cell_type, c.source, c.id) for c in built.cells] == [
            (c.cell_type, c.source, c.id) for c in source.cells
        ]


def test_nothing_else_changes_and_it_can_be_taken_back(copy):
    before = texts(copy)
    changed = badges.rewrite(SLUG, REF)
    after = texts(copy)
    assert {name for name in before if after[name] != before[name]} == {
        path.relative_to(copy).as_posix() for path in changed
    }
    assert len(changed) == 13 and set(after) == set(before)
    for name in (name for name in before if name.endswith(".ipynb")):
        old, new = before[name].decode().splitlines(), after[name].decode().splitlines()
        gone = [line for line in old if line not in set(new)]
        added = [line for line in new if line not in set(old)]
        assert len(gone) == 1 and "HOME = " in gone[0]  # the badge only adds lines
        assert len(added) == 2 and badges.IMAGE in added[0] and "HOME = " in added[1]
        assert len(new) == len(old) + 2
    assert badges.rewrite(SLUG, REF) == [], "a second time there is nothing to do"
    badges.rewrite("other/name", "main")
    assert not any(b"some-owner" in text for text in texts(copy).values())
    badges.rewrite("", "main")
    assert texts(copy) == before


@pytest.mark.parametrize(
    "slug",
    [
        "owner",
        "owner/",
        "/name",
        "owner/name/more",
        "https://github.com/o/n",
        "own er/name",
        "-o/n",
        'o/n"',
        "o/n.git",
        "o/..",
        None,
    ],
)
def test_a_wrong_repository_is_refused(copy, slug):
    before = texts(copy)
    with pytest.raises(ValueError, match="repo = "):
        badges.rewrite(slug, REF)
    assert texts(copy) == before


@pytest.mark.parametrize("ref", ["", "a/b", "-x", "a b", "a..b", "v1.", "x.lock", 'v"1', "v1\n", None])
def test_a_wrong_ref_is_refused(copy, ref):
    with pytest.raises(ValueError, match="ref = "):
        badges.rewrite(SLUG, ref)


def test_a_write_that_fails_puts_the_others_back(copy, monkeypatch):
    before, replace, calls = texts(copy), files.os.replace, []

    def third_fails(*names):
        calls.append(names)
        if len(calls) == 3:
            raise OSError("no space left")
        replace(*names)

    monkeypatch.setattr(files.os, "replace", third_fails)
    with pytest.raises(OSError, match="no space"):
        badges.rewrite(SLUG, REF)
    assert len(calls) == 5 and texts(copy) == before


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("README.md", "<!-- end of table -->", "", "README.md must have one table"),
        ("pyproject.toml", "\nslug = ", "\nslag = ", "one line slug"),
        ("notebooks/00_start_here.ipynb", '"cells": [', '"cells":[', "00_start_here.ipynb is not as"),
    ],
)
def test_an_unexpected_file_is_named_and_nothing_is_written(copy, name, old, new, said):
    path = copy / name
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    before = texts(copy)
    with pytest.raises(ValueError, match=said):
        badges.rewrite(SLUG, REF)
    assert texts(copy) == before


def test_the_command_says_in_one_line_what_is_wrong():
    wrong = subprocess.run(
        [sys.executable, "-m", "emo_teach", "badges", "--repo", "nonsense"], capture_output=True, text=True
    )
    assert wrong.returncode == 2 and wrong.stderr.count("\n") == 1 and "owner/name" in wrong.stderr
