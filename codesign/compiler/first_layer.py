"""Region inputs of few channels packed as patches, where that saves cycles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from codesign.compiler.graph import TensorSpec, Unit
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    ConvParams,
    ConvWorkload,
    PatchFold,
    best_schedule,
    fold_convolution,
    input_layouts,
    patch_folds,
)


def fold_inputs(
    inputs: Sequence[str],
    outputs: Sequence[str],
    units: Sequence[Unit],
    tensors: dict[str, TensorSpec],
    cfg: VtaConfig,
) -> list[Unit]:
    """The units, with those over folded inputs that are fastest; ``tensors`` change with them.

    An input is folded if one convolution alone reads it and its channels leave input lanes empty:
    the host packs it anyway, so that the machine's cycles decide. Folded, it may take no more
    memory than before.
    """
    folded = {unit.name: unit for unit in units}
    for name in inputs:
        readers = [unit for unit in units if name in unit.inputs]
        spec = tensors[name]
        free = not spec.view_of and not spec.channel_last and spec.rank == 4
        viewed = any(other.view_of == name for other in tensors.values())
        if len(readers) != 1 or not free or viewed or name in outputs:
            continue
        (unit,) = readers
        workload, params = unit.workload, unit.params
        if not isinstance(workload, ConvWorkload) or unit.inputs.count(name) > 1:
            continue
        assert isinstance(params, ConvParams)
        fold = _best_fold(workload, cfg) if unit.inputs[0] == name else None
        if fold is None:
            continue
        small, weight = fold_convolution(workload, params.weight, fold)
        tensors[name] = replace(
            spec,
            shape=(small.in_channels, small.height, small.width),
            border=0,
            fold=fold,
            image=spec.shape,
        )
        folded[unit.name] = replace(unit, workload=small, params=replace(params, weight=weight))
    return list(folded.values())


def _best_fold(workload: ConvWorkload, cfg: VtaConfig) -> PatchFold | None:
    """The fold with the fewest cycles, None if the convolution is fastest as it is."""
    if workload.in_channels >= cfg.block_in:
        return None
    whole = best_schedule(workload, cfg)
    best, chosen = (None if isinstance(whole, Infeasible) else whole.cycles), None
    (layout, *_) = input_layouts(workload)
    for fold in patch_folds(workload):
        small = _folded(workload, fold)
        if input_layouts(small)[0].nbytes(cfg) > layout.nbytes(cfg):
            continue
        result = best_schedule(small, cfg)
        if not isinstance(result, Infeasible) and (best is None or result.cycles < best):
            best, chosen = result.cycles, fold
    return chosen


def _folded(workload: ConvWorkload, fold: PatchFold) -> ConvWorkload:
    kernel = (workload.out_channels, workload.in_channels, *workload.kernel)
    return fold_convolution(workload, np.zeros(kernel, np.int8), fold)[0]
