import itertools

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import rel_entr, softmax

from tests.answers import in_place


# 2.1 f-divergences with zeros
def masked_divergence(f, slope, tau, p):
    inside, alone = p > 0, (p == 0) & (tau > 0)
    terms = [f(u) for u in tau[inside] / p[inside]]
    return float(p[inside] @ np.array(terms)) + (tau[alone].sum() * slope if alone.any() else 0.0)


def generator_expression(f, slope, tau, p):
    def term(a, b):
        return b * f(a / b) if b else (slope * a if a else 0)

    return sum(itertools.starmap(term, zip(tau, p, strict=True)))


def nan_at_both_zero(f, slope, tau, p):
    return sum(b * f(a / b) if b > 0 else a * slope for a, b in zip(tau, p, strict=True))


# 2.2 roles exchanged
def one_lambda(f, slope):
    return (lambda u: u * f(1 / u) if u > 0 else slope), f(0)


class Mirror:
    def __init__(self, f, slope):
        self.f, self.at_zero = f, slope

    def __call__(self, u):
        return self.at_zero if u < 1e-300 else self.f(1 / u) / (1 / u)


def as_object(f, slope):
    return Mirror(f, slope), f(0.0)


# 2.3 gradient for one-hot labels
def looped_gradient(f, df, logits, targets):
    rows = []
    for z, t in zip(logits, targets, strict=True):
        p = softmax(z)
        u = np.array([1 / p[t]])
        slope = (f(u) - df(u) / p[t] - f(np.zeros(1)))[0]
        rows.append([slope * p[t] * ((j == t) - p[j]) / len(targets) for j in range(len(z))])
    return np.array(rows)


def torch_gradient(f, df, logits, targets):
    z = torch.tensor(logits, requires_grad=True)
    hit = torch.softmax(z, 1)[torch.arange(len(targets)), torch.tensor(targets)]
    u = 1 / hit.detach().numpy()
    slope = torch.tensor(f(u) - u * df(u) - f(np.zeros_like(u)))
    (slope * hit).mean().backward()
    return z.grad


# 2.4 one question
def two_cells(a, b):
    return rel_entr(a, b) + rel_entr(max(1 - a, 0), 1 - b)


def looped_question(tau, p, rank=lambda tau, p: tau / p):
    order = np.argsort(rank(tau, p))
    best = max(range(1, len(p)), key=lambda k: two_cells(tau[order[:k]].sum(), p[order[:k]].sum()))
    return [i in order[:best] for i in range(len(p))]


def torch_question(tau, p):
    a, b = torch.tensor(tau), torch.tensor(p)
    order = (a / b).argsort()
    x, y = a[order].cumsum(0)[:-1].clamp(0, 1), b[order].cumsum(0)[:-1]
    value = torch.special.xlogy(x, x / y) + torch.special.xlogy(1 - x, (1 - x) / (1 - y))
    asked = torch.zeros(len(p), dtype=torch.bool)
    asked[order[: value.argmax() + 1]] = True
    return asked


# 2.5 where the mean loss rests
def brentq_rest(dg, tau):
    def share(t, level):
        slope = lambda x: -tau[t] * dg(np.array([x]))[0] - level
        return 0.0 if slope(1e-13) <= 0 else (1.0 if slope(1.0) >= 0 else brentq(slope, 1e-13, 1.0, xtol=1e-13))

    total = lambda level: sum(share(t, np.exp(level)) for t in range(len(tau))) - 1
    level = np.exp(brentq(total, -20, 25, xtol=1e-12))
    return [share(t, level) for t in range(len(tau))]


def greedy_rest(dg, tau):
    """Pours grains where the next one lowers the mean loss most, then smaller ones, after taking a few back."""
    p, grain = np.zeros(len(tau)), 1e-2
    while grain > 1e-7:
        while p.sum() < 1 - grain / 2:
            p[np.argmin(tau * dg(p + grain / 2))] += grain
        p, grain = np.maximum(p - 2 * grain, 0), grain / 4
    while p.sum() < 1 - grain / 2:
        p[np.argmin(tau * dg(p + grain / 2))] += grain
    return p / p.sum()


