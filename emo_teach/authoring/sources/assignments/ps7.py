# %% [markdown]
# # Problem set 7 · Is it better, or only sharper?
#
# Seven problems to lesson 07, about 90 minutes, 30 points. Fill in what raises `NotImplementedError`, then run the cell of asserts below it; more
# asserts of the same kind are run when the set is graded. Name things as you like inside your functions, but keep the functions' names. Loops, NumPy,
# SciPy or torch: any way that gives the right numbers is right.
#
# $p$ is a model's law of the next word, $\tau$ (`truth`) the true one; arrays hold N contexts by V words. The truth is lesson 07's: domain B of the
# small world. Logarithms are natural.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import numpy as np
import torch
from emo_teach import studies, transport
from emo_teach.world import World

SEED = 0
rng = np.random.default_rng([SEED, 7])
A, B = World(shift=0.0), World(shift=1.0)
texts = B.sample(8, 12, seed=700 + SEED)
TRUTH = B.next_word(texts)[:, -1]  # (N, V)
LOGITS = np.log(A.next_word(texts)[:, -1]) + rng.normal(size=TRUTH.shape)  # domain A's laws, blurred: a model that has not yet seen domain B
CLASSES = B.classes  # number of each word's class of near-synonyms
topic_names = [B.class_names[k].split("/")[0] for k in CLASSES]
TOPICS = np.unique(topic_names, return_inverse=True)[1]  # number of each word's topic; each class lies in one topic
ROWS = studies.table("objectives")


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)

# %% [markdown]
# ## Problem 7.1 (A3, 3 points, 8 minutes)
#
# From logits and the truth: the mean over contexts of the forward $\mathrm{KL}(\tau\Vert p)$ and of the reverse $\mathrm{KL}(p\Vert\tau)$. Beware of
# two things. A logit may be 900 below the largest, so that its $p_i$ is 0 in floating point, though $\log p_i$ is a plain number. And the truth may
# hold zeros: they add nothing to the forward KL, and make the reverse KL infinite.

# %% tags=["answer:7.1"]
def both_kl(logits, truth):
    """Mean forward and mean reverse KL, two floats, in nats; logits and truth (N, V)."""
    ### BEGIN SOLUTION
    shifted = logits - logits.max(1, keepdims=True)
    log_model = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    present = truth > 0
    log_truth = np.log(np.where(present, truth, 1.0))
    ahead = (truth * (log_truth - log_model)).sum(1)
    behind = np.where(present, np.exp(log_model) * (log_model - log_truth), np.inf).sum(1)
    return float(ahead.mean()), float(behind.mean())
    ### END SOLUTION

# %% tags=["tests:7.1", "points:3"]
from scipy.special import rel_entr

forward, reverse = (float(x) for x in both_kl(LOGITS, TRUTH))
model = softmax(LOGITS)
assert not np.isclose(forward * np.log(2), rel_entr(TRUTH, model).sum(1).mean()) or forward == 0, "nats, not bits"
assert not np.isclose(forward, rel_entr(model, TRUTH).sum(1).mean()), "forward and reverse have changed places"
assert not np.isclose(forward, rel_entr(TRUTH.mean(0), model.mean(0)).sum()), "the KL of the mean laws is not the mean of the KLs"
assert np.isclose(forward, rel_entr(TRUTH, model).sum(1).mean()), "forward KL: sum of tau (log tau - log p) in each context, then the mean"
assert np.isclose(reverse, rel_entr(model, TRUTH).sum(1).mean()), "reverse KL: sum of p (log p - log tau) in each context, then the mean"
far = np.array([[0.0, -900.0]])
assert np.isclose(both_kl(far, np.array([[0.5, 0.5]]))[0], 450 - np.log(2)), "on paper: half of 900, less log 2; take log p from the logits"
assert np.isclose(both_kl(np.zeros((1, 2)), np.array([[1.0, 0.0]]))[0], np.log(2)), "a word that never comes adds nothing to the forward KL"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 71])
for N, V in ((1, 2), (5, 4), (3, 30)):
    z, tau = 4 * draw.normal(size=(N, V)), draw.dirichlet(np.ones(V), N)
    kept = z.copy(), tau.copy()
    for given in (z, z + 1000):
        forward, reverse = (float(x) for x in both_kl(given, tau))
        assert np.isclose(forward, rel_entr(tau, softmax(z)).sum(1).mean(), rtol=1e-9, atol=1e-11), "forward KL, large logits too"
        assert np.isclose(reverse, rel_entr(softmax(z), tau).sum(1).mean(), rtol=1e-9, atol=1e-11), "reverse KL, large logits too"
    assert np.array_equal(kept[0], z) and np.array_equal(kept[1], tau), "your function changed its input"
    holes = tau * (np.arange(V) != V - 1)
    holes /= holes.sum(1, keepdims=True)
    forward, reverse = (float(x) for x in both_kl(z, holes))
    assert np.isclose(forward, rel_entr(holes, softmax(z)).sum(1).mean(), rtol=1e-9), "zeros of the truth add nothing to the forward KL"
    assert reverse == np.inf, "the model says what the truth never does: the reverse KL is infinite"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 7.2 (D8, 5 points, 15 minutes)
