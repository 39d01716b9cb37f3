"""`View`: everything about a problem that is free. No accuracy and no T2 figure is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.workload import Workload
from codesign.search.decisions import Choices
from codesign.search.pairs import Floats, Pairs, sums
from codesign.search.problem import Constraint, Objective, Problem
from codesign.search.scores import closed_form_tables

Indices = Sequence[int] | NDArray[np.int64]


class View:
    """N networks x C configurations as a strategy sees them.

    ``network_choices`` int64 [N, D] with ``network_options`` (D counts) and ``network_fields``
    (D names) hold the genotypes as integers; ``config_choices`` int64 [C, K], ``config_options``
    and ``config_fields`` the configurations. ``counts`` int64 [N, U]: how often a network has a
    unit of ``units``; ``macs`` float64 [N]; ``hardware``: figures of each configuration, float64
    [C]; ``short_price``: what a ``short`` evaluation costs, None where none is on offer.
    """

    def __init__(self, problem: Problem, pairs: Pairs) -> None:
        self.objectives: tuple[Objective, ...] = problem.objectives
        self.constraints: tuple[Constraint, ...] = problem.constraints
        self.shape: tuple[int, int] = pairs.shape
        self.units: tuple[Workload, ...] = pairs.units
        self.counts: NDArray[np.int64] = pairs.counts
        self.connected: NDArray[np.bool_] = pairs.connected
        self.configs: tuple[VtaConfig, ...] = pairs.configs
        self.hardware: Mapping[str, Floats] = pairs.hardware
        self.ms_per_cycle: Floats = pairs.ms_per_cycle
        self.short_price: float | None = pairs.short_price
        self._networks = pairs.network_decisions
        self._configs = pairs.config_decisions
        self.network_choices: Choices = self._networks.choices
        self.network_options: tuple[int, ...] = self._networks.options
        self.network_fields: tuple[str, ...] = self._networks.names
        self.config_choices: Choices = self._configs.choices
        self.config_options: tuple[int, ...] = self._configs.options
        self.config_fields: tuple[str, ...] = self._configs.names
        self._known = np.zeros(len(pairs.configs), bool)
        self._cycles = np.empty((len(pairs.units), len(pairs.configs)))
        self._energy = np.empty_like(self._cycles)

    def network_at(self, choices: Sequence[int] | Choices) -> int:
        """The network with these choices, else the nearest listed one (`Decisions.at`)."""
        return self._networks.at(choices)

    def config_at(self, choices: Sequence[int] | Choices) -> int:
        """The configuration with these choices, else the nearest feasible one."""
        return self._configs.at(choices)

    @cached_property
    def macs(self) -> Floats:
        """float64 [N]: multiply-accumulates of each network."""
        macs: Floats = np.array([float(unit.macs) for unit in self.units], np.float64)
        return self.counts.astype(np.float64) @ macs

    @cached_property
    def allowed_configs(self) -> NDArray[np.bool_]:
        """bool [C]: configurations that keep every limit on hardware figures."""
        kept = np.ones(len(self.configs), bool)
        for constraint in self.constraints:
            if constraint.metric in self.hardware:
                kept &= self.hardware[constraint.metric] <= constraint.limit
        return kept

    def t0_units(self, configs: Indices) -> Floats:
        """Closed-form cycles float64 [U, len(configs)] of every unit, nan where none fits."""
        return self._closed_form(configs)[0]

    def t0_cycles(self, networks: Indices, configs: Indices) -> Floats:
        """Closed-form network cycles float64 [len(networks), len(configs)] (T0), nan where a
        network does not fit or has no units; kept by unit."""
        return sums(self.counts[np.asarray(networks, np.int64)], self.t0_units(configs))

    @cached_property
    def t0(self) -> Floats:
        """Closed-form cycles of all pairs, float64 [N, C]; read-only."""
        return _frozen(sums(self.counts, self._closed_form(range(self.shape[1]))[0]))

    @cached_property
    def t0_energy_mj(self) -> Floats:
        """Closed-form energy of all pairs, float64 [N, C], estimated; read-only."""
        return _frozen(sums(self.counts, self._closed_form(range(self.shape[1]))[1]))

    def _closed_form(self, configs: Indices) -> tuple[Floats, Floats]:
        asked = np.asarray(configs, np.int64)
        missing = np.unique(asked[~self._known[asked]])
        if len(missing):
            chosen = [self.configs[int(c)] for c in missing]
            tables = closed_form_tables(self.units, chosen)
            self._cycles[:, missing], self._energy[:, missing] = tables
            self._known[missing] = True
        return self._cycles[:, asked], self._energy[:, asked]


def _frozen(values: Floats) -> Floats:
    values.setflags(write=False)
    return values
