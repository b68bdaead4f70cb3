"""Rows of lesson 06 for the training objectives: value and gradient of one token, and D11, where training rests.

torch is imported when a row is tried. The references are numpy: complex steps of the closed form, its weights held
constant.
"""

import functools

import numpy as np

from .. import costs, transport, worked
from . import instances, references
from .core import row_maker
from .lesson06 import normalised

GAMMA, FLOOR, ETA, EPSILON, WEIGHT = 0.1, 0.2, 0.3, 0.1, 2.5


def _objective(name, embedding, averaged=False, **options):
    """An objective with the cosine cost of an embedding, in float64."""
    import torch

    from ..losses.cost import CostEmbedding
    from ..losses.objectives import objective

    return objective(name, CostEmbedding(torch.tensor(embedding, dtype=torch.float64)), averaged, **options)


def _evaluate(name, logits, case, averaged=False, **options):
    """An objective's loss of one token, and then the loss's gradient on the logits (V,) by autograd."""
    import torch

    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    loss = _objective(name, case.embedding, averaged, **options)(z, torch.tensor(case.target))
    loss.backward()
    return np.append(loss.item(), z.grad.numpy())


def _cases():
    """(logits, case), from flat to steep, where CE/L is not 0/0: some wrong token lies another way than the target."""
    for logits, case in instances.logit_cases(lambda: instances.token_cases(large=False, per_pair=1)):
        p, column = references.softmax(logits), case.cost[:, case.target]
        if case.p.size > 1 and p @ column > 1e-3 * (p.sum() - p[case.target]) > 0:
            yield logits, case


def _stepped(c, function):
    """Value of `function(p, cost to the target, target)` at p = softmax(z), then its gradient (V,) by complex steps."""
    logits, case = c

    def of_p(p):
        return function(p, case.cost[:, case.target], case.target)

    return np.append(np.real(of_p(references.softmax(logits.astype(complex)))), references.logit_gradient(of_p, logits))


def _held(c, weight):
    """A weight at the case's own p: a number that no gradient flows through."""
    return weight(references.softmax(c[0]), c[1].cost[:, c[1].target], c[1].target)


# the tolerance: a weight CE/L multiplies the rounding
row = row_maker("06", reference="complex step", instances=_cases, tolerance=1e-11)
held_row = row_maker("06", reference="complex step, weight held", instances=_cases, tolerance=1e-11)


def _bfloat16(logits):
    """The logits rounded to the 8 significant bits of bfloat16 (half to even)."""
    mantissa, exponent = np.frexp(logits)
    return np.ldexp(np.round(mantissa * 256) / 256, exponent)


def _smoothed(c, share):
    return _stepped(c, lambda p, cost, t: -((1 - EPSILON) * np.log(p[t]) + EPSILON * share(np.log(p), t)))


row(
    r"A1 torch-cross-entropy: L = -\log p_t,\ \nabla_z L = p - \mathrm{onehot}_t",
    reference="60 digits; p - onehot",
    ours=lambda c: _evaluate("ce", *c),
    independent=lambda c: np.append(
        references.logit_cross_entropy(c[1].label, c[0]), references.softmax(c[0]) - c[1].label
    ),
    wrong=lambda c: _evaluate("ce", _bfloat16(c[0]), c[1]),
    mistake="keeps the logits in bfloat16",
)
row(
    r"A2 torch-label-smoothing: L = -\sum_i \tau_i \log p_i,"
    r"\ \tau = (1-\varepsilon)\,\mathrm{onehot}_t + \varepsilon/V",
    ours=lambda c: _evaluate("smoothing", *c, epsilon=EPSILON),
    independent=lambda c: _smoothed(c, lambda logs, target: logs.mean()),
    wrong=lambda c: _smoothed(c, lambda logs, target: (logs.sum() - logs[target]) / (logs.size - 1)),
    mistake="spreads epsilon over the wrong tokens alone",
)


