# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm and onnx carry no usable annotations.
"""Compile, run, save, load: exact against the integer reference, close to onnxruntime."""

import dataclasses
import io
import json
import signal
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

import codesign
from codesign.compiler import Package, Verifier
from codesign.compiler.archive import own_hash
from codesign.errors import ConfigError, DataError, ModelError, PackageError
from codesign.hw.energy import dram_bytes
from codesign.isa import check
from codesign.kernels import ScheduleResult, best_schedule
from codesign.sim import Simulator
from tests.onnx_models import conv_net, model, onnxruntime_outputs, qdq_conv, qdq_pool, samples

CFG = codesign.load_config("pynq")


@pytest.fixture(scope="module")
def package() -> Package:
    return codesign.compile(conv_net(), CFG, calibration=samples())


def test_float_network(package: Package) -> None:
    data = samples(5, seed=2)
    result = package.run(data)
    assert result.outputs_match
    assert result.outputs["y"].shape == (5, 8, 1, 1)
    wanted = onnxruntime_outputs(conv_net(), data["x"])
    assert np.corrcoef(result.outputs["y"].ravel(), wanted.ravel())[0, 1] > 0.98
    np.testing.assert_array_equal(package.reference(data)["y"], result.outputs["y"])
    ops = [layer.op for layer in result.layers]
    assert ops == ["conv2d", "max_pool2d", "conv2d", "avg_pool2d"]


def test_figures_are_consistent(package: Package) -> None:
    result = package.run(samples(1))
    assert result.cycles == package.cycles == sum(layer.cycles for layer in result.layers)
    assert result.macs == result.offloaded_macs == 8 * 8 * 8 * 27 + 4 * 4 * 64
    assert result.roofline_cycles == sum(layer.roofline_cycles for layer in result.layers)
    assert result.dram_bytes == sum(layer.dram_bytes for layer in result.layers)
    assert result.energy_mj == pytest.approx(sum(result.energy_parts_mj.values()))
    assert min(result.energy_parts_mj.values()) >= 0
    assert json.loads(json.dumps(result.to_json()))["layers"][0]["name"] == "conv2d_1"
    assert {op.op for op in result.host_ops} == {"quantize", "dequantize"}


@pytest.mark.parametrize("log_batch", [0, 1])
def test_composition(log_batch: int) -> None:
    """Exact: units as if alone. Overlap: fewer cycles, same outputs, same bytes, one launch."""
    cfg = dataclasses.replace(CFG, log_batch=log_batch)
    exact, overlap = (
        codesign.compile(conv_net(), cfg, calibration=samples(), compose=compose)
        for compose in ("exact", "overlap")
    )
    alone, together = exact.run(samples(2)), overlap.run(samples(2))
    assert all(layer.cycles >= layer.roofline_cycles for layer in alone.layers)
    for unit in exact.units:
        best = best_schedule(unit.workload, cfg)
        assert isinstance(best, ScheduleResult)
        assert unit.cycles == best.cycles
    assert [name for name, _, _ in exact.streams] == [unit.name for unit in exact.units]
    assert [name for name, _, _ in overlap.streams] == ["vta_region_0"]
    for package, result in ((exact, alone), (overlap, together)):
        assert result.cycles == sum(x.cycles for x in result.layers) == package.cycles
        runs = [
            Simulator(cfg).run(stream.instructions, None, timing_only=True)
            for _, _, stream in package.streams
        ]
        assert result.dram_bytes == sum(dram_bytes(run.counters) for run in runs)
    assert together.cycles < alone.cycles
    assert exact.cycles_composed("overlap") == overlap.cycles
    assert overlap.cycles_composed("exact") == exact.cycles
    np.testing.assert_array_equal(alone.outputs["y"], together.outputs["y"])


