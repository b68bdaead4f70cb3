# %% [markdown]
# # Problem set 5 · The cosine cost and its sandwich
#
# Six problems to lesson 05, about 85 minutes, 30 points. Fill in what raises `NotImplementedError`, then run the cell of asserts below it; more
# asserts of the same kind are run when the set is graded. Write your functions as you like, but keep their names.
#
# $\hat e_i=e_i/|e_i|$ are the directions of an embedding's rows, which may have any length, $c_{ij}=1-\langle\hat e_i,\hat e_j\rangle$ is the
# cosine cost, and $m_p=\sum_ip_i\hat e_i$.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import tracemalloc
import numpy as np
from emo_teach import costs, transport, worked
from emo_teach.words import load_words

SEED = 0
rng = np.random.default_rng([SEED, 5])
WORDS = load_words()
CHOSEN = rng.choice(len(WORDS.words), size=12, replace=False)
E = WORDS.embedding[CHOSEN]  # (12, d): some words of the lesson
COST = costs.cosine(E)
P, TAU, ROWS, EXAMPLE_COST = (np.array(x) for x in (worked.P, worked.TAU, worked.EMBEDDING, worked.COST))  # the example on paper
MODELS, LABELS = rng.dirichlet(np.full(12, 0.5), size=5), rng.dirichlet(np.full(12, 0.5), size=5)


def peak_memory(function, *args):
    """Most bytes held at once while the function runs."""
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

# %% [markdown]
# ## Problem 5.1 (A8, 3 points, 8 minutes)
#
# How far apart are two words on average? Return the mean of $c_{ij}$ over all pairs of *different* rows, $i\ne j$. A vocabulary of 50,000 has more
# than a billion pairs, so do not list them: the lesson found the mean of all $\langle\hat e_i,\hat e_j\rangle$, including $i=j$, in one short vector.
# A row of zeros has no direction: `ValueError`.

# %% tags=["answer:5.1"]
def mean_cost(embedding):
    """Mean cosine cost of two different rows of an embedding (V, d), V at least 2, in O(V d) time and memory."""
    ### BEGIN SOLUTION
    lengths = np.sqrt(np.einsum("vd,vd->v", embedding, embedding))
    if not lengths.all():
        raise ValueError(f"row {lengths.argmin()} has length 0")
    V, whole = len(lengths), np.sum(embedding / lengths[:, None], axis=0)
    return float(1 - (whole @ whole - V) / (V * V - V))  # V of the V² dot products are of a row with itself
    ### END SOLUTION

# %% tags=["tests:5.1", "points:3"]
assert np.isclose(mean_cost(ROWS.copy()), 1.6 / 3), "the costs of lesson 05's three pairs are 0.2, 1 and 0.4"
assert np.isclose(mean_cost(np.array([[2.0, 0.0], [-7.0, 0.0]])), 2), "opposite directions cost 2; did a row meet itself?"
assert np.isclose(mean_cost(E.copy()), COST.sum() / (12 * 11), rtol=1e-9), "another mean than that of all listed pairs"
assert peak_memory(mean_cost, rng.normal(size=(1500, 3))) < 4e6, "a matrix of V x V numbers (18 MB here) was made on the way"
try:
    mean_cost(np.array([[1.0, 2.0], [0.0, 0.0]]))
except ValueError:
    pass
else:
    raise AssertionError("a row of zeros must raise ValueError")
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 51])
for V, d in ((2, 5), (7, 2), (40, 3)):
    rows = draw.normal(size=(V, d)) * draw.uniform(0.1, 9, size=(V, 1))
    kept, pairs = rows.copy(), []
    for i in range(V):
        for j in range(i):
            pairs.append(1 - rows[i] @ rows[j] / np.sqrt((rows[i] @ rows[i]) * (rows[j] @ rows[j])))
    assert np.isclose(float(mean_cost(rows)), np.mean(pairs), rtol=1e-9, atol=1e-12), "not the mean over all pairs of different rows"
    assert np.array_equal(rows, kept), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.2 (D3, 4 points, 10 minutes)
