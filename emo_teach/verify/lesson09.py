"""Rows of lesson 09: D16, KL between classes and inside; D17, gradients; D18, mean distances are not proper."""

import math

import numpy as np

from .. import costs, transport
from ..measure import oracle
from . import instances, references
from .core import row_maker

row = row_maker("09")
lp_row = row_maker("09", reference="LP by HiGHS", tolerance=1e-9)  # HiGHS keeps its constraints to 1e-10


def _classed():
    """(p, tau, classes): no zero in p, zeros in tau."""
    rng = np.random.default_rng(16)
    for n, k in ((2, 1), (3, 2), (6, 3), (9, 9), (20, 5)):
        classes = np.append(np.arange(k), rng.integers(k, size=n - k))
        tau = instances.spread(rng, n, 0.3)
        one_class = np.where(classes == classes[0], tau, 0) / tau[classes == classes[0]].sum()
        for label in (tau, one_class):
            yield instances.spread(rng, n), label, classes


def _kl(a, b):
    return math.fsum(x * math.log(x / y) for x, y in zip(a, b, strict=True) if x > 0)


def _two_parts(c, equal_weights=False):
    """Between, inside and their sum, class by class."""
    p, tau, classes = c
    groups = [np.flatnonzero(classes == k) for k in sorted(set(classes.tolist()))]
    shares, ours = [math.fsum(tau[g]) for g in groups], [math.fsum(p[g]) for g in groups]
    weights = [1 / len(groups)] * len(groups) if equal_weights else shares
    within = [_kl(tau[g] / tau[g].sum(), p[g] / p[g].sum()) if tau[g].sum() > 0 else 0.0 for g in groups]
    between, inside = _kl(shares, ours), math.fsum(w * k for w, k in zip(weights, within, strict=True))
    return between, inside, between + inside if equal_weights else _kl(tau, p)


row(
    r"D16 between-and-inside-classes: \mathrm{KL}(\tau\Vert p) = \mathrm{KL}(T\Vert P) + \sum_c "
    r"T_c\,\mathrm{KL}\big(\tau(\cdot|c)\Vert p(\cdot|c)\big)",
    dict(reference="sums in Python", tolerance=1e-10, instances=_classed),  # logarithms of sums of at most 20 terms
    ours=lambda c: [*(parts := oracle.split_kl(np.log(c[0]), c[1], c[2])), sum(parts)],
    independent=_two_parts,
    wrong=lambda c: _two_parts(c, equal_weights=True),
    mistake="weighs all classes alike",
)


def _moves():
    """(p, q, tau, cost): every coordinate of tau and p has mass."""
    rng = np.random.default_rng(17)
    for n in (3, 5, 8):
        for _ in range(8):
            cost = costs.cosine(rng.normal(size=(n, 3)))
            yield *(0.9 * instances.spread(rng, n) + 0.1 / n for _ in range(3)), cost


def _one_step(c):
    ahead, behind = (transport.emd(c[0] + step * (c[1] - c[0]), c[2], c[3]).value for step in (1e-6, -1e-6))
    return (ahead - behind) / 2e-6


