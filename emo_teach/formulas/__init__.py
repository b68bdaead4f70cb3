"""Every formula of the lessons as a row that checks it: its statement, the code under test, an independent reference, hard instances, a mutant.

A1 to A9 are the article's formulas (https://spaces.ac.cn/archives/9797), D1 to D18 stand beyond it. `python -m emo_teach verify` runs the
table, the tests iterate over it, and each lesson shows its own rows. The rows of training objectives live with those, in `emo_teach.losses`, and
join the table (`complete`) when they are asked for and torch is there.
"""

from . import closed_forms, cosine, cross_entropy, emo, entropic, exact_transport, f_divergences, metric, one_hot, scores  # noqa: F401, I001 (for their rows)
from . import decisions, one_hot_losses, prices, skew_family, starting, truth  # noqa: F401 (rows that continue those, and so stand after them)
from .references import linear_program, marginal_constraints
from .registry import KINDS, LESSON_OF, ROWS, TORCH_LABELS, Outcome, Row, complete, left_out, register, select, verify
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
