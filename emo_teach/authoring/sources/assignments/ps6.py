# %% [markdown]
# # Problem set 6 · EMO as a loss, and where it leads
#
# Six problems to lesson 06, about 90 minutes, 30 points. Fill in what raises `NotImplementedError`, then run the cell of asserts below it; more
# asserts of the same kind are run when the set is graded. Name things as you like inside your functions, but keep the functions' names. Loops, NumPy
# or torch: any way that gives the right numbers is right.
#
# Costs $c_{ij}$ are between tokens $i$ and $j$, $\hat e_i$ are unit vectors, $m_p=\sum_ip_i\hat e_i$, $L=\sum_ip_ic_{it}$ is EMO for the label $t$
# and $p=\mathrm{softmax}(z)$.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import tracemalloc
import numpy as np
import torch
from emo_teach import costs, worked
from emo_teach.words import load_words

SEED = 0
rng = np.random.default_rng([SEED, 6])
WORDS = load_words()
UNIT = costs.unit_rows(WORDS.embedding)  # (V, d), one row of length 1 for each of some hundred English words
LOGITS = 2 * rng.normal(size=(4, len(UNIT)))
TARGETS = rng.integers(len(UNIT), size=4)


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)

# %% [markdown]
# ## Problem 6.1 (A9, 3 points, 8 minutes)
#
# A batch that is too large for the machine is cut into pieces. Each piece gives the losses (B, T) of its tokens and their labels (B, T): `losses[b,
# i]` judges the guess at position $i$, which is about `labels[b, i + 1]`. Where that label is `ignore_index`, or is not there because the text ends,
# the entry of `losses` is rubbish: any number, `inf` or `nan`. Return the mean loss over *all tokens that count, of all pieces together*, as a float;
# 0 if none counts.

# %% tags=["answer:6.1"]
def mean_loss(pieces, ignore_index=-100):
    """Mean over the tokens that count; pieces is a list of pairs (losses (B, T), labels (B, T)) whose B and T may differ."""
    ### BEGIN SOLUTION
    counted = [np.asarray(ell)[:, :-1][np.asarray(y)[:, 1:] != ignore_index] for ell, y in pieces]
    flat = np.concatenate(counted)
    return float(flat.mean()) if flat.size else 0.0
    ### END SOLUTION

# %% tags=["tests:6.1", "points:3"]
nan, inf = np.nan, np.inf
first = (np.array([[1.0, nan, 3.0, 9.0]]), np.array([[5, 3, -100, 2]]))  # guesses of 3 and 2 count: 1 + 3
second = (np.array([[0.5, inf]]), np.array([[4, 1]]))  # one guess counts: 0.5
found = float(mean_loss([first, second]))
assert np.isfinite(found), "rubbish times 0 is still nan: choose the entries that count, do not multiply by a mask"
assert not np.isclose(found, 1.25), "that is the mean of the pieces' means: a piece with few tokens would weigh as much as one with many"
assert np.isclose(found, 1.5), "(1 + 3 + 0.5) / 3; is the label of position i at i + 1, and is the division by the tokens that count?"
assert float(mean_loss([(np.array([[7.0, nan]]), np.array([[3, -100]]))])) == 0, "no token counts: 0"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 61])
for ignored in (-100, 0, 50256):
    made, wanted = [], []
    for _piece in range(4):
        B, T = draw.integers(1, 5), draw.integers(2, 7)
        y = np.where(draw.random((B, T)) < 0.4, ignored, draw.integers(1, 9, size=(B, T)))
        losses = draw.exponential(size=(B, T))
        for b in range(B):
            for i in range(T):
                if i + 1 < T and y[b, i + 1] != ignored:
                    wanted.append(losses[b, i])
                else:
                    losses[b, i] = draw.choice([nan, inf, 1e9])
        made.append((losses, y))
    kept = [(losses.copy(), y.copy()) for losses, y in made]
    found = float(mean_loss(made, ignore_index=ignored))
    assert np.isclose(found, np.mean(wanted), rtol=1e-9), f"mean over the tokens that count, with ignore_index = {ignored}"
    same = all(np.array_equal(a, b, equal_nan=True) for old, new in zip(kept, made, strict=True) for a, b in zip(old, new, strict=True))
    assert same, "your function changed its input"
    assert float(mean_loss([(np.full((2, 3), nan), np.full((2, 3), ignored))], ignore_index=ignored)) == 0, "no token counts: 0"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 6.2 (D9, 4 points, 10 minutes)
