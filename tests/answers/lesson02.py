import numpy as np
from scipy.special import softmax

from tests.answers import in_place


def d10(f, p):
    return p * f(1 / p) + ((1 - p) * f(0.0) if p < 1 else 0.0)


def d10_as_sum(f, p):
    terms = [p * f(1.0 / p)] + [q * f(0.0) for q in ((1 - p) / 4, 3 * (1 - p) / 4) if q > 0]
    return np.float64(sum(terms))


def tv_jacobian(target, z):
    p = softmax(z)
    return -(np.diag(p) - np.outer(p, p))[target]


def tv_overflowing(target, z):
    p = np.exp(z) / np.exp(z).sum()
    return p[target] * (p - np.eye(len(z))[target])


def only_target(target, z):
    p = softmax(z)
    return -p[target] * (1 - p[target]) * np.eye(len(z))[target]


def pull(p, g):
    return -p * (1 - p) / (g + (1 - g) * p)


def pull_through_tailr(p, g):
    return p / (g + (1 - g) * p) * (p - 1)


RIGHT = {
    "02.1": [d10, d10_as_sum],
    "02.2": [
        lambda t, z: softmax(z)[t] * (softmax(z) - np.eye(len(z))[t]),
        tv_jacobian,
        lambda t, z: list(tv_jacobian(t, z)),
    ],
    "02.3": [pull, pull_through_tailr],
}
WRONG = [
    ("02.1", lambda f, p: p * f(1 / p), "wrong tokens are missing"),
    ("02.1", lambda f, p: p * f(p) + (1 - p) * f(0.0), "not p_t"),
    ("02.1", lambda f, p: p * f(1 / p) + (1 - p) * f(0.0), "p_t = 1"),
    ("02.1", lambda f, p: None, "None"),
    ("02.1", 0.5, "expected a function"),
    ("02.2", lambda t, z: softmax(z) - np.eye(len(z))[t], "cross-entropy's"),
    ("02.2", only_target, "only the target"),
    ("02.2", lambda t, z: softmax(z) * (softmax(z) - np.eye(len(z))[t]), "not its own"),
    ("02.2", tv_overflowing, "overflows"),
    ("02.2", in_place(tv_jacobian, 1), "in place"),
    ("02.3", lambda p, g: -1 / (g + (1 - g) * p), "with respect to p_t"),
    ("02.3", lambda p, g: pull(p, g) * (1 - g), "cancels"),
    ("02.3", lambda p, g: pull(p, g) / (1 - g), "inner derivative is missing"),
    ("02.3", lambda p, g: pull(p, 1 - g), "swapped"),
    ("02.3", lambda p, g: p - 1, "off"),
]
