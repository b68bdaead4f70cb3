import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import log_softmax, rel_entr, softmax
from scipy.stats import norm
from scipy.stats import t as student
from torch.nn import functional as F

from emo_teach import losses
from tests.answers import in_place


# 7.1 both directions of KL
def by_loop(logits, truth):
    forward = reverse = 0.0
    for z, tau in zip(logits, truth, strict=True):
        log_z = max(z) + np.log(sum(np.exp(z - max(z))))
        for i in range(len(z)):
            log_p = z[i] - log_z
            if tau[i] > 0:
                forward += tau[i] * (np.log(tau[i]) - log_p)
                reverse += np.exp(log_p) * (log_p - np.log(tau[i]))
            else:
                reverse = np.inf
    return forward / len(logits), reverse / len(logits)


def by_torch(logits, truth):
    log_p, tau = torch.tensor(logits).log_softmax(-1), torch.tensor(truth)
    forward = F.kl_div(log_p, tau, reduction="batchmean")
    reverse = F.kl_div(tau.log(), log_p, reduction="batchmean", log_target=True)
    return forward, torch.where((tau == 0).any(), torch.tensor(torch.inf), reverse)


def of_means(logits, truth):
    p, tau = softmax(logits, axis=1).mean(0), truth.mean(0)
    return rel_entr(tau, p).sum(), rel_entr(p, tau).sum()


def zeros_skipped(logits, truth):
    log_p, seen = log_softmax(logits, axis=1), truth > 0
    log_tau = np.log(np.where(seen, truth, 1))
    reverse = np.where(seen, np.exp(log_p) * (log_p - log_tau), 0).sum(1).mean()
    return (truth * (log_tau - log_p)).sum(1).mean(), reverse


# 7.2 transport on three levels
def by_matching(p, truth, classes, topics, prices):
    """Settle each level before the next: what cannot be matched inside goes on to the next price."""
    found = np.zeros(len(p))
    for n, (x, y) in enumerate(zip(p, truth, strict=True)):
        give, take, left = np.maximum(x - y, 0), np.maximum(y - x, 0), None
        for labels, price in zip((classes, topics, np.zeros_like(classes)), prices, strict=True):
            for k in np.unique(labels):
                inside = labels == k
                moved = min(give[inside].sum(), take[inside].sum())
                found[n] += price * moved
                for side in (give, take):
                    left = side[inside].sum()
                    side[inside] *= (left - moved) / left if left > 0 else 0.0
    return found


def by_members(p, truth, classes, topics, prices, weights=lambda a, b, c: (a, b - a, c - b)):
    d = torch.tensor(p - truth)

    def variation(labels):
        labels = torch.tensor(labels)
        return 0.5 * torch.zeros(len(d), int(labels.max()) + 1, dtype=d.dtype).index_add_(1, labels, d).abs().sum(1)

    levels = (np.arange(d.shape[1]), classes, topics)
    return sum(weight * variation(level) for weight, level in zip(weights(*prices), levels, strict=True))


# 7.3 matched collisions
def collide(z, temperature=1.0):
    return (softmax(z / temperature, axis=1) ** 2).sum(1).mean()


def by_root(logits, other, of=collide):
    surplus = lambda s: of(logits, np.exp(s)) - of(other)
    return np.exp(brentq(surplus, np.log(1e-3), np.log(1e3), xtol=1e-13, rtol=1e-13, maxiter=500))


def by_halving(logits, other, collide=collide, low=1e-3, high=1e3):
    for _ in range(100):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if collide(logits, middle) > collide(other) else (low, middle)
    return torch.tensor(high)


def of_mean(z, temperature=1.0):
    return (softmax(z / temperature, axis=1).mean(0) ** 2).sum()


def overflowing(z, temperature=1.0):
    e = np.exp(z / temperature)
    return ((e / e.sum(1, keepdims=True)) ** 2).sum(1).mean()


def on_a_grid(logits, other):
    grid = np.geomspace(1e-3, 1e3, 2000)
    return grid[np.argmin([abs(collide(logits, T) - collide(other)) for T in grid])]


# 7.4 the paired interval
def from_student(first, second, level=0.95):
    both = sorted(set(first).intersection(second))
    if len(both) <= 1:
        raise ValueError(f"{len(both)} pairs")
    d = torch.tensor([first[s] - second[s] for s in both], dtype=torch.float64)
    return student.interval(level, len(d) - 1, loc=float(d.mean()), scale=float(d.std()) / len(d) ** 0.5)


def by_hand(first, second, level=0.95, quantile=lambda level, n: student.ppf((1 + level) / 2, n - 1), least=2):
    d = [value - second[seed] for seed, value in first.items() if seed in second]
    n = len(d)
    if n < least:
        raise ValueError(n)
    mean = sum(d) / n
    error = (sum((x - mean) ** 2 for x in d) / max(n - 1, 1) / n) ** 0.5
    return [mean - quantile(level, n) * error, mean + quantile(level, n) * error]


def popping(first, second, level=0.95):
    for seed in set(first) - set(second):
        del first[seed]
    return by_hand(first, second, level)


# 7.5 the frontier integral
def closed(p, q):
    """(p + q)/2 - pq log(p/q)/(p - q), with q for both where they are nearly equal."""
    total = 0.0
    for a, b in zip(p, q, strict=True):
        if a == 0 or b == 0:
            total += (a + b) / 2
        elif abs(a - b) > 1e-6 * (a + b):
            total += (a + b) / 2 - a * b * np.log(a / b) / (a - b)
    return total


