# %% [markdown] meets="EMO in PyTorch, its gradient, half precision, a proper repair"
# # 06 · How do you train with transport, and where does it lead?
#
# **You will be able to** derive EMO and its gradient, say what averaging first saves and what not, see through a loss curve that hides half of its
# loss, keep the loss alive in half precision, compute where each objective comes to rest, and repair the one that is not proper.
#
# **Needs** lessons 04 and 05, a little PyTorch. **Takes** about 60 minutes. **Formulas** A9, D1, D5, D7, D9, D11; claim C2.

# %% tags=["bootstrap"]

# %%
import time
import tracemalloc
import numpy as np
import torch
from emo_teach import check, costs, figures, pictures, transport, verify, worked
from emo_teach.explorers import lesson06_objectives
from emo_teach.losses import CostEmbedding, objective, token_terms
from emo_teach.words import load_words
rng = np.random.default_rng(0)
P, COST = worked.P, worked.COST

# %% [markdown]
# ## Average first
#
# For a one-hot label the distance is $\sum_ip_ic_{it}$ (lesson 04), and $c_{it}=1-\langle\hat e_i,\hat e_t\rangle$
# (lesson 05). Put one into the other. The $p_i$ sum to 1, and a dot product may be taken after the sum:
#
# $$L=\sum_ip_i\big(1-\langle\hat e_i,\hat e_t\rangle\big)=1-\Big\langle\sum_ip_i\hat e_i,\ \hat e_t\Big\rangle
# =1-\langle m_p,\hat e_t\rangle. \tag{A9}$$
#
# That is **EMO**, the exact distance by way of one average. On paper: $m_p=(0.74,0.38)$ from lesson 05, Monday is $(1,0)$, so $L=1-0.74=0.26$.
#
# `emo_teach.losses` holds it for training.

# %%
frozen = CostEmbedding(torch.tensor(worked.EMBEDDING))
logits, monday = torch.tensor(np.log(P))[None], torch.tensor([0])
print(f"linear program  {transport.emd(P, np.eye(3)[0], COST).value:.4f}")
print(f"average first   {transport.emo(P, worked.EMBEDDING, 0):.4f}")
print(f"on logits       {objective('emo', frozen)(logits, monday).item():.4f}")

# %% [markdown]
# "Average the embeddings, then take the cosine" sounds the same. A cosine divides by *both* lengths, and $m_p$ is mostly shorter than 1. Half the
# mass on a token at $+45°$ from the target and half on one at $-45°$: every answer drawn is wrong, but the mean points right at the target.

# %%
cross = np.array([[1.0, 0], [1, 1], [1, -1]])
mean = transport.mean_direction([0, 0.5, 0.5], cross)
print(f"1 - cos(m_p, e_t) = {1 - mean[0] / np.linalg.norm(mean):.3f}   EMO = {transport.emo([0, 0.5, 0.5], cross, 0):.3f}")

# %% [markdown]
# The wrong version (D5) sees no error: length is where the spread of $p$ is kept, and it throws that away.
#
# ### Exercise 06.1 (A9 and D5, 4 minutes)
#
# Write A9, averaging first.
#
# <details><summary>It says that I normalised the mean</summary>
#
# `cosine_similarity` divides by both lengths. Normalise the rows of the embedding, average, and leave the average as it is.
# </details>

# %% tags=["exercise:06.1"]
def emo(p, embedding, target):
    """EMO, a float, of the model p (V,) for one target: average first, embedding (V, d)."""
    raise NotImplementedError

# %% tags=["check:06.1"]
check.run("06.1", emo)

# %% [markdown]
# ## The gradient, and where it dies
#
# Lesson 04 derived it for every cost:
#
# $$\frac{\partial L}{\partial z_j}=p_j\,(c_{jt}-L). \tag{D1}$$
#
# What is cheaper than average rises, what is dearer sinks. On paper: $0.5(0-0.26)=-0.13$, $0.3(0.2-0.26)=-0.018$, $0.2(1-0.26)=0.148$; the sum is
# 0.
#
# It is 0 exactly where all words with mass cost the same. So it dies in *every* corner of the simplex, the wrong ones too: there is nothing left to
# compare. The target's own entry, $-p_tL$, dies with $p_t$, as it does for $1-p_t$. Let a model grow sure of banana:

# %%
print("gradient on Monday's logit, when banana leads by")
print("  lead       CE   1 - p_t       EMO   EMO on all logits")
for lead in (0, 2, 5, 10):
    rows = []
    for name in ("ce", "accuracy", "emo"):
        z = torch.tensor([[0.0, 0.0, lead]], requires_grad=True)
        objective(name, frozen)(z, monday).backward()
        rows.append(z.grad[0].numpy())
    print(f"  {lead:4}", *(f"{g[0]:9.5f}" for g in rows), "  ", rows[-1].round(4))

# %% [markdown]
# Cross-entropy shouts louder the more wrong the model is; the other two fall silent. One reason to *fine-tune* with EMO, not to start with it: the
# right word must have some mass already.
#
# Reinforcement learning knows D1. Let the model draw an answer $i$ and earn the reward $\cos(e_i,e_t)$. Then $1-L$ is the mean reward, and minus D1
# is its gradient, the *policy gradient*. REINFORCE estimates it from single draws: reward, less the mean as *baseline*, times $\nabla\log
# p_i=\delta_i-p$. EMO adds up all $V$ draws exactly:

# %%
draws = rng.choice(3, size=5000, p=P)
reward = 1 - COST[:, 0]
single = (reward[draws] - P @ reward)[:, None] * (np.eye(3)[draws] - P)  # raises the reward
print("one draw           ", -single[0].round(3))
print("mean of 5000 draws ", -single.mean(axis=0).round(3))
print("D1, all words      ", transport.one_hot_logit_gradient(P, COST, 0).round(3))

# %% [markdown]
# ### Exercise 06.2 (D1, 6 minutes)
#
# Write D1 from the embedding, without a $V\times V$ matrix. How many products of (V, d) with a vector do you need?
#
# <details><summary>My entries do not sum to 0</summary>
#
# Subtract L, the average of the costs under p, from each cost before you multiply by p_j.
# </details>

# %% tags=["exercise:06.2"]
def gradient(p, embedding, target):
    """Gradient (V,) of EMO with respect to the logits behind p (V,); embedding (V, d)."""
    raise NotImplementedError

# %% tags=["check:06.2"]
check.run("06.2", gradient)

# %% [markdown]
# ## Does averaging first save work?
#
# The article says that averaging first clearly lowers the amount of computation (claim C2). Compared with what? Three ways to the same loss for $N$
# tokens: look the costs up in a $V\times V$ matrix; compute a *row* of costs per target, $N\cdot V\cdot d$ multiplications; or average, just
# as many. With `want=True` each returns the gradient D1 instead. Look at the last line: D1 needs every $c_{jt}$. The averager must compute the row
# after all.

# %%
N, V, d = 256, 6000, 256
U = costs.unit_rows(rng.normal(size=(V, d))).astype("float32")
p, t = rng.dirichlet(np.ones(V), N).astype("float32"), rng.integers(V, size=N)

def by_matrix(want):
    c = C[t]  # C, the V x V matrix, is made in the next cell
    L = np.einsum("ij,ij->i", p, c)[:, None]
    return p * (c - L) if want else L
def by_rows(want):
    c = 1 - U[t] @ U.T
    L = np.einsum("ij,ij->i", p, c)[:, None]
    return p * (c - L) if want else L
def average_first(want):
    L = 1 - np.einsum("ik,ik->i", p @ U, U[t])[:, None]
    return p * (1 - U[t] @ U.T - L) if want else L

# %% tags=["timing"]
def measure(job, *given, repeats=5):
    tracemalloc.start()
    job(*given)
    peak, times = tracemalloc.get_traced_memory()[1], []
    tracemalloc.stop()
    for _ in range(repeats):
        begun = time.perf_counter()
        result = job(*given)
        times.append(time.perf_counter() - begun)
    return result, f"{1e3 * min(times):8.1f} ms {peak / 2**20:7.1f} MiB"
C, price = measure(lambda: 1 - U @ U.T, repeats=1)
print(f"{'making the V x V matrix, once':34}{price}\nthe same for GPT-2's 50257 tokens, 4 bytes each: {50257**2 * 4 / 1e9:.1f} GB")
for way in (by_matrix, by_rows, average_first):
    for want, name in ((False, "loss alone"), (True, "gradient")):
        print(f"{way.__name__:15} {name:18}{measure(way, want)[1]}")

