"""Group splits: what is tested was never seen in training, group by group.

A random split of traces only measures interpolation between neighbours of the same layer and
configuration, so none is offered.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.kernels.workload import Workload

_LARGEST_TEST = 0.5
"""Share of the rows that may be held out with a network's layers."""


@dataclass(frozen=True)
class Split:
    """Row indices of one split, disjoint; ``held_out`` says what the test rows have in common."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]
    held_out: str


def hold_out(
    ids: NDArray[np.intp], share: float, rng: np.random.Generator, noun: str
) -> Split | None:
    """Hold out ``share`` of the groups (at least one, never all); None for fewer than two."""
    unique = np.unique(ids)
    if unique.size < 2:
        return None
    count = min(max(1, round(share * unique.size)), unique.size - 1)
    chosen = rng.choice(unique, size=count, replace=False)
    held = np.isin(ids, chosen)
    return Split(np.flatnonzero(~held), np.flatnonzero(held), f"{count} of {unique.size} {noun}")


def hold_out_networks(
    layers: Sequence[Workload],
    networks: Sequence[Set[Workload]],
    share: float,
    rng: np.random.Generator,
) -> Split | None:
    """Hold out ``share`` of the networks with every layer they have, by the layer of each row.

    Networks of one cell space share their layers, so that nothing is left to train on; then the
    held-out networks are tested on (layer, configuration) pairs that training never saw, and
    ``held_out`` says so. None for fewer than two networks or without a row of them.
    """
    if len(networks) < 2:
        return None
    count = min(max(1, round(share * len(networks))), len(networks) - 1)
    chosen = rng.choice(len(networks), size=count, replace=False)
    held: set[Workload] = set()
    for i in map(int, chosen):
        held |= networks[i]
    of_held = np.array([layer in held for layer in layers], dtype=np.bool_)
    what = f"{count} of {len(networks)} networks"
    if 0 < of_held.sum() <= _LARGEST_TEST * len(layers):
        return Split(np.flatnonzero(~of_held), np.flatnonzero(of_held), f"{what}, all their layers")
    pairs = np.flatnonzero(of_held)
    if pairs.size < 2:
        return None
    test = np.sort(rng.choice(pairs, size=max(1, round(share * pairs.size)), replace=False))
    train = np.setdiff1d(np.arange(len(layers)), test)
    return Split(train, test, f"{what}, on pairs never seen (their layers are shared)")
