"""The simulator: bit-exact results and exact cycles of a VTA instruction stream."""

from codesign.sim.result import SimResult
from codesign.sim.simulator import Simulator

__all__ = ["SimResult", "Simulator"]
