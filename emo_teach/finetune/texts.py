"""Models, tokenizers and texts by name, or a ValueError that says in a line why not; and tokens cut into blocks."""

import os
from pathlib import Path

import numpy as np

from .. import inputs

MAX_UNKNOWN = 0.05  # a tokenizer that does not know more of a text than this was not made for it
HELD_OUT = 0.1  # the last part of a text file is kept for validation
# Without any of these files transformers makes an empty tokenizer.
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "spiece.model", "vocab.json", "vocab.txt")
WORLD_TEXTS = {"train": (4096, 1), "valid": (256, 2)}  # how many texts of domain B, and their seed
IGNORED = -100  # transformers' label of a token that does not count
HUB_TIMEOUT = 10  # seconds that the hub has for its first answer
GPT2 = "openai-community/gpt2"
GPT2_NEEDED = ["config.json", "model.safetensors", "tokenizer.json"]
GPT2_FILES = [*GPT2_NEEDED, "generation_config.json", "tokenizer_config.json", "vocab.json", "merges.txt"]
WIKITEXT, WIKITEXT_PART = "Salesforce/wikitext", "wikitext-2-raw-v1"
_PIECE = 1_000_000  # characters that are tokenized at a time, up to the end of a line


def model_folder(name):
    """Folder of a model: "tiny" (this package's small GPT-2), "gpt2" (from the hub or its cache), or a folder with one.

    Raises ValueError for a folder without configuration, safetensors weights or tokenizer, and as `from_hub`.
    """
    if name == "tiny":
        from .. import world

        return world.model_folder()
    if name == "gpt2":
        return from_hub(GPT2, "model", GPT2_FILES, GPT2_NEEDED)
    path = Path(name)
    if not os.path.isdir(path):
        raise ValueError(f'model = {name}: no such folder, and neither "tiny" nor "gpt2"')
    needed = {
        "config.json": ["config.json"],
        "weights (model.safetensors; pickled ones are not read)": ["model.safetensors", "model.safetensors.index.json"],
        f"tokenizer ({TOKENIZERS[0]})": TOKENIZERS,
    }
    for lack, names in needed.items():
        if not any((path / file).is_file() for file in names):
            raise ValueError(f"model = {name}: the folder has no {lack}")
    return path


def load(path):
    """A causal language model with float32 weights and its tokenizer, from a folder; no code in the folder is run.

    Raises ValueError for anything that cannot be loaded whole: transformers alone would fill missing weights with
    random numbers.
    """
    import transformers

    safe = {"local_files_only": True, "trust_remote_code": False}
    load_model = transformers.AutoModelForCausalLM.from_pretrained
    try:
        model, found = load_model(path, use_safetensors=True, output_loading_info=True, **safe)
    except Exception as err:  # damaged files raise whatever their reader raises
        raise ValueError(f"model = {path}: cannot be loaded ({_first_line(err)})") from err
    if missing := sorted(found["missing_keys"]):
        lack = f"{missing[0]} and {len(missing) - 1} more that a {type(model).__name__} has"
        raise ValueError(f"model = {path}: its weights lack {lack}")
    try:
        return model.float(), transformers.AutoTokenizer.from_pretrained(path, **safe)
    except Exception as err:
        raise ValueError(f"model = {path}: its tokenizer cannot be loaded ({_first_line(err)})") from err


def _first_line(err):
    """The first line of an exception's message, or its class where there is none."""
    return (str(err).strip().splitlines() or [type(err).__name__])[0][:200]