#
# Lesson 07 measures with a cost of 0.1 to a near-synonym and 1 to any other word. Let there be one level more: `prices = (a, b, c)` with $0\le a\le
# b\le c$, $a$ to a word of the same class, $b$ to one of another class of the same topic, $c$ to any other, 0 for staying. Return the exact earth
# mover's distance of each context, in closed form, fast enough for thousands of contexts. (How much must move at all? How much
# must leave its class, its topic? Total variation answers all three, and one plan does it all with no detour.)

# %% tags=["answer:7.2"]
def tree_emd(p, truth, classes, topics, prices):
    """Earth mover's distance (N,) from p to truth (N, V) under the three prices; classes and topics (V,) are numbers."""
    ### BEGIN SOLUTION
    surplus = np.subtract(p, truth)
    moved = lambda labels: sum(np.abs(surplus[:, labels == k].sum(1)) for k in np.unique(labels)) / 2
    steps = np.diff([0.0, *prices])  # what each level adds to the price
    return sum(step * moved(labels) for step, labels in zip(steps, (np.arange(len(classes)), classes, topics), strict=True))
    ### END SOLUTION

# %% tags=["tests:7.2", "points:5"]
def tree_cost(classes, topics, prices):
    """The cost matrix itself, for a linear program."""
    cost = np.where(classes[:, None] == classes, prices[0], np.where(topics[:, None] == topics, prices[1], prices[2]))
    return cost * (1 - np.eye(len(classes)))

example = np.array([[0.4, 0.1, 0.3, 0.2]]), np.array([[0.1, 0.2, 0.3, 0.4]]), np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1])
# on paper: 0.1 goes to the neighbour in the class, 0.2 goes to the other topic
paper = np.asarray(tree_emd(*example, (0.1, 0.5, 1.0)), float)
assert paper.shape == (1,), "one distance for each context"
assert not np.isclose(paper[0], 0.42), "total variation is half the sum of absolute differences"
assert np.isclose(paper[0], 0.1 * 0.1 + 0.2 * 1.0), "0.1 moves within a class, 0.2 to another topic; is the dearer step paid on top of the cheaper?"
found = np.asarray(tree_emd(softmax(LOGITS), TRUTH, CLASSES, TOPICS, (0.1, 0.5, 1.0)), float)
for n in range(2):
    wanted = transport.emd(softmax(LOGITS)[n], TRUTH[n], tree_cost(CLASSES, TOPICS, (0.1, 0.5, 1.0))).value
    assert np.isclose(found[n], wanted, rtol=1e-6), f"context {n}: {found[n]:.6f}, the linear program finds {wanted:.6f}"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 72])
