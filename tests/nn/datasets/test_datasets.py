"""Data sets: contents, formats, determinism, and every way a set can be wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from codesign.errors import DataError
from codesign.nn.datasets import DATA_SETS, DataSet, load_dataset, real, shapes32
from codesign.nn.datasets.shapes import SHAPES


def test_digits_are_real_and_split_by_seed() -> None:
    data = load_dataset("digits")
    assert (data.image_shape, data.classes) == ((1, 8, 8), 10)
    assert (len(data.train_images), len(data.test_images)) == (1437, 360)
    assert np.bincount(data.test_labels).min() >= 34
    assert (load_dataset("digits").test_images == data.test_images).all()
    assert (load_dataset("digits", seed=1).test_labels != data.test_labels).any()


def test_shapes_are_drawn_from_their_seed() -> None:
    data = shapes32(3, train=60, test=40)
    again = shapes32(3, train=60, test=40)
    assert data.image_shape == (3, 32, 32)
    assert (data.train_images == again.train_images).all()
    assert (data.test_images == again.test_images).all()
    assert (shapes32(4, train=60, test=40).train_images != data.train_images).any()
    assert set(np.unique(data.train_labels)) <= set(range(len(SHAPES)))


def test_real_pixels_are_exact_in_int8() -> None:
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    assert (real(pixels) * 128 == np.arange(-128, 128).reshape(1, 1, 16, 16)).all()


def _cifar_row(rng: np.random.Generator, *labels: int) -> bytes:
    return bytes(labels) + rng.integers(256, size=3072, dtype=np.uint8).tobytes()


def _cifar10(folder: Path, label: int = 9) -> None:
    rng = np.random.default_rng(0)
    for number in range(1, 6):
        (folder / f"data_batch_{number}.bin").write_bytes(_cifar_row(rng, number - 1))
    (folder / "test_batch.bin").write_bytes(_cifar_row(rng, label))


def test_cifar10_binary(tmp_path: Path) -> None:
    inner = tmp_path / "cifar-10-batches-bin"
    inner.mkdir()
    _cifar10(inner)
    for path in (tmp_path, inner):
        data = load_dataset("cifar10", path)
        assert data.train_labels.tolist() == [0, 1, 2, 3, 4]
        assert data.test_labels.tolist() == [9]
    raw = np.frombuffer((inner / "data_batch_1.bin").read_bytes(), np.uint8)
    assert data.train_images[0, 1, 2, 3] == raw[1 + 1024 + 2 * 32 + 3]


def test_cifar100_takes_the_fine_label(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "train.bin").write_bytes(_cifar_row(rng, 3, 77) + _cifar_row(rng, 19, 99))
    (tmp_path / "test.bin").write_bytes(_cifar_row(rng, 0, 5))
    data = load_dataset("cifar100", tmp_path)
    assert (data.classes, data.train_labels.tolist()) == (100, [77, 99])


def _missing(folder: Path) -> None:
    (folder / "data_batch_3.bin").unlink()


def _truncated(folder: Path) -> None:
    file = folder / "data_batch_2.bin"
    file.write_bytes(file.read_bytes()[:-1])


def _empty(folder: Path) -> None:
    (folder / "test_batch.bin").write_bytes(b"")


def _bad_label(folder: Path) -> None:
    _cifar10(folder, label=10)


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (_missing, r"has no data_batch_3.bin; unpack https://.*cifar-10-binary.tar.gz"),
        (_truncated, r"data_batch_2.bin: 3072 bytes; a whole number of rows of 3073"),
        (_empty, r"test_batch.bin: 0 bytes"),
        (_bad_label, r"test_batch.bin: row 0 has label 10; allowed: 0..9"),
    ],
)
def test_damaged_cifar_is_refused(
    tmp_path: Path, damage: Callable[[Path], None], text: str
) -> None:
    _cifar10(tmp_path)
    damage(tmp_path)
    with pytest.raises(DataError, match=text):
        load_dataset("cifar10", tmp_path)


def _folders(root: Path) -> None:
    for part, ending in (("train", "png"), ("val", "jpg")):
        for index, name in enumerate(("ant", "bee")):
            folder = root / part / name
            folder.mkdir(parents=True)
            for copy in range(2):
                Image.new("RGB", (40, 20), (100 * index, 7, 50 * copy)).save(
                    folder / f"{copy}.{ending}"
                )


def test_image_folder(tmp_path: Path) -> None:
    _folders(tmp_path)
    data = load_dataset("folder", tmp_path, size=16)
    assert data.image_shape == (3, 16, 16)
    assert data.train_labels.tolist() == data.test_labels.tolist() == [0, 0, 1, 1]
    assert data.train_images[2].reshape(3, -1).T.max(axis=0).tolist() == [100, 7, 0]


def test_damaged_image_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such folder: .*train, .*val; .* must hold train/"):
        load_dataset("folder", tmp_path)
    _folders(tmp_path)
    (tmp_path / "train" / "cow").mkdir()
    with pytest.raises(DataError, match="hold different classes: cow"):
        load_dataset("folder", tmp_path)
    (tmp_path / "val" / "cow").mkdir()
    with pytest.raises(DataError, match=r"cow holds no image; endings read: \.bmp"):
        load_dataset("folder", tmp_path)
    for part in ("train", "val"):
        (tmp_path / part / "cow" / "0.png").write_bytes(b"moo")
    with pytest.raises(DataError, match=r"0.png: not a readable image"):
        load_dataset("folder", tmp_path)


def test_unknown_names_and_missing_paths() -> None:
    with pytest.raises(DataError, match=f"unknown data set 'mnist'; allowed: {DATA_SETS[0]}, "):
        load_dataset("mnist")
    with pytest.raises(
        DataError, match=r"cifar10 is read from files; give its path .*https.*cifar-10-binary"
    ):
        load_dataset("cifar10")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"train_labels": np.array([0, 10])}, "training part: labels reach from 0 to 10"),
        ({"train_labels": np.array([0])}, r"2 images need int64 \[2\] labels, got int64 \[1\]"),
        ({"test_images": np.zeros((1, 1, 4, 5), np.uint8)}, r"are \[1, 4, 4\], .* \[1, 4, 5\]"),
        ({"test_images": np.zeros((1, 4, 4), np.uint8)}, r"must be uint8 \[N, C, H, W\]"),
        (
            {"test_images": np.zeros((0, 1, 4, 4), np.uint8), "test_labels": np.zeros(0, np.int64)},
            "test part: no images",
        ),
    ],
)
def test_wrong_shapes_and_labels_are_refused(changes: dict[str, object], text: str) -> None:
    images = np.zeros((2, 1, 4, 4), np.uint8)
    data = DataSet("mine", 10, images, np.array([0, 9]), images[:1], np.array([3]))
    with pytest.raises(DataError, match=text):
        dataclasses.replace(data, **changes)  # pyright: ignore[reportArgumentType]


def test_validation_leaves_the_test_part_alone() -> None:
    data = shapes32(train=40, test=7)
    chosen = data.validation()
    assert (data.judged, chosen.judged) == ("test", "validation")
    assert (chosen.test_images == data.train_images[::5]).all()
    assert (chosen.train_labels == np.delete(data.train_labels, np.s_[::5])).all()
    assert chosen.digest != data.digest == shapes32(train=40, test=7).digest
    moved = dataclasses.replace(data, test_labels=data.test_labels[::-1].copy())
    assert moved.digest != data.digest
