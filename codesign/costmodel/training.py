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
from codesign.costmodel.heads import Heads, Prediction, predict_pairs
from codesign.costmodel.inputs import CONSTRAINTS, INPUT_NAMES
from codesign.costmodel.metrics import Errors, SplitError, split_error
from codesign.costmodel.model import CostModel
from codesign.costmodel.splits import MIN_ROWS, Networks, Split, make_splits
from codesign.costmodel.traces import TraceRows
from codesign.costmodel.trees import Settings, Task, chosen, fit_rounds, fit_spread
from codesign.errors import StoreError

RESIDUAL = {"monotone_constraints": CONSTRAINTS}
"""Settings of the head of cycles: its inputs are constrained (`inputs`)."""

SETTINGS: tuple[Settings, ...] = tuple(
    {"max_depth": depth, "eta": eta} for depth in (4, 6) for eta in (0.12, 0.2)
)
"""Settings of the head of cycles that are tried."""

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

    Call with several seeds for a spread. Each split trains a model of its own, which chooses its
    setting and its number of trees on training rows alone.
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
        heads, _ = fit_heads(design, split.train, seed)
        made = predict_pairs(heads, design.pairs(split.test))
        by_split[name] = cycles_error(made, design, split)
        if np.isfinite(made.energy_mj).all() and np.isfinite(design.rows.energy_mj).all():
            energy[name] = energy_error(made, design, split)
    return Errors(by_split, missing, energy)


def fit_heads(design: Design, part: NDArray[np.intp], seed: int) -> tuple[Heads, int]:
    """Every head on the rows ``part``, and the number of trees for cycles."""
    task, rounds = chosen(residual_task(design, part, seed), SETTINGS)
    cycles = fit_rounds(task, None, rounds)
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


def cycles_error(made: Prediction, design: Design, split: Split) -> SplitError:
    """Errors of the predictions of a split's test rows, and how many lie in their interval."""
    true = design.cycles[split.test]
    return split_error(
        made.cycles,
        true,
        held_out=split.held_out,
        train_rows=len(split.train),
        coverage=float(((made.low <= true) & (true <= made.high)).mean()),
    )


def energy_error(made: Prediction, design: Design, split: Split) -> SplitError:
    """Errors of the energy head against the energy of the simulated counters."""
    return split_error(
        made.energy_mj,
        design.rows.energy_mj[split.test],
        held_out=split.held_out,
        train_rows=len(split.train),
    )
