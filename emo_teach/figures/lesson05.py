"""Pictures of lesson 05; each function returns (figure, alt text)."""

import numpy as np

from .. import costs, pictures, transport
from ..words import load_words


def word_costs(groups):
    """Cosine cost among real words as a grey image; `groups` maps a name to its words.

    Formula: A8. Returns (figure, alt text). Raises ValueError for a word that is not in the data.
    """
    words = [word for group in groups.values() for word in group]
    cost = costs.cosine(load_words().rows(words))
    edges = np.cumsum([0] + [len(group) for group in groups.values()])
    figure = pictures.new_figure(7.4, 6.2)
    with pictures.rc_context(pictures.STYLE):
        axes = figure.subplots()
        image = axes.imshow(cost, cmap=pictures.COST_MAP, vmin=0)
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
    return (
        figure,
        f"Cosine costs among {len(words)} words in groups. Mean cost within each group: {within}; across groups {across:.2f}.",
    )


def sandwich(p, tau, embedding, tokens):
    """Mean directions inside the quarter disc, and the product bound cut into the three slices of D3 with the exact distance marked.

    Formula: D3. Returns (figure, alt text).
    """
    unit = costs.unit_rows(embedding)
    means = transport.mean_direction(p, embedding), transport.mean_direction(tau, embedding)
    lower = float(transport.jensen_bound(p, tau, embedding))
    slices = lower, *(0.5 * (1 - m @ m) for m in means)
    exact = transport.emd(p, tau, costs.cosine(embedding)).value
    figure = pictures.new_figure(8.4, 3.7)
    with pictures.rc_context(pictures.STYLE):
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
    axes.plot(np.cos(turn), np.sin(turn), color=pictures.COLOURS["cost"], lw=1)
    for point, token in zip(unit, tokens, strict=True):
        axes.plot([0, point[0]], [0, point[1]], color=pictures.COLOURS["faint"], lw=1, zorder=0)
        axes.plot(*point, "o", color=pictures.COLOURS["ink"], ms=6)
        axes.annotate(token, point, xytext=(7, 5), textcoords="offset points")
    axes.plot(*np.transpose(means), color=pictures.COLOURS["emd"], lw=2)
    for mean, name, offset in zip(means, ("p", "tau"), ((-24, 7), (-27, -10)), strict=True):
        axes.plot(*mean, "o", color=pictures.COLOURS[name], ms=9)
        axes.annotate(
            {"p": "$m_p$", "tau": r"$m_\tau$"}[name], mean, xytext=offset, textcoords="offset points", fontsize=12
        )
    axes.set(
        xlim=(-0.05, 1.3),
        ylim=(-0.08, 1.15),
        aspect="equal",
        xticks=[0, 1],
        yticks=[0, 1],
        title="mean directions lie inside the circle",
    )


def _slices(axes, slices, exact):
    names = ("½|$m_p$ − $m_τ$|²\nbetween", "½(1 − |$m_p$|²)\nspread of p", "½(1 − |$m_τ$|²)\nspread of τ")
    left = 0.0
    for k, (width, name, colour) in enumerate(zip(slices, names, ("emd", "p", "tau"), strict=True)):
        axes.barh([0], [width], left=left, height=0.5, color=pictures.COLOURS[colour], edgecolor="white")
        axes.text(
            left + width / 2,
            (0.33, -0.33)[k == 1],
            f"{name}\n{width:.3f}",
            ha="center",
            va=("bottom", "top")[k == 1],
            fontsize=9,
        )
        left += width
    axes.plot([exact, exact], [-0.25, 0.25], color=pictures.COLOURS["ink"], lw=2.5)
    axes.text(exact, 0.33, f"EMD\n{exact:.3f}", ha="center", va="bottom", fontsize=9)
    axes.set(
        ylim=(-1, 1),
        yticks=[],
        xlim=(-0.012, left * 1.08),
        xlabel="cost (no unit)",
        title="the product bound in three slices",
    )
    axes.spines["left"].set_visible(False)


