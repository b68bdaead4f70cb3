import numpy as np
import torch

from emo_teach import transport
from tests.answers import in_place


# 3.1 prices for the 0/1 cost
def looped_prices(p, tau):
    u = [1.0 if a >= b else 0.0 for a, b in zip(p, tau, strict=True)]
    return u, [-x for x in u]


def torch_prices(p, tau):
    chosen = torch.tensor(p > tau).double()
    return chosen + 3, -chosen - 3


# 3.2 north-west corner
def by_cumulative_sums(p, tau):
    a, b = np.cumsum(p), np.cumsum(tau)
    return np.maximum(np.minimum.outer(a, b) - np.maximum.outer(a - p, b - tau), 0)


def recursive_corner(p, tau):
    p, tau = [float(x) for x in p], [float(x) for x in tau]
    plan = torch.zeros(len(p), len(tau), dtype=torch.float64)
    j = 0
    for i in range(len(p)):
        while p[i] > 1e-14 and j < len(tau):
            load = min(p[i], tau[j])
            plan[i, j] += load
            p[i] -= load
            tau[j] -= load
            if tau[j] <= 1e-14:
                j += 1
    return plan


def strays_at_empty(p, tau):
    """Takes an empty pile or hole for the end."""
    plan, p, tau, i, j = np.zeros((len(p), len(tau))), p.copy(), tau.copy(), 0, 0
    while i < len(p) and j < len(tau) and p[i] > 0 and tau[j] > 0:
        load = min(p[i], tau[j])
        plan[i, j] = load
        p[i], tau[j] = p[i] - load, tau[j] - load
        i, j = (i + 1, j) if p[i] <= tau[j] else (i, j + 1)
    return plan


# 3.3 the circle
def tried_offsets(p, tau):
    over = np.cumsum(np.asarray(p) - tau)
    return min(np.abs(over - c).sum() for c in over)


