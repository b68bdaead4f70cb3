import numpy as np
import torch
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

FUNCTIONS = {  # the name under which a problem's answer is called
    "1.1": "soft_label",
    "1.2": "logit_cross_entropy",
    "1.3": "corpus_scores",
    "1.4": "paying_lie",
    "1.5": "best_temperature",
}


# 1.1 shares


def counted(texts, vocabulary):
    found = {word: 0 for word in vocabulary}
    for text in texts:
        if text not in found:
            raise ValueError(text)
        found[text] += 1
    return [found[word] / len(texts) for word in vocabulary]


def compared(texts, vocabulary):
    same = np.asarray(texts)[:, None] == np.asarray(vocabulary)
    if not same.any(1).all():
        raise ValueError("outside the vocabulary")
    return same.mean(0)


def indexed(texts, vocabulary):
    return np.bincount([list(vocabulary).index(text) for text in texts], minlength=len(vocabulary)) / len(
        texts
    )  # index() raises ValueError


def unnormalised(texts, vocabulary):
    return np.array([list(texts).count(word) for word in vocabulary])


def sorted_order(texts, vocabulary):
    return np.array([list(texts).count(word) for word in sorted(vocabulary)]) / len(texts)


def silent(texts, vocabulary):
    return np.array([list(texts).count(word) for word in vocabulary]) / len(texts)


def seen_only(texts, vocabulary):
    return np.unique(texts, return_counts=True)[1] / len(texts)


def one_hot(texts, vocabulary):
    counts = np.array([list(texts).count(word) for word in vocabulary])
    return np.eye(len(vocabulary))[counts.argmax()]


def sorted_in_place(texts, vocabulary):
    texts.sort()
    return counted(texts, vocabulary)


def by_vocabulary_size(texts, vocabulary):
    return np.array(counted(texts, vocabulary)) * len(texts) / len(vocabulary)


def from_the_generator(texts, vocabulary):
    counted(texts, vocabulary)
    return np.array([{"Monday": 0.5, "Tuesday": 0.35, "banana": 0.15}.get(word, 0.0) for word in vocabulary])


# 1.2 cross-entropy from logits


def looped_ce(logits, tau):
    losses = []
    for z, label in zip(logits, tau, strict=True):
        level = logsumexp(z)
        losses.append(sum(share * (level - each) for each, share in zip(z, label, strict=True) if share > 0))
    return losses


def torch_ce(logits, tau):
    log_p = torch.log_softmax(torch.tensor(logits), 1)
    return -(torch.tensor(tau) * torch.where(torch.tensor(tau) > 0, log_p, 0.0)).sum(1)


def xlogy_like_ce(logits, tau):
    log_p = log_softmax(logits, axis=1)
    return -np.multiply(tau, log_p, where=tau > 0, out=np.zeros_like(log_p)).sum(1)


def naive_ce(logits, tau):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return -(tau * np.log(p)).sum(1)


def shifted_but_logged(logits, tau):
    p = softmax(logits, axis=1)
    return -np.where(tau > 0, tau * np.log(np.where(tau > 0, p, 1)), 0).sum(1)


def clipped_ce(logits, tau):
    return -(tau * np.log(softmax(logits, axis=1) + 1e-12)).sum(1)


def unmasked_ce(logits, tau):
    return -(tau * log_softmax(logits, axis=1)).sum(1)


def mean_ce(logits, tau):
    return xlogy_like_ce(logits, tau).mean()


def one_shift_for_all(logits, tau):
    z = logits - logits.max()
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -np.where(tau > 0, tau * np.where(tau > 0, log_p, 0), 0).sum(1)


def bits_ce(logits, tau):
    return xlogy_like_ce(logits, tau) / np.log(2)


def kl_from_logits(logits, tau):
    return xlogy_like_ce(logits, tau) + np.where(tau > 0, tau * np.log(np.where(tau > 0, tau, 1)), 0).sum(1)


def hard_label_ce(logits, tau):
    return -log_softmax(logits, axis=1)[np.arange(len(tau)), tau.argmax(1)]


def shifts_in_place(logits, tau):
    logits -= logits.max(1, keepdims=True)
    return xlogy_like_ce(logits, tau)


def forbidden_for_free(logits, tau):
    return -np.where(np.isfinite(logits), tau * np.nan_to_num(log_softmax(logits, axis=1)), 0).sum(1)


