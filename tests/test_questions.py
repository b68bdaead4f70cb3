"""The studies of the open questions and of soft labels: a job of each stage, the tables, and what is read off them."""

import numpy as np
import pytest

from emo_teach import studies
from emo_teach.measure import oracle
from emo_teach.studies import lesson09_questions, lesson09_soft_labels, runner, starts, summary
from emo_teach.world import World

STUDIES = {"questions": lesson09_questions, "soft_labels": lesson09_soft_labels}


@pytest.fixture
def hurried(monkeypatch):
    """Two steps of pretraining."""
    monkeypatch.setattr(starts, "SETTINGS", {"steps": 2, "batch_size": 4, "lr": 1e-3})


def test_one_job_of_each_stage_of_the_questions(hurried, tmp_path):
    cell = lesson09_questions.Cell(synonyms=2, layers=1, width=12, texts=40)
    for seed in (0, 1):
        lesson09_questions._pretrain({"synonyms": 2, "layers": 1, "width": 12, "seed": seed}, tmp_path)
    job = {"synonyms": 2, "layers": 1, "width": 12, "texts": 40}
    tuned = [
        lesson09_questions._tune(job | {"objective": name, "lr": 1e-3, "steps": 2}, tmp_path)[0]
        for name in lesson09_questions.OBJECTIVES
    ]
    chosen = lesson09_questions.best(tuned)
    assert {key for key, _ in chosen} == {cell} and all(np.isfinite(row["perplexity"]) for row in tuned)
    settings = {
        name: (chosen[cell, name]["lr"], int(chosen[cell, name]["steps"])) for name in lesson09_questions.OBJECTIVES
    }
    rows = [
        row
        for seed in (0, 1)
        for row in lesson09_questions._compare(job | {"seed": seed, "settings": settings}, tmp_path)
    ]
    assert {row["objective"] for row in rows} == {
        "ce",
        "emo-mode-1",
        "emo-mode-1 shuffled",
        *(lesson09_questions.MATCHED + n for n in settings if n != "ce"),
    }
    assert all(
        set(row) == set(lesson09_questions.STAGES[2].columns)
        and np.isfinite([row[m] for m in lesson09_questions.METRICS]).all()
        for row in rows
    )
    for row in rows:
        assert row["kl_between"] + row["kl_inside"] == pytest.approx(row["forward_kl"], abs=1e-9)
        assert row["reverse_kl_between"] + row["reverse_kl_inside"] == pytest.approx(row["reverse_kl"], abs=1e-9)
    entropy = {row["objective"]: row["entropy"] for row in rows if row["seed"] == 0}
    assert entropy["emo-mode-1"] == pytest.approx(entropy[lesson09_questions.MATCHED + "emo-mode-1"], abs=1e-6)
    gains = lesson09_questions.gains(rows, [cell], "tv")
    assert gains.shape == (2, 1)
    wanted = [
        row["tv"]
        for row in rows
        if row["seed"] == 1 and row["objective"] in (lesson09_questions.MATCHED + "emo-mode-1", "emo-mode-1")
    ]
    assert abs(gains[1, 0]) == pytest.approx(abs(wanted[0] - wanted[1]))
    with pytest.raises(ValueError, match="no row"):
        lesson09_questions.by_seed(rows, lesson09_questions.Cell(), "ce", "tv")


def test_cells_vary_one_thing_at_a_time():
    base = lesson09_questions.Cell()
    assert (
        base in lesson09_questions.CELLS and len(lesson09_questions.CELLS) == len(set(lesson09_questions.CELLS)) == 11
    )
    for cell in lesson09_questions.CELLS:
        changed = {name for name in ("synonyms", "texts") if getattr(cell, name) != getattr(base, name)}
        changed |= {"size"} if (cell.layers, cell.width) != (base.layers, base.width) else set()
        assert len(changed) <= 1


