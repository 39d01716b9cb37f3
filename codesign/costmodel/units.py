"""A layer apart from a configuration, and the unit that it becomes on one.

A layer leaves open what the configuration decides. ``bias_tiles`` is 1, or more where the layer
asks for more. A border of ``-p`` belongs to a tensor that a convolution pads by ``p`` rows and
columns with zeros: LOAD pads on the way where its fields hold ``p``; elsewhere the tensor carries
the border in DRAM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial

from codesign.hw.config import VtaConfig
from codesign.kernels.constants import default_bias_tiles
from codesign.kernels.workload import ConvWorkload, ElementwiseWorkload, GatherWorkload, Workload

_MOST_LOADED_PADDING = 15
"""LOAD's pad fields have four bits and count tiles of BLOCK_IN channels (VTA_SPEC.md 2)."""


def on_config(layer: Workload, config: VtaConfig) -> Workload:
    """The unit of ``layer`` on ``config``: a bias takes at least the tiles that it needs there,
    and tensors carry the borders that LOAD cannot make there."""
    layer = _with_borders(layer, partial(_border, ratio=_ratio(config)))
    if not isinstance(layer, ConvWorkload):
        return layer
    return replace(layer, bias_tiles=max(layer.bias_tiles, default_bias_tiles(config)))


def off_config(unit: Workload, config: VtaConfig) -> Workload:
    """The layer of a unit: ``bias_tiles`` 1 where the unit has just what ``config`` needs.

    Layers of different configurations are then equal, which grouping and counting rest on. The
    unit's borders stay: what its tensors' readers pad is not known from the unit.
    """
    if not isinstance(unit, ConvWorkload) or unit.bias_tiles != default_bias_tiles(config):
        return unit
    return replace(unit, bias_tiles=1)


def loaded(layer: Workload) -> Workload:
    """The layer where LOAD pads whatever a border was left open for."""
    return _with_borders(layer, lambda border: max(border, 0))


def settled(layer: Workload, configs: Sequence[VtaConfig]) -> Workload:
    """The layer for use on ``configs`` only: a border is settled on which all of them agree."""
    ratios = [_ratio(config) for config in configs]

    def agreed(border: int) -> int:
        least, most = (_border(border, ratio) for ratio in (min(ratios), max(ratios)))
        return least if least == most else border

    return _with_borders(layer, agreed)


def placed(
    layers: Sequence[Workload], configs: Sequence[VtaConfig]
) -> Iterator[tuple[list[int], list[Workload]]]:
    """Places of configurations on which every layer becomes the same unit, and these units."""
    open_borders = any(loaded(layer) != layer for layer in layers)
    alike: dict[tuple[int, int], list[int]] = {}
    for place, config in enumerate(configs):
        ratio = _ratio(config) if open_borders else 1
        alike.setdefault((default_bias_tiles(config), ratio), []).append(place)
    for places in alike.values():
        yield places, [on_config(layer, configs[places[0]]) for layer in layers]


def _ratio(config: VtaConfig) -> int:
    """Tiles of BLOCK_IN channels that a pixel of a tensor takes side by side."""
    return max(1, config.block_out // config.block_in)


def _border(border: int, ratio: int) -> int:
    """A border on a configuration; it agrees with the compiler's `needed_border`."""
    if border >= 0:
        return border
    return -border if -border * ratio > _MOST_LOADED_PADDING else 0


def _with_borders(layer: Workload, change: Callable[[int], int]) -> Workload:
    """The layer with every border changed; itself where nothing changes."""
    out = change(layer.out_border)
    if isinstance(layer, ElementwiseWorkload | GatherWorkload):
        several = tuple(change(border) for border in layer.in_borders)
        if (several, out) == (layer.in_borders, layer.out_border):
            return layer
        return replace(layer, in_borders=several, out_border=out)
    own = change(layer.in_border)
    if (own, out) == (layer.in_border, layer.out_border):
        return layer
    return replace(layer, in_border=own, out_border=out)
