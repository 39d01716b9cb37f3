# pyright: reportUnknownMemberType=false
"""How tensors enter and leave a region: folded patches, channels last, parts; the file format."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import codesign
from codesign.compiler.graph import TensorSpec, UnitGraph, evaluate
from codesign.compiler.graph_file import from_json, to_json
from codesign.compiler.program import parse, serialize
from codesign.compiler.verify_region import call_region, create_module, random_inputs
from codesign.errors import PackageError
from codesign.kernels import PatchFold, TensorLayout, fold_input, pack
from tests.compiler import regions
from tests.compiler.regions import add, conv, graph, tensor

CFG = codesign.load_config("pynq")
Pair = tuple[int, int]
WIDE = dataclasses.replace(CFG, log_batch=1)


def folded(
    image: tuple[int, int, int], step: Pair, patch: Pair, before: Pair = (0, 0)
) -> dict[str, Any]:
    return {"image": image, "fold": PatchFold(step, patch, before)}


def copied(spec: TensorSpec, *, batch: int = 3) -> UnitGraph:
    """A region that rescales one input into one output with the same outside form."""
    target = dataclasses.replace(spec, name="y", border=0, fold=None, image=None)
    if spec.fold is not None:
        target = dataclasses.replace(target, rank=4)
    return graph([spec, target], [add("u", (spec,), target)], ["x"], ["y"], batch)


def check_exact(made: UnitGraph, cfg: codesign.VtaConfig, seed: int = 0) -> None:
    inputs = random_inputs(made, np.random.default_rng(seed))
    got = call_region(create_module(regions.program_of(made, cfg)), made, inputs)
    for wanted, array in zip(evaluate(made, inputs), got, strict=True):
        np.testing.assert_array_equal(array, wanted)


@pytest.mark.parametrize("cfg", [CFG, WIDE])
@pytest.mark.parametrize(
    "spec",
    [
        tensor("x", (20, 5, 3), 9, unsigned=True, border=2),
        tensor("x", (20, 1, 1), rank=2),
        tensor("x", (20, 7, 1), rank=3),
        tensor("x", (20, 1, 7), rank=3, channel_last=True),
        tensor("x", (20, 5, 3), -4, rank=4, channel_last=True, unsigned=True, border=1),
        tensor("x", (36, 4, 3), -7, **folded((3, 8, 7), (2, 2), (4, 3), (1, 1))),
        tensor(
            "x",
            (8, 3, 3),
            5,
            fold=PatchFold((3, 2), (2, 2), (0, 0)),
            image=(2, 7, 6),
            unsigned=True,
        ),
    ],
)
def test_outside_forms(spec: TensorSpec, cfg: codesign.VtaConfig) -> None:
    check_exact(copied(spec), cfg)
    assert from_json(*to_json(copied(spec))).tensors["x"] == spec


def test_fold_is_its_definition() -> None:
    rng = np.random.default_rng(1)
    image = rng.integers(-128, 128, (2, 3, 7, 6)).astype(np.int8)
    fold, size = PatchFold((2, 3), (3, 2), (1, -1)), (4, 3)
    folded = fold_input(image, fold, *size, 11)
    for y, x, dy, dx, c in np.ndindex(*size, 3, 2, 3):
        row, column = y * 2 + dy - 1, x * 3 + dx + 1
        inside = 0 <= row < 7 and 0 <= column < 6
        wanted = image[:, c, row, column] if inside else [11, 11]
        np.testing.assert_array_equal(folded[:, (dy * 2 + dx) * 3 + c, y, x], wanted)


def test_parts_are_written_and_read_where_they_lie() -> None:
    """Concat without copies: three units write channels of one tensor, a fourth reads some."""
    rng = np.random.default_rng(0)
    x = tensor("x", (24, 5, 4), 3, border=1)
    whole = tensor("w", (53, 5, 4), 3, border=1, unsigned=True)
    parts = [
        tensor(f"p{i}", (n, 5, 4), 3, border=1, view_of="w", first_channel=first)
        for i, (first, n) in enumerate([(0, 16), (16, 32), (48, 5)])
    ]
    middle = tensor("m", (20, 5, 4), 3, border=1, view_of="p1", first_channel=16)
    middle = dataclasses.replace(middle, shape=(16, 5, 4))
    y = tensor("y", (16, 5, 4))
    units = [conv(f"u{i}", x, part, CFG, rng) for i, part in enumerate(parts)]
    units += [conv("all", whole, y, CFG, rng), add("some", (middle, y), tensor("z", y.shape))]
    specs = [x, whole, *parts, middle, y, tensor("z", y.shape)]
    made = graph(specs, units, ["x"], ["w", "y", "z", "p2"])
    check_exact(made, CFG)
    assert from_json(*to_json(made)).tensors == made.tensors


def test_memory_image_holds_constants_and_borders() -> None:
    x = tensor("x", (20, 5, 3), -4, border=2)
    program = regions.program_of(copied(x), CFG)
    image = np.frombuffer(bytes(create_module(program)["initial_memory"]()), np.uint8)
    layout = TensorLayout(20, 5, 3, 2)
    wanted = pack(np.zeros((1, 20, 5, 3), np.int8), layout, CFG, -4)
    start = program.addresses["x"]
    np.testing.assert_array_equal(image[start : start + wanted.size], wanted)
    for address, data in program.constants:
        np.testing.assert_array_equal(image[address : address + data.size], data)


def test_program_is_read_back() -> None:
    made = regions.random_graph(CFG, np.random.default_rng(5))
    program = regions.program_of(made, CFG)
    data = serialize(program)
    again = parse(data, made, CFG)
    assert serialize(again) == data
    assert again.addresses == program.addresses
    assert [s.units for s in again.streams] == [s.units for s in program.streams]
    with pytest.raises(PackageError, match="another configuration"):
        parse(data, made, WIDE)
    with pytest.raises(PackageError, match="truncated"):
        parse(data[:-9], made, CFG)
    with pytest.raises(PackageError, match="tensor x is not in the graph"):
        parse(serialize(regions.program_of(copied(tensor("x", (20, 5, 3))), CFG)), made, CFG)


def test_foreign_and_damaged_programs_are_refused() -> None:
    import tvm

    program = regions.program_of(copied(tensor("x", (20, 5, 3))), CFG)
    data = bytearray(serialize(program))
    create_module(program)
    create = tvm.get_global_func("vta.module_create")
    with pytest.raises(ValueError, match="another version"):
        create(b"VTAPROG1" + bytes(data[8:]))
    for end in range(0, len(data), 997):
        with pytest.raises(ValueError, match=r"truncated|version"):
            create(bytes(data[:end]))
    for at in range(8, data.find(b"region"), 8):  # numbers out of every range
        damaged = bytearray(data)
        damaged[at : at + 8] = (1 << 62).to_bytes(8, "little")
        with pytest.raises(ValueError):
            create(bytes(damaged))
