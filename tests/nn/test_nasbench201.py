import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from codesign.costmodel import off_config
from codesign.errors import DataError, ModelError
from codesign.hw.loader import load_config
from codesign.kernels.workload import ConvWorkload, ElementwiseWorkload
from codesign.nn import Genotype, NasBench201, TableAccuracy, load_network_space

SPACE = NasBench201()
SKIP = Genotype(("skip_connect",) * 6)
NONE = Genotype(("none",) * 6)
MIXED = SPACE.from_json(
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|skip_connect~0|none~1|nor_conv_1x1~2|"
)


def test_all_networks_are_there_once_and_in_the_table() -> None:
    names = [SPACE.to_json(genotype) for genotype in SPACE.all()]
    assert SPACE.count() == len(names) == len(set(names)) == 15_625
    best = {"cifar10": 94.37, "cifar100": 73.51, "imagenet16-120": 47.31}
    for dataset, maximum in best.items():
        values = TableAccuracy("nasbench201", dataset).lookup(names)
        assert round(float(values.max()), 2) == maximum


def test_genotypes_survive_their_text() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        genotype = SPACE.sample(rng)
        assert SPACE.from_json(SPACE.to_json(genotype)) == genotype
        assert hash(SPACE.from_json(SPACE.to_json(genotype))) == hash(genotype)


@pytest.mark.parametrize(
    "text", ["", "|none~0|", "|conv~0|+|none~0|none~1|+|none~0|none~1|none~2|"]
)
def test_malformed_genotypes_are_explained(text: str) -> None:
    with pytest.raises(ModelError, match=r"malformed nasbench201 genotype .* the form is \|op~0\|"):
        SPACE.from_json(text)


def test_unknown_names_list_what_is_known() -> None:
    with pytest.raises(ModelError, match="unknown network space 'x'; known: nasbench201"):
        load_network_space("x")
    with pytest.raises(ModelError, match="unknown data set 'mnist'; allowed: cifar10, "):
        NasBench201("mnist")
    with pytest.raises(DataError, match="no accuracy table 'nasbench201 cifar10 test-12'"):
        TableAccuracy("nasbench201", "cifar10", "test-12")
    with pytest.raises(DataError, match="has no network 'y'"):
        TableAccuracy("nasbench201").lookup(["y"])


def test_layers_need_no_torch() -> None:
    script = (
        "import sys\nfrom codesign.nn import NasBench201\ns = NasBench201()\n"
        "s.layers(next(s.all()))\nassert 'torch' not in sys.modules and 'tvm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_relu_is_a_unit_only_where_others_read_its_input() -> None:
    # A chain of three convolutions: every ReLU but the first has a single-reader producer.
    chain = Genotype(("nor_conv_3x3", "none", "nor_conv_3x3", "none", "none", "nor_conv_3x3"))
    kinds = Counter(type(w) for w, n in SPACE.layers(chain) for _ in range(n))
    assert kinds[ConvWorkload] == 15 * 3 + 1 + 2 * 3 + 1 + 1  # cells, stem, reductions, norm, dense
    relus = [
        n for w, n in SPACE.layers(chain) if isinstance(w, ElementwiseWorkload) and w.operands == 1
    ]
    assert sum(relus) == 2  # the reductions read their input twice
    assert SPACE.layers(NONE) == ()


def test_onnx_files_are_reproducible_and_equal_the_torch_network(tmp_path: Path) -> None:
    import onnx
    import onnxruntime as ort
    import torch

    from codesign.nn.graph_module import initialise

    first = SPACE.to_onnx(MIXED, tmp_path / "a.onnx", seed=1).read_bytes()
    assert SPACE.to_onnx(MIXED, tmp_path / "b.onnx", seed=1).read_bytes() == first
    assert SPACE.to_onnx(MIXED, tmp_path / "c.onnx", seed=2).read_bytes() != first
    assert not [i for i in onnx.load(tmp_path / "a.onnx").graph.initializer if i.external_data]
    x = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype(np.float32)
    (ours,) = ort.InferenceSession(tmp_path / "a.onnx").run(None, {"x": x})
    with torch.no_grad():
        torchs = initialise(SPACE.build(MIXED), seed=1)(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(ours, torchs, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("genotype", [MIXED, SKIP, NONE], ids=["mixed", "all_skip", "all_none"])
def test_layers_equal_the_units_of_the_compiled_network(genotype: Genotype, tmp_path: Path) -> None:
    import codesign

    config = load_config("pynq")
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32)).astype(np.float32)
    path = SPACE.to_onnx(genotype, tmp_path / "net.onnx")
    package = codesign.compile(
        path, config, calibration={"x": x}, disabled=("fuse_additions", "fold_inputs")
    )
    units = Counter(off_config(unit.workload, config) for unit in package.units)
    assert units == Counter(dict(SPACE.layers(genotype)))
    assert package.run({"x": x}).outputs_match
