# torch's stubs leave parameters partially unknown.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false
"""Networks and configurations of a view made continuous, and back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

import numpy as np
import torch
from numpy.typing import NDArray

from codesign.costmodel import loaded
from codesign.costmodel.relaxed import Hardware, relaxed_cycles
from codesign.search.pairs import Floats
from codesign.search.strategies.encoding import one_hot
from codesign.search.view import View

_FITTED = 4096
"""Networks that the linear fit of unit counts looks at."""
_RARE = 1e-3
"""Units with a smaller share of the expected count are not worth counting."""
_UNFIT = 10.0
_DISCRETE = (
    *(f"flow_{flow}" for flow in ("auto", "ws", "os", "is", "rs")),
    "instruction_bytes",
    "has_mul",
    "outstanding_reads",
)
"""Columns of a configuration without values between."""
_RELAXED = tuple(field.name for field in fields(Hardware) if field.name != "fixed")


class RelaxedNetworks:
    """Logits [D, most options] of every decision; options that a decision lacks are -inf.

    Unit counts are linear in the shares of the options, by least squares over listed networks:
    exact where each decision adds its own layers.
    """

    def __init__(self, view: View, rng: np.random.Generator) -> None:
        self.options = view.network_options
        most = max(self.options)
        self.missing = torch.tensor([[k >= count for k in range(most)] for count in self.options])
        networks = len(view.counts)
        rows = np.arange(networks)
        if networks > _FITTED:
            rows = np.sort(rng.choice(networks, _FITTED, replace=False))
        x = one_hot(view.network_choices[rows], self.options)
        found = np.linalg.lstsq(x, view.counts[rows].astype(np.float64), rcond=None)[0]
        counts = torch.zeros(len(self.options), most, view.counts.shape[1], dtype=torch.float64)
        counts[~self.missing] = torch.from_numpy(found)
        self.counts = counts

    def masked(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits [..., D, most] with -inf where there is no option."""
        return logits.masked_fill(self.missing, -torch.inf)

    def flat(self, shares: torch.Tensor) -> torch.Tensor:
        """Shares [R, D, most] as one-hot vectors have them, [R, sum of options]."""
        return shares[:, ~self.missing]

    def expected_counts(self, shares: torch.Tensor) -> torch.Tensor:
        """Unit counts float64 [R, U] of shares [R, D, most]."""
        return torch.einsum("rdk,dku->ru", shares, self.counts)


class RelaxedConfigs:
    """Points float64 [P]: binary logarithms of the hardware parameters in which the configurations
    that keep their limits differ; ``groups`` differ in what has no values between, as a dataflow.

    ``low`` and ``high`` are the ends of the allowed points.
    """

    def __init__(self, view: View) -> None:
        allowed = np.flatnonzero(view.allowed_configs)
        self.indices: NDArray[np.int64] = allowed if len(allowed) else np.arange(view.shape[1])
        hardware = Hardware.of([view.configs[int(index)] for index in self.indices])
        logs = {name: torch.log2(getattr(hardware, name).clamp(min=1.0)) for name in _RELAXED}
        self._names = [name for name in _RELAXED if len(torch.unique(logs[name])) > 1]
        columns = [logs[name] for name in self._names]
        empty = torch.zeros(len(self.indices), 0, dtype=torch.float64)
        self.points = torch.stack(columns, dim=1) if columns else empty
        self.low, self.high = self.points.amin(dim=0), self.points.amax(dim=0)
        discrete = [hardware.fixed[name] for name in _DISCRETE]
        _, group = torch.unique(torch.stack(discrete, dim=1), dim=0, return_inverse=True)
        self.group = group
        self.firsts = [
            int((group == number).nonzero()[0]) for number in range(int(group.max()) + 1)
        ]
        self._hardware = hardware
        self._units = [loaded(unit) for unit in view.units]

    @property
    def groups(self) -> int:
        return len(self.firsts)

    def hardware(self, points: torch.Tensor) -> Hardware:
        """R points [R, P] in each of G groups: R x G accelerators, a point's groups together."""
        chosen = torch.tensor(self.firsts).repeat(len(points))
        values = torch.exp2(points).repeat_interleave(self.groups, dim=0)
        own = {name: getattr(self._hardware, name)[chosen] for name in _RELAXED}
        own |= {name: values[:, place] for place, name in enumerate(self._names)}
        return Hardware(**own, fixed={n: v[chosen] for n, v in self._hardware.fixed.items()})

    def unit_cycles(self, points: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        """Cycles float64 [U, R, G] of every unit that has a share in ``counts`` [R, U] worth
        counting; 0 of the others."""
        wanted = (counts > _RARE * counts.sum(dim=1, keepdim=True)).any(dim=0)
        rows = wanted.nonzero()[:, 0]
        units = [self._units[int(row)] for row in rows]
        found = torch.zeros(len(self._units), len(points), self.groups, dtype=torch.float64)
        if units:
            cycles = relaxed_cycles(units, self.hardware(points))
            found[rows] = cycles.reshape(len(units), len(points), self.groups)
        return found

    def nearest_cycles(self, points: torch.Tensor, view: View) -> torch.Tensor:
        """Closed-form cycles float64 [U, R, G] of every unit on the configuration of each group
        that lies nearest to each point [R, P]; `_UNFIT` times the most where it does not fit."""
        configs = [self.nearest(point, 1) for point in points]
        cycles = view.t0_units(np.array(configs, np.int64).ravel())
        found = np.nan_to_num(cycles, nan=_UNFIT * float(np.nanmax(cycles, initial=1.0)))
        return torch.from_numpy(found.reshape(len(cycles), len(points), self.groups))

    def linear(self, figures: Floats) -> Callable[[torch.Tensor], torch.Tensor]:
        """A function of points [R, P], float64 [R], by least squares from figures of the
        configurations float64 [len(indices)]."""
        constant = torch.ones(len(self.points), 1, dtype=torch.float64)
        x = torch.cat([constant, self.points], dim=1)
        slopes = torch.from_numpy(np.linalg.lstsq(x.numpy(), figures, rcond=None)[0])
        return lambda points: slopes[0] + points @ slopes[1:]

    def nearest(self, point: torch.Tensor, count: int) -> list[int]:
        """The ``count`` configurations of each group that lie nearest to a point [P]."""
        distance = ((self.points - point) ** 2).sum(dim=1)
        order = torch.argsort(distance, stable=True)
        found: list[int] = []
        for number in range(self.groups):
            members = order[self.group[order] == number][:count]
            found += [int(self.indices[int(member)]) for member in members]
        return found
