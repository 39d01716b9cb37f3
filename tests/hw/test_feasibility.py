"""Named rules of a configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.hw.config import VtaConfig
from codesign.hw.feasibility import (
    CORE_FIELDS,
    FIELD_NAMES,
    RULES,
    violations,
    vta_encoding_problem,
)

_FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "log_inp_width": st.integers(-1, 4), "log_wgt_width": st.integers(-1, 4),
    "log_acc_width": st.integers(4, 6), "log_batch": st.integers(-1, 9),
    "log_block": st.integers(-1, 9), "log_block_in": st.none() | st.integers(-1, 9),
    "log_block_out": st.none() | st.integers(-1, 9), "log_uop_buff_size": st.integers(1, 32),
    "log_inp_buff_size": st.integers(-1, 32), "log_wgt_buff_size": st.integers(-1, 32),
    "log_acc_buff_size": st.integers(-1, 32), "bus_bits": st.integers(-1, 1024),
    "max_burst_beats": st.integers(-1, 512), "read_latency": st.integers(-1, 100),
    "frequency_mhz": st.floats(), "encoding": st.sampled_from(["auto", "vta", "wide"]),
    "has_acc8": st.booleans(),
}  # fmt: skip


def _broken(**values: Any) -> list[str]:
    return [found.constraint for found in violations(replace(VtaConfig(), **values))]


def test_default_is_feasible() -> None:
    assert violations(VtaConfig()) == []


@pytest.mark.parametrize(
    ("values", "rules"),
    [
        ({"log_wgt_buff_size": 19, "encoding": "vta"}, ["vta_encoding"]),
        ({"log_wgt_buff_size": 19, "encoding": "auto"}, []),
        ({"log_uop_buff_size": 16, "encoding": "vta"}, ["vta_encoding"]),
        ({"log_block": 7}, ["wgt_element"]),
        ({"log_block": 0, "log_inp_width": 2}, ["inp_element", "out_element", "wgt_depth"]),
        ({"log_acc_buff_size": 22}, []),
        ({"log_acc_buff_size": 23}, ["acc_depth"]),
        ({"log_inp_buff_size": 20}, []),
        ({"log_inp_buff_size": 21}, ["inp_depth"]),
        ({"log_inp_buff_size": 3}, ["inp_depth"]),
        ({"bus_bits": 128}, []),
        ({"bus_bits": 256}, ["axi_burst"]),
        ({"bus_bits": 256, "max_burst_beats": 128}, []),
        ({"max_burst_beats": 2}, ["fetch_burst"]),
        ({"max_burst_beats": 100}, ["max_burst_beats"]),
        ({"has_acc8": True, "log_inp_width": 2}, ["acc8"]),
        ({"dataflow": "xs", "encoding": "x"}, ["dataflow", "encoding"]),
        ({"frequency_mhz": float("nan")}, ["frequency_mhz"]),
        ({"outstanding_reads": 0}, ["outstanding_reads"]),
    ],
)
def test_rules(values: dict[str, Any], rules: list[str]) -> None:
    assert _broken(**values) == rules


@given(st.fixed_dictionaries({}, optional=_FIELDS))
def test_any_values_are_judged_without_an_exception(values: dict[str, Any]) -> None:
    cfg = VtaConfig(**values)
    found = violations(cfg)
    assert len({problem.constraint for problem in found}) == len(found)
    if found:
        return
    depths = (cfg.uop_depth, cfg.inp_depth, cfg.wgt_depth, cfg.acc_depth)
    assert all(1 <= depth <= 65536 for depth in depths)
    assert 32 <= cfg.burst_bytes <= 4096
    # Two statements of the same rule: the configuration's own, and the one that explains itself.
    assert cfg.fits_vta_encoding == (vta_encoding_problem(cfg) is None)


@given(st.fixed_dictionaries(_FIELDS), st.fixed_dictionaries(_FIELDS))
def test_rules_read_only_the_fields_they_name(a: dict[str, Any], b: dict[str, Any]) -> None:
    first, second = VtaConfig(**a), VtaConfig(**b)
    if any(found.constraint in FIELD_NAMES for found in (*violations(first), *violations(second))):
        return
    for rule in RULES:
        mixed = replace(second, **{name: getattr(first, name) for name in rule.fields})
        assert rule.check(mixed) == rule.check(first)


def test_core_fields_are_fields() -> None:
    assert set(FIELD_NAMES) > CORE_FIELDS
    assert len({rule.name for rule in RULES}) == len(RULES)
