"""Exercises of lesson 03: transport as a linear program, its dual, and the closed form for ordered classes."""

import numpy as np

from .. import transport
from .verdicts import Wrong, as_array, ask, close, compare, exercise


@exercise("03.1", "A4")
def marginal_constraints(answer, rng):
    """`answer(p, tau)` gives A_eq (2n, n * n) and b_eq (2n,): first the row sums, then the column sums."""
    for n in (2, 3, 5):
        p, tau = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))
        value = ask(answer, p, tau)
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise Wrong("return two things: A_eq and b_eq")
        shapes = {
            (n, n * n): "A_eq has only n rows: piles *and* holes give conditions",
            (2 * n - 1, n * n): "A_eq has 2n - 1 rows: one follows from the others, but the exercise asks for all 2n",
            (6, 9): f"A_eq is made for three tokens, but p and tau have {n}: build it for any n",
        }
        shape = np.shape(value[0])
        if shape != (2 * n, n * n) and shape in shapes:
            raise Wrong(shapes[shape])
        matrix = as_array(value[0], (2 * n, n * n), "A_eq")
        right_side = as_array(value[1], (2 * n,), "b_eq")
        cell = np.arange(n * n)
        rows, columns = (1.0 * (place == np.arange(n)[:, None]) for place in (cell // n, cell % n))
        if close(matrix, np.vstack([columns, rows])):
            raise Wrong("column sums come first in your A_eq: its first n rows should sum the plan's rows")
        for k, (given, right) in enumerate(zip(matrix, np.vstack([rows, columns]), strict=True)):
            if not close(given, right):
                line = f"row {k}" if k < n else f"column {k - n}"
                raise Wrong(f"row {k} of A_eq should sum {line} of the flattened plan: cell (i, j) is entry i * n + j")
        mistakes = [(np.concatenate([tau, p]), "b_eq is in the wrong order: the row sums are p, the column sums tau")]
        compare(right_side, np.concatenate([p, tau]), mistakes, "b_eq is off: it holds p, then tau")


def _claims(rng, n):
    """Plans and prices for a random cost that is not symmetric.

    Yields (plan, u, v, cost), whether they are a proof, and the likely mistake of who judges otherwise.
    """
    p, tau, cost = rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n)), rng.uniform(size=(n, n))
    solved = transport.emd(p, tau, cost)
    plan, u, v = solved.plan, solved.u, solved.v
    message = "you reject a true proof: are u (rows) and v (columns) in their places, and is there room for rounding?"
    yield (plan, u, v, cost), True, message
    message = "you reject prices that are shifted by a constant: u + a and v - a have the same sums"
    yield (plan, u + 0.3, v - 0.3, cost), True, message
    message = "you accept prices that are too low: in cells that carry mass, u_i + v_j must equal the cost (slackness)"
    yield (plan, u - 0.1, v, cost), False, message
    # Tight on its own cells, but above the cost elsewhere: every pile goes to the next hole, and staying would be free.
    shift, free = np.roll(np.eye(n), 1, axis=1), cost + 0.1 - np.diag(np.diag(cost) + 0.1)
    prices = np.roll(np.diag(np.roll(free, -1, axis=1)), 1)
    message = "you accept prices that break the limit u_i + v_j <= cost_ij in cells without mass (feasibility)"
    yield (shift / n, np.zeros(n), prices, free), False, message
    # An unused cell made tight: the cost falls to the price, no further, so the proof stands.
    touching, (i, j) = cost.copy(), np.argwhere(plan == 0)[0]
    touching[i, j] = u[i] + v[j]
    message = "you reject a proof with a tight cell that is not in use: only cells that carry mass *must* be tight"
    yield (plan, u, v, touching), True, message
    # One cell in use is slack although all others are tight.
    spread = cost.copy()
    spread[np.unravel_index(np.argmax(plan), plan.shape)] += 0.1
    message = "you accept a proof with one loose cell: *every* cell that carries mass must be tight"
    yield (plan, u, v, spread), False, message


@exercise("03.2", "D6")
def proves_optimal(answer, rng):
    """`answer(plan, u, v, cost)` is True when the prices are feasible and tight wherever mass moves."""
    for n in (3, 4, 6):
        for claim, truth, message in _claims(rng, n):
            verdict = ask(answer, *claim)
            if not isinstance(verdict, (bool, np.bool_)):
                given = type(verdict).__name__
                raise Wrong(f"return True or False, not {given} (`.all()` turns a mask into one verdict)")
            if bool(verdict) != truth:
                raise Wrong(message)


def _ordered_pairs(rng):
    """Pairs that tell the known mistakes apart: all mass goes right, mass goes both ways; then random ones."""
    yield np.array([0.5, 0.05, 0.05, 0.1, 0.1, 0.2]), np.array([0.1, 0.2, 0.15, 0.05, 0.3, 0.2])
    yield np.array([0.3, 0.1, 0.1, 0.4, 0.1]), np.array([0.1, 0.2, 0.3, 0.2, 0.2])
    for n in (2, 5, 9):
        yield rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))


@exercise("03.3", "D8")
def ordered_emd(answer, rng):
    """`answer(p, tau)` is the earth mover's distance under |i - j|: the L1 distance of the cumulative sums."""
    for p, tau in _ordered_pairs(rng):
        gap = np.cumsum(p) - np.cumsum(tau)
        right = float(np.abs(gap).sum())
        missing = "the absolute value is missing: mass that goes left does not pay for mass that goes right"
        late = "take the absolute value at every border: mass that goes left does not pay for mass that goes right"
        mistakes = [
            (np.abs(p - tau).sum() / 2, "that is total variation: sum up from the left before you compare"),
            (np.abs(p - tau).sum(), "you compare entry by entry: sum up from the left first"),
            (abs(gap.sum()), late),
            (gap.sum(), missing),
            (-gap.sum(), missing),
            (right / 2, "that is half of it: the factor ½ belongs to total variation, not here"),
            (right / len(p), "you took the mean over borders: the cost is their sum"),
            (np.abs(gap).max(), "you took the largest border only: every border is crossed, so sum them"),
            ((gap**2).sum(), "you squared the differences: every border costs their absolute value"),
        ]
        otherwise = "the value is off: compare with p = (1, 0, 0), tau = (0, 0, 1) on paper"
        compare(ask(answer, p, tau), right, mistakes, otherwise)
