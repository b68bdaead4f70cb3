import numpy as np
import torch
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, softmax

from tests.answers import in_place


# 1.1 shares
def counted(texts, vocabulary):
    found = {word: 0 for word in vocabulary}
    for text in texts:
        if text not in found:
            raise ValueError(text)
        found[text] += 1
    return [found[word] / len(texts) for word in vocabulary]


def indexed(texts, vocabulary):
    places = [list(vocabulary).index(text) for text in texts]  # raises ValueError
    return np.bincount(places, minlength=len(vocabulary)) / len(texts)


def silent(texts, vocabulary):
    return np.array([list(texts).count(word) for word in vocabulary]) / len(texts)


def sorted_in_place(texts, vocabulary):
    texts.sort()
    return counted(texts, vocabulary)


# 1.2 cross-entropy from logits
def torch_ce(logits, tau):
    log_p = torch.log_softmax(torch.tensor(logits), 1)
    return -(torch.tensor(tau) * torch.where(torch.tensor(tau) > 0, log_p, 0.0)).sum(1)


def xlogy_like_ce(logits, tau):
    log_p = log_softmax(logits, axis=1)
    return -np.multiply(tau, log_p, where=tau > 0, out=np.zeros_like(log_p)).sum(1)


def one_shift_for_all(logits, tau):
    z = logits - logits.max()
    log_p = z - np.log(np.exp(z).sum(1, keepdims=True))
    return -np.where(tau > 0, tau * np.where(tau > 0, log_p, 0), 0).sum(1)


# 1.3 perplexity and bits per byte
def torch_scores(losses, labels, sizes, ignore_index=-100):
    real = torch.tensor(labels != ignore_index)
    chosen, tokens = torch.tensor(losses)[real], torch.tensor(labels)[real]
    return chosen.mean().exp(), chosen.sum() / np.log(2) / torch.tensor(sizes)[tokens].sum()


def masked_scores(losses, labels, sizes, ignore_index=-100):
    mask = labels != ignore_index
    bits = np.where(mask, losses, 0).sum() / np.log(2)
    return 2 ** (bits / mask.sum()), bits / np.where(mask, sizes[np.where(mask, labels, 0)], 0).sum()


def padding_counted(losses, labels, sizes, ignore_index=-100):
    return np.exp(losses.mean()), losses.sum() / np.log(2) / sizes[np.maximum(labels, 0)].sum()


def bits_per_token(losses, labels, sizes, ignore_index=-100):
    good = masked_scores(losses, labels, sizes, ignore_index)
    return good[0], np.log2(good[0])


def mean_of_texts(losses, labels, sizes, ignore_index=-100):
    each = [np.exp(row[own].mean()) for row, own in zip(losses, labels != ignore_index, strict=True) if own.any()]
    return np.mean(each), masked_scores(losses, labels, sizes, ignore_index)[1]


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
    places = [(a / 12, b / 12, (12 - a - b) / 12) for a in range(13) for b in range(13 - a)]
    for tau in places:
        if min(tau) > 0:
            best = min(places, key=lambda p, tau=tau: expected(score, tau, p))
            if expected(score, tau, best) < expected(score, tau, tau) - 0.0101:
                return np.array(tau), np.array(best)
    return None


def only_corners(score, rng):
    pairs = ((tau, p) for tau in rng.dirichlet(np.ones(3), 300) for p in np.eye(3))
    return next((pair for pair in pairs if expected(score, *pair) < expected(score, pair[0], pair[0]) - 0.01), None)


def swapped_pair(score, rng):
    found = scaled_lies(score, rng)
    return None if found is None else found[::-1]


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


def with_ends(search):
    """A search for a temperature in between, used only where there is one."""

    def answer(logits, targets):
        hit = logits[np.arange(len(targets)), targets]
        if (hit >= logits.max(1)).all():
            return 0.0
        return np.inf if (logits.mean(1) - hit).mean() >= 0 else search(logits, targets)

    return answer


def scalar_search(logits, targets):
    loss = lambda x: loss_at(logits, targets, np.exp(x))
    grid = np.linspace(np.log(1e-5), np.log(1e5), 461)
    start = grid[np.argmin([loss(x) for x in grid])]
    near = minimize_scalar(loss, bounds=(start - 0.1, start + 0.1), method="bounded", options={"xatol": 1e-7})
    return np.exp(near.x)


def autograd_search(logits, targets):
    z, t = torch.tensor(logits), torch.tensor(targets)

    def slope(x):
        x = torch.tensor(float(x), dtype=torch.float64, requires_grad=True)
        torch.nn.functional.cross_entropy(z * x.exp(), t).backward()
        return x.grad.item()

    return torch.tensor(-brentq(slope, -12, 12, xtol=1e-9)).exp()


def narrow_search(logits, targets):
    loss = lambda T: loss_at(logits, targets, T)
    return minimize_scalar(loss, bounds=(0.05, 10), method="bounded", options={"xatol": 1e-9}).x


def most_accurate(logits, targets):
    """Maximises the label's mean probability in place of its mean log."""
    grid = np.geomspace(1e-4, 1e4, 2001)
    gain = [softmax(logits / T, axis=1)[np.arange(len(targets)), targets].mean() for T in grid]
    return grid[np.argmax(gain)]


def strict_top(logits, targets):
    """Misses shared largest logits: argmax names the first."""
    if (logits.argmax(1) == targets).all():
        return 0.0
    hit = logits[np.arange(len(targets)), targets]
    return np.inf if logits.mean() >= hit.mean() else scalar_search(logits, targets)


RIGHT = {
    "1.1": [counted, indexed],
    "1.2": [torch_ce, xlogy_like_ce],
    "1.3": [torch_scores, masked_scores],
    "1.4": [scaled_lies, grid_hunt],
    "1.5": [with_ends(scalar_search), with_ends(autograd_search)],
}
WRONG = [
    ("1.1", silent),
    ("1.1", lambda texts, vocabulary: silent(texts, vocabulary) * len(texts)),  # not normalised
    ("1.1", lambda texts, vocabulary: silent(texts, sorted(vocabulary))),
    ("1.1", lambda texts, vocabulary: np.unique(texts, return_counts=True)[1] / len(texts)),  # seen only
    ("1.1", sorted_in_place),
    ("1.2", lambda logits, tau: -(tau * np.log(softmax(logits, axis=1) + 1e-12)).sum(1)),  # clipped
    ("1.2", lambda logits, tau: -(tau * log_softmax(logits, axis=1)).sum(1)),  # 0 times infinity
    ("1.2", lambda logits, tau: xlogy_like_ce(logits, tau).mean()),  # one number
    ("1.2", one_shift_for_all),
    ("1.2", in_place(xlogy_like_ce)),
    ("1.3", padding_counted),
    ("1.3", bits_per_token),
    ("1.3", mean_of_texts),
    ("1.3", lambda losses, labels, sizes, ignore_index=-100: masked_scores(losses, labels, sizes)),  # -100 only
    ("1.3", in_place(masked_scores)),
    ("1.4", lambda score, rng: None),  # always none
    ("1.4", only_corners),
    ("1.4", swapped_pair),
    ("1.4", lie_on_logits),
    ("1.4", no_margin),
    ("1.5", lambda logits, targets: 1 / max(with_ends(scalar_search)(logits, targets), 1e-300)),
    ("1.5", with_ends(narrow_search)),
    ("1.5", with_ends(most_accurate)),
    ("1.5", strict_top),
    ("1.5", in_place(with_ends(scalar_search))),
]
