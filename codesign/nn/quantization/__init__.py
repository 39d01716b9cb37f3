"""Quantised networks: quantisers, training that the accelerator equals, export to QDQ ONNX."""

from codesign.nn.quantization.export import export_qdq, qdq_model
from codesign.nn.quantization.frozen import FrozenNetwork, FrozenStep
from codesign.nn.quantization.hardware import HardwareFit
from codesign.nn.quantization.network import QuantizedNetwork
from codesign.nn.quantization.plan import Step, plan
from codesign.nn.quantization.quantizers import QUANTIZERS
from codesign.nn.quantization.scheme import Scheme

__all__ = [
    "QUANTIZERS",
    "FrozenNetwork",
    "FrozenStep",
    "HardwareFit",
    "QuantizedNetwork",
    "Scheme",
    "Step",
    "export_qdq",
    "plan",
    "qdq_model",
]
