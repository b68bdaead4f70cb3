# %% [markdown] meets="every formula with its complete proof" question=""
# # Appendix · Why is each formula true?
#
# The article that this course follows, Su Jianlin's [EMO: a classification loss designed on the idea of optimal
# transport](https://spaces.ac.cn/archives/9797), ends with a heading for derivations and notes, and nothing below it. This page is what could stand
# there: every formula, its proof without gaps, the traps around it, and directly below each proof a cell that tries it on numbers. You need linear
# algebra, calculus and a little probability; nothing else is assumed. The lessons give the ideas and the pictures. Come here when you want to be
# *sure*.
#
# ## Contents
#
# A1 to A9 are the article's nine formulas, in its order. D1 to D18 go beyond it and stand where they belong.
#
# | in the article | formula and proof | what it says | idea in lesson |
# | --- | --- | --- | --- |
# | | [Conventions](#Conventions), [softmax](#Softmax-and-its-derivative) | zeros, infinities, convexity, one derivative used everywhere | |
# | Divergences | [A1](#A1-The-log-loss) | the log loss | [01](01_cross_entropy_is_kl.ipynb) |
# | | [A2](#A2-Soft-labels) | cross-entropy for soft labels | [01](01_cross_entropy_is_kl.ipynb) |
# | | [A3](#A3-Cross-entropy-is-KL-plus-a-constant) | it is KL plus a constant, and proper | [01](01_cross_entropy_is_kl.ipynb) |
# | | [D10](#D10-An-f-divergence-sees-only-the-target) | for one-hot labels every f-divergence sees the target alone | [02](02_f_divergences.ipynb) |
# | Optimal transport | [A4](#A4-The-earth-mover-distance) | the distance, a linear program | [03](03_exact_emd_linear_programming.ipynb) |
# | | [D6](#D6-Duality-and-basic-plans) | its dual, and how few entries a plan needs | [03](03_exact_emd_linear_programming.ipynb) |
# | | [D8](#D8-Total-variation-and-ordered-classes) | two costs with a closed form | [03](03_exact_emd_linear_programming.ipynb) |
# | | [A5](#A5-One-plan-for-a-one-hot-label) | one-hot labels: no choice of plan | [04](04_one_hot_closed_form.ipynb) |
# | | [A6](#A6-The-product-bound) | soft labels: a cheap upper bound | [04](04_one_hot_closed_form.ipynb) |
# | Cost function | [A7](#A7-Zero-one-cost-and-accuracy) | the 0/1 cost gives smoothed accuracy | [04](04_one_hot_closed_form.ipynb) |
# | | [D2](#D2-Why-the-one-hot-loss-is-not-proper) | the average loss is linear, hence not proper | [04](04_one_hot_closed_form.ipynb) |
# | | [A8](#A8-The-cosine-cost) | the cosine cost is half a squared distance | [05](05_cosine_cost.ipynb) |
# | | [D3](#D3-The-sandwich) | bounds from both sides | [05](05_cosine_cost.ipynb) |
# | | [D4](#D4-Which-costs-are-metrics) | the cosine cost is no metric, and what follows | [05](05_cosine_cost.ipynb) |
# | | [A9](#A9-The-EMO-loss) | EMO: average first, compare once | [06](06_emo_as_a_loss.ipynb) |
# | beyond it | [D1](#D1-The-gradient-of-EMO) | its gradient, and where that vanishes | [06](06_emo_as_a_loss.ipynb) |
# | | [D5](#D5-The-version-that-normalises-twice) | a plausible wrong version | [06](06_emo_as_a_loss.ipynb) |
# | | [D7](#D7-The-published-objective-shows-cross-entropy) | a loss curve that hides half of the loss | [06](06_emo_as_a_loss.ipynb) |
# | | [D11](#D11-The-published-update-has-no-objective) | an update that minimises nothing, and where it rests | [06](06_emo_as_a_loss.ipynb) |
# | | [D9](#D9-Debiasing-makes-it-proper) | a proper relative at the same price | [06](06_emo_as_a_loss.ipynb) |
# | | [D12](#D12-Entropic-transport) | the road from the exact distance to the bound | [05](05_cosine_cost.ipynb) |
# | | [D13](#D13-How-long-a-wrong-answer-lasts) | EMO needs about $1/p_t$, cross-entropy its logarithm | [08](08_training_from_scratch.ipynb) |
# | | [D14](#D14-Unbounded-transforms) | making EMO infinite helps against the farthest token only | [08](08_training_from_scratch.ipynb) |
# | | [D15](#D15-Vectors-from-counts) | a cost without a trained model | [08](08_training_from_scratch.ipynb) |
# | | [D16](#D16-KL-between-classes-and-inside-them) | wrong classes and wrong synonyms, priced apart | [09](09_open_questions.ipynb) |
# | | [D17](#D17-The-gradient-of-a-distance) | it is the potential, for soft labels too | [09](09_open_questions.ipynb) |
# | | [D18](#D18-One-soft-label-at-a-time) | a mean of distances leads to a median: the majority takes all | [09](09_open_questions.ipynb) |

# %% tags=["bootstrap"]

# %% [markdown]
# Every check below calls `confirm`, which stops the page when a claim is off by more than the tolerance that it names: rounding only for
# identities, a little more where a solver or a numerical derivative takes part. `rows` tries the entries of the project's table of formulas that
# belong to a label: many cases, hard ones among them, each against an independent reference, which must also reject a plausible *wrong* version. It
# too stops the page otherwise.

# %%
import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import linprog
from scipy.special import logsumexp, softmax
from emo_teach import costs, divergences, transport, verify, worked
from emo_teach.measure import oracle
from emo_teach.world.vectors import ppmi, ppmi_vectors

rng = np.random.default_rng(0)


# %%
def confirm(claim, error, tolerance=1e-12):
    worst = np.max(np.abs(error))
    if not worst <= tolerance:
        raise AssertionError(f"{claim}: off by {worst:.1e}")
    print(f"holds within {tolerance:.0e}: {claim}")


def slope(loss, z, h=1e-6):
    return np.array([(loss(z + step) - loss(z - step)) / (2 * h) for step in h * np.eye(z.size)])


# %%
def rows(label):
    for tried in verify.verify(verify.select(label)):
        if tried.failed:
            raise AssertionError(verify.table([tried]))
        print(f"row {label} {tried.row.name}: cases {tried.instances}, reference: {tried.row.reference}")


# %% [markdown]
# ## Conventions
#
# **Distributions.** There are $n$ tokens. $p$ is the model, $\tau$ the label: vectors with entries at least 0 that sum to 1, the points of the
# *simplex* $\Delta$. The *support* of $p$ is the set of tokens with $p_i>0$. $\delta_t$ is the one-hot vector of token $t$, $\mathbf 1$ the vector
# of ones, $p\cdot u=\sum_ip_iu_i$. A cost is any real matrix $C=(c_{ij})$; where a proof needs $c_{ij}\ge 0$, symmetry or $c_{ii}=0$, it says so.
# Logarithms are natural. *On paper* always means the course's example: tokens Monday, Tuesday, banana, $p=(0.5,0.3,0.2)$, $\tau=(0.6,0.4,0)$, target
# Monday, costs $0.2$ (Monday-Tuesday), $1$ (Monday-banana), $0.4$ (Tuesday-banana).
#
# **Zeros and logarithms.** We set $0\log 0=0$. This is a limit, not a whim: with $x=e^{-s}$ we get $x\log x=-s\,e^{-s}\to 0$ as $s\to\infty$. For
# $a>0$ we set $a\log(a/0)=+\infty$, also a limit. A computer does not know the first: `0 * np.log(0)` is `nan`.
#
# **Convexity.** $f$ is *convex* on an interval (or a convex set of vectors) if $f(\lambda x+(1-\lambda)y)\le\lambda f(x)+(1-\lambda)f(y)$ for
# $0\le\lambda\le1$: no chord runs below the graph. On an interval three facts follow.
#
# - *Slopes.* For a fixed $a$, the slope of the chord from $a$ to $u$, $(f(u)-f(a))/(u-a)$, never falls as $u$ grows. For $a<u<w$, the definition with
#   $u=\lambda w+(1-\lambda)a$ reads $f(u)-f(a)\le\lambda(f(w)-f(a))$; divide by $u-a=\lambda(w-a)$. In the other orders of the three points, too, it
#   is the definition for the middle one, rearranged.
# - *Support.* Through each inner point of the graph goes a line that is nowhere above $f$. By "Slopes" all chords to the left of the point are at
#   most as steep as all chords to its right; take a slope in between.
# - *Jensen.* $f(\sum_ip_ix_i)\le\sum_ip_if(x_i)$ for $p_i\ge0$ that sum to 1. Put the line that supports $f$ at $\sum_ip_ix_i$ in the place of $f$ on
#   the right: its mean is its value at the mean, $f(\sum_ip_ix_i)$. (If the mean is an end of the interval, all $x_i$ with $p_i>0$ equal it.) For
#   vectors, use the definition again and again.
#
# **Generators.** Let $f$ be convex on $(0,\infty)$ with $f(1)=0$. Two limits then always exist, finite or $+\infty$:
#
# $$f(0)=\lim_{u\to 0}f(u),\qquad f'_\infty=\lim_{u\to\infty}\frac{f(u)}{u}\quad\text{(the recession slope)}.$$
#
# *Proof.* Let $s(u)=f(u)/(u-1)$ for $u\ne 1$: the slope of the chord from $(1,0)$ to $(u,f(u))$. It never falls as $u$ grows. So it has a limit as
# $u\to\infty$, and $f(u)/u=s(u)\,(u-1)/u$ has the same one. As $u\to 0$, $s(u)$ falls to a limit in $[-\infty,\infty)$, and $f(u)=-s(u)(1-u)$ tends
# to minus that limit. ∎
#
# With these (and $q\,f(0/q)=q\,f(0)$), $q\,f(a/q)$ is given a meaning for all $a,q\ge 0$:
#
# $$0\cdot f\!\left(\tfrac a0\right)=a\,f'_\infty\quad(a>0),\qquad 0\cdot f\!\left(\tfrac00\right)=0.$$
#
# The first is the limit as $q\to 0$, since $q\,f(a/q)=a\cdot f(u)/u$ with $u=a/q\to\infty$. The second is a choice: a token which neither side uses
# costs nothing.

# %%
for g in divergences.GENERATORS.values():
    small, large = float(g.f(1e-12)), float(g.f(1e12)) / 1e12
    print(f"{g.name:18} f near 0 {small:8.1e}, limit {g.at_zero:.4f};", end=" ")
    print(f"f(u)/u far out {large:8.1e}, limit {g.slope_at_infinity:.4f}")

# %% [markdown]
# (Where the limit is `inf`, the number beside it is large or, for logarithms, growing slowly.)
#
# ## Softmax and its derivative
#
# A network outputs logits $z$, and $p_i=e^{z_i}/\sum_ke^{z_k}$. Three facts, used throughout.
#
# **Derivative.** $\partial p_i/\partial z_j=p_i(\delta_{ij}-p_j)$, where $\delta_{ij}$ is 1 for $i=j$ and 0 otherwise. *Proof.* Take logarithms:
# $\log p_i=z_i-\ell(z)$ with $\ell(z)=\log\sum_ke^{z_k}$. Since $\partial\ell/\partial z_j=e^{z_j}/\sum_ke^{z_k}=p_j$, we get $\partial\log
# p_i/\partial z_j=\delta_{ij}-p_j$; multiply by $p_i$. ∎
#
# **Chain rule.** Let a loss $L(p)$ be differentiable, with $g_i=\partial L/\partial p_i$. Then
#
# $$\frac{\partial L}{\partial z_j}=\sum_ig_i\,p_i(\delta_{ij}-p_j)=p_j\,\big(g_j-\textstyle\sum_ip_ig_i\big).$$
#
# The same number added to all $g_i$ changes nothing. So it does not matter how $L$ is continued off the simplex: two continuations agree along it,
# and their $g$ differ by a multiple of $\mathbf 1$. And the components of the gradient sum to 0: softmax ignores a constant added to all logits.
#
# **Log-sum-exp.** $\ell$ is convex, and $\max_kz_k\le\ell(z)\le\max_kz_k+\log n$. *Proof.* A function whose matrix of second derivatives $J$ has
# $x^\top Jx\ge0$ for all $x$ is convex (along every line its second derivative is not negative). Here $J=\operatorname{diag}(p)-pp^\top$, by the
# first fact, and $x^\top Jx=\sum_ip_ix_i^2-(\sum_ip_ix_i)^2$ is the variance of $x$ under $p$: never negative, and 0 only for constant $x$, as all
# $p_i>0$. For the bounds, $e^{\max z}\le\sum_ke^{z_k}\le n\,e^{\max z}$. ∎
#
# *Trap.* `exp(800)` overflows. Use $\ell(z)=m+\log\sum_ke^{z_k-m}$ with $m=\max_kz_k$.

# %%
z, direction = rng.normal(size=5), rng.normal(size=5)
p = softmax(z)
J = np.diag(p) - np.outer(p, p)
confirm("dp_i/dz_j = p_i (delta_ij - p_j)", slope(softmax, z) - J, 1e-9)
confirm("x'Jx is the variance of x under p", direction @ J @ direction - p @ (direction - p @ direction) ** 2)
excess = logsumexp(z) - z.max()
confirm("max <= logsumexp <= max + log n", max(-excess, excess - np.log(5), 0))

# %% [markdown]
# ## A1 The log loss
#
# $$\mathcal L=-\log p_t \tag{A1}$$
#
# *The idea: [lesson 01](01_cross_entropy_is_kl.ipynb).* A definition needs no proof but a reason. A text $x_1,\dots,x_N$ has, by the definition of
# conditional probability, $\Pr(x_1,\dots,x_N)=\prod_k\Pr(x_k\mid x_1,\dots,x_{k-1})$. The model's $p_t$ at position $k$ is its word for the $k$-th
# factor. The text is most probable under the model where the product is largest, that is where minus its logarithm, the *sum* of the log losses, is
# smallest. So A1, averaged over tokens, is maximum likelihood. ∎
#
# On $(0,1]$ it falls strictly from $+\infty$ to 0. *On paper:* $-\log 0.5=\log 2$.

# %%
factors = rng.uniform(0.01, 1, 12)  # what a model gave to the twelve tokens of a text
models = np.stack([factors, 1 - factors], axis=1)
sum_of_losses = sum(divergences.log_loss(model, 0) for model in models)
confirm("sum of log losses = -log of the product", sum_of_losses + np.log(factors.prod()))
confirm("on paper: log 2", divergences.log_loss(worked.P, worked.TARGET) - np.log(2))
rows("A1")

# %% [markdown]
# ## A2 Soft labels
#
# $$\mathrm{CE}(\tau,p)=-\sum_i\tau_i\log p_i \tag{A2}$$
#
# *The idea: [lesson 01](01_cross_entropy_is_kl.ipynb).* Three claims.
#
# 1. *For $\tau=\delta_t$ it is A1.* Terms with $\tau_i=0$ are 0, by $0\log p_i=0$, even where $p_i=0$; the one left is $-1\cdot\log p_t$.
# 2. *A soft label is an average of hard ones.* If the label $t$ is drawn from $\tau$, the mean log loss is $\sum_t\tau_t(-\log p_t)$ by the
#    definition of a mean, and that is A2. Training on many one-hot labels with frequencies $\tau$ is training on $\tau$.
# 3. *In logits* $\mathrm{CE}=\ell(z)-\tau\cdot z$. Put $\log p_i=z_i-\ell(z)$ into A2 and use $\sum_i\tau_i=1$. It is convex in $z$, as $\ell$ is
#    convex and the rest linear; its gradient is $p-\tau$. ∎
#
# *On paper:* $-0.6\log 0.5-0.4\log 0.3$.

# %%
z, tau = rng.normal(size=6), rng.dirichlet(np.ones(6))
p = softmax(z)
hard = [divergences.log_loss(p, t) for t in range(6)]
confirm("CE is the mean of hard losses", divergences.cross_entropy(tau, p) - tau @ hard)
confirm("CE = logsumexp(z) - tau.z", divergences.cross_entropy(tau, p) - (logsumexp(z) - tau @ z))
confirm("its gradient is p - tau", slope(lambda z: divergences.cross_entropy(tau, softmax(z)), z) - (p - tau), 1e-8)
rows("A2")

# %% [markdown]
# ## A3 Cross-entropy is KL plus a constant
#
# $$\mathrm{KL}(\tau\Vert p)=\sum_i\tau_i\log\frac{\tau_i}{p_i}=\sum_i\tau_i\log\tau_i-\sum_i\tau_i\log p_i=\mathrm{CE}(\tau,p)-H(\tau) \tag{A3}$$
#
# *The idea: [lesson 01](01_cross_entropy_is_kl.ipynb).* *Proof.* If some token has $\tau_i>0=p_i$, both sides are $+\infty$, since
# $H(\tau)=-\sum_i\tau_i\log\tau_i$ is finite. Otherwise every term is finite: where $\tau_i>0$, split the logarithm; where $\tau_i=0$, all terms
# are 0. Sum. ∎
#
# $H(\tau)$ does not contain $p$. So CE and KL have the same minimisers in $p$ and, as functions of the logits, the same gradient $p-\tau$.
#
# **Gibbs' inequality.** $\mathrm{KL}(\tau\Vert p)\ge 0$, with equality exactly for $p=\tau$.
#
# *Proof.* We use $\log x\le x-1$, with equality only at $x=1$ (the derivative of $x-1-\log x$ is $1-1/x$: negative before 1, positive after). Let
# $S$ be the support of $\tau$; we may assume $p_i>0$ on $S$, or else KL is infinite. Then
#
# $$-\mathrm{KL}(\tau\Vert p)=\sum_{i\in S}\tau_i\log\frac{p_i}{\tau_i}\le\sum_{i\in S}\tau_i\Big(\frac{p_i}{\tau_i}-1\Big)=\sum_{i\in S}p_i-1\le 0.$$
#
# If KL is 0, both inequalities are equalities. The first says $p_i=\tau_i$ for all $i\in S$. The second says that $p$ has no mass outside $S$,
# where $\tau$ has none either. So $p=\tau$. ∎
#
# **Cross-entropy is strictly proper.** A loss $L_t(p)$ is *proper* if its mean $\sum_t\tau_tL_t(p)$ over labels drawn from $\tau$ is smallest at
# $p=\tau$, for every $\tau$, and *strictly* proper if it is smallest there alone. For the log loss the mean is
# $\mathrm{CE}(\tau,p)=H(\tau)+\mathrm{KL}(\tau\Vert p)$; apply Gibbs. ∎
#
# *Trap.* The least possible CE is $H(\tau)$, not 0. A loss curve that flattens above 0 may be perfect.

# %%
tau, models = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(4), 5000)
kl, ce = divergences.kl(tau, models), divergences.cross_entropy(tau, models)
confirm("KL = CE - H", kl - (ce - divergences.entropy(tau)))
confirm("KL >= 0", np.minimum(kl, 0))
confirm("KL = 0 at p = tau", divergences.kl(tau, tau))
hole = np.array([0.0, 0.5, 0.5])
print("tau without the first token:", divergences.kl(hole, worked.P).round(4), " p without it:", divergences.kl(worked.P, hole))
rows("A3")

# %% [markdown]
# **Why the logarithm?** Suppose a loss looks at the target's probability alone, $L_t(p)=F(p_t)$ with $F$ differentiable on $(0,1)$, and there are
# $n\ge 3$ tokens. If it is proper, then $F(x)=b-a\log x$ for $0<x<1$, with $a\ge0$: *up to a constant and a factor the log loss is the only one.*
#
# *Proof.* Let all $\tau_i>0$. The mean loss is $\sum_i\tau_iF(p_i)$. Moving a little mass from token $j$ to token $i$, starting at $p=\tau$, changes
# it at the rate $\tau_iF'(\tau_i)-\tau_jF'(\tau_j)$, and so does moving it back, with the other sign. As $p=\tau$ is a minimum, the rate is 0:
# $\tau_iF'(\tau_i)$ is the same number for all $i$. Now take any $x,y$ in $(0,1)$ and a $w>0$ with $w<1-x$ and $w<1-y$. Since $n\ge3$, there is a
# $\tau$ with entries $x$ and $w$ and something positive left for the others, so $xF'(x)=wF'(w)$; likewise $yF'(y)=wF'(w)$. Hence $xF'(x)$ is a
# constant $-a$, and $F$ is as claimed. Were $a<0$, then $F(x)\to-\infty$ as $x\to0$, and a $p$ with one tiny entry would beat $\tau$. ∎
#
# *Trap.* For two tokens there are others: with $n=2$, $(1-p_t)^2$ is proper. With three it is not, as its mean loss shows when we look for
# something better than the truth:


# %%
def mean_square(tau, p):
    return tau @ (1 - p) ** 2


two, three = np.array([0.7, 0.3]), np.array([0.7, 0.2, 0.1])
for tau in (two, three):
    found = rng.dirichlet(np.ones(tau.size), 20000)
    best = min(mean_square(tau, p) for p in found)
    print(f"{tau.size} tokens: mean loss at the truth {mean_square(tau, tau):.4f}, best of 20000 random models {best:.4f}")

