"""ONNX to Relax: import, and quantisation of float models from calibration data."""

from codesign.frontend.calibration import Samples, load_calibration
from codesign.frontend.importer import import_onnx
from codesign.frontend.quantize import quantize_module

__all__ = ["Samples", "import_onnx", "load_calibration", "quantize_module"]
