"""Independent references that never call the code under test: linear programs, derivatives by the complex step,
and the sums of the definitions, term by term, in 60 digits (mpmath) or exact fractions.
"""

import functools
from fractions import Fraction

import numpy as np

STEP = 1e-30  # of the complex step: no subtraction takes place, so it may be as small as one likes
DIGITS = 60
_SOLVED = {}  # bytes of p, tau and cost: what `linear_program` returned


def marginal_constraints(n):
    """The equality constraints of the transport problem, one row per marginal, acting on the plan read row by row.

    Formula: A4, `A_eq @ plan.ravel() = (p, tau)`: the n row sums, then the n column sums; the rank is 2n - 1 (D6).
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

    Formula: A4, minimise `sum_ij plan_ij cost_ij` over plans of at least 0 with row sums p and column sums tau (scaled
    to p's sum). Shape: p and tau (n,), cost (n, n); returns (value, plan (n, n)). Units: those of the cost. For n up to
    about 30. Raises RuntimeError when HiGHS does not report an optimum. Source: scipy.optimize.linprog. One redundant
    marginal is dropped, and both tolerances are HiGHS's least: by default it calls some spiky distributions infeasible.
    """
    p, tau, cost = (np.asarray(x, float) for x in (p, tau, cost))
    if p.size == 1:
        return float(p[0] * cost[0, 0]), p.reshape(1, 1).copy()
    marginals = np.concatenate([p, tau * (p.sum() / tau.sum())])
    result = minimise(cost.ravel(), A_eq=_sparse_constraints(p.size)[:-1], b_eq=marginals[:-1])
    return float(result.fun), result.x.reshape(cost.shape)


def solved(p, tau, cost):
    """`linear_program`, remembered: many rows ask for the same problem.

    Formula: A4. Shape: p and tau (n,), cost (n, n); returns (value, plan (n, n)). Units: those of the cost. Raises
    RuntimeError when HiGHS does not report an optimum. Source: `linear_program`.
    """
    key = tuple(np.asarray(x, float).tobytes() for x in (p, tau, cost))
    if key not in _SOLVED:
        _SOLVED[key] = linear_program(p, tau, cost)
    return _SOLVED[key]


@functools.cache
def _sparse_constraints(n):
    from scipy import sparse

    eye, ones = sparse.eye(n, format="csr"), np.ones((1, n))
    return sparse.vstack([sparse.kron(eye, ones), sparse.kron(ones, eye)], format="csr")


