"""A fixture for folders whose tests compile: their ``conftest.py`` imports it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest


@pytest.fixture(autouse=True, scope="session")
def verified_regions() -> Iterator[None]:
    """Every region that a test compiles is held against the integer reference at all levels."""
    from codesign.compiler.compose import ComposedRegion, compose_region
    from codesign.compiler.verify import verify_exactly

    def verified(*arguments: Any, **options: Any) -> ComposedRegion:
        region = compose_region(*arguments, **options)
        verify_exactly(region)
        return region

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(import_module("codesign.compiler.pipeline"), "compose_region", verified)
        yield
