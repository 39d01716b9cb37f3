"""The contract of a network space, and the names under which spaces are found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from codesign.errors import ModelError
from codesign.nn.graph import Layers

if TYPE_CHECKING:
    from torch import nn


class Genotype(Protocol):
    """A frozen, hashable value that names one network; ``str`` gives its text form."""

    def __hash__(self) -> int: ...


G = TypeVar("G", bound=Genotype)


class NetworkSpace(Protocol[G]):
    """A finite family of networks, described without building any.

    Two equal genotypes are the same network. ``input_shape`` is [C, H, W] of one image.
    """

    @property
    def name(self) -> str: ...

    @property
    def input_shape(self) -> tuple[int, int, int]: ...

    @property
    def num_classes(self) -> int: ...

    def count(self) -> int:
        """Number of genotypes."""
        ...

    def all(self) -> Iterator[G]:
        """Every genotype, in a fixed order that is part of the space."""
        ...

    def sample(self, rng: np.random.Generator) -> G:
        """A genotype drawn uniformly."""
        ...

    def to_json(self, genotype: G) -> str:
        """Text from which `from_json` makes an equal genotype."""
        ...

    def from_json(self, text: str) -> G:
        """The genotype of a text; ModelError says what is malformed and what is allowed."""
        ...

    def build(self, genotype: G) -> nn.Module:
        """The torch module, untrained, batch norms in place."""
        ...

    def to_onnx(self, genotype: G, path: str | Path, seed: int = 0) -> Path:
        """Export with seeded, untrained weights; the same arguments give the same file."""
        ...

    def layers(self, genotype: G) -> Layers:
        """Unit workloads with counts, equal to what the compiled ONNX has; torch is not loaded.

        Each unit appears with ``bias_tiles = 1``, the configuration decides the real number
        (`codesign.search.units.on_config`). Empty if the output does not depend on the input.
        """
        ...


Factory = Callable[[str], "NetworkSpace[Genotype]"]

DATASETS: dict[str, tuple[int, tuple[int, int, int]]] = {
    "cifar10": (10, (3, 32, 32)),
    "cifar100": (100, (3, 32, 32)),
    "imagenet16-120": (120, (3, 16, 16)),
}
"""Classes and image shape [C, H, W] of the data sets that networks are built for."""


def dataset_shape(dataset: str) -> tuple[int, tuple[int, int, int]]:
    """Classes and image shape of a data set; ModelError for an unknown name."""
    if dataset not in DATASETS:
        raise ModelError(f"unknown data set {dataset!r}; allowed: {', '.join(DATASETS)}")
    return DATASETS[dataset]
