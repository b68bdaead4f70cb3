"""Tokens in blocks, in an order that a seed decides: the same for any number of processes, and the same again after a restart."""

import numpy as np
import torch

from .. import inputs

IGNORED = -100  # transformers' label of a token that does not count


def blocks(name, tokens, block):
    """Input ids and labels (n, block) from a stream of tokens, from ready blocks, or from a pair of ready (ids, labels).

    A stream (1-D) is cut, the rest that fills no block is left out. The first label of a block is -100: nothing
    predicts it, and counting it would spoil means. Returns two int64 tensors. Raises ValueError naming the argument
    for anything but integers, a negative id, a stream shorter than a block, or a block of one token.
    """
    ids, labels = tokens if isinstance(tokens, tuple) and len(tokens) == 2 else (tokens, None)
    ids = _integers(name, ids)
    if ids.ndim == 1:
        if ids.size < block:
            raise ValueError(f"{name} has {ids.size} tokens, fewer than one block of {block}")
        ids = ids[: ids.size // block * block].reshape(-1, block)
    if ids.ndim != 2 or ids.shape[1] < 2 or ids.shape[0] == 0:
        raise ValueError(
            f"{name} must be a stream of tokens or blocks of at least 2, (n, block), got shape {ids.shape}"
        )
    if ids.min() < 0:
        raise ValueError(
            f"{name} holds {ids.min()}: a token's id is not negative (labels to leave out go into a second array)"
        )
    labels = ids.copy() if labels is None else _integers(f"{name}'s labels", labels).copy()
    if labels.shape != ids.shape:
        raise ValueError(f"{name}: ids {ids.shape} and labels {labels.shape} disagree")
    if ((labels < 0) & (labels != IGNORED)).any():
        raise ValueError(
            f"{name}'s labels hold {labels[(labels < 0) & (labels != IGNORED)][0]}: neither a token nor {IGNORED}"
        )
    labels[:, 0] = IGNORED
    if (labels == IGNORED).all():
        raise ValueError(f"{name}: every label is {IGNORED}, so that nothing is left to predict")
    return torch.from_numpy(np.ascontiguousarray(ids)), torch.from_numpy(labels)


def _integers(name, values):
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, got {array.dtype}")
    return array.astype(np.int64)


def check_model_fits(name, ids, labels, model):
    """ValueError when the model has no such token, or not as many positions."""
    size = model.get_input_embeddings().weight.shape[0]
    largest = int(max(ids.max(), labels.max()))
    if largest >= size:
        raise ValueError(f"{name} holds token {largest}, but the model knows {size} (0..{size - 1})")
    room = getattr(model.config, "max_position_embeddings", None)
    if room is not None and ids.shape[1] > room:
        raise ValueError(f"block = {ids.shape[1]} is longer than the model's {room} positions")


class Blocks(torch.utils.data.Dataset):
    """Blocks that are taken out a whole batch at a time, in one indexing."""

    def __init__(self, ids, labels):
        self.ids, self.labels = ids, labels

    def __len__(self):
        return len(self.ids)

    def __getitems__(self, index):
        """A batch: the loader hands over its list of indices at once."""
        index = torch.as_tensor(index)
        return {"input_ids": self.ids[index], "labels": self.labels[index]}


class Order(torch.utils.data.Sampler):
    """Which block comes when: permutations one after another, each drawn from (seed, its number), until `count` blocks are out.

    Batches run over the ends of permutations, so every step has a full batch; after `k` batches any process knows what comes next.
    """

    def __init__(self, size, count, seed):
        self.size, self.count, self.seed = inputs.count("size", size), count, seed

    def __len__(self):
        return self.count

    def __iter__(self):
        for start in range(0, self.count, self.size):
            order = np.random.default_rng([self.seed, start // self.size]).permutation(self.size)
            yield from order[: self.count - start].tolist()
