# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# (xgboost's annotations are partial)
"""XGBoost's regression trees as complete trees of one depth, summed in C++ (csrc/forest.h).

Millions of pairs are predicted where a search scores a space; this takes a fraction of the
booster's own time and gives the same float32 numbers.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost as xgb
from numpy.typing import NDArray

from codesign.costmodel.columns import Floats
from codesign.isa.native import library


@dataclass(frozen=True, eq=False)
class Forest:
    """``splits`` int32[trees, 2^depth - 1, 2]: feature, and bits of the float32 threshold at or
    above which rows go right; ``leaves`` float32[trees, 2^depth]; ``base``: what is added."""

    splits: NDArray[np.int32]
    leaves: NDArray[np.float32]
    depth: int
    base: float

    @staticmethod
    def of(booster: xgb.Booster) -> Forest:
        """The trees of a booster with a squared error's objective."""
        model: Any = json.loads(bytes(booster.save_raw("json")))["learner"]
        trees: list[Any] = model["gradient_booster"]["model"]["trees"]
        depth = max((_depth(tree) for tree in trees), default=0)
        splits = np.zeros((len(trees), (1 << depth) - 1, 2), np.int32)
        leaves = np.zeros((len(trees), 1 << depth), np.float32)
        for number, tree in enumerate(trees):
            _fill(tree, splits[number], leaves[number])
        base = str(model["learner_model_param"]["base_score"]).strip("[]")
        return Forest(splits, leaves, depth, float(base))

    def run(self, values: NDArray[np.float32]) -> Floats:
        """Sums float64[n] of the rows of ``values`` float32[n, F], none of them nan; quickest
        where the values of a feature lie behind one another."""
        columns = np.ascontiguousarray(values.T)
        out = np.empty(len(values), np.float32)
        if len(out):
            library().run_forest(self.splits, self.leaves, self.depth, self.base, columns, out)
        return out.astype(np.float64)


def _depth(tree: Any, node: int = 0) -> int:
    left, right = tree["left_children"][node], tree["right_children"][node]
    return 0 if left < 0 else 1 + max(_depth(tree, left), _depth(tree, right))


def _fill(tree: Any, splits: NDArray[np.int32], leaves: NDArray[np.float32]) -> None:
    """Write a tree; a leaf above the last level is that of every row that comes to it."""
    thresholds = splits[:, 1].view(np.float32)
    places = [0] * (2 * len(splits) + 1)
    for place in range(len(splits)):
        node = places[place]
        left, right = tree["left_children"][node], tree["right_children"][node]
        if left < 0:
            places[2 * place + 1] = places[2 * place + 2] = node
            continue
        places[2 * place + 1], places[2 * place + 2] = left, right
        splits[place, 0] = tree["split_indices"][node]
        thresholds[place] = tree["split_conditions"][node]
    for leaf, node in enumerate(places[len(splits) :]):
        leaves[leaf] = tree["split_conditions"][node]
