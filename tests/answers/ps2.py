import itertools

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import rel_entr, softmax

FUNCTIONS = {
    "2.1": "f_divergence",
    "2.2": "exchanged",
    "2.3": "one_hot_gradient",
    "2.4": "best_question",
    "2.5": "resting_place",
}


# 2.1 f-divergences with zeros


def masked_divergence(f, slope, tau, p):
    inside, alone = p > 0, (p == 0) & (tau > 0)
    terms = [f(u) for u in tau[inside] / p[inside]]
    return float(p[inside] @ np.array(terms)) + (tau[alone].sum() * slope if alone.any() else 0.0)


def generator_expression(f, slope, tau, p):
    def term(a, b):
        return b * f(a / b) if b else (slope * a if a else 0)

    return sum(itertools.starmap(term, zip(tau, p, strict=True)))


def torch_divergence(f, slope, tau, p):
    tau, p = torch.tensor(tau), torch.tensor(p)
    values = torch.tensor([f(u.item()) if b > 0 else 0.0 for u, b in zip(tau / p, p, strict=True)], dtype=torch.float64)
    lost = tau[p == 0].sum()
    return (p[p > 0] * values[p > 0]).sum() + (lost * slope if lost > 0 else 0)


def roles_exchanged(f, slope, tau, p):
    return masked_divergence(f, slope, p, tau)


def weighed_by_tau(f, slope, tau, p):
    return sum(a * f(a / b) if b > 0 else a * slope for a, b in zip(tau, p, strict=True) if a > 0)


def drops_zeros_of_p(f, slope, tau, p):
    return masked_divergence(f, 0.0, tau, p)


def drops_all_zeros(f, slope, tau, p):
    return sum(b * f(a / b) for a, b in zip(tau, p, strict=True) if a > 0 and b > 0)


def nan_at_both_zero(f, slope, tau, p):
    return sum(b * f(a / b) if b > 0 else a * slope for a, b in zip(tau, p, strict=True))


def slope_without_mass(f, slope, tau, p):
    return sum(b * f(a / b) if b > 0 else (slope if a > 0 else 0.0) for a, b in zip(tau, p, strict=True))


def always_infinite(f, slope, tau, p):
    return np.inf if ((p == 0) & (tau > 0)).any() else masked_divergence(f, slope, tau, p)


def floored(f, slope, tau, p):
    p = np.maximum(p, 1e-12)
    return sum(b * f(a / b) for a, b in zip(tau, p, strict=True))


def unweighted(f, slope, tau, p):
    return sum(f(a / b) for a, b in zip(tau, p, strict=True) if b > 0)


def filled_in_place(f, slope, tau, p):
    value = masked_divergence(f, slope, tau, p)
    p[p == 0] = 1e-12
    return value


# 2.2 roles exchanged


def one_lambda(f, slope):
    return (lambda u: u * f(1 / u) if u > 0 else slope), f(0)


class Mirror:
    def __init__(self, f, slope):
        self.f, self.at_zero = f, slope

    def __call__(self, u):
        return self.at_zero if u < 1e-300 else self.f(1 / u) / (1 / u)


def as_object(f, slope):
    return Mirror(f, slope), f(0.0)


def through_perspective(f, slope):
    def perspective(a, b):
        return b * f(a / b) if b != 0 else a * slope

    return (lambda u: perspective(1.0, u)), perspective(0.0, 1.0)


def reciprocal_only(f, slope):
    return (lambda u: f(1 / u) if u > 0 else slope), f(0.0)


def unchanged(f, slope):
    return f, slope


def slope_kept(f, slope):
    return (lambda u: u * f(1 / u) if u > 0 else slope), slope


def zero_kept(f, slope):
    return (lambda u: u * f(1 / u) if u > 0 else f(0.0)), f(0.0)


def times_argument(f, slope):
    return (lambda u: u * f(u)), f(0.0)


def divided(f, slope):
    return (lambda u: f(1 / u) / u if u > 0 else slope), f(0.0)


def only_for_kl(f, slope):
    return (lambda u: -np.log(u) if u > 0 else np.inf), 0.0


# 2.3 gradient for one-hot labels


def looped_gradient(f, df, logits, targets):
    rows = []
    for z, t in zip(logits, targets, strict=True):
        p = softmax(z)
        u = np.array([1 / p[t]])
        slope = (f(u) - df(u) / p[t] - f(np.zeros(1)))[0]
        rows.append([slope * p[t] * ((j == t) - p[j]) / len(targets) for j in range(len(z))])
    return np.array(rows)


def jacobian_gradient(f, df, logits, targets):
    out = np.zeros(logits.shape)
    for n, t in enumerate(targets):
        p = softmax(logits[n])
        jacobian = np.diag(p) - np.outer(p, p)
        by_p = np.full(len(p), f(np.zeros(1))[0])  # of sum_i p_i f(tau_i / p_i)
        by_p[t] = (f(1 / p[t : t + 1]) - df(1 / p[t : t + 1]) / p[t])[0]
        out[n] = jacobian @ by_p
    return out / len(targets)


