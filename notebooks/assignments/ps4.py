# %% [markdown]
# # Problem set 4 · Cheap transport, and what it wants
#
# Six problems to lesson 04, about 75 minutes, 28 points. Costs need be neither symmetric nor metric unless it is said: `cost[i, j]` is for moving
# from $i$ to $j$. Fill in what raises `NotImplementedError`, then run the asserts below it; more of the same kind are run when the set is graded.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import numpy as np
from emo_teach import transport

SEED = 0
rng = np.random.default_rng([SEED, 4])
COST = rng.uniform(size=(6, 6)) * (1 - np.eye(6))
MODELS = rng.dirichlet(np.ones(6), size=8)
LABELS = rng.integers(6, size=8)

# %% [markdown]
# ## Problem 4.1 (A5, 4 points, 8 minutes)
#
# The exact distance to one-hot labels for a whole batch: one line, no loop, no plan. Labels of $-100$ are padding; return the *mean over what
# counts*.

# %% tags=["answer:4.1"]
def mean_distance(models, labels, cost):
    """Mean distance of models (N, n) to the one-hot labels (N,), without the positions labelled -100; a float."""
    ### BEGIN SOLUTION
    real = [k for k, t in enumerate(labels) if t != -100]
    return float(np.mean([models[k].dot(cost.T[labels[k]]) for k in real]))
    ### END SOLUTION

# %% tags=["tests:4.1", "points:4"]
exact = [transport.emd(p, np.eye(6)[t], COST).value for p, t in zip(MODELS, LABELS, strict=True)]
assert np.isclose(mean_distance(MODELS, LABELS, COST), np.mean(exact)), "the solver finds another mean distance: from each word to the label"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 41])
for _ in range(4):
    c, models, labels = draw.uniform(size=(120, 120)), draw.dirichlet(np.ones(120), size=7), draw.integers(120, size=7)
    labels[draw.permutation(7)[:3]] = -100
    kept = models.copy()
    wanted = [sum(p[i] * c[i, t] for i in range(120)) for p, t in zip(models, labels, strict=True) if t >= 0]
    assert np.isclose(mean_distance(models, labels.copy(), c), sum(wanted) / 4), "padding counts neither in the sum nor in the number"
    assert np.array_equal(models, kept), "your function changed its input in place"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.2 (A7, 3 points, 6 minutes)
#
# Which cost makes the distance between *any* two distributions their total variation, half the sum of all $|p_i-\tau_i|$? Return it for $n$ words.

# %% tags=["answer:4.2"]
def accuracy_cost(n):
    """The cost (n, n) under which the distance is the total variation."""
    ### BEGIN SOLUTION
    return 1.0 - np.identity(n)
    ### END SOLUTION

# %% tags=["tests:4.2", "points:3"]
made = np.asarray(accuracy_cost(3), float)
assert made.shape == (3, 3) and np.isclose(transport.emd([0.5, 0.3, 0.2], [0.6, 0.4, 0.0], made).value, 0.2)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 42])
for n in (2, 5, 8):
    a, b = draw.dirichlet(np.ones(n)), draw.dirichlet(np.ones(n))
    found = transport.emd(a, b, np.asarray(accuracy_cost(n), float)).value
    assert np.isclose(found, np.maximum(a - b, 0).sum()), "the distance must be the mass that is too much somewhere"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.3 (A6, 5 points, 12 minutes)
#
# The product bound $p^\top C\tau$ is seldom the distance. When the cost is the 0/1 cost, how much too large is it? Write the gap
# $p^\top C\tau-\mathrm{EMD}(p,\tau)$ for the 0/1 cost without building any matrix, and in a form that does not go below 0 by rounding.

# %% tags=["answer:4.3"]
def gap(p, tau):
    """Product bound minus distance under the 0/1 cost, for p and tau (n,); a float of at least 0."""
    ### BEGIN SOLUTION
    stays = np.minimum(p, tau)
    return float((stays - np.multiply(p, tau)).sum())  # each term is least(p, tau) times 1 - greatest(p, tau)
    ### END SOLUTION

# %% tags=["tests:4.3", "points:5"]
assert np.isclose(gap(np.array([0.5, 0.3, 0.2]), np.array([0.6, 0.4, 0.0])), 0.38), "bound 0.58, distance 0.2"
assert gap(np.eye(3)[0], np.array([0.6, 0.4, 0.0])) < 1e-12, "one of the two is one-hot: then there is one plan only, and no gap"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 43])
for n in (2, 4, 30):
    a, b = draw.dirichlet(np.ones(n)), draw.dirichlet(np.ones(n))
    kept = a.copy(), b.copy()
    wanted = a @ (1 - np.eye(n)) @ b - transport.emd(a, b, 1 - np.eye(n)).value
    assert np.isclose(gap(a, b), wanted, atol=1e-10), "bound minus distance"
    assert np.isclose(gap(a, a), 1 - (a * a).sum(), atol=1e-12), "at p = tau the distance is 0, and the bound is all gap"
    assert np.array_equal(a, kept[0]) and np.array_equal(b, kept[1]), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.4 (D2, 5 points, 12 minutes)
#
# Can the best single answer, under the product bound, be a word that *never comes*? Build the case: the word $h$ is a *hub*, near everything. Find a
# truth $\tau$ with $\tau_h=0$ and all other shares positive, under which answering $h$ is cheaper than every other answer. (Think of one that treats
# all the others alike. In the tests, $h$ is much nearer to every word than other words are to each other.)

# %% tags=["answer:4.4"]
def truth_for(hub, cost):
    """A distribution (n,) that is 0 at the index `hub` alone, for which answering `hub` costs less than any other single answer."""
    ### BEGIN SOLUTION
    weights = np.full(len(cost), 1.0)
    weights[hub] = 0.0
    return weights / np.sum(weights)
    ### END SOLUTION

