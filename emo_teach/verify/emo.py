"""Rows of lesson 06: A9, D1, D5, D9. (D7 and D11 speak of training objectives and are registered with those.)"""

import math
import statistics

import numpy as np

from .. import costs, transport
from . import exact, instances, references
from .core import Row, register
from .instances import one_hot

SOLVERS = "HiGHS keeps its constraints to 1e-10"
ROUNDING = "sums of at most 200 products of size 2"


def _normalised(p, embedding, target):
    """The wrong version of EMO: the mean direction divided by its length."""
    mean = transport.mean_direction(p, embedding)
    return 1 - mean @ costs.unit_rows(embedding)[target] / max(np.linalg.norm(mean), 1e-300)


register(
    Row(
        label="A9",
        name="emo",
        statement=r"C = 1 - \Big\langle \sum_i p_i \frac{e_i}{|e_i|}, \frac{e_t}{|e_t|}\Big\rangle = \sum_i p_i\,(1 - \cos(e_i, e_t))",
        kind="identity",
        code=(transport.emo, transport.one_hot_emd, costs.cosine),
        reference="LP by HiGHS",
        instances=lambda: instances.token_cases(large=False),
        ours=lambda c: np.array(
            [transport.emo(c.p, c.embedding, c.target), transport.one_hot_emd(c.p, costs.cosine(c.embedding), c.target)]
        ),
        independent=lambda c: np.full(2, references.linear_program(c.p, c.label, c.cost)[0]),
        wrong=lambda c: np.full(2, _normalised(c.p, c.embedding, c.target)),
        mistake="divides the mean m_p by its length (D5)",
        tolerance=1e-9,
        why=SOLVERS,
    )
)


def _emd_gradient(c):
    logits, case = c
    return references.complex_step(lambda z: references.softmax(z) @ case.cost[:, case.target], logits)


def _gradient(c):
    return transport.one_hot_logit_gradient(references.softmax(c[0]), c[1].cost, c[1].target)


