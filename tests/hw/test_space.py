"""Configuration spaces: exact counts, names, rules, sampling, errors of space files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codesign.errors import ConfigError
from codesign.hw.content import config_key
from codesign.hw.feasibility import violations
from codesign.hw.loader import load_config
from codesign.hw.space import ConfigSpace, load_space, spaces

SMALL: dict[str, Any] = {
    "description": "a test",
    "fixed": {"FREQUENCY_MHZ": 200},
    "axes": [
        {"name": "block", "key": "LOG_BLOCK", "values": [3, 4, 5]},
        {"name": "bus", "choices": {"64": {"BUS_BITS": 64}, "256": {"BUS_BITS": 256}}},
        {"name": "beats", "key": "MAX_BURST_BEATS", "values": [16, 256]},
        {"name": "latency", "key": "READ_LATENCY", "values": [18, 60]},
    ],
    "rules": [{"quantity": "pes", "max": 300}],
    "names": "{block}_{bus}_{beats}_{latency}",
}


def _space(folder: Path, **changes: Any) -> ConfigSpace:
    path = folder / "small.json"
    path.write_text(json.dumps(SMALL | changes))
    return load_space(path)


def _message(folder: Path, **changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        _space(folder, **changes)
    return str(caught.value)


def test_neuhardco_is_192_points_that_split_the_sram_exactly() -> None:
    space = load_space("neuhardco")
    configs = space.configs()
    assert space.count() == len(configs) == space.product_size == 192
    assert len({cfg.name for cfg in configs}) == len({config_key(cfg) for cfg in configs}) == 192
    assert {cfg.sram_bytes for cfg in configs} == {1 << n for n in (18, 19, 20, 21)}
    assert (
        {cfg.block_in for cfg in configs} == {cfg.block_out for cfg in configs} == {8, 16, 32, 64}
    )
    assert {cfg.dataflow for cfg in configs} == {"ws", "os", "rs"}
    for cfg in configs:
        total = cfg.sram_bytes
        assert 1 << cfg.log_wgt_buff_size == total // 2
        assert 1 << cfg.log_acc_buff_size == total // 4
        assert 1 << cfg.log_inp_buff_size == total // 8
        assert 1 << cfg.log_uop_buff_size == total // 16
        assert (cfg.bus_bits, cfg.max_burst_beats, cfg.read_latency) == (128, 256, 18)
        assert violations(cfg) == []


def test_edge_is_1296_points() -> None:
    space = load_space("edge")
    assert space.count() == len(space.configs()) == 1296
    assert all(cfg.burst_bytes <= 4096 for cfg in space)


def test_portable_points_fit_the_stock_encoding() -> None:
    space = load_space("portable")
    assert space.count() == 2_060_400
    drawn = space.sample(200, np.random.default_rng(0))
    assert all(cfg.fits_vta_encoding and cfg.instruction_encoding == "vta" for cfg in drawn)


def test_shipped_spaces_are_listed() -> None:
    assert {"neuhardco", "edge", "portable"} <= set(spaces())


def test_count_equals_the_list_where_rules_join_axes(tmp_path: Path) -> None:
    space = _space(tmp_path)
    # bus 256 with 256 beats breaks axi_burst, block 5 breaks the space's own rule
    assert space.count() == len(space.configs()) == 2 * 3 * 2
    broken = space.broken_rules()
    assert {rule: found.points for rule, found in broken.items()} == {
        "axi_burst": 6,
        "space_pes": 8,
    }
    assert broken["space_pes"].example == "pes is 1024; the space asks for at most 300"


def test_a_fixed_value_that_breaks_a_rule_empties_the_space(tmp_path: Path) -> None:
    space = _space(tmp_path, fixed={"WRITE_RESPONSE_LATENCY": 0})
    assert space.count() == 0
    with pytest.raises(ConfigError, match="has 0 feasible points; 1 were asked for"):
        space.sample(1, np.random.default_rng(0))
    assert set(_space(tmp_path, fixed={"LOG_BATCH": -1}).broken_rules()) == {"log_batch"}
    assert _space(tmp_path, fixed={"LOG_BATCH": -1}).count() == 0


def test_samples_are_distinct_and_repeatable(tmp_path: Path) -> None:
    space = _space(tmp_path)
    first = space.sample(12, np.random.default_rng(3))
    assert {cfg.name for cfg in first} == {cfg.name for cfg in space.configs()}
    assert first == space.sample(12, np.random.default_rng(3))
    with pytest.raises(ConfigError, match="12 feasible points; 13 were asked for"):
        space.sample(13, np.random.default_rng(3))


def test_named_point_and_why_one_is_infeasible(tmp_path: Path) -> None:
    space = _space(tmp_path)
    cfg = space.named("4_256_16_60")
    assert (cfg.block_in, cfg.bus_bits, cfg.read_latency, cfg.frequency_mhz) == (16, 256, 60, 200)
    with pytest.raises(ConfigError, match=r"small:4_256_256_60 is not feasible: axi_burst"):
        space.named("4_256_256_60")
    assert load_config(f"{tmp_path}/small.json:4_256_16_60") == cfg


def test_every_point_is_found_by_its_name() -> None:
    for name in ("neuhardco", "edge"):
        space = load_space(name)
        for cfg in space.configs()[::7]:
            assert space.named(cfg.name) == cfg


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"axes": []}, "axes: List should have at least 1 item"),
        ({"axis": []}, "axis: Extra inputs are not permitted"),
        ({"fixed": {"BUS": 4}}, "fixed: BUS: unknown key (value 4)"),
        ({"names": "{block}"}, "missing ['beats', 'bus', 'latency']"),
        ({"names": "{block"}, "is not a template"),
        ({"rules": [{"quantity": "peas", "max": 1}]}, "rule 0: unknown quantity 'peas'"),
        ({"rules": [{"quantity": "pes"}]}, "rule 0 on pes: give `min`, `max` or `equals`"),
        (
            {"axes": [{"name": "a", "key": "LOG_BLOCK"}], "names": "{a}"},
            "axis a: give either `key` and `values`, or `choices`",
        ),
        (
            {"axes": [{"name": "a", "key": "LOG_BLOCK", "values": ["x"]}], "names": "{a}"},
            "axis a, x: LOG_BLOCK: input should be a valid integer, given 'x'",
        ),
        (
            {"axes": [{"name": n, "key": "LOG_BLOCK", "values": [4]} for n in "ab"],
             "names": "{a}{b}"},
            "axis b: LOG_BLOCK is already set by axis a",
        ),
        (
            {"axes": [{"name": "a", "choices": {"x": {"LOG_BATCH": 0}, "y": {"LOG_BLOCK": 4}}}],
             "names": "{a}"},
            "axis a: every choice must set the same keys",
        ),
    ],
)  # fmt: skip
def test_malformed_space_files(tmp_path: Path, changes: dict[str, Any], part: str) -> None:
    assert part in _message(tmp_path, **changes)


def test_unknown_space_lists_the_known() -> None:
    with pytest.raises(ConfigError, match=r"'neuhardko' is not one of the spaces .*neuhardco"):
        load_space("neuhardko")
