"""The co-design gain on tables small enough to see through."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.search.gain import gains

ACCURACY = np.array([70.0, 71.0, 71.0])
# The reference configuration 0 prefers network 1, the reference network 0 configuration 1.
FIGURE = np.array([[5.0, 4.0, 9.0], [6.0, 7.0, 9.0], [8.0, 8.0, 3.0]])


def test_the_joint_optimum_lies_where_no_order_of_choosing_looks() -> None:
    (gain,) = gains(ACCURACY, FIGURE, ["a"] * 3, (0, 0), [71.0])
    assert (gain.decoupled.network, gain.decoupled.config, gain.decoupled.figure) == (1, 0, 6.0)
    assert (gain.joint.network, gain.joint.config, gain.joint.figure) == (2, 2, 3.0)
    assert gain.possible == pytest.approx(0.5)
    assert gain.captured(3.0) == 1.0
    assert gain.captured(4.5) == pytest.approx(0.5)
    assert gain.captured(6.0) == 0.0


def test_resources_are_equal_within_a_gain() -> None:
    found = {gain.resources: gain for gain in gains(ACCURACY, FIGURE, "aab", (0, 0), [71.0])}
    assert {gain.joint.config for gain in found.values()} == {0, 2}
    assert found["a"].joint.figure == 6.0 and found["a"].possible == 0.0
    assert found["a"].captured(6.0) == 1.0
    assert found["b"].decoupled.config == found["b"].joint.config == 2


def test_a_floor_that_no_network_reaches_and_a_class_that_cannot_be_built_are_left_out() -> None:
    figure = FIGURE.copy()
    figure[:, 2] = np.inf
    found = gains(ACCURACY, figure, "aab", (0, 0), [71.0, 99.0])
    assert [(gain.accuracy, gain.resources) for gain in found] == [(71.0, "a")]


@given(st.integers(0, 10_000))
def test_joint_is_never_worse_and_both_keep_the_floor(seed: int) -> None:
    rng = np.random.default_rng(seed)
    accuracy, figure = rng.uniform(60, 75, 9), rng.uniform(1, 9, (9, 6))
    for gain in gains(accuracy, figure, "aabbcc", (0, 0), [60.0, 68.0, 72.0]):
        assert 0.0 <= gain.possible < 1.0
        members = np.flatnonzero([kind == gain.resources for kind in "aabbcc"])
        kept = figure[np.ix_(np.flatnonzero(accuracy >= gain.accuracy), members)]
        assert gain.joint.figure == kept.min()
        for choice in (gain.joint, gain.decoupled):
            assert accuracy[choice.network] >= gain.accuracy
            assert choice.config in members
            assert choice.figure == figure[choice.network, choice.config]
