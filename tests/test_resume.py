"""Killed at any moment and started again, a run ends with the weights of one that nothing has disturbed."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import transformers
from safetensors.torch import load_file

from emo_teach.finetune import folder

from . import training_runs
from .training_runs import POINTS, STEPS, largest_gap, short_run, tiny

SHORT = {"batch_size": 4, "save_every": 3, "name": "emo"}


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The folder of all killed runs, and the steps and exit statuses of each: all are children of one process."""
    place = tmp_path_factory.mktemp("runs")
    command = [sys.executable, training_runs.__file__, "killed", str(place), *POINTS]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # threads do not live on in a child
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=one_thread)
    assert done.returncode == 0, done.stderr[-2000:]
    return place, {row.pop("point"): row for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.slow
@pytest.mark.xdist_group("killed")
@pytest.mark.parametrize("point", POINTS)
def test_killed_and_started_again(killed, point):
    place, rows = killed
    assert rows["none"] == {"statuses": [0], "steps": list(range(1, STEPS + 1))}
    assert rows[point] == {"statuses": [-signal.SIGKILL, 0], "steps": list(range(POINTS[point][0] + 1, STEPS + 1))}
    wanted, found = (place / name.replace(" ", "_") for name in ("none", point))
    first, second = (load_file(path / "model.safetensors") for path in (wanted, found))
    assert first.keys() == second.keys() and all((first[name] == second[name]).all() for name in first)
    assert {path.name for path in wanted.rglob("*")} == {path.name for path in found.rglob("*")}
    first, second = (folder.read_json(path / "history.json") for path in (wanted, found))
    assert [entry | {"tokens_per_s": 0} for entry in first] == [entry | {"tokens_per_s": 0} for entry in second]


def interrupt(out, at=5, **changes):
    """A run with dropout that an exception ends: its folder then has a checkpoint and no model."""

    def stop(entry):
        if entry["step"] == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        short_run(tiny(dropout=0.3), out=out, on_log=stop, **{**SHORT, **changes})


def test_an_interrupted_run_has_a_checkpoint_in_transformers_layout_and_no_model(tmp_path):
    out = tmp_path / "run"
    interrupt(out)
    checkpoint = folder.last_checkpoint(out)
    assert checkpoint.name == "checkpoint-3" and not (out / "model.safetensors").exists()
    assert largest_gap(transformers.AutoModelForCausalLM.from_pretrained(checkpoint), tiny()) > 0
    assert not list(checkpoint.glob("*.bin"))  # no pickled weights
    (out / "run.json").write_text('{"settings":')
    with pytest.raises(ValueError, match="run.json is damaged"):
        short_run(tiny(dropout=0.3), out=out, **SHORT)


def test_a_run_goes_on_from_the_last_whole_checkpoint_and_not_from_half_a_one(tmp_path):
    out, seen = tmp_path / "run", []
    interrupt(out)
    half = out / "checkpoints" / "checkpoint-5"
    shutil.copytree(folder.last_checkpoint(out), half)
    (half / "optimizer.pt").write_bytes(b"half")
    (half / "history.json").unlink()  # written last
    resumed = short_run(tiny(dropout=0.3), out=out, on_log=seen.append, **SHORT)
    assert [entry["step"] for entry in seen if "loss" in entry] == [4, 5, 6]
    assert largest_gap(resumed.model, short_run(tiny(dropout=0.3), out=tmp_path / "other", **SHORT).model) == 0
    assert not (out / "checkpoints").exists()


def test_only_two_checkpoints_are_kept_and_tens_of_steps_are_compared_as_numbers(tmp_path):
    interrupt(tmp_path, at=11, steps=12, save_every=1)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["checkpoint-10", "checkpoint-9"] and folder.last_checkpoint(tmp_path).name == "checkpoint-10"
