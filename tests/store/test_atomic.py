"""Files appear whole or not at all."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from codesign.errors import DataError
from codesign.store.atomic import atomic_folder, atomic_path, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "module.tar"
    write_text(path, "old")
    with pytest.raises(RuntimeError, match="boom"), atomic_path(path) as temporary:
        assert temporary.suffix == ".tar"
        temporary.write_text("new")
        raise RuntimeError("boom")
    assert [entry.name for entry in tmp_path.iterdir()] == ["module.tar"]
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"


def test_a_full_disk_is_a_user_error_and_leaves_nothing(tmp_path: Path) -> None:
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, old[1]))
    try:
        with pytest.raises(DataError, match=r"module\.tar: cannot be written: File too large"):
            write_text(tmp_path / "module.tar", "x" * 5000)
        with (
            pytest.raises(DataError, match=r"out: cannot be written: File too large"),
            atomic_folder(tmp_path / "out") as folder,
        ):
            (folder / "a").write_text("x")
            (folder / "b").write_text("x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_replaces_an_empty_one_only(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "a").write_text("x")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "a"]
    with pytest.raises(DataError, match="no empty folder"), atomic_folder(tmp_path / "out"):
        raise AssertionError


def test_a_missing_folder_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; create it first"):
        write_text(tmp_path / "no" / "file", "x")
    with pytest.raises(DataError, match="is a folder; name a file to write"):
        write_text(tmp_path, "x")
    with pytest.raises(DataError, match="is a device or a pipe, which no file may replace"):
        write_text("/dev/null", "x")


def test_a_folder_where_nothing_can_be_written_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # the superuser may write anywhere
    with pytest.raises(DataError, match="cannot be written; name another one"):
        write_text(tmp_path / "file", "x")
