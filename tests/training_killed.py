"""Run by test_resume: `training_killed.py POINT FOLDER` trains and kills itself at a point; POINT "none" trains to the end and prints the steps.

The faults are put in from outside, so that the package itself knows nothing of them.
"""

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

STEPS, EVERY = 11, 4


def die(*_, **__):
    """As `kill -9` does it: nothing is tidied up."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(owner, name, number, before=None, after=False, when=lambda *_: True):
    """Make the `number`-th call of a function that meets a condition the last thing this process does, in its place or after it."""
    original, calls = getattr(owner, name), []

    def wrapped(*args, **kwargs):
        calls.extend([1] * bool(when(*args)))
        if len(calls) < number or not when(*args):
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


def arm(point):
    """Set one of the points at which the run is killed."""
    import torch

    from emo_teach.finetune import folder

    final = lambda source, *_: "unfinished/final" in str(source) and not str(source).endswith(".new")  # noqa: E731
    plan = {
        "before the first save": lambda: at_call(folder, "save_weights", 1),
        "while writing a checkpoint": lambda: at_call(
            torch, "save", 4, before=half_a_file
        ),  # three files a checkpoint: the second one's first
        "between writing and renaming": lambda: at_call(os, "rename", 2),
        "right after a save": lambda: at_call(os, "rename", 2, after=True),
        "while writing the final model": lambda: at_call(folder, "save_weights", 4, after=True),
        "while moving the final files": lambda: at_call(os, "replace", 2, when=final),
        "before the word finished": lambda: at_call(
            os, "replace", 1, after=True, when=lambda a, *_: str(a).endswith("final/model.safetensors")
        ),
        "none": lambda: None,
    }
    plan[point]()


def run(out):
    """A run with dropout, so that the random state matters, and an objective whose cost is the head as it was at the beginning."""
    from emo_teach import finetune
    from tests.training_models import masked_blocks, tiny

    seen = []
    settings = {"steps": STEPS, "batch_size": 4, "lr": 1e-2, "save_every": EVERY, "log_every": 1, "precision": "fp32"}
    result = finetune.finetune(
        tiny(dropout=0.3), masked_blocks(), masked_blocks(4), "emo-mode-1", out=out, on_log=seen.append, **settings
    )
    return result, [entry["step"] for entry in seen if "loss" in entry]


def forked(point, out):
    """Train in a child, which has all libraries already; its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        arm(point)
        try:
            _, steps = run(out)
            Path(f"{out}.steps").write_text(json.dumps(steps))
        except BaseException as err:
            Path(f"{out}.steps").write_text(json.dumps(repr(err)))
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    import torch  # noqa: F401  loaded once, before the children are made
    import transformers  # noqa: F401

    import emo_teach.finetune  # noqa: F401

    for name in sys.argv[2:]:
        place = f"{sys.argv[1]}/{name.replace(' ', '_')}"
        statuses = [forked(name, place), forked("none", place)] if name != "none" else [forked("none", place)]
        print(
            json.dumps({"point": name, "statuses": statuses, "steps": json.loads(Path(f"{place}.steps").read_text())}),
            flush=True,
        )
