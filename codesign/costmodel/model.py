# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false
# (xgboost's annotations are partial)
"""T1: XGBoost on what the closed form misses, log(cycles / base), for pairs never simulated."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from codesign.costmodel import manifest
from codesign.costmodel.columns import (
    Columns,
    Floats,
    config_columns,
    grid,
    workload_columns,
)
from codesign.costmodel.energy_base import counter_prices, energy_base_mj
from codesign.costmodel.extrapolation import beyond
from codesign.costmodel.forest import Forest
from codesign.costmodel.heads import Heads, Pairs, Prediction, predict_pairs, whole_cycles
from codesign.costmodel.inputs import Inputs, pair_inputs
from codesign.costmodel.intervals import Quantiles, unit_kinds
from codesign.costmodel.trees import Spread
from codesign.errors import StoreError
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import ConvWorkload, Workload
from codesign.store import simulator_version

_CHUNK_PAIRS = 32_000
"""Pairs priced at once, at most; more in one call share one tape's start."""
_FEW_PAIRS = 6_000
"""As many or fewer are not shared among threads."""


@dataclass(frozen=True, eq=False)
class CostModel:
    """Trained heads and what is known about them; `save` and `load` keep both.

    ``manifest`` holds version and names of the inputs, seed, rounds, data hash, library versions,
    ranges of the training traces, the interval and the errors by split.
    """

    heads: Heads
    manifest: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def other_simulator(self) -> str | None:
        """The simulator version of the traces where it is not this codesign's, else None."""
        made = self.manifest.get("simulator")
        return str(made) if made and made != simulator_version() else None

    def predict_units(
        self,
        workloads: Sequence[Workload],
        configs: Sequence[VtaConfig],
        threads: int | None = None,
    ) -> Floats:
        """Predicted cycles float64[U, C], whole; nan where there can be no schedule
        (`closed_form.impossible`). Buffers may still be too small for any: `predict` says how
        likely a schedule is.

        A longer read or write latency and a narrower bus never give fewer cycles, and no
        prediction is below the roofline. ``threads``: how many share the work, None for one a
        core; they do not change the result.
        """
        out = np.empty((len(workloads), len(configs)))

        def fill(chunk: tuple[NDArray[np.intp], Columns, Columns]) -> None:
            rows, w, c = chunk
            found = pair_inputs(w, c)
            out[rows] = _whole(self._log_cycles(found), found)

        workers = threads or os.cpu_count() or 1
        if out.size <= _FEW_PAIRS or workers == 1:
            for chunk in _chunks(workloads, configs):
                fill(chunk)
            return out
        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(fill, _chunks(workloads, configs, workers)))
        return out

    def predict(self, workloads: Sequence[Workload], configs: Sequence[VtaConfig]) -> Prediction:
        """All heads on every pair, arrays [U, C].

        ``cycles``, the limits and ``energy_mj`` are nan and ``feasible`` is 0 where there can be no
        schedule (`closed_form.impossible`).
        """
        arrays = [np.full((len(workloads), len(configs)), np.nan) for _ in range(5)]
        prices = {k: v[None, :] for k, v in counter_prices(configs).items()}
        for rows, w, c in _chunks(workloads, configs):
            found = pair_inputs(w, c)
            fits = np.isfinite(found.t0.cycles)
            pairs = Pairs(
                values=found.values,
                log_base=found.log_base,
                fits=fits,
                roofline=found.t0.work.roofline,
                energy_base_mj=energy_base_mj(found.t0, c, prices),
                kinds=np.broadcast_to(unit_kinds(w), fits.shape),
            )
            made = predict_pairs(self.heads, pairs)
            told = (made.cycles, made.low, made.high, made.energy_mj)
            for array, values in zip(arrays, told, strict=False):
                array[rows] = np.where(found.possible, values, np.nan)
            arrays[-1][rows] = np.where(found.possible, made.feasible, 0.0)
        return Prediction(*arrays)

    def extrapolation(
        self, workloads: Sequence[Workload], configs: Sequence[VtaConfig]
    ) -> tuple[list[list[str]], list[list[str]]]:
        """For each workload and each configuration, what the training traces did not cover."""
        known = self.manifest["ranges"]
        return beyond(workload_columns(workloads), known), beyond(config_columns(configs), known)

    def _log_cycles(self, found: Inputs) -> Floats:
        flat = found.values.reshape(-1, found.values.shape[-1])
        return found.log_base + self._forest.run(flat).reshape(found.t0.cycles.shape)

    @cached_property
    def _forest(self) -> Forest:
        """The trees for cycles, for many pairs."""
        return Forest.of(self.heads.cycles)

    def save(self, path: str | Path) -> None:
        """Write ``path`` (XGBoost's .ubj), the other heads and the manifest (.json) beside it.

        Raises
        ------
        StoreError
            A file of that name is there and is no cost model; it is left as it is.
        """
        heads = self.heads
        boosters = {"cycles": heads.cycles, "spread": heads.spread.booster}
        optional = {"energy": heads.energy, "feasible": heads.feasible}
        boosters |= {name: booster for name, booster in optional.items() if booster is not None}
        raw = {name: bytes(booster.save_raw("ubj")) for name, booster in boosters.items()}
        facts = {**self.manifest, "interval": heads.spread.quantiles.as_dict()}
        manifest.write(Path(path), raw, facts)

    @staticmethod
    def load(path: str | Path) -> CostModel:
        """Read a saved model.

        Raises
        ------
        StoreError
            A file is missing, corrupt, foreign, or made for another closed form or features.
        """
        raw, facts = manifest.read(Path(path))
        boosters = {name: _booster(Path(path), data) for name, data in raw.items()}
        try:
            quantiles = Quantiles.from_dict(facts["interval"])
            spread = Spread(boosters["spread"], quantiles)
            heads = Heads(
                boosters["cycles"], spread, boosters.get("energy"), boosters.get("feasible")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"{path}: its manifest lacks the interval or a head ({error}); "
                "train it again with `codesign train`"
            ) from error
        return CostModel(heads, facts)


def _booster(path: Path, raw: bytes) -> xgb.Booster:
    booster = xgb.Booster()
    try:
        booster.load_model(bytearray(raw))
    except xgb.core.XGBoostError as error:
        raise StoreError(
            f"{path}: XGBoost cannot read this model ({str(error).splitlines()[0]}); "
            "train it again with `codesign train`"
        ) from error
    return booster


def _whole(log_cycles: Floats, found: Inputs) -> Floats:
    cycles = whole_cycles(np.exp(log_cycles), found.t0.work.roofline)
    return np.where(found.possible, cycles, np.nan)


def _chunks(
    workloads: Sequence[Workload], configs: Sequence[VtaConfig], workers: int = 1
) -> Iterator[tuple[NDArray[np.intp], Columns, Columns]]:
    """Rows of the grid with their columns, shared out evenly; kinds apart, as the closed form has
    fewer tilings to price where nothing is convolved."""
    table = config_columns(configs)
    is_conv = np.array([isinstance(workload, ConvWorkload) for workload in workloads], np.bool_)
    for members in (np.flatnonzero(is_conv), np.flatnonzero(~is_conv)):
        turns = -(-len(members) * len(configs) // (workers * _CHUNK_PAIRS))
        parts = min(len(members), turns * workers)
        for rows in np.array_split(members, parts) if parts else ():
            # One chunk's columns are made while another is priced.
            yield rows, *grid(workload_columns([workloads[int(i)] for i in rows]), table)
