"""Tiny random models of many architectures: heads and readers give the model's own loss, or refuse in a line."""

import copy
import io
import json
import math
import pickle
import warnings

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from emo_teach import finetune, world
from emo_teach.__main__ import main
from emo_teach.losses import CostEmbedding, objective
from emo_teach.measure import reading

from .training_runs import VOCABULARY, largest_gap, masked_blocks, short_run, tiny

V, B, T = 99, 3, 12
# What a configuration has of these is set: two layers, 32 wide.
NAMED = {
    2: "num_hidden_layers n_layer n_layers num_layers decoder_layers num_key_value_heads num_experts_per_tok"
    " eos_token_id",
    4: "num_attention_heads n_head n_heads num_heads decoder_attention_heads num_experts num_local_experts"
    " n_routed_experts moe_num_experts",
    16: "moe_intermediate_size",
    32: "hidden_size d_model n_embd word_embed_proj_dim lru_width embedding_size",
    48: "intermediate_size ffn_dim decoder_ffn_dim dff ffn_hidden_size",
    64: "max_position_embeddings n_positions max_seq_len",
}
SIZES = {name: size for size, names in NAMED.items() for name in names.split()}
SIZES |= {"vocab_size": V, "head_dim": 8, "pad_token_id": 0, "bos_token_id": 1, "is_decoder": True}
LATENT = {"qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "v_head_dim": 8, "q_lora_rank": 16, "kv_lora_rank": 16}
LATENT |= {"num_key_value_heads": 4}
STATE = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 16, "mamba_n_groups": 1, "mamba_chunk_size": 4}
EXPERTS = {"ffn_hidden_size": 16, "hidden_size": 32}
SPARSE = {"n_group": 1, "topk_group": 1, "first_k_dense_replace": 1}
PLAIN = """GPT2LMHeadModel LlamaForCausalLM OPTForCausalLM MistralForCausalLM OpenAIGPTLMHeadModel Qwen3ForCausalLM
    BloomForCausalLM FalconForCausalLM GPTNeoXForCausalLM GPTBigCodeForCausalLM MixtralForCausalLM Qwen2ForCausalLM
    Qwen2MoeForCausalLM Qwen3MoeForCausalLM GemmaForCausalLM Gemma3ForCausalLM PhiForCausalLM Phi3ForCausalLM
    OlmoForCausalLM Olmo2ForCausalLM OlmoeForCausalLM SmolLM3ForCausalLM StableLmForCausalLM Starcoder2ForCausalLM
    MptForCausalLM XGLMForCausalLM BioGptForCausalLM MambaForCausalLM NemotronForCausalLM PersimmonForCausalLM
    HeliumForCausalLM GlmForCausalLM Glm4ForCausalLM Exaone4ForCausalLM Ernie4_5ForCausalLM FalconMambaForCausalLM
    Lfm2ForCausalLM ArceeForCausalLM DogeForCausalLM HunYuanDenseV1ForCausalLM ApertusForCausalLM BitNetForCausalLM
    GptOssForCausalLM MinistralForCausalLM SeedOssForCausalLM Olmo3ForCausalLM CTRLLMHeadModel
    BertGenerationDecoder JetMoeForCausalLM"""
