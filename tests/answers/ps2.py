import numpy as np
import torch
from scipy.special import log_softmax, rel_entr, softmax

FUNCTIONS = {"2.1": "reversed_generator", "2.2": "divergence", "2.3": "merge", "2.4": "gradient_on_logits", "2.5": "best_hills"}


def turned(f):
    def g(u):
        return f(1.0 / u) * u

    return g


def turned_by_division(f):
    return lambda u: f(u**-1) / (1 / u)


class Turned:
    def __init__(self, f):
        self.f = f

    def __call__(self, u):
        return np.multiply(u, self.f(np.reciprocal(float(u))))


def masked(f, slope, tau, p):
    tau, p = np.asarray(tau, float), np.asarray(p, float)
    there = p > 0
    inside = sum(b * f(a / b) for a, b in zip(tau[there], p[there], strict=True))
    lost = tau[~there].sum()
    return inside + (slope * lost if lost > 0 else 0.0)


def by_cases(f, slope, tau, p):
    terms = []
    for a, b in zip(tau, p, strict=True):
        if a == 0 and b == 0:
            continue
        terms.append(a * slope if b == 0 else b * f(a / b))
    return sum(terms)


def by_torch(f, slope, tau, p):
    tau, p = torch.as_tensor(np.asarray(tau, float)), torch.as_tensor(np.asarray(p, float))
    inside = sum(float(b) * f(float(a) / float(b)) for a, b in zip(tau, p, strict=True) if b > 0)
    lost = float(tau[p == 0].sum())
    return inside + (0.0 if lost == 0 else lost * slope)


def clipped(f, slope, tau, p):
    tau, p = np.maximum(tau, 1e-9), np.maximum(p, 1e-9)
    return sum(b * f(a / b) for a, b in zip(tau, p, strict=True))


def only_both(f, slope, tau, p):
    return sum(b * f(a / b) for a, b in zip(tau, p, strict=True) if a > 0 and b > 0)


def no_slope(f, slope, tau, p):
    return sum(b * f(a / b) for a, b in zip(tau, p, strict=True) if b > 0)


def turned_round(f, slope, tau, p):
    return masked(f, slope, p, tau)


def with_tau_weights(f, slope, tau, p):
    return sum(a * f(a / b) if b > 0 else a * slope for a, b in zip(tau, p, strict=True) if a or b)


def counts_lost(f, slope, tau, p):
    lost = sum(a > 0 and b == 0 for a, b in zip(tau, p, strict=True))
    return no_slope(f, slope, tau, p) + (slope if lost else 0.0)


def normalises(f, slope, tau, p):
    tau, p = np.asarray(tau), np.asarray(p)
    value = masked(f, slope, tau, p)
    tau += 0
    p *= 2
    return value


def added(p, classes, k):
    found = np.zeros(k)
    np.add.at(found, classes, p)
    return found


def summed(p, classes, k):
    return [sum(x for x, c in zip(p, classes, strict=True) if c == j) for j in range(k)]


def scattered(p, classes, k):
    return torch.zeros(k, dtype=torch.float64).scatter_add(0, torch.tensor(classes), torch.tensor(p)).numpy()


def by_jacobian(derivative, target, z):
    p = softmax(z)
    return derivative(p[target]) * (np.diag(p) - np.outer(p, p))[target]


def by_loop(derivative, target, z):
    p = np.exp(log_softmax(z))
    return [derivative(p[target]) * p[target] * ((j == target) - p[j]) for j in range(len(z))]


def by_autograd(derivative, target, z):
    leaf = torch.tensor(z, requires_grad=True)
    p = leaf.softmax(0)[target]
    p.backward()
    return (leaf.grad * float(derivative(p.item()))).numpy()


def target_only(derivative, target, z):
    p = softmax(z)
    return np.eye(len(z))[target] * derivative(p[target]) * p[target] * (1 - p[target])


