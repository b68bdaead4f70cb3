"""Exercises of lesson 07: EMO written for training, a matched temperature, and a paired difference with its standard error."""

import numpy as np

from .verdicts import Wrong, ask, compare, exercise


def _numbers(value, what):
    """A torch scalar's number."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise Wrong(f"{what} must be a torch tensor that can be differentiated, got {type(value).__name__}")
    if value.ndim:
        raise Wrong(f"{what} has shape {tuple(value.shape)}: return one number, the mean over the tokens that count")
    if not value.requires_grad:
        raise Wrong(f"{what} has no gradient: nothing but the weight CE/L may be detached")
    return value


def _batches(rng):
    """Logits, labels, embedding, and the index that is left out: with unequal numbers of tokens left out, in front of and behind the text."""
    import torch

    for ignore, holes in ((-100, ()), (-100, ((0, 5), (1, 0), (1, 3), (1, 4))), (7, ((0, 2),))):
        logits = torch.tensor(2 * rng.normal(size=(2, 6, 7)))
        labels = torch.tensor(rng.integers(7, size=(2, 6)))
        for place in holes:
            labels[place] = ignore
        yield logits, labels, torch.tensor(rng.normal(size=(7, 4)) * rng.uniform(0.3, 5.0, size=(7, 1))), ignore


def _slope(loss, logits):
    import torch

    return torch.autograd.grad(loss, logits, allow_unused=True)[0]


@exercise("07.1", "A9 and D7")
def emo_loss(answer, rng):
    """`answer(logits, labels, embedding, ignore_index)` is EMO's mode 1 of a causal model, a scalar; value and gradient are compared."""
    for logits, labels, embedding, ignore in _batches(rng):
        z = logits.clone().requires_grad_()
        given = (z, labels.clone(), embedding.clone())
        value = _numbers(ask(answer, *given, ignore), "the loss")
        if not (given[0].equal(logits) and given[1].equal(labels) and given[2].equal(embedding)):
            raise Wrong("your function changed its input in place: work on a copy")
        rivals = _mistaken_values(logits, labels, embedding, ignore)
        right = rivals.pop("right")
        compare(
            value.item(),
            right.item(),
            [(wrong.item(), said) for said, wrong in rivals.items()],
            "the value is off: in value, mode 1 is cross-entropy",
        )
        slope = _slope(value, z)
        if slope is None:
            raise Wrong("the gradient does not reach the logits: is more detached than the weight?")
        slopes = _mistaken_slopes(logits, labels, embedding, ignore)
        right = slopes.pop("right")
        compare(
            slope.numpy(),
            right,
            [(wrong, said) for said, wrong in slopes.items()],
            "the value is right, the gradient is not: is the weight CE/L detached?",
        )


def _mean(name, embedding, z, t, ignore):
    from ..losses import CostEmbedding, objective

    return objective(name, CostEmbedding(embedding))(z, t, ignore_index=ignore)


def _mistaken_values(logits, labels, embedding, ignore):
    shifted, kept = (logits[:, :-1], labels[:, 1:]), int((labels[:, 1:] != ignore).sum())
    right = _mean("emo-mode-1", embedding, *shifted, ignore)
    return {
        "right": right,
        "the labels are not shifted: the logits at position i are about the token at i + 1": _mean(
            "ce", embedding, logits, labels, ignore
        ),
        "the shift goes the wrong way: drop the last logits and the first label": _mean(
            "ce", embedding, logits[:, 1:], labels[:, :-1], ignore
        ),
        "that is the sum over the tokens: return their mean": right * kept,
        "the mean is over all positions: divide by the number of tokens that count": right
        * kept
        / labels[:, 1:].numel(),
        "the half is missing: mode 1 is ½(CE + weight L)": 2 * right,
        "that is L alone: mode 1 mixes it with cross-entropy": _mean("emo", embedding, *shifted, ignore),
        "that is CE + L: mode 1 weighs L with CE/L and takes half of the sum": _mean(
            "ce+emo", embedding, *shifted, ignore
        ),
        "that is mode 2's value": _mean("emo-mode-2", embedding, *shifted, ignore),
    }


