# %% [markdown] meets="escape times, unbounded transforms, word vectors from counts"
# # 08 · Can EMO teach a model from nothing?
#
# **You will be able to** compute how long a loss needs to leave a wrong answer, say which transforms of EMO push again and where, build word
# vectors from counts, and read a comparison of twenty objectives that start from random weights.
#
# **Needs** lesson 07, PyTorch. **Takes** about 50 minutes, of which the machine computes one. **Formulas** D1, D13, D14, D15; claims C8 and C9.

# %% tags=["bootstrap"]

# %%
import numpy as np
import torch
from IPython.display import display
from emo_teach import check, costs, figures, losses, pictures, studies, transport, verify, worked
from emo_teach.explorers import lesson08_silence
from emo_teach.losses import transformed
from emo_teach.measure import reading
from emo_teach.studies import lesson08_scratch as scratch, summary
from emo_teach.world import World, small_gpt2
from emo_teach.world.vectors import neighbours, ppmi_vectors
torch.set_num_threads(1)  # models this small are fastest on one core

# %% [markdown]
# So far EMO was given a model that can speak. The article doubts that it could raise one. Training from scratch, it says, EMO lacks a trained head
# to take its cosines from, though Word2Vec's vectors might do, at a risk to how good the model can become (C8). And alone it would converge slowly,
# since a bounded loss hardly pushes where the model is badly wrong, so it should be mixed with cross-entropy (C9). Let us see what is true.
#
# ## The first step
#
# In a fresh model all $V$ words have about $1/V$. The pull on the right word, minus the derivative on its logit, is $1-p_t\approx1$ for
# cross-entropy and $p_tL\approx L/V$ for EMO (D1). And EMO's *whole* gradient has the length $\mathrm{std}(c)/\sqrt V$ there: it must tell words
# apart by their costs alone.

# %%
world = World()
texts = torch.tensor(world.sample(8, 33, seed=1))
with torch.no_grad():
    fresh = small_gpt2(world.size, seed=0)(texts).logits[:, :-1].flatten(0, 1).double()
labels, cost = texts[:, 1:].flatten(), losses.CostEmbedding(torch.tensor(scratch.embedding("pretrained", world)))
for name in ("ce", "emo"):
    z = fresh.clone().requires_grad_()
    losses.objective(name, cost)(z, labels, reduction="sum").backward()
    pull, force = -z.grad.gather(1, labels[:, None]).mean(), z.grad.norm(dim=1).mean()
    print(f"{name:3}: pull on the right word {pull:.5f}, length of the gradient {force:.5f}")
c = cost.rows(labels).numpy()
print(f"D1 at equal p: pull {c.mean() / world.size:.5f}, length {c.std(0).mean() / np.sqrt(world.size):.5f}")
print(f"the same costs over GPT-2's vocabulary: pull {c.mean() / 50257:.7f}, length {c.std(0).mean() / np.sqrt(50257):.5f}")

# %% [markdown]
# Adam, the usual optimiser, divides the gradient by its own size, so being small is not yet a verdict. What matters is how the pulls compare: those
# of one word with another, and those of today with tomorrow's.
#
# ## How long does a wrong answer last?
#
# Take two tokens, the right one and a wrong one at cost $c$, and let the logits follow the gradient continuously, $\dot z=-\nabla\,\mathrm{loss}$.
# Only the difference $s=z_t-z_w$ matters, with $p_t=1/(1+e^{-s})$. Both logits move, in opposite ways:
#
# $$\dot s_{\mathrm{CE}}=2(1-p_t),\qquad\dot s_{\mathrm{EMO}}=2c\,p_t(1-p_t).$$
#
# Time is $\int\mathrm ds/\dot s$. With the odds $o=p_t/(1-p_t)=e^s$ at the start, up to $p_t=\frac12$, where $s=0$:
#
# $$T_{\mathrm{CE}}=\tfrac12(1-o-\log o),\qquad T_{\mathrm{EMO}}=\frac{1/o-o-2\log o}{2c}. \tag{D13}$$
#
# The first grows like the *logarithm* of $1/p_t$, the second like $1/p_t$ itself. Let us see a simulation agree, by small steps:

