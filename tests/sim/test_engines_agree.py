"""C++ core == executable specification, on random programs over random configurations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codesign.hw.config import VtaConfig
from codesign.hw.feasibility import violations
from codesign.testing.engines import assert_engines_agree
from codesign.testing.programs import random_config, random_program


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), length=st.integers(2, 60))
def test_random_programs(seed: int, length: int) -> None:
    rng = np.random.default_rng(seed)
    cfg = random_config(rng)
    assert_engines_agree(cfg, random_program(rng, cfg, length))


@pytest.mark.long
@pytest.mark.parametrize("seed", range(100))
def test_a_thousand_random_programs(seed: int) -> None:
    rng = np.random.default_rng([seed, 20])
    cfg = random_config(rng)
    for _ in range(10):
        assert_engines_agree(cfg, random_program(rng, cfg, int(rng.integers(2, 120))))


def test_configurations_vary_and_are_legal() -> None:
    configs = [random_config(np.random.default_rng(seed)) for seed in range(60)]
    assert not any(violations(cfg) for cfg in configs)
    assert len({cfg.bus_bits for cfg in configs}) == 4
    assert {cfg.instruction_encoding for cfg in configs} == {"vta", "wide"}
    assert any(cfg.block_in != cfg.block_out for cfg in configs)
    assert any(cfg.batch > 1 for cfg in configs)


def test_the_same_seed_gives_the_same_program() -> None:
    one, two = (random_program(np.random.default_rng(3), VtaConfig(), 30) for _ in range(2))
    assert (one.instructions == two.instructions).all()
    assert (one.memory == two.memory).all()
