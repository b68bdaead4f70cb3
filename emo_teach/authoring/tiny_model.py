"""Pretrain the small GPT-2 of `data/tiny` on domain A of the world: `python -m emo_teach tiny --out data/tiny`."""

import sys
import tempfile
from pathlib import Path

from ..files import write_whole

STEPS, BATCH, BLOCK, RATE, SEED = 4000, 32, 33, 3e-3, 0


def make(out, steps=STEPS):
    """Pretrain with cross-entropy (A1), write model and tokenizer into `out`; after an error `out` is as before."""
    from .. import finetune
    from ..world import World, small_gpt2, word_tokenizer

    world, out = World(), Path(out)
    model = small_gpt2(world.size, seed=SEED)
    texts, held = world.sample(steps * BATCH, BLOCK, seed=[1, 1000]), world.sample(500, BLOCK, seed=[1, 1001])
    settings = {"objective": "ce", "steps": steps, "batch_size": BATCH, "lr": RATE, "seed": SEED}
    result = finetune.finetune(model, texts, held, **settings, valid_every=500, on_log=_report, log_every=500)
    with tempfile.TemporaryDirectory() as folder:
        result.model.save_pretrained(folder)
        word_tokenizer(world).save_pretrained(folder)
        out.mkdir(parents=True, exist_ok=True)
        for file in Path(folder).iterdir():
            write_whole(out / file.name, file.read_bytes())


def _report(entry):
    if "valid_ce" in entry:
        print(f"step {entry['step']}: {entry['valid_ce']:.4f} nats on held-out texts", file=sys.stderr, flush=True)


def main(out):
    """Make the model and say where it is; returns 0."""
    make(out)
    print(out)
    return 0
