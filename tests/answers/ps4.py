from itertools import combinations, permutations

import numpy as np
import torch
from scipy.optimize import linprog

FUNCTIONS = {"4.1": "one_hot_losses", "4.2": "stay_first", "4.3": "family_emd", "4.4": "shortcut", "4.5": "compromise"}


# 4.1 a batch of one-hot losses


def losses_by_gathering(p, targets, cost):
    return np.where(targets == -100, 0.0, (p * cost.T[np.maximum(targets, 0)]).sum(1))


def losses_by_loop(p, targets, cost):
    return [float(row @ cost[:, t]) if t != -100 else 0.0 for row, t in zip(p, targets, strict=True)]


def losses_by_torch(p, targets, cost):
    t = torch.tensor(targets)
    all_labels = torch.tensor(p) @ torch.tensor(cost)  # (N, V)
    return all_labels.gather(1, t.clamp(min=0)[:, None])[:, 0].masked_fill(t == -100, 0.0).numpy()


def losses_in_place(p, targets, cost):
    targets[targets == -100] = 0
    return losses_by_loop(p, targets, cost)


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


def stay_by_shares(p, tau, cost):
    gap = p - tau
    rho = np.abs(gap).sum(1, keepdims=True) / 2
    safe = np.where(rho == 0, 1, rho)
    return (((gap.clip(0) / safe) @ cost) * (-gap).clip(0)).sum(1)


def stay_by_torch(p, tau, cost):
    gap = torch.tensor(p) - torch.tensor(tau)
    bill = torch.einsum("ni,ij,nj->n", gap.relu(), torch.tensor(cost), (-gap).relu())
    rho = gap.relu().sum(1)
    return torch.where(rho > 0, bill / rho.clamp(min=1e-300), torch.zeros_like(bill)).numpy()


def stay_unguarded(p, tau, cost):
    s = np.minimum(p, tau)
    return ((p - s) @ cost * (tau - s)).sum(1) / (1 - s.sum(1))


def stay_without_rho(p, tau, cost):
    s = np.minimum(p, tau)
    return ((p - s) @ cost * (tau - s)).sum(1)


def product(p, tau, cost):
    return (p @ cost * tau).sum(1)


def stay_in_place(p, tau, cost):
    found = np.array(stay_by_plan(p, tau, cost))
    p -= np.minimum(p, tau)
    return found


def exact_costs(p, tau, cost):
    from emo_teach import transport

    return transport.emd_many(p, tau, cost).value


# 4.3 families


def families_by_sets(p, tau, families, near):
    within = 0.5 * np.abs(p - tau).sum()
    between = 0.5 * sum(
        abs(sum(p[i] - tau[i] for i in range(len(p)) if families[i] == name)) for name in set(families.tolist())
    )
    return near * (within - between) + between


def families_by_bins(p, tau, families, near):
    _, place = np.unique(families, return_inverse=True)
    change = np.bincount(place, weights=p) - np.bincount(place, weights=tau)
    return near * np.maximum(p - tau, 0).sum() + (1 - near) * np.maximum(change, 0).sum()


def families_by_torch(p, tau, families, near):
    same = torch.tensor(families[:, None] == families)
    gap = torch.tensor(p - tau)
    together = (same.double() @ gap).abs() / same.sum(1)  # each member carries its share of the family's surplus
    return float(near * gap.abs().sum() + (1 - near) * together.sum()) / 2


def families_by_product(p, tau, families, near):
    cost = np.where(families[:, None] == families, near, 1.0) * (1 - np.eye(len(p)))
    return p @ cost @ tau


def families_staying(p, tau, families, near):
    cost = np.where(families[:, None] == families, near, 1.0) * (1 - np.eye(len(p)))
    return stay_by_plan(p[None], tau[None], cost)[0]


def families_sorted(p, tau, families, near):
    """Takes families for runs of neighbours."""
    starts = np.flatnonzero(np.r_[True, families[1:] != families[:-1]])
    return near * np.abs(p - tau).sum() / 2 + (1 - near) * np.abs(np.add.reduceat(p - tau, starts)).sum() / 2


def families_in_place(p, tau, families, near):
    p -= tau
    return families_by_bins(p, 0 * tau, families, near)


# 4.4 shortcuts


def shortcut_by_brute_force(p, tau, cost, least=1e-9):
    rows, columns = np.flatnonzero(p), np.flatnonzero(tau)
    for i, k in permutations(rows, 2):
        for j, l in permutations(columns, 2):
            if cost[i, j] + cost[k, l] - cost[i, l] - cost[k, j] > least:
                return i, k, j, l
    return None


def shortcut_by_table(p, tau, cost):
    saved = (
        cost[:, None, :, None] + cost[None, :, None, :] - cost[:, None, None, :] - cost[None, :, :, None]
    )  # i, k, j, l
    moving = (p > 0)[:, None, None, None] & (p > 0)[:, None, None] & (tau > 0)[:, None] & (tau > 0)
    saved = np.where(moving, saved, -np.inf)
    best = np.unravel_index(saved.argmax(), saved.shape)
    return tuple(int(x) for x in best) if saved[best] > 1e-9 else None


