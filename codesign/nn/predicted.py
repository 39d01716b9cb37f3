"""The accuracy source `predicted`: figures that somebody's accuracy predictor gave, from a file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.nn.accuracy import AccuracyKind

_COLUMNS = ("network", "accuracy")


@dataclass(frozen=True)
class PredictedAccuracy:
    """Top-1 that was predicted, not measured: for benchmarks against work that rests on predictors.

    ``path`` is a CSV file with the columns ``network`` (text form) and ``accuracy`` (percent).
    DataError names the first line that is wrong.
    """

    path: Path
    dataset: str
    _values: dict[str, float] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_values", _read(self.path))

    @property
    def what(self) -> AccuracyKind:
        return AccuracyKind("predicted (not trained)", self.dataset, "", "", self.path.name)

    def networks(self) -> tuple[str, ...]:
        """The networks of the file."""
        return tuple(self._values)

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """Predicted accuracies; see `codesign.nn.AccuracySource`."""
        missing = [network for network in networks if network not in self._values]
        if missing:
            raise DataError(
                f"{self.path}: no prediction for {missing[0]!r}; it has {len(self._values)} "
                "networks"
            )
        return np.array([self._values[network] for network in networks], np.float64)


def _read(path: Path) -> dict[str, float]:
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot read predicted accuracies ({error})") from error
    found: dict[str, float] = {}
    for number, row in enumerate(rows, 2):
        try:
            network, value = (row[column] for column in _COLUMNS)
            found[network] = float(value)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}: line {number} has no {' and '.join(_COLUMNS)}; the file is CSV with "
                "these columns"
            ) from error
        if not 0 <= found[network] <= 100:
            raise DataError(f"{path}: line {number}: accuracy {value}; 0..100 percent is allowed")
    if not found:
        raise DataError(f"{path}: no predicted accuracies; columns are {', '.join(_COLUMNS)}")
    return found
