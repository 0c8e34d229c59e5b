"""Small files as users bring them, end to end: each is measured, or refused in words, as it should be.

One run takes all of them as they are, another some with what a user adds when the first has said what is missing.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.rigs import own_onnx, own_tflite
from tests.rigs.bench import MEASURED
from tests.rigs.quick import Rows, measure

ORT, OV, TFLITE = "onnxruntime", "openvino", "tflite"


@pytest.fixture(scope="module")
def as_they_are(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    folder = tmp_path_factory.mktemp("as-they-are")
    own_onnx.write(folder)
    own_tflite.write(folder)
    return measure(folder, expect=1)


@pytest.fixture(scope="module")
def helped(tmp_path_factory: pytest.TempPathFactory) -> Rows:
    """With sizes in the TOML, as the names of inputs recur."""
    folder = tmp_path_factory.mktemp("helped")
    own_onnx.write(folder, "question_mark_dims", "empty_past", "same_symbol_other_size")
    own_tflite.write(folder, "t_rank_seven")
    (folder / "question_mark_dims.toml").write_text("[inputs.x]\nshape = [1, 3, 48, 192]\n")
    (folder / "empty_past.toml").write_text("[inputs]\npast.shape = [1, 2, 0, 8]\nx.shape = [1, 2, 1, 8]\n")
    (folder / "same_symbol_other_size.toml").write_text("[inputs]\na.shape = [2, 4]\nb.shape = [3, 4]\n")
    return measure(folder, "--backend-option", "tflite.xnnpack=off", expect=0)


def pairs(expected: dict[str, dict[str, str]]) -> list[tuple[str, str]]:
    return [(file, backend) for file in expected for backend in expected[file]]


# A verdict for each backend that reads the format, and what the reason of one that is not measured holds.
AS_THEY_ARE = {
    "all_nan": {ORT: "", OV: ""},
    "big_constant_fold": {ORT: "", OV: ""},
    "empty_past": {ORT: "failed: --input-shape past=", OV: "failed: --input-shape past="},
    "five_d": {ORT: "", OV: ""},
    "fp16_io": {ORT: "", OV: ""},
    "ids_in_tiny_table": {ORT: "", OV: ""},  # with ids of 0
    "int4_weights": {ORT: "", OV: ""},
    "int8_network": {ORT: "", OV: ""},
    "loop_by_input": {ORT: "", OV: ""},
    "qdq_constants": {ORT: "", OV: ""},
    "qdq_initializers": {ORT: "", OV: ""},
    "question_mark_dims": {ORT: "failed: --input-shape x=", OV: "failed: --input-shape x="},
    "random_output": {ORT: "", OV: "unsupported: Dropout"},
    "same_symbol_other_size": {ORT: "", OV: ""},
    "sequence_first": {ORT: "", OV: ""},
    "tiny_outputs": {ORT: "", OV: ""},
    "weights_in_constants": {ORT: "", OV: ""},
    "t_all_nan": {TFLITE: "", OV: ""},
    "t_dense": {TFLITE: "", OV: ""},
    "t_dynamic_range": {TFLITE: "", OV: ""},
    "t_full_int8": {TFLITE: "", OV: ""},
    "t_int16x8": {TFLITE: "", OV: ""},
    "t_nameless": {TFLITE: "", OV: "unsupported: tells tensors apart by name"},
    "t_no_reader": {TFLITE: "unsupported: 999", OV: "unsupported: 999"},
    "t_range_by_input": {TFLITE: "failed: made up: length", OV: "failed: made up: length"},
    "t_rank_seven": {TFLITE: "unsupported: tflite.xnnpack=off", OV: ""},
    "t_running_sum": {TFLITE: "", OV: "unsupported: RESOURCE"},
    "t_two_signatures": {TFLITE: "", OV: ""},
}


@pytest.mark.parametrize(("file", "backend"), pairs(AS_THEY_ARE))
def test_a_file_as_it_is(as_they_are: Rows, file: str, backend: str) -> None:
    check(as_they_are[file, backend], AS_THEY_ARE[file][backend])


def check(row: dict[str, Any], expected: str) -> None:
    verdict, _, words = expected.partition(": ")
    if verdict:
        assert row["verdict"] == verdict, row["reason"]
        assert words in row["reason"]
    else:
        assert row["verdict"] in MEASURED, row["reason"]


def test_every_file_is_expected_to_do_something() -> None:
    assert AS_THEY_ARE.keys() == own_onnx.MAKERS.keys() | own_tflite.MAKERS.keys()


UNVERIFIED = {
    ("all_nan", ORT): "",
    ("all_nan", OV): "",
    ("t_all_nan", TFLITE): "",
    ("t_all_nan", OV): "",
    ("random_output", ORT): "differs from run to run",
    ("t_running_sum", TFLITE): "differs from run to run",
}


def test_what_cannot_be_verified_says_why_and_all_else_is(as_they_are: Rows) -> None:
    for key, row in as_they_are.items():
        if row["verdict"] in MEASURED:
            assert row["verified"] == (key not in UNVERIFIED), (key, row["unverified"])
            assert UNVERIFIED.get(key, "") in row["unverified"], key


@pytest.mark.parametrize(("file", "backend"), [key for key in UNVERIFIED if "all_nan" in key[0]])
def test_nan_is_told(as_they_are: Rows, file: str, backend: str) -> None:
    row = as_they_are[file, backend]
    assert "y" in row["nonfinite"]
    assert not row["verified"]


# Weights, activations and the number of weights (with their scales, where these are tensors of the graph)
FACTS = {
    "weights_in_constants": ("fp32", "fp32", 4096),
    "fp16_io": ("fp16", "fp16", 432),
    "int4_weights": ("int4", "fp32", 4096),
    "qdq_initializers": ("int8", "int8", 864),
    "qdq_constants": ("int8", "int8", 864),
    "int8_network": ("int8", "int8", 16 * 3 * 9 + 24 * 16 * 9),
    "t_dense": ("fp32", "fp32", 2048),
    "t_dynamic_range": ("int8", "fp32", 2048),
    "t_full_int8": ("int8", "int8", 2080),
    "t_int16x8": ("int8", "int16", 2048),
    "t_two_signatures": ("fp32", "fp32", 2048),
}


@pytest.mark.parametrize("file", FACTS)
def test_precision_and_weights_are_those_of_the_graph(as_they_are: Rows, file: str) -> None:
    row = as_they_are[file, OV]
    weights, activations, parameters = FACTS[file]
    assert row["weights_precision"].partition(" + ")[0] == weights
    assert activations in row["activations_precision"]
    assert parameters <= row["parameters"] <= parameters * 1.1


def test_a_cpu_computes_fp16_in_fp32(as_they_are: Rows) -> None:
    assert "fp32" in as_they_are["fp16_io", ORT]["compute_precision"]


def test_made_up_values_and_sizes_are_told(as_they_are: Rows) -> None:
    (x,) = as_they_are["sequence_first", ORT]["inputs"]
    assert x["dims"] == ["seq_len", 256]
    assert x["shape"] == [1, 256]
    assert "sizes" in x["made_up"]
    turns, _ = as_they_are["loop_by_input", ORT]["inputs"]
    assert turns["made_up"] == ["values"]
    assert turns["values"] == "made up: ones"
    for ids in as_they_are["ids_in_tiny_table", ORT]["inputs"]:
        assert ids["values"].startswith("made up: zeros")


def test_the_signature_that_ran_is_told(as_they_are: Rows) -> None:
    assert as_they_are["t_two_signatures", TFLITE]["signature"] == "large"


HELPED = {
    "question_mark_dims": {ORT: "", OV: ""},
    "empty_past": {ORT: "", OV: ""},
    "same_symbol_other_size": {ORT: "", OV: ""},
    "t_rank_seven": {TFLITE: "", OV: ""},
}


@pytest.mark.parametrize(("file", "backend"), pairs(HELPED))
def test_a_file_with_what_it_needs(helped: Rows, file: str, backend: str) -> None:
    check(helped[file, backend], HELPED[file][backend])


def test_the_sizes_that_were_given_are_in_the_row(helped: Rows) -> None:
    shapes = {file: [one["shape"] for one in helped[file, ORT]["inputs"]] for file in HELPED if "t_" not in file}
    assert shapes["question_mark_dims"] == [[1, 3, 48, 192]]
    assert shapes["empty_past"] == [[1, 2, 0, 8], [1, 2, 1, 8]]
    assert shapes["same_symbol_other_size"] == [[2, 4], [3, 4]]
