import numpy as np
import torch
from scipy.optimize import linprog

from emo_teach import transport

FUNCTIONS = {
    "3.1": "zero_one_prices",
    "3.2": "north_west",
    "3.3": "circle_emd",
    "3.4": "tight_prices",
    "3.5": "improved",
}


# 3.1 prices for the 0/1 cost


def looped_prices(p, tau):
    u = [1.0 if a >= b else 0.0 for a, b in zip(p, tau, strict=True)]
    return u, [-x for x in u]


def symmetric_prices(p, tau):
    sign = np.sign(p - tau) / 2
    return sign, -sign


def torch_prices(p, tau):
    chosen = torch.tensor(p > tau).double()
    return chosen + 3, -chosen - 3


def only_discounts(p, tau):
    v = -(np.asarray(tau) <= p).astype(float)
    return -v, v


def all_free(p, tau):
    return np.zeros(len(p)), np.zeros(len(p))


def both_charged(p, tau):
    u = (p > tau).astype(float)
    return u, 1 - u


def full_swing(p, tau):
    sign = np.sign(p - tau)
    return sign, -sign


def wrong_side(p, tau):
    u = (p < tau).astype(float)
    return u, -u


def swapped_prices(p, tau):
    u = (p > tau).astype(float)
    return -u, u


def excess_as_price(p, tau):
    return np.maximum(p - tau, 0), -np.maximum(p - tau, 0)


def half_price(p, tau):
    u = (p > tau) / 2
    return u, -u


def deliveries_forgotten(p, tau):
    return (p > tau).astype(float), np.zeros(len(p))


def worked_example_prices(p, tau):
    u = np.zeros(len(p))
    u[2] = 1.0
    return u, -u


def subtracts_in_place(p, tau):
    p -= tau
    return (p > 0).astype(float), -(p > 0).astype(float)


# 3.2 north-west corner


def by_cumulative_sums(p, tau):
    a, b = np.cumsum(p), np.cumsum(tau)
    start_a, start_b = a - p, b - tau
    return np.array(
        [[max(0.0, min(a[i], b[j]) - max(start_a[i], start_b[j])) for j in range(len(tau))] for i in range(len(p))]
    )


def from_differences(p, tau):
    least = np.minimum.outer(np.r_[0, np.cumsum(p)], np.r_[0, np.cumsum(tau)])
    return np.maximum(np.diff(np.diff(least, axis=0), axis=1), 0)


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


def transposed_corner(p, tau):
    return by_cumulative_sums(p, tau).T


def product_plan(p, tau):
    return np.outer(p, tau)


def south_east(p, tau):
    """Begins at the other end for the holes: the counter-monotone plan."""
    return by_cumulative_sums(p, tau[::-1])[:, ::-1]


def greedy_largest(p, tau):
    p, tau = p.copy(), tau.copy()
    plan = np.zeros((len(p), len(tau)))
    for _ in range(len(p) + len(tau)):
        i, j = p.argmax(), tau.argmax()
        load = min(p[i], tau[j])
        plan[i, j] += load
        p[i] -= load
        tau[j] -= load
    return plan


def both_on(p, tau):
    """Goes on to the next pile and the next hole at once."""
    plan = np.zeros((len(p), len(tau)))
    for k in range(min(len(p), len(tau))):
        plan[k, k] = min(p[k], tau[k])
    return plan


def stays_first(p, tau):
    """Keeps what can stay, then sends the rest by the rule."""
    k = min(len(p), len(tau))
    home = np.zeros((len(p), len(tau)))
    home[range(k), range(k)] = np.minimum(p[:k], tau[:k])
    return home + by_cumulative_sums(p - home.sum(1), tau - home.sum(0))


def strays_at_empty(p, tau):
    """Takes an empty pile or hole for the end."""
    plan, p, tau, i, j = np.zeros((len(p), len(tau))), p.copy(), tau.copy(), 0, 0
    while i < len(p) and j < len(tau) and p[i] > 0 and tau[j] > 0:
        load = min(p[i], tau[j])
        plan[i, j] = load
        p[i], tau[j] = p[i] - load, tau[j] - load
        i, j = (i + 1, j) if p[i] <= tau[j] else (i, j + 1)
    return plan


def square_only(p, tau):
    n = max(len(p), len(tau))
    return by_cumulative_sums(np.pad(p, (0, n - len(p))), np.pad(tau, (0, n - len(tau))))


def emptied_in_place(p, tau):
    plan = by_cumulative_sums(p, tau)
    p -= plan.sum(1)
    return plan


# 3.3 the circle


def tried_offsets(p, tau):
    over = np.cumsum(np.asarray(p) - tau)
    return min(np.abs(over - c).sum() for c in over)


def circle_program(p, tau):
    """A flow along the borders: x = right - left, each at least 0."""
    n = len(p)
    across = np.eye(n) - np.roll(np.eye(n), -1, axis=1)
    found = linprog(np.ones(2 * n), A_eq=np.hstack([across, -across]), b_eq=np.asarray(p) - tau)
    return 0.0 if n == 1 else found.fun


