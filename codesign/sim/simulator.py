"""`Simulator`: one face over the C++ core and the executable specification."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from codesign.errors import ProgramError
from codesign.hw.config import VtaConfig
from codesign.isa.encoding import Bytes, as_bytes
from codesign.sim import native, reference
from codesign.sim.result import SimResult

Engine = Literal["cpp", "reference"]

_RUNNERS = {"cpp": native.run, "reference": reference.run}
PAGE_BYTES = 4096


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

        Raises
        ------
        ProgramError
            The stream is illegal, reaches outside memory, or deadlocks; names the instruction and
            the rule. ``memory`` may then hold partial results.
        """
        # A copy, because tvm-ffi takes writable arrays only.
        stream = np.array(as_bytes(instructions))
        if stream.size == 0 or stream.size % self.cfg.instruction_bytes:
            raise ProgramError(
                f"the program has {stream.size} bytes; allowed: a positive multiple of "
                f"{self.cfg.instruction_bytes} (one instruction of this configuration's encoding)"
            )
        if not timing_only:
            _check_memory(memory)
        if instruction_address is None:
            end = base_address + (0 if memory is None else memory.size)
            instruction_address = -(-end // PAGE_BYTES) * PAGE_BYTES
        used = None if timing_only else memory
        return _RUNNERS[self.engine](self.cfg, stream, used, base_address, instruction_address)


def _check_memory(memory: Bytes | None) -> None:
    if memory is None:
        raise ProgramError("memory is None; give a uint8 array, or timing_only=True")
    usable = memory.dtype == np.uint8 and memory.flags.c_contiguous and memory.flags.writeable
    if not usable:
        raise ProgramError(
            f"memory is {memory.dtype}, contiguous {memory.flags.c_contiguous}, writeable "
            f"{memory.flags.writeable}; allowed: a writable contiguous uint8 array"
        )