def without_border(dg, tau):
    """Lagrange for all tokens, shares below 0 allowed on a line through the slope at 0, then cut off and scaled."""
    slope0 = dg(np.full(1, 1e-9))[0]
    if slope0 < -1e6:
        return np.array(brentq_rest(dg, tau))

    def share(level):
        low, high = np.full(len(tau), -5.0), np.ones(len(tau))
        for _ in range(60):
            x = (low + high) / 2
            extended = np.where(x > 0, dg(np.maximum(x, 1e-12)), slope0 + x * (dg(np.full(1, 1e-3))[0] - slope0) * 1e3)
            steep = -tau * extended > level
            low, high = np.where(steep, x, low), np.where(steep, high, x)
        return low

    low, high = np.log(1e-8), np.log(1e8)
    for _ in range(70):
        level = (low + high) / 2
        low, high = (level, high) if share(np.exp(level)).sum() > 1 else (low, level)
    cut = np.maximum(share(np.exp(high)), 0)
    return cut / cut.sum()


RIGHT = {
    "2.1": [masked_divergence, generator_expression],
    "2.2": [one_lambda, as_object],
    "2.3": [looped_gradient, torch_gradient],
    "2.4": [looped_question, torch_question],
    "2.5": [brentq_rest, greedy_rest],
}
WRONG = [
    ("2.1", lambda f, slope, tau, p: masked_divergence(f, slope, p, tau)),  # roles exchanged
    ("2.1", lambda f, slope, tau, p: nan_at_both_zero(f, slope, tau[tau * p > 0], p[tau * p > 0])),  # drops all zeros
    ("2.1", nan_at_both_zero),
    ("2.1", lambda f, slope, tau, p: nan_at_both_zero(f, slope, tau, np.maximum(p, 1e-12))),  # a floor in place of 0
    ("2.1", in_place(masked_divergence, 3)),
    ("2.2", lambda f, slope: ((lambda u: f(1 / u) if u > 0 else slope), f(0.0))),  # reciprocal only
    ("2.2", lambda f, slope: (f, slope)),  # unchanged
    ("2.2", lambda f, slope: ((lambda u: u * f(1 / u) if u > 0 else slope), slope)),  # slope kept
    ("2.2", lambda f, slope: ((lambda u: u * f(1 / u) if u > 0 else f(0.0)), f(0.0))),  # zero kept
    ("2.2", lambda f, slope: ((lambda u: -np.log(u) if u > 0 else np.inf), 0.0)),  # of KL alone
    ("2.3", lambda f, df, logits, targets: looped_gradient(f, df, logits, targets) * len(targets)),  # of the sum
    ("2.3", lambda f, df, logits, targets: -looped_gradient(f, df, logits, targets)),  # uphill
    ("2.3", lambda f, df, logits, targets: looped_gradient(f, df, logits, targets) * np.eye(logits.shape[1])[targets]),
    ("2.3", lambda f, df, logits, targets: looped_gradient(f, df, np.log(np.exp(logits)), targets)),  # overflows
    ("2.3", in_place(looped_gradient, 2)),
    ("2.4", lambda tau, p: np.arange(len(p)) == np.argmax([two_cells(a, b) for a, b in zip(tau, p, strict=True)])),
    ("2.4", lambda tau, p: looped_question(tau, p, rank=lambda tau, p: tau - p)),
    ("2.4", lambda tau, p: looped_question(tau, p, rank=lambda tau, p: tau)),
    ("2.4", lambda tau, p: np.flatnonzero(looped_question(tau, p))),  # indices in place of a mask
    ("2.4", in_place(looped_question)),
    ("2.5", lambda dg, tau: tau.copy()),  # proper always
    ("2.5", lambda dg, tau: np.eye(len(tau))[tau.argmax()]),  # the mode
    ("2.5", without_border),
    ("2.5", lambda dg, tau: 0.5 * np.array(brentq_rest(dg, tau))),  # sums to one half
    ("2.5", in_place(brentq_rest, 1)),
]