def minimise(objective, **constraints):
    """Least value of a linear function under linear constraints, by HiGHS at its least tolerances.

    Formula: `min <objective, x>` over x >= 0 where no `bounds` are given. Shape: objective (n,); returns scipy's
    result, with the value `fun` and the place `x` (n,). Units: those of the objective. Raises RuntimeError when HiGHS
    does not report an optimum. Source: scipy.optimize.linprog.
    """
    from scipy.optimize import linprog

    options = {"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10}
    result = linprog(objective, method="highs", options=options, **constraints)
    if result.status != 0:
        raise RuntimeError(f"HiGHS found no optimum: {result.message}")
    return result


def lipschitz_dual(p, tau, cost):
    """The largest `sum_i f_i (p_i - tau_i)` over functions that rise by at most the cost.

    Formula: D4, `max <f, p - tau>` subject to `f_i - f_j <= cost_ij`. Shape: (n,), (n,), (n, n), returns a float.
    Units: those of the cost. Raises RuntimeError when HiGHS reports no optimum. Source: Kantorovich & Rubinstein.
    """
    n, cost = len(p), np.asarray(cost, float)
    away = [(i, j) for i in range(n) for j in range(n) if i != j]
    rises = np.array([np.eye(n)[i] - np.eye(n)[j] for i, j in away])
    pinned = [(0, 0)] + [(None, None)] * (n - 1)  # only differences count
    return -minimise(np.subtract(tau, p), A_ub=rises, b_ub=[cost[i, j] for i, j in away], bounds=pinned).fun


def softmax(logits):
    """Softmax that also takes complex logits.

    Formula: `exp(z_i) / sum_j exp(z_j)`. Shape: (n,), (n,). Units: probability. Raises nothing. Source: the definition.
    """
    powers = np.exp(logits - np.max(np.real(logits)))
    return powers / powers.sum()


def complex_step(function, x):
    """Gradient of an analytic function of real numbers, exact to rounding since nothing is subtracted.

    Formula: `Im function(x + i h e_k) / h`. Shape: x (n,), returns (n,), or (n, m) for a function with m values.
    Units: those of the function. Raises nothing. Source: Squire & Trapp, SIAM Review 40 (1998).

    >>> complex_step(lambda x: (x**2).sum(), [1.0, 3.0]).tolist()
    [2.0, 6.0]
    """
    x = np.asarray(x, float)
    return np.array([np.imag(function(x + 1j * STEP * row)) / STEP for row in np.eye(x.size)])


def logit_gradient(function, logits):
    """Gradient of an analytic function of `p = softmax(z)` with respect to the logits z.

    Formula: `Im function(softmax(z + i h e_k)) / h`. Shape: logits (V,), returns (V,), or (V, m) for m values.
    Units: those of the function. Raises nothing. Source: `complex_step`.
    """
    return complex_step(lambda z: function(softmax(z)), logits)


def central_difference(function, step):
    """Derivative at 0 of a function of one number, by central differences of sixth order.

    Formula: `sum_k w_k (f(k h) - f(-k h)) / h` with weights 3/4, -3/20, 1/60. Shape: that of the function's values.
    Units: those of the function. Raises nothing. Source: Fornberg, Mathematics of Computation 51 (1988).

    >>> round(float(central_difference(np.sin, 0.01)), 12)
    1.0
    """
    weights = {1: 45 / 60, 2: -9 / 60, 3: 1 / 60}
    return sum(w * (function(k * step) - function(-k * step)) for k, w in weights.items()) / step


@functools.cache
def _wide():
    """A context of mpmath: numbers of 60 digits whose exponents have no bounds, and their `log`, `sqrt` and `exp`."""
    from mpmath import MPContext

    context = MPContext()
    context.dps = DIGITS
    return context


def _numbers(values):
    return [_wide().mpf(float(v)) for v in values]


def _xlog(x, y):
    """x log y, with 0 log y = 0 and x log 0 = -inf."""
    if x == 0:
        return _wide().zero
    return x * _wide().log(y) if y > 0 else -_wide().inf


def cross_entropy(tau, p):
    """Cross-entropy term by term, in 60 digits.

    Formula: A2, `-sum_i tau_i log p_i`, with 0 log 0 = 0. Shape: (n,), (n,), returns a float. Units: nats.
    Raises nothing. Source: the definition.
    """
    return float(-sum(_xlog(t, q) for t, q in zip(_numbers(tau), _numbers(p), strict=True)))


def skew_kl(tau, p, gamma):
    """KL from the label to its mixture with the model, term by term, the mixture in 60 digits too.

    Formula: D10, `KL(tau || gamma tau + (1 - gamma) p) / (1 - gamma)`. Shape: (n,), (n,), a number, returns a float.
    Units: nats. Raises nothing for gamma in [0, 1). Source: the definition.
    """
    share = _wide().mpf(gamma)
    mixed = ((t, share * t + (1 - share) * q) for t, q in zip(_numbers(tau), _numbers(p), strict=True))
    return float(sum(_xlog(t, t) - _xlog(t, m) for t, m in mixed) / (1 - share))


def logit_cross_entropy(tau, logits):
    """Cross-entropy from logits, term by term, in 60 digits.

    Formula: A2, `log sum_k exp(z_k) - sum_i tau_i z_i`. Shape: (n,), (n,), returns a float. Units: nats.
    Raises nothing. Source: the definition.
    """
    m, z = _wide(), _numbers(logits)
    return float(m.log(m.fsum(map(m.exp, z))) - m.fdot(_numbers(tau), z))


def f_divergence(generator, tau, p):
    """An f-divergence term by term, in 60 digits, from the plain f and its two limits.

    Formula: `sum_i p_i f(tau_i / p_i)`, with `p_i f(0)` where tau_i = 0 and `tau_i` times the slope where p_i = 0.
    Shape: (n,), (n,), returns a float. Units: nats or none. Raises nothing. Source: the definition.
    """
    total = _wide().zero
    for t, q in zip(_numbers(tau), _numbers(p), strict=True):
        if t and q:
            total += q * generator.plain(t / q, _wide())
        elif t or q:
            total += t * generator.slope_at_infinity if t else q * generator.at_zero
    return float(total)


def _unit_rows(embedding):
    rows = [_numbers(row) for row in embedding]
    return [[x / _wide().sqrt(_wide().fdot(row, row)) for x in row] for row in rows]


def cosine(embedding):
    """The cosine cost element by element, in 60 digits.

    Formula: A8, `1 - <e_i, e_j> / (|e_i| |e_j|)`. Shape: (V, d), returns (V, V). Units: none. Raises ZeroDivisionError
    for a row of zeros. Source: the definition.
    """
    unit = _unit_rows(embedding)
    return np.array([[float(1 - _wide().fdot(a, b)) for b in unit] for a in unit])


def chord(embedding):
    """Distance of the unit vectors element by element, in 60 digits.

    Formula: D4, `|ê_i - ê_j|`. Shape: (V, d), returns (V, V). Units: none. Raises ZeroDivisionError for a row of zeros.
    Source: the definition.
    """
    unit = _unit_rows(embedding)
    gaps = [[[x - y for x, y in zip(a, b, strict=True)] for b in unit] for a in unit]
    return np.array([[float(_wide().sqrt(_wide().fdot(gap, gap))) for gap in row] for row in gaps])


def bilinear(p, cost, tau):
    """The double sum of the product plan, term by term, in exact fractions.

    Formula: A6, `sum_ij p_i cost_ij tau_j`. Shape: (n,), (n, n), (n,), returns a float. Units: those of the cost.
    Raises nothing. Source: the definition.
    """
    inner = [_dot(row, tau) if x else 0 for x, row in zip(p, cost, strict=True)]
    return float(_dot(p, inner))


def _dot(a, b):
    """Sum of products in exact fractions."""
    return sum(Fraction(x) * Fraction(y) for x, y in zip(a, b, strict=True) if x and y)


def squared_distance(p, tau, points):
    """Squared distance between two weighted means of points, term by term, in exact fractions.

    Formula: D9, `|sum_i (p_i - tau_i) x_i|^2`. Shape: (n,), (n,), points (n, d), returns a float. Units: those of the
    points, squared. Raises nothing. Source: the definition.
    """
    weights = [Fraction(a) - Fraction(b) for a, b in zip(p, tau, strict=True)]
    return float(sum(_dot(weights, column) ** 2 for column in np.asarray(points).T))
