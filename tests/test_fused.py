"""The head fused with the loss: value and gradients as by autograd from the logits, without ever holding them all."""

import pytest
import torch
from torch.nn.functional import linear
from torch.utils._python_dispatch import TorchDispatchMode

from emo_teach.losses import CostEmbedding, fused_loss, objective
from emo_teach.losses import cost as cost_module

from .losses_reference import CONFIGS, TRANSPORT, Terms, combine, constants, gap, make, over, value_and_gradient

EXACT = 1e-12  # two float64 computations of the same sums in another order
LOOSE = {torch.float32: 2e-5, torch.bfloat16: 3e-2}  # some 100 roundings of 6e-8; a few of 4e-3


def problem(n=10, v=7, d=4, dtype=torch.float64, seed=0):
    """([hidden (n, d), weight (v, d), bias (v,)], labels (n,) with two ignored, cost)."""
    g = torch.Generator().manual_seed(seed)
    shapes = ((n, d), (v, d), (v,), (v, 3))
    *layer, embedding = (torch.randn(*shape, generator=g, dtype=torch.float64) for shape in shapes)
    labels = torch.randint(v, (n,), generator=g)
    labels[1::6] = -100
    return [x.to(dtype) for x in layer], labels, CostEmbedding(embedding)


def plain(ours, labels, layer, **options):
    """Value and gradients of the loss of all logits, for hidden states, weight and, where given, bias."""
    return value_and_gradient(lambda h, w, b=None: ours(linear(h, w, b), labels, **options), *layer)


def fused(ours, labels, layer, **options):
    """The same by the fused head."""
    return value_and_gradient(lambda h, w, b=None: fused_loss(h, w, labels, ours, b, **options), *layer)


def agree(got, wanted, tolerance=EXACT):
    """Value and gradients within a tolerance of their size."""
    assert gap(got[0], wanted[0]) <= tolerance
    for a, b in zip(got[1], wanted[1], strict=True):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert float((a.double() - b.double()).abs().max()) <= tolerance * max(1.0, float(b.double().abs().max()))


@over(CONFIGS)
def test_equals_autograd_of_the_plain_version_in_float64(name, options):
    layer, labels, cost = problem()
    for averaged in (False, True):
        ours = make(name, options, cost, averaged)
        for reduction in ("mean", "sum"):
            wanted = plain(ours, labels, layer, reduction=reduction)
            for chunk in (1, 3, 8, 9, 128):  # 8 tokens count: one, some, all, one more, and many more
                agree(fused(ours, labels, layer, reduction=reduction, chunk=chunk), wanted)
        agree(fused(ours, labels, layer[:2]), plain(ours, labels, layer[:2]))


@pytest.mark.parametrize("dtype", LOOSE)
@over(CONFIGS)
def test_equals_autograd_of_the_plain_version_in_training_types(name, options, dtype):
    layer, labels, cost = problem(n=40, v=30, d=8, dtype=dtype)
    ours = make(name, options, cost)
    agree(fused(ours, labels, layer, chunk=16), plain(ours, labels, layer), LOOSE[dtype])


@pytest.mark.parametrize("whole", [False, True])
@over(TRANSPORT)
def test_an_int8_cost_in_float64(name, options, whole, monkeypatch):
    """Kept in a buffer, or computed twice where whole numbers are multiplied fast (here slowly, but exactly)."""
    monkeypatch.setattr(cost_module, "_multiplies_int8", lambda: whole)
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: a.int() @ b.int(), raising=False)
    layer, labels, cost = problem(n=40, v=30, d=8)
    ours = make(name, options, CostEmbedding(cost.unit, dtype=torch.int8))
    wanted, unrounded = plain(ours, labels, layer), plain(make(name, options, cost), labels, layer)
    agree(fused(ours, labels, layer, chunk=16), wanted)
    moved = max(gap(a, b) for a, b in zip(wanted[1], unrounded[1], strict=True))  # some values are cross-entropy's (D7)
    assert moved == 0 if options.get("weight") == 0 else 1e-6 < moved < 3e-2  # steps of 1/127 in three dimensions


SOME = [("ce", {}), ("smoothing", {}), ("emo-mode-1", {}), ("ce+debiased", {})]


