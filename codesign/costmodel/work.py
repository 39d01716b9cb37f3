"""What a pair must do whatever the schedule; `codesign.kernels.lower_bound` for arrays of pairs."""

from __future__ import annotations

from dataclasses import dataclass

from codesign.costmodel.arrays import Array, Arrays, Columns
from codesign.costmodel.demand import Blocks, store_cycles

LEAST_INSTRUCTIONS = 12


@dataclass(frozen=True)
class Work:
    """Amounts that no schedule can avoid; arrays that broadcast to the pairs' shape.

    ``inputs``, ``weights``, ``outputs``: INP, WGT and accumulator elements, each once; ``gemm``:
    micro-ops, of which ``products`` are not a residual's; ``alu``: cycles of reset, bias and ALU;
    ``compute``, ``load``, ``store``, ``fetch``: least cycles of each module; ``roofline``: no
    schedule takes fewer cycles.
    """

    inputs: Array
    weights: Array
    outputs: Array
    products: Array
    gemm: Array
    alu: Array
    compute: Array
    load: Array
    store: Array
    fetch: Array
    roofline: Array


def work(a: Arrays, w: Columns, c: Columns, b: Blocks) -> Work:
    """Compulsory work of the pairs (columns broadcast against each other)."""
    conv, averaged = w["is_conv"] > 0, w["is_max_pool"] == 0
    sparse = conv | (w["is_gather"] > 0)
    outputs = b.out_blocks * w["plane_outputs"]
    plane_gemm, plane_alu = _cheapest_form(a, w, b)
    products = plane_gemm * a.where(sparse, b.reads, b.out_blocks * b.in_subs)
    gemm = products + w["residual"] * outputs * b.in_subs
    bias = a.where(averaged, b.bias_tiles, 0.0)
    alu = b.out_blocks * plane_alu + bias * outputs
    inputs = b.in_groups * b.in_subs * w["pixels_read"]
    inputs = inputs + w["residual"] * outputs * (c["out_bytes"] / c["inp_bytes"])
    read = inputs * c["inp_bytes"] + b.weights * c["wgt_bytes"]
    read = read + w["multiply"] * b.out_blocks * c["acc_bytes"]
    written = outputs * c["out_bytes"]
    load = a.whole(read / c["bus_bytes"])
    store = 1.0 + store_cycles(a, c, outputs, a.whole(written / c["burst_bytes"]))
    fetch = 3.0 * LEAST_INSTRUCTIONS + c["read_latency"]
    compute = gemm + alu
    return Work(
        inputs=inputs,
        weights=b.weights,
        outputs=outputs,
        products=products,
        gemm=gemm,
        alu=alu,
        compute=compute,
        load=load,
        store=store,
        fetch=fetch,
        roofline=a.maximum(a.maximum(compute, load), a.maximum(store, fetch)),
    )


def _cheapest_form(a: Arrays, w: Columns, b: Blocks) -> tuple[Array, Array]:
    """(GEMM micro-ops, ALU cycles) of one output channel block; a max pooling chooses its form."""
    gemm, alu = w["plane_gemm"], w["plane_alu"]
    for form in ("rows", "taps"):
        other_gemm, other_alu = w[f"{form}_gemm"], w[f"{form}_alu"]
        better = other_gemm * b.in_subs + other_alu < gemm * b.in_subs + alu
        gemm, alu = a.where(better, other_gemm, gemm), a.where(better, other_alu, alu)
    return gemm, alu
