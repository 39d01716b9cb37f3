"""Workloads and configurations as columns: one float64 array per field, one row per value.

Everything behind these tables (closed form, features, prediction) is array arithmetic, so that
U workloads x C configurations cost U + C small Python steps and no step per pair.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from codesign.hw.config import VtaConfig
from codesign.kernels.workload import ConvWorkload, ElementwiseWorkload, PoolWorkload, Workload

Floats: TypeAlias = NDArray[np.float64]
Columns: TypeAlias = Mapping[str, Floats]

WORKLOAD_COLUMNS: tuple[str, ...] = (
    *("is_conv", "is_max_pool", "is_avg_pool", "is_elementwise", "operands"),
    *("in_channels", "out_channels", "height", "width", "out_height", "out_width"),
    *("kernel_height", "kernel_width", "stride_height", "stride_width"),
    *("pad_top", "pad_left", "pad_bottom", "pad_right", "in_border", "out_border", "bias_tiles"),
)

CONFIG_COLUMNS: tuple[str, ...] = (
    *("batch", "block_in", "block_out", "bus_bytes", "burst_bytes"),
    *("read_latency", "write_address_latency", "write_response_latency", "outstanding_reads"),
    *("uop_depth", "inp_depth", "wgt_depth", "acc_depth"),
    *("inp_bytes", "wgt_bytes", "acc_bytes", "out_bytes", "uop_bytes", "instruction_bytes"),
    *("has_mul", "has_acc8", "flow_auto", "flow_ws", "flow_os", "flow_is", "flow_rs"),
)


def workload_columns(workloads: Sequence[Workload]) -> dict[str, Floats]:
    """Columns ``WORKLOAD_COLUMNS``, each float64[U]; fields a kind lacks are 0."""
    return _columns([_workload_row(w) for w in workloads], WORKLOAD_COLUMNS)


def config_columns(configs: Sequence[VtaConfig]) -> dict[str, Floats]:
    """Columns ``CONFIG_COLUMNS``, each float64[C]; sizes of elements and bursts in bytes."""
    return _columns([_config_row(c) for c in configs], CONFIG_COLUMNS)


def take(columns: Columns, rows: NDArray[np.intp]) -> dict[str, Floats]:
    """The columns at ``rows``: turns a table of unique values into a table of pairs."""
    return {name: values[rows] for name, values in columns.items()}


def grid(workloads: Columns, configs: Columns) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Shapes [U, 1] and [1, C], which broadcast to every pair."""
    return (
        {name: values[:, None] for name, values in workloads.items()},
        {name: values[None, :] for name, values in configs.items()},
    )


def _columns(rows: list[tuple[float, ...]], names: tuple[str, ...]) -> dict[str, Floats]:
    table = np.array(rows, dtype=np.float64).reshape(len(rows), len(names))
    return {name: np.ascontiguousarray(table[:, i]) for i, name in enumerate(names)}


def _workload_row(w: Workload) -> tuple[float, ...]:
    shape = (w.height, w.width, w.out_height, w.out_width)
    match w:
        case ConvWorkload():
            kind, channels = (1, 0, 0, 0, 1), (w.in_channels, w.out_channels)
            window = (*w.kernel, *w.stride, *w.padding)
            tail = (w.in_border, w.out_border, w.bias_tiles)
        case PoolWorkload():
            kind = (0, int(w.kind == "max"), int(w.kind == "avg"), 0, 1)
            channels, window = (w.channels, w.channels), (*w.kernel, *w.stride, *w.padding)
            tail = (w.in_border, w.out_border, 0)
        case ElementwiseWorkload():
            kind, channels = (0, 0, 0, 1, w.operands), (w.channels, w.channels)
            window = (1, 1, 1, 1, 0, 0, 0, 0)
            tail = (max(w.in_borders[: w.operands], default=0), w.out_border, 0)
    return (*kind, *channels, *shape, *window, *tail)


def _config_row(c: VtaConfig) -> tuple[float, ...]:
    return (
        *(c.batch, c.block_in, c.block_out, c.bus_bits // 8, c.burst_bytes),
        *(c.read_latency, c.write_address_latency, c.write_response_latency, c.outstanding_reads),
        *(c.uop_depth, c.inp_depth, c.wgt_depth, c.acc_depth),
        *(c.inp_element_bytes, c.wgt_element_bytes, c.acc_element_bytes, c.out_element_bytes),
        *(c.uop_bytes, c.instruction_bytes, c.has_mul, c.has_acc8),
        *(c.dataflow == flow for flow in ("auto", "ws", "os", "is", "rs")),
    )
