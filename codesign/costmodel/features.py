"""Fixed-length features of (workload, configuration) pairs, array in, array out.

Nothing here identifies a layer, a network or a configuration: a model can only use what would
mean the same on an accelerator it has never seen. Trees do not care for monotone scales, so sizes
stay as they are; ratios are spelled out because trees cannot divide.
"""

from __future__ import annotations

from dataclasses import fields
from functools import cache

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.arrays import Array, Arrays, Columns, Exact
from codesign.costmodel.closed_form import Bound, bound
from codesign.costmodel.demand import Blocks, blocks
from codesign.costmodel.pair_tables import FEW, pair_tables, recorded
from codesign.costmodel.tape import Recorder, Tape
from codesign.costmodel.tilings import Tiling
from codesign.costmodel.work import Work, work

FEATURES: dict[str, str] = {
    "is_conv": "1 for a convolution or dense layer",
    "is_max_pool": "1 for a max pooling",
    "is_avg_pool": "1 for an average pooling",
    "is_gather": "1 for a gather of channels (concat, split, shuffle, upsampling, pad, crop)",
    "operands": "tensors read: 2 for a residual addition, else 1",
    "in_channels": "input channels",
    "out_channels": "output channels",
    "height": "input rows",
    "width": "input columns",
    "out_height": "output rows",
    "out_width": "output columns",
    "kernel_height": "window rows",
    "kernel_width": "window columns",
    "stride_height": "window step, rows",
    "stride_width": "window step, columns",
    "padding": "padded rows and columns, all sides",
    "groups": "groups of a convolution",
    "reach_height": "rows from the first tap of a window to the last",
    "reach_width": "columns from the first tap of a window to the last",
    "up_height": "rows that a transposed convolution or an upsampling makes of one",
    "up_width": "columns that a transposed convolution or an upsampling makes of one",
    "residual": "1 where a second tensor is added to a convolution",
    "multiply": "1 for requantisation with a multiplier a channel",
    "pick_runs": "runs of consecutive channels that a gather picks",
    "bias_tiles": "weight tiles that carry one bias",
    "batch": "BATCH",
    "block_in": "BLOCK_IN",
    "block_out": "BLOCK_OUT",
    "block_ratio": "BLOCK_IN / BLOCK_OUT",
    "bus_bytes": "memory bus, bytes per beat",
    "burst_bytes": "longest burst, bytes",
    "read_latency": "cycles from request to first beat",
    "write_latency": "cycles a write burst waits for its address and response",
    "outstanding_reads": "read bursts in flight",
    "uop_depth": "micro-op buffer, micro-ops",
    "inp_depth": "input buffer, elements",
    "wgt_depth": "weight buffer, elements",
    "acc_depth": "accumulators, elements",
    "instruction_bytes": "16 (vta encoding) or 32 (wide)",
    "flow_auto": "1 if the schedule chooses the dataflow",
    "flow_ws": "1 for weight-stationary",
    "flow_os": "1 for output-stationary",
    "flow_is": "1 for input-stationary",
    "flow_rs": "1 for row-stationary",
    "burst_beats": "longest burst, beats",
    "in_blocks": "input channel blocks",
    "out_blocks": "output channel blocks",
    "in_fill": "share of the input lanes that carry channels",
    "out_fill": "share of the output lanes that carry channels",
    "reduction": "GEMM micro-ops per accumulator element",
    "useful_macs": "multiply-accumulates of the layer",
    "padded_macs": "multiply-accumulates with channels rounded up to blocks",
    "gemm_cycles": "GEMM micro-ops",
    "alu_cycles": "cycles of register reset and ALU micro-ops",
    "inp_bytes": "input bytes that some output reads, each once",
    "wgt_bytes": "weight bytes, each once",
    "out_bytes": "output bytes",
    "inp_element_beats": "bus beats of one input element",
    "wgt_element_beats": "bus beats of one weight element",
    "out_element_beats": "bus beats of one output element",
    "inp_occupancy": "input elements / input buffer",
    "wgt_occupancy": "weight elements / weight buffer",
    "acc_occupancy": "accumulator elements / accumulators",
    "column_occupancy": "accumulator elements of one output channel block / accumulators",
    "row_occupancy": "accumulator elements of one output row / accumulators",
    "window_occupancy": "input elements under one row of windows / input buffer",
    "plane_occupancy": "input elements of one channel block / input buffer",
    "filter_occupancy": "weight elements of one output channel block / weight buffer",
    "row_uop_occupancy": "micro-ops of one accumulator element / micro-op buffer",
    "tile_roundup": "accumulator elements / (full accumulators needed), 1 = no remainder",
    "load_share": "LOAD cycles of the tiling / T0",
    "compute_share": "COMPUTE cycles of the tiling / T0",
    "store_share": "STORE cycles of the tiling / T0",
    "fetch_share": "fetch cycles of the tiling / T0",
    "fill_share": "fill cycles of the tiling / T0",
    "roofline_share": "lower bound / T0",
    "least_load_share": "compulsory read beats / T0",
    "least_compute_share": "GEMM and ALU cycles / T0",
    "least_store_share": "least STORE cycles / T0",
    "load_to_compute": "LOAD / COMPUTE cycles of the tiling",
    "store_to_compute": "STORE / COMPUTE cycles of the tiling",
    "alu_to_gemm": "ALU cycles / GEMM cycles",
    "load_cycles": "LOAD cycles of the tiling, request latencies exposed",
    "compute_cycles": "COMPUTE cycles of the tiling",
    "store_cycles": "STORE cycles of the tiling",
    "instructions": "instructions of the tiling",
    "inp_traffic": "input bytes that the tiling loads",
    "wgt_traffic": "weight bytes that the tiling loads",
    "traffic_beats": "bus beats of input and weight bytes that the tiling loads / T0",
    "operations_per_beat": "GEMM and ALU cycles / bus beats of all bytes, each once",
    "tile_rows": "output rows a tile of the closed form's tiling",
    "tile_cols": "its output columns a tile",
    "tile_share": "its accumulators a tile / accumulators",
    "channel_tiles": "its tiles over output channels",
    "spatial_tiles": "its tiles over output pixels",
    "chunks": "its steps a tile: chunks of the input channels, or of windows",
    "input_loads": "times it loads the input",
    "weight_loads": "times it loads the weights",
    "step_cycles": "its COMPUTE cycles a step",
    "step_load": "its LOAD cycles a step",
    "instructions_per_step": "its instructions a step",
    "cycles_per_tile": "T0 / tiles",
    "row_remainder": "output rows / (tiles of rows x rows a tile)",
    "column_remainder": "output columns / (tiles of columns x columns a tile)",
    "estimate": "T0, cycles",
}
"""Name -> meaning, in column order."""

