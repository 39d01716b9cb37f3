# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false
# tvm's annotations are partial and partly wrong.
"""`compile`: a network and a configuration in, a `Package` out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from codesign.compiler.compose import Compose
from codesign.compiler.host_ops import count_macs, host_operators
from codesign.compiler.package import Package, PackageUnit, Port
from codesign.compiler.pipeline import Callback, Record, build_executable, pipeline, refusal
from codesign.errors import ConfigError
from codesign.frontend import CalibrationMethod, SampleSource, import_onnx
from codesign.frontend.importer import signature_of
from codesign.frontend.model import InputShapes
from codesign.hw.config import Dataflow, VtaConfig
from codesign.hw.feasibility import violations
from codesign.kernels import known_schedules
from codesign.store.records import load as load_records


def compile(
    model: Any,
    cfg: VtaConfig,
    *,
    calibration: SampleSource | None = None,
    input_shapes: InputShapes | None = None,
    dataflow: Dataflow | None = None,
    callback: Callback | None = None,
    disabled: Iterable[str] = (),
    compose: Compose = "overlap",
    calibration_method: CalibrationMethod = "minmax",
    records: str | Path | None = None,
) -> Package:
    """Compile a network for a configuration.

    Parameters
    ----------
    model : path of an ONNX file, an `onnx.ModelProto`, or a module of `codesign.import_onnx`
    calibration : arrays by input name, or of the only input, samples on the first axis; or an .npz
    input_shapes : static shapes by input name, for models with dynamic ones
    dataflow : overrides the configuration's
    callback, disabled : see `codesign.pipeline`
    compose : "exact" drains the machine between units, so that cycles are the sum of units run
        alone; "overlap" runs a unit's first loads while the unit before it computes and stores
    calibration_method : how ranges of activations follow from the calibration data of a float
        model: "minmax", "percentile", "mse" or "entropy"
    records : file of `codesign tune`; recorded layers take their schedule from it

    Raises
    ------
    StoreError
        the records file is damaged or foreign.
    ModelError
        the model cannot be read, imported, quantised or compiled.
    DataError
        calibration data that do not fit the model.
    ConfigError
        the configuration breaks a rule; all broken ones are listed.
    """
    import tvm

    broken = violations(cfg)
    if broken:
        raise ConfigError(f"{cfg.name or 'configuration'}: " + "; ".join(str(b) for b in broken))
    if dataflow is not None:
        cfg = replace(cfg, dataflow=dataflow)
    module = model if isinstance(model, tvm.IRModule) else import_onnx(model, input_shapes)
    record = Record()
    disabled = frozenset(disabled)
    known = None if records is None else load_records(records).lookup
    passes = pipeline(cfg, calibration, callback, disabled, record, compose, calibration_method)
    fuse = "fuse_additions" not in disabled
    with known_schedules(known):
        executable = build_executable(module, passes)
        host_ops = host_operators(
            record.host["main"], record.fallbacks, partial(refusal, cfg=cfg, fuse=fuse)
        )
    inputs, outputs = signature_of(module)
    return Package(
        model=Path(model).name if isinstance(model, (str, Path)) else "module",
        config=cfg,
        inputs=tuple(Port(*entry) for entry in inputs),
        outputs=tuple(outputs),
        compose=compose,
        programs=tuple(region.program for region in record.regions),
        units=tuple(_units(record)),
        host_ops=host_ops,
        macs=count_macs(record.quantized["main"]),
        executable=executable,
        model_sha256=_sha256(model),
        quantized=record.quantized,
        region_units=record.region_units,
    )


def _units(record: Record) -> list[PackageUnit]:
    return [
        PackageUnit(
            name=unit.name,
            region=region.program.graph.name,
            unit=unit,
            schedule=asdict(region.schedules[unit.name]),
            cycles=region.cycles[unit.name],
            dram_bytes=region.dram_bytes[unit.name],
        )
        for region in record.regions
        for unit in region.program.graph.units
    ]


def _sha256(model: Any) -> str:
    if isinstance(model, (str, Path)):
        return hashlib.sha256(Path(model).read_bytes()).hexdigest()
    return ""
