# %% [markdown]
# # Problem set 2 · What f-divergences see, and what they keep
#
# Six problems to lesson 02, about 85 minutes, 29 points. Fill in what raises `NotImplementedError`, then run the cell of asserts below it; more
# asserts of the same kind are run when the set is graded. Name things as you like inside your functions, but keep the functions' names. Loops, NumPy
# or torch: any way that gives the right numbers is right.
#
# $D_f(\tau\Vert p)=\sum_ip_i\,f(\tau_i/p_i)$ with a convex $f$, $f(1)=0$; $f'(\infty)$ is the slope of $f$ at infinity. Both $f(0)$ and $f'(\infty)$
# may be infinite.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import itertools
import numpy as np
from emo_teach import divergences

SEED = 0
rng = np.random.default_rng([SEED, 2])
TAU, P = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))  # a soft label and a model, without zeros

# %% [markdown]
# ## Problem 2.1 (D10, 4 points, 10 minutes)
#
# Write $D_f$ for any generator and any two distributions, zeros included. `f` is a Python function of *one number* $u\ge0$ (at 0 it may return
# infinity), `slope` is $f'(\infty)$. Where $p_i=0<\tau_i$ the term is its limit as $p_i\to0$, as in lesson 02; where both are 0 it is 0. Beware of
# zero times infinity.

# %% tags=["answer:2.1"]
def f_divergence(f, slope, tau, p):
    """D_f(tau || p), a float, for tau (n,), p (n,), a generator f (of one number) and its slope at infinity."""
    ### BEGIN SOLUTION
    total = 0.0
    for a, b in zip(np.asarray(tau).tolist(), np.asarray(p).tolist(), strict=True):
        if b > 0:
            total += b * f(a / b)
        elif a > 0:  # the model has nothing here: the limit, in proportion to the label's mass
            total += a * slope
    return total
    ### END SOLUTION

# %% tags=["tests:2.1", "points:4"]
def kl_generator(u):
    return u * np.log(u) if u > 0 else 0.0

def le_cam(u):
    return (u - 1) ** 2 / (u + 1)

def minus_log(u):
    return -np.log(u) if u > 0 else np.inf

def value(*arguments):
    return float(f_divergence(*arguments))

found = value(kl_generator, np.inf, TAU, P)
assert not np.isclose(found, divergences.kl(P, TAU)), "the roles are exchanged: the model p weighs, the ratio is tau over p"
assert np.isclose(found, divergences.kl(TAU, P)), "KL's generator must give KL: weigh each f(u) with p_i"
one, other = np.array([0.6, 0.4, 0.0, 0.0]), np.array([0.5, 0.0, 0.5, 0.0])
assert np.isclose(value(le_cam, 1.0, one, other), 0.01 / 1.1 + 0.4 + 0.5), "where p_i = 0 < tau_i the term is tau_i times the slope"
assert np.array_equal(one, [0.6, 0.4, 0, 0]) and np.array_equal(other, [0.5, 0, 0.5, 0]), "your function changed its input"
assert not np.isnan(value(kl_generator, np.inf, one, other)), "nan: where both are 0 the term is 0, even if the slope is infinite"
assert value(kl_generator, np.inf, one, other) == np.inf, "KL is infinite where the label has mass and the model none"
assert value(minus_log, 0.0, one, other) == np.inf, "reverse KL is infinite where the model has mass and the label none"
assert np.isclose(value(kl_generator, np.inf, other, other), 0), "nothing between a distribution and itself, zeros or not"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 21])

def doubled(u):
    return max(u - 2.0, 0.0)

def shortfall(u):
    return max(1.0 - u, 0.0)

def cubic(u):
    return abs(u - 1.0) ** 3

def with_zeros(n, share):
    q = draw.dirichlet(np.ones(n)) * (draw.random(n) > share)
    q[draw.integers(n)] += 0.1
    return q / q.sum()

