# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false
# (xgboost's annotations are partial)
"""T1: XGBoost on what the closed form misses, log(cycles / T0), for pairs never simulated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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
    take,
    workload_columns,
)
from codesign.costmodel.features import FEATURE_NAMES, pair_features
from codesign.costmodel.metrics import Errors, SplitError, split_error
from codesign.costmodel.splits import Split, hold_out, hold_out_networks
from codesign.costmodel.traces import TraceRows
from codesign.errors import StoreError
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import Workload

PARAMETERS: dict[str, Any] = {
    "objective": "reg:squarederror",
    "tree_method": "hist",
    "max_depth": 6,
    "eta": 0.05,
    "subsample": 0.8,
    "colsample_bytree": 0.6,
    "min_child_weight": 2.0,
    "lambda": 1.0,
    "nthread": 1,
}
"""One thread: training is small, and sums are then the same on every machine."""

MAX_ROUNDS = 2000
_PATIENCE = 60
_CHUNK_PAIRS = 1 << 15


@dataclass(frozen=True, eq=False)
class CostModel:
    """A trained model and what is known about it; `save` and `load` keep both.

    ``manifest`` holds feature version and names, seed, rounds, data hash, library versions and
    the errors by split.
    """

    booster: xgb.Booster
    manifest: dict[str, Any] = field(default_factory=dict[str, Any])

    def predict_units(self, workloads: Sequence[Workload], configs: Sequence[VtaConfig]) -> Floats:
        """Predicted cycles float64[U, C] of every pair; nan where no schedule can exist."""
        columns, table = workload_columns(workloads), config_columns(configs)
        out = np.empty((len(workloads), len(configs)), dtype=np.float64)
        step = max(1, _CHUNK_PAIRS // max(1, len(configs)))
        # Kinds apart: the closed form has fewer tilings to price where nothing is convolved.
        for kind in (columns["is_conv"] > 0, columns["is_conv"] == 0):
            members = np.flatnonzero(kind)
            for start in range(0, len(members), step):
                rows = members[start : start + step]
                out[rows] = self.predict_columns(*grid(take(columns, rows), table))
        return out

    def predict_columns(self, w: Columns, c: Columns) -> Floats:
        """Predicted cycles of pairs given as columns that broadcast together."""
        features, t0 = pair_features(w, c)
        flat = features.reshape(-1, features.shape[-1])
        ratio = np.asarray(self.booster.inplace_predict(flat), dtype=np.float64)
        cycles = np.maximum(t0.cycles * np.exp(ratio.reshape(t0.cycles.shape)), t0.work.roofline)
        return np.where(np.isfinite(cycles), cycles, np.nan)

    def save(self, path: str | Path) -> None:
        """Write ``path`` (XGBoost's .ubj) and its manifest (.json) beside it, each at once."""
        manifest.write(Path(path), bytes(self.booster.save_raw("ubj")), self.manifest)

    @staticmethod
    def load(path: str | Path) -> CostModel:
        """Read a saved model.

        Raises
        ------
        StoreError
            File or manifest is missing, corrupt, foreign, or made for other features.
        """
        raw, facts = manifest.read(Path(path))
        booster = xgb.Booster()
        try:
            booster.load_model(bytearray(raw))
        except xgb.core.XGBoostError as error:
            raise StoreError(
                f"{path}: XGBoost cannot read this model ({str(error).splitlines()[0]}); "
                "train it again with `codesign train`"
            ) from error
        return CostModel(booster, facts)


MIN_ROWS = 20
"""Fewest rows that make a split, an inner split and a tree possible."""

Networks = Mapping[str, Sequence[Workload]]
"""Network or family name -> its layers: what the unseen-network split holds out."""


def train(
    rows: TraceRows,
    seed: int = 0,
    *,
    networks: Networks | None = None,
    held_out_share: float = 0.2,
) -> tuple[CostModel, Errors]:
    """Train on all rows; errors come from models trained without each held-out group.

    Raises
    ------
    StoreError
        There are too few feasible rows to train on.
    """
    if len(rows.cycles) < MIN_ROWS:
        raise StoreError(
            f"only {len(rows.cycles)} feasible traces; training needs at least {MIN_ROWS}: "
            "collect more with `codesign trace`"
        )
    errors = evaluate(rows, seed, networks=networks, held_out_share=held_out_share)
    features, t0 = _design(rows)
    booster, rounds = _fit(features, np.log(rows.cycles / t0), rows, seed)
    facts = manifest.describe(rows, seed=seed, rounds=rounds, errors=errors)
    return CostModel(booster, facts), errors


def evaluate(
    rows: TraceRows,
    seed: int = 0,
    *,
    networks: Networks | None = None,
    held_out_share: float = 0.2,
) -> Errors:
    """Errors on layers, networks and configurations that training never saw.

    Call with several seeds for a spread. Each split trains a model of its own; its early stopping
    sees training rows only.
    """
    features, t0 = _design(rows)
    target = np.log(rows.cycles / t0)
    by_split: dict[str, SplitError] = {}
    missing: dict[str, str] = {}
    for name, split in make_splits(rows, seed, networks, held_out_share).items():
        if isinstance(split, str):
            missing[name] = split
            continue
        part = rows.select(split.train)
        booster, _ = _fit(features[split.train], target[split.train], part, seed)
        ratio = np.asarray(booster.inplace_predict(features[split.test]), dtype=np.float64)
        by_split[name] = split_error(
            t0[split.test] * np.exp(ratio),
            rows.cycles[split.test],
            held_out=split.held_out,
            train_rows=len(split.train),
        )
    return Errors(by_split, missing)


def make_splits(
    rows: TraceRows, seed: int, networks: Networks | None, share: float
) -> dict[str, Split | str]:
    """The three group splits, each with a generator of its own; a str says why one is missing."""
    layers = hold_out(rows.layer_ids, share, np.random.default_rng([seed, 0]), "layer shapes")
    configs = hold_out(rows.config_ids, share, np.random.default_rng([seed, 2]), "configurations")
    splits: dict[str, Split | str] = {
        "unseen_layers": layers or "the traces have a single layer shape",
        "unseen_networks": "no networks were named (`codesign train --network`)",
        "unseen_configs": configs or "the traces have a single configuration",
    }
    if networks is not None:
        rng = np.random.default_rng([seed, 1])
        members = [frozenset(networks[name]) for name in sorted(networks)]
        owners = [rows.workloads[u] for u in map(int, rows.layer_ids)]
        found = hold_out_networks(owners, members, share, rng)
        splits["unseen_networks"] = found or "the traces hold layers of fewer than two networks"
    return {
        name: "too few traces are left to train on"
        if isinstance(split, Split) and len(split.train) < MIN_ROWS
        else split
        for name, split in splits.items()
    }


def _design(rows: TraceRows) -> tuple[NDArray[np.float32], Floats]:
    w = take(workload_columns(rows.workloads), rows.layer_ids)
    c = take(config_columns(rows.configs), rows.config_ids)
    features, t0 = pair_features(w, c)
    return features, t0.cycles


def _fit(
    features: NDArray[np.float32], target: Floats, rows: TraceRows, seed: int
) -> tuple[xgb.Booster, int]:
    """Rounds from early stopping on held-out layers and configurations; then all rows."""
    best: list[int] = []
    for index, (ids, noun) in enumerate(((rows.layer_ids, "layers"), (rows.config_ids, "configs"))):
        inner = hold_out(ids, 0.2, np.random.default_rng([seed, 100 + index]), noun)
        if inner is None:
            continue
        data = _matrix(features[inner.train], target[inner.train])
        check = _matrix(features[inner.test], target[inner.test])
        stopped = xgb.train(
            {**PARAMETERS, "seed": seed},
            data,
            num_boost_round=MAX_ROUNDS,
            evals=[(check, "check")],
            early_stopping_rounds=_PATIENCE,
            verbose_eval=False,
        )
        best.append(stopped.best_iteration + 1)
    rounds = max(best, default=200)
    booster = xgb.train({**PARAMETERS, "seed": seed}, _matrix(features, target), rounds)
    return booster, rounds


def _matrix(features: NDArray[np.float32], target: Floats) -> xgb.DMatrix:
    return xgb.DMatrix(features, label=target, feature_names=list(FEATURE_NAMES))
