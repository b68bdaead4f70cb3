"""What the explorers of language models share: one look for each objective, and controls tied to data that the reader brings."""

from collections.abc import Mapping

import numpy as np

from ..pictures import TRUTH
from . import widget


def named(argument, given, most):
    """A dictionary of 1 to `most` things by name, none called "truth"; returns it as a plain dict.

    Raises ValueError for anything else.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and name.strip() for name in given):
        raise ValueError(f"{argument} must be a dictionary, name -> value, got {type(given).__name__}")
    if not 1 <= len(given) <= most:
        raise ValueError(f"{argument} holds {len(given)} entries: 1 to {most} can be shown")
    if TRUTH in given:
        raise ValueError(f"{argument}: {TRUTH!r} is the name of the world's own law")
    return dict(given)


class Explorer:
    """Layers like those of an explorer's module, over data that was brought: `CONTROLS`, `compute`, `draw`, `explorer`, `panel`."""

    CONTROLS = ()

    def compute(self, **settings):
        """Data for one setting of the controls."""
        raise NotImplementedError

    def draw(self, data):
        """The `widget.Picture` of it."""
        raise NotImplementedError

    def panel(self):
        """Static small multiples: (figure, alt text)."""
        raise NotImplementedError

    def explorer(self, **settings):
        """The widget; any control's start is given by name."""
        return widget.tie(self.compute, self.draw, self.CONTROLS, settings)


def log_softmax(logits):
    """Logarithms of probabilities, along the last axis.

    Formula: `z - log sum exp z`.
    """
    shifted = logits - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def small_models():
    """The committed small GPT-2 and a copy whose logits are sharper by a quarter: two models to try the explorers with.

    Formula: the last layer norm scaled by 1.25 is a temperature of 0.8. Returns (world, dictionary of two transformers
    models). Raises ValueError where the data is missing.
    """
    import torch
    import transformers

    from ..world import World, model_folder

    models = {
        name: transformers.GPT2LMHeadModel.from_pretrained(model_folder()).eval() for name in ("ce", "emo-mode-1")
    }
    with torch.no_grad():
        for weight in models["emo-mode-1"].transformer.ln_f.parameters():
            weight.mul_(1.25)
    return World(), models
