"""Workloads and configurations as columns: one float64 array per field, one row per value.

Everything behind these tables (closed form, features, prediction) is array arithmetic, so that
U workloads x C configurations cost U + C small Python steps and no step per pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.blocking import Blocking
from codesign.kernels.bound import MULTIPLY_CYCLES, pixels_read, plane_taps, reads
from codesign.kernels.constants import default_bias_tiles
from codesign.kernels.pool import (
    identity_copies,
    max_work,
    maxima,
    runs,
    valid_counts,
)
from codesign.kernels.window import axes
from codesign.kernels.workload import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    Workload,
    shift_steps,
)

Floats: TypeAlias = NDArray[np.float64]
Columns: TypeAlias = Mapping[str, Floats]

SPANS = range(2, 8)
"""log2 of the channel groups that columns ``spans_k`` count."""

WORKLOAD_COLUMNS: tuple[str, ...] = (
    *("is_conv", "is_max_pool", "is_avg_pool", "is_elementwise", "is_gather", "operands"),
    *("in_channels", "out_channels", "height", "width", "out_height", "out_width"),
    *("kernel_height", "kernel_width", "stride_height", "stride_width"),
    *("pad_top", "pad_left", "pad_bottom", "pad_right", "in_border", "out_border", "bias_tiles"),
    # Convolution groups; pixels from the first tap to the last; input grown by (transposed
    # convolution, or pixels repeated by a gather), and its phases; a residual; multipliers. Runs
    # of consecutive channels that a gather picks; useful multiply-accumulates.
    *("groups", "reach_height", "reach_width", "up_height", "up_width", "phases"),
    *("residual", "multiply", "pick_runs", "macs"),
    # Channel groups of 2^k, of the input: those that each output group of a convolution's groups
    # reads, in all; those that a gather reads.
    *(f"spans_{k}" for k in SPANS),
    # Whole-plane counts of one output channel block: GEMM micro-ops (convolution and gather: per
    # input block it reads; else per input sub-block), ALU and reset cycles without bias,
    # accumulators.
    *("plane_gemm", "plane_alu", "plane_outputs"),
    # The first two in the other forms of a max pooling (`codesign.kernels.pool.MaxForm`).
    *("rows_gemm", "rows_alu", "taps_gemm", "taps_alu"),
    # Runs of rows and of columns whose windows have the same taps (average pooling); register
    # maxima along a row and along a column, and taps of all windows along them that no padding
    # takes (max pooling).
    *("row_runs", "col_runs", "row_maxima", "column_maxima", "row_taps", "column_taps"),
    # Scaled identities (gather: sources) and biases that a unit without weights keeps; GEMM and
    # ALU instructions a tile; whether only every stride-th input row is loaded.
    # Input pixels of one channel group that some output reads, all operands.
    *("identities", "identity_biases", "tile_instructions", "sampled_rows", "pixels_read"),
)

CONFIG_COLUMNS: tuple[str, ...] = (
    *("batch", "block_in", "block_out", "bus_bytes", "burst_bytes"),
    *("read_latency", "write_address_latency", "write_response_latency", "outstanding_reads"),
    *("uop_depth", "inp_depth", "wgt_depth", "acc_depth"),
    *("inp_bytes", "wgt_bytes", "acc_bytes", "out_bytes", "uop_bytes", "instruction_bytes"),
    *("default_bias_tiles", "kernels_fit", "has_mul"),
    *("flow_auto", "flow_ws", "flow_os", "flow_is", "flow_rs"),
)


def workload_columns(workloads: Sequence[Workload]) -> dict[str, Floats]:
    """Columns ``WORKLOAD_COLUMNS``, each float64[U]; fields a kind lacks are 0."""
    return _columns([_workload_row(w) for w in workloads], WORKLOAD_COLUMNS)


def config_columns(configs: Sequence[VtaConfig]) -> dict[str, Floats]:
    """Columns ``CONFIG_COLUMNS``, each float64[C]; sizes of elements and bursts in bytes."""
    return _columns([_config_row(c) for c in configs], CONFIG_COLUMNS)


def take(columns: Columns, rows: NDArray[np.intp]) -> dict[str, Floats]:
    """The columns at ``rows``: turns a table of unique values into a table of pairs."""
    return {name: values[rows] for name, values in columns.items()}


def grid(workloads: Columns, configs: Columns) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Shapes [U, 1] and [1, C], which broadcast to every pair."""
    return (
        {name: values[:, None] for name, values in workloads.items()},
        {name: values[None, :] for name, values in configs.items()},
    )


def _columns(rows: list[tuple[float, ...]], names: tuple[str, ...]) -> dict[str, Floats]:
    table: Floats = np.array(rows or np.empty((0, len(names))), dtype=np.float64)
    return {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(names)}


