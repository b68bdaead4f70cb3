"""Checks at the door: every public function sends its arrays through here.

Each check returns the input as a float64 array (copied only when the type differs) or int64 array, or raises ValueError
with the argument's name and the offending value or index. Nothing is repaired on the way, with one exception: the
probabilities of a softmax in float32 or float16 miss 1 by rounding alone, and are divided by their sum in float64.
"""

import numpy as np

# How far from 1 the sum of a distribution may be: in float64 by the first, in narrower types as `sum_tolerance` says.
SUM_TOLERANCE, LARGEST_SUM_TOLERANCE = 1e-6, 1e-2
COUNT_BITS = 63  # what compiled code takes as a count
# The ufuncs' own reductions: at n = 20 they take a third of the time of the array methods.
_sum, _min = np.add.reduce, np.minimum.reduce


def as_floats(name, values):
    """Return `values` as a float64 array, or raise ValueError naming the argument when they are not real numbers."""
    return _real(name, values).astype(np.float64, copy=False)


def _real(name, values):
    """The values as an array in a type of their own, bool, integer or float."""
    try:
        array = np.asarray(values)
        if array is not values and np.ma.is_masked(values):
            raise TypeError("a masked array: fill or drop the masked entries")
        if array.dtype.kind not in "fiub":
            raise TypeError(f"dtype {array.dtype}")
    except (TypeError, ValueError, RuntimeError) as err:  # torch's "requires grad" is a RuntimeError
        raise ValueError(f"{name} must be an array of real numbers, got {type(values).__name__} ({err})") from None
    return array


def _first(bad):
    """Index of the first True of a mask, and the same as a reader writes it: "3" or "0, 3"."""
    index = tuple(int(k) for k in np.argwhere(bad)[0])
    return index, ", ".join(map(str, index))


def shown(value):
    """The number in few digits, or in all of them where few would show another number (1 for 1 + 1e-9)."""
    short = f"{value:g}"
    return short if float(short) == value or value != value else repr(float(value))


def refuse_where(name, array, bad, why):
    """Raise ValueError for the first element marked in `bad`, if there is one."""
    if np.any(bad):
        index, place = _first(bad)
        raise ValueError(f"{name}[{place}] = {shown(array[index])}: {why}")


def _filled(name, values):
    array = as_floats(name, values)
    if array.size == 0:
        raise ValueError(f"{name} is empty (shape {array.shape})")
    return array


def finite(name, values, ndim=None):
    """Return a non-empty array of finite numbers, with `ndim` axes if given."""
    array = _filled(name, values)
    if ndim is not None and array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} axes, got shape {array.shape}")
    refuse_where(name, array, ~np.isfinite(array), "values must be finite")
    return array


def sum_tolerance(n, eps):
    """How far n probabilities in a type of this eps (0 for float64) may miss 1: `1e-6 + n eps`, but by 1 % at most.

    n eps bounds what adding up n numbers one after the other loses. A float32 softmax of torch misses 1 by 1e-6 for
    logits drawn at random, by 5e-4 for one high logit above 150,000 equal ones.
    """
    return min(SUM_TOLERANCE + n * eps, LARGEST_SUM_TOLERANCE)


def _with_tolerance(name, values):
    """Non-empty float64 array, and how far from 1 its sums may be, by the type in which they came."""
    given = _real(name, values)
    if given.size == 0:
        raise ValueError(f"{name} is empty (shape {given.shape})")
    if given.dtype.kind != "f" or given.dtype.itemsize >= 8 or given.ndim == 0:
        return given.astype(np.float64, copy=False), SUM_TOLERANCE
    return given.astype(np.float64), sum_tolerance(given.shape[-1], np.finfo(given.dtype).eps)


def distribution(name, values):
    """Return one probability vector, shape (n,): at least one entry, none negative or NaN, sum within 1e-6 of 1.

    The sum of float32 or float16 is held to `sum_tolerance`, and what is returned is divided by it.
    """
    array, tolerance = _with_tolerance(name, values)
    if array.ndim != 1:
        raise ValueError(f"{name} must be a vector of probabilities, got shape {array.shape}")
    if not (_min(array) >= 0 and abs(_sum(array) - 1) <= tolerance):
        _explain_distribution(name, array, tolerance)
    return array if tolerance == SUM_TOLERANCE else array / _sum(array)


def distributions(name, values):
    """Return probability vectors along the last axis, shape (..., n); each is held to the rules of `distribution`."""
    array, tolerance = _with_tolerance(name, values)
    total = check_distributions(name, array, tolerance)
    return array if tolerance == SUM_TOLERANCE else array / total


