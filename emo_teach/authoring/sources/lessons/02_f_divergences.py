# %% [markdown] meets="f-divergences, their defects, what all of them miss"
# # 02 · Would another divergence do better?
#
# **You will be able to** build a divergence from a convex function, prove that it is never negative, derive what each becomes for a one-hot label,
# name the defect of each as a loss, and say what all of them miss.
#
# **Needs** [lesson 01](01_cross_entropy_is_kl.ipynb). **Takes** about 45 minutes. **Formula** D10.

# %% tags=["bootstrap"]

# %%
import numpy as np
from scipy.special import expit
from emo_teach import check, divergences, figures, pictures, transport, verify, worked
from emo_teach.explorers import lesson02_divergence
rng = np.random.default_rng(0)

# %% [markdown]
# ## One recipe, seven divergences
#
# The article makes a claim that we call C1: cross-entropy being a KL divergence, one could try KL's relatives, the *f-divergences*, but each has
# some defect. Which?
#
# KL averages $\log u_i$ under $\tau$, where $u_i=\tau_i/p_i$. As $\tau_i=p_iu_i$, it averages $u\log u$ under $p$. Its relatives put another
# convex $f$ with $f(1)=0$ there, the *generator*:
#
# $$D_f(\tau\Vert p)=\sum_i p_i\,f\!\left(\frac{\tau_i}{p_i}\right)$$
#
# | divergence | generator $f(u)$ | value $D_f(\tau\Vert p)$ |
# | --- | --- | --- |
# | KL | $u\log u$ | $\sum\tau_i\log(\tau_i/p_i)$ |
# | reverse KL | $-\log u$ | $\mathrm{KL}(p\Vert\tau)$ |
# | total variation (TV) | $\frac12\lvert u-1\rvert$ | $\frac12\sum\lvert\tau_i-p_i\rvert$ |
# | Jensen-Shannon (JS) | $\frac12\left[u\log u-(u+1)\log\frac{u+1}2\right]$ | mean KL of τ and p to (τ + p)/2 |
# | squared Hellinger | $\frac12(\sqrt u-1)^2$ | $\frac12\sum(\sqrt{\tau_i}-\sqrt{p_i})^2$ |
# | Pearson χ² | $(u-1)^2$ | $\sum(\tau_i-p_i)^2/p_i$ |
# | Neyman χ² | $(u-1)^2/u$ | $\sum(\tau_i-p_i)^2/\tau_i$ |
#
# On paper, for $\tau=(0.6,0.4,0)$ and $p=(0.5,0.3,0.2)$: TV is $\frac12(0.1+0.1+0.2)=0.2$, the share of probability that must move.

# %%
for name in divergences.GENERATORS:
    print(f"{name:18} {divergences.f_divergence(name, worked.TAU, worked.P):.4f}")

# %% [markdown]
# Two are infinite already: the label gives banana nothing, so $u=0$ there, and their $f(0)$ is infinite. The other end matters too. A token's term is
# $p_if(u_i)=\tau_i\,f(u_i)/u_i$, and as $p_i\to0<\tau_i$ the last factor tends to the *slope of $f$ at infinity* (*recession slope*) $f'(\infty)$.

# %%
pictures.show(*figures.generators())
for g in divergences.GENERATORS.values():
    print(f"{g.name:18} f(0) = {g.at_zero:5.3f}   slope at infinity = {g.slope_at_infinity:5.3f}")

# %% [markdown]
# ## None of them is ever negative
#
# Some $f$ dip below 0 above; their averages never do. A convex $f$ lies below its chords, so the average of its values is at least its value at the
# average. That is Jensen's inequality, and here the average is 1:
#
# $$D_f(\tau\Vert p)=\sum_i p_i f(u_i)\;\ge\; f\Big(\sum_i p_i u_i\Big)=f\Big(\sum_i\tau_i\Big)=f(1)=0 .$$
#
# Where some $p_i=0$, take the limit; it keeps the sign. All seven bend at 1 (none is straight there), and then only $p=\tau$ reaches 0. A hunt for
# a counterexample, zeros included:

# %%
tau, p = rng.dirichlet(np.full(6, 0.3), (2, 5000))
p[:, 1:] *= rng.random((5000, 5)) > 0.2  # some zeros
p /= p.sum(1, keepdims=True)
for name in divergences.GENERATORS:
    values, same = divergences.f_divergence(name, tau, p), divergences.f_divergence(name, tau, tau)
    print(f"{name:18} smallest of 5000: {values.min():.4f}   largest at p = tau: {same.max():.0e}")

