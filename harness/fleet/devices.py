"""devices.toml: which devices there are and how each is reached."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializeAsAny,
    SerializerFunctionWrapHandler,
    StrictBool,
    StrictFloat,
    StrictInt,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

import backends
from harness.errors import ConfigError, UnknownDevice
from harness.fleet import mistakes
from harness.transports import Transport
from harness.transports import table as transports
from harness.transports.kind import Kind, Word

FILE_NAME = "devices.toml"
_MAX_BYTES = 1 << 20

Threads = Annotated[StrictInt, Field(ge=1, le=1024)]
OptionValue = Annotated[str, Field(pattern=r"^[^\x00]*$", max_length=1024)]


class Device(BaseModel):
    """One device as devices.toml describes it.

    `own` are the fields that only its transport has; wherever a device is written they stand beside the others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    transport: str
    own: SerializeAsAny[Kind]
    root: Annotated[str, Field(pattern=r"^[^-\x00][^\x00]*$", max_length=1024)] | None = None
    python: Annotated[str, Field(pattern=r"^[^\x00]+$")] | None = None
    threads: Annotated[tuple[Threads, ...], Field(min_length=1, max_length=64)] = (1,)
    cores: Annotated[str, Field(pattern=r"^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$")] | None = None
    power_mode: Annotated[Word, Field(max_length=64)] | None = None
    strict: StrictBool = False
    real_time: StrictBool = True
    tags: tuple[Word, ...] = ()
    class_: Annotated[Word | None, Field(alias="class")] = None
    max_temperature_c: Annotated[StrictFloat, Field(gt=0, le=150)] | None = None
    critical_temperature_c: Annotated[StrictFloat, Field(gt=0, le=150)] | None = None
    max_cache_gb: Annotated[StrictFloat, Field(gt=0, le=1e6)] | None = None
    timeout_s: Annotated[StrictFloat, Field(ge=1, le=600)] = 20.0
    backend_options: dict[str, dict[str, OptionValue]] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Put the transport's own fields together."""
        common = {name: value for name, value in given.items() if name in _COMMON}
        try:
            kind = transports.find(given["transport"])
        except (KeyError, TypeError, ValueError):
            return {**common, "own": None}  # the field `transport` says so
        return {**common, "own": kind(**{name: value for name, value in given.items() if name not in _COMMON})}

    @model_serializer(mode="wrap")
    def _spread(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = handler(self)
        first = {key: written.pop(key) for key in ("name", "transport") if key in written}
        return {**first, **written.pop("own", {}), **written}

    @field_validator("transport")
    @classmethod
    def _of_a_known_transport(cls, name: str) -> str:
        transports.find(name)
        return name

    @field_validator("backend_options")
    @classmethod
    def _of_known_backends(cls, given: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        """A misspelled backend would never be asked for its options."""
        for name in set(given) - set(backends.BUILTIN):
            if name not in backends.names():
                raise ValueError(f"no backend is called {name!r}; there are: {', '.join(backends.names())}")
        return given

    @property
    def interpreter(self) -> str:
        """The Python that runs the agent there."""
        return self.python or self.own.python or "python3"

    @property
    def folder(self) -> str | None:
        """Where files are pushed to; None for this machine, whose folder is in the workspace."""
        root = self.root or self.own.root
        return self.own.place(root.removeprefix("~/")) if root else None

    def core_set(self) -> list[int] | None:
        """Return the cores to measure on, None for whichever the device's scheduler takes."""
        if self.cores is None:
            return None
        ranges = [[int(end) for end in part.split("-")] for part in self.cores.split(",")]
        return sorted({core for ends in ranges for core in range(min(ends), max(ends) + 1)})

    def connect(self, known_hosts: Path | None = None) -> Transport:
        """Return the open transport; `known_hosts` is the workspace's file. Raises TransportError."""
        return self.own.connect(self, known_hosts)

    @property
    def where(self) -> str:
        """Where it is, in a word or two."""
        return self.own.where(self)


_COMMON = {name for field, info in Device.model_fields.items() for name in (field, info.alias)} - {"own", None}


def find_file(start: Path) -> Path | None:
    """Return the devices.toml in `start` or the nearest folder above it."""
    for folder in (start, *start.parents):
        if os.path.lexists(folder / FILE_NAME):  # one that cannot be read is a mistake, too
            return folder / FILE_NAME
    return None


def load(path: Path | None) -> dict[str, Device]:
    """Return name -> device in the file's order; without a file this machine alone.

    Raises ConfigError with the line and the field of what is wrong.
    """
    if path is None:
        return {LOCAL.name: LOCAL}
    devices = parse(path, read(path))
    if not devices:
        raise ConfigError(f'{path}: no devices; add a table like [devices.local] with transport = "local"')
    return devices


def parse(path: Path, text: str) -> dict[str, Device]:
    """Return name -> device of the text of a devices.toml, which may have none. Raises ConfigError like `load`."""
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{path}: {mistakes.plain(str(exc))}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{path}: nested too deeply for a devices.toml") from exc
    except ValueError as exc:  # a number with thousands of digits
        raise ConfigError(f"{path}: {exc}") from exc
    unknown = sorted(set(tree) - {"devices"})
    if unknown:
        line = mistakes.line_of(text, (unknown[0],))
        raise ConfigError(f"{path}:{line}: unknown field {unknown[0]!r}; devices stand in [devices.NAME]")
    tables = tree.get("devices", {})
    if not isinstance(tables, dict):
        raise ConfigError(
            f"{path}:{mistakes.line_of(text, ('devices',))}: devices stand in tables of their own: [devices.NAME]"
        )
    return {name: _device(path, text, name, table) for name, table in tables.items()}


def choose(fleet: dict[str, Device], expressions: Iterable[str]) -> list[Device]:
    """Return the devices that are meant, each once, in the order of the expressions.

    Comma-separated or repeated: a name, a glob, `class:NAME`, `tag:NAME`, or `all`.
    Raises UnknownDevice with the nearest names.
    """
    chosen: dict[str, Device] = {}
    for word in (part.strip() for expression in expressions for part in expression.split(",")):
        if not word:
            continue
        found = [device for device in fleet.values() if _is_meant(device, word)]
        if not found:
            raise UnknownDevice(_unknown(fleet, word))
        chosen.update({device.name: device for device in found})
    return list(chosen.values())


def find(fleet: dict[str, Device], name: str) -> Device:
    """Return the device of exactly this name. Raises UnknownDevice with the nearest names."""
    if name not in fleet:
        raise UnknownDevice(_unknown(fleet, name))
    return fleet[name]


_LABELS: dict[str, Callable[[Device], tuple[str | None, ...]]] = {
    "class": lambda device: (device.class_,),
    "tag": lambda device: device.tags,
}


def _is_meant(device: Device, word: str) -> bool:
    kind, colon, value = word.partition(":")
    if colon and kind in _LABELS:
        return value in _LABELS[kind](device)
    return word == "all" or device.name == word or fnmatchcase(device.name, word)


def _unknown(fleet: dict[str, Device], word: str) -> str:
    kind, colon, value = word.partition(":")
    if colon and kind in _LABELS:
        known = {label for device in fleet.values() for label in _LABELS[kind](device) if label}
        return f"no device has the {kind} {value!r}; there are: {', '.join(sorted(known)) or 'none'}"
    near = difflib.get_close_matches(word, fleet, n=3)
    hint = f"did you mean {', '.join(near)}? There" if near else "there"
    return f"no device is called {word!r}; {hint} are: {', '.join(fleet)}"


def read(path: Path) -> str:
    """Return the text of a devices.toml. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"{path} cannot be read: not a file")
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES} bytes: that is not a devices.toml")
    try:
        return content.decode("utf-8-sig")  # Windows' editors write a mark at the beginning
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from exc


def make(name: str, fields: Mapping[str, object]) -> Device:
    """Return a device that is in no file yet. Raises ConfigError."""
    try:
        return Device.model_validate({"name": name, **fields})
    except ValidationError as exc:
        first = mistakes.first(exc)
        raise ConfigError(f"{first['loc'][0]}: {_explain(first, fields)}") from exc


LOCAL = make("local", {"transport": "local"})


def _device(path: Path, text: str, name: str, table: Any) -> Device:
    if not isinstance(table, dict):
        line = mistakes.line_of(text, ("devices", name))
        raise ConfigError(f"{path}:{line}: devices.{name} must be a table: [devices.{name}]")
    if "name" in table:
        line = mistakes.line_of(text, ("devices", name, "name"))
        raise ConfigError(f"{path}:{line}: devices.{name}.name: unknown field; the table's own name is the device's")
    try:
        return Device.model_validate({"name": name, **table})
    except ValidationError as exc:
        first = mistakes.first(exc)
        field = tuple(str(part) for part in first["loc"])
        where = ("devices", name) if field == ("name",) else ("devices", name, *field)
        line = mistakes.line_of(text, where)
        raise ConfigError(f"{path}:{line}: {'.'.join(where)}: {_explain(first, table)}") from exc


def _explain(error: Any, given: Mapping[str, object]) -> str:
    if error["type"] != "extra_forbidden":
        return mistakes.explain(error)
    # Only its transport says what a device may have besides what all have.
    transport = str(given["transport"])
    own = transports.find(transport).model_fields
    fields = [info.alias or field for field, info in Device.model_fields.items() if field not in ("name", "own")]
    return mistakes.unknown(str(error["loc"][0]), transport, [*own, *fields])
