"""The semi-decoupled study of a small table."""

from pathlib import Path

import numpy as np
import pytest
from semi_plots import draw
from semi_study import K, Study

from codesign.search.semi_decoupled import JointTable


@pytest.fixture(scope="module")
def study() -> Study:
    """Four configurations that rank alike and two that do not."""
    rng = np.random.default_rng(0)
    kinds = rng.uniform(1, 10, (2, 300))
    weight = np.array([0.99, 0.97, 0.95, 0.9, 0.1, 0.0])[:, None]
    latency = (weight * kinds[0] + (1 - weight) * kinds[1]).T
    accuracy = 60 + 1.5 * kinds.sum(axis=0) + rng.normal(0, 1, 300)
    table = JointTable(accuracy, latency, 3.0 * latency, np.arange(6.0))
    return Study("toy", table, kinds.sum(axis=0), list("abcdef"))


def test_losses_are_what_the_names_say(study: Study) -> None:
    assert study.loss.min() >= 0.0
    for h in range(6):
        assert np.array_equal(study.own_loss[h, h], np.zeros(study.own_loss.shape[2]))
        assert len(study.sets[h]) <= K
    assert study.alike[0, 1] and not study.alike[0, 5] and not study.alike[0, 0]
    assert study.losing[0, 5] and study.warned[0, 5] and not study.warned[0, 1]
    assert 0 <= study.mean_loss_alike() < 0.2


def test_a_study_has_the_flops_control_and_every_proxy(study: Study) -> None:
    figures = study.figures()
    control = study.optimum - study.found(study.macs_set)
    assert figures["loss of the FLOPs proxy, mean"] == pytest.approx(control.mean())
    assert [row["proxy"] for row in study.proxies()] == study.configs
    assert figures["evaluations, semi-decoupled"] == 300 + K * 5
    assert figures["evaluations, coupled"] == 1800


def test_the_plots_are_drawn(study: Study, tmp_path: Path) -> None:
    draw(tmp_path, [study], np.linspace(0.5, 1, 20))
    for name in ("semi_heat_maps", "semi_cdf", "semi_loss"):
        assert (tmp_path / f"{name}.png").stat().st_size > 5000