def _mistaken_slopes(logits, labels, embedding, ignore):
    def slope(loss, table=embedding):
        z = logits.clone().requires_grad_()
        return _slope(loss(z[:, :-1], labels[:, 1:], table), z).numpy()

    def named(name):
        return lambda z, t, table: _mean(name, table, z, t, ignore)

    from ..losses import CostEmbedding, token_terms

    def of_means(z, t, table):
        terms = token_terms(z[t != ignore], t[t != ignore], ("emo",), CostEmbedding(table))
        return 0.5 * (terms.ce.mean() + (terms.ce.mean() / terms.emo.mean()).detach() * terms.emo.mean())

    import torch

    def of_cost(score):
        """Mode 1 with another L."""

        def loss(z, t, table):
            z, t = z[t != ignore], t[t != ignore]
            ce, value = torch.nn.functional.cross_entropy(z, t, reduction="none"), 1 - score(z.softmax(-1), t, table)
            return 0.5 * (ce + (ce / value).detach() * value).mean()

        return loss

    def raw(p, t, table):
        return ((p @ table) * table[t]).sum(-1)

    def cosine_of_mean(p, t, table):
        return torch.nn.functional.cosine_similarity(p @ torch.nn.functional.normalize(table, dim=-1), table[t], dim=-1)

    return {
        "right": slope(named("emo-mode-1")),
        "the rows of the embedding are not normalised: cosines need directions": slope(of_cost(raw)),
        "you normalised the mean (D5): that it is shorter than 1 is the spread to pay for": slope(
            of_cost(cosine_of_mean)
        ),
        "the gradient is plain cross-entropy's: with the weight CE/L not detached, L cancels": slope(named("ce")),
        "the gradient is half of cross-entropy's: L must not be detached, only the weight CE/L": 0.5
        * slope(named("ce")),
        "the weight is one for the whole batch: each token has its own CE/L": slope(of_means),
    }


def _entropies(z, temperature):
    p = np.exp(z / temperature - (z / temperature).max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return -(p * np.log(np.maximum(p, 1e-300))).sum(-1), p


@exercise("07.2", "the control")
def temperature(answer, rng):
    """`answer(logits, entropy)` is the temperature at which the mean entropy of softmax(logits / T) is the one given."""
    for right, spread in ((1.6, 2.0), (0.7, 3.0), (0.25, 1.0), (3.0, 6.0)):
        logits = spread * (rng.normal(size=9) + 0.4 * rng.normal(size=(12, 9))) * rng.uniform(0.7, 1.4, size=(12, 1))
        wanted = float(_entropies(logits, right)[0].mean())
        value = ask(answer, logits, wanted)
        if np.shape(value) == () and not float(value) > 0:
            raise Wrong(f"the temperature is {float(value):g}: it must be above 0")
        of_mixture = _found(lambda t, z=logits: _entropies(z, t)[1].mean(0), wanted)
        mistakes = [
            (1 / right, "upside down: the logits are divided by the temperature, not multiplied"),
            (
                _bisect(lambda t, z=logits: float(_entropies(z, t)[0].mean()) / np.log(2), wanted),
                "you count in bits: the entropy is in nats",
            ),
            (of_mixture, "you took the entropy of the mean distribution: take the mean of the contexts' entropies"),
            (1.0, "that leaves the model as it is: search for T"),
        ]
        compare(
            value,
            right,
            mistakes,
            "the mean entropy at your temperature is not the one asked for: bisect longer, on a wider range",
            1e-4,
        )


def _bisect(entropy, wanted, low=1e-3, high=1e3):
    for _ in range(80):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if entropy(middle) < wanted else (low, middle)
    return middle


def _found(mixture, wanted):
    def entropy(t):
        p = np.maximum(mixture(t), 1e-300)
        return float(-(p * np.log(p)).sum())

    return _bisect(entropy, wanted)


@exercise("07.3", "paired by seed")
def paired(answer, rng):
    """`answer(first, second)` is the mean of first - second over the seeds and its standard error."""
    for n in (5, 3, 12):
        common = 3 * rng.normal(size=n)  # what a seed does to both
        first, second = 2 + common + 0.3 * rng.normal(size=n), 1.5 + common + 0.2 * rng.normal(size=n)
        gap = first - second
        mean, error = gap.mean(), gap.std(ddof=1) / n**0.5
        value = ask(answer, first, second)
        if np.shape(value) != (2,):
            raise Wrong("return two numbers: the mean difference and its standard error")
        spread = [x.var(ddof=1) / n for x in (first, second)]
        mistakes = [
            ((-mean, error), "the sign is reversed: first minus second"),
            (
                (mean, sum(spread) ** 0.5),
                "that is the error of *unpaired* samples: both runs of a seed share what the seed does, so subtract first",
            ),
            (
                (mean, gap.std() / n**0.5),
                "you divided by n inside the square root: n - 1, for the mean was estimated from the same numbers (ddof=1)",
            ),
            (
                (mean, gap.std(ddof=1)),
                "that is the standard deviation of one difference: the mean of n has 1/sqrt(n) of it",
            ),
            ((mean, gap.std()), "that is the standard deviation of one difference, and with n for n - 1"),
            ((mean, gap.var(ddof=1) / n), "that is the variance of the mean: take its root"),
            ((mean, gap.std(ddof=1) / n), "divide the standard deviation by the root of n, not by n"),
            (
                (mean, spread[0] ** 0.5 + spread[1] ** 0.5),
                "errors do not add up so: take the differences by seed, then their spread",
            ),
        ]
        compare(
            value,
            np.array([mean, error]),
            mistakes,
            "the pair is off: take the differences by seed, their mean, and their spread over the root of n",
        )
