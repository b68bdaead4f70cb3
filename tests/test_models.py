"""Tiny random models of many architectures: heads and readers give the model's own loss, or refuse in a line."""

import math

import numpy as np
import pytest
import torch
import transformers

from emo_teach import finetune
from emo_teach.losses import objective
from emo_teach.measure import reading

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
        model.get_output_embeddings().weight.mul_(40 / float(model(tokens()).logits.abs().max()))
    return model


def tokens():
    return torch.tensor(np.random.default_rng(0).integers(3, V, (B, T)))


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
