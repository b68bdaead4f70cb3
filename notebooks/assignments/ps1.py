# %% [markdown]
# # Problem set 1 · Cross-entropy, KL and honest scores
#
# Six problems to lesson 01, about 65 minutes, 28 points. Fill in what raises `NotImplementedError`, then run the cell of asserts below it; more
# asserts of the same kind are run when the set is graded. Write your functions as you like, but keep their names. All logarithms are natural.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import numpy as np

SEED = 0
rng = np.random.default_rng([SEED, 1])
TEXTS = rng.choice(["Monday", "Tuesday", "banana"], size=200, p=[0.5, 0.35, 0.15])
LOGITS = 3 * rng.normal(size=(300, 6))
LABELS = np.array([rng.choice(6, p=np.exp(0.4 * z) / np.exp(0.4 * z).sum()) for z in LOGITS])

# %% [markdown]
# ## Problem 1.1 (A2, 4 points, 8 minutes)
#
# 200 texts went on after "See you on" as `TEXTS` says. Turn such a list into the soft label $\tau$ over a given vocabulary: shares in the order of
# the vocabulary, summing to 1. A word that never came has share 0; a text outside the vocabulary is an error (`ValueError`).

# %% tags=["answer:1.1"]
def soft_label(texts, vocabulary):
    """Shares (n,) of the vocabulary's words among the texts."""
    ### BEGIN SOLUTION
    strange = set(texts) - set(vocabulary)
    if strange:
        raise ValueError(f"not in the vocabulary: {sorted(strange)}")
    counted = [sum(text == word for text in texts) for word in vocabulary]
    return np.array(counted) / len(texts)
    ### END SOLUTION

# %% tags=["tests:1.1", "points:4"]
words = ["Monday", "Tuesday", "Friday", "banana"]
tau = np.asarray(soft_label(TEXTS, words), float)
assert tau.shape == (4,), "one share for each word of the vocabulary"
assert np.isclose(tau.sum(), 1), "shares sum to 1: divide by the number of texts"
assert tau[2] == 0, "Friday never came"
assert np.isclose(tau[0], np.mean(TEXTS == "Monday")), "the order is the vocabulary's"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 11])
for _ in range(5):
    shuffled = list(draw.permutation(words))
    again = list(draw.choice(words, size=7))
    kept = list(again)
    given = np.asarray(soft_label(again, shuffled), float)
    assert np.allclose(given, [kept.count(word) / 7 for word in shuffled]), "shares in the order of the vocabulary"
    assert list(again) == kept, "your function changed its input"
try:
    soft_label(["Monday", "Sunday"], words)
except ValueError:
    pass
else:
    raise AssertionError("a text outside the vocabulary must raise ValueError")
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.2 (A1, 4 points, 8 minutes)
#
# *Perplexity* is $e$ to the mean of $-\log p_t$: the number of equally likely words that would be as hard to guess. Compute it from the
# log-probabilities (N, V) that a model gave at N positions. Positions with the label $-100$ are padding and do not count at all.

# %% tags=["answer:1.2"]
def perplexity(log_p, labels):
    """Perplexity of the positions that count: log_p (N, V), labels (N,) with -100 for padding."""
    ### BEGIN SOLUTION
    counting = np.flatnonzero(np.asarray(labels) != -100)
    surprise = [-log_p[place][labels[place]] for place in counting]
    return float(np.exp(sum(surprise) / len(surprise)))
    ### END SOLUTION

