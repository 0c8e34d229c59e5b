"""`bench models list` and `bench models show`."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from harness.cli.models import models


@pytest.fixture
def bench(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments, columns=200):
        result = CliRunner(env={"COLUMNS": str(columns)}).invoke(models, arguments, catch_exceptions=False)
        assert result.exit_code == 0
        return result.stdout

    return run


def test_listing_needs_no_torch(tmp_path):
    code = (
        "import sys\nfrom click.testing import CliRunner\nfrom harness.cli.models import models\n"
        "assert CliRunner().invoke(models, ['list', 'mobile*']).exit_code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_show_describes_every_layer(bench):
    described = json.loads(bench("show", "mobilenet_v2_1.0@192", "--json"))["model"]
    cost = described["cost"]
    assert described["published_cost"] == {"parameters_m": "3.4", "multiply_adds_m": ""}
    assert any("batch normalization" in note for note in described["known_differences"])
    assert (cost["parameters"], cost["multiply_adds"]) == (3504872, 221316608)
    first = cost["layers"][0]
    assert (first["operator"], first["name"]) == ("Conv2d", "features.0.0")
    assert (first["input"], first["output"]) == ([3, 192, 192], [32, 96, 96])
    assert (first["kernel"], first["stride"], first["groups"]) == ([3, 3], [2, 2], 1)
    assert sum(layer["multiply_adds"] for layer in cost["layers"]) == cost["multiply_adds"]
    assert set(cost["peak"]) == {"layer", "bytes_32", "bytes_16"}


def test_show_prints_the_layers_and_the_sums(bench):
    printed = bench("show", "squeezenet_1.1")
    for words in ("features.0", "Conv2d", "3x224x224", "1x1 convolution", "1235496", "1.24 M", "memory access cost"):
        assert words in printed


def test_show_cuts_nothing_of_the_layers_on_a_narrow_terminal(bench):
    printed = bench("show", "mobilenet_v1_1.0", columns=80)
    table = printed[printed.index("multiply-") : printed.index("1x1 convolution")].splitlines()
    assert max(map(len, table)) <= 80
    assert "…" not in printed
    cells = [line.split()[1:] for line in table]
    assert ["Conv2d", "3x3/2", "g64", "64x112x112", "64x56x56", "576", "1806336"] in cells
