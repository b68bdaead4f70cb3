# %% [markdown]
# # Problem set 4 · One place to go, and the cheapest lie
#
# Six problems to lesson 04, about 85 minutes, 30 points. Fill in what raises `NotImplementedError`, then run the cell of asserts below it; more
# asserts of the same kind are run when the set is graded. Write your functions as you like, but keep their names. `cost[i, j]` is for moving from
# $i$ to $j$; it need not be symmetric unless a problem says so. Staying is free, $c_{ii}=0$.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import tracemalloc
import numpy as np
from scipy.optimize import linprog
from emo_teach import costs, divergences, transport, worked
from emo_teach.words import load_words

SEED = 0
rng = np.random.default_rng([SEED, 4])
WORDS = load_words()
P, TAU, COST = (np.array(x) for x in (worked.P, worked.TAU, worked.COST))  # the example on paper: Monday, Tuesday, banana
MODELS, LOPSIDED = rng.dirichlet(np.ones(150), size=8), rng.uniform(0.2, 1, size=(150, 150)) * (1 - np.eye(150))
TARGETS = np.append(rng.integers(150, size=6), [-100, -100])


def peak_memory(function, *args):
    """Most bytes held at once while the function runs."""
    tracemalloc.start()
    try:
        function(*args)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

# %% [markdown]
# ## Problem 4.1 (A5, 3 points, 6 minutes)
#
# A batch: $N$ models, each with its own label. Return the loss A5 of each; where the label is $-100$ there is nothing to learn, and the loss is 0. A
# line or two will do, and no more than a few arrays of $N\times V$ numbers.

# %% tags=["answer:4.1"]
def one_hot_losses(p, targets, cost):
    """Losses (N,) of models p (N, V) with the labels targets (N,), 0 where the label is -100; cost (V, V)."""
    ### BEGIN SOLUTION
    counts = targets >= 0
    return np.einsum("nv,vn->n", p, cost[:, targets * counts]) * counts
    ### END SOLUTION

# %% tags=["tests:4.1", "points:3"]
found = np.asarray(one_hot_losses(MODELS.copy(), TARGETS.copy(), LOPSIDED.copy()), float)
assert found.shape == (8,), "one loss for each model"
exact = [transport.emd(p, np.eye(150)[t], LOPSIDED).value for p, t in zip(MODELS[:2], TARGETS[:2], strict=True)]
assert not np.allclose(found[:2], [LOPSIDED[t] @ p for p, t in zip(MODELS, TARGETS[:2], strict=False)]), "that moves mass *away* from the label"
assert np.allclose(found[:2], exact), "the linear program finds another distance"
assert (found[6:] == 0).all(), "a label of -100 is no label: loss 0 (as an index, -100 is the hundredth from the end)"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 41])
for N, V in ((1, 2), (7, 5), (5, 120)):
    p, c, t = draw.dirichlet(np.ones(V), size=N), draw.normal(size=(V, V)) * (1 - np.eye(V)), draw.integers(V, size=N)
    t[1::3] = -100
    kept = p.copy(), t.copy(), c.copy()
    wanted = [0.0 if k < 0 else sum(p[n, i] * c[i, k] for i in range(V)) for n, k in enumerate(t)]
    found = np.asarray(one_hot_losses(p, t, c), float)
    assert found.shape == (N,) and np.allclose(found, wanted, atol=1e-12), "sum over i of p_i times the cost from i to the label"
    assert all(np.array_equal(a, b) for a, b in zip(kept, (p, t, c), strict=True)), "your function changed its input"
p, t, c = draw.dirichlet(np.ones(600), size=30), draw.integers(600, size=30), draw.uniform(size=(600, 600))
assert peak_memory(one_hot_losses, p, t, c) < 2e6, "30 x 600 numbers are 0.14 MB; yours holds more than 2 MB at once"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.2 (A6, 4 points, 10 minutes)
#
# The product plan moves even what is in its right place. *Stay first*: leave $s_i=\min(p_i,\tau_i)$ of each token where it is, then spread what is
# too much, $p-s$, over what is missing, $\tau-s$, in proportion: from $i$ to $j$ goes $(p_i-s_i)(\tau_j-s_j)/\rho$. What must $\rho$ be so that this
# is a plan? Return its cost for $N$ pairs at once. (Is it always cheaper than the product plan? The asserts hold a surprise: under a cosine cost it
# can be better to hand mass on than to keep it.)