for V in (3, 6, 10):
    for prices in ((0.1, 0.5, 1.0), (0.0, 0.3, 2.0), (0.2, 0.2, 0.9), (1.0, 1.0, 1.0)):
        classes = draw.integers(V, size=V)
        topics = draw.integers(3, size=V)[classes]  # each class in one topic
        p, tau = draw.dirichlet(np.full(V, 0.5), 4), draw.dirichlet(np.full(V, 0.5), 4)
        kept = p.copy(), tau.copy()
        wanted = [transport.emd(*pair, tree_cost(classes, topics, prices)).value for pair in zip(p, tau, strict=True)]
        found = np.asarray(tree_emd(p, tau, classes, topics, prices), float)
        assert np.allclose(found, wanted, rtol=1e-6, atol=1e-8), f"not what the linear program finds, for prices {prices}"
        assert np.array_equal(kept[0], p) and np.array_equal(kept[1], tau), "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 7.3 (D2, 4 points, 10 minutes)
#
# Lesson 07 matches temperatures by the entropy. Another measure of sharpness is the *collision probability* $\sum_ip_i^2$: how likely two draws from
# the same context agree. Find the temperature $T$ at which the mean collision probability over the contexts of $\mathrm{softmax}(z/T)$ is that of
# another model, $\mathrm{softmax}(z')$. It never rises as $T$ grows; some temperature between 0.001 and 1000 will do.

# %% tags=["answer:7.3"]
def matched(logits, other):
    """Temperature of the model with logits (N, V) at which it collides as often as the one with the logits other (N, V) does at 1."""
    ### BEGIN SOLUTION
    def collisions(z):
        weight = np.exp(z - z.max(1, keepdims=True))
        return np.mean((weight**2).sum(1) / weight.sum(1) ** 2)

    goal, left, right = collisions(other), -7.0, 7.0  # of log T
    for _ in range(100):
        centre = (left + right) / 2
        if collisions(logits * np.exp(-centre)) > goal:
            left = centre
        else:
            right = centre
    return float(np.exp(right))
    ### END SOLUTION

# %% tags=["tests:7.3", "points:4"]
T = float(matched(LOGITS, 2.0 * LOGITS))
assert not np.isclose(T, 2.0), "upside down: logits / T, so that a T below 1 sharpens"
assert np.isclose(T, 0.5, rtol=1e-6), "twice the logits are a temperature of 1/2"
sharper = LOGITS + 1.5 * rng.normal(size=LOGITS.shape)
T, wanted = float(matched(LOGITS, sharper)), (softmax(sharper) ** 2).sum(1).mean()
assert np.isclose((softmax(LOGITS / T) ** 2).sum(1).mean(), wanted, rtol=1e-6), "not the other's: square in each context, then the mean"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 73])
for N, V, true_T in ((4, 3, 0.1), (4, 6, 0.7), (8, 30, 3.0), (5, 10, 60.0)):
    z = draw.normal(size=(N, V))
    kept = z.copy()
    T = float(matched(z + 800, z / true_T - 800))  # rounding of 1e-13 in the logits, over slopes of 1e-5 or more
    assert np.isclose(T, true_T, rtol=1e-5), f"temperature {T:.6g}, not {true_T}; large logits must not overflow"
    assert np.array_equal(z, kept), "your function changed its input"
    other = draw.normal(size=(N, V))
    T = float(matched(z, other))
    assert np.isclose((softmax(z / T) ** 2).sum(1).mean(), (softmax(other) ** 2).sum(1).mean(), rtol=1e-6), "not the other's collision probability"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 7.4 (C4, 4 points, 10 minutes)
#
# Lesson 07's verdicts rest on one interval. `first` and `second` map a seed to a result, in any order, and runs are missing here and there. Pair what
# can be paired and return the ends of the interval of Student's $t$ for the mean of first − second, at the confidence `level`. Fewer than two pairs
# are a `ValueError`.

# %% tags=["answer:7.4"]
def interval(first, second, level=0.95):
    """(low, high) of the mean paired difference; first and second are dictionaries from seeds to numbers."""
    ### BEGIN SOLUTION
    from scipy.stats import t as student

    gaps = np.array([first[seed] - second[seed] for seed in first.keys() & second.keys()])
    if gaps.size < 2:
        raise ValueError(f"{gaps.size} seeds are in both: an interval takes two")
    half = student.ppf((1 + level) / 2, gaps.size - 1) * gaps.std(ddof=1) / np.sqrt(gaps.size)
    return float(gaps.mean() - half), float(gaps.mean() + half)
    ### END SOLUTION

