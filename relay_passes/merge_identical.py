# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUntypedBaseClass=false, reportUntypedClassDecorator=false, reportUntypedFunctionDecorator=false
# tvm carries no usable annotations.
"""Identical sub-expressions computed once: parallel branches often quantise or clip one tensor."""

from __future__ import annotations

from typing import Any

import tvm
from tvm import relax


def MergeIdentical() -> Any:
    """Calls of the same operator on equal arguments are computed once (TVM's own elimination).

    Runs before `SplitDequantize`, which takes shared dequantisations apart again.
    """
    return tvm.transform.Sequential(
        [relax.transform.EliminateCommonSubexpr(), relax.transform.CanonicalizeBindings()],
        name="MergeIdentical",
    )
