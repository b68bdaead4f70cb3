"""Independent references: linear programs solved by scipy's HiGHS and derivatives by the complex step. None of them calls the code under test."""

import numpy as np

STEP = 1e-30  # of the complex step: no subtraction takes place, so it may be as small as one likes


def marginal_constraints(n):
    """The equality constraints of the transport problem, one row per marginal, acting on the plan read row by row.

    Formula: A4, `A_eq @ plan.ravel() = (p, tau)`: first the n row sums, then the n column sums; the rank is 2n - 1 (D6).
    Shape: returns (2n, n * n), zeros and ones. Units: none. Raises ValueError from numpy for a negative n.
    Source: Peyré & Cuturi, Computational Optimal Transport (2019), section 3.1.

    >>> marginal_constraints(2)
    array([[1., 1., 0., 0.],
           [0., 0., 1., 1.],
           [1., 0., 1., 0.],
           [0., 1., 0., 1.]])
    """
    eye, ones = np.eye(n), np.ones((1, n))
    return np.concatenate([np.kron(eye, ones), np.kron(ones, eye)])


def linear_program(p, tau, cost):
    """The earth mover's distance as a plain linear program, solved by HiGHS: slow, and independent of `transport`.

    Formula: A4, minimise `sum_ij plan_ij cost_ij` over plans of at least 0 with row sums p and column sums tau (scaled to p's sum).
    Shape: p and tau (n,), cost (n, n); returns (value, plan (n, n)). Units: those of the cost. Meant for n up to about 30.
    Raises RuntimeError when HiGHS does not report an optimum.
    Source: scipy.optimize.linprog. One redundant marginal is dropped and both tolerances are at HiGHS's least: with the defaults spiky
    distributions are now and then called infeasible.
    """
    p, tau, cost = (np.asarray(x, float) for x in (p, tau, cost))
    if p.size == 1:
        return float(p[0] * cost[0, 0]), p.reshape(1, 1).copy()
    marginals = np.concatenate([p, tau * (p.sum() / tau.sum())])
    result = _solve(cost.ravel(), A_eq=_sparse_constraints(p.size)[:-1], b_eq=marginals[:-1])
    return float(result.fun), result.x.reshape(cost.shape)


def _sparse_constraints(n):
    from scipy import sparse

    eye, ones = sparse.eye(n, format="csr"), np.ones((1, n))
    return sparse.vstack([sparse.kron(eye, ones), sparse.kron(ones, eye)], format="csr")


def _solve(objective, **constraints):
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    result = linprog(objective, method="highs", options=options, **constraints)
    if result.status != 0:
        raise RuntimeError(f"HiGHS found no optimum: {result.message}")
    return result


def simplex_minimum(coefficients):
    """Least value of a linear function over all distributions, as a linear program.

    Formula: D2, `min_p <coefficients, p>`. Shape: (n,), returns a float. Units: those of the coefficients.
    Raises RuntimeError when HiGHS does not report an optimum. Source: scipy.optimize.linprog.
    """
    coefficients = np.asarray(coefficients, float)
    return float(_solve(coefficients, A_eq=np.ones((1, coefficients.size)), b_eq=[1.0]).fun)


def lipschitz_dual(p, tau, cost):
    """The largest `sum_i f_i (p_i - tau_i)` over functions that rise by at most the cost: the dual that holds for metric costs only.

    Formula: D4, `max <f, p - tau>` subject to `f_i - f_j <= cost_ij`. Shape: (n,), (n,), (n, n), returns a float. Units: those of the cost.
    Raises RuntimeError when HiGHS does not report an optimum. Source: Kantorovich & Rubinstein; scipy.optimize.linprog.
    """
    n, cost = len(p), np.asarray(cost, float)
    away = [(i, j) for i in range(n) for j in range(n) if i != j]
    rises = np.array([[float(k == i) - float(k == j) for k in range(n)] for i, j in away])
    pinned = [(0, 0)] + [(None, None)] * (n - 1)  # only differences count
    return -float(_solve(np.subtract(tau, p), A_ub=rises, b_ub=[cost[i, j] for i, j in away], bounds=pinned).fun)


def same_mean(tau, points, direction):
    """The distribution furthest along `direction` whose mean point is that of tau; tau itself when the points are affinely independent.

    Formula: D9, `max <direction, q>` over distributions q with `sum_i q_i x_i = sum_i tau_i x_i`. Shape: (n,), (n, d), (n,), returns (n,).
    Units: probability. Raises RuntimeError when HiGHS does not report an optimum. Source: scipy.optimize.linprog.
    """
    equal = np.vstack([np.asarray(points, float).T, np.ones(len(tau))])
    q = _solve(-np.asarray(direction, float), A_eq=equal, b_eq=equal @ tau).x
    return np.clip(q, 0, None) / np.clip(q, 0, None).sum()


def monotone_plan(p, tau):
    """The plan that matches the mass from left to right: the north-west corner rule, one entry at a time.

    Formula: D8. Shape: (n,), (n,), returns (n, n). Units: probability. Raises nothing. Source: Peyré & Cuturi (2019), section 3.4.2.
    """
    left, right, plan = list(map(float, p)), list(map(float, tau)), np.zeros((len(p), len(p)))
    i = j = 0
    while i < len(left) and j < len(right):
        moved = min(left[i], right[j])
        plan[i, j] += moved
        left[i], right[j] = left[i] - moved, right[j] - moved
        i, j = (i + 1, j) if left[i] == 0 else (i, j + 1)
    return plan


def softmax(logits):
    """Softmax that also takes complex logits.

    Formula: `exp(z_i) / sum_j exp(z_j)`. Shape: (n,), returns (n,). Units: probability. Raises nothing. Source: the definition.
    """
    powers = np.exp(logits - np.max(np.real(logits)))
    return powers / powers.sum()


def complex_step(function, x):
    """Gradient of an analytic function of real numbers, exact to rounding since nothing is subtracted.

    Formula: `Im function(x + i h e_k) / h`. Shape: x (n,), returns (n,). Units: those of the function. Raises nothing.
    Source: Squire & Trapp, SIAM Review 40 (1998).

    >>> complex_step(lambda x: (x**2).sum(), [1.0, 3.0]).tolist()
    [2.0, 6.0]
    """
    x = np.asarray(x, float)
    return np.array([np.imag(function(x + 1j * STEP * row)) / STEP for row in np.eye(x.size)])
