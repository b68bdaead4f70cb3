"""Long comparisons, computed by a command and kept as tables that the lessons read: `python -m emo_teach study NAME`."""

from . import runner

# name: module of this package that has STAGES (see `runner.Stage`)
NAMES = ("objectives", "scratch", "questions", "soft_labels")


def load(name):
    """The stages of a study.

    Formula: none. Shape: a name, returns a tuple of `runner.Stage`. Units: none. Raises ValueError for an unknown name. Source: this project.
    """
    from importlib import import_module

    if name not in NAMES:
        raise ValueError(f"study {name!r} is not one of {', '.join(NAMES)}")
    return import_module(f".{name}", __name__).STAGES


def table(name):
    """The rows of a study's table in `data/studies/`, numbers as floats.

    Formula: none. Shape: returns a list of dicts. Units: see data/README.md. Raises ValueError where there is no such table. Source: this project.
    """
    from ..datafiles import data_path

    return runner.read(data_path(f"studies/{name}.csv"))
