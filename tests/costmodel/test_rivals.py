"""Every rival fits and predicts; each that is tuned has the same budget."""

from __future__ import annotations

import numpy as np
import pytest
from samples import synthetic_rows

from codesign.costmodel.design import Design, make_design
from codesign.costmodel.rivals import RIVALS, Rival
from codesign.costmodel.training import SETTINGS


@pytest.fixture(scope="module")
def design() -> Design:
    return make_design(synthetic_rows())


@pytest.mark.parametrize("rival", RIVALS, ids=lambda rival: rival.name)
def test_predicts_rows_it_was_not_fitted_on(design: Design, rival: Rival) -> None:
    rows = np.arange(len(design))
    train, test = rows[design.rows.config_ids < 9], rows[design.rows.config_ids >= 9]
    short = {"epochs": 20} if rival.name == "MLP" else {}
    settings = ({**rival.settings[0], **short},)
    found = rival.fit(design, train, 0, settings)(test)
    assert found.shape == test.shape
    assert np.isfinite(found).all()
    known = rival.fit(design, train, 0, settings)(train)
    assert np.corrcoef(known, np.log(design.cycles[train]))[0, 1] > 0.7
    np.testing.assert_array_equal(rival.fit(design, train, 0, settings)(test), found)


def test_the_tuning_budget_is_that_of_t1() -> None:
    assert {len(rival.settings) for rival in RIVALS} == {1, len(SETTINGS)}


@pytest.mark.parametrize("name", ["XGBoost, no residual", "Gaussian process"])
def test_tuning_takes_the_best_on_new_groups(design: Design, name: str) -> None:
    useless: dict[str, dict[str, object]] = {
        "XGBoost, no residual": {"eta": 1e-6},
        "Gaussian process": {"points": 2, "kernel": "rbf"},
    }
    rival = next(rival for rival in RIVALS if rival.name == name)
    rows = np.arange(len(design))
    good = rival.settings[0]
    best = rival.fit(design, rows, 0, (useless[name], good))(rows)
    np.testing.assert_array_equal(best, rival.fit(design, rows, 0, (good,))(rows))