# %% tags=["answer:4.2"]
def stay_first(p, tau, cost):
    """Costs (N,) of the plans that stay first, for p (N, V), tau (N, V), cost (V, V) with a zero diagonal."""
    ### BEGIN SOLUTION
    surplus, lack = np.maximum(p - tau, 0), np.maximum(tau - p, 0)
    moved, bill = surplus.sum(1), (surplus @ cost * lack).sum(1)
    return np.array([b / m if m > 0 else 0.0 for b, m in zip(bill, moved, strict=True)])
    ### END SOLUTION

# %% tags=["tests:4.2", "points:4"]
found = np.asarray(stay_first(np.array([P, P]), np.array([TAU, P]), COST.copy()), float)
assert found.shape == (2,), "one cost for each pair"
assert np.isclose(found[0], 0.14), "on paper: banana's 0.2 goes half to Monday, half to Tuesday, 0.1 at cost 1 and 0.1 at cost 0.4"
assert found[1] == 0, "p = tau: everything stays, nothing is paid (and 0 / 0 is nan)"
p, tau = rng.dirichlet(np.ones(9), size=20), rng.dirichlet(np.ones(9), size=20)
off = stay_first(p.copy(), tau.copy(), costs.zero_one(9)) - divergences.total_variation(p, tau)
assert np.allclose(off, 0), "with the 0/1 cost staying first is best: the total variation"
line = costs.ordinal(9)
between = np.asarray(stay_first(p.copy(), tau.copy(), line.copy()), float)
assert (between > transport.emd_many(p, tau, line).value - 1e-12).all(), "cheaper than the distance: this is no plan"
assert (between < transport.product_bound(p, tau, line) + 1e-12).all(), "under a metric, staying first is never dearer than the product plan"
fan = costs.cosine([[1, 1], [1, 0], [1, -1]])  # the middle word lies between the other two
start, goal = np.array([[0.5, 0.5, 0.0]]), np.array([[0.0, 0.5, 0.5]])
assert np.allclose(stay_first(start.copy(), goal.copy(), fan.copy()), 0.5), "staying first is dearer here than the product plan; return it as it is"
print("stay first 0.5, product plan", transport.product_bound(start[0], goal[0], fan).round(3))
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 42])
for V in (2, 4, 7):
    p, tau = draw.dirichlet(np.full(V, 0.7), size=4), draw.dirichlet(np.full(V, 0.7), size=4)
    tau[0], p[1], tau[1] = p[0], np.eye(V)[0], np.eye(V)[V - 1]
    c = draw.uniform(0.1, 3, size=(V, V)) * (1 - np.eye(V))
    kept, wanted = (p.copy(), tau.copy(), c.copy()), []
    for one, other in zip(p, tau, strict=True):
        plan, bags = np.diag(np.minimum(one, other)), one - np.minimum(one, other)
        for i in range(V):
            for j in range(V):
                if bags[i] > 0 and other[j] > one[j]:
                    plan[i, j] += bags[i] * (other[j] - one[j]) / bags.sum()
        assert np.allclose(plan.sum(1), one) and np.allclose(plan.sum(0), other)
        wanted.append((plan * c).sum())
    assert np.allclose(stay_first(p, tau, c), wanted, atol=1e-12), "not the cost of the plan that stays first"
    assert all(np.array_equal(a, b) for a, b in zip(kept, (p, tau, c), strict=True)), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.3 (A7, 5 points, 14 minutes)
#
# The 0/1 cost is harsh: *Tuesday* for *Monday* is as wrong as *banana*. Let every word belong to a family (days, fruit, ...), and let a mistake cost
# `near` within the family, $0\le$ `near` $\le1$, and 1 outside of it. For this cost the exact distance needs neither a solver nor a matrix, whatever
# the label. How much must change its place at all? How much of that must leave its family?

# %% tags=["answer:4.3"]
def family_emd(p, tau, families, near):
    """Exact distance of p (V,) and tau (V,) where leaving a token costs near, leaving its family 1; families (V,) are names or numbers."""
    ### BEGIN SOLUTION
    excess = np.asarray(p) - tau
    leaving = sum(abs(excess[families == name].sum()) for name in np.unique(families))
    return float(near * abs(excess).sum() + (1 - near) * leaving) / 2
    ### END SOLUTION

# %% tags=["tests:4.3", "points:5"]
def family_cost(families, near):
    """The cost as a matrix, for the linear program."""
    same = families[:, None] == families
    return np.where(same, near, 1.0) * (1 - np.eye(len(families)))

