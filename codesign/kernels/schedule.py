"""`Schedule`: how one workload is cut into tiles and in which order they run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from codesign.hw.config import VtaConfig

FixedDataflow = Literal["os", "ws", "is", "rs"]

SCRATCH = 2
"""Accumulators that a slot may keep for partial sums of tiles with fewer than three outputs."""
REUSE_DISTANCE = 3
"""An accumulator index repeats after at least two other micro-ops (VTA_SPEC.md 7.3)."""
MAX_UOPS = 2048
"""Micro-ops one unit may use: the micro-op memory of upstream's RTL (VTA_SPEC.md 8)."""


@dataclass(frozen=True)
class Schedule:
    """Tile sizes, loop order and buffer slots.

    ``out_groups``/``in_groups`` are channel groups a tile (`Blocking.group` channels each);
    ``rows`` x ``cols`` output pixels a tile. ``co_major``: output channels outside, pixels
    inside. Slots count equal parts of INP, WGT and ACC that tiles take in turn. ``strip``
    (``rs``) is the number of row tiles whose input rows share one INP slot. ``kernel_rows`` are
    those of a convolution whose weights come at once, or of a pooling whose pixels do (0: all).
    ``alternate``: every second tile goes through its reduction backwards, so that what came in
    last serves twice.
    """

    dataflow: FixedDataflow
    rows: int
    cols: int
    out_groups: int
    in_groups: int
    co_major: bool
    inp_slots: int
    wgt_slots: int
    acc_slots: int
    strip: int = 1
    kernel_rows: int = 0
    alternate: bool = False


def uop_capacity(cfg: VtaConfig) -> int:
    """Micro-ops a unit may keep on chip."""
    return min(cfg.uop_depth, MAX_UOPS)
