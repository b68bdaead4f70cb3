"""Two processes make the run of one: same global batch, another number of counted tokens in each process."""

import os
import subprocess
import sys

import numpy as np
import pytest
import transformers

from emo_teach.finetune import folder

from . import training_two_processes
from .test_finetune import ROUNDING, apart_from_key_bias
from .training_models import masked_blocks

# `accelerate launch --cpu --num_processes 2` starts one process where MPI is missing, without a word: torchrun's launcher behind --multi_gpu
# starts two, and the environment keeps them on the CPU.
LAUNCH = [
    "-m",
    "accelerate.commands.launch",
    "--multi_gpu",
    "--num_processes",
    "2",
    "--num_cpu_threads_per_process",
    "1",
    "--main_process_port",
    "0",
]


def launch(*command):
    """Run a command line on two processes that talk to each other by gloo."""
    told = subprocess.run(
        [sys.executable, *LAUNCH, *map(str, command)],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "ACCELERATE_USE_CPU": "true"},
    )
    assert told.returncode == 0, told.stderr[-3000:]
    return told


@pytest.mark.parametrize("accumulation", [1, 2])
def test_two_processes_make_the_run_of_one(tmp_path, accumulation):
    launch(training_two_processes.__file__, tmp_path / "two", accumulation)
    assert folder.read_json(tmp_path / "two" / "run.json")["settings"]["processes"] == 2
    alone = training_two_processes.run(None)
    history = folder.read_json(tmp_path / "two" / "history.json")
    assert [entry.keys() for entry in history] == [entry.keys() for entry in alone.history]
    for name in (
        "loss",
        "grad_norm",
        "valid_loss",
    ):  # the gradient's size, which Adam would hide, and the mean over all tokens
        found = [entry[name] for entry in history if name in entry]
        np.testing.assert_allclose(found, alone.column(name)[1], rtol=ROUNDING)
    two = apart_from_key_bias(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "two"))
    one = apart_from_key_bias(alone.model)
    assert max(float((one[name] - two[name]).abs().max()) for name in one) <= ROUNDING


def test_the_processes_shares_differ():
    counts = (masked_blocks()[1][:, 1:] != -100).sum(1)
    assert counts.max() > 3 * counts.min()  # a mean of the processes' means would be another number


def test_the_command_on_two_processes_and_once_more(tmp_path):
    command = [
        "-m",
        "emo_teach",
        "finetune",
        "--model",
        "tiny",
        "--text",
        "world",
        "--objective",
        "emo",
        "--steps",
        3,
        "--batch",
        8,
        "--block",
        16,
    ]
    told = launch(*command, "--out", tmp_path / "run", "--save-every", 2)
    assert told.stdout.count("held-out emo:") == 1
    again = launch(*command, "--out", tmp_path / "run", "--save-every", 2)  # finished: nothing is trained again
    assert again.stdout == told.stdout
