# %% [markdown]
# # Problem set 1 · Cross-entropy, KL and honest scores
#
# Six problems to lesson 01, about 75 minutes, 29 points. Fill in what raises `NotImplementedError`, then run the cell of asserts below it; more
# asserts of the same kind are run when the set is graded. Name things as you like inside your functions, but keep the functions' names. Loops,
# NumPy or torch: any way that gives the right numbers is right.
#
# $\tau$ is a label, $p$ a model, $z$ its logits, $p=\mathrm{softmax}(z)$. All logarithms are natural unless a problem says bits.

# %% tags=["bootstrap"]

# %% tags=["setup"]
from decimal import Decimal, localcontext
import numpy as np

SEED = 0
rng = np.random.default_rng([SEED, 1])
WORDS = ["Monday", "Tuesday", "Friday", "banana"]
TEXTS = rng.choice(["Monday", "Tuesday", "banana"], size=200, p=[0.5, 0.35, 0.15])

# %% [markdown]
# ## Problem 1.1 (A2, 3 points, 6 minutes)
#
# 200 texts went on after "See you on" as `TEXTS` says. Turn such a list into the soft label $\tau$ over a given vocabulary: shares in the
# vocabulary's order, summing to 1. A word that never came has share 0; a text outside the vocabulary is an error (`ValueError`).

# %% tags=["answer:1.1"]
def soft_label(texts, vocabulary):
    """Shares (n,) of the vocabulary's words among the texts."""
    ### BEGIN SOLUTION
    strange = set(texts) - set(vocabulary)
    if strange:
        raise ValueError(f"not in the vocabulary: {sorted(strange)}")
    counted = [sum(text == word for text in texts) for word in vocabulary]
    return np.array(counted) / len(texts)
    ### END SOLUTION

# %% tags=["tests:1.1", "points:3"]
handed = TEXTS.copy()
tau = np.asarray(soft_label(handed, WORDS), float)
assert tau.shape == (4,), "one share for each word of the vocabulary"
assert np.isclose(tau.sum(), 1), "shares sum to 1: divide by the number of texts"
assert tau[2] == 0, "Friday never came"
assert np.isclose(tau[0], np.mean(TEXTS == "Monday")), "the order is the vocabulary's"
assert np.allclose(soft_label(["Friday", "Monday"], ["Monday", "Friday"]), 0.5), "plain lists of words are texts too"
assert np.array_equal(handed, TEXTS), "your function changed its input"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 11])
for size in (1, 7, 7, 60):
    shuffled = [str(word) for word in draw.permutation(WORDS)]
    again = [str(word) for word in draw.choice(WORDS, size=size)]
    kept = list(again)
    given = np.asarray(soft_label(again, shuffled), float)
    assert given.shape == (4,) and np.allclose(given, [kept.count(word) / size for word in shuffled]), "shares in the order of the vocabulary"
    assert again == kept, "your function changed its input"
try:
    soft_label(["Sunday", "Monday"], WORDS)
except ValueError:
    pass
else:
    raise AssertionError("a text outside the vocabulary must raise ValueError")
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.2 (A2, 4 points, 8 minutes)
#
# Cross-entropy from *logits*, one number for each row. Three things that happen in real training: logits as large as $\pm10^4$; soft labels; and a
# grammar that forbids some tokens by giving them the logit $-\infty$, so that $p_i=0$ exactly. (A label that wants a forbidden token has an infinite
# loss. No row forbids everything.) Taking `np.log` of a finished softmax fails at the first.

# %% tags=["answer:1.2"]
def logit_cross_entropy(logits, tau):
    """CE(tau, softmax(logits)) of each row, in nats: (N,), for logits (N, n) and labels (N, n)."""
    ### BEGIN SOLUTION
    above = logits.max(axis=1, keepdims=True)
    level = above + np.log(np.exp(logits - above).sum(axis=1, keepdims=True))  # of the whole row
    wanted = tau > 0
    behind = np.where(wanted, level - np.where(wanted, logits, 0.0), 0.0)
    return np.einsum("ni,ni->n", tau, behind)
    ### END SOLUTION

