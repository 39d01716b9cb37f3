"""Lower bound on a unit's cycles: what no schedule can beat (DESIGN 6).

COMPUTE needs G + A E cycles: G GEMM micro-ops, E accumulator elements, A cycles an element:

* every unit: 5 = reset, bias, SHR, MAX, MIN (a bias of several tiles counts each);
* residual: 1 more SHR before the sum, and G grows by the identity that brings the residual in;
* multiply: MIN, MAX; a copy: reset, ADD, MUL, SHR; MUL, ADD of the copy, ADD of the offset, two
  SHR, MAX, MIN, all that read a register 2 cycles: 20, beside reset and bias;
* digits of multipliers: GEMMs and an SHR for each, another bias, another SHR at the end;
* groups: an output block reads the input blocks that its channels' groups cover;
* transposed: each output pixel reads the taps of its phase;
* max pool: the cheapest of the forms of `pool.MaxForm`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, prod

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking, ChannelTile, input_ranges
from codesign.kernels.constants import default_bias_tiles
from codesign.kernels.identity import identity_count
from codesign.kernels.layout import output_layout
from codesign.kernels.pool import identity_copies, max_work, runs, valid_counts
from codesign.kernels.selection import select
from codesign.kernels.window import axes
from codesign.kernels.workload import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    Workload,
    shift_steps,
)

MULTIPLY_CYCLES = 21
"""Reset and ALU cycles an element of the epilogue with multipliers, bias apart."""
SCALING_ROWS = 5
"""ACC elements of an output block that hold `ConvParams.scaling`."""


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


@dataclass(frozen=True)
class _Demand:
    """GEMM micro-ops, other COMPUTE cycles, weight tiles, and bytes beside weights."""

    gemm: int
    alu: int
    tiles: int
    read: int


def reads(workload: ConvWorkload, blocking: Blocking) -> int:
    """Pairs of an output block and an input block that it reads."""
    w = workload
    return sum(map(len, input_ranges(w.in_channels, w.out_channels, w.groups, blocking)))


@lru_cache(maxsize=1 << 14)
def plane_taps(workload: ConvWorkload) -> int:
    """Taps of all output pixels of one channel; transposed: only those of the pixel's phase."""
    w = workload
    return prod(
        sum(len(_taps(axis, w, out)) for out in range(count))
        for axis, count in enumerate((w.out_height, w.out_width))
    )


