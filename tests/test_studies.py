"""A study finishes what it began: killed or not, its table ends with one row for every job."""

import io
import itertools
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emo_teach import __main__ as command_line
from emo_teach import files, studies
from emo_teach.studies import common, runner, summary
from emo_teach.studies import lesson07_objectives as objectives
from emo_teach.studies import lesson08_scratch as scratch
from emo_teach.studies import lesson09_questions as questions
from emo_teach.studies import lesson09_soft_labels as soft_labels
from emo_teach.world import World

ROOT = Path(__file__).resolve().parents[1]


def toy_jobs(rows):
    return [{"name": f"n{k}", "seed": seed, "rows": 2} for k in range(3) for seed in range(2)]


def toy_run(job, work):
    """Two rows a job; `trouble` in the work folder names a job that fails."""
    time.sleep(0.02)
    trouble, named = Path(work, "trouble"), {"name": job["name"], "seed": job["seed"]}
    if trouble.exists() and trouble.read_text() == job["name"]:
        raise RuntimeError("no such luck")
    with Path(work, "done").open("a") as file:
        file.write(f"{job['name']} {job['seed']}\n")
    return [named | {"part": part, "value": (1 + job["seed"]) / 3 + part} for part in (0, 1)]


def next_jobs(rows):
    return [{"name": name, "value": 1.0} for name in sorted({row["name"] for row in rows["toy"]})]


def copy_run(job, work):
    return [job] if job else []


TOY = runner.Stage("toy", ("name", "seed"), ("part", "value"), toy_jobs, toy_run)
MADE = runner.Stage("made", (), (), lambda rows: [{}], copy_run)
STAGES = (MADE, TOY, runner.Stage("toy_next", ("name",), ("value",), next_jobs, copy_run))


def run(folder, stages=STAGES, **more):
    with open(os.devnull, "w") as quiet:
        return runner.run(stages, folder / "csv", folder / "work", out=quiet, **more)


