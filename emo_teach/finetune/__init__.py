"""Fine-tuning a causal language model with any of the objectives, on transformers' Trainer.

    result = finetune(model, tokens, valid, "emo-mode-1", steps=100, on_log=print)

`WithObjective` joins a model and an objective in one module; `finetune` trains it, with checkpoints when it is given a
folder; `PAPER` holds the settings of the EMO paper. Importing this package loads torch and transformers.
"""

from .model import WithObjective
from .run import PAPER, Result, finetune
from .trainer import evaluate

__all__ = ["PAPER", "Result", "WithObjective", "evaluate", "finetune"]
