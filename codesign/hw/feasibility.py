"""Which configurations can exist: named rules, each with the fields it reads (VTA_SPEC.md 1.3).

Every broken rule is reported, with its numbers, as an `Infeasible` value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, fields

from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.hw.packing import packed_bits

MAX_DEPTH_LOG2 = 16
MAX_ELEMENT_BYTES = 4096
AXI_BURST_BYTES = 4096
INSTRUCTION_BYTES_MAX = 32

_MEMORY_SYSTEM = frozenset(
    {
        "bus_bits",
        "max_burst_beats",
        "read_latency",
        "write_address_latency",
        "write_response_latency",
        "outstanding_reads",
        "frequency_mhz",
        "dataflow",
        "has_mul",
    }
)
FIELD_NAMES = tuple(f.name for f in fields(VtaConfig) if f.compare)
"""Fields that make two configurations different."""
CORE_FIELDS = frozenset(FIELD_NAMES) - _MEMORY_SYSTEM
"""Fields that tile shapes, buffers and encoding depend on; every derived quantity reads these
only, but for ``burst_bytes``."""


@dataclass(frozen=True)
class Rule:
    """A named rule: the fields it reads, and a check that says what is broken, or None."""

    name: str
    fields: frozenset[str]
    check: Callable[[VtaConfig], str | None]


def _shown(value: float) -> str:
    return f"{value:g}" if abs(value) < 10_000 else f"{value:.0f}"


def _range(name: str, low: float, high: float, unit: str = "", power_of_two: bool = False) -> Rule:
    def check(cfg: VtaConfig) -> str | None:
        value = getattr(cfg, name)
        if value is None:
            return None
        whole = not power_of_two or (value > 0 and value & (value - 1) == 0)
        if low <= value <= high and whole:
            return None
        kind = "a power of two in " if power_of_two else ""
        return (
            f"{name.upper()} is {_shown(value)}{unit}; allowed: {kind}{_shown(low)} to "
            f"{_shown(high)}{unit}"
        )

    return Rule(name, frozenset({name}), check)


def _choice(name: str, allowed: tuple[str, ...]) -> Rule:
    def check(cfg: VtaConfig) -> str | None:
        value = getattr(cfg, name)
        return None if value in allowed else f"{name.upper()} is {value!r}; allowed: {allowed}"

    return Rule(name, frozenset({name}), check)


_SHAPE = {
    "inp": {"log_batch", "log_block", "log_block_in", "log_inp_width"},
    "wgt": {"log_block", "log_block_in", "log_block_out", "log_wgt_width"},
    "acc": {"log_batch", "log_block", "log_block_out", "log_acc_width"},
    "out": {"log_batch", "log_block", "log_block_out", "log_inp_width"},
}


def _element_bits(cfg: VtaConfig, memory: str) -> int:
    # Each memory reads its own fields only: the others may be out of range.
    if memory == "inp":
        return cfg.inp_bits * cfg.batch * cfg.block_in
    if memory == "wgt":
        return cfg.wgt_bits * cfg.block_in * cfg.block_out
    return (cfg.acc_bits if memory == "acc" else cfg.out_bits) * cfg.batch * cfg.block_out


def _element(memory: str) -> Rule:
    def check(cfg: VtaConfig) -> str | None:
        bits = _element_bits(cfg, memory)
        if bits % 8:
            return (
                f"one {memory.upper()} element is {bits} bits; it must be whole bytes: widen the "
                "block or the data"
            )
        if bits // 8 > MAX_ELEMENT_BYTES:
            return (
                f"one {memory.upper()} element is {bits // 8} bytes; at most {MAX_ELEMENT_BYTES}: "
                "make the block or BATCH smaller"
            )
        return None

    return Rule(f"{memory}_element", frozenset(_SHAPE[memory]), check)


def _depth(memory: str) -> Rule:
    key = f"log_{memory}_buff_size"

    def check(cfg: VtaConfig) -> str | None:
        log_depth = getattr(cfg, key) + 3 - (_element_bits(cfg, memory).bit_length() - 1)
        return _depth_text(memory, key, getattr(cfg, key), log_depth)

    return Rule(f"{memory}_depth", frozenset(_SHAPE[memory] | {key}), check)


def _uop_depth(cfg: VtaConfig) -> str | None:
    size = cfg.log_uop_buff_size
    return _depth_text("uop", "log_uop_buff_size", size, cfg.log_uop_depth)


def _depth_text(memory: str, key: str, size: int, log_depth: int) -> str | None:
    if log_depth < 0:
        return (
            f"{key.upper()} is {size} (2^{size} bytes), less than one {memory.upper()} element; "
            f"at least {size - log_depth}"
        )
    if log_depth > MAX_DEPTH_LOG2:
        return (
            f"{key.upper()} is {size}: a depth of 2^{log_depth} {memory.upper()} elements; the "
            f"16-bit index allows 2^{MAX_DEPTH_LOG2} = 65536, so at most "
            f"{size - log_depth + MAX_DEPTH_LOG2}"
        )
    return None


def _core_depths(cfg: VtaConfig) -> tuple[int, int, int]:
    return cfg.log_acc_depth, cfg.log_inp_depth, cfg.log_wgt_depth


def vta_encoding_problem(cfg: VtaConfig) -> str | None:
    """Why upstream's 128-bit instructions and 32-bit micro-ops cannot hold ``cfg``, or None."""
    la, li, lw = _core_depths(cfg)
    lu = cfg.log_uop_buff_size - 2
    if min(la, li, lw, lu) < 0:
        return None
    loop = (7, 1, lu, lu + 1, 14, 14)
    parts = {
        "a micro-op": (la + max(la, li) + lw, 32),
        "a GEMM instruction": (packed_bits((*loop, la, la, li, li, lw, lw)), 128),
        "an ALU instruction": (packed_bits((*loop, la, la, la, la, 3, 1, 16)), 128),
    }
    needs = ((what, used, room) for what, (used, room) in parts.items() if used > room)
    broken = [f"{what} needs {used} of {room} bits" for what, used, room in needs]
    if not broken:
        return None
    return (
        f"the vta encoding cannot hold depths of 2^{la} ACC, 2^{li} INP, 2^{lw} WGT elements and "
        f"2^{lu} micro-ops: {', '.join(broken)}; shrink a buffer, or set ENCODING to auto or wide"
    )


