"""Rows of lessons 08 and 09 for torch objectives: D14, transforms of EMO, and D17, losses for soft labels with their gradients."""

import numpy as np
import torch

from .. import costs, transport
from ..losses import TRANSFORMS, soft, transformed
from . import instances, references
from .core import Row, register
from .torch_rest import STENCIL

PSI = {
    "log": lambda x: -np.log(1 - x),
    "odds": lambda x: x / (1 - x),
    "atanh": lambda x: 0.5 * (np.log(1 + x) - np.log(1 - x)),
}


def _gradient(loss, logits):
    z = torch.tensor(logits, requires_grad=True)
    return torch.autograd.grad(loss(z).sum(), z)[0].numpy()


def _of_transform(kind, logits, column):
    return _gradient(lambda z: transformed(z[None], torch.tensor(column)[None], kind), logits)


def _tried():
    """(logits, costs to the target (V,)): unsure models of 3 to 9 tokens."""
    rng = np.random.default_rng(14)
    for n in (3, 5, 9):
        for _ in range(4):
            target = int(rng.integers(n))
            column = rng.uniform(0.1, 1.5, size=n)
            column[target] = 0
            yield 2 * rng.normal(size=n), column


def _by_complex_step(c):
    logits, column = c
    most = column.max()
    return np.stack(
        [
            references.complex_step(lambda z, psi=psi: most * psi(references.softmax(z) @ column / most), logits)
            for psi in PSI.values()
        ]
    )


register(
    Row(
        label="D14",
        name="transform-gradient",
        statement=r"\nabla_z\, M\psi(L/M) = \psi'(L/M)\,\nabla_z L,\quad M = \max_i c_{it},\quad "
        r"\psi = -\log(1-x),\ \tfrac{x}{1-x},\ \operatorname{atanh} x",
        kind="identity",
        code=(transformed,),
        reference="complex step",
        instances=lambda: list(_tried()),
        ours=lambda c: np.stack([_of_transform(kind, *c) for kind in TRANSFORMS]),
        independent=_by_complex_step,
        wrong=lambda c: np.stack([_of_transform("log", *c)] * 3),
        mistake="takes -log(1-x) for all three",
        tolerance=1e-9,
        why="1/(1-x)^2 enlarges rounding where nearly all is far away",
    )
)


def _sure():
    """(where the other tokens' mass lies (V,), costs to target 0): nearly all is on one wrong token."""
    rng = np.random.default_rng(140)
    for n in (3, 6):
        q = np.append(instances.spread(rng, n - 1), 0.0)
        yield q, np.append(0.0, np.sort(rng.uniform(0.1, 1.5, size=n - 1)))


def _pull(kind, q, column, confident):
    """Pull on target 0 with all but 1e-12 of the mass on one token."""
    p = 1e-12 * q
    p[confident] += 1 - 1e-12
    with np.errstate(divide="ignore"):
        return -_of_transform(kind, np.maximum(np.log(p), -800.0), column)[0]


def _limit(c):
    """The claim: q_t M/(1 - q.c/M) where the farthest token is believed in, half of it for atanh, nothing elsewhere."""
    q, column = c
    most = column.max()
    full = q[0] * most / (1 - q @ column / most)
    return np.array([full, full / 2, 0.0, 0.0])


register(
    Row(
        label="D14",
        name="only-the-farthest-is-pushed",
        statement=r"p \to \delta_w:\ -\partial_{z_t} M\psi(L/M) \to \frac{q_t M}{1 - q\cdot c/M} \text{ if } c_{wt} = M\ (\psi = -\log(1-x)),"
        r"\quad 0 \text{ if } c_{wt} < M",
        kind="identity",
        code=(transformed,),
        reference="the limit by hand",
        instances=lambda: list(_sure()),
        ours=lambda c: np.array([_pull(kind, *c, confident) for confident in (-1, -2) for kind in ("log", "atanh")]),
        independent=_limit,
        wrong=lambda c: np.array([_pull(kind, *c, -1) for _ in range(2) for kind in ("log", "atanh")]),
        mistake="expects the pull back for every wrong token",
        tolerance=1e-9,
        why="1e-12 away from the corner the pull is within 1e-11 of its limit",
    )
)


