"""The world: next-word distributions, sampling and lookup."""

import numpy as np

from .. import costs, inputs
from .grammar import START, TOPICS, rules, word_classes

_UNEVEN = 1.2  # the r-th commonest word of a class has weight r ** -1.2
_SPREAD = 0.8  # domain B multiplies the weight of each class by exp(_SPREAD * normal)
_SEED = 20231010  # of domain B's frequencies; no argument, so that "domain B" is one world


class World:
    """A grammar over English words with a known next-word distribution for every prefix.

    `synonyms` is the number of words in each class of near-synonyms (1 to 4), `topics` the number of topics (1 to 6):
    together they set the vocabulary's size. `noise` is the share of words drawn uniformly from the whole vocabulary.
    `shift` moves the frequencies of classes and of words within a class from domain A (0) to domain B (1), in the
    logarithm; the grammar stays. ValueError for one of them out of its range.

    In state s the next word has the distribution `law[s] = (1 - noise) g_s + noise / V`, where `g_s` is the grammar's.
    After a word that the grammar does not allow there, the state is the one after the class that is most probable in
    domain A (the first of equals): a noise word takes the place of another. Attributes: `vocabulary` (V words; word 0
    begins every text), `classes` (V,) each word's class, `law` (S, V), `move` (S, V) next state; state 0 begins a text.

    >>> world = World()
    >>> world.size, world.law.shape
    (269, (173, 269))
    """

    def __init__(self, synonyms=3, topics=6, noise=0.02, shift=0.0):
        for name, value, high in (("synonyms", synonyms, 4), ("topics", topics, len(TOPICS))):
            if inputs.count(name, value) > high:
                raise ValueError(f"{name} = {value} must be at most {high}")
        self.synonyms, self.topics = synonyms, topics
        self.noise, self.shift = inputs.number("noise", noise, 0, 1), inputs.number("shift", shift, 0, 1)
        groups = word_classes(topics, synonyms)
        self.class_names = (START, *groups)
        self.vocabulary = (START, *(word for words in groups.values() for word in words))
        self.size = len(self.vocabulary)
        self.classes = np.repeat(np.arange(len(self.class_names)), [1, *map(len, groups.values())])
        self._number = {word: k for k, word in enumerate(self.vocabulary)}
        self.law, self.move = self._build(rules(topics), groups)
        self._cumulative = np.cumsum(self.law, axis=1)
        for array in (self.classes, self.law, self.move):
            array.setflags(write=False)

    def _build(self, grammar, groups):
        """Distributions (S, V) and next states (S, V)."""
        order = {state: k for k, state in enumerate(grammar)}
        rng = np.random.default_rng(_SEED)
        full = word_classes(len(TOPICS), 4)  # domain B's draws do not depend on the settings: each class has its own
        louder = {name: _SPREAD * rng.standard_normal() for name in full}
        ranks = {name: rng.permutation(len(words)) for name, words in full.items()}
        within = {name: self._within(len(words), ranks[name]) for name, words in groups.items()}
        law, move = np.zeros((len(order), self.size)), np.empty((len(order), self.size), dtype=np.int64)
        for state, row in order.items():
            arcs = grammar[state]
            weights = {name: weight * np.exp(self.shift * louder[name]) for name, (weight, _) in arcs.items()}
            total = sum(weights.values())
            move[row] = order[max(arcs.values(), key=lambda arc: arc[0])[1]]
            for name, (_, after) in arcs.items():
                words = [self._number[word] for word in groups[name]]
                law[row, words] = weights[name] / total * within[name]
                move[row, words] = order[after]
        return (1 - self.noise) * law + self.noise / self.size, move

    def _within(self, count, ranks):
        """Shares of a class's words: domain B ranks them in another order."""
        other = np.argsort(np.argsort(ranks[:count]))  # ranks among the words in use
        weights = (np.arange(count) + 1.0) ** (-_UNEVEN * (1 - self.shift)) * (other + 1.0) ** (-_UNEVEN * self.shift)
        return weights / weights.sum()

    def sample(self, count, length, seed):
        """`count` texts of `length` words each, with the start word; drawn by inverse distribution function.

        >>> world = World()
        >>> print(world.decode(world.sample(1, 19, seed=3)[0]))
        this happy student explains the lesson inside the college . one fiddler composes that hymn yet every soloist
        """
        inputs.count("count", count), inputs.count("length", length)
        rng = np.random.default_rng(seed)
        texts, state = np.zeros((count, length), dtype=np.int64), np.zeros(count, dtype=np.int64)
        for place in range(1, length):
            order = np.argsort(state, kind="stable")  # texts in one state share a row of cumulative probabilities
            starts = np.flatnonzero(np.diff(state[order], prepend=-1))
            drawn = rng.random(count)
            for group in np.split(order, starts[1:]):
                row = self._cumulative[state[group[0]]]
                texts[group, place] = np.searchsorted(row, drawn[group] * row[-1], side="right")
            state = self.move[state, texts[:, place]]
        return texts

    def states(self, texts):
        """State after each prefix (..., L): `s_0 = 0`, `s_k = move[s_(k-1), word_k]`.

        Raises ValueError for a text that does not begin with the start word, or a number that is no word.
        """
        texts = inputs.integers("texts", texts, size=self.size)
        if texts.ndim == 0 or (texts[..., 0] != 0).any():
            why = "a prefix cut out of the middle does not tell the state"
            raise ValueError(f"texts must begin with word 0 ({START}): {why}")
        found = np.zeros(texts.shape, dtype=np.int64)
        for place in range(1, texts.shape[-1]):
            found[..., place] = self.move[found[..., place - 1], texts[..., place]]
        return found

    def next_word(self, texts):
        """The exact distribution of the word after each prefix (..., L, V); ValueError as `states`."""
        return self.law[self.states(texts)]

    def cost(self, within=0.1):
        """A cost from the true classes: 0 for the same word, `within` (0 to 1) for a synonym, 1 otherwise."""
        return costs.class_cost(self.classes, within)

    def encode(self, text):
        """Word numbers (L + 1,) of a text of L words with spaces between them; the start word is put in front."""
        words = text.split()
        for place, word in enumerate(words):
            if word not in self._number:
                raise ValueError(f"text: word {place} is {word!r}, which this world does not have")
        return np.array([0, *(self._number[word] for word in words)])

    def decode(self, numbers):
        """The text of word numbers, without the start word in front; ValueError for a number that is no word."""
        numbers = np.asarray(numbers)
        self.states(np.concatenate([[0], numbers]).astype(np.int64))  # checks the numbers
        return " ".join(self.vocabulary[k] for k in (numbers[1:] if len(numbers) and numbers[0] == 0 else numbers))
