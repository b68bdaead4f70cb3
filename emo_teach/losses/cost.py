"""The cost between tokens, frozen: unit vectors of a pretrained embedding, held once and saved with the model."""

import functools

import torch

# Tokens at a time: few enough to stay in the cache between two steps, and to leave no holes in the heap; a GPU wants
# few large kernels instead.
_BLOCK, _CUDA_BLOCK = 1024, 16384


class CostEmbedding(torch.nn.Module):
    """Unit vectors of all tokens, from which the cosine cost is read; nothing in it is trained.

    Formula: A8, `c_ij = 1 - <ê_i, ê_j>`, clamped at 0, with `c_tt` an exact 0. Shape: embedding (V, d). Units: none.
    A zero row, such as a padding token's, points nowhere: its ê is 0, so that it costs 1 to all tokens and to itself,
    and EMO with such a target is 1 whatever the model says.
    `dtype` is how the vectors are kept: float16 halves the memory, int8 (-127 to 127, and one over the row's length)
    quarters it. The cost is then that of the rounded directions; on a paragraph with SmolLM2-135M's head costs moved by
    up to 1.5e-4 and 4e-3, gradients by 5e-5 and 1.2e-3 of their size. Its buffers are saved with a checkpoint.
    Raises ValueError for a tensor that requires grad (C3: a cost that learns shrinks to 0), for rows that are not
    finite, when all rows are zero, and for anything that is not a floating-point (V, d) tensor.
    Source: https://spaces.ac.cn/archives/9797; the published code freezes a copy of the head (github.com/DRSY/EMO).
    """

    def __init__(self, embedding, dtype=None):
        super().__init__()
        _check(embedding, dtype)
        unit, scale = _unit_rows(embedding.detach(), dtype)
        self.register_buffer("unit", unit)
        self.register_buffer("scale", scale)  # (V,) for whole numbers, else None

    @property
    def size(self):
        """Number of tokens V."""
        return self.unit.shape[0]

    def check_vocabulary(self, size):
        """Raise ValueError unless the logits have as many tokens as the embedding."""
        if size != self.size:
            sizes = f"logits have {size} tokens, but the cost embedding has {self.size}"
            raise ValueError(f"{sizes}: a padded vocabulary needs padded logits cut off")

    @property
    def whole(self):
        """Whether the costs come from products of whole numbers, exact and several times as fast as float32's."""
        return self.unit.dtype == torch.int8 and self.unit.device.type == "cpu" and _multiplies_int8()

    def rows(self, targets, dtype=torch.float32):
        """Cost from every token to each target (k,), as columns (V, k); repeats are free."""
        distinct, where = targets.unique(return_inverse=True)
        piece = self.towards(distinct, dtype)
        cost = torch.empty(self.size, targets.numel(), dtype=dtype, device=self.unit.device)
        step = _CUDA_BLOCK if self.unit.is_cuda else _BLOCK
        for start in range(0, self.size, step):
            block = slice(start, start + step)
            torch.index_select(piece(block), 1, where, out=cost[block])
        return cost.scatter_(0, targets.unsqueeze(0), self.pointless(targets).to(dtype).unsqueeze(0))

    def towards(self, targets, dtype):
        """A function from a slice of the vocabulary to its costs (tokens, k), with a rounded 0 at a target."""
        there = self.unit[targets].T if self.whole else self.vectors(dtype, targets).T
        scale = -self.scale[targets].to(dtype) if self.whole else None
        one = torch.ones((), dtype=dtype, device=there.device)

        def piece(block, out=None):
            if self.whole:
                dots = torch._int_mm(self.unit[block], there)
                found = torch.mul(dots, self.scale[block].to(dtype).unsqueeze(1), out=out).mul_(scale).add_(1)
            else:
                found = torch.addmm(one, self.vectors(dtype, block), there, alpha=-1, out=out)
            return found.clamp_(min=0)

        return piece

    def pointless(self, targets):
        """Whether each target's row was zero, so that it points nowhere: True or False, (k,)."""
        return ~self.unit[targets].any(-1)

    def vectors(self, dtype, which=slice(None)):
        """Unit vectors `ê_i` (tokens, d) in a working type: of all tokens, or of a slice or tensor of them."""
        unit = self.unit[which].to(dtype)
        return unit if self.scale is None else unit * self.scale[which].to(dtype).unsqueeze(1)


@functools.cache
def _multiplies_int8():
    """Whether torch multiplies int8 matrices fast and exactly, as on x86 with VNNI; else sums may overflow 16 bits.

    Both functions are torch's own and may go: where one is missing, or large numbers come out wrong, floats are used.
    """
    if not hasattr(torch, "_int_mm") or not getattr(torch.cpu, "_is_vnni_supported", lambda: False)():
        return False
    large = torch.full((32, 768), 127, dtype=torch.int8)
    return all(bool((torch._int_mm(large, sign * large.T) == sign * 768 * 127**2).all()) for sign in (-1, 1))


def _check(embedding, dtype):
    if dtype not in (None, torch.int8, torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise ValueError(f"dtype = {dtype!r} is neither a floating-point type of torch nor torch.int8")
    tensor = isinstance(embedding, torch.Tensor)
    if not tensor or not embedding.is_floating_point() or embedding.ndim != 2 or 0 in embedding.shape:
        found = f"{tuple(embedding.shape)} of {embedding.dtype}" if tensor else type(embedding).__name__
        raise ValueError(f"embedding must be a floating-point tensor of shape (V, d), got {found}")
    if embedding.requires_grad:
        why = "a cost that is trained along lets the model make all tokens alike and the loss 0. Pass a detached copy"
        raise ValueError(f"embedding requires grad: {why} of the pretrained head, weight.detach().clone()")


def _unit_rows(embedding, dtype):
    """The rows divided by their lengths in float32 at least, kept in `dtype` (None: as it is), and a scale or None."""
    kind = torch.promote_types(embedding.dtype, torch.float32)
    unit = torch.empty(embedding.shape, dtype=dtype or kind, device=embedding.device)
    scale = torch.empty(len(unit), dtype=torch.float32, device=embedding.device) if dtype == torch.int8 else None
    all_zero = True
    for start in range(0, len(unit), _BLOCK):  # in blocks, so that a large head is copied once, not three times
        rows = embedding[start : start + _BLOCK].to(kind)
        largest = rows.abs().amax(dim=1, keepdim=True)
        if not torch.isfinite(largest).all():
            raise ValueError(f"embedding[{start + int((~torch.isfinite(largest)).nonzero()[0, 0])}] is not finite")
        zero = largest == 0
        all_zero = all_zero and bool(zero.all())
        rows = rows / largest.masked_fill(zero, 1)
        if scale is not None:
            rows = (127 * rows).round_()
            scale[start : start + _BLOCK] = (1 / rows.norm(dim=1)).masked_fill(zero.squeeze(1), 0)
        else:
            rows = rows / rows.norm(dim=1, keepdim=True).masked_fill(zero, 1)
        unit[start : start + _BLOCK] = rows
    if all_zero:
        raise ValueError("embedding: all rows are zero: no token has a direction")
    return unit, scale
