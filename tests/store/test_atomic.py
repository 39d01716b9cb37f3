"""Files appear whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from codesign.errors import DataError
from codesign.store.atomic import atomic_path, write_text


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


def test_a_missing_folder_and_a_folder_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist; create it first"):
        write_text(tmp_path / "no" / "file", "x")
    with pytest.raises(DataError, match="is a folder; name a file to write"):
        write_text(tmp_path, "x")
