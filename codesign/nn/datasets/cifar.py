# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
# numpy leaves the type of reshaped arrays partly unknown.
"""CIFAR-10 and CIFAR-100 from the official binary files; nothing is downloaded or unpickled.

Format (Krizhevsky): rows of one label byte (CIFAR-100: a coarse and a fine one, the fine is used)
and 3072 pixel bytes, 32x32 planes of red, green and blue.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from codesign.errors import DataError
from codesign.nn.datasets.dataset import DataSet, Images, Labels

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


@dataclass(frozen=True)
class _Layout:
    classes: int
    label_bytes: int
    train: tuple[str, ...]
    test: str
    folder: str
    archive: str


_LAYOUTS = {
    "cifar10": _Layout(
        10,
        1,
        tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        "test_batch.bin",
        "cifar-10-batches-bin",
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    ),
    "cifar100": _Layout(
        100,
        2,
        ("train.bin",),
        "test.bin",
        "cifar-100-binary",
        "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    ),
}

CIFAR_ARCHIVES = {name: layout.archive for name, layout in _LAYOUTS.items()}
"""Where the files of each data set come from."""


def cifar(name: str, path: str | Path) -> DataSet:
    """``cifar10`` or ``cifar100`` from a folder of binary files, or the folder that holds it.

    Raises
    ------
    DataError
        files are missing, are no whole number of rows, or hold labels out of range.
    """
    layout = _LAYOUTS[name]
    folder = Path(path)
    if (folder / layout.folder).is_dir():
        folder = folder / layout.folder
    wanted = (*layout.train, layout.test)
    missing = [file for file in wanted if not (folder / file).is_file()]
    if missing:
        raise DataError(
            f"{name}: {folder} has no {', '.join(missing)}; unpack {layout.archive} and give the "
            f"folder {layout.folder}"
        )
    parts = [_read(folder / file, layout) for file in layout.train]
    images = np.concatenate([part[0] for part in parts])
    labels = np.concatenate([part[1] for part in parts])
    return DataSet(
        name, layout.classes, images, labels, *_read(folder / layout.test, layout), str(folder)
    )


def _read(file: Path, layout: _Layout) -> tuple[Images, Labels]:
    row = layout.label_bytes + _PIXELS
    data = np.frombuffer(file.read_bytes(), np.uint8)
    if data.size == 0 or data.size % row:
        raise DataError(
            f"{file}: {data.size} bytes; a whole number of rows of {row} bytes is needed "
            "(truncated, or not the binary version)"
        )
    rows = data.reshape(-1, row)
    labels = rows[:, layout.label_bytes - 1].astype(np.int64)
    wrong = np.flatnonzero(labels >= layout.classes)
    if wrong.size:
        raise DataError(
            f"{file}: row {int(wrong[0])} has label {int(labels[wrong[0]])}; allowed: "
            f"0..{layout.classes - 1}"
        )
    return rows[:, layout.label_bytes :].reshape(-1, *_SHAPE).copy(), labels
