"""A causal language model and an objective as one module, whose forward pass returns the loss."""

import torch
from torch import nn

from ..losses import fused_loss
from ..losses.objectives import Objective
from ..measure.reading import evaluation_mode
from .folder import has_adapter

HEADS = ("auto", "fused", "logits")
UNMOVED = 1e-5  # the same sums in another row of a batch: a few units of float32's rounding
SAME = 1e-3  # two ways to the same hidden states: a few thousand roundings of float32, and TF32's on a GPU
HALF = 4  # roundings of a half type that the same two ways may differ by
LARGE = 2.0**15  # logits that no soft cap leaves as they are, and that float16 still holds


class WithObjective(nn.Module):
    """`forward(input_ids, labels)` gives the objective's loss of a causal LM: the mean over the tokens that count.

    It returns transformers' `CausalLMOutput` with nothing but the `loss`, so that a plain `Trainer` takes this module
    as it takes a model. Labels are shifted here. `head` is "fused" (hidden states go into `fused_loss`, all logits are
    never held), "logits" (the model's own logits go into the objective: any causal model, more memory), or "auto": the
    fused one where the model's logits are just `hidden @ weight.T + bias`, otherwise "logits"; the attribute `head`
    says which, and `reason` why not the fused one. A loss that the model adds itself (the balance of experts) is left
    out. All of it happens inside this module's forward pass: under DistributedDataParallel that call prepares the
    exchange of gradients; a backbone called around it would train every process on its own. The cost embedding is a
    frozen buffer of this module, so that `.to(device)` moves it; it is no part of the model, and
    `model.save_pretrained` leaves it out. `model` may be a `PeftModel` whose adapters stand inside the model (LoRA).

    Raises ValueError for a model that is no causal LM of transformers (encoders look ahead, which is tried out here),
    for a vocabulary that the cost embedding does not match, and with "fused" for a model with other logits.
    """

    accepts_loss_kwargs = True  # transformers' Trainer then passes the number of tokens of the whole step

    def __init__(self, model, objective, head="auto"):
        super().__init__()
        if not isinstance(objective, Objective):
            raise ValueError(f"objective must be made by `losses.objective(name, ...)`, got {type(objective).__name__}")
        if head not in HEADS:
            raise ValueError(f"head = {head!r} is not one of {', '.join(HEADS)}")
        size, self.reason = _examine(inner_model(model))
        if head == "fused" and self.reason:
            raise ValueError(f'{self.reason}: use head = "logits" or "auto"')
        if objective.cost is not None:
            objective.cost.check_vocabulary(size)
        self.head = head if head != "auto" else "logits" if self.reason else "fused"
        self.model, self.objective, self.cost = model, objective, objective.cost
        self.register_state_dict_post_hook(_apart)

    def forward(self, input_ids, labels, attention_mask=None, num_items_in_batch=None):
        """The sum over this batch's tokens, divided by `num_items_in_batch` or, without it, by their number."""
        from transformers.modeling_outputs import CausalLMOutput

        outputs = self.outputs(input_ids, attention_mask)
        if num_items_in_batch is None:
            return CausalLMOutput(loss=self.loss(outputs, labels))
        return CausalLMOutput(loss=self.loss(outputs, labels, reduction="sum") / num_items_in_batch)

    def outputs(self, input_ids, attention_mask=None):
        """What the head sees: hidden states (B, T, d), or the logits (B, T, V) with head "logits"."""
        return _run(inner_model(self.model), self.head, input_ids, attention_mask)

    def loss(self, outputs, labels, objective=None, reduction="mean"):
        """An objective (by default this module's) of `outputs`: position i is asked for the label at i + 1."""
        objective, outputs, labels = objective or self.objective, outputs[:, :-1], labels[:, 1:]
        if self.head == "logits":
            return objective(outputs, labels, reduction=reduction)
        layer = inner_model(self.model).get_output_embeddings()
        return fused_loss(outputs, layer.weight, labels, objective, bias=layer.bias, reduction=reduction)

    def activation_checkpointing_enable(self, **options):
        """As the model's own: transformers' Trainer asks for it here."""
        self.model.activation_checkpointing_enable(**options)

    def gradient_checkpointing_enable(self, **options):
        """The same by its older name."""
        self.model.gradient_checkpointing_enable(**options)


