# %% [markdown] meets="soft labels, KL, proper scores"
# # 01 · Why is cross-entropy the loss that everyone uses?
#
# **You will be able to** write cross-entropy for hard and for soft labels, prove that it equals a KL divergence up to a constant, derive its
# gradient on the logits, and say what makes it a *proper* score.
#
# **Needs** logarithms and the softmax. **Takes** about 40 minutes. **Formulas** A1, A2, A3.

# %% tags=["bootstrap"]

# %%
import numpy as np
from emo_teach import check, divergences, pictures, verify, worked
from emo_teach.explorers import lesson01_ce_kl
rng = np.random.default_rng(0)

# %% [markdown]
# ## One token, one label
#
# A language model has read some text and must name the next token. It answers with a probability for each of the $n$ tokens it knows: a vector $p$
# with $p_i\ge 0$ and $\sum_i p_i=1$. Then the text shows which token really came, the *target* $t$. The loss looks at one number of the answer only:
#
# $$\mathcal L=-\log p_t \tag{A1}$$
#
# Why a logarithm? The probability that the model gives a whole text is a product of such $p_t$, one per token. The logarithm makes it a sum, so the
# smallest total loss is the *maximum likelihood*. All logarithms here are natural, so losses are in *nats*. Our example for the whole course has
# three tokens:

# %%
for token, probability in zip(worked.TOKENS, worked.P, strict=True):
    print(f"{token:8} {probability:.1f}")
print(f"loss if Monday comes: {divergences.log_loss(worked.P, worked.TARGET):.4f} nats")

# %% [markdown]
# The loss is 0 when the model was sure and right, and grows without limit as $p_t$ goes to 0. It says nothing about *where* the rest of the
# probability went; lessons 02 to 05 are about that silence.
#
# ## The label as a distribution
#
# Write the label as a distribution too: $\tau_t=1$ and $\tau_i=0$ elsewhere, a *one-hot* vector. Then A1 is one case of
#
# $$\mathrm{CE}(\tau,p)=-\sum_i \tau_i\log p_i \tag{A2}$$
#
# in which every term with $\tau_i=0$ drops out ($0\log 0=0$). The gain is that A2 also accepts *soft* labels, which give mass to several tokens. They
# arise when annotators disagree and when a large model teaches a small one. On paper, for our $p=(0.5,0.3,0.2)$ and the soft label
# $\tau=(0.6,0.4,0)$:
# $-0.6\log 0.5-0.4\log 0.3\approx 0.4159+0.4816=0.8975$.

# %%
for name, tau in [("hard", np.array([1.0, 0.0, 0.0])), ("soft", worked.TAU)]:
    print(f"{name:5} tau = {tau}  CE = {divergences.cross_entropy(tau, worked.P):.4f}")

# %% [markdown]
# ### Exercise 01.1 (A2, 5 minutes)
#
# Write A2. Mind the zeros: where label and model are both 0 the term is 0, but `0 * np.log(0)` is `nan`. Where only the model is 0, the loss is
# infinite, and rightly so: what it held impossible came.
#
# <details><summary>I get nan</summary>
# Take only the entries with tau above 0 before the logarithm: a mask does it.
# </details>

# %% tags=["exercise:01.1"]
def cross_entropy(tau, p):
    """Cross-entropy in nats of label tau (n,) and model p (n,)."""
    raise NotImplementedError

# %% tags=["check:01.1"]
check.run("01.1", cross_entropy)

# %% [markdown]
# ### Exercise 01.2 (A2, 5 minutes)
#
# *Label smoothing* makes a hard label soft: it takes a share $\varepsilon$ off the target and spreads it evenly over *all* $n$ tokens, the target
# included, so that no token is called impossible. Write it.
#
# <details><summary>My labels sum to more than 1</summary>
# The target must give up the share that is handed out.
# </details>

# %% tags=["exercise:01.2"]
def smooth(target, n, epsilon):
    """Smoothed label (n,) for the index `target`."""
    raise NotImplementedError

