"""All models of three tokens as a triangle: places, lattice, tints, marks, and the worked example's losses over it."""

from functools import lru_cache
from itertools import combinations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.patches import Polygon

from .. import divergences, pictures, transport
from ..worked import COST, TOKENS

CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.5, np.sqrt(0.75)]])  # Monday, Tuesday, banana
HEIGHT = CORNERS[2, 1]
BANDS = 12  # flat steps of colour, so that their borders read as contour lines
NATS_SHOWN = 2.5  # cross-entropy is infinite at the triangle's sides: its map is darkest this far above its minimum
_TINTS = LinearSegmentedColormap.from_list("loss", ["white", pictures.COLOURS["loss"]])(np.linspace(0, 1, BANDS))
PALETTE = (255 * _TINTS[:, :3]).round().astype(np.uint8)
LOSSES = ("cross-entropy", "exact EMD", "product bound", "debiased")


def three(first, share):
    """Distributions (..., 3) from the first token's probability and the second token's share of the rest."""
    first, share = np.asarray(first, float), np.asarray(share, float)
    return np.stack(np.broadcast_arrays(first, (1 - first) * share, (1 - first) * (1 - share)), axis=-1)


def in_words(p, digits=".3f"):
    """A distribution over the worked example's tokens in words."""
    return ", ".join(f"{token} {value:{digits}}" for token, value in zip(TOKENS, p, strict=True))


def rows(name, p):
    """A distribution's rows in a table of numbers: quantity, value."""
    return [(f"{name}: {token}", f"{value:.3g}") for token, value in zip(TOKENS, p, strict=True)]


@lru_cache(maxsize=2)
def lattice(steps):
    """Models (m, 3) with all entries multiples of 1 / steps, row by row from banana 0 up."""
    models = np.array([(steps - i - k, i, k) for k in range(steps + 1) for i in range(steps + 1 - k)]) / steps
    models.setflags(write=False)
    return models


def pixels(columns, rows):
    """Models (rows, columns, 3) at the pixels of the triangle's box, top row first; outside it entries are negative."""
    x, banana = np.meshgrid((np.arange(columns) + 0.5) / columns, (np.arange(rows)[::-1] + 0.5) / rows)
    return np.stack([1 - x - banana / 2, x - banana / 2, banana], axis=-1)


@lru_cache(maxsize=1)
def interpolation(steps, columns, rows):
    """From `lattice(steps)` to pixels: a mask of those in the triangle or beside it; for each, 3 nodes and weights."""
    p = pixels(columns, rows)
    near = p.min(-1) > -2 / columns
    p = np.clip(p[near], 1e-9, None)
    p = steps * (p / p.sum(-1, keepdims=True))
    i, k = np.floor(p[:, 1]).astype(int), np.floor(p[:, 2]).astype(int)
    a, b = p[:, 1] - i, p[:, 2] - k
    upper = a + b > 1

    def node(i, k):
        """Where the model with i steps of Tuesday and k of banana stands in the lattice."""
        return np.minimum(k * (steps + 1) - k * (k - 1) // 2 + i, len(lattice(steps)) - 1)

    nodes = np.stack([node(i + upper, k + upper), node(i + 1, k), node(i, k + 1)], -1)
    return near, nodes, np.stack([np.abs(1 - a - b), np.where(upper, 1 - b, a), np.where(upper, 1 - a, b)], -1)


def tints(values, low, high):
    """Colours (..., 3) of values: white at `low`, a step darker for each band, darkest from `high`."""
    level = (values - low) * (BANDS / max(high - low, 1e-12))
    return PALETTE[np.clip(level.astype(int), 0, BANDS - 1)]


def triangle(axes, image, limits, below, above, fontsize=9.5):
    """Draw a map clipped to the triangle, its outline and its words `below` and `above`; returns image and outline."""
    shown = axes.imshow(image, extent=(0, 1, 0, HEIGHT), interpolation="nearest", zorder=0)
    shown.set_clip_path(Polygon(CORNERS, transform=axes.transData))
    outline = axes.add_patch(Polygon(CORNERS, fill=False, edgecolor=pictures.COLOURS["outline"], lw=1))
    for (x, y), word, shift in zip(CORNERS, TOKENS, (-below, -below, above), strict=True):
        axes.text(x, y + shift, word, ha="center", va="center", fontsize=fontsize)
    axes.set(xlim=limits[:2], ylim=limits[2:], aspect="equal")
    axes.axis("off")
    return shown, outline


def place(line, models):
    """Move a line's points to models (3,) or (k, 3)."""
    line.set_data(*(np.atleast_2d(models) @ CORNERS).T)


@lru_cache(maxsize=1)
def dual_vertices():
    """Every vertex (u, v) of the worked example's dual, `u_i + v_j <= cost_ij` with u_0 = 0, (k, 6).

    Formula: D6, the EMD is the largest `p @ u + tau @ v` among them.
    """
    found = []
    for basis in combinations(np.ndindex(3, 3), 5):
        system, right = np.zeros((6, 6)), np.zeros(6)
        system[0, 0] = 1
        for row, (i, j) in enumerate(basis, start=1):
            system[row, [i, 3 + j]], right[row] = 1, COST[i, j]
        if abs(np.linalg.det(system)) > 0.5:  # 0 or 1 in size: 0 when the five cells contain a cycle
            point = np.linalg.solve(system, right)
            if (point[:3, None] + point[None, 3:] <= COST + 1e-12).all():
                found.append(point)
    return np.unique(np.round(found, 12), axis=0)


def loss_values(loss, p, tau):
    """One of `LOSSES` at models p (..., 3) for labels tau (..., 3), broadcast, under the worked example's cost.

    Formula: A2, A6, D9, or A4 by D6: the largest `p @ u + tau @ v` among the dual's vertices.
    """
    if loss == "exact EMD":
        vertices = dual_vertices()
        return (p @ vertices[:, :3].T + tau @ vertices[:, 3:].T).max(-1)
    if loss == "cross-entropy":
        return divergences.cross_entropy(tau, p)
    if loss not in LOSSES:
        raise ValueError(f"loss = {loss!r} must be one of {', '.join(LOSSES)}")
    return (transport.product_bound if loss == "product bound" else transport.debiased)(p, tau, COST)
