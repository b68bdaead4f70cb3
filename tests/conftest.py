"""Settings for all tests: one thread per worker, the same hypothesis examples on every run, the longest tests first."""

import os

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


def pytest_collection_modifyitems(items):
    """Lessons first: what takes a minute must not be begun last."""
    items.sort(key=lambda item: not item.get_closest_marker("first"))
