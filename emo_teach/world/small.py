"""The small GPT-2 that goes with a world: transformers' own architecture, and a tokenizer that has a token for each word."""

from ..files import data_path
from .lexicon import START
from .world import World


def model_folder():
    """Folder of the small GPT-2 pretrained on domain A, in transformers' layout.

    Returns a `pathlib.Path`. Raises ValueError where the data is missing.
    """
    return data_path("tiny/config.json").parent


def small_gpt2(vocabulary, layers=2, width=64, seed=0):
    """A GPT-2 with random weights and no dropout, for texts of up to 64 words.

    Returns a `transformers.GPT2LMHeadModel`. Raises ValueError for a width that the heads (four, or two below a width
    of 32) do not divide.
    """
    import torch
    import transformers

    heads = 4 if width >= 32 else 2
    if width % heads:
        raise ValueError(f"width = {width} must be a multiple of {heads}, the number of attention heads")
    off = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    sizes = {"vocab_size": vocabulary, "n_positions": 64, "n_embd": width, "n_layer": layers, "n_head": heads}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **off, bos_token_id=0, eos_token_id=0))


def word_tokenizer(world):
    """A tokenizer with one token per word of the world, in its order; words that it lacks become the start word.

    Returns a `transformers.PreTrainedTokenizerFast`.
    """
    import tokenizers
    import transformers

    numbers = {word: k for k, word in enumerate(world.vocabulary)}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, unk_token=START))
    made.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    special = {name: START for name in ("unk_token", "bos_token", "eos_token")}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, model_max_length=64, clean_up_tokenization_spaces=False, **special
    )


def small_models():
    """Two models to try the explorers with: the committed small GPT-2, and a copy whose logits are sharper by a quarter.

    The copy's last layer norm is scaled by 1.25, which is a temperature of 0.8. Returns (world, models by name). Raises
    ValueError where the data is missing.
    """
    import torch
    import transformers

    names = ("ce", "emo-mode-1")
    models = {name: transformers.GPT2LMHeadModel.from_pretrained(model_folder()).eval() for name in names}
    with torch.no_grad():
        for weight in models["emo-mode-1"].transformer.ln_f.parameters():
            weight.mul_(1.25)
    return World(), models
