# %% [markdown]
# # Problem set 5 · Which words are near each other
#
# Six problems to lesson 05, about 80 minutes, 29 points. An embedding is a matrix (V, d), a row per word, of any lengths; $\hat e_i=e_i/|e_i|$.
# Fill in what raises `NotImplementedError`, then run the asserts below it; more of the same kind are run when the set is graded.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import numpy as np
from emo_teach import costs, transport
from emo_teach.words import load_words

SEED = 0
rng = np.random.default_rng([SEED, 5])
WORDS = ["Monday", "Tuesday", "Friday", "king", "queen", "happy", "unhappy", "red", "blue"]
VECTORS = load_words().rows(WORDS).astype(float)
SMALL = rng.normal(size=(7, 3)) * rng.uniform(0.2, 5.0, size=(7, 1))

# %% [markdown]
# ## Problem 5.1 (A8, 4 points, 10 minutes)
#
# The nearest other word of every word, by the cosine. A row of zeros has no direction: refuse it with a `ValueError`.

# %% tags=["answer:5.1"]
def nearest(embedding):
    """Index (V,) of the nearest other row by cosine, for an embedding (V, d)."""
    ### BEGIN SOLUTION
    lengths = np.sqrt(np.einsum("vd,vd->v", embedding, embedding))
    if not lengths.all():
        raise ValueError(f"row {int(lengths.argmin())} is zero and points nowhere")
    likeness = (embedding / lengths[:, None]) @ (embedding / lengths[:, None]).T
    np.fill_diagonal(likeness, -2.0)
    return likeness.argmax(axis=1)
    ### END SOLUTION

# %% tags=["tests:5.1", "points:4"]
found = np.asarray(nearest(VECTORS))
assert found.shape == (9,) and WORDS[found[3]] == "queen" and WORDS[found[4]] == "king", "king and queen are near each other"
assert all(found != np.arange(9)), "a word is not its own neighbour"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 51])
for _ in range(4):
    rows = draw.normal(size=(12, 4)) * draw.uniform(0.01, 100, size=(12, 1))
    kept, found = rows.copy(), np.asarray(nearest(rows))
    assert np.array_equal(rows, kept), "your function changed its input in place"
    for i in range(12):
        angles = [np.arccos(np.clip(rows[i] @ rows[j] / np.sqrt(rows[i] @ rows[i] * (rows[j] @ rows[j])), -1, 1)) for j in range(12)]
        angles[i] = 4.0
        assert found[i] == int(np.argmin(angles)), "the least angle decides, whatever the lengths are"