for k in range(12):
    label, model = with_zeros(7, 0.4), with_zeros(7, 0.4 * (k % 2))
    old = label.copy(), model.copy()
    both = label + model > 0
    square = (np.square(label - model)[both] / (label + model)[both]).sum()
    assert np.isclose(value(le_cam, 1.0, label, model), square, rtol=1e-9), "Le Cam's divergence is the sum of (tau - p)^2 / (tau + p)"
    excess = np.maximum(label - 2 * model, 0).sum()
    assert np.isclose(value(doubled, 1.0, label, model), excess, rtol=1e-9, atol=1e-12), "f = max(u - 2, 0): what exceeds twice the model"
    half = divergences.total_variation(label, model)
    assert np.isclose(value(shortfall, 0.0, label, model), half, rtol=1e-9, atol=1e-12), "f = max(1 - u, 0), with slope 0, is total variation"
    alone = (label > 0) & (model == 0)
    third = np.inf if alone.any() else sum(abs(a - b) ** 3 / b**2 for a, b in zip(label, model, strict=True) if b > 0)
    assert np.isclose(value(cubic, np.inf, label, model), third, rtol=1e-9), "f = |u - 1|^3, infinite only where the model has nothing"
    back = divergences.kl(model, label)
    assert np.isclose(value(minus_log, 0.0, label, model), back, rtol=1e-9), "-log u is KL(p || tau)"
    assert np.array_equal(old[0], label) and np.array_equal(old[1], model), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.2 (D10, 3 points, 6 minutes)
#
# KL and reverse KL come from two generators, but are one divergence with its roles exchanged. So it goes always: for each $f$ there is a generator
# $g$ with $D_g(\tau\Vert p)=D_f(p\Vert\tau)$. Find it on paper, from the sum, then return $g$ (a function of one number $u\ge0$, right at 0 too)
# and its slope at infinity.

# %% tags=["answer:2.2"]
def exchanged(f, slope):
    """(g, slope of g at infinity) with D_g(tau || p) = D_f(p || tau), for f (of one number) with its slope at infinity."""
    ### BEGIN SOLUTION
    def mirrored(ratio):
        return slope if ratio == 0 else ratio * f(1.0 / ratio)

    return mirrored, f(0.0)
    ### END SOLUTION

# %% tags=["tests:2.2", "points:3"]
def plain_kl(u):
    return u * np.log(u) if u > 0 else 0.0

def pearson(u):
    return (u - 1) ** 2

g, g_slope = exchanged(plain_kl, np.inf)
assert np.isclose(g(1.0), 0), "a generator is 0 at 1"
assert np.isclose(sum(b * g(a / b) for a, b in zip(TAU, P, strict=True)), divergences.kl(P, TAU)), "from KL's generator you should get KL(p || tau)"
assert np.isclose(g(4.0), -np.log(4)), "from u log u you should get -log u, up to a multiple of u - 1 (and here there is none)"
assert g(0.0) == np.inf and g_slope == 0, "-log u is infinite at 0, and flat at infinity: f(0) and the slope exchange their roles"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 22])

def skewed(u):
    return max(3.0 - u, 0.0) - 2.0

for f, slope in ((pearson, np.inf), (skewed, 0.0), (lambda u: (u - 1) ** 2 / (u + 1), 1.0)):
    g, g_slope = exchanged(f, slope)
    for _ in range(4):
        label, model = draw.dirichlet(np.ones(5), 2)
        wanted = (label * np.array([f(u) for u in model / label])).sum()
        given = (model * np.array([g(u) for u in label / model])).sum()
        assert np.isclose(given, wanted, rtol=1e-9), "D_g(tau || p) is not D_f(p || tau)"
    assert g_slope == f(0.0) and g(0.0) == slope, "what g is at 0 and at infinity: see the sum where one of the two has nothing"
    again, its_slope = exchanged(g, g_slope)
    assert its_slope == slope and all(np.isclose(again(u), f(u)) for u in (0.0, 0.3, 1.0, 2.5)), "exchanged twice, all is as before"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.3 (D10, 4 points, 12 minutes)
#
# Train with any f-divergence that has a finite $f(0)$: from D10 derive the gradient with respect to *all* logits for one-hot labels, and write the
# gradient of its **mean** over $N$ tokens. `f` and `df` (its derivative) take arrays of numbers $u\ge0$ (`df` above 0 only). Some logits are in the
# hundreds.

