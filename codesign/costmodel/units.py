"""A layer apart from a configuration, and the unit that it becomes on one."""

from __future__ import annotations

from dataclasses import replace

from codesign.hw.config import VtaConfig
from codesign.kernels.constants import default_bias_tiles
from codesign.kernels.workload import ConvWorkload, Workload


def on_config(layer: Workload, config: VtaConfig) -> Workload:
    """The unit of ``layer`` on ``config``: a bias takes at least the tiles that it needs there."""
    if not isinstance(layer, ConvWorkload):
        return layer
    return replace(layer, bias_tiles=max(layer.bias_tiles, default_bias_tiles(config)))


def off_config(unit: Workload, config: VtaConfig) -> Workload:
    """The layer of a unit: ``bias_tiles`` 1 where the unit has just what ``config`` needs.

    Layers of different configurations are then equal, which grouping and counting rest on.
    """
    if not isinstance(unit, ConvWorkload) or unit.bias_tiles != default_bias_tiles(config):
        return unit
    return replace(unit, bias_tiles=1)
