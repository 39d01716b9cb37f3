# torch's stubs leave parameters partially unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""T0 in torch: differentiable in hardware that need not be a power of two, and in architectures.

The formula is that of `closed_form`, line by line; only `Smooth` is new. Amounts that depend on the
hardware are not rounded, one at least: where every channel count, byte count and buffer divides
evenly, the relaxed cycles equal T0. Where the best tiling cuts a plane unevenly, the beats of its
average tile (`demand.stream_cycles`) are not rounded either, which is a few parts in ten thousand.
A tiling that does not fit costs more instead of being left out: its cycles times the square of how
often its buffers would have to be larger. The best of the tilings is taken exactly, so that cycles
are continuous and differentiable almost everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from codesign.costmodel.columns import WORKLOAD_COLUMNS, config_columns, workload_columns
from codesign.costmodel.selection import Kind, kinds
from codesign.costmodel.tilings import (
    CONV_CUTS,
    STREAM_CUTS,
    Cuts,
    channels_of,
    pairs_of,
    plane_of,
    price_conv,
    price_stream,
)
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import Workload


class Smooth:
    """torch, as `arrays.Arrays`; hardware-dependent amounts stay real."""

    def maximum(self, x: Any, y: Any) -> Any:
        return _extreme(torch.maximum, max, x, y)

    def minimum(self, x: Any, y: Any) -> Any:
        return _extreme(torch.minimum, min, x, y)

    def where(self, condition: Any, x: Any, y: Any) -> Any:
        if isinstance(condition, Tensor):
            return torch.where(condition, x, y)
        return x if condition else y

    def ceil(self, x: Any) -> Any:
        return torch.ceil(x) if isinstance(x, Tensor) else float(np.ceil(x))

    def sqrt(self, x: Any) -> Any:
        # The slope at 0 would be infinite.
        return torch.sqrt(self.maximum(x, 1e-12))

    def log2(self, x: Any) -> Any:
        return torch.log2(x)

    def whole(self, x: Any) -> Any:
        return self.maximum(x, 1.0)

    def room(self, x: Any) -> Any:
        return x

    def any(self, x: Any) -> bool:
        return bool(torch.as_tensor(x).any())

    def fits(self, cycles: Any, rooms: Any) -> Any:
        return cycles * self.maximum(1.0 / rooms, 1.0) ** 2


def _extreme(of_tensors: Any, of_numbers: Any, x: Any, y: Any) -> Any:
    if not isinstance(x, Tensor) and not isinstance(y, Tensor):
        return of_numbers(x, y)
    x, y = (torch.as_tensor(v, dtype=torch.float64) for v in (x, y))
    return of_tensors(x, y)


@dataclass(frozen=True)
class Hardware:
    """Real parameters of accelerators, float64[C] each; buffers in bytes, latencies in cycles.

    ``fixed`` are the columns of `columns.CONFIG_COLUMNS` that stay as they are: encoding,
    dataflow, what kernels serve. A bus narrower than an element costs a cycle an element: a
    step in the cycles.
    """

    batch: Tensor
    block_in: Tensor
    block_out: Tensor
    bus_bytes: Tensor
    burst_beats: Tensor
    read_latency: Tensor
    write_address_latency: Tensor
    write_response_latency: Tensor
    inp_buffer_bytes: Tensor
    wgt_buffer_bytes: Tensor
    acc_buffer_bytes: Tensor
    uop_depth: Tensor
    fixed: Mapping[str, Tensor]

    @staticmethod
    def of(configs: Sequence[VtaConfig]) -> Hardware:
        """That of configurations with int8 operands and int32 accumulators."""
        c = {name: torch.from_numpy(v) for name, v in config_columns(configs).items()}
        return Hardware(
            batch=c["batch"],
            block_in=c["block_in"],
            block_out=c["block_out"],
            bus_bytes=c["bus_bytes"],
            burst_beats=c["burst_bytes"] / c["bus_bytes"],
            read_latency=c["read_latency"],
            write_address_latency=c["write_address_latency"],
            write_response_latency=c["write_response_latency"],
            inp_buffer_bytes=c["inp_depth"] * c["inp_bytes"],
            wgt_buffer_bytes=c["wgt_depth"] * c["wgt_bytes"],
            acc_buffer_bytes=c["acc_depth"] * c["acc_bytes"],
            uop_depth=c["uop_depth"],
            fixed=c,
        )

    def columns(self) -> dict[str, Tensor]:
        """Columns `columns.CONFIG_COLUMNS`, each [1, C]."""
        inp, out = self.batch * self.block_in, self.batch * self.block_out
        wgt, acc = self.block_in * self.block_out, 4.0 * self.batch * self.block_out
        bias_tiles = torch.clamp(16.0 / self.block_in, min=1.0)
        own = {
            "batch": self.batch,
            "block_in": self.block_in,
            "block_out": self.block_out,
            "bus_bytes": self.bus_bytes,
            "burst_bytes": self.bus_bytes * self.burst_beats,
            "read_latency": self.read_latency,
            "write_address_latency": self.write_address_latency,
            "write_response_latency": self.write_response_latency,
            "uop_depth": self.uop_depth,
            "inp_depth": self.inp_buffer_bytes / inp,
            "wgt_depth": self.wgt_buffer_bytes / wgt,
            "acc_depth": self.acc_buffer_bytes / acc,
            "inp_bytes": inp,
            "wgt_bytes": wgt,
            "acc_bytes": acc,
            "out_bytes": out,
            "default_bias_tiles": bias_tiles,
        }
        return {name: values[None, :] for name, values in {**self.fixed, **own}.items()}


