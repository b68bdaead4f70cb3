"""Exercises of lesson 07: EMO for training, a matched temperature, and a paired difference with its standard error."""

import numpy as np
from scipy.special import entr, softmax

from .verdicts import Wrong, ask, compare, exercise, random_rows


def _scalar(value):
    """The loss, or a complaint where it is no torch scalar that can be differentiated."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise Wrong(f"the loss must be a torch tensor that can be differentiated, got {type(value).__name__}")
    if value.ndim:
        raise Wrong(f"the loss has shape {tuple(value.shape)}: return one number, the mean over the tokens that count")
    if not value.requires_grad:
        raise Wrong("the loss has no gradient: nothing but the weight CE/L may be detached")
    return value


def _batches(rng):
    """Logits, labels, embedding and the ignored index; texts miss unequal numbers of tokens, in front and behind."""
    import torch

    for ignore, holes in ((-100, ()), (-100, ((0, 5), (1, 0), (1, 3), (1, 4))), (7, ((0, 2),))):
        logits = torch.tensor(2 * rng.normal(size=(2, 6, 7)))
        labels = torch.tensor(rng.integers(7, size=(2, 6)))
        for place in holes:
            labels[place] = ignore
        yield logits, labels, torch.tensor(random_rows(rng, 7, 4)), ignore


def _slope(loss, logits):
    import torch

    return torch.autograd.grad(loss, logits, allow_unused=True)[0]


@exercise("07.1", "A9 and D7")
def emo_loss(answer, rng):
    """`answer(logits, labels, embedding, ignore_index)` is EMO's mean mode 1; value and gradient are compared."""
    for logits, labels, embedding, ignore in _batches(rng):
        given = (logits.clone().requires_grad_(), labels.clone(), embedding.clone())
        value = _scalar(ask(answer, *given, ignore))
        if not (given[0].equal(logits) and given[1].equal(labels) and given[2].equal(embedding)):
            raise Wrong("your function changed its input in place: work on a copy")
        right, mistakes = _values(logits, labels, embedding, ignore)
        compare(value.item(), right, mistakes, "the value is off: in value, mode 1 is cross-entropy")
        slope = _slope(value, given[0])
        if slope is None:
            raise Wrong("the gradient does not reach the logits: is more detached than the weight?")
        right, mistakes = _slopes(logits, labels, embedding, ignore)
        otherwise = "the value is right, the gradient is not: is the weight CE/L detached?"
        compare(slope.numpy(), right, mistakes, otherwise)


def _objective(name, embedding, ignore):
    from ..losses import CostEmbedding, objective

    loss = objective(name, CostEmbedding(embedding))
    return lambda z, t: loss(z, t, ignore_index=ignore)


def _values(logits, labels, embedding, ignore):
    """Right value and known mistakes of the mean loss."""
    (z, t), count = (logits[:, :-1], labels[:, 1:]), int((labels[:, 1:] != ignore).sum())

    def mean(name, z=z, t=t):
        return _objective(name, embedding, ignore)(z, t).item()

    right = mean("emo-mode-1")
    ahead, behind = mean("ce", logits, labels), mean("ce", logits[:, 1:], labels[:, :-1])
    return right, [
        (ahead, "the labels are not shifted: the logits at position i are about the token at i + 1"),
        (behind, "the shift goes the wrong way: drop the last logits and the first label"),
        (right * count, "that is the sum over the tokens: return their mean"),
        (right * count / t.numel(), "the mean is over all positions: divide by the number of tokens that count"),
        (2 * right, "the half is missing: mode 1 is ½(CE + weight L)"),
        (mean("emo"), "that is L alone: mode 1 mixes it with cross-entropy"),
        (mean("ce+emo"), "that is CE + L: mode 1 weighs L with CE/L and takes half of the sum"),
        (mean("emo-mode-2"), "that is mode 2's value"),
    ]