# %% [markdown]
# ## D10 An f-divergence sees only the target
#
# For convex $f$ with $f(1)=0$, in the [conventions](#Conventions) above,
#
# $$D_f(\tau\Vert p)=\sum_ip_i\,f\!\left(\frac{\tau_i}{p_i}\right),$$
#
# and for a one-hot label
#
# $$D_f(\delta_t\Vert p)=F(p_t):=p_t\,f\!\left(\frac1{p_t}\right)+(1-p_t)\,f(0). \tag{D10}$$
#
# *The idea: [lesson 02](02_f_divergences.ipynb).* *Proof.* The target's term is $p_tf(1/p_t)$ (for $p_t=0$: $f'_\infty$). Every other term is
# $p_if(0/p_i)=p_if(0)$, and 0 where $p_i=0$. The other tokens hold $1-p_t$ together. (If $p_t=1$ and $f(0)=\infty$, there is no term with $p_i>0$
# left; read $0\cdot\infty$ as 0.) ∎
#
# How the wrong mass is spread over Tuesday and banana has dropped out. Some consequences:
#
# **Never negative.** $D_f(\tau\Vert p)\ge 0$. *Proof.* Split the tokens by $p_i>0$ and $p_i=0$, and let $a$ and $b$ be $\tau$'s mass on the two
# parts, $a+b=1$. [Jensen's inequality](#Conventions) with weights $p_i$ gives $\sum_{p_i>0}p_if(\tau_i/p_i)\ge f(a)$. If $b=0$, this is $f(1)=0$.
# Otherwise the other terms add $b\,f'_\infty$. By "Slopes" the chord from $a$ to $1=a+b$ is at most as steep as all longer ones from $a$, whose
# slopes tend to $f'_\infty$. So $f(a)+b\,f'_\infty\ge f(1)=0$. ∎
#
# **Bounded or not.** Let $f(0)$ be finite. By "Support" $f(u)$ is the largest value at $u$ of all lines $\alpha u+\beta$ that are nowhere above $f$,
# so $p_tf(1/p_t)$ is the largest of the numbers $\alpha+\beta p_t$: as a maximum of lines convex in $p_t$, and so is $F$. It is 0 at its end $p_t=1$
# and nowhere lower, so it never rises on its way there from $F(0)=f'_\infty+f(0)$. The loss is bounded exactly if both limits are finite. ∎
#
# **Gradient, any label.** Where $p_i>0$ and $f$ is differentiable, the derivative of $p_if(\tau_i/p_i)$ by $p_i$ is $s_i=f(u_i)-u_if'(u_i)$ with
# $u_i=\tau_i/p_i$; where $\tau_i=0$, the term is $p_if(0)$ and $s_i=f(0)$. By the [chain rule](#Softmax-and-its-derivative) $\partial D_f/\partial
# z_j=p_j(s_j-\sum_ip_is_i)$. For KL, $s_i=u_i\log u_i-u_i(\log u_i+1)=-u_i$, which gives $p_j-\tau_j$ again.
#
# **Gradient, one-hot label.** Let $f(0)$ be finite. By the same chain rule (now $g_t=F'(p_t)$, all others 0)
#
# $$\frac{\partial F}{\partial z_j}=p_tF'(p_t)\,(\delta_{jt}-p_j),\qquad F'(p_t)=f(u)-u\,f'(u)-f(0)\ \text{ at }\ u=1/p_t .$$
#
# The vector $\delta_t-p$ does not depend on $f$, and $F'\le0$, as $F$ never rises. **For a one-hot label, all f-divergences pull in cross-entropy's
# direction; they differ only in how hard.** On the target's own logit the pull is $p_t(1-p_t)F'(p_t)$. ∎
#
# - **KL**, $f=u\log u$: loss $-\log p_t$, factor $p_tF'(p_t)=-1$.
# - **Total variation**, $\frac12\lvert u-1\rvert$: loss $1-p_t$, factor $-p_t$.
# - **Jensen-Shannon**, $\frac12[u\log u-(u+1)\log\frac{u+1}2]$: loss $\log2+\frac12[p_t\log p_t-(1+p_t)\log(1+p_t)]$, factor
#   $\frac12p_t\log\frac{p_t}{1+p_t}$.
# - **Squared Hellinger**, $\frac12(\sqrt u-1)^2$: loss $1-\sqrt{p_t}$, factor $-\frac12\sqrt{p_t}$.
# - **Pearson** $\chi^2$, $(u-1)^2$: loss $1/p_t-1$, factor $-1/p_t$.
# - **Reverse KL**, $-\log u$, and **Neyman** $\chi^2$, $(u-1)^2/u$: loss $\infty$ unless $p_t=1$, for $f(0)=\infty$. Softmax of finite logits never
#   says $p_t=1$.
#
# Each $F$ is the definition worked out, each factor a derivative. For Pearson: $p(1/p-1)^2+(1-p)=(1-p)^2/p+(1-p)=(1-p)/p$. For Jensen-Shannon use
# $f(0)=\frac12\log2$.

# %%
p = softmax(rng.normal(size=5))
x, one_hot = p[2], np.eye(5)[2]
js = np.log(2) + (x * np.log(x) - (1 + x) * np.log(1 + x)) / 2, x * np.log(x / (1 + x)) / 2
table = {"KL": (-np.log(x), -1), "total variation": (1 - x, -x), "Jensen-Shannon": js}
table |= {"squared Hellinger": (1 - x**0.5, -(x**0.5) / 2), "Pearson chi2": (1 / x - 1, -1 / x)}
for name, (value, pull) in table.items():
    numerical = slope(lambda z, name=name: divergences.f_divergence(name, one_hot, softmax(z)), np.log(p))
    whole = divergences.f_divergence(name, one_hot, p)
    confirm(f"{name}: F and its gradient", [whole - value, *(numerical - pull * (one_hot - p))], 1e-8)

# %% [markdown]
# **Between cross-entropy and accuracy.** For $0\le\gamma<1$ let
# $\ell_\gamma=-\log\big(\gamma+(1-\gamma)p_t\big)/(1-\gamma)=\mathrm{KL}\big(\delta_t\Vert\gamma\delta_t+(1-\gamma)p\big)/(1-\gamma)$: the log loss
# of a model that peeks at the label. It falls as $\gamma$ grows, from $-\log p_t$ at $\gamma=0$ towards $1-p_t$ as $\gamma\to1$, and its gradient is
# cross-entropy's times the weight $w=p_t/(\gamma+(1-\gamma)p_t)\le1$.
#
# *Proof.* With $x=1-p_t$ we have $\gamma+(1-\gamma)p_t=1-(1-\gamma)x$. So, by the series of $-\log(1-y)$, $\ell_\gamma=x+(1-\gamma)\frac{x^2}2+
# (1-\gamma)^2\frac{x^3}3+\dots$ (infinite for $\gamma=p_t=0$): no term rises with $\gamma$, and as $x\le1$, what follows the first is at most
# $\frac{x^2}2\,\big((1-\gamma)+(1-\gamma)^2+\dots\big)=\frac{1-\gamma}{2\gamma}x^2\to0$. The derivative by $p_t$ is $-1/(\gamma+(1-\gamma)p_t)$, so
# the factor of $\delta_t-p$ is $-w$ where cross-entropy has $-1$. ∎

# %%
p_t = rng.uniform(size=100)
for gamma in (0.1, 0.5, 0.9):
    loss, log_loss = divergences.overconfidence_loss(p_t, gamma), -np.log(p_t)
    confirm(f"gamma {gamma}: 1 - p_t <= loss <= -log p_t", np.maximum(np.maximum(1 - p_t - loss, loss - log_loss), 0))
    confirm("its distance from 1 - p_t", np.maximum(loss - (1 - p_t) - (1 - gamma) / (2 * gamma) * (1 - p_t) ** 2, 0))

# %% [markdown]
# *Trap: the average of divergences is not the divergence from the average.* $D_f(\tau\Vert p)$ is 0 at $p=\tau$. But training on one-hot labels drawn
# from $\tau$ minimises the mean of $D_f(\delta_t\Vert p)$, that is $\sum_t\tau_tF(p_t)$, and that is something else. By "Why the logarithm?" $F$ is
# proper, for three tokens or more, finite $f(0)$ and differentiable $F$, only if it is a multiple of the log loss. For KL the two differ by the
# constant $H(\tau)$. For Pearson the mean is $\sum_t\tau_t/p_t-1$. By Cauchy-Schwarz
# $\sum_t\frac{\tau_t}{p_t}\cdot\sum_tp_t\ge(\sum_t\sqrt{\tau_t})^2$ with equality exactly for $p_t$ in proportion to $\sqrt{\tau_t}$: flatter than
# the truth. For squared Hellinger it is $1-\sum_t\tau_t\sqrt{p_t}$, by Cauchy-Schwarz smallest for $p_t$ in proportion to $\tau_t^2$. For total
# variation it is $1-\sum_t\tau_tp_t$, smallest with all mass on the mode (the largest entry) of $\tau$. Both are sharper than the truth.

# %%
tau = np.array([0.64, 0.32, 0.04])
root, square = np.sqrt(tau) / np.sqrt(tau).sum(), tau**2 / (tau**2).sum()
answers = {"truth": tau, "root": root, "square": square, "mode": np.eye(3)[0]}
for name in ("KL", "Pearson chi2", "squared Hellinger", "total variation"):
    means = {who: tau @ divergences.one_hot_loss(name, p) for who, p in answers.items()}
    print(f"{name:17}", ", ".join(f"{who} {mean:.4f}" for who, mean in means.items()), "-> best:", min(means, key=means.get))
rows("D10")

# %% [markdown]
# ## A4 The earth mover distance
#
# $$\mathrm{EMD}(p,\tau)=\min_{\gamma\in\Pi}\ \sum_{ij}\gamma_{ij}c_{ij} \tag{A4}$$
#
# $$\Pi=\Big\lbrace\gamma:\ \gamma_{ij}\ge0,\ \sum_j\gamma_{ij}=p_i,\ \sum_i\gamma_{ij}=\tau_j\Big\rbrace$$
#
# *The idea: [lesson 03](03_exact_emd_linear_programming.ipynb).* A $\gamma$ in $\Pi$ is a *plan* (or coupling): $\gamma_{ij}$ is the mass that goes
# from $i$ to $j$. The article writes an infimum. Why may we write a minimum?
#
# **A best plan exists.** *Proof.* $\Pi$ is not empty: $\gamma_{ij}=p_i\tau_j$ is in it. It is bounded: $0\le\gamma_{ij}\le1$. It is closed:
# equations and inequalities with $\ge$ survive limits. So it is compact, and the cost, a continuous function, attains its minimum on it. ∎
#
# **Rank.** As equations for the $n^2$ unknowns, the $2n$ marginal constraints have rank $2n-1$. *Proof.* A combination of them, with weights
# $\alpha_i$ for rows and $\beta_j$ for columns, is $\sum_{ij}\gamma_{ij}(\alpha_i+\beta_j)$. It vanishes for *every* matrix $\gamma$ exactly if
# $\alpha_i+\beta_j=0$ for all $i,j$, that is $\alpha_i=s$ and $\beta_j=-s$ with one number $s$. So the relations among the $2n$ equations form a
# space of dimension 1, and the rank is $2n-1$. ∎ (The one relation: row sums and column sums have the same total.) In the same way the equations of a
# block with $k$ rows and $m$ columns have rank $k+m-1$.
#
# **Dimension.** If $p$ and $\tau$ have supports of sizes $k$ and $m$, $\Pi$ has dimension $(k-1)(m-1)$. *Proof.* Entries outside the block of
# supports are 0, since a sum of non-negative numbers that is 0 has only zeros. Within the block, the solutions of the equations form a flat (a
# shifted subspace) of dimension $km-(k+m-1)=(k-1)(m-1)$. The product plan has only positive entries there, so a small ball around it in that flat
# still satisfies $\gamma\ge0$: the polytope fills the flat's dimension. ∎
#
# *Trap.* As one equation is redundant, marginals whose totals differ by rounding make the program *infeasible*, if taken literally. Drop one
# equation, as below, or rescale one side.


# %%
def program(p, tau, cost):
    n = p.size
    rows, columns = np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))
    A = np.concatenate([rows, columns])
    answer = linprog(cost.ravel(), A_eq=A[:-1], b_eq=np.concatenate([p, tau])[:-1])
    return answer.fun, answer.x.reshape(n, n), A


# %%
for n in (2, 5, 8):
    p, tau, cost = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n)), rng.uniform(size=(n, n))
    value, plan, A = program(p, tau, cost)
    print(f"n = {n}: {2 * n} equations of rank {np.linalg.matrix_rank(A)}, dimension {n * n - np.linalg.matrix_rank(A)}")
    confirm("two solvers agree", value - transport.emd(p, tau, cost).value, 1e-9)
rows("A4")

# %% [markdown]
# ## D6 Duality and basic plans
#
# $$\mathrm{EMD}(p,\tau)=\max_{u,v}\ p\cdot u+\tau\cdot v\quad\text{subject to}\quad u_i+v_j\le c_{ij}\ \text{ for all } i,j \tag{D6}$$
#
# *The idea: [lesson 03](03_exact_emd_linear_programming.ipynb).* $u,v$ are called potentials; think of a carrier who charges $u_i$ for collecting
# and $v_j$ for delivering, never more than moving it yourself.
#
# **Weak duality and slackness.** For every plan $\gamma$ and all feasible $u,v$
#
# $$p\cdot u+\tau\cdot v=\sum_{ij}\gamma_{ij}(u_i+v_j)\le\sum_{ij}\gamma_{ij}c_{ij},$$
#
# with equality exactly if $u_i+v_j=c_{ij}$ wherever $\gamma_{ij}>0$ (*complementary slackness*). *Proof.* The first step puts in the row and column
# sums. The second compares term by term, and since each term of the difference, $\gamma_{ij}(c_{ij}-u_i-v_j)$, is at least 0, the sum of the
# differences is 0 only if each one is. ∎
#
# So a plan and potentials that meet this condition *prove each other optimal*. It remains to find potentials for a given best plan. Shortest paths
# do it.
#
# **Strong duality.** *Proof.* Let $\gamma$ be a best plan (A4). Suppose first that all $p_i>0$ and $\tau_j>0$. Draw a directed graph with a node
# for every row and every column, and
#
# - an edge from row $i$ to column $j$ of length $c_{ij}$, for all $i,j$ ("send more this way");
# - an edge from column $j$ to row $i$ of length $-c_{ij}$, wherever $\gamma_{ij}>0$ ("send less").
#
# *No cycle has negative length.* It is enough to look at cycles that visit no node twice, as every other one splits into such. A cycle of two
# edges, there and back, has length 0. In a longer one, let $\varepsilon$ be the smallest $\gamma_{ij}$ on its "less" edges. Add $\varepsilon$ to
# $\gamma$ on the "more" edges and take $\varepsilon$ off on the "less" edges. Each node of the cycle has one edge of each kind, so all row and
# column sums stay; nothing becomes negative; we have a new plan. Its cost has changed by $\varepsilon$ times the cycle's length. As $\gamma$ was
# best, that length is not negative.
#
# *Distances.* Let $d(x)$ be the length of a shortest path from row 1 to node $x$. It exists: row 1 has an edge to every column, and each row $i$,
# having $p_i>0$, is entered from some column. It is finite, since a walk only gets shorter, or stays, when its cycles are cut out, and paths
# without repetition are finitely many. A shortest path to one end of an edge, followed by the edge, is a walk to the other end. So
#
# $$d(\text{col }j)\le d(\text{row }i)+c_{ij}\ \text{ for all }i,j,\qquad d(\text{row }i)\le d(\text{col }j)-c_{ij}\ \text{ where }\gamma_{ij}>0.$$
#
# Put $u_i=-d(\text{row }i)$ and $v_j=d(\text{col }j)$. The first inequality says $u_i+v_j\le c_{ij}$: feasible. Together with the second,
# $u_i+v_j=c_{ij}$ where $\gamma_{ij}>0$: slackness. By the last result both are optimal and their values equal.
#
# *Zeros.* If some $p_i$ or $\tau_j$ are 0, do this on the supports only, then set $v_j=\min_i(c_{ij}-u_i)$ over the rows with mass for each column
# without, and after that $u_i=\min_j(c_{ij}-v_j)$ over *all* columns for each row without. All constraints hold by construction, and weights of 0
# leave the value alone. ∎
#
# The proof is an algorithm (Bellman and Ford's). Below it turns a plan into potentials.

# %%
p, tau, cost = rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(7)), rng.uniform(size=(7, 7))
plan = transport.emd(p, tau, cost).plan
row, column = np.where(np.arange(7) == 0, 0.0, np.inf), np.full(7, np.inf)
for _ in range(14):  # no shortest path has more edges than there are nodes
    column = np.minimum(column, (row[:, None] + cost).min(axis=0))
    row = np.minimum(row, np.where(plan > 0, column - cost, np.inf).min(axis=1))
u, v = -row, column
confirm("the potentials are feasible", np.maximum(u[:, None] + v - cost, 0))
confirm("no gap between plan and potentials", (plan * cost).sum() - (p @ u + tau @ v))

# %% [markdown]
# *On paper.* Banana's $0.2$ goes to Tuesday ($0.4$ each), and Tuesday sends $0.1$ on to Monday ($0.2$ each): cost $0.08+0.02=0.10$. Potentials
# $u=(0,0.2,0.6)$, $v=(0,-0.2,-0.6)$ satisfy all nine inequalities and pay $0.3\cdot 0.2+0.2\cdot 0.6-0.4\cdot 0.2=0.10$. So no plan does better, and
# you have
# proved it in one line.
#
# **What comes for free.** (i) $u+s\mathbf 1$, $v-s\mathbf 1$ are as good as $u,v$: potentials are never unique. (ii) As a maximum of functions
# linear in $(p,\tau)$, EMD is *convex* in $(p,\tau)$. (iii) With optimal $u$ for $p$, the pair $(u,v)$ stays feasible for any other $p'$. So
# $\mathrm{EMD}(p',\tau)\ge\mathrm{EMD}(p,\tau)+u\cdot(p'-p)$: $u$ is a (sub)gradient of the distance in $p$.

# %%
u, v = np.array([0, 0.2, 0.6]), np.array([0, -0.2, -0.6])
confirm("on paper: feasible", np.maximum(u[:, None] + v - worked.COST, 0))
confirm("on paper: the pair pays .10", worked.P @ u + worked.TAU @ v - 0.10)
confirm("on paper: so does the solver", transport.emd(worked.P, worked.TAU, worked.COST).value - 0.10)
others = rng.dirichlet(np.ones(3), 500)
moved = transport.emd_many(others, worked.TAU, worked.COST).value
confirm("u is a subgradient", np.minimum(moved - 0.10 - (others - worked.P) @ u, 0))

# %% [markdown]
# **Basic plans.** Join row $i$ and column $j$ by an edge where $\gamma_{ij}>0$: the plan's *support graph*. A plan is a *vertex* of $\Pi$ if it is
# not the midpoint of two different plans. Then
#
# *a plan is a vertex exactly if its support graph has no cycle, some best plan is a vertex, and a vertex has at most $k+m-1\le 2n-1$ entries above
# 0* ($k,m$: sizes of the supports).
#
# *Proof.* (a) Suppose there is a cycle. Its edges alternate when walked around; add $\varepsilon$ to every second entry and take $\varepsilon$ off
# the others, or the reverse. For small $\varepsilon$ both are plans, and $\gamma$ is their midpoint: no vertex.
#
# (b) Suppose $\gamma$ is the midpoint of two different plans, and let $D\ne0$ be their difference. Its row and column sums are 0. Where
# $\gamma_{ij}=0$ both plans are 0, so $D$ lives on the support of $\gamma$. A row or column that holds one non-zero of $D$ holds a second, or its
# sum would not be 0. So in the graph of $D$'s non-zeros one can always walk on by a new edge, and, since the graph is finite, one comes back to a
# node: a cycle in the support graph.
#
# (c) Take a best plan with as few positive entries as possible. If it had a cycle, shift $\varepsilon$ around it as in (a). One direction and its
# reverse change the cost by opposite amounts; neither may be negative, so both are 0. Increase $\varepsilon$ until the first entry reaches 0: still
# best, with fewer positive entries. Contradiction. So there is no cycle, and by (b) the plan is a vertex.
#
# (d) A graph without cycles on $k+m$ nodes has at most $k+m-1$ edges. ∎
#
# **Potentials are prices.** If a best plan is a vertex with all $k+m-1$ entries, and rows $i,l$ have mass, then for small $\epsilon$ of either sign
# $\mathrm{EMD}(p+\epsilon(\delta_i-\delta_{l}),\tau)=\mathrm{EMD}(p,\tau)+\epsilon(u_i-u_{l})$. *Proof.* Its graph, having no cycle and no room for
# another edge, is a tree, and there is a path from row $i$ to row $l$. Add $\epsilon$ to the entry of its first edge, take it off the second, and so
# on: the row sums of $i$ and $l$ change as wanted, all others and the column sums stay. For small $\epsilon$ the same entries are positive, so the
# same $u,v$ prove the new plan optimal. ∎ (With fewer entries the slopes to the two sides may differ: $u$ is then one subgradient of many.)
#
# *Traps.* A vertex may have fewer entries (*degenerate*: when a part of $p$ and a part of $\tau$ have equal sums, for example at $p=\tau$). And a
# solver that is not a simplex method may return a mixture of several best plans, which is best but not basic.

