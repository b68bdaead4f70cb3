"""Objectives for soft labels: a distribution per token, such as a teacher's prediction, in place of the next token.

With a one-hot label transport has a closed form; here each token poses a problem to be solved, and five answers differ:
the exact distance, its upper bound by the product plan, two entropic ones, and the debiased score. Gradients are exact:
at the optimum the potentials are the gradient in p (Danskin's theorem); nothing is differentiated through a solver.
"""

import numpy as np
import torch

from .. import inputs, transport
from .objectives import _check_devices, _check_floats

NAMES = ("ce", "bound", "emd", "sinkhorn", "sinkhorn-divergence", "debiased")


def soft_objective(name, cost=None, regularisation=0.1, tolerance=1e-6):
    """A loss for soft labels by name: called on logits (N, V) and labels (N, V), it gives float64 losses (N,).

    Formula: "ce" A2, 0 where the label is 0 | "bound" A6, `p^T C tau` | "emd" A4, by linear program |
    "sinkhorn" D12, `min <plan, C> + r KL(plan || p tau^T)` | "sinkhorn-divergence" D12, less half of each side's own |
    "debiased" D9, `p^T C tau - ½ p^T C p - ½ tau^T C tau`. The tolerance is Sinkhorn's, for each probability. Labels
    narrower than float64 may miss 1 as `inputs.sum_tolerance` says, and are divided by their sum. A logit of -inf is a
    token without probability: "ce" is infinite where its label is above 0.
    Shape: cost (V, V), any array. Units: nats for "ce", else the cost's. The first four are never below 0, the last two
    (for the cosine cost) but for rounding and the tolerance.
    Raises ValueError for an unknown name, a cost that is missing, not square, negative or (where p meets itself) not
    symmetric, a regularisation or tolerance not above 0, labels that are no probabilities of the logits' shape on their
    device, and logits that are NaN or +inf or have no finite one; `SolverError` as `transport`.
    Source: Cuturi (2013); Feydy et al. (2019); Danskin (1967) for the gradient.
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
    return SoftObjective(name, cost, regularisation, tolerance)


class SoftObjective:
    """What `soft_objective` makes: a loss that can be called, copied and pickled."""

    def __init__(self, name, cost, regularisation, tolerance):
        self.name, self.cost, self.options = name, cost, (regularisation, tolerance)
        self._held = None  # the cost on the logits' device, moved there once

    def __getstate__(self):
        return self.__dict__ | {"_held": None}  # a pickle opens on a machine without that device

    def __call__(self, logits, labels):
        labels = self._checked(logits, labels)
        logits = logits.double()
        if self.name == "ce":  # 0 log 0 = 0; 0 - x, since -0 is no loss
            return 0.0 - torch.where(labels > 0, labels * logits.log_softmax(-1), 0.0).sum(-1)
        p = logits.softmax(-1)
        if self.name in ("bound", "debiased"):
            if self._held is None or self._held.device != p.device:
                self._held = torch.tensor(self.cost, device=p.device)
            return _bilinear(p, labels, self._held, self.name == "debiased")
        solved = p.detach().cpu().numpy(), labels.cpu().numpy()
        slope, rest = _potentials(self.name, *solved, self.cost, *self.options)
        value = (p * torch.from_numpy(slope).to(p.device)).sum(-1) + torch.from_numpy(rest).to(p.device)
        return value if self.name == "sinkhorn-divergence" else value - value.detach().clamp(max=0)  # of rounding

    def _checked(self, logits, labels):
        """The labels as a constant in float64, with sums of 1; on a GPU one wait for all that is asked."""
        _check_floats("logits", logits)
        if not isinstance(labels, torch.Tensor) or labels.is_complex():
            raise ValueError(f"labels must be a tensor of probabilities, got {type(labels).__name__}")
        if logits.ndim != 2 or logits.shape != labels.shape:
            shapes = f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)}"
            raise ValueError(f"{shapes} must have the same shape (N, V)")
        if self.cost is not None and len(self.cost) != logits.shape[1]:
            raise ValueError(f"logits have {logits.shape[1]} tokens, but the cost has {len(self.cost)}")
        _check_devices("logits", logits, labels=labels)
        if labels.numel() == 0:
            raise ValueError(f"labels is empty (shape {tuple(labels.shape)})")
        narrow = labels.is_floating_point() and labels.dtype != torch.float64
        eps = torch.finfo(labels.dtype).eps if narrow else 0.0
        tolerance, tau = inputs.sum_tolerance(labels.shape[1], eps), labels.detach().double()
        total, top = tau.sum(-1, keepdim=True), logits.detach().amax(-1)
        if not ((tau >= 0).all() & ((total - 1).abs() <= tolerance).all() & top.isfinite().all()):
            inputs.check_distributions("labels", tau.cpu().numpy(), tolerance)
            row = int((~top.isfinite()).nonzero()[0])
            why = "logits must be finite or -inf, and one of a row finite"
            raise ValueError(f"the largest of logits[{row}] is {top[row].item()}: {why}")
        return tau / total if narrow else tau


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
