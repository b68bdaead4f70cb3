import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import entr, kl_div, log_softmax, rel_entr, softmax
from scipy.stats import norm, ttest_ind, ttest_rel
from scipy.stats import t as student
from torch.nn import functional as F

from emo_teach import losses, transport
from emo_teach.measure import oracle

FUNCTIONS = {
    "7.1": "both_kl", "7.2": "tree_emd", "7.3": "matched", "7.4": "interval", "7.5": "frontier_integral", "7.6": "train_step",
}  # fmt: skip


# 7.1 both directions of KL


def by_package(logits, truth):
    log_p = log_softmax(logits, axis=1)
    return oracle.forward_kl(log_p, truth).mean(), oracle.reverse_kl(log_p, truth).mean()


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


def from_probabilities(logits, truth):
    p = softmax(logits, axis=1)
    return rel_entr(truth, p).sum(1).mean(), rel_entr(p, truth).sum(1).mean()


def swapped(logits, truth):
    return by_loop(logits, truth)[::-1]


def in_bits(logits, truth):
    return tuple(np.array(by_loop(logits, truth)) / np.log(2))


def of_means(logits, truth):
    p, tau = softmax(logits, axis=1).mean(0), truth.mean(0)
    return rel_entr(tau, p).sum(), rel_entr(p, tau).sum()


def summed(logits, truth):
    return tuple(np.array(by_loop(logits, truth)) * len(logits))


def mean_of_all(logits, truth):
    """torch's kl_div with reduction="mean": over words, too."""
    return tuple(np.array(by_loop(logits, truth)) / logits.shape[1])


def epsilon(logits, truth):
    p, tau = softmax(logits, axis=1) + 1e-10, truth + 1e-10
    return (tau * np.log(tau / p)).sum(1).mean(), (p * np.log(p / tau)).sum(1).mean()


def zeros_skipped(logits, truth):
    log_p, seen = log_softmax(logits, axis=1), truth > 0
    log_tau = np.log(np.where(seen, truth, 1))
    reverse = np.where(seen, np.exp(log_p) * (log_p - log_tau), 0).sum(1).mean()
    return (truth * (log_tau - log_p)).sum(1).mean(), reverse


def cross_entropies(logits, truth):
    log_p = log_softmax(logits, axis=1)
    return -(truth * log_p).sum(1).mean(), by_package(logits, truth)[1]


def unstable(logits, truth):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return kl_div(truth, p).sum(1).mean(), kl_div(p, truth).sum(1).mean()


def shifted_in_place(logits, truth):
    logits -= logits.max(1, keepdims=True)
    return by_loop(logits, truth)


# 7.2 transport on three levels


def cost_of(classes, topics, prices):
    a, b, c = prices
    cost = np.full((len(classes),) * 2, float(c))
    cost[np.equal.outer(topics, topics)] = b
    cost[np.equal.outer(classes, classes)] = a
    np.fill_diagonal(cost, 0)
    return cost


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


def by_members(p, truth, classes, topics, prices):
    a, b, c = prices
    d = torch.tensor(p - truth)

    def variation(labels):
        labels = torch.tensor(labels)
        return 0.5 * torch.zeros(len(d), int(labels.max()) + 1, dtype=d.dtype).index_add_(1, labels, d).abs().sum(1)

    return a * variation(np.arange(d.shape[1])) + (b - a) * variation(classes) + (c - b) * variation(topics)


def by_class_emd(p, truth, classes, topics, prices):
    a, b, c = prices
    low = transport.class_emd(p, truth, classes, within=0.0, between=1.0)
    return (
        transport.class_emd(p, truth, classes, within=a, between=a)
        + (b - a) * low
        + (c - b) * transport.class_emd(p, truth, topics)
    )


def variations(p, truth, labels):
    return 0.5 * np.abs((p - truth) @ np.equal.outer(labels, np.unique(labels))).sum(1)


def combined(weights, half=1.0):
    def answer(p, truth, classes, topics, prices):
        levels = [variations(p, truth, labels) for labels in (np.arange(p.shape[1]), classes, topics)]
        return half * sum(w * level for w, level in zip(weights(*prices), levels, strict=True))

    return answer


def absolute_first(p, truth, classes, topics, prices):
    a, b, c = prices
    gap = np.abs(p - truth)
    return 0.5 * (a * gap.sum(1) + (b - a) * (gap @ np.equal.outer(classes, np.unique(classes))).sum(1))


def product(p, truth, classes, topics, prices):
    return np.einsum("ni,ij,nj->n", p, cost_of(classes, topics, prices), truth)


def two_levels(p, truth, classes, topics, prices):
    return transport.class_emd(p, truth, classes, within=prices[0], between=prices[2])


