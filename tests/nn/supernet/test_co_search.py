"""Mixed layers and the search of network and hardware together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from codesign.costmodel.relaxed import Hardware, relaxed_cycles
from codesign.errors import DataError, ModelError, StoreError
from codesign.hw.loader import load_config
from codesign.kernels.workload import ConvWorkload
from codesign.nn.datasets import digits
from codesign.nn.quantization import QuantizedNetwork
from codesign.nn.supernet import (
    CoSearchRecipe,
    Mixed,
    bit_options,
    co_search,
    derive,
    table_cost,
    weighted_cost,
)
from codesign.nn.supernet.co_search import adapted
from codesign.nn.training import seeded

DATA = digits().first(train=256, test=20)
RECIPE = CoSearchRecipe(target=2.0, epochs=4, frozen_epochs=1, batch=32, hardware_every=5)
CHEAP, DEAR = (1.0, 2.0), (9.0, 12.0)
"""Cost of both options on two configurations."""


def _network(single: bool = False) -> nn.Module:
    options = {
        "narrow": nn.Conv2d(1, 4, 1, 2, bias=False),
        "wide": nn.Conv2d(1, 4, 5, 2, 2, bias=False),
    }
    return nn.Sequential(
        Mixed(options, single), nn.ReLU(), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 10)
    )


COST = table_cost({"0": torch.tensor([CHEAP, DEAR])})


def test_a_mixed_layer_mixes_and_chooses() -> None:
    layer = Mixed({"a": nn.Identity(), "b": nn.Threshold(-1e9, 0.0)})
    x = torch.randn(3, 4)
    assert torch.allclose(layer(x), x)
    layer.draw(1.0, torch.Generator().manual_seed(0))
    layer(x).square().sum().backward()
    assert layer.alpha.grad is not None
    with torch.no_grad():
        layer.alpha.copy_(torch.tensor([0.0, 1.0]))
    assert (layer.chosen, float(layer.probabilities.detach().sum())) == (1, pytest.approx(1.0))
    with pytest.raises(ModelError, match=r"two options or more, got \['a'\]"):
        Mixed({"a": nn.Identity()})


def test_a_single_path_passes_the_gradient_on() -> None:
    network = seeded(lambda: _network(single=True), 0)
    layer = network.get_submodule("0")
    assert isinstance(layer, Mixed)
    layer.draw(1.0, torch.Generator().manual_seed(0))
    network(torch.randn(2, 1, 8, 8)).square().sum().backward()
    assert layer.alpha.grad is not None
    assert float(layer.alpha.grad.abs().max()) > 0
    ran = [option.weight.grad is not None for option in layer.options]  # pyright: ignore
    assert sum(ran) == 1


def test_a_low_temperature_draws_one_option() -> None:
    layer = Mixed({name: nn.Identity() for name in "abc"})
    rng = torch.Generator().manual_seed(0)
    picks = set()
    for _ in range(30):
        layer.draw(0.01, rng)
        weights = layer._weights
        assert weights is not None
        assert float(weights.detach().max()) > 0.9
        picks.add(int(weights.argmax()))
    assert picks == {0, 1, 2}


@pytest.mark.parametrize("single", [False, True])
def test_a_heavy_cost_makes_the_search_cheap(single: bool) -> None:
    heavy = replace(RECIPE, target=0.5, factor=20.0, architecture_rate=0.2, hardware_rate=0.5)
    network = seeded(lambda: _network(single), 0)
    found = co_search(network, DATA, COST, torch.zeros(2), heavy)
    assert found.options == {"0": "narrow"}
    assert found.hardware[0] > found.hardware[1]
    assert found.steps[-1].cost < found.steps[0].cost


def test_the_factor_moves_towards_the_target() -> None:
    assert adapted(1.0, 4.0, RECIPE) > 1.0 > adapted(1.0, 1.0, RECIPE)
    for target, grows in ((1.0, True), (50.0, False)):
        found = co_search(
            seeded(_network, 0), DATA, COST, torch.zeros(2), replace(RECIPE, target=target)
        )
        assert (found.steps[-1].factor > found.steps[0].factor) == grows


def test_the_hardware_is_updated_every_so_many_batches() -> None:
    found = co_search(seeded(_network, 0), DATA, COST, torch.zeros(2), RECIPE)
    assert len(found.steps) == 16  # four batches of each half, four epochs
    assert [i for i, step in enumerate(found.steps) if step.hardware_updated] == [4, 9, 14]
    assert [step.architecture_loss is None for step in found.steps] == [True] * 4 + [False] * 12
    again = co_search(seeded(_network, 0), DATA, COST, torch.zeros(2), RECIPE)
    assert again == found


def test_a_checkpoint_of_another_search_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "search.safetensors"
    co_search(seeded(_network, 0), DATA, COST, torch.zeros(2), RECIPE, file)
    with pytest.raises(StoreError, match="belongs to another training"):
        co_search(seeded(_network, 0), DATA, COST, torch.ones(2), RECIPE, file)
    said: list[int] = []
    again = seeded(_network, 1)
    found = co_search(
        *(again, DATA, COST, torch.zeros(2), RECIPE, file),
        progress=lambda step, *_: said.append(step),
    )
    assert said == []
    assert found == co_search(seeded(_network, 0), DATA, COST, torch.zeros(2), RECIPE)


def test_one_scalar_of_two_figures() -> None:
    both = weighted_cost((2.0, COST), (0.5, COST))
    probabilities = {"0": torch.tensor([0.5, 0.5])}
    assert float(both(probabilities, torch.zeros(2))) == pytest.approx(2.5 * 6.0)


def test_bits_are_options() -> None:
    block = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.ReLU())
    options = bit_options("conv 3x3", block, (4, 8), rectified=True)
    assert list(options) == ["conv 3x3, 4 bits", "conv 3x3, 8 bits"]
    four = options["conv 3x3, 4 bits"](torch.randn(1, 1, 8, 8))
    assert len(four.unique()) <= 8
    network = nn.Sequential(Mixed(options), nn.AvgPool2d(4), nn.Flatten(), nn.Linear(4, 10))
    costs = table_cost({"0": torch.tensor([[1.0], [4.0]])})
    recipe = replace(RECIPE, target=0.5, factor=50.0, architecture_rate=0.3)
    assert co_search(network, DATA, costs, torch.zeros(1), recipe).options == {
        "0": "conv 3x3, 4 bits"
    }
    chosen = derive(network)
    assert not any(isinstance(module, Mixed) for module in chosen.modules())
    chosen[0] = chosen[0].plain()  # pyright: ignore
    steps = QuantizedNetwork(chosen, (1, 8, 8)).steps
    assert [step.kind for step in steps] == ["conv", "avg_pool", "flatten", "dense"]


def test_cycles_of_t0_lead_to_a_network_and_a_gemm_core() -> None:
    narrow = ConvWorkload(64, 64, 8, 8, (1, 1))
    wide = ConvWorkload(64, 64, 8, 8, (5, 5), padding=(2, 2, 2, 2))
    start = Hardware.of([load_config("pynq")])

    def cycles(probabilities: Mapping[str, torch.Tensor], logs: torch.Tensor) -> torch.Tensor:
        """Expected cycles on a core of 2**logs lanes, and the price of each lane."""
        core = replace(start, block_in=2 ** logs[:1].double(), block_out=2 ** logs[1:].double())
        expected = probabilities["0"].double() @ relaxed_cycles([narrow, wide], core)[:, 0]
        return expected + 10.0 * (2 ** logs.double()).prod()

    recipe = replace(RECIPE, target=500.0, factor=5.0, architecture_rate=0.3, hardware_rate=0.2)
    found = co_search(seeded(_network, 0), DATA, cycles, torch.tensor([2.0, 2.0]), recipe)
    assert found.options == {"0": "narrow"}
    assert found.steps[-1].cost < found.steps[0].cost
    assert min(found.hardware) > 2.0


def test_wrong_recipes() -> None:
    with pytest.raises(DataError, match="target, factor and temperatures must be above 0"):
        CoSearchRecipe(target=0.0)
    with pytest.raises(DataError, match="frozen_epochs must be from 0 and less than epochs"):
        CoSearchRecipe(target=1.0, epochs=5)
    with pytest.raises(DataError, match="each half must hold a batch of 64"):
        co_search(_network(), DATA.first(train=100), COST, torch.zeros(2), CoSearchRecipe(1.0))
    with pytest.raises(ModelError, match="has no Mixed layer"):
        co_search(nn.Linear(1, 1), DATA, COST, torch.zeros(2), RECIPE)