# %% tags=["tests:1.2", "points:4"]
def exact_cross_entropy(z, tau):
    """The same for one row, finite where the label is above 0, with 50 digits: no exponential is too large for `Decimal`."""
    with localcontext() as context:
        context.prec = 50
        total = sum(Decimal(float(each)).exp() for each in z if each > -np.inf).ln()
        return float(sum(Decimal(float(share)) * (total - Decimal(float(each))) for each, share in zip(z, tau, strict=True) if share > 0))

z = np.array([[2.0, 1.0, 0.0], [1e4, 0.0, -1e4], [3.0, -np.inf, 1.0], [0.0, 0.0, 0.0]])
tau = np.array([[0.6, 0.4, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [1.0, 0.0, 0.0]])
before = z.copy(), tau.copy()
found = np.asarray(logit_cross_entropy(z, tau), float)
assert found.shape == (4,), "one loss for each row: no mean over rows"
assert not np.isnan(found).any(), "nan: 0 times infinity (forbidden and not wanted costs nothing), or infinity minus infinity"
assert np.isclose(found[3], np.log(3)), "equal logits of three tokens: log 3 nats"
assert np.isclose(found[1], 15000), "row 1 is 15000. Infinite, or cut off? Take the largest logit away before exp, and no log of p"
assert np.allclose(found, [exact_cross_entropy(*row) for row in zip(z, tau, strict=True)], rtol=1e-9), "not CE: compare with A2 on paper"
assert float(logit_cross_entropy(z[2:3], np.array([[0.5, 0.5, 0.0]]))[0]) == np.inf, "a label that wants a forbidden token has an infinite loss"
assert np.array_equal(before[0], z) and np.array_equal(before[1], tau), "your function changed its input"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 12])
for scale, n in ((1, 4), (30, 6), (3000, 5), (1e4, 3)):
    many, labels = draw.normal(scale=scale, size=(6, n)), draw.dirichlet(np.full(n, 0.5), 6)
    many[0] = scale * draw.choice([-1, 1], size=n)
    labels[1] = np.eye(n)[draw.integers(n)]
    many[2, 0], labels[2] = -np.inf, np.r_[0, draw.dirichlet(np.ones(n - 1))]
    many[3] = draw.choice([-1, 1]) * scale  # all equal, far from 0
    old = many.copy(), labels.copy()
    found = np.asarray(logit_cross_entropy(many, labels), float)
    expected = [exact_cross_entropy(*row) for row in zip(many, labels, strict=True)]
    assert found.shape == (6,) and np.allclose(found, expected, rtol=1e-9, atol=1e-9), f"wrong for logits around {scale:g}"
    assert np.array_equal(old[0], many) and np.array_equal(old[1], labels), "your function changed its input"
    labels[2] = 1 / n
    assert np.asarray(logit_cross_entropy(many, labels), float)[2] == np.inf, "a label that wants a forbidden token: infinite"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.3 (A1, 4 points, 10 minutes)
#
# A model read a batch of texts: `losses[b, i]` is $-\log p$ of the token `labels[b, i]`, in nats (already aligned). Where the label is `ignore_index`
# there is only padding; its loss counts nowhere. Papers report two numbers of such a batch:
#
# - the *perplexity*, $e^{\text{mean loss per token}}$: as unsure as among so many equally likely tokens;
# - *bits per byte*: all losses together, in bits, divided by the number of bytes of all tokens together. `sizes[k]` is the number of bytes of token
#   $k$.
#
# Only the second can be compared between models that cut texts into tokens differently, as the last visible assert shows.

# %% tags=["answer:1.3"]
def corpus_scores(losses, labels, sizes, ignore_index=-100):
    """(perplexity, bits per byte) of losses (B, T) in nats and labels (B, T), for tokens with sizes (V,) in bytes."""
    ### BEGIN SOLUTION
    real = labels != ignore_index
    nats = float(losses[real].sum())
    return np.exp(nats / real.sum()), nats / (np.log(2) * sizes[labels[real]].sum())
    ### END SOLUTION

