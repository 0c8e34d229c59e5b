"""What is said about the outputs of a model: typed after options, or written in the TOML beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Self

from pydantic import Field, StrictBool, StrictFloat, model_validator

from models.errors import WrongInput
from results.records import Record

_NUMBER = re.compile(r"(?=[0-9.]*[0-9])[0-9]{0,40}\.?[0-9]{0,40}(?:[eE][+-]?[0-9]{1,3})?")
_EXPECTED = (
    "expected [NAME=]VALUE: a share of the output's largest magnitude, as 0.05, or steps of its scale, as 3steps"
)


class OutputGiven(Record):
    """What is said about one output: how far it may be off, and whether NaN and infinities are as they should be."""

    tolerance: Annotated[StrictFloat, Field(gt=0)] | None = None
    steps: Annotated[StrictFloat, Field(ge=0)] | None = None
    nonfinite: StrictBool | None = None

    @model_validator(mode="after")
    def _once(self) -> Self:
        if self.tolerance is not None and self.steps is not None:
            raise ValueError("has tolerance and steps; give one of them")
        return self

    @property
    def says_how_far(self) -> bool:
        """Whether it says how far the output may be off."""
        return self.tolerance is not None or self.steps is not None

    def over(self, other: OutputGiven) -> OutputGiven:
        """What is said here, and of `other` what is not said here."""
        far = self if self.says_how_far else other
        nonfinite = other.nonfinite if self.nonfinite is None else self.nonfinite
        return OutputGiven(tolerance=far.tolerance, steps=far.steps, nonfinite=nonfinite)


SAID_NOTHING = OutputGiven()


def typed_outputs(tolerances: Iterable[str], nonfinite: Iterable[str]) -> tuple[OutputGiven, dict[str, OutputGiven]]:
    """What `--tolerance` and `--nonfinite` say of all outputs, and of each by its name. Raises WrongInput."""
    found: dict[str, OutputGiven] = {}
    for text in tolerances:
        name, _, value = text.rpartition("=")
        entry = _how_far(text, value.strip())
        if found.setdefault(name, entry) != entry:
            raise WrongInput(f"--tolerance {name or value} is given twice with different values")
    for name in nonfinite:
        found[name] = found.get(name, SAID_NOTHING).model_copy(update={"nonfinite": True})
    return found.pop("", SAID_NOTHING), found


def _how_far(text: str, value: str) -> OutputGiven:
    number = value.removesuffix("s").removesuffix("step").strip() if "step" in value else value
    if not _NUMBER.fullmatch(number):
        raise WrongInput(f"--tolerance {text!r}: {_EXPECTED}")
    size = float(number)
    if not size < float("inf") or (size == 0 and "step" not in value):
        raise WrongInput(f"--tolerance {text!r}: {_EXPECTED}, finite and more than 0")
    return OutputGiven(steps=size) if "step" in value else OutputGiven(tolerance=size)
