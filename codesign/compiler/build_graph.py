# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportAttributeAccessIssue=false
# tvm's annotations are partial and partly wrong.
"""From a partitioned region (Relax) to its `UnitGraph`, or the units that cannot be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from codesign.compiler.first_layer import best_fold, foldable, folded
from codesign.compiler.fit import Borders, fit_unit, needed_border, zero_point
from codesign.compiler.graph import TensorSpec, Unit, UnitGraph
from codesign.compiler.layouts import RegionUnit, with_layouts
from codesign.compiler.parts import share_parts
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import best_schedule
from relay_passes.ir import definitions
from relay_passes.partition import UNIT_ATTR
from relay_passes.read_unit import read_unit
from relay_passes.spec import QuantizedTensor

TRIVIAL = "trivial_region"
"""Constraint of a region with nothing but reshapes, which is no work for an accelerator."""


@dataclass(frozen=True, eq=False)
class _Region:
    """A region's units, and its inputs and outputs by tensor name."""

    units: tuple[RegionUnit, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def build_graph(
    function: Any, name: str, cfg: VtaConfig, *, fold: bool = True, share: bool = True
) -> UnitGraph | Mapping[str, Infeasible]:
    """The region's integer program on ``cfg``, or why each unit that fails cannot be on it.

    ``fold``: inputs may be packed as patches. ``share``: what a concatenation reads may lie in its
    result, a slice in its source.
    """
    region = _read(function)
    batch, laid_out, homeless = with_layouts(region.units, cfg)
    if homeless:
        return {
            unit: Infeasible("layout", "its neighbours hold the channels on another axis")
            for unit in homeless
        }
    tensors = _tensors(laid_out)
    shared = share_parts(laid_out, tensors, cfg) if share else set[str]()
    failed = _set_borders(laid_out, tensors, cfg)
    whole = foldable(region.inputs, region.outputs, laid_out, tensors) if fold else set[str]()
    units: list[Unit] = []
    for unit in laid_out:
        if unit.spec.kind == "view" or unit.name in shared:
            continue
        made = _fitted(unit, tensors, whole, cfg)
        if isinstance(made, Infeasible):
            failed[unit.name] = made
        else:
            units.append(made)
    if failed:
        return failed
    if not units:
        reason = Infeasible(TRIVIAL, "a reshape alone is no work for the accelerator")
        return {unit.name: reason for unit in region.units}
    return UnitGraph(name, batch, tensors, region.inputs, region.outputs, tuple(units))


def region_units(function: Any) -> tuple[RegionUnit, ...]:
    """The units of a region in real numbers, in order, tensors named as in its graph."""
    return _read(function).units


def _fitted(
    unit: RegionUnit, tensors: dict[str, TensorSpec], whole: set[str], cfg: VtaConfig
) -> Unit | Infeasible:
    """The unit's numbers; of the inputs ``whole``, its own may become patches."""
    borders = tuple(tensors[name].border for name in unit.inputs)
    padded = (*borders, 0) if len(borders) == 1 else borders
    fit = fit_unit(unit.spec, cfg, Borders(padded, tensors[unit.output].border))
    if isinstance(fit, Infeasible):
        return fit
    made = Unit(unit.name, *fit, unit.inputs, unit.output)
    source = unit.inputs[0]
    patches = best_fold(made.workload, cfg) if source in whole else None
    if patches is not None:
        made, tensors[source] = folded(made, tensors[source], patches)
    schedule = best_schedule(made.workload, cfg)
    return schedule if isinstance(schedule, Infeasible) else made


def _read(function: Any) -> _Region:
    from tvm import relax

    units: list[RegionUnit] = []
    values = definitions(function)
    composites = {v: f for v, f in values.items() if isinstance(f, relax.Function)}
    names: dict[Any, str] = {}

    def resolve(var: Any) -> Any:
        while isinstance(values.get(var), relax.Var):
            var = values[var]
        return var

    def tensor_name(var: Any) -> str:
        return names.setdefault(resolve(var), f"t{len(names)}")

    for var, call in values.items():
        if not isinstance(call, relax.Call) or call.op not in composites:
            continue
        composite = composites[call.op]
        inner = definitions(composite)
        match = read_unit(inner, inner[composite.body.body])
        operands = dict(zip(composite.params, call.args, strict=True))
        inputs = tuple(tensor_name(operands[expr]) for expr in match.inputs)
        unit = str(composite.attrs[UNIT_ATTR])
        units.append(RegionUnit(unit, match.spec, inputs, tensor_name(var)))
    result = resolve(function.body.body)
    result = values.get(result, result) if isinstance(values.get(result), relax.Tuple) else result
    fields = list(result.fields) if isinstance(result, relax.Tuple) else [result]
    return _Region(
        tuple(units),
        tuple(names[param] for param in function.params),
        tuple(names[resolve(var)] for var in fields),
    )


def _tensors(units: Sequence[RegionUnit]) -> dict[str, TensorSpec]:
    """Specifications by name; what a view makes shares its input's memory."""
    tensors: dict[str, TensorSpec] = {}
    for unit in units:
        for name, about in unit.tensors.items():
            if name not in tensors:
                tensors[name] = _tensor_spec(name, about)
        if unit.spec.kind == "view":
            tensors[unit.output] = replace(tensors[unit.output], view_of=unit.inputs[0])
    return tensors


def _tensor_spec(name: str, about: QuantizedTensor) -> TensorSpec:
    return TensorSpec(
        name,
        about.image,
        about.scale,
        zero_point(about),
        unsigned=about.dtype == "uint8",
        rank=3 if about.channel_last else len(about.shape),
        channel_last=about.channel_last,
    )


def _set_borders(
    units: Sequence[RegionUnit], tensors: dict[str, TensorSpec], cfg: VtaConfig
) -> dict[str, Infeasible]:
    """Give tensors the borders that their readers need; views that a border tears apart fail."""
    for unit in units:
        border = needed_border(unit.spec, cfg)
        if border > tensors[unit.inputs[0]].border:
            for name in _sharing(tensors, unit.inputs[0]):
                tensors[name] = replace(tensors[name], border=border)
    failed: dict[str, Infeasible] = {}
    for unit in units:
        if unit.spec.kind != "view":
            continue
        source, out = tensors[unit.inputs[0]], tensors[unit.output]
        if source.border and source.shape != out.shape:
            text = f"{source.shape} with a border of {source.border} cannot be read as {out.shape}"
            failed[unit.name] = Infeasible("layout", text)
    return failed


def _sharing(tensors: Mapping[str, TensorSpec], name: str) -> list[str]:
    """Tensors in the same memory as ``name``, itself included."""

    def owner(of: str) -> str:
        return owner(tensors[of].view_of) if tensors[of].view_of else of

    return [other for other in tensors if owner(other) == owner(name)]
