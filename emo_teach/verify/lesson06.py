"""Rows of lesson 06: A9, D1, D5, D9. (Those of the training objectives in torch are in `lesson06_losses`.)"""

import math
import statistics

import numpy as np

from .. import costs, divergences, transport
from . import instances, references
from .core import row_maker
from .instances import one_hot

row = row_maker("06")
lp_row = row_maker("06", reference="LP by HiGHS", tolerance=1e-9)  # HiGHS keeps its constraints to 1e-10


def normalised(p, embedding, target):
    """The wrong version of EMO: the mean direction divided by its length."""
    mean = transport.mean_direction(p, embedding)
    return 1 - mean @ costs.unit_rows(embedding)[target] / max(np.linalg.norm(mean), 1e-300)


lp_row(
    r"A9 emo: C = 1 - \Big\langle \sum_i p_i \frac{e_i}{|e_i|}, "
    r"\frac{e_t}{|e_t|}\Big\rangle = \sum_i p_i\,(1 - \cos(e_i, e_t))",
    instances=lambda: instances.token_cases(large=False),
    ours=lambda c: [transport.emo(c.p, c.embedding, c.target), transport.one_hot_emd(c.p, c.cost, c.target)],
    independent=lambda c: np.full(2, references.solved(*c.to_target)[0]),
    wrong=lambda c: np.full(2, normalised(c.p, c.embedding, c.target)),
    mistake="divides the mean m_p by its length (D5)",
)


def _emd_gradient(c):
    return references.logit_gradient(lambda p: p @ c[1].cost[:, c[1].target], c[0])


def _gradient(c):
    return transport.one_hot_logit_gradient(references.softmax(c[0]), c[1].cost, c[1].target)


def _policy(c, score, baseline=0.37):
    """Minus the sum over all actions of p_i (reward_i - baseline) score(i, p), the score being grad log p_i."""
    p, rewards = references.softmax(c[0]), -c[1].cost[:, c[1].target]
    return -sum(p[i] * (rewards[i] - baseline) * score(i, p) for i in range(p.size))


def _vertices():
    """(case, vertex): every corner of the smaller cases, right or wrong."""
    for case in instances.token_cases(large=False, per_pair=1):
        for vertex in range(min(case.p.size, 6)):
            yield case, vertex


def _spread_of_cost(c):
    """Standard deviation of the cost under p, and half its range."""
    p, column = references.softmax(c[0]).tolist(), c[1].cost[:, c[1].target].tolist()
    mean = math.fsum(a * b for a, b in zip(p, column, strict=True))
    variance = math.fsum(a * (b - mean) ** 2 for a, b in zip(p, column, strict=True))
    return math.sqrt(variance), (max(column) - min(column)) / 2


