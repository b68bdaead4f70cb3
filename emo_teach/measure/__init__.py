"""What to measure in a language model: on text, against a known truth, in its samples, and on the frontier.

`reading` runs a causal language model (torch) and hands out numpy arrays; `oracle` compares next-token distributions
with the exact ones of a world whose truth is known; `text` counts in samples; `mauve` holds the divergence frontier and
MAUVE. Importing this package loads no torch.
"""

from . import mauve, oracle, reading, text

__all__ = ["mauve", "oracle", "reading", "text"]
