"""Moving probability: the exact earth mover's distance by linear programming, closed forms, bounds, entropic cousins.

`p` (n,) is the model, the first marginal; `tau` (n,) the label, the second; `cost[i, j]` (n, n) the cost from i to j;
`embedding` (V, d) holds a row per token. Leading axes (...) hold many distributions and broadcast. Values are in the
cost's unit. "Bad input", a ValueError, is what is no distribution, no finite cost, no embedding or no index, or sizes
that disagree. POT is imported on first use.
"""

import os
import sys
import threading
import warnings
from dataclasses import dataclass

import numpy as np

from . import costs, inputs

_LOCK = threading.Lock()  # Python's warning filters are shared by all threads: two solvers at once could corrupt them
MAX_ITERATIONS = 1_000_000  # of the network simplex; `SolverError` when they do not suffice
_SMALL, _LARGE = 0.1, 1e100  # POT's tolerance of 1e-15 is absolute, and its sums of costs overflow near 1e307


class SolverError(RuntimeError):
    """The solver did not reach an optimal solution; the message quotes its reason."""


@dataclass(frozen=True)
class Transport:
    """A solved transport problem: primal, dual, and the gap between them.

    `value` is the optimal cost; `plan` (n, n) has row sums p and column sums tau; `u`, `v` (n,) are the potentials with
    `u_i + v_j <= cost_ij`, shifted so that `tau @ v = 0`, hence `value = p @ u`; `gap = value - (p @ u + tau @ v)` is 0
    up to rounding (that of the largest cost) and certifies optimality.
    """

    value: float
    plan: np.ndarray
    u: np.ndarray
    v: np.ndarray
    gap: float


def _pot():
    """POT, imported without the heavy array backends that are not loaded yet: they take seconds and are not used."""
    if "ot" not in sys.modules:
        heavy = {"PYTORCH": "torch", "TENSORFLOW": "tensorflow", "JAX": "jax", "CUPY": "cupy"}
        keys = {f"POT_BACKEND_DISABLE_{name}" for name, module in heavy.items() if module not in sys.modules}
        keys -= set(os.environ)
        os.environ.update(dict.fromkeys(keys, "1"))
        try:
            import ot
        finally:
            for key in keys:
                del os.environ[key]
    import ot

    return ot


def _problem(p, tau, cost):
    p, tau = inputs.distribution("p", p), inputs.distribution("tau", tau)
    inputs.same_length("p", p, "tau", tau)
    return p, tau, inputs.square_cost("cost", cost, p.size)


def emd(p, tau, cost, max_iterations=MAX_ITERATIONS):
    """Earth mover's distance, exactly, with its plan and potentials: POT's network simplex on the linear program.

    Formula: A4, `min <plan, cost>` over plans with row sums p and column sums tau; D6 for the dual. Where p or tau is 0
    the potentials are completed by the c-transform, so that they are feasible everywhere. Sums that differ from 1 by
    rounding are allowed; the solver scales tau to p's.
    Shape: p and tau (n,), cost (n, n); returns a `Transport`. Units: those of the cost. Raises ValueError for bad
    input; `SolverError` when the solver stops before the optimum.
    Source: https://spaces.ac.cn/archives/9797; Bonneel et al. 2011 (the solver); POT, https://pythonot.github.io.

    >>> float(emd([0.5, 0.5], [1.0, 0.0], [[0.0, 3.0], [3.0, 0.0]]).value)
    1.5
    """
    p, tau, cost = _problem(p, tau, cost)
    return Transport(*_solve(p, tau, cost, inputs.count("max_iterations", max_iterations)))


