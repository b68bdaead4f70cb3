# %% [markdown] meets="the earth mover's distance as a linear program, its dual"
# # 03 · What does it cost to move probability?
#
# **You will be able to** solve a small transport problem by hand and *prove* your answer best, write it as a linear program, read its dual as prices,
# and name costs that need no solver.
#
# **Needs** lessons 01 and 02, matrices. **Takes** about 45 minutes. **Formulas** A4, D6, D8.

# %% tags=["bootstrap"]

# %%
import time
import numpy as np
from scipy.optimize import linprog
from emo_teach import check, costs, divergences, figures, pictures, transport, verify, worked
from emo_teach.explorers import lesson03_transport
from emo_teach.words import load_words
rng = np.random.default_rng(0)

# %% [markdown]
# ## Moving earth
#
# Lesson 02 ended with a distance that knows what is near. Picture $p$ as piles of earth, one per token, and $\tau$ as holes that take just as much.
# Carrying a unit from pile $i$ to hole $j$ costs $c_{ij}$. (Ours is a *cosine cost*; lesson 05 says where it comes from.)

# %%
print("           pile  hole   cost to Monday, Tuesday, banana")
for token, pile, hole, row in zip(worked.TOKENS, worked.P, worked.TAU, worked.COST, strict=True):
    print(f"{token:9} {pile:5.1f} {hole:5.1f}   {row}")

# %% [markdown]
# A *plan* (or *coupling*) carries $\gamma_{ij}\ge 0$ from $i$ to $j$, uses up every pile and fills every hole. (No kin of lesson 02's dial
# $\gamma$.) The *earth mover's distance* (EMD) is the cost of the cheapest:
#
# $$\mathcal C[p,\tau]=\min_{\gamma\ge 0}\ \sum_{ij}\gamma_{ij}\,c_{ij}
# \quad\text{subject to}\quad \sum_j\gamma_{ij}=p_i,\quad \sum_i\gamma_{ij}=\tau_j \tag{A4}$$
#
# **On paper.** Banana has 0.2 too much; Monday and Tuesday each lack 0.1. The obvious plan sends it straight to where it is missing: $0.1\times
# 1+0.1\times 0.4=0.14$. Try to beat it before you read on.
#
# Send *all* of it to Tuesday, $0.2\times 0.4=0.08$. Tuesday then has 0.1 of its own to spare for Monday, $0.1\times 0.2=0.02$. Total 0.10: a relay.

# %%
straight = np.array([[0.5, 0.0, 0.0], [0.0, 0.3, 0.0], [0.1, 0.1, 0.0]])
relay = np.array([[0.5, 0.0, 0.0], [0.1, 0.2, 0.0], [0.0, 0.2, 0.0]])
for plan in (straight, relay):
    fits = np.allclose(plan.sum(axis=1), worked.P) and np.allclose(plan.sum(axis=0), worked.TAU)
    print(f"piles and holes fit: {fits}, cost {(plan * worked.COST).sum():.2f}")
plans = {"straight": straight, "relay": relay}
pictures.show(*figures.moved_plans(worked.P, worked.TAU, worked.COST, plans, worked.TOKENS))

# %% [markdown]
# (Grey earth stays, for free.) The relay pays because banana to Tuesday to Monday costs $0.4+0.2$, and banana straight to Monday 1. A *metric*
# forbids such bargains by its triangle inequality, $c_{ik}\le c_{ij}+c_{jk}$: no detour is cheaper. Ours breaks it, so it is no metric.
#
# Is 0.10 best? So far it is a bargain, not a proof.
#
# ## A linear program
#
# The cost is linear in the plan's nine cells, and so are the conditions on row and column sums: a *linear program*. In full, the plan read row by
# row:

