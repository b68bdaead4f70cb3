"""Fine-tuning: what is trained, the mean over tokens, the two heads, precision, and what is refused."""

import re
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
import transformers

from emo_teach import finetune
from emo_teach.finetune import folder, texts, trainer
from emo_teach.finetune.run import _with_objective, check_precision, make_objective
from emo_teach.losses import CostEmbedding, objective

from .training_runs import BLOCK, QUICK, REFUSED, VOCABULARY, contents, largest_gap, masked_blocks, short_run, tiny

SOME = [("ce", {}), ("smoothing", {"epsilon": 0.2}), ("emo-mode-1", {}), ("ce+debiased", {"weight": 2.0})]
# Two orders of float32 sums: 1e-7 each, some tens of roundings through a layer; measured 1e-7 to 5e-7.
ROUNDING = 1e-5


def same_run(a, b):
    """Equal losses, gradients' sizes and weights, within rounding."""
    for name in ("loss", "grad_norm", "valid_loss", "valid_ce"):
        np.testing.assert_allclose(a.column(name)[1], b.column(name)[1], rtol=ROUNDING)
    assert largest_gap(a.model, b.model, but_key_bias=True) <= ROUNDING


@pytest.mark.parametrize(("name", "options"), SOME)
def test_the_wrapper_is_the_objective_of_shifted_labels(name, options):
    model = tiny()
    goal = make_objective(name, None, model.lm_head.weight, options)
    ids, labels = (torch.tensor(x) for x in masked_blocks(6))
    logits = model(ids).logits
    wanted = goal(logits[:, :-1], labels[:, 1:])
    wanted.backward()
    gradient = model.transformer.wte.weight.grad.clone()  # tied: what flows through the input and through the head
    for head in finetune.model.HEADS:
        model.zero_grad()
        wrapper = finetune.WithObjective(model, goal, head)
        loss = wrapper(ids, labels).loss
        loss.backward()
        torch.testing.assert_close(loss, wanted, rtol=ROUNDING, atol=0)
        near = {"rtol": ROUNDING, "atol": ROUNDING * float(gradient.abs().max())}
        torch.testing.assert_close(model.transformer.wte.weight.grad, gradient, **near)
        total = wrapper(ids, labels, num_items_in_batch=torch.tensor(7)).loss
        torch.testing.assert_close(total * 7 / int((labels[:, 1:] != -100).sum()), wanted, rtol=ROUNDING, atol=0)


def test_cross_entropy_is_the_models_own():
    model, (ids, labels) = tiny(), map(torch.tensor, masked_blocks(6))
    ours = finetune.WithObjective(model, objective("ce"))(ids, labels).loss
    torch.testing.assert_close(ours, model(ids, labels=labels).loss, rtol=ROUNDING, atol=0)


@pytest.mark.parametrize(("name", "options"), SOME)
def test_both_heads_train_alike(name, options):
    same_run(short_run(name=name, options=options), short_run(name=name, options=options, head="logits"))


@pytest.mark.parametrize("accumulation", [2, 4])
def test_accumulation_changes_nothing(accumulation):
    same_run(short_run(), short_run(accumulation=accumulation))


