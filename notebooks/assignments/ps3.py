# %% [markdown]
# # Problem set 3 · Moving probability
#
# Six problems to lesson 03, about 80 minutes, 29 points. A *plan* for $p$ (n,) and $\tau$ (m,) is a matrix (n, m), nowhere negative, whose rows sum
# to $p$ and whose columns sum to $\tau$; `cost[i, j]` is the price of moving a unit from $i$ to $j$. Fill in what raises `NotImplementedError`,
# then run the asserts below it; more of the same kind are run when the set is graded. `transport.emd` is there to check yourself, not to answer.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import itertools
import numpy as np
from emo_teach import transport

SEED = 0
rng = np.random.default_rng([SEED, 3])
COST = rng.integers(1, 9, size=(4, 4)).astype(float)
P, TAU = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(4))

# %% [markdown]
# ## Problem 3.1 (A4, 3 points, 6 minutes)
#
# Is it a plan, and what does it cost? Return the cost, or `None` where the matrix is no plan for $p$ and $\tau$. Leave $10^{-9}$ for rounding.

# %% tags=["answer:3.1"]
def price(plan, p, tau, cost):
    """Cost of the plan (n, m), a float, or None if it is not one."""
    ### BEGIN SOLUTION
    off = max(abs(plan.sum(axis=1) - p).max(), abs(plan.sum(axis=0) - tau).max(), -plan.min())
    return None if off > 1e-9 else float(np.vdot(plan, cost))
    ### END SOLUTION

# %% tags=["tests:3.1", "points:3"]
product = np.outer(P, TAU)
assert np.isclose(price(product, P, TAU, COST), P @ COST @ TAU), "the product plan costs p' C tau"
assert price(product.T, P, TAU, COST) is None, "rows belong to p, columns to tau"
assert price(product / 2, P, TAU, COST) is None, "half a plan moves half of the mass"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 31])
for _ in range(5):
    a, b, c = draw.dirichlet(np.ones(3)), draw.dirichlet(np.ones(5)), draw.uniform(size=(3, 5))
    plan = np.outer(a, b)
    moved = plan.copy()
    moved[0, 0] -= 2 * plan[0, 0]
    moved[0, 1] += 2 * plan[0, 0]
    moved[1, 0] += 2 * plan[0, 0]
    moved[1, 1] -= 2 * plan[0, 0]
    assert price(moved, a, b, c) is None, "the sums are right, but an entry is negative"
    assert price(np.outer(a, b[::-1]), a, b, c) is None, "the columns' sums are wrong"
    assert price(np.outer(a[::-1], b), a, b, c) is None, "the rows' sums are wrong"
    assert np.isclose(price(plan, a, b, c), sum(a[i] * b[j] * c[i, j] for i in range(3) for j in range(5))), "sum of plan times cost"
    assert price(plan + 1e-14, a, b, c) is not None, "leave room for rounding"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.2 (D6, 5 points, 12 minutes)
#
# A plan without a solver: the *north-west corner*. Start in cell $(0,0)$ and ship as much as row and column allow. If the row is empty, go down,
# otherwise right. Go on to the last cell. Such a plan has at most $n+m-1$ cells with mass, which is what *basic* plans have.

# %% tags=["answer:3.2"]
def north_west(p, tau):
    """The north-west corner plan (n, m) of p (n,) and tau (m,)."""
    ### BEGIN SOLUTION
    down, right = np.concatenate([[0], np.cumsum(p)]), np.concatenate([[0], np.cumsum(tau)])
    high = np.minimum(down[1:, None], right[None, 1:])
    low = np.maximum(down[:-1, None], right[None, :-1])
    return np.clip(high - low, 0, None)  # how far the intervals of row and column overlap
    ### END SOLUTION