# %% [markdown]
# ## A one-hot label sees one number
#
# Let $\tau$ be one-hot with target $t$. At $t$ the ratio is $1/p_t$, elsewhere 0. The sum splits in two, and since the other probabilities add up
# to $1-p_t$,
#
# $$D_f(\tau\Vert p)=p_t\,f(1/p_t)+\sum_{i\ne t}p_i f(0)=p_t\,f(1/p_t)+(1-p_t)\,f(0). \tag{D10}$$
#
# **Every f-divergence on a one-hot label is a function of $p_t$ alone.** For KL it is $-\log p_t$, for TV $1-p_t$, for Hellinger $1-\sqrt{p_t}$,
# for Pearson $1/p_t-1$; put in $f$ and see. On paper, for Monday's $p_t=\frac12$: $\log 2$, $\frac12$, $1-\sqrt{1/2}$ and $1$; JS takes a few lines
# more and gives $\frac34\log\frac43$. The check draws models that share nothing but $p_t$:

# %%
label, p_t = np.array([1.0, 0, 0, 0]), 0.2
models = np.c_[np.full(5000, p_t), 0.8 * rng.dirichlet(np.ones(3), 5000)]
for name in divergences.GENERATORS:
    values, formula = divergences.f_divergence(name, label, models), divergences.one_hot_loss(name, p_t)
    print(f"{name:18} D10: {formula:8.6f}   over 5000 models: {values.min():8.6f} to {values.max():8.6f}")

# %% [markdown]
# ### Exercise 02.1 (D10, 8 minutes)
#
# Write D10 for any generator: `f` is a Python function of one number, which at 0 may return infinity. At $p_t=1$ the answer is 0, whatever $f(0)$
# is.
#
# <details><summary>I get nan at p_t = 1</summary>
# There (1 - p_t) f(0) is zero times infinity. No wrong token has mass, so the term is 0: leave it out.
# </details>
#
# <details><summary>My KL is right but my TV is half of what it should be</summary>
# KL has f(0) = 0, so it forgives a forgotten second term. TV does not.
# </details>

# %% tags=["exercise:02.1"]
def one_hot_loss(f, p_t):
    """One-hot loss of the f-divergence with generator f at target probability p_t in (0, 1]."""
    raise NotImplementedError

# %% tags=["check:02.1"]
check.run("02.1", one_hot_loss)

# %% [markdown]
# ## Infinite, flat or explosive
#
# D10 hands us the defects. As $p_t\to0$ the loss tends to $f'(\infty)+f(0)$, the two numbers printed above. If $f(0)=\infty$ the loss is *infinite*
# for every $p_t<1$ and cannot train at all. If both are finite the loss is bounded, and a bounded loss must go *flat* as $p_t\to0$: the logit's
# road down there is endless, and a hill of finite height cannot stay steep. Call the gradient on the target's own logit the *pull*. Lesson 01's
# $\partial\log p_t/\partial z_t=1-p_t$, times $p_t$, is $\partial p_t/\partial z_t$, so a loss $g(p_t)$ has the pull
#
# $$p_t(1-p_t)\,g'(p_t):\qquad -(1-p_t)\ \text{ for KL},\qquad -p_t(1-p_t)\ \text{ for TV}.$$
#
# The extra $p_t$ is TV's defect: where help is needed most, the pull is gone.
#
# ### Predict first
#
# Let $p_t$ fall from $\frac12$ to one in a million. Whose pull stays, whose dies, whose explodes? And do JS and Hellinger, bounded too, let go as
# fast as TV?

# %%
pictures.show(*lesson02_divergence.panel())

# %% [markdown]
# Near $p_t=1$ every pull that exists is about a constant times $1-p_t$: the losses agree on the last metre and differ on the first mile. The bottom
# row, apart from the columns above, is D10 again: one $p_t$, four models, the same values.
#
# Below, the dotted curve is the *Cressie-Read* family, $f(u)=\frac{u^\alpha-1-\alpha(u-1)}{\alpha(\alpha-1)}$. But for a constant factor, and
# multiples of $u-1$, which add nothing to $D_f$, α = 2 is Pearson, ½ Hellinger, −1 Neyman; the limits at 1 and 0 are KL and reverse KL. At which α
# does the pull start to die, and where is the loss infinite? Does Tuesday's share move anything?

# %%
lesson02_divergence.explorer()

# %% [markdown]
# (For $\alpha>0$ D10 gives the pull $-p_t^{1-\alpha}(1-p_t)/\alpha$, dying below $\alpha=1$; for $\alpha\le0$ all is infinite. Tuesday moves
# nothing.)
#
# In steps: put Monday at probability `start`, go downhill on the logits with learning rate 1, and count until Monday has 0.9.