# %%
def simulate(kind, p, step=0.01):
    z, frozen, steps = torch.tensor([[np.log(p), np.log(1 - p)]]), losses.CostEmbedding(torch.eye(2).double()), 0
    while z[0, 0] < z[0, 1]:
        x = z.clone().requires_grad_()
        losses.objective(kind, frozen)(x, torch.tensor([0])).backward()
        z, steps = z - step * x.grad, steps + 1
    return step * steps

print(f"simulated from 0.05:  CE {simulate('ce', 0.05):7.2f}   EMO {simulate('emo', 0.05):7.2f}")
for p in (0.05, 1 / world.size, 1 / 50257, 1e-8):
    ce, emo = transport.escape_times(p)
    print(f"D13 from {p:11.3g}:  CE {ce:7.2f}   EMO {emo:12.2f}")

# %% [markdown]
# A word at one in 50257, where all begin, takes cross-entropy a time of six; EMO sits there for 25 thousand. (With more tokens, all wrong ones at
# one cost, both take up to twice as long: see the appendix.)
#
# ### Exercise 08.1 (D13, 8 minutes)
#
# Write both times from memory: derive the speeds from $\partial/\partial z_t$ and $\partial/\partial z_w$, then integrate.
#
# <details><summary>It says "twice too long"</summary>
#
# The gradient has an entry for each of the two logits. They are equal and opposite, so the difference moves twice as fast as either.
# </details>
# <details><summary>The integral of 1/(p(1-p))</summary>
#
# With p = 1/(1 + e^(-s)) it is e^s + 2 + e^(-s), which you can integrate term by term.
# </details>

# %% tags=["exercise:08.1"]
def escape(p, c):
    """Times (CE, EMO) of gradient flow from p_t = p up to one half, for two tokens and cost c."""
    raise NotImplementedError

# %% tags=["check:08.1"]
check.run("08.1", escape)

# %% [markdown]
# ## Let the error go to infinity
#
# An older post by the same author has a rule for this illness ([archives/9098](https://spaces.ac.cn/archives/9098)): take a smooth version of the
# metric, and transform it so that *the wrong end goes to infinity* while *the right end keeps its slope*. With $1-p_t$ that gives $-\log p_t$,
# cross-entropy. What does it give for EMO? Let $M=\max_ic_{it}$ be the largest cost, so that $x=L/M$ runs from 0 to 1, and
#
# $$M\,\psi(L/M)\quad\text{with}\quad\psi(0)=0,\ \psi'(0)=1,\ \psi(1)=\infty,\qquad
# \text{for instance }-\log(1-x),\ \tfrac x{1-x},\ \operatorname{atanh}x. \tag{D14}$$
#
# Its gradient is $\psi'(L/M)\,\nabla L$: EMO's, times a number that grows without limit as $L\to M$. **Predict first:** a model is sure of a wrong
# word. For *which* wrong words does the push come back: for all, for those further than average, or for one?

# %%
pictures.show(*lesson08_silence.panel())

# %% [markdown]
# For one. $L$ comes near $M$ only if nearly all probability is on the *farthest* word. Sure of any other wrong word $w$, $L\to c_{wt}<M$, the
# factor stays finite, and $\nabla L$ dies as before. Even at the farthest word not everything is well: the pull tends to $q_tM/(1-q\cdot c/M)$ for
# $-\log(1-x)$, where $q$ says how the remaining probability is shared. If the target has nothing of it, nothing pulls it:

# %%
column = torch.tensor([0.0, 0.1, 0.5, 0.9]).double()  # costs to the target
for wrong, q in ((3, [0.5, 0.3, 0.2, 0.0]), (3, [0.0, 0.5, 0.5, 0.0]), (2, [0.5, 0.3, 0.0, 0.2])):
    p = 1e-9 * torch.tensor(q).double()
    p[wrong] += 1 - 1e-9
    z = p.clamp(min=1e-300).log().requires_grad_()
    transformed(z[None], column[None], "log").sum().backward()
    limit = 0.9 * q[0] / (1 - np.dot(q, column.numpy()) / 0.9) if wrong == 3 else 0.0
    print(f"sure of word {wrong}, target's share of the rest {q[0]}: pull {-z.grad[0]:.6f}, limit {limit:.6f}")

