"""The objectives in torch: against closed forms, the LP, published code; reductions, masks, refusals, checkpoints."""

import copy
import io
import math
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from emo import EMOLoss
from safetensors.torch import load_file, save_file

from emo_teach import costs
from emo_teach.losses import NAMES, CostEmbedding, fused_loss, objective, token_terms
from emo_teach.losses import cost as cost_module

from . import losses_reference as reference
from .losses_reference import CONFIGS, gap, make, over, value_and_gradient

EXACT = 1e-10  # float64 against float64 on moderate logits: both round at 1e-16, and weights CE/L reach some thousands


def batch(v, d=5, n=6, scale=1.0, seed=0, dtype=torch.float64):
    """(logits (n, v), labels (n,), embedding (v, d))."""
    g = torch.Generator().manual_seed(seed + 1000 * v)
    logits = scale * torch.randn(n, v, generator=g, dtype=torch.float64)
    return (
        logits.to(dtype),
        torch.randint(v, (n,), generator=g),
        torch.randn(v, d, generator=g, dtype=torch.float64).to(dtype),
    )


@over(CONFIGS)
def test_value_and_gradient_equal_the_closed_form(name, options):
    for v in (2, 3, 7, 50):
        for scale in (0.0, 1.0, 4.0):
            logits, labels, embedding = batch(v, scale=scale)
            shares = torch.linspace(0.5, 2.0, len(labels), dtype=torch.float64)
            right = lambda z: (shares * reference.loss(name, z, labels, embedding, options)).sum()
            wanted = value_and_gradient(right, logits)
            for averaged in (False, True):
                ours = make(name, options, CostEmbedding(embedding), averaged)
                got = value_and_gradient(lambda z: (shares * ours(z, labels, reduction="none")).sum(), logits)
                assert gap(got[0], wanted[0]) <= EXACT and gap(got[1][0], wanted[1][0]) <= EXACT


def test_every_objective_is_among_the_configurations():
    assert {name for name, _ in CONFIGS} == set(NAMES)


@over(CONFIGS)
def test_reductions_masks_and_leading_axes(name, options):
    logits, labels, embedding = batch(7, n=12, scale=2.0)
    ours = make(name, options, CostEmbedding(embedding))
    per_token = ours(logits, labels, reduction="none")
    for ignore_index in (-100, -1, 3, 10**6):
        masked = labels.clone()
        masked[::3] = ignore_index
        keep = masked != ignore_index
        for shape in ((12,), (3, 4), (2, 1, 6)):
            z, y = logits.reshape(*shape, 7), masked.reshape(shape)
            none = ours(z, y, ignore_index=ignore_index, reduction="none")
            assert none.shape == shape and (none.flatten()[~keep] == 0).all()
            assert torch.equal(none.flatten()[keep], per_token[keep])
            assert torch.allclose(ours(z, y, ignore_index, "sum"), per_token[keep].sum(), rtol=1e-14)
            assert torch.allclose(ours(z, y, ignore_index), per_token[keep].mean(), rtol=1e-14)
    single = ours(logits[0], labels[0])  # no leading axes at all
    assert single.shape == () and torch.allclose(single, per_token[0], rtol=1e-14)


@over(CONFIGS)
def test_nothing_to_learn_from_is_a_zero_with_zero_gradient(name, options):
    for dtype in (torch.float32, torch.bfloat16):
        logits, _, embedding = batch(5, n=4, dtype=dtype)
        ours = make(name, options, CostEmbedding(embedding))
        for reduction in ("mean", "sum", "none"):
            for z in (logits, logits[:0]):
                call = lambda x: ours(x, torch.full(x.shape[:1], -100), reduction=reduction).sum()
                value, (gradient,) = value_and_gradient(call, z)
                assert value == 0 and gradient.shape == z.shape and (gradient == 0).all()


