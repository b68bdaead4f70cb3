"""Training objectives for language models, in torch: cross-entropy, its rivals, EMO and its combinations.

    cost = CostEmbedding(model.get_output_embeddings().weight.detach())
    loss = objective("emo-mode-1", cost)(logits, labels)

An objective is a few numbers per token (`terms`: cross-entropy, probability off the target, transport cost) and a line that combines them
(`objectives`); `fused` computes the same from hidden states without ever holding all logits. Importing this package loads torch.
"""

from .cost import CostEmbedding
from .fused import fused_loss
from .objectives import NAMES, Objective, objective
from .terms import Terms, token_terms

__all__ = ["NAMES", "CostEmbedding", "Objective", "Terms", "fused_loss", "objective", "token_terms"]