def _certain():
    """(logits, case): targets whose probability is 1 to within 1e-2 to 1e-17."""
    case = next(c for c in instances.token_cases() if c.p.size == 5)
    for lead in (5.0, 15.0, 25.0, 33.0, 38.0):
        yield np.linspace(-1, 1, 5) + lead * case.label, case


def _log_of_loss(values):
    return np.append(np.log(values[0]), values[1:])


def _log_of_odds(c):
    """log(1 - p_t) and the gradient of 1 - p_t, without subtracting."""

    def lost(z):
        others = np.exp(np.delete(z, c[1].target) - z[c[1].target]).sum()
        return others / (1 + others)

    return np.append(np.log(lost(c[0])), references.complex_step(lost, c[0]))


row(
    r"A7 torch-accuracy-keeps-digits: \log(1 - p_t) \text{ to full precision, "
    r"and } \nabla_z (1 - p_t) = p_t\,(p - \mathrm{onehot}_t)",
    dict(reference="complex step of the odds", instances=_certain),
    ours=lambda c: _log_of_loss(_evaluate("accuracy", *c)),
    independent=_log_of_odds,
    wrong=lambda c: _log_of_loss(_stepped(c, lambda p, cost, t: 1 - p[t])),
    mistake="subtracts p_t from 1, which leaves no digits near p_t = 1",
)


def _tailr(c, gamma):
    weight = _held(c, lambda p, cost, t: np.clip(p[t] / (gamma + (1 - gamma) * p[t]), FLOOR, 1))
    return _stepped(c, lambda p, cost, t: -weight * np.log(p[t]))


def _mixce(c, constant=True):
    kept = _held(c, lambda p, cost, t: p[t])
    return _stepped(c, lambda p, cost, t: -(ETA + (1 - ETA) * (kept if constant else p[t])) * np.log(p[t]))


row(
    r"D10 torch-overconfidence: L = -\log(\gamma + (1-\gamma) p_t)/(1-\gamma)",
    ours=lambda c: _evaluate("overconfidence", *c, gamma=GAMMA),
    independent=lambda c: _stepped(c, lambda p, cost, t: -np.log(GAMMA + (1 - GAMMA) * p[t]) / (1 - GAMMA)),
    wrong=lambda c: _stepped(c, lambda p, cost, t: -np.log(GAMMA + (1 - GAMMA) * p[t])),
    mistake="forgets to divide by 1 - gamma",
)
held_row(
    r"D10 torch-tailr: L = \mathrm{sg}\Big(\mathrm{clamp}\big(\tfrac{p_t}{\gamma + (1-\gamma) p_t}, b, "
    r"1\big)\Big)\,(-\log p_t)",
    ours=lambda c: _evaluate("tailr", *c, gamma=GAMMA, floor=FLOOR),
    independent=lambda c: _tailr(c, GAMMA),
    wrong=lambda c: _tailr(c, 1 - GAMMA),
    mistake="swaps gamma and 1 - gamma",
)
held_row(
    r"D10 torch-mixce: L = (\eta + (1-\eta)\,\mathrm{sg}(p_t))(-\log p_t)",
    ours=lambda c: _evaluate("mixce", *c, eta=ETA),
    independent=_mixce,
    wrong=lambda c: _mixce(c, constant=False),
    mistake="lets the gradient flow through the weight p_t",
)


def _ratio(c):
    return _held(c, lambda p, cost, t: -np.log(p[t]) / (p @ cost))


def _mean_gap(case, p):
    """½|m_p - ê_t|², also of complex p."""
    unit = costs.unit_rows(case.embedding)
    return 0.5 * ((p @ unit - unit[case.target]) ** 2).sum()


