"""EMO made unbounded where the farthest token has all probability: the rule of archives/9098, applied to transport."""

import torch

TRANSFORMS = ("log", "odds", "atanh")


def transformed(logits, rows, kind):
    """`M psi(L/M)` per token, with L for EMO and `M = max_i c_it` for the cost of the farthest token.

    Formula: D14; psi(x) = -log(1-x) for "log", x/(1-x) for "odds", atanh x for "atanh": psi(0) = 0, psi'(0) = 1, psi(1) = infinity.
    `1 - x` is taken as `sum_i p_i (M - c_it)/M`, a sum without cancellation. Shape: logits (N, V), rows (N, V) of costs to each token's target,
    returns (N,). Units: the cost's. Raises ValueError for another kind or shapes that disagree.
    Source: the rule is that of https://spaces.ac.cn/archives/9098.
    """
    if kind not in TRANSFORMS:
        raise ValueError(f"kind = {kind!r} is not one of {', '.join(TRANSFORMS)}")
    if logits.ndim != 2 or logits.shape != rows.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and rows {tuple(rows.shape)} must have the same shape (N, V)")
    most = rows.amax(-1)
    left = ((most.unsqueeze(-1) - rows) * logits.softmax(-1)).sum(-1) / most
    left = left.clamp(min=torch.finfo(left.dtype).tiny)
    psi = {
        "log": lambda y: -torch.log(y),
        "odds": lambda y: (1 - y) / y,
        "atanh": lambda y: 0.5 * torch.log((2 - y) / y),
    }
    return most * psi[kind](left)
