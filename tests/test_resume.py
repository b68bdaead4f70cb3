"""Killed at any moment and started again, a run ends with the weights of one that nothing has disturbed."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import transformers
from safetensors.torch import load_file

from emo_teach import finetune
from emo_teach.finetune import folder

from . import training_killed
from .training_models import largest_gap, masked_blocks, tiny

# where it is killed: the step after which the next start goes on
POINTS = {
    "before the first save": 0,
    "while writing a checkpoint": 4,
    "between writing and renaming": 4,
    "right after a save": 8,
    "while writing the final model": 11,  # a checkpoint is also made after the last step
    "while moving the final files": 11,
    "before the word finished": 11,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of all runs, and what each told: all in one process, whose children share the libraries that it has loaded."""
    place = tmp_path_factory.mktemp("runs")
    command = [sys.executable, training_killed.__file__, str(place), "none", *POINTS]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads do not live on in a child
    told = subprocess.run(command, capture_output=True, text=True, timeout=300, env=one_thread)
    assert told.returncode == 0, told.stderr[-2000:]
    return place, {row["point"]: row for row in map(json.loads, told.stdout.splitlines())}


def test_undisturbed(runs):
    assert runs[1]["none"] == {"point": "none", "statuses": [0], "steps": list(range(1, training_killed.STEPS + 1))}


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_started_again(runs, point):
    place, told = runs
    assert told[point]["statuses"] == [-signal.SIGKILL, 0], told[point]
    assert told[point]["steps"] == list(range(POINTS[point] + 1, training_killed.STEPS + 1))
    wanted, found = (place / name.replace(" ", "_") for name in ("none", point))
    first, second = (load_file(path / "model.safetensors") for path in (wanted, found))
    assert first.keys() == second.keys() and all((first[name] == second[name]).all() for name in first)
    assert {path.name for path in wanted.rglob("*")} == {path.name for path in found.rglob("*")}
    histories = [
        [{**entry, "tokens_per_s": 0} for entry in folder.read_json(path / "history.json")] for path in (wanted, found)
    ]
    assert histories[0] == histories[1]


def interrupted(out, at=6):
    """A run that an exception has ended: its folder has a checkpoint and no model."""

    def stop(entry):
        if entry["step"] == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go(out, on_log=stop)


def go(out, **changes):
    """A short run with checkpoints."""
    settings = {
        "steps": 8,
        "batch_size": 4,
        "lr": 1e-2,
        "save_every": 3,
        "log_every": 1,
        "precision": "fp32",
        **changes,
    }
    return finetune.finetune(tiny(), masked_blocks(), None, "emo", out=out, **settings)


def test_an_interrupted_run_has_a_checkpoint_in_transformers_layout_and_no_model(tmp_path):
    interrupted(tmp_path / "run")
    assert not (tmp_path / "run" / "model.safetensors").exists()
    checkpoint = folder.last_checkpoint(tmp_path / "run")
    assert checkpoint.name == "checkpoint-3"
    assert largest_gap(transformers.AutoModelForCausalLM.from_pretrained(checkpoint), tiny()) > 0
    assert not list(checkpoint.glob("*.bin"))  # no pickled weights


def test_half_a_checkpoint_is_not_taken_for_a_whole_one(tmp_path):
    interrupted(tmp_path / "run")
    half = tmp_path / "run" / "unfinished" / "checkpoint-7"
    shutil.copytree(folder.last_checkpoint(tmp_path / "run"), half)
    (half / "optimizer.pt").write_bytes(b"half")
    assert largest_gap(go(tmp_path / "run").model, go(tmp_path / "other").model) == 0
    assert not half.exists()


def test_a_damaged_record_is_one_line(tmp_path):
    interrupted(tmp_path / "run")
    Path(tmp_path / "run" / "run.json").write_text('{"settings":')
    with pytest.raises(ValueError, match="run.json is damaged"):
        go(tmp_path / "run")


def test_tens_of_steps_are_compared_as_numbers(tmp_path):
    for step in (9, 10, 100):
        (tmp_path / "checkpoints" / f"checkpoint-{step}").mkdir(parents=True)
    assert folder.last_checkpoint(tmp_path).name == "checkpoint-100"
