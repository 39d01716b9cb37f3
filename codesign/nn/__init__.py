"""Network spaces, their ONNX export and where their accuracy comes from. Torch is loaded late."""

from codesign.nn.accuracy import (
    AccuracyKind,
    AccuracySource,
    CallableAccuracy,
    GivenAccuracy,
)
from codesign.nn.graph import Graph, GraphBuilder, Layers
from codesign.nn.mnasnet import MnasNet
from codesign.nn.nasbench201 import NasBench201
from codesign.nn.nbmacro import NasBenchMacro
from codesign.nn.predicted import PredictedAccuracy
from codesign.nn.registry import load_network_space, space_names
from codesign.nn.space import Decision, Genotype, NetworkSpace
from codesign.nn.tables import TableAccuracy
from codesign.nn.tunable import TunableSpace, choice

__all__ = [
    "AccuracyKind",
    "AccuracySource",
    "CallableAccuracy",
    "Decision",
    "Genotype",
    "GivenAccuracy",
    "Graph",
    "GraphBuilder",
    "Layers",
    "MnasNet",
    "NasBench201",
    "NasBenchMacro",
    "NetworkSpace",
    "PredictedAccuracy",
    "TableAccuracy",
    "TunableSpace",
    "choice",
    "load_network_space",
    "space_names",
]
