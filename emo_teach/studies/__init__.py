"""Long comparisons, kept as tables that the lessons read; `python -m emo_teach study NAME` computes them."""

from importlib import import_module

from ..files import data_path
from . import runner

# study: module of this package that has STAGES (see `runner.Stage`)
MODULES = {
    "objectives": "lesson07_objectives",
    "scratch": "lesson08_scratch",
    "questions": "lesson09_questions",
    "soft_labels": "lesson09_soft_labels",
}


def load(name):
    """The stages of a study, a tuple of `runner.Stage`. Raises ValueError for an unknown name."""
    if name not in MODULES:
        raise ValueError(f"study {name!r} is not one of {', '.join(MODULES)}")
    return import_module(f".{MODULES[name]}", __name__).STAGES


def table(name):
    """The rows of a table in `data/studies/` as dicts, numbers as floats. Raises ValueError if there is none."""
    return runner.read(data_path(f"studies/{name}.csv"))
