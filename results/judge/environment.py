"""The state a device was in while it measured, as far as its telemetry tells: the modes that decide its clocks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

NAMES = {"power_mode": "nvpmodel mode", "governor": "governor"}
"""What is kept of a device's telemetry, and what it is called."""

_MAX_VALUES, _MAX_LENGTH = 16, 64

Environment = dict[str, tuple[str, ...]]


def of(telemetry: Iterable[Mapping[str, Any]]) -> Environment:
    """Return every value that was read under each of NAMES, sorted; none where the device does not tell it."""
    snapshots = list(telemetry)
    return {
        key: tuple(sorted({value for snapshot in snapshots for value in _values(snapshot.get(key))})[:_MAX_VALUES])
        for key in NAMES
    }


def _values(said: Any) -> list[str]:
    """A device may say anything here: text is cut short, everything else and `unknown` passed over."""
    found = [value[:_MAX_LENGTH] for value in (said if isinstance(said, list) else [said]) if isinstance(value, str)]
    return [value for value in found if value != "unknown"]


def is_in(power_mode: str, environment: Environment) -> bool:
    """Tell whether a device was in this mode all the time: its governor on every core, or its nvpmodel mode."""
    return any({value.casefold() for value in found} == {power_mode.casefold()} for found in environment.values())


def mismatch(power_mode: str, environment: Environment) -> str:
    """Say which mode was asked for and which was in force."""
    found = [f"{NAMES[key]} {' and '.join(values)}" for key, values in environment.items() if values]
    told = ", ".join(found) or f"the device tells neither {' nor '.join(NAMES.values())}"
    return f"power_mode = {power_mode!r} is asked for, found: {told}"