#
# The product bound $p^\top C\tau$ is a lower bound and two spreads, one on top of the other. Return the three slices of the sandwich for $N$ pairs at
# once, without a $V\times V$ matrix: $\tfrac12|m_p-m_\tau|^2$, the spread of $p$, the spread of $\tau$.

# %% tags=["answer:5.2"]
def slices(p, tau, embedding):
    """Array (N, 3): Jensen's lower bound, spread of p, spread of tau, for p (N, V), tau (N, V), embedding (V, d)."""
    ### BEGIN SOLUTION
    means = [q @ (embedding.T / np.linalg.norm(embedding, axis=1)).T for q in (p, tau)]
    apart = means[0] - means[1]
    short = [(1 - np.einsum("nd,nd->n", m, m)) / 2 for m in means]
    return np.column_stack([np.einsum("nd,nd->n", apart, apart) / 2, *short])
    ### END SOLUTION

# %% tags=["tests:5.2", "points:4"]
on_paper = np.asarray(slices(P[None], TAU[None], ROWS.copy()), float)
assert on_paper.shape == (1, 3), "a row for each pair: lower bound, spread of p, spread of tau"
assert np.allclose(on_paper, [[0.026, 0.154, 0.048]]), "the lesson has 0.026, 0.154 and 0.048 for the example on paper"
found = np.asarray(slices(MODELS, LABELS, E.copy()), float)
upper = [p @ COST @ tau for p, tau in zip(MODELS, LABELS, strict=True)]
exact = transport.emd_many(MODELS, LABELS, COST).value
assert np.allclose(found.sum(1), upper, rtol=1e-9), "the three slices add up to the product bound"
assert (found[:, 0] <= exact + 1e-12).all(), "the first slice is above the exact distance: rows of length 1, means left as they are?"
many = rng.dirichlet(np.ones(1500), size=4)
assert peak_memory(slices, many[:2], many[2:], rng.normal(size=(1500, 3))) < 4e6, "a matrix of V x V numbers (18 MB here) was made on the way"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 52])
for N, V, d in ((1, 2, 3), (4, 6, 2), (3, 9, 20)):
    rows = draw.normal(size=(V, d)) * draw.uniform(0.1, 9, size=(V, 1))
    p, tau, c = draw.dirichlet(np.ones(V), size=N), draw.dirichlet(np.full(V, 0.3), size=N), costs.cosine(rows)
    tau[0] = np.eye(V)[0]
    kept = p.copy(), tau.copy(), rows.copy()
    found = np.asarray(slices(p, tau, rows), float)
    for n in range(N):  # D3's slices as quadratic forms in the costs
        wanted = [-(p[n] - tau[n]) @ c @ (p[n] - tau[n]) / 2, p[n] @ c @ p[n] / 2, tau[n] @ c @ tau[n] / 2]
        assert np.allclose(found[n], wanted, rtol=1e-8, atol=1e-10), f"slices {found[n]}, not {wanted}"
    assert all(np.array_equal(a, b) for a, b in zip(kept, (p, tau, rows), strict=True)), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.3 (D4, 5 points, 14 minutes)
#
# A detour can be cheaper than the direct way, so let us make detours. You go from the direction of $a$ to that of $c$ (not opposite ones) in $K$
# steps, and each step costs one minus the cosine. Where do you stop so that all steps together are cheapest? (How does the cost of a step grow with
# its angle: faster than the angle, or slower? What follows for the lengths of the steps?) If $a$ and $c$ have one direction, stay there.

# %% tags=["answer:5.3"]
def stopovers(a, c, K):
    """The K - 1 cheapest stopovers (K - 1, d) in their order, of any length above 0, from a (d,) to c (d,)."""
    ### BEGIN SOLUTION
    start = a / np.sqrt(a @ a)
    sideways = c - (c @ start) * start
    turn = np.arctan2(np.sqrt(sideways @ sideways), c @ start)
    if turn > 0:
        sideways = sideways / np.sqrt(sideways @ sideways)
    reached = turn * np.arange(1, K)[:, None] / K  # K equal steps along the great circle
    return np.cos(reached) * start + np.sin(reached) * sideways
    ### END SOLUTION