# %% tags=["tests:1.3", "points:4"]
pieces = [b"See", b" you", b" on", b" Monday", b"\n"]
sizes = np.array([len(piece) for piece in pieces])
losses = np.log(2) * np.array([[4.0, 3.0, 2.0, 8.0], [5.0, 1.0, 6.0, 6.0]])  # 4 bits for "See", 3 for " you", ...
labels = np.array([[0, 1, 2, 3], [0, 4, -100, -100]])
found = corpus_scores(losses, labels, sizes)
assert len(found) == 2, "return two numbers: the perplexity and the bits per byte"
perplexity, bits_per_byte = (float(each) for each in found)
assert not np.isclose(perplexity, 2 ** (35 / 8)), "the two padded places were counted"
assert not np.isclose(perplexity, (2 ** (17 / 4) + 2**3) / 2), "that is a mean over the texts: all tokens count alike, whichever text they are in"
assert np.isclose(perplexity, 2 ** (23 / 6)), "23 bits for 6 tokens: a perplexity of 2 to the 23/6"
assert not np.isclose(bits_per_byte, 23 / 6), "that is bits per *token*"
assert np.isclose(bits_per_byte, 23 / 21), "23 bits (not nats) for 17 + 4 bytes; does -100 count from the end of `sizes`?"
coarse = corpus_scores(np.full((1, 4), np.log(2) * 34 / 4), np.array([[0, 1, 2, 3]]), sizes)  # 34 bits for "See you on Monday", cut in 4 ...
fine = corpus_scores(np.full((1, 17), np.log(2) * 2), np.zeros((1, 17), int), np.ones(1, int))  # ... and the same 34 bits, cut in 17
assert np.isclose(coarse[1], fine[1]) and not np.isclose(coarse[0], fine[0]), "one text, one probability: the same bits per byte, however it is cut"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 13])
for ignored in (-100, 0, 7):
    tokens = draw.integers(1, 7, size=(5, 9))
    tokens[draw.random((5, 9)) < 0.3] = ignored
    tokens[1] = ignored
    token_bytes, probability = draw.integers(1, 9, size=120), draw.uniform(0.05, 1, size=(5, 9))
    minus_log = -np.log(probability)
    old = minus_log.copy(), tokens.copy(), token_bytes.copy()
    found = [float(each) for each in corpus_scores(minus_log, tokens, token_bytes, ignore_index=ignored)]
    product, length, count = 1.0, 0, 0
    for b in range(5):
        for i in range(9):
            if tokens[b, i] != ignored:
                product, length, count = product * probability[b, i], length + token_bytes[tokens[b, i]], count + 1
    assert np.isclose(found[0], product ** (-1 / count), rtol=1e-9), "perplexity: one over the geometric mean of the tokens' probabilities"
    assert np.isclose(found[1], -np.log2(product) / length, rtol=1e-9), "bits per byte: of all tokens together"
    same = all(np.array_equal(a, b) for a, b in zip(old, (minus_log, tokens, token_bytes), strict=True))
    assert same, "your function changed its input"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.4 (A3, 5 points, 15 minutes)
#
# A weather service is paid by a score: it announces $p$, then outcome $t$ comes, and it loses `score(p, t)`. If it believes $\tau$, it expects to
# lose $S(p;\tau)=\sum_t\tau_t\,\mathrm{score}(p,t)$. A *lie that pays* is a pair $(\tau,p)$ with $S(p;\tau)$ below $S(\tau;\tau)$ by 0.01 or more.
#
# Write a hunt for such lies, for three outcomes: return `(tau, p)`, or `None` where you found none. The score may look at all of $p$, and may be
# infinite where some $p_i=0$. The scores in the asserts are either proper, or so bad that for a quarter of all $\tau$ or more (drawn evenly from all
# distributions) some lie saves 0.02. Some tempt you to exaggerate, others to hedge. `rng` is a random generator that you may use.

