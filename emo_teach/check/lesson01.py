"""Exercises of lesson 01: cross-entropy is KL."""

import numpy as np
from scipy.special import softmax

from .. import divergences
from .verdicts import Wrong, as_array, ask, check_shift, compare, exercise


def _pairs(rng, rounds=5):
    """Label and model pairs: random ones, then a label with zeros, then a zero that the model shares."""
    for n in rng.integers(2, 8, rounds):
        yield rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))
    yield np.array([0.0, 1.0, 0.0]), np.array([0.2, 0.5, 0.3])
    yield np.array([0.6, 0.4, 0.0]), np.array([0.3, 0.7, 0.0])


@exercise("01.1", "A2")
def cross_entropy(answer, rng):
    """`answer(tau, p)` is the cross-entropy in nats, right where tau has zeros, and infinite where p alone has one."""
    for tau, p in _pairs(rng):
        right, swapped = float(divergences.cross_entropy(tau, p)), float(divergences.cross_entropy(p, tau))
        mistakes = [
            (right / np.log(2), "that is in bits: this course uses the natural logarithm (nats)"),
            (-right, "the sign is reversed: a loss is positive where p is below 1"),
            (right / len(tau), "you took the mean over classes: cross-entropy is the sum"),
            (swapped, "label and model are swapped: tau weighs, p is inside the logarithm"),
            (float(divergences.kl(tau, p)), "that is KL: it has the entropy of tau taken off already"),
        ]
        with np.errstate(divide="ignore", invalid="ignore"):  # the verdict says it better than a warning
            value = ask(answer, tau, p)
        if np.isnan(as_array(value, ())):
            raise Wrong("nan where label and model are both 0: that term is 0, so keep it away from the logarithm")
        compare(value, right, mistakes, "the value is off: compare with A2 on paper for tau = (1, 0)")
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(as_array(ask(answer, np.array([0.5, 0.5]), np.array([1.0, 0.0])), ())) + 0.0
    if value != np.inf:
        advice = "the loss is infinite where the model rules out what the label wants"
        raise Wrong(f"{advice}, not {value:.4g}; mask where tau is 0, clip nothing")


@exercise("01.2", "A2")
def smooth(answer, rng):
    """`answer(target, n, epsilon)` is the smoothed label: (1 - epsilon) on top of epsilon / n everywhere."""
    for n in (3, 2, 7):  # 3 first: at n = 2 some mistakes look alike
        target, epsilon = int(rng.integers(n)), float(rng.uniform(0.05, 0.4))
        one_hot = np.eye(n)[target]
        right = (1 - epsilon) * one_hot + epsilon / n
        hard, wrong = (1 - epsilon) * one_hot, epsilon * (1 - one_hot)
        shared = "the mass epsilon is shared by n tokens: each gets epsilon / n"
        others = "you share epsilon among the *other* tokens only: here the target gets a share too"
        mistakes = [
            (one_hot, "that is the hard label: epsilon has no effect"),
            (hard + epsilon, shared),
            (one_hot + epsilon / n, "it sums to more than 1: the target keeps only 1 - epsilon of its mass"),
            (hard + wrong, shared),
            (hard + wrong / n, "it sums to less than 1: the target, one of the n, gets epsilon / n back"),
            (hard + wrong / (n - 1), others),
        ]
        otherwise = "the label is off: does it sum to 1, and do all wrong tokens get the same?"
        compare(ask(answer, target, n, epsilon), right, mistakes, otherwise)


@exercise("01.3", "A3")
def gradient(answer, rng):
    """`answer(tau, z, temperature)` is the gradient of CE(tau, softmax(z / temperature)) in z."""
    for n in (2, 4, 6):
        tau, z, temperature = rng.dirichlet(np.ones(n)), rng.normal(size=n), float(rng.uniform(1.5, 3))
        p, hot = softmax(z / temperature), softmax(z)
        right = (p - tau) / temperature
        mistakes = [
            (-right, "the sign is reversed: where p is above tau, the loss *grows* with that logit"),
            (p - tau, "that is the gradient with respect to z / T: one factor of the chain rule is missing"),
            ((p - tau) * temperature, "you multiply by T where the chain rule divides"),
            (hot - tau, "the temperature has no effect on your p: softmax takes z / T"),
            ((hot - tau) / temperature, "the temperature has no effect on your p: softmax takes z / T"),
            (-tau / p, "that is the gradient with respect to p: the softmax in between is missing"),
        ]
        otherwise = "the gradient is off: test one entry with (L(z+h) - L(z-h)) / 2h"
        compare(ask(answer, tau, z, temperature), right, mistakes, otherwise)
        check_shift(ask(answer, tau, z + 800.0 * temperature, temperature), right)
