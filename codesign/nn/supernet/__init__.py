"""Supernets: shared weights of a space, one-shot and differentiable training, in plain torch."""

from codesign.nn.supernet.one_shot import OneShotRecipe, extreme, train_supernet
from codesign.nn.supernet.shared import SharedWeights

__all__ = ["OneShotRecipe", "SharedWeights", "extreme", "train_supernet"]