# %%
def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()

def steps_needed(name, start, limit=10_000):
    z, label = np.log([start, 0.6 * (1 - start), 0.4 * (1 - start)]), np.eye(3)[0]
    for step in range(limit):
        if softmax(z)[0] > 0.9:
            return step
        z = z - divergences.logit_gradient(name, label, softmax(z))
    return f"over {limit}"

# %%
starts = (1e-2, 1e-4, 1e-6)
print(f"{'steps from':18}", *(f"{start:>10g}" for start in starts), f"  pull at {starts[-1]:g}")
for name, g in divergences.GENERATORS.items():
    if not np.isfinite(g.at_zero):
        print(f"{name:18}", *["     never"] * 3, "  none: the loss is infinite")
        continue
    pull = divergences.one_hot_logit_gradient(name, starts[-1])
    print(f"{name:18}", *(f"{steps_needed(name, start):>10}" for start in starts), f"  {pull:.1e}")

# %% [markdown]
# KL pays a few steps for each factor of a hundred. TV's pull is proportional to $p_t$: a hundred times less probability, about a hundred times more
# steps. JS's goes as $\frac12p_t\log(1/p_t)$, a logarithm better; Hellinger's as $\sqrt{p_t}$, so about ten times. Pearson arrives in one step, but
# look at the size of that step: in a network with shared weights it would trample everything else (and with gradient clipping, the clip decides, not
# the loss).
#
# ### Exercise 02.2 (D10, 8 minutes)
#
# Write the gradient of the TV loss $1-p_t$ on *all* logits, not the target's alone.
#
# <details><summary>I do not know where to begin</summary>
# Lesson 01 has the derivative of log p_t with respect to every logit; multiply by p_t.
# </details>
#
# <details><summary>Only the target's entry is right</summary>
# Raising Tuesday's logit lowers Monday's probability, so the other entries are not zero. They add up to minus the target's.
# </details>

# %% tags=["exercise:02.2"]
def tv_gradient(target, z):
    """Gradient (n,) of 1 - p_t with respect to the logits z (n,), for the index `target`."""
    raise NotImplementedError

# %% tags=["check:02.2"]
check.run("02.2", tv_gradient)

# %% [markdown]
# ## A dial between the two
#
# If KL shouts and TV whispers, there should be a dial. An earlier post of Su's (archives/9526), against overconfidence, has one:
#
# $$\ell_\gamma(p_t)=-\frac{\log\big(\gamma+(1-\gamma)p_t\big)}{1-\gamma}.$$
#
# $\gamma=0$ is cross-entropy, $\gamma\to1$ is TV's $1-p_t$; in between the pull holds until $p_t$ sinks to about $\gamma$, then fades.
#
# ### Exercise 02.3 (D10, 8 minutes)
#
# Derive and write the pull of $\ell_\gamma$ for every $\gamma$ from 0 to 1, both included.
#
# <details><summary>Division by zero at γ = 1</summary>
# Differentiate first: the 1 - γ in front cancels against the inner derivative.
# </details>

# %% tags=["exercise:02.3"]
def family_pull(p_t, gamma):
    """Derivative of the family's loss with respect to the target's logit, for p_t in (0, 1] and gamma in [0, 1]."""
    raise NotImplementedError

# %% tags=["check:02.3"]
check.run("02.3", family_pull)

# %% [markdown]
# The post is about *TaiLr* (Ji et al.), which multiplies $-\log p_t$ by $w=p_t/(\gamma+(1-\gamma)p_t)$ and treats $w$ as a constant: another loss
# value, but the same gradient. Nor have we left the f-divergences: $\ell_\gamma$ is a *skew* divergence,
# $\mathrm{KL}(\tau\Vert\gamma\tau+(1-\gamma)p)$ divided by $1-\gamma$. Checked for Monday:

# %%
gamma, p, h = 0.1, worked.P, 1e-6
loss = lambda p_t: divergences.overconfidence_loss(p_t, gamma)
slope = (loss(p[0] + h) - loss(p[0] - h)) / (2 * h)
weight = p[0] / (gamma + (1 - gamma) * p[0])
mixture = gamma * np.eye(3)[0] + (1 - gamma) * p
print(f"pull of the family, numerically  {slope * p[0] * (1 - p[0]):.6f}")
print(f"TaiLr: weight times CE's pull    {weight * (p[0] - 1):.6f}")
print(f"value {loss(p[0]):.6f} and skew KL {divergences.kl(np.eye(3)[0], mixture) / (1 - gamma):.6f}")

