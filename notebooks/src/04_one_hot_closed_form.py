# %% [markdown] meets="the one-hot closed form, the product bound and its trap" question="When is that cheap to compute?"
# # 04 · When is the distance cheap, and what does the cheap version want?
#
# **You will be able to** prove that a one-hot label leaves one plan only, write the loss that follows, bound the distance to a soft label without a
# solver, and prove which model that bound, as a loss, likes best.
#
# **Needs** lesson 03 (plans and the earth mover's distance). **Takes** about 45 minutes. **Formulas** A5, A6, A7, D2.

# %% tags=["bootstrap"]

# %%
import time
import numpy as np
from emo_teach import check, costs, divergences, figures, pictures, transport, verify, worked
from emo_teach.explorers import lesson04_soft_label
from emo_teach.words import load_words
rng = np.random.default_rng(0)
P, TAU, COST, TARGET = worked.P, worked.TAU, worked.COST, worked.TARGET

# %% [markdown]
# ## Everything goes to one place
#
# Lesson 03 needed a linear program: which token's mass goes where? Let the label be one-hot, all of $\tau$ on the target $t$. What is left to decide?
#
# Nothing. A plan's column $j$ must sum to $\tau_j$. For $j\ne t$ that is 0, and since no entry is negative, the whole column is 0. So row $i$ has a
# single entry left, in column $t$, and the row must sum to $p_i$: hence $\gamma_{it}=p_i$. This table obeys all the rules (column $t$ sums to
# $\sum_i p_i=1$), so it is a plan, the only one, and the minimum is its cost:
#
# $$\mathcal C[p,\tau]=\sum_i p_i\,c_{it}\qquad\text{for } \tau \text{ one-hot at } t. \tag{A5}$$
#
# On paper, with the label Monday: Monday's half stays, Tuesday's 0.3 pays 0.2, banana's 0.2 pays 1. That makes $0.3\cdot 0.2+0.2\cdot 1=0.26$.

# %%
monday = np.array([1.0, 0.0, 0.0])
solved = transport.emd(P, monday, COST)
print(solved.plan)
print(f"linear program {solved.value:.2f}   closed form {transport.one_hot_emd(P, COST, TARGET):.2f}")

# %% [markdown]
# The proof asked nothing of the costs, so let the test be unkind: lopsided, negative, tiny and huge costs, models sure of one token, vocabularies
# of one.

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
#
# The worked example's cost is symmetric. All mass moves *to* t: does a row hold those costs, or a column?
#
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
# Under the 0/1 cost, where staying is free and every move costs 1, A5 counts the mass that is not at the target yet:
#
# $$\sum_{i\ne t}p_i=1-p_t. \tag{A7}$$
#
# You know this number: it is the total variation to a one-hot label (lesson 02), and under the 0/1 cost the distance to *any* label is total
# variation (lesson 03). It has a third meaning: answer with a token drawn from $p$, and $1-p_t$ is how often you are wrong. With the label Tuesday,
# where $p_t=0.3$:

# %%
drawn = rng.choice(3, size=1_000_000, p=P)
print(f"A5 with the 0/1 cost    {transport.one_hot_emd(P, costs.zero_one(3), 1):.3f}")
print(f"total variation         {divergences.total_variation(P, [0, 1, 0]):.3f}")
print(f"wrong in 1000000 draws  {np.mean(drawn != 1):.3f}")

# %% [markdown]
# Averaged over texts, $p_t$ is the share of right answers: a *smoothed accuracy*. Plain accuracy, that of the most likely token, does not notice a
# small move of the logits: its gradient is 0 almost everywhere, and nothing can be learned from it.

# %%
def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()

logits = np.linspace(-5, 5, 201)
models = np.array([softmax(np.array([z, 0.0, -1.0])) for z in logits])
wrong = models.argmax(axis=1) != TARGET
drawn_wrong = transport.one_hot_emd(models, costs.zero_one(3), TARGET)
pictures.show(*figures.accuracy_staircase(logits, wrong, drawn_wrong))

