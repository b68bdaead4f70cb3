"""Check an answer to a lesson's exercise: `check.run("01.1", my_function)`.

A checker tests properties of the answer on random inputs and names the likely mistake; it never prints the right
value. One file per lesson holds its exercises; `verdicts` holds what they share.
"""

from .verdicts import EXERCISES, Result, Wrong, exercise, run

__all__ = ["EXERCISES", "Result", "Wrong", "exercise", "run"]
