"""Settings of the whole test suite."""

from __future__ import annotations

from hypothesis import settings

# Shared machines stall now and then: an example is judged by its result, not by its time. The
# same examples run every time; the `long` tests draw more.
settings.register_profile("codesign", deadline=None, derandomize=True)
settings.load_profile("codesign")
