"""The objectives: one line each, over a few numbers per token.

`token_terms` computes those numbers so that none of them cancels: logits are moved by their largest one, all work is in
float32 at least, and the sum over *wrong* tokens is taken without the target, so that `1 - p_t` and the cross-entropy
of a nearly certain target keep all their digits.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import torch

from .. import inputs
from .cost import CostEmbedding

REDUCTIONS = ("mean", "sum", "none")


@dataclass(frozen=True)
class Terms:
    """Per-token quantities, each of shape (N,), differentiable; those that an objective does not need are None.

    `ce` = -log p_t; `rest` = 1 - p_t; `emo` = sum_i p_i c_it (A9); `debiased` = ½|m_p - ê_t|² (D9); `uniform` =
    mean_i(-log p_i).
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


def token_terms(logits, labels, needs=(), cost=None, averaged=False):
    """The terms of N tokens: cross-entropy and `1 - p_t` always, "emo", "debiased" and "uniform" when named in `needs`.

    Formula: A1, A9, D9. With `averaged` the EMO term averages the embedding first, over the wrong tokens alone: `L = (1
    - p_t) - <m', ê_t>` with `m' = sum_{i != t} p_i ê_i`, both of the size of 1 - p_t; the form `1 - <m_p, ê_t>` would
    subtract two numbers near 1.
    Shape: logits (N, V), labels (N,) in 0..V-1; returns `Terms` of (N,). Units: nats for `ce` and `uniform`, none for
    the others. Raises ValueError when a term lacks its cost or the vocabularies differ.
    Source: https://spaces.ac.cn/archives/9797 for A9; D9 in the appendix.
    """
    z = logits.to(_working_type(logits.dtype))
    index = labels.unsqueeze(-1)
    top = z.detach().amax(dim=-1, keepdim=True)
    weights = torch.exp(z - top)
    w_target = weights.gather(-1, index).squeeze(-1)
    others = weights.scatter(-1, index, 0.0)
    w_rest = others.sum(-1)
    total = w_rest + w_target
    z_target, top = z.gather(-1, index).squeeze(-1), top.squeeze(-1)
    certain = z_target.detach() == top  # the target is the most likely token: its logarithm is that of a number near 1
    near = torch.log1p(w_rest / torch.where(certain, w_target, 1.0))
    ce, rest = torch.where(certain, near, torch.log(total) + (top - z_target)), w_rest / total
    found = {}
    if "uniform" in needs:
        found["uniform"] = torch.log(total) + (top.unsqueeze(-1) - z).mean(-1)
    if {"emo", "debiased"} & set(needs):
        if cost is None:
            raise ValueError(f"cost is None, but {', '.join(needs)} needs a CostEmbedding")
        _check_devices("logits", z, cost=cost.unit)
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
        # the whole mass is at least 1: dividing by the wrong tokens' mass would overflow in the gradient
        mean, toward = others @ unit / total.unsqueeze(-1), unit[labels]
        if "emo" in needs and averaged:
            found["emo"] = (rest - (mean * toward).sum(-1)).clamp(min=0)
        if "debiased" in needs:
            found["debiased"] = 0.5 * ((mean - rest.unsqueeze(-1) * toward) ** 2).sum(-1)
    if "emo" in found:  # the target's own cost is 0, but 1 for a zero row: then L = 1 - <m_p, 0>
        found["emo"] = torch.where(cost.pointless(labels), 1.0, found["emo"])
    return found


def _working_type(dtype):
    """float64 for float64, float32 for everything else."""
    return torch.float64 if dtype == torch.float64 else torch.float32


# ---- the objectives that need more than a line of `_DEFINITIONS`: functions of the terms `t` and of options


def _overconfidence(t, gamma):
    if gamma == 0:
        return t.ce
    lost = (1 - gamma) * t.rest  # the argument of the logarithm is 1 - lost
    near = torch.log1p(-lost.clamp(max=0.5))
    far = torch.logaddexp(torch.full_like(t.ce, math.log(gamma)), math.log1p(-gamma) - t.ce)
    return -torch.where(lost < 0.5, near, far) / (1 - gamma)


def _tailr(t, gamma, floor):
    p = t.p_target.detach()
    mixed = gamma + (1 - gamma) * p
    share = torch.where(mixed > 0, p / mixed, 1.0)  # with gamma = 0 it is 1 throughout, also where p underflows
    return _weighted(share.clamp(min=floor, max=1), t.ce)


def _mixce(t, eta):
    return _weighted(eta + (1 - eta) * t.p_target.detach(), t.ce)


def _smoothing(t, epsilon):
    if epsilon in (0, 1):  # a weight of 0 counts for nothing, also where the other side is infinite
        return t.uniform if epsilon else t.ce
    return (1 - epsilon) * t.ce + epsilon * t.uniform


def _mode_1(t, detach_target, clip):
    value = _published_value(t, detach_target)
    return 0.5 * (t.ce + _ratio(t.ce, value).clamp(max=clip or math.inf) * value)


