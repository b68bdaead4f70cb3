"""Pictures that stand still, a file per lesson: each function returns (figure, alt text[, rows of numbers]) for
`pictures.show`. The alt text states the idea; the numbers, a header first, stand folded below the picture."""

from pathlib import Path

from .lesson02 import generators, two_bumps, wrong_labels
from .lesson03 import entropic_plans, moved_plans
from .lesson04 import accuracy_staircase, training_paths
from .lesson05 import regularisation_dial, sandwich, shrinking_costs, word_costs
from .lesson06 import rest_points, rivals
from .lesson07 import against_truth, head_cosines, study
from .lesson08 import dose, growth
from .lesson09 import mass, soft_training, varied

__all__ = [
    "accuracy_staircase", "against_truth", "dose", "entropic_plans", "generators", "growth", "head_cosines", "mass",
    "moved_plans", "regularisation_dial", "rest_points", "rivals", "sandwich", "shrinking_costs", "soft_training",
    "study", "training_paths", "two_bumps", "varied", "word_costs", "wrong_labels",
]  # fmt: skip

STUDIES = {  # study: its pictures, by the last part of the file name
    "objectives": {"table": lambda rows: study(rows, ("forward_kl", "reverse_kl", "emd_classes", "mauve"))},
    "scratch": {"growth": lambda rows: growth(rows, "tv"), "dose": dose},
    "questions": {"emd_classes": varied, "forward_kl": lambda rows: varied(rows, "forward_kl")},
    "soft_labels": {"training": soft_training},
}


def redraw(name, rows, out):
    """Draw a study's pictures from its rows as PNG files in a folder. Returns their paths."""
    Path(out).mkdir(parents=True, exist_ok=True)
    paths = []
    for part, picture in STUDIES[name].items():
        paths.append(Path(out) / f"{name}-{part}.png")
        picture(rows)[0].savefig(paths[-1], dpi=150)
    return paths
