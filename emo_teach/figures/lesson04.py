"""Pictures of lesson 04; each function returns (figure, alt text, numbers)."""

import numpy as np

from .. import divergences, worked
from ..explorers.simplex import CORNERS
from ..pictures import COLOURS, drawing, look


def accuracy_staircase(logits, wrong, expected):
    """The share of wrong arg max answers, and its smooth stand-in `1 - p_t`, against the target's logit (A7)."""
    with drawing(7.6, 2.8) as figure:
        axes = figure.subplots()
        axes.step(logits, wrong, where="post", color=COLOURS["ink"], lw=2, ls="--")
        axes.plot(logits, expected, color=look("accuracy").colour, lw=2.5)
        axes.set(xlabel="Monday's logit (Tuesday 0, banana -1)", ylabel="error", ylim=(-0.05, 1.05))
        axes.set_title("a step, and a slope to walk down")
        labels = "error of the most likely token (0 or 1)", "1 - p(Monday): error of a drawn token"
        axes.legend(labels, fontsize=9, loc="upper right")
    step = logits[np.argmin(wrong)]
    jump = f"The most likely token's error jumps from 1 to 0 at Monday's logit {step:.1f}"
    alt = f"{jump}; 1 - p(Monday) falls smoothly from {expected[0]:.2f} to {expected[-1]:.2f}."
    some = np.linspace(0, len(logits) - 1, 9).round().astype(int)
    rows = [(f"{logits[k]:.2f}", f"{wrong[k]:g}", f"{expected[k]:.3f}") for k in some]
    return figure, alt, [("Monday's logit", "error of the most likely token", "1 - p(Monday)"), *rows]


def training_paths(tau, cost, paths):
    """Where training on labels drawn from tau leads (D2): `paths`, "CE" and "transport" -> models (steps, 3)."""
    titles = {"CE": "trained on cross-entropy", "transport": "trained on one-hot transport"}
    levels = {"color": COLOURS["tau"], "lw": 5, "alpha": 0.45}
    with drawing(9.0, 3.1) as figure:
        *sides, triangle = figure.subplots(1, 3, width_ratios=[1, 1, 1.05])
        for axes, (name, title) in zip(sides, titles.items(), strict=True):
            for level in np.unique(tau):
                axes.axhline(level, solid_capstyle="butt", **levels)
            every = max(1, len(paths[name]) // 250)  # single steps of single labels would blacken the picture
            steps = np.arange(0, len(paths[name]), every)
            for values, token, dash in zip(paths[name][steps].T, worked.TOKENS, ("-", "--", ":"), strict=True):
                axes.plot(steps, values, dash, color=COLOURS["p"], lw=1.5, label=f"p({token})")
            axes.set(xlabel="labels seen", ylim=(-0.04, 1.04), title=title, xticks=np.linspace(0, len(paths[name]), 3))
        sides[0].set_ylabel("probability")
        sides[0].plot([], [], label="true shares τ", **levels)
        sides[0].legend(fontsize=8.5, loc="upper right", ncols=2)
        _simplex_paths(triangle, tau, cost, paths)
    ends = {"true shares": tau} | {f"end of {name}": path[-1] for name, path in paths.items()}
    off = f"CE ends {divergences.total_variation(paths['CE'][-1], tau):.2f} from the true shares (total variation)"
    last = paths["transport"][-1]
    alt = f"{off}; one-hot transport walks to {worked.TOKENS[last.argmax()]}, which ends at {last.max():.2f}."
    rows = [(name, *(f"{x:.2f}" for x in p)) for name, p in ends.items()]
    return figure, alt, [("distribution", *worked.TOKENS), *rows]


def _simplex_paths(axes, tau, cost, paths):
    """Triangle of all models with the level lines of `p' C tau`, one path per loss, and the true shares."""
    grey = COLOURS["cost"]
    axes.tricontour(*CORNERS.T, cost @ tau, levels=12, colors=grey, linewidths=0.8)
    axes.plot([], [], color=grey, lw=0.8, label="level lines")  # a contour has no entry in the legend
    axes.plot(*CORNERS[[0, 1, 2, 0]].T, color=COLOURS["outline"], lw=1)
    for name, role, width in (("CE", "ce", 1.2), ("transport", "emd", 2.5)):
        axes.plot(*(paths[name] @ CORNERS).T, color=COLOURS[role], lw=width, label=name)
    axes.plot(*(paths["CE"][0] @ CORNERS), "o", ms=7, color=COLOURS["p"], mec="white", label="start")
    axes.plot(*(tau @ CORNERS), "o", ms=9, color=COLOURS["tau"], mec="white", label="τ")
    for (x, y), token, below in zip(CORNERS, worked.TOKENS, (-0.1, -0.1, 0.07), strict=True):
        axes.text(x, y + below, token, ha="center", va="center", fontsize=9)
    axes.set(xlim=(-0.2, 1.35), ylim=(-0.16, 1.0), aspect="equal")
    axes.axis("off")
    axes.legend(fontsize=8.5, loc="upper right", bbox_to_anchor=(1.04, 1.0))
