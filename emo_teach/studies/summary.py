"""What five seeds allow to say: means with their standard errors, paired differences, and the table that shows both."""

import html
from dataclasses import asdict, is_dataclass

import numpy as np

from .. import inputs
from .common import MATCHED, METRICS

NAMES = {name: metric.label for name, metric in METRICS.items()}
BEST = {name: metric.better for name, metric in METRICS.items() if metric.better}  # -1: lower is better, 1: higher


def mean_and_error(values):
    """Mean and its standard error, `s / sqrt(n)` with `s` the standard deviation that divides by n - 1.

    >>> mean_and_error([1.0, 2.0, 3.0])
    (2.0, 0.5773502691896258)
    """
    values = inputs.finite("values", values, ndim=1)
    if len(values) < 2:
        raise ValueError(f"values has {len(values)} entry: a standard error takes two")
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


def interval(values):
    """Mean and half of its 95 % interval: the standard error times Student's t for n - 1 degrees of freedom (1908).

    >>> [round(x, 3) for x in interval([1.0, 2.0, 3.0])]
    [2.0, 2.484]
    """
    from scipy.stats import t

    mean, error = mean_and_error(values)
    return mean, float(t.ppf(0.975, len(values) - 1)) * error


def by_seed(rows, regime, objective, metric):
    """One number per seed (n,), in the order of the seeds, of one objective in one regime.

    `regime` is its name, or a dataclass with the columns that describe it.
    """
    wanted = (asdict(regime) if is_dataclass(regime) else {"regime": regime}) | {"objective": objective}
    found = {row["seed"]: row[metric] for row in rows if all(row[name] == value for name, value in wanted.items())}
    if not found:
        wanted = " and ".join(f"{name} {value!r}" for name, value in wanted.items())
        raise ValueError(f"no row of the table has {wanted}")
    return np.array([found[seed] for seed in sorted(found)])


def verdict(rows, regime, metric, first, second):
    """Is `first` "better" or "worse" than `second`, or is it "cannot tell"? Paired by seed, at 95 %.

    Returns (word, mean of `first - second`, its standard error).
    """
    if metric not in BEST:
        raise ValueError(f"metric = {metric!r} is none of {', '.join(BEST)}: more is not better or worse")
    a, b = (by_seed(rows, regime, name, metric) for name in (first, second))
    if len(a) != len(b) or len(a) < 2:
        raise ValueError(f"{first} has {len(a)} seeds and {second} {len(b)}: both need the same seeds, at least two")
    (mean, error), (_, half) = mean_and_error(a - b), interval(a - b)
    if abs(mean) <= half:
        return "cannot tell", mean, error
    return ("better" if mean * BEST[metric] > 0 else "worse"), mean, error


def marks(rows, regimes, metrics, first, second):
    """Verdicts in short, a string for each metric, a sign for each regime: + better, - worse, ? cannot tell."""
    sign = {"better": "+", "worse": "-", "cannot tell": "?"}
    return [" ".join(sign[verdict(rows, regime, metric, first, second)[0]] for regime in regimes) for metric in metrics]


def _shown(mean, error, digits):
    if 0 < error < 0.5 * 10**-digits:  # it would be printed as 0
        digits = -int(np.floor(np.log10(error)))
    return f"{mean:.{digits}f} ± {error:.{digits}f}"


class Table:
    """Mean ± standard error over seeds of each objective in one regime, as HTML; `repr` gives plain text.

    Bold are the best of a column and all that cannot be told from it (`verdict`). Under each objective stands
    cross-entropy sampled at the temperature that gives it the same entropy.
    """

    def __init__(self, rows, regime, metrics):
        self.rows, self.regime, self.metrics = rows, regime, tuple(metrics)
        names = dict.fromkeys(row["objective"] for row in rows if row["regime"] == regime)
        plain = [name for name in names if not name.startswith(MATCHED)]
        self.names = [each for name in plain for each in (name, MATCHED + name) if each in names]
        cells = [[mean_and_error(by_seed(rows, regime, name, metric)) for metric in metrics] for name in self.names]
        self.means, errors = np.moveaxis(np.array(cells), -1, 0)  # (objectives, metrics) each
        # up to the first digit that the seeds leave uncertain
        digits = [max(0, int(np.ceil(-np.log10(error)))) for error in np.median(errors, axis=0)]
        self.texts = [list(map(_shown, *row, digits)) for row in zip(self.means, errors, strict=True)]

    def best(self, column):
        """Names of the best in a column and of those that cannot be told from it; nothing if no side is better."""
        metric = self.metrics[column]
        if metric not in BEST:
            return ()
        first = self.names[np.argmax(BEST[metric] * self.means[:, column])]
        rivals = [name for name in self.names if name != first]
        ties = [each for each in rivals if verdict(self.rows, self.regime, metric, each, first)[0] == "cannot tell"]
        return [first, *ties]

    def _repr_html_(self):
        marked, body, arrows = [self.best(k) for k in range(len(self.metrics))], "", {-1: " ↓", 1: " ↑"}
        heads = "".join(f"<th scope='col'>{NAMES.get(m, m)}{arrows.get(BEST.get(m), '')}</th>" for m in self.metrics)
        left = "text-align:left;font-weight:normal;white-space:nowrap"
        for name, texts in zip(self.names, self.texts, strict=True):
            label, shade = html.escape(name), ""
            if name.startswith(MATCHED):
                label, shade = "&emsp;CE at its entropy", " style='font-style:italic'"
            body += f"<tr{shade}><th scope='row' style='{left}'>{label}</th>"
            for text, best in zip(texts, marked, strict=True):
                text = f"<b>{text}</b>" if name in best else text
                body += f"<td style='text-align:right;white-space:nowrap'>{text}</td>"
            body += "</tr>"
        regime = html.escape(self.regime)
        caption = f"<caption style='text-align:left;font-weight:bold'>{regime}</caption>"
        # wider than a narrow window: it scrolls in a region of its own, which the keyboard reaches too
        return (
            f"<div role='region' aria-label='Objectives, {regime}' tabindex='0' style='overflow-x:auto'>"
            f"<table style='font-size:12px'>{caption}<thead><tr><th scope='col'>objective</th>{heads}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>"
        )

    def __repr__(self):
        lines = [f"{name:36}" + "  ".join(texts) for name, texts in zip(self.names, self.texts, strict=True)]
        return "\n".join([f"{self.regime}: {', '.join(self.metrics)}", *lines])