# %%
p, tau, cost = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(8)), rng.uniform(size=(8, 8))
tau[:3] = 0
tau /= tau.sum()
_, _, A = program(p, tau, cost)
support = transport.emd(p, tau, cost).plan > 0
print(f"k = 8, m = 5: {support.sum()} entries, at most {8 + 5 - 1}")
confirm("no cycle: the support's columns are independent", support.sum() - np.linalg.matrix_rank(A[:, support.ravel()]))
product = np.outer(p, tau) > 0
print(f"the product plan: {product.sum()} entries, rank {np.linalg.matrix_rank(A[:, product.ravel()])}, so no vertex")
rows("D6")

# %% [markdown]
# (A shift around a cycle is a linear relation among the columns of the constraint matrix that belong to the support, and by (b) every such relation
# runs through a cycle. So "no cycle" and "independent columns", the textbook's *basic solution*, are the same thing.)
#
# ## D8 Total variation and ordered classes
#
# *The idea: [lesson 03](03_exact_emd_linear_programming.ipynb).* Two families of costs have closed forms.
#
# **0/1 cost.** If $c_{ii}=0$ and $c_{ij}=1$ otherwise, then
#
# $$\mathrm{EMD}(p,\tau)=\tfrac12\sum_i\lvert p_i-\tau_i\rvert=1-\sum_i\min(p_i,\tau_i)=\mathrm{TV}(p,\tau). \tag{D8a}$$
#
# *Proof.* The two sums agree, since $\lvert x-y\rvert=x+y-2\min(x,y)$. *At least:* a plan's cost is the mass off its diagonal, $1-\sum_i\gamma_{ii}$,
# and $\gamma_{ii}\le\min(p_i,\tau_i)$, as an entry exceeds neither its row sum nor its column sum. *At most:* put $m_i=\min(p_i,\tau_i)$ on the
# diagonal. Left over are $a=p-m$ and $b=\tau-m$, both non-negative with total $T=1-\sum_im_i$. If $T=0$ we are done. Otherwise add $a_ib_j/T$: row
# sums $m_i+a_i=p_i$, column sums $m_j+b_j=\tau_j$. As $a_i$ or $b_i$ is 0 for each $i$, nothing is added on the diagonal, and the cost is $T$. ∎ *On
# paper:* $\frac12(0.1+0.1+0.2)=0.2$.
#
# **Ordered classes.** If $c_{ij}=\lvert i-j\rvert$, then, with the cumulative sums $P_k=p_1+\dots+p_k$ and $T_k=\tau_1+\dots+\tau_k$,
#
# $$\mathrm{EMD}(p,\tau)=\sum_{k=1}^{n-1}\lvert P_k-T_k\rvert. \tag{D8b}$$
#
# *Proof.* Going from $i$ to $j$ crosses $\lvert i-j\rvert$ of the cuts between $k$ and $k+1$: with $[\,\cdot\,]=1$ if true and 0 if false, $\lvert
# i-j\rvert=\sum_k\big\lvert[i\le k]-[j\le k]\big\rvert$. *At least:* for every plan
#
# $$\sum_{ij}\gamma_{ij}\lvert i-j\rvert=\sum_k\sum_{ij}\gamma_{ij}\big\lvert[i\le k]-[j\le k]\big\rvert
# \ \ge\ \sum_k\Big\lvert\sum_{ij}\gamma_{ij}\big([i\le k]-[j\le k]\big)\Big\rvert=\sum_k\lvert P_k-T_k\rvert .$$
#
# *At most:* cut the interval $(0,1]$ twice, at the levels $P_1,P_2,\dots$ and at $T_1,T_2,\dots$. Class $i$ owns $I_i=(P_{i-1},P_i]$ in the first
# cutting, class $j$ owns $J_j=(T_{j-1},T_j]$ in the second ($P_0=T_0=0$). The *monotone plan* moves each level from its first owner to its second:
# $\gamma_{ij}$ is the length of $I_i\cap J_j$. Its row sums are the lengths of the $I_i$, that is $p_i$; its column sums $\tau_j$. A level $s$
# crosses cut $k$ exactly if one of $s\le P_k$, $s\le T_k$ is true and the other false: levels of total length $\lvert P_k-T_k\rvert$. ∎

# %%
p, tau = rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(9))
least = np.minimum(p, tau)
plan = np.diag(least) + np.outer(p - least, tau - least) / (1 - least.sum())
confirm("the plan of the proof has the right marginals", [plan.sum(axis=1) - p, plan.sum(axis=0) - tau])
confirm("it costs the total variation", (plan * costs.zero_one(9)).sum() - divergences.total_variation(p, tau))
confirm("0/1 cost: EMD = TV", program(p, tau, costs.zero_one(9))[0] - divergences.total_variation(p, tau), 1e-9)
cuts = np.abs(np.cumsum(p) - np.cumsum(tau))[:-1].sum()
confirm("|i - j|: EMD = distance of the cumulative sums", program(p, tau, costs.ordinal(9))[0] - cuts, 1e-9)

# %% [markdown]
# **Convex costs.** If $c_{ij}=h(i-j)$ with $h$ convex, for example $\lvert i-j\rvert^q$ with $q\ge1$, the monotone plan is optimal.
#
# *Proof.* *(1) Uncrossing never costs more.* For $i<i'$ and $j<j'$: $c_{ij}+c_{i'j'}\le c_{ij'}+c_{i'j}$. Indeed let $a=i-j'$ and $b=i'-j$. Then
# $x=i-j$ and $y=i'-j'$ lie between them, and $x+y=a+b$. So if $x=\lambda a+(1-\lambda)b$, then $y=(1-\lambda)a+\lambda b$, and convexity gives
# $h(x)+h(y)\le h(a)+h(b)$.
#
# *(2) Some best plan has no crossing.* Of all best plans (a compact set) take one with the least $\sum\gamma_{ij}(i-j)^2$. Suppose it had a
# crossing: $\gamma_{ij'}>0$ and $\gamma_{i'j}>0$ with $i<i'$, $j<j'$. Move a small $\varepsilon$ from both onto $(i,j)$ and $(i',j')$. The sums
# stay; by (1) the plan is still best; but its squares fall, by $2\varepsilon(i'-i)(j'-j)>0$. Contradiction.
#
# *(3) Only the monotone plan has no crossing.* Let $\Gamma_{kl}=\sum_{i\le k,\,j\le l}\gamma_{ij}$. It is at most $P_k$ and at most $T_l$. Without
# crossings, mass cannot both go from $\lbrace i\le k\rbrace$ to $\lbrace j>l\rbrace$ and from $\lbrace i>k\rbrace$ to $\lbrace j\le l\rbrace$. If
# none goes the first way, $\Gamma_{kl}=P_k$; if none the second way, $\Gamma_{kl}=T_l$. In both cases $\Gamma_{kl}=\min(P_k,T_l)$, for all $k,l$,
# and $\gamma$ is found from $\Gamma$ by taking differences. The monotone plan has the same $\Gamma$: the length of $(0,P_k]\cap(0,T_l]$. ∎
#
# *Trap: concave costs.* For $\lvert i-j\rvert^q$ with $0\le q<1$ one long trip beats two short ones, (1) fails, and mass that can stay should stay
# (such a cost is a metric: instead of going from $i$ to $k$ and filling the gap from $k$ on to $l$, go from $i$ to $l$). Three classes,
# $p=(\frac12,\frac12,0)$, $\tau=(0,\frac12,\frac12)$, $q=\frac12$: the monotone plan moves everything one step and costs 1; leaving the middle alone
# costs $\frac12\sqrt2$. (And in numpy `0.0 ** 0` is 1: at $q=0$ set the diagonal to 0 by hand.)


# %%
def monotone(p, tau):
    both = np.minimum.outer(np.cumsum(p), np.cumsum(tau))
    return np.diff(np.diff(both, axis=0, prepend=0), axis=1, prepend=0)


# %%
for q in (1, 1.5, 2, 3):
    best = program(p, tau, costs.ordinal(9, q))[0]
    confirm(f"power {q}: the monotone plan is best", (monotone(p, tau) * costs.ordinal(9, q)).sum() - best, 1e-8)
start, end, root = np.array([0.5, 0.5, 0]), np.array([0, 0.5, 0.5]), costs.ordinal(3, 0.5)
print(f"power 0.5: monotone {(monotone(start, end) * root).sum():.4f}, best {transport.emd(start, end, root).value:.4f}")
rows("D8")

# %% [markdown]
# ## A5 One plan for a one-hot label
#
# $$\tau=\delta_t\quad\Longrightarrow\quad \mathrm{EMD}(p,\delta_t)=\sum_ip_i\,c_{it} \tag{A5}$$
#
# *The idea: [lesson 04](04_one_hot_closed_form.ipynb).* *Proof.* Let $\gamma$ be any plan. A column $j\ne t$ has sum 0 and entries at least 0, so
# all of them are 0. Row $i$ then has a single entry left, $\gamma_{it}=p_i$. There is *one* plan, so there is nothing to minimise, and its cost is
# $\sum_ip_ic_{it}$. ∎
#
# No property of the cost was used. The loss is linear in $p$ and linear in $C$: losses for blended costs are blended losses. Optimal potentials can
# be read off: $u_i=c_{it}$, $v_t=0$ (and $v_j=\min_i(c_{ij}-c_{it})$). *On paper:* $0.5\cdot0+0.3\cdot 0.2+0.2\cdot1=0.26$.
#
# *Trap.* "No optimisation" is a property of the one-hot label, not of the cost. The transport in EMO is real but trivial: all its content sits in
# the choice of $C$.

# %%
n, t = 6, 4
p, cost = rng.dirichlet(np.ones(n)), rng.normal(size=(n, n))  # no symmetry, no sign
value, plan, _ = program(p, np.eye(n)[t], cost)
confirm("the program's value", value - transport.one_hot_emd(p, cost, t), 1e-9)
confirm("its only plan: column t holds p", plan - np.outer(p, np.eye(n)[t]), 1e-9)
confirm("on paper: .26", transport.one_hot_emd(worked.P, worked.COST, worked.TARGET) - 0.26)
rows("A5")

# %% [markdown]
# ## A6 The product bound
#
# $$\mathrm{EMD}(p,\tau)\le\sum_{ij}p_i\,\tau_j\,c_{ij}=p^\top C\,\tau \tag{A6}$$
#
# *The idea: [lesson 04](04_one_hot_closed_form.ipynb).* *Proof.* $\gamma_{ij}=p_i\tau_j$ is a plan: entries at least 0, row sums
# $p_i\sum_j\tau_j=p_i$, column sums $\tau_j\sum_ip_i=\tau_j$. A minimum is at most the value at any one plan. ∎
#
# **When is it exact?** Exactly if $c_{ij}=u_i+v_j$ for some $u,v$ on all pairs with $p_i\tau_j>0$. *Proof.* Equality says that the product plan is
# best. Then there are potentials (D6), and slackness makes $u_i+v_j=c_{ij}$ wherever $p_i\tau_j>0$. Conversely, if the cost has that form there,
# every plan, being 0 on all other pairs, costs $\sum_{ij}\gamma_{ij}(u_i+v_j)=p\cdot u+\tau\cdot v$: all plans, the product included, are equally
# good. ∎ So it is exact whenever $p$ or $\tau$ is one-hot (for one column take $u_i=c_{it}$, $v_t=0$; a single row likewise), and otherwise only for
# such special costs.
#
# **What it is.** By A5, $p^\top C\tau=\sum_t\tau_t\,\mathrm{EMD}(p,\delta_t)$: the *mean one-hot loss* over labels drawn from $\tau$. And
# $\tau=\sum_t\tau_t\delta_t$, so A6 is Jensen's inequality for the convex function EMD.
#
# *Trap.* The bound is no distance: with $c_{ii}=0$ and $c_{ij}>0$ off the diagonal, $p^\top Cp>0$ for every $p$ that is not one-hot. *On paper:*
# $C\tau=(0.08,0.12,0.76)$ and $p\cdot C\tau=0.04+0.036+0.152=0.228$, more than twice the exact $0.10$.

# %%
problems = [(rng.dirichlet(np.ones(5)), rng.dirichlet(np.ones(5)), rng.uniform(size=(5, 5))) for _ in range(100)]
gaps = np.array([transport.product_bound(p, tau, cost) - transport.emd(p, tau, cost).value for p, tau, cost in problems])
confirm("the bound is never below", np.minimum(gaps, 0))
p, tau, cost = problems[0]
hard = [transport.one_hot_emd(p, cost, t) for t in range(5)]
confirm("it is the mean one-hot loss", transport.product_bound(p, tau, cost) - tau @ hard)
separable = np.add.outer(rng.normal(size=5), rng.normal(size=5))
confirm("exact for c_ij = u_i + v_j", transport.product_bound(p, tau, separable) - transport.emd(p, tau, separable).value)
confirm("on paper: .228", transport.product_bound(worked.P, worked.TAU, worked.COST) - 0.228)
rows("A6")

# %% [markdown]
# ## A7 Zero-one cost and accuracy
#
# $$c_{it}=1-\delta_{it}\quad\Longrightarrow\quad\mathrm{EMD}(p,\delta_t)=1-p_t \tag{A7}$$
#
# *The idea: [lesson 04](04_one_hot_closed_form.ipynb).* *Proof.* By A5, $\sum_ip_i(1-\delta_{it})=\sum_ip_i-p_t=1-p_t$. ∎ For any label $\tau$ the
# same cost gives $\mathrm{TV}(p,\tau)$; that is D8a.
#
# **Smoothed accuracy.** Scale the logits by $\beta$, $p=\operatorname{softmax}(\beta z)$. As $\beta\to\infty$, $1-p_t$ tends to 0 if $z_t$ is the
# only largest logit, to 1 if another is larger, to $1-\frac1m$ if $m$ tie for the top with $z_t$ among them.
#
# *Proof.* $1/p_t=\sum_ke^{\beta(z_k-z_t)}$. A term with $z_k<z_t$ tends to 0, one with $z_k=z_t$ is 1, one with $z_k>z_t$ tends to infinity. Add up
# the three cases. ∎ So $1-p_t$ is a smooth stand-in for the error rate of the *best guess*. Without any limit it is the error rate of a *sampled*
# answer: drawing a token from $p$ misses the target with probability $1-p_t$.
#
# **Next to cross-entropy.** With $x=1-p_t$, $-\log p_t=x+\frac{x^2}2+\frac{x^3}3+\dots\ge x$. The two agree to first order where the model is
# right, and only one of them goes to infinity where it is wrong.
#
# *Traps.* $1-p_t$ is total variation for one-hot labels. For soft ones the *product bound* with this cost is $1-\sum_ip_i\tau_i$, which is at least
# TV (D8a), in general larger, and not 0 at $p=\tau$ unless $\tau$ is one-hot.

# %%
z, t = np.array([1.0, 0.9, -0.5, 1.0]), 0
for beta in (1, 10, 100, 1000):
    tied, sole = softmax(beta * z), softmax(beta * z[:3])
    print(f"beta {beta:5}: target alone on top 1 - p_t = {1 - sole[t]:.6f}, tied {1 - tied[t]:.6f}, beaten {1 - sole[1]:.6f}")
p, tau = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
confirm("1 - p_t", [transport.one_hot_emd(p, costs.zero_one(6), t) - (1 - p[t]) for t in range(6)])
confirm("-log p_t >= 1 - p_t", np.minimum(-np.log(p) - (1 - p), 0))
confirm("TV below the bound 1 - p.tau", max(divergences.total_variation(p, tau) - (1 - p @ tau), 0))
rows("A7")

# %% [markdown]
# ## D2 Why the one-hot loss is not proper
#
# Let labels be drawn from $\tau$, and let $g=C\tau$, that is $g_i=\sum_jc_{ij}\tau_j$: the mean cost of answering $i$. Then
#
# $$\sum_t\tau_t\,\mathrm{EMD}(p,\delta_t)=p^\top C\tau=p\cdot g\ \ge\ \min_ig_i, \tag{D2}$$
#
# with equality exactly if all mass of $p$ is on $M=\lbrace i:\ g_i=\min_kg_k\rbrace$.
#
# *The idea: [lesson 04](04_one_hot_closed_form.ipynb).* *Proof.* The first step is A5, averaged. For the rest, $p\cdot g-\min g=\sum_ip_i(g_i-\min
# g)$ has terms at least 0; their sum is 0 exactly if $p_i=0$ wherever $g_i>\min g$. ∎
#
# Read it slowly.
#
# - The minimisers are the whole *face* of the simplex spanned by $M$. Without a tie that is one vertex: all mass on the *medoid* of $\tau$, the
#   token with the least mean cost. Nothing rewards keeping the probabilities of $\tau$.
# - So the loss is **not proper**: if $g$ is not constant on the support of $\tau$, then $p=\tau$ is no minimiser. Only a cost that ignores the answer
#   escapes: if $g=C\tau$ is constant for every $\tau$ with all $\tau_i>0$, then, letting $\tau\to\delta_j$, so is each column of $C$. *On paper:*
#   $g=(0.08,0.12,0.76)$. At $p=\tau$ the mean loss is $0.6\cdot 0.08+0.4\cdot 0.12=0.096$; at "always Monday" it is $0.08$.
# - With the 0/1 cost $g_i=1-\tau_i$: the medoid is the *mode*.
# - It is the right loss for a *decision*. If answering $i$ when $j$ is true costs $c_{ij}$, then $g_i$ is the expected cost of answering $i$, and $M$
#   is the set of Bayes-optimal answers. A minimiser of the mean loss gives no other answer.
# - The medoid may have $\tau_i=0$. Three unit vectors at $-60°$, $0°$, $60°$ and $\tau=(\frac12,0,\frac12)$: the middle costs $1-\cos60°=\frac12$
#   on average, either end $\frac12(1-\cos120°)=\frac34$. The middle wins, and it never occurs.
#
# *Traps.* In logits no minimum is attained (unless all $g_i$ tie): all $p_i$ stay above 0, softmax only creeps towards the face, and the gradient
# fades on the way (D1). And gradients from sampled labels are unbiased for $p^\top C\tau$, *not* for $\mathrm{EMD}(p,\tau)$, which is 0 at $p=\tau$
# for costs $c_{ij}\ge0=c_{ii}$.

# %%
tau, cost = rng.dirichlet(np.ones(6)), rng.uniform(size=(6, 6))
models, best = rng.dirichlet(np.ones(6), 5000), np.eye(6)[transport.medoid(tau, cost)]
lead = transport.product_bound(models, tau, cost) - transport.product_bound(best, tau, cost)
confirm("nothing beats the medoid", np.minimum(lead, 0))
confirm("0/1 cost: the medoid is the mode", transport.medoid(tau, costs.zero_one(6)) - np.argmax(tau))
confirm("on paper: .096 and .08", [worked.TAU @ worked.COST @ worked.TAU - 0.096, (worked.COST @ worked.TAU).min() - 0.08])
angles = np.radians([-60, 0, 60])
fan = costs.cosine(np.stack([np.cos(angles), np.sin(angles)], axis=1))
print("mean cost of answering each of the three:", fan @ [0.5, 0, 0.5])
rows("D2")

# %% [markdown]
# ## A8 The cosine cost
#
# $$c_{ij}=1-\cos(e_i,e_j)=1-\langle\hat e_i,\hat e_j\rangle=\tfrac12\lvert\hat e_i-\hat e_j\rvert^2,
# \qquad\hat e_i=\frac{e_i}{\lvert e_i\rvert} \tag{A8}$$
#
# *The idea: [lesson 05](05_cosine_cost.ipynb).* Here $e_i$ is the embedding of token $i$, a vector other than 0; $\langle\cdot,\cdot\rangle$ is the
# inner product, $\lvert\cdot\rvert$ Euclid's length. *Proof of the last equality.* $\lvert\hat e_i-\hat e_j\rvert^2=\lvert\hat
# e_i\rvert^2+\lvert\hat e_j\rvert^2-2\langle\hat e_i,\hat e_j\rangle=2-2\langle\hat e_i,\hat e_j\rangle$. ∎
#
# So half a squared distance on the unit sphere, and from that: $0\le c_{ij}\le2$ (two points of the sphere are at most 2 apart); $c_{ij}=c_{ji}$;
# $c_{ij}=0$ exactly if $e_i$ and $e_j$ have the same direction, in particular $c_{ii}=0$. Lengths of embeddings do not matter.
#
# With the unit vectors as rows of a matrix $G$, $C=\mathbf 1\mathbf 1^\top-GG^\top$. Hence, for every $x$ with $\sum_ix_i=0$,
#
# $$x^\top Cx=(\mathbf 1\cdot x)^2-\lvert G^\top x\rvert^2=-\Big\lvert\sum_ix_i\hat e_i\Big\rvert^2\le0 .$$
#
# Costs with this property are called *conditionally negative definite*. Remember it: D9 hangs on it.
#
# *Trap.* In floating point $1-\langle\hat e_t,\hat e_t\rangle$ is often not 0, only about as small as rounding. A confident model has a loss of that
# size, so set $c_{tt}=0$ by hand.

