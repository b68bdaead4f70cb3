"""Long comparisons, computed by a command and kept as tables that the lessons read: `python -m emo_teach study NAME`."""

from . import runner

# study: module of this package that has STAGES (see `runner.Stage`)
MODULES = {
    "objectives": "lesson07_objectives",
    "scratch": "lesson08_scratch",
    "questions": "lesson09_questions",
    "soft_labels": "lesson09_soft_labels",
}


def load(name):
    """The stages of a study.

    Returns a tuple of `runner.Stage`. Raises ValueError for an unknown name.
    """
    from importlib import import_module

    if name not in MODULES:
        raise ValueError(f"study {name!r} is not one of {', '.join(MODULES)}")
    return import_module(f".{MODULES[name]}", __name__).STAGES


def redraw(name, folder, out):
    """The lessons' pictures of a study, drawn from its table in a folder: PNG files in another.

    Raises ValueError for an unknown name, OSError where there is no table.
    """
    from pathlib import Path

    from .. import figures

    draw = {
        "objectives": {"table": lambda rows: figures.study(rows, ("forward_kl", "reverse_kl", "emd_classes", "mauve"))},
        "scratch": {"growth": lambda rows: figures.growth(rows, "tv"), "dose": figures.dose},
        "questions": {
            metric: lambda rows, metric=metric: figures.varied(rows, metric) for metric in ("emd_classes", "forward_kl")
        },
        "soft_labels": {"training": figures.soft_training},
    }
    load(name)
    rows, paths = runner.read(Path(folder) / f"{name}.csv"), []
    Path(out).mkdir(parents=True, exist_ok=True)
    for part, picture in draw[name].items():
        paths.append(Path(out) / f"{name}-{part}.png")
        picture(rows)[0].savefig(paths[-1], dpi=150)
    return paths


def table(name):
    """The rows of a study's table in `data/studies/`, numbers as floats.

    Returns a list of dicts. Raises ValueError where there is no such table.
    """
    from ..files import data_path

    return runner.read(data_path(f"studies/{name}.csv"))
