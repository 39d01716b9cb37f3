"""Identity GEMMs: how an input element enters the accumulators unchanged or scaled."""

from __future__ import annotations

from codesign.kernels.blocking import Blocking, ChannelTile
from codesign.kernels.nest import Dim


def identity_count(blocking: Blocking) -> int:
    """Weight tiles of one scaled identity (`constants.identity_tiles`)."""
    return max(blocking.in_subs, blocking.out_subs)


def lane_dims(
    blocking: Blocking, channels: ChannelTile, dst_group: int, src_group: int
) -> tuple[Dim, ...]:
    """Loops over the groups and sub-blocks of a channel tile.

    ``dst_group``/``src_group`` are the elements of one group in ACC and INP. Output sub-blocks
    read the same input element through different tiles; input sub-blocks add up in one output.
    """
    return (
        Dim(channels.groups, dst_group, src_group),
        Dim(channels.subs, 1, 0, 1),
        Dim(blocking.in_subs, 0, 1, 1),
    )
