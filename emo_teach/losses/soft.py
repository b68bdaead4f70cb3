"""Objectives for soft labels: a whole law per token, such as what a teacher says, in place of the one token that came.

With a one-hot label transport has a closed form; here it is a problem to be solved for each token, and five answers differ: the exact distance, its
upper bound by the product plan, two entropic ones, and the debiased score. `soft_objective` gives each as a function of logits and labels. Gradients
are exact: at the optimum the potentials are the gradient with respect to p (Danskin's theorem), and nothing is differentiated through a solver.
"""

import torch

from .. import inputs
from ..transport import SolverError

NAMES = ("ce", "bound", "emd", "sinkhorn", "sinkhorn-divergence", "debiased")
MOST = 5000  # turns of an iteration


def soft_objective(name, cost=None, regularisation=0.1, tolerance=1e-6):
    """A loss for soft labels by name: a function of logits (N, V) and labels (N, V) that gives the losses (N,), in float64.

    Formula: "ce" A2 | "bound" A6, `p^T C tau` | "emd" A4, by linear program | "sinkhorn" D12, `min <plan, C> + r KL(plan || p tau^T)` |
    "sinkhorn-divergence" D12, less half of each side's own | "debiased" D9, `p^T C tau - ½ p^T C p - ½ tau^T C tau`.
    Shape: cost (V, V), any array. Units: nats for "ce", else the cost's. `tolerance`: how well Sinkhorn's iteration meets each probability.
    Raises ValueError for an unknown name, a cost that is missing, not square, negative or (where p meets itself) not symmetric, a regularisation or
    tolerance not above 0, and labels that are no probabilities of the logits' shape; `SolverError` as `transport.emd`, and where Sinkhorn does not
    converge.
    Source: Cuturi (2013); Feydy et al., Interpolating between Optimal Transport and MMD (2019); Danskin (1967) for the gradient.
    """
    if name not in NAMES:
        raise ValueError(f"name = {name!r} is not one of {', '.join(NAMES)}")
    regularisation = inputs.number("regularisation", regularisation, low=0, open_low=True)
    tolerance = inputs.number("tolerance", tolerance, low=0, open_low=True)
    if name != "ce":
        cost = torch.tensor(inputs.square_cost("cost", cost))
        if (cost < 0).any():
            raise ValueError(f"cost must not be negative, found {float(cost.min()):g}")
        if name in ("sinkhorn-divergence", "debiased") and not torch.equal(cost, cost.T):
            raise ValueError("cost must be symmetric: the loss moves p to itself")

    def loss(logits, labels):
        logits, labels = _batch(logits, labels, cost)
        if name == "ce":
            return -(labels * logits.log_softmax(-1)).sum(-1)
        return _LINES[name](logits.softmax(-1), labels, cost.to(logits.device), regularisation, tolerance)

    return loss


def _batch(logits, labels, cost):
    if logits.ndim != 2 or logits.shape != labels.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} must have the same shape (N, V)"
        )
    if cost is not None and len(cost) != logits.shape[1]:
        raise ValueError(f"logits have {logits.shape[1]} tokens, but the cost has {len(cost)}")
    labels = labels.detach()
    inputs.distributions("labels", labels.cpu().numpy())
    return logits.double(), labels.double()


def _linear(p, slope, rest):
    """Value `p @ slope + rest` with `slope` a constant of the gradient."""
    return (p * slope.detach()).sum(-1) + rest.detach()


def _bound(p, labels, cost, *_):
    return (p * (labels @ cost.T)).sum(-1)


def _debiased(p, labels, cost, *_):
    return _bound(p, labels, cost) - 0.5 * _bound(p, p, cost) - 0.5 * _bound(labels, labels, cost)


def _emd(p, labels, cost, *_):
    from .. import transport

    solved = transport.emd_many(p.detach().cpu().numpy(), labels.cpu().numpy(), cost.cpu().numpy())
    return _linear(p, torch.from_numpy(solved.u).to(p.device), torch.zeros_like(p[:, 0]))


def _sinkhorn(p, labels, cost, regularisation, tolerance):
    f, g = potentials(p.detach(), labels, cost, regularisation, tolerance)
    return _linear(p, f, (labels * g).sum(-1))


def _divergence(p, labels, cost, regularisation, tolerance):
    f, g = potentials(p.detach(), labels, cost, regularisation, tolerance)
    own_p, own_labels = (own_potential(each, cost, regularisation, tolerance) for each in (p.detach(), labels))
    return _linear(p, f - own_p, (labels * (g - own_labels)).sum(-1))


_LINES = {
    "bound": _bound,
    "emd": _emd,
    "sinkhorn": _sinkhorn,
    "sinkhorn-divergence": _divergence,
    "debiased": _debiased,
}


def _kernel(cost, regularisation):
    kernel = torch.exp(-cost / regularisation)
    if (kernel == 0).any():
        raise SolverError(f"costs up to {float(cost.max()):g} underflow at regularisation {regularisation:g}")
    return kernel


def potentials(p, labels, cost, regularisation, tolerance=1e-6):
    """Entropic potentials of many problems that share a cost: `value = p @ f + labels @ g`, and f is the gradient with respect to p.

    Formula: D12's dual, `f_i = -r log sum_j labels_j exp((g_j - c_ij)/r)`, the same for g, in turns: Sinkhorn's iteration. One kernel serves all
    problems, so a turn is two products of matrices; POT solves such a batch with a kernel for each.
    Shape: p and labels (N, V), cost (V, V), returns two (N, V). Units: the cost's. Raises `SolverError` where the marginals are not met.
    Source: Cuturi (2013).
    """
    kernel, u, v = _kernel(cost, regularisation), None, torch.ones_like(labels)
    for _ in range(MOST):
        reach = (v * labels) @ kernel.T
        if (
            u is not None and (p * (u * reach - 1)).abs().max() <= tolerance
        ):  # the columns' masses are met, and the rows'
            return -regularisation * reach.log(), regularisation * v.log()
        u = 1 / reach
        v = 1 / ((u * p) @ kernel)
    raise SolverError(f"Sinkhorn at regularisation {regularisation:g} did not meet the marginals in {MOST} turns")


def own_potential(p, cost, regularisation, tolerance=1e-6):
    """The entropic potential from laws to themselves; half the value is `p @ f`, and f its gradient.

    Formula: as `potentials` with f = g; each turn goes half of the way, which converges in dozens where turns of two sides take thousands.
    Shape: p (N, V), a symmetric cost (V, V), returns (N, V). Units: the cost's. Raises `SolverError` as `potentials`. Source: Feydy et al. (2019).
    """
    kernel, u = _kernel(cost, regularisation), torch.ones_like(p)
    for _ in range(MOST):
        reach = (u * p) @ kernel
        if (p * (u * reach - 1)).abs().max() <= tolerance:
            return -regularisation * reach.log()
        u = (u / reach).sqrt()
    raise SolverError(f"Sinkhorn at regularisation {regularisation:g} did not meet the marginals in {MOST} turns")