toy = np.array(["day", "day", "fruit"])
assert np.isclose(family_emd(P.copy(), np.eye(3)[0], toy, 0.2), 0.3 * 0.2 + 0.2), "one-hot, by A5: Tuesday's 0.3 pays 0.2, banana's 0.2 pays 1"
assert np.isclose(family_emd(P.copy(), TAU, toy, 1.0), 0.2), "near = 1 is the 0/1 cost: the total variation"
assert np.isclose(family_emd(P.copy(), TAU, toy, 0.0), 0.2), "near = 0: only what changes families pays, here banana's 0.2"
kinds = ("days", "fruit", "colours")
chosen = [(word, kind) for kind in kinds for word in WORDS.category(kind)[:5]]
families = np.array([kind for _, kind in chosen])
p, tau = rng.dirichlet(np.full(15, 0.4), size=2)
for near in (0.1, 0.6):
    exact = transport.emd(p, tau, family_cost(families, near)).value
    assert np.isclose(family_emd(p.copy(), tau.copy(), families.copy(), near), exact), f"the linear program finds {exact:.6f} for near = {near}"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 43])
for k in range(12):
    V = int(draw.integers(2, 12))
    families = draw.integers(-2, 3, size=V) if k % 2 else draw.choice(["a", "bb", "c"], size=V)
    p, tau = draw.dirichlet(np.full(V, 0.6), size=2)
    tau = np.eye(V)[draw.integers(V)] if k % 4 == 3 else tau
    near, kept = float(draw.uniform()), (p.copy(), tau.copy())
    solved = transport.emd(p, tau, family_cost(families, near))
    assert np.isclose(float(family_emd(p, tau, families, near)), solved.value, rtol=1e-9, atol=1e-12), "not the linear program's distance"
    assert np.array_equal(p, kept[0]) and np.array_equal(tau, kept[1]), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.4 (A6, 5 points, 14 minutes)
#
# When is the product plan the best plan? If it is not, it has a *shortcut*: it sends something from $i$ to $j$ and something from $k$ to $l$, where
# sending $i$ to $l$ and $k$ to $j$ would be cheaper, $c_{il}+c_{kj}<c_{ij}+c_{kl}$. Find one: return the indices $(i,k,j,l)$. If there is none,
# return `None`: then the bound *is* the distance. (Savings below $10^{-9}$ are rounding. In this problem even staying may cost something. Mind where
# the product plan sends nothing at all. Trying all quadruples is allowed, but one row and one column to compare with are enough: why?)

# %% tags=["answer:4.4"]
def shortcut(p, tau, cost):
    """Indices (i, k, j, l) of a shortcut in the product plan of p (V,) and tau (V,), or None if there is none."""
    ### BEGIN SOLUTION
    sources, sinks = np.flatnonzero(p), np.flatnonzero(tau)
    bend = cost[sources][:, sinks] - cost[sources[0], sinks] - cost[sources, sinks[0]][:, None] + cost[sources[0], sinks[0]]
    x, y = divmod(int(abs(bend).argmax()), len(sinks))
    if abs(bend[x, y]) < 1e-9:
        return None  # then cost = a_i + b_j where mass moves, and every plan costs the same
    first, last = (sinks[0], sinks[y]) if bend[x, y] > 0 else (sinks[y], sinks[0])
    return int(sources[0]), int(sources[x]), int(first), int(last)
    ### END SOLUTION

# %% tags=["tests:4.4", "points:5"]
def judge(found, p, tau, cost):
    """A shortcut must be where mass moves, and using it must save; without one the linear program must find nothing better either."""
    plan = np.outer(p, tau)
    if found is None:
        waste = (plan * cost).sum() - transport.emd(p, tau, cost).value
        assert waste < 1e-8, f"None, but the product plan costs {waste:.4f} more than the best one"
        return
    i, k, j, l = (int(x) for x in found)
    amount = min(plan[i, j], plan[k, l])
    assert amount > 0, "the product plan sends nothing from i to j, or nothing from k to l: nothing to redirect"
    better = plan.copy()
    for x, y, change in ((i, j, -amount), (k, l, -amount), (i, l, amount), (k, j, amount)):
        better[x, y] += change
    assert np.allclose(better.sum(1), p) and np.allclose(better.sum(0), tau) and better.min() > -1e-12, "redirected, it is no plan any more"
    assert (better * cost).sum() < (plan * cost).sum(), "redirecting along your shortcut saves nothing"

