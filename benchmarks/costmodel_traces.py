"""The traces that the cost model is judged on: networks, configurations, pairs of both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from networks.workloads import mobilenet_v2, resnet

from codesign.costmodel import UnitCounts
from codesign.hw.config import VtaConfig
from codesign.hw.space import load_space
from codesign.kernels import Workload
from codesign.nn import MnasNet, NasBench201, NasBenchMacro, NetworkSpace

Layers = Sequence[tuple[Workload, int]]
SPACES = ("neuhardco", "edge", "portable")


@dataclass(frozen=True)
class Plan:
    """How many: networks drawn of each space, random pairs, and configurations of each space that
    are traced with every layer, so that whole networks have a truth there."""

    networks: int
    random_pairs: int
    whole_configs: int


FULL = Plan(networks=200, random_pairs=9000, whole_configs=12)
QUICK = Plan(networks=20, random_pairs=500, whole_configs=1)
_MNASNETS = 20
_PORTABLE_SAMPLE = 600


@dataclass(frozen=True)
class Judged:
    """``families``: name -> networks; ``pairs``: (layer, configuration) to trace, each once;
    ``whole``: the configurations on which all layers are; ``space_of``: configuration -> space."""

    families: Mapping[str, list[Layers]]
    pairs: list[tuple[Workload, VtaConfig]]
    whole: list[VtaConfig]
    space_of: Mapping[VtaConfig, str]


def judged(plan: Plan, seed: int) -> Judged:
    """The same networks, configurations and pairs for the same seed."""
    rng = np.random.default_rng([seed, 77])
    families = _families(plan, rng)
    layers = {name: UnitCounts.of(networks).units for name, networks in families.items()}
    configs = {name: _configs(name, rng) for name in SPACES}
    chosen = {
        name: [found[int(i)] for i in rng.choice(len(found), plan.whole_configs, replace=False)]
        for name, found in configs.items()
    }
    whole = [config for name in SPACES for config in chosen[name]]
    everything = dict.fromkeys(layer for units in layers.values() for layer in units)
    pairs = dict.fromkeys((layer, config) for config in whole for layer in everything)
    names = list(layers)
    target = len(pairs) + plan.random_pairs
    while len(pairs) < target:
        units = layers[names[int(rng.integers(len(names)))]]
        found = configs[SPACES[int(rng.integers(len(SPACES)))]]
        pair = units[int(rng.integers(len(units)))], found[int(rng.integers(len(found)))]
        pairs.setdefault(pair)
    space_of = {config: name for name in SPACES for config in configs[name]}
    order = rng.permutation(len(pairs))
    ordered = list(pairs)
    return Judged(families, [ordered[int(i)] for i in order], whole, space_of)


def _families(plan: Plan, rng: np.random.Generator) -> dict[str, list[Layers]]:
    def drawn(space: NetworkSpace, count: int) -> list[Layers]:
        networks = [space.layers(space.sample(rng)) for _ in range(count)]
        return [layers for layers in networks if layers]

    return {
        "nasbench201": drawn(NasBench201(), plan.networks),
        "nbmacro": drawn(NasBenchMacro(), plan.networks),
        "mnasnet": drawn(MnasNet(resolution=224, excitation=False), _MNASNETS),
        "mobilenet_v2": [
            mobilenet_v2(size, width) for size, width in ((224, 1.0), (160, 0.75), (128, 0.5))
        ],
        "resnet18": [resnet(depth, size) for depth in (18, 34) for size in (224, 160)],
        "resnet50": [resnet(50, size) for size in (224, 160)],
    }


def _configs(name: str, rng: np.random.Generator) -> list[VtaConfig]:
    space = load_space(name)
    if name == "portable":
        return list(space.sample(_PORTABLE_SAMPLE, rng))
    return space.configs()