@lru_cache(maxsize=1 << 14)
def pixels_read(workload: Workload) -> int:
    """Pixels of one channel group of one input that any output reads (elementwise: of all)."""
    w = workload
    if isinstance(w, ElementwiseWorkload):
        return w.operands * w.height * w.width
    if isinstance(w, GatherWorkload):
        return prod(len({p // w.repeat[axis] for p in _kept(w, axis)}) for axis in (0, 1))
    if isinstance(w, PoolWorkload):
        vertical, horizontal = axes(w)
        rows = vertical.positions_read(w.out_height)
        return rows * horizontal.positions_read(w.out_width)
    found = 1
    for axis, (extent, count) in enumerate(((w.height, w.out_height), (w.width, w.out_width))):
        read = {p for out in range(count) for p in _taps(axis, w, out)}
        found *= len([p for p in read if 0 <= p < extent])
    return found


def _taps(axis: int, w: ConvWorkload, out: int) -> list[int]:
    """Input positions, padding ones too, that an output position reads along an axis."""
    start = out * w.stride[axis] - w.padding[axis]
    grown = (start + tap * w.dilation[axis] for tap in range(w.kernel[axis]))
    return [p // w.up[axis] for p in grown if p % w.up[axis] == 0]


def _kept(w: GatherWorkload, axis: int) -> range:
    """Positions of the repeated plane that a gather's output shows along an axis."""
    extent = (w.height, w.width)[axis] * w.repeat[axis]
    before, after = w.padding[axis], w.padding[axis + 2]
    return range(max(0, -before), extent - max(0, -after))


def _demand(workload: Workload, cfg: VtaConfig) -> _Demand:
    blocking = Blocking.of(cfg)
    if isinstance(workload, ConvWorkload):
        return _conv(workload, blocking, cfg)
    if isinstance(workload, GatherWorkload):
        return _gather(workload, blocking, cfg)
    elements = _elements(workload, blocking)
    bias, identities = default_bias_tiles(cfg), identity_count(blocking)
    pixels = pixels_read(workload)
    read = _group_bytes(cfg) * blocking.groups(workload.channels) * pixels
    digits = workload.digits
    # reset, SHR, MAX, MIN; a left shift between two digits
    epilogue = (2 + shift_steps(workload) + digits) * elements
    bias *= min(digits, 2)
    if isinstance(workload, ElementwiseWorkload):
        gemm = digits * elements * workload.operands * blocking.in_subs
        tiles = digits * workload.operands * identities + bias
        return _Demand(gemm, epilogue + elements * bias, tiles, read)
    blocks = blocking.out_blocks(workload.channels)
    if workload.kind == "max":
        forms = [(g * blocking.in_subs, a) for g, a in max_work(workload).values()]
        gemm, alu = min(forms, key=sum)
        return _Demand(blocks * gemm, blocks * alu, 2 * identities, read)
    gemm = digits * blocks * blocking.in_subs
    gemm *= sum(o * taps * identity_copies(workload, taps) for o, taps in _pool_taps(workload))
    counts = valid_counts(workload)
    tiles = digits * identities * sum(identity_copies(workload, c) for c in counts) + bias * len(
        counts
    )
    return _Demand(gemm, epilogue + bias * elements, tiles, read)


def _group_bytes(cfg: VtaConfig) -> int:
    """Bytes of one pixel of one channel group."""
    return Blocking.of(cfg).group * cfg.batch


def _conv(w: ConvWorkload, blocking: Blocking, cfg: VtaConfig) -> _Demand:
    elements = _elements(w, blocking)
    out_blocks, pairs = blocking.out_blocks(w.out_channels), reads(w, blocking)
    gemm = pairs * plane_taps(w)
    alu = (MULTIPLY_CYCLES if w.multiply else 4) + w.bias_tiles
    tiles = pairs * w.kernel[0] * w.kernel[1] + out_blocks * w.bias_tiles * prod(w.phases)
    read = _group_bytes(cfg) * blocking.groups(w.in_channels) * pixels_read(w)
    if w.residual_border is not None:
        gemm += elements * blocking.in_subs
        alu += 1
        tiles += identity_count(blocking)
        read += elements * cfg.out_element_bytes
    if w.multiply:
        read += SCALING_ROWS * out_blocks * cfg.acc_element_bytes
    return _Demand(gemm, alu * elements, tiles, read)


def _gather(w: GatherWorkload, blocking: Blocking, cfg: VtaConfig) -> _Demand:
    elements, bias = _elements(w, blocking), default_bias_tiles(cfg) * min(w.digits, 2)
    whole = ChannelTile(0, blocking.groups(len(w.picks)), blocking.out_subs)
    selection = select(w, blocking, whole)
    terms = [term for block in selection.terms for term in block]
    gemm = w.digits * len(terms) * len(_kept(w, 0)) * len(_kept(w, 1))
    groups = {(term.source, term.block // blocking.in_subs) for term in terms}
    read = _group_bytes(cfg) * len(groups) * pixels_read(w)
    tiles = w.digits * len(selection.patterns) + bias * blocking.out_blocks(len(w.picks))
    alu = 2 + shift_steps(w) + w.digits + bias
    return _Demand(gemm, alu * elements, tiles, read)


@lru_cache(maxsize=1 << 16)
def lower_bound(workload: Workload, cfg: VtaConfig) -> Bound:
    """max(G + 5 E, read beats, store-module cycles, fetch) of one unit."""
    blocking = Blocking.of(cfg)
    demand = _demand(workload, cfg)
    bus = cfg.bus_bits // 8
    read = demand.read + demand.tiles * cfg.wgt_element_bytes
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
    return Bound(
        demand.gemm + demand.alu,
        ceil(read / bus),
        store,
        fetch,
        read + written,
        demand.gemm,
        elements,
    )


def utilization_ceiling(workload: Workload, cfg: VtaConfig) -> float:
    """Useful multiply-accumulates / (lower bound x PEs): no schedule has a higher utilization."""
    return workload.macs * cfg.batch / (lower_bound(workload, cfg).cycles * cfg.pes)