@over(CONFIGS)
def test_ignored_positions_get_no_gradient_and_may_hold_anything(name, options):
    logits, labels, embedding = batch(6, n=5)
    labels[2], logits[2] = -100, math.nan
    ours = make(name, options, CostEmbedding(embedding))
    value, (gradient,) = value_and_gradient(lambda z: ours(z, labels), logits)
    keep = torch.tensor([0, 1, 3, 4])
    alone, (of_kept,) = value_and_gradient(lambda z: ours(z, labels[keep]), logits[keep])
    assert torch.equal(value, alone) and torch.equal(gradient[keep], of_kept) and (gradient[2] == 0).all()


@over(CONFIGS)
def test_only_token_there_is_costs_nothing(name, options):
    ours = make(name, options, CostEmbedding(torch.ones(1, 3)))
    value, (gradient,) = value_and_gradient(lambda z: ours(z, torch.tensor([0])), torch.tensor([[3.0]]))
    assert value == (name == "emo-mode-2" and bool(options))  # with the target detached mode 2 is L + p_t and more
    assert (gradient == 0).all()


def test_layout_of_the_inputs_does_not_matter():
    logits, labels, embedding = batch(6, n=8)
    for name, options in CONFIGS:
        ours = make(name, options, CostEmbedding(embedding))
        flipped = logits.T.contiguous().T  # same numbers, other strides
        spaced = torch.stack([labels, labels], -1)[:, 0]
        assert not flipped.is_contiguous() and not spaced.is_contiguous()
        assert torch.equal(ours(flipped, spaced), ours(logits, labels))
        other = make(name, options, CostEmbedding(embedding.T.contiguous().T))
        assert torch.equal(other(logits, labels), ours(logits, labels))
        for kind in (torch.int32, torch.int16, torch.int8, torch.uint8):
            assert torch.equal(ours(logits, labels.to(kind)), ours(logits, labels))


def test_small_label_types_do_not_wrap_round_the_ignore_index():
    logits, _, _ = batch(200, n=2)
    labels = torch.tensor([156, 3], dtype=torch.uint8)  # 156 = 256 - 100
    assert (objective("ce")(logits, labels, reduction="none") > 0).all()


@over(CONFIGS)
@pytest.mark.parametrize("averaged", [False, True])
def test_tokens_at_minus_infinity_are_as_if_cut_off(name, options, averaged):
    """A masked vocabulary, in the logits and by the head's bias; smoothed labels ask for all tokens: infinite."""
    logits, labels, embedding = batch(9)
    labels %= 7
    masked = logits.index_fill(1, torch.tensor([7, 8]), -math.inf)
    whole, cut = (make(name, options, CostEmbedding(e), averaged) for e in (embedding, embedding[:7]))
    value, (slope,) = value_and_gradient(lambda z: whole(z, labels), masked)
    assert torch.isfinite(slope).all()
    hidden = torch.eye(len(labels), dtype=torch.float64).requires_grad_()
    bias = torch.zeros(9, dtype=torch.float64).index_fill(0, torch.tensor([7, 8]), -math.inf)
    fused = fused_loss(hidden, logits.T.contiguous(), labels, whole, bias=bias)
    assert torch.isfinite(torch.autograd.grad(fused, hidden)[0]).all()
    if name == "smoothing" and options.get("epsilon") != 0:
        assert value == fused == math.inf
        return
    wanted, (at,) = value_and_gradient(lambda z: cut(z, labels), logits[:, :7])
    assert gap(value, wanted) <= 1e-14 and gap(fused.detach(), wanted) <= 1e-14
    assert gap(slope[:, :7], at) <= 1e-14 and (slope[:, 7:] == 0).all()


