"""In which types a file holds its weights and passes numbers on, and how many weights there are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from models.artifacts import Precision

# What else a type is nearest to where one word must do: it decides the tolerance and the row's `precision`.
_LABELS: dict[str, Precision] = {
    "fp32": "fp32",
    "fp64": "fp32",
    "fp16": "fp16",
    "bf16": "bf16",
    "int8": "int8",
    "fp8": "int8",
    "int16": "int16x8",
    "int4": "int4",
    "fp4": "int4",
    "int2": "int4",
}


@dataclass
class Numbers:
    """Elements by type: of all weights, and of those that are multiplied; operators by the type they are given."""

    parameters: int = 0
    weights: Counter[str] = field(default_factory=Counter)
    multiplied: Counter[str] = field(default_factory=Counter)
    activations: Counter[str] = field(default_factory=Counter)

    @property
    def weights_precision(self) -> str:
        """As `int4 + fp32`, the type of most elements first."""
        return words(self.weights)

    @property
    def activations_precision(self) -> str:
        """As `int8 + fp32`, the type of most operators first."""
        return words(self.activations)

    @property
    def precision(self) -> Precision:
        """The one word for it: the type of most weights, but of tables that are only looked up in.

        Quantized activations say more than weights: their weights may be kept in floats until the file is loaded.
        """
        weights = _label(self.multiplied) or _label(self.weights)
        activations = _label(self.activations)
        if activations == "int16x8":
            return "int16x8"
        if activations == "int8" and weights in (None, "fp32", "fp16", "bf16"):
            return "int8"
        return weights or activations or "fp32"


def words(counts: Mapping[str, int]) -> str:
    """Types with their counts as words, most first."""
    return " + ".join(kind for kind, _ in sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _label(counts: Mapping[str, int]) -> Precision | None:
    found = [kind for kind in words(counts).split(" + ") if kind in _LABELS]
    return _LABELS[found[0]] if found else None
