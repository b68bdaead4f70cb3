"""Checks at the door that only the metrics need; the general ones are in `emo_teach._inputs`."""

import numpy as np

from .. import _inputs


def integers(name, values, ndim=None, size=None):
    """Return a non-empty int64 array, with `ndim` axes and every entry in 0..size-1 where given."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        array = np.asarray(values)
    except ValueError as err:  # rows of unequal length
        raise ValueError(f"{name} must be an array of integers ({err})") from None
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be an array of integers, got dtype {array.dtype}")
    if array.size == 0 or (ndim is not None and array.ndim != ndim):
        raise ValueError(f"{name} has shape {array.shape}: expected {'at least one entry' if ndim is None else f'{ndim} axes with entries'}")
    if size is not None and not 0 <= array.min() <= array.max() < size:
        where = tuple(int(k) for k in np.argwhere((array < 0) | (array >= size))[0])
        raise ValueError(f"{name}[{', '.join(map(str, where))}] = {array[where]} is out of range for {size} entries (0..{size - 1})")
    return array.astype(np.int64)


def log_distributions(name, values):
    """Return log-probabilities along the last axis, shape (..., V): -inf is allowed, and exp must sum to 1 within 1e-6."""
    array = _inputs.as_floats(name, values)
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{name} must hold log-probabilities along its last axis, got shape {array.shape}")
    bad = np.isnan(array) | (array > _inputs.SUM_TOLERANCE)
    _inputs._refuse_where(name, array, bad, "log-probabilities must not be NaN or above 0")
    _inputs.distributions(f"exp({name})", np.exp(array))
    return array


def sequences(name, values, least=1, shortest=0):
    """Return a list of lists of token ids: at least `least` of them, none shorter than `shortest`."""
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__"):
        raise ValueError(f"{name} must be a list of sequences of token ids, got {type(values).__name__}")
    found = []
    for index, row in enumerate(values):
        if len(np.shape(row)) != 1:
            raise ValueError(f"{name}[{index}] must be a sequence of token ids, got {type(row).__name__}")
        row = np.asarray(row)
        if row.size and row.dtype.kind not in "iu":
            raise ValueError(f"{name}[{index}] must hold integer token ids, got dtype {row.dtype}")
        if row.size < shortest:
            raise ValueError(f"{name}[{index}] has {row.size} tokens: at least {shortest} are needed")
        found.append(row.tolist())
    if len(found) < least:
        raise ValueError(f"{name} holds {len(found)} sequences: at least {least} are needed")
    return found