# %% [markdown]
# A5 is the same with prices: a drawn token's *mean cost* in place of its error rate.
#
# ## A plan that is always there
#
# Give the label two tokens, and there are many plans again. One of them needs no search: every token sends its mass everywhere, in the proportions
# of $\tau$. This is the *product plan* $\gamma_{ij}=p_i\tau_j$, into which lesson 03's blur ended. It obeys the rules:
#
# $$\sum_j p_i\tau_j=p_i,\qquad \sum_i p_i\tau_j=\tau_j,\qquad p_i\tau_j\ge 0 .$$
#
# The distance is the cost of the *cheapest* plan, so this plan's cost can only be higher. With the costs as a matrix $C$, this is the *product
# bound*:
#
# $$\mathcal C[p,\tau]\;\le\;\sum_{ij}p_i\,\tau_j\,c_{ij}=p^\top C\,\tau. \tag{A6}$$
#
# On paper, $\tau=(0.6,0.4,0)$. First what each token pays on average: Monday $0.4\cdot 0.2=0.08$, Tuesday $0.6\cdot 0.2=0.12$, banana
# $0.6\cdot 1+0.4\cdot 0.4=0.76$. Then average over $p$: $0.5\cdot 0.08+0.3\cdot 0.12+0.2\cdot 0.76=0.228$. The distance of lesson 03 is 0.10.

# %%
plan = np.outer(P, TAU)
print(plan)
print("row sums", plan.sum(axis=1), " column sums", plan.sum(axis=0))
print(f"its cost {(plan * COST).sum():.3f}   bound {transport.product_bound(P, TAU, COST):.3f}")
print(f"distance {transport.emd(P, TAU, COST).value:.3f}")

# %% [markdown]
# See the waste: 0.20 travels from Monday to Tuesday while 0.18 travels back, one of lesson 03's circuits. How large is such waste elsewhere? Give $n$
# tokens random directions in 16 dimensions and cosine costs:

# %%
for n in (3, 10, 50, 200):
    cost = costs.cosine(rng.normal(size=(n, 16)))
    p, tau = rng.dirichlet(np.ones(n), 20), rng.dirichlet(np.ones(n), 20)
    exact = transport.emd_many(p, tau, cost).value
    bound = transport.product_bound(p, tau, cost)
    print(f"n = {n:3}: smallest bound - distance {np.min(bound - exact):.3f}, "
          f"median bound / distance {np.median(bound / exact):.1f}")

# %% [markdown]
# Never below, as proved, but looser the more tokens there are: the best plan finds near partners in a crowd, the product plan does not look. What
# the bound offers is speed: a matrix times a vector, against a program with $n^2$ unknowns.

# %% tags=["timing"]
for n in (100, 400):
    cost, (p, tau) = costs.cosine(rng.normal(size=(n, 16))), rng.dirichlet(np.ones(n), 2)
    begun = time.perf_counter()
    transport.emd(p, tau, cost)
    middle = time.perf_counter()
    transport.product_bound(p, tau, cost)
    end = time.perf_counter()
    print(f"n = {n}: program {1e3 * (middle - begun):7.2f} ms, bound {1e3 * (end - middle):5.2f} ms")

# %% [markdown]
# ### Exercise 04.2 (A6, 6 minutes)
#
# Write the bound for $m$ pairs at once, one result per pair, without ever holding an $n\times n$ plan.
#
# <details><summary>My result has shape (m, m)</summary>
#
# `p @ cost @ tau.T` sets every model against every label. Stop after `p @ cost` and weigh its rows with those of `tau`.
#
# </details>
# <details><summary>It says that I form the plan</summary>
#
# `np.outer(p, tau)` is the plan. Average the rows of the cost over p first.
#
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
# A tempting thought: push the fast bound down in training, and the distance below it must follow. You do so, unknowingly, whenever you train with A5.
#
# After "See you on", let Monday follow in 60 % of all texts and Tuesday in 40 %: these true shares are $\tau$. But each text shows a single word, a
# one-hot label $t$ drawn from $\tau$, and its loss is A5; call that loss *one-hot transport*. On average over the texts,
#
# $$\sum_t\tau_t\Big(\sum_i p_i\,c_{it}\Big)=\sum_{it}p_i\,\tau_t\,c_{it}=p^\top C\,\tau. \tag{D2}$$
#
# The average of the distances is the *product bound*. It is not the distance to the average label.

