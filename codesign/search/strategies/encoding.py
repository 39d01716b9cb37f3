"""Networks and configurations as vectors, for what learns from them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from codesign.search.pairs import Floats
from codesign.search.view import View


def one_hot(choices: NDArray[np.int64], options: tuple[int, ...]) -> Floats:
    """float64 [M, sum of options] of choices int64 [M, D]: a 1 for each decision."""
    starts = np.concatenate([[0], np.cumsum(options)[:-1]]).astype(np.int64)
    vectors = np.zeros((len(choices), int(sum(options))))
    np.put_along_axis(vectors, choices + starts, 1.0, axis=1)
    return vectors


def pair_t0(view: View, networks: NDArray[np.int64], configs: NDArray[np.int64]) -> Floats:
    """Closed-form cycles float64 [B] of B pairs; nan where a network does not fit."""
    asked, place = np.unique(configs, return_inverse=True)
    cycles = view.t0_units(asked)[:, place].T
    counts = view.counts[networks]
    missing = np.isnan(cycles)
    totals = (counts * np.where(missing, 0.0, cycles)).sum(axis=1)
    broken = ((counts > 0) & missing).any(axis=1) | ~view.connected[networks]
    return np.where(broken, np.nan, totals)
