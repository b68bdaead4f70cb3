# %% [markdown] meets="the cosine cost on a real model's vectors"
# # 05 · Which words are near each other?
#
# **You will be able to** build the cosine cost from a model's last layer, say what it measures and what not, trap the exact distance between two
# cheap bounds, say what kind of distance it is, and explain why the cost must not be trained.
#
# **Needs** lessons 03 and 04, dot products. **Takes** about 45 minutes. **Formulas** A8, D3, D4, D12; claim C3.

# %% tags=["bootstrap"]

# %%
import numpy as np
from scipy.special import softmax
from emo_teach import check, costs, figures, pictures, transport, verify, worked
from emo_teach.explorers import lesson05_cost_matrix
from emo_teach.verify import references
from emo_teach.words import load_words
rng = np.random.default_rng(0)

# %% [markdown]
# ## The model already knows
#
# So far the costs fell from the sky: 0.2 between the days, 1 and 0.4 to banana. For a whole vocabulary, ask a pretrained language model. Its last
# layer, the *LM head*, has a row $e_i$ for each token, the token's *embedding*. The text read so far becomes a vector $h$, and the logits are the
# dot products $z_i=\langle e_i,h\rangle$. If two rows point the same way, their logits rise and fall together in every text. So compare directions
# and let lengths go. With $\hat e_i=e_i/|e_i|$,
#
# $$c_{ij}=1-\cos(e_i,e_j)=1-\langle\hat e_i,\hat e_j\rangle \tag{A8}$$
#
# is 0 for equal directions, 1 at a right angle, 2 for opposite ones.
#
# **On paper.** Our tokens have the rows $(2,0)$, $(4,3)$, $(0,3)$, of lengths 2, 5, 3. Divide: $(1,0)$, $(0.8,0.6)$, $(0,1)$. Dot products: 0.8
# between the days, 0 from Monday to banana, 0.6 from Tuesday to banana. Costs: 0.2, 1, 0.4. That is where they came from.

# %%
print(costs.unit_rows(worked.EMBEDDING))
print(costs.cosine(worked.EMBEDDING).round(12))

# %% [markdown]
# A row of zeros has a length but no direction, hence no cosine. Better an error than a silent `nan`:

# %%
try:
    costs.cosine([[2.0, 0.0], [0.0, 0.0]])
except ValueError as error:
    print(error)

# %% [markdown]
# ### Exercise 05.1 (A8, 6 minutes)
#
# Write the cosine cost. The rows you get have all sorts of lengths.
#
# <details><summary>My costs are far below 0, or the shapes do not fit</summary>
#
# Divide each row by its own length first: `axis=1`, and `keepdims=True` so that the shapes fit.
# </details>

# %% tags=["exercise:05.1"]
def cosine_cost(embedding):
    """Cosine cost (V, V) of an embedding (V, d)."""
    raise NotImplementedError

# %% tags=["check:05.1"]
check.run("05.1", cosine_cost)

# %% [markdown]
# ## Real words
#
# Here are rows from the LM head of SmolLM2-135M-Instruct, a small model of 2025, and some words with their nearest neighbours and what these
# cost:

# %%
words = load_words()
print(words)
for word in ("Monday", "two", "king", "bank"):
    print(f"{word:7}", ", ".join(f"{other} {1 - cosine:.2f}" for other, cosine in words.nearest(word, 6)))

# %% [markdown]
# Nobody taught the model the week, yet the words nearest to Monday are the other days. *Two* counts on. *Bank* has a single row for its two
# meanings, and lies between the loan and the beach.

# %%
groups = {
    "days": ["Monday", "Tuesday", "Wednesday", "Saturday", "Sunday"], "numbers": ["one", "two", "three", "ten"],
    "fruit": ["banana", "mango", "apple", "lemon"], "feelings": ["happy", "unhappy", "glad", "sad"],
    "temperature": ["hot", "cold", "warm", "cool"], "grammar": ["the", "of", "and", "in"],
}
pictures.show(*figures.word_costs(groups))

# %% [markdown]
# The light blocks on the diagonal are what we hoped for. The rest is stranger: why is *mango* so much nearer to *Monday* than to *two*?
#
# ## Three surprises

