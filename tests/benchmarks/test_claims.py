import json

import pytest
from claims import Claim, Results


def test_every_benchmark_reports_its_seconds_and_machine(
    capsys: pytest.CaptureFixture[str],
) -> None:
    results = Results("a search")
    results.claims.append(Claim("found", 1.0, "", "1", True, (1.0,)))
    results.show(as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["seconds"] >= 0 and shown["environment"]["cores"] >= 1
    assert shown["claims"][0]["samples"] == [1.0] and results.exit_code == 0
    results.show(as_json=False)
    assert " s" in capsys.readouterr().out
