"""Accuracy sources: where a network's accuracy comes from, said with every figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError


@dataclass(frozen=True)
class AccuracyKind:
    """What a source's figures are: top-1 in percent, how obtained, on what, over which seeds.

    ``spread`` is the standard deviation between seeds in points, a mean over the networks looked
    up so far; None where only one seed is known.
    """

    kind: str
    dataset: str
    split: str
    seeds: str
    source: str
    spread: float | None = None


class AccuracySource(Protocol):
    """Top-1 accuracy of networks, named by their text form (`NetworkSpace.to_json`)."""

    @property
    def what(self) -> AccuracyKind: ...

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """Accuracy in percent, float64 [len(networks)]; DataError for a network not known."""
        ...


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
    """Accuracies from a function of the network's text form, in percent.

    DataError says for which network it fails, or gives no percentage.
    """

    function: Callable[[str], float]
    dataset: str = "user's function"

    @property
    def what(self) -> AccuracyKind:
        name: Any = getattr(self.function, "__qualname__", repr(self.function))
        return AccuracyKind("callable", self.dataset, "", "", str(name))

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        return np.array([self._of(network) for network in networks], np.float64)

    def _of(self, network: str) -> float:
        where = f"accuracy function {self.what.source} of {network!r}"
        try:
            top1 = float(self.function(network))
        except Exception as error:
            raise DataError(f"{where}: {type(error).__name__}: {error}") from error
        if not 0 <= top1 <= 100:
            raise DataError(f"{where}: {top1:g}; percentages are allowed, 0 to 100")
        return top1