def mean_context(p, truth, classes, topics, prices):
    return by_members(p, truth, classes, topics, prices).mean()


def fixed_prices(p, truth, classes, topics, prices):
    return by_members(p, truth, classes, topics, (0.1, 0.5, 1.0))


def gap_in_place(p, truth, classes, topics, prices):
    p -= truth
    return by_members(p, 0 * truth, classes, topics, prices)


# 7.3 matched collisions


def collide(z, temperature=1.0):
    return (softmax(z / temperature, axis=1) ** 2).sum(1).mean()


def root(of, logits, wanted):
    return np.exp(
        brentq(lambda s: of(logits, np.exp(s)) - wanted, np.log(1e-3), np.log(1e3), xtol=1e-13, rtol=1e-13, maxiter=500)
    )


def by_root(logits, other):
    return root(collide, logits, collide(other))


def by_torch_halving(logits, other):
    z, low, high = torch.tensor(logits), torch.tensor(1e-3).double(), torch.tensor(1e3).double()
    goal = torch.tensor(other).softmax(-1).square().sum(-1).mean()
    while high / low > 1 + 1e-11:
        middle = (low * high).sqrt()
        low, high = (middle, high) if (z / middle).softmax(-1).square().sum(-1).mean() > goal else (low, middle)
    return high


def by_secant(logits, other):
    """Regula falsi in log T, on the logarithm of the collisions."""
    goal = np.log(collide(other))
    value = lambda s: np.log(collide(logits, np.exp(s))) - goal
    a, b = np.log(1e-3), np.log(1e3)
    fa, fb = value(a), value(b)
    for _ in range(300):
        s = (a * fb - b * fa) / (fb - fa)
        middle, fs = s, value(s)
        if abs(fs) < 1e-15:
            break
        a, fa, b, fb = (middle, fs, b, fb / 2) if fs * fa > 0 else (a, fa / 2, middle, fs)
        half = (a + b) / 2
        fh = value(half)
        a, fa, b, fb = (half, fh, b, fb) if fh * fa > 0 else (a, fa, half, fh)
    return np.exp(middle)


def mean_collides(z, temperature=1.0):
    return (softmax(z / temperature, axis=1).mean(0) ** 2).sum()


def mean_entropy(z, temperature=1.0):
    return entr(softmax(z / temperature, axis=1)).sum(1).mean()


def top_share(z, temperature=1.0):
    return softmax(z / temperature, axis=1).max(1).mean()


def of_geometric_mean(z, temperature=1.0):
    return np.log((softmax(z / temperature, axis=1) ** 2).sum(1)).mean()


def matching(of):
    return lambda logits, other: root(of, logits, of(other))


def on_a_grid(logits, other):
    grid = np.geomspace(1e-3, 1e3, 2000)
    return grid[np.argmin([abs(collide(logits, T) - collide(other)) for T in grid])]


def up_to_5(logits, other):
    low, high = 0.05, 5.0
    for _ in range(100):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if collide(logits, middle) > collide(other) else (low, middle)
    return high


def overflowing(logits, other):
    def plain(z, temperature=1.0):
        e = np.exp(z / temperature)
        return ((e / e.sum(1, keepdims=True)) ** 2).sum(1).mean()

    low, high = 1e-3, 1e3
    for _ in range(100):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if plain(logits, middle) > plain(other) else (low, middle)
    return high


def matched_in_place(logits, other):
    found = by_root(logits, other)
    logits /= found
    return found


# 7.4 the paired interval


def from_scipy(first, second, level=0.95):
    both = [seed for seed in first if seed in second]
    if len(both) < 2:
        raise ValueError("too few")
    found = ttest_rel([first[s] for s in both], [second[s] for s in both]).confidence_interval(level)
    return found.low, found.high


def from_student(first, second, level=0.95):
    both = sorted(set(first).intersection(second))
    if len(both) <= 1:
        raise ValueError(f"{len(both)} pairs")
    d = torch.tensor([first[s] - second[s] for s in both], dtype=torch.float64)
    return student.interval(level, len(d) - 1, loc=float(d.mean()), scale=float(d.std()) / len(d) ** 0.5)


def by_hand(first, second, level=0.95):
    d = [value - second[seed] for seed, value in first.items() if seed in second]
    n = len(d)
    if n < 2:
        raise ValueError(n)
    mean = sum(d) / n
    error = (sum((x - mean) ** 2 for x in d) / (n - 1) / n) ** 0.5
    t = -student.ppf((1 - level) / 2, n - 1)
    return [mean - t * error, mean + t * error]


def around(d, half):
    return np.mean(d) - half, np.mean(d) + half