#
# The debiased score of one token is $B=\frac12|m_p-\hat e_t|^2$. Find its gradient with respect to the logits on paper, and write the gradient of its
# *mean over N tokens* in closed form. (D1 is the model: which numbers stand in the place of the costs?) Some logits are in the hundreds. Two products
# with the (V, d) embedding are enough; a $V\times V$ matrix is too many numbers for a real vocabulary, and the asserts look at the memory.

# %% tags=["answer:6.2"]
def debiased_gradient(logits, targets, unit):
    """Gradient (N, V) of the mean of B over N tokens; logits (N, V), targets (N,), unit rows (V, d)."""
    ### BEGIN SOLUTION
    q = np.exp(logits - logits.max(1, keepdims=True))
    q /= q.sum(1, keepdims=True)
    miss = q @ unit - unit[targets]
    pull = miss @ unit.T
    return q * (pull - (q * pull).sum(1)[:, None]) / len(q)
    ### END SOLUTION

# %% tags=["tests:6.2", "points:4"]
def mean_score(logits, targets, unit):
    return 0.5 * ((softmax(logits) @ unit - unit[targets]) ** 2).sum(-1).mean()

def slope_along(way, logits, targets, unit, h=1e-5):
    """A central difference: rounding errs by about 1e-11, the step by about as much."""
    return (mean_score(logits + h * way, targets, unit) - mean_score(logits - h * way, targets, unit)) / (2 * h)

kept = LOGITS.copy(), UNIT.copy()
slopes = np.asarray(debiased_gradient(LOGITS, TARGETS, UNIT), float)
assert slopes.shape == LOGITS.shape, "one slope for each logit"
assert np.allclose(slopes.sum(1), 0, atol=1e-12), "a constant added to the logits changes nothing: each row sums to 0 (subtract the mean under p)"
for way in rng.normal(size=(3, *LOGITS.shape)):
    wanted = slope_along(way, LOGITS, TARGETS, UNIT)
    assert not np.isclose((way * slopes).sum(), 4 * wanted, rtol=1e-4), "the gradient of the sum, not of the mean over tokens"
    assert np.isclose((way * slopes).sum(), wanted, rtol=1e-5, atol=1e-9), "not the slope that a small step shows"
assert np.array_equal(kept[0], LOGITS) and np.array_equal(kept[1], UNIT), "your function changed its input"
wide = costs.unit_rows(rng.normal(size=(1500, 4)))
tracemalloc.start()
debiased_gradient(rng.normal(size=(2, 1500)), np.array([0, 7]), wide)
peak = tracemalloc.get_traced_memory()[1]
tracemalloc.stop()
assert peak < 6e6, "a matrix of V x V numbers (18 MB here) was made on the way"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 62])
for N, V, d in ((1, 3, 2), (3, 5, 8), (6, 9, 2)):
    unit, z, t = costs.unit_rows(draw.normal(size=(V, d))), 3 * draw.normal(size=(N, V)), draw.integers(V, size=N)
    z[0, t[0]] += 5
    wanted = np.empty((N, V))
    for n in range(N):
        for j in range(V):
            along = z + 0j
            along[n, j] += 1e-30j
            e = np.exp(along)
            gap = (e / e.sum(1, keepdims=True)) @ unit - unit[t]
            wanted[n, j] = (0.5 * (gap**2).sum(1).mean()).imag / 1e-30
    found = np.asarray(debiased_gradient(z, t, unit), float)
    assert np.allclose(found, wanted, rtol=1e-8, atol=1e-12), "not the gradient of the mean score"
    lifted = np.asarray(debiased_gradient(z + 900.0, t, unit), float)
    assert np.allclose(lifted, wanted, rtol=1e-8, atol=1e-12), "large logits overflow: take the largest away first"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 6.3 (D7, 5 points, 15 minutes)
