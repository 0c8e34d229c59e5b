"""devices.toml: which devices there are and how each is reached."""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, ValidationError, field_validator

import backends
from harness.errors import ConfigError, UnknownDevice
from harness.transports import Transport

if TYPE_CHECKING:
    from harness.transports.ssh.connection import Login

FILE_NAME = "devices.toml"
_MAX_BYTES = 1 << 20

# What the agent finds its files under, where devices.toml does not say: relative to the home over SSH.
ROOTS = {"ssh": ".cache/edgebench", "adb": "/data/local/tmp/edgebench"}
# Fields that only one transport has.
OWN_FIELDS = {
    "host": "ssh",
    "port": "ssh",
    "user": "ssh",
    "identity_file": "ssh",
    "jump": "ssh",
    "serial": "adb",
    "adb_host": "adb",
    "adb_port": "adb",
}

Threads = Annotated[StrictInt, Field(ge=1, le=1024)]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
Word = Annotated[str, Field(pattern=r"^[^\s,]+$", max_length=255)]
OptionValue = Annotated[str, Field(max_length=1024)]
Host = Annotated[str, Field(pattern=r"^[^-\s,@/][^\s,@/]*$", max_length=255)]


class Device(BaseModel):
    """One device as devices.toml describes it. A field that its transport does not have is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    transport: Literal["local", "ssh", "adb"]
    host: Host | None = None
    port: Port | None = None
    user: Word | None = None
    identity_file: Annotated[str, Field(min_length=1)] | None = None
    jump: Annotated[str, Field(min_length=1)] | None = None
    serial: Word | None = None
    adb_host: Host | None = None
    adb_port: Port | None = None
    root: Annotated[str, Field(pattern=r"^[^-\x00][^\x00]*$", max_length=1024)] | None = None
    python: Annotated[str, Field(min_length=1)] | None = None
    threads: Annotated[tuple[Threads, ...], Field(min_length=1, max_length=64)] = (1,)
    cores: Annotated[str, Field(pattern=r"^\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*$")] | None = None
    power_mode: Annotated[Word, Field(max_length=64)] | None = None
    tags: tuple[Word, ...] = ()
    class_: Annotated[Word | None, Field(alias="class")] = None
    max_temperature_c: Annotated[StrictFloat, Field(gt=0, le=150)] | None = None
    max_cache_gb: Annotated[StrictFloat, Field(gt=0, le=1e6)] | None = None
    timeout_s: Annotated[StrictFloat, Field(ge=1, le=600)] = 20.0
    backend_options: dict[str, dict[str, OptionValue]] = Field(default_factory=dict)

    @field_validator("backend_options")
    @classmethod
    def _of_known_backends(cls, given: dict[str, dict[str, str]]) -> dict[str, dict[str, str]]:
        """A misspelled backend would never be asked for its options."""
        for name in given:
            if name not in backends.names():
                raise ValueError(f"no backend is called {name!r}; there are: {', '.join(backends.names())}")
        return given

    @property
    def interpreter(self) -> str:
        """The Python that runs the agent there."""
        return self.python or (sys.executable if self.transport == "local" else "python3")

    @property
    def folder(self) -> str | None:
        """Where files are pushed to; None for this machine, whose folder is in the workspace."""
        root = self.root or ROOTS.get(self.transport)
        return root.removeprefix("~/") if root else None

    def core_set(self) -> list[int] | None:
        """Return the cores to measure on, None for whichever the device's scheduler takes."""
        if self.cores is None:
            return None
        ranges = [[int(end) for end in part.split("-")] for part in self.cores.split(",")]
        return sorted({core for ends in ranges for core in range(min(ends), max(ends) + 1)})

    def connect(self, known_hosts: Path | None = None) -> Transport:
        """Return the open transport; `known_hosts` is the workspace's file. Raises TransportError."""
        if self.transport == "ssh":
            from harness.transports.ssh.transport import SshTransport

            return SshTransport(self.login(known_hosts), self.interpreter)
        if self.transport == "adb":
            # By its name: importing it costs what only a user of adb should pay.
            kind = import_module("harness.transports.adb.transport").AdbTransport
            transport: Transport = kind(self.serial, self.adb_host, self.adb_port, timeout_s=self.timeout_s)
            return transport
        from harness.transports.local import LocalTransport

        return LocalTransport()

    def login(self, known_hosts: Path | None) -> Login:
        """Return how a device over SSH is reached. Raises ConnectError."""
        from harness.transports.ssh import address as ssh_address
        from harness.transports.ssh.connection import Login

        address = ssh_address.resolve(
            self.host or self.name, port=self.port, user=self.user, identity_file=self.identity_file, jump=self.jump
        )
        return Login(self.name, address, known_hosts, f"bench devices add {self.name}", self.timeout_s)


