"""Two processes make the run of one: same global batch, another number of counted tokens in each process."""

import os
import subprocess
import sys
import types

import numpy as np
import pytest
import torch
import transformers

from emo_teach import finetune
from emo_teach.finetune import folder

from . import training_runs
from .test_finetune import ROUNDING
from .training_runs import largest_gap, masked_blocks, short_run

# `accelerate launch --cpu --num_processes 2` starts one process where MPI is missing, without a word: torchrun's
# launcher behind --multi_gpu starts two, and the environment keeps them on the CPU.
LAUNCH = (
    "-m accelerate.commands.launch --multi_gpu --num_processes 2 --num_cpu_threads_per_process 1 --main_process_port 0"
)
COMMAND = (
    "-m emo_teach finetune --model tiny --text world --objective emo --steps 3 --batch 8 --block 16 --save-every 2"
)


def launch(*command):
    """Standard output of a command line run on two processes that talk to each other by gloo."""
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true"}
    command = [sys.executable, *LAUNCH.split(), *map(str, command)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("accumulation", [1, 2])
def test_two_processes_make_the_run_of_one(tmp_path, accumulation):
    launch(training_runs.__file__, "shared", tmp_path / "two", accumulation)
    assert folder.read_json(tmp_path / "two" / "run.json")["settings"]["processes"] == 2
    alone = short_run()
    history = folder.read_json(tmp_path / "two" / "history.json")
    assert [entry.keys() for entry in history] == [entry.keys() for entry in alone.history]
    # the gradient's size, which Adam would hide, and the means over all tokens
    for name in ("loss", "grad_norm", "valid_loss"):
        found = [entry[name] for entry in history if name in entry]
        np.testing.assert_allclose(found, alone.column(name)[1], rtol=ROUNDING)
    two = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "two")
    assert largest_gap(alone.model, two, but_key_bias=True) <= ROUNDING


def test_the_processes_shares_differ():
    counts = (masked_blocks()[1][:, 1:] != -100).sum(1)
    assert counts.max() > 3 * counts.min()  # a mean of the processes' means would be another number


def test_the_second_process_waits_and_writes_nothing(tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr(torch.distributed, "barrier", lambda: waits.append(1))
    args = types.SimpleNamespace(world_size=2, process_index=1, output_dir=str(tmp_path))
    second = finetune.run._Run(args, tmp_path)
    second.checkpoint_saved(4, [])
    second.finish(None, None, [])
    assert len(waits) == 3 and list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_command_on_two_processes_and_once_more(tmp_path):
    printed = launch(*COMMAND.split(), "--out", tmp_path / "run")
    assert printed.count("held-out emo:") == 1
    assert launch(*COMMAND.split(), "--out", tmp_path / "run") == printed  # finished: nothing is trained again
