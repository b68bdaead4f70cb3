"""Pictures of lesson 09; each function returns (figure, alt text)."""

import numpy as np

from .. import pictures
from ..studies import lesson09_questions
from ..studies.summary import NAMES, interval, mean_and_error

VARIED = {
    "words in a class": (
        [lesson09_questions.Cell(synonyms=k) for k in lesson09_questions.SYNONYMS],
        lesson09_questions.SYNONYMS,
    ),
    "texts of domain B": (
        [lesson09_questions.Cell(texts=k) for k in lesson09_questions.TEXTS],
        lesson09_questions.TEXTS,
    ),
    "layers × width": (
        [lesson09_questions.Cell(layers=a, width=b) for a, b in lesson09_questions.SIZES],
        [f"{a}×{b}" for a, b in lesson09_questions.SIZES],
    ),
}
LOOKS = {  # objective: (label, colour, line, marker)
    "ce": ("CE", pictures.COLOURS["ce"], "-", "o"),
    "ce matched to emo-mode-1": ("CE at EMO's entropy", pictures.COLOURS["ce"], ":", "o"),
    "emo-mode-1": ("EMO, mode 1", pictures.COLOURS["emd"], "-", "s"),
    "emo-mode-1 shuffled": ("EMO, shuffled head", pictures.COLOURS["cost"], "--", "d"),
}
SOFT = {  # loss: (colour, line, marker)
    "ce": (pictures.COLOURS["ce"], "-", "o"),
    "bound": (pictures.COLOURS["emd"], ":", "v"),
    "emd": (pictures.COLOURS["emd"], "-", "s"),
    "sinkhorn": (pictures.COLOURS["plan"], ":", "^"),
    "sinkhorn-divergence": (pictures.COLOURS["plan"], "-", "D"),
    "debiased": (pictures.COLOURS["debiased"], "-", "<"),
}
SOFT_NAMES = {
    "tv": "TV from the truth",
    "emd_cosine": "EMD, cosine cost",
    "entropy": "entropy, nats",
    "on_medoid": "probability of the medoid",
}
PLACES = {
    "on_target": "the word\nthat came",
    "on_synonyms": "its true\nsynonyms",
    "on_near": "near by the head,\nno synonyms",
    "elsewhere": "elsewhere",
}


def varied(rows, metric="emd_classes"):
    """Above, the distance to the truth as one thing is varied; below, EMO's gain over cross-entropy at its entropy, with 95 % intervals.

    Formula: `studies.summary`. Returns (figure, alt text). Raises ValueError where rows are missing.
    """
    figure, said = pictures.new_figure(9.4, 5.4), []
    with pictures.rc_context(pictures.STYLE):
        grid = figure.subplots(2, 3, sharey="row", sharex="col")
        for (title, (cells, ticks)), above, below in zip(VARIED.items(), *grid, strict=True):
            places = np.arange(len(cells))
            for name, (label, colour, line, marker) in LOOKS.items():
                found = [mean_and_error(lesson09_questions.by_seed(rows, cell, name, metric)) for cell in cells]
                above.errorbar(
                    places, *np.transpose(found), color=colour, ls=line, marker=marker, ms=4.5, lw=1.7, label=label
                )
                said.append(f"{title}, {label}: " + ", ".join(f"{mean:.2g}" for mean, _ in found))
            for shift, name in ((-0.06, "emo-mode-1"), (0.06, "emo-mode-1 shuffled")):
                found = [interval(column) for column in lesson09_questions.gains(rows, cells, metric, name).T]
                _, colour, line, marker = LOOKS[name]
                below.errorbar(
                    places + shift,
                    *np.transpose(found),
                    color=colour,
                    ls=line,
                    marker=marker,
                    ms=4.5,
                    lw=1.7,
                    capsize=3,
                )
            above.set_title(title)
            below.axhline(0, color=pictures.COLOURS["ce"], lw=1)
            below.set_xticks(places, ticks)
        grid[0, 0].set_ylabel(NAMES.get(metric, metric))
        grid[0, 0].set_ylim(0, None)  # when all panels are drawn: they share it
        grid[1, 0].set_ylabel("gain over CE\nat the same entropy")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9.5)
    return figure, f"{NAMES.get(metric, metric)} to the truth, and gains. {'. '.join(said)}."


