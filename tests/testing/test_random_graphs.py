"""Random quantised networks on random configurations: compiled, exact, near onnxruntime."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings

from codesign.hw.config import VtaConfig
from codesign.testing.random_graphs import (
    GraphSpec,
    Step,
    assert_exact,
    build_model,
    configs,
    graph_specs,
)

QUIET = list(HealthCheck)


@settings(max_examples=100, suppress_health_check=QUIET)
@given(graph_specs(most_steps=4), configs())
def test_random_networks_are_exact(spec: GraphSpec, cfg: VtaConfig) -> None:
    assert_exact(spec, cfg)


@pytest.mark.long
@settings(max_examples=400, suppress_health_check=QUIET)
@given(graph_specs(most_steps=8), configs())
def test_many_random_networks_are_exact(spec: GraphSpec, cfg: VtaConfig) -> None:
    """2 000 others: benchmarks/robustness.py."""
    assert_exact(spec, cfg)


def test_the_same_specification_gives_the_same_model() -> None:
    steps = (Step("conv", (0, 0), (1, 2, 3, 4, 5, 6, 7, 8)), Step("add", (0, 1), (0,) * 8))
    spec = GraphSpec((2, 5, 6, 7), True, True, 3, steps)
    assert build_model(spec).SerializeToString() == build_model(spec).SerializeToString()
    assert {node.op_type for node in build_model(spec).graph.node} >= {"Conv", "Add"}


def test_a_float_network_has_a_node() -> None:
    spec = GraphSpec((1, 1, 1, 1), False, False, 0, (Step("relu", (0, 0), (0,) * 8),), False)
    assert [node.op_type for node in build_model(spec).graph.node] == ["Relu"]