# %% [markdown]
# Here is the answer to C2, for one-hot labels. Against the matrix, averaging saves *memory*, gigabytes at GPT-2's size, but no time once the matrix
# is made. Against a row per target, averaging spares the $N\times V$ numbers of the rows as long as only the loss is wanted; in training it needs
# *two* products to the rows' one, and no less memory. For training, take rows.
#
# Its true home is the soft label of lesson 04. There $p^\top C\tau=1-\langle m_p,m_\tau\rangle$ takes $2Vd$ multiplications per token in place of
# $V^2$:

# %% tags=["timing"]
tau = p[rng.permutation(N)]  # labels as spread as the models
by_c, with_matrix = measure(lambda: np.einsum("ij,ij->i", p @ C, tau))
by_m, with_means = measure(lambda: 1 - np.einsum("ik,ik->i", p @ U, tau @ U))
print(f"p' C tau by the matrix     {with_matrix}")
print(f"p' C tau by two averages   {with_means}   largest difference {np.abs(by_c - by_m).max():.0e}")
print(f"largest difference of the gradients {np.abs(by_rows(True) - average_first(True)).max():.0e}")

# %% [markdown]
# ## Every objective on one token
#
# EMO has rivals. Write $\mathrm{sg}(x)$ for *stop-gradient*: the number $x$, which the derivative takes for a constant.
#
# | name | loss |
# | --- | --- |
# | accuracy | $1-p_t$, lesson 04 |
# | overconfidence (archives/9526) | $-\frac{\log(\gamma+(1-\gamma)p_t)}{1-\gamma}$, lesson 02 ($\gamma=0.1$) |
# | TaiLr | $\mathrm{sg}(w)\,\mathrm{CE}$ with $w=\frac{p_t}{\gamma+(1-\gamma)p_t}$, but at least 0.2 |
# | MixCE | $\mathrm{sg}(w)\,\mathrm{CE}$ with $w=\eta+(1-\eta)p_t$ |
# | EMO, mode 1 of the authors' code | $\frac12\mathrm{CE}+\frac12\mathrm{sg}(w)\,L$ with $w=\mathrm{CE}/L$ |
# | EMO, mode 2 | $\mathrm{sg}(w)\,\mathrm{CE}+L$ with $w=L/\mathrm{CE}$ |
# | debiased | $L-\tfrac12p^\top Cp$, below |
#
# Tuesday and banana share the wrong mass 3:2, and Monday's probability falls to one in a million:

# %%
names = ("ce", "accuracy", "overconfidence", "tailr", "mixce", "emo", "emo-mode-1", "emo-mode-2", "debiased")
p_t = np.geomspace(1e-6, 0.999, 121)
models = torch.tensor(np.log(np.stack([p_t, 0.6 * (1 - p_t), 0.4 * (1 - p_t)], axis=-1)))
values, pulls = {}, {}
for name in names:
    z = models.clone().requires_grad_()
    loss = objective(name, frozen)(z, torch.zeros(121, dtype=int), reduction="none")
    loss.sum().backward()
    values[name], pulls[name] = loss.detach().numpy(), -z.grad[:, 0].numpy()
pictures.show(*figures.rivals(p_t, values, pulls))

# %% [markdown]
# On the left mode 1 lies exactly on cross-entropy. On the right, look at the far left: TaiLr ($\gamma=10^{-7}$) and MixCE ($\eta=\frac12$) are
# cross-entropy with a brake that never locks, mode 1 keeps half of CE's pull, mode 2 lets go slowly, as $L/\mathrm{CE}$. The others let go.
#
# ### Predict first
#
# The pull on the *target* is not all. Say Monday is right, but the model gives Tuesday 0.80 and Monday, like each of four words more, 0.04. Which
# objectives push Tuesday down, and which lift it?

# %%
pictures.show(*lesson06_objectives.panel())

# %% [markdown]
# (Bars are shares of each push; its size stands above.) All that see $p_t$ alone push in *one* direction, cross-entropy's, and differ in length.
# EMO lifts Tuesday far more than Monday, for that is where the mass is. Mode 1 is torn; the debiased loss pushes Tuesday down.
#
# Slide the target's logit to $-8$: whose push, the number above the bars, is left? Show the steps, then give the far word mass. When does mode 1
# begin to lift the near words?

# %%
lesson06_objectives.explorer()

