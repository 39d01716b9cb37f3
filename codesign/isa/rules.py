"""The rules that `codesign.isa.check` knows, in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from codesign.isa.finding import Finding
from codesign.isa.tables import Memory, Module

TOKEN_NAMES = ("LOAD to COMPUTE", "COMPUTE to LOAD", "COMPUTE to STORE", "STORE to COMPUTE")
REUSE_DISTANCE = 3
RTL_UOP_DEPTH = 2048
MAX_BUFFER_BYTES = 1 << 25


@dataclass(frozen=True)
class Rule:
    """A rule's short stable name, what is wrong as a format of a finding's numbers, and the fix."""

    name: str
    text: str | Callable[..., str]
    fix: str


def finding(index: int, key: str, *values: int) -> Finding:
    """The finding of rule ``key`` at an instruction; numbers behind those it needs do not count."""
    rule = RULES[key]
    text = rule.text.format(*values) if isinstance(rule.text, str) else rule.text(*values)
    return Finding(index, rule.name, text, rule.fix)


def _deadlock(*waits: int) -> str:
    """Pairs of an instruction and the counter it waits for; counter -1 is a queue, -1 nothing."""
    pairs = [pair for pair in zip(waits[::2], waits[1::2], strict=True) if pair[0] >= 0]
    names = [
        f"{index} for {TOKEN_NAMES[counter] if counter >= 0 else 'room in a queue of 512'}"
        for index, counter in pairs
    ]
    return f"instructions wait for ever: {', '.join(names)}"


_VERBS = (
    "reads {0} elements that may be written by instruction {1}",
    "overwrites {0} elements that may be still read by instruction {1}",
    "changes {0} elements that may be still read by instruction {1}",
)


def _hazard(verb: int, memory: int, other: int, *_: int) -> str:
    return _VERBS[verb].format(Memory(memory).name, other)


def _index_range(operand: int, reach: int, limit: int, *_: int) -> str:
    return f"{('dst', 'src', 'wgt')[operand]} reaches {reach}; allowed: 0 to {limit}"


def _uninitialised(memory: int, element: int, *_: int) -> str:
    return f"{Memory(memory).name} element {element} is read but never written before"


def _token_balance(counter: int, count: int, *_: int) -> str:
    return f"{count} tokens {TOKEN_NAMES[counter]} are left at the end"


def _token_overflow(counter: int, *_: int) -> str:
    return f"a 256th token {TOKEN_NAMES[counter]} may wait here and be lost"


def _finish_order(module: int, *_: int) -> str:
    return f"FINISH may run before the last {Module(module).name} instruction is complete"


_SOURCE = "the RTL reads ACC[src] in the immediate form, all others ACC[dst]"

RULES: dict[str, Rule] = {
    # Fields.
    "opcode": Rule("opcode", "unknown opcode {0}", "use 0 to 4"),
    "reserved_bits": Rule("reserved_bits", "bits outside the fields are set", "clear them"),
    "finish_last": Rule(
        "finish_last",
        "FINISH must be the last instruction, exactly once",
        "end the stream with one FINISH",
    ),
    "token_bits": Rule(
        "token_bits",
        "a token bit for a module that does not exist",
        "LOAD has no previous module, STORE no next one: clear the bits",
    ),
    "memory_type": Rule(
        "memory_type", "memory {0} cannot be addressed", "LOAD 0 to 3 or 5, STORE 4"
    ),
    "feature_acc8": Rule("feature", "ACC8 load without HAS_ACC8", "load 32-bit ACC elements"),
    "feature_mul": Rule("feature", "ALU MUL without HAS_MUL", "use shifts and additions"),
    "y_size": Rule("y_size", "no rows", "at least 1, or x_size 0 for a no-op"),
    "store_pads": Rule("store_pads", "STORE with padding", "set the pads to 0"),
    "sram_footprint": Rule(
        "sram_footprint",
        "the transfer ends at element {0} of {1} on chip",
        "make it smaller or move sram_base",
    ),
    "loop_bounds": Rule(
        "loop_bounds",
        "no iteration or no micro-op: {0} outer, {1} inner, micro-ops {2} to {3}",
        "at least one of each",
    ),
    "uop_range": Rule(
        "uop_range", "uop_end is {0} of {1} micro-ops on chip", "reload micro-ops lower"
    ),
    "alu_opcode": Rule("alu_opcode", "ALU operation {0} is reserved", "use 0 to 4"),
    "alu_reset": Rule("alu_reset", "ALU with reset", "clear it"),
    "dram_range": Rule(
        "dram_range",
        "bytes {0} to {1}; memory holds {2} to {3}",
        "move the buffer or give more memory",
    ),
    # Tokens and queues.
    "deadlock": Rule("deadlock", _deadlock, "push every token before the instruction that pops it"),
    "token_balance": Rule("token_balance", _token_balance, "pop every token pushed"),
    "token_overflow": Rule(
        "token_overflow", _token_overflow, "let the other module pop some before"
    ),
    "finish_order": Rule(
        "finish_order", _finish_order, "pop a token of it in COMPUTE before FINISH"
    ),
    # Contents.
    "hazard": Rule("hazard", _hazard, "order the two with a token"),
    "dram_hazard": Rule(
        "dram_hazard",
        "touches DRAM bytes of instruction {0}",
        "order the two with tokens, or use separate buffers",
    ),
    "index_range": Rule("index_range", _index_range, "change the micro-ops or the factors"),
    "uninitialised": Rule("uninitialised", _uninitialised, "load or reset it first"),
    "uninitialised_uop": Rule("uninitialised", "micro-op {0} was never loaded", "load it before"),
    "stale_store": Rule(
        "stale_store",
        "stores {0} elements from {1} on that GEMM or ALU has not written since their last LOAD "
        "ACC or reset",
        "run an identity ALU operation (ADD imm 0) on them first",
    ),
    # What upstream's simulator, RTL and bitstreams need (VTA_SPEC.md sections 8 and 9).
    "encoding": Rule(
        "encoding", "the wide encoding is ours alone", "choose buffers that fit ENCODING vta"
    ),
    "batch": Rule("batch", "BATCH is {0}; the RTL has 1", "set LOG_BATCH to 0"),
    "block": Rule(
        "block", "BLOCK_IN is {0}, BLOCK_OUT {1}; upstream has one BLOCK", "make them equal"
    ),
    "depths": Rule(
        "depths",
        "INP has 2^{0} elements, ACC 2^{1}; the HLS design needs them equal",
        "change a buffer size",
    ),
    "stream_bytes": Rule(
        "stream_bytes",
        "{0} instructions are more than upstream's buffer of 32 MiB holds",
        "split the program",
    ),
    "acc8": Rule("acc8", "the RTL hangs on ACC8", "load ACC"),
    "mul": Rule("mul", "the RTL hangs on MUL", "use shifts"),
    "noop_pads": Rule("noop_pads", "HLS pads even for x_size 0", "clear the pads"),
    "uop_2d": Rule("uop_2d", "HLS loads micro-ops in one row", "y_size 1, pads 0"),
    "wgt_pads": Rule("wgt_pads", "HLS ignores pads of WGT", "set the pads to 0"),
    "uop_depth": Rule(
        "uop_depth",
        f"the RTL holds {RTL_UOP_DEPTH} micro-ops",
        f"keep micro-ops below index {RTL_UOP_DEPTH}",
    ),
    "shift": Rule("shift", "a shift by {0}; HLS takes -16 to 15", "shift twice"),
    "shift_imm": Rule("shift_imm", "the RTL takes the direction from imm {0}", "set imm to 0"),
    "imm_operand": Rule(
        "imm_operand", _SOURCE, "make the source factors equal to the destination's"
    ),
    "imm_operand_uop": Rule("imm_operand", _SOURCE, "make src equal to dst"),
    "alu_wgt": Rule("alu_wgt", "an ALU micro-op with a wgt index", "set it to 0"),
    "address": Rule("address", "physical addresses have 32 bits", "move the buffer below 4 GiB"),
    "reuse_distance": Rule(
        "reuse_distance",
        f"a dst index comes again within {REUSE_DISTANCE - 1} micro-ops",
        f"keep {REUSE_DISTANCE} micro-ops between uses, loop wraps included",
    ),
    "reuse_distance_src": Rule(
        "reuse_distance",
        f"a src index was a dst within {REUSE_DISTANCE - 1} micro-ops before",
        "reorder the micro-ops",
    ),
}
