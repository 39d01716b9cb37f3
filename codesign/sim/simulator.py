"""`Simulator`: one face over the C++ core and the executable specification."""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np

from codesign.errors import ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa.disassembler import disassemble
from codesign.isa.encoding import Bytes, as_bytes, as_words, decode_words
from codesign.sim import native, reference
from codesign.sim.result import SimResult

Engine = Literal["cpp", "reference"]

_RUNNERS = {"cpp": native.run, "reference": reference.run}
PAGE_BYTES = 4096
MAX_ADDRESS = 1 << 60


@dataclass(frozen=True)
class Simulator:
    """The machine of one configuration.

    Parameters
    ----------
    cfg
        The accelerator; every latency and width of the machine comes from it.
    engine
        ``"cpp"``, or ``"reference"``: the slow executable specification, equal in every byte,
        cycle and counter.
    """

    cfg: VtaConfig
    engine: Engine = "cpp"

    def __post_init__(self) -> None:
        if self.engine not in _RUNNERS:
            raise ValueError(f"engine is {self.engine!r}; allowed: {', '.join(_RUNNERS)}")

    def run(
        self,
        instructions: Bytes | bytes,
        memory: Bytes | None,
        base_address: int = 0x1000,
        instruction_address: int | None = None,
        timing_only: bool = False,
        timeline: bool = True,
    ) -> SimResult:
        """Run one stream from launch to FINISH, on-chip memories starting at zero.

        Parameters
        ----------
        instructions
            The encoded stream: ``bytes``, or uint8 ``[n, cfg.instruction_bytes]``.
        memory
            DRAM from ``base_address`` on: writable contiguous uint8 array, changed in place. With
            ``timing_only`` it may be None and is not touched.
        base_address
            Byte address of ``memory[0]``.
        instruction_address
            Byte address the stream is fetched from, which places the fetch bursts; default: the
            first multiple of 4096 behind ``memory``.
        timing_only
            Count cycles without computing; micro-op contents and data are not looked at.
        timeline
            False leaves ``result.timeline`` empty: the run then needs no memory that grows with
            the program.

        Raises
        ------
        ProgramError
            An argument does not fit, or the stream is illegal, reaches outside memory, or
            deadlocks: names instruction, rule and disassembly. ``memory`` may then hold partial
            results.
        """
        stream = as_bytes(instructions)
        if not stream.flags.writeable:  # tvm-ffi takes writable arrays only; it is not written
            stream = np.array(stream)
        if stream.size == 0 or stream.size % self.cfg.instruction_bytes:
            raise ProgramError(
                f"the program has {stream.size} bytes; allowed: a positive multiple of "
                f"{self.cfg.instruction_bytes} (one instruction of this configuration's encoding)"
            )
        if not (timing_only and memory is None):
            _check_memory(memory)
        base = _address("base_address", base_address)
        if instruction_address is None:
            end = base + (0 if memory is None else memory.size)
            instruction_address = -(-end // PAGE_BYTES) * PAGE_BYTES
        fetched_from = _address("instruction_address", instruction_address)
        used = None if timing_only else memory
        try:
            return _RUNNERS[self.engine](self.cfg, stream, used, base, fetched_from, timeline)
        except ProgramError as error:
            raise ProgramError(_with_disassembly(str(error), stream, self.cfg)) from None


def _address(name: str, value: int) -> int:
    try:
        found = operator.index(value)
    except TypeError:
        found = -1
    if not 0 <= found <= MAX_ADDRESS:
        raise ProgramError(f"{name} is {value!r}; allowed: an integer from 0 to 2**60")
    return found


def _with_disassembly(text: str, stream: Bytes, cfg: VtaConfig) -> str:
    """The text of a fault with the instruction that it names."""
    named = re.match(r"instruction (\d+): ", text)
    if named is None:
        return text
    size, index = cfg.instruction_bytes, int(named[1])
    words = as_words(stream[index * size : (index + 1) * size], size, "instruction")
    line = disassemble(decode_words(words, cfg), cfg)[0].split(maxsplit=1)[1]
    return f"{text} [{line}]"


def _check_memory(memory: Bytes | None) -> None:
    if not isinstance(memory, np.ndarray):
        raise ProgramError(
            f"memory is {memory if memory is None else type(memory).__name__}; give a uint8 array, "
            "or None with timing_only=True"
        )
    usable = memory.dtype == np.uint8 and memory.flags.c_contiguous and memory.flags.writeable
    if not usable:
        raise ProgramError(
            f"memory is {memory.dtype}, contiguous {memory.flags.c_contiguous}, writeable "
            f"{memory.flags.writeable}; allowed: a writable contiguous uint8 array"
        )
