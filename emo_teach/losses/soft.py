"""Objectives for soft labels: a distribution per token, such as a teacher's prediction, in place of the next token.

With a one-hot label transport has a closed form; here each token poses a problem to be solved, and five answers differ:
the exact distance, its upper bound by the product plan, two entropic ones, and the debiased score. Gradients are exact:
at the optimum the potentials are the gradient in p (Danskin's theorem); nothing is differentiated through a solver.
"""

import numpy as np
import torch

from .. import inputs, transport

NAMES = ("ce", "bound", "emd", "sinkhorn", "sinkhorn-divergence", "debiased")


def soft_objective(name, cost=None, regularisation=0.1, tolerance=1e-6):
    """A loss for soft labels by name: a function of logits (N, V) and labels (N, V) that gives float64 losses (N,).

    Formula: "ce" A2 | "bound" A6, `p^T C tau` | "emd" A4, by linear program |
    "sinkhorn" D12, `min <plan, C> + r KL(plan || p tau^T)` | "sinkhorn-divergence" D12, less half of each side's own |
    "debiased" D9, `p^T C tau - ½ p^T C p - ½ tau^T C tau`. The tolerance is Sinkhorn's, for each probability.
    Shape: cost (V, V), any array. Units: nats for "ce", else the cost's.
    Raises ValueError for an unknown name, a cost that is missing, not square, negative or (where p meets itself) not
    symmetric, a regularisation or tolerance not above 0, and labels that are no probabilities of the logits' shape;
    `SolverError` as `transport`. Source: Cuturi (2013); Feydy et al. (2019); Danskin (1967) for the gradient.
    """
    if name not in NAMES:
        raise ValueError(f"name = {name!r} is not one of {', '.join(NAMES)}")
    regularisation = inputs.number("regularisation", regularisation, low=0, open_low=True)
    tolerance = inputs.number("tolerance", tolerance, low=0, open_low=True)
    if name != "ce":
        cost = inputs.square_cost("cost", cost)
        if (cost < 0).any():
            raise ValueError(f"cost must not be negative, found {cost.min():g}")
        if name in ("sinkhorn-divergence", "debiased") and not (cost == cost.T).all():
            raise ValueError("cost must be symmetric: the loss moves p to itself")

    def loss(logits, labels):
        if logits.ndim != 2 or logits.shape != labels.shape:
            shapes = f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)}"
            raise ValueError(f"{shapes} must have the same shape (N, V)")
        if cost is not None and len(cost) != logits.shape[1]:
            raise ValueError(f"logits have {logits.shape[1]} tokens, but the cost has {len(cost)}")
        tau = inputs.distributions("labels", labels.detach().cpu().numpy())
        logits, labels = logits.double(), labels.detach().double()
        if name == "ce":
            return -(labels * logits.log_softmax(-1)).sum(-1)
        p = logits.softmax(-1)
        if name in ("bound", "debiased"):
            return _bilinear(p, labels, torch.tensor(cost, device=p.device), name == "debiased")
        slope, rest = _potentials(name, p.detach().cpu().numpy(), tau, cost, regularisation, tolerance)
        return (p * torch.from_numpy(slope).to(p.device)).sum(-1) + torch.from_numpy(rest).to(p.device)

    return loss


def _bilinear(p, labels, cost, debiased):
    bound = (p * (labels @ cost.T)).sum(-1)
    if not debiased:
        return bound
    return bound - 0.5 * (p * (p @ cost.T)).sum(-1) - 0.5 * (labels * (labels @ cost.T)).sum(-1)


def _potentials(name, p, tau, cost, regularisation, tolerance):
    """Constants: the gradient in p (N, V), and the rest of the value (N,) in `value = p @ gradient + rest`."""
    if name == "emd":
        return transport.emd_many(p, tau, cost).u, np.zeros(len(p))
    f, g = transport.sinkhorn_potentials(p, tau, cost, regularisation, tolerance=tolerance)
    if name == "sinkhorn-divergence":
        f = f - transport.symmetric_potentials(p, cost, regularisation, tolerance=tolerance)[0]
        g = g - transport.symmetric_potentials(tau, cost, regularisation, tolerance=tolerance)[0]
    return f, (tau * g).sum(-1)
