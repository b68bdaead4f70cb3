"""Make files of `data/` anew: the words and relations from a model's weights, and the small pretrained model.

    python -m emo_teach words --gguf SmolLM2-135M-Instruct.Q4_1.gguf --out data
    python -m emo_teach tiny --out data/tiny

The words come from data/word_list.txt and the pairs from data/relation_list.txt, both written by hand; the embeddings
come from the GGUF file. Needs `gguf` and `safetensors`. The same input gives the same bytes.
"""

import csv
import io
import sys
import tempfile
from pathlib import Path

import numpy as np

from .. import inputs
from ..files import data_path, need, writable, write_whole

KINDS = ("synonym", "antonym", "inflection", "case")
SPACE = "\u0120"  # how a byte-level tokenizer writes the space in front of a word
STEPS, BATCH, BLOCK, RATE, SEED = 4000, 32, 33, 3e-3, 0  # of the small model's pretraining


def _entries(text, source):
    """Yield (place, key, items) for each `key: item item ...` line; `#` starts a comment line."""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        key, colon, items = line.partition(":")
        if not colon or len(key.split()) != 1 or not items.split():
            raise ValueError(f"{source}, line {number}: expected 'name: word word ...', got {line!r}")
        yield f"{source}, line {number}", key.strip(), items.split()


def parse_word_list(text):
    """Return a dict from each word of a word list to its categories, both in the order in which they first appear.

    Raises ValueError, naming the line, for a malformed line, a word that is not plain letters, or a word that stands
    twice in one category.

    >>> parse_word_list("fruit: apple orange\\ncolours: orange")
    {'apple': ('fruit',), 'orange': ('fruit', 'colours')}
    """
    categories = {}
    for where, category, words in _entries(text, "word list"):
        for word in words:
            if not (word.isascii() and word.isalpha()):
                raise ValueError(f"{where}: {word!r} is not made of plain letters")
            if category in categories.get(word, ()):
                raise ValueError(f"{where}: {word!r} stands twice in {category!r}")
            categories[word] = categories.get(word, ()) + (category,)
    return categories


def parse_relation_list(text, words):
    """Return the pairs (kind, first, other) of a relation list, in its order.

    Raises ValueError, naming the line, for an unknown kind, a word outside `words`, a word paired with itself, a pair
    that stands twice under one kind, or a case pair that differs in more than its case.

    >>> parse_relation_list("inflection: run/runs/ran", ["run", "runs", "ran"])
    [('inflection', 'run', 'runs'), ('inflection', 'run', 'ran')]
    """
    relations, seen = [], set()
    for where, kind, groups in _entries(text, "relation list"):
        if kind not in KINDS:
            raise ValueError(f"{where}: unknown kind {kind!r}; the kinds are {', '.join(KINDS)}")
        for first, other in (pair for group in groups for pair in _pairs(group, kind, words, where)):
            if (kind, first, other) in seen:
                raise ValueError(f"{where}: the {kind} {first}/{other} stands twice")
            seen |= {(kind, first, other), (kind, other, first)}
            relations.append((kind, first, other))
    return relations


def _pairs(group, kind, words, where):
    """Split `first/other/other` into checked pairs (first, other)."""
    first, *others = group.split("/")
    if not others:
        raise ValueError(f"{where}: {group!r} needs a second word after a '/'")
    for word in (first, *others):
        if word not in words:
            raise ValueError(f"{where}: {word!r} is not in the word list")
        if kind == "case" and word.lower() != first.lower():
            raise ValueError(f"{where}: {first}/{word} differs in more than its case")
    if first in others:
        raise ValueError(f"{where}: {group!r} pairs {first!r} with itself")
    return [(first, other) for other in others]


def token_ids(words, vocabulary):
    """Return the token of each word with a space in front of it; ValueError lists the words that are not one token.

    >>> token_ids(["day"], ["day", SPACE + "day"])
    [1]
    """
    places = {token: index for index, token in enumerate(vocabulary)}
    if missing := [word for word in words if SPACE + word not in places]:
        raise ValueError(f"not a single token of this vocabulary, so take them out of the lists: {', '.join(missing)}")
    return [places[SPACE + word] for word in words]


