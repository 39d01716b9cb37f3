"""Energy of a pair from the work that no schedule avoids, which the energy head corrects."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from codesign.costmodel.closed_form import Bound
from codesign.costmodel.columns import Columns, Floats
from codesign.hw.config import VtaConfig
from codesign.hw.energy import energy_prices_pj

_COUNTERS = (
    *("gemm_uops", "alu_uops", "inp_load_bytes", "wgt_load_bytes", "out_store_bytes", "cycles"),
)


def counter_prices(configs: Sequence[VtaConfig]) -> dict[str, Floats]:
    """Picojoules of one count, over all parts, by counter: float64[C] each. Estimated."""
    prices = [energy_prices_pj(config) for config in configs]
    return {
        name: np.array([sum(part.get(name, 0.0) for part in of.values()) for of in prices])
        for name in _COUNTERS
    }


def energy_base_mj(t0: Bound, c: Columns, prices: Columns) -> Floats:
    """Estimated millijoules of pairs that move every byte once and take T0 cycles."""
    amount = t0.work
    cycles = np.where(np.isfinite(t0.cycles), t0.cycles, amount.roofline)
    counts = {
        "gemm_uops": amount.gemm,
        "alu_uops": amount.alu,
        "inp_load_bytes": amount.inputs * c["inp_bytes"],
        "wgt_load_bytes": amount.weights * c["wgt_bytes"],
        "out_store_bytes": amount.outputs * c["out_bytes"],
        "cycles": cycles,
    }
    total = np.zeros(cycles.shape)
    for name, count in counts.items():
        total = total + count * prices[name]
    return 1e-9 * total
