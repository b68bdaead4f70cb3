"""Settings for all tests: one thread per worker, the same hypothesis examples on every run, the longest tests first.

A card is hidden from all tests but those with the marker `cuda`: the others compare with numbers of a CPU.
"""

import os
import re

import pytest

# The workers share the cores between them, and so do the kernels that they start.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import HealthCheck, settings  # noqa: E402

settings.register_profile(
    "fixed",
    derandomize=True,
    deadline=None,
    max_examples=40,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fixed")


def pytest_configure(config):
    """Hide the card, or stop where there is none and its tests are asked for: a missing tool is no pass."""
    if not re.search(r"(?<!not )\bcuda\b", config.option.markexpr or ""):
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        return
    import torch

    if not torch.cuda.is_available():
        raise pytest.UsageError(f"-m cuda needs a GPU that torch can use; torch {torch.__version__} finds no card")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    """The first line of a run on a card: what it is, and the precision that `finetune` takes by itself."""
    config = session.config
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or hasattr(config, "workerinput"):
        return
    import torch

    from emo_teach.finetune.run import check_precision

    if torch.cuda.is_available():
        card, capability = torch.cuda.get_device_name(), ".".join(map(str, torch.cuda.get_device_capability()))
        line = f"{card}, capability {capability}, torch {torch.__version__}, precision {check_precision(None)}"
        config.pluginmanager.get_plugin("terminalreporter").write_line(line)


def pytest_collection_modifyitems(items):
    """Lessons first: what takes a minute must not be begun last."""
    items.sort(key=lambda item: not item.get_closest_marker("first"))