# %% tags=["answer:2.3"]
def one_hot_gradient(f, df, logits, targets):
    """Gradient (N, V) of the mean of D_f(one-hot || softmax(logits)) with respect to logits (N, V); targets (N,)."""
    ### BEGIN SOLUTION
    weights = np.exp(logits - logits.max(1, keepdims=True))
    q = weights / weights.sum(1, keepdims=True)
    hit = np.take_along_axis(q, targets[:, None], 1)
    u = 1 / hit
    climb = hit * (f(u) - u * df(u) - f(np.zeros_like(u)))  # how the loss moves with log p_t
    return climb * (np.eye(q.shape[1])[targets] - q) / len(q)
    ### END SOLUTION

# %% tags=["tests:2.3", "points:4"]
def hellinger(u):
    return 0.5 * (np.sqrt(u) - 1) ** 2

def hellinger_slope(u):
    return 0.5 * (1 - 1 / np.sqrt(u))

def squared(u):
    return (np.asarray(u) - 1) ** 2

def squared_slope(u):
    return 2 * (np.asarray(u) - 1)

def mean_loss(f, z, t):
    """Mean over tokens of D10, after a softmax; works with complex logits."""
    e = np.exp(z)
    hit = (e / e.sum(1, keepdims=True))[np.arange(len(t)), t]
    return (hit * f(1 / hit) + (1 - hit) * f(np.zeros(1))).mean()

def small_step(f, z, t):
    """Gradient by complex steps, one logit at a time: no digits are lost by subtraction."""
    slopes = np.empty(z.shape)
    for place in np.ndindex(*z.shape):
        moved = z.astype(complex)
        moved[place] += 1e-30j
        slopes[place] = mean_loss(f, moved, t).imag / 1e-30
    return slopes

own_rng = np.random.default_rng([SEED, 3])
logits, targets = 2 * own_rng.normal(size=(4, 5)), own_rng.integers(5, size=4)
before = logits.copy()
for f, df in ((hellinger, hellinger_slope), (squared, squared_slope)):
    found, wanted = np.asarray(one_hot_gradient(f, df, logits, targets), float), small_step(f, logits, targets)
    assert found.shape == (4, 5), "one slope for each logit"
    assert not np.allclose(found, -wanted), "the sign is reversed: the gradient points uphill"
    assert not np.allclose(found, 4 * wanted), "that is the gradient of the sum over tokens, not of their mean"
    assert np.allclose(found.sum(1), 0, atol=1e-9), "a constant added to all logits changes nothing: each row sums to 0"
    assert np.allclose(found, wanted, rtol=1e-8, atol=1e-10), "not what a small step shows: D10 has two terms, and 1/p_t moves too"
assert np.array_equal(before, logits), "your function changed its input"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 23])

def xlogx(u):
    return np.where(u == 0, 0, u * np.log(np.where(u == 0, 1, u)))

def half_gap(u):
    return np.where(np.real(u) > 1, u - 1, 1 - u) / 2

def triangular(u):
    return (u - 1) ** 2 / (u + 1)

pairs = [
    (xlogx, lambda u: np.log(u) + 1),
    (half_gap, lambda u: np.sign(u - 1) / 2),
    (triangular, lambda u: (u - 1) * (u + 3) / (u + 1) ** 2),
    (hellinger, hellinger_slope), (lambda u: hellinger(u) + 7 * (u - 1), lambda u: hellinger_slope(u) + 7),
]
for N, V, scale in ((1, 3, 1.0), (5, 7, 2.0), (3, 2, 6.0)):
    z, t = scale * draw.normal(size=(N, V)), draw.integers(V, size=N)
    for f, df in pairs:
        wanted = small_step(f, z, t)
        found = np.asarray(one_hot_gradient(f, df, z, t), float)
        assert found.shape == (N, V) and np.allclose(found, wanted, rtol=1e-7, atol=1e-10), "not the gradient of the mean loss"
        lifted = np.asarray(one_hot_gradient(f, df, z + 900.0, t), float)
        assert np.allclose(lifted, wanted, rtol=1e-7, atol=1e-10), "large logits overflow: take the largest away first"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.4 (D10, 5 points, 15 minutes)