# %%
E = rng.normal(size=(7, 3)) * rng.uniform(0.1, 10, (7, 1))
C, unit, x = costs.cosine(E), costs.unit_rows(E), rng.normal(size=7)
x -= x.mean()
confirm("half the squared distance", C - 0.5 * ((unit[:, None] - unit) ** 2).sum(-1))
confirm("x'Cx = -|sum x_i e_i|^2 where sum x = 0", x @ C @ x + ((x @ unit) ** 2).sum())
confirm("on paper: .2, 1, .4", worked.COST[[0, 0, 1], [1, 2, 2]] - [0.2, 1, 0.4])
single = costs.unit_rows(rng.normal(size=(1000, 64))).astype(np.float32)
print("float32: is 1 - |e_t|^2 exactly 0 for all of 1000 tokens?", bool((1 - (single**2).sum(axis=1) == 0).all()))
rows("A8")

# %% [markdown]
# ## D3 The sandwich
#
# For the cosine cost let $m_p=\sum_ip_i\hat e_i$ be the *mean direction*. Then
#
# $$\tfrac12\lvert m_p-m_\tau\rvert^2\ \le\ \mathrm{EMD}(p,\tau)\ \le\ p^\top C\tau
# =\tfrac12\lvert m_p-m_\tau\rvert^2+\tfrac12\big(1-\lvert m_p\rvert^2\big)+\tfrac12\big(1-\lvert m_\tau\rvert^2\big). \tag{D3}$$
#
# *The idea: [lesson 05](05_cosine_cost.ipynb).* *Proof.* *Left.* Let $\gamma$ be any plan. The row and column sums give $\sum_{ij}\gamma_{ij}(\hat
# e_i-\hat e_j)=m_p-m_\tau$. As $\gamma$ is a distribution over pairs, this is a mean, and $\lvert\text{mean}\rvert^2\le$ mean of squares (Jensen's
# inequality for $\lvert\cdot\rvert^2$; the difference is the mean of $\lvert x-\text{mean}\rvert^2$). With A8:
#
# $$\tfrac12\lvert m_p-m_\tau\rvert^2\le\sum_{ij}\gamma_{ij}\,\tfrac12\lvert\hat e_i-\hat e_j\rvert^2=\sum_{ij}\gamma_{ij}c_{ij}.$$
#
# *Middle* is A6. *Right.* $p^\top C\tau=\sum_{ij}p_i\tau_j(1-\langle\hat e_i,\hat e_j\rangle)=1-\langle m_p,m_\tau\rangle$. Put in $\langle
# m_p,m_\tau\rangle=\frac12\lvert m_p\rvert^2+\frac12\lvert m_\tau\rvert^2-\frac12\lvert m_p-m_\tau\rvert^2$. ∎
#
# **The middle term** is half the *spread* of $p$: with $\tau=p$ above, $\frac12(1-\lvert m_p\rvert^2)=\frac12p^\top Cp$, and also $1-\lvert
# m_p\rvert^2=\sum_ip_i\lvert\hat e_i-m_p\rvert^2\ge0$ (expand the square). So $\lvert m_p\rvert\le1$, with equality exactly if all of $p$'s mass
# points one way. A loss that contains this term pays the model for becoming sharp. The last term does not contain $p$.
#
# *On paper:* $m_p=(0.74,0.38)$, $m_\tau=(0.92,0.24)$, so the left end is $\frac12(0.18^2+0.14^2)=0.026$. The spreads add $0.154$ and $0.048$, and
# $0.026+0.154+0.048=0.228$. In between sits the exact $0.10$.

# %%
pairs = [(rng.dirichlet(np.ones(7)), rng.dirichlet(np.ones(7))) for _ in range(100)]
exact = np.array([transport.emd(p, tau, C).value for p, tau in pairs])
low = np.array([transport.jensen_bound(p, tau, E) for p, tau in pairs])
high = np.array([transport.product_bound(p, tau, C) for p, tau in pairs])
spread = np.array([1 - (transport.mean_direction(pair, E) ** 2).sum(-1).mean() for pair in pairs])
confirm("lower <= EMD <= upper", np.maximum(np.maximum(low - exact, exact - high), 0))
confirm("upper = lower + spreads", high - low - spread)
rows("D3")

# %%
p, tau, cost = worked.P, worked.TAU, worked.COST
paper = [transport.jensen_bound(p, tau, worked.EMBEDDING), p @ cost @ p / 2, tau @ cost @ tau / 2]
confirm("on paper: .026, .154, .048", np.subtract(paper, [0.026, 0.154, 0.048]))

# %% [markdown]
# ## D4 Which costs are metrics
#
# *The idea: [lesson 05](05_cosine_cost.ipynb).* A metric is 0 on the diagonal, positive off it, symmetric, and obeys the triangle inequality
# $c_{ik}\le c_{ij}+c_{jk}$. A *pseudometric* may be 0 off the diagonal. Chord and angle, below, are 0 exactly for two tokens of the same direction:
# metrics if no two tokens share one, pseudometrics in any case.
#
# **The cosine cost is none.** Vectors at $0°$, $45°$, $90°$: $c_{13}=1$, but $c_{12}+c_{23}=2-\sqrt2<1$. (Within a factor it holds: $\lvert
# x+y\rvert^2\le2\lvert x\rvert^2+2\lvert y\rvert^2$ gives $c_{ik}\le2(c_{ij}+c_{jk})$.)
#
# **The chord is one:** $\lvert\hat e_i-\hat e_j\rvert=\sqrt{2c_{ij}}$ is Euclid's distance between points, with its triangle inequality.
#
# **The angle is one:** $\theta_{ij}=\arccos\langle\hat e_i,\hat e_j\rangle$. *Proof of the triangle inequality.* Let $\alpha$ be the angle between
# $a$ and $b$, and $\beta$ that between $b$ and $c$. If $\alpha+\beta\ge\pi$ there is nothing to show. Otherwise split off the parts along $b$:
# $a=\cos\alpha\,b+\sin\alpha\,x$ and $c=\cos\beta\,b+\sin\beta\,y$ with unit vectors $x,y$ perpendicular to $b$ (if a sine is 0, its vector does
# not matter). Then $\langle a,c\rangle=\cos\alpha\cos\beta+\sin\alpha\sin\beta\,\langle
# x,y\rangle\ge\cos\alpha\cos\beta-\sin\alpha\sin\beta=\cos(\alpha+\beta)$, since the sines are not negative and $\langle x,y\rangle\ge-1$. As
# $\arccos$ is decreasing, the angle between $a$ and $c$ is at most $\alpha+\beta$. ∎ (From $2-2\cos\theta=4\sin^2\frac\theta2$ the chord is
# $2\sin\frac\theta2$, so all three rank pairs of tokens alike.)

# %%
bent = np.stack([np.cos(np.radians([0, 45, 90])), np.sin(np.radians([0, 45, 90]))], axis=1)
for name, cost in (("cosine", costs.cosine), ("chord", costs.chord), ("angle", costs.angle)):
    three, many = costs.metric_report(cost(bent)), costs.metric_report(cost(rng.normal(size=(60, 4))))
    print(f"{name:6} triangle excess {three.triangle_excess:7.4f}, a metric on 60 random tokens: {many.is_metric}")
loose = costs.cosine(rng.normal(size=(40, 4)))
confirm("the triangle holds up to a factor 2", np.maximum(loose[:, None, :] - 2 * (loose[:, :, None] + loose[None]), 0))

# %% [markdown]
# **Which distance is EMD, then?** By A8, with the chord as ground metric,
#
# $$\mathrm{EMD}(p,\tau)=\min_\gamma\sum_{ij}\gamma_{ij}\tfrac12\lvert\hat e_i-\hat e_j\rvert^2=\tfrac12W_2(p,\tau)^2,$$
#
# $$W_2(p,\tau)=\min_\gamma\Big(\sum_{ij}\gamma_{ij}\lvert\hat e_i-\hat e_j\rvert^2\Big)^{1/2}.$$
#
# So *its square root* obeys the triangle inequality (EMD itself does not: take one-hot distributions on $0°$, $45°$, $90°$). *Proof.* Take three
# distributions $p,q,r$, a best plan $\gamma$ from $p$ to $q$ and a best $\eta$ from $q$ to $r$. Glue them: $\pi_{ijk}=\gamma_{ij}\eta_{jk}/q_j$, and
# 0 where $q_j=0$. Summing over $k$ gives back $\gamma_{ij}$, over $i$ gives $\eta_{jk}$, and over $j$ it gives a plan from $p$ to $r$. Write all
# vectors $\sqrt{\pi_{ijk}}\,(\hat e_i-\hat e_k)$ into one long vector; it is the sum of those made of $\hat e_i-\hat e_j$ and of $\hat e_j-\hat e_k$.
# The triangle inequality for their lengths reads
#
# $$W_2(p,r)\le\Big(\sum_{ijk}\pi_{ijk}\lvert\hat e_i-\hat e_k\rvert^2\Big)^{1/2}\le W_2(p,q)+W_2(q,r).$$
#
# ∎ It is symmetric (transpose the plan), and if no two tokens share a direction, a plan that costs 0 is diagonal, so $W_2(p,\tau)=0$ only for
# $p=\tau$: a
# metric.
#
# **Kantorovich and Rubinstein's dual.** If $c$ is a (pseudo)metric, one potential is enough:
#
# $$\mathrm{EMD}(p,\tau)=\max_f\ \sum_i(p_i-\tau_i)f_i\quad\text{subject to}\quad f_i-f_j\le c_{ij}.$$
#
# *Proof.* Given such an $f$, $u=f$ and $v=-f$ are feasible for D6, so the right side is at most the left. For the converse take optimal $u,v$ and
# set $f_i=\min_j(c_{ij}-v_j)$. Then $f_i\ge u_i$, as $u_i\le c_{ij}-v_j$ for all $j$. Taking $j=i$, $f_i\le c_{ii}-v_i=-v_i$. And $f_i-f_{i'}\le
# c_{ii'}$: for the best $j$ of $i'$, $f_i\le c_{ij}-v_j\le c_{ii'}+c_{i'j}-v_j=c_{ii'}+f_{i'}$. **Here the triangle inequality went in.** So $f$ is
# allowed and $\sum_i(p_i-\tau_i)f_i\ge p\cdot u+\tau\cdot v=\mathrm{EMD}$. ∎
#
# **Why it fails for the cosine cost.** The constraints $f_i-f_j\le c_{ij}$ add up along a path, so they also force $f_i-f_k\le c_{ij}+c_{jk}$: the
# right side sees only the *shortest-path* version of the cost. (Which is a pseudometric, so the right side is the EMD under *that* cost.) From $0°$
# to $90°$ with $45°$ as a stop it says $2-\sqrt2$, though moving costs 1.
#
# *Trap.* Recipes for "the" Wasserstein loss that train a 1-Lipschitz critic (a network in the place of $f$) therefore do not compute A4 with the
# cosine cost.


# %%
def one_potential(p, tau, cost):
    n = p.size
    differences = np.kron(np.eye(n), np.ones((n, 1))) - np.kron(np.ones((n, 1)), np.eye(n))
    return -linprog(tau - p, A_ub=differences, b_ub=cost.ravel(), bounds=[(0, 0)] + [(None, None)] * (n - 1)).fun


start, end = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])
for name, cost in (("chord", costs.chord(bent)), ("cosine", costs.cosine(bent))):
    print(f"{name:6} EMD {transport.emd(start, end, cost).value:.4f}, one potential {one_potential(start, end, cost):.4f}")

# %%
E = rng.normal(size=(6, 3))
p, q, r = rng.dirichlet(np.ones(6), 3)
metric = costs.angle(E)
confirm("a metric: one potential is enough", one_potential(p, q, metric) - transport.emd(p, q, metric).value, 1e-9)
pq, qr, pr = (np.sqrt(2 * transport.emd(a, b, costs.cosine(E)).value) for a, b in ((p, q), (q, r), (p, r)))
confirm("W_2 obeys the triangle inequality", max(pr - pq - qr, 0))
rows("D4")

# %% [markdown]
# ## A9 The EMO loss
#
# $$\mathrm{EMD}(p,\delta_t)=\sum_ip_i\big(1-\langle\hat e_i,\hat e_t\rangle\big)
# =1-\Big\langle\sum_ip_i\hat e_i,\ \hat e_t\Big\rangle=1-\langle m_p,\hat e_t\rangle \tag{A9}$$
#
# *The idea: [lesson 06](06_emo_as_a_loss.ipynb).* *Proof.* A5 with the cost A8; then $\sum_ip_i=1$, and the inner product is linear in its first
# argument. ∎
#
# **Values.** They lie in $[0,2]$, as the costs do. The loss is 0 exactly if all of $p$'s mass is on tokens of the target's direction: a sum of
# terms $p_ic_{it}\ge0$ is 0 only if each is. By A8 and D3 it splits into $\frac12\lvert m_p-\hat e_t\rvert^2+\frac12(1-\lvert m_p\rvert^2)$: be
# near the target, and be sharp.
#
# **Work.** Averaging first takes $Vd$ multiplications for $V$ tokens in $d$ dimensions and never forms a $V\times V$ matrix. A *row* of costs for the
# target also takes $Vd$; what averaging saves there is storing the row, not computing it. It truly wins for soft labels: $p^\top C\tau=1-\langle
# m_p,m_\tau\rangle$ needs about $2Vd$ multiplications instead of the $V^2$ for a matrix that must be made first.
#
# *Trap.* Near $p=\delta_t$ the difference $1-\langle m_p,\hat e_t\rangle$ is rounding noise; the sum $\sum_{i\ne t}p_ic_{it}$ keeps its digits
# there. *On paper:* $m_p=(0.74,0.38)$, $\hat e_t=(1,0)$, loss $0.26$, as in A5.

# %%
E, p, tau = rng.normal(size=(9, 4)), rng.dirichlet(np.ones(9)), rng.dirichlet(np.ones(9))
C, m = costs.cosine(E), transport.mean_direction([p, tau], E)
confirm("average first = sum of costs", [transport.emo(p, E, t) - transport.one_hot_emd(p, C, t) for t in range(9)])
confirm("soft labels: 1 - <m_p, m_tau>", 1 - m[0] @ m[1] - transport.product_bound(p, tau, C))
confirm("on paper: .26", transport.emo(worked.P, worked.EMBEDDING, worked.TARGET) - 0.26)
rows("A9")

# %% [markdown]
# ## D1 The gradient of EMO
#
# For any cost, $L=\sum_ip_ic_{it}$ and $p=\operatorname{softmax}(z)$:
#
# $$\frac{\partial L}{\partial z_j}=p_j\,(c_{jt}-L) \tag{D1}$$
#
# *The idea: [lesson 06](06_emo_as_a_loss.ipynb).* *Proof.* The [chain rule](#Softmax-and-its-derivative) with $g_i=c_{it}$; then $\sum_ip_ig_i=L$.
# ∎ A token cheaper than the current average is pushed up, a dearer one down, each in proportion to its probability.
#
# **Where it vanishes.** Exactly where $c_{jt}=L$ for all $j$ with $p_j>0$, that is where *the cost is constant under $p$*. (If it is constant, the
# constant is its mean, $L$.) So it vanishes at every vertex, right or wrong, in the limit of infinite logits. At finite logits all $p_j>0$, and
# with $c_{tt}=0$ it vanishes only if all costs to $t$ are 0.
#
# **How large.** $\sum_j\lvert\partial L/\partial z_j\rvert=\sum_jp_j\lvert c_{jt}-L\rvert\le\operatorname{std}_p(c)\le\frac12(\max c-\min c)$. Here
# $\operatorname{std}_p(c)$ is the standard deviation of the costs $c_{jt}$ under $p$. *Proof.* The first inequality is Cauchy-Schwarz:
# $(\sum_jp_j\lvert x_j\rvert)^2\le\sum_jp_jx_j^2$. For the second, the mean $L$ minimises $\sum_jp_j(c_{jt}-a)^2$ over $a$, so the variance is at
# most that for the midpoint $a=\frac12(\max c+\min c)$, where no term exceeds $\frac14(\max c-\min c)^2$. ∎ At uniform $p_j=1/V$, with $V$ tokens,
# the gradient's Euclidean norm is $\big(\sum_j(c_{jt}-L)^2\big)^{1/2}/V=\operatorname{std}(c)/\sqrt V$.
#
# **On the target's logit** the pull is $-p_tL$ (where $c_{tt}=0$). Cross-entropy's is $p_t-1$. A target that the model holds impossible gets no help
# from EMO, however wrong the model is; mass only flows between the tokens that have some.
#
# **A policy gradient.** $L$ is the mean cost when the answer $i$ is drawn from $p$. As $\partial\log p_i/\partial z_j=\delta_{ij}-p_j$, the REINFORCE
# estimate of its gradient from one draw, (cost minus baseline) times the gradient of $\log p_i$, is $(c_{it}-b)(\delta_i-p)$; the baseline $b$ may be
# any number that does not depend on $i$. Its mean over $i\sim p$ has components
# $\sum_ip_i(c_{it}-b)(\delta_{ij}-p_j)=p_j(c_{jt}-b)-p_j(L-b)=p_j(c_{jt}-L)$: D1, whatever $b$. EMO's gradient is that estimate averaged over *all*
# answers, with no sampling noise. The reward is the cosine.
#
# *Traps.* $L$ is not convex in $z$: with two tokens, $t=1$ and $c=c_{21}$, it is $cp_2=c/(1+e^{z_1-z_2})$, a sigmoid. And it is the *target's*
# component that dies with $p_t$, not the whole gradient: with $p=(0,\frac12,\frac12)$ and costs $(0,0.2,1.2)$ the others still get $\mp 0.25$.
#
# *On paper:* $(0.5\cdot(-0.26),\ 0.3\cdot(-0.06),\ 0.2\cdot 0.74)=(-0.13,-0.018,0.148)$, sum 0.

# %%
z, t = rng.normal(size=9), 3
gradient = transport.one_hot_logit_gradient(softmax(z), C, t)
confirm("against a numerical derivative", gradient - slope(lambda z: transport.emo(softmax(z), E, t), z), 1e-8)
flat = transport.one_hot_logit_gradient(np.full(9, 1 / 9), C, t)
confirm("norm at uniform p: std(c) / sqrt(V)", np.linalg.norm(flat) - C[:, t].std() / np.sqrt(9))
confirm("0 at every vertex", [transport.one_hot_logit_gradient(vertex, C, t) for vertex in np.eye(9)])
unequal = [[0, 0, 0], [0.2, 0, 0], [1.2, 0, 0]]
confirm("no target, others +-.25", transport.one_hot_logit_gradient([0, 0.5, 0.5], unequal, 0) - [0, -0.25, 0.25])
confirm("on paper", transport.one_hot_logit_gradient(worked.P, worked.COST, 0) - [-0.13, -0.018, 0.148])

# %%
p = softmax(z)
for b in (0.0, 0.5, transport.emo(p, E, t)):
    estimates = (C[:, t] - b)[:, None] * (np.eye(9) - p)  # row i: the estimate when answer i was drawn
    noise = np.sqrt(p @ ((estimates - gradient) ** 2).sum(axis=1))
    confirm(f"REINFORCE, baseline {b:.3f}: unbiased, standard deviation {noise:.3f}", p @ estimates - gradient)
print(f"length of the gradient itself: {np.linalg.norm(gradient):.3f}")
rows("D1")

# %% [markdown]
# ## D5 The version that normalises twice
#
# "Average the embeddings, then take the cosine" sounds like A9. It is not:
#
# $$1-\cos(m_p,e_t)=1-\frac{\langle m_p,\hat e_t\rangle}{\lvert m_p\rvert}\ \ne\ 1-\langle m_p,\hat e_t\rangle\quad\text{in general}. \tag{D5}$$
#
# *The idea: [lesson 06](06_emo_as_a_loss.ipynb).* *Proof.* By D3, $\lvert m_p\rvert\le1$ with equality only if all of $p$'s mass points one way. So
# the two agree exactly if all mass points one way or if $\langle m_p,\hat e_t\rangle=0$ (with $m_p\ne0$; the wrong version is undefined at
# $m_p=0$). Otherwise they differ. ∎
#
# The difference is not cosmetic. The right version is linear in $p$, an expected cost; the wrong one is not. And it can be *0 while every token
# drawn is wrong*: put half of $p$ on a token at $+45°$ from the target and half on one at $-45°$. Then $m_p$ points exactly at the target, and the
# wrong loss is 0; the right one is $1-\cos45°$. What the division throws away is the spread of D3. *On paper:* $1-0.74/\sqrt{0.692}\approx 0.11$
# instead of $0.26$.


# %%
def normalised_twice(p, embedding, target):
    m = transport.mean_direction(p, embedding)
    return 1 - m @ costs.unit_rows(embedding)[target] / np.linalg.norm(m)


cross = np.array([[1.0, 0], [1, 1], [1, -1]])
tries = {"worked example": (worked.P, worked.EMBEDDING), "+45 and -45 degrees": (np.array([0, 0.5, 0.5]), cross)}
for name, (p, embedding) in tries.items():
    print(f"{name:20} EMO {transport.emo(p, embedding, 0):.4f}, wrong version {abs(normalised_twice(p, embedding, 0)):.4f}")
rows("D5")