def relaxed_cycles(layers: Sequence[Workload], hardware: Hardware) -> Tensor:
    """Cycles float64[U, C] of layers on relaxed hardware; inf where a dataflow cannot be."""
    columns, c = workload_columns(layers), hardware.columns()
    a = Smooth()
    rows: list[Tensor] = [torch.empty(0)] * len(layers)
    fixed = {name: values.detach().numpy() for name, values in hardware.fixed.items()}
    flows = {name: fixed[name][None, :] for name in ("flow_rs", "flow_auto")}
    w_table = {name: values[:, None] for name, values in columns.items()}
    found: dict[int, list[Tensor]] = {}
    for kind, allowed in kinds(w_table, flows):
        members = np.flatnonzero(allowed.any(axis=1))
        w = {name: torch.from_numpy(columns[name][members]) for name in WORKLOAD_COLUMNS}
        cycles = _cycles(a, kind, w, c, torch.from_numpy(allowed[members]))
        for row, values in zip(members.tolist(), cycles, strict=True):
            found.setdefault(row, []).append(values)
    for row in range(len(layers)):
        parts = found.get(row) or [torch.full((c["batch"].shape[1],), torch.inf)]
        rows[row] = torch.stack(parts).amin(dim=0)
    return torch.stack(rows)


def _cycles(
    a: Smooth, kind: Kind, w: Mapping[str, Tensor], c: Mapping[str, Tensor], allowed: Tensor
) -> Tensor:
    """Slopes are those of the best tiling alone, so that all others are priced without a graph."""
    fixed = {name: torch.tensor(value, dtype=torch.float64) for name, value in kind.fixed.items()}
    w = {name: values[:, None, None] for name, values in w.items()} | fixed
    c = {name: values[..., None] for name, values in c.items()}
    cuts = _CUTS[kind.kind == "is_conv"]
    with torch.no_grad():
        best, place = _totals(a, kind, w, c, cuts).min(dim=-1, keepdim=True)
    if torch.is_grad_enabled() and any(values.requires_grad for values in c.values()):
        order, cut = place // len(cuts.rows), place % len(cuts.rows)
        chosen = Cuts(*(getattr(cuts, f.name)[cut] for f in fields(Cuts)))
        best = _totals(a, kind, w, c, chosen).gather(-1, order)
    return torch.where(allowed, best[..., 0], torch.inf)


def _totals(
    a: Smooth, kind: Kind, w: Mapping[str, Tensor], c: Mapping[str, Tensor], cuts: Cuts
) -> Tensor:
    """Cycles of all tilings at once, along a third axis: a loop over them would take a second a
    call. Convolutions: with output channels outside, then inside."""
    p = pairs_of(a, w, c)
    plane = plane_of(a, p, cuts)
    if kind.kind != "is_conv":
        return price_stream(a, p, plane, cuts).total
    channels = channels_of(a, p, cuts)
    prices = [
        price_conv(a, p, plane, channels, channels_outside=outside, sliding=kind.sliding)
        for outside in (True, False)
    ]
    return torch.cat([price.total for price in prices], dim=-1)


def _cuts_of(all_cuts: tuple[Cuts, ...]) -> Cuts:
    rows = [[float(getattr(cuts, f.name)) for cuts in all_cuts] for f in fields(Cuts)]
    return Cuts(*torch.tensor(rows, dtype=torch.float64))


_CUTS = {True: _cuts_of(CONV_CUTS), False: _cuts_of(STREAM_CUTS)}


def expected_cycles(logits: Tensor, counts: Tensor, cycles: Tensor) -> Tensor:
    """Cycles float64[C] of a mixture of architectures.

    Each of E edges is one of K operations with probability softmax(``logits`` [E, K]); operation k
    of edge e has ``counts`` [E, K, U] of each layer, whose cycles are ``cycles`` [U, C]. Equal to
    the cycles of one architecture where every softmax is one-hot.
    """
    shares = torch.softmax(logits, dim=-1)
    return torch.einsum("ek,eku,uc->c", shares, counts.to(shares.dtype), cycles)
