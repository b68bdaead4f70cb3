"""Importing stays light: the heavy libraries are loaded by what uses them."""

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "transformers", "ot", "matplotlib", "ipywidgets", "tensorflow", "jax", "safetensors", "gguf")


def loaded(code):
    """The heavy modules in memory after running `code` in a fresh interpreter."""
    report = f"{code}\nimport sys\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", report], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout.split()


@pytest.mark.parametrize(
    "code",
    [
        "import emo_teach",
        "from emo_teach import costs, divergences, transport, verify",
        "import emo_teach; emo_teach.divergences.kl([1, 0], [.5, .5])",
        "import emo_teach.__main__",
        "import emo_teach.words",
    ],
)
def test_nothing_heavy_is_loaded(code):
    assert loaded(code) == []


def test_transport_loads_pot_without_its_backends_and_leaves_the_environment_as_it_was(monkeypatch):
    for key in [key for key in os.environ if key.startswith("POT_")]:
        monkeypatch.delenv(key)
    call = "from emo_teach import transport; transport.emd([1], [1], [[0]])"
    assert loaded(f"import os; old = dict(os.environ); {call}; assert dict(os.environ) == old") == ["ot"]


def test_submodules_are_listed_and_unknown_names_refused():
    import emo_teach

    assert {"costs", "transport", "verify"} <= set(dir(emo_teach))
    with pytest.raises(AttributeError, match="'nonsense'"):
        emo_teach.nonsense  # noqa: B018