# %%
labels = rng.choice(3, size=200_000, p=TAU)
one_label = np.array([transport.one_hot_emd(P, COST, t) for t in range(3)])
print(f"mean loss over 200000 texts {one_label[labels].mean():.3f}")
print(f"product bound               {transport.product_bound(P, TAU, COST):.3f}")
print(f"distance to tau             {transport.emd(P, TAU, COST).value:.3f}")

# %% [markdown]
# ### Predict first
#
# Which model $p$ makes that average smallest, with Monday 60 %, Tuesday 40 %? For cross-entropy, lesson 01 proved that it is $p=\tau$. Write down
# your guess, and another for Monday 50 %, banana 50 %.
#
# Below, a row for each label. The bars are values at our $p$, the blue dot. Every point of a triangle is a model: corners are sure of one token,
# white is where the loss is low, the mark where it is lowest. (Two guests: the *Jensen* bound, below the distance, from lesson 05, and the
# *debiased* loss, from lesson 06.)

# %%
pictures.show(*lesson04_soft_label.panel())

# %% [markdown]
# Cross-entropy and the exact distance are lowest at the label; the product bound is lowest in a corner, and its bands are straight and parallel.
# Slide the label's Monday from 1 down to 0, so that its mass goes to Tuesday, and watch the star: where can it go?

# %%
lesson04_soft_label.explorer()

# %% [markdown]
# ## Why a corner
#
# Let $a=C\tau$: so $a_i=\sum_j c_{ij}\tau_j$ is what you pay on average if you *always* answer $i$. Then
#
# $$p^\top C\,\tau=\sum_i p_i\,a_i\;\ge\;\min_i a_i ,$$
#
# for a weighted average is never below its smallest term, and equals it only when all weight lies on smallest terms. The loss is *linear* in $p$: a
# tilted plane over the triangle, lowest at a corner (or along a side, if two corners tie). The winner, $\arg\min_i a_i$, is called the *medoid* of
# $\tau$.
#
# On paper we have $a$ already, $(0.08,0.12,0.76)$. Reporting the truth costs $0.6\cdot 0.08+0.4\cdot 0.12=0.096$; always saying Monday costs 0.08.
# Honesty
# loses.

# %%
print("always Monday, Tuesday, banana:", transport.product_bound(np.eye(3), TAU, COST))
for name, p in (("p = tau   ", TAU), ("all Monday", monday)):
    exact = transport.emd(p, TAU, COST).value
    print(f"{name}: bound {transport.product_bound(p, TAU, COST):.3f}, distance {exact:.3f}")
models = rng.dirichlet(np.ones(3), 20000)
best = transport.product_bound(models, TAU, COST).argmin()
print("best of 20000 random models:", models[best].round(2))

# %% [markdown]
# So the distance follows the bound down to 0.08, where the two meet (a model on one token leaves one plan, too), and no further, though 0 was
# possible. In the words of lesson 01: **one-hot transport is not a proper score.** Fifty tokens in random directions tell the same:

# %%
draw = np.random.default_rng(0)
cost = costs.cosine(draw.normal(size=(50, 16)))
tau = draw.dirichlet(np.ones(50))
best = transport.medoid(tau, cost)
print(f"bound at p = tau {transport.product_bound(tau, tau, cost):.3f}")
print(f"at the best corner {transport.product_bound(np.eye(50)[best], tau, cost):.3f}")
print(f"distance from tau to tau {transport.emd(tau, tau, cost).value:.3f}")
mode = transport.medoid(tau, costs.zero_one(50))
print(f"with the 0/1 cost the best corner is token {mode}; the most likely token is {tau.argmax()}")

