"""Fine-tuning, from arguments that are checked first to a result."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import inputs
from ..losses import CostEmbedding, objective
from . import data, folder
from .model import WithObjective
from .recorder import Recorder, evaluate
from .trainer import arguments, train

# The EMO paper's and its scripts' settings: GPT-2 continued on WikiText-2, AdamW, linear schedule (arXiv 2310.04691; github.com/DRSY/EMO).
# AdamW, no weight decay and the linear schedule are how `finetune` trains anyway.
PAPER = {"lr": 5e-5, "batch_size": 32, "block": 256, "epochs": 3, "seed": 42}
PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Result:
    """What a run gives: the trained model, in evaluation mode, and its history.

    `history` holds dicts with `step` and either `loss` (mean since the entry before), `learning_rate`, `grad_norm` and `tokens_per_s`, or the
    held-out `valid_loss` (the objective's own) and `valid_ce` (nats).
    """

    history: list
    model: torch.nn.Module

    def column(self, name):
        """Steps and values of one quantity, as two lists."""
        found = [(entry["step"], entry[name]) for entry in self.history if name in entry]
        return [step for step, _ in found], [value for _, value in found]


def make_objective(name, cost, head, options):
    """The objective by name, its cost the given one or that of a head's weight, held apart from what is trained.

    Formula: A8 for the cost. Raises ValueError as `losses.objective` and `CostEmbedding`.
    """
    needs = objective(name, CostEmbedding(torch.eye(2)), **options).needs
    if not {"emo", "debiased"} & set(needs):
        return objective(name, None, **options)
    return objective(name, cost if cost is not None else CostEmbedding(head.detach().clone()), **options)


def check_precision(precision):
    """A precision's name; None is bf16 where a GPU has it, otherwise fp32.

    Raises ValueError for an unknown one, or fp16 without a GPU.
    """
    if precision is None:
        return "bf16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"
    if precision not in PRECISIONS:
        raise ValueError(f"precision = {precision!r} is not one of {', '.join(PRECISIONS)}")
    if precision == "fp16" and not torch.cuda.is_available():
        raise ValueError("precision = 'fp16' needs a GPU; on a CPU use 'bf16' or 'fp32'")
    return precision


def _positive(**values):
    for name, value in values.items():
        if value is not None:
            inputs.count(name, value)


def _steps(steps, epochs, blocks, batch_size):
    if (steps is None) == (epochs is None):
        raise ValueError(f"give one of steps and epochs, got steps = {steps} and epochs = {epochs}")
    if steps is not None:
        return inputs.count("steps", steps)
    return math.ceil(inputs.number("epochs", epochs, low=0, open_low=True) * blocks / batch_size)


def _check_weights(model):
    for name, parameter in getattr(model, "named_parameters", list)():
        if parameter.dtype != torch.float32:
            raise ValueError(
                f"model's {name} is {parameter.dtype}: float32 weights are trained, model.float(); `precision` sets what products use"
            )


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
    head="fused",
    options=None,
    save_every=None,
    log_every=10,
    valid_every=None,
    on_log: Callable | None = None,
    progress=False,
    resume=True,
    tokenizer=None,
):
    """Train a causal LM of transformers with an objective: AdamW, no weight decay, a linear schedule; the model itself is changed.

    Formula: the objective's, as a mean over all tokens of a step, whatever number of `accumulation` pieces and
    processes it is shared between: `batch_size` is that of the whole step. The cost embedding is a frozen copy of the
    head as it is now, unless `cost` is given. Returns a `Result`. Units: the objective's. `on_log` is called with
    every entry of the history as it comes. With `out`, the run's folder: checkpoints every `save_every` steps, in the
    end the model (`from_pretrained(out)`), and after a kill the same call goes on from the last whole checkpoint and
    ends with the same weights; with None nothing is written. torch's, numpy's and Python's global random state are set
    to `seed`. Raises ValueError for arguments that make no sense, before anything is written.
    """
    _positive(
        batch_size=batch_size,
        accumulation=accumulation,
        log_every=log_every,
        save_every=save_every,
        valid_every=valid_every,
    )
    block, precision = inputs.count("block", block, low=2), check_precision(precision)
    seed, lr = inputs.count("seed", seed, low=0), inputs.number("lr", lr, low=0)
    if save_every and out is None:
        raise ValueError(f"save_every = {save_every}, but out is None: there is nowhere to save")
    _check_weights(model)
    embedded = getattr(model, "get_output_embeddings", lambda: None)()
    goal = make_objective(objective, cost, getattr(embedded, "weight", torch.eye(2)), options or {})
    wrapper = WithObjective(model, goal, head)
    ids, labels = data.blocks("tokens_train", tokens_train, block)
    held = None if tokens_valid is None else data.blocks("tokens_valid", tokens_valid, block)
    for name, pair in (("tokens_train", (ids, labels)), *([("tokens_valid", held)] if held else [])):
        data.check_model_fits(name, *pair, model)
    steps = _steps(steps, epochs, len(ids), batch_size)
    args = arguments(
        Path(out or "nowhere") / folder.UNFINISHED,
        steps,
        batch_size,
        accumulation,
        lr,
        seed,
        precision,
        save_every,
        log_every,
    )
    settings = {
        "objective": objective,
        "options": options or {},
        "steps": steps,
        "batch_size": batch_size,
        "block": block,
        "lr": lr,
        "seed": seed,
    }
    settings |= {"accumulation": accumulation, "precision": precision, "head": head, "processes": args.world_size}
    run = _Run(out, args, wrapper, (ids, labels), held, settings, tokenizer)
    recorder = Recorder(
        batch_size * ids.shape[1],
        report=on_log,
        validate=held and (lambda: evaluate(wrapper, *held, precision=precision)),
        valid_every=valid_every,
        publish=run.publish,
        progress=progress,
    )
    return run(recorder, resume)


class _Run:
    """One run in its folder, or without one."""

    def __init__(self, out, args, wrapper, trained, held, settings, tokenizer):
        self.out, self.args, self.wrapper, self.trained, self.tokenizer = out, args, wrapper, trained, tokenizer
        self.settings = settings
        if (
            out is not None
        ):  # what decides the weights is part of the settings: a run never goes on from another model or with another text
            cost = wrapper.objective.cost
            self.settings |= {
                "model": folder.fingerprint(*wrapper.model.state_dict().values()),
                "train": folder.fingerprint(*trained),
            }
            self.settings |= {
                "valid": held and folder.fingerprint(*held),
                "cost": cost and folder.fingerprint(cost.unit),
            }

    def __call__(self, recorder, resume):
        model, checkpoint = self.wrapper.model, None
        if self.out is not None:
            if self._in_turn(lambda: folder.begin(self.out, self.settings, resume)):
                folder.load_weights(model, self.out)
                return Result(folder.read_json(Path(self.out) / folder.HISTORY), model.eval())
            checkpoint = folder.last_checkpoint(self.out)
            recorder.history = folder.read_json(checkpoint / folder.HISTORY) if checkpoint else []
        train(
            self.wrapper,
            *self.trained,
            self.args,
            self.settings["seed"],
            self.settings["batch_size"],
            recorder,
            checkpoint,
        )
        if self.out is not None:
            self._in_turn(lambda: folder.finish(self.out, model, self.tokenizer, recorder.history), first_only=True)
        self._meet()
        return Result(recorder.history, model.eval())

    def publish(self, step):
        """Called on every process when a checkpoint has been written."""
        self._meet()
        if self.args.process_index == 0:
            folder.publish(self.out, f"checkpoint-{step}")
        self._meet()

    def _in_turn(self, act, first_only=False):
        """Process 0 acts; the others wait, then find what it has made, unless only the first is to act."""
        if self.args.process_index == 0:
            done = act()
        self._meet()
        return done if self.args.process_index == 0 else None if first_only else act()

    def _meet(self):
        """Wait for all processes: one that leaves while another still talks to it makes that one abort."""
        if self.args.world_size > 1:
            torch.distributed.barrier()
