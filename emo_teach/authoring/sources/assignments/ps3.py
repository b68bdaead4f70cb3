# %% [markdown]
# # Problem set 3 · Plans, prices and circuits
#
# Six problems to lesson 03, about 85 minutes, 29 points. Fill in what raises `NotImplementedError`, then run the cell of asserts below it; more
# asserts of the same kind are run when the set is graded. Name things as you like inside your functions, but keep the functions' names. Loops, NumPy
# or torch: any way that gives the right numbers is right.
#
# $p$ are the piles, $\tau$ the holes, $c_{ij}$ the cost from pile $i$ to hole $j$, $\gamma_{ij}$ what a plan carries there; $u_i$, $v_j$ are prices
# (potentials). Here the numbers of piles and holes, $m$ and $n$, need not be equal.

# %% tags=["bootstrap"]

# %% tags=["setup"]
import numpy as np
from emo_teach import costs, transport, worked

SEED = 0
rng = np.random.default_rng([SEED, 3])


def padded(array, size):
    """The array in the corner of a square (or of a longer row) of zeros: piles or holes without earth change nothing."""
    return np.pad(array, [(0, size - length) for length in array.shape])


def least_cost(p, tau, cost):
    """The exact distance, by linear programming; m piles, n holes, cost (m, n)."""
    size = max(cost.shape)
    return transport.emd(padded(p, size), padded(tau, size), padded(cost, size)).value


def basic_plan(draw, m, n):
    """Random piles (m,) and holes (n,) with a plan (m, n) of m + n - 1 cells and no circuit: the best for some cost, not told."""
    p, tau, size = draw.dirichlet(np.ones(m)), draw.dirichlet(np.ones(n)), max(m, n)
    plan = transport.emd(padded(p, size), padded(tau, size), draw.uniform(size=(size, size))).plan[:m, :n]
    return p, tau, plan


PILES, HOLES, PLAN = basic_plan(rng, 5, 4)
COST = rng.uniform(size=(5, 4))

# %% [markdown]
# ## Problem 3.1 (D6 and D8, 3 points, 8 minutes)
#
# Lesson 03 shows that the distance under the 0/1 cost is the total variation, by counting what can stay. There is a shorter proof: prices. Find $u$,
# $v$ with $u_i+v_j\le c_{ij}$ for all $i$, $j$ whose bill $\sum_ip_iu_i+\sum_j\tau_jv_j$ is the total variation, without a solver. (What will a
# haulier charge where there is too much earth?)

# %% tags=["answer:3.1"]
def zero_one_prices(p, tau):
    """Optimal prices (u (n,), v (n,)) under the 0/1 cost for p (n,) and tau (n,)."""
    ### BEGIN SOLUTION
    surplus = np.greater(p, tau).astype(float)
    return surplus, -surplus
    ### END SOLUTION

# %% tags=["tests:3.1", "points:3"]
def check_prices(p, tau):
    n, handed = len(p), (p.copy(), tau.copy())
    answer = zero_one_prices(*handed)
    assert len(answer) == 2, "return two arrays, u and v"
    u, v = (np.asarray(each, float) for each in answer)
    assert u.shape == v.shape == (n,), "one price for each pile, one for each hole"
    slack = costs.zero_one(n) - u[:, None] - v
    assert np.diag(slack).min() > -1e-9, "u_i + v_i is above 0 somewhere: who leaves earth at home pays nothing"
    assert slack.min() > -1e-9, "u_i + v_j is above 1 somewhere: no trip may cost more than driving it oneself"
    bill = p @ u + tau @ v
    assert np.isclose(bill, transport.emd(p, tau, costs.zero_one(n)).value, atol=1e-9), f"allowed, but not the best: the bill is {bill:.4f}"
    assert np.array_equal(handed[0], p) and np.array_equal(handed[1], tau), "your function changed its input"

check_prices(worked.P, worked.TAU)
check_prices(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.3, 0.2, 0.1]))
check_prices(worked.P, worked.P)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 31])
for size in (2, 3, 7, 12):
    check_prices(draw.dirichlet(np.ones(size)), draw.dirichlet(np.ones(size)))
    check_prices(draw.dirichlet(np.full(size, 0.2)), np.eye(size)[draw.integers(size)])
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.2 (A4, 4 points, 10 minutes)
#
# Every method needs a plan to begin with. The *north-west corner rule* reads no cost at all: begin with the first pile and the first hole; carry as
# much as you can; then go on to the next pile, if this one is used up, or to the next hole, if this one is full. So it walks down to the right, and
# uses $m+n-1$ cells at most. Write it. Piles and holes may be empty, also the first or the last; nothing may be lost to rounding but $10^{-12}$.

