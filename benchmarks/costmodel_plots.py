"""Plots of the cost model's accuracy: predicted against simulated, and error against traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

_INK, _MUTED, _SERIES = "#222222", "#888888", ("#1b6ca8", "#c8553d", "#4c9f70")
_MARKS = 4000


def draw(
    folder: Path,
    points: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]],
    curve: Mapping[str, Mapping[int, float]],
) -> None:
    """Write ``costmodel_scatter.png`` and, where there is a curve, ``costmodel_curve.png``.

    ``points``: split -> (simulated, predicted) cycles of each test set; ``curve``: split ->
    training traces -> mean error in percent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _scatter(folder / "costmodel_scatter.png", points)
    if curve:
        _curve(folder / "costmodel_curve.png", curve)


def _scatter(path: Path, points: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]) -> None:
    figure, axes = plt.subplots(1, len(points), figsize=(3.4 * len(points), 3.6), sharey=True)
    for axis, (name, sets) in zip(np.atleast_1d(axes), points.items(), strict=True):
        true, predicted = (np.concatenate([s[i] for s in sets]) for i in (0, 1))
        shown = np.random.default_rng(0).permutation(len(true))[:_MARKS]
        ends = [true.min() / 1.3, true.max() * 1.3]
        axis.plot(ends, ends, color=_MUTED, linewidth=0.8, zorder=1)
        axis.scatter(true[shown], predicted[shown], s=3, alpha=0.35, color=_SERIES[0], zorder=2)
        axis.set(xscale="log", yscale="log", xlabel="simulated cycles")
        axis.set_title(f"{name} ({len(true)} pairs)", fontsize=9, color=_INK)
        _plain(axis)
    np.atleast_1d(axes)[0].set_ylabel("predicted cycles")
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _curve(path: Path, curve: Mapping[str, Mapping[int, float]]) -> None:
    figure, axis = plt.subplots(figsize=(5, 3.4))
    for color, (name, values) in zip(_SERIES, curve.items(), strict=False):
        axis.plot(list(values), list(values.values()), marker="o", ms=3, color=color, label=name)
    axis.set(xscale="log", yscale="log", xlabel="training traces", ylabel="layer mean error, %")
    ticks = [1, 2, 3, 5, 10, 20]
    axis.set_yticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.legend(frameon=False, fontsize=8)
    _plain(axis)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _plain(axis: plt.Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(which="major", linewidth=0.3, color=_MUTED, alpha=0.5)
