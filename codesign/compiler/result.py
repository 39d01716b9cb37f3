"""What a run of a Package returns: outputs and figures, every cycle at truth level T2."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from codesign.compiler.graph import Unit
from codesign.compiler.host_ops import HostOp
from codesign.hw.config import VtaConfig
from codesign.kernels import lower_bound


@dataclass(frozen=True)
class LayerResult:
    """One unit, for one declared batch.

    ``bound`` names the busiest module of the lower bound ``roofline_cycles``; ``utilization`` is
    useful MACs / (cycles * PEs), ``ceiling`` what it is at the lower bound. With compose "overlap"
    ``cycles`` are counted from the end of the unit before, so that they sum to the network's; a
    unit whose loads or computes began earlier may then stay below its own bound.
    """

    name: str
    op: str
    dataflow: str
    cycles: int
    macs: int
    utilization: float
    ceiling: float
    bound: str
    dram_bytes: int
    roofline_cycles: int


@dataclass(frozen=True, eq=False)
class RunResult:
    """Outputs (stacked on the first axis) and figures per declared batch; energy is estimated.

    ``roofline_cycles`` is the sum of the layers' lower bounds, ``dram_bytes`` what moves over the
    bus, ``peak_dram_bytes`` what the package takes in DRAM.
    """

    outputs: dict[str, NDArray[Any]]
    model: str
    config: str
    compose: str
    samples: int
    cycles: int
    latency_ms: float
    energy_mj: float
    energy_parts_mj: dict[str, float]
    macs: int
    offloaded_macs: int
    utilization: float
    ceiling: float
    roofline_cycles: int
    dram_bytes: int
    peak_dram_bytes: int
    outputs_match: bool
    mismatches: int
    first_mismatch: str | None
    layers: tuple[LayerResult, ...]
    host_ops: tuple[HostOp, ...]

    def to_json(self) -> dict[str, Any]:
        """The figures without the output arrays."""
        fields = {k: getattr(self, k) for k in self.__dataclass_fields__ if k != "outputs"}
        fields["layers"] = [asdict(layer) for layer in self.layers]
        fields["host_ops"] = [asdict(op) for op in self.host_ops]
        fields["energy"] = "estimated"
        return fields


def layer_result(
    unit: Unit, dataflow: str, batch: int, cycles: int, dram_bytes: int, cfg: VtaConfig
) -> LayerResult:
    """Figures of one unit, summed over the passes of one declared batch."""
    bound = lower_bound(unit.workload, cfg)
    roofline = bound.cycles * -(-batch // cfg.batch)
    modules = {name: getattr(bound, name) for name in ("compute", "load", "store", "fetch")}
    macs = unit.workload.macs * batch
    return LayerResult(
        name=unit.name,
        op=unit.workload.op,
        dataflow=dataflow,
        cycles=cycles,
        macs=macs,
        utilization=macs / (cycles * cfg.pes) if cycles else 0.0,
        ceiling=macs / (roofline * cfg.pes),
        bound=max(modules, key=lambda name: modules[name]),
        dram_bytes=dram_bytes,
        roofline_cycles=roofline,
    )
