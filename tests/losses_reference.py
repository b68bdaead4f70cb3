"""The objectives written a second time, from the log-odds against the target: what their tests compare with."""

import math
from typing import NamedTuple

import pytest
import torch

from emo_teach.losses import objective

PLAIN = [
    ("ce", {}), ("accuracy", {}),
    ("overconfidence", {}), ("overconfidence", {"gamma": 0.0}), ("overconfidence", {"gamma": 0.999}),
    ("tailr", {}), ("tailr", {"gamma": 1.0}),
    ("tailr", {"gamma": 0.3, "floor": 0.0}), ("tailr", {"gamma": 0.0, "floor": 0.0}),
    ("mixce", {}), ("mixce", {"eta": 0.0}), ("mixce", {"eta": 1.0}),
    ("smoothing", {}), ("smoothing", {"epsilon": 0.0}), ("smoothing", {"epsilon": 1.0}),
]  # fmt: skip
TRANSPORT = [
    ("emo", {}),
    ("emo-mode-1", {}), ("emo-mode-1", {"clip": 3.0}), ("emo-mode-1", {"detach_target": True}),
    ("emo-mode-1", {"detach_target": True, "clip": 0.5}),
    ("emo-mode-2", {}), ("emo-mode-2", {"detach_target": True}),
    ("ce+emo", {}), ("ce+emo", {"weight": 2.5}),
    ("debiased", {}), ("ce+debiased", {}), ("ce+debiased", {"weight": 0.0}),
]  # fmt: skip
CONFIGS = [*PLAIN, *TRANSPORT]
EMO_NAMES = {name for name, _ in TRANSPORT}
DEFAULTS = {
    "overconfidence": {"gamma": 0.1},
    "tailr": {"gamma": 1e-7, "floor": 0.2},
    "mixce": {"eta": 0.5},
    "smoothing": {"epsilon": 0.1},
    "emo-mode-1": {"detach_target": False, "clip": None},
    "emo-mode-2": {"detach_target": False},
    "ce+emo": {"weight": 1.0},
    "ce+debiased": {"weight": 1.0},
}


def over(configs):
    """Run a test on each configuration, as its `name` and `options`."""
    ids = [" ".join([name, *(f"{key}={value}" for key, value in options.items())]) for name, options in configs]
    return pytest.mark.parametrize(("name", "options"), configs, ids=ids)


def make(name, options, cost, averaged=False):
    """The objective of a configuration, with the cost where it takes one."""
    return objective(name, cost if name in EMO_NAMES else None, averaged, **options)


class Terms(NamedTuple):
    """Cross-entropy, p_t, 1 - p_t, L, B and the mean of -log p, each (N,)."""

    ce: torch.Tensor
    p_t: torch.Tensor
    rest: torch.Tensor
    emo: torch.Tensor
    debiased: torch.Tensor
    uniform: torch.Tensor

    def held(self, options):
        """L, or with the target detached L + p_t, of which only L has a gradient."""
        return self.emo + self.p_t.detach() if options.get("detach_target") else self.emo


def stable_terms(z, labels, unit):
    """Every term by its formula, also where p_t is near 0 or 1."""
    n = torch.arange(len(labels))
    others = z.scatter(-1, labels.unsqueeze(-1), -math.inf)
    odds = torch.logsumexp(others, -1) - z[n, labels]
    wrong = torch.softmax(others, -1)
    ce, rest = torch.logaddexp(torch.zeros_like(odds), odds), torch.sigmoid(odds)
    emo = rest * (wrong * (1 - unit[labels] @ unit.T).clamp(min=0)).sum(-1)
    b = 0.5 * rest**2 * ((wrong @ unit - unit[labels]) ** 2).sum(-1)
    return Terms(ce, torch.sigmoid(-odds), rest, emo, b, ce + z[n, labels] - z.mean(-1))


def constants(name, terms, options):
    """The weight that the objective holds constant, as plain numbers: no gradient can flow through it."""
    o = {**DEFAULTS.get(name, {}), **options}
    ce, p_t, held = (x.detach() for x in (terms.ce, terms.p_t, terms.held(o)))
    if name == "tailr":
        share = p_t / (o["gamma"] + (1 - o["gamma"]) * p_t)
        return torch.where(share.isnan(), 1.0, share).clamp(o["floor"], 1.0)
    if name == "mixce":
        return o["eta"] + (1 - o["eta"]) * p_t
    if name == "emo-mode-1":
        weight = torch.where(held > 0, ce / held, 0.0)
        return weight if o["clip"] is None else weight.clamp(max=o["clip"])
    return torch.where(ce > 0, held / ce, 0.0)  # mode 2; the others do not ask


def combine(name, terms, weight, options):
    """The loss per token, its constant weight given."""
    ce, _, rest, emo, b, uniform = terms
    o = {**DEFAULTS.get(name, {}), **options}
    if name == "overconfidence":
        g = o["gamma"]
        return ce if g == 0 else -torch.log1p(-(1 - g) * rest) / (1 - g)
    return {
        "ce": lambda: ce,
        "accuracy": lambda: rest,
        "tailr": lambda: weight * ce,
        "mixce": lambda: weight * ce,
        "smoothing": lambda: (1 - o["epsilon"]) * ce + o["epsilon"] * uniform,
        "emo": lambda: emo,
        "emo-mode-1": lambda: 0.5 * (ce + weight * terms.held(o)),
        "emo-mode-2": lambda: weight * ce + terms.held(o),
        "ce+emo": lambda: ce + o["weight"] * emo,
        "debiased": lambda: b,
        "ce+debiased": lambda: ce + o["weight"] * b,
    }[name]()


def loss(name, z, labels, embedding, options):
    """The objective per token, (N,)."""
    terms = stable_terms(z, labels, torch.nn.functional.normalize(embedding, dim=1))
    return combine(name, terms, constants(name, terms, options), options)


def value_and_gradient(function, *tensors):
    """A scalar function's value and its gradients on detached copies of the tensors."""
    leaves = [x.detach().clone().requires_grad_() for x in tensors]
    value = function(*leaves)
    return value.detach(), torch.autograd.grad(value, leaves)


def gap(a, b):
    """Largest difference, relative above 1; NaN counts as infinite."""
    error = (a.double() - b.double()).abs() / b.double().abs().clamp(min=1)
    return float(torch.nan_to_num(error, nan=math.inf).max()) if error.numel() else 0.0