# %% tags=["check:01.2"]
check.run("01.2", smooth)

# %% [markdown]
# ## Cross-entropy is KL plus a constant
#
# How far is the model $p$ from the label $\tau$? The *Kullback-Leibler divergence* averages the log-ratio under $\tau$. Split the logarithm and it
# falls into two sums:
#
# $$\mathrm{KL}(\tau\Vert p)=\sum_i\tau_i\log\frac{\tau_i}{p_i}
# =\underbrace{\sum_i\tau_i\log\tau_i}_{-H(\tau)}\;\underbrace{-\sum_i\tau_i\log p_i}_{\mathrm{CE}(\tau,p)} \tag{A3}$$
#
# The first sum is minus the *entropy* $H(\tau)$. It contains no $p$, so training cannot change it: for a given label,
# minimising CE and minimising KL are the same thing. Let the computer subtract:

# %%
worst = 0.0
for _ in range(1000):
    tau, p = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
    error = divergences.cross_entropy(tau, p) - divergences.entropy(tau) - divergences.kl(tau, p)
    worst = max(worst, abs(error))
print(f"largest |CE - H - KL| over 1000 random pairs: {worst:.1e}")

# %% [markdown]
# ### Predict first
#
# Below are three labels: hard $(1,0,0)$, smoothed $(0.9,0.05,0.05)$ and soft $(0.6,0.36,0.04)$. $p(\mathrm{Monday})$ runs from left to right, and the
# rest of the model is split *evenly* between Tuesday and banana. Before you look: where does each CE have its lowest point, and is it 0 there? And
# KL?

# %%
pictures.show(*lesson01_ce_kl.panel())

# %% [markdown]
# The grey band is the entropy of the label. Its height, measured upwards, is the same all along the curve, which is A3 seen. The dot, the lowest
# point, is at $p(\mathrm{Monday})=\tau(\mathrm{Monday})$. For a hard label the band vanishes and CE sinks to 0. For the smoothed one KL sinks to 0
# and CE to $H(\tau)$, and no model gets lower. In the third picture it does not get that far: an even split cannot match $0.36:0.04$, and KL keeps
# the difference.
#
# Now move the sliders. Can you make CE equal to the entropy? Can you make CE smaller by changing the *label* only?

# %%
lesson01_ce_kl.explorer()

# %% [markdown]
# (With $p=\tau$, CE is the entropy. And CE is a mean of the $-\log p_i$, weighted by the label: put the whole label on the model's favourite and it
# is least. Whoever may choose the answer key has an easy exam.)
#
# ## The gradient that trains the network
#
# The network does not output $p$ but *logits* $z$, and $p=\mathrm{softmax}(z)$, that is $\log p_i=z_i-\log\sum_k e^{z_k}$. Put this into A2, use
# $\sum_i\tau_i=1$, and differentiate; the last term gives $e^{z_j}/\sum_k e^{z_k}=p_j$:
#
# $$\mathrm{CE}=-\sum_i\tau_i z_i+\log\sum_k e^{z_k}
# \qquad\Longrightarrow\qquad \frac{\partial\,\mathrm{CE}}{\partial z_j}=p_j-\tau_j .$$
#
# Since KL differs by a constant, its gradient is the same. Going downhill, a logit sinks where the model gives
# too much ($p_j>\tau_j$) and rises where it gives too little. A numerical derivative agrees:

# %%
def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()

z, tau, h = rng.normal(size=4), rng.dirichlet(np.ones(4)), 1e-6
steps = h * np.eye(4)
loss = lambda z: divergences.kl(tau, softmax(z))
numerical = [(loss(z + s) - loss(z - s)) / (2 * h) for s in steps]
print("p - tau  ", (softmax(z) - tau).round(6))
print("numerical", np.round(numerical, 6))