try:
    nearest(np.array([[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]))
except ValueError:
    pass
else:
    raise AssertionError("a row of zeros must raise ValueError")
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.2 (D3, 5 points, 12 minutes)
#
# The soft bound for a vocabulary of millions: $p^\top C\tau$ under the cosine cost, without ever holding a $V\times V$ matrix.

# %% tags=["answer:5.2"]
def soft_bound(p, tau, embedding):
    """p' C tau for the cosine cost of an embedding (V, d); p and tau (V,)."""
    ### BEGIN SOLUTION
    inverse = 1 / np.sqrt(np.sum(embedding**2, axis=1))
    here, there = (np.dot(weights * inverse, embedding) for weights in (p, tau))
    return float(np.sum(p) * np.sum(tau) - np.dot(here, there))
    ### END SOLUTION

# %% tags=["tests:5.2", "points:5"]
p, tau = np.full(7, 1 / 7), np.eye(7)[2]
assert np.isclose(soft_bound(p, tau, SMALL), costs.cosine(SMALL)[:, 2].mean()), "one-hot label: the mean cost to it"
assert np.isclose(soft_bound(tau, tau, 10 * SMALL), 0, atol=1e-12), "lengths do not matter, and a word costs nothing to itself"
### BEGIN HIDDEN TESTS
import tracemalloc

draw = np.random.default_rng([SEED, 52])
for _ in range(4):
    rows, a, b = draw.normal(size=(9, 4)), draw.dirichlet(np.ones(9)), draw.dirichlet(np.ones(9))
    kept = rows.copy(), a.copy()
    cosines = np.array([[x @ y / np.sqrt((x @ x) * (y @ y)) for y in rows] for x in rows])
    assert np.isclose(soft_bound(a, b, rows), a @ (1 - cosines) @ b, atol=1e-12), "p' C tau"
    assert np.array_equal(rows, kept[0]) and np.array_equal(a, kept[1]), "your function changed its input in place"
rows, a = draw.normal(size=(4000, 3)), draw.dirichlet(np.ones(4000))
tracemalloc.start()
soft_bound(a, a, rows)
most = tracemalloc.get_traced_memory()[1]
tracemalloc.stop()
assert most < 4000 * 4000, "somewhere a V x V matrix is made"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.3 (D4, 4 points, 10 minutes)
#
# $1-\cos$ breaks the triangle inequality, its square root does not. Turn any cosine cost into a metric: which function of the cost is, up to a
# factor, the straight distance between the unit vectors? Return that distance, factor included. It must be exactly 0 on the diagonal, and never
# `nan`.

# %% tags=["answer:5.3"]
def chord(cost):
    """Distances (V, V) between unit vectors from their cosine cost (V, V), which may be a hair below 0."""
    ### BEGIN SOLUTION
    straight = np.sqrt(2.0 * np.where(cost > 0, cost, 0.0))
    straight[np.diag_indices(len(straight))] = 0.0
    return straight
    ### END SOLUTION

# %% tags=["tests:5.3", "points:4"]
right_angle = np.asarray(chord(np.array([[0.0, 1.0], [1.0, 0.0]])))
assert np.isclose(right_angle[0, 1], 2**0.5), "two unit vectors at a right angle are the root of 2 apart"
assert (np.asarray(chord(np.array([[1e-17, -1e-16], [-1e-16, 0.0]]))) == 0).all(), "rounding may leave costs below 0 and diagonals above it"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 53])
for _ in range(4):
    rows = draw.normal(size=(8, 3))
    rows /= np.sqrt((rows**2).sum(1, keepdims=True))
    given = 1 - rows @ rows.T
    kept, found = given.copy(), np.asarray(chord(given), float)
    assert np.array_equal(given, kept), "your function changed its input in place"
    assert np.allclose(found, [[np.sqrt(((x - y) ** 2).sum()) for y in rows] for x in rows], atol=1e-7), "the distance between the vectors themselves"
    assert (found.diagonal() == 0).all() and (found[:, :, None] <= found[:, None, :] + found.T[None] + 1e-9).all(), "the triangle inequality"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.4 (C3, 5 points, 14 minutes)
#
# Why the cost must not be trained along. For one label, $L=\sum_ip_i(1-\langle\hat e_i,\hat e_t\rangle)$. Give the gradient of $L$ on *one row*
# $e_k$, $k\ne t$, of the embedding, with $p$ held fixed. (It is at a right angle to $e_k$, and a step against it turns $e_k$ towards $e_t$,
# whatever $k$ is.)

# %% tags=["answer:5.4"]
def row_gradient(p, embedding, target, k):
    """Gradient (d,) of EMO on the row k != target; p (V,), embedding (V, d)."""
    ### BEGIN SOLUTION
    size = np.sqrt(embedding[k] @ embedding[k])
    toward, own = embedding[target] / np.sqrt(embedding[target] @ embedding[target]), embedding[k] / size
    return p[k] / size * ((own @ toward) * own - toward)
    ### END SOLUTION

# %% tags=["tests:5.4", "points:5"]
slope = np.asarray(row_gradient(np.array([0.5, 0.5]), np.array([[1.0, 0.0], [0.0, 2.0]]), 0, 1), float)
assert np.allclose(slope, [-0.25, 0.0]), "half of the mass, a row of length 2, a target at a right angle"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 54])
for _ in range(5):
    rows, weights = draw.normal(size=(6, 4)) * draw.uniform(0.3, 4, size=(6, 1)), draw.dirichlet(np.ones(6))
    t, k = draw.choice(6, 2, replace=False)
    kept, found = rows.copy(), np.asarray(row_gradient(weights, rows, int(t), int(k)), float)
    assert np.array_equal(rows, kept), "your function changed its input in place"
    for j in range(4):
        moved = rows.astype(complex)
        moved[k, j] += 1e-30j
        unit = moved / np.sqrt((moved**2).sum(1, keepdims=True))
        wanted = (weights * (1 - unit @ unit[t])).sum().imag / 1e-30
        assert np.isclose(found[j], wanted, rtol=1e-9, atol=1e-13), "the derivative of L with respect to each entry of the row"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.5 (D12, 5 points, 16 minutes)
#
# Sinkhorn's algorithm, safe for small regularisation $r$: the plan is $\gamma_{ij}=\exp((u_i+v_j-c_{ij})/r)$. In turn, choose $u$ so that the rows
# sum to $p$, and $v$ so that the columns sum to $\tau$, all with logarithms. Return the plan after `rounds` rounds, each of $u$ first, then $v$;
# start at $u=v=0$. All shares are positive.

