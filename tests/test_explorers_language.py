"""Explorers of lesson 07: numbers against the metrics, continuations against the world, curves as they were logged."""

import re
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("transformers")

from emo_teach.authoring import build
from emo_teach.explorers import lesson07_frontier, lesson07_samples
from emo_teach.explorers import lesson07_training_curves as curves
from emo_teach.measure import mauve, oracle
from emo_teach.world import World

pytestmark = pytest.mark.filterwarnings("error")
PROMPT = "every glad chef"


@pytest.fixture(scope="module")
def bench():
    return lesson07_samples.demo()


WRITTEN = [text for path in build.sources() for text in re.findall(r'encode\("([^"]+)"\)', path.read_text("utf-8"))]


@pytest.mark.parametrize("prompt", [*lesson07_samples.PROMPTS, *WRITTEN])
@pytest.mark.parametrize("shift", [0.0, 1.0])  # the domain of the pretrained model, and that of lesson 07
def test_every_prompt_is_a_sentence_of_the_world(prompt, shift):
    """Where a word is a slip, whatever follows would be marked as one, however well a model speaks."""
    world = World(shift=shift)
    ids = world.encode(prompt)
    given = world.next_word(ids)[np.arange(len(ids) - 1), ids[1:]]
    assert given.min() > lesson07_samples.IMPROBABLE, dict(zip(prompt.split(), given, strict=False))


@pytest.fixture(scope="module")
def plane():
    rng = np.random.default_rng(0)
    truth, *models = (rng.dirichlet(np.full(9, a), size=6) * 0.95 + 0.05 / 9 for a in (0.7, 1.0, 0.5))
    return lesson07_frontier.Frontier(dict(zip(("ce", "emo-mode-1"), map(np.log, models), strict=True)), truth)


