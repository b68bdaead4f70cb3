"""Pictures of lesson 06; each function returns (figure, alt text)."""

import numpy as np

from .. import pictures, worked

# objective: (colour, line style); the EMO family shares one colour
LOOKS = {
    "ce": ("ce", "-"),
    "accuracy": ("accuracy", "-"),
    "overconfidence": ("family", "-"),
    "tailr": ("family", "--"),
    "mixce": ("family", ":"),
    "emo": ("emd", "-"),
    "emo-mode-1": ("emd", "--"),
    "emo-mode-2": ("emd", ":"),
    "debiased": ("emd", "-."),
}


def rivals(p_t, values, pulls):
    """Each objective's value, and its pull on the target's logit as a share of cross-entropy's, against p_t.

    Formula: A1, A7, A9, D1, D7, D9 and the rivals'. Returns (figure, alt text). Raises KeyError for an objective
    without a look of its own.
    """
    figure = pictures.new_figure(9.2, 3.6)
    with pictures.rc_context(pictures.STYLE):
        left, right = figure.subplots(1, 2)
        for name in values:
            colour, style = LOOKS[name]
            look = {"color": pictures.COLOURS[colour], "ls": style, "lw": 2.8 if name == "accuracy" else 1.9}
            left.plot(p_t, values[name], label=name, **look)
            right.plot(p_t, pulls[name] / pulls["ce"], **look)
        left.set(xscale="log", ylim=(0, 5), xlabel="p(target)", ylabel="value", title="value")
        right.set(
            xscale="log",
            ylim=(-0.03, 1.15),
            xlabel="p(target)",
            ylabel="share of cross-entropy's pull",
            title="pull on the target's logit",
        )
        right.legend(*left.get_legend_handles_labels(), fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    said = ", ".join(f"{name} {values[name][0]:.2f} and {pulls[name][0] / pulls['ce'][0]:.2g}" for name in values)
    return (
        figure,
        f"Value, and pull as a share of cross-entropy's, of nine objectives against p(target). At p(target) = {p_t[0]:.0e}: {said}.",
    )


def rest_points(tau, ends, corner):
    """Triangle of all three-token models with tau and the place where each objective comes to rest; `corner` is where EMO alone goes.

    Formula: D2, D9, D11. Returns (figure, alt text).
    """
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])
    marks = ("s", "^", "v", "P", "X", "D")
    figure = pictures.new_figure(8.0, 3.9)
    with pictures.rc_context(pictures.STYLE):
        axes = figure.subplots()
        axes.plot(*corners[[0, 1, 2, 0]].T, color="#555555", lw=1)
        axes.plot(*(tau @ corners), "o", ms=15, color=pictures.COLOURS["tau"], label="true shares τ")
        for (name, p), mark in zip(ends.items(), marks, strict=False):
            colour = pictures.COLOURS["ce" if name == "ce" else "emd"]
            hollow = {"mfc": "none", "mew": 1.8} if name == "debiased" else {}
            axes.plot(*(p @ corners), mark, ms=13 if name == "debiased" else 8, color=colour, label=name, **hollow)
        axes.plot(*corners[corner], "*", ms=16, color=pictures.COLOURS["emd"], label="emo alone", clip_on=False)
        for (x, y), token, shift in zip(corners, worked.TOKENS, (-0.08, -0.08, 0.05), strict=True):
            axes.text(x, y + shift, token, ha="center", va="center", fontsize=10)
        axes.set(xlim=(-0.1, 1.1), ylim=(-0.13, 0.95), aspect="equal")
        axes.axis("off")
        axes.legend(fontsize=9.5, loc="center left", bbox_to_anchor=(1.02, 0.5), labelspacing=0.8)
    said = "; ".join(f"{name} at {_shares(p)}" for name, p in ends.items())
    return (
        figure,
        f"True shares {_shares(tau)}. Coming to rest: {said}. EMO alone goes to the corner {worked.TOKENS[corner]}.",
    )


def _shares(p):
    return ", ".join(f"{token} {value:.2f}" for token, value in zip(worked.TOKENS, p, strict=True))
