# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUndefinedVariable=false, reportInvalidTypeForm=false, reportCallIssue=false, reportGeneralTypeIssues=false
# TVMScript is Python syntax for another language.
"""Before/Expected modules of every pass."""

from typing import Any

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from codesign.errors import Infeasible
from relay_passes import (
    AbsorbRequantize,
    FoldBatchNorm,
    FoldParameters,
    JoinMoves,
    LowerLeakyRelu,
    MergeIdentical,
    Partition,
    QuantizeBeforeReshape,
    RequantizeApart,
    ShareScales,
    SplitDequantize,
    SplitToSlices,
    UnitSpec,
)
from relay_passes.ir import definitions, op_name
from relay_passes.lower import regions


def names(module: tvm.IRModule) -> list[str]:
    found = [op_name(v) for v in definitions(module["main"]).values()]
    return [name for name in found if name]


@I.ir_module
class Shared:
    @R.function
    def main(q: R.Tensor((1, 4), "int8")) -> R.Tensor((1, 4), "float32"):
        with R.dataflow():
            a = R.dequantize(q, R.const(0.5, "float32"), R.const(0, "int8"), out_dtype="float32")
            b = R.nn.relu(a)
            c = R.add(a, b)
            R.output(c)
        return c


@I.ir_module
class Split:
    @R.function
    def main(q: R.Tensor((1, 4), "int8")) -> R.Tensor((1, 4), "float32"):
        with R.dataflow():
            a = R.dequantize(q, R.const(0.5, "float32"), R.const(0, "int8"), out_dtype="float32")
            b = R.nn.relu(a)
            d = R.dequantize(q, R.const(0.5, "float32"), R.const(0, "int8"), out_dtype="float32")
            c = R.add(d, b)
            R.output(c)
        return c


def test_split_dequantize() -> None:
    tvm.ir.assert_structural_equal(SplitDequantize()(Shared), Split)


def test_merge_identical_undoes_the_split() -> None:
    tvm.ir.assert_structural_equal(MergeIdentical()(Split), Shared)


@I.ir_module
class Paired:
    @R.function
    def main(x: R.Tensor((1, 4), "float32"), y: R.Tensor((1, 4), "float32")) -> R.Tensor(
        (1, 4), "int8"
    ):
        with R.dataflow():
            a = R.add(x, y)
            b = R.quantize(a, R.const(0.5, "float32"), R.const(0, "int8"), out_dtype="int8")
            c = R.dequantize(b, R.const(0.5, "float32"), R.const(0, "int8"), out_dtype="float32")
            d = R.nn.relu(c)
            e = R.quantize(d, R.const(0.25, "float32"), R.const(0, "int8"), out_dtype="int8")
            R.output(e)
        return e


@I.ir_module
class Absorbed:
    @R.function
    def main(x: R.Tensor((1, 4), "float32"), y: R.Tensor((1, 4), "float32")) -> R.Tensor(
        (1, 4), "int8"
    ):
        with R.dataflow():
            a = R.add(x, y)
            d = R.nn.relu(a)
            e = R.quantize(d, R.const(0.25, "float32"), R.const(0, "int8"), out_dtype="int8")
            R.output(e)
        return e


def test_absorb_requantize() -> None:
    tvm.ir.assert_structural_equal(AbsorbRequantize()(Paired), Absorbed)


@I.ir_module
class Inverse:
    @R.function
    def main(q: R.Tensor((1, 4), "int8")) -> R.Tensor((1, 4), "int8"):
        with R.dataflow():
            a = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), out_dtype="float32")
            b = R.quantize(a, R.const(0.5, "float32"), R.const(3, "int8"), out_dtype="int8")
            c = R.add(b, b)
            R.output(c)
        return c


def test_absorb_drops_an_inverse_pair() -> None:
    assert names(AbsorbRequantize()(Inverse)) == ["add"]


def _weights_module(weight: relax.Expr) -> tvm.IRModule:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 2), "float32"))
    integers = relax.const(np.array([4, 8, 2], np.int32))
    scale, zero = relax.const(np.float32(0.5)), relax.const(np.int32(0))
    with builder.function("main", [x]):
        with builder.dataflow():
            turned = builder.emit(relax.op.permute_dims(builder.emit(weight), [1, 0]))
            bias = builder.emit(relax.op.dequantize(integers, scale, zero, axis=0))
            product = builder.emit(relax.op.matmul(x, turned))
            out = builder.emit_output(relax.op.add(product, bias))
        builder.emit_func_output(out)
    return builder.get()