# %% tags=["tests:5.3", "points:5"]
def way_cost(a, stops, c):
    """Cost of a, stops[0], ..., c: the sum of 1 - cos over the steps, computed as half a squared chord."""
    rows = costs.unit_rows(np.vstack([a, *stops, c]))
    return float((np.diff(rows, axis=0) ** 2).sum() / 2)

monday, _, banana = ROWS
one = np.asarray(stopovers(monday.copy(), banana.copy(), 2), float)
assert one.shape == (1, 2), "K steps have K - 1 stopovers"
assert way_cost(monday, one, banana) < 0.6, "Tuesday is a better stopover than yours: 0.2 + 0.4"
rivals = rng.normal(size=(2000, 1, 2))
assert way_cost(monday, one, banana) <= min(way_cost(monday, r, banana) for r in rivals) + 1e-12, "a random stopover was better than yours"
three = np.asarray(stopovers(monday.copy(), banana.copy(), 4), float)
assert three.shape == (3, 2), "K steps have K - 1 stopovers"
assert way_cost(monday, three, banana) < way_cost(monday, one, banana), "more stopovers make it cheaper still"
tried = [way_cost(monday, three + 0.01 * rng.normal(size=three.shape), banana) for _ in range(200)]
assert way_cost(monday, three, banana) <= min(tried), "moving your stopovers a little makes the way cheaper"
assert np.asarray(stopovers(monday.copy(), banana.copy(), 1), float).shape == (0, 2), "one step has no stopover"
print("cost in 1, 2, 4, ..., 64 steps:", [round(way_cost(monday, stopovers(monday.copy(), banana.copy(), 2**k), banana), 4) for k in range(7)])
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 53])
for d, K in ((2, 3), (3, 2), (5, 7), (40, 5)):
    a, c = draw.normal(size=(2, d)) * np.array([[0.3], [4.0]])
    kept = a.copy(), c.copy()
    stops = np.asarray(stopovers(a, c, K), float)
    assert stops.shape == (K - 1, d), "the shape is (K - 1, d)"
    here, angle = way_cost(a, stops, c), costs.angle(np.array([a, c]))[0, 1]
    assert np.isclose(here, K * (1 - np.cos(angle / K)), rtol=1e-9), "not the cheapest stopovers (do a and c have length 1? are the steps equal?)"
    unit = costs.unit_rows(stops)
    for _ in range(50):
        assert here <= way_cost(a, unit + 0.02 * draw.normal(size=unit.shape), c) + 1e-12, "moving your stopovers a little makes the way cheaper"
    assert np.array_equal(a, kept[0]) and np.array_equal(c, kept[1]), "your function changed its input"
for flat in (np.array([0.0, 3.0, 0.0]), np.array([0.25, 0.5, 1.0])):
    still = np.asarray(stopovers(flat.copy(), 2 * flat, 4), float)
    assert np.isfinite(still).all() and way_cost(flat, still, flat) < 1e-12, "one direction: stay there, for nothing"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.4 (D12, 6 points, 18 minutes)
#
# The plan that minimises $\sum_{ij}\gamma_{ij}c_{ij}+\varepsilon\,\mathrm{KL}(\gamma\Vert p\tau^\top)$ is
# $\gamma_{ij}=p_i\tau_je^{(f_i+g_j-c_{ij})/\varepsilon}$ for some $f$ and $g$. *Sinkhorn's iteration* finds them: choose $f$ so that the rows sum to
# $p$, then $g$ so that the columns sum to $\tau$, then $f$ again, until both hold. Write it so that it works where $e^{-c/\varepsilon}$ is too small
# for a float: keep $f$ and $g$ themselves, and use $\log\sum e^{\dots}$ (`np.logaddexp.reduce`, `scipy.special.logsumexp`). Stop when no row or
# column sum is off by more than $10^{-9}$; 100,000 rounds are always enough here. Tokens may have $p_i=0$ or $\tau_j=0$.

