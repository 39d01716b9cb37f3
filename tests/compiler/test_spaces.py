# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false
# tvm and onnx carry no usable annotations.
"""Networks on configurations of the spaces: exact, nothing but borders on the host."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import codesign
from codesign.compiler import DECISIONS
from codesign.frontend import quantize_module
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.nn import load_network_space
from tests.networks import MobileNetV2, ResNet18, exported

CONFIGS = list(load_space("neuhardco").configs())
SOME = [CONFIGS[i] for i in np.random.default_rng(0).choice(len(CONFIGS), 4, replace=False)]
POINTS = [*SOME[:3], *load_space("portable").sample(3, np.random.default_rng(0))]
LARGE = (1, 3, 64, 64)
CELL = (
    "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|"
    "+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|"
)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    space: Any = load_network_space("nasbench201")
    path = tmp_path_factory.mktemp("networks") / "network.onnx"
    space.to_onnx(space.from_json(CELL), path)
    return path


def _images(count: int, shape: tuple[int, ...] = (1, 3, 32, 32)) -> Mapping[str, Any]:
    rng = np.random.default_rng(1)
    return {"x": rng.standard_normal((count, *shape[1:])).astype(np.float32)}


def _check(network: Path, cfg: VtaConfig) -> None:
    package = codesign.compile(network, cfg, calibration=_images(2))
    assert {op.op for op in package.host_ops} == {"quantize", "dequantize"}
    result = package.run(_images(1))
    assert result.outputs_match
    assert result.cycles == package.cycles


@pytest.mark.parametrize("cfg", SOME, ids=lambda c: c.name)
def test_some_points_of_neuhardco(network: Path, cfg: VtaConfig) -> None:
    _check(network, cfg)


@pytest.mark.long
@pytest.mark.parametrize("cfg", CONFIGS, ids=lambda c: c.name)
def test_all_points_of_neuhardco(network: Path, cfg: VtaConfig) -> None:
    _check(network, cfg)


@pytest.fixture(scope="module")
def quantized_networks() -> list[Any]:
    """ResNet-18 and MobileNetV2 for images of 64x64, quantised once for all points."""
    return [
        quantize_module(codesign.import_onnx(exported(network, LARGE)), _images(2, LARGE))
        for network in (ResNet18(), MobileNetV2())
    ]


@pytest.mark.parametrize("index", range(len(POINTS)), ids=lambda index: POINTS[index].name)
def test_some_points_of_the_spaces(quantized_networks: list[Any], index: int) -> None:
    """The two networks take turns; both on every point: benchmarks/all_points.py."""
    result = codesign.compile(quantized_networks[index % 2], POINTS[index]).run(_images(1, LARGE))
    assert result.outputs_match
    assert result.offloaded_macs == result.macs


def test_units_are_those_that_the_space_predicts(network: Path) -> None:
    space: Any = load_network_space("nasbench201")
    predicted: Counter[Any] = Counter()
    for workload, count in space.layers(space.from_json(CELL)):
        predicted[workload] += count
    package = codesign.compile(
        network,
        codesign.load_config("pynq"),
        calibration=_images(2),
        disabled=DECISIONS,
    )
    assert Counter(unit.workload for unit in package.units) == predicted
