"""Rows of lesson 09: D16, KL between classes and inside; D17, the gradient of a distance; D18, distances to one label at a time are not proper."""

import math

import numpy as np

from .. import costs, transport
from ..measure import oracle
from . import instances, references
from .core import Row, register


def _classed():
    """(p, tau, classes): no zero in p, zeros in tau."""
    rng = np.random.default_rng(16)
    for n, k in ((2, 1), (3, 2), (6, 3), (9, 9), (20, 5)):
        classes = np.append(np.arange(k), rng.integers(k, size=n - k))
        tau = instances.spread(rng, n, 0.3)
        yield instances.spread(rng, n), tau, classes
        yield (
            instances.spread(rng, n),
            np.where(classes == classes[0], tau, 0) / tau[classes == classes[0]].sum(),
            classes,
        )


def _kl(a, b):
    return math.fsum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)


def _two_parts(c):
    """Between and inside, class by class."""
    p, tau, classes = c
    groups = [np.flatnonzero(classes == k) for k in sorted(set(classes.tolist()))]
    between = _kl([math.fsum(tau[g]) for g in groups], [math.fsum(p[g]) for g in groups])
    inside = math.fsum(
        math.fsum(tau[g]) * _kl(tau[g] / tau[g].sum(), p[g] / p[g].sum()) for g in groups if tau[g].sum() > 0
    )
    return np.array([between, inside, _kl(tau, p)])


def _ours(c):
    between, inside = oracle.split_kl(np.log(c[0]), c[1], c[2])
    return np.array([between, inside, between + inside])


def _equal_weights(c):
    p, tau, classes = c
    groups = [np.flatnonzero(classes == k) for k in sorted(set(classes.tolist()))]
    between, _ = oracle.split_kl(np.log(p), tau, classes)
    inside = sum(_kl(tau[g] / tau[g].sum(), p[g] / p[g].sum()) / len(groups) for g in groups if tau[g].sum() > 0)
    return np.array([between, inside, between + inside])


register(
    Row(
        label="D16",
        name="between-and-inside-classes",
        statement=r"\mathrm{KL}(\tau\Vert p) = \mathrm{KL}(T\Vert P) + \sum_c T_c\,\mathrm{KL}\big(\tau(\cdot|c)\Vert p(\cdot|c)\big)",
        kind="identity",
        code=(oracle.split_kl,),
        reference="sums in Python",
        instances=lambda: list(_classed()),
        ours=_ours,
        independent=_two_parts,
        wrong=_equal_weights,
        mistake="weighs all classes alike",
        tolerance=1e-10,
        why="logarithms of sums of at most 20 terms",
    )
)


def _moves():
    """(p, q, tau, cost): every coordinate of tau and p has mass."""
    rng = np.random.default_rng(17)
    for n in (3, 5, 8):
        for _ in range(8):
            cost = costs.cosine(rng.normal(size=(n, 3)))
            yield *(0.9 * instances.spread(rng, n) + 0.1 / n for _ in range(3)), cost


register(
    Row(
        label="D17",
        name="potential-is-a-subgradient",
        statement=r"\mathrm{EMD}(q, \tau) \ge \mathrm{EMD}(p, \tau) + u\cdot(q - p), \quad u \text{ the potential of } (p, \tau)",
        kind="bound",
        code=(transport.emd,),
        reference="LP by HiGHS",
        instances=lambda: list(_moves()),
        ours=lambda c: (lambda solved: solved.value + solved.u @ (c[1] - c[0]))(transport.emd(c[0], c[2], c[3])),
        independent=lambda c: references.linear_program(c[1], c[2], c[3])[0],
        wrong=lambda c: (lambda solved: solved.value + solved.v @ (c[1] - c[0]))(transport.emd(c[0], c[2], c[3])),
        mistake="takes v, the prices at the label, for the gradient with respect to p",
        tolerance=1e-9,
        why="HiGHS keeps its constraints to 1e-10",
    )
)
STEP = 1e-6


def _along(c):
    """(solved at p, a direction of sum 0)."""
    return transport.emd(c[0], c[2], c[3]), c[1] - c[0]


def _one_step(c):
    ahead, behind = (transport.emd(c[0] + s * STEP * (c[1] - c[0]), c[2], c[3]).value for s in (1, -1))
    return (ahead - behind) / (2 * STEP)