FEATURE_NAMES: tuple[str, ...] = tuple(FEATURES)


def pair_features(
    w: Columns, c: Columns, threads: int = 1, room: int = 0
) -> tuple[NDArray[np.float32], Bound]:
    """Features float32[..., F + room] of pairs of columns that broadcast together, and their T0.
    The last ``room`` columns are the caller's to fill.

    Pairs that fit no tiling have an infinite T0; what would describe their tiling is 0.
    """
    t0 = bound(w, c, threads)
    shape, count = t0.cycles.shape, len(FEATURE_NAMES)
    # Written feature by feature: the values of one lie behind one another.
    out = np.empty((count + room, *shape), dtype=np.float32)
    if t0.cycles.size < FEW:
        # A unit without an output has no ratios; what is not finite is replaced by 0 below.
        with np.errstate(all="ignore"):
            for index, value in enumerate(_values(Exact(), w, c, t0.tiling)):
                out[index] = value
    else:
        tiling = np.stack([getattr(t0.tiling, f.name) for f in fields(Tiling)])
        pair_tables(w, c, shape).run(_tape(), tiling, out[:count])
    nothing = ~np.isfinite(t0.cycles)
    out[:count, nothing] = np.nan_to_num(out[:count, nothing], nan=0.0, posinf=0.0)
    return np.moveaxis(out, 0, -1), t0


@cache
def _tape() -> Tape:
    a = Recorder()
    t = Tiling(*(a.column("third", index) for index in range(len(fields(Tiling)))))
    return a.tape(_values(a, *recorded(a, {}, {}), t))


def _values(a: Arrays, w: Columns, c: Columns, t: Tiling) -> list[Array]:
    """Every feature, in the order of `FEATURES`."""
    b = blocks(a, w, c)
    amount = work(a, w, c, b)
    values = {
        **_shapes(w, c, b),
        **_amounts(w, c, b, amount),
        **_ratios(a, w, c, b, amount),
        **_modules(c, amount, t),
        **_tiling(a, w, c, amount, t),
    }
    return [values[name] for name in FEATURE_NAMES]


def _shapes(w: Columns, c: Columns, b: Blocks) -> dict[str, Array]:
    same_w = (
        *("is_conv", "is_max_pool", "is_avg_pool", "operands", "in_channels", "out_channels"),
        *("height", "width", "out_height", "out_width", "kernel_height", "kernel_width"),
        *("stride_height", "stride_width", "is_gather", "groups", "reach_height", "reach_width"),
        *("up_height", "up_width", "residual", "multiply", "pick_runs"),
    )
    same_c = (
        *("batch", "block_in", "block_out", "bus_bytes", "burst_bytes", "read_latency"),
        *("outstanding_reads", "uop_depth", "inp_depth", "wgt_depth", "acc_depth"),
        *("instruction_bytes", "flow_auto", "flow_ws", "flow_os", "flow_is", "flow_rs"),
    )
    return {
        **{name: w[name] for name in same_w},
        **{name: c[name] for name in same_c},
        "bias_tiles": b.bias_tiles * w["is_conv"],
        "padding": w["pad_top"] + w["pad_left"] + w["pad_bottom"] + w["pad_right"],
        "block_ratio": c["block_in"] / c["block_out"],
        "burst_beats": c["burst_bytes"] / c["bus_bytes"],
        "write_latency": c["write_address_latency"] + c["write_response_latency"],
    }