@over(CONFIGS)
def test_a_target_at_minus_infinity_costs_what_the_limit_says(name, options):
    logits, labels, embedding = batch(7)
    labels[:] = 0
    loss = make(name, options, CostEmbedding(embedding))
    impossible = logits.index_fill(1, torch.tensor([0]), -math.inf)
    value, (slope,) = value_and_gradient(lambda z: loss(z, labels), impossible)
    limit = loss(logits.index_fill(1, torch.tensor([0]), -1e6), labels)  # the probability underflows, the CE is 1e6
    assert not slope.isnan().any()
    if limit > 1e4:
        assert value == math.inf
    else:
        assert gap(value, limit) <= 1e-5  # mode 2's weight L/CE leaves a trace of 1e-6


@over(CONFIGS)
@pytest.mark.parametrize("fault", [math.nan, math.inf])
def test_logits_that_are_no_numbers_never_give_one(name, options, fault):
    logits, labels, embedding = batch(7)
    loss = make(name, options, CostEmbedding(embedding))
    for place in (labels[0], (labels[0] + 1) % 7):
        bad = logits.clone()
        bad[0, place] = fault
        assert loss(bad, labels).isnan()


@over(CONFIGS)
def test_an_objective_can_be_pickled_copied_and_saved(name, options):
    logits, labels, embedding = batch(7)
    loss = make(name, options, CostEmbedding(embedding))
    file = io.BytesIO()
    torch.save(loss, file)
    file.seek(0)
    for other in (pickle.loads(pickle.dumps(loss)), copy.deepcopy(loss), torch.load(file, weights_only=False)):
        assert (other.name, other.needs, other.averaged) == (loss.name, loss.needs, loss.averaged)
        assert torch.equal(other(logits, labels), loss(logits, labels))


@over(CONFIGS)
def test_autocast_changes_nothing(name, options):
    """The logits come as they come; from there on all is float32, also the products with the embedding."""
    for dtype in (torch.float32, torch.bfloat16):
        logits, labels, embedding = batch(9, n=8, dtype=dtype)
        for averaged in (False, True):
            ours = make(name, options, CostEmbedding(embedding), averaged)
            found = []
            for cast in (False, True):
                z = logits.clone().requires_grad_()
                with torch.autocast("cpu", dtype=torch.bfloat16, enabled=cast):
                    loss = ours(z, labels)
                loss.backward()  # outside, as torch asks
                found.append((loss.detach(), z.grad))
            assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])


def published(logits, labels, embedding, mode, clip=None):
    """The formula of the paper's repository (github.com/DRSY/EMO): p_t is detached, the term's value is L + p_t."""
    z, y = logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten()
    z, y = z[y != -100], y[y != -100]
    label = torch.nn.functional.one_hot(y, z.shape[-1]).to(z.dtype)
    unit = torch.nn.functional.normalize(embedding, dim=1)
    p = torch.softmax(z, -1)
    emo = 1 - ((label @ unit) * ((p - (p * label).detach()) @ unit)).sum(-1)
    ce = torch.nn.functional.cross_entropy(z, y, reduction="none")
    weight = (ce / (emo + 1e-10)).detach()
    weight = weight if clip is None else weight.clamp(max=clip)
    return (0.5 * (ce + weight * emo) if mode == 1 else (emo / (ce + 1e-10)).detach() * ce + emo).mean()


def sequences(dtype, scale, seed=1):
    """Logits (2, 9, 12), labels with holes, and an embedding whose tokens are nearly at right angles."""
    g = torch.Generator().manual_seed(seed)
    labels = torch.randint(12, (2, 9), generator=g)
    labels[0, 3:5] = labels[1, -1] = -100
    return (scale * torch.randn(2, 9, 12, generator=g)).to(dtype), labels, torch.randn(12, 64, generator=g).to(dtype)