# %% tags=["answer:3.2"]
def north_west(p, tau):
    """The plan (m, n) of the north-west corner rule for piles p (m,) and holes tau (n,)."""
    ### BEGIN SOLUTION
    earth, room = np.array(p, float), np.array(tau, float)
    carried = np.zeros((earth.size, room.size))
    i = j = 0
    while i < earth.size and j < room.size:
        load = min(earth[i], room[j])
        carried[i, j] = load
        earth[i], room[j] = earth[i] - load, room[j] - load
        if earth[i] <= room[j]:
            i += 1
        else:
            j += 1
    return carried
    ### END SOLUTION

# %% tags=["tests:3.2", "points:4"]
def check_corner(p, tau):
    handed = p.copy(), tau.copy()
    plan = np.asarray(north_west(*handed), float)
    assert plan.shape == (len(p), len(tau)), "the plan is (m, n): a row for each pile, a column for each hole"
    assert (plan >= 0).all(), "no earth is carried backwards"
    assert np.allclose(plan.sum(1), p, rtol=0, atol=1e-12), "row sums are the piles"
    assert np.allclose(plan.sum(0), tau, rtol=0, atol=1e-12), "column sums are the holes"
    assert (plan > 1e-12).sum() <= len(p) + len(tau) - 1, "more than m + n - 1 cells are in use"
    assert np.array_equal(handed[0], p) and np.array_equal(handed[1], tau), "your function changed its input"
    return plan

found = check_corner(np.array([0.5, 0.3, 0.2]), np.array([0.25, 0.75]))
assert np.allclose(found, [[0.25, 0.25], [0, 0.3], [0, 0.2]]), "on paper: 0.25 fills the first hole, all the rest goes to the second"
relay = check_corner(worked.P, worked.TAU)
assert np.allclose(relay, [[0.5, 0, 0], [0.1, 0.2, 0], [0, 0.2, 0]]), "for the worked example the rule happens to find the relay of lesson 03"
check_corner(PILES, HOLES)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 32])
for m, n in ((1, 4), (4, 1), (3, 3), (6, 9), (30, 20)):
    piles, holes = draw.dirichlet(np.ones(m)), draw.dirichlet(np.ones(n))
    for k in range(3):
        if k and min(m, n) > 1:  # some are empty, such as the first and the last
            piles[[0, -1][k - 1]] = holes[[-1, 0][k - 1]] = 0
            piles, holes = piles / piles.sum(), holes / holes.sum()
        found = check_corner(piles, holes)
        P_, T_ = np.r_[0, piles.cumsum()], np.r_[0, holes.cumsum()]
        overlap = np.minimum.outer(P_[1:], T_[1:]) - np.maximum.outer(P_[:-1], T_[:-1])  # of the pile's and the hole's place in one long row
        assert np.allclose(found, np.maximum(overlap, 0), rtol=0, atol=1e-12), "the first grain goes to the first place, and so on"
same = draw.dirichlet(np.ones(9), 2)
square = costs.ordinal(9, 2)
assert np.isclose((check_corner(*same) * square).sum(), transport.emd(*same, square).value), "it keeps the order, so it is best under |i - j|^2"
tenths = np.full(10, 0.1)
assert np.allclose(check_corner(tenths, tenths), np.diag(tenths), rtol=0, atol=1e-12), "equal piles and holes: all stays"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.3 (D8, 5 points, 15 minutes)
#
# Seven days are no row of classes: from Sunday to Monday it is one step, not six. Let $n$ classes lie on a *circle*, with the cost
# $c_{ij}=\min(|i-j|,\,n-|i-j|)$. Find the distance without a solver. For $p$ all on Monday (day 0) and $\tau$ half on Tuesday, half on Sunday the
# distance is 1.
#
# Draw the circle. Let $x_b$ be what goes over the border between day $b$ and the next, counted negative if it goes the other way. What do the piles
# and holes say about $x_b-x_{b-1}$, and what do they leave open?
#
# <details><summary>One number is left open. How do I choose it?</summary>
# It may be any number c, and the cost is a sum of |F_b - c| over all n borders. Which c makes a sum of distances to n given numbers least?
# </details>

# %% tags=["answer:3.3"]
def circle_emd(p, tau):
    """Earth mover's distance on a circle of n classes, a float, for p (n,) and tau (n,)."""
    ### BEGIN SOLUTION
    over = np.cumsum(np.subtract(p, tau))  # over each border, if nothing goes all the way round
    return float(np.abs(over - np.median(over)).sum())
    ### END SOLUTION