# %%
index, cost = words.index, costs.cosine(words.embedding)
for a, b in [("hot", "cold"), ("happy", "unhappy"), ("Monday", "Tuesday"), ("Monday", "banana"), ("two", "banana"), ("three", "banana")]:
    nearer = (cost[index(a)] < cost[index(a), index(b)]).sum() - 1
    print(f"{a:>6} to {b:8} costs {cost[index(a), index(b)]:.2f}; nearer to {a} than {b}: {nearer} words")
print(f"largest cost of all pairs: {cost.max():.2f}")

# %% [markdown]
# **Opposites are neighbours.** Nothing is nearer to *hot* than *cold*. Both fit into the same sentences, and that is what the cost measures, not
# likeness of meaning.
#
# **Costs exceed 1.** Some cosines are negative. Opposite directions, cost 2, do not occur.
#
# **Everything leans one way.** Were directions spread evenly, their mean would be near 0:

# %%
unit = costs.unit_rows(words.embedding)
mean = unit.mean(axis=0)
print(f"|mean|² = {mean @ mean:.3f}, 1 - mean cost = {1 - cost.mean():.3f}, length {np.linalg.norm(mean):.2f}")
order = np.argsort(unit @ mean)
print("least along the mean:", ", ".join(words.words[i] for i in order[:8]))
print("most along the mean: ", ", ".join(words.words[i] for i in order[-8:]))
print(f"correlation with log token number: {np.corrcoef(unit @ mean, np.log(words.token_ids))[0, 1]:.2f}")

# %% [markdown]
# It is not. (The average of $\langle\hat e_i,\hat e_j\rangle$ over all pairs is the squared length of the mean; that will come back.) The
# tokenizer gives common words low numbers, so the lean goes with *rarity*: rare words share a direction. Monday and banana are near partly because
# neither is *the*. Take the mean away from all directions:

# %%
centred = costs.cosine(unit - mean)
for a, b in [("hot", "cold"), ("Monday", "Tuesday"), ("Monday", "banana"), ("two", "banana")]:
    print(f"{a:>6} to {b:8} raw {cost[index(a), index(b)]:.2f}, centred {centred[index(a), index(b)]:.2f}")

# %% [markdown]
# The days stay together, the fruit moves off. The loss that this course is about uses the raw cosine all the same: *EMO*, the earth mover distance
# optimization of Ren et al.
#
# ### Predict first
#
# EMO is lesson 04's one-hot transport, $L=\sum_i p_ic_{it}$, with the cosine cost. Cross-entropy pulls up the target's
# logit and pushes all others down. Which logits does EMO pull up, when the model's mistake is a near word, and when it is a far one?

# %%
pictures.show(*lesson05_cost_matrix.panel())

# %% [markdown]
# Lesson 04's gradient $p_j(c_{jt}-L)$ says which: all words cheaper than the average $L$. (The lower bars are shares of each loss's total push,
# printed above them: what is pulled up adds to 1.) Take *happy* as target and give mass to the farthest word. When does *unhappy* begin to be
# pulled up? And under the 0/1 cost (set the cosine's share to 0), which word is pulled up alone?

# %%
lesson05_cost_matrix.explorer()