def test_fold_parameters_keeps_integer_weights() -> None:
    data = np.arange(6, dtype=np.int8).reshape(3, 2)
    scale = np.array([1, 2, 4], np.float32)
    weight = relax.op.dequantize(
        relax.const(data), relax.const(scale), relax.const(np.zeros(3, np.int8)), axis=0
    )
    folded = FoldParameters()(_weights_module(weight))
    values = list(definitions(folded["main"]).values())
    assert [op_name(v) for v in values] == ["dequantize", "matmul", "add"]
    np.testing.assert_array_equal(values[0].args[0].value.numpy(), data.T)
    assert values[0].attrs.axis == 1
    np.testing.assert_array_equal(values[2].args[1].value.numpy(), [2, 4, 1])


def test_fold_parameters_leaves_rounding_of_float_weights_to_the_fit() -> None:
    data = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    scale, zero = relax.const(np.float32(0.1)), relax.const(np.int8(0))
    weight = relax.op.quantize(relax.const(data), scale, zero, axis=0, out_dtype="int8")
    module = _weights_module(relax.op.dequantize(weight, scale, zero, axis=0))
    values = list(definitions(FoldParameters()(module)["main"]).values())
    np.testing.assert_array_equal(values[0].args[1].value.numpy(), data.T)


@I.ir_module
class Flattened:
    @R.function
    def main(x: R.Tensor((1, 2, 3, 3), "float32")) -> R.Tensor((1, 2), "int8"):
        with R.dataflow():
            a = R.mean(x, axis=[2, 3], keepdims=True)
            b = R.reshape(a, R.shape([1, 2]))
            c = R.quantize(b, R.const(0.5, "float32"), R.const(0, "int8"), out_dtype="int8")
            R.output(c)
        return c


def test_quantize_before_reshape() -> None:
    moved = QuantizeBeforeReshape()(Flattened)
    assert names(moved) == ["mean", "quantize", "dequantize", "reshape", "quantize"]
    again = QuantizeBeforeReshape()(moved)
    tvm.ir.assert_structural_equal(again, moved)


def test_fold_batch_norm() -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 2, 4, 4), "float32"))
    rng = np.random.default_rng(0)
    weight = relax.const(rng.standard_normal((3, 2, 1, 1)).astype(np.float32))
    numbers = [relax.const(rng.random(3).astype(np.float32) + 0.5) for _ in range(4)]
    with builder.function("main", [x]):
        with builder.dataflow():
            conv = builder.emit(relax.op.nn.conv2d(x, weight))
            normed = builder.emit(relax.op.nn.batch_norm(conv, *numbers, axis=1, training=False))
            out = builder.emit_output(relax.TupleGetItem(normed, 0))
        builder.emit_func_output(out)
    module = builder.get()
    folded = FoldBatchNorm()(module)
    assert "nn.batch_norm" not in names(folded)
    assert FoldBatchNorm()(folded).same_as(folded)


def test_a_batch_norm_without_convolution_becomes_two_constants() -> None:
    x = relax.Var("x", relax.TensorType((1, 2, 4, 4), "float32"))
    gamma, beta, mean, variance = np.array([[2, 3], [1, -1], [0.5, 4], [4, 0.25]], np.float32)

    def module(normed: Any) -> Any:
        builder = relax.BlockBuilder()
        with builder.function("main", [x]):
            with builder.dataflow():
                out = builder.emit_output(normed(builder))
            builder.emit_func_output(out)
        return builder.get()

    def before(builder: Any) -> Any:
        numbers = map(relax.const, (gamma, beta, mean, variance))
        normed = relax.op.nn.batch_norm(x, *numbers, axis=1, epsilon=0.0, training=False)
        return relax.TupleGetItem(builder.emit(normed), 0)

    def after(builder: Any) -> Any:
        scale, bias = np.array([[1, 6], [0.5, -25]], np.float32).reshape(2, 1, 2, 1, 1)
        return relax.op.add(
            builder.emit(relax.op.multiply(x, relax.const(scale))), relax.const(bias)
        )

    tvm.ir.assert_structural_equal(FoldBatchNorm()(module(before)), module(after))


