# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportArgumentType=false
# tvm's annotations are partial and partly wrong.
"""Units found by pattern, merged into regions for the accelerator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.relax.transform import FusionPattern

from codesign.errors import Infeasible
from relay_passes.ir import constant, definitions, is_call, is_static, op_name
from relay_passes.patterns import CORE, RESIDUAL, unit_patterns
from relay_passes.read_unit import KINDS, read_unit
from relay_passes.spec import UnitSpec

CODEGEN = "vta"
UNIT_ATTR = "vta.unit"
FUSED = "+"
"""Joins the names of the units that a fused one stands for; refused, it becomes those again."""
Accept = Callable[[UnitSpec], Infeasible | None]
Validate = Callable[[Any], Mapping[str, Infeasible]]
Reject = Callable[[str, Infeasible], None]


def Partition(
    accept: Accept, validate: Validate | None = None, reject: Reject | None = None
) -> Any:
    """Quantised operators that ``accept`` allows become composites, merged into ``vta`` regions.

    ``validate`` sees the partitioned module and names units that fail in context; the partition is
    then repeated without them. Each unit left to the host is told to ``reject`` with its reason.
    """

    @tvm.transform.module_pass(opt_level=0, name="Partition")
    def run(module: Any, _: Any) -> Any:
        refused: dict[str, Infeasible] = {}
        while True:
            partitioned = _partition(module, accept, refused)
            failed = dict(validate(partitioned)) if validate else {}
            if not failed:
                break
            refused.update(failed)
        for name, reason in refused.items():
            if reject is not None and FUSED not in name:
                reject(name, reason)
        return partitioned

    return run


def unit_names(function: Any) -> dict[Any, str]:
    """A name for every operator that can become a unit: kind and number, in graph order."""
    counts: dict[str, int] = {}
    names: dict[Any, str] = {}
    function_values = definitions(function)
    for value in function_values.values():
        if not is_call(value):
            continue
        kind = _kind(value, function_values)
        if not kind:
            continue
        counts[kind] = counts.get(kind, 0) + 1
        names[value] = f"{kind}_{counts[kind]}"
    return names


def _kind(call: Any, values: Mapping[Any, Any]) -> str:
    """Kind of the unit that a call could be the core of, or ""."""
    name = op_name(call)
    if name in ("add", "multiply") and (constant(call.args[1]) is None) == (name == "multiply"):
        return ""  # a bias, or a product of activations
    if name == "quantize" or name in KINDS:
        source = values.get(call.args[0])
        if name == "quantize":
            return "requantize" if op_name(source) == "dequantize" else ""
        return KINDS[name]
    activation = name in ("nn.relu", "clip")
    return "requantize" if activation and op_name(values.get(call.args[0])) == "dequantize" else ""


def _partition(module: Any, accept: Accept, refused: dict[str, Infeasible]) -> Any:
    names = unit_names(module["main"])
    if _has_match_cast(module["main"]):
        # TVM's MergeCompositeFunctions does not know the bindings of data-dependent shapes.
        reason = Infeasible("dynamic_shape", "the network has shapes that depend on data")
        refused.update(dict.fromkeys(names.values(), reason))
        return module

    def check(context: Any) -> bool:
        name = _name(names, context.annotated_expr)
        if not name or name in refused or not _owns_all(context):
            return False
        bound = dict(context.matched_bindings.items())
        if not all(is_static(value) for value in bound.values()):
            return False
        match = read_unit(bound, context.matched_expr)
        if any(operand in bound for operand in match.inputs):
            return False  # a convolution added to itself: its value is needed twice
        spec = match.spec
        problem = Infeasible("operator", spec.unsupported) if spec.unsupported else accept(spec)
        if problem is not None:
            refused[name] = problem
        return problem is None

    def attributes(annotated: Any) -> dict[str, str]:
        return {UNIT_ATTR: _name(names, annotated)}

    patterns = [
        FusionPattern(name, pattern, {**annotations}, check, attributes)
        for name, pattern, annotations in unit_patterns(_concatenated(module["main"]))
    ]
    return tvm.transform.Sequential(
        [
            relax.transform.FuseOpsByPattern(patterns, bind_constants=True, annotate_codegen=False),
            relax.transform.MergeCompositeFunctions(),
        ]
    )(module)


def _concatenated(function: Any) -> set[int]:
    """Numbers of operands of the function's concatenations."""
    values = definitions(function)
    calls = [value for value in values.values() if op_name(value) == "concat"]
    fields = [values.get(call.args[0], call.args[0]) for call in calls]
    return {len(found.fields) for found in fields if isinstance(found, relax.Tuple)}


def _has_match_cast(function: Any) -> bool:
    bindings = [b for block in function.body.blocks for b in block.bindings]
    return any(isinstance(b, relax.MatchCast) for b in bindings)


def _name(names: Mapping[Any, str], annotated: Any) -> str:
    """Name of a match's unit, "" where its operator is none."""
    parts = [names.get(annotated[key], "") for key in (CORE, RESIDUAL) if key in annotated]
    return FUSED.join(parts) if all(parts) else ""


def _owns_all(context: Any) -> bool:
    """Whether nothing outside the match reads a value inside it."""
    matched = set(context.matched_bindings.keys())
    root = context.value_to_bound_var.get(context.matched_expr)
    return all(
        var == root or all(user in matched for user in context.var_usages.get(var, []))
        for var in matched
    )