# %% tags=["tests:7.4", "points:4"]
from scipy.stats import ttest_rel

def of_table(objective, metric, regime="many texts"):
    return {row["seed"]: row[metric] for row in ROWS if (row["objective"], row["regime"]) == (objective, regime)}

low, high = interval({1: 2.0, 2: 4.0, 3: 9.0}, {3: 6.0, 2: 2.0, 1: 1.0})  # differences 1, 2, 3
assert np.isclose(low + high, 4.0), "the middle is the mean of the differences, seed by seed, whatever the order"
assert not np.isclose(high - low, 2 * 1.96 / 3**0.5, rtol=1e-3), "with three seeds Student's t has much fatter tails than the normal law"
assert np.isclose(high - low, 2 * 4.302653 / 3**0.5, rtol=1e-5), "t of 2 degrees of freedom is 4.30 at 95 %; times s / sqrt(n), s with n - 1"
mode_1, plain = of_table("emo-mode-1", "forward_kl"), of_table("ce", "forward_kl")
low, high = interval(mode_1, plain)
a, b = (np.array([found[seed] for seed in sorted(found)]) for found in (mode_1, plain))
wanted = ttest_rel(a, b).confidence_interval(0.95)
assert np.allclose((low, high), (wanted.low, wanted.high)), "not the paired interval of lesson 07's table"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 74])
for n, level in ((2, 0.95), (5, 0.95), (5, 0.8), (12, 0.99)):
    hard = draw.normal(size=n) * 10
    seeds = draw.permutation(100)[: n + 2].tolist()
    one = {seed: hard[k] + draw.normal() for k, seed in enumerate(seeds[:n])} | {seeds[n]: 500.0}
    two = {seeds[k]: hard[k] + draw.normal() for k in draw.permutation(n).tolist()} | {seeds[n + 1]: -500.0}
    kept = dict(one), dict(two)
    wanted = ttest_rel([one[seed] for seed in seeds[:n]], [two[seed] for seed in seeds[:n]]).confidence_interval(level)
    assert np.allclose(interval(one, two, level), (wanted.low, wanted.high), rtol=1e-7), f"{n} common seeds, level {level}: not the paired interval"
    assert kept == (one, two), "your function changed its input"
for one, two in (({1: 2.0}, {1: 3.0}), ({1: 2.0, 2: 3.0}, {2: 1.0, 3: 1.0}), ({1: 1.0, 2: 5.0}, {3: 1.0, 4: 2.0})):
    try:
        interval(one, two)
    except ValueError:
        continue
    raise AssertionError("fewer than two seeds in common must raise ValueError")
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 7.5 (C4, 4 points, 14 minutes)
#
# MAUVE is the area under a curve that depends on a constant and on the grid of mixtures. A relative without either is the *frontier integral* of Liu
# et al. ([2021](https://arxiv.org/abs/2106.07898)): with $r_\lambda=\lambda p+(1-\lambda)q$,
#
# $$\mathrm{FI}(p,q)=2\int_0^1\lambda\,\mathrm{KL}(p\Vert r_\lambda)+(1-\lambda)\,\mathrm{KL}(q\Vert r_\lambda)\,d\lambda .$$
#
# It is 0 for equal laws and 1 for laws that share nothing. Compute it to seven digits for laws of any kind: zeros in either, $p$ equal to $q$, or all
# but equal. (A sum over words of a function of $p_i$ and $q_i$: the integral can be done on paper. A good quadrature passes, too.)

# %% tags=["answer:7.5"]
def frontier_integral(p, q):
    """Frontier integral, a float between 0 and 1, of two laws (V,)."""
    ### BEGIN SOLUTION
    # word by word: (p + q)/2 - p q (log p - log q)/(p - q), whose second part is the geometric mean times x / sinh x, x = log(p/q)/2
    shared = (p > 0) & (q > 0)
    x = 0.5 * np.log(p[shared] / q[shared])
    small = np.abs(x) < 1e-4
    bell = np.where(small, 1 - x**2 / 6, x / np.where(small, 1.0, np.sinh(x)))
    return float(1 - (np.sqrt(p[shared] * q[shared]) * bell).sum())
    ### END SOLUTION

