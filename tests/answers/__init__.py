"""Right and wrong answers to the exercises of the lessons and to the problem sets."""

import numpy as np


def unit(rows):
    """The rows' directions."""
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def in_place(answer, argument=0):
    """A right answer that also changes one of its arguments."""

    def spoiler(*arguments, **options):
        value = answer(*arguments, **options)
        arguments[argument][...] += 1
        return value

    return spoiler
