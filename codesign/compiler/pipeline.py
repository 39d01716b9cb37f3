# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedFunctionDecorator=false, reportArgumentType=false
# tvm's annotations are partial and partly wrong.
"""The compilation as a list of named phases, each an ordinary TVM pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import tvm
from tvm import relax

from codesign.compiler.build_graph import TRIVIAL, build_graph, region_units
from codesign.compiler.compose import Compose, ComposedRegion, compose_region, schedules_of
from codesign.compiler.first_layer import best_fold
from codesign.compiler.fit import fit_unit
from codesign.compiler.graph import UnitGraph
from codesign.compiler.layouts import RegionUnit
from codesign.compiler.parts import is_free
from codesign.compiler.program import serialize
from codesign.compiler.runtime import register
from codesign.errors import Infeasible, ModelError
from codesign.frontend import CalibrationMethod, SampleSource, quantize_module
from codesign.hw.config import VtaConfig
from codesign.kernels import best_schedule
from relay_passes import (
    AbsorbRequantize,
    FoldBatchNorm,
    FoldParameters,
    JoinMoves,
    Lower,
    LowerLeakyRelu,
    MergeIdentical,
    Partition,
    QuantizeBeforeReshape,
    RequantizeApart,
    ShareScales,
    SplitDequantize,
    SplitToSlices,
    UnitSpec,
)
from relay_passes.lower import regions
from relay_passes.spec import apart

Callback = Callable[[str, Any], None]
"""Called with a phase's name and the module after it; in phase "lower" also with the name of each
region and its `ComposedRegion`, as soon as that is made."""
REQUIRED = ("quantize", "lower", "host")
DECISIONS = ("fuse_additions", "fold_inputs", "share_parts")
"""Taken inside the phases "partition" and "lower"; they can be disabled like phases.