def in_place(derivative, target, z):
    z -= z.max() - 1
    return by_jacobian(derivative, target, z)


def log_hills(n, s):
    i = np.arange(n)
    return log_softmax(-((i[None] - i[:, None]) ** 2) / (2 * s**2), axis=1)


def kls(tau, s):
    hills = log_hills(len(tau), s)
    return (tau * (np.log(tau) - hills)).sum(1), (np.exp(hills) * (hills - np.log(tau))).sum(1)


def by_rows(tau, s):
    found = []
    for m in range(len(tau)):
        log_p = log_hills(len(tau), s)[m]
        found.append((-(tau * log_p).sum(), (np.exp(log_p) * (log_p - np.log(tau))).sum()))
    return min(range(len(tau)), key=lambda m: found[m][0]), min(range(len(tau)), key=lambda m: found[m][1])


def by_kls(tau, s):
    forward, backward = kls(tau, s)
    return forward.argmin(), backward.argmin()


def hills_by_torch(tau, s):
    i, t = torch.arange(len(tau), dtype=torch.float64), torch.tensor(tau)
    log_p = (-((i[None] - i[:, None]) ** 2) / (2 * s**2)).log_softmax(1)
    return int((-(log_p @ t)).argmin()), int((log_p.exp() * (log_p - t.log())).sum(1).argmin())


def exchanged(tau, s):
    forward, backward = kls(tau, s)
    return backward.argmin(), forward.argmin()


def largest(tau, s):
    forward, backward = kls(tau, s)
    return forward.argmax(), backward.argmax()


def unnormalised(tau, s):
    i = np.arange(len(tau))
    p = np.exp(-((i[None] - i[:, None]) ** 2) / (2 * s**2))
    return rel_entr(tau, p).sum(1).argmin(), rel_entr(p, tau).sum(1).argmin()


def by_the_mean(tau, s):
    return round(float(tau @ np.arange(len(tau)))), int(tau.argmax())


def wide(tau, s):
    return by_kls(tau, s**2)


RIGHT = {
    "2.1": [turned, turned_by_division, Turned],
    "2.2": [masked, by_cases, by_torch],
    "2.3": [added, summed, scattered],
    "2.4": [by_jacobian, by_loop, by_autograd],
    "2.5": [by_rows, by_kls, hills_by_torch],
}
WRONG = {
    "2.1": [
        lambda f: f,
        lambda f: lambda u: f(1 / u),
        lambda f: lambda u: f(1 / u) / u,
        lambda f: lambda u: u * f(u),
        lambda f: lambda u: -u * f(1 / u),
        lambda f: lambda u: -np.log(u),
    ],
    "2.2": [clipped, only_both, no_slope, turned_round, with_tau_weights, counts_lost, normalises],
    "2.3": [
        lambda p, classes, k: np.bincount(classes, weights=p),
        lambda p, classes, k: np.bincount(classes, minlength=k) / len(p),
        lambda p, classes, k: np.array([p[classes == c].mean() if (classes == c).any() else 0 for c in range(k)]),
        lambda p, classes, k: np.array([p[classes == c].max(initial=0) for c in range(k)]),
        lambda p, classes, k: np.array([0.8, 0.2]) if k == 2 else np.array([0.3, 0, 0.7, 0]),
    ],
    "2.4": [
        target_only,
        in_place,
        lambda derivative, target, z: -by_jacobian(derivative, target, z),
        lambda derivative, target, z: derivative(softmax(z)[target]) * (np.eye(len(z))[target] - softmax(z)),
        lambda derivative, target, z: derivative(z[target]) * by_jacobian(lambda q: 1.0, target, z),
        lambda derivative, target, z: softmax(z) - np.eye(len(z))[target],
        lambda derivative, target, z: by_jacobian(derivative, 0, z),
    ],
    "2.5": [exchanged, largest, unnormalised, by_the_mean, wide, lambda tau, s: (20, 10)],
}
