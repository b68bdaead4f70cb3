# %% [markdown]
# # Problem set 2 · Divergences and their defects
#
# Six problems to lesson 02, about 75 minutes, 28 points. $D_f(\tau\Vert p)=\sum_ip_i\,f(\tau_i/p_i)$ with $f$ convex and $f(1)=0$. Fill in what
# raises `NotImplementedError`, then run the asserts below it; more of the same kind are run when the set is graded. All logarithms are natural.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import numpy as np

SEED = 0
rng = np.random.default_rng([SEED, 2])
P, Q = rng.dirichlet(np.ones(6)), rng.dirichlet(np.ones(6))

def kl(u):
    return 0.0 if u == 0 else u * np.log(u)

def reverse_kl(u):
    return np.inf if u == 0 else -np.log(u)

def total_variation(u):
    return 0.5 * abs(u - 1)

def pearson(u):
    return (u - 1) ** 2

# each generator with its slope at infinity, lim f(u)/u
GENERATORS = [(kl, np.inf), (reverse_kl, 0.0), (total_variation, 0.5), (pearson, np.inf)]

# %% [markdown]
# ## Problem 2.1 (D10, 3 points, 6 minutes)
#
# Exchange the arguments: which generator $f^*$ has $D_{f^*}(\tau\Vert p)=D_f(p\Vert\tau)$ for all positive $\tau$ and $p$? One line.

# %% tags=["answer:2.1"]
def reversed_generator(f):
    """The generator, a function of u > 0, of the divergence with exchanged arguments."""
    ### BEGIN SOLUTION
    return lambda ratio: ratio * f(1 / ratio)
    ### END SOLUTION

# %% tags=["tests:2.1", "points:3"]
turned = reversed_generator(kl)
assert np.isclose(turned(1.0), 0), "a generator is 0 at 1"
there = sum(a * turned(b / a) for a, b in zip(P, Q, strict=True))
assert np.isclose(there, sum(a * np.log(a / b) for a, b in zip(P, Q, strict=True))), "KL turned round"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 21])
for f, _ in GENERATORS:
    for _ in range(3):
        a, b = draw.dirichlet(np.ones(5)), draw.dirichlet(np.ones(5))
        there = sum(x * reversed_generator(f)(y / x) for x, y in zip(a, b, strict=True))
        back = sum(y * f(x / y) for x, y in zip(a, b, strict=True))
        assert np.isclose(there, back, rtol=1e-9), "D_f* (b || a) must be D_f (a || b)"
        assert np.isclose(reversed_generator(reversed_generator(f))(0.3), f(0.3)), "turning twice gives the same generator back"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.2 (D10, 6 points, 14 minutes)
#
# A divergence that can be trusted with zeros. Where $p_i=0<\tau_i$, the term $p_if(\tau_i/p_i)$ means its limit, $\tau_i\lim_{u\to\infty}f(u)/u$.
# Where both are 0 there is no term. And $f(0)$ may be infinite: then a word with $\tau_i=0<p_i$ makes the divergence infinite. It is never `nan`.

# %% tags=["answer:2.2"]
def divergence(f, slope, tau, p):
    """D_f(tau || p) for any tau, p (n,); `slope` is lim f(u)/u for u to infinity, perhaps infinite."""
    ### BEGIN SOLUTION
    total = 0.0
    for true, model in zip(tau, p, strict=True):
        if model > 0:
            total += model * f(true / model)
        elif true > 0:
            total += true * slope
    return total
    ### END SOLUTION

# %% tags=["tests:2.2", "points:6"]
assert np.isclose(divergence(total_variation, 0.5, [0.6, 0.4, 0.0], [0.5, 0.3, 0.2]), 0.2), "the worked example"
assert np.isclose(divergence(total_variation, 0.5, [1.0, 0.0], [0.0, 1.0]), 1.0), "nothing in common: total variation is 1"
assert divergence(kl, np.inf, [0.5, 0.5], [1.0, 0.0]) == np.inf, "KL forgives no word that was called impossible"
assert np.isclose(divergence(kl, np.inf, [1.0, 0.0], [0.5, 0.5]), np.log(2)), "a word that never comes is no catastrophe for KL"
assert divergence(reverse_kl, 0.0, [1.0, 0.0], [0.5, 0.5]) == np.inf, "for the reverse KL it is"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 22])
for _ in range(6):
    a, b = draw.dirichlet(np.ones(6)), draw.dirichlet(np.ones(6))
    a[:2], b[1:3] = 0, 0  # word 0: only b; word 1: neither; word 2: only a
    a, b = a / a.sum(), b / b.sum()
    kept = a.copy(), b.copy()
    both = (a > 0) & (b > 0)
    assert np.isclose(divergence(total_variation, 0.5, a, b), 0.5 * abs(a - b).sum(), rtol=1e-9), "total variation is half the L1 distance"
    assert divergence(kl, np.inf, a, b) == np.inf == divergence(reverse_kl, 0.0, a, b) == divergence(pearson, np.inf, a, b)
    hellinger = divergence(lambda u: 0.5 * (np.sqrt(u) - 1) ** 2, 0.5, a, b)
    assert np.isclose(hellinger, 1 - np.sqrt(a * b).sum(), rtol=1e-9), "squared Hellinger is 1 minus the sum of square roots"
    c = np.where(both, b, 0) / b[both].sum()
    d = np.where(both, a, 0) / a[both].sum()
    wanted = (c[both] * np.log(c[both] / a[both])).sum()
    assert np.isclose(divergence(kl, np.inf, c, a), wanted, rtol=1e-9) and np.isclose(divergence(reverse_kl, 0.0, a, d), -np.log(a[both].sum()))
    assert np.array_equal(a, kept[0]) and np.array_equal(b, kept[1]), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.3 (D10, 3 points, 6 minutes)