# %% [markdown]
# Cross-entropy is different: $-\log p_t$ is infinite wherever $p_t=0$, on a whole *face* of the simplex, at every wrong answer and every mixture of
# wrong answers. That is why the article's advice, adding cross-entropy, works where a transform of $L$ cannot: the pull of $\mathrm{CE}+\lambda\,
# \mathrm{EMO}$ is $(1-p_t)+\lambda\,p_tL\ge1-p_t$. In the explorer *the rest* is what the sure model leaves to other words. Make it small, then take
# Monday's share of it away (after *Run All Cells* the picture follows only when the training below has ended):

# %%
lesson08_silence.explorer()

# %% [markdown]
# ### Exercise 08.2 (D14, 6 minutes)
#
# Write $-M\log(1-L/M)$ for one token, so that it keeps its digits when all but $10^{-40}$ of the probability is on the farthest word.
#
# <details><summary>It gives inf, or too few digits</summary>
#
# 1 - L/M subtracts two numbers near 1. As the p_i sum to 1, it equals the sum of p_i (M - c_i)/M, in which nothing is subtracted but costs.
# </details>

# %% tags=["exercise:08.2"]
def unbounded(p, cost):
    """-M log(1 - L/M) for a model p (V,) and costs (V,) to the target, M the largest of them."""
    raise NotImplementedError

# %% tags=["check:08.2"]
check.run("08.2", unbounded)

# %% [markdown]
# ## Vectors without a model
#
# From scratch there is no trained head. Word2Vec learns vectors from who stands next to whom, and Levy and Goldberg (2014) found that it factorises
# a matrix that can be written down, shifted by a constant. In its common form: how much more often than by chance do two words meet? With $n_{ij}$
# the number of meetings, $n_i$ a row's sum and $n$ the sum of all,
#
# $$S_{ij}=\max\Big(0,\ \log\frac{n_{ij}\,n}{n_i\,n_j}\Big), \tag{D15}$$
#
# the *positive pointwise mutual information*. Its strongest 64 directions, $U\sqrt\Sigma$ of a singular value decomposition, are the vectors: no
# training at all.

# %%
counts = neighbours(world.sample(20_000, 33, seed=60_000), world.size)
vectors = costs.unit_rows(ppmi_vectors(counts, 64))
cosine = vectors @ vectors.T
for word in ("chef", "ship", "quickly"):
    near = np.argsort(-cosine[world.vocabulary.index(word)])[1:6]
    print(f"{word:8}", ", ".join(f"{world.vocabulary[k]} {cosine[world.vocabulary.index(word), k]:.2f}" for k in near))

# %% [markdown]
# Near-synonyms come out near, for they keep the same company.
#
# ### Exercise 08.3 (D15, 6 minutes)
#
# Write D15 for a table of counts. Pairs that never met get 0.
#
# <details><summary>minus infinity, or nan</summary>
#
# Pairs that never met have ratio 0. Cut the ratio at 1 before the logarithm, and all that is rarer than chance becomes 0.
# </details>

# %% tags=["exercise:08.3"]
def information(counts):
    """Positive pointwise mutual information (V, V), in nats, of symmetric counts (V, V)."""
    raise NotImplementedError

# %% tags=["check:08.3"]
check.run("08.3", information)

# %% [markdown]
# ## Twenty objectives from nothing
#
# Now the experiment (`python -m emo_teach study scratch`). A GPT-2 with two layers and random weights learns domain A from fresh texts, 1500 steps
# of 32. Twenty objectives: EMO alone with three tables of vectors (the pretrained head of lesson 07, counts, random), the transforms, mixtures, the
# published mode 1, a schedule that starts as CE and ends as EMO, and the debiased score. Each had three learning rates and took the best on
# development texts by total variation from the truth, which none of them trains on; five seeds. **Predict** the order of the four at the end: EMO
# alone, its best transform, CE + 10 EMO, debiased alone (with random vectors).

