"""`check`: everything that is wrong with an instruction stream, before it runs."""

from __future__ import annotations

from typing import cast

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.isa import native
from codesign.isa.encoding import Bytes, Table, as_bytes, as_words, encode
from codesign.isa.finding import Finding
from codesign.isa.portable import config_findings
from codesign.isa.rules import finding
from codesign.isa.tables import INSTRUCTION

__all__ = ["Finding", "check"]


def check(
    stream: Bytes | bytes | Table,
    cfg: VtaConfig,
    memory: Bytes | None = None,
    base_address: int = 0x1000,
    portable: bool = False,
) -> list[Finding]:
    """Find every broken rule of a stream, in time linear in its length.

    The rules are those of VTA_SPEC.md, section 8 above all; they run in the C++ core, and
    `codesign.isa.specification.find` is their executable specification.

    Parameters
    ----------
    stream
        Encoded instructions, or a table of dtype ``INSTRUCTION``.
    cfg
        The configuration the stream is meant for.
    memory
        DRAM from ``base_address`` on, uint8, not changed. It holds the micro-ops: without it,
        indices, uninitialised reads and hazards between modules are not looked at.
    portable
        Also report what upstream's simulator, RTL or bitstreams lack.

    Returns
    -------
    Findings by instruction index; empty for a legal program.

    Raises
    ------
    ProgramError
        The stream is no whole number of instructions, or a table's value does not fit its field.
    """
    if isinstance(stream, np.ndarray) and stream.dtype == INSTRUCTION:
        stream = encode(cast(Table, stream), cfg)
    raw = as_bytes(cast(Bytes, stream))
    count = len(as_words(raw, cfg.instruction_bytes, "instruction"))
    found = config_findings(count, cfg) if portable else []
    if not count:
        return [*found, finding(-1, "finish_last")]
    keys = native.rule_keys()
    rows = native.check(raw, cfg, memory, base_address, portable)
    return found + [finding(index, keys[rule], *values) for index, rule, *values in rows]
