"""Rows of lesson 06 for D11: the published update is no gradient of anything, and comes to rest away from the truth."""

import numpy as np
import torch

from .. import worked
from ..losses.cost import CostEmbedding
from ..losses.objectives import objective
from . import references
from .core import Row, register

TAU = np.array([0.5, 0.3, 0.2])  # how often each of the worked example's tokens comes next
MODES = (("emo-mode-1", {}), ("emo-mode-2", {}), ("emo-mode-1", {"detach_target": True}))
STEP = 0.01  # of the numerical derivative: its error is of order STEP ** 6, its rounding 1e-16 / STEP
STENCIL = {1: 45 / 60, 2: -9 / 60, 3: 1 / 60}  # central differences of sixth order
WHY = (
    "sixth-order differences at steps of 0.01: 1e-12; descent down to updates of 1e-13 over curvatures of at least 0.01"
)


def mean_update(name, logits, tau=TAU, embedding=worked.EMBEDDING, **options):
    """What an objective asks of the logits on average, when the next token is drawn from `tau`: the mean of its gradients.

    Formula: D11, `E_{t ~ tau} grad_z loss(z, t)`, weights under a stop-gradient held. Returns (V,). Raises ValueError
    for an unknown objective or option.
    """
    z = torch.tensor(np.tile(logits, (len(tau), 1)), dtype=torch.float64, requires_grad=True)
    cost = CostEmbedding(torch.tensor(embedding, dtype=torch.float64))
    losses = objective(name, cost, **options)(z, torch.arange(len(tau)), reduction="none")
    (losses @ torch.tensor(tau, dtype=torch.float64)).backward()
    return z.grad.sum(0).numpy()


def resting_point(name, tau=TAU, embedding=worked.EMBEDDING, rate=2.0, **options):
    """Where an objective's mean update comes to rest: plain descent from equal logits until nothing moves.

    Formula: D11, `z <- z - rate * mean_update(z)`. Returns the distribution softmax(z), (V,). Raises RuntimeError when
    it does not come to rest within 5,000 steps.

    >>> resting_point("ce").round(6).tolist()
    [0.5, 0.3, 0.2]
    """
    z = np.zeros(len(tau))
    for _ in range(5000):
        update = mean_update(name, z, tau, embedding, **options)
        if np.abs(update).max() < 1e-13:
            return references.softmax(z)
        z = z - rate * update
    raise RuntimeError(f"{name} has not come to rest within 5,000 steps")


def _field(name, z, detach_target=False):
    """The mean update in closed form, also of complex logits."""
    p = references.softmax(z)
    total = np.zeros_like(p)
    for t, share in enumerate(TAU):
        column, ce = worked.COST[:, t], -np.log(p[t])
        value = p @ column + (p[t] if detach_target else 0.0)
        of_ce, of_emo = p - np.eye(p.size)[t], p * (column - p @ column)
        total = total + share * (
            0.5 * (of_ce + ce / value * of_emo) if name == "emo-mode-1" else value / ce * of_ce + of_emo
        )
    return total


def _jacobian(name, z, options):
    """Slopes of the closed form by complex steps, (V, V)."""
    return np.array([references.complex_step(lambda x: _field(name, x, **options)[k], z) for k in range(z.size)])  # noqa: B023


def _root(c):
    """The resting point as a root of the closed form; logits count up to a constant, so that the first one stays 0."""
    from scipy.optimize import root

    name, options = c
    solved = root(lambda z: _field(name, np.append(0.0, z), **options)[1:], np.zeros(TAU.size - 1), tol=1e-13)
    if not solved.success:
        raise RuntimeError(f"scipy found no root for {name}: {solved.message}")
    return references.softmax(np.append(0.0, solved.x))


def _asymmetry(matrix):
    return np.abs(matrix - matrix.T).max()


def _numerical_slopes(name, options):
    z = np.log(worked.P)
    columns = []
    for axis in STEP * np.eye(z.size):
        columns.append(
            sum(
                w * (mean_update(name, z + k * axis, **options) - mean_update(name, z - k * axis, **options))
                for k, w in STENCIL.items()
            )
        )
    return np.stack(columns, axis=1) / STEP


register(
    Row(
        label="D11",
        name="update-is-no-gradient",
        statement=r"F = \mathbb E_{t\sim\tau} \nabla_z \text{ of the published loss}:"
        r"\ \partial F_i/\partial z_j \ne \partial F_j/\partial z_i, \text{ so that } F = \nabla \Phi \text{ for no } \Phi",
        kind="witness",
        code=(objective,),
        reference="complex step, closed form",
        instances=lambda: MODES[:2],
        ours=lambda c: _asymmetry(_numerical_slopes(*c)),
        independent=lambda c: _asymmetry(_jacobian(c[0], np.log(worked.P), c[1])),
        wrong=lambda c: _asymmetry(_numerical_slopes("ce+emo", {})),
        mistake="makes the same claim of CE + L, which is an objective",
        tolerance=1e-9,
        why=WHY,
        threshold=0.005,
    )
)
register(
    Row(
        label="D11",
        name="comes-to-rest",
        statement=r"F(z^*) = 0,\ p^* = \mathrm{softmax}(z^*): \text{ where the published update ends for } \tau = (.5, .3, .2)",
        kind="identity",
        code=(objective,),
        reference="root of the closed form",
        instances=lambda: MODES,
        ours=lambda c: np.append(
            resting_point(c[0], **c[1]), np.abs(mean_update(c[0], np.log(_root(c)), **c[1])).max()
        ),
        independent=lambda c: np.append(_root(c), 0.0),
        wrong=lambda c: np.append(TAU, np.abs(mean_update(c[0], np.log(TAU), **c[1])).max()),
        mistake="expects it to end at tau, as cross-entropy does",
        tolerance=1e-9,
        why=WHY,
    )
)


def _apart(p):
    return np.abs(p - TAU).sum() / 2


register(
    Row(
        label="D11",
        name="rests-away-from-the-truth",
        statement=r"\tfrac12 \sum_i |p^*_i - \tau_i| > 0 \text{ in both modes, with } p_t \text{ detached too}",
        kind="witness",
        code=(objective,),
        reference="root of the closed form",
        instances=lambda: MODES,
        ours=lambda c: _apart(resting_point(c[0], **c[1])),
        independent=lambda c: _apart(_root(c)),
        wrong=lambda c: _apart(resting_point("ce+debiased", rate=1.0)),
        mistake="makes the same claim of CE + the debiased score, which is proper",
        tolerance=1e-9,
        why=WHY,
        threshold=0.05,
    )
)
