"""What a whole training step costs: backbone, head, loss, gradients and AdamW, for a small GPT-2 and one of GPT-2's own size.

`python -m emo_teach.bench.steps MODEL METHOD` prints the peak memory of two steps in a process of its own.
"""

import json
import subprocess
import sys
from dataclasses import dataclass

from . import memory

METHODS = {  # name: (objective, head, how the cost embedding is kept)
    "MLE, logits": ("ce", "logits", None),
    "MLE, fused": ("ce", "fused", None),
    "EMO, logits": ("emo-mode-1", "logits", "float32"),
    "EMO, fused": ("emo-mode-1", "fused", "float32"),
    "EMO, fused, int8 cost": ("emo-mode-1", "fused", "int8"),
}
BASE = "MLE, logits"
LEAST = 50  # MiB: a process's memory comes in larger pieces than a model smaller than that


@dataclass(frozen=True)
class Size:
    """A model to train and a batch: texts, and tokens in each."""

    name: str
    texts: int
    length: int


SIZES = (Size("tiny", 32, 33), Size("gpt2", 4, 128))  # 0.1 and 124 million parameters


def _model(name):
    """The course's own small GPT-2, or GPT-2's architecture with random weights: what they are changes no cost."""
    import transformers

    from ..world import model_folder

    transformers.utils.logging.disable_progress_bar()
    if name == "tiny":
        return transformers.GPT2LMHeadModel.from_pretrained(model_folder())
    return transformers.GPT2LMHeadModel(transformers.GPT2Config())


def _step(wrapper, optimizer):
    """batch -> (() -> one training step)."""

    def given(batch):
        def step():
            optimizer.zero_grad(set_to_none=True)
            wrapper(batch, batch).backward()
            optimizer.step()

        return step

    return given


def _prepare(size, names, device):
    """Steps of several methods on one model, sharing its optimizer, and a maker of batches."""
    import torch

    from ..finetune import WithObjective
    from ..losses import CostEmbedding, objective

    torch.manual_seed(0)
    model = _model(size.name).train().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
    head = model.get_output_embeddings().weight.detach()
    kept = {
        kind: CostEmbedding(head, getattr(torch, kind)).to(device)
        for kind in {METHODS[name][2] for name in names} - {None}
    }
    goals = {name: objective(METHODS[name][0], kept.get(METHODS[name][2])) for name in names}
    steps = {name: _step(WithObjective(model, goals[name], METHODS[name][1]), optimizer) for name in names}

    def batch(turn):
        return torch.randint(len(head), (size.texts, size.length), generator=torch.Generator().manual_seed(turn)).to(
            device
        )

    return steps, batch


def peak(size, name):
    """Peak extra memory of two steps in this process, which must be a fresh one: the second has the optimizer's state beside the gradients.

    Formula: most memory in use, less what was in use when the model had been made. Returns a float, or None where the
    system does not tell. Raises what the method raises.
    """
    from . import methods

    device = methods.device()
    steps, batch = _prepare(SIZES[0], [BASE], device)  # libraries load and make their buffers at first use
    steps[BASE](batch(0))()
    model = _model(size.name)
    before = memory.in_use(device)
    del model  # made anew below: its weights are not counted, what is kept beside them is
    steps, batch = _prepare(size, [name], device)
    for turn in (1, 2):
        steps[name](batch(turn))()
    after = memory.most(device)
    return None if before is None else (after - before) / memory.MIB


def measure(sizes=SIZES, repeats=5):
    """Seconds and peak memory of a training step by model and method.

    Formula: medians of interleaved steps, a fresh batch each. Returns {model: {method: (seconds, MiB or None)}}.
    Raises RuntimeError when a process that measures memory fails, and what the methods raise.
    """
    from . import methods
    from .timing import clock, interleaved

    found = {}
    for size in sizes:
        steps, batch = _prepare(size, list(METHODS), methods.device())
        seconds = interleaved(steps, batch, repeats, clock(methods.device()))
        del steps
        found[size.name] = {name: (seconds[name], _fresh(size, name)) for name in METHODS}
    return found


def _fresh(size, name):
    ended = subprocess.run([sys.executable, "-m", __name__, size.name, name], capture_output=True, text=True)
    if ended.returncode:
        raise RuntimeError(
            f"the process that measures memory ended with status {ended.returncode}: {ended.stderr.strip().splitlines()[-1]}"
        )
    return json.loads(ended.stdout.splitlines()[-1])


def table(found):
    """The measurements as lines of text, with ratios to cross-entropy on logits.

    Memory is told where the base takes `LEAST` MiB.
    """
    lines = [f"{'training step of':<18} {'method':<22} {'ms':>9} {'ratio':>6} {'peak MiB':>9} {'ratio':>6}"]
    for model, rows in found.items():
        for method, (seconds, peak_mib) in rows.items():
            told = peak_mib is not None and rows[BASE][1] >= LEAST
            memory_columns = "" if not told else f" {peak_mib:9.0f} {peak_mib / rows[BASE][1]:6.2f}"
            lines.append(
                f"{model:<18} {method:<22} {1000 * seconds:9.1f} {seconds / rows[BASE][0]:6.2f}{memory_columns}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    chosen, method = sys.argv[1:]
    print(json.dumps(peak(next(size for size in SIZES if size.name == chosen), method)))
