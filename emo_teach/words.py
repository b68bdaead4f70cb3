"""Real word embeddings for the cosine cost: common English words as a small language model sees them.

words = load_words()
words.nearest("Monday", 3)
"""

import csv
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import MappingProxyType

import numpy as np

from . import inputs
from .files import data_path


@dataclass(frozen=True, eq=False, repr=False)
class Words:
    """Words, their embeddings, and what is known about them.

    `words`: n words, each one token (with a space in front) of the model. `embedding` (n, d): their rows of the model's
    output head, read-only, not normalised, no unit. `token_ids`: their tokens in the model. `categories`: name ->
    words. `relations`: kind ("synonym", "antonym", "inflection", "case") -> pairs (a, b). Source: data/README.md.
    """

    words: tuple[str, ...]
    embedding: np.ndarray
    token_ids: tuple[int, ...]
    categories: Mapping[str, tuple[str, ...]]
    relations: Mapping[str, tuple[tuple[str, str], ...]]

    def __repr__(self):
        n, d = self.embedding.shape
        return f"Words({n} words, embedding ({n}, {d}), {len(self.categories)} categories)"

    @cached_property
    def _places(self):
        return {word: index for index, word in enumerate(self.words)}

    @cached_property
    def _directions(self):
        return self.embedding / np.linalg.norm(self.embedding, axis=1, keepdims=True)

    def index(self, word):
        """Return the row of a word, an integer in [0, n).

        Raises ValueError, with close matches if there are any, when the word is not there.

        >>> load_words().index("Monday")
        0
        """
        if not isinstance(word, str) or word not in self._places:
            raise ValueError(_unknown("word", word, self.words))
        return self._places[word]

    def rows(self, words):
        """Return the embeddings of k words as a new (k, d) array, in their order.

        Raises ValueError for an unknown word, and for anything but a list of words, such as a string.
        """
        if isinstance(words, str) or not hasattr(words, "__iter__"):
            hint = f": did you mean [{words!r}]?" if isinstance(words, str) else ""
            raise ValueError(f"words must be a list of words, got {words!r}{hint}")
        return self.embedding[np.array([self.index(word) for word in words], dtype=np.intp)]

    def category(self, name):
        """Return the words of a category as a tuple of strings.

        Raises ValueError, with close matches if there are any, when there is no such category.

        >>> load_words().category("days")[:2]
        ('Monday', 'Tuesday')
        """
        if not isinstance(name, str) or name not in self.categories:
            raise ValueError(_unknown("category", name, self.categories))
        return self.categories[name]

    def nearest(self, word, k=5):
        """Return the k other words whose embeddings have the largest cosine with that of `word`.

        Formula: `cos = <e_i, e_j> / (|e_i| |e_j|)`, of which A8 makes a cost. Raises ValueError for an unknown word or
        a `k` outside 1, ..., n - 1.
        """
        here = self.index(word)
        if inputs.count("k", k) >= len(self.words):
            raise ValueError(f"k must be below the number of words, {len(self.words)}, got {k}")
        cosines = np.clip(self._directions @ self._directions[here], -1.0, 1.0)
        order = [j for j in np.argsort(-cosines, kind="stable") if j != here]
        return [(self.words[j], float(cosines[j])) for j in order[:k]]


def _unknown(what, name, known):
    """Say that a name is unknown, and suggest close ones."""
    close = difflib.get_close_matches(name, known, n=3) if isinstance(name, str) else []
    return f"unknown {what} {name!r}" + (f"; did you mean {', '.join(map(repr, close))}?" if close else "")


def _read_table(name, header):
    """Return the rows of a CSV file in data/ without its header, after checking its columns."""
    with open(data_path(name), newline="", encoding="utf-8") as file:
        table = list(csv.reader(file))
    if table[:1] != [header] or any(len(row) != len(header) for row in table):
        raise ValueError(f"data/{name} is damaged: every row must have the columns {','.join(header)}")
    return table[1:]


def _grouped(pairs):
    """Collect (key, value) pairs into a read-only mapping, key -> tuple of values."""
    groups = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return MappingProxyType({key: tuple(values) for key, values in groups.items()})


@lru_cache(maxsize=1)
def load_words():
    """Return the words of data/, read once and then shared.

    Raises ValueError when a file is absent, or when the files disagree about the number of words. Source:
    SmolLM2-135M-Instruct, arXiv 2502.02737, dequantised; see data/README.md.

    >>> load_words().rows(["Monday", "Tuesday", "banana"]).shape
    (3, 576)
    """
    from safetensors.numpy import load_file

    rows = _read_table("words.csv", ["word", "token_id", "categories"])
    embedding = load_file(data_path("words.safetensors"))["embedding"].astype(np.float64)
    if len(embedding) != len(rows):
        raise ValueError(f"data/words.csv has {len(rows)} words but data/words.safetensors has {len(embedding)} rows")
    embedding.setflags(write=False)
    return Words(
        words=tuple(word for word, _, _ in rows),
        embedding=embedding,
        token_ids=tuple(int(token) for _, token, _ in rows),
        categories=_grouped((name, word) for word, _, names in rows for name in names.split()),
        relations=_grouped((kind, (a, b)) for kind, a, b in _read_table("relations.csv", ["kind", "a", "b"])),
    )
