"""Splits of the traces that judge a cost model, and the errors of predictions on each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from costmodel_traces import Judged, Layers
from numpy.typing import NDArray

from codesign.costmodel import UnitCounts
from codesign.costmodel.design import Design
from codesign.costmodel.heads import Prediction
from codesign.costmodel.metrics import SplitError, split_error
from codesign.costmodel.splits import Split, hold_out, hold_out_block
from codesign.hw.config import VtaConfig
from codesign.kernels import Workload

NOUNS = {
    "networks": "unseen networks",
    "layers": "unseen layer shapes",
    "configs": "unseen configurations",
    "block": "unseen block size",
}
"""Split -> its name in tables."""

Sums = list[tuple[NDArray[np.intp], NDArray[np.intp]]]
"""Rows of the design and counts of each network on each configuration."""


@dataclass(frozen=True, eq=False)
class Case:
    """One split to judge: rows, and by family the networks whose layers are all in the test rows.

    ``name`` is a key of `NOUNS`; ``family``: the held-out one of an unseen-networks case, else "".
    """

    name: str
    seed: int
    split: Split
    sums: Mapping[str, Sums]
    family: str = ""


@dataclass(frozen=True)
class Outcome:
    """Errors of one learner on one case; network errors are means over families, None without one.

    ``unsummed``: families that have no network with all its layers among the test rows.
    """

    layer: SplitError
    network_mape: float | None
    network_p95: float | None
    network_spearman: float | None
    unsummed: tuple[str, ...] = ()


def make_cases(design: Design, chosen: Judged, seeds: Collection[int]) -> list[Case]:
    """Every split at every seed; the networks of each are those of which training has no layer, no
    configuration, or no block size."""
    rows = design.rows
    ids = zip(map(int, rows.layer_ids), map(int, rows.config_ids), strict=True)
    place = {(rows.workloads[u], rows.configs[c]): i for i, (u, c) in enumerate(ids)}

    def sums(families: Collection[str], split: Split) -> dict[str, Sums]:
        inside = set(map(int, split.test))
        return {
            name: network_rows(chosen.families[name], chosen.whole, place, inside)
            for name in families
        }

    families: dict[str, tuple[Split, Mapping[str, Sums]]] = {}
    for name, networks in chosen.families.items():
        layers = set(UnitCounts.of(networks).units)
        held = np.array([layer in layers for layer in rows.workloads])[rows.layer_ids]
        split = Split(np.flatnonzero(~held), np.flatnonzero(held), f"{name}, all its layers")
        families[name] = split, sums([name], split)
    block = hold_out_block(rows)
    assert block is not None
    of_block = sums(chosen.families, block)
    cases: list[Case] = []
    for seed in seeds:
        layers_of, configs_of = (np.random.default_rng([seed, stream]) for stream in (0, 2))
        shapes = hold_out(rows.layer_ids, 0.2, layers_of, "layer shapes")
        configs = hold_out(rows.config_ids, 0.2, configs_of, "configurations")
        assert configs is not None and shapes is not None
        cases += [
            Case("networks", seed, split, of_family, name)
            for name, (split, of_family) in families.items()
        ]
        cases.append(Case("layers", seed, shapes, {}))
        cases.append(Case("configs", seed, configs, sums(chosen.families, configs)))
        cases.append(Case("block", seed, block, of_block))
    return cases


def network_rows(
    networks: Sequence[Layers],
    configs: Sequence[VtaConfig],
    place: Mapping[tuple[Workload, VtaConfig], int],
    inside: Collection[int],
) -> Sums:
    """Each network on each configuration where every layer is among the rows ``inside``; a network
    with an infeasible layer there has no sum."""
    found: Sums = []
    for config in configs:
        for layers in networks:
            cells = [(place.get((layer, config), -1), count) for layer, count in layers]
            if all(row in inside for row, _ in cells):
                table = np.array(cells, dtype=np.intp)
                found.append((table[:, 0], table[:, 1]))
    return found


def outcome(
    design: Design, case: Case, cycles: NDArray[np.float64], made: Prediction | None = None
) -> Outcome:
    """Judge predicted ``cycles`` of the case's test rows, and the interval of ``made``."""
    test = case.split.test
    true = design.cycles[test]
    coverage = None
    if made is not None:
        coverage = float(((made.low <= true) & (true <= made.high)).mean())
    layer = split_error(
        cycles,
        true,
        held_out=case.split.held_out,
        train_rows=len(case.split.train),
        coverage=coverage,
    )
    predicted = np.full(len(design), np.nan)
    predicted[test] = cycles
    errors: list[SplitError] = []
    for table in filter(None, case.sums.values()):
        sums = [
            np.array([values[rows] @ counts for rows, counts in table])
            for values in (predicted, design.cycles)
        ]
        errors.append(split_error(*sums, held_out="", train_rows=0))
    unsummed = tuple(name for name, table in case.sums.items() if not table)
    if not errors:
        return Outcome(layer, None, None, None, unsummed)
    means = [float(np.mean([getattr(e, k) for e in errors])) for k in ("mape", "p95", "spearman")]
    return Outcome(layer, *means, unsummed)


def drawn(rows: NDArray[np.intp], size: int, seed: int) -> NDArray[np.intp]:
    """``size`` random rows of a split's training rows."""
    return np.sort(np.random.default_rng([seed, 9]).permutation(rows)[:size])
