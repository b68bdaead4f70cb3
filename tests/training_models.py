"""Small models and tokens for the tests of training."""

import numpy as np
import torch
from transformers import GPT2Config, GPT2LMHeadModel

VOCABULARY, BLOCK = 60, 12


def tiny(dropout=0.0, seed=0, **changes):
    """A GPT-2 of one layer with random weights, larger than at birth: gradients of all tokens are then well away from equal."""
    torch.manual_seed(seed)
    off = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), dropout)
    sizes = {
        "vocab_size": VOCABULARY,
        "n_positions": 16,
        "n_embd": 16,
        "n_layer": 1,
        "n_head": 2,
        "bos_token_id": 0,
        "eos_token_id": 0,
    }
    return GPT2LMHeadModel(GPT2Config(**{**sizes, "initializer_range": 0.2, **off, **changes}))


def masked_blocks(n=40, seed=1):
    """(ids, labels) of n blocks, of which each counts another share of its tokens, some nearly none."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(VOCABULARY, size=(n, BLOCK))
    hidden = rng.random((n, BLOCK)) < rng.choice([0.0, 0.3, 0.9], size=(n, 1))
    hidden[:, 1] = False
    return ids, np.where(hidden, -100, ids)


def weights(model):
    """All parameters by name."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def largest_gap(a, b):
    """Largest absolute difference between two models' parameters."""
    return max(float((x - y).detach().abs().max()) for x, y in zip(a.parameters(), b.parameters(), strict=True))