#
# Write the published mode 2 in torch, $\mathrm{sg}(L/\mathrm{CE})\,\mathrm{CE}+L$ with the cosine cost, mean over tokens, so that it survives
# real training:
#
# - Logits come as bfloat16, float16, float32 or float64, and the target may be far above or far below all others. Value and gradient must stay finite
#   and right; where CE is 0 the weight is 0.
# - `unit` is float32, so that $\langle\hat e_t,\hat e_t\rangle$ is 1 only up to rounding. Near a certain target all of $L$ is smaller than that.
# - Nothing may flow into `unit`, even if it asks for gradients (why? see C3 in lesson 05), and each token has a weight of its own.

# %% tags=["answer:6.3"]
def mode_2(logits, targets, unit):
    """Mode 2, a scalar tensor, of logits (N, V) in any floating type, targets (N,), float32 unit rows (V, d)."""
    ### BEGIN SOLUTION
    z, u, hit = logits.to(torch.promote_types(logits.dtype, torch.float32)), unit.detach(), targets.unsqueeze(1)
    price = (1 - (u[targets] @ u.T).to(z.dtype)).clamp(min=0).scatter(1, hit, 0.0)  # an exact 0 for the target
    L = (torch.softmax(z, 1) * price).sum(1)
    behind = z.scatter(1, hit, -torch.inf).logsumexp(1) - z.gather(1, hit).squeeze(1)
    ce = torch.nn.functional.softplus(behind)  # log(1 + sum over the wrong tokens), by log1p where that is small
    sg = torch.where(ce > 0, L / ce.clamp(min=torch.finfo(z.dtype).tiny), 0.0).detach()
    return (sg * ce + L).mean()
    ### END SOLUTION

# %% tags=["tests:6.3", "points:5"]
def exact_mode_2(z, t, unit):
    """Value and gradient (N, V), token by token in float64, the target's own cost 0, its gradient by D1."""
    values, slopes = [], []
    for row, k in zip(np.asarray(z, float), t, strict=True):
        cost = np.maximum(1 - unit @ unit[k], 0) * (np.arange(len(unit)) != k)
        wrong = np.exp(np.delete(row, k) - row[k]).sum()
        p = softmax(row)
        L, ce = p @ cost, np.log1p(wrong)
        values.append(2 * L)
        push = p - np.eye(len(p))[k]
        push[k] = -wrong / (1 + wrong)
        slopes.append(L / ce * push + p * (cost - L))
    return np.mean(values), np.array(slopes) / len(values)

def compare(z, t, unit, rtol, dtype=torch.float64):
    x = torch.tensor(z, dtype=dtype).requires_grad_()
    loss = mode_2(x, torch.tensor(t), torch.tensor(unit, dtype=torch.float32))
    assert isinstance(loss, torch.Tensor) and loss.ndim == 0, "a scalar tensor, so that backward() can start there"
    loss.backward()
    wanted, slopes = exact_mode_2(x.detach().double().numpy(), t, unit.astype("float32").astype(float))
    assert torch.isfinite(loss), f"the loss is {loss.item()} for logits in {dtype}"
    assert np.isclose(loss.item(), wanted, rtol=rtol, atol=0), f"value {loss.item():.6g}, not {wanted:.6g}, for logits in {dtype}"
    gradient = x.grad.double().numpy()
    assert np.isfinite(gradient).all(), f"the gradient is not finite for logits in {dtype}"
    gap = np.abs(gradient - slopes).max() / np.abs(slopes).max()
    assert gap < max(rtol, 10 * torch.finfo(dtype).eps), f"the value is right, the gradient is off by {gap:.1%}: which factor is a constant?"

