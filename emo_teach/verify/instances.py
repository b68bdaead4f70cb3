"""Instances on which the formulas are tried: hard ones by hand (zeros, ties, corners, spikes), others by a seed."""

from dataclasses import dataclass

import numpy as np

from .. import costs

SEED = 9797


@dataclass(frozen=True, eq=False)
class Case:
    """One instance: model p and label tau (n,), a cost (n, n), the embedding (n, d) behind it or None, and a target."""

    name: str
    p: np.ndarray
    tau: np.ndarray
    cost: np.ndarray
    embedding: np.ndarray | None
    target: int

    @property
    def label(self):
        """The one-hot label of the target."""
        return one_hot(self.p.size, self.target)

    @property
    def problem(self):
        """The transport problem (p, tau, cost)."""
        return self.p, self.tau, self.cost

    @property
    def to_target(self):
        """The transport problem of the one-hot label."""
        return self.p, self.label, self.cost


def one_hot(n, target):
    """The distribution (n,) with all mass on one entry."""
    return np.eye(n)[target]


def spread(rng, n, concentration=1.0):
    """A distribution (n,) from the symmetric Dirichlet: spiky for small concentrations, down to exact zeros."""
    while True:
        p = rng.dirichlet(np.full(n, concentration))
        if abs(p.sum() - 1) < 1e-9:
            return p / p.sum()


def _without(p, places):
    p = p.copy()
    p[places] = 0.0
    return p / p.sum()


def pairs(large=True):
    """(name, p, tau): corners, zeros, ties, spikes, equal, disjoint and random ones; n from 1 to 30 (and 200)."""
    rng = np.random.default_rng(SEED)
    yield "one entry", np.ones(1), np.ones(1)
    yield "two entries", spread(rng, 2), spread(rng, 2)
    yield "opposite corners", one_hot(2, 0), one_hot(2, 1)
    yield "zeros", _without(spread(rng, 8), [0, 3, 7]), _without(spread(rng, 8), [3, 4])
    yield "ties", np.array([1, 1, 1, 1, 1, 1]) / 6, np.array([2, 0, 2, 0, 1, 1]) / 6
    yield "quarters", np.full(4, 0.25), np.full(4, 0.25)
    yield "one-hot p", one_hot(7, 2), spread(rng, 7)
    yield "one-hot tau", spread(rng, 7), one_hot(7, 6)
    yield "same one-hot", one_hot(5, 1), one_hot(5, 1)
    same = spread(rng, 9)
    yield "p = tau", same, same.copy()
    yield "disjoint supports", _without(spread(rng, 10), slice(0, 5)), _without(spread(rng, 10), slice(5, 10))
    for n in (6, 12, 20):
        yield f"spiky {n}", spread(rng, n, 0.01), spread(rng, n, 0.01)
    tiny = np.array([1e-12, 1e-12, 1.0, 3e-12, 0.0])
    yield "masses of 1e-12", tiny / tiny.sum(), (tiny / tiny.sum())[::-1].copy()
    for n in (2, 3, 5, 8, 13, 21, 30):
        yield f"random {n}", spread(rng, n), spread(rng, n, 0.5)
    if large:
        yield "random 200", spread(rng, 200), spread(rng, 200)


def _with_multiples(factor):
    """Random rows, and then the same rows times a factor."""

    def embedding(rng, n):
        rows = rng.normal(size=((n + 1) // 2, 3))
        return np.concatenate([rows, factor * rows])[:n]

    return embedding


EMBEDDINGS = {
    "few dimensions": lambda rng, n: rng.normal(size=(n, 3)),
    "many dimensions": lambda rng, n: rng.normal(size=(n, n + 3)),
    "repeated rows": _with_multiples(3.0),
    "opposite rows": _with_multiples(-0.5),
    "one dimension": lambda rng, n: rng.choice([-1.0, 1.0], size=(n, 1)) * rng.uniform(0.1, 9, size=(n, 1)),
    "lengths 1e-6 to 1e6": lambda rng, n: rng.normal(size=(n, 4)) * 10 ** rng.uniform(-6, 6, size=(n, 1)),
}
COSTS = {
    "0/1": lambda rng, n: costs.zero_one(n),
    "ranks": lambda rng, n: costs.ordinal(n),
    "squared ranks": lambda rng, n: costs.ordinal(n, 2) / n,
    "asymmetric": lambda rng, n: rng.uniform(0, 3, size=(n, n)),
    "negative entries": lambda rng, n: rng.normal(size=(n, n)),
    "constant": lambda rng, n: np.full((n, n), 0.7),
    "few values": lambda rng, n: rng.integers(0, 3, size=(n, n)).astype(float),
}


def _rotated(kinds, k, per_pair):
    """`per_pair` of the kinds, starting at another one for each pair, so that all meet all."""
    names = list(kinds)
    return [names[(per_pair * k + i) % len(names)] for i in range(per_pair)]


def token_cases(large=True, per_pair=2):
    """Cases with an embedding and its cosine cost."""
    rng = np.random.default_rng(SEED + 1)
    for k, (name, p, tau) in enumerate(pairs(large)):
        for kind in _rotated(EMBEDDINGS, k, per_pair):
            embedding = EMBEDDINGS[kind](rng, p.size)
            yield Case(f"{name}, {kind}", p, tau, costs.cosine(embedding), embedding, int(rng.integers(p.size)))
    fan = np.array([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    yield Case("fan", np.array([0.5, 0.3, 0.2]), np.array([0.5, 0.0, 0.5]), costs.cosine(fan), fan, 0)


def cost_cases(large=False, per_pair=3):
    """Cases with costs of every kind, cosine costs among them."""
    rng = np.random.default_rng(SEED + 2)
    for k, (name, p, tau) in enumerate(pairs(large)):
        for kind in _rotated(COSTS, k, per_pair):
            yield Case(f"{name}, {kind}", p, tau, COSTS[kind](rng, p.size), None, int(rng.integers(p.size)))
    yield from token_cases(large, per_pair=1)


def logit_cases(make=cost_cases):
    """(logits, case): models given by their logits, from flat to steep, in place of the cases' own p."""
    rng = np.random.default_rng(SEED + 3)
    for k, case in enumerate(make()):
        yield rng.normal(size=case.p.size) * (0.0, 1.0, 4.0, 12.0)[k % 4], case


def target_logits():
    """Logits of five tokens of which the first, the target, has from 1e-6 to nearly all of the mass."""
    rng = np.random.default_rng(SEED)
    for steep in (0.0, 1.0, -1.0, 5.0, 12.0, -14.0):
        yield np.concatenate([[steep], rng.normal(size=4)])
