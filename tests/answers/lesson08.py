import numpy as np
from scipy.integrate import quad
from scipy.special import expit

from emo_teach.transport import escape_times
from emo_teach.world.vectors import ppmi
from tests.answers import in_place


def by_formula(p, c):
    o = p / (1 - p)
    return 0.5 * (1 - o - np.log(o)), (1 / o - o - 2 * np.log(o)) / (2 * c)


def by_integral(p, c):
    start = np.log(p / (1 - p))
    speeds = (lambda s: 2 * expit(-s), lambda s: 2 * c * expit(s) * expit(-s))
    return tuple(quad(lambda s, v=v: 1 / v(s), start, 0, epsabs=0, epsrel=1e-12, limit=200)[0] for v in speeds)


def times(p, c):
    return [float(t) for t in escape_times(p, c)]


def by_sum(p, cost):
    M = cost.max()
    return -M * np.log(np.sum(p * (M - cost)) / M)


def by_loop(p, cost):
    M, left = max(cost), 0.0
    for mass, c in zip(p, cost, strict=True):
        left += mass * (1 - c / M)
    return -M * np.log(left)


def by_logs(p, cost):
    M = np.max(cost)
    with np.errstate(divide="ignore"):
        return M * (np.log(M) - np.logaddexp.reduce(np.log(p) + np.log(M - cost)))


def loops(counts):
    n, out = counts.sum(), np.zeros(counts.shape)
    for i in range(len(counts)):
        for j in range(len(counts)):
            if counts[i, j] > 0:
                out[i, j] = max(0.0, np.log(counts[i, j] * n / (counts[i].sum() * counts[j].sum())))
    return out


def by_shares(counts):
    joint = counts / counts.sum()
    chance = np.outer(joint.sum(1), joint.sum(0))
    return np.log(np.maximum(joint / chance, 1))


RIGHT = {
    "08.1": [by_formula, by_integral, times],
    "08.2": [by_sum, by_loop, by_logs],
    "08.3": [loops, by_shares, ppmi],
}
WRONG = [
    ("08.1", lambda p, c: tuple(2 * t for t in by_formula(p, c)), "twice too long"),
    ("08.1", lambda p, c: by_formula(p, c)[::-1], "swapped"),
    ("08.1", lambda p, c: (by_formula(p, c)[0], by_formula(p, 1.0)[1] * c), "wrong side"),
    ("08.1", lambda p, c: (np.log((1 - p) / p), 1 / (c * p)), "leading term"),
    ("08.1", lambda p, c: by_formula(p, c)[0], "shape"),
    ("08.2", lambda p, c: by_sum(p, c) / c.max(), "factor M"),
    ("08.2", lambda p, c: -np.log(1 - p @ c), ""),
    ("08.2", lambda p, c: -c.max() * np.log(1 - p @ c / c.max()), "digits"),
    ("08.2", lambda p, c: -c.max() * np.log1p(-p @ c / c.max()), "digits"),
    ("08.2", lambda p, c: -c.max() * np.log(p[0]), "cross-entropy"),
    ("08.3", lambda n: np.log(n * n.sum() / np.outer(n.sum(1), n.sum(1))), "infinity"),
    ("08.3", lambda n: by_shares(n) / np.log(2), "bits"),
    ("08.3", lambda n: np.maximum(np.log(np.maximum(n / np.outer(n.sum(1), n.sum(1)), 1e-300)), 0), "total"),
    ("08.3", lambda n: n * n.sum() / np.outer(n.sum(1), n.sum(1)), "logarithm"),
    ("08.3", in_place(by_shares), "in place"),
]
