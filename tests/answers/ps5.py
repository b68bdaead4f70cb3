import numpy as np
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

FUNCTIONS = {"5.1": "nearest", "5.2": "soft_bound", "5.3": "chord", "5.4": "row_gradient", "5.5": "sinkhorn"}


def refuse(embedding):
    if (np.abs(embedding).sum(1) == 0).any():
        raise ValueError("a row of zeros")


def unit(embedding):
    return embedding / np.linalg.norm(embedding, axis=1, keepdims=True)


def by_cosine(embedding):
    refuse(embedding)
    likeness = unit(embedding) @ unit(embedding).T
    return np.where(np.eye(len(likeness), dtype=bool), -np.inf, likeness).argmax(1)


def by_loop(embedding):
    refuse(embedding)
    found = []
    for i, x in enumerate(embedding):
        others = [(x @ y / np.linalg.norm(x) / np.linalg.norm(y), j) for j, y in enumerate(embedding) if j != i]
        found.append(max(others)[1])
    return found


def by_torch(embedding):
    refuse(embedding)
    e = torch.nn.functional.normalize(torch.tensor(embedding), dim=1)
    return (e @ e.T).fill_diagonal_(-2).argmax(1).numpy()


def silent(embedding):
    return by_cosine(np.where(embedding.any(1, keepdims=True), embedding, 1e-9))


def with_self(embedding):
    refuse(embedding)
    return (unit(embedding) @ unit(embedding).T).argmax(1)


def by_products(embedding):
    refuse(embedding)
    likeness = embedding @ embedding.T
    np.fill_diagonal(likeness, -np.inf)
    return likeness.argmax(1)


def by_distance(embedding):
    refuse(embedding)
    far = cdist(embedding, embedding)
    np.fill_diagonal(far, np.inf)
    return far.argmin(1)


def farthest(embedding):
    refuse(embedding)
    return (unit(embedding) @ unit(embedding).T).argmin(1)


def spoils(embedding):
    refuse(embedding)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    return by_cosine(embedding)


def means(p, tau, embedding):
    return 1 - (p @ unit(embedding)) @ (tau @ unit(embedding))


def mean_of_torch(p, tau, embedding):
    e = torch.nn.functional.normalize(torch.tensor(embedding), dim=1)
    return float(1 - (torch.tensor(p) @ e) @ (torch.tensor(tau) @ e))


def summed(p, tau, embedding):
    e = unit(embedding)
    m = np.zeros(e.shape[1])
    for weight, row in zip(tau, e, strict=True):
        m = m + weight * row
    return sum(weight * (1 - row @ m) for weight, row in zip(p, e, strict=True))


def with_matrix(p, tau, embedding):
    return p @ (1 - unit(embedding) @ unit(embedding).T) @ tau


def cosine_of_means(p, tau, embedding):
    a, b = p @ unit(embedding), tau @ unit(embedding)
    return 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def spoils_rows(p, tau, embedding):
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    return means(p, tau, embedding)


def clean(cost):
    found = np.sqrt(2 * np.clip(cost, 0, None))
    np.fill_diagonal(found, 0)
    return found


def entrywise(cost):
    return [[0.0 if i == j else max(2 * c, 0.0) ** 0.5 for j, c in enumerate(row)] for i, row in enumerate(cost)]


def chord_by_torch(cost):
    return torch.tensor(cost).clamp(min=0).mul(2).sqrt().fill_diagonal_(0).numpy()


def chord_in_place(cost):
    np.fill_diagonal(cost, 0)
    return clean(cost)


def slope(p, embedding, target, k):
    e = unit(embedding)
    return -p[k] / np.linalg.norm(embedding[k]) * (e[target] - (e[target] @ e[k]) * e[k])


def slope_by_projector(p, embedding, target, k):
    x, t = embedding[k], unit(embedding)[target]
    size = np.sqrt(x @ x)
    return -p[k] * (np.eye(len(x)) / size - np.outer(x, x) / size**3) @ t


def slope_by_autograd(p, embedding, target, k):
    e = torch.tensor(embedding, requires_grad=True)
    u = torch.nn.functional.normalize(e, dim=1)
    (torch.tensor(p) * (1 - u @ u[target])).sum().backward()
    return e.grad[k].numpy()


