"""Run by `accelerate launch` in test_training_processes: a few steps on masked blocks, saved in the folder named on the command line."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from emo_teach import finetune
from tests.training_models import masked_blocks, tiny  # noqa: E402

SETTINGS = {"objective": "emo-mode-1", "steps": 6, "batch_size": 8, "lr": 1e-2, "log_every": 1, "precision": "fp32"}


def run(out, **changes):
    """The run that both numbers of processes make."""
    return finetune.finetune(tiny(), masked_blocks(), masked_blocks(8, seed=2), out=out, **{**SETTINGS, **changes})


if __name__ == "__main__":
    import torch

    run(sys.argv[1], accumulation=int(sys.argv[2]), save_every=2)
    if torch.distributed.is_initialized():
        torch.distributed.barrier()  # a process that leaves while the other still talks to it makes that one abort
        torch.distributed.destroy_process_group()
