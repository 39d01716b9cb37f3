"""Reads ``data/maestro``: networks of four spaces on 132 accelerators of the MAESTRO model."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "data" / "maestro"
SPACES = ("nb201", "nbmacro", "nb301", "alphanet")
TARGET_CONFIG = "19 kcp_ws"
"""The published target: 512 PEs, NoC 900, off-chip 350, KC-P."""

TARGET_NETWORK = 1956
"""Index in the published list of 10 000 networks of the model that target #1 chose."""

TARGET_FIGURES = (2_279_256, 626_090)
"""Its published latency in cycles and energy in nJ."""

_CELLS = 20
_REDUCTIONS = (_CELLS // 3, 2 * _CELLS // 3)
PARTS = _CELLS + 2
"""Parts of a network in the study of mixed dataflows: stem, cells, classifier."""


@dataclass(frozen=True, eq=False)
class Maestro:
    """One space. Columns of every figure are `configs`, "accelerator dataflow".

    ``counts`` [N, U] of U unique layers; ``l1_counts`` [3, N, U]: whose L1 traffic stock MAESTRO
    charges (a clustered layer is charged the layer's before it); tables [3, 50, U].
    """

    space: str
    layer_type: np.ndarray
    layer_dims: np.ndarray
    counts: np.ndarray
    l1_counts: np.ndarray
    latency_cycles: np.ndarray
    energy_l1_nj: np.ndarray
    energy_l2_nj: np.ndarray
    accelerators: np.ndarray
    dataflows: tuple[str, ...]

    @staticmethod
    def load(space: str) -> Maestro:
        with np.load(FOLDER / f"maestro_layers_{space}.npz", allow_pickle=False) as file:
            flows = tuple(str(name) for name in file["dataflows"])
            return Maestro(
                space,
                file["layer_type"],
                file["layer_dims"],
                file["counts"].astype(np.int64),
                np.stack([file[f"l1src_{flow}"].astype(np.int64) for flow in flows]),
                file["latency_cycles"],
                file["energy_l1_nJ"],
                file["energy_l2_nJ"],
                file["accelerators"],
                flows,
            )

    @cached_property
    def runs(self) -> list[tuple[int, int]]:
        """(dataflow, accelerator) rows of the tables that have results."""
        flows, rows, _ = self.latency_cycles.shape
        return [
            (flow, row)
            for flow in range(flows)
            for row in range(rows)
            if self.latency_cycles[flow, row, 0] >= 0
        ]

    @cached_property
    def configs(self) -> list[str]:
        return [f"{self.accelerators[row, 0]} {self.dataflows[flow]}" for flow, row in self.runs]

    @cached_property
    def resource(self) -> np.ndarray:
        """PEs of each configuration, float64 [C]."""
        return np.array([float(self.accelerators[row, 1]) for _, row in self.runs])

    @cached_property
    def latency(self) -> np.ndarray:
        """Cycles int64 [N, C]."""
        flows, rows = np.transpose(self.runs)
        return self.counts @ self.latency_cycles[flows, rows].T

    @cached_property
    def energy(self) -> np.ndarray:
        """nJ float64 [N, C], with stock MAESTRO's charge of L1 traffic."""
        columns = [
            self.counts @ self.energy_l2_nj[flow, row]
            + self.l1_counts[flow] @ self.energy_l1_nj[flow, row]
            for flow, row in self.runs
        ]
        return np.stack(columns, axis=1)

    @cached_property
    def macs(self) -> np.ndarray:
        """Multiply-accumulates float64 [N]: K·C·R²·Y'² of every layer."""
        k, c, r, y, stride = self.layer_dims.astype(float).T
        out = np.ceil(y / np.maximum(stride, 1))
        return self.counts @ (k * c * r**2 * out**2)


def target_figures() -> tuple[int, float]:
    """Cycles and nJ of published target #1, from the tables."""
    tables = Maestro.load("nb301")
    network = selected_genotypes()["index"].tolist().index(TARGET_NETWORK)
    config = tables.configs.index(TARGET_CONFIG)
    return int(tables.latency[network, config]), float(tables.energy[network, config])


def accelerators() -> list[dict[str, int]]:
    """The 50 accelerators: PEs, NoC and off-chip bandwidth in elements per cycle."""
    with (FOLDER / "accelerators.csv").open() as file:
        return [{name: int(value) for name, value in row.items()} for row in csv.DictReader(file)]


@cache
def selected_genotypes() -> dict[str, Any]:
    """The 1 018 DARTS networks: ``index`` in the published 10 000, and what their cells hold."""
    with np.load(FOLDER / "nb301_genotypes.npz", allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


# Layer-wise mixtures -------------------------------------------------------------------------
def part_counts(tables: Maestro) -> np.ndarray:
    """int64 [N, 22, U]: the unique layers of each part of the nb301 networks.

    The stem, 20 DARTS cells (reductions at a third and two thirds) and the classifier; their sum
    over parts is ``tables.counts``.
    """
    known = {
        (str(kind), *map(int, dims)): u
        for u, (kind, dims) in enumerate(zip(tables.layer_type, tables.layer_dims, strict=True))
    }
    genotypes = selected_genotypes()
    parts = np.zeros((len(tables.counts), PARTS, len(known)), np.int64)
    for n in range(len(parts)):
        for part, layers in enumerate(_parts(genotypes, n)):
            for layer in layers:
                parts[n, part, known[layer]] += 1
    return parts


_Layer = tuple[str, int, int, int, int, int]


def _parts(genotypes: dict[str, Any], network: int) -> list[list[_Layer]]:
    """The layers (type, K, C, R, Y, stride) of each part of a 32x32 network of 36 channels."""
    parts: list[list[_Layer]] = [[("CONV", 108, 3, 3, 32, 1)]]
    width, size = 36, 32
    before, previous = 108, 108  # channels of the two cells before
    reduced = False
    for cell in range(_CELLS):
        reduces = cell in _REDUCTIONS
        if reduces:
            width *= 2
        inputs = size
        layers = _halving(before, width, 2 * size) if reduced else [_point(before, width, size)]
        layers.append(_point(previous, width, size))
        kind = "reduce" if reduces else "normal"
        names = genotypes["ops"][genotypes[f"{kind}_op"][network]]
        for name, source in zip(names, genotypes[f"{kind}_in"][network], strict=True):
            stride = 2 if reduces and source < 2 else 1
            at = inputs if stride == 2 or not reduces else inputs // 2
            layers += _operation(str(name), width, at, stride)
        parts.append(layers)
        if reduces:
            size //= 2
        before, previous, reduced = previous, 4 * width, reduces
    return [*parts, [("LINEAR", 10, previous, 1, 1, 0)]]


def _operation(name: str, width: int, size: int, stride: int) -> list[_Layer]:
    kind, kernel = name.split("_conv_")[0], int(name[-1]) if name[-1].isdigit() else 1
    if kind in ("sep", "dil"):
        out = size // stride
        first = [("DSCONV", 1, width, kernel, size, stride), _point(width, width, out)]
        again = [("DSCONV", 1, width, kernel, out, 1), _point(width, width, out)]
        return first + again if kind == "sep" else first
    if name == "skip_connect" and stride == 2:
        return _halving(width, width, size)
    return []


def _point(channels: int, width: int, size: int) -> _Layer:
    return ("CONV", width, channels, 1, size, 1)


def _halving(channels: int, width: int, size: int) -> list[_Layer]:
    """Two 1x1 convolutions of stride 2, the second shifted by a pixel."""
    return [("CONV", width // 2, channels, 1, at, 2) for at in (size, size - 1)]


def mixtures(tables: Maestro, count: int, rng: np.random.Generator) -> np.ndarray:
    """Cycles float64 [N, count]: every part on an accelerator and dataflow of its own, drawn."""
    flows, rows = np.transpose(tables.runs)
    parts = part_counts(tables) @ tables.latency_cycles[flows, rows].T
    chosen = rng.integers(len(flows), size=(PARTS, count))
    cycles = np.zeros((len(parts), count))
    for part in range(PARTS):
        cycles += parts[:, part, chosen[part]]
    return cycles