SPECIAL = {
    "GPTNeoForCausalLM": {"attention_types": [[["global", "local"], 1]], "window_size": 4},
    "GPTJForCausalLM": {"rotary_dim": 4},
    "CodeGenForCausalLM": {"rotary_dim": 4},
    "DeepseekV2ForCausalLM": {**LATENT, "head_dim": 8, **SPARSE},
    "DeepseekV3ForCausalLM": {**LATENT, "head_dim": 8, **SPARSE},
    "Mamba2ForCausalLM": {"num_heads": 8, "state_size": 16, "n_groups": 1, "chunk_size": 4},
    "JambaForCausalLM": {
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "mamba_dt_rank": 4,
        "use_mamba_kernels": False,
    },
    "BambaForCausalLM": {**STATE, "attn_layer_indices": [1]},
    "DbrxForCausalLM": {
        "attn_config": {"kv_n_heads": 2, "rope_theta": 1e4, "clip_qkv": 8.0},
        "ffn_config": EXPERTS,
    },
    "RecurrentGemmaForCausalLM": {"block_types": ["recurrent", "attention"], "attention_window_size": 8},
    "Gemma2ForCausalLM": {},
    "VaultGemmaForCausalLM": {},
    "NanoChatForCausalLM": {},
    "GraniteForCausalLM": {"logits_scaling": 4.0},
    "GraniteMoeForCausalLM": {"logits_scaling": 4.0},
    "CohereForCausalLM": {},
    "Cohere2ForCausalLM": {},
    "FalconH1ForCausalLM": {**STATE, "mamba_d_ssm": 64, "lm_head_multiplier": 0.5},
    "HyperCLOVAXForCausalLM": {"logits_scaling": 0.25},
    "MiniCPM3ForCausalLM": {**LATENT, "head_dim": 8},
    "Llama4ForCausalLM": {"intermediate_size_mlp": 16},
    "BertLMHeadModel": {},
    "RobertaForCausalLM": {},
}
# Their logits are not the product of last hidden states and head: capped, scaled, transformed, or no backbone apart.
SCALED = """Gemma2ForCausalLM VaultGemmaForCausalLM NanoChatForCausalLM RecurrentGemmaForCausalLM GraniteForCausalLM
    GraniteMoeForCausalLM CohereForCausalLM Cohere2ForCausalLM FalconH1ForCausalLM HyperCLOVAXForCausalLM
    MiniCPM3ForCausalLM Llama4ForCausalLM BertLMHeadModel RobertaForCausalLM"""
QUICK = "GPT2LMHeadModel LlamaForCausalLM OPTForCausalLM OpenAIGPTLMHeadModel MambaForCausalLM Gemma2ForCausalLM"
QUICK += " GraniteForCausalLM MiniCPM3ForCausalLM Llama4ForCausalLM BertLMHeadModel"
NAMES = [*PLAIN.split(), *SPECIAL]
TABLE = [pytest.param(name, marks=[] if name in QUICK.split() else pytest.mark.slow) for name in NAMES]
ROUNDING = 1e-5  # two orders of float32 sums; measured 5e-7 of the loss, 2e-6 of the largest gradient


def make(name, **changes):
    """A random model in evaluation mode, its head so large that logits reach 40, where a soft cap of 30 shows."""
    kind = getattr(transformers, name)
    known = {*kind.config_class().to_dict(), *kind.config_class.attribute_map, "is_decoder"}
    torch.manual_seed(0)
    sizes = {key: value for key, value in SIZES.items() if key in known}
    model = kind(kind.config_class(**{**sizes, **SPECIAL.get(name, {}), **changes})).eval()
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(40 / float(model(tokens(model.config.vocab_size)).logits.abs().max()))
    return model


def tokens(size=V):
    return torch.tensor(np.random.default_rng(0).integers(3, size, (B, T)))


def gradient(model, loss):
    """The gradient of a loss by the input embedding."""
    model.zero_grad()
    loss.backward()
    return model.get_input_embeddings().weight.grad.clone()


def test_the_table_is_long_enough():
    assert len(set(NAMES)) == len(NAMES) >= 60 and set(QUICK.split()) <= set(NAMES)


@pytest.mark.filterwarnings("ignore")  # of the models' own: slow paths of Mamba, renamed settings
@pytest.mark.parametrize("name", TABLE)
def test_a_model_gives_its_own_loss(name):
    model, ids = make(name), tokens()
    output = model(input_ids=ids, labels=ids)
    own, slope = output.loss.detach(), gradient(model, output.loss)
    assert own > 10  # the weights are large
    for head in ("logits", "auto", "fused"):
        if head == "fused" and name in SCALED.split():
            with pytest.raises(ValueError, match=name) as refusal:
                finetune.WithObjective(model, objective("ce"), head)
            assert 'use head = "logits" or "auto"' in str(refusal.value) and "\n" not in str(refusal.value)
            continue
        wrapper = finetune.WithObjective(model, objective("ce"), head)
        assert wrapper.head == ("logits" if head == "logits" or name in SCALED.split() else "fused")
        loss = wrapper(ids, ids).loss
        torch.testing.assert_close(loss, own, rtol=ROUNDING, atol=0)
        atol = ROUNDING * float(slope.abs().max())
        torch.testing.assert_close(gradient(model, loss), slope, rtol=ROUNDING, atol=atol)


