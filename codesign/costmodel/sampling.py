# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false, reportUnknownVariableType=false
# (scipy and xgboost are partly annotated)
"""Which (layer, configuration) pairs to simulate: random, Sobol, or where a model is unsure."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import fields
from math import ceil, log2
from typing import Literal

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray
from scipy.stats import qmc

from codesign.costmodel.columns import Floats, config_columns, take, workload_columns
from codesign.costmodel.features import pair_features
from codesign.hw.config import VtaConfig
from codesign.kernels.workload import Workload

Sampling = Literal["random", "sobol", "active"]

IndexPairs = NDArray[np.int64]
"""int64[n, 2]: layer index, configuration index."""

Sampler = Generator[IndexPairs, Floats, None]
"""Yields batches of distinct pairs; is sent the cycles of the last batch, nan where infeasible."""

_ROUNDS = 8
"""Batches of an active run; the first is a Sobol sample."""
_POOL = 4096
_MEMBERS = 4
_BOOSTING = {"max_depth": 5, "eta": 0.3, "tree_method": "hist", "max_bin": 64, "nthread": 1}
_TREES = 25


def sampler(
    sampling: Sampling,
    layers: Sequence[Workload],
    configs: Sequence[VtaConfig],
    samples: int,
    seed: int,
) -> Sampler:
    """Batches of ``samples`` distinct pairs in all (fewer where there are no more).

    ``random``: one batch, uniform over all pairs. ``sobol``: one batch, low discrepancy over the
    layers in order of their work and every configuration field that varies. ``active``: a Sobol
    batch, then seven batches of the pairs of a random pool on which four boosted-tree models,
    trained on bootstraps of what came back, disagree most about log(cycles / T0). The sequence
    depends on the arguments and the cycles alone.
    """
    count = min(samples, len(layers) * len(configs))
    if sampling == "random":
        yield random_pairs(len(layers), len(configs), count, seed)
    elif sampling == "sobol":
        yield sobol_pairs(layers, configs, count, seed)
    else:
        yield from _active(layers, configs, count, seed)


def random_pairs(layers: int, configs: int, samples: int, seed: int) -> IndexPairs:
    """Distinct random pairs, min(samples, all) of them; more samples begin with fewer's."""
    total = layers * configs
    rng = np.random.default_rng(seed)
    if total <= 1 << 20:
        flat = rng.permutation(total)[:samples]
    else:
        flat = np.empty(0, np.int64)
        while len(flat) < min(samples, total):
            flat = _distinct(np.concatenate([flat, rng.integers(0, total, size=2 * samples)]))
        flat = flat[:samples]
    return np.stack([flat // configs, flat % configs], axis=1)


def sobol_pairs(
    layers: Sequence[Workload], configs: Sequence[VtaConfig], samples: int, seed: int
) -> IndexPairs:
    """Distinct pairs nearest to the points of a scrambled Sobol sequence, in its order."""
    order = np.array(sorted(range(len(layers)), key=lambda u: (layers[u].macs, u)))
    places = _field_places(configs)
    total = len(layers) * len(configs)
    flat = np.empty(0, np.int64)
    for doubling in range(4):
        if len(flat) >= samples:
            break
        sequence = qmc.Sobol(1 + places.shape[1], rng=np.random.default_rng([seed, 2]))
        points = sequence.random_base2(ceil(log2(max(2, samples))) + doubling)
        which = order[(points[:, 0] * len(layers)).astype(np.int64)]
        flat = _distinct(which * len(configs) + _nearest(points[:, 1:], places))[:samples]
    if len(flat) < samples:
        rest = np.setdiff1d(np.arange(total), flat)
        more = np.random.default_rng([seed, 3]).choice(rest, samples - len(flat), replace=False)
        flat = np.concatenate([flat, more])
    return np.stack([flat // len(configs), flat % len(configs)], axis=1)


def _distinct(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Values without repetitions, in order of first appearance."""
    return values[np.sort(np.unique(values, return_index=True)[1])]


def _field_places(configs: Sequence[VtaConfig]) -> Floats:
    """float64[C, axes]: the rank of a field's value among all, within 0..1.

    Fields that vary together are one axis.
    """
    columns: dict[bytes, Floats] = {}
    for name in (field.name for field in fields(VtaConfig) if field.compare):
        texts = [getattr(config, name) for config in configs]
        values = sorted(set(texts), key=lambda value: (value is not None, value))
        if len(values) > 1:
            place = {value: (i + 0.5) / len(values) for i, value in enumerate(values)}
            column = np.array([place[text] for text in texts])
            columns.setdefault(column.tobytes(), column)
    return np.stack([*columns.values()], axis=1) if columns else np.zeros((len(configs), 0))


def _nearest(points: Floats, places: Floats) -> NDArray[np.int64]:
    """Index of the nearest place of each point."""
    found = np.empty(len(points), np.int64)
    step = max(1, (1 << 22) // max(1, places.size))
    for start in range(0, len(points), step):
        part = points[start : start + step, None, :] - places[None, :, :]
        found[start : start + step] = np.square(part).sum(axis=2).argmin(axis=1)
    return found


def _active(
    layers: Sequence[Workload], configs: Sequence[VtaConfig], count: int, seed: int
) -> Sampler:
    sizes = [count // _ROUNDS + (i < count % _ROUNDS) for i in range(_ROUNDS)]
    design = _designer(layers, configs)
    pairs = sobol_pairs(layers, configs, sizes[0], seed)
    cycles = yield pairs
    for index, size in enumerate(sizes[1:], start=1):
        if size == 0:
            return
        rng = np.random.default_rng([seed, 4, index])
        pool = _pool(len(layers), len(configs), pairs, max(size, _POOL), rng)
        batch = pool[_unsure(design, pairs, cycles, pool, rng)[:size]]
        told = yield batch
        pairs, cycles = np.concatenate([pairs, batch]), np.concatenate([cycles, told])


def _pool(
    layers: int, configs: int, taken: IndexPairs, size: int, rng: np.random.Generator
) -> IndexPairs:
    """Random pairs that are not taken."""
    total, known = layers * configs, taken[:, 0] * configs + taken[:, 1]
    if total <= 1 << 20:
        flat = rng.permutation(np.setdiff1d(np.arange(total), known))[:size]
    else:
        drawn = _distinct(rng.integers(0, total, size=2 * size + len(known)))
        flat = drawn[~np.isin(drawn, known)][:size]
    return np.stack([flat // configs, flat % configs], axis=1)


Designer = Callable[[IndexPairs], tuple[NDArray[np.float32], Floats]]


def _designer(layers: Sequence[Workload], configs: Sequence[VtaConfig]) -> Designer:
    """Pairs to their features and T0 cycles (infinite where nothing fits)."""
    w, c = workload_columns(layers), config_columns(configs)

    def design(pairs: IndexPairs) -> tuple[NDArray[np.float32], Floats]:
        rows = pairs[:, 0].astype(np.intp), pairs[:, 1].astype(np.intp)
        features, t0 = pair_features(take(w, rows[0]), take(c, rows[1]))
        return features, t0.cycles

    return design


def _unsure(
    design: Designer,
    pairs: IndexPairs,
    cycles: Floats,
    pool: IndexPairs,
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Indices into the pool, the most disputed first; what fits nothing comes last."""
    features, t0 = design(pairs)
    usable = np.flatnonzero(np.isfinite(cycles) & np.isfinite(t0))
    asked, asked_t0 = design(pool)
    if len(usable) < 2:
        return np.arange(len(pool))
    target = np.log(cycles[usable] / t0[usable])
    votes: list[Floats] = []
    for _ in range(_MEMBERS):
        chosen = rng.integers(0, len(usable), len(usable))
        data = xgb.DMatrix(features[usable[chosen]], label=target[chosen])
        booster = xgb.train({**_BOOSTING, "seed": 0}, data, _TREES)
        votes.append(np.asarray(booster.inplace_predict(asked), dtype=np.float64))
    spread = np.std(votes, axis=0)
    return np.argsort(np.where(np.isfinite(asked_t0), -spread, 1.0), kind="stable")
