"""Instruction tables as text, one line an instruction."""

from __future__ import annotations

from codesign.hw.config import VtaConfig
from codesign.isa.encoding import Table
from codesign.isa.tables import FIELDS, HEADER, AluOp, Memory, Opcode, element_bytes

_DEFAULTS = {"iter_out": 1, "iter_in": 1}
_FLAGS = tuple(f.name for f in HEADER[1:])
_SPECIAL = {"opcode", "memory_type", "alu_opcode", "use_imm", "reset", *_FLAGS}


def disassemble(table: Table, cfg: VtaConfig) -> list[str]:
    """One line per instruction: index, operation, fields unlike their default, token flags.

    Decimal numbers in the units of the fields (elements, not bytes); ``dram`` also as the byte
    address.
    """
    rows: list[dict[str, int]] = [
        dict(zip(table.dtype.names or (), row, strict=True)) for row in table.tolist()
    ]
    return [_line(index, row, cfg) for index, row in enumerate(rows)]


def _line(index: int, row: dict[str, int], cfg: VtaConfig) -> str:
    if row["opcode"] not in list(Opcode):
        return f"{index:6d}  ?{row['opcode']}"
    opcode = Opcode(row["opcode"])
    words = [_mnemonic(opcode, row)]
    for field in FIELDS[opcode]:
        value = row[field.name]
        if field.name in _SPECIAL or value == _DEFAULTS.get(field.name, 0):
            continue
        words.append(f"{field.name}={value}")
        if field.name == "dram_base" and row["memory_type"] in list(Memory):
            words[-1] += f"(0x{value * element_bytes(row['memory_type'], cfg):x})"
    if opcode is Opcode.ALU and row["reset"]:
        words.append("reset=1")
    flags = [name for name in _FLAGS if row[name]]
    if flags:
        words.append(f"[{' '.join(flags)}]")
    return f"{index:6d}  {' '.join(words)}"


def _mnemonic(opcode: Opcode, row: dict[str, int]) -> str:
    if opcode in (Opcode.LOAD, Opcode.STORE):
        memory = row["memory_type"]
        name = Memory(memory).name if memory in list(Memory) else f"?{memory}"
        return f"{opcode.name} {name}" + ("" if row["x_size"] else " (no-op)")
    if opcode is Opcode.GEMM:
        return "GEMM reset" if row["reset"] else "GEMM"
    if opcode is Opcode.ALU:
        operation = row["alu_opcode"]
        name = AluOp(operation).name if operation in list(AluOp) else f"?{operation}"
        return f"ALU {name} " + ("imm" if row["use_imm"] else "reg")
    return opcode.name