def _slopes(logits, labels, embedding, ignore):
    """Right gradient and known mistakes of the mean loss."""
    from torch.nn.functional import cosine_similarity, cross_entropy, normalize

    unit = normalize(embedding, dim=-1)

    def slope(loss):
        z = logits.clone().requires_grad_()
        return _slope(loss(z[:, :-1], labels[:, 1:]), z).numpy()

    def mode_1(cost, mean_first=False):
        """Mode 1 with another L or, by `mean_first`, with one weight for the whole batch."""

        def loss(z, t):
            z, t = z[t != ignore], t[t != ignore]
            ce, L = cross_entropy(z, t, reduction="none"), cost(z.softmax(-1), t)
            ce, L = (ce.mean(), L.mean()) if mean_first else (ce, L)
            return 0.5 * (ce + (ce / L).detach() * L).mean()

        return slope(loss)

    plain = slope(_objective("ce", embedding, ignore))
    raw = mode_1(lambda p, t: 1 - ((p @ embedding) * embedding[t]).sum(-1))
    normalised = mode_1(lambda p, t: 1 - cosine_similarity(p @ unit, embedding[t], dim=-1))
    one_weight = mode_1(lambda p, t: 1 - ((p @ unit) * unit[t]).sum(-1), mean_first=True)
    return slope(_objective("emo-mode-1", embedding, ignore)), [
        (raw, "the rows of the embedding are not normalised: cosines need directions"),
        (normalised, "you normalised the mean (D5): that it is shorter than 1 is the spread to pay for"),
        (plain, "the gradient is plain cross-entropy's: with the weight CE/L not detached, L cancels"),
        (0.5 * plain, "the gradient is half of cross-entropy's: L must not be detached, only the weight CE/L"),
        (one_weight, "the weight is one for the whole batch: each token has its own CE/L"),
    ]


def _bisect(entropy, wanted, low=1e-3, high=1e3):
    for _ in range(80):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if entropy(middle) < wanted else (low, middle)
    return middle


@exercise("07.2", "the control")
def temperature(answer, rng):
    """`answer(logits, entropy)` is the temperature at which softmax(logits / T) has that mean entropy."""
    for right, spread in ((1.6, 2.0), (0.7, 3.0), (0.25, 1.0), (3.0, 6.0)):
        logits = spread * (rng.normal(size=9) + 0.4 * rng.normal(size=(12, 9))) * rng.uniform(0.7, 1.4, size=(12, 1))

        def spread_of(temperature, logits=logits):
            return entr(softmax(logits / temperature, axis=-1)).sum(-1).mean()

        def spread_of_mean(temperature, logits=logits):
            return entr(softmax(logits / temperature, axis=-1).mean(0)).sum()

        wanted = float(spread_of(right))
        value = ask(answer, logits, wanted)
        if np.shape(value) == () and not float(value) > 0:
            raise Wrong(f"the temperature is {float(value):g}: it must be above 0")
        of_mixture, of_bits = _bisect(spread_of_mean, wanted), _bisect(spread_of, wanted * np.log(2))
        mistakes = [
            (1 / right, "upside down: the logits are divided by the temperature, not multiplied"),
            (of_bits, "you count in bits: the entropy is in nats"),
            (of_mixture, "you took the entropy of the mean distribution: take the mean of the contexts' entropies"),
            (1.0, "that leaves the model as it is: search for T"),
        ]
        otherwise = "the mean entropy at your temperature is not the one asked for: bisect longer, on a wider range"
        compare(value, right, mistakes, otherwise, 1e-4)


@exercise("07.3", "paired by seed")
def paired(answer, rng):
    """`answer(first, second)` is the mean of first - second over the seeds and its standard error."""
    for n in (5, 3, 12):
        common = 3 * rng.normal(size=n)  # what a seed does to both
        first, second = 2 + common + 0.3 * rng.normal(size=n), 1.5 + common + 0.2 * rng.normal(size=n)
        gap = first - second
        mean, std, root = gap.mean(), gap.std(ddof=1), n**0.5
        value = ask(answer, first, second)
        if np.shape(value) != (2,):
            raise Wrong("return two numbers: the mean difference and its standard error")
        apart = [x.std(ddof=1) / root for x in (first, second)]
        unpaired = "that is the error of *unpaired* samples: subtract first, by seed, what both runs share"
        errors = [
            (np.hypot(*apart), unpaired),
            (gap.std() / root, "you divided by n inside the root: take n - 1, as the mean is estimated too (ddof=1)"),
            (std, "that is the standard deviation of one difference: the mean of n has 1/sqrt(n) of it"),
            (gap.std(), "that is the standard deviation of one difference, and with n for n - 1"),
            (std**2 / n, "that is the variance of the mean: take its root"),
            (std / n, "divide the standard deviation by the root of n, not by n"),
            (sum(apart), "errors do not add up so: take the differences by seed, then their spread"),
        ]
        mistakes = [((-mean, std / root), "the sign is reversed: first minus second")]
        mistakes += [((mean, error), message) for error, message in errors]
        otherwise = "the pair is off: take the differences by seed, their mean, and their spread over the root of n"
        compare(value, np.array([mean, std / root]), mistakes, otherwise)