#
# Someone who cannot tell Monday from Tuesday sees *merged* probabilities. `classes` gives each word the number of its class, 0 to $k-1$. Add up. (The
# proof below shows that this can only shrink a divergence.)

# %% tags=["answer:2.3"]
def merge(p, classes, k):
    """Probabilities (k,) of the classes, for p (n,) and classes (n,) of integers below k."""
    ### BEGIN SOLUTION
    return np.bincount(classes, weights=p, minlength=k)
    ### END SOLUTION

# %% tags=["tests:2.3", "points:3"]
assert np.allclose(merge(np.array([0.5, 0.3, 0.2]), np.array([0, 0, 1]), 2), [0.8, 0.2])
assert np.allclose(merge(np.array([0.5, 0.3, 0.2]), np.array([2, 0, 2]), 4), [0.3, 0, 0.7, 0]), "classes without a word have probability 0"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 23])
for _ in range(5):
    a, classes = draw.dirichlet(np.ones(9)), draw.integers(5, size=9)
    indicator = classes[:, None] == np.arange(5)
    assert np.allclose(np.asarray(merge(a.copy(), classes.copy(), 5), float), a @ indicator), "each word counts in its own class"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.4 (D10, 5 points, 14 minutes)
#
# By D10 every $f$-divergence from a one-hot label is some $\ell(p_t)$. Given its derivative $\ell'$, write the gradient on *all* logits $z$ of
# $\ell(p_t)$ with $p=\mathrm{softmax}(z)$.

# %% tags=["answer:2.4"]
def gradient_on_logits(derivative, target, z):
    """Gradient (n,) of l(softmax(z)[target]) for a function `derivative` = l'; z (n,)."""
    ### BEGIN SOLUTION
    soft = np.exp(z - np.logaddexp.reduce(z))
    steep = derivative(soft[target]) * soft[target]
    return steep * (np.arange(len(z)) == target) - steep * soft
    ### END SOLUTION

# %% tags=["tests:2.4", "points:5"]
start = np.log(np.array([0.5, 0.3, 0.2]))
assert np.allclose(gradient_on_logits(lambda q: -1 / q, 0, start), [-0.5, 0.3, 0.2]), "with l = -log this is cross-entropy's p - one-hot"
assert np.allclose(gradient_on_logits(lambda q: -1.0, 0, start), [-0.25, 0.15, 0.1]), "with l = 1 - p_t: p_t times that"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 24])
for loss, derivative in (
    (lambda q: 1 / q - 1, lambda q: -1 / q**2),
    (lambda q: 1 - np.sqrt(q), lambda q: -0.5 / np.sqrt(q)),
    (lambda q: -np.log(q), lambda q: -1 / q),
):
    z, t = 2 * draw.normal(size=6), int(draw.integers(6))
    kept, found = z.copy(), np.asarray(gradient_on_logits(derivative, t, z), float)
    assert np.array_equal(z, kept), "your function changed its input in place"
    for j in range(6):
        moved = z.astype(complex)
        moved[j] += 1e-30j  # a complex step: the derivative without a difference
        soft = np.exp(moved - moved.real.max())
        wanted = (loss(soft[t] / soft.sum())).imag / 1e-30
        assert np.isclose(found[j], wanted, rtol=1e-8, atol=1e-12), "the derivative of l(p_t) with respect to every logit"
    assert np.isclose(found.sum(), 0, atol=1e-10), "moving all logits together changes nothing"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.5 (D10, 5 points, 17 minutes)