def test_save_and_load(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "module.tar"
    package.save(path)
    loaded = Package.load(path)
    data = samples(3)
    ours, theirs = package.run(data), loaded.run(data)
    np.testing.assert_array_equal(ours.outputs["y"], theirs.outputs["y"])
    assert ours.to_json() == theirs.to_json()
    for (name, _, stream), (other, _, same) in zip(loaded.streams, package.streams, strict=True):
        assert name == other
        np.testing.assert_array_equal(stream.instructions, same.instructions)
    loaded.save(path)
    assert Package.load(path).run(data).to_json() == ours.to_json()
    assert [p.name for p in tmp_path.iterdir()] == ["module.tar"]


def test_fresh_process_needs_neither_torch_nor_onnx(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "module.tar"
    package.save(path)
    code = (
        "import sys\n"
        "sys.modules['torch'] = sys.modules['onnx'] = sys.modules['onnxruntime'] = None\n"
        "import numpy as np\n"
        "from codesign.compiler import Package\n"
        f"p = Package.load({str(path)!r})\n"
        "r = p.run({'x': np.ones((2, 3, 8, 8), np.float32)})\n"
        "print(r.outputs_match, r.cycles)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", str(package.cycles)]


def test_memory_image_lets_the_checker_see_micro_ops(package: Package) -> None:
    for _, program, stream in package.streams:
        image, base = package.memory_image(program.graph.name)
        assert check(stream.instructions, CFG, memory=image, base_address=base) == []


def test_damaged_packages(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "module.tar"
    package.save(path)
    data = path.read_bytes()
    for content in (data[: len(data) // 2], data[:100], b"", b"not a tar" * 999):
        path.write_bytes(content)
        with pytest.raises(PackageError, match=r"module\.tar"):
            Package.load(path)
    with pytest.raises(PackageError, match="no such file"):
        Package.load(tmp_path / "absent.tar")


def rewritten(path: Path, changes: dict[str, bytes | None]) -> None:
    """The tar with other contents of some members; None leaves a member out."""
    with tarfile.open(path) as tar:
        members = {i.name: tar.extractfile(i).read() for i in tar}  # type: ignore[union-attr]
    members |= {name: data for name, data in changes.items() if data is not None}
    with tarfile.open(path, "w") as tar:
        for name in [n for n in members if changes.get(n, b"") is not None]:
            info = tarfile.TarInfo(name)
            info.size = len(members[name])
            tar.addfile(info, io.BytesIO(members[name]))


@pytest.mark.parametrize("name", ["host.so", "graph.json", "constants.npz"])
def test_altered_members_are_named(name: str, package: Package, tmp_path: Path) -> None:
    path = tmp_path / "module.tar"
    for data in (b"something else", None):
        package.save(path)
        rewritten(path, {name: data})
        with pytest.raises(PackageError, match=rf"{name} is missing, truncated or altered"):
            Package.load(path)


def test_altered_manifests_are_refused(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "module.tar"
    package.save(path)
    with tarfile.open(path) as tar:
        handle = tar.extractfile("manifest.json")
        assert handle is not None
        manifest = json.loads(handle.read())
    members = {"manifest.json", "host.so", "graph.json", "constants.npz"}
    assert set(manifest["hashes"]) == members
    faster = [{**layer, "cycles": 1} for layer in manifest["layers"]]
    for change in ({"layers": faster}, {"compose": "exact"}, {"macs": 0}, {"added": 1}):
        rewritten(path, {"manifest.json": json.dumps({**manifest, **change}).encode()})
        with pytest.raises(PackageError, match=r"manifest\.json is altered"):
            Package.load(path)
    assert manifest["peak_dram_bytes"] == package.peak_dram_bytes
    for change, text in (
        ({"format": 1}, r"package format 1; this version reads 3"),
        ({"layers": [{}]}, r"does not fit the contents"),
        ({"layers": [{**faster[0], "name": "other"}]}, r"no unit 'other' in a region 'vta_region"),
        ({"layers": [{**faster[0], "region": "other"}]}, r"in a region 'other'"),
        ({"compose": "fast"}, r"compose 'fast'; allowed are exact, overlap"),
        *(({key: None}, r"does not fit the contents") for key in ("outputs", "macs", "inputs")),
        ({"config": {**manifest["config"], "log_batch": 1}}, r"another configuration"),
    ):
        changed = {**manifest, **change}
        changed["hashes"] = {**manifest["hashes"], "manifest.json": own_hash(changed)}
        rewritten(path, {"manifest.json": json.dumps(changed).encode()})
        with pytest.raises(PackageError, match=text):
            Package.load(path)
    for key in ("model", "compose", "macs", "outputs", "model_sha256", "layers"):
        changed = {k: v for k, v in manifest.items() if k != key}
        changed["hashes"] = {**manifest["hashes"], "manifest.json": own_hash(changed)}
        rewritten(path, {"manifest.json": json.dumps(changed).encode()})
        with pytest.raises(PackageError, match=f"does not fit the contents: KeyError.*{key}"):
            Package.load(path)
    for content, text in ((b"[]", "package format None"), (b"{", "is no JSON")):
        rewritten(path, {"manifest.json": content})
        with pytest.raises(PackageError, match=text):
            Package.load(path)
    rewritten(path, {"manifest.json": json.dumps({**manifest, "hashes": {}}).encode()})
    with pytest.raises(PackageError, match=r"must hash exactly manifest\.json, host\.so"):
        Package.load(path)
    rewritten(path, {"manifest.json": json.dumps(manifest).encode(), "more": b""})
    with pytest.raises(PackageError, match="foreign members more"):
        Package.load(path)


def test_threads_share_a_package(package: Package) -> None:
    """The machine and the reference at once: neither takes the other's regions or outputs."""
    data = [samples(2, seed=seed) for seed in range(4)]
    wanted = [package.run(x).outputs["y"] for x in data]

    def machine(x: Any) -> Any:
        result = package.run(x)
        assert result.outputs_match and result.cycles == package.cycles
        return result.outputs["y"]

    jobs = [(job, index) for _ in range(10) for index in range(4) for job in (True, False)]
    with ThreadPoolExecutor(4) as pool:
        done = [
            pool.submit(machine if runs else lambda x: package.reference(x)["y"], data[index])
            for runs, index in jobs
        ]
    for (_, index), job in zip(jobs, done, strict=True):
        np.testing.assert_array_equal(job.result(), wanted[index])


def test_runs_of_a_package_wait_for_each_other(package: Package) -> None:
    data = samples(2)
    wanted = package.run(data).to_json()
    with ThreadPoolExecutor(1) as pool:
        with package.session():
            other = pool.submit(package.run, data)
            assert not wait([other], timeout=0.5).done
        assert other.result().to_json() == wanted


def test_a_killed_save_leaves_the_old_package(package: Package, tmp_path: Path) -> None:
    path = tmp_path / "module.tar"
    package.save(path)
    before = path.read_bytes()
    code = (
        "import os, signal\n"
        "from codesign.compiler import Package\n"
        "from codesign.compiler import archive\n"
        f"p = Package.load({str(path)!r})\n"
        "archive.tarfile.TarFile.addfile = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"p.save({str(path)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.read_bytes() == before
    Package.load(path)


def test_inputs_that_do_not_fit(package: Package) -> None:
    with pytest.raises(DataError, match=r"run: the model's inputs are x"):
        package.run({"z": np.zeros((1, 3, 8, 8), np.float32)})
    with pytest.raises(DataError, match=r"got \[1, 3, 8, 9\]"):
        package.run({"x": np.zeros((1, 3, 8, 9), np.float32)})


def test_errors_keep_their_class_through_tvm() -> None:
    with pytest.raises(ModelError, match="calibration"):
        codesign.compile(conv_net(), CFG)
    with pytest.raises(ModelError, match="cannot be disabled"):
        codesign.compile(conv_net(), CFG, calibration=samples(), disabled=["lower"])


def test_a_broken_configuration_lists_its_rules() -> None:
    with pytest.raises(ConfigError):
        codesign.compile(conv_net(), dataclasses.replace(CFG, bus_bits=48), calibration=samples())


@pytest.mark.parametrize(
    ("activation", "zero_in", "zero_out"), [(np.uint8, 117, 31), (np.int8, 0, 0), (np.int8, -5, 77)]
)
def test_qdq_convolution(activation: Any, zero_in: int, zero_out: int) -> None:
    made = qdq_conv(activation, zero_in, zero_out, zero_channel=True)
    data = samples(4, (5, 9, 7))
    result = codesign.compile(made, CFG).run(data)
    assert result.outputs_match
    assert result.offloaded_macs == result.macs
    steps = np.rint((result.outputs["y"] - onnxruntime_outputs(made, data["x"])) / 0.09)
    assert np.mean(np.abs(steps) <= 1) > 0.98
    assert np.abs(steps).max() <= 3


def test_wide_padding_takes_a_border() -> None:
    made = qdq_conv(np.int8, 0, 0, pad=17, kernel=3)
    package = codesign.compile(made, CFG, disabled=["fold_inputs"])
    assert package.units[0].workload.in_border == 17
    assert package.run(samples(2, (5, 9, 7))).outputs_match


@pytest.mark.parametrize("zero", [0, -128, 90])
@pytest.mark.parametrize(
    ("kind", "include"), [("MaxPool", 0), ("AveragePool", 0), ("AveragePool", 1)]
)
def test_qdq_pooling(kind: str, include: int, zero: int) -> None:
    made = qdq_pool(kind, include, zero)
    data = samples(3, (5, 9, 7))
    result = codesign.compile(made, CFG).run(data)
    assert result.outputs_match
    assert len(result.layers) == 1
    steps = (result.outputs["y"] - onnxruntime_outputs(made, data["x"])) / 0.03
    assert np.abs(steps).max() <= (0.01 if kind == "MaxPool" else 1.01)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (qdq_conv(weight_zero=3), "weights have a zero point"),
    ],
)
def test_what_cannot_be_offloaded_is_listed(made: Any, reason: str) -> None:
    package = codesign.compile(made, CFG)
    (op,) = (op for op in package.host_ops if op.name == "conv2d_1")
    assert reason in op.reason
    assert op.bytes > 0
    data = samples(2, (5, 9, 7))
    result = package.run(data)
    np.testing.assert_allclose(
        result.outputs["y"], onnxruntime_outputs(made, data["x"]), atol=0.0901
    )
    assert (result.cycles, result.utilization, result.outputs_match) == (0, 0.0, True)


def test_a_layer_without_schedule_stays_on_the_host() -> None:
    cfg = dataclasses.replace(CFG, log_batch=1, log_block_in=3, log_block_out=4)
    package = codesign.compile(qdq_conv(), cfg)
    assert "batch_layout" in next(op.reason for op in package.host_ops if op.name == "conv2d_1")


@pytest.mark.parametrize("log_batch", [0, 1, 2])
@pytest.mark.parametrize("blocks", [(3, 3), (4, 4)])
def test_batches_and_blocks(log_batch: int, blocks: tuple[int, int]) -> None:
    cfg = dataclasses.replace(
        CFG, log_batch=log_batch, log_block_in=blocks[0], log_block_out=blocks[1]
    )
    package = codesign.compile(qdq_conv(), cfg)
    result = package.run(samples(5, (5, 9, 7)))
    assert result.outputs_match
    assert result.outputs["y"].shape[0] == 5
    assert result.cycles == package.cycles


def test_rectangular_blocks_and_dataflows() -> None:
    data = samples(2, (5, 9, 7))
    outputs: list[Any] = []
    for blocks in ((3, 5), (5, 3)):
        for dataflow in ("ws", "os", "is", "rs"):
            cfg = dataclasses.replace(
                CFG, log_block_in=blocks[0], log_block_out=blocks[1], dataflow=dataflow
            )
            result = codesign.compile(qdq_conv(np.int8, 0, 0), cfg).run(data)
            assert result.outputs_match
            outputs.append(result.outputs["y"])
    assert all(np.abs(o - outputs[0]).max() <= 0.0901 for o in outputs)


def test_verifier_accepts_every_phase() -> None:
    verifier = Verifier({"x": samples(1)["x"]})
    codesign.compile(conv_net(), CFG, calibration=samples(), callback=verifier)
    phases = [check.phase for check in verifier.checks]
    assert phases[-3:] == ["partition", "lower", "host"]


def test_inside_tvm_compile(tmp_path: Path) -> None:
    import tvm
    from tvm import relax

    module = codesign.import_onnx(conv_net())
    data = samples(1)
    passes = codesign.pipeline(CFG, calibration=samples())
    executable = tvm.compile(module, target="llvm", relax_pipeline=passes)
    machine = relax.VirtualMachine(executable, tvm.cpu())
    got = machine["main"](tvm.runtime.tensor(data["x"])).numpy()
    wanted = codesign.compile(conv_net(), CFG, calibration=samples()).run(data)
    np.testing.assert_array_equal(got, wanted.outputs["y"])


@pytest.mark.parametrize("keepdims", [0, 1])
def test_spatial_mean_is_a_pooling_unit(keepdims: int) -> None:
    """What torch exports for adaptive average pooling and ``x.mean((2, 3))``."""
    rng = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("ReduceMean", ["c"], ["m"], axes=[2, 3], keepdims=keepdims),
        helper.make_node("Flatten", ["m"], ["f"]),
        helper.make_node("Gemm", ["f", "v"], ["y"]),
    ]
    constants = {
        "w": rng.standard_normal((16, 3, 3, 3)).astype(np.float32),
        "v": rng.standard_normal((16, 10)).astype(np.float32),
    }
    net = model(nodes, constants, [1, 3, 8, 8])
    result = codesign.compile(net, CFG, calibration=samples()).run(samples(3, seed=1))
    assert result.outputs_match
    assert [layer.op for layer in result.layers] == ["conv2d", "avg_pool2d", "dense"]
    assert {op.op for op in result.host_ops} == {"quantize", "dequantize"}


def test_what_tvm_cannot_compile_on_the_host_is_a_model_error() -> None:
    constants = {"two": np.array([2], np.int64), "s": np.float32(0.1), "z": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("Cast", ["q"], ["i"], to=onnx.TensorProto.INT64),
        helper.make_node("Pow", ["i", "two"], ["p"]),
        helper.make_node("Cast", ["p"], ["y"], to=onnx.TensorProto.FLOAT),
    ]
    with pytest.raises(ModelError, match="TVM cannot compile"):
        codesign.compile(model(nodes, constants, [1, 4]), codesign.load_config("pynq"))


def test_products_of_two_activations_stay_on_the_host() -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
        helper.make_node("Transpose", ["d"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["d", "t"], ["m"]),
        helper.make_node("QuantizeLinear", ["m", "s", "z"], ["mq"]),
        helper.make_node("DequantizeLinear", ["mq", "s", "z"], ["y"]),
    ]
    constants = {"s": np.float32(0.1), "z": np.int8(0)}
    package = codesign.compile(model(nodes, constants, [4, 4]), codesign.load_config("pynq"))
    assert "matmul" in {op.op for op in package.host_ops}


def test_a_region_input_that_is_part_of_a_concatenation() -> None:
    rng = np.random.default_rng(0)
    constants = {"s": np.float32(0.03), "z": np.int8(0), "t": np.float32(0.01),
                 "w": rng.integers(-127, 127, (4, 32, 1, 1)).astype(np.int8)}  # fmt: skip

    def quantized(source: str, name: str) -> list[Any]:
        return [
            helper.make_node("QuantizeLinear", [source, "s", "z"], [f"{name}q"]),
            helper.make_node("DequantizeLinear", [f"{name}q", "s", "z"], [name]),
        ]

    pool = {"kernel_shape": [5, 5], "strides": [1, 1], "pads": [2] * 4}
    nodes = [
        *quantized("x", "a"),
        helper.make_node("MaxPool", ["a"], ["p"], **pool),
        *quantized("p", "b"),
        helper.make_node("Concat", ["a", "b"], ["c"], axis=1),
        *quantized("c", "d"),
        helper.make_node("DequantizeLinear", ["w", "t", "z"], ["v"]),
        helper.make_node("Conv", ["d", "v"], ["e"]),
        *quantized("e", "y"),
    ]
    made = model(nodes, constants, [1, 16, 6, 6])
    package = codesign.compile(made, codesign.load_config("pynq"))
    result = package.run(rng.standard_normal((2, 16, 6, 6)).astype(np.float32))
    assert result.outputs_match
    assert len(package.graphs) == 1