judge(shortcut(P.copy(), TAU.copy(), COST.copy()), P, TAU, COST)
judge(shortcut(P.copy(), np.array([0.0, 1.0, 0.0]), COST.copy()), P, np.array([0.0, 1.0, 0.0]), COST)
drivers, towns = np.array([0.7, 0.3, 0.0, 0.0]), np.array([0.0, 0.0, 0.4, 0.6])
fees = np.array([[0, 9, 3, 5], [9, 0, 2, 4], [3, 2, 0, 1], [5, 4, 1, 0.0]])  # 3, 5 and 2, 4: the second driver is cheaper by 1 anywhere
judge(shortcut(drivers.copy(), towns.copy(), fees.copy()), drivers, towns, fees)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 44])
for k in range(40):
    V = int(draw.integers(2, 8))
    p, tau = draw.dirichlet(np.ones(V), size=2)
    if k % 2:
        p[draw.permutation(V)[: draw.integers(V)]] = 0
        tau[draw.permutation(V)[: draw.integers(V)]] = 0
        p, tau = p / sum(p), tau / sum(tau)
    c = draw.integers(1, 9, size=(V, V)) * (1.0 - np.eye(V))
    if k % 4 > 1:  # no shortcut where mass moves, whatever there is elsewhere
        calm = np.ix_(p > 0, tau > 0)
        c[calm] = (draw.uniform(size=(V, 1)) + draw.uniform(size=V))[calm]
        if k % 8 > 5 and (p > 0).sum() > 1 and (tau > 0).sum() > 1:  # but for one entry
            c[np.flatnonzero(p)[draw.integers(2)], np.flatnonzero(tau)[-1]] += draw.choice([-0.01, 0.01])
    kept = p.copy(), tau.copy(), c.copy()
    judge(shortcut(p, tau, c), p, tau, c)
    assert all(np.array_equal(a, b) for a, b in zip(kept, (p, tau, c), strict=True)), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.5 (D2, 6 points, 20 minutes)
#
# Lesson 04 met words that are the best answer though they *never* come: Tuesday, for "Monday or banana". Which words can be such a compromise? For a
# cost and a word $k$, find a label $\tau$ with $\tau_k=0$ for which always answering $k$ is strictly cheapest, $(C\tau)_k<(C\tau)_i$ for every other
# word $i$, or return `None` if no label does that. (Two words in $\tau$ need not be enough. Everything here is linear in $\tau$: what about a linear
# program that maximises the margin? `linprog` of scipy is at hand.)

# %% tags=["answer:4.5"]
def compromise(cost, k):
    """A label (V,) with 0 at k whose only medoid is k, under a cost (V, V); None if there is none."""
    ### BEGIN SOLUTION
    V, rivals = len(cost), np.delete(np.arange(len(cost)), k)
    ahead = np.column_stack([cost[k] - cost[rivals], np.ones(V - 1)])  # times (tau, margin): at most 0
    shares = [(0.0, float(i != k)) for i in range(V)]
    solved = linprog(-np.eye(V + 1)[V], ahead, np.zeros(V - 1), [[1.0] * V + [0.0]], [1.0], shares + [(None, None)])
    return solved.x[:V] / solved.x[:V].sum() if solved.x[V] > 1e-9 else None
    ### END SOLUTION

# %% tags=["tests:4.5", "points:6"]
def check_label(tau, cost, k):
    tau = np.asarray(tau, float)
    assert tau.shape == (len(cost),) and np.isclose(tau.sum(), 1) and (tau > -1e-12).all(), "the label must be a distribution"
    assert abs(tau[k]) < 1e-12, "k itself must never come"
    mean = cost @ tau
    assert (np.delete(mean, k) > mean[k] + 1e-10).all(), "another answer is as cheap as k, or cheaper (row i of the cost is for answering i)"

tuesday = compromise(COST.copy(), 1)
assert tuesday is not None, "Tuesday: the lesson has a label that never is Tuesday and makes it the best answer"
check_label(tuesday, COST, 1)
assert compromise(COST.copy(), 0) is None and compromise(COST.copy(), 2) is None, "Monday and banana lie at the ends: they are no compromise"
wild = costs.zero_one(6)
wild[2, :2] = wild[2, 3:] = 0.6  # a vague word, not quite right for anything
vague = compromise(wild.copy(), 2)
assert vague is not None, "the vague word costs 0.6 where others cost 0 or 1: how many words must share tau before that is the best?"
check_label(vague, wild, 2)
### BEGIN HIDDEN TESTS
draw, said = np.random.default_rng([SEED, 45]), []
for case in range(60):
    V = int(draw.integers(3, 8))
    if case % 3 == 0:
        c, k = costs.cosine(draw.normal(size=(V, 2 + case % 2))), int(draw.integers(V))
    else:
        c, k = draw.uniform(0.3, 1, size=(V, V)) * (1 - np.eye(V)), int(draw.integers(V))
        c[k] *= draw.uniform(0.5, 1.1)
    # the other side of the same game: a mixture q of other answers that is at most `least` dearer than k, whatever comes
    others = np.delete(np.arange(V), k)
    game = np.column_stack([(c[others][:, others] - c[k, others]).T, -np.ones(V - 1)])
    least = linprog(np.eye(V)[V - 1], game, np.zeros(V - 1), [[1.0] * (V - 1) + [0.0]], [1.0], [(0, 1)] * (V - 1) + [(None, None)]).fun
    kept, found = c.copy(), compromise(c, k)
    assert np.array_equal(c, kept), "your function changed its input"
    if abs(least) > 1e-6:
        said.append(least > 0)
        assert (found is not None) == said[-1], "there is one" if said[-1] else "there is none: a mixture of other answers is never dearer than k"
        if found is not None:
            check_label(found, c, k)
