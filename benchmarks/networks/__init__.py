"""Networks from public definitions, with random weights: what "any ONNX network" is tried on."""

from networks.definitions import NETWORKS, Network, named
from networks.prepare import constant_weight_macs, export, inputs, quantize

__all__ = ["NETWORKS", "Network", "constant_weight_macs", "export", "inputs", "named", "quantize"]
