"""A causal language model and an objective as one module, whose forward pass returns the loss."""

import torch
from torch import nn

from ..losses import fused_loss
from ..losses.objectives import Objective

HEADS = ("fused", "logits")
SAME = 1e-3  # two ways to the same logits: rounding of a float32 product of a few thousand terms, and TF32's on a GPU
UNMOVED = 1e-5  # the same sums in another row of a batch: a few units of float32's rounding


class WithObjective(nn.Module):
    """`forward(input_ids, labels)` gives the objective's loss of a causal LM: the mean over the tokens that count.

    Labels are shifted here. `head` is "fused" (hidden states go into `fused_loss`, all logits are never held) or
    "logits" (the model's own logits go into the objective: any causal model, more memory). All of it happens inside
    this module's forward pass: under DistributedDataParallel that call prepares the exchange of gradients; a backbone
    called around it would train every process on its own. The cost embedding is a frozen buffer of this module, so that
    `.to(device)` moves it; it is no part of the model, and `model.save_pretrained` leaves it out.

    Raises ValueError for a model that is no causal LM of transformers (encoders look ahead, which is tried out here),
    for a vocabulary that the cost embedding does not match, and with "fused" for a model whose logits are not just
    `hidden @ weight.T + bias`.
    """

    accepts_loss_kwargs = True  # transformers' Trainer then passes the number of tokens of the whole step

    def __init__(self, model, objective, head="fused"):
        super().__init__()
        if not isinstance(objective, Objective):
            raise ValueError(f"objective must be made by `losses.objective(name, ...)`, got {type(objective).__name__}")
        if head not in HEADS:
            raise ValueError(f"head = {head!r} is not one of {', '.join(HEADS)}")
        _check_causal(model, head)
        if objective.cost is not None:
            objective.cost.check_vocabulary(model.get_output_embeddings().weight.shape[0])
        self.model, self.objective, self.head, self.cost = model, objective, head, objective.cost

    def forward(self, input_ids, labels, attention_mask=None, num_items_in_batch=None):
        """The sum over this batch's tokens, divided by `num_items_in_batch` or, without it, by their number."""
        outputs = self.outputs(input_ids, attention_mask)
        if num_items_in_batch is None:
            return self.loss(outputs, labels)
        return self.loss(outputs, labels, reduction="sum") / num_items_in_batch

    def outputs(self, input_ids, attention_mask=None):
        """What the head sees: hidden states (B, T, d), or the logits (B, T, V) with head "logits"."""
        return _run(self.model, self.head, input_ids, attention_mask)

    def loss(self, outputs, labels, objective=None, reduction="mean"):
        """An objective (by default this module's) of `outputs`: position i is asked for the label at i + 1."""
        objective, outputs, labels = objective or self.objective, outputs[:, :-1], labels[:, 1:]
        if self.head == "logits":
            return objective(outputs, labels, reduction=reduction)
        layer = self.model.get_output_embeddings()
        bias = getattr(layer, "bias", None)
        return fused_loss(outputs, layer.weight, labels, objective, bias=bias, reduction=reduction)


def _run(model, head, input_ids, attention_mask=None):
    given = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False}
    return model(**given).logits if head == "logits" else model.base_model(**given).last_hidden_state


def _check_causal(model, head):
    """ValueError unless the model predicts each token from those before it and, with "fused", by a plain product."""
    from transformers import PreTrainedModel

    kind = type(model).__name__
    if not isinstance(model, PreTrainedModel):
        raise ValueError(f"model must be a causal language model of transformers, got {kind}")
    needed = f"({kind}); a causal language model is needed, such as GPT2LMHeadModel"
    if getattr(model.config, "is_encoder_decoder", False):
        raise ValueError(f"model is an encoder and a decoder {needed}")
    layer, training = model.get_output_embeddings(), model.training
    if not isinstance(layer, nn.Linear):
        raise ValueError(f"model has no language-model head {needed}")
    # two sentences that differ in their last token: the first position must not notice
    probe = torch.tensor([[0, 0], [0, layer.weight.shape[0] - 1]], device=layer.weight.device)
    model.eval()
    try:
        with torch.no_grad():
            logits = _run(model, "logits", probe).float()
            size = float(logits.abs().max())
            if float((logits[0, 0] - logits[1, 0]).abs().max()) > UNMOVED * size:
                why = "its prediction at a position depends on the token that comes next"
                raise ValueError(f"model is not causal ({kind}): {why}")
            if head == "logits":
                return
            hidden = _run(model, "fused", probe)
            fits = hidden.shape[-1] == layer.weight.shape[1]
            if not fits or float((layer(hidden).float() - logits).abs().max()) > SAME * size:
                more = "more than a product with its head (scaled or capped)"
                raise ValueError(f'the logits of {kind} are {more}: use head = "logits"')
    finally:
        model.train(training)
