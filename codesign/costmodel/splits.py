"""Group splits: what is tested was never seen in training, group by group.

A random split of traces only measures interpolation between neighbours of the same layer and
configuration, so none is offered.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from codesign.costmodel.traces import TraceRows
from codesign.kernels.workload import Workload

_LARGEST_TEST = 0.5
"""Share of the rows that may be held out with a network's layers."""

HELD_BLOCK_IN = 32
"""All configurations with this many input channels a block make the unseen-block split."""

MIN_ROWS = 20
"""Fewest rows that make a split, an inner split and a tree possible."""

Networks = Mapping[str, Collection[Workload]]
"""Network or family name -> its layers: what the unseen-network split holds out."""


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


def hold_out_block(rows: TraceRows, block_in: int = HELD_BLOCK_IN) -> Split | None:
    """Hold out every configuration with ``block_in``; None where all have it or none."""
    wide = np.array([config.block_in == block_in for config in rows.configs], dtype=np.bool_)
    held = wide[rows.config_ids]
    if held.all() or not held.any():
        return None
    what = f"all {block_in}xN configurations"
    return Split(np.flatnonzero(~held), np.flatnonzero(held), what)


def make_splits(
    rows: TraceRows, seed: int, networks: Networks | None, share: float
) -> dict[str, Split | str]:
    """The four group splits, each with a generator of its own; a str says why one is missing."""
    layers = hold_out(rows.layer_ids, share, np.random.default_rng([seed, 0]), "layer shapes")
    configs = hold_out(rows.config_ids, share, np.random.default_rng([seed, 2]), "configurations")
    nothing = f"the traces have no configuration with BLOCK_IN {HELD_BLOCK_IN}, or no other"
    splits: dict[str, Split | str] = {
        "unseen_networks": "no networks were named (`codesign train --network`)",
        "unseen_layers": layers or "the traces have a single layer shape",
        "unseen_configs": configs or "the traces have a single configuration",
        "unseen_block": hold_out_block(rows) or nothing,
    }
    if networks is not None:
        rng = np.random.default_rng([seed, 1])
        members = [frozenset(networks[name]) for name in sorted(networks)]
        owners = [rows.workloads[u] for u in map(int, rows.layer_ids)]
        found = hold_out_networks(owners, members, share, rng)
        splits["unseen_networks"] = found or "the traces hold layers of fewer than two networks"
    return {
        name: "too few traces are left to train on"
        if isinstance(split, Split) and len(split.train) < MIN_ROWS
        else split
        for name, split in splits.items()
    }