# %% [markdown]
# ## D7 The published objective shows cross-entropy
#
# Write $\mathrm{CE}=-\log p_t$, $L$ for A9, and $\mathrm{sg}(x)$ for *stop-gradient*: the value of $x$, which differentiation takes for a constant.
# The published objective is, for one token, in its two modes
#
# $$M_1=\tfrac12\Big(\mathrm{CE}+\mathrm{sg}\Big(\frac{\mathrm{CE}}v\Big)\,v\Big),\qquad
# M_2=\mathrm{sg}\Big(\frac v{\mathrm{CE}}\Big)\,\mathrm{CE}+v,\qquad v=L\ \text{ or }\ v=L+\mathrm{sg}(p_t).$$
#
# *The idea: [lesson 06](06_emo_as_a_loss.ipynb).* *If $v>0$ and $\mathrm{CE}>0$, then, with $\nabla$ by the logits,*
#
# $$M_1=\mathrm{CE},\quad M_2=2v\quad\text{in value};\qquad
# \nabla M_1=\tfrac12\Big(\nabla\mathrm{CE}+\frac{\mathrm{CE}}v\nabla L\Big),\quad
# \nabla M_2=\frac v{\mathrm{CE}}\nabla\mathrm{CE}+\nabla L. \tag{D7}$$
#
# *Proof.* In value $\mathrm{sg}$ does nothing: $\frac12(\mathrm{CE}+\frac{\mathrm{CE}}vv)=\mathrm{CE}$ and $\frac
# v{\mathrm{CE}}\mathrm{CE}+v=2v$. For the derivative the ratios are constants, and so is $\mathrm{sg}(p_t)$ within $v$: $\nabla v=\nabla L$. ∎
#
# **Readings.** The curve of mode 1 *is* cross-entropy's curve at the same weights, whatever becomes of $L$; a lower one means a lower CE, nothing
# more. Clipped, with $\min(\mathrm{CE}/v,k)$ for the ratio, its value is $\frac12(\mathrm{CE}+kv)<\mathrm{CE}$ wherever the clip acts. With $v=L$
# and D1, the pull on the target's logit is $\frac12\big((1-p_t)+p_t\mathrm{CE}\big)$ in mode 1: the cost has dropped out. For a batch all of this
# holds token by token.
#
# *Trap.* Without $\mathrm{sg}$ mode 1 *is* CE, gradient and all. And the ratio needs care: $\mathrm{CE}/L$ tends to a finite number as $p_t\to1$
# (to one over the mean cost of the wrong mass, since $\mathrm{CE}\approx1-p_t$ and $L=(1-p_t)\cdot$ that mean), but both are rounding noise if
# computed by subtraction. *On paper:* $\log2/0.26\approx2.67$, and $\nabla M_1=\frac12\big((-0.5,0.3,0.2)+2.67\,(-0.13,-0.018,0.148)\big)\approx
# (-0.42,0.13,0.30)$.

# %%
E, t = rng.normal(size=(6, 3)), 1
column, z = costs.cosine(E)[:, t], rng.normal(size=6)


def parts(z, detach=False):
    p = softmax(z)
    ce, emo, one_hot = -np.log(p[t]), p @ column, np.eye(6)[t]
    return ce, emo + detach * p[t], p - one_hot, p * (column - emo)  # CE, v and the two gradients


for detach in (False, True):
    ce, v, of_ce, of_emo = parts(z, detach)
    shown = f"L + p_t in the place of L: {detach}"
    confirm(f"values CE and 2v; {shown}", [0.5 * (ce + ce / v * v) - ce, v / ce * ce + v - 2 * v])
    held = lambda x, w=ce / v: 0.5 * (parts(x)[0] + w * parts(x)[1])  # the ratio held constant, and L's own slope
    confirm("gradient of mode 1, ratio held", slope(held, z) - 0.5 * (of_ce + ce / v * of_emo), 1e-8)
ce, v, of_ce, of_emo = parts(z)
pull = 0.5 * (1 - np.exp(-ce) + np.exp(-ce) * ce)
confirm("pull on the target: no cost in it", 0.5 * (of_ce + ce / v * of_emo)[t] + pull)
rows("D7")

# %% [markdown]
# ## D11 The published update has no objective
#
# An optimiser does not see values, it follows updates. Whether the updates of D7 are the gradient of *any* loss, perhaps an unknown one, can be
# decided.
#
# **What "no objective" means.** A field $u:\mathbb R^n\to\mathbb R^n$ with continuous derivatives is a gradient, $u=\nabla\Phi$ for some $\Phi$,
# exactly if its Jacobian is symmetric everywhere: $\partial u_j/\partial z_k=\partial u_k/\partial z_j$.
#
# *Proof.* If $u=\nabla\Phi$, both sides are second derivatives of $\Phi$, whose order does not matter when they are continuous. Conversely let the
# Jacobian be symmetric, and put $\Phi(z)=\int_0^1z\cdot u(sz)\,ds$, the work along the straight way from 0, which lies in $\mathbb R^n$ for every
# $z$ (that the space of logits has no holes is used here). Differentiate under the integral, then use the symmetry:
#
# $$\frac{\partial\Phi}{\partial z_k}=\int_0^1\Big(u_k(sz)+\sum_jz_j\,s\,\frac{\partial u_j}{\partial z_k}(sz)\Big)ds
# =\int_0^1\Big(u_k(sz)+s\sum_jz_j\frac{\partial u_k}{\partial z_j}(sz)\Big)ds=\int_0^1\frac d{ds}\big(s\,u_k(sz)\big)ds=u_k(z).\ ∎$$
#
# So one point with an asymmetric Jacobian rules an objective out, on any open set around it.
#
# *The idea: [lesson 06](06_emo_as_a_loss.ipynb).* *Let $u=\nabla M_1$ for one label $t$, with $v=L$. For $j,k\ne t$*
#
# $$A_{jk}:=\frac{\partial u_j}{\partial z_k}-\frac{\partial u_k}{\partial z_j}=\frac{p_jp_k\,(c_{jt}-c_{kt})}{2L}. \tag{D11}$$
#
# *With $v=L+\mathrm{sg}(p_t)$ the right side is multiplied by $\frac Lv\big(1+\frac{\mathrm{CE}}vp_t\big)$; for mode 2 it is
# $-p_jp_k(c_{jt}-c_{kt})/\mathrm{CE}$, with either $v$. So, where $L>0$, the updates for one label have an objective exactly if all wrong tokens cost
# the same.*
#
# *Proof.* Write $X_{jk}(f,g)=\partial_kf\,\partial_jg-\partial_jf\,\partial_kg$ for functions $f,g$ of $z$, with $\partial_k=\partial/\partial
# z_k$. It is linear in the gradient of each, changes its sign when they are swapped, and $X(f,f)=0$. A field $w\nabla g$ has the asymmetry
# $X(w,g)$, since the second derivatives of $g$ cancel. As true functions of $z$, let $v=L+\theta p_t$ ($\theta$ is 0 or 1) and $w=\mathrm{CE}/v$.
# From $\nabla p_t=-p_t\nabla\mathrm{CE}$ we get
#
# $$\nabla w=\frac1v\big(\nabla\mathrm{CE}-w\nabla v\big)=\frac1v\big((1+\theta wp_t)\nabla\mathrm{CE}-w\nabla L\big),
# \qquad 2A=X(w,L)=\frac{1+\theta wp_t}v\,X(\mathrm{CE},L).$$
#
# In mode 2, $w'=v/\mathrm{CE}$ has $\nabla w'=\frac1{\mathrm{CE}}(\nabla v-w'\nabla\mathrm{CE})$, which is $\frac1{\mathrm{CE}}\nabla L$ plus a
# multiple of $\nabla\mathrm{CE}$; so $A=X(w',\mathrm{CE})=-\frac1{\mathrm{CE}}X(\mathrm{CE},L)$. It remains to put in $\partial_j\mathrm{CE}=p_j$
# and $\partial_jL=p_j(c_{jt}-L)$ for $j\ne t$: $X_{jk}(\mathrm{CE},L)=p_kp_j(c_{jt}-L)-p_jp_k(c_{kt}-L)=p_jp_k(c_{jt}-c_{kt})$.
#
# *Exactly if.* If two wrong tokens differ in cost, this is not 0. If all cost $\kappa$, then $L=\kappa(1-p_t)$: $v$ and all weights are functions of
# $p_t$ alone, and $\nabla L$, $\nabla\mathrm{CE}$ are multiples of $\nabla p_t$. So $u=h(p_t)\nabla p_t=\nabla H(p_t)$ with $H'=h$. ∎
#
# **Averaged over labels** the asymmetries add up with weights $\tau_t$. Nothing makes them cancel, and on the worked example they do not, as the cell
# below shows at the point of rest. Where the mean update is 0, training stands still; whether it comes to stand there is decided by the eigenvalues
# of $J$: descent follows $\dot z=-u$, so it is drawn to the point if all have positive real parts (but for the one 0 that belongs to adding a
# constant to all logits).
#
# *Readings.* No potential means: the work $\oint u\cdot dz$ around a closed way need not be 0. Such an update is nobody's steepest descent, no curve
# need fall on the way, and "its minimum" says nothing; where it leads is the rest point, and that has to be computed.
#
# *Trap.* With the ratio clipped and the clip acting, the
# weight is a constant, and there is an objective, $\frac12(\mathrm{CE}+kL)$. The asymmetry lives where the ratio moves.

# %%
def asymmetry(u, z):
    slopes = slope(u, z)  # [k, j] is du_j / dz_k
    return slopes.T - slopes


wrong = np.ix_(*[[j for j in range(6) if j != t]] * 2)  # the pairs j, k of wrong tokens
p, (ce, emo, *_) = softmax(z), parts(z)
apart = np.outer(p, p) * np.subtract.outer(column, column)
for detach in (False, True):
    v = parts(z, detach)[1]
    factor = emo / v * (1 + detach * ce / v * p[t])
    one = lambda x, d=detach: 0.5 * (parts(x)[2] + parts(x, d)[0] / parts(x, d)[1] * parts(x)[3])
    two = lambda x, d=detach: parts(x, d)[1] / parts(x, d)[0] * parts(x)[2] + parts(x)[3]
    confirm(f"asymmetry of mode 1, detached {detach}", (asymmetry(one, z) - factor * apart / (2 * emo))[wrong], 1e-8)
    confirm(f"asymmetry of mode 2, detached {detach}", (asymmetry(two, z) + apart / ce)[wrong], 1e-8)

# %%
TAU = np.array([0.5, 0.3, 0.2])


def mean_update(z, mode, detach=False):
    p, total = softmax(z), np.zeros(3)
    for t, share in enumerate(TAU):
        ce, emo = -np.log(p[t]), p @ worked.COST[:, t]
        of_ce, of_emo, v = p - np.eye(3)[t], p * (worked.COST[:, t] - emo), emo + detach * p[t]
        total += share * (0.5 * (of_ce + ce / v * of_emo) if mode == 1 else v / ce * of_ce + of_emo)
    return total


for mode, detach in ((1, False), (1, True), (2, False)):
    u, z = (lambda z, m=mode, d=detach: mean_update(z, m, d)), np.zeros(3)
    for _ in range(2000):
        z = z - 3 * u(z)
    confirm(f"mode {mode}, detached {detach}: rests at {softmax(z).round(3)}", u(z))
    J = slope(u, z).T
    print(f"   asymmetry {np.abs(J - J.T).max():.5f}, eigenvalues {np.sort(np.linalg.eigvals(J).real)[1:].round(4)}")

# %% [markdown]
# And the work around a closed way of logits, against the same for CE $+\,L$, which has an objective:

# %%
angle = np.linspace(0, 2 * np.pi, 400, endpoint=False)
way = np.log(TAU) + np.outer(np.cos(angle), [1, -1, 0]) + np.outer(np.sin(angle), [0, 1, -1])
tangent = np.outer(-np.sin(angle), [1, -1, 0]) + np.outer(np.cos(angle), [0, 1, -1])
g = worked.COST @ TAU
fields = {"CE + L": lambda z: softmax(z) - TAU + softmax(z) * (g - softmax(z) @ g)}
fields |= {f"mode {mode}": lambda z, mode=mode: mean_update(z, mode) for mode in (1, 2)}
for name, u in fields.items():
    work = np.mean([u(z) @ step for z, step in zip(way, tangent, strict=True)]) * 2 * np.pi
    print(f"{name:7} work around {work.round(10) + 0.0:.6f}")
rows("D11")

# %% [markdown]
# ## D9 Debiasing makes it proper
#
# Take from the one-hot loss half of what $p$'s own spread costs, and write
#
# $$L_t(p)=\sum_ip_ic_{it}-\tfrac12p^\top Cp,\qquad S(p,\tau)=p^\top C\tau-\tfrac12p^\top Cp-\tfrac12\tau^\top C\tau . \tag{D9}$$
#
# *The idea: [lesson 06](06_emo_as_a_loss.ipynb).* Let $C$ be symmetric. Then
#
# 1. $S(p,\tau)=-\frac12(p-\tau)^\top C(p-\tau)$, and the mean of $L_t$ over labels drawn from $\tau$ is $S(p,\tau)+\frac12\tau^\top C\tau$;
# 2. $L_t$ is proper exactly if $C$ is conditionally negative definite ($x^\top Cx\le0$ whenever $\sum_ix_i=0$), and strictly proper exactly if,
#    moreover, $x^\top Cx=0$ only for $x=0$;
# 3. for the cosine cost $S(p,\tau)=\frac12\lvert m_p-m_\tau\rvert^2$ and $L_t(p)=\frac12\lvert m_p-\hat e_t\rvert^2$, so $L_t$ is proper, and
#    strictly so exactly if the unit vectors $\hat e_i$ are *affinely independent*; this needs $V\le d+1$.
#
# *Proof.* (1) Multiply out, using $p^\top C\tau=\tau^\top Cp$. The mean of $\sum_ip_ic_{it}$ is $p^\top C\tau$ (A6), and $\frac12p^\top Cp$ does
# not depend on $t$.
#
# (2) By (1), at $p=\tau$ the mean loss is $\frac12\tau^\top C\tau$, and at any $p$ it exceeds that by $S(p,\tau)=-\frac12x^\top Cx$ with
# $x=p-\tau$. So proper means $x^\top Cx\le0$ for all differences $x$ of distributions, and strictly proper means $<0$ for all such $x\ne0$. These
# differences are, up to a positive factor, *all* vectors with sum 0: with $\tau$ uniform and small $\varepsilon$, $\tau+\varepsilon x$ is a
# distribution.
#
# (3) By A8, $x^\top Cx=-\lvert\sum_ix_i\hat e_i\rvert^2$ for sums 0: the first formula, and proper. For one-hot $\tau$ it reads
# $S(p,\delta_t)=\frac12\lvert m_p-\hat e_t\rvert^2$, and $S(p,\delta_t)=L_t(p)$ since $c_{tt}=0$. Strictly proper now means: $\sum_ix_i=0$ and
# $\sum_ix_i\hat e_i=0$ only for $x=0$, which is the definition of affine independence. It says that the $V$ vectors $(1,\hat e_i)$ of $d+1$ entries
# are linearly independent, so $V\le d+1$. ∎
#
# **Readings.** $\lvert m_p-m_\tau\rvert^2$ is the squared *maximum mean discrepancy* for the kernel $\langle\hat e_i,\hat e_j\rangle$. $2S$ is the
# *energy distance* with the cost in the place of the distance, and $L_t$ the matching *energy score*: the mean cost from a draw to the label minus
# half the mean cost between two draws. $S$ is also the left end of the sandwich D3. With the **0/1 cost**, $C=\mathbf 1\mathbf 1^\top-I$, so $x^\top
# Cx=-\lvert x\rvert^2$ and $L_t(p)=\frac12\lvert p-\delta_t\rvert^2$, half the *Brier score*, strictly proper for every $V$. EMO is to $L_t$ what
# $1-p_t$ is to half of Brier's score.
#
# *Traps.* With a real vocabulary $V$ is far above $d+1$: then $L_t$ pins down only $m_p$, which every $p$ without zeros shares with infinitely many
# others. It can make up for EMO's bias, not replace cross-entropy. And debiasing is no cure for every cost: if $C$ is not conditionally negative
# definite, $S$ is negative somewhere. *On paper:* $0.26-0.154=0.106=\frac12(0.26^2+0.38^2)$.

# %%
E, t = rng.normal(size=(7, 3)), 2
C, (p, tau) = costs.cosine(E), rng.dirichlet(np.ones(7), 2)
m, one_hot = transport.mean_direction([p, tau], E), np.eye(7)[t]
confirm("cosine: half the squared distance of the means", transport.debiased(p, tau, C) - 0.5 * ((m[0] - m[1]) ** 2).sum())
confirm("one-hot: half |m_p - e_t|^2", p @ C[:, t] - 0.5 * p @ C @ p - 0.5 * ((m[0] - costs.unit_rows(E)[t]) ** 2).sum())
confirm("0/1: half the Brier score", transport.debiased(p, one_hot, costs.zero_one(7)) - 0.5 * ((p - one_hot) ** 2).sum())
confirm("on paper: .106", transport.debiased(worked.P, np.eye(3)[0], worked.COST) - 0.106)
twisted = np.array([[0, 0, 0], [0, 0, 1.0], [0, 1.0, 0]])  # symmetric, but free to and from the first token
print("a cost that is not conditionally negative definite: S =", transport.debiased([1, 0, 0], [0, 0.5, 0.5], twisted))

# %%
E = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [-1, -1, -1], [1, 1, 0]])
for V in (4, 5):
    tau, lifted = np.full(V, 1 / V), np.column_stack([np.ones(V), costs.unit_rows(E[:V])])
    x = np.linalg.svd(lifted.T)[2][-1]  # the direction that the vectors (1, e_i) see least
    score = transport.debiased(tau + 0.1 * (x - x.mean()), tau, costs.cosine(E[:V]))
    print(f"V = {V}, d = 3: rank {np.linalg.matrix_rank(lifted)}, score of a p that is not tau: {abs(score):.6f}")
rows("D9")

# %% [markdown]
# With $V=d+1$ the other $p$ is found out; with one token more it scores 0 like the truth.
#
# ## D12 Entropic transport
#
# Let a plan also pay for straying from the product $p\tau^\top$: for $\varepsilon>0$
#
# $$\mathrm{OT}_\varepsilon(p,\tau)=\min_{\gamma\in\Pi}\ \sum_{ij}\gamma_{ij}c_{ij}+\varepsilon\,\mathrm{KL}(\gamma\Vert p\tau^\top). \tag{D12}$$
#
# *The idea: [lesson 05](05_cosine_cost.ipynb).* Write $\omega$ for the largest minus the smallest cost among pairs with $p_i\tau_j>0$. Then
#
# $$\max\Big(\mathrm{EMD},\ p^\top C\tau-\frac{\omega^2}{8\varepsilon}\Big)\ \le\ \mathrm{OT}_\varepsilon
# \ \le\ \min\Big(p^\top C\tau,\ \mathrm{EMD}+\varepsilon\min\big(H(p),H(\tau)\big)\Big).$$
#
# *So $\mathrm{OT}_\varepsilon\to\mathrm{EMD}$ as $\varepsilon\to0$ and $\mathrm{OT}_\varepsilon\to p^\top C\tau$, the product bound A6, as
# $\varepsilon\to\infty$.*
#
# *Proof.* *Upper bounds* come from trying a plan. The product plan pays $p^\top C\tau$ and no KL. A best plan $\gamma$ of A4 pays EMD plus
# $\varepsilon\,\mathrm{KL}(\gamma\Vert p\tau^\top)$. As $\gamma_{ij}\le\tau_j$,
#
# $$\mathrm{KL}(\gamma\Vert p\tau^\top)=\sum_{ij}\gamma_{ij}\log\frac{\gamma_{ij}}{p_i\tau_j}\le\sum_{ij}\gamma_{ij}\log\frac1{p_i}=H(p);$$
#
# in the same way it is at most $H(\tau)$. *Lower bound by EMD:* KL is never negative (Gibbs, A3).
#
# *Lower bound by the product.* Let $R=p\tau^\top$, $Z=\sum_{ij}R_{ij}e^{-c_{ij}/\varepsilon}$, and let $Q_{ij}=R_{ij}e^{-c_{ij}/\varepsilon}/Z$, a
# distribution. For every plan $\sum\gamma_{ij}c_{ij}+\varepsilon\,\mathrm{KL}(\gamma\Vert R)=\varepsilon\,\mathrm{KL}(\gamma\Vert
# Q)-\varepsilon\log Z\ge-\varepsilon\log Z$: put in $\log Q_{ij}=\log R_{ij}-c_{ij}/\varepsilon-\log Z$, and use Gibbs. It remains to bound $Z$
# from above.
#
# *Hoeffding's lemma:* if a random $X$ with finitely many values lies in an interval of length $\omega$, then $\psi(s)=\log\mathbb E\,e^{sX}\le
# s\,\mathbb E X+\frac18s^2\omega^2$. Indeed $\psi(0)=0$ and $\psi'(0)=\mathbb EX$. Differentiating twice, $\psi''(s)$ is the variance of $X$ under
# the distribution with weights in proportion to $e^{sX}$; in an interval of length $\omega$ no variance exceeds $\frac14\omega^2$ (shown in D1).
# Taylor's formula with remainder, $\psi(s)=s\psi'(0)+\frac12s^2\psi''(s')$ for some $s'$ between 0 and $s$, gives the claim. With $X=c_{ij}$ under
# $R$ and $s=-1/\varepsilon$: $-\varepsilon\log Z\ge p^\top C\tau-\omega^2/(8\varepsilon)$. ∎

