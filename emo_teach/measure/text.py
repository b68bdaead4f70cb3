"""Diversity and repetition of samples: lists of token-id sequences in, floats out, without a tokenizer."""

from collections import Counter

import numpy as np

from .. import inputs
from ..inputs import sequences as _sequences

EPSILON = 0.1  # what an n-gram order without any match counts as: "method 1" of Chen & Cherry (2014)


def _grams(row, n):
    return list(zip(*(row[k:] for k in range(n)), strict=False))


def distinct_n(sequences, n=2):
    """Share of different n-grams among all n-grams of all sequences together; low when the samples say the same things.

    Formula: (number of different n-grams) / (number of n-grams). It falls as the amount of text grows: compare equal
    amounts only. Shape: sequences, a list of lists of ids; returns a float in (0, 1]. Units: none. Raises ValueError
    for something else than ids, or when no sequence has n tokens. Source: Li et al., A Diversity-Promoting Objective
    Function (NAACL 2016), who divide by the number of words.

    >>> distinct_n([[1, 2, 1, 2], [1, 2]], n=2)
    0.5
    """
    n = inputs.count("n", n)
    counts = Counter(gram for row in _sequences("sequences", sequences) for gram in _grams(row, n))
    if not counts:
        raise ValueError(f"sequences hold no {n}-gram: every sequence is shorter than n = {n}")
    return len(counts) / counts.total()


def repetition(sequences, n=4):
    """Share of a sequence's n-grams that occurred before in the same sequence, averaged over the sequences.

    Formula: per sequence `1 - (different n-grams) / (n-grams)`: seq-rep-n. Shape: sequences, a list of lists of ids;
    returns a float in [0, 1). Units: none. Raises ValueError for something else than ids and for a sequence with fewer
    than n tokens, naming it. Source: Welleck et al., Neural Text Generation with Unlikelihood Training (ICLR 2020),
    section 6.

    >>> repetition([[1, 2, 1, 2, 1]], n=2)
    0.5
    """
    n = inputs.count("n", n)
    rows = _sequences("sequences", sequences, shortest=n)
    return float(np.mean([1 - len(set(grams)) / len(grams) for grams in (_grams(row, n) for row in rows)]))


def _score(length, reference, matches, n):
    """BLEU from clipped matches per order: geometric mean of the precisions times the brevity penalty."""
    if matches[0] == 0:
        return 0.0
    precisions = [(match or EPSILON) / (length - k) for k, match in enumerate(matches)]
    return float(min(1.0, np.exp(1 - reference / length)) * np.exp(np.log(precisions).sum() / n))


def _closest(length, others):
    return min(others, key=lambda other: (abs(other - length), other))


def bleu(hypothesis, references, n=4):
    """BLEU of one sequence against several references: the share of its n-grams found in one of them.

    Formula: `min(1, exp(1 - r/h)) * (prod_k precision_k) ** (1/n)` for orders 1..n, each n-gram counted at most as
    often as in the reference that has most of it; h is the length, r the closest reference length (the shorter of two).
    An order without a match counts as 0.1 matches; without a common token BLEU is 0. Shape: hypothesis, a list of at
    least n ids, references, a list of lists; returns a float in [0, 1]. Units: none. Raises ValueError for something
    else than ids, too short a hypothesis, or no reference. Source: Papineni et al. (ACL 2002); smoothing method 1 of
    Chen & Cherry (WMT 2014).
    """
    n = inputs.count("n", n)
    (row,) = _sequences("hypothesis", [hypothesis], shortest=n)
    others = _sequences("references", references)
    matches = []
    for k in range(1, n + 1):
        most = Counter()
        for other in others:
            most |= Counter(_grams(other, k))
        matches.append((Counter(_grams(row, k)) & most).total())
    return _score(len(row), _closest(len(row), [len(other) for other in others]), matches, n)


def self_bleu(sequences, n=4, size=500, seed=0):
    """How much samples resemble each other: mean BLEU of each against all the others, high when they are alike.

    Formula: mean over i of `bleu(s_i, all s_j with j != i)`. It grows with the number of samples: `size` of them are
    drawn without replacement (None: all of them, as when there are fewer), so compare equal sizes only. Shape:
    sequences, a list of at least two lists of ids; returns a float in [0, 1]. Units: none. Raises ValueError for
    something else than ids, fewer than two sequences, or one with fewer than n tokens, naming it. Source: Zhu et al.,
    Texygen (SIGIR 2018), which smooths alike; BLEU as in `bleu`.
    """
    n, seed = inputs.count("n", n), inputs.count("seed", seed, low=0)
    rows = _sequences("sequences", sequences, least=2, shortest=n)
    if size is not None and len(rows) > inputs.count("size", size, low=2):
        rows = [rows[i] for i in np.random.default_rng(seed).choice(len(rows), size, replace=False)]
    matches = np.stack([_matches_without_self(rows, k) for k in range(1, n + 1)], axis=1)
    lengths = Counter(map(len, rows))
    reference = {h: h if times > 1 else _closest(h, lengths.keys() - {h}) for h, times in lengths.items()}
    pairs = zip(map(len, rows), matches.tolist(), strict=True)
    return float(np.mean([_score(length, reference[length], found, n) for length, found in pairs]))


def _matches_without_self(rows, k):
    """Clipped matches of every row's k-grams in all other rows, from each gram's largest and second largest count.

    A row with the largest count finds the second largest elsewhere (in a tie they are equal), any other the largest.
    """
    counts, top = [Counter(_grams(row, k)) for row in rows], {}
    for count in counts:
        for gram, times in count.items():
            top[gram] = sorted((*top.get(gram, (0, 0)), times))[1:]
    elsewhere = ([(times, *top[gram]) for gram, times in count.items()] for count in counts)
    return [sum(min(times, second if times == most else most) for times, second, most in row) for row in elsewhere]
