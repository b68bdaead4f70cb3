"""transformers' Trainer, with blocks in a fixed order, a history, and checkpoints in the layout of the inner model."""

import os
import time

import numpy as np
import torch
import transformers
from tqdm.auto import tqdm

from ..losses import objective
from ..measure.reading import evaluation_mode
from . import folder

UNSET = ("", "0", "n", "no", "f", "false", "off", "none")
# With these `accelerate launch` compiles the model or shares it out, which would train and save it in another way.
NOT_HERE = tuple(f"ACCELERATE_USE_{name}" for name in ("DEEPSPEED", "FSDP", "MEGATRON_LM", "PARALLELISM_CONFIG"))
NOT_HERE += ("ACCELERATE_DYNAMO_BACKEND",)
TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def order(size, count, seed):
    """Which block comes when, (count,): permutations one after another, each drawn from (seed, its number).

    Batches run over the ends of permutations, so every step has a full batch. The order depends on nothing else, so it
    is the same for any number of processes, and the same again after a restart.
    """
    found = [np.random.default_rng([seed, start // size]).permutation(size) for start in range(0, count, size)]
    return np.concatenate(found)[:count].tolist()


def evaluate(wrapper, ids, labels, batch_size=32, precision="fp32"):
    """Held-out `valid_loss` (the objective of a `WithObjective`) and `valid_ce` (cross-entropy, A1), in a dict.

    Both are means over all tokens that count. Raises ValueError when labels are out of range.
    """
    device = next(wrapper.parameters()).device
    plain, count = objective("ce"), int((labels[:, 1:] != -100).sum())
    sums = torch.zeros(2, dtype=torch.float64)
    low = torch.autocast(device.type, dtype=TYPES.get(precision, torch.bfloat16), enabled=precision in TYPES)
    with evaluation_mode(wrapper), torch.no_grad(), low:
        for start in range(0, len(ids), batch_size):
            part = slice(start, start + batch_size)
            outputs, wanted = wrapper.outputs(ids[part].to(device)), labels[part].to(device)
            both = [wrapper.loss(outputs, wanted, goal, "sum").double().cpu() for goal in (None, plain)]
            sums += torch.stack(both)
    return dict(zip(("valid_loss", "valid_ce"), (sums / count).tolist(), strict=True))


class Recorder(transformers.TrainerCallback):
    """Turns the Trainer's logs into a history of dicts, hands each to `report`, and draws the progress bar.

    `validate()` is called before the first step, every `valid_every` steps and after the last; `saved(step, history)`
    after each checkpoint. Neither counts towards tokens per second.
    """

    def __init__(self, tokens_per_step, report, validate, valid_every, saved, progress):
        self.tokens_per_step, self.report, self.progress = tokens_per_step, report, progress
        self.validate, self.valid_every, self.saved = validate, valid_every, saved
        self.history = []
        self.step, self.clock = 0, 0.0  # where the count of tokens per second began

    def _note(self, entry, state):
        self.history.append(entry)
        if self.report and state.is_world_process_zero:
            self.report(dict(entry))

    def _validate(self, state):
        """Note the held-out values at this step, unless they are known."""
        begun = time.perf_counter()
        known = any(entry["step"] == state.global_step and "valid_loss" in entry for entry in self.history)
        if self.validate and not known:
            self._note({"step": state.global_step, **self.validate()}, state)
        self.clock += time.perf_counter() - begun

    def on_train_begin(self, args, state, control, **kwargs):
        if state.global_step == 0:
            self._validate(state)
        hidden = not (self.progress and state.is_world_process_zero)
        sizes = {"total": state.max_steps, "initial": state.global_step}
        self.bar = tqdm(**sizes, unit="step", mininterval=0.5, disable=hidden)
        self.step, self.clock = state.global_step, time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        """After each step; the last one is always logged."""
        self.bar.update(1)
        if state.global_step == state.max_steps:
            control.should_log = True

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Every `log_every` steps, with the mean loss since the last time."""
        if "loss" not in logs:  # the Trainer's summary at the end
            return
        seconds, steps = time.perf_counter() - self.clock, state.global_step - self.step
        rate = steps * self.tokens_per_step / seconds if seconds > 0 else float("nan")
        kept = {key: logs[key] for key in ("loss", "learning_rate", "grad_norm") if key in logs}
        self._note({"step": state.global_step, **kept, "tokens_per_s": rate}, state)
        self.bar.set_postfix_str(f"loss {logs['loss']:.4g}, {rate:,.0f} tokens/s", refresh=False)
        self.step, self.clock = state.global_step, time.perf_counter()
        if self.valid_every and state.global_step % self.valid_every == 0:
            self._validate(state)

    def on_save(self, args, state, control, **kwargs):
        self.saved(state.global_step, self.history)
        self.step, self.clock = state.global_step, time.perf_counter()

    def on_train_end(self, args, state, control, **kwargs):
        self._validate(state)
        self.bar.close()


class Arguments(transformers.TrainingArguments):
    """Training arguments under which a run that saves nothing makes no folder either."""

    @property
    def should_save(self):
        return self.save_strategy != "no" and super().should_save


class ObjectiveTrainer(transformers.Trainer):
    """Trainer of a `WithObjective` that saves and loads the inner model in transformers' layout."""

    def __init__(self, wrapper, ids, labels, args, indices, recorder):
        def batch(chosen):
            return {"input_ids": ids[chosen], "labels": labels[chosen]}

        super().__init__(wrapper, args, data_collator=batch, train_dataset=indices, callbacks=[recorder])
        self.remove_callback(transformers.trainer_callback.PrinterCallback)  # it would print every log

    def _get_train_sampler(self, train_dataset=None):
        return torch.utils.data.SequentialSampler(self.train_dataset)

    def _get_grad_norm(self, *args, **kwargs):
        # Only steps that are logged show the norm: elsewhere it is not computed.
        step = self.state.global_step + 1
        shown = step % self.args.logging_steps == 0 or step == self.state.max_steps
        return super()._get_grad_norm(*args, **kwargs) if shown else None

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """This process's sum over tokens, divided by the tokens of the whole step, of all processes and pieces.

        DistributedDataParallel then averages gradients over processes; the factor turns that mean into a sum.
        """
        return model(**inputs, num_items_in_batch=num_items_in_batch).loss * self.accelerator.num_processes

    def save_model(self, output_dir=None, _internal_call=False):
        """The weights as safetensors; the Trainer adds optimizer, scheduler, random state and step."""
        if self.args.should_save:
            folder.save_weights(self.model.model, output_dir)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        # The Trainer would look for the wrapper's names in the inner model's file, and go on when it finds none.
        folder.load_weights(self.model.model, resume_from_checkpoint)


def on_gpu():
    """Whether training goes to a CUDA device: there is one, and accelerate is not told to stay on the CPU."""
    return torch.cuda.is_available() and os.environ.get("ACCELERATE_USE_CPU", "").lower() in UNSET


def arguments(output_dir, steps, batch_size, accumulation, lr, seed, precision, save_every, log_every):
    """The Trainer's arguments: AdamW without weight decay or clipping, a linear schedule, means over all processes.

    Gradients are not clipped: AdamW does not see an objective's scale, but a fixed clip would. Losses that are not
    finite are shown as they are. Raises ValueError when the batch cannot be shared out evenly, or when the environment
    asks accelerate for another way of training.
    """
    for name in NOT_HERE:
        if (value := os.environ.get(name, "")).lower() not in UNSET:
            raise ValueError(f"{name} = {value} in the environment would make this another run: unset it")
    cuda, mps = on_gpu(), torch.backends.mps.is_available()
    optimizer = {"optim": "adamw_torch" if mps else "adamw_torch_fused", "weight_decay": 0.0, "max_grad_norm": 0.0}
    schedule = {"max_steps": steps, "learning_rate": lr, "lr_scheduler_type": "linear", "warmup_steps": 0}
    # Without a GPU, the Trainer accepts bf16 only together with use_cpu.
    numbers = {"bf16": precision == "bf16", "fp16": precision == "fp16", "use_cpu": not (cuda or mps), "seed": seed}
    # Buffers are not sent round at every step: the cost embedding never changes.
    ddp = {"ddp_find_unused_parameters": False, "ddp_broadcast_buffers": False, "average_tokens_across_devices": True}
    logs = {"logging_steps": log_every, "logging_nan_inf_filter": False, "report_to": "none", "disable_tqdm": True}
    # Two checkpoints are kept: the Trainer deletes older ones before the newest is marked as whole.
    saves = {"save_strategy": "steps" if save_every else "no", "save_steps": save_every or 500, "save_total_limit": 2}
    loader = {"remove_unused_columns": False, "dataloader_pin_memory": cuda}
    loader |= {"accelerator_config": {"non_blocking": cuda}}  # what is pinned need not be waited for
    sizes = {"output_dir": str(output_dir), "gradient_accumulation_steps": accumulation}
    made = Arguments(**sizes, **optimizer, **schedule, **numbers, **ddp, **logs, **saves, **loader)
    made._n_gpu = min(made.n_gpu, 1)  # several GPUs need `accelerate launch`: DataParallel would split the batches
    parts = accumulation * made.world_size
    if batch_size % parts:
        shared = f"{made.world_size} processes times accumulation = {accumulation}"
        raise ValueError(f"batch_size = {batch_size} must be a multiple of {parts}: {shared}")
    made.per_device_train_batch_size = batch_size // parts
    return made