# %%
A_eq = np.array([
    [1, 1, 1, 0, 0, 0, 0, 0, 0],  # leaves Monday
    [0, 0, 0, 1, 1, 1, 0, 0, 0],  # leaves Tuesday
    [0, 0, 0, 0, 0, 0, 1, 1, 1],  # leaves banana
    [1, 0, 0, 1, 0, 0, 1, 0, 0],  # arrives at Monday
    [0, 1, 0, 0, 1, 0, 0, 1, 0],  # arrives at Tuesday
    [0, 0, 1, 0, 0, 1, 0, 0, 1],  # arrives at banana
])
b_eq = np.concatenate([worked.P, worked.TAU])
print("rank", np.linalg.matrix_rank(A_eq), "from", len(A_eq), "rows")

# %% [markdown]
# Six conditions, but rank $2n-1=5$: the first three and the last three have the same sum, so one follows from the others.
#
# Ask two independent solvers: HiGHS, scipy's own, for any linear program; and the *network simplex* of POT (Python Optimal Transport), for transport
# only, which `transport.emd` calls.

# %%
general = linprog(worked.COST.ravel(), A_eq=A_eq, b_eq=b_eq)
solved = transport.emd(worked.P, worked.TAU, worked.COST)
print(f"HiGHS {general.fun:.4f}   POT {solved.value:.4f}   largest difference of the plans {abs(general.x - solved.plan.ravel()).max():.0e}")
print(solved.plan)

# %% [markdown]
# Both find our relay.
#
# ### Exercise 03.1 (A4, 8 minutes)
#
# Write the conditions for any $n$: first the $n$ row sums, then the $n$ column sums, acting on `plan.ravel()`.
#
# <details><summary>I do not see how to build the matrix</summary>
#
# Use a double loop: cell (i, j) is entry i * n + j of the flattened plan and appears in two conditions.
# </details>

# %% tags=["exercise:03.1"]
def marginal_constraints(p, tau):
    """A_eq (2n, n * n) and b_eq (2n,) with A_eq @ plan.ravel() = b_eq, for p (n,) and tau (n,)."""
    raise NotImplementedError

# %% tags=["check:03.1"]
check.run("03.1", marginal_constraints)

# %% [markdown]
# ## The haulier's prices
#
# A haulier offers to do the work. He charges $u_i$ per unit picked up at $i$ and $v_j$ per unit delivered at $j$; how he drives is his affair. (A
# negative price is a discount.) You accept if no trip costs more than driving it yourself:
#
# $$u_i+v_j\le c_{ij}\quad\text{for all } i,j. \tag{D6}$$
#
# Within that limit he wants the largest bill, $\sum_i p_iu_i+\sum_j\tau_jv_j$. This is the *dual* problem; $u$ and $v$ are *potentials*. His bill
# never exceeds the cost of a plan $\gamma$ of yours (*weak duality*): use his limit and $\gamma_{ij}\ge0$, then the row and column sums,
#
# $$\sum_{ij}\gamma_{ij}c_{ij}\ \ge\ \sum_{ij}\gamma_{ij}(u_i+v_j)\ =\ \sum_i p_iu_i+\sum_j\tau_jv_j .$$
#
# Both sides are equal when every cell in use is *tight*: $\gamma_{ij}>0$ only where $u_i+v_j=c_{ij}$. This is *complementary slackness*, and it will
# prove the relay best.
#
# **On paper.** One condition was superfluous, so one price is free: set $v_{\text{Monday}}=0$ and make the four cells of the relay tight:
#
# - Monday to Monday costs 0, so $u_{\text{Monday}}=0$; Tuesday to Monday costs 0.2, so $u_{\text{Tuesday}}=0.2$.
# - Tuesday to Tuesday costs 0, so $v_{\text{Tuesday}}=-0.2$; banana to Tuesday costs 0.4, so $u_{\text{banana}}=0.6$.
#
# Nothing is delivered to banana, so $v_{\text{banana}}$ need not be tight, only low enough: at most $-0.6$, for banana to banana costs 0. Take that.
# The bill: $0.3\times 0.2+0.2\times 0.6-0.4\times 0.2=0.10$. Plan and bill meet, so neither can be improved.

