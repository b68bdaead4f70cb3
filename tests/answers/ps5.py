import numpy as np
import torch
from scipy.special import logsumexp, softmax

from tests.answers import in_place, unit


# 5.1 the mean cost of different rows
def refuse(rows):
    if (rows == 0).all(1).any():
        raise ValueError("a row of zeros has no direction")
    return unit(rows)


def mean_by_centre(rows, directions=refuse):
    e = directions(rows)
    V, s = len(e), e.sum(0)
    return 1 - (s @ s - (e**2).sum()) / (V * (V - 1))


def mean_by_torch(rows):
    if not rows.any(1).all():
        raise ValueError("a row of zeros")
    e = torch.nn.functional.normalize(torch.tensor(rows), dim=1)
    return (1 - (e.sum(0).square().sum() - len(e)) / (len(e) * (len(e) - 1))).item()


# 5.2 the slices
def slices_of(p, tau, e):
    a, b = p @ e, tau @ e
    return np.stack([((a - b) ** 2).sum(1) / 2, (1 - (a**2).sum(1)) / 2, (1 - (b**2).sum(1)) / 2], axis=1)


def slices_by_matmul(p, tau, rows):
    return slices_of(p, tau, unit(rows))


def slices_by_loop(p, tau, rows):
    found = []
    for one, other in zip(p, tau, strict=True):
        a = sum(weight * row / np.sqrt(row @ row) for weight, row in zip(one, rows, strict=True))
        b = sum(weight * row / np.sqrt(row @ row) for weight, row in zip(other, rows, strict=True))
        found.append((0.5 * (a - b) @ (a - b), 0.5 - 0.5 * a @ a, 0.5 - 0.5 * b @ b))
    return found


def slices_by_matrix(p, tau, rows):
    c = 1 - unit(rows) @ unit(rows).T
    form = lambda x: ((x @ c) * x).sum(1) / 2
    return np.stack([-form(p - tau), form(p), form(tau)], 1)


def slices_of_means(p, tau, rows):
    a, b = unit(p @ unit(rows)), unit(tau @ unit(rows))
    return np.stack([1 - (a * b).sum(1), 0 * a[:, 0], 0 * a[:, 0]], 1)


# 5.3 stopovers
def angle_of(a, c):
    return 2 * np.arcsin(min(1.0, np.linalg.norm(a - c) / 2))


def stops_by_slerp(a, c, K, angle_of=angle_of, least=1e-9):
    a, c = unit(a), unit(c)
    angle, s = angle_of(a, c), np.arange(1, K)[:, None] / K
    return np.sin((1 - s) * angle) * a + np.sin(s * angle) * c if angle > least else np.tile(a, (K - 1, 1))


def stops_by_relaxing(a, c, K):
    way = unit(np.linspace(unit(a), unit(c), K + 1))
    for _ in range(3000):  # every other stop goes half-way between its neighbours: the best place for it
        for k in (1, 2):
            way[k:-1:2] = unit(way[k - 1 : -2 : 2] + way[k + 1 :: 2])
    return way[1:-1]


# 5.4 Sinkhorn
def sinkhorn_by_potentials(p, tau, cost, eps):
    rows, columns = np.flatnonzero(p), np.flatnonzero(tau)
    c, a, b = cost[np.ix_(rows, columns)], p[rows], tau[columns]
    f, g = np.zeros(len(a)), np.zeros(len(b))
    for _ in range(100_000):
        f = -eps * logsumexp((g - c) / eps + np.log(b), axis=1)
        g = -eps * logsumexp((f[:, None] - c) / eps + np.log(a)[:, None], axis=0)
        inner = np.outer(a, b) * np.exp((f[:, None] + g - c) / eps)
        if np.abs(inner.sum(1) - a).max() < 1e-10:
            break
    plan = np.zeros_like(cost)
    plan[np.ix_(rows, columns)] = inner
    return plan


def sinkhorn_by_torch(p, tau, cost, eps):
    k, l = torch.tensor(p > 0), torch.tensor(tau > 0)
    a, b, c = torch.tensor(p)[k].log(), torch.tensor(tau)[l].log(), torch.tensor(cost)[k][:, l] / eps
    g = torch.zeros_like(b)
    for _ in range(100_000):
        f = a - torch.logsumexp(g - c, 1)
        g = b - torch.logsumexp(f[:, None] - c, 0)
        inner = (f[:, None] + g - c).exp()
        if (inner.sum(1) - a.exp()).abs().max() < 1e-10:
            break
    plan = np.zeros_like(cost)
    plan[np.ix_(p > 0, tau > 0)] = inner.numpy()
    return plan