# %% tags=["answer:5.4"]
def sinkhorn_plan(p, tau, cost, regularisation):
    """Entropic plan (n, n) between p (n,) and tau (n,) under cost (n, n), its sums right to 1e-9."""
    ### BEGIN SOLUTION
    here, there = p > 0, tau > 0
    log_p, log_tau = np.log(p[here]), np.log(tau[there])
    score = log_p[:, None] + log_tau - cost[here][:, there] / regularisation
    back = 0.0 * log_tau
    for _round in range(100_000):
        out = log_p - np.logaddexp.reduce(score + back, axis=1)
        back = log_tau - np.logaddexp.reduce(score.T + out, axis=1)
        inner = np.exp(out[:, None] + score + back)
        if abs(inner.sum(axis=1) - p[here]).max() < 5e-10:  # the columns are right, being fitted last
            break
    plan = np.zeros(cost.shape)
    plan[np.ix_(here, there)] = inner
    return plan
    ### END SOLUTION

# %% tags=["tests:5.4", "points:6"]
def certify(plan, p, tau, cost, eps):
    """Is this the entropic plan? Its sums must be p and tau, and log(plan / p tau) + cost / eps must be of the form f_i + g_j."""
    plan, k, l = np.asarray(plan, float), p > 0, tau > 0
    assert plan.shape == cost.shape and np.isfinite(plan).all() and (plan >= 0).all(), "a plan of finite numbers, none below 0 (did it overflow?)"
    assert np.abs(plan.sum(1) - p).max() < 2e-9, "the rows do not sum to p"
    assert np.abs(plan.sum(0) - tau).max() < 2e-9, "the columns do not sum to tau"
    inside = plan[np.ix_(k, l)]
    assert (inside > 0).all(), "an entropic plan sends a little everywhere"
    rest = np.log(inside) - np.log(np.outer(p[k], tau[l])) + cost[np.ix_(k, l)] / eps
    rest = rest - rest.mean(0) - rest.mean(1, keepdims=True) + rest.mean()
    assert np.abs(rest).max() < 1e-6, "sums are right, but the plan is not p tau exp((f + g - c) / eps): which cost, which eps?"

example = P, TAU, EXAMPLE_COST
for eps in (1.0, 0.1):
    certify(sinkhorn_plan(*(x.copy() for x in example), eps), *example, eps)
assert np.allclose(sinkhorn_plan(*(x.copy() for x in example), 1e6), np.outer(P, TAU), atol=1e-6), "with a huge eps nobody leaves the product plan"
mean_costs = [(np.asarray(sinkhorn_plan(*(x.copy() for x in example), eps)) * EXAMPLE_COST).sum() for eps in (1.0, 0.1, 0.02, 0.001)]
assert np.all(np.diff(mean_costs) < 1e-9), "a smaller eps never has a dearer plan"
assert np.isclose(mean_costs[-1], transport.emd(*example).value, atol=1e-3), "with a tiny eps the mean cost is the exact distance"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 54])
for n in (2, 4, 7):
    c = draw.uniform(0.0, 1.0, size=(n, n))  # lopsided
    p, tau = draw.dirichlet(np.full(n, 3.0), size=2)
    if n > 2:
        p[n - 1] = tau[0] = 0.0
        p, tau = p / p.sum(), tau / tau.sum()
    kept = p.copy(), tau.copy(), c.copy()
    for eps in (3.0, 0.2, 0.05):
        plan = sinkhorn_plan(p, tau, c, eps)
        certify(plan, p, tau, c, eps)
        assert np.allclose(plan, transport.entropic(p, tau, c, eps)[1], atol=1e-7), "not POT's plan"
    assert all(np.array_equal(a, b) for a, b in zip(kept, (p, tau, c), strict=True)), "your function changed its input"
    for far in (300.0, 3000.0):  # exp(-c / eps) is 0 or inf in floating point, exp((f + g - c) / eps) is not
        shifted = c * 0.3 + far * draw.choice([-1.0, 1.0], size=(n, 1))
        certify(sinkhorn_plan(p, tau, shifted, 0.2), p, tau, shifted, 0.2)
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.5 (C3, 5 points, 16 minutes)
#
# The LM head has two jobs in EMO. It makes the logits $z_i=\langle e_i,h\rangle$ of a context $h$, and it makes the costs $c_{it}$:
#
# $$L=\sum_ip_i\,(1-\langle\hat e_i,\hat e_t\rangle),\qquad p=\mathrm{softmax}(z).$$
#
# If nothing is frozen, the slope of $L$ with respect to each row $e_k$ is a sum of two: by way of the logits, and by way of the costs. Find both on
# paper and return them, each $(V,d)$. (An honest training step uses the first alone; the second is the pupil's hand on the ruler.)

