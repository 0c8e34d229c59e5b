"""Which models fit a data set, and what their inputs are fed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.run.datasets import feed_of, in_type, why_not
from models.datasets import open_dataset
from models.errors import UnusableModel
from models.store import ArtifactStore
from results.records import InputSpec, OutputSpec
from tests.rigs.images import CLASSES, add_rated, table, written_set


def spec(dtype: str, **quantized: Any) -> InputSpec:
    return InputSpec(name="input", dtype=dtype, shape=(1, 64, 64, 3), **quantized)


def test_bytes_become_what_a_quantized_input_takes() -> None:
    whole = table()
    np.testing.assert_array_equal(in_type(whole, spec("float32")), whole)
    int8 = in_type(whole, spec("int8", scale=0.02, zero_point=-3))
    assert int8.dtype == np.int8
    np.testing.assert_array_equal(int8, np.clip(np.round(whole / np.float32(0.02)) - 3, -128, 127))
    plain = in_type(whole, spec("uint8"))
    np.testing.assert_array_equal(plain, np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1))
    with pytest.raises(UnusableModel, match="by which scale"):
        in_type(whole, spec("int8"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weights": "random"}, "random"),
        ({"preprocessing": {}}, "TOML"),
        ({"inputs": (spec("float32"), spec("float32"))}, "2 inputs"),
        ({"outputs": (OutputSpec(name="y", dtype="float32", shape=(1, 7)),)}, "no output for 10 classes, it has 1x7"),
        ({"inputs": (InputSpec(name="x", dtype="float32", shape=(1, 3, 32, 32)),)}, "makes images of (64, 64, 3)"),
    ],
)
def test_why_a_model_is_not_evaluated(
    tmp_path: Path, store: ArtifactStore, changes: dict[str, Any], words: str
) -> None:
    dataset = open_dataset(str(written_set(tmp_path / "set.npz", 20)))
    assert why_not(add_rated(store, "onnx"), dataset) == ""
    assert words in why_not(add_rated(store, "onnx", **changes), dataset)


def test_the_first_output_with_a_number_for_each_class_is_chosen(store: ArtifactStore) -> None:
    outputs = (
        OutputSpec(name="map", dtype="float32", shape=(1, CLASSES, 2)),
        OutputSpec(name="scores", dtype="int8", shape=(1, CLASSES, 1, 1), scale=0.5, zero_point=4),
    )
    feed = feed_of(add_rated(store, "onnx", outputs=outputs), CLASSES)
    assert (feed.output, feed.scale, feed.zero_point, feed.batch) == (1, 0.5, 4, 1)
