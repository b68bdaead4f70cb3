import numpy as np
import torch
from scipy.optimize import brentq
from scipy.special import entr, softmax
from torch.nn.functional import cosine_similarity, cross_entropy, normalize

from emo_teach import losses
from emo_teach.measure import oracle
from tests.answers import in_place


def terms(logits, labels, embedding, ignore_index, shift=True):
    """CE and L of the tokens that count."""
    z, t = (logits[:, :-1], labels[:, 1:]) if shift else (logits, labels)
    keep = t != ignore_index
    z, t = z[keep], t[keep]
    unit = normalize(embedding, dim=-1)
    return cross_entropy(z, t, reduction="none"), 1 - ((z.softmax(-1) @ unit) * unit[t]).sum(-1)


def by_mean(*batch):
    ce, L = terms(*batch)
    return 0.5 * (ce + (ce / L).detach() * L).mean()


def by_rows(logits, labels, embedding, ignore_index=-100):
    unit = embedding / embedding.norm(dim=1, keepdim=True)
    z, t = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    p, weight = z.softmax(-1), (t != ignore_index).to(z.dtype)
    t = t.clamp(min=0, max=z.shape[-1] - 1)
    ce, L = -p.log()[torch.arange(len(t)), t], (p * (1 - unit @ unit.T)[t]).sum(-1)
    return (weight * 0.5 * (ce + ce.detach() / L.detach() * L)).sum() / weight.sum()


def by_package(logits, labels, embedding, ignore_index=-100):
    return losses.objective("emo-mode-1", losses.CostEmbedding(embedding))(
        logits[:, :-1], labels[:, 1:], ignore_index=ignore_index
    )


def unshifted(*batch):
    ce, L = terms(*batch, shift=False)
    return 0.5 * (ce + (ce / L).detach() * L).mean()


def from_terms(combine):
    return lambda *batch: combine(*terms(*batch))


def with_cost(distance):
    def loss(logits, labels, embedding, ignore_index=-100):
        z, t = logits[:, :-1], labels[:, 1:]
        z, t = z[t != ignore_index], t[t != ignore_index]
        ce, L = cross_entropy(z, t, reduction="none"), distance(z.softmax(-1), t, embedding)
        return 0.5 * (ce + (ce / L).detach() * L).mean()

    return loss


def entropy(logits, temperature):
    return entr(softmax(logits / temperature, axis=-1)).sum(-1).mean()


def by_root(logits, wanted):
    return np.exp(brentq(lambda s: entropy(logits, np.exp(s)) - wanted, -7, 7, xtol=1e-12))


def by_halving(logits, wanted, entropy=entropy):
    low, high = 1e-3, 1e3
    for _ in range(100):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if entropy(logits, middle) < wanted else (low, middle)
    return low


def of_mixture(logits, temperature):
    return entr(softmax(logits / temperature, axis=-1).mean(0)).sum()


def gap(first, second):
    d = first - second
    return d.mean(), d.std(ddof=1) / np.sqrt(len(d))


def by_hand(first, second):
    d = [a - b for a, b in zip(first, second, strict=True)]
    mean = sum(d) / len(d)
    return mean, (sum((x - mean) ** 2 for x in d) / (len(d) - 1) / len(d)) ** 0.5


RIGHT = {
    "07.1": [by_mean, by_rows, by_package],
    "07.2": [by_root, by_halving, lambda z, wanted: oracle.matched_temperature(z, wanted, low=1e-3)],
    "07.3": [gap, by_hand],
}
WRONG = [
    ("07.1", with_cost(lambda p, t, e: 1 - ((p @ e) * e[t]).sum(-1)), "not normalised"),
    ("07.1", with_cost(lambda p, t, e: 1 - cosine_similarity(p @ normalize(e), e[t])), "normalised the mean"),
    ("07.1", unshifted, "not shifted"),
    ("07.1", from_terms(lambda ce, L: 0.5 * (ce + ce / L * L).mean()), "plain cross-entropy's"),
    ("07.1", from_terms(lambda ce, L: 0.5 * (ce + (ce / L).detach() * L).mean().item()), "torch tensor"),
    ("07.1", from_terms(lambda ce, L: 0.5 * (ce + (ce / L).detach() * L)), "shape"),
    ("07.1", in_place(by_mean, 2), "in place"),
    ("07.2", lambda z, wanted: 1 / by_root(z, wanted), "upside down"),
    ("07.2", lambda z, wanted: by_root(z, wanted * np.log(2)), "bits"),
    ("07.2", lambda z, wanted: by_halving(z, wanted, of_mixture), "mean distribution"),
    ("07.2", lambda z, wanted: 0.0, "above 0"),
    ("07.2", lambda z, wanted: 3.0, "not the one asked for"),
    ("07.3", lambda a, b: (gap(a, b)[0], np.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))), "unpaired"),
    ("07.3", lambda a, b: ((a - b).mean(), (a - b).std() / np.sqrt(len(a))), "n - 1"),
    ("07.3", lambda a, b: ((a - b).mean(), (a - b).std(ddof=1)), "1/sqrt(n)"),
    ("07.3", lambda a, b: gap(b, a), "sign"),
    ("07.3", lambda a, b: (a - b).mean(), "two numbers"),
]
