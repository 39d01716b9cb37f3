"""A peer that fails is one clear line."""

from __future__ import annotations

import sys
from pathlib import Path

import peers
import pytest

from codesign.errors import MissingDependencyError


def test_a_peer_that_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "layers.py").write_text('raise ValueError("no such layer")')
    monkeypatch.setattr(peers, "TOOLS", tmp_path)
    peer = peers.Peer("Other", ("other==1",), "layers.py")
    wanted = r"Other: layers.py ends with 1 \(ValueError: no such layer\); remove .* other==1 anew"
    with pytest.raises(MissingDependencyError, match=wanted):
        peers.run_peer(peer, Path(sys.executable), [])


@pytest.mark.long
def test_our_levels_are_timed_for_few_layers() -> None:
    found = peers.our_seconds(peers.convolutions()[:2], None, 0)
    assert [len(seconds) for seconds in found.values()] == [2] * 4
    assert min(min(seconds) for seconds in found.values()) > 0
