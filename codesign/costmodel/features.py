"""Fixed-length features of (workload, configuration) pairs, array in, array out.

Nothing here identifies a layer, a network or a configuration: a model can only use what would
mean the same on an accelerator it has never seen. Trees do not care for monotone scales, so sizes
stay as they are; ratios are spelled out because trees cannot divide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.closed_form import Bound, bound, work
from codesign.costmodel.columns import Columns, Floats

FEATURE_VERSION = "1"
"""Changes whenever a feature is added, removed or computed differently."""

FEATURES: dict[str, str] = {
    "is_conv": "1 for a convolution or dense layer",
    "is_max_pool": "1 for a max pooling",
    "is_avg_pool": "1 for an average pooling",
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
    "in_blocks": "input channel blocks",
    "out_blocks": "output channel blocks",
    "in_fill": "share of the input lanes that carry channels",
    "out_fill": "share of the output lanes that carry channels",
    "reduction": "GEMM micro-ops per accumulator element",
    "useful_macs": "multiply-accumulates of the layer",
    "padded_macs": "multiply-accumulates with channels rounded up to blocks",
    "gemm_cycles": "GEMM micro-ops",
    "alu_cycles": "cycles of register reset and ALU micro-ops",
    "inp_bytes": "input bytes, each once",
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
    "load_share": "load cycles / T0 estimate",
    "compute_share": "compute cycles / T0 estimate",
    "store_share": "store cycles / T0 estimate",
    "fetch_share": "fetch cycles / T0 estimate",
    "read_bus_share": "read beats / T0 estimate",
    "fill_share": "fill and drain cycles / T0 estimate",
    "roofline_share": "roofline bound / T0 estimate",
    "load_to_compute": "load cycles / compute cycles",
    "store_to_compute": "store cycles / compute cycles",
    "read_bus_to_compute": "read beats / compute cycles",
    "alu_to_gemm": "ALU cycles / GEMM cycles",
    "tiles": "tiles of the closed form's best tiling",
    "input_reloads": "times the closed form loads the input",
    "weight_reloads": "times the closed form loads the weights",
    "cycles_per_tile": "T0 estimate / tiles",
    "estimate": "T0 estimate, cycles",
}
"""Name -> meaning, in column order."""

FEATURE_NAMES: tuple[str, ...] = tuple(FEATURES)


def pair_features(w: Columns, c: Columns) -> tuple[NDArray[np.float32], Bound]:
    """Features float32[..., F] of pairs of columns that broadcast together, and their T0."""
    t0 = bound(w, c)
    values = {**_shapes(w, c), **_amounts(w, c), **_ratios(w, c), **_modules(w, c, t0)}
    out = np.empty((*t0.cycles.shape, len(FEATURE_NAMES)), dtype=np.float32)
    for index, name in enumerate(FEATURE_NAMES):
        out[..., index] = values[name]
    return out, t0


def _shapes(w: Columns, c: Columns) -> dict[str, Floats]:
    same_w = (
        *("is_conv", "is_max_pool", "is_avg_pool", "operands", "in_channels", "out_channels"),
        *("height", "width", "out_height", "out_width", "kernel_height", "kernel_width"),
        *("stride_height", "stride_width", "bias_tiles"),
    )
    same_c = (
        *("batch", "block_in", "block_out", "bus_bytes", "burst_bytes", "read_latency"),
        *("outstanding_reads", "uop_depth", "inp_depth", "wgt_depth", "acc_depth"),
        *("instruction_bytes", "flow_auto", "flow_ws", "flow_os", "flow_is", "flow_rs"),
    )
    return {
        **{name: w[name] for name in same_w},
        **{name: c[name] for name in same_c},
        "padding": w["pad_top"] + w["pad_left"] + w["pad_bottom"] + w["pad_right"],
        "block_ratio": c["block_in"] / c["block_out"],
        "write_latency": c["write_address_latency"] + c["write_response_latency"],
    }


def _amounts(w: Columns, c: Columns) -> dict[str, Floats]:
    amount = work(w, c)
    in_blocks = np.ceil(w["in_channels"] / c["block_in"])
    out_blocks = np.ceil(w["out_channels"] / c["block_out"])
    return {
        "in_blocks": in_blocks,
        "out_blocks": out_blocks,
        "in_fill": w["in_channels"] / (in_blocks * c["block_in"]),
        "out_fill": w["out_channels"] / (out_blocks * c["block_out"]),
        "reduction": amount.gemm / amount.outputs,
        "useful_macs": amount.useful_macs,
        "padded_macs": amount.padded_macs,
        "gemm_cycles": amount.gemm,
        "alu_cycles": amount.alu,
        "inp_bytes": amount.inputs * c["inp_bytes"],
        "wgt_bytes": amount.weights * c["wgt_bytes"],
        "out_bytes": amount.outputs * c["out_bytes"],
        "alu_to_gemm": amount.alu / amount.gemm,
    }


def _ratios(w: Columns, c: Columns) -> dict[str, Floats]:
    amount = work(w, c)
    pixels = w["out_height"] * w["out_width"]
    out_blocks = amount.outputs / pixels
    in_blocks = np.ceil(w["in_channels"] / c["block_in"])
    acc_share = amount.outputs / c["acc_depth"]
    return {
        "inp_element_beats": c["inp_bytes"] / c["bus_bytes"],
        "wgt_element_beats": c["wgt_bytes"] / c["bus_bytes"],
        "out_element_beats": c["out_bytes"] / c["bus_bytes"],
        "inp_occupancy": amount.inputs / c["inp_depth"],
        "wgt_occupancy": amount.weights / c["wgt_depth"],
        "acc_occupancy": acc_share,
        "column_occupancy": pixels / c["acc_depth"],
        "row_occupancy": w["out_width"] * out_blocks / c["acc_depth"],
        "window_occupancy": w["kernel_height"] * w["width"] * in_blocks / c["inp_depth"],
        "plane_occupancy": w["height"] * w["width"] / c["inp_depth"],
        "filter_occupancy": amount.weights / out_blocks / c["wgt_depth"],
        "row_uop_occupancy": amount.gemm / amount.outputs / c["uop_depth"],
        "tile_roundup": acc_share / np.ceil(acc_share),
    }


def _modules(w: Columns, c: Columns, t0: Bound) -> dict[str, Floats]:
    return {
        "load_share": t0.load / t0.cycles,
        "compute_share": t0.compute / t0.cycles,
        "store_share": t0.store / t0.cycles,
        "fetch_share": t0.fetch / t0.cycles,
        "read_bus_share": t0.read_bus / t0.cycles,
        "fill_share": t0.fill / t0.cycles,
        "roofline_share": t0.roofline / t0.cycles,
        "load_to_compute": t0.load / t0.compute,
        "store_to_compute": t0.store / t0.compute,
        "read_bus_to_compute": t0.read_bus / t0.compute,
        "tiles": t0.tiles,
        "input_reloads": t0.input_reloads,
        "weight_reloads": t0.weight_reloads,
        "cycles_per_tile": t0.cycles / t0.tiles,
        "estimate": t0.cycles,
    }
