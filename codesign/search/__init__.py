"""The outer loop: a problem in, the best pair with its certificate out."""

from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.evaluator import Evaluator
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
from codesign.search.view import View

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
    "Proposal",
    "Setting",
    "Strategy",
    "Study",
    "View",
    "search",
    "strategy_names",
]