# %%
p, tau, C = *rng.dirichlet(np.ones(5), 2), costs.cosine(rng.normal(size=(5, 3)))
exact, product, entropies = transport.emd(p, tau, C).value, transport.product_bound(p, tau, C), divergences.entropy([p, tau])
for epsilon in (0.05, 0.2, 1, 5, 100):
    value, _ = transport.entropic(p, tau, C, epsilon)
    low = max(exact, product - (C.max() - C.min()) ** 2 / (8 * epsilon))
    high = min(product, exact + epsilon * entropies.min())
    confirm(f"epsilon {epsilon:6}: {low:.4f} <= {value:.4f} <= {high:.4f}", max(low - value, value - high, 0), 1e-9)

# %% [markdown]
# **What the best plan looks like.** There is exactly one, and $\gamma_{ij}=p_i\tau_j\,e^{(u_i+v_j-c_{ij})/\varepsilon}$ for some $u,v$.
#
# *Proof.* It exists by compactness, as in A4: $x\log x$ is continuous, at 0 too. It is unique, since $x\log x$ is strictly convex: the midpoint of
# two best plans would be better. It is positive wherever $p_i\tau_j>0$: if an entry were 0 there, move from $\gamma$ towards the product,
# $\gamma+s(p\tau^\top-\gamma)$. The derivative of $x\log x$ at 0 is $-\infty$, all else changes at a finite rate, so small steps would improve. Being
# positive, it can be varied both ways in every direction that keeps the sums. So there the derivative of the objective,
# $c_{ij}+\varepsilon\log\frac{\gamma_{ij}}{p_i\tau_j}+\varepsilon$, must be orthogonal to every matrix with row and column sums 0. The matrices
# orthogonal to all those are the combinations of the constraints' own matrices, that is those of the form $a_i+b_j$ (A4). Solve for $\gamma$. ∎
#
# Sinkhorn's iteration finds $u,v$ by correcting rows and columns in turn. As $\varepsilon$ grows the plan itself tends to the product:
# $\mathrm{OT}_\varepsilon\le p^\top C\tau$ says $\varepsilon\,\mathrm{KL}(\gamma\Vert p\tau^\top)\le p^\top C\tau-\mathrm{EMD}$, so the KL tends to
# 0; and as it is continuous in the plan, and 0 at the product alone (Gibbs, A3), no sequence of best plans can have another limit.
#
# **Sinkhorn divergence.**
# $S_\varepsilon(p,\tau)=\mathrm{OT}_\varepsilon(p,\tau)-\frac12\mathrm{OT}_\varepsilon(p,p)-\frac12\mathrm{OT}_\varepsilon(\tau,\tau)$. For costs
# with $c_{ij}\ge0=c_{ii}$ it tends to $\mathrm{EMD}(p,\tau)$ as $\varepsilon\to0$; for every cost it tends to the debiased score $S(p,\tau)$ of D9
# as $\varepsilon\to\infty$. *Proof.* Take limits term by term. At 0 the last two terms tend to $\mathrm{EMD}(p,p)=0$ (leave everything in place);
# at infinity the three are the three terms of D9. ∎

# %%
value, plan = transport.entropic(p, tau, C, 0.2)
potentials = C + 0.2 * np.log(plan / np.outer(p, tau))  # should be u_i + v_j
centred = potentials - potentials.mean(axis=0) - potentials.mean(axis=1)[:, None] + potentials.mean()
confirm("the plan has the claimed form", centred, 1e-8)
_, late = transport.entropic(p, tau, C, 100)
stray = divergences.kl(late.ravel(), np.outer(p, tau).ravel())
confirm("epsilon 100: KL to the product is below gap / epsilon", max(stray - (product - exact) / 100, 0))
for epsilon in (0.01, 0.1, 1, 10, 1000):
    print(f"epsilon {epsilon:7}: S = {transport.sinkhorn_divergence(p, tau, C, epsilon):.4f}")
print(f"EMD {exact:.4f}, debiased score {transport.debiased(p, tau, C):.4f}")

# %% [markdown]
# **In between it is never negative:** $S_\varepsilon(p,\tau)\ge0$ if $C$ is symmetric and the matrix $K=(e^{-c_{ij}/\varepsilon})$ is *positive
# semidefinite*, $x^\top Kx\ge0$ for all $x$ (Feydy et al.). The cosine cost is of this kind.
#
# *Proof.* *(1) A lower bound.* For all $u,v$, with $r_{ij}=p_i\tau_je^{(u_i+v_j-c_{ij})/\varepsilon}$,
#
# $$\mathrm{OT}_\varepsilon(p,\tau)\ge p\cdot u+\tau\cdot v+\varepsilon\Big(1-\sum_{ij}r_{ij}\Big).$$
#
# Indeed $\gamma_{ij}\log(\gamma_{ij}/r_{ij})\ge\gamma_{ij}-r_{ij}$, by $\log y\le y-1$ with $y=r_{ij}/\gamma_{ij}$ (and where $\gamma_{ij}=0$, since
# $r_{ij}\ge0$). So for every plan $\sum\gamma_{ij}\log(\gamma_{ij}/r_{ij})\ge1-\sum r_{ij}$, and $\varepsilon$ times the left side is
# $\sum\gamma_{ij}c_{ij}+\varepsilon\,\mathrm{KL}(\gamma\Vert p\tau^\top)-p\cdot u-\tau\cdot v$.
#
# *(2) The self terms.* The best plan from $p$ to $p$ is symmetric, being unique. So $u_i+v_j=u_j+v_i$ on the support, $u-v$ is constant, and
# $f=\frac12(u+v)$ can stand for both: the plan's entries are $a_iK_{ij}a_j$ with $a_i=p_ie^{f_i/\varepsilon}$. They sum to 1, that is $a^\top Ka=1$;
# and with this plan D12 reads $\mathrm{OT}_\varepsilon(p,p)=\sum_{ij}\gamma_{ij}(f_i+f_j)=2\,p\cdot f$. In the same way there is a $g$ for $\tau$,
# and $b_j=\tau_je^{g_j/\varepsilon}$.
#
# *(3) Together.* Put $u=f$, $v=g$ into (1), where $\sum r_{ij}$ becomes $a^\top Kb$. So $S_\varepsilon\ge\varepsilon(1-a^\top Kb)$, and
# $0\le(a-b)^\top K(a-b)=2-2\,a^\top Kb$.
#
# *(4) The cosine cost.* $K_{ij}=e^{-1/\varepsilon}e^{\langle\hat e_i,\hat e_j\rangle/\varepsilon}$ is a sum of multiples, none negative, of the
# matrices $\langle\hat e_i,\hat e_j\rangle^k$, $k=0,1,2,\dots$ Multiplied out, $\langle\hat e_i,\hat e_j\rangle^k$ is the inner product of two long
# vectors $E_i,E_j$, which hold all products of $k$ entries of $\hat e_i$, of $\hat e_j$. And $\sum_{ij}x_ix_j\langle
# E_i,E_j\rangle=\lvert\sum_ix_iE_i\rvert^2\ge0$. ∎
#
# *Trap.* On the self terms Sinkhorn's alternation can crawl when $\varepsilon$ is small. There `transport.entropic` averages the old and the new $f$
# in each step, which is far quicker in practice (Feydy et al.).

# %%
own, own_plan = transport.entropic(p, p, C, 0.2)
f, K = 0.1 * np.log(own_plan.diagonal() / p**2), np.exp(-C / 0.2)  # read off the diagonal, where the cost is 0
confirm("one potential gives the self plan", own_plan - np.outer(p, p) * np.exp((f[:, None] + f - C) / 0.2), 1e-9)
confirm("its value is 2 p.f", own - 2 * p @ f, 1e-9)
confirm("K is positive semidefinite", np.minimum(np.linalg.eigvalsh(K), 0))
scores = [transport.sinkhorn_divergence(a, b, C, 0.2) for a, b in rng.dirichlet(np.ones(5), (50, 2))]
confirm("S is never negative", np.minimum(scores, 0), 1e-9)
rows("D12")

# %% [markdown]
# ## D13 How long a wrong answer lasts
#
# Two tokens, the target $t$ and a wrong one $w$ at cost $c>0$. Let the logits follow the *gradient flow* $\dot z=-\nabla L$ (the dot is the
# derivative by time): gradient descent with small steps, where $k$ steps at rate $\eta$ take the time $k\eta$. Start at $p_t\le\frac12$, and let
# $o=p_t/(1-p_t)$ be the odds there. The time until $p_t=\frac12$ is
#
# $$T_{\mathrm{CE}}=\tfrac12\,(1-o-\log o),\qquad T_{\mathrm{EMO}}=\frac1{2c}\Big(\frac1o-o-2\log o\Big). \tag{D13}$$
#
# *The idea: [lesson 08](08_training_from_scratch.ipynb).* *Proof.* Let $s=z_t-z_w$, so that $e^s$ are the odds. The gradient of CE is $p-\delta_t$
# (A2): $\dot z_t=1-p_t$ and $\dot z_w=-(1-p_t)$. For EMO, $L=c\,(1-p_t)$, and D1 gives $\dot z_t=p_tL$ and $\dot z_w=(1-p_t)(L-c)=-p_tL$. So
#
# $$\dot s=2\,(1-p_t)\ \text{ for CE},\qquad\dot s=2c\,p_t(1-p_t)\ \text{ for EMO}.$$
#
# Follow the odds $y=e^s$. They change at the rate $\dot y=y\,\dot s$, and $p_t=y/(1+y)$:
#
# $$\dot y=\frac{2y}{1+y}\ \text{ for CE},\qquad\dot y=\frac{2c\,y^2}{(1+y)^2}\ \text{ for EMO}.$$
#
# Both rates are positive, so $y$ rises, and a step $dy$ takes the time $dy/\dot y$. Add up from $y=o$ to $y=1$, which is $p_t=\frac12$:
#
# $$T_{\mathrm{CE}}=\int_o^1\frac12\Big(\frac1y+1\Big)dy,\qquad T_{\mathrm{EMO}}=\frac1{2c}\int_o^1\Big(\frac1{y^2}+\frac2y+1\Big)dy .$$
#
# The antiderivatives $\log y+y$ and $-\frac1y+2\log y+y$ give D13. ∎
#
# **Logarithmic against $1/p_t$.** As $p_t\to0$, $T_{\mathrm{CE}}-\frac12\log\frac1{p_t}\to\frac12$ and $2c\,p_t\,T_{\mathrm{EMO}}\to1$. (Put in
# $o=p_t/(1-p_t)$; $o\to0$ and $p_t\log o\to0$.) Once $p_t$ is small, a start ten times as hopeless takes cross-entropy about
# $\frac12\log10\approx1.15$ longer, and EMO about ten times as long.

# %%
def flow(gradient, z, time):
    return softmax(solve_ivp(lambda _, z: -gradient(z), (0, time), z, rtol=1e-10, atol=1e-12).y[:, -1])


for p_t, c in ((0.1, 1.0), (0.02, 1.0), (0.02, 0.4)):
    of_ce, of_emo = transport.escape_times(p_t, c)
    print(f"p_t = {p_t}, c = {c}: CE takes {of_ce:.4f}, EMO {of_emo:.4f}")
    z, two = np.log([p_t, 1 - p_t]), c * costs.zero_one(2)
    emo = lambda z, two=two: transport.one_hot_logit_gradient(softmax(z), two, 0)
    confirm("CE is then at 1/2", flow(lambda z: softmax(z) - [1, 0], z, of_ce)[0] - 0.5, 1e-8)
    confirm("EMO is then at 1/2", flow(emo, z, of_emo)[0] - 0.5, 1e-8)
tiny = 1e-9
of_ce, of_emo = transport.escape_times(tiny)
confirm("the two limits", [of_ce + 0.5 * np.log(tiny) - 0.5, 2 * tiny * of_emo - 1], 1e-7)  # off by about p_t log(1/p_t)

# %% [markdown]
# **Many tokens.** Now let there be $V$ tokens and $c$ times the 0/1 cost, so that $L=c\,(1-p_t)$ again. Write $r_j=p_j/(1-p_t)$ for the shares of
# the wrong mass, $j\ne t$. Along the flow
#
# $$\frac d{dt}\log\frac{p_t}{1-p_t}=(1-p_t)\Big(1+\sum_{j\ne t}r_j^2\Big)\ \text{ for CE, and }c\,p_t\text{ times that for EMO.}$$
#
# *So two tokens are the fastest case: from the same $p_t$ either loss takes at least its time in D13, and at most twice that.*
#
# *Proof.* $\log\frac{p_t}{1-p_t}=z_t-\log\sum_{j\ne t}e^{z_j}$. The derivative of the last term is $\sum_{j\ne t}r_j\,\dot z_j$: it is log-sum-exp
# of the wrong tokens alone, whose softmax is $r$. For CE $\dot z_t=1-p_t$ and $\dot z_j=-p_j=-(1-p_t)\,r_j$, which gives the first claim. For EMO
# $\nabla L=-c\,\nabla p_t=c\,p_t\nabla\mathrm{CE}$, since $\nabla p_t=-p_t\nabla\mathrm{CE}$: the same direction at $c\,p_t$ times the speed. As
# $0\le r_j\le1$ and $\sum_jr_j=1$, we have $0<\sum_jr_j^2\le\sum_jr_j=1$. So at each $p_t$ the speed is more than half of what it is for two
# tokens, where $r_w=1$, and at most that. The time is the integral of one over the speed, over the log odds. ∎
#
# If the wrong tokens start with equal logits, they are pushed alike and stay equal: $\sum_jr_j^2=1/(V-1)$, the speed is $\frac{V}{2(V-1)}$ times
# that of two tokens, and the times are exactly those of D13 times $2(V-1)/V$.
#
# *Traps.* Here logits move freely. In a network they hang together, and one text may teach what another needs. And the many-token claim is for the
# 0/1 cost: with unequal costs EMO moves mass between *wrong* tokens first, and $p_t$ may even *fall*, as in the last line below, where Tuesday
# gains what banana and Monday lose. *On paper:* a start at $p_t=1/V$ has $o=1/(V-1)$, so $T_{\mathrm{CE}}=\frac12\big(1-\frac1{V-1}+\log(V-1)\big)$
# and $T_{\mathrm{EMO}}=\frac1{2c}\big(V-1-\frac1{V-1}+2\log(V-1)\big)$.

# %%
def log_odds(z):
    return z[0] - logsumexp(z[1:])


z, c = 2 * rng.normal(size=6), 0.7
cost, p, rise = c * costs.zero_one(6), softmax(z), slope(log_odds, z)
speed = (1 - p[0]) * (1 + ((p[1:] / (1 - p[0])) ** 2).sum())
confirm("speed of CE", rise @ (np.eye(6)[0] - p) - speed, 1e-8)
confirm("speed of EMO", -rise @ transport.one_hot_logit_gradient(p, cost, 0) - c * p[0] * speed, 1e-8)
z[0] = logsumexp(z[1:]) + np.log(0.1 / 0.9)  # now p_t = 0.1
gradients = lambda z: softmax(z) - np.eye(6)[0], lambda z: transport.one_hot_logit_gradient(softmax(z), cost, 0)
for name, gradient, time in zip(("CE", "EMO"), gradients, transport.escape_times(0.1, c), strict=True):
    early, late = (flow(gradient, z, span)[0] - 0.5 for span in (time, 2 * time))
    confirm(f"{name}: between once and twice the time of two tokens", [max(early, 0), min(late, 0)], 1e-8)

# %%
V = 50257
times = np.array(transport.escape_times(1 / V))
by_hand = 0.5 * np.array([1 - 1 / (V - 1) + np.log(V - 1), V - 1 - 1 / (V - 1) + 2 * np.log(V - 1)])
confirm("on paper", times / by_hand - 1)
print(f"from p_t = 1/{V} to 1/2, two tokens: CE {times[0]:.2f}, EMO with c = 1 {times[1]:.1f}")
print(f"all {V} tokens, alike at the start: CE {times[0] * 2 * (V - 1) / V:.2f}, EMO {times[1] * 2 * (V - 1) / V:.1f}")
p = np.array([1e-6, 0.9, 0.1 - 1e-6])
change = transport.one_hot_logit_gradient(p, worked.COST, 0)
print(f"EMO, nearly all on Tuesday and banana: d/dt log p(Monday) = {p @ change - change[0]:.4f}")
rows("D13")

# %% [markdown]
# ## D14 Unbounded transforms
#
# EMO is bounded, however wrong the model is. A [rule of Su Jianlin's](https://spaces.ac.cn/archives/9098) for making a loss out of a smoothed
# metric says: let it go to infinity in the wrong direction, and keep it the same to first order in the right one. For EMO that means: with
# $M=\max_ic_{it}>0$, the cost of the farthest tokens, and a rising $\psi$ with $\psi(0)=0$, $\psi'(0)=1$ and $\psi(x)\to\infty$ as $x\to1$, take
#
# $$M\,\psi(L/M),\qquad\nabla\big(M\,\psi(L/M)\big)=\psi'(L/M)\,\nabla L. \tag{D14}$$
#
# *The idea: [lesson 08](08_training_from_scratch.ipynb).* (The gradient is the chain rule, as $M$ does not depend on $p$.) We try $-\log(1-x)$,
# $\operatorname{atanh}x$ and $x/(1-x)$. Let all $c_{it}\ge0=c_{tt}$. The *pull* on the target is minus the derivative by $z_t$, so by D1 it is
# $\psi'(L/M)\,p_tL$. What is it for a model that is sure of a wrong token $w$? Let
#
# $$p=(1-\varepsilon)\,\delta_w+\varepsilon\,q,\qquad q\in\Delta,\ q_w=0,\ q_t>0,\ \varepsilon\to0 .$$
#
# *If $c_{wt}<M$, the pull tends to 0, for every $\psi$ with a continuous $\psi'$. If $c_{wt}=M$, it tends to*
#
# $$\frac{q_tM}{1-q\cdot c/M}\ \text{ for }-\log(1-x),\qquad\text{half of that for }\operatorname{atanh}x,$$
#
# *and grows like $1/\varepsilon$ for $x/(1-x)$* ($q\cdot c$ stands for $\sum_iq_ic_{it}$).
#
# *Proof.* $L=(1-\varepsilon)\,c_{wt}+\varepsilon\,q\cdot c$ and $p_t=\varepsilon q_t$. If $c_{wt}<M$, then $L/M\to c_{wt}/M<1$, where $\psi'$ is
# continuous: it stays bounded, and $\psi'\,p_tL\to0$ with $p_t$. If $c_{wt}=M$, let $a=1-q\cdot c/M$. Then
#
# $$1-\frac LM=\varepsilon\,a,\qquad a\ge q_t>0,\qquad\text{since } q\cdot c\le(1-q_t)\,M .$$
#
# The three derivatives are $\frac1{1-x}$, $\frac1{(1-x)(1+x)}$ and $\frac1{(1-x)^2}$, so the three pulls are $\frac{q_tL}a$,
# $\frac{q_tL}{a(1+L/M)}$ and $\frac{q_tL}{\varepsilon a^2}$. And $L\to M$. ∎
#
# As $q_t\le a\le1$, the limit for the logarithm lies between $q_tM$ and $M$. *On paper:* $M=1$ (banana), $L=0.26$, loss $-\log0.74\approx0.301$. A
# model that is sure of banana, with the rest half on Monday and half on Tuesday: $q\cdot c=0.1$ and the pull is $0.5/0.9\approx0.556$. One that is
# sure of Tuesday: 0.

# %%
PSI = {  # psi and its derivative, of y = 1 - x
    "-log(1-x)": (lambda y: -np.log(y), lambda y: 1 / y),
    "atanh x": (lambda y: 0.5 * np.log((2 - y) / y), lambda y: 1 / (y * (2 - y))),
    "x/(1-x)": (lambda y: (1 - y) / y, lambda y: 1 / y**2),
}


def left(p, c):
    return p @ (c.max() - c) / c.max()  # 1 - L/M as a sum, which keeps its digits where L is near M


def pull(name, p, c):
    return PSI[name][1](left(p, c)) * p[0] * (p @ c)


z, c = rng.normal(size=5), np.append(0, rng.uniform(0.2, 1.4, 4))
for name, (psi, derivative) in PSI.items():
    loss = lambda z, psi=psi: c.max() * psi(left(softmax(z), c))
    p, found = softmax(z), slope(loss, z)
    confirm(f"{name}: gradient psi' times EMO's", found - derivative(left(p, c)) * p * (c - p @ c), 1e-8)
    confirm("pull on the target", found[0] + pull(name, p, c), 1e-8)

# %%
c, q = worked.COST[:, 0], {"banana": np.array([0.5, 0.5, 0]), "Tuesday": np.array([0.5, 0, 0.5])}
limits = {"-log(1-x)": 5 / 9, "atanh x": 5 / 18}
for epsilon in (1e-2, 1e-4, 1e-6):
    for w, wrong in enumerate(("Tuesday", "banana"), start=1):
        p = (1 - epsilon) * np.eye(3)[w] + epsilon * q[wrong]
        found = {name: pull(name, p, c) for name in PSI}
        print(f"all but {epsilon:.0e} on {wrong:7}:", *(f"{name} {x:.2e}," for name, x in found.items()), f"CE {1 - p[0]:.2f}")
    confirm("banana: off the limits by less than epsilon", [found[name] - limit for name, limit in limits.items()], epsilon)
    confirm("x/(1-x): epsilon times the pull", epsilon * found["x/(1-x)"] - 0.5 / 0.9**2, epsilon)
