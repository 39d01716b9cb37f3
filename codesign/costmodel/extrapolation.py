"""Says where a prediction leaves what the traces covered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from codesign.costmodel.columns import Columns, Floats

_WORKLOAD = (
    *("is_conv", "is_max_pool", "is_avg_pool", "is_elementwise", "is_gather", "operands"),
    *("in_channels", "out_channels", "height", "width", "out_height", "out_width"),
    *("kernel_height", "kernel_width", "stride_height", "stride_width"),
    *("groups", "reach_height", "reach_width", "up_height", "up_width", "residual", "multiply"),
    *("pick_runs", "in_border", "out_border", "macs"),
)
_CONFIG = (
    *("batch", "block_in", "block_out", "bus_bytes", "burst_bytes"),
    *("read_latency", "write_address_latency", "write_response_latency", "outstanding_reads"),
    *("uop_depth", "inp_depth", "wgt_depth", "acc_depth"),
    *("inp_bytes", "wgt_bytes", "acc_bytes", "out_bytes", "uop_bytes", "instruction_bytes"),
    *("flow_auto", "flow_ws", "flow_os", "flow_is", "flow_rs"),
)

Ranges = Mapping[str, Sequence[float]]
"""Column name -> (least, greatest) value among the training traces."""


def ranges(w: Columns, c: Columns) -> dict[str, list[float]]:
    """Ranges of the columns of workloads and configurations that were traced."""
    chosen = {**{name: w[name] for name in _WORKLOAD}, **{name: c[name] for name in _CONFIG}}
    return {name: [float(v.min()), float(v.max())] for name, v in chosen.items()}


def beyond(columns: Columns, known: Ranges) -> list[list[str]]:
    """For each row of workload or configuration columns, what lies outside ``known``, in words."""
    names = [name for name in (*_WORKLOAD, *_CONFIG) if name in columns and name in known]
    rows = len(next(iter(columns.values())))
    found: list[list[str]] = [[] for _ in range(rows)]
    for name in names:
        least, greatest = known[name]
        values: Floats = columns[name]
        for row in np.flatnonzero((values < least) | (values > greatest)):
            found[int(row)].append(f"{name} {values[row]:g} outside {least:g}..{greatest:g}")
    return found