def _amounts(w: Columns, c: Columns, b: Blocks, amount: Work) -> dict[str, Array]:
    conv = w["is_conv"]
    useful = w["macs"] * c["batch"]
    lanes = c["block_in"] * c["block_out"] * c["batch"]
    return {
        "in_blocks": b.in_blocks,
        "out_blocks": b.out_blocks,
        "in_fill": w["in_channels"] / (b.in_blocks * c["block_in"]),
        "out_fill": w["out_channels"] / (b.out_blocks * c["block_out"]),
        "reduction": amount.gemm / amount.outputs,
        "useful_macs": useful,
        "padded_macs": conv * amount.gemm * lanes,
        "gemm_cycles": amount.gemm,
        "alu_cycles": amount.alu,
        "inp_bytes": amount.inputs * c["inp_bytes"],
        "wgt_bytes": amount.weights * c["wgt_bytes"],
        "out_bytes": amount.outputs * c["out_bytes"],
    }


def _ratios(a: Arrays, w: Columns, c: Columns, b: Blocks, amount: Work) -> dict[str, Array]:
    pixels = w["plane_outputs"]
    acc_share = amount.outputs / c["acc_depth"]
    return {
        "inp_element_beats": c["inp_bytes"] / c["bus_bytes"],
        "wgt_element_beats": c["wgt_bytes"] / c["bus_bytes"],
        "out_element_beats": c["out_bytes"] / c["bus_bytes"],
        "inp_occupancy": amount.inputs / c["inp_depth"],
        "wgt_occupancy": amount.weights / c["wgt_depth"],
        "acc_occupancy": acc_share,
        "column_occupancy": pixels / c["acc_depth"],
        "row_occupancy": w["out_width"] * b.out_blocks / c["acc_depth"],
        "window_occupancy": w["kernel_height"] * w["width"] * b.in_blocks / c["inp_depth"],
        "plane_occupancy": w["height"] * w["width"] / c["inp_depth"],
        "filter_occupancy": amount.weights / b.out_blocks / c["wgt_depth"],
        "row_uop_occupancy": amount.gemm / amount.outputs / c["uop_depth"],
        "tile_roundup": acc_share / a.ceil(acc_share),
    }


def _modules(c: Columns, amount: Work, t: Tiling) -> dict[str, Array]:
    cycles = t.cycles
    inp = t.input_loads * (amount.inputs * c["inp_bytes"])
    wgt = t.weight_loads * (amount.weights * c["wgt_bytes"])
    beats = amount.load + amount.outputs * (c["out_bytes"] / c["bus_bytes"])
    return {
        "load_share": t.load / cycles,
        "compute_share": t.compute / cycles,
        "store_share": t.store / cycles,
        "fetch_share": t.fetch / cycles,
        "fill_share": t.fill / cycles,
        "roofline_share": amount.roofline / cycles,
        "least_load_share": amount.load / cycles,
        "least_compute_share": amount.compute / cycles,
        "least_store_share": amount.store / cycles,
        "load_to_compute": t.load / t.compute,
        "store_to_compute": t.store / t.compute,
        "alu_to_gemm": amount.alu / amount.gemm,
        "load_cycles": t.load,
        "compute_cycles": t.compute,
        "store_cycles": t.store,
        "instructions": t.instructions,
        "inp_traffic": inp,
        "wgt_traffic": wgt,
        "traffic_beats": (inp + wgt) / (c["bus_bytes"] * cycles),
        "operations_per_beat": amount.compute / beats,
        "estimate": cycles,
    }


def _tiling(a: Arrays, w: Columns, c: Columns, amount: Work, t: Tiling) -> dict[str, Array]:
    tiles = t.channel_tiles * t.spatial_tiles
    steps = tiles * t.chunks
    row_tiles = a.ceil(w["out_height"] / t.rows)
    col_tiles = a.ceil(w["out_width"] / t.cols)
    return {
        "tile_rows": t.rows,
        "tile_cols": t.cols,
        "tile_share": amount.outputs / (tiles * c["acc_depth"]),
        "channel_tiles": t.channel_tiles,
        "spatial_tiles": t.spatial_tiles,
        "chunks": t.chunks,
        "input_loads": t.input_loads,
        "weight_loads": t.weight_loads,
        "step_cycles": t.compute / steps,
        "step_load": t.load / steps,
        "instructions_per_step": t.instructions / steps,
        "cycles_per_tile": t.cycles / tiles,
        "row_remainder": w["out_height"] / (row_tiles * t.rows),
        "column_remainder": w["out_width"] / (col_tiles * t.cols),
    }
