"""Exercises of lesson 08: how long a wrong answer lasts, an unbounded transform that keeps its digits, and PPMI."""

import numpy as np

from .. import transport
from ..world import vectors
from .verdicts import Wrong, as_array, ask, compare, exercise


@exercise("08.1", "D13")
def escape(answer, rng):
    """`answer(p, c)` gives the times (CE, EMO) that two tokens take from p_t = p to one half."""
    for p, c in ((0.2, 1.0), (1e-5, 0.4), (float(rng.uniform(0.01, 0.4)), float(rng.uniform(0.2, 2.0)))):
        ce, emo = right = np.array(transport.escape_times(p, c), float)
        value = as_array(ask(answer, p, c), (2,), "the pair of times")
        leading = (np.log((1 - p) / p), 1 / (c * p))
        mistakes = [
            (2 * right, "twice too long: both logits move, so their difference moves twice as fast as one of them"),
            (right / 2, "half of the time: the logits' difference moves by minus twice the derivative, no more"),
            (right[::-1], "the two are swapped: cross-entropy is the fast one"),
            ((ce, emo * c), "the cost is missing: EMO's pull grows with it, so the time falls"),
            ((ce, emo * c * c), "the cost stands on the wrong side: a larger cost pulls harder"),
            (-right, "negative times: the integral runs from the start, below 0, up to 0"),
            (leading, "that is the leading term: the question is the whole integral"),
        ]
        compare(value, right, mistakes, "the times are off: integrate 1/speed over s = z_t - z_w")


@exercise("08.2", "D14")
def unbounded(answer, rng):
    """`answer(p, cost)` is -M log(1 - L/M), also where nearly all mass is on the token that is farthest away."""
    for rest in (0.5, 1e-3, 1e-9, 1e-17, 1e-40):
        n = 6
        cost = np.append(0.0, rng.uniform(0.1, 1.5, size=n - 1))
        far = int(cost.argmax())
        p = rest * rng.dirichlet(np.ones(n))
        p[far] = 0
        p[far] = 1 - p.sum()
        most = cost.max()
        right = float(-most * np.log(p @ (most - cost) / most))
        with np.errstate(all="ignore"):
            loss = p @ cost
            undivided, other_log = -np.log(1 - loss), -most * np.log1p(-loss / most)
            digits = "1 - L/M has lost its digits: sum p_i (M - c_i)/M over the tokens instead"
            mistakes = [
                (right / most, "the factor M is missing: without it the slope at 0 is 1/M, not 1"),
                (undivided, "L is not divided by M: the loss must be infinite at the farthest token, wherever that is"),
                (other_log, digits),
                (-most * np.log(1 - loss / most), digits),
                (-right, "the sign is reversed"),
                (-most * np.log(p[0]), "that is M times cross-entropy, of p_t: take all that is not farthest"),
            ]
        value = ask(answer, p, cost)
        if np.shape(value) == () and not np.isfinite(float(value)):
            raise Wrong(f"not finite with {rest:g} left for other tokens: {digits}")
        compare(value, right, mistakes, f"the value is off with {rest:g} left for other tokens", 1e-9)


@exercise("08.3", "D15")
def information(answer, rng):
    """`answer(counts)` is the matrix of positive pointwise mutual information."""
    for n in (3, 6):
        half = rng.integers(0, 9, size=(n, n))
        counts = (half + half.T + 2 * np.eye(n, dtype=int)).astype(float)
        counts[0, 1] = counts[1, 0] = 0
        total, row = counts.sum(), counts.sum(1)
        with np.errstate(all="ignore"):
            ratio = counts * total / np.outer(row, row)
            raw = np.log(ratio)
            there = np.where(counts > 0, raw, 0)
            untold, given_row = (np.maximum(np.log(x), 0) for x in (ratio / total, counts / row[:, None]))
            mistakes = [
                (raw, "pairs that never met give minus infinity: cut at 0 what is rarer than chance"),
                (there, "what is rarer than chance is negative: cut it at 0"),
                (np.abs(there), "cut at 0, do not turn the sign: rarer than chance is no attraction"),
                (np.maximum(np.log2(ratio), 0), "that is in bits: use the natural logarithm"),
                (untold, "the total n is missing: chance is n_i n_j / n"),
                (given_row, "that is the chance of j next to i: divide by j's own share as well"),
                (np.maximum(np.log1p(ratio), 0), "log1p adds a meeting by chance to each pair"),
                (ratio, "take the logarithm"),
            ]
        otherwise = "an entry is off: log of how often they meet over how often they would by chance, at least 0"
        compare(ask(answer, counts), vectors.ppmi(counts), mistakes, otherwise)
