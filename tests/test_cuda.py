"""On a card: values against float64 on the CPU, half precision's ends, devices, waits, memory, training, the lesson.

    python -m pytest tests/test_cuda.py -m cuda        # about 3 minutes on a T4; without a card it stops with an error

Most tests also run on the CPU with all the others, in small sizes, so that this module stays true to the code.
"""

import copy
import math
import os
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import linear

from emo_teach import bench, finetune, studies
from emo_teach.finetune import folder, texts
from emo_teach.finetune.run import check_precision
from emo_teach.losses import CostEmbedding, fused_loss, objective
from emo_teach.losses.soft import NAMES, soft_objective
from emo_teach.measure import reading
from emo_teach.world import World, model_folder

from .losses_reference import CONFIGS, make, value_and_gradient
from .training_runs import BLOCK, largest_gap, short_run, tiny

CARD = [pytest.mark.cuda, pytest.mark.xdist_group("cuda")]  # one process has the card for itself
on_both = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=CARD)])
on_card = pytest.mark.parametrize("device", [pytest.param("cuda", marks=CARD)])

# Of the largest number: float32's 6e-8, bfloat16's 4e-3 and float16's 5e-4, some tens to hundreds of roundings each.
TOLERANCES = {torch.float32: 2e-5, torch.bfloat16: 3e-2, torch.float16: 3e-3}
SOME = [("ce", {}), ("smoothing", {}), ("emo-mode-1", {}), ("ce+debiased", {})]


def problem(n, v, d, seed=0):
    """([hidden (n, d), weight (v, d), bias (v,)] in float32, labels (n,) with a tenth ignored, embedding (v, 16))."""
    g = torch.Generator().manual_seed(seed)
    hidden, weight, bias, embedding = (torch.randn(*shape, generator=g) for shape in ((n, d), (v, d), (v,), (v, 16)))
    labels = torch.randint(v, (n,), generator=g)
    labels[1::10] = -100
    return [hidden, weight / math.sqrt(d), bias], labels, CostEmbedding(embedding)


def by_logits(goal, labels, **options):
    return lambda h, w, b=None: goal(linear(h, w, b), labels, **options)


def by_head(goal, labels, **options):
    return lambda h, w, b=None: fused_loss(h, w, labels, goal, b, **options)


def far(found, wanted):
    """The largest difference of a value and gradients from others, in units of the largest number of each."""
    pairs = [(found[0], wanted[0]), *zip(found[1], wanted[1], strict=True)]
    ratios = [(a.cpu().double() - b).abs().max() / b.abs().max().clamp(min=1e-30) for a, b in pairs]
    return float(torch.stack(ratios).nan_to_num(nan=math.inf).max())


# ---- 1. values


@on_both
@pytest.mark.parametrize("cast", [False, True], ids=["plain", "autocast"])
@pytest.mark.parametrize("kind", TOLERANCES, ids=str)
def test_every_objective_against_float64_on_the_cpu(device, kind, cast):
    if cast and kind == torch.float32:
        return  # autocast is for the two half types
    layer, labels, cost = problem(*((300, 1000, 64) if device == "cuda" else (60, 50, 16)))
    layer = [x.to(kind).double() for x in layer]  # what is rounded before is no error
    moved = copy.deepcopy(cost).to(device)
    for name, options in CONFIGS if device == "cuda" else SOME:
        goal, exact = make(name, options, moved), make(name, options, cost)
        for used in (layer[:2], layer):
            wanted = value_and_gradient(by_logits(exact, labels), *used)
            for loss in (by_logits, by_head):
                given = [x.to(device, torch.float32 if cast else kind) for x in used]
                with torch.autocast(device, dtype=kind, enabled=cast):
                    found = value_and_gradient(loss(goal, labels.to(device)), *given)
                assert far(found, wanted) <= TOLERANCES[kind], (name, options, loss.__name__, len(used))


