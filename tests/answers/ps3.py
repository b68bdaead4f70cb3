import itertools

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment, linprog

FUNCTIONS = {"3.1": "price", "3.2": "north_west", "3.3": "bound_from", "3.4": "uniform_emd", "3.5": "improve"}


def checked(plan, p, tau, cost):
    good = (plan >= -1e-9).all() and np.allclose(plan.sum(1), p, rtol=0, atol=1e-9) and np.allclose(plan.sum(0), tau, rtol=0, atol=1e-9)
    return (plan * cost).sum() if good else None


def checked_by_loop(plan, p, tau, cost):
    n, m = plan.shape
    total = 0.0
    for i in range(n):
        if abs(sum(plan[i]) - p[i]) > 1e-9:
            return None
        for j in range(m):
            if plan[i, j] < -1e-9:
                return None
            total += plan[i, j] * cost[i, j]
    if any(abs(sum(plan[i, j] for i in range(n)) - tau[j]) > 1e-9 for j in range(m)):
        return None
    return total


def checked_by_torch(plan, p, tau, cost):
    plan, p, tau, cost = (torch.tensor(np.asarray(x, float)) for x in (plan, p, tau, cost))
    off = max(float((plan.sum(1) - p).abs().max()), float((plan.sum(0) - tau).abs().max()), float((-plan).max()))
    return float((plan * cost).sum()) if off <= 1e-9 else None


def greedy(p, tau):
    a, b = list(map(float, p)), list(map(float, tau))
    plan, i, j = np.zeros((len(a), len(b))), 0, 0
    while i < len(a) and j < len(b):
        amount = min(a[i], b[j])
        plan[i, j] = amount
        a[i], b[j] = a[i] - amount, b[j] - amount
        if a[i] <= b[j]:
            i += 1
        else:
            j += 1
    if j < len(b):
        plan[-1, -1] += sum(b[j:])  # what rounding left over
    return plan


def by_cdfs(p, tau):
    both = np.minimum(np.cumsum(p)[:, None], np.cumsum(tau))
    return np.diff(np.diff(both, axis=0, prepend=0), axis=1, prepend=0)


def by_pieces(p, tau):
    ends = np.unique(np.concatenate([np.cumsum(p)[:-1], np.cumsum(tau)[:-1], [1.0]]))
    plan, start = np.zeros((len(p), len(tau))), 0.0
    for end in ends:
        middle = (start + end) / 2
        plan[min(np.searchsorted(np.cumsum(p), middle), len(p) - 1), min(np.searchsorted(np.cumsum(tau), middle), len(tau) - 1)] += end - start
        start = end
    return plan


def south_east(p, tau):
    return by_cdfs(p[::-1], tau)[::-1]


def stuck(p, tau):
    plan = np.zeros((len(p), len(tau)))
    for k in range(min(plan.shape)):
        plan[k, k] = min(p[k], tau[k])
    return plan


def eats_input(p, tau):
    plan = by_cdfs(p, tau)
    p -= plan.sum(1)
    return plan


def prices(u, p, tau, cost):
    v = (cost - u[:, None]).min(0)
    return u @ p + v @ tau


def prices_by_loop(u, p, tau, cost):
    total = sum(a * b for a, b in zip(u, p, strict=True))
    for j, mass in enumerate(tau):
        total += mass * min(cost[i, j] - u[i] for i in range(len(u)))
    return total


def prices_by_torch(u, p, tau, cost):
    u, p, tau, cost = (torch.tensor(np.asarray(x, float)) for x in (u, p, tau, cost))
    return float(u.dot(p) + (cost - u.unsqueeze(1)).amin(0).dot(tau))


def assigned(cost):
    return cost[linear_sum_assignment(cost)].mean()


def tried(cost):
    n = len(cost)
    return min(np.mean([cost[i, s[i]] for i in range(n)]) for s in itertools.permutations(range(n)))


def by_program(cost):
    n = len(cost)
    sums = np.vstack([np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))])
    return linprog(cost.ravel(), A_eq=sums, b_eq=np.full(2 * n, 1 / n)).fun


def cheapest_in_turn(cost):
    free, total = set(range(len(cost))), 0.0
    for row in cost:
        j = min(free, key=lambda k: row[k])
        free.remove(j)
        total += row[j]
    return total / len(cost)


def exchanges(plan, cost):
    n, m = plan.shape
    for i, k in itertools.permutations(range(n), 2):
        for j, l in itertools.permutations(range(m), 2):
            yield i, k, j, l, min(plan[i, j], plan[k, l]), cost[i, j] + cost[k, l] - cost[i, l] - cost[k, j]


def exchanged(plan, i, k, j, l, amount):
    new = plan.copy()
    new[i, j] -= amount
    new[k, l] -= amount
    new[i, l] += amount
    new[k, j] += amount
    return new


