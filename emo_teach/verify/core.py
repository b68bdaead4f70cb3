"""What a row of the verification table is, how it is tried, and how the outcomes are shown.

A row puts the code under test (`ours`) beside an independent reference (`independent`) on many instances, and does the
same with a plausible wrong version (`wrong`), which it must reject: a check that passes everything checks nothing.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

OPTIONAL = ("mpmath", "torch")  # libraries without which some rows cannot be tried
ROWS = []
LESSON_OF = {}  # label: the lesson that teaches it, filled by the first row of each label


@dataclass(frozen=True, kw_only=True)
class Row:
    """One checked formula.

    `ours(instance)` and `independent(instance)` return numbers or arrays of one shape; in the mutant `wrong` stands in
    for `ours` (and `wrong_independent`, where given, for `independent`: the same claim made of something else). Kinds:
    a bound has a `sense`, such as "<=" in ours <= independent; a witness has a `threshold`: both sides are a margin, at
    least that, and agree; an identity has neither: ours = independent. Errors are absolute where the reference is below
    1 and relative above. `lesson` is the lesson that shows the row.
    """

    label: str
    name: str
    statement: str
    lesson: str
    reference: str
    instances: Callable
    ours: Callable
    independent: Callable
    wrong: Callable
    mistake: str
    tolerance: float = 1e-12
    wrong_independent: Callable | None = None
    sense: str = ""
    threshold: float = 0.0

    @property
    def kind(self):
        return "witness" if self.threshold else "bound" if self.sense else "identity"

    def __post_init__(self):
        if not re.fullmatch(r"[AD][1-9]\d*", self.label):
            raise ValueError(f"label = {self.label!r} is not a label such as A1 or D12")
        if self.sense not in ("", "<=", ">="):
            raise ValueError(f"sense = {self.sense!r} is neither '<=' nor '>='")
        if not 0 <= self.tolerance <= 1e-9:
            raise ValueError(f"tolerance = {self.tolerance!r} must lie in [0, 1e-9]: everything here is float64")
        if not self.threshold >= 0:
            raise ValueError(f"threshold = {self.threshold!r} must be above 0: a witness needs a margin")


@dataclass(frozen=True)
class Outcome:
    """What trying a row gave.

    `figure`: the worst error (identity), the worst violation (bound), the least margin (witness). `extra`: the tightest
    gap (bound), the disagreement with the reference (witness), else None. `mutant`: the wrong version's figure.
    `trouble`: an exception's words, or "". `missing`: the optional library without which the row could not be tried, or
    "".
    """

    row: Row
    instances: int
    figure: float
    extra: float | None
    mutant: float
    passed: bool
    mutant_rejected: bool
    trouble: str = ""
    missing: str = ""

    @property
    def failed(self):
        """The row was tried, and it does not hold or lets its wrong version through."""
        return not (self.missing or (self.passed and self.mutant_rejected))


def register(row):
    """Add a row to the table, sorted by label, and return it; ValueError when its label and name are there."""
    if any((row.label, row.name) == (other.label, other.name) for other in ROWS):
        raise ValueError(f"row = {row.label} {row.name!r} is registered already")
    LESSON_OF.setdefault(row.label, row.lesson)
    ROWS.append(row)
    ROWS.sort(key=lambda other: (other.label[0], int(other.label[1:])))  # A1 ... A9, D1 ...; stable within a label
    return row


def row_maker(lesson, **defaults):
    """Return `row("D3 jensen-bound: its statement", settings, ours=..., ...)`, which registers a row of this lesson.

    A field comes from the keywords, else from the dictionary `settings`, else from `defaults`.
    """

    def row(text, settings=None, **fields):
        title, statement = text.split(": ", 1)
        label, name = title.split()
        fields = defaults | (settings or {}) | fields
        return register(Row(label=label, name=name, statement=statement, lesson=lesson, **fields))

    return row


def _excess(a, b, sense="<="):
    """Elementwise amount by which `a sense b` is broken (negative: by how much it holds), relative above 1.

    Equal infinities agree, NaN agrees with nothing.
    """
    a, b = np.asarray(a, float), np.asarray(b, float)
    if a.shape != b.shape:
        raise TypeError(f"shapes {a.shape} and {b.shape} disagree")
    scale = np.maximum(1.0, np.where(np.isfinite(b), np.abs(b), 1.0))
    with np.errstate(invalid="ignore"):
        signed = np.where(a == b, 0.0, (a - b if sense == "<=" else b - a) / scale)
    return np.where(np.isnan(signed), np.inf, signed)


def _try(row, ours, references):
    """(figure, extra, passed) of one version against the references of all instances."""
    pairs = list(zip(ours, references, strict=True))
    if row.kind == "bound":
        worst = max(float(_excess(a, b, row.sense).max()) for a, b in pairs)
        return max(0.0, worst), max(0.0, -worst), worst <= row.tolerance
    error = max(float(np.abs(_excess(a, b)).max()) for a, b in pairs)
    if row.kind == "identity":
        return error, None, error <= row.tolerance
    margin = min(float(np.min(a)) for a, _ in pairs)
    return margin, error, margin >= row.threshold and error <= row.tolerance


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
        missing = err.name if isinstance(err, ModuleNotFoundError) and err.name in OPTIONAL else ""
        return Outcome(row, count, np.nan, None, np.nan, False, False, f"{type(err).__name__}: {err}", missing)
    return Outcome(row, count, figure, extra, mutant, bool(passed), bool(rejected))


def select(label=None, lesson=None):
    """The rows of a label, of a lesson, or of both, a list; ValueError for an unknown one or when nothing is left."""
    for name, value, known in (("lesson", lesson, sorted({row.lesson for row in ROWS})), ("label", label, LESSON_OF)):
        if value is not None and value not in known:
            raise ValueError(f"{name} = {value!r} is not one of {', '.join(known)}")
    rows = [row for row in ROWS if label in (None, row.label) and lesson in (None, row.lesson)]
    if not rows:
        raise ValueError(f"label = {label!r} with lesson = {lesson!r} has no row")
    return rows


def verify(rows=None, lesson=None):
    """Try `rows`, or else all of a lesson or all there are, and return a list of outcomes in their order.

    A row that raises has failed. Raises ValueError for an unknown lesson.
    """
    return [_verify_row(row) for row in (select(lesson=lesson) if rows is None else rows)]


def _line(outcome):
    """The cells of one line of the table as text."""
    row, figure, extra = outcome.row, outcome.figure, outcome.extra
    if outcome.trouble:
        found = "not tried" if outcome.missing else "raised"
    elif row.kind == "bound":
        found = f"over {figure:.1e}, gap {extra:.1e}"
    else:
        found = f"error {figure:.1e}" if row.kind == "identity" else f"margin {figure:.4f}"
    bar = f">= {row.threshold:g}" if row.threshold else f"{row.tolerance:.0e}"
    verdict, mutant = ("ok" if outcome.passed else "FAILS"), ("rejected" if outcome.mutant_rejected else "SURVIVES")
    verdicts = ("left out", "left out") if outcome.missing else (verdict, mutant)
    return (row.label, row.name, row.kind, row.reference, str(outcome.instances), found, bar, *verdicts)


def table(outcomes):
    """The outcomes as text: a line of fixed width per row with its statement (LaTeX) below it, and closing lines."""
    head = ("label", "name", "kind", "reference", "cases", "figure", "bar", "verdict", "mutant")
    lines = [head, *map(_line, outcomes)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
    statements = [f"{'':{widths[0]}}  {o.row.statement}" for o in outcomes]
    text[1:] = [part for both in zip(text[1:], statements, strict=True) for part in both]
    text += [f"{o.row.label} {o.row.name}: {o.trouble}" for o in outcomes if o.failed and o.trouble]
    return "\n".join([*text, *_closing(outcomes)])


def _closing(outcomes):
    """The closing lines: how many rows hold, and which could not be tried because a library is missing."""
    tried = [o for o in outcomes if not o.missing]
    good = sum(not o.failed for o in tried)
    yield f"{good} of {len(tried)} rows hold and reject their wrong version."
    for library in OPTIONAL:
        if names := [f"{o.row.label} {o.row.name}" for o in outcomes if o.missing == library]:
            yield f"Left out, as {library} is not installed (pip install {library}): {', '.join(names)}."


@dataclass(frozen=True)
class Report:
    """Outcomes that show themselves as an HTML table in a notebook and as text elsewhere."""

    outcomes: tuple

    def __repr__(self):
        tried = [f"  {o.row.label} {o.row.name}: {o.row.mistake}" for o in self.outcomes]
        return "\n".join([table(self.outcomes), "Wrong versions tried:", *tried])

    def _repr_html_(self):
        head = ("formula", "what is checked", "against", "cases", "result", "wrong version tried")
        rows = ["<caption>Formulas, tried on random cases</caption>", _html_row(head, "col")]
        for outcome in self.outcomes:
            statement = html.escape(f"${outcome.row.statement}$")
            rows.append(_html_row(_cells(outcome), "row"))
            rows.append(f'<tr><td></td><td colspan="{len(head) - 1}" style="text-align:left">{statement}</td></tr>')
        closing = " ".join(map(html.escape, _closing(self.outcomes)))
        # A table wider than the window scrolls in a region of its own, which the keyboard reaches too.
        region = '<div role="region" aria-label="Checked formulas" tabindex="0" style="overflow-x:auto">'
        end = f"<p>{closing} Facts that the lesson leaves out are proved in the appendix.</p>"
        return f"{region}<table>{''.join(rows)}</table></div>{end}"


def _html_row(cells, scope):
    """A row whose first cell is a header, or all of them where the scope is "col"."""
    tags = ["td" if k and scope == "row" else f'th scope="{scope}"' for k in range(len(cells))]
    pairs = zip(tags, map(html.escape, cells), strict=True)
    return "<tr>" + "".join(f'<{tag} style="text-align:left">{cell}</{tag[:2]}>' for tag, cell in pairs) + "</tr>"


def _cells(outcome):
    """One row of a lesson's table, in words."""
    row, result = outcome.row, "FAILS"
    if outcome.missing:
        result = "left out"
    elif outcome.passed and row.kind == "identity":
        result = f"equal, error {outcome.figure:.0e}" if outcome.figure else "equal, exactly"
    elif outcome.passed and row.kind == "bound":
        result = f"holds, closest {outcome.extra:.0e}" if outcome.extra else "holds, and is reached"
    elif outcome.passed:
        result = f"exists, margin {outcome.figure:.2f}"
    rejected = "left out" if outcome.missing else "rejected" if outcome.mutant_rejected else "NOT REJECTED"
    name, tried = row.name.replace("-", " "), f"{row.mistake}: {rejected}"
    return row.label, name, row.reference, str(outcome.instances), result, tried


def show(lesson):
    """Try one lesson's rows and show their table, with the wrong versions they reject; ValueError where unknown."""
    from IPython.display import display

    display(Report(tuple(verify(lesson=lesson))))
