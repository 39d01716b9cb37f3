"""Physical invariants at truth level T2 (DESIGN 6), and the layout of tensors in DRAM."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    ConvWorkload,
    TensorLayout,
    Workload,
    best_schedule,
    bias_capacity,
    lower_bound,
    measure,
    pack,
    unpack,
)
from codesign.kernels.constants import bias_tiles, unit_element
from tests.kernels.test_units import WORKLOADS, core

CONVOLUTIONS = [w for w in WORKLOADS if isinstance(w, ConvWorkload)]


@pytest.mark.parametrize("workload", WORKLOADS, ids=str)
@pytest.mark.parametrize("bus", [64, 256])
def test_cycles_and_bytes_are_physical(workload: Workload, bus: int) -> None:
    cfg = core(16, 16, bus)
    best = best_schedule(workload, cfg)
    assert not isinstance(best, Infeasible)
    bound = lower_bound(workload, cfg)
    assert best.cycles >= bound.cycles
    assert workload.macs / best.cycles <= cfg.pes
    counters = best.counters
    moved = counters["inp_load_bytes"] + counters["wgt_load_bytes"] + counters["out_store_bytes"]
    assert moved >= bound.dram_bytes
    assert counters["out_store_bytes"] == bound.elements * cfg.out_element_bytes


@pytest.mark.parametrize("workload", CONVOLUTIONS[:4], ids=str)
def test_faster_memory_never_slows_a_stream_down(workload: Workload) -> None:
    """A lower latency, for a fixed stream: at most 3 % + 8 cycles per fetch chunk slower."""
    slow = core(16, 16, 64)
    slow = replace(slow, read_latency=60)
    best = best_schedule(workload, slow)
    assert not isinstance(best, Infeasible)
    fast = measure(workload, replace(slow, read_latency=18), best.schedule)
    assert not isinstance(fast, Infeasible)
    chunks = best.counters["instructions"] * 2 // slow.max_burst_beats + 1
    assert fast.cycles <= 1.03 * best.cycles + 8 * chunks


@pytest.mark.parametrize("cfg", [core(8, 32), core(32, 8), core(16, 16, batch=4)], ids=repr)
def test_layout_round_trip(cfg: VtaConfig) -> None:
    rng = np.random.default_rng(0)
    layout = TensorLayout(37, 5, 6, border=2)
    array = rng.integers(-128, 128, (cfg.batch, 37, 5, 6)).astype(np.int8)
    data = pack(array, layout, cfg, fill=-7)
    assert data.size == layout.nbytes(cfg)
    np.testing.assert_array_equal(unpack(data, layout, cfg), array)
    # The first pixel of the image lies `border` rows and columns in.
    group = max(cfg.block_in, cfg.block_out)
    first = layout.pixel(0, 0, 0) * cfg.batch * group
    lanes = data[first : first + min(37, group)].view(np.int8)
    np.testing.assert_array_equal(lanes, array[0, : min(37, group), 0, 0])
    assert data.view(np.int8)[0] == -7


@pytest.mark.parametrize("tiles", [1, 3])
def test_bias_tiles_spell_every_value(tiles: int) -> None:
    cfg = core(8, 16)
    limit = bias_capacity(cfg, tiles)
    values = np.array([[0, 1, -1, 63, 64, -64, limit, -limit] + [12345, -54321] * 4], np.int64)
    values = np.clip(values, -limit, limit)
    weights = bias_tiles(values, cfg, tiles).astype(np.int64)
    unit = unit_element(cfg).astype(np.int64)
    np.testing.assert_array_equal((weights @ unit).sum(axis=1), values)
    with pytest.raises(ValueError, match="can carry"):
        bias_tiles(values * 0 + limit + 1, cfg, tiles)
