"""Word vectors without a trained network: counts of neighbours, their surprise, and a singular value decomposition."""

import numpy as np

from .. import inputs


def neighbours(texts, size, window=2):
    """How often two words stand within `window` places of each other.

    Formula: `n_ij` of D15, symmetric. Shape: texts (n, L) of word numbers below `size`, returns (size, size).
    Units: counts. Raises ValueError for numbers that are no words, or a window below 1. Source: Levy & Goldberg (2014).
    """
    texts = inputs.integers("texts", texts, ndim=2)
    if not 0 <= texts.min() <= texts.max() < size:
        raise ValueError(f"texts hold {texts.min()} to {texts.max()}: words are 0..{size - 1}")
    found = np.zeros(size * size)
    for gap in range(1, inputs.count("window", window) + 1):
        found += np.bincount((texts[:, :-gap] * size + texts[:, gap:]).ravel(), minlength=size * size)
    found = found.reshape(size, size)
    return found + found.T


def ppmi(counts):
    """Positive pointwise mutual information: how much more often than by chance two words are neighbours.

    Formula: D15, `M_ij = max(0, log(n_ij n / (n_i n_j)))` with `n_i` a row's sum and n all. Shape: counts (V, V),
    returns (V, V). Units: nats. Raises ValueError for counts that are not a non-negative square matrix, or a word that
    has no neighbour.
    Source: Levy & Goldberg, Neural Word Embedding as Implicit Matrix Factorization (NIPS 2014).

    >>> ppmi([[0, 2], [2, 4]]).round(3).tolist()
    [[0.0, 0.288], [0.288, 0.0]]
    """
    counts = inputs.square_cost("counts", counts)
    if (counts < 0).any():
        raise ValueError(f"counts must not be negative, found {counts.min():g}")
    each = counts.sum(1)
    if (each == 0).any():
        raise ValueError(f"word {int(np.flatnonzero(each == 0)[0])} has no neighbour: it cannot have a vector")
    with np.errstate(divide="ignore"):
        return np.maximum(np.log(counts * (each.sum() / np.outer(each, each))), 0.0)


def ppmi_vectors(counts, width):
    """Vectors of words, alike for words with like neighbours: `ppmi`, cut to its strongest directions.

    Formula: D15, `U sqrt(S)` of the singular value decomposition of `ppmi(counts)`, cut to `width`; the skip-gram of
    Word2Vec factorises the same matrix, shifted. Shape: counts (V, V), returns (V, width). Units: square root of nats.
    Raises ValueError as `ppmi` and for a width outside 1..V. Source: Levy & Goldberg (NIPS 2014).
    """
    information = ppmi(counts)
    if inputs.count("width", width) > len(information):
        raise ValueError(f"width = {width} must be at most {len(information)}, the number of words")
    u, s, _ = np.linalg.svd(information)
    return u[:, :width] * np.sqrt(s[:width])