@on_both
@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 1025, 2049])
def test_sizes_around_a_chunk(device, n):
    layer, labels, cost = problem(n, 50, 8)
    for name, options in SOME:
        for chosen in (labels, torch.full_like(labels, -100)):
            goal, exact = make(name, options, copy.deepcopy(cost).to(device)), make(name, options, cost)
            found = value_and_gradient(by_head(goal, chosen.to(device)), *(x.to(device) for x in layer))
            wanted = value_and_gradient(by_logits(exact, chosen), *(x.double() for x in layer))
            if (chosen == -100).all():
                assert found[0] == 0 and all((g == 0).all() for g in found[1])
            else:
                assert far(found, wanted) <= TOLERANCES[torch.float32]


# ---- 2. the ends of half precision


@on_both
@pytest.mark.parametrize(("name", "options"), SOME[::2])
def test_float16_keeps_small_gradients_and_never_overflows(device, name, options):
    n, v, d = (4096, 50257, 64) if device == "cuda" else (64, 300, 8)
    (hidden, weight, _), labels, cost = problem(n, v, d)
    hidden, weight = hidden.half().float(), weight.half().float()  # what is rounded before is no error
    goal, labels = make(name, options, cost.to(device)), labels.to(device)
    full = value_and_gradient(by_logits(goal, labels), hidden.to(device), weight.to(device))
    wanted = full[0].cpu().double(), [full[1][0].cpu().double()]
    scale = 65536.0  # GradScaler's first
    with torch.autocast(device, dtype=torch.float16):
        for head in (weight, weight.half()):
            loss = lambda h, w: scale * fused_loss(h, w, labels, goal)
            value, slopes = value_and_gradient(loss, hidden.to(device), head.to(device))
            assert far((value / scale, [slopes[0] / scale]), wanted) <= 1e-3
            assert slopes[1].isfinite().all()
    hidden[:, 0] = 300.0  # a coordinate as large as some models have
    with torch.autocast(device, dtype=torch.float16):
        for reduction in ("mean", "sum"):
            given = (hidden.to(device), weight.to(device))
            value, slopes = value_and_gradient(by_head(goal, labels, reduction=reduction), *given)
            assert value.isfinite() and all(slope.isfinite().all() for slope in slopes), reduction


@on_both
@pytest.mark.parametrize("kind", TOLERANCES, ids=str)
def test_certain_targets_are_neither_negative_nor_nan(device, kind):
    (_, weight, _), labels, cost = problem(32, 50, 8)
    labels = labels.clamp(min=0).to(device)
    for size in (10.0, 100.0, 1000.0):
        logits = torch.zeros(32, 50, device=device, dtype=kind).scatter_(1, labels[:, None], size)
        for name, options in CONFIGS:
            goal = make(name, options, copy.deepcopy(cost).to(device))
            value, (slope,) = value_and_gradient(lambda z, goal=goal: goal(z, labels), logits)
            assert value >= 0 and slope.isfinite().all(), (name, options, size)


# ---- 3. devices


@on_card
def test_what_lies_on_another_device_is_named(device):
    (hidden, weight, bias), labels, cost = problem(20, 30, 8)
    far_cost, near_cost = cost, copy.deepcopy(cost).to(device)
    h, w, b, t = (x.to(device) for x in (hidden, weight, bias, labels))
    near, away = objective("emo", near_cost), objective("emo", far_cost)
    calls = [lambda: away(linear(h, w), t), lambda: fused_loss(h, w, t, away), lambda: near(linear(h, w), labels)]
    for goal in (near, objective("ce")):
        calls += [lambda goal=goal: fused_loss(h, w, labels, goal), lambda goal=goal: fused_loss(h, weight, t, goal)]
        calls += [lambda goal=goal: fused_loss(hidden, w, labels, goal)]
        calls += [lambda goal=goal: fused_loss(h, w, t, goal, bias)]
    for call in calls:
        with pytest.raises(ValueError, match="cuda") as refused:
            call()
        assert "cpu" in str(refused.value)
    assert near(linear(h, w, b), t).device.type == device


