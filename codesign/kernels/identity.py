"""Identity GEMMs: how an input element enters the accumulators unchanged or scaled."""

from __future__ import annotations

from codesign.kernels.blocking import Blocking


def identity_count(blocking: Blocking) -> int:
    """Weight tiles of one scaled identity (`constants.identity_tiles`)."""
    return max(blocking.in_subs, blocking.out_subs)
