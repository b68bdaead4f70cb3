"""Pictures of lesson 05; each function returns (figure, alt text, numbers)."""

import numpy as np

from .. import costs, transport
from ..pictures import COLOURS, COST_MAP, drawing, look
from ..words import load_words


def word_costs(groups):
    """Cosine cost among real words as a grey image (A8); `groups` maps a name to its words."""
    words = [word for group in groups.values() for word in group]
    cost = costs.cosine(load_words().rows(words))
    edges = np.cumsum([0] + [len(group) for group in groups.values()])
    with drawing(7.4, 6.2) as figure:
        axes = figure.subplots()
        image = axes.imshow(cost, cmap=COST_MAP, vmin=0)
        for edge in edges[1:-1]:
            axes.axhline(edge - 0.5, color="white", lw=3)
            axes.axvline(edge - 0.5, color="white", lw=3)
        axes.set_xticks(range(len(words)), words, rotation=90)
        axes.set_yticks(range(len(words)), words)
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        figure.colorbar(image, label="cosine cost (no unit)", shrink=0.8)
    blocks = [(name, cost[a:b, a:b]) for name, a, b in zip(groups, edges[:-1], edges[1:], strict=True)]
    within = {name: block[np.triu_indices(len(block), 1)].mean() for name, block in blocks}
    across = np.concatenate([cost[a:b, b:].ravel() for a, b in zip(edges[:-1], edges[1:], strict=True)]).mean()
    most = max(within, key=within.get)
    seen = f"Blocks of groups are light: words cost {across:.2f} on average across groups"
    rows = [(name, f"{value:.2f}") for name, value in (within | {"across groups": across}).items()]
    alt = f"{seen}, within one at most {within[most]:.2f} ({most})."
    return figure, alt, [("group", "mean cosine cost"), *rows]


def sandwich(p, tau, embedding, tokens):
    """Mean directions inside the quarter disc, and the product bound in D3's three slices with the distance marked."""
    unit = costs.unit_rows(embedding)
    means = transport.mean_direction(p, embedding), transport.mean_direction(tau, embedding)
    slices = float(transport.jensen_bound(p, tau, embedding)), *(0.5 * (1 - m @ m) for m in means)
    exact = transport.emd(p, tau, costs.cosine(embedding)).value
    with drawing(8.4, 3.7) as figure:
        disc, bar = figure.subplots(1, 2, width_ratios=[1, 1.25])
        _disc(disc, unit, means, tokens)
        _slices(bar, slices, exact)
    between = f"more than the {slices[0]:.3f} between the mean directions"
    alt = f"The EMD {exact:.3f} is {between}, less than the product bound {sum(slices):.3f}, which adds both spreads."
    names = "between the means", "spread of p", "spread of τ", "product bound", "exact EMD"
    rows = [(name, f"{x:.3f}") for name, x in zip(names, (*slices, sum(slices), exact), strict=True)]
    points = zip((*tokens, "mean of p", "mean of τ"), (*unit, *means), strict=True)
    rows += [(f"direction of {name}", f"({x:.2f}, {y:.2f})") for name, (x, y) in points]
    return figure, alt, [("quantity", "value"), *rows]


def _disc(axes, unit, means, tokens):
    turn = np.linspace(0, np.pi / 2, 100)
    axes.plot(np.cos(turn), np.sin(turn), color=COLOURS["cost"], lw=1)
    for point, token in zip(unit, tokens, strict=True):
        axes.plot([0, point[0]], [0, point[1]], color=COLOURS["faint"], lw=1, zorder=0)
        axes.plot(*point, "o", color=COLOURS["ink"], ms=6)
        axes.annotate(token, point, xytext=(7, 5), textcoords="offset points")
    axes.plot(*np.transpose(means), color=COLOURS["emd"], lw=2)
    names = ("p", "$m_p$", (-24, 7)), ("tau", r"$m_\tau$", (-27, -10))
    for mean, (role, name, place) in zip(means, names, strict=True):
        axes.plot(*mean, "o", color=COLOURS[role], ms=9)
        axes.annotate(name, mean, xytext=place, textcoords="offset points", fontsize=12)
    axes.set(xlim=(-0.05, 1.3), ylim=(-0.08, 1.15), aspect="equal", xticks=[0, 1], yticks=[0, 1])
    axes.set_title("mean directions lie inside the circle")


def _slices(axes, slices, exact):
    names = "½|$m_p$ − $m_τ$|²\nbetween", "½(1 − |$m_p$|²)\nspread of p", "½(1 − |$m_τ$|²)\nspread of τ"
    left = 0.0
    for width, name, role in zip(slices, names, ("emd", "p", "tau"), strict=True):
        axes.barh([0], [width], left=left, height=0.5, color=COLOURS[role], edgecolor="white")
        y, align = (-0.33, "top") if role == "p" else (0.33, "bottom")
        axes.text(left + width / 2, y, f"{name}\n{width:.3f}", ha="center", va=align, fontsize=9)
        left += width
    axes.plot([exact, exact], [-0.25, 0.25], color=COLOURS["ink"], lw=2.5)
    axes.text(exact, 0.33, f"EMD\n{exact:.3f}", ha="center", va="bottom", fontsize=9)
    axes.set(ylim=(-1, 1), yticks=[], xlim=(-0.012, left * 1.08), xlabel="cost (no unit)")
    axes.set_title("the product bound in three slices")
    axes.spines["left"].set_visible(False)