def _solve(p, tau, cost, max_iterations):
    """(value, plan, u, v, gap) of a checked problem."""
    low = min(np.minimum.reduce(cost, axis=None), 0.0)
    largest = max(np.maximum.reduce(cost, axis=None), -low)
    exponent = 0 if _SMALL <= largest <= _LARGE else int(np.frexp(largest)[1])
    if exponent:  # solve with costs near 1: a power of two rounds nothing
        cost, low = np.ldexp(cost, -exponent), np.ldexp(low, -exponent)
    if low < 0:  # POT calls costs far below 0 infeasible; a constant on all costs changes no plan, and u takes it back
        cost = cost - low
    plan, value, u, v = _network_simplex(p, tau, cost, max_iterations)
    if not (p.all() and tau.all()):  # the solver skips points without mass: take the largest feasible potentials there
        rows, columns = p > 0, tau > 0
        v = np.where(columns, v, (cost[rows] - u[rows, None]).min(axis=0))
        u = np.where(rows, u, (cost - v).min(axis=1))
    shift = tau.dot(v) / tau.sum()
    u, v, value = u + shift + low, v - shift, value + low * p.sum()
    gap = value - (p.dot(u) + tau.dot(v))
    if exponent:
        value, u, v, gap = (np.ldexp(x, exponent) for x in (value, u, v, gap))
    return value, plan, u, v, gap


def _network_simplex(p, tau, cost, max_iterations):
    """POT's plan, value, u and v; what POT would warn of is raised."""
    p = np.ascontiguousarray(p)  # POT refuses a slice with gaps, such as a column, for the first marginal
    with _LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plan, log = _pot().emd(p, tau, cost, max_iterations, True, center_dual=False, check_marginals=False)
    if log["warning"] is not None:
        raise SolverError(f"no optimal plan for this problem of size {p.size}: {log['warning']}")
    return plan, log["cost"], log["u"], log["v"]


def emd_many(p, tau, cost, max_iterations=MAX_ITERATIONS):
    """Many earth mover's distances at once, solved in turn: one `Transport` whose fields have a first axis more.

    Formula: A4, per problem. Shape: p and tau (m, n) or (n,), cost (n, n) or (m, n, n), broadcast over m; returns value
    (m,), plan (m, n, n), u and v (m, n), gap (m,). Units: those of the cost. Raises as `emd`, and ValueError when the
    numbers of problems disagree. Source: as `emd`.
    """
    p, tau, cost = inputs.distributions("p", p), inputs.distributions("tau", tau), inputs.finite("cost", cost)
    inputs.same_length("p", p, "tau", tau)
    n, shapes = p.shape[-1], f"p {p.shape}, tau {tau.shape} and cost {cost.shape}"
    if p.ndim > 2 or tau.ndim > 2 or cost.ndim not in (2, 3) or cost.shape[-2:] != (n, n):
        raise ValueError(f"{shapes} must be (m, n) or (n,), and (n, n) or (m, n, n)")
    counts = {len(x) for x, single in ((p, 1), (tau, 1), (cost, 2)) if x.ndim > single}
    if len(counts) > 1:
        raise ValueError(f"{shapes} hold different numbers of problems: {sorted(counts)}")
    m = counts.pop() if counts else 1
    p, tau, cost = np.broadcast_to(p, (m, n)), np.broadcast_to(tau, (m, n)), np.broadcast_to(cost, (m, n, n))
    max_iterations = inputs.count("max_iterations", max_iterations)
    solved = [_solve(*problem, max_iterations) for problem in zip(p, tau, cost, strict=True)]
    return Transport(*(np.stack(field) for field in zip(*solved, strict=True)))


def one_hot_emd(p, cost, target):
    """Earth mover's distance to a one-hot label, in closed form: only one plan exists.

    Formula: A5, `sum_i p_i cost_it`; with the 0/1 cost it is A7, `1 - p_t`.
    Shape: p (..., n), cost (n, n), target an index; returns (...). Units: those of the cost.
    Raises ValueError for bad input. Source: https://spaces.ac.cn/archives/9797.

    >>> float(one_hot_emd([0.5, 0.5], [[0.0, 3.0], [3.0, 0.0]], 0))
    1.5
    """
    p = inputs.distributions("p", p)
    cost = inputs.square_cost("cost", cost, p.shape[-1])
    return p @ cost[:, inputs.target_index("target", target, p.shape[-1])]


def one_hot_logit_gradient(p, cost, target):
    """Gradient of the one-hot earth mover's distance with respect to the logits z behind `p = softmax(z)`.

    Formula: D1, `dL/dz_j = p_j (cost_jt - L)` with `L = sum_i p_i cost_it`.
    Shape: p (..., n), cost (n, n), target an index; returns (..., n). Units: those of the cost.
    Raises ValueError for bad input. Source: chain rule through softmax; D1 in the appendix.
    """
    p = inputs.distributions("p", p)
    loss = one_hot_emd(p, cost, target)
    return p * (np.asarray(cost, float)[:, target] - loss[..., None])


