"""Settings of the whole test suite."""

from __future__ import annotations

from hypothesis import settings

# Shared machines stall now and then: an example is judged by its result, not by its time.
settings.register_profile("codesign", deadline=None)
settings.load_profile("codesign")
