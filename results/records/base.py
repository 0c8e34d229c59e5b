"""What all records share: they are frozen, validated, bounded, and have units in their names: `_ns`, `_ms`, `_bytes`.

Everything here is untrusted when it is read back (a file may be damaged, a device may lie).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

SCHEMA_VERSION = 5
"""Of the run document: 1 was the first; 2 has typed telemetry, causes, devices and several accuracies; 3 has the facts
of artifacts and what the check of an output found; 4 has how a precision was made, data sets and evaluations; 5 has how
the model's files lay in memory when it was loaded, and the peak memory until then, telemetry of every kind of
device, which inferences lost their core, curves over minutes, and whether a case is strict, or of the control series
(`upgrade`)."""

MAX_SAMPLES = 1_000_000
MAX_NESTING = 32
"""How deep a free-form part may be nested: what is written must be read again, and readers of JSON have a limit."""

_DAY_NS = 86_400 * 10**9

Nanoseconds = Annotated[int, Field(ge=0, le=_DAY_NS)]
Samples = Annotated[tuple[Nanoseconds, ...], Field(max_length=MAX_SAMPLES)]
MAX_TEXT = 4096
Text = Annotated[str, Field(max_length=MAX_TEXT)]
Word = Annotated[str, Field(max_length=64)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
DEVICE_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
"""The name of a device is that of its journal too, so it is never a path."""
DeviceName = Annotated[str, Field(pattern=DEVICE_NAME)]


class Record(BaseModel):
    """Base of every record: immutable, and a field nobody defined is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Said(Record):
    """What a device says: each field has a parser that bounds it and makes None of what makes no sense."""

    @classmethod
    def of(cls, said: object) -> Self:
        """Parse what a device said; what is missing is None. Raises ValueError when it is no object at all."""
        if not isinstance(said, Mapping):
            raise ValueError("what a device says of itself must be an object")
        return cls.model_validate({name: said.get(name) for name in cls.model_fields})


def shortened(text: str, limit: int = MAX_TEXT) -> str:
    """The text in at most `limit` characters: of a longer one the beginning and the end, where the cause stands."""
    begin = limit // 3
    return text if len(text) <= limit else f"{text[:begin]} … {text[begin + 3 - limit :]}"


def words_of(said: object) -> str | None:
    """A text of at most 256 characters, None for what is none and for `unknown`."""
    return said[:256] if isinstance(said, str) and said not in ("", "unknown") else None


def is_too_deep(tree: object, limit: int = MAX_NESTING) -> bool:
    """Tell whether lists and objects stand more than `limit` deep in one another."""
    level = [tree]
    for _ in range(limit + 1):
        level = [
            part
            for node in level
            if isinstance(node, dict | list | tuple)
            for part in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return False
    return True


def _shallow(tree: dict[str, JsonValue]) -> dict[str, JsonValue]:
    if is_too_deep(tree):
        raise ValueError(f"nested more than {MAX_NESTING} deep")
    return tree


FreeForm = Annotated[dict[str, JsonValue], AfterValidator(_shallow)]
"""What nobody defined beforehand, like what a runtime says of itself."""
