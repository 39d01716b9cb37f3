"""Relax passes that bring quantised networks onto the accelerator; one file per pass."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from relay_passes.absorb_requantize import AbsorbRequantize
from relay_passes.fold_batch_norm import FoldBatchNorm
from relay_passes.fold_parameters import FoldParameters
from relay_passes.join_moves import JoinMoves
from relay_passes.lower import Lower
from relay_passes.lower_leaky_relu import LowerLeakyRelu
from relay_passes.merge_identical import MergeIdentical
from relay_passes.partition import Partition
from relay_passes.quantize_before_reshape import QuantizeBeforeReshape
from relay_passes.requantize_apart import RequantizeApart
from relay_passes.share_scales import ShareScales
from relay_passes.spec import QuantizedTensor, UnitSpec
from relay_passes.split_dequantize import SplitDequantize
from relay_passes.split_to_slices import SplitToSlices

__all__ = [
    "AbsorbRequantize",
    "FoldBatchNorm",
    "FoldParameters",
    "JoinMoves",
    "Lower",
    "LowerLeakyRelu",
    "MergeIdentical",
    "Partition",
    "QuantizeBeforeReshape",
    "QuantizedTensor",
    "RequantizeApart",
    "ShareScales",
    "SplitDequantize",
    "SplitToSlices",
    "UnitSpec",
    "partition_for_vta",
]

if TYPE_CHECKING:
    from codesign.compiler.pipeline import partition_for_vta


def __getattr__(name: str) -> Any:
    """`partition_for_vta` belongs to the compiler, which imports this package."""
    if name == "partition_for_vta":
        return importlib.import_module("codesign.compiler.pipeline").partition_for_vta
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
