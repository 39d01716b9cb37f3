"""Stored rows of the accuracy and supernet benchmarks: their keys, claims and Kendall's tau."""

from __future__ import annotations

from typing import Any

import accuracy
import numpy as np
import pytest
import supernet
from stored import ROOT, sources_key

from codesign.nn import load_network_space


@pytest.mark.parametrize("path", {*accuracy.SOURCES, *supernet.SHARED_SOURCES})
def test_what_decides_a_row_exists(path: str) -> None:
    assert (ROOT / path).exists()
    assert sources_key(path) != sources_key()


def test_a_network_of_the_ranking_is_known_by_what_it_computes() -> None:
    space = load_network_space(supernet.SPACE, supernet.DATASET)
    one, two = ("-".join([first] + ["skip"] * 8) for first in ("e1k3", "e1k5"))
    facts = [supernet.network_facts(space, name) for name in (one, two, one)]
    assert facts[0] == facts[2] != facts[1]


def test_ranked_networks_have_as_many_bottlenecks_as_asked() -> None:
    space = load_network_space(supernet.SPACE, supernet.DATASET)
    asked = [0, 1, 2, 3] * 20 + [9]
    for seed in range(3, 7):
        names = supernet.drawn(space, asked, np.random.default_rng(seed))
        assert sorted(supernet.working(name) for name in names) == sorted(asked)
        graphs = [space.graph(space.from_json(name)) for name in names]
        assert len({supernet.computed(graph) for graph in graphs}) == len(asked)


def test_sums_have_no_order() -> None:
    space = load_network_space(supernet.SPACE, supernet.DATASET)
    one, two, other = (
        supernet.computed(space.graph(space.from_json("-".join([*first, *["skip"] * 6]))))
        for first in (("pool", "skip", "skip"), ("skip", "pool", "skip"), ("skip", "e1k3", "skip"))
    )
    assert one == two != other


def test_a_constant_ranks_nothing() -> None:
    assert supernet.kendall(np.ones(4), np.arange(4.0)) == 0.0
    assert supernet.kendall(np.arange(4.0), np.arange(4.0)) == 1.0


def _row(network: str, ptq: float, qat: float, unequal: int = 0) -> dict[str, Any]:
    forms = [
        {"form": form, "bits": 8, "machine": "shifts", "top1": top1, "unequal": unequal}
        for form, top1 in (("PTQ, compiler", ptq), ("QAT", qat))
    ]
    return {"network": network, "float": 90.0, "forms": forms}


def test_losses_are_means_over_cells_and_one_unequal_element_fails() -> None:
    rows = [_row("ResNet-like", 88.5, 90.0), _row("ResNet-like", 89.9, 89.5)]
    found = {claim.name: claim for claim in accuracy.loss_claims(rows)}
    ptq = found["PTQ loss, int8, ResNet-like, shifts"]
    assert (ptq.value, ptq.holds) == (pytest.approx(0.8), True)
    assert found["QAT loss, int8, ResNet-like, shifts"].value == pytest.approx(0.25)
    assert accuracy.exactness(rows).holds
    worse = [*rows, _row("ResNet-like", 90.0, 85.0, unequal=1)]
    assert not accuracy.exactness(worse).holds
    assert [claim.holds for claim in accuracy.loss_claims(worse)] == [True, False]