# %% tags=["tests:1.2", "points:4"]
flat = np.full((5, 120), -np.log(120))
assert np.isclose(perplexity(flat, np.array([0, 7, 119, 3, 3])), 120), "a model that knows nothing has the perplexity V"
assert np.isclose(perplexity(np.log([[0.5, 0.5], [0.25, 0.75]]), np.array([0, 0])), 8**0.5), "e to the mean of the log losses: a geometric mean"
assert np.isclose(perplexity(flat, np.array([0, -100, -100, 3, 3])), 120), "padding counts neither in the sum nor in the number"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 12])
for _ in range(5):
    law = draw.dirichlet(np.full(130, 0.3), size=9) * 0.99 + 0.01 / 130
    labels = draw.integers(130, size=9)
    hidden = labels.copy()
    hidden[draw.permutation(9)[:3]] = -100
    product = np.prod([row[t] for row, t in zip(law, hidden, strict=True) if t >= 0])
    assert np.isclose(perplexity(np.log(law), hidden.copy()), product ** (-1 / 6), rtol=1e-9), "the inverse geometric mean of p_t over what counts"
    assert perplexity(np.log(law), labels.copy()) > 1
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.3 (A2, 5 points, 12 minutes)
#
# Cross-entropy of a soft label $\tau$ and the model $\mathrm{softmax}(z)$, straight from the logits. It must come out right for logits like
# $\pm10^4$, where $e^z$ overflows and the softmax has exact zeros; and where $\tau_i=0$ nothing is charged, whatever $z_i$ is.

# %% tags=["answer:1.3"]
def cross_entropy_from_logits(tau, z):
    """CE(tau, softmax(z)) in nats, finite for all finite logits: tau (n,), z (n,)."""
    ### BEGIN SOLUTION
    top = np.max(z)
    away = np.asarray(z, float) - top
    return float(np.log(np.exp(away).sum()) - np.dot(tau, away))  # tau sums to 1: its logarithm of the sum counts once
    ### END SOLUTION

# %% tags=["tests:1.3", "points:5"]
assert np.isclose(cross_entropy_from_logits(np.array([0.6, 0.4, 0.0]), np.log([0.5, 0.3, 0.2])), 0.8975, atol=1e-4), "the worked example"
assert np.isclose(cross_entropy_from_logits(np.array([1.0, 0.0]), np.array([0.0, 1e4])), 1e4), "the right word at a logit 10,000 below: 10,000 nats"
assert np.isclose(cross_entropy_from_logits(np.array([0.0, 1.0]), np.array([0.0, 1e4])), 0), "sure and right: 0"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 13])
for scale in (1.0, 30.0, 1e4):
    for _ in range(4):
        z, label = scale * draw.normal(size=7), draw.dirichlet(np.ones(7))
        label[draw.integers(7)] = 0
        label /= label.sum()
        kept = z.copy()
        wanted = sum(t * np.logaddexp.reduce(z - zi) for t, zi in zip(label, z, strict=True))
        assert np.isclose(cross_entropy_from_logits(label, z), wanted, rtol=1e-9, atol=1e-12), f"logits of size {scale:g}"
        assert np.isclose(cross_entropy_from_logits(label, z + 77.0), wanted, rtol=1e-9, atol=1e-9), "adding a constant to all logits changes nothing"
        assert np.array_equal(z, kept), "your function changed its input in place"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.4 (A3, 4 points, 8 minutes)
#
# $1-p_t$ charges a model for the probability that it did not put on the right word. It is bounded, it is smooth, it is *improper*. If texts go on as
# $\tau$, which model has the least expected loss $\sum_t\tau_t(1-p_t)$? Return one (there may be ties).

# %% tags=["answer:1.4"]
def favourite(tau):
    """A distribution (n,) with the least expected value of 1 - p_t when t is drawn from tau (n,)."""
    ### BEGIN SOLUTION
    lie = np.zeros(len(tau))
    lie[int(np.argmax(tau))] = 1.0
    return lie
    ### END SOLUTION

# %% tags=["tests:1.4", "points:4"]
label = np.array([0.2, 0.45, 0.35])
lie = np.asarray(favourite(label), float)
assert lie.shape == (3,) and np.isclose(lie.sum(), 1) and (lie >= 0).all(), "a distribution"
assert label @ (1 - lie) < label @ (1 - label), "it is cheaper than telling the truth"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 14])
for _ in range(6):
    label = draw.dirichlet(np.ones(8))
    lie = np.asarray(favourite(label.copy()), float)
    assert lie.shape == (8,) and np.isclose(lie.sum(), 1) and (lie >= 0).all(), "a distribution"
    rivals = np.vstack([draw.dirichlet(np.full(8, 0.2), size=2000), np.eye(8)])
    assert (label @ (1 - lie) <= (1 - rivals) @ label + 1e-12).all(), "some model is cheaper still"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.5 (A3, 5 points, 14 minutes)
