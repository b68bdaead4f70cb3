"""Exercises of lesson 06: EMO by averaging first, its gradient from the mean, and a weight CE/L with all digits."""

import numpy as np
from scipy.special import softmax

from .. import costs, transport
from .verdicts import Wrong, ask, compare, exercise, random_rows


@exercise("06.1", "A9 and D5")
def emo(answer, rng):
    """`answer(p, embedding, target)` is 1 - <m_p, ê_t>, the mean left as it is."""
    cross = np.array([[3.0, 0.0], [1.0, 1.0], [2.0, -2.0]])
    cases = [(np.array([0.0, 0.5, 0.5]), cross, 0)]
    for n, d in ((4, 3), (7, 2), (5, 9)):
        cases.append((rng.dirichlet(np.ones(n)), random_rows(rng, n, d), int(rng.integers(n))))
    for p, embedding, target in cases:
        right = float(transport.emo(p, embedding, target))
        unit, mean, raw = costs.unit_rows(embedding), transport.mean_direction(p, embedding), p @ embedding
        normalised = 1 - mean @ unit[target] / np.linalg.norm(mean)
        raw_normalised = 1 - raw @ unit[target] / np.linalg.norm(raw)
        debiased = 0.5 * ((mean - unit[target]) ** 2).sum()
        mistakes = [
            (normalised, "you normalised the mean: that it is shorter than 1 is the spread you want to pay for"),
            (raw_normalised, "you averaged raw rows and normalised the mean: normalise the rows, and only these"),
            (1 - raw @ embedding[target], "nothing is normalised: divide every row by its own length first"),
            (1 - raw @ unit[target], "only the target's row is normalised: average directions, not raw rows"),
            (1 - mean @ embedding[target], "the target's row is not normalised"),
            (1 - right, "that is the mean cosine, the reward: the cost is 1 minus it"),
            (debiased, "that is the debiased score, EMO without the spread of p"),
        ]
        otherwise = "the value is off: for the worked example it is 1 - 0.74"
        compare(ask(answer, p, embedding, target), right, mistakes, otherwise)


@exercise("06.2", "D1")
def gradient(answer, rng):
    """`answer(p, embedding, target)` is EMO's gradient on the logits, (V,)."""
    for n, d in ((4, 3), (7, 2), (5, 9)):
        p, embedding, target = rng.dirichlet(np.ones(n)), random_rows(rng, n, d), int(rng.integers(n))
        cost, one_hot = costs.cosine(embedding), np.eye(n)[target]
        column, loss = cost[:, target], float(transport.emo(p, embedding, target))
        right = transport.one_hot_logit_gradient(p, cost, target)
        mistakes = [
            (-right, "the sign is reversed: a word that costs more than the average loses, so its entry is positive"),
            (column - loss, "the factor p_j is missing: only words with mass can move it"),
            (column, "that is the slope with respect to p: the softmax behind it takes the average away"),
            (p * column, "the average is missing: subtract L from each cost, and the entries sum to 0"),
            (p * (column - column.mean()), "you subtracted the plain mean of the costs: weigh them with p"),
            (p - one_hot, "that is cross-entropy's gradient"),
            ((1 - p[target]) * (p - one_hot), "that direction is cross-entropy's: EMO has one of its own"),
        ]
        otherwise = "the gradient is off: compare with (-0.13, -0.018, 0.148) of the worked example"
        compare(ask(answer, p, embedding, target), right, mistakes, otherwise)


def _weight(logits, cost, target):
    """CE/L with all its digits, CE and L."""
    others = np.delete(logits, target)
    odds = np.exp(others - others.max())  # of the wrong tokens, scaled
    scale = others.max() - logits[target]
    ce = np.logaddexp(0, scale + np.log(odds.sum()))
    share = np.exp(scale + np.log(odds.sum()) - ce)  # 1 - p_t
    loss = share * (odds @ np.delete(cost, target)) / odds.sum()
    return (ce / loss if loss > 0 else 0.0), ce, loss


@exercise("06.3", "D7")
def weight(answer, rng):
    """`answer(logits, cost, target)` is CE/L, for a target from hopeless to nearly certain."""
    for lead in (0.0, -40.0, 3.0, 12.0, 25.0, 60.0, -900.0):
        n, target = 6, int(rng.integers(6))
        logits, cost = rng.normal(size=n), rng.uniform(0.2, 1.2, size=n)
        logits[target] += lead
        cost[target] = 0.0
        noisy = cost.copy()
        noisy[target] = 1.2e-7  # what 1 - |ê_t|² leaves in float32
        right, ce, loss = _weight(logits, cost, target)
        value = ask(answer, logits, noisy, target)
        if np.shape(value) == () and not np.isfinite(float(value)):
            advice = "take the largest logit away before exp, and look at a target that is nearly certain"
            raise Wrong(f"the weight is not finite: {advice}")
        with np.errstate(all="ignore"):
            p = softmax(logits)
            plain, few = -np.log(p[target]), "1 minus a number near 1 keeps few digits: sum the wrong tokens' costs"
            mistakes = [
                (plain / loss, "CE has lost its digits: near p_t = 1 use log1p of the wrong tokens' share over p_t"),
                (ce / (p @ noisy), "the target's own cost is rounding noise: take it as exactly 0"),
                (1 / right, "upside down: the weight is CE/L"),
                (min(right, 3.0), "you clipped at 3, as one package does: return the weight itself"),
                (plain / (1 - p @ (1 - noisy)), few),
                (ce, "that is CE: divide it by L"),
                (loss, "that is L: the weight is CE/L"),
            ]
        otherwise = f"the weight is off for a target {lead:g} above the others: both CE and L need all their digits"
        compare(value, right, mistakes, otherwise, 1e-6)
    sure = ask(answer, np.array([2000.0, 0.0, 1.0]), np.array([0.0, 0.5, 1.0]), 0)
    if not np.isfinite(float(sure)):
        raise Wrong("for a target 2000 above the others both CE and L are 0: define the weight there, as 0 say")