# %% [markdown]
# TaiLr sets out from total variation, but its training scripts also keep $w$ above a floor (0.2 or 0.3), so a token without mass still gets that
# share of cross-entropy's pull: the flat end is patched by hand, and plain TV was not what was trained.
#
# ## Cover both or choose one?
#
# On labels without zeros the infinite two are finite again. Say the label spreads over 41 temperatures, with a winter bump and a smaller summer bump,
# and the model can make one bump only: it must choose a centre and a width. KL cannot bear $p_i\approx0$ where $\tau_i>0$; reverse KL cannot bear
# the opposite. What will each choose? A grid search tells.

# %%
classes = np.arange(41)
bump = lambda centre, width: np.exp(-0.5 * ((classes - centre) / width) ** 2)
tau = 0.6 * bump(12, 2) + 0.4 * bump(28, 2)
tau /= tau.sum()
settings = np.array([(c, w) for c in np.arange(0, 40.5, 0.5) for w in np.arange(1, 12.25, 0.25)])
models = bump(settings[:, :1], settings[:, 1:])
models /= models.sum(1, keepdims=True)
best = {name: np.argmin(divergences.f_divergence(name, tau, models)) for name in divergences.GENERATORS}

# %%
chosen = {name: (models[best[name]], *settings[best[name]]) for name in ("KL", "reverse KL", "total variation", "Jensen-Shannon")}
pictures.show(*figures.two_bumps(tau, chosen))

# %% [markdown]
# KL *covers*, and puts its peak where next to nothing happens; reverse KL *seeks* one mode and forgets the summer. TV and JS, finite at both ends,
# can afford either: here they drop the smaller bump. Set both widths to 3 and they change their minds.
#
# ## What is won: a few wrong labels
#
# Being deaf at $p_t\approx0$ has a use: a good model often finds a wrong label nearly impossible. A model sees one feature $x$ of a text and says
# Tuesday with probability $\mathrm{sigmoid}(s(x-b))$, else Monday. The texts form two Gaussian clouds around $x=\pm1$ with standard deviation 0.8,
# so Bayes' rule gives the best possible model: $b=0$, $s=2/0.8^2=3.125$. Then come six texts from far to the right,
# labelled Monday by mistake.

# %%
clean = np.concatenate([rng.normal(-1, 0.8, 50), rng.normal(1, 0.8, 50)])
x = np.concatenate([clean, rng.normal(8, 0.3, 6)])
tuesday = np.repeat([False, True, False], [50, 50, 6])  # the last six are wrong
grid = np.meshgrid(np.geomspace(0.1, 20, 80), np.linspace(-3, 3, 61))
s, b = (g.reshape(-1, 1) for g in grid)
p_t = expit(np.where(tuesday, 1, -1) * s * (x - b))  # (settings, texts)
losses = {name: divergences.one_hot_loss(name, p_t) for name in ("KL", "Pearson chi2", "squared Hellinger", "total variation")}
losses |= {f"family, γ = {gamma}": divergences.overconfidence_loss(p_t, gamma) for gamma in (0.01, 0.5)}
fits = {}
for name, loss in losses.items():
    k = loss.mean(1).argmin()
    fits[name] = s[k, 0], b[k, 0]

# %%
fresh, sign = np.r_[rng.normal(-1, 0.8, 20_000), rng.normal(1, 0.8, 20_000)], np.repeat([-1, 1], 20_000)
print(f"{'on clean texts:':20} {'b':>5} {'s':>7} {'right':>7} {'log loss':>9}")
for name, (steep, middle) in {"the best possible": (3.125, 0.0), **fits}.items():
    margin = sign * steep * (fresh - middle)
    print(f"{name:20} {middle:5.1f} {steep:7.2f} {(margin > 0).mean():7.1%} {np.logaddexp(0, -margin).mean():9.3f}")
pictures.show(*figures.wrong_labels(x, tuesday, fits, truth=(3.125, 0.0)))