# %% [markdown]
# ## A sandwich
#
# The exact distance takes a linear program. With this cost, two averages trap it. First, the cost is half a squared length:
#
# $$\tfrac12|\hat e_i-\hat e_j|^2=\tfrac12(1+1-2\langle\hat e_i,\hat e_j\rangle)=c_{ij}.$$
#
# Let $m_p=\sum_i p_i\hat e_i$ be the *mean direction* of $p$. For any plan $\gamma$, an average of squares is at least the square of the average
# (Jensen), and the row and column sums of $\gamma$ do the rest:
#
# $$\sum_{ij}\gamma_{ij}\,\tfrac12|\hat e_i-\hat e_j|^2\ \ge\ \tfrac12\Big|\sum_{ij}\gamma_{ij}(\hat e_i-\hat e_j)\Big|^2=\tfrac12|m_p-m_\tau|^2 .$$
#
# From above comes the product bound A6, now a dot product: $\sum_{ij}p_i\tau_j(1-\langle\hat e_i,\hat e_j\rangle)=1-\langle m_p,m_\tau\rangle$.
# Since $-\langle a,b\rangle=\tfrac12|a-b|^2-\tfrac12|a|^2-\tfrac12|b|^2$, the bounds differ by two slices, the *spreads* of $p$ and $\tau$:
#
# $$\tfrac12|m_p-m_\tau|^2\ \le\ \mathcal C[p,\tau]\ \le\ p^{\mathsf T}C\tau, \tag{D3}$$
#
# $$p^{\mathsf T}C\tau=\tfrac12|m_p-m_\tau|^2+\tfrac12(1-|m_p|^2)+\tfrac12(1-|m_\tau|^2).$$
#
# **On paper.** $m_p=0.5(1,0)+0.3(0.8,0.6)+0.2(0,1)=(0.74,0.38)$ and $m_\tau=0.6(1,0)+0.4(0.8,0.6)=(0.92,0.24)$. They differ by $(-0.18,0.14)$, and
# half the
# square is $\tfrac12(0.0324+0.0196)=0.026$. The squared lengths are $0.692$ and $0.904$, so the other slices are $0.154$ and $0.048$; together
# $0.228$,
# as in lesson 04. Lesson 03 found $0.10$. Indeed $0.026\le 0.10\le 0.228$.

# %%
pictures.show(*figures.sandwich(worked.P, worked.TAU, worked.EMBEDDING, worked.TOKENS))

# %% [markdown]
# Twelve real words at a time, with random models and labels:

# %%
slack = []
for _ in range(200):
    E = words.embedding[rng.choice(len(unit), 12, replace=False)]
    p, tau = rng.dirichlet(np.full(12, 0.5), 2)
    lower, upper = transport.jensen_bound(p, tau, E), transport.product_bound(p, tau, costs.cosine(E))
    m_p, m_tau = transport.mean_direction(p, E), transport.mean_direction(tau, E)
    assert np.isclose(upper, lower + (1 - m_p @ m_p) / 2 + (1 - m_tau @ m_tau) / 2)
    exact = transport.emd(p, tau, costs.cosine(E)).value
    slack.append((exact - lower, upper - exact))
print("least slack below and above:", np.min(slack, axis=0).round(4), " mean:", np.mean(slack, axis=0).round(4))

# %% [markdown]
# Both bounds hold, neither is tight. And the middle slice is worth a second look: it is $\tfrac12p^{\mathsf T}Cp$ (put $\tau=p$), and vanishes
# only when all of $p$ points one way. So the upper bound rewards a *sharp* $p$, whatever the label says. That is why lesson 04's loss was not
# proper. The lower bound has no such slice: at $p=\tau$ it is 0.
#
# ### Exercise 05.2 (D3, 6 minutes)
#
# Write the lower bound, for rows that are not normalised.
#
# <details><summary>My bound lies above the exact distance</summary>
#
# Normalise the rows, then average. Do not normalise the average: that it is short is the point.
# </details>

# %% tags=["exercise:05.2"]
def lower_bound(p, tau, embedding):
    """Half the squared distance of the mean directions of p (V,) and tau (V,), for an embedding (V, d)."""
    raise NotImplementedError

# %% tags=["check:05.2"]
check.run("05.2", lower_bound)

# %% [markdown]
# ## What kind of distance is this?
#
# A *metric* obeys the triangle inequality: no detour is shorter than the direct way. The cosine cost does not. Monday to banana costs 1, but by
# way of Tuesday $0.2+0.4=0.6$. Two relatives rank all pairs as it does and *are* metrics (as long as no two tokens share a direction): the straight
# line between the unit vectors and the way along the sphere,
#
# $$\text{chord}_{ij}=|\hat e_i-\hat e_j|=\sqrt{2c_{ij}},\qquad \text{angle}_{ij}=\arccos\langle\hat e_i,\hat e_j\rangle. \tag{D4}$$