# %% [markdown]
# ## The curve that shows nothing
#
# Why does mode 1 divide by $L$? So that both halves weigh the same. But look at its *value*, wherever $L>0$:
#
# $$\tfrac12\Big(\mathrm{CE}+\mathrm{sg}\Big(\frac{\mathrm{CE}}L\Big)L\Big)\ \text{has the value}\ \mathrm{CE}\ \text{and the gradient}\
# \tfrac12\Big(\nabla\mathrm{CE}+\frac{\mathrm{CE}}L\nabla L\Big). \tag{D7}$$
#
# Its loss curve is cross-entropy's, to the last digit. It says nothing of the transport half, which shows in the gradient only. On paper:
# $\mathrm{CE}=0.693$, $L=0.26$, weight $2.67$.

# %%
words = load_words()
cost = CostEmbedding(torch.tensor(words.embedding).double())
z, labels = torch.tensor(rng.normal(size=(500, cost.size)) * 3), torch.tensor(rng.integers(cost.size, size=500))
found = {}
for name, options in (("ce", {}), ("emo-mode-1", {}), ("emo-mode-1", {"clip": 3.0}), ("emo-mode-2", {}), ("emo", {})):
    x = z.clone().requires_grad_()
    loss = objective(name, cost, **options)(x, labels)
    loss.backward()
    found.setdefault(name, x.grad)
    angle = torch.cosine_similarity(x.grad.flatten(), found["ce"].flatten(), 0)
    print(f"{name:10} {str(options or ''):14} value {loss.item():.12f}   gradient's cosine with CE's {angle:.3f}")

# %% [markdown]
# A clip, as in the package `emoloss`, lets the weight not exceed 3; where it bites, the value sinks below CE and looks *better*, with nothing
# learned. Mode 2 has the value $2L$. So never compare such curves: plot CE and $L$ apart.
#
# ## The same token in half precision
#
# Mode 1 divides a number by another, and late in training both are tiny. Written down naively, $L=1-\langle m_p,\hat e_t\rangle$ subtracts two
# numbers near 1, and `bfloat16` keeps two or three digits. Here is Monday among real words at three levels of certainty, naive (with the $10^{-10}$
# that is usually added to the divisor) and by `emo_teach.losses`:

# %%
def naive(z, t):
    unit = torch.nn.functional.normalize(torch.tensor(words.embedding).to(z.dtype), dim=-1)
    L = 1 - (z.softmax(-1) @ unit * unit[t]).sum(-1)
    return L, torch.nn.functional.cross_entropy(z, t, reduction="none") / (L + 1e-10)

def safe(z, t):
    terms = token_terms(z, t, ("emo",), cost)
    return terms.emo, terms.ce / terms.emo

def logits_at(p_t, t):
    z = torch.tensor(np.random.default_rng(0).normal(size=(len(t), cost.size)))
    z.scatter_(1, t[:, None], -torch.inf)
    return z.scatter(1, t[:, None], (z.logsumexp(-1) + np.log(p_t / (1 - p_t)))[:, None])

# %% tags=["environment"]
t = torch.tensor([words.index("Monday")])
print("   p_t   logits        naive L   weight      safe L  weight")
for p_t in (0.5, 0.99, 0.9999):
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        z = logits_at(p_t, t).to(dtype)
        (L, w), (safe_L, safe_w) = naive(z, t), safe(z, t)
        print(f"{p_t:6} {str(dtype)[6:]:9} {L.item():11.2e} {w.item():8.3g} {safe_L.item():11.2e} {safe_w.item():7.3g}")
t = torch.arange(100)
for p_t, dtype in ((0.99, torch.bfloat16), (0.9999, torch.bfloat16), (0.9999, torch.float16)):
    z = logits_at(p_t, t).to(dtype)
    (L, w), (_, safe_w) = naive(z, t), safe(z, t)
    bad = f"L = 0: {(L == 0).sum():2}, L < 0: {(L < 0).sum():2}, nan: {w.isnan().sum():2}"
    print(f"100 words, p_t {p_t:6} {str(dtype)[6:]:8} {bad}, largest {w.nan_to_num().max() + 0.0:8.1e}; safe: largest {safe_w.max():.2f}")

