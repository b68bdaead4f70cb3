"""What is measured, and the form that a measurement has; plain data, without torch."""

from dataclasses import dataclass, replace
from typing import NamedTuple


class Case(NamedTuple):
    """One input: N tokens, a vocabulary of V, hidden states of d numbers, and how the targets are drawn ("uniform" or "Zipf")."""

    N: int
    V: int
    d: int
    targets: str = "uniform"


SIZES = (
    Case(512, 50257, 768),
    Case(2048, 50257, 768),
    Case(512, 49152, 576),
)  # GPT-2's vocabulary and width; SmolLM2-135M's
TARGETS = ("uniform", "Zipf")
BASE = Case(512, 4096, 384)  # growth is measured around it, one size at a time
GROWTH = {"N": (256, 512, 1024, 2048), "V": (2048, 4096, 8192, 16384), "d": (96, 192, 384, 768)}


@dataclass(frozen=True)
class Plan:
    """Sizes and repeats of one run; `growth` is empty where growth is left out."""

    sizes: tuple = SIZES
    targets: tuple = TARGETS
    repeats: int = 5
    base: Case = BASE
    growth: tuple = tuple(GROWTH.items())
    points: tuple = (64, 128, 256, 512, 1024, 2048)  # sizes of the exact problems
    most_points: int = 512  # up to which the general linear program is solved too
    probe: int = 2048  # side of the matrix product from which the machine's speed is read

    @classmethod
    def quick(cls):
        """The first size alone, with 3 repeats, and without growth."""
        return cls(sizes=SIZES[:1], repeats=3, growth=(), points=(64, 128, 256, 512), most_points=256)

    def cases(self):
        """Every size with every way to draw targets."""
        return [size._replace(targets=targets) for size in self.sizes for targets in self.targets]

    def growth_cases(self):
        """Axis -> its cases, around the base."""
        return {axis: [self.base._replace(**{axis: size}) for size in sizes] for axis, sizes in self.growth}


@dataclass(frozen=True)
class Row:
    """One method on one case. `products` counts products of N x V x d; `limit` is the time they would take at the speed of a large square product.

    Seconds; MiB; None where a number could not be had. The ratios are to plain cross-entropy on the same case.
    """

    method: str
    case: Case
    device: str
    seconds: float
    products: float | None = None
    limit: float | None = None
    peak_mib: float | None = None
    ratio_to_ce: float | None = None
    peak_ratio_to_ce: float | None = None


def with_ratios(rows, reference="CE plain"):
    """The rows of one case, with their ratios to the reference's row filled in.

    Formula: seconds / seconds of the reference, and the same for peaks. Returns one; ratios stay None without a
    reference.
    """
    base = next((row for row in rows if row.method == reference), None)
    if base is None:
        return rows
    return [
        replace(row, ratio_to_ce=row.seconds / base.seconds, peak_ratio_to_ce=_ratio(row.peak_mib, base.peak_mib))
        for row in rows
    ]


def _ratio(a, b):
    return a / b if a is not None and b else None


def exponent(sizes, values):
    """Exponent k of the power law `value ~ size ** k` that fits best.

    Formula: least squares of log value on log size. Raises numpy's LinAlgError or TypeError for fewer than 2 points or
    lengths that disagree.

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 9)
    2.0
    """
    import numpy as np

    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])