@on_both
@pytest.mark.parametrize("kind", [None, torch.float16, torch.int8])
def test_a_cost_goes_there_and_back_and_into_a_file(device, kind, tmp_path):
    cost = CostEmbedding(torch.randn(40, 8, generator=torch.Generator().manual_seed(0)), kind)
    before, targets = cost.rows(torch.arange(40)), torch.arange(40, device=device)
    moved = cost.to(device)
    assert moved.unit.device.type == device and far((moved.rows(targets), []), (before.double(), [])) <= 2e-6
    torch.save(moved.state_dict(), tmp_path / "cost.pt")
    kept = torch.load(tmp_path / "cost.pt", map_location="cpu", weights_only=True)
    assert (kept["unit"] == moved.cpu().unit).all() and (moved.rows(torch.arange(40)) == before).all()


# ---- 4. waits, launches, memory


def gpt2(device, **sizes):
    """A GPT-2 of the real size with random weights and no dropout."""
    off = dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0)
    with torch.device(device):
        torch.manual_seed(0)
        return transformers.GPT2LMHeadModel(transformers.GPT2Config(**sizes, **off))


@on_card
def test_waits_and_launches_of_the_head(device):
    (hidden, weight, _), labels, cost = problem(8 * 1024, 4096, 64)
    h, w, t, cost = (x.to(device) for x in (hidden, weight, labels, cost))
    for name, most in (("ce", 3 + 8), ("emo-mode-1", 3 + 8)):  # three, and one for each of eight chunks
        goal = objective(name, cost)
        step = lambda goal=goal: value_and_gradient(by_head(goal, t), h, w)
        step()
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            step()
            torch.cuda.set_sync_debug_mode("default")
        waits = sum("synchroniz" in str(each.message) for each in seen)
        assert waits <= most, (name, waits)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        step()
        torch.cuda.synchronize()
    launches = sum(event.count for event in profile.key_averages() if event.device_type.name == "CUDA")
    assert 100 < launches <= 1200  # of 1,800 for a whole step of GPT-2; its twelve layers take some 500


@on_card
def test_the_fused_head_holds_no_matrix_of_logits(device):
    (hidden, weight, _), labels, cost = problem(4096, 50257, 64)
    h, w, t, cost = (x.to(device) for x in (hidden, weight, labels, cost))
    goal, peaks = objective("emo-mode-1", cost), []
    for loss in (by_logits, by_head):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        value_and_gradient(loss(goal, t), h, w)
        peaks.append(torch.cuda.max_memory_allocated() - before)
        assert torch.cuda.memory_allocated() - before < 2**20  # what was held is free again
    assert peaks[1] < peaks[0] / 3


# ---- 5. training


def batches(n, block=33, seed=1):
    return World(shift=1.0).sample(n, block, seed=seed)


def trained(device, held=None, **changes):
    """Twenty steps of the lessons' small model, on the CPU if asked."""
    model = transformers.GPT2LMHeadModel.from_pretrained(model_folder())
    settings = {"steps": 20, "batch_size": 8, "lr": 1e-3, "log_every": 1, "precision": "fp32", **changes}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ACCELERATE_USE_CPU", str(device == "cpu"))
        return finetune.finetune(model, batches(80), held, "emo-mode-1", **settings)


@on_both
def test_training_is_that_of_the_cpu(device):
    found, wanted = (trained(each, batches(16, seed=2)) for each in (device, "cpu"))
    assert next(found.model.parameters()).device.type == device
    for name in ("loss", "valid_loss", "valid_ce"):  # float32 in another order, through twenty steps of Adam
        np.testing.assert_allclose(found.column(name)[1], wanted.column(name)[1], rtol=1e-3)


