"""Every unit's program equals the integer reference, for all dataflows and core shapes."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.isa import check
from codesign.isa.native import config_values, library
from codesign.kernels import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    Workload,
    best_schedule,
    lower_bound,
    measure,
)
from codesign.kernels.native import schedule_values, workload_values
from codesign.kernels.space import ranked
from codesign.kernels.unit import build, epilogue
from codesign.sim import Simulator
from tests.kernels.support import canonical_placement, random_params, run_unit

PYNQ = VtaConfig(name="pynq", has_mul=True)
WORKLOADS: tuple[Workload, ...] = (
    ConvWorkload(3, 16, 12, 12, (3, 3), (1, 1), (1, 1, 1, 1)),
    ConvWorkload(24, 40, 9, 11, (3, 3), (2, 2), (1, 1, 1, 1)),
    ConvWorkload(64, 32, 8, 8),
    ConvWorkload(33, 20, 14, 14, (1, 1), (2, 2)),
    ConvWorkload(8, 8, 10, 10, (5, 3), (1, 2), (2, 1, 2, 1)),
    ConvWorkload(16, 16, 10, 7, (3, 3), (1, 1), (1, 1, 1, 1), in_border=1, out_border=2),
    ConvWorkload(70, 10, 1, 1),
    ConvWorkload(300, 100, 1, 1),
    ConvWorkload(16, 16, 4, 4, (4, 4)),
    PoolWorkload("max", 16, 13, 13, (3, 3), (2, 2), (1, 1, 1, 1)),
    PoolWorkload("max", 40, 8, 8, (2, 2), (2, 2)),
    PoolWorkload("avg", 16, 8, 8, (3, 3), (1, 1), (1, 1, 1, 1)),
    PoolWorkload("avg", 20, 9, 9, (2, 2), (2, 2)),
    PoolWorkload("avg", 64, 8, 8, (8, 8)),
    PoolWorkload("avg", 8, 17, 17, (17, 17)),
    ElementwiseWorkload(2, 16, 9, 9),
    ElementwiseWorkload(1, 70, 6, 6, (1, 0), 1),
    ElementwiseWorkload(2, 8, 1, 1),
    ElementwiseWorkload(2, 40, 7, 6, digits=3),
    ElementwiseWorkload(1, 8, 1, 1, digits=2),
    PoolWorkload("avg", 20, 7, 8, (3, 3), (1, 2), (1, 1, 1, 1), digits=3),
    PoolWorkload("avg", 24, 5, 5, (5, 5), digits=2),
    ConvWorkload(33, 40, 6, 5, (3, 3), padding=(1, 1, 1, 1), multiply=True),
)


def whole(*channels: int) -> tuple[tuple[int, int], ...]:
    """All channels of all sources, one after the other."""
    return tuple((source, c) for source, count in enumerate(channels) for c in range(count))


GATHERS: tuple[Workload, ...] = (
    GatherWorkload((32, 48, 20), whole(32, 48, 20), 9, 9, in_borders=(0, 2, 0), out_border=1),
    GatherWorkload((24,), tuple((0, c % 2 * 12 + c // 2) for c in range(24)), 7, 7),
    GatherWorkload((40,), whole(40), 5, 6, (2, 2), in_borders=(1,)),
    GatherWorkload((20,), whole(20), 6, 6, padding=(2, 1, 2, 17)),
    GatherWorkload((64,), whole(64)[20:50], 8, 8, padding=(-1, -2, 0, -1)),
    GatherWorkload((24, 24), whole(24, 24), 6, 5, (3, 2), (1, -1, -2, 1)),
    GatherWorkload((100,), whole(100), 1, 1, (7, 7)),
    GatherWorkload((24, 40), whole(24, 40), 6, 5, (1, 2), (1, -1, 17, 1), digits=3),
    GatherWorkload((20, 20), whole(20, 20), 3, 4, digits=2),
)
CORES = ((4, 4), (8, 32), (16, 16), (32, 8), (64, 64))


def core(block_in: int, block_out: int, bus: int = 128, batch: int = 1) -> VtaConfig:
    """256 KiB of SRAM, split as in the `neuhardco` space."""
    return VtaConfig(
        has_mul=True,
        log_block_in=block_in.bit_length() - 1,
        log_block_out=block_out.bit_length() - 1,
        log_batch=batch.bit_length() - 1,
        log_uop_buff_size=14,
        log_inp_buff_size=15,
        log_wgt_buff_size=17,
        log_acc_buff_size=16,
        bus_bits=bus,
    )


@pytest.mark.parametrize("workload", WORKLOADS + GATHERS, ids=lambda w: str(w)[:70])
@pytest.mark.parametrize("shape", CORES, ids=str)
def test_best_schedule_is_exact(workload: Workload, shape: tuple[int, int]) -> None:
    cfg = core(*shape)
    rng = np.random.default_rng(7)
    best = best_schedule(workload, cfg)
    assert not isinstance(best, Infeasible), best
    got, want = run_unit(workload, cfg, best.schedule, random_params(workload, rng), rng)
    np.testing.assert_array_equal(got, want)
    assert best.cycles >= lower_bound(workload, cfg).cycles


@pytest.mark.parametrize("dataflow", ["os", "ws", "is", "rs"])
@pytest.mark.parametrize("shape", CORES, ids=str)
def test_many_schedules_are_exact(shape: tuple[int, int], dataflow: str) -> None:
    cfg, rng = core(*shape, bus=64), np.random.default_rng(11)
    for workload in WORKLOADS[:9]:
        options = [r.schedule for r in ranked(workload, cfg, dataflow)]  # pyright: ignore[reportArgumentType]
        picks = [options[i] for i in rng.integers(0, len(options), 3)]
        params = random_params(workload, rng)
        for schedule in picks:
            if isinstance(measure(workload, cfg, schedule), Infeasible):
                continue
            got, want = run_unit(workload, cfg, schedule, params, rng)
            np.testing.assert_array_equal(got, want, err_msg=f"{workload} {schedule}")


def test_batch_lanes_are_independent_images() -> None:
    cfg, rng = core(16, 16, batch=2), np.random.default_rng(3)
    for workload in WORKLOADS[:3] + WORKLOADS[11:12]:
        best = best_schedule(workload, cfg)
        assert not isinstance(best, Infeasible)
        got, want = run_unit(workload, cfg, best.schedule, random_params(workload, rng), rng)
        np.testing.assert_array_equal(got, want)


def test_cpp_and_reference_engines_agree_on_a_unit() -> None:
    rng = np.random.default_rng(5)
    workload = WORKLOADS[1]
    best = best_schedule(workload, PYNQ)
    assert not isinstance(best, Infeasible)
    params = random_params(workload, rng)
    got, want = run_unit(workload, PYNQ, best.schedule, params, rng, engine="reference")
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize(
    ("workload", "dataflow"), list(product(WORKLOADS[::3] + GATHERS[::3], ["os", "ws", "is", "rs"]))
)
def test_streams_pass_the_strict_checker(workload: Workload, dataflow: str) -> None:
    best = best_schedule(workload, PYNQ, dataflow)  # pyright: ignore[reportArgumentType]
    assert not isinstance(best, Infeasible)
    params = random_params(workload, np.random.default_rng(0))
    program = build(workload, params, PYNQ, best.schedule)
    place = canonical_placement(workload, PYNQ, program.constants.size)
    memory = np.zeros(place.constants + program.constants.size, np.uint8)
    memory[place.constants :] = program.constants
    stream = program.instructions(place)
    assert check(stream, PYNQ, memory=memory, base_address=0, portable=True) == []
    assert Simulator(PYNQ).run(stream, None, timing_only=True).cycles == best.cycles


@pytest.mark.parametrize("short", ["schedule", "numbers"])
def test_fields_that_the_core_does_not_expect_are_refused(short: str) -> None:
    best = best_schedule(WORKLOADS[0], PYNQ)
    assert not isinstance(best, Infeasible)
    lists = {
        "schedule": schedule_values(best.schedule),
        "numbers": epilogue(WORKLOADS[0]).values,
    }
    lists[short] = lists[short][:-1]
    values = config_values(PYNQ), workload_values(WORKLOADS[0])
    with pytest.raises(ValueError, match="fields"):
        library().emit_unit(*values, lists["schedule"], lists["numbers"])
    with pytest.raises(ValueError, match="fields"):
        rows = np.array([lists["schedule"]], np.int64)
        library().measure_units(*values, rows, lists["numbers"], True, np.empty(1, np.int64))


def test_rectangular_batch_is_infeasible_by_name() -> None:
    result = best_schedule(WORKLOADS[0], core(8, 16, batch=2))
    assert isinstance(result, Infeasible)
    assert result.constraint == "batch_layout"


def test_a_layer_that_fits_no_tile_says_what_overflows() -> None:
    result = best_schedule(ConvWorkload(3, 64, 40, 40, (7, 33), padding=(3, 3, 3, 3)), core(64, 64))
    assert result == Infeasible("wgt_depth", "needs 34 elements, the configuration has 32")
    cut = best_schedule(ConvWorkload(3, 64, 32, 32, (7, 7), (2, 2), (3, 3, 3, 3)), core(64, 64))
    assert not isinstance(cut, Infeasible) and cut.schedule.kernel_rows == 1
