"""Loss and gradients straight from hidden states: logits, loss and the logits' gradient, a chunk of rows at a time.

The logits' gradient has a closed form (D1), so that a chunk of rows is finished before the next begins and N x V
numbers are never held. Counting products of N x V x d: logits, gradient of the hidden states and gradient of the head
make 3 for cross-entropy. EMO adds one for the rows of costs, or U/N of one with U distinct targets, since rows of equal
targets are equal: tokens are sorted by target, so that these meet in one chunk.
"""

from itertools import pairwise

import torch
from torch.autograd.function import once_differentiable

from .objectives import Objective, Terms, _check_batch, _check_devices, _check_floats, _check_labels, _working_type

# Rows at a time, and tokens of the vocabulary at a time within them. On a CPU a block of BLOCK x CHUNK numbers stays in
# the cache while all elementwise steps pass over it, and rows in sixteens fill the vector units; a GPU wants few large
# kernels instead. Larger chunks touch the head's gradient less often.
CHUNK, CUDA_CHUNK = 512, 1024
BLOCK = 1024
SMALL = 2**21  # numbers (8 MiB): a smaller matrix of logits is not worth chunking


def fused_loss(hidden, weight, labels, objective, bias=None, ignore_index=-100, reduction="mean", chunk=None):
    """The objective's loss of `hidden @ weight.T + bias` with its gradients, without ever holding all logits.

    Formula: the objective's; dL/dz_j from D1 and its cousins in closed form.
    `chunk` rows are held at a time, in one matrix of chunk * V numbers beside the gradients: on a GPU 1024, on a CPU
    half of them, at most 512, and more for a small vocabulary. An objective with EMO keeps the costs to the distinct
    targets in a second one, unless `CostEmbedding.whole`: then multiplying twice costs less.
    Products are in float64 if an argument is, else in the type of autocast or of the arguments; gradients are added up
    in float32 and come in the arguments' types at the end, after the loss scale of float16.
    Shape: hidden (..., d), weight (V, d), labels (...), bias (V,); returns a scalar. Units: nats.
    Raises ValueError as an `Objective`, for arguments on different devices, and for reduction "none", which would need
    the gradient of every token apart; RuntimeError for a second backward through the same loss and for gradients of
    gradients.
    Source: derived from D1; the idea of fusing head and loss follows Liger Kernel (arXiv 2410.10989).
    """
    if torch.compiler.is_compiling():  # a graph cannot hold what depends on the labels: it breaks here, once
        return torch.compiler.disable(fused_loss)(
            hidden, weight, labels, objective, bias, ignore_index, reduction, chunk
        )
    _check(hidden, weight, labels, objective, bias, reduction, chunk)
    labels = labels.long().reshape(-1)
    place = (labels != ignore_index).nonzero().squeeze(-1)
    kept, order = labels[place].sort(stable=True)
    rows = hidden.reshape(-1, hidden.shape[-1]).index_select(0, place[order])
    chunk = chunk or (CUDA_CHUNK if hidden.is_cuda else _cpu_chunk(len(kept), weight.shape[0]))
    scale = 1.0 if reduction == "sum" else 1.0 / max(len(kept), 1)
    parts = _parts(kept, min(chunk, len(kept)), weight.shape[0])
    return _Fused.apply(rows, weight, bias, parts, objective, scale, torch.is_grad_enabled())


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
    _check_devices("hidden", hidden, weight=weight, bias=bias, cost=objective.cost and objective.cost.unit)
    if objective.cost is not None:
        objective.cost.check_vocabulary(weight.shape[0])


