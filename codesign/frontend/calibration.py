"""Samples for calibration and runs: one array per graph input, samples on the first axis."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import DataError

Samples = Mapping[str, NDArray[Any]]
SampleSource = str | Path | Samples | NDArray[Any]
"""An .npz file, arrays by input name, or the array of the only input."""
Signature = Sequence[tuple[str, tuple[int, ...], str]]
"""(name, declared shape, numpy dtype name) of every graph input, in order."""


def load_samples(source: SampleSource, signature: Signature) -> dict[str, NDArray[Any]]:
    """Arrays by input name, from an .npz file, a mapping, or the array of the only input.

    Raises
    ------
    DataError
        the file is missing or no .npz, or one array stands for several inputs.
    """
    if isinstance(source, np.ndarray):
        if len(signature) != 1:
            names = ", ".join(name for name, _, _ in signature)
            raise DataError(f"one array for several inputs; give a dict with the names {names}")
        return {signature[0][0]: source}
    if isinstance(source, Mapping):
        return {str(name): np.asarray(array) for name, array in source.items()}
    path = Path(source)
    if not path.is_file():
        raise DataError(f"{path}: no such file; make one with numpy.savez(path, INPUT=array)")
    try:
        with path.open("rb") as handle:
            archive = np.load(handle, allow_pickle=False)
            if isinstance(archive, np.ndarray):
                raise ValueError(
                    "one array without a name; numpy.savez(path, INPUT=array) names it"
                )
            return {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, AttributeError) as error:
        raise DataError(f"{path}: not an .npz file of plain arrays ({error})") from error


def check_samples(samples: Samples, signature: Signature, what: str) -> int:
    """Number of samples; every name, shape and type must fit the model's inputs.

    Raises
    ------
    DataError
        names, shapes or sample counts differ; the text lists both sides.
    """
    wanted = ", ".join(f"{n}: [samples, {', '.join(map(str, s[1:]))}]" for n, s, _ in signature)
    missing = [name for name, _, _ in signature if name not in samples]
    extra = sorted(set(samples) - {name for name, _, _ in signature})
    if missing or extra:
        found = ", ".join(f"{n}: {list(a.shape)}" for n, a in samples.items()) or "nothing"
        raise DataError(f"{what}: the model's inputs are {wanted}; got {found}")
    counts: set[int] = set()
    for name, shape, dtype in signature:
        array = samples[name]
        if array.ndim != len(shape) or array.shape[1:] != shape[1:]:
            raise DataError(
                f"{what}: input {name!r} must be [samples, {', '.join(map(str, shape[1:]))}], "
                f"got {list(array.shape)}"
            )
        if not np.can_cast(array.dtype, np.dtype(dtype), casting="same_kind"):
            raise DataError(f"{what}: input {name!r} must be {dtype}, got {array.dtype}")
        counts.add(int(array.shape[0]))
    if len(counts) != 1 or 0 in counts:
        raise DataError(
            f"{what}: every input needs the same number of samples, at least one; "
            f"got {sorted(counts)}"
        )
    return counts.pop()


def check_finite(samples: Samples, what: str) -> None:
    """No range follows from NaN or infinity.

    Raises
    ------
    DataError
        an array holds one; the text says which and in which sample.
    """
    for name, array in samples.items():
        wrong = np.argwhere(~np.isfinite(array)) if array.dtype.kind == "f" else np.empty((0, 1))
        if len(wrong):
            raise DataError(
                f"{what}: input {name!r} holds {array[tuple(wrong[0])]} in sample {wrong[0][0]} "
                f"({len(wrong)} such elements); every number must be finite"
            )


def batches(
    samples: Samples, signature: Signature, count: int
) -> Iterator[dict[str, NDArray[Any]]]:
    """Declared-size batches; the last one is filled up with the first samples again."""
    declared = {name: (shape[0] if shape else 1) for name, shape, _ in signature}
    steps = max(-(-count // n) for n in declared.values())
    for step in range(steps):
        yield {
            name: np.ascontiguousarray(
                samples[name][np.arange(step * n, (step + 1) * n) % count]
            ).astype(dtype, copy=False)
            for (name, _, dtype), n in zip(signature, declared.values(), strict=True)
        }
