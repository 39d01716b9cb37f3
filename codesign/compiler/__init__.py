"""From a network and a configuration to a `Package`: pipeline, fit, programs, runtime."""

from codesign.compiler.compile import compile
from codesign.compiler.package import Package
from codesign.compiler.pipeline import DECISIONS, pipeline
from codesign.compiler.result import LayerResult, RunResult
from codesign.compiler.verify import Verifier

__all__ = ["DECISIONS", "LayerResult", "Package", "RunResult", "Verifier", "compile", "pipeline"]