def improved(plan, cost):
    i, k, j, l, amount, rate = max(exchanges(plan, cost), key=lambda e: e[4] * e[5])
    return exchanged(plan, i, k, j, l, amount) if amount * rate > 0 else plan.copy()


def by_comparing_plans(plan, cost):
    return min([plan.copy()] + [exchanged(plan, *e[:5]) for e in exchanges(plan, cost)], key=lambda new: (new * cost).sum())


def vectorised(plan, cost):
    amount = np.minimum(plan[:, None, :, None], plan[None, :, None, :])  # (i, k, j, l) takes from (i, j) and (k, l)
    rate = cost[:, None, :, None] + cost[None, :, None, :] - cost[:, None, None, :] - cost[None, :, :, None]
    gain = amount * rate
    i, k, j, l = np.unravel_index(gain.argmax(), gain.shape)
    return exchanged(plan, i, k, j, l, amount[i, k, j, l]) if gain.max() > 0 else plan.copy()


def by_rate(plan, cost):
    i, k, j, l, amount, rate = max(exchanges(plan, cost), key=lambda e: e[5])
    return exchanged(plan, i, k, j, l, amount) if rate > 0 else plan.copy()


def by_amount(plan, cost):
    i, k, j, l, amount, rate = max((e for e in exchanges(plan, cost) if e[5] > 0), key=lambda e: e[4], default=(0, 1, 0, 1, 0.0, 0.0))
    return exchanged(plan, i, k, j, l, amount)


def first_found(plan, cost):
    return next((exchanged(plan, *e[:5]) for e in exchanges(plan, cost) if e[4] * e[5] > 0), plan.copy())


def half(plan, cost):
    return (plan + improved(plan, cost)) / 2


def too_much(plan, cost):
    i, k, j, l, amount, rate = max(exchanges(plan, cost), key=lambda e: e[4] * e[5])
    return exchanged(plan, i, k, j, l, max(plan[i, j], plan[k, l])) if rate > 0 else plan.copy()


def in_place(plan, cost):
    plan[:] = improved(plan, cost)
    return plan


RIGHT = {
    "3.1": [checked, checked_by_loop, checked_by_torch],
    "3.2": [greedy, by_cdfs, by_pieces],
    "3.3": [prices, prices_by_loop, prices_by_torch],
    "3.4": [assigned, tried, by_program],
    "3.5": [improved, by_comparing_plans, vectorised],
}
WRONG = {
    "3.1": [
        lambda plan, p, tau, cost: (plan * cost).sum(),
        lambda plan, p, tau, cost: checked(plan.T, p, tau, cost) if plan.shape[0] == plan.shape[1] else None,
        lambda plan, p, tau, cost: (plan * cost).sum() if np.allclose(plan.sum(1), p) else None,
        lambda plan, p, tau, cost: (plan * cost).sum() if np.allclose(plan.sum(0), tau) else None,
        lambda plan, p, tau, cost: (plan * cost).sum() if np.allclose(plan.sum(0), tau) and np.allclose(plan.sum(1), p) else None,
        lambda plan, p, tau, cost: (plan * cost).sum() if np.isclose(plan.sum(), 1) and plan.min() >= 0 else None,
        lambda plan, p, tau, cost: (plan * cost).sum() if (plan.sum(1) == p).all() and (plan.sum(0) == tau).all() and plan.min() >= 0 else None,
        lambda plan, p, tau, cost: None if checked(plan, p, tau, cost) is None else (plan * cost).mean(),
    ],
    "3.2": [
        np.outer,
        south_east,
        stuck,
        eats_input,
        lambda p, tau: by_cdfs(tau, p).T[::-1],
        lambda p, tau: np.array([[0.5, 0], [0.1, 0.2], [0, 0.2]]),
    ],
    "3.3": [
        lambda u, p, tau, cost: u @ p + (cost - u[:, None]).max(0) @ tau,
        lambda u, p, tau, cost: u @ p + (cost.min(0) - u.max()) @ tau,
        lambda u, p, tau, cost: u @ p + cost.min(0) @ tau,
        lambda u, p, tau, cost: u @ p + (cost + u[:, None]).min(0) @ tau,
        lambda u, p, tau, cost: u @ tau + (cost - u[:, None]).min(0) @ p,
        lambda u, p, tau, cost: u @ p + (cost - u[None]).min(1) @ tau,
        lambda u, p, tau, cost: u.mean() + (cost - u[:, None]).min(0).mean(),
    ],
    "3.4": [
        cheapest_in_turn,
        lambda cost: assigned(cost) * len(cost),
        lambda cost: cost.min(1).mean(),
        lambda cost: np.trace(cost) / len(cost),
        lambda cost: assigned(-cost) * -1,
        lambda cost: cost.mean(),
        lambda cost: 1.0,
    ],
    "3.5": [by_rate, by_amount, first_found, half, too_much, in_place, lambda plan, cost: plan.copy()],
}