row(
    r"A9 torch-emo-is-the-lp: L = \sum_i p_i c_{it} = (1 - p_t) - \Big\langle \sum_{i \ne t} p_i \hat e_i, "
    r"\hat e_t\Big\rangle = C[p, \mathrm{onehot}_t]",
    dict(reference="LP by HiGHS", tolerance=1e-9),
    ours=lambda c: [_evaluate("emo", *c, averaged=averaged)[0] for averaged in (False, True)],
    independent=lambda c: np.full(2, references.solved(references.softmax(c[0]), c[1].label, c[1].cost)[0]),
    wrong=lambda c: np.full(2, normalised(references.softmax(c[0]), c[1].embedding, c[1].target)),
    mistake="divides the mean direction by its length (D5)",
)
row(
    r"A9 torch-ce-plus-emo: -\log p_t + \lambda \sum_i p_i c_{it}",
    ours=lambda c: _evaluate("ce+emo", *c, weight=WEIGHT),
    independent=lambda c: _stepped(c, lambda p, cost, t: -np.log(p[t]) + WEIGHT * p @ cost),
    wrong=lambda c: _stepped(c, lambda p, cost, t: -WEIGHT * np.log(p[t]) + p @ cost),
    mistake="puts the weight on cross-entropy",
)


def _fused(c):
    """Loss and its gradients on hidden state and head, by the fused head."""
    import torch

    from ..losses.fused import fused_loss

    logits, case = c
    h, weight = (torch.tensor(x, requires_grad=True) for x in _hidden(logits))
    loss = fused_loss(h, weight, torch.tensor(case.target), _objective("emo", case.embedding))
    loss.backward()
    return np.concatenate([[loss.item()], h.grad.numpy(), weight.grad.numpy().ravel()])


def _hidden(logits):
    """A hidden state h (V,) in the logits' direction, and a head I + z z^T (V, V)."""
    return logits / (1 + logits @ logits), np.eye(logits.size) + np.outer(logits, logits)


def _by_hand(c, missing=0.0):
    """The same by D1 and the chain rule; `missing` takes the target's own entry away."""
    logits, case = c
    h, weight = _hidden(logits)
    p = references.softmax(weight @ h)
    slope = transport.one_hot_logit_gradient(p, case.cost, case.target)
    slope = slope - missing * slope * case.label
    return np.concatenate([[p @ case.cost[:, case.target]], weight.T @ slope, np.outer(slope, h).ravel()])


row(
    r"D1 torch-emo-gradient: \partial L/\partial z_j = p_j (c_{jt} - L) \text{ by autograd, computed either way}",
    ours=lambda c: np.stack([_evaluate("emo", *c, averaged=averaged)[1:] for averaged in (False, True)]),
    independent=lambda c: np.tile(_stepped(c, lambda p, cost, t: p @ cost)[1:], (2, 1)),
    wrong=lambda c: np.tile(references.softmax(c[0]) * c[1].cost[:, c[1].target], (2, 1)),
    mistake="leaves out the baseline L",
)
row(
    r"D1 fused-head: \nabla_h L = W^\top g,\ \nabla_W L = g\,h^\top,"
    r"\quad g_j = p_j (c_{jt} - L),\ p = \mathrm{softmax}(W h)",
    reference="closed form, chain rule",
    ours=_fused,
    independent=_by_hand,
    wrong=lambda c: _by_hand(c, missing=1.0),
    mistake="leaves out the target's own entry, -p_t L",
)


def _detached(c, seen=1.0):
    """Mode 1 with the value L + p_t and the gradient of L; `seen` = 0 forgets p_t in the value."""
    kept = _held(c, lambda p, cost, t: p[t])
    weight = _held(c, lambda p, cost, t: -np.log(p[t]) / (p @ cost + seen * p[t]))
    return _stepped(c, lambda p, cost, t: 0.5 * (-np.log(p[t]) + weight * (p @ cost + kept)))


def _mode_2(c, flipped=False):
    weight = _ratio(c) if flipped else 1 / _ratio(c)
    return _stepped(c, lambda p, cost, t: -weight * np.log(p[t]) + p @ cost)