def product_bound(p, tau, cost):
    """Cost of the product plan `p_i tau_j`, an upper bound on the earth mover's distance that is bilinear, hence cheap.

    Formula: A6, `sum_ij p_i tau_j cost_ij >= EMD(p, tau)`, with equality when p or tau is one-hot. It is also the mean
    one-hot loss (for the cosine cost: the mean EMO loss) over labels drawn from tau (D2).
    Shape: p and tau (..., n), cost (n, n); returns (...). Units: those of the cost.
    Raises ValueError for bad input. Source: https://spaces.ac.cn/archives/9797.
    """
    p, tau = inputs.distributions("p", p), inputs.distributions("tau", tau)
    inputs.broadcast("p", p, "tau", tau)
    cost = inputs.square_cost("cost", cost, p.shape[-1])
    return ((p @ cost) * tau).sum(-1)


def medoid(tau, cost):
    """The token from which moving to tau is cheapest: where the product bound, as a loss for tau, has its minimum.

    Formula: D2, `argmin_i sum_j cost_ij tau_j` over the whole vocabulary; the first one when several tie.
    Shape: tau (n,), cost (n, n); returns an index. Units: none.
    Raises ValueError for bad input. Source: D2 in the appendix.
    """
    tau = inputs.distribution("tau", tau)
    return int(np.argmin(inputs.square_cost("cost", cost, tau.size) @ tau))


def debiased(p, tau, cost):
    """The product bound less half of each side's own spread: for the cosine cost a proper score, as the bound is not.

    Formula: D9, `p^T C tau - ½ p^T C p - ½ tau^T C tau`; for the cosine cost this is `½ |m_p - m_tau|^2`, for the 0/1
    cost `½ |p - tau|^2` (half of Brier's score): 0 or above but for rounding, some 1e-16 of the largest cost.
    Shape: p and tau (..., n), cost (n, n); returns (...). Units: those of the cost.
    Raises ValueError for bad input. Source: the energy distance of Székely & Rizzo (2013); D9 in the appendix.
    """
    return product_bound(p, tau, cost) - 0.5 * product_bound(p, p, cost) - 0.5 * product_bound(tau, tau, cost)


def mean_direction(p, embedding):
    """Average of the tokens' unit vectors under p; its length is 1 only when all of p's mass points one way, else less.

    Formula: D3 and A9, `m_p = sum_i p_i e_i / |e_i|`. Shape: p (..., V), embedding (V, d); returns (..., d). Units:
    none. Raises ValueError for bad input. Source: https://spaces.ac.cn/archives/9797, "average the embeddings first".
    """
    p, unit = inputs.distributions("p", p), costs.unit_rows(embedding)
    if unit.shape[0] != p.shape[-1]:
        raise ValueError(f"embedding has {unit.shape[0]} rows, but the distribution has {p.shape[-1]} entries")
    return p @ unit


def emo(p, embedding, target):
    """The EMO loss: the one-hot distance under the cosine cost, computed by averaging the embeddings first.

    Formula: A9, `1 - <m_p, ê_t>`. The mean m_p is *not* normalised (D5 is the wrong version that does so).
    Shape: p (..., V), embedding (V, d), target an index; returns (...). Units: none, from 0 to 2 (up to rounding).
    Raises ValueError for bad input. Source: https://spaces.ac.cn/archives/9797; Ren et al., EMO (arXiv 2310.04691).
    """
    mean, unit = mean_direction(p, embedding), costs.unit_rows(embedding)
    return inputs.not_negative(1.0 - mean @ unit[inputs.target_index("target", target, unit.shape[0])])


def jensen_bound(p, tau, embedding):
    """A lower bound on the earth mover's distance under the cosine cost: compare the mean directions only.

    Formula: D3, `½ |m_p - m_tau|^2 <= EMD(p, tau)` with `m_p = sum_i p_i ê_i`.
    Shape: p and tau (..., V), embedding (V, d); returns (...). Units: those of the cosine cost (none).
    Raises ValueError for bad input. Source: Jensen's inequality on `1 - cos = ½ |ê_i - ê_j|^2`; D3 in the appendix.
    """
    p, tau = inputs.distributions("p", p), inputs.distributions("tau", tau)
    inputs.broadcast("p", p, "tau", tau)
    return 0.5 * ((mean_direction(p, embedding) - mean_direction(tau, embedding)) ** 2).sum(-1)


