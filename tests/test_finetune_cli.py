"""`python -m emo_teach finetune`: it trains as requested, or stops with one line, status 2 and nothing written."""

import contextlib
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import types
from unittest import mock

import huggingface_hub
import numpy as np
import pytest
import tokenizers
import transformers

from emo_teach.__main__ import main
from emo_teach.finetune import texts

from .training_runs import REFUSED, contents, largest_gap, tiny

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "looked"]
WORDS += ["at", "an", "old", "dog", "that", "ran", "away", "from", "it"]
TEXT = " ".join(WORDS[k * k % 17] for k in range(400))


def save_model(path):
    """A model and a word tokenizer whose unknown word is token 0, in transformers' layout."""
    tiny().save_pretrained(path)
    numbers = {"[UNK]": 0, **{word: k + 1 for k, word in enumerate(WORDS)}}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(numbers, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=made, unk_token="[UNK]").save_pretrained(path)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a model and a text; the hub is nowhere."""
    save_model(tmp_path / "model")
    (tmp_path / "text").write_text(TEXT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def damaged(place):
    """The same folder with several things that are wrong."""
    for name in ("no_weights", "no_config", "cut", "no_tokenizer", "bad_tokenizer", "lacking"):
        shutil.copytree(place / "model", place / name)
    for name, file in (("weights", "model.safetensors"), ("config", "config.json"), ("tokenizer", "tokenizer.json")):
        (place / f"no_{name}" / file).unlink()
    os.truncate(place / "cut" / "model.safetensors", 5000)
    (place / "bad_tokenizer" / "tokenizer.json").write_text("{")
    tiny(n_layer=2).config.save_pretrained(place / "lacking")  # its weights are those of a smaller model
    for name, text in {"short": "the cat sat", "empty": "", "blank": " \n\n", "other": "fremde Wörter " * 50}.items():
        (place / name).write_text(text, encoding="utf-8")
    (place / "latin").write_bytes(TEXT.encode() + "Zürich".encode("latin-1"))
    (place / "full" / "thesis").mkdir(parents=True)
    return place


def command(**changes):
    """Arguments of a run of three steps; a value of None leaves an argument out."""
    given = {"model": "model", "text": "text", "objective": "emo-mode-1", "steps": 3, "out": "run", "batch_size": 4}
    given |= {"block": 8, "lr": 1e-2, **changes}
    names = {name: name.removesuffix("_size").replace("_", "-") for name in given}
    return ["finetune", *(f"--{names[name]}={value}" for name, value in given.items() if value is not None)]


REFUSED_BY_NAME = [
    ("option", "gamma=0.1", "'gamma' is no option of 'emo-mode-1'"),
    ("option", "clip", "must be written as name=value"),
    ("option", "clip=three", "the value must be a number"), ("option", "clip=-1", "clip = -1"),
    ("model", "nowhere", "model = nowhere: no such folder"), ("model", "text", "model = text: no such folder"),
    ("model", "no_config", "no config.json"), ("model", "no_weights", "no weights (model.safetensors"),
    ("model", "cut", "cannot be loaded"), ("model", "lacking", "its weights lack transformer.h.1."),
    ("model", "no_tokenizer", "the folder has no tokenizer"),
    ("model", "bad_tokenizer", "its tokenizer cannot be loaded"),
    ("text", "nowhere", "text = nowhere: no such file"), ("text", "model", "text = model: no such file"),
    ("text", "empty", "text = empty is empty"), ("text", "blank", "text = blank is empty"),
    ("text", "latin", "is not UTF-8: byte "), ("text", "short", "too short: 3 tokens"),
    ("text", "x" * 300, "no such file"), ("model", "x" * 300, "no such folder"),
    ("out", "x" * 300, "File name too long"),
    ("text", "other", "does not know 100% of it"), ("text", "world", "of it (at most 5% may be unknown)"),
    ("out", "text", "out = text is a file"), ("out", "text/run", "text is a file"),
    ("out", "full", "holds other files and no run"), ("out", "/proc/nowhere/run", "cannot be written"),
    ("accumulation", 3, "batch_size = 4 must be a multiple of 3"),
]  # fmt: skip


def refused(arguments, capfd, words):
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == "" and words in err and err.count("\n") == 1, err
    return err


def test_refused_in_one_line_with_nothing_written(damaged, capfd, monkeypatch):
    before = contents(damaged)
    for name, value, words in REFUSED_BY_NAME + REFUSED:
        refused(command(**{name: value}), capfd, words)
        assert contents(damaged) == before
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(command(), capfd, "out = run cannot be written: no right to write to ")


def test_trains_and_prints_the_held_out_values(place, capfd):
    assert main(command(steps=20)) == 0
    lines = capfd.readouterr().out.splitlines()[:2]
    printed = [float(number) for line in lines for number in line.split(": ")[1].split(" -> ")]
    entries = [entry for entry in json.loads((place / "run" / "history.json").read_text()) if "valid_ce" in entry]
    wanted = [entries[k][name] for name in ("valid_loss", "valid_ce") for k in (0, -1)]
    assert printed == pytest.approx(wanted, abs=1e-4) and printed[3] < printed[2]
    trained, start = (transformers.AutoModelForCausalLM.from_pretrained(place / name) for name in ("run", "model"))
    assert largest_gap(trained, start) > 1e-3
    assert transformers.AutoTokenizer.from_pretrained(place / "run")("the cat")["input_ids"] == [1, 2]


def test_another_objective_or_option_trains_another_model(place):
    models = []
    for name, option in (("ce", None), ("emo", None), ("tailr", None), ("tailr", "gamma=0.5")):
        out = f"{name} {option}"
        assert main(command(out=out, objective=name, option=option)) == 0
        models.append(transformers.AutoModelForCausalLM.from_pretrained(out))
    assert all(largest_gap(a, b) > 0 for a, b in itertools.combinations(models, 2))


def test_a_finished_run_is_printed_again_and_another_one_refused(place, capfd):
    first, again = ((main(command()), capfd.readouterr().out) for _ in range(2))
    assert first == again and first[0] == 0
    refused(command(lr=2e-2), capfd, "holds another run: there lr is 0.01, here 0.02")
    (place / "text").write_text(TEXT + " dog cat", encoding="utf-8")
    refused(command(), capfd, "holds another run")


def test_the_tiny_model_in_its_world(place, capfd):
    assert main(command(model="tiny", text="world", steps=4, block=None)) == 0
    assert "held-out cross-entropy" in capfd.readouterr().out


def test_unknown_characters_are_counted_even_when_the_tokenizer_drops_them():
    silent = tokenizers.Tokenizer(tokenizers.models.BPE({c: k for k, c in enumerate("abcdefg")}, []))
    assert silent.encode("abcxyz").ids == [0, 1, 2]
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=silent)
    with pytest.raises(ValueError, match="does not know 50% of it"):
        texts._encode("some", "abcxyz", tokenizer)
    assert texts._encode("some", "abc" * 10 + "x", tokenizer).tolist() == [0, 1, 2] * 10  # 3 % is let pass


def test_a_text_that_names_the_unknown_token_loses_nothing_of_it():
    """Byte-level vocabularies know every byte: their unknown token is the end-of-text token, which joins texts."""
    numbers = {c: k for k, c in enumerate(sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet()))}
    bytes_ = tokenizers.Tokenizer(tokenizers.models.BPE(numbers, []))
    bytes_.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytes_.decoder = tokenizers.decoders.ByteLevel()
    end = "<|endoftext|>"
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bytes_, unk_token=end, eos_token=end)
    text = end.join(["Straße", "東京", "a b\n", ""] * 9)
    ids = texts._encode("some", text, tokenizer)
    assert tokenizer.decode(ids) == text and (ids == tokenizer.unk_token_id).sum() == 35


@pytest.mark.parametrize("text", ["the [UNK] cat [UNK]", "[UNK]", "the cat", "the [UNK]zebra", "zebra the cat"])
def test_the_unknown_tokens_own_text_is_known_and_other_unknown_words_are_not(place, text):
    tokenizer = transformers.AutoTokenizer.from_pretrained(place / "model")
    if "zebra" in text:
        with pytest.raises(ValueError, match="does not know"):
            texts._encode("some", text, tokenizer)
    else:
        assert len(texts._encode("some", text, tokenizer)) == len(text.split())


def test_a_long_text_is_tokenized_in_pieces_and_by_slow_tokenizers_too(place, monkeypatch):
    tokenizer = transformers.AutoTokenizer.from_pretrained(place / "model")
    text = "\n".join(" ".join(WORDS[k:] + WORDS[:k]) for k in range(17)) + "\n"
    whole = texts._encode("some", text, tokenizer)
    # without offsets the share of unknown tokens stands for the share of unknown characters
    numbers = {word: k + 1 for k, word in enumerate(WORDS)}
    ids = lambda piece, **_: {"input_ids": [numbers.get(word, 0) for word in piece.split()]}
    slow = mock.Mock(side_effect=ids, is_fast=False, unk_token="[UNK]", unk_token_id=0)
    monkeypatch.setattr(texts, "_PIECE", 50)
    assert len(list(texts._pieces(text))) > 5 and "".join(texts._pieces(text)) == text
    for each in (tokenizer, slow):
        np.testing.assert_array_equal(texts._encode("some", text, each), whole)
    with pytest.raises(ValueError, match="does not know 50% of it"):
        texts._encode("some", "cat zebra " * 9, slow)
    assert (texts._encode("some", "[UNK] cat " * 9, slow) == [0, 2] * 9).all()


def cached(place, kind, repository, files):
    """A repository in the layout of the hub's cache; returns its snapshot's folder."""
    root = place / "cache" / f"{kind}s--{repository.replace('/', '--')}"
    snapshot = root / "snapshots" / ("0" * 40)
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text("0" * 40)
    files(snapshot)
    return snapshot


def test_wikitext_from_the_cache(place, capfd, monkeypatch):
    """The "parquet" files hold a line of JSON with the column's values, which a stand-in for pyarrow reads."""

    def files(snapshot):
        (snapshot / texts.WIKITEXT_PART).mkdir(parents=True)
        for name in ("train", "validation"):
            path = snapshot / texts.WIKITEXT_PART / f"{name}-00000-of-00001.parquet"
            path.write_text(json.dumps(["the cat ", "\n", TEXT]))

    def read_table(path, columns):
        return {"text": types.SimpleNamespace(to_pylist=lambda: json.loads(path.read_text()))}

    def pyarrow(parquet):
        monkeypatch.setitem(sys.modules, "pyarrow", parquet and types.SimpleNamespace(parquet=parquet))
        monkeypatch.setitem(sys.modules, "pyarrow.parquet", parquet)

    pyarrow(types.SimpleNamespace(read_table=read_table))
    cached(place, "dataset", texts.WIKITEXT, files)
    assert texts.wikitext2() == [f"the cat \n{TEXT}"] * 2
    assert main(command(text="wikitext-2")) == 0
    capfd.readouterr()
    pyarrow(None)
    monkeypatch.setattr(texts, "model_folder", None)  # it is not even asked for: that may be a long download
    refused(command(text="wikitext-2", out="other"), capfd, "pip install pyarrow")
    assert not (place / "other").exists()


