"""Rows of the table of formulas for the torch objectives that see p_t alone: value and gradient of one token in float64. (`emo_rows` has the others.)

`formulas.complete` imports this module where torch is there. The references are numpy: complex steps of the closed form, its weights held constant.
"""

import numpy as np
import torch

from ..losses.cost import CostEmbedding
from ..losses.objectives import objective
from . import exact, instances, references
from .core import Row, register

ROUNDING = "sums of at most 30 products; a weight CE/L multiplies their rounding by some thousands at most"
GAMMA, FLOOR, ETA, EPSILON = 0.1, 0.2, 0.3, 0.1


def evaluate(name, logits, case, averaged=False, **options):
    """An objective's loss of one token and the loss's gradient on the logits, by autograd in float64.

    Formula: the objective's. Returns (1 + V,), the loss first. Raises ValueError for an unknown objective or option.
    """
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    cost = CostEmbedding(torch.tensor(case.embedding, dtype=torch.float64))
    loss = objective(name, cost, averaged, **options)(z, torch.tensor(case.target))
    loss.backward()
    return np.append(loss.item(), z.grad.numpy())


def cases():
    """(logits, case), from flat to steep; where all wrong tokens lie the target's way CE/L is 0/0 and no formula to check."""
    for logits, case in instances.logit_cases(lambda: instances.token_cases(large=False, per_pair=1)):
        p, column = references.softmax(logits), case.cost[:, case.target]
        if case.p.size > 1 and p @ column > 1e-3 * (p.sum() - p[case.target]) > 0:
            yield logits, case


def stepped(c, function):
    """Value and complex-step gradient of a function of the model, for one of `cases`.

    Formula: `function(p, cost to the target, target)` with p = softmax(z). Returns (1 + V,), the value first.
    """
    logits, case = c

    def of_logits(z):
        return function(references.softmax(z), case.cost[:, case.target], case.target)

    return np.append(np.real(of_logits(logits.astype(complex))), references.complex_step(of_logits, logits))


def held(c, weight):
    """A weight at the case's own p: a number that no gradient flows through.

    Formula: `weight(p, cost to the target, target)`. Returns a number.
    """
    return weight(references.softmax(c[0]), c[1].cost[:, c[1].target], c[1].target)


def add_row(label, name, statement, ours, independent, wrong, mistake, **changes):
    """Register an identity of lesson 06 about a torch objective; `changes` are further fields of `Row`.

    Formula: the statement. Returns the `Row`. Raises ValueError where `Row` or `register` does.
    """
    fields = {"kind": "identity", "code": (objective,), "reference": "complex step, weight held", "instances": cases}
    fields |= {"tolerance": 1e-11, "why": ROUNDING, "taught": "06", **changes}
    wrapped = {"ours": ours, "independent": independent, "wrong": wrong}
    return register(Row(label=label, name=name, statement=statement, mistake=mistake, **wrapped, **fields))


add_row(
    "A1",
    "torch-cross-entropy",
    r"L = -\log p_t,\ \nabla_z L = p - \mathrm{onehot}_t",
    ours=lambda c: evaluate("ce", *c),
    independent=lambda c: np.append(exact.logit_cross_entropy(c[1].label, c[0]), references.softmax(c[0]) - c[1].label),
    wrong=lambda c: evaluate("ce", torch.tensor(c[0]).bfloat16().tolist(), c[1]),
    mistake="keeps the logits in bfloat16",
    reference="60 digits; p - onehot",
)
add_row(
    "A2",
    "torch-label-smoothing",
    r"L = -\sum_i \tau_i \log p_i,\ \tau = (1-\varepsilon)\,\mathrm{onehot}_t + \varepsilon/V",
    ours=lambda c: evaluate("smoothing", *c, epsilon=EPSILON),
    independent=lambda c: stepped(c, lambda p, cost, t: -((1 - EPSILON) * np.log(p[t]) + EPSILON * np.log(p).mean())),
    wrong=lambda c: stepped(
        c,
        lambda p, cost, t: -((1 - EPSILON) * np.log(p[t]) + EPSILON * (np.log(p).sum() - np.log(p[t])) / (p.size - 1)),
    ),
    mistake="spreads epsilon over the wrong tokens alone",
    reference="complex step",
)


def _certain():
    """(logits, case): targets whose probability is 1 to within 1e-2 to 1e-17."""
    case = next(c for c in instances.token_cases() if c.p.size == 5)
    for lead in (5.0, 15.0, 25.0, 33.0, 38.0):
        yield np.linspace(-1, 1, 5) + lead * case.label, case


def _log_of_loss(values):
    return np.append(np.log(values[0]), values[1:])


def _lost(z, target):
    """1 - p_t without subtracting, also of complex logits."""
    others = np.exp(np.delete(z, target) - z[target]).sum()
    return others / (1 + others)


add_row(
    "A7",
    "torch-accuracy-keeps-digits",
    r"\log(1 - p_t) \text{ to full precision, and } \nabla_z (1 - p_t) = p_t\,(p - \mathrm{onehot}_t)",
    ours=lambda c: _log_of_loss(evaluate("accuracy", *c)),
    independent=lambda c: np.append(
        np.log(_lost(c[0], c[1].target)), references.complex_step(lambda z: _lost(z, c[1].target), c[0])
    ),
    wrong=lambda c: _log_of_loss(stepped(c, lambda p, cost, t: 1 - p[t])),
    mistake="subtracts p_t from 1, which leaves no digits near p_t = 1",
    instances=_certain,
    reference="complex step of the odds",
)
add_row(
    "D10",
    "torch-overconfidence",
    r"L = -\log(\gamma + (1-\gamma) p_t)/(1-\gamma)",
    ours=lambda c: evaluate("overconfidence", *c, gamma=GAMMA),
    independent=lambda c: stepped(c, lambda p, cost, t: -np.log(GAMMA + (1 - GAMMA) * p[t]) / (1 - GAMMA)),
    wrong=lambda c: stepped(c, lambda p, cost, t: -np.log(GAMMA + (1 - GAMMA) * p[t])),
    mistake="forgets to divide by 1 - gamma",
    reference="complex step",
)


def _tailr(c, gamma):
    weight = held(c, lambda p, cost, t: np.clip(p[t] / (gamma + (1 - gamma) * p[t]), FLOOR, 1))
    return stepped(c, lambda p, cost, t: -weight * np.log(p[t]))


add_row(
    "D10",
    "torch-tailr",
    r"L = \mathrm{sg}\Big(\mathrm{clamp}\big(\tfrac{p_t}{\gamma + (1-\gamma) p_t}, b, 1\big)\Big)\,(-\log p_t)",
    ours=lambda c: evaluate("tailr", *c, gamma=GAMMA, floor=FLOOR),
    independent=lambda c: _tailr(c, GAMMA),
    wrong=lambda c: _tailr(c, 1 - GAMMA),
    mistake="swaps gamma and 1 - gamma",
)


def _mixce(c, constant=True):
    kept = held(c, lambda p, cost, t: p[t])
    return stepped(c, lambda p, cost, t: -(ETA + (1 - ETA) * (kept if constant else p[t])) * np.log(p[t]))


add_row(
    "D10",
    "torch-mixce",
    r"L = (\eta + (1-\eta)\,\mathrm{sg}(p_t))(-\log p_t)",
    ours=lambda c: evaluate("mixce", *c, eta=ETA),
    independent=_mixce,
    wrong=lambda c: _mixce(c, constant=False),
    mistake="lets the gradient flow through the weight p_t",
)
