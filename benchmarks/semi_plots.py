"""Plots of the semi-decoupled study: heat maps, average correlations, loss by correlation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from semi_study import Study

mpl.use("Agg")
from matplotlib import pyplot as plt

_INK, _MUTED = "#222222", "#888888"
_SERIES = ("#1b6ca8", "#c8553d", "#4c9f70", "#8e6bbf", "#c9a227", "#3a3a3a")
_MARKS = 4000


def draw(folder: Path, studies: Sequence[Study], mixtures: np.ndarray) -> None:
    """Write ``semi_heat_maps.png``, ``semi_cdf.png`` and ``semi_loss.png``.

    ``mixtures``: average correlation of each layer-wise mixture with all others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _heat_maps(folder / "semi_heat_maps.png", studies)
    _cdf(folder / "semi_cdf.png", studies, mixtures)
    _loss(folder / "semi_loss.png", studies)


def _heat_maps(path: Path, studies: Sequence[Study]) -> None:
    figure, grid = plt.subplots(
        2, len(studies), figsize=(2.9 * len(studies) + 0.8, 6), squeeze=False
    )
    least = min(float(study.spearman.min()) for study in studies)
    shown = None
    for column, study in zip(grid.T, studies, strict=True):
        order = np.argsort(-study.spearman_latency.mean(axis=1), kind="stable")
        for axis, matrix, what in zip(
            column, (study.spearman_latency, study.spearman_energy), ("latency", "energy"),
            strict=True,
        ):  # fmt: skip
            shown = axis.imshow(
                matrix[np.ix_(order, order)], vmin=least, vmax=1, cmap="viridis", rasterized=True
            )
            axis.set_title(f"{study.name}\n{what}", fontsize=7, color=_INK)
            axis.tick_params(labelsize=6)
    figure.tight_layout(rect=(0, 0, 0.93, 1))
    bar = figure.colorbar(shown, cax=figure.add_axes((0.945, 0.15, 0.012, 0.7)))
    bar.set_label("Spearman correlation of two configurations", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    figure.savefig(path, dpi=130, bbox_inches="tight")
    plt.close(figure)


def _cdf(path: Path, studies: Sequence[Study], mixtures: np.ndarray) -> None:
    figure, axis = plt.subplots(figsize=(5.4, 3.8))
    for color, study in zip(_SERIES, studies, strict=False):
        for matrix, style in ((study.spearman_latency, "-"), (study.spearman_energy, ":")):
            _step(axis, matrix.mean(axis=1), color, style, study.name if style == "-" else None)
    _step(axis, mixtures, _MUTED, "--", f"nb301, {len(mixtures)} layer-wise mixtures")
    axis.set(
        xlabel="average Spearman correlation of a configuration\n(solid latency, dotted energy)",
        ylabel="share of configurations",
        ylim=(0, 1.02),
    )
    axis.legend(frameon=False, fontsize=6.5, loc="upper left")
    _plain(axis)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _step(axis: plt.Axes, values: np.ndarray, color: str, style: str, label: str | None) -> None:
    values = np.sort(values)
    share = np.arange(1, len(values) + 1) / len(values)
    axis.step(values, share, where="post", color=color, ls=style, lw=1.3, label=label)


def _loss(path: Path, studies: Sequence[Study]) -> None:
    figure, axes = plt.subplots(1, len(studies), figsize=(2.6 * len(studies), 3.1), squeeze=False)
    for axis, study in zip(axes[0], studies, strict=True):
        loss, warned = study.own_loss.mean(axis=2), study.warned
        chosen = np.random.default_rng(0).permutation(np.flatnonzero(study.others))[:_MARKS]
        for flag, color, label in ((False, _SERIES[0], "no warning"), (True, _SERIES[1], "warned")):
            kept = chosen[warned.ravel()[chosen] == flag]
            axis.scatter(
                study.spearman.ravel()[kept], loss.ravel()[kept], s=4, alpha=0.4, color=color,
                label=label,
            )  # fmt: skip
        axis.axvline(0.9, color=_MUTED, lw=0.8)
        axis.axhline(0.3, color=_MUTED, lw=0.8)
        axis.set_title(study.name, fontsize=7, color=_INK)
        axis.set_xlabel("Spearman (proxy, target)", fontsize=7)
        axis.tick_params(labelsize=6)
        _plain(axis)
    axes[0, 0].set_ylabel("mean loss against own proxy, points", fontsize=7)
    axes[0, 0].legend(frameon=False, fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def _plain(axis: plt.Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(which="major", linewidth=0.3, color=_MUTED, alpha=0.5)
