"""T0: cycles of each module in closed form, over arrays of (workload, configuration) pairs.

`work` counts what a pair must do whatever the schedule, and bounds it as
`codesign.kernels.lower_bound` does. `bound` prices a small grid of tilings (`tilings`) and keeps
the cheapest. Formulas: VTA_TIMING.md 1-6, DESIGN 6.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.columns import Columns, Floats
from codesign.costmodel.tilings import (
    Blocks,
    Tiling,
    blocks,
    conv_bias_tiles,
    fits_at_all,
    tilings,
)

_LEAST_INSTRUCTIONS = 12


@dataclass(frozen=True)
class Work:
    """Amounts that no schedule can avoid; arrays that broadcast to the pairs' shape.

    ``inputs``, ``weights``, ``outputs``: INP, WGT and accumulator elements, each once; ``gemm``:
    micro-ops; ``alu``: cycles of reset, bias and ALU; ``compute``, ``load``, ``store``, ``fetch``:
    least cycles of each module.
    """

    inputs: Floats
    weights: Floats
    outputs: Floats
    gemm: Floats
    alu: Floats
    compute: Floats
    load: Floats
    store: Floats
    fetch: Floats

    @property
    def roofline(self) -> Floats:
        """No schedule takes fewer cycles."""
        slowest = np.maximum(np.maximum(self.compute, self.load), self.store)
        return np.maximum(slowest, self.fetch)


@dataclass(frozen=True)
class Bound:
    """T0 of the pairs: ``cycles`` >= ``work.roofline``, and the tiling that it prices."""

    work: Work
    tiling: Tiling
    cycles: Floats


def infeasible(w: Columns, c: Columns) -> NDArray[np.bool_]:
    """Pairs without a schedule: not even one pixel of one channel group fits, or BATCH > 1 with a
    rectangular core, or no output. False promises nothing: only the schedule generator knows.
    """
    fits = fits_at_all(w, c, blocks(w, c)) & (c["kernels_fit"] > 0)
    return ~(fits & (w["out_height"] >= 1) & (w["out_width"] >= 1))


def work(w: Columns, c: Columns) -> Work:
    """Compulsory work of the pairs (columns broadcast against each other)."""
    b = blocks(w, c)
    conv, averaged = w["is_conv"] > 0, w["is_max_pool"] == 0
    sparse = conv | (w["is_gather"] > 0)
    outputs = b.out_blocks * w["plane_outputs"]
    plane_gemm, plane_alu = _cheapest_form(w, b)
    gemm = plane_gemm * np.where(sparse, b.reads, b.out_blocks * b.in_subs)
    gemm = gemm + w["residual"] * outputs * b.in_subs
    bias = np.where(conv, conv_bias_tiles(w, c), np.where(averaged, c["default_bias_tiles"], 0.0))
    alu = b.out_blocks * plane_alu + bias * outputs
    inputs = b.in_groups * b.in_subs * w["pixels_read"]
    inputs = inputs + w["residual"] * outputs * (c["out_bytes"] / c["inp_bytes"])
    read = inputs * c["inp_bytes"] + b.weights * c["wgt_bytes"]
    read = read + w["multiply"] * b.out_blocks * c["acc_bytes"]
    written = outputs * c["out_bytes"]
    return Work(
        inputs=inputs,
        weights=b.weights,
        outputs=outputs,
        gemm=gemm,
        alu=alu,
        compute=gemm + alu,
        load=np.ceil(read / c["bus_bytes"]),
        store=1.0 + store_cycles(c, outputs, np.ceil(written / c["burst_bytes"])),
        fetch=3.0 * _LEAST_INSTRUCTIONS + c["read_latency"],
    )


def _cheapest_form(w: Columns, b: Blocks) -> tuple[Floats, Floats]:
    """(GEMM micro-ops, ALU cycles) of one output channel block; a max pooling chooses its form."""
    gemm, alu = w["plane_gemm"], w["plane_alu"]
    for form in ("rows", "taps"):
        other_gemm, other_alu = w[f"{form}_gemm"], w[f"{form}_alu"]
        better = other_gemm * b.in_subs + other_alu < gemm * b.in_subs + alu
        gemm, alu = np.where(better, other_gemm, gemm), np.where(better, other_alu, alu)
    return gemm, alu


def store_cycles(c: Columns, elements: Floats, bursts: Floats) -> Floats:
    """STORE of ``elements`` in at least ``bursts`` bursts; a bus narrower than an element adds a
    bubble per element."""
    size = elements * c["out_bytes"]
    latency = c["write_address_latency"] + c["write_response_latency"]
    bursts = np.maximum(bursts, np.ceil(size / c["burst_bytes"]))
    beats = np.maximum(np.ceil(size / c["bus_bytes"]), bursts)
    narrow = c["bus_bytes"] < c["out_bytes"]
    return beats + np.where(narrow, elements, 0.0) + bursts * (latency + np.where(narrow, 1.0, 2.0))


def bound(w: Columns, c: Columns) -> Bound:
    """T0: positive, inf where nothing fits, and never larger for a wider bus, a shorter latency
    or a deeper buffer."""
    amount = work(w, c)
    b: Blocks = blocks(w, c)
    shape = np.broadcast(w["height"], c["batch"]).shape
    names = [field.name for field in fields(Tiling)]
    best = {name: np.full(shape, np.inf) for name in names}
    for tiling in tilings(w, c, b, amount.compute, amount.outputs, store_cycles):
        better = tiling.cycles < best["cycles"]
        for name in names:
            np.copyto(best[name], getattr(tiling, name), where=better)
    chosen = Tiling(**best)
    return Bound(amount, chosen, np.maximum(chosen.cycles, amount.roofline))
