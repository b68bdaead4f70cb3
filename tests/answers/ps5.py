import numpy as np
import torch
from scipy.special import logsumexp, softmax

FUNCTIONS = {"5.1": "mean_cost", "5.2": "slices", "5.3": "stopovers", "5.4": "sinkhorn_plan", "5.5": "two_slopes"}


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


# 5.1 the mean cost of different rows


def refuse(rows):
    if (rows == 0).all(1).any():
        raise ValueError("a row of zeros has no direction")
    return unit(rows)


def mean_by_centre(rows):
    e = refuse(rows)
    V, m = len(e), e.mean(0)
    return V / (V - 1) * (1 - m @ m)


def mean_by_loop(rows):
    e = refuse(rows)
    total = sum(len(e) - row @ e.sum(0) for row in e)  # a row with itself costs nothing
    return total / len(e) / (len(e) - 1)


def mean_by_torch(rows):
    if not rows.any(1).all():
        raise ValueError("a row of zeros")
    e = torch.nn.functional.normalize(torch.tensor(rows), dim=1)
    return (1 - (e.sum(0).square().sum() - len(e)) / (len(e) * (len(e) - 1))).item()


def mean_with_itself(rows):
    return 1 - (refuse(rows).mean(0) ** 2).sum()


def mean_by_matrix(rows):
    e = refuse(rows)
    return (1 - e @ e.T).sum() / (len(e) * (len(e) - 1))


def mean_without_door(rows):
    e = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return (len(e) ** 2 - e.sum(0) @ e.sum(0)) / (len(e) * (len(e) - 1))


def mean_of_raw_rows(rows):
    refuse(rows)
    V, s = len(rows), rows.sum(0)
    return 1 - (s @ s - (rows**2).sum()) / (V * (V - 1))


def mean_in_place(rows):
    refuse(rows)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return mean_by_centre(rows)


def mean_cosine(rows):
    return 1 - mean_by_centre(rows)


def mean_of_neighbours(rows):
    e = refuse(rows)
    return 1 - (e * np.roll(e, 1, axis=0)).sum(1).mean()


# 5.2 the slices


def slices_by_matmul(p, tau, rows):
    a, b = p @ unit(rows), tau @ unit(rows)
    return np.stack([((a - b) ** 2).sum(1) / 2, (1 - (a**2).sum(1)) / 2, (1 - (b**2).sum(1)) / 2], axis=1)


def slices_by_loop(p, tau, rows):
    found = []
    for one, other in zip(p, tau, strict=True):
        a = sum(weight * row / np.sqrt(row @ row) for weight, row in zip(one, rows, strict=True))
        b = sum(weight * row / np.sqrt(row @ row) for weight, row in zip(other, rows, strict=True))
        found.append((0.5 * (a - b) @ (a - b), 0.5 - 0.5 * a @ a, 0.5 - 0.5 * b @ b))
    return found


def slices_by_torch(p, tau, rows):
    e = torch.nn.functional.normalize(torch.tensor(rows), dim=1)
    a, b = torch.tensor(p) @ e, torch.tensor(tau) @ e
    return torch.stack([(a - b).square().sum(1), 1 - a.square().sum(1), 1 - b.square().sum(1)], 1).numpy() / 2


def slices_by_matrix(p, tau, rows):
    c = 1 - unit(rows) @ unit(rows).T
    form = lambda x: ((x @ c) * x).sum(1) / 2
    return np.stack([-form(p - tau), form(p), form(tau)], 1)


def slices_in_place(p, tau, rows):
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return slices_by_matmul(p, tau, rows)


def slices_of_means(p, tau, rows):
    a, b = unit(p @ unit(rows)), unit(tau @ unit(rows))
    return np.stack([1 - (a * b).sum(1), 0 * a[:, 0], 0 * a[:, 0]], 1)


def slices_of_raw_rows(p, tau, rows):
    a, b = p @ rows, tau @ rows
    return np.stack([((a - b) ** 2).sum(1) / 2, (1 - (a**2).sum(1)) / 2, (1 - (b**2).sum(1)) / 2], 1)


# 5.3 stopovers


def stops_by_slerp(a, c, K):
    a, c = unit(a), unit(c)
    angle = 2 * np.arcsin(min(1.0, np.linalg.norm(a - c) / 2))
    if angle < 1e-9:
        return np.tile(a, (K - 1, 1))
    s = np.arange(1, K)[:, None] / K
    return np.sin((1 - s) * angle) * a + np.sin(s * angle) * c


def stops_by_turning(a, c, K):
    a, c = unit(a), unit(c)
    angle = np.arctan2(np.linalg.norm(a - c), np.linalg.norm(a + c)) * 2 / K
    found, before, here = [], None, a
    if K > 1:  # the first by its angle, each further one by mirroring the last but one
        side = c - (a @ c) * a
        side = side / max(np.linalg.norm(side), 1e-300)
        before, here = a, np.cos(angle) * a + np.sin(angle) * side
        found.append(here)
    for _ in range(K - 2):
        before, here = here, 2 * np.cos(angle) * here - before
        found.append(here)
    return np.array(found).reshape(K - 1, len(a))