def test_a_run_is_the_plain_loop():
    """The same run written out: AdamW, a straight line down to 0, and the mean over a step's tokens."""
    steps, batch, lr, model = 6, 8, 1e-2, tiny()
    goal = objective("emo-mode-1", CostEmbedding(model.lm_head.weight.detach().clone()))
    ids, labels = texts.blocks("tokens", masked_blocks(), BLOCK, model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    order, losses = trainer.order(len(ids), steps * batch, seed=42), []
    for step in range(steps):
        index = order[step * batch : (step + 1) * batch]
        for group in optimizer.param_groups:
            group["lr"] = lr * (1 - step / steps)
        loss = goal(model(ids[index]).logits[:, :-1], labels[index][:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    result = short_run()
    np.testing.assert_allclose(result.column("loss")[1], losses, rtol=ROUNDING)
    np.testing.assert_allclose(result.column("learning_rate")[1], [1e-2 * (1 - k / 6) for k in range(6)], rtol=1e-12)
    assert largest_gap(result.model, model, but_key_bias=True) <= ROUNDING


def test_the_cost_stays_that_of_the_pretrained_head():
    model = tiny()
    before = CostEmbedding(model.lm_head.weight.detach().clone())
    same_run(short_run(model, "emo"), short_run(name="emo", cost=before))
    torch.manual_seed(7)
    other = CostEmbedding(before.unit[torch.randperm(VOCABULARY)])
    assert largest_gap(short_run(name="emo", cost=other).model, short_run(name="emo").model) > 100 * ROUNDING
    assert not any(p is before.unit for p in model.parameters()) and not before.unit.requires_grad


def test_the_same_seed_gives_the_same_weights_and_another_one_others():
    runs = [short_run(tiny(dropout=0.1), seed=seed).model for seed in (3, 3, 4)]
    assert largest_gap(runs[0], runs[1]) == 0 < largest_gap(runs[0], runs[2])


def test_history_and_reports():
    seen = []
    result = short_run(on_log=seen.append, log_every=4, valid_every=4)
    assert seen == result.history
    steps = [(entry["step"], "loss" in entry) for entry in seen]
    assert steps == [(0, False), (4, True), (4, False), (6, True), (6, False)]
    assert all(entry["tokens_per_s"] > 0 for entry in seen if "loss" in entry)
    assert not result.model.training


@pytest.mark.skipif(not hasattr(transformers.Trainer, "_get_grad_norm"), reason="older versions show no norm here")
def test_the_gradients_norm_is_computed_only_where_it_is_shown():
    norm, every = transformers.Trainer._get_grad_norm, short_run().column("grad_norm")[1]
    with mock.patch.object(transformers.Trainer, "_get_grad_norm", autospec=True, side_effect=norm) as computed:
        steps, norms = short_run(log_every=4).column("grad_norm")
    assert steps == [4, 6] and computed.call_count == 2 and norms == pytest.approx([every[3], every[5]], rel=ROUNDING)


def test_held_out_values():
    model, (ids, labels) = tiny(dropout=0.5), masked_blocks(10, seed=5)
    wrapper = finetune.WithObjective(model.train(), make_objective("emo", None, model.lm_head.weight, {}))
    ids, labels = texts.blocks("tokens", (ids, labels), BLOCK, model)
    found = finetune.evaluate(wrapper, ids, labels, batch_size=3)
    assert model.training  # as it was
    logits = model.eval()(ids).logits[:, :-1]
    assert found["valid_loss"] == pytest.approx(wrapper.objective(logits, labels[:, 1:]).item(), rel=ROUNDING)
    assert found["valid_ce"] == pytest.approx(objective("ce")(logits, labels[:, 1:]).item(), rel=ROUNDING)


@pytest.mark.parametrize("name", ["ce", "emo-mode-1", "emo-mode-2", "debiased"])
def test_bfloat16_after_float32_in_one_process(name):
    full, half = (short_run(name=name, precision=precision) for precision in ("fp32", "bf16"))
    losses = np.array([full.column("loss")[1], half.column("loss")[1]])
    assert np.isfinite(losses).all()
    assert all(torch.isfinite(p).all() and p.dtype == torch.float32 for p in half.model.parameters())
    # bfloat16 has 8 bits: 4e-3 per rounding; it must be close to float32 and must not be it
    np.testing.assert_allclose(*losses, rtol=0.05)
    assert (losses[0] != losses[1]).any()


def test_losses_that_are_not_finite_are_shown():
    result = short_run(name="ce", lr=1e30)  # the first step leaves nothing of the weights
    assert np.isnan(result.column("loss")[1][-1])


def test_a_loss_improves_and_epochs_count_blocks():
    ids = np.tile(np.arange(BLOCK), (20, 1))
    settings = {**QUICK, "steps": None, "epochs": 3, "log_every": 4}
    result = finetune.finetune(tiny(), ids, ids[:4], "ce", **settings)
    assert result.column("loss")[0][-1] == 8  # 3 * 20 blocks, 8 a step, rounded up
    before, after = result.column("valid_ce")[1]
    assert after < 0.5 * before


def test_nothing_is_written_without_a_folder_and_a_finished_one_is_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert short_run().history and list(tmp_path.iterdir()) == []
    out = tmp_path / "run"
    result = short_run(out=out, save_every=2)
    assert largest_gap(transformers.AutoModelForCausalLM.from_pretrained(out), result.model) == 0
    files = {path.name for path in out.rglob("*")}
    assert files == {"run.json", "history.json", "model.safetensors", "config.json", "generation_config.json"}
    once_more = short_run(out=out, save_every=2)  # nothing is left to do: the result as it was
    assert once_more.history == result.history and largest_gap(once_more.model, result.model) == 0


def test_a_folder_with_another_run_is_refused_and_left_alone(tmp_path):
    out = tmp_path / "run"
    short_run(out=out)
    before = contents(out)
    changes = {"lr": 2e-2, "steps": 7, "name": "ce", "seed": 1, "model": tiny(seed=1)}
    words = ("lr is 0.01, here 0.02", "steps", "objective", "seed", "model is")
    for (name, value), word in zip(changes.items(), words, strict=True):
        with pytest.raises(ValueError, match=word):
            short_run(out=out, **{name: value})
        assert contents(out) == before


def test_order_is_a_permutation_each_time_and_a_matter_of_the_seed():
    drawn = trainer.order(7, 17, seed=3)
    assert len(drawn) == 17 and sorted(drawn[:7]) == sorted(drawn[7:14]) == list(range(7)) and drawn[:7] != drawn[7:14]
    assert drawn == trainer.order(7, 17, seed=3) != trainer.order(7, 17, seed=4)
    assert drawn[:10] == trainer.order(7, 10, seed=3)


def test_blocks_of_a_stream_and_of_a_pair():
    ids, labels = texts.blocks("tokens", np.arange(11), 4, tiny())
    assert ids.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]] and labels.tolist() == [[-100, 1, 2, 3], [-100, 5, 6, 7]]
    given = (np.arange(8).reshape(2, 4), np.ones((2, 4), int))
    assert texts.blocks("tokens", given, 99, tiny())[1].tolist() == [[-100, 1, 1, 1]] * 2 and given[1][0, 0] == 1


SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
T5_SIZES = {"d_model": 8, "d_kv": 4, "d_ff": 8, "num_layers": 1, "num_heads": 2}


def seeded(kind, config, **sizes):
    """A small model of transformers by its class."""
    torch.manual_seed(0)
    return kind(config if not sizes else config(vocab_size=VOCABULARY, **sizes))


class Scaled(transformers.GPT2LMHeadModel):
    """A model whose logits are not a plain product with its head, as those of Granite, Cohere or Gemma 2."""

    def forward(self, *args, **kwargs):
        """Half the logits."""
        found = super().forward(*args, **kwargs)
        found.logits = found.logits / 2
        return found


t = transformers
WRONG_MODELS = [
    (lambda: torch.nn.Linear(3, 3), "causal language model of transformers, got Linear"),
    (lambda: seeded(t.BertForMaskedLM, t.BertConfig, **SIZES), "not causal .BertForMaskedLM"),
    (lambda: seeded(t.BertModel, t.BertConfig, **SIZES), "no language-model head .BertModel"),
    (lambda: t.GPT2Model(tiny().config), "no language-model head .GPT2Model"),
    (lambda: seeded(t.T5ForConditionalGeneration, t.T5Config, **T5_SIZES), "an encoder and a decoder"),
    (lambda: seeded(Scaled, tiny().config), 'use head = "logits"'),
]


@pytest.mark.parametrize(("make", "words"), WRONG_MODELS, ids=[words for _, words in WRONG_MODELS])
def test_models_that_are_no_causal_lm_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        finetune.WithObjective(make(), objective("ce"), "fused")


def test_scaled_logits_train_with_the_logits_head_and_llama_with_both():
    assert short_run(seeded(Scaled, tiny().config), head="logits").column("loss")[1][-1] > 0
    runs = [short_run(seeded(t.LlamaForCausalLM, t.LlamaConfig, **SIZES), head=head) for head in ("fused", "logits")]
    np.testing.assert_allclose(*[run.column("loss")[1] for run in runs], rtol=ROUNDING)


IDS = np.ones((4, 3), int)
SENSELESS = [({name: value}, words) for name, value, words in REFUSED] + [
    ({"options": {"gamma": 1}}, "'gamma' is no option"), ({"cost": 3}, "cost must be a CostEmbedding"),
    ({"options": [1]}, r"options must be a dict, got \[1\]"), ({"cost": 3, "objective": "ce"}, "cost must be"),
    ({"on_log": 3}, "on_log must be a function, got 3"), ({"tokenizer": "gpt2"}, "tokenizer must be one .*, got str"),
    ({"out": 3}, "out = 3 is no path"), ({"out": "x" * 300}, "File name too long"),
    ({"steps": None, "epochs": float("nan")}, "epochs = nan"), ({"steps": None, "epochs": 0}, "epochs = 0"),
    ({"steps": 2.0}, "steps must be an integer"), ({"lr": "fast"}, "lr must be a number"),
    ({"valid_every": 2}, "nothing to evaluate"), ({"tokens_valid": np.arange(5)}, "tokens_valid has 5 tokens"),
    ({"cost": CostEmbedding(torch.eye(5))}, "60 tokens, but the cost embedding has 5"),
    ({"head": "both"}, "head = 'both'"), ({"save_every": 2, "out": None}, "nowhere to save"),
    ({"steps": None}, "one of steps and epochs"), ({"epochs": 1}, "one of steps and epochs"),
    ({"batch_size": 9, "accumulation": 2}, "batch_size = 9 must be a multiple of 2"),
    ({"tokens_train": np.arange(5)}, "5 tokens, fewer than one block of 12"),
    ({"tokens_train": np.zeros((4, 3))}, "integers, got dtype float64"),
    ({"tokens_train": IDS * 60}, "token 60, but the model knows 60"), ({"tokens_train": IDS * -100}, "not negative"),
    ({"tokens_train": (IDS, IDS * -1)}, "labels hold -1"),
    ({"tokens_train": (IDS, IDS * -100)}, "nothing is left to predict"),
    ({"tokens_train": (IDS, IDS[:, :2])}, "disagree"),
    ({"tokens_train": np.ones((4, 17), int)}, "longer than the model's 16 positions"),
    ({"tokens_train": IDS[:, :1]}, r"got shape \(4, 1\)"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), SENSELESS)
def test_requests_that_make_no_sense_are_refused_before_anything_is_written(tmp_path, monkeypatch, change, words):
    monkeypatch.chdir(tmp_path)
    given = {"tokens_train": np.zeros(99, int), "objective": "emo", "block": BLOCK, **QUICK, "out": "run"}
    with pytest.raises(ValueError, match=words):
        finetune.finetune(tiny(), **{**given, **change})
    assert list(tmp_path.iterdir()) == []


ENVIRONMENT = [(name, "true") for name in trainer.NOT_HERE[:-1]] + [("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")]
ENVIRONMENT += [("ACCELERATE_MIXED_PRECISION", "bf16"), ("ACCELERATE_MIXED_PRECISION", "fp8")]


@pytest.mark.parametrize(("name", "value"), ENVIRONMENT)
def test_accelerates_environment_never_overrides_an_argument(tmp_path, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=name):
        short_run(out=tmp_path / "run", precision="fp32")
    assert list(tmp_path.iterdir()) == []


def test_what_accelerate_launch_always_sets_changes_nothing(monkeypatch):
    plain = short_run()
    for name, value in (("MIXED_PRECISION", "no"), ("DYNAMO_BACKEND", "NO"), ("USE_FSDP", "false")):
        monkeypatch.setenv(f"ACCELERATE_{name}", value)
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")  # the Trainer counts the pieces itself
    assert largest_gap(plain.model, short_run().model) == 0


def test_precision_is_what_accelerate_was_told_unless_it_is_given(monkeypatch):
    half = short_run(precision="bf16")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    assert largest_gap(half.model, short_run(precision=None).model) == 0
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp8")
    with pytest.raises(ValueError, match="precision = 'fp8' is not one of"):
        check_precision(None)


def test_a_model_is_never_joined_with_a_bare_function_or_trained_in_half_precision():
    with pytest.raises(ValueError, match="made by `losses.objective"):
        finetune.WithObjective(tiny(), torch.nn.functional.cross_entropy)
    with pytest.raises(ValueError, match="torch.bfloat16: float32 weights"):
        short_run(tiny().bfloat16())


def test_the_precision_of_a_gpu(monkeypatch):
    """None is what the card computes in hardware: torch says that a T4 (7.5) supports bf16, which it emulates."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
    cards = [((7, 0), None, "fp32"), ((7, 5), None, "fp32"), ((8, 0), None, "bf16"), ((12, 0), None, "bf16")]
    for capability, hip, wanted in [*cards, ((7, 5), "6.2", "bf16")]:  # AMD counts in another way, and has bf16
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: capability)
        monkeypatch.setattr(torch.version, "hip", hip)
        assert check_precision(None) == wanted
        assert [check_precision(each) for each in ("fp32", "bf16", "fp16")] == ["fp32", "bf16", "fp16"]
    for there, only_cpu in ((True, "true"), (False, "")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
        monkeypatch.setenv("ACCELERATE_USE_CPU", only_cpu)
        assert check_precision(None) == "fp32"
        with pytest.raises(ValueError, match="'fp16' needs a GPU"):
            check_precision("fp16")


def test_every_training_of_the_package_and_the_lessons_names_its_precision():
    """Their numbers were made in float32 on a CPU; a GPU would choose bfloat16 where nothing is said."""
    root, calls = Path(finetune.__file__).parents[2], 0
    for path in (*root.glob("emo_teach/**/*.py"), *root.glob("notebooks/**/*.py")):
        for part in re.split("\n# %%|\n\n\n", path.read_text(encoding="utf-8")):  # cells and functions
            if "finetune.finetune(" in part and "finetune.finetune(..." not in part:
                calls += 1
                assert "precision" in part, f"{path}: {part}"
    assert calls >= 6


def test_evaluation_takes_no_more_tokens_at_a_time_than_training(monkeypatch):
    sizes = {True: [], False: []}
    outputs = finetune.WithObjective.outputs

    def spy(self, ids, *rest):
        sizes[torch.is_grad_enabled()].append(ids.numel())
        return outputs(self, ids, *rest)

    monkeypatch.setattr(finetune.WithObjective, "outputs", spy)
    short_run(accumulation=4)
    assert max(sizes[False]) <= max(sizes[True]) == 2 * BLOCK
    ids = np.tile(np.arange(4), (6, 4))  # held-out texts may be longer
    finetune.finetune(tiny(), ids[:, :4], ids, "emo", **{**QUICK, "batch_size": 6})
    assert sizes[False][-3:] == [16, 16, 16]


def test_a_model_of_which_nothing_or_a_part_is_trained(tmp_path):
    with pytest.raises(ValueError, match="no parameter of the model is to be trained"):
        short_run(tiny().requires_grad_(False), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    frozen, start = tiny(), tiny()
    frozen.transformer.wte.requires_grad_(False)  # and with it the head
    trained = short_run(frozen, out=tmp_path / "run").model
    assert (trained.lm_head.weight == start.lm_head.weight).all() and largest_gap(trained, start) > 1e-3
    again = tiny()
    again.transformer.wte.requires_grad_(False)
    assert largest_gap(short_run(again, out=tmp_path / "run").model, trained) == 0


def test_the_callers_cost_is_neither_moved_nor_copied():
    cost = CostEmbedding(torch.eye(VOCABULARY))
    made = _with_objective(tiny(), "emo", cost, {}, "fused")
    assert made.cost is not cost and made.cost.unit is cost.unit
    made.to(torch.float64)
    assert cost.unit.dtype == torch.float32 and made.cost.unit.dtype == torch.float64


def test_numbers_may_be_numpys(tmp_path):
    settings = {"batch_size": np.int64(8), "save_every": np.int32(2), "log_every": np.int64(1), "lr": np.float32(0.01)}
    for _ in range(2):
        found = short_run(name="smoothing", options={"epsilon": np.float32(0.25)}, out=tmp_path / "run", **settings)
    plain = short_run(name="smoothing", options={"epsilon": 0.25}, lr=float(np.float32(0.01)))
    assert largest_gap(found.model, plain.model) == 0


def test_the_papers_settings():
    assert finetune.PAPER == {"lr": 5e-5, "batch_size": 32, "block": 256, "epochs": 3, "seed": 42}


def test_fingerprints_tell_contents_types_and_shapes():
    x = torch.arange(6.0)
    names = {folder.fingerprint(y) for y in (x, x.double(), x.reshape(2, 3), x + 1e-6, x.bfloat16())}
    assert len(names) == 5 and folder.fingerprint(x) == folder.fingerprint(x.clone())
