"""Every formula of the lessons as a row that checks it: statement, code under test, reference, hard instances, mutant.

A1, A2, ... are the article's formulas (https://spaces.ac.cn/archives/9797), D1, D2, ... stand beyond it. `python -m
emo_teach verify` tries the table, the tests iterate over it, and each lesson shows its own rows, which stand in
`lessonNN`. A row that needs torch or mpmath imports it when it is tried, and is left out where the library is missing.
"""

from . import lesson01, lesson02, lesson03, lesson04, lesson05, lesson06, lesson06_losses, lesson08, lesson09
from .core import LESSON_OF, ROWS, Outcome, Report, Row, register, select, show, table, verify
from .references import linear_program, marginal_constraints

__all__ = [
    "LESSON_OF", "ROWS", "Outcome", "Report", "Row", "lesson01", "lesson02", "lesson03", "lesson04", "lesson05",
    "lesson06", "lesson06_losses", "lesson08", "lesson09", "linear_program", "marginal_constraints", "register",
    "select", "show", "table", "verify",
]  # fmt: skip
