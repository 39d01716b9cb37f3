# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false
# tvm's annotations are partial and partly wrong.
"""From a partitioned region (Relax) to its `UnitGraph`, or the units that cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from codesign.compiler.fit import Borders, fit_unit, needed_border, zero_point
from codesign.compiler.graph import TensorSpec, Unit, UnitGraph
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import best_schedule
from relay_passes.ir import definitions
from relay_passes.partition import UNIT_ATTR
from relay_passes.read_unit import UnitMatch, read_unit
from relay_passes.spec import QuantizedTensor

TRIVIAL = "trivial_region"
"""Constraint of a region with nothing but reshapes, which is no work for an accelerator."""


@dataclass
class _Region:
    """What is read from a region before anything is fitted."""

    tensors: dict[str, TensorSpec] = field(default_factory=lambda: {})
    units: list[tuple[str, UnitMatch, tuple[str, ...], str]] = field(default_factory=lambda: [])
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    batch: int = 1


def build_graph(function: Any, name: str, cfg: VtaConfig) -> UnitGraph | Mapping[str, Infeasible]:
    """The region's integer program on ``cfg``, or why each unit that fails cannot be on it."""
    region = _read(function)
    if all(match.spec.kind == "reshape" for _, match, _, _ in region.units):
        reason = Infeasible(TRIVIAL, "a reshape alone is no work for the accelerator")
        return {unit: reason for unit, _, _, _ in region.units}
    _set_borders(region, cfg)
    units: list[Unit] = []
    failed: dict[str, Infeasible] = {}
    for unit_name, match, inputs, output in region.units:
        if match.spec.kind == "reshape":
            continue
        stored = tuple(storage(region.tensors, tensor) for tensor in inputs)
        borders = Borders(tuple(t.border for t in stored), region.tensors[output].border)
        if len(borders.inputs) == 1:
            borders = replace(borders, inputs=(borders.inputs[0], 0))
        fit = fit_unit(match.spec, cfg, borders)
        if isinstance(fit, Infeasible):
            failed[unit_name] = fit
            continue
        schedule = best_schedule(fit[0], cfg)
        if isinstance(schedule, Infeasible):
            failed[unit_name] = schedule
            continue
        units.append(Unit(unit_name, *fit, tuple(t.name for t in stored), output))
    if failed:
        return failed
    return UnitGraph(
        name, region.batch, region.tensors, region.inputs, region.outputs, tuple(units)
    )


def storage(tensors: Mapping[str, TensorSpec], name: str) -> TensorSpec:
    """The tensor whose memory a tensor uses: itself, or what it is a view of."""
    spec = tensors[name]
    return storage(tensors, spec.view_of) if spec.view_of else spec


def _read(function: Any) -> _Region:
    from tvm import relax

    region = _Region()
    values = definitions(function)
    composites = {v: f for v, f in values.items() if isinstance(f, relax.Function)}
    names: dict[Any, str] = {}

    def resolve(var: Any) -> Any:
        while isinstance(values.get(var), relax.Var):
            var = values[var]
        return var

    def tensor_name(var: Any, about: QuantizedTensor) -> str:
        var = resolve(var)
        if var not in names:
            names[var] = f"t{len(names)}"
            region.tensors[names[var]] = _tensor_spec(names[var], about)
        return names[var]

    for var, call in values.items():
        if not isinstance(call, relax.Call) or call.op not in composites:
            continue
        composite = composites[call.op]
        inner = definitions(composite)
        match = read_unit(inner, inner[composite.body.body])
        operands = dict(zip(composite.params, call.args, strict=True))
        inputs = tuple(
            tensor_name(operands[expr], about)
            for expr, about in zip(match.inputs, match.spec.inputs, strict=True)
        )
        output = tensor_name(var, match.spec.output)
        if match.spec.kind == "reshape":
            region.tensors[output] = replace(region.tensors[output], view_of=inputs[0])
        region.batch = match.spec.output.shape[0]
        region.units.append((str(composite.attrs[UNIT_ATTR]), match, inputs, output))
    region.inputs = tuple(names[param] for param in function.params)
    result = resolve(function.body.body)
    result = values.get(result, result) if isinstance(values.get(result), relax.Tuple) else result
    fields = list(result.fields) if isinstance(result, relax.Tuple) else [result]
    region.outputs = tuple(names[resolve(var)] for var in fields)
    return region


def _tensor_spec(name: str, about: QuantizedTensor) -> TensorSpec:
    rank = len(about.shape)
    channels, height, width = (*about.shape[1:], 1, 1)[:3]
    return TensorSpec(
        name,
        (channels, height, width),
        about.scale,
        zero_point(about),
        unsigned=about.dtype == "uint8",
        rank=rank,
    )


def _set_borders(region: _Region, cfg: VtaConfig) -> None:
    for _, match, inputs, _ in region.units:
        border = needed_border(match.spec, cfg)
        source = storage(region.tensors, inputs[0])
        if border > source.border:
            region.tensors[source.name] = replace(source, border=border)
