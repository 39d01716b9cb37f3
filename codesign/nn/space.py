"""What a network space is: named decisions, and the network that they make.

A space is one class::

    @dataclass(frozen=True)
    class Mine(NetworkSpace):
        dataset: str = "cifar10"

        @property
        def name(self) -> str: ...
        @property
        def decisions(self) -> tuple[Decision, ...]: ...
        def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor: ...

Torch module, ONNX file and layers follow from `network`; sampling, mutation, crossover and text
from the decisions. An installed package adds a space by an entry point of the group
``codesign.network_spaces`` that names the class.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from codesign.errors import ModelError
from codesign.nn.graph import Graph, GraphBuilder, Layers, Tensor

if TYPE_CHECKING:
    from torch import nn

Option = str | int


@dataclass(frozen=True)
class Decision:
    """One thing to choose; the options' texts differ."""

    name: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Genotype:
    """A network of a space: the chosen option of each decision, in the space's order."""

    choices: tuple[Option, ...]


DATASETS: dict[str, tuple[int, tuple[int, int, int]]] = {
    "cifar10": (10, (3, 32, 32)),
    "cifar100": (100, (3, 32, 32)),
    "imagenet16-120": (120, (3, 16, 16)),
    "imagenet": (1000, (3, 224, 224)),
    "shapes32": (10, (3, 32, 32)),
    "digits": (10, (1, 8, 8)),
}
"""Classes and image shape [C, H, W] of the data sets that networks are built for."""
FOLDER = "folder"
"""Images in folders have as many classes as there are folders: ``folder:CLASSES``, 224 wide."""


def dataset_shape(dataset: str) -> tuple[int, tuple[int, int, int]]:
    """Classes and image shape of a data set; ModelError for an unknown name."""
    name, _, classes = dataset.partition(":")
    if name == FOLDER and classes.isdecimal() and int(classes) > 1:
        return int(classes), (3, 224, 224)
    if name == FOLDER:
        raise ModelError(
            f"data set {dataset!r}: a network needs the number of classes; "
            f"give {FOLDER}:CLASSES (at least 2), for example {FOLDER}:1000"
        )
    if dataset not in DATASETS:
        allowed = ", ".join((*DATASETS, f"{FOLDER}:CLASSES"))
        raise ModelError(f"unknown data set {dataset!r}; allowed: {allowed}")
    return DATASETS[dataset]


