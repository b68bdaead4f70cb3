from itertools import permutations

import numpy as np
import torch
from scipy.optimize import linprog

from tests.answers import in_place


# 4.1 a batch of one-hot losses
def losses_by_loop(p, targets, cost):
    return [float(row @ cost[:, t]) if t != -100 else 0.0 for row, t in zip(p, targets, strict=True)]


def losses_by_torch(p, targets, cost):
    t = torch.tensor(targets)
    all_labels = torch.tensor(p) @ torch.tensor(cost)  # (N, V)
    return all_labels.gather(1, t.clamp(min=0)[:, None])[:, 0].masked_fill(t == -100, 0.0).numpy()


def losses_by_plans(p, targets, cost):
    plans = p[:, :, None] * np.eye(len(cost))[np.maximum(targets, 0)][:, None]
    return (plans * cost).sum((1, 2)) * (targets >= 0)


# 4.2 staying first
def stay_by_plan(p, tau, cost):
    found = []
    for a, b in zip(p, tau, strict=True):
        s = np.minimum(a, b)
        rho = 1 - s.sum()
        plan = np.diag(s) + (np.outer(a - s, b - s) / rho if rho > 1e-12 else 0)
        found.append((plan * cost).sum())
    return found


def stay_by_torch(p, tau, cost):
    gap = torch.tensor(p) - torch.tensor(tau)
    bill = torch.einsum("ni,ij,nj->n", gap.relu(), torch.tensor(cost), (-gap).relu())
    rho = gap.relu().sum(1)
    return torch.where(rho > 0, bill / rho.clamp(min=1e-300), torch.zeros_like(bill)).numpy()


def stay_without_rho(p, tau, cost):
    s = np.minimum(p, tau)
    return ((p - s) @ cost * (tau - s)).sum(1)


# 4.3 families
def family_cost(families, near):
    return np.where(families[:, None] == families, near, 1.0) * (1 - np.eye(len(families)))


def families_by_bins(p, tau, families, near):
    _, place = np.unique(families, return_inverse=True)
    change = np.bincount(place, weights=p) - np.bincount(place, weights=tau)
    return near * np.maximum(p - tau, 0).sum() + (1 - near) * np.maximum(change, 0).sum()


def families_by_torch(p, tau, families, near):
    same = torch.tensor(families[:, None] == families)
    gap = torch.tensor(p - tau)
    together = (same.double() @ gap).abs() / same.sum(1)  # each member carries its share of the family's surplus
    return float(near * gap.abs().sum() + (1 - near) * together.sum()) / 2


def families_sorted(p, tau, families, near):
    """Takes families for runs of neighbours."""
    starts = np.flatnonzero(np.r_[True, families[1:] != families[:-1]])
    return near * np.abs(p - tau).sum() / 2 + (1 - near) * np.abs(np.add.reduceat(p - tau, starts)).sum() / 2


# 4.4 shortcuts
def shortcut_by_brute_force(p, tau, cost, least=1e-9):
    rows, columns = np.flatnonzero(p), np.flatnonzero(tau)
    for i, k in permutations(rows, 2):
        for j, l in permutations(columns, 2):
            if cost[i, j] + cost[k, l] - cost[i, l] - cost[k, j] > least:
                return i, k, j, l
    return None


def shortcut_by_torch(p, tau, cost):
    rows, columns = torch.tensor(p).nonzero()[:, 0], torch.tensor(tau).nonzero()[:, 0]
    block = torch.tensor(cost)[rows][:, columns]
    for i in range(len(rows)):
        step = block - block[i]  # (k, columns): what k pays more than i
        k = (step.max(1).values - step.min(1).values).argmax()
        j, l = step[k].argmin(), step[k].argmax()
        if step[k, l] - step[k, j] > 1e-9:
            return int(rows[i]), int(rows[k]), int(columns[j]), int(columns[l])
    return None


