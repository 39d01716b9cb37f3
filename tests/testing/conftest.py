"""Settings of this folder's tests."""

from tests.verified import verified_regions

__all__ = ["verified_regions"]