# %%
u, v = np.array([0.0, 0.2, 0.6]), np.array([0.0, -0.2, -0.6])
for i, j in np.ndindex(3, 3):
    trip, cost, price = f"{worked.TOKENS[i]:7} to {worked.TOKENS[j]:7}", worked.COST[i, j], u[i] + v[j]
    print(f"{trip}  moved {relay[i, j]:.1f}  cost {cost:.1f}  price {price:4.1f}  slack {cost - price:.1f}")
print(f"bill {worked.P @ u + worked.TAU @ v:.2f}")

# %% [markdown]
# No slack is negative, and where something moves it is 0. (Banana to banana, tight and unused, is allowed.)
#
# That such prices *always* exist is *strong duality*, a theorem on linear programs that have a solution. `transport.emd` returns them, with the `gap`
# between plan and bill. You need not trust a solver: check its proof.

# %%
piles, holes = rng.dirichlet(np.ones(20), 200), rng.dirichlet(np.ones(20), 200)
many = transport.emd_many(piles, holes, rng.uniform(size=(200, 20, 20)))
print(f"200 random problems, largest gap {np.abs(many.gap).max():.1e}")
print("u, ours and the solver's:", u, solved.u.round(2))
print("v, ours and the solver's:", v, solved.v.round(2))

# %% [markdown]
# Ours differ by a constant: raise all $u_i$ and lower all $v_j$ by the same amount, and no bill changes. To fix it, `emd` makes $\sum_j\tau_jv_j=0$,
# so that $p\cdot u$ alone is the distance.
#
# ### Exercise 03.2 (D6, 8 minutes)
#
# Given a plan with the right sums, and prices: do they prove each other optimal? Leave room for rounding, say $10^{-9}$.
#
# <details><summary>I accept a proof that is wrong</summary>
#
# Check two things: the limit in every cell, tightness in the cells that carry mass.
# </details>

# %% tags=["exercise:03.2"]
def proves_optimal(plan, u, v, cost):
    """True if potentials u (n,), v (n,) prove that plan (n, n) is optimal for cost (n, n)."""
    raise NotImplementedError

# %% tags=["check:03.2"]
check.run("03.2", proves_optimal)

# %% [markdown]
# ## What one more unit costs
#
# D6 does not mention $p$. So the same prices are allowed for any other $p'$, and by weak duality $\mathcal C[p',\tau]\ge p'\cdot u+\tau\cdot v$,
# with equality at $p$: a straight line (plane) that touches the distance from below, a tangent. Where the tangent is unique, its slope is the
# derivative: move $\epsilon$ of the mass from token $k$ to token $i$, and the distance grows by $\epsilon\,(u_i-u_k)$.

# %%
h = 1e-6
distance = lambda p: transport.emd(p, worked.TAU, worked.COST).value
for i, k in [(2, 0), (2, 1), (1, 0)]:
    step = h * (np.eye(3)[i] - np.eye(3)[k])
    slope = (distance(worked.P + step) - distance(worked.P - step)) / (2 * h)
    print(f"{worked.TOKENS[k]:7} to {worked.TOKENS[i]:7}: measured {slope:.6f}, u_i - u_k = {solved.u[i] - solved.u[k]:.6f}")

# %% [markdown]
# A unit that strays from Monday to banana costs 0.6, not 1: the price knows about the relay. For how long?

# %%
t = np.linspace(-0.2, 0.5, 141)
models = worked.P + np.outer(t, [-1, 0, 1])
values = transport.emd_many(models, worked.TAU, worked.COST).value
figure = pictures.new_figure(6.4, 3)
with pictures.rc_context(pictures.STYLE):
    axes = figure.subplots()
    axes.plot(t, values, color=pictures.COLOURS["emd"], lw=2, label="EMD")
    axes.plot(t, models @ u + worked.TAU @ v, "--", color=pictures.COLOURS["ink"], lw=1, label="tangent p·u + τ·v")
    axes.plot(0, solved.value, "o", color=pictures.COLOURS["p"], label="our p")
    axes.set(xlabel="mass moved from Monday to banana", ylabel="cost")
    axes.legend()
