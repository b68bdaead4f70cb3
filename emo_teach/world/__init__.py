"""A small world of English sentences whose exact next-word distribution is known.

    world = World()
    texts = world.sample(4, 32, seed=0)     # (4, 32) word numbers
    truth = world.next_word(texts)          # (4, 32, V): the law of the word after each prefix

No corpus can say how far a language model is from the true distribution; a generator can. Sentences such as "every glad chef quickly prepares the
small stew inside that bakery ." come from a grammar with topics that persist, agreement in number, and classes of near-synonyms with uneven
frequencies. The state of the grammar after any prefix is a lookup, and so is the law of the next word.
"""

from .small import model_folder, small_gpt2, small_models, word_tokenizer
from .world import World

__all__ = ["World", "model_folder", "small_gpt2", "small_models", "word_tokenizer"]
