"""Every formula of the lessons as a row that checks it: its statement, the code under test, an independent reference, hard instances, a mutant.

A1, A2, ... are the article's formulas (https://spaces.ac.cn/archives/9797), D1, D2, ... stand beyond it. `python -m emo_teach verify` runs the
table, the tests iterate over it, and each lesson shows its own rows, which stand in `lessonNN`. A row whose code needs torch, or whose
reference needs mpmath, imports it when it is tried, and is left out where the library is missing.
"""

from . import lesson01, lesson02, lesson03, lesson04, lesson05, lesson06, lesson06_objectives, lesson08, lesson09  # noqa: F401
from .core import LESSON_OF, ROWS, Outcome, Report, Row, register, select, show, table, verify
from .references import linear_program, marginal_constraints

__all__ = [
    "LESSON_OF", "ROWS", "Outcome", "Report", "Row", "linear_program", "marginal_constraints", "register", "select", "show", "table",
    "verify",
]  # fmt: skip