# %%
rows = studies.table("scratch")
pictures.show(*figures.growth(rows, "tv"))

# %% [markdown]
# (Means with standard errors, mostly too small to see; the axis of steps is logarithmic.) EMO alone is not just *slow*. With the pretrained head it
# nearly keeps up with cross-entropy until step 25, falls behind by step 50, then *turns back*, and ends with most of its probability in the wrong
# place. Its entropy says what it became:

# %%
last = [row | {"regime": "from random weights, after 1500 steps"} for row in rows if row["step"] == 1500]
few = ("ce", "emo, pretrained cost", "emo, random cost", "accuracy", "x/(1 - x)", "ce + 1 emo", "emo-mode-1", "ce to emo", "debiased, random cost")
shown = ("tv", "forward_kl", "reverse_kl", "emd_classes", "entropy")
display(summary.Table([row for row in last if row["objective"] in few], last[0]["regime"], shown))

# %% [markdown]
# A model that nearly always says *one* word per context. Is that lesson 04's D2, the corner where EMO is least? Then its own loss must be low
# there. Train it again for 400 steps, and cross-entropy beside it. Both runs are committed too, and must agree with the table (another processor
# may round differently; the line of the other objective must *not* agree):

# %%
judge, jobs = scratch.Judge(world, 100, scratch.TEST_SEED), scratch.STAGES[1].jobs({"scratch_tuning": studies.table("scratch_tuning")})
C = costs.cosine(scratch.embedding("pretrained", world))
said = lambda log_p: reading.emo(log_p, judge.texts[:, 1:], costs.unit_rows(scratch.embedding("pretrained", world)))
ends = {}
for name, rival in (("emo, pretrained cost", "ce"), ("ce", "emo, pretrained cost")):
    [job] = [job for job in jobs if (job["objective"], job["seed"]) == (name, 0)]
    ends[name] = scratch.train(scratch.make_loss(name, world), world, job["lr"], 0, until=400)
    tv = judge.measure(ends[name])["tv"]
    kept = {row["objective"]: row["tv"] for row in rows if (row["seed"], row["step"]) == (0, 400)}
    assert abs(tv / kept[name] - 1) < 0.05 < abs(tv / kept[rival] - 1)
    print(f"{name:20} total variation {tv:.2f}, as in the table; EMO {said(reading.next_token_log_probs(ends[name], judge.texts[:, :-1])):.2f}")
print(f"the truth itself: EMO {said(np.log(judge.truth)):.2f}; the medoids: EMO {(judge.truth @ C).min(-1).mean():.2f}")

# %% [markdown]
# No! EMO alone is worse *at its own loss* than cross-entropy is. It is not where EMO is least; it is stuck in wrong corners, where EMO's gradient
# dies. Once a word is gone it does not return, for its pull is $p_tL$. Here is the pull on the words that each model had given up, those with
# $p_t<0.001$, and how many there were:

# %%
pictures.show(*figures.growth(rows, "pull_hopeless", "log"))
gone = {name: np.mean([row["hopeless"] for row in last if row["objective"] == name]) for name in few}
print("share of the next words that the model gives less than 0.001", *(f"   {name:25} {share:.2f}" for name, share in gone.items()), sep="\n")

# %% [markdown]
# So C9's reason is right, and "slow" is too kind: in 1500 steps they did not come back. Mixed with cross-entropy no more is given up than by
# cross-entropy alone. But note the price that rises with $\lambda$:

# %%
pictures.show(*figures.dose(rows))

# %% [markdown]
# Early on EMO even helps: look at CE + 10 EMO at step 25 above. By the end nothing is left of that: no $\lambda$ ends measurably nearer to the
# truth than $\lambda=0$. That is the other trouble, D2's. The schedule shows both apart: it learns like cross-entropy, gives up no more than that,
# and in the last steps, as EMO takes over, walks away from the truth.
#
# ### Which vectors?
#
# For EMO alone the table hardly matters: all three collapse. For the debiased score it does, and *against* expectation. With random vectors it
# comes twice as near to the truth in total variation as with meaningful ones, though hardly nearer in EMD. Lesson 06 has an explanation: the score
# sees $m_p$ only, the mean direction. Where near-synonyms have nearly the same direction, how probability is shared among them hardly changes
# $m_p$, and so goes unlearned. Random directions in 64 dimensions are nearly at right angles; there the score is nearly Brier's, which tells all
# words apart.