def certain(z, t, p_t):
    """The logits with the target's moved until its probability is p_t."""
    z = z.copy()
    for row, k in zip(z, t, strict=True):
        row[k] = np.log(np.exp(np.delete(row, k)).sum()) + np.log(p_t / (1 - p_t))
    return z

compare(LOGITS, TARGETS, UNIT, 1e-5)  # unit vectors in float32 allow no more
compare(LOGITS, TARGETS, UNIT, 1e-4, torch.float32)
compare(certain(LOGITS, TARGETS, 1 - 1e-5), TARGETS, UNIT, 1e-3, torch.float32)
compare(certain(LOGITS, TARGETS, 0.99), TARGETS, UNIT, 1e-3, torch.bfloat16)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 63])
for V, d in ((5, 3), (40, 8)):
    unit, z, t = costs.unit_rows(draw.normal(size=(V, d))), draw.normal(size=(6, V)), draw.integers(V, size=6)
    compare(z, t, unit, 1e-5)
    compare(10 * z, t, unit, 1e-5)
    compare(z + 500, t, unit, 1e-3, torch.float32)
    compare(certain(z, t, 0.99), t, unit, 1e-3, torch.float16)
    for p_t in (1e-4, 0.9999, 1 - 1e-6):
        compare(certain(z, t, p_t), t, unit, 1e-3, torch.bfloat16)
        compare(certain(z, t, p_t), t, unit, 1e-3, torch.float32)
    hopeless = np.where(np.arange(V) == t[:, None], -300.0, z)
    compare(hopeless, t, unit, 1e-5)
    compare(hopeless, t, unit, 1e-3, torch.bfloat16)
    for dtype in (torch.bfloat16, torch.float16, torch.float32, torch.float64):
        for lead in (-900.0, 900.0):  # hopeless, and certain beyond what the type can say
            x = torch.as_tensor(z).to(dtype).clone()
            x[torch.arange(6), torch.tensor(t)] = lead
            x.requires_grad_()
            value = mode_2(x, torch.tensor(t), torch.tensor(unit).float())
            value.sum().backward()
            assert torch.isfinite(value) and torch.isfinite(x.grad).all(), f"not finite for a target at {lead:g} in {dtype}"
            assert lead < 0 or (abs(value.item()) < 1e-12 and x.grad.double().abs().max() < 1e-12), "a certain target costs nothing"
asking = torch.tensor(unit, dtype=torch.float32, requires_grad=True)
before = asking.detach().clone()
mode_2(torch.tensor(z, requires_grad=True), torch.tensor(t), asking).backward()
assert asking.grad is None or not asking.grad.any(), "the cost must be frozen: gradients flow into the embedding"
assert torch.equal(before, asking.detach()), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 6.4 (D11, 5 points, 15 minutes)
#
# Walk in the space of logits and add up update · step. If the update $u$ is the gradient of some loss, the sum is how far you climbed, and 0 once you
# are back where you began. Write this sum for a closed polygon,
#
# $$\oint u\cdot dz=\sum_{\text{edges}}\int_0^1u\big(a+s(b-a)\big)\cdot(b-a)\,ds,$$
#
# right to about eight digits for edges of length up to 3 or so. Then look at mode 1: like Penrose's staircase it climbs all the way round and comes
# home (the other way round, it falls).

# %% tags=["answer:6.4"]
def circulation(update, corners):
    """Work of the field update ((V,) to (V,)) along the edges from each of the corners (m, V) to the next, and from the last to the first."""
    ### BEGIN SOLUTION
    nodes, weights = np.polynomial.legendre.leggauss(16)
    work = 0.0
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        for k in range(8):  # each edge in 8 parts
            work += sum(w * (update(a + (k + (1 + x) / 2) / 8 * (b - a)) @ (b - a)) for x, w in zip(nodes, weights, strict=True)) / 16
    return float(work)
    ### END SOLUTION

# %% tags=["tests:6.4", "points:5"]
def ce_update(z, target=0):
    return softmax(z) - np.eye(len(z))[target]