# %% tags=["tests:3.3", "points:5"]
def ring(n):
    """The cost matrix: the shorter way round."""
    steps = costs.ordinal(n)
    return np.minimum(steps, n - steps)

week = np.eye(7)[0], np.array([0, 0.5, 0, 0, 0, 0, 0.5])
found = float(circle_emd(*week))
assert not np.isclose(found, 3.5), "that is the distance in a row: half of Monday's earth went to Sunday by way of Tuesday, six steps"
assert np.isclose(found, 1), "from Monday it is one step to Tuesday, and one to Sunday"
assert np.isclose(float(circle_emd(np.eye(7)[1], np.eye(7)[3])), 2), "from Tuesday to Thursday it is two steps, with or without a circle"
handed = padded(PILES, 7), padded(HOLES, 7)
wanted = transport.emd(*handed, ring(7)).value
assert np.isclose(float(circle_emd(*handed)), wanted), f"the linear program says {wanted:.4f}"
assert np.array_equal(handed[0], padded(PILES, 7)) and np.array_equal(handed[1], padded(HOLES, 7)), "your function changed its input"
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 33])
for size in (1, 2, 3, 4, 7, 8, 15):
    for concentration in (0.2, 1.0, 5.0):
        piles, holes = draw.dirichlet(np.full(size, concentration)), draw.dirichlet(np.full(size, concentration))
        exact = transport.emd(piles, holes, ring(size)).value
        assert np.isclose(float(circle_emd(piles, holes)), exact, atol=1e-9), f"{size} classes: not what the linear program finds"
        turned = float(circle_emd(np.roll(piles, 2), np.roll(holes, 2)))
        assert np.isclose(turned, exact, atol=1e-9), "a circle has no first class: turn it, and nothing changes"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.4 (D6, 4 points, 12 minutes)
#
# To judge a plan, make every cell in use tight: look for prices with $u_i+v_j=c_{ij}$ wherever $\gamma_{ij}>0$, as lesson 03 did on paper for the
# relay. `plan` is basic: it uses $m+n-1$ cells, and these have no circuit, so that all prices follow from one that you choose. Whether the prices are
# *allowed* in the other cells is another question: they are exactly if the plan is best.

# %% tags=["answer:3.4"]
def tight_prices(plan, cost):
    """Prices (u (m,), v (n,)) with u_i + v_j = cost_ij in all cells that the basic plan (m, n) uses."""
    ### BEGIN SOLUTION
    rows, columns = np.nonzero(plan)
    m, n = np.shape(plan)
    both = np.hstack([np.eye(m)[rows], np.eye(n)[columns]])  # an equation for each cell in use, m + n - 1 of them
    prices = np.linalg.lstsq(both, cost[rows, columns], rcond=None)[0]
    return prices[:m], prices[m:]
    ### END SOLUTION

# %% tags=["tests:3.4", "points:4"]
def check_tight(plan, cost):
    """The slack of all cells, after checks."""
    handed = plan.copy(), cost.copy()
    answer = tight_prices(*handed)
    assert len(answer) == 2, "return two arrays, u and v"
    u, v = (np.asarray(each, float) for each in answer)
    assert (len(u), len(v)) == plan.shape, "u has a price for each pile (row), v one for each hole (column)"
    slack = cost - u[:, None] - v
    assert np.isfinite(slack).all(), "some prices are missing: go through the cells again, until all are known"
    loose = np.abs(slack[plan > 0]).max()
    assert loose < 1e-9, f"a cell in use has slack {loose:.4f}: is it u + v = cost, in *this* plan's cells (not those of the best plan)?"
    assert np.array_equal(handed[0], plan) and np.array_equal(handed[1], cost), "your function changed its input"
    return slack

straight = np.array([[0.5, 0], [0, 0.3], [0.1, 0.1]])  # the first plan of lesson 03; banana's hole, which is empty, is left out
slack = check_tight(straight, worked.COST[:, :2])
assert np.isclose(slack[1, 0], -0.4), "Tuesday to Monday is dearer by 0.4 in these prices than by car: so the plan can be improved"
check_tight(PLAN, COST)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 34])
for m, n in ((1, 1), (1, 5), (6, 1), (2, 3), (7, 7), (9, 12)):
    for _ in range(3):
        piles, holes, plan = basic_plan(draw, m, n)
        dear = draw.normal(size=(m, n))
        slack = check_tight(plan, dear)
        gain = least_cost(piles, holes, dear) - (plan * dear).sum()
        assert (slack.min() > -1e-9) == (gain > -1e-9), "all slack is 0 or more exactly if the plan is best"
