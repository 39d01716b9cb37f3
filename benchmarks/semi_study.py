"""The semi-decoupled study of one table: every proxy against every target, and the whole search."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codesign.search.monotonicity import (
    choose_proxy,
    monotonicity,
    rank_correlations,
)
from codesign.search.semi_decoupled import (
    JointTable,
    Limits,
    coupled,
    evaluation_count,
    proxy_set,
    semi_decoupled,
    several_proxies,
)

K = 20
"""Pairs of limits in Stage 1, as published."""

ALIKE = 0.9
"""Spearman correlation from which on the published study calls performance monotone."""

LOSING = 0.3
"""Points of mean accuracy from which on a proxy counts as losing."""

_SAMPLE = 50
"""Networks that the monotonicity check looks at."""

_LEVELS = (np.arange(23) + 0.5) / 23
"""Quantiles of a target's figures at which it is limited; none is one that Stage 1 uses."""


@dataclass(frozen=True, eq=False)
class Study:
    """``macs`` [N] is the control's proxy. All losses are in points of accuracy.

    A target is limited in latency alone, in energy alone and in both, at 23 quantiles of its own
    figures each. Where no candidate keeps a limit, the least accurate network stands in.
    """

    name: str
    table: JointTable
    macs: np.ndarray
    configs: list[str]
    seed: int = 0

    @cached_property
    def spearman_latency(self) -> np.ndarray:
        return rank_correlations(self.table.latency)

    @cached_property
    def spearman_energy(self) -> np.ndarray:
        return rank_correlations(self.table.energy)

    @cached_property
    def spearman(self) -> np.ndarray:
        """The lower of latency's and energy's, float64 [proxy, target]."""
        return np.minimum(self.spearman_latency, self.spearman_energy)

    @cached_property
    def others(self) -> np.ndarray:
        """bool [proxy, target]: the two differ."""
        return ~np.eye(len(self.configs), dtype=bool)

    @cached_property
    def sets(self) -> list[np.ndarray]:
        """P of every configuration as the proxy."""
        table = self.table
        return [
            proxy_set(table.accuracy, table.latency[:, h], table.energy[:, h], K)
            for h in range(len(self.configs))
        ]

    @cached_property
    def macs_set(self) -> np.ndarray:
        """P from MAC counts in place of a proxy accelerator."""
        return proxy_set(self.table.accuracy, self.macs, self.macs, K)

    @cached_property
    def medoid(self) -> int:
        """The proxy that ranks most like all others, by latency."""
        return choose_proxy(self.table.latency)

    def _limits(self, target: int) -> tuple[np.ndarray, np.ndarray]:
        latency = np.quantile(self.table.latency[:, target], _LEVELS)
        energy = np.quantile(self.table.energy[:, target], _LEVELS)
        free = np.full(len(_LEVELS), np.inf)
        return np.concatenate([latency, free, latency]), np.concatenate([free, energy, energy])

    def _found(self, candidates: np.ndarray | slice, target: int) -> np.ndarray:
        """Accuracy of the best candidate under each of the target's limits."""
        table, (latency, energy) = self.table, self._limits(target)
        within = table.latency[candidates, target] <= latency[:, None]
        within &= table.energy[candidates, target] <= energy[:, None]
        worst = table.accuracy.min()
        return np.where(within, table.accuracy[candidates], worst).max(axis=1)

    @cached_property
    def optimum(self) -> np.ndarray:
        """Accuracy of the coupled answer float64 [target, limits]."""
        return np.stack([self._found(slice(None), t) for t in range(len(self.configs))])

    def found(self, candidates: np.ndarray) -> np.ndarray:
        """Accuracy of the candidates' answer float64 [target, limits]."""
        return np.stack([self._found(candidates, t) for t in range(len(self.configs))])

    @cached_property
    def answers(self) -> np.ndarray:
        """Accuracy found float64 [proxy, target, limits]."""
        return np.stack([self.found(candidates) for candidates in self.sets])

    @cached_property
    def loss(self) -> np.ndarray:
        """Against the coupled optimum, float64 [proxy, target, limits]."""
        return self.optimum - self.answers

    @cached_property
    def own_loss(self) -> np.ndarray:
        """Against the target as its own proxy, float64 [proxy, target, limits]; below 0 where
        the proxy's candidates happen to serve a limit better."""
        own = self.answers[np.arange(len(self.configs)), np.arange(len(self.configs))]
        return own - self.answers

    @cached_property
    def warned(self) -> np.ndarray:
        """bool [proxy, target]: the check on `_SAMPLE` random networks warns of the pair."""
        rng = np.random.default_rng(self.seed)
        chosen = rng.choice(len(self.macs), min(_SAMPLE, len(self.macs)), replace=False)
        figures = [self.table.latency[chosen], self.table.energy[chosen]]
        return np.stack(
            [
                monotonicity(figures, [each[:, h] for each in figures]).unsafe
                for h in range(len(self.configs))
            ]
        )

    # What the whole of Algorithm 1 loses ------------------------------------------------------
    @cached_property
    def queries(self) -> list[Limits]:
        """Limits over all pairs: five latencies and energies, with and without half of the
        greatest resource."""
        table = self.table
        known = np.isfinite(table.latency)
        levels = (0.02, 0.1, 0.3, 0.5, 0.8)
        latency = np.quantile(table.latency[known], levels)
        energy = np.quantile(table.energy[known], levels)
        return [
            Limits(float(a), float(b), float(h))
            for a, b in zip(latency, energy, strict=True)
            for h in (np.inf, table.resource.max() / 2)
        ]

    @cached_property
    def joint_optimum(self) -> np.ndarray:
        return np.array([coupled(self.table, limits).accuracy for limits in self.queries])

    def joint_loss(self, candidates: np.ndarray) -> np.ndarray:
        """Algorithm 1 with these candidates against the coupled optimum, float64 [queries];
        only limits that some pair keeps count."""
        found = np.array(
            [semi_decoupled(self.table, limits, candidates).accuracy for limits in self.queries]
        )
        known = np.isfinite(self.joint_optimum)
        return (self.joint_optimum - np.maximum(found, self.table.accuracy.min()))[known]

    # Figures -----------------------------------------------------------------------------------
    @cached_property
    def alike(self) -> np.ndarray:
        """bool [proxy, target]: other configurations whose Spearman is at least 0.9."""
        return self.others & (self.spearman >= ALIKE)

    @cached_property
    def losing(self) -> np.ndarray:
        """bool [proxy, target]: the mean over limits loses more than `LOSING` against the target
        as its own proxy."""
        return self.others & (self.own_loss.mean(axis=2) > LOSING)

    def mean_loss_alike(self) -> float:
        """Mean own loss over `alike`; a gain at one limit does not pay for a loss at another."""
        return float(np.maximum(self.own_loss, 0.0)[self.alike].mean()) if self.alike.any() else 0.0

    def figures(self) -> dict[str, object]:
        """The study in numbers; ``proxies`` has a row for each proxy tried."""
        off, networks, count = self.others, len(self.macs), len(self.configs)
        evaluations = evaluation_count(networks, count, K)
        control = self.optimum - self.found(self.macs_set)
        first, second = self._two_proxies()
        several = several_proxies(self.table, [first, second], K)
        worst = int(self.own_loss.mean(axis=(1, 2)).argmax())
        expanded = self._expanded(worst)
        return {
            "networks": networks,
            "configurations": count,
            "Spearman of latency, least": float(self.spearman_latency[off].min()),
            "Spearman of latency, median": float(np.median(self.spearman_latency[off])),
            "Spearman of energy, least": float(self.spearman_energy[off].min()),
            "Spearman of energy, median": float(np.median(self.spearman_energy[off])),
            "Spearman of MACs with latency, least": float(
                rank_correlations(np.column_stack([self.table.latency, self.macs]))[-1, :-1].min()
            ),
            "pairs with Spearman of at least 0.9, share": float(self.alike[off].mean()),
            "evaluations, coupled": networks * count,
            "evaluations, semi-decoupled": evaluations,
            "loss against coupled, mean": float(self.loss[off].mean()),
            "loss against own proxy, mean": float(self.own_loss[off].mean()),
            "loss against own proxy, Spearman >= 0.9, mean": float(
                self.own_loss[self.alike].mean() if self.alike.any() else 0.0
            ),
            "loss against own proxy, Spearman >= 0.9, greatest": float(
                self.own_loss[self.alike].max() if self.alike.any() else 0.0
            ),
            "loss against own proxy, greatest": float(self.own_loss[off].max()),
            "loss of the most alike proxy, mean": float(self.loss[self.medoid].mean()),
            "loss of the FLOPs proxy, mean": float(control.mean()),
            "loss of the FLOPs proxy, greatest": float(control.max()),
            "loss of two proxies together, mean": float(
                (self.optimum - self.found(several)).mean()
            ),
            "loss of the worst proxy, mean": float(self.loss[worst].mean()),
            "loss of the worst proxy with P of twice the size, mean": float(
                (self.optimum - self.found(expanded)).mean()
            ),
            "queries without loss, share": float((self.loss[off] <= 0).mean()),
            "pairs that lose more than 0.3": int(self.losing.sum()),
            "of these warned of": int((self.losing & self.warned).sum()),
            "pairs warned of though they lose at most 0.05, share": float(
                self.warned[off & (self.own_loss.mean(axis=2) <= 0.05)].mean()
            ),
            "whole search, FLOPs proxy, greatest loss": float(self.joint_loss(self.macs_set).max()),
            "proxies": self.proxies(),
        }

    def _two_proxies(self) -> tuple[int, int]:
        """The most alike configuration and the one least like it."""
        return self.medoid, int(self.spearman_latency[self.medoid].argmin())

    def _expanded(self, proxy: int) -> np.ndarray:
        table = self.table
        return proxy_set(
            table.accuracy, table.latency[:, proxy], table.energy[:, proxy], K, rounds=2
        )

    def proxies(self) -> list[dict[str, object]]:
        """What each proxy finds: by target, and as the proxy of the whole search."""
        rows: list[dict[str, object]] = []
        for h, name in enumerate(self.configs):
            others = self.others[h]
            joint = self.joint_loss(self.sets[h])
            rows.append(
                {
                    "proxy": name,
                    "candidates": len(self.sets[h]),
                    "mean Spearman, latency": float(self.spearman_latency[h, others].mean()),
                    "mean Spearman, energy": float(self.spearman_energy[h, others].mean()),
                    "loss, mean": float(self.loss[h, others].mean()),
                    "loss against own proxy, mean": float(self.own_loss[h, others].mean()),
                    "loss against own proxy, greatest": float(self.own_loss[h, others].max()),
                    "targets warned of": int(self.warned[h, others].sum()),
                    "whole search, median loss": float(np.median(joint)),
                    "whole search, greatest loss": float(joint.max()),
                }
            )
        return rows
