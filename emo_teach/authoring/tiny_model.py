"""Pretrains the small GPT-2 of `data/tiny` on domain A of the world: `python -m emo_teach.authoring.tiny_model --out data/tiny`."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

STEPS, BATCH, BLOCK, RATE, SEED = 4000, 32, 33, 3e-3, 0


def make(out, steps=STEPS):
    """Pretrain and write model and tokenizer into a folder, whole or not at all.

    Formula: cross-entropy, A1. Raises OSError where nothing can be written.
    """
    from .. import finetune
    from ..world import World, small_gpt2, word_tokenizer

    world, out = World(), Path(out)
    model = small_gpt2(world.size, seed=SEED)
    texts, held = world.sample(steps * BATCH, BLOCK, seed=[1, 1000]), world.sample(500, BLOCK, seed=[1, 1001])
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        result = finetune.finetune(
            model,
            texts,
            held,
            objective="ce",
            steps=steps,
            batch_size=BATCH,
            lr=RATE,
            seed=SEED,
            valid_every=500,
            on_log=_report,
            log_every=500,
        )
        result.model.save_pretrained(f"{folder}/model")
        word_tokenizer(world).save_pretrained(f"{folder}/model")
        for file in Path(folder, "model").iterdir():
            file.chmod(0o644)  # the weights come out readable by their owner alone
        if out.exists():
            out.rename(f"{folder}/old")
        shutil.move(f"{folder}/model", out)


def _report(entry):
    if "valid_ce" in entry:
        print(f"step {entry['step']}: {entry['valid_ce']:.4f} nats on held-out texts", file=sys.stderr, flush=True)


def main(argv=None):
    """The command.

    Returns the exit status. Raises what `make` raises.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    make(parser.parse_args(argv).out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
