# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# numpy leaves the types of reshaped arrays partly unknown.
"""What quantisation costs, layer by layer: integers against real numbers on the same inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codesign.compiler.fit import fit_unit
from codesign.compiler.graph import UnitGraph, evaluate_tensors, from_int8
from codesign.compiler.layouts import RegionUnit
from codesign.compiler.package import Package
from codesign.compiler.real import Real, real_output
from codesign.errors import Infeasible
from codesign.frontend.calibration import SampleSource
from codesign.hw.config import VtaConfig
from codesign.kernels import ConvParams
from relay_passes.spec import QuantizedTensor, UnitSpec

_EXACT_DB = 200.0
"""Reported where there is no error at all."""


@dataclass(frozen=True)
class LayerSensitivity:
    """One unit. Signal-to-noise ratios in dB and the cosine compare the network's real numbers,
    computed from the region's inputs without rounding, with the machine's integers.

    ``requantization`` is what the machine does with the accumulator. ``weight_sqnr_db`` is None
    for units without weights. ``clipped`` is the share of outputs beyond the int8 range.
    """

    name: str
    op: str
    input_scale: float
    output_scale: float
    requantization: str
    weight_sqnr_db: float | None
    output_sqnr_db: float
    cosine: float
    clipped: float


@dataclass
class _Sums:
    """Running sums over the samples of one unit's output."""

    signal: float = 0.0
    noise: float = 0.0
    integer: float = 0.0
    product: float = 0.0
    clipped: int = 0
    count: int = 0

    def add(self, real: Real, got: Real, out: QuantizedTensor) -> None:
        low, high = (0, 255) if out.dtype == "uint8" else (-128, 127)
        steps = real / out.scale + out.zero_point
        self.signal += float((real**2).sum())
        self.noise += float(((real - got) ** 2).sum())
        self.integer += float((got**2).sum())
        self.product += float((real * got).sum())
        self.clipped += int(((steps < low - 0.5) | (steps > high + 0.5)).sum())
        self.count += real.size


@dataclass
class _Observer:
    """Evaluates regions in integers, and beside them in real numbers."""

    units: Mapping[str, tuple[RegionUnit, ...]]
    sums: dict[str, _Sums] = field(default_factory=lambda: {})

    def __call__(
        self, graph: UnitGraph, inputs: tuple[NDArray[Any], ...]
    ) -> tuple[NDArray[Any], ...]:
        integers = evaluate_tensors(graph, inputs)
        outside = {name: from_int8(integers[name], graph.tensors[name]) for name in graph.outputs}
        outside |= dict(zip(graph.inputs, inputs, strict=True))
        real: dict[str, Real] = {}
        for unit in self.units[graph.name]:
            for name, about in zip(unit.inputs, unit.spec.inputs, strict=True):
                if name not in real:
                    real[name] = _dequantized(outside[name], about).reshape(about.shape)
            real[unit.output] = real_output(
                unit.spec, tuple(real[name].reshape(t.shape) for name, t in _operands(unit))
            )
            if unit.output in integers:
                about = unit.spec.output
                got = from_int8(integers[unit.output], graph.tensors[unit.output])
                values = _dequantized(got.reshape(about.shape), about)
                self.sums.setdefault(unit.name, _Sums()).add(real[unit.output], values, about)
        return tuple(outside[name] for name in graph.outputs)


def layer_sensitivity(package: Package, inputs: SampleSource) -> tuple[LayerSensitivity, ...]:
    """Every unit of a package made in this process, in order, on ``inputs``.

    Errors of earlier layers of the same region are part of a layer's error.

    Raises
    ------
    DataError
        names, shapes or types that do not fit the network's inputs.
    """
    observer = _Observer(package.region_units)
    steps, _ = package.batches(inputs)
    with package.session() as session:
        for batch in steps:
            session.run_reference(batch, observer)
    fitted = {unit.name: unit for unit in package.units}
    return tuple(
        _layer(unit, fitted[unit.name].workload.op, observer.sums[unit.name], package.config)
        for region in package.region_units.values()
        for unit in region
        if unit.name in fitted and unit.name in observer.sums
    )


def _operands(unit: RegionUnit) -> Iterable[tuple[str, QuantizedTensor]]:
    return zip(unit.inputs, unit.spec.inputs, strict=True)


def _dequantized(array: NDArray[Any], about: QuantizedTensor) -> Real:
    return (array.astype(np.float64) - about.zero_point) * about.scale


def _layer(unit: RegionUnit, op: str, sums: _Sums, cfg: VtaConfig) -> LayerSensitivity:
    spec = unit.spec
    fit = fit_unit(spec, cfg)
    params = None if isinstance(fit, Infeasible) else fit[1]
    norm = np.sqrt(sums.signal * sums.integer)
    return LayerSensitivity(
        name=unit.name,
        op=op,
        input_scale=spec.inputs[0].scale,
        output_scale=spec.output.scale,
        requantization=_requantization(params),
        weight_sqnr_db=_weight_sqnr_db(spec, params) if isinstance(params, ConvParams) else None,
        output_sqnr_db=_decibels(sums.signal, sums.noise),
        cosine=float(sums.product / norm) if norm else float(sums.noise == 0.0),
        clipped=sums.clipped / max(1, sums.count),
    )


def _requantization(params: Any) -> str:
    if params is None:
        return "none"
    if isinstance(params, ConvParams) and params.scaling is not None:
        gain = _gain(params)
        return f"*{gain.min():.3g}..{gain.max():.3g}"
    pre = f">>{params.pre_shift} " if isinstance(params, ConvParams) and params.pre_shift else ""
    return f"{pre}>>{params.shift}"


def _weight_sqnr_db(spec: UnitSpec, params: ConvParams) -> float:
    """The machine's weights times what requantisation makes of them, against the network's."""
    assert spec.weight is not None
    kept = (
        params.weight
        * _gain(params)[:, None, None, None]
        * (spec.output.scale / spec.inputs[0].scale)
    )
    return _decibels(float((spec.weight**2).sum()), float(((spec.weight - kept) ** 2).sum()))


def _gain(params: ConvParams) -> NDArray[np.float64]:
    """Output steps for one step of each channel's accumulator."""
    if params.scaling is None:
        return np.full(len(params.weight), 2.0 ** -(params.shift + params.pre_shift))
    multiplier, fraction = params.scaling[2:4].astype(np.float64)
    return np.ldexp(multiplier + np.ldexp(fraction, -params.pre_shift), -params.shift)


def _decibels(signal: float, noise: float) -> float:
    if noise == 0.0:
        return _EXACT_DB
    return float(10.0 * np.log10(signal / noise)) if signal else -_EXACT_DB