With all of them disabled every layer is a unit of its own on every configuration.
"""
log = logging.getLogger("codesign.compiler")


@dataclass
class Record:
    """What a compilation decided: region programs, units left to the host, the quantised module."""

    regions: list[ComposedRegion] = field(default_factory=lambda: [])
    fallbacks: dict[str, Infeasible] = field(default_factory=lambda: {})
    region_units: dict[str, tuple[RegionUnit, ...]] = field(default_factory=lambda: {})
    quantized: Any = None
    host: Any = None


def refusal(spec: UnitSpec, cfg: VtaConfig, *, fuse: bool = True) -> Infeasible | None:
    """Why a unit cannot run on the configuration: no numbers fit it, or no schedule does.

    A fused addition is also refused without ``fuse``, and where it costs more cycles than one of
    its own.
    """
    if spec.between is not None and not fuse:
        return Infeasible("fusion", "additions are units of their own")
    if spec.kind == "view" or (spec.kind == "gather" and is_free(spec, cfg)):
        return None
    cycles = _cycles(spec, cfg)
    if isinstance(cycles, Infeasible):
        return cycles
    if spec.between is not None:
        parts = [_cycles(part, cfg) for part in apart(spec)]
        total = sum(part for part in parts if isinstance(part, int))
        if all(isinstance(part, int) for part in parts) and total < cycles:
            return Infeasible("fusion", f"{cycles} cycles with the addition, {total} apart")
    return None


def _cycles(spec: UnitSpec, cfg: VtaConfig) -> int | Infeasible:
    """Cycles of a unit as it is; 0 if it is only possible with its input folded."""
    fit = fit_unit(spec, cfg)
    if isinstance(fit, Infeasible):
        return fit
    schedule = best_schedule(fit[0], cfg)
    if isinstance(schedule, Infeasible):
        return schedule if best_fold(fit[0], cfg) is None else 0
    return schedule.cycles


def phases(
    cfg: VtaConfig,
    calibration: SampleSource | None,
    calibration_method: CalibrationMethod,
    callback: Callback | None,
    record: Record,
    compose: Compose,
    disabled: Collection[str] = (),
) -> list[tuple[str, Any]]:
    """Names and passes in order; the module can be executed after every one."""
    fuse, fold, share = (decision not in disabled for decision in DECISIONS)
    built: dict[Any, UnitGraph] = {}

    def validate(module: Any) -> Mapping[str, Infeasible]:
        failed: dict[str, Infeasible] = {}
        for _, function in regions(module):
            graph = build_graph(function, "check", cfg, fold=fold, share=share)
            if isinstance(graph, Mapping):
                failed.update(graph)
            else:
                built[function] = graph
        return failed

    def reject(name: str, reason: Infeasible) -> None:
        if reason.constraint != TRIVIAL:
            record.fallbacks[name] = reason
            log.info("%s stays on the host: %s", name, reason)

    def emit(function: Any, name: str) -> bytes:
        graph = built.get(function) or build_graph(function, name, cfg, fold=fold, share=share)
        if isinstance(graph, Mapping):
            raise ModelError(f"{name}: " + "; ".join(f"{n}: {r}" for n, r in graph.items()))
        graph = replace(graph, name=name)
        region = compose_region(graph, cfg, schedules_of(graph, cfg), compose)
        record.regions.append(region)
        record.region_units[name] = region_units(function)
        if callback is not None:
            callback(name, region)
        return serialize(region.program)

    return [
        (
            "quantize",
            _keep(record, "quantized", lambda m: _calibrated(m, calibration, calibration_method)),
        ),
        ("fold_parameters", FoldParameters(keep_rounding=cfg.has_mul)),
        ("fold_batch_norm", FoldBatchNorm()),
        ("merge_identical", MergeIdentical()),
        ("quantize_before_reshape", QuantizeBeforeReshape()),
        ("split_to_slices", SplitToSlices()),
        ("requantize_apart", RequantizeApart()),
        ("lower_leaky_relu", LowerLeakyRelu()),
        ("split_dequantize", SplitDequantize()),
        ("join_moves", JoinMoves()),
        ("absorb_requantize", AbsorbRequantize()),
        ("partition", Partition(partial(refusal, cfg=cfg, fuse=fuse), validate, reject)),
        ("lower", Lower(emit)),
        ("host", _keep(record, "host", lambda m: m)),
    ]


def pipeline(
    cfg: VtaConfig,
    calibration: SampleSource | None = None,
    callback: Callback | None = None,
    disabled: Iterable[str] = (),
    record: Record | None = None,
    compose: Compose = "overlap",
    calibration_method: CalibrationMethod = "minmax",
) -> Any:
    """A TVM pass for ``tvm.compile(..., relax_pipeline=...)``: Relax in, executable form out.

    Parameters
    ----------
    calibration : samples by input name, of the only input, or an .npz path; for float models
    callback : see `Callback`
    disabled : phases to leave out, of "fold_batch_norm", "merge_identical", "partition", ..., and
        the decisions in `DECISIONS`
    record : receives the region programs and the units that stay on the host
    compose, calibration_method : see `codesign.compile`

    Raises
    ------
    ModelError
        an unknown or indispensable phase in ``disabled``; a float model without calibration.
    """
    register()
    record = record if record is not None else Record()
    leave_out = frozenset(disabled)
    steps = phases(cfg, calibration, calibration_method, callback, record, compose, leave_out)
    _check_disabled(tuple(sorted(leave_out)), [*(name for name, _ in steps), *DECISIONS])

    @tvm.transform.module_pass(opt_level=0, name="codesign.pipeline")
    def run(module: Any, _: Any) -> Any:
        for name, step in _remaining(steps, module):
            if name in leave_out:
                continue
            module = step(module)
            if callback is not None:
                callback(name, module)
        return host_pipeline()(module)

    return run


def build_executable(module: Any, passes: Any) -> Any:
    """``tvm.compile`` for the host's processor.

    Raises
    ------
    ModelError
        one of TVM's own checks fails; what our passes refuse keeps its class.
    """
    register()
    try:
        return tvm.compile(module, target="llvm", relax_pipeline=passes)
    except tvm.error.InternalError as error:
        text = str(error).strip().splitlines() or ["internal error"]
        raise ModelError(f"TVM cannot compile the model: {text[0]}") from error


def partition_for_vta(
    module: Any,
    cfg: VtaConfig,
    calibration: SampleSource | None = None,
    calibration_method: CalibrationMethod = "minmax",
) -> Any:
    """The usual entry of a TVM back end: operators for the accelerator move into functions of
    their own, marked ``Codegen="vta"``; `pipeline` compiles what comes out.

    Parameters
    ----------
    module : Relax module of `codesign.import_onnx`, or any with quantize and dequantize
    calibration, calibration_method : see `pipeline`

    Raises
    ------
    ModelError
        a float module without calibration data.
    """
    for name, step in phases(cfg, calibration, calibration_method, None, Record(), "exact"):
        if name == "lower":
            break
        module = step(module)
    return module


def _remaining(steps: Sequence[tuple[str, Any]], module: Any) -> Sequence[tuple[str, Any]]:
    """The phases that a module still needs: one that is partitioned already, those from "lower"."""
    names = [name for name, _ in steps]
    return steps[names.index("lower") :] if regions(module) else steps


def host_pipeline() -> Any:
    """TVM's CPU passes for what stays on the host, down to what the VM executes.

    Raises
    ------
    ModelError
        TVM has no code for an operator, or not for its types or shapes.
    """
    passes = tvm.transform.Sequential(
        [
            relax.transform.LegalizeOps(),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FoldConstant(),
            relax.transform.FuseOps(),
            relax.transform.FuseTIR(),
            relax.get_pipeline("default_build"),
        ]
    )

    @tvm.transform.module_pass(opt_level=0, name="codesign.host")
    def run(module: Any, _: Any) -> Any:
        try:
            return passes(module)
        except Exception as error:  # these passes let whatever Python raises through
            text = str(error).strip() or type(error).__name__
            raise ModelError(
                f"TVM cannot compile what stays on the host: {text.splitlines()[0]}"
            ) from error

    return run


def _calibrated(module: Any, source: SampleSource | None, method: CalibrationMethod) -> Any:
    """The quantised module; scales that are chosen here are shared where that saves work."""
    quantized = quantize_module(module, source, method)
    return quantized if quantized is module else ShareScales()(quantized)


def _keep(record: Record, slot: str, step: Callable[[Any], Any]) -> Any:
    @tvm.transform.module_pass(opt_level=0, name=slot)
    def run(module: Any, _: Any) -> Any:
        module = step(module)
        setattr(record, slot, module)
        return module

    return run


def _check_disabled(disabled: tuple[str, ...], names: list[str]) -> None:
    wrong = [name for name in disabled if name not in names or name in REQUIRED]
    if wrong:
        allowed = ", ".join(name for name in names if name not in REQUIRED)
        raise ModelError(f"passes {', '.join(wrong)} cannot be disabled; allowed: {allowed}")