#
# You may ask one yes-or-no question about the next token ("is it a day of the week?"), that is, choose a set $A$ of tokens, and learn only the
# answer. Its two probabilities are $\tau(A)=\sum_{i\in A}\tau_i$ and $1-\tau(A)$ in the texts, $p(A)$ and $1-p(A)$ for the model. How much of
# $\mathrm{KL}(\tau\Vert p)$ is left? Never more than there was (problem 2.6). Find the question that keeps most. The asserts go up to $n=300$ tokens,
# and nobody tries $2^{300}$ questions. All $p_i$ are above 0; some $\tau_i$ may be 0.
#
# <details><summary>I can only do it by trying all sets</summary>
# Do that for n = 6 and sort the tokens by their ratios tau_i / p_i. What do you see in the best sets?
# </details>

# %% tags=["answer:2.4"]
def best_question(tau, p):
    """Truth values (n,), True for tokens in A, such that the KL of the answers' probabilities is largest; for tau (n,), p (n,)."""
    ### BEGIN SOLUTION
    order = np.argsort(-tau / p)
    yes = np.cumsum(tau[order])[:-1].clip(0, 1), np.cumsum(p[order])[:-1].clip(0, 1)
    both = [np.column_stack([share, 1 - share]) for share in yes]
    kept = [divergences.kl(*answers) for answers in zip(*both, strict=True)]
    asked = np.zeros(len(p), bool)
    asked[order[: int(np.argmax(kept)) + 1]] = True
    return asked
    ### END SOLUTION

# %% tags=["tests:2.4", "points:5"]
def answers_kl(asked, tau, p):
    """KL between the two answers' probabilities."""
    yes, no = (tau[asked].sum(), p[asked].sum()), (tau[~asked].sum(), p[~asked].sum())
    return sum(a * np.log(a / b) for a, b in (yes, no) if a > 1e-15)

def check_question(tau, p, reference):
    handed = tau.copy(), p.copy()
    asked = np.asarray(best_question(*handed))
    assert asked.shape == tau.shape and asked.dtype == bool, "one truth value for each token"
    value = answers_kl(asked, tau, p)
    assert value >= reference - 1e-9, f"your question keeps {value:.6f} nats, another one {reference:.6f}"
    assert np.array_equal(handed[0], tau) and np.array_equal(handed[1], p), "your function changed its input"

def by_trying(tau, p):
    """The most that any question keeps, from all of them."""
    return max(answers_kl(np.array(asked), tau, p) for asked in itertools.product([False, True], repeat=len(p)) if 0 < sum(asked) < len(p))

check_question(TAU, P, by_trying(TAU, P))
label = np.eye(6)[2]
check_question(label, P, -np.log(P[2]))  # one-hot: the question "is it the target?" keeps everything
label, model = np.array([0.5, 0.2, 0.3, 0.0]), np.array([0.4, 0.1, 0.3, 0.2])
check_question(label, model, by_trying(label, model))
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 24])
for n in (2, 3, 5, 6, 7, 8, 9):
    for concentration in (0.3, 1.0, 5.0):
        label, model = draw.dirichlet(np.full(n, 1.0)), 0.99 * draw.dirichlet(np.full(n, concentration)) + 0.01 / n
        label[draw.integers(n)] *= draw.integers(2)
        label /= label.sum()
        check_question(label, model, reference=by_trying(label, model))
label, model = draw.dirichlet(np.ones(300), 2)
ratios = np.unique(label / model)[:-1]
check_question(label, model, max(answers_kl(label / model > cut, label, model) for cut in ratios))
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.5 (D10, 6 points, 22 minutes)
#
# One-hot labels come with frequencies $\tau$, all above 0, and the loss is $g(p_t)$ with a strictly convex, falling $g$. Lesson 02 found the $p$
# where the mean loss $\sum_t\tau_t\,g(p_t)$ is least for a few $g$, by Lagrange. Write it for any $g$, given its derivative: `dg` takes an array of
# numbers above 0 and at most 1. Five digits are enough.
#
# But mind the border. If $g'(0)$ is finite, as for the dial $\ell_\gamma$ with $\gamma>0$, rare tokens may get *nothing*, and then their slope need
# not equal the others'. On paper, for $g(x)=(1-x)^2$ and $\tau=(0.6,0.3,0.1)$: the least mean loss has $p=(\frac23,\frac13,0)$.
#
# <details><summary>My probabilities do not sum to 1</summary>
# For a given slope find every p_t by itself (0, if even its first grain lowers the mean loss by less than that). The steeper the slope asked for, the
# less they sum to.
# </details>

