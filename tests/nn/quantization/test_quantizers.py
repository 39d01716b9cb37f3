"""Formulas of the quantisers and their gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codesign.errors import ModelError
from codesign.nn.quantization.quantizers import (
    QUANTIZERS,
    LearnedClip,
    dorefa_activation,
    dorefa_weight,
    levels,
    naf_activation,
    naf_weight,
    pact_activation,
    round_half_up,
)

_BITS = st.sampled_from((2, 4, 6, 8))
_SEEDS = st.integers(0, 1000)


def _random(seed: int, scale: float = 1.0) -> torch.Tensor:
    return torch.randn(40, generator=torch.Generator().manual_seed(seed)) * scale


@given(_SEEDS, _BITS)
def test_naf_weights_follow_equation_5(seed: int, bits: int) -> None:
    weight = _random(seed)
    n = 2 ** (bits - 1) - 1
    squashed = np.tanh(weight.numpy().astype(np.float64))
    expected = np.floor(squashed / np.abs(squashed).max() * n + 0.5) / n
    assert np.allclose(naf_weight(weight, bits).numpy(), expected, atol=1e-5)


@given(_SEEDS, _BITS)
def test_naf_weights_are_symmetric_and_keep_zero(seed: int, bits: int) -> None:
    weight = _random(seed)
    whole = naf_weight(weight, bits) * levels(bits)
    assert torch.allclose(whole, whole.round(), atol=1e-4)
    assert float(whole.abs().max()) == pytest.approx(levels(bits))
    assert naf_weight(torch.tensor([0.0, 1.0]), bits)[0] == 0.0
    off_half = (torch.tanh(weight) / torch.tanh(weight).abs().max() * levels(bits)) % 1
    if float((off_half - 0.5).abs().min()) > 1e-3:
        assert torch.equal(naf_weight(-weight, bits), -naf_weight(weight, bits))


@given(_SEEDS, _BITS, st.floats(0.1, 4.0))
def test_naf_activations_follow_equation_6(seed: int, bits: int, clip: float) -> None:
    x, c = _random(seed, 2.0), torch.tensor(clip)
    n = levels(bits)
    for rectified in (False, True):
        low = 0.0 if rectified else -clip
        expected = np.floor(np.clip(x.numpy(), low, clip) / np.float32(clip) * n + 0.5) / n * clip
        assert np.allclose(naf_activation(x, c, bits, rectified).numpy(), expected, atol=1e-4)


def _gradient(rectified: bool) -> tuple[list[float], list[float]]:
    x = torch.tensor([-3.0, -1.0, -0.2, 0.4, 1.0, 2.0], requires_grad=True)
    clip = torch.tensor(1.0, requires_grad=True)
    (naf_activation(x, clip, 8, rectified) * torch.tensor([1.0, 2, 4, 8, 16, 32])).sum().backward()
    assert x.grad is not None
    assert clip.grad is not None
    return x.grad.tolist(), [float(clip.grad)]


def test_the_clip_has_the_gradient_of_equation_7() -> None:
    # [x >= C] - [x <= -C], weighted: 16 + 32 - 1 - 2
    assert _gradient(rectified=False) == ([0, 0, 4, 8, 0, 0], [45.0])
    assert _gradient(rectified=True) == ([0, 0, 0, 8, 0, 0], [48.0])


def test_pact_learns_from_above_only() -> None:
    x = torch.tensor([-3.0, 0.5, 3.0])
    clip = torch.tensor(1.0, requires_grad=True)
    (pact_activation(x, clip, 8, False) * torch.tensor([1.0, 2, 4])).sum().backward()
    assert clip.grad is not None
    assert float(clip.grad) == 4.0
    unsigned = pact_activation(torch.linspace(0, 1, 400), torch.tensor(1.0), 4, True)
    assert len(unsigned.unique()) == 16


def test_dorefa_weights_have_no_zero() -> None:
    values = dorefa_weight(torch.linspace(-2, 2, 401), 4)
    assert len(values.unique()) == 16
    assert float(values.abs().min()) > 0.05


@given(_SEEDS, _BITS, st.floats(0.1, 4.0))
def test_dorefa_activations_have_a_fixed_range(seed: int, bits: int, range_: float) -> None:
    x, clip = _random(seed, 2.0).requires_grad_(), torch.tensor(range_, requires_grad=True)
    for rectified in (False, True):
        low, steps = (0.0, 2**bits - 1) if rectified else (-1.0, levels(bits))
        unit = np.clip(x.detach().numpy() / np.float32(range_), low, 1.0)
        expected = np.floor(unit * np.float32(steps) + np.float32(0.5)) / steps * range_
        found = dorefa_activation(x, clip, bits, rectified)
        assert np.allclose(found.detach().numpy(), expected, atol=1e-4)
        found.sum().backward()
    assert clip.grad is None


@given(_SEEDS)
def test_gradients_pass_straight_through_rounding(seed: int) -> None:
    x = _random(seed).requires_grad_()
    round_half_up(x).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.ones_like(x))
    assert round_half_up(torch.tensor([-0.5, 0.5, 1.5])).tolist() == [0.0, 1.0, 2.0]


def test_every_quantiser_keeps_to_its_clip() -> None:
    x, clip = _random(0, 5.0), torch.tensor(1.0)
    for weight, activation in QUANTIZERS.values():
        assert float(weight(x, 4).abs().max()) <= 1.0
        for rectified in (False, True):
            y = activation(x, clip, 4, rectified)
            assert float(y.max()) <= 1.0 + 1e-6
            assert float(y.min()) >= (0.0 if rectified else -1.0 - 1e-6)
    assert torch.equal(LearnedClip.of(x, clip, False), x.clamp(-1, 1))


def test_wrong_bits() -> None:
    with pytest.raises(ModelError, match=r"9 bits: a quantiser has 2\.\.8"):
        levels(9)
