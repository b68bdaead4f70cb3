"""Models, tokenizers and texts by name, for the command line: what was asked for, or a ValueError that says in a line why not."""

from pathlib import Path

import numpy as np

from . import hub

UNKNOWN = 0.05  # a tokenizer that leaves more of a text unknown than this is not made for it
HELD_OUT = 0.1  # the last part of a text file is kept for validation
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer.model",
    "spiece.model",
    "vocab.json",
    "vocab.txt",
)  # without any, transformers makes an empty one
_PIECE = 1_000_000  # characters that are tokenized at a time, up to the end of a line
WORLD_TEXTS = {
    "train": (4096, 1),
    "valid": (256, 2),
}  # how many texts of domain B, and the seed that they are drawn with


def model_folder(name):
    """Folder of a model: "tiny" (this package's small GPT-2), "gpt2" (from the hub or its cache), or a folder that has one.

    Returns a `Path`. Raises ValueError for a folder without a configuration or safetensors weights, and when the hub
    does not answer.
    """
    if name == "tiny":
        from .. import world

        return world.model_folder()
    if name == "gpt2":
        return hub.gpt2()
    path = Path(name)
    if not path.is_dir():
        raise ValueError(f'model = {name}: no such folder, and neither "tiny" nor "gpt2"')
    if not (path / "config.json").is_file():
        raise ValueError(f"model = {name}: the folder has no config.json")
    if not any((path / weights).is_file() for weights in ("model.safetensors", "model.safetensors.index.json")):
        raise ValueError(f"model = {name}: the folder has no weights (model.safetensors; pickled ones are not read)")
    if not any((path / vocabulary).is_file() for vocabulary in TOKENIZERS):
        raise ValueError(f"model = {name}: the folder has no tokenizer ({TOKENIZERS[0]})")
    return path


def load(path):
    """A causal LM with float32 weights and its tokenizer, from a folder; no code of the folder's is run.

    Returns (model, tokenizer). Raises ValueError for anything that cannot be loaded whole: transformers alone would
    fill missing weights with random numbers.
    """
    import transformers

    settings = {"local_files_only": True, "trust_remote_code": False}
    try:
        model, found = transformers.AutoModelForCausalLM.from_pretrained(
            path, use_safetensors=True, output_loading_info=True, **settings
        )
    except Exception as err:  # damaged files raise whatever their reader raises
        raise ValueError(f"model = {path}: cannot be loaded ({hub.first_line(err)})") from err
    if missing := sorted(found["missing_keys"]):
        raise ValueError(
            f"model = {path}: its weights lack {missing[0]} and {len(missing) - 1} more that a {type(model).__name__} has"
        )
    try:
        return model.float(), transformers.AutoTokenizer.from_pretrained(path, **settings)
    except Exception as err:
        raise ValueError(f"model = {path}: its tokenizer cannot be loaded ({hub.first_line(err)})") from err


def check_text(name):
    """ValueError unless a text of this name can be had: "world", "wikitext-2", or a file in UTF-8 that holds something."""
    if name not in ("world", "wikitext-2"):
        _read(name)


def _read(name):
    path = Path(name)
    if not path.is_file():
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
    """Tokens to train on and tokens held out: of a text file its first 90 % and the rest; of the world two samples of domain B.

    Returns two arrays of integers, (N,) or ready blocks (n, block). Raises ValueError for a text that is empty, not
    UTF-8, shorter than a block in either part, or over 5 % unknown to the tokenizer; and when the hub does not answer.
    """
    if name == "world":
        return _world(tokenizer, block)
    if name == "wikitext-2":
        pair = [_encode(name, text, tokenizer) for text in hub.wikitext2()]
    else:
        stream = _encode(name, _read(name), tokenizer)
        cut = len(stream) - max(int(HELD_OUT * len(stream)), block)
        pair = [stream[: max(cut, 0)], stream[max(cut, 0) :]]
    if min(map(len, pair)) < block:
        raise ValueError(
            f"text = {name} is too short: {sum(map(len, pair))} tokens, but a block to train on and one to hold out take {2 * block}"
        )
    return pair


def _world(tokenizer, block):
    from .. import world

    made = world.World(shift=1.0)
    pair = [made.sample(count, block, seed) for count, seed in WORLD_TEXTS.values()]
    if tokenizer.convert_tokens_to_ids(list(made.vocabulary)) == list(range(made.size)):
        return pair  # the tokenizer's numbers are the world's: each block is a text from its beginning
    return [_encode("world", "\n".join(map(made.decode, texts)), tokenizer) for texts in pair]


def _encode(name, text, tokenizer):
    """Token ids of a text; ValueError when too much of it is unknown."""
    ids, known, seen = [], 0, 0
    for piece in _pieces(text):
        found, fresh = _encode_piece(piece, tokenizer)
        ids.append(found)
        visible = np.array([not c.isspace() for c in piece])
        known, seen = known + int((fresh & visible).sum()), seen + int(visible.sum())
    if seen and 1 - known / seen > UNKNOWN:
        raise ValueError(
            f"text = {name}: the model's tokenizer does not know {1 - known / seen:.0%} of it (at most {UNKNOWN:.0%} may be unknown)"
        )
    return np.concatenate(ids)


def _pieces(text):
    start = 0
    while start < len(text):
        end = text.find("\n", start + _PIECE)
        end = len(text) if end < 0 else end + 1
        yield text[start:end]
        start = end


def _encode_piece(piece, tokenizer):
    """Ids, and a mask over the characters that a known token covers: some tokenizers drop what they do not know without a trace."""
    if not tokenizer.is_fast:
        ids = np.array(tokenizer(piece, add_special_tokens=False, verbose=False)["input_ids"], dtype=np.int64)
        share = (ids != tokenizer.unk_token_id).mean() if len(ids) else 0.0
        return ids, np.arange(len(piece)) < share * len(piece)
    found = tokenizer(piece, add_special_tokens=False, verbose=False, return_offsets_mapping=True)
    ids = np.array(found["input_ids"], dtype=np.int64)
    known = np.zeros(len(piece), dtype=bool)
    for token, (start, end) in zip(found["input_ids"], found["offset_mapping"], strict=True):
        if token != tokenizer.unk_token_id:
            known[start:end] = True
    return ids, known