# %% tags=["answer:2.5"]
def resting_place(dg, tau):
    """The p (n,) with the least mean loss sum_t tau_t g(p_t), for tau (n,) and the derivative dg of g."""
    ### BEGIN SOLUTION
    def filled(level):
        """Every token up to where its slope has faded to `level`."""
        low, high = np.zeros(len(tau)), np.ones(len(tau))
        for _ in range(60):
            half = 0.5 * (low + high)
            steep = -tau * dg(half) > level
            low, high = np.where(steep, half, low), np.where(steep, high, half)
        return low

    bottom, top = np.log(1e-12), np.log(1e12)
    for _ in range(80):
        level = 0.5 * (bottom + top)
        bottom, top = (level, top) if filled(np.exp(level)).sum() > 1 else (bottom, level)
    poured = filled(np.exp(top))
    return poured / poured.sum()
    ### END SOLUTION

# %% tags=["tests:2.5", "points:6"]
def rest(dg, tau):
    """The answer, checked to be a distribution."""
    handed = tau.copy()
    p = np.asarray(resting_place(dg, handed), float)
    assert p.shape == tau.shape and (p >= -1e-9).all() and np.isclose(p.sum(), 1, atol=1e-5), "not a distribution over the tokens"
    assert np.array_equal(handed, tau), "your function changed its input"
    return np.maximum(p, 0)

def cannot_improve(g, p, tau, grain=1e-4):
    """No grain moved from one token to another lowers the mean loss; for a convex g that makes p best, but for about a grain."""
    for i, j in itertools.permutations(range(len(p)), 2):
        if p[j] > grain:
            change = tau[i] * (g(p[i] + grain) - g(p[i])) + tau[j] * (g(p[j] - grain) - g(p[j]))
            assert change > -1e-12, f"a little probability moved from token {j} to token {i} lowers the mean loss: p = {p.round(4)}"

assert np.allclose(rest(lambda x: -1 / x, TAU), TAU, atol=1e-5), "cross-entropy is proper: it rests at tau"
hellinger_rest = TAU**2 / (TAU**2).sum()
assert np.allclose(rest(lambda x: -0.5 / np.sqrt(x), TAU), hellinger_rest, atol=1e-5), "Hellinger rests at tau squared, scaled to sum 1"
found = rest(lambda x: -2 * (1 - x), np.array([0.6, 0.3, 0.1]))
assert np.allclose(found, [2 / 3, 1 / 3, 0], atol=1e-5), "(1 - x)^2: see the example on paper, where banana gets nothing"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 25])
for n, concentration in ((2, 1.0), (3, 1.0), (5, 0.7), (9, 2.0)):
    label = 0.98 * draw.dirichlet(np.full(n, concentration)) + 0.02 / n
    assert np.allclose(rest(lambda x: -1 / x, label), label, atol=1e-5), "cross-entropy rests at tau"
    pearson_rest = np.sqrt(label) / np.sqrt(label).sum()
    assert np.allclose(rest(lambda x: -1 / x**2, label), pearson_rest, atol=1e-5), "Pearson rests at the root of tau"
    for gamma in (0.01, 0.1, 0.5):
        p = rest(lambda x, gamma=gamma: -1 / (gamma + (1 - gamma) * x), label)
        cannot_improve(lambda x, gamma=gamma: -np.log(gamma + (1 - gamma) * x) / (1 - gamma), p, label)
    cannot_improve(lambda x: (1 - x) ** 2, rest(lambda x: -2 * (1 - x), label), label)
    cannot_improve(lambda x: np.exp(-4 * x), rest(lambda x: -4 * np.exp(-4 * x), label), label)
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.6 (D10, 7 points, 20 minutes)
#
# How far can total variation and KL disagree? *Pinsker's inequality* says $\mathrm{KL}(\tau\Vert p)\ge2\,\mathrm{TV}(\tau,p)^2$. Prove it in three
# steps (all $p_i>0$; $f$ is convex, $f(1)=0$):
#
# 1. *Merging hides.* Let $\tau'$, $p'$ arise from $\tau$, $p$ when two tokens are merged into one, whose probabilities are the sums. Show that
#    $D_f(\tau'\Vert p')\le D_f(\tau\Vert p)$.
# 2. *One question is enough for TV.* Merge all tokens with $\tau_i\ge p_i$ into one, all others into another. Show that TV stays exactly the same.
# 3. *Two tokens.* Prove $a\log\frac ab+(1-a)\log\frac{1-a}{1-b}\ge2(a-b)^2$ for $0\le a\le1$, $0<b<1$, and put the three together.

