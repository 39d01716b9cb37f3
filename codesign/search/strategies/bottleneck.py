"""Search that moves the hardware knob of the module that bounds the network, and says why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from codesign.search.accounting import BATCH
from codesign.search.evaluation import Evaluation, Pair, Proposal
from codesign.search.ranking import rank
from codesign.search.strategies.base import Setting, option, read_options
from codesign.search.strategies.modules import MODULES, ModuleCycles
from codesign.search.strategies.surrogate import Surrogate, unpaid

_GAIN = 0.02
"""A knob is moved where the bound module gets at least so much faster."""
_FIRST = 256
"""Random pairs among which the first round takes those expected to keep the limits."""


@dataclass(frozen=True)
class BottleneckOptions:
    """Each round considers ``children`` of the ``parents`` best pairs: a network with one or two
    other decisions, whose hardware takes at most ``moves`` steps. ``optimism`` as in
    `Surrogate.merit`."""

    children: int = option(96, 1, 10_000)
    parents: int = option(16, 1, 1000)
    moves: int = option(3, 0, 16)
    optimism: float = option(0.5, 0.0, 10.0)


@dataclass(frozen=True)
class Move:
    """One knob turned: the configuration it leads to, and the reason."""

    config: int
    why: str


class Bottleneck:
    """Hill climbing of networks with hardware that follows.

    Where a child exceeds its limits, or the objective is no accuracy, the knob is moved that
    relieves the busiest module most. ``why`` has the reason of each pair proposed.
    """

    def __init__(self, setting: Setting) -> None:
        self.options = read_options(setting, BottleneckOptions)
        self.view, self._rng = setting.view, setting.rng
        self.surrogate = Surrogate(self.view)
        self.modules = ModuleCycles(self.view)
        self.why: dict[Pair, str] = {}
        self._paid: dict[Pair, Evaluation] = {}

    def ask(self, room: float) -> Sequence[Proposal]:
        wanted = min(BATCH, int(room + 1e-9))
        ranked = rank(list(self._paid.values()), self.view.objectives)
        parents = [e.pair for e in ranked[: self.options.parents]]
        reasons = self._children(parents) if parents else self._first()
        chosen = self.surrogate.best(reasons, self._paid, wanted, self.options.optimism)
        if len(chosen) < wanted:
            taken = {*self._paid, *chosen}
            rest = unpaid(self.view.shape, taken, wanted - len(chosen), self._rng)
            reasons = dict.fromkeys(rest, "random: no move led to a new pair") | reasons
            chosen += rest
        self.why |= {pair: reasons[pair] for pair in chosen}
        return [Proposal(pair) for pair in chosen]

    def tell(self, evaluations: Sequence[Evaluation]) -> None:
        self.surrogate.learn(evaluations)
        self._paid |= {e.pair: e for e in evaluations}

    def relieve(self, network: int, config: int) -> Move | None:
        """The knob, one step away from ``config``, that makes the network's busiest module
        fastest; None where nothing that keeps the hardware limits helps it."""
        near = self._neighbours(config)
        cycles = self.modules.of(network, [config, *near])
        if not near or np.isnan(cycles[:, 0]).any():
            return None
        busiest = int(np.argmax(cycles[:, 0]))
        # The module may have been relieved at the cost of another: the slowest of all counts.
        after = np.nan_to_num(cycles[:, 1:].max(axis=0), nan=np.inf)
        own = np.nan_to_num(cycles[busiest, 1:], nan=np.inf)
        place = int(np.lexsort([own, after])[0])
        before = float(cycles[busiest, 0])
        if after[place] > (1.0 - _GAIN) * before:
            return None
        return Move(near[place], self._reason(config, near[place], busiest, before, own[place]))

    def _reason(self, config: int, moved: int, busiest: int, before: float, after: float) -> str:
        old, new = self.view.configs[config], self.view.configs[moved]
        changed = np.flatnonzero(
            self.view.config_choices[config] != self.view.config_choices[moved]
        )
        knobs = ", ".join(self.view.config_fields[int(place)] for place in changed)
        return (
            f"{MODULES[busiest]} bounds on {old.name} ({before:.4g} busy cycles): "
            f"{knobs} moved, {new.name} needs {after:.4g}"
        )

    def _neighbours(self, config: int) -> list[int]:
        """Allowed configurations with one decision a step away."""
        row = self.view.config_choices[config]
        found: dict[int, None] = {}
        for place, count in enumerate(self.view.config_options):
            for step in (-1, 1):
                if 0 <= row[place] + step < count:
                    moved = row.copy()
                    moved[place] += step
                    found[self.view.config_at(moved)] = None
        allowed = self.view.allowed_configs
        return [other for other in found if other != config and allowed[other]]

    def _first(self) -> dict[Pair, str]:
        allowed = np.flatnonzero(self.view.allowed_configs)
        configs = allowed if len(allowed) else np.arange(self.view.shape[1])
        pairs = [
            Pair(
                int(self._rng.integers(self.view.shape[0])),
                int(configs[int(self._rng.integers(len(configs)))]),
            )
            for _ in range(_FIRST)
        ]
        return self._moved(dict.fromkeys(pairs, "random start"))

    def _children(self, parents: Sequence[Pair]) -> dict[Pair, str]:
        rng, options = self._rng, self.view.network_options
        found: dict[Pair, str] = {}
        for _ in range(self.options.children):
            parent = parents[int(rng.integers(len(parents), size=2).min())]
            row = self.view.network_choices[parent.network].copy()
            places = rng.integers(len(options), size=int(rng.integers(1, 3)))
            for place in map(int, places):
                row[place] = rng.integers(options[place])
            network = self.view.network_at(row)
            changed = ", ".join(dict.fromkeys(self.view.network_fields[int(p)] for p in places))
            why = f"{changed} changed in network {parent.network}"
            found.setdefault(Pair(network, parent.config), why)
        return self._moved(found)

    def _moved(self, reasons: Mapping[Pair, str]) -> dict[Pair, str]:
        """Pairs after the moves that their limits, or an objective that is no accuracy, call
        for."""
        pairs, texts = list(reasons), list(reasons.values())
        waiting = list(range(len(pairs)))
        for _ in range(self.options.moves):
            if not waiting:
                break
            networks = np.array([pairs[place].network for place in waiting], np.int64)
            configs = np.array([pairs[place].config for place in waiting], np.int64)
            if self.view.objectives[0].metric == "accuracy":
                over = self.surrogate.forecast.excess(networks, configs) > 0.0
                waiting = [place for place, is_over in zip(waiting, over, strict=True) if is_over]
            moved: list[int] = []
            for place in waiting:
                move = self.relieve(pairs[place].network, pairs[place].config)
                if move is not None:
                    pairs[place] = Pair(pairs[place].network, move.config)
                    texts[place] += "; " + move.why
                    moved.append(place)
            waiting = moved
        return dict(zip(pairs, texts, strict=True))