confirm("on paper: the loss", PSI["-log(1-x)"][0](left(worked.P, c)) + np.log(0.74))

# %% [markdown]
# **No transform of $L$ can do better.** Let $F$ be the set of farthest tokens, $c_{it}=M$. As $M-L=\sum_ip_i(M-c_{it})$ has terms at least 0, $L=M$
# exactly where all mass is on $F$. *Let a loss be finite and continuous in $p$ wherever $L<M$* (a continuous function of $L$ on $[0,M)$ is). *Then
# it is bounded near every $p^\circ$ where $L<M$ holds. If, besides, it is continuously differentiable there and $p^\circ_t=0$, its pull on the
# target tends to 0 as $p\to p^\circ$.*
#
# *Proof.* $L$ is continuous, so $L<M$ in a closed neighbourhood of $p^\circ$ in the simplex. That is a compact set, on which the loss, being
# continuous, is bounded, and so are its derivatives $g_i$. By the [chain rule](#Softmax-and-its-derivative) the pull is $p_t\,(\sum_ip_ig_i-g_t)$,
# and $p_t\to0$. ∎
#
# So a transform of EMO can grow without bound only towards models with all mass on *farthest* tokens, often a single token of the whole vocabulary.
# With the 0/1 cost all wrong tokens are farthest, $M=1$ and $-\log(1-L)=-\log p_t$: there the rule makes cross-entropy of smoothed accuracy. With
# graded costs it does not carry over.
#
# **What pulls for every wrong answer** can be finite and smooth nowhere on the face $p_t=0$. Cross-entropy is infinite on all of it, and its pull
# $1-p_t$ tends to 1 there. For $\lambda\ge0$ the pull of $\mathrm{CE}+\lambda L$ is $(1-p_t)+\lambda p_tL\ge1-p_t$ (A2, D1): the cross-entropy term
# keeps its full pull where EMO is silent.

# %%
models = rng.dirichlet(np.ones(5), 1000)
confirm("0/1 cost: -log(1 - L) is CE", [PSI["-log(1-x)"][0](left(p, 1 - np.eye(5)[0])) + np.log(p[0]) for p in models])
z, c = rng.normal(size=5), costs.cosine(rng.normal(size=(5, 3)))
both = slope(lambda z: -np.log(softmax(z)[0]) + 3 * transport.one_hot_emd(softmax(z), c, 0), z)[0]
p = softmax(z)
confirm("pull of CE + 3 L", both + (1 - p[0]) + 3 * p[0] * (p @ c[:, 0]), 1e-8)
rows("D14")

# %% [markdown]
# ## D15 Vectors from counts
#
# The cosine cost needs vectors before there is a model. Count neighbours: $n_{ij}$ is how often word $j$ stands near word $i$, $n_{ij}=n_{ji}$. Let
# $n_i=\sum_jn_{ij}>0$ and $n=\sum_in_i$. The *positive pointwise mutual information* and the vectors made of it are
#
# $$M_{ij}=\max\Big(0,\ \log\frac{n_{ij}\,n}{n_i\,n_j}\Big),\qquad M=USW^\top,\qquad X=U\sqrt S, \tag{D15}$$
#
# where $USW^\top$ is a singular value decomposition: $U,W$ orthogonal, $S$ diagonal, $s_1\ge s_2\ge\dots\ge0$. Row $x_i$ of $X$ is word $i$'s
# vector; one cuts it to its first $m$ entries.
#
# *The idea: [lesson 08](08_training_from_scratch.ipynb).* The quotient is the share of the pair $(i,j)$ among all pairs, $n_{ij}/n$, over what it
# would be by chance, $\frac{n_i}n\cdot\frac{n_j}n$. Its logarithm is positive for words that meet more often than that. Why these numbers?
#
# **Word2Vec factorises the same matrix, shifted** (Levy and Goldberg). Skip-gram with $k$ negative samples looks for vectors $a_i$ and $b_j$ that
# make
#
# $$\sum_{ij}n_{ij}\Big(\log\sigma(a_i\cdot b_j)+k\sum_l\frac{n_l}n\log\sigma(-a_i\cdot b_l)\Big)$$
#
# large, with $\sigma(x)=1/(1+e^{-x})$: say yes to each pair that occurs, and no to $k$ pairs whose second word is drawn by frequency (the second
# sum is the mean over that draw; Word2Vec itself draws in proportion to $n_l^{3/4}$). *If the numbers $x_{ij}=a_i\cdot b_j$ may take all values, as
# with vectors of $V$ entries, it is largest exactly at*
#
# $$x_{ij}=\log\frac{n_{ij}\,n}{n_i\,n_j}-\log k\qquad\text{(for }n_{ij}=0\text{ it only rises towards its bound as }x_{ij}\to-\infty\text{)}.$$
#
# *Proof.* In the second sum $n_{ij}$ occurs with each $l$ alike, and $\sum_jn_{ij}=n_i$. Collecting all terms with the pair $(i,j)$, the objective
# is $\sum_{ij}h_{ij}(x_{ij})$ with
#
# $$h_{ij}(x)=n_{ij}\log\sigma(x)+k\,\frac{n_in_j}n\log\sigma(-x).$$
#
# Each term has a number of its own, so each may be made as large as it can be. Write $\alpha=n_{ij}$ and $\beta=k\,n_in_j/n>0$. From
# $(\log\sigma)'=1-\sigma$ and $\sigma(-x)=1-\sigma(x)$ we get $h'(x)=\alpha\,(1-\sigma(x))-\beta\,\sigma(x)=\alpha-(\alpha+\beta)\,\sigma(x)$,
# which falls strictly. If $\alpha>0$, it is 0 exactly where $\sigma(x)=\frac\alpha{\alpha+\beta}$, that is $e^x=\alpha/\beta$: the one maximum. If
# $\alpha=0$, it is negative everywhere. And every matrix $(x_{ij})$ is of the form $a_i\cdot b_j$ with vectors of $V$ entries: $a_i$ its row $i$,
# $b_j=\delta_j$. ∎
#
# Shorter vectors make a compromise, in which frequent pairs weigh more. D15 does three things differently: it drops the shift (as for $k=1$), it
# puts 0 in the place of $-\infty$ and of everything below 0, and it leaves the compromise to the singular value decomposition, which weighs all
# pairs alike.

# %%
counts, k = rng.integers(1, 20, (6, 6)), 5
counts = counts + counts.T
each, total = counts.sum(axis=1), counts.sum()
chance = np.outer(each, each) / total


def says(x):  # the objective as it is defined: a sum over pairs, each with the mean of its k draws
    yes, no = -np.logaddexp(0, -x), -np.logaddexp(0, x)
    return sum(counts[i, j] * (yes[i, j] + k * sum(each[m] / total * no[i, m] for m in range(6))) for i in range(6) for j in range(6))


def collected(x):
    return -(counts * np.logaddexp(0, -x) + k * chance * np.logaddexp(0, x)).sum()


x = rng.normal(size=(6, 6))
confirm("terms collected by pair", says(x) / collected(x) - 1)
best = np.log(counts / chance) - np.log(k)
confirm("no slope at the shifted matrix", slope(lambda x: collected(x.reshape(6, 6)), best.ravel(), h=1e-4), 1e-6)
around = [collected(best + rng.normal(size=(6, 6)) * size) for size in np.logspace(-3, 1, 200)]
confirm("nothing beats it", np.maximum(np.array(around) - collected(best), 0))

# %% [markdown]
# **What the vectors keep.** *At full width $X^\top X=S$ is diagonal, and*
#
# $$X\operatorname{diag}(X^\top X)\,X^\top=(XX^\top)^2=MM^\top .$$
#
# *So the inner products $x_i\cdot x_j$ are not $M$: $XX^\top$ is the root of $MM^\top$, the symmetric one without negative eigenvalues. If two
# words have the same row in $M$, they have the same vector.*
#
# *Proof.* $X^\top X=\sqrt S\,U^\top U\sqrt S=S$ and $XX^\top=USU^\top$, which is symmetric and has the eigenvalues $s_l\ge0$. Its square is
# $US^2U^\top=USW^\top WSU^\top=MM^\top$. Now let rows $i$ and $j$ of $M$ be equal, and $\Delta=\delta_i-\delta_j$. Then $M^\top\Delta=0$, and
# $0=\Delta^\top MM^\top\Delta=\sum_ls_l\,(x_{il}-x_{jl})^2$ by the formula. So $x_{il}=x_{jl}$ where $s_l>0$; and where $s_l=0$ the whole column of
# $X$ is 0. ∎
#
# So what counts is the *row*: two words with the same neighbours get the same vector, whether or not they ever meet.
#
# **What the cut keeps** (Eckart and Young). *Let $M_m=U_mS_mW_m^\top$ be made of the first $m$ columns and singular values. No matrix of rank at
# most $m$ is nearer to $M$ in the sum of squares: the least possible $\lvert M-B\rvert^2$ is $\sum_{l>m}s_l^2$, and $M_m$ reaches it.*
#
# *Proof.* $M-M_m$ has the singular values $s_{m+1},s_{m+2},\dots$, and the sum of the squares of a matrix's entries, the trace of $MM^\top$, is
# that of its singular values. Now let $B$ have rank at most $m$, and let the columns $q_1,\dots,q_m$ of $Q$ be orthonormal vectors whose span
# contains all columns of $B$. Column by column the point of that span nearest to $M$ is $QQ^\top M$. So
#
# $$\lvert M-B\rvert^2\ge\lvert M-QQ^\top M\rvert^2=\lvert M\rvert^2-\lvert Q^\top M\rvert^2,$$
#
# $$\lvert Q^\top M\rvert^2=\sum_aq_a^\top MM^\top q_a=\sum_ls_l^2\,\omega_l,\qquad\omega_l=\sum_a(q_a\cdot u_l)^2,$$
#
# where $u_l$ is column $l$ of $U$. The $q_a$ are orthonormal, so $\omega_l\le\lvert u_l\rvert^2=1$; the $u_l$ are an orthonormal basis, so
# $\sum_l\omega_l=\sum_a\lvert q_a\rvert^2=m$. With such weights $\sum_ls_l^2\omega_l\le s_1^2+\dots+s_m^2$: at best all weight is on the $m$
# largest. ∎ By the same theorem the cut vectors hold, in $X_mX_m^\top=U_mS_mU_m^\top$, the best approximation of rank $m$ to $XX^\top$.
#
# *Trap.* A symmetric $M$ may have negative eigenvalues; in $XX^\top$ their absolute values stand. *On paper:* the counts $n_{11}=0$,
# $n_{12}=n_{21}=2$ and $n_{22}=4$ have the sum 8 and the row sums 2 and 6, so $M_{12}=\log\frac{2\cdot8}{2\cdot6}=\log\frac43$, and the rest is 0,
# as $\frac{4\cdot8}{6\cdot6}<1$. The eigenvalues are $\pm\log\frac43$, so $XX^\top=\log\frac43\,I$. The two words meet more often than by chance,
# and their vectors are *perpendicular*: the only telling neighbour of each is the other.

# %%
M, X = ppmi(counts), ppmi_vectors(counts, 6)
confirm("X diag(X'X) X' = M M'", X * (X**2).sum(axis=0) @ X.T - M @ M.T)
confirm("X X' is the root of M M'", X @ X.T @ X @ X.T - M @ M.T)
print(f"is X X' = M? largest difference {np.abs(X @ X.T - M).max():.2f}; least eigenvalue of M {np.linalg.eigvalsh(M).min():.2f}")
s = np.linalg.svd(M)[1]
tries = [np.linalg.qr(rng.normal(size=(6, 2)))[0] for _ in range(1000)]
errors = np.array([((M - Q @ Q.T @ M) ** 2).sum() for Q in tries])
confirm("rank 2: nothing is nearer than the cut", np.minimum(errors - (s[2:] ** 2).sum(), 0))
U, _, W = np.linalg.svd(M)
confirm("the cut's error", ((M - U[:, :2] * s[:2] @ W[:2]) ** 2).sum() - (s[2:] ** 2).sum())

# %%
counts[:2, :2] = 0  # two words that never meet, and have the same neighbours
counts[1, 2:] = counts[2:, 1] = counts[0, 2:]
X = ppmi_vectors(counts, 6)
confirm("the same vector", X[0] - X[1], 1e-7)  # where s_l = 0 only up to rounding, sqrt(s_l) is about 1e-8
M, X = ppmi([[0, 2], [2, 4]]), ppmi_vectors([[0, 2], [2, 4]], 2)
confirm("on paper", [M - np.log(4 / 3) * np.array([[0, 1], [1, 0]]), X @ X.T - np.log(4 / 3) * np.eye(2)])
rows("D15")

# %% [markdown]
# ## D16 KL between classes and inside them
#
# Put the tokens into classes, of synonyms say. Let $T_k$ and $P_k$ be the masses of class $k$ under $\tau$ and $p$, and $\tau(i\mid k)=\tau_i/T_k$,
# $p(i\mid k)=p_i/P_k$ the laws inside it. Then
#
# $$\mathrm{KL}(\tau\Vert p)=\mathrm{KL}(T\Vert P)+\sum_{k:\,T_k>0}T_k\,\mathrm{KL}\big(\tau(\cdot\mid k)\,\Vert\,p(\cdot\mid k)\big). \tag{D16}$$
#
# *The idea: [lesson 09](09_open_questions.ipynb).* *Proof.* Suppose some token has $\tau_i>0=p_i$, so that the left side is $+\infty$. Its class
# has $T_k>0$. If $P_k=0$, the first term on the right is $+\infty$ (and the KL inside, which has no meaning then, may be any number from 0 to
# $+\infty$); if $P_k>0$, then $p(i\mid k)=0<\tau(i\mid k)$, and the second is $+\infty$. Otherwise all is finite. For each $i$ with $\tau_i>0$, in
# class $k$ say, also $p_i,T_k,P_k>0$, and
#
# $$\log\frac{\tau_i}{p_i}=\log\frac{T_k}{P_k}+\log\frac{\tau(i\mid k)}{p(i\mid k)} .$$
#
# Multiply by $\tau_i=T_k\,\tau(i\mid k)$ and sum over class after class. In class $k$ the first term gives $T_k\log\frac{T_k}{P_k}$, as
# $\sum_i\tau(i\mid k)=1$, and the second gives $T_k$ times the KL inside. ∎
#
# **Neither part is negative** (Gibbs, A3). The first is 0 exactly for $P=T$. The second is 0 exactly if $p(\cdot\mid k)=\tau(\cdot\mid k)$ in every
# class with $T_k>0$. So a model that is right about classes and wrong about synonyms pays the second part alone; one that splits each class rightly
# pays the first alone. And $\mathrm{KL}(T\Vert P)\le\mathrm{KL}(\tau\Vert p)$: who sees classes only sees no more error than there is.
#
# **Reverse KL** splits in the same way, as the proof holds for any two distributions: $\mathrm{KL}(p\Vert\tau)=\mathrm{KL}(P\Vert
# T)+\sum_kP_k\,\mathrm{KL}\big(p(\cdot\mid k)\Vert\tau(\cdot\mid k)\big)$. Now the *model's* masses are the weights.
#
# **The log loss** does so too: for $\tau=\delta_t$, $t$ in class $k$, it reads $-\log p_t=-\log P_k-\log p(t\mid k)$. First find the class, then
# the word in it; cross-entropy charges for both at the same rate.
#
# *Traps.* The weights are $T_k$, not the same for all classes. And this is a property of the logarithm: total variation does not split. *On paper:*
# with the days as one class and banana as the other, $T=(1,0)$, $P=(0.8,0.2)$, and inside $(0.6,0.4)$ against $(0.625,0.375)$. So
# $\mathrm{KL}=\log\frac1{0.8}+\big(0.6\log\frac{0.6}{0.625}+0.4\log\frac{0.4}{0.375}\big)\approx0.2231+0.0013$. But TV is $0.2$, between the
# classes it is $0.2$, and inside the days $0.025$.

# %%
classes, tau, p = np.array([0, 0, 1, 1, 1, 2]), rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))
for name, first, other in (("forward", tau, p), ("reverse", p, tau)):
    masses = [np.bincount(classes, each) for each in (first, other)]
    inside = [divergences.kl(*(each[classes == k] / each[classes == k].sum() for each in (first, other))) for k in range(3)]
    between = divergences.kl(*masses)
    confirm(f"{name}: the two parts add up", between + masses[0] @ inside - divergences.kl(first, other))
    confirm("so says split_kl", oracle.split_kl(np.log(p), tau, classes, reverse=name == "reverse") - np.array([between, masses[0] @ inside]))
right = p * (np.bincount(classes, tau) / np.bincount(classes, p))[classes]  # the classes of tau, the synonyms of p
print("right about classes: between and inside", np.round(oracle.split_kl(np.log(right), tau, classes), 4) + 0.0)
days = np.array([0, 0, 1])
paper = np.log(1 / 0.8), 0.6 * np.log(0.6 / 0.625) + 0.4 * np.log(0.4 / 0.375)
confirm("on paper", np.array(oracle.split_kl(np.log(worked.P), worked.TAU, days)) - paper)
rows("D16")

# %% [markdown]
# ## D17 The gradient of a distance
#
# Let all $p_i>0$, as softmax has them. *Let $(u,v)$ be optimal potentials (D6) for $p$ and $\tau$. Then $u$ is a subgradient of EMD in $p$, and if
# all optimal pairs have the same $u$, up to a constant, it is the gradient, and through the softmax*
#
# $$\frac\partial{\partial z_j}\mathrm{EMD}(p,\tau)=p_j\,(u_j-p\cdot u). \tag{D17}$$
#
# *The idea: [lesson 09](09_open_questions.ipynb).* A solver returns $u$ with the plan, so nothing has to be differentiated through a solver. The
# same proof serves for entropic transport, D12. It is a case of Danskin's theorem: to differentiate a maximum, differentiate what is maximised, at
# the place of the maximum.
#
# **Two distances as maxima.** Fix $\tau$, and write $h(p)$ for $\mathrm{EMD}(p,\tau)$ or $\mathrm{OT}_\varepsilon(p,\tau)$. In both cases
# $h(p)=\max\Phi_p(u,v)$, where
#
# $$\text{for EMD:}\quad\Phi_p(u,v)=p\cdot u+\tau\cdot v,\quad\text{over all }u,v\text{ with }u_i+v_j\le c_{ij};$$
#
# $$\text{for }\mathrm{OT}_\varepsilon\text{:}\quad\Phi_p(u,v)=p\cdot u+\tau\cdot v-\varepsilon\Big(\sum_{ij}r_{ij}-1\Big),\quad
# r_{ij}=p_i\tau_j\,e^{(u_i+v_j-c_{ij})/\varepsilon},\quad\text{over all }u,v .$$
#
# (For $\mathrm{OT}_\varepsilon$ leave out the $j$ with $\tau_j=0$: no plan uses them.) *Proof.* The first is D6. For the second, D12's lower bound
# (1) says $\Phi_p\le\mathrm{OT}_\varepsilon$. It came from $\gamma_{ij}\log\frac{\gamma_{ij}}{r_{ij}}\ge\gamma_{ij}-r_{ij}$, summed. For the best
# plan $\gamma$, equality means equality in each term, that is $r=\gamma$; and D12 found $u,v$ with $r=\gamma$. ∎ So *a pair is optimal for
# $\mathrm{OT}_\varepsilon$ exactly if $r=\gamma$*.
#
# Four facts about pairs that are optimal at $p$.
#
# 1. *Moves.* If $\sum_ix_i=0$, then $\Phi_{p+x}(u,v)=\Phi_p(u,v)+u\cdot x$. For EMD this is plain. For $\mathrm{OT}_\varepsilon$ the sum over $r$
#    changes by $\sum_ix_i\rho_i$ with $\rho_i=\sum_j\tau_je^{(u_i+v_j-c_{ij})/\varepsilon}$. As $r=\gamma$ has the row sums $p_i$, all $\rho_i=1$:
#    a change of 0.
# 2. *Shifts.* $(u+s\mathbf 1,v-s\mathbf 1)$ is as good; so let $u_1=0$.
# 3. *Bounds.* With $u_1=0$ all $u_i$, and $v_j$ that go with them, stay within bounds that depend on the cost alone. For EMD,
#    $u_i=\min_j(c_{ij}-v_j)$, or it could be raised and the value with it, as $p_i>0$. Two rows of costs differ by at most
#    $a=\max_{ikj}(c_{ij}-c_{kj})$, so two such minima do: $\lvert u_i-u_k\rvert\le a$. Likewise $v_j=\min_i(c_{ij}-u_i)$ where $\tau_j>0$; where
#    $\tau_j=0$ raise $v_j$ to that, which changes neither $u$ nor the value. For $\mathrm{OT}_\varepsilon$,
#    $u_i=-\varepsilon\log\sum_j\tau_je^{(v_j-c_{ij})/\varepsilon}$ by $\rho_i=1$, and again two of them differ by at most $a$; each $v_j$ is, by
#    the column sums, a mean of this kind of the $c_{ij}-u_i$.
# 4. *Limits.* Let $p^{(k)}\to p$, and let pairs $(u^{(k)},v^{(k)})$, optimal there, converge. Their limit is optimal at $p$: for $(u,v)$ optimal at
#    $p$, $\Phi_{p^{(k)}}(u^{(k)},v^{(k)})\ge\Phi_{p^{(k)}}(u,v)$. Let $k\to\infty$; $\Phi$ is continuous, and the constraints survive limits.
#
# **Subgradient.** By fact 1, and as $h$ is the maximum, $h(p')\ge\Phi_{p'}(u,v)=h(p)+u\cdot(p'-p)$ for every $p'$.
#
# **Gradient.** Let $x$ with $\sum_ix_i=0$ be so small that $p+x$ has positive entries, and let $(u^x,v^x)$ be optimal there, $u_1=u_1^x=0$. Then
#
# $$u\cdot x\ \le\ h(p+x)-h(p)\ \le\ u^x\cdot x .$$
#
# The left is the subgradient at $p$, the right the one at $p+x$, for the step $-x$. If $u$ is the only one at $p$, then $u^x\to u$ as $x\to0$: by
# fact 3 the pairs stay bounded, and by fact 4 they can have no limit with another $u$. So $\lvert h(p+x)-h(p)-u\cdot x\rvert\le\lvert
# u^x-u\rvert\,\lvert x\rvert$ is small of higher order than $x$: $u$ is the gradient along the simplex, and the
# [chain rule](#Softmax-and-its-derivative) makes D17 of it. ∎
#
# **When is $u$ the only one?** *For $\mathrm{OT}_\varepsilon$, always:* $r=\gamma$ gives
# $u_i+v_j=c_{ij}+\varepsilon\log\frac{\gamma_{ij}}{p_i\tau_j}$. *For EMD*, if a best plan is a vertex with as many entries as there can be, $n+m-1$
# for $n$ rows and $m$ columns with mass: its graph is a tree (D6), and slackness carries $u_1$ along its edges to all others. *For a one-hot label,
# always:* every row sends to $t$, so by slackness $u_i=c_{it}-v_t$, and D17 is D1.
#
# *Trap: the kink.* At $p=\tau$, for costs $c_{ij}\ge\kappa>0=c_{ii}$, the best plan is diagonal, and every $u$ with $\lvert u_i-u_j\rvert\le\kappa$
# is optimal, with $v=-u$. A plan pays at least $\kappa$ for all mass off its diagonal, so $\mathrm{EMD}(p,\tau)\ge\kappa\,\mathrm{TV}(p,\tau)$ (as
# for D8a): the distance has a sharp tip. And its gradient does not fade on the way there: the subgradient at $p$, for the step to $\tau$, says
# $u\cdot(p-\tau)\ge\mathrm{EMD}(p,\tau)\ge\kappa\,\mathrm{TV}(p,\tau)$. Descent overshoots unless its steps shrink. *On paper:* $u=(0,0.2,0.6)$
# (D6; the plan has $3+2-1$ entries) and $p\cdot u=0.18$: the gradient is $(0.5\cdot(-0.18),\ 0.3\cdot0.02,\ 0.2\cdot0.42)=(-0.09,0.006,0.084)$.