@on_both
def test_half_precision_trains(device):
    kinds = ["bf16"] + ["fp16"] * (device == "cuda")
    for precision in kinds:
        result = trained(device, batches(16, seed=2), precision=precision)
        losses, held = result.column("loss")[1], result.column("valid_loss")[1]
        assert np.isfinite([*losses, *held]).all() and held[-1] < held[0]
        assert all(p.dtype == torch.float32 and p.isfinite().all() for p in result.model.parameters())


@on_both
def test_killed_and_started_again(device, tmp_path):
    """Also with a loss scale, which a checkpoint keeps; the folder is read to the device on which it was trained."""
    precision = "fp16" if device == "cuda" else "bf16"
    settings = {"precision": precision, "save_every": 2, "out": tmp_path / "run"}

    def stop(entry):
        if entry["step"] == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        short_run(tiny(dropout=0.3), on_log=stop, **settings)
    saved = {path.name for path in folder.last_checkpoint(tmp_path / "run").iterdir()}
    assert ("scaler.pt" in saved) == (precision == "fp16")
    if precision == "fp16":
        scaler = torch.load(folder.last_checkpoint(tmp_path / "run") / "scaler.pt", weights_only=True)
        assert scaler["scale"] > 1
    found = short_run(tiny(dropout=0.3), **settings)
    wanted = short_run(tiny(dropout=0.3), precision=precision)
    # on a card sums come in no fixed order; dropout's random numbers must be the same
    assert largest_gap(found.model.cpu(), wanted.model.cpu(), but_key_bias=True) <= (0 if device == "cpu" else 1e-3)
    again = short_run(tiny(dropout=0.3), **settings)
    assert next(again.model.parameters()).device.type == device
    assert largest_gap(again.model.cpu(), found.model) == 0


@on_both
def test_what_is_given_stays_where_it_is(device):
    """Tokens may be on the card; a cost is moved for the run, not for its owner."""
    cost = CostEmbedding(torch.eye(60))
    ids = torch.arange(240, device=device) % 60
    result = finetune.finetune(tiny(), ids, ids, "emo", cost=cost, steps=1, batch_size=2, block=BLOCK, precision="fp32")
    assert cost.unit.device.type == "cpu" and next(result.model.parameters()).device.type == device


@on_card
def test_evaluation_fits_where_training_fits(device):
    ids = np.random.default_rng(0).integers(50257, size=(32, 256))

    def peak(held):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        settings = {"steps": 1, "batch_size": 16, "accumulation": 8, "block": 256, "precision": "fp16"}
        finetune.finetune(gpt2("cpu", n_layer=2), ids, held, "emo-mode-1", head="logits", **settings)
        return torch.cuda.max_memory_allocated()

    assert peak(ids) <= 1.02 * peak(None)


# ---- 6. the choice of precision


@on_card
def test_the_precision_chosen_by_itself_is_not_slower_than_float32(device):
    """Ten steps each of a model of GPT-2's size: bf16 where a card only emulates it would take twice as long."""
    model, ids = gpt2(device), torch.randint(50257, (4, 256), device=device)
    wrapper, seconds = finetune.WithObjective(model, objective("ce")), {}
    for precision in ("fp32", check_precision(None)):
        kind = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(precision)
        for step in range(13):
            if step == 3:
                torch.cuda.synchronize()
                begun = time.perf_counter()
            with torch.autocast(device, dtype=kind, enabled=kind is not None):
                loss = wrapper(ids, ids)
            getattr(loss, "loss", loss).backward()
            model.zero_grad()
        torch.cuda.synchronize()
        seconds[precision] = time.perf_counter() - begun
    assert seconds[check_precision(None)] <= 1.1 * seconds["fp32"], seconds


# ---- 7. readers


