"""Random layers and configurations, and a made-up truth for tests of the learner."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from codesign.costmodel import TraceRows, make_rows, on_config
from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.hw.config import VtaConfig
from codesign.kernels import (
    ConvWorkload,
    ElementwiseWorkload,
    GatherWorkload,
    PoolWorkload,
    Workload,
)


def random_config(rng: np.random.Generator) -> VtaConfig:
    """Any legal combination, rectangular cores and BATCH > 1 included."""
    log_batch = int(rng.integers(0, 3))
    log_in, log_out = (int(n) for n in rng.integers(2, 7, 2))
    return VtaConfig(
        log_batch=log_batch,
        log_block_in=log_in,
        log_block_out=log_out if log_batch == 0 else log_in,
        log_uop_buff_size=int(rng.integers(11, 16)),
        log_inp_buff_size=int(rng.integers(11, 18)),
        log_wgt_buff_size=int(rng.integers(12, 20)),
        log_acc_buff_size=int(rng.integers(11, 19)),
        bus_bits=int(2 ** rng.integers(6, 10)),
        max_burst_beats=int(2 ** rng.integers(4, 7)),
        read_latency=int(rng.integers(1, 120)),
        write_address_latency=int(rng.integers(1, 9)),
        write_response_latency=int(rng.integers(1, 30)),
        dataflow=("auto", "ws", "os", "is", "rs")[int(rng.integers(5))],
    )


def random_layer(rng: np.random.Generator) -> Workload:
    """A layer of any kind and shape."""
    k, s = int(rng.choice([1, 1, 2, 3, 3, 5, 7])), int(rng.integers(1, 3))
    h, w = (int(n) for n in rng.integers(k, 58, 2))
    c, p = int(rng.integers(1, 300)), int(rng.integers(0, (k + 1) // 2))
    window = {"kernel": (k, k), "stride": (s, s), "padding": (p, p, p, p)}
    kind = int(rng.integers(0, 5))
    if kind == 2:  # windows that skip pixels are no max pooling anyone uses
        s = min(s, k)
        window["stride"] = (s, s)
    if kind < 2:
        return ConvWorkload(c, int(rng.integers(1, 300)), h, w, **window)
    if kind < 4:
        return PoolWorkload("max" if kind == 2 else "avg", c, h, w, **window)
    return ElementwiseWorkload(int(rng.integers(1, 3)), c, h, w)


def small_layers() -> list[Workload]:
    """Sixteen layers that simulate in milliseconds."""
    layers: list[Workload] = []
    for channels, size in ((16, 8), (24, 6), (32, 4), (64, 2)):
        layers += [
            ConvWorkload(channels, channels, size, size, (3, 3), (1, 1), (1, 1, 1, 1)),
            ConvWorkload(channels, 2 * channels, size, size),
            PoolWorkload("avg", channels, size, size, (2, 2), (2, 2)),
            ElementwiseWorkload(2, channels, size, size),
        ]
    return layers


def square_configs() -> list[VtaConfig]:
    """Twelve configurations in the manner of a space."""
    base = VtaConfig(bus_bits=128)
    return [
        replace(base, log_block=block, log_acc_buff_size=acc, dataflow=flow, name=f"{block}{flow}")
        for block in (3, 4)
        for acc in (15, 17)
        for flow in ("os", "ws", "rs")
    ]


def synthetic_rows(seed: int = 0) -> TraceRows:
    """Every small layer on every configuration; cycles = T0 x a smooth law of the features, and
    energy in proportion to the operations.

    It tests the learner, not the machine: the law is known and a tree can find it. The last
    configuration is infeasible for every layer.
    """
    layers, configs = small_layers(), square_configs()
    t0 = bound(*grid(workload_columns(layers), config_columns(configs))).cycles
    noise = np.random.default_rng(seed).normal(0, 0.003, t0.shape)
    triples: list[tuple[Workload, VtaConfig, float]] = []
    energy_mj: list[float] = []
    for u, layer in enumerate(layers):
        for c, config in enumerate(configs):
            factor = 1.3 if config.dataflow == "ws" else 1.05
            factor *= 1.2 if config.block_in == 8 else 1.0
            cycles = round(t0[u, c] * factor * float(np.exp(noise[u, c])))
            triples.append((on_config(layer, config), config, cycles))
            energy_mj.append(1e-6 * config.pes * cycles)
    tiny = replace(configs[0], log_inp_buff_size=4, log_wgt_buff_size=7, log_acc_buff_size=6)
    misfits = [(on_config(layer, tiny), tiny) for layer in layers]
    return make_rows(triples, energy_mj=energy_mj, misfits=misfits)


def every_kind(rng: np.random.Generator, count: int) -> list[Workload]:
    """Layers of every kind in turn: those of `random_layer`, depthwise, grouped, transposed and
    dense ones, with a residual or multipliers, gathers."""
    found: list[Workload] = []
    for index in range(count):
        size, channels = int(rng.integers(1, 40)), int(rng.integers(1, 200))
        other, near = int(rng.integers(1, 200)), (1, 1, 1, 1)
        groups = int(rng.choice([2, 4, 8]))
        kinds = (
            random_layer(rng),
            ConvWorkload(channels, channels, size, size, (3, 3), (1, 1), near, groups=channels),
            ConvWorkload(12 * groups, 8 * groups, size, size, (3, 3), (1, 1), near, groups=groups),
            ConvWorkload(channels, other, size, size, (4, 4), padding=near, up=(2, 2)),
            ConvWorkload(channels, 4 * other, 1, 1),
            ConvWorkload(channels, other, size, size, residual_border=0),
            ConvWorkload(channels, other, size, size, (3, 3), (1, 1), near, multiply=True),
            GatherWorkload(
                (channels, other),
                tuple((int(rng.random() < 0.3), i) for i in range(min(channels, other))),
                size,
                size,
            ),
            random_layer(rng),
        )
        found.append(kinds[index % len(kinds)])
    return found
