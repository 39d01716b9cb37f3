"""Plots of search quality: regret by evaluations with seed bands, and the tuning runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

Row = Mapping[str, Any]
_LEAST, _MOST = 1e-5, 1.0
"""Regrets drawn: below and above lie on the border."""


def draw(
    folder: Path,
    table: Mapping[str, Mapping[str, Row]],
    tuning: Mapping[str, Sequence[Row]],
    budget: float,
) -> None:
    """Write ``search_regret.png`` (problem -> strategy -> runs) and, where there are tuning runs,
    ``search_lottery.png`` (strategy -> settings -> runs)."""
    folder.mkdir(parents=True, exist_ok=True)
    _regrets(folder / "search_regret.png", table, budget)
    if any(tuning.values()):
        _lottery(folder / "search_lottery.png", tuning)


def _regrets(path: Path, table: Mapping[str, Mapping[str, Row]], budget: float) -> None:
    grid = np.geomspace(1, budget, 120)
    columns = 3
    lines = -(-len(table) // columns)
    figure, axes = plt.subplots(
        lines, columns, figsize=(4.6 * columns, 3.6 * lines), squeeze=False, sharex=True
    )
    colours = plt.get_cmap("tab20").colors  # type: ignore[attr-defined]
    names = sorted({name for rows in table.values() for name in rows})
    for axis, (problem, rows) in zip(axes.ravel(), table.items(), strict=False):
        for name, row in rows.items():
            seen = np.clip([_at(run["curve"], grid) for run in row["runs"]], _LEAST, _MOST)
            low, middle, high = np.quantile(seen, [0.25, 0.5, 0.75], axis=0)
            colour = colours[names.index(name) % len(colours)]
            shown = grid <= row["budget"]
            axis.plot(grid[shown], middle[shown], color=colour, linewidth=1.3, label=name)
            axis.fill_between(grid[shown], low[shown], high[shown], color=colour, alpha=0.12)
        axis.axhline(0.01, color="#888888", linewidth=0.7, linestyle=":")
        axis.set(xscale="log", yscale="log", title=problem, ylim=(_LEAST / 1.5, _MOST * 1.5))
        axis.set(xlabel="evaluations (T2)", ylabel="regret, median and quartiles")
    for axis in axes.ravel()[len(table) :]:
        axis.set_axis_off()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=6, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.07, 1, 1))
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _at(curve: Sequence[Sequence[float]], grid: np.ndarray) -> np.ndarray:
    """Regret of one run at the prices of ``grid``; 1 before anything feasible was found."""
    if not curve:
        return np.ones(len(grid))
    spent, regret = np.array(curve).T
    place = np.searchsorted(spent, grid, side="right") - 1
    return np.where(place < 0, 1.0, regret[np.maximum(place, 0)])


def _lottery(path: Path, tuning: Mapping[str, Sequence[Row]]) -> None:
    figure, axis = plt.subplots(figsize=(7.5, 0.34 * len(tuning) + 1.4))
    for line, (_, rows) in enumerate(tuning.items()):
        for place, row in enumerate(rows):
            prices = [run["price"] or row["budget"] for run in row["runs"]]
            height = np.full(len(prices), line + 0.22 * (place - 1))
            axis.plot(prices, height, "o", color=f"C{place}", markersize=4, alpha=0.8)
            axis.plot(float(np.median(prices)), height[0], "|", color=f"C{place}", markersize=12)
    axis.set_yticks(range(len(tuning)), list(tuning))
    axis.set(xscale="log", xlabel="evaluations to 1 % regret (right end: never), five seeds each")
    axis.set_title("The hyperparameter lottery: three settings of each strategy", fontsize=10)
    axis.invert_yaxis()
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)