# %% tags=["tests:7.5", "points:4"]
from scipy.integrate import quad

def by_quadrature(p, q):
    def inside(share):
        r = share * p + (1 - share) * q
        return share * rel_entr(p, r).sum() + (1 - share) * rel_entr(q, r).sum()

    return 2 * quad(inside, 0, 1, epsabs=1e-12, epsrel=1e-11, limit=500)[0]

heads, tails = np.array([1.0, 0.0]), np.array([0.0, 1.0])
assert np.isclose(frontier_integral(heads, tails), 1.0, atol=1e-7), "laws that share nothing are at 1; 0 log 0 is 0, and is the 2 in front there?"
assert np.isclose(frontier_integral(heads, heads), 0.0, atol=1e-7), "equal laws are at 0 (0/0 has a limit)"
for n in range(3):
    found, wanted = float(frontier_integral(softmax(LOGITS)[n], TRUTH[n])), by_quadrature(softmax(LOGITS)[n], TRUTH[n])
    assert np.isclose(found, wanted, atol=2e-7), f"context {n}: {found:.8f}, careful quadrature finds {wanted:.8f}"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 75])
for V in (2, 5, 40):
    for _pair in range(3):
        p, q = draw.dirichlet(np.full(V, 0.5)), draw.dirichlet(np.full(V, 0.5))
        p[draw.integers(V)] = 0
        q[draw.integers(V)] = 0
        p, q = (p / p.sum(), q / q.sum()) if p.sum() * q.sum() > 0 else (np.eye(V)[0], np.eye(V)[1])
        kept = p.copy(), q.copy()
        assert np.isclose(float(frontier_integral(p, q)), by_quadrature(p, q), atol=2e-7), "not the integral"
        assert np.array_equal(kept[0], p) and np.array_equal(kept[1], q), "your function changed its input"
    for tiny in (0.0, 1e-12, 1e-9, 1e-5):
        near = q * (1 + tiny * draw.normal(size=V))
        assert abs(float(frontier_integral(near / near.sum(), q))) < 1e-7, "laws that are all but equal are all but at 0"
    lean = draw.dirichlet(np.ones(V)) * 1e-9 + np.eye(V)[0] * (1 - 1e-9)
    assert np.isclose(float(frontier_integral(lean, np.full(V, 1 / V))), by_quadrature(lean, np.full(V, 1 / V)), atol=2e-7), "tiny probabilities"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 7.6 (A9, 4 points, 12 minutes)
#
# A colleague trains a model with CE + EMO. The step below raises no error, and its loss falls:
#
# ```python
# def train_step(model, optimizer, batch, frozen, pad):
#     z = model(batch)
#     unit = torch.nn.functional.normalize(model.head.weight, dim=-1)
#     ce = torch.nn.functional.cross_entropy(z.flatten(0, 1), batch.flatten(), reduction="none")
#     L = 1 - ((z.softmax(-1) @ unit) * unit[batch]).sum(-1).flatten()
#     loss = ((ce + L) * (batch.flatten() != pad)).mean()
#     loss.backward()
#     optimizer.step()
#     return loss.item()
# ```
#
# It has four faults. Find them and write the step as it should be. `model(batch)` gives logits (B, T, V) for words (B, T); `frozen` (V, d) is the
# head as it was before training, its rows of any length; a label `pad` does not count. Return the loss before the step, as a float.

# %% tags=["answer:7.6"]
def train_step(model, optimizer, batch, frozen, pad):
    """One step on the mean of CE + EMO over the labels that count; returns that mean."""
    ### BEGIN SOLUTION
    guesses, labels = model(batch)[:, :-1], batch[:, 1:]
    counts = labels != pad
    guesses, labels = guesses[counts], labels[counts]
    directions = frozen.detach() / frozen.detach().norm(dim=1, keepdim=True)
    log_p = guesses.log_softmax(-1)
    similar = (log_p.exp() @ directions * directions[labels]).sum(-1)
    score = (1 - similar - log_p[torch.arange(len(labels)), labels]).mean()
    for move in (optimizer.zero_grad, score.backward, optimizer.step):
        move()
    return score.item()
    ### END SOLUTION

