"""Planted answers to the exercises of lesson 04."""

import numpy as np

from emo_teach import transport


def loop(p, cost, target):
    return sum(p[i] * cost[i, target] for i in range(len(p)))


def by_linear_program(p, cost, target):
    return transport.emd(p, np.eye(len(p))[target], cost).value


def bound_by_rows(p, tau, cost):
    return [a @ cost @ b for a, b in zip(p, tau, strict=True)]


def bound_with_one_plan(p, tau, cost):
    return [(np.outer(a, b) * cost).sum() for a, b in zip(p, tau, strict=True)]


def first_by_loop(tau, cost):
    means = [sum(cost[i, j] * tau[j] for j in range(len(tau))) for i in range(len(tau))]
    return means.index(min(means))


def last_of_tie(tau, cost):
    mean = cost @ tau
    return np.flatnonzero(mean == mean.min())[-1]


RIGHT = {
    "04.1": [loop, by_linear_program, lambda p, cost, t: np.sum(p * cost[:, t])],
    "04.2": [
        bound_by_rows,
        lambda p, tau, cost: np.einsum("mi,ij,mj->m", p, cost, tau),
        lambda p, tau, cost: (p * (tau @ cost.T)).sum(-1),
    ],
    "04.3": [first_by_loop, lambda tau, cost: int((cost * tau).sum(1).argmin())],
}
WRONG = [
    ("04.1", lambda p, cost, t: cost[t] @ p, "column"),
    ("04.1", lambda p, cost, t: 1 - p[t], "A7"),
    ("04.1", lambda p, cost, t: p * cost[:, t], "sum"),
    ("04.1", lambda p, cost, t: cost[:, t].sum(), "not weighed"),
    ("04.1", lambda p, cost, t: -p @ cost[:, t], "on paper"),
    ("04.2", lambda p, tau, cost: p @ cost @ tau.T, "(m, m)"),
    ("04.2", lambda p, tau, cost: ((tau @ cost) * p).sum(-1), "swapped"),
    ("04.2", lambda p, tau, cost: ((p @ cost) * tau).sum(), "single number"),
    ("04.2", lambda p, tau, cost: transport.emd_many(p, tau, cost).value, "A4"),
    ("04.2", bound_with_one_plan, "plan"),
    ("04.3", lambda tau, cost: np.argmin(np.where(tau > 0, cost @ tau, np.inf)), "tau_i > 0"),
    ("04.3", lambda tau, cost: np.argmin(tau @ cost), "wrong index"),
    ("04.3", lambda tau, cost: np.min(cost @ tau), "expected an index"),
    ("04.3", lambda tau, cost: np.argmin(cost.mean(1)), "evenly"),
    ("04.3", last_of_tie, "first"),
]
