"""The small world: its samples follow its distributions, and a prefix tells its state."""

import numpy as np
import pytest
from scipy import stats

from emo_teach import divergences
from emo_teach.world import World, grammar

WORLD = World()
SETTINGS = {"synonyms": 1}, {"synonyms": 4}, {"topics": 1}, {"shift": 1.0}, {"shift": 0.4, "noise": 0.3}, {"noise": 1}


@pytest.mark.parametrize("settings", ({}, *SETTINGS), ids=str)
def test_distributions_have_a_floor(settings):
    world = World(**settings)
    np.testing.assert_allclose(world.law.sum(1), 1, atol=1e-12)
    assert world.law.min() >= world.noise / world.size * (1 - 1e-12)
    assert world.law.shape == world.move.shape == (len(grammar.rules(world.topics)), world.size)
    assert len(set(world.vocabulary)) == world.size == len(world.classes)


def test_rules_are_distributions_over_classes_that_exist():
    names, rules = grammar.word_classes(6, 2), grammar.rules(6)
    for state, arcs in rules.items():
        assert sum(weight for weight, _ in arcs.values()) == pytest.approx(1, abs=1e-12), state
        assert set(arcs) <= set(names), state
        assert all(after in rules for _, after in arcs.values()), state


def test_a_million_words_follow_the_lookup():
    """Chi-square in every state, words pooled where fewer than 5 are expected; all states' p-values are uniform."""
    world = World(shift=0.5)
    texts = world.sample(31_500, 33, seed=1)  # 1,008,000 words after the start word
    states, following = world.states(texts)[:, :-1].ravel(), texts[:, 1:].ravel()
    counts = np.bincount(states * world.size + following, minlength=world.law.size).reshape(world.law.shape)
    found = []
    for seen, law in zip(counts, world.law, strict=True):
        expected = law * seen.sum()
        rare = expected < 5
        if (~rare).sum() < 2:
            continue
        pooled = [np.append(a[~rare], a[rare].sum()) for a in (seen, expected)]
        if pooled[1][-1] < 5:
            pooled = [np.append(a[:-2], a[-2:].sum()) for a in pooled]
        found.append(stats.chisquare(*pooled).pvalue)
    assert len(found) > 150
    assert min(found) > 1e-6  # 173 states: the smallest of so many uniform numbers is about 6e-3
    assert stats.kstest(found, "uniform").pvalue > 1e-4


def test_states_of_a_prefix_do_not_depend_on_what_follows():
    texts = WORLD.sample(20, 40, seed=2)
    whole = WORLD.states(texts)
    for length in (1, 7, 23):
        np.testing.assert_array_equal(WORLD.states(texts[:, :length]), whole[:, :length])


def test_sampling_is_seeded_and_does_not_depend_on_length():
    texts = WORLD.sample(5, 20, seed=3)
    np.testing.assert_array_equal(WORLD.sample(5, 20, seed=3), texts)
    np.testing.assert_array_equal(WORLD.sample(5, 9, seed=3), texts[:, :9])
    assert (texts != WORLD.sample(5, 20, seed=4)).any()


def test_agreement_and_topic():
    """Without noise a singular subject never takes a plural verb, and a verb belongs to its subject's topic."""
    world = World(noise=0)
    names = [world.class_names[k] for k in world.classes]
    for text in world.sample(300, 40, seed=5):
        for parts in (names[word].split("/") for word in text):
            if "persons" in parts:
                subject = parts[0], parts[3]
            if "verbs" in parts:
                assert (parts[0], parts[3]) == subject


def test_a_noise_word_takes_the_place_of_another():
    noun = WORLD.encode("this chef")
    odd = WORLD.encode("this chef boat the")  # a verb of the kitchen was due; the commonest after a chef is "prepares"
    good = WORLD.encode("this chef prepares the")
    assert WORLD.law[WORLD.states(noun)[-1], odd[-2]] == pytest.approx(0.02 / WORLD.size)
    assert WORLD.states(odd)[-1] == WORLD.states(good)[-1]


def test_synonyms_share_a_future():
    for state in range(len(WORLD.law)):
        for kind in np.unique(WORLD.classes):
            assert len(set(WORLD.move[state, WORLD.classes == kind])) == 1


def test_domains_share_the_grammar_and_differ_in_frequency():
    b = World(shift=1)
    np.testing.assert_array_equal(WORLD.move, b.move)
    allowed, allowed_in_b = (world.law > 0.02 / world.size * 1.001 for world in (WORLD, b))
    np.testing.assert_array_equal(allowed, allowed_in_b)
    worlds = (World(shift=shift) for shift in (0.25, 0.5, 1))
    gaps = [sum(divergences.kl(world.law[k], WORLD.law[k]) for k in range(0, 173, 10)) for world in worlds]
    assert 0 < gaps[0] < gaps[1] < gaps[2]


def test_within_a_class_frequencies_are_uneven():
    first = grammar.rules(6)[("sentence", None)]
    assert set(first) == {*grammar.SINGULAR, *grammar.PLURAL}
    after = WORLD.law[WORLD.states(WORLD.encode("this"))[-1]] - 0.02 / WORLD.size
    old, elderly, aged = (after[WORLD.vocabulary.index(word)] for word in ("old", "elderly", "aged"))
    assert old > elderly > aged > 0
    assert old / elderly == pytest.approx(2**1.2)
    assert WORLD.law[0, 0] == pytest.approx(0.02 / WORLD.size)


def test_true_cost():
    cost = WORLD.cost(within=0.25)
    chef, cook, stew = (WORLD.vocabulary.index(word) for word in ("chef", "cook", "stew"))
    assert (cost[chef, chef], cost[chef, cook], cost[chef, stew]) == (0, 0.25, 1)
    np.testing.assert_array_equal(cost, cost.T)


def test_text_and_numbers():
    text = "every glad chef quickly prepares the small stew inside that bakery ."
    assert WORLD.decode(WORLD.encode(text)) == WORLD.decode(WORLD.encode(text)[1:]) == text


REFUSED = [
    (lambda: World(synonyms=5), "synonyms = 5"),
    (lambda: World(synonyms=0), "synonyms"),
    (lambda: World(topics=7), "topics = 7"),
    (lambda: World(noise=1.5), "noise"),
    (lambda: World(shift=-0.1), "shift"),
    (lambda: WORLD.sample(0, 3, 1), "count"),
    (lambda: WORLD.sample(3, 0, 1), "length"),
    (lambda: WORLD.states([[1, 2]]), "begin with word 0"),
    (lambda: WORLD.states([[0, 269]]), "269"),
    (lambda: WORLD.states([[0.0, 1.0]]), "integers"),
    (lambda: WORLD.encode("this unicorn"), "'unicorn'"),
    (lambda: WORLD.decode([0, 999]), "999"),
    (lambda: WORLD.cost(2), "within"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED)
def test_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
