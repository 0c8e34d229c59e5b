"""The comparison of outputs: what is right passes, what is wrong does not, whatever the type and the shape."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.agent.failures import WrongOutput
from harness.agent.verify import compare, snr_db, top1_agreement
from harness.jobs.outputs import Compared, judge, rules
from models.artifacts import Artifact
from models.comparison import STEPS, STEPS_RMS
from results.records import OutputSpec

FLOAT = {"kind": "float", "allowed": 1e-3}
STEP = {"kind": "quantized", "allowed": STEPS, "allowed_rms": STEPS_RMS, "zero_point": 0}
EXACT = {"kind": "exact", "allowed": 0.0}

shapes = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)
floats = st.floats(-1e3, 1e3, width=32)


def one(output: Any, reference: Any, rule: dict[str, Any], free: Any = None) -> dict[str, Any]:
    (found,) = compare([output], [(reference, free)], [rule])
    assert found is not None
    Compared.model_validate(found)  # what the host takes
    return found


@given(shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=floats)), st.data())
def test_noise_within_what_is_allowed_passes_and_beyond_it_does_not(reference: Any, data: st.DataObject) -> None:
    signs = data.draw(hnp.arrays(np.float64, reference.shape, elements=st.floats(-1, 1)))
    right = one(reference + 0.9e-3 * signs, reference, FLOAT)
    assert right["rms"] <= right["off"] <= 1e-3
    if reference.size:
        wrong = reference.astype(np.float64)
        wrong.flat[data.draw(st.integers(0, reference.size - 1))] += data.draw(st.sampled_from([-1.1e-3, 1.1e-3, 7.0]))
        with pytest.raises(WrongOutput, match=r"output 0 is off by .*allowed 0\.001"):
            one(wrong, reference, FLOAT)


@given(shapes.flatmap(lambda shape: hnp.arrays(np.float32, shape, elements=floats)), st.data())
def test_what_is_not_finite_where_the_reference_is_fails(reference: Any, data: st.DataObject) -> None:
    if not reference.size:
        return
    wrong = reference.copy()
    wrong.flat[data.draw(st.integers(0, reference.size - 1))] = data.draw(st.sampled_from([math.nan, math.inf]))
    with pytest.raises(WrongOutput, match="NaN or infinite values where the reference has none"):
        one(wrong, reference, FLOAT)
    # The other way about nobody knows which of the two is right, unless the user says that it is the reference.
    one(reference, wrong, FLOAT)
    with pytest.raises(WrongOutput, match="has others than the NaN and infinite values of the reference"):
        one(reference, wrong, {**FLOAT, "nonfinite": True})
    assert one(wrong, wrong, {**FLOAT, "nonfinite": True})["off"] == 0


def test_an_infinity_of_the_other_sign_is_another_value() -> None:
    asked = {**FLOAT, "nonfinite": True}
    with pytest.raises(WrongOutput, match="others than the NaN and infinite"):
        one(np.array([math.inf, 1.0]), np.array([-math.inf, 1.0]), asked)
    with pytest.raises(WrongOutput, match="is off by 1, "):
        one(np.array([math.nan, 2.0]), np.array([math.nan, 1.0]), asked)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_quantized_numbers_may_be_a_few_steps_off(dtype: str) -> None:
    reference = np.random.default_rng(0).integers(20, 100, (1, 8, 8, 4)).astype(dtype)
    rounded = reference.copy()
    rounded[0, 0] += 1
    rounded[0, 1, 1] -= 3
    found = one(rounded, reference, STEP)
    assert (found["off"], found["rms"] < 1, found["snr_db"] > 20) == (3, True, True)
    shifted = reference + np.array(3, dtype)  # no element is far off, and all of them are wrong
    with pytest.raises(WrongOutput, match="is off by 3 steps in the root mean square, allowed 2"):
        one(shifted, reference, STEP)
    single = reference.copy()
    single[0, 0, 0, 0] += 5
    with pytest.raises(WrongOutput, match="is off by 5 steps, allowed 4"):
        one(single, reference, STEP)
    with pytest.raises(WrongOutput, match="steps"):
        one(reference[:, ::-1], reference, STEP)


@given(
    st.sampled_from(["int8", "uint8", "int32", "uint32", "int64", "uint64", "bool"]).flatmap(
        lambda dtype: hnp.arrays(dtype, shapes)
    ),
    st.data(),
)
def test_ids_are_equal_or_wrong(reference: Any, data: st.DataObject) -> None:
    assert one(reference.copy(), reference, EXACT)["off"] == 0
    if not reference.size:
        return
    place = data.draw(st.integers(0, reference.size - 1))
    wrong = reference.copy()
    wrong.flat[place] = ~wrong.flat[place] if reference.dtype == bool else wrong.flat[place] ^ 1
    with pytest.raises(WrongOutput, match=f"output 0: 1 of {reference.size} integers differ"):
        one(wrong, reference, EXACT)
    free = np.zeros(reference.shape, bool)
    free.flat[place] = True
    assert one(wrong, reference, EXACT, free)["off"] == 0


def test_elements_that_last_bits_decide_are_not_compared() -> None:
    reference, free = np.array([1.0, 2.0, 3.0]), np.array([False, True, False])
    assert one(np.array([1.0, math.nan, 3.0]), reference, FLOAT, free)["off"] == 0
    with pytest.raises(WrongOutput, match="off by 1,"):
        one(np.array([1.0, 9.0, 4.0]), reference, FLOAT, free)


@pytest.mark.parametrize(
    ("output", "reference", "words"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), r"output 0 y has shape \(2, 3\), expected \(3, 2\)"),
        (np.array(1e308), np.array(-1e308), "output 0 y is off by inf"),
        (np.float16(2.0), np.asarray(np.float16(1.0)), "output 0 y is off by 1,"),
    ],
)
def test_what_is_wrong_is_said(output: Any, reference: Any, words: str) -> None:
    with pytest.raises(WrongOutput, match=words):
        one(output, reference, {**FLOAT, "name": "y"})
    with pytest.raises(WrongOutput, match="1 outputs, expected 2"):
        compare([output], [(reference, None)] * 2, [FLOAT] * 2)


def test_an_output_that_is_not_compared_may_be_anything() -> None:
    assert compare([np.zeros(3)], [(np.ones(7), None)], [{"kind": "unchecked"}]) == [None]


@given(hnp.arrays(np.float64, hnp.array_shapes(max_side=8), elements=st.floats(-1e300, 1e300)), st.floats(-150, 150))
def test_the_ratio_of_signal_to_noise(signal: Any, decibels: float) -> None:
    assert snr_db(signal, np.zeros_like(signal)) == 200
    noise = signal * 10 ** (-decibels / 20)
    if np.abs(signal).max() > 1e-100 and np.isfinite(noise).all():
        assert snr_db(signal, noise) == pytest.approx(decibels, abs=0.01)
    assert snr_db(np.zeros_like(signal), np.ones_like(signal)) == -200


def test_the_share_of_equal_first_places() -> None:
    scores = np.array([[0.1, 0.7, 0.2], [0.5, 0.1, 0.4]])
    swapped = np.array([[0.1, 0.7, 0.2], [0.4, 0.1, 0.5]])
    assert top1_agreement(scores, scores) == 1.0
    assert top1_agreement(scores, swapped) == 0.5
    assert top1_agreement(scores[:1, :, None, None], scores[:1, :, None, None]) == 1.0
    # Of equal scores, which quantized ones often are, each is the first.
    assert top1_agreement(np.array([[7.0, 7.0, 1.0]]), np.array([[6.0, 7.0, 1.0]])) == 1.0
    for none in (
        np.zeros(3),
        np.zeros(()),
        np.zeros((2, 3, 4)),
        np.zeros((0, 5)),
        np.zeros((2, 1)),
        np.full((1, 3), np.nan),
    ):
        assert top1_agreement(none, none) is None


def artifact(*outputs: OutputSpec, tolerance: float = 1e-3) -> Artifact:
    sha = "0" * 64
    return Artifact(
        sha256=sha,
        format="onnx",
        file="",
        size_bytes=1,
        model="m",
        precision="fp32",
        inputs=(),
        outputs=outputs,
        weights="own",
        tolerance=tolerance,
        reference="onnxruntime",
        io_sha256=sha,
        key=sha,
        created_at="",
    )


def ruled(folder: Path, array: Any, tolerance: float = 1e-3, **fields: Any) -> Any:
    """Return the one rule of an artifact whose reference output is `array`."""
    io = folder / f"{len(list(folder.iterdir()))}.npz"
    np.savez(io, in0=np.array([99.0]), out0=array)
    spec = OutputSpec(**{"name": "y", "dtype": array.dtype.name, "shape": array.shape, **fields})
    (rule,) = rules(artifact(spec, tolerance=tolerance), io)
    return rule


@pytest.mark.parametrize(
    ("array", "fields", "kind", "allowed"),
    [
        (np.array([1.0, -3.5, np.inf, np.nan], np.float32), {}, "float", 3.5e-3),
        (np.array([1.0, -3.5], np.float32), {"tolerance": 0.1}, "float", 0.35),
        (np.full(9, 1e-6, np.float32), {}, "float", 4.8e-7),  # near 0: a few units of float32 at 1
        (np.full(9, 1e-6, np.float16), {}, "float", 4.9e-4),
        (np.zeros((0, 4), np.float32), {}, "float", 4.8e-7),
        (np.array([1, 9]), {}, "exact", 0.0),
        (np.array([1, 9], np.uint8), {"scale": 0.5, "zero_point": 3}, "quantized", 4.0),
        (np.array([1, 9], np.uint8), {"scale": 0.5, "steps": 7}, "quantized", 7.0),
        (np.array([1, 9]), {"steps": 1}, "quantized", 1.0),
        (np.array([True]), {"unchecked": "because"}, "unchecked", 0.0),
    ],
)
def test_the_rule_of_an_output(tmp_path: Path, array: Any, fields: dict[str, Any], kind: str, allowed: float) -> None:
    rule = ruled(tmp_path, array, **fields)
    assert (rule.kind, rule.name) == (kind, "y")
    assert rule.allowed == pytest.approx(allowed, rel=0.02)


def test_values_that_are_not_finite_are_told_unless_they_were_asked_for(tmp_path: Path) -> None:
    array = np.array([np.nan, 1.0, np.inf], np.float32)
    assert ruled(tmp_path, array).nonfinite_words == "2 of 3 values of its reference are NaN or infinite"
    asked = ruled(tmp_path, array, nonfinite=True)
    assert (asked.nonfinite, asked.nonfinite_words) == (True, "")


def test_a_tiny_output_that_is_right_passes_and_one_that_is_wrong_by_its_own_measure_does_not(tmp_path: Path) -> None:
    reference = np.linspace(1e-6, 9e-6, 100, dtype=np.float32)
    rule = vars(ruled(tmp_path, reference))
    one(reference + np.float32(1.2e-7), reference, rule)
    with pytest.raises(WrongOutput):
        one(reference[::-1], reference, rule)


def test_an_output_of_lower_precision_is_judged_by_its_ratio_alone(tmp_path: Path) -> None:
    reference = np.random.default_rng(1).standard_normal((1, 1000)).astype(np.float32)
    noise = np.random.default_rng(2).standard_normal((1, 1000)).astype(np.float32)
    rule = vars(ruled(tmp_path, reference, least_snr_db=20.0))
    assert rule["kind"] == "noisy"
    told = one(reference + noise / 10 ** (21 / 20), reference, rule)
    assert told["snr_db"] == pytest.approx(21, abs=0.5)
    with pytest.raises(WrongOutput, match="ratio of 18"):
        one(reference + noise / 10 ** (18.5 / 20), reference, rule)
    with pytest.raises(WrongOutput, match="NaN"):
        one(np.full_like(reference, np.nan), reference, rule)
    # A precision that the runtime was merely told to compute in has a bound of its own, whatever the file says.
    spec = OutputSpec(name="y", dtype="float32", shape=reference.shape)
    io = tmp_path / "hinted.npz"
    np.savez(io, out0=reference)
    assert [(rule.kind, rule.least_snr_db) for rule in rules(artifact(spec), io, "bf16")] == [("noisy", 10.0)]
    assert [rule.kind for rule in rules(artifact(spec), io, "")] == ["float"]


def test_the_host_does_not_believe_a_device_that_lets_noise_pass(tmp_path: Path) -> None:
    rule = ruled(tmp_path, np.ones((1, 4), np.float32), least_snr_db=20.0)
    good, bad = Compared(off=0.1, snr_db=25.0), Compared(off=0.1, snr_db=5.0)
    assert judge([rule], [good])["verified"]
    assert judge([rule], [bad])["cause"] == "wrong-output"
    assert not judge([rule], [Compared(off=0.0)])["verified"]


def test_a_reference_that_cannot_be_read_gives_no_rules(tmp_path: Path) -> None:
    (tmp_path / "damaged").write_bytes(b"PK nothing")
    assert rules(artifact(), tmp_path / "gone") == rules(artifact(), tmp_path / "damaged") == ()