def test_neighbours_are_near_and_no_synonyms():
    rng = np.random.default_rng(0)
    unit = rng.normal(size=(12, 4))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    classes = np.repeat(np.arange(4), 3)
    near = lesson09_questions.neighbours(unit, classes, count=2)
    assert (near.sum(1) == 2).all() and not (near & (classes[:, None] == classes)).any()
    for t in range(12):
        others = [k for k in range(12) if classes[k] != classes[t]]
        assert set(np.flatnonzero(near[t])) == set(sorted(others, key=lambda k: -unit[k] @ unit[t])[:2])


def test_soft_labels_of_both_kinds():
    world = World(**lesson09_soft_labels.WORLD, shift=1.0)
    texts = world.sample(3, 6, seed=0)
    law, smooth = (lesson09_soft_labels.make_labels(kind, world, texts) for kind in lesson09_soft_labels.LABELS)
    np.testing.assert_array_equal(law, world.next_word(texts)[:, :-1])
    np.testing.assert_allclose(smooth.sum(-1), 1)
    came = np.take_along_axis(smooth, texts[:, 1:, None], -1)[..., 0]
    mates = (world.classes[texts[:, 1:]][..., None] == world.classes).sum(-1)
    np.testing.assert_allclose(came, 1 - lesson09_soft_labels.SPREAD + lesson09_soft_labels.SPREAD / mates)


@pytest.mark.parametrize("name", lesson09_soft_labels.OBJECTIVES)
def test_one_job_of_soft_labels(hurried, tmp_path, monkeypatch, name):
    monkeypatch.setattr(lesson09_soft_labels, "WATCHED", (0, 2))
    monkeypatch.setattr(lesson09_soft_labels.train, "__defaults__", (2, None))
    lesson09_soft_labels._pretrain(lesson09_soft_labels._pretraining_jobs({})[0], tmp_path)
    for kind in lesson09_soft_labels.LABELS:
        (tuned,) = lesson09_soft_labels._tune({"labels": kind, "objective": name, "lr": 1e-3}, tmp_path)
        rows = lesson09_soft_labels._run({"labels": kind, "objective": name, "lr": 1e-3, "seed": 0}, tmp_path)
        assert [row["step"] for row in rows] == [0, 2] and np.isfinite(tuned["tv"])
        assert all(set(row) == set(lesson09_soft_labels.STAGES[2].columns) for row in rows)
        assert np.isfinite([row[metric] for row in rows for metric in lesson09_soft_labels.METRICS]).all()


def test_the_best_rate_is_the_one_with_the_least_distance():
    rows = [
        {"labels": "teacher", "objective": "ce", "lr": rate, "tv": tv} for rate, tv in ((1, 0.3), (2, 0.1), (3, 0.2))
    ]
    assert lesson09_soft_labels.best(rows) == {("teacher", "ce"): 2}


@pytest.mark.parametrize("name", STUDIES)
def test_the_committed_tables_are_whole(name):
    module = STUDIES[name]
    tuning, table = studies.table(f"{name}_tuning"), studies.table(name)
    for stage, found in zip(module.STAGES[1:], (tuning, table), strict=True):
        jobs = stage.jobs({f"{name}_tuning": tuning})
        missing, kept = runner._sorted_out(stage, jobs, found)
        assert missing == [] and len(kept) == len(found)
    assert all(np.isfinite(row[metric]) for row in table for metric in module.METRICS)
    assert len({row["seed"] for row in table}) >= 5


def test_kl_splits_at_the_edges():
    log_p, truth, classes = np.log([0.2, 0.3, 0.5]), [0.0, 0.0, 1.0], [0, 0, 1]
    between, inside = oracle.split_kl(log_p, truth, classes)
    assert between == pytest.approx(np.log(2)) and inside == 0
    back_between, back_inside = oracle.split_kl(log_p, truth, classes, reverse=True)
    assert back_between == np.inf and back_inside == np.inf  # the model speaks of a class that never comes
    with pytest.raises(ValueError, match="classes"):
        oracle.split_kl(log_p, truth, [0, 1])


def test_interval_is_students():
    mean, half = summary.interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert mean == 3 and half == pytest.approx(2.78 * np.sqrt(2.5 / 5))
    with pytest.raises(ValueError, match="11 entries"):
        summary.interval(np.arange(11.0))
