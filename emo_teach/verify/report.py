"""The registry's outcomes for a reader: a table of text for the command line, an HTML table in a lesson."""

import html
from dataclasses import dataclass

from .core import verify


def _figure_text(outcome):
    if outcome.trouble:
        return "raised"
    if outcome.row.kind == "identity":
        return f"error {outcome.figure:.1e}"
    if outcome.row.kind == "bound":
        return f"over {outcome.figure:.1e}, gap {outcome.extra:.1e}"
    return f"margin {outcome.figure:.4f}"


def table(outcomes):
    """The outcomes as a table of fixed-width text, with a closing line."""
    head = ("label", "name", "kind", "reference", "cases", "figure", "bar", "verdict", "mutant")
    lines = [head]
    for o in outcomes:
        bar = f">= {o.row.threshold:g}" if o.row.kind == "witness" else f"{o.row.tolerance:.0e}"
        verdict, mutant = ("ok" if o.passed else "FAILS"), ("rejected" if o.mutant_rejected else "SURVIVES")
        lines.append(
            (
                o.row.label,
                o.row.name,
                o.row.kind,
                o.row.reference,
                str(o.instances),
                _figure_text(o),
                bar,
                verdict,
                mutant,
            )
        )
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    text += [f"{o.row.label} {o.row.name}: {o.trouble}" for o in outcomes if o.trouble]
    return "\n".join([*text, _closing(outcomes)])


def _closing(outcomes):
    good = sum(o.passed and o.mutant_rejected for o in outcomes)
    return f"{good} of {len(outcomes)} rows hold and reject their wrong version."


@dataclass(frozen=True)
class Report:
    """Outcomes that show themselves as an HTML table in a notebook and as text elsewhere."""

    outcomes: tuple

    def __repr__(self):
        tried = [f"  {o.row.label} {o.row.name}: {o.row.mistake}" for o in self.outcomes]
        return "\n".join([table(self.outcomes), "Wrong versions tried:", *tried])

    def _repr_html_(self):
        head = ("formula", "what is checked", "against", "cases", "result", "wrong version tried")
        rows = [head] + [_cells(outcome) for outcome in self.outcomes]
        tags = ["th"] + ["td"] * len(self.outcomes)
        body = "".join(
            "<tr>" + "".join(f'<{tag} style="text-align:left">{html.escape(cell)}</{tag}>' for cell in row) + "</tr>"
            for tag, row in zip(tags, rows, strict=True)
        )
        return f"<table>{body}</table><p>{_closing(self.outcomes)} Facts that the lesson leaves out are proved in the appendix.</p>"


def _cells(outcome):
    """One row of a lesson's table, in words."""
    row, result = outcome.row, "FAILS"
    if outcome.passed and row.kind == "identity":
        result = f"equal, error {outcome.figure:.0e}" if outcome.figure else "equal, exactly"
    elif outcome.passed and row.kind == "bound":
        result = f"holds, closest {outcome.extra:.0e}" if outcome.extra else "holds, and is reached"
    elif outcome.passed:
        result = f"exists, margin {outcome.figure:.2f}"
    tried = f"{row.mistake}: {'rejected' if outcome.mutant_rejected else 'NOT REJECTED'}"
    return row.label, row.name.replace("-", " "), row.reference, str(outcome.instances), result, tried


def show(lesson):
    """Try one lesson's rows and show their table, with the wrong versions that they reject.

    Raises ValueError for an unknown lesson.
    """
    from IPython.display import display

    display(Report(tuple(verify(lesson=lesson))))
