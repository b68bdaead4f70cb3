# %% [markdown]
# # 04 · When is the distance cheap to compute, and what does the cheap version want?
#
# **You will be able to** prove that a one-hot label leaves a single transport plan, turn it into a loss of one line, bound the distance to a soft label
# without solving a program, and explain why that bound, used as a loss, prefers one token to the truth.
#
# **Needs** lesson 03 (plans and the earth mover's distance). **Takes** about 45 minutes. **Formulas** A5, A6, A7, D2.

# %% tags=["bootstrap"]

# %%
import time
import numpy as np
from emo_teach import check, costs, divergences, figures, formulas, transport, worked
from emo_teach.explorers import kit, soft_label
from emo_teach.words import load_words
rng = np.random.default_rng(0)

# %% [markdown]
# ## Everything goes to one place
#
# Lesson 03 needed a linear program, because mass from many tokens had to be shared out among many others. Let the label be one-hot: all of $\tau$ sits on the
# target $t$. What is there left to decide?
#
# Nothing. A plan's column $j$ must sum to $\tau_j$. For $j\ne t$ that is 0, and since no entry is negative, the whole column is 0. So row $i$ has a single
# entry left, in column $t$, and the row must sum to $p_i$: hence $\gamma_{it}=p_i$. This table does obey all the rules (column $t$ sums to $\sum_i p_i=1$), so
# it is a plan, and it is the only one. The minimum over one plan is that plan's cost:
#
# $$\mathcal C[p,\tau]=\sum_i p_i\,c_{it}\qquad\text{for } \tau \text{ one-hot at } t. \tag{A5}$$
#
# On paper, with the label Monday: Monday's half stays, Tuesday's .3 pays .2, banana's .2 pays 1. That makes $.3\cdot .2+.2\cdot 1=.26$.

# %%
monday = np.array([1.0, 0.0, 0.0])
solved = transport.emd(worked.P, monday, worked.COST)
print(solved.plan)
print(f"linear program {solved.value:.2f}   closed form {transport.one_hot_emd(worked.P, worked.COST, worked.TARGET):.2f}")

# %% [markdown]
# The proof asked nothing of the costs. So let the test be unkind: models with almost all mass on one token or exactly all of it, costs that are lopsided,
# negative, tiny or huge, vocabularies down to a single token.

# %%
worst = 0.0
for k in range(400):
    n = int(rng.integers(1, 12))
    t, cost = int(rng.integers(n)), rng.normal(size=(n, n)) * 10.0 ** rng.uniform(-3, 3)
    p = [rng.dirichlet(np.ones(n)), rng.dirichlet(np.full(n, 0.1)), np.eye(n)[rng.integers(n)]][k % 3]
    error = transport.emd(p, np.eye(n)[t], cost).value - transport.one_hot_emd(p, cost, t)
    worst = max(worst, abs(error) / np.abs(cost).max())
print(f"largest |program - closed form|, as a share of the largest cost: {worst:.1e}")

# %% [markdown]
# ### Exercise 04.1 (A5, 4 minutes)
#
# Write A5. The cost may be lopsided: $c_{ij}$ is for moving *from* $i$ *to* $j$.
#
# <details><summary>It passes for the worked example but not in the check</summary>
# The worked example's cost is symmetric, so a row and a column look alike. All mass moves *to* t: which of the two holds those costs?
# </details>

# %% tags=["exercise:04.1"]
def one_hot_emd(p, cost, target):
    """Cost of moving all of p (n,) to the index `target`; cost (n, n) need not be symmetric."""
    raise NotImplementedError

# %% tags=["check:04.1"]
check.run("04.1", one_hot_emd)

# %% [markdown]
# ## If every mistake costs the same
#
# Take the 0/1 cost: staying is free, every move costs 1. Then A5 only counts the mass that is not at the target yet:
#
# $$\sum_{i\ne t}p_i=1-p_t. \tag{A7}$$
#
# You have met this number twice: in lesson 02 as total variation to a one-hot label, and lesson 03 showed that the 0/1 cost makes the earth mover's distance total
# variation for *any* label. Here the two roads cross. And it has a third meaning: answer with a token drawn from $p$, and $1-p_t$ is how often you are wrong.

