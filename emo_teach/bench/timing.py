"""Times: every method on the same fresh batch, round after round, so that a slow spell of the machine hits all of them."""

import statistics
import time

import torch

from . import memory, methods
from .rows import Row, with_ratios

PROBE = "one large product"
WARM_UP = 64  # tokens of the round that is not counted; on CUDA it is a whole batch, since memory of the right sizes is kept from it


def machine(plan):
    """One line that says on what it is measured."""
    device = methods.device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    threads = torch.get_num_threads()
    return (
        f"device: {device.type} ({name}); {threads} thread{'s' if threads != 1 else ''}; torch {torch.__version__}; float32; "
        f"median of {plan.repeats} repeats, a fresh batch each, methods in turn"
    )


def _processor():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        import platform

        return platform.processor() or platform.machine()


def clock(device):
    """A function that returns the seconds which a call takes: CUDA's events on CUDA, else the wall.

    Returns (() -> anything) -> float. Raises what the call raises.
    """
    if device.type != "cuda":

        def wall(call):
            begun = time.perf_counter()
            call()
            return time.perf_counter() - begun

        return wall

    def events(call):
        begun, ended = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize(device)
        begun.record()
        call()
        ended.record()
        torch.cuda.synchronize(device)
        return begun.elapsed_time(ended) / 1000

    return events


def interleaved(prepared, batch, repeats, clock):
    """Median seconds of each method over `repeats` rounds; every round draws one batch, and starts with another method. Round 0 warms up.

    Formula: median. Returns name -> float. Raises what the methods raise.
    """
    seconds = {name: [] for name in prepared}
    names = list(prepared)
    for turn in range(repeats + 1):
        given, first = batch(turn), turn % len(names)
        for name in names[first:] + names[:first]:
            taken = clock(prepared[name](given))
            if turn > 0:
                seconds[name].append(taken)
    return {name: statistics.median(taken) for name, taken in seconds.items()}


def _probe(side, device):
    """A square product into memory that is there already: the speed by which the counted limits are told."""
    a, b = torch.randn(2, side, side, device=device)
    out = torch.empty_like(a)
    return lambda batch: lambda: torch.mm(a, b, out=out)


def measure(case, names, plan, version=None, peaks=None):
    """The rows of one case: median times, counted limits and, where given, peaks (name -> MiB or None).

    Formula: limit = products * 2 N V d / speed of the probe. Returns a list of `Row`, one per name. Raises what the
    methods raise.
    """
    device, distinct = methods.device(), []
    weight = methods.head(case, device)

    def batch(turn):
        hidden, labels = methods.batch(case, device, seed=turn)
        if turn == 0 and device.type == "cpu":
            return hidden[:WARM_UP], labels[:WARM_UP]
        distinct.append(labels.unique().numel())
        return hidden, labels

    prepared = {name: methods.ready(name, weight) for name in names} | {PROBE: _probe(plan.probe, device)}
    seconds = interleaved(prepared, batch, plan.repeats, clock(device))
    per_product = seconds[PROBE] / plan.probe**3 * case.N * case.V * case.d
    rows = []
    for name in names:
        products = methods.products(name, case, statistics.mean(distinct[-plan.repeats :]))
        label = f"{name} {version}" if name == methods.PACKAGE else name
        rows.append(
            Row(label, case, device.type, seconds[name], products, products * per_product, (peaks or {}).get(name))
        )
    return with_ratios(rows)


def table(plan, say):
    """Rows of all cases, time and peak memory, and lines on what had to be left out.

    Returns (list of `Row`, list of strings). Raises what the methods raise, save for want of memory.
    """
    names, version = methods.available()
    notes = (
        []
        if version
        else [
            f"{methods.PACKAGE} is not installed: its rows are left out (pip install --no-deps {methods.PACKAGE}==0.0.3)"
        ]
    )
    rows = []
    for case in plan.cases():
        say(f"measuring N={case.N} V={case.V} d={case.d}, {case.targets} targets")
        outcomes = {name: memory.fresh_process(name, case) for name in names}
        failed = [name for name, outcome in outcomes.items() if isinstance(outcome, str)]
        notes += [
            f"{name} at N={case.N} V={case.V} d={case.d}, {case.targets} targets: left out, {outcomes[name]}"
            for name in failed
        ]
        rows += measure(case, [name for name in names if name not in failed], plan, version, outcomes)
        if not failed:
            value, gradient = methods.rounding(case)
            notes.append(
                f"N={case.N} V={case.V} d={case.d}, {case.targets}: int8 cost moves the loss by {value:.0e}, its gradient by {gradient:.0e}"
            )
    return rows, notes


def growth(plan, say):
    """Axis -> rows of its cases, times alone; a case that lies on several axes is measured once.

    Returns a dictionary of lists of `Row`. Raises what the methods raise.
    """
    names, version = methods.available()
    names.remove(methods.ROUNDED)  # it grows as its float32 twin
    axes, found = plan.growth_cases(), {}
    for case in dict.fromkeys(case for cases in axes.values() for case in cases):
        say(f"measuring growth: N={case.N} V={case.V} d={case.d}")
        found[case] = measure(case, names, plan, version)
    return {axis: [row for case in cases for row in found[case]] for axis, cases in axes.items()}
