"""Pictures that the lessons share: each function returns (figure, alt text) for `kit.show`."""

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from . import costs, divergences, transport, worked
from .explorers import kit
from .words import load_words


def moved_plans(p, tau, cost, plans, tokens):
    """Plans as bands from p's piles (left) to tau's holes (right), as thick as the mass they move; `plans` maps a title to a plan (n, n)."""
    figure = kit.new_figure(4.4 * len(plans), 3.3)
    said = []
    with kit.rc_context(kit.STYLE):
        for axes, (title, plan) in zip(figure.subplots(1, len(plans), squeeze=False)[0], plans.items(), strict=True):
            moves = []
            for i, j in np.argwhere(plan > 1e-12):
                moves.append(f"{plan[i, j]:.2g} from {tokens[i]} to {tokens[j]} at {cost[i, j]:.2g}")
                _band(axes, i, j, plan[i, j], cost[i, j])
            for column, masses, colour, side in ((0, p, "p", "right"), (1, tau, "tau", "left")):
                axes.scatter([column] * len(masses), -np.arange(len(masses)), s=900 * masses + 4, color=kit.COLOURS[colour], zorder=3)
                for i, (token, mass) in enumerate(zip(tokens, masses, strict=True)):
                    axes.text(column + (-0.14, 0.14)[column], -i, f"{token}\n{mass:.1f}", ha=side, va="center", fontsize=9.5)
            axes.text(0, 0.62, "model p", ha="center", color=kit.COLOURS["p"], fontsize=10)
            axes.text(1, 0.62, "label τ", ha="center", color="#9A6A00", fontsize=10)  # tau's orange, darkened to be read as text
            total = (plan * cost).sum()
            axes.set_title(f"{title}: {total:.2f}")
            axes.set(xlim=(-0.5, 1.5), ylim=(0.5 - len(p), 0.8))
            axes.axis("off")
            said.append(f"{title}, total cost {total:.2f}: {'; '.join(moves)}.")
    return figure, "Ways to move p onto tau. " + " ".join(said)


def _band(axes, i, j, mass, cost):
    """One move: grey where it is free, else green with `mass × cost` beside its start."""
    free = cost == 0
    axes.plot([0, 1], [-i, -j], color=kit.COLOURS["faint" if free else "plan"], lw=26 * mass, solid_capstyle="butt", zorder=1 if free else 2)
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
    """Transport plans from the exact one (regularisation 0) through `regularisations` to the product plan, each with its transport cost."""
    plans = {"exact": transport.emd(p, tau, cost).plan}
    plans |= {f"ε = {strength:g}": transport.entropic(p, tau, cost, strength)[1] for strength in regularisations}
    plans["product"] = np.outer(p, tau)
    greens = LinearSegmentedColormap.from_list("plan", ["#FFFFFF", kit.COLOURS["plan"], "#00382A"])
    figure = kit.new_figure(1.75 * len(plans), 2.6)
    said = []
    with kit.rc_context(kit.STYLE):
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


def accuracy_staircase(logits, wrong, expected):
    """Lesson 04, A7: the share of wrong arg max answers and its smooth stand-in `1 - p_t` against the target's logit."""
    figure = kit.new_figure(7.6, 2.8)
    with kit.rc_context(kit.STYLE):
        axes = figure.subplots()
        axes.step(logits, wrong, where="post", color=kit.COLOURS["ink"], lw=2, ls="--", label="error of the most likely token (0 or 1)")
        axes.plot(logits, expected, color=kit.COLOURS["accuracy"], lw=2.5, label="1 - p(Monday): error of a drawn token")
        axes.set(xlabel="Monday's logit (Tuesday 0, banana -1)", ylabel="error", ylim=(-0.05, 1.05), title="a step, and a slope to walk down")
        axes.legend(fontsize=9, loc="upper right")
    step = logits[np.argmin(wrong)]
    return figure, (
        f"Error against Monday's logit. The most likely token's error jumps from 1 to 0 at logit {step:.1f} and is flat elsewhere; "
        f"1 - p(Monday) falls smoothly from {expected[0]:.2f} to {expected[-1]:.2f}."
    )


