"""Algorithm 1 against brute force, Proposition 3.1, the remedies, the counters, the warning."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codesign.search.monotonicity import choose_proxy, monotonicity, rank_correlations
from codesign.search.semi_decoupled import (
    JointTable,
    Limits,
    candidate_set,
    constraint_pairs,
    coupled,
    decoupled,
    evaluation_count,
    pareto_front,
    proxy_set,
    semi_decoupled,
    several_proxies,
)


def toy(seed: int, networks: int = 12, configs: int = 5) -> JointTable:
    """Small integers, so that ties occur; some pairs cannot be built."""
    rng = np.random.default_rng(seed)
    latency = rng.integers(1, 9, (networks, configs)).astype(float)
    latency[rng.random(latency.shape) < 0.1] = np.inf
    return JointTable(
        rng.integers(50, 60, networks).astype(float),
        latency,
        rng.integers(1, 9, (networks, configs)).astype(float),
        rng.integers(1, 4, configs).astype(float),
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_front_holds_what_nothing_before_it_equals_or_beats(seed: int, networks: int) -> None:
    table = toy(seed, networks, 1)
    accuracy, latency, energy = table.accuracy, table.latency[:, 0], table.energy[:, 0]
    order = np.lexsort([np.arange(networks), energy, latency, -accuracy])
    wanted: list[int] = []
    for n in order.tolist():
        beaten = [latency[k] <= latency[n] and energy[k] <= energy[n] for k in wanted]
        if np.isfinite(latency[n]) and not any(beaten):
            wanted.append(n)
    assert pareto_front(accuracy, latency, energy).tolist() == wanted


def monotone(seed: int, networks: int = 60, configs: int = 6) -> JointTable:
    """Every configuration ranks the networks alike, each on a scale of its own."""
    rng = np.random.default_rng(seed)
    latency, energy = rng.permutation(networks) + 1.0, rng.permutation(networks) + 1.0
    powers = rng.uniform(0.5, 2.0, configs)
    scales = rng.uniform(0.1, 10.0, configs)
    return JointTable(
        rng.uniform(60, 75, networks),
        scales * latency[:, None] ** powers,
        scales * energy[:, None] ** powers[::-1],
        np.ones(configs),
    )


def low_rank(seed: int, networks: int = 400, configs: int = 8) -> JointTable:
    """Half of the configurations rank networks nearly independently of the other half."""
    rng = np.random.default_rng(seed)
    kind = rng.uniform(1, 10, (2, networks))
    weight = np.where(np.arange(configs) < configs // 2, 0.95, 0.05)[:, None]
    latency = (weight * kind[0] + (1 - weight) * kind[1]).T
    accuracy = 60 + 1.5 * kind.sum(axis=0) + rng.normal(0, 1, networks)
    return JointTable(accuracy, latency, latency * 2.0, np.ones(configs))


def brute_force(table: JointTable, limits: Limits) -> float:
    """Eq. 1 under Eq. 2-4, pair by pair."""
    best = -np.inf
    for a, h in itertools.product(*map(range, table.shape)):
        keeps = (
            table.latency[a, h] <= limits.latency
            and table.energy[a, h] <= limits.energy
            and table.resource[h] <= limits.resource
        )
        if keeps and np.isfinite(table.latency[a, h]):
            best = max(best, table.accuracy[a])
    return float(best)


LIMITS = st.builds(
    Limits,
    st.one_of(st.floats(1, 9), st.just(np.inf)),
    st.one_of(st.floats(1, 9), st.just(np.inf)),
    st.one_of(st.floats(0.5, 4), st.just(np.inf)),
)


@given(st.integers(0, 10_000), LIMITS)
def test_coupled_is_the_brute_force_answer_to_equations_1_to_4(seed: int, limits: Limits) -> None:
    table = toy(seed)
    answer = coupled(table, limits)
    assert answer.accuracy == brute_force(table, limits)
    assert (answer.network is None) == np.isinf(answer.accuracy)


@given(st.integers(0, 10_000), LIMITS)
def test_algorithm_1_equals_brute_force_over_its_two_stages(seed: int, limits: Limits) -> None:
    table, proxy = toy(seed), seed % 5
    pairs = [(2.0, 9.0), (4.0, 3.0), (9.0, 9.0), (0.5, 0.5)]
    candidates = candidate_set(
        table.accuracy, table.latency[:, proxy], table.energy[:, proxy], pairs
    )
    expected = []
    for latency_limit, energy_limit in pairs:  # Stage 1 by hand
        fits = [
            a
            for a in range(table.shape[0])
            if table.latency[a, proxy] <= latency_limit and table.energy[a, proxy] <= energy_limit
        ]
        if fits:
            expected.append(
                min(
                    fits,
                    key=lambda a: (
                        -table.accuracy[a],
                        table.latency[a, proxy],
                        table.energy[a, proxy],
                        a,
                    ),
                )
            )
    assert candidates.tolist() == list(dict.fromkeys(expected))
    # Stage 2 by hand: a*(h) for every feasible h, then the most accurate of them.
    rows = JointTable(
        table.accuracy[candidates], table.latency[candidates], table.energy[candidates],
        table.resource,
    )  # fmt: skip
    answer = semi_decoupled(table, limits, candidates)
    assert answer.accuracy == (brute_force(rows, limits) if len(candidates) else -np.inf)
    if answer.network is not None and answer.config is not None:
        assert answer.network in candidates
        assert table.feasible(limits)[answer.network, answer.config]


@given(st.integers(0, 10_000), st.integers(1, 20), st.integers(1, 2))
def test_equal_rankings_give_equal_candidates_on_every_proxy(
    seed: int, count: int, rounds: int
) -> None:
    table = monotone(seed)
    sets = [
        proxy_set(table.accuracy, table.latency[:, h], table.energy[:, h], count, rounds)
        for h in range(table.shape[1])
    ]
    for other in sets[1:]:
        assert other.tolist() == sets[0].tolist()


def test_with_equal_rankings_a_full_candidate_set_loses_nothing() -> None:
    table = monotone(3)
    candidates = proxy_set(table.accuracy, table.latency[:, 0], table.energy[:, 0], 60)
    for latency in np.quantile(table.latency, [0.1, 0.4, 0.8]):
        limits = Limits(latency=float(latency))
        found = semi_decoupled(table, limits, candidates)
        assert found.accuracy == coupled(table, limits).accuracy


def loss(table: JointTable, candidates: np.ndarray) -> float:
    """Mean loss against the coupled optimum, over each configuration alone and nine limits."""
    losses = []
    for h in range(table.shape[1]):
        alone = JointTable(
            table.accuracy, table.latency[:, [h]], table.energy[:, [h]], table.resource[[h]]
        )
        for latency in np.quantile(table.latency[:, h], np.arange(1, 10) / 10):
            limits = Limits(latency=float(latency))
            best = coupled(alone, limits).accuracy
            found = semi_decoupled(alone, limits, candidates).accuracy
            losses.append(best - max(found, table.accuracy.min()))
    return float(np.mean(losses))


@pytest.mark.parametrize("seed", range(3))
def test_remedies_lower_the_loss_where_rank_correlation_is_low(seed: int) -> None:
    table = low_rank(seed)
    assert rank_correlations(table.latency).min() < 0.3
    one = proxy_set(table.accuracy, table.latency[:, 0], table.energy[:, 0], 10)
    expanded = proxy_set(table.accuracy, table.latency[:, 0], table.energy[:, 0], 10, rounds=4)
    several = several_proxies(table, [0, table.shape[1] - 1], 10)
    assert set(one.tolist()) <= set(expanded.tolist())
    assert loss(table, expanded) < 0.9 * loss(table, one)
    assert loss(table, several) < 0.5 * loss(table, one)


def test_counters_are_the_formulas_of_the_paper() -> None:
    table = monotone(1, networks=100, configs=7)
    limits = Limits(latency=float(np.median(table.latency)))
    candidates = proxy_set(table.accuracy, table.latency[:, 2], table.energy[:, 2], 5)
    assert len(candidates) == 5
    assert coupled(table, limits).evaluations == 100 * 7
    assert decoupled(table, limits, 0).evaluations == 100 + 7
    assert semi_decoupled(table, limits, candidates).evaluations == 100 + 5 * (7 - 1)
    assert evaluation_count(1017, 133, 20) == 3657
    assert 1017 * 133 / evaluation_count(1017, 133, 20) > 36.9


def test_pairs_of_limits_keep_the_fastest_network_and_the_most_accurate() -> None:
    table = monotone(5)
    latency, energy = table.latency[:, 0], table.energy[:, 0]
    pairs = constraint_pairs(table.accuracy, latency, energy, 8)
    found = candidate_set(table.accuracy, latency, energy, pairs)
    assert len(pairs) == len(found) == 8
    assert table.accuracy.argmax() in found
    assert np.median(latency) > latency[found].min()


def test_spearman_agrees_with_the_rank_correlation_of_pairs() -> None:
    from codesign.costmodel.metrics import spearman

    figures = np.random.default_rng(0).integers(0, 6, (40, 4)).astype(float)
    found = rank_correlations(figures)
    for a, b in itertools.product(range(4), repeat=2):
        assert found[a, b] == pytest.approx(spearman(figures[:, a], figures[:, b]))


def test_a_constant_column_correlates_with_nothing_that_varies() -> None:
    found = rank_correlations(np.array([[1.0, 5.0, 2.0], [2.0, 5.0, 2.0], [3.0, 5.0, 2.0]]))
    assert found.tolist() == [[pytest.approx(1.0), 0, 0], [0, 1, 1], [0, 1, 1]]


def test_the_chosen_proxy_is_of_the_majority() -> None:
    table = low_rank(0, configs=9)  # five of the nine rank alike
    assert choose_proxy(table.latency) >= 4


def test_the_check_warns_where_rankings_differ_and_not_where_they_agree() -> None:
    safe, unsafe = monotone(0), low_rank(0)
    agreed = monotonicity([safe.latency, safe.energy], [safe.latency[:, 0], safe.energy[:, 0]])
    assert agreed.warning is None and not agreed.unsafe.any()
    sample = np.random.default_rng(0).choice(unsafe.shape[0], 40, replace=False)
    checked = monotonicity([unsafe.latency[sample]], [unsafe.latency[sample, 0]])
    assert checked.unsafe.tolist() == [False] * 4 + [True] * 4
    assert checked.warning is not None
    assert "4 of 8 configurations" in checked.warning and "on 40 networks" in checked.warning