def softened(log_p, temperature):
    p = np.exp(log_p / temperature)
    return p / p.sum(-1, keepdims=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_samples_show_truth_and_models(bench, temperature):
    world, prompt = bench.world, "these young pupils quickly"
    truth, data = world.next_word(world.encode(prompt))[-1], bench.compute(prompt, temperature, 3)
    places = [world.vocabulary.index(word) for word in data.words]
    assert np.allclose(data.shares["truth"], truth[places])  # the temperature is the models' alone
    assert (np.diff(data.shares["truth"]) <= 0).all()
    for name, logs in bench._after(prompt)[1].items():
        p, found = softened(logs, temperature), data.numbers[name]
        assert np.allclose(data.shares[name], p[places])
        assert np.isclose(found["forward_kl"], oracle.forward_kl(np.log(p)[None], truth[None])[0])
        assert np.isclose(found["reverse_kl"], oracle.reverse_kl(np.log(p)[None], truth[None])[0])
        assert np.isclose(found["entropy"], -(p * np.log(p)).sum())
        assert np.isclose(found["improbable"], p[truth < lesson07_samples.IMPROBABLE].sum())


def test_samples_mark_what_the_truth_finds_improbable(bench):
    world, marked = bench.world, 0
    for text in [text for texts in bench.compute(PROMPT, 2.0, 1).texts.values() for text in texts]:
        prefix = list(world.encode(PROMPT))
        for word, odd in text:
            number = world.vocabulary.index(word)
            assert odd == (world.next_word(np.array(prefix))[-1, number] < lesson07_samples.IMPROBABLE)
            prefix.append(number)
            marked += odd
    assert marked > 5  # at temperature 2 the models say much nonsense
    first, again, other = (bench.compute(PROMPT, 1.0, seed).texts for seed in (1, 1, 2))
    assert first == again != other


def test_the_world_continues_as_its_distribution_says():
    world = World(synonyms=1, topics=1)
    ids = world.encode("every")
    drawn = lesson07_samples.continue_world(world, ids, lesson07_samples.uniforms(0, 20_000, 1))[:, -1]
    expected = 20_000 * world.next_word(ids)[-1]
    chi2 = ((np.bincount(drawn, minlength=world.size) - expected) ** 2 / expected).sum()
    assert chi2 < world.size + 6 * (2 * world.size) ** 0.5  # mean and six standard deviations of chi-square


def test_frontier_is_that_of_the_joint_distribution(plane):
    """Contexts equally likely: averages of KLs over contexts are KLs of the joint distributions of context and word."""
    n = len(plane.truth)
    for log_p in plane.log_probs.values():
        joint = mauve.divergence_frontier(np.exp(log_p).ravel() / n, plane.truth.ravel() / n, points=9)
        np.testing.assert_allclose(lesson07_frontier.frontiers(log_p, plane.truth, points=9), joint, atol=1e-10)


def test_frontier_numbers_and_matched_temperature(plane):
    data = plane.compute("ce", "emo-mode-1", 0.8, "by hand")
    log_p = np.log(softened(plane.log_probs["ce"], 0.8))
    first, second = data.numbers["first"], data.numbers["second"]
    assert np.isclose(first["forward_kl"], oracle.forward_kl(log_p, plane.truth).mean())
    assert np.isclose(first["reverse_kl"], oracle.reverse_kl(log_p, plane.truth).mean())
    assert np.isclose(second["entropy"], oracle.mean_entropy(plane.log_probs["emo-mode-1"]))  # it stays as it is
    matched = plane.compute("ce", "emo-mode-1", 0.8, "match entropy")
    assert np.isclose(matched.numbers["first"]["entropy"], matched.numbers["second"]["entropy"], atol=1e-5)
    assert matched.temperature == matched.matched == data.matched and data.temperature == 0.8


def test_the_path_is_that_of_the_models_at_each_temperature(plane):
    """Rounding of means of 54 terms; the control of a matched temperature shows what is used, and rests."""
    for name, log_p in plane.log_probs.items():
        found = [plane._divergences(np.log(softened(log_p, temperature))) for temperature in lesson07_frontier.PATH]
        np.testing.assert_allclose(plane._path(name), found, atol=1e-12)
    data = plane.compute("ce", "emo-mode-1", 0.8, "match entropy")
    assert (
        data.settings == {"temperature": round(data.matched, 3)}
        and not plane.compute("ce", "ce", 1, "by hand").settings
    )


def test_no_temperature_may_match():
    """A model that is uniform has one entropy at all temperatures."""
    logs = np.log([[0.25] * 4, [0.1, 0.2, 0.3, 0.4]])
    alone = lesson07_frontier.Frontier({"ce": logs[:1], "emo": logs[1:]}, np.exp(logs[:1]))
    data = alone.compute("ce", "emo", 1.0, "by hand")
    for numbers in (alone.panel()[2], alone.draw(data).numbers(data)):
        assert numbers[-1][0] == "Equal entropy at no T"
    with pytest.raises(ValueError, match="no temperature of ce"):
        alone.compute("ce", "emo", 1.0, "match entropy")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda b, p: b.compute("no such prompt", 1.0, 0), "prompt"),
        (lambda b, p: b.compute(PROMPT, 0.0, 0), "temperature"),
        (lambda b, p: b.compute(PROMPT, 1.0, 0.5), "seed"),
        (lambda b, p: lesson07_samples.Samples({}, b.world), "models"),
        (lambda b, p: lesson07_samples.Samples(b.models, World(synonyms=1), prompts=["every"]), "words"),
        (lambda b, p: lesson07_samples.Samples(b.models, b.world, prompts="every"), "prompts"),
        (lambda b, p: lesson07_samples.Samples(b.models, World(noise=0.0)), "noise"),
        (lambda b, p: p.compute("nobody", "ce", 1.0, "by hand"), "first"),
        (lambda b, p: p.compute("ce", "nobody", 1.0, "by hand"), "second"),
        (lambda b, p: p.compute("ce", "ce", 1.0, "somehow"), "mode"),
        (lambda b, p: p.compute("ce", "ce", float("nan"), "by hand"), "temperature"),
        (lambda b, p: lesson07_frontier.Frontier({"ce": p.log_probs["ce"][:2]}, p.truth), "shape"),
        (lambda b, p: lesson07_frontier.Frontier({"truth": p.log_probs["ce"]}, p.truth), "truth"),
        (lambda b, p: lesson07_frontier.Frontier(p.log_probs, np.eye(9)[:6]), "truth"),
        (lambda b, p: lesson07_frontier.Frontier(p.log_probs, p.truth[0]), "truth must be .n, V."),
        (lambda b, p: curves.compute({"ce": [{"loss": 1.0}]}), "step"),
        (lambda b, p: curves.compute([]), "histories"),
        (lambda b, p: curves.Dashboard(steps=0), "steps"),
        (lambda b, p: curves.Dashboard().on_log({"step": 1, "loss": 1.0}), "start"),
    ],
)
def test_bad_input_is_refused(bench, plane, wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong(bench, plane)


STEPS = [{"step": k, "loss": 3.0 - 0.1 * k, "tokens_per_s": 1000.0} for k in range(1, 9)]
HISTORY = [{"step": 0, "valid_ce": 3.0}, *STEPS, {"step": 8, "valid_ce": 2.2}]


def test_curves_are_what_was_logged():
    data = curves.compute({"ce": HISTORY, "emo-mode-1": HISTORY[:4]}, steps=20)
    ce, emo = (data.runs[name].points for name in ("ce", "emo-mode-1"))
    assert data.steps == (0, 20) and np.allclose(ce["loss"][:, 1], 3 - 0.1 * np.arange(1, 9))
    assert ce["valid_ce"].tolist() == [[0, 3.0], [8, 2.2]] and len(emo["loss"]) == 3
    left = curves.draw(data).set(curves.compute({"ce": HISTORY})).lines
    assert list(left) == ["ce"]  # the other run's lines are gone
    _, alt, numbers = curves.panel({"ce": HISTORY})
    assert alt == "Training curves of one run over 8 steps: held-out cross-entropy of ce ends at 2.200."
    assert numbers[1] == ("ce", "2.900", "2.200", "3.000", "2.200", 0) and "tokens/s" not in numbers[0]


def test_dashboard_draws_while_models_train(monkeypatch):
    """One output, replaced in place: its last state is a picture with all runs."""
    pages, clock = [], iter(range(1000))  # every look at the clock is a second later
    handle = mock.Mock(update=lambda page: pages.append(page.data))
    monkeypatch.setattr("IPython.display.display", lambda page, display_id: pages.append(page.data) or handle)
    monkeypatch.setattr(curves, "monotonic", lambda: float(next(clock)))
    dashboard = curves.Dashboard(steps=8)
    dashboard.show()
    for name in ("ce", "emo-mode-1"):
        dashboard.start(name)
        for entry in HISTORY:
            dashboard.on_log(entry)
    before = len(pages)
    dashboard.finish()
    assert before >= 5 and len(pages) == before + 1
    assert re.match(r'<img alt="Training curves of 2 runs over 8 steps: held-out [^"]* 2.200', pages[-1])
    assert pages[-1].count('<th scope="row">') == 2
    assert dashboard.histories == {"ce": HISTORY, "emo-mode-1": HISTORY}


def test_a_dashboard_draws_no_more_than_it_should(monkeypatch):
    monkeypatch.setattr(curves, "monotonic", lambda: 5.0)  # no time passes
    dashboard = curves.Dashboard()
    dashboard._page = mock.Mock()
    dashboard.start("ce")
    for entry in HISTORY:
        dashboard.on_log(entry)
    assert dashboard._page.update.call_count == 1
