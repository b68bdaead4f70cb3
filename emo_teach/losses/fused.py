"""Loss and gradients straight from hidden states: the head's product, the loss and the gradient of the logits, a chunk of rows at a time.

The logits' gradient has a closed form (D1), so that a chunk is done with before the next begins and N x V numbers are never held. Counting products
of N x V x d: logits, gradient of the hidden states and gradient of the head make 3 for cross-entropy. EMO adds one for the rows of costs, or U/N of
one with U distinct targets, since rows of equal targets are equal: tokens are sorted by target, so that these meet in one chunk.
"""

import torch
from torch.autograd.function import once_differentiable

from .objectives import check_batch, check_labels
from .terms import Terms, working_type

CHUNK = 128  # rows at a time: large enough for the matrix products, small enough for V x CHUNK numbers to be cheap


def fused_loss(hidden, weight, labels, objective, bias=None, ignore_index=-100, reduction="mean", chunk=CHUNK):
    """The objective's loss of `hidden @ weight.T + bias`, without ever holding all logits; gradients come with it in one pass.

    Formula: the objective's; dL/dz_j from D1 and its cousins in closed form. Shape: hidden (..., d), weight (V, d), labels (...), bias (V,);
    returns a scalar. Units: nats. `chunk` rows are held at a time: memory is a few times chunk * V numbers, beside the gradients themselves.
    The gradients are handed over once: a second backward through the same loss, and gradients of gradients, raise RuntimeError.
    Raises ValueError for shapes that disagree, labels out of range, a vocabulary that does not match the cost, and for reduction "none", which
    would need the gradient of every token apart. Source: this project; the idea of fusing head and loss follows Liger Kernel (arXiv 2410.10989).
    """
    _check(hidden, weight, labels, objective, bias, reduction, chunk)
    keep = (labels != ignore_index).reshape(-1)
    kept = labels.reshape(-1)[keep]
    check_labels(kept, weight.shape[0])
    order = kept.argsort(stable=True)
    rows = hidden.reshape(-1, hidden.shape[-1])[keep.nonzero().squeeze(-1)[order]]
    scale = 1.0 if reduction == "sum" else 1.0 / max(kept.numel(), 1)
    needs = torch.is_grad_enabled()
    return _Fused.apply(rows, weight, bias, kept[order], objective, scale, chunk, needs)


def _check(hidden, weight, labels, objective, bias, reduction, chunk):
    check_batch(hidden, labels, reduction, name="hidden")
    if reduction == "none":
        raise ValueError(
            'reduction = "none" is not for the fused loss: gradients are summed over tokens as they are computed. Use objective(...)(logits, labels)'
        )
    if not isinstance(weight, torch.Tensor) or weight.ndim != 2 or weight.shape[1] != hidden.shape[-1]:
        raise ValueError(f"weight {tuple(getattr(weight, 'shape', ()))} must be (V, {hidden.shape[-1]}), as hidden has {hidden.shape[-1]} features")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(f"bias {tuple(bias.shape)} must be ({weight.shape[0]},)")
    if isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1:
        raise ValueError(f"chunk = {chunk!r} must be an integer of at least 1")
    if objective.cost is not None:
        objective.cost.check_vocabulary(weight.shape[0])


class _Fused(torch.autograd.Function):
    """Computes the gradients in the forward pass and hands them over in the backward one."""

    @staticmethod
    def forward(ctx, rows, weight, bias, labels, objective, scale, chunk, needs):
        kind = working_type(torch.promote_types(rows.dtype, weight.dtype))
        wanted = [needs and flag for flag in ctx.needs_input_grad[:3]]
        grads = [torch.zeros(x.shape, dtype=kind, device=x.device) if flag else None for x, flag in zip((rows, weight, bias), wanted, strict=True)]
        total = torch.zeros((), dtype=kind, device=rows.device)
        for start in range(0, len(labels), chunk):
            piece = slice(start, start + chunk)
            h, y = rows[piece], labels[piece]
            logits = weight @ h.T  # (V, rows): on a CPU nearly twice as fast as the other way round
            logits = logits.to(kind) if bias is None else logits.to(kind).add_(bias.to(kind).unsqueeze(1))
            losses, gradient = _losses_and_gradient(logits, y, objective, scale, any(wanted))
            total += losses.sum()
            if any(wanted):
                _spread(gradient, h, weight, grads, piece)
            del logits, gradient
        ctx.grads = [g if g is None else g.to(x.dtype) for g, x in zip(grads, (rows, weight, bias), strict=True)]
        return total * scale

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        if ctx.grads is None:
            raise RuntimeError("a second backward through one fused loss: its gradients were computed once and handed over; compute the loss again")
        grads, ctx.grads = ctx.grads, None
        return *(g if g is None else g.mul_(grad_output.to(g.dtype)) for g in grads), None, None, None, None, None