@over(SOME)
def test_ignore_index_leading_axes_and_layout(name, options):
    (hidden, weight, _), labels, cost = problem(n=12)
    ours = make(name, options, cost)
    for ignore_index in (-100, 3, -1):
        masked = torch.where(labels == -100, ignore_index, labels)
        wanted = plain(ours, masked, (hidden, weight), ignore_index=ignore_index)
        for shape in ((12,), (3, 4), (2, 1, 6)):
            layer, chosen = (hidden.reshape(*shape, 4), weight), {"ignore_index": ignore_index, "chunk": 5}
            value, gradients = fused(ours, masked.reshape(shape), layer, **chosen)
            agree((value, [gradients[0].reshape(12, 4), gradients[1]]), wanted)
        call = lambda h, w: fused_loss(h.T, w.T, masked, ours, ignore_index=ignore_index)
        turned = value_and_gradient(call, hidden.T, weight.T)
        agree((turned[0], [g.T for g in turned[1]]), wanted)
    for n in (0, 12):
        value, gradients = fused(ours, torch.full((n,), -100), (hidden[:n], weight))
        assert value == 0 and all((g == 0).all() for g in gradients)


@over(SOME)
def test_tied_weights(name, options):
    (_, weight, _), labels, cost = problem()
    ours, inputs = make(name, options, cost), torch.arange(10) % 7
    wanted = value_and_gradient(lambda w: ours(linear(torch.tanh(w[inputs]), w), labels), weight)
    agree(value_and_gradient(lambda w: fused_loss(torch.tanh(w[inputs]), w, labels, ours, chunk=3), weight), wanted)


@over(SOME)
def test_gradients_accumulate(name, options):
    layer, labels, cost = problem()
    ours, leaves = make(name, options, cost), [x.clone().requires_grad_() for x in layer]
    for piece in (slice(0, 5), slice(5, 10)):
        (3.0 * fused_loss(leaves[0][piece], leaves[1], labels[piece], ours, leaves[2], reduction="sum")).backward()
    value, gradients = plain(ours, labels, layer, reduction="sum")
    agree((value, [x.grad for x in leaves]), (value, [3 * g for g in gradients]))


def test_only_the_gradients_that_are_asked_for():
    layer, labels, cost = problem()
    ours = make("emo", {}, cost)
    wanted = plain(ours, labels, layer)[1]
    for asked in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1)):
        leaves = [x.clone().requires_grad_(bool(flag)) for x, flag in zip(layer, asked, strict=True)]
        fused_loss(leaves[0], leaves[1], labels, ours, leaves[2]).backward()
        for leaf, gradient in zip(leaves, wanted, strict=True):
            assert gap(leaf.grad, gradient) <= EXACT if leaf.requires_grad else leaf.grad is None


def test_evaluation_without_gradients():
    layer, labels, cost = problem()
    hidden, weight, bias = (x.clone().requires_grad_() for x in layer)
    for name, options in CONFIGS:
        ours = make(name, options, cost)
        with torch.no_grad():
            value = fused_loss(hidden, weight, labels, ours, bias, chunk=3)
        assert not value.requires_grad and gap(value, ours(linear(*layer), labels)) <= EXACT
        assert not fused_loss(*layer[:2], labels, ours, layer[2]).requires_grad


@over(CONFIGS)
def test_under_autocast(name, options):
    """To bfloat16, from float32 parameters and hidden states that a layer has made bfloat16."""
    layer, labels, cost = problem(n=40, v=30, d=8, dtype=torch.float32)
    ours, body = make(name, options, cost), torch.eye(8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        call = lambda h, w, b: fused_loss(linear(h, body), w, labels, ours, b, chunk=16)
        found = value_and_gradient(call, *layer)
        wanted = value_and_gradient(lambda h, w, b: ours(linear(linear(h, body), w, b), labels), *layer)
    assert found[0].dtype == torch.float32 and all(g.dtype == torch.float32 for g in found[1])
    agree(found, wanted, LOOSE[torch.bfloat16])


def test_backward_inside_autocast_accumulates_in_the_parameters_type():
    (hidden, weight, _), labels, _ = problem(dtype=torch.float32)
    leaf, ce = weight.clone().requires_grad_(), objective("ce")
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(2):
            fused_loss(hidden, leaf, labels, ce).backward()
    wanted = value_and_gradient(lambda w: 2 * ce(linear(hidden, w), labels), weight)
    assert leaf.grad.dtype == torch.float32 and gap(leaf.grad, wanted[1][0]) <= LOOSE[torch.bfloat16]


def test_a_second_backward_and_gradients_of_gradients_are_refused():
    (hidden, weight, _), labels, cost = problem()
    leaf = hidden.clone().requires_grad_()
    loss = fused_loss(leaf, weight, labels, make("emo", {}, cost))
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="second backward"):
        loss.backward()
    (slope,) = torch.autograd.grad(fused_loss(leaf, weight, labels, objective("ce")), leaf, create_graph=True)
    with pytest.raises(RuntimeError):
        slope.sum().backward()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"reduction": "none"}, 'reduction = "none" is not for the fused loss'),
        ({"reduction": "avg"}, "'avg'"),
        ({"weight": torch.zeros(7, 5)}, r"weight \(7, 5\) must be \(V, 4\)"),
        ({"weight": torch.zeros(4)}, r"weight \(4,\)"),
        ({"weight": torch.zeros(8, 4)}, "8 tokens, but the cost embedding has 7"),
        ({"bias": torch.zeros(6)}, r"bias \(6,\) must be \(7,\)"),
        ({"weight": [[0.0]]}, "weight must be a floating-point tensor, got list"),
        ({"bias": [0.0] * 7}, "bias must be a floating-point tensor, got list"),
        ({"objective": "ce"}, "objective must be made by"),
        ({"chunk": 0}, "chunk = 0"),
        ({"chunk": 2.5}, "chunk = 2.5"),
        ({"chunk": True}, "chunk = True"),
        ({"labels": torch.full((10,), 7)}, "labels hold 7"),
        ({"labels": torch.zeros(9, dtype=torch.long)}, "disagree"),
        ({"labels": torch.zeros(10)}, "labels must be a tensor of integers"),
        ({"hidden": torch.zeros(10, 4, dtype=torch.long)}, "hidden must be a floating-point tensor"),
    ],
)
def test_requests_that_make_no_sense_are_refused(change, words):
    (hidden, weight, _), labels, cost = problem()
    arguments = {"hidden": hidden, "weight": weight, "labels": labels, "objective": make("emo", {}, cost)}
    with pytest.raises(ValueError, match=words):
        fused_loss(**{**arguments, **change})


