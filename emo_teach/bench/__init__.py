"""What the losses cost: time and memory of a training step's last layer, and of exact transport, measured side by side in one run.

`methods` says what is compared and on which inputs, `timing` and `memory` measure it, `steps` and `emd` do the same for whole training steps and for
exact transport, `report` and `picture` show it. Only the first four need torch, and they are loaded when they are asked for.
"""

import importlib.util
import sys
from pathlib import Path

from ..files import write_whole
from . import report
from .rows import SIZES, Plan

PARTS = ("loss", "step", "emd")


def main(only=None, quick=False, csv=None, plot=None):
    """Measure, print the tables, and write the files asked for; returns the exit status.

    Raises ValueError, before anything is measured, for a file that cannot be written and for the loss part without
    torch.
    """
    csv, plot = report.writable("--csv", csv), report.writable("--plot", plot, report.PICTURES)
    if only != "emd" and importlib.util.find_spec("torch") is None:
        raise ValueError(
            "torch is not installed, and the losses need it; with --only emd exact transport is measured alone"
        )
    plan = Plan.quick() if quick else Plan()
    measured = report.Measured()
    if only in (None, "loss"):
        _losses(plan, measured)
    if only in (None, "step"):
        from . import steps

        found = steps.measure(steps.SIZES[:1] if quick else steps.SIZES, plan.repeats)
        print(steps.table(found) + "\n", flush=True)
    if only in (None, "emd"):
        from . import emd

        measured.transport = emd.measure(plan)
        print(report.transport_table(measured.transport), flush=True)
    if csv:
        write_whole(csv, report.csv_text(measured).encode())
    if plot:
        from . import picture

        write_whole(plot, picture.draw(measured, Path(plot).suffix.lstrip(".").lower()))
        print(f"picture: {picture.alt(measured)}")
    return 0


def _losses(plan, measured):
    """Measure and print the table of losses, then their growth."""
    from . import timing

    print(timing.machine(plan), flush=True)
    measured.losses, notes = timing.table(plan, _say)
    print("\n".join([report.loss_table(measured.losses), *notes, *report.comparisons(measured.losses), ""]), flush=True)
    if plan.growth:
        measured.growth = timing.growth(plan, _say)
        print(report.growth_table(measured.growth), flush=True)


def _say(text):
    """Progress goes to the error stream, so that the tables can be piped away."""
    print(text, file=sys.stderr, flush=True)


__all__ = ["PARTS", "SIZES", "main"]
