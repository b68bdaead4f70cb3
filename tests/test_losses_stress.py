"""The objectives where numbers run out: logits at +-1e4, targets nearly certain or impossible, in training types."""

import math

import pytest
import torch

from emo_teach.losses import CostEmbedding, fused_loss, objective, objectives

from . import losses_reference as reference
from .losses_reference import CONFIGS, EMO_NAMES, make, over

DTYPES = (torch.float32, torch.float16, torch.bfloat16)
UNIT = 2.0**-24  # rounding of one float32 operation
TINY = 1e-36  # where float32 runs out of normal numbers, with room for sums of them
SIZES = ((2, 1), (2, 8), (3, 2), (9, 4), (33, 8))  # (V, d); in one dimension tokens coincide or oppose each other
MEAN_COST = 1e-3  # below it a weight CE/L rests on the rounding of the embedding


def steps(v, d):
    """How many roundings of size `UNIT` a value may gather, relative to its scale.

    A logit's distance to the largest one carries a relative UNIT, which exp turns into distance * UNIT; beyond a
    distance of 104 float32's exp is 0. Sums of V positive terms add V at most, unit vectors and their dot products 4 d,
    the few operations around them a handful (20 allowed).
    """
    return 110 + 2 * v + 4 * d + 20


def scales(name, terms, weight, options):
    """(scale of the value, scale of the gradient), per token: error bounds are `steps * UNIT` times these.

    Rounding moves CE and 1 - p_t in proportion to themselves, each cost by a constant (so L in proportion to 1 - p_t),
    p_t by CE in proportion, and a gradient's entry in proportion to 1 - p_t, the size of the largest entry of the
    softmax's slope. Products add their factors' relative errors.
    """
    ce, p_t, rest, emo, _, uniform = terms
    o = {**reference.DEFAULTS.get(name, {}), **options}
    if name in ("tailr", "mixce"):
        return weight * ce * (1 + ce), weight * rest * (2 + ce)
    if name == "overconfidence":
        return torch.maximum(ce, rest), rest * (2 + ce) / max(o["gamma"], 0.05)
    if name == "smoothing":
        return 2 * (ce + uniform.abs()), torch.ones_like(ce)
    if name == "emo-mode-1":
        held = terms.held(o)
        return ce, rest + 3 * ce * torch.where(held > 0, rest / held, 0.0) + 3 * ce * rest
    return {
        "ce": (ce, rest),
        "accuracy": (rest, 2 * rest),
        "emo": (2 * rest, 4 * rest),
        "emo-mode-2": (4 * rest + 2 * p_t, 12 * rest + 4 * (emo + p_t) * torch.where(ce > 0, rest / ce, 0.0)),
        "ce+emo": (ce + 2 * o.get("weight", 0) * rest, rest * (1 + 4 * o.get("weight", 0))),
        "debiased": (4 * rest, 8 * rest),
        "ce+debiased": (ce + 4 * rest, 9 * rest),
    }[name]


def hard_logits(n, v, labels, generator):
    """Rows: mild, steep, +-1e4 at random, one token on top or at the bottom, p_t from 1e-30 to 1 - 1e-7, ties, far."""
    z = torch.randn(n, v, generator=generator, dtype=torch.float64)
    kind = torch.arange(n) % 8
    z[kind == 1] *= 10
    z[kind == 2] = (torch.rand(int((kind == 2).sum()), v, generator=generator, dtype=torch.float64) * 2 - 1) * 1e4
    signs = torch.tensor([1.0, -1.0], dtype=torch.float64)[torch.randint(2, (n, 1), generator=generator)]
    z[kind == 3] = -1e4 * signs[kind == 3]
    spot = torch.where(torch.rand(n, generator=generator) < 0.5, labels, torch.randint(v, (n,), generator=generator))
    rows = (kind == 3).nonzero().squeeze(-1)
    z[rows, spot[rows]] = 1e4 * signs[rows, 0]
    share = torch.rand(n, generator=generator, dtype=torch.float64)
    odds = torch.where(share < 0.5, 140 * share - 70, 32 * share - 16)  # log-odds: from p_t = 4e-31 to 1 - 1e-7
    rows = ((kind == 4) | (kind == 5)).nonzero().squeeze(-1)
    others = z.scatter(-1, labels.unsqueeze(-1), -math.inf)
    z[rows, labels[rows]] = (torch.logsumexp(others, -1) + odds)[rows]
    z[kind == 6] = torch.randint(2, (int((kind == 6).sum()), v), generator=generator).double() * 3
    z[kind == 7] += 1e4 * signs[kind == 7]
    return z


def fused_gradient(ours, logits, labels, ignore_index):
    """The logits' gradient from the fused head: with the identity for a head, the hidden states are the logits."""
    hidden = logits.detach().clone().requires_grad_()
    head, options = torch.eye(logits.shape[1], dtype=logits.dtype), {"reduction": "sum", "chunk": 24}
    total = fused_loss(hidden, head, labels, ours, ignore_index=ignore_index, **options)
    (gradient,) = torch.autograd.grad(total, hidden)
    return total.detach(), gradient


