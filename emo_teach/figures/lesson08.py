"""Pictures of lesson 08; each function returns (figure, alt text)."""

import numpy as np

from .. import pictures
from ..studies.summary import NAMES, mean_and_error

# group: title -> names of objectives in data/studies/scratch.csv; cross-entropy is drawn in each
GROUPS = {
    "EMO alone": ("emo, pretrained cost", "emo, ppmi cost", "emo, random cost", "accuracy"),
    "transforms of EMO": ("emo, pretrained cost", "-log(1 - x)", "x/(1 - x)", "atanh x"),
    "mixed with CE": ("ce + 1 emo", "ce + 10 emo", "emo-mode-1", "ce to emo"),
    "debiased": ("debiased, pretrained cost", "debiased, ppmi cost", "debiased, random cost", "ce + debiased"),
}
LONG = {
    "tv": "total variation from the truth",
    "pull_hopeless": "pull on a word with p < 0.001",
    "hopeless": "share of words with p < 0.001",
}


def _look(name, place):
    if "debiased" in name:
        colour = pictures.COLOURS["debiased"]
    elif name in GROUPS["transforms of EMO"][1:]:
        colour = pictures.COLOURS["family"]
    else:
        colour = pictures.COLOURS["emd"] if name.startswith("ce ") else pictures.look(name).colour
    return {"color": colour, "ls": ("-", "--", ":", "-.")[place], "marker": ("o", "s", "^", "D")[place]}


def _means(rows, name, metric):
    rows = [
        row for row in rows if row["objective"] == name and (metric != "pull_hopeless" or row["hopeless"] > 0)
    ]  # else there is nothing to pull
    steps = sorted({row["step"] for row in rows})
    found = [mean_and_error([row[metric] for row in rows if row["step"] == step]) for step in steps]
    return steps, *np.transpose(found)


def growth(rows, metric, scale="linear"):
    """A measure of a model while it learns from nothing: a panel for each group of objectives, cross-entropy in all.

    Formula: `studies.summary.mean_and_error` over seeds. Returns (figure, alt text). Raises KeyError for a metric
    without a name here, ValueError where rows are missing.
    """
    figure, said = pictures.new_figure(9.4, 5.9), []
    with pictures.rc_context(pictures.STYLE):
        for axes, (title, names) in zip(
            figure.subplots(2, 2, sharex=True, sharey=True).flat, GROUPS.items(), strict=True
        ):
            for place, name in enumerate(("ce", *names), start=-1):
                look = (
                    {"color": pictures.COLOURS["ce"], "ls": "-", "marker": ""} if name == "ce" else _look(name, place)
                )
                steps, mean, error = _means(rows, name, metric)
                axes.errorbar(
                    np.add(steps, 25),
                    mean,
                    error,
                    ms=3.5,
                    lw=1.7,
                    capsize=0,
                    label=name.upper() if name == "ce" else name,
                    **look,
                )
                said.append(f"{name} {mean[-1]:.2g}")
            axes.set(title=title, xscale="log", yscale=scale)
            axes.set_xticks([25, 50, 125, 425, 1525], ["0", "25", "100", "400", "1500"])
            axes.minorticks_off()
            if scale == "log":
                axes.set(ylim=(1e-6, 1e3), yticks=[1e-6, 1e-4, 1e-2, 1])
            axes.legend(fontsize=8.5, loc="upper right" if scale == "log" else "best", ncols=2 if scale == "log" else 1)
        for axes in figure.axes[2:]:
            axes.set_xlabel("step")
        figure.supylabel(LONG[metric], fontsize=10)
    return (
        figure,
        f"{LONG[metric]}, while models learn from random weights. At the end: {', '.join(dict.fromkeys(said))}.",
    )


def dose(rows, metrics=("tv", "forward_kl", "reverse_kl", "entropy")):
    """What more and more EMO beside cross-entropy does, at the last step; cross-entropy alone is the line.

    Formula: `studies.summary.mean_and_error` over seeds. Returns (figure, alt text). Raises ValueError where rows are
    missing.
    """
    end = max(row["step"] for row in rows)
    last = [row for row in rows if row["step"] == end]
    weights = [0.1, 0.3, 1, 3, 10, 30]
    figure, said = pictures.new_figure(9.4, 2.9), []
    with pictures.rc_context(pictures.STYLE):
        for axes, metric in zip(figure.subplots(1, len(metrics)), metrics, strict=True):
            found = [
                mean_and_error([row[metric] for row in last if row["objective"] == f"ce + {w:g} emo"]) for w in weights
            ]
            plain = np.mean([row[metric] for row in last if row["objective"] == "ce"])
            axes.axhline(plain, color=pictures.COLOURS["ce"], lw=1.6, label="CE alone")
            axes.errorbar(
                weights, *np.transpose(found), fmt="o-", color=pictures.COLOURS["emd"], ms=4, lw=1.6, label="CE + λ EMO"
            )
            axes.set(xscale="log", title=NAMES.get(metric, metric), xlabel="λ", ylim=(0, None))
            axes.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
            axes.minorticks_off()
            said.append(
                f"{NAMES.get(metric, metric)}: CE {plain:.2f}; "
                + ", ".join(f"λ {w:g} {m:.2f}" for w, (m, _) in zip(weights, found, strict=True))
            )
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9.5)
    return (
        figure,
        f"Distances from the truth after 1500 steps from random weights, against the weight of EMO. {'. '.join(said)}.",
    )