# %% tags=["tests:3.2", "points:5"]
corner = np.asarray(north_west(np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.4])), float)
assert np.allclose(corner, [[0.5, 0.0], [0.1, 0.2], [0.0, 0.2]])
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 32])
for n, m in ((4, 4), (3, 6), (5, 2)):
    a, b = draw.dirichlet(np.ones(n)), draw.dirichlet(np.ones(m))
    kept = a.copy(), b.copy()
    plan = np.asarray(north_west(a, b), float)
    assert np.array_equal(a, kept[0]) and np.array_equal(b, kept[1]), "your function changed its input in place"
    assert np.allclose(plan.sum(1), a, atol=1e-12) and np.allclose(plan.sum(0), b, atol=1e-12), "it is no plan: look at the sums"
    assert plan.min() >= -1e-15 and (plan > 1e-12).sum() <= n + m - 1, "a basic plan has at most n + m - 1 cells with mass"
    size = max(n, m)
    on_a_line = abs(np.arange(size)[:, None] - np.arange(size)) ** 2.0
    best = transport.emd(np.pad(a, (0, size - n)), np.pad(b, (0, size - m)), on_a_line).value
    assert np.isclose((plan * on_a_line[:n, :m]).sum(), best, atol=1e-9), "mass never crosses here: for |i - j|^2 this plan is best"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.3 (D6, 4 points, 10 minutes)
#
# Prices that prove something. From *any* $u$ (n,), make the best $v$ (m,) with $u_i+v_j\le c_{ij}$ everywhere, and return the lower bound for the
# distance that both give, $\sum_ip_iu_i+\sum_j\tau_jv_j$.

# %% tags=["answer:3.3"]
def bound_from(u, p, tau, cost):
    """The best lower bound of the distance with these prices u (n,)."""
    ### BEGIN SOLUTION
    slack = cost - np.reshape(u, (-1, 1))
    return float(np.inner(u, p) + np.inner(slack.min(axis=0), tau))
    ### END SOLUTION

# %% tags=["tests:3.3", "points:4"]
assert np.isclose(bound_from(np.zeros(4), P, TAU, COST), TAU @ COST.min(axis=0)), "with u = 0 every column may charge its cheapest cell"
assert np.isclose(bound_from(np.full(4, 5.0), P, TAU, COST), bound_from(np.zeros(4), P, TAU, COST)), "raising all u lowers all v"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 33])
for _ in range(5):
    a, b, c = draw.dirichlet(np.ones(5)), draw.dirichlet(np.ones(5)), draw.uniform(size=(5, 5))
    exact = transport.emd(a, b, c)
    assert np.isclose(bound_from(np.array(exact.u), a, b, c), exact.value, atol=1e-9), "the solver's own prices give the distance itself"
    u = draw.normal(size=5)
    given = bound_from(u.copy(), a, b, c)
    assert given <= exact.value + 1e-9, "that is no lower bound"
    assert np.isclose(given, a @ u + sum(b[j] * min(c[i, j] - u[i] for i in range(5)) for j in range(5))), "the best v for this u"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.4 (A4, 5 points, 12 minutes)
#
# If $p$ and $\tau$ both give $1/n$ to each of $n$ words, some best plan is a *permutation* times $1/n$: every word goes whole. Find the distance by
# trying all permutations (n is at most 6). Then you have solved a linear program by hand.

# %% tags=["answer:3.4"]
def uniform_emd(cost):
    """Distance between two uniform distributions of n words, cost (n, n), n at most 6."""
    ### BEGIN SOLUTION
    n = len(cost)
    return min(sum(cost[i][order[i]] for i in range(n)) for order in itertools.permutations(range(n))) / n
    ### END SOLUTION

# %% tags=["tests:3.4", "points:5"]
assert np.isclose(uniform_emd(np.array([[4.0, 1.0], [1.0, 4.0]])), 1.0), "each word goes to the other place: cost 1 for each half"
assert np.isclose(uniform_emd(COST), transport.emd(np.full(4, 0.25), np.full(4, 0.25), COST).value)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 34])
for n in (1, 3, 5, 6):
    c = draw.uniform(size=(n, n))
    even = np.full(n, 1 / n)
    assert np.isclose(uniform_emd(c.copy()), transport.emd(even, even, c).value, atol=1e-9), "the solver finds another value"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.5 (D6, 6 points, 20 minutes)
#
# Improve a plan. Choose rows $i\ne k$ and columns $j\ne l$. Moving $\epsilon$ from the cells $(i,j)$ and $(k,l)$ to $(i,l)$ and $(k,j)$ keeps all
# sums; it changes the cost by $\epsilon(c_{il}+c_{kj}-c_{ij}-c_{kl})$. Find the four cells for which moving *as much as possible* saves most, and
# return the new plan; the same plan, if nothing saves. (Repeated, this is a solver that may get stuck: longer cycles can be needed.)

