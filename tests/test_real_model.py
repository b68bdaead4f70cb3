"""A real pretrained model on real English through the command line: a few steps of MLE and of EMO, in two precisions.

EMO_TEACH_SMOLLM2 names the folder with SmolLM2-135M's GGUF file, EMO_TEACH_REAL_TEXT a text file; `.ci/run real_model`
gets both.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import transformers

pytestmark = pytest.mark.real
CHARACTERS = 12_000  # enough for the steps below and a few held-out blocks
STEPS = 5  # few and short: a processor without products of bfloat16 gets through five tokens a second


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the model as safetensors, its tokenizer, and the beginning of the text."""
    place = tmp_path_factory.mktemp("real")
    source = Path(os.environ["EMO_TEACH_SMOLLM2"])
    (name,) = (path.name for path in source.glob("*.gguf"))
    read = transformers.AutoModelForCausalLM.from_pretrained(source, gguf_file=name)
    settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**settings))
    model.load_state_dict({key: value.float() for key, value in read.state_dict().items()})
    model.save_pretrained(place / "model")
    transformers.AutoTokenizer.from_pretrained(source, gguf_file=name).save_pretrained(place / "model")
    text = Path(os.environ["EMO_TEACH_REAL_TEXT"]).read_text(encoding="utf-8")
    assert len(text) >= CHARACTERS
    (place / "text").write_text(text[:CHARACTERS], encoding="utf-8")
    return place


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("objective", ["ce", "emo-mode-1"])
def test_the_held_out_value_falls(place, objective, precision):
    out = place / f"{objective}-{precision}"
    command = [sys.executable, "-m", "emo_teach", "finetune", "--model", place / "model", "--text", place / "text"]
    command += ["--objective", objective, "--out", out, "--precision", precision, "--steps", str(STEPS)]
    command += ["--batch", "2", "--block", "32", "--lr", "2e-4", "--log-every", "1", "--save-every", "100"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    history = json.loads((out / "history.json").read_text())
    losses = [entry["loss"] for entry in history if "loss" in entry]
    before, after = (entry["valid_loss"] for entry in history if "valid_loss" in entry)
    assert len(losses) == STEPS and np.isfinite(losses).all() and np.isfinite([before, after]).all()
    assert 2 < before < 5  # nats per token: it is a model that knows English, not random weights (ln 49,152 = 10.8)
    assert after < before
    trained = transformers.AutoModelForCausalLM.from_pretrained(out)
    assert all(p.isfinite().all() for p in trained.parameters())
