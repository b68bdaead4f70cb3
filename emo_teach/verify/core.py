"""The registry: what a row is, how it is tried, and how the outcome is printed.

A row puts the code under test (`ours`) beside an independent reference (`independent`) on many instances, and does the same with a plausible
wrong version (`wrong`), which it must reject: a check that passes everything checks nothing.
"""

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

KINDS = ("identity", "bound", "witness")
LESSON_OF = {
    label: lesson
    for lesson, labels in {
        "01": "A1 A2 A3",
        "02": "D10",
        "03": "A4 D6 D8",
        "04": "A5 A6 A7 D2",
        "05": "A8 D3 D4 D12",
        "06": "A9 D1 D5 D7 D9 D11",
        "08": "D13 D14 D15",
        "09": "D16 D17 D18",
    }.items()
    for label in labels.split()
}
TORCH_LABELS = frozenset(
    {"A1", "A2", "A7", "A9", "D1", "D7", "D9", "D10", "D11", "D14", "D17"}
)  # with rows in the modules torch_*
TORCH_LESSONS = frozenset({"06", "08", "09"})  # which show those rows
ROWS = []


@dataclass(frozen=True, kw_only=True)
class Row:
    """One checked formula.

    `ours(instance)` and `independent(instance)` return numbers or arrays of one shape; `wrong(instance)` stands in for `ours` in the mutant
    (and `wrong_independent`, where given, for `independent`: the same claim made of something else).
    identity: ours = independent. bound: ours `sense` independent, "<=" or ">=". witness: both are a margin, at least `threshold`, and agree.
    Errors are absolute up to the size 1 of the reference and relative above it; `why` gives the reason of the tolerance.
    `taught` names the lesson that shows the row where that is not the lesson of its label.
    """

    label: str
    name: str
    statement: str
    kind: str
    code: tuple
    reference: str
    instances: Callable
    ours: Callable
    independent: Callable
    wrong: Callable
    mistake: str
    tolerance: float
    why: str
    wrong_independent: Callable | None = None
    sense: str = "<="
    threshold: float = 0.0
    taught: str | None = None

    @property
    def lesson(self):
        """The lesson that shows the row, such as "06"."""
        return self.taught or LESSON_OF[self.label]

    def __post_init__(self):
        if self.label not in LESSON_OF:
            raise ValueError(f"label = {self.label!r} is not one of {', '.join(LESSON_OF)}")
        if self.taught not in (None, *LESSON_OF.values()):
            raise ValueError(f"taught = {self.taught!r} is not one of {', '.join(sorted(set(LESSON_OF.values())))}")
        if self.kind not in KINDS:
            raise ValueError(f"kind = {self.kind!r} is not one of {', '.join(KINDS)}")
        if self.sense not in ("<=", ">="):
            raise ValueError(f"sense = {self.sense!r} is neither '<=' nor '>='")
        if not 0 <= self.tolerance <= 1e-9:
            raise ValueError(f"tolerance = {self.tolerance!r} must lie in [0, 1e-9]: everything here is float64")
        if self.kind == "witness" and not self.threshold > 0:
            raise ValueError(f"threshold = {self.threshold!r} must be above 0: a witness needs a margin")


@dataclass(frozen=True)
class Outcome:
    """What trying a row gave.

    `figure`: the worst error (identity), the worst violation (bound), the least margin (witness). `extra`: the tightest gap seen (bound), the
    disagreement with the reference (witness), else None. `mutant`: the wrong version's figure. `trouble`: an exception's words, or "".
    """

    row: Row
    instances: int
    figure: float
    extra: float | None
    mutant: float
    passed: bool
    mutant_rejected: bool
    trouble: str = ""


def register(row):
    """Add a row to the table and return it; other modules (training objectives) add theirs in this way.

    Raises ValueError when a row of this label and name is there already.
    """
    if any((row.label, row.name) == (other.label, other.name) for other in ROWS):
        raise ValueError(f"row = {row.label} {row.name!r} is registered already")
    ROWS.append(row)
    ROWS.sort(key=lambda other: (other.label[0], int(other.label[1:])))  # A1 ... A9, D1 ... D18; stable within a label
    return row


def _errors(a, b):
    """Elementwise |a - b|, relative above 1; equal infinities agree, NaN agrees with nothing."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise TypeError(f"shapes {a.shape} and {b.shape} disagree")
    with np.errstate(invalid="ignore"):
        error = np.where(a == b, 0.0, np.abs(a - b) / np.maximum(1.0, np.where(np.isfinite(b), np.abs(b), 1.0)))
    return np.where(np.isnan(error), np.inf, error)


def _excess(a, b, sense):
    """Elementwise amount by which `a sense b` is broken (negative: by how much it holds)."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise TypeError(f"shapes {a.shape} and {b.shape} disagree")
    scale = np.maximum(1.0, np.where(np.isfinite(b), np.abs(b), 1.0))
    signed = np.where(a == b, 0.0, (a - b if sense == "<=" else b - a) / scale)
    return np.where(np.isnan(signed), np.inf, signed)


