"""All pairs of a problem as a count matrix over unique units: never one object per pair."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel import settled
from codesign.errors import ConfigError
from codesign.hw.area import RESOURCES, area
from codesign.hw.config import VtaConfig
from codesign.hw.loader import load_config
from codesign.hw.space import load_space
from codesign.kernels.workload import Workload
from codesign.nn import AccuracyKind, AccuracySource, TableAccuracy
from codesign.search.accuracy import accuracy_source, short_schedule
from codesign.search.decisions import Decisions, of_configs, of_space
from codesign.search.networks import Networks, Progress, load_networks
from codesign.search.problem import HardwareChoice, Problem

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """N networks x C configurations.

    ``counts`` int64 [N, U]: how often a network has a unit of ``units``; ``accuracy`` float64
    [N], percent; ``short_accuracy`` the same after a short schedule that costs ``short_price`` of
    an evaluation, where the source has one. A network's cycles on a configuration are its counts
    times the units' cycles.
    """

    networks: Networks
    configs: tuple[VtaConfig, ...]
    units: tuple[Workload, ...]
    counts: NDArray[np.int64]
    accuracy: Floats
    accuracy_kind: AccuracyKind
    config_decisions: Decisions
    short_accuracy: Floats | None = None
    short_price: float | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.networks.names), len(self.configs)

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @cached_property
    def network_decisions(self) -> Decisions:
        """The networks as rows of integers."""
        return self.networks.decisions()

    @cached_property
    def connected(self) -> NDArray[np.bool_]:
        """bool [N]: whether the network has units, else `Networks.without_units` says why not."""
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
        return sums(self.counts, table)

    def network_units(self, network: int) -> list[tuple[Workload, int]]:
        """(unit, count) of each of ``units`` that one network has, in their order.

        Counts are Python integers from 1 on; the list is empty where `connected` is False. What a
        configuration decides (``bias_tiles``, borders) is open: `codesign.costmodel.on_config`.
        """
        row = self.counts[network]
        return [(self.units[int(u)], int(row[u])) for u in np.flatnonzero(row)]


def sums(counts: NDArray[np.int64], table: Floats) -> Floats:
    """Network cycles float64 [M, C] from ``counts`` [M, U] and unit cycles [U, C]; nan where a
    unit has none, and for a network without units."""
    missing = np.isnan(table)
    cycles = counts @ np.where(missing, 0.0, table)
    broken = (counts > 0).astype(float) @ missing.astype(float) > 0
    return np.where(broken | (counts.sum(axis=1) == 0)[:, None], np.nan, cycles)


def load_configs(choice: HardwareChoice) -> tuple[tuple[VtaConfig, ...], Decisions]:
    """The configurations of a problem, each with a name of its own, and their decisions."""
    if choice.space is not None:
        space = load_space(choice.space)
        if choice.samples is None or choice.samples >= space.count():
            configs = tuple(space.configs())
        else:
            configs = tuple(space.sample(choice.samples, np.random.default_rng(0)))
        decisions = of_space(space, configs)
    else:
        configs = tuple(load_config(name) for name in choice.configs)
        decisions = of_configs(configs)
    names = [config.name for config in configs]
    if not configs:
        raise ConfigError(f"[hardware] space {choice.space!r} has no feasible configuration")
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ConfigError(f"[hardware]: configuration names appear twice: {', '.join(twice)}")
    return configs, decisions


def load_pairs(
    problem: Problem, accuracy: AccuracySource | None = None, progress: Progress | None = None
) -> Pairs:
    """Networks, configurations, unique units and accuracies of a problem."""
    configs, decisions = load_configs(problem.hardware)
    source = accuracy
    if source is None:
        source = accuracy_source(problem.network, problem.accuracy, configs[0])
    known = source.networks() if isinstance(source, TableAccuracy) else None
    networks = load_networks(problem.network, configs, known)
    layers = networks.layers(progress)
    named = dict.fromkeys(workload for network in layers for workload, _ in network)
    units = {workload: settled(workload, configs) for workload in named}
    places = {unit: place for place, unit in enumerate(dict.fromkeys(units.values()))}
    counts = np.zeros((len(layers), len(places)), np.int64)
    for row, network in enumerate(layers):
        for workload, count in network:
            counts[row, places[units[workload]]] += count
    short, price = short_schedule(source)
    return Pairs(
        networks,
        configs,
        tuple(places),
        counts,
        source.lookup(networks.names),
        source.what,
        decisions,
        None if short is None else short.lookup(networks.names),
        price,
    )