# %% tags=["tests:4.4", "points:5"]
star = np.array([[0.0, 0.3, 0.3, 0.3], [0.3, 0.0, 1.0, 1.0], [0.3, 1.0, 0.0, 1.0], [0.3, 1.0, 1.0, 0.0]])
found = np.asarray(truth_for(0, star), float)
assert found.shape == (4,) and np.isclose(found.sum(), 1) and found[0] == 0 and (found[1:] > 0).all(), "a distribution that is 0 at the hub alone"
assert (star @ found)[0] < (star @ found)[1:].min() - 1e-9, "another answer is as cheap: cost from the answer to what comes, averaged over tau"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 44])
for _ in range(5):
    n, h = 6, int(draw.integers(6))
    c = draw.uniform(0.9, 1.0, size=(n, n))
    c[h], c[:, h] = 0.4, draw.uniform(0.9, 1.0, size=n)
    np.fill_diagonal(c, 0.0)
    found = np.asarray(truth_for(h, c.copy()), float)
    assert found.shape == (n,) and np.isclose(found.sum(), 1) and found[h] == 0 and (np.delete(found, h) > 0).all(), "0 at the hub alone"
    answers = c @ found
    assert answers[h] < np.delete(answers, h).min() - 1e-9, "another answer is as cheap under this truth"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.5 (D2, 5 points, 15 minutes)
#
# $\tau^\top C\tau$ is what telling the truth costs under the product bound, $\min_i(C\tau)_i$ what the best answer costs. Follow the loss downhill:
# start from the logits $\log\tau$, take `steps` steps of gradient descent with rate `rate` on $p^\top C\tau$, $p=\mathrm{softmax}(z)$, and return all
# models on the way, the first one included. (By D1 the gradient on $z_j$ is $p_j((C\tau)_j-p^\top C\tau)$.)

# %% tags=["answer:4.5"]
def downhill(tau, cost, rate, steps):
    """Models (steps + 1, n) of gradient descent on the product bound from p = tau; tau (n,) positive, cost (n, n)."""
    ### BEGIN SOLUTION
    answers, path = np.dot(cost, tau), [np.array(tau, dtype=float)]
    for _ in range(steps):
        now = path[-1]
        grown = now * np.exp(-rate * now * (answers - np.dot(now, answers)))
        path.append(grown / grown.sum())
    return np.stack(path)
    ### END SOLUTION

# %% tags=["tests:4.5", "points:5"]
week = np.array([[0.0, 0.2, 1.0], [0.2, 0.0, 0.4], [1.0, 0.4, 0.0]])
truth = np.array([0.5, 0.3, 0.2])
path = np.asarray(downhill(truth, week, 3.0, 400), float)
assert path.shape == (401, 3) and np.allclose(path[0], truth), "the first model is the truth itself"
assert np.allclose(path.sum(1), 1) and (path > 0).all(), "every model is a distribution"
assert (np.diff(path @ week @ truth) < 1e-12).all(), "each step makes the loss smaller"
assert path[-1].argmax() == 1 and path[-1, 1] > 0.9, "it leaves the truth for the medoid"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 45])
for _ in range(4):
    n, rate = 5, draw.uniform(0.1, 1.0)
    c, label = draw.uniform(size=(n, n)), draw.dirichlet(np.ones(n))
    found = np.asarray(downhill(label.copy(), c.copy(), rate, 3), float)
    z = np.log(label)
    for k in range(3):
        soft = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
        assert np.allclose(found[k], soft, atol=1e-9), f"model {k} is off"
        steps = [np.exp(z + 1e-6 * e) for e in np.eye(n)]
        back = [np.exp(z - 1e-6 * e) for e in np.eye(n)]
        slope = [(a / a.sum() - b / b.sum()) @ c @ label / 2e-6 for a, b in zip(steps, back, strict=True)]
        z = z - rate * np.array(slope)
    assert np.allclose(found[3], np.exp(z - z.max()) / np.exp(z - z.max()).sum(), atol=1e-8), "the last model is off"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 4.6 (D2, 6 points, 20 minutes)
#
# Two words, $\tau=(t,1-t)$ with $\frac12<t<1$, and the 0/1 cost. (a) Write the expected one-hot loss of $p=(x,1-x)$ as a function of $x$, and find
# its minimum. (b) Do the same for the *exact* distance from $p$ to $\tau$. (c) A colleague says: "the exact distance is proper, the expected loss
# is not, so EMO is a bad estimate of the distance". What is right, and what is wrong with that?

# %% [markdown] tags=["proof:4.6", "points:6"]
# ### BEGIN SOLUTION
# (a) The label is the first word with probability $t$, and then the loss is $1-x$; otherwise it is $x$. So $E(x)=t(1-x)+(1-t)x=t+(1-2t)x$: linear,
# with the slope $1-2t<0$, hence least at $x=1$, whatever $t>\frac12$ is. (b) The distance is the total variation $|x-t|$, least at $x=t$ alone.
#
# (c) Right: minimising the distance to $\tau$ would give $\tau$, minimising the mean loss gives a corner. Wrong: to score a *known* $\tau$ is not the
# question in training, where single labels are all that there is. Each one-hot loss is exactly the distance to its label; the mean of
# distances to labels is not the distance to the mean of labels. It is an unbiased estimate of $p^\top C\tau$, which is another quantity.
#
# **Rubric.** (a) 2 points: the function (1), the minimum with its reason (1). (b) 1 point. (c) 3 points: what is right (1); the loss per label is
# the exact distance (1); mean of distances is not distance to the mean, it estimates $p^\top C\tau$ (1).
# ### END SOLUTION
