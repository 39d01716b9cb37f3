"""T0: cycles of each module in closed form, over arrays of (workload, configuration) pairs.

Per pair, the cheapest of a few tilings: ``2**-k`` of the output channels stay in the accumulators
while the reduction runs (k = 0..6), over as many output pixels as half the accumulators hold.
Its reloads follow from the buffer sizes and the dataflow (DESIGN 4). Modules overlap perfectly,
except for the first tile's loads and the last tile's store. Formulas: VTA_TIMING.md 1-6.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Columns, Floats

_SPLITS = tuple(2.0**k for k in range(7))


@dataclass(frozen=True)
class Work:
    """What a pair must do whatever the schedule; arrays of the pairs' shape.

    Elements are VTA elements: ``inputs`` INP, ``weights`` WGT, ``outputs`` accumulators.
    ``gemm`` and ``alu`` are cycles (one micro-op per cycle; two for a register ALU operation).
    """

    inputs: Floats
    weights: Floats
    outputs: Floats
    gemm: Floats
    alu: Floats
    useful_macs: Floats
    padded_macs: Floats


@dataclass(frozen=True)
class Bound:
    """Cycles of each module, and what they stand for; arrays of the pairs' shape.

    ``load``: LOAD with request latencies; ``read_bus``: beats of all readers; ``roofline``: max of
    compulsory work alone, no schedule reaches less; ``cycles``: the T0 estimate, >= roofline.
    """

    load: Floats
    compute: Floats
    store: Floats
    fetch: Floats
    read_bus: Floats
    fill: Floats
    roofline: Floats
    cycles: Floats
    tiles: Floats
    channel_split: Floats
    input_reloads: Floats
    weight_reloads: Floats


def infeasible(w: Columns, c: Columns) -> NDArray[np.bool_]:
    """Pairs that no schedule can serve: BATCH > 1 with a rectangular core, or a buffer too small.

    False promises nothing: only the schedule generator knows.
    """
    rectangular = (c["batch"] > 1) & (c["block_in"] != c["block_out"])
    group = np.maximum(c["block_in"], c["block_out"])
    too_small = (
        (c["inp_depth"] < group / c["block_in"])
        | (c["acc_depth"] < group / c["block_out"])
        | (c["wgt_depth"] < 1)
    )
    shape = np.broadcast(w["height"], c["batch"]).shape
    return np.broadcast_to(rectangular | too_small, shape)


def work(w: Columns, c: Columns) -> Work:
    """Operations and compulsory elements of the pairs (columns broadcast against each other)."""
    ki, ko = c["block_in"], c["block_out"]
    conv, maximum = w["is_conv"] > 0, w["is_max_pool"] > 0
    pixels, taps = w["out_height"] * w["out_width"], w["kernel_height"] * w["kernel_width"]
    in_blocks = np.ceil(w["in_channels"] / ki)
    outputs = pixels * np.ceil(w["out_channels"] / ko)
    inputs = w["height"] * w["width"] * in_blocks * w["operands"]
    reduction = in_blocks * taps
    # An identity tile moves min(KI, KO) channels: KO/KI of them fill one accumulator element.
    copies = np.maximum(1.0, ko / ki)
    arriving = w["height"] * w["width"] * np.ceil(w["out_channels"] / ko)
    gemm = np.where(
        conv,
        outputs * (reduction + w["bias_tiles"]),
        np.where(maximum, copies * arriving, outputs * (copies * taps * w["operands"] + 1.0)),
    )
    # Reset, then SHR, MAX, MIN; a max pooling takes one register MAX per further tap.
    alu = np.where(maximum, outputs * (1.0 + 2.0 * np.maximum(taps - 1.0, 0.0)), 4.0 * outputs)
    columns = np.ceil(w["out_channels"] / ko)
    weights = np.where(conv, columns * (reduction + w["bias_tiles"]), copies * taps)
    useful = np.where(conv, pixels * taps * w["in_channels"] * w["out_channels"], 0.0)
    padded = np.where(conv, outputs * reduction * ki * ko, 0.0)
    shape = np.broadcast(inputs, outputs, gemm).shape
    full = [
        np.broadcast_to(values, shape)
        for values in (inputs, weights, outputs, gemm, alu, useful * c["batch"], padded * c["batch"])
    ]
    return Work(*full)


def bound(w: Columns, c: Columns) -> Bound:
    """T0 of the pairs; finite and positive, and never larger for a wider bus, a shorter latency
    or a deeper buffer."""
    amount = work(w, c)
    compute = amount.gemm + amount.alu
    store = _store_cycles(w, c, amount)
    compulsory = (amount.inputs * c["inp_bytes"] + amount.weights * c["wgt_bytes"]) / c["bus_bytes"]
    roofline = np.maximum(np.maximum(compute, store), compulsory)
    best = [np.full(roofline.shape, np.inf) for _ in range(8)]
    for split in _SPLITS:
        plan = _tiling(w, c, amount, compute, store, split)
        better = plan[0] < best[0]
        best = [np.where(better, new, old) for new, old in zip(plan, best, strict=True)]
    cycles, load, fetch, read_bus, fill, tiles, input_reloads, weight_reloads = best
    split = np.minimum(tiles, input_reloads)
    return Bound(
        load=load,
        compute=compute,
        store=store,
        fetch=fetch,
        read_bus=read_bus,
        fill=fill,
        roofline=roofline,
        cycles=np.maximum(cycles, roofline),
        tiles=tiles,
        channel_split=split,
        input_reloads=input_reloads,
        weight_reloads=weight_reloads,
    )


def _store_cycles(w: Columns, c: Columns, amount: Work) -> Floats:
    """STORE: elements one by one where KO < KI (strided), else rows of whole bursts."""
    total = amount.outputs * c["out_bytes"]
    whole = np.ceil(total / c["burst_bytes"])
    bursts = np.where(c["block_out"] < c["block_in"], amount.outputs, whole)
    narrow = c["out_bytes"] > c["bus_bytes"]
    beats = np.where(
        narrow,
        total / c["bus_bytes"] + amount.outputs,
        np.maximum(total / c["bus_bytes"], bursts),
    )
    overhead = c["write_address_latency"] + c["write_response_latency"] + np.where(narrow, 1.0, 2.0)
    return beats + bursts * overhead


def _tiling(
    w: Columns, c: Columns, amount: Work, compute: Floats, store: Floats, split: float
) -> tuple[Floats, ...]:
    """(cycles, load, fetch, read_bus, fill, tiles, input reloads, weight reloads) of one tiling."""
    pixels = w["out_height"] * w["out_width"]
    columns = np.maximum(amount.outputs / pixels, 1.0)
    tile_columns = np.ceil(columns / split)
    channel_tiles = np.ceil(columns / tile_columns)
    half_acc = c["acc_depth"] / 2.0
    pixel_tiles = np.maximum(1.0, pixels * tile_columns / half_acc)
    conv = w["is_conv"] > 0

    # What fits stays: a whole input or one channel tile's weights is loaded once.
    input_fits = amount.inputs <= c["inp_depth"]
    weights_fit = amount.weights / channel_tiles <= c["wgt_depth"]
    all_weights_fit = amount.weights <= c["wgt_depth"]
    input_reloads = np.where(conv & ~input_fits, channel_tiles, 1.0)
    weight_reloads = np.where(conv & ~weights_fit, pixel_tiles, 1.0)
    # Input-stationary: inputs once, weights again for each pixel tile.
    stationary_inputs = (c["flow_is"] > 0) & conv
    input_reloads = np.where(stationary_inputs, 1.0, input_reloads)
    weight_reloads = np.where(
        stationary_inputs & ~all_weights_fit, pixel_tiles, np.where(stationary_inputs, 1.0, weight_reloads)
    )
    tiles = channel_tiles * pixel_tiles

    inp_beats = amount.inputs * input_reloads * c["inp_bytes"] / c["bus_bytes"]
    wgt_beats = amount.weights * weight_reloads * c["wgt_bytes"] / c["bus_bytes"]
    loads = np.maximum(
        2.0 * tiles,
        np.maximum(
            amount.inputs * input_reloads / (c["inp_depth"] / 2.0),
            amount.weights * weight_reloads / (c["wgt_depth"] / 2.0),
        ),
    )
    load = inp_beats + wgt_beats + loads * (c["read_latency"] + 5.0)
    instructions = loads + 6.0 * tiles + 2.0
    beats_each = c["instruction_bytes"] / c["bus_bytes"]
    chunk = np.maximum(c["burst_bytes"] / c["instruction_bytes"], 1.0)
    fetch = instructions * (beats_each + 1.0) + np.ceil(instructions / chunk) * (
        c["read_latency"] + 8.0
    )
    read_bus = inp_beats + wgt_beats + instructions * beats_each
    fill = (inp_beats + wgt_beats) / np.maximum(loads, 1.0) + store / tiles + c["read_latency"]
    slowest = np.maximum(np.maximum(load, compute), np.maximum(store, np.maximum(fetch, read_bus)))
    cycles = slowest + fill
    return cycles, load, fetch, read_bus, fill, tiles, input_reloads, weight_reloads
