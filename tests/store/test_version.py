"""Version strings follow the sources."""

from __future__ import annotations

import pytest

from codesign.store import compiler_version, simulator_version, version


def test_the_compiler_version_covers_all_its_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {simulator_version(), compiler_version()}
    for left in version._COMPILER:
        monkeypatch.setattr(version, "_COMPILER", (left,))
        found.add(compiler_version.__wrapped__())
    assert len(found) == 5
