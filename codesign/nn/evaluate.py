# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# numpy leaves the type of argmax partly unknown.
"""The accuracy source `evaluate`: labelled images through the compiled integer network."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError, VerificationError
from codesign.hw.config import VtaConfig
from codesign.nn.accuracy import AccuracyKind
from codesign.nn.datasets import DataSet, real
from codesign.nn.labelled import naming
from codesign.nn.measurements import Measurements
from codesign.nn.onnx_file import onnx_digest
from codesign.nn.trained import data_facts, judged

if TYPE_CHECKING:
    from codesign.nn.trained import TrainedAccuracy


@dataclass(eq=False)
class EvaluatedAccuracy:
    """Top-1 of compiled networks on ``config``: what the accelerator itself predicts.

    Networks are paths of ONNX files, float (calibrated on ``calibration`` training images) or
    quantised; ``model_of`` makes the file of a network that is named otherwise. All test images run
    through the integer reference, the first ``simulated`` ones on the simulator too, which must
    agree on every element. Files take images of `codesign.nn.datasets.real`, whatever batch they
    declare. ``disabled`` are phases of the compiler to leave out. ``store`` keeps a figure for as
    long as the file, the images, the configuration and the compiler stay as they are.
    """

    data: DataSet
    config: VtaConfig
    calibration: int = 128
    simulated: int = 8
    disabled: tuple[str, ...] = ()
    model_of: Callable[[str], str | Path] = Path
    store: Path | None = None

    def __post_init__(self) -> None:
        self._measured = Measurements(self.store)
        used = (
            self.data.train_images[: self.calibration],
            self.data.test_images,
            self.data.test_labels,
        )
        self._images = [hashlib.sha256(part.tobytes()).hexdigest()[:16] for part in used]

    @property
    def what(self) -> AccuracyKind:
        machine = self.config.name or "the configuration"
        return AccuracyKind(
            "evaluated (integer network)",
            self.data.name,
            f"{judged(self.data)}; a search selects on them",
            "",
            f"compiled for {machine}, {self.simulated} images simulated",
        )

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """Accuracies of compiled networks; see `codesign.nn.AccuracySource`.

        Raises
        ------
        DataError
            a network whose input or output is not that of the data set.
        VerificationError
            simulator and integer reference differ.
        """
        return np.array([self._top1(network) for network in networks], np.float64)

    def _top1(self, network: str) -> float:
        from codesign.store import compiler_version, to_plain

        path = Path(self.model_of(network))
        facts = ["evaluate", onnx_digest(path), data_facts(self.data), self.calibration]
        facts.append(list(self.disabled))
        facts += [to_plain(self.config), self.simulated, self._images, compiler_version()]
        known = self._measured.get(facts)
        if known is not None:
            return known
        right = self._outputs(path).argmax(axis=1) == self.data.test_labels
        return self._measured.put(facts, 100.0 * float(right.mean()))

    def _outputs(self, path: Path) -> NDArray[Any]:
        from codesign.compiler.compile import compile as compile_network

        samples = real(self.data.train_images[: self.calibration])
        with naming(path):
            package = compile_network(
                path, self.config, calibration=samples, disabled=self.disabled
            )
        shape = tuple(package.inputs[0].shape[1:])
        if len(package.inputs) != 1 or shape != self.data.image_shape:
            raise DataError(
                f"{path}: input {list(shape)}, data set {self.data.name} has images "
                f"{list(self.data.image_shape)}; one input of that shape is needed"
            )
        images = real(self.data.test_images)
        outputs = next(iter(package.reference(images).values()))
        if outputs.shape != (len(images), self.data.classes):
            raise DataError(
                f"{path}: outputs {list(outputs.shape[1:])} for {self.data.classes} classes of "
                f"data set {self.data.name}"
            )
        if self.simulated:
            run = package.run(images[: self.simulated])
            same = np.array_equal(next(iter(run.outputs.values())), outputs[: self.simulated])
            if not (run.outputs_match and same):
                raise VerificationError(f"{path}: the simulator differs from the integer reference")
        return outputs


def trained_models(source: TrainedAccuracy, folder: str | Path) -> Callable[[str], Path]:
    """``model_of`` for networks of a space: trained with the first seed and written to ``folder``.

    A file that is there already is taken as it is.
    """

    def model_of(text: str) -> Path:
        from codesign.nn.export import export_onnx

        facts = (source.space.name, text, data_facts(source.data), source.recipe, source.seeds[0])
        name = hashlib.sha256(repr(facts).encode()).hexdigest()
        path = Path(folder) / f"{name[:16]}.onnx"
        if not path.is_file():
            network = source.network(text, source.seeds[0])
            export_onnx(network, (1, *source.data.image_shape), path)
        return path

    return model_of
