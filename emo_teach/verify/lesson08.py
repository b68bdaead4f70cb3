"""Rows of lesson 08: D13, how long a wrong answer lasts; D14, transforms of EMO (torch); D15, vectors from counts."""

import math

import numpy as np

from .. import transport
from ..world import vectors
from . import instances, references
from .core import row_maker

row = row_maker("08")


def _starts():
    """(p_t, cost) of two tokens, from hopeless to even."""
    return [(p, cost) for p in (1e-6, 1e-3, 0.02, 0.2, 0.45, 0.5) for cost in (0.3, 1.0, 2.0)]


def _by_quadrature(c):
    """Both times as the integral of 1/speed over the difference of the logits, by Gauss-Legendre on short pieces."""
    p, cost = c
    nodes, weights = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(math.log(p / (1 - p)), 0.0, 61)
    half = (edges[1:] - edges[:-1]) / 2
    s = ((edges[1:] + edges[:-1]) / 2)[:, None] + half[:, None] * nodes
    z = s + 1j * references.STEP  # complex steps, all nodes at once
    gradients = [np.imag(loss) / references.STEP for loss in (np.log(1 + np.exp(-z)), cost / (1 + np.exp(z)))]
    return np.array([(half[:, None] * weights / (-2 * g)).sum() for g in gradients])


row(
    r"D13 escape-times: T_{\mathrm{CE}} = \tfrac12(1 - o - \log o),"
    r"\quad T_{\mathrm{EMO}} = \frac{1/o - o - 2\log o}{2c},\quad o = \frac{p_t}{1 - p_t}",
    dict(reference="complex step and quadrature", tolerance=1e-9, instances=_starts),  # quadrature leaves 1e-12
    ours=lambda c: np.array(transport.escape_times(*c)),
    independent=_by_quadrature,
    wrong=lambda c: 2 * np.array(transport.escape_times(*c)),
    mistake="moves one logit only, so that the gap closes at half the speed",
)


def _counts():
    """Symmetric counts, with words that never meet."""
    rng = np.random.default_rng(15)
    for n, most in ((2, 4), (5, 3), (9, 30)):
        half = rng.integers(0, most, size=(n, n))
        yield half + half.T + np.eye(n, dtype=int)


def _by_loops(counts):
    sums, found = [sum(row) for row in counts.tolist()], np.zeros(counts.shape)
    for i, row in enumerate(counts.tolist()):
        for j, count in enumerate(row):
            found[i, j] = max(0.0, math.log(count * sum(sums) / (sums[i] * sums[j]))) if count else 0.0
    return found


row(
    r"D15 positive-mutual-information: M_{ij} = \max\Big(0, \log\frac{n_{ij}\,n}{n_i\,n_j}\Big)",
    dict(reference="loops in Python", instances=_counts),
    ours=vectors.ppmi,
    independent=_by_loops,
    wrong=lambda c: np.log(np.maximum(c, 1) * c.sum() / np.outer(c.sum(1), c.sum(1))) * (c > 0),
    mistake="keeps what is rarer than chance",
)
row(
    r"D15 vectors-hold-the-matrix: X = U\sqrt S \Rightarrow X\,\mathrm{diag}(X^\top X)\,X^\top = M M^\top",
    dict(reference="matrix product", tolerance=1e-10, instances=_counts),  # a singular value decomposition of nine rows
    ours=lambda c: (lambda x: x * (x**2).sum(0) @ x.T)(vectors.ppmi_vectors(c, len(c))),
    independent=lambda c: _by_loops(c) @ _by_loops(c).T,
    wrong=lambda c: (lambda x: x @ x.T)(vectors.ppmi_vectors(c, len(c))),
    mistake="expects X X' to be M M'",
)


PSI = {
    "log": lambda x: -np.log(1 - x),
    "odds": lambda x: x / (1 - x),
    "atanh": lambda x: 0.5 * (np.log(1 + x) - np.log(1 - x)),
}


def _of_transform(kind, logits, column):
    """Gradient on the logits, by autograd."""
    import torch

    from ..losses import transformed

    z = torch.tensor(logits, requires_grad=True)
    transformed(z[None], torch.tensor(column)[None], kind).sum().backward()
    return z.grad.numpy()


def _tried():
    """(logits, costs to the target (V,)): unsure models of 3 to 9 tokens."""
    rng = np.random.default_rng(14)
    for n in (3, 5, 9):
        for _ in range(4):
            target = int(rng.integers(n))
            column = rng.uniform(0.1, 1.5, size=n)
            column[target] = 0
            yield 2 * rng.normal(size=n), column


def _by_complex_step(c):
    logits, column = c
    values = (lambda p, psi=psi: column.max() * psi(p @ column / column.max()) for psi in PSI.values())
    return np.array([references.logit_gradient(value, logits) for value in values])


def _sure():
    """(where the other tokens' mass lies (V,), costs to target 0): nearly all is on one wrong token."""
    rng = np.random.default_rng(140)
    for n in (3, 6):
        q = np.append(instances.spread(rng, n - 1), 0.0)
        yield q, np.append(0.0, np.sort(rng.uniform(0.1, 1.5, size=n - 1)))


def _pull(kind, q, column, confident):
    """Pull on target 0 with all but 1e-12 of the mass on one token."""
    p = 1e-12 * q
    p[confident] += 1 - 1e-12
    with np.errstate(divide="ignore"):
        return -_of_transform(kind, np.maximum(np.log(p), -800.0), column)[0]


def _limit(c):
    """The claim: q_t M/(1 - q.c/M) where the farthest token is believed in, half of it for atanh, nothing elsewhere."""
    q, column = c
    most = column.max()
    full = q[0] * most / (1 - q @ column / most)
    return np.array([full, full / 2, 0.0, 0.0])


row(
    r"D14 transform-gradient: \nabla_z\, M\psi(L/M) = \psi'(L/M)\,\nabla_z L,\quad M = \max_i c_{it},"
    r"\quad \psi = -\log(1-x),\ \tfrac{x}{1-x},\ \operatorname{atanh} x",
    dict(reference="complex step", tolerance=1e-9),  # 1/(1-x)^2 enlarges rounding where nearly all is far away
    instances=_tried,
    ours=lambda c: np.stack([_of_transform(kind, *c) for kind in PSI]),
    independent=_by_complex_step,
    wrong=lambda c: np.stack([_of_transform("log", *c)] * 3),
    mistake="takes -log(1-x) for all three",
)
row(
    r"D14 only-the-farthest-is-pushed: p \to \delta_w:\ -\partial_{z_t} M\psi(L/M) \to \frac{q_t M}{1 - q\cdot c/M} "
    r"\text{ if } c_{wt} = M\ (\psi = -\log(1-x)),\quad 0 \text{ if } c_{wt} < M",
    dict(reference="the limit by hand", tolerance=1e-9, instances=_sure),  # within 1e-11 so near the corner
    ours=lambda c: [_pull(kind, *c, confident) for confident in (-1, -2) for kind in ("log", "atanh")],
    independent=_limit,
    wrong=lambda c: [_pull(kind, *c, -1) for _ in range(2) for kind in ("log", "atanh")],
    mistake="expects the pull back for every wrong token",
)
