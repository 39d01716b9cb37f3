"""Lower bound on a unit's cycles: what no schedule can beat (DESIGN 6)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking
from codesign.kernels.constants import default_bias_tiles
from codesign.kernels.identity import identity_count
from codesign.kernels.layout import input_layouts, output_layout
from codesign.kernels.pool import identity_copies, runs, shift_steps, valid_counts
from codesign.kernels.window import axes
from codesign.kernels.workload import ConvWorkload, ElementwiseWorkload, PoolWorkload, Workload


@dataclass(frozen=True)
class Bound:
    """Cycles that each module needs at least; the unit needs the largest of them.

    ``dram_bytes`` are compulsory: inputs and weights read once, outputs written once.
    ``gemm_uops`` is G, ``elements`` is E of ``G + 5 E``.
    """

    compute: int
    load: int
    store: int
    fetch: int
    dram_bytes: int
    gemm_uops: int
    elements: int

    @property
    def cycles(self) -> int:
        return max(self.compute, self.load, self.store, self.fetch)


def _elements(workload: Workload, blocking: Blocking) -> int:
    layout = output_layout(workload)
    return blocking.out_blocks(layout.channels) * layout.height * layout.width


def _pool_taps(workload: PoolWorkload) -> list[tuple[int, int]]:
    """(outputs of one channel, valid taps) of every region."""
    vertical, horizontal = axes(workload)
    return [
        ((y.stop - y.start) * (x.stop - x.start), (y.hi - y.lo) * (x.hi - x.lo))
        for y in runs(vertical, 0, workload.out_height)
        for x in runs(horizontal, 0, workload.out_width)
    ]


def _compute(workload: Workload, blocking: Blocking, cfg: VtaConfig) -> tuple[int, int]:
    """(GEMM micro-ops, ALU and reset and bias cycles)."""
    elements = _elements(workload, blocking)
    epilogue = 4 * elements  # reset, SHR, MAX, MIN
    if isinstance(workload, ConvWorkload):
        taps = workload.kernel[0] * workload.kernel[1]
        gemm = elements * blocking.in_blocks(workload.in_channels) * taps
        return gemm, epilogue + elements * workload.bias_tiles
    if isinstance(workload, ElementwiseWorkload):
        gemm = elements * workload.operands * blocking.in_subs
        return gemm, epilogue + elements * default_bias_tiles(cfg)
    blocks = blocking.out_blocks(workload.channels)
    if workload.kind == "max":
        copied = blocks * _pixels_read(workload)
        maxima = sum(outputs * taps for outputs, taps in _pool_taps(workload))
        return copied * blocking.in_subs, copied + 2 * elements + 2 * blocks * maxima
    gemm = sum(
        outputs * taps * identity_copies(workload, taps) for outputs, taps in _pool_taps(workload)
    )
    extra = (shift_steps(workload) - 1 + default_bias_tiles(cfg)) * elements
    return gemm * blocks * blocking.in_subs, epilogue + extra


def _weight_tiles(workload: Workload, blocking: Blocking, cfg: VtaConfig) -> int:
    if isinstance(workload, ConvWorkload):
        out_blocks = blocking.out_blocks(workload.out_channels)
        taps = workload.kernel[0] * workload.kernel[1]
        reductions = blocking.in_blocks(workload.in_channels) * taps
        return out_blocks * (reductions + workload.bias_tiles)
    identities, bias = identity_count(blocking), default_bias_tiles(cfg)
    if isinstance(workload, ElementwiseWorkload):
        return workload.operands * identities + bias
    if workload.kind == "max":
        return identities
    counts = valid_counts(workload)
    return identities * sum(identity_copies(workload, c) for c in counts) + bias * len(counts)


def _pixels_read(workload: Workload) -> int:
    """Pixels of one input channel group that any output reads, over all operands."""
    if isinstance(workload, ElementwiseWorkload):
        return workload.operands * workload.height * workload.width
    vertical, horizontal = axes(workload)
    rows = vertical.positions_read(workload.out_height)
    return rows * horizontal.positions_read(workload.out_width)


@lru_cache(maxsize=1 << 16)
def lower_bound(workload: Workload, cfg: VtaConfig) -> Bound:
    """max(G + 5 E, read beats, store-module cycles, fetch) of one unit."""
    blocking = Blocking.of(cfg)
    gemm, alu = _compute(workload, blocking, cfg)
    bus = cfg.bus_bits // 8
    groups = blocking.groups(input_layouts(workload)[0].channels)
    read = groups * blocking.group * cfg.batch * _pixels_read(workload)
    read += _weight_tiles(workload, blocking, cfg) * cfg.wgt_element_bytes
    elements = _elements(workload, blocking)
    written = elements * cfg.out_element_bytes
    bursts = ceil(written / cfg.burst_bytes)
    per_burst = cfg.write_address_latency + cfg.write_response_latency
    if bus >= cfg.out_element_bytes:
        store = 1 + ceil(written / bus) + bursts * (per_burst + 2)
    else:
        store = 1 + ceil(written / bus) + elements + bursts * (per_burst + 1)
    least_instructions = 12
    fetch = 3 * least_instructions + cfg.read_latency
    return Bound(gemm + alu, ceil(read / bus), store, fetch, read + written, gemm, elements)
