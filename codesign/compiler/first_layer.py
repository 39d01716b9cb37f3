"""Region inputs of few channels packed as patches, where that saves cycles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from codesign.compiler.graph import TensorSpec, Unit
from codesign.compiler.layouts import RegionUnit
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    ConvParams,
    ConvWorkload,
    PatchFold,
    Workload,
    best_schedule,
    fold_convolution,
    input_layouts,
    patch_folds,
)


def foldable(
    inputs: Sequence[str],
    outputs: Sequence[str],
    units: Sequence[RegionUnit],
    tensors: Mapping[str, TensorSpec],
) -> set[str]:
    """Inputs of the region that one convolution alone reads, as its image."""
    found: set[str] = set()
    for name in inputs:
        readers = [unit for unit in units for source in unit.inputs if source == name]
        spec = tensors[name]
        own = not spec.view_of and not any(other.view_of == name for other in tensors.values())
        plain = spec.rank == 4 and not spec.channel_last and name not in outputs
        if len(readers) == 1 and own and plain and readers[0].inputs[0] == name:
            found.add(name)
    return found


def best_fold(workload: Workload, cfg: VtaConfig) -> PatchFold | None:
    """The fold with the fewest cycles, None if the unit is fastest, or only possible, as it is.

    Worth a try where channels leave input lanes empty: the host packs an input anyway, so that
    the machine's cycles decide. Folded, it may take no more memory than before.
    """
    if not isinstance(workload, ConvWorkload) or workload.in_channels >= cfg.block_in:
        return None
    whole = best_schedule(workload, cfg)
    best, chosen = (None if isinstance(whole, Infeasible) else whole.cycles), None
    nbytes = input_layouts(workload)[0].nbytes(cfg)
    kernel = (workload.out_channels, workload.in_channels, *workload.kernel)
    for fold in patch_folds(workload):
        small, _ = fold_convolution(workload, np.zeros(kernel, np.int8), fold)
        if input_layouts(small)[0].nbytes(cfg) > nbytes:
            continue
        result = best_schedule(small, cfg)
        if not isinstance(result, Infeasible) and (best is None or result.cycles < best):
            best, chosen = result.cycles, fold
    return chosen


def folded(unit: Unit, image: TensorSpec, fold: PatchFold) -> tuple[Unit, TensorSpec]:
    """A convolution over its folded input, and that input."""
    workload, params = unit.workload, unit.params
    assert isinstance(workload, ConvWorkload)
    assert isinstance(params, ConvParams)
    small, weight = fold_convolution(workload, params.weight, fold)
    shape = (small.in_channels, small.height, small.width)
    spec = replace(image, shape=shape, border=0, fold=fold, image=image.shape)
    return replace(unit, workload=small, params=replace(params, weight=weight)), spec