def read_gguf(path, words):
    """Read k token ids and the embedding rows (k, d), float32, of some words from a GGUF file.

    Raises ValueError when the file is absent or is not GGUF, has no `token_embd.weight`, has an output head of its own
    (`output.weight`: the rows would not be the head's), or lacks a word.
    """
    import gguf

    if not Path(path).is_file():
        raise ValueError(f"no GGUF file at {str(path)!r}")
    reader = gguf.GGUFReader(path)
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    if "output.weight" in tensors:
        raise ValueError("this model has an output.weight: its head is not tied to the token embedding")
    field, weight = reader.get_field("tokenizer.ggml.tokens"), tensors.get("token_embd.weight")
    if weight is None or field is None:
        raise ValueError("this GGUF file lacks token_embd.weight or tokenizer.ggml.tokens")
    tokens = token_ids(words, field.contents())
    return tokens, gguf.quants.dequantize(weight.data[tokens], weight.tensor_type)


def _csv_bytes(header, rows):
    """Return a CSV file as UTF-8 bytes with one-character line ends."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().encode("utf-8")


def build_words(gguf_path, out, word_list, relation_list):
    """Write words.safetensors, words.csv and relations.csv into a folder; returns {file name: size in bytes}.

    Raises ValueError, before anything is written, for whatever is wrong with the texts of the lists or the GGUF file,
    embeddings beyond float16 included.
    """
    from safetensors.numpy import save

    categories = parse_word_list(word_list)
    relations = parse_relation_list(relation_list, categories)
    tokens, embedding = read_gguf(gguf_path, list(categories))
    with np.errstate(over="ignore"):
        half = embedding.astype(np.float16)
    inputs.finite("embedding in float16", half)
    rows = [(word, token, " ".join(names)) for token, (word, names) in zip(tokens, categories.items(), strict=True)]
    files = {
        "words.safetensors": save({"embedding": half}),
        "words.csv": _csv_bytes(("word", "token_id", "categories"), rows),
        "relations.csv": _csv_bytes(("kind", "a", "b"), relations),
    }
    Path(out).mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_whole(Path(out) / name, content)
    return {name: len(content) for name, content in files.items()}


def words(gguf, out):
    """Build the files of words from the lists in data/ and print their sizes; returns 0."""
    lists = (data_path(name).read_text(encoding="utf-8") for name in ("word_list.txt", "relation_list.txt"))
    for name, size in build_words(gguf, out, *lists).items():
        print(f"{name}: {size} bytes")
    return 0


def make_tiny(out, steps=STEPS):
    """Pretrain a small GPT-2 on domain A of the world with cross-entropy (A1); write model and tokenizer into `out`.

    After an error `out` is as before.
    """
    need("torch", "transformers", "accelerate")
    writable(out)
    from .. import finetune
    from ..world import World, small_gpt2, word_tokenizer

    world, out = World(), Path(out)
    model = small_gpt2(world.size, seed=SEED)
    texts, held = world.sample(steps * BATCH, BLOCK, seed=[1, 1000]), world.sample(500, BLOCK, seed=[1, 1001])
    settings = {"objective": "ce", "steps": steps, "batch_size": BATCH, "lr": RATE, "seed": SEED}
    settings |= {"precision": "fp32", "valid_every": 500, "on_log": _report, "log_every": 500}
    result = finetune.finetune(model, texts, held, **settings)
    with tempfile.TemporaryDirectory() as folder:
        result.model.save_pretrained(folder)
        word_tokenizer(world).save_pretrained(folder)
        out.mkdir(parents=True, exist_ok=True)
        for file in Path(folder).iterdir():
            write_whole(out / file.name, file.read_bytes())


def _report(entry):
    if "valid_ce" in entry:
        print(f"step {entry['step']}: {entry['valid_ce']:.4f} nats on held-out texts", file=sys.stderr, flush=True)


def tiny(out):
    """Make the small model and say where it is; returns 0."""
    make_tiny(out)
    print(out)
    return 0
