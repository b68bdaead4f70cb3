import math

import numpy as np
from scipy.special import softmax

from tests.answers import in_place


def ce_loop(tau, p):
    return sum(-t * (math.log(q) if q > 0 else -math.inf) for t, q in zip(tau, p, strict=True) if t > 0)


def ce_nansum(tau, p):
    with np.errstate(divide="ignore", invalid="ignore"):
        return -np.nansum(tau * np.log(p))


def kl(tau, p):
    there = tau > 0
    return np.sum(tau[there] * np.log(tau[there] / p[there]))


def smooth_loop(target, n, epsilon):
    return [epsilon / n + (1 - epsilon) * (i == target) for i in range(n)]


def others_only(target, n, epsilon):
    label = np.full(n, epsilon / (n - 1))
    label[target] = 1 - epsilon
    return label


RIGHT = {
    "01.1": [ce_loop, ce_nansum],
    "01.2": [smooth_loop, lambda t, n, e: np.where(np.arange(n) == t, 1 - e + e / n, e / n)],
    "01.3": [
        lambda tau, z, t: (softmax(z / t) - tau) / t,
        lambda tau, z, t: -(tau - np.exp((z - z.max()) / t) / np.exp((z - z.max()) / t).sum()) / t,
    ],
}
WRONG = [
    ("01.1", kl, "KL"),
    ("01.1", in_place(ce_loop), "in place"),
    ("01.1", lambda tau, p: -np.sum(tau * np.log(p)), "nan where"),
    ("01.1", lambda tau, p: -np.sum(tau[p > 0] * np.log(p[p > 0])), "infinite"),
    ("01.1", lambda tau, p: -np.sum(tau * np.log(p + 1e-12)), "infinite"),
    ("01.2", lambda t, n, e: np.eye(n)[t], "no effect"),
    ("01.2", others_only, "other"),
    ("01.2", lambda t, n, e: np.eye(n)[t] + e / n, "more than 1"),
    ("01.2", lambda t, n, e: np.where(np.arange(n) == t, 1 - e, e / n), "less than 1"),
    ("01.2", lambda t, n, e: np.where(np.arange(n) == t, 1 - e, e), "epsilon / n"),
    ("01.3", lambda tau, z, t: (tau - softmax(z / t)) / t, "sign"),
    ("01.3", lambda tau, z, t: softmax(z / t) - tau, "chain rule"),
    ("01.3", lambda tau, z, t: (softmax(z) - tau) / t, "no effect"),
    ("01.3", lambda tau, z, t: -tau / softmax(z / t), "softmax"),
    ("01.3", lambda tau, z, t: (np.exp(z / t) / np.exp(z / t).sum() - tau) / t, "overflow"),
]
