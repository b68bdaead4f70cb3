import numpy as np
import torch
from scipy.special import softmax

FUNCTIONS = {"4.1": "mean_distance", "4.2": "accuracy_cost", "4.3": "gap", "4.4": "truth_for", "4.5": "downhill"}


def gathered(models, labels, cost):
    keep = labels != -100
    return (models[keep] * cost[:, labels[keep]].T).sum(1).mean()


def looped(models, labels, cost):
    found = []
    for p, t in zip(models, labels, strict=True):
        if t >= 0:
            found.append(sum(p[i] * cost[i, t] for i in range(len(p))))
    return sum(found) / len(found)


def by_torch(models, labels, cost):
    p, t, c = torch.tensor(models), torch.tensor(labels), torch.tensor(cost)
    keep = t != -100
    return float((p[keep] * c.T[t[keep]]).sum(-1).mean())


def all_positions(models, labels, cost):
    return (models * cost[:, labels].T).sum(1).mean()


def zeros_one_diagonal(n):
    c = np.ones((n, n))
    np.fill_diagonal(c, 0)
    return c


def unequal(n):
    return [[float(i != j) for j in range(n)] for i in range(n)]


def by_terms(p, tau):
    return sum(min(a, b) * (1 - max(a, b)) for a, b in zip(p, tau, strict=True))


def by_difference(p, tau):
    return max(0.0, 1 - p @ tau - 0.5 * np.abs(p - tau).sum())


def gap_by_torch(p, tau):
    a, b = torch.tensor(p), torch.tensor(tau)
    return float((torch.minimum(a, b) * (1 - torch.maximum(a, b))).sum())


def gap_in_place(p, tau):
    value = by_terms(p, tau)
    p -= tau
    return value


def evenly(hub, cost):
    return np.where(np.arange(len(cost)) == hub, 0.0, 1 / (len(cost) - 1))


def evenly_by_loop(hub, cost):
    n = len(cost)
    return [0.0 if i == hub else 1 / (n - 1) for i in range(n)]


def evenly_by_torch(hub, cost):
    t = torch.ones(len(cost), dtype=torch.float64)
    t[hub] = 0
    return (t / t.sum()).numpy()


def towards(first):
    def found(hub, cost):
        tau = np.full(len(cost), 0.01)
        tau[(hub + 1) % len(cost) if first else hub] = 1.0
        tau[hub] = 0.0 if first else tau[hub]
        return tau / tau.sum()

    return found


def by_logits(tau, cost, rate, steps):
    z, a, path = np.log(tau), cost @ tau, []
    for _ in range(steps + 1):
        p = softmax(z)
        path.append(p)
        z = z - rate * p * (a - p @ a)
    return path


def by_autograd(tau, cost, rate, steps):
    z, a, path = torch.tensor(tau).log().requires_grad_(), torch.tensor(cost) @ torch.tensor(tau), []
    for _ in range(steps):
        path.append(z.detach().softmax(0).numpy())
        (slope,) = torch.autograd.grad(z.softmax(0) @ a, z)
        z = (z - rate * slope).detach().requires_grad_()
    return np.array([*path, z.detach().softmax(0).numpy()])


def by_jacobian(tau, cost, rate, steps):
    z, path = np.log(tau), [tau]
    for _ in range(steps):
        p = path[-1]
        z = z - rate * (np.diag(p) - np.outer(p, p)) @ cost @ tau
        path.append(np.exp(z) / np.exp(z).sum())
    return np.array(path)


def variant(step):
    def path(tau, cost, rate, steps):
        z, found = np.log(tau), []
        for _ in range(steps + 1):
            p = softmax(z)
            found.append(p)
            z = z - rate * step(p, tau, cost)
        return np.array(found)

    return path


RIGHT = {
    "4.1": [gathered, looped, by_torch],
    "4.2": [zeros_one_diagonal, unequal, lambda n: torch.ones(n, n).fill_diagonal_(0).numpy()],
    "4.3": [by_terms, by_difference, gap_by_torch],
    "4.4": [evenly, evenly_by_loop, evenly_by_torch],
    "4.5": [by_logits, by_autograd, by_jacobian],
}
WRONG = {
    "4.1": [
        all_positions,
        lambda models, labels, cost: (models[labels != -100] * cost[labels[labels != -100]]).sum(1).mean(),  # from the label, not to it
        lambda models, labels, cost: gathered(models, labels, cost) * (labels != -100).mean(),
        lambda models, labels, cost: gathered(models, labels, cost) * (labels != -100).sum(),
        lambda models, labels, cost: 1 - np.mean([p[t] for p, t in zip(models, labels, strict=True) if t >= 0]),
        lambda models, labels, cost: (models @ cost).mean(),
        lambda models, labels, cost: models[labels != -100].mean(0) @ cost[:, labels[labels != -100]].mean(1),
    ],
    "4.2": [
        np.eye,
        lambda n: np.ones((n, n)),
        lambda n: 0.5 * (1 - np.eye(n)),
        lambda n: np.abs(np.subtract.outer(np.arange(n), np.arange(n))).astype(float),
        lambda n: 2 * (1 - np.eye(n)),
        lambda n: np.triu(np.ones((n, n)), 1),
    ],
    "4.3": [
        gap_in_place,
        lambda p, tau: 1 - p @ tau,
        lambda p, tau: 0.5 * np.abs(p - tau).sum(),
        lambda p, tau: 1 - p @ tau - np.abs(p - tau).sum(),
        lambda p, tau: 1 - p @ tau - np.abs(p - tau).max(),
        lambda p, tau: np.minimum(p, tau).sum() * (1 - np.maximum(p, tau).max()),
        lambda p, tau: 0.38 if p[0] == 0.5 else 0.0,
    ],
    "4.4": [
        towards(True),
        towards(False),
        lambda hub, cost: np.full(len(cost), 1 / len(cost)),
        lambda hub, cost: np.eye(len(cost))[hub],
        lambda hub, cost: np.where(np.arange(len(cost)) == hub, 0.0, 1.0),
        lambda hub, cost: np.array([0, 1 / 3, 1 / 3, 1 / 3]),
        lambda hub, cost: np.eye(len(cost))[(hub + 1) % len(cost)],
    ],
    "4.5": [
        variant(lambda p, tau, cost: -p * (cost @ tau - p @ cost @ tau)),  # uphill
        variant(lambda p, tau, cost: p * (cost @ tau)),  # no baseline
        variant(lambda p, tau, cost: cost @ tau - p @ cost @ tau),  # without p_j
        variant(lambda p, tau, cost: p * (tau @ cost - p @ cost.T @ tau)),  # transposed
        variant(lambda p, tau, cost: p * (cost @ p - p @ cost @ p)),  # the truth forgotten
        variant(lambda p, tau, cost: p - tau),  # cross-entropy's
        lambda tau, cost, rate, steps: np.array(by_logits(tau, cost, rate, steps))[1:],
        lambda tau, cost, rate, steps: np.array(by_logits(tau, cost, 1.01 * rate, steps)),
    ],
}