def _apart(module, state, prefix, metadata):
    """Tied weights stand twice in a state: safetensors, which a plain Trainer writes, takes no shared memory."""
    seen = set()
    for name, tensor in state.items():
        state[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())


def inner_model(model):
    """The model of transformers in a `PeftModel`, adapters inside; any other model itself.

    Raises ValueError for prompts that are learned: they stand before the text, and only the `PeftModel` adds them.
    """
    if not has_adapter(model):
        return model
    if model.active_peft_config.is_prompt_learning:
        kind = model.active_peft_config.peft_type.value
        raise ValueError(f"model is a {type(model).__name__} of {kind}: adapters are needed, such as LoRA's")
    return model.get_base_model()


def _run(model, head, input_ids, attention_mask=None):
    given = {"input_ids": input_ids, "attention_mask": attention_mask, "use_cache": False}
    return model(**given).logits if head == "logits" else model.base_model(**given).last_hidden_state


def _examine(model):
    """The size of the vocabulary, and why the logits are more than a product with the head (None where they are not).

    Raises ValueError unless the model predicts each token from those before it.
    """
    from transformers import PreTrainedModel

    kind = type(model).__name__
    if not isinstance(model, PreTrainedModel):
        raise ValueError(f"model must be a causal language model of transformers, got {kind}")
    needed = f"({kind}); a causal language model is needed, such as GPT2LMHeadModel"
    if getattr(model.config, "is_encoder_decoder", False):
        raise ValueError(f"model is an encoder and a decoder {needed}")
    layer = model.get_output_embeddings()
    if getattr(layer, "weight", None) is None:
        raise ValueError(f"model has no language-model head {needed}")
    with evaluation_mode(model), torch.no_grad():
        return layer.weight.shape[0], _try_out(model, layer, kind)


def _try_out(model, layer, kind):
    """Why the fused head does not fit, or None; ValueError for a model that looks ahead, or cannot be run."""
    # two sentences that differ in their last token: the first position must not notice
    last = min(len(layer.weight), len(model.get_input_embeddings().weight)) - 1
    probe, seen = torch.tensor([[0, 0], [0, last]], device=layer.weight.device), []
    try:
        with layer.register_forward_hook(lambda layer, given, logits: seen.append(given[0])):
            logits = _run(model, "logits", probe).float()
    except Exception as err:  # whatever its forward pass raises
        why = (str(err).strip().splitlines() or [type(err).__name__])[0]
        raise ValueError(f"model cannot be run on token ids alone ({kind}): {why}") from err
    if logits.ndim != 3 or logits.shape[:2] != probe.shape:
        raise ValueError(f"model has logits {tuple(logits.shape)} for ids (2, 2) ({kind})")
    spare = HALF * torch.finfo(layer.weight.dtype).eps
    if float((logits[0, 0] - logits[1, 0]).abs().max()) > max(UNMOVED, spare) * float(logits.abs().max()):
        why = "its prediction at a position depends on the token that comes next"
        raise ValueError(f"model is not causal ({kind}): {why}")
    if type(layer).forward is not nn.Linear.forward:
        return f"the head of {kind} is no plain linear layer ({type(layer).__module__}.{type(layer).__name__})"
    if len(seen) != 1:
        return f"the logits of {kind} are not one product with its head"
    try:
        hidden = _run(model, "fused", probe)
    except (AttributeError, TypeError, ValueError):  # no base model of its own, or one that takes other arguments
        return f"the base model of {kind} gives no last_hidden_state"
    fits = hidden is not None and hidden.shape == seen[0].shape
    if not fits or float((hidden - seen[0]).abs().max()) > max(SAME, spare) * float(hidden.abs().max()):
        return f"the head of {kind} is given more than the last hidden states (scaled or transformed)"
    # In place of the head's output stand numbers so large that a cap shows, and a scale anyway.
    put = torch.linspace(-LARGE, LARGE, len(layer.weight), device=probe.device).to(hidden.dtype).expand(2, 2, -1)
    with layer.register_forward_hook(lambda layer, given, logits: put.clone()):
        logits = _run(model, "logits", probe)
    same = logits.shape == put.shape and torch.equal(logits.float(), put.float())
    return None if same else f"the logits of {kind} are more than a product with its head (scaled or capped)"
