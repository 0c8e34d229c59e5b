"""What is wrong in a devices.toml, in words, and on which line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from harness.transports import table as transports

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails


def first(exc: ValidationError) -> ErrorDetails:
    """Return the error to be told; a field that nobody knows may be the one that is missing, misspelled."""
    errors = exc.errors(include_url=False)
    return next((error for error in errors if error["type"] == "extra_forbidden"), errors[0])


def unknown(field: str, transport: str, known: Sequence[str]) -> str:
    """Say what is wrong with a field that a device with this transport does not have; it has those in `known`."""
    if owners := transports.having(field):
        return f"only a device with transport {' or '.join(map(repr, owners))} has this, not one with {transport!r}"
    near = difflib.get_close_matches(field, known, n=1)
    return f"unknown field{f', did you mean {near[0]}?' if near else '.'} Known fields: {', '.join(known)}"


def explain(error: ErrorDetails) -> str:
    """Say what is wrong with the value of a field."""
    kind = error["type"]
    if kind == "missing":
        return "this field is missing"
    if kind == "string_pattern_mismatch" and error["loc"] == ("name",):
        return "a device's name is letters, digits, '_', '.' and '-', at most 64"
    if kind == "value_error":
        return str(error["ctx"]["error"])
    # As the things are called in TOML.
    message = f"{error['msg'][0].lower()}{error['msg'][1:]}"
    for word, plainer in (("valid tuple", "list, like [1, 2]"), ("tuple", "list"), ("valid dictionary", "table")):
        message = message.replace(word, plainer)
    return f"{message}, got {error['input']!r}"[:300]


def plain(message: str) -> str:
    """Turn tomllib's "… (at line 3, column 5)" into a message that starts with the place."""
    match = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message)
    return f"line {match[2]}, column {match[3]}: {match[1]}" if match else message


def line_of(text: str, where: tuple[str, ...]) -> int:
    """Return the line on which the field at `where` stands, or its table, or 1: tomllib keeps no positions."""
    best = 1
    above: tuple[str, ...] = ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = re.match(r"\s*\[+\s*([^\]]+?)\s*\]+", line)
        if header:
            above = tuple(part.strip(" \"'") for part in header[1].split("."))
            here = above
        else:
            key = re.match(r"\s*([A-Za-z0-9_.\"'-]+)\s*=", line)
            if not key:
                continue
            here = (*above, *(part.strip("\"'") for part in key[1].split(".")))
        if here == where:
            return number
        if where[: len(here)] == here:
            best = number
    return best
