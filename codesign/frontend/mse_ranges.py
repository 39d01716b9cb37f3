# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownParameterType=false
# onnx and onnxruntime carry no usable annotations.
"""Symmetric int8 ranges with the least mean squared error; onnxruntime has no search for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_BINS = 2048
_STEPS = 127
_CANDIDATES = np.linspace(0.2, 1.0, 81)
"""Ranges tried, as shares of the largest magnitude."""


def mse_ranges(
    model: Path, operators: list[str], batches: Callable[[], Iterator[Mapping[str, Any]]]
) -> dict[str, float]:
    """Largest magnitude to represent, by tensor, for the tensors that ``operators`` touch.

    Parameters
    ----------
    model : float ONNX file with inferred shapes
    batches : called twice; gives the inputs of every run
    """
    from onnxruntime.quantization.calibrate import HistogramCalibrater

    folder = model.parent
    calibrator = HistogramCalibrater(model, operators, str(folder / "with_outputs.onnx"))
    calibrator.augment_graph()
    calibrator.create_inference_session()
    session: Any = calibrator.infer_session
    wanted = calibrator.tensors_to_calibrate or set()
    names = [entry.name for entry in session.get_outputs()]

    def observed() -> Iterator[tuple[str, NDArray[np.float32]]]:
        for inputs in batches():
            values = {**inputs, **dict(zip(names, session.run(None, dict(inputs)), strict=True))}
            yield from ((name, np.abs(values[name])) for name in wanted if name in values)

    peaks: dict[str, float] = {}
    for name, magnitudes in observed():
        peaks[name] = max(peaks.get(name, 0.0), float(magnitudes.max(initial=0.0)))
    histograms = {name: np.zeros(_BINS) for name in peaks}
    for name, magnitudes in observed():
        histograms[name] += np.histogram(magnitudes, _BINS, (0.0, peaks[name] or 1.0))[0]
    return {name: best_range(histograms[name], peak) for name, peak in peaks.items()}


def best_range(histogram: NDArray[np.float64], peak: float) -> float:
    """Range with the least squared error for magnitudes counted over ``[0, peak]``."""
    centres = (np.arange(len(histogram)) + 0.5) * (peak / len(histogram))
    limits = _CANDIDATES * peak
    clipped = np.maximum(centres - limits[:, None], 0.0)
    # Zeros are represented exactly; they lie in the first bin.
    rounding = (limits[:, None] / _STEPS) ** 2 / 12 * (clipped == 0) * (np.arange(len(centres)) > 0)
    errors = (rounding + clipped**2) @ histogram
    return float(limits[int(np.argmin(errors))])