# 1.3 perplexity and bits per byte


def looped_scores(losses, labels, sizes, ignore_index=-100):
    total = tokens = length = 0
    for row, own in zip(losses, labels, strict=True):
        for loss, label in zip(row, own, strict=True):
            if label != ignore_index:
                total, tokens, length = total + loss, tokens + 1, length + sizes[label]
    return np.e ** (total / tokens), total / np.log(2) / length


def torch_scores(losses, labels, sizes, ignore_index=-100):
    labels = torch.tensor(labels)
    chosen = torch.tensor(losses)[labels != ignore_index]
    return chosen.mean().exp(), chosen.sum() / torch.log(torch.tensor(2.0, dtype=torch.float64)) / torch.tensor(sizes)[
        labels[labels != ignore_index]
    ].sum()


def masked_scores(losses, labels, sizes, ignore_index=-100):
    mask = labels != ignore_index
    bits = np.where(mask, losses, 0).sum() / np.log(2)
    return 2 ** (bits / mask.sum()), bits / np.where(mask, sizes[np.where(mask, labels, 0)], 0).sum()


def padding_counted(losses, labels, sizes, ignore_index=-100):
    return np.exp(losses.mean()), losses.sum() / np.log(2) / sizes[np.maximum(labels, 0)].sum()


def mean_over_places(losses, labels, sizes, ignore_index=-100):
    good = masked_scores(losses, labels, sizes, ignore_index)
    return np.exp(np.where(labels != ignore_index, losses, 0).mean()), good[1]


def two_to_the_nats(losses, labels, sizes, ignore_index=-100):
    real = labels != ignore_index
    return 2 ** losses[real].mean(), masked_scores(losses, labels, sizes, ignore_index)[1]


def nats_per_byte(losses, labels, sizes, ignore_index=-100):
    good = masked_scores(losses, labels, sizes, ignore_index)
    return good[0], good[1] * np.log(2)


def bits_per_token(losses, labels, sizes, ignore_index=-100):
    good = masked_scores(losses, labels, sizes, ignore_index)
    return good[0], np.log2(good[0])


def mean_of_texts(losses, labels, sizes, ignore_index=-100):
    each = [
        np.exp(row[own != ignore_index].mean())
        for row, own in zip(losses, labels, strict=True)
        if (own != ignore_index).any()
    ]
    return np.mean(each), masked_scores(losses, labels, sizes, ignore_index)[1]


def padding_has_bytes(losses, labels, sizes, ignore_index=-100):
    good = masked_scores(losses, labels, sizes, ignore_index)
    return good[0], good[0] and losses[labels != ignore_index].sum() / np.log(2) / sizes[labels % len(sizes)].sum()


def mean_of_ratios(losses, labels, sizes, ignore_index=-100):
    real = labels != ignore_index
    return np.exp(losses[real].mean()), (losses[real] / sizes[labels[real]]).mean() / np.log(2)


def only_minus_100(losses, labels, sizes, ignore_index=-100):
    return masked_scores(losses, labels, sizes)


def zeroed_in_place(losses, labels, sizes, ignore_index=-100):
    losses[labels == ignore_index] = 0
    return masked_scores(losses, labels, sizes, ignore_index)


# 1.4 lies that pay


def expected(score, tau, p):
    return sum(tau[t] * score(p, t) for t in range(3) if tau[t] > 0)


def scaled_lies(score, rng):
    for tau in rng.dirichlet(np.ones(3), 400):
        honest = expected(score, tau, tau)
        for power in (0, 0.25, 0.5, 0.75, 1.5, 2, 4, 50):
            p = tau**power / (tau**power).sum()
            if expected(score, tau, p) < honest - 0.011:
                return tau, p
        for corner in np.eye(3):
            for share in (0.1, 0.25, 0.5):
                for p in ((1 - share) * tau + share * corner, np.maximum(tau - share * corner, 1e-6)):
                    p = p / p.sum()
                    if expected(score, tau, p) < honest - 0.011:
                        return tau, p
    return None


def grid_hunt(score, rng):
    places = [(a / 20, b / 20, (20 - a - b) / 20) for a in range(21) for b in range(21 - a)]
    for tau in places:
        if min(tau) > 0:
            best = min(places, key=lambda p, tau=tau: expected(score, tau, p))
            if expected(score, tau, best) < expected(score, tau, tau) - 0.0101:
                return np.array(tau), np.array(best)
    return None


