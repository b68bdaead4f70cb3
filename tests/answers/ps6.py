import numpy as np
import torch
from scipy.integrate import quad_vec
from scipy.optimize import brentq
from scipy.special import softmax
from torch.nn import functional as F

from tests.answers import in_place


# 6.1 the mean over tokens that count
def looped_mean(pieces, ignore_index=-100):
    total = count = 0
    for losses, labels in pieces:
        for row, own in zip(losses, labels, strict=True):
            for loss, label in zip(row, own[1:], strict=False):
                if label != ignore_index:
                    total, count = total + loss, count + 1
    return total / count if count else 0.0


def counted(pieces, ignore_index=-100):
    """Losses that count, piece by piece."""
    return [torch.tensor(a)[:, :-1][torch.tensor(y)[:, 1:] != ignore_index] for a, y in pieces]


def torch_mean(pieces, ignore_index=-100):
    flat = torch.cat(counted(pieces, ignore_index))
    return flat.mean() if flat.numel() else 0.0


def mean_of_means(pieces, ignore_index=-100):
    return np.mean([one.mean() for one in counted(pieces, ignore_index) if one.numel()] or [0.0])


def masked_by_product(pieces, ignore_index=-100):
    """Infinite losses of padding survive: 0 times infinity."""
    total = sum((a[:, :-1] * (y[:, 1:] != ignore_index)).sum() for a, y in pieces)
    return total / max(sum(map(len, counted(pieces, ignore_index))), 1)


def unshifted_mean(pieces, ignore_index=-100):
    flat = np.concatenate([a[y != ignore_index] for a, y in pieces])
    return flat.mean() if flat.size else 0.0


def cleaned_in_place(pieces, ignore_index=-100):
    for a, y in pieces:
        a[:, :-1][y[:, 1:] == ignore_index] = 0
    return looped_mean(pieces, ignore_index)


# 6.2 the debiased score's gradient
def by_autograd(logits, targets, unit):
    z, u = torch.tensor(logits, requires_grad=True), torch.tensor(unit)
    (0.5 * (z.softmax(-1) @ u - u[targets]).square().sum(-1)).mean().backward()
    return z.grad


def by_loop(logits, targets, unit):
    rows = []
    for z, t in zip(logits, targets, strict=True):
        p = softmax(z)
        m = p @ unit
        rows.append([p[j] * (unit[j] - m) @ (m - unit[t]) / len(logits) for j in range(len(p))])
    return np.array(rows)


def by_jacobian(logits, targets, unit):
    p, rows = softmax(logits, axis=1), []
    for q, t in zip(p, targets, strict=True):
        rows.append((np.diag(q) - np.outer(q, q)) @ unit @ (q @ unit - unit[t]) / len(p))
    return np.array(rows)


def no_baseline(logits, targets, unit):
    p = softmax(logits, axis=1)
    return p * ((p @ unit - unit[targets]) @ unit.T) / len(p)


def overflowing(logits, targets, unit):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    g = (p @ unit - unit[targets]) @ unit.T
    return p * (g - (p * g).sum(1, keepdims=True)) / len(p)


# 6.3 mode 2
def careful(logits, targets, unit):
    """By log_softmax over the wrong tokens, token by token."""
    losses = []
    for row, t in zip(logits.double(), targets.tolist(), strict=True):
        others = torch.arange(len(row)) != t
        wrong = row[others]
        cost = (1 - (unit[others] @ unit[t])).clamp(min=0).double().detach()
        odds = torch.logsumexp(wrong, 0) - row[t]
        share = torch.sigmoid(odds)
        ell, ce = share * (wrong.softmax(0) @ cost), torch.logaddexp(odds, torch.zeros_like(odds))
        w = (ell / ce).detach() if ce > 0 else 0.0
        losses.append(w * ce + ell)
    return sum(losses) / len(losses)


def by_weights(logits, targets, unit):
    """From exponentials relative to the largest logit, as emo_teach.losses does."""
    z = logits.float() if logits.dtype != torch.float64 else logits
    here = torch.zeros_like(z).scatter_(1, targets[:, None], 1.0).bool()
    top = z.max(1, keepdim=True).values.detach()
    e = (z - top).exp()
    wrong, own = e.masked_fill(here, 0), e[here]
    with torch.no_grad():
        c = (1 - unit.to(z.dtype)[targets] @ unit.to(z.dtype).T).clamp(min=0)
    L = (wrong * c).sum(1) / e.sum(1)
    certain = own == 1
    near, far = torch.log1p(wrong.sum(1) / torch.where(certain, own, 1.0)), e.sum(1).log() + (top.squeeze(1) - z[here])
    ce = torch.where(certain, near, far)
    w = torch.nan_to_num(L.detach() / ce.detach(), nan=0.0)
    return (w * ce + L).mean()


def built(combine, take_out=True, freeze=True):
    """Answers that differ in one step."""

    def answer(logits, targets, unit):
        z, u = logits.double(), (unit.detach() if freeze else unit).double()
        c = 1 - u[targets] @ u.T
        if take_out:
            c = c.clamp(min=0).scatter(1, targets[:, None], 0.0)
        away = z.scatter(1, targets[:, None], -torch.inf).logsumexp(1) - z.gather(1, targets[:, None])[:, 0]
        return combine(F.softplus(away), (z.softmax(1) * c).sum(1))

    return answer


def ratio(a, b):
    return torch.where(b > 0, a / b.clamp(min=1e-300), 0.0)


def mode_2(ce, L):
    return (ratio(L, ce).detach() * ce + L).mean()


