"""Candidate networks: the genotypes of a space, or a list of ONNX files."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel import off_config
from codesign.errors import ConfigError, Infeasible, ModelError
from codesign.frontend.calibration import load_samples
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import ConvWorkload, Workload
from codesign.nn import Genotype, Layers, NetworkSpace, load_network_space
from codesign.nn.graph import with_borders
from codesign.nn.labelled import LABELS, naming
from codesign.nn.onnx_file import onnx_content, onnx_digest
from codesign.search.decisions import Decisions
from codesign.search.problem import NetworkChoice

if TYPE_CHECKING:
    from codesign.compiler.graph import UnitGraph

_LISTED = 100_000
"""Genotypes of a space that is searched whole."""

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, steps done, steps in all)."""


class Networks(Protocol):
    """Candidates in a fixed order, named by their text form."""

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def weights(self) -> str:
        """What the exported weights are, in words."""
        ...

    @property
    def without_units(self) -> Infeasible:
        """Why a candidate without units has no T2 figures."""
        ...

    def identity(self) -> Any:
        """JSON-able value that decides the content of every candidate."""
        ...

    def layers(self, progress: Progress | None = None) -> list[Layers]:
        """Unit workloads with counts of every candidate."""
        ...

    def decisions(self) -> Decisions:
        """The candidates as rows of integers."""
        ...

    def export(self, index: int, path: Path, seed: int) -> None:
        """Write the candidate's ONNX file."""
        ...

    def calibration(self, index: int, seed: int) -> Mapping[str, NDArray[Any]] | None:
        """Calibration inputs, None for a network that is quantised already."""
        ...


@dataclass(frozen=True)
class SpaceNetworks:
    """Genotypes of a space: all, or ``samples`` of them, drawn with seed 0 and all different.

    ``known``, where given, are the only networks whose accuracy the source has.
    """

    space: NetworkSpace
    samples: int | None = None
    known: tuple[str, ...] | None = None

    @cached_property
    def _names(self) -> list[str]:
        return [self.space.to_json(genotype) for genotype in self._genotypes]

    @cached_property
    def _genotypes(self) -> list[Genotype]:
        return candidates(self.space, self.samples, self.known)

    @property
    def names(self) -> Sequence[str]:
        return self._names

    @property
    def weights(self) -> str:
        return "untrained (seeded random weights; the accuracy is of weights trained elsewhere)"

    @property
    def without_units(self) -> Infeasible:
        return Infeasible("disconnected", "the network's output does not depend on its input")

    def identity(self) -> Any:
        space = self.space
        return {"space": space.name, "dataset": space.dataset, "input": space.input_shape}

    def layers(self, progress: Progress | None = None) -> list[Layers]:
        found: list[Layers] = []
        for index, genotype in enumerate(self._genotypes):
            found.append(self.space.layers(genotype, borders=True))
            if progress is not None and (index + 1) % 500 == 0:
                progress("networks", index + 1, len(self._genotypes))
        return found

    def decisions(self) -> Decisions:
        made = self.space.decisions
        places = [{option: i for i, option in enumerate(d.options)} for d in made]
        rows = [
            [place[choice] for place, choice in zip(places, genotype.choices, strict=True)]
            for genotype in self._genotypes
        ]
        options = tuple(len(d.options) for d in made)
        return Decisions(tuple(d.name for d in made), options, np.array(rows, np.int64))

    def export(self, index: int, path: Path, seed: int) -> None:
        self.space.to_onnx(self._genotypes[index], path, seed)

    def calibration(self, index: int, seed: int) -> Mapping[str, NDArray[Any]] | None:
        rng = np.random.default_rng(seed)
        return {"x": rng.standard_normal((8, *self.space.input_shape)).astype(np.float32)}


def candidates(
    space: NetworkSpace, samples: int | None, known: Sequence[str] | None
) -> list[Genotype]:
    """The genotypes to search; ConfigError for a space that is too large to list."""
    rng, count = np.random.default_rng(0), space.count()
    if known is not None and len(known) < count:
        picks = np.arange(len(known))
        if samples is not None and samples < len(known):
            picks = np.sort(rng.choice(len(known), samples, replace=False))
        return [space.from_json(known[int(pick)]) for pick in picks]
    if samples is None or samples >= count:
        if count > _LISTED:
            raise ConfigError(
                f"[network] space {space.name!r} has {count:.3g} networks, too many to list "
                f"(at most {_LISTED:,}); give samples = N"
            )
        return list(space.all())
    drawn: dict[Genotype, None] = {}
    while len(drawn) < samples:
        drawn[space.sample(rng)] = None
    return list(drawn)


