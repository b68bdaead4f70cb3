"""The words of the small world: classes of near-synonyms, the commonest first in domain A."""

# topic: persons (two classes), verbs (two), things (three), places (one); four words a class, of which a world uses the first few
TOPICS = {
    "kitchen": {
        "persons": ("cook chef baker caterer", "waiter server steward attendant"),
        "verbs": ("prepare make concoct produce", "taste sample try sip"),
        "things": ("soup stew broth chowder", "bread loaf bun roll", "cake pastry tart pie"),
        "places": "kitchen bakery diner canteen",
    },
    "sea": {
        "persons": ("sailor mariner skipper captain", "fisher angler diver swimmer"),
        "verbs": ("steer guide pilot navigate", "mend repair patch restore"),
        "things": ("boat ship vessel craft", "net mesh trawl seine", "sail canvas mast rigging"),
        "places": "harbor port dock pier",
    },
    "music": {
        "persons": ("singer vocalist soloist chorister", "drummer pianist fiddler player"),
        "verbs": ("perform play render present", "compose write arrange score"),
        "things": ("song tune melody ditty", "waltz march dance jig", "hymn psalm carol chant"),
        "places": "hall theater stage arena",
    },
    "garden": {
        "persons": ("gardener grower planter farmer", "neighbor villager local resident"),
        "verbs": ("water sprinkle spray soak", "trim prune cut clip"),
        "things": ("rose tulip lily daisy", "hedge bush shrub thicket", "tree oak elm birch"),
        "places": "garden yard orchard park",
    },
    "school": {
        "persons": ("teacher tutor instructor lecturer", "pupil student learner scholar"),
        "verbs": ("read study examine review", "explain describe clarify discuss"),
        "things": ("book novel volume text", "lesson lecture class course", "problem exercise task puzzle"),
        "places": "school college academy institute",
    },
    "street": {
        "persons": ("officer guard ranger sentry", "robber burglar bandit crook"),
        "verbs": ("chase pursue follow hunt", "hide conceal bury mask"),
        "things": ("jewel gem diamond pearl", "bag sack purse pouch", "car van truck wagon"),
        "places": "street road avenue lane",
    },
}

# classes that all topics share
SHARED = {
    "of_persons": (
        "old elderly aged senior",
        "young youthful junior teenage",
        "happy glad cheerful merry",
        "sad gloomy unhappy sorrowful",
    ),
    "of_things": ("big large huge giant", "small little tiny mini", "pretty lovely fine handsome"),
    "adverbs": (
        "quickly rapidly swiftly hastily",
        "quietly silently softly calmly",
        "often frequently regularly repeatedly",
    ),
    "in": "inside in within throughout",
    "near": "near beside by opposite",
    "while": "while as when whenever",
    "but": "but yet though although",
}

# function words: each is alone in its class
SINGULAR = ("this", "every", "one")
PLURAL = ("these", "many", "several")
ARTICLES = ("the", "that", "another")
STOP = "."
START = "<|endoftext|>"  # begins a text, and stands for any word that the world does not know, as in GPT-2


def with_s(word):
    """The word with its plural or third-person ending.

    Returns a word.

    >>> [with_s(word) for word in ("cook", "try", "play", "fix", "discuss")]
    ['cooks', 'tries', 'plays', 'fixes', 'discusses']
    """
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch", "sh")) else "s")