# %% tags=["answer:1.4"]
def paying_lie(score, rng):
    """A pair tau (3,), p (3,) such that who believes tau gains 0.01 by saying p, or None; score(p, t) is a float."""
    ### BEGIN SOLUTION
    said = np.vstack([rng.dirichlet(np.ones(3), size=400), np.eye(3)])
    lost = np.array([[score(q, outcome) for outcome in range(3)] for q in said])  # (403, 3): what each announcement loses
    for q, own in zip(said[:400], lost, strict=False):  # no corners: to believe in one outcome alone is 0 times infinity
        expected = np.where(np.isfinite(lost).all(1), np.nan_to_num(lost, posinf=0.0) @ q, np.inf)
        if expected.min() < own @ q - 0.012:
            return q, said[expected.argmin()]
    return None
    ### END SOLUTION

# %% tags=["tests:1.4", "points:5"]
def log_score(p, t):
    return -np.log(p[t]) if p[t] > 0 else np.inf

def linear_score(p, t):
    return 1 - p[t]

def hedgers_score(p, t):
    return 1 / p[t] if p[t] > 0 else np.inf

def saved(score, tau, p):
    """What the lie saves, counted outcome by outcome."""
    truth = told = 0.0
    for t in range(3):
        if tau[t] > 0:
            truth, told = truth + tau[t] * score(tau, t), told + tau[t] * score(p, t)
    return truth - told

def check_hunt(score, proper, seed):
    answer = paying_lie(score, np.random.default_rng([SEED, seed]))
    if proper:
        assert answer is None, f"{score.__name__} is proper: no lie pays, so your pair is none (do you weight by tau, and leave room for rounding?)"
        return
    assert answer is not None, f"{score.__name__} invites lies, and you found none: try other tau, and p sharper and flatter than tau"
    tau, p = (np.asarray(each, float) for each in answer)
    for each in (tau, p):
        assert each.shape == (3,) and (each >= 0).all() and np.isclose(each.sum(), 1, atol=1e-9), "tau and p are distributions over three outcomes"
    assert saved(score, tau, p) >= 0.01, f"under {score.__name__} your lie saves {saved(score, tau, p):.4f}: is tau the belief and p the lie?"

check_hunt(log_score, True, 141)
check_hunt(linear_score, False, 142)
check_hunt(hedgers_score, False, 143)
### BEGIN HIDDEN TESTS
def brier(p, t):
    return ((np.asarray(p) - np.eye(3)[t]) ** 2).sum()

def spherical(p, t):
    return -p[t] / np.linalg.norm(p)

def ranked(p, t):  # of ordered outcomes
    return ((np.cumsum(p) - (np.arange(3) >= t)) ** 2).sum()

def sharpened_log(p, t):
    return -2 * np.log(p[t]) + np.log((np.asarray(p) ** 2).sum()) if p[t] > 0 else np.inf

def root_score(p, t):
    return 1 - np.sqrt(p[t])

def length_score(p, t):
    return np.linalg.norm(np.asarray(p) - np.eye(3)[t])

def rewarded_entropy(p, t):
    return log_score(p, t) - 0.5 * sum(-x * np.log(x) for x in p if x > 0)

def priced_log(p, t):
    return 5 + 3 * log_score(p, t) + t

def taxed_brier(p, t):
    return brier(p, t) + 0.4 * p[0]