def stops_by_relaxing(a, c, K):
    way = unit(np.linspace(unit(a), unit(c), K + 1))
    for _ in range(3000):  # every stop goes half-way between its neighbours: the best place for it
        for k in range(1, K):
            way[k] = unit(way[k - 1] + way[k + 1])
    return way[1:-1]


def stops_on_the_chord(a, c, K):
    return np.linspace(unit(a), unit(c), K + 1)[1:-1]


def stops_between_raw(a, c, K):
    return np.linspace(a, c, K + 1)[1:-1]


def stops_unguarded(a, c, K):
    a, c = unit(a), unit(c)
    angle = np.arccos(a @ c)
    s = np.arange(1, K)[:, None] / K
    return (np.sin((1 - s) * angle) * a + np.sin(s * angle) * c) / np.sin(angle)


def stops_off_by_one(a, c, K):
    return stops_by_slerp(a, c, K + 1)[:-1]


def stops_in_place(a, c, K):
    a /= np.linalg.norm(a)
    c /= np.linalg.norm(c)
    return stops_by_slerp(a, c, K)


def stops_halfway(a, c, K):
    return np.tile(unit(a) + unit(c), (K - 1, 1))


# 5.4 Sinkhorn


def sinkhorn_by_potentials(p, tau, cost, eps, natural=True):
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


def sinkhorn_on_the_plan(p, tau, cost, eps):
    with np.errstate(divide="ignore"):
        a, b = np.log(p), np.log(tau)
    log_plan = a[:, None] + b - (cost - cost.min()) / eps
    safe = lambda s, goal: np.where(np.isfinite(goal), goal - np.where(np.isfinite(s), s, 0.0), 0.0)
    for _ in range(100_000):
        log_plan = log_plan + safe(np.logaddexp.reduce(log_plan, axis=0), b)
        log_plan = log_plan + safe(np.logaddexp.reduce(log_plan, axis=1), a)[:, None]
        if np.abs(np.exp(log_plan).sum(0) - tau).max() < 1e-10:
            break
    return np.exp(log_plan)


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
    with np.errstate(all="ignore"):
        for _ in range(5000):
            u = p / (kernel @ v)
            v = tau / (kernel.T @ u)
    return u[:, None] * kernel * v


def sinkhorn_padded(p, tau, cost, eps):
    kernel, v = np.exp(-cost / eps) + 1e-30, np.ones(len(tau))
    for _ in range(5000):
        u = p / (kernel @ v)
        v = tau / (kernel.T @ u)
    return u[:, None] * kernel * v


def sinkhorn_short(p, tau, cost, eps):
    with np.errstate(divide="ignore"):
        log_plan = np.log(np.outer(p, tau)) - cost / eps
        for _ in range(3):
            log_plan = log_plan + np.nan_to_num(np.log(tau) - logsumexp(log_plan, axis=0), nan=0, neginf=0, posinf=0)
            log_plan = (
                log_plan + np.nan_to_num(np.log(p) - logsumexp(log_plan, axis=1), nan=0, neginf=0, posinf=0)[:, None]
            )
    return np.exp(log_plan)


def sinkhorn_in_place(p, tau, cost, eps):
    cost -= cost.min()
    return sinkhorn_by_potentials(p, tau, cost, eps)


# 5.5 the two slopes


def slopes_by_loop(E, h, t):
    p, e = softmax(E @ h), unit(E)
    c = 1 - e @ e[t]
    L = sum(p * c)
    first, second = [], []
    for k, row in enumerate(E):
        flat = np.eye(len(h)) - np.outer(e[k], e[k])
        towards = e[t] * p[k] if k != t else sum(p[i] * e[i] for i in range(len(p)) if i != t)
        first.append(p[k] * (c[k] - L) * h)
        second.append(-flat @ towards / np.sqrt(row @ row))
    return np.array(first), np.array(second)


def slopes_by_autograd(E, h, t):
    heads = [torch.tensor(E, requires_grad=True) for _ in range(2)]
    e = torch.nn.functional.normalize(heads[1], dim=1)
    p = torch.softmax(heads[0] @ torch.tensor(h), 0)
    return tuple(g.numpy() for g in torch.autograd.grad((p * (1 - e @ e[t])).sum(), heads))


def slopes_by_weights(E, h, t):
    p, length = softmax(E @ h), np.linalg.norm(E, axis=1)
    e = E / length[:, None]
    W = np.outer(p, np.eye(len(p))[t])
    pull = (W + W.T) @ e
    pull -= np.einsum("kd,kd->k", pull, e)[:, None] * e
    jacobian = np.diag(p) - np.outer(p, p)
    return np.outer(jacobian @ (1 - e @ e[t]), h), -pull / length[:, None]


