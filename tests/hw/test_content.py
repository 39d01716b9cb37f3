"""Content keys."""

from __future__ import annotations

from dataclasses import replace

from codesign.hw.config import VtaConfig
from codesign.hw.content import config_key


def test_key_is_pinned() -> None:
    # Stores are keyed by this text: a change here makes every stored evaluation unreachable.
    assert config_key(VtaConfig()) == "dfb9f44154a6523f9f4c1c184594d17f"


def test_equal_configurations_have_equal_keys() -> None:
    cfg = VtaConfig()
    assert config_key(replace(cfg, frequency_mhz=100)) == config_key(cfg)
    assert config_key(replace(cfg, name="a", target="b", hw_ver="c")) == config_key(cfg)
    assert config_key(replace(cfg, read_latency=19)) != config_key(cfg)
