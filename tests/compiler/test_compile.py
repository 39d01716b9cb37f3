"""What a compilation leaves to the host, and why."""

from __future__ import annotations

import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import codesign
from codesign.errors import Infeasible
from relay_passes import QuantizedTensor, UnitSpec
from tests.onnx_models import qdq_conv

CFG = codesign.load_config("pynq")


@pytest.mark.parametrize("has_mul", [False, True])
def test_wide_weights_stay_on_the_host(has_mul: bool) -> None:
    cfg = replace(CFG, has_mul=has_mul)
    package = codesign.compile(qdq_conv(weights=np.int16), cfg)
    assert not package.units
    assert any("weights are int16" in op.reason for op in package.host_ops)


def test_refusals_are_asked_again_as_they_were_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within the recorded schedules, and with additions fused or not as for the units."""
    asked: list[Any] = []

    class Records:
        def lookup(self, *layer: Any) -> None:
            asked.append(layer)

    def host_operators(_function: Any, _fallbacks: Any, refusal: Any) -> tuple[()]:
        before = len(asked)
        tensor = QuantizedTensor((1, 16, 4, 4), "int8", 0.1, 0)
        alone = UnitSpec("conv2d", (tensor,), tensor, weight=np.ones((16, 16, 1, 1)))
        assert refusal(alone) is None
        assert len(asked) == before + 1
        fused = replace(alone, inputs=(tensor, tensor), between=tensor)
        assert refusal(fused) == Infeasible("fusion", "additions are units of their own")
        return ()

    module = importlib.import_module("codesign.compiler.compile")
    monkeypatch.setattr(module, "load_records", lambda _path: Records())
    monkeypatch.setattr(module, "host_operators", host_operators)
    codesign.compile(qdq_conv(), CFG, disabled=["fuse_additions"], records="records.jsonl")
