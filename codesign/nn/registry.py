"""Network spaces by name: those of the product, and those of installed packages."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

from codesign.errors import ModelError
from codesign.nn.alphanet import AlphaNet
from codesign.nn.darts import Darts
from codesign.nn.mnasnet import MnasNet
from codesign.nn.mobilenet8 import MobileNet8
from codesign.nn.naf import Naf
from codesign.nn.nahas import NahasS1, NahasS2, NahasS3
from codesign.nn.nasbench201 import NasBench201
from codesign.nn.nbmacro import NasBenchMacro
from codesign.nn.space import NetworkSpace

ENTRY_POINTS = "codesign.network_spaces"
"""Group of the entry points by which an installed package adds spaces."""

_SPACES: dict[str, type[NetworkSpace]] = {
    "nasbench201": NasBench201,
    "nbmacro": NasBenchMacro,
    "mnasnet": MnasNet,
    "mobilenet8": MobileNet8,
    "nahas-s1": NahasS1,
    "nahas-s2": NahasS2,
    "nahas-s3": NahasS3,
    "alphanet": AlphaNet,
    "naf": Naf,
    "darts": Darts,
}


def space_names() -> tuple[str, ...]:
    plugins = [point.name for point in entry_points(group=ENTRY_POINTS)]
    return (*_SPACES, *sorted(set(plugins) - set(_SPACES)))


def load_network_space(
    name: str, dataset: str | None = None, resolution: int | None = None
) -> NetworkSpace:
    """The space called ``name``; ``None`` takes the space's own data set and resolution."""
    options: dict[str, Any] = {"dataset": dataset, "resolution": resolution}
    given = {option: value for option, value in options.items() if value is not None}
    if name in _SPACES:
        return _SPACES[name](**given)
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == name:
            return point.load()(**given)
    raise ModelError(f"unknown network space {name!r}; known: {', '.join(space_names())}")