def torch_gradient(f, df, logits, targets):
    z = torch.tensor(logits, requires_grad=True)
    hit = torch.softmax(z, 1)[torch.arange(len(targets)), torch.tensor(targets)]
    u = 1 / hit.detach().numpy()
    slope = torch.tensor(f(u) - u * df(u) - f(np.zeros_like(u)))
    (slope * hit).mean().backward()
    return z.grad


def sum_gradient(f, df, logits, targets):
    return looped_gradient(f, df, logits, targets) * len(targets)


def mean_over_all(f, df, logits, targets):
    return looped_gradient(f, df, logits, targets) / logits.shape[1]


def uphill(f, df, logits, targets):
    return -looped_gradient(f, df, logits, targets)


def target_only(f, df, logits, targets):
    return looped_gradient(f, df, logits, targets) * np.eye(logits.shape[1])[targets]


def no_second_term(f, df, logits, targets):
    return looped_gradient(lambda u: np.where(u == 0, 0, f(u)), df, logits, targets)


def inner_derivative_lost(f, df, logits, targets):
    return looped_gradient(f, lambda u: 0 * u, logits, targets)


def by_probability(f, df, logits, targets):
    p = softmax(logits, axis=1)[np.arange(len(targets)), targets][:, None]
    return looped_gradient(f, df, logits, targets) / p


def own_probability(f, df, logits, targets):
    p = softmax(logits, axis=1)
    hit = p[np.arange(len(targets)), targets][:, None]
    return looped_gradient(f, df, logits, targets) / hit * p


def cross_entropys(f, df, logits, targets):
    return (softmax(logits, axis=1) - np.eye(logits.shape[1])[targets]) / len(targets)


def overflows(f, df, logits, targets):
    e = np.exp(logits)
    return looped_gradient(f, df, np.log(e / e.sum(1, keepdims=True)), targets)


def lowered_in_place(f, df, logits, targets):
    logits -= logits.max(1, keepdims=True)
    return looped_gradient(f, df, logits, targets)


# 2.4 one question


def two_cells(a, b):
    return rel_entr(a, b) + rel_entr(max(1 - a, 0), 1 - b)


def looped_question(tau, p):
    order, best, chosen = sorted(range(len(p)), key=lambda i: tau[i] / p[i]), -1.0, None
    for k in range(1, len(p)):
        value = two_cells(tau[order[:k]].sum(), p[order[:k]].sum())
        if value > best:
            best, chosen = value, order[:k]
    return [i in chosen for i in range(len(p))]


def thresholds(tau, p):
    ratios = tau / p
    sets = ratios[:, None] > ratios  # one column for each cut
    return max(sets.T, key=lambda asked: two_cells(tau[asked].sum(), p[asked].sum()) if asked.any() else -1.0)


def torch_question(tau, p):
    a, b = torch.tensor(tau), torch.tensor(p)
    order = (a / b).argsort()
    x, y = a[order].cumsum(0)[:-1].clamp(0, 1), b[order].cumsum(0)[:-1]
    value = torch.special.xlogy(x, x / y) + torch.special.xlogy(1 - x, (1 - x) / (1 - y))
    asked = torch.zeros(len(p), dtype=torch.bool)
    asked[order[: value.argmax() + 1]] = True
    return asked


def more_than_model(tau, p):
    asked = tau > p
    return asked if asked.any() else np.arange(len(p)) == 0


def best_single(tau, p):
    return np.arange(len(p)) == np.argmax([two_cells(a, b) for a, b in zip(tau, p, strict=True)])


def along(order, value, tau, p):
    best = max(range(1, len(p)), key=lambda k: value(tau[order[:k]].sum(), p[order[:k]].sum()))
    return np.isin(np.arange(len(p)), order[:best])


def by_difference(tau, p):
    return along(np.argsort(p - tau), two_cells, tau, p)


def by_label(tau, p):
    return along(np.argsort(-tau), two_cells, tau, p)


def reverse_kl_question(tau, p):
    return along(np.argsort(p / np.maximum(tau, 1e-300)), lambda a, b: two_cells(b, min(a, 1)), tau, p)


def one_sided(tau, p):
    return along(np.argsort(-tau / p), lambda a, b: rel_entr(a, b), tau, p)


def widest(tau, p):
    return along(np.argsort(-tau / p), lambda a, b: abs(a - b), tau, p)


