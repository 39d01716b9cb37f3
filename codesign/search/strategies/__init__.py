"""Search strategies: each proposes pairs and learns from their evaluations."""

from codesign.search.accounting import BATCH
from codesign.search.strategies.base import (
    INFORMED,
    NoOptions,
    Setting,
    Strategy,
    check_strategy,
    choice,
    make_strategy,
    option,
    read_options,
    strategy_names,
)

__all__ = [
    "BATCH",
    "INFORMED",
    "NoOptions",
    "Setting",
    "Strategy",
    "check_strategy",
    "choice",
    "make_strategy",
    "option",
    "read_options",
    "strategy_names",
]
