"""Text to instruction tables: the inverse of `codesign.isa.disassembler`."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from codesign.errors import ProgramError
from codesign.isa.encoding import Table
from codesign.isa.tables import FIELDS, HEADER, INSTRUCTION, AluOp, Memory, Opcode

_FLAGS = {f.name for f in HEADER[1:]}
_LOOPS = (Opcode.GEMM, Opcode.ALU)


def assemble(text: str | Iterable[str]) -> Table:
    """Read instructions, one a line, as `disassemble` writes them.

    Parameters
    ----------
    text
        Lines ``[index] OPERATION [field=value ...] [[flag ...]]``. Operations: ``LOAD UOP``,
        ``WGT``, ``INP``, ``ACC`` or ``ACC8``, ``STORE OUT``, ``GEMM``, ``GEMM reset``, ``ALU ADD
        imm`` or ``reg``, ``FINISH``. A field left out is 0, ``iter_out`` and ``iter_in`` 1; a
        number may be decimal or 0x hexadecimal, and what follows it in brackets is ignored, as
        are an index, empty lines and everything after ``;``.

    Returns
    -------
    Structured array of dtype ``INSTRUCTION``; `encode` checks the ranges.

    Raises
    ------
    ProgramError
        Names the line, the word and what is allowed there.
    """
    lines = text.splitlines() if isinstance(text, str) else list(text)
    rows = [
        _row(number, words)
        for number, line in enumerate(lines, 1)
        if (words := line.split(";")[0].replace("(no-op)", "").split())
    ]
    table = np.zeros(len(rows), INSTRUCTION)
    for index, row in enumerate(rows):
        for name, value in row.items():
            table[name][index] = value
    return table


def _row(line: int, words: list[str]) -> dict[str, int]:
    if words[0].isdigit():
        words = words[1:]
    names = [opcode.name for opcode in Opcode]
    if not words or words[0] not in names:
        given = words[0] if words else "nothing"
        raise ProgramError(f"line {line}: operation is {given}; allowed: {', '.join(names)}")
    opcode = Opcode[words[0]]
    row = {"opcode": int(opcode)}
    if opcode in _LOOPS:
        row |= {"iter_out": 1, "iter_in": 1}
    rest = words[1:]
    if opcode in (Opcode.LOAD, Opcode.STORE):
        row["memory_type"] = _member(line, Memory, rest)
        rest = rest[1:]
    elif opcode is Opcode.ALU:
        row["alu_opcode"] = _member(line, AluOp, rest)
        form = rest[1] if len(rest) > 1 else "nothing"
        if form not in ("imm", "reg"):
            raise ProgramError(f"line {line}: form is {form}; allowed: imm, reg")
        row["use_imm"] = int(form == "imm")
        rest = rest[2:]
    elif opcode is Opcode.GEMM and rest[:1] == ["reset"]:
        row["reset"] = 1
        rest = rest[1:]
    allowed = [field.name for field in FIELDS[opcode][1:]]
    for word in rest:
        name, equals, value = word.strip("[]").partition("=")
        if not equals and name in _FLAGS:
            row[name] = 1
            continue
        if not equals or name not in allowed:
            raise ProgramError(
                f"line {line}: {word} is no field of {opcode.name}; allowed: {', '.join(allowed)}"
            )
        try:
            row[name] = int(value.split("(")[0], 0)
        except ValueError:
            raise ProgramError(f"line {line}: {word}; allowed: {name}=<number>") from None
    return row


def _member(line: int, kind: type[Memory] | type[AluOp], words: list[str]) -> int:
    """The number of a memory or operation, by name or as ``?number``."""
    given = words[0] if words else "nothing"
    if given.startswith("?") and given[1:].isdigit():
        return int(given[1:])
    names = [member.name for member in kind]
    if given not in names:
        raise ProgramError(f"line {line}: operand is {given}; allowed: {', '.join(names)}")
    return int(kind[given])
