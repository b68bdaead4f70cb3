"""Exercises of lesson 02: f-divergences as losses for a one-hot label."""

import numpy as np
from scipy.special import softmax

from .. import divergences
from .verdicts import Wrong, as_array, ask, check_shift, compare, exercise


def _generators(rng):
    """Generators as functions of one number: named ones, then a random convex one, which is in no table of names."""
    for name in ("KL", "total variation", "Jensen-Shannon", "squared Hellinger", "Pearson chi2"):
        yield lambda u, g=divergences.GENERATORS[name]: float(g.f(u))
    a, b = rng.uniform(0.5, 2, 2)
    yield lambda u: a * (u - 1) ** 2 + b * abs(u - 1) + a * b * (u - 1)


@exercise("02.1", "D10")
def one_hot_loss(answer, rng):
    """`answer(f, p_t)` is D10, and 0 at p_t = 1 even where f(0) is infinite."""
    for f in _generators(rng):
        for p in rng.uniform(0.05, 0.45, 2):
            target, others = p * f(1 / p), (1 - p) * f(0.0)
            wrong_ratio = (1 - p) * f(1 / (1 - p))
            mistakes = [
                (target, "the wrong tokens are missing: each has the ratio 0, and together they weigh 1 - p_t"),
                (target + f(0.0), "f(0) counts once per unit of wrong probability: multiply it by 1 - p_t"),
                (f(1 / p) + others, "each term f(u_i) is weighted by p_i: the target's by p_t"),
                (target + wrong_ratio, "the label gives the wrong tokens nothing: their ratio is 0, not 1 / (1 - p_t)"),
                (p * f(p) + others, "the ratio at the target is label over model, 1 / p_t, not p_t"),
                (f(p), "that is the divergence with label and model swapped, and without its other tokens"),
            ]
            otherwise = "the value is off: write D_f(tau||p) for three tokens and tau = (1, 0, 0) on paper"
            compare(ask(answer, f, float(p)), target + others, mistakes, otherwise)
    for name in ("KL", "reverse KL"):
        f = divergences.GENERATORS[name].f
        value = float(as_array(ask(answer, lambda u, f=f: float(f(u)), 1.0), ()))
        if not abs(value) < 1e-12:
            advice = "a perfect model has divergence 0, even where f(0) is infinite"
            raise Wrong(f"at p_t = 1 your answer for {name} is {value:g}: {advice}")


@exercise("02.2", "D10")
def tv_gradient(answer, rng):
    """`answer(target, z)` is the gradient of 1 - p_t with respect to the logits z."""
    for n in (2, 4, 6):
        target, z = int(rng.integers(n)), rng.normal(size=n)
        p, one_hot = softmax(z), np.eye(n)[target]
        p_t = p[target]
        right = p_t * (p - one_hot)
        only_target = -p_t * (1 - p_t) * one_hot
        mistakes = [
            (-right, "the sign is reversed: raising the target's logit *lowers* the loss"),
            (p - one_hot, "that is cross-entropy's gradient: total variation's is p_t times as large"),
            (-one_hot, "that is the gradient with respect to p: the softmax in between is missing"),
            (only_target, "only the target's entry is there: raising another logit lowers p_t, so its entry is not 0"),
            (p * (p - one_hot), "every entry takes the factor p_t, the *target's* probability, not its own"),
        ]
        otherwise = "the gradient is off: test one entry with a central difference, (L(z+h) - L(z-h)) / 2h"
        compare(ask(answer, target, z), right, mistakes, otherwise)
        check_shift(ask(answer, target, z + 800.0), right)


@exercise("02.3", "D10")
def family_pull(answer, rng):
    """`answer(p_t, gamma)` is the target logit's derivative in archives/9526's family, gamma 0 and 1 included."""
    for gamma in (0.0, *rng.uniform(0.05, 0.95, 4), 1.0):
        p, gamma = float(rng.uniform(0.05, 0.45)), float(gamma)
        inner, swapped, chain = gamma + (1 - gamma) * p, 1 - gamma + gamma * p, p * (1 - p)
        right = -chain / inner
        mistakes = [
            (-right, "the sign is reversed: raising the target's logit *lowers* the loss"),
            (-1 / inner, "that is the derivative with respect to p_t: multiply by dp_t/dz_t = p_t (1 - p_t)"),
            (-p / inner, "dp_t/dz_t is p_t (1 - p_t): the factor 1 - p_t is missing"),
            (-(1 - p) / inner, "dp_t/dz_t is p_t (1 - p_t): the factor p_t is missing"),
            (right * (1 - gamma), "the inner derivative's 1 - gamma cancels against the one that divides the loss"),
            (-chain / swapped, "gamma and 1 - gamma are swapped: gamma = 0 must give cross-entropy's p_t - 1"),
        ]
        if gamma < 1:
            missing = "the inner derivative is missing: log(gamma + (1 - gamma) p_t) has one, 1 - gamma"
            mistakes.append((right / (1 - gamma), missing))
        otherwise = "the pull is off: at gamma = 0 it is p_t - 1, at gamma = 1 it is -p_t (1 - p_t)"
        compare(ask(answer, p, gamma), right, mistakes, otherwise)
