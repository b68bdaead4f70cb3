"""What rounding may do: sums of float32, values that are 0 or above, masses near the least float."""

import numpy as np
import pytest
import torch

from emo_teach import costs, inputs, transport
from emo_teach import divergences as dv
from emo_teach.losses import soft
from emo_teach.measure import mauve, oracle

VOCABULARIES = (32_000, 50_257, 151_936)


def teachers(size, seed, kind=torch.float32):
    """Rows of softmaxes as a model gives them: ordinary logits, large ones, and one peak over equal ones."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4, size, generator=generator) * torch.tensor([[1.0], [0.1], [5.0], [0.0]])
    logits[3, 0] = 15.0
    return logits.to(kind).log_softmax(-1), logits.to(kind).softmax(-1)


def normalised(p):
    p = np.asarray(p, float)
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("size", VOCABULARIES)
@pytest.mark.parametrize("seed", range(3))
def test_softmaxes_in_float32_are_distributions_whose_sum_is_taken_out(size, seed):
    log_p, p = (x.numpy() for x in teachers(size, seed))
    assert np.abs(p[3].astype(float).sum() - 1) > 1e-5  # what float64 would be refused for
    exact, tau = normalised(p), normalised(p[::-1])
    embedding = np.random.default_rng(seed).normal(size=(size, 2))
    for call in (
        dv.entropy,
        lambda p: dv.log_loss(p, 7),
        lambda p: dv.cross_entropy(p, tau),
        lambda p: dv.kl(tau, p),
        lambda p: dv.total_variation(p, tau),
        lambda p: dv.f_divergence("Jensen-Shannon", p, tau),
        lambda p: dv.logit_gradient("KL", tau, p),
        lambda p: transport.emo(p, embedding, 3),
        lambda p: transport.jensen_bound(p, tau, embedding),
        lambda p: transport.class_emd(p, tau, np.arange(size) % 5, 0.2),
        lambda p: transport.emd_1d(p[3], tau[3]),
        lambda p: mauve.area(p[3], tau[3]),
        lambda p: oracle.forward_kl(np.log(exact), p),
    ):
        np.testing.assert_array_equal(call(p), call(exact))
    # each logarithm is rounded to 24 bits: one near -12 to 5e-7
    np.testing.assert_allclose(oracle.total_variation(log_p, exact), 0, atol=1e-5)
    assert np.exp(inputs.log_distributions("log_p", log_p)).sum(-1) == pytest.approx([1] * 4, abs=1e-12)


def test_all_of_transport_takes_float32():
    """A linear program wants equal masses, Sinkhorn's iteration too."""
    p = torch.softmax(10 * torch.randn(2, 5, generator=torch.Generator().manual_seed(0)), -1).numpy()
    cost = costs.zero_one(5)
    for call in (
        lambda *pair: transport.emd(*pair, cost).value,
        lambda *pair: transport.emd_many(*pair, cost).value,
        lambda *pair: transport.product_bound(*pair, cost),
        lambda *pair: transport.debiased(*pair, cost),
        lambda *pair: transport.entropic(*pair, cost, 0.1)[0],
        lambda *pair: transport.sinkhorn_divergence(*pair, cost, 0.1),
        lambda *pair: transport.sinkhorn_potentials(*pair, cost, 0.1)[0],
    ):
        np.testing.assert_array_equal(call(*p), call(*normalised(p)))


@pytest.mark.parametrize("kind", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_teachers_of_every_type_are_soft_labels(kind):
    for size in VOCABULARIES:
        labels = teachers(size, 1, kind)[1]
        found = soft.soft_objective("ce")(torch.zeros(labels.shape), labels)
        assert found.numpy() == pytest.approx([np.log(size)] * 4, rel=1e-10)  # in float64 they miss by 2e-12


def test_a_teacher_that_was_widened_meets_the_sinkhorn_loss():
    """Sums that miss 1 by up to 1e-6 are allowed; a plan with two sides of different masses there is not."""
    labels = normalised(np.random.default_rng(0).dirichlet(np.ones(3), 4)) * (1 + 9e-7)
    logits, cost = torch.zeros(4, 3, dtype=torch.float64), costs.zero_one(3)
    loss = soft.soft_objective("sinkhorn", cost, tolerance=1e-9)
    found, right = (loss(logits, torch.tensor(t)) for t in (labels, normalised(labels)))
    assert found.numpy() == pytest.approx(right.numpy(), abs=2e-6)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([0.5, 0.5, 2e-6], np.float64),
        ([0.5, 0.5, 2e-6], np.float32),
        ([0.5, 0.5, 2e-2], np.float16),
        ([1 / 151_936 * 1.02] * 151_936, np.float32),
        ([1 / 50_257 * (1 + 2e-6)] * 50_257, np.float64),
        ([0.3, 0.3], np.float16),
    ],
)
def test_clear_nonsense_is_still_refused(values, kind):
    p = np.array(values, kind)
    for call in (dv.entropy, lambda p: transport.class_emd(p, p, np.zeros(len(p), int)), lambda p: mauve.area(p, p)):
        with pytest.raises(ValueError, match="sums to"):
            call(p)
    with pytest.raises(ValueError, match=r"labels\[0\] sums to"):
        soft.soft_objective("ce")(torch.zeros(1, len(p)), torch.from_numpy(p)[None])
    with pytest.raises(ValueError, match="sums to"), np.errstate(divide="ignore"):
        oracle.forward_kl(np.log(p.astype(float)), p)


