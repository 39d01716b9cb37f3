# pyright: reportUnknownMemberType=false
# numpy leaves the type of reshaped arrays partly unknown.
"""The accelerator program of a region: one DRAM image, and instruction streams of its units.

Serialised for `codesign/sim/csrc/region_program.cc`. All integers are little-endian int64, texts
and blobs are a length and bytes, lists a count and items, in this order:

* ``b"VTAPROG2"``; list of the machine's parameters (`codesign.sim.native.config_fields`);
* region name; batch; memory bytes; list of (address, blob) constants;
* list of tensors: name, address, C, H, W, border, zero point, unsigned; outside: elements of an
  image and steps of channel, row, column; folded (0, 1) and, if 1, the fold's step, patch, before,
  each (rows, columns), and C, H, W of the image;
* list of input and list of output indices into them;
* list of streams: instruction blob, list of (unit name, index of its last STORE).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.graph import UnitGraph, layout_owner, storage
from codesign.errors import PackageError
from codesign.hw.config import VtaConfig
from codesign.sim import native

MAGIC = b"VTAPROG2"


@dataclass(frozen=True, eq=False)
class UnitStream:
    """One launch of the machine: instructions uint8 ``[n, instruction_bytes]`` and its units.

    ``units`` are names in the order of execution, ``last`` the index of each one's last STORE.
    """

    instructions: NDArray[np.uint8]
    units: tuple[str, ...]
    last: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class RegionProgram:
    """All that the machine needs to run a region from address 0 on.

    ``addresses`` are bytes by tensor name, ``constants`` (address, uint8 bytes), ``streams`` in
    the order of launches: one (compose "overlap"), or one for each unit (compose "exact").
    """

    graph: UnitGraph
    cfg: VtaConfig
    addresses: dict[str, int]
    constants: tuple[tuple[int, NDArray[np.uint8]], ...]
    streams: tuple[UnitStream, ...]
    memory_bytes: int


def serialize(program: RegionProgram) -> bytes:
    """The program as the runtime module reads it."""
    graph = program.graph
    order = list(graph.tensors)
    parts: list[bytes] = [MAGIC, _integers(native.config_values(program.cfg), counted=True)]
    parts += [_blob(graph.name.encode()), _integers((graph.batch, program.memory_bytes))]
    parts.append(_integers((len(program.constants),)))
    for address, data in program.constants:
        parts += [_integers((address,)), _blob(data.tobytes())]
    parts.append(_integers((len(order),)))
    for name in order:
        parts += [_blob(name.encode()), _integers(_tensor(graph, name, program.addresses[name]))]
    for names in (graph.inputs, graph.outputs):
        parts.append(_integers([order.index(name) for name in names], counted=True))
    parts.append(_integers((len(program.streams),)))
    for stream in program.streams:
        parts += [_blob(stream.instructions.tobytes()), _integers((len(stream.units),))]
        for name, last in zip(stream.units, stream.last, strict=True):
            parts += [_blob(name.encode()), _integers((last,))]
    return b"".join(parts)


def parse(data: bytes, graph: UnitGraph, cfg: VtaConfig) -> RegionProgram:
    """The inverse of `serialize`, with the graph and the configuration that it belongs to.

    Raises
    ------
    PackageError
        foreign bytes, or a program of another graph or configuration.
    """
    source = _Reader(data)
    if source.take(len(MAGIC)) != MAGIC:
        raise PackageError(f"{graph.name}: the program is foreign, or of another version")
    if source.integers(source.integer()) != tuple(native.config_values(cfg)):
        raise PackageError(f"{graph.name}: the program is for another configuration")
    source.blob()
    _, memory_bytes = source.integers(2)
    constants = tuple(
        (source.integer(), np.frombuffer(source.blob(), np.uint8)) for _ in range(source.integer())
    )
    addresses: dict[str, int] = {}
    for _ in range(source.integer()):
        name = source.blob().decode()
        addresses[name] = source.integer()
        if name not in graph.tensors:
            raise PackageError(f"{graph.name}: the program's tensor {name} is not in the graph")
        expected = _tensor(graph, name, addresses[name])[1:]
        if list(source.integers(len(expected))) != expected:
            raise PackageError(f"{graph.name}: the program's tensor {name} is not the graph's")
    for _ in (graph.inputs, graph.outputs):
        source.integers(source.integer())
    streams: list[UnitStream] = []
    for _ in range(source.integer()):
        raw = np.frombuffer(source.blob(), np.uint8).reshape(-1, cfg.instruction_bytes)
        units = [(source.blob().decode(), source.integer()) for _ in range(source.integer())]
        streams.append(UnitStream(raw, tuple(n for n, _ in units), tuple(i for _, i in units)))
    return RegionProgram(graph, cfg, addresses, constants, tuple(streams), memory_bytes)


def _tensor(graph: UnitGraph, name: str, address: int) -> list[int]:
    # A reshape lies as the tensor that it is a view of, whose order of elements it shares.
    spec = replace(graph.tensors[name], shape=layout_owner(graph, name).shape)
    values = [address, *spec.shape, storage(graph, name).border, spec.zero_point]
    values += [int(spec.unsigned), int(np.prod(spec.image or spec.shape)), *spec.outside_steps]
    if spec.fold is None or spec.image is None:
        return [*values, 0]
    fold = spec.fold
    return [*values, 1, *fold.step, *fold.patch, *fold.before, *spec.image]


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._position = data, 0

    def take(self, size: int) -> bytes:
        part = self._data[self._position : self._position + size]
        if size < 0 or len(part) < size:
            raise PackageError("a region's program is truncated")
        self._position += size
        return part

    def integer(self) -> int:
        return self.integers(1)[0]

    def integers(self, count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}q", self.take(8 * count))

    def blob(self) -> bytes:
        return self.take(self.integer())


def _integers(values: Iterable[int], *, counted: bool = False) -> bytes:
    listed = list(values)
    if counted:
        listed = [len(listed), *listed]
    return struct.pack(f"<{len(listed)}q", *listed)


def _blob(data: bytes) -> bytes:
    return struct.pack("<q", len(data)) + data
