"""`bench models diff`: real runtimes that agree and part, and one that computes an operator wrongly."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from harness.fleet import devices as fleet
from harness.link.manners import Manners
from harness.run.diff import Side
from harness.run.diff import diff as compare_both
from harness.run.plan import BackendChoice
from harness.workspace import Workspace
from models.diff.layout import Layout
from models.given import typed
from models.prepare import prepare
from models.sources.selection import resolve
from models.store import ArtifactStore
from tests.models import onnx_files
from tests.models.onnx_files import BOOL, INT64, value, weight, write
from tests.rigs import own_tflite
from tests.rigs.bench import ROOT, Bench
from tests.rigs.sshd import Sshd

_MODULE = '''
"""ONNX Runtime as somebody might have got it wrong: the operator `wrong` is replaced by another one.

With `fused` that is so only where nobody asks for this tensor, as with a fault in joining operators.
"""

import os

from backends.onnxruntime import OnnxRuntime


class Faulty(OnnxRuntime):
    name = "faulty"

    def load(self, path, inputs, options):
        import onnx

        options = dict(options)
        wrong, fused = options.pop("wrong", ""), options.pop("fused", None)
        refused = options.pop("refused", None)
        model = onnx.load(path, load_external_data=False)
        if refused in [node.op_type for node in model.graph.node] and len(model.graph.output) > 1:
            raise RuntimeError("this copy is too much for me")
        if fused not in [value.name for value in model.graph.output]:
            for node in model.graph.node:
                if node.op_type == wrong:
                    node.op_type = "Softplus"
        copy = path + "." + str(os.getpid())
        onnx.save(model, copy)
        try:
            return super().load(copy, inputs, options)
        finally:
            os.remove(copy)
'''


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A host where the package `faulty` with a backend is installed."""
    packages, folder = tmp_path / "packages", tmp_path / "host"
    (packages / "faulty-1.0.dist-info").mkdir(parents=True)
    (packages / "faulty.py").write_text(_MODULE)
    (packages / "faulty-1.0.dist-info" / "METADATA").write_text("Name: faulty\nVersion: 1.0\n")
    points = "[edgebench.backends]\nfaulty = faulty:Faulty\n"
    (packages / "faulty-1.0.dist-info" / "entry_points.txt").write_text(points)
    (folder / "tmp").mkdir(parents=True)
    return Bench(folder, {"PYTHONPATH": f"{ROOT}:{packages}", "TMPDIR": str(folder / "tmp")})


