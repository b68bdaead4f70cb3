import numpy as np
from scipy.special import log_softmax, logsumexp, softmax

from emo_teach import costs, transport
from tests.answers import in_place, unit


def emo_by_cost(p, embedding, target):
    return p @ costs.cosine(embedding)[:, target]


def emo_normalised(p, embedding, target):
    m = p @ unit(embedding)
    return 1 - m @ unit(embedding)[target] / np.linalg.norm(m)


def slope(p, embedding, target):
    """Gradient by a complex step."""
    z, column = np.log(p), costs.cosine(embedding)[:, target]
    steps = z + 1e-30j * np.eye(p.size)
    e = np.exp(steps)
    return (e @ column / e.sum(1)).imag / 1e-30


def gradient_by_mean(p, embedding, target):
    u = unit(embedding)
    return p * (u[target] @ (p @ u) - u @ u[target])


def weight_by_logsumexp(logits, cost, target):
    others, rest = np.delete(logits, target), np.delete(cost, target)
    wrong = logsumexp(others)
    ce = np.logaddexp(0, wrong - logits[target])
    dear = logsumexp(others, b=rest)
    if dear - logits[target] < -700:
        return 0.0
    return float(ce / np.exp(dear - np.logaddexp(wrong, logits[target])))


def weight_by_ratio(logits, cost, target):
    """The same with both divided by the wrong tokens' share, so that nothing underflows."""
    others, rest = np.delete(logits, target), np.delete(cost, target)
    q = softmax(others)
    lead = logsumexp(others) - logits[target]
    if lead < -700:
        return 1 / (q @ rest)
    ce = np.log1p(np.exp(lead)) if lead < 0 else lead + np.log1p(np.exp(-lead))
    return ce * (1 + np.exp(-lead) if lead > -700 else np.inf) / (q @ rest)


def weight_naive(logits, cost, target):
    p = softmax(logits)
    return -np.log(p[target]) / (p @ cost)


def weight_log_softmax(logits, cost, target):
    cost = cost.copy()
    cost[target] = 0
    return -log_softmax(logits)[target] / (softmax(logits) @ cost)


RIGHT = {
    "06.1": [
        emo_by_cost,
        lambda p, e, t: p @ (1 - unit(e) @ unit(e)[t]),
        lambda p, e, t: float(transport.emo(p, e, t)),
    ],
    "06.2": [slope, gradient_by_mean],
    "06.3": [weight_by_logsumexp, weight_by_ratio],
}
WRONG = [
    ("06.1", emo_normalised, "normalised the mean"),
    ("06.1", lambda p, e, t: 1 - (p @ e) @ e[t], "nothing is normalised"),
    ("06.1", lambda p, e, t: 1 - (p @ e) @ unit(e)[t], "only the target's row"),
    ("06.1", lambda p, e, t: (p @ unit(e)) @ unit(e)[t], "reward"),
    ("06.1", in_place(emo_by_cost, 1), "in place"),
    ("06.2", lambda p, e, t: -slope(p, e, t), "sign"),
    ("06.2", lambda p, e, t: costs.cosine(e)[:, t], "slope with respect to p"),
    ("06.2", lambda p, e, t: p * costs.cosine(e)[:, t], "average is missing"),
    ("06.2", lambda p, e, t: p - np.eye(p.size)[t], "cross-entropy's gradient"),
    ("06.2", lambda p, e, t: emo_by_cost(p, e, t), "shape"),
    ("06.3", weight_naive, "rounding noise"),
    ("06.3", weight_log_softmax, "digits"),
    ("06.3", lambda z, c, t: min(weight_by_ratio(z, c, t), 3.0), "clipped"),
    ("06.3", lambda z, c, t: 1 / weight_by_ratio(z, c, t), "upside down"),
    ("06.3", lambda z, c, t: np.nan, "not finite"),
]