kinks = " and ".join(f"{x:.1f}" for x in t[1:-1][np.abs(np.diff(values, 2)) > 1e-9])
pictures.show(figure, f"EMD as mass moves: straight pieces with kinks at {kinks}; the tangent of slope {u[2] - u[0]:.1f} touches between them.")

# %% [markdown]
# Until 0.2: there Tuesday has nothing left to pass on, and a unit costs its full 1. (Left of $-0.1$ Monday has too much itself and sends the rest to
# Tuesday: a unit that strays costs $0.4$ and saves $0.2$.) By strong duality the distance is the highest of all allowed bills, and each bill is
# linear in $p$: so the distance is convex, with corners where several price lists are optimal.
#
# ## Few cells do all the work
#
# Let a plan send earth from Monday to Tuesday, some back, and leave some at both. Wasteful: keep $\epsilon$ more at home on either side, and no sum
# changes, but $(0.2+0.2)\,\epsilon$ is saved.
#
# So it goes in general. Draw piles and holes as dots, cells in use as lines, like the picture above. If lines close a circuit, add $\epsilon$ to
# every second cell of it and take $\epsilon$ from the others: all sums stay. The cost changes in proportion to $\epsilon$, so in one of the two
# directions it does not rise. Go that way until a cell is empty, and repeat until no circuit is left.
#
# Draw the lines that are left one by one: each joins two parts that were separate, or it would close a circuit. So $m$ piles and $n$ holes
# (empty ones not counted) have at most $m+n-1$. Such a plan is *basic*: some optimal plan always is (D6), and simplex methods find one. Our relay:
# $3+2-1=4$ cells.

# %%
used = (many.plan > 1e-12).sum(axis=(1, 2))
print("20 random piles and holes, cells used:", np.unique(used), "of", many.plan[0].size)
same = np.full(20, 1 / 20)
print("20 equal piles and holes, cells used:", (transport.emd(same, same, rng.uniform(size=(20, 20))).plan > 1e-12).sum())

# %% [markdown]
# Equal piles need fewer still. Without circuits some dot has one line only; that line carries the whole pile and fills its hole. Strike both, and so
# on: the plan just pairs them up.
#
# ## Costs that need no solver
#
# **The 0/1 cost.** Every move costs 1, so a plan costs what does not stay, $1-\sum_i\gamma_{ii}$. At most $\min(p_i,\tau_i)$ can stay at $i$. A plan
# can keep that much everywhere and send the rest anyhow. As $\min(a,b)=\tfrac12(a+b-|a-b|)$,
#
# $$\mathcal C[p,\tau]=1-\sum_i\min(p_i,\tau_i)=\tfrac12\sum_i|p_i-\tau_i|, \tag{D8}$$
#
# lesson 02's total variation, the share that must move. Here: $\tfrac12(0.1+0.1+0.2)=0.2$.
#
# **Ordered classes**, say ratings, with cost $|i-j|$. Let $P_b=p_1+\dots+p_b$ and $T_b$ likewise. Left of the border between $b$ and $b+1$ lies
# $P_b-T_b$ too much (or too little), so at least $|P_b-T_b|$ must cross it. A trip from $i$ to $j$ crosses $|i-j|$ borders: the cost is at least
# $\sum_b|P_b-T_b|$. The plan that keeps the order (first grain to first place) crosses no border both ways, so over each goes just $|P_b-T_b|$: it
# attains the bound. With our three in a row: $|0.5-0.6|+|0.8-1|=0.3$.
#
# The solver agrees with both formulas:

