"""The outer loop: a problem in, the best pair with its certificate out."""

from codesign.search.evaluator import Evaluation, Evaluator, Pair
from codesign.search.loop import Study, search
from codesign.search.problem import (
    AccuracyChoice,
    Constraint,
    HardwareChoice,
    NetworkChoice,
    Objective,
    Problem,
)
from codesign.search.strategies import Setting, Strategy, strategy_names

__all__ = [
    "AccuracyChoice",
    "Constraint",
    "Evaluation",
    "Evaluator",
    "HardwareChoice",
    "NetworkChoice",
    "Objective",
    "Pair",
    "Problem",
    "Setting",
    "Strategy",
    "Study",
    "search",
    "strategy_names",
]