# %% tags=["tests:7.6", "points:4"]
class Bigrams(torch.nn.Module):
    """A very small language model: the next word's logits from the last word alone."""

    def __init__(self, words, width, seed):
        super().__init__()
        made = np.random.default_rng(seed)
        self.embedding = torch.nn.Parameter(torch.tensor(made.normal(size=(words, width))))
        self.head = torch.nn.Linear(width, words, bias=False, dtype=torch.float64)
        self.head.weight.data = torch.tensor(made.normal(size=(words, width)))

    def forward(self, batch):
        return self.head(self.embedding[batch])

def expected(model, batch, frozen, pad, rate):
    """Loss and weights after one step of plain gradient descent, by complex steps."""
    batch, frozen = batch.numpy(), frozen.detach().numpy()
    unit = frozen / np.linalg.norm(frozen, axis=1, keepdims=True)
    pairs = [(row[i], row[i + 1]) for row in batch for i in range(len(row) - 1) if row[i + 1] != pad]

    def score(parts):
        total = 0
        for now, then in pairs:
            e = np.exp(parts[1] @ parts[0][now])
            total = total - np.log(e[then] / e.sum()) + (e / e.sum()) @ (1 - unit @ unit[then])
        return total / len(pairs)

    start = [weight.detach().numpy().astype(complex) for weight in (model.embedding, model.head.weight)]
    after = [part.real.copy() for part in start]
    for part, new in zip(start, after, strict=True):
        for place in np.ndindex(part.shape):
            part[place] += 1e-30j
            new[place] -= rate * score(start).imag / 1e-30
            part[place] = part[place].real
    return score(start).real, after

def try_steps(batch, pad, words=5, width=3, rate=0.1, seed=7, steps=2):
    model = Bigrams(words, width, seed)
    frozen, optimizer = 3 * model.head.weight.detach().clone(), torch.optim.SGD(model.parameters(), lr=rate)
    kept = frozen.clone(), batch.clone()
    for step in range(steps):
        value, weights = expected(model, batch, frozen, pad, rate)
        loss = float(train_step(model, optimizer, batch, frozen, pad))
        assert np.isclose(loss, value), f"step {step}: the loss is {loss:.6f}, not {value:.6f}; which label belongs to which guess, and which count?"
        found = [weight.detach().numpy() for weight in (model.embedding, model.head.weight)]
        assert all(map(np.allclose, found, weights)), f"step {step}: the loss is right, the new weights are not; what do the gradients pass through?"
    assert torch.equal(kept[0], frozen) and torch.equal(kept[1], batch), "your function changed the frozen head or the batch"

try_steps(torch.tensor([[0, 1, 2, 3], [0, 4, 1, 0]]), pad=0)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 76])
for pad in (0, 3, -100):
    sample = torch.tensor(draw.integers(1, 5, size=(3, 5)))
    sample[0, 3:] = max(pad, 0)
    try_steps(sample, pad, seed=int(draw.integers(1000)), steps=3)
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 7.7 (D2, 6 points, 20 minutes)
#
# What does a temperature change, and why is it the right control? Let $p_1,\dots,p_N$ be a model's laws in $N$ contexts, all entries above 0, and
# $p_n^{(T)}=\mathrm{softmax}(\log p_n/T)$. Write $\bar H(q)$ for the mean entropy of laws $q_1,\dots,q_N$. Prove:
#
# 1. In one context, with $p^{(T)}=\mathrm{softmax}(z/T)$: $\frac{d}{dT}H(p^{(T)})=\frac1{T^3}\mathrm{Var}_{p^{(T)}}(z)$. So the entropy grows
#    strictly with $T$ unless all logits are equal.
# 2. Let $0<T\le1$. Among all laws $q_1,\dots,q_N$ with mean entropy at most $\bar H(p^{(T)})$, those nearest to the model in the mean of
#    $\mathrm{KL}(q_n\Vert p_n)$ are $q_n=p_n^{(T)}$, with *one* temperature for all contexts. (Begin with $\mathrm{KL}(q_n\Vert p_n^{(T)})\ge0$.)
# 3. In one or two sentences: what does 2 say about MLE at matched temperature, and what does it *not* say about the truth $\tau$?