# %%
drawn = rng.choice(3, size=200_000, p=worked.P)
print(f"1 - p_t                  {transport.one_hot_emd(worked.P, costs.zero_one(3), worked.TARGET):.3f}")
print(f"total variation          {divergences.total_variation(worked.P, monday):.3f}")
print(f"wrong among 200000 draws {np.mean(drawn != worked.TARGET):.3f}")

# %% [markdown]
# That is why $1-p_t$ is called a *smoothed accuracy*. Plain accuracy looks at the most likely token only, so it is flat almost everywhere: move the logits a little and
# nothing happens, the gradient is 0, and nothing can be learned from it.

# %%
def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()

logits = np.linspace(-5, 5, 201)
models = np.array([softmax(np.array([z, 0.0, -1.0])) for z in logits])
wrong = models.argmax(axis=1) != worked.TARGET
kit.show(*figures.accuracy_staircase(logits, wrong, transport.one_hot_emd(models, costs.zero_one(3), worked.TARGET)))

# %% [markdown]
# A5 is the same picture with prices: a drawn token's *mean cost* in place of its error rate.
#
# ## A plan that is always there
#
# Give the label two tokens, and there are many plans again. But one of them needs no search: let every token of $p$ send its mass everywhere, in the
# proportions of $\tau$. This is the *product plan* $\gamma_{ij}=p_i\tau_j$. It obeys the rules:
#
# $$\sum_j p_i\tau_j=p_i,\qquad \sum_i p_i\tau_j=\tau_j,\qquad p_i\tau_j\ge 0 .$$
#
# The distance is the cost of the *cheapest* plan, so it can only be lower than the cost of this one:
#
# $$\mathcal C[p,\tau]\;\le\;\sum_{ij}p_i\,\tau_j\,c_{ij}=p^\top C\,\tau. \tag{A6}$$
#
# On paper, label $\tau=(.6,.4,0)$. First what each token pays on average to get to a label: Monday $.4\cdot .2=.08$, Tuesday $.6\cdot .2=.12$, banana
# $.6\cdot 1+.4\cdot .4=.76$. Then average over $p$: $.5\cdot .08+.3\cdot .12+.2\cdot .76=.228$. Lesson 03 found the distance to be .10.

# %%
plan = np.outer(worked.P, worked.TAU)
print(plan)
print("row sums", plan.sum(axis=1), " column sums", plan.sum(axis=0))
print(f"its cost {(plan * worked.COST).sum():.3f}   bound {transport.product_bound(worked.P, worked.TAU, worked.COST):.3f}   "
      f"distance {transport.emd(worked.P, worked.TAU, worked.COST).value:.3f}")

# %% [markdown]
# See the waste: .20 travels from Monday to Tuesday while .18 travels from Tuesday to Monday. The product plan does not know what it carries. How large is that waste
# elsewhere?

# %%
for n in (3, 10, 50, 200):
    cost = costs.cosine(rng.normal(size=(n, 16)))
    p, tau = rng.dirichlet(np.ones(n), 20), rng.dirichlet(np.ones(n), 20)
    exact, bound = transport.emd_many(p, tau, cost).value, transport.product_bound(p, tau, cost)
    print(f"n = {n:3}: smallest bound - distance {np.min(bound - exact):.3f}, median bound / distance {np.median(bound / exact):.1f}")

# %% [markdown]
# Never below, as proved; and looser the more tokens share the mass. What the bound offers is speed: two matrix products against a program with $n^2$ unknowns.

# %% tags=["timing"]
for n in (100, 400):
    cost, (p, tau) = costs.cosine(rng.normal(size=(n, 16))), rng.dirichlet(np.ones(n), 2)
    begun = time.perf_counter()
    transport.emd(p, tau, cost)
    middle = time.perf_counter()
    transport.product_bound(p, tau, cost)
    print(f"n = {n}: program {1e3 * (middle - begun):7.2f} ms, bound {1e3 * (time.perf_counter() - middle):5.2f} ms")

