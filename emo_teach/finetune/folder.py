"""The folder of a run: its settings, its checkpoints, and the finished model.

    OUT/run.json        the settings, whether the run is finished, and the files of what is whole with their digests
    OUT/checkpoints/    checkpoint-N: the Trainer's files and history.json; only one that run.json lists is whole
    OUT/unfinished/     the trained model while it is being written; the next start deletes it
    OUT/                config.json, tokenizer files, history.json, and at the very end model.safetensors

`from_pretrained(OUT)` then works. Of a `PeftModel` the adapter is kept, in peft's layout (adapter_config.json,
adapter_model.safetensors), which `AutoPeftModelForCausalLM.from_pretrained(OUT)` reads. Weights are safetensors. The
Trainer's optimizer.pt, scheduler.pt and rng_state.pth are read with `weights_only=True`, which executes nothing that a
file says.
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
WEIGHTS, ADAPTER = ("model", "adapter_model"), "adapter_model.safetensors"  # how names of weights begin; peft's


def check(out):
    """The folder as a `Path`; ValueError unless a run could begin or go on in it. Nothing is made yet."""
    if not isinstance(out, (str, os.PathLike)):
        raise ValueError(f"out = {out!r} is no path of a folder")
    out = Path(out)
    if os.path.exists(out) and not os.path.isdir(out):
        raise ValueError(f"out = {out} is a file, not a folder")
    if os.path.isdir(out) and any(out.iterdir()) and not (out / RUN).exists():
        raise ValueError(f"out = {out} holds other files and no run: choose a new folder")
    near = next((place for place in (out, *out.absolute().parents) if os.path.exists(place)), Path("/"))
    if not near.is_dir():
        raise ValueError(f"out = {out}: {near} is a file")
    if not os.access(near, os.W_OK | os.X_OK):
        raise ValueError(f"out = {out} cannot be written: no right to write to {near}")
    return out


@contextlib.contextmanager
def alone(out):
    """Make the run's folder and keep every other run out of it; ValueError as `check`, or when one is at work in it."""
    out = check(out)
    with _writing(out):
        out.mkdir(parents=True, exist_ok=True)
    with files.alone(out):
        yield


@contextlib.contextmanager
def _writing(out):
    """A ValueError for what the system refuses."""
    try:
        yield
    except OSError as err:
        raise ValueError(f"out = {out} cannot be written: {err.strerror or err}") from None


def begin(out, settings):
    """Note a run's settings in its folder, or recognise them there, and return whether the run is finished.

    Raises ValueError as `check`, when the folder holds a run with other settings (naming the first), and when the
    system refuses to write.
    """
    out = check(out)
    with _writing(out):
        if not (out / RUN).exists():
            write_json(out / RUN, {"settings": settings, "finished": False, "whole": {}})
        run = _read_run(out)
        for key in {**run["settings"], **settings}:
            there, here = run["settings"].get(key), settings.get(key)
            if there != here:
                change = f"there {key} is {there!r}, here {here!r}"
                raise ValueError(f"out = {out} holds another run: {change}. Choose a new folder")
        shutil.rmtree(out / UNFINISHED, ignore_errors=True)
        for checkpoint in (out / CHECKPOINTS).glob("checkpoint-*"):
            if run["finished"] or checkpoint.name not in run["whole"]:
                shutil.rmtree(checkpoint, ignore_errors=True)
        return run["finished"]


def _read_run(out):
    """What run.json says; ValueError for a damaged one."""
    run = read_json(out / RUN)
    if not isinstance(run, dict) or not {"settings", "finished", "whole"} <= run.keys():
        raise ValueError(f"{out / RUN} is damaged, or an older version wrote it: choose a new folder")
    return run


def mark_whole(checkpoint, history):
    """Complete a checkpoint with the history and list its files; the Trainer alone would take half a one for whole."""
    checkpoint = Path(checkpoint)
    out = checkpoint.parent.parent
    write_json(checkpoint / HISTORY, history)
    files.sync(checkpoint)
    run = _read_run(out)
    kept = {name: parts for name, parts in run["whole"].items() if (checkpoint.parent / name).is_dir()}
    write_json(out / RUN, {**run, "whole": kept | {checkpoint.name: _digests(checkpoint)}})


