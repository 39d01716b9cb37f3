"""Energy estimates: published figures come back, parts sum to the whole, prices scale."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.hw.config import VtaConfig
from codesign.hw.energy import (
    PARTS,
    Process,
    add_pj,
    array_pj_per_byte,
    dram_pj_per_byte,
    energy_mj,
    energy_parts_mj,
    energy_prices_pj,
    energy_table,
    leakage_mw,
    mac_pj,
    sram_pj_per_byte,
)
from codesign.kernels import ConvWorkload, best_schedule

EYERISS = Process(65, 1.0)
WORD_BYTES = 2


def test_eyeriss_ratios_three_of_which_are_inputs() -> None:
    """Register file, array and buffer come back from the table; DRAM is computed."""
    published = energy_table()["published"]
    mac = mac_pj(16, 16, process=EYERISS)
    ours = {
        "register_file_to_mac": sram_pj_per_byte(512, EYERISS),
        "array_to_mac": array_pj_per_byte(EYERISS),
        "buffer_to_mac": sram_pj_per_byte(108 * 1024, EYERISS),
        "dram_to_mac": dram_pj_per_byte(),
    }
    ratios = {name: WORD_BYTES * price / mac for name, price in ours.items()}
    assert {name: published[name]["value"] for name in ratios} == {
        "register_file_to_mac": 1,
        "array_to_mac": 2,
        "buffer_to_mac": 6,
        "dram_to_mac": 200,
    }
    dram = ratios.pop("dram_to_mac")
    assert ratios == pytest.approx({name: published[name]["value"] for name in ratios})
    assert dram == pytest.approx(200, rel=0.05)
    assert 2 * dram == pytest.approx(405, rel=0.001)  # the upper end of 1.3-2.6 nJ


def test_horowitz_operations_and_caches() -> None:
    published = energy_table()["published"]
    assert mac_pj(8, 8, 32) - add_pj(32) == pytest.approx(0.2)
    multiply = published["multiply_32_bit_pj"]["value"]
    assert mac_pj(32, 32, 32) - add_pj(32) == pytest.approx(multiply, rel=0.05)
    # A cache reads tags beside data: dearer than a scratchpad of its size, and alike at all sizes.
    for nbytes, picojoules in published["cache_64_bit_pj"]["value"].items():
        assert 1.3 < picojoules / (8 * sram_pj_per_byte(int(nbytes))) < 1.65


def test_every_figure_and_rule_names_a_source() -> None:
    table = energy_table()
    entries = (*table["published"].values(), *table["rules"].values())
    cited = {entry["source"] for entry in entries}
    assert cited | {table["process"]["source"]} <= set(table["sources"])
    assert all(len(text) > 30 for text in table["sources"].values())


@given(log_size=st.integers(4, 24), bits=st.sampled_from([1, 2, 4, 8]), factor=st.integers(2, 9))
def test_prices_grow_with_size_width_and_process(log_size: int, bits: int, factor: int) -> None:
    assert 0 < sram_pj_per_byte(1 << log_size) < sram_pj_per_byte(1 << (log_size + 1))
    assert 0 < mac_pj(bits, 8) < mac_pj(2 * bits, 8)
    newer, older = Process(45, 0.9), Process(45 * factor, 0.9)
    assert mac_pj(8, 8, process=older) == pytest.approx(factor * mac_pj(8, 8, process=newer))
    assert leakage_mw(VtaConfig(log_wgt_buff_size=log_size)) < leakage_mw(
        VtaConfig(log_wgt_buff_size=log_size + 1)
    )


def test_parts_of_a_layer_sum_to_the_whole() -> None:
    layer, cfg = ConvWorkload(64, 64, 28, 28, (3, 3), padding=(1, 1, 1, 1)), VtaConfig()
    counters = best_schedule(layer, cfg).counters
    parts = energy_parts_mj(counters, cfg)
    assert tuple(parts) == PARTS
    assert min(parts.values()) > 0
    assert sum(parts.values()) == energy_mj(counters, cfg)
    assert parts["mac"] == pytest.approx(1e-9 * counters["gemm_macs"] * mac_pj(8, 8))
    # Leakage is power times time: a faster clock leaks less and changes nothing else.
    faster = energy_parts_mj(counters, replace(cfg, frequency_mhz=200.0))
    assert faster.pop("leakage") == pytest.approx(parts.pop("leakage") / 2)
    assert faster == parts


def test_prices_name_counters_of_the_simulator() -> None:
    cfg = VtaConfig(log_block=3)
    counters = best_schedule(ConvWorkload(16, 16, 4, 4), cfg).counters
    for prices in energy_prices_pj(cfg).values():
        assert set(prices) <= set(counters)
        assert min(prices.values()) > 0