def torch_circle(p, tau):
    over = (torch.tensor(p) - torch.tensor(tau)).cumsum(0).sort().values
    return (over[(len(over) + 1) // 2 :].sum() - over[: len(over) // 2].sum()).abs()


def in_a_row(p, tau):
    return np.abs(np.cumsum(p - tau)).sum()


def mean_offset(p, tau):
    over = np.cumsum(p - tau)
    return np.abs(over - over.mean()).sum()


def middle_of_range(p, tau):
    over = np.cumsum(p - tau)
    return np.abs(over - (over.max() + over.min()) / 2).sum()


def borders_without_last(p, tau):
    over = np.cumsum(p - tau)[:-1]
    return np.abs(over - np.median(over)).sum() if over.size else 0.0


def best_cut(p, tau):
    """Cuts the circle at its best place, and forbids all traffic there: right only if some border is not crossed."""
    return min(np.abs(np.cumsum(np.roll(p, k) - np.roll(tau, k))).sum() for k in range(1, 3)) if len(p) > 1 else 0.0


def shorter_by_border(p, tau):
    over = np.abs(np.cumsum(p - tau))
    return np.minimum(over, 1 - over).sum()


def half_variation(p, tau):
    return np.abs(p - tau).sum() / 2


def halved(p, tau):
    return tried_offsets(p, tau) / 2


def directed(p, tau):
    """Only one way round is allowed."""
    over = np.cumsum(p - tau)
    return (over - over.min()).sum()


def week_only(p, tau):
    return tried_offsets(np.resize(p, 7), np.resize(tau, 7)) if len(p) != 7 else tried_offsets(p, tau)


def centred_in_place(p, tau):
    p -= tau
    return tried_offsets(p, 0 * p)


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


def best_plans_prices(plan, cost):
    size = max(plan.shape)
    grow = lambda a: np.pad(a, [(0, size - k) for k in a.shape])
    solved = transport.emd(grow(plan.sum(1)), grow(plan.sum(0)), grow(cost))
    return solved.u[: plan.shape[0]], solved.v[: plan.shape[1]]


def cheapest_hole(plan, cost):
    u = cost.min(1)
    return u, (cost - u[:, None]).min(0)


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


def minus_sign(plan, cost):
    u, v = visited_prices(plan, cost)
    return u, -v


def exchanged_prices(plan, cost):
    return visited_prices(plan, cost)[::-1]


def average_costs(plan, cost):
    return (plan * cost).sum(1) / plan.sum(1), np.zeros(plan.shape[1])


def transposed_cost(plan, cost):
    return visited_prices(plan, cost.T) if plan.shape[0] == plan.shape[1] else visited_prices(plan, -cost)


def every_cell(plan, cost):
    return visited_prices(np.ones(plan.shape), cost)


def diagonal_prices(plan, cost):
    k = min(plan.shape)
    u, v = np.zeros(plan.shape[0]), np.zeros(plan.shape[1])
    v[:k] = np.diag(cost)
    return u, v


def zeroed_in_place(plan, cost):
    answer = visited_prices(plan, cost)
    cost[plan == 0] = 0
    return answer


# 3.5 one step of the simplex


def circuit(plan, i, j):
    """Unit flow around the circuit of cell (i, j): 1 there, and the sums of all rows and columns 0."""
    m, n = plan.shape
    rows, columns = np.nonzero(plan > 0)
    A = np.vstack([np.eye(m)[:, rows], np.eye(n)[:, columns]])
    x = np.linalg.lstsq(A, -np.r_[np.eye(m)[i], np.eye(n)[j]], rcond=None)[0].round()
    turn = np.zeros((m, n))
    turn[rows, columns] = x
    turn[i, j] = 1
    return turn


def moved(plan, turn):
    giving = turn < 0
    return plan + turn * plan[giving].min()


def without_prices(plan, cost):
    """Looks at the cost of every circuit itself."""
    turns = [circuit(plan, i, j) for i, j in np.argwhere(plan <= 0)]
    turns = [turn for turn in turns if (turn * cost).sum() < -1e-9]
    return moved(plan, min(turns, key=lambda turn: (turn * cost).sum())) if turns else plan


def first_gain(plan, cost):
    u, v = (np.asarray(each) for each in spread_prices(plan, cost))
    for i, j in np.argwhere(plan == 0):
        if cost[i, j] - u[i] - v[j] < -1e-9:
            return torch.tensor(moved(plan, circuit(plan, i, j)))
    return torch.tensor(plan)


def path_search(plan, cost):
    """Circuit by a search through the tree from the new cell's pile to its hole; most gain in all, not per unit."""
    m, n = plan.shape

    def path(i, j):
        waiting = [(("p", i), [])]
        while waiting:
            (kind, k), way = waiting.pop()
            if (kind, k) == ("h", j):
                return way
            for x in np.flatnonzero(plan[k] if kind == "p" else plan[:, k]):
                cell = (k, x) if kind == "p" else (x, k)
                if cell not in way:
                    waiting.append((("h" if kind == "p" else "p", x), [*way, cell]))

    best, answer = -1e-9, plan.copy()
    for i, j in np.argwhere(plan == 0):
        way = path(i, j)
        gain = cost[i, j] + sum((-1) ** (k + 1) * cost[cell] for k, cell in enumerate(way))
        load = min(plan[cell] for cell in way[::2])
        if gain < -1e-9 and gain * load < best:
            best, answer = gain * load, plan.copy()
            answer[i, j] = load
            for k, cell in enumerate(way):
                answer[cell] += load if k % 2 else -load
    return answer


def never(plan, cost):
    return plan.copy()


def solver_at_once(plan, cost):
    size = max(plan.shape)
    grow = lambda a: np.pad(a, [(0, size - k) for k in a.shape])
    return transport.emd(grow(plan.sum(1)), grow(plan.sum(0)), grow(cost)).plan[: plan.shape[0], : plan.shape[1]]


def chosen_turn(plan, cost, pick=np.argmin):
    u, v = visited_prices(plan, cost)
    slack = cost - u[:, None] - v
    i, j = np.unravel_index(pick(slack), slack.shape)
    return circuit(plan, i, j) if slack[i, j] < -1e-9 else None


def half_way(plan, cost):
    turn = chosen_turn(plan, cost)
    return plan if turn is None else plan + turn * plan[turn < 0].min() / 2


def too_far(plan, cost):
    turn = chosen_turn(plan, cost)
    return plan if turn is None else plan + turn * plan[turn < 0].max()


def least_of_all(plan, cost):
    """The limit over all cells in use, not those that give."""
    turn = chosen_turn(plan, cost)
    return plan if turn is None else plan + turn * plan[plan > 0].min()


def wrong_way_round(plan, cost):
    turn = chosen_turn(plan, cost)
    return plan if turn is None else plan - turn * plan[turn > 0].max()


def dearest_cell(plan, cost):
    u, v = visited_prices(plan, cost)
    slack = np.where(plan > 0, 0, cost - u[:, None] - v)
    i, j = np.unravel_index(slack.argmax(), slack.shape)
    return moved(plan, circuit(plan, i, j)) if slack[i, j] > 1e-9 else plan


def cheapest_cell(plan, cost):
    """Enters the cell with the least cost, not the least slack."""
    i, j = np.unravel_index(np.where(plan > 0, np.inf, cost).argmin(), cost.shape)
    if plan[i, j] > 0:
        return plan
    turn = circuit(plan, i, j)
    return moved(plan, turn) if (turn * cost).sum() < -1e-9 else plan


def gives_up_early(plan, cost):
    u, v = visited_prices(plan, cost)
    return without_prices(plan, cost) if (cost - u[:, None] - v).min() < -0.5 else plan


def two_by_two(plan, cost):
    """Knows only circuits of four cells."""
    turns = [circuit(plan, i, j) for i, j in np.argwhere(plan == 0)]
    turns = [turn for turn in turns if np.abs(turn).sum() == 4 and (turn * cost).sum() < -1e-9]
    return moved(plan, turns[0]) if turns else plan


def only_the_new_cell(plan, cost):
    turn = chosen_turn(plan, cost)
    if turn is None:
        return plan
    new = plan.copy()
    new[np.unravel_index(np.where(plan == 0, turn, 0).argmax(), plan.shape)] = plan[turn < 0].min()
    return new


def steps_in_place(plan, cost):
    plan[:] = without_prices(plan, cost)
    return plan


def relay_always(plan, cost):
    return np.array([[0.5, 0], [0.1, 0.2], [0, 0.2]])


RIGHT = {
    "3.1": [looped_prices, symmetric_prices, torch_prices, only_discounts],
    "3.2": [by_cumulative_sums, from_differences, recursive_corner],
    "3.3": [tried_offsets, circle_program, torch_circle],
    "3.4": [spread_prices, visited_prices, torch_prices_of_plan],
    "3.5": [without_prices, first_gain, path_search],
}
WRONG = {
    "3.1": [
        all_free,
        both_charged,
        full_swing,
        wrong_side,
        swapped_prices,
        excess_as_price,
        half_price,
        deliveries_forgotten,
        worked_example_prices,
        subtracts_in_place,
    ],
    "3.2": [
        transposed_corner,
        product_plan,
        south_east,
        greedy_largest,
        both_on,
        stays_first,
        strays_at_empty,
        square_only,
        emptied_in_place,
    ],
    "3.3": [
        in_a_row,
        mean_offset,
        middle_of_range,
        borders_without_last,
        best_cut,
        shorter_by_border,
        half_variation,
        halved,
        directed,
        week_only,
        centred_in_place,
    ],
    "3.4": [
        best_plans_prices,
        cheapest_hole,
        one_sweep,
        minus_sign,
        exchanged_prices,
        average_costs,
        transposed_cost,
        every_cell,
        diagonal_prices,
        zeroed_in_place,
    ],
    "3.5": [
        never,
        solver_at_once,
        half_way,
        too_far,
        least_of_all,
        wrong_way_round,
        dearest_cell,
        cheapest_cell,
        gives_up_early,
        two_by_two,
        only_the_new_cell,
        steps_in_place,
        relay_always,
    ],
}