for k, (score, proper) in enumerate(
    [
        (brier, True),
        (spherical, True),
        (ranked, True),
        (priced_log, True),
        (sharpened_log, False),
        (root_score, False),
        (length_score, False),
        (rewarded_entropy, False),
        (taxed_brier, False),
    ]
):
    check_hunt(score, proper, 150 + k)
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.5 (A2, 7 points, 20 minutes)
#
# A finished model is often overconfident. The simplest cure (Guo et al., [*On calibration of modern neural
# networks*](https://arxiv.org/abs/1706.04599), 2017): choose one temperature $T$ for $\mathrm{softmax}(z/T)$, the one with the least mean
# cross-entropy on held-out texts. Write it, right to one part in ten thousand. $T$ may lie anywhere between $10^{-4}$ and $10^4$. Two cases have no
# such $T$, and you should recognise them *before* you search:
#
# - each label has the largest logit of its row (shared or not): the sharper the better, return `0.0`;
# - even at first sight the logits tell nothing, or lie, about the labels: the flatter the better, return `np.inf`. (How can you tell? See the slope
#   of the loss at $1/T=0$, and problem 1.6.)
#
# In no assert are both true.

# %% tags=["answer:1.5"]
def best_temperature(logits, targets):
    """T in [0, inf] with the least mean CE of softmax(logits / T); logits (N, V), targets (N,)."""
    ### BEGIN SOLUTION
    hit = logits[np.arange(len(targets)), targets]
    if np.all(hit == logits.max(1)):
        return 0.0
    if hit.mean() <= logits.mean():
        return float("inf")

    def surplus(beta):  # of the logit that the model expects over the one that came: grows with beta = 1/T
        weights = np.exp(beta * (logits - logits.max(1, keepdims=True)))
        return ((weights * logits).sum(1) / weights.sum(1) - hit).mean()

    low, high = 1e-5, 1e5
    while high / low > 1 + 1e-9:
        centre = np.sqrt(low * high)
        low, high = (centre, high) if surplus(centre) < 0 else (low, centre)
    return float(1 / high)
    ### END SOLUTION

# %% tags=["tests:1.5", "points:7"]
def held_out_slope(logits, targets, T):
    """Derivative of the mean CE with respect to log T by a complex step, which loses no digits by subtraction."""
    z = (logits - logits.max(1, keepdims=True)) / (T * np.exp(1e-30j))
    loss = np.log(np.exp(z).sum(1)) - z[np.arange(len(z)), targets]
    return loss.mean().imag / 1e-30

def check_temperature(logits, targets):
    old = logits.copy(), targets.copy()
    T = float(best_temperature(logits, targets))
    assert 0 < T < np.inf, f"T = {T}: here a temperature in between is best"
    assert held_out_slope(logits, targets, T * (1 - 1e-4)) < 0, f"T = {T:.6g} is too high: a lower one is better"
    assert held_out_slope(logits, targets, T * (1 + 1e-4)) > 0, f"T = {T:.6g} is too low: a higher one is better"
    assert np.array_equal(old[0], logits) and np.array_equal(old[1], targets), "your function changed its input"

own_rng = np.random.default_rng([SEED, 5])
honest = own_rng.normal(size=(500, 8))
drawn = (honest + own_rng.gumbel(size=(500, 8))).argmax(1)  # labels drawn from softmax(honest)
check_temperature(1.0 * honest, drawn)
check_temperature(3 * honest, drawn)  # overconfident: T near 3
check_temperature(0.5 * honest - 700, drawn)
assert best_temperature(honest, honest.argmax(1)) == 0, "always right: the sharper the better"
assert best_temperature(honest, honest.argmin(1)) == np.inf, "always wrong: the flatter the better"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 15])
for N, V, scale in ((400, 5, 1.0), (300, 12, 1500.0), (300, 3, 2e-3), (60, 2, 40.0), (200, 6, 0.1)):
    true = draw.normal(size=(N, V))
    came = (true + draw.gumbel(size=(N, V))).argmax(1)
    check_temperature(scale * true + 50 * scale * draw.normal(size=(N, 1)), came)
