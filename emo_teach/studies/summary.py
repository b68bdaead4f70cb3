"""What five seeds allow to say: means with their standard errors, paired differences, and the table that shows both."""

import html

import numpy as np

from .. import inputs

BEST = {  # which way a metric is better; those that are neither, such as the entropy, are not in here
    "perplexity": -1, "forward_kl": -1, "reverse_kl": -1, "tv": -1, "js": -1, "emd_classes": -1, "emd_cosine": -1, "mauve": 1, "emo": -1,
}  # fmt: skip
T_95 = {
    2: 12.71,
    3: 4.30,
    4: 3.18,
    5: 2.78,
    6: 2.57,
    7: 2.45,
    8: 2.36,
    9: 2.31,
    10: 2.26,
}  # n: Student's t for n - 1 degrees of freedom
NAMES = {
    "perplexity": "perplexity", "forward_kl": "forward KL", "reverse_kl": "reverse KL", "tv": "TV", "js": "JS", "emd_classes": "EMD, true classes",
    "emd_cosine": "EMD, cosine", "mauve": "MAUVE", "entropy": "entropy", "oracle_perplexity": "oracle perplexity", "emo": "EMO",
    "on_synonyms": "on synonyms", "on_medoid": "on the medoid",
}  # fmt: skip


def mean_and_error(values):
    """Mean and its standard error.

    Formula: `s / sqrt(n)` with `s` the standard deviation that divides by n - 1. Returns two floats. Raises ValueError
    for fewer than two values, or one that is not finite. Source: Student (1908).

    >>> mean_and_error([1.0, 2.0, 3.0])
    (2.0, 0.5773502691896258)
    """
    values = inputs.finite("values", values, ndim=1)
    if len(values) < 2:
        raise ValueError(f"values has {len(values)} entry: a standard error takes two")
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5)


def interval(values):
    """Mean and half of its 95 % interval.

    Formula: `t s / sqrt(n)`, t Student's for n - 1 degrees of freedom. Returns two floats. Raises ValueError as
    `mean_and_error`, and for more than 10 values. Source: Student (1908).

    >>> [round(x, 3) for x in interval([1.0, 2.0, 3.0])]
    [2.0, 2.483]
    """
    mean, error = mean_and_error(values)
    if len(values) not in T_95:
        raise ValueError(f"values has {len(values)} entries: at most {max(T_95)} are in the table")
    return mean, T_95[len(values)] * error


def by_seed(rows, regime, objective, metric):
    """One number per seed, in the order of the seeds.

    Returns (n,). Raises ValueError where there is no such row.
    """
    return seeds_of(rows, {"regime": regime, "objective": objective}, metric)


def seeds_of(rows, wanted, metric):
    """One number per seed, in the order of the seeds, of the rows whose columns have the values wanted.

    Returns (n,). Raises ValueError where there is no such row.
    """
    found = {row["seed"]: row[metric] for row in rows if all(row[name] == value for name, value in wanted.items())}
    if not found:
        raise ValueError(
            f"no row of the table has {' and '.join(f'{name} {value!r}' for name, value in wanted.items())}"
        )
    return np.array([found[seed] for seed in sorted(found)])


def verdict(rows, regime, metric, first, second):
    """Is `first` better than `second`? Paired by seed, at 95 %: "better", "worse" or "cannot tell", with the mean difference and its error.

    Formula: the mean of `first - second` over the seeds beside its standard error times Student's t. Returns (word,
    mean, error). Raises ValueError for a metric without a better side, and where seeds differ or there are too few or
    too many. Source: Student (1908).
    """
    if metric not in BEST:
        raise ValueError(f"metric = {metric!r} is none of {', '.join(BEST)}: more is not better or worse")
    a, b = (by_seed(rows, regime, name, metric) for name in (first, second))
    if len(a) != len(b) or len(a) not in T_95:
        raise ValueError(
            f"{first} has {len(a)} seeds and {second} {len(b)}: they must be the same, and {min(T_95)} to {max(T_95)}"
        )
    (mean, error), (_, half) = mean_and_error(a - b), interval(a - b)
    if abs(mean) <= half:
        return "cannot tell", mean, error
    return ("better" if mean * BEST[metric] > 0 else "worse"), mean, error