# 6.4 work around a polygon
def sides(corners):
    return list(zip(corners, np.roll(corners, -1, 0), strict=True))


def adaptive(update, corners, sides=sides):
    along = lambda a, b: quad_vec(lambda s: update(a + s * (b - a)) @ (b - a), 0, 1, epsabs=1e-12, epsrel=1e-11)[0]
    return sum(along(a, b) for a, b in sides(corners))


def midpoints(update, corners, n=20):
    shares = (np.arange(n) + 0.5) / n
    return sum(update(a + s * (b - a)) @ (b - a) / n for a, b in sides(corners) for s in shares)


def romberg(update, corners):
    """Trapezoids of ever finer steps, extrapolated; the answer as a tensor."""
    total = 0.0
    for a, b in sides(corners):
        rows = [[np.mean([update(a) @ (b - a), update(b) @ (b - a)])]]
        for k in range(1, 9):
            n = 2**k
            new = rows[-1][0] / 2 + sum(update(a + s / n * (b - a)) @ (b - a) for s in range(1, n, 2)) / n
            row = [new]
            for j, old in enumerate(rows[-1], 1):
                row.append(row[-1] + (row[-1] - old) / (4**j - 1))
            rows.append(row)
        total += rows[-1][-1]
    return torch.tensor(total)


# 6.5 where CE + weight * EMO rests
def by_brent(tau, cost, weight):
    g, seen = weight * cost @ tau, tau > 0
    floor = -g.min()
    room = lambda mu: np.sum(tau[seen] / (mu + g[seen])) - 1
    p = np.zeros(tau.size)
    start = floor if g[seen].min() > g.min() else floor + tau[g.argmin()] / 2
    mu = floor if room(start) <= 0 else brentq(room, start, floor + 1.5, xtol=1e-15, rtol=1e-15, maxiter=500)
    p[seen] = tau[seen] / (mu + g[seen])
    p[g.argmin()] += 1 - p.sum()
    return p


def by_active_set(tau, cost, weight):
    """Newton on the multiplier from the left, where the convex sum is too large; loops and plain floats."""
    V = len(tau)
    g = [weight * sum(cost[i][j] * tau[j] for j in range(V)) for i in range(V)]
    best = min(range(V), key=lambda i: g[i])
    if tau[best] == 0 and sum(tau[i] / (g[i] - g[best]) for i in range(V) if tau[i] > 0) < 1:
        p = [tau[i] / (g[i] - g[best]) if tau[i] > 0 else 0.0 for i in range(V)]
        p[best] = 1 - sum(p)
        return p
    mu = max(tau[i] - g[i] for i in range(V) if tau[i] > 0)
    for _ in range(200):
        f = sum(tau[i] / (mu + g[i]) for i in range(V) if tau[i] > 0)
        mu += (f - 1) / sum(tau[i] / (mu + g[i]) ** 2 for i in range(V) if tau[i] > 0)
    return [tau[i] / (mu + g[i]) if tau[i] > 0 else 0.0 for i in range(V)]


def ignores_unseen(tau, cost, weight):
    seen = tau > 0
    p = np.zeros(tau.size)
    p[seen] = by_brent(tau[seen], cost[np.ix_(seen, seen)], weight)
    return p


RIGHT = {
    "6.1": [looped_mean, torch_mean],
    "6.2": [by_autograd, by_loop],
    "6.3": [careful, by_weights],
    "6.4": [adaptive, romberg],
    "6.5": [by_brent, by_active_set],
}
WRONG = [
    ("6.1", mean_of_means),
    ("6.1", masked_by_product),
    ("6.1", unshifted_mean),
    ("6.1", lambda pieces, ignore_index=-100: looped_mean(pieces)),  # takes -100 for all padding
    ("6.1", cleaned_in_place),
    ("6.2", lambda logits, targets, unit: by_loop(logits, targets, unit) * len(logits)),  # of the sum
    ("6.2", no_baseline),
    ("6.2", by_jacobian),  # right numbers, V x V of them
    ("6.2", overflowing),
    ("6.2", in_place(by_loop)),
    ("6.3", built(mode_2, take_out=False)),  # the target's own cost is rounding noise
    ("6.3", built(mode_2, freeze=False)),  # a cost that learns
    ("6.3", built(lambda ce, L: ((L / ce).detach() * ce + L).mean())),  # 0 / 0
    ("6.3", built(lambda ce, L: 0.5 * (ce + ratio(ce, L).detach() * L).mean())),  # mode 1
    ("6.3", lambda z, t, u: built(mode_2)(z, t, u).item()),  # no tensor
    ("6.4", lambda update, corners: adaptive(update, corners, lambda corners: sides(corners)[:-1])),  # does not go home
    ("6.4", lambda update, corners: sum(0.5 * (update(a) + update(b)) @ (b - a) for a, b in sides(corners))),
    ("6.4", midpoints),  # too few
    ("6.4", in_place(adaptive, 1)),
    ("6.4", lambda update, corners: 0.0),
    ("6.5", ignores_unseen),
    ("6.5", lambda tau, cost, weight: by_brent(tau, cost.T, weight)),  # transposed
    ("6.5", lambda tau, cost, weight: softmax(np.log(np.maximum(tau, 1e-300)) - weight * (cost @ tau))),  # Gibbs
    ("6.5", lambda tau, cost, weight: np.eye(tau.size)[(cost @ tau).argmin()] if weight > 0 else tau),  # medoid
    ("6.5", in_place(by_brent)),
]