# %%
def through_softmax(p, g):
    return p * (g - p @ g)


z, tau, C = rng.normal(size=5), rng.dirichlet(np.ones(5)), costs.cosine(rng.normal(size=(5, 3)))
p, best = softmax(z), transport.emd(softmax(z), tau, C)
print("entries of the best plan:", (best.plan > 0).sum(), "of at most", 5 + 5 - 1)
confirm("EMD", slope(lambda z: transport.emd(softmax(z), tau, C).value, z) - through_softmax(p, best.u), 1e-8)
single = transport.emd(p, np.eye(5)[2], C).u - C[:, 2]
confirm("one-hot label: u_i = c_it, up to a constant", single - single[0])
even, x = np.full(5, 0.2), np.array([-0.01, 0, 0.01, 0, 0])
sides = [transport.emd(even + s * x, even, costs.zero_one(5)).value for s in (-1, 1)]
confirm("0/1 cost at p = tau: up on both sides", np.array(sides) - 0.01)
paper = transport.emd(worked.P, worked.TAU, worked.COST).u
confirm("on paper", through_softmax(worked.P, paper) - [-0.09, 0.006, 0.084])

# %% [markdown]
# **Sinkhorn's divergence and the rest.** Let $C$ be symmetric. Call $f$ the first potential for $\mathrm{OT}_\varepsilon(p,\tau)$, and $f_p$ the
# one potential that serves both sides for $\mathrm{OT}_\varepsilon(p,p)=2\,p\cdot f_p$ (D12). Up to a constant, which the softmax ignores, the
# gradients in $p$ are
#
# | loss | gradient in $p$ | why |
# | --- | --- | --- |
# | CE | $-\tau_i/p_i$ | A2; in logits $p-\tau$ |
# | product bound | $C\tau$ | A6, linear |
# | EMD | $u$, where unique | above |
# | $\mathrm{OT}_\varepsilon$ | $f$ | above |
# | $S_\varepsilon$ | $f-f_p$ | below |
# | debiased score | $C\tau-Cp$ | D9, quadratic, $C$ symmetric |
#
# *Proof for $S_\varepsilon$.* It remains to show that $\frac12\mathrm{OT}_\varepsilon(p,p)$ has the gradient $f_p$; the term with $\tau$ alone does
# not move. Now both sides move at once. Write $f=f_p$, $E_{ij}=e^{(f_i+f_j-c_{ij})/\varepsilon}$, and $\rho_i=\sum_jE_{ij}p_j=1$ as above. The
# lower bound (1) of D12 for $p+x$ on both sides, with the pair $(f,f)$, is
#
# $$\mathrm{OT}_\varepsilon(p+x,p+x)\ \ge\ 2\,(p+x)\cdot f-\varepsilon\Big(\sum_{ij}(p_i+x_i)(p_j+x_j)E_{ij}-1\Big)
# =\mathrm{OT}_\varepsilon(p,p)+2f\cdot x-\varepsilon\,x^\top Ex .$$
#
# Indeed $\sum_{ij}p_ip_jE_{ij}=1$, and the terms linear in $x$ are $2\sum_ix_i\rho_i=0$. The same from $p+x$ back to $p$, with its potential $f^x$
# and matrix $E^x$, gives
#
# $$2f\cdot x-\varepsilon\,x^\top Ex\ \le\ \mathrm{OT}_\varepsilon(p+x,p+x)-\mathrm{OT}_\varepsilon(p,p)
# \le\ 2f^x\cdot x+\varepsilon\,x^\top E^xx .$$
#
# The $f^x$ are bounded: their entries differ by at most $a$, and $2\,(p+x)\cdot f^x$ is an $\mathrm{OT}_\varepsilon$, which lies between the least
# and the largest cost (D12). So the last terms are of the order $\lvert x\rvert^2$. And $f^x\to f$ as in fact 4: a limit is a potential for
# $(p,p)$, of which there is one, $2f_i=c_{ii}+\varepsilon\log(\gamma_{ii}/p_i^2)$. Hence the gradient is $2f$, and half of it is $f_p$. ∎

# %%
epsilon, x = 0.2, 0.5 * (rng.dirichlet(np.ones(5)) - p)


def entropic(p):  # the value, and the plan's first potential: u_i + v_j, averaged over j
    value, plan = transport.entropic(p, tau, C, epsilon)
    return value, (C + epsilon * np.log(plan / np.outer(p, tau))).mean(axis=1)


def exact(p):
    best = transport.emd(p, tau, C)
    return best.value, best.u


for name, solve in (("EMD", exact), ("OT", entropic)):
    (here, u), (there, ahead) = solve(p), solve(p + x)
    low, change, high = u @ x, there - here, ahead @ x
    confirm(f"{name}: {low:.4f} <= {change:.4f} <= {high:.4f}", max(low - change, change - high, 0), 1e-9)

# %%
f = entropic(p)[1]
own = 0.5 * epsilon * np.log(transport.entropic(p, p, C, epsilon)[1].diagonal() / p**2)  # read off where the cost is 0
confirm("the row sums are met: p rho = p", p * (np.exp((own[:, None] + own - C) / epsilon) @ p) - p, 1e-9)
wide = lambda loss: slope(lambda z: loss(softmax(z)), z, h=1e-3)  # Sinkhorn stops at 1e-11: short steps would enlarge that
confirm("OT", wide(lambda p: entropic(p)[0]) - through_softmax(p, f), 1e-6)
confirm("S", wide(lambda p: transport.sinkhorn_divergence(p, tau, C, epsilon)) - through_softmax(p, f - own), 1e-6)
confirm("debiased", wide(lambda p: transport.debiased(p, tau, C)) - through_softmax(p, C @ tau - C @ p), 1e-6)
rows("D17")

# %% [markdown]
# ## D18 One soft label at a time
#
# A teacher may give the whole law $\tau$ of the next word. Then $\mathrm{EMD}(p,\tau)$ is least at $p=\tau$, if $c_{ij}\ge0=c_{ii}$. But often the
# same context comes again and again, with labels $\tau_1,\tau_2,\dots$ in shares $w_1,w_2,\dots$ that sum to 1: a smoothed label for each word that
# came, say. Training then minimises the mean
#
# $$G(p)=\sum_kw_k\,\mathrm{EMD}(p,\tau_k),$$
#
# and one would like its minimum to be the mean label $\bar\tau=\sum_kw_k\tau_k$. In general it is not. *For a metric cost*
#
# $$G(p)\ \ge\ G(\tau_1)+(2w_1-1)\,\mathrm{EMD}(p,\tau_1). \tag{D18}$$
#
# *So if $w_1>\frac12$, $G$ is least at $p=\tau_1$ and nowhere else: the majority takes all.* With two labels the least value is
# $(1-w_1)\,\mathrm{EMD}(\tau_1,\tau_2)$.
#
# *The idea: [lesson 09](09_open_questions.ipynb).* *Proof.* *Triangle inequality.* Let $\gamma$ be a best plan from $p$ to $q$ and $\eta$ one from
# $q$ to $r$, and glue them as in [D4](#D4-Which-costs-are-metrics): $\pi_{ijk}=\gamma_{ij}\eta_{jk}/q_j$ gives back $\gamma$ and $\eta$ when summed
# over $k$ and over $i$, and a plan from $p$ to $r$ when summed over $j$. Hence
#
# $$\mathrm{EMD}(p,r)\le\sum_{ijk}\pi_{ijk}\,c_{ik}\le\sum_{ijk}\pi_{ijk}\,(c_{ij}+c_{jk})=\mathrm{EMD}(p,q)+\mathrm{EMD}(q,r).$$
#
# *The claim.* So $\mathrm{EMD}(p,\tau_k)\ge\mathrm{EMD}(\tau_1,\tau_k)-\mathrm{EMD}(\tau_1,p)$, where
# $\mathrm{EMD}(\tau_1,p)=\mathrm{EMD}(p,\tau_1)$, as the cost is symmetric. Multiply by $w_k$ and add up over $k\ge2$, where the shares sum to
# $1-w_1$:
#
# $$G(p)\ge w_1\,\mathrm{EMD}(p,\tau_1)+\sum_{k\ge2}w_k\,\mathrm{EMD}(\tau_1,\tau_k)-(1-w_1)\,\mathrm{EMD}(p,\tau_1),$$
#
# and the middle sum is $G(\tau_1)$, since $\mathrm{EMD}(\tau_1,\tau_1)=0$. *Nowhere else*, since $\mathrm{EMD}(p,\tau_1)>0$ for $p\ne\tau_1$: a
# plan that costs 0 is diagonal. ∎
#
# $G$ is convex, like each of its terms (D6), and each term has a kink at its label (D17). Kinks hold a minimum fast, as those of $\lvert x-a\rvert$
# do in a median.
#
# **A median it is,** for ordered classes, $c_{ij}=\lvert i-j\rvert$: *with $T_{kl}$ for the cumulative sums of $\tau_k$, $G$ is least where each
# cumulative sum $P_l$ is the smallest weighted median of the $T_{kl}$, $k=1,2,\dots$, with weights $w_k$.* *Proof.* By D8b
# $G(p)=\sum_l\sum_kw_k\lvert P_l-T_{kl}\rvert$. As a function of $P_l$ the inner sum has the slope (weight of the $T_{kl}$ below) minus (weight
# above), so it is least at the smallest $y$ with at least half of the weight at or below $y$. Call it $m_l$. As no $T_{kl}$ falls when $l$ grows,
# there is never more weight at or below a given $y$ for $l+1$ than for $l$; so $m_l\le m_{l+1}$, and $m_n=1$. Hence the $m_l$ are the cumulative
# sums of a distribution, which minimises every inner sum at once. ∎ The mean label has the weighted *means* of the $T_{kl}$ there.
#
# **One-hot labels** $\tau_k=\delta_{t_k}$ make $G(p)=p\cdot C\bar\tau$, the case of D2: all mass goes to the medoid.
#
# **Other costs** need a larger majority. Let $c_{ii}=0<c_{ij}$ for $i\ne j$, and let $K$ be the largest of all $\lvert c_{il}-c_{jl}\rvert/c_{ij}$;
# a metric has $K=1$. *Then $G(p)\ge G(\tau_1)+\big(w_1-K(1-w_1)\big)\,\mathrm{EMD}(p,\tau_1)$, so $w_1>K/(1+K)$ takes all.* *Proof.* Let $(u,v)$ be
# optimal for $\tau_1$ and $\tau_k$, with each $u_i$ raised to $\min_j(c_{ij}-v_j)$. Two such minima differ by at most the largest difference of the
# costs, so $\lvert u_i-u_j\rvert\le K c_{ij}$. With a best plan $\gamma$ from $p$ to $\tau_1$, by D6 (iii),
#
# $$\mathrm{EMD}(p,\tau_k)-\mathrm{EMD}(\tau_1,\tau_k)\ \ge\ u\cdot(p-\tau_1)=\sum_{ij}\gamma_{ij}(u_i-u_j)\ \ge\ -K\,\mathrm{EMD}(p,\tau_1).$$
#
# This takes the place of the triangle inequality; go on as above. ∎

# %%
def best_mean(labels, shares, cost):
    """The least mean distance, as one linear program: a plan to each label, all with the same row sums p."""
    n, k = cost.shape[0], len(labels)
    rows, columns = np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))
    alike = np.kron(np.column_stack([np.ones(k - 1), -np.eye(k - 1)]), rows)
    right = np.concatenate([np.ravel(labels), np.zeros(n * (k - 1))])
    return linprog(np.kron(shares, cost.ravel()), A_eq=np.concatenate([np.kron(np.eye(k), columns), alike]), b_eq=right).fun


def mean_distance(p, labels, shares, cost):
    return shares @ transport.emd_many(p, labels, cost).value


# %%
labels, shares = rng.dirichlet(np.ones(5), 3), np.array([0.55, 0.3, 0.15])
mean = shares @ labels
for name, cost in (("0/1", costs.zero_one(5)), ("ordered", costs.ordinal(5)), ("angle", costs.angle(rng.normal(size=(5, 3))))):
    first, middle = (mean_distance(p, labels, shares, cost) for p in (labels[0], mean))
    print(f"{name:8} mean distance at the first label {first:.4f}, at the mean label {middle:.4f}")
    confirm("no p does better than the first label", best_mean(labels, shares, cost) - first, 1e-8)
    models = rng.dirichlet(np.ones(5), 200)
    lead = [mean_distance(p, labels, shares, cost) - first - 0.1 * transport.emd(p, labels[0], cost).value for p in models]
    confirm("the bound D18", np.minimum(lead, 0))

# %%
labels, shares, cost = rng.dirichlet(np.ones(6), 5), rng.dirichlet(np.ones(5)), costs.ordinal(6)
sums, order = labels.cumsum(axis=1), labels.cumsum(axis=1).argsort(axis=0)
at = (shares[order].cumsum(axis=0) < 0.5).sum(axis=0)  # the first place where half of the weight is reached
p = np.diff(sums[order[at, range(6)], range(6)], prepend=0)
confirm("the medians are cumulative sums", np.minimum(p, 0))
confirm("the median is best", mean_distance(p, labels, shares, cost) - best_mean(labels, shares, cost), 1e-8)
smooth, shares = np.array([[0.8, 0.2, 0], [0.2, 0.8, 0]]), np.array([0.8, 0.2])
K = np.max([np.abs(worked.COST[i] - worked.COST[j]).max() / worked.COST[i, j] for i in range(3) for j in range(3) if i != j])
confirm("on paper, K = 3", K - 3)
first, middle = (mean_distance(p, smooth, shares, worked.COST) for p in (smooth[0], shares @ smooth))
confirm("on paper", [first - 0.024, middle - 0.0384])
confirm("on paper: nothing is better", best_mean(smooth, shares, worked.COST) - 0.024, 1e-8)

# %% [markdown]
# *On paper:* labels $(0.8,0.2,0)$ and $(0.2,0.8,0)$ in shares $0.8$ and $0.2$ have the mean $(0.68,0.32,0)$. The course's cost is no metric; $K=3$,
# from $\lvert1-0.4\rvert/0.2$, and $0.8>\frac34$. At the first label $G=0.2\cdot0.6\cdot0.2=0.024$; at the mean label
# $0.8\cdot0.12\cdot0.2+0.2\cdot0.48\cdot0.2=0.0384$.
#
# **Scores that see the mean label only.** *Let $\ell(p,\tau)=A(p)\cdot\tau+b(\tau)$ with a vector $A(p)$ and a number $b(\tau)$. Then
# $\sum_kw_k\,\ell(p,\tau_k)$ and $\ell(p,\bar\tau)$ differ by a number that does not depend on $p$, and have the same minimisers.* *Proof.* The
# difference is $\sum_kw_kb(\tau_k)-b(\bar\tau)$. ∎ (A term that depends on $p$ alone, $d(p)$, is of this form: $d(p)\,\mathbf 1\cdot\tau$.)
#
# - *Cross-entropy:* $A_j=-\log p_j$. Its mean is least at $\bar\tau$ alone (A3).
# - *The product bound:* $A=C^\top p$. Its mean is least at the medoid of $\bar\tau$ (D2), as it was for one-hot labels.
# - *The debiased score:* $A=C^\top p-\frac12(p^\top Cp)\mathbf 1$, $b=-\frac12\tau^\top C\tau$. If $C$ is symmetric and conditionally negative
#   definite, its mean is least at $\bar\tau$ (D9).
#
# So cross-entropy and the debiased score may be given one label at a time, and stay proper; the bound stays improper. The exact distance may not:
# it is right for one law per context and wrong for a stream of samples of it. Entropic transport lies in between (D12): $\mathrm{OT}_\varepsilon$
# and $S_\varepsilon$ are of this form in the limit $\varepsilon\to\infty$.
#
# *Trap.* Averaging a batch does not help. The loss is taken label by label, and the mean comes after.

# %%
C, (p, q) = costs.cosine(rng.normal(size=(6, 3))), rng.dirichlet(np.ones(6), 2)
labels, shares = rng.dirichlet(np.ones(6), 4), rng.dirichlet(np.ones(4))
scores = {"CE": lambda p, tau: divergences.cross_entropy(tau, p)}
scores |= {"bound": lambda p, tau: transport.product_bound(p, tau, C), "debiased": lambda p, tau: transport.debiased(p, tau, C)}
for name, score in scores.items():
    excess = [shares @ [score(x, tau) for tau in labels] - score(x, shares @ labels) for x in (p, q)]
    confirm(f"{name}: the same for two models", excess[0] - excess[1])
excess = [mean_distance(x, labels, shares, C) - transport.emd(x, shares @ labels, C).value for x in (p, q)]
print(f"EMD: not the same, {excess[0]:.4f} and {excess[1]:.4f}")
rows("D18")

# %% [markdown]
# ## Sources
#
# Su Jianlin, [the article](https://spaces.ac.cn/archives/9797) (2023), for A1 to A9. Ren et al., [EMO](https://arxiv.org/abs/2310.04691) (2023).
# The proofs are standard or our own; for more of the same see: Gneiting and Raftery, *Strictly proper scoring rules, prediction, and estimation*
# (2007), on A3, D2 and D9. Parry, Dawid and Lauritzen, *Proper local scoring rules* (2012), on "Why the logarithm?". Csiszár (1967) and Polyanskiy
# and Wu, *Information Theory*, on D10; Su Jianlin's [note on overconfidence](https://spaces.ac.cn/archives/9526) and Ji et al.,
# [TaiLr](https://arxiv.org/abs/2302.13344) (2023), on the family $\ell_\gamma$ there. Villani, *Topics in Optimal Transportation* (2003), and Peyré
# and Cuturi, [*Computational Optimal Transport*](https://arxiv.org/abs/1803.00567) (2019), on A4, D4, D6, D8 and D12. Williams, on REINFORCE
# (1992). Gretton et al., *A kernel two-sample test* (2012), and Székely and Rizzo, *Energy statistics* (2013), on D9. Brier (1950). Hoeffding
# (1963), Cuturi (2013), Genevay, Peyré and Cuturi (2018) and [Feydy et al.](https://arxiv.org/abs/1810.08278) (2019) on D12. Su Jianlin's [note on
# training for accuracy](https://spaces.ac.cn/archives/9098), for the rule in D14. Levy and Goldberg, *Neural word embedding as implicit matrix
# factorization* (2014), and Eckart and Young (1936), on D15. Cover and Thomas, *Elements of Information Theory* (2006), section 2.5, on D16.
# Danskin, *The Theory of Max-Min* (1967), on D17.