# %% [markdown]
# ### Exercise 04.2 (A6, 6 minutes)
#
# Write the bound for $m$ pairs at once, one result per pair, and without ever holding an $n\times n$ plan.
#
# <details><summary>My result has shape (m, m)</summary>
# `p @ cost @ tau.T` sets every model against every label. Stop after `p @ cost`, which is (m, n), and weigh its rows with those of `tau`.
# </details>
# <details><summary>It says that I form the plan</summary>
# `np.outer(p, tau)` is the plan. Take the average over p first: it shrinks the cost to one row.
# </details>

# %% tags=["exercise:04.2"]
def product_bound(p, tau, cost):
    """The bound (m,) for m pairs at once: p (m, n), tau (m, n), cost (n, n)."""
    raise NotImplementedError

# %% tags=["check:04.2"]
check.run("04.2", product_bound)

# %% [markdown]
# ## A cheap loss, but for what?
#
# A tempting thought: the bound is fast, it lies above the distance, so push it down in training and the distance must follow. It is worse than tempting. You do it
# without noticing whenever you train with A5.
#
# After "See you on", let Monday follow in 60 % of all texts and Tuesday in 40 %: these true shares are $\tau$. But each single text shows a single word, a one-hot
# label $t$ drawn from $\tau$, and its loss is A5. On average over the texts,
#
# $$\sum_t\tau_t\Big(\sum_i p_i\,c_{it}\Big)=\sum_{it}p_i\,\tau_t\,c_{it}=p^\top C\,\tau. \tag{D2}$$
#
# The average of the distances to the labels is the *product bound*. It is not the distance to the average label.

# %%
labels = rng.choice(3, size=200_000, p=worked.TAU)
one_label = np.array([transport.one_hot_emd(worked.P, worked.COST, t) for t in range(3)])
print(f"mean loss over 200000 texts {one_label[labels].mean():.3f}")
print(f"product bound               {transport.product_bound(worked.P, worked.TAU, worked.COST):.3f}")
print(f"distance to tau             {transport.emd(worked.P, worked.TAU, worked.COST).value:.3f}")

# %% [markdown]
# ### Predict first
#
# You may pick any model $p$ to make that average as small as possible, with Monday 60 %, Tuesday 40 %. For cross-entropy, lesson 01 proved that
# the best choice is $p=\tau$. Which $p$ is best here? Write it down, and then one for Monday 50 %, banana 50 %.
#
# In the triangles below every point is a model: the corners are sure of one token, the middle is undecided, and white is where the loss is low. (Two guests
# from later lessons stand at the edges: the *Jensen* bound, which lies below the distance, and the *debiased* loss.)

# %%
kit.show(*soft_label.panel())

# %% [markdown]
# Cross-entropy and the exact distance have their low point at the label. The product bound has it in a corner, and its bands of colour are straight and parallel.
# Slide the label's mass from Monday to Tuesday and watch the star: does it ever leave a corner?

# %%
soft_label.explorer()

# %% [markdown]
# ## Why a corner
#
# Write $a=C\tau$: the number $a_i=\sum_j c_{ij}\tau_j$ is what you pay on average if you *always* answer $i$. Then
#
# $$p^\top C\,\tau=\sum_i p_i\,a_i\;\ge\;\min_i a_i ,$$
#
# for a weighted average is never below its smallest term, and equals it only when all the weight lies on terms that are smallest. The loss is *linear* in $p$: a tilted
# plane over the triangle, lowest at a corner (or along a side, if two corners tie). The winning token $\arg\min_i a_i$ is the *medoid* of $\tau$: the one with the least
# mean distance to all the others.
#
# On paper we have $a$ already, $(.08,.12,.76)$. Reporting the truth costs $.6\cdot .08+.4\cdot .12=.096$; always saying Monday costs .08. Honesty loses.

# %%
print("always Monday, Tuesday, banana:", worked.COST @ worked.TAU)
print(f"p = tau: bound {transport.product_bound(worked.TAU, worked.TAU, worked.COST):.3f}, "
      f"distance {transport.emd(worked.TAU, worked.TAU, worked.COST).value:.3f}")
models = rng.dirichlet(np.ones(3), 20000)
print("best of 20000 random models:", models[transport.product_bound(models, worked.TAU, worked.COST).argmin()].round(2))

# %% [markdown]
# So the bound is positive even where the distance is 0, and its minimum is elsewhere. In the words of lesson 01: **one-hot transport is not a proper score.** Three tokens are no
# accident; here are fifty, in random directions.

