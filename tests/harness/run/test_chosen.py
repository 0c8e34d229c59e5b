"""Which files are run for the precisions that were asked for is a pure function of what there is."""

from __future__ import annotations

import pytest

from harness.fleet.devices import Device
from harness.run import chosen, plan
from harness.run.chosen import Files, PlannedModel
from harness.run.plan import BackendChoice

LOCAL = Device(name="local", transport="local")


def files(kind: str, precision: str, method: str = "", **more: object) -> Files:
    return Files(kind, precision, "a" * 64, "b" * 64, method=method, **more)  # type: ignore[arg-type]


ZOO = PlannedModel(
    "net",
    [
        files("onnx", "fp32"),
        files("onnx", "fp16", "cast"),
        files("onnx", "int8", "qdq"),
        files("onnx", "int8", "nncf"),
        files("tflite", "fp32"),
        files("tflite", "int8", "static"),
    ],
)
ALL = ("fp32", "fp16", "bf16", "int8")


def words(model: PlannedModel, backend: str, *precisions: str) -> list[str]:
    found = chosen.choose(model, backend, precisions)
    return [one.unsupported or f"{one.precision} {one.method}".strip() for one in found]


def test_every_runtime_has_its_ways_and_says_what_it_cannot_do() -> None:
    no_bf16 = "ONNX Runtime's CPU provider has no kernels for bf16"
    assert words(ZOO, "onnxruntime", *ALL) == ["fp32", "fp16 cast", no_bf16, "int8 qdq"]
    assert words(ZOO, "openvino", *ALL) == ["fp32", "fp16 hint", "bf16 hint", "int8 qdq", "int8 nncf"]
    assert words(ZOO, "tflite", "bf16", "int8") == ["TFLite's CPU kernels do not compute in bf16", "int8 static"]
    assert words(ZOO, "tflite", "fp16") == ["fp16 is made of an fp32 file, and net is there in fp32"]


def test_without_precisions_what_was_made_of_others_is_left_alone() -> None:
    for backend in ("onnxruntime", "openvino", "tflite"):
        assert words(ZOO, backend) == ["fp32"]


def test_a_hint_runs_the_fp32_file_with_an_option_of_the_backend() -> None:
    (case,) = plan.build_cases([LOCAL], [ZOO], [BackendChoice("openvino")], [1], ["bf16"])
    assert (case.precision, case.method, case.options) == ("bf16", "hint", {"inference_precision": "bf16"})
    assert plan.file_key(case) == ("net", "onnx", "fp32", "")
    (plain,) = plan.build_cases([LOCAL], [ZOO], [BackendChoice("openvino")], [1], ["fp32"])
    assert plain.case_id != case.case_id
    # Asked for or not, the same question has the same id.
    assert [plain] == plan.build_cases([LOCAL], [ZOO], [BackendChoice("openvino")], [1])


def test_a_file_of_ones_own_runs_as_it_is_in_its_precision_and_in_no_other() -> None:
    own = PlannedModel("own", [files("tflite", "int8")])
    assert words(own, "tflite", "int8") == ["int8"]
    assert words(own, "tflite", "fp16", "fp32") == [
        "fp16 is made of an fp32 file, and own is there in int8",
        "fp32 is made of an fp32 file, and own is there in int8",
    ]
    fp32 = PlannedModel("own", [files("tflite", "fp32")])
    assert words(fp32, "openvino", "int8") == ["openvino runs int8 of onnx files; own is there as tflite"]
    assert words(fp32, "onnxruntime", "fp32", "int8") == ["onnxruntime reads onnx; the model is there as tflite"] * 2


def test_a_file_that_nobody_has_read_yet_is_one_case() -> None:
    own = PlannedModel("own", [Files("onnx", "unknown", failure="damaged")])
    cases = plan.build_cases([LOCAL], [own], [BackendChoice("onnxruntime")], [1], ["fp32", "int8"])
    assert [plan.export_failure(case, own) for case in cases] == ["damaged"]


@pytest.mark.parametrize("is_unsupported", [False, True])
def test_what_could_not_be_made_is_told_by_its_own_case(is_unsupported: bool) -> None:
    lost = Files("onnx", "int8", failure="NNCF gave up", is_unsupported=is_unsupported, method="nncf")
    model = PlannedModel("net", [files("onnx", "fp32"), files("onnx", "int8", "qdq"), lost])
    cases = plan.build_cases([LOCAL], [model], [BackendChoice("openvino")], [1], ["fp32", "int8"])
    told = [case.unsupported or plan.export_failure(case, model) for case in cases]
    assert told == [None, None, "NNCF gave up"]
    assert bool(cases[2].unsupported) is is_unsupported
