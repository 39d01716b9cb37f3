"""Residual add and stand-alone requantisation: scaled identities summed in the accumulators."""

from __future__ import annotations

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import Memory
from codesign.kernels.blocking import Blocking, channel_tiles
from codesign.kernels.constants import ConstantMap, default_bias_tiles
from codesign.kernels.identity import identity_count, lane_dims
from codesign.kernels.layout import input_layouts, output_layout
from codesign.kernels.nest import Dim
from codesign.kernels.output import (
    SCRATCH,
    Requant,
    bias_rows,
    requantize,
    reset,
    stores,
    summed_gemm,
)
from codesign.kernels.schedule import Schedule, overflow, uop_capacity
from codesign.kernels.stream import Buffer, Ring, Step, UnitStream, load_row
from codesign.kernels.window import Axis, spatial_tiles, window, window_loads
from codesign.kernels.workload import ElementwiseWorkload


def emit_elementwise(
    workload: ElementwiseWorkload, cfg: VtaConfig, schedule: Schedule, numbers: Requant
) -> tuple[UnitStream, ConstantMap] | Infeasible:
    """The unit's steps, or the limit that the schedule breaks."""
    blocking = Blocking.of(cfg)
    sources, target = input_layouts(workload), output_layout(workload)
    vertical, horizontal = Axis(workload.height, 1, 1, 0), Axis(workload.width, 1, 1, 0)
    tiles = spatial_tiles(workload.height, workload.width, schedule.rows, schedule.cols)
    channels = channel_tiles(workload.channels, schedule.out_groups, blocking)
    pixels = schedule.rows * schedule.cols
    operand = max(c.groups for c in channels) * pixels * blocking.in_subs
    acc_slot = max(c.blocks for c in channels) * pixels + SCRATCH
    identities = identity_count(blocking)
    tiles_of_bias = default_bias_tiles(cfg)
    weights = workload.operands * identities + tiles_of_bias
    problem = overflow(
        ("inp_depth", schedule.inp_slots * workload.operands * operand + 1, cfg.inp_depth),
        ("acc_depth", schedule.acc_slots * acc_slot, cfg.acc_depth),
        ("wgt_depth", weights, cfg.wgt_depth),
    )
    if problem is not None:
        return problem
    constants = ConstantMap.of(cfg, [[weights]])
    stream = UnitStream(cfg, uop_capacity(cfg))
    ring = Ring(schedule.inp_slots, workload.operands * operand)
    constant = cfg.inp_depth - 1
    preload = [
        load_row(Memory.INP, constant, Buffer.CONSTANTS, constants.unit_element, 1),
        load_row(Memory.WGT, 0, Buffer.CONSTANTS, constants.weights[0][0], weights),
    ]
    last_store = [-1] * schedule.acc_slots
    for number, (part, tile) in enumerate((c, t) for c in channels for t in tiles):
        index = stream.next_step
        slot = number % schedule.acc_slots
        acc, count = slot * acc_slot, part.blocks * tile.pixels
        inp, _, wait = ring.use(number, index)
        step = Step(loads=preload, load_after=wait, start_after=last_store[slot])
        preload = []
        step.pre.append(reset(stream, acc, count + SCRATCH))
        view = window(vertical, horizontal, tile, 0)
        plane = tile.pixels * blocking.in_subs
        dims = (
            *lane_dims(blocking, part, tile.pixels * part.subs, plane),
            Dim(tile.pixels, part.subs, blocking.in_subs),
        )
        for k, source in enumerate(sources):
            groups = range(part.first, part.first + part.groups)
            src = inp + k * operand
            step.loads += window_loads(
                view, source, groups, blocking.in_subs, Buffer.INPUT + k, src, plane
            )
            rows = summed_gemm(stream, dims, count, acc, src, k * identities, acc + count)
            if isinstance(rows, Infeasible):
                return rows
            step.main += rows
        step.main += bias_rows(
            stream, (Dim(count, 1),), acc, constant, workload.operands * identities, tiles_of_bias
        )
        step.post = requantize(stream, acc, count, numbers)
        step.store = stores(acc, part, tile, target, blocking)
        last_store[slot] = stream.add(step)
        if stream.uop_count > stream.max_uops:
            return Infeasible("uop_depth", f"needs more than {stream.max_uops} micro-ops on chip")
    return stream, constants
