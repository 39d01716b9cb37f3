"""Where the activations of a region lie in DRAM: memory shared by tensors that never live together.

A tensor lives from the unit that writes it (an input: from the start) to the last unit that reads
it (an output: to the end), both included. Sharing is safe although units overlap in time: unit j,
which writes into memory that units before it have read, stores only after its own computes; those
run, in order, after the computes of every earlier unit, each of which had waited for its loads. So
a chain of tokens leads from the last load of the old tensor (LOAD to COMPUTE), over COMPUTE's
order, to the first store of the new one (COMPUTE to STORE). Two stores keep the order of STORE.
A load of the new tensor waits for its stores like any load of what another unit wrote.

A border is written once, when the memory image is made, and no store touches it. So tensors with a
border only share memory with tensors of the same height, width, border and zero point, whose
borders lie at the same bytes and hold the same value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codesign.compiler.graph import TensorSpec, UnitGraph, is_part, storage
from codesign.hw.config import VtaConfig
from codesign.kernels import Blocking, TensorLayout

PAGE_BYTES = 4096


@dataclass(frozen=True)
class Life:
    """A tensor with its own memory: bytes, and first and last position in the order of units.

    Inputs begin at -1, outputs end at the number of units.
    """

    spec: TensorSpec
    nbytes: int
    first: int
    last: int

    def meets(self, other: Life) -> bool:
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class ActivationMap:
    """Byte addresses of all tensors by name, views included, and the bytes they take together."""

    addresses: dict[str, int]
    nbytes: int


def place(graph: UnitGraph, cfg: VtaConfig, *, share: bool = True) -> ActivationMap:
    """Addresses from 0 on, page by page; without ``share`` every tensor has its own memory."""
    lives = lifetimes(graph, cfg)
    owners: dict[str, int] = {}
    plain = [life for life in lives if not life.spec.border]
    bordered = [life for life in lives if life.spec.border]
    if share:
        position = _shared(plain, owners)
        for geometry in dict.fromkeys(_geometry(life) for life in bordered):
            same = [life for life in bordered if _geometry(life) == geometry]
            position = _slots(same, owners, position)
    else:
        position = _one_by_one(lives, owners)
    addresses = {
        name: owners[storage(graph, name).name] + _offset(graph, name, cfg)
        for name in graph.tensors
    }
    return ActivationMap(addresses, position)


def lifetimes(graph: UnitGraph, cfg: VtaConfig) -> list[Life]:
    """Every tensor that owns memory, with the lives of its views joined."""
    first: dict[str, int] = {}
    last: dict[str, int] = {}

    def touch(name: str, position: int) -> None:
        owner = storage(graph, name).name
        first[owner] = min(first.get(owner, position), position)
        last[owner] = max(last.get(owner, position), position)

    for name in graph.inputs:
        touch(name, -1)
    for position, unit in enumerate(graph.units):
        for name in (*unit.inputs, unit.output):
            touch(name, position)
    for name in graph.outputs:
        touch(name, len(graph.units))
    return [
        Life(spec, _pages(layout_of(spec).nbytes(cfg)), first[name], last[name])
        for name, spec in graph.tensors.items()
        if name in first
    ]


def layout_of(spec: TensorSpec) -> TensorLayout:
    """The DRAM layout of a tensor that owns its memory."""
    return TensorLayout(*spec.shape, spec.border)


def _geometry(life: Life) -> tuple[int, ...]:
    spec = life.spec
    return (*spec.shape[1:], spec.border, spec.zero_point)


def _one_by_one(lives: Sequence[Life], owners: dict[str, int]) -> int:
    position = 0
    for life in lives:
        owners[life.spec.name] = position
        position += life.nbytes
    return position


def _shared(lives: Sequence[Life], owners: dict[str, int]) -> int:
    """The tightest of three placements; returns its bytes.

    Slots are at their best in chains (two of them), first fit where sizes differ a lot.
    """
    by_size = sorted(lives, key=lambda life: -life.nbytes)
    made: list[tuple[int, dict[str, int]]] = []
    for order, strategy in ((by_size, _first_fit), (lives, _first_fit), (lives, _slots)):
        found: dict[str, int] = {}
        made.append((strategy(order, found), found))
    end, best = min(made, key=lambda option: option[0])
    owners.update(best)
    return end


def _first_fit(lives: Sequence[Life], owners: dict[str, int]) -> int:
    """In this order, each at the lowest address that no tensor alive with it covers."""
    placed: list[Life] = []
    end = 0
    for life in lives:
        address = 0
        for other in sorted(placed, key=lambda other: owners[other.spec.name]):
            start = owners[other.spec.name]
            if life.meets(other) and address + life.nbytes > start:
                address = max(address, start + other.nbytes)
        owners[life.spec.name] = address
        placed.append(life)
        end = max(end, address + life.nbytes)
    return end


def _slots(lives: Sequence[Life], owners: dict[str, int], position: int = 0) -> int:
    """As many slots as tensors live together; each tensor takes the free one of nearest size."""
    slots: list[list[Life]] = []
    for life in sorted(lives, key=lambda life: life.first):
        free = [slot for slot in slots if not any(life.meets(other) for other in slot)]
        if not free:
            slots.append([life])
            continue
        min(free, key=lambda slot: abs(_largest(slot) - life.nbytes)).append(life)
    for slot in slots:
        for life in slot:
            owners[life.spec.name] = position
        position += _largest(slot)
    return position


def _largest(slot: Sequence[Life]) -> int:
    return max(life.nbytes for life in slot)


def _offset(graph: UnitGraph, name: str, cfg: VtaConfig) -> int:
    """Bytes from the start of the memory's owner to a tensor: groups of channels lie in order."""
    spec = graph.tensors[name]
    if not spec.view_of:
        return 0
    outer = _offset(graph, spec.view_of, cfg)
    if not is_part(graph, spec):
        return outer
    group = Blocking.of(cfg).group
    if spec.first_channel % group:
        raise ValueError(
            f"{name} starts at channel {spec.first_channel} of {spec.view_of}; parts start at "
            f"multiples of {group}, the channel group of the configuration"
        )
    owner = storage(graph, name)
    layout = TensorLayout(group, *spec.shape[1:], owner.border)
    return outer + spec.first_channel // group * layout.nbytes(cfg)


def _pages(nbytes: int) -> int:
    return -(-nbytes // PAGE_BYTES) * PAGE_BYTES
