"""One record on disk, `{"kind": …, "crc32": …, "record": …}`: a reader knows what it is and that it is whole."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

import pydantic_core
from pydantic import ValidationError

from results.records import (
    SCHEMA_VERSION,
    DeviceSeen,
    Evaluation,
    Finished,
    Record,
    Restart,
    RunDocument,
    RunHeader,
    upgrade,
)

KINDS: dict[str, type[Record]] = {
    "header": RunHeader,
    "device": DeviceSeen,
    "restart": Restart,
    "evaluation": Evaluation,
    "finished": Finished,
    "run": RunDocument,
}
_UPGRADES: dict[type[Record], Callable[[dict[str, Any]], dict[str, Any]]] = {
    RunHeader: upgrade.header,
    RunDocument: upgrade.document,
}
"""Of what carries the number of its schema; what a record of 2 may hold besides is the same today."""
_NAMES = {kind: name for name, kind in KINDS.items()}
_LINE = re.compile(rb'\{"kind":"([a-z]{1,32})","crc32":"([0-9a-f]{8})","record":(.*)\}', re.DOTALL)


class Damaged(ValueError):
    """This is not what was written, or no record of bench."""

    def __init__(self, why: str) -> None:
        super().__init__(f"is damaged or no result of bench ({why})")


class Newer(ValueError):
    """A newer bench wrote this."""


def encode(record: Record) -> bytes:
    """Return the record as one line without its end. The checksum is that of the kind, a colon and the record."""
    name, content = _NAMES[type(record)].encode(), record.model_dump_json().encode()
    return b'{"kind":"%s","crc32":"%08x","record":%s}' % (name, _checksum(name, content), content)


def decode(line: bytes) -> Record:
    """Return the record in a line; without kind and checksum it can only be one of schema 1. Raises Damaged, Newer."""
    found = _LINE.fullmatch(line)
    if found is None:
        return _decode_old(line)
    name, checksum, content = found.groups()
    if int(checksum, 16) != _checksum(name, content):
        raise Damaged("its checksum is another")
    kind = KINDS.get(name.decode())
    if kind is None:
        raise Damaged(f"{name.decode()} is no kind of record")
    try:
        return kind.model_validate_json(content)
    except ValidationError as exc:
        tree = _tree(content)
        if kind not in _UPGRADES or _version(tree) not in range(2, SCHEMA_VERSION):
            raise _newer(tree) or Damaged(_in_words(exc)) from exc
    try:
        return kind.model_validate(_UPGRADES[kind](tree))
    except ValidationError as exc:
        raise Damaged(_in_words(exc)) from exc


def _decode_old(line: bytes) -> Record:
    """A header, restart or document of schema 1, by what it holds."""
    tree = _tree(line)
    try:
        if _version(tree) == 1:
            kind: type[Record] = RunDocument if "header" in tree else RunHeader
            return kind.model_validate(_UPGRADES[kind](tree))
        if "schema_version" not in tree and "header" not in tree:
            return Restart.model_validate(upgrade.restart(tree))
    except ValidationError as exc:
        raise Damaged(_in_words(exc)) from exc
    raise _newer(tree) or Damaged("it has no kind and checksum")


def _tree(content: bytes) -> dict[str, Any]:
    try:
        tree = pydantic_core.from_json(content, allow_inf_nan=False)
    except ValueError as exc:
        raise Damaged(f"Invalid JSON: {exc}") from exc
    if not isinstance(tree, dict):
        raise Damaged("it is no object")
    return tree


def _version(tree: dict[str, Any]) -> int | None:
    header = tree.get("header", tree)
    version = header.get("schema_version") if isinstance(header, dict) else None
    return version if isinstance(version, int) else None


def _newer(tree: dict[str, Any]) -> Newer | None:
    version = _version(tree)
    if version is None or version <= SCHEMA_VERSION:
        return None
    return Newer(f"has schema version {version}, this bench reads up to {SCHEMA_VERSION}: update it")


def _checksum(name: bytes, content: bytes) -> int:
    return zlib.crc32(content, zlib.crc32(name + b":"))


def _in_words(exc: ValidationError) -> str:
    first = exc.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
