"""The grammar: states, and what may follow in each, as classes of words with a weight and a next state.

A state holds all that the future depends on: where the sentence is, the number of its subject, its topic, what the subject and the verb were. A word
belongs to one class and a state lists a class once, so that the state after a word is a lookup.
"""

from .lexicon import ARTICLES, PLURAL, SHARED, SINGULAR, STOP, TOPICS, with_s

STAY = {
    "sentence": 0.6,
    "clause": 0.9,
}  # how likely the topic is kept in a new sentence, and in a clause after "while" or "but"
ADJECTIVE_OF_PERSON, ADJECTIVE_OF_THING, ADVERB = 0.4, 0.3, 0.25
VERBS = ((0.8, 0.2), (0.2, 0.8))  # by class of person
THINGS = ((0.6, 0.3, 0.1), (0.1, 0.3, 0.6))  # by class of verb
OWN_PLACE = 0.85
AFTER_THING = {"in": 0.25, "near": 0.15, "while": 0.15, "but": 0.1, STOP: 0.35}
AFTER_PLACE = {"while": 0.2, "but": 0.15, STOP: 0.65}


def word_classes(topics, synonyms):
    """All classes: name -> its words.

    Returns a dict in a fixed order.
    """
    classes = {word: (word,) for word in (*SINGULAR, *PLURAL, *ARTICLES, STOP)}
    for name, group in SHARED.items():
        for index, words in enumerate((group,) if isinstance(group, str) else group):
            classes[name if isinstance(group, str) else f"{name}/{index}"] = tuple(words.split()[:synonyms])
    for topic in list(TOPICS)[:topics]:
        for part, group in TOPICS[topic].items():
            for index, words in enumerate((group,) if isinstance(group, str) else group):
                plain = tuple(words.split()[:synonyms])
                changed = tuple(map(with_s, plain))
                name = f"{topic}/{part}/{index}"
                if part == "persons":
                    classes[f"{name}/singular"], classes[f"{name}/plural"] = plain, changed
                elif part == "verbs":
                    classes[f"{name}/singular"], classes[f"{name}/plural"] = changed, plain
                else:
                    classes[name] = plain
    return classes


def _split(total, pairs):
    """Give `total` to (class, next state) pairs in equal parts."""
    return {name: (total / len(pairs), state) for name, state in pairs}


def _persons(topics, topic, kind, number, total):
    """The subject's noun: the topic is kept or drawn anew."""
    arcs = {}
    for new in topics:
        chance = 1 / len(topics) if topic is None else STAY[kind] * (new == topic) + (1 - STAY[kind]) / len(topics)
        arcs |= _split(total * chance, [(f"{new}/persons/{k}/{number}", ("noun", new, number, k)) for k in (0, 1)])
    return arcs


def _verbs(topic, number, person, total):
    shares = enumerate(VERBS[person])
    return {f"{topic}/verbs/{v}/{number}": (total * share, ("verb", topic, v)) for v, share in shares}


def _things(topic, verb, total):
    shares = enumerate(THINGS[verb])
    return {f"{topic}/things/{k}": (total * share, ("thing", topic)) for k, share in shares}


def _after_thing(weights, topic):
    """What closes or continues a clause."""
    states = {
        "in": ("in", topic),
        "near": ("in", topic),
        "while": ("clause", topic),
        "but": ("clause", topic),
        STOP: ("sentence", topic),
    }
    return {name: (weight, states[name]) for name, weight in weights.items()}


def _places(topics, topic):
    others = (1 - OWN_PLACE) / len(topics)
    return {f"{new}/places/0": (OWN_PLACE * (new == topic) + others, ("place", topic)) for new in topics}


def rules(count):
    """What may follow in each state: state -> {class: (weight, next state)}; the weights of a state sum to 1.

    Returns a dict whose first state begins a text.
    """
    topics = list(TOPICS)[:count]
    found = {}
    for topic, kind in [(None, "sentence")] + [(topic, kind) for topic in topics for kind in STAY]:
        found[kind, topic] = {}
        for number, determiners in (("singular", SINGULAR), ("plural", PLURAL)):
            after, before = ("determiner", topic, kind, number), ("adjective", topic, kind, number)
            found[kind, topic] |= _split(0.5, [(word, after) for word in determiners])
            adjectives = _split(ADJECTIVE_OF_PERSON, [(f"of_persons/{k}", before) for k in range(4)])
            found[after] = adjectives | _persons(topics, topic, kind, number, 1 - ADJECTIVE_OF_PERSON)
            found[before] = _persons(topics, topic, kind, number, 1)
    for topic in topics:
        found |= _of_topic(topics, topic)
    return found


def _of_topic(topics, topic):
    """The states from the subject's noun to the end of the clause."""
    found = {}
    for number in ("singular", "plural"):
        for person in (0, 1):
            late = ("adverb", topic, number, person)
            adverbs = _split(ADVERB, [(f"adverbs/{k}", late) for k in range(3)])
            found["noun", topic, number, person] = adverbs | _verbs(topic, number, person, 1 - ADVERB)
            found[late] = _verbs(topic, number, person, 1)
    for verb in (0, 1):
        article, described = ("article", topic, verb), ("described", topic, verb)
        found["verb", topic, verb] = _split(1, [(word, article) for word in ARTICLES])
        adjectives = _split(ADJECTIVE_OF_THING, [(f"of_things/{k}", described) for k in range(3)])
        found[article] = adjectives | _things(topic, verb, 1 - ADJECTIVE_OF_THING)
        found[described] = _things(topic, verb, 1)
    found["thing", topic] = _after_thing(AFTER_THING, topic)
    found["in", topic] = _split(1, [(word, ("at", topic)) for word in ARTICLES])
    found["at", topic] = _places(topics, topic)
    found["place", topic] = _after_thing(AFTER_PLACE, topic)
    return found
