"""The state a device was in while it measured, as far as its telemetry tells: the modes that decide its clocks."""

from __future__ import annotations

from collections.abc import Iterable

from results.records import Telemetry

NAMES = {"power_mode": "nvpmodel mode", "governor": "governor"}
"""What is kept of a device's telemetry, and what it is called."""

_MAX_VALUES = 16

Environment = dict[str, tuple[str, ...]]


def of(readings: Iterable[Telemetry | None]) -> Environment:
    """Return every value that was read under each of NAMES, sorted; none where the device does not tell it."""
    known = [reading for reading in readings if reading is not None]
    modes = {reading.power_mode for reading in known if reading.power_mode is not None}
    governors = {governor for reading in known for governor in reading.governor or ()}
    return {"power_mode": tuple(sorted(modes)[:_MAX_VALUES]), "governor": tuple(sorted(governors)[:_MAX_VALUES])}


def is_in(power_mode: str, environment: Environment) -> bool:
    """Tell whether a device was in this mode all the time: its governor on every core, or its nvpmodel mode."""
    return any({value.casefold() for value in found} == {power_mode.casefold()} for found in environment.values())


def mismatch(power_mode: str, environment: Environment) -> str:
    """Say which mode was asked for and which was in force."""
    found = [f"{NAMES[key]} {' and '.join(values)}" for key, values in environment.items() if values]
    told = ", ".join(found) or f"the device tells neither {' nor '.join(NAMES.values())}"
    return f"power_mode = {power_mode!r} is asked for, found: {told}"