@I.ir_module
class Residual:
    @R.function
    def main(p: R.Tensor((1, 4), "int8"), q: R.Tensor((1, 4), "int8")) -> R.Tensor((1, 4), "int8"):
        with R.dataflow():
            a = R.dequantize(p, R.const(0.5, "float32"), R.const(0, "int8"), out_dtype="float32")
            b = R.dequantize(q, R.const(0.5, "float32"), R.const(0, "int8"), out_dtype="float32")
            c = R.add(a, b)
            d = R.nn.relu(c)
            e = R.quantize(d, R.const(0.5, "float32"), R.const(0, "int8"), out_dtype="int8")
            R.output(e)
        return e


def test_partition_makes_one_region() -> None:
    module = Partition(lambda spec: None)(Residual)
    ((_, function),) = regions(module)
    assert function.attrs["Codegen"] == "vta"


def test_partition_tells_what_it_leaves() -> None:
    told: dict[str, str] = {}
    refuse = Infeasible("acc_depth", "too small")
    module = Partition(lambda spec: refuse, None, lambda n, r: told.update({n: str(r)}))(Residual)
    assert not regions(module)
    assert told == {"add_1": "acc_depth: too small"}


def test_partition_is_repeated_without_what_fails_in_context() -> None:
    told: list[str] = []

    def validate(module: tvm.IRModule) -> dict[str, Infeasible]:
        return {"add_1": Infeasible("x", "y")} if regions(module) else {}

    module = Partition(lambda spec: None, validate, lambda n, _: told.append(n))(Residual)
    assert told == ["add_1"]
    assert not regions(module)


def test_fold_parameters_can_keep_the_rounding() -> None:
    data = np.linspace(-1, 1, 6, dtype=np.float32).reshape(3, 2)
    scale, zero = relax.const(np.float32(0.1)), relax.const(np.int8(0))
    weight = relax.op.quantize(relax.const(data), scale, zero, axis=0, out_dtype="int8")
    module = _weights_module(relax.op.dequantize(weight, scale, zero, axis=0))
    values = list(definitions(FoldParameters(keep_rounding=True)(module)["main"]).values())
    assert [op_name(v) for v in values] == ["dequantize", "matmul", "add"]
    np.testing.assert_array_equal(values[0].args[0].value.numpy(), [[-10, -2, 6], [-6, 2, 10]])


@I.ir_module
class Parts:
    @R.function
    def main(x: R.Tensor((1, 6, 2, 2), "float32")) -> R.Tensor((1, 4, 2, 2), "float32"):
        with R.dataflow():
            parts = R.split(x, indices_or_sections=[2], axis=1)
            last = parts[1]
            R.output(last)
        return last


@I.ir_module
class Slices:
    @R.function
    def main(x: R.Tensor((1, 6, 2, 2), "float32")) -> R.Tensor((1, 4, 2, 2), "float32"):
        with R.dataflow():
            last = R.strided_slice(x, [1], [2], [6], [1])
            R.output(last)
        return last


def test_split_to_slices() -> None:
    tvm.ir.assert_structural_equal(SplitToSlices()(Parts), Slices)


def _chain(scale: float, other: float) -> tvm.IRModule:
    """Dequantize, reshape, a pair, transpose, quantize."""
    builder = relax.BlockBuilder()
    q = relax.Var("q", relax.TensorType((1, 4, 2, 3), "int8"))
    zero, ours, pair = relax.const(0, "int8"), relax.const(scale), relax.const(other)
    with builder.function("main", [q]):
        with builder.dataflow():
            real = builder.emit(relax.op.dequantize(q, ours, zero))
            flat = builder.emit(relax.op.reshape(real, (1, 4, 6)))
            kept = builder.emit(relax.op.quantize(flat, pair, zero))
            again = builder.emit(relax.op.dequantize(kept, pair, zero))
            turned = builder.emit(relax.op.permute_dims(again, [0, 2, 1]))
            out = builder.emit_output(relax.op.quantize(turned, ours, zero))
        builder.emit_func_output(out)
    return builder.get()


