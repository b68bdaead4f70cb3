"""Rows of lesson 06 for the torch objectives that know a cost: EMO, its published modes, the debiased score, and the fused head."""

import numpy as np
import torch

from .. import costs, transport
from ..losses.cost import CostEmbedding
from ..losses.fused import fused_loss
from ..losses.objectives import objective
from . import exact, references
from .torch_rows import add_row, evaluate, held, stepped

WEIGHT = 2.5


def _ratio(c):
    return held(c, lambda p, cost, t: -np.log(p[t]) / (p @ cost))


def _mean_gap(case):
    """½|m_p - ê_t|² as a function of p."""
    unit = costs.unit_rows(case.embedding)
    return lambda p: 0.5 * ((p @ unit - unit[case.target]) ** 2).sum()


def _both_ways(c):
    return np.array([evaluate("emo", *c, averaged=averaged)[0] for averaged in (False, True)])


def _mean_normalised(c):
    """1 - cos(m_p, e_t): the wrong version of D5."""
    unit = costs.unit_rows(c[1].embedding)
    mean = references.softmax(c[0]) @ unit
    return 1 - mean @ unit[c[1].target] / max(np.linalg.norm(mean), 1e-300)


add_row(
    "A9",
    "torch-emo-is-the-lp",
    r"L = \sum_i p_i c_{it} = (1 - p_t) - \Big\langle \sum_{i \ne t} p_i \hat e_i, \hat e_t\Big\rangle = C[p, \mathrm{onehot}_t]",
    ours=_both_ways,
    independent=lambda c: np.full(2, references.linear_program(references.softmax(c[0]), c[1].label, c[1].cost)[0]),
    wrong=lambda c: np.full(2, _mean_normalised(c)),
    mistake="divides the mean direction by its length (D5)",
    reference="LP by HiGHS",
    tolerance=1e-9,
    why="HiGHS keeps its constraints to 1e-10",
)
add_row(
    "A9",
    "torch-ce-plus-emo",
    r"-\log p_t + \lambda \sum_i p_i c_{it}",
    ours=lambda c: evaluate("ce+emo", *c, weight=WEIGHT),
    independent=lambda c: stepped(c, lambda p, cost, t: -np.log(p[t]) + WEIGHT * p @ cost),
    wrong=lambda c: stepped(c, lambda p, cost, t: -WEIGHT * np.log(p[t]) + p @ cost),
    mistake="puts the weight on cross-entropy",
    reference="complex step",
)
add_row(
    "D1",
    "torch-emo-gradient",
    r"\partial L/\partial z_j = p_j (c_{jt} - L) \text{ by autograd, computed either way}",
    ours=lambda c: np.stack([evaluate("emo", *c, averaged=averaged)[1:] for averaged in (False, True)]),
    independent=lambda c: np.tile(stepped(c, lambda p, cost, t: p @ cost)[1:], (2, 1)),
    wrong=lambda c: np.tile(references.softmax(c[0]) * c[1].cost[:, c[1].target], (2, 1)),
    mistake="leaves out the baseline L",
    reference="complex step",
)


def _fused(c):
    """Gradients on hidden state and head, of the head `weight = I + hidden hiddenᵀ/V` and the logits' own numbers as hidden state."""
    logits, case = c
    h, weight = (torch.tensor(x, requires_grad=True) for x in (logits / (1 + logits @ logits), _head(logits)))
    loss = fused_loss(
        h, weight, torch.tensor(case.target), objective("emo", CostEmbedding(torch.tensor(case.embedding)))
    )
    loss.backward()
    return np.concatenate([[loss.item()], h.grad.numpy(), weight.grad.numpy().ravel()])


def _head(logits):
    return np.eye(logits.size) + np.outer(logits, logits)


def _by_hand(c, missing=0.0):
    """The same by D1 and the chain rule; `missing` takes the target's own entry away."""
    logits, case = c
    h, weight = logits / (1 + logits @ logits), _head(logits)
    p = references.softmax(weight @ h)
    slope = transport.one_hot_logit_gradient(p, case.cost, case.target)
    slope = slope - missing * slope * case.label
    return np.concatenate([[p @ case.cost[:, case.target]], weight.T @ slope, np.outer(slope, h).ravel()])


