"""Fixed-length features of (workload, configuration) pairs, array in, array out.

Nothing here identifies a layer, a network or a configuration: a model can only use what would
mean the same on an accelerator it has never seen. Trees do not care for monotone scales, so sizes
stay as they are; ratios are spelled out because trees cannot divide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.closed_form import Bound, bound
from codesign.costmodel.columns import Columns, Floats
from codesign.costmodel.demand import Blocks

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
    b = t0.blocks
    # A unit without an output has no ratios; what is not finite is replaced by 0 below.
    with np.errstate(all="ignore"):
        values = {
            **_shapes(w, c, t0),
            **_amounts(w, c, b, t0),
            **_ratios(w, c, b, t0),
            **_modules(w, c, t0),
            **_tiling(w, c, t0),
        }
    # Written feature by feature: the values of one lie behind one another.
    count = len(FEATURE_NAMES)
    out = np.empty((count + room, *t0.cycles.shape), dtype=np.float32)
    for index, name in enumerate(FEATURE_NAMES):
        out[index] = values[name]
    nothing = ~np.isfinite(t0.cycles)
    out[:count, nothing] = np.nan_to_num(out[:count, nothing], nan=0.0, posinf=0.0)
    return np.moveaxis(out, 0, -1), t0


def _shapes(w: Columns, c: Columns, t0: Bound) -> dict[str, Floats]:
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
        "bias_tiles": t0.blocks.bias_tiles * w["is_conv"],
        "padding": w["pad_top"] + w["pad_left"] + w["pad_bottom"] + w["pad_right"],
        "block_ratio": c["block_in"] / c["block_out"],
        "burst_beats": c["burst_bytes"] / c["bus_bytes"],
        "write_latency": c["write_address_latency"] + c["write_response_latency"],
    }


def _amounts(w: Columns, c: Columns, b: Blocks, t0: Bound) -> dict[str, Floats]:
    conv = w["is_conv"]
    useful = w["macs"] * c["batch"]
    lanes = c["block_in"] * c["block_out"] * c["batch"]
    return {
        "in_blocks": b.in_blocks,
        "out_blocks": b.out_blocks,
        "in_fill": w["in_channels"] / (b.in_blocks * c["block_in"]),
        "out_fill": w["out_channels"] / (b.out_blocks * c["block_out"]),
        "reduction": t0.work.gemm / t0.work.outputs,
        "useful_macs": useful,
        "padded_macs": conv * t0.work.gemm * lanes,
        "gemm_cycles": t0.work.gemm,
        "alu_cycles": t0.work.alu,
        "inp_bytes": t0.work.inputs * c["inp_bytes"],
        "wgt_bytes": t0.work.weights * c["wgt_bytes"],
        "out_bytes": t0.work.outputs * c["out_bytes"],
    }


def _ratios(w: Columns, c: Columns, b: Blocks, t0: Bound) -> dict[str, Floats]:
    elements, pixels = t0.work, w["plane_outputs"]
    acc_share = elements.outputs / c["acc_depth"]
    return {
        "inp_element_beats": c["inp_bytes"] / c["bus_bytes"],
        "wgt_element_beats": c["wgt_bytes"] / c["bus_bytes"],
        "out_element_beats": c["out_bytes"] / c["bus_bytes"],
        "inp_occupancy": elements.inputs / c["inp_depth"],
        "wgt_occupancy": elements.weights / c["wgt_depth"],
        "acc_occupancy": acc_share,
        "column_occupancy": pixels / c["acc_depth"],
        "row_occupancy": w["out_width"] * b.out_blocks / c["acc_depth"],
        "window_occupancy": w["kernel_height"] * w["width"] * b.in_blocks / c["inp_depth"],
        "plane_occupancy": w["height"] * w["width"] / c["inp_depth"],
        "filter_occupancy": elements.weights / b.out_blocks / c["wgt_depth"],
        "row_uop_occupancy": elements.gemm / elements.outputs / c["uop_depth"],
        "tile_roundup": acc_share / np.ceil(acc_share),
    }


def _modules(w: Columns, c: Columns, t0: Bound) -> dict[str, Floats]:
    # Where nothing fits T0 is inf, and what is not finite is replaced by 0 later.
    with np.errstate(invalid="ignore", over="ignore"):
        cycles, t, least = t0.cycles, t0.tiling, t0.work
        inp = t.input_loads * (least.inputs * c["inp_bytes"])
        wgt = t.weight_loads * (least.weights * c["wgt_bytes"])
        beats = least.load + least.outputs * (c["out_bytes"] / c["bus_bytes"])
        return {
            "load_share": t.load / cycles,
            "compute_share": t.compute / cycles,
            "store_share": t.store / cycles,
            "fetch_share": t.fetch / cycles,
            "fill_share": t.fill / cycles,
            "roofline_share": least.roofline / cycles,
            "least_load_share": least.load / cycles,
            "least_compute_share": least.compute / cycles,
            "least_store_share": least.store / cycles,
            "load_to_compute": t.load / t.compute,
            "store_to_compute": t.store / t.compute,
            "alu_to_gemm": least.alu / least.gemm,
            "load_cycles": t.load,
            "compute_cycles": t.compute,
            "store_cycles": t.store,
            "instructions": t.instructions,
            "inp_traffic": inp,
            "wgt_traffic": wgt,
            "traffic_beats": (inp + wgt) / (c["bus_bytes"] * cycles),
            "operations_per_beat": least.compute / beats,
            "estimate": cycles,
        }


def _tiling(w: Columns, c: Columns, t0: Bound) -> dict[str, Floats]:
    with np.errstate(invalid="ignore", over="ignore"):
        t = t0.tiling
        tiles = t.channel_tiles * t.spatial_tiles
        steps = tiles * t.chunks
        row_tiles = np.ceil(w["out_height"] / t.rows)
        col_tiles = np.ceil(w["out_width"] / t.cols)
        return {
            "tile_rows": t.rows,
            "tile_cols": t.cols,
            "tile_share": t0.work.outputs / (tiles * c["acc_depth"]),
            "channel_tiles": t.channel_tiles,
            "spatial_tiles": t.spatial_tiles,
            "chunks": t.chunks,
            "input_loads": t.input_loads,
            "weight_loads": t.weight_loads,
            "step_cycles": t.compute / steps,
            "step_load": t.load / steps,
            "instructions_per_step": t.instructions / steps,
            "cycles_per_tile": t0.cycles / tiles,
            "row_remainder": w["out_height"] / (row_tiles * t.rows),
            "column_remainder": w["out_width"] / (col_tiles * t.cols),
        }
