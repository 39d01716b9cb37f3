"""Which axis of each tensor of a region holds the channels, and how many images it holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from math import prod

from codesign.hw.config import VtaConfig
from relay_passes.moves import block_move, free_views, gather_form, layouts
from relay_passes.spec import QuantizedTensor, UnitSpec

_ANYWHERE = ("add", "requantize")
"""Kinds that serve either layout, as long as all their tensors have the same."""


@dataclass(frozen=True, eq=False)
class RegionUnit:
    """A unit of a region before it is fitted, and the tensors that it reads and writes."""

    name: str
    spec: UnitSpec
    inputs: tuple[str, ...]
    output: str

    @property
    def tensors(self) -> dict[str, QuantizedTensor]:
        return dict(
            zip((*self.inputs, self.output), (*self.spec.inputs, self.spec.output), strict=True)
        )


def with_layouts(
    units: Sequence[RegionUnit], cfg: VtaConfig
) -> tuple[int, list[RegionUnit], list[str]]:
    """Images in a call, units with the layout of every tensor, names of units that found none.

    Where the operators leave a choice, [N, T, C] has its channels last, [N, C, H, W] second.
    """
    batch = region_batch(units, cfg)
    allowed: dict[str, frozenset[bool]] = {}
    for unit in units:
        for name, tensor in unit.tensors.items():
            allowed[name] = frozenset(layouts(tensor, batch))
    failed = [unit.name for unit in units if not _narrow(unit, allowed, batch)]
    kept = [unit for unit in units if unit.name not in failed]
    _settle(kept, allowed, batch)
    for unit in kept:
        for name, tensor in unit.tensors.items():
            if len(allowed[name]) > 1:
                allowed[name] = frozenset({len(tensor.shape) == 3})
                _settle(kept, allowed, batch)
    failed += [unit.name for unit in kept if not _narrow(unit, allowed, batch)]
    return batch, [_laid_out(u, allowed, batch) for u in kept if u.name not in failed], failed


def region_batch(units: Iterable[RegionUnit], cfg: VtaConfig) -> int:
    """Images that enter the region together.

    Images with positions tell by their first axis. Rows of features ([N, C], [N, T, C]) are
    independent: they fill the batch lanes, and the rest are positions of one image.
    """
    rows: set[int] = set()
    for unit in units:
        for tensor in (*unit.spec.inputs, unit.spec.output):
            fixed = unit.spec.kind not in ("view", "gather", *_ANYWHERE) and not tensor.channel_last
            if len(tensor.shape) == 4 or (fixed and len(tensor.shape) == 3):
                return tensor.shape[0]
            rows.add(prod(tensor.shape[:-1]))
    return cfg.batch if all(count % cfg.batch == 0 for count in rows) else 1


def _choices(
    unit: RegionUnit, allowed: Mapping[str, frozenset[bool]], batch: int
) -> list[tuple[bool, ...]]:
    """Values of ``channel_last``, inputs then output, that the unit and its tensors allow."""
    spec = unit.spec
    domains = [allowed[name] for name in (*unit.inputs, unit.output)]
    if spec.kind == "view":
        return [pair for pair in free_views(spec, batch) if _within(pair, domains)]
    if spec.kind in _ANYWHERE or spec.kind == "gather":
        values = [
            last
            for last in (False, True)
            if spec.kind != "gather"
            or gather_form(spec, batch, last) is not None
            or block_move(spec, batch, last) is not None
        ]
        same = [(last,) * len(domains) for last in values]
        return [choice for choice in same if _within(choice, domains)]
    wanted = tuple(
        # [N, C] of N images is both.
        tensor.channel_last and not (len(tensor.shape) == 2 and tensor.shape[0] == batch)
        for tensor in (*spec.inputs, spec.output)
    )
    return [wanted] if _within(wanted, domains) else []


def _within(choice: tuple[bool, ...], domains: Sequence[frozenset[bool]]) -> bool:
    return any(choice == whole for whole in product(*domains))


def _narrow(unit: RegionUnit, allowed: dict[str, frozenset[bool]], batch: int) -> bool:
    """Keep what the unit allows of its tensors' layouts; False, and nothing changed, if none."""
    choices = _choices(unit, allowed, batch)
    if not choices:
        return False
    for index, name in enumerate((*unit.inputs, unit.output)):
        allowed[name] = frozenset(choice[index] for choice in choices)
    return True


def _settle(units: Sequence[RegionUnit], allowed: dict[str, frozenset[bool]], batch: int) -> None:
    while True:
        before = dict(allowed)
        for unit in units:
            _narrow(unit, allowed, batch)
        if allowed == before:
            return


def _laid_out(unit: RegionUnit, allowed: Mapping[str, frozenset[bool]], batch: int) -> RegionUnit:
    def laid(name: str, tensor: QuantizedTensor) -> QuantizedTensor:
        (last,) = allowed[name]
        return replace(tensor, batch=batch, channel_last=last)

    spec = unit.spec
    inputs = tuple(laid(n, t) for n, t in zip(unit.inputs, spec.inputs, strict=True))
    return replace(unit, spec=replace(spec, inputs=inputs, output=laid(unit.output, spec.output)))
