"""Losses for soft labels, transforms of EMO and escape times: refusals, edges, and gradients of whole batches."""

import copy
import io
import pickle

import numpy as np
import pytest
import torch

from emo_teach import costs, transport, worked
from emo_teach.losses import soft, transformed
from emo_teach.losses.objectives import TRANSFORMS
from emo_teach.transport import SolverError, escape_times


def problem(n=6, count=4, seed=0):
    rng = np.random.default_rng(seed)
    logits, labels = 2 * rng.normal(size=(count, n)), rng.dirichlet(np.ones(n), count)
    return torch.tensor(logits), torch.tensor(labels), costs.cosine(rng.normal(size=(n, 3)))


@pytest.mark.parametrize("name", soft.NAMES)
def test_gradients_are_those_of_the_values(name):
    """Central differences along random directions; exact transport is linear between kinks, none within 1e-5."""
    z, labels, cost = problem()
    loss = soft.soft_objective(name, cost, 0.2, tolerance=1e-12)
    direction = torch.tensor(np.random.default_rng(1).normal(size=z.shape))
    x = z.clone().requires_grad_()
    slope = (torch.autograd.grad(loss(x, labels).sum(), x)[0] * direction).sum(1)
    numerical = (loss(z + 1e-5 * direction, labels) - loss(z - 1e-5 * direction, labels)) / 2e-5
    assert (slope - numerical).abs().max() < 1e-8  # second order: 1e-10 of third derivatives near 1, rounding 1e-11


@pytest.mark.parametrize("name", soft.NAMES)
def test_least_at_the_label_or_not(name):
    """Only the product bound and the Sinkhorn loss are less elsewhere than at p = tau."""
    _, labels, cost = problem(count=1)
    loss = soft.soft_objective(name, cost, 1.0)
    at_label = loss(labels.log(), labels).item()
    others = torch.tensor(np.random.default_rng(2).dirichlet(np.ones(6), 300))
    corners = torch.eye(6, dtype=torch.float64)
    others = torch.cat([others, 0.9 * corners + 0.1 / 6, 0.9 * labels + 0.1 * corners])
    values = loss(others.log(), labels.expand_as(others))
    assert (values.min().item() < at_label - 1e-6) == (name in ("bound", "sinkhorn"))


def test_float32_and_extreme_logits():
    z, labels, cost = problem()
    z[0, 0], z[1, 1] = 80.0, -900.0
    for name in soft.NAMES:
        x = z.float().requires_grad_()
        value = soft.soft_objective(name, cost)(x, labels.float())
        slope = torch.autograd.grad(value.sum(), x)[0]
        assert torch.isfinite(value).all() and torch.isfinite(slope).all() and slope.dtype == torch.float32
        assert (value > -1e-9).all(), name


def test_one_hot_labels_give_the_closed_form():
    z, _, cost = problem()
    labels = torch.eye(6, dtype=torch.float64)[[0, 2, 4, 5]]
    p = z.softmax(-1).numpy()
    right = [transport.one_hot_emd(p[k], cost, t) for k, t in enumerate((0, 2, 4, 5))]
    for name in ("bound", "emd", "sinkhorn"):  # one plan exists, so all three are its cost
        np.testing.assert_allclose(soft.soft_objective(name, cost)(z, labels).numpy(), right, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: soft.soft_objective("wasserstein"), "'wasserstein'"),
        (lambda: soft.soft_objective("emd"), "cost"),
        (lambda: soft.soft_objective("emd", np.ones((2, 3))), "cost"),
        (lambda: soft.soft_objective("emd", -np.ones((2, 2))), "negative"),
        (lambda: soft.soft_objective("debiased", [[0.0, 1.0], [2.0, 0.0]]), "symmetric"),
        (lambda: soft.soft_objective("sinkhorn", np.zeros((2, 2)), 0.0), "regularisation"),
        (lambda: soft.soft_objective("sinkhorn", np.zeros((2, 2)), tolerance=0.0), "tolerance"),
        (lambda: soft.soft_objective("ce")(torch.zeros(2, 3), torch.ones(2, 2) / 2), "same shape"),
        (lambda: soft.soft_objective("ce")(torch.zeros(1, 2), torch.tensor([[0.5, 0.6]])), "labels"),
        (lambda: soft.soft_objective("bound", np.zeros((3, 3)))(torch.zeros(1, 2), torch.ones(1, 2) / 2), "3"),
        (lambda: soft.soft_objective("ce")(torch.zeros(1, 2), [[0.5, 0.5]]), "labels must be a tensor"),
        (lambda: soft.soft_objective("ce")(torch.zeros(1, 2).long(), torch.ones(1, 2) / 2), "logits must be"),
        (lambda: soft.soft_objective("ce")(torch.zeros(0, 2), torch.ones(0, 2)), "labels is empty"),
        (
            lambda: soft.soft_objective("ce")(torch.zeros(1, 2), torch.ones(1, 2, device="meta")),
            r"labels is on meta, but logits is on cpu: use labels.to\('cpu'\)",
        ),
        (lambda: transformed(torch.zeros(1, 2), torch.ones(1, 2), "exp"), "'exp'"),
        (lambda: transformed(torch.zeros(1, 2), torch.ones(2, 1), "log"), "same shape"),
    ],
)
def test_what_makes_no_sense_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("name", soft.NAMES)
def test_tokens_at_minus_infinity_are_as_if_cut_off(name):
    z, labels, cost = problem(8)
    z[:, 6:], labels[:, 6:] = -torch.inf, 0
    labels /= labels.sum(-1, keepdim=True)
    found, slope, wanted, at = [], [], [], []
    for n, values, slopes in ((8, found, slope), (6, wanted, at)):
        x = z[:, :n].clone().requires_grad_()
        values.append(soft.soft_objective(name, cost[:n, :n], 1.0, tolerance=1e-9)(x, labels[:, :n]))
        slopes.append(torch.autograd.grad(values[0].sum(), x)[0])
    torch.testing.assert_close(found[0], wanted[0], rtol=0, atol=1e-8)  # Sinkhorn's tolerance
    torch.testing.assert_close(slope[0][:, :6], at[0], rtol=0, atol=1e-8)
    assert (slope[0][:, 6:] == 0).all()


