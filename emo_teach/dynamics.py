"""How long training takes to leave a wrong answer: two tokens under gradient flow, solved in closed form."""

import numpy as np

from . import _inputs


def escape_times(p_target, cost=1.0):
    """Time that gradient flow on the logits takes to bring the target's probability up to one half, for cross-entropy and for EMO.

    Formula: D13, two tokens, the wrong one at a cost c, `o = p_t/(1 - p_t)`: cross-entropy `½ (1 - o - log o)`, EMO `(1/o - o - 2 log o)/(2c)`.
    Shape: p_target (...) in (0, ½], returns two arrays (...). Units: one over the learning rate.
    Raises ValueError for a probability outside (0, ½] or a cost that is not above 0. Source: this project.

    >>> ce, emo = escape_times(1e-4)
    >>> round(float(ce), 2), round(float(emo), 1)
    (5.11, 5008.7)
    """
    p = _inputs.finite("p_target", p_target)
    cost = _inputs.number("cost", cost, low=0, open_low=True)
    _inputs._refuse_where("p_target", np.atleast_1d(p), np.atleast_1d((p <= 0) | (p > 0.5)), "probabilities must lie in (0, 0.5]")
    odds = p / (1 - p)
    return 0.5 * (1 - odds - np.log(odds)), (1 / odds - odds - 2 * np.log(odds)) / (2 * cost)