# %% [markdown]
# The last line is a rule: under the 0/1 cost $a_i=1-\tau_i$, so the medoid is the most likely token, the *mode*.
#
# ## The compromise that nobody asked for
#
# Other costs have a stranger habit. Let Monday and banana come half the time each, $\tau=(0.5,0,0.5)$. On paper: Monday costs $0.5\cdot 1=0.5$,
# banana
# the same, Tuesday $0.5\cdot 0.2+0.5\cdot 0.4=0.3$. Tuesday wins, a word that *never* comes, for lying between the two. Do real words have such
# go-betweens? Here are many English words, with cosine costs from a small language model (lesson 05 looks at them closely):

# %%
words = load_words()
cost = costs.cosine(words.embedding)
for a, b in (("drank", "work"), ("small", "happier"), ("three", "seventy")):
    i, j = words.index(a), words.index(b)
    k = transport.medoid(np.isin(words.words, (a, b)) / 2, cost)
    print(f"{a} or {b}".ljust(17), f"-> always say {words.words[k]:8} costs {cost[k, i]:.2f} and {cost[k, j]:.2f}, not 0 and {cost[i, j]:.2f}")
for name in ("days", "months", "colours"):
    tau = np.isin(words.words, words.category(name)) / len(words.category(name))
    print(f"{'any of the ' + name:17} -> always say {words.words[transport.medoid(tau, cost)]}")

# %% [markdown]
# The first three are always wrong, though never as far off as one word of the pair is from the other. Such pairs took some searching. How common are
# they?

# %%
a, b = rng.integers(len(cost), size=(2, 2000))
third = (cost[a] + cost[b]).min(axis=1) < cost[a, b] - 1e-9
print(f"of 2000 random pairs of {len(cost)} words, {third.mean():.1%} are best served by a third word")

# %% [markdown]
# Rare. The collapse onto one word, as for the days, is the rule and needs no go-between.
#
# ### Exercise 04.3 (D2, 4 minutes)
#
# Write the medoid: any token of the vocabulary, the first one if several tie.
#
# <details><summary>It says that I looked only among tokens with tau_i > 0</summary>
#
# The minimum runs over all rows of the cost; the label only weighs columns.
#
# </details>
# <details><summary>It says that I averaged over the wrong index</summary>
#
# Row i of the cost holds the costs of moving from i to each label: weigh them with tau.
#
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
# Training never sees $\tau$, only labels, one after the other. For $p=\mathrm{softmax}(z)$ we have $\partial p_i/\partial
# z_j=p_i(\delta_{ij}-p_j)$, where $\delta_{ij}$ is 1 if $i=j$ and else 0. So the loss of one label, $L=\sum_i p_i c_{it}$, has the gradient
#
# $$\frac{\partial L}{\partial z_j}=\sum_i c_{it}\,p_i(\delta_{ij}-p_j)=p_j\,(c_{jt}-L).$$
#
# (On the target's own logit that is $-p_tL$: where $p_t\approx0$ the pull dies, as total variation's did. Lesson 06 returns to this.)
#
# Averaged over labels, the gradient is that of the average loss $p^\top C\tau$. Right on average is called *unbiased*: one label's gradient is
# unbiased for the bound, but not for the distance. And at $p=\tau$, where the gradients of cross-entropy, $p-\tau$ on average, come to rest, these
# still push:

# %%
z, tau = rng.normal(size=4), rng.dirichlet(np.ones(4))
cost = costs.cosine(rng.normal(size=(4, 3)))
per_label = lambda p: np.array([transport.one_hot_logit_gradient(p, cost, t) for t in range(4)])
slope = lambda f: np.array([f(softmax(z + s)) - f(softmax(z - s)) for s in 1e-6 * np.eye(4)]) / 2e-6
labels = rng.choice(4, size=200_000, p=tau)
print("mean over 200000 labels  ", per_label(softmax(z))[labels].mean(axis=0).round(3))
print("slope of p' C tau        ", slope(lambda p: transport.product_bound(p, tau, cost)).round(3))
print("slope of EMD(p, tau)     ", slope(lambda p: transport.emd(p, tau, cost).value).round(3))
print("mean over labels, p = tau", (tau @ per_label(tau)).round(3))

# %% [markdown]
# Now let three logits learn from labels that are Monday or banana, never Tuesday: the same start and labels for both losses. Where will each end?