def slope_in_place(p, embedding, target, k):
    found = slope(p, embedding, target, k)
    embedding[k] -= found
    return found


def scaled(p, tau, cost, r, rounds):
    u, v = np.zeros(len(p)), np.zeros(len(tau))
    for _ in range(rounds):
        u = r * np.log(p) - r * logsumexp((v[None] - cost) / r, axis=1)
        v = r * np.log(tau) - r * logsumexp((u[:, None] - cost) / r, axis=0)
    return np.exp((u[:, None] + v[None] - cost) / r)


def on_log_plan(p, tau, cost, r, rounds):
    plan = -np.asarray(cost) / r
    for _ in range(rounds):
        plan = plan + (np.log(p) - logsumexp(plan, axis=1))[:, None]
        plan = plan + np.log(tau) - logsumexp(plan, axis=0)
    return np.exp(plan)


def sinkhorn_by_torch(p, tau, cost, r, rounds):
    a, b, plan = torch.tensor(p).log(), torch.tensor(tau).log(), -torch.tensor(cost) / r
    for _ in range(rounds):
        plan = plan + (a - plan.logsumexp(1)).unsqueeze(1)
        plan = plan + (b - plan.logsumexp(0)).unsqueeze(0)
    return plan.exp().numpy()


def overflows(p, tau, cost, r, rounds):
    k, v = np.exp(-cost / r), np.ones(len(tau))
    for _ in range(rounds):
        u = p / (k @ v)
        v = tau / (k.T @ u)
    return u[:, None] * k * v


def columns_first(p, tau, cost, r, rounds):
    return on_log_plan(tau, p, cost.T, r, rounds).T


RIGHT = {
    "5.1": [by_cosine, by_loop, by_torch],
    "5.2": [means, mean_of_torch, summed],
    "5.3": [clean, entrywise, chord_by_torch],
    "5.4": [slope, slope_by_projector, slope_by_autograd],
    "5.5": [scaled, on_log_plan, sinkhorn_by_torch],
}
WRONG = {
    "5.1": [silent, with_self, by_products, by_distance, farthest, spoils],
    "5.2": [
        with_matrix,
        cosine_of_means,
        spoils_rows,
        lambda p, tau, embedding: 1 - (p @ embedding) @ (tau @ embedding),
        lambda p, tau, embedding: 0.5 * ((p @ unit(embedding) - tau @ unit(embedding)) ** 2).sum(),
        lambda p, tau, embedding: 1 - ((p * tau) @ unit(embedding) ** 2).sum(),
        lambda p, tau, embedding: (p @ unit(embedding)) @ (tau @ unit(embedding)),
    ],
    "5.3": [
        chord_in_place,
        lambda cost: np.sqrt(np.clip(cost, 0, None)) * (1 - np.eye(len(cost))),
        lambda cost: np.sqrt(2 * cost),
        lambda cost: np.sqrt(2 * np.clip(cost, 0, None)),  # the diagonal keeps its rounding
        lambda cost: np.sqrt(2 * np.abs(cost)) * (1 - np.eye(len(cost))),
        lambda cost: np.arccos(np.clip(1 - cost, -1, 1)) * (1 - np.eye(len(cost))),
        lambda cost: 2 * clean(cost),
    ],
    "5.4": [
        slope_in_place,
        lambda p, embedding, target, k: -slope(p, embedding, target, k),
        lambda p, embedding, target, k: -p[k] * unit(embedding)[target],
        lambda p, embedding, target, k: slope(p, embedding, target, k) * np.linalg.norm(embedding[k]),
        lambda p, embedding, target, k: slope(p, embedding, target, k) / p[k],
        lambda p, embedding, target, k: slope(p, embedding, k, target),
        lambda p, embedding, target, k: slope(p, unit(embedding), target, k),
    ],
    "5.5": [
        overflows,
        columns_first,
        lambda p, tau, cost, r, rounds: on_log_plan(p, tau, cost, 1 / r, rounds),
        lambda p, tau, cost, r, rounds: on_log_plan(p, tau, -cost, r, rounds),
        lambda p, tau, cost, r, rounds: np.outer(p, tau),
        lambda p, tau, cost, r, rounds: on_log_plan(p, tau, cost, r, rounds + 1),
        lambda p, tau, cost, r, rounds: on_log_plan(p, tau, cost, r, 1),
    ],
}
