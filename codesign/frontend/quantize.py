# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportArgumentType=false
# tvm, onnx and onnxruntime carry no usable annotations.
"""Quantisation of float models: onnxruntime's quantiser makes the QDQ graph."""

from __future__ import annotations

import contextlib
import io
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from codesign.errors import MissingDependencyError, ModelError
from codesign.frontend.calibration import (
    Samples,
    SampleSource,
    batches,
    check_finite,
    check_samples,
    load_samples,
)
from codesign.frontend.equalise import equalise
from codesign.frontend.importer import HASH_ATTR, ONNX_ATTR, main_hash, relax_of, signature_of
from codesign.frontend.model import graph_inputs, shape_of
from codesign.frontend.mse_ranges import mse_ranges

QUANTIZED_OPERATORS = [
    *("Conv", "Gemm", "MatMul", "Add", "Relu", "Clip"),
    *("MaxPool", "AveragePool", "GlobalAveragePool"),
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Concat", "Resize", "Transpose"),
    *("ConvTranspose", "ReduceMean", "Split", "Slice", "Pad", "LeakyRelu", "PRelu"),
]
_PERCENTILE = 99.99
_HOW_TO = (
    "a float model needs calibration data: make an .npz with one array per input, samples on the "
    "first axis (numpy.savez('calibration.npz', INPUT=array)), and give it with --calibration "
    "calibration.npz or calibration={...}"
)


CalibrationMethod = Literal["minmax", "percentile", "mse", "entropy"]
METHODS: tuple[CalibrationMethod, ...] = get_args(CalibrationMethod)


def quantize_module(
    module: Any, calibration: SampleSource | None, method: CalibrationMethod = "minmax"
) -> Any:
    """The QDQ form of a module made by `import_onnx`; one that is quantised comes back unchanged.

    Parameters
    ----------
    method : how ranges of activations follow from the calibration data, see `quantize_onnx`

    Raises
    ------
    ModelError
        a float module without calibration data, changed since import, or not made by `import_onnx`;
        an unknown method.
    DataError
        calibration arrays that do not fit the model's inputs.
    """
    from codesign.frontend import quantize_nodes

    if not (module.attrs and ONNX_ATTR in module.attrs):
        if not quantize_nodes.any_in(module):
            raise ModelError(
                "a float Relax module can only be quantised if codesign.import_onnx made it; "
                "import the ONNX model with it, or give a module with quantize/dequantize"
            )
        return module
    if calibration is None:
        raise ModelError(_HOW_TO)
    if main_hash(module) != str(module.attrs[HASH_ATTR]):
        raise ModelError(
            "the float module was changed after codesign.import_onnx; quantisation starts from the "
            "ONNX model and would lose the change. Change the ONNX model, or give a QDQ model"
        )
    import onnx

    inputs, _ = signature_of(module)
    samples = load_samples(calibration, inputs)
    check_samples(samples, inputs, "calibration")
    check_finite(samples, "calibration")
    model = onnx.load_model_from_string(bytes(module.attrs[ONNX_ATTR]))
    return relax_of(quantize_onnx(model, samples, method))


def quantize_onnx(model: Any, samples: Samples, method: CalibrationMethod = "minmax") -> Any:
    """QDQ `ModelProto` of a float one: int8, symmetric, weights kept in float behind Q/DQ pairs.

    Deterministic; batch norm folded first, chains of convolutions equalised. Weights stay float
    constants so that the fit to the hardware's shifts starts from them and not from an earlier
    rounding.

    Parameters
    ----------
    method : ranges of activations: "minmax", "percentile" (99.99 % of the values), "mse" (least
        squared error) or "entropy" (least divergence)

    Raises
    ------
    ModelError
        onnxruntime cannot run or quantise the model; an unknown method.
    """
    if method not in METHODS:
        raise ModelError(f"calibration method {method!r}: allowed are {', '.join(METHODS)}")
    try:
        from onnxruntime.quantization import (
            QuantFormat,
            QuantType,
            quantize_static,
        )
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ImportError as error:
        raise MissingDependencyError(
            "quantising a float model needs onnxruntime: pip install onnxruntime"
        ) from error
    import onnx

    # onnxruntime's calibrators print their progress.
    printed = contextlib.redirect_stdout(io.StringIO())
    with tempfile.TemporaryDirectory(prefix="codesign-") as folder, printed:
        source, prepared, target = (
            str(Path(folder, name)) for name in ("float.onnx", "prepared.onnx", "qdq.onnx")
        )
        try:
            onnx.save(_at_least_opset_13(model), source)
            quant_pre_process(source, prepared, skip_symbolic_shape=True)
            onnx.save(equalise(onnx.load(prepared)), prepared)
            reader = _Reader(model, samples)
            quantize_static(
                prepared,
                target,
                reader,
                quant_format=QuantFormat.QDQ,
                op_types_to_quantize=QUANTIZED_OPERATORS,
                per_channel=True,
                activation_type=QuantType.QInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=_onnxruntime_method(method),
                calibration_cache_path=_mse_cache(prepared, reader) if method == "mse" else None,
                extra_options={
                    "CalibPercentile": _PERCENTILE,
                    "ActivationSymmetric": True,
                    "WeightSymmetric": True,
                    "AddQDQPairToWeight": True,
                    "MatMulConstBOnly": True,
                },
            )
        except Exception as error:  # onnxruntime raises bare Exception subclasses of its own
            text = str(error).strip().splitlines()
            raise ModelError(
                "onnxruntime cannot quantise the model: "
                f"{text[0] if text else type(error).__name__}"
            ) from error
        return onnx.load(target)


def _onnxruntime_method(method: CalibrationMethod) -> Any:
    """onnxruntime's name; ranges of "mse" come from `mse_ranges` through its cache of ranges."""
    from onnxruntime.quantization import CalibrationMethod as Theirs

    known = {"percentile": Theirs.Percentile, "entropy": Theirs.Entropy}
    return known.get(method, Theirs.MinMax)


def _mse_cache(prepared: str, reader: _Reader) -> str:
    """A file with the ranges that cost the least squared error, as onnxruntime reads it."""
    from onnxruntime.quantization.calibrate import CalibrationMethod as Theirs
    from onnxruntime.quantization.calibrate import TensorsData, save_tensors_data

    found = mse_ranges(Path(prepared), QUANTIZED_OPERATORS, reader.all)
    limits = {n: (np.float32(-r), np.float32(r)) for n, r in found.items()}
    path = Path(prepared).with_suffix(".ranges.json")
    save_tensors_data(TensorsData(Theirs.MinMax, limits), path)
    return str(path)


def _at_least_opset_13(model: Any) -> Any:
    import onnx

    opset = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 1)
    return model if opset >= 13 else onnx.version_converter.convert_version(model, 13)


class _Reader:
    """onnxruntime's CalibrationDataReader over declared-size batches."""

    def __init__(self, model: Any, samples: Samples) -> None:
        import onnx

        signature = [
            (
                value.name,
                shape_of(value),
                onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type).name,
            )
            for value in graph_inputs(model)
        ]
        count = check_samples(samples, signature, "calibration")
        self.all: Callable[[], Iterator[Any]] = partial(batches, samples, signature, count)
        self._batches = self.all()

    def get_next(self) -> Any:
        return next(self._batches, None)
