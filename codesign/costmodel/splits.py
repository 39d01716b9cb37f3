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

HELD_BLOCK_IN = 32
"""All configurations with this many input channels a block make the unseen-block split."""

MIN_ROWS = 20
"""Fewest rows that make a split, an inner split and a tree possible."""

Networks = Mapping[str, Collection[Workload]]
"""Family of networks -> its layers: what the unseen-network split holds out."""


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


def hold_out_families(
    layers: Sequence[Workload],
    families: Sequence[Set[Workload]],
    share: float,
    rng: np.random.Generator,
) -> Split | None:
    """Hold out ``share`` of the families with every layer they have, by the layer of each row.

    Families that own no row do not count; None for fewer than two of the others. A layer that a
    held-out family shares with another is not trained on either.
    """
    traced = [family & frozenset(layers) for family in families]
    traced = [family for family in traced if family]
    if len(traced) < 2:
        return None
    count = min(max(1, round(share * len(traced))), len(traced) - 1)
    chosen = rng.choice(len(traced), size=count, replace=False)
    held = frozenset[Workload]().union(*(traced[int(i)] for i in chosen))
    of_held = np.array([layer in held for layer in layers], dtype=np.bool_)
    what = f"{count} of {len(traced)} families, all their layers"
    return Split(np.flatnonzero(~of_held), np.flatnonzero(of_held), what)


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
        "unseen_networks": "no families of networks were named (`codesign train --network`)",
        "unseen_layers": layers or "the traces have a single layer shape",
        "unseen_configs": configs or "the traces have a single configuration",
        "unseen_block": hold_out_block(rows) or nothing,
    }
    if networks is not None:
        rng = np.random.default_rng([seed, 1])
        members = [frozenset(networks[name]) for name in sorted(networks)]
        owners = [rows.workloads[u] for u in map(int, rows.layer_ids)]
        found = hold_out_families(owners, members, share, rng)
        splits["unseen_networks"] = found or (
            "the traces hold layers of fewer than two families (each --network is one)"
        )
    return {
        name: "too few traces are left to train on"
        if isinstance(split, Split) and len(split.train) < MIN_ROWS
        else split
        for name, split in splits.items()
    }