def torch_circle(p, tau):
    over = (torch.tensor(p) - torch.tensor(tau)).cumsum(0).sort().values
    return (over[(len(over) + 1) // 2 :].sum() - over[: len(over) // 2].sum()).abs()


# 3.4 prices from a plan
def spread_prices(plan, cost):
    m, n = plan.shape
    u, v = {0: 0.0}, {}
    while len(u) < m or len(v) < n:
        for i, j in zip(*np.nonzero(plan), strict=True):
            if i in u and j not in v:
                v[j] = cost[i, j] - u[i]
            elif j in v and i not in u:
                u[i] = cost[i, j] - v[j]
    return [u[i] for i in range(m)], [v[j] for j in range(n)]


def visited_prices(plan, cost):
    m, n = plan.shape
    u, v, waiting, seen = np.zeros(m), np.zeros(n), [("hole", n - 1)], {("hole", n - 1)}
    v[n - 1] = 2.5
    while waiting:
        kind, k = waiting.pop()
        near = np.flatnonzero(plan[:, k] if kind == "hole" else plan[k])
        other = "pile" if kind == "hole" else "hole"
        for x in near:
            if (other, x) not in seen:
                seen.add((other, x))
                waiting.append((other, x))
                if other == "pile":
                    u[x] = cost[x, k] - v[k]
                else:
                    v[x] = cost[k, x] - u[k]
    return u, v


def torch_prices_of_plan(plan, cost):
    m, n = plan.shape
    i, j = torch.nonzero(torch.tensor(plan) > 0, as_tuple=True)
    A = torch.zeros(len(i) + 1, m + n, dtype=torch.float64)
    A[torch.arange(len(i)), i], A[torch.arange(len(i)), m + j], A[-1, 0] = 1, 1, 1
    x = torch.linalg.solve(A, torch.cat([torch.tensor(cost)[i, j], torch.zeros(1, dtype=torch.float64)]))
    return x[:m], x[m:]


def solved(plan, cost):
    """The exact solver, for as many piles as holes: what is missing has no mass."""
    grow = lambda a: np.pad(a, [(0, max(plan.shape) - k) for k in a.shape])
    return transport.emd(grow(plan.sum(1)), grow(plan.sum(0)), grow(cost))


def one_sweep(plan, cost):
    m, n = plan.shape
    u, v = np.zeros(m), np.zeros(n)
    known_u, known_v = np.arange(m) == 0, np.zeros(n, bool)
    for j, i in np.argwhere(plan.T > 0):
        if known_u[i] and not known_v[j]:
            v[j], known_v[j] = cost[i, j] - u[i], True
        elif known_v[j] and not known_u[i]:
            u[i], known_u[i] = cost[i, j] - v[j], True
    return u, v


# 3.5 one step of the simplex
def circuit(plan, i, j):
    """Unit flow around the circuit of cell (i, j): 1 there, and the sums of all rows and columns 0."""
    m, n = plan.shape
    rows, columns = np.nonzero(plan > 0)
    A = np.vstack([np.eye(m)[:, rows], np.eye(n)[:-1, columns]])  # the last hole's sum follows from all others
    turn = np.zeros((m, n))
    turn[rows, columns] = np.linalg.solve(A, -np.r_[np.eye(m)[i], np.eye(n)[j, :-1]]).round()
    turn[i, j] = 1
    return turn


def smallest_giver(plan, turn):
    return plan[turn < 0].min()


def stepping(wanted=lambda turn, change: change < -1e-9, limit=smallest_giver):
    """A step around the first circuit that is wanted, found without prices; `change` is what the circuit costs."""

    def answer(plan, cost):
        turns = (circuit(plan, i, j) for i, j in np.argwhere(plan == 0))
        turn = next((turn for turn in turns if wanted(turn, (turn * cost).sum())), None)
        return plan if turn is None else plan + turn * limit(plan, turn)

    return answer


def by_prices(plan, cost):
    u, v = visited_prices(plan, cost)
    i, j = np.unravel_index((cost - u[:, None] - v).argmin(), plan.shape)
    turn = circuit(plan, i, j) * (cost[i, j] - u[i] - v[j] < -1e-9)
    return torch.tensor(plan + turn * smallest_giver(plan, turn) if turn.any() else plan)


RIGHT = {
    "3.1": [looped_prices, torch_prices],
    "3.2": [by_cumulative_sums, recursive_corner],
    "3.3": [tried_offsets, torch_circle],
    "3.4": [visited_prices, torch_prices_of_plan],
    "3.5": [stepping(), by_prices],
}
WRONG = [
    ("3.1", lambda p, tau: (1.0 * (p > tau), 1.0 * (p <= tau))),  # both are charged
    ("3.1", lambda p, tau: (np.sign(p - tau), -np.sign(p - tau))),  # twice the price
    ("3.1", lambda p, tau: (1.0 * (p < tau), -1.0 * (p < tau))),  # the wrong side
    ("3.1", lambda p, tau: (np.maximum(p - tau, 0), -np.maximum(p - tau, 0))),  # excess as price
    ("3.1", in_place(looped_prices)),
    ("3.2", lambda p, tau: by_cumulative_sums(p, tau).T),  # transposed corner
    ("3.2", lambda p, tau: np.outer(p, tau)),  # product plan
    ("3.2", lambda p, tau: by_cumulative_sums(p, tau[::-1])[:, ::-1]),  # from the other end
    ("3.2", strays_at_empty),
    ("3.2", in_place(by_cumulative_sums)),
    ("3.3", lambda p, tau: np.abs(np.cumsum(p - tau)).sum()),  # in a row
    ("3.3", lambda p, tau: np.abs(np.cumsum(p - tau) - np.cumsum(p - tau).mean()).sum()),  # the mean, not the median
    # a cut that nothing may cross: right only if some border is not crossed
    ("3.3", lambda p, tau: min(np.abs(np.cumsum(np.roll(p - tau, k))).sum() for k in range(min(2, len(p))))),
    ("3.3", lambda p, tau: tried_offsets(np.resize(p, 7), np.resize(tau, 7))),  # weeks only
    ("3.3", in_place(tried_offsets)),
    # the best plan's
    ("3.4", lambda plan, cost: (solved(plan, cost).u[: len(plan)], solved(plan, cost).v[: len(plan.T)])),
    ("3.4", one_sweep),
    ("3.4", lambda plan, cost: (visited_prices(plan, cost)[0], -visited_prices(plan, cost)[1])),  # minus sign
    ("3.4", lambda plan, cost: visited_prices(plan, cost)[::-1]),  # exchanged prices
    ("3.4", in_place(visited_prices, 1)),
    ("3.5", stepping(limit=lambda plan, turn: plan[turn < 0].max())),  # too far
    ("3.5", lambda plan, cost: solved(plan, cost).plan[:, : len(plan.T)]),  # all steps at once, and too many rows
    ("3.5", stepping(wanted=lambda turn, change: change > 1e-9)),  # makes the plan dearer
    # circuits of four cells only
    ("3.5", stepping(wanted=lambda turn, change: change < -1e-9 and np.abs(turn).sum() == 4)),
    ("3.5", in_place(stepping(limit=lambda plan, turn: smallest_giver(plan, turn) / 2))),
]