@pytest.mark.filterwarnings("ignore")  # as above
@pytest.mark.parametrize("name", TABLE)
def test_readers_agree_with_a_models_logits(name):
    model, ids = make(name), tokens()
    with torch.no_grad():
        output = model(input_ids=ids, labels=ids, output_hidden_states=True)
    found = reading.next_token_log_probs(model, ids.numpy())
    # float32 logits up to 40, rounded at 4e-6 each
    np.testing.assert_allclose(found, output.logits.double().log_softmax(-1).numpy(), atol=1e-4)
    assert reading.perplexity(model, ids.numpy()) == pytest.approx(math.exp(output.loss), rel=1e-4)
    rows = torch.tensor(reading.sample(model, ids.numpy()[:, :4], 4, greedy=True))
    with torch.no_grad():
        logits = model(input_ids=rows).logits[:, 3:-1]
    taken = logits.gather(-1, rows[:, 4:, None])[..., 0]
    # by a cache or not, each token is the likeliest after all before it, ties within rounding apart
    torch.testing.assert_close(taken, logits.amax(-1), rtol=0, atol=1e-3)
    states = output.hidden_states[-1].double().mean(1).numpy()
    np.testing.assert_allclose(reading.features(model, ids.numpy()), states, rtol=1e-5, atol=1e-5)


# ---- what people do with a wrapper, and models that are refused


def wrapped(model, head="auto"):
    cost = CostEmbedding(model.get_output_embeddings().weight.detach().clone())
    return finetune.WithObjective(model, objective("emo-mode-1", cost), head)


def ids_and_labels():
    return [torch.tensor(each) for each in masked_blocks(8)]


def trained(model, folder, **changes):
    """The history of four steps of a plain Trainer, and its evaluation."""
    ids, labels = ids_and_labels()
    rows = [{"input_ids": i, "labels": k} for i, k in zip(ids, labels, strict=True)]
    settings = {"max_steps": 4, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "logging_steps": 1}
    args = transformers.TrainingArguments(
        folder, **settings, report_to="none", use_cpu=True, disable_tqdm=True, dataloader_pin_memory=False, **changes
    )
    trainer = transformers.Trainer(model, args, train_dataset=rows, eval_dataset=rows)
    trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return [*losses, trainer.evaluate()["eval_loss"]]


@pytest.mark.filterwarnings("ignore")  # of the Trainer's own
def test_a_plain_trainer_takes_the_wrapper_as_it_takes_the_model(tmp_path):
    wrapper, model = finetune.WithObjective(tiny(), objective("ce")), tiny()
    changes = {"gradient_checkpointing": True, "save_steps": 2}  # two checkpoints, of tied weights
    found = trained(wrapper, tmp_path / "a", **changes)
    np.testing.assert_allclose(found, trained(model, tmp_path / "b", **changes), rtol=ROUNDING)
    assert largest_gap(wrapper.model, model, but_key_bias=True) <= ROUNDING
    saved = finetune.WithObjective(tiny(seed=1), objective("ce"))
    saved.load_state_dict(load_file(tmp_path / "a" / "checkpoint-4" / "model.safetensors"))
    assert largest_gap(saved.model, wrapper.model) == 0
    assert saved.model.lm_head.weight is saved.model.transformer.wte.weight


def copies(wrapper):
    yield copy.deepcopy(wrapper)
    yield pickle.loads(pickle.dumps(wrapper))
    file = io.BytesIO()
    torch.save(wrapper, file)
    file.seek(0)
    yield torch.load(file, weights_only=False)