def varied(quantile=lambda level, n: student.ppf((1 + level) / 2, n - 1), ddof=1, root=True, sign=1):
    def answer(first, second, level=0.95):
        both = sorted(first.keys() & second.keys())
        if len(both) < 2:
            raise ValueError("too few")
        d = sign * np.array([first[s] - second[s] for s in both])
        return around(d, quantile(level, len(d)) * d.std(ddof=ddof) / (np.sqrt(len(d)) if root else 1))

    return answer


def in_given_order(first, second, level=0.95):
    if len(first.keys() & second.keys()) < 2:
        raise ValueError("too few")
    n = min(len(first), len(second))
    d = np.array(list(first.values())[:n]) - np.array(list(second.values())[:n])
    return around(d, student.ppf((1 + level) / 2, n - 1) * d.std(ddof=1) / np.sqrt(n))


def unpaired(first, second, level=0.95):
    both = sorted(first.keys() & second.keys())
    if len(both) < 2:
        raise ValueError("too few")
    found = ttest_ind([first[s] for s in both], [second[s] for s in both], equal_var=False).confidence_interval(level)
    return found.low, found.high


def always_95(first, second, level=0.95):
    return by_hand(first, second)


def one_is_enough(first, second, level=0.95):
    both = first.keys() & second.keys()
    if len(both) < 2:
        return (0.0, 0.0)
    return by_hand(first, second, level)


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


def integrated(p, q):
    def inside(s):
        r = s * p + (1 - s) * q
        return 2 * (s * rel_entr(p, r).sum() + (1 - s) * rel_entr(q, r).sum())

    return quad(inside, 0, 0.5, limit=200, epsabs=1e-11)[0] + quad(inside, 0.5, 1, limit=200, epsabs=1e-11)[0]


def by_tanh_sinh(p, q):
    """A quadrature that crowds its points at both ends, in torch."""
    p, q = torch.tensor(p), torch.tensor(q)
    x = torch.linspace(-3.4, 3.4, 400, dtype=torch.float64)
    s, complement = (torch.sigmoid(sign * torch.pi * torch.sinh(x)) for sign in (1, -1))
    w = torch.pi * torch.cosh(x) * s * complement * (x[1] - x[0])
    r = s[:, None] * p + complement[:, None] * q
    kl = lambda law: (torch.special.xlogy(law, law) - torch.special.xlogy(law, r)).sum(1)
    return 2 * (w * (s * kl(p) + complement * kl(q))).sum()


def frontier(points, factor=2.0, turned=False, scale=1.0):
    def answer(p, q):
        s = np.linspace(1e-6, 1 - 1e-6, points)[:, None]
        r = s * p + (1 - s) * q
        first, second = rel_entr(p, r).sum(1), rel_entr(q, r).sum(1)
        weight = 1 - s[:, 0] if turned else s[:, 0]
        return scale * factor * np.trapezoid(weight * first + (1 - weight) * second, s[:, 0])

    return answer


def plain_formula(p, q):
    with np.errstate(all="ignore"):
        return float(1 - (p * q * np.log(p / q) / (p - q)).sum())


def nan_is_zero(p, q):
    with np.errstate(all="ignore"):
        return float(np.nansum((p + q) / 2 - p * q * np.log(p / q) / (p - q)))


def smoothed(p, q):
    p, q = p + 1e-6, q + 1e-6
    return closed(p / p.sum(), q / q.sum())


def jensen_shannon(p, q):
    r = (p + q) / 2
    return (rel_entr(p, r).sum() + rel_entr(q, r).sum()) / 2 / np.log(2)


def zeros_dropped(p, q):
    both = (p > 0) & (q > 0)
    return closed(p[both], q[both]) if both.any() else 1.0


def zeros_filled_in_place(p, q):
    found = integrated(p, q)
    p[p == 0] = 1e-12
    return found


# 7.6 the step


def labelled(model, batch, pad):
    z, t = model(batch)[:, :-1], batch[:, 1:]
    return z[t != pad], t[t != pad]


def with_package(model, optimizer, batch, frozen, pad):
    loss = losses.objective("ce+emo", losses.CostEmbedding(frozen))(
        model(batch)[:, :-1], batch[:, 1:], ignore_index=pad
    )
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


def with_loops(model, optimizer, batch, frozen, pad):
    unit = [row / row.norm() for row in frozen]
    optimizer.zero_grad(set_to_none=False)
    z, found = model(batch), []
    for b in range(batch.shape[0]):
        for i in range(1, batch.shape[1]):
            t = int(batch[b, i])
            if t != pad:
                p = z[b, i - 1].softmax(0)
                found.append(-p[t].log() + sum(p[j] * (1 - unit[j] @ unit[t]) for j in range(len(unit))))
    loss = torch.stack(found).mean()
    loss.backward()
    optimizer.step()
    return loss.detach().numpy()