# %% tags=["answer:5.5"]
def two_slopes(embedding, h, target):
    """Slopes of L by way of the logits and by way of the costs, two arrays (V, d); embedding (V, d), h (d,), target an index."""
    ### BEGIN SOLUTION
    p = np.exp(embedding @ h - np.logaddexp.reduce(embedding @ h))
    size = np.linalg.norm(embedding, axis=1)[:, None]
    hat = embedding / size
    price = 1 - hat @ hat[target]
    by_logits = (p * (price - p @ price))[:, None] * h  # D1 times the slope of z_k, which is h
    pulled = p[:, None] * hat[target]
    pulled[target] = p @ hat  # the target is drawn to all the others
    by_costs = ((pulled * hat).sum(1)[:, None] * hat - pulled) / size  # only the part across the row turns it
    return by_logits, by_costs
    ### END SOLUTION

# %% tags=["tests:5.5", "points:5"]
def loss(for_logits, for_costs, h, target):
    """L with one embedding for each of the two jobs; complex numbers allowed."""
    e = np.exp(for_logits @ h - (for_logits @ h).real.max())
    hat = for_costs / np.sqrt((for_costs**2).sum(1))[:, None]
    return (e / e.sum()) @ (1 - hat @ hat[target])

def compare(found, embedding, h, target, ways):
    """Slopes in a few directions, by a complex step (no rounding to speak of)."""
    assert len(found) == 2, "two arrays: by way of the logits, by way of the costs"
    first, second = (np.asarray(g, float) for g in found)
    assert first.shape == second.shape == embedding.shape, "one slope for each number in the embedding"
    for way in ways:
        step = 1e-30j * way
        for g, moved, name in ((first, (step, 0), "logits"), (second, (0, step), "costs")):
            wanted = loss(embedding + moved[0], embedding + moved[1], h, target).imag / 1e-30
            assert np.isclose((g * way).sum(), wanted, rtol=1e-8, atol=1e-12), f"by way of the {name}: not the slope that a small step shows"

small, context = rng.normal(size=(5, 3)) * rng.uniform(0.5, 3, size=(5, 1)), rng.normal(size=3)
kept = small.copy()
compare(two_slopes(small, context.copy(), 2), small, context, 2, rng.normal(size=(4, 5, 3)))
assert np.array_equal(kept, small), "your function changed its input"
_, ruler = (np.array(g, float) for g in two_slopes(E, np.zeros(E.shape[1]), 0))  # a context that says nothing: p is uniform
ruler[0] = 0  # only the other rows move, by about a thousandth of their length
after = costs.cosine(E - 1e-3 * np.linalg.norm(E) / np.linalg.norm(ruler) * ruler)
assert (after[1:, 0] < COST[1:, 0]).all(), "a small step down the second slope brings *every* word nearer to the target, right or wrong"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 55])
for V, d in ((2, 2), (4, 7), (9, 3)):
    rows = draw.normal(size=(V, d)) * draw.uniform(0.2, 5, size=(V, 1))
    h, t = draw.normal(size=d), int(draw.integers(V))
    axes = [np.eye(V * d)[k].reshape(V, d) for k in draw.permutation(V * d)[:12]]
    on_target = np.outer(np.eye(V)[t], draw.normal(size=d))
    compare(two_slopes(rows.copy(), h.copy(), t), rows, h, t, [*axes, on_target, draw.normal(size=(V, d))])
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 5.6 (D4, 7 points, 20 minutes)
#
# Let $c_{ij}=1-\langle\hat e_i,\hat e_j\rangle$. Prove:
#
# 1. The *root* $\sqrt{c_{ij}}$ obeys the triangle inequality. When is it a metric on the tokens, and when not?
# 2. If $\hat e_i$ and $\hat e_k$ are neither equal nor opposite, there is a direction $b$ with
#    $(1-\langle\hat e_i,b\rangle)+(1-\langle b,\hat e_k\rangle)<c_{ik}$: a word in that direction would break the triangle inequality of $c$.
# 3. But no detour saves more than half: $c_{ik}\le2\,(c_{ij}+c_{jk})$ for all $i,j,k$. In dimension 2 or more, no number below 2 will do for all
#    embeddings.

