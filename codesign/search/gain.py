"""What choosing network and accelerator together gains over choosing one after the other.

Exact, from a joint table: N networks x C configurations of one figure to be minimised.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """A pair and its figure."""

    network: int
    config: int
    figure: float


@dataclass(frozen=True)
class Gain:
    """The best pair against the best of the decoupled ones, at equal accuracy and resources.

    Both networks reach ``accuracy`` (percent), both configurations are of the class ``resources``.
    """

    accuracy: float
    resources: Hashable
    decoupled: Choice
    joint: Choice

    @property
    def possible(self) -> float:
        """The greatest gain there is: the share of the decoupled pair's figure saved."""
        return 1.0 - self.joint.figure / self.decoupled.figure

    def captured(self, figure: float) -> float:
        """Share of the possible gain that a pair with ``figure`` has; 1 where there is none."""
        saved = self.decoupled.figure - self.joint.figure
        return (self.decoupled.figure - figure) / saved if saved > 0 else 1.0


def gains(
    accuracy: Floats,
    figure: Floats,
    resources: Sequence[Hashable],
    reference: tuple[int, int],
    floors: Iterable[float],
) -> list[Gain]:
    """The gain at every accuracy floor in every class of configurations with equal resources.

    ``accuracy`` [N]; ``figure`` [N, C], inf where a pair cannot be built; ``resources`` [C], such
    as (SRAM, multipliers); ``reference``: the (network, configuration) that a decoupled choice
    knows. Where no network reaches a floor, there is no gain to speak of.
    """
    classes: dict[Hashable, list[int]] = {}
    for config, resource in enumerate(resources):
        classes.setdefault(resource, []).append(config)
    found: list[Gain] = []
    for floor in floors:
        networks = np.flatnonzero(accuracy >= floor).astype(np.int64)
        if not len(networks):
            continue
        for resource, members in classes.items():
            configs = np.array(members, np.int64)
            joint = _least(figure, networks, configs)
            if np.isfinite(joint.figure):
                decoupled = best_decoupled(figure, networks, configs, reference)
                found.append(Gain(floor, resource, decoupled, joint))
    return found


def best_decoupled(
    figure: Floats, networks: Indices, configs: Indices, reference: tuple[int, int]
) -> Choice:
    """The better of both orders.

    Network first: the best for the reference configuration, then the best of ``configs`` for it.
    Hardware first: the best of ``configs`` for the reference network, then the best network on it.
    """
    reference_network, reference_config = np.array([reference[0]]), np.array([reference[1]])
    network = _least(figure, networks, reference_config).network
    config = _least(figure, reference_network, configs).config
    network_first = _least(figure, np.array([network]), configs)
    hardware_first = _least(figure, networks, np.array([config]))
    return min(network_first, hardware_first, key=lambda choice: choice.figure)


def _least(figure: Floats, networks: Indices, configs: Indices) -> Choice:
    """The pair of the least figure; the first of equals."""
    grid = figure[np.ix_(networks, configs)]
    row, column = divmod(int(grid.argmin()), len(configs))
    return Choice(int(networks[row]), int(configs[column]), float(grid[row, column]))
