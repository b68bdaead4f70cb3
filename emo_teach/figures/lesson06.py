"""Pictures of lesson 06; each function returns (figure, alt text, numbers)."""

import numpy as np

from .. import divergences, worked
from ..explorers.simplex import CORNERS
from ..pictures import COLOURS, drawing, look


def rivals(p_t, values, pulls):
    """Each objective's value, and its pull on the target's logit as a share of cross-entropy's, against p_t."""
    wide = {"ce": 4.0, "accuracy": 2.8}  # others lie on these
    with drawing(9.2, 3.6) as figure:
        left, right = figure.subplots(1, 2)
        for name in values:
            line = look(name).curve | {"lw": wide.get(name, 1.9)}
            left.plot(p_t, values[name], label=name, **line)
            right.plot(p_t, pulls[name] / pulls["ce"], **line)
        left.set(xscale="log", ylim=(0, 5), xlabel="p(target)", ylabel="value", title="value")
        right.set(xscale="log", ylim=(-0.03, 1.15), xlabel="p(target)", ylabel="share of cross-entropy's pull")
        right.set_title("pull on the target's logit")
        right.legend(*left.get_legend_handles_labels(), fontsize=9, loc="center left", bbox_to_anchor=(1.0, 0.5))
    shares = {name: pulls[name] / pulls["ce"] for name in values}
    kept = [name for name, share in shares.items() if share[0] >= 0.1]
    seen = f"At p(target) = {p_t[0]:.0e} {len(kept)} of {len(values)} objectives keep a tenth of CE's pull"
    middle, rows = len(p_t) // 2, []
    header = [f"{what} at p(target) = {p_t[k]:.1g}" for k in (0, middle) for what in ("value", "share of CE's pull")]
    for name in values:
        rows.append((name, *(x for k in (0, middle) for x in (f"{values[name][k]:.2f}", f"{shares[name][k]:.2g}"))))
    return figure, f"{seen}: {', '.join(kept)}. The others let go.", [("objective", *header), *rows]


def rest_points(tau, ends, corner):
    """Triangle of all models with tau and where each objective rests; EMO alone goes to `corner` (D2, D9, D11)."""
    with drawing(8.0, 3.9) as figure:
        axes = figure.subplots()
        axes.plot(*CORNERS[[0, 1, 2, 0]].T, color=COLOURS["outline"], lw=1)
        axes.axis("off")
        axes.plot(*(tau @ CORNERS), "o", ms=15, color=COLOURS["tau"], label="true shares τ")
        for name, p in ends.items():
            hollow = {"mfc": "none", "mew": 1.8, "ms": 14} if name == "debiased" else {"ms": 8}
            axes.plot(*(p @ CORNERS), label=name, **look(name).line | {"ls": ""} | hollow)
        axes.plot(*CORNERS[corner], ms=12, label="emo alone", clip_on=False, **look("emo").line | {"ls": ""})
        for (x, y), token, shift in zip(CORNERS, worked.TOKENS, (-0.08, -0.08, 0.05), strict=True):
            axes.text(x, y + shift, token, ha="center", va="center", fontsize=10)
        axes.set(xlim=(-0.1, 1.1), ylim=(-0.13, 0.95), aspect="equal")
        axes.legend(fontsize=9.5, loc="center left", bbox_to_anchor=(1.02, 0.5), labelspacing=0.8)
    alone = np.eye(len(tau))[corner]
    places = {"true shares τ": tau, **ends, "emo alone": alone}
    off = {name: divergences.total_variation(p, tau) for name, p in places.items()}
    by_distance = sorted(ends, key=off.get)
    near, far = (f"{name} {off[name]:.2f}" for name in (by_distance[0], by_distance[-1]))
    goes = f"EMO alone goes to the corner {worked.TOKENS[corner]}"
    alt = f"{goes}; nearest to the true shares rests {near} off, farthest {far}."
    rows = [(name, *(f"{x:.2f}" for x in p), f"{off[name]:.2f}") for name, p in places.items()]
    return figure, alt, [("rests at", *worked.TOKENS, "total variation from τ"), *rows]