def last_checkpoint(out):
    """The newest whole checkpoint of a run as a `Path`, or None; ValueError if it has since lost a file or changed."""
    whole = _read_run(Path(out))["whole"]
    there = [path for path in (Path(out) / CHECKPOINTS).glob("checkpoint-*") if path.name in whole]
    newest = max(there, key=lambda path: int(path.name.split("-")[1]), default=None)
    if newest:
        remedy = f"delete {newest}, and the run goes on from an older checkpoint or from its start"
        _check_files(newest, whole[newest.name], remedy)
    return newest


def _digests(place):
    """{name: digest} of the files in a folder."""
    found = {}
    for path in sorted(path for path in place.iterdir() if path.is_file()):
        with open(path, "rb") as file:
            found[path.name] = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=8)).hexdigest()
    return found


def _check_files(place, wanted, remedy):
    """ValueError unless a folder still holds the files as they were written."""
    found = _digests(place)
    for name, digest in wanted.items():
        if found.get(name) != digest:
            fault = "is damaged: it is not what the run has written" if name in found else "is missing"
            raise ValueError(f"{place / name} {fault}. To go on: {remedy}")


def finish(out, model, tokenizer, history):
    """Put the trained model, its tokenizer and the history into the run's folder, and note that the run is finished."""
    out = Path(out)
    save_weights(model, out / UNFINISHED, tokenizer)
    write_json(out / UNFINISHED / HISTORY, history)
    found = _digests(out / UNFINISHED)
    other = ("config.json", "adapter_config.json", HISTORY)
    needed = {name: found[name] for name in found if name.startswith(WEIGHTS) or name in other}
    files.move_files(out / UNFINISHED, out, last=WEIGHTS)
    write_json(out / RUN, {**_read_run(out), "finished": True, "whole": {".": needed}})
    for rest in (UNFINISHED, CHECKPOINTS):
        shutil.rmtree(out / rest, ignore_errors=True)


def load_finished(model, out):
    """Fill a model with the weights of a finished run and return its history; ValueError if a file has changed."""
    out = Path(out)
    _check_files(out, _read_run(out)["whole"].get(".", {}), "put the file back, or choose a new folder")
    load_weights(model, out)
    return read_json(out / HISTORY)


def save_weights(model, path, tokenizer=None):
    """Write a model in transformers' layout: weights as safetensors, the configuration, and a tokenizer if given."""
    with _no_bars():
        model.save_pretrained(path, **({"save_embedding_layers": False} if has_adapter(model) else {}))
        if tokenizer is not None:
            tokenizer.save_pretrained(path)


def load_weights(model, path):
    """Fill a model with the weights that `save_weights` has put into a folder."""
    if has_adapter(model):
        import peft
        from safetensors.torch import load_file

        peft.set_peft_model_state_dict(model, load_file(Path(path) / ADAPTER))
        return
    with _no_bars():
        model.load_state_dict(type(model).from_pretrained(path, use_safetensors=True).state_dict())


def has_adapter(model):
    """Whether a model is a `PeftModel`."""
    return hasattr(model, "get_base_model")


def check_saved(model):
    """ValueError for a model of which `save_weights` would not keep all that is trained."""
    if not has_adapter(model):
        inside = any(hasattr(part, "base_layer") or hasattr(part, "modules_to_save") for part in model.modules())
        if inside or getattr(model, "_hf_peft_config_loaded", False):
            remedy = "give the PeftModel that peft.get_peft_model returns, or what its merge_and_unload() returns"
            raise ValueError(f"model holds adapters of peft that would not be saved as such: {remedy}")
        return
    import peft

    if list(model.peft_config) != ["default"]:
        raise ValueError(f'model has the adapters {", ".join(model.peft_config)}: only one can be trained, "default"')
    kept = {weight.data_ptr() for weight in peft.get_peft_model_state_dict(model, save_embedding_layers=False).values()}
    for name, weight in model.named_parameters():
        if weight.requires_grad and weight.data_ptr() not in kept:
            remedy = "freeze it, name its layer in modules_to_save, or train what merge_and_unload() returns"
            raise ValueError(f"model's {name} is to be trained, but is not saved with the adapter of peft: {remedy}")


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
    """Write a JSON file, whole or not at all; numbers may be numpy's."""
    files.write_whole(path, json.dumps(value, indent=1, default=float))


def fingerprint(*tensors):
    """A short name of what tensors hold, equal for equal contents: 16 hexadecimal digits of types, shapes and bytes."""
    import torch

    digest = hashlib.blake2b(digest_size=8)
    for x in tensors:
        x = x.detach().cpu().contiguous()
        digest.update(f"{x.dtype}{tuple(x.shape)}".encode())
        digest.update(x.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