def class_emd(p, truth, classes, within=0.0, between=1.0):
    """Earth mover's distance under `costs.class_cost`, in closed form: what leaves its class, and what moves inside it.

    Formula: `within * TV(tokens) + (between - within) * TV(classes)`, TV(classes) being that of the classes' total
    masses. Any plan moves at least TV(tokens) at all and TV(classes) across, and the plan that first settles each class
    and then the rest meets both bounds. Shape: p and truth (..., V), classes (V,) integers, returns (...). Units: those
    of the two costs. Raises ValueError for bad input, shapes that differ, and unless `0 <= within <= between`.
    Source: the formula's two bounds, which one plan meets.

    >>> round(float(class_emd([0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0, 0, 1], within=0.25)), 12)
    0.175
    """
    p, truth = inputs.distributions("p", p), inputs.distributions("truth", truth)
    if p.shape != truth.shape:
        raise ValueError(f"p {p.shape} and truth {truth.shape} must have the same shape")
    classes, between = inputs.integers("classes", classes, ndim=1), inputs.number("between", between, low=0)
    within = inputs.number("within", within, low=0, high=between)
    if classes.size != p.shape[-1]:
        raise ValueError(f"classes has {classes.size} entries, but the distributions have {p.shape[-1]}")
    member = (classes[:, None] == np.unique(classes)).astype(float)
    tokens, masses = 0.5 * np.abs(p - truth).sum(-1), 0.5 * np.abs((p - truth) @ member).sum(-1)
    return within * tokens + (between - within) * masses


def emd_1d(p, tau, power=1.0):
    """Earth mover's distance between histograms over ordered classes, in closed form: match the quantiles.

    Formula: D8, the cost of the monotone plan under `|i - j| ** power`; for power 1 this is `sum_k |P_k - T_k|` of the
    cumulative sums. Optimal for power >= 1 only; below 1 crossing plans can be cheaper, so such powers are refused. As
    in `emd`, tau is scaled to p's sum.
    Shape: p and tau (n,); returns a float. Units: rank steps to the given power. Raises ValueError for bad input, a
    power below 1 or so large that a cost overflows.
    Source: Peyré & Cuturi, Computational Optimal Transport (2019), section 2.6.

    >>> round(emd_1d([1, 0, 0], [0, 0.5, 0.5]), 12)
    1.5
    """
    p, tau = inputs.distribution("p", p), inputs.distribution("tau", tau)
    inputs.same_length("p", p, "tau", tau)
    power = inputs.number("power", power, low=1)
    inputs.power_fits("power", power, p.size - 1)
    cdf_p, cdf_tau = np.cumsum(p), np.cumsum(tau)
    cdf_tau *= cdf_p[-1] / cdf_tau[-1]  # else what rounding left over would travel to the far end
    if power == 1:
        return float(np.abs(cdf_p - cdf_tau)[:-1].sum())
    levels = np.sort(np.concatenate([cdf_p, cdf_tau]))
    mass = np.diff(levels, prepend=0.0)
    middle = levels - mass / 2  # a level inside each slice, away from its rounded ends
    i, j = (np.minimum(np.searchsorted(cdf, middle), p.size - 1) for cdf in (cdf_p, cdf_tau))
    return float((mass * np.abs(i - j).astype(float) ** power).sum())


def _soft_minimum(cost, regularisation):
    """A function from scores s (..., n) to `-log sum_j exp(s_j - cost_ij / regularisation)` (..., n).

    It takes one product of matrices for all problems, or a sum in the log domain where the product would underflow.
    """
    from scipy.special import logsumexp

    scaled = cost / regularisation
    low = scaled.min()
    if scaled.max() - low > 300:
        return lambda scores: -logsumexp(scores[..., None, :] - scaled, axis=-1)
    kernel = np.exp(low - scaled).T

    def minimum(scores):
        top = scores.max(axis=-1, keepdims=True)
        return low - top - np.log(np.exp(scores - top) @ kernel)

    return minimum