def test_join_moves() -> None:
    joined = names(JoinMoves()(_chain(0.5, 0.5)))
    assert joined == ["dequantize", "reshape", "permute_dims", "quantize"]
    apart = _chain(0.5, 0.25)
    tvm.ir.assert_structural_equal(JoinMoves()(apart), apart)


@pytest.mark.parametrize("interpolated", [True, False])
def test_join_moves_keeps_the_rounding_of_what_computes(interpolated: bool) -> None:
    method = "linear" if interpolated else "nearest_neighbor"
    builder = relax.BlockBuilder()
    q = relax.Var("q", relax.TensorType((1, 4, 2, 3), "int8"))
    zero, scale = relax.const(0, "int8"), relax.const(0.5)
    with builder.function("main", [q]):
        with builder.dataflow():
            real = builder.emit(relax.op.dequantize(q, scale, zero))
            grown = builder.emit(
                relax.op.image.resize2d(
                    real,
                    (4, 6),
                    layout="NCHW",
                    method=method,
                    coordinate_transformation_mode="asymmetric",
                    rounding_method="floor",
                )
            )
            kept = builder.emit(relax.op.quantize(grown, scale, zero))
            again = builder.emit(relax.op.dequantize(kept, scale, zero))
            flat = builder.emit(relax.op.reshape(again, (1, 4, 24)))
            out = builder.emit_output(relax.op.quantize(flat, scale, zero))
        builder.emit_func_output(out)
    module = builder.get()
    joined = JoinMoves()(module)
    if interpolated:
        tvm.ir.assert_structural_equal(joined, module)
    else:
        assert names(joined) == ["dequantize", "image.resize2d", "reshape", "quantize"]


def _residual(shared: bool, doubled: bool = False) -> tvm.IRModule:
    """A 1x1 convolution with bias, quantised and added to its input (or itself), ReLU."""
    builder = relax.BlockBuilder()
    q = relax.Var("q", relax.TensorType((1, 4, 2, 3), "int8"))
    zero, scale = relax.const(0, "int8"), relax.const(0.5)
    weight = relax.const(np.ones((4, 4, 1, 1), np.float32))
    bias = relax.const(np.ones((1, 4, 1, 1), np.float32))
    with builder.function("main", [q]):
        with builder.dataflow():
            first = builder.emit(relax.op.dequantize(q, scale, zero))
            conv = builder.emit(relax.op.nn.conv2d(first, weight))
            kept = builder.emit(
                relax.op.quantize(builder.emit(relax.op.add(conv, bias)), scale, zero)
            )
            own = builder.emit(relax.op.dequantize(kept, scale, zero))
            other = builder.emit(relax.op.dequantize(kept if doubled else q, scale, zero))
            total = builder.emit(relax.op.add(other, own))
            out = builder.emit(
                relax.op.quantize(builder.emit(relax.op.nn.relu(total)), scale, zero)
            )
            result = builder.emit_output(relax.Tuple([out, kept]) if shared else out)
        builder.emit_func_output(result)
    return builder.get()


def test_partition_fuses_the_addition_that_alone_reads_a_convolution() -> None:
    asked: list[UnitSpec] = []

    def accept(spec: UnitSpec) -> Infeasible | None:
        asked.append(spec)
        return None

    Partition(accept)(_residual(shared=False))
    (fused,) = asked
    assert fused.between is not None
    assert (fused.kind, len(fused.inputs), fused.low) == ("conv2d", 2, 0.0)
    asked.clear()
    Partition(accept)(_residual(shared=True))
    assert sorted(spec.kind for spec in asked) == ["add", "conv2d"]


def test_a_convolution_added_to_itself_is_two_units() -> None:
    asked: list[UnitSpec] = []
    Partition(lambda spec: asked.append(spec))(_residual(shared=False, doubled=True))
    assert sorted(spec.kind for spec in asked) == ["add", "conv2d"]


