"""Cycles of a unit whose tiles pass LOAD, COMPUTE and STORE: the one formula of T0.

Written against `arrays.Arrays`, so that the same lines run on numpy arrays (exact) and on torch
tensors (differentiable).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from codesign.costmodel.arrays import Array, Arrays, Columns
from codesign.costmodel.constants import Constants

GEMM_OVERHEAD = 7.0
"""Cycles of a GEMM or ALU instruction beside its micro-ops (VTA_TIMING.md 4, 5)."""
LOAD_OVERHEAD = 5.0
"""Cycles of a LOAD beside latency and beats (VTA_TIMING.md 3)."""
FETCH = 3.3
"""Cycles an instruction takes to fetch: 3, and a share of its chunk's (VTA_TIMING.md 1)."""
START = 3.0
"""Cycles from launch to the first instruction, the read of its chunk apart (VTA_TIMING.md 1).

Beside it come one request latency for the chunk and one for the constant input element. Two more,
for micro-ops and for operands, would be plausible: LOAD hides them. On 458 small units of a single
tile, T2 - T0 falls by 0.7 +- 0.1 cycles a cycle of latency as it is, by 2.7 with both."""
AHEAD = 6.0
"""Slots of a buffer that LOAD may run ahead by: more are hardly ever used by schedules."""


@dataclass(frozen=True)
class Stages:
    """What a tiling asks of the three modules; a tile is the output of one or more steps.

    ``heavy`` of the ``tiles`` bring in the operand that stays for the others. A tile has ``chunks``
    steps, its input comes in ``parts``. ``inp``, ``wgt``: LOAD cycles of a tile's input and of its
    weights; ``heavy_load``, ``light_load``: of the two sorts of tiles; ``load``: of all;
    ``inp_after``, ``wgt_after``: of what follows the first step's input and weights. ``step``,
    ``end``: COMPUTE cycles of a step, and of a tile beside its steps. ``store``: STORE cycles of
    all. ``instructions`` of all; ``uops`` that come first. ``wgt_pieces``, ``out_pieces``: parts
    that the first weights and the last outputs may come in. ``inp_slots``, ``wgt_slots``,
    ``acc_slots``: 1 or more; ``free``: slots of an operand that does not stay. ``input_loads``,
    ``weight_loads``: times that all inputs and all weights come in.
    """

    tiles: Array
    heavy: Array
    chunks: Array
    parts: Array
    inp: Array
    wgt: Array
    heavy_load: Array
    light_load: Array
    load: Array
    inp_after: Array
    wgt_after: Array
    step: Array
    end: Array
    store: Array
    instructions: Array
    uops: Array
    wgt_pieces: Array
    out_pieces: Array
    inp_slots: Array
    wgt_slots: Array
    acc_slots: Array
    free: Array
    input_loads: Array
    weight_loads: Array


@dataclass(frozen=True)
class Cycles:
    """Cycles of a unit, and of its modules alone."""

    total: Any
    compute: Any
    fetch: Any
    fill: Any


def in_pieces(a: Arrays, cycles: Array, cost: float, most: Array) -> Array:
    """Least ``cycles / n + cost (n - 1)`` over real n from 1 to ``most``; grows with ``cycles``."""
    n = a.minimum(a.maximum(a.sqrt(cycles * (1.0 / cost)), 1.0), most)
    return cycles / n + cost * (n - 1.0)


def indicator(a: Arrays, x: Array) -> Array:
    """1 from x = 1 on, 0 up to x = 0; whole numbers take no value between."""
    return a.minimum(a.maximum(x, 0.0), 1.0)


def pipeline(a: Arrays, c: Columns, s: Stages, fitted: Constants) -> Cycles:
    """Never falls where a load, a step, a store or a latency grows, or a slot is lost."""
    latency = c["read_latency"] + LOAD_OVERHEAD
    work = s.chunks * s.step + s.end
    burst = a.minimum(s.instructions * c["instruction_bytes"], c["burst_bytes"])
    fill = (burst + s.uops * c["uop_bytes"]) / c["bus_bytes"]
    fill = fill + (c["read_latency"] + START + latency)
    first = s.inp / s.parts + in_pieces(a, s.wgt / s.chunks, fitted.part_in, s.wgt_pieces)
    drain = s.store / s.tiles
    last = in_pieces(a, drain, fitted.part_out, s.out_pieces)
    done = s.step + s.end
    # LOAD runs ahead by the free slots, then waits for the tile's end.
    waits = done * indicator(a, s.chunks - s.free + 1.0)
    taut = 1.0 - a.minimum(s.free / s.chunks, 1.0)

    def paced(load: Array) -> Array:
        return a.maximum(work, a.maximum(load, load * taut + waits))

    slots = a.minimum(s.inp_slots, s.wgt_slots)
    ahead = (a.minimum(slots, AHEAD) - 1.0) * s.step + s.end * indicator(a, s.inp_slots - 1.0)
    again = a.maximum(s.heavy_load - a.where(s.tiles > s.heavy, ahead, 0.0), 0.0)
    total = a.maximum(first + work, s.heavy_load + done)
    total = total + (s.heavy - 1.0) * paced(again) + (s.tiles - s.heavy) * paced(s.light_load)
    # A single buffer puts its loads, or stores, in a row with the work.
    again = s.inp_after * indicator(a, 2.0 - s.inp_slots)
    again = again + s.wgt_after * indicator(a, 2.0 - s.wgt_slots)
    total = total + a.minimum(again, s.tiles * s.chunks * s.step)
    total = total + (s.tiles - 1.0) * last * indicator(a, 2.0 - s.acc_slots)
    total = a.maximum(total, s.load + done)
    total = a.maximum(total, first + work + s.store - drain) + last
    fetch = s.instructions * FETCH
    return Cycles(fill + a.maximum(total, fetch), s.tiles * work, fetch, fill)