# %% [markdown]
# KL and Pearson let six texts drag the boundary $b$ away; the bounded losses stay, and a little $\gamma$ comes close to the best possible. That is
# the case for them. But look at $s$ and the log loss of the rest: TV is right far more often than KL, and still scores worse, so sure is it when it
# errs.
#
# ## What is lost: honesty
#
# TV took the steepest model that the grid offers (Pearson the flattest), and that is no accident. Let one-hot labels come with frequencies $\tau$;
# by D10 the loss is some $g(p_t)$. Its average $\sum_t\tau_t\,g(p_t)$, under $\sum_t p_t=1$, is stationary where $\tau_t\,g'(p_t)$ is the same for
# all $t$ (Lagrange). Put in each $g$:
#
# $$\text{KL: } p\propto\tau,\qquad\text{Hellinger: } p\propto\tau^2,\qquad\text{Pearson: } p\propto\sqrt\tau,\qquad\text{TV: all on the mode.}$$
#
# (TV's average is linear, so it ends in a corner.) To be proper, $p=\tau$ must be stationary: $\tau_t\,g'(\tau_t)$ the same for all $t$, whatever
# $\tau$. With three or more tokens any two numbers with sum below 1 can meet in one $\tau$, so $x\,g'(x)$ is a constant and $g$ a logarithm. **On
# one-hot labels KL is the only finite f-divergence that is proper**, up to a factor. With random models, as in lesson 01:

# %%
tau = np.array([0.6, 0.3, 0.1])
models = np.vstack([rng.dirichlet(np.ones(3), 20000), np.eye(3)])
theory = {"KL": tau, "squared Hellinger": tau**2, "Pearson chi2": tau**0.5, "total variation": np.eye(3)[0]}
for name, best in theory.items():
    average = divergences.one_hot_loss(name, models) @ tau
    print(f"{name:18} best of all models {models[np.argmin(average)].round(2)}   theory {(best / best.sum()).round(2)}")

# %% [markdown]
# A logarithm is unbounded, so no f-divergence is both proper and bounded: deafness to wrong labels is paid in honesty. If the 0.1 is dirt, to ignore
# it is wisdom; if it is the language's own variety, it is a lie, and no loss can tell which. The dial against overconfidence, turned up to TV, is
# certain of everything.
#
# ## What none of them sees
#
# The label is Monday. Move 0.2 from Tuesday to banana. D10 has told us what happens: nothing.

# %%
p, moved, label = worked.P, np.array([0.5, 0.1, 0.4]), np.eye(3)[worked.TARGET]
for name in ("KL", "total variation", "Jensen-Shannon", "Pearson chi2"):
    before, after = divergences.f_divergence(name, label, p), divergences.f_divergence(name, label, moved)
    print(f"{name:22} {before:.4f} -> {after:.4f}")
before, after = (transport.one_hot_emd(q, worked.COST, worked.TARGET) for q in (p, moved))
print(f"earth mover's distance {before:.4f} -> {after:.4f}")

# %% [markdown]
# No choice of $f$ can help. An f-divergence compares probabilities token by token; it has nowhere to write down that Tuesday is nearer to Monday
# than banana is. The last line has: it charges what it costs to carry each misplaced unit to Monday, 0.2 from Tuesday and 1 from banana, so
# $0.3\cdot0.2+0.2\cdot1=0.26$ becomes $0.1\cdot0.2+0.4\cdot1=0.42$.
#
# ## What we learned
#
# C1 holds. On one-hot labels reverse KL and Neyman are infinite, Pearson explodes, and TV, JS and Hellinger let go where KL pulls; these bounded
# ones resist wrong labels and pay in honesty. All, KL too, are blind to *which* wrong token.

# %%
verify.show("02")

# %%
worked.table("02")

# %% [markdown]
# **What to doubt.** The step counts are for plain gradient descent on free logits. Adam rescales steps and hides part of the flatness, though not
# between tokens of one batch. Both $\gamma$ were picked by hand, and the wrong labels put far out; near the boundary, where $p_t\approx\frac12$,
# every loss listens to them.
#
# Where does a loss get a notion of *near*? From a cost, and from moving earth: [03 · Exact EMD](03_exact_emd_linear_programming.ipynb). Full proofs
# are in the [appendix](appendix_derivations.ipynb).
#
# **References.** Su Jianlin, [the article](https://spaces.ac.cn/archives/9797) (2023), and [archives/9526](https://spaces.ac.cn/archives/9526). Ji
# et al., [TaiLr](https://arxiv.org/abs/2302.13344) (2023) and [its scripts](https://github.com/thu-coai/TaiLr). Csiszár, *Information-type measures
# of difference* (1967). Minka, *Divergence measures and message passing* (2005). Ghosh, Kumar and Sastry, [robust
# losses](https://arxiv.org/abs/1712.09482) (2017). Zhang and Sabuncu, [another dial](https://arxiv.org/abs/1805.07836) (2018). Dawid, Lauritzen and
# Parry, [local scores](https://arxiv.org/abs/1104.2224) (2012).
