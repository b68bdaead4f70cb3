"""Loss and gradients straight from hidden states: logits, loss and the logits' gradient, a chunk of rows at a time.

The logits' gradient has a closed form (D1), so that a chunk of rows is finished before the next begins and N x V
numbers are never held. Counting products of N x V x d: logits, gradient of the hidden states and gradient of the head
make 3 for cross-entropy. EMO adds one for the rows of costs, or U/N of one with U distinct targets, since rows of equal
targets are equal: tokens are sorted by target, so that these meet in one chunk.
"""

import torch
from torch.autograd.function import once_differentiable

from .objectives import Objective, Terms, _check_batch, _check_floats, _check_labels, _working_type

# Rows at a time, and tokens of the vocabulary at a time within them. On a CPU a block of BLOCK x CHUNK numbers stays in
# the cache while all elementwise steps pass over it, and rows in sixteens fill the vector units; a GPU wants few large
# kernels instead. Larger chunks touch the head's gradient less often; with the costs kept too, half as many rows fit.
CHUNK, CUDA_CHUNK = 384, 1024
BLOCK = 512
SMALL = 2**21  # numbers (8 MiB): a smaller matrix of logits is not worth chunking


def fused_loss(hidden, weight, labels, objective, bias=None, ignore_index=-100, reduction="mean", chunk=None):
    """The objective's loss of `hidden @ weight.T + bias` with its gradients, without ever holding all logits.

    Formula: the objective's; dL/dz_j from D1 and its cousins in closed form.
    `chunk` rows are held at a time (3/8 of them, at most 384; on a GPU 1024; more for a small vocabulary), in one
    matrix of chunk * V numbers beside the gradients. An objective with EMO keeps the costs in a second one, at most 192
    rows, unless `CostEmbedding.whole`: then multiplying twice costs less than keeping them.
    Shape: hidden (..., d), weight (V, d), labels (...), bias (V,); returns a scalar. Units: nats.
    Raises ValueError as an `Objective`, and for reduction "none", which would need the gradient of every token apart;
    RuntimeError for a second backward through the same loss and for gradients of gradients.
    Source: derived from D1; the idea of fusing head and loss follows Liger Kernel (arXiv 2410.10989).
    """
    _check(hidden, weight, labels, objective, bias, reduction, chunk)
    labels = labels.long()
    keep = (labels != ignore_index).reshape(-1)
    kept = labels.reshape(-1)[keep]
    _check_labels(kept, weight.shape[0])
    order = kept.argsort(stable=True)
    rows = hidden.reshape(-1, hidden.shape[-1])[keep.nonzero().squeeze(-1)[order]]
    scale = 1.0 if reduction == "sum" else 1.0 / max(kept.numel(), 1)
    chunk = chunk or (CUDA_CHUNK if hidden.is_cuda else _cpu_chunk(kept.numel(), weight.shape[0], objective))
    return _Fused.apply(rows, weight, bias, kept[order], objective, scale, chunk, torch.is_grad_enabled())


def _check(hidden, weight, labels, objective, bias, reduction, chunk):
    _check_batch(hidden, labels, reduction, name="hidden")
    if reduction == "none":
        why = "gradients are summed over tokens as they are computed. Use objective(...)(logits, labels)"
        raise ValueError(f'reduction = "none" is not for the fused loss: {why}')
    if not isinstance(objective, Objective):
        raise ValueError(f"objective must be made by `objective(name, ...)`, got {type(objective).__name__}")
    _check_floats("weight", weight)
    if bias is not None:
        _check_floats("bias", bias)
    width = hidden.shape[-1]
    if weight.ndim != 2 or weight.shape[1] != width:
        raise ValueError(f"weight {tuple(weight.shape)} must be (V, {width}), as hidden has {width} features")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(f"bias {tuple(bias.shape)} must be ({weight.shape[0]},)")
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, int) or chunk < 1):
        raise ValueError(f"chunk = {chunk!r} must be an integer of at least 1")
    if objective.cost is not None:
        objective.cost.check_vocabulary(weight.shape[0])


