"""What a causal language model says: log-probabilities, perplexity, EMO cost, samples, features.

A transformers model in, numpy arrays out. All runs in evaluation mode and without gradients; a model in training mode
is set back to it afterwards. Ids (n, L) out of range, more tokens than the model has positions, and a model that gives
no logits (n, L, V) for ids (n, L) are a ValueError. Texts are read `batch` at a time, fewer where they are long and the
vocabulary is large.
"""

import inspect
from contextlib import contextmanager

import numpy as np

from .. import costs, inputs
from ..inputs import integers, log_distributions

BATCH = 64
NUMBERS = 2**26  # logits in one go: some 1.3 GiB with their copies in float64


@contextmanager
def evaluation_mode(model):
    """The model in evaluation mode, its mode restored in the end."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        yield
    finally:
        for module in training:  # module by module: a part that was frozen in evaluation mode stays so
            module.training = True


@contextmanager
def _evaluating(model):
    """The model in evaluation mode, without gradients."""
    import torch

    with evaluation_mode(model), torch.inference_mode():
        yield


def _blocks(model, ids, batch, name="ids", extra=0, least=1):
    """Checked ids (n, L) as tensors on the model's device, at most `batch` rows each."""
    import torch

    size = model.get_input_embeddings().weight.shape[0]
    ids = integers(name, ids, ndim=2, size=size)
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and ids.shape[1] + extra > longest:
        more = f" and {extra} more tokens" if extra else ""
        raise ValueError(f"{name} {ids.shape}{more}: the model has only {longest} positions")
    if ids.shape[1] < least:
        raise ValueError(f"{name} {ids.shape}: at least {least} tokens per row are needed")
    device = next(model.parameters()).device
    rows = min(inputs.count("batch", batch), max(1, NUMBERS // ((ids.shape[1] + extra) * size)))
    return [block.to(device) for block in torch.from_numpy(ids).split(rows)]


def _logits(model, ids, use_cache=False, **options):
    """A model's output and its logits (n, L, V); ValueError where it has others."""
    out, kind = model(input_ids=ids, use_cache=use_cache, **options), type(model).__name__
    if not hasattr(out, "logits"):
        raise ValueError(f"model ({kind}) has no language-model head: its output has no logits")
    if out.logits.ndim != 3 or out.logits.shape[:2] != ids.shape:
        raise ValueError(f"model ({kind}) has logits {tuple(out.logits.shape)} for ids {tuple(ids.shape)}")
    return out, out.logits


def next_token_log_probs(model, ids, batch=BATCH, temperature=1.0):
    """Log-probabilities of the next token after every prefix of every row.

    Formula: `log softmax(logits / temperature)`, in float64. Position i predicts token i + 1. Returns (n, L, V).
    """
    temperature = inputs.number("temperature", temperature, low=0, open_low=True)
    blocks = _blocks(model, ids, batch)
    with _evaluating(model):
        logits = (_logits(model, block)[1].double() for block in blocks)
        return np.concatenate([(each / temperature).log_softmax(-1).cpu().numpy() for each in logits])


def perplexity(model, ids, batch=BATCH):
    """Perplexity of held-out blocks: the first token of a row is given, all others are predicted.

    Formula: `exp(-mean log p(token | its prefix in the row))`, in float64. Raises ValueError for rows of one token.
    """
    blocks, total, count = _blocks(model, ids, batch, least=2), 0.0, 0
    with _evaluating(model):
        for block in blocks:
            logs = _logits(model, block)[1][:, :-1].double().log_softmax(-1)
            total -= float(logs.gather(-1, block[:, 1:, None]).sum())
            count += block[:, 1:].numel()
    with np.errstate(over="ignore"):
        return float(np.exp(total / count))


def emo(log_probs, targets, unit):
    """Mean EMO cost of next-token distributions at the observed tokens.

    Formula: A9, mean over positions of `1 - <m_p, ê_t>` with `m_p = sum_i p_i ê_i`. Raises ValueError for bad
    log-probabilities, targets out of range or sizes that disagree. Source: Ren et al., EMO (arXiv 2310.04691).
    """
    log_probs, unit = log_distributions("log_probs", log_probs), costs.unit_rows(unit)
    if len(unit) != log_probs.shape[-1]:
        raise ValueError(f"unit has {len(unit)} rows, but the distributions have {log_probs.shape[-1]} entries")
    targets = integers("targets", targets, size=len(unit))
    if targets.shape != log_probs.shape[:-1]:
        shapes = f"targets {targets.shape} and log_probs {log_probs.shape}"
        raise ValueError(f"{shapes} must be (...) and (..., V): they disagree")
    return float((1.0 - ((np.exp(log_probs) @ unit) * unit[targets]).sum(-1)).mean())


def sample(model, prompts, length, temperature=1.0, seed=0, top_p=None, greedy=False, batch=256):
    """Continue prompts by ancestral sampling: draw each token from the model's distribution given all before it.

    Formula: token = inverse CDF of `softmax(logits / temperature)` at a uniform number, the same for every model under
    one seed (so two models are compared on common random numbers), whatever the batch and device, except where a number
    is so near a step of the CDF that another order of sums moves the step over it. `top_p` keeps the likeliest tokens
    that reach that mass; `greedy` takes the likeliest and draws nothing. No token ends a sequence. Returns
    (n, k + length), the prompt first. Source: top-p: Holtzman et al. (ICLR 2020).
    """
    import torch

    temperature = inputs.number("temperature", temperature, low=0, open_low=True)
    top_p = 1.0 if top_p is None else inputs.number("top_p", top_p, low=0, high=1, open_low=True)
    length, seed = inputs.count("length", length), inputs.count("seed", seed, low=0)
    blocks = _blocks(model, prompts, batch, name="prompts", extra=length)
    generator = torch.Generator().manual_seed(seed)
    uniform = torch.rand(sum(map(len, blocks)), length, generator=generator, dtype=torch.float64)
    uniform = uniform.split([len(block) for block in blocks])
    pick = (lambda logits, u: logits.argmax(-1)) if greedy else (lambda logits, u: _draw(logits, u, temperature, top_p))
    with _evaluating(model):
        pairs = zip(blocks, uniform, strict=True)
        return np.concatenate([_continue(model, block, u.to(block.device), pick) for block, u in pairs])


def _continue(model, block, uniform, pick):
    """A batch of prompts, continued by a token for each column of `uniform`.

    A cache of keys and values spares earlier tokens, where the model has one; others read all of them each time.
    """
    import torch

    inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # of a PeftModel
    found, cache, cached = [block], {}, "past_key_values" in inspect.signature(inner.forward).parameters
    for step in range(uniform.shape[1]):
        ids = found[-1] if cached else torch.cat(found, 1)
        out, logits = _logits(model, ids, use_cache=cached, **cache)
        cached = cached and getattr(out, "past_key_values", None) is not None
        cache = {"past_key_values": out.past_key_values} if cached else {}
        found.append(pick(logits[:, -1], uniform[:, step])[:, None])
    return torch.cat(found, 1).cpu().numpy()


def _draw(logits, u, temperature, top_p):
    """One token per row: the first whose cumulated probability exceeds u."""
    import torch

    p = (logits.double() / temperature).softmax(-1)
    if top_p < 1:
        ordered, order = p.sort(dim=-1, descending=True, stable=True)
        before = ordered.cumsum(-1) - ordered
        p = torch.zeros_like(p).scatter(-1, order, torch.where(before < top_p, ordered, 0.0))
    cdf = p.cumsum(-1)
    # u is at most 1 - 2^-53 (torch's grid), so u * total rounds below the total: the step has a probability above 0
    return torch.searchsorted(cdf, u[:, None] * cdf[:, -1:], right=True)[:, 0]


def features(model, ids, batch=BATCH):
    """One vector per row from a model's last hidden layer, for MAUVE: use one frozen model for all texts compared.

    Formula: the mean over the row's positions, (n, d) in float64. Pillutla et al., MAUVE (arXiv 2102.01454), take the
    last state of GPT-2.
    """
    blocks = _blocks(model, ids, batch)
    with _evaluating(model):
        return np.concatenate([_last_states(model, block).double().mean(1).cpu().numpy() for block in blocks])


def _last_states(model, block):
    states = getattr(model(input_ids=block, output_hidden_states=True), "hidden_states", None)
    if not states:
        raise ValueError(f"model ({type(model).__name__}) gives no hidden states")
    return states[-1]