@dataclass(frozen=True)
class OnnxNetworks:
    """ONNX files; their units are those of the file compiled for ``reference``."""

    files: tuple[str, ...]
    reference: VtaConfig
    calibration_file: str | None = None

    @property
    def names(self) -> Sequence[str]:
        return self.files

    @property
    def weights(self) -> str:
        return "the file's"

    @property
    def without_units(self) -> Infeasible:
        return Infeasible("host_only", "no operator of the file runs on the accelerator")

    def identity(self) -> Any:
        """File names and the hashes of their content."""
        for file in self.files:
            if not Path(file).is_file():
                raise ModelError(f"[network] onnx: no such file {file}; give paths of ONNX files")
        digests = {file: onnx_digest(Path(file)) for file in self.files}
        calibration = self.calibration_file
        if calibration is None:
            return {"onnx": digests}
        data = hashlib.sha256(Path(calibration).read_bytes()).hexdigest()
        return {"onnx": digests, "calibration": data}

    def layers(self, progress: Progress | None = None) -> list[Layers]:
        import codesign
        from codesign.compiler import DECISIONS

        found: list[Layers] = []
        for index, file in enumerate(self.files):
            data = self.calibration(index, 0)
            # Units of their own: fusing and folding depend on the configuration.
            with naming(file):
                package = codesign.compile(
                    file,
                    self.reference,
                    calibration=data,
                    compose="exact",
                    disabled=DECISIONS,
                )
                _check_batch(package)
            found.append(package_layers(package, self.reference))
            if progress is not None:
                progress("networks", index + 1, len(self.files))
        return found

    def decisions(self) -> Decisions:
        """One decision: which file."""
        rows = np.arange(len(self.files), dtype=np.int64)[:, None]
        return Decisions(("file",), (len(self.files),), rows)

    def export(self, index: int, path: Path, seed: int) -> None:
        path.write_bytes(onnx_content(Path(self.files[index])))

    def calibration(self, index: int, seed: int) -> Mapping[str, NDArray[Any]] | None:
        """Of the file, which may be a labelled one."""
        if self.calibration_file is None:
            return None
        samples = load_samples(self.calibration_file, ())
        return {name: array for name, array in samples.items() if name != LABELS}


def _check_batch(package: Any) -> None:
    """ModelError for a network of several images: how often a configuration runs its units for
    them depends on the configuration's own batch, and figures are those of one image."""
    declared = int(package.inputs[0].shape[0])
    if declared > 1 and any(graph.batch > 1 for graph in package.graphs):
        raise ModelError(
            f"declares a batch of {declared} images; a search counts one: export it with batch 1"
        )


def package_layers(package: Any, config: VtaConfig) -> Layers:
    """Layers with counts of a package compiled for ``config``, borders as other configurations
    need them."""
    counts: Counter[Workload] = Counter()
    for graph in package.graphs:
        borders = _borders(graph)
        for unit in graph.units:
            read = tuple(borders[name] for name in unit.inputs)
            layer = with_borders(unit.workload, read, borders[unit.output])
            counts[off_config(layer, config)] += 1
    return tuple(counts.items())


def _borders(graph: UnitGraph) -> dict[str, int]:
    """Borders of a region's tensors as `codesign.costmodel.units` marks them.

    With a zero point a border is there on every configuration.
    """
    from codesign.compiler.graph import storage

    padded: Counter[str] = Counter()
    for unit in graph.units:
        work, source = unit.workload, unit.inputs[0]
        if isinstance(work, ConvWorkload):
            pads = (pad // step for pad, step in zip(work.padding, work.up * 2, strict=True))
            memory = storage(graph, source).name
            padded[memory] = max(padded[memory], *pads)
    owners = {name: storage(graph, name) for name in graph.tensors}
    return {
        name: owner.border if owner.zero_point else -padded[owner.name]
        for name, owner in owners.items()
    }


def load_networks(
    choice: NetworkChoice, configs: Sequence[VtaConfig], known: Sequence[str] | None = None
) -> Networks:
    """The candidates of a problem.

    ``configs`` give the reference that ONNX files compile for; ``known``, where given, are the
    only networks of a space whose accuracy is known.
    """
    if choice.space is not None:
        space = load_network_space(choice.space, choice.dataset, choice.resolution)
        return SpaceNetworks(space, choice.samples, None if known is None else tuple(known))
    twice = sorted({file for file in choice.onnx if choice.onnx.count(file) > 1})
    if twice:
        raise ConfigError(f"[network] onnx lists {', '.join(twice)} twice; name each file once")
    largest = max(configs, key=lambda config: (config.sram_bytes, config.pes))
    return OnnxNetworks(choice.onnx, largest, choice.calibration)
