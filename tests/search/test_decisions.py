import numpy as np

from codesign.hw.space import load_space
from codesign.search.decisions import Decisions, of_configs, of_space
from codesign.search.strategies.costs import Correction
from codesign.search.strategies.evolution import Evolution
from codesign.search.strategies.gaussian import NetworkKernel, Process
from codesign.search.view import View
from codesign.testing.strategies import toy_problem, toy_truth


def test_choices_find_their_point_or_the_nearest() -> None:
    points = Decisions(("a", "b"), (3, 3), np.array([[0, 0], [0, 2], [2, 1]], np.int64))
    assert [points.at(row) for row in ([0, 0], [0, 2], [2, 1])] == [0, 1, 2]
    assert points.at([0, 1]) == 0  # one choice away from two points, both one step
    assert points.at([2, 2]) == 2
    assert points.at([1, 2]) == 1


def test_a_space_is_told_by_its_axes_and_a_list_by_what_differs() -> None:
    space = load_space("neuhardco")
    configs = space.configs()
    found = of_space(space, configs)
    assert found.names == ("block_in", "block_out", "sram", "dataflow")
    assert found.options == (4, 4, 4, 3)
    assert len({row.tobytes() for row in found.choices}) == 192
    listed = of_configs(configs)
    assert len(listed.names) == 4 and sorted(listed.options) == [3, 4, 4, 4]
    assert len({row.tobytes() for row in listed.choices}) == 192
    assert of_configs(configs[:1]).choices.shape == (1, 0)


def test_the_process_grown_in_parts_is_the_exact_posterior() -> None:
    view = View(toy_problem(), toy_truth().pairs)
    networks = np.arange(40, dtype=np.int64)
    kernel = NetworkKernel(view, networks)
    seen, values = np.array([3, 9, 20, 21, 33]), np.array([1.0, -2.0, 0.5, 0.3, 4.0])
    process = Process(kernel, 40, 1)
    process.add(seen[:2], values[:2, None])
    process.add(seen[2:], values[2:, None])
    k = kernel.rows(networks).astype(float)
    inverse = np.linalg.inv(k[np.ix_(seen, seen)] + 0.01 * np.eye(5))
    expected = k[:, seen] @ inverse @ values
    variance = 1.0 - np.einsum("ij,jk,ik->i", k[:, seen], inverse, k[:, seen])
    np.testing.assert_allclose(process.mean(np.ones(1)), expected, atol=1e-4)
    np.testing.assert_allclose(process.variance, np.maximum(variance, 1e-6), atol=1e-4)
    np.testing.assert_allclose(np.diag(k), 1.0, atol=1e-5)


def test_the_correction_of_t0_learns_each_configuration() -> None:
    from codesign.search.evaluation import Pair, Proposal
    from codesign.search.replay import replay

    problem, truth = toy_problem(), toy_truth()
    view = View(problem, truth.pairs)

    class Fixed:
        rounds = 0

        def ask(self, room: float) -> list[Proposal]:
            self.rounds += 1
            rows = range(100 + 12 * self.rounds, 112 + 12 * self.rounds)
            return [Proposal(Pair(n, 5)) for n in rows] if self.rounds < 5 else []

        def tell(self, evaluations: object) -> None:
            """Nothing to learn."""

    bought = replay(problem, truth, lambda _: Fixed(), 0, 100.0).evaluations
    latency = Correction(view, "latency_ms")
    before = latency.spread
    latency.tell(bought)
    errors = np.log(truth.cycles / view.t0)[:, 5]
    assert abs(latency.offset[5] - np.nanmean(errors)) < 0.03
    assert 0 < latency.spread < 2 * np.nanstd(errors) + before
    assert Correction(view, "dsp").spread == 0.0


def test_evolution_climbs() -> None:
    rng = np.random.default_rng(0)
    evolution = Evolution((5, 5, 5, 5, 1), rng, population=16, tournament=6)
    first, last = [], []
    for step in range(300):
        row = evolution.ask()
        (first if step < 16 else last).append(sum(row))
        evolution.tell(row, (-float(sum(row)),))
    assert max(last) == 16 > max(first)
    assert np.mean(last[-50:]) > np.mean(first) + 2