def faulty(
    shift=True,
    live=False,
    everywhere=False,
    clear=True,
    normalise=True,
    emo=1.0,
    ce=1.0,
    total=False,
    late=False,
    change=False,
):
    def answer(model, optimizer, batch, frozen, pad):
        if clear:
            optimizer.zero_grad()
        z, t = (model(batch)[:, :-1], batch[:, 1:]) if shift else (model(batch), batch)
        z, t = z.flatten(0, 1), t.flatten()
        weight = (t != pad).double()
        unit = F.normalize(model.head.weight if live else frozen, dim=-1) if normalise else frozen
        if change:
            frozen.copy_(unit)
        t = t.clamp(min=0)
        L = 1 - ((z.softmax(-1) @ unit) * unit[t]).sum(-1)
        each = weight * (ce * F.cross_entropy(z, t, reduction="none") + emo * L)
        loss = each.mean() if everywhere else each.sum() if total else each.sum() / weight.sum()
        loss.backward()
        optimizer.step()
        return with_value(model, batch, frozen, pad) if late else loss.item()

    return answer


def with_value(model, batch, frozen, pad):
    z, t = labelled(model, batch, pad)
    unit = F.normalize(frozen, dim=-1)
    return (F.cross_entropy(z, t) + (1 - ((z.softmax(-1) @ unit) * unit[t]).sum(-1)).mean()).item()


def no_step(model, optimizer, batch, frozen, pad):
    return with_value(model, batch, frozen, pad)


def ignores_minus_100(model, optimizer, batch, frozen, pad):
    return with_package(model, optimizer, batch, frozen, -100)


def broken(model, optimizer, batch, frozen, pad):
    """The colleague's own."""
    return faulty(shift=False, live=True, everywhere=True, clear=False)(model, optimizer, batch, frozen, pad)


RIGHT = {
    "7.1": [by_package, by_loop, by_torch],
    "7.2": [by_matching, by_members, by_class_emd],
    "7.3": [by_root, by_torch_halving, by_secant],
    "7.4": [from_scipy, from_student, by_hand],
    "7.5": [closed, integrated, by_tanh_sinh],
    "7.6": [with_package, with_gather, with_loops],
}
WRONG = {
    "7.1": [
        from_probabilities, swapped, in_bits, of_means, summed, mean_of_all, epsilon, zeros_skipped, cross_entropies, unstable, shifted_in_place,
    ],
    "7.2": [
        combined(lambda a, b, c: (a, b - a, c - b), half=2.0),  # the half of total variation forgotten
        combined(lambda a, b, c: (a, b, c)),  # pays the lower levels twice
        combined(lambda a, b, c: (a, 0, c - a)),  # the middle level forgotten
        combined(lambda a, b, c: (c, 0, 0)),  # total variation
        absolute_first, product, two_levels, mean_context, fixed_prices, gap_in_place,
    ],
    "7.3": [
        lambda z, other: 1 / by_root(z, other),
        matching(mean_collides), matching(mean_entropy), matching(top_share), matching(of_geometric_mean),
        on_a_grid, up_to_5, overflowing, matched_in_place,
        lambda z, other: 0.5,
    ],
    "7.4": [
        varied(quantile=lambda level, n: norm.ppf((1 + level) / 2)),  # the normal law's 1.96
        varied(quantile=lambda level, n: student.ppf(level, n - 1)),  # one-sided
        varied(quantile=lambda level, n: student.ppf((1 + level) / 2, n)),  # n degrees of freedom
        varied(quantile=lambda level, n: 1.0),  # the standard error itself
        varied(ddof=0), varied(root=False), varied(sign=-1),
        in_given_order, unpaired, always_95, one_is_enough, popping,
    ],
    "7.5": [
        frontier(25), frontier(200001, factor=1.0), frontier(200001, turned=True), frontier(200001, scale=1 / np.log(2)),
        plain_formula, nan_is_zero, smoothed, jensen_shannon, zeros_dropped, zeros_filled_in_place,
        lambda p, q: transport.emd(p, q, 1 - np.eye(len(p))).value,
    ],
    "7.6": [
        broken, faulty(shift=False), faulty(live=True), faulty(everywhere=True), faulty(clear=False), faulty(normalise=False), faulty(total=True),
        faulty(emo=0.0), faulty(ce=0.0), faulty(late=True), faulty(change=True), no_step, ignores_minus_100,
    ],
}  # fmt: skip