@pytest.mark.filterwarnings("ignore:.*gradient_checkpointing_enable:FutureWarning")  # the newer name may be missing
@pytest.mark.parametrize("head", ["fused", "logits"])
def test_a_wrapper_is_copied_checkpointed_and_frozen(head):
    wrapper, batch = wrapped(tiny(), head), ids_and_labels()
    loss = wrapper(*batch).loss
    assert all(each(*batch).loss == loss and each.head == head for each in copies(wrapper))
    with torch.inference_mode():
        assert wrapper(*batch).loss == loss
    slope = gradient(wrapper.model, loss)
    wrapper.train().gradient_checkpointing_enable()
    assert torch.equal(gradient(wrapper.model, wrapper(*batch).loss), slope)
    for name, weight in wrapper.model.named_parameters():
        weight.requires_grad, weight.grad = "h.0" in name, None
    wrapper(*batch).loss.backward()
    assert all((weight.grad is None) != weight.requires_grad for weight in wrapper.model.parameters())


@pytest.mark.parametrize("name", ["OPTForCausalLM", "LlamaForCausalLM", "BertLMHeadModel"])
def test_a_row_of_zeros_for_padding_is_no_hindrance(name):
    model = make(name, vocab_size=VOCABULARY)
    with torch.no_grad():
        model.get_output_embeddings().weight[0] = 0
    found, same = (wrapped(model, head)(*ids_and_labels()).loss for head in ("auto", "logits"))
    torch.testing.assert_close(found, same, rtol=ROUNDING, atol=0)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler's own
@pytest.mark.parametrize("head", ["fused", "logits"])
def test_a_compiled_wrapper_is_the_same(head):
    wrapper, batch = wrapped(tiny(), head), ids_and_labels()
    loss = wrapper(*batch).loss
    slope = gradient(wrapper.model, loss)
    again = torch.compile(wrapper, backend="aot_eager")(*batch).loss
    torch.testing.assert_close(again, loss, rtol=ROUNDING, atol=0)
    near = {"rtol": ROUNDING, "atol": ROUNDING * float(slope.abs().max())}
    torch.testing.assert_close(gradient(wrapper.model, again), slope, **near)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["LlamaForCausalLM", "Gemma2ForCausalLM", "OPTForCausalLM"])
def test_half_types_keep_their_head(name, kind):
    model = make(name).to(kind)
    wrapper = finetune.WithObjective(model, objective("ce"))
    assert wrapper.head == ("logits" if name in SCALED else "fused")
    # logits of 40 are off by 0.1 in bfloat16, and a loss of 30 by as much; float16 has eight times as many steps
    own = model(tokens(), labels=tokens()).loss.detach().float()
    torch.testing.assert_close(wrapper(tokens(), tokens()).loss.detach().float(), own, rtol=5e-3, atol=0)


class Unlike(transformers.GPT2LMHeadModel):
    """A model whose logits are changed by `change`, a function."""

    change = staticmethod(lambda logits: logits)

    def forward(self, *args, **kwargs):
        found = super().forward(*args, **kwargs)
        found.logits = self.change(found.logits)
        return found


class Apart(transformers.GPT2LMHeadModel):
    """A model that multiplies with its head's weight without calling the head."""

    def forward(self, input_ids, **kwargs):
        hidden = self.transformer(input_ids).last_hidden_state
        return transformers.modeling_outputs.CausalLMOutput(logits=20 * torch.tanh(hidden @ self.lm_head.weight.T / 20))


ODD = [
    (lambda z: 5000 * torch.tanh(z / 5000), "scaled or capped"),  # far above what the logits reach
    (lambda z: z.clamp(max=1e4), "scaled or capped"),
    (lambda z: z + 1e-3, "scaled or capped"),
]


@pytest.mark.parametrize(("change", "words"), ODD, ids=["cap", "clamp", "shift"])
def test_what_a_model_does_after_its_head_is_seen(monkeypatch, change, words):
    monkeypatch.setattr(Unlike, "change", staticmethod(change))
    model = Unlike(tiny().config)
    with pytest.raises(ValueError, match=f"{words}.*use head = .logits. or .auto."):
        finetune.WithObjective(model, objective("ce"), "fused")
    assert finetune.WithObjective(model, objective("ce")).head == "logits"


def test_a_head_that_is_not_called_or_of_zeros():
    wrapper = finetune.WithObjective(Apart(tiny().config), objective("ce"))
    assert wrapper.head == "logits" and "not one product with its head" in wrapper.reason
    model = tiny()
    model.lm_head.weight.data.zero_()
    assert finetune.WithObjective(model, objective("ce")).head == "fused"