def pairs():
    """(p, tau): equal, nearly equal, off in sum as far as allowed, corners and masses near the least float."""
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 8):
        for _ in range(12):
            p = rng.dirichlet(np.ones(n))
            least = rng.choice([0, 5e-324, 1e-310, 1e-20, 0.3], n)
            least[rng.integers(n)] = 1
            for tau in (p, p * (1 + 1e-12 * rng.normal(size=n)), p * (1 + 9e-7), least / least.sum(), np.eye(n)[0]):
                yield p, tau
                yield tau, p
                yield tau, tau


VALUES = {
    "entropy": lambda p, tau, e: dv.entropy(p),
    "log_loss": lambda p, tau, e: dv.log_loss(p, 0),
    "cross_entropy": lambda p, tau, e: dv.cross_entropy(tau, p),
    "kl": lambda p, tau, e: dv.kl(tau, p),
    "total_variation": lambda p, tau, e: dv.total_variation(p, tau),
    **{name: lambda p, tau, e, name=name: dv.f_divergence(name, p, tau) for name in dv.GENERATORS},
    "one_hot_loss": lambda p, tau, e: dv.one_hot_loss(dv.alpha_generator(0.5), np.minimum(p, 1)),
    "emd": lambda p, tau, e: transport.emd(p, tau, costs.cosine(e)).value,
    "emo": lambda p, tau, e: transport.emo(p, e, 0),
    "bound": lambda p, tau, e: transport.product_bound(p, tau, costs.cosine(e)),
    "jensen": lambda p, tau, e: transport.jensen_bound(p, tau, e),
    "emd_1d": lambda p, tau, e: transport.emd_1d(p, tau),
    "class_emd": lambda p, tau, e: transport.class_emd(p, tau, np.arange(len(p)) // 2, 0.2),
    "entropic": lambda p, tau, e: transport.entropic(p, tau, 0 * costs.cosine(e), 1e6)[0],
    "sinkhorn_divergence": lambda p, tau, e: transport.sinkhorn_divergence(p, tau, costs.cosine(e), 1.0),
    "forward_kl": lambda p, tau, e: oracle.forward_kl(np.log(p), tau),
    "reverse_kl": lambda p, tau, e: oracle.reverse_kl(np.log(p), tau),
    "js": lambda p, tau, e: oracle.js(np.log(p), tau),
    "split_kl": lambda p, tau, e: oracle.split_kl(np.log(p), tau, np.arange(len(p)) // 2),
    "frontier": lambda p, tau, e: mauve.divergence_frontier(p, tau),
    "area": lambda p, tau, e: mauve.area(p, tau),
}
LARGEST = {"total_variation": 1.0, "js": np.log(2), "area": 1.0}


@pytest.mark.parametrize("name", VALUES)
def test_no_value_is_below_zero_or_nan(name):
    rng = np.random.default_rng(1)
    for p, tau in pairs():
        with np.errstate(divide="ignore"):  # log 0 of the tests' own
            found = np.asarray(VALUES[name](p, tau, rng.normal(size=(len(p), 3))))
        assert (found >= 0).all() and not np.signbit(found).any(), (p, tau, found)
        assert (found <= LARGEST.get(name, np.inf)).all(), (p, tau, found)


@pytest.mark.parametrize("name", ["ce", "bound", "emd", "sinkhorn"])
def test_no_soft_loss_is_below_zero(name):
    """The last two of `soft.NAMES` are so but for their tolerance."""
    embedding = np.random.default_rng(2).normal(size=(8, 3))
    for p, tau in pairs():
        loss = soft.soft_objective(name, costs.cosine(embedding[: len(p)]), 1.0)
        found = loss(torch.tensor(p).log()[None], torch.tensor(tau)[None])
        assert (found >= 0).all() and not found.signbit().any(), (p, tau, found)


def test_the_least_float_has_a_finite_logarithm():
    assert dv.kl([0, 1], [1, 5e-324]) == pytest.approx(-np.log(5e-324), rel=1e-15)
    assert dv.f_divergence("reverse KL", [1, 5e-324], [0, 1]) == pytest.approx(-np.log(5e-324), rel=1e-15)
    frontier = mauve.divergence_frontier([1, 5e-324], [0, 1])
    assert np.isfinite(frontier).all() and np.isfinite(mauve.divergence_frontier([0, 1], [1, 5e-324])).all()
    assert transport.entropic([1, 5e-324], [0.5, 0.5], [[0, 1], [1, 0]], 1.0)[0] == pytest.approx(0.5)


def test_perplexity_of_log_probabilities_that_float32_rounds_above_zero():
    assert oracle.oracle_perplexity(np.float32([6e-8, 0.0])) == 1.0
    with pytest.raises(ValueError, match="above 0"):
        oracle.oracle_perplexity([2e-6])
