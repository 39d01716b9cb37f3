"""Networks of every space on the accelerator: exact, and with the layers that the space names.

Small: `darts` with 3 cells of 4 channels, ImageNet spaces for 32x32 images. The spaces as they are
(200 networks of each) are measured by ``benchmarks/spaces.py``.
"""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import codesign
from codesign.compiler import DECISIONS
from codesign.costmodel import off_config, on_config
from codesign.kernels import Workload
from codesign.nn import Genotype, MnasNet, NetworkSpace, load_network_space, space_names
from codesign.nn.darts import Darts
from codesign.search.networks import package_layers

CONFIG = codesign.load_config("pynq")
WIDE = codesign.load_config("neuhardco:8x64_256k_ws")
"""LOAD pads by one here, so that larger paddings are borders in DRAM."""


def _small(name: str) -> NetworkSpace:
    """The space itself, at the least work that its rules allow: fewer cells, smaller images."""
    if name == "darts":
        return Darts(cells=3, channels=4)
    own = load_network_space(name)
    return own if own.resolution is None else load_network_space(name, "cifar10", 32)


def _excited(space: NetworkSpace) -> bool:
    return isinstance(space, MnasNet) and space.excitation


def _check(space: NetworkSpace, genotype: Genotype, path: Path) -> None:
    space.to_onnx(genotype, path)
    images = np.random.default_rng(0).standard_normal((2, *space.input_shape)).astype(np.float32)
    package = codesign.compile(
        path, CONFIG, calibration={"x": images}, compose="exact", disabled=DECISIONS
    )
    units = Counter(off_config(unit.workload, CONFIG) for unit in package.units)
    assert units == Counter(dict(space.layers(genotype)))
    on_host = {"quantize", "dequantize", *(("sigmoid", "multiply") if _excited(space) else ())}
    assert {op.op for op in package.host_ops} <= on_host
    assert package.run({"x": images[:1]}).outputs_match


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", space_names())
def test_networks_run_exactly_with_the_layers_named(name: str, seed: int, tmp_path: Path) -> None:
    space = _small(name)
    _check(space, space.sample(np.random.default_rng(seed)), tmp_path / "network.onnx")


@pytest.mark.parametrize("name", space_names())
def test_layers_with_borders_are_those_of_any_configuration(name: str, tmp_path: Path) -> None:
    space = _small(name)
    genotype = space.sample(np.random.default_rng(3))
    path = space.to_onnx(genotype, tmp_path / "network.onnx")
    images = np.random.default_rng(0).standard_normal((2, *space.input_shape)).astype(np.float32)
    packages = {
        config: codesign.compile(
            path, config, calibration={"x": images}, compose="exact", disabled=DECISIONS
        )
        for config in (CONFIG, WIDE)
    }
    found = [space.layers(genotype, borders=True)]
    found += [package_layers(package, config) for config, package in packages.items()]
    for config, package in packages.items():
        units = Counter(unit.workload for unit in package.units)
        for layers in found:
            named: Counter[Workload] = Counter()
            for layer, count in layers:
                named[on_config(layer, config)] += count
            assert named == units


@pytest.mark.parametrize("name", space_names())
def test_onnx_files_compute_what_torch_does(name: str, tmp_path: Path) -> None:
    import onnxruntime as ort
    import torch

    from codesign.nn.graph_module import GraphModule, initialise

    space = _small(name)
    genotype = space.sample(np.random.default_rng(7))
    path = space.to_onnx(genotype, tmp_path / "a.onnx", seed=1)
    module = space.build(genotype)
    assert isinstance(module, GraphModule)
    x = np.random.default_rng(0).standard_normal((1, *space.input_shape)).astype(np.float32)
    with torch.no_grad():
        expected = initialise(module, seed=1)(torch.from_numpy(x)).numpy()
    (ours,) = ort.InferenceSession(path).run(None, {"x": x})
    np.testing.assert_allclose(ours, expected, rtol=2e-3, atol=2e-3)
    assert path.read_bytes() == space.to_onnx(genotype, tmp_path / "b.onnx", seed=1).read_bytes()
