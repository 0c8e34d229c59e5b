"""One contract for every backend, held against real runtimes and real models."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import backends
from backends.base import Backend, Session, Unsupported
from tests.models import onnx_files
from tests.rigs.bench import DATA, SHAPES, tiny_pair

# Tools that time their inferences themselves are held against another: see test_benchmark_model.py, test_tools.py.
CASES = [
    (name, kind)
    for name in backends.BUILTIN
    for kind in backends.find(name).formats
    if backends.find(name).shows_outputs
]
OPTIONS = {"threads": 1, "precision": "fp32"}


def load(name: str, kind: str, path: Path | None = None, **options: object) -> Session:
    inputs = [{"name": "input", "dtype": "float32", "shape": list(SHAPES[kind])}]
    return backends.find(name)().load(str(path or tiny_model(name, kind)), inputs, {**OPTIONS, **options})


def tiny_model(name: str, kind: str) -> Path:
    return DATA / f"tiny.{kind}"


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case))
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


# The fake takes any model and any inputs.
reads_models = pytest.mark.parametrize("case", [case for case in CASES if case[0] != "fake"], ids="-".join)


def test_declares_what_the_host_needs_without_its_runtime(case: tuple[str, str]) -> None:
    backend = backends.find(case[0])
    assert issubclass(backend, Backend)
    assert backend.name == case[0]
    assert backend.packages
    assert backend.version(backend()).split()[0] in {*backend.packages, "fake"}


def test_computes_the_reference_output(case: tuple[str, str]) -> None:
    name, kind = case
    given, expected = tiny_pair(kind)
    session = load(name, kind)
    session.bind([("input", given)])
    session.run()
    outputs = session.outputs()
    if name != "fake":
        assert len(outputs) == 1
        np.testing.assert_allclose(outputs[0], expected, atol=1e-5)


def test_inputs_survive_repeated_runs(case: tuple[str, str]) -> None:
    name, kind = case
    session = load(name, kind)
    session.bind([("input", tiny_pair(kind)[0])])
    session.run()
    first = [np.array(output) for output in session.outputs()]
    for _ in range(5):
        session.run()
    for before, after in zip(first, session.outputs(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_actual_is_plain_json_with_the_threads_asked_for(case: tuple[str, str]) -> None:
    actual = load(*case, threads=2).actual()
    json.dumps(actual)
    assert int(actual["threads"]) == 2
    assert actual["precision"]


def test_unknown_option_is_unsupported_and_lists_the_known(case: tuple[str, str]) -> None:
    with pytest.raises(Unsupported, match=r"no option turbo; it has: \w+"):
        load(*case, turbo="on")


@reads_models
def test_garbage_is_an_error_not_a_crash(case: tuple[str, str], tmp_path: Path) -> None:
    name, kind = case
    garbage = tmp_path / f"model.{kind}"
    garbage.write_bytes((DATA / f"tiny.{kind}").read_bytes()[:500])
    with pytest.raises(Exception, match=r".+"):
        load(name, kind, garbage).run()


def test_openvino_is_pinned_to_f32() -> None:
    assert load("openvino", "onnx").actual()["precision"] == "f32"


def test_openvino_says_when_another_precision_was_asked_for() -> None:
    assert load("openvino", "onnx", inference_precision="bf16").actual()["precision"] in {"bf16", "f32"}


def test_onnxruntime_names_the_providers_there_are() -> None:
    with pytest.raises(
        Unsupported, match=r"no MoonExecutionProvider in this onnxruntime; it has: .*CPUExecutionProvider"
    ):
        load("onnxruntime", "onnx", providers="MoonExecutionProvider")


def test_onnxruntime_gives_an_output_named_twice_twice(tmp_path: Path) -> None:
    session = load("onnxruntime", "onnx", onnx_files.output_twice(tmp_path / "m.onnx"))
    session.bind([("x", np.float32([[-1, 2, -3, 4]]))])
    session.run()
    assert [output.tolist() for output in session.outputs()] == [[[0, 2, 0, 4]]] * 2


@pytest.mark.parametrize("spinning", ["on", "off"])
def test_onnxruntime_records_spinning(spinning: str) -> None:
    assert load("onnxruntime", "onnx", spinning=spinning).actual()["spinning"] == spinning


@pytest.mark.parametrize(
    ("name", "kind", "switch"), [("onnxruntime", "onnx", "spinning"), ("tflite", "tflite", "xnnpack")]
)
def test_a_switch_is_on_or_off(name: str, kind: str, switch: str) -> None:
    with pytest.raises(Unsupported, match=f"{name}.{switch} is on or off, not yes"):
        load(name, kind, **{switch: "yes"})


@reads_models
def test_wrong_number_of_inputs_is_unsupported(case: tuple[str, str]) -> None:
    name, kind = case
    given = tiny_pair(kind)[0]
    with pytest.raises(Unsupported, match="inputs"):
        load(name, kind).bind([("input", given), ("another", given)])


def test_unknown_backend_lists_those_there_are() -> None:
    with pytest.raises(
        backends.UnknownBackend, match="no backend is called 'tensorflow'; there are: onnxruntime, openvino"
    ):
        backends.find("tensorflow")


def test_looking_a_backend_up_does_not_import_its_runtime(bench: object) -> None:
    import subprocess
    import sys

    code = (
        "import sys, backends; [backends.find(name) for name in backends.BUILTIN];"
        "print({'onnxruntime', 'openvino', 'ai_edge_litert', 'numpy'} & set(sys.modules))"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "set()"