def shortcut_by_torch(p, tau, cost):
    rows, columns = torch.tensor(p).nonzero()[:, 0], torch.tensor(tau).nonzero()[:, 0]
    block = torch.tensor(cost)[rows][:, columns]
    bend = (
        block - block.mean(0) - block.mean(1, keepdim=True) + block.mean()
    )  # 0 everywhere exactly if it is a sum a_i + b_j
    if bend.abs().max() < 1e-12:
        return None
    for i in range(len(rows)):
        step = block - block[i]  # (k, columns): what k pays more than i
        k = (step.max(1).values - step.min(1).values).argmax()
        j, l = step[k].argmin(), step[k].argmax()
        if step[k, l] - step[k, j] > 1e-9:
            return int(rows[i]), int(rows[k]), int(columns[j]), int(columns[l])
    return None


def shortcut_anywhere(p, tau, cost):
    return shortcut_by_brute_force(np.ones_like(p), np.ones_like(tau), cost)


def shortcut_reversed(p, tau, cost):
    found = shortcut_by_brute_force(p, tau, cost)
    return found and (found[0], found[1], found[3], found[2])


def shortcut_as_pairs(p, tau, cost):
    found = shortcut_by_brute_force(p, tau, cost)
    return found and (found[0], found[2], found[1], found[3])


def shortcut_if_rank_one(p, tau, cost):
    block = cost[np.ix_(p > 0, tau > 0)]
    return None if np.linalg.matrix_rank(block) < 2 else shortcut_by_table(p, tau, cost) or (0, 0, 0, 0)


def shortcut_unless_one_hot(p, tau, cost):
    return None if p.max() == 1 or tau.max() == 1 else (0, 1, 0, 1)


def shortcut_neighbours(p, tau, cost):
    """Compares neighbouring rows and columns, but only in one of the two directions."""
    rows, columns = np.flatnonzero(p), np.flatnonzero(tau)
    for i, k in zip(rows, rows[1:], strict=False):
        for j, l in zip(columns, columns[1:], strict=False):
            if cost[i, j] + cost[k, l] - cost[i, l] - cost[k, j] > 1e-9:
                return i, k, j, l
    return None


def shortcut_in_place(p, tau, cost):
    found = shortcut_by_brute_force(p, tau, cost)
    cost -= cost.min(0)
    return found


# 4.5 compromises


def compromise_by_scaling(cost, k):
    """Any t >= 0 with (C t)_i - (C t)_k >= 1 for all i will do, once it is scaled to sum to 1."""
    rest = np.delete(np.arange(len(cost)), k)
    solved = linprog(np.ones(len(rest)), A_ub=cost[k, rest] - cost[np.ix_(rest, rest)], b_ub=-np.ones(len(rest)))
    if solved.status != 0:
        return None
    tau = np.zeros(len(cost))
    tau[rest] = solved.x / solved.x.sum()
    return tau


def compromise_by_corners(cost, k):
    """Tries every corner: where as many rivals tie for second place as words take part."""
    rest = [i for i in range(len(cost)) if i != k]
    for size in range(1, len(rest) + 1):
        for words in combinations(rest, size):
            for rivals in combinations(rest, size):
                system = np.zeros((size + 1, size + 1))
                system[:size, :size] = cost[np.ix_(rivals, words)] - cost[k, list(words)]
                system[:size, size], system[size, :size] = -1, 1
                try:
                    solution = np.linalg.solve(system, np.eye(size + 1)[size])
                except np.linalg.LinAlgError:
                    continue
                tau = np.zeros(len(cost))
                tau[list(words)] = solution[:size]
                mean = cost @ tau
                if tau.min() > -1e-12 and np.delete(mean, k).min() > mean[k] + 1e-8:
                    return np.clip(tau, 0, None) / tau.clip(0).sum()
    return None


def compromise_by_prices(cost, k):
    """Solves the rivals' game and reads the label from the prices of its constraints."""
    rest = np.delete(np.arange(len(cost)), k)
    n = len(rest)
    table = (cost[np.ix_(rest, rest)] - cost[k, rest]).T
    solved = linprog(
        np.r_[np.zeros(n), 1],
        np.c_[table, -np.ones(n)],
        np.zeros(n),
        [[1] * n + [0]],
        [1],
        [(0, None)] * n + [(None, None)],
    )
    tau = np.insert(-solved.ineqlin.marginals, k, 0.0)
    return tau / tau.sum() if solved.fun > 1e-9 else None


def compromise_of_pairs(cost, k):
    rest = [i for i in range(len(cost)) if i != k]
    for a, b in combinations(rest, 2):
        for share in np.linspace(0, 1, 101):
            tau = share * np.eye(len(cost))[a] + (1 - share) * np.eye(len(cost))[b]
            if np.delete(cost @ tau, k).min() > (cost @ tau)[k] + 1e-9:
                return tau
    return None


