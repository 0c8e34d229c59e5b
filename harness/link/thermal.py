"""The thermal gate: before a round, wait until the device has cooled down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.errors import TransportError
from harness.fleet.devices import Device
from harness.link.agent import AgentOnDevice

MAX_WAIT_S = 300.0
POLL_S = 5.0


def hottest(telemetry: dict[str, Any]) -> float | None:
    """Return the highest temperature in a device's telemetry, None when no sensor can be read."""
    zones = telemetry.get("temperature_c")
    # Sensors that are switched off report zero or nonsense.
    readings = [value for value in zones.values() if _is_real(value)] if isinstance(zones, dict) else []
    return max(readings, default=None)


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 200


def cool_down(device: Device, agent: AgentOnDevice, say: Callable[[str], None], wait: Callable[[float], bool]) -> bool:
    """Wait at most MAX_WAIT_S until no sensor is above the device's limit; without one, or without sensors, not at all.

    `wait` returns True when the run is over. A device that does not answer is left to the restart that follows. Returns
    False when asking again is of no use.
    """
    limit = device.max_temperature_c
    waited = 0.0
    while limit is not None:
        try:
            now = hottest(agent.probe((), ()).telemetry)
        except TransportError:
            return True
        if now is None:
            say(f"{device.name}: no temperature can be read, so max_temperature_c changes nothing")
            return False
        if now <= limit:
            return True
        if waited >= MAX_WAIT_S:
            say(f"{device.name}: still {now:.0f} °C after {waited:.0f} s (limit {limit:g} °C); measuring all the same")
            return True
        if waited == 0:
            say(f"{device.name}: {now:.0f} °C, waiting for {limit:g} °C")
        if wait(POLL_S):
            return True
        waited += POLL_S
    return False
