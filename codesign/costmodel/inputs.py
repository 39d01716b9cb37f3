"""What T1 sees of a pair, chosen so that its predictions are monotone where physics is.

A longer read or write latency and a narrower bus never make a unit faster, and T0 obeys. The
features do not: the tiling they describe jumps. So they are those of the pair at a *reference
memory*, which no latency and no bus width moves, and the trees learn log(cycles / base) from them
and from ``MONOTONE``, under XGBoost's monotone constraints. With ``s`` = log(T0 / T0 at the
reference), which only grows with latency and with a narrower bus, base = T0 at the reference x
exp(``_SHARE`` s): the base alone moves less than T0, and the trees, which may only add, learn how
much more. The product of two functions that never fall never falls.

Where no tiling of T0 fits, which is nearly always where no schedule exists, the base is what the
modules do at least, one after the other: neither buffers nor T0 say more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.closed_form import Bound, bound, impossible
from codesign.costmodel.columns import Columns, Floats
from codesign.costmodel.features import FEATURE_NAMES, pair_features

MONOTONE: dict[str, int] = {
    "memory_slowdown": 1,
    "read_latency": 1,
    "write_latency": 1,
    "bus_bytes": -1,
}
"""Inputs that follow the pair's own memory: log(T0 / T0 at the reference), cycles twice, bytes."""

INPUT_NAMES: tuple[str, ...] = (
    *(f"reference_{name}" for name in FEATURE_NAMES),
    *MONOTONE,
)
CONSTRAINTS: tuple[int, ...] = (*(0 for _ in FEATURE_NAMES), *MONOTONE.values())

_REFERENCE = {
    "read_latency": 18.0,
    "write_address_latency": 1.0,
    "write_response_latency": 1.0,
    "bus_bytes": 16.0,
}
"""The shipped spaces' most frequent memory system: pairs that have it are priced once."""
_SHARE = 0.4
_LARGEST_BURST = 4096.0


@dataclass(frozen=True, eq=False)
class Inputs:
    """Arrays of the pairs' shape; ``values`` float32[..., len(INPUT_NAMES)], ``log_base`` what the
    trees correct, finite; ``possible``: whether there can be a schedule (`impossible`)."""

    values: NDArray[np.float32]
    log_base: Floats
    possible: NDArray[np.bool_]
    t0: Bound


def pair_inputs(w: Columns, c: Columns) -> Inputs:
    """Inputs of pairs of columns that broadcast together."""
    reference = _at_reference(c)
    values, near = pair_features(w, reference, room=len(MONOTONE))
    same = all(np.array_equal(reference[name], c[name]) for name in reference)
    t0 = near if same else bound(w, c)
    shape = t0.cycles.shape
    with np.errstate(invalid="ignore"):
        slowdown = np.log(t0.cycles) - np.log(near.cycles)
    slowdown = np.where(np.isfinite(slowdown), slowdown, 0.0)
    count = len(FEATURE_NAMES)
    values[..., count] = slowdown
    values[..., count + 1] = c["read_latency"]
    values[..., count + 2] = c["write_address_latency"] + c["write_response_latency"]
    values[..., count + 3] = c["bus_bytes"]
    least = t0.work
    in_a_row = np.log(least.compute + least.load + least.store + least.fetch)
    log_base = np.log(near.cycles) + _SHARE * slowdown
    log_base = np.where(np.isfinite(near.cycles), log_base, in_a_row)
    return Inputs(values, log_base, np.broadcast_to(~impossible(w, c), shape), t0)


def _at_reference(c: Columns) -> dict[str, Floats]:
    """The columns with the reference's memory; a burst keeps its beats."""
    changed = {name: np.full_like(c[name], value) for name, value in _REFERENCE.items()}
    beats = c["burst_bytes"] / c["bus_bytes"]
    burst = np.minimum(beats * changed["bus_bytes"], _LARGEST_BURST)
    return {**c, **changed, "burst_bytes": burst}