@dataclass(frozen=True)
class NetworkSpace(ABC):
    """A finite family of networks, described without building any.

    ``dataset`` sets the classes and the image size; ``resolution`` (pixels) replaces that size.
    """

    dataset: str = "cifar10"
    resolution: int | None = None

    def __post_init__(self) -> None:
        dataset_shape(self.dataset)
        if self.resolution is not None and not 8 <= self.resolution <= 1024:
            raise ModelError(f"resolution {self.resolution}: 8 to 1024 pixels are allowed")

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def decisions(self) -> tuple[Decision, ...]:
        """What a genotype chooses, in order."""

    @abstractmethod
    def network(self, builder: GraphBuilder, x: int, choices: tuple[Any, ...]) -> Tensor:
        """Add the network's operations to the image ``x`` and return its logits."""

    @property
    def separator(self) -> str:
        """What stands between the choices in a genotype's text."""
        return "-"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """[C, H, W] of one image."""
        channels, height, width = dataset_shape(self.dataset)[1]
        if self.resolution is None:
            return channels, height, width
        return channels, self.resolution, self.resolution

    @property
    def num_classes(self) -> int:
        return dataset_shape(self.dataset)[0]

    def count(self) -> int:
        """Number of genotypes."""
        return prod(len(decision.options) for decision in self.decisions)

    def all(self) -> Iterator[Genotype]:
        """Every genotype, in a fixed order that is part of the space."""
        for choices in product(*(decision.options for decision in self.decisions)):
            yield Genotype(choices)

    def sample(self, rng: np.random.Generator) -> Genotype:
        """A genotype drawn uniformly."""
        return Genotype(
            tuple(
                decision.options[int(rng.integers(len(decision.options)))]
                for decision in self.decisions
            )
        )

    def neighbours(self, genotype: Genotype) -> Iterator[Genotype]:
        """Every genotype that differs in exactly one decision."""
        for place, decision in enumerate(self.decisions):
            for option in decision.options:
                if option != genotype.choices[place]:
                    yield _replaced(genotype, place, option)

    def mutate(self, genotype: Genotype, rng: np.random.Generator) -> Genotype:
        """A neighbour: a decision drawn uniformly gets another option, drawn uniformly."""
        free = [i for i, decision in enumerate(self.decisions) if len(decision.options) > 1]
        place = free[int(rng.integers(len(free)))]
        others = [o for o in self.decisions[place].options if o != genotype.choices[place]]
        return _replaced(genotype, place, others[int(rng.integers(len(others)))])

    def crossover(self, a: Genotype, b: Genotype, rng: np.random.Generator) -> Genotype:
        """Every decision as in one of the two parents, each with the same probability."""
        from_b = rng.integers(2, size=len(self.decisions))
        pairs = zip(a.choices, b.choices, from_b, strict=True)
        return Genotype(tuple(right if second else left for left, right, second in pairs))

    def check(self, genotype: Genotype) -> None:
        """ModelError unless every choice is an option of its decision."""
        if len(genotype.choices) != len(self.decisions):
            raise ModelError(
                f"{self.name} genotype {genotype.choices!r} has {len(genotype.choices)} choices; "
                f"{len(self.decisions)} are needed: {self.form()}"
            )
        for decision, choice in zip(self.decisions, genotype.choices, strict=True):
            if choice not in decision.options:
                raise ModelError(
                    f"{self.name} genotype: {decision.name} = {choice!r} is not allowed; "
                    f"allowed: {', '.join(map(str, decision.options))}"
                )

    def form(self) -> str:
        """How a genotype is written, in words."""
        names = [decision.name for decision in self.decisions]
        listed = ", ".join(names if len(names) <= 8 else [*names[:6], "...", names[-1]])
        return f"{listed}, joined by {self.separator!r}" if self.separator else f"{listed}, joined"

    def to_json(self, genotype: Genotype) -> str:
        """Text from which `from_json` makes an equal genotype."""
        self.check(genotype)
        return self.separator.join(map(str, genotype.choices))

    def from_json(self, text: str) -> Genotype:
        """The genotype of a text; ModelError says what is malformed and what is allowed."""
        parts = text.strip().split(self.separator) if self.separator else list(text.strip())
        if len(parts) != len(self.decisions):
            example = self.to_json(Genotype(tuple(d.options[0] for d in self.decisions)))
            raise ModelError(
                f"malformed {self.name} genotype {text!r}: {len(parts)} choices instead of "
                f"{len(self.decisions)}; the form is {self.form()}, for example {example}"
            )
        choices: list[Option] = []
        for decision, part in zip(self.decisions, parts, strict=True):
            options = {str(option): option for option in decision.options}
            if part not in options:
                raise ModelError(
                    f"malformed {self.name} genotype {text!r}: {decision.name} is {part!r}; "
                    f"allowed: {', '.join(options)}"
                )
            choices.append(options[part])
        return Genotype(tuple(choices))

    def graph(self, genotype: Genotype) -> Graph:
        """The network's operations; torch is not loaded."""
        self.check(genotype)
        builder = GraphBuilder()
        x = builder.input(*self.input_shape)
        return builder.finish(self.network(builder, x, genotype.choices))

    def layers(self, genotype: Genotype, *, borders: bool = False) -> Layers:
        """Unit workloads with counts, equal to what the compiled ONNX has; torch is not loaded.

        Each unit appears with ``bias_tiles = 1``, the configuration decides the real number
        (`codesign.costmodel.units.on_config`). Tensors have no borders in DRAM; with ``borders``
        they have those that the configuration decides to need. Empty if the output does not
        depend on the input.
        """
        return self.graph(genotype).layers(borders=borders)

    def build(self, genotype: Genotype) -> nn.Module:
        """The torch module, untrained, batch norms in place."""
        from codesign.nn.graph_module import GraphModule

        return GraphModule(self.graph(genotype), self.num_classes)

    def to_onnx(self, genotype: Genotype, path: str | Path, seed: int = 0) -> Path:
        """Export with seeded, untrained weights; the same arguments give the same file."""
        from codesign.nn.graph_module import GraphModule, initialise
        from codesign.nn.graph_onnx import save_onnx

        module = GraphModule(self.graph(genotype), self.num_classes)
        return save_onnx(initialise(module, seed), (1, *self.input_shape), path)


def _replaced(genotype: Genotype, place: int, option: Option) -> Genotype:
    choices = genotype.choices
    return Genotype((*choices[:place], option, *choices[place + 1 :]))
