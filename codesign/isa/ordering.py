"""Which instruction waits for which: tokens and queues played without a clock.

Tokens make a marked graph: whether it deadlocks, and what is ordered before what, do not depend on
how long instructions take. So one greedy play decides for every timing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from codesign.isa.encoding import Table
from codesign.isa.rules import TOKEN_NAMES
from codesign.isa.tables import Memory, Module, Opcode

QUEUE_ENTRIES = 512
TOKEN_LIMIT = 255
Clock = tuple[int, int, int]

# Counters by (from module, to module); bits by module (VTA_SPEC.md 2.1).
_L2G, _G2L, _G2S, _S2G = range(4)
_POP_PREV = (None, _L2G, _G2S)
_POP_NEXT = (_G2L, _S2G, None)
_PUSH_PREV = (None, _G2L, _S2G)
_PUSH_NEXT = (_L2G, _G2S, None)
_POPPER = (Module.COMPUTE, Module.LOAD, Module.STORE, Module.COMPUTE)


@dataclass
class Play:
    """A greedy execution.

    ``order`` lists instructions in an order in which they can run one by one. ``clocks[i]`` says
    how many instructions of each module are surely complete when ``i`` starts. ``waiting`` are
    the modules' heads where nothing can go on, ``left`` the tokens at the end, ``overflow`` the
    instruction that may push a 256th token, with the counter.
    """

    order: list[int] = field(default_factory=list[int])
    clocks: dict[int, Clock] = field(default_factory=dict[int, Clock])
    waiting: list[tuple[int, int | None]] = field(default_factory=list[tuple[int, int | None]])
    left: list[int] = field(default_factory=list[int])
    overflow: tuple[int, int] | None = None


def modules(table: Table) -> NDArray[np.int64]:
    """The module whose queue each instruction goes to (VTA_SPEC.md 2)."""
    result = np.full(len(table), int(Module.COMPUTE))
    operand = np.isin(table["memory_type"], [Memory.INP, Memory.WGT])
    result[(table["opcode"] == Opcode.LOAD) & operand] = Module.LOAD
    result[table["opcode"] == Opcode.STORE] = Module.STORE
    return result


def play(table: Table, hold: Module | None = None) -> Play:
    """Run every instruction as early as its tokens and the queues of 512 allow.

    ``hold`` names a module that moves only when no other can: the counters it pops then reach
    their highest possible values. Stores run first, so that they see the earliest data.
    """
    order = [m for m in (Module.STORE, Module.LOAD, Module.COMPUTE) if m is not hold]
    order += [] if hold is None else [hold]
    state = _State(table)
    state.hold = hold
    state.fetch()
    while any(state.run(module) for module in order):
        state.fetch()
    state.finish()
    return state.result


class _State:
    def __init__(self, table: Table) -> None:
        self.module: list[int] = modules(table).tolist()
        names = ("pop_prev", "pop_next", "push_prev", "push_next")
        self.bits: list[tuple[int, int, int, int]] = list(
            zip(*(table[name].tolist() for name in names), strict=True)
        )
        self.hold: Module | None = None
        self.fetched = 0
        self.queues: list[deque[int]] = [deque() for _ in Module]
        self.tokens: list[deque[Clock]] = [deque() for _ in TOKEN_NAMES]
        self.now: list[Clock] = [(0, 0, 0) for _ in Module]
        self.result = Play()

    def fetch(self) -> None:
        while self.fetched < len(self.module):
            queue = self.queues[self.module[self.fetched]]
            if len(queue) == QUEUE_ENTRIES:
                return
            queue.append(self.fetched)
            self.fetched += 1

    def missing(self, module: int, index: int) -> int | None:
        pop_prev, pop_next, _, _ = self.bits[index]
        for wanted, counter in ((pop_prev, _POP_PREV[module]), (pop_next, _POP_NEXT[module])):
            if wanted and counter is not None and not self.tokens[counter]:
                return counter
        return None

    def run(self, module: Module) -> bool:
        """Run the head of the module's queue, if its tokens are there; whether it ran."""
        queue = self.queues[module]
        if not queue or self.missing(module, queue[0]) is not None:
            return False
        self.execute(module, queue.popleft())
        return True

    def execute(self, module: int, index: int) -> None:
        pop_prev, pop_next, push_prev, push_next = self.bits[index]
        clock = self.now[module]
        for wanted, counter in ((pop_prev, _POP_PREV[module]), (pop_next, _POP_NEXT[module])):
            if wanted and counter is not None:
                a, b = clock, self.tokens[counter].popleft()
                clock = (max(a[0], b[0]), max(a[1], b[1]), max(a[2], b[2]))
        self.result.order.append(index)
        self.result.clocks[index] = clock
        done = list(clock)
        done[module] += 1
        self.now[module] = clock = (done[0], done[1], done[2])
        for wanted, counter in ((push_prev, _PUSH_PREV[module]), (push_next, _PUSH_NEXT[module])):
            if not wanted or counter is None:
                continue
            self.tokens[counter].append(clock)
            over = len(self.tokens[counter]) > TOKEN_LIMIT and _POPPER[counter] is self.hold
            if over and self.result.overflow is None:
                self.result.overflow = (index, counter)

    def finish(self) -> None:
        heads = [(module, queue[0]) for module, queue in enumerate(self.queues) if queue]
        self.result.waiting = [(index, self.missing(module, index)) for module, index in heads]
        if self.fetched < len(self.module):
            self.result.waiting.append((self.fetched, None))
        self.result.left = [len(tokens) for tokens in self.tokens]