size = 6
solved = transport.emd(*draw.dirichlet(np.ones(size), 2), dear[:size, :size])
assert check_tight(solved.plan, dear[:size, :size]).min() > -1e-9, "prices made tight on the best plan are allowed everywhere"
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.5 (D6, 7 points, 25 minutes)
#
# Now build the solver's heart, one step of the *transport simplex*. Given a basic plan as in 3.4 (write what you need again inside this function, or
# call your own): if some unused cell has negative slack (below $-10^{-9}$), use it. With the cells in use it closes one circuit. Carry as much as
# possible around it: more in the new cell and in every second cell from there, less in the others, until one of these is empty. Return the new plan;
# return an equal one if there is no such cell. Any cell with negative slack will do. (With random numbers no two cells get empty at once: do
# not care about ties.)
#
# <details><summary>How do I find the circuit?</summary>
# Mark the cells in use and the new one. As long as some row or column has exactly one mark, wipe it out: it is on no circuit. What is left is the
# circuit. Walk along it from the new cell, by row, by column, by row, ...
# </details>

# %% tags=["answer:3.5"]
def improved(plan, cost):
    """The basic plan (m, n) after one step of the transport simplex for cost (m, n)."""
    ### BEGIN SOLUTION
    m, n = plan.shape
    marks, u, v = plan > 0, np.full(m, np.nan), np.full(n, np.nan)
    u[0] = 0
    while np.isnan(np.r_[u, v]).any():
        for i, j in np.argwhere(marks):
            if np.isnan(v[j]):
                v[j] = cost[i, j] - u[i]
            elif np.isnan(u[i]):
                u[i] = cost[i, j] - v[j]
    loss = cost - np.add.outer(u, v)
    row, column = begin = np.unravel_index(loss.argmin(), loss.shape)
    if loss[begin] >= -1e-9:
        return plan.copy()
    marks[begin] = True
    while (marks.sum(0) == 1).any() or (marks.sum(1) == 1).any():
        marks[marks.sum(1) == 1] = False
        marks[:, marks.sum(0) == 1] = False
    turn = np.zeros((m, n))
    while not turn[row, column]:
        turn[row, column] = 1
        column = next(j for j in np.flatnonzero(marks[row]) if j != column)
        turn[row, column] = -1
        row = next(i for i in np.flatnonzero(marks[:, column]) if i != row)
    return plan + turn * plan[turn < 0].min()
    ### END SOLUTION

# %% tags=["tests:3.5", "points:7"]
def check_step(plan, cost):
    """One step, checked; returns the new plan."""
    handed = plan.copy(), cost.copy()
    new = np.asarray(improved(*handed), float)
    assert np.array_equal(handed[0], plan) and np.array_equal(handed[1], cost), "your function changed its input"
    assert new.shape == plan.shape, "the new plan has the old one's piles (rows) and holes (columns)"
    assert (new > -1e-12).all(), "a cell was emptied below 0: the smallest of the cells that give is the limit"
    assert np.allclose(new.sum(0), plan.sum(0)) and np.allclose(new.sum(1), plan.sum(1)), "piles and holes must stay: plus and minus take turns"
    moved = np.abs(new - plan) > 1e-12
    if moved.any():
        assert ((new - plan) * cost).sum() < 1e-12, "the step made the plan dearer: which cells have negative slack?"
        assert set(moved.sum(0)) | set(moved.sum(1)) <= {0, 2}, "one step goes round one circuit: two cells of a row or column change, or none"
        assert (moved & (plan == 0)).sum() == 1, "exactly one new cell comes into use in one step"
        assert (new > 1e-12).sum() <= (plan > 0).sum(), "carry on until a cell is empty"
    return np.where(new > 1e-12, new, 0)

def descend(p, tau, plan, cost, limit=500):
    """Steps until nothing changes; the end is compared with the linear program."""
    for _ in range(limit):
        new = check_step(plan, cost)
        if np.allclose(new, plan, rtol=0, atol=1e-12):
            break
        plan = new
    value, wanted = (plan * cost).sum(), least_cost(p, tau, cost)
    assert np.isclose(value, wanted, atol=1e-7), f"the steps end at cost {value:.4f}, the least is {wanted:.4f}"

straight, relay = np.array([[0.5, 0], [0, 0.3], [0.1, 0.1]]), np.array([[0.5, 0], [0.1, 0.2], [0, 0.2]])
assert np.allclose(check_step(straight, worked.COST[:, :2]), relay), "one step leads from lesson 03's straight plan to its relay"
assert np.allclose(check_step(relay, worked.COST[:, :2]), relay), "the relay is best: return an equal plan"
descend(PILES, HOLES, PLAN, COST)
### BEGIN HIDDEN TESTS
draw = np.random.default_rng([SEED, 35])
for m, n in ((1, 3), (2, 2), (3, 5), (6, 6), (9, 7), (12, 12)):
    for _ in range(3):
        start = basic_plan(draw, m, n)
        descend(*start, draw.normal(size=(m, n)))
