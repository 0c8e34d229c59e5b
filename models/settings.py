"""What the TOML beside a model file says of it."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictFloat, StrictInt, StrictStr, ValidationError
from pydantic_core import ErrorDetails

from models.artifacts import Precision
from models.errors import UnreadableModel
from models.given import Given, InputGiven
from models.given_outputs import OutputGiven
from models.preprocessing import Preprocessing
from results.records import Accuracy, Record

_MAX_TOML_BYTES = 2**20

Name = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Filled = Annotated[StrictStr, Field(min_length=1, max_length=4096)]
Cost = Annotated[StrictInt, Field(ge=0, le=2**60)]


class _Stated(Accuracy, strict=True):
    """An accuracy as the user states it: measured, where nothing else is said, and in the types of TOML."""

    metric: Filled = "top-1 %"
    dataset: Filled = "ImageNet-1k val"
    kind: Literal["measured", "published"] = "measured"
    source: Filled
    threshold: Annotated[float, Field(ge=0, le=100)] | None = None


def _without_threshold(stated: _Stated) -> Accuracy:
    return Accuracy(**stated.model_dump(exclude={"threshold"}))


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, dict) else value


class Settings(Record):
    """A model's TOML. `tolerance` is as in `Artifact`; `feed` an .npz with arrays by input name, beside the TOML.

    `accuracy` is one table or, where several are known, as a measured beside a published one, an array of them. One
    with a `threshold`, else the first, is what the model's accuracy should come to where bench measures it.
    `preprocessing` says how an image of a data set becomes its input.
    """

    name: Name | None = None
    precision: Precision | None = None
    tolerance: Annotated[StrictFloat, Field(gt=0)] | None = None
    parameters: Cost | None = None
    multiply_adds: Cost | None = None
    accuracy: Annotated[tuple[_Stated, ...] | None, BeforeValidator(_several)] = None
    inputs: dict[str, InputGiven] = Field(default_factory=dict)
    outputs: dict[str, OutputGiven] = Field(default_factory=dict)
    preprocessing: Preprocessing | None = None
    feed: Filled | None = None
    signature: Filled | None = None
    toml: str | None = None  # where this was read, for messages; not a key of the file

    @property
    def accuracies(self) -> tuple[Accuracy, ...]:
        """The accuracies that are stated, in their order."""
        return tuple(_without_threshold(stated) for stated in self.accuracy or ())

    @property
    def reference(self) -> tuple[Accuracy | None, float | None]:
        """What the accuracy should come to, and how many percentage points less is allowed."""
        stated = self.accuracy or ()
        found = next((one for one in stated if one.threshold is not None), next(iter(stated), None))
        return (None, None) if found is None else (_without_threshold(found), found.threshold)

    def feed_path(self) -> Path | None:
        """The absolute path of the feed, if there is one."""
        return None if self.feed is None or self.toml is None else Path(self.toml).parent / self.feed

    def given(self) -> Given:
        """What it says about inputs and outputs, with the paths of files in full."""
        folder = Path(self.toml or "").parent
        inputs = {
            name: entry if entry.file is None else entry.model_copy(update={"file": str(folder / entry.file)})
            for name, entry in self.inputs.items()
        }
        everywhere = OutputGiven(tolerance=self.tolerance)
        return Given(inputs=inputs, signature=self.signature, outputs=self.outputs, all_outputs=everywhere)


def read_settings(path: Path) -> Settings:
    """Read the TOML beside a model. Raises UnreadableModel that names the file, the key and what to do."""
    if not path.is_file():
        raise UnreadableModel(f"{path}: cannot be read (not a file)")
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_TOML_BYTES + 1)
        if len(text) > _MAX_TOML_BYTES:
            raise UnreadableModel(f"{path}: larger than 1 MiB; this file only describes the model beside it")
        document = tomllib.loads(text.decode("utf-8-sig"))
    except OSError as exc:
        raise UnreadableModel(f"{path}: cannot be read ({exc.strerror})") from exc
    except UnicodeDecodeError as exc:
        line = text[: exc.start].count(b"\n") + 1
        raise UnreadableModel(f"{path}: line {line}: not UTF-8; save the file as UTF-8") from exc
    except tomllib.TOMLDecodeError as exc:
        lines = text.count(b"\n") + 1
        words = str(exc).replace("at end of document", f"at line {lines}, the last")
        raise UnreadableModel(f"{path}: not valid TOML: {words}; correct that line") from exc
    except (RecursionError, ValueError) as exc:
        raise UnreadableModel(f"{path}: not valid TOML: {exc or type(exc).__name__}; correct it") from exc
    if "toml" in document:
        raise UnreadableModel(f"{path}: toml: unknown key; remove it ({_keys(Settings)})")
    try:
        settings = Settings.model_validate({**document, "toml": str(path)})
    except ValidationError as exc:
        raise UnreadableModel(f"{path}: {_in_words(exc.errors()[0])}") from exc
    feed = settings.feed_path()
    if feed is not None and not feed.is_file():
        raise UnreadableModel(f"{path}: feed: {_lack(feed)}; write it with numpy.savez, arrays named as the inputs")
    for name, entry in settings.given().inputs.items():
        if entry.file is not None and not Path(entry.file).is_file():
            words = _lack(Path(entry.file))
            raise UnreadableModel(f"{path}: inputs.{name}.file: {words}; it is looked for beside the TOML")
    return settings


def _lack(file: Path) -> str:
    return f"{file} is not a file" if os.path.lexists(file) else f"no file {file}"


def _keys(record: type[Record]) -> str:
    return "known keys: " + ", ".join(name for name in record.model_fields if name != "toml")


def _in_words(error: ErrorDetails) -> str:
    """One pydantic error as `key: what is wrong; what to do`."""
    # Inside a list pydantic counts entries; tuples and unions add marks in brackets that nobody typed.
    place = [part for part in error["loc"] if not (isinstance(part, str) and re.search(r"[\[(]", part))]
    if place[:2] == ["accuracy", 0]:
        del place[1]  # one table, as most have it
    key = ".".join(str(part) for part in place)
    if error["type"] == "extra_forbidden":
        record = Settings if len(place) == 1 else _TABLES.get(str(place[0]), Settings)
        near = difflib.get_close_matches(str(place[-1]), record.model_fields, n=1)
        hint = f"did you mean {near[0]}?" if near else _keys(record)
        return f"{key}: unknown key; {hint}"
    if error["type"] == "missing":
        return f"{key}: missing; add it ({_PURPOSE.get(str(place[-1]), 'it is required')})"
    message = error["msg"].removeprefix("Value error, ")
    message = message.replace("Input should", "must").replace("String should", "must")
    if isinstance(error["input"], dict):
        return f"{key}: {message}"  # of the table as a whole
    return f"{key}: {message}, not {_shown(error['input'])}"


_TABLES: dict[str, type[Record]] = {
    "accuracy": _Stated,
    "inputs": InputGiven,
    "outputs": OutputGiven,
    "preprocessing": Preprocessing,
}
_PURPOSE = {
    "source": "where the figure comes from, as 'own validation, 2000 images'",
    "value": "the figure itself, as 71.2",
    "crop": "the side of the network's input, in pixels",
    "mean": "what is subtracted in each channel, as [0.485, 0.456, 0.406]",
    "std": "what each channel is divided by, as [0.229, 0.224, 0.225]",
}


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
