"""Utilisation is useful MACs over cycles times PEs, of a run and of each of its layers."""

import pytest

import codesign
from tests.onnx_models import conv_net, samples


def test_utilization_is_useful_macs_over_cycles_times_pes() -> None:
    config = codesign.load_config("pynq")
    package = codesign.compile(conv_net(), config, calibration=samples(), compose="exact")
    result = package.run(samples(1))
    assert result.utilization == pytest.approx(result.offloaded_macs / (result.cycles * config.pes))
    assert 0 < result.utilization <= 1
    assert sum(layer.macs for layer in result.layers) == result.offloaded_macs
    for layer in result.layers:
        assert layer.utilization == pytest.approx(layer.macs / (layer.cycles * config.pes))