#
# A model that is too small must choose what to miss. The truth $\tau$ lives on positions $0,\dots,n-1$ and may have several hills; the model is one
# hill, $p^{(m)}_i\propto e^{-(i-m)^2/2s^2}$ on the same positions, with the width $s$ fixed and its middle $m$ free among $0,\dots,n-1$. Find the
# middle that the forward KL, $\mathrm{KL}(\tau\Vert p)$, likes best, and the one that the reverse KL, $\mathrm{KL}(p\Vert\tau)$, likes best. Beware
# of $\tau_i$ near 0 and of $p_i$ that underflow: work with logarithms.

# %% tags=["answer:2.5"]
def best_hills(tau, s):
    """(m of the least forward KL, m of the least reverse KL): tau (n,) positive, s > 0; whole numbers."""
    ### BEGIN SOLUTION
    places = np.arange(len(tau))
    energy = -((places[None, :] - places[:, None]) ** 2) / (2 * s * s)  # a row for each middle
    log_hill = energy - np.logaddexp.reduce(energy, axis=1)[:, None]
    missing = -log_hill @ tau
    inventing = (np.exp(log_hill) * (log_hill - np.log(tau))).sum(axis=1)
    return int(missing.argmin()), int(inventing.argmin())
    ### END SOLUTION

# %% tags=["tests:2.5", "points:5"]
def hill(n, m, s):
    place = np.arange(n)
    return np.exp(-((place - m) ** 2) / (2 * s * s)) / np.exp(-((place - m) ** 2) / (2 * s * s)).sum()

two = 0.55 * hill(41, 10, 2) + 0.45 * hill(41, 30, 2) + 1e-12
covering, seeking = best_hills(two / two.sum(), 2.0)
assert 15 < covering < 25, "forward KL puts the hill between the two: it must miss neither"
assert seeking == 10, "reverse KL sits on one hill, the higher"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 25])
for _ in range(5):
    n, width = 31, draw.uniform(1.0, 3.0)
    truth = sum(w * hill(n, m, 1.5) for w, m in zip(draw.dirichlet(np.ones(3)), draw.choice(n, 3, replace=False), strict=True)) + 1e-9
    truth /= truth.sum()
    rivals = [hill(n, m, width) for m in range(n)]
    covering, seeking = best_hills(truth.copy(), width)
    forward = [sum(t * (np.log(t) - np.log(max(q, 1e-300))) for t, q in zip(truth, rival, strict=True)) for rival in rivals]
    backward = [sum(q * np.log(q / t) for t, q in zip(truth, rival, strict=True) if q > 0) for rival in rivals]
    assert forward[covering] <= min(forward) + 1e-6 * (1 + abs(min(forward))), "another middle has a smaller forward KL"
    assert backward[seeking] <= min(backward) + 1e-9, "another middle has a smaller reverse KL"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 2.6 (D10, 6 points, 18 minutes)
#
# Let $f$ be convex with $f(1)=0$ and all probabilities positive. Prove: (a) $D_f(\tau\Vert p)\ge0$; (b) merging words never raises it,
# $D_f(\mathrm{merge}\,\tau\Vert\mathrm{merge}\,p)\le D_f(\tau\Vert p)$; and (c) say in one sentence why (b) means that no $f$-divergence of merged
# words can tell Tuesday from banana better than one of the words themselves, although none of the latter can with a one-hot label.

# %% [markdown] tags=["proof:2.6", "points:6"]
# ### BEGIN SOLUTION
# (b) Let a class $A$ have the probabilities $T=\sum_{i\in A}\tau_i$ and $P=\sum_{i\in A}p_i$. The weights $p_i/P$ sum to 1, so by Jensen's inequality
# $$\sum_{i\in A}p_if\Big(\frac{\tau_i}{p_i}\Big)=P\sum_{i\in A}\frac{p_i}Pf\Big(\frac{\tau_i}{p_i}\Big)\ge
# P\,f\Big(\sum_{i\in A}\frac{p_i}P\frac{\tau_i}{p_i}\Big)=P\,f\Big(\frac TP\Big).$$
# Sum over all classes. (a) Merge all words into one class: $T=P=1$ and $f(1)=0$.
#
# (c) A divergence of merged words is at most that of the words themselves, and by D10 the latter sees $p_t$ alone when the label is one-hot: what
# does tell Tuesday from banana is the choice of classes, knowledge from outside that was put in before any divergence was taken.
#
# **Rubric.** (a) 2 points: Jensen with weights $p_i$, and $\sum_ip_i\tau_i/p_i=1$. (b) 3 points: weights $p_i/P$ within a class (1), Jensen (1),
# sum over classes (1). (c) 1 point: the classes bring the knowledge, not the divergence.
# ### END SOLUTION