row(
    r"D1 gradient: \partial L/\partial z_j = p_j (c_{jt} - L),\quad L = \sum_i p_i c_{it}",
    dict(reference="complex step", instances=instances.logit_cases),
    ours=_gradient,
    independent=_emd_gradient,
    wrong=lambda c: (p := references.softmax(c[0])) * ((cost := c[1].cost[:, c[1].target]) + p @ cost),
    mistake="adds the baseline L instead of taking it away",
)
row(
    r"D1 policy-gradient: \nabla_z L = -\mathbb E_{i\sim p}\left[(r_i - b)\,\nabla_z \log p_i\right],"
    r"\quad r_i = -c_{it}, \text{ for any } b",
    dict(reference="enumeration of actions", instances=instances.logit_cases),
    ours=_gradient,
    independent=lambda c: _policy(c, lambda i, p: one_hot(p.size, i) - p),
    wrong=lambda c: _policy(c, lambda i, p: one_hot(p.size, i)),
    mistake="takes grad log p_i for the one-hot vector, without its -p",
)
row(
    r"D1 zero-at-every-vertex: p = \mathrm{onehot}_v \Rightarrow \nabla_z L = 0, "
    r"\text{ right } (v = t) \text{ or wrong}",
    dict(reference="complex step, logits 60 apart", instances=_vertices),
    ours=lambda c: transport.one_hot_logit_gradient(one_hot(c[0].p.size, c[1]), c[0].cost, c[0].target),
    independent=lambda c: _emd_gradient((60.0 * one_hot(c[0].p.size, c[1]), c[0])),
    wrong=lambda c: one_hot(c[0].p.size, c[1]) - c[0].label,
    mistake="expects the pull of cross-entropy, p - onehot",
)
row(
    r"D1 target-component: c_{tt} = 0 \Rightarrow \partial L/\partial z_t = -p_t L: "
    r"\text{ a target without mass gets no pull}",
    dict(reference="sum in exact fractions", instances=lambda: instances.token_cases(large=False)),
    ours=lambda c: [
        transport.one_hot_logit_gradient(c.p, c.cost, c.target)[c.target],
        -c.p[c.target] * transport.emo(c.p, c.embedding, c.target),
    ],
    independent=lambda c: np.full(2, -c.p[c.target] * references.bilinear(c.p, c.cost, c.label)),
    wrong=lambda c: np.full(2, c.p[c.target] - 1),
    mistake="expects the pull of cross-entropy, p_t - 1",
)
row(
    r"D1 norm-at-uniform-p: p_i = 1/V \Rightarrow |\nabla_z L| = \mathrm{std}(c_{\cdot t})/\sqrt V",
    dict(reference="statistics.pstdev", instances=lambda: [c for c in instances.token_cases() if c.p.size > 1]),
    ours=lambda c: np.linalg.norm(transport.one_hot_logit_gradient(np.full(c.p.size, 1 / c.p.size), c.cost, c.target)),
    independent=lambda c: statistics.pstdev(c.cost[:, c.target].tolist()) / math.sqrt(c.p.size),
    wrong=lambda c: np.std(c.cost[:, c.target], ddof=1) / math.sqrt(c.p.size),
    mistake="divides by V - 1 in the standard deviation",
)
row(
    r"D1 size-of-the-gradient: \sum_j |\partial L/\partial z_j| \le \mathrm{std}_p(c_{\cdot t}) \le \tfrac12 (\max_i "
    r"c_{it} - \min_i c_{it})",
    dict(reference="sums in Python", sense="<=", instances=instances.logit_cases),
    ours=lambda c: np.full(2, np.abs(_gradient(c)).sum()),
    independent=_spread_of_cost,
    wrong=lambda c: np.full(2, np.abs(references.softmax(c[0]) - c[1].label).sum()),
    mistake="makes the same claim of cross-entropy's gradient, p - onehot",
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


row(
    r"D5 mean-must-not-be-normalised: 1 - \langle m_p, \hat e_t\rangle \ne 1 - \cos(m_p, e_t) \text{ in general}: "
    r"\ |m_p| < 1 \text{ unless all mass points one way}",
    dict(reference="coordinates in Python", threshold=0.05, instances=_half_way),
    ours=lambda c: transport.emo(*c) - normalised(*c),
    independent=lambda c: _by_coordinates(*c),
    wrong=lambda c: transport.emo(one_hot(c[0].size, 1), *c[1:]) - normalised(one_hot(c[0].size, 1), *c[1:]),
    mistake="makes the same claim of a one-hot p, whose mean has length 1",
)


def _unit(embedding):
    return embedding / np.sqrt((embedding**2).sum(axis=1, keepdims=True))


def _expected_debiased(c, q):
    """Mean over labels drawn from tau of the debiased score of q."""
    return sum(mass * transport.debiased(q, one_hot(q.size, t), c.cost) for t, mass in enumerate(c.tau) if mass > 0)


def _moment(c, sign=-1):
    unit, nothing = _unit(c.embedding), np.zeros(c.p.size)
    gap, own = (references.squared_distance(a, b, unit) / 2 for a, b in ((c.p, c.tau), (c.tau, nothing)))
    return gap + 0.5 + sign * own


def _candidates(c):
    """Rivals of the label: the model, the corners, small steps from the label to a corner, random ones."""
    rng = np.random.default_rng(instances.SEED + c.p.size)
    corners = np.eye(c.p.size)[:8]
    return [c.p, *corners, *(0.99 * c.tau + 0.01 * corners), *(instances.spread(rng, c.p.size) for _ in range(6))]


def _coordinate_score(c, q):
    """Expected one-hot score from coordinates: E ½ |m_q - ê_t|^2."""
    unit = _unit(c.embedding)
    return 0.5 * float(c.tau @ ((q @ unit - unit) ** 2).sum(axis=1))


def _crowded():
    """(tau, unit vectors, direction) with V = d + 4 tokens in d dimensions."""
    rng = np.random.default_rng(instances.SEED)
    for d in (2, 3, 5):
        unit = _unit(rng.normal(size=(d + 4, d)))
        yield np.full(d + 4, 1 / (d + 4)), unit, rng.normal(size=d + 4)


def _same_mean(tau, points, direction):
    """The distribution furthest along `direction` that has the mean point of tau: tau on affinely independent ones."""
    equal = np.vstack([points.T, np.ones(tau.size)])
    q = np.clip(references.minimise(-direction, A_eq=equal, b_eq=equal @ tau).x, 0, None)
    return q / q.sum()


def _blind_spot(c):
    """Total variation to another distribution of the same mean, less the score that should have told them apart."""
    tau, points, direction = c
    other = _same_mean(tau, points, direction)
    return divergences.total_variation(other, tau) - transport.debiased(other, tau, costs.cosine(points))


def _blind_spot_by_hand(c):
    tau, points, direction = c
    other = _same_mean(tau, points, direction)
    apart = sum(max(a - b, 0.0) for a, b in zip(other.tolist(), tau.tolist(), strict=True))
    return apart - references.squared_distance(other, tau, points) / 2


def _on_a_simplex(c):
    """The same with the first d + 1 tokens only, which are affinely independent."""
    tau, points, direction = c
    n = points.shape[1] + 1
    return _blind_spot((np.full(n, 1 / n), points[:n], direction[:n]))


row(
    r"D9 debiased-is-a-squared-distance: p^\top C\tau - \tfrac12 p^\top C p - \tfrac12 \tau^\top C\tau = \tfrac12 "
    r"|m_p - m_\tau|^2",
    dict(reference="exact sums of coordinates", instances=lambda: instances.token_cases(large=False)),
    ours=lambda c: [transport.debiased(*c.problem), transport.jensen_bound(c.p, c.tau, c.embedding)],
    independent=lambda c: np.full(2, references.squared_distance(c.p, c.tau, _unit(c.embedding)) / 2),
    wrong=lambda c: np.full(2, transport.product_bound(*c.problem) - transport.product_bound(c.p, c.p, c.cost)),
    mistake="takes away the whole of p's own term, not half of it and half of tau's",
)
row(
    r"D9 expected-one-hot-score: \mathbb E_{t\sim\tau}\,\tfrac12|m_p - \hat e_t|^2 = \tfrac12|m_p - m_\tau|^2 + "
    r"\tfrac12(1 - |m_\tau|^2)",
    dict(reference="exact sums of coordinates", instances=lambda: instances.token_cases(large=False, per_pair=1)),
    ours=lambda c: _expected_debiased(c, c.p),
    independent=_moment,
    wrong=lambda c: _moment(c, sign=1),
    mistake="has the wrong sign in the constant: 1 + |m_tau|^2",
)
row(
    r"D9 proper: \mathbb E_{t\sim\tau} S(\tau, t) \le \mathbb E_{t\sim\tau} S(q, t) \ \forall q,"
    r"\quad S(q, t) = \tfrac12|m_q - \hat e_t|^2",
    dict(reference="coordinates, many rivals", sense="<="),
    instances=lambda: instances.token_cases(large=False, per_pair=1),
    ours=lambda c: _expected_debiased(c, c.tau),
    independent=lambda c: min(_coordinate_score(c, q) for q in _candidates(c)),
    wrong=lambda c: transport.product_bound(c.tau, c.tau, c.cost),
    wrong_independent=lambda c: min(transport.product_bound(q, c.tau, c.cost) for q in _candidates(c)),
    mistake="makes the same claim of the product bound (EMO), which is not debiased",
)
row(
    r"D9 brier: c_{ij} = 1 - \delta_{ij} \Rightarrow p^\top C\tau - \tfrac12 p^\top C p - \tfrac12 \tau^\top C\tau = "
    r"\tfrac12|p - \tau|^2",
    dict(reference="sum in exact fractions", instances=lambda: instances.token_cases(per_pair=1)),
    ours=lambda c: transport.debiased(c.p, c.tau, costs.zero_one(c.p.size)),
    independent=lambda c: references.squared_distance(c.p, c.tau, np.eye(c.p.size)) / 2,
    wrong=lambda c: ((c.p - c.tau) ** 2).sum(),
    mistake="forgets the half",
)
lp_row(
    r"D9 not-strictly-proper: V > d + 1 \Rightarrow \exists\, q \ne \tau:\ m_q = m_\tau: "
    r"\text{ the score pins the mean only}",
    dict(reference="exact sums of coordinates", threshold=0.05, instances=_crowded),
    ours=_blind_spot,
    independent=_blind_spot_by_hand,
    wrong=_on_a_simplex,
    mistake="makes the same claim of V = d + 1 affinely independent tokens",
)
