"""Pictures of lesson 08; each function returns (figure, alt text, numbers)."""

import numpy as np

from ..pictures import COLOURS, drawing, look
from ..studies.summary import NAMES, mean_and_error

# group: title -> names of objectives in data/studies/scratch.csv; cross-entropy is drawn in each
GROUPS = {
    "EMO alone": ("emo, pretrained cost", "emo, ppmi cost", "emo, random cost", "accuracy"),
    "transforms of EMO": ("emo, pretrained cost", "-log(1 - x)", "x/(1 - x)", "atanh x"),
    "mixed with CE": ("ce + 1 emo", "ce + 10 emo", "emo-mode-1", "ce to emo"),
    "debiased": ("debiased, pretrained cost", "debiased, ppmi cost", "debiased, random cost", "ce + debiased"),
}
TITLES = {
    "tv": "total variation from the truth",
    "pull_hopeless": "pull on a word with p < 0.001",
    "hopeless": "share of words with p < 0.001",
}


def _line(name, names):
    """The objective's look; variants of one objective in the same panel differ in their dashes."""
    variant = [other for other in names if look(other) == look(name)].index(name)
    return look(name).line | ({"ls": ("--", "-.")[variant - 1]} if variant else {})


def _means(rows, name, metric):
    """Steps, means and standard errors; there is no pull on hopeless words where there are none."""
    rows = [row for row in rows if row["objective"] == name and (metric != "pull_hopeless" or row["hopeless"] > 0)]
    steps = sorted({row["step"] for row in rows})
    found = [mean_and_error([row[metric] for row in rows if row["step"] == step]) for step in steps]
    return steps, *np.transpose(found)


def growth(rows, metric, scale="linear"):
    """A measure of models that learn from nothing: a panel for each group of objectives, cross-entropy in all."""
    found, log = {}, scale == "log"
    with drawing(9.4, 5.9) as figure:
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, (title, names) in zip(panels.flat, GROUPS.items(), strict=True):
            for name in ("ce", *names):
                line = {"label": "CE"} | look("ce").curve if name == "ce" else {"label": name} | _line(name, names)
                steps, mean, error = found[name] = _means(rows, name, metric)
                axes.errorbar(np.add(steps, 25), mean, error, ms=3.5, lw=1.7, capsize=0, **line)
            axes.set(title=title, xscale="log", yscale=scale)
            axes.set_xticks([25, 50, 125, 425, 1525], ["0", "25", "100", "400", "1500"])
            axes.minorticks_off()
            if log:
                axes.set(ylim=(1e-6, 1e3), yticks=[1e-6, 1e-4, 1e-2, 1])
            axes.legend(fontsize=8.5, loc="upper right" if log else "best", ncols=2 if log else 1)
        for axes in figure.axes[2:]:
            axes.set_xlabel("step")
        figure.supylabel(TITLES[metric], fontsize=10)
    ends = {name: mean[-1] for name, (_, mean, _) in found.items()}
    low, high = min(ends, key=ends.get), max(ends, key=ends.get)
    when = (0, 25, 100, 400, int(max(max(steps) for steps, *_ in found.values())))
    table = {name: dict(zip(steps, mean, strict=True)) for name, (steps, mean, _) in found.items()}
    shown = [(name, *(f"{means[k]:.2g}" if k in means else "" for k in when)) for name, means in table.items()]
    measured = f"{TITLES[metric]} at step {when[-1]}".capitalize()
    extremes = f"least {low} {ends[low]:.2g}, most {high} {ends[high]:.2g}"
    return (
        figure,
        f"{measured}: CE {ends['ce']:.2g}, {extremes}.",
        [("objective", *(f"step {k}" for k in when)), *shown],
    )


def dose(rows, metrics=("tv", "forward_kl", "reverse_kl", "entropy")):
    """What more and more EMO beside cross-entropy does, at the last step; cross-entropy alone is the line."""
    end, weights, means = max(row["step"] for row in rows), [0.1, 0.3, 1, 3, 10, 30], {}

    def values(objective, metric):
        return [row[metric] for row in rows if row["step"] == end and row["objective"] == objective]

    with drawing(9.4, 2.9) as figure:
        for axes, metric in zip(figure.subplots(1, len(metrics)), metrics, strict=True):
            title, plain = NAMES.get(metric, metric), np.mean(values("ce", metric))
            found = [mean_and_error(values(f"ce + {weight:g} emo", metric)) for weight in weights]
            axes.axhline(plain, color=COLOURS["ce"], lw=1.6, label="CE alone")
            axes.errorbar(weights, *np.transpose(found), ms=4, lw=1.6, label="CE + λ EMO", **look("ce+emo").line)
            axes.set(xscale="log", title=title, xlabel="λ", ylim=(0, None))
            axes.set_xticks([0.1, 1, 10], ["0.1", "1", "10"])
            axes.minorticks_off()
            means[title] = [plain, *(mean for mean, _ in found)]
        figure.legend(*figure.axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, fontsize=9.5)
    title, (plain, *_, last) = next(iter(means.items()))
    seen = f"EMO beside CE, its weight λ up to {weights[-1]:g}: {title} goes from {plain:.3f} without EMO"
    rows = [(f"{weight:g}", *(f"{each[k]:.2f}" for each in means.values())) for k, weight in enumerate((0, *weights))]
    return figure, f"{seen} to {last:.3f} at the most.", [("λ", *means), *rows]
