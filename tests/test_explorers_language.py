"""Explorers of lesson 07: numbers against the metrics, continuations against the world, curves as they were logged."""

import re
from unittest import mock

import numpy as np
import pytest

pytest.importorskip("transformers")

from emo_teach import pictures
from emo_teach.explorers import lesson07_frontier, lesson07_samples, lesson07_training_curves
from emo_teach.measure import mauve, oracle
from emo_teach.world import World  # noqa: E402

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(scope="module")
def bench():
    return lesson07_samples.demo()


@pytest.fixture(scope="module")
def plane():
    rng = np.random.default_rng(0)
    truth = rng.dirichlet(np.full(9, 0.7), size=6) * 0.95 + 0.05 / 9
    laws = {
        name: np.log(rng.dirichlet(np.full(9, a), size=6) * 0.95 + 0.05 / 9)
        for name, a in (("ce", 1.0), ("emo-mode-1", 0.5))
    }
    return lesson07_frontier.Frontier(laws, truth)


def test_samples_show_the_laws_of_truth_and_models(bench):
    world, prompt = bench.world, "these young pupils quickly"
    ids = world.encode(prompt)
    truth = world.next_word(ids)[-1]
    for temperature in (0.5, 1.0, 1.7):
        data = bench.compute(prompt, temperature, 3)
        places = [world.vocabulary.index(word) for word in data.words]
        assert np.allclose(data.shares["truth"], truth[places])  # the temperature is the models' alone
        assert (np.diff(data.shares["truth"]) <= 0).all()
        for name, logs in bench._after(prompt)[1].items():
            p = np.exp(logs / temperature)
            p /= p.sum()
            assert np.allclose(data.shares[name], p[places])
            found = data.numbers[name]
            assert np.isclose(found["forward_kl"], oracle.forward_kl(np.log(p)[None], truth[None])[0])
            assert np.isclose(found["reverse_kl"], oracle.reverse_kl(np.log(p)[None], truth[None])[0])
            assert np.isclose(found["entropy"], -(p * np.log(p)).sum()) and np.isclose(
                found["improbable"], p[truth < lesson07_samples.IMPROBABLE].sum()
            )


def test_samples_mark_what_the_truth_finds_improbable(bench):
    prompt = "every glad chef"
    ids, world = bench.world.encode(prompt), bench.world
    marked = 0
    for texts in bench.compute(prompt, 2.0, 1).texts.values():
        for text in texts:
            prefix = list(ids)
            for word, odd in text:
                number = world.vocabulary.index(word)
                assert odd == (world.next_word(np.array(prefix))[-1, number] < lesson07_samples.IMPROBABLE)
                prefix.append(number)
                marked += odd
    assert marked > 5  # at temperature 2 the models say much nonsense
    assert (
        bench.compute(prompt, 1.0, 1).texts
        == bench.compute(prompt, 1.0, 1).texts
        != bench.compute(prompt, 1.0, 2).texts
    )


def test_the_worlds_own_continuations_follow_its_law():
    world = World(synonyms=1, topics=1)
    ids = world.encode("every")
    drawn = lesson07_samples.continue_world(world, ids, lesson07_samples.uniforms(0, 20_000, 1))[:, -1]
    law = world.next_word(ids)[-1]
    seen = np.bincount(drawn, minlength=world.size)
    chi2 = ((seen - 20_000 * law) ** 2 / (20_000 * law)).sum()
    assert chi2 < world.size + 6 * (2 * world.size) ** 0.5  # mean and six standard deviations of chi-square


def test_frontier_is_that_of_the_joint_law(plane):
    """Contexts equally likely: averages of KLs over contexts are KLs of the joint laws of context and word."""
    n = len(plane.truth)
    for name, log_p in plane.log_probs.items():
        joint = np.exp(log_p).ravel() / n, plane.truth.ravel() / n
        ours = lesson07_frontier.frontiers(log_p, plane.truth, points=9)
        for (to_truth, to_model), w in zip(ours, np.linspace(mauve.EDGE, 1 - mauve.EDGE, 9), strict=True):
            mixed = w * joint[0] + (1 - w) * joint[1]
            assert np.isclose(to_truth, (joint[1] * np.log(joint[1] / mixed)).sum(), atol=1e-10)
            assert np.isclose(to_model, (joint[0] * np.log(joint[0] / mixed)).sum(), atol=1e-10)
        assert name in plane.log_probs


