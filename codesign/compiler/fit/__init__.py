"""Fitting a unit's real numbers to what the ALU can do; one file per kind of unit.

Requantisation is ``(acc + 2**(shift-1)) >> shift``, so weights absorb
``input scale * weight scale / output scale`` (DESIGN 5). Every function returns the workload and
its numbers, or an `Infeasible` that names what does not fit; zero points fold into the bias.
"""

from __future__ import annotations

from codesign.compiler.fit.common import Borders, Fit, clip_bounds, offset, zero_point
from codesign.compiler.fit.convolution import conv_workload, fit_convolution, needed_border
from codesign.compiler.fit.elementwise import fit_elementwise
from codesign.compiler.fit.gather import fit_gather
from codesign.compiler.fit.pool import fit_pool
from codesign.compiler.fit.residual import fit_residual
from codesign.errors import Infeasible
from codesign.hw.config import VtaConfig
from relay_passes.spec import UnitSpec

__all__ = [
    "Borders",
    "Fit",
    "clip_bounds",
    "conv_workload",
    "fit_unit",
    "needed_border",
    "offset",
    "zero_point",
]


def fit_unit(spec: UnitSpec, cfg: VtaConfig, borders: Borders | None = None) -> Fit | Infeasible:
    """Workload and numbers of one unit, for tensors with ``borders`` (default: its own need)."""
    if spec.unsupported:
        return Infeasible("operator", spec.unsupported)
    if borders is None:
        own = needed_border(spec, cfg)
        borders = Borders((own,) * max(2, len(spec.inputs)))
    if spec.between is not None:
        return fit_residual(spec, cfg, borders)
    if spec.kind in ("conv2d", "dense"):
        return fit_convolution(spec, cfg, borders)
    if spec.kind in ("max_pool2d", "avg_pool2d"):
        return fit_pool(spec, cfg, borders)
    if spec.kind == "gather":
        return fit_gather(spec, cfg, borders)
    return fit_elementwise(spec, cfg, borders)
