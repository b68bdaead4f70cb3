"""The words and the grammar: states, and what may follow in each, as classes of words with a weight and a next state.

A state holds all that the future depends on: the place in the sentence, the number of its subject, its topic, and what
the subject and the verb were. A word belongs to one class and a state lists a class once, so that the state after a
word is a lookup.
"""

# topic: classes of near-synonyms, the commonest first in domain A: persons (two classes), verbs (two), things (three),
# places (one). A world uses the first few of the four words of a class.
TOPICS = {
    "kitchen": {"persons": ("cook chef baker caterer", "waiter server steward attendant"),
        "verbs": ("prepare make concoct produce", "taste sample try sip"),
        "things": ("soup stew broth chowder", "bread loaf bun roll", "cake pastry tart pie"),
        "places": ("kitchen bakery diner canteen",)},
    "sea": {"persons": ("sailor mariner skipper captain", "fisher angler diver swimmer"),
        "verbs": ("steer guide pilot navigate", "mend repair patch restore"),
        "things": ("boat ship vessel craft", "net mesh trawl seine", "sail canvas mast rigging"),
        "places": ("harbor port dock pier",)},
    "music": {"persons": ("singer vocalist soloist chorister", "drummer pianist fiddler player"),
        "verbs": ("perform play render present", "compose write arrange score"),
        "things": ("song tune melody ditty", "waltz march dance jig", "hymn psalm carol chant"),
        "places": ("hall theater stage arena",)},
    "garden": {"persons": ("gardener grower planter farmer", "neighbor villager local resident"),
        "verbs": ("water sprinkle spray soak", "trim prune cut clip"),
        "things": ("rose tulip lily daisy", "hedge bush shrub thicket", "tree oak elm birch"),
        "places": ("garden yard orchard park",)},
    "school": {"persons": ("teacher tutor instructor lecturer", "pupil student learner scholar"),
        "verbs": ("read study examine review", "explain describe clarify discuss"),
        "things": ("book novel volume text", "lesson lecture class course", "problem exercise task puzzle"),
        "places": ("school college academy institute",)},
    "street": {"persons": ("officer guard ranger sentry", "robber burglar bandit crook"),
        "verbs": ("chase pursue follow hunt", "hide conceal bury mask"),
        "things": ("jewel gem diamond pearl", "bag sack purse pouch", "car van truck wagon"),
        "places": ("street road avenue lane",)},
}  # fmt: skip

# classes that all topics share
SHARED = {
    "of_persons": (
        "old elderly aged senior", "young youthful junior teenage",
        "happy glad cheerful merry", "sad gloomy unhappy sorrowful",
    ),
    "of_things": ("big large huge giant", "small little tiny mini", "pretty lovely fine handsome"),
    "adverbs": (
        "quickly rapidly swiftly hastily", "quietly silently softly calmly", "often frequently regularly repeatedly",
    ),
    "in": "inside in within throughout", "near": "near beside by opposite",
    "while": "while as when whenever", "but": "but yet though although",
}  # fmt: skip

# function words: each is alone in its class
SINGULAR = ("this", "every", "one")
PLURAL = ("these", "many", "several")
ARTICLES = ("the", "that", "another")
STOP = "."
START = "<|endoftext|>"  # begins a text, and stands for any word that the world does not know, as in GPT-2


def with_s(word):
    """The word with its plural or third-person ending.

    >>> [with_s(word) for word in ("cook", "try", "play", "fix", "discuss")]
    ['cooks', 'tries', 'plays', 'fixes', 'discusses']
    """
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")


# how likely the topic is kept in a new sentence, and in a clause after "while" or "but"
STAY = {"sentence": 0.6, "clause": 0.9}
ADJECTIVE_OF_PERSON, ADJECTIVE_OF_THING, ADVERB = 0.4, 0.3, 0.25
VERBS = ((0.8, 0.2), (0.2, 0.8))  # by class of person
THINGS = ((0.6, 0.3, 0.1), (0.1, 0.3, 0.6))  # by class of verb
OWN_PLACE = 0.85
# what closes or continues a clause after a thing and after a place: class: (weight, next state)
AFTER_THING = {
    "in": (0.25, "in"), "near": (0.15, "in"), "while": (0.15, "clause"), "but": (0.1, "clause"),
    STOP: (0.35, "sentence"),
}  # fmt: skip
AFTER_PLACE = {"while": (0.2, "clause"), "but": (0.15, "clause"), STOP: (0.65, "sentence")}


def word_classes(topics, synonyms):
    """All classes in a fixed order: name -> its words."""
    classes = {word: (word,) for word in (*SINGULAR, *PLURAL, *ARTICLES, STOP)}
    for name, group in SHARED.items():
        for index, words in enumerate((group,) if isinstance(group, str) else group):
            classes[name if isinstance(group, str) else f"{name}/{index}"] = tuple(words.split()[:synonyms])
    for topic in list(TOPICS)[:topics]:
        for part, group in TOPICS[topic].items():
            for index, words in enumerate(group):
                plain, name = tuple(words.split()[:synonyms]), f"{topic}/{part}/{index}"
                if part in ("persons", "verbs"):
                    forms = (plain, tuple(map(with_s, plain)))
                    singular, plural = forms if part == "persons" else forms[::-1]
                    classes |= {f"{name}/singular": singular, f"{name}/plural": plural}
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
    return {f"{topic}/verbs/{v}/{number}": (total * share, ("verb", topic, v)) for v, share in enumerate(VERBS[person])}


def _things(topic, verb, total):
    return {f"{topic}/things/{k}": (total * share, ("thing", topic)) for k, share in enumerate(THINGS[verb])}


def rules(count):
    """What may follow in each state: state -> {class: (weight, next state)}; the first state begins a text."""
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
        found["thing", topic] = {name: (weight, (state, topic)) for name, (weight, state) in AFTER_THING.items()}
        found["in", topic] = _split(1, [(word, ("at", topic)) for word in ARTICLES])
        rest = (1 - OWN_PLACE) / len(topics)
        chances = {new: OWN_PLACE * (new == topic) + rest for new in topics}
        found["at", topic] = {f"{new}/places/0": (chance, ("place", topic)) for new, chance in chances.items()}
        found["place", topic] = {name: (weight, (state, topic)) for name, (weight, state) in AFTER_PLACE.items()}
    return found