row(
    r"D7 mode-1-equals-cross-entropy: \tfrac12\big(\mathrm{CE} + \mathrm{sg}(\mathrm{CE}/L)\,L\big) = \mathrm{CE} "
    r"\text{ in value, with } p_t \text{ detached or not}",
    reference="60-digit logarithm",
    ours=lambda c: [_evaluate("emo-mode-1", *c, detach_target=detach)[0] for detach in (False, True)],
    independent=lambda c: np.full(2, references.logit_cross_entropy(c[1].label, c[0])),
    wrong=lambda c: [_evaluate("emo-mode-1", *c, clip=3.0, detach_target=detach)[0] for detach in (False, True)],
    mistake="cuts the weight off at 3, as the package emoloss does",
)
held_row(
    r"D7 mode-1-gradient: \nabla_z = \tfrac12\big(\nabla \mathrm{CE} + (\mathrm{CE}/L)\,\nabla L\big) \ne \nabla "
    r"\mathrm{CE}",
    ours=lambda c: _evaluate("emo-mode-1", *c),
    independent=lambda c: _stepped(c, lambda p, cost, t: 0.5 * (-np.log(p[t]) + _ratio(c) * (p @ cost))),
    wrong=lambda c: _stepped(c, lambda p, cost, t: -np.log(p[t])),
    mistake="lets the gradient flow through CE/L: what is left is cross-entropy",
)
held_row(
    r"D7 mode-1-detached-target: \tfrac12\big(\mathrm{CE} + \mathrm{sg}\big(\tfrac{\mathrm{CE}}{L + p_t}\big)(L + "
    r"\mathrm{sg}(p_t))\big)",
    ours=lambda c: _evaluate("emo-mode-1", *c, detach_target=True),
    independent=_detached,
    wrong=lambda c: _detached(c, seen=0.0),
    mistake="weighs by CE/L, as if the term's value were L",
)
held_row(
    r"D7 mode-2: \mathrm{sg}(L/\mathrm{CE})\,\mathrm{CE} + L = 2L \text{ in value}",
    ours=lambda c: _evaluate("emo-mode-2", *c),
    independent=_mode_2,
    wrong=lambda c: _mode_2(c, flipped=True),
    mistake="turns the weight upside down",
)
row(
    r"D9 torch-debiased: B = \tfrac12|m_p - \hat e_t|^2",
    ours=lambda c: _evaluate("debiased", *c),
    independent=lambda c: _stepped(c, lambda p, cost, t: _mean_gap(c[1], p)),
    wrong=lambda c: _stepped(c, lambda p, cost, t: 2 * _mean_gap(c[1], p)),
    mistake="forgets the half",
)
row(
    r"D9 torch-ce-plus-debiased: -\log p_t + \lambda\,\tfrac12|m_p - \hat e_t|^2",
    ours=lambda c: _evaluate("ce+debiased", *c, weight=WEIGHT),
    independent=lambda c: _stepped(c, lambda p, cost, t: -np.log(p[t]) + WEIGHT * _mean_gap(c[1], p)),
    wrong=lambda c: _stepped(c, lambda p, cost, t: -np.log(p[t]) - WEIGHT * _mean_gap(c[1], p)),
    mistake="has the wrong sign before the debiased term",
)


TAU = np.array([0.5, 0.3, 0.2])  # how often each of the worked example's tokens comes next
MODES = (("emo-mode-1", {}), ("emo-mode-2", {}), ("emo-mode-1", {"detach_target": True}))
STEP = 0.01  # of the numerical derivative: its error is of order STEP ** 6, its rounding 1e-16 / STEP


def _mean_update(name, logits, **options):
    """D11, `E_{t ~ tau} grad_z loss(z, t)` (V,): what an objective asks of the logits on average."""
    import torch

    z = torch.tensor(np.tile(logits, (TAU.size, 1)), requires_grad=True)
    losses = _objective(name, worked.EMBEDDING, **options)(z, torch.arange(TAU.size), reduction="none")
    (losses @ torch.tensor(TAU)).backward()
    return z.grad.sum(0).numpy()