# %% [markdown] tags=["proof:5.6", "points:7"]
# ### BEGIN SOLUTION
# **1.** Expanding the square, $|\hat e_i-\hat e_j|^2=1-2\langle\hat e_i,\hat e_j\rangle+1=2c_{ij}$, since both have length 1. Hence
# $\sqrt{c_{ij}}=\frac1{\sqrt2}|\hat e_i-\hat e_j|$, and with $\hat e_i-\hat e_k=(\hat e_i-\hat e_j)+(\hat e_j-\hat e_k)$ the triangle inequality of
# the Euclidean length gives $\sqrt{c_{ik}}\le\sqrt{c_{ij}}+\sqrt{c_{jk}}$. Symmetry, $c_{ij}\ge0$ and $c_{ii}=0$ are plain from the same formula.
# What is left of a metric's axioms is that different tokens are at a distance above 0. By the formula $c_{ij}=0$ exactly if $\hat e_i=\hat e_j$: the
# root is a metric if no two tokens share a direction, otherwise a pseudometric only.
#
# **2.** Let $s=\hat e_i+\hat e_k$ and $x=|s|$. The directions are not opposite, so $x>0$; nor equal, so $x<2$. Take $b=s/x$. The detour costs
# $2-\langle s,b\rangle=2-x$. The direct way costs $1-\langle\hat e_i,\hat e_k\rangle=2-\frac12x^2$, for $x^2=2+2\langle\hat e_i,\hat e_k\rangle$.
# Since $0<x<2$ we have $\frac12x^2<x$, so that $2-x<2-\frac12x^2$: the detour is strictly cheaper.
#
# **3.** For real $y,z$: $(y+z)^2\le(y+z)^2+(y-z)^2=2y^2+2z^2$. Put $y=\sqrt{c_{ij}}$, $z=\sqrt{c_{jk}}$ and square part 1:
# $c_{ik}\le(y+z)^2\le2(c_{ij}+c_{jk})$. For the detour of part 2 the quotient is
#
# $$\frac{2-\frac12x^2}{2-x}=\frac{(2-x)(2+x)}{2(2-x)}=1+\frac x2 .$$
#
# In dimension 2 or more two directions can have any angle, so $x$ can be as close to 2 as we like, and the quotient too: a constant $K<2$ fails as
# soon as $1+\frac x2>K$.
#
# **Rubric** (7 points). *Part 1, 3 points:* 1 for $c_{ij}$ as half a squared length, with the reason; 1 for the triangle inequality from that of
# lengths; 1 for "a metric exactly if no two tokens share a direction". *Part 2, 2 points:* 1 for a direction $b$ that works (half-way, or any near
# it); 1 for the strict inequality with both exclusions used. With angles, $2-2\cos\frac\theta2<1-\cos\theta$, it is as good. *Part 3, 2 points:* 1
# for the inequality; 1 for a family that comes as near to 2 as one likes (a single example with a quotient below 2 gets 0).
# ### END SOLUTION