#
# A model that was trained too long is too sure. The usual cure is to divide its logits by one temperature $T>0$, chosen on held-out texts: the one
# with the least mean cross-entropy of $\mathrm{softmax}(z/T)$. Find it, to six digits. (Write $\beta=1/T$. The mean cross-entropy is convex in
# $\beta$; what is its derivative?)

# %% tags=["answer:1.5"]
def calibrate(logits, labels):
    """The temperature with the least mean cross-entropy: logits (N, V), labels (N,)."""
    ### BEGIN SOLUTION
    hit = logits[np.arange(len(labels)), labels].mean()

    def slope(beta):  # d/dbeta of the mean of log sum exp(beta z) - beta z_t
        soft = np.exp(beta * (logits - logits.max(axis=1, keepdims=True)))
        return ((soft * logits).sum(axis=1) / soft.sum(axis=1)).mean() - hit

    cold, warm = 1e-6, 1e6
    for _ in range(200):
        between = np.sqrt(cold * warm)
        cold, warm = (between, warm) if slope(between) < 0 else (cold, between)
    return 1 / between
    ### END SOLUTION

# %% tags=["tests:1.5", "points:5"]
def mean_loss(temperature, logits=LOGITS, labels=LABELS):
    z = logits / temperature
    return float(np.mean(np.logaddexp.reduce(z, axis=1) - z[np.arange(len(labels)), labels]))

found = float(calibrate(LOGITS.copy(), LABELS.copy()))
assert found > 1, "these logits are too sure: they want a temperature above 1"
assert mean_loss(found) <= min(map(mean_loss, np.geomspace(0.5, 10, 200))) + 1e-9, "another temperature is better"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 15])
for spread, true in ((2.0, 1.7), (1.0, 0.6), (5.0, 4.0)):
    z = spread * draw.normal(size=(400, 9))
    t = np.array([draw.choice(9, p=np.exp(row / true - np.logaddexp.reduce(row / true))) for row in z])
    kept, given = z.copy(), float(calibrate(z, t))
    assert np.array_equal(z, kept), "your function changed its input in place"
    step = 1e-3 * given
    ahead, here, behind = (mean_loss(given + k * step, z, t) for k in (1, 0, -1))
    newton = step * (ahead - behind) / 2 / (ahead - 2 * here + behind)  # how far the minimum is still away
    assert abs(newton) < 1e-4 * given, "not yet the minimum: search longer, on a wider range"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.6 (A3, 6 points, 15 minutes)
#
# Prove that $\mathrm{CE}(\tau,p)\ge H(\tau)$, with equality only where $p=\tau$, from nothing but $\log x\le x-1$ (and equality there only at $x=1$).
# Say what happens where $\tau_i=0$, and where $p_i=0$.

# %% [markdown] tags=["proof:1.6", "points:6"]
# ### BEGIN SOLUTION
# Let $S$ be the set of all $i$ with $\tau_i>0$. Words outside $S$ add nothing to either side, for $0\log0=0$. If $p_i=0$ for some $i\in S$, then
# $\mathrm{CE}=\infty$ and the claim holds strictly. Otherwise
# $$H(\tau)-\mathrm{CE}(\tau,p)=\sum_{i\in S}\tau_i\log\frac{p_i}{\tau_i}
# \le\sum_{i\in S}\tau_i\Big(\frac{p_i}{\tau_i}-1\Big)=\sum_{i\in S}p_i-1\le0.$$
# Equality asks for both: in the first step $p_i/\tau_i=1$ for every $i\in S$, and then $\sum_{i\in S}p_i=1$ leaves nothing for words outside $S$, so
# that $p=\tau$ everywhere. Conversely $p=\tau$ gives equality at once.
#
# **Rubric.** 2 points: the difference as a sum of $\tau_i\log(p_i/\tau_i)$ over the words with $\tau_i>0$, and why the others drop out. 1: the case
# $p_i=0<\tau_i$. 1: $\log x\le x-1$ used with the right $x$ and sign. 1: $\sum_{i\in S}p_i\le1$, not $=1$. 1: both conditions of equality.
# ### END SOLUTION
