"""Network spaces, their ONNX export and where their accuracy comes from. Torch is loaded late."""

from codesign.nn.accuracy import (
    AccuracyKind,
    AccuracySource,
    CallableAccuracy,
    GivenAccuracy,
    TableAccuracy,
)
from codesign.nn.graph import Graph, GraphBuilder, Layers
from codesign.nn.nasbench201 import Cell, NasBench201
from codesign.nn.registry import load_network_space, space_names
from codesign.nn.space import NetworkSpace

__all__ = [
    "AccuracyKind",
    "AccuracySource",
    "CallableAccuracy",
    "Cell",
    "GivenAccuracy",
    "Graph",
    "GraphBuilder",
    "Layers",
    "NasBench201",
    "NetworkSpace",
    "TableAccuracy",
    "load_network_space",
    "space_names",
]