def from_hub(repository, kind, files, needed):
    """Folder with a repository's `files`, of which those in `needed` must be there: from the hub's cache or the net.

    Raises ValueError when they are not in the cache and the hub is switched off (HF_HUB_OFFLINE), does not answer
    within `HUB_TIMEOUT` seconds, or breaks off.
    """
    import huggingface_hub

    def complete(**options):
        folder = huggingface_hub.snapshot_download(repository, repo_type=kind, allow_patterns=files, **options)
        return Path(folder) if all((Path(folder) / name).is_file() for name in needed) else None

    try:
        if found := complete(local_files_only=True):
            return found
    except FileNotFoundError:  # nothing of it is in the cache
        pass
    if huggingface_hub.constants.HF_HUB_OFFLINE:
        raise ValueError(f"{repository} is not in the cache, and HF_HUB_OFFLINE keeps the hub switched off")
    try:  # snapshot_download's own first question has no time limit
        huggingface_hub.HfApi().repo_info(repository, repo_type=kind, timeout=HUB_TIMEOUT)
        found = complete(etag_timeout=HUB_TIMEOUT)
    except Exception as err:  # a dozen classes of what can go wrong on the way
        raise ValueError(f"{repository} could not be fetched from the hub ({_first_line(err)})") from err
    if not found:
        raise ValueError(f"{repository} lacks one of {', '.join(needed)}")
    return found


def wikitext2():
    """WikiText-2 (raw) as two texts, to train on and for validation; ValueError as `from_hub`, or without pyarrow."""
    parquet = _parquet()
    needed = [f"{WIKITEXT_PART}/{part}-00000-of-00001.parquet" for part in ("train", "validation")]
    folder = from_hub(WIKITEXT, "dataset", needed, needed)
    return ["".join(parquet.read_table(folder / name, columns=["text"])["text"].to_pylist()) for name in needed]


def _parquet():
    """The reader of parquet files; ValueError without pyarrow."""
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ValueError("text = wikitext-2 comes as parquet files, which need pyarrow: pip install pyarrow") from None
    return pyarrow.parquet


def read(name):
    """A text file's content; None for "world" and "wikitext-2", which `tokens` makes and fetches.

    Raises ValueError for a file that is missing, unreadable, not UTF-8, or empty, and for "wikitext-2" without pyarrow.
    """
    if name == "wikitext-2":
        _parquet()
    if name in ("world", "wikitext-2"):
        return None
    path = Path(name)
    if not os.path.isfile(path):
        raise ValueError(f'text = {name}: no such file, and neither "world" nor "wikitext-2"')
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as err:
        raise ValueError(f"text = {name} is not UTF-8: byte {err.start} is 0x{err.object[err.start]:02x}") from None
    except OSError as err:
        raise ValueError(f"text = {name} cannot be read: {err.strerror}") from None
    if not text.strip():
        raise ValueError(f"text = {name} is empty")
    return text


def tokens(name, tokenizer, block):
    """Tokens to train on and tokens held out: 90 % of a text file and the rest, or two samples of the world's domain B.

    Returns two arrays of integers, (N,) or ready blocks (n, block). Raises ValueError for a text that is empty, not
    UTF-8, shorter than a block in either part, or over 5 % unknown to the tokenizer; and as `from_hub`.
    """
    if name == "world":
        return _world(tokenizer, block)
    if name == "wikitext-2":
        pair = [_encode(name, text, tokenizer) for text in wikitext2()]
    else:
        stream = _encode(name, read(name), tokenizer)
        cut = max(len(stream) - max(int(HELD_OUT * len(stream)), block), 0)
        pair = [stream[:cut], stream[cut:]]
    if min(map(len, pair)) < block:
        need = f"a block to train on and one to hold out take {2 * block}"
        raise ValueError(f"text = {name} is too short: {sum(map(len, pair))} tokens, but {need}")
    return pair


def _world(tokenizer, block):
    from .. import world

    made = world.World(shift=1.0)
    pair = [made.sample(count, block, seed) for count, seed in WORLD_TEXTS.values()]
    if tokenizer.convert_tokens_to_ids(list(made.vocabulary)) == list(range(made.size)):
        return pair  # the tokenizer's numbers are the world's: each block is a text from its beginning
    return [_encode("world", "\n".join(map(made.decode, texts)), tokenizer) for texts in pair]


