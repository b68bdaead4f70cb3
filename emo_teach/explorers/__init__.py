"""What a reader moves: one file per explorer, each in three layers.

`compute(**settings) -> data` and `draw(data) -> Picture` are pure and tested without a browser; `explorer(**settings)` ties them to
core ipywidgets (7.7 and 8); `panel()` is the static row of small multiples that readers without a kernel see. `kit` holds what they share.
"""

import importlib

__all__ = ["ce_kl", "cost_matrix", "divergence", "first_look", "objectives", "resting", "silence", "soft_label", "transport"]


def __getattr__(name):
    """Load an explorer on first use."""
    if name in __all__ or name == "kit":
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
