"""All pairs of a problem as a count matrix over unique units: never one object per pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ConfigError
from codesign.hw.area import RESOURCES, area
from codesign.hw.config import VtaConfig
from codesign.hw.loader import load_config
from codesign.hw.space import load_space
from codesign.kernels.workload import Workload
from codesign.nn import AccuracyKind, AccuracySource, TableAccuracy
from codesign.search.accuracy import accuracy_source
from codesign.search.networks import Networks, Progress, load_networks
from codesign.search.problem import HardwareChoice, Problem

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """N networks x C configurations.

    ``counts`` int64 [N, U]: how often a network has a unit of ``units``; ``accuracy`` float64
    [N], percent. A network's cycles on a configuration are its counts times the units' cycles.
    """

    networks: Networks
    configs: tuple[VtaConfig, ...]
    units: tuple[Workload, ...]
    counts: NDArray[np.int64]
    accuracy: Floats
    accuracy_kind: AccuracyKind

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.networks.names), len(self.configs)

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @cached_property
    def connected(self) -> NDArray[np.bool_]:
        """bool [N]: whether the network's output depends on its input."""
        return self.counts.sum(axis=1) > 0

    @cached_property
    def hardware(self) -> Mapping[str, Floats]:
        """`HARDWARE_METRICS`, each float64 [C]; all but ``sram_kib`` are estimated."""
        areas = [area(config) for config in self.configs]
        found = {name: np.array([float(getattr(a, name)) for a in areas]) for name in RESOURCES}
        return {"sram_kib": np.array([c.sram_bytes / 1024 for c in self.configs]), **found}

    @cached_property
    def ms_per_cycle(self) -> Floats:
        """float64 [C]."""
        return np.array([1e-3 / config.frequency_mhz for config in self.configs])

    def total(self, table: Floats) -> Floats:
        """Network cycles float64 [N, C] from unit cycles [U, C]; nan where a unit has none."""
        missing = np.isnan(table)
        cycles = self.counts @ np.where(missing, 0.0, table)
        broken = (self.counts > 0).astype(np.int64) @ missing.astype(np.int64) > 0
        return np.where(broken | ~self.connected[:, None], np.nan, cycles)

    def network_units(self, network: int) -> list[tuple[Workload, int]]:
        """Units of one network with their counts, ``bias_tiles`` not yet fixed."""
        row = self.counts[network]
        return [(self.units[int(u)], int(row[u])) for u in np.flatnonzero(row)]


def load_configs(choice: HardwareChoice) -> tuple[VtaConfig, ...]:
    """The configurations of a problem, each with a name of its own."""
    if choice.space is not None:
        configs = tuple(load_space(choice.space).configs())
    else:
        configs = tuple(load_config(name) for name in choice.configs)
    names = [config.name for config in configs]
    if not configs:
        raise ConfigError(f"[hardware] space {choice.space!r} has no feasible configuration")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError(f"[hardware]: configuration names appear twice: {', '.join(twice)}")
    return configs


def load_pairs(
    problem: Problem, accuracy: AccuracySource | None = None, progress: Progress | None = None
) -> Pairs:
    """Networks, configurations, unique units and accuracies of a problem."""
    configs = load_configs(problem.hardware)
    source = accuracy
    if source is None:
        source = accuracy_source(problem.network, problem.accuracy, configs[0])
    known = source.networks() if isinstance(source, TableAccuracy) else None
    networks = load_networks(problem.network, configs, known)
    layers = networks.layers(progress)
    units: dict[Workload, int] = {}
    for network in layers:
        for workload, _ in network:
            units.setdefault(workload, len(units))
    counts = np.zeros((len(layers), len(units)), np.int64)
    for row, network in enumerate(layers):
        for workload, count in network:
            counts[row, units[workload]] += count
    return Pairs(
        networks, configs, tuple(units), counts, source.lookup(networks.names), source.what
    )
