# pyright: reportUnknownMemberType=false
# numpy annotates reshape in part only.
"""The accuracy source of a user's own ONNX files: labelled samples of an .npz through each one."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import CodesignError, DataError, VerificationError
from codesign.frontend.calibration import (
    SampleSource,
    check_finite,
    check_samples,
    load_samples,
)
from codesign.hw.config import VtaConfig
from codesign.nn.accuracy import AccuracyKind
from codesign.nn.measurements import Measurements
from codesign.nn.onnx_file import onnx_digest

LABELS = "labels"
"""The array of classes in a labelled .npz."""


@dataclass(eq=False)
class LabelledAccuracy:
    """Top-1 of compiled networks on ``config``, over the labelled samples of ``path``.

    The file is an .npz with one array for each network input (samples first, as the network takes
    them) and ``labels``, int [samples]. All samples run through the integer reference, the first
    ``simulated`` ones on the simulator too, which must agree on every element. Float networks are
    calibrated on ``calibration``, else on the first 128 samples. ``store`` as in
    `EvaluatedAccuracy`.
    """

    path: Path
    config: VtaConfig
    dataset: str = ""
    calibration: SampleSource | None = None
    simulated: int = 8
    store: Path | None = None

    def __post_init__(self) -> None:
        self._measured = Measurements(self.store)

    @property
    def what(self) -> AccuracyKind:
        machine = self.config.name or "the configuration"
        count = len(self._samples[1])
        return AccuracyKind(
            "evaluated (integer network)",
            self.dataset or self.path.name,
            f"{count} labelled samples; a search selects on them",
            "",
            f"compiled for {machine}, {min(count, self.simulated)} samples simulated",
        )

    def lookup(self, networks: Sequence[str]) -> NDArray[np.float64]:
        """Accuracies of ONNX files; see `codesign.nn.AccuracySource`.

        Raises
        ------
        DataError
            the .npz has no such arrays, or a file takes other inputs or knows fewer classes; the
            text names both files.
        VerificationError
            simulator and integer reference differ.
        """
        return np.array([self._top1(Path(network)) for network in networks], np.float64)

    @cached_property
    def _samples(self) -> tuple[Mapping[str, NDArray[Any]], NDArray[np.int64]]:
        return read_labelled(self.path)

    @cached_property
    def _digest(self) -> str:
        inputs, labels = self._samples
        calibration = self._calibration
        found = hashlib.sha256(repr(sorted(calibration)).encode() + labels.tobytes())
        for name in sorted(inputs):
            found.update(repr((name, inputs[name].shape)).encode() + inputs[name].tobytes())
        for name in sorted(calibration):
            found.update(np.ascontiguousarray(calibration[name]).tobytes())
        return found.hexdigest()

    @cached_property
    def _calibration(self) -> dict[str, NDArray[Any]]:
        if self.calibration is not None:
            given = load_samples(self.calibration, ())
            return {name: array for name, array in given.items() if name != LABELS}
        return {name: array[:128] for name, array in self._samples[0].items()}

    def _top1(self, file: Path) -> float:
        from codesign.store import compiler_version, to_plain

        facts = ["labelled", onnx_digest(file), self._digest, to_plain(self.config), self.simulated]
        facts.append(compiler_version())
        known = self._measured.get(facts)
        if known is not None:
            return known
        with naming(file):
            right = self._outputs(file).argmax(axis=1) == self._samples[1]
        return self._measured.put(facts, 100.0 * float(right.mean()))

    def _outputs(self, file: Path) -> NDArray[Any]:
        """float [samples, classes]."""
        from codesign.compiler.compile import compile as compile_network
        from codesign.frontend.importer import import_onnx, signature_of

        inputs, labels = self._samples
        module = import_onnx(file)
        check_samples(inputs, signature_of(module)[0], str(self.path))
        package = compile_network(module, self.config, calibration=self._calibration)
        outputs = package.reference(inputs)
        if len(outputs) != 1:
            raise DataError(f"{len(outputs)} outputs; one, of a score for each class, is needed")
        name, found = next(iter(outputs.items()))
        scores = found.reshape(len(labels), -1)
        if scores.shape[1] != max(found.shape[1:], default=1):
            raise DataError(
                f"output {name!r} is [samples, {', '.join(map(str, found.shape[1:]))}]; one score "
                "for each class, [samples, classes], is needed"
            )
        if scores.shape[1] <= labels.max():
            raise DataError(
                f"scores for {scores.shape[1]} classes; {self.path} has labels up to "
                f"{int(labels.max())}"
            )
        few = min(self.simulated, len(labels))
        if few:
            run = package.run({name: array[:few] for name, array in inputs.items()})
            seen = next(iter(run.outputs.values())).reshape(few, -1)
            if not (run.outputs_match and np.array_equal(seen, scores[:few])):
                raise VerificationError("the simulator differs from the integer reference")
        return scores


def read_labelled(path: Path) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
    """Inputs by name and labels int64 [samples] of a labelled .npz.

    Raises
    ------
    DataError
        no such file, no .npz, no ``labels``, no inputs, numbers of samples that differ, or
        samples that are not finite.
    """
    inputs = load_samples(path, ())
    labels = inputs.pop(LABELS, None)
    if labels is None or not inputs:
        found = ", ".join((*inputs, *([] if labels is None else [LABELS]))) or "nothing"
        raise DataError(
            f"{path}: holds {found}; one array for each network input, samples first, and "
            f"{LABELS!r}, one class for each sample, are needed"
        )
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{path}: {LABELS!r} is {labels.dtype} {list(labels.shape)}; whole numbers [samples] "
            "are needed, the class of each sample"
        )
    for name, array in inputs.items():
        if array.ndim == 0 or len(array) != len(labels):
            raise DataError(
                f"{path}: {name!r} has {len(array) if array.ndim else 'no'} samples, {LABELS!r} "
                f"{len(labels)}; the same number is needed"
            )
    classes = labels.astype(np.int64)
    if not len(classes) or classes.min() < 0:
        raise DataError(f"{path}: {LABELS!r} needs at least one class, counted from 0")
    check_finite(inputs, str(path))
    return inputs, classes


@contextmanager
def naming(file: str | Path) -> Generator[None]:
    """Errors inside the block say which file they are about."""
    try:
        yield
    except CodesignError as error:
        if str(file) in str(error):
            raise
        raise type(error)(f"{file}: {error}") from error
