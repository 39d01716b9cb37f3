"""Proving the winner: exported, compiled, run bit-exactly, its cycles held against the search's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.errors import StoreError
from codesign.kernels import lower_bound
from codesign.search.evaluation import Evaluation
from codesign.search.evaluator import Evaluator
from codesign.store.atomic import write_text
from codesign.store.content import canonical_json

ONNX = "winner.onnx"
PACKAGE = "winner.tar"
CERTIFICATE = "certificate.json"
INPUTS = 2
"""Inputs of the bit-exactness run."""


@dataclass(frozen=True)
class Proof:
    """What compiling and running the winner showed; figures are T2.

    ``cycles`` are those of units drained one after the other, as the search counts them,
    ``overlap_cycles`` what the same schedules need when units overlap.
    """

    weights: str
    inputs: int
    outputs_match: bool
    cycles: int
    overlap_cycles: int
    host_ops: tuple[str, ...]
    macs: int
    offloaded_macs: int
    onnx_sha256: str


Prover = Callable[[Evaluator, Evaluation, Path, int], Proof]
"""``(evaluator, winner, folder, seed)`` → proof, with winner.onnx and winner.tar in the folder."""


def prove(evaluator: Evaluator, winner: Evaluation, folder: Path, seed: int) -> Proof:
    """Write the winner's ONNX and Package into ``folder`` and run the Package."""
    import codesign
    from codesign.compiler import DECISIONS

    networks = evaluator.pairs.networks
    config = evaluator.pairs.configs[winner.pair.config]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {folder}: {error.strerror}") from error
    onnx = folder / ONNX
    networks.export(winner.pair.network, onnx, seed)
    calibration = networks.calibration(winner.pair.network, seed)
    # The search adds up units of their own, which is what its figures are held against.
    package: Any = codesign.compile(
        onnx,
        config,
        calibration=calibration,
        compose="exact",
        disabled=DECISIONS,
    )
    package.save(folder / PACKAGE)
    result: Any = package.run(_inputs(package, calibration, seed))
    return Proof(
        networks.weights,
        INPUTS,
        bool(result.outputs_match),
        int(result.cycles),
        int(package.cycles_composed("overlap")),
        tuple(sorted({str(op.op) for op in package.host_ops})),
        int(result.macs),
        int(result.offloaded_macs),
        file_hash(onnx),
    )


def _inputs(
    package: Any, calibration: Mapping[str, NDArray[Any]] | None, seed: int
) -> dict[str, NDArray[Any]]:
    """The first calibration samples; seeded noise where the network came without any."""
    if calibration is not None:
        return {name: samples[:INPUTS] for name, samples in calibration.items()}
    rng = np.random.default_rng(seed)
    return {
        value.name: rng.standard_normal((INPUTS, *value.shape[1:])).astype(value.dtype)
        for value in package.inputs
    }


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_certificate(folder: Path, certificate: Mapping[str, Any]) -> None:
    """The certificate beside the winner's files."""
    write_text(folder / CERTIFICATE, canonical_json(certificate) + "\n")


def layer_rows(evaluator: Evaluator, evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row per unique unit of the pair: its workload, count, cycles, bound and what bounds it.

    ``cycles`` and ``bound_cycles`` are for one unit; ``utilization`` is useful MACs ÷ (cycles x
    PEs).
    """
    units = evaluator.units_of(evaluation.pair)
    rows = evaluator.simulator.rows((workload, config) for workload, config, _ in units)
    table: list[dict[str, Any]] = []
    for workload, config, count in units:
        row = rows[workload, config]
        bound = lower_bound(workload, config)
        modules = {name: getattr(bound, name) for name in ("compute", "load", "store", "fetch")}
        schedule = row.schedule or {}
        table.append(
            {
                "op": workload.op,
                "workload": asdict(workload),
                "count": count,
                "cycles": row.cycles,
                "bound_cycles": bound.cycles,
                "bound": max(modules, key=lambda name: modules[name]),
                "macs": workload.macs,
                "utilization": workload.macs / (row.cycles * config.pes) if row.cycles else 0.0,
                "dataflow": schedule.get("dataflow"),
                "dram_bytes": bound.dram_bytes,
            }
        )
    return table