# %%
for distance in (costs.cosine, costs.chord, costs.angle):
    report = costs.metric_report(distance(worked.EMBEDDING))
    print(f"{distance.__name__:6} metric: {report.is_metric!s:5}  worst triangle broken by {max(report.triangle_excess, 0):.2f}")

# %% [markdown]
# Real words break it too. From *small*, the detour that saves most:

# %%
start = cost[index("small")]
excess = start[None, :] - start[:, None] - cost  # row: the stopover, column: where to
over, to = (words.words[k] for k in np.unravel_index(excess.argmax(), excess.shape))
print(f"small to {to}: {start[index(to)]:.2f}; to {over} {start[index(over)]:.2f}, and on to {to} {cost[index(over), index(to)]:.2f}")

# %% [markdown]
# ### Exercise 05.3 (D4, 8 minutes)
#
# How badly does a cost break the triangle inequality? Return the largest $c_{ik}-(c_{ij}+c_{jk})$ over all $i,j,k$, which need not differ.
#
# <details><summary>I get a negative number for a metric</summary>
#
# With j = i and a zero diagonal the difference is exactly 0, so the largest is never below 0: let the indices repeat.
# </details>

# %% tags=["exercise:05.3"]
def triangle_excess(cost):
    """Largest cost[i, k] - (cost[i, j] + cost[j, k]) of a cost (n, n), a float."""
    raise NotImplementedError

# %% tags=["check:05.3"]
check.run("05.3", triangle_excess)

# %% [markdown]
# That the cost is no metric matters twice. First, take a metric, square it, solve the transport problem, take the root: that is the *Wasserstein-2
# distance* $W_2$, itself a metric between distributions. Our cost is $\tfrac12\text{chord}^2$, so $\mathcal C=\tfrac12W_2^2$. The *root* of
# $\mathcal C$ obeys the triangle inequality; $\mathcal C$ need not:

# %%
broken = {"C": 0, "root of C": 0}
for a, b, c in rng.dirichlet(np.full(3, 0.3), (300, 3)):
    ab, bc, ac = (transport.emd(x, y, worked.COST).value for x, y in ((a, b), (b, c), (a, c)))
    broken["C"] += ac > ab + bc + 1e-9
    broken["root of C"] += ac**0.5 > ab**0.5 + bc**0.5 + 1e-6  # a root magnifies rounding near 0
print("triangles broken by 300 random triples of distributions:", {name: int(count) for name, count in broken.items()})

# %% [markdown]
# Second, a famous shortcut is closed. For a metric, lesson 03's haulier needs only one price list: he charges $f_i$ on pick-up and pays back
# $f_j$ on delivery, with $f_i-f_j\le c_{ij}$ (*Kantorovich and Rubinstein*; such an $f$ is called 1-Lipschitz). Try it with *all* mass on banana
# and the label Monday. The one plan costs 1. But $f_{\text{banana}}-f_{\text{Tuesday}}\le 0.4$ and $f_{\text{Tuesday}}-f_{\text{Monday}}\le 0.2$:

# %%
monday, _, banana = np.eye(3)
print(f"exact distance {transport.emd(banana, monday, worked.COST).value:.2f}")
print(f"best single price list {references.lipschitz_dual(banana, monday, worked.COST):.2f}")

