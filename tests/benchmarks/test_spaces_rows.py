"""Claims of the benchmark of random networks, from rows as they are stored."""

from typing import Any

import pytest
import spaces

ROW: dict[str, Any] = {
    "space": "nbmacro", "genotype": "0", "error": "", "outputs_match": True, "layers_match": True,
    "cpu_seconds": 60.0,
}  # fmt: skip
FAILED = {"space": "nbmacro", "genotype": "1", "error": "ModelError: no"}


@pytest.mark.parametrize(
    ("second", "held"),
    [
        (ROW, [True, True]),
        (ROW | {"outputs_match": False}, [False, True]),
        (ROW | {"layers_match": False}, [True, False]),
        (FAILED, [False, False]),
    ],
)
def test_every_network_must_run_exactly_with_the_layers_named(
    second: dict[str, Any], held: list[bool]
) -> None:
    rows = [ROW, second]
    assert [claim.holds for claim in spaces.claims("nbmacro", rows, 2)] == held
    failures, minutes = spaces.totals(rows, 2)
    assert failures.value == (0 if all(held) else 1)
    assert failures.holds == all(held)
    assert minutes.value == (0.5 if second is FAILED else 1.0)


def test_what_is_missing_holds_nothing() -> None:
    made = [*spaces.claims("nbmacro", [ROW], 2), *spaces.totals([ROW], 2)]
    assert not any(claim.holds for claim in made)


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    assert spaces.drawn("mobilenet8", 5, 0)[:3] == spaces.drawn("mobilenet8", 3, 0)


def test_drawn_networks_differ() -> None:
    assert len(set(spaces.drawn("nasbench201", 2000, 0))) == 2000


def test_rows_of_a_space_are_keyed_by_its_own_source() -> None:
    assert spaces.key_of("nbmacro") != spaces.key_of("naf")
    assert spaces.key_of("nahas-s1") == spaces.key_of("nahas-s2")
