"""What is said about the inputs and outputs of a model: typed after options, or written in the TOML beside it."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainValidator, StrictInt, StrictStr, ValidationError, model_validator

from models.errors import MissingShape, WrongInput
from models.given_outputs import SAID_NOTHING, OutputGiven, typed_outputs
from results.records import MAX_TEXT, Record

MAX_DIMENSION = 2**31 - 1
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
FILES = (".npy", ".npz", *IMAGES)

_MAX_NUMBERS = 65_536  # of one input; more than that is a file
_SIZES = re.compile(r"\s*[0-9]{1,10}\s*([,x]\s*[0-9]{1,10}\s*)*")
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_FLOAT = re.compile(r"[+-]?([0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})([eE][+-]?[0-9]{1,3})?")
_VALUES = ("value", "file", "range")
_EXPECTED = f"expected NAME=VALUE: numbers as 1 or 1,2,3, a range as 0..999, or a file ({', '.join(FILES)})"


def _number(value: Any) -> bool | int | float:
    if not isinstance(value, bool | int | float):
        raise ValueError("must be a number, true or false")
    if not (math.isfinite(value) if isinstance(value, float) else -(2**63) <= value < 2**64):
        raise ValueError("must be finite and, without a fraction, fit into 64 bits")
    return value


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, bool | int | float) else value


Number = Annotated[bool | int | float, PlainValidator(_number)]
Size = Annotated[StrictInt, Field(ge=0, le=MAX_DIMENSION)]
Shape = Annotated[tuple[Size, ...], Field(max_length=64)]
# In a TOML one number may stand without brackets.
Numbers = Annotated[tuple[Number, ...], Field(min_length=1, max_length=_MAX_NUMBERS), BeforeValidator(_several)]
# Of an image: one number for all channels, or one for each.
Channels = Annotated[tuple[Number, ...], Field(min_length=1, max_length=3), BeforeValidator(_several)]


class InputGiven(Record):
    """What is said about one input.

    Its values are those of `value` (one number everywhere, or all of them in order), of `file`, or made up within
    `range`. `scale`, `mean` and `std` say what becomes of an image's pixels for an input of floats.
    """

    shape: Shape | None = None
    value: Numbers | None = None
    file: Annotated[StrictStr, Field(min_length=1, max_length=MAX_TEXT)] | None = None
    range: tuple[Number, Number] | None = None
    scale: Number | None = None
    mean: Channels | None = None
    std: Channels | None = None

    @model_validator(mode="after")
    def _once(self) -> Self:
        said = [name for name in _VALUES if getattr(self, name) is not None]
        if len(said) > 1:
            raise ValueError(f"has {' and '.join(said)}; give one of them")
        if self.range is not None and not self.range[0] <= self.range[1]:
            raise ValueError(f"has the range {self.range[0]}..{self.range[1]}; give the lower end first")
        if self.std is not None and not all(self.std):
            raise ValueError("has a std of 0, by which nothing can be divided")
        if self.file is not None and Path(self.file).suffix.lower() not in FILES:
            raise ValueError(f"has the file {self.file}; it can be {', '.join(FILES)}")
        return self

    def over(self, other: InputGiven) -> InputGiven:
        """What is said here, and of `other` what is not said here."""
        here = self.model_dump(exclude_none=True)
        replaced = _VALUES if any(name in here for name in _VALUES) else ()
        return InputGiven(**{**other.model_dump(exclude_none=True, exclude=set(replaced)), **here})


class Given(Record):
    """Everything that is said about a model, by the name of an input or output or, as digits, its position.

    `signature` is the one to be run of a TFLite file with several, `all_outputs` what is said of every output.
    """

    inputs: dict[str, InputGiven] = Field(default_factory=dict)
    signature: Annotated[StrictStr, Field(min_length=1, max_length=MAX_TEXT)] | None = None
    outputs: dict[str, OutputGiven] = Field(default_factory=dict)
    all_outputs: OutputGiven = SAID_NOTHING

    def __bool__(self) -> bool:
        return self != NOTHING

    def over(self, other: Given) -> Given:
        """What is said here, and of `other` what is not said here."""
        inputs = {name: entry.over(other.inputs.get(name, InputGiven())) for name, entry in self.inputs.items()}
        outputs = other.outputs
        if self.all_outputs.says_how_far:
            outputs = {name: OutputGiven(nonfinite=entry.nonfinite) for name, entry in outputs.items()}
        return Given(
            inputs={**other.inputs, **inputs},
            signature=self.signature or other.signature,
            outputs={
                **outputs,
                **{name: entry.over(outputs.get(name, SAID_NOTHING)) for name, entry in self.outputs.items()},
            },
            all_outputs=self.all_outputs.over(other.all_outputs),
        )

    def output(self, name: str, position: int) -> OutputGiven:
        """What is said about an output."""
        named, placed = (self.outputs.get(key, SAID_NOTHING) for key in (name, str(position)))
        return named.over(placed).over(self.all_outputs)

    def located(self, names: Mapping[Path, str]) -> dict[str, Any]:
        """All of it as plain JSON, with files called as `names` says."""
        said = self.model_dump(mode="json")
        for entry in said["inputs"].values():
            entry["file"] = entry["file"] and names[Path(entry["file"])]
        return said

    def files(self) -> list[Path]:
        """The files that values come from."""
        return [Path(entry.file) for entry in self.inputs.values() if entry.file is not None]


NOTHING = Given()
"""Nothing is said."""


def typed(
    shapes: Iterable[str] = (),
    values: Iterable[str] = (),
    signature: str | None = None,
    tolerances: Iterable[str] = (),
    nonfinite: Iterable[str] = (),
) -> Given:
    """What the options about inputs and outputs say. Raises MissingShape and WrongInput."""
    found: dict[str, dict[str, Any]] = {name: {"shape": shape} for name, shape in parse_input_shapes(shapes).items()}
    for text in values:
        name, said = _value(text)
        entry = found.setdefault(name, {})
        if {key: entry[key] for key in _VALUES if key in entry} not in ({}, said):
            raise WrongInput(f"--input {name} is given twice with different values")
        entry.update(said)
    if signature is not None and not 1 <= len(signature) <= MAX_TEXT:
        raise WrongInput(f"--signature {signature[:40]!r}: not a name; it has 1 to {MAX_TEXT} characters")
    inputs = {name: _checked(name, entry) for name, entry in found.items()}
    everywhere, outputs = typed_outputs(tolerances, nonfinite)
    return Given(inputs=inputs, signature=signature, outputs=outputs, all_outputs=everywhere)


def _checked(name: str, entry: dict[str, Any]) -> InputGiven:
    try:
        return InputGiven(**entry)
    except ValidationError as exc:
        words = exc.errors()[0]["msg"].removeprefix("Value error, ")
        raise WrongInput(f"--input {name}: {words}") from exc


def _value(text: str) -> tuple[str, dict[str, Any]]:
    """The name before the last `=`, and what comes after it as `value`, `range` or `file`.

    A file's name may hold `=` as well: the first of those that is there counts, from the right.
    """
    splits = [found.start() for found in re.finditer("=", text)][::-1]
    parts = [(text[:at], text[at + 1 :]) for at in splits if at]
    if not parts:
        raise WrongInput(f"--input {text!r}: {_EXPECTED}")
    name, last = parts[0]
    low, dots, high = last.partition("..")
    ends, numbers = (_read(low), _read(high)), [_read(part) for part in last.split(",")]
    if dots and None not in ends:
        return name, {"range": ends}
    if None not in numbers:
        return name, {"value": tuple(numbers)}
    try:
        files = [(name, Path(os.path.abspath(os.path.expanduser(file)))) for name, file in parts]  # noqa: PTH100, PTH111
    except OSError as exc:  # the working folder is gone
        raise WrongInput(f"--input {text!r}: no such file ({exc.strerror})") from exc
    name, file = next(((name, file) for name, file in files if _is_there(file)), files[0])
    if file.suffix.lower() not in FILES:
        raise WrongInput(f"--input {text!r}: {_EXPECTED}")
    if not _is_utf8(str(file)):
        raise WrongInput(f"--input {name}: {str(file)!r}: the name is not UTF-8; rename the file")
    if not _is_there(file):
        raise WrongInput(f"--input {name}: {file}: {'not a file' if os.path.lexists(file) else 'no such file'}")
    return name, {"file": str(file)}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_there(file: Path) -> bool:
    try:
        return file.is_file()
    except (OSError, ValueError):  # too long a name, or a NUL in it
        return False


def _read(text: str) -> bool | int | float | None:
    """A number as it is typed, or None."""
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else None


def is_position(name: str) -> bool:
    """Whether a name can be meant as the position of an input, from 0 on."""
    return name.isascii() and name.isdigit() and len(name) <= 4


def parse_input_shapes(texts: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """`["ids=1,128"]` -> `{"ids": (1, 128)}`. Names may hold `=` and `:`. Raises MissingShape for anything else."""
    shapes: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, _, sizes = text.rpartition("=")
        if not name or not _SIZES.fullmatch(sizes):
            raise MissingShape(f"--input-shape {text!r}: expected NAME=SIZE,SIZE,… as in input_ids=1,128")
        shape = tuple(int(size) for size in re.split("[,x]", sizes))
        if not all(size <= MAX_DIMENSION for size in shape):
            raise MissingShape(f"--input-shape {text!r}: every size must be between 0 and {MAX_DIMENSION}")
        if shapes.setdefault(name, shape) != shape:
            raise MissingShape(f"--input-shape {name} is given twice with different sizes")
    return shapes
