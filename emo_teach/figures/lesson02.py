"""Pictures of lesson 02, D10; each function returns (figure, alt text, numbers)."""

import numpy as np

from .. import divergences
from ..pictures import COLOURS, drawing, look


def generators():
    """The seven generators f(u), grouped by what their ends do."""
    groups = {
        "f(0) is infinite": ("reverse KL", "Neyman chi2"),
        "f(0) finite, slope without end": ("KL", "Pearson chi2"),
        "both finite": ("total variation", "Jensen-Shannon", "squared Hellinger"),
    }
    u = np.concatenate([np.geomspace(1e-4, 0.1, 60), np.linspace(0.1, 4, 200)])
    with drawing(8.6, 2.9) as figure:
        for axes, (title, names) in zip(figure.subplots(1, 3, sharey=True), groups.items(), strict=True):
            axes.axhline(0, color=COLOURS["faint"], lw=1, zorder=0)
            for name in names:
                hidden = name == "squared Hellinger"  # under Jensen-Shannon
                line = look(name).curve | ({"lw": 6, "alpha": 0.35, "ls": "-"} if hidden else {"lw": 2})
                axes.plot(u, divergences.GENERATORS[name].f(u), label=name, **line)
            axes.plot([1], [0], "o", color=COLOURS["ink"], ms=5)
            axes.set(title=title, xlim=(0, 4), ylim=(-1.6, 3), xlabel="u = τ / p")
            axes.legend(fontsize=9, loc="lower right" if "slope" in title else "upper right")
        figure.axes[0].set_ylabel("f(u)")
    count = [len(names) for names in groups.values()]
    seen = f"{sum(count)} convex generators f(u), all 0 at u = 1: {count[0]} are infinite at u = 0"
    alt = f"{seen}, {count[1]} grow without end in slope, {count[2]} do neither."
    values = {
        name: divergences.GENERATORS[name].f(np.array([0.5, 1.0, 4.0])) for names in groups.values() for name in names
    }
    rows = [
        (name, title, *(f"{x + 0.0:.2f}" for x in values[name])) for title, names in groups.items() for name in names
    ]
    return figure, alt, [("divergence", "group", "f(0.5)", "f(1)", "f(4)"), *rows]


def two_bumps(tau, chosen):
    """A label with two bumps and the bump that each divergence prefers: `chosen`, name -> (model, centre, width)."""
    x = np.arange(tau.size)
    with drawing(8.6, 4.0) as figure:
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, (name, (model, centre, width)) in zip(panels.flat, chosen.items(), strict=True):
            axes.bar(x, tau, 1.0, color=COLOURS["tau"], label="label τ")
            axes.plot(x, model, color=COLOURS["p"], lw=2.2, label="best model p")
            axes.set(title=f"{name}: centre {centre:g}, width {width:g}", xlim=(-0.5, tau.size - 0.5))
        for below, left in zip(panels[1], panels[:, 0], strict=True):
            below.set_xlabel("temperature (°C)")
            left.set_ylabel("probability")
        panels[0, 0].legend(fontsize=9, loc="upper right")
    by_width = sorted(chosen, key=lambda name: chosen[name][2])
    ends = (by_width[0], "narrowest"), (by_width[-1], "widest")
    narrow, wide = (f"{name} takes the {which}, width {chosen[name][2]:g}" for name, which in ends)
    alt = f"One bump must fit a label with two: {wide}, {narrow}."
    rows = [(name, f"{centre:g}", f"{width:g}") for name, (_, centre, width) in chosen.items()]
    return figure, alt, [("divergence", "centre", "width"), *rows]


def wrong_labels(x, is_one, fits, truth):
    """Two classes, wrong labels far right, and sigmoids: `fits`, loss -> (steepness, boundary); `truth` likewise."""
    at, wrong = np.linspace(-3.2, 9, 600), (x > 4) & ~is_one

    def curve(steep, middle):
        return 1 / (1 + np.exp(-np.clip(steep * (at - middle), -60, 60)))

    with drawing(8.6, 3.4) as figure:
        axes = figure.subplots()
        marks = {"color": COLOURS["cost"], "ms": 11, "mew": 1}, {"color": COLOURS["wrong"], "ms": 8, "mew": 2}
        for some, marker, mark, label in zip((~wrong, wrong), "|x", marks, ("rightly", "wrongly"), strict=True):
            axes.plot(x[some], is_one[some] + 0.0, marker, label=f"texts, {label} labelled", **mark)
        axes.plot(at, curve(*truth), color=COLOURS["tau"], lw=6, alpha=0.6, label="the best possible model")
        for k, (name, fit) in enumerate(fits.items()):
            family = {"color": COLOURS["family"], "ls": ("-", "--", ":")[k % 3]}
            axes.plot(at, curve(*fit), lw=2, label=name, **(family if "family" in name else look(name).curve))
        axes.set(xlabel="feature x of the text", ylabel="probability of Tuesday", xlim=(-3.2, 9), ylim=(-0.08, 1.08))
        axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    by_error = sorted(fits, key=lambda name: abs(fits[name][1] - truth[1]))
    near, far = (f"{name} ({fits[name][1]:.1f})" for name in (by_error[0], by_error[-1]))
    pulled = f"{wrong.sum()} wrong labels pull the boundary farthest off under {far}"
    alt = f"{pulled}, least under {near}; the best is {truth[1]:.1f}."
    rows = [
        (name, f"{middle:.1f}", f"{steep:.2f}") for name, (steep, middle) in (fits | {"best possible": truth}).items()
    ]
    return figure, alt, [("loss", "boundary", "steepness"), *rows]
