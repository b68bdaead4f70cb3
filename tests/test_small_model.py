"""The small GPT-2 of `data/tiny`: close to the truth on domain A, near-synonyms near, one token for each word."""

from unittest import mock

import numpy as np
import pytest
import torch
import transformers

from emo_teach import costs
from emo_teach.measure import oracle, reading
from emo_teach.world import World, grammar, model_folder, small_gpt2, small_models, word_tokenizer

WORLD = World()


@pytest.fixture(scope="module")
def model():
    return transformers.GPT2LMHeadModel.from_pretrained(model_folder())


def test_its_files_are_small_and_safe():
    files = list(model_folder().iterdir())
    assert sum(path.stat().st_size for path in files) < 8e6 and not {".bin", ".pt", ".pkl"} & {p.suffix for p in files}
    assert {"model.safetensors", "config.json", "tokenizer.json"} <= {path.name for path in files}


def test_it_knows_domain_a_and_not_b(model):
    """Its forward KL to the truth is a few hundredths of a nat where it was pretrained, and much more elsewhere."""
    gaps = []
    for world in (WORLD, World(shift=1.0)):
        texts = world.sample(100, 33, seed=7)
        log_p = reading.next_token_log_probs(model, texts[:, :-1])
        gaps.append(oracle.forward_kl(log_p, world.next_word(texts)[:, :-1]).mean())
    assert 0 < gaps[0] < 0.1 and gaps[1] > 0.2


def test_near_synonyms_are_near_in_its_head(model):
    head = model.get_output_embeddings().weight.detach().double().numpy()
    cosine = 1 - costs.cosine(head)
    other = ~np.eye(WORLD.size, dtype=bool)
    same = (WORLD.classes[:, None] == WORLD.classes[None]) & other
    assert cosine[same].mean() > 0.8 and cosine[~same & other].mean() < 0.2
    nearest = np.where(other, cosine, -np.inf).argmax(1)
    assert (WORLD.classes[nearest] == WORLD.classes)[same.any(1)].mean() > 0.75


def test_its_tokenizer_is_the_vocabulary():
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_folder())
    text = "every glad chef quickly prepares the small stew inside that bakery ."
    assert tokenizer(text)["input_ids"] == WORLD.encode(text)[1:].tolist()
    assert tokenizer.decode(WORLD.encode(text)[1:]) == text
    assert tokenizer.convert_ids_to_tokens(list(range(WORLD.size))) == list(WORLD.vocabulary)
    assert tokenizer("unicorn")["input_ids"] == [0] and tokenizer.unk_token == grammar.START
    other = World(synonyms=2, topics=3)
    assert len(word_tokenizer(other)) == other.size


def test_the_sharper_model_has_logits_a_quarter_larger():
    world, models = small_models()
    plain, sharp = (models[name](torch.tensor([[0, 3, 5]])).logits for name in ("ce", "emo-mode-1"))
    torch.testing.assert_close(sharp, 1.25 * plain, rtol=1e-4, atol=1e-4)
    assert plain.shape == (1, 3, world.size) and not models["ce"].training


def test_random_models_are_seeded_and_leave_the_random_state_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    a, b, c = (small_gpt2(20, layers=1, width=8, seed=seed).lm_head.weight for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected) and torch.equal(a, b) and not torch.equal(a, c)
    with pytest.raises(ValueError, match="width = 33"):
        small_gpt2(20, width=33)


def test_the_command_makes_the_folder_whole_or_leaves_it(tmp_path, monkeypatch):
    from emo_teach.authoring import data_files

    out = tmp_path / "deep" / "tiny"
    data_files.make_tiny(out, steps=2)
    first = (out / "model.safetensors").read_bytes()
    transformers.GPT2LMHeadModel.from_pretrained(out)
    assert {path.name for path in out.iterdir()} == {path.name for path in model_folder().iterdir()}
    data_files.make_tiny(out, steps=1)
    second = (out / "model.safetensors").read_bytes()
    assert second != first

    breaks = mock.Mock(side_effect=OSError("disk full"))
    monkeypatch.setattr(transformers.PreTrainedTokenizerFast, "save_pretrained", breaks)
    with pytest.raises(OSError, match="disk full"):
        data_files.make_tiny(out, steps=2)
    assert (out / "model.safetensors").read_bytes() == second
    assert [path.name for path in out.parent.iterdir()] == ["tiny"]