# %% [markdown]
# Distances of 0 or below, absurd weights, `nan` (float16 rounds even $10^{-10}$ to 0): one such token drowns its batch. (A weight of 0 means that
# CE itself was rounded to 0.) Three habits cure it. Compute in float32. Never subtract numbers near 1: sum $p_ic_{it}$ over the *wrong* tokens,
# which takes $c_{tt}$ as an exact 0. And take CE as $\log(1+\sum_{i\ne t}e^{z_i-z_t})$ by `log1p`.
#
# ### Exercise 06.3 (D7, 8 minutes)
#
# Write the weight CE/L so that it survives both a nearly certain and a hopeless target. The target's own cost comes with rounding noise.
#
# <details><summary>It fails for a target far above the others</summary>
#
# Leave the target out of both sums; CE is `np.log1p` of the wrong tokens' weight over the target's.
# </details>
# <details><summary>It overflows for a target far below</summary>
#
# There log1p would see e to the 900. Take the largest logit away first, and the plain logarithm.
# </details>

# %% tags=["exercise:06.3"]
def weight(logits, cost, target):
    """CE/L for logits (V,) and costs to the target (V,), whose own entry may hold rounding noise; 0 where L is 0."""
    raise NotImplementedError

# %% tags=["check:06.3"]
check.run("06.3", weight)

# %% [markdown]
# ## Where does training come to rest?
#
# Let Monday follow in half of all texts, Tuesday in 30 %, banana in 20 %: the old $p$ is the truth now. Cross-entropy rests at $\tau=(0.5,0.3,0.2)$.
# EMO *alone* has the mean loss $p^\top C\tau$ (lesson 04's D2) and ends on the medoid. On paper, $C\tau$: Monday $0.3\cdot0.2+0.2=0.26$, Tuesday
# $0.5\cdot0.2+0.2\cdot0.4=0.18$, banana $0.5+0.3\cdot0.4=0.62$. So it would always say Tuesday.
#
# And the mixtures? They rest where the update, averaged over labels, is 0. **Predict:** will mode 1 rest between $\tau$ and Tuesday? Mode 2? Some
# published files put $L+\mathrm{sg}(p_t)$ for $L$ (`detach_target`), which shrinks the weight of confident tokens.

# %%
tau = torch.tensor([0.5, 0.3, 0.2]).double()

def update(z, loss):
    x = torch.tensor(z, requires_grad=True)
    each = loss(x.expand(3, 3), torch.arange(3), reduction="none")  # the three labels
    return torch.autograd.grad(tau @ each, x)[0].numpy()

losses = {"ce": objective("ce"), "ce + emo": objective("ce+emo", frozen), "mode 1": objective("emo-mode-1", frozen),
          "mode 1, detached": objective("emo-mode-1", frozen, detach_target=True), "mode 2": objective("emo-mode-2", frozen),
          "debiased": objective("debiased", frozen)}
ends = {}
for name, loss in losses.items():
    z = np.zeros(3)
    for _ in range(800):
        z -= 3.0 * update(z, loss)
    ends[name] = np.exp(z) / np.exp(z).sum()
    print(f"{name:17} rests at {ends[name].round(3)}   (update there {np.abs(update(z, loss)).max():.0e})")

# %%
pictures.show(*figures.rest_points(tau.numpy(), ends, transport.medoid(tau.numpy(), COST)))

# %% [markdown]
# Mode 1 is drawn towards Tuesday and nearly empties banana. Mode 2 goes another way, to Monday, surer than the truth, with Tuesday behind banana.
# Why? At $\tau$ its weight $L/\mathrm{CE}$ is 0.38 for Monday and 0.39 for banana, but 0.15 for Tuesday, which is near everything: CE is shown too
# few Tuesdays.
#
# Both modes *sharpen*: banana comes in a fifth of all texts. The detached variant stays nearer to $\tau$. Is sharpening good? If you want one answer,
# perhaps; if you sample, a lower temperature sharpens too: compare.
#
# What is being minimised there? For the published modes: nothing. If an update is the gradient of *any* loss, its Jacobian is a matrix of second
# derivatives, hence symmetric. For one label of mode 1 (proof in the appendix), with $j,k\ne t$:
#
# $$u=\tfrac12\Big(\nabla\mathrm{CE}+\frac{\mathrm{CE}}L\nabla L\Big)\ \Longrightarrow\
# \frac{\partial u_j}{\partial z_k}-\frac{\partial u_k}{\partial z_j}=\frac{p_jp_k\,(c_{jt}-c_{kt})}{2L}. \tag{D11}$$
#
# It vanishes when all wrong words cost the same, as under the 0/1 cost, and not otherwise. No loss has this update for gradient. Averaged over
# labels, at rest:

