"""Changes to devices.toml as text, so that the user's comments and order stay."""

from __future__ import annotations

import re
from pathlib import Path

from harness.errors import ConfigError
from harness.fleet import devices as fleet
from harness.transports.kind import Fields
from results.errors import ResultsError
from results.files import write_file

_HEADER = "# The fleet: one table a device; the fields stand in docs/cli.md.\n"
_LOCAL = '\n[devices.local]\ntransport = "local"\n'


def add(path: Path, name: str, fields: Fields) -> None:
    """Append the table of a new device, to a new file beside that of this machine. Raises ConfigError."""
    text = fleet.read(path) if path.exists() else _HEADER + _LOCAL
    table = [f"[devices.{_key(name)}]", *(f"{key} = {_value(value)}" for key, value in fields.items())]
    _write(path, text.rstrip("\n") + "\n\n" + "\n".join(table) + "\n")


def forget(path: Path, name: str) -> None:
    """Take out a device's table with those below it, up to the next device; comments right before that one stay.

    Raises ConfigError.
    """
    lines = fleet.read(path).splitlines(keepends=True)
    written = "|".join(re.escape(form) for form in {_key(name), f'"{name}"', f"'{name}'"})
    start = rf"\s*\[\s*devices\s*\.\s*(?:{written})\s*"
    head, below = re.compile(start + r"\]"), re.compile(start + r"\.")
    begin = next((number for number, line in enumerate(lines) if head.match(line)), None)
    if begin is None:
        raise ConfigError(f"{path}: {name} is not a table of its own there ([devices.{name}]); take it out by hand")
    tables = (n for n in range(begin + 1, len(lines)) if lines[n].lstrip().startswith("["))
    end = next((n for n in tables if not below.match(lines[n])), len(lines))
    while end < len(lines) and end > begin + 1 and lines[end - 1].lstrip().startswith("#"):
        end -= 1
    rest = "".join(lines[:begin]).rstrip("\n") + "\n" + ("\n" + "".join(lines[end:]) if lines[end:] else "")
    _write(path, rest)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else f'"{name}"'


def _value(value: str | int | float | bool) -> str:
    if not isinstance(value, str):
        return str(value).lower()
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _write(path: Path, text: str) -> None:
    """Put the new text in place once it is known to be right: the old file stays when it is not."""
    fleet.parse(path, text)
    try:
        write_file(path, text.encode())
    except ResultsError as exc:
        raise ConfigError(str(exc)) from exc