def chain(path: Path) -> Path:
    """Two convolutions with a Tanh and an Elu, a reshape by computed sizes, and a weight that is dequantized."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("Tanh", ["c"], ["t"], "squash"),
        helper.make_node("Conv", ["t", "k2"], ["c2"], "second"),
        helper.make_node("Elu", ["c2"], ["e"], "bend"),
        helper.make_node("Shape", ["e"], ["sizes"]),
        helper.make_node("Gather", ["sizes", "zero"], ["batch"]),
        helper.make_node("Concat", ["batch", "rest"], ["shape"], axis=0),
        helper.make_node("Reshape", ["e", "shape"], ["flat"]),
        helper.make_node("DequantizeLinear", ["q", "scale"], ["w"]),
        helper.make_node("Gemm", ["flat", "m", "w"], ["y"], "last"),
    ]
    initializers = [
        weight("k", (4, 3, 3, 3)),
        weight("k2", (4, 4, 5, 5)),
        weight("m", (4 * 12 * 12, 5)),
        numpy_helper.from_array(np.array([0], np.int64), "zero"),
        numpy_helper.from_array(np.array([-1], np.int64), "rest"),
        numpy_helper.from_array(np.arange(5, dtype=np.int8), "q"),
        numpy_helper.from_array(np.float32(0.01), "scale"),
    ]
    return write(path, nodes, [value("x", shape=(1, 3, 16, 16))], [value("y", shape=(1, 5))], initializers)


def diff(bench: Bench, model: Path | str, a: str, b: str, *more: str, expect: int = 0) -> dict[str, Any]:
    arguments = ("models", "diff", str(model), "--backend", a, "--backend", b, *more)
    return dict(bench.json(*arguments, expect=expect)["diff"])


def tensors(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {entry["tensor"]: entry for entry in report["tensors"]}


def test_two_right_runtimes_agree_in_every_tensor(bench: Bench) -> None:
    report = diff(bench, chain(bench.folder / "chain.onnx"), "onnxruntime", "openvino")
    assert (report["agrees"], report["first"], report["first_single"], report["threshold_db"]) == (
        True,
        None,
        None,
        60.0,
    )
    found = tensors(report)
    assert list(found) == ["c", "t", "c2", "e", "sizes", "batch", "shape", "flat", "w", "y"]
    assert all(entry["accumulated"]["snr_db"] > 100 for entry in found.values())
    # A weight that is computed from constants is the file's: no operator of its own.
    assert [name for name, entry in found.items() if entry["single"] is None] == ["w"]
    assert found["e"]["operator"] == {"kind": "Elu", "name": "bend"}
    assert report["outputs"][0]["tensor"] == "y"
    assert [side["backend"] for side in report["sides"]] == ["onnxruntime", "openvino"]
    said = bench("models", "diff", "chain.onnx", "--backend", "onnxruntime", "--backend", "openvino").stdout
    assert "none of 10 tensors parts (signal to noise below 60.0 dB)" in said


def test_another_precision_parts_at_the_first_convolution(bench: Bench) -> None:
    chain(bench.folder / "chain.onnx")
    report = diff(bench, "chain.onnx", "openvino", "openvino:inference_precision=bf16", expect=1)
    assert (report["first"], report["first_single"]) == ("c", "c")
    single = {name: entry["single"] for name, entry in tensors(report).items() if entry["single"]}
    assert {name for name, one in single.items() if one["parts"]} >= {"c", "c2"}
    assert not single["flat"]["elements"]
    loose = diff(bench, "chain.onnx", "openvino", "openvino:inference_precision=bf16", "--threshold", "20")
    assert loose["agrees"]


def test_a_wrong_operator_is_found(bench: Bench) -> None:
    """Everything behind it is wrong too, but alone it is the only one."""
    chain(bench.folder / "chain.onnx")
    report = diff(bench, "chain.onnx", "onnxruntime", "faulty:wrong=Elu", expect=1)
    found = tensors(report)
    assert (report["first"], report["first_single"], report["only_fused"]) == ("e", "e", False)
    assert [name for name, entry in found.items() if entry["accumulated"]["parts"]] == ["e", "flat", "y"]
    assert [name for name, entry in found.items() if entry["single"] and entry["single"]["parts"]] == ["e"]
    assert report["outputs"][0]["plain"]["parts"]
    said = bench(
        "models", "diff", "chain.onnx", "--backend", "onnxruntime", "--backend", "faulty:wrong=Elu", expect=1
    ).stdout
    assert "First tensor that parts\n  e, made by Elu bend\n" in said
    assert "    fed with     c2: the same\n" in said


def test_a_fault_of_joined_operators_is_told_and_found(bench: Bench) -> None:
    chain(bench.folder / "chain.onnx")
    report = diff(bench, "chain.onnx", "onnxruntime", "faulty:wrong=Elu,fused=c2", expect=1)
    assert report["first"] is None
    assert report["only_fused"]
    assert report["outputs"][0]["plain"]["parts"]
    assert report["fused"] == {"kind": "Conv", "name": "second"}


def test_a_copy_that_is_refused_costs_no_other_tensor(bench: Bench) -> None:
    """The runtime takes the model, and each operator by itself, but nothing with an Elu and two outputs."""
    chain(bench.folder / "chain.onnx")
    report = diff(bench, "chain.onnx", "onnxruntime", "faulty:refused=Elu")
    found = tensors(report)
    assert [name for name, entry in found.items() if entry["accumulated"]] == ["y"]
    assert [name for name, entry in found.items() if not entry["single"]] == ["w"]
    assert "this copy is too much for me" in found["c"]["untold"]


def test_a_random_operator_is_the_first_that_parts(bench: Bench) -> None:
    onnx_files.random(bench.folder / "random.onnx")
    report = diff(bench, "random.onnx", "onnxruntime", "onnxruntime", expect=1)
    assert (report["first"], report["first_single"]) == ("noise", "noise")
    assert tensors(report)["noise"]["operator"]["kind"] == "RandomNormalLike"


def test_what_branches_take_from_outside_is_fed_to_them(bench: Bench) -> None:
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("Mul", ["inner", f"w_{name}"], [f"y_{name}"])],
            name,
            [],
            [value(f"y_{name}")],
            [weight(f"w_{name}", (1, 4))],
        )
        for name in ("then", "else")
    }
    nodes = [
        helper.make_node("Exp", ["x"], ["inner"]),
        helper.make_node("If", ["flag"], ["y"], **branches),
        helper.make_node("SequenceConstruct", ["y", "inner"], ["both"]),
        helper.make_node("SequenceAt", ["both", "one"], ["z"]),
        helper.make_node("ArgMax", ["z"], ["ids"], axis=1),
    ]
    one = numpy_helper.from_array(np.int64(1), "one")
    outputs = [value("y"), value("ids", INT64, (1, 1))]
    write(bench.folder / "branches.onnx", nodes, [value("x"), value("flag", BOOL, ())], outputs, [one])
    report = diff(bench, "branches.onnx", "onnxruntime", "onnxruntime:spinning=off")
    found = tensors(report)
    assert found["both"]["dtype"] == ""
    assert found["both"]["accumulated"] is None
    assert all(found[name]["single"]["elements"] == 0 for name in ("inner", "y", "z", "ids"))


def test_weights_beside_the_file_and_old_files(bench: Bench) -> None:
    onnx_files.external(bench.folder / "external.onnx")
    onnx_files.old(bench.folder / "old.onnx")
    for name in ("external.onnx", "old.onnx"):
        report = diff(bench, name, "onnxruntime", "openvino")
        assert [entry["single"]["parts"] for entry in report["tensors"]] == [False]


def test_open_sizes_are_those_of_a_run(bench: Bench) -> None:
    onnx_files.image(bench.folder / "image.onnx")
    report = diff(bench, "image.onnx", "onnxruntime", "openvino", "--input-shape", "x=2,3,9,7")
    assert report["tensors"][0]["accumulated"]["shapes"] == [[2, 2, 9, 7], [2, 2, 9, 7]]


@pytest.mark.parametrize("b", ["tflite:xnnpack=off", "openvino"])
def test_tflite_files(bench: Bench, b: str) -> None:
    bench.copy_model("tflite")
    report = diff(bench, "tiny.tflite", "tflite", b)
    assert report["agrees"]
    assert [entry["operator"]["kind"] for entry in report["tensors"]][:2] == ["PAD", "CONV_2D"]
    assert all(entry["single"]["snr_db"] > 100 for entry in report["tensors"])


def test_the_graph_of_a_signature(bench: Bench) -> None:
    own_tflite.write(bench.folder, "t_two_signatures")
    both = (bench, "t_two_signatures.tflite", "tflite", "tflite:xnnpack=off", "--signature")
    found = {name: diff(*both, name)["tensors"] for name in ("large", "small")}
    assert [entry["single"]["shapes"][0] for entry in found["small"]] == [[1, 8]]
    assert [entry["single"]["shapes"][0] for entry in found["large"]] == [[1, 32]]


def test_what_hangs_on_a_state_has_no_single_error(bench: Bench) -> None:
    own_tflite.write(bench.folder, "t_running_sum")
    report = diff(bench, "t_running_sum.tflite", "tflite", "tflite:xnnpack=off")
    assert [entry["operator"]["kind"] for entry in report["tensors"] if not entry["single"]] == [
        "VAR_HANDLE",
        "READ_VARIABLE",
    ]


def test_a_precision_of_tflite_files_parts(bench: Bench) -> None:
    bench.copy_model("tflite")
    report = diff(bench, "tiny.tflite", "tflite", "openvino:inference_precision=bf16", expect=1)
    first = next(entry for entry in report["tensors"] if entry["tensor"] == report["first"])
    assert first["operator"]["kind"] == "CONV_2D"


def test_from_this_machine_to_one_over_ssh(bench: Bench, server: Sshd) -> None:
    chain(bench.folder / "chain.onnx")
    bench.environment["HOME"] = str(server.client)
    (bench.folder / "devices.toml").write_text(
        f'[devices.local]\ntransport = "local"\n\n[devices.box]\ntransport = "ssh"\nhost = "{server.address}"\n'
        f'port = {server.port}\nuser = "{server.user}"\nidentity_file = "{server.identity}"\n'
        f'python = "{sys.executable}"\n'
    )
    report = diff(
        bench, "chain.onnx", "onnxruntime", "faulty:wrong=Elu", "--device", "local", "--device", "box", expect=1
    )
    assert [side["device"] for side in report["sides"]] == ["local", "box"]
    assert report["first"] == "e"
    left = [path.name for path in (server.home / ".cache" / "edgebench" / "artifacts").rglob("*") if path.is_file()]
    assert not [name for name in left if not name.startswith(("model.", "io-"))]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--backend", "onnxruntime"), "--backend is given twice"),
        (("--backend", "onnxruntime", "--backend", "tflite"), "both must read one file"),
        (("--backend", "onnxruntime", "--backend", "openvino:bf16"), "is not NAME or NAME:KEY=VALUE"),
        (("--backend", "onnxruntime", "--backend", "nothing"), "no backend is called 'nothing'"),
        (
            ("--backend", "onnxruntime", "--backend", "openvino:speed=1"),
            "openvino:speed=1 on local: openvino has no option",
        ),
        (("--backend", "onnxruntime", "--backend", "benchmark_model"), "hands out no tensors"),
        (("--backend", "onnxruntime", "--backend", "openvino", *(["--device", "local"] * 3)), "once or twice"),
        (("--backend", "onnxruntime", "--backend", "openvino", "--device", "moon"), "moon"),
    ],
)
def test_mistakes(bench: Bench, arguments: tuple[str, ...], words: str) -> None:
    chain(bench.folder / "chain.onnx")
    assert words in bench("models", "diff", "chain.onnx", *arguments, expect=2).stderr


def test_half_precision(bench: Bench) -> None:
    """What no NumPy array holds is left out, and what comes behind it is not."""
    nodes = [
        helper.make_node("Cast", ["x"], ["narrow"], to=TensorProto.BFLOAT16),
        helper.make_node("Cast", ["narrow"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Relu", ["wide"], ["y"]),
    ]
    write(bench.folder / "narrow.onnx", nodes, [value("x")], [value("y")])
    report = diff(bench, "narrow.onnx", "onnxruntime", "onnxruntime")
    assert [(entry["dtype"], entry["single"] is not None) for entry in report["tensors"]] == [
        ("", False),
        ("float32", True),
        ("float32", True),
    ]


def test_in_parts_the_same_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large model is computed in parts, of which each is fed with what earlier ones have made."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    workspace = Workspace(tmp_path / "workspace")
    store = ArtifactStore(workspace.artifacts)
    (prepared,) = prepare(resolve([str(chain(tmp_path / "chain.onnx"))], typed((), (), None)), store)
    (artifact,) = prepared.artifacts.values()
    device = fleet.make("local", {"transport": "local"})
    choices = (BackendChoice("openvino"), BackendChoice("openvino", {"inference_precision": "bf16"}))
    sides = (Side(choices[0], device), Side(choices[1], device))
    whole = compare_both(artifact, sides, 60.0, workspace, Manners())
    monkeypatch.setattr(Layout, "batches", lambda self: [(0, 1), (1, 4), (4, 8), (8, len(self.operators))])
    parted = compare_both(artifact, sides, 60.0, workspace, Manners())
    apart = [{number: one.parts for number, one in report.single.items()} for report in (whole, parted)]
    assert apart[0] == apart[1]
    assert parted.accumulated.keys() == whole.accumulated.keys()
    assert parted.first(parted.accumulated) == whole.first(whole.accumulated)
    assert not list((workspace.artifacts / "partial").iterdir())
