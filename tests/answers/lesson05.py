import itertools

import numpy as np

from tests.answers import in_place, unit


def cost_by_loop(embedding):
    n = len(embedding)
    cost = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        a, b = embedding[i], embedding[j]
        cost[i, j] = 1 - a @ b / np.sqrt(a @ a) / np.sqrt(b @ b)
    return cost


def by_sums(embedding):
    return embedding / abs(embedding).sum(1, keepdims=True)


def columns_divided(embedding):
    e = embedding / np.linalg.norm(embedding, axis=0)
    return 1 - e @ e.T


def bound_by_cost(p, tau, embedding):
    cost, d = cost_by_loop(embedding), p - tau
    return -0.5 * d @ cost @ d


def bound_normalised_means(p, tau, embedding):
    a, b = p @ unit(embedding), tau @ unit(embedding)
    return 0.5 * np.sum((a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2)


def excess_by_stopover(cost):
    return max((cost - cost[:, [j]] - cost[[j]]).max() for j in range(len(cost)))


def excess_over(cost, triples=lambda tokens, k: itertools.product(tokens, repeat=k)):
    return max(cost[i, k] - cost[i, j] - cost[j, k] for i, j, k in triples(range(len(cost)), 3))


def all_excesses(cost):
    return cost[:, None, :] - cost[:, :, None] - cost[None, :, :]


RIGHT = {
    "05.1": [cost_by_loop, lambda e: 0.5 * ((unit(e)[:, None] - unit(e)[None]) ** 2).sum(-1)],
    "05.2": [bound_by_cost, lambda p, tau, e: 0.5 * np.linalg.norm(p @ unit(e) - tau @ unit(e)) ** 2],
    "05.3": [excess_over, excess_by_stopover],
}
WRONG = [
    ("05.1", lambda e: 1 - by_sums(e) @ by_sums(e).T, "sum of the sizes"),
    ("05.1", lambda e: np.minimum(cost_by_loop(e), 1), "cut the cost off"),
    ("05.1", lambda e: 1 - e @ e.T, "lengths are still in it"),
    ("05.1", columns_divided, "columns"),
    ("05.1", in_place(cost_by_loop), "in place"),
    ("05.2", lambda p, tau, e: 1 - unit((p @ e)[None])[0] @ unit((tau @ e)[None])[0], "first every row is normalised"),
    ("05.2", lambda p, tau, e: -bound_by_cost(p, tau, e), "sign is reversed"),
    ("05.2", lambda p, tau, e: 0.5 * np.sum(((p - tau) @ e) ** 2), "not normalised"),
    ("05.2", bound_normalised_means, "normalised the means"),
    ("05.2", lambda p, tau, e: 1 - (p @ unit(e)) @ (tau @ unit(e)), "upper bound"),
    ("05.3", lambda c: excess_over(c, itertools.combinations), "i < j < k"),
    ("05.3", lambda c: -all_excesses(c).min(), "subtracted the direct way"),
    ("05.3", lambda c: excess_over(c, itertools.permutations), "repeats"),
    ("05.3", lambda c: (all_excesses(c) > 1e-12).sum(), "counts"),
    ("05.3", all_excesses, "largest one only"),
]