# %%
def train(gradient, tau, steps=10_000, rate=0.02):
    z, path = np.log(P), []
    for t in np.random.default_rng(0).choice(3, size=steps, p=tau):
        path.append(softmax(z))
        z = z - rate * gradient(path[-1], t)
    return np.array(path)

by_loss = {"CE": lambda p, t: p - np.eye(3)[t],
           "transport": lambda p, t: transport.one_hot_logit_gradient(p, COST, t)}
tau = np.array([0.5, 0.0, 0.5])
paths = {name: train(gradient, tau) for name, gradient in by_loss.items()}
pictures.show(*figures.training_paths(tau, COST, paths))

# %% [markdown]
# Cross-entropy hovers around the truth, shaken by each label. One-hot transport walks down across the bound's level lines, ever surer, towards the
# one word that was never right. With the worked example's $\tau$ it goes to Monday instead:

# %%
for name, gradient in by_loss.items():
    path = train(gradient, TAU)
    print(f"tau = {TAU}, mean of the last 2000 models, {name:9} {path[-2000:].mean(axis=0).round(2)}")

# %% [markdown]
# ## Where this matters, and where not
#
# **If the context settles the label**, $\tau$ is one-hot, and $a$ is column $t$ of the cost, which is 0 at $t$ only. Bound, distance and
# cross-entropy then agree on the corner.

# %%
print("medoids of the one-hot labels:", [transport.medoid(np.eye(3)[t], COST) for t in range(3)])

# %% [markdown]
# **If you want one answer** and $C$ is what its mistakes cost you, the medoid is exactly right. It is the *Bayes decision*, the answer with the
# least expected cost; minimum Bayes risk decoding, in machine translation, computes it on purpose. One-hot transport learns the decision, not the
# probabilities.
#
# **If you draw from the model** or need to know how sure it is, you want $\tau$, and this loss alone will not give it to you. Mixed with
# cross-entropy, the sum is $-\sum_i\tau_i\log p_i+w\sum_ip_ia_i$. At its minimum no tiny move of mass between two tokens with $\tau_i>0$ pays, so
# their slopes are equal: $wa_i-\tau_i/p_i=-\lambda$, hence $p_i=\tau_i/(\lambda+wa_i)$. The dear words shrink, but none that comes is lost:

# %%
x = np.linspace(0.0001, 0.9999, 9999)
models = np.stack([x, 1 - x, 0 * x], axis=-1)  # banana would raise both terms
for weight in (0, 1, 10, 100):
    total = divergences.cross_entropy(TAU, models) + weight * transport.product_bound(models, TAU, COST)
    p = models[total.argmin()]
    multiplier = TAU[:2] / p[:2] - weight * (COST @ TAU)[:2]  # lambda, by Monday and by Tuesday
    print(f"CE + {weight:3} x transport is least at p = {p.round(3)}, lambda {multiplier.round(2)}")

# %% [markdown]
# A nudge for small $w$, the fall again for large ones.
#
# ## What we learned

# %%
verify.show("04")

# %%
worked.table("04")

# %% [markdown]
# **What to doubt.** All this is about the *end* of training, one context, and a model that can reach every $p$. A real network starts from one
# trained with cross-entropy, stops early, and shares its weights among contexts; how much of the pull is left must be measured. And do not blame
# transport: the exact distance is lowest at $\tau$. It is just not what you minimise when labels come one at a time. Lesson 06 repairs that.
#
# First, where do the costs of fifty thousand tokens come from? [05 · Which words are near each other?](05_cosine_cost.ipynb) Full proofs
# are in the [appendix](appendix_derivations.ipynb).
#
# **References.** Su Jianlin, [the article this course follows](https://spaces.ac.cn/archives/9797) (2023), A5 to A7, and [on training for
# accuracy](https://spaces.ac.cn/archives/9098). Bellemare et al., [on biased Wasserstein gradients](https://arxiv.org/abs/1705.10743) (2017).
# Kaufman and Rousseeuw, *Finding groups in data* (1990), on medoids. Eikema and Aziz, [on minimum Bayes risk
# decoding](https://arxiv.org/abs/2005.10283) (2020).
