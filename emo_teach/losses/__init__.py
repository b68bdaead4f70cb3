"""Training objectives for language models, in torch: cross-entropy, its rivals, EMO and its combinations.

    cost = CostEmbedding(model.get_output_embeddings().weight.detach())
    loss = objective("emo-mode-1", cost)(logits, labels)

An objective combines a few numbers per token (`objectives`); `fused` computes the same from hidden states without ever
holding all logits; `soft` is for labels that are distributions. Importing this package loads torch.
"""

from .cost import CostEmbedding
from .fused import fused_loss
from .objectives import NAMES, TRANSFORMS, Objective, Terms, objective, token_terms, transformed

__all__ = ["NAMES", "TRANSFORMS", "CostEmbedding", "Objective", "Terms"]
__all__ += ["fused_loss", "objective", "token_terms", "transformed"]