@functools.cache
def _resting_point(name, rate=2.0, **options):
    """The distribution (V,) where plain descent along the mean update, from equal logits, comes to rest."""
    z = np.zeros(TAU.size)
    for _ in range(5000):
        update = _mean_update(name, z, **options)
        if np.abs(update).max() < 1e-13:
            return references.softmax(z)
        z = z - rate * update
    raise RuntimeError(f"{name} has not come to rest within 5,000 steps")


def _field(name, z, detach_target=False):
    """The mean update in closed form, also of complex logits."""
    p = references.softmax(z)
    total = np.zeros_like(p)
    for t, share in enumerate(TAU):
        column, ce = worked.COST[:, t], -np.log(p[t])
        value = p @ column + (p[t] if detach_target else 0.0)
        of_ce, of_emo = p - np.eye(p.size)[t], p * (column - p @ column)
        mode_1, mode_2 = 0.5 * (of_ce + ce / value * of_emo), value / ce * of_ce + of_emo
        total = total + share * (mode_1 if name == "emo-mode-1" else mode_2)
    return total


def _root(c):
    """The resting point as a root of the closed form; logits count up to a constant, so that the first one stays 0."""
    from scipy.optimize import root

    name, options = c
    solved = root(lambda z: _field(name, np.append(0.0, z), **options)[1:], np.zeros(TAU.size - 1), tol=1e-13)
    if not solved.success:
        raise RuntimeError(f"scipy found no root for {name}: {solved.message}")
    return references.softmax(np.append(0.0, solved.x))


def _asymmetry(matrix):
    return np.abs(matrix - matrix.T).max()


def _numerical_slopes(name, options):
    def along(axis):
        return references.central_difference(lambda s: _mean_update(name, np.log(worked.P) + s * axis, **options), STEP)

    return np.stack([along(axis) for axis in np.eye(TAU.size)], axis=1)


def _apart(p):
    return np.abs(p - TAU).sum() / 2


row(
    r"D11 update-is-no-gradient: F = \mathbb E_{t\sim\tau} \nabla_z \text{ of the published loss}:\ \partial F_i/"
    r"\partial z_j \ne \partial F_j/\partial z_i, \text{ so that } F = \nabla \Phi \text{ for no } \Phi",
    dict(reference="complex step, closed form", tolerance=1e-9, threshold=0.005, instances=lambda: MODES[:2]),
    ours=lambda c: _asymmetry(_numerical_slopes(*c)),
    independent=lambda c: _asymmetry(references.complex_step(lambda z: _field(c[0], z, **c[1]), np.log(worked.P))),
    wrong=lambda c: _asymmetry(_numerical_slopes("ce+emo", {})),
    mistake="makes the same claim of CE + L, which is an objective",
)
row(
    r"D11 comes-to-rest: F(z^*) = 0,\ p^* = \mathrm{softmax}(z^*): "
    r"\text{ where the published update ends for } \tau = (.5, .3, .2)",
    dict(reference="root of the closed form", tolerance=1e-9, instances=lambda: MODES),
    ours=lambda c: np.append(_resting_point(c[0], **c[1]), np.abs(_mean_update(c[0], np.log(_root(c)), **c[1])).max()),
    independent=lambda c: np.append(_root(c), 0.0),
    wrong=lambda c: np.append(TAU, np.abs(_mean_update(c[0], np.log(TAU), **c[1])).max()),
    mistake="expects it to end at tau, as cross-entropy does",
)
row(
    r"D11 rests-away-from-the-truth: \tfrac12 \sum_i |p^*_i - \tau_i| > 0 \text{ in both modes, "
    r"with } p_t \text{ detached too}",
    dict(reference="root of the closed form", tolerance=1e-9, threshold=0.05, instances=lambda: MODES),
    ours=lambda c: _apart(_resting_point(c[0], **c[1])),
    independent=lambda c: _apart(_root(c)),
    wrong=lambda c: _apart(_resting_point("ce+debiased", rate=1.0)),
    mistake="makes the same claim of CE + the debiased score, which is proper",
)
