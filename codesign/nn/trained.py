"""The accuracy sources that train: every network for itself, or all of a space together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError
from codesign.nn.accuracy import AccuracyKind
from codesign.nn.datasets import DataSet
from codesign.nn.measurements import Measurements
from codesign.nn.space import NetworkSpace

if TYPE_CHECKING:
    from torch import nn

    from codesign.nn.supernet import OneShotRecipe, SharedWeights
    from codesign.nn.training import Recipe


@dataclass(eq=False)
class TrainedAccuracy:
    """Top-1 on the held-out part of ``data`` after a short real training, mean over seeds.

    Every (network, seed) is trained once and kept in ``store``; a killed look-up goes on where it
    was. ``final`` has images that no look-up sees: the test part where ``data`` is a
    `DataSet.validation`, for `tested`.
    """

    space: NetworkSpace
    data: DataSet
    recipe: Recipe
    seeds: tuple[int, ...] = (0,)
    store: Path | None = None
    progress: Callable[[str], None] | None = None
    final: DataSet | None = None
    _spreads: dict[str, float] = field(default_factory=dict[str, float])

    def __post_init__(self) -> None:
        check_fit(self.space, self.data)
        if not self.seeds:
            raise DataError("accuracy by training: no seeds; give at least one")
        self._measured = Measurements(self.store)

    @property
    def what(self) -> AccuracyKind:
        return AccuracyKind(
            "trained here",
            self.data.name,
            judged(self.data),
            ", ".join(map(str, self.seeds)),
            f"{self.recipe.epochs} epochs on {len(self.data.train_labels)} images",
            float(np.mean(list(self._spreads.values()))) if self._spreads else None,
        )

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """Mean over seeds; see `codesign.nn.AccuracySource`."""
        return np.array([self._mean(network) for network in networks], np.float64)

    def tested(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """The same trained networks on the test part of ``final``."""
        return np.array(
            [np.mean([self._top1s(n, seed)[-1] for seed in self.seeds]) for n in networks],
            np.float64,
        )

    def network(self, text: str, seed: int) -> nn.Module:
        """A network of the space, trained."""
        from codesign.nn.training import seeded, train

        genotype = self.space.from_json(text)
        network = seeded(lambda: self.space.build(genotype), seed)
        return train(network, self.data, replace(self.recipe, seed=seed))

    def _mean(self, text: str) -> float:
        values = [self._top1s(text, seed)[0] for seed in self.seeds]
        if len(values) > 1:
            self._spreads[text] = float(np.std(values, ddof=1))
        return float(np.mean(values))

    def _top1s(self, text: str, seed: int) -> list[float]:
        """Top-1 on the held-out part and, where there is one, the final one, of one training."""
        from codesign.nn.training import top1

        recipe = asdict(replace(self.recipe, seed=seed))
        parts = [self.data] if self.final is None else [self.data, self.final]
        trained = [self.space.name, text, data_facts(self.data), recipe]
        facts = [[*trained, data_facts(part)] for part in parts]
        known = [self._measured.get(each) for each in facts]
        found = [value for value in known if value is not None]
        if len(found) == len(parts):
            return found
        if self.progress is not None:
            self.progress(f"training {text}, seed {seed}")
        network = self.network(text, seed)
        return [
            self._measured.put(each, top1(network, part.test_images, part.test_labels))
            for each, part in zip(facts, parts, strict=True)
        ]


@dataclass(eq=False)
class SupernetAccuracy:
    """Top-1 on the held-out part of ``data`` with weights inherited from a supernet, trained when
    first asked.

    ``checkpoint`` keeps the supernet; a killed training goes on from it. ``final`` is as in
    `TrainedAccuracy`.
    """

    space: NetworkSpace
    data: DataSet
    recipe: OneShotRecipe
    checkpoint: Path | None = None
    progress: Callable[[int, int, float], None] | None = None
    final: DataSet | None = None
    _shared: SharedWeights | None = None

    def __post_init__(self) -> None:
        check_fit(self.space, self.data)

    @property
    def what(self) -> AccuracyKind:
        return AccuracyKind(
            "supernet (inherited weights)",
            self.data.name,
            judged(self.data),
            str(self.recipe.seed),
            f"one-shot, {self.recipe.epochs} epochs on {len(self.data.train_labels)} images",
        )

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """Accuracies with inherited weights; see `codesign.nn.AccuracySource`."""
        return self._on(self.data, networks)

    def tested(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """The same inherited weights on the test part of ``final``."""
        return self._on(self.final or self.data, networks)

    def network(self, text: str) -> nn.Module:
        """A network of the space with inherited weights."""
        return self._trained().inherited(self.space.from_json(text), self.data)

    def _on(self, part: DataSet, networks: Sequence[str]) -> NDArray[np.float64]:
        shared = self._trained()
        genotypes = [self.space.from_json(network) for network in networks]
        images = replace(self.data, test_images=part.test_images, test_labels=part.test_labels)
        return np.array([shared.accuracy(g, images) for g in genotypes], np.float64)

    def _trained(self) -> SharedWeights:
        from codesign.nn.supernet import train_supernet

        if self._shared is None:
            self._shared = train_supernet(
                self.space, self.data, self.recipe, self.checkpoint, progress=self.progress
            )
        return self._shared


def judged(data: DataSet) -> str:
    """Which images networks are judged on, for `AccuracyKind`."""
    return f"{data.judged}, {len(data.test_labels)} images"


def check_fit(space: NetworkSpace, data: DataSet) -> None:
    """DataError unless the data set has the classes and images that the space is for."""
    if (data.classes, data.image_shape) != (space.num_classes, space.input_shape):
        raise DataError(
            f"space {space.name} is for {space.num_classes} classes and images "
            f"{list(space.input_shape)}; data set {data.name} has {data.classes} and "
            f"{list(data.image_shape)}"
        )


def data_facts(data: DataSet) -> list[str]:
    """What tells data sets apart in a store."""
    return [data.name, data.source, data.judged, data.digest]