def _mode_2(t, detach_target):
    value = _published_value(t, detach_target)
    scaled = torch.where(t.ce == math.inf, value.detach(), _ratio(value, t.ce) * t.ce)
    return scaled + value


def _published_value(t, detach_target):
    """The published files' EMO term: with the target's probability detached it is L + p_t, its gradient the same."""
    return t.emo + t.p_target.detach() if detach_target else t.emo


def _weighted(weight, ce):
    """`weight * ce`, with its limit 0 where an impossible target makes the weight 0 and the cross-entropy infinite."""
    return torch.where(weight == 0, 0.0, weight * ce)


def _ratio(a, b):
    """a / b as a constant of the gradient, finite: 0 where b is 0, at most the type's largest number."""
    a, b = a.detach(), b.detach()
    return torch.where(b > 0, a / torch.where(b > 0, b, 1.0), 0.0).clamp(max=torch.finfo(a.dtype).max)


def _ce_and_emo(t, weight):
    return t.ce + weight * t.emo


def _ce_and_debiased(t, weight):
    return t.ce + weight * t.debiased


# ---- checks of the options


_share, _not_negative = partial(inputs.number, low=0, high=1), partial(inputs.number, low=0)


def _below_one(name, value):
    if _share(name, value) == 1:
        raise ValueError(f"{name} = 1 must be below 1 (its limit is the accuracy loss 1 - p_t)")
    return float(value)


def _positive_or_none(name, value):
    return None if value is None else inputs.number(name, value, low=0, open_low=True)


def _flag(name, value):
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return value


# name: (terms beyond ce and 1 - p_t, options with their defaults and checks, the loss of a token: no lambda, so that an
# objective can be pickled). The tests ask a new objective for a look (`pictures.LOOKS`), a row
# (`verify.lesson06_losses`) and an independent reference of their own.
_DEFINITIONS = {
    "ce": ((), {}, attrgetter("ce")),
    "accuracy": ((), {}, attrgetter("rest")),
    "overconfidence": ((), {"gamma": (0.1, _below_one)}, _overconfidence),
    "tailr": ((), {"gamma": (1e-7, _share), "floor": (0.2, _share)}, _tailr),
    "mixce": ((), {"eta": (0.5, _share)}, _mixce),
    "smoothing": (("uniform",), {"epsilon": (0.1, _share)}, _smoothing),
    "emo": (("emo",), {}, attrgetter("emo")),
    "emo-mode-1": (("emo",), {"detach_target": (False, _flag), "clip": (None, _positive_or_none)}, _mode_1),
    "emo-mode-2": (("emo",), {"detach_target": (False, _flag)}, _mode_2),
    "ce+emo": (("emo",), {"weight": (1.0, _not_negative)}, _ce_and_emo),
    "debiased": (("debiased",), {}, attrgetter("debiased")),
    "ce+debiased": (("debiased",), {"weight": (1.0, _not_negative)}, _ce_and_debiased),
}
NAMES = tuple(_DEFINITIONS)


def objective(name, cost=None, averaged=False, **options):
    """An objective by name, with its options.

    Formula, per token, with `sg` for a constant of the gradient, L for EMO (A9) and B for its debiased cousin (D9):
    "ce" -log p_t (A1) | "accuracy" 1 - p_t (A7) | "overconfidence" -log(gamma + (1-gamma) p_t)/(1-gamma) |
    "tailr" sg(clamp(p_t/(gamma + (1-gamma) p_t), floor, 1)) CE | "mixce" (eta + (1-eta) sg(p_t)) CE |
    "smoothing" CE of the smoothed label | "emo" L | "emo-mode-1" ½(CE + sg(CE/L) L) (D7) |
    "emo-mode-2" sg(L/CE) CE + L | "ce+emo" CE + weight L | "debiased" B | "ce+debiased" CE + weight B.
    Options: gamma, floor, eta, epsilon, weight; for the modes `detach_target` (L + p_t in place of L, as most published
    files have it) and `clip` (the largest weight CE/L, 3 in the package emoloss).
    Shape: returns an `Objective`. Units: nats; none for L and B. Raises ValueError for an unknown name or option, an
    option out of its range, or a cost that is no `CostEmbedding`. Source: https://spaces.ac.cn/archives/9797 and 9526;
    arXiv 2310.04691 (EMO), 2302.13344 (TaiLr), 2305.16958 (MixCE); D9 in the appendix.
    """
    if not isinstance(name, str) or name not in _DEFINITIONS:
        raise ValueError(f"name = {name!r} is not one of {', '.join(NAMES)}")
    needs, known, line = _DEFINITIONS[name]
    for option in options:
        if option not in known:
            there = "there are " + ", ".join(known) if known else "it has none"
            raise ValueError(f"{option!r} is no option of {name!r}; {there}")
    chosen = {option: check(option, options.get(option, default)) for option, (default, check) in known.items()}
    if {"emo", "debiased"} & set(needs) and not isinstance(cost, CostEmbedding):
        raise ValueError(f"cost must be a CostEmbedding for {name!r}, got {type(cost).__name__}")
    return Objective(name, partial(line, **chosen), needs, cost, _flag("averaged", averaged))