def _workload_row(w: Workload) -> tuple[float, ...]:
    shape = (w.height, w.width, w.out_height, w.out_width)
    match w:
        case ConvWorkload():
            kind, channels = (1, 0, 0, 0, 0, 1), (w.in_channels, w.out_channels)
            window = (*w.kernel, *w.stride, *w.padding)
            borders = (w.in_border, w.out_border, w.bias_tiles)
            form = (
                w.groups,
                *w.reach,
                *w.up,
                w.up[0] * w.up[1],
                w.residual_border is not None,
                w.multiply,
                0,
            )
        case PoolWorkload():
            kind = (0, int(w.kind == "max"), int(w.kind == "avg"), 0, 0, 1)
            channels, window = (w.channels, w.channels), (*w.kernel, *w.stride, *w.padding)
            borders = (w.in_border, w.out_border, 0)
            form = (1, *w.kernel, 1, 1, 1, 0, 0, 0)
        case ElementwiseWorkload():
            kind, channels = (0, 0, 0, 1, 0, w.operands), (w.channels, w.channels)
            window = (1, 1, 1, 1, 0, 0, 0, 0)
            borders = (max(w.in_borders[: w.operands], default=0), w.out_border, 0)
            form = (1, 1, 1, 1, 1, 1, 0, 0, 0)
        case GatherWorkload():
            kind, channels = (0, 0, 0, 0, 1, 1), (len(set(w.picks)), len(w.picks))
            window = (1, 1, 1, 1, *w.padding)
            borders = (max(w.in_borders, default=0), w.out_border, 0)
            form = (1, 1, 1, *w.repeat, 1, 0, 0, _runs(w))
    gemm, alu, outputs, *rest = _plane(w)
    counts = (1, 1, 0, 0, 0, 0)
    forms = (gemm, alu) * 2
    if isinstance(w, PoolWorkload) and w.kind == "max":
        work = max_work(w)
        forms = (*work["rows"], *work["taps"])
        counts = (1, 1, *_along(w, 1), *_along(w, 0))
        counts = (1, 1, counts[2], counts[4], counts[3], counts[5])
    elif isinstance(w, PoolWorkload):
        vertical, horizontal = axes(w)
        found = (runs(vertical, 0, w.out_height), runs(horizontal, 0, w.out_width))
        counts = (*map(len, found), 0, 0, 0, 0)
    plane = (gemm, alu, outputs, *forms, *counts, *rest)
    spans = (_spans(w, 1 << k) for k in SPANS)
    return (*kind, *channels, *shape, *window, *borders, *form, w.macs, *spans, *plane)


def _along(w: PoolWorkload, axis: int) -> tuple[int, int]:
    """Register maxima of neighbours along an axis, and taps of all windows along it."""
    found = runs(axes(w)[axis], 0, (w.out_height, w.out_width)[axis])
    return maxima(w.kernel[axis], w.stride[axis]), sum(
        (r.stop - r.start) * (r.hi - r.lo) for r in found
    )


def _spans(w: Workload, size: int) -> int:
    if isinstance(w, ConvWorkload) and w.groups > 1:
        return reads(w, Blocking(size, size))
    if isinstance(w, GatherWorkload):
        return len({(source, channel // size) for source, channel in w.picks})
    return 0


def _runs(w: GatherWorkload) -> int:
    """Runs of consecutive channels of one source among the picks."""
    pairs = zip(w.picks, w.picks[1:], strict=False)
    return 1 + sum((a[0], a[1] + 1) != b for a, b in pairs)


def _plane(w: Workload) -> tuple[float, ...]:
    """The derived columns, in their order."""
    outputs, read = w.out_height * w.out_width, pixels_read(w)
    if isinstance(w, ElementwiseWorkload):
        products, alu = w.digits * w.operands, (2 + shift_steps(w) + w.digits) * outputs
        biases = min(w.digits, 2)
        return (w.digits * read, alu, outputs, products, biases, 3 + w.digits, 0, read)
    if isinstance(w, GatherWorkload):
        kept = read * w.repeat[0] * w.repeat[1]
        gemm, alu = w.digits * min(kept, outputs), (2 + shift_steps(w) + w.digits) * outputs
        return (gemm, alu, outputs, w.digits * len(w.channels), 0, 3 + w.digits, 0, read)
    if isinstance(w, ConvWorkload):
        padded = w.padding[0] or w.padding[2] or w.in_border
        sampled = w.kernel[0] == 1 and w.stride[0] > 1 and not padded and w.up[0] == 1
        residual = w.residual_border is not None
        cycles = (MULTIPLY_CYCLES if w.multiply else 4) + residual
        instructions = 5 + 2 * residual + (10 if w.multiply else 0)
        return (plane_taps(w), cycles * outputs, outputs, residual, 0, instructions, sampled, read)
    if w.kind == "max":
        return (*max_work(w)["copied"], outputs, 2, 0, 0, 0, read)
    vertical, horizontal = axes(w)
    regions = [
        ((y.stop - y.start) * (x.stop - x.start), (y.hi - y.lo) * (x.hi - x.lo))
        for y in runs(vertical, 0, w.out_height)
        for x in runs(horizontal, 0, w.out_width)
    ]
    gemm = w.digits * sum(count * taps * identity_copies(w, taps) for count, taps in regions)
    counts = valid_counts(w)
    copies = sum(identity_copies(w, taps) for taps in counts)
    alu = (2 + shift_steps(w) + w.digits) * outputs
    instructions = 2 + shift_steps(w) + w.digits
    biases = min(w.digits, 2) * len(counts)
    return (gemm, alu, outputs, w.digits * copies, biases, instructions, 0, read)


def _config_row(c: VtaConfig) -> tuple[float, ...]:
    square = c.batch == 1 or c.block_in == c.block_out
    widths = (c.inp_bits, c.wgt_bits, c.acc_bits) == (8, 8, 32)
    return (
        *(c.batch, c.block_in, c.block_out, c.bus_bits // 8, c.burst_bytes),
        *(c.read_latency, c.write_address_latency, c.write_response_latency, c.outstanding_reads),
        *(c.uop_depth, c.inp_depth, c.wgt_depth, c.acc_depth),
        *(c.inp_element_bytes, c.wgt_element_bytes, c.acc_element_bytes, c.out_element_bytes),
        *(c.uop_bytes, c.instruction_bytes, default_bias_tiles(c), square and widths, c.has_mul),
        *(c.dataflow == flow for flow in ("auto", "ws", "os", "is", "rs")),
    )
