"""The measurements as one picture: time and memory beside plain cross-entropy, growth, and exact transport."""

import io

from .. import pictures
from .report import transport_fits
from .rows import exponent

# Colour says the loss, as in the lessons; how a bar is filled and a line is broken says by whom it is computed.
STYLES = {
    "CE plain": ("ce", {"facecolor": "white"}, ":"),
    "CE fused": ("ce", {"facecolor": pictures.COLOURS["ce"]}, "-"),
    "EMO plain": ("emd", {"facecolor": "white"}, ":"),
    "EMO fused": ("emd", {"facecolor": pictures.COLOURS["emd"]}, "-"),
    "EMO fused, int8 cost": (
        "emd",
        {"facecolor": pictures.COLOURS["emd"], "hatch": "....", "edgecolor": "white"},
        "-.",
    ),
    "emoloss": ("emd", {"facecolor": "white", "hatch": "////"}, "--"),
}


def _style(method):
    return STYLES.get(method, STYLES["emoloss"])  # its label carries a version


def draw(measured, form):
    """The picture as the bytes of a file; its alt text is stored in the file's description.

    Returns bytes. Raises ValueError from matplotlib for another form.
    """
    heights = [4.0] * bool(measured.losses) + [4.6] * bool(measured.growth or measured.transport)
    figure = pictures.new_figure(11.5 if measured.losses else 6.5, sum(heights))
    buffer = io.BytesIO()
    with pictures.rc_context(pictures.STYLE):
        parts = iter(figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0])
        if measured.losses:
            _bars(next(parts), measured.losses)
        if measured.growth or measured.transport:
            _lines(next(parts), measured)
        figure.savefig(buffer, format=form, dpi=pictures.STATIC_DENSITY, metadata={"Description": alt(measured)})
    return buffer.getvalue()


def _bars(part, rows):
    cases = list(dict.fromkeys(row.case for row in rows))
    methods = list(dict.fromkeys(row.method for row in rows))
    names = [f"N={c.N}\nV={c.V}\nd={c.d}\n{c.targets}" for c in cases]
    panels = part.subplots(1, 2)
    for axes, quantity, title in zip(
        panels, ("ratio_to_ce", "peak_ratio_to_ce"), ("Time", "Peak extra memory"), strict=True
    ):
        width = 0.84 / len(methods)
        for k, method in enumerate(methods):
            colour, fill, _ = _style(method)
            found = {row.case: getattr(row, quantity) for row in rows if row.method == method}
            heights = [(j, found[case]) for j, case in enumerate(cases) if found.get(case) is not None]
            x, y = [j + (k - (len(methods) - 1) / 2) * width for j, _ in heights], [height for _, height in heights]
            axes.bar(x, y, width * 0.9, label=method, **{"edgecolor": pictures.COLOURS[colour]} | fill)
        axes.axhline(1, color=pictures.COLOURS["cost"], lw=0.8, zorder=0)
        axes.set_xticks(range(len(cases)), names, fontsize=8)
        axes.set_title(f"{title}, as a multiple of plain cross-entropy's")
        axes.set_ylabel("ratio (no unit)")
    part.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(methods))


def _lines(part, measured):
    panels = part.subplots(1, len(measured.growth) + bool(measured.transport), squeeze=False)[0]
    for axes, (axis, rows) in zip(panels, measured.growth.items(), strict=False):
        for method in dict.fromkeys(row.method for row in rows):
            sizes, seconds = zip(
                *((getattr(row.case, axis), row.seconds) for row in rows if row.method == method), strict=True
            )
            colour, _, line = _style(method)
            axes.plot(
                sizes,
                seconds,
                line,
                marker="o",
                ms=3,
                color=pictures.COLOURS[colour],
                label=f"{method}: {exponent(sizes, seconds):.2f}",
            )
        _finish(axes, f"Growth in {axis}", axis, sizes)
    if measured.transport:
        _transport(panels[-1], measured.transport)


def _transport(axes, solved):
    fits = {name: fit for name, fit, *_ in transport_fits(solved)}
    for name, line in (("POT", "-"), ("HiGHS", "--")):
        points = [(s.n, s.seconds) for s in solved if s.solver == name]
        if points:
            sizes, seconds = zip(*points, strict=True)
            label = f"{name}: {fits[name]:.2f}" if name in fits else name
            axes.plot(sizes, seconds, line, marker="o", ms=3, color=pictures.COLOURS["emd"], label=label)
    _finish(axes, "Exact EMD", "points n", sorted({s.n for s in solved}))


def _finish(axes, title, label, sizes):
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(sizes, [str(size) for size in sizes], fontsize=8, rotation=45)
    axes.minorticks_off()
    axes.set_title(title)
    axes.set_xlabel(label)
    axes.set_ylabel("seconds")
    axes.legend(title="exponent", fontsize=8, title_fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.24))


def alt(measured):
    """What the picture shows, in words, with its numbers."""
    said = []
    for case in dict.fromkeys(row.case for row in measured.losses):
        each = [
            f"{row.method} {_times(row.ratio_to_ce)} ({_times(row.peak_ratio_to_ce)})"
            for row in measured.losses
            if row.case == case
        ]
        said.append(
            f"Time (and peak memory) relative to plain cross-entropy at N={case.N}, V={case.V}, d={case.d}, {case.targets}: {', '.join(each)}."
        )
    for axis, rows in measured.growth.items():
        fits = []
        for method in dict.fromkeys(row.method for row in rows):
            sizes, seconds = zip(
                *((getattr(row.case, axis), row.seconds) for row in rows if row.method == method), strict=True
            )
            fits.append(f"{method} {exponent(sizes, seconds):.2f}")
        said.append(f"Time grows with {axis} by the exponents {', '.join(fits)}.")
    fits = [f"{name} {fit:.2f}" for name, fit, *_ in transport_fits(measured.transport)]
    return " ".join(
        said + ([f"Exact transport grows with its points by the exponents {', '.join(fits)}."] if fits else [])
    )


def _times(ratio):
    return "unknown" if ratio is None else f"{ratio:.2f}"
