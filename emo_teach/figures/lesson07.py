"""Pictures of lesson 07; each function returns (figure, alt text, numbers)."""

import numpy as np
from matplotlib.ticker import LogLocator

from ..pictures import COLOURS, drawing, look
from ..studies.summary import NAMES, by_seed, mean_and_error

UNITS = {"forward_kl": ", nats", "reverse_kl": ", nats", "emd_classes": "", "entropy": ", nats"}
MEASURES = {metric: NAMES[metric] + unit for metric, unit in UNITS.items()}


def head_cosines(heads, classes):
    """Cosines (A8) between near-synonyms and between all other words, one panel for each head."""
    means, bins = {}, np.linspace(-0.6, 1, 49)
    above = np.triu(np.ones((len(classes),) * 2, dtype=bool), 1)
    same = (classes[:, None] == classes) & above
    with drawing(9.0, 2.9) as figure:
        for axes, (name, unit) in zip(figure.subplots(1, len(heads), sharey=True), heads.items(), strict=True):
            cosine = unit @ unit.T
            kinds = (cosine[above & ~same], "other words", "cost"), (cosine[same], "near-synonyms", "synonyms")
            for values, label, role in kinds:
                shares = np.full(values.size, 1 / values.size)
                axes.hist(values, bins, weights=shares, color=COLOURS[role], alpha=0.8, label=label)
            axes.set(title=name, xlabel="cosine of two rows of the head")
            means[name] = [values.mean() for values, *_ in reversed(kinds)]
        figure.axes[0].set_ylabel("share of pairs")
        figure.axes[0].legend(fontsize=9, loc="upper left")
    rows = [(name, *(f"{mean:.2f}" for mean in pair)) for name, pair in means.items()]
    each = "; ".join(f"{name}: {near} against {others}" for name, near, others in rows)
    header = ("head", "mean cosine of near-synonyms", "of other words")
    return figure, f"Mean cosine of near-synonyms against that of other words. {each}.", [header, *rows]


def against_truth(tracks, entropy):
    """What a run does to the distance from the truth: a panel for each measure, a curve for each objective."""
    with drawing(9.4, 3.0) as figure:
        for axes, (measure, title) in zip(figure.subplots(1, len(MEASURES)), MEASURES.items(), strict=True):
            for name, entries in tracks.items():
                line = look(name).line | {"ms": 4.5, "mec": "white", "mew": 0.4, "lw": 1.8}
                steps, values = zip(*((entry["step"], entry[measure]) for entry in entries), strict=True)
                axes.plot(steps, values, label=name, **line)
            axes.set(title=title, xlabel="step")
            if measure == "entropy":
                axes.axhline(entropy, color=COLOURS["tau"], lw=2.4, zorder=0)
            else:
                axes.set_ylim(0, None)
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(tracks), fontsize=9.5)
    ends = {name: entries[-1]["entropy"] for name, entries in tracks.items()}
    low, high = min(ends, key=ends.get), max(ends, key=ends.get)
    seen = f"The truth's entropy is {entropy:.2f}; in training {low} comes to {ends[low]:.2f}"
    alt = f"{seen}, the sharpest" + (f", {high} to {ends[high]:.2f}." if high != low else ".")
    rows = [("the truth", *("0.00" if measure != "entropy" else f"{entropy:.2f}" for measure in MEASURES))]
    for name, entries in tracks.items():
        for when, entry in (("start", entries[0]), ("end", entries[-1])):
            rows.append((f"{name}, {when}", *(f"{entry[measure]:.2f}" for measure in MEASURES)))
    return figure, alt, [("model", *MEASURES.values()), *rows]


def study(rows, metrics):
    """The long comparison: a row of panels for each regime, a panel for each metric, a line for each objective.

    Filled marks are the objectives, hollow ones cross-entropy at the temperature of the same entropy; bars are standard
    errors over the seeds.
    """
    regimes = list(dict.fromkeys(row["regime"] for row in rows))
    names = [name for name in dict.fromkeys(row["objective"] for row in rows) if not name.startswith("ce matched")]
    values = {}
    with drawing(9.6, 2.75 * len(regimes) + 0.5) as figure:
        grid = figure.subplots(len(regimes), len(metrics), sharey=True, sharex="col", squeeze=False)
        for regime, line in zip(regimes, grid, strict=True):
            found = [_panel(axes, rows, regime, metric, names) for metric, axes in zip(metrics, line, strict=True)]
            values |= {(regime, name): [panel[name] for panel in found] for name in names}
            line[0].set(ylabel=regime, yticks=range(len(names)), yticklabels=names)
            line[0].set_ylim(len(names) - 0.4, -0.6)
        for metric, axes in zip(metrics, grid[0], strict=True):
            axes.set_title(NAMES.get(metric, metric))
        handles = [_mark(grid[0, 0], [], [], None, COLOURS["ce"], hollow) for hollow in (False, True)]
        labels = ["objective", "CE at the same entropy"]
        figure.legend(handles, labels, loc="outside lower center", ncols=2, fontsize=9.5)
    sharper = [(mean, matched) for found in values.values() for mean, matched in found[:1] if matched is not None]
    worse = sum(mean > matched for mean, matched in sharper)
    seen = f"the mean {NAMES.get(metrics[0], metrics[0])} is above that in {worse} of {len(sharper)} cases"
    shown = [
        (f"{regime}, {name}", *(f"{mean:.2g}" + ("" if at is None else f" ({at:.2g})") for mean, at in found))
        for (regime, name), found in values.items()
    ]
    header = ("regime, objective (CE at its entropy)", *(NAMES.get(metric, metric) for metric in metrics))
    alt = f"{len(names)} objectives, {len(regimes)} regimes, against CE cooled to the same entropy: {seen}."
    return figure, alt, [header, *shown]


def _panel(axes, rows, regime, metric, names):
    """One metric in one regime; returns by objective its mean, and CE's at the same entropy or None."""
    found = {}
    for place, name in enumerate(names):
        mean, error = mean_and_error(by_seed(rows, regime, name, metric))
        _mark(axes, [mean], [place - 0.13], [error], look(name).colour, False)
        found[name] = mean, None
        if name == "ce":
            axes.axvline(mean, color=COLOURS["rule"], lw=1.2, zorder=0)
        elif any(row["objective"] == f"ce matched to {name}" for row in rows):
            matched, error = mean_and_error(by_seed(rows, regime, f"ce matched to {name}", metric))
            _mark(axes, [matched], [place + 0.2], [error], COLOURS["ce"], True)
            found[name] = mean, matched
    if metric != "mauve":
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.minorticks_off()
    axes.grid(axis="y", color=COLOURS["grid"], lw=0.8, zorder=-1)
    axes.tick_params(axis="y", length=0)
    return found


def _mark(axes, x, y, error, colour, hollow):
    look = {"color": colour, "mfc": "white" if hollow else colour, "mew": 1.1, "ms": 4.5}
    return axes.errorbar(x, y, xerr=error, fmt="o", elinewidth=1.2, capsize=0, **look)