@pytest.mark.parametrize("kind", [torch.int16, torch.int32, torch.uint8])
def test_labels_of_any_integer_type(kind):
    (hidden, weight, _), labels, cost = problem()
    labels, emo = torch.where(labels < 0, 6, labels), make("emo", {}, cost)
    assert torch.equal(fused_loss(hidden, weight, labels.to(kind), emo), fused_loss(hidden, weight, labels, emo))


class Sizes(TorchDispatchMode):
    """Records the number of elements of the largest tensor that any operation returns."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for x in out if isinstance(out, (tuple, list)) else [out]:
            if isinstance(x, torch.Tensor):
                self.largest = max(self.largest, x.numel())
        return out


@pytest.mark.parametrize("averaged", [False, True])
@over(CONFIGS)
def test_all_logits_are_never_held(name, options, averaged):
    n, v, d, chunk = 96, 50, 4, 8
    layer, labels, cost = problem(n, v, d, torch.float32)
    ours = make(name, options, cost, averaged)
    with Sizes() as all_logits:
        plain(ours, labels, layer)
    with Sizes() as in_chunks:
        fused(ours, labels, layer, chunk=chunk)
    assert all_logits.largest >= n * v and in_chunks.largest <= max(2 * chunk * v, v * d, n * d) < n * v / 4


class Tagger(torch.nn.Module):
    """An embedding, a layer, and a head that the loss is fused with."""

    def __init__(self, objective_of_it):
        super().__init__()
        torch.manual_seed(3)
        self.body = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Linear(4, 4)).double()
        self.head = torch.nn.Linear(4, 7).double()
        self.objective = objective_of_it

    def forward(self, tokens, labels):
        return fused_loss(self.body(tokens), self.head.weight, labels, self.objective, self.head.bias, chunk=3)


def tokens_and_labels():
    g = torch.Generator().manual_seed(5)
    return torch.randint(7, (2, 8), generator=g), torch.randint(7, (2, 8), generator=g)


def worker(rank, world, folder):
    """One process of the data-parallel run: its half of the batch, two steps of gradients added up, saved by rank."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world)
    try:
        model = torch.nn.parallel.DistributedDataParallel(Tagger(make("emo-mode-1", {}, problem()[2])))
        tokens, labels = (x.chunk(world)[rank] for x in tokens_and_labels())
        with model.no_sync():
            model(tokens, labels).backward()
        model(tokens, labels).backward()
        torch.save([p.grad for p in model.parameters()], f"{folder}/{rank}.pt")
        torch.distributed.barrier()  # a process that leaves while the other still talks to it makes that one abort
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.parametrize("world", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_under_data_parallelism(world, tmp_path):
    if world == 1:
        worker(0, 1, str(tmp_path))
    else:
        torch.multiprocessing.spawn(worker, (world, str(tmp_path)), nprocs=world)
    alone = Tagger(make("emo-mode-1", {}, problem()[2]))
    (2 * alone(*tokens_and_labels())).backward()
    for rank in range(world):
        gradients = torch.load(tmp_path / f"{rank}.pt")
        assert all(gap(g, p.grad) <= EXACT for g, p in zip(gradients, alone.parameters(), strict=True))


def half_problem(n=512, v=4096, d=8, flat=False, seed=0):
    """Hidden states, head and labels among the first half of the tokens; flat logits are all nearly 0."""
    g = torch.Generator().manual_seed(seed)
    hidden, weight = torch.randn(n, d, generator=g), torch.randn(v, d, generator=g) / d**0.5
    return (
        hidden * (1e-3 if flat else 1),
        weight,
        torch.randint(v // 2, (n,), generator=g),
        torch.randn(v, 5, generator=g),
    )


def relative(found, wanted):
    """Norm of the difference over the norm of what is right."""
    return float((found.double().cpu() - wanted).norm() / wanted.norm())


def check_float16(device, name, reduction, flat, loss_scale, weights):
    """Gradients of hidden states and head, also of tokens that are no target, within 1e-3 of float64's.

    The two factors of a product are rounded by 2^-11 each, the logits' gradient and the result too: 2 * 2^-11 in all.
    """
    hidden, weight, labels, embedding = half_problem(flat=flat)
    if weights:
        hidden, weight = hidden.half(), weight.half()
    exact = make(name, {}, CostEmbedding(embedding.double()))
    wanted = plain(exact, labels, [hidden.double(), weight.double()], reduction=reduction)[1]
    ours, labels = make(name, {}, CostEmbedding(embedding.to(device))), labels.to(device)
    leaves = [x.clone().to(device).requires_grad_() for x in (hidden, weight)]
    with torch.autocast(device, dtype=torch.float16, enabled=not weights):
        loss = fused_loss(*leaves, labels, ours, reduction=reduction)
    (loss * loss_scale).backward()
    for leaf, right in zip(leaves, wanted, strict=True):
        assert leaf.grad.dtype == leaf.dtype and relative(leaf.grad, loss_scale * right) <= 1e-3
    assert relative(leaves[1].grad[2048:], loss_scale * wanted[1][2048:]) <= 1e-3


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("name", ["ce", "smoothing", "emo", "emo-mode-1", "ce+debiased"])
def test_float16_keeps_small_gradients(name, flat):
    check_float16("cpu", name, "mean", flat, 1.0, weights=False)
    check_float16("cpu", name, "sum", flat, 65536.0 / 512, weights=False)
    if not flat:  # flat logits' gradients are no float16 numbers without a loss scale
        check_float16("cpu", name, "mean", flat, 65536.0, weights=True)


def check_float16_ends(device):
    """1024 tokens of one target with a coordinate of 300, summed: 3e5, too large for float16."""
    hidden, weight, labels, _ = half_problem(n=1024)
    hidden[:, 0], weight[:, 0] = 300.0, 0.0
    wanted = plain(objective("ce"), labels * 0, [hidden.double(), weight.double()], reduction="sum")[1]
    leaves = [x.clone().to(device).requires_grad_() for x in (hidden, weight)]
    with torch.autocast(device, dtype=torch.float16):
        fused_loss(*leaves, (labels * 0).to(device), objective("ce"), reduction="sum", chunk=1024).backward()
    assert float(wanted[1].abs().max()) > torch.finfo(torch.float16).max
    assert all(relative(leaf.grad, right) <= 1e-3 for leaf, right in zip(leaves, wanted, strict=True))


def test_float16_does_not_overflow():
    check_float16_ends("cpu")


def test_float64_stays_float64_under_autocast():
    layer, labels, cost = problem()
    ours = make("emo-mode-1", {}, cost)
    wanted = plain(ours, labels, layer)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        agree(fused(ours, labels, layer), wanted)


@over(CONFIGS)
def test_inference_mode_gives_the_value_alone(name, options):
    layer, labels, cost = problem()
    ours = make(name, options, cost)
    with torch.no_grad():
        wanted = fused_loss(*layer[:2], labels, ours, layer[2], chunk=3)
    with torch.inference_mode():
        made = [x.clone() for x in layer]
        for hidden, weight, bias in (layer, made):
            assert torch.equal(fused_loss(hidden, weight, labels, ours, bias, chunk=3), wanted)
    weight = layer[1].clone().requires_grad_()
    fused_loss(made[0], weight, labels, ours, chunk=3).backward()  # features of a frozen model
    agree((wanted, [weight.grad]), (wanted, plain(ours, labels, layer[:2])[1][1:]))


@pytest.mark.parametrize("kind", [torch.float64, torch.float32, torch.int8])
@over(TRANSPORT)
def test_rows_of_zeros_cost_1_to_all_tokens_and_to_themselves(name, options, kind):
    """A padding token as target and as a wrong token, by the formula's rows in float64."""
    layer, labels, cost = problem(n=40, v=30, d=8)
    embedding = cost.unit.clone()
    embedding[[0, 7, 29]] = 0
    labels[:6] = torch.tensor([0, 7, 29, 29, 7, 0])
    cost = CostEmbedding(embedding, dtype=kind)
    unit, row = cost.vectors(torch.float64), torch.arange(30)
    costs = (1 - unit @ unit.T).clamp(min=0)
    costs[row, row] = (unit == 0).all(1).double()
    assert (cost.rows(row, torch.float64) - costs).abs().max() <= 1e-12
    assert costs[7].min() == 1 and costs[1, 1] == 0

    def right(h, w):
        z, keep = linear(h, w), labels != -100
        p, y, z = z.softmax(-1)[keep], labels[keep], z[keep]
        ce, rest = -z.log_softmax(-1)[torch.arange(len(y)), y], 1 - p[torch.arange(len(y)), y]
        emo, b = (p * costs[y]).sum(-1), 0.5 * ((p @ unit - unit[y]) ** 2).sum(-1)
        terms = Terms(ce, 1 - rest, rest, emo, b, ce)
        return combine(name, terms, constants(name, terms, options), options).mean()

    wanted = value_and_gradient(right, *layer[:2])
    for averaged in (False, True):
        ours = make(name, options, cost, averaged)
        agree(plain(ours, labels, layer[:2]), wanted, 1e-6 if kind != torch.float64 else 1e-11)  # float32's rounding
        agree(fused(ours, labels, layer[:2], chunk=7), wanted, 1e-6 if kind != torch.float64 else 1e-11)


@pytest.mark.parametrize("moved", ["labels", "weight", "bias", "cost"])
def test_tensors_on_different_devices_are_refused_with_the_remedy(moved, elsewhere="meta", here="cpu"):
    (hidden, weight, bias), labels, cost = problem(dtype=torch.float32)
    given = {"hidden": hidden, "weight": weight, "bias": bias, "labels": labels, "cost": cost}
    given = {key: x.to(elsewhere if key == moved else here) for key, x in given.items()}
    words = rf"{moved} is on {elsewhere}.*, but \w+ is on {here}.*: use {moved}\.to\('{here}"
    for name in ("emo", "debiased"):
        ours = make(name, {}, given["cost"])
        with pytest.raises(ValueError, match=words):
            fused_loss(given["hidden"], given["weight"], given["labels"], ours, given["bias"])
        if moved in ("labels", "cost"):
            with pytest.raises(ValueError, match=words):
                ours(torch.zeros(10, 7, device=here), given["labels"])


def test_the_largest_chunk_and_sorted_blocks():
    """Chunks beyond the batch, and a vocabulary of several blocks, with targets at both edges of each."""
    layer, labels, cost = problem(n=40, v=2100, d=4)
    labels[:8] = torch.tensor([0, 1023, 1024, 2047, 2048, 2099, 1023, 1024])
    layer[2][1024:2048] = -torch.inf  # a block without probability
    labels[(labels >= 1024) & (labels < 2048)] = 3
    for name in ("ce", "emo-mode-1", "ce+debiased"):
        ours = make(name, {}, cost)
        wanted = plain(ours, labels, layer)
        for chunk in (None, 3, 10**30):
            agree(fused(ours, labels, layer, chunk=chunk), wanted)


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # that torch's own compiler looks at
def test_inside_a_compiled_module():
    """The loss breaks the graph: it asks how many tokens count. What stands before it is compiled."""
    model = Tagger(make("emo-mode-1", {}, problem()[2]))
    wanted = model(*tokens_and_labels())
    torch._dynamo.reset()
    found = torch.compile(model, backend="aot_eager")(*tokens_and_labels())
    slopes = [torch.autograd.grad(x, model.head.weight) for x in (found, wanted)]
    agree((found.detach(), slopes[0]), (wanted.detach(), slopes[1]))


@pytest.mark.parametrize("name", ["ce", "emo", "emo-mode-1"])
def test_a_target_of_infinity_never_gives_a_number(name):
    """Infinity less infinity is no number; the loss was 0 once, with gradients that are not."""
    weight = torch.ones(5, 1)
    weight[2] = torch.inf
    goal = objective(name, CostEmbedding(torch.eye(5)))
    assert fused_loss(torch.ones(1, 1), weight, torch.tensor([2]), goal).isnan()
