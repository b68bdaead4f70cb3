"""Fine-tuning, from arguments that are checked first to a result; and `python -m emo_teach finetune`."""

import contextlib
import copy
import math
import os
import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
import transformers

from .. import inputs
from ..losses import CostEmbedding, objective
from . import folder, texts
from .model import WithObjective
from .trainer import UNSET, ObjectiveTrainer, Recorder, arguments, evaluate, on_gpu, order

# The settings of the EMO paper and its scripts: GPT-2 continued on WikiText-2 (arXiv 2310.04691; github.com/DRSY/EMO).
# AdamW, no weight decay and the linear schedule are how `finetune` trains anyway.
PAPER = {"lr": 5e-5, "batch_size": 32, "block": 256, "epochs": 3, "seed": 42}
PRECISIONS = ("fp32", "bf16", "fp16")
LARGEST_SEED = 2**32 - 1  # numpy's
MOST_BLOCKS = 10**8  # in all steps: their order is held in memory


@dataclass(frozen=True)
class Result:
    """What a run gives: the trained model, in evaluation mode, and its history.

    The model is where it was trained, on a GPU if there is one; a finished run that is read again puts it there too.
    `history` holds dicts with `step` and either `loss` (mean since the entry before), `learning_rate`, `grad_norm` and
    `tokens_per_s`, or the held-out `valid_loss` (the objective's own) and `valid_ce` (nats). `head` is the one that was
    taken, "fused" or "logits".
    """

    history: list
    model: torch.nn.Module
    head: str

    def column(self, name):
        """Steps and values of one quantity, as two lists."""
        found = [(entry["step"], entry[name]) for entry in self.history if name in entry]
        return [step for step, _ in found], [value for _, value in found]


def make_objective(name, cost, head, options):
    """The objective by name; its cost is the given one or that of a copy of a head's weight (A8).

    Raises ValueError as `losses.objective` and `CostEmbedding`.
    """
    if cost is not None and not isinstance(cost, CostEmbedding):
        raise ValueError(f"cost must be a CostEmbedding, got {type(cost).__name__}")
    needs = objective(name, CostEmbedding(torch.eye(2)), **options).needs
    if not {"emo", "debiased"} & set(needs):
        return objective(name, None, **options)
    return objective(name, cost if cost is not None else CostEmbedding(head.detach().clone()), **options)


def check_precision(precision):
    """A precision's name; None is what `accelerate launch` was told, else bf16 on a GPU that has it, otherwise fp32.

    Raises ValueError for an unknown one, for another one than `accelerate launch` was told, or for fp16 without a GPU.
    """
    launched = os.environ.get("ACCELERATE_MIXED_PRECISION", "").lower()
    if launched not in UNSET:
        if precision not in (None, launched):
            there = f"ACCELERATE_MIXED_PRECISION = {launched}"
            raise ValueError(f"precision = {precision!r}, but the environment has {there}: unset one of the two")
        precision = launched
    if precision is None:
        # torch.cuda.is_bf16_supported() is True on a T4 as well, which only emulates bf16, slower than float32
        has_bf16 = on_gpu() and (torch.version.hip or torch.cuda.get_device_capability()[0] >= 8)
        return "bf16" if has_bf16 else "fp32"
    if precision not in PRECISIONS:
        raise ValueError(f"precision = {precision!r} is not one of {', '.join(PRECISIONS)}")
    if precision == "fp16" and not on_gpu():
        raise ValueError("precision = 'fp16' needs a GPU; on a CPU use 'bf16' or 'fp32'")
    return precision


def _with_objective(model, name, cost, options, head):
    """The wrapper; ValueError for weights that are not float32, and as `make_objective` and `WithObjective`."""
    for part, weight in getattr(model, "named_parameters", list)():
        if weight.dtype != torch.float32:
            why = "float32 weights are trained, model.float(); `precision` sets what products use"
            raise ValueError(f"model's {part} is {weight.dtype}: {why}")
    embedded = getattr(model, "get_output_embeddings", lambda: None)()
    if cost is not None:  # the wrapper moves its own to the GPU, not the caller's; the vectors are not copied
        cost = copy.deepcopy(cost, {id(x): x for x in getattr(cost, "buffers", list)()})
    made = WithObjective(model, make_objective(name, cost, getattr(embedded, "weight", torch.eye(2)), options), head)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ValueError("no parameter of the model is to be trained: requires_grad is False for each")
    folder.check_saved(model)
    return made


