"""Word vectors without a trained network: counts of neighbours, their surprise, and a singular value decomposition."""

import numpy as np

from .. import _inputs


def neighbours(texts, size, window=2):
    """How often two words stand within `window` places of each other.

    Formula: counts, symmetric. Shape: texts (n, L) of word numbers below `size`, returns (size, size). Units: none.
    Raises ValueError for numbers that are no words, or a window below 1. Source: this project.
    """
    texts = np.asarray(texts)
    if texts.ndim != 2 or not np.issubdtype(texts.dtype, np.integer):
        raise ValueError(f"texts must be integers of shape (n, L), got {texts.dtype} of shape {texts.shape}")
    if texts.size and not 0 <= texts.min() <= texts.max() < size:
        raise ValueError(f"texts hold {texts.min()} to {texts.max()}: words are 0..{size - 1}")
    found = np.zeros(size * size)
    for gap in range(1, _inputs.count("window", window) + 1):
        found += np.bincount((texts[:, :-gap] * size + texts[:, gap:]).ravel(), minlength=size * size)
    found = found.reshape(size, size)
    return found + found.T


def ppmi_vectors(counts, width):
    """Vectors whose products come near the positive pointwise mutual information of words and their neighbours.

    Formula: `M_ij = max(0, log(n_ij n / (n_i n_j)))`, `U sqrt(S)` of its singular value decomposition cut to `width`; Word2Vec's skip-gram factorises
    the same matrix, shifted. Shape: counts (V, V), returns (V, width). Units: square root of nats.
    Raises ValueError for counts that are not a non-negative square matrix, a word that has no neighbour, or a width outside 1..V.
    Source: Levy & Goldberg, Neural Word Embedding as Implicit Matrix Factorization (NIPS 2014).
    """
    counts = _inputs.square_cost("counts", counts)
    if _inputs.count("width", width) > len(counts):
        raise ValueError(f"width = {width} must be at most {len(counts)}, the number of words")
    each = counts.sum(1)
    if (each == 0).any():
        raise ValueError(f"word {int(np.flatnonzero(each == 0)[0])} has no neighbour: it cannot have a vector")
    with np.errstate(divide="ignore"):
        information = np.log(counts * (each.sum() / np.outer(each, each)))
    u, s, _ = np.linalg.svd(np.maximum(information, 0.0))
    return u[:, :width] * np.sqrt(s[:width])