def check_distributions(name, array, tolerance):
    """Return the sums (..., 1) of a float64 array; ValueError for a negative entry or a sum beyond the tolerance."""
    if array.ndim == 0:
        raise ValueError(f"{name} must hold probabilities along its last axis, got a single number")
    total = array.sum(-1, keepdims=True)
    if not (array.min() >= 0 and np.abs(total - 1).max() <= tolerance):
        _explain_distribution(name, array, tolerance)
    return total


def _explain_distribution(name, array, tolerance):
    """Raise the ValueError that says what is wrong with `array` as a distribution."""
    refuse_where(name, array, ~np.isfinite(array), "probabilities must be finite")
    refuse_where(name, array, array < 0, "probabilities must not be negative")
    total = array.sum(-1)
    index, place = _first(np.abs(total - 1) > tolerance)
    which = f"{name}[{place}]" if place else name
    raise ValueError(f"{which} sums to {total[index]:.8g}: probabilities must sum to 1 within {tolerance:.3g}")


def not_negative(values):
    """Results that are 0 or above, without what rounding left below 0 or as -0: the one check on the way out."""
    return np.maximum(values, 0.0) + 0.0


def square_cost(name, values, n=None):
    """Return a finite cost matrix, shape (n, n)."""
    array = _filled(name, values)
    if array.ndim != 2 or array.shape[0] != array.shape[1]:
        raise ValueError(f"{name} must be a square matrix, got shape {array.shape}")
    if n is not None and array.shape[0] != n:
        raise ValueError(f"{name} has shape {array.shape}, but the distributions have {n} entries")
    refuse_where(name, array, ~np.isfinite(array), "costs must be finite")
    return array


def target_index(name, value, n):
    """Return `value` as an index in 0..n-1."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} must be an integer index, got {value!r}")
    if not 0 <= value < n:
        raise ValueError(f"{name} = {value} is out of range for {n} entries (0..{n - 1})")
    return int(value)


def same_length(first, a, second, b):
    """Raise ValueError unless the last axes of two arrays agree."""
    if a.shape[-1] != b.shape[-1]:
        raise ValueError(f"{first} has {a.shape[-1]} entries but {second} has {b.shape[-1]}")


def broadcast(first, a, second, b):
    """Raise ValueError unless two arrays of distributions have one length and their leading axes broadcast."""
    same_length(first, a, second, b)
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        why = "do not broadcast: their leading axes must agree or be 1"
        raise ValueError(f"{first} {a.shape} and {second} {b.shape} {why}") from None


def number(name, value, low=None, high=None, open_low=False):
    """Return a finite number, within [low, high] where given (above `low` if `open_low`)."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise ValueError(f"{name} must be a number, got {value!r}")
    try:
        value = float(value)
    except OverflowError:
        raise ValueError(f"{name} is an integer of {value.bit_length()} bits: too large for a number") from None
    too_low = low is not None and (value <= low if open_low else value < low)
    if not np.isfinite(value) or too_low or (high is not None and value > high):
        left = "" if low is None else f" {'above' if open_low else 'at least'} {low:g}"
        right = "" if high is None else f"{' and' if left else ''} at most {high:g}"
        raise ValueError(f"{name} = {shown(value)} must be a finite number{left}{right}")
    return value


def power_fits(name, power, base):
    """Raise ValueError when `base ** power` overflows."""
    try:
        float(base) ** power
    except OverflowError:
        raise ValueError(f"{name} = {power:g} is too large: {base} ** {power:g} overflows") from None


def count(name, value, low=1):
    """Return an integer that is at least `low`."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < low:
        raise ValueError(f"{name} = {value} must be at least {low}")
    if int(value).bit_length() > COUNT_BITS:
        raise ValueError(f"{name} is an integer of {int(value).bit_length()} bits: at most {COUNT_BITS} can be counted")
    return int(value)


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
        expected = "at least one entry" if ndim is None else f"{ndim} axes with entries"
        raise ValueError(f"{name} has shape {array.shape}: expected {expected}")
    if size is not None and not 0 <= array.min() <= array.max() < size:
        index, place = _first((array < 0) | (array >= size))
        raise ValueError(f"{name}[{place}] = {array[index]} is out of range for {size} entries (0..{size - 1})")
    return array.astype(np.int64)


def log_distributions(name, values):
    """Return log-probabilities along the last axis, (..., V), -inf among them; `distributions`' rules for their exp."""
    array, tolerance = _with_tolerance(name, values)
    if array.ndim == 0:
        raise ValueError(f"{name} must hold log-probabilities along its last axis, got shape ()")
    bad = np.isnan(array) | (array > tolerance)
    refuse_where(name, array, bad, "log-probabilities must not be NaN or above 0")
    total = check_distributions(f"exp({name})", np.exp(array), tolerance)
    return array if tolerance == SUM_TOLERANCE else array - np.log(total)


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
