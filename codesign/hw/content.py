"""Content hashes: equal configurations have equal keys, on every machine and in every release."""

from __future__ import annotations

import hashlib
import json

from codesign.hw.config import VtaConfig
from codesign.hw.feasibility import FIELD_NAMES


def config_key(cfg: VtaConfig) -> str:
    """32 hexadecimal digits over the fields that compare; names and labels take no part."""
    values = {name: getattr(cfg, name) for name in FIELD_NAMES}
    values["frequency_mhz"] = float(cfg.frequency_mhz)
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