def test_partition_takes_a_refused_fusion_apart() -> None:
    told: list[str] = []
    dearer = Infeasible("fusion", "dearer")
    module = Partition(
        lambda spec: dearer if spec.between else None, None, lambda name, _: told.append(name)
    )(_residual(shared=False))
    ((_, function),) = regions(module)
    composites = [v for v in definitions(function).values() if isinstance(v, relax.Function)]
    assert len(composites) == 2
    assert not told


@I.ir_module
class Leaky:
    @R.function
    def main(q: R.Tensor((1, 4), "int8")) -> R.Tensor((1, 4), "float32"):
        with R.dataflow():
            a = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), out_dtype="float32")
            b = R.nn.leakyrelu(a, alpha=0.25)
            R.output(b)
        return b


@I.ir_module
class Summed:
    @R.function
    def main(q: R.Tensor((1, 4), "int8")) -> R.Tensor((1, 4), "float32"):
        with R.dataflow():
            a = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), out_dtype="float32")
            r = R.nn.relu(a)
            k = R.quantize(r, R.const(0.5, "float32"), R.const(3, "int8"), out_dtype="int8")
            x = R.dequantize(q, R.const(0.125, "float32"), R.const(3, "int8"), out_dtype="float32")
            y = R.dequantize(k, R.const(0.375, "float32"), R.const(3, "int8"), out_dtype="float32")
            b = R.add(x, y)
            R.output(b)
        return b


def test_lower_leaky_relu() -> None:
    tvm.ir.assert_structural_equal(LowerLeakyRelu()(Leaky), Summed)
    values = np.arange(-128, 128, dtype=np.float32) - 3
    np.testing.assert_array_equal(
        np.where(values < 0, 0.125, 0.5) * values, 0.125 * values + 0.375 * np.maximum(values, 0)
    )


def _joined(first: float, second: float, out: float) -> tvm.IRModule:
    """Two quantised tensors, concatenated and quantised again."""
    builder = relax.BlockBuilder()
    x, y = (relax.Var(name, relax.TensorType((1, 4, 2, 2), "float32")) for name in "xy")
    zero = relax.const(0, "int8")
    with builder.function("main", [x, y]):
        with builder.dataflow():
            parts: list[relax.Expr] = []
            for var, scale in ((x, first), (y, second)):
                kept = builder.emit(relax.op.quantize(var, relax.const(scale, "float32"), zero))
                again = relax.op.dequantize(kept, relax.const(scale, "float32"), zero)
                parts.append(builder.emit(again))
            both = builder.emit(relax.op.concat(parts, 1))
            kept = relax.op.quantize(both, relax.const(out, "float32"), zero)
            result = builder.emit_output(kept)
        builder.emit_func_output(result)
    return builder.get()


def test_share_scales() -> None:
    shared = ShareScales()(_joined(0.5, 0.25, 0.375))
    tvm.ir.assert_structural_equal(shared, _joined(0.5, 0.5, 0.5))
    far = _joined(4.0, 0.25, 4.0)
    tvm.ir.assert_structural_equal(ShareScales()(far), far)


def _pooled(apart: bool) -> tvm.IRModule:
    """A max pooling from scale 0.5 to 0.25, in one step or two."""
    builder = relax.BlockBuilder()
    q = relax.Var("q", relax.TensorType((1, 4, 4, 4), "int8"))
    zero = relax.const(0, "int8")
    wide, narrow = relax.const(0.5, "float32"), relax.const(0.25, "float32")
    with builder.function("main", [q]):
        with builder.dataflow():
            real = builder.emit(relax.op.dequantize(q, wide, zero, 1))
            pooled = builder.emit(relax.op.nn.max_pool2d(real, (2, 2), (2, 2)))
            if apart:
                kept = builder.emit(relax.op.quantize(pooled, wide, zero, 1, "int8"))
                pooled = builder.emit(relax.op.dequantize(kept, wide, zero, 1, "float32"))
            out = builder.emit_output(relax.op.quantize(pooled, narrow, zero, 1, "int8"))
        builder.emit_func_output(out)
    return builder.get()


def test_requantize_apart() -> None:
    tvm.ir.assert_structural_equal(RequantizeApart()(_pooled(apart=False)), _pooled(apart=True))
    tvm.ir.assert_structural_equal(RequantizeApart()(_pooled(apart=True)), _pooled(apart=True))