# %% [markdown]
# A single list lets one grain change trains at Tuesday. In a plan each grain travels once. (Lesson 03's relay was something else: banana's mass
# *stayed* at Tuesday, and Tuesday's own went on.)
#
# ## The sandwich is a dial
#
# Lesson 03 made the plan pay for straying from the product plan. The whole bill is
#
# $$\mathcal C_\varepsilon[p,\tau]=\min_\gamma\ \sum_{ij}\gamma_{ij}c_{ij}+\varepsilon\,\mathrm{KL}(\gamma\Vert p\,\tau^{\mathsf T}).$$
#
# For $\varepsilon\to0$ the KL term is free and $\mathcal C$ is left. For large $\varepsilon$ nobody strays. The product plan itself has KL 0, so
# $\mathcal C_\varepsilon\le p^{\mathsf T}C\tau$. Conversely, allow $\gamma$ any row and column sums: that can only lower the minimum, which then
# lies at $\gamma_{ij}\propto p_i\tau_je^{-c_{ij}/\varepsilon}$ (Gibbs) and is $-\varepsilon\log\mathrm E\,e^{-c/\varepsilon}$, where $\mathrm E$
# averages over the product plan. Let $\mathrm{osc}$ be the largest minus the smallest cost, here 1. *Hoeffding's lemma* says
# $\log\mathrm E\,e^{-c/\varepsilon}\le-\mathrm E\,c/\varepsilon+\mathrm{osc}^2/8\varepsilon^2$, and $\mathrm E\,c=p^{\mathsf T}C\tau$, so
#
# $$p^{\mathsf T}C\tau-\frac{\mathrm{osc}^2}{8\varepsilon}\ \le\ \mathcal C_\varepsilon\ \le\ p^{\mathsf T}C\tau. \tag{D12}$$
#
# Lesson 03 noticed a bias, $\mathcal C_\varepsilon[p,p]>0$. The *Sinkhorn divergence* takes it out:
#
# $$S_\varepsilon=\mathcal C_\varepsilon[p,\tau]-\tfrac12\mathcal C_\varepsilon[p,p]-\tfrac12\mathcal C_\varepsilon[\tau,\tau].$$
#
# **Predict** with D3: where does it go as $\varepsilon$ grows?

# %%
example, strengths = (worked.P, worked.TAU, worked.COST), np.geomspace(0.03, 20, 12)
entropic = np.array([transport.entropic(*example, e, tolerance=1e-6)[0] for e in strengths])  # 1e-6 will do for a picture
divergence = np.array([transport.sinkhorn_divergence(*example, e, tolerance=1e-6) for e in strengths])
exact, upper = transport.emd(*example).value, transport.product_bound(*example)
lower = transport.jensen_bound(worked.P, worked.TAU, worked.EMBEDDING)
pictures.show(*figures.regularisation_dial(strengths, entropic, divergence, exact, upper, lower))
reach = 1 / (8 * strengths)
print(f"within osc²/8ε of their right ends: {np.all(upper - entropic <= reach)}, {np.all(abs(divergence - lower) <= reach)}")

# %% [markdown]
# What $S_\varepsilon$ takes out tends to $\tfrac12p^{\mathsf T}Cp+\tfrac12\tau^{\mathsf T}C\tau$, the two spread slices. That leaves
# $\tfrac12|m_p-m_\tau|^2$: from the exact distance in the middle, one knob leads to either side of the sandwich.
#
# ## Why the cost is frozen
#
# The article insists that the cost be fixed before training (claim C3). What if the embedding may learn as well? Averaged over $N$ examples with
# predictions $p^{(n)}$, held fixed for now, and labels $t_n$, EMO is
#
# $$L=\sum_{ij}W_{ij}\,(1-\langle\hat e_i,\hat e_j\rangle),\qquad W_{ij}=\frac1N\sum_{n:\,t_n=j}p_i^{(n)} .$$
#
# Lengthening $e_k$ changes nothing; a sideways step turns $\hat e_k$ by the step over $|e_k|$. Hence the way downhill is
#
# $$-\frac{\partial L}{\partial e_k}=\frac1{|e_k|}\big(I-\hat e_k\hat e_k^{\mathsf T}\big)\sum_j(W_{kj}+W_{jk})\,\hat e_j .$$
#
# No weight is negative. Every token is pulled towards all others, and nothing pushes back.

# %%
def pull(E, W):
    length = np.linalg.norm(E, axis=1, keepdims=True)
    unit = E / length
    towards = (W + W.T) @ unit
    return (towards - (towards * unit).sum(axis=1, keepdims=True) * unit) / length

E, W, direction = rng.normal(size=(5, 3)), rng.uniform(size=(5, 5)), rng.normal(size=(5, 3))
loss = lambda E: (W * costs.cosine(E)).sum()
slope = (loss(E + 1e-6 * direction) - loss(E - 1e-6 * direction)) / 2e-6
print(f"slope of the loss {slope:.6f}, by the formula {-(pull(E, W) * direction).sum():.6f}")

# %% [markdown]
# Now eight real words, 2,000 examples with 16 features each, and a linear model trained on EMO with lesson 04's gradient. The embedding stays
# frozen if its rate is 0.

