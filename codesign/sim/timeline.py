"""Why a program takes its cycles: activity by module, Chrome trace, text Gantt chart."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.isa import Opcode, disassemble
from codesign.isa.tables import Module
from codesign.sim.result import SimResult

REASONS = ("token", "fetch", "queue", "bus")
_LETTERS = {Opcode.LOAD: "l", Opcode.STORE: "s", Opcode.GEMM: "G", Opcode.ALU: "A"}


def activity(result: SimResult) -> dict[str, dict[str, int]]:
    """Cycles of each module by what it does; every module's values sum to ``result.cycles``.

    ``working``, then why it does not work: ``token`` (an instruction waits for another module),
    ``fetch`` (none is there yet), ``queue`` (none is there, because fetch waits for room in
    another module's queue), ``bus`` (a transfer is under way and nothing moves: latency or other
    traffic), ``finished`` (after its last instruction).
    """
    found: dict[str, dict[str, int]] = {}
    for module in Module:
        name = module.name.lower()
        stalls = {reason: result.counters[f"{name}_{reason}_stall_cycles"] for reason in REASONS}
        # The second cycle of FINISH lies behind the end of the program.
        busy = result.counters[f"{name}_busy_cycles"] - (module is Module.COMPUTE)
        finished = result.counters[f"{name}_finished_cycles"]
        found[name] = {"working": busy - stalls["bus"], **stalls, "finished": finished}
    return found


def chrome_trace(
    result: SimResult,
    table: NDArray[np.void],
    cfg: VtaConfig,
    name: str = "",
    launch_cycle: int = 0,
) -> dict[str, Any]:
    """The run in Chrome's trace-event format, which Perfetto opens; times at the clock of ``cfg``.

    Parameters
    ----------
    result
        A run of ``table`` on ``cfg``.
    table
        The instructions, dtype ``codesign.isa.INSTRUCTION``.
    name
        Named in the arguments of every slice, where traces are joined (`join`).
    launch_cycle
        When the run is launched on the trace's clock.

    Returns
    -------
    An object for ``json.dump``: one track a module, with a slice for every instruction (cycles,
    index and disassembly in ``args``) and one for every wait before it.
    """
    lines = disassemble(table, cfg)
    clock = _Clock(cfg.frequency_mhz, launch_cycle, result.cycles)
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": 0, "name": "process_name", "args": {"name": f"VTA {cfg.name}"}}
    ]
    for module in Module:
        names = {"pid": 0, "tid": int(module), "args": {"name": module.name}}
        events.append({"ph": "M", "name": "thread_name", **names})
        members: list[int] = np.flatnonzero(result.timeline["module"] == module).tolist()
        free = 0
        for index in members:
            _, enqueued, start, end = result.timeline[index].item()
            arrived = max(free, enqueued + 1)
            events += _slice(module, "waits for an instruction", "fetch", free, arrived, clock)
            events += _slice(module, "waits for a token", "token", arrived, start, clock)
            text = lines[index].split(maxsplit=1)[1]
            title = text.split()[0]
            args = {"index": index, "enqueued": enqueued, "text": text}
            args |= {"program": name} if name else {}
            events += _slice(module, title, "instruction", start, end, clock, args)
            free = end
    return {
        "displayTimeUnit": "ns",
        "traceEvents": events,
        "otherData": {"cycles": result.cycles, "frequency_mhz": cfg.frequency_mhz},
    }


def join(traces: list[dict[str, Any]]) -> dict[str, Any]:
    """Traces of programs that run one after another, as one; the first one's head is kept."""
    first = traces[0]
    events = list(first["traceEvents"])
    for trace in traces[1:]:
        events += [event for event in trace["traceEvents"] if event["ph"] != "M"]
    cycles = sum(trace["otherData"]["cycles"] for trace in traces)
    return {**first, "traceEvents": events, "otherData": {**first["otherData"], "cycles": cycles}}


@dataclass(frozen=True)
class _Clock:
    frequency_mhz: float
    launch_cycle: int
    cycles: int

    def nanoseconds(self, cycle: int) -> int:
        """Whole ones, so that slices meet exactly; FINISH's second cycle lies behind the end."""
        return round((self.launch_cycle + min(cycle, self.cycles)) * 1000 / self.frequency_mhz)


def _slice(
    module: Module,
    name: str,
    category: str,
    start: int,
    end: int,
    clock: _Clock,
    args: dict[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """A complete event of cycles ``start`` to ``end``; none where that is empty."""
    if end <= start:
        return []
    begin = clock.nanoseconds(start)
    return [
        {
            "ph": "X",
            "pid": 0,
            "tid": int(module),
            "name": name,
            "cat": category,
            "ts": begin / 1000,
            "dur": (clock.nanoseconds(end) - begin) / 1000,
            "args": {"start_cycle": start, "end_cycle": end, **(args or {})},
        }
    ]


def gantt(result: SimResult, table: NDArray[np.void], columns: int = 100) -> str:
    """One row a module over ``columns`` equal spans of time, then its activity in percent.

    A letter shows what most of a span went to: ``l`` LOAD, ``G`` GEMM, ``A`` ALU, ``s`` STORE,
    ``.`` waiting, and a space once the module has finished.
    """
    spans = np.linspace(0, result.cycles, max(1, columns) + 1)
    rows = [f"{result.cycles} cycles, {spans[1]:.4g} a column"]
    for module, shares in zip(Module, activity(result).values(), strict=True):
        members = result.timeline["module"] == module
        last = int(result.timeline["end"][members].max(initial=0))
        kinds = {
            letter: _busy(result.timeline[members & (table["opcode"] == opcode)])
            for opcode, letter in _LETTERS.items()
        }
        line = ""
        for left, right in pairwise(spans.tolist()):
            parts = {letter: _overlap(kind, left, right) for letter, kind in kinds.items()}
            parts["."] = min(last, right) - left - sum(parts.values())
            parts[" "] = right - max(last, left)
            line += max(parts, key=lambda letter: parts[letter])
        text = ", ".join(
            f"{name} {100 * value / result.cycles:.1f} %" for name, value in shares.items() if value
        )
        rows += [f"{module.name:8s}|{line}|", f"{'':8s} {text}"]
    return "\n".join(rows)


def _busy(spans: NDArray[np.void]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]]:
    """Starts, ends, and the cycles up to each start, of the spans of one module (in order)."""
    lengths = spans["end"] - spans["start"]
    return spans["start"], spans["end"], np.concatenate([[0], np.cumsum(lengths)])


def _overlap(
    busy: tuple[NDArray[np.int64], NDArray[np.int64], NDArray[Any]], left: float, right: float
) -> float:
    """Cycles of [left, right) that lie in the spans."""

    def before(moment: float) -> float:
        starts, ends, total = busy
        count = int(np.searchsorted(starts, moment))
        if not count:
            return 0.0
        return float(total[count]) - max(0.0, float(ends[count - 1]) - moment)

    return before(right) - before(left)
