"""What the front end accepts, and how it refuses."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from codesign.errors import DataError, ModelError
from codesign.frontend import import_onnx, load_samples, quantize_module
from codesign.frontend.importer import relax_of, signature_of
from codesign.frontend.served import refuse_unserved
from relay_passes.ir import definitions, op_name
from tests.onnx_models import conv_net, model, qdq_conv, samples


def test_imports_from_path_and_model(tmp_path: Path) -> None:
    made = conv_net()
    onnx.save(made, str(tmp_path / "net.onnx"))
    assert signature_of(import_onnx(tmp_path / "net.onnx")) == signature_of(import_onnx(made))
    assert signature_of(import_onnx(made)) == ([("x", (1, 3, 8, 8), "float32")], ["y"])


def test_clip_stays_one_operator() -> None:
    assert "R.clip" in import_onnx(conv_net()).script()


@pytest.mark.parametrize("content", [b"no onnx at all", b"", b"\x08\x08"])
def test_foreign_and_empty_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"net\.onnx"):
        import_onnx(path)


def test_truncated_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    data = conv_net().SerializeToString()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(ModelError, match=r"truncated|not a valid"):
        import_onnx(path)


def test_missing_file() -> None:
    with pytest.raises(ModelError, match="no such file"):
        import_onnx("absent.onnx")


def test_dynamic_shape_needs_input_shapes() -> None:
    made = conv_net(shape=("n", 3, 8, 8))
    with pytest.raises(
        ModelError, match=r"'x' has the dynamic shape \['n', 3, 8, 8\].*input-shapes"
    ):
        import_onnx(made)
    inputs, _ = signature_of(import_onnx(made, {"x": [2, 3, 8, 8]}))
    assert inputs == [("x", (2, 3, 8, 8), "float32")]
    with pytest.raises(ModelError, match="graph's inputs are x"):
        import_onnx(made, {"z": [1, 3, 8, 8]})
    with pytest.raises(ModelError, match="one positive size per axis"):
        import_onnx(made, {"x": [1, 3]})


def test_unknown_operators_are_named() -> None:
    made = model([helper.make_node("LSTM", ["x", "w", "r"], ["y"], hidden_size=2)],
                 {"w": np.zeros((1, 8, 3), np.float32), "r": np.zeros((1, 8, 2), np.float32)},
                 [4, 1, 3])  # fmt: skip
    with pytest.raises(ModelError, match="LSTM"):
        import_onnx(made)


def test_float_model_without_calibration_says_how() -> None:
    with pytest.raises(ModelError, match=r"numpy\.savez"):
        quantize_module(import_onnx(conv_net()), None)


def test_changed_module_is_refused() -> None:
    from tvm import relax

    module = relax.transform.LegalizeOps()(import_onnx(conv_net()))
    with pytest.raises(ModelError, match="changed after"):
        quantize_module(module, samples())


def test_quantisation_is_deterministic() -> None:
    import tvm

    made = [quantize_module(import_onnx(conv_net()), samples()) for _ in range(2)]
    tvm.ir.assert_structural_equal(*made)


def test_qdq_models_are_taken_as_they_are() -> None:
    module = import_onnx(qdq_conv())
    assert quantize_module(module, None) is module


@pytest.mark.parametrize(
    ("arrays", "text"),
    [
        ({"z": np.zeros((2, 3, 8, 8), np.float32)}, r"inputs are x: \[samples, 3, 8, 8\]; got z"),
        ({"x": np.zeros((2, 3, 8, 9), np.float32)}, r"got \[2, 3, 8, 9\]"),
        ({"x": np.zeros((0, 3, 8, 8), np.float32)}, "at least one"),
        ({"x": np.zeros((2, 3, 8, 8), complex)}, "must be float32, got complex128"),
    ],
)  # fmt: skip
def test_calibration_that_does_not_fit(arrays: dict[str, np.ndarray], text: str) -> None:
    with pytest.raises(DataError, match=text):
        quantize_module(import_onnx(conv_net()), arrays)


SIGNATURE = [("x", (1, 3, 8, 8), "float32")]


def test_one_array_stands_for_the_only_input() -> None:
    array = np.zeros((4, 3, 8, 8), np.float32)
    assert load_samples(array, SIGNATURE)["x"] is array
    with pytest.raises(DataError, match="several inputs"):
        load_samples(array, [*SIGNATURE, ("y", (1,), "float32")])


def test_calibration_files(tmp_path: Path) -> None:
    path = tmp_path / "c.npz"
    np.savez(path, **samples())
    assert load_samples(path, SIGNATURE)["x"].shape == (4, 3, 8, 8)
    path.write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"not an \.npz"):
        load_samples(path, SIGNATURE)
    with pytest.raises(DataError, match="no such file"):
        load_samples(tmp_path / "absent.npz", SIGNATURE)


def test_types_that_are_not_served_are_named() -> None:
    kind = onnx.TensorProto.FLOAT8E5M2
    made = model([helper.make_node("Cast", ["x"], ["y"], to=kind)], {}, [4])
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", kind, [4]))
    with pytest.raises(ModelError, match="'y' has the type FLOAT8E5M2; served are float, "):
        import_onnx(made)


@pytest.mark.parametrize(
    ("nodes", "text"),
    [
        ([helper.make_node("BatchNormalization", ["x", "a", "a", "a", "a"], ["y", "m", "v"],
                           training_mode=1)], "training mode"),
        ([helper.make_node("IsInf", ["x"], ["z"], detect_negative=0),
          helper.make_node("Cast", ["z"], ["y"], to=1)], "one sign only"),
        ([helper.make_node("ConvTranspose", ["x", "w"], ["y"], output_shape=[9, 9],
                           strides=[2, 2])], r"'y' is float32 \[1, 1, 9, 9\] in the model"),
    ],
)  # fmt: skip
def test_what_the_importer_would_get_wrong_is_refused(nodes: list[object], text: str) -> None:
    constants = {"a": np.ones(2, np.float32), "w": np.ones((2, 1, 2, 2), np.float32)}
    with pytest.raises(ModelError, match=text):
        import_onnx(model(nodes, constants, [1, 2, 4, 4]))


def test_axes_that_are_no_permutation_are_refused() -> None:
    made = model([helper.make_node("Transpose", ["x"], ["y"])], {}, [1, 2, 4, 4], [1, 2, 4, 4])
    refuse_unserved(made)
    made.graph.node[0].attribute.append(helper.make_attribute("perm", [2**62, 1, 2, 3]))
    with pytest.raises(
        ModelError, match=r"Transpose 'y' has perm .* every axis must be there once"
    ):
        refuse_unserved(made)


def test_a_node_that_cannot_be_imported_is_named() -> None:
    made = model(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="head")],
        {"w": np.ones((4, 2), np.float32)},
        [1, 4],
    )
    made.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 3
    with pytest.raises(ModelError, match=r"MatMul 'head' cannot be imported: .* are not equal"):
        relax_of(made)


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    content = conv_net().SerializeToString()
    (tmp_path / "net.onnx").write_bytes(content.replace(b"MaxPool", b"Max\xe5ool"))
    with pytest.raises(ModelError, match=r"net\.onnx: not .* ONNX"):
        import_onnx(tmp_path / "net.onnx")


def test_graph_inputs_where_only_constants_are_served() -> None:
    made = model([helper.make_node("Expand", ["x", "s"], ["y"])], {}, [1, 4], [3, 4])
    made.graph.input.append(helper.make_tensor_value_info("s", onnx.TensorProto.INT64, [2]))
    with pytest.raises(ModelError, match="Expand 'y': operand 's' must be a constant"):
        import_onnx(made)


def test_quantised_pad_values_are_constants() -> None:
    constants = {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "v": np.int8(3),
                 "s": np.float32(0.5), "z": np.int8(1)}  # fmt: skip
    nodes = [
        helper.make_node("DequantizeLinear", ["v", "s", "z"], ["value"]),
        helper.make_node("Pad", ["x", "pads", "value"], ["y"]),
    ]
    assert "T.float32(1.0)" in import_onnx(model(nodes, constants, [1, 2, 4, 4])).script()


def test_padding_with_zeros_is_one_operator() -> None:
    nodes = [helper.make_node("Pad", ["x", "p", "v"], ["y"])]
    constants = {"p": np.array([0, 0, 1, 2, 0, 0, 3, 4], np.int64), "v": np.float32(0)}
    module = import_onnx(model(nodes, constants, [1, 2, 3, 3]))
    pad = next(iter(definitions(module["main"]).values()))
    assert op_name(pad) == "nn.pad"
    assert [int(n) for n in pad.attrs.pad_width] == [0, 0, 0, 0, 1, 3, 2, 4]
