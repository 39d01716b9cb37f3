"""Cycles of each module of an accelerator by the closed form: what bounds a network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel import placed
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.search.pairs import Floats
from codesign.search.view import View

MODULES = ("load", "compute", "store", "fetch")


class ModuleCycles:
    """Busy cycles of networks by module (T0), kept by unit and configuration."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known = np.zeros(len(view.configs), bool)
        self._table = np.zeros((len(MODULES), len(view.units), len(view.configs)))

    def of(self, network: int, configs: Sequence[int]) -> Floats:
        """float64 [modules, len(configs)], nan where the network does not fit."""
        asked = np.array(configs, np.int64)
        missing = np.unique(asked[~self._known[asked]])
        if len(missing):
            self._price(missing)
        units = np.flatnonzero(self._view.counts[network])
        counts = self._view.counts[network, units].astype(np.float64)
        table = np.take(np.take(self._table, units, axis=1), asked, axis=2)
        return np.einsum("u,muc->mc", counts, table)

    def _price(self, configs: NDArray[np.int64]) -> None:
        chosen = [self._view.configs[int(config)] for config in configs]
        for places, units in placed(self._view.units, chosen):
            alike = [chosen[place] for place in places]
            found = bound(*grid(workload_columns(units), config_columns(alike)))
            fits = np.isfinite(found.cycles)
            for row, module in enumerate(MODULES):
                cycles = np.broadcast_to(getattr(found.tiling, module), fits.shape)
                self._table[row][:, configs[places]] = np.where(fits, cycles, np.nan)
        self._known[configs] = True