def mode_1_update(z, cost, target):
    """½(grad CE + CE/L grad L) of one label; cost (V,) to the target."""
    p = softmax(z)
    L = p @ cost
    return 0.5 * (p - np.eye(len(z))[target] - np.log(p[target]) / L * p * (cost - L))

triangle = np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 1]])
turning = lambda z: np.array([0.0, -z[2], z[1]])  # its work around a loop is twice the area
assert np.isclose(float(circulation(turning, triangle)), 1.0, atol=1e-9), "twice the triangle's area, 1: do you also walk from the last corner home?"
assert np.isclose(float(circulation(turning, triangle[::-1])), -1.0, atol=1e-9), "the other way round: the other sign"
assert abs(float(circulation(ce_update, triangle))) < 1e-8, "cross-entropy's update is a gradient: 0 (how fine are your steps?)"
staircase = float(circulation(lambda z: mode_1_update(z, worked.COST[:, 0], 0), triangle))
assert abs(staircase) > 1e-3, "mode 1 does not come home to where it left"
### BEGIN HIDDEN TESTS
from scipy.integrate import dblquad

draw = np.random.default_rng([SEED, 64])
for V, m in ((2, 3), (4, 5), (6, 3)):
    A, b, corners = draw.normal(size=(V, V)), draw.normal(size=V), draw.normal(size=(m, V))
    kept = corners.copy()
    wanted = sum(0.5 * (A @ (corners[k] + corners[k - 1])) @ (corners[k] - corners[k - 1]) for k in range(m))  # linear: the trapezoid is exact
    assert np.isclose(float(circulation(lambda z, A=A, b=b: A @ z + b, corners)), wanted, rtol=1e-8, atol=1e-9), "not the work in a linear field"
    assert np.array_equal(corners, kept), "your function changed its input"
    assert abs(float(circulation(lambda z: np.cos(z) + softmax(z), corners))) < 1e-7, "a gradient's work around a loop is 0"
    cost = np.append(0, draw.uniform(0.1, 1, size=V - 1))
    flat = np.where(np.arange(V) == 0, 0, 0.7)
    assert abs(float(circulation(lambda z, c=flat: mode_1_update(z, c, 0), corners))) < 1e-7, "with equal costs even mode 1 is a gradient"
    if V > 2:  # Green: the work around a square is the integral of the asymmetry D11 over it
        base = draw.normal(size=V)
        square = base + np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ np.eye(V)[[1, 2]]

        def asymmetry(y, x, base=base, cost=cost, V=V):
            p = softmax(base + x * np.eye(V)[1] + y * np.eye(V)[2])
            return p[1] * p[2] * (cost[2] - cost[1]) / (2 * p @ cost)

        wanted = dblquad(asymmetry, 0, 1, 0, 1, epsabs=1e-10)[0]
        found = float(circulation(lambda z, c=cost: mode_1_update(z, c, 0), square))
        assert np.isclose(found, wanted, rtol=1e-5, atol=1e-8), f"{found:.8f} around the square; D11 says {wanted:.8f}"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 6.5 (D2, 6 points, 20 minutes)
#
# A mixture that does have an objective: $\mathrm{CE}+\lambda L$. In one context with truth $\tau$ and a free model $p$ its mean over labels is
#
# $$F(p)=-\sum_i\tau_i\log p_i+\lambda\,p^\top C\tau .$$
#
# Find the $p$ at which it is least, to about eight digits. Begin with a $\tau$ without zeros: put a multiplier $\mu$ on $\sum_ip_i=1$ and find $\mu$
# by bisection. Then let some tokens (never all) have $\tau_i=0$: should a token that never comes be given mass? The cost need not be symmetric, and
# $\lambda$ may be 0 or large.

