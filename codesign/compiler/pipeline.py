# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedFunctionDecorator=false
# tvm's annotations are partial and partly wrong.
"""The compilation as a list of named phases, each an ordinary TVM pass."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import tvm
from tvm import relax

from codesign.compiler.build_graph import TRIVIAL, build_graph
from codesign.compiler.compose import Compose, ComposedRegion, compose_region, schedules_of
from codesign.compiler.fit import fit_unit
from codesign.compiler.program import serialize
from codesign.compiler.runtime import register
from codesign.errors import Infeasible, ModelError
from codesign.frontend import SampleSource, quantize_module
from codesign.hw.config import VtaConfig
from codesign.kernels import best_schedule
from relay_passes import (
    AbsorbRequantize,
    FoldBatchNorm,
    FoldParameters,
    Lower,
    MergeIdentical,
    Partition,
    QuantizeBeforeReshape,
    SplitDequantize,
    UnitSpec,
)
from relay_passes.lower import regions

Callback = Callable[[str, Any], None]
"""Called with a phase's name and the module after it; in phase "lower" also with the name of each
region and its `ComposedRegion`, as soon as that is made."""
REQUIRED = ("quantize", "lower", "host")
log = logging.getLogger("codesign.compiler")


@dataclass
class Record:
    """What a compilation decided: region programs, units left to the host, the quantised module."""

    regions: list[ComposedRegion] = field(default_factory=lambda: [])
    fallbacks: dict[str, Infeasible] = field(default_factory=lambda: {})
    quantized: Any = None
    host: Any = None


def refusal(spec: UnitSpec, cfg: VtaConfig) -> Infeasible | None:
    """Why a unit cannot run on the configuration: no numbers fit it, or no schedule does."""
    if spec.kind == "reshape":
        return None
    fit = fit_unit(spec, cfg)
    if isinstance(fit, Infeasible):
        return fit
    schedule = best_schedule(fit[0], cfg)
    return schedule if isinstance(schedule, Infeasible) else None


def phases(
    cfg: VtaConfig,
    calibration: SampleSource | None,
    callback: Callback | None,
    record: Record,
    compose: Compose,
) -> list[tuple[str, Any]]:
    """Names and passes in order; the module can be executed after every one."""

    def validate(module: Any) -> Mapping[str, Infeasible]:
        failed: dict[str, Infeasible] = {}
        for _, function in regions(module):
            graph = build_graph(function, "check", cfg)
            if isinstance(graph, Mapping):
                failed.update(graph)
        return failed

    def reject(name: str, reason: Infeasible) -> None:
        if reason.constraint != TRIVIAL:
            record.fallbacks[name] = reason
            log.info("%s stays on the host: %s", name, reason)

    def emit(function: Any, name: str) -> bytes:
        graph = build_graph(function, name, cfg)
        if isinstance(graph, Mapping):
            raise ModelError(f"{name}: " + "; ".join(f"{n}: {r}" for n, r in graph.items()))
        region = compose_region(graph, cfg, schedules_of(graph, cfg), compose)
        record.regions.append(region)
        if callback is not None:
            callback(name, region)
        return serialize(region.program)

    return [
        ("quantize", _keep(record, "quantized", lambda m: quantize_module(m, calibration))),
        ("fold_parameters", FoldParameters()),
        ("fold_batch_norm", FoldBatchNorm()),
        ("merge_identical", MergeIdentical()),
        ("quantize_before_reshape", QuantizeBeforeReshape()),
        ("split_dequantize", SplitDequantize()),
        ("absorb_requantize", AbsorbRequantize()),
        ("partition", Partition(partial(refusal, cfg=cfg), validate, reject)),
        ("lower", Lower(emit)),
        ("host", _keep(record, "host", lambda m: m)),
    ]


def pipeline(
    cfg: VtaConfig,
    calibration: SampleSource | None = None,
    callback: Callback | None = None,
    disabled: Iterable[str] = (),
    record: Record | None = None,
    compose: Compose = "exact",
) -> Any:
    """A TVM pass for ``tvm.compile(..., relax_pipeline=...)``: Relax in, executable form out.

    Parameters
    ----------
    calibration : samples by input name, of the only input, or an .npz path; for float models
    callback : see `Callback`
    disabled : phases to leave out, of "fold_batch_norm", "merge_identical", "partition", ...
    record : receives the region programs and the units that stay on the host
    compose : see `codesign.compile`

    Raises
    ------
    ModelError
        an unknown or indispensable phase in ``disabled``; a float model without calibration.
    """
    register()
    record = record if record is not None else Record()
    steps = phases(cfg, calibration, callback, record, compose)
    _check_disabled(tuple(disabled), [name for name, _ in steps])
    leave_out = frozenset(disabled)

    @tvm.transform.module_pass(opt_level=0, name="codesign.pipeline")
    def run(module: Any, _: Any) -> Any:
        for name, step in steps:
            if name in leave_out:
                continue
            module = step(module)
            if callback is not None:
                callback(name, module)
        return host_pipeline()(module)

    return run


def host_pipeline() -> Any:
    """TVM's CPU passes for what stays on the host, down to what the VM executes."""
    return tvm.transform.Sequential(
        [
            relax.transform.LegalizeOps(),
            relax.transform.AnnotateTIROpPattern(),
            relax.transform.FoldConstant(),
            relax.transform.FuseOps(),
            relax.transform.FuseTIR(),
            relax.get_pipeline("default_build"),
        ]
    )


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
