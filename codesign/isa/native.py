# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (tvm_ffi modules are untyped)
"""The C++ core, reached through tvm-ffi, and the checker's part of it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.isa.encoding import Bytes


@lru_cache(maxsize=1)
def library() -> Any:
    """The shared library as a tvm-ffi module; also registers its static functions."""
    # Here, because tvm-ffi imports torch where that is installed, which takes seconds.
    from tvm_ffi.libinfo import load_lib_module

    return load_lib_module("codesign", "codesign_core")


@lru_cache(maxsize=1)
def config_fields() -> tuple[str, ...]:
    """Names of the machine's parameters, in the order the C++ core takes them."""
    return tuple(str(name) for name in library().config_fields())


@lru_cache(maxsize=4096)
def config_values(cfg: VtaConfig) -> tuple[int, ...]:
    """The configuration as the flat list of ints that ``Config::from_values`` reads."""
    return tuple(int(getattr(cfg, name)) for name in config_fields())


@lru_cache(maxsize=1)
def rule_keys() -> tuple[str, ...]:
    """Keys of `codesign.isa.rules.RULES`, as `check` numbers them."""
    return tuple(str(key) for key in library().rule_keys())


def check(
    stream: Bytes, cfg: VtaConfig, memory: Bytes | None, base_address: int, portable: bool
) -> list[list[int]]:
    """Findings as rows: instruction, rule (see `rule_keys`), numbers that the rule's text names.

    ``stream`` is a whole, positive number of instructions; ``memory`` may be None.
    """
    # Copies, because tvm-ffi takes writable arrays only; neither is written.
    data = np.zeros(0, np.uint8) if memory is None else memory
    if not (data.flags.writeable and data.flags.c_contiguous):
        data = np.array(data)
    found = library().check(
        config_values(cfg), np.array(stream), data, base_address, memory is not None, portable
    )
    rows: list[list[int]] = np.frombuffer(bytes(found), np.int64).reshape(-1, 10).tolist()
    return rows
