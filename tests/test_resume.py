"""Killed at any moment and started again, a run ends with the weights of one that nothing has disturbed."""

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import transformers
from safetensors.torch import load_file

from emo_teach import files
from emo_teach.finetune import folder

from . import training_runs
from .training_runs import POINTS, STEPS, contents, largest_gap, short_run, tiny

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


def spoil(path, how):
    """Take a file away, cut it off, or change a byte of it."""
    if how == "lost":
        path.unlink()
    elif how == "cut":
        os.truncate(path, path.stat().st_size // 2)
    else:
        held = path.read_bytes()
        path.write_bytes(held[:-9] + bytes([held[-9] ^ 1]) + held[-8:])


PARTS = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", "history.json", "config.json")


@pytest.mark.parametrize("how", ["lost", "cut", "changed"])
def test_a_checkpoint_that_lost_a_part_is_refused_by_name_and_an_older_one_is_used(tmp_path, how):
    settings, seen = {**SHORT, "save_every": 2}, []
    out, wanted = tmp_path / "run", short_run(tiny(dropout=0.3), out=tmp_path / "other", **settings)
    interrupt(out, save_every=2)
    shutil.copytree(out, tmp_path / "kept")
    checkpoint = out / "checkpoints" / "checkpoint-4"
    for name in (*PARTS, "model.safetensors"):
        spoil(checkpoint / name, how)
        before = contents(out)
        with pytest.raises(ValueError, match=f"checkpoint-4/{name} is (missing|damaged).* delete .*checkpoint-4"):
            short_run(tiny(dropout=0.3), out=out, **settings)
        assert contents(out) == before
        shutil.copytree(tmp_path / "kept", out, dirs_exist_ok=True)
    shutil.rmtree(checkpoint)  # as the message says
    again = short_run(tiny(dropout=0.3), out=out, on_log=seen.append, **settings)
    assert largest_gap(again.model, wanted.model) == 0 and seen[0]["step"] == 3
    for name in ("model.safetensors", "config.json", "history.json"):  # of the finished run
        kept = (out / name).read_bytes()
        spoil(out / name, how)
        before = contents(out)
        with pytest.raises(ValueError, match=f"run/{name} is (missing|damaged).* put the file back, or choose a new"):
            short_run(tiny(dropout=0.3), out=out, **settings)
        assert contents(out) == before
        (out / name).write_bytes(kept)
    assert largest_gap(short_run(tiny(dropout=0.3), out=out, **settings).model, wanted.model) == 0


@pytest.mark.parametrize("text", ["[]", "{}", '{"settings": {}, "finished": false}'])
def test_a_folder_whose_run_json_says_too_little_is_refused_and_left_alone(tmp_path, text):
    interrupt(tmp_path)
    (tmp_path / "run.json").write_text(text)
    before = contents(tmp_path)
    with pytest.raises(ValueError, match="run.json is damaged, or an older version wrote it"):
        short_run(tiny(dropout=0.3), out=tmp_path, **SHORT)
    assert contents(tmp_path) == before


def test_a_folder_belongs_to_one_run_at_a_time(tmp_path):
    out, seen = tmp_path / "run", []

    def second(entry):
        with pytest.raises(ValueError, match="is in use by another run: wait for its end"), folder.alone(out):
            pass
        seen.append(entry["step"])
        if entry["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        short_run(tiny(dropout=0.3), out=out, on_log=second, **SHORT)
    assert set(seen) == {0, 1, 2, 3, 4, 5}
    (tmp_path / "link").symlink_to(out)
    before = contents(out)
    with files.alone(out):  # the run is at an end: the folder is free again
        for changes in ({}, {"lr": 1e-3}, {"out": tmp_path / "link"}):  # the same run, another one, another name
            with pytest.raises(ValueError, match="is in use by another run: wait for its end"):
                short_run(tiny(dropout=0.3), **{"out": out, **SHORT, **changes})
    assert contents(out) == before
    assert short_run(tiny(dropout=0.3), out=out, **SHORT).history[-1]["step"] == 6


@pytest.mark.slow
def test_the_same_command_twice_at_once(tmp_path):
    command = [sys.executable, "-m", "emo_teach", "finetune", "--model=tiny", "--text=world", "--objective=ce"]
    command += ["--steps=30", "--batch=4", "--block=16", "--save-every=5", f"--out={tmp_path / 'run'}"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    ends = sorted((each.communicate(timeout=240), each.returncode)[::-1] for each in both)
    alone = subprocess.run([*command[:-1], f"--out={tmp_path / 'alone'}"], timeout=240)
    assert alone.returncode == 0
    wanted, found = (load_file(tmp_path / name / "model.safetensors") for name in ("alone", "run"))
    assert all((wanted[name] == found[name]).all() for name in wanted)
    # one is so late that the other has finished, or it is refused
    assert ends[0][0] == 0 and (ends[1][0] == 0 or "is in use by another run" in ends[1][1][1]), ends


def test_a_folder_that_cannot_be_locked_is_used_with_a_warning(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.warns(UserWarning, match="run cannot be locked here: start no second run in it"):
        short_run(out=tmp_path / "run")
    monkeypatch.setitem(sys.modules, "fcntl", None)  # as on Windows
    with pytest.warns(UserWarning, match="run cannot be locked here"):
        short_run(out=tmp_path / "run")


def test_only_two_checkpoints_are_kept_and_tens_of_steps_are_compared_as_numbers(tmp_path):
    interrupt(tmp_path, at=11, steps=12, save_every=1)
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["checkpoint-10", "checkpoint-9"] and folder.last_checkpoint(tmp_path).name == "checkpoint-10"
