"""Plots for published_tables.py: accuracy against latency of all pairs, energy by evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from codesign.search.replay import Replay
from codesign.search.truth import JointTruth


def draw(folder: Path, truth: JointTruth, searches: Sequence[Replay]) -> None:
    """Write ``all_pairs.png`` and ``energy_by_evaluation.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    _all_pairs(folder / "all_pairs.png", truth)
    _energy(folder / "energy_by_evaluation.png", searches)


def _all_pairs(path: Path, truth: JointTruth) -> None:
    latency, accuracy = truth.figure("latency_ms").ravel(), truth.figure("accuracy").ravel()
    kept = np.isfinite(latency)
    latency, accuracy = latency[kept], accuracy[kept]
    figure, axis = plt.subplots(figsize=(7, 4.5))
    cells = axis.hexbin(latency, accuracy, xscale="log", bins="log", gridsize=90, cmap="viridis")
    order = np.lexsort((-accuracy, latency))
    best = np.maximum.accumulate(accuracy[order])
    front = np.flatnonzero(np.diff(best, prepend=-np.inf) > 0)
    axis.step(latency[order][front], best[front], where="post", color="C3", label="Pareto front")
    axis.set(xlabel="latency, ms (T2)", ylabel="CIFAR-100 top-1, % (trained, 200 epochs)")
    axis.set_title(f"All {len(latency):,} pairs of NAS-Bench-201 x neuhardco", fontsize=10)
    axis.legend(loc="lower right", frameon=False)
    figure.colorbar(cells, label="pairs")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _energy(path: Path, searches: Sequence[Replay]) -> None:
    most = max(float(run.spent[-1]) for run in searches)
    grid = np.linspace(1, most, 200)
    curves = np.array([_least(run, grid) for run in searches])
    known = ~np.isnan(curves).any(axis=0)
    grid, curves = grid[known], curves[:, known]
    low, middle, high = np.quantile(curves, [0.25, 0.5, 0.75], axis=0)
    figure, axis = plt.subplots(figsize=(7, 4))
    axis.plot(grid, middle, color="C0", label=f"median of {len(searches)} seeds")
    axis.fill_between(grid, low, high, color="C0", alpha=0.2, label="quartiles")
    axis.set(xlim=(0, most), xlabel="evaluations (T2)")
    axis.set(ylabel="least energy of a feasible pair, mJ (estimated)")
    axis.legend(frameon=False)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _least(run: Replay, grid: np.ndarray) -> np.ndarray:
    """Least energy of a feasible pair after so much was spent, nan before the first."""
    energy = [
        e.figures["energy_mj"] if e.fidelity == "full" and e.feasible else np.inf
        for e in run.evaluations
    ]
    least = np.minimum.accumulate(np.array([np.inf, *energy]))
    found = least[np.searchsorted(run.spent, grid, side="right")]
    return np.where(np.isinf(found), np.nan, found)
