# pyright: reportMissingTypeStubs=false
# (xgboost's annotations are partial)
"""Training T1 on traces, and its errors on groups that training never saw."""

from __future__ import annotations

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from codesign.costmodel import manifest
from codesign.costmodel.design import Design, make_design, misfit_inputs
from codesign.costmodel.extrapolation import ranges
from codesign.costmodel.inputs import CONSTRAINTS, INPUT_NAMES
from codesign.costmodel.metrics import Errors, SplitError, split_error
from codesign.costmodel.model import CostModel, Heads
from codesign.costmodel.splits import MIN_ROWS, Networks, Split, make_splits
from codesign.costmodel.traces import TraceRows
from codesign.costmodel.trees import Spread, Task, fit, fit_rounds, fit_spread, predict
from codesign.errors import StoreError

RESIDUAL = {"monotone_constraints": CONSTRAINTS}
"""Settings of the head of cycles: its inputs are constrained (`inputs`)."""

_INTERVALS = ("unseen_configs",)
"""Splits on which interval and energy are judged: what they are calibrated for."""

_FEASIBLE = {"objective": "binary:logistic", "base_score": 0.5, "max_depth": 5}
_FEASIBLE_ROUNDS = 100


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
    design = make_design(rows)
    errors = _evaluate(design, seed, networks, held_out_share)
    heads, rounds = fit_heads(design, np.arange(len(design)), seed)
    facts = manifest.describe(
        rows, seed=seed, rounds=rounds, errors=errors, known=ranges(design.w, design.c)
    )
    return CostModel(heads, facts), errors


def evaluate(
    rows: TraceRows,
    seed: int = 0,
    *,
    networks: Networks | None = None,
    held_out_share: float = 0.2,
) -> Errors:
    """Errors on networks, layers, configurations and a block size that training never saw.

    Call with several seeds for a spread. Each split trains a model of its own; its early stopping
    sees training rows only.
    """
    return _evaluate(make_design(rows), seed, networks, held_out_share)


def _evaluate(
    design: Design, seed: int, networks: Networks | None, held_out_share: float
) -> Errors:
    by_split: dict[str, SplitError] = {}
    energy: dict[str, SplitError] = {}
    missing: dict[str, str] = {}
    for name, split in make_splits(design.rows, seed, networks, held_out_share).items():
        if isinstance(split, str):
            missing[name] = split
            continue
        task = residual_task(design, split.train, seed)
        trees, rounds = fit(task)
        spread = None
        if name in _INTERVALS:
            spread = fit_spread(
                task, design.rows.config_ids[split.train], design.kinds[split.train], rounds
            )
        by_split[name] = cycles_error(trees, spread, design, split)
        if name in _INTERVALS and np.isfinite(design.rows.energy_mj).all():
            energy[name] = energy_error(
                fit_energy(design, split.train, rounds, seed), design, split
            )
    return Errors(by_split, missing, energy)


def fit_heads(design: Design, part: NDArray[np.intp], seed: int) -> tuple[Heads, int]:
    """Every head on the rows ``part``, and the number of trees for cycles."""
    task = residual_task(design, part, seed)
    cycles, rounds = fit(task)
    spread = fit_spread(task, design.rows.config_ids[part], design.kinds[part], rounds)
    known = part[np.isfinite(design.rows.energy_mj[part])]
    energy = fit_energy(design, known, rounds, seed) if known.size >= MIN_ROWS else None
    feasible = fit_feasible(design, part, seed) if len(design.rows.misfits) else None
    return Heads(cycles, spread, energy, feasible), rounds


def fit_energy(design: Design, part: NDArray[np.intp], rounds: int, seed: int) -> xgb.Booster:
    """Trees for log(energy / energy of the unavoidable work)."""
    ratio = np.log(design.rows.energy_mj[part] / design.energy_base_mj[part])
    return fit_rounds(Task(design.values[part], ratio, (), seed, names=INPUT_NAMES), None, rounds)


def fit_feasible(design: Design, part: NDArray[np.intp], seed: int) -> xgb.Booster:
    """Trees for the probability of a schedule: the rows ``part`` against the infeasible pairs."""
    misfits = misfit_inputs(design.rows)
    values = np.concatenate([design.values[part], misfits])
    label = np.concatenate([np.ones(len(part)), np.zeros(len(misfits))])
    return fit_rounds(Task(values, label, (), seed, _FEASIBLE, INPUT_NAMES), None, _FEASIBLE_ROUNDS)


def residual_task(design: Design, part: NDArray[np.intp], seed: int) -> Task:
    """log(cycles / base) of the rows ``part``; new layers and new configurations are new."""
    target = np.log(design.cycles[part]) - design.log_base[part]
    groups = (design.rows.layer_ids[part], design.rows.config_ids[part])
    return Task(design.values[part], target, groups, seed, RESIDUAL, INPUT_NAMES)


def cycles_error(
    trees: xgb.Booster, spread: Spread | None, design: Design, split: Split
) -> SplitError:
    """Errors, and the interval's coverage where a spread is given, on the split's test rows."""
    test = split.test
    values, true = design.values[test], design.cycles[test]
    log_cycles = design.log_base[test] + predict(trees, values)
    coverage = None
    if spread is not None:
        low, high = spread.quantiles.limits(log_cycles, spread.scale(values), design.kinds[test])
        high = np.maximum(high, design.roofline[test])
        coverage = float(((low <= true) & (true <= high)).mean())
    return split_error(
        np.maximum(np.exp(log_cycles), design.roofline[test]),
        true,
        held_out=split.held_out,
        train_rows=len(split.train),
        coverage=coverage,
    )


def energy_error(trees: xgb.Booster, design: Design, split: Split) -> SplitError:
    """Errors of the energy head against the energy of the simulated counters."""
    test = split.test
    return split_error(
        design.energy_base_mj[test] * np.exp(predict(trees, design.values[test])),
        design.rows.energy_mj[test],
        held_out=split.held_out,
        train_rows=len(split.train),
    )
