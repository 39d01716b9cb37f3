"""Every rival fits and predicts; each that is tuned has the same budget."""

from __future__ import annotations

import numpy as np
import pytest
from samples import synthetic_rows

from codesign.costmodel.design import Design, make_design
from codesign.costmodel.rivals import BUDGET, RIVALS, Rival, tune


@pytest.fixture(scope="module")
def design() -> Design:
    return make_design(synthetic_rows())


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
def test_predicts_rows_it_was_not_fitted_on(design: Design, rival: Rival) -> None:
    rows = np.arange(len(design))
    train, test = rows[design.rows.config_ids < 9], rows[design.rows.config_ids >= 9]
    setting = {**rival.settings[0], "epochs": 20} if rival.name == "MLP" else rival.settings[0]
    found = rival.fit(design, train, 0, setting)(test)
    assert found.shape == test.shape
    assert np.isfinite(found).all()
    known = rival.fit(design, train, 0, setting)(train)
    assert np.corrcoef(known, np.log(design.cycles[train]))[0, 1] > 0.7
    np.testing.assert_array_equal(rival.fit(design, train, 0, setting)(test), found)


def test_the_tuning_budget_is_the_same() -> None:
    assert {len(rival.settings) for rival in RIVALS} == {1, BUDGET}


def test_tuning_takes_the_best_on_new_groups(design: Design) -> None:
    def constant(design: Design, rows: object, seed: int, setting: object):
        return lambda test: np.full(len(test), setting["log"])  # type: ignore[index]

    middle = float(np.median(np.log(design.cycles)))
    rival = Rival("constant", constant, ({"log": 0.0}, {"log": middle}, {"log": 99.0}))
    assert tune(rival, design, np.arange(len(design)), 0) == {"log": middle}
