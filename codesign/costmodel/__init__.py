"""Cost models: traces, features, closed form (T0) and XGBoost on its residual (T1)."""

from codesign.costmodel.collection import Collected, collect
from codesign.costmodel.features import FEATURE_NAMES, FEATURES, pair_features
from codesign.costmodel.metrics import Errors, SplitError
from codesign.costmodel.model import CostModel, Prediction
from codesign.costmodel.networks import UnitCounts
from codesign.costmodel.splits import Networks
from codesign.costmodel.traces import TraceRows, make_rows, read
from codesign.costmodel.training import evaluate, train
from codesign.costmodel.units import loaded, off_config, on_config, placed, settled

__all__ = [
    "FEATURES",
    "FEATURE_NAMES",
    "Collected",
    "CostModel",
    "Errors",
    "Networks",
    "Prediction",
    "SplitError",
    "TraceRows",
    "UnitCounts",
    "collect",
    "evaluate",
    "loaded",
    "make_rows",
    "off_config",
    "on_config",
    "pair_features",
    "placed",
    "read",
    "settled",
    "train",
]
