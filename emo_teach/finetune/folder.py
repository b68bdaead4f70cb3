"""The folder of a run: what it was told, its whole checkpoints, and the finished model; nothing in it is ever half-written.

    OUT/run.json        the settings, and whether the run is finished
    OUT/checkpoints/    checkpoint-N: moved here in one rename when all of it is on disk, so that what is here is whole
    OUT/unfinished/     what is being written; thrown away by the next start
    OUT/                config.json, tokenizer files, history.json, and last of all model.safetensors: `from_pretrained(OUT)` works

Model weights are safetensors. Beside them a checkpoint has the Trainer's own optimizer.pt, scheduler.pt and rng_state.pth; they are read back with
`weights_only=True`, which executes nothing that a file says.
"""

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

from ..files import write_whole

RUN, HISTORY, WEIGHTS = "run.json", "history.json", "model.safetensors"
CHECKPOINTS, UNFINISHED = "checkpoints", "unfinished"


def check(out):
    """ValueError unless a run could begin or go on in `out`; nothing is made yet.

    Raises ValueError for a file, a folder with something else in it, or a place that this process may not write to.
    """
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"out = {out} is a file, not a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / RUN).exists():
        raise ValueError(f"out = {out} holds other files and no run: choose a new folder")
    near = next((place for place in (out, *out.absolute().parents) if place.exists()), Path("/"))
    if not near.is_dir() or not os.access(near, os.W_OK | os.X_OK):
        raise ValueError(
            f"out = {out} cannot be written: no right to write to {near}"
            if near.is_dir()
            else f"out = {out}: {near} is a file"
        )
    return out


def begin(out, settings, resume=True):
    """Make the run's folder, or recognise one that such a run has left; say whether it is finished.

    Returns True when there is nothing left to do. Raises ValueError as `check`, when the folder holds a run with other
    settings (naming the first), when it holds any run and `resume` is False, and when the system refuses to write.
    """
    out = check(out)
    try:
        if not (out / RUN).exists():
            out.mkdir(parents=True, exist_ok=True)
            write_json(out / RUN, {"settings": settings, "finished": False})
        run = read_json(out / RUN)
        _same(out, run["settings"], settings)
        if not resume:
            raise ValueError(f"out = {out} already holds this run, and resume is False: choose a new folder")
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        if run["finished"]:
            shutil.rmtree(out / CHECKPOINTS, ignore_errors=True)
        return run["finished"]
    except OSError as err:
        raise ValueError(f"out = {out} cannot be written: {err.strerror or err}") from None


def _same(out, old, new):
    for key in {**old, **new}:
        if old.get(key) != new.get(key):
            raise ValueError(
                f"out = {out} holds another run: there {key} is {old.get(key)!r}, here {new.get(key)!r}. Choose a new folder"
            )


def last_checkpoint(out):
    """The newest whole checkpoint of a run, or None.

    Returns a `Path` or None.
    """
    return max(
        (Path(out) / CHECKPOINTS).glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]), default=None
    )


def publish(out, name):
    """Move a checkpoint that is completely written to where whole ones are, then drop older ones.

    Raises OSError.
    """
    (Path(out) / CHECKPOINTS).mkdir(exist_ok=True)
    _sync(Path(out) / UNFINISHED / name)
    os.rename(Path(out) / UNFINISHED / name, Path(out) / CHECKPOINTS / name)
    _sync(Path(out) / CHECKPOINTS, inside=False)
    for older in (Path(out) / CHECKPOINTS).iterdir():
        if older.name != name:
            shutil.rmtree(older, ignore_errors=True)


def save_weights(model, path, tokenizer=None):
    """The model's folder in transformers' layout: weights as safetensors, configuration, and the tokenizer where there is one.

    Raises OSError.
    """
    with _no_bars():
        model.save_pretrained(path)
        if tokenizer is not None:
            tokenizer.save_pretrained(path)


def finish(out, model, tokenizer, history):
    """Put the trained model, its tokenizer and the history into the run's folder; the weights come last, then the word "finished".

    Raises OSError.
    """
    out, written = Path(out), Path(out) / UNFINISHED / "final"
    save_weights(model, written, tokenizer)
    write_json(written / HISTORY, history)
    _sync(written)
    for path in sorted(written.iterdir(), key=lambda path: path.name.startswith("model")):
        os.replace(path, out / path.name)
    write_json(out / RUN, {**read_json(out / RUN), "finished": True})
    for rest in (UNFINISHED, CHECKPOINTS):
        shutil.rmtree(out / rest, ignore_errors=True)


def load_weights(model, path):
    """Fill a model with the weights that `save_pretrained` has put into a folder.

    Raises OSError or RuntimeError when they are not that model's.
    """
    with _no_bars():
        model.load_state_dict(type(model).from_pretrained(path, use_safetensors=True).state_dict())


@contextlib.contextmanager
def _no_bars():
    """transformers draws a bar for each file that it reads or writes: not between the lines of a run's own."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def read_json(path):
    """What a JSON file holds.

    Raises OSError, or ValueError for a file that is no JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as err:
        raise ValueError(f"{path} is damaged: {err}") from None


def write_json(path, value):
    """Write a JSON file, whole or not at all.

    Raises OSError.
    """
    write_whole(path, json.dumps(value, indent=1))


def _sync(path, inside=True):
    """Wait until a file, or a folder and all files in it, are on the disk: a rename must not overtake them."""
    if path.is_dir() and inside:
        for each in path.rglob("*"):
            _sync(each, inside=False)
    if os.name == "posix":  # elsewhere a folder cannot be opened
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def fingerprint(*tensors):
    """A short name of what tensors hold: equal for equal contents.

    Formula: BLAKE2b of types, shapes and bytes. Returns 16 hexadecimal digits. Source: RFC 7693.
    """
    import torch

    digest = hashlib.blake2b(digest_size=8)
    for x in tensors:
        x = x.detach().cpu().contiguous()
        digest.update(f"{x.dtype}{tuple(x.shape)}".encode())
        digest.update(x.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
