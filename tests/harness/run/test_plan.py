"""Cases and their order are pure functions of what was asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.fleet.devices import Device
from harness.run import plan
from harness.run.chosen import Files, PlannedModel
from harness.run.plan import PROFILES, BackendChoice

LOCAL = Device(name="local", transport="local", threads=(1, 2))
FILES = Files("onnx", "fp32", "a" * 64, "b" * 64)
BOTH = PlannedModel("net", [FILES, Files("tflite", "fp32", "c" * 64, "d" * 64)])
ONNX = PlannedModel("own", [FILES])
RUNTIMES = [BackendChoice("onnxruntime"), BackendChoice("openvino"), BackendChoice("tflite")]


def test_every_model_backend_and_thread_count_is_a_case() -> None:
    cases = plan.build_cases([LOCAL], [BOTH, ONNX], RUNTIMES, None)
    assert len(cases) == 2 * 3 * 2
    assert len({case.case_id for case in cases}) == len(cases)
    assert {case.threads for case in plan.build_cases([LOCAL], [BOTH], RUNTIMES, [4])} == {4}


def test_a_backend_gets_the_format_it_reads_best() -> None:
    chosen = {case.backend: case.artifact_format for case in plan.build_cases([LOCAL], [BOTH], RUNTIMES, [1])}
    assert chosen == {"onnxruntime": "onnx", "openvino": "onnx", "tflite": "tflite"}


def test_openvino_takes_tflite_where_there_is_nothing_else() -> None:
    model = PlannedModel("own", [Files("tflite", "fp32", "c" * 64, "d" * 64)])
    cases = {case.backend: case for case in plan.build_cases([LOCAL], [model], RUNTIMES, [1])}
    assert cases["openvino"].artifact_format == "tflite"
    assert cases["onnxruntime"].unsupported == "onnxruntime reads onnx; the model is there as tflite"


def test_a_format_that_could_not_be_made_is_a_failure_not_unsupported() -> None:
    model = PlannedModel("net", [FILES, Files("tflite", "fp32", failure="the converter gave up")])
    cases = {case.backend: case for case in plan.build_cases([LOCAL], [model], RUNTIMES, [1])}
    assert cases["tflite"].unsupported is None
    assert plan.export_failure(cases["tflite"], model) == "the converter gave up"
    assert plan.export_failure(cases["openvino"], model) is None


def test_a_case_has_the_precision_of_the_very_file_it_runs() -> None:
    model = PlannedModel("own", [FILES, Files("tflite", "int8", "c" * 64, "d" * 64)])
    cases = {case.backend: case for case in plan.build_cases([LOCAL], [model], RUNTIMES, [1])}
    assert {name: case.precision for name, case in cases.items()} == {
        "onnxruntime": "fp32",
        "openvino": "fp32",
        "tflite": "int8",
    }


def test_two_files_of_one_format_are_two_cases() -> None:
    model = PlannedModel("net", [FILES, Files("onnx", "int8", "e" * 64, "f" * 64), Files("onnx", "fp16", failure="no")])
    cases = plan.build_cases([LOCAL], [model], RUNTIMES[:1], [1])
    assert [(case.precision, (case.artifact_sha256 or "-")[0]) for case in cases] == [
        ("fp32", "a"),
        ("int8", "e"),
        ("fp16", "-"),
    ]
    assert [plan.export_failure(case, model) for case in cases] == [None, None, "no"]


def test_the_same_question_has_the_same_id_and_another_one_another() -> None:
    def identify(model: PlannedModel = BOTH, choice: BackendChoice = RUNTIMES[0], threads: int = 1) -> str:
        return plan.build_cases([LOCAL], [model], [choice], [threads])[0].case_id

    ids = {
        identify(),
        identify(threads=2),
        identify(choice=BackendChoice("onnxruntime", {"spinning": "off"})),
        identify(model=PlannedModel("net", [Files("onnx", "fp32", "a" * 64, "e" * 64)])),
        identify(model=PlannedModel("net", [Files("onnx", "fp32", "f" * 64, "b" * 64)])),
        identify(model=PlannedModel("net", [Files("onnx", "int8", "a" * 64, "b" * 64)])),
    }
    assert len(ids) == 6
    assert identify() == identify()


def test_strict_is_another_question_and_goes_without_saying_where_it_was_not_asked() -> None:
    strict = LOCAL.model_copy(update={"strict": True})
    (plain,), (strictly,) = [plan.build_cases([one], [ONNX], RUNTIMES[:1], [1]) for one in (LOCAL, strict)]
    assert (plain.strict, strictly.strict) == (False, True)
    assert plain.case_id == "d1c3dce513f06993" != strictly.case_id  # as before there was such a thing


def test_options_of_a_device_hold_until_the_same_ones_are_asked_for() -> None:
    own = {"onnxruntime": {"providers": "A", "spinning": "off"}, "tflite": {"xnnpack": "off"}}
    device = LOCAL.model_copy(update={"backend_options": own})
    choices = [BackendChoice("onnxruntime", {"providers": "B"}), BackendChoice("openvino"), BackendChoice("tflite")]
    cases = {case.backend: case for case in plan.build_cases([device], [BOTH], choices, [1])}
    assert cases["onnxruntime"].options == {"providers": "B", "spinning": "off"}
    assert cases["openvino"].options == {}
    assert cases["tflite"].options == {"xnnpack": "off"}
    assert cases["tflite"].case_id != plan.build_cases([LOCAL], [BOTH], [BackendChoice("tflite")], [1])[0].case_id


@given(st.integers(1, 6), st.integers(0, 2**31))
def test_every_round_holds_every_case_once(restarts: int, seed: int) -> None:
    cases = plan.build_cases([LOCAL], [BOTH, ONNX], RUNTIMES, None)
    runnable = {case.case_id for case in cases if case.artifact_format}
    profile = PROFILES["quick"].model_copy(update={"restarts": restarts})
    order = plan.schedule(cases, profile, seed)
    assert [round_ for round_, _ in order] == sorted(round_ for round_, _ in order)
    for number in range(restarts):
        assert sorted(case.case_id for round_, case in order if round_ == number) == sorted(runnable)
    assert order == plan.schedule(cases, profile, seed)


def test_rounds_differ_in_order() -> None:
    cases = plan.build_cases([LOCAL], [BOTH, ONNX], RUNTIMES, None)
    order = plan.schedule(cases, PROFILES["standard"], 1)
    rounds = [[case.case_id for round_, case in order if round_ == number] for number in range(5)]
    assert len({tuple(ids) for ids in rounds}) > 1


def test_the_control_is_a_case_of_every_device_and_backend_that_has_one() -> None:
    control = PlannedModel("bench:control", [Files("onnx", "fp32"), Files("tflite", "fp32")])
    strict = Device(
        name="npu", transport="local", strict=True, threads=[4], backend_options={"tflite": {"xnnpack": "off"}}
    )
    cases = plan.build_cases([LOCAL, strict], [ONNX], RUNTIMES, None)
    found = plan.control_cases([LOCAL, strict], [control], RUNTIMES, cases)
    # The only model is there as ONNX, which tflite does not read: there is nothing to hold a control against.
    assert [(case.device, case.backend) for case in found] == [
        (device, backend) for device in ("local", "npu") for backend in ("onnxruntime", "openvino")
    ]
    assert {(case.threads, case.strict, case.control, case.artifact_format) for case in found} == {
        (1, False, True, "onnx")
    }
    both = plan.control_cases([strict], [control], RUNTIMES, plan.build_cases([strict], [BOTH], RUNTIMES, None))
    assert {case.backend: case.options for case in both}["tflite"] == {"xnnpack": "off"}
    asked = plan.build_cases([LOCAL], [control], RUNTIMES, [1])
    assert plan.control_cases([LOCAL], [control], RUNTIMES, asked) == [], "who asks for it by name has it"
