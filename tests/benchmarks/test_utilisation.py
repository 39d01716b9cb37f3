import pytest
import utilisation
from search_quality import PROBLEMS
from truth import joint_truth


def test_shares_are_of_the_bound_and_of_the_padding() -> None:
    truth = joint_truth("nbmacro")
    problem = PROBLEMS["macro accuracy | 5 ms, 256 DSP"]
    network, config = utilisation.winner(truth, problem)
    latency = truth.figure("latency_ms")[network, config]
    assert latency <= 5 and truth.pairs.hardware["dsp"][config] <= 256
    assert truth.pairs.accuracy[network] == truth.optimum(problem)
    found = utilisation.use(truth, network, config)
    assert found.outputs_match
    assert 0 < found.drained_utilisation <= found.drained_ceiling <= found.array_alone <= 1
    assert found.drained_utilisation < found.utilisation <= found.ceiling
    macs = (
        found.drained_utilisation * truth.cycles[network, config] * truth.pairs.configs[config].pes
    )
    units = truth.pairs.network_units(network)
    assert macs == pytest.approx(sum(count * unit.macs for unit, count in units))


@pytest.mark.long
def test_use_cases_have_different_optima() -> None:
    winners = {
        (problem.network.space, utilisation.winner(joint_truth(space), problem))
        for problem in PROBLEMS.values()
        if (space := str(problem.network.space))
    }
    assert len(winners) > len(PROBLEMS) / 2
    configs = {pair[1] for _, pair in winners}
    assert len(configs) >= 2
