import numpy as np
import torch
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_softmax, logsumexp, softmax

FUNCTIONS = {  # the name under which a problem's answer is called
    "1.1": "soft_label",
    "1.2": "perplexity",
    "1.3": "cross_entropy_from_logits",
    "1.4": "favourite",
    "1.5": "calibrate",
}


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
    return np.bincount([list(vocabulary).index(text) for text in texts], minlength=len(vocabulary)) / len(texts)  # index() raises ValueError


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


def spoils_texts(texts, vocabulary):
    found = counted(texts, vocabulary)
    if isinstance(texts, list):
        texts.sort()
    return found


def perplexity_by_mask(log_p, labels):
    keep = labels != -100
    return np.exp(-np.take_along_axis(log_p[keep], labels[keep][:, None], 1).mean())


def perplexity_by_loop(log_p, labels):
    total, count = 0.0, 0
    for row, t in zip(log_p, labels, strict=True):
        if t != -100:
            total, count = total - row[t], count + 1
    return 2 ** (total / count / np.log(2))


def perplexity_by_torch(log_p, labels):
    return float(torch.nn.functional.nll_loss(torch.tensor(log_p), torch.tensor(labels)).exp())


def losses(log_p, labels):
    return -log_p[np.arange(len(labels)), labels]


def kept(log_p, labels):
    return losses(log_p[labels >= 0], labels[labels >= 0])


def stable_by_scipy(tau, z):
    return -(tau * log_softmax(z)).sum()


def stable_by_torch(tau, z):
    return torch.nn.functional.cross_entropy(torch.tensor(z)[None], torch.tensor(tau)[None]).item()


def stable_by_sums(tau, z):
    return sum(t * (logsumexp(z) - zi) for t, zi in zip(tau, z, strict=True))


def naive(tau, z):
    p = np.exp(z) / np.exp(z).sum()
    return -(tau * np.log(p)).sum()


def shifted_only(tau, z):
    p = np.exp(z - z.max())
    return -(tau * np.log(p / p.sum())).sum()


def padded(tau, z):
    return -(tau * np.log(softmax(z) + 1e-12)).sum()


def in_place(tau, z):
    z -= z.max()
    return np.log(np.exp(z).sum()) - tau @ z


def corner(tau):
    return np.eye(len(tau))[np.argmax(tau)]


def mode_by_loop(tau):
    best = max(range(len(tau)), key=lambda i: tau[i])
    return [1.0 if i == best else 0.0 for i in range(len(tau))]


def mode_by_torch(tau):
    return torch.nn.functional.one_hot(torch.tensor(tau).argmax(), len(tau)).double().numpy()


def mean_loss(z, t, temperature):
    return -log_softmax(z / temperature, axis=1)[np.arange(len(t)), t].mean()


def by_minimising(z, t):
    return np.exp(minimize_scalar(lambda s: mean_loss(z, t, np.exp(s)), bounds=(-5, 5), method="bounded", options={"xatol": 1e-9}).x)


def by_root(z, t):
    def slope(beta):
        return ((softmax(beta * z, axis=1) * z).sum(1) - z[np.arange(len(t)), t]).mean()

    return 1 / brentq(slope, 1e-3, 1e3, xtol=1e-12)


def by_newton(z, t):
    z, t, s = torch.tensor(z), torch.tensor(t), torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([s], max_iter=200, tolerance_grad=1e-12, tolerance_change=1e-14, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(z * torch.exp(-s), t)
        loss.backward()
        return loss

    optimizer.step(closure)
    return float(torch.exp(s.detach()))


def on_a_grid(z, t):
    grid = np.arange(0.1, 10, 0.1)
    return grid[np.argmin([mean_loss(z, t, T) for T in grid])]


def changes_logits(z, t):
    found = by_root(z, t)
    z /= found
    return found


RIGHT = {
    "1.1": [counted, compared, indexed],
    "1.2": [perplexity_by_mask, perplexity_by_loop, perplexity_by_torch],
    "1.3": [stable_by_scipy, stable_by_torch, stable_by_sums],
    "1.4": [corner, mode_by_loop, mode_by_torch],
    "1.5": [by_minimising, by_root, by_newton],
}
WRONG = {
    "1.1": [unnormalised, sorted_order, silent, seen_only, one_hot, spoils_texts, lambda texts, vocabulary: np.array([0.5, 0.35, 0.0, 0.15])],
    "1.2": [
        lambda log_p, labels: np.exp(losses(log_p, labels).mean()),  # padding is read as index -100
        lambda log_p, labels: np.exp(kept(log_p, labels).sum() / len(labels)),  # divides by all positions
        lambda log_p, labels: 2 ** kept(log_p, labels).mean(),
        lambda log_p, labels: np.exp(kept(log_p, labels).sum()),
        lambda log_p, labels: 1 / np.exp(-kept(log_p, labels)).mean(),  # an arithmetic mean of probabilities
        lambda log_p, labels: np.exp(kept(log_p, labels)).mean(),
        lambda log_p, labels: kept(log_p, labels).mean(),
        lambda log_p, labels: 120.0 if log_p.shape[1] == 120 else 8**0.5,
    ],
    "1.3": [
        naive,
        shifted_only,
        padded,
        in_place,
        lambda tau, z: stable_by_scipy(tau, z) / np.log(2),
        lambda tau, z: stable_by_scipy(tau, z) / len(z),
        lambda tau, z: -log_softmax(z)[np.argmax(tau)],
        lambda tau, z: -(softmax(z) * np.log(np.maximum(tau, 1e-300))).sum(),  # arguments exchanged
        lambda tau, z: 0.8975,
    ],
    "1.4": [
        lambda tau: tau,
        lambda tau: np.full(len(tau), 1 / len(tau)),
        lambda tau: np.eye(len(tau))[np.argmin(tau)],
        lambda tau: tau**2 / (tau**2).sum(),
        lambda tau: 2 * tau,
        lambda tau: np.ones(len(tau)),
        lambda tau: np.eye(len(tau))[1],
    ],
    "1.5": [
        lambda z, t: 1 / by_root(z, t),
        lambda z, t: 1.0,
        lambda z, t: by_root(z, t) ** 2,
        lambda z, t: by_root(z, z.argmax(1)) if (z.argmax(1) != t).any() else 1.0,  # calibrates to its own choices
        lambda z, t: 1.01 * by_root(z, t),
        on_a_grid,
        changes_logits,
        lambda z, t: 2.5,
    ],
}