# %%
toy = ["Monday", "Tuesday", "Wednesday", "banana", "mango", "peach", "two", "three"]
features = rng.normal(size=(2000, 16))

def train(labels, cost_rate, steps=300):
    E, A, history, rulers = words.rows(toy), np.zeros((16, 8)), [], []
    for _ in range(steps):
        cost, p = costs.cosine(E), softmax(features @ A, axis=1)
        to_label = cost[labels]
        loss = (p * to_label).sum(axis=1, keepdims=True)
        history.append((loss.mean(), (p.argmax(axis=1) == labels).mean()))
        rulers.append(cost)
        A -= 2.0 * features.T @ (p * (to_label - loss)) / len(features)  # the model
        E = E + cost_rate * pull(E, p.T @ np.eye(8)[labels] / len(features))  # the embedding
    return np.array(history), rulers

# %% [markdown]
# One set of labels is random, so there is nothing to learn; the other follows from the features. **Predict** for both: with which cost, frozen or
# trained, does the loss end lower, and with which is the model better?

# %%
labels = {"random labels": rng.integers(8, size=2000), "labels that can be learned": (features @ rng.normal(size=(16, 8))).argmax(axis=1)}
frozen, trained = ({kind: train(given, rate) for kind, given in labels.items()} for rate in (0.0, 1.0))
rulers = {step: trained["random labels"][1][step] for step in (0, 30, 100)}
pictures.show(*figures.shrinking_costs(toy, rulers, {kind: (frozen[kind][0], trained[kind][0]) for kind in labels}))

# %%
for kind in labels:
    for name, run in (("frozen", frozen), ("trained", trained)):
        loss, accuracy = run[kind][0][-1]
        print(f"{kind:26} cost {name:7} loss {abs(loss):.3f}  accuracy {accuracy:.2f}")

# %% [markdown]
# With a trained cost the loss vanishes even on random labels, though hardly more than one guess in eight is right. Monday, banana and two have
# become one direction: the ruler shrank, not the error. And where there is something to learn, learning stops, for the model's gradient fades with
# the costs. Do not let the pupil hold the ruler: compute the cost once, before training, and leave it.
#
# ## What we learned
#
# The model's own last layer says which words are near. Its cost is half a squared distance: so two averages trap the exact distance, and it is no
# metric. And it must be frozen, as C3 says, or the ruler shrinks. Every formula of this lesson, checked just now against an independent computation:

# %%
verify.show("05")

# %%
worked.table("05")

# %% [markdown]
# **What to doubt.** The cost is one small model's opinion, from rows rounded to eight bits. Should one centre? Are near opposites a flaw? We
# measured neither. In the toy, how far the model gets before the ruler is gone depends on the two learning rates; added cross-entropy would push
# back where the same rows make the logits; and a model trained from scratch has no head worth copying.
#
# Next comes [06 · How do you train with transport, and where does it lead?](06_emo_as_a_loss.ipynb) (A9, the table's last line): for a one-hot
# label $1-\langle m_p,\hat e_t\rangle$ is the exact distance, and no $V\times V$ matrix is ever built. Full proofs are in the
# [appendix](appendix_derivations.ipynb).
#
# **References.** Su Jianlin, [the article](https://spaces.ac.cn/archives/9797) (2023), A8 and C3. Ren et al.,
# [*EMO*](https://arxiv.org/abs/2310.04691) (2024). Ben Allal et al., [*SmolLM2*](https://arxiv.org/abs/2502.02737) (2025). Mu, Bhat and
# Viswanath, [*All-but-the-Top*](https://arxiv.org/abs/1702.01417) (2018), on taking the mean away. Gao et al., [*Representation
# degeneration*](https://arxiv.org/abs/1907.12009) (2019), on the narrow cone of embeddings. Peyré and Cuturi, [*Computational optimal
# transport*](https://arxiv.org/abs/1803.00567) (2019), chapters 2 and 6, for $W_2$ and the single price list. Feydy et al., [*Interpolating
# between optimal transport and MMD*](https://arxiv.org/abs/1810.08278) (2019).
