import numpy as np
import torch
from scipy import stats
from scipy.special import rel_entr

from emo_teach import transport
from emo_teach.losses.soft import soft_objective
from emo_teach.measure import oracle
from tests.answers import in_place


def by_classes(tau, p, classes):
    between = inside = 0.0
    for c in set(classes.tolist()):
        t, q = tau[classes == c], p[classes == c]
        between += rel_entr(t.sum(), q.sum())
        if t.sum() > 0:
            inside += t.sum() * rel_entr(t / t.sum(), q / q.sum()).sum()
    return between, inside


def by_difference(tau, p, classes):
    member = np.eye(classes.max() + 1)[classes]
    between = rel_entr(tau @ member, p @ member).sum()
    return between, rel_entr(tau, p).sum() - between


def by_package(tau, p, classes):
    return [float(x) for x in oracle.split_kl(np.log(p), tau, classes)]


def by_potential(p, tau, cost):
    u = transport.emd(p, tau, cost).u
    return p * (u - p @ u)


def by_jacobian(p, tau, cost):
    return (np.diag(p) - np.outer(p, p)) @ transport.emd(p, tau, cost).u


def by_torch(p, tau, cost):
    z = torch.tensor(np.log(p))[None].requires_grad_()
    soft_objective("emd", cost)(z, torch.tensor(tau)[None]).sum().backward()
    return z.grad[0].numpy()


def slopes(gains, x):
    return np.polyfit(np.log2(x), gains.T, 1)[0]


def by_fit(gains, x):
    s = slopes(gains, x)
    return s.mean(), 2.78 * s.std(ddof=1) / np.sqrt(len(s))


def by_scipy(gains, x):
    s = np.array([stats.linregress(np.log2(x), g).slope for g in gains])
    return s.mean(), 2.78 * stats.sem(s)


def by_loop(gains, x):
    k = np.log2(x) - np.mean(np.log2(x))
    s = [sum(a * b for a, b in zip(k, g, strict=True)) / sum(k * k) for g in gains]
    m = sum(s) / len(s)
    return m, 2.78 * (sum((a - m) ** 2 for a in s) / (len(s) - 1) / len(s)) ** 0.5


RIGHT = {
    "09.1": [by_classes, by_difference, by_package],
    "09.3": [by_potential, by_jacobian, by_torch],
    "09.2": [by_fit, by_scipy, by_loop],
}
WRONG = [
    ("09.1", lambda t, p, c: by_classes(t, p, c)[::-1], "swapped"),
    ("09.1", lambda t, p, c: (by_classes(t, p, c)[0], rel_entr(t, p).sum()), "all of KL"),
    ("09.1", lambda t, p, c: np.array(by_classes(t, p, c)) / np.log(2), "bits"),
    ("09.1", lambda t, p, c: rel_entr(t, p).sum(), "shape"),
    ("09.1", lambda t, p, c: (by_classes(t, p, c)[0], 0.0), "add up"),
    ("09.3", lambda p, t, c: transport.emd(p, t, c).u, "gradient on p"),
    ("09.3", lambda p, t, c: p * transport.emd(p, t, c).u, "average is missing"),
    ("09.3", lambda p, t, c: p * (transport.emd(p, t, c).v - p @ transport.emd(p, t, c).v), "v are the prices"),
    ("09.3", lambda p, t, c: p * (c @ t - p @ c @ t), "product bound"),
    ("09.3", in_place(by_potential), "in place"),
    ("09.2", lambda g, x: (slopes(g, x).mean(), slopes(g, x).std(ddof=1) / np.sqrt(len(g))), "standard error"),
    ("09.2", lambda g, x: (slopes(g, x).mean(), 1.96 * slopes(g, x).std(ddof=1) / np.sqrt(len(g))), "1.96"),
    ("09.2", lambda g, x: (slopes(g, x).mean(), 2.78 * slopes(g, x).std(ddof=1)), "sqrt(n)"),
    ("09.2", lambda g, x: by_fit(g, 2**x), "slope on x"),
    ("09.2", lambda g, x: tuple(np.array(by_fit(g, x)) / np.log(2)), "natural"),
]
