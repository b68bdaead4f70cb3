"""Training from random weights: word vectors from counts, transforms of EMO, and the study's bookkeeping."""

import functools
import math

import numpy as np
import pytest
import torch

from emo_teach import costs, losses
from emo_teach.losses import TRANSFORMS, CostEmbedding, transformed
from emo_teach.studies import lesson08_scratch as scratch
from emo_teach.world import World
from emo_teach.world.vectors import neighbours, ppmi_vectors


def test_neighbours_are_counted_both_ways():
    texts = np.array([[0, 1, 2, 1]])
    assert neighbours(texts, 3, window=1).tolist() == [[0, 1, 0], [1, 0, 2], [0, 2, 0]]
    assert neighbours(texts, 3, window=2).tolist() == [[0, 1, 1], [1, 2, 2], [1, 2, 0]]  # 1 stands two places before 1


def test_vectors_give_the_surprise_back():
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 40, size=(12, 12))
    counts = counts + counts.T
    share = counts / counts.sum()
    information = np.maximum(np.log(share / np.outer(share.sum(1), share.sum(0))), 0)
    u, s, v = np.linalg.svd(information)
    found = ppmi_vectors(counts, 5)
    # columns at right angles, of the singular values' lengths
    assert np.allclose(found.T @ found, np.diag(s[:5]), atol=1e-10)
    assert np.allclose(abs(information @ v[:5].T), abs(found * np.sqrt(s[:5])), atol=1e-10)  # but for a column's sign


def test_near_synonyms_are_near_by_counts_alone():
    world = World()
    cosine = 1 - costs.cosine(scratch.embedding("ppmi", world))
    same = (world.classes[:, None] == world.classes) & ~np.eye(world.size, dtype=bool)
    other = world.classes[:, None] != world.classes
    assert cosine[same].mean() > 0.8 and cosine[other].mean() < 0.2  # measured .94 and .06


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: neighbours([[0.5]], 2), "integers"),
        (lambda: neighbours([[0, 2]], 2), "words are 0..1"),
        (lambda: neighbours([[0, 1]], 2, window=0), "window"),
        (lambda: ppmi_vectors(np.ones((2, 3)), 1), "counts"),
        (lambda: ppmi_vectors(np.diag([1.0, 0.0]), 1), "word 1"),
        (lambda: ppmi_vectors(np.ones((2, 2)), 3), "width"),
    ],
)
def test_bad_counts_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def problem(dtype=torch.float64):
    seeded = {"generator": torch.Generator().manual_seed(0)}
    z, t = torch.randn(6, 9, dtype=dtype, **seeded), torch.randint(9, (6,), **seeded)
    return z, t, CostEmbedding(torch.randn(9, 4, **seeded))


def slope(loss, z):
    """The gradient of the sum of the losses."""
    leaf = z.clone().requires_grad_()
    return torch.autograd.grad(loss(leaf).sum(), leaf)[0]


@pytest.mark.parametrize(
    ("kind", "psi"), [("log", lambda x: -np.log1p(-x)), ("odds", lambda x: x / (1 - x)), ("atanh", np.arctanh)]
)
def test_transforms_are_m_psi_of_l_over_m(kind, psi):
    z, t, cost = problem()
    rows = 1 - cost.unit.double() @ cost.unit.double().T
    most = rows[t].amax(1)
    emo = (z.softmax(-1) * rows[t]).sum(1)
    wanted = most * torch.from_numpy(psi((emo / most).numpy()))
    assert (transformed(z, cost.rows(t).T, kind) - wanted).abs().max() < 1e-6  # the cost's rows are float32


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_transforms_agree_with_emo_where_it_is_small(kind):
    """psi(0) = 0 and psi'(0) = 1: near the target, value and gradient are EMO's."""
    z, t, cost = problem()
    z = z + 14 * torch.nn.functional.one_hot(t, 9)
    ours = slope(lambda z: transformed(z, cost.rows(t).T, kind), z)
    emo = slope(lambda z: losses.objective("emo", cost)(z, t, reduction="none"), z)
    assert (ours - emo).abs().max() < 1e-3 * emo.abs().max()


def test_only_the_farthest_word_is_unbounded():
    """Confidence in the farthest token is pushed down for ever; in any other wrong one the force still dies."""
    z, t, cost = problem(torch.float32)
    z, t = torch.zeros(2, 9), t[:1].repeat(2)
    order = cost.rows(t[:1])[:, 0].argsort()
    z[0, order[-1]], z[1, order[-2]] = 30.0, 30.0
    force = slope(lambda z: transformed(z, cost.rows(t).T, "log"), z).norm(dim=1)
    assert force[0] > 0.1 and force[1] < 1e-6


def test_every_objective_gives_finite_losses_and_gradients(monkeypatch):
    world = World()
    monkeypatch.setattr(scratch, "embedding", functools.cache(scratch.embedding))
    z = 2 * torch.randn(5, world.size, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(5)
    for name in scratch.OBJECTIVES:
        loss = functools.partial(scratch.make_loss(name, world), t=labels, s=0.25)
        assert loss(z).shape == (5,) and loss(z).isfinite().all() and slope(loss, z).isfinite().all(), name
    ce, both = (scratch.make_loss(name, world)(z, labels, 0.25) for name in ("ce", "ce to emo"))
    emo = scratch.make_loss("emo, pretrained cost", world)(z, labels, 0.25)
    assert torch.allclose(both, 0.75 * ce + 0.25 * emo, atol=1e-6)


def test_pulls_are_those_of_the_gradient():
    """CE pulls the target with 1 - p_t, EMO with p_t L (D1)."""
    from emo_teach.world import small_gpt2

    world = World()
    model, judge = small_gpt2(world.size, seed=0).eval(), scratch.Judge(world, 3, seed=1)
    loss = scratch.make_loss("emo, random cost", world)
    found = judge.pulls(model, loss, 0.0)
    with torch.no_grad():
        p = model(torch.from_numpy(judge.texts)).logits[:, :-1].flatten(0, 1).softmax(-1).double()
    labels = torch.from_numpy(judge.texts[:, 1:].copy()).flatten()
    p_t = p.gather(1, labels[:, None])[:, 0]
    cost = torch.from_numpy(costs.cosine(scratch.embedding("random", world)))
    assert math.isclose(found["pull_ce"], float((1 - p_t).mean()), rel_tol=1e-5)
    assert math.isclose(found["pull"], float((p_t * (p * cost[labels]).sum(1)).mean()), rel_tol=1e-4)
    assert found["hopeless"] == float((p_t < 1e-3).double().mean())