def serving(answer):
    """A local server that takes every connection and answers `answer`, or nothing at all for None, and its address."""
    server, kept = socket.create_server(("127.0.0.1", 0)), []
    address = f"http://127.0.0.1:{server.getsockname()[1]}"
    if answer == "closed":
        server.close()

    def serve():
        with contextlib.suppress(OSError):  # until the server is closed
            while True:
                talk, _ = server.accept()
                kept.append(talk)  # a dropped connection would be an answer
                if answer is not None:
                    request = piece = talk.recv(65536)
                    while piece and not request.endswith(b"\r\n\r\n"):  # closing over unread bytes is a reset
                        request += (piece := talk.recv(65536))
                    talk.sendall(answer)
                    talk.close()

    threading.Thread(target=serve, daemon=True).start()
    return server, address


CLOSE = b"Connection: close\r\n"  # no client may try once more on a connection that is being closed
ANSWERS = {
    "none": (None, "timed out"), "busy": (b"HTTP/1.1 503 Busy\r\n" + CLOSE + b"Content-Length: 0\r\n\r\n", "503 Busy"),
    "empty": (b"", ""), "nonsense": (b"nonsense\r\n\r\n", ""), "closed": ("closed", "Connection refused"),
    "nothing in it": (b"HTTP/1.1 200 OK\r\n" + CLOSE + b"Content-Length: 2\r\n\r\n{}", ""),
}  # fmt: skip