def judge(config, dtype, v, d, way, generator, n=64):
    """Count, over n rows, (cases, NaN or infinite, negative, outside the bound, worst share of the bound)."""
    name, options = config
    embedding = torch.randn(v, d, generator=generator)
    labels = torch.randint(v, (n,), generator=generator)
    logits = hard_logits(n, v, labels, generator).to(dtype).requires_grad_()
    ignore_index = (-100, 0)[int(torch.randint(2, (), generator=generator))]
    labels[torch.rand(n, generator=generator) < 0.2] = ignore_index
    keep = labels != ignore_index
    ours = make(name, options, CostEmbedding(embedding), way == "averaged")
    losses = ours(logits, labels, ignore_index=ignore_index, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    total = losses.sum()
    if way == "fused":
        total, gradient = fused_gradient(ours, logits, labels, ignore_index)
    assert (losses[~keep] == 0).all() and (gradient[~keep] == 0).all()
    assert losses.dtype == torch.float32 and gradient.dtype == dtype
    exact = logits[keep].detach().double().requires_grad_()
    unit = torch.nn.functional.normalize(embedding.double(), dim=1)
    terms = reference.stable_terms(exact, labels[keep], unit)
    weight = reference.constants(name, terms, options)
    wanted = reference.combine(name, terms, weight, options)
    (slope,) = torch.autograd.grad(wanted.sum(), exact)
    terms, slack = reference.Terms(*(x.detach() for x in terms)), steps(v, d) * UNIT
    room = [slack * x for x in scales(name, terms, weight, options)]
    assert abs(total - losses.sum()) <= 2 * room[0].sum() + TINY
    return _count(name, options, losses[keep].detach(), gradient[keep], wanted.detach(), slope, terms, room)


def _count(name, options, losses, gradient, wanted, slope, terms, room):
    finite = losses.isfinite() & gradient.isfinite().all(-1)
    share = (losses.double() - wanted).abs() / (room[0] + TINY)
    rounded = torch.finfo(gradient.dtype)
    half = rounded.eps / 2 if gradient.dtype != torch.float32 else 0.0  # the gradient comes in the logits' own type
    least = rounded.smallest_normal * rounded.eps + TINY
    room_gradient = room[1].unsqueeze(-1) * (1 + half) + half * slope.abs() + least
    share = torch.maximum(share, ((gradient.double() - slope).abs() / room_gradient).amax(-1))
    if name.startswith("emo-mode"):
        share = torch.where(_vague(name, options, terms), _loosely(name, options, losses, gradient, terms), share)
    share = torch.nan_to_num(share, nan=math.inf)
    return len(losses), int((~finite).sum()), int((losses < 0).sum()), int((share > 1).sum()), float(share.max())


def _vague(name, options, terms):
    """Where the constant weight is 0/0: for CE/L all wrong tokens point the target's way, for L/CE no mass is wrong."""
    return terms.held(options) < MEAN_COST * terms.rest if name == "emo-mode-1" else terms.ce < TINY


def _loosely(name, options, losses, gradient, terms):
    """0 where value and gradient lie between those with weight 0 and those with the weight's limit, else infinity."""
    whole = terms.ce if name == "emo-mode-1" else 2 * terms.held(options)
    inside = (losses >= 0.49 * whole - TINY) & (losses <= 1.01 * whole + TINY)
    return torch.where(inside & (gradient.abs().amax(-1) <= 2 * terms.ce + 2), 0.0, math.inf)


CASES = [
    (config, dtype, *size, way)
    for config in CONFIGS
    for dtype in DTYPES
    for size in SIZES
    for way in (("rows", "averaged", "fused") if config[0] in EMO_NAMES else ("rows", "fused"))
]


@pytest.mark.parametrize(
    "cases", [pytest.param(CASES[::7], id="sample"), pytest.param(CASES, id="all", marks=pytest.mark.slow)]
)
def test_random_extremes_stay_within_the_bound_of_their_type(cases):
    generator = torch.Generator().manual_seed(9797)
    found = [judge(*case, generator) for case in cases]
    assert sum(count for count, *_ in found) >= 10 * len(cases)
    assert [(case, line) for case, line in zip(cases, found, strict=True) if any(line[1:4])] == []


def test_the_stress_test_sees_a_fault(monkeypatch):
    honest = objectives.token_terms
    monkeypatch.setattr(objectives, "token_terms", lambda logits, *rest: honest(logits.bfloat16(), *rest))
    assert judge(("ce", {}), torch.float32, 9, 4, "rows", torch.Generator().manual_seed(0))[3] > 0


@pytest.mark.parametrize("dtype", DTYPES)
@over(CONFIGS)
def test_largest_logits_there_are(name, options, dtype):
    """Every pattern of +-1e4 on three tokens, as a batch, and as a mean."""
    signs = torch.cartesian_prod(*[torch.tensor([-1e4, 0.0, 1e4])] * 3).to(dtype)
    for target in range(3):
        labels = torch.full((27,), target)
        ours = make(name, options, CostEmbedding(torch.eye(3)))
        value, (gradient,) = reference.value_and_gradient(lambda z: ours(z, labels), signs)
        assert value.isfinite() and value >= 0 and gradient.isfinite().all()


def test_relative_digits_of_a_nearly_certain_target():
    """1 - p_t, CE and L keep their digits where 1 - p_t itself is near the rounding of 1."""
    odds = torch.tensor([5.0, 9.0, 14.0, 16.1, 40.0, 80.0])
    logits = torch.stack([odds, torch.zeros(6), torch.full((6,), -1.0)], -1)
    cost, labels = CostEmbedding(torch.eye(3)), torch.zeros(6, dtype=torch.long)
    wanted = 1 / (1 + torch.exp(odds.double()) / (1 + math.exp(-1)))
    for ours in (objective("accuracy"), objective("emo", cost), objective("emo", cost, averaged=True)):
        value = ours(logits, labels, reduction="none").double()
        assert ((value - wanted).abs() / wanted).max() < 1e-5
    ce = objective("ce")(logits, labels, reduction="none").double()
    assert ((ce + torch.log1p(-wanted)).abs() / wanted).max() < 1e-5
