"""Every formula of the lessons as a row that checks it: its statement, the code under test, an independent reference, hard instances, a mutant.

A1 to A9 are the article's formulas (https://spaces.ac.cn/archives/9797), D1 to D18 stand beyond it. `python -m emo_teach verify` runs the
table, the tests iterate over it, and each lesson shows its own rows. The rows of training objectives (`torch_*`)
join the table (`complete`) when they are asked for and torch is there.
"""

from . import (  # noqa: F401 (each adds its rows)
    closed_forms,
    cosine,
    cross_entropy,
    decisions,
    emo,
    entropic,
    exact_transport,
    f_divergences,
    metric,
    one_hot,
    one_hot_losses,
    prices,
    scores,
    skew_family,
    starting,
    truth,
)
from .core import KINDS, LESSON_OF, ROWS, TORCH_LABELS, Outcome, Row, complete, left_out, register, select, verify
from .references import linear_program, marginal_constraints
from .report import Report, show, table

__all__ = [
    "KINDS",
    "LESSON_OF",
    "ROWS",
    "Outcome",
    "Report",
    "TORCH_LABELS",
    "Row",
    "complete",
    "left_out",
    "linear_program",
    "marginal_constraints",
    "register",
    "select",
    "show",
    "table",
    "verify",
]