@on_both
def test_readers_and_soft_losses_are_those_of_the_cpu(device):
    here, there = (transformers.GPT2LMHeadModel.from_pretrained(model_folder()).to(each) for each in ("cpu", device))
    ids = batches(20)
    for read in (reading.next_token_log_probs, reading.perplexity, reading.features):
        np.testing.assert_allclose(read(there, torch.from_numpy(ids).to(device)), read(here, ids), rtol=1e-5, atol=1e-5)
    for options in ({}, {"top_p": 0.9}, {"greedy": True}):
        found, wanted = (reading.sample(each, ids[:, :3], 20, **options) for each in (there, here))
        same = (found == wanted).mean(1)  # rounding may move one token, and with it the rest of its text
        assert np.median(same) == 1 and same.mean() > 0.9
    logits, labels = (torch.randn(2, 6, 12, generator=torch.Generator().manual_seed(0)).double()).unbind()
    labels, cost = labels.softmax(-1), 1 - np.eye(12)
    for name in NAMES:
        loss = soft_objective(name, cost)
        found = value_and_gradient(lambda z: loss(z, labels.to(device)).sum(), logits.to(device))
        assert far(found, value_and_gradient(lambda z: loss(z, labels).sum(), logits)) <= 1e-9


# ---- 8. bench


@on_both
def test_bench_measures_the_device(device):
    case = bench.Case(66, 269, 64, "tiny") if device == "cpu" else bench.Case(512, 50257, 768, "gpt2")
    assert bench.device().type == device
    peak = bench.peak(bench.BASE, case)
    if device == "cuda":  # gradients, AdamW's two numbers, activations like a few matrices of logits; not the weights
        numbers = 3 * sum(p.numel() for p in gpt2("meta").parameters()) + 7 * case.N * case.V
        assert peak < 4 * numbers / 2**20
    given, optimizer = bench.prepare(case)
    step = {bench.BASE: bench.ready(bench.BASE, given, optimizer)}
    seconds = bench.interleaved(step, lambda seed: bench.batch(case, seed), 2, time.perf_counter)
    assert seconds[bench.BASE] > 0


# ---- 9. lesson 07


@on_card
def test_a_piece_of_the_lessons_table_again(device, tmp_path):
    """The job that lesson 07 runs: pretraining and fine-tuning in float32, within 2 % of the committed rows."""
    pretraining, _, comparison = studies.load("objectives")
    wanted = {"regime": "small model", "cell": "emo-mode-1", "seed": 0}
    (begin,) = [job for job in pretraining.jobs({}) if (job["width"], job["seed"]) == (12, 0)]
    tuned = {"objectives_tuning": studies.table("objectives_tuning")}
    (job,) = [job for job in comparison.jobs(tuned) if wanted.items() <= job.items()]
    pretraining.run(begin, tmp_path)
    rows = studies.table("objectives")
    for found in comparison.run(job, tmp_path):
        names = wanted | {"objective": found["objective"]}
        (kept,) = [row for row in rows if names.items() <= row.items()]
        for metric in ("perplexity", "emo", "entropy", "forward_kl", "reverse_kl", "tv", "js", "emd_cosine"):
            assert found[metric] == pytest.approx(kept[metric], rel=0.02), (found["objective"], metric)


@pytest.mark.real
@on_card
def test_gpt2_on_wikitext(device):
    """With the hub at hand (-m "cuda and real"): the models and texts of the lesson's last cell."""
    model, tokenizer = texts.load(texts.model_folder("gpt2"))
    learned, held = texts.tokens("wikitext-2", tokenizer, 128)
    settings = {"steps": 60, "batch_size": 16, "block": 128, "lr": 5e-5, "seed": 0}
    before, after = finetune.finetune(model, learned, held[:2048], "ce", **settings).column("valid_ce")[1]
    assert after < before < 5


# ---- the way in


@pytest.mark.slow
def test_without_a_card_its_tests_stop_with_an_error():
    """A run that finds nothing to test must not look like one that has passed."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-m", "cuda", "-p", "no:cacheprovider", __file__]
    hidden = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=hidden)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR and "finds no card" in done.stderr, done


def test_the_card_is_hidden_from_all_other_tests():
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "" and not torch.cuda.is_available()
