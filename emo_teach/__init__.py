"""emo_teach: optimal-transport losses for language models, formula by formula.

The ground floor is `costs`, `divergences` and `transport` (numpy, with POT for the linear program); `losses` holds the
training objectives (torch); `verify` checks every formula against an independent reference; `explorers` and `check` are
what the lessons touch. Importing this package loads none of the heavy ones.
"""

import importlib

__version__ = "0.1.0"
__all__ = [
    "check",
    "costs",
    "divergences",
    "explorers",
    "figures",
    "finetune",
    "losses",
    "measure",
    "pictures",
    "studies",
    "transport",
    "verify",
    "words",
    "worked",
    "world",
]


def __getattr__(name):
    """Load a submodule on first use, so that `import emo_teach` stays quick."""
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *__all__])
