# %% [markdown]
# # Problem set 1 · Cross-entropy, KL and honest scores
#
# Four problems to lesson 01, about 60 minutes, 24 points. Fill in what raises `NotImplementedError`, then run the cell of asserts below it; more asserts of
# the same kind are run when the set is graded. Name things as you like inside your functions, but keep the functions' names.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import numpy as np

SEED = 0
rng = np.random.default_rng([SEED, 1])
TEXTS = rng.choice(["Monday", "Tuesday", "banana"], size=200, p=[0.5, 0.35, 0.15])

# %% [markdown]
# ## Problem 1.1 (A2, 4 points, 8 minutes)
#
# 200 texts went on after "See you on" as `TEXTS` says. Turn such a list into the soft label $\tau$ over a given vocabulary: shares in the vocabulary's
# order, summing to 1. A word that never came has share 0; a text outside the vocabulary is an error (`ValueError`).

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
# ## Problem 1.4 (A3, 6 points, 15 minutes)
#
# Prove that $\mathrm{CE}(\tau,p)\ge H(\tau)$ with equality only where $p=\tau$, using nothing but $\log x\le x-1$. Say where you need $p_i>0$.

# %% [markdown] tags=["proof:1.4", "points:6"]
# ### BEGIN SOLUTION
# (here the solution in full, then the rubric)
#
# **Rubric.** 2 points: ... 
# ### END SOLUTION
