# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# pyright: reportIncompatibleMethodOverride=false, reportOptionalMemberAccess=false, reportAttributeAccessIssue=false
# tvm carries no usable annotations.
"""Batch normalisation folded into the convolution before it, or into two constants."""

from __future__ import annotations

from typing import Any

import numpy as np
import tvm
from tvm import relax

from relay_passes.ir import constant, definitions, each_function, op_name, relax_functions, shape

_NORM = "nn.batch_norm"


def FoldBatchNorm() -> Any:
    """A batch norm that follows a convolution with constant weights becomes weights and bias;
    any other of constant numbers becomes a multiplication and an addition of constants.

    TVM's own fold leaves arithmetic on constants, which is evaluated here; weights that are
    dequantised stay as they are, because TVM's pass matches float constants only.
    """

    @tvm.transform.module_pass(opt_level=0, name="FoldBatchNorm")
    def run(module: Any, _: Any) -> Any:
        if not any(_has_batch_norm(f) for _, f in relax_functions(module)):
            return module
        return tvm.transform.Sequential(
            [
                relax.transform.FoldBatchnormToConv2D(),
                relax.transform.FoldConstant(),
                each_function("ScaleBatchNorm", lambda f: _Scaler().visit_expr(f)),
            ]
        )(module)

    return run


def _has_batch_norm(function: Any) -> bool:
    return any(op_name(value) == _NORM for value in definitions(function).values())


@relax.expr_functor.mutator
class _Scaler(relax.PyExprMutator):
    def visit_tuple_getitem_(self, op: Any) -> Any:
        norm = self.lookup_binding(op.tuple_value)
        numbers = [constant(arg) for arg in norm.args[1:]] if op_name(norm) == _NORM else []
        if op.index != 0 or not numbers or any(n is None for n in numbers) or norm.attrs.training:
            return super().visit_tuple_getitem_(op)
        gamma, beta, mean, variance = (np.asarray(n, np.float64) for n in numbers)
        gamma = gamma if norm.attrs.scale else np.ones_like(gamma)
        beta = beta if norm.attrs.center else np.zeros_like(beta)
        factor = gamma / np.sqrt(variance + float(norm.attrs.epsilon))
        source = norm.args[0]
        dims = [1] * len(shape(source))
        dims[int(norm.attrs.axis)] = -1
        scale, bias = (
            relax.const(n.reshape(dims).astype(np.float32)) for n in (factor, beta - mean * factor)
        )
        return relax.op.add(self.builder_.emit(relax.op.multiply(source, scale)), bias)
