"""Measurements as text: tables for the reader, CSV for programs, and files that are written whole or not at all."""

import csv
import io
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .rows import exponent

COLUMNS = ("method", "N", "V", "d", "targets", "device", "seconds", "ratio_to_ce", "peak_mib", "peak_ratio_to_ce")
PICTURES = (".png", ".svg")


@dataclass
class Measured:
    """All that one run found: rows of the table, axis -> rows of growth, and exact transport."""

    losses: list = field(default_factory=list)
    growth: dict = field(default_factory=dict)
    transport: list = field(default_factory=list)


def writable(option, path, endings=()):
    """The path, absolute, once it is clear that a file can be written there; None stays None.

    Returns a `Path` or None. Raises ValueError naming the option for a folder that is not there or takes no files, for
    something that is no plain file, and for an ending that is not allowed.
    """
    if path is None:
        return None
    try:
        full = Path(path).resolve()
        if endings and full.suffix.lower() not in endings:
            raise ValueError(f"{option} {path}: the name must end in {' or '.join(endings)}")
        if full.exists() and not full.is_file():
            raise ValueError(f"{option} {path}: there is something that is no plain file")
        tempfile.TemporaryFile(dir=full.parent).close()
    except OSError as err:
        raise ValueError(f"{option} {path}: cannot be written ({err.strerror})") from None
    return full


def csv_text(measured):
    """Every measurement as CSV: the table, growth (no peaks), exact transport (N = 1 problem, V = its points; no d).

    Returns text with a header line.
    """
    seen = {(row.method, row.case) for row in measured.losses}
    grown = {(row.method, row.case): row for rows in measured.growth.values() for row in rows}
    rows = measured.losses + [row for key, row in grown.items() if key not in seen]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(
            [
                row.method,
                *row.case,
                row.device,
                *map(_cell, (row.seconds, row.ratio_to_ce, row.peak_mib, row.peak_ratio_to_ce)),
            ]
        )
    for solved in measured.transport:
        writer.writerow(
            [f"exact EMD, {solved.solver}", 1, solved.n, "", "dense", "cpu", _cell(solved.seconds), "", "", ""]
        )
    return out.getvalue()


def _cell(value):
    return "" if value is None else f"{value:.6g}"


def aligned(header, lines):
    """A table of words as text, numbers to the right.

    Returns text.
    """
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    texts = [lines and all(line[k][:1].isdigit() or line[k] in ("", "-") for line in lines) for k in range(len(header))]
    rule = ["-" * width for width in widths]
    put = [
        [w.rjust(n) if right else w.ljust(n) for w, n, right in zip(line, widths, texts, strict=True)]
        for line in [header, rule, *lines]
    ]
    return "\n".join("  ".join(line).rstrip() for line in put)


def _shown(value, form):
    return "-" if value is None else format(value, form)


def loss_table(rows):
    """The table of losses; "limit" is what the counted products alone would take, in seconds and relative to plain cross-entropy's.

    Formula: limit ratio = products / 3. Returns text.
    """
    header = [
        "method",
        "N",
        "V",
        "d",
        "targets",
        "seconds",
        "x CE plain",
        "products",
        "limit s",
        "limit x",
        "peak MiB",
        "peak x CE plain",
    ]
    lines = []
    for r in rows:
        line = [
            r.method,
            *map(str, r.case),
            f"{r.seconds:.3g}",
            _shown(r.ratio_to_ce, ".2f"),
            f"{r.products:.2f}",
            f"{r.limit:.3g}",
        ]
        lines.append([*line, f"{r.products / 3:.2f}", _shown(r.peak_mib, ".0f"), _shown(r.peak_ratio_to_ce, ".2f")])
    return aligned(header, lines)


