"""Exercises of lesson 02: f-divergences as losses for a one-hot label."""

import numpy as np

from .. import divergences
from .verdicts import Wrong, as_array, ask, compare, exercise


def _generators(rng):
    """Generators as plain functions of one number: named ones, then a random convex one, so that no table of names helps."""
    for name in ("KL", "total variation", "Jensen-Shannon", "squared Hellinger", "Pearson chi2"):
        yield lambda u, g=divergences.GENERATORS[name]: float(g.f(u))
    a, b = rng.uniform(0.5, 2, 2)
    yield lambda u: a * (u - 1) ** 2 + b * abs(u - 1) + a * b * (u - 1)


@exercise("02.1", "D10")
def one_hot_loss(answer, rng):
    """`answer(f, p_t)` is D10, and 0 at p_t = 1 even where f(0) is infinite."""
    for f in _generators(rng):
        for p in rng.uniform(0.05, 0.45, 2):
            right = p * f(1 / p) + (1 - p) * f(0.0)
            mistakes = [
                (p * f(1 / p), "the wrong tokens are missing: each has the ratio 0, and together they weigh 1 - p_t"),
                (p * f(1 / p) + f(0.0), "f(0) counts once per unit of wrong probability: multiply it by 1 - p_t"),
                (f(1 / p) + (1 - p) * f(0.0), "each term f(u_i) is weighted by p_i: the target's by p_t"),
                (
                    p * f(1 / p) + (1 - p) * f(1 / (1 - p)),
                    "the label gives the wrong tokens nothing: their ratio is 0, not 1 / (1 - p_t)",
                ),
                (p * f(p) + (1 - p) * f(0.0), "the ratio at the target is label over model, 1 / p_t, not p_t"),
                (f(p), "that is the divergence with label and model swapped, and without its other tokens"),
            ]
            compare(
                ask(answer, f, float(p)),
                right,
                mistakes,
                "the value is off: write D_f(tau||p) for three tokens and tau = (1, 0, 0) on paper",
            )
    for name in ("KL", "reverse KL"):
        f = divergences.GENERATORS[name].f
        value = as_array(ask(answer, lambda u, f=f: float(f(u)), 1.0), ())
        if not abs(value) < 1e-12:
            raise Wrong(
                f"at p_t = 1 your answer for {name} is {float(value):g}: a perfect model has divergence 0, even where f(0) is infinite"
            )


def _softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


@exercise("02.2", "D10")
def tv_gradient(answer, rng):
    """`answer(target, z)` is the gradient of 1 - p_t with respect to the logits z."""
    for n in (2, 4, 6):
        target, z = int(rng.integers(n)), rng.normal(size=n)
        p, one_hot = _softmax(z), np.eye(n)[target]
        p_t = p[target]
        right = p_t * (p - one_hot)
        mistakes = [
            (-right, "the sign is reversed: raising the target's logit *lowers* the loss"),
            (p - one_hot, "that is cross-entropy's gradient: total variation's is p_t times as large"),
            (-one_hot, "that is the gradient with respect to p: the softmax in between is missing"),
            (
                -p_t * (1 - p_t) * one_hot,
                "only the target's entry is there: raising another logit lowers p_t, so its entry is not 0",
            ),
            (p * (p - one_hot), "every entry takes the factor p_t, the *target's* probability, not its own"),
        ]
        value = ask(answer, target, z)
        compare(
            value,
            right,
            mistakes,
            "the gradient is off: test one entry with a central difference, (L(z+h) - L(z-h)) / 2h",
        )
        if not np.allclose(ask(answer, target, z + 800.0), right):
            raise Wrong(
                "adding a constant to all logits changes your answer or overflows: subtract the largest logit before exp"
            )


@exercise("02.3", "D10")
def family_pull(answer, rng):
    """`answer(p_t, gamma)` is the derivative of archives/9526's family with respect to the target's logit, gamma 0 and 1 included."""
    for gamma in (0.0, *rng.uniform(0.05, 0.95, 4), 1.0):
        p, gamma = float(rng.uniform(0.05, 0.45)), float(gamma)
        inner = gamma + (1 - gamma) * p
        right = -p * (1 - p) / inner
        mistakes = [
            (-right, "the sign is reversed: raising the target's logit *lowers* the loss"),
            (-1 / inner, "that is the derivative with respect to p_t: multiply by dp_t/dz_t = p_t (1 - p_t)"),
            (-p / inner, "dp_t/dz_t is p_t (1 - p_t): the factor 1 - p_t is missing"),
            (-(1 - p) / inner, "dp_t/dz_t is p_t (1 - p_t): the factor p_t is missing"),
            (
                -p * (1 - p) * (1 - gamma) / inner,
                "the inner derivative's 1 - gamma cancels against the one that divides the loss",
            ),
            (
                -p * (1 - p) / (1 - gamma + gamma * p),
                "gamma and 1 - gamma are swapped: gamma = 0 must give cross-entropy's p_t - 1",
            ),
        ]
        if gamma < 1:
            mistakes.append(
                (
                    right / (1 - gamma),
                    "the inner derivative is missing: log(gamma + (1 - gamma) p_t) has one, 1 - gamma",
                )
            )
        compare(
            ask(answer, p, gamma),
            right,
            mistakes,
            "the pull is off: at gamma = 0 it is p_t - 1, at gamma = 1 it is -p_t (1 - p_t)",
        )