add_row(
    "D1",
    "fused-head",
    r"\nabla_h L = W^\top g,\ \nabla_W L = g\,h^\top,\quad g_j = p_j (c_{jt} - L),\ p = \mathrm{softmax}(W h)",
    ours=_fused,
    independent=_by_hand,
    wrong=lambda c: _by_hand(c, missing=1.0),
    mistake="leaves out the target's own entry, -p_t L",
    code=(fused_loss,),
    reference="closed form, chain rule",
)
add_row(
    "D7",
    "mode-1-equals-cross-entropy",
    r"\tfrac12\big(\mathrm{CE} + \mathrm{sg}(\mathrm{CE}/L)\,L\big) = \mathrm{CE} \text{ in value, with } p_t \text{ detached or not}",
    ours=lambda c: np.array([evaluate("emo-mode-1", *c, detach_target=detach)[0] for detach in (False, True)]),
    independent=lambda c: np.full(2, exact.logit_cross_entropy(c[1].label, c[0])),
    wrong=lambda c: np.array(
        [evaluate("emo-mode-1", *c, clip=3.0, detach_target=detach)[0] for detach in (False, True)]
    ),
    mistake="cuts the weight off at 3, as the package emoloss does",
    reference="60-digit logarithm",
)
add_row(
    "D7",
    "mode-1-gradient",
    r"\nabla_z = \tfrac12\big(\nabla \mathrm{CE} + (\mathrm{CE}/L)\,\nabla L\big) \ne \nabla \mathrm{CE}",
    ours=lambda c: evaluate("emo-mode-1", *c),
    independent=lambda c: stepped(c, lambda p, cost, t: 0.5 * (-np.log(p[t]) + _ratio(c) * (p @ cost))),
    wrong=lambda c: stepped(c, lambda p, cost, t: -np.log(p[t])),
    mistake="lets the gradient flow through CE/L: what is left is cross-entropy",
)


def _detached(c, seen=1.0):
    """Mode 1 with the value L + p_t and the gradient of L; `seen` = 0 forgets p_t in the value."""
    kept = held(c, lambda p, cost, t: p[t])
    weight = held(c, lambda p, cost, t: -np.log(p[t]) / (p @ cost + seen * p[t]))
    return stepped(c, lambda p, cost, t: 0.5 * (-np.log(p[t]) + weight * (p @ cost + kept)))


add_row(
    "D7",
    "mode-1-detached-target",
    r"\tfrac12\big(\mathrm{CE} + \mathrm{sg}\big(\tfrac{\mathrm{CE}}{L + p_t}\big)(L + \mathrm{sg}(p_t))\big)",
    ours=lambda c: evaluate("emo-mode-1", *c, detach_target=True),
    independent=_detached,
    wrong=lambda c: _detached(c, seen=0.0),
    mistake="weighs by CE/L, as if the term's value were L",
)


def _mode_2(c, flipped=False):
    weight = _ratio(c) if flipped else 1 / _ratio(c)
    return stepped(c, lambda p, cost, t: -weight * np.log(p[t]) + p @ cost)


add_row(
    "D7",
    "mode-2",
    r"\mathrm{sg}(L/\mathrm{CE})\,\mathrm{CE} + L = 2L \text{ in value}",
    ours=lambda c: evaluate("emo-mode-2", *c),
    independent=_mode_2,
    wrong=lambda c: _mode_2(c, flipped=True),
    mistake="turns the weight upside down",
)


def _debiased(c, factor=1.0):
    return stepped(c, lambda p, cost, t: factor * _mean_gap(c[1])(p))


add_row(
    "D9",
    "torch-debiased",
    r"B = \tfrac12|m_p - \hat e_t|^2",
    ours=lambda c: evaluate("debiased", *c),
    independent=_debiased,
    wrong=lambda c: _debiased(c, factor=2.0),
    mistake="forgets the half",
    reference="complex step",
)
add_row(
    "D9",
    "torch-ce-plus-debiased",
    r"-\log p_t + \lambda\,\tfrac12|m_p - \hat e_t|^2",
    ours=lambda c: evaluate("ce+debiased", *c, weight=WEIGHT),
    independent=lambda c: stepped(c, lambda p, cost, t: -np.log(p[t]) + WEIGHT * _mean_gap(c[1])(p)),
    wrong=lambda c: stepped(c, lambda p, cost, t: -np.log(p[t]) - WEIGHT * _mean_gap(c[1])(p)),
    mistake="has the wrong sign before the debiased term",
    reference="complex step",
)
