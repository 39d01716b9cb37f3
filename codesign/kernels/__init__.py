"""Workload → schedule space → instruction stream: the accelerator's operator library."""

from codesign.kernels.blocking import Blocking
from codesign.kernels.bound import Bound, lower_bound, utilization_ceiling
from codesign.kernels.constants import bias_capacity, default_bias_tiles
from codesign.kernels.fold import fold_convolution, patch_folds
from codesign.kernels.layout import (
    PatchFold,
    TensorLayout,
    fold_input,
    input_layouts,
    output_layout,
    pack,
    unpack,
)
from codesign.kernels.measurement import (
    ScheduleResult,
    instruction_counts,
    measure,
    measure_many,
)
from codesign.kernels.pool import identity_copies, valid_counts, window_comes_whole
from codesign.kernels.reference import reference
from codesign.kernels.region import RegionStream, RegionUnit, build_region
from codesign.kernels.schedule import Schedule
from codesign.kernels.tuner import (
    best_schedule,
    candidates,
    known_schedules,
)
from codesign.kernels.unit import Placement, UnitProgram, build
from codesign.kernels.workload import (
    ConvParams,
    ConvWorkload,
    ElementwiseParams,
    ElementwiseWorkload,
    GatherParams,
    GatherWorkload,
    Params,
    PoolParams,
    PoolWorkload,
    Workload,
    bias_parts,
    shift_steps,
)

__all__ = [
    "Blocking",
    "Bound",
    "ConvParams",
    "ConvWorkload",
    "ElementwiseParams",
    "ElementwiseWorkload",
    "GatherParams",
    "GatherWorkload",
    "Params",
    "PatchFold",
    "Placement",
    "PoolParams",
    "PoolWorkload",
    "RegionStream",
    "RegionUnit",
    "Schedule",
    "ScheduleResult",
    "TensorLayout",
    "UnitProgram",
    "Workload",
    "best_schedule",
    "bias_capacity",
    "bias_parts",
    "build",
    "build_region",
    "candidates",
    "default_bias_tiles",
    "fold_convolution",
    "fold_input",
    "identity_copies",
    "input_layouts",
    "instruction_counts",
    "known_schedules",
    "lower_bound",
    "measure",
    "measure_many",
    "output_layout",
    "pack",
    "patch_folds",
    "reference",
    "shift_steps",
    "unpack",
    "utilization_ceiling",
    "valid_counts",
    "window_comes_whole",
]