lp_row(
    r"D17 potential-is-a-subgradient: \mathrm{EMD}(q, \tau) \ge \mathrm{EMD}(p, \tau) + u\cdot(q - p), "
    r"\quad u \text{ the potential of } (p, \tau)",
    dict(sense="<=", instances=_moves),
    ours=lambda c: (lambda solved: solved.value + solved.u @ (c[1] - c[0]))(transport.emd(c[0], c[2], c[3])),
    independent=lambda c: references.solved(c[1], c[2], c[3])[0],
    wrong=lambda c: (lambda solved: solved.value + solved.v @ (c[1] - c[0]))(transport.emd(c[0], c[2], c[3])),
    mistake="takes v, the prices at the label, for the gradient with respect to p",
)
row(
    r"D17 potential-is-the-gradient: \frac{d}{ds}\mathrm{EMD}(p + s\,x, "
    r"\tau) = u\cdot x \text{ where the potential is unique},\ \sum_i x_i = 0",
    dict(reference="difference of two distances", tolerance=1e-9, instances=_moves),  # steps of 1e-6
    ours=lambda c: transport.emd(c[0], *c[2:]).u @ (c[1] - c[0]),
    independent=_one_step,
    wrong=lambda c: transport.emd(c[0], *c[2:]).plan.sum(1) @ (c[1] - c[0]),
    mistake="takes the plan's row sums for the gradient",
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
    return share * references.solved(at, first, cost)[0] + (1 - share) * references.solved(at, second, cost)[0]


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


lp_row(
    r"D18 the-majority-takes-all: w > \tfrac12,\ c \text{ a metric} \Rightarrow w\,\mathrm{EMD}(p,\tau_1) + "
    r"(1-w)\,\mathrm{EMD}(p,\tau_2) \ge (1-w)\,\mathrm{EMD}(\tau_1,\tau_2) \text{, reached at } p = \tau_1",
    dict(reference="LP by HiGHS at the first label", sense=">=", instances=_majorities),
    ours=lambda c: c[3] * transport.emd(c[0], c[1], c[4]).value + (1 - c[3]) * transport.emd(c[0], c[2], c[4]).value,
    independent=lambda c: _mean_distance(c[1], c),
    wrong=lambda c: c[3] * transport.emd(c[1], c[1], c[4]).value + (1 - c[3]) * transport.emd(c[1], c[2], c[4]).value,
    wrong_independent=lambda c: _mean_distance(c[3] * c[1] + (1 - c[3]) * c[2], c),
    mistake="claims that the mean distance is least at the mean label",
)
lp_row(
    r"D18 mean-distance-is-not-proper: \text{there are labels } \tau_k \text{ and shares } w_k \text{ with } \sum_k "
    r"w_k\,\mathrm{EMD}(p,\tau_k) < \sum_k w_k\,\mathrm{EMD}(\bar\tau,\tau_k),\ \bar\tau = \sum_k w_k\tau_k",
    dict(threshold=0.01, instances=_three_labels),
    ours=lambda c: _gain(c, lambda *a: transport.emd(*a).value),
    independent=lambda c: _gain(c, lambda *a: references.solved(*a)[0]),
    wrong=lambda c: _gain(c, transport.debiased),
    mistake="makes the same claim of the debiased score, which is least at the mean label",
)


def _pairs():
    """(p, tau, cost): models and labels of up to 8 tokens, zeros among them."""
    rng = np.random.default_rng(170)
    for n in (3, 5, 8):
        cost = costs.cosine(rng.normal(size=(n, 3)))
        yield instances.spread(rng, n), instances.spread(rng, n), cost
        yield instances.spread(rng, n), instances.one_hot(n, 1), cost


def _values(c, names=("bound", "emd", "sinkhorn", "sinkhorn-divergence", "debiased")):
    import torch

    from ..losses import soft

    z, labels = torch.tensor(np.log(c[0]))[None], torch.tensor(c[1])[None]
    return np.array([soft.soft_objective(name, c[2], 0.3)(z, labels).item() for name in names])


def _values_in_numpy(c):
    blurred = transport.entropic(*c, 0.3)[0], transport.sinkhorn_divergence(*c, 0.3)
    return transport.product_bound(*c), references.solved(*c)[0], *blurred, transport.debiased(*c)


def _steps():
    """(logits, tau, cost, direction)."""
    rng = np.random.default_rng(171)
    for n in (3, 5, 8):
        logits, tau = rng.normal(size=n), 0.9 * instances.spread(rng, n) + 0.1 / n
        yield logits, tau, costs.cosine(rng.normal(size=(n, 3))), rng.normal(size=n)


def _numerical(c):
    """Derivatives of the functions in numpy along the direction."""
    logits, tau, cost, direction = c

    def along(s):
        p = references.softmax(logits + s * direction)
        return np.append(-tau @ np.log(p), np.delete(_values_in_numpy((p, tau, cost)), 1))

    return references.central_difference(along, 0.02)


def _slopes(c, own=1.0):
    """Gradients along the direction; the Sinkhorn divergence takes out the part `own` of p's own potential."""
    import torch

    from ..losses import soft

    found, labels = {}, torch.tensor(c[1])[None]
    for name in ("ce", "bound", "sinkhorn", "sinkhorn-divergence", "debiased"):
        z = torch.tensor(c[0])[None].requires_grad_()
        soft.soft_objective(name, c[2], 0.3, tolerance=1e-12)(z, labels).sum().backward()
        found[name] = z.grad[0].numpy() @ c[3]
    found["sinkhorn-divergence"] += (1 - own) * (found["sinkhorn"] - found["sinkhorn-divergence"])
    return np.array(list(found.values()))


row(
    r"D17 soft-objectives: p^\top C\tau,\ \mathrm{EMD},\ \mathrm{OT}_\varepsilon,\ S_\varepsilon,"
    r"\ p^\top C\tau - \tfrac12p^\top Cp - \tfrac12\tau^\top C\tau \text{ in torch}",
    dict(reference="the functions in numpy", tolerance=1e-9, instances=_pairs),  # Sinkhorn: marginals to 1e-6
    ours=_values,
    independent=_values_in_numpy,
    wrong=lambda c: _values(c, ("bound", "emd", "sinkhorn", "sinkhorn", "debiased")),
    mistake="leaves both sides' own cost in the Sinkhorn divergence",
)
row(
    r"D17 soft-objectives-gradient: \nabla_p\,\mathrm{OT}_\varepsilon(p,\tau) = f,"
    r"\quad \nabla_p\,S_\varepsilon(p,\tau) = f - f_p \text{ up to constants, the potentials of } (p,\tau), (p,p)",
    dict(reference="differences of sixth order", tolerance=1e-9, instances=_steps),  # Sinkhorn: to 1e-11
    ours=_slopes,
    independent=_numerical,
    wrong=lambda c: _slopes(c, own=0.5),
    mistake="leaves half of p's own potential in the Sinkhorn divergence",
)