def _encode(name, text, tokenizer):
    """Token ids of a text; ValueError when the tokenizer does not know too much of it.

    A token that stands for what is unknown may also have a text of its own, such as the end of a document: where the
    text says just that, nothing is lost.
    """
    ids, known, seen = [], 0.0, 0
    own = (tokenizer.unk_token or "").strip()
    for piece in _pieces(text):
        found = tokenizer(piece, add_special_tokens=False, verbose=False, return_offsets_mapping=tokenizer.is_fast)
        ids.append(np.array(found["input_ids"], dtype=np.int64))
        sure, visible = ids[-1] != tokenizer.unk_token_id, np.array([not c.isspace() for c in piece])
        if tokenizer.is_fast:  # characters that known tokens cover: some tokenizers drop unknown ones without a trace
            covered = np.zeros(len(piece), dtype=bool)
            for (start, end), is_sure in zip(found["offset_mapping"], sure, strict=True):
                if is_sure or piece[start:end].strip() == own:
                    covered[start:end] = True
            known += (covered & visible).sum()
        else:  # without offsets, the share of known tokens stands for that of known characters
            sure = sure.sum() + min((~sure).sum(), piece.count(own) if own else 0)
            known += visible.sum() * sure / max(len(ids[-1]), 1)
        seen += visible.sum()
    if seen and 1 - known / seen > MAX_UNKNOWN:
        unknown = f"{1 - known / seen:.0%} of it (at most {MAX_UNKNOWN:.0%} may be unknown)"
        raise ValueError(f"text = {name}: the model's tokenizer does not know {unknown}")
    return np.concatenate(ids)


def _pieces(text):
    start = 0
    while start < len(text):
        end = text.find("\n", start + _PIECE) + 1 or len(text)
        yield text[start:end]
        start = end


def blocks(name, tokens, block, model):
    """Input ids and labels (n, block) from a stream of tokens, ready blocks, or a pair of ready (ids, labels).

    A stream (1-D) is cut; a rest that fills no block is left out. The first label of a block is -100: nothing predicts
    it, and counting it would spoil means. Returns two int64 tensors. Raises ValueError for anything but integers, a
    negative id, a stream shorter than a block, a block of one token, and what the model has no token or position for.
    """
    import torch

    ids, labels = tokens if isinstance(tokens, tuple) and len(tokens) == 2 else (tokens, None)
    ids = inputs.integers(name, ids)
    if ids.ndim == 1:
        if ids.size < block:
            raise ValueError(f"{name} has {ids.size} tokens, fewer than one block of {block}")
        ids = ids[: ids.size // block * block].reshape(-1, block)
    if ids.ndim != 2 or ids.shape[1] < 2:
        needed = "a stream of tokens or blocks of at least 2, (n, block)"
        raise ValueError(f"{name} must be {needed}, got shape {ids.shape}")
    if ids.min() < 0:
        why = "a token's id is not negative (labels to leave out go into a second array)"
        raise ValueError(f"{name} holds {ids.min()}: {why}")
    labels = ids.copy() if labels is None else inputs.integers(f"{name}'s labels", labels)
    if labels.shape != ids.shape:
        raise ValueError(f"{name}: ids {ids.shape} and labels {labels.shape} disagree")
    bad = (labels < 0) & (labels != IGNORED)
    if bad.any():
        raise ValueError(f"{name}'s labels hold {labels[bad][0]}: neither a token nor {IGNORED}")
    labels[:, 0] = IGNORED
    if (labels == IGNORED).all():
        raise ValueError(f"{name}: every label is {IGNORED}, so that nothing is left to predict")
    largest, known = max(ids.max(), labels.max()), model.get_input_embeddings().weight.shape[0]
    if largest >= known:
        raise ValueError(f"{name} holds token {largest}, but the model knows {known} (0..{known - 1})")
    room = getattr(model.config, "max_position_embeddings", None)
    if room is not None and ids.shape[1] > room:
        raise ValueError(f"block = {ids.shape[1]} is longer than the model's {room} positions")
    return torch.from_numpy(ids), torch.from_numpy(labels)