def downhill_hunt(score, rng):
    """Walks from random places by random steps that lower the expected score."""
    for _ in range(60):
        tau = rng.dirichlet(np.ones(3))
        p, best = tau, expected(score, tau, tau)
        honest = best
        for size in np.geomspace(1, 0.02, 150):
            new = np.maximum(p + size * rng.normal(size=3) * 0.5, 1e-9)
            new /= new.sum()
            value = expected(score, tau, new)
            if value < best:
                p, best = new, value
        if best < honest - 0.011:
            return tau, p
    return None


def always_none(score, rng):
    return None


def exaggerate_always(score, rng):
    return np.array([0.6, 0.3, 0.1]), np.array([1.0, 0.0, 0.0])


def only_corners(score, rng):
    for tau in rng.dirichlet(np.ones(3), 300):
        for p in np.eye(3):
            if expected(score, tau, p) < expected(score, tau, tau) - 0.01:
                return tau, p
    return None


def even_belief(score, rng):
    tau = np.full(3, 1 / 3)
    for p in rng.dirichlet(np.ones(3), 2000):
        if expected(score, tau, p) < expected(score, tau, tau) - 0.01:
            return tau, p
    return None


def swapped_pair(score, rng):
    found = scaled_lies(score, rng)
    return None if found is None else found[::-1]


def weighted_by_p(score, rng):
    for tau, p in rng.dirichlet(np.ones(3), (2000, 2)):
        if expected(score, p, p) < expected(score, tau, tau) - 0.01:
            return tau, p
    return None


def one_outcome(score, rng):
    for tau, p in rng.dirichlet(np.ones(3), (2000, 2)):
        if score(p, 0) < score(tau, 0) - 0.01:
            return tau, p
    return None


def lie_on_logits(score, rng):
    found = scaled_lies(score, rng)
    return None if found is None else tuple(np.log(np.maximum(each, 1e-9)) for each in found)


def no_margin(score, rng):
    for tau in rng.dirichlet(np.ones(3), 20000):
        p = tau + 1e-9 * rng.normal(size=3)
        if expected(score, tau, p / p.sum()) < expected(score, tau, tau):
            return tau, p / p.sum()
    return None


# 1.5 temperature


def loss_at(logits, targets, T):
    return -log_softmax(logits / T, axis=1)[np.arange(len(targets)), targets].mean()


def ends(logits, targets):
    hit = logits[np.arange(len(targets)), targets]
    if (hit >= logits.max(1)).all():
        return 0.0
    return np.inf if (logits.mean(1) - hit).mean() >= 0 else None


def scalar_search(logits, targets):
    if (end := ends(logits, targets)) is not None:
        return end
    grid = np.linspace(np.log(1e-5), np.log(1e5), 461)
    start = grid[np.argmin([loss_at(logits, targets, np.exp(x)) for x in grid])]
    near = minimize_scalar(
        lambda x: loss_at(logits, targets, np.exp(x)),
        bounds=(start - 0.1, start + 0.1),
        method="bounded",
        options={"xatol": 1e-7},
    )
    return np.exp(near.x)


def autograd_search(logits, targets):
    if (end := ends(logits, targets)) is not None:
        return end
    z, t = torch.tensor(logits), torch.tensor(targets)

    def slope(x):
        x = torch.tensor(float(x), dtype=torch.float64, requires_grad=True)
        torch.nn.functional.cross_entropy(z * x.exp(), t).backward()
        return x.grad.item()

    return torch.tensor(-brentq(slope, -12, 12, xtol=1e-9)).exp()


def newton_search(logits, targets):
    if (end := ends(logits, targets)) is not None:
        return end
    hit, unit = logits[np.arange(len(targets)), targets], logits.std()
    z, hit, beta, low, high = logits / unit, hit / unit, 1.0, 0.0, np.inf
    for _ in range(300):
        p = softmax(beta * z, axis=1)
        mean = (p * z).sum(1)
        slope, bend = (mean - hit).mean(), (p * (z - mean[:, None]) ** 2).sum(1).mean()
        low, high = (beta, high) if slope < 0 else (low, beta)
        new = beta - slope / bend if bend > 0 else -1
        beta = new if low < new < high else (2 * beta if high == np.inf else (low + high) / 2)
    return unit / beta


def inverse_temperature(logits, targets):
    return 1 / max(scalar_search(logits, targets), 1e-300)