# %% [markdown] tags=["proof:7.7", "points:6"]
# ### BEGIN SOLUTION
# **1.** Put $\beta=1/T$ and $\log Z(\beta)=\log\sum_ie^{\beta z_i}$, so that $\log p_i=\beta z_i-\log Z$ and $H=\log Z-\beta\,\mathrm E z$. Here
# $\frac{d}{d\beta}\log Z=\mathrm Ez$, and, since $\frac{dp_i}{d\beta}=p_i(z_i-\mathrm Ez)$, $\frac{d}{d\beta}\mathrm Ez=\sum_ip_i(z_i-\mathrm Ez)z_i
# =\mathrm{Var}(z)$. So $\frac{dH}{d\beta}=\mathrm Ez-\mathrm Ez-\beta\mathrm{Var}(z)=-\beta\mathrm{Var}(z)$, and with
# $\frac{d\beta}{dT}=-\frac1{T^2}$, $\frac{dH}{dT}=\frac{\beta}{T^2}\mathrm{Var}(z)=\frac{\mathrm{Var}(z)}{T^3}$. All $p_i$ are above 0, so the
# variance is 0 only if all $z_i$ are equal.
#
# **2.** With $\beta=1/T\ge1$, $\log p_n^{(T)}=\beta\log p_n-\log Z_n$. For any law $q_n$
#
# $$0\le\mathrm{KL}(q_n\Vert p_n^{(T)})=-H(q_n)-\beta\,\mathrm E_{q_n}\log p_n+\log Z_n,$$
#
# so that $-\mathrm E_{q_n}\log p_n\ge\frac1\beta\big(H(q_n)-\log Z_n\big)$, with equality only for $q_n=p_n^{(T)}$ (Gibbs). Put this into
# $\mathrm{KL}(q_n\Vert p_n)=-H(q_n)-\mathrm E_{q_n}\log p_n$ and take the mean over contexts:
#
# $$\overline{\mathrm{KL}}(q\Vert p)\ \ge\ -\big(1-\tfrac1\beta\big)\bar H(q)-\tfrac1\beta\overline{\log Z}\ \ge\
# -\big(1-\tfrac1\beta\big)\bar H(p^{(T)})-\tfrac1\beta\overline{\log Z}=\overline{\mathrm{KL}}(p^{(T)}\Vert p).$$
#
# The second step uses $1-\frac1\beta\ge0$ and $\bar H(q)\le\bar H(p^{(T)})$; the last is the first one for $q=p^{(T)}$, where it is an equality. If
# some $q_n\ne p_n^{(T)}$, the first step is strict. One $\beta$ for all contexts was needed to sum up the entropies into their mean.
#
# **3.** Of all ways to make a model as sharp as EMO's (in mean entropy), a temperature moves it least in reverse KL: whatever a trained rival gains
# over the matched MLE is more than sharpening for free. It does not say that the tempered model is nearest to $\tau$ among laws of that entropy:
# another way of sharpening may be farther from $p$ and nearer to $\tau$, and that is just what a comparison has to find out. ∎
#
# **Rubric** (6 points). *Part 1, 2 points:* 1 for the derivative of the mean of $z$ as its variance, 1 for the result with $T^3$ and the case of
# equality. *Part 2, 3 points:* 1 for the expansion of $\mathrm{KL}(q_n\Vert p_n^{(T)})$ with the normaliser; 1 for the bound, with the place named
# where $T\le1$ enters; 1 for equality and uniqueness, and for seeing that it is the *mean* entropy that one temperature serves. A Lagrange multiplier
# that finds the stationary point without showing that it is the minimum gets 2 of the 3. *Part 3, 1 point:* 0.5 for "least change of the model",
# 0.5 for "says nothing about $\tau$".
# ### END SOLUTION
