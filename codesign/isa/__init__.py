"""VTA's instruction set: tables as data, encoder, decoder, disassembler, checker."""

from codesign.isa.assembler import assemble
from codesign.isa.check import check
from codesign.isa.disassembler import disassemble
from codesign.isa.encoding import decode, decode_uops, encode, encode_uops
from codesign.isa.finding import Finding
from codesign.isa.tables import INSTRUCTION, UOP, AluOp, Memory, Opcode

__all__ = [
    "INSTRUCTION",
    "UOP",
    "AluOp",
    "Finding",
    "Memory",
    "Opcode",
    "assemble",
    "check",
    "decode",
    "decode_uops",
    "disassemble",
    "encode",
    "encode_uops",
]
