import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from codesign.nn import registry

sys.path.insert(0, str(Path(__file__).parent))  # for `tiny`, which is a script too

import tiny


@pytest.fixture
def tiny_space() -> Iterator[None]:
    """`nasbench201` is the tiny space while a test runs."""
    before = dict(registry._SPACES)
    tiny.register()
    yield
    registry._SPACES.clear()
    registry._SPACES.update(before)
