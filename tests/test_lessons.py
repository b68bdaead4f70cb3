"""Every lesson: its pair agrees, its outputs are whole and fresh, its form is kept, its exercises work."""

import re
import statistics

import pytest

from emo_teach.authoring import build
from tests import lessons
from tests.lessons import (
    EXEMPT,
    LESSONS,
    SOURCES,
    built,
    code_cells,
    exempt,
    image_alts,
    said,
    same_text,
    tags,
    without_attempts,
)

EVERY = list(SOURCES)
MINUTES = {"07": 1.0, "09": 1.2, "08": 0.6, "ap": 0.4, "06": 0.3}  # the long ones begin first


def test_every_notebook_has_a_source():
    assert sorted(path.stem for path in build.LESSONS.glob("*.ipynb")) == sorted(EVERY)


@pytest.mark.parametrize("name", EVERY)
def test_pair_agrees(name):
    source, notebook = build.read_source(SOURCES[name]), built(name)
    assert [(c.cell_type, c.source, tags(c), c.id) for c in notebook.cells] == [
        (c.cell_type, c.source, tags(c), c.id) for c in source.cells
    ]


@pytest.mark.parametrize("name", sorted(EVERY, key=lambda name: -MINUTES.get(name[:2], 0)))
@pytest.mark.first
def test_runs_with_solutions_and_shows_what_is_committed(name):
    """The one execution of each lesson: every exercise is solved, all other cells show what the committed ones show."""
    lessons.run_solved(name)


def test_staleness_would_be_seen():
    assert same_text("loss 0.6931 nats, error 1e-16", "loss 0.6932 nats, error 3e-17")
    assert same_text("equal, exactly", "equal, error 2e-16") and not same_text("equal, exactly", "equal, error 2e-6")
    assert not same_text("loss 0.69 nats", "loss 0.70 nats")
    assert not same_text("loss 0.69 nats", "loss 0.69 bits")
    assert not same_text("1 2", "1 2 3")
    assert without_attempts("a 1\n(not attempted yet)\nb", "a 1\nyours: 2\nb") == ("a 1\nb", "a 1\nb")
    assert without_attempts("a 1", "a 2") == ("a 1", "a 2")


@pytest.mark.parametrize("name", EVERY)
def test_outputs_are_whole(name):
    notebook = built(name)
    assert notebook.metadata == build.METADATA
    for cell in code_cells(notebook):
        assert cell.execution_count or not cell.source
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", output.get("text")
            data = output.get("data", {})
            assert build.WIDGET_VIEW not in data
            assert not any(kind.startswith("image/") for kind in data), (
                "a bare image has no alt text: use pictures.show"
            )
            assert not lessons.ABSOLUTE_PATH.search(said(output)), said(output)
            assert "<object at 0x" not in said(output)


@pytest.mark.parametrize("name", EVERY)
def test_every_picture_has_alt_text(name):
    for cell in built(name).cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"!\[\s*\]\(", cell.source)
            html = [cell.source]
        else:
            html = [output.get("data", {}).get("text/html", "") for output in cell.outputs]
        for alt in (alt for piece in html for alt in image_alts(piece)):
            assert len(alt) > 40, f"alt text that says too little: {alt!r}"


@pytest.mark.parametrize("name", EVERY)
def test_size(name):
    assert (build.LESSONS / f"{name}.ipynb").stat().st_size < 1_000_000


@pytest.mark.parametrize("name", EVERY)
def test_bootstrap_is_the_one(name):
    cells = [(cell.source, cell.metadata) for cell in built(name).cells if "bootstrap" in tags(cell)]
    assert cells == [(build.bootstrap_cell(), {"tags": ["bootstrap"], **build.FOLDED})]


def test_the_first_lesson_says_how_to_begin_and_its_slider_comes_first():
    begin, setup, slider = build.read_source(SOURCES["00_start_here"]).cells[:3]
    assert "*Run > Run All Cells*" in begin.source.split("\n\n")[1] and "*Restart Kernel*" in begin.source
    assert "bootstrap" in tags(setup) and slider.source.endswith(".explorer()")


@pytest.mark.parametrize("name", LESSONS)
def test_form(name):
    notebook = built(name)
    plain = [
        c
        for c in code_cells(notebook)
        if not any(t == "bootstrap" or t.startswith(("exercise:", "check:")) for t in tags(c))
    ]
    lines = [sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in plain]
    words = sum(len(cell.source.split()) for cell in notebook.cells if cell.cell_type == "markdown")
    assert notebook.cells[0].source.splitlines()[0].endswith("?"), "the title is a question"
    assert statistics.median(lines) <= 8
    assert max(lines) <= 15
    if name != "00_start_here":
        assert 10 <= len(plain) <= 25
        assert 400 <= words <= 1900, f"{words} words, formulas and tables counted in"


@pytest.mark.parametrize("name", EVERY)
def test_links_lead_somewhere(name):
    text = "\n".join(cell.source for cell in built(name).cells if cell.cell_type == "markdown")
    for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        assert link.startswith("https://") or (build.LESSONS / link).exists(), link


@pytest.mark.parametrize("name", EVERY)
def test_every_formula_stated_has_a_row(name):
    from emo_teach import verify

    text = "\n".join(cell.source for cell in built(name).cells if cell.cell_type == "markdown")
    assert set(re.findall(r"\\tag\{([AD]\d+)\}", text)) <= set(verify.LESSON_OF)


@pytest.mark.parametrize("name", EVERY)
def test_prose_stands_on_its_own(name):
    text = "\n".join(cell.source for cell in built(name).cells)
    assert not re.search(r"\b(TODO|FIXME|guide\.md|facts\.md|design\.md)\b", text)


@pytest.mark.parametrize("name", LESSONS[1:])
def test_stubs_say_not_attempted(name):
    checks = [c for c in code_cells(built(name)) if any(t.startswith("check:") for t in tags(c))]
    assert len(checks) >= 3
    assert all("not attempted yet" in said(c.outputs[-1]) for c in checks)


def test_exempt_cells_are_few():
    for name in EVERY:
        assert sum(exempt(cell) for cell in built(name).cells) <= 3, (name, EXEMPT)
