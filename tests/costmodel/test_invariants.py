"""Physical order over 100 000 random pairs of all kinds of units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from samples import every_kind, random_config

from codesign.costmodel.closed_form import Bound, bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.hw.config import VtaConfig

_RNG = np.random.default_rng(1)
LAYERS = every_kind(_RNG, 250)
# One encoding for all: deeper buffers may need wider instructions, which cost fetch cycles.
CONFIGS = [replace(random_config(_RNG), encoding="wide") for _ in range(400)]


def t0(change: Callable[[VtaConfig], VtaConfig] = lambda c: c) -> Bound:
    configs = [change(config) for config in CONFIGS]
    return bound(*grid(workload_columns(LAYERS), config_columns(configs)))


@pytest.fixture(scope="module")
def found() -> Bound:
    return t0()


def test_cycles_are_positive_and_not_below_the_roofline(found: Bound) -> None:
    fits = np.isfinite(found.cycles)
    assert found.cycles.size == 100_000
    assert fits.mean() > 0.5
    assert (found.cycles > 0).all()
    assert (found.cycles >= found.work.roofline).all()
    for name in ("load", "compute", "store", "fetch", "fill", "instructions"):
        assert (getattr(found.tiling, name)[fits] > 0).all()


def test_no_more_multiplications_a_cycle_than_multipliers(found: Bound) -> None:
    columns = workload_columns(LAYERS)
    # Of a transposed convolution, the graph counts taps that its padding crops.
    macs = np.where(columns["phases"] > 1, 0.0, columns["macs"])[:, None]
    lanes = np.array([config.pes for config in CONFIGS])
    batch = np.array([config.batch for config in CONFIGS])
    assert (macs * batch <= found.cycles * lanes).all()


def test_traffic_is_not_below_what_is_compulsory(found: Bound) -> None:
    fits = np.isfinite(found.cycles)
    assert (found.tiling.input_loads[fits] >= 1 - 1e-12).all()
    assert (found.tiling.weight_loads[fits] >= 1 - 1e-12).all()
    assert (found.tiling.load[fits] >= found.work.load[fits]).all()


@pytest.mark.parametrize(
    "better",
    [
        lambda c: replace(c, bus_bits=2 * c.bus_bits),
        lambda c: replace(c, read_latency=max(1, c.read_latency - 7)),
        lambda c: replace(c, write_address_latency=max(1, c.write_address_latency - 1)),
        lambda c: replace(c, write_response_latency=max(1, c.write_response_latency // 2)),
        lambda c: replace(c, outstanding_reads=2 * c.outstanding_reads),
        lambda c: replace(c, log_uop_buff_size=c.log_uop_buff_size + 1),
        lambda c: replace(c, log_inp_buff_size=c.log_inp_buff_size + 1),
        lambda c: replace(c, log_wgt_buff_size=c.log_wgt_buff_size + 1),
        lambda c: replace(c, log_acc_buff_size=c.log_acc_buff_size + 1),
        lambda c: replace(c, dataflow="auto"),
        lambda c: replace(c, dataflow="os" if c.dataflow in ("ws", "is") else c.dataflow),
    ],
    ids=[
        "bus",
        "latency",
        "address",
        "response",
        "reads",
        "uop",
        "inp",
        "wgt",
        "acc",
        "auto",
        "os",
    ],
)
def test_better_hardware_is_never_slower(
    better: Callable[[VtaConfig], VtaConfig], found: Bound
) -> None:
    # Sums in another order differ in the last bit.
    assert (t0(better).cycles <= found.cycles * (1 + 1e-12)).all()
