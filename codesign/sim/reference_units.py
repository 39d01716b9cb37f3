"""The parts of the cycle-by-cycle machine: read bus, fetch, loads, and step lists of the rest."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from codesign.hw.config import VtaConfig
from codesign.isa import Memory, Opcode
from codesign.isa.tables import element_bytes
from codesign.sim.reference_rules import Row

LOAD_COUNTERS = {
    Memory.UOP: "uop_load_bytes",
    Memory.WGT: "wgt_load_bytes",
    Memory.INP: "inp_load_bytes",
    Memory.ACC: "acc_load_bytes",
    Memory.ACC8: "acc_load_bytes",
}


def bursts(address: int, length: int, cfg: VtaConfig) -> Iterator[tuple[int, int]]:
    """(beats, bytes) of each burst of one row: cut at multiples of the longest burst (2)."""
    bus_bytes = cfg.bus_bits // 8
    end = address + length
    while address < end:
        stop = min(end, (address // cfg.burst_bytes + 1) * cfg.burst_bytes)
        beats = -(-stop // bus_bytes) - address // bus_bytes
        yield beats, stop - address
        address = stop


def transfer_bursts(row: Row, cfg: VtaConfig) -> Iterator[tuple[int, int]]:
    """(beats, bytes) of each burst of a LOAD or STORE, row after row."""
    size = element_bytes(row["memory_type"], cfg)
    for y in range(row["y_size"]):
        address = (row["dram_base"] + y * row["x_stride"]) * size
        yield from bursts(address, row["x_size"] * size, cfg)


@dataclass
class Request:
    """A read burst on its way: no beat before ``earliest``, ``left`` beats to come."""

    owner: Fetch | Load
    earliest: int
    left: int


class ReadBus:
    """Serves bursts in the order of their requests, at most one beat a cycle (8.4, 8.6)."""

    def __init__(self, cfg: VtaConfig) -> None:
        self.latency = cfg.read_latency
        self.limit = cfg.outstanding_reads
        self.in_flight: deque[Request] = deque()
        self.busy = False
        self.last_beat = False
        self.beats = 0
        self.bursts = 0

    def beat(self, now: int) -> Fetch | Load | None:
        """Move one beat, if one is due; returns who receives it."""
        if self.busy or not self.in_flight or self.in_flight[0].earliest > now:
            return None
        head = self.in_flight[0]
        head.left -= 1
        self.beats += 1
        self.busy = True
        self.last_beat = head.left == 0
        return head.owner

    def accepts(self) -> bool:
        """Room in flight, and no burst ends in this cycle."""
        return len(self.in_flight) < self.limit and not self.last_beat

    def issue(self, now: int, owner: Fetch | Load, beats: int) -> None:
        self.bursts += 1
        self.in_flight.append(Request(owner, now + self.latency, beats))

    def end_of_cycle(self) -> None:
        if self.last_beat:
            self.in_flight.popleft()
        self.busy = self.last_beat = False


class Fetch:
    """Reads instructions chunk by chunk and offers them one a cycle (1, 8.1)."""

    priority = 0

    def __init__(self, cfg: VtaConfig, count: int, address: int) -> None:
        self.cfg = cfg
        self.count = count
        self.address = address
        halves = min(cfg.max_burst_beats * cfg.bus_bits // 64, 2 * cfg.max_burst_beats)
        self.chunk = max(1, halves * 8 // cfg.instruction_bytes)
        narrow = cfg.bus_bits == 64
        self.before_dispatch = 2 if narrow else 5
        self.after_dispatch = 2 if narrow else 4
        self.index = 0
        self.command(1)

    @property
    def exhausted(self) -> bool:
        return self.index == self.count

    def command(self, now: int) -> None:
        """Ask for the next chunk; its request is on the bus one cycle later."""
        size = self.cfg.instruction_bytes
        self.chunk_end = min(self.count, self.index + self.chunk)
        length = (self.chunk_end - self.index) * size
        self.to_request = [b for b, _ in bursts(self.address + self.index * size, length, self.cfg)]
        self.beats_left = sum(self.to_request)
        self.next_request = now + 1
        self.dispatch_from: int | None = None

    def wants_request(self, now: int) -> bool:
        return bool(self.to_request) and now >= self.next_request

    def next_burst(self, now: int) -> int:
        self.next_request = now + 2
        return self.to_request.pop(0)

    def receive(self, now: int) -> None:
        self.beats_left -= 1
        if self.beats_left == 0:
            self.dispatch_from = now + self.before_dispatch

    def can_dispatch(self, now: int) -> bool:
        return self.dispatch_from is not None and now >= self.dispatch_from

    def dispatched(self, now: int) -> None:
        self.index += 1
        if self.index == self.chunk_end:
            self.dispatch_from = None
            if not self.exhausted:
                self.command(now + self.after_dispatch)


class Load:
    """One LOAD: requests, arriving beats, and zero padding in the cycles between (3, 8.2)."""

    def __init__(self, row: Row, cfg: VtaConfig, start: int) -> None:
        memory = Memory(row["memory_type"])
        order = (Memory.UOP, Memory.INP, Memory.WGT, Memory.ACC, Memory.ACC8)
        self.priority = 1 + order.index(memory)
        self.to_request = deque(beats for beats, _ in transfer_bursts(row, cfg))
        self.next_request = start + 2 + row["y_pad_0"]
        self.beats_left = sum(self.to_request)
        wide = cfg.bus_bits >= 8 * element_bytes(memory, cfg)
        self.write_delay = 1 if wide else 2
        self.arriving: deque[int] = deque()
        self.first_zero = start + 2
        self.last_write = start
        self.writes = 0  # cycles with a write
        pitch = row["x_pad_0"] + row["x_size"] + row["x_pad_1"]
        x_pads = row["y_size"] * (row["x_pad_0"] + row["x_pad_1"])
        before, after = pitch * row["y_pad_0"] + x_pads, pitch * row["y_pad_1"]
        self.zeros = ["zero"] * before
        if after and not x_pads:
            self.zeros += ["skip"] * row["y_size"]
        self.zeros += ["zero"] * after
        self.zeros.reverse()

    def wants_request(self, now: int) -> bool:
        return bool(self.to_request) and now >= self.next_request

    def next_burst(self, now: int) -> int:
        self.next_request = now + 2
        return self.to_request.popleft()

    def receive(self, now: int) -> None:
        self.beats_left -= 1
        self.arriving.append(now + self.write_delay)

    def done(self, now: int) -> bool:
        """Do this cycle's write; whether the module is free (two cycles after the last)."""
        writing = bool(self.arriving) and self.arriving[0] == now
        if writing:
            self.arriving.popleft()
            self.last_write = now
        may_pad = self.zeros and now >= self.first_zero
        if may_pad and (self.zeros[-1] == "skip" or not writing) and self.zeros.pop() == "zero":
            self.last_write = now
        self.writes += self.last_write == now
        finished = not (self.zeros or self.arriving or self.beats_left)
        return finished and now >= self.last_write + 2


def compute_cycles(row: Row, micro_ops: int) -> Iterator[str]:
    """The cycles of a GEMM or ALU after its start: issue, then the pipeline drains (4, 5)."""
    register = row["opcode"] == Opcode.ALU and not row["use_imm"]
    for _ in range(micro_ops):
        yield "issue"
        if register:
            yield "second operand"
    for _ in range(6):
        yield "drain"


def store_cycles(row: Row, cfg: VtaConfig) -> Iterator[str]:
    """The cycles of a STORE after its start: strictly one thing after another (6)."""
    size = element_bytes(row["memory_type"], cfg)
    wide = cfg.bus_bits >= 8 * size
    for beats, length in transfer_bursts(row, cfg):
        yield "command"
        for _ in range(cfg.write_address_latency):
            yield "address"
        for _ in range(beats):
            yield "beat"
        for _ in range(1 if wide else -(-length // size)):
            yield "bubble"
        for _ in range(cfg.write_response_latency):
            yield "response"
