"""The semi-decoupled strategies: which pairs they pay for, and when they warn."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codesign.errors import ConfigError
from codesign.search import Constraint, Setting, View
from codesign.search.replay import Replay, replay
from codesign.search.strategies.semi_decoupled import SemiDecoupled, SemiDecoupledFlops
from codesign.search.truth import JointTruth
from codesign.testing.strategies import toy_problem, toy_truth

LIMIT = (Constraint("latency_ms", 0.3),)


def made(kind: type[SemiDecoupled] = SemiDecoupled, **options: Any) -> SemiDecoupled:
    view = View(toy_problem(LIMIT), toy_truth().pairs)
    return kind(Setting(view, 100.0, np.random.default_rng(0), options))


def run(truth: JointTruth, name: str = "semi-decoupled", **options: Any) -> Replay:
    return replay(toy_problem(LIMIT), truth, name, 0, 100.0, options)


@pytest.mark.parametrize("name", ["semi-decoupled", "semi-decoupled-flops"])
def test_the_first_stage_pays_on_one_proxy_and_the_second_for_its_networks_alone(name: str) -> None:
    found = run(toy_truth(), name, pairs=5).full()
    proxy, first = found[0].pair.config, {e.pair.network for e in found[:40]}
    assert {e.pair.config for e in found[:40]} == {proxy} and len(first) == 40
    elsewhere = [e.pair for e in found if e.pair.config != proxy]
    paid = {e.pair.network: place for place, e in reversed(list(enumerate(found)))}
    assert elsewhere
    for place, e in enumerate(found):
        assert e.pair.config == proxy or paid[e.pair.network] < place


def test_a_proxy_by_name() -> None:
    truth = toy_truth()
    name = truth.pairs.configs[7].name
    assert run(truth, proxy=name).full()[0].config == name
    with pytest.raises(ConfigError, match="no configuration of the hardware space; allowed: "):
        made(proxy="nowhere")


def test_networks_of_equal_rank_bring_no_warning_and_others_do() -> None:
    """Configurations of one GEMM core rank networks alike, by the closed form."""
    truth = toy_truth()
    configs = truth.pairs.configs
    alike = tuple(c for c in configs if c.pes == configs[0].pes)
    assert 1 < len(alike) < len(configs)
    pairs = truth.pairs
    rows = [configs.index(c) for c in alike]
    decisions = replace(pairs.config_decisions, choices=pairs.config_decisions.choices[rows])
    view = View(toy_problem(LIMIT), replace(pairs, configs=alike, config_decisions=decisions))
    setting = Setting(view, 100.0, np.random.default_rng(0), {})
    assert SemiDecoupled(setting).notices == ()
    (warning,) = made().notices
    assert warning.startswith("semi-decoupled search is unsafe here: on 200 networks")
    (warning,) = made(SemiDecoupledFlops).notices
    assert "unsafe" in warning
