"""Supernets: shared weights of a space, one-shot and differentiable training, in plain torch."""

from codesign.nn.supernet.co_search import CoSearched, CoSearchRecipe, CoSearchStep, co_search
from codesign.nn.supernet.cost import Cost, table_cost, weighted_cost
from codesign.nn.supernet.mixed import Mixed, bit_options, derive
from codesign.nn.supernet.one_shot import OneShotRecipe, extreme, train_supernet
from codesign.nn.supernet.shared import SharedWeights

__all__ = [
    "CoSearchRecipe",
    "CoSearchStep",
    "CoSearched",
    "Cost",
    "Mixed",
    "OneShotRecipe",
    "SharedWeights",
    "bit_options",
    "co_search",
    "derive",
    "extreme",
    "table_cost",
    "train_supernet",
    "weighted_cost",
]
