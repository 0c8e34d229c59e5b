"""The thermal gate: wait until the device has cooled down, before a round or each case of minutes without a pause."""

from __future__ import annotations

import time
from collections.abc import Callable

from harness.errors import TransportError
from harness.fleet.devices import Device
from harness.jobs.probe import Probe
from harness.link.agent import AgentOnDevice

MAX_WAIT_S = 300.0
POLL_S = 5.0
WARMER_C = 5.0
"""Where nobody set a limit, so much warmer than at first a device may be when minutes without a pause begin."""


def cool_down(device: Device, agent: AgentOnDevice, say: Callable[[str], None], wait: Callable[[float], bool]) -> bool:
    """Wait at most MAX_WAIT_S until no sensor is above the device's limit; without one, or without sensors, not at all.

    `wait` returns True when the run is over. A device that does not answer is left to the restart that follows. Returns
    False when asking again is of no use.
    """
    limit = device.max_temperature_c
    waited, begun = 0.0, time.monotonic()
    while limit is not None:
        try:
            now = agent.carry_out(Probe()).telemetry.hottest_c
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
        # A device that takes long to answer is not waited for any longer.
        waited = max(waited + POLL_S, time.monotonic() - begun)
    return False


def limited_to_now(device: Device, agent: AgentOnDevice) -> Device:
    """Return the device with a limit: its own, or WARMER_C above its temperature now; none where that is not known."""
    if device.max_temperature_c is not None:
        return device
    try:
        now = agent.carry_out(Probe()).telemetry.hottest_c
    except TransportError:
        return device
    return device.model_copy(update={"max_temperature_c": None if now is None else now + WARMER_C})
