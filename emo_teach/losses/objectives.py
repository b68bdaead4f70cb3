"""The objectives: one line each, combining the terms of a token."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .. import inputs
from .terms import token_terms

REDUCTIONS = ("mean", "sum", "none")


def _ratio(a, b):
    """a / b as a constant of the gradient, finite: 0 where b is 0, cut off at the type's largest number."""
    a, b = a.detach(), b.detach()
    return torch.where(b > 0, a / torch.where(b > 0, b, 1.0), 0.0).clamp(max=torch.finfo(a.dtype).max)


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
    return share.clamp(min=floor, max=1) * t.ce


def _published_value(t, detach_target):
    """The EMO term as the published files hold it: with the target's probability detached its value is L + p_t, its gradient the same."""
    return t.emo + t.p_target.detach() if detach_target else t.emo


def _mode_1(t, detach_target, clip):
    value = _published_value(t, detach_target)
    weight = _ratio(t.ce, value)
    return 0.5 * (t.ce + (weight if clip is None else weight.clamp(max=clip)) * value)


def _mode_2(t, detach_target):
    value = _published_value(t, detach_target)
    return _ratio(value, t.ce) * t.ce + value


def _share(name, value):
    return inputs.number(name, value, low=0, high=1)


def _below_one(name, value):
    if _share(name, value) == 1:
        raise ValueError(f"{name} = 1 must be below 1 (its limit is the accuracy loss 1 - p_t)")
    return float(value)


def _not_negative(name, value):
    return inputs.number(name, value, low=0)


def _cut(name, value):
    return None if value is None else inputs.number(name, value, low=0, open_low=True)


def _flag(name, value):
    if not isinstance(value, bool):
        raise ValueError(f"{name} must be True or False, got {value!r}")
    return value


# name: (what it needs beside ce and 1 - p_t, its options with their defaults and checks, the line itself)
_DEFINITIONS = {
    "ce": ((), {}, lambda t: t.ce),
    "accuracy": ((), {}, lambda t: t.rest),
    "overconfidence": ((), {"gamma": (0.1, _below_one)}, _overconfidence),
    "tailr": ((), {"gamma": (1e-7, _share), "floor": (0.2, _share)}, _tailr),
    "mixce": ((), {"eta": (0.5, _share)}, lambda t, eta: (eta + (1 - eta) * t.p_target.detach()) * t.ce),
    "smoothing": (
        ("uniform",),
        {"epsilon": (0.1, _share)},
        lambda t, epsilon: (1 - epsilon) * t.ce + epsilon * t.uniform,
    ),
    "emo": (("emo",), {}, lambda t: t.emo),
    "emo-mode-1": (("emo",), {"detach_target": (False, _flag), "clip": (None, _cut)}, _mode_1),
    "emo-mode-2": (("emo",), {"detach_target": (False, _flag)}, _mode_2),
    "ce+emo": (("emo",), {"weight": (1.0, _not_negative)}, lambda t, weight: t.ce + weight * t.emo),
    "debiased": (("debiased",), {}, lambda t: t.debiased),
    "ce+debiased": (("debiased",), {"weight": (1.0, _not_negative)}, lambda t, weight: t.ce + weight * t.debiased),
}
NAMES = tuple(_DEFINITIONS)


@dataclass(frozen=True)
class Objective:
    """A loss that can be called on logits and labels; make one with `objective`.

    `combine(terms)` gives the loss per token; `needs` names the terms beyond cross-entropy and `1 - p_t`; `cost` is the frozen `CostEmbedding`
    where one is needed. With `averaged` the EMO term is computed by averaging the embedding first (A9), else from a row of costs per target:
    the same value.
    """

    name: str
    combine: Callable
    needs: tuple
    cost: object = None
    averaged: bool = False

    def __call__(self, logits, labels, ignore_index=-100, reduction="mean"):
        """The loss of a batch, in float32 (float64 for float64 logits) whatever comes in.

        Formula: the objective's, per token; see `objective`. Labels are *not* shifted: pass `logits[:, :-1]` and `labels[:, 1:]` of a causal model.
        Shape: logits (..., V), labels (...) integers; returns a scalar, or (...) for reduction "none" with 0 at ignored positions. Units: nats.
        "mean" is over the positions that count; when none does, the loss is 0 with zero gradient.
        Raises ValueError for shapes that disagree, labels out of range, or an unknown reduction. Source: this project.
        """
        check_batch(logits, labels, reduction)
        labels = labels.long()  # small integer types cannot index, and -100 would wrap round in them
        keep = labels != ignore_index
        kept = labels[keep]
        check_labels(kept, logits.shape[-1])
        losses = self.combine(token_terms(logits[keep], kept, self.needs, self.cost, self.averaged))
        if reduction == "none":
            return torch.zeros(labels.shape, dtype=losses.dtype, device=losses.device).masked_scatter(keep, losses)
        return losses.sum() if reduction == "sum" else losses.sum() / max(kept.numel(), 1)