@dataclass(frozen=True)
class Objective:
    """A loss that can be called on logits and labels; make one with `objective`.

    `combine(terms)` gives the loss per token; `needs` names the terms beyond cross-entropy and `1 - p_t`. With
    `averaged` the EMO term averages the embedding first (A9), else it takes a row of costs per target: the same value.
    """

    name: str
    combine: Callable
    needs: tuple
    cost: object = None
    averaged: bool = False

    def __call__(self, logits, labels, ignore_index=-100, reduction="mean"):
        """The loss of a batch, in float32 (float64 for float64 logits) whatever comes in.

        Labels are *not* shifted: pass `logits[:, :-1]` and `labels[:, 1:]` of a causal model. "mean" is over the
        positions that count; when none does, the loss is 0 with zero gradient. A token whose logit is -inf has no
        probability: "smoothing" asks for it and is infinite; the others are so, where they hold the cross-entropy
        itself, only if it is the target. Logits of NaN or +inf give NaN.
        Shape: logits (..., V), labels (...) integers; returns a scalar, or (...) for reduction "none" with 0 at ignored
        positions. Raises ValueError for shapes that disagree, labels out of range, or an unknown reduction.
        """
        _check_batch(logits, labels, reduction)
        labels = labels.long()  # small integer types cannot index, and -100 would wrap round in them
        keep = labels != ignore_index
        kept = labels[keep]
        _check_labels(kept, logits.shape[-1])
        losses = self.combine(token_terms(logits[keep], kept, self.needs, self.cost, self.averaged))
        if reduction == "none":
            return torch.zeros(labels.shape, dtype=losses.dtype, device=losses.device).masked_scatter(keep, losses)
        return losses.sum() if reduction == "sum" else losses.sum() / max(kept.numel(), 1)


def _check_floats(name, value):
    """Raise ValueError unless the value is a tensor of floating-point numbers."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point():
        raise ValueError(f"{name} must be a floating-point tensor, got {getattr(value, 'dtype', type(value).__name__)}")


def _check_batch(logits, labels, reduction, name="logits"):
    """Raise ValueError unless logits (..., V) and integer labels (...) fit and the reduction is known."""
    _check_floats(name, logits)
    if not isinstance(labels, torch.Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be a tensor of integers, got {getattr(labels, 'dtype', type(labels).__name__)}")
    if logits.ndim < 1 or logits.shape[:-1] != labels.shape or logits.shape[-1] == 0:
        shapes = f"{name} {tuple(logits.shape)} and labels {tuple(labels.shape)}"
        raise ValueError(f"{shapes} disagree: expected (..., V) and (...)")
    _check_devices(name, logits, labels=labels)
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction = {reduction!r} is not one of {', '.join(REDUCTIONS)}")


def _check_devices(name, value, **others):
    """Raise ValueError unless every other tensor (None is skipped) is on the device of the first."""
    for other, tensor in others.items():
        if tensor is not None and tensor.device != value.device:
            remedy = f"use {other}.to({str(value.device)!r})"
            raise ValueError(f"{other} is on {tensor.device}, but {name} is on {value.device}: {remedy}")


def _check_labels(labels, size):
    """Raise ValueError for the first label outside 0..size-1."""
    bad = (labels < 0) | (labels >= size)
    if bad.any():
        first = int(labels[bad][0])
        raise ValueError(f"labels hold {first}, which is neither a token of 0..{size - 1} nor the ignore_index")


TRANSFORMS = ("log", "odds", "atanh")


def transformed(logits, rows, kind):
    """EMO made unbounded where the farthest token has all probability: `M psi(L/M)`, with `M = max_i c_it`.

    Formula: D14; psi(x) = -log(1-x) for "log", x/(1-x) for "odds", atanh x for "atanh": psi(0) = 0, psi'(0) = 1, psi(1)
    = infinity. `1 - x` is taken as `sum_i p_i (M - c_it)/M`, a sum without cancellation.
    Shape: logits (N, V), rows (N, V) of costs to each token's target, returns (N,). Units: the cost's.
    Raises ValueError for another kind or shapes that disagree.
    Source: the rule of https://spaces.ac.cn/archives/9098, applied to transport.
    """
    if kind not in TRANSFORMS:
        raise ValueError(f"kind = {kind!r} is not one of {', '.join(TRANSFORMS)}")
    if logits.ndim != 2 or logits.shape != rows.shape:
        raise ValueError(f"logits {tuple(logits.shape)} and rows {tuple(rows.shape)} must have the same shape (N, V)")
    largest = rows.amax(-1)
    y = ((largest.unsqueeze(-1) - rows) * logits.softmax(-1)).sum(-1) / torch.where(largest > 0, largest, 1.0)
    y = y.clamp(min=torch.finfo(y.dtype).tiny, max=1)
    if kind == "log":
        return 0.0 - largest * torch.log(y)
    return largest * ((1 - y) / y if kind == "odds" else 0.5 * torch.log((2 - y) / y))