def half_the_tokens(tau, p):
    return np.argsort(np.argsort(-tau / p)) < max(len(p) // 2, 1)


def as_indices(tau, p):
    return np.flatnonzero(looped_question(tau, p))


def ratio_in_place(tau, p):
    tau /= p
    return looped_question(tau * p, p)


# 2.5 where the mean loss rests


def brentq_rest(dg, tau):
    def share(t, level):
        slope = lambda x: -tau[t] * dg(np.array([x]))[0] - level
        return 0.0 if slope(1e-13) <= 0 else (1.0 if slope(1.0) >= 0 else brentq(slope, 1e-13, 1.0, xtol=1e-13))

    total = lambda level: sum(share(t, np.exp(level)) for t in range(len(tau))) - 1
    level = np.exp(brentq(total, -20, 25, xtol=1e-12))
    return [share(t, level) for t in range(len(tau))]


def greedy_rest(dg, tau):
    """Pours grains where the next one lowers the mean loss most, then smaller ones, after taking a few back."""
    p, grain = np.zeros(len(tau)), 1e-2
    while grain > 1e-7:
        while p.sum() < 1 - grain / 2:
            p[np.argmin(tau * dg(p + grain / 2))] += grain
        p, grain = np.maximum(p - 2 * grain, 0), grain / 4
    while p.sum() < 1 - grain / 2:
        p[np.argmin(tau * dg(p + grain / 2))] += grain
    return p / p.sum()


def exchange_rest(dg, tau):
    """Exact exchanges between pairs, until nothing changes."""
    p = np.full(len(tau), 1 / len(tau))
    for _ in range(60):
        before = p.copy()
        for i, j in itertools.combinations(range(len(tau)), 2):
            both = p[i] + p[j]
            low, high = 0.0, both
            for _ in range(45):
                x = (low + high) / 2
                pull = tau[[i, j]] * dg(np.maximum(np.array([x, both - x]), 1e-15))
                low, high = (x, high) if pull[0] < pull[1] else (low, x)
            p[i], p[j] = x, both - x
        if abs(p - before).max() < 1e-8:
            break
    return torch.tensor(p)


def proper_always(dg, tau):
    return tau.copy()


def the_mode(dg, tau):
    return np.eye(len(tau))[tau.argmax()]


def without_border(dg, tau):
    """Lagrange for all tokens, shares below 0 allowed on a line through the slope at 0, then cut off and scaled."""
    slope0 = dg(np.full(1, 1e-9))[0]
    if slope0 < -1e6:
        return exchange_rest(dg, tau).numpy()

    def share(level):
        low, high = np.full(len(tau), -5.0), np.ones(len(tau))
        for _ in range(60):
            x = (low + high) / 2
            extended = np.where(x > 0, dg(np.maximum(x, 1e-12)), slope0 + x * (dg(np.full(1, 1e-3))[0] - slope0) * 1e3)
            steep = -tau * extended > level
            low, high = np.where(steep, x, low), np.where(steep, high, x)
        return low

    low, high = np.log(1e-8), np.log(1e8)
    for _ in range(70):
        level = (low + high) / 2
        low, high = (level, high) if share(np.exp(level)).sum() > 1 else (low, level)
    cut = np.maximum(share(np.exp(high)), 0)
    return cut / cut.sum()


def one_step_of_slope(dg, tau):
    weight = -tau * dg(tau)
    return weight / weight.sum()


def equal_slopes_of_g(dg, tau):
    return np.full(len(tau), 1 / len(tau))


def root_of_everything(dg, tau):
    return np.sqrt(tau) / np.sqrt(tau).sum()


def downhill_too_short(dg, tau):
    z = np.zeros(len(tau))
    for _ in range(200):
        p = softmax(z)
        pull = tau * dg(p) * p
        z -= 0.1 * (pull - p * pull.sum())
    return softmax(z)


def unscaled(dg, tau):
    return 0.5 * np.asarray(exchange_rest(dg, tau))


def scaled_in_place(dg, tau):
    answer = np.asarray(exchange_rest(dg, tau))
    tau *= 2
    return answer


RIGHT = {
    "2.1": [masked_divergence, generator_expression, torch_divergence],
    "2.2": [one_lambda, as_object, through_perspective],
    "2.3": [looped_gradient, jacobian_gradient, torch_gradient],
    "2.4": [looped_question, thresholds, torch_question],
    "2.5": [brentq_rest, greedy_rest, exchange_rest],
}
WRONG = {
    "2.1": [
        roles_exchanged,
        weighed_by_tau,
        drops_zeros_of_p,
        drops_all_zeros,
        nan_at_both_zero,
        slope_without_mass,
        always_infinite,
        floored,
        unweighted,
        filled_in_place,
    ],
    "2.2": [reciprocal_only, unchanged, slope_kept, zero_kept, times_argument, divided, only_for_kl],
    "2.3": [
        sum_gradient,
        mean_over_all,
        uphill,
        target_only,
        no_second_term,
        inner_derivative_lost,
        by_probability,
        own_probability,
        cross_entropys,
        overflows,
        lowered_in_place,
    ],
    "2.4": [
        more_than_model,
        best_single,
        by_difference,
        by_label,
        reverse_kl_question,
        one_sided,
        widest,
        half_the_tokens,
        as_indices,
        ratio_in_place,
    ],
    "2.5": [
        proper_always,
        the_mode,
        without_border,
        one_step_of_slope,
        equal_slopes_of_g,
        root_of_everything,
        downhill_too_short,
        unscaled,
        scaled_in_place,
    ],
}
