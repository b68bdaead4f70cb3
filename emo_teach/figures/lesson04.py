"""Pictures of lesson 04; each function returns (figure, alt text)."""

import numpy as np

from .. import pictures, worked


def accuracy_staircase(logits, wrong, expected):
    """Lesson 04, A7: the share of wrong arg max answers and its smooth stand-in `1 - p_t` against the target's logit.

    Formula: A7. Returns (figure, alt text).
    """
    figure = pictures.new_figure(7.6, 2.8)
    with pictures.rc_context(pictures.STYLE):
        axes = figure.subplots()
        axes.step(
            logits,
            wrong,
            where="post",
            color=pictures.COLOURS["ink"],
            lw=2,
            ls="--",
            label="error of the most likely token (0 or 1)",
        )
        axes.plot(
            logits, expected, color=pictures.COLOURS["accuracy"], lw=2.5, label="1 - p(Monday): error of a drawn token"
        )
        axes.set(
            xlabel="Monday's logit (Tuesday 0, banana -1)",
            ylabel="error",
            ylim=(-0.05, 1.05),
            title="a step, and a slope to walk down",
        )
        axes.legend(fontsize=9, loc="upper right")
    step = logits[np.argmin(wrong)]
    return figure, (
        f"Error against Monday's logit. The most likely token's error jumps from 1 to 0 at logit {step:.1f} and is flat elsewhere; "
        f"1 - p(Monday) falls smoothly from {expected[0]:.2f} to {expected[-1]:.2f}."
    )


def training_paths(tau, cost, paths):
    """Lesson 04, D2: where training on labels drawn from tau leads. `paths`: ("CE", "transport") -> models (steps, 3) along the way.

    Formula: D2. Returns (figure, alt text). Raises KeyError when one of the two paths is missing.
    """
    figure = pictures.new_figure(9.0, 3.1)
    with pictures.rc_context(pictures.STYLE):
        ce, moved, triangle = figure.subplots(1, 3, width_ratios=[1, 1, 1.05])
        for axes, name, title in (
            (ce, "CE", "trained on cross-entropy"),
            (moved, "transport", "trained on one-hot transport"),
        ):
            for level in np.unique(tau):
                axes.axhline(level, color=pictures.COLOURS["tau"], lw=5, alpha=0.45, solid_capstyle="butt")
            every = max(1, len(paths[name]) // 250)  # single steps of single labels would blacken the picture
            steps = np.arange(0, len(paths[name]), every)
            for column, (token, style) in enumerate(zip(worked.TOKENS, ("-", "--", ":"), strict=True)):
                axes.plot(
                    steps, paths[name][steps, column], style, color=pictures.COLOURS["p"], lw=1.5, label=f"p({token})"
                )
            axes.set(xlabel="labels seen", ylim=(-0.04, 1.04), title=title, xticks=np.linspace(0, len(paths[name]), 3))
        ce.set_ylabel("probability")
        ce.plot([], [], color=pictures.COLOURS["tau"], lw=5, alpha=0.45, label="true shares τ")
        ce.legend(fontsize=8.5, loc="upper right", ncols=2)
        _simplex_paths(triangle, tau, cost, paths)
    ends = {
        name: ", ".join(f"{t} {x:.2f}" for t, x in zip(worked.TOKENS, path[-1], strict=True))
        for name, path in paths.items()
    }
    truth = ", ".join(f"{t} {x:.2f}" for t, x in zip(worked.TOKENS, tau, strict=True))
    return figure, (
        f"True shares: {truth}. Trained on cross-entropy the model comes to hover around them (at the end {ends['CE']}); trained on the one-hot "
        f"transport loss it walks across parallel level lines into one corner of the triangle (at the end {ends['transport']})."
    )


def _simplex_paths(axes, tau, cost, paths):
    """Triangle of all models with the level lines of `p' C tau`, one path per loss, and the true shares."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    axes.tricontour(*corners.T, cost @ tau, levels=12, colors=pictures.COLOURS["cost"], linewidths=0.8)
    axes.plot(
        [], [], color=pictures.COLOURS["cost"], lw=0.8, label="level lines"
    )  # a contour has no entry in the legend
    axes.plot(*corners[[0, 1, 2, 0]].T, color="#555555", lw=1)
    for name, colour in (("CE", pictures.COLOURS["ce"]), ("transport", pictures.COLOURS["emd"])):
        xy = paths[name] @ corners
        axes.plot(*xy.T, color=colour, lw=1.2 if name == "CE" else 2.5, label=name)
    axes.plot(*(paths["CE"][0] @ corners), "o", ms=7, color=pictures.COLOURS["p"], mec="white", label="start")
    axes.plot(*(tau @ corners), "o", ms=9, color=pictures.COLOURS["tau"], mec="white", label="τ")
    for (x, y), token, below in zip(corners, worked.TOKENS, (-0.1, -0.1, 0.07), strict=True):
        axes.text(x, y + below, token, ha="center", va="center", fontsize=9)
    axes.set(xlim=(-0.2, 1.35), ylim=(-0.16, 1.0), aspect="equal")
    axes.axis("off")
    axes.legend(fontsize=8.5, loc="upper right", bbox_to_anchor=(1.04, 1.0))