# %% [markdown] tags=["proof:2.6", "points:7"]
# ### BEGIN SOLUTION
# **1.** Let the two be tokens 1 and 2. All other terms stay. With weights $w_i=p_i/(p_1+p_2)$, which are positive and sum to 1,
#
# $$(p_1+p_2)\,f\Big(\frac{\tau_1+\tau_2}{p_1+p_2}\Big)=(p_1+p_2)\,f\Big(w_1\frac{\tau_1}{p_1}+w_2\frac{\tau_2}{p_2}\Big)
# \le(p_1+p_2)\Big(w_1f\Big(\frac{\tau_1}{p_1}\Big)+w_2f\Big(\frac{\tau_2}{p_2}\Big)\Big)
# =p_1f\Big(\frac{\tau_1}{p_1}\Big)+p_2f\Big(\frac{\tau_2}{p_2}\Big)$$
#
# by convexity (if $f(0)=\infty$ and it is needed, the right side is infinite and nothing is to be shown).
#
# **2.** Let $A$ be the set of tokens with $\tau_i\ge p_i$. The differences $\tau_i-p_i$ sum to 0, so
# $\tau(A)-p(A)=\sum_{A}(\tau_i-p_i)=-\sum_{\text{not }A}(\tau_i-p_i)$. Both sums consist of terms of one sign: together
# $\sum_i|\tau_i-p_i|=2\big(\tau(A)-p(A)\big)$, so $\mathrm{TV}(\tau,p)=\tau(A)-p(A)$. For the two merged tokens
# $\frac12\big(|\tau(A)-p(A)|+|p(A)-\tau(A)|\big)$ is the same number.
#
# **3.** Fix $a$ and let $h(b)$ be left side minus right side, on $0<b<1$ (with $0\log0=0$). It is 0 at $b=a$ if $0<a<1$, and
#
# $$h'(b)=-\frac ab+\frac{1-a}{1-b}+4(a-b)=(b-a)\Big(\frac1{b(1-b)}-4\Big).$$
#
# Since $b(1-b)\le\frac14$, the second factor is never negative: $h$ falls where $b<a$ and rises where $b>a$, so $h\ge h(a)=0$. If $a=0$ then $h$
# rises on the whole interval from its limit $h(0^+)=0$; $a=1$ is the mirror image.
#
# Together: merge as in step 2, one pair after another, with $f(u)=u\log u$. If all tokens are in $A$, then $\tau=p$ (a sum of non-negative terms that
# is 0) and both sides are 0. Otherwise, with $a=\tau(A)$, $b=p(A)$ and $0<b<1$, step 1 gives $\mathrm{KL}(\tau\Vert p)\ge$ the KL of the merged pair,
# step 3 says that this is at least $2(a-b)^2$, and by step 2 that is $2\,\mathrm{TV}(\tau,p)^2$. ∎
#
# **Rubric** (7 points). *Step 1, 2 points:* 1 for the weights $p_i/(p_1+p_2)$ (weights $\frac12$ or $\tau_i$ get 0), 1 for convexity used in the
# right direction. *Step 2, 2 points:* 1 for the two sums being equal because the differences sum to 0; 1 for TV of the merged pair. *Step 3, 3
# points:* 1 for the derivative, factored or with its sign otherwise argued; 1 for $b(1-b)\le\frac14$ and the conclusion $h\ge0$ (0.5 if the ends
# $a=0$, $a=1$ are forgotten); 1 for putting the steps together, in the right order of inequalities. Citing Pinsker, or the data-processing
# inequality, is not a proof.
# ### END SOLUTION