# %% [markdown]
# A token that the model holds nearly impossible and that comes all the same is pulled up with strength $\tau_j-p_j\approx 1$, full force. Remember
# that number: several rivals of cross-entropy, in the next lesson, pull with far less there.
#
# ### Exercise 01.3 (A3, 8 minutes)
#
# Models are often run with a *temperature*: $p=\mathrm{softmax}(z/T)$, flatter for $T>1$, sharper for $T<1$. Derive the gradient of CE with respect
# to $z$ (not $z/T$) on paper, then write it so that it survives logits like 800.
#
# <details><summary>overflow encountered in exp</summary>
# Subtract the largest logit first: softmax does not notice a constant added to all logits.
# </details>
# <details><summary>The direction is right but not the length</summary>
# There is one more factor from the chain rule: how much does z/T move when z moves by 1?
# </details>

# %% tags=["exercise:01.3"]
def gradient(tau, z, temperature):
    """Gradient (n,) of CE(tau, softmax(z / temperature)) with respect to z (n,)."""
    raise NotImplementedError

# %% tags=["check:01.3"]
check.run("01.3", gradient)

# %% [markdown]
# ## Cross-entropy is honest: a proper score
#
# Language is uncertain. After "See you on" the next token is Monday in some texts and Tuesday in others. Let $\tau$ be those true frequencies.
# Every single label is one-hot, drawn from $\tau$, and the loss averaged over them is $\sum_t\tau_t(-\log p_t)$: A2 again, with the true
# frequencies as soft label.
#
# Which $p$ makes that average smallest? By A3 it equals $H(\tau)+\mathrm{KL}(\tau\Vert p)$, and KL is never negative: since $\log x\le x-1$, and the
# $p_i$ add up to at most 1,
#
# $$-\mathrm{KL}(\tau\Vert p)=\sum_{i:\,\tau_i>0}\tau_i\log\frac{p_i}{\tau_i}\le\sum_{i:\,\tau_i>0}\tau_i\Big(\frac{p_i}{\tau_i}-1\Big)\le 0,$$
#
# with equality only for $p=\tau$, because $\log x=x-1$ at $x=1$ alone. A loss whose average is smallest at the truth is called a *proper* score; CE
# is even *strictly* proper. A model that minimises it reports all the frequencies, not merely its favourite.
#
# Test it without calculus: throw many random models at a fixed $\tau$ and see which comes off best.

# %%
tau = np.array([0.6, 0.3, 0.1])
models = rng.dirichlet(np.ones(3), 20000)
average_loss = divergences.cross_entropy(tau, models)
best = models[np.argmin(average_loss)]
print(f"best of 20000 random models: {best.round(2)}, loss {average_loss.min():.4f}")
print(f"the truth itself:            {tau}, loss {divergences.entropy(tau):.4f}")

# %% [markdown]
# That, besides the likelihood, is the answer to the title. Other losses are proper too, for instance the squared error $\sum_i(p_i-\tau_i)^2$; but it
# needs every $p_i$. Among the losses that read $p_t$ alone, given three tokens or more, only the logarithm is proper, as the next lesson shows. The
# rest look just as reasonable, and are not.
#
# ## What we learned
#
# Every formula of this lesson, checked just now against an independent computation: arithmetic with 60 digits, or a derivative taken with a complex
# step, which loses no digits by subtraction. The last column is a wrong formula that the same check must catch:

# %%
verify.show("01")

# %%
worked.table("01")

# %% [markdown]
# **What to doubt.** Proper does not mean *best for every purpose*. CE treats all wrong tokens alike: give the missing probability to *Tuesday* or
# to *banana*, and the loss does not move. Is that KL's fault, and would another divergence do better? That is the question of the next lesson, [02
# · Would another divergence do better?](02_f_divergences.ipynb). Full proofs are in the [appendix](appendix_derivations.ipynb).
#
# **References.** Su Jianlin, [the article this course follows](https://spaces.ac.cn/archives/9797) (2023), A1 to A3. Kullback and Leibler, *On
# information and sufficiency* (1951). Gneiting and Raftery, *Strictly proper scoring rules, prediction, and estimation* (2007). Szegedy et al.,
# [label smoothing](https://arxiv.org/abs/1512.00567) (2015).