@pytest.mark.parametrize(("answer", "words"), ANSWERS.values(), ids=ANSWERS)
def test_a_hub_that_does_not_answer(place, capfd, monkeypatch, answer, words):
    server, address = serving(answer)
    monkeypatch.setattr(texts, "HUB_TIMEOUT", 1)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    begun = time.monotonic()
    line = refused(command(model="gpt2"), capfd, "openai-community/gpt2 could not be fetched from the hub (")
    assert words in line and time.monotonic() - begun < 30
    assert not (place / "run").exists()
    server.close()


def test_a_hub_that_answers(place, monkeypatch):
    def download(repository, local_files_only=False, **_):
        if local_files_only:
            raise FileNotFoundError
        return place / "model"

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    monkeypatch.setattr(huggingface_hub.HfApi, "repo_info", lambda *_, timeout, **__: timeout)
    assert texts.model_folder("gpt2") == place / "model"
    (place / "model" / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match="openai-community/gpt2 lacks one of config.json, model.safetensors"):
        texts.model_folder("gpt2")


def test_offline_means_offline_and_an_incomplete_cache_is_not_taken_for_a_model(place, capfd, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    refused(command(model="gpt2"), capfd, "HF_HUB_OFFLINE keeps the hub switched off")
    snapshot = cached(place, "model", texts.GPT2, save_model)
    assert main(command(model="gpt2")) == 0 and (place / "run" / "model.safetensors").exists()
    capfd.readouterr()
    (snapshot / "model.safetensors").unlink()
    refused(command(model="gpt2", out="other"), capfd, "is not in the cache")


@pytest.mark.slow
def test_one_line_from_a_real_shell_too(damaged):
    real = [sys.executable, "-m", "emo_teach", *command(model="cut")]
    done = subprocess.run(real, capture_output=True, text=True, timeout=120, env=os.environ)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and "cannot be loaded" in done.stderr


def test_without_torch_the_extra_is_named(place, capfd, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("emo_teach.finetune")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "transformers", None)
    refused(command(), capfd, 'transformers, which is not installed: in the project\'s folder, pip install ".[torch]"')