def _spread(gradient, h, weight, grads, piece):
    """Carry the logits' gradient (V, rows) to hidden states, head and bias."""
    kind, autocast = gradient.dtype, torch.is_autocast_enabled(gradient.device.type)
    small = gradient if autocast else gradient.to(weight.dtype)
    if grads[0] is not None:
        grads[0][piece] = (small.T @ weight).to(kind)
    if grads[1] is not None:
        if autocast or h.dtype != kind or small.dtype != kind:
            grads[1] += (small @ h.to(small.dtype)).to(kind)
        else:
            grads[1].addmm_(small, h)
    if grads[2] is not None:
        grads[2] += gradient.sum(1)


def _losses_and_gradient(logits, labels, objective, scale, wanted):
    """Losses (n,) of transposed logits (V, n), and the gradient of `scale * sum` on them; the logits' memory is used up."""
    n = torch.arange(len(labels), device=logits.device)
    z_target, top = logits[labels, n], logits.amax(0)
    uniform = top - logits.mean(0) if "uniform" in objective.needs else None
    weights = logits.sub_(top).exp_()
    w_target = weights[labels, n]
    weights[labels, n] = 0.0
    w_rest = weights.sum(0)
    total = w_rest + w_target
    certain = z_target == top
    ce = torch.where(certain, torch.log1p(w_rest), torch.log(total) + (top - z_target))
    p = weights.div_(total)  # of the wrong tokens; the target's entry is 0
    rest, p_target = w_rest / total, w_target / total
    parts = {"ce": ce, "rest": rest}
    if uniform is not None:
        parts["uniform"] = uniform + torch.log(total)
    cost, away = _transport_parts(p, rest, labels, n, objective, parts)
    losses, slope = _slopes(objective, parts, scale)
    if not wanted:
        return losses, None
    pull = slope["ce"] + slope["rest"] * p_target + slope["uniform"]
    return losses, _gradient(p, rest, p_target, labels, n, parts, slope, pull, cost, away)


def _transport_parts(p, rest, labels, n, objective, parts):
    """Add "emo" and "debiased" to `parts`; returns the costs (V, n) and the pulls `<ê_j, m_p - ê_t>` (V, n) that their gradients need."""
    cost = away = None
    if "emo" in objective.needs:
        targets, where = labels.unique(return_inverse=True)
        cost = objective.cost.rows(targets, p.dtype)
        if targets.numel() < labels.numel():
            cost = cost[:, where]
        parts["emo"] = torch.linalg.vecdot(p, cost, dim=0)
    if "debiased" in objective.needs:
        unit = objective.cost.vectors(p.dtype)
        toward = p.T @ unit - rest.unsqueeze(1) * unit[labels]  # m_p - ê_t, from the wrong tokens alone
        parts["debiased"] = 0.5 * (toward**2).sum(1)
        away = unit @ toward.T
    return cost, away


def _slopes(objective, parts, scale):
    """Losses per token, and the derivative of their scaled sum with respect to each part (0 where there is none)."""
    with torch.enable_grad():
        leaves = {name: value.detach().requires_grad_() for name, value in parts.items()}
        losses = objective.combine(Terms(**leaves))
        found = torch.autograd.grad(losses.sum() * scale, list(leaves.values()), allow_unused=True)
    slope = dict.fromkeys(("ce", "rest", "uniform", "emo", "debiased"), torch.zeros_like(parts["ce"]))
    slope |= {name: g for name, g in zip(leaves, found, strict=True) if g is not None}
    return losses.detach(), slope


def _gradient(p, rest, p_target, labels, n, parts, slope, pull, cost, away):
    """The logits' gradient (V, n), `p_j (pull + b (c_j - L) + e (g_j - mean g))`, with the target's entry put in without cancelling."""
    at_target = slope["uniform"] * p_target - (pull - slope["uniform"]) * rest
    factor = None
    if cost is not None:
        at_target = at_target - slope["emo"] * p_target * parts["emo"]
        factor = cost.mul_(slope["emo"]).add_(pull - slope["emo"] * parts["emo"])
    if away is not None:
        at_t = away[labels, n]
        mean = torch.linalg.vecdot(p, away, dim=0) + p_target * at_t
        at_target = at_target + slope["debiased"] * p_target * (at_t - mean)
        shifted = away.sub_(mean).mul_(slope["debiased"])
        factor = shifted.add_(pull) if factor is None else factor.add_(shifted)
    gradient = p.mul_(pull if factor is None else factor)
    gradient[labels, n] = at_target
    if "uniform" in parts:
        gradient -= slope["uniform"] / gradient.shape[0]
    return gradient