piles, holes, plan = basic_plan(draw, 8, 8)
descend(piles, holes, plan, costs.cosine(draw.normal(size=(8, 3))))
### END HIDDEN TESTS

# %% [markdown]
# ## Problem 3.6 (A4, 6 points, 15 minutes)
#
# When does it pay to move earth away from where it is needed, as the relay does with Tuesday's? Let the cost have $c_{ii}=0$ and obey the triangle
# inequality $c_{ik}\le c_{ij}+c_{jk}$ for all $i,j,k$ ($m=n$; symmetry is not needed). Let $\gamma$ be a plan with $\gamma_{ii}<\min(p_i,\tau_i)$ for
# some $i$.
#
# 1. Show that there are $j\ne i$ and $k\ne i$ with $\gamma_{ij}>0$ and $\gamma_{ki}>0$.
# 2. Give a plan that keeps more at $i$, no less at any other place, and costs no more. (Mind the case $j=k$.)
# 3. Conclude that some *optimal* plan keeps $\gamma_{ii}=\min(p_i,\tau_i)$ at every $i$. You may use that an optimal plan exists, and that the
#    optimal plans are a closed and bounded set.
# 4. In the worked example the relay is the only best plan, and Tuesday keeps 0.2 of its 0.3. At which line does your proof fail there?

# %% [markdown] tags=["proof:3.6", "points:6"]
# ### BEGIN SOLUTION
# **1.** Row $i$ sums to $p_i>\gamma_{ii}$ and has no negative entries, so another entry $\gamma_{ij}$, $j\ne i$, is positive. Column $i$ sums to
# $\tau_i>\gamma_{ii}$, so likewise some $\gamma_{ki}>0$ with $k\ne i$.
#
# **2.** Let $\epsilon=\min(\gamma_{ij},\gamma_{ki})>0$. Add $\epsilon$ to $\gamma_{ii}$ and to $\gamma_{kj}$, and take $\epsilon$ off $\gamma_{ij}$
# and $\gamma_{ki}$. Rows $i$ and $k$ and columns $i$ and $j$ each gain and lose $\epsilon$, nothing becomes negative: a plan. (The four cells differ:
# $j\neq i$, $k\ne i$.) The cells with less are off the diagonal, so nobody keeps less; $i$ keeps $\epsilon$ more, and for $j=k$ so does $j$. The cost
# changes by
#
# $$\epsilon\,(c_{ii}+c_{kj}-c_{ij}-c_{ki})=\epsilon\,\big(c_{kj}-(c_{ki}+c_{ij})\big)\le0,$$
#
# by $c_{ii}=0$ and the triangle from $k$ over $i$ to $j$. For $j=k$ this holds too: $c_{jj}\le c_{ji}+c_{ij}$ is one of the inequalities.
#
# **3.** The trace $\sum_i\gamma_{ii}$ is continuous, so among the optimal plans, a closed and bounded set that is not empty, there is one where it is
# largest. If this plan had $\gamma_{ii}<\min(p_i,\tau_i)$ for some $i$, step 2 would give a plan that costs no more, hence is optimal, with a larger
# trace: impossible. And $\gamma_{ii}\le\min(p_i,\tau_i)$ in every plan, as an entry is at most the sum of its row and of its column. So there is
# equality.
#
# **4.** Take $i$ = Tuesday, $j$ = Monday ($\gamma_{ij}=0.1$), $k$ = banana ($\gamma_{ki}=0.2$). Steps 1 and the sums in 2 are right; what fails is
# the last inequality: $c_{kj}=1$, while $c_{ki}+c_{ij}=0.4+0.2=0.6$. The cosine cost breaks this triangle, and the change would cost $0.4$ per unit.
# ∎
#
# **Rubric** (6 points). *Part 1, 1 point.* *Part 2, 2 points:* 1 for the four cells with a positive $\epsilon$ and the sums checked; 1 for the change
# of cost with the triangle named, $j=k$ included (0.5 without). *Part 3, 2 points:* 1 for a reason that repeating ends (the largest trace, or a basic
# plan and finitely many; "repeat until nothing is left" alone gets 0.5, for infinitely many ever smaller steps are not excluded); 1 for the
# contradiction with $\gamma_{ii}\le\min(p_i,\tau_i)$. *Part 4, 1 point:* the triangle banana, Tuesday, Monday with its numbers.
# ### END SOLUTION
