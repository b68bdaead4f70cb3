"""Adapters of peft: trained, killed, gone on with and loaded again; and what would lose them, refused."""

import pytest
import torch
import transformers

from emo_teach import finetune
from emo_teach.losses import objective

from .training_runs import largest_gap, masked_blocks, short_run, tiny

# peft reads a name that transformers is about to drop
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing:FutureWarning")
IDS, LABELS = (torch.tensor(x) for x in masked_blocks(6))


@pytest.fixture
def base(tmp_path):
    """A pretrained model's folder."""
    tiny().save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def adapted(base, **changes):
    """A model with a random adapter, the same each time."""
    import peft

    torch.manual_seed(1)
    settings = {"r": 2, "target_modules": ["c_attn"], "fan_in_fan_out": True, "init_lora_weights": False}
    config = peft.LoraConfig(task_type="CAUSAL_LM", **settings, **changes)
    return peft.get_peft_model(transformers.GPT2LMHeadModel.from_pretrained(base), config)


def loss(model):
    with torch.no_grad():
        return objective("ce")(model.eval()(input_ids=IDS).logits[:, :-1], LABELS[:, 1:])


@pytest.mark.parametrize("head", ["fused", "logits"])
def test_both_heads_are_the_adapted_models(base, head):
    model = adapted(base)
    wrapper = finetune.WithObjective(model.eval(), objective("ce"), head)
    found = wrapper(IDS, LABELS).loss
    found.backward()
    torch.testing.assert_close(found.detach(), loss(model), rtol=1e-5, atol=0)
    assert all((weight.grad is not None) == weight.requires_grad for weight in model.parameters())
    assert not torch.isclose(found, loss(tiny()), rtol=1e-3)  # the adapter counts


def test_an_adapter_is_trained_and_comes_back(base, tmp_path):
    import peft

    out, model = tmp_path / "out", adapted(base)
    before = loss(model)
    result = short_run(model, out=out, lr=0.1)
    assert loss(result.model) < before - 0.01 and largest_gap(
        result.model.get_base_model(), adapted(base).get_base_model()
    )
    for kind in (peft.AutoPeftModelForCausalLM, transformers.AutoModelForCausalLM):
        assert loss(kind.from_pretrained(out)) == loss(result.model)
    again = short_run(adapted(base), out=out, lr=0.1)  # a finished run is read
    assert loss(again.model) == loss(result.model) and again.history == result.history


def test_a_run_that_stopped_goes_on(base, tmp_path):
    def stop(entry):
        if entry["step"] == 5:
            raise KeyboardInterrupt

    settings, reports = {"out": tmp_path / "out", "save_every": 4}, []
    with pytest.raises(KeyboardInterrupt):
        short_run(adapted(base), on_log=stop, **settings)
    result = short_run(adapted(base), on_log=reports.append, **settings)
    assert {entry["step"] for entry in reports} == {5, 6}  # from the checkpoint of step 4
    assert largest_gap(result.model, short_run(adapted(base)).model) == 0


def trained_beside(base):
    model = adapted(base)
    model.get_base_model().transformer.ln_f.weight.requires_grad = True
    return model


def added(base):
    import peft

    model = transformers.GPT2LMHeadModel.from_pretrained(base)
    model.add_adapter(peft.LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    return model


def second(base):
    model = adapted(base)
    model.add_adapter("other", model.peft_config["default"])
    return model


def prompts(base):
    import peft

    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    return peft.get_peft_model(transformers.GPT2LMHeadModel.from_pretrained(base), config)


LOST = [
    (lambda base: adapted(base).get_base_model(), r"adapters of peft.*merge_and_unload\(\)"),
    (added, r"adapters of peft.*merge_and_unload\(\)"),
    (trained_beside, "ln_f.weight is to be trained, but is not saved with the adapter of peft"),
    (second, "adapters default, other: only one"), (prompts, "PeftModelForCausalLM of PROMPT_TUNING"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "words"), LOST, ids=[words for _, words in LOST])
def test_what_would_be_lost_is_refused_before_anything_is_written(base, tmp_path, make, words):
    with pytest.raises(ValueError, match=words):
        short_run(make(base), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_advice_can_be_followed(base, tmp_path):
    model = adapted(base).merge_and_unload().requires_grad_()
    result = short_run(model, out=tmp_path / "out")
    assert loss(transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "out")) == loss(result.model)
