"""Where fine-tuning begins: small GPT-2s that have learned domain A, one for each size, world and seed, made once and kept between stages."""

from pathlib import Path

BLOCK = 33  # the first of 33 words is the start word: 32 are predicted
SETTINGS = {"steps": 1500, "batch_size": 32, "lr": 3e-3}


def folder(work, layers, width, seed, synonyms=3, topics=6):
    """Where the weights are kept."""
    world = "" if (synonyms, topics) == (3, 6) else f"-{synonyms}x{topics}"
    return Path(work) / f"gpt2-{layers}x{width}{world}-{seed}"


def pretrain(work, layers, width, seed, synonyms=3, topics=6):
    """Pretrain on fresh texts of domain A, unless it was done; a model that is kept is whole.

    Formula: cross-entropy.
    """
    from .. import finetune
    from ..world import World, small_gpt2

    place = folder(work, layers, width, seed, synonyms, topics)
    if (place / "config.json").exists():
        return
    world = World(synonyms=synonyms, topics=topics)
    model = small_gpt2(world.size, layers, width, seed)
    texts = world.sample(SETTINGS["steps"] * SETTINGS["batch_size"], BLOCK, seed=[1, seed])
    finetune.finetune(model, texts, objective="ce", seed=seed, **SETTINGS)
    half = place.with_name(place.name + ".half")
    model.save_pretrained(half)
    half.rename(place)


def load(place):
    """A kept model.

    Returns a `transformers.GPT2LMHeadModel`. Raises OSError where there is none.
    """
    import transformers

    transformers.utils.logging.disable_progress_bar()
    return transformers.GPT2LMHeadModel.from_pretrained(place)


def head(model, shuffle=None):
    """A frozen copy of a model's head, with its rows in a random order where a seed is given: the control that keeps all but who is near whom.

    Returns a tensor (V, d).
    """
    import torch

    rows = model.get_output_embeddings().weight.detach().clone()
    return (
        rows if shuffle is None else rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(shuffle))]
    )