# %%
def jacobian(loss, z, h=1e-6):
    return np.array([(update(z + s, loss) - update(z - s, loss)) / (2 * h) for s in h * np.eye(3)]).T

for name, loss in losses.items():
    J = jacobian(loss, np.log(ends[name]))
    print(f"{name:17} largest |J - J'| {np.abs(J - J.T).max():.5f}   eigenvalues {np.sort(np.linalg.eigvals(J).real)[1:].round(3)}")

# %% [markdown]
# The eigenvalues (a third is 0: softmax ignores a constant) are positive, so the points do attract. But no loss of this update exists that you
# could plot and follow downhill.
#
# ## The repair
#
# Lesson 05 saw what makes $p^\top C\tau$ improper: the slice $\tfrac12(1-|m_p|^2)=\tfrac12p^\top Cp$, which rewards sharpness. Take it out. For a
# one-hot label
#
# $$L-\tfrac12p^\top Cp=1-\langle m_p,\hat e_t\rangle-\tfrac12(1-|m_p|^2)=\tfrac12|m_p-\hat e_t|^2. \tag{D9}$$
#
# Its mean over labels is $\tfrac12|m_p-m_\tau|^2$ and a constant: least at $p=\tau$. So the *debiased* EMO is **proper**, and above it rests at
# $\tau$. On paper, with lesson 05's slice: $0.26-0.154=0.106$. It too is one average away, and a second product gives the gradient: the price of
# averaging first. With the 0/1 cost it is $\tfrac12|p-\delta_t|^2$, half of *Brier's* score. EMO is to it what $1-p_t$ is to that.

# %%
print(f"on paper {objective('debiased', frozen)(logits, monday).item():.3f}")
brier = objective("debiased", CostEmbedding(torch.eye(3).double()))  # right angles: the 0/1 cost
print(f"0/1 cost {brier(logits, monday).item():.3f}, half of Brier's score {0.5 * ((P - np.eye(3)[0]) ** 2).sum():.3f}")
print("mean update at p = tau:", np.abs(update(np.log(tau.numpy()), losses["debiased"])).max().round(12))

# %% [markdown]
# *Strictly* proper, with $\tau$ the only minimum, it is exactly if $m_p$ determines $p$: if the unit vectors are *affinely independent*, which needs
# $V\le d+1$. Our three are; a vocabulary is not. Then the score pins $m_p$ alone, and many $p$ share it:

# %%
square = torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]).double()
many = torch.tensor([[0.5, 0, 0.5, 0], [0.25] * 4]).double()
for p in many:
    mean_score = sum(objective("debiased", CostEmbedding(square))(p.log()[None], torch.tensor([t])).item() for t in (0, 2)) / 2
    print(f"label 1st or 3rd of four in a square, p = {p.numpy()}: mean score {mean_score:.3f}")

# %% [markdown]
# So mix it: $\mathrm{CE}+w\cdot$debiased is strictly proper, rests at $\tau$ for every $w\ge 0$, and still knows that Tuesday is near. We found no
# published training with it.
#
# ## What we learned
#
# Averaging saves less than claimed, but much for soft labels. EMO's gradient dies with the target's mass and in every corner. The published
# objective shows CE, does something else, and rests away from the truth. A proper relative exists.

# %%
verify.show("06")

# %%
worked.table("06")

# %% [markdown]
# **What to doubt.** One context and a free $p$: a real network shares weights and stops early, and how far it gets towards these points is measured
# in [lesson 07](07_gpt2_finetune.ipynb). Nor is sharper always worse. The timings are your machine's and NumPy's; on a GPU the balance may differ.
# Full proofs are in the [appendix](appendix_derivations.ipynb).
#
# **References.** Su Jianlin, [the article](https://spaces.ac.cn/archives/9797) (2023), A9 and C2, and [on
# overconfidence](https://spaces.ac.cn/archives/9526). Ren et al., [*EMO*](https://arxiv.org/abs/2310.04691) (2024), the modes; their
# [code](https://github.com/DRSY/EMO). Ji et al., [*TaiLr*](https://arxiv.org/abs/2302.13344) (2023). Zhang et al.,
# [*MixCE*](https://arxiv.org/abs/2305.16958) (2023). Williams, REINFORCE (1992). Brier (1950). Székely and Rizzo, *Energy statistics* (2013), on the
# energy score.
