"""The six ways from hidden states to a loss that are compared, and the inputs that they get."""

import importlib.metadata
import math

import numpy as np
import torch
from torch.nn import functional

from ..losses import CostEmbedding, fused_loss, objective

EMO = "emo-mode-1"  # the published objective
PACKAGE = "emoloss"  # on PyPI, imported as `emo`
ROUNDED = "EMO fused, int8 cost"


def device():
    """The device that is measured: CUDA where there is one.

    Returns a torch device.
    """
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def head(case, device, seed=0):
    """The language model's head, a leaf (V, d) that wants its gradient; logits of `batch` then have variance 1, as in a model at its start.

    Formula: Gaussian entries over sqrt(d). Returns (V, d) float32.
    """
    generator = torch.Generator(device).manual_seed(seed)
    weight = torch.empty(case.V, case.d, device=device).normal_(generator=generator)
    return weight.div_(
        math.sqrt(case.d)
    ).requires_grad_()  # in place: the memory's baseline must not remember a second copy


def batch(case, device, seed):
    """Hidden states and labels of one batch; "Zipf" draws token k with probability proportional to 1/(k + 1), "uniform" every token alike.

    Returns (N, d) float32 and (N,) integers.
    """
    rng = np.random.default_rng(seed)
    weights = 1.0 / np.arange(1, case.V + 1) if case.targets == "Zipf" else np.ones(case.V)
    labels = torch.from_numpy(rng.choice(case.V, size=case.N, p=weights / weights.sum())).to(device)
    generator = torch.Generator(device).manual_seed(seed)
    return torch.empty(case.N, case.d, device=device).normal_(generator=generator), labels


def _ce_plain(weight):
    return lambda hidden, labels: functional.cross_entropy(functional.linear(hidden, weight), labels)


def _ce_fused(weight):
    loss = objective("ce")
    return lambda hidden, labels: fused_loss(hidden, weight, labels, loss)


def _emo_plain(weight):
    loss = objective(EMO, CostEmbedding(weight.detach()))
    return lambda hidden, labels: loss(functional.linear(hidden, weight), labels)


def _emo_fused(weight):
    loss = objective(EMO, CostEmbedding(weight.detach()))
    return lambda hidden, labels: fused_loss(hidden, weight, labels, loss)


def _emo_int8(weight):
    loss = objective(EMO, CostEmbedding(weight.detach(), dtype=torch.int8))
    return lambda hidden, labels: fused_loss(hidden, weight, labels, loss)


def _package(weight):
    """The package shifts labels by one itself: one more position in front of the labels and behind the hidden states, and the same N tokens count.

    With one sequence its slices stay views; with several it would copy the logits. It is given a frozen copy of the head, as it does not detach.
    """
    from emo import EMOLoss

    cost = weight.detach().clone()

    def loss(hidden, labels):
        logits = functional.linear(functional.pad(hidden, (0, 0, 0, 1)), weight)
        return EMOLoss(logits.unsqueeze(0), functional.pad(labels, (1, 0)).unsqueeze(0), cost)

    return loss


# name: a function from the head to the loss as a function of hidden states and labels; what the method keeps between steps is made here
METHODS = {
    "CE plain": _ce_plain,
    "CE fused": _ce_fused,
    "EMO plain": _emo_plain,
    "EMO fused": _emo_fused,
    ROUNDED: _emo_int8,
    PACKAGE: _package,
}


def available():
    """Names of the methods that can run here, and the package's version (None when it is not installed).

    Returns (list of names, string or None).
    """
    try:
        version = importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        return [name for name in METHODS if name != PACKAGE], None
    return list(METHODS), version


def ready(name, weight):
    """A function that takes a batch and returns the step to be timed: loss, then gradients of the hidden states and of the head.

    Returns batch -> (() -> loss). Raises KeyError for an unknown name; ImportError when `emo` is not there.
    """
    loss = METHODS[name](weight)

    def prepare(batch):
        hidden, labels = batch
        leaf, weight.grad = hidden.clone().requires_grad_(), None

        def step():
            value = loss(leaf, labels)
            value.backward()
            return value

        return step

    return prepare


def rounding(case):
    """How far rounding the cost to int8 moves the loss of one batch, and its gradient on the hidden states, relative to their size.

    Formula: |a - b| / |b| with b in float32, Euclidean norms. Returns two floats. Raises what the methods raise.
    """
    where = device()
    weight, (hidden, labels) = head(case, where), batch(case, where, seed=1)
    found = []
    for name in (ROUNDED, "EMO fused"):
        leaf = hidden.clone().requires_grad_()
        value = METHODS[name](weight.detach())(leaf, labels)
        value.backward()
        found.append((value.detach(), leaf.grad))
    return tuple(float((a - b).norm() / b.norm()) for a, b in zip(*found, strict=True))


def products(name, case, distinct):
    """Products of N x V x d that the method's formulas need, `distinct` being the mean number of different targets in a batch.

    Formula: logits and the gradients of hidden states and head are 3; a row of costs per distinct target adds U/N; the
    package averages the embedding under the one-hot label (1), under the model (1), and takes the latter's gradient
    (1). With an int8 cost the products of costs are of int8, and on a CPU with fast ones they are taken twice; they
    count once here, as if they were float32's. Returns a number. Raises KeyError for an unknown name.
    """
    rows = 3 + distinct / case.N
    return {"CE plain": 3, "CE fused": 3, "EMO plain": rows, "EMO fused": rows, ROUNDED: rows, PACKAGE: 6}[name]
