"""Search strategies: each proposes pairs and learns from their evaluations."""

from codesign.search.strategies.base import (
    BATCH,
    Setting,
    Strategy,
    check_strategy,
    make_strategy,
    strategy_names,
)

__all__ = ["BATCH", "Setting", "Strategy", "check_strategy", "make_strategy", "strategy_names"]
