# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# tvm carries no usable annotations.
"""Batch normalisation folded into the convolution before it."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax

from relay_passes.ir import definitions, op_name, relax_functions


def FoldBatchNorm() -> Any:
    """A batch norm that follows a convolution with constant weights becomes weights and bias.

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
                relax.transform.DeadCodeElimination(),
            ]
        )(module)

    return run


def _has_batch_norm(function: Any) -> bool:
    return any(op_name(value) == "nn.batch_norm" for value in definitions(function).values())
