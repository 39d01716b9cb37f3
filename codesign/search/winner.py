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
from codesign.nn import AccuracySource
from codesign.nn.trained import SupernetAccuracy, TrainedAccuracy, judged
from codesign.search.evaluation import Evaluation
from codesign.search.evaluator import Evaluator
from codesign.store.atomic import write_text
from codesign.store.content import canonical_json

ONNX = "winner.onnx"
PACKAGE = "winner.tar"
CERTIFICATE = "certificate.json"
INPUTS = 10
"""Inputs of the bit-exactness run."""
_CALIBRATION = 128
"""Training images that calibrate a network trained here."""

Samples = Mapping[str, NDArray[Any]]


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
    package_sha256: str


Prover = Callable[[Evaluator, Evaluation, AccuracySource, Path, int], Proof]
"""``(evaluator, winner, source, folder, seed)`` → proof, with winner.onnx and winner.tar in the
folder; ``source`` is where the accuracies came from."""


def prove(
    evaluator: Evaluator, winner: Evaluation, source: AccuracySource, folder: Path, seed: int
) -> Proof:
    """Write the winner's ONNX, with trained weights where ``source`` trains, and its Package into
    ``folder``, and run the Package."""
    import codesign
    from codesign.compiler import DECISIONS

    config = evaluator.pairs.configs[winner.pair.config]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make {folder}: {error.strerror}") from error
    onnx = folder / ONNX
    try:
        weights, calibration = _export(evaluator, winner, source, onnx, seed)
    except OSError as error:
        raise StoreError(f"cannot write {onnx}: {error.strerror or error}") from error
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
        weights,
        INPUTS,
        bool(result.outputs_match),
        int(result.cycles),
        int(package.cycles_composed("overlap")),
        tuple(sorted({str(op.op) for op in package.host_ops})),
        int(result.macs),
        int(result.offloaded_macs),
        file_hash(onnx),
        file_hash(folder / PACKAGE),
    )


def _export(
    evaluator: Evaluator, winner: Evaluation, source: AccuracySource, path: Path, seed: int
) -> tuple[str, Samples | None]:
    """Write the winner's ONNX; what its weights are, in words, and its calibration inputs."""
    networks = evaluator.pairs.networks
    if not isinstance(source, (TrainedAccuracy, SupernetAccuracy)):
        networks.export(winner.pair.network, path, seed)
        return networks.weights, networks.calibration(winner.pair.network, seed)
    from codesign.nn.datasets import real
    from codesign.nn.export import export_onnx

    if isinstance(source, TrainedAccuracy):
        network = source.network(winner.network, source.seeds[0])
        said = f"trained here, {source.recipe.epochs} epochs, seed {source.seeds[0]}"
    else:
        network = source.network(winner.network)
        said = f"inherited from the supernet trained here, {source.recipe.epochs} epochs"
    export_onnx(network.cpu(), (1, *source.data.image_shape), path)
    return f"{said}, on {source.data.name}", {"x": real(source.data.train_images[:_CALIBRATION])}


def _inputs(package: Any, calibration: Samples | None, seed: int) -> dict[str, NDArray[Any]]:
    """Calibration samples, and where they are too few the same with their elements shuffled;
    seeded noise where the network came without any."""
    rng = np.random.default_rng(seed)
    if calibration is None:
        return {
            value.name: rng.standard_normal((INPUTS, *value.shape[1:])).astype(value.dtype)
            for value in package.inputs
        }
    return {name: _enough(samples, rng) for name, samples in calibration.items()}


def _enough(samples: NDArray[Any], rng: np.random.Generator) -> NDArray[Any]:
    found = samples[np.arange(INPUTS) % len(samples)]
    for place in range(len(samples), INPUTS):
        found[place] = rng.permuted(found[place])
    return found


def tested(source: AccuracySource, winner: Evaluation) -> dict[str, Any] | None:
    """Top-1 of the winner on images that no selection saw, percent, and which these are; None
    where the source has none."""
    if not isinstance(source, (TrainedAccuracy, SupernetAccuracy)) or source.final is None:
        return None
    top1 = float(source.tested([winner.network])[0])
    return {"accuracy": top1, "judged": judged(source.final)}


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_certificate(folder: Path, certificate: Mapping[str, Any]) -> None:
    """The certificate beside the winner's files."""
    write_text(folder / CERTIFICATE, canonical_json(certificate) + "\n")


def layer_rows(evaluator: Evaluator, evaluation: Evaluation) -> list[dict[str, Any]]:
    """One row per distinct unit of the pair: its workload, count, cycles, bound and what bounds it.

    ``cycles`` and ``bound_cycles`` are for one unit; ``utilization`` is useful MACs ÷ (cycles x
    PEs).
    """
    units = evaluator.units_of(evaluation.pair)
    rows = evaluator.simulator.rows([(workload, config) for workload, config, _ in units])
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