# 4.5 compromises
def compromise_by_scaling(cost, k):
    """Any t >= 0 with (C t)_i - (C t)_k >= 1 for all i will do, once it is scaled to sum to 1."""
    rest = np.delete(np.arange(len(cost)), k)
    solved = linprog(np.ones(len(rest)), A_ub=cost[k, rest] - cost[np.ix_(rest, rest)], b_ub=-np.ones(len(rest)))
    return np.insert(solved.x / solved.x.sum(), k, 0.0) if solved.status == 0 else None


def compromise_by_prices(cost, k, margin=1e-9):
    """Solves the rivals' game and reads the label from the prices of its constraints."""
    rest = np.delete(np.arange(len(cost)), k)
    n = len(rest)
    table = np.c_[(cost[np.ix_(rest, rest)] - cost[k, rest]).T, -np.ones(n)]
    bounds = [(0, None)] * n + [(None, None)]
    solved = linprog(np.r_[np.zeros(n), 1], table, np.zeros(n), [[1] * n + [0]], [1], bounds)
    tau = np.insert(-solved.ineqlin.marginals, k, 0.0)
    return tau / tau.sum() if solved.fun > margin else None


def compromise_even(cost, k):
    tau = np.insert(np.full(len(cost) - 1, 1 / (len(cost) - 1)), k, 0.0)
    return tau if np.delete(cost @ tau, k).min() > (cost @ tau)[k] + 1e-9 else None


RIGHT = {
    "4.1": [losses_by_loop, losses_by_torch],
    "4.2": [stay_by_plan, stay_by_torch],
    "4.3": [families_by_bins, families_by_torch],
    "4.4": [shortcut_by_brute_force, shortcut_by_torch],
    "4.5": [compromise_by_scaling, compromise_by_prices],
}
WRONG = [
    ("4.1", in_place(losses_by_loop, 1)),
    ("4.1", losses_by_plans),
    ("4.1", lambda p, targets, cost: (p * cost[targets]).sum(1) * (targets >= 0)),  # from the label, not to it
    ("4.1", lambda p, targets, cost: (p * cost[:, targets % len(cost)].T).sum(1)),  # -100 read as an index
    ("4.1", lambda p, targets, cost: np.mean(losses_by_loop(p, targets, cost))),
    ("4.2", lambda p, tau, cost: stay_without_rho(p, tau, cost) / np.maximum(p - tau, 0).sum(1)),  # 0 / 0
    ("4.2", stay_without_rho),
    ("4.2", in_place(stay_by_plan)),
    ("4.2", lambda p, tau, cost: np.minimum(stay_by_plan(p, tau, cost), (p @ cost * tau).sum(1))),
    ("4.2", lambda p, tau, cost: stay_by_plan(tau, p, cost)),  # lopsided costs
    ("4.3", lambda p, tau, families, near: p @ family_cost(families, near) @ tau),  # the product plan
    # stays first
    ("4.3", lambda p, tau, families, near: stay_by_plan(p[None], tau[None], family_cost(families, near))[0]),
    ("4.3", families_sorted),
    ("4.3", in_place(families_by_bins)),
    ("4.3", lambda p, tau, families, near: 2 * families_by_bins(p, tau, families, near)),
    ("4.4", lambda *problem: (found := shortcut_by_brute_force(*problem)) and (found[0], *found[2:0:-1], found[3])),
    ("4.4", in_place(shortcut_by_brute_force, 2)),
    ("4.4", lambda p, tau, cost: shortcut_by_brute_force(tau, p, cost)),
    ("4.4", lambda p, tau, cost: shortcut_by_brute_force(p, tau, cost.T)),
    ("4.4", lambda p, tau, cost: shortcut_by_brute_force(p, tau, cost, 0.1)),
    ("4.5", compromise_even),
    ("4.5", lambda cost, k: compromise_by_prices(cost, k, margin=-np.inf)),  # never None
    ("4.5", in_place(compromise_by_scaling)),
    ("4.5", lambda cost, k: None),
    ("4.5", lambda cost, k: np.array([0.5, 0.0, 0.5]) if len(cost) == 3 else np.array([0.2, 0.2, 0, 0.2, 0.2, 0.2])),
]