def _encoding(cfg: VtaConfig) -> str | None:
    return vta_encoding_problem(cfg) if cfg.encoding == "vta" else None


def _axi_burst(cfg: VtaConfig) -> str | None:
    if cfg.burst_bytes <= AXI_BURST_BYTES:
        return None
    return (
        f"BUS_BITS/8 x MAX_BURST_BEATS is {cfg.bus_bits // 8} x {cfg.max_burst_beats} = "
        f"{cfg.burst_bytes} bytes; an AXI4 burst never crosses {AXI_BURST_BYTES} bytes: "
        f"MAX_BURST_BEATS at most {max(1, AXI_BURST_BYTES * 8 // max(8, cfg.bus_bits))}"
    )


def _fetch_burst(cfg: VtaConfig) -> str | None:
    if cfg.burst_bytes >= INSTRUCTION_BYTES_MAX:
        return None
    return (
        f"BUS_BITS/8 x MAX_BURST_BEATS is {cfg.burst_bytes} bytes; one burst must hold an "
        f"instruction of either encoding, {INSTRUCTION_BYTES_MAX} bytes: more MAX_BURST_BEATS"
    )


def _acc8(cfg: VtaConfig) -> str | None:
    if not cfg.has_acc8 or (cfg.log_acc_width, cfg.log_inp_width) == (5, 3):
        return None
    return (
        f"HAS_ACC8 needs 32-bit accumulators and 8-bit inputs; LOG_ACC_WIDTH is "
        f"{cfg.log_acc_width} and LOG_INP_WIDTH {cfg.log_inp_width}, allowed 5 and 3"
    )


_VALUES = (
    _range("log_inp_width", 0, 3),
    _range("log_wgt_width", 0, 3),
    _range("log_acc_width", 5, 5),
    _range("log_batch", 0, 8),
    _range("log_block", 0, 8),
    _range("log_block_in", 0, 8),
    _range("log_block_out", 0, 8),
    _range("log_uop_buff_size", 3, 30),
    _range("log_inp_buff_size", 0, 30),
    _range("log_wgt_buff_size", 0, 30),
    _range("log_acc_buff_size", 0, 30),
    _range("bus_bits", 64, 512, " bits", power_of_two=True),
    _range("max_burst_beats", 1, 256, " beats", power_of_two=True),
    _range("read_latency", 0, 65535, " cycles"),
    _range("write_address_latency", 0, 65535, " cycles"),
    _range("write_response_latency", 1, 65535, " cycles"),
    _range("outstanding_reads", 1, 1024),
    Rule(
        "frequency_mhz",
        frozenset({"frequency_mhz"}),
        lambda cfg: (
            None
            if math.isfinite(cfg.frequency_mhz) and 0 < cfg.frequency_mhz <= 10_000
            else f"FREQUENCY_MHZ is {cfg.frequency_mhz}; allowed: above 0 to 10000 MHz"
        ),
    ),
    _choice("dataflow", ("auto", "ws", "os", "is", "rs")),
    _choice("encoding", ("auto", "vta", "wide")),
)
_RELATIONS = (
    *(_element(memory) for memory in ("inp", "wgt", "acc", "out")),
    *(_depth(memory) for memory in ("inp", "wgt", "acc")),
    Rule("uop_depth", CORE_FIELDS, _uop_depth),
    Rule("vta_encoding", CORE_FIELDS, _encoding),
    Rule("axi_burst", frozenset({"bus_bits", "max_burst_beats"}), _axi_burst),
    Rule("fetch_burst", frozenset({"bus_bits", "max_burst_beats"}), _fetch_burst),
    Rule("acc8", frozenset({"has_acc8", "log_acc_width", "log_inp_width"}), _acc8),
)
RULES = (*_VALUES, *_RELATIONS)
"""Every rule, value ranges first; a relation is only looked at where its values are in range."""


def violations(
    cfg: VtaConfig, untrusted: Collection[str] = (), rules: Iterable[Rule] = RULES
) -> list[Infeasible]:
    """Every broken rule of ``cfg``, in a fixed order; empty where the configuration can exist.

    Parameters
    ----------
    cfg
        The configuration.
    untrusted
        Field names that hold no usable value; rules that read one of them are left out.
    rules
        Rules to look at, each field's own before those that relate fields.
    """
    unusable = set(untrusted)
    found: list[Infeasible] = []
    for rule in rules:
        if rule.fields & unusable:
            continue
        message = rule.check(cfg)
        if message is None:
            continue
        found.append(Infeasible(rule.name, message))
        if len(rule.fields) == 1:
            unusable |= rule.fields
    return found