def test_frontier_numbers_and_matched_temperature(plane):
    data = plane.compute("ce", "emo-mode-1", 0.8, "by hand")
    law = plane.log_probs["ce"] / 0.8
    law = law - np.log(np.exp(law).sum(-1, keepdims=True))
    assert np.isclose(data.numbers["first"]["forward_kl"], oracle.forward_kl(law, plane.truth).mean())
    assert np.isclose(data.numbers["first"]["reverse_kl"], oracle.reverse_kl(law, plane.truth).mean())
    assert np.isclose(
        data.numbers["second"]["entropy"], oracle.mean_entropy(plane.log_probs["emo-mode-1"])
    )  # the second stays as it is
    matched = plane.compute("ce", "emo-mode-1", 0.8, "match entropy")
    assert np.isclose(matched.numbers["first"]["entropy"], matched.numbers["second"]["entropy"], atol=1e-5)
    assert matched.temperature == matched.matched == data.matched and data.temperature == 0.8


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda b, p: b.compute("no such prompt", 1.0, 0), "prompt"),
        (lambda b, p: b.compute("every glad chef", 0.0, 0), "temperature"),
        (lambda b, p: b.compute("every glad chef", 1.0, 0.5), "seed"),
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
        (lambda b, p: lesson07_training_curves.compute({"ce": [{"loss": 1.0}]}), "step"),
        (lambda b, p: lesson07_training_curves.compute([]), "histories"),
        (lambda b, p: lesson07_training_curves.Dashboard(steps=0), "steps"),
        (lambda b, p: lesson07_training_curves.Dashboard().on_log({"step": 1, "loss": 1.0}), "start"),
    ],
)
def test_bad_input_is_refused(bench, plane, wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong(bench, plane)


HISTORY = [
    {"step": 0, "valid_ce": 3.0},
    *({"step": k, "loss": 3.0 - 0.1 * k, "tokens_per_s": 1000.0} for k in range(1, 9)),
    {"step": 8, "valid_ce": 2.2},
]


def test_curves_are_what_was_logged():
    data = lesson07_training_curves.compute({"ce": HISTORY, "emo-mode-1": HISTORY[:4]}, steps=20)
    assert data.steps == (0, 20) and np.allclose(data.runs["ce"].points["loss"][:, 1], 3 - 0.1 * np.arange(1, 9))
    assert (
        data.runs["ce"].points["valid_ce"].tolist() == [[0, 3.0], [8, 2.2]]
        and len(data.runs["emo-mode-1"].points["loss"]) == 3
    )
    figure, alt = lesson07_training_curves.panel({"ce": HISTORY})
    assert "ce: loss 2.900 to 2.200, held-out cross-entropy 3.000 to 2.200" in alt and "tokens" not in alt


def test_dashboard_draws_while_it_is_told(monkeypatch):
    """One output, replaced in place: its last state is a picture with all runs."""
    pages, clock = [], iter(range(1000))
    handle = mock.Mock(update=lambda page: pages.append(page.data))
    monkeypatch.setattr("IPython.display.display", lambda page, display_id: pages.append(page.data) or handle)
    monkeypatch.setattr(
        lesson07_training_curves, "monotonic", lambda: float(next(clock))
    )  # every look at the clock is a second later
    dashboard = lesson07_training_curves.Dashboard(steps=8)
    dashboard.show()
    for name in ("ce", "emo-mode-1"):
        dashboard.start(name)
        for entry in HISTORY:
            dashboard.on_log(entry)
    before = len(pages)
    dashboard.finish()
    assert before >= 5 and len(pages) == before + 1
    assert re.match(r'<img alt="Training curves over 8 steps[^"]*ce: loss[^"]*emo-mode-1: loss', pages[-1])
    assert dashboard.histories == {"ce": HISTORY, "emo-mode-1": HISTORY}


def test_a_dashboard_draws_no_more_than_it_should(monkeypatch):
    monkeypatch.setattr(lesson07_training_curves, "monotonic", lambda: 5.0)  # no time passes
    dashboard = lesson07_training_curves.Dashboard()
    dashboard._page = mock.Mock()
    dashboard.start("ce")
    for entry in HISTORY:
        dashboard.on_log(entry)
    assert dashboard._page.update.call_count == 1


def test_looks_tell_objectives_apart():
    names = (
        "ce",
        "emo",
        "emo-mode-1",
        "emo-mode-2",
        "ce+emo",
        "debiased",
        "ce+debiased",
        "tailr",
        "mixce",
        "accuracy",
        "smoothing",
    )
    assert (
        len({pictures.look(name) for name in names}) == len(names) == len({pictures.look(name)[1:3] for name in names})
    )  # without colours too
    assert pictures.look("emo-mode-1, seed 2") == pictures.look("emo-mode-1") != pictures.look("emo-mode-1 shuffled")


def test_panels_say_what_they_show(bench, plane):
    for explorer in (bench, plane):
        figure, alt = explorer.panel()
        assert pictures.as_html(figure, alt).startswith("<img alt=") and len(re.findall(r"\d\.\d", alt)) > 6