def training_paths(tau, cost, paths):
    """Lesson 04, D2: where training on labels drawn from tau leads. `paths`: ("CE", "transport") -> models (steps, 3) along the way."""
    figure = kit.new_figure(9.0, 3.1)
    with kit.rc_context(kit.STYLE):
        ce, moved, triangle = figure.subplots(1, 3, width_ratios=[1, 1, 1.05])
        for axes, name, title in ((ce, "CE", "trained on cross-entropy"), (moved, "transport", "trained on one-hot transport")):
            for level in np.unique(tau):
                axes.axhline(level, color=kit.COLOURS["tau"], lw=5, alpha=0.45, solid_capstyle="butt")
            every = max(1, len(paths[name]) // 250)  # single steps of single labels would blacken the picture
            steps = np.arange(0, len(paths[name]), every)
            for column, (token, style) in enumerate(zip(worked.TOKENS, ("-", "--", ":"), strict=True)):
                axes.plot(steps, paths[name][steps, column], style, color=kit.COLOURS["p"], lw=1.5, label=f"p({token})")
            axes.set(xlabel="labels seen", ylim=(-0.04, 1.04), title=title, xticks=np.linspace(0, len(paths[name]), 3))
        ce.set_ylabel("probability")
        ce.plot([], [], color=kit.COLOURS["tau"], lw=5, alpha=0.45, label="true shares τ")
        ce.legend(fontsize=8.5, loc="upper right", ncols=2)
        _simplex_paths(triangle, tau, cost, paths)
    ends = {name: ", ".join(f"{t} {x:.2f}" for t, x in zip(worked.TOKENS, path[-1], strict=True)) for name, path in paths.items()}
    truth = ", ".join(f"{t} {x:.2f}" for t, x in zip(worked.TOKENS, tau, strict=True))
    return figure, (
        f"True shares: {truth}. Trained on cross-entropy the model comes to hover around them (at the end {ends['CE']}); trained on the one-hot "
        f"transport loss it walks across parallel level lines into one corner of the triangle (at the end {ends['transport']})."
    )


def _simplex_paths(axes, tau, cost, paths):
    """Triangle of all models with the level lines of `p' C tau`, one path per loss, and the true shares."""
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    axes.tricontour(*corners.T, cost @ tau, levels=12, colors=kit.COLOURS["cost"], linewidths=0.8)
    axes.plot(*corners[[0, 1, 2, 0]].T, color="#555555", lw=1)
    for name, colour in (("CE", kit.COLOURS["ce"]), ("transport", kit.COLOURS["emd"])):
        xy = paths[name] @ corners
        axes.plot(*xy.T, color=colour, lw=1.2 if name == "CE" else 2.5, label=name)
    axes.plot(*(paths["CE"][0] @ corners), "o", ms=7, color=kit.COLOURS["p"], mec="white", label="start")
    axes.plot(*(tau @ corners), "o", ms=9, color=kit.COLOURS["tau"], mec="white", label="τ")
    for (x, y), token, below in zip(corners, worked.TOKENS, (-0.1, -0.1, 0.07), strict=True):
        axes.text(x, y + below, token, ha="center", va="center", fontsize=9)
    axes.set(xlim=(-0.2, 1.35), ylim=(-0.16, 1.0), aspect="equal")
    axes.axis("off")
    axes.legend(fontsize=8.5, loc="upper right", bbox_to_anchor=(1.04, 1.0))


def generators():
    """The seven generators f(u), grouped by what their ends do."""
    groups = (
        ("f(0) is infinite", ("reverse KL", "Neyman chi2")),
        ("f(0) finite, slope without end", ("KL", "Pearson chi2")),
        ("both finite", ("total variation", "Jensen-Shannon", "squared Hellinger")),
    )
    colours = {"KL": kit.COLOURS["ce"], "total variation": kit.COLOURS["accuracy"]}
    u = np.concatenate([np.geomspace(1e-4, 0.1, 60), np.linspace(0.1, 4, 200)])
    figure = kit.new_figure(8.6, 2.9)
    with kit.rc_context(kit.STYLE):
        for axes, (title, names) in zip(figure.subplots(1, 3, sharey=True), groups, strict=True):
            axes.axhline(0, color=kit.COLOURS["faint"], lw=1, zorder=0)
            for name, style in zip(names, ("-", "--", ":")[: len(names)], strict=True):
                colour = colours.get(name, kit.COLOURS["divergence"])
                broad = {"lw": 6, "alpha": 0.35, "ls": "-"} if name == "squared Hellinger" else {"lw": 2, "ls": style}  # it hides under JS
                axes.plot(u, divergences.GENERATORS[name].f(u), color=colour, label=name, **broad)
            axes.plot([1], [0], "o", color=kit.COLOURS["ink"], ms=5)
            axes.set(title=title, xlim=(0, 4), ylim=(-1.6, 3), xlabel="u = τ / p")
            axes.legend(fontsize=9, loc="lower right" if "slope" in title else "upper right")
        figure.axes[0].set_ylabel("f(u)")
    said = "; ".join(f"{title}: {', '.join(names)}" for title, names in groups)
    return figure, f"Seven convex generators f(u) that all pass through 0 at u = 1, in three groups. {said}."


def two_bumps(tau, chosen):
    """A label with two bumps and the single bump that each divergence prefers; `chosen` maps a name to (model, centre, width)."""
    figure = kit.new_figure(8.6, 4.0)
    said = []
    with kit.rc_context(kit.STYLE):
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, (name, (model, centre, width)) in zip(panels.flat, chosen.items(), strict=True):
            axes.bar(np.arange(tau.size), tau, 1.0, color=kit.COLOURS["tau"], label="label τ")
            axes.plot(np.arange(tau.size), model, color=kit.COLOURS["p"], lw=2.2, label="best model p")
            axes.set(title=f"{name}: centre {centre:g}, width {width:g}", xlim=(-0.5, tau.size - 0.5))
            said.append(f"{name}: centre {centre:g}, width {width:g}")
        for axes in panels[1]:
            axes.set_xlabel("temperature (°C)")
        for axes in panels[:, 0]:
            axes.set_ylabel("probability")
        panels[0, 0].legend(fontsize=9, loc="upper right")
    return figure, "A label with a larger bump at 12 and a smaller one at 28, and the one-bump model closest to it. " + "; ".join(said) + "."


def wrong_labels(x, is_one, fits, truth):
    """A two-class sample with wrong labels far right, and the fitted sigmoids; `fits` maps a loss to (steepness, boundary), as `truth`."""
    looks = {"KL": ("ce", "-"), "Pearson chi2": ("divergence", "--"), "squared Hellinger": ("divergence", ":"), "total variation": ("accuracy", "-")}
    figure = kit.new_figure(8.6, 3.4)
    at = np.linspace(-3.2, 9, 600)

    def curve(steep, middle):
        return 1 / (1 + np.exp(-np.clip(steep * (at - middle), -60, 60)))

    with kit.rc_context(kit.STYLE):
        axes = figure.subplots()
        wrong = (x > 4) & ~is_one
        axes.plot(x[~wrong], is_one[~wrong] + 0.0, "|", color=kit.COLOURS["cost"], ms=11, label="texts, rightly labelled")
        axes.plot(x[wrong], is_one[wrong] + 0.0, "x", color=kit.COLOURS["emd"], ms=8, mew=2, label="texts, wrongly labelled")
        axes.plot(at, curve(*truth), color=kit.COLOURS["tau"], lw=6, alpha=0.6, label="the best possible model")
        for k, (name, fit) in enumerate(fits.items()):
            colour, style = looks.get(name, ("family", ("-", "--", ":")[k % 3]))
            axes.plot(at, curve(*fit), style, color=kit.COLOURS[colour], lw=2, label=name)
        axes.set(xlabel="feature x of the text", ylabel="probability of Tuesday", xlim=(-3.2, 9), ylim=(-0.08, 1.08))
        axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    said = "; ".join(f"{name} {middle:.1f} with steepness {steep:.2f}" for name, (steep, middle) in fits.items())
    best = f"best possible {truth[1]:.1f} with steepness {truth[0]:g}"
    return figure, f"Sigmoids fitted under several losses with {wrong.sum()} wrong labels far right. Boundary: {said}; {best}."


def word_costs(groups):
    """Cosine cost among real words as a grey image; `groups` maps a name to its words."""
    words = [word for group in groups.values() for word in group]
    cost = costs.cosine(load_words().rows(words))
    edges = np.cumsum([0] + [len(group) for group in groups.values()])
    figure = kit.new_figure(7.4, 6.2)
    with kit.rc_context(kit.STYLE):
        axes = figure.subplots()
        image = axes.imshow(cost, cmap=kit.COST_MAP, vmin=0)
        for edge in edges[1:-1]:
            axes.axhline(edge - 0.5, color="white", lw=3)
            axes.axvline(edge - 0.5, color="white", lw=3)
        axes.set_xticks(range(len(words)), words, rotation=90)
        axes.set_yticks(range(len(words)), words)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        figure.colorbar(image, label="cosine cost (no unit)", shrink=0.8)
    blocks = [(name, cost[a:b, a:b]) for name, a, b in zip(groups, edges[:-1], edges[1:], strict=True)]
    within = ", ".join(f"{name} {block[np.triu_indices(len(block), 1)].mean():.2f}" for name, block in blocks)
    across = np.concatenate([cost[a:b, b:].ravel() for a, b in zip(edges[:-1], edges[1:], strict=True)]).mean()
    return figure, f"Cosine costs among {len(words)} words in groups. Mean cost within each group: {within}; across groups {across:.2f}."


def sandwich(p, tau, embedding, tokens):
    """Mean directions inside the quarter disc, and the product bound cut into the three slices of D3 with the exact distance marked."""
    unit = costs.unit_rows(embedding)
    means = transport.mean_direction(p, embedding), transport.mean_direction(tau, embedding)
    lower = float(transport.jensen_bound(p, tau, embedding))
    slices = lower, *(0.5 * (1 - m @ m) for m in means)
    exact = transport.emd(p, tau, costs.cosine(embedding)).value
    figure = kit.new_figure(8.4, 3.7)
    with kit.rc_context(kit.STYLE):
        disc, bar = figure.subplots(1, 2, width_ratios=[1, 1.25])
        _disc(disc, unit, means, tokens)
        _slices(bar, slices, exact)
    return figure, (
        f"Left: the unit vectors of {', '.join(tokens)} on a quarter circle, with the mean directions of p at ({means[0][0]:.2f}, {means[0][1]:.2f}) "
        f"and of tau at ({means[1][0]:.2f}, {means[1][1]:.2f}) inside it. Right: the product bound {sum(slices):.3f} as a bar of three slices, "
        f"{slices[0]:.3f} between the means, {slices[1]:.3f} for the spread of p, {slices[2]:.3f} for the spread of tau; the exact distance "
        f"{exact:.3f} lies within the bar, beyond its first slice."
    )


def _disc(axes, unit, means, tokens):
    turn = np.linspace(0, np.pi / 2, 100)
    axes.plot(np.cos(turn), np.sin(turn), color=kit.COLOURS["cost"], lw=1)
    for point, token in zip(unit, tokens, strict=True):
        axes.plot([0, point[0]], [0, point[1]], color=kit.COLOURS["faint"], lw=1, zorder=0)
        axes.plot(*point, "o", color=kit.COLOURS["ink"], ms=6)
        axes.annotate(token, point, xytext=(7, 5), textcoords="offset points")
    axes.plot(*np.transpose(means), color=kit.COLOURS["emd"], lw=2)
    for mean, name, offset in zip(means, ("p", "tau"), ((-24, 7), (-27, -10)), strict=True):
        axes.plot(*mean, "o", color=kit.COLOURS[name], ms=9)
        axes.annotate({"p": "$m_p$", "tau": r"$m_\tau$"}[name], mean, xytext=offset, textcoords="offset points", fontsize=12)
    axes.set(xlim=(-0.05, 1.3), ylim=(-0.08, 1.15), aspect="equal", xticks=[0, 1], yticks=[0, 1], title="mean directions lie inside")


def _slices(axes, slices, exact):
    names = ("½|$m_p$ − $m_τ$|²\nbetween", "½(1 − |$m_p$|²)\nspread of p", "½(1 − |$m_τ$|²)\nspread of τ")
    left = 0.0
    for k, (width, name, colour) in enumerate(zip(slices, names, ("emd", "p", "tau"), strict=True)):
        axes.barh([0], [width], left=left, height=0.5, color=kit.COLOURS[colour], edgecolor="white")
        axes.text(left + width / 2, (0.33, -0.33)[k == 1], f"{name}\n{width:.3f}", ha="center", va=("bottom", "top")[k == 1], fontsize=9)
        left += width
    axes.plot([exact, exact], [-0.25, 0.25], color=kit.COLOURS["ink"], lw=2.5)
    axes.text(exact, 0.33, f"EMD\n{exact:.3f}", ha="center", va="bottom", fontsize=9)
    axes.set(ylim=(-1, 1), yticks=[], xlim=(-0.012, left * 1.08), xlabel="cost (no unit)", title="the product bound in three slices")
    axes.spines["left"].set_visible(False)


def regularisation_dial(strengths, entropic, divergence, exact, upper, lower):
    """Entropic transport and Sinkhorn divergence against the regularisation, between the exact distance and the two bounds they end at."""
    figure = kit.new_figure(7.6, 3.5)
    with kit.rc_context(kit.STYLE):
        axes = figure.subplots()
        ends = ((upper, "--", r"product bound $p^\top C\tau$"), (exact, "-", "exact EMD"), (lower, ":", "½|$m_p$ − $m_τ$|²"))
        for value, style, name in ends:
            axes.axhline(value, color=kit.COLOURS["emd"], ls=style, lw=1.5)
            axes.text(strengths[-1] * 1.25, value, f"{name}\n{value:.3f}", va="center", fontsize=9)
        axes.plot(strengths, entropic, "o-", color=kit.COLOURS["ink"], lw=1.5)
        axes.plot(strengths, divergence, "s-", color=kit.COLOURS["ink"], lw=1.5)
        middle = len(strengths) // 2
        curves = ((r"entropic transport $\mathcal{C}_\varepsilon$", entropic, -14), (r"Sinkhorn divergence $S_\varepsilon$", divergence, 8))
        for name, curve, up in curves:
            axes.annotate(name, (strengths[middle], curve[middle]), xytext=(12, up), textcoords="offset points")
        axes.set(xscale="log", xlim=(strengths[0] * 0.9, strengths[-1] * 1.1), xlabel="regularisation ε, in units of cost")
        axes.set(ylim=(0, upper * 1.15), ylabel="cost")
    return figure, (
        f"From regularisation {strengths[0]:.2f} to {strengths[-1]:.0f}, entropic transport rises from {entropic[0]:.3f} to {entropic[-1]:.3f}, "
        f"towards the product bound {upper:.3f}; the Sinkhorn divergence falls from {divergence[0]:.3f} to {divergence[-1]:.3f}, towards "
        f"{lower:.3f}. To the left both run towards the exact distance {exact:.3f}."
    )


def shrinking_costs(words, rulers, runs):
    """Cost matrices at some steps (`rulers`: step -> matrix), and loss and accuracy of `runs`: title -> (frozen, trained) histories (steps, 2)."""
    figure = kit.new_figure(8.4, 5.4)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.25])
    said = []
    with kit.rc_context(kit.STYLE):
        darkest = max(cost.max() for cost in rulers.values())
        for axes, (step, cost) in zip(top.subplots(1, len(rulers), sharey=True), rulers.items(), strict=True):
            axes.imshow(cost, cmap=kit.COST_MAP, vmin=0, vmax=darkest)
            axes.set(title=f"trained cost at step {step}", xticks=[], yticks=range(len(words)), yticklabels=words)
            axes.tick_params(length=0)
            said.append(f"{cost.max():.2f} at step {step}")
        for axes, (title, histories) in zip(bottom.subplots(1, len(runs), sharey=True), runs.items(), strict=True):
            for history, style, name in zip(histories, ("-", "--"), ("frozen", "trained"), strict=True):
                axes.plot(history[:, 1], style, color=kit.COLOURS["accuracy"], lw=2, label=f"accuracy, cost {name}")
                axes.plot(history[:, 0], style, color=kit.COLOURS["emd"], lw=2, label=f"loss, cost {name}")
            axes.set(ylim=(-0.02, 1), xlim=(0, len(history) - 1), xlabel="step", title=title)
            (a, b), (c, d) = (history[-1] for history in histories)
            said.append(f"{title}: with frozen cost loss {a:.2f} and accuracy {b:.2f} at the end, with trained cost {abs(c):.2f} and {d:.2f}")
        bottom.axes[0].legend(fontsize=9, loc="upper right")
    return figure, f"The dearest pair among {', '.join(words)} costs {'; '.join(said)}."
