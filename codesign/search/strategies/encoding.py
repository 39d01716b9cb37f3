"""Networks and configurations as vectors, for what learns from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.pairs import Floats
from codesign.search.view import View


def one_hot(choices: NDArray[np.int64], options: tuple[int, ...]) -> Floats:
    """float64 [M, sum of options] of choices int64 [M, D]: a 1 for each decision."""
    starts = np.array([sum(options[:place]) for place in range(len(options))], np.int64)
    vectors = np.zeros((len(choices), int(sum(options))))
    np.put_along_axis(vectors, choices + starts, 1.0, axis=1)
    return vectors


_TABLE = 1 << 24
"""Pairs of which a view's table of all cycles is looked up; of more, pairs are summed by unit."""


def pair_t0(view: View, networks: NDArray[np.int64], configs: NDArray[np.int64]) -> Floats:
    """Closed-form cycles float64 [B] of B pairs; nan where a network does not fit."""
    if view.shape[0] * view.shape[1] <= _TABLE:
        return view.t0[networks, configs]
    asked, place = np.unique(configs, return_inverse=True)
    cycles = np.take(view.t0_units(asked), place, axis=1)
    counts = view.counts[networks].astype(np.float64)
    missing = np.isnan(cycles)
    totals = np.einsum("bu,ub->b", counts, np.where(missing, 0.0, cycles))
    lacking = np.einsum("bu,ub->b", counts, missing.astype(np.float64)) > 0.0
    return np.where(lacking | ~view.connected[networks], np.nan, totals)