def _cpu_chunk(count, size):
    return max(min(CHUNK, 16 * -(-max(count, 1) // 32)), SMALL // size)


def _keeps_costs(objective):
    return "emo" in objective.needs and not objective.cost.whole


def _parts(labels, chunk, size):
    """Sorted labels in chunks: (labels (n,), those to find costs for (u,), the place of each among these (n,) or None).

    All that the program must know of a GPU's numbers is asked at once; each question waits for all work before it.
    """
    if not len(labels):
        return []
    first = torch.ones_like(labels, dtype=torch.bool)
    first[1:] = labels[1:] != labels[:-1]
    first[::chunk] = True
    group = first.cumsum(0) - 1
    distinct = torch.empty_like(labels).scatter_(0, group, labels)
    *starts, low, high = torch.cat([group[::chunk], group[-1:] + 1, labels[:1], labels[-1:]]).tolist()
    if low < 0 or high >= size:
        _check_labels(labels, size)
    pieces = zip(labels.split(chunk), pairwise(starts), group.split(chunk), strict=True)
    # few repeats: computing their costs again is cheaper than copying all of them
    return [
        (some, some, None) if 8 * (b - a) > 7 * len(some) else (some, distinct[a:b], g - a)
        for some, (a, b), g in pieces
    ]


class _Fused(torch.autograd.Function):
    """Computes the gradients in the forward pass and hands them over in the backward one."""

    @staticmethod
    def forward(ctx, rows, weight, bias, parts, objective, scale, needs):
        device = rows.device.type
        product = torch.promote_types(rows.dtype, weight.dtype)
        if torch.is_autocast_enabled(device) and product != torch.float64:
            product = torch.get_autocast_dtype(device)
        wanted = [needs and flag for flag in ctx.needs_input_grad[:3]]
        with torch.autocast(device, enabled=False):  # from here on every type is chosen by hand
            head = _Head(weight.to(product), bias, wanted, parts, len(rows), objective)
            pieces = zip(parts, rows.split(len(parts[0][0])), strict=True) if parts else ()
            losses, start = [], 0
            for part, h in pieces:
                losses.append(head.step(h.to(product), part, start, scale))
                start += len(h)
        ctx.grads, ctx.types = head.grads, [x is not None and x.dtype for x in (rows, weight, bias)]
        return (torch.cat(losses).sum() if losses else torch.zeros((), dtype=head.kind, device=rows.device)) * scale

    @staticmethod
    @once_differentiable
    def backward(ctx, grad_output):
        if ctx.grads is None:
            raise RuntimeError("a second backward through one fused loss: its gradients are gone; compute it again")
        grads, ctx.grads = ctx.grads, None
        if grad_output.is_cuda or grad_output != 1:  # to compare on a GPU would make the program wait
            grads = [g if g is None else g.mul_(grad_output) for g in grads]
        # only now in the parameters' type: a loss scale of 65536 is no number of float16, nor are gradients without it
        grads = [g if g is None else g.to(kind) for g, kind in zip(grads, ctx.types, strict=True)]
        return *grads, None, None, None, None


class _Head:
    """The output layer: buffers that every chunk reuses, and the gradients so far; what is V wide lies (V, rows)."""

    def __init__(self, weight, bias, wanted, parts, count, objective):
        self.weight, self.wanted, self.objective = weight, wanted, objective
        size, width = weight.shape
        self.kind, device = _working_type(weight.dtype), weight.device
        self.bias = bias if bias is None else bias.to(self.kind).unsqueeze(1)
        step = size if weight.is_cuda else BLOCK
        self.blocks = [slice(i, min(i + step, size)) for i in range(0, size, step)]
        columns = [max((len(labels) for labels, *_ in parts), default=0)]
        if _keeps_costs(objective):
            columns.append(max((len(distinct) for _, distinct, _ in parts), default=0))
        self.buffers = [torch.empty(size * n, dtype=self.kind, device=device) for n in columns]
        half = weight.dtype == torch.float16
        make = torch.empty if parts and not half else torch.zeros  # the first chunk writes, later ones add
        shapes = ((count, width), (size, width), (size,))
        pairs = zip(shapes, wanted, strict=True)
        self.grads = [make(shape, dtype=self.kind, device=device) if flag else None for shape, flag in pairs]
        if half and any(wanted):
            self.bound = torch.linalg.vector_norm(weight, torch.inf, dtype=self.kind).clamp_(min=columns[0]) / 2.0**15

    def step(self, h, part, start, scale):
        """Losses (n,) of one chunk of rows; adds its share to the gradients."""
        z, *costs = (x[: len(self.weight) * len(y)].view(-1, len(y)) for x, y in zip(self.buffers, part, strict=False))
        chunk = _Chunk(self, h, z, part, *costs)
        if not any(self.wanted):
            return self.objective.combine(Terms(**chunk.parts))
        losses, slope = _slopes(self.objective, chunk.parts, scale)
        self.spread(chunk.gradient(slope), h, start)
        return losses

    def logits(self, h, block, out):
        """A block's logits (tokens, n), in the layout that a CPU multiplies nearly twice as fast as `h @ weight.T`."""
        if self.weight.dtype == self.kind or (self.weight.dtype == torch.float16 and not self.weight.is_cuda):
            torch.mm(self.weight[block].to(self.kind), h.T.to(self.kind), out=out)  # few CPUs multiply float16 fast
        else:
            out.copy_(self.weight[block] @ h.T)
        return out if self.bias is None else out.add_(self.bias[block])

    def spread(self, gradient, h, start):
        """Carry the logits' gradient (V, n) to hidden states, head and bias."""
        first = start == 0
        if self.wanted[2]:
            self.grads[2] = gradient.sum(1) if first else self.grads[2].add_(gradient.sum(1))
        if self.weight.dtype == torch.float16:
            return self.spread_scaled(gradient, h, start)
        small = gradient.to(self.weight.dtype)
        if self.wanted[0]:
            self.grads[0][start : start + len(h)] = small.T @ self.weight
        if self.wanted[1] and small.dtype == self.kind:
            self.grads[1].addmm_(small, h, beta=0 if first else 1)
        elif self.wanted[1]:
            share = small @ h
            self.grads[1] = share.to(self.kind) if first else self.grads[1].add_(share)

    def spread_scaled(self, gradient, h, start):
        """The same by products of float16, whose numbers end at 65504 and thin out below 6e-5.

        With S the sum of a token's |gradient|, no entry of its first product exceeds S max|weight|: it is scaled to
        2^15 at most, and by 1/n more for n tokens of one target. Its hidden state takes that scale back in the second.
        """
        total = torch.linalg.vector_norm(gradient, 1, dim=0).clamp_(min=1e-30)  # so that no scale is 0
        scale = _power_of_2(total * self.bound)
        small = torch.div(gradient, scale, out=torch.empty_like(gradient, dtype=torch.float16))
        scale = scale.unsqueeze(1)
        if self.wanted[0]:
            self.grads[0][start : start + len(h)].copy_(small.T @ self.weight).mul_(scale)
        if self.wanted[1]:
            h = h * scale  # float32
            size = _power_of_2(torch.linalg.vector_norm(h, torch.inf).clamp_(min=1e-37))
            self.grads[1].addcmul_(small @ (h / size).half(), size)


def _power_of_2(x):
    """The power of 2 just above x: to divide by it rounds nothing away."""
    return x / torch.frexp(x).mantissa


class _Chunk:
    """Logits (V, n) of a few tokens on their way to losses and gradient; the logits' memory is used up.

    `parts` are the objective's terms, each (n,). The matrix holds the wrong tokens' `exp(z - top)`, `top` being the
    largest of their block of the vocabulary, and 0 at the target, so that nothing cancels; `below` is `exp(top - the
    largest of all)`, (blocks, n).
    """

    def __init__(self, head, h, z, part, costs=None):
        (self.labels, distinct, self.where), needs = part, head.objective.needs
        self.z, self.blocks, self.cost = z, head.blocks, head.objective.cost
        if "emo" in needs:
            self.towards, self.costs = self.cost.towards(distinct, z.dtype), costs
        self.insides = [slice(0, len(h))]
        if len(self.blocks) > 1:  # labels are sorted: those inside a block stand together
            edges = torch.tensor([*(block.start for block in self.blocks), len(z)])
            self.insides = [slice(a, b) for a, b in pairwise(torch.searchsorted(self.labels, edges).tolist())]
        tops, rests, sums, emos, targets, scratch = [], [], [], [], [], None
        for block, inside in zip(self.blocks, self.insides, strict=True):
            piece = head.logits(h, block, z[block])
            if "uniform" in needs:
                sums.append(piece.sum(0))
            index, columns = self._at_targets(block, inside)
            targets.append(columns.gather(0, index).squeeze(0))
            columns.scatter_(0, index, -torch.inf)  # so that its weight is an exact 0
            tops.append(piece.amax(0).clamp_(min=torch.finfo(z.dtype).min))
            rests.append(piece.sub_(tops[-1]).exp_().sum(0))
            if "emo" in needs:
                price = self._price(block, known=False)
                scratch = torch.empty_like(price) if scratch is None else scratch
                emos.append(torch.mul(piece, price, out=scratch[: len(piece)]).sum(0))
        tops, rests, sums, emos = (_rows(found) for found in (tops, rests, sums, emos))
        z_target = targets[0] if len(targets) == 1 else torch.cat(targets)
        top = torch.maximum(tops.amax(0), z_target)
        self.below, w_target = (tops - top).exp_(), torch.exp(z_target - top)
        w_rest = (rests * self.below).sum(0)
        total = w_rest + w_target
        gap = top - z_target  # of two infinities it is no number, and neither is the loss
        ce = torch.where(gap == 0, torch.log1p(w_rest), torch.log(total) + gap)
        self.shrink, self.rest, self.p_target = 1 / total, w_rest / total, w_target / total
        self.parts = {"ce": ce, "rest": self.rest}
        if "uniform" in needs:
            self.parts["uniform"] = torch.log(total) + (top - sums.sum(0) / len(z))
        if "emo" in needs:
            self.pointless = self.cost.pointless(self.labels)
            emo = (emos * self.below).sum(0) * self.shrink
            self.parts["emo"] = torch.where(self.pointless, 1.0, emo)
        if "debiased" in needs:
            self.parts["debiased"] = self._debiased()

    def _at_targets(self, block, inside):
        """Index of the targets inside a block, as `gather` and `scatter_` take it, and the columns they stand in."""
        return (self.labels[inside] - block.start).unsqueeze(0), self.z[block, inside]

    def _price(self, block, known):
        """The block's costs (tokens, n), by A8; those of equal targets are computed once."""
        out = self.costs if self.costs is None else self.costs[block]
        found = out if known and out is not None else self.towards(block, out=out)
        return found if self.where is None else found.index_select(1, self.where)

    def _debiased(self):
        """D9 from `m_p - ê_t`, the average of `ê_i - ê_t` over the wrong tokens."""
        self.at_t = self.cost.vectors(self.z.dtype, self.labels)
        pairs = zip(self.blocks, self.below.unsqueeze(2), strict=True)
        mean = sum((self.z[block].T @ self.cost.vectors(self.z.dtype, block)).mul_(below) for block, below in pairs)
        self.away = mean * self.shrink.unsqueeze(1) - self.rest.unsqueeze(1) * self.at_t
        return 0.5 * (self.away**2).sum(1)

    def gradient(self, slope):
        """The logits' gradient (V, n), `p_j (pull + b (c_j - L) + e (g_j - mean g))`; at the target nothing cancels."""
        pull = slope["ce"] + slope["rest"] * self.p_target + slope["uniform"]
        at_target = slope["uniform"] * self.p_target - (pull - slope["uniform"]) * self.rest
        if "emo" in self.parts:
            own = self.pointless.to(self.z.dtype)
            at_target = at_target + slope["emo"] * self.p_target * (own - self.parts["emo"])
            pull = pull - slope["emo"] * self.parts["emo"]
        if "debiased" in self.parts:
            g_target = (self.at_t * self.away).sum(1)
            mean = 2 * self.parts["debiased"] + g_target  # sum_j p_j g_j = <m_p, m_p - ê_t>
            at_target = at_target + slope["debiased"] * self.p_target * (g_target - mean)
            pull = pull - slope["debiased"] * mean
        for block, inside, below in zip(self.blocks, self.insides, self.below, strict=True):
            piece = self.z[block].mul_(self._factor(block, pull, slope, self.shrink * below))
            index, columns = self._at_targets(block, inside)
            columns.scatter_(0, index, at_target[inside].unsqueeze(0))
            if "uniform" in self.parts:
                piece.sub_(slope["uniform"] / len(self.z))
        return self.z

    def _factor(self, block, pull, slope, shrink):
        """What a wrong token's weight is multiplied by, (block, n) or (n,); `shrink` divides the weights' sum out."""
        factor = pull * shrink
        if "emo" in self.parts:
            factor = torch.addcmul(factor, self._price(block, known=True), slope["emo"] * shrink)
        if "debiased" in self.parts:
            away = self.away * (slope["debiased"] * shrink).unsqueeze(1)
            factor = self.cost.vectors(self.z.dtype, block) @ away.T + factor
        return factor


def _rows(found):
    """Vectors (n,) as a matrix, one without a copy; None stays None."""
    return torch.stack(found) if len(found) > 1 else found[0].unsqueeze(0) if found else None


def _slopes(objective, parts, scale):
    """Losses per token, and the derivative of their scaled sum with respect to each part (0 where there is none)."""
    with torch.enable_grad():
        leaves = {name: value.detach().requires_grad_() for name, value in parts.items()}
        losses = objective.combine(Terms(**leaves))
        found = torch.autograd.grad(losses.sum() * scale, list(leaves.values()), allow_unused=True)
    slope = dict.fromkeys(("ce", "rest", "uniform", "emo", "debiased"), torch.zeros_like(parts["ce"]))
    slope |= {name: g for name, g in zip(leaves, found, strict=True) if g is not None}
    return losses.detach(), slope
