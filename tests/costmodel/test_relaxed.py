"""T0 in torch: equal to T0 where everything divides, and with the slopes of its values."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from samples import every_kind, random_config

from codesign.costmodel.closed_form import bound
from codesign.costmodel.columns import config_columns, grid, workload_columns
from codesign.costmodel.relaxed import Hardware, expected_cycles, relaxed_cycles
from codesign.hw.config import VtaConfig
from codesign.kernels import ConvWorkload, ElementwiseWorkload, Workload

_RNG = np.random.default_rng(17)
LAYERS = every_kind(_RNG, 9)
CONFIGS = [random_config(_RNG) for _ in range(8)]
NAMES = tuple(f.name for f in fields(Hardware) if f.name != "fixed")


def exact(layers: list[Workload], configs: list[VtaConfig]) -> np.ndarray:
    return bound(*grid(workload_columns(layers), config_columns(configs))).cycles


def test_equals_t0_where_everything_divides() -> None:
    layers: list[Workload] = [
        ConvWorkload(64, 64, 16, 16, (3, 3), (1, 1), (1, 1, 1, 1)),
        ConvWorkload(64, 128, 8, 8),
        ConvWorkload(256, 512, 1, 1),
        ElementwiseWorkload(2, 64, 8, 8),
        ElementwiseWorkload(2, 128, 32, 32),
    ]
    configs = [
        VtaConfig(log_block=4, bus_bits=bus, dataflow=flow, log_inp_buff_size=20,
                  log_wgt_buff_size=20, log_acc_buff_size=20)
        for bus in (64, 128)
        for flow in ("os", "rs", "auto")
    ]  # fmt: skip
    relaxed = relaxed_cycles(layers, Hardware.of(configs)).numpy()
    np.testing.assert_allclose(relaxed, exact(layers, configs), rtol=1e-12)


def test_is_finite_where_t0_is_and_mostly_below() -> None:
    relaxed, t0 = relaxed_cycles(LAYERS, Hardware.of(CONFIGS)).numpy(), exact(LAYERS, CONFIGS)
    fits = np.isfinite(t0)
    assert not np.isnan(relaxed).any()
    assert (relaxed[fits] > 0).all()
    ratio = relaxed[fits] / t0[fits]
    assert ratio.max() < 1.1
    assert 0.7 < float(np.median(ratio)) <= 1.0


def test_a_graph_changes_no_value() -> None:
    start = Hardware.of(CONFIGS)
    inputs = {name: getattr(start, name).clone().requires_grad_() for name in NAMES}
    with_graph = relaxed_cycles(LAYERS, replace(start, **inputs))
    assert with_graph.requires_grad
    assert torch.equal(with_graph.detach(), relaxed_cycles(LAYERS, start))


def loss(hardware: Hardware) -> torch.Tensor:
    """float64[C]: a smooth mean over layers of different sizes."""
    return torch.nan_to_num(relaxed_cycles(LAYERS, hardware).log(), posinf=0.0).mean(dim=0)


def gradients() -> dict[str, torch.Tensor]:
    start = Hardware.of(CONFIGS)
    inputs = {name: getattr(start, name).clone().requires_grad_() for name in NAMES}
    found = torch.autograd.grad(loss(replace(start, **inputs)).sum(), tuple(inputs.values()))
    return dict(zip(NAMES, found, strict=True))


def neighbours() -> torch.Tensor:
    """float64[parameters, 3, C]: the loss below, at and above the value of each parameter."""
    start, count = Hardware.of(CONFIGS), 3 * len(NAMES)
    factors = 1.0 + 1e-6 * torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    moved = {}
    for index, name in enumerate(NAMES):
        values = getattr(start, name).repeat(count, 1).reshape(len(NAMES), 3, -1)
        values[index] *= factors[:, None]
        moved[name] = values.reshape(-1)
    fixed = {name: values.repeat(count) for name, values in start.fixed.items()}
    with torch.no_grad():
        return loss(Hardware(**moved, fixed=fixed)).reshape(len(NAMES), 3, -1)


SLOPES, NEAR = gradients(), neighbours()


@pytest.mark.parametrize("name", NAMES)
def test_gradient_equals_finite_differences(name: str) -> None:
    """At kinks, on which some of the whole numbers of real machines lie, it is between both."""
    step = 1e-6 * getattr(Hardware.of(CONFIGS), name)
    low, here, high = NEAR[NAMES.index(name)]
    left, right = (here - low) / step, (high - here) / step
    scale = torch.maximum(left.abs(), right.abs()) * 1e-3 + 1e-9 / step
    slope = SLOPES[name]
    above = slope >= torch.minimum(left, right) - scale
    below = slope <= torch.maximum(left, right) + scale
    assert torch.isfinite(slope).all()
    assert (above & below).all()


@pytest.mark.parametrize("name", [n for n in NAMES[3:] if n != "burst_beats"])
def test_better_memory_never_costs(name: str) -> None:
    # A longer burst may: the first instructions come in one.
    sign = 1.0 if "latency" in name else -1.0
    assert (sign * SLOPES[name] >= -1e-12).all()


def test_more_multipliers_never_cost() -> None:
    layers: list[Workload] = [ConvWorkload(256, 256, 14, 14, (3, 3), (1, 1), (1, 1, 1, 1))]
    large = VtaConfig(log_wgt_buff_size=22, log_inp_buff_size=20, log_acc_buff_size=21)
    sides = torch.linspace(8, 64, 29, dtype=torch.float64)
    hardware = Hardware.of([replace(large, bus_bits=512, encoding="wide")] * len(sides))
    with torch.no_grad():
        cycles = relaxed_cycles(layers, replace(hardware, block_in=sides, block_out=sides))[0]
    assert (cycles[1:] <= cycles[:-1]).all()


def test_expected_cycles_of_an_architecture_and_their_slopes() -> None:
    cycles = relaxed_cycles(LAYERS[:6], Hardware.of(CONFIGS[:3]))
    cycles = torch.nan_to_num(cycles, posinf=1e6)
    counts = torch.from_numpy(_RNG.integers(0, 4, (4, 5, 6)))
    chosen = torch.from_numpy(_RNG.integers(0, 5, 4))
    certain = 1e3 * torch.nn.functional.one_hot(chosen, 5).double()
    alone = sum(counts[e, k].double() for e, k in enumerate(chosen.tolist())) @ cycles
    torch.testing.assert_close(expected_cycles(certain, counts, cycles), alone)
    logits = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: expected_cycles(x, counts, cycles / 1e4), logits)
