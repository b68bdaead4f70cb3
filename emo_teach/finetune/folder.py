"""The folder of a run: its settings, its checkpoints, and the finished model.

    OUT/run.json        the settings, and whether the run is finished
    OUT/checkpoints/    checkpoint-N, written by the Trainer; one that holds history.json is whole
    OUT/unfinished/     the trained model while it is being written; the next start deletes it
    OUT/                config.json, tokenizer files, history.json, and at the very end model.safetensors

`from_pretrained(OUT)` then works. Weights are safetensors. The Trainer's optimizer.pt, scheduler.pt and rng_state.pth
are read with `weights_only=True`, which executes nothing that a file says.
"""

import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path

from .. import files

RUN, HISTORY = "run.json", "history.json"
CHECKPOINTS, UNFINISHED = "checkpoints", "unfinished"


def check(out):
    """The folder as a `Path`; ValueError unless a run could begin or go on in it. Nothing is made yet."""
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"out = {out} is a file, not a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / RUN).exists():
        raise ValueError(f"out = {out} holds other files and no run: choose a new folder")
    near = next((place for place in (out, *out.absolute().parents) if place.exists()), Path("/"))
    if not near.is_dir():
        raise ValueError(f"out = {out}: {near} is a file")
    if not os.access(near, os.W_OK | os.X_OK):
        raise ValueError(f"out = {out} cannot be written: no right to write to {near}")
    return out


def begin(out, settings):
    """Make the run's folder, or recognise one that this run has left, and return whether the run is finished.

    Raises ValueError as `check`, when the folder holds a run with other settings (naming the first), and when the
    system refuses to write.
    """
    out = check(out)
    try:
        if not (out / RUN).exists():
            out.mkdir(parents=True, exist_ok=True)
            write_json(out / RUN, {"settings": settings, "finished": False})
        run = read_json(out / RUN)
        for key in {**run["settings"], **settings}:
            there, here = run["settings"].get(key), settings.get(key)
            if there != here:
                change = f"there {key} is {there!r}, here {here!r}"
                raise ValueError(f"out = {out} holds another run: {change}. Choose a new folder")
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        for checkpoint in (out / CHECKPOINTS).glob("checkpoint-*"):
            if run["finished"] or not (checkpoint / HISTORY).exists():
                shutil.rmtree(checkpoint, ignore_errors=True)
        return run["finished"]
    except OSError as err:
        raise ValueError(f"out = {out} cannot be written: {err.strerror or err}") from None


def mark_whole(checkpoint, history):
    """Write the history into a checkpoint that is complete; the Trainer alone would take half a one for whole."""
    files.sync(checkpoint)
    write_json(Path(checkpoint) / HISTORY, history)


def last_checkpoint(out):
    """The newest whole checkpoint of a run as a `Path`, or None."""
    whole = [path.parent for path in (Path(out) / CHECKPOINTS).glob(f"checkpoint-*/{HISTORY}")]
    return max(whole, key=lambda path: int(path.name.split("-")[1]), default=None)


def finish(out, model, tokenizer, history):
    """Put the trained model, its tokenizer and the history into the run's folder, and note that the run is finished."""
    out = Path(out)
    save_weights(model, out / UNFINISHED, tokenizer)
    write_json(out / UNFINISHED / HISTORY, history)
    files.move_files(out / UNFINISHED, out, last="model")
    write_json(out / RUN, {**read_json(out / RUN), "finished": True})
    for rest in (UNFINISHED, CHECKPOINTS):
        shutil.rmtree(out / rest, ignore_errors=True)


def save_weights(model, path, tokenizer=None):
    """Write a model in transformers' layout: weights as safetensors, the configuration, and a tokenizer if given."""
    with _no_bars():
        model.save_pretrained(path)
        if tokenizer is not None:
            tokenizer.save_pretrained(path)


def load_weights(model, path):
    """Fill a model with the weights that `save_weights` has put into a folder."""
    with _no_bars():
        model.load_state_dict(type(model).from_pretrained(path, use_safetensors=True).state_dict())


@contextlib.contextmanager
def _no_bars():
    """Keep transformers from drawing a bar for each file that it reads or writes."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def read_json(path):
    """What a JSON file holds; ValueError for a damaged one."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except json.JSONDecodeError as err:
        raise ValueError(f"{path} is damaged: {err}") from None


def write_json(path, value):
    """Write a JSON file, whole or not at all."""
    files.write_whole(path, json.dumps(value, indent=1))


def fingerprint(*tensors):
    """A short name of what tensors hold, equal for equal contents: 16 hexadecimal digits of types, shapes and bytes."""
    import torch

    digest = hashlib.blake2b(digest_size=8)
    for x in tensors:
        x = x.detach().cpu().contiguous()
        digest.update(f"{x.dtype}{tuple(x.shape)}".encode())
        digest.update(x.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