def test_a_label_on_a_token_without_probability():
    """By hand: -½ log ½ - ½ log ½ with a masked word beside it; and infinite where the masked word has label mass."""
    logits = torch.tensor([[0.0, 0.0, -torch.inf]]).repeat(2, 1).requires_grad_()
    loss = soft.soft_objective("ce")(logits, torch.tensor([[0.5, 0.5, 0.0], [0.5, 0.25, 0.25]]))
    assert loss[0].item() == pytest.approx(np.log(2), rel=1e-15) and loss[1].item() == np.inf
    assert torch.isfinite(torch.autograd.grad(loss.sum(), logits)[0]).all()


@pytest.mark.parametrize("name", soft.NAMES)
@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf])
def test_a_row_of_logits_without_a_distribution_is_refused(name, fault):
    z, labels, cost = problem()
    z[2] = torch.tensor([fault, *[-np.inf if fault == -np.inf else 0.0] * 5])
    with pytest.raises(ValueError, match=rf"the largest of logits\[2\] is {fault}"):
        soft.soft_objective(name, cost)(z, labels)


@pytest.mark.parametrize("name", soft.NAMES)
def test_a_soft_loss_can_be_pickled_copied_and_saved(name):
    z, labels, cost = problem()
    loss, file = soft.soft_objective(name, cost), io.BytesIO()
    value = loss(z, labels)
    torch.save(loss, file)
    file.seek(0)
    for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), torch.load(file, weights_only=False)):
        assert torch.equal(other(z, labels), value)


def test_the_cost_goes_to_a_device_once(monkeypatch):
    z, labels, cost = problem()
    loss, moved, tensor = soft.soft_objective("bound", cost), [], torch.tensor
    monkeypatch.setattr(soft.torch, "tensor", lambda *args, **options: moved.append(args) or tensor(*args, **options))
    values = [loss(z, labels) for _ in range(3)]
    assert len(moved) == 1 and torch.equal(values[0], values[2])


def test_sinkhorn_that_does_not_converge_is_an_error():
    z, labels, cost = problem()
    for name in ("sinkhorn", "sinkhorn-divergence"):
        with pytest.raises(SolverError, match="5000 iterations"):
            soft.soft_objective(name, cost, 0.007, tolerance=1e-300)(z, labels)
    with pytest.raises(SolverError, match="3 iterations"):
        transport.symmetric_potentials(labels.numpy(), cost, 0.05, max_iterations=3)


def test_a_kernel_that_would_underflow_is_summed_in_the_log_domain():
    """At 1e-4 numbers like exp(-2e4) are 0; the value still lies between the distance, 0, and the entropy's share."""
    _, labels, cost = problem()
    p = labels.numpy()
    f, g = transport.symmetric_potentials(p, cost, 1e-4)
    value = (p * (f + g)).sum(-1)
    assert ((value > 0) & (value <= 1e-4 * -(p * np.log(p)).sum(-1) + 1e-12)).all()


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_transform_of_nothing_is_zero(kind):
    """A target that is certain, and a cost that is 0 to all tokens: no token is the farthest."""
    logits = torch.tensor([[40.0, 0.0, 0.1], [1.0, 2.0, 3.0]], requires_grad=True)
    found = transformed(logits, torch.tensor([[0.0, 1.0, 0.3], [0.0, 0.0, 0.0]]), kind)
    assert (found == 0).all() and not found.signbit().any()
    assert torch.isfinite(torch.autograd.grad(found.sum(), logits)[0]).all()


def test_a_cost_that_may_not_be_written_to_is_read_without_a_warning():
    logits, labels = torch.zeros(1, 3), torch.tensor(worked.TAU)[None]
    assert not worked.COST.flags.writeable
    for name in soft.NAMES:
        assert torch.isfinite(soft.soft_objective(name, worked.COST)(logits, labels)).all()


def test_from_one_half_nothing_is_left_to_escape():
    assert escape_times(0.5) == (0, 0)
