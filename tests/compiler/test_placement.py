# pyright: reportUnknownMemberType=false
"""Memory shared by tensors that never live together: how little, and exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import codesign
from codesign.compiler.compose import Compose
from codesign.compiler.graph import evaluate
from codesign.compiler.placement import lifetimes, place
from codesign.compiler.verify_region import (
    call_region,
    create_module,
    random_inputs,
    verify_region,
)
from codesign.isa import check
from tests.compiler import regions
from tests.compiler.regions import add, graph, tensor

CFG = codesign.load_config("pynq")


def test_a_chain_needs_its_two_largest_tensors() -> None:
    rng = np.random.default_rng(0)
    sizes = [int(n) for n in rng.integers(1, 30, 21)]
    specs = [tensor(f"t{i}", (16 * 256 * n, 1, 1)) for i, n in enumerate(sizes)]
    units = [
        add(f"u{i}", (specs[i],), dataclasses.replace(specs[i + 1], shape=specs[i].shape))
        for i in range(20)
    ]
    chain = graph(specs, units, ["t0"], ["t20"])
    two = sum(sorted(sizes)[-2:]) * 4096
    assert place(chain, CFG).nbytes <= two
    assert place(chain, CFG, share=False).nbytes == sum(sizes) * 4096


def test_tensors_that_live_together_never_share() -> None:
    for seed in range(40):
        made = regions.random_graph(CFG, np.random.default_rng(seed))
        placed = place(made, CFG)
        lives = lifetimes(made, CFG)
        for i, life in enumerate(lives):
            start = placed.addresses[life.spec.name]
            assert start + life.nbytes <= placed.nbytes
            for other in lives[:i]:
                begin = placed.addresses[other.spec.name]
                apart = start + life.nbytes <= begin or begin + other.nbytes <= start
                assert apart or not life.meets(other)
                if not apart and (life.spec.border or other.spec.border):
                    assert life.spec.shape[1:] == other.spec.shape[1:]
                    assert (life.spec.border, life.spec.zero_point) == (
                        other.spec.border,
                        other.spec.zero_point,
                    )


@pytest.mark.parametrize("compose", ["exact", "overlap"])
@pytest.mark.parametrize("seed", range(8))
def test_random_regions_are_exact(seed: int, compose: Compose) -> None:
    rng = np.random.default_rng(seed)
    cfg = dataclasses.replace(CFG, log_batch=seed % 2)
    made = regions.random_graph(cfg, rng)
    region = regions.composed(made, cfg, compose)
    program = region.program
    module = create_module(program)
    for _ in range(2):  # the second call finds what the first one left in memory
        inputs = random_inputs(made, rng)
        got = call_region(module, made, inputs)
        for name, wanted, array in zip(made.outputs, evaluate(made, inputs), got, strict=True):
            np.testing.assert_array_equal(array, wanted, err_msg=name)
    memory = np.frombuffer(bytes(module["initial_memory"]()), np.uint8).copy()
    for stream in program.streams:
        assert check(stream.instructions, cfg, memory=memory, base_address=0) == []


@pytest.mark.long
@pytest.mark.parametrize("compose", ["exact", "overlap"])
@pytest.mark.parametrize("seed", range(300))
def test_many_random_regions_are_exact(seed: int, compose: Compose) -> None:
    rng = np.random.default_rng(seed)
    log_batch, log_in = int(rng.integers(3)), int(rng.integers(2, 6))
    log_out = log_in if log_batch else int(rng.integers(2, 6))
    blocks = {"log_block_in": log_in, "log_block_out": log_out}
    cfg = dataclasses.replace(CFG, log_batch=log_batch, **blocks)
    made = regions.random_graph(cfg, rng, units=int(rng.integers(2, 14)))
    assert verify_region(regions.composed(made, cfg, compose), seed) is None


def test_sharing_saves_memory() -> None:
    made = regions.random_graph(CFG, np.random.default_rng(3), units=20)
    assert place(made, CFG).nbytes < place(made, CFG, share=False).nbytes * 0.6


def test_parts_start_at_channel_groups() -> None:
    whole = tensor("w", (40, 4, 4))
    part = tensor("p", (10, 4, 4), view_of="w", first_channel=20)
    made = graph([whole, part], [add("u", (whole,), whole)], ["w"], ["p"])
    with pytest.raises(ValueError, match="multiples of 16"):
        place(made, CFG)
