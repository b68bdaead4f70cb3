"""Pictures of lesson 02; each function returns (figure, alt text)."""

import numpy as np

from .. import divergences, pictures


def generators():
    """The seven generators f(u), grouped by what their ends do.

    Formula: D10, the f's of `divergences.GENERATORS`. Returns (figure, alt text).
    """
    groups = (
        ("f(0) is infinite", ("reverse KL", "Neyman chi2")),
        ("f(0) finite, slope without end", ("KL", "Pearson chi2")),
        ("both finite", ("total variation", "Jensen-Shannon", "squared Hellinger")),
    )
    colours = {"KL": pictures.COLOURS["ce"], "total variation": pictures.COLOURS["accuracy"]}
    u = np.concatenate([np.geomspace(1e-4, 0.1, 60), np.linspace(0.1, 4, 200)])
    figure = pictures.new_figure(8.6, 2.9)
    with pictures.rc_context(pictures.STYLE):
        for axes, (title, names) in zip(figure.subplots(1, 3, sharey=True), groups, strict=True):
            axes.axhline(0, color=pictures.COLOURS["faint"], lw=1, zorder=0)
            for name, style in zip(names, ("-", "--", ":")[: len(names)], strict=True):
                colour = colours.get(name, pictures.COLOURS["divergence"])
                broad = (
                    {"lw": 6, "alpha": 0.35, "ls": "-"} if name == "squared Hellinger" else {"lw": 2, "ls": style}
                )  # it hides under JS
                axes.plot(u, divergences.GENERATORS[name].f(u), color=colour, label=name, **broad)
            axes.plot([1], [0], "o", color=pictures.COLOURS["ink"], ms=5)
            axes.set(title=title, xlim=(0, 4), ylim=(-1.6, 3), xlabel="u = τ / p")
            axes.legend(fontsize=9, loc="lower right" if "slope" in title else "upper right")
        figure.axes[0].set_ylabel("f(u)")
    said = "; ".join(f"{title}: {', '.join(names)}" for title, names in groups)
    return figure, f"Seven convex generators f(u) that all pass through 0 at u = 1, in three groups. {said}."


def two_bumps(tau, chosen):
    """A label with two bumps and the single bump that each divergence prefers; `chosen` maps a name to (model, centre, width).

    Formula: D10, each divergence at its best single bump. Returns (figure, alt text).
    """
    figure = pictures.new_figure(8.6, 4.0)
    said = []
    with pictures.rc_context(pictures.STYLE):
        panels = figure.subplots(2, 2, sharex=True, sharey=True)
        for axes, (name, (model, centre, width)) in zip(panels.flat, chosen.items(), strict=True):
            axes.bar(np.arange(tau.size), tau, 1.0, color=pictures.COLOURS["tau"], label="label τ")
            axes.plot(np.arange(tau.size), model, color=pictures.COLOURS["p"], lw=2.2, label="best model p")
            axes.set(title=f"{name}: centre {centre:g}, width {width:g}", xlim=(-0.5, tau.size - 0.5))
            said.append(f"{name}: centre {centre:g}, width {width:g}")
        for axes in panels[1]:
            axes.set_xlabel("temperature (°C)")
        for axes in panels[:, 0]:
            axes.set_ylabel("probability")
        panels[0, 0].legend(fontsize=9, loc="upper right")
    return (
        figure,
        "A label with a larger bump at 12 and a smaller one at 28, and the one-bump model closest to it. "
        + "; ".join(said)
        + ".",
    )


def wrong_labels(x, is_one, fits, truth):
    """A two-class sample with wrong labels far right, and the fitted sigmoids; `fits` maps a loss to (steepness, boundary), as `truth`.

    Formula: D10, losses of soft two-class models. Returns (figure, alt text). Raises KeyError for a loss without a
    look of its own.
    """
    looks = {
        "KL": ("ce", "-"),
        "Pearson chi2": ("divergence", "--"),
        "squared Hellinger": ("divergence", ":"),
        "total variation": ("accuracy", "-"),
    }
    figure = pictures.new_figure(8.6, 3.4)
    at = np.linspace(-3.2, 9, 600)

    def curve(steep, middle):
        return 1 / (1 + np.exp(-np.clip(steep * (at - middle), -60, 60)))

    with pictures.rc_context(pictures.STYLE):
        axes = figure.subplots()
        wrong = (x > 4) & ~is_one
        axes.plot(
            x[~wrong], is_one[~wrong] + 0.0, "|", color=pictures.COLOURS["cost"], ms=11, label="texts, rightly labelled"
        )
        axes.plot(
            x[wrong],
            is_one[wrong] + 0.0,
            "x",
            color=pictures.COLOURS["emd"],
            ms=8,
            mew=2,
            label="texts, wrongly labelled",
        )
        axes.plot(at, curve(*truth), color=pictures.COLOURS["tau"], lw=6, alpha=0.6, label="the best possible model")
        for k, (name, fit) in enumerate(fits.items()):
            colour, style = looks.get(name, ("family", ("-", "--", ":")[k % 3]))
            axes.plot(at, curve(*fit), style, color=pictures.COLOURS[colour], lw=2, label=name)
        axes.set(xlabel="feature x of the text", ylabel="probability of Tuesday", xlim=(-3.2, 9), ylim=(-0.08, 1.08))
        axes.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    said = "; ".join(f"{name} {middle:.1f} with steepness {steep:.2f}" for name, (steep, middle) in fits.items())
    best = f"best possible {truth[1]:.1f} with steepness {truth[0]:g}"
    return (
        figure,
        f"Sigmoids fitted under several losses with {wrong.sum()} wrong labels far right. Boundary: {said}; {best}.",
    )