def _cpu_chunk(count, size, objective):
    rows = min(CHUNK // (1 + _keeps_costs(objective)), 16 * -(-3 * max(count, 1) // 128))
    return max(rows, SMALL // size)


def _keeps_costs(objective):
    return "emo" in objective.needs and not objective.cost.whole


class _Fused(torch.autograd.Function):
    """Computes the gradients in the forward pass and hands them over in the backward one."""

    @staticmethod
    def forward(ctx, rows, weight, bias, labels, objective, scale, chunk, needs):
        device = rows.device.type
        product = torch.promote_types(rows.dtype, weight.dtype)
        if torch.is_autocast_enabled(device):
            product = torch.get_autocast_dtype(device)
        wanted = [needs and flag for flag in ctx.needs_input_grad[:3]]
        with torch.autocast(device, enabled=False):  # from here on every type is chosen by hand
            head = _Head(weight.to(product), bias, wanted, len(labels), chunk, _keeps_costs(objective))
            losses = [
                head.step(rows[i : i + chunk].to(product), labels[i : i + chunk], i, objective, scale)
                for i in range(0, len(labels), chunk)
            ]
        ctx.grads = [g if g is None else g.to(x.dtype) for g, x in zip(head.grads, (rows, weight, bias), strict=True)]
        return (torch.cat(losses).sum() if losses else torch.zeros((), dtype=head.kind, device=rows.device)) * scale

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        if ctx.grads is None:
            raise RuntimeError("a second backward through one fused loss: its gradients are gone; compute it again")
        grads, ctx.grads = ctx.grads, None
        if grad_output.is_cuda or grad_output != 1:  # to compare on a GPU would make the program wait
            grads = [g if g is None else g.mul_(grad_output.to(g.dtype)) for g in grads]
        return *grads, None, None, None, None, None


class _Head:
    """The output layer: buffers that every chunk reuses, and the gradients so far; what is V wide lies (V, rows)."""

    def __init__(self, weight, bias, wanted, count, chunk, with_costs):
        self.weight, self.bias, self.wanted = weight, bias, wanted
        size, width = weight.shape
        self.kind, device = _working_type(weight.dtype), weight.device
        self.block = size if weight.is_cuda else BLOCK
        numbers = size * min(chunk, count)
        self.buffers = [torch.empty(numbers, dtype=self.kind, device=device) for _ in range(1 + with_costs)]
        make = torch.empty if count else torch.zeros  # the first chunk writes, later ones add
        shapes = ((count, width), (size, width), (size,))
        pairs = zip(shapes, wanted, strict=True)
        self.grads = [make(shape, dtype=self.kind, device=device) if flag else None for shape, flag in pairs]

    def step(self, h, labels, start, objective, scale):
        """Losses (n,) of one chunk of rows; adds its share to the gradients."""
        size = self.weight.shape[0]
        z, *costs = (buffer[: size * len(labels)].view(-1, len(labels)) for buffer in self.buffers)
        blocks = [slice(i, min(i + self.block, size)) for i in range(0, size, self.block)]
        chunk = _Chunk(self.logits(h, z), labels, blocks, objective, costs)
        losses, slope = _slopes(objective, chunk.parts, scale)
        if any(self.wanted):
            self.spread(chunk.gradient(slope), h, start)
        return losses

    def logits(self, h, z):
        """Logits (V, n) in the working type; on a CPU this layout is nearly twice as fast as `h @ weight.T`."""
        if self.weight.dtype == self.kind:
            torch.mm(self.weight, h.T, out=z)
        else:
            z.copy_(self.weight @ h.T)
        return z if self.bias is None else z.add_(self.bias.to(self.kind).unsqueeze(1))

    def spread(self, gradient, h, start):
        """Carry the logits' gradient (V, n) to hidden states, head and bias."""
        small, first = gradient.to(self.weight.dtype), start == 0
        if self.wanted[0]:
            self.grads[0][start : start + len(h)] = (small.T @ self.weight).to(self.kind)
        if self.wanted[1] and small.dtype == self.kind:
            self.grads[1].addmm_(small, h, beta=0 if first else 1)
        elif self.wanted[1]:
            share = small @ h
            self.grads[1] = share.to(self.kind) if first else self.grads[1].add_(share)
        if self.wanted[2]:
            self.grads[2] = gradient.sum(1) if first else self.grads[2].add_(gradient.sum(1))


class _Chunk:
    """Logits (V, n) of a few tokens on their way to losses and gradient; the logits' memory is used up.

    `parts` are the objective's terms, each (n,). The matrix holds `exp(z - max)` of the wrong tokens and 0 at the
    target, so that nothing cancels.
    """

    def __init__(self, z, labels, blocks, objective, costs):
        self.z, self.labels, self.blocks = z, labels, blocks
        self.n = torch.arange(len(labels), device=z.device)
        self.cost = objective.cost
        top = torch.stack([z[block].amax(0) for block in blocks]).amax(0)
        z_target = z[labels, self.n]
        mean = sum(z[block].sum(0) for block in blocks) / len(z) if "uniform" in objective.needs else None
        z[labels, self.n] = -torch.inf  # so that its weight is an exact 0
        w_rest = sum(z[block].sub_(top).exp_().sum(0) for block in blocks)
        w_target = torch.exp(z_target - top)
        total = w_rest + w_target
        ce = torch.where(z_target == top, torch.log1p(w_rest), torch.log(total) + (top - z_target))
        self.shrink, self.rest, self.p_target = 1 / total, w_rest / total, w_target / total
        self.parts = {"ce": ce, "rest": self.rest}
        if mean is not None:
            self.parts["uniform"] = torch.log(total) + (top - mean)
        if "emo" in objective.needs:
            self.parts["emo"] = self._emo(*costs)
        if "debiased" in objective.needs:
            self.parts["debiased"] = self._debiased()

    def _emo(self, buffer=None):
        """A9 by a row of costs per token: kept in the buffer for the gradient, or without one computed again there."""
        if buffer is None:  # the target's cost does not matter: its weight is 0
            self.costs = self.cost.pieces(self.labels, self.z.dtype)
        else:
            self.costs = self.cost.rows(self.labels, self.z.dtype, out=buffer).__getitem__
        return sum((self.z[block] * self.costs(block)).sum(0) for block in self.blocks) * self.shrink

    def _debiased(self):
        """D9 from `m_p - ê_t`, the average of `ê_i - ê_t` over the wrong tokens."""
        self.at_t = self.cost.vectors(self.z.dtype, self.labels)
        mean = sum(self.z[block].T @ self.cost.vectors(self.z.dtype, block) for block in self.blocks)
        self.away = mean * self.shrink.unsqueeze(1) - self.rest.unsqueeze(1) * self.at_t
        return 0.5 * (self.away**2).sum(1)

    def gradient(self, slope):
        """The logits' gradient (V, n), `p_j (pull + b (c_j - L) + e (g_j - mean g))`; at the target nothing cancels."""
        pull = slope["ce"] + slope["rest"] * self.p_target + slope["uniform"]
        at_target = slope["uniform"] * self.p_target - (pull - slope["uniform"]) * self.rest
        if "emo" in self.parts:
            at_target = at_target - slope["emo"] * self.p_target * self.parts["emo"]
            pull = pull - slope["emo"] * self.parts["emo"]
        if "debiased" in self.parts:
            g_target = (self.at_t * self.away).sum(1)
            mean = 2 * self.parts["debiased"] + g_target  # sum_j p_j g_j = <m_p, m_p - ê_t>
            at_target = at_target + slope["debiased"] * self.p_target * (g_target - mean)
            pull = pull - slope["debiased"] * mean
        for block in self.blocks:
            self.z[block].mul_(self._factor(block, pull, slope))
        self.z[self.labels, self.n] = at_target
        return self.z.sub_(slope["uniform"] / len(self.z)) if "uniform" in self.parts else self.z

    def _factor(self, block, pull, slope):
        """What a wrong token's weight is multiplied by, (block, n) or (n,); the weights' sum is divided out here."""
        factor = pull * self.shrink
        if "emo" in self.parts:
            factor = torch.addcmul(factor, self.costs(block), slope["emo"] * self.shrink)
        if "debiased" in self.parts:
            away = self.away * (slope["debiased"] * self.shrink).unsqueeze(1)
            factor = self.cost.vectors(self.z.dtype, block) @ away.T + factor
        return factor


def _slopes(objective, parts, scale):
    """Losses per token, and the derivative of their scaled sum with respect to each part (0 where there is none)."""
    with torch.enable_grad():
        leaves = {name: value.detach().requires_grad_() for name, value in parts.items()}
        losses = objective.combine(Terms(**leaves))
        found = torch.autograd.grad(losses.sum() * scale, list(leaves.values()), allow_unused=True)
    slope = dict.fromkeys(("ce", "rest", "uniform", "emo", "debiased"), torch.zeros_like(parts["ce"]))
    slope |= {name: g for name, g in zip(leaves, found, strict=True) if g is not None}
    return losses.detach(), slope
