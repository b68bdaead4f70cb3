"""Pictures of lesson 03; each function returns (figure, alt text, numbers)."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from .. import transport
from ..pictures import COLOURS, darker, drawing


def moved_plans(p, tau, cost, plans, tokens):
    """Plans, title -> (n, n), as bands from p's piles (left) to tau's holes (right), thick as the mass moved (A4)."""
    numbers, totals, rows = [("plan", "from", "to", "mass", "cost of a unit, or in all")], {}, -np.arange(len(p))
    sides = (0, p, COLOURS["p"], "right", -0.14), (1, tau, COLOURS["tau"], "left", 0.14)
    with drawing(4.4 * len(plans), 3.3) as figure:
        for axes, (title, plan) in zip(figure.subplots(1, len(plans), squeeze=False)[0], plans.items(), strict=True):
            for i, j in np.argwhere(plan > 1e-12):
                numbers.append((title, tokens[i], tokens[j], f"{plan[i, j]:.2g}", f"{cost[i, j]:.2g}"))
                _band(axes, i, j, plan[i, j], cost[i, j])
            for x, masses, colour, align, shift in sides:
                axes.scatter([x] * len(masses), rows, s=900 * masses + 4, color=colour, zorder=3)
                for y, token, mass in zip(rows, tokens, masses, strict=True):
                    axes.text(x + shift, y, f"{token}\n{mass:.1f}", ha=align, va="center", fontsize=9.5)
            axes.text(0, 0.62, "model p", ha="center", color=COLOURS["p"], fontsize=10)
            axes.text(1, 0.62, "label τ", ha="center", color=darker(COLOURS["tau"]), fontsize=10)
            totals[title] = (plan * cost).sum()
            axes.set(xlim=(-0.5, 1.5), ylim=(0.5 - len(p), 0.8), title=f"{title}: {totals[title]:.2f}")
            axes.axis("off")
            numbers.append((f"{title}, in all", "", "", f"{plan.sum():.2g}", f"{totals[title]:.2f}"))
    costs = ", ".join(f"{title} {total:.2f}" for title, total in totals.items())
    return figure, f"Bands carry p's mass on the left to τ's places on the right; total cost: {costs}.", numbers


def _band(axes, i, j, mass, cost):
    """One move: grey where it is free, else green with `mass × cost` beside its start."""
    role, above = ("faint", 1) if cost == 0 else ("plan", 2)
    axes.plot([0, 1], [-i, -j], color=COLOURS[role], lw=26 * mass, solid_capstyle="butt", zorder=above)
    if cost != 0:  # the label sits past the fork, before the next pile
        box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none"}
        centred = {"ha": "center", "va": "center", "fontsize": 9, "zorder": 4, "bbox": box}
        axes.text(0.36, -i + 0.36 * (i - j), f"{mass:.1g} × {cost:.1f}", **centred)


def entropic_plans(p, tau, cost, regularisations):
    """Plans and their costs, from the exact plan through `regularisations` to the product plan (D12)."""
    plans = {"exact": transport.emd(p, tau, cost).plan}
    plans |= {f"ε = {strength:g}": transport.entropic(p, tau, cost, strength)[1] for strength in regularisations}
    plans["product"] = np.outer(p, tau)
    green, totals = COLOURS["plan"], {title: f"{(plan * cost).sum():.1f}" for title, plan in plans.items()}
    greens = LinearSegmentedColormap.from_list("plan", ["white", green, darker(green, 0.35)])
    with drawing(1.75 * len(plans), 2.6) as figure:
        for axes, (title, plan) in zip(figure.subplots(1, len(plans), sharey=True), plans.items(), strict=True):
            axes.imshow(plan, cmap=greens, vmin=0, vmax=plan.max(), origin="upper")
            ticks = {"xticks": (0, len(tau) - 1), "yticks": (0, len(p) - 1)}
            axes.set(xlabel="to class", title=f"{title}\ncost {totals[title]}", **ticks)
        figure.axes[0].set_ylabel("from class")
    ends = f"cost {totals['exact']}, blurs into the product plan, cost {totals['product']}"
    return figure, f"As ε grows, the exact plan's thin staircase, {ends}.", [("plan", "cost"), *totals.items()]