def test_a_run_falls_back_and_says_so(tmp_path):
    """The head that is taken stands in the result and in run.json, and the same call goes on from it."""
    first, again = (short_run(make("GraniteForCausalLM", vocab_size=VOCABULARY), out=tmp_path / "out") for _ in "ab")
    assert first.head == again.head == "logits" and first.history == again.history
    assert json.loads((tmp_path / "out" / "run.json").read_text())["settings"]["head"] == "logits"
    assert short_run().head == "fused"


def test_adapters_inside_a_model_are_refused_without_peft(tmp_path):
    model = tiny()
    model.transformer.h[0].attn.c_attn.base_layer = torch.nn.Identity()  # as peft's layers have one
    with pytest.raises(ValueError, match=r"adapters of peft.*merge_and_unload\(\)"):
        short_run(model, out=tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_readers_refuse_what_has_no_logits_for_each_token(monkeypatch):
    ids = ids_and_labels()[0].numpy()
    monkeypatch.setattr(Unlike, "change", staticmethod(lambda logits: logits[:, 1:]))
    for call in (reading.next_token_log_probs, reading.perplexity, lambda *given: reading.sample(*given, 2)):
        with pytest.raises(ValueError, match=r"model \(GPT2Model\) has no language-model head"):
            call(transformers.GPT2Model(tiny().config), ids)
        with pytest.raises(ValueError, match=r"logits \(8, 11, 60\) for ids \(8, 12\)"):
            call(Unlike(tiny().config), ids)
    with pytest.raises(ValueError, match="GPT2Model has logits|no language-model head"):
        finetune.WithObjective(transformers.GPT2Model(tiny().config), objective("ce"))
    with pytest.raises(ValueError, match=r"model has logits \(2, 1, 60\) for ids \(2, 2\)"):
        finetune.WithObjective(Unlike(tiny().config), objective("ce"))


def test_texts_are_read_in_batches_by_size(monkeypatch):
    """At most 2^26 logits at a time: GPT-2 reads 1024 tokens one text at a time."""
    model, ids = tiny().eval(), ids_and_labels()[0].numpy()
    whole = [reading.perplexity(model, ids), reading.features(model, ids), reading.sample(model, ids, 2)]
    sizes = []
    model.register_forward_pre_hook(lambda _, given, named: sizes.append(named["input_ids"].shape), with_kwargs=True)
    monkeypatch.setattr(reading, "NUMBERS", 3 * 12 * VOCABULARY)
    parts = [reading.perplexity(model, ids), reading.features(model, ids)]
    assert [shape[0] for shape in sizes] == [3, 3, 2] * 2
    parts.append(reading.sample(model, ids, 2))  # 14 tokens in the end, so two texts
    assert {shape[0] for shape in sizes[6:]} == {2}
    for one, other in zip(parts, whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5)  # float32 sums of batches of other sizes
    reading.perplexity(model, ids, batch=1)
    assert sizes[-1][0] == 1


@pytest.mark.slow
def test_the_command_falls_back_and_the_advice_can_be_followed(tmp_path, capsys):
    place = tmp_path / "model"
    place.mkdir()
    for file in world.model_folder().glob("token*"):
        (place / file.name).write_bytes(file.read_bytes())
    size = transformers.AutoConfig.from_pretrained(world.model_folder()).vocab_size
    make("GraniteForCausalLM", vocab_size=size).save_pretrained(place)

    def command(out, *more):
        given = ["--model", place, "--text", "world", "--objective", "emo-mode-1", "--out", tmp_path / out]
        sizes = ["--steps", 1, "--batch", 2, "--block", 8]
        with warnings.catch_warnings():  # the command silences warnings for good
            return main(["finetune", *map(str, [*given, *sizes, *more])])

    assert command("a", "--head", "fused") == 2 and not (tmp_path / "a").exists()
    assert 'use head = "logits" or "auto"' in capsys.readouterr().err
    assert command("b", "--head", "logits") == 0 and "head: logits\n" in capsys.readouterr().out
    assert command("c") == 0
    assert "head: logits (the fused one does not fit this model)" in capsys.readouterr().out
    assert command("d", "--head", "both") == 2 and "head = 'both' is not one of auto" in capsys.readouterr().err
