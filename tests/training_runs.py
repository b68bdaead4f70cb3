"""Small models, tokens and runs for the tests of training; as a script, the runs that need processes of their own:

training_runs.py shared OUT ACCUMULATION    a run that several processes share, started by `accelerate launch`
training_runs.py killed FOLDER POINT ...    for each point, a run that kills itself there and is started again

The faults are put in from outside, so that the package itself knows nothing of them.
"""

import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

sys.path.insert(0, str(Path(__file__).parent.parent))  # as a script

from emo_teach import finetune  # noqa: E402
from emo_teach.finetune import folder  # noqa: E402

VOCABULARY, BLOCK = 60, 12
QUICK = {"steps": 6, "batch_size": 8, "lr": 1e-2, "log_every": 1, "precision": "fp32"}
STEPS, SAVE_EVERY = 11, 4  # of a killed run
REFUSED = [  # argument of `finetune`, value, and what it and the command line say
    ("steps", 0, "steps = 0"), ("batch_size", 0, "batch_size = 0"), ("accumulation", 0, "accumulation = 0"),
    ("lr", -1.0, "lr = -1"), ("lr", float("nan"), "lr = nan"), ("seed", -1, "seed = -1"),
    ("seed", 2**32, "seed = 4294967296 must be at most 2"), ("lr", float("inf"), "lr = inf"),
    ("steps", 10**9, "more than 100000000 blocks"),
    ("steps", 2**70, "steps is an integer of 71 bits"), ("block", -3, "block = -3"), ("block", 1, "block = 1"),
    ("block", 17, "longer than the model's 16 positions"),
    ("save_every", 0, "save_every = 0"), ("log_every", 0, "log_every = 0"), ("precision", "int4", "precision = 'int4'"),
    ("objective", "emd", "'emd' is not one of ce, "),
]  # fmt: skip


def tiny(dropout=0.0, seed=0, **changes):
    """A GPT-2 of one layer with large random weights, so that the gradients of all tokens are far from equal."""
    torch.manual_seed(seed)
    off = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    sizes = {"vocab_size": VOCABULARY, "n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}
    special = {"bos_token_id": 0, "eos_token_id": 0, "initializer_range": 0.2}
    return GPT2LMHeadModel(GPT2Config(**{**sizes, **special, **off, **changes}))


def masked_blocks(n=40, seed=1):
    """(ids, labels) of n blocks; each counts another share of its tokens, some nearly none."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(VOCABULARY, size=(n, BLOCK))
    hidden = rng.random((n, BLOCK)) < rng.choice([0.0, 0.3, 0.9], size=(n, 1))
    hidden[:, 1] = False
    return ids, np.where(hidden, -100, ids)


def short_run(model=None, name="emo-mode-1", **changes):
    """A short run on masked blocks."""
    return finetune.finetune(model or tiny(), masked_blocks(), masked_blocks(8, seed=2), name, **{**QUICK, **changes})


def largest_gap(a, b, but_key_bias=False):
    """Largest absolute difference between two models' parameters, on request without those on which no loss depends.

    A bias of the keys adds one number to all attention scores of a query, which softmax does not notice: its gradient
    is 0 up to rounding, and Adam divides rounding by itself.
    """
    gaps = []
    for (name, x), y in zip(a.named_parameters(), b.parameters(), strict=True):
        gap = (x - y).detach().abs()
        if but_key_bias and name.endswith("c_attn.bias"):
            gap = torch.cat([gap[: len(gap) // 3], gap[2 * len(gap) // 3 :]])
        gaps.append(float(gap.max()))
    return max(gaps)


def contents(place):
    """All files below a folder with their bytes, and all folders."""
    return {path: path.is_file() and path.read_bytes() for path in place.rglob("*")}


def die(*_, **__):
    """End this process as `kill -9` does it: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(owner, name, number, before=None, after=False, when=lambda *_: True):
    """Make the `number`-th call of a function that meets a condition the last thing this process does."""
    original, calls = getattr(owner, name), []

    def wrapped(*args, **kwargs):
        hit = when(*args)
        calls.extend([1] * bool(hit))
        if len(calls) < number or not hit:
            return original(*args, **kwargs)
        if before:
            before(*args)
        if after:
            original(*args, **kwargs)
        die()

    setattr(owner, name, wrapped)


def half_a_file(state, path, *_):
    """The beginning of what torch.save would write."""
    Path(path).write_bytes(b"PK\x03\x04 half")


def final(source, *_):
    """Whether a file is moved out of the folder of the unfinished model."""
    return "/unfinished/" in str(source) and not Path(source).name.startswith(".")


def weights(source, *_):
    """Whether the weights are moved out of it, which is last."""
    return str(source).endswith("unfinished/model.safetensors")


# point: the step after which the second start goes on, and what makes the first start end there
POINTS = {
    "before the first save": (0, lambda: die_at(folder, "save_weights", 1)),
    # three files in a checkpoint: the first one of the second checkpoint
    "while writing a checkpoint": (4, lambda: die_at(torch, "save", 4, before=half_a_file)),
    "before a checkpoint is marked as whole": (4, lambda: die_at(folder, "mark_whole", 2)),
    "before a checkpoint is listed": (4, lambda: die_at(folder, "_digests", 2)),
    "right after a save": (8, lambda: die_at(folder, "mark_whole", 2, after=True)),
    # a checkpoint is also made after the last step
    "while writing the final model": (STEPS, lambda: die_at(folder, "save_weights", 4, after=True)),
    "while moving the final files": (STEPS, lambda: die_at(os, "replace", 2, when=final)),
    "before the run is noted as finished": (STEPS, lambda: die_at(os, "replace", 1, after=True, when=weights)),
}


def run_to_kill(out):
    """A run with dropout, so that the random state matters, and a cost that is the head as it was at the beginning."""
    seen = []
    short_run(tiny(dropout=0.3), out=out, on_log=seen.append, steps=STEPS, batch_size=4, save_every=SAVE_EVERY)
    return [entry["step"] for entry in seen if "loss" in entry]


def forked(point, out):
    """Train in a child, which has all libraries already; returns its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            if point:
                POINTS[point][1]()
            Path(f"{out}.steps").write_text(json.dumps(run_to_kill(out)))
        except BaseException as err:
            Path(f"{out}.steps").write_text(json.dumps(repr(err)))
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main(kind, place, *rest):
    """The script."""
    if kind == "shared":
        short_run(out=place, accumulation=int(rest[0]), save_every=2)
        if torch.distributed.is_initialized():
            torch.distributed.barrier()  # if a process leaves while the other still talks to it, the other aborts
            torch.distributed.destroy_process_group()
        return
    for name in ("none", *rest):
        out = f"{place}/{name.replace(' ', '_')}"
        statuses = [forked(point, out) for point in ((None,) if name == "none" else (name, None))]
        steps = json.loads(Path(f"{out}.steps").read_text())
        print(json.dumps({"point": name, "statuses": statuses, "steps": steps}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
