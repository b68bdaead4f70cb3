"""Pictures of lesson 09; each function returns (figure, alt text, numbers)."""

import numpy as np

from ..pictures import COLOURS, drawing, look
from ..studies import lesson09_questions
from ..studies.lesson09_questions import SIZES, SYNONYMS, TEXTS, Cell, by_seed
from ..studies.summary import NAMES, interval, mean_and_error

VARIED = {  # what is varied: cells of the study, and their ticks
    "words in a class": ([Cell(synonyms=count) for count in SYNONYMS], SYNONYMS),
    "texts of domain B": ([Cell(texts=count) for count in TEXTS], TEXTS),
    "layers × width": ([Cell(layers=a, width=b) for a, b in SIZES], [f"{a}×{b}" for a, b in SIZES]),
}
LABELS = {
    "ce": "CE",
    "ce matched to emo-mode-1": "CE at EMO's entropy",
    "emo-mode-1": "EMO, mode 1",
    "emo-mode-1 shuffled": "EMO, shuffled head",
}
SOFT = ("ce", "bound", "emd", "sinkhorn", "sinkhorn-divergence", "debiased")  # losses for soft labels
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
    """The distance to the truth as one thing is varied; below, EMO's gain over cross-entropy at its entropy, 95 %."""
    title, rows_shown, apart = NAMES.get(metric, metric), [], []
    with drawing(9.4, 5.4) as figure:
        grid = figure.subplots(2, 3, sharey="row", sharex="col")
        for (name, (cells, ticks)), above, below in zip(VARIED.items(), *grid, strict=True):
            places, means = np.arange(len(cells)), []
            for objective, label in LABELS.items():
                found = [mean_and_error(by_seed(rows, cell, objective, metric)) for cell in cells]
                above.errorbar(places, *np.transpose(found), ms=4.5, lw=1.7, label=label, **look(objective).line)
                means.append([f"{mean:.2g}" for mean, _ in found])
            for shift, objective in ((-0.06, "emo-mode-1"), (0.06, "emo-mode-1 shuffled")):
                gains = lesson09_questions.gains(rows, cells, metric, objective)
                found, line = np.transpose([interval(column) for column in gains.T]), look(objective).line
                below.errorbar(places + shift, *found, ms=4.5, lw=1.7, capsize=3, **line)
                means.append([f"{mean:+.2g} ± {half:.1g}" for mean, half in found.T])
                apart += list(found.T) if shift < 0 else []
            rows_shown += [(f"{name}: {tick}", *line) for tick, *line in zip(ticks, *means, strict=True)]
            above.set_title(name)
            below.axhline(0, color=COLOURS["ce"], lw=1)
            below.set_xticks(places, ticks)
        grid[0, 0].set_ylabel(title)
        grid[0, 0].set_ylim(0, None)  # when all panels are drawn: they share it
        grid[1, 0].set_ylabel("gain over CE\nat the same entropy")
        figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=9.5)
    better, worse = (sum(sign * mean > half for mean, half in apart) for sign in (1, -1))
    seen = f"Against CE at the same entropy EMO gains in {better} of {len(apart)} settings, loses in {worse}"
    header = ("varied", *LABELS.values(), "gain of EMO", "gain with a shuffled head")
    return figure, f"{seen}, by more than the 95 % interval ({title}).", [header, *rows_shown]


def _shares(rows, cell, name):
    found = {place: by_seed(rows, cell, name, place) for place in PLACES if place != "elsewhere"}
    return found | {"elsewhere": 1 - sum(found.values())}


def mass(rows, cell):
    """Where an objective puts probability that cross-entropy at the same entropy does not, with 95 % intervals."""
    moved, places = {}, [text.replace("\n", " ") for text in PLACES.values()]
    with drawing(7.6, 3.1) as figure:
        axes = figure.subplots()
        for shift, name in ((-0.13, "emo-mode-1"), (0.13, "emo-mode-1 shuffled")):
            first, second = (_shares(rows, cell, which) for which in (name, lesson09_questions.MATCHED + name))
            found = [interval(first[place] - second[place]) for place in PLACES]
            marks = look(name).line | {"ls": "", "ms": 6, "capsize": 4, "lw": 1.7, "label": LABELS[name]}
            axes.errorbar(np.arange(len(PLACES)) + shift, *np.transpose(found), **marks)
            moved[LABELS[name]] = found
        axes.axhline(0, color=COLOURS["ce"], lw=1)
        axes.set_xticks(range(len(PLACES)), PLACES.values())
        axes.set(title="more probability than CE at the same entropy puts there")
        axes.tick_params(axis="x", length=0)
        axes.legend(fontsize=9.5, loc="best")
    short = dict(zip(PLACES, (mean for mean, _ in moved[LABELS["emo-mode-1"]]), strict=True))
    given = f"{short['on_near']:+.3f} to near words that are no synonyms, {short['on_synonyms']:+.3f} to synonyms"
    alt = f"Against CE at the same entropy EMO gives {given}, {short['on_target']:+.3f} to the word that came."
    shown = [
        (place, *(f"{mean:+.3f} ± {half:.3f}" for mean, half in each))
        for place, *each in zip(places, *moved.values(), strict=True)
    ]
    return figure, alt, [("more probability than CE", *moved), *shown]


def soft_training(rows, metrics=tuple(SOFT_NAMES)):
    """Six losses for soft labels while they train: a row for each kind of label, a panel for each measure."""
    kinds, steps = list(dict.fromkeys(row["labels"] for row in rows)), sorted({row["step"] for row in rows})
    ends = {}
    with drawing(9.6, 5.2) as figure:
        grid = figure.subplots(len(kinds), len(metrics), sharex=True, sharey="col")
        for kind, line in zip(kinds, grid, strict=True):
            for metric, axes in zip(metrics, line, strict=True):
                for name in SOFT:
                    some = [row for row in rows if (row["labels"], row["objective"]) == (kind, name)]
                    found = [mean_and_error([row[metric] for row in some if row["step"] == step]) for step in steps]
                    axes.errorbar(steps, *np.transpose(found), ms=3.8, lw=1.6, label=name, **look(name).line)
                    ends.setdefault((kind, name), []).append(found[-1][0])
            line[0].set_ylabel(f"{kind} labels")
        for metric, above, below in zip(metrics, *grid, strict=True):
            above.set_title(SOFT_NAMES[metric])
            above.set_ylim(0, None)
            below.set_xlabel("step")
        handles = grid[0, 0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=len(SOFT), fontsize=9.5)
    best = {kind: min(SOFT, key=lambda name, kind=kind: ends[kind, name][0]) for kind in kinds}
    least = ", ".join(f"{name} with {kind} labels ({ends[kind, name][0]:.2g})" for kind, name in best.items())
    shown = [(f"{kind} labels, {name}", *(f"{x:.2g}" for x in found)) for (kind, name), found in ends.items()]
    header = ("labels, loss", *(SOFT_NAMES[metric] for metric in metrics))
    return (
        figure,
        f"{SOFT_NAMES[metrics[0]]} at the end is least under {least}, of {len(SOFT)} losses.",
        [header, *shown],
    )
