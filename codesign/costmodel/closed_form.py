"""T0: cycles of a unit in closed form, over arrays of (workload, configuration) pairs.

`work` counts what a pair must do whatever the schedule, and bounds it as
`codesign.kernels.lower_bound` does. `bound` prices a few dozen tilings (`tilings`) by the formula
of `pipeline` and keeps the cheapest. Formulas: VTA_TIMING.md 1-6, DESIGN 6.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cache
from math import prod

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.arrays import Columns, Exact
from codesign.costmodel.columns import Floats
from codesign.costmodel.constants import FITTED, Constants
from codesign.costmodel.demand import blocks
from codesign.costmodel.pair_tables import FEW, pair_tables, recorded
from codesign.costmodel.selection import best_tilings
from codesign.costmodel.tape import Recorder, Tape
from codesign.costmodel.tilings import Tiling
from codesign.costmodel.work import Work
from codesign.costmodel.work import work as work_of

_EXACT = Exact()


@dataclass(frozen=True)
class Bound:
    """T0 of the pairs: ``cycles`` >= ``work.roofline``, and the tiling that it prices."""

    work: Work
    tiling: Tiling
    cycles: Floats


def impossible(w: Columns, c: Columns) -> NDArray[np.bool_]:
    """What no tiling can mend: no output, element widths that kernels do not serve, BATCH > 1 with
    a rectangular core, multipliers without HAS_MUL or beside a residual, a row-stationary
    transposed convolution."""
    served = (c["kernels_fit"] > 0) & (w["out_height"] >= 1) & (w["out_width"] >= 1)
    multiplied = (w["multiply"] == 0) | ((c["has_mul"] > 0) & (w["residual"] == 0))
    slides = (c["flow_rs"] == 0) | (w["up_height"] * w["up_width"] == 1)
    return ~(served & multiplied & (slides | (w["is_conv"] == 0)))


def work(w: Columns, c: Columns) -> Work:
    """Compulsory work of the pairs (columns broadcast against each other)."""
    shape = np.broadcast_shapes(w["height"].shape, c["batch"].shape)
    if prod(shape) < FEW:
        with np.errstate(all="ignore"):
            return work_of(_EXACT, w, c, blocks(_EXACT, w, c))
    out = np.empty((len(fields(Work)), *shape))
    pair_tables(w, c, shape).run(_work_tape(), None, out)
    return Work(*out)


@cache
def _work_tape() -> Tape:
    a = Recorder()
    w, c = recorded(a, {}, {})
    found = work_of(a, w, c, blocks(a, w, c))
    return a.tape([getattr(found, f.name) for f in fields(Work)])


def bound(w: Columns, c: Columns, threads: int = 1, fitted: Constants = FITTED) -> Bound:
    """T0: positive, and never larger for a wider bus, a shorter latency or a deeper buffer; inf
    where `impossible` or no tiling fits, which is nearly always where the schedule generator, with
    more tilings, finds none either."""
    with np.errstate(all="ignore"):
        tiling = Tiling(*best_tilings(w, c, impossible(w, c), threads, fitted))
    return Bound(work(w, c), tiling, tiling.cycles)