# %% tags=["answer:3.5"]
def improve(plan, cost):
    """The plan (n, m) after the best exchange among four cells."""
    ### BEGIN SOLUTION
    best, saved = None, 0.0
    for (i, k), (j, l) in itertools.product(itertools.permutations(range(len(plan)), 2), itertools.permutations(range(plan.shape[1]), 2)):
        amount = min(plan[i, j], plan[k, l])
        gain = amount * (cost[i, j] + cost[k, l] - cost[i, l] - cost[k, j])
        if gain > saved:
            best, saved = (amount, i, j, k, l), gain
    better = np.array(plan, dtype=float)
    if best is not None:
        amount, i, j, k, l = best
        for row, column, sign in ((i, j, -1), (k, l, -1), (i, l, 1), (k, j, 1)):
            better[row, column] += sign * amount
    return better
    ### END SOLUTION

# %% tags=["tests:3.5", "points:6"]
crossed = np.array([[0.0, 0.5], [0.5, 0.0]])
assert np.allclose(improve(crossed, np.array([[0.0, 1.0], [1.0, 0.0]])), [[0.5, 0.0], [0.0, 0.5]]), "both halves stay at home"
assert np.allclose(improve(np.eye(2) / 2, np.array([[0.0, 1.0], [1.0, 0.0]])), np.eye(2) / 2), "nothing saves: the plan stays"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 35])
for _ in range(5):
    a, b, c = draw.dirichlet(np.ones(4)), draw.dirichlet(np.ones(5)), draw.uniform(size=(4, 5))
    plan = np.outer(a, b)
    kept, after = plan.copy(), np.asarray(improve(plan, c), float)
    assert np.array_equal(plan, kept), "your function changed its input in place"
    assert np.allclose(after.sum(1), a) and np.allclose(after.sum(0), b) and after.min() >= -1e-12, "the new matrix is no plan"
    gains = [0.0]
    for i, k in itertools.combinations(range(4), 2):
        for j, l in itertools.combinations(range(5), 2):
            rate = c[i, j] + c[k, l] - c[i, l] - c[k, j]  # per unit that leaves (i, j) and (k, l)
            gains += [rate * min(plan[i, j], plan[k, l]), -rate * min(plan[i, l], plan[k, j])]
    assert np.isclose(((plan - after) * c).sum(), max(gains), atol=1e-10), "another exchange saves more: amount times saving per unit"
    for _ in range(60):
        after = np.asarray(improve(after, c), float)
    assert ((plan - after) * c).sum() >= max(gains) - 1e-10 and (after * c).sum() < (plan * c).sum()
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.6 (D6, 6 points, 20 minutes)
#
# (a) Prove weak duality: if $u_i+v_j\le c_{ij}$ for all $i,j$, every plan $\gamma$ costs at least $\sum_ip_iu_i+\sum_j\tau_jv_j$. (b) When are both
# equal, in terms of $\gamma$, $u$ and $v$? (c) Conclude that a plan and prices that are equal in value are both optimal.

# %% [markdown] tags=["proof:3.6", "points:6"]
# ### BEGIN SOLUTION
# (a) For any plan, $\sum_ip_iu_i=\sum_{ij}\gamma_{ij}u_i$, as its rows sum to $p$, and $\sum_j\tau_jv_j=\sum_{ij}\gamma_{ij}v_j$, as its columns
# sum to $\tau$. Hence
# $$\sum_{ij}\gamma_{ij}c_{ij}-\sum_ip_iu_i-\sum_j\tau_jv_j=\sum_{ij}\gamma_{ij}\,(c_{ij}-u_i-v_j)\ge0,$$
# as both factors are nowhere negative. (b) A sum of terms that are not negative is 0 only if each is: $\gamma_{ij}>0$ implies $u_i+v_j=c_{ij}$
# (complementary slackness). (c) By (a) no plan is below the prices' value, which this plan attains; no prices are above the plan's cost, which
# these attain.
#
# **Rubric.** (a) 3 points: rows (1), columns (1), sign of both factors (1). (b) 2: equality exactly if every term is 0 (1), put as a condition on
# cells with mass (1). (c) 1 point: both directions.
# ### END SOLUTION