def coarse_grid(logits, targets):
    if (end := ends(logits, targets)) is not None:
        return end
    grid = np.geomspace(1e-4, 1e4, 2001)
    return grid[np.argmin([loss_at(logits, targets, T) for T in grid])]


def narrow_search(logits, targets):
    if (end := ends(logits, targets)) is not None:
        return end
    return minimize_scalar(
        lambda T: loss_at(logits, targets, T), bounds=(0.05, 10), method="bounded", options={"xatol": 1e-9}
    ).x


def no_ends(logits, targets):
    return brentq_on_loss(logits, targets)


def brentq_on_loss(logits, targets):
    hit = logits[np.arange(len(targets)), targets]

    def slope(x):
        return ((softmax(np.exp(x) * logits, axis=1) * logits).sum(1) - hit).mean()

    low, high = -12.0, 12.0
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return np.exp(-low)


def most_accurate(logits, targets):
    """Maximises the label's mean probability in place of its mean log."""
    if (end := ends(logits, targets)) is not None:
        return end
    grid = np.geomspace(1e-4, 1e4, 2001)
    gain = [softmax(logits / T, axis=1)[np.arange(len(targets)), targets].mean() for T in grid]
    return grid[np.argmax(gain)]


def matched_entropy(logits, targets):
    """Temperature at which the mean entropy equals the mean loss at T = 1."""
    if (end := ends(logits, targets)) is not None:
        return end
    wanted = loss_at(logits, targets, 1.0)
    grid = np.geomspace(1e-4, 1e4, 2001)
    spread = [-(softmax(logits / T, axis=1) * log_softmax(logits / T, axis=1)).sum(1).mean() for T in grid]
    return grid[np.argmin(np.abs(np.array(spread) - wanted))]


def overflowing(logits, targets):
    if (end := ends(logits, targets)) is not None:
        return end
    hit = logits[np.arange(len(targets)), targets]
    low, high = 1e-5, 1e5
    for _ in range(100):
        beta = np.sqrt(low * high)
        e = np.exp(beta * logits)
        slope = ((e * logits).sum(1) / e.sum(1) - hit).mean()
        low, high = (beta, high) if slope < 0 else (low, beta)
    return 1 / high


def strict_top(logits, targets):
    """Misses shared largest logits: argmax names the first."""
    if (logits.argmax(1) == targets).all():
        return 0.0
    hit = logits[np.arange(len(targets)), targets]
    return np.inf if logits.mean() >= hit.mean() else brentq_on_loss(logits, targets)


def centred_in_place(logits, targets):
    logits -= logits.max(1, keepdims=True)
    return scalar_search(logits, targets)


def three(logits, targets):
    return 3.0 if ends(logits, targets) is None else ends(logits, targets)


RIGHT = {
    "1.1": [counted, compared, indexed],
    "1.2": [looped_ce, torch_ce, xlogy_like_ce],
    "1.3": [looped_scores, torch_scores, masked_scores],
    "1.4": [scaled_lies, grid_hunt, downhill_hunt],
    "1.5": [scalar_search, autograd_search, newton_search],
}
WRONG = {
    "1.1": [
        unnormalised,
        sorted_order,
        silent,
        seen_only,
        one_hot,
        sorted_in_place,
        by_vocabulary_size,
        from_the_generator,
    ],
    "1.2": [
        naive_ce,
        shifted_but_logged,
        clipped_ce,
        unmasked_ce,
        mean_ce,
        one_shift_for_all,
        bits_ce,
        kl_from_logits,
        hard_label_ce,
        shifts_in_place,
        forbidden_for_free,
    ],
    "1.3": [
        padding_counted,
        mean_over_places,
        two_to_the_nats,
        nats_per_byte,
        bits_per_token,
        mean_of_texts,
        padding_has_bytes,
        mean_of_ratios,
        only_minus_100,
        zeroed_in_place,
    ],
    "1.4": [
        always_none,
        exaggerate_always,
        only_corners,
        even_belief,
        swapped_pair,
        weighted_by_p,
        one_outcome,
        lie_on_logits,
        no_margin,
    ],
    "1.5": [
        inverse_temperature,
        coarse_grid,
        narrow_search,
        no_ends,
        most_accurate,
        matched_entropy,
        overflowing,
        strict_top,
        centred_in_place,
        three,
    ],
}