# %%
print(f"|i-j| on the worked example: {transport.emd(worked.P, worked.TAU, costs.ordinal(3)).value:.1f}")
shortcuts = {"0/1": (costs.zero_one, divergences.total_variation), "|i-j|": (costs.ordinal, transport.emd_1d)}
for name, (cost, shortcut) in shortcuts.items():
    exact = transport.emd_many(piles, holes, cost(20)).value
    short = [shortcut(p, tau) for p, tau in zip(piles, holes, strict=True)]
    print(f"{name:5}: largest error over 200 problems {abs(exact - short).max():.0e}")

# %% [markdown]
# ### Exercise 03.3 (D8, 5 minutes)
#
# Write the distance under the cost $|i-j|$ without a solver.
#
# <details><summary>My value does not depend on how far the mass moves</summary>
#
# Sum up from the left first, then compare.
# </details>

# %% tags=["exercise:03.3"]
def ordered_emd(p, tau):
    """Earth mover's distance of p (n,) and tau (n,) under the cost |i - j|, a float."""
    raise NotImplementedError

# %% tags=["check:03.3"]
check.run("03.3", ordered_emd)

# %% [markdown]
# **Powers, $|i-j|^k$.** Is keeping the order still best? If trips $i\to j$ and $i'\to j'$ cross, $i<i'$ but $j'<j$, uncross them: send $i$ to $j'$
# and $i'$ to $j$. That never costs more if
#
# $$c_{ij'}+c_{i'j}\le c_{ij}+c_{i'j'}\qquad\text{for all } i<i',\ j'<j,$$
#
# which holds for $k\ge 1$, where $|x|^k$ is convex: the uncrossed differences have the same sum and lie closer together. Testing neighbours is
# enough: add up their inequalities over a block of cells, and all but its four corners cancels.

# %%
for k in (0.5, 1, 2, 3):
    c = costs.ordinal(8, k)
    change = c[:-1, :-1] + c[1:, 1:] - c[:-1, 1:] - c[1:, :-1]
    print(f"k = {k:3}: uncrossing neighbours changes the cost by {change.max():+.2f} at most")

# %% [markdown]
# **On paper**, for $k<1$: take $p=(\tfrac12,\tfrac12,0)$ and $\tau=(0,\tfrac12,\tfrac12)$. Keeping the order moves both halves one step, at a cost of
# 1; leaving the middle in place and jumping over it costs $\tfrac12\,2^k$, which is less exactly when $k<1$.

# %%
order = np.array([[0, 0.5, 0], [0, 0, 0.5], [0, 0, 0]])
jump = np.array([[0, 0, 0.5], [0, 0.5, 0], [0, 0, 0]])
for k in (0.25, 0.5, 1, 2):
    c = costs.ordinal(3, k)
    exact = transport.emd(order.sum(axis=1), order.sum(axis=0), c).value
    print(f"k = {k:4}: keep the order {(order * c).sum():.4f}   jump {(jump * c).sum():.4f}   exact {exact:.4f}")

# %% [markdown]
# ### Predict first
#
# Below, one $p$ and one $\tau$ over eight classes, under four costs (dark is dear; the words label rows and columns of the last). A green dot is
# mass carried from its row to its column. Under which costs will as much stay (on the diagonal) as can? Under which will the dots keep the order, a
# staircase down to the right?

# %%
pictures.show(*lesson03_transport.panel())

# %% [markdown]
# The squared distance keeps the order and moves nearly everything a little: it loves relays, for two steps of 1 cost 2 and one of 2 costs 4. The 0/1
# cost and $|i-j|^{0.25}$ are metrics: earth that leaves a pile while other earth arrives gains nothing by the stop, so what can stay stays. The
# cosine is no metric; here it behaves like one, but our relay took 0.1 from Tuesday, which lacked 0.1 itself.
#
# Now try to make the plan jump with $k$ above 1 (you cannot), and find a square (a tight cell) without a dot.

# %%
lesson03_transport.explorer()

# %% [markdown]
# ## Why not for a whole vocabulary?
#
# GPT-2 knows 50,257 tokens, and the program has a variable for each pair:

# %%
V = 50257
print(f"{V**2:.2e} variables, {2 * V} conditions; the cost matrix takes {V**2 * 8 / 1e9:.1f} GB in float64")