OTHERS = {  # name: (theirs, our mode and its options)
    "package, mode 1": (partial(EMOLoss, mode=1), "emo-mode-1", {"clip": 3.0}),
    "package, mode 2": (partial(EMOLoss, mode=2), "emo-mode-2", {}),
    "formula, mode 1": (partial(published, mode=1), "emo-mode-1", {"detach_target": True}),
    "formula, clipped": (partial(published, mode=1, clip=3.0), "emo-mode-1", {"detach_target": True, "clip": 3.0}),
    "formula, mode 2": (partial(published, mode=2), "emo-mode-2", {"detach_target": True}),
}


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-8)])  # they add 1e-10
@pytest.mark.parametrize("scale", [0.05, 3.0])
@pytest.mark.parametrize("other", OTHERS)
def test_modes_equal_the_package_emoloss_and_the_published_formula(other, scale, dtype, tolerance):
    theirs, name, options = OTHERS[other]
    logits, labels, embedding = sequences(dtype, scale)
    ours = make(name, options, CostEmbedding(embedding))
    wanted = value_and_gradient(lambda z: theirs(z, labels, embedding), logits)
    got = value_and_gradient(lambda z: ours(z[:, :-1], labels[:, 1:]), logits)
    assert gap(got[0], wanted[0]) <= tolerance and gap(got[1][0], wanted[1][0]) <= tolerance


@pytest.mark.parametrize("scale", [0.05, 3.0])
def test_the_clip_is_felt_where_it_bites(scale):
    logits, labels, embedding = sequences(torch.float32, scale)
    z, y, cost = logits[:, :-1], labels[:, 1:], CostEmbedding(embedding)
    terms = token_terms(z[y != -100], y[y != -100], ("emo",), cost)
    clipped = terms.ce / terms.emo > 3
    assert not clipped.any() if scale < 1 else clipped.any()
    felt = abs(objective("emo-mode-1", cost)(z, y) - objective("emo-mode-1", cost, clip=3.0)(z, y)) > 1e-3
    assert felt == (scale > 1)


class Student(torch.nn.Module):
    """A head beside the cost it was trained with."""

    def __init__(self, embedding, dtype=None):
        super().__init__()
        self.head = torch.nn.Linear(embedding.shape[1], embedding.shape[0])
        self.cost = CostEmbedding(embedding, dtype)


@pytest.mark.parametrize("dtype", [None, torch.float16, torch.int8])
def test_cost_travels_in_a_checkpoint(dtype, tmp_path):
    logits, labels, embedding = batch(7, dtype=torch.float32)
    trained, fresh = Student(embedding, dtype), Student(torch.ones(7, 5), dtype)
    save_file(trained.state_dict(), tmp_path / "student.safetensors")
    fresh.load_state_dict(load_file(tmp_path / "student.safetensors"))
    assert dtype != torch.int8 or torch.equal(fresh.cost.scale, trained.cost.scale)
    assert torch.equal(fresh.cost.unit, trained.cost.unit) and fresh.cost.unit.dtype == (dtype or torch.float32)
    assert torch.equal(objective("emo", fresh.cost)(logits, labels), objective("emo", trained.cost)(logits, labels))
    assert [n for n, _ in fresh.named_parameters()] == ["head.weight", "head.bias"]  # nothing of the cost is trained


def test_cost_is_a_frozen_copy():
    embedding = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    cost = CostEmbedding(embedding)
    before = cost.unit.clone()
    embedding.add_(5.0)
    assert torch.equal(cost.unit, before) and not cost.unit.requires_grad
    extreme = torch.tensor([[3e38, 3e38], [1e-42, 0.0], [0.0, -2.0]])  # lengths over- or underflow when squared
    unit = CostEmbedding(extreme).unit
    assert torch.allclose(unit, torch.tensor([[0.5**0.5, 0.5**0.5], [1.0, 0.0], [0.0, -1.0]]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int8])