# POT would take a kernel for each problem of a batch, where these share one; and it has no symmetric iteration.
def sinkhorn_potentials(p, tau, cost, regularisation, max_iterations=5000, tolerance=1e-6):
    """Potentials of entropic transport for many problems that share a cost: Sinkhorn's iteration, in the log domain.

    Formula: D12's dual, `f_i = -r log sum_j tau_j exp((g_j - cost_ij)/r)`, and the same for g. The value is `p @ f +
    tau @ g`, its gradient in p is f (Danskin), and the plan is `p_i tau_j exp((f_i + g_j - cost_ij)/r)`.
    Shape: p and tau (..., n), cost (n, n); returns f and g (..., n). Units: those of the cost.
    Raises ValueError for bad input and a regularisation or tolerance that is not above 0; `SolverError` when the plan
    misses a probability by more than the tolerance.
    Source: Cuturi, Sinkhorn distances (2013); Danskin, The theory of max-min (1967) for the gradient.
    """
    p, tau = inputs.distributions("p", p), inputs.distributions("tau", tau)
    inputs.broadcast("p", p, "tau", tau)
    cost, r, max_iterations, tolerance = _entropic_options(p, cost, regularisation, max_iterations, tolerance)
    ratio = p.sum(-1, keepdims=True) / tau.sum(-1, keepdims=True)
    tau = np.where(np.abs(ratio - 1) > 1e-12, tau * ratio, tau)  # no plan has two sides of different masses
    to_f, to_g = _soft_minimum(cost, r), _soft_minimum(cost.T, r)
    with np.errstate(divide="ignore", over="ignore"):  # log 0 has no weight; early steps may overflow
        log_p, log_tau = np.log(p), np.log(tau)
        g = np.zeros(np.broadcast_shapes(p.shape, tau.shape))  # in units of the regularisation, as f
        f = to_f(log_tau + g)
        for _ in range(max_iterations):
            g = to_g(log_p + f)
            f, last = to_f(log_tau + g), f
            if np.abs(p * np.expm1(last - f)).max() <= tolerance:
                return r * f, r * g
    raise _not_converged(r, max_iterations)


def symmetric_potentials(p, cost, regularisation, max_iterations=5000, tolerance=1e-6):
    """Potentials of entropic transport from distributions to themselves: one potential serves both sides.

    Formula: as `sinkhorn_potentials` with tau = p, but each step goes half of the way, which takes dozens of steps
    where alternating takes thousands. At the end f is the soft minimum for g, and equal to it within the tolerance.
    Shape: p (..., n), a symmetric cost (n, n); returns f and g (..., n). Units: those of the cost.
    Raises as `sinkhorn_potentials`, and ValueError for a cost that is not symmetric. Source: Feydy et al. (2019).
    """
    p = inputs.distributions("p", p)
    cost, r, max_iterations, tolerance = _entropic_options(p, cost, regularisation, max_iterations, tolerance)
    if not np.array_equal(cost, cost.T):
        raise ValueError("cost must be symmetric: p is moved to itself")
    soft_minimum = _soft_minimum(cost, r)
    with np.errstate(divide="ignore", over="ignore"):
        log_p, g = np.log(p), np.zeros_like(p)
        for _ in range(max_iterations):
            f = soft_minimum(log_p + g)
            if np.abs(p * np.expm1(g - f)).max() <= tolerance:
                return r * f, r * g
            g = 0.5 * (g + f)
    raise _not_converged(r, max_iterations)


def _entropic_options(p, cost, regularisation, max_iterations, tolerance):
    return (
        inputs.square_cost("cost", cost, p.shape[-1]),
        inputs.number("regularisation", regularisation, low=0, open_low=True),
        inputs.count("max_iterations", max_iterations),
        inputs.number("tolerance", tolerance, low=0, open_low=True),
    )


def _not_converged(r, iterations):
    return SolverError(f"Sinkhorn at regularisation {r:g} did not meet the marginals in {iterations} iterations")