def spoilt(change):
    return lambda E, h, t: change(*slopes_by_loop(E, h, t), E, h, t)


def slopes_without_target(first, second, E, h, t):
    second[t] = 0
    return first, second


def slopes_in_place(first, second, E, h, t):
    E -= 0.1 * second
    return first, second


def slopes_not_projected(E, h, t):
    p, e = softmax(E @ h), unit(E)
    second = -np.outer(p, e[t])
    second[t] = -p @ e
    return slopes_by_loop(E, h, t)[0], second / np.linalg.norm(E, axis=1, keepdims=True)


RIGHT = {
    "5.1": [mean_by_centre, mean_by_loop, mean_by_torch],
    "5.2": [slices_by_matmul, slices_by_loop, slices_by_torch],
    "5.3": [stops_by_slerp, stops_by_turning, stops_by_relaxing],
    "5.4": [sinkhorn_by_potentials, sinkhorn_on_the_plan, sinkhorn_by_torch],
    "5.5": [slopes_by_loop, slopes_by_autograd, slopes_by_weights],
}
WRONG = {
    "5.1": [
        mean_with_itself,
        mean_by_matrix,
        mean_without_door,
        mean_of_raw_rows,
        mean_in_place,
        mean_cosine,
        mean_of_neighbours,
        lambda rows: mean_by_centre(rows) / 2,  # each pair counted once, divided by all
        lambda rows: (refuse(rows), 1.6 / 3)[1],
    ],
    "5.2": [
        slices_by_matrix,
        slices_in_place,
        slices_of_means,
        slices_of_raw_rows,
        lambda p, tau, rows: slices_by_matmul(tau, p, rows),
        lambda p, tau, rows: 2 * slices_by_matmul(p, tau, rows),
        lambda p, tau, rows: slices_by_matmul(p, tau, rows) * np.array([2, 0.5, 0.5]),
        lambda p, tau, rows: slices_by_matmul(p, tau, rows) * np.array([1, 2, 0]),
        lambda p, tau, rows: slices_of_raw_rows(p, tau, rows / np.linalg.norm(rows)),
        lambda p, tau, rows: slices_by_matmul(p, tau, rows / np.linalg.norm(rows, axis=0)),
        lambda p, tau, rows: np.tile([0.026, 0.154, 0.048], (len(p), 1)),
    ],
    "5.3": [
        stops_on_the_chord,
        stops_between_raw,
        stops_unguarded,
        stops_off_by_one,
        stops_in_place,
        stops_halfway,
        lambda a, c, K: stops_by_slerp(a, c, K)[::-1],
        lambda a, c, K: stops_by_slerp(a, c, K + 2),
        lambda a, c, K: -stops_by_slerp(a, c, K),
        lambda a, c, K: np.tile([4.0, 3.0], (K - 1, 1)),
    ],
    "5.4": [
        sinkhorn_by_kernel,
        sinkhorn_padded,
        sinkhorn_short,
        sinkhorn_in_place,
        lambda p, tau, cost, eps: np.outer(p, tau),
        lambda p, tau, cost, eps: sinkhorn_by_potentials(tau, p, cost, eps),
        lambda p, tau, cost, eps: sinkhorn_by_potentials(p, tau, cost.T.copy(), eps),
        lambda p, tau, cost, eps: sinkhorn_by_potentials(p, tau, cost, 2 * eps),
        lambda p, tau, cost, eps: sinkhorn_by_potentials(p, tau, cost / max(cost.max(), 1e-9), eps),
        lambda p, tau, cost, eps: sinkhorn_by_potentials(p, tau, -cost, eps),
    ],
    "5.5": [
        spoilt(slopes_without_target),
        spoilt(slopes_in_place),
        slopes_not_projected,
        lambda E, h, t: slopes_by_loop(E, h, t)[::-1],
        spoilt(lambda first, second, E, h, t: (first, -second)),
        spoilt(lambda first, second, E, h, t: (first + second, second)),
        spoilt(lambda first, second, E, h, t: (first, second * np.linalg.norm(E, axis=1, keepdims=True))),
        spoilt(lambda first, second, E, h, t: (first, 0 * second)),
        spoilt(lambda first, second, E, h, t: (slopes_by_loop(unit(E), h, t)[0], second)),
        lambda E, h, t: (
            np.outer(softmax(E @ h) * (1 - unit(E) @ unit(E)[t]), h),
            slopes_by_loop(E, h, t)[1],
        ),  # no baseline
        lambda E, h, t: (
            np.outer(softmax(E @ h) - np.eye(len(E))[t], h),
            slopes_by_loop(E, h, t)[1],
        ),  # cross-entropy's
    ],
}