def _try(row, ours, references):
    """(figure, extra, passed) of one version against the references of all instances."""
    pairs = list(zip(ours, references, strict=True))
    if row.kind == "identity":
        figure = max(float(_errors(a, b).max()) for a, b in pairs)
        return figure, None, figure <= row.tolerance
    if row.kind == "bound":
        worst = max(float(_excess(a, b, row.sense).max()) for a, b in pairs)
        return max(0.0, worst), max(0.0, -worst), worst <= row.tolerance
    disagreement = max(float(_errors(a, b).max()) for a, b in pairs)
    margin = min(float(np.min(a)) for a, _ in pairs)
    return margin, disagreement, margin >= row.threshold and disagreement <= row.tolerance


def _try_mutant(row, cases, references):
    """(figure, rejected) of the wrong version."""
    wrong = [row.wrong(case) for case in cases]
    if row.kind == "witness":
        margin = max(float(np.max(w)) for w in wrong)
        return margin, margin <= row.tolerance
    if row.wrong_independent is not None:
        references = [row.wrong_independent(case) for case in cases]
    figure, _, passed = _try(row, wrong, references)
    return figure, not passed


def _verify_row(row):
    count = 0
    try:
        with np.errstate(all="ignore"):
            cases = list(row.instances())
            count = len(cases)
            references = [row.independent(case) for case in cases]
            figure, extra, passed = _try(row, [row.ours(case) for case in cases], references)
            mutant, rejected = _try_mutant(row, cases, references)
    except Exception as err:  # a row that breaks is a row that fails, and the others are still tried
        return Outcome(row, count, np.nan, None, np.nan, False, False, f"{type(err).__name__}: {err}")
    return Outcome(row, count, figure, extra, mutant, bool(passed), bool(rejected))


def complete():
    """Add the rows of the training objectives where torch is there; returns whether it is.

    Raises nothing. They are left until someone asks for them: torch takes seconds to import.
    """
    if importlib.util.find_spec("torch") is None:
        return False
    for name in ("rows", "emo_rows", "rest", "soft_rows"):
        importlib.import_module(f"emo_teach.verify.torch_{name}")
    return True


def _asks_for_torch(label, lesson):
    return (lesson is None or lesson in TORCH_LESSONS) and (label is None or label in TORCH_LABELS)


def left_out(label=None, lesson=None):
    """A line that says which of the rows asked for cannot be tried for want of torch; "" when there are none."""
    if not _asks_for_torch(label, lesson) or complete():
        return ""
    labels = [known for known in LESSON_OF if known in TORCH_LABELS and label in (None, known)]
    return f"Left out, as torch is not installed: the rows of the training objectives ({', '.join(labels)})."


def _check_lesson(lesson):
    lessons = sorted(set(LESSON_OF.values()))
    if lesson is not None and lesson not in lessons:
        raise ValueError(f"lesson = {lesson!r} is not one of {', '.join(lessons)}")


def select(label=None, lesson=None):
    """The rows of one label, of one lesson, or of both; all without either. Those of torch objectives are among them where torch is there.

    Returns a list of `Row`. Raises ValueError for an unknown label or lesson or when nothing is left.
    """
    _check_lesson(lesson)
    if label is not None and label not in LESSON_OF:
        raise ValueError(f"label = {label!r} is not one of {', '.join(LESSON_OF)}")
    missing = _asks_for_torch(label, lesson) and not complete()
    rows = [row for row in ROWS if label in (None, row.label) and lesson in (None, row.lesson)]
    if not rows:
        asked = f"label = {label!r}" if lesson is None else f"label = {label!r} with lesson = {lesson!r}"
        raise ValueError(f"{asked} has no row{' without torch, which is not installed' if missing else ''}")
    return rows


def verify(rows=None, lesson=None):
    """Try rows (all of them, or one lesson's) and return their outcomes.

    Returns a list of `Outcome`, in the rows' order. Raises ValueError for an unknown lesson; a row that raises is an
    outcome that failed.
    """
    _check_lesson(lesson)
    chosen = select(lesson=lesson) if rows is None else [row for row in rows if lesson in (None, row.lesson)]
    return [_verify_row(row) for row in chosen]
