"""Metrics: against the ground floor's own functions, against a model's own loss, and on cases counted by hand."""

import functools
import math
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import trapezoid
from scipy.special import beta
from scipy.stats import chisquare
from transformers import GPT2Config, GPT2LMHeadModel

from emo_teach import costs, divergences, transport
from emo_teach.measure import mauve, oracle, reading, text

RNG = np.random.default_rng(4)


def laws(n, v, concentration=0.3):
    return RNG.dirichlet(np.full(v, concentration), n) * 0.999 + 0.001 / v


P40, LOGITS = np.random.default_rng(5).dirichlet(np.full(10, 0.3), 40), np.array([[0.0, 1.0, 3.0]])


@pytest.fixture(scope="module")
def gpt():
    torch.manual_seed(7)
    size = {"n_layer": 2, "n_embd": 32, "n_head": 2, "vocab_size": 60, "n_positions": 64}
    config = GPT2Config(**size, bos_token_id=None, eos_token_id=None, initializer_range=0.3)
    return GPT2LMHeadModel(config).eval()


@pytest.fixture(scope="module")
def ids():
    return np.random.default_rng(0).integers(0, 60, (10, 20))


def test_log_probs_are_the_models_own(gpt, ids):
    found = reading.next_token_log_probs(gpt, ids, batch=3)
    with torch.no_grad():
        logits = gpt(torch.from_numpy(ids)).logits.double()
    assert found.shape == (10, 20, 60) and found.dtype == np.float64
    np.testing.assert_allclose(np.exp(found).sum(-1), 1, atol=1e-12)
    # float32 logits of batches of other sizes
    np.testing.assert_allclose(found, logits.log_softmax(-1).numpy(), atol=1e-4)
    hot = reading.next_token_log_probs(gpt, ids, temperature=2.0)
    np.testing.assert_allclose(hot, (logits / 2).log_softmax(-1).numpy(), atol=1e-4)
    later = ids.copy()
    later[:, 10:] = (later[:, 10:] + 1) % 60
    after = reading.next_token_log_probs(gpt, later)
    np.testing.assert_allclose(after[:, :10], found[:, :10], atol=1e-4)  # a distribution sees its prefix only


@pytest.mark.parametrize("batch", [1, 4, 64])
def test_perplexity_is_the_exp_of_the_models_loss(gpt, ids, batch):
    with torch.no_grad():
        loss = gpt(input_ids=torch.from_numpy(ids), labels=torch.from_numpy(ids)).loss.item()
    assert reading.perplexity(gpt, ids, batch=batch) == pytest.approx(math.exp(loss), rel=1e-5)  # the loss is float32


def test_the_mode_of_the_model_is_restored_also_after_an_error(gpt, ids):
    gpt.train()
    gpt.transformer.h[0].eval()
    before = [module.training for module in gpt.modules()]
    first = reading.perplexity(gpt, ids)
    assert reading.perplexity(gpt, ids) == first  # no dropout
    with pytest.raises(RuntimeError), reading._evaluating(gpt):
        raise RuntimeError
    assert [module.training for module in gpt.modules()] == before
    gpt.eval()


def test_emo_is_the_mean_of_the_one_hot_emd(gpt, ids):
    logs = reading.next_token_log_probs(gpt, ids)[:, :-1]
    embedding = gpt.lm_head.weight.detach().numpy()
    cost = costs.cosine(embedding)
    pairs = zip(np.exp(logs).reshape(-1, 60), ids[:, 1:].ravel(), strict=True)
    expected = np.mean([transport.one_hot_emd(p, cost, int(t)) for p, t in pairs])
    assert reading.emo(logs, ids[:, 1:], embedding) == pytest.approx(expected, abs=1e-12)


def test_features(gpt, ids):
    with torch.no_grad():
        hidden = gpt.transformer(torch.from_numpy(ids)).last_hidden_state.double().numpy()
    np.testing.assert_allclose(reading.features(gpt, ids, batch=4), hidden.mean(1), atol=1e-4)