def regularisation_dial(strengths, entropic, divergence, exact, upper, lower):
    """Entropic transport and Sinkhorn divergence against regularisation, and the values they end at (D12)."""
    ends = {"product bound": upper, "exact EMD": exact, "Jensen bound": lower}
    signs = r"product bound $p^\top C\tau$", "exact EMD", "½|$m_p$ − $m_τ$|²"
    curves = {"sinkhorn": entropic, "sinkhorn-divergence": divergence}
    labels = {r"entropic transport $\mathcal{C}_\varepsilon$": -14, r"Sinkhorn divergence $S_\varepsilon$": 8}
    with drawing(7.6, 3.5) as figure:
        axes, middle = figure.subplots(), len(strengths) // 2
        for (name, value), sign in zip(ends.items(), signs, strict=True):
            axes.axhline(value, lw=1.5, **look(name).curve)
            axes.text(strengths[-1] * 1.25, value, f"{sign}\n{value:.3f}", va="center", fontsize=9)
        for (name, curve), (label, up) in zip(curves.items(), labels.items(), strict=True):
            axes.plot(strengths, curve, lw=1.5, **look(name).line)
            axes.annotate(label, (strengths[middle], curve[middle]), xytext=(12, up), textcoords="offset points")
        axes.set(xscale="log", xlim=(strengths[0] * 0.9, strengths[-1] * 1.1), ylim=(0, upper * 1.15))
        axes.set(xlabel="regularisation ε, in units of cost", ylabel="cost")
    paths = (f"{curve[0]:.3f} to {curve[-1]:.3f}" for curve in (entropic, divergence))
    names = "entropic transport goes from", "the Sinkhorn divergence from"
    moves = ", ".join(f"{name} {path}" for name, path in zip(names, paths, strict=True))
    alt = f"From the EMD {exact:.3f} two ways part as ε grows: {moves}."
    columns = zip(strengths, entropic, divergence, strict=True)
    rows = [(f"{strength:.3g}", f"{a:.3f}", f"{b:.3f}") for strength, a, b in columns]
    rows += [(name, f"{value:.3f}", "") for name, value in ends.items()]
    return figure, alt, [("ε", "entropic transport", "Sinkhorn divergence"), *rows]


def shrinking_costs(words, rulers, runs):
    """Cost matrices while the embedding learns (`rulers`: step -> matrix), and loss and accuracy (A8, claim C3).

    `runs`: title -> (frozen, trained) histories (steps, 2).
    """
    largest = {step: cost.max() for step, cost in rulers.items()}
    darkest, rows = max(largest.values()), [(f"largest cost at step {step}", f"{x:.2f}") for step, x in largest.items()]
    with drawing(8.4, 5.4) as figure:
        top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.25])
        for axes, (step, cost) in zip(top.subplots(1, len(rulers), sharey=True), rulers.items(), strict=True):
            axes.imshow(cost, cmap=COST_MAP, vmin=0, vmax=darkest)
            axes.set(title=f"trained cost, step {step}", xticks=[], yticks=range(len(words)), yticklabels=words)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(True)  # where all costs are 0, the frame alone is left
        top.axes[0].set_xlabel(f"white 0, black {darkest:.2f}")
        for axes, (title, histories) in zip(bottom.subplots(1, len(runs), sharey=True), runs.items(), strict=True):
            for history, dash, name in zip(histories, ("-", "--"), ("frozen", "trained"), strict=True):
                for column, role, what in ((1, "accuracy", "accuracy"), (0, "emd", "loss")):
                    axes.plot(history[:, column], dash, color=COLOURS[role], lw=2, label=f"{what}, cost {name}")
            axes.set(ylim=(-0.02, 1), xlim=(0, len(history) - 1), xlabel="step", title=title)
            for history, name in zip(histories, ("frozen", "trained"), strict=True):
                loss, right = np.abs(history[-1])
                rows.append((f"{title}, cost {name}", f"loss {loss:.2f}, accuracy {right:.2f}"))
        bottom.axes[0].set_ylabel("loss, share right")
        bottom.axes[0].legend(fontsize=9, loc="upper right")
    (first, *_, last), ends = largest.items(), [[history[-1, 1] for history in pair] for pair in runs.values()]
    shrunk = f"from {first[1]:.2f} at step {first[0]} to {last[1]:.2f} at step {last[0]}"
    lost = max(frozen - trained for frozen, trained in ends)
    alt = f"Train the cost and the largest goes {shrunk}. Accuracy falls by up to {lost:.2f}."
    return figure, alt, [("quantity", "at the end"), *rows]
