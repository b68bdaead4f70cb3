"""All lessons run where there is no network at all: `.ci/run` starts this file inside an empty network namespace."""

from pathlib import Path

import pytest

from emo_teach.authoring import build

pytestmark = pytest.mark.isolated


def test_there_is_no_network():
    interfaces = {line.split(":")[0].strip() for line in Path("/proc/net/dev").read_text().splitlines()[2:]}
    assert interfaces == {"lo"}, f"this tier must run in a network namespace with nothing but lo, found {interfaces}"


@pytest.mark.parametrize("path", build.sources(), ids=lambda path: path.stem)
def test_lesson_runs_offline(path):
    build.execute(build.read_source(path))  # raises when a cell does
