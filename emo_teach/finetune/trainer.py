"""transformers' Trainer, told what differs here: blocks in a fixed order, no files of its own accord, checkpoints that are whole or not there."""

import torch
import transformers

from . import folder
from .data import Blocks, Order


class Arguments(transformers.TrainingArguments):
    """Training arguments under which a run that saves nothing makes no folder either."""

    @property
    def should_save(self):
        """Whether this process writes."""
        return self.save_strategy != "no" and super().should_save


class ObjectiveTrainer(transformers.Trainer):
    """Trainer of a `WithObjective`, saving the inner model in transformers' layout beside what resuming needs."""

    def __init__(self, wrapper, ids, labels, args, order, recorder):
        self._order = order
        super().__init__(
            wrapper, args, data_collator=_as_it_is, train_dataset=Blocks(ids, labels), callbacks=[recorder]
        )
        self.remove_callback(transformers.trainer_callback.PrinterCallback)  # it would print every log
        self._recorder = recorder

    def _get_train_sampler(self, train_dataset=None):
        return self._order

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Sum over this process's tokens divided by those of all processes and accumulation steps; DDP then *averages* gradients: undone here."""
        return model(**inputs, num_items_in_batch=num_items_in_batch) * self.accelerator.num_processes

    def save_model(self, output_dir=None, _internal_call=False):
        """The weights as safetensors and the history so far; the Trainer adds optimizer, scheduler, random state and step."""
        if self.args.should_save:
            folder.save_weights(self.model.model, output_dir)
            folder.write_json(f"{output_dir}/{folder.HISTORY}", self._recorder.history)

    def _load_from_checkpoint(self, resume_from_checkpoint, model=None):
        """`folder.load_weights`: the Trainer would look for the wrapper's names in the inner model's file, and go on when it finds none."""
        folder.load_weights(self.model.model, resume_from_checkpoint)


def _as_it_is(batch):
    return batch


def arguments(output_dir, steps, batch_size, accumulation, lr, seed, precision, save_every, log_every):
    """TrainingArguments: AdamW without weight decay or clipping, a linear schedule, and tokens averaged over all processes.

    Gradients are not clipped: AdamW does not see an objective's scale, a fixed clip would. Losses that are not finite
    are shown as they are. Returns `Arguments`. Raises ValueError when the batch cannot be shared out evenly.
    """
    made = Arguments(
        output_dir=str(output_dir),
        max_steps=steps,
        gradient_accumulation_steps=accumulation,
        learning_rate=lr,
        lr_scheduler_type="linear",
        warmup_steps=0,
        weight_decay=0.0,
        max_grad_norm=0.0,
        optim="adamw_torch_fused" if not torch.backends.mps.is_available() else "adamw_torch",
        seed=seed,
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=not (
            torch.cuda.is_available() or torch.backends.mps.is_available()
        ),  # bfloat16 on a CPU is to be asked for
        average_tokens_across_devices=True,
        logging_nan_inf_filter=False,
        logging_steps=log_every,
        save_strategy="steps" if save_every else "no",
        save_steps=save_every or 500,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=torch.cuda.is_available(),
        ddp_find_unused_parameters=False,
        ddp_broadcast_buffers=False,  # the cost embedding never changes: no need to send it round at every step
    )
    made._n_gpu = min(
        made.n_gpu, 1
    )  # several GPUs are for `accelerate launch`; in one process the Trainer would split batches by DataParallel
    parts = accumulation * made.world_size
    if batch_size % parts:
        raise ValueError(
            f"batch_size = {batch_size} must be a multiple of {parts}: {made.world_size} processes times accumulation = {accumulation}"
        )
    made.per_device_train_batch_size = batch_size // parts
    return made


def train(wrapper, ids, labels, args, seed, batch_size, recorder, checkpoint=None):
    """Train the wrapper, from a checkpoint's folder where one is given.

    Raises what torch and transformers raise.
    """
    order = Order(len(ids), args.max_steps * batch_size, seed)
    ObjectiveTrainer(wrapper, ids, labels, args, order, recorder).train(
        resume_from_checkpoint=checkpoint and str(checkpoint)
    )
