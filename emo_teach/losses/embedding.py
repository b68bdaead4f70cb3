"""The cost between tokens, frozen: unit vectors of a pretrained embedding, held once and saved with the model."""

import torch

_BLOCK = 4096  # tokens at a time: few enough to stay near a core between two steps


class CostEmbedding(torch.nn.Module):
    """Unit vectors of all tokens, from which the cosine cost is read; nothing in it is trained.

    Formula: A8, `c_ij = 1 - <ê_i, ê_j>`, clamped at 0, with `c_tt` an exact 0. Shape: embedding (V, d). Units: none.
    `dtype` is how the vectors are kept (float16 halves the memory; the cost is then that of the rounded vectors, off by about 1e-4).
    It is a module with one buffer, so that a checkpoint carries it and `.to(device)` moves it.
    Raises ValueError for a tensor that requires grad (C3: a cost that learns shrinks to 0), for rows that are zero or not finite, and for
    anything that is not a floating-point (V, d) tensor.
    Source: https://spaces.ac.cn/archives/9797; the published code keeps a frozen copy of the head (github.com/DRSY/EMO).
    """

    def __init__(self, embedding, dtype=None):
        super().__init__()
        self.register_buffer("unit", _unit_rows(embedding, dtype))

    @property
    def size(self):
        """Number of tokens V."""
        return self.unit.shape[0]

    def check_vocabulary(self, size):
        """ValueError unless the logits have as many tokens as the embedding."""
        if size != self.size:
            raise ValueError(f"logits have {size} tokens, but the cost embedding has {self.size}: a padded vocabulary needs padded logits cut off")

    def rows(self, targets, dtype=torch.float32, out=None):
        """Cost from every token to each target, column by column; each distinct target is computed once: a product of V*U*d for U of them.

        Formula: A8. Shape: targets (k,), returns (V, k), written into `out` if given. Units: none. Raises IndexError for a target out of range.
        Source: this project.
        """
        distinct, where = targets.unique(return_inverse=True)
        if 8 * distinct.numel() > 7 * targets.numel():  # few repeats: columns of their own are cheaper than copying them out
            distinct, where = targets, None
        towards = self.unit[distinct].to(dtype).T
        cost = torch.empty(self.size, targets.numel(), dtype=dtype, device=self.unit.device) if out is None else out
        for start in range(0, self.size, _BLOCK):
            unit, piece = self.unit[start : start + _BLOCK].to(dtype), cost[start : start + _BLOCK]
            found = torch.mm(unit, towards, out=None if where is not None else piece).neg_().add_(1).clamp_(min=0)
            if where is not None:
                torch.index_select(found, 1, where, out=piece)
        cost[targets, torch.arange(targets.numel(), device=cost.device)] = 0
        return cost

    def vectors(self, dtype):
        """All unit vectors in a working type, shape (V, d).

        Formula: `ê_i = e_i/|e_i|`. Shape: (V, d). Units: none. Raises nothing. Source: this project.
        """
        return self.unit.to(dtype)


def _unit_rows(embedding, dtype):
    """The embedding's rows divided by their lengths, computed in float32 at least, kept in `dtype` (None: as computed)."""
    if dtype not in (None, torch.float16, torch.bfloat16, torch.float32, torch.float64):
        raise ValueError(f"dtype = {dtype!r} is not a floating-point type of torch")
    if not isinstance(embedding, torch.Tensor) or not embedding.is_floating_point() or embedding.ndim != 2 or 0 in embedding.shape:
        kind = f"{tuple(embedding.shape)} of {embedding.dtype}" if isinstance(embedding, torch.Tensor) else type(embedding).__name__
        raise ValueError(f"embedding must be a floating-point tensor of shape (V, d), got {kind}")
    if embedding.requires_grad:
        raise ValueError(
            "embedding requires grad: a cost that is trained along lets the model make all tokens alike and the loss 0. "
            "Pass a detached copy of the pretrained head, weight.detach().clone(), and leave it as it is"
        )
    kind = torch.promote_types(embedding.dtype, torch.float32)
    unit = torch.empty(embedding.shape, dtype=dtype or kind, device=embedding.device)
    for start in range(0, len(unit), _BLOCK):  # a block at a time: a head of 50,000 tokens is copied once, not three times
        rows = embedding.detach()[start : start + _BLOCK].to(kind)
        largest = rows.abs().amax(dim=1, keepdim=True)
        bad = ~torch.isfinite(largest) | (largest == 0)
        if bad.any():
            index = int(bad.flatten().nonzero()[0])
            what = "zero: it has no direction" if largest[index] == 0 else "not finite"
            raise ValueError(f"embedding[{start + index}] is {what}")
        rows = rows / largest
        unit[start : start + _BLOCK] = rows / rows.norm(dim=1, keepdim=True)
    return unit
