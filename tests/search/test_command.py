import json
from pathlib import Path

import numpy as np
import pytest

from codesign.cli import main
from codesign.nn import NasBench201


def test_onnx_candidates_from_problem_file_to_report(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    space = NasBench201()
    for name, cell in (
        ("small", "|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"),
        ("large", "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|"),
    ):
        space.to_onnx(space.from_json(cell), tmp_path / f"{name}.onnx")
    images = np.random.default_rng(0).standard_normal((4, 3, 32, 32)).astype(np.float32)
    np.savez(tmp_path / "images.npz", x=images)
    problem = tmp_path / "problem.toml"
    problem.write_text(
        """
[network]
onnx = ["small.onnx", "large.onnx"]
calibration = "images.npz"
[hardware]
configs = ["pynq", "neuhardco:32x32_256k_os"]
[accuracy]
source = "given"
values = [40.0, 60.5]
[search]
budget = 4
"""
    )
    store = str(tmp_path / "run.db")
    assert main(["search", str(problem), "--store", store, "--json"]) == 0
    text = capsys.readouterr().out
    assert main(["search", str(problem), "--store", store, "--json"]) == 0
    assert capsys.readouterr().out == text
    found = json.loads(text)
    assert found["best"]["network"].endswith("large.onnx")
    assert found["best"]["accuracy"] == 60.5
    assert found["certificate"]["proof"]["outputs_match"]
    assert found["certificate"]["cycles"]["package_equals_t2"]
    assert [pair["accuracy"] for pair in found["front"]] == [60.5, 40.0]
    assert {"best", "front", "certificate"} <= set(found)
    folder = Path(found["folder"])
    assert {p.name for p in folder.iterdir()} == {"winner.onnx", "winner.tar", "certificate.json"}
    assert json.loads((folder / "certificate.json").read_text()) == found["certificate"]
    page = tmp_path / "report.html"
    assert main(["report", store, "-o", str(page)]) == 0
    assert "large.onnx" in page.read_text()
    assert main(["search", str(problem), "--store", store]) == 0
    assert "60.5" in capsys.readouterr().out


def test_user_errors_have_exit_code_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", str(tmp_path / "no.toml")]) == 4
    assert "no such file" in capsys.readouterr().err
    assert main(["report", str(tmp_path / "no.db")]) == 4
    assert "does not exist" in capsys.readouterr().err
    assert main(["nn", "accuracy", "nasbench201", "x"]) == 4
    assert "malformed" in capsys.readouterr().err
    store = tmp_path / "run.db"
    store.write_text("results")
    assert main(["report", str(store), "-o", str(store)]) == 4
    assert "is a store that the report reads" in capsys.readouterr().err
    assert main(["report", "no.db", "--compare", str(store), "-o", str(store)]) == 4
    assert "is a store that the report reads" in capsys.readouterr().err
    assert store.read_text() == "results"
    with pytest.raises(SystemExit) as usage:
        main(["search", "p.toml", "--budget", "0"])
    assert usage.value.code == 2


def test_networks_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nn", "list", "--json"]) == 0
    listed = {row["name"]: row["networks"] for row in json.loads(capsys.readouterr().out)}
    assert listed["nasbench201"] == 15625 and listed["nbmacro"] == 6561
    path = tmp_path / "net.onnx"
    assert main(["nn", "sample", "nasbench201", "--seed", "0", "-o", str(path), "--json"]) == 0
    drawn = json.loads(capsys.readouterr().out)
    assert path.is_file() and drawn["weights"] == "untrained"
    assert main(["nn", "accuracy", "nasbench201", drawn["genotype"], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dataset"] == "cifar100"