def regularisation_dial(strengths, entropic, divergence, exact, upper, lower):
    """Entropic transport and Sinkhorn divergence against the regularisation, between the exact distance and the two bounds they end at.

    Formula: D12. Returns (figure, alt text).
    """
    figure = pictures.new_figure(7.6, 3.5)
    with pictures.rc_context(pictures.STYLE):
        axes = figure.subplots()
        ends = (
            (upper, "--", r"product bound $p^\top C\tau$"),
            (exact, "-", "exact EMD"),
            (lower, ":", "½|$m_p$ − $m_τ$|²"),
        )
        for value, style, name in ends:
            axes.axhline(value, color=pictures.COLOURS["emd"], ls=style, lw=1.5)
            axes.text(strengths[-1] * 1.25, value, f"{name}\n{value:.3f}", va="center", fontsize=9)
        axes.plot(strengths, entropic, "o-", color=pictures.COLOURS["ink"], lw=1.5)
        axes.plot(strengths, divergence, "s-", color=pictures.COLOURS["ink"], lw=1.5)
        middle = len(strengths) // 2
        curves = (
            (r"entropic transport $\mathcal{C}_\varepsilon$", entropic, -14),
            (r"Sinkhorn divergence $S_\varepsilon$", divergence, 8),
        )
        for name, curve, up in curves:
            axes.annotate(name, (strengths[middle], curve[middle]), xytext=(12, up), textcoords="offset points")
        axes.set(
            xscale="log", xlim=(strengths[0] * 0.9, strengths[-1] * 1.1), xlabel="regularisation ε, in units of cost"
        )
        axes.set(ylim=(0, upper * 1.15), ylabel="cost")
    return figure, (
        f"From regularisation {strengths[0]:.2f} to {strengths[-1]:.0f}, entropic transport rises from {entropic[0]:.3f} to {entropic[-1]:.3f}, "
        f"towards the product bound {upper:.3f}; the Sinkhorn divergence falls from {divergence[0]:.3f} to {divergence[-1]:.3f}, towards "
        f"{lower:.3f}. To the left both run towards the exact distance {exact:.3f}."
    )


def shrinking_costs(words, rulers, runs):
    """Cost matrices at some steps (`rulers`: step -> matrix), and loss and accuracy of `runs`: title -> (frozen, trained) histories (steps, 2).

    Formula: A8, with an embedding that learns (claim C3). Returns (figure, alt text).
    """
    figure = pictures.new_figure(8.4, 5.4)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 1.25])
    said = []
    with pictures.rc_context(pictures.STYLE):
        darkest = max(cost.max() for cost in rulers.values())
        for axes, (step, cost) in zip(top.subplots(1, len(rulers), sharey=True), rulers.items(), strict=True):
            axes.imshow(cost, cmap=pictures.COST_MAP, vmin=0, vmax=darkest)
            axes.set(title=f"trained cost, step {step}", xticks=[], yticks=range(len(words)), yticklabels=words)
            axes.tick_params(length=0)
            axes.spines[:].set_visible(True)  # where all costs are 0, the frame alone is left
            said.append(f"{cost.max():.2f} at step {step}")
        top.axes[0].set_xlabel(f"white 0, black {darkest:.2f}")
        for axes, (title, histories) in zip(bottom.subplots(1, len(runs), sharey=True), runs.items(), strict=True):
            for history, style, name in zip(histories, ("-", "--"), ("frozen", "trained"), strict=True):
                axes.plot(
                    history[:, 1], style, color=pictures.COLOURS["accuracy"], lw=2, label=f"accuracy, cost {name}"
                )
                axes.plot(history[:, 0], style, color=pictures.COLOURS["emd"], lw=2, label=f"loss, cost {name}")
            axes.set(ylim=(-0.02, 1), xlim=(0, len(history) - 1), xlabel="step", title=title)
            (a, b), (c, d) = (history[-1] for history in histories)
            said.append(
                f"{title}: with frozen cost loss {a:.2f} and accuracy {b:.2f} at the end, with trained cost {abs(c):.2f} and {d:.2f}"
            )
        bottom.axes[0].set_ylabel("loss, share right")
        bottom.axes[0].legend(fontsize=9, loc="upper right")
    return figure, f"The dearest pair among {', '.join(words)} costs {'; '.join(said)}."