# %% tags=["answer:6.5"]
def resting_point(tau, cost, weight):
    """The p (V,) at which CE + weight * EMO is least, for the truth tau (V,) and cost (V, V)."""
    ### BEGIN SOLUTION
    comes = tau > 0
    price = weight * (cost @ tau)
    dear = price - price.min()
    total = lambda s: (tau[comes] / (s + dear[comes])).sum()
    p, bottom = np.zeros(len(tau)), 0.0
    if dear[comes].min() > 0 and total(0.0) < 1:  # the cheapest token never comes, and takes what the others leave
        p[dear.argmin()] = 1 - total(0.0)
    else:
        top = 1.0  # there the sum is at most 1
        for _halving in range(200):
            half = (bottom + top) / 2
            bottom, top = (half, top) if total(half) > 1 else (bottom, half)
        bottom = top
    p[comes] += tau[comes] / (bottom + dear[comes])
    return p / sum(p)
    ### END SOLUTION

# %% tags=["tests:6.5", "points:6"]
def objective(p, tau, cost, weight):
    seen = tau > 0
    return -(tau[seen] * np.log(p[seen])).sum() + weight * p @ cost @ tau

def certify(p, tau, cost, weight):
    """F is convex: p is the minimum exactly if no mass can move to where the slope of F is lower (Karush, Kuhn, Tucker)."""
    p, seen = np.asarray(p, float), tau > 0
    assert p.shape == tau.shape and np.isclose(p.sum(), 1, atol=1e-8) and (p > -1e-12).all(), "p must be a distribution"
    assert (p[seen] > 0).all(), "a token that comes must keep some probability"
    slopes = weight * (cost @ tau)
    slopes[seen] -= tau[seen] / p[seen]
    level, close = slopes[seen].mean(), 1e-5 * (1 + weight)
    assert np.ptp(slopes[seen]) < close, "F falls when mass moves between two tokens that come: their slopes differ"
    assert (slopes[~seen] > level - close).all(), "F falls when mass moves to a token that never comes but is near to those that do"
    assert (np.abs(slopes[~seen & (p > 1e-7)] - level) < close).all(), "a token that never comes has mass, though F falls without it"

truth, plain = np.array([0.5, 0.3, 0.2]), np.asarray(worked.COST)
assert np.allclose(resting_point(truth, plain, 0.0), truth, atol=1e-8), "without EMO the truth is the best"
for weight in (0.5, 1.0, 5.0):
    p = np.asarray(resting_point(truth, plain, weight), float)
    assert objective(p, truth, plain, weight) < objective(truth, truth, plain, weight), "the truth itself does better than your p"
    certify(p, truth, plain, weight)
zeros = np.array([0.5, 0.0, 0.5])  # Monday or banana; Tuesday is between them and never comes
for weight in (0.5, 50.0):
    certify(resting_point(zeros, plain, weight), zeros, plain, weight)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 65])
for k in range(40):
    V = int(draw.integers(3, 9))
    tau, cost = draw.dirichlet(np.full(V, 3.0)), draw.uniform(0.2, 1, size=(V, V)) * (1 - np.eye(V))
    if k % 2:  # some tokens never come, and one of those is near to all
        never = draw.permutation(V)[: draw.integers(1, V)]
        tau[never] = 0
        tau = tau / sum(tau)
        cost[never[0]] *= 0.2
    weight = float(draw.choice([0.0, 0.3, 2.0, 20.0]))
    kept = tau.copy(), cost.copy()
    certify(resting_point(tau, cost, weight), tau, cost, weight)
    assert np.array_equal(kept[0], tau) and np.array_equal(kept[1], cost), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 6.6 (D7, D9, 7 points, 22 minutes)
#
# One context, truth $\tau$ with all $\tau_i>0$, $V\ge2$, a free $p$ with all $p_i>0$. Prove:
#
# 1. For $\lambda>0$, the mean over labels of $\mathrm{CE}+\lambda L$ has exactly one minimum among distributions, and it is at $\tau$ only if all
#    entries of $C\tau$ are equal.
# 2. With the debiased score $B=\frac12|m_p-\hat e_t|^2$ in the place of $L$, the minimum is at $\tau$, and only there, for every embedding and every
#    $\lambda\ge0$.
# 3. Even under the 0/1 cost, where mode 1 *has* an objective (D11), its mean update is 0 at $p=\tau$ only if $\tau$ is uniform. (What does the
#    function $\frac{-x\log x}{1-x}$ do between 0 and 1?)