def _pairs():
    """(p, tau, cost): models and labels of up to 8 tokens, zeros among them."""
    rng = np.random.default_rng(170)
    for n in (3, 5, 8):
        cost = costs.cosine(rng.normal(size=(n, 3)))
        yield instances.spread(rng, n), instances.spread(rng, n), cost
        yield instances.spread(rng, n), instances.one_hot(n, 1), cost


def _values(c, names=("bound", "emd", "sinkhorn", "sinkhorn-divergence", "debiased")):
    z, labels = torch.tensor(np.log(c[0]))[None], torch.tensor(c[1])[None]
    return np.array([soft.soft_objective(name, c[2], 0.3)(z, labels).item() for name in names])


register(
    Row(
        label="D17",
        name="soft-objectives",
        statement=r"p^\top C\tau,\ \mathrm{EMD},\ \mathrm{OT}_\varepsilon,\ S_\varepsilon,\ "
        r"p^\top C\tau - \tfrac12p^\top Cp - \tfrac12\tau^\top C\tau \text{ in torch}",
        kind="identity",
        code=(soft.soft_objective,),
        reference="the functions in numpy",
        instances=lambda: list(_pairs()),
        ours=_values,
        independent=lambda c: np.array(
            [
                transport.product_bound(*c),
                references.linear_program(*c)[0],
                transport.entropic(*c, 0.3)[0],
                transport.sinkhorn_divergence(*c, 0.3),
                transport.debiased(*c),
            ]
        ),
        wrong=lambda c: _values(c, ("bound", "emd", "sinkhorn", "sinkhorn", "debiased")),
        mistake="leaves both sides' own cost in the Sinkhorn divergence",
        tolerance=1e-9,
        why="Sinkhorn stops at marginals within 1e-6, and the value's error is of second order",
    )
)


def _steps():
    """(logits, tau, cost, direction)."""
    rng = np.random.default_rng(171)
    for n in (3, 5, 8):
        yield (
            rng.normal(size=n),
            0.9 * instances.spread(rng, n) + 0.1 / n,
            costs.cosine(rng.normal(size=(n, 3))),
            rng.normal(size=n),
        )


SMOOTH = ("ce", "bound", "sinkhorn", "sinkhorn-divergence", "debiased")


def _numerical(c):
    """Central differences of sixth order of the functions in numpy, along the direction."""
    logits, tau, cost, direction = c
    functions = (
        lambda p: -tau @ np.log(p),
        lambda p: transport.product_bound(p, tau, cost),
        lambda p: transport.entropic(p, tau, cost, 0.3)[0],
        lambda p: transport.sinkhorn_divergence(p, tau, cost, 0.3),
        lambda p: transport.debiased(p, tau, cost),
    )
    h = 0.02
    return np.array(
        [
            sum(
                w * sum(s * f(references.softmax(logits + s * k * h * direction)) for s in (1, -1)) / h
                for k, w in STENCIL.items()
            )
            for f in functions
        ]
    )


def _slopes(c, own=1.0):
    """The gradients along the direction; `own` is the part of p's own potential that the Sinkhorn divergence takes out."""
    z, labels = torch.tensor(c[0])[None], torch.tensor(c[1])[None]
    found = {}
    for name in SMOOTH:
        x = z.clone().requires_grad_()
        slope = torch.autograd.grad(soft.soft_objective(name, c[2], 0.3, tolerance=1e-12)(x, labels).sum(), x)[0][
            0
        ].numpy()
        found[name] = slope @ c[3]
    found["sinkhorn-divergence"] += (1 - own) * (found["sinkhorn"] - found["sinkhorn-divergence"])
    return np.array(list(found.values()))


register(
    Row(
        label="D17",
        name="soft-objectives-gradient",
        statement=r"\nabla_p\,\mathrm{OT}_\varepsilon(p,\tau) = f,\quad \nabla_p\,S_\varepsilon(p,\tau) = f - f_p \text{ up to constants, "
        r"the potentials of } (p,\tau), (p,p)",
        kind="identity",
        code=(soft.soft_objective, transport.sinkhorn_potentials, transport.symmetric_potentials),
        reference="differences of sixth order",
        instances=lambda: list(_steps()),
        ours=_slopes,
        independent=_numerical,
        wrong=lambda c: _slopes(c, own=0.5),
        mistake="leaves half of p's own potential in the Sinkhorn divergence",
        tolerance=1e-9,
        why="Sinkhorn stops at marginals within 1e-11; sixth-order differences at steps of 0.02 leave less",
    )
)
