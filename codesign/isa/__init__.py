"""VTA's instruction set: tables as data, encoder, decoder, disassembler, checker."""

from codesign.isa.disassembler import disassemble
from codesign.isa.encoding import decode, decode_uops, encode, encode_uops
from codesign.isa.tables import INSTRUCTION, UOP, AluOp, Memory, Opcode

__all__ = [
    "INSTRUCTION",
    "UOP",
    "AluOp",
    "Memory",
    "Opcode",
    "decode",
    "decode_uops",
    "disassemble",
    "encode",
    "encode_uops",
]