# %% [markdown] tags=["proof:6.6", "points:7"]
# ### BEGIN SOLUTION
# **1.** The mean is $F(p)=-\sum_i\tau_i\log p_i+\lambda\sum_ip_ig_i$ with $g=C\tau$. Its first part is strictly convex, each $-\tau_i\log p_i$ being
# so ($\tau_i>0$), and its second is linear: $F$ is strictly convex and has at most one minimum. There is one: near the boundary some $p_i\to0$ and
# $F\to\infty$, so that the infimum is approached within a compact set of distributions with all $p_i\ge\varepsilon$, where the continuous $F$ takes
# its least value. This minimum lies inside, so the slopes $\partial F/\partial p_i=-\tau_i/p_i+\lambda g_i$ all equal one multiplier, $-\mu$. At
# $p=\tau$ they are $-1+\lambda g_i$: equal only if all $g_i$ are (and then $\tau$ is the minimum, as $F$ is convex).
#
# **2.** With $\sum_t\tau_t\hat e_t=m_\tau$ and $|\hat e_t|=1$ the mean of $B$ is $\frac12\big(|m_p|^2-2\langle m_p,m_\tau\rangle+1\big)
# =\frac12|m_p-m_\tau|^2+\frac12(1-|m_\tau|^2)$. Its last term does not depend on $p$; the first is at least 0 and is 0 at $p=\tau$. The mean of CE is
# $H(\tau)+\mathrm{KL}(\tau\Vert p)$, least at $p=\tau$ and only there (Gibbs). A sum of two functions that are both least at $\tau$, one of them only
# there, is least there and only there. Nothing was asked of the embedding but unit rows, and $\lambda\ge0$ was used to keep the second term at least
# 0.
#
# **3.** Under the 0/1 cost $L=1-p_t$ and, by D1, $\partial L/\partial z_j=p_j(1-\delta_{jt}-1+p_t)=p_j(p_t-\delta_{jt})$. Put
# $w_t=\mathrm{CE}/L=\frac{-\log p_t}{1-p_t}$. The mean of $\nabla\mathrm{CE}$ at $p=\tau$ is $p-\tau=0$, so what is left of the mean update there is
#
# $$\tfrac12\sum_t\tau_tw_t\tau_j(\tau_t-\delta_{jt})=\tfrac12\tau_j\big(S-\tau_jw_j\big),\qquad S=\sum_t\tau_t\cdot\tau_tw_t .$$
#
# It is 0 for all $j$ exactly if $h(\tau_j)=\tau_jw_j$ is the same number for all $j$, $h(x)=\frac{-x\log x}{1-x}$ (then $S$ is that number too, the
# $\tau_t$ summing to 1). Now $h'(x)=\frac{x-1-\log x}{(1-x)^2}>0$ between 0 and 1, because $\log x<x-1$ for $x\ne1$. So $h$ is one to one, all
# $\tau_j$ are equal: $\tau$ is uniform. ∎
#
# **Rubric** (7 points). *Part 1, 2 points:* 1 for strict convexity with the existence of a minimum inside (0.5 if existence is missing); 1 for the
# slopes with a multiplier and their comparison at $\tau$. *Part 2, 2 points:* 1 for the mean of $B$ as a square and a constant (0.5 if the constant
# is merely claimed not to depend on $p$); 1 for the uniqueness, which must come from CE: $|m_p-m_\tau|=0$ alone does not give $p=\tau$. *Part 3, 3
# points:* 1 for the mean update at $\tau$, with CE's part recognised as 0; 1 for the condition that all $\tau_jw_j$ are equal; 1 for the monotone
# $h$, with a proof that it is. An example of one non-uniform $\tau$ gets 1 of the 3. Calculating with $w_t$ differentiated loses 1.
# ### END SOLUTION