def check_batch(logits, labels, reduction, name="logits"):
    """ValueError unless logits (..., V) and integer labels (...) fit and the reduction is known.

    Raises ValueError naming the argument.
    """
    if not isinstance(logits, torch.Tensor) or not logits.is_floating_point():
        raise ValueError(
            f"{name} must be a floating-point tensor, got {getattr(logits, 'dtype', type(logits).__name__)}"
        )
    if not isinstance(labels, torch.Tensor) or labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be a tensor of integers, got {getattr(labels, 'dtype', type(labels).__name__)}")
    if logits.ndim < 1 or logits.shape[:-1] != labels.shape or logits.shape[-1] == 0:
        raise ValueError(
            f"{name} {tuple(logits.shape)} and labels {tuple(labels.shape)} disagree: expected (..., V) and (...)"
        )
    if reduction not in REDUCTIONS:
        raise ValueError(f"reduction = {reduction!r} is not one of {', '.join(REDUCTIONS)}")


def check_labels(labels, size):
    """ValueError for the first label outside 0..size-1.

    Raises ValueError naming the label.
    """
    bad = (labels < 0) | (labels >= size)
    if bad.any():
        raise ValueError(
            f"labels hold {int(labels[bad][0])}, which is neither a token of 0..{size - 1} nor the ignore_index"
        )


def objective(name, cost=None, averaged=False, **options):
    """An objective by name, with its options.

    Formula, per token, with `sg` for a constant of the gradient, L for EMO (A9) and B for its debiased cousin (D9):
    "ce" -log p_t (A1) | "accuracy" 1 - p_t (A7) | "overconfidence" -log(gamma + (1-gamma) p_t)/(1-gamma) |
    "tailr" sg(clamp(p_t/(gamma + (1-gamma) p_t), floor, 1)) CE | "mixce" (eta + (1-eta) sg(p_t)) CE | "smoothing" CE of the smoothed label |
    "emo" L | "emo-mode-1" ½(CE + sg(CE/L) L) (D7) | "emo-mode-2" sg(L/CE) CE + L | "ce+emo" CE + weight L |
    "debiased" B | "ce+debiased" CE + weight B.
    Options: gamma, floor, eta, epsilon, weight; for the modes `detach_target` (L + p_t in place of L, as most published files have it) and `clip`
    (the largest weight CE/L, 3 in the package emoloss). Shape: returns an `Objective`. Units: nats, and the cosine cost's for L and B.
    Raises ValueError for an unknown name or option, an option out of its range, or a cost that is missing or no `CostEmbedding`.
    Source: https://spaces.ac.cn/archives/9797 and 9526; arXiv 2310.04691 (EMO), 2302.13344 (TaiLr), 2305.16958 (MixCE); D9 this project.
    """
    from .cost import CostEmbedding

    if not isinstance(name, str) or name not in _DEFINITIONS:
        raise ValueError(f"name = {name!r} is not one of {', '.join(NAMES)}")
    needs, known, line = _DEFINITIONS[name]
    for option in options:
        if option not in known:
            raise ValueError(
                f"{option!r} is no option of {name!r}; {'there are ' + ', '.join(known) if known else 'it has none'}"
            )
    chosen = {option: check(option, options.get(option, default)) for option, (default, check) in known.items()}
    if {"emo", "debiased"} & set(needs) and not isinstance(cost, CostEmbedding):
        raise ValueError(f"cost must be a CostEmbedding for {name!r}, got {type(cost).__name__}")
    return Objective(name, lambda terms: line(terms, **chosen), needs, cost, _flag("averaged", averaged))
