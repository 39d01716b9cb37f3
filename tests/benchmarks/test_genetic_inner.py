"""The benchmark of the genetic inner search prices what the space has, and nothing else."""

from dataclasses import replace

import genetic_inner
import numpy as np

from codesign.hw.space import load_space
from codesign.search.decisions import of_space


def test_costs_are_those_of_listed_points() -> None:
    space = load_space("neuhardco")
    configs = space.configs()[::3]
    task = genetic_inner.Task("toy", of_space(space, configs), np.arange(float(len(configs))))
    np.testing.assert_array_equal(task.cost(task.decisions.choices), np.arange(len(configs)))
    every = np.array(list(np.ndindex(*task.decisions.options)))
    assert np.isfinite(task.cost(every)).sum() == len(configs)


def test_the_slice_of_portable_is_large_enough() -> None:
    space = genetic_inner.hardware(quick=False)
    assert space.count() >= 10_000
    whole = load_space("portable")
    assert replace(space, axes=whole.axes).count() == whole.count()
    assert {axis.name for axis in space.axes if len(axis.choices) == 1} == set(genetic_inner.FIXED)
