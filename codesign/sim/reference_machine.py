"""The machine's clock, one cycle at a time: modules, tokens, fetch and the shared read bus.

The slow twin of the C++ event model; rules and section numbers are those of VTA_TIMING.md.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from codesign.hw.config import VtaConfig
from codesign.isa import Memory, Opcode
from codesign.isa.tables import Module, element_bytes
from codesign.sim.reference_rules import Row, fault, is_moving, module_of
from codesign.sim.reference_units import (
    LOAD_COUNTERS,
    Fetch,
    Load,
    ReadBus,
    compute_cycles,
    store_cycles,
)
from codesign.sim.result import TIMELINE, SimResult

QUEUE_ENTRIES = 512
STALLS = ("token", "fetch", "queue", "bus")
TOKEN_LIMIT = 255
# By module: (pop_prev, pop_next, push_prev, push_next) counters; "" is illegal (VTA_SPEC.md 2.1).
TOKENS = {
    Module.LOAD: {"pop_next": "g2l", "push_next": "l2g"},
    Module.COMPUTE: {"pop_prev": "l2g", "pop_next": "s2g", "push_prev": "g2l", "push_next": "g2s"},
    Module.STORE: {"pop_prev": "g2s", "push_prev": "s2g"},
}


@dataclass
class Unit:
    """One module: its queue, whose head stays until it completes, and what it executes."""

    module: Module
    queue: deque[tuple[int, int]] = field(default_factory=deque[tuple[int, int]])  # index, enqueued
    start: int = 0
    work: Iterator[str] | None = None  # one step a cycle, exhausted when the module is free
    load: Load | None = None
    moved: int = 0  # cycles in which the transfer in execution moved something

    @property
    def busy(self) -> bool:
        return self.work is not None or self.load is not None


class Machine:
    """Runs decoded instructions; ``effect(index, row)`` is called as each one starts."""

    def __init__(
        self,
        cfg: VtaConfig,
        rows: list[Row],
        instruction_address: int,
        effect: Callable[[int, Row], None],
    ) -> None:
        self.cfg = cfg
        self.rows = rows
        self.effect = effect
        self.bus = ReadBus(cfg)
        self.fetch = Fetch(cfg, len(rows), instruction_address)
        self.units = [Unit(module) for module in Module]
        self.tokens: Counter[str] = Counter()
        self.counters: Counter[str] = Counter()
        self.timeline = np.zeros(len(rows), TIMELINE)
        self.completed = 0
        self.cycles = 0
        self.blocked = False  # fetch has an instruction and its queue is full
        self.to_come = Counter(module_of(row) for row in rows)

    def run(self) -> SimResult:
        now = 0
        for unit in self.units:
            self.account(unit, now)
        while self.completed < len(self.rows):
            now += 1
            self.step(now)
            if self.stuck(now):
                self.report_deadlock()
        for name, left in self.tokens.items():
            if left:
                fault(len(self.rows) - 1, "token_balance", f"{left} {name} tokens are left")
        return SimResult(self.cycles, self.totals(), self.timeline)

    def step(self, now: int) -> None:
        """One cycle; the order of events is that of section 8.5."""
        self.deliver(now)
        for unit in self.units:
            self.advance(unit, now)
        for unit in self.units:
            self.try_start(unit, now)
        self.enqueue(now)
        self.request(now)
        if self.cfg.read_latency == 0:
            self.deliver(now)
        self.bus.end_of_cycle()
        if not self.cycles or now < self.cycles:
            for unit in self.units:
                self.account(unit, now)
            self.counters["fetch_queue_stall_cycles"] += self.blocked

    def account(self, unit: Unit, now: int) -> None:
        """Why the module is idle in this cycle, if it is."""
        if unit.busy:
            return
        if not self.to_come[unit.module]:
            reason = "finished_cycles"
        elif unit.queue and unit.queue[0][1] < now:
            reason = "token_stall_cycles"
        else:
            reason = "queue_stall_cycles" if self.blocked else "fetch_stall_cycles"
        self.counters[f"{unit.module.name.lower()}_{reason}"] += 1

    def deliver(self, now: int) -> None:
        owner = self.bus.beat(now)
        if owner is not None:
            owner.receive(now)

    # Modules ---------------------------------------------------------------------------------

    def advance(self, unit: Unit, now: int) -> None:
        """Run the instruction in execution up to this cycle; complete it where it is done."""
        if unit.load is not None and unit.load.done(now):
            unit.moved = unit.load.writes
            unit.load = None
        elif unit.work is not None:
            step = next(unit.work, None)
            self.counters["write_beats"] += step == "beat"
            self.counters["write_bursts"] += step == "command"
            unit.moved += step == "beat"
            if step is not None:
                return
            unit.work = None
        else:
            return
        index, enqueued = unit.queue.popleft()
        self.timeline[index] = (unit.module, enqueued, unit.start, now)
        name = unit.module.name.lower()
        self.counters[f"{name}_busy_cycles"] += now - unit.start
        if is_moving(self.rows[index]):
            self.counters[f"{name}_bus_stall_cycles"] += now - unit.start - unit.moved
        self.completed += 1
        self.to_come[unit.module] -= 1
        for bit in ("push_prev", "push_next"):
            if not self.rows[index][bit]:
                continue
            token = TOKENS[unit.module][bit]
            self.tokens[token] += 1
            if self.tokens[token] > TOKEN_LIMIT:
                fault(index, "token_overflow", f"more than {TOKEN_LIMIT} {token} tokens wait")

    def missing(self, unit: Unit) -> str | None:
        """The first token that the head instruction waits for, or None."""
        row = self.rows[unit.queue[0][0]]
        for bit in ("pop_prev", "pop_next"):
            if row[bit] and not self.tokens[TOKENS[unit.module][bit]]:
                return TOKENS[unit.module][bit]
        return None

    def try_start(self, unit: Unit, now: int) -> None:
        if unit.busy or not unit.queue or unit.queue[0][1] >= now or self.missing(unit):
            return
        index = unit.queue[0][0]
        row = self.rows[index]
        for bit in ("pop_prev", "pop_next"):
            if row[bit]:
                self.tokens[TOKENS[unit.module][bit]] -= 1
        unit.start = now
        unit.moved = 0
        self.effect(index, row)
        self.begin(unit, index, row, now)

    def begin(self, unit: Unit, index: int, row: Row, now: int) -> None:
        opcode = row["opcode"]
        counters = self.counters
        if opcode == Opcode.FINISH:
            self.cycles = now + 1
            for other in self.units:
                if other is not unit and other.queue:
                    fault(index, "finish_order", f"{other.module.name} is not done yet")
        noop = opcode in (Opcode.LOAD, Opcode.STORE) and row["x_size"] == 0
        if noop or opcode == Opcode.FINISH:
            counters["noop_instructions"] += noop
            unit.work = iter(["control"])  # the cycle of the start is the other one
        elif opcode in (Opcode.GEMM, Opcode.ALU):
            name = "gemm" if opcode == Opcode.GEMM else "alu"
            micro_ops = row["iter_out"] * row["iter_in"] * (row["uop_end"] - row["uop_bgn"])
            reset = "_reset" if opcode == Opcode.GEMM and row["reset"] else ""
            counters[f"{name}{reset}_uops"] += micro_ops
            counters[f"{name}_instructions"] += 1
            unit.work = compute_cycles(row, micro_ops)
        else:
            size = element_bytes(row["memory_type"], self.cfg)
            moved = row["y_size"] * row["x_size"] * size
            if opcode == Opcode.STORE:
                counters["out_store_bytes"] += moved
                counters["write_rows"] += row["y_size"]
                unit.work = store_cycles(row, self.cfg)
            else:
                counters[LOAD_COUNTERS[Memory(row["memory_type"])]] += moved
                counters["read_rows"] += row["y_size"]
                unit.load = Load(row, self.cfg, now)

    # Fetch and requests --------------------------------------------------------------------

    def enqueue(self, now: int) -> None:
        self.blocked = False
        if not self.fetch.can_dispatch(now):
            return
        queue = self.units[module_of(self.rows[self.fetch.index])].queue
        if len(queue) < QUEUE_ENTRIES:
            queue.append((self.fetch.index, now))
            self.fetch.dispatched(now)
        else:
            self.blocked = True

    def request(self, now: int) -> None:
        """At most one read request a cycle, by priority fetch > uop > inp > wgt > acc."""
        if not self.bus.accepts():
            return
        waiting: list[tuple[int, Fetch | Load]] = []
        if self.fetch.wants_request(now):
            waiting.append((self.fetch.priority, self.fetch))
        for unit in self.units:
            if unit.load is not None and unit.load.wants_request(now):
                waiting.append((unit.load.priority, unit.load))
        if waiting:
            _, client = min(waiting, key=lambda pair: pair[0])
            self.bus.issue(now, client, client.next_burst(now))

    # Ends ------------------------------------------------------------------------------------

    def stuck(self, now: int) -> bool:
        """Nothing is under way and nothing can begin."""
        if self.completed == len(self.rows) or self.bus.in_flight:
            return False
        if any(unit.busy or (unit.queue and unit.queue[0][1] == now) for unit in self.units):
            return False
        if self.fetch.exhausted:
            return True
        if self.fetch.dispatch_from is None or now < self.fetch.dispatch_from:
            return False
        module = module_of(self.rows[self.fetch.index])
        return len(self.units[module].queue) == QUEUE_ENTRIES

    def report_deadlock(self) -> None:
        heads = {u.module.name: (u.queue[0][0], self.missing(u)) for u in self.units if u.queue}
        waits = [f"{name} at {index} for {token}" for name, (index, token) in heads.items()]
        first = min([index for index, _ in heads.values()] + [self.fetch.index])
        fault(first, "deadlock", f"no module can go on: {', '.join(waits)}")

    def totals(self) -> dict[str, int]:
        names = (
            *("gemm_instructions", "alu_instructions", "noop_instructions"),
            *("gemm_uops", "gemm_reset_uops", "alu_uops"),
            *("inp_load_bytes", "wgt_load_bytes", "acc_load_bytes", "uop_load_bytes"),
            "out_store_bytes",
        )
        kinds = ("busy", *(f"{reason}_stall" for reason in STALLS), "finished")
        module = [f"{module.name.lower()}_{kind}_cycles" for module in Module for kind in kinds]
        multipliers = self.cfg.batch * self.cfg.block_in * self.cfg.block_out
        return {
            "cycles": self.cycles,
            "instructions": len(self.rows),
            **{name: self.counters[name] for name in names},
            "fetch_bytes": len(self.rows) * self.cfg.instruction_bytes,
            "gemm_macs": self.counters["gemm_uops"] * multipliers,
            "read_beats": self.bus.beats,
            "read_bursts": self.bus.bursts,
            "read_rows": self.counters["read_rows"],
            "write_beats": self.counters["write_beats"],
            "write_bursts": self.counters["write_bursts"],
            "write_rows": self.counters["write_rows"],
            "fetch_queue_stall_cycles": self.counters["fetch_queue_stall_cycles"],
            **{name: self.counters[name] for name in module},
        }