def chi_square_tail(counts, p):
    """Probability of a chi-square at least this large, cells with fewer than 5 expected taken together."""
    expected = counts.sum() * p
    rare = expected < 5
    counts, expected = (np.append(each[~rare], each[rare].sum()) for each in (counts, expected))
    return chisquare(counts[expected > 0], expected[expected > 0]).pvalue


@pytest.mark.parametrize("temperature", [0.7, 1.0, 1.8])
def test_samples_follow_the_models_distribution(gpt, temperature):
    """The first token, and the second after the most frequent first one (which comes out of the cache)."""
    prompt = np.array([3, 14, 15])

    def wanted(prefix, temperature):
        return np.exp(reading.next_token_log_probs(gpt, np.array([prefix]), temperature=temperature)[0, -1])

    rows = reading.sample(gpt, np.tile(prompt, (4000, 1)), 2, temperature, seed=1, batch=2000)
    assert (rows[:, :3] == prompt).all()
    counts = np.bincount(rows[:, 3], minlength=60)
    # one of six fixed draws: a tail below 1e-4 is a fault; the neighbouring temperature's distribution is refused
    assert chi_square_tail(counts, wanted(prompt, temperature)) > 1e-4
    assert chi_square_tail(counts, wanted(prompt, temperature * 1.3)) < 1e-4
    common = counts.argmax()
    counts = np.bincount(rows[rows[:, 3] == common, 4], minlength=60)
    assert chi_square_tail(counts, wanted([*prompt, common], temperature)) > 1e-4


def test_sampling_is_seeded_and_does_not_depend_on_the_batch(gpt, ids):
    one = reading.sample(gpt, ids[:, :2], 12, seed=3)
    assert one.shape == (10, 14) and one.dtype == np.int64
    np.testing.assert_array_equal(one, reading.sample(gpt, ids[:, :2], 12, seed=3, batch=3))
    assert (one != reading.sample(gpt, ids[:, :2], 12, seed=4)).any()


def test_greedy_takes_the_likeliest_at_every_step(gpt, ids):
    rows = reading.sample(gpt, ids[:, :2], 10, greedy=True, seed=5)
    logs = reading.next_token_log_probs(gpt, rows)
    np.testing.assert_array_equal(rows[:, 2:], logs[:, 1:-1].argmax(-1))
    np.testing.assert_array_equal(rows, reading.sample(gpt, ids[:, :2], 10, temperature=0.001, seed=6))


def test_top_p_keeps_the_least_set_of_that_mass(gpt, ids):
    prompt, top_p = ids[:1, :3], 0.6
    p = np.exp(reading.next_token_log_probs(gpt, prompt)[0, -1])
    order = np.argsort(-p)
    kept = order[: int(np.searchsorted(np.cumsum(p[order]), top_p)) + 1]
    rows = reading.sample(gpt, np.tile(prompt, (3000, 1)), 1, seed=2, top_p=top_p, batch=3000)
    assert set(rows[:, 3]) == set(kept)
    law = np.where(np.isin(np.arange(60), kept), p, 0)
    assert chi_square_tail(np.bincount(rows[:, 3], minlength=60), law / law.sum()) > 1e-4


def test_a_token_without_probability_is_never_drawn():
    logits = torch.tensor([[-math.inf, 0.0, -math.inf, 0.0, -math.inf]]).repeat(4, 1)
    u = torch.tensor([0.0, 0.5 - 2**-53, 0.5, 1 - 2**-53], dtype=torch.float64)
    assert reading._draw(logits, u, 1.0, 1.0).tolist() == [1, 1, 3, 3]


NAMED = {
    oracle.forward_kl: lambda p, t: divergences.kl(t, p),
    oracle.reverse_kl: lambda p, t: divergences.kl(p, t),
    oracle.total_variation: divergences.total_variation,
    oracle.js: lambda p, t: divergences.f_divergence("Jensen-Shannon", t, p),
}