def _shares(rows, cell, name):
    found = {place: lesson09_questions.by_seed(rows, cell, name, place) for place in PLACES if place != "elsewhere"}
    return found | {"elsewhere": 1 - sum(found.values())}


def mass(rows, cell):
    """Where an objective puts probability that cross-entropy at the same entropy does not: differences with 95 % intervals.

    Formula: `studies.summary.interval`. Returns (figure, alt text). Raises ValueError where rows are missing.
    """
    figure, said = pictures.new_figure(7.6, 3.1), []
    with pictures.rc_context(pictures.STYLE):
        axes = figure.subplots()
        for shift, name in ((-0.13, "emo-mode-1"), (0.13, "emo-mode-1 shuffled")):
            first, second = _shares(rows, cell, name), _shares(rows, cell, lesson09_questions.MATCHED + name)
            found = [interval(first[place] - second[place]) for place in PLACES]
            label, colour, _, marker = LOOKS[name]
            axes.errorbar(
                np.arange(len(PLACES)) + shift,
                *np.transpose(found),
                color=colour,
                ls="",
                marker=marker,
                ms=6,
                capsize=4,
                lw=1.7,
                label=label,
            )
            said.append(
                f"{label}: "
                + ", ".join(
                    f"{text.replace(chr(10), ' ')} {m:+.3f}"
                    for text, (m, _) in zip(PLACES.values(), found, strict=True)
                )
            )
        axes.axhline(0, color=pictures.COLOURS["ce"], lw=1)
        axes.set_xticks(range(len(PLACES)), PLACES.values())
        axes.set(title="more probability than CE at the same entropy puts there")
        axes.tick_params(axis="x", length=0)
        axes.legend(fontsize=9.5, loc="best")
    return figure, f"Probability beyond that of cross-entropy at the same entropy. {'; '.join(said)}."


def soft_training(rows, metrics=tuple(SOFT_NAMES)):
    """Six losses for soft labels while they train: a row for each kind of label, a panel for each measure.

    Formula: `studies.summary.mean_and_error` over seeds. Returns (figure, alt text). Raises ValueError where rows are
    missing.
    """
    kinds, steps = list(dict.fromkeys(row["labels"] for row in rows)), sorted({row["step"] for row in rows})
    figure, said = pictures.new_figure(9.6, 5.2), []
    with pictures.rc_context(pictures.STYLE):
        grid = figure.subplots(len(kinds), len(metrics), sharex=True, sharey="col")
        for kind, line in zip(kinds, grid, strict=True):
            for metric, axes in zip(metrics, line, strict=True):
                for name, (colour, dash, marker) in SOFT.items():
                    some = [row for row in rows if (row["labels"], row["objective"]) == (kind, name)]
                    found = [mean_and_error([row[metric] for row in some if row["step"] == step]) for step in steps]
                    axes.errorbar(
                        steps, *np.transpose(found), color=colour, ls=dash, marker=marker, ms=3.8, lw=1.6, label=name
                    )
                    said.append(f"{kind}, {SOFT_NAMES[metric]}, {name} {found[-1][0]:.2g}")
            line[0].set_ylabel(f"{kind} labels")
        for metric, above, below in zip(metrics, *grid, strict=True):
            above.set_title(SOFT_NAMES[metric])
            above.set_ylim(0, None)
            below.set_xlabel("step")
        figure.legend(
            *grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=len(SOFT), fontsize=9.5
        )
    return figure, f"Measures against the truth while training with soft labels. At the end: {'; '.join(said)}."