def entropic(p, tau, cost, regularisation, max_iterations=10_000, tolerance=1e-11):
    """Entropic optimal transport: the plan that also pays for straying from the product `p_i tau_j`.

    Formula: D12, `min <plan, cost> + regularisation * KL(plan || p tau^T)`: the EMD as the regularisation goes to 0,
    the product bound (A6) as it grows.
    Shape: p and tau (n,), cost (n, n); returns (value, plan). Units: value and regularisation in those of the cost.
    Raises as `sinkhorn_potentials`.
    Source: Cuturi (2013), by POT's log-domain Sinkhorn; for p = tau `symmetric_potentials`.
    """
    from scipy.special import rel_entr

    p, tau, cost = _problem(p, tau, cost)
    cost, r, max_iterations, tolerance = _entropic_options(p, cost, regularisation, max_iterations, tolerance)
    rows, columns = np.flatnonzero(p), np.flatnonzero(tau)
    part = cost[np.ix_(rows, columns)]
    a, b = p[rows] / p.sum(), tau[columns] / tau.sum()
    if np.array_equal(rows, columns) and np.array_equal(a, b) and np.array_equal(part, part.T):
        _, g = symmetric_potentials(a, part, r, max_iterations, tolerance)
        inner = np.outer(a, a) * np.exp((g[:, None] + g - part) / r)
    else:
        options = {"method": "sinkhorn_log", "numItermax": max_iterations, "stopThr": tolerance, "warn": False}
        with np.errstate(all="ignore"):  # far from the solution numbers may overflow; the marginals are tested below
            inner = _pot().sinkhorn(a, b, part, r, **options)
        error = max(np.abs(inner.sum(0) - b).max(), np.abs(inner.sum(1) - a).max())
        if not error <= 10 * tolerance:
            raise SolverError(f"{_not_converged(r, max_iterations)}: missed by {error:.2e}")
    plan = np.zeros_like(cost)
    plan[np.ix_(rows, columns)] = inner
    product = np.outer(a, b)
    spread = rel_entr(inner, np.where(product > 0, product, inner)).sum()  # a product of two masses may underflow
    return float((inner * part).sum() + r * inputs.not_negative(spread)), plan


def sinkhorn_divergence(p, tau, cost, regularisation, **options):
    """Entropic transport with its bias taken out; from the EMD to the debiased score as the regularisation grows.

    Formula: D12, `OT(p, tau) - ½ OT(p, p) - ½ OT(tau, tau)` with `entropic` for OT. Tends to the EMD at 0 (for costs of
    at least 0 with a zero diagonal), to D9 at infinity; never negative for the cosine cost. What the iterations leave
    within 10 tolerances below 0 is given as 0.
    Shape: p and tau (n,), cost (n, n); returns a float. Units: those of the cost. `options` go to `entropic`.
    Raises as `entropic`. Source: Genevay, Peyré & Cuturi (2018); Feydy et al. (2019).
    """
    pairs = ((p, tau), (p, p), (tau, tau))
    both, own_p, own_tau = (entropic(*pair, cost, regularisation, **options)[0] for pair in pairs)
    value = both - 0.5 * own_p - 0.5 * own_tau
    missed = 10 * options.get("tolerance", 1e-11) * np.abs(cost).max() + 1e-15 * regularisation
    return max(value, 0.0) + 0.0 if value >= -missed else value


def escape_times(p_target, cost=1.0):
    """Time that gradient flow on the logits takes to raise the target's probability to one half, for CE and for EMO.

    Formula: D13, two tokens, the wrong one at a cost c, `o = p_t/(1 - p_t)`: cross-entropy `½ (1 - o - log o)`, EMO
    `(1/o - o - 2 log o)/(2c)`.
    Shape: p_target (...) in (0, ½], returns two arrays (...). Units: one over the learning rate. Raises ValueError for
    a probability outside (0, ½] or a cost that is not above 0. Source: derived in the appendix (D13).

    >>> ce, emo = escape_times(1e-4)
    >>> round(float(ce), 2), round(float(emo), 1)
    (5.11, 5008.7)
    """
    p = inputs.finite("p_target", p_target)
    cost = inputs.number("cost", cost, low=0, open_low=True)
    bad = np.atleast_1d((p <= 0) | (p > 0.5))
    inputs.refuse_where("p_target", np.atleast_1d(p), bad, "probabilities must lie in (0, 0.5]")
    odds = p / (1 - p)
    return 0.5 * (1 - odds - np.log(odds)), (1 / odds - odds - 2 * np.log(odds)) / (2 * cost)
