# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false
# pyright: reportArgumentType=false
# tvm's annotations are partial and partly wrong.
"""One scale for tensors that data movement joins, so that nothing has to be rescaled."""

from __future__ import annotations

from typing import Any

from tvm import relax

from relay_passes.ir import constant, definitions, each_function, op_name, scalar, users
from relay_passes.read_moves import MOVES

WIDEST_RATIO = 4.0
"""Largest scale over smallest that is evened out: two bits of the narrowest tensor."""


def ShareScales() -> Any:
    """Quantised sources and results of concatenations, splits and moves get their largest scale.

    For models that are calibrated here, whose scales are ours to choose; symmetric ones only, and
    not where scales differ by more than `WIDEST_RATIO`.
    """
    return each_function("ShareScales", _share)


def _share(function: Any) -> Any:
    defined, used = definitions(function), users(function)
    links = [link for var, value in defined.items() for link in _links(var, value, defined, used)]
    parent: dict[Any, Any] = {}

    def root(var: Any) -> Any:
        while parent.get(var, var) is not var:
            var = parent[var]
        return var

    for one, other in links:
        parent[root(one)] = root(other)
    groups: dict[Any, list[Any]] = {}
    for var in dict.fromkeys(var for link in links for var in link):
        groups.setdefault(root(var), []).append(var)
    shared: dict[Any, float] = {}
    for group in groups.values():
        scales = [scalar(defined[var].args[1]) for var in group]
        zeros = [scalar(defined[var].args[2]) for var in group]
        known = [scale for scale in scales if scale is not None]
        if len(known) < len(scales) or any(zeros) or None in zeros:
            continue
        if max(known) <= WIDEST_RATIO * min(known):
            shared.update(dict.fromkeys(group, max(known)))
    return _Rescaler(shared, defined).visit_expr(function) if shared else function


def _links(var: Any, value: Any, defined: Any, used: Any) -> list[tuple[Any, Any]]:
    """Pairs of quantized tensors that the operator bound to ``var`` joins."""
    if op_name(value) == "concat":
        fields = defined.get(value.args[0], value.args[0])
        operands = list(fields.fields) if isinstance(fields, relax.Tuple) else []
    elif op_name(value) in (*MOVES, "split", "nn.max_pool2d", "nn.max_pool1d"):
        operands = [value.args[0]]
    else:
        return []
    sources = [_quantized(operand, defined) for operand in operands]
    found = [source for source in sources if source is not None]
    results = [user for user in _results(var, defined, used) if user in defined]
    kept = [user for user in results if op_name(defined[user]) == "quantize"]
    joined = [*found, *kept]
    return [(joined[0], other) for other in joined[1:]]


def _results(var: Any, defined: Any, used: Any) -> list[Any]:
    """Readers of an operator's result, or of the elements of its tuple."""
    readers = [user for user in used.get(var, []) if user is not None]
    items = [user for user in readers if isinstance(defined.get(user), relax.TupleGetItem)]
    return [user for user in readers if user not in items] + [
        reader for item in items for reader in used.get(item, []) if reader is not None
    ]


def _quantized(operand: Any, defined: Any) -> Any:
    """The variable of the quantize whose dequantisation an operand is, or None."""
    real = defined.get(operand)
    kept = real.args[0] if op_name(real) == "dequantize" else None
    quantize = defined.get(kept) if kept is not None else None
    made = op_name(quantize) == "quantize" and constant(quantize.args[0]) is None
    return kept if made else None


@relax.expr_functor.mutator
class _Rescaler(relax.PyExprMutator):
    def __init__(self, shared: dict[Any, float], defined: dict[Any, Any]) -> None:
        super().__init__()
        self._shared = shared
        self._bound = {value: var for var, value in defined.items()}

    def visit_call_(self, call: Any) -> Any:
        name = op_name(call)
        if name not in ("quantize", "dequantize"):
            return super().visit_call_(call)
        scale = self._shared.get(self._bound.get(call) if name == "quantize" else call.args[0])
        call = super().visit_call_(call)
        if scale is None:
            return call
        args = [call.args[0], relax.const(scale, "float32"), call.args[2]]
        return relax.Call(call.op, args, call.attrs, call.ty_args)
