"""The tables of the foreign accelerator family: published figures, and a network in parts."""

import numpy as np
import pytest
from maestro import (
    SPACES,
    TARGET_FIGURES,
    Maestro,
    accelerators,
    mixtures,
    part_counts,
    selected_genotypes,
    target_figures,
)


def test_the_published_target_is_reproduced() -> None:
    cycles, energy = target_figures()
    assert (cycles, round(energy)) == TARGET_FIGURES


def test_the_accelerators_lie_in_the_published_space() -> None:
    allowed = {
        "num_pes": {512, 256, 128, 64, 32, 16},
        "noc_bw_cstr": set(range(300, 1001, 100)),
        "offchip_bw_cstr": {50, 100, 150, 200, 250, 275, 300, 325, 350},
    }
    assert np.prod([len(values) for values in allowed.values()]) * 3 == 1296
    points = {tuple(row[name] for name in allowed) for row in accelerators()}
    assert len(points) == 50
    for point in points:
        assert all(value in values for value, values in zip(point, allowed.values(), strict=True))


@pytest.mark.parametrize("space", SPACES)
def test_every_space_has_132_configurations(space: str) -> None:
    tables = Maestro.load(space)
    assert len(set(tables.configs)) == 132
    assert len(accelerators()) == 50
    assert tables.latency.shape == tables.energy.shape == (len(tables.counts), 132)
    assert tables.latency.min() > 0 and tables.energy.min() > 0


def test_macs_are_the_published_ones() -> None:
    assert Maestro.load("nb301").macs.tolist() == selected_genotypes()["macs"].tolist()


def test_the_parts_of_every_network_are_its_layers() -> None:
    tables = Maestro.load("nb301")
    parts = part_counts(tables)
    assert parts.shape[1] == 22
    assert np.array_equal(parts.sum(axis=1), tables.counts)


def test_a_mixture_of_one_configuration_is_that_configuration() -> None:
    class Always:
        """Draws the last configuration for every part."""

        def integers(self, high: int, size: tuple[int, ...]) -> np.ndarray:
            return np.full(size, high - 1)

    tables = Maestro.load("nb301")
    mixed = mixtures(tables, 1, Always())  # type: ignore[arg-type]
    assert np.array_equal(mixed[:, 0], tables.latency[:, -1])