assert 5 < sum(said) < len(said) - 5
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.6 (D2, 7 points, 20 minutes)
#
# A loss $\ell(p,t)$ is *proper* if for every $\tau$ its mean $\sum_t\tau_t\,\ell(p,t)$ is least at $p=\tau$ (and perhaps elsewhere too). Costs obey
# $c_{ii}=0$ and $c_{ij}>0$ for $i\ne j$. Prove:
#
# 1. Two tokens, $c_{12}=a$ and $c_{21}=b$. For each $\tau$, find *all* $p$ for which the mean of A5 is least. When is $p=\tau$ among them?
# 2. A5 is not proper, whatever the cost, for any $V\ge2$.
# 3. Would another shape help? Take the 0/1 cost, where the loss is $L=1-p_t$, and square it. $L^2$ is proper for $V=2$, but not for $V=3$.

# %% [markdown] tags=["proof:4.6", "points:7"]
# ### BEGIN SOLUTION
# **1.** With the label 2 token 1's mass pays $a$, with the label 1 token 2's mass pays $b$. The mean is $p_1\tau_2a+p_2\tau_1b$, linear in $p_1$ with
# slope $\tau_2a-\tau_1b$, for $p_2=1-p_1$. It is least at $p_1=1$ alone if $\tau_1b>\tau_2a$, that is $\tau_1>\frac a{a+b}$; at $p_1=0$ alone if
# $\tau_1<\frac a{a+b}$; and at $\tau_1=\frac a{a+b}$ it is constant, so that every $p$ is a minimum. Hence $p=\tau$ is among the minima exactly if
# $\tau$ is one-hot, or $\tau_1=\frac a{a+b}$.
#
# **2.** The mean is $\sum_ip_i(C\tau)_i$, an average of the numbers $(C\tau)_i$ with the weights $p_i$: at least the smallest of them, and as small
# only if all weight is on smallest ones. Suppose that it is least at $p=\tau$ for every $\tau$, in particular for all with positive entries. Then no
# $(C\tau)_i$ can be above the smallest: all are equal. This holds for all positive $\tau$, and both sides of $(C\tau)_i=(C\tau)_j$ are continuous in
# $\tau$; so it holds in the limit where $\tau$ becomes one-hot at $j$. There it says $c_{ij}=c_{jj}=0$, which is false for $i\ne j$.
#
# **3.** For $V=2$ the mean is $\tau_1(1-p_1)^2+\tau_2(1-p_2)^2=\tau_1(1-p_1)^2+(1-\tau_1)p_1^2=(p_1-\tau_1)^2+\tau_1(1-\tau_1)$, least at
# $p_1=\tau_1$. For $V=3$ take $\tau=(0.5,0.3,0.2)$. The mean $\sum_t\tau_t(1-p_t)^2$ changes at the rate $-2\tau_t(1-p_t)$ with $p_t$; at $p=\tau$
# these rates are $-0.5$, $-0.42$, $-0.32$. Moving a little mass from token 3 to token 1 changes the mean at the rate $-0.5+0.32<0$: it falls, so that
# $p=\tau$ is not the minimum.
#
# **Rubric** (7 points). *Part 1, 2 points:* 1 for the mean with $a$ and $b$ in their right places; 1 for the three cases, the tie included. *Part 2,
# 3 points:* 1 for "least only where all weight is on smallest entries"; 1 for a $\tau$ with positive entries, hence all entries equal; 1 for the
# contradiction, for every cost and $V$ (0 for an example, or for $V=2$ alone). *Part 3, 2 points:* 1 for $V=2$; 1 for $V=3$, any $\tau$ with a
# computation that shows a cheaper $p$.
# ### END SOLUTION