def compromise_even(cost, k):
    tau = np.full(len(cost), 1 / (len(cost) - 1))
    tau[k] = 0
    return tau if np.delete(cost @ tau, k).min() > (cost @ tau)[k] + 1e-9 else None


def compromise_among_its_label(cost, k):
    """Beats the words of the label, and forgets those outside of it."""
    for a, b in combinations([i for i in range(len(cost)) if i != k], 2):
        tau = (np.eye(len(cost))[a] + np.eye(len(cost))[b]) / 2
        if (cost @ tau)[[a, b]].min() > (cost @ tau)[k] + 1e-9:
            return tau
    return None


def compromise_always(cost, k):
    rest = np.delete(np.arange(len(cost)), k)
    n = len(rest)
    table = np.c_[cost[k, rest] - cost[np.ix_(rest, rest)], np.ones(n)]
    solved = linprog(np.r_[np.zeros(n), -1], table, np.zeros(n), [[1] * n + [0]], [1], [(0, None)] * n + [(None, None)])
    return np.insert(solved.x[:n], k, 0.0)


def compromise_in_place(cost, k):
    found = compromise_by_scaling(cost, k)
    cost[k] = 0
    return found


RIGHT = {
    "4.1": [losses_by_gathering, losses_by_loop, losses_by_torch],
    "4.2": [stay_by_plan, stay_by_shares, stay_by_torch],
    "4.3": [families_by_sets, families_by_bins, families_by_torch],
    "4.4": [shortcut_by_brute_force, shortcut_by_table, shortcut_by_torch],
    "4.5": [compromise_by_scaling, compromise_by_corners, compromise_by_prices],
}
WRONG = {
    "4.1": [
        losses_in_place,
        losses_by_plans,
        lambda p, targets, cost: (p * cost[targets]).sum(1) * (targets >= 0),  # from the label, not to it
        lambda p, targets, cost: (p * cost[:, targets % len(cost)].T).sum(1),  # -100 read as an index
        lambda p, targets, cost: (p @ cost)[:, 0],
        lambda p, targets, cost: cost[:, np.maximum(targets, 0)].mean(0) * (targets >= 0),  # p is forgotten
        lambda p, targets, cost: (1 - p[np.arange(len(p)), np.maximum(targets, 0)]) * (targets >= 0),
        lambda p, targets, cost: np.mean(losses_by_loop(p, targets, cost)),
        lambda p, targets, cost: losses_by_gathering(p, np.roll(targets, 1), cost),
    ],
    "4.2": [
        stay_unguarded,
        stay_without_rho,
        stay_in_place,
        product,
        exact_costs,
        lambda p, tau, cost: np.minimum(stay_by_plan(p, tau, cost), product(p, tau, cost)),
        lambda p, tau, cost: stay_by_plan(tau, p, cost),  # lopsided costs
        lambda p, tau, cost: np.array(stay_by_plan(p, tau, cost)) / 2,
        lambda p, tau, cost: np.array([0.14, 0.0] * len(p))[: len(p)],
    ],
    "4.3": [
        families_by_product,
        families_staying,
        families_sorted,
        families_in_place,
        lambda p, tau, families, near: 0.5 * np.abs(p - tau).sum(),
        lambda p, tau, families, near: families_by_bins(p, tau, families, 0.0),
        lambda p, tau, families, near: families_by_bins(p, tau, families, 1 - near),
        lambda p, tau, families, near: 2 * families_by_bins(p, tau, families, near),
        lambda p, tau, families, near: (
            families_by_bins(p, tau, families, near) + near * families_by_bins(p, tau, families, 0.0)
        ),  # paid twice
        lambda p, tau, families, near: 0.26 if near == 0.2 else 0.2,
    ],
    "4.4": [
        shortcut_anywhere,
        shortcut_reversed,
        shortcut_as_pairs,
        shortcut_if_rank_one,
        shortcut_unless_one_hot,
        shortcut_neighbours,
        shortcut_in_place,
        lambda p, tau, cost: None,
        lambda p, tau, cost: shortcut_by_brute_force(tau, p, cost),
        lambda p, tau, cost: shortcut_by_brute_force(p, tau, cost.T),
        lambda p, tau, cost: shortcut_by_brute_force(p, tau, cost, 0.1),
    ],
    "4.5": [
        compromise_of_pairs,
        compromise_even,
        compromise_among_its_label,
        compromise_always,
        compromise_in_place,
        lambda cost, k: np.eye(len(cost))[k],  # k itself comes
        lambda cost, k: None,
        lambda cost, k: compromise_by_scaling(cost.T, k),
        lambda cost, k: (lambda tau: None if tau is None else 0.9 * tau + 0.1 * np.eye(len(cost))[k])(
            compromise_by_scaling(cost, k)
        ),
        lambda cost, k: np.array([0.5, 0.0, 0.5]) if len(cost) == 3 else np.array([0.2, 0.2, 0, 0.2, 0.2, 0.2]),
    ],
}
