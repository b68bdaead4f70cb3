"""Pictures of lesson 03; each function returns (figure, alt text)."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from .. import pictures, transport


def moved_plans(p, tau, cost, plans, tokens):
    """Plans as bands from p's piles (left) to tau's holes (right), as thick as the mass they move; `plans` maps a title to a plan (n, n).

    Formula: A4, the cost of each plan. Returns (figure, alt text).
    """
    figure = pictures.new_figure(4.4 * len(plans), 3.3)
    said = []
    with pictures.rc_context(pictures.STYLE):
        for axes, (title, plan) in zip(figure.subplots(1, len(plans), squeeze=False)[0], plans.items(), strict=True):
            moves = []
            for i, j in np.argwhere(plan > 1e-12):
                moves.append(f"{plan[i, j]:.2g} from {tokens[i]} to {tokens[j]} at {cost[i, j]:.2g}")
                _band(axes, i, j, plan[i, j], cost[i, j])
            for column, masses, colour, side in ((0, p, "p", "right"), (1, tau, "tau", "left")):
                axes.scatter(
                    [column] * len(masses),
                    -np.arange(len(masses)),
                    s=900 * masses + 4,
                    color=pictures.COLOURS[colour],
                    zorder=3,
                )
                for i, (token, mass) in enumerate(zip(tokens, masses, strict=True)):
                    axes.text(
                        column + (-0.14, 0.14)[column], -i, f"{token}\n{mass:.1f}", ha=side, va="center", fontsize=9.5
                    )
            axes.text(0, 0.62, "model p", ha="center", color=pictures.COLOURS["p"], fontsize=10)
            axes.text(
                1, 0.62, "label τ", ha="center", color="#9A6A00", fontsize=10
            )  # tau's orange, darkened to be read as text
            total = (plan * cost).sum()
            axes.set_title(f"{title}: {total:.2f}")
            axes.set(xlim=(-0.5, 1.5), ylim=(0.5 - len(p), 0.8))
            axes.axis("off")
            said.append(f"{title}, total cost {total:.2f}: {'; '.join(moves)}.")
    return figure, "Ways to move p onto tau. " + " ".join(said)


def _band(axes, i, j, mass, cost):
    """One move: grey where it is free, else green with `mass × cost` beside its start."""
    free = cost == 0
    axes.plot(
        [0, 1],
        [-i, -j],
        color=pictures.COLOURS["faint" if free else "plan"],
        lw=26 * mass,
        solid_capstyle="butt",
        zorder=1 if free else 2,
    )
    if not free:
        place = 0.36  # where along the band the label sits: past the fork, before the next pile
        axes.text(
            place,
            -i + place * (i - j),
            f"{mass:.1g} × {cost:.1f}",
            ha="center",
            va="center",
            fontsize=9,
            zorder=4,
            bbox={"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"},
        )


def entropic_plans(p, tau, cost, regularisations):
    """Transport plans from the exact one (regularisation 0) through `regularisations` to the product plan, each with its transport cost.

    Formula: D12. Returns (figure, alt text).
    """
    plans = {"exact": transport.emd(p, tau, cost).plan}
    plans |= {f"ε = {strength:g}": transport.entropic(p, tau, cost, strength)[1] for strength in regularisations}
    plans["product"] = np.outer(p, tau)
    greens = LinearSegmentedColormap.from_list("plan", ["#FFFFFF", pictures.COLOURS["plan"], "#00382A"])
    figure = pictures.new_figure(1.75 * len(plans), 2.6)
    said = []
    with pictures.rc_context(pictures.STYLE):
        for axes, (title, plan) in zip(figure.subplots(1, len(plans), sharey=True), plans.items(), strict=True):
            axes.imshow(plan, cmap=greens, vmin=0, vmax=plan.max(), origin="upper")
            total = (plan * cost).sum()
            axes.set_title(f"{title}\ncost {total:.1f}")
            axes.set(xlabel="to class", xticks=(0, len(tau) - 1), yticks=(0, len(p) - 1))
            said.append(f"{title}: {total:.1f}")
        figure.axes[0].set_ylabel("from class")
    return figure, (
        f"Plans between histograms of {len(p)} ordered classes, each tinted up to its own largest entry. The exact plan is a thin staircase; "
        f"with growing regularisation ε it blurs into the product plan. Transport costs: {', '.join(said)}."
    )
