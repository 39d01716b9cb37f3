"""ONNX to Relax: import, and quantisation of float models from calibration data."""

from codesign.frontend.calibration import Samples, SampleSource, load_samples
from codesign.frontend.importer import import_onnx
from codesign.frontend.quantize import METHODS, CalibrationMethod, quantize_module

__all__ = [
    "METHODS",
    "CalibrationMethod",
    "SampleSource",
    "Samples",
    "import_onnx",
    "load_samples",
    "quantize_module",
]
