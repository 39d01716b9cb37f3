# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# (numpy's stubs leave reshape and view partially unknown)
"""Instruction and micro-op tables to bytes and back, vectorised over the whole stream."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from codesign.errors import ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa.tables import (
    INSTRUCTION,
    UOP,
    Opcode,
    PlacedField,
    instruction_layout,
    uop_layout,
)

Table = NDArray[np.void]
Bytes = NDArray[np.uint8]

_OPCODE_MASK = np.uint64(7)


def encode(table: Table, cfg: VtaConfig) -> Bytes:
    """Encode instructions.

    Parameters
    ----------
    table
        Structured array of dtype ``INSTRUCTION``, one record an instruction.
    cfg
        Gives the encoding and the field widths.

    Returns
    -------
    uint8 array ``[n, cfg.instruction_bytes]``, little-endian.

    Raises
    ------
    ProgramError
        A value does not fit its field, or a field is set that the opcode lacks; names the first
        such instruction, the field, the value and the allowed range.
    """
    words = np.zeros((len(table), cfg.instruction_bytes // 8), np.uint64)
    opcodes = table["opcode"]
    known = np.isin(opcodes, list(Opcode))
    if not known.all():
        index = int(np.argmin(known))
        raise ProgramError(_opcode_text(index, int(opcodes[index])))
    for opcode, fields in instruction_layout(cfg).items():
        rows = np.flatnonzero(opcodes == opcode)
        if not rows.size:
            continue
        part = table[rows]
        _refuse_foreign(part, rows, opcode, fields)
        words[rows] = _pack(part, rows, fields, words.shape[1], f"{opcode.name} instruction")
    return words.view(np.uint8).reshape(len(table), cfg.instruction_bytes)


def decode(data: Bytes | bytes, cfg: VtaConfig) -> Table:
    """Decode instructions; the inverse of `encode` (reserved bits are not looked at).

    Parameters
    ----------
    data
        ``bytes``, or uint8 of any shape, a whole number of instructions.

    Raises
    ------
    ProgramError
        The length is no multiple of the instruction size, or an opcode is unknown.
    """
    words = as_words(data, cfg.instruction_bytes, "instruction")
    table = decode_words(words, cfg)
    known = np.isin(table["opcode"], list(Opcode))
    if not known.all():
        index = int(np.argmin(known))
        raise ProgramError(_opcode_text(index, int(table["opcode"][index])))
    return table


def decode_words(words: NDArray[np.uint64], cfg: VtaConfig) -> Table:
    """Decode ``[n, words]``; an unknown opcode leaves the other columns 0."""
    table = np.zeros(len(words), INSTRUCTION)
    table["opcode"] = words[:, 0] & _OPCODE_MASK
    for opcode, fields in instruction_layout(cfg).items():
        rows = np.flatnonzero(table["opcode"] == opcode)
        if not rows.size:
            continue
        part = words[rows]
        for field in fields:
            table[field.name][rows] = _unpack(part, field)
    return table


def encode_uops(uops: Table, cfg: VtaConfig) -> Bytes:
    """Encode micro-ops (dtype ``UOP``) to uint8 ``[n, cfg.uop_bytes]``; errors as in `encode`."""
    words = _pack(uops, np.arange(len(uops)), uop_layout(cfg), 1, "micro-op")
    bytes_ = words.view(np.uint8).reshape(len(uops), 8)
    return np.ascontiguousarray(bytes_[:, : cfg.uop_bytes])


def decode_uops(data: Bytes | bytes, cfg: VtaConfig) -> Table:
    """Decode micro-ops; the inverse of `encode_uops`."""
    raw = as_bytes(data)
    if raw.size % cfg.uop_bytes:
        raise ProgramError(_length_text("micro-op", raw.size, cfg.uop_bytes))
    wide = np.zeros((raw.size // cfg.uop_bytes, 8), np.uint8)
    wide[:, : cfg.uop_bytes] = raw.reshape(-1, cfg.uop_bytes)
    words = wide.view("<u8")
    uops = np.zeros(len(words), UOP)
    for field in uop_layout(cfg):
        uops[field.name] = _unpack(words, field)
    return uops


def as_bytes(data: object) -> Bytes:
    """``bytes`` or a uint8 array of any shape as flat uint8; copies only what is not contiguous.

    Raises
    ------
    ProgramError
        Something else, an array of other numbers for example.
    """
    if isinstance(data, bytes | bytearray | memoryview):
        return np.frombuffer(data, np.uint8)
    if isinstance(data, np.ndarray) and data.dtype == np.uint8:
        return np.ascontiguousarray(data).reshape(-1)
    kind = f"an array of {data.dtype.name}" if isinstance(data, np.ndarray) else type(data)
    raise ProgramError(f"the stream is {kind}; allowed: bytes or uint8 (codesign.isa.encode)")


def as_words(data: Bytes | bytes, size: int, what: str) -> NDArray[np.uint64]:
    """View a byte stream as little-endian 64-bit words ``[n, size / 8]``."""
    raw = as_bytes(data)
    if raw.size % size:
        raise ProgramError(_length_text(what, raw.size, size))
    return raw.view("<u8").reshape(-1, size // 8)


def _pack(
    part: Table, rows: NDArray[np.intp], fields: Sequence[PlacedField], words: int, what: str
) -> NDArray[np.uint64]:
    packed = np.zeros((len(part), words), np.uint64)
    for field in fields:
        column = part[field.name]
        wrong = (column < field.low) | (column > field.high)
        if wrong.any():
            at = int(np.argmax(wrong))
            text = _range_text(
                what, int(rows[at]), field.name, int(column[at]), field.low, field.high
            )
            raise ProgramError(text)
        bits = column.astype(np.uint64) & np.uint64((1 << field.width) - 1)
        packed[:, field.word] |= bits << np.uint64(field.shift)
    return packed


def _unpack(words: NDArray[np.uint64], field: PlacedField) -> NDArray[np.int64]:
    if not field.width:
        return np.zeros(len(words), np.int64)
    bits = words[:, field.word] >> np.uint64(field.shift)
    value = (bits & np.uint64((1 << field.width) - 1)).astype(np.int64)
    if field.signed:
        value -= (value >> (field.width - 1)) << field.width
    return value


def _refuse_foreign(
    part: Table, rows: NDArray[np.intp], opcode: Opcode, fields: Sequence[PlacedField]
) -> None:
    own = {field.name for field in fields}
    for name in INSTRUCTION.names or ():
        if name in own or not part[name].any():
            continue
        at = int(np.flatnonzero(part[name])[0])
        raise ProgramError(
            f"{opcode.name} instruction {int(rows[at])}: field {name} is {int(part[name][at])}, "
            f"but {opcode.name} has no such field; set it to 0"
        )


def _range_text(what: str, index: int, field: str, value: int, low: int, high: int) -> str:
    return (
        f"{what} {index}: field {field} is {value}; allowed on this configuration: "
        f"{low} to {high}; split the work or change the buffer sizes"
    )


def _opcode_text(index: int, value: int) -> str:
    return (
        f"instruction {index}: field opcode is {value}; allowed: 0 to {max(Opcode)}; "
        "check that this is a stream of this configuration's encoding"
    )


def _length_text(what: str, length: int, size: int) -> str:
    return (
        f"{what} stream of {length} bytes; allowed: a multiple of {size} (the {what} size of this "
        "configuration's encoding); check the configuration and the file"
    )