# %%
draw = np.random.default_rng(0)
cost = costs.cosine(draw.normal(size=(50, 16)))
tau = draw.dirichlet(np.ones(50))
best = transport.medoid(tau, cost)
print(f"bound at p = tau {transport.product_bound(tau, tau, cost):.3f}   at the best corner {(cost @ tau)[best]:.3f}   "
      f"distance from tau to tau {transport.emd(tau, tau, cost).value:.3f}")
print(f"with the 0/1 cost the best corner is token {transport.medoid(tau, costs.zero_one(50))}; the most likely token is {tau.argmax()}")

# %% [markdown]
# The last line is a rule: with the 0/1 cost $a_i=1-\tau_i$, so the medoid is the most likely token, the *mode*.
#
# ## The compromise that nobody asked for
#
# Other costs have a stranger habit. Let Monday and banana come half the time each, $\tau=(.5,0,.5)$. On paper: Monday $.5\cdot 1=.5$, banana the same, and
# Tuesday $.5\cdot .2+.5\cdot .4=.3$. Tuesday wins, a word that *never* comes, because it lies between the two. Do real embeddings have such go-betweens?

# %%
words = load_words()
cost = costs.cosine(words.embedding)
for pair in (("drank", "work"), ("small", "happier"), ("three", "seventy")):
    tau = np.isin(words.words, pair) / 2
    print(f"{' or '.join(pair):17} -> always say {words.words[transport.medoid(tau, cost)]}")
for name in ("days", "months", "colours"):
    tau = np.isin(words.words, words.category(name)) / len(words.category(name))
    print(f"{'any of the ' + name:17} -> always say {words.words[transport.medoid(tau, cost)]}")

# %% [markdown]
# The first three answers are always wrong, though never *far* wrong. I searched for those pairs; how common are they?

# %%
a, b = rng.integers(len(cost), size=(2, 2000))
third = (cost[a] + cost[b]).min(axis=1) < cost[a, b] - 1e-9
print(f"of 2000 random pairs of {len(cost)} words, {third.mean():.1%} are best served by a third word")

# %% [markdown]
# Rare for pairs. The collapse onto one word, as for the days, is the rule: it needs no go-between.
#
# ### Exercise 04.3 (D2, 6 minutes)
#
# Write the medoid. It may be any token of the vocabulary, and the first one if several tie.
#
# <details><summary>It says that I looked only among tokens with tau_i > 0</summary>
# The minimum runs over all rows of the cost. The label only weighs the columns.
# </details>
# <details><summary>It says that I averaged over the wrong index</summary>
# Row i of the cost holds what it costs to move from i to each label, so the mean cost of answering i is that row times tau.
# </details>

# %% tags=["exercise:04.3"]
def medoid(tau, cost):
    """Index of the token with the smallest mean cost to labels drawn from tau (n,); the first one if several tie."""
    raise NotImplementedError

# %% tags=["check:04.3"]
check.run("04.3", medoid)

# %% [markdown]
# ## What training follows
#
# Training never sees $\tau$, only labels, one after the other. With $p=\mathrm{softmax}(z)$ we have $\partial p_i/\partial z_j=p_i(\delta_{ij}-p_j)$, where
# $\delta_{ij}$ is 1 if $i=j$ and else 0. So the gradient of A5, $L=\sum_i p_i c_{it}$, is
#
# $$\frac{\partial L}{\partial z_j}=p_j\,(c_{jt}-L).$$
#
# Averaged over labels it must be the gradient of the average loss, $p^\top C\tau$. It is *unbiased* for the bound. For the distance it is not:

# %%
z, tau, cost = rng.normal(size=4), rng.dirichlet(np.ones(4)), costs.cosine(rng.normal(size=(4, 3)))
one_label = np.array([transport.one_hot_logit_gradient(softmax(z), cost, t) for t in range(4)])
slope = lambda f: np.array([f(softmax(z + s)) - f(softmax(z - s)) for s in 1e-6 * np.eye(4)]) / 2e-6
print("mean over 200000 labels", one_label[rng.choice(4, size=200_000, p=tau)].mean(axis=0).round(3))
print("slope of p' C tau      ", slope(lambda p: transport.product_bound(p, tau, cost)).round(3))
print("slope of EMD(p, tau)   ", slope(lambda p: transport.emd(p, tau, cost).value).round(3))

