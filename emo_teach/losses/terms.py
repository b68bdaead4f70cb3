"""What every objective is made of: a few numbers per token, computed so that none of them cancels.

Everything works on logits moved by their largest one, in float32 at least. The sum over *wrong* tokens is taken without the target, so that `1 - p_t`
and the cross-entropy of a nearly certain target keep all their digits.
"""

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Terms:
    """Per-token quantities, each of shape (N,), differentiable; those that an objective does not need are None.

    `ce` = -log p_t; `rest` = 1 - p_t; `emo` = sum_i p_i c_it (A9); `debiased` = ½|m_p - ê_t|² (D9); `uniform` = mean_i(-log p_i).
    """

    ce: torch.Tensor
    rest: torch.Tensor
    emo: torch.Tensor | None = None
    debiased: torch.Tensor | None = None
    uniform: torch.Tensor | None = None

    @property
    def p_target(self):
        """Probability of the target, exact to rounding at both ends."""
        return torch.where(self.rest < 0.5, 1 - self.rest, torch.exp(-self.ce))


def working_type(dtype):
    """float64 for float64, float32 for everything else."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def token_terms(logits, labels, needs=(), cost=None, averaged=False):
    """The terms of N tokens: cross-entropy and `1 - p_t` always, "emo", "debiased" and "uniform" when named in `needs`.

    Formula: A1, A9, D9. With `averaged` the EMO term averages the embedding first, over the wrong tokens alone: `L = (1 - p_t) - <m', ê_t>` with
    `m' = sum_{i != t} p_i ê_i`, both of the size of 1 - p_t; the form `1 - <m_p, ê_t>` would subtract two numbers near 1.
    Shape: logits (N, V), labels (N,) in 0..V-1; returns `Terms` of (N,). Units: nats for `ce` and `uniform`, the cosine cost's (none) for the others.
    Raises ValueError when a term needs a cost and none is given, and for a vocabulary that does not match.
    Source: https://spaces.ac.cn/archives/9797 for A9; the rest this project.
    """
    z = logits.to(working_type(logits.dtype))
    index = labels.unsqueeze(-1)
    top = z.detach().amax(dim=-1, keepdim=True)
    weights = torch.exp(z - top)
    w_target = weights.gather(-1, index).squeeze(-1)
    others = weights.scatter(-1, index, 0.0)
    w_rest = others.sum(-1)
    total = w_rest + w_target
    z_target, top = z.gather(-1, index).squeeze(-1), top.squeeze(-1)
    certain = z_target.detach() == top  # the target is the most likely token: its logarithm is that of a number near 1
    ce = torch.where(
        certain, torch.log1p(w_rest / torch.where(certain, w_target, 1.0)), torch.log(total) + (top - z_target)
    )
    rest = w_rest / total
    found = {}
    if "uniform" in needs:
        found["uniform"] = torch.log(total) + (top.unsqueeze(-1) - z).mean(-1)
    if {"emo", "debiased"} & set(needs):
        if cost is None:
            raise ValueError(f"cost is None, but {', '.join(needs)} needs a CostEmbedding")
        cost.check_vocabulary(z.shape[-1])
        with torch.autocast(z.device.type, enabled=False):  # its products would be bfloat16
            found |= _transport_terms(others, total, rest, labels, needs, cost, averaged)
    return Terms(ce, rest, **found)


def _transport_terms(others, total, rest, labels, needs, cost, averaged):
    """The "emo" and "debiased" terms from the wrong tokens' weights."""
    found = {}
    if "emo" in needs and not averaged:
        found["emo"] = (others / total.unsqueeze(-1) * cost.rows(labels, others.dtype).T).sum(-1)
    if "debiased" in needs or averaged:
        unit = cost.vectors(others.dtype)
        # divided by the whole mass, which is at least 1: dividing by the wrong tokens' mass would overflow in the gradient
        mean = others @ unit / total.unsqueeze(-1)
        toward = unit[labels]
        if "emo" in needs and averaged:
            found["emo"] = (rest - (mean * toward).sum(-1)).clamp(min=0)
        if "debiased" in needs:
            found["debiased"] = 0.5 * ((mean - rest.unsqueeze(-1) * toward) ** 2).sum(-1)
    return found