def test_costs_are_never_negative_and_the_targets_own_is_zero(dtype):
    """Tokens that share a direction: 1 - cos is 0 up to rounding, of either sign."""
    some = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    embedding = torch.cat([some, 3 * some, some])
    cost = CostEmbedding(embedding, dtype)
    rows = cost.rows(torch.arange(120))
    assert (rows >= 0).all() and (rows.diagonal() == 0).all()
    unit = cost.vectors(torch.float64)
    assert ((1 - unit @ unit.T) < 0).any()  # so that the cut is needed here
    if dtype == torch.float32:
        assert np.abs(rows.numpy() - costs.cosine(embedding.double().numpy())).max() < 1e-6
    logits = 30 * (torch.arange(120) % 40 == 3) + torch.linspace(0, 1, 120)  # the mass is on the target's namesakes
    for name in ("emo", "emo-mode-1", "emo-mode-2", "debiased"):
        for averaged in (False, True):
            loss = objective(name, cost, averaged)(logits, torch.tensor(3))
            assert loss >= 0 and loss.isfinite()


def test_float16_vectors_cost_what_the_rounded_vectors_cost():
    logits, labels, embedding = batch(9, dtype=torch.float32)
    cost = CostEmbedding(embedding, dtype=torch.float16)
    wanted = reference.stable_terms(logits.double(), labels, cost.unit.double())[3].mean()
    assert gap(objective("emo", cost)(logits, labels), wanted) <= 1e-6  # 5 float32 products of numbers below 1
    assert 1e-9 < gap(wanted, reference.loss("emo", logits.double(), labels, embedding.double(), {}).mean()) < 1e-3


@pytest.mark.parametrize("multiplies", [False, True])
def test_int8_vectors_cost_what_the_rounded_vectors_cost(multiplies, monkeypatch):
    """With and without products of whole numbers; every entry lies within half a step of 1/127 of its row's largest."""
    multiplies = multiplies and cost_module._multiplies_int8()  # on a processor without them both runs are the same
    monkeypatch.setattr(cost_module, "_multiplies_int8", lambda: multiplies)
    embedding = torch.randn(60, 33, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    embedding = embedding * torch.logspace(-30, 30, 60)[:, None]
    cost = CostEmbedding(embedding, dtype=torch.int8)
    assert cost.whole == multiplies and cost.unit.dtype == torch.int8 and cost.unit.abs().max() == 127
    unit = cost.vectors(torch.float64)
    assert (unit.norm(dim=1) - 1).abs().max() < 1e-6  # a float32 scale
    scaled = embedding / embedding.abs().amax(1, keepdim=True)
    assert (cost.unit / 127 - scaled).abs().max() <= 0.5 / 127 + 1e-12
    for targets in (torch.arange(60), torch.tensor([3, 3, 3, 59, 3])):  # as they are, and with repeats copied out
        wanted = (1 - unit @ unit[targets].T).clamp(min=0)
        wanted[targets, torch.arange(len(targets))] = 0
        assert (cost.rows(targets) - wanted).abs().max() <= 1e-6  # some roundings of float32
        assert (cost.rows(targets, torch.float64) - wanted).abs().max() <= 1e-12


def test_only_exact_products_of_int8_are_used(monkeypatch):
    """Without torch's, or where sums of pairs saturate at 16 bits (processors without VNNI), floats are multiplied."""
    probe = cost_module._multiplies_int8.__wrapped__  # without its memory
    if probe():
        for k in (33, 768, 4096):
            worst = torch.full((40, k), 127, dtype=torch.int8)
            assert (torch._int_mm(worst, worst.T) == 127**2 * k).all()
            assert (torch._int_mm(worst, -worst.T) == -(127**2) * k).all()
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True, raising=False)
    for found in (lambda a, b: a.int() @ b.int(), lambda a, b: (a.int() @ b.int()).clamp(max=2**15 - 1)):
        monkeypatch.setattr(torch, "_int_mm", found, raising=False)
        assert probe() == (found(torch.tensor([[127] * 3]), torch.tensor([[127]] * 3)) == 3 * 127**2)
    monkeypatch.delattr(torch, "_int_mm")
    assert not probe()
    monkeypatch.delattr(torch.cpu, "_is_vnni_supported")
    assert not probe()


