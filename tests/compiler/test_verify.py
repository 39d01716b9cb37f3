# pyright: reportUnknownMemberType=false, reportPrivateUsage=false
"""Verification finds what is wrong, and says which layer and element."""

from __future__ import annotations

import dataclasses
from importlib import import_module
from typing import Any

import numpy as np
import pytest

import codesign
from codesign.compiler import Verifier
from codesign.compiler.compose import ComposedRegion, compose_region
from codesign.compiler.pipeline import Record, phases
from codesign.compiler.verify import EXACT
from codesign.compiler.verify_region import verify_region
from codesign.errors import VerificationError
from codesign.kernels import ConvParams
from tests.compiler import regions
from tests.compiler.regions import conv, graph, tensor
from tests.onnx_models import conv_net, samples

CFG = codesign.load_config("pynq")


def chain() -> tuple[ComposedRegion, Any]:
    rng = np.random.default_rng(0)
    specs = [tensor(f"t{i}", (20, 4, 4)) for i in range(4)]
    units = [conv(f"u{i}", specs[i], specs[i + 1], CFG, rng) for i in range(3)]
    made = graph(specs, units, ["t0"], ["t3"], batch=2)
    return regions.composed(made, CFG), made


def with_other_bias(region: ComposedRegion, made: Any, index: int) -> ComposedRegion:
    """The same program, with a reference that differs in one channel of one unit."""
    unit = made.units[index]
    assert isinstance(unit.params, ConvParams)
    bias = unit.params.bias.copy()
    bias[7] += 1 << 9
    units = list(made.units)
    units[index] = dataclasses.replace(unit, params=dataclasses.replace(unit.params, bias=bias))
    other = dataclasses.replace(made, units=tuple(units))
    return dataclasses.replace(region, program=dataclasses.replace(region.program, graph=other))


def test_a_right_region_passes() -> None:
    assert verify_region(chain()[0]) is None


@pytest.mark.parametrize("index", [0, 1, 2])
def test_the_first_wrong_layer_and_element_are_named(
    index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    region, made = chain()

    def unshared(*_: Any, **__: Any) -> ComposedRegion:
        built = compose_region(made, CFG, region.schedules, "exact", share=False)
        return with_other_bias(built, made, index)

    monkeypatch.setattr("codesign.compiler.verify_region.compose_region", unshared)
    found = verify_region(with_other_bias(region, made, index))
    assert found is not None
    assert (found.level, found.region, found.layer) == ("instruction", "region", f"u{index}")
    assert found.index[1] == 7
    assert f"layer u{index}: element (1, 7, " in str(found)
    assert f"is {found.got}, wanted {found.wanted}" in str(found)


def test_wrong_sharing_is_found_at_region_level() -> None:
    region, _ = chain()
    program = region.program
    elsewhere = {**program.addresses, "t0": program.addresses["t0"] + 16}
    broken = dataclasses.replace(program, addresses=elsewhere)
    found = verify_region(dataclasses.replace(region, program=broken))
    assert found is not None
    assert (found.level, found.layer) == ("region", "u2")


def test_compiling_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> ComposedRegion:
        region = compose_region(*arguments, **options)
        program = region.program
        data = program.constants[-1][1].copy()
        data[-4096:] ^= 1
        constants = (*program.constants[:-1], (program.constants[-1][0], data))
        return dataclasses.replace(
            region, program=dataclasses.replace(program, constants=constants)
        )

    monkeypatch.setattr(import_module("codesign.compiler.pipeline"), "compose_region", broken)

    def verify(_: str, made: Any) -> None:
        if isinstance(made, ComposedRegion):  # what a Verifier does with regions
            Verifier({})("region", made)

    with pytest.raises(VerificationError, match=r"vta_region_0, layer .*: element"):
        codesign.compile(conv_net(), CFG, calibration=samples(), callback=verify)


@pytest.mark.parametrize("phase", ["join_moves", "lower"])
@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_fail(phase: str, wrong: float) -> None:
    before = np.arange(6.0, dtype=np.float32).reshape(2, 3)
    after = before.copy()
    after[1, 2] = wrong
    for old, new in ((before, after), (after, before)):
        with pytest.raises(VerificationError, match=rf"phase {phase} .* output 0 at \(1, 2\)"):
            Verifier({})._compare(phase, [old], [new])
    Verifier({})._compare(phase, [after], [after.copy()])


@pytest.mark.parametrize("phase", sorted(EXACT))
def test_exact_phases_may_change_nothing(phase: str) -> None:
    before = np.ones((2, 3), np.float32)
    with pytest.raises(VerificationError, match=f"phase {phase} changed"):
        Verifier({})._compare(phase, [before], [before * np.float32(1.01)])
    Verifier({})._compare("lower", [before], [before * np.float32(1.01)])


def test_exact_phases_exist() -> None:
    steps = phases(CFG, None, "minmax", None, Record(), "exact")
    assert {name for name, _ in steps} >= EXACT


def test_a_run_names_the_first_wrong_element() -> None:
    package = codesign.compile(conv_net(), CFG, calibration=samples())
    (program,) = package.programs
    region = regions.composed(program.graph, CFG)
    index = next(i for i, u in enumerate(program.graph.units) if isinstance(u.params, ConvParams))
    wrong = with_other_bias(region, program.graph, index).program.graph
    programs = (dataclasses.replace(program, graph=wrong),)
    result = dataclasses.replace(package, programs=programs).run(samples(2))
    assert not result.outputs_match
    assert result.mismatches > 0
    assert result.first_mismatch is not None
    assert result.first_mismatch.startswith("vta_region_0, layer avg_pool2d_1: element (0, ")
    assert package.run(samples(2)).first_mismatch is None