def plain_formula(p, q):
    return float(1 - (p * q * np.log(p / q) / (p - q)).sum())


def integrated(p, q):
    def inside(s):
        r = s * p + (1 - s) * q
        return 2 * (s * rel_entr(p, r).sum() + (1 - s) * rel_entr(q, r).sum())

    return quad(inside, 0, 0.5, limit=200, epsabs=1e-11)[0] + quad(inside, 0.5, 1, limit=200, epsabs=1e-11)[0]


def zeros_dropped(p, q):
    both = (p > 0) & (q > 0)
    return closed(p[both], q[both]) if both.any() else 1.0


# 7.6 the step
def labelled(model, batch, pad):
    z, t = model(batch)[:, :-1], batch[:, 1:]
    return z[t != pad], t[t != pad]


def with_package(model, optimizer, batch, frozen, pad):
    objective = losses.objective("ce+emo", losses.CostEmbedding(frozen))
    loss = objective(model(batch)[:, :-1], batch[:, 1:], ignore_index=pad)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def with_gather(model, optimizer, batch, frozen, pad):
    for weight in model.parameters():
        weight.grad = None
    unit = F.normalize(frozen, dim=-1)
    z, t = labelled(model, batch, pad)
    c = 1 - F.cosine_similarity(unit[t][:, None], unit[None], dim=-1)
    loss = F.cross_entropy(z, t) + (z.softmax(-1) * c).sum(-1).mean()
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def faulty(shift=True, live=False, everywhere=False, clear=True, late=False, change=False):
    """A step with one mistake or more."""

    def loss_of(model, batch, frozen, pad):
        z, t = (model(batch)[:, :-1], batch[:, 1:]) if shift else (model(batch), batch)
        counts, t = t != pad, t.clamp(min=0)
        unit = F.normalize(model.head.weight if live else frozen, dim=-1)
        L = 1 - ((z.softmax(-1) @ unit) * unit[t]).sum(-1)
        each = counts * (F.cross_entropy(z.transpose(1, 2), t, reduction="none") + L)
        return each.mean() if everywhere else each.sum() / counts.sum()

    def answer(model, optimizer, batch, frozen, pad):
        if clear:
            optimizer.zero_grad()
        if change:
            frozen.copy_(F.normalize(frozen, dim=-1))
        loss = loss_of(model, batch, frozen, pad)
        loss.backward()
        optimizer.step()
        return (loss_of(model, batch, frozen, pad) if late else loss).item()

    return answer


RIGHT = {
    "7.1": [by_loop, by_torch],
    "7.2": [by_matching, by_members],
    "7.3": [by_root, by_halving],
    "7.4": [from_student, by_hand],
    "7.5": [closed, integrated],
    "7.6": [with_package, with_gather],
}
WRONG = [
    ("7.1", lambda logits, truth: by_loop(logits, truth)[::-1]),  # swapped
    ("7.1", lambda logits, truth: tuple(np.array(by_loop(logits, truth)) / np.log(2))),  # in bits
    ("7.1", of_means),
    ("7.1", zeros_skipped),
    ("7.1", in_place(by_loop)),
    ("7.2", lambda *given: 2 * by_members(*given)),  # the half of total variation forgotten
    ("7.2", lambda *given: by_members(*given, weights=lambda a, b, c: (a, b, c))),  # pays the lower levels twice
    ("7.2", lambda *given: by_members(*given).mean()),
    ("7.2", lambda *given: by_members(*given[:-1], (0.1, 0.5, 1.0))),  # its own prices
    ("7.2", in_place(by_members)),
    ("7.3", lambda logits, other: 1 / by_root(logits, other)),
    ("7.3", lambda logits, other: by_root(logits, other, of_mean)),
    ("7.3", on_a_grid),
    ("7.3", lambda logits, other: by_halving(logits, other, low=0.05, high=5.0)),
    ("7.3", lambda logits, other: by_halving(logits, other, overflowing)),
    # the normal law's 1.96
    ("7.4", lambda *given: by_hand(*given, quantile=lambda level, n: norm.ppf((1 + level) / 2))),
    ("7.4", lambda first, second, level=0.95: by_hand(second, first, level)),  # the sign
    ("7.4", lambda first, second, level=0.95: by_hand(first, second)),  # always 95 %
    ("7.4", lambda *given: by_hand(*given, least=1)),
    ("7.4", popping),
    ("7.5", plain_formula),
    ("7.5", lambda p, q: closed((p + 1e-6) / (p + 1e-6).sum(), (q + 1e-6) / (q + 1e-6).sum())),  # smoothed
    # Jensen-Shannon
    ("7.5", lambda p, q: (rel_entr(p, (p + q) / 2).sum() + rel_entr(q, (p + q) / 2).sum()) / np.log(4)),
    ("7.5", zeros_dropped),
    ("7.5", in_place(integrated)),
    ("7.6", faulty(shift=False, live=True, everywhere=True, clear=False)),  # the colleague's own
    ("7.6", faulty(live=True)),
    ("7.6", faulty(clear=False)),
    ("7.6", faulty(late=True)),
    ("7.6", faulty(change=True)),
]