def comparisons(rows):
    """Lines that set fused EMO beside plain and fused cross-entropy and the package, and say how peaks grow with N.

    Formula: ratios of the table's numbers.
    """
    lines = ["", "fused EMO against the others (time, peak memory):"]
    for case in dict.fromkeys(row.case for row in rows):
        by = {row.method: row for row in rows if row.case == case}
        if "EMO fused" in by:
            others = [f"{name} {_against(by['EMO fused'], row)}" for name, row in by.items() if name != "EMO fused"]
            lines.append(f"  N={case.N} V={case.V} d={case.d}, {case.targets}: " + "; ".join(others))
    return lines + _peak_growth(rows)


def _against(ours, other):
    share = "-" if ours.peak_mib is None or not other.peak_mib else f"{ours.peak_mib / other.peak_mib:.2f}x"
    return f"{ours.seconds / other.seconds:.2f}x, {share}"


def _peak_growth(rows):
    """Peaks as powers of N, where cases differ in N alone; a line for each V, d and way to draw targets."""
    groups = {}
    for row in rows:
        if row.peak_mib:
            groups.setdefault(row.case[1:], {}).setdefault(row.method, []).append((row.case.N, row.peak_mib))
    lines = []
    for (v, d, drawn), methods in groups.items():
        several = {name: tuple(zip(*found, strict=True)) for name, found in methods.items() if len(found) > 1}
        if several:
            sizes = sorted({n for found in several.values() for n in found[0]})
            fits = ", ".join(f"{name} N^{exponent(*found):.2f}" for name, found in several.items())
            lines.append(f"  V={v} d={d}, {drawn}: {fits} (N = {sizes[0]} to {sizes[-1]})")
    return ["", "growth of peak memory:", *lines] if lines else []


def growth_table(axes):
    """Times along each axis, with the exponent of the power law that fits them.

    Formula: `exponent`. Returns text.
    """
    blocks = []
    for axis, rows in axes.items():
        cases = list(dict.fromkeys(row.case for row in rows))
        sizes = [getattr(case, axis) for case in cases]
        fixed = ", ".join(f"{name}={getattr(cases[0], name)}" for name in ("N", "V", "d") if name != axis)
        lines = []
        for method in dict.fromkeys(row.method for row in rows):
            seconds = [row.seconds for row in rows if row.method == method]
            lines.append([method, *(f"{s:.3g}" for s in seconds), f"{exponent(sizes, seconds):.2f}"])
        title = f"growth in {axis} ({fixed}, {cases[0].targets} targets), seconds:"
        blocks.append(title + "\n" + aligned(["method", *(f"{axis}={size}" for size in sizes), "exponent"], lines))
    return "\n\n".join(blocks) + "\n"


def transport_table(solved):
    """Exact transport: both solvers' times, their ratio, how far their values differ, and fitted exponents.

    Formula: A4. Returns text.
    """
    by = {(s.solver, s.n): s for s in solved}
    lines = []
    for n in dict.fromkeys(s.n for s in solved):
        fast, slow = by["POT", n], by.get(("HiGHS", n))
        more = (
            [f"{slow.seconds:.3g}", f"{slow.seconds / fast.seconds:.0f}", f"{slow.difference:.0e}"]
            if slow
            else ["-"] * 3
        )
        lines.append([str(n), f"{fast.seconds:.3g}", *more])
    text = aligned(["points n", "POT s", "HiGHS s", "HiGHS / POT", "largest difference of values"], lines)
    fits = [f"{name} n^{fit:.2f} (n = {low} to {high})" for name, fit, low, high in transport_fits(solved)]
    return (
        f"exact EMD between dense distributions, cosine cost, float64, on the CPU:\n{text}\ngrowth: {', '.join(fits)}\n"
    )


def transport_fits(solved):
    """(solver, exponent, least n, largest n) for each solver measured at two sizes or more.

    Formula: `exponent`. Returns a list of tuples.
    """
    found = []
    for name in dict.fromkeys(s.solver for s in solved):
        sizes, seconds = zip(*((s.n, s.seconds) for s in solved if s.solver == name), strict=True)
        if len(sizes) > 1:
            found.append((name, exponent(sizes, seconds), min(sizes), max(sizes)))
    return found