@pytest.mark.parametrize("metric", NAMED, ids=lambda metric: metric.__name__)
def test_divergences_agree_with_the_ground_floor(metric):
    p, truth = laws(200, 50), laws(200, 50)
    np.testing.assert_allclose(metric(np.log(p), truth), NAMED[metric](p, truth), rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(metric(np.log(truth), truth), 0, atol=1e-14)
    zeros = np.where(p < 0.01, 0, p)
    zeros /= zeros.sum(-1, keepdims=True)
    with np.errstate(divide="ignore"):
        logs = np.log(zeros)
    for pair in ((logs, truth, zeros, truth), (np.log(truth), zeros, truth, zeros), (logs, zeros, zeros, zeros)):
        np.testing.assert_allclose(metric(*pair[:2]), NAMED[metric](*pair[2:]), rtol=1e-11, atol=1e-13)


near = functools.partial(pytest.approx, rel=1e-14, abs=0)
NOTHING, HALVES, ONES = -np.inf, np.log([[0.5, 0.5]]), [1] * 6
BY_HAND = [
    (oracle.forward_kl, ([[0.0, NOTHING]], [[1.0, 0.0]]), 0),
    (oracle.forward_kl, ([[0.0, NOTHING]], [[0.5, 0.5]]), np.inf),
    (oracle.reverse_kl, ([[0.0, NOTHING]], [[0.5, 0.5]]), math.log(2)),
    (oracle.reverse_kl, (HALVES, [[1.0, 0.0]]), np.inf),
    (oracle.js, ([[0.0, NOTHING]], [[0.0, 1.0]]), math.log(2)),
    # a token below the least float still has its price: 1/2 * (log ½ + 1000) + 1/2 log ½, and cannot be taken back
    (oracle.forward_kl, ([[0.0, -1000.0]], [[0.5, 0.5]]), near(500 - math.log(2))),
    (oracle.reverse_kl, ([[0.0, -1000.0]], [[1.0, 0.0]]), np.inf),
    (oracle.oracle_perplexity, (np.log([[0.5, 0.25], [0.25, 0.5]]),), near(math.sqrt(8))),
    (oracle.oracle_perplexity, ([NOTHING, -1.0],), np.inf),
    (oracle.mean_entropy, ([[0.0, NOTHING, 0.0]],), near(math.log(2))),
    # bigrams 12 23 31 12 | 12: three different of five
    (text.distinct_n, ([[1, 2, 3, 1, 2], [1, 2]], 1), near(3 / 7)),
    (text.distinct_n, ([[1, 2, 3, 1, 2], [1, 2]], 2), near(3 / 5)),
    (text.distinct_n, (np.array([[1, 2, 3, 1, 2]]), 5), 1),
    (text.repetition, ([[1, 2, 3, 4, 5]],), 0),
    (text.repetition, ([ONES],), near(2 / 3)),  # 1111 three times, two of them before
    (text.repetition, ([ONES, [1, 2, 3, 4, 5]],), near(1 / 3)),  # a mean over sequences, each by itself
    (text.repetition, ([[1, 2, 3, 4], [1, 2, 3, 4]],), 0),
    # precisions 5/6, 3/5, 1/4 and none of 3 (0.1/3); as long as the reference
    (text.bleu, ([1, 2, 3, 9, 4, 5], [[1, 2, 3, 4, 5, 6]]), near((5 / 6 * 3 / 5 * 1 / 4 * 0.1 / 3) ** 0.25)),
    # clipped: "1" counts twice, as in the second reference, not four times; the closest length is 4
    (text.bleu, ([1, 1, 1, 1], [[1, 2, 2, 2], [1, 1, 3, 3, 3]], 1), 0.5),
    # too short: 4 against 6 gives exp(1 - 6/4)
    (text.bleu, ([1, 2, 3, 4], [[1, 2, 3, 4, 5, 6]]), near(math.exp(-0.5))),
    # of the lengths 3 and 5, equally close to 4, the shorter one: no penalty
    (text.bleu, ([1, 2, 3, 4], [[1, 2, 3], [4, 5, 6, 7, 8]], 1), 1),
    (text.bleu, ([1, 2, 3, 4], [[5, 6, 7, 8]]), 0),
    (text.bleu, ([1, 2, 3, 4, 5], [[1, 2, 3, 4, 5]]), 1),
    (text.self_bleu, ([[1, 2, 3, 4]] * 3,), 1),
    (text.self_bleu, ([[1, 2, 3, 4], [5, 6, 7, 8]],), 0),
]


@pytest.mark.parametrize(("function", "arguments", "expected"), BY_HAND)
def test_by_hand(function, arguments, expected):
    assert function(*arguments) == expected


def simplex(n):
    entries = arrays(float, n, elements=st.one_of(st.just(0.0), st.floats(1e-6, 1)))
    return entries.filter(lambda x: x.sum() > 0).map(lambda x: x / x.sum())


@given(simplex(6), simplex(6))
def test_bounds_of_the_divergences(p, truth):
    with np.errstate(divide="ignore"):
        log_p, log_truth = np.log(p), np.log(truth)
    there, back, tv = oracle.js(log_p, truth), oracle.js(log_truth, p), oracle.total_variation(log_p, truth)
    assert there == pytest.approx(back, abs=1e-14)
    assert -1e-14 <= there <= math.log(2) + 1e-14
    assert there <= math.log(2) * tv + 1e-14  # Lin (1991)
    for kl in (oracle.forward_kl(log_p, truth), oracle.reverse_kl(log_p, truth)):
        assert kl >= 2 * tv**2 - 1e-14  # Pinsker
    assert oracle.forward_kl(log_p, truth) == pytest.approx(oracle.reverse_kl(log_truth, p), abs=1e-13)


@pytest.mark.parametrize("metric", NAMED, ids=lambda metric: metric.__name__)
def test_divergences_refuse(metric):
    good = np.full((2, 4), 0.25)
    for log_p, truth, words in [
        (np.log(good), good[:1], r"log_p \(2, 4\) and truth \(1, 4\)"),
        (np.log(good), good / 2, r"truth\[0\] sums to 0.5"),
        (good, good, r"log_p\[0, 0\] = 0.25"),
        (np.log(good) * np.nan, good, r"log_p\[0, 0\] = nan"),
        (np.log(good / 2), good, r"exp\(log_p\)\[0\] sums to 0.5"),
    ]:
        with pytest.raises(ValueError, match=words):
            metric(log_p, truth)


def test_exact_emd_is_the_ground_floors():
    p, truth, cost = laws(6, 12), laws(6, 12), costs.cosine(RNG.normal(size=(12, 4)))
    found = oracle.exact_emd(p, truth, cost)
    assert found.shape == (6,)
    np.testing.assert_allclose(found, transport.emd_many(p, truth, cost).value, atol=1e-15)
    by_equality = oracle.exact_emd(p, truth, costs.zero_one(12))
    np.testing.assert_allclose(by_equality, divergences.total_variation(p, truth), atol=1e-12)
    one_hot = np.eye(12)[[5] * 6]
    np.testing.assert_allclose(oracle.exact_emd(p, one_hot, cost), transport.one_hot_emd(p, cost, 5), atol=1e-12)


@given(st.floats(0.1, 4.0), st.integers(0, 5))
def test_matched_temperature_is_found_again(temperature, seed):
    logits = np.random.default_rng(seed).normal(size=(20, 15)) * 3
    target = oracle.mean_entropy(logits, temperature)
    found = oracle.matched_temperature(logits + 5, target)  # a constant per context is no matter
    assert oracle.mean_entropy(logits, found) == pytest.approx(target, abs=1e-7)
    assert found == pytest.approx(temperature, rel=1e-6)


def test_mean_entropy_is_that_of_the_softmax():
    logs = np.log(laws(30, 8))
    scaled = np.exp(logs / 1.7) / np.exp(logs / 1.7).sum(-1, keepdims=True)
    assert oracle.mean_entropy(logs, 1.7) == pytest.approx(divergences.entropy(scaled).mean(), abs=1e-12)


def test_where_mass_goes():
    shares = oracle.where_mass_goes([[0.1, 0.2, 0.3, 0.4], [0.4, 0.3, 0.2, 0.1]], [1, 3], [7, 7, 7, 2])
    np.testing.assert_allclose(shares, [[0.2, 0.1], [0.4, 0.0], [0.4, 0.9]], atol=1e-15)
    np.testing.assert_allclose(sum(oracle.where_mass_goes(P40, np.arange(40) % 10, np.arange(10) // 3)), 1, atol=1e-12)


def test_kl_splits_at_the_edges():
    log_p, truth, classes = np.log([0.2, 0.3, 0.5]), [0.0, 0.0, 1.0], [0, 0, 1]
    between, inside = oracle.split_kl(log_p, truth, classes)
    assert between == pytest.approx(np.log(2)) and inside == 0
    # backwards: the model speaks of a class that never comes
    assert [float(part) for part in oracle.split_kl(log_p, truth, classes, reverse=True)] == [np.inf, np.inf]


def test_self_bleu_is_the_mean_over_the_others():
    rng = np.random.default_rng(1)
    rows = [rng.choice(4, size=rng.integers(4, 9), p=[0.6, 0.2, 0.1, 0.1]).tolist() for _ in range(25)]
    assert len(Counter(map(tuple, rows))) < 26  # repeats are welcome
    expected = np.mean([text.bleu(row, rows[:i] + rows[i + 1 :]) for i, row in enumerate(rows)])
    assert text.self_bleu(rows) == pytest.approx(expected, rel=1e-12)
    assert text.self_bleu(rows, size=10, seed=1) == text.self_bleu(rows, size=10, seed=1)
    assert text.self_bleu(rows, size=10, seed=1) != text.self_bleu(rows, size=10, seed=2)
    assert text.self_bleu(rows, size=None) == text.self_bleu(rows)


@given(st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=8), min_size=2, max_size=6))
def test_shares_are_shares(rows):
    assert 0 < text.distinct_n(rows) <= 1
    assert 0 <= text.repetition(rows, 2) < 1
    assert 0 <= text.self_bleu(rows) <= 1 + 1e-12


def paper_area(p, q, scale=5.0, points=25):
    """The same by another road: exp(-scale KL) from the definition, scipy's trapezoid over both orders of the axes."""
    corners = [(0.0, 1.0), (1.0, 0.0)]
    for w in np.linspace(1e-6, 1 - 1e-6, points):
        r = [w * a + (1 - w) * b for a, b in zip(p, q, strict=True)]
        sides = [sum(x * math.log(x / m) for x, m in zip(each, r, strict=True) if x > 0) for each in (q, p)]
        corners.append(tuple(math.exp(-scale * kl) for kl in sides))
    by_x, by_y = sorted(corners, key=lambda c: (c[0], -c[1])), sorted(corners, key=lambda c: (c[1], -c[0]))
    first = trapezoid([y for _, y in by_x], [x for x, _ in by_x])
    return 0.5 * (first + trapezoid([x for x, _ in by_y], [y for _, y in by_y]))


@given(simplex(5), simplex(5), st.sampled_from([1.0, 5.0]))
def test_area(p, q, scale):
    found = mauve.area(p, q, scale)
    assert found == pytest.approx(paper_area(p, q, scale), abs=1e-12)
    assert found == pytest.approx(mauve.area(q, p, scale), abs=1e-12)
    assert 0 < found <= 1 + 1e-12
    points = mauve.divergence_frontier(p, q)
    assert (np.diff(points[:, 0]) >= -1e-14).all() and (np.diff(points[:, 1]) <= 1e-14).all()
    steps = np.diff(mauve.curve(points, scale), axis=0)
    assert (steps[:, 0] <= 1e-13).all() and (steps[:, 1] >= -1e-13).all()


def test_the_frontier_runs_between_the_two_divergences():
    p, q = laws(2, 6)
    points = mauve.divergence_frontier(p, q, points=3)
    middle = 0.5 * (p + q)
    # the weights stop 1e-6 short of the ends
    np.testing.assert_allclose(points[0], [0, divergences.kl(p, q)], atol=1e-2)
    np.testing.assert_allclose(points[1], [divergences.kl(q, middle), divergences.kl(p, middle)], atol=1e-12)
    np.testing.assert_allclose(points[2], [divergences.kl(q, p), 0], atol=1e-2)
    assert mauve.curve(points)[[0, -1]].tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("scale", [1.0, 2.0, 5.0])
def test_the_two_extremes(scale):
    p = laws(1, 6)[0]
    assert mauve.area(p, p, scale) == pytest.approx(1, abs=1e-12)
    apart = mauve.area([0.3, 0.7, 0, 0], [0, 0, 0.4, 0.6], scale, points=4001)
    # trapezoids: the error falls with the square of the step
    assert apart == pytest.approx(scale * beta(scale + 1, scale), rel=1e-5)


def blobs(n, shift, seed, width=8):
    return np.random.default_rng(seed).normal(size=(n, width)) + 4 + shift * np.arange(width) / width


def directions(counts, noise, seed):
    """Rows near the axes, `counts[i]` of them at axis i, each of a length of its own."""
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.eye(len(counts)), counts, axis=0)
    return (rows + noise * rng.normal(size=rows.shape)) * rng.uniform(0.1, 10, (len(rows), 1))


def test_quantise_finds_clusters_that_are_there():
    counts_p, counts_q = [60, 30, 10, 0], [10, 10, 20, 60]
    p, q = mauve.quantise(directions(counts_p, 0.02, 0), directions(counts_q, 0.02, 1), k=4, seed=0)
    wanted = zip(np.divide(counts_p, 100), np.divide(counts_q, 100), strict=True)
    assert sorted(zip(p, q, strict=True)) == sorted(wanted)


def test_quantise_keeps_the_best_start():
    """Eight clusters: for two of these seeds a single start joins some of them."""
    counts = np.arange(10, 18)
    for seed in range(8):
        p, _ = mauve.quantise(directions(counts, 0.05, seed), directions(counts, 0.05, seed + 50), k=8, seed=seed)
        np.testing.assert_allclose(sorted(p * counts.sum()), counts)


def test_components_keep_nine_tenths_of_the_variance():
    data = np.random.default_rng(0).normal(size=(500, 3))
    root = np.linalg.cholesky(np.cov(data.T, bias=True))
    data = (data - data.mean(0)) @ np.linalg.inv(root).T  # variances 1, uncorrelated
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    for variances, kept in (([0.91, 0.05, 0.04], 1), ([0.5, 0.41, 0.09], 2), ([0.5, 0.3, 0.2], 3)):
        found = mauve._components(data * np.sqrt(variances) @ turn + 7)
        np.testing.assert_allclose(found.var(0), variances[:kept], rtol=1e-9)


def test_mauve_falls_as_samples_move_apart():
    text_features = blobs(400, 0.0, 1)
    scores = [mauve.mauve(blobs(400, shift, 2), text_features, k=20, seed=0) for shift in (0.0, 1.5, 3.0, 30.0)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 0.9 and scores[-1] < 0.02  # two samples of one law; nothing in common
    assert mauve.mauve(text_features, text_features, k=20, seed=3) == pytest.approx(1, abs=1e-12)
    assert len({mauve.mauve(blobs(400, 1.5, 2), text_features, 20, 5) for _ in range(2)}) == 1


def test_more_clusters_than_different_features():
    p, q = mauve.quantise(np.repeat(np.eye(3), 3, axis=0), np.eye(3), k=6, seed=0)
    assert p.sum() == pytest.approx(1) and np.count_nonzero(p) == 3 and mauve.area(p, q) == pytest.approx(1)
    p, q = mauve.quantise(np.ones((3, 2)), np.ones((4, 2)), k=2, seed=0)
    assert sorted(p) == sorted(q) == [0, 1]


REFUSALS = [  # without arguments: a function of the model and its ids
    (lambda m, x: reading.next_token_log_probs(m, x[0]), (), r"ids has shape \(20,\): expected 2 axes"),
    (lambda m, x: reading.next_token_log_probs(m, x + 50), (), r"ids\[0, \d+\] = \d+ is out of range for 60 entries"),
    (lambda m, x: reading.next_token_log_probs(m, x * 0 - 1), (), r"ids\[0, 0\] = -1 is out of range for 60 entries"),
    (lambda m, x: reading.next_token_log_probs(m, x * 1.0), (), "ids must be an array of integers, got dtype float64"),
    (lambda m, x: reading.next_token_log_probs(m, [[1, 2], [3]]), (), "ids must be an array of integers"),
    (lambda m, x: reading.next_token_log_probs(m, x, temperature=0), (), "temperature = 0 must be a finite number"),
    (lambda m, x: reading.next_token_log_probs(m, x, batch=0), (), "batch = 0 must be at least 1"),
    (lambda m, x: reading.perplexity(m, x[:, :1]), (), "at least 2 tokens"),
    (lambda m, x: reading.perplexity(m, np.zeros((1, 65), int)), (), "only 64 positions"),
    (lambda m, x: reading.sample(m, x, 45), (), "45 more tokens: the model has only 64 positions"),
    (lambda m, x: reading.sample(m, x, 5, top_p=1.5), (), "top_p = 1.5 must be"),
    (lambda m, x: reading.sample(m, x, 5, seed=-1), (), "seed = -1 must be at least 0"),
    (reading.emo, (np.log([[0.5, 0.5]]), [2], np.eye(2)), r"targets\[0\] = 2 is out of range"),
    (reading.emo, (np.log([[0.5, 0.5]]), [1], np.eye(3)), "unit has 3 rows"),
    (reading.emo, (np.log([[0.5, 0.5]]), [1, 0], np.eye(2)), "disagree"),
    (reading.emo, ([0.1, -1.0], [0], np.eye(2)), r"log_probs\[0\] = 0.1: log-probabilities must not be NaN or above 0"),
    (reading.emo, ([[-1.0, -1.0]], [0], np.eye(2)), r"exp\(log_probs\)\[0\] sums to 0.7357"),
    (text.distinct_n, ("abc",), "must be a list of sequences"),
    (text.distinct_n, ([1, 2],), r"sequences\[0\] must be a sequence"),
    (text.distinct_n, ([["a", "b"]],), r"sequences\[0\] must hold integer token ids"),
    (text.distinct_n, ([[1], []],), "hold no 2-gram"),
    (text.distinct_n, ([],), "holds 0 sequences"),
    (text.distinct_n, ([[1]], 0), "n = 0 must be at least 1"),
    (text.repetition, ([[1, 2, 3, 4], [1, 2]],), r"sequences\[1\] has 2 tokens: at least 4"),
    (text.self_bleu, ([[1, 2, 3, 4]],), "holds 1 sequences: at least 2"),
    (text.self_bleu, ([[1, 2, 3, 4]] * 3, 4, 1), "size = 1 must be at least 2"),
    (text.bleu, ([1, 2, 3, 4], []), "references holds 0"),
    (text.bleu, ([1, 2], [[1, 2]]), r"hypothesis\[0\] has 2 tokens"),
    (mauve.area, ([0.5, 0.5], [1.0]), "p has 2 entries but q has 1"),
    (mauve.area, ([0.5, 0.4], [0.5, 0.5]), "p sums to 0.9"),
    (mauve.area, ([0.5, 0.5], [0.5, 0.5], 0), "scale = 0 must be a finite number above 0"),
    (mauve.divergence_frontier, ([1.0], [1.0], 1), "points = 1 must be at least 2"),
    (mauve.curve, ([[1.0, 2.0, 3.0]],), "two columns"),
    (mauve.quantise, (np.ones((2, 3)), np.ones((2, 4)), 2, 0), "features_p has 3 entries but features_q has 4"),
    (mauve.quantise, (np.ones((2, 3)), np.ones((2, 3)), 5, 0), "k = 5 clusters cannot be made of 4 features"),
    (mauve.quantise, (np.ones((2, 3)), [[1.0, 1, 1], [0, 0, 0]], 2, 0), r"features_q\[1\] is a row of zeros"),
    (mauve.quantise, ([[np.nan, 1.0]], [[1.0, 1.0]], 2, 0), r"features_p\[0, 0\] = nan"),
    (mauve.mauve, (np.ones((2, 3)), np.ones((2, 3)), 2, -1), "seed = -1"),
    (oracle.oracle_perplexity, ([],), "empty"),
    (oracle.oracle_perplexity, ([0.5],), r"log_truth\[0\] = 0.5"),
    (oracle.oracle_perplexity, (np.nan,), "nan"),
    (oracle.matched_temperature, (LOGITS, 2.0), r"= 2 is out of reach: temperatures from 0.05 to 5"),
    (oracle.matched_temperature, (LOGITS, 2.0), r"give .* to 1.0\d* nats"),
    (oracle.matched_temperature, (LOGITS, 0.0, 0.5), "out of reach"),
    (oracle.matched_temperature, (LOGITS, 0.5, 2, 1), "high = 1 must be a finite number above 2"),
    (oracle.matched_temperature, ([[0.0, 1.0], [-np.inf, -np.inf]], 0.5), r"logits\[1\] has no finite entry"),
    (oracle.matched_temperature, ([[0.0, np.nan]], 0.5), r"logits\[0, 1\] = nan"),
    (oracle.mean_entropy, (1.0,), r"logits must have a last axis with entries"),
    (oracle.where_mass_goes, (P40, [1], np.arange(10)), "target has 1 entries"),
    (oracle.where_mass_goes, (P40, np.full(40, 10), np.arange(10)), "out of range"),
    (oracle.where_mass_goes, (P40, [1], np.arange(9)), r"must be \(N, V\) and \(V,\)"),
    (oracle.split_kl, (np.log([0.2, 0.8]), [0.0, 1.0], [0, 1, 1]), "classes has 3 entries"),
    (oracle.exact_emd, (P40[0], P40[0], np.eye(10)), r"\(N, V\)"),
    (oracle.exact_emd, (P40, P40[:2], np.eye(10)), "same shape"),
    (oracle.exact_emd, (P40, P40, np.eye(5)), "cost has shape"),
]


@pytest.mark.parametrize(("call", "arguments", "words"), REFUSALS)
def test_refuses(gpt, ids, call, arguments, words):
    with pytest.raises(ValueError, match=words):
        call(*(arguments or (gpt, ids)))


@pytest.mark.mauve
def test_the_area_is_that_of_mauve_text():
    """Its own histograms through our area, and both ways of clustering on the same features."""
    from mauve import compute_mauve

    for shift in (0.5, 1.5, 3.0):
        ours, theirs = [], []
        for seed in range(5):
            p, q = blobs(500, shift, 2 * seed), blobs(500, 0.0, 2 * seed + 1)
            # its own clustering varies by about .01 from seed to seed, hence the mean over five
            result = compute_mauve(p_features=p, q_features=q, num_buckets=25, seed=seed, verbose=False)
            assert mauve.area(result.p_hist, result.q_hist) == pytest.approx(result.mauve, abs=1e-9)
            ours.append(mauve.mauve(p, q, 25, seed))
            theirs.append(result.mauve)
        assert np.mean(ours) == pytest.approx(np.mean(theirs), abs=0.03)
