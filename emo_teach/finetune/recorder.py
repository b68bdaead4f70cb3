"""What a run leaves in its history, shows on its bar, and reports while it goes."""

import time

import torch
import transformers

from ..losses import objective

TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def evaluate(wrapper, ids, labels, batch_size=32, precision="fp32"):
    """Held-out loss of a `WithObjective`, and the cross-entropy beside it, over all tokens that count.

    Formula: mean over tokens of the objective, and of -log p_t (A1). Returns a dict of two numbers, `valid_loss` and
    `valid_ce`. Raises ValueError when labels are out of range.
    """
    device = next(wrapper.parameters()).device
    plain, count = objective("ce"), int((labels[:, 1:] != -100).sum())
    sums, training = torch.zeros(2, dtype=torch.float64), wrapper.training
    wrapper.eval()
    try:
        with (
            torch.no_grad(),
            torch.autocast(device.type, dtype=TYPES.get(precision, torch.bfloat16), enabled=precision in TYPES),
        ):
            for start in range(0, len(ids), batch_size):
                wanted = labels[start : start + batch_size].to(device)
                outputs = wrapper.outputs(ids[start : start + batch_size].to(device))
                sums += torch.stack(
                    [wrapper.loss(outputs, wanted, goal, "sum").double().cpu() for goal in (None, plain)]
                )
    finally:
        wrapper.train(training)
    return dict(zip(("valid_loss", "valid_ce"), (sums / count).tolist(), strict=True))


class Recorder(transformers.TrainerCallback):
    """Turns the Trainer's logs into a history of dicts, hands each to `report`, and draws the bar.

    `validate()` is called before the first step, every `valid_every` steps and after the last; `publish(step)` when a checkpoint is written.
    The time of either is no part of tokens per second.
    """

    def __init__(
        self, tokens_per_step, history=(), report=None, validate=None, valid_every=None, publish=None, progress=False
    ):
        self.history, self.report, self.validate, self.valid_every = list(history), report, validate, valid_every
        self.tokens_per_step, self.publish, self.progress, self.bar = tokens_per_step, publish, progress, None
        self.step, self.clock = 0, 0.0  # from where tokens per second are counted

    def note(self, entry, state):
        """Add an entry to the history and tell whoever listens, once for all processes."""
        self.history.append(entry)
        if self.report and state.is_world_process_zero:
            self.report(dict(entry))

    def validated(self, state):
        """The held-out loss at this step, unless it is known."""
        begun = time.perf_counter()
        known = any(entry["step"] == state.global_step and "valid_loss" in entry for entry in self.history)
        if self.validate and not known:
            self.note({"step": state.global_step, **self.validate()}, state)
        self.clock += time.perf_counter() - begun

    def on_train_begin(self, args, state, control, **kwargs):
        """Before the first step of this process."""
        if state.global_step == 0:
            self.validated(state)
        if self.progress and state.is_world_process_zero:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=state.max_steps, initial=state.global_step, unit="step", mininterval=0.5)
        self.step, self.clock = state.global_step, time.perf_counter()

    def on_step_end(self, args, state, control, **kwargs):
        """One step further; the last one is always logged."""
        if self.bar:
            self.bar.update(1)
        if state.global_step == state.max_steps:
            control.should_log = True
        return control

    def on_log(self, args, state, control, logs=None, **kwargs):
        """Every `log_every` steps, with the mean loss since the last time."""
        if "loss" not in logs:  # the Trainer's summary at the end
            return
        seconds, steps = time.perf_counter() - self.clock, state.global_step - self.step
        rate = steps * self.tokens_per_step / seconds if seconds > 0 else float("nan")
        kept = {key: logs[key] for key in ("loss", "learning_rate", "grad_norm") if key in logs}
        self.note({"step": state.global_step, **kept, "tokens_per_s": rate}, state)
        if self.bar:
            self.bar.set_postfix_str(f"loss {logs['loss']:.4g}, {rate:,.0f} tokens/s", refresh=False)
        self.step, self.clock = state.global_step, time.perf_counter()
        if self.valid_every and state.global_step % self.valid_every == 0:
            self.validated(state)

    def on_save(self, args, state, control, **kwargs):
        """All processes have written their part of a checkpoint."""
        self.publish(state.global_step)
        self.step, self.clock = state.global_step, time.perf_counter()

    def on_train_end(self, args, state, control, **kwargs):
        """After the last step."""
        self.validated(state)
        if self.bar:
            self.bar.close()