# %%
for table in ("pretrained", "ppmi", "random"):
    unit = costs.unit_rows(scratch.embedding(table, world))
    same = (world.classes[:, None] == world.classes) & ~np.eye(world.size, dtype=bool)
    ends = [row for row in last if row["objective"] == f"debiased, {table} cost"]
    tv, emd = (np.mean([row[name] for row in ends]) for name in ("tv", "emd_classes"))
    print(f"{table:10} mean cosine of near-synonyms {(unit @ unit.T)[same].mean():5.2f}   TV {tv:.3f}   EMD, true classes {emd:.3f}")

# %% [markdown]
# ## The verdicts
#
# Differences of total variation from the truth, seed by seed, with 95 % intervals; negative is better than cross-entropy:

# %%
def against_ce(name):
    first, second = (summary.by_seed(last, last[0]["regime"], each, "tv") for each in (name, "ce"))
    return summary.interval(first - second)

for name in ("emo, pretrained cost", "emo, ppmi cost", "emo, random cost", "-log(1 - x)", "x/(1 - x)", "atanh x", "ce + 0.1 emo", "ce + 0.3 emo",
             "ce + 1 emo", "ce + 10 emo", "ce to emo", "emo-mode-1", "ce + debiased", "debiased, pretrained cost", "debiased, random cost"):
    mean, half = against_ce(name)
    print(f"{name:26} {mean:+.4f} ± {half:.4f}   {'cannot tell' if abs(mean) <= half else 'better' if mean < 0 else 'worse'}")

# %% [markdown]
# **C8**: the worry is right, its reason is not. EMO alone fails from scratch with all three tables, the pretrained head included; vectors from
# counts are no rescue, and what they cost in quality could not be seen. **C9** holds: the bounded loss cannot leave wrong answers, and
# cross-entropy beside it can. Two things it does not say. To remove the bound by a transform helps little, for that removes it at one word only.
# And a light mixture ends as cross-entropy does, a heavy one worse. The debiased score *does* train from scratch, without collapse, though not to
# where cross-entropy gets. What would overturn this: a vocabulary or a text in which CE + EMO ends nearer to the truth than CE, over several seeds.
#
# ## What we learned
#
# A bounded loss lets go of what it has lost, and how slowly it comes back can be computed. Making it infinite at the farthest word does not make it
# infinite elsewhere. From scratch EMO alone is caught in wrong corners; with cross-entropy's help it gets out, and then pulls away from the truth.

# %%
verify.show("08")

# %%
worked.table("08")

# %% [markdown]
# On paper: $L=0.26$ and $M=1$, so $-\log(0.74)=0.301$, and the gradient on Monday's logit is $-0.13/0.74=-0.176$.
#
# **What to doubt.** One small grammar, one size of model, 1500 steps, Adam. The learning rate was chosen per objective among three. Real corpora
# have vocabularies two hundred times as large, where D13 speaks louder still. That none beats CE *by the truth* is no surprise: it is the one that
# asks for it.
#
# Next: [09 · Why should EMO help, and does it?](09_open_questions.ipynb) Full proofs are in the [appendix](appendix_derivations.ipynb).
#
# **References.** Su Jianlin, [the article](https://spaces.ac.cn/archives/9797) (2023), C8 and C9, and [on training
# accuracy](https://spaces.ac.cn/archives/9098). Levy and Goldberg, *Neural word embedding as implicit matrix factorization* (NIPS
# 2014). Mikolov et al., [*word2vec*](https://arxiv.org/abs/1301.3781) (2013). Kingma and Ba, [*Adam*](https://arxiv.org/abs/1412.6980) (2015).
