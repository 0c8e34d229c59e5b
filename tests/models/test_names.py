"""A model whose sizes somebody chose is a series of its own, with these sizes in its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.artifacts import Artifact
from models.prepare import _told_apart
from models.sources.base import Prepared
from models.sources.own import OwnModel
from models.store import ArtifactStore
from results.records import InputSpec
from tests.rigs.bench import add_tiny

OPEN = ("N", 3, None, None)


def spec(shape: tuple[int, ...], dims: tuple[Any, ...] | None = OPEN, *made_up: Any, name: str = "x") -> InputSpec:
    return InputSpec(name=name, dtype="float32", shape=shape, dims=dims, made_up=made_up)


@pytest.fixture
def tiny(store: ArtifactStore) -> Artifact:
    return add_tiny(store, "onnx")


def prepared(tiny: Artifact, *inputs: InputSpec, label: str = "det") -> Prepared:
    made = tiny.model_copy(update={"inputs": inputs})
    return Prepared(OwnModel(label, {"onnx": Path("det.onnx")}), {made.form: made})


@pytest.mark.parametrize(
    ("inputs", "name"),
    [
        ([spec((1, 3, 320, 320))], "det@1x3x320x320"),
        ([spec((1, 3, 8, 8), None)], "det"),  # the file has them
        ([spec((1, 3, 8, 8), (1, 3, 8, 8))], "det"),
        ([spec((1, 3, 8, 8), ("N", 3, 8, 8), "sizes")], "det"),  # a batch of 1 by default
        ([spec((1, 3, 8, 8), OPEN, "values")], "det@1x3x8x8"),
        ([spec((1, 8), (None, None)), spec((1, 8), (None, None), name="y")], "det@1x8"),
        ([spec((1, 8), (None, None)), spec((2, 0), (None, None), name="y")], "det@1x8,2x0"),
        ([spec((), ())], "det"),
    ],
)
def test_sizes_that_were_given_are_in_the_name(tiny: Artifact, inputs: list[InputSpec], name: str) -> None:
    model = prepared(tiny, *inputs)
    assert model.name == model.facts.name == name


def test_a_name_has_an_end(tiny: Artifact) -> None:
    many = [spec((1, number), (None, None), name=str(number)) for number in range(2000)]
    name = prepared(tiny, *many).name
    assert len(name) < 300
    assert name != prepared(tiny, *many[:-1]).name


def test_no_two_models_get_one_name(tiny: Artifact) -> None:
    sized, named = prepared(tiny, spec((1, 8), (None, None))), prepared(tiny, label="det@1x8")
    third = prepared(tiny, spec((1, 8), (None, None)))
    assert [model.name for model in _told_apart([named, sized, third])] == ["det@1x8", "det#2@1x8", "det#3@1x8"]