# %% [markdown]
# Now let a model of three logits learn from labels that are Monday or banana, never Tuesday. Same start, same labels, two losses.

# %%
def train(gradient, tau, steps=4000, rate=0.05):
    z, path = np.log(worked.P), []
    for t in np.random.default_rng(0).choice(3, size=steps, p=tau):
        path.append(softmax(z))
        z = z - rate * gradient(path[-1], t)
    return np.array(path)

by_loss = {"CE": lambda p, t: p - np.eye(3)[t], "transport": lambda p, t: transport.one_hot_logit_gradient(p, worked.COST, t)}
tau = np.array([0.5, 0.0, 0.5])
paths = {name: train(gradient, tau) for name, gradient in by_loss.items()}
kit.show(*figures.training_paths(tau, worked.COST, paths))

# %% [markdown]
# Cross-entropy hovers around the truth, shaken by each new label. One-hot transport walks straight across the level lines, grows ever more certain, and ends on the
# one word that was never right. With the label of the worked example it goes to Monday instead:

# %%
for name, gradient in by_loss.items():
    print(f"tau = {worked.TAU}, mean model of the last 1000 steps, {name:9} {train(gradient, worked.TAU)[-1000:].mean(axis=0).round(2)}")

# %% [markdown]
# ## Where this matters, and where not
#
# **If the context settles the label**, $\tau$ is one-hot and there is no conflict: $a=C\tau$ is then column $t$ of the cost, which is 0 at $t$ only, and bound, distance and
# cross-entropy all send you to the same corner.

# %%
print("medoids of the one-hot labels:", [transport.medoid(np.eye(3)[t], worked.COST) for t in range(3)])

# %% [markdown]
# **If you want one answer** and $C$ is what its mistakes cost you, the medoid is exactly right: it is the *Bayes decision*, and machine translation computes it on
# purpose (minimum Bayes risk decoding). One-hot transport learns the decision. It does not learn the probabilities.
#
# **If you draw from the model**, compare perplexities, or need to know how sure it is, you want $\tau$, and this loss alone will not give it to you. Mixing with cross-entropy turns
# the fall into a nudge. How strong a nudge depends on the weight:

# %%
x = np.linspace(0.001, 0.999, 999)
models = np.stack([x, 1 - x, 0 * x], axis=-1)  # banana only raises both terms
for weight in (0, 1, 10, 100):
    total = divergences.cross_entropy(worked.TAU, models) + weight * transport.product_bound(models, worked.TAU, worked.COST)
    print(f"CE + {weight:3} x transport is least at p = {models[total.argmin()].round(3)}")

# %% [markdown]
# ## What we learned

# %%
formulas.show("04")

# %%
worked.table("04")

# %% [markdown]
# **What to doubt.** All this is about the *end* of training, for one context, with a model that can reach every $p$. A real network stops early, starts from a model trained with
# cross-entropy, and shares its weights among contexts. How much of the pull towards a corner is left then is a matter of measurement, not of proof. And do
# not blame transport: the exact distance is lowest at $\tau$. It is just not what you minimise when labels come one at a time. Lesson 06 repairs that at no extra cost.
#
# First we need the costs themselves. Where do they come from, for fifty thousand tokens? [05 · Which words are near each other?](05_cosine_cost.ipynb) Full proofs
# are in the [appendix](appendix_derivations.ipynb).
#
# **References.** Su Jianlin, [the article this course follows](https://spaces.ac.cn/archives/9797) (2023), A5 to A7, and
# [on training for accuracy](https://spaces.ac.cn/archives/9098). Bellemare et al.,
# [*The Cramer distance as a solution to biased Wasserstein gradients*](https://arxiv.org/abs/1705.10743) (2017). Kaufman and Rousseeuw, *Finding groups in
# data* (1990), on medoids. Eikema and Aziz, [*Is MAP decoding all you need?*](https://arxiv.org/abs/2005.10283) (2020), on minimum Bayes risk decoding.