# %% tags=["answer:5.5"]
def sinkhorn(p, tau, cost, r, rounds):
    """Entropic plan (n, m) after `rounds` rounds; p (n,), tau (m,) positive, r > 0."""
    ### BEGIN SOLUTION
    kernel, row, column = np.negative(cost) / r, np.zeros((len(p), 1)), np.zeros((1, len(tau)))
    for _ in range(rounds):
        row = np.log(p)[:, None] - np.logaddexp.reduce(kernel + column, axis=1, keepdims=True)
        column = np.log(tau)[None] - np.logaddexp.reduce(kernel + row, axis=0, keepdims=True)
    return np.exp(kernel + row + column)
    ### END SOLUTION

# %% tags=["tests:5.5", "points:5"]
half = np.array([0.5, 0.5])
swap = np.array([[0.0, 1.0], [1.0, 0.0]])
assert np.allclose(sinkhorn(half, half, swap, 1e4, 50), 0.25, atol=1e-4), "at great r the plan is the product of both"
assert np.allclose(sinkhorn(half, half, swap + 5, 1e-3, 50), np.eye(2) / 2), "at small r it is the exact one: e to the -5000 must not appear"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 55])
for r in (1.0, 0.1, 0.003):
    a, b, c = draw.dirichlet(np.full(4, 5.0)), draw.dirichlet(np.full(5, 5.0)), draw.uniform(size=(4, 5))
    one = np.asarray(sinkhorn(a, b, c, r, 1), float)
    assert np.isfinite(one).all() and np.allclose(one.sum(0), b, atol=1e-12), "a round ends with the columns"
    by_hand = np.exp(-(c - c.min(1, keepdims=True)) / r)
    by_hand *= (a / by_hand.sum(1))[:, None]
    by_hand *= b / by_hand.sum(0)
    assert np.allclose(one, by_hand, atol=1e-9), "the first round: rows, then columns"
    more = np.asarray(sinkhorn(a, b, c, r, 4000), float)
    rate = np.log(np.maximum(more, 1e-300)) * r + c
    exchange = rate[:-1, :-1] + rate[1:, 1:] - rate[:-1, 1:] - rate[1:, :-1]
    if r >= 0.1:
        assert np.allclose(more.sum(1), a, atol=1e-8) and np.allclose(exchange, 0, atol=1e-7), "r log plan + cost must be a sum u_i + v_j"
    value, exact = (more * c).sum(), transport.emd(np.append(a, 0), b, np.vstack([c, np.ones((1, 5))])).value
    assert exact - 1e-3 < value < exact + r * np.log(20) + 1e-3, "its cost lies within r log(nm) of the distance"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.6 (D4, D3, 6 points, 18 minutes)
#
# (a) Prove $1-\cos(e_i,e_j)=\frac12|\hat e_i-\hat e_j|^2$. (b) Conclude, for $m_p=\sum_ip_i\hat e_i$, that $\frac12|m_p-m_\tau|^2$ is at most the
# distance between $p$ and $\tau$ under the cosine cost. (c) When is $1-\cos$ itself a metric on a set of three words, no two of the same direction?

# %% [markdown] tags=["proof:5.6", "points:6"]
# ### BEGIN SOLUTION
# (a) $|\hat e_i-\hat e_j|^2=|\hat e_i|^2+|\hat e_j|^2-2\langle\hat e_i,\hat e_j\rangle=2-2\cos$. (b) For any plan $\gamma$,
# $m_p-m_\tau=\sum_{ij}\gamma_{ij}(\hat e_i-\hat e_j)$, since its rows sum to $p$ and its columns to $\tau$. The plan's entries are weights that sum
# to 1, so by Jensen, for the convex function $\frac12|x|^2$, $\frac12|m_p-m_\tau|^2\le\sum_{ij}\gamma_{ij}\frac12|\hat e_i-\hat e_j|^2$, which by
# (a) is the cost of $\gamma$. Take the best plan. (c) With $c=\frac12d^2$ for the distances $d$ of the three unit vectors, $c_{ik}\le
# c_{ij}+c_{jk}$ says $d_{ik}^2\le d_{ij}^2+d_{jk}^2$ for each choice of the middle word: no angle of the triangle of the three points is obtuse
# (law of cosines).
#
# **Rubric.** (a) 1 point. (b) 3 points: the difference as a sum over the plan (1), Jensen with its weights (1), any plan, so the best (1). (c) 2
# points: the squares (1), no obtuse angle in the triangle of the points, or an equal condition (1).
# ### END SOLUTION
