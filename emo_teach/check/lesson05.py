"""Exercises of lesson 05: the cosine cost, the lower bound of the sandwich, and the triangle inequality."""

import numpy as np

from .. import costs, transport
from .verdicts import Wrong, ask, compare, exercise, random_rows


@exercise("05.1", "A8")
def cosine_cost(answer, rng):
    """`answer(embedding)` is the matrix of 1 - cos between all rows."""
    for n, d in ((4, 3), (6, 2), (5, 5), (3, 8)):
        embedding = random_rows(rng, n, d)
        right = costs.cosine(embedding)
        dots, lengths = embedding @ embedding.T, np.linalg.norm(embedding, axis=1)
        columns = embedding / np.linalg.norm(embedding, axis=0)
        sums = embedding / abs(embedding).sum(1, keepdims=True)
        by_whole = 1 - dots / (embedding**2).sum()
        mistakes = [
            (1 - right, "that is the cosine itself: the cost of a token to itself must be 0, not 1"),
            (1 - dots, "the lengths are still in it: divide each row by its own length first"),
            (1 - dots / lengths[:, None], "only one of the two vectors was divided by its length: divide both"),
            (by_whole, "you divided by the length of the whole matrix: each row has its own (axis=1)"),
            (1 - columns @ columns.T, "you normalised the columns: a token is a row (axis=1)"),
            (1 - abs(1 - right), "you dropped the cosine's sign: opposite directions are the farthest, with cost 2"),
            (2 * right, "twice too large: that is the squared chord |ê_i - ê_j|²"),
            (np.sqrt(2 * right), "that is the chord, a distance that ranks pairs alike: the cost is half its square"),
            (costs.angle(embedding), "that is the angle itself: take 1 minus its cosine"),
            (1 - sums @ sums.T, "you divided by the sum of the sizes: a length is the root of the sum of squares"),
            (np.minimum(right, 1), "you cut the cost off at 1: opposite directions are the farthest, with cost 2"),
        ]
        otherwise = "the cost is off: compare with the example of the lesson, where it is 0.2, 1 and 0.4"
        # roots and arccos make 1e-8 of 1e-16 on the diagonal
        compare(ask(answer, embedding), right, mistakes, otherwise, tolerance=1e-7)


@exercise("05.2", "D3")
def lower_bound(answer, rng):
    """`answer(p, tau, embedding)` is half the squared distance of the two mean directions."""
    for n, d in ((3, 2), (6, 4), (5, 9)):
        embedding, p, tau = random_rows(rng, n, d), rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))
        right = float(transport.jensen_bound(p, tau, embedding))
        m_p, m_tau = transport.mean_direction(p, embedding), transport.mean_direction(tau, embedding)
        raw_p, raw_tau = (q @ embedding / np.linalg.norm(q @ embedding) for q in (p, tau))
        raw = 0.5 * (((p - tau) @ embedding) ** 2).sum()
        cosine = m_p @ m_tau / np.linalg.norm(m_p) / np.linalg.norm(m_tau)
        exact = transport.emd(p, tau, costs.cosine(embedding)).value
        mistakes = [
            (2 * right, "the half is missing: 1 - cos is half the squared chord"),
            (np.sqrt(2 * right), "that is the distance of the means: square it and halve it"),
            (np.sqrt(right / 2), "that is half the distance of the means: it is the square that is halved"),
            (raw, "the rows are not normalised: average directions, not embeddings"),
            (1 - raw_p @ raw_tau, "first every row is normalised, then the average is taken, and left as it is"),
            (-right, "the sign is reversed: half a squared length is never negative"),
            (1 - cosine, "you normalised the means: how short they are is what the bound is about"),
            (1 - m_p @ m_tau, "that is the upper bound 1 - <m_p, m_tau>: compare the means with each other instead"),
            (exact, "that is the exact distance: the bound needs no solver"),
        ]
        otherwise = "the value is off: compare with 0.026 from the lesson's computation on paper"
        compare(ask(answer, p, tau, embedding), right, mistakes, otherwise)


def _triangles(rng):
    """Costs that break the inequality, the first with its middle token in front; then a metric."""
    yield np.array([[0.0, 0.2, 0.5], [0.2, 0.0, 1.2], [0.5, 1.2, 0.0]])
    for n in (4, 6):
        yield costs.cosine(random_rows(rng, n, 2))
    yield costs.chord(random_rows(rng, 5, 3))


@exercise("05.3", "D4")
def triangle_excess(answer, rng):
    """`answer(cost)` is the largest c_ik - (c_ij + c_jk) over all triples."""
    for cost in _triangles(rng):
        n = len(cost)
        detour = cost[:, :, None] + cost[None, :, :]  # [i, j, k]
        excess = cost[:, None, :] - detour
        i, j, k = np.ogrid[:n, :n, :n]
        right = max(float(excess.max()), 0.0)  # repeats give exactly 0
        ordered, distinct = excess[(i < j) & (j < k)].max(), excess[(i != j) & (j != k) & (i != k)].max()
        count = float((excess > 1e-12).sum())
        mistakes = [
            (-right, "the sign is reversed: a broken triangle counts as positive"),
            (ordered, "you only tried i < j < k: the stopover may be any token, also one that stands elsewhere"),
            (excess.min(), "that is the smallest difference: look for the largest"),
            (-excess.min(), "you subtracted the direct way from the detour: take c_ik - (c_ij + c_jk)"),
            (distinct, "you left out triples with repeats: they give 0, so the answer is never negative"),
            (count, "that counts the broken triangles: return by how much the worst one is broken"),
            (cost.max(), "that is the largest cost: subtract the detour over j"),
        ]
        value = ask(answer, cost)
        if np.shape(value) == cost.shape + (n,):
            raise Wrong("you return all differences: return the largest one only")
        compare(value, right, mistakes, "the value is off: for the worked example it is 1 - (0.2 + 0.4)")