GOOD, CE, Z = CostEmbedding(torch.eye(3)), objective("ce"), torch.zeros(2, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: CostEmbedding(torch.eye(3, requires_grad=True)), "requires grad: a cost that is trained along lets"),
        (lambda: CostEmbedding(torch.nn.Linear(3, 3).weight), "requires grad"),
        (lambda: CostEmbedding(torch.zeros(2, 3)), "all rows are zero"),
        (lambda: CostEmbedding(torch.tensor([[1.0, math.nan], [1.0, 0.0]])), r"embedding\[0\] is not finite"),
        (lambda: CostEmbedding(torch.tensor([[1.0, 0.0], [1.0, math.inf]])), r"embedding\[1\] is not finite"),
        (lambda: CostEmbedding(torch.eye(3, dtype=torch.int64)), "torch.int64"),
        (lambda: CostEmbedding(torch.ones(3)), r"\(3,\)"),
        (lambda: CostEmbedding(torch.ones(0, 3)), r"\(0, 3\)"),
        (lambda: CostEmbedding([[1.0, 0.0]]), "list"),
        (lambda: objective("mle"), "'mle' is not one of ce, accuracy"),
        (lambda: objective(["ce"]), r"\['ce'\]"),
        (lambda: objective("ce", gamma=0.1), "'gamma' is no option of 'ce'; it has none"),
        (lambda: objective("tailr", gama=0.1), "'gama' is no option of 'tailr'; there are gamma, floor"),
        (lambda: objective("tailr", gamma=1.5), "gamma = 1.5"),
        (lambda: objective("overconfidence", gamma=1), "gamma = 1 must be below 1"),
        (lambda: objective("mixce", eta=math.nan), "eta = nan"),
        (lambda: objective("smoothing", epsilon="a bit"), "epsilon"),
        (lambda: objective("emo"), "cost must be a CostEmbedding for 'emo', got NoneType"),
        (lambda: objective("debiased", torch.eye(3)), "got Tensor"),
        (lambda: objective("emo-mode-1", GOOD, clip=0), "clip = 0"),
        (lambda: objective("emo-mode-2", GOOD, clip=3), "'clip' is no option"),
        (lambda: objective("emo-mode-1", GOOD, detach_target=1), "detach_target"),
        (lambda: objective("ce+emo", GOOD, weight=-1), "weight = -1"),
        (lambda: objective("emo", GOOD, averaged="yes"), "averaged"),
        (lambda: CostEmbedding(torch.eye(3), dtype=torch.int16), "torch.int16"),
        (lambda: CE(Z, torch.tensor([0, 3])), "labels hold 3"),
        (lambda: CE(Z, torch.tensor([-1, 0])), "labels hold -1"),
        (lambda: CE(Z, torch.tensor([0, -100]), ignore_index=-1), "labels hold -100"),
        (lambda: CE(Z, torch.tensor([0, 1]), reduction="avg"), "'avg' is not one of mean, sum, none"),
        (lambda: CE(Z, torch.tensor([0])), "disagree"),
        (lambda: CE(Z, torch.tensor([0.0, 1.0])), "labels must be a tensor of integers"),
        (lambda: CE(Z, torch.tensor([True, False])), "labels must be a tensor of integers"),
        (lambda: CE(Z.long(), torch.tensor([0, 1])), "logits must be a floating-point"),
        (lambda: objective("ce")(np.zeros((2, 3)), torch.tensor([0, 1])), "logits must be a floating-point"),
        (lambda: objective("ce")(torch.zeros(2, 0), torch.tensor([0, 1])), "disagree"),
        (lambda: objective("emo", GOOD)(torch.zeros(4), torch.tensor(0)), "4 tokens, but the cost embedding has 3"),
        (lambda: token_terms(torch.zeros(2, 3), torch.tensor([0, 1]), ("emo",)), "cost is None"),
    ],
)
def test_requests_that_make_no_sense_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()