register(
    Row(
        label="D1",
        name="gradient",
        statement=r"\partial L/\partial z_j = p_j (c_{jt} - L),\quad L = \sum_i p_i c_{it}",
        kind="identity",
        code=(transport.one_hot_logit_gradient, transport.one_hot_emd),
        reference="complex step",
        instances=lambda: list(instances.logit_cases()),
        ours=_gradient,
        independent=_emd_gradient,
        wrong=lambda c: (
            references.softmax(c[0])
            * (c[1].cost[:, c[1].target] + references.softmax(c[0]) @ c[1].cost[:, c[1].target])
        ),
        mistake="adds the baseline L instead of taking it away",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _policy(p, rewards, baseline, score):
    """Sum over all actions of p_i (reward_i - baseline) grad log p_i."""
    return -sum(p[i] * (rewards[i] - baseline) * score(i) for i in range(p.size))


def _policy_parts(c):
    logits, case = c
    return references.softmax(logits), -case.cost[:, case.target]


register(
    Row(
        label="D1",
        name="policy-gradient",
        statement=r"\nabla_z L = -\mathbb E_{i\sim p}\left[(r_i - b)\,\nabla_z \log p_i\right],\quad r_i = -c_{it}, \text{ for any } b",
        kind="identity",
        code=(transport.one_hot_logit_gradient,),
        reference="enumeration of actions",
        instances=lambda: list(instances.logit_cases()),
        ours=_gradient,
        independent=lambda c: _policy(
            *_policy_parts(c), 0.37, lambda i: one_hot(c[0].size, i) - references.softmax(c[0])
        ),
        wrong=lambda c: _policy(*_policy_parts(c), 0.37, lambda i: one_hot(c[0].size, i)),
        mistake="takes grad log p_i for the one-hot vector, without its -p",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _vertices():
    """(case, vertex): every corner of the smaller cases, right or wrong."""
    for case in instances.token_cases(large=False, per_pair=1):
        for vertex in range(min(case.p.size, 6)):
            yield case, vertex


def _near_vertex(c):
    """Complex-step gradient with one logit 60 above the others."""
    case, vertex = c
    return _emd_gradient((60.0 * one_hot(case.p.size, vertex), case))


register(
    Row(
        label="D1",
        name="zero-at-every-vertex",
        statement=r"p = \mathrm{onehot}_v \Rightarrow \nabla_z L = 0, \text{ right } (v = t) \text{ or wrong}",
        kind="identity",
        code=(transport.one_hot_logit_gradient,),
        reference="complex step, logits 60 apart",
        instances=_vertices,
        ours=lambda c: transport.one_hot_logit_gradient(one_hot(c[0].p.size, c[1]), c[0].cost, c[0].target),
        independent=_near_vertex,
        wrong=lambda c: one_hot(c[0].p.size, c[1]) - c[0].label,
        mistake="expects the pull of cross-entropy, p - onehot",
        tolerance=1e-12,
        why="exp(-60) is 1e-26",
    )
)
register(
    Row(
        label="D1",
        name="target-component",
        statement=r"c_{tt} = 0 \Rightarrow \partial L/\partial z_t = -p_t L: \text{ a target without mass gets no pull}",
        kind="identity",
        code=(transport.one_hot_logit_gradient, transport.emo),
        reference="sum in exact fractions",
        instances=lambda: instances.token_cases(large=False),
        ours=lambda c: np.array(
            [
                transport.one_hot_logit_gradient(c.p, costs.cosine(c.embedding), c.target)[c.target],
                -c.p[c.target] * transport.emo(c.p, c.embedding, c.target),
            ]
        ),
        independent=lambda c: np.full(2, -c.p[c.target] * exact.bilinear(c.p, c.cost, c.label)),
        wrong=lambda c: np.full(2, c.p[c.target] - 1),
        mistake="expects the pull of cross-entropy, p_t - 1",
        tolerance=1e-12,
        why=ROUNDING,
    )
)
register(
    Row(
        label="D1",
        name="norm-at-uniform-p",
        statement=r"p_i = 1/V \Rightarrow |\nabla_z L| = \mathrm{std}(c_{\cdot t})/\sqrt V",
        kind="identity",
        code=(transport.one_hot_logit_gradient,),
        reference="statistics.pstdev",
        instances=lambda: [c for c in instances.token_cases() if c.p.size > 1],
        ours=lambda c: np.linalg.norm(
            transport.one_hot_logit_gradient(np.full(c.p.size, 1 / c.p.size), c.cost, c.target)
        ),
        independent=lambda c: statistics.pstdev(c.cost[:, c.target].tolist()) / math.sqrt(c.p.size),
        wrong=lambda c: np.std(c.cost[:, c.target], ddof=1) / math.sqrt(c.p.size),
        mistake="divides by V - 1 in the standard deviation",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _spread_of_cost(c):
    """Standard deviation of the cost under p, and half its range."""
    p, column = references.softmax(c[0]).tolist(), c[1].cost[:, c[1].target].tolist()
    mean = math.fsum(a * b for a, b in zip(p, column, strict=True))
    return np.array(
        [
            math.sqrt(math.fsum(a * (b - mean) ** 2 for a, b in zip(p, column, strict=True))),
            (max(column) - min(column)) / 2,
        ]
    )


register(
    Row(
        label="D1",
        name="size-of-the-gradient",
        statement=r"\sum_j |\partial L/\partial z_j| \le \mathrm{std}_p(c_{\cdot t}) \le \tfrac12 (\max_i c_{it} - \min_i c_{it})",
        kind="bound",
        code=(transport.one_hot_logit_gradient,),
        reference="sums in Python",
        instances=lambda: list(instances.logit_cases()),
        ours=lambda c: np.full(2, np.abs(_gradient(c)).sum()),
        independent=_spread_of_cost,
        wrong=lambda c: np.full(2, np.abs(references.softmax(c[0]) - c[1].label).sum()),
        mistake="makes the same claim of cross-entropy's gradient, p - onehot",
        tolerance=1e-12,
        why=ROUNDING,
    )
)


def _half_way():
    """(p, embedding, target): mass on two directions, so that the mean is shorter than 1."""
    yield np.array([0.5, 0.5]), np.array([[1.0, 0.0], [0.0, 2.0]]), 0
    yield np.array([0.5, 0.3, 0.2]), np.array([[2.0, 0.0], [4.0, 3.0], [0.0, 3.0]]), 0


def _by_coordinates(p, embedding, target):
    """EMO minus its wrong version, coordinate by coordinate."""
    unit = [[x / math.hypot(*row) for x in row] for row in embedding.tolist()]
    mean = [math.fsum(a * row[k] for a, row in zip(p.tolist(), unit, strict=True)) for k in range(len(unit[0]))]
    cosine = math.fsum(a * b for a, b in zip(mean, unit[target], strict=True))
    return (1 - cosine) - (1 - cosine / math.hypot(*mean))


register(
    Row(
        label="D5",
        name="mean-must-not-be-normalised",
        statement=r"1 - \langle m_p, \hat e_t\rangle \ne 1 - \cos(m_p, e_t) \text{ in general}: \ |m_p| < 1 \text{ unless all mass points one way}",
        kind="witness",
        code=(transport.emo, transport.mean_direction),
        reference="coordinates in Python",
        instances=_half_way,
        ours=lambda c: transport.emo(*c) - _normalised(*c),
        independent=lambda c: _by_coordinates(*c),
        wrong=lambda c: (
            transport.emo(one_hot(c[0].size, 1), c[1], c[2]) - _normalised(one_hot(c[0].size, 1), c[1], c[2])
        ),
        mistake="makes the same claim of a one-hot p, whose mean has length 1",
        tolerance=1e-12,
        why=ROUNDING,
        threshold=0.05,
    )
)
