"""The scaled-down differentiable search: what a network costs is what its compiled layers need."""

import differentiable_search as benchmark
import numpy as np
import pytest
import torch

from codesign.nn.supernet import Mixed
from codesign.nn.supernet.mixed import mixed_layers


def test_prices_of_the_blocks_add_up_to_those_of_the_network() -> None:
    options = ["e2", "e6", "e4", "e2", "e4", "e6"]
    found = benchmark.kilocycles(options)
    larger = benchmark.kilocycles([*options[:-2], "e6", "e6"])
    assert found.shape == (len(benchmark.configs()),)
    assert (larger > found).all()
    low, high = (benchmark.kilocycles([o] * 6).min() for o in ("e2", "e6"))
    assert low < benchmark.target() < high
    places = [int(np.argmin(found)), 0]
    row = benchmark.judged(options, places[0], 0, benchmark.QUICK, _data())
    assert row["outputs_match"] and row["hardware_loss"] == 0.0
    assert row["kilocycles"] == pytest.approx(found[places[0]], rel=0.05)


def test_the_supernet_has_the_options_of_every_block() -> None:
    supernet = benchmark.network(None, 0)
    layers = mixed_layers(supernet)
    assert list(layers) == [str(place) for place in range(1, 7)]
    assert all(isinstance(m, Mixed) and m.names == ("e2", "e4", "e6") for m in layers.values())
    assert supernet.eval()(torch.zeros(1, *benchmark.IMAGE)).shape == (1, benchmark.CLASSES)


def test_a_missed_target_and_slow_hardware_fail() -> None:
    row = {"kilocycles": benchmark.target(), "hardware_loss": 0.0, "outputs_match": True}
    assert all(claim.holds for claim in benchmark.claims({20: [row]}, [row]))
    for worse in ({"kilocycles": 1.06 * benchmark.target()}, {"hardware_loss": 0.06},
                  {"outputs_match": False}):  # fmt: skip
        bad = {**row, **worse}
        assert [c.holds for c in benchmark.claims({20: [row, bad]}, [row, bad])].count(False) == 1


def _data() -> benchmark.DataSet:
    return benchmark.shapes32(0, 128, 40)