def sinkhorn_by_kernel(p, tau, cost, eps):
    kernel, v = np.exp(-cost / eps), np.ones(len(tau))
    for _ in range(5000):
        u = p / (kernel @ v)
        v = tau / (kernel.T @ u)
    return u[:, None] * kernel * v


# 5.5 the two slopes
def slopes_by_loop(E, h, t, flatten=True, baseline=True):
    p, e = softmax(E @ h), unit(E)
    c = 1 - e @ e[t]
    L = sum(p * c) * baseline
    first, second = [], []
    for k, row in enumerate(E):
        flat = np.eye(len(h)) - np.outer(e[k], e[k]) * flatten
        towards = e[t] * p[k] if k != t else sum(p[i] * e[i] for i in range(len(p)) if i != t)
        first.append(p[k] * (c[k] - L) * h)
        second.append(-flat @ towards / np.sqrt(row @ row))
    return np.array(first), np.array(second)


def slopes_by_autograd(E, h, t):
    heads = [torch.tensor(E, requires_grad=True) for _ in range(2)]
    e = torch.nn.functional.normalize(heads[1], dim=1)
    p = torch.softmax(heads[0] @ torch.tensor(h), 0)
    return tuple(g.numpy() for g in torch.autograd.grad((p * (1 - e @ e[t])).sum(), heads))


RIGHT = {
    "5.1": [mean_by_centre, mean_by_torch],
    "5.2": [slices_by_matmul, slices_by_loop],
    "5.3": [stops_by_slerp, stops_by_relaxing],
    "5.4": [sinkhorn_by_potentials, sinkhorn_by_torch],
    "5.5": [slopes_by_loop, slopes_by_autograd],
}
WRONG = [
    ("5.1", lambda rows: 1 - (refuse(rows).mean(0) ** 2).sum()),  # each with itself, too
    ("5.1", lambda rows: (1 - refuse(rows) @ refuse(rows).T).sum() / (len(rows) * (len(rows) - 1))),  # V x V numbers
    ("5.1", lambda rows: mean_by_centre(rows, lambda rows: np.nan_to_num(unit(rows)))),  # no error
    ("5.1", lambda rows: mean_by_centre(rows, lambda rows: rows * refuse(rows).any())),  # raw rows
    ("5.1", in_place(mean_by_centre)),
    ("5.2", slices_by_matrix),
    ("5.2", in_place(slices_by_matmul, 2)),
    ("5.2", slices_of_means),
    ("5.2", slices_of),  # raw rows
    ("5.2", lambda p, tau, rows: 2 * slices_by_matmul(p, tau, rows)),
    ("5.3", lambda a, c, K: np.linspace(unit(a), unit(c), K + 1)[1:-1]),  # stops on the chord
    # nan where a and c are parallel
    ("5.3", lambda a, c, K: stops_by_slerp(a, c, K, lambda a, c: np.arccos(a @ c), -1)),
    ("5.3", in_place(stops_by_slerp)),
    ("5.3", lambda a, c, K: stops_by_slerp(a, c, K + 2)),
    ("5.3", lambda a, c, K: -stops_by_slerp(a, c, K)),
    ("5.4", sinkhorn_by_kernel),  # overflows
    ("5.4", in_place(sinkhorn_by_potentials, 2)),
    ("5.4", lambda p, tau, cost, eps: sinkhorn_by_potentials(tau, p, cost, eps)),
    ("5.4", lambda p, tau, cost, eps: sinkhorn_by_potentials(p, tau, cost.T.copy(), eps)),
    ("5.4", lambda p, tau, cost, eps: sinkhorn_by_potentials(p, tau, -cost, eps)),
    (
        "5.5",
        lambda E, h, t: (slopes_by_loop(E, h, t)[0], slopes_by_loop(E, h, t)[1] * (np.arange(len(E)) != t)[:, None]),
    ),
    ("5.5", lambda E, h, t: (slopes_by_loop(E, h, t)[0], -slopes_by_loop(E, h, t)[1])),  # the sign
    ("5.5", lambda E, h, t: (slopes_by_loop(E, h, t)[0], slopes_by_loop(E, h, t, flatten=False)[1])),  # not projected
    ("5.5", lambda E, h, t: (slopes_by_loop(E, h, t, baseline=False)[0], slopes_by_loop(E, h, t)[1])),
    ("5.5", in_place(slopes_by_loop)),
]
