"""Checkpoints: what they keep, what they refuse, what they are worth."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from models.errors import UnreadableModel
from models.train import checkpoint, session
from models.train.recipe import Recipe
from tests.models.train.tiny_data import CLASSES, TINY

TRAINED = checkpoint.Trained(
    model=TINY,
    classes=tuple("abcd"),
    recipe=Recipe(size=32),
    dataset="stripes",
    split="train",
    sha256="a" * 64,
    images=320,
    tested=checkpoint.Tested(dataset="stripes", split="test", sha256="b" * 64, images=100, correct=97),
)


@pytest.fixture
def module() -> torch.nn.Module:
    return session.fresh(TINY, CLASSES, 0).eval()


@pytest.fixture
def path(module: torch.nn.Module, tmp_path: Path) -> Path:
    checkpoint.write(tmp_path / "tiny.safetensors", module, TRAINED, half=False)
    return tmp_path / "tiny.safetensors"


def test_it_keeps_every_bit_and_what_it_says_of_itself(module: torch.nn.Module, path: Path) -> None:
    found, trained = checkpoint.load(path)

    assert trained == checkpoint.describe(path) == TRAINED
    assert not found.training
    for name, tensor in module.state_dict().items():
        assert torch.equal(found.state_dict()[name], tensor)


def test_half_as_large_it_is_what_was_promised(module: torch.nn.Module, path: Path, tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "half.safetensors", module, TRAINED, half=True)
    found, _ = checkpoint.load(tmp_path / "half.safetensors")

    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(found(image), checkpoint.rounded(module)(image))
        assert not torch.equal(found(image), module(image))
    assert (tmp_path / "half.safetensors").stat().st_size < 0.7 * path.stat().st_size


def test_the_same_network_is_the_same_file(module: torch.nn.Module, path: Path, tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "again.safetensors", module, TRAINED, half=False)

    assert path.read_bytes() == (tmp_path / "again.safetensors").read_bytes()


def test_its_accuracy_is_in_percent() -> None:
    assert TRAINED.tested is not None
    assert (TRAINED.tested.accuracy.value, TRAINED.tested.accuracy.dataset) == (97.0, "stripes test")


def said(change: Callable[[dict[str, Any]], None]) -> Callable[[Path], None]:
    """Change what a checkpoint says of itself."""

    def damage(path: Path) -> None:
        content = path.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length])
        description = json.loads(header["__metadata__"]["edgebench"])
        change(description)
        header["__metadata__"]["edgebench"] = json.dumps(description)
        written = json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])

    return damage


def tensors(change: Callable[[dict[str, torch.Tensor]], Any]) -> Callable[[Path], None]:
    """Change the tensors of a checkpoint."""

    def damage(path: Path) -> None:
        state = safetensors.torch.load_file(path)
        change(state)
        safetensors.torch.save_file(state, path, {"edgebench": TRAINED.model_dump_json()})

    return damage


DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "gone": (Path.unlink, "No such file"),
    "empty": (lambda path: path.write_bytes(b""), "cannot be read"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:-9]), "cannot be read"),
    "text": (lambda path: path.write_text("no checkpoint at all"), "cannot be read"),
    "others'": (lambda path: safetensors.torch.save_file({"x": torch.zeros(2)}, path), "not a checkpoint"),
    "unknown network": (said(lambda facts: facts.update(model="mobilenet_v9@32")), "not in the zoo"),
    "unknown field": (said(lambda facts: facts.update(command="rm")), "command"),
    "other size": (said(lambda facts: facts["recipe"].update(size=48)), "contradicts itself"),
    "other classes": (said(lambda facts: facts.update(classes=["a"])), "does not fit"),
    "other network": (said(lambda facts: facts.update(model="mobilenet_v1_0.25@32")), "does not fit"),
    "tensor missing": (tensors(lambda state: state.pop("classifier.3.bias")), "classifier.3.bias"),
    "tensor more": (tensors(lambda state: state.update(more=torch.zeros(1))), "more"),
    "no number": (tensors(lambda state: state["classifier.3.bias"].fill_(torch.nan)), "no finite number"),
    "other type": (
        tensors(lambda state: state.update({"classifier.3.bias": torch.zeros(CLASSES, dtype=torch.int32)})),
        "type",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_one_is_refused(path: Path, damage: str) -> None:
    spoil, words = DAMAGES[damage]
    spoil(path)

    with pytest.raises(UnreadableModel, match=words) as refused:
        checkpoint.load(path)
    assert str(path) in str(refused.value)