register(
    Row(
        label="D17",
        name="potential-is-the-gradient",
        statement=r"\frac{d}{ds}\mathrm{EMD}(p + s\,x, \tau) = u\cdot x \text{ where the potential is unique},\ \sum_i x_i = 0",
        kind="identity",
        code=(transport.emd,),
        reference="difference of two distances",
        instances=lambda: list(_moves()),
        ours=lambda c: (lambda solved, x: solved.u @ x)(*_along(c)),
        independent=_one_step,
        wrong=lambda c: (lambda solved, x: solved.plan.sum(1) @ x)(*_along(c)),
        mistake="takes the plan's row sums for the gradient",
        tolerance=1e-9,
        why="the distance is linear in p between two kinks: a difference over 2e-6 keeps ten digits",
    )
)


def _majorities():
    """(p, two labels, the first one's share above one half, a metric cost)."""
    rng = np.random.default_rng(18)
    for n in (2, 3, 6):
        for share in (0.55, 0.8):
            for cost in (costs.zero_one(n), costs.ordinal(n)):
                for _ in range(3):
                    yield *(instances.spread(rng, n) for _ in range(3)), share, cost


def _mean_distance(at, c):
    _, first, second, share, cost = c
    return (
        share * references.linear_program(at, first, cost)[0]
        + (1 - share) * references.linear_program(at, second, cost)[0]
    )


register(
    Row(
        label="D18",
        name="the-majority-takes-all",
        statement=r"w > \tfrac12,\ c \text{ a metric} \Rightarrow w\,\mathrm{EMD}(p,\tau_1) + (1-w)\,\mathrm{EMD}(p,\tau_2) "
        r"\ge (1-w)\,\mathrm{EMD}(\tau_1,\tau_2) \text{, reached at } p = \tau_1",
        kind="bound",
        sense=">=",
        code=(transport.emd,),
        reference="LP by HiGHS at the first label",
        instances=lambda: list(_majorities()),
        ours=lambda c: (
            c[3] * transport.emd(c[0], c[1], c[4]).value + (1 - c[3]) * transport.emd(c[0], c[2], c[4]).value
        ),
        independent=lambda c: _mean_distance(c[1], c),
        wrong=lambda c: (
            c[3] * transport.emd(c[1], c[1], c[4]).value + (1 - c[3]) * transport.emd(c[1], c[2], c[4]).value
        ),
        wrong_independent=lambda c: _mean_distance(c[3] * c[1] + (1 - c[3]) * c[2], c),
        mistake="claims that the mean distance is least at the mean label",
        tolerance=1e-9,
        why="HiGHS keeps its constraints to 1e-10",
    )
)


def _three_labels():
    """(labels (3, 3), shares, cost): smoothed labels of the worked example's kind."""
    smooth = 0.8 * np.eye(3) + 0.2 / 3
    yield smooth, np.array([0.5, 0.3, 0.2]), costs.zero_one(3)
    yield smooth, np.array([0.6, 0.3, 0.1]), costs.ordinal(3)


def _gain(c, distance):
    """How much less the mean distance to the labels is at the best of them than at their mean."""
    labels, shares, cost = c
    at = [shares @ [distance(p, label, cost) for label in labels] for p in (*labels, shares @ labels)]
    return at[-1] - min(at[:-1])


register(
    Row(
        label="D18",
        name="mean-distance-is-not-proper",
        statement=r"\text{there are labels } \tau_k \text{ and shares } w_k \text{ with } "
        r"\sum_k w_k\,\mathrm{EMD}(p,\tau_k) < \sum_k w_k\,\mathrm{EMD}(\bar\tau,\tau_k),\ \bar\tau = \sum_k w_k\tau_k",
        kind="witness",
        code=(transport.emd,),
        reference="LP by HiGHS",
        instances=lambda: list(_three_labels()),
        ours=lambda c: _gain(c, lambda *a: transport.emd(*a).value),
        independent=lambda c: _gain(c, lambda *a: references.linear_program(*a)[0]),
        wrong=lambda c: _gain(c, transport.debiased),
        mistake="makes the same claim of the debiased score, which is least at the mean label",
        tolerance=1e-9,
        why="HiGHS keeps its constraints to 1e-10",
        threshold=0.01,
    )
)