def rows(folder):
    return sorted(tuple(row.values()) for row in runner.read(folder / "csv" / "toy.csv"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study finished by two processes."""
    folder = tmp_path_factory.mktemp("whole")
    found = run(folder, workers=2)
    assert {name: len(rows) for name, rows in found.items()} == {"made": 0, "toy": 12, "toy_next": 3}
    return folder


@pytest.fixture
def threads(monkeypatch):
    """Threads in place of processes, which take a second each to start."""
    monkeypatch.setattr(runner, "ProcessPoolExecutor", lambda workers, *rest: ThreadPoolExecutor(workers))


def begun(folder, text):
    """The toy table of a folder, with this text."""
    (folder / "csv").mkdir()
    (folder / "csv" / "toy.csv").write_text(text)
    return folder / "csv" / "toy.csv"


def test_every_job_has_its_rows_and_is_done_once(whole):
    each = itertools.product(range(3), (0, 1), (0, 1))
    value = lambda seed, part: pytest.approx((1 + seed) / 3 + part, rel=1e-5)
    assert rows(whole) == [(f"n{k}", seed, part, value(seed, part)) for k, seed, part in each]
    before = (whole / "work" / "done").read_text()
    run(whole, workers=1)
    assert (whole / "work" / "done").read_text() == before


@pytest.mark.parametrize("cut", [1, 5, 12, 25])
def test_a_table_cut_off_anywhere_is_made_whole(whole, tmp_path, threads, cut):
    """Also if the cut falls between the two rows of one job: no row twice."""
    begun(tmp_path, (whole / "csv" / "toy.csv").read_text()[:-cut])
    run(tmp_path, workers=1)
    assert rows(tmp_path) == rows(whole)


@pytest.mark.slow
def test_a_kill_loses_nothing_finished(whole, tmp_path):
    script, table = tmp_path / "begin.py", tmp_path / "csv" / "toy.csv"
    begin = f"test_studies.run(Path({str(tmp_path)!r}), workers=1)"
    script.write_text(f"from pathlib import Path\nfrom tests import test_studies\nif __name__ == '__main__': {begin}")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, script], cwd=ROOT, env=environment, start_new_session=True)
    while not (table.exists() and table.read_text().count("\n") > 2):  # ends: the process either writes or has died
        assert process.poll() in (None, 0)
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = rows(tmp_path)
    run(tmp_path, workers=1)
    assert rows(tmp_path) == rows(whole) and set(kept) <= set(rows(tmp_path))


@pytest.mark.parametrize("shared", ["csv", "work"])
def test_two_studies_at_once_in_one_folder_are_refused(whole, tmp_path, threads, shared):
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    with files.alone(tmp_path / shared), pytest.raises(ValueError, match=f"{shared} is in use by another run"):
        run(tmp_path, workers=1)
    assert rows(tmp_path) == rows(whole)
    runner.run(STAGES[1:], tmp_path / "one", tmp_path / "one", 1, io.StringIO())  # one folder for both is no second run


def test_a_failing_job_is_reported_and_the_rest_is_kept(whole, tmp_path, threads):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "trouble").write_text("n2")
    with pytest.raises(RuntimeError, match="no such luck"):
        run(tmp_path, workers=1)
    assert len(rows(tmp_path)) >= 4
    (tmp_path / "work" / "trouble").unlink()
    run(tmp_path, workers=1)
    assert rows(tmp_path) == rows(whole)


OTHERS = {  # the second lacks the seed: which jobs are done?
    "name,seed,part,value,taste\nn0,0,0,1,2": "not this study's: taste. Move it away to begin anew",
    "name,part,value\nn0,0,1\n": "not this study's: name, part, value. Move",
}


@pytest.mark.parametrize("text", OTHERS)
def test_a_table_of_another_study_is_left_alone(tmp_path, text):
    table = begun(tmp_path, text)
    with pytest.raises(ValueError, match=OTHERS[text]):
        run(tmp_path)
    assert table.read_text() == text


def test_a_table_with_fewer_columns_is_read_and_filled(whole, tmp_path, threads):
    """Nothing is written while no job is missing; then all columns are, with nan where nothing was computed."""
    table = begun(tmp_path, (whole / "csv" / "toy.csv").read_text())
    more = replace(TOY, values=(*TOY.values, "extra"), run=lambda *job: [row | {"extra": 7} for row in toy_run(*job)])
    found = run(tmp_path, [more])["toy"]
    assert len(found) == 12 and all(math.isnan(row["extra"]) for row in found)
    assert table.read_bytes() == (whole / "csv" / "toy.csv").read_bytes()
    kept = table.read_text().splitlines(keepends=True)[:-2]  # without one job's rows, or one of two jobs each
    table.write_text("".join(kept))
    found = run(tmp_path, [more])["toy"]
    assert rows(whole) == sorted(tuple(row.values())[:4] for row in found)
    assert {row["extra"] for row in found if not math.isnan(row["extra"])} == {7} and len(runner.read(table)) == 12


@pytest.mark.parametrize("keys", [("name", "seed", "part"), ("name", "seed", "part", "value", "taste")])
def test_a_metric_without_a_column_is_an_error(tmp_path, threads, keys):
    stage = replace(TOY, run=lambda job, work: [dict.fromkeys(keys, 1)])
    with pytest.raises(ValueError, match=f"rows of 'toy' and columns of its table differ in {'value|taste'}"):
        run(tmp_path, [stage])
    assert runner.read(tmp_path / "csv" / "toy.csv") == []


def test_a_line_with_too_few_columns_is_named(tmp_path):
    (tmp_path / "t.csv").write_text("a,b\n1,2\n3\n")
    with pytest.raises(ValueError, match="t.csv, line 3: 1 columns, expected 2"):
        runner.read(tmp_path / "t.csv")


def test_unknown_study(capsys):
    with pytest.raises(ValueError, match="'nonsense'"):
        studies.load("nonsense")
    assert command_line.main(["study", "nonsense"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "'nonsense'" in told


# the committed tables

TABLES = [(name, stage) for name in studies.MODULES for stage in studies.load(name) if stage.columns]


@pytest.mark.parametrize(("name", "stage"), TABLES, ids=[stage.name for _, stage in TABLES])
def test_the_committed_tables_are_whole(name, stage, tmp_path):
    """Every job is done, every number finite, and what is read and written again has the same bytes."""
    found = studies.table(stage.name)
    jobs = stage.jobs({} if stage.name.endswith("_tuning") else {f"{name}_tuning": studies.table(f"{name}_tuning")})
    assert len({runner._key(stage, job) for job in jobs}) == len(jobs) > 30
    missing, kept = runner.unfinished(stage, jobs, found)
    assert missing == [] and len(kept) == len(found) and set(found[0]) == set(stage.columns)
    assert all(np.isfinite(row[metric]) for row in found for metric in set(stage.columns) & set(common.METRICS))
    if stage.name == name:
        assert len({row["seed"] for row in found}) >= 5 and set(common.metrics(name)) < set(stage.columns)
    committed = ROOT / "data" / "studies" / f"{stage.name}.csv"
    table = runner._Table(shutil.copy(committed, tmp_path), stage)
    table.write(table.rows())
    assert table.path.read_bytes() == committed.read_bytes()


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("objectives", "scratch", "questions")]


@pytest.mark.parametrize("name", [*SLOW, "soft_labels"])
def test_the_command_draws_the_pictures(name, tmp_path, monkeypatch, capsys):
    """All jobs of the committed tables are done; the pretraining, which has no table, is left out here."""
    from emo_teach import figures

    stages = studies.load(name)
    monkeypatch.setattr(studies, "load", lambda name: [stage for stage in stages if stage.columns])
    monkeypatch.chdir(ROOT)
    assert command_line.main(["study", name, "--work", str(tmp_path)]) == 0
    paths = capsys.readouterr().out.split()
    assert paths == [str(tmp_path / f"{name}-{part}.png") for part in figures.STUDIES[name]]
    assert all(Path(path).read_bytes().startswith(b"\x89PNG") for path in paths)


def test_grid_and_the_lowest_of_it():
    assert common.grid(a=(1, 2), b="xy") == [{"a": a, "b": b} for a in (1, 2) for b in "xy"]
    values = [("a", 3.0), ("a", 2.0), ("b", math.nan), ("a", 2.5), ("b", 9.0), ("c", math.nan)]
    found = common.best([{"o": o, "v": v, "k": k} for k, (o, v) in enumerate(values)], ("o",), "v")
    assert {key: row["k"] for key, row in found.items()} == {("a",): 1, ("b",): 4, ("c",): 5}


# one job of each stage, end to end


@pytest.fixture(params=[16, pytest.param(None, marks=pytest.mark.slow)], ids=["tiny", "full"])
def hurried(request, monkeypatch):
    """Two steps of training; "tiny" also takes 16 texts at most of each kind."""
    monkeypatch.setattr(common, "SETTINGS", {"steps": 2, "batch_size": 4, "lr": 1e-3})
    for module, steps in ((objectives, 2), (scratch, 3), (soft_labels, 2)):
        monkeypatch.setattr(module, "STEPS", steps)
    if request.param:
        sample, most = World.sample, request.param
        monkeypatch.setattr(World, "sample", lambda self, n, length, seed: sample(self, min(n, most), length, seed))
        monkeypatch.setattr(objectives, "SAMPLES", most)
        monkeypatch.setattr(scratch, "BATCH", 4)
    return request.param


def checked(stage, job, work):
    """The rows of a job: all columns, all metrics finite."""
    rows = stage.run(job, work)
    for row in rows:
        assert set(row) == set(stage.columns)
        assert np.isfinite([row[name] for name in set(stage.columns) & set(common.METRICS)]).all()
    return rows


def test_jobs_of_objectives(tmp_path, hurried):
    """Cross-entropy's temperature meets the other's entropy."""
    pretraining, tuning, comparison = objectives.STAGES
    assert pretraining.run(next(job for job in pretraining.jobs({}) if job["width"] == 12), tmp_path) == []
    trial = {"regime": "small model", "lr": 1e-3, "setting": ""}
    tuned = checked(tuning, trial | {"objective": "emo-mode-1"}, tmp_path)
    tuned.append(trial | {"objective": "ce", "perplexity": 9.0})
    jobs = [job for job in comparison.jobs({"objectives_tuning": tuned}) if job["seed"] == 0]
    ours, untouched = (next(job for job in jobs if job["cell"] == cell) for cell in ("emo-mode-1", "untouched"))
    both = checked(comparison, ours, tmp_path)
    assert [row["objective"] for row in both] == ["emo-mode-1", "ce matched to emo-mode-1"]
    assert both[0]["entropy"] == pytest.approx(both[1]["entropy"], abs=1e-6)
    assert len(checked(comparison, untouched | {"regime": "small model"}, tmp_path)) == 1


def test_jobs_from_scratch(tmp_path, hurried, monkeypatch):
    """A row for each step that is watched; a run that stops on the way is the same until there."""
    monkeypatch.setattr(scratch, "WATCHED", (0, 2, 3))
    tuning, main = scratch.STAGES
    tuned = [row for rate in (1e-3, 1e-2) for row in checked(tuning, {"objective": "x/(1 - x)", "lr": rate}, tmp_path)]
    assert scratch.best(tuned)["x/(1 - x)",] == min(tuned, key=lambda row: row["tv"])
    found = checked(main, {"objective": "x/(1 - x)", "lr": 1e-3, "seed": 0}, tmp_path)
    assert [row["step"] for row in found] == [0, 2, 3] and found[-1]["tv"] < found[0]["tv"]
    world, ends = World(), {}
    loss = scratch.make_loss("x/(1 - x)", world)
    model = scratch.train(loss, world, 1e-3, 0, lambda step, model: ends.update({step: model}), until=2)
    judge = scratch.Judge(world, 100, scratch.TEST_SEED)
    assert list(ends) == [0, 2] and judge.measure(model)["tv"] == pytest.approx(found[1]["tv"], rel=1e-5)


def test_jobs_of_the_questions(tmp_path, hurried):
    cell, pretraining, tuning, main = common.Cell(2, 1, 12, 40), *questions.STAGES
    seeds = (0,) if hurried else (0, 1)
    for seed in (0, *seeds):  # the second time it is there
        assert pretraining.run({"synonyms": 2, "layers": 1, "width": 12, "seed": seed}, tmp_path) == []
    job = {"synonyms": 2, "layers": 1, "width": 12, "texts": 40}
    settings = {name: (1e-3, 2) for name in questions.OBJECTIVES}
    for name in ("emo-mode-1 shuffled",) if hurried else settings:
        checked(tuning, job | {"objective": name, "lr": 1e-3, "steps": 2}, tmp_path)
    rows = [row for s in seeds for row in checked(main, job | {"seed": s, "settings": settings}, tmp_path)]
    matched = {common.MATCHED + name for name in settings if name != "ce"}
    assert {row["objective"] for row in rows} == matched | set(settings)
    for row in rows:
        for name in ("", "reverse_"):
            parts = row[f"{name}kl_between"] + row[f"{name}kl_inside"]
            assert parts == pytest.approx(row["reverse_kl" if name else "forward_kl"], abs=1e-9)
    names = ("emo-mode-1", "ce matched to emo-mode-1")
    ours, cooled = ({row["seed"]: row for row in rows if row["objective"] == name} for name in names)
    assert ours[0]["entropy"] == pytest.approx(cooled[0]["entropy"], abs=1e-6)
    gains = questions.gains(rows, [cell], "tv")
    np.testing.assert_allclose(gains, [[cooled[seed]["tv"] - ours[seed]["tv"]] for seed in seeds])
    with pytest.raises(ValueError, match="no row"):
        questions.by_seed(rows, common.Cell(), "ce", "tv")


def test_jobs_of_soft_labels(tmp_path, hurried, monkeypatch):
    monkeypatch.setattr(soft_labels, "WATCHED", (0, 2))
    pretraining, tuning, main = soft_labels.STAGES
    assert pretraining.run(pretraining.jobs({})[0], tmp_path) == []
    for job in common.grid(labels=soft_labels.LABELS, objective=soft_labels.OBJECTIVES, lr=[1e-3]):
        if not hurried or (job["labels"], job["objective"]) in (("teacher", "emd"), ("synonyms", "ce")):
            checked(tuning, job, tmp_path)
            assert [row["step"] for row in checked(main, job | {"seed": 0}, tmp_path)] == [0, 2]


# what belongs to one study


def test_equal_budget():
    """As many trials for all, but for one, and no objective may look where others may not."""
    trials = [objectives.trials(name) for name in objectives.OBJECTIVES]
    assert {len(found) for found in trials} == {7, 8}
    assert {(min(rate for rate, _ in found), max(rate for rate, _ in found)) for found in trials} == {(5e-5, 3.2e-3)}


def test_the_committed_objectives_are_all():
    names = {row["objective"] for row in studies.table("objectives")}
    matched = {common.MATCHED + name for name in objectives.OBJECTIVES if name != "ce"}
    assert names == {objectives.UNTOUCHED} | set(objectives.OBJECTIVES) | matched


def test_cells_vary_one_thing_at_a_time():
    base, cells = common.Cell(), questions.CELLS
    assert base in cells and len(cells) == len(set(cells)) == 11
    things = lambda cell: (cell.synonyms, cell.texts, (cell.layers, cell.width))
    assert all(sum(a != b for a, b in zip(things(cell), things(base), strict=True)) <= 1 for cell in cells)


def test_neighbours_are_near_and_no_synonyms():
    unit = np.random.default_rng(0).normal(size=(12, 4))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    classes = np.repeat(np.arange(4), 3)
    near = questions.neighbours(unit, classes, count=2)
    assert (near.sum(1) == 2).all() and not (near & (classes[:, None] == classes)).any()
    for t in range(12):
        others = [k for k in range(12) if classes[k] != classes[t]]
        assert set(np.flatnonzero(near[t])) == set(sorted(others, key=lambda k: -unit[k] @ unit[t])[:2])


def test_soft_labels_of_both_kinds():
    world, spread = World(**soft_labels.WORLD, shift=1.0), soft_labels.SPREAD
    texts = world.sample(3, 6, seed=0)
    true, smooth = (soft_labels.make_labels(kind, world, texts) for kind in soft_labels.LABELS)
    np.testing.assert_array_equal(true, world.next_word(texts)[:, :-1])
    np.testing.assert_allclose(smooth.sum(-1), 1)
    came = np.take_along_axis(smooth, texts[:, 1:, None], -1)[..., 0]
    mates = (world.classes[texts[:, 1:]][..., None] == world.classes).sum(-1)
    np.testing.assert_allclose(came, 1 - spread + spread / mates)


# what the seeds allow to say


def test_the_readmes_table_is_the_studys():
    """Every number of "Should I use EMO?" is a mean and its standard error from the committed table."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = text.split("<!-- measured: many texts -->\n")[1].split("\n\n")[0].splitlines()[2:]
    metrics = ("perplexity", "forward_kl", "reverse_kl", "emd_classes", "mauve", "emo", "entropy")
    table = summary.Table(studies.table("objectives"), "many texts", metrics)
    texts = dict(zip(table.names, table.texts, strict=True))
    names = ("ce", "emo-mode-1", "ce matched to emo-mode-1", "ce+emo", "ce+debiased")
    assert len(lines) == len(metrics)
    for k, line in enumerate(lines):
        assert [cell.strip() for cell in line.strip("|").split("|")[1:]] == [texts[name][k] for name in names]


def test_interval_is_students_for_any_number_of_seeds():
    mean, half = summary.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3 and half == pytest.approx(2.7764451052 * np.sqrt(2.5 / 5))
    old = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26, 1001: 1.96}
    for count, quantile in old.items():
        (_, error), (_, half) = summary.mean_and_error(range(count)), summary.interval(range(count))
        assert round(half / error, 2) == quantile
    with pytest.raises(ValueError, match="a standard error takes two"):
        summary.interval([1.0])


def seeds(**values):
    cells = [(objective, *each) for objective, found in values.items() for each in enumerate(found)]
    return [{"regime": "r", "objective": o, "seed": k, "tv": v, "entropy": v} for o, k, v in cells]


def test_verdicts():
    found = seeds(ce=[3.0, 3.1, 3.2], emo=[2.0, 2.15, 2.2], other=[2.9, 3.2, 3.2], few=[1.0, 2.0])
    assert summary.verdict(found, "r", "tv", "emo", "ce")[0] == "better"
    assert summary.verdict(found, "r", "tv", "ce", "emo")[0] == "worse"
    assert summary.marks(found, ["r", "r"], ["tv"], "other", "ce") == ["? ?"]
    for bad, words in (
        (("entropy", "emo", "ce"), "more is not better or worse"),
        (("tv", "few", "ce"), "few has 2 seeds and ce 3"),
        (("tv", "none", "ce"), "no row of the table has regime 'r' and objective 'none'"),
    ):
        with pytest.raises(ValueError, match=words):
            summary.verdict(found, "r", *bad)


def test_the_table_marks_what_cannot_be_told_from_the_best():
    found = seeds(**{"ce": [3.0, 3.1, 3.2], "a<b": [2.0, 2.15, 2.2], "ce matched to a<b": [2.1, 2.1, 2.2]})
    table = summary.Table(found, "r", ("tv", "entropy"))
    assert table.names == ["ce", "a<b", "ce matched to a<b"] and table.best(0) == ["a<b", "ce matched to a<b"]
    text, page = repr(table), table._repr_html_()
    assert "r: tv, entropy" in text and "3.10 ± 0.06" in text
    sure = summary.Table(seeds(a=[1.0, 1.01], b=[1.0, 3.0], c=[1.0, 2.0]), "r", ["tv"])
    assert sure.texts == [["1.005 ± 0.005"], ["2.0 ± 1.0"], ["1.5 ± 0.5"]]  # never ± 0
    assert page.count("<b>") == 2
    assert all(words in page for words in ("a&lt;b", "TV ↓", "entropy</th>", "CE at its entropy"))