def marks(rows, regimes, metrics, first, second):
    """Verdicts in short, one group per metric, one sign per regime: + better, - worse, ? cannot tell.

    Returns a list of strings, one for each metric. Raises ValueError as `verdict`.
    """
    sign = {"better": "+", "worse": "-", "cannot tell": "?"}
    return [" ".join(sign[verdict(rows, regime, metric, first, second)[0]] for regime in regimes) for metric in metrics]


class Table:
    """Mean ± standard error over seeds of each objective in one regime, as HTML; `repr` gives plain text.

    In bold stand the best of a column and all that cannot be told from it (`verdict`). Under each objective stands cross-entropy sampled at the
    temperature that gives it the same entropy.
    """

    def __init__(self, rows, regime, metrics):
        self.rows, self.regime, self.metrics = rows, regime, tuple(metrics)
        names = dict.fromkeys(row["objective"] for row in rows if row["regime"] == regime)
        plain = [name for name in names if not name.startswith("ce matched")]
        self.names = [each for name in plain for each in (name, f"ce matched to {name}") if each in names]
        self.cells = {
            name: [mean_and_error(by_seed(rows, regime, name, metric)) for metric in self.metrics]
            for name in self.names
        }
        errors = np.median([[error for _, error in cells] for cells in self.cells.values()], axis=0)
        self.digits = [
            max(0, int(np.ceil(-np.log10(error)))) for error in errors
        ]  # up to the first that the seeds leave uncertain

    def best(self, column):
        """Names of the best in a column and of those that cannot be told from it; nothing where no side is better."""
        metric = self.metrics[column]
        if metric not in BEST:
            return ()
        first = max(self.names, key=lambda name: BEST[metric] * self.cells[name][column][0])
        return [
            name
            for name in self.names
            if name == first or verdict(self.rows, self.regime, metric, name, first)[0] == "cannot tell"
        ]

    def _text(self, name, column):
        mean, error = self.cells[name][column]
        digits = self.digits[column]
        if 0 < error < 0.5 * 10**-digits:  # it would be printed as 0
            digits = -int(np.floor(np.log10(error)))
        return f"{mean:.{digits}f} ± {error:.{digits}f}"

    def _html_row(self, name, marked):
        matched = name.startswith("ce matched")
        label = "&emsp;CE at its entropy" if matched else html.escape(name)
        cells = []
        for k in range(len(self.metrics)):
            text = f"<b>{self._text(name, k)}</b>" if name in marked[k] else self._text(name, k)
            cells.append(f"<td style='text-align:right;white-space:nowrap'>{text}</td>")
        shade = " style='font-style:italic'" if matched else ""
        return f"<tr{shade}><th scope='row' style='text-align:left;font-weight:normal;white-space:nowrap'>{label}</th>{''.join(cells)}</tr>"

    def _repr_html_(self):
        marked = [self.best(k) for k in range(len(self.metrics))]
        arrows = {-1: " ↓", 1: " ↑"}
        heads = "".join(f"<th scope='col'>{NAMES.get(m, m)}{arrows.get(BEST.get(m), '')}</th>" for m in self.metrics)
        body = "".join(self._html_row(name, marked) for name in self.names)
        regime = html.escape(self.regime)
        caption = f"<caption style='text-align:left;font-weight:bold'>{regime}</caption>"
        table = f"<table style='font-size:12px'>{caption}<thead><tr><th scope='col'></th>{heads}</tr></thead><tbody>{body}</tbody></table>"
        # wider than a narrow window: it scrolls in a region of its own, which the keyboard reaches too
        return (
            f"<div role='region' aria-label='Objectives, {regime}' tabindex='0' style='overflow-x:auto'>{table}</div>"
        )

    def __repr__(self):
        lines = [f"{self.regime}: {', '.join(self.metrics)}"]
        return "\n".join(
            lines
            + [f"{name:36}" + "  ".join(self._text(name, k) for k in range(len(self.metrics))) for name in self.names]
        )