LOCAL = Device(name="local", transport="local")


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
        raise ConfigError(f"{path}: {_plain(str(exc))}") from exc
    except RecursionError as exc:
        raise ConfigError(f"{path}: nested too deeply for a devices.toml") from exc
    except ValueError as exc:  # a number with thousands of digits
        raise ConfigError(f"{path}: {exc}") from exc
    unknown = sorted(set(tree) - {"devices"})
    if unknown:
        raise ConfigError(
            f"{path}:{_line_of(text, (unknown[0],))}: unknown field {unknown[0]!r}; devices stand in [devices.NAME]"
        )
    tables = tree.get("devices", {})
    if not isinstance(tables, dict):
        raise ConfigError(
            f"{path}:{_line_of(text, ('devices',))}: devices stand in tables of their own: [devices.NAME]"
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


def _is_meant(device: Device, word: str) -> bool:
    kind, colon, value = word.partition(":")
    if colon and kind == "class":
        return device.class_ == value
    if colon and kind == "tag":
        return value in device.tags
    return word == "all" or device.name == word or fnmatchcase(device.name, word)


def _unknown(fleet: dict[str, Device], word: str) -> str:
    kind, colon, value = word.partition(":")
    if colon and kind in {"class", "tag"}:
        known = {
            tag for device in fleet.values() for tag in (device.tags if kind == "tag" else (device.class_,)) if tag
        }
        return f"no device has the {kind} {value!r}; there are: {', '.join(sorted(known)) or 'none'}"
    near = difflib.get_close_matches(word, fleet, n=3)
    hint = f"did you mean {', '.join(near)}? " if near else ""
    return f"no device is called {word!r}; {hint}There are: {', '.join(fleet)}"


def read(path: Path) -> str:
    """Return the text of a devices.toml. Raises ConfigError."""
    if not path.is_file():
        raise ConfigError(f"{path} cannot be read: not a file")
    try:
        content = path.read_bytes()
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"{path} is larger than {_MAX_BYTES} bytes: that is no devices.toml")
    try:
        return content.decode("utf-8-sig")  # Windows' editors write a mark at the beginning
    except UnicodeDecodeError as exc:
        line = content[: exc.start].count(b"\n") + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text") from exc


def make(name: str, fields: Mapping[str, str | int]) -> Device:
    """Return a device that is in no file yet. Raises ConfigError."""
    try:
        return Device.model_validate({"name": name, **fields})
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        raise ConfigError(f"{first['loc'][0]}: {_explain(first)}") from exc


def _device(path: Path, text: str, name: str, table: Any) -> Device:
    if not isinstance(table, dict):
        line = _line_of(text, ("devices", name))
        raise ConfigError(f"{path}:{line}: devices.{name} must be a table: [devices.{name}]")
    if "name" in table:
        line = _line_of(text, ("devices", name, "name"))
        raise ConfigError(f"{path}:{line}: devices.{name}.name: unknown field; the table's own name is the device's")
    for own, transport in OWN_FIELDS.items():
        if own in table and table.get("transport") in {"local", "ssh", "adb"} and table["transport"] != transport:
            line = _line_of(text, ("devices", name, own))
            raise ConfigError(
                f"{path}:{line}: devices.{name}.{own}: only a device with transport {transport!r} has this"
            )
    try:
        return Device(name=name, **table)
    except ValidationError as exc:
        first = exc.errors(include_url=False)[0]
        field = tuple(str(part) for part in first["loc"])
        where = ("devices", name) if field == ("name",) else ("devices", name, *field)
        line = _line_of(text, where)
        raise ConfigError(f"{path}:{line}: {'.'.join(where)}: {_explain(first)}") from exc


def _explain(error: Any) -> str:
    """Say what is wrong with a field in words."""
    kind = error["type"]
    if kind == "extra_forbidden":
        known = [info.alias or field for field, info in Device.model_fields.items() if field != "name"]
        near = difflib.get_close_matches(str(error["loc"][0]), known, n=1)
        return f"unknown field{f', did you mean {near[0]}?' if near else ''} Known fields: {', '.join(known)}"
    if kind == "missing":
        return "this field is missing"
    if kind == "string_pattern_mismatch" and error["loc"] == ("name",):
        return "a device's name is letters, digits, '_', '.' and '-', at most 64"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    # As the things are called in TOML.
    message = f"{error['msg'][0].lower()}{error['msg'][1:]}"
    for word, plain in (("valid tuple", "list, like [1, 2]"), ("tuple", "list"), ("valid dictionary", "table")):
        message = message.replace(word, plain)
    return f"{message}, got {error['input']!r}"[:300]


def _plain(message: str) -> str:
    """Turn tomllib's "… (at line 3, column 5)" into a message that starts with the place."""
    match = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message)
    return f"line {match[2]}, column {match[3]}: {match[1]}" if match else message


def _line_of(text: str, where: tuple[str, ...]) -> int:
    """Return the line on which the field at `where` stands, or its table, or 1: tomllib keeps no positions."""
    best = 1
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            table = tuple(part.strip(" \"'") for part in header[1].split("."))
            here = table
        else:
            key = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
            if not key:
                continue
            here = (*table, *(part.strip("\"'") for part in key[1].split(".")))
        if here == where:
            return number
        if where[: len(here)] == here:
            best = number
    return best