def finetune(
    model,
    tokens_train,
    tokens_valid=None,
    objective="emo-mode-1",
    *,
    cost=None,
    out=None,
    steps=None,
    epochs=None,
    batch_size=32,
    block=256,
    lr=5e-5,
    seed=42,
    accumulation=1,
    precision=None,
    head="auto",
    options=None,
    save_every=None,
    log_every=10,
    valid_every=None,
    on_log=None,
    progress=False,
    tokenizer=None,
):
    """Train a causal LM of transformers with an objective and return a `Result`; the model itself is changed.

    AdamW, no weight decay, a linear schedule. torch's, numpy's and Python's global random states are set to `seed`.
    `model` may be a `PeftModel` with one adapter: that is trained, and `out` then holds it.

    `tokens_train`, `tokens_valid`: a stream of token ids, blocks (n, block), or a pair (ids, labels) of such blocks.
    `objective`, `options`, `cost`: as in `losses.objective`; without a cost, a frozen copy of the head as it is now.
    `steps` or `epochs`: how long to train; `lr`: the learning rate of the first step.
    `batch_size`: blocks in one step, shared out over `accumulation` pieces and all processes, which does not change
        the result: the loss is the mean over all tokens of a step.
    `precision`: of products, "fp32", "bf16" or "fp16"; by default bf16 on a GPU that computes in it (capability 8 or
        higher; a T4 has 7.5), otherwise fp32.
    `head`: see `WithObjective`; the result and `run.json` say which one "auto" took.
    `out`: the run's folder, for a checkpoint every `save_every` steps and in the end the model and `tokenizer`. After
        a kill the same call goes on from the last whole checkpoint and ends with the same weights, on a GPU up to
        rounding. A second run in the same folder at the same time is refused. Without `out` nothing is written.
    `log_every`, `valid_every`: steps between training and held-out values in the history.
    `on_log`: called with every entry of the history as it comes; `progress`: draw a bar.

    Raises ValueError for arguments that make no sense, before anything is written.
    """
    batch_size, accumulation = inputs.count("batch_size", batch_size), inputs.count("accumulation", accumulation)
    log_every = inputs.count("log_every", log_every)
    save_every = save_every if save_every is None else inputs.count("save_every", save_every)
    valid_every = valid_every if valid_every is None else inputs.count("valid_every", valid_every)
    block, precision = inputs.count("block", block, low=2), check_precision(precision)
    seed, lr = inputs.count("seed", seed, low=0), inputs.number("lr", lr, low=0)
    if seed > LARGEST_SEED:
        raise ValueError(f"seed = {seed} must be at most 2**32 - 1")
    if save_every and out is None:
        raise ValueError(f"save_every = {save_every}, but out is None: there is nowhere to save")
    if valid_every and tokens_valid is None:
        raise ValueError(f"valid_every = {valid_every}, but tokens_valid is None: there is nothing to evaluate")
    if options is not None and not isinstance(options, dict):
        raise ValueError(f"options must be a dict, got {options!r}")
    if on_log is not None and not callable(on_log):
        raise ValueError(f"on_log must be a function, got {on_log!r}")
    if tokenizer is not None and not hasattr(tokenizer, "save_pretrained"):
        raise ValueError(f"tokenizer must be one of transformers, got {type(tokenizer).__name__}")
    options = options or {}
    if out is not None:
        folder.check(out)
    wrapper = _with_objective(model, objective, cost, options, head)
    trained = texts.blocks("tokens_train", tokens_train, block, model)
    held = None if tokens_valid is None else texts.blocks("tokens_valid", tokens_valid, block, model)
    if (steps is None) == (epochs is None):
        raise ValueError(f"give one of steps and epochs, got steps = {steps} and epochs = {epochs}")
    if steps is None:
        steps = math.ceil(inputs.number("epochs", epochs, low=0, open_low=True) * len(trained[0]) / batch_size)
    steps = inputs.count("steps", steps)
    if steps * batch_size > MOST_BLOCKS:
        raise ValueError(f"steps = {steps} with {batch_size} blocks each: more than {MOST_BLOCKS} blocks")
    place = Path("nowhere" if out is None else out) / folder.CHECKPOINTS
    args = arguments(place, steps, batch_size, accumulation, lr, seed, precision, save_every, log_every)
    settings = {"objective": objective, "options": options, "steps": steps, "batch_size": batch_size, "block": block}
    settings |= {"lr": lr, "seed": seed, "accumulation": accumulation, "precision": precision, "head": wrapper.head}
    run = _Run(args, out)
    # as many tokens at a time as in training: what fits there fits here
    pieces = held and max(args.per_device_train_batch_size * trained[0].shape[1] // held[0].shape[1], 1)
    validate = held and (lambda: evaluate(wrapper, *held, pieces, precision))
    recorder = Recorder(batch_size * trained[0].shape[1], on_log, validate, valid_every, run.checkpoint_saved, progress)
    checkpoint = None
    with run.alone():
        if out is not None:  # a run never goes on from another model or with another text
            weights, cost = model.state_dict().values(), wrapper.objective.cost
            contents = {"train": trained, "model": weights, "valid": held, "cost": cost and [cost.unit]}
            settings |= {name: found and folder.fingerprint(*found) for name, found in contents.items()}
            if run.begin(settings | {"processes": args.world_size}):
                history = folder.load_finished(model, out)
                return Result(history, model.to(args.device).eval(), wrapper.head)
            if checkpoint := folder.last_checkpoint(out):
                recorder.history = folder.read_json(checkpoint / folder.HISTORY)
        trainer = ObjectiveTrainer(wrapper, *trained, args, order(len(trained[0]), steps * batch_size, seed), recorder)
        trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        run.finish(model, tokenizer, recorder.history)
    return Result(recorder.history, model.eval(), wrapper.head)


class _Run:
    """The folder of a run, if it has one, and its processes: process 0 writes, the others wait for it."""

    def __init__(self, args, out):
        self.args, self.out, self.writes = args, out, args.process_index == 0

    def alone(self):
        """Keep other runs out of the folder."""
        return folder.alone(self.out) if self.out is not None and self.writes else contextlib.nullcontext()

    def begin(self, settings):
        """Make or recognise the run's folder; returns whether the run is finished."""
        if self.writes:
            folder.begin(self.out, settings)
        self._wait_for_all()
        return folder.begin(self.out, settings)  # now it is there for every process

    def checkpoint_saved(self, step, history):
        """Called on every process when it has written its part of a checkpoint."""
        self._wait_for_all()
        if self.writes:
            folder.mark_whole(Path(self.args.output_dir) / f"checkpoint-{step}", history)

    def finish(self, model, tokenizer, history):
        """Write the result, where there is a folder."""
        self._wait_for_all()
        if self.out is not None and self.writes:
            folder.finish(self.out, model, tokenizer, history)
        self._wait_for_all()

    def _wait_for_all(self):
        """Wait for all processes: if one leaves while another still talks to it, the other aborts."""
        if self.args.world_size > 1:
            torch.distributed.barrier()


def main(given):
    """Run the command line's request: check it, load model and text, train, and print the result; returns 0.

    Raises ValueError for a request that makes no sense, before anything is written.
    """
    transformers.utils.logging.set_verbosity_error()  # one line on stderr says what is wrong; libraries' remarks do not
    transformers.utils.logging.disable_progress_bar()
    warnings.simplefilter("ignore")
    warnings.filterwarnings("default", ".* cannot be locked")
    options = dict(map(_option, given.option))
    make_objective(given.objective, None, torch.eye(2), options)
    check_precision(given.precision)
    folder.check(given.out)
    texts.read(given.text)
    model, tokenizer = texts.load(texts.model_folder(given.model))
    room = getattr(model.config, "max_position_embeddings", None) or PAPER["block"]
    block = given.block or min(PAPER["block"], room)
    train, valid = texts.tokens(given.text, tokenizer, block)
    names = ("out", "lr", "seed", "accumulation", "precision", "save_every", "log_every", "head")
    settings = {name: getattr(given, name) for name in names} | {"batch_size": given.batch, "block": block}
    settings |= {"epochs": PAPER["epochs"]} if given.steps is None else {"steps": given.steps}
    settings |= {"options": options, "tokenizer": tokenizer, "progress": True}
    result = finetune(model, train, valid, given.objective, **settings)
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    if not together or torch.distributed.get_rank() == 0:
        for name, words in (("valid_loss", given.objective), ("valid_ce", "cross-entropy (nats per token)")):
            _, values = result.column(name)
            print(f"held-out {words}: {values[0]:.4f} -> {values[-1]:.4f}")
        fallen = given.head == "auto" and result.head == "logits"
        print(f"head: {result.head}" + fallen * " (the fused one does not fit this model)")
        print(f"model, tokenizer and history: {given.out}")
    if together:
        torch.distributed.barrier()
        torch.distributed.destroy_process_group()
    return 0


def _option(text):
    """("gamma", 0.1) from "gamma=0.1"; true, false and none are read as in Python."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ValueError(f"option {text!r} must be written as name=value, such as gamma=0.1")
    words = {"true": True, "false": False, "none": None}
    try:
        return name, words[value.lower()] if value.lower() in words else float(value)
    except ValueError:
        raise ValueError(f"option {text!r}: the value must be a number, true, false or none") from None