nearly = np.zeros((50, 3))
nearly[:, 0] = 1.0
check_temperature(nearly, np.r_[np.zeros(49, int), 1])  # one in fifty comes otherwise: the loss is finite and has a least value
tied = np.array([[2.0, 2.0, 0.0], [1.0, 3.0, 3.0]])
assert best_temperature(tied, np.array([1, 2])) == 0, "a largest logit that is shared is a largest logit"
check_temperature(np.array([[0.0, 1.0, 5.0], [0.0, 4.5, 5.0]]), np.array([1, 1]))  # never the favourite, and yet better than an even guess
assert best_temperature(np.array([[0.0, 1.0, 5.0], [9.0, 2.0, 1.0]]), np.array([1, 1])) == np.inf, "worse than an even guess: the flatter the better"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 1.6 (A2, 6 points, 15 minutes)
#
# Problem 1.5 works because its function has no false valley. Write $\beta=1/T$ and, for held-out logits $z^{(1)},\dots,z^{(N)}$ with labels
# $t_1,\dots,t_N$,
#
# $$F(\beta)=\frac1N\sum_{k=1}^N\Big(\log\sum_ie^{\beta z^{(k)}_i}-\beta z^{(k)}_{t_k}\Big).$$
#
# 1. Show that $F'(\beta)$ is the mean, over $k$, of *the logit that the model expects*, $\sum_ip_iz_i$ with $p=\mathrm{softmax}(\beta z)$, minus *the
#    logit of the label that came*.
# 2. Show that $F''(\beta)$ is a mean of variances. When is it 0?
# 3. Suppose that some row does not give its label the largest logit, and that $F'(0)<0$. Prove that $F$ has exactly one minimum in $\beta>0$.

# %% [markdown] tags=["proof:1.6", "points:6"]
# ### BEGIN SOLUTION
# **1.** Differentiate one term. The first part gives $\sum_iz_ie^{\beta z_i}/\sum_je^{\beta z_j}=\sum_ip_iz_i$, the second $-z_t$. Average over $k$.
#
# **2.** From $\log p_i=\beta z_i-\log\sum_je^{\beta z_j}$ and part 1, $dp_i/d\beta=p_i(z_i-m)$, where $m=\sum_jp_jz_j$. Therefore
# $\frac{d}{d\beta}\sum_ip_iz_i=\sum_ip_i(z_i-m)z_i=\sum_ip_iz_i^2-m^2$, the variance of $z_i$ when $i$ is drawn from $p$. The label's logit does
# not depend on $\beta$. So $F''(\beta)=\frac1N\sum_k\mathrm{Var}_{p^{(k)}}\big(z^{(k)}\big)\ge0$. All $p_i$ are positive, so a variance is 0 only
# where all logits of a row are equal, and $F''(\beta)=0$ (for one $\beta$, and then for all) only if that is so in every row.
#
# **3.** A row whose label lacks the largest logit has two different logits, so $F''>0$ everywhere by part 2: $F'$ grows strictly, and has at most
# one zero. It starts below 0. As $\beta\to\infty$, $p^{(k)}$ goes to the even distribution over the largest logits of its row, because
# $e^{\beta(z_i-\max z)}\to0$ for all others. So $\sum_ip_iz_i\to\max_iz_i$, and $F'(\beta)\to\frac1N\sum_k(\max_iz^{(k)}_i-z^{(k)}_{t_k})$: no term
# is negative and one at least is positive. So $F'$ is positive for large $\beta$, and continuous: it has a zero $\beta^*>0$, exactly one. $F$ falls
# before it and rises behind it, so $\beta^*$ is the one minimum. ∎
#
# **Rubric** (6 points). *Part 1, 1 point.* *Part 2, 2 points:* 1 for the derivative of $p$, or of the quotient, carried through to the variance; 1
# for the case of 0 (equal logits in *every* row, with $p_i>0$ named as the reason). *Part 3, 3 points:* 1 for strict growth of $F'$, hence at most
# one zero (convexity alone, not strict, gets 0.5: the minimum could be a plateau); 1 for the limit of $F'$ and its sign, with the first assumption
# used; 1 for the conclusion by continuity and $F'(0)<0$. A proof that only says "convex, so it has a minimum" gets 0 of the last two: $e^{-\beta}$
# has none.
# ### END SOLUTION