# %% [markdown]
# And time? We take $n$ English words at random, under their cosine cost (lesson 05):

# %% tags=["timing"]
cosine, sizes, medians = costs.cosine(load_words().embedding), (100, 200, 400, 800), []
for n in sizes:
    seconds = []
    for _ in range(5):
        pick = rng.choice(len(cosine), n, replace=False)
        problem = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n)), cosine[np.ix_(pick, pick)]
        begun = time.perf_counter()
        transport.emd(*problem)
        seconds.append(time.perf_counter() - begun)
    medians.append(np.median(seconds))
    print(f"n = {n:4}: {1000 * medians[-1]:7.2f} ms")
exponent, offset = np.polyfit(np.log(sizes), np.log(medians), 1)
print(f"time grows like n^{exponent:.2f}; extrapolated to n = {V}: {np.exp(offset) * V**exponent / 60:.1f} minutes")

# %% [markdown]
# That is *one* predicted token; a training batch has thousands. The last figure lies far beyond the measurement and changes from run to run. Never
# mind: a few minutes or many, it is hopeless.
#
# ## The usual way out blurs
#
# Let the plan also pay for straying from the *product plan* $p_i\tau_j$, which serves all holes from every pile: minimise
# $\sum_{ij}\gamma_{ij}c_{ij}+\varepsilon\,\mathrm{KL}(\gamma\Vert p\,\tau^{\mathsf T})$. The best plan then has the form
# $a_i\,e^{-c_{ij}/\varepsilon}\,b_j$, and *Sinkhorn's iteration* finds it by rescaling rows and columns in turn until the sums fit: a few
# matrix-vector products instead of a program. But an exponential is never 0, so now every pile serves every hole a little:

# %%
for epsilon in (0.05, 0.1, 1, 10):
    plan = transport.entropic(worked.P, worked.TAU, worked.COST, epsilon)[1]
    print(f"epsilon {epsilon:5}: transport cost {(plan * worked.COST).sum():.4f}, banana to Monday {plan[2, 0]:.1e}")
print(f"product plan : transport cost {worked.P @ worked.COST @ worked.TAU:.4f}, banana to Monday {worked.P[2] * worked.TAU[0]:.1e}")
home = transport.entropic(worked.P, worked.P, worked.COST, 0.1)[1]
print(f"from p to p itself, epsilon 0.1: transport cost {(home * worked.COST).sum():.4f}")

# %% [markdown]
# The same on twenty ordered classes, with the cost $|i-j|^2$:

# %%
place = np.arange(20)
bump = lambda centre, width: np.exp(-0.5 * ((place - centre) / width) ** 2)
p, tau = bump(10, 3), bump(5, 1.5) + bump(15, 2)
pictures.show(*figures.entropic_plans(p / p.sum(), tau / tau.sum(), costs.ordinal(20, 2), (1, 10, 100)))

# %% [markdown]
# The blur is a bias: from $p$ to $p$ nothing need move, and yet it pays. And all $V^2$ costs are still needed. More in lesson 05 (D12).
#
# ## What we learned
#
# Every formula of this lesson, checked just now against an independent computation:

# %%
verify.show("03")

# %%
worked.table("03")

# %% [markdown]
# **What to doubt.** We timed one solver on random distributions; dropping a model's nearly empty tokens would shrink the program. And with a one-hot
# label there is a single hole. How many plans are there then? See [04 · When is the distance cheap?](04_one_hot_closed_form.ipynb) Full proofs are
# in the [appendix](appendix_derivations.ipynb).
#
# **References.** Su Jianlin, [the article](https://spaces.ac.cn/archives/9797) (2023), A4. Peyré and Cuturi, [*Computational optimal
# transport*](https://arxiv.org/abs/1803.00567) (2019). [POT](https://pythonot.github.io), the solver. Cuturi, [*Sinkhorn
# distances*](https://arxiv.org/abs/1306.0895) (2013).
