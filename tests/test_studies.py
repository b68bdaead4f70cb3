"""A study finishes what it began: killed or not, its table ends with one row for every job."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from emo_teach import studies
from emo_teach.studies import lesson07_objectives, runner, starts, summary

ROOT = Path(__file__).resolve().parents[1]


def toy_jobs(rows):
    return [{"name": f"n{k}", "seed": seed, "rows": 2} for k in range(3) for seed in range(2)]


def toy_run(job, work):
    """Two rows a job; `trouble` in the work folder names a job that fails."""
    time.sleep(0.02)
    trouble = Path(work, "trouble")
    if trouble.exists() and trouble.read_text() == job["name"]:
        raise RuntimeError("no such luck")
    with Path(work, "done").open("a") as file:
        file.write(f"{job['name']} {job['seed']}\n")
    return [job | {"part": part, "value": (1 + job["seed"]) / 3 + part} for part in (0, 1)]


def next_jobs(rows):
    return [{"name": name} for name in sorted({row["name"] for row in rows["toy"]})]


def next_run(job, work):
    return [job | {"value": 1.0}]


STAGES = (
    runner.Stage("first", "toy", ("name", "seed", "part", "value"), ("name", "seed"), toy_jobs, toy_run),
    runner.Stage("second", "toy_next", ("name", "value"), ("name",), next_jobs, next_run),
)


def run(folder, **more):
    with open(os.devnull, "w") as quiet:
        return runner.run(STAGES, folder / "csv", folder / "work", out=quiet, **more)


def rows(folder):
    return sorted(tuple(row.values()) for row in runner.read(folder / "csv" / "toy.csv"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    found = run(folder, workers=2)
    assert set(found) == {"toy", "toy_next"} and len(found["toy_next"]) == 3
    return folder


def test_every_job_has_its_rows(whole):
    assert rows(whole) == sorted(
        (f"n{k}", seed, part, pytest.approx((1 + seed) / 3 + part, rel=1e-5))
        for k in range(3)
        for seed in (0, 1)
        for part in (0, 1)
    )


def test_a_finished_study_does_nothing_more(whole):
    before = (whole / "work" / "done").read_text()
    run(whole, workers=1)
    assert (whole / "work" / "done").read_text() == before


@pytest.mark.parametrize("cut", [1, 5, 12, 25])
def test_a_table_cut_off_anywhere_is_made_whole(whole, tmp_path, cut):
    """Also where the cut falls between the two rows of one job: no row twice."""
    (tmp_path / "csv").mkdir()
    text = (whole / "csv" / "toy.csv").read_bytes()
    (tmp_path / "csv" / "toy.csv").write_bytes(text[:-cut])
    run(tmp_path, workers=1)
    assert rows(tmp_path) == rows(whole)


def test_a_kill_loses_nothing_finished(whole, tmp_path):
    code = f"from pathlib import Path\nfrom tests import test_studies\nif __name__ == '__main__': test_studies.run(Path({str(tmp_path)!r}), workers=1)"
    script = tmp_path / "begin.py"
    script.write_text(code)
    table = tmp_path / "csv" / "toy.csv"
    process = subprocess.Popen(
        [sys.executable, script], cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True
    )
    while not (table.exists() and table.read_text().count("\n") > 2):  # ends: the process either writes or has died
        assert process.poll() in (None, 0)
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = rows(tmp_path)
    run(tmp_path, workers=1)
    assert rows(tmp_path) == rows(whole)
    assert set(kept) <= set(rows(tmp_path))


def test_a_failing_job_is_told_and_the_rest_is_kept(whole, tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "trouble").write_text("n2")
    with pytest.raises(RuntimeError, match="no such luck"):
        run(tmp_path, workers=1)
    assert len(rows(tmp_path)) >= 4
    (tmp_path / "work" / "trouble").unlink()
    run(tmp_path, workers=1)
    assert rows(tmp_path) == rows(whole)


def test_a_table_of_another_study_is_left_alone(tmp_path):
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "toy.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="other columns"):
        run(tmp_path)
    assert (tmp_path / "csv" / "toy.csv").read_text() == "a,b\n1,2\n"


def test_unknown_study():
    with pytest.raises(ValueError, match="'nonsense'"):
        studies.load("nonsense")
    command = [sys.executable, "-m", "emo_teach", "study", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "'nonsense'" in done.stderr


# the study of objectives


def test_equal_budget():
    """As many trials for all, but for one, and no objective may look where others may not."""
    trials = [lesson07_objectives.trials(name) for name in lesson07_objectives.OBJECTIVES]
    assert {len(found) for found in trials} == {7, 8}
    assert {(min(rate for rate, _ in found), max(rate for rate, _ in found)) for found in trials} == {(5e-5, 3.2e-3)}


def test_one_job_of_each_stage_end_to_end(tmp_path, monkeypatch):
    """With two steps of everything: all metrics come out as finite numbers, and cross-entropy's temperature meets the other's entropy."""
    monkeypatch.setattr(lesson07_objectives, "STEPS", 2)
    monkeypatch.setattr(starts, "SETTINGS", {"steps": 2, "batch_size": 4, "lr": 1e-3})
    job = next(job for job in lesson07_objectives._pretraining_jobs({}) if job["width"] == 12)
    assert lesson07_objectives._pretrain(job, tmp_path) == []
    tuned = [
        lesson07_objectives._tune({"regime": "small model", "objective": name, "lr": 1e-3, "setting": ""}, tmp_path)[0]
        for name in ("ce", "emo-mode-1")
    ]
    found = [
        job
        for job in lesson07_objectives._main_jobs({"objectives_tuning": tuned})
        if job["cell"] == "emo-mode-1" and job["seed"] == 0
    ]
    both = lesson07_objectives._compare(found[0], tmp_path)
    assert [row["objective"] for row in both] == ["emo-mode-1", "ce matched to emo-mode-1"]
    assert all(np.isfinite(row[metric]) for row in both for metric in lesson07_objectives.METRICS)
    assert both[0]["entropy"] == pytest.approx(both[1]["entropy"], abs=1e-6)


def test_the_lowest_perplexity_is_chosen():
    found = [
        {"regime": "r", "objective": "o", "lr": lr, "setting": "", "perplexity": value}
        for lr, value in ((1, 3.0), (2, 2.0), (3, 2.5))
    ]
    assert lesson07_objectives.best(found)["r", "o"]["lr"] == 2


def test_the_committed_tables_are_whole():
    tuning, table = studies.table("objectives_tuning"), studies.table("objectives")
    for stage, found in zip(lesson07_objectives.STAGES[1:], (tuning, table), strict=True):
        jobs = stage.jobs({"objectives_tuning": tuning})
        missing, kept = runner._sorted_out(stage, jobs, found)
        assert missing == [] and len(kept) == len(found)
    names = {row["objective"] for row in table}
    matched = {lesson07_objectives.MATCHED + name for name in lesson07_objectives.OBJECTIVES if name != "ce"}
    assert names == {lesson07_objectives.UNTOUCHED} | set(lesson07_objectives.OBJECTIVES) | matched
    assert all(np.isfinite(row[metric]) for row in table for metric in lesson07_objectives.METRICS)


def test_the_readmes_table_is_the_studys():
    """Every number of "Should I use EMO?" is a mean and its standard error from the committed table."""
    lines = (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .split("<!-- measured: many texts -->\n")[1]
        .split("\n\n")[0]
        .splitlines()[2:]
    )
    metrics = ("perplexity", "forward_kl", "reverse_kl", "emd_classes", "mauve", "emo", "entropy")
    table = summary.Table(studies.table("objectives"), "many texts", metrics)
    names = ("ce", "emo-mode-1", "ce matched to emo-mode-1", "ce+emo", "ce+debiased")
    assert len(lines) == len(metrics)
    for k, line in enumerate(lines):
        assert [cell.strip() for cell in line.strip("|").split("|")[1:]] == [table._text(name, k) for name in names]
