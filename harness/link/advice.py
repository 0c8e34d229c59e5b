"""What to do about a device that works, but not as well as it could."""

from __future__ import annotations

from harness.fleet.devices import Device
from harness.jobs.probe import Probed
from results.judge import environment
from results.judge import telemetry as signs
from results.records import Telemetry

_SCARCE_BYTES = 1 << 30
_GOVERNORS = ("performance", "powersave", "userspace", "ondemand", "conservative", "schedutil")


def power_problem(device: Device, telemetry: Telemetry) -> str | None:
    """Return what to do when a device is not in the mode that devices.toml asks for, None when it is or none is."""
    asked, found = device.power_mode, environment.of([telemetry])
    if asked is None or environment.is_in(asked, found):
        return None
    if not any(found.values()):
        remedy = "take power_mode out of devices.toml"
    elif device.own.fixed_clocks:
        remedy = f"{device.own.fixed_clocks}; else take power_mode out of devices.toml"
    elif asked in _GOVERNORS:
        remedy = f"set it there: sudo cpupower frequency-set -g {asked}"
    else:
        remedy = "set it there, on a Jetson: sudo nvpmodel -m and its number in /etc/nvpmodel.conf"
    return f"{environment.mismatch(asked, found)}; its rows will be not-comparable; {remedy}"


def limits(device: Device, telemetry: Telemetry) -> list[str]:
    """Return what to do about what slows a device down or holds it back, now or at times."""
    found, ever = signs.slowed_now(telemetry), signs.slowed_ever(telemetry)
    if ever and not found:
        found.append(
            f"its firmware has told of {' and '.join(ever)} since its start: watch its power supply and its heat"
        )
    if telemetry.cpu_quota is not None:
        found.append(
            f"its control group may use {telemetry.cpu_quota:g} CPUs, and rows that need more will be throttled: "
            "give it more (cpu.max, docker --cpus), or measure with fewer threads"
        )
    if telemetry.power_source == ("battery",):
        found.append("it runs on its battery: plug it in, many devices are slower without")
    pairs = zip(telemetry.frequency_limit_khz or (), telemetry.frequency_most_khz or (), strict=False)
    held = [most for allowed, most in pairs if allowed and most and allowed < most]
    # A mode of nvpmodel sets limits, and on some devices nobody may.
    if held and telemetry.power_mode is None and not device.own.fixed_clocks:
        lift = f"sudo cpupower frequency-set -u {max(held) / 1e6:g}GHz"
        found.append(f"its cores may not run as fast as they can: lift the limit, {lift}")
    return found


def advice(device: Device, probe: Probed) -> list[str]:
    """Return sentences about a device's disk, cores, governor, limits and sensors; none when all is well."""
    found = []
    if probe.free_bytes is not None and probe.free_bytes < _SCARCE_BYTES:
        found.append(
            f"only {probe.free_bytes / 2**20:.0f} MiB are free there: make room, or name another folder with root = …"
        )
    cpus, cores = probe.identity.cpus, device.core_set()
    if cpus and cores and cores[-1] >= cpus:
        found.append(f"cores = {device.cores!r}: the device has only 0-{cpus - 1}")
    governor = probe.telemetry.governor
    problem = power_problem(device, probe.telemetry)
    # A power mode in devices.toml is a choice already.
    may_choose_governor = not device.own.fixed_clocks and device.power_mode is None
    if problem:
        found.append(problem)
    elif may_choose_governor and governor not in (None, ("performance",)):
        found.append(
            f"the governor is {', '.join(governor)}: latencies swing less with performance (cpupower frequency-set)"
        )
    found += limits(device, probe.telemetry)
    if probe.telemetry.hottest_c is None and device.max_temperature_c is not None:
        found.append("no temperature can be read, so max_temperature_c changes nothing")
    return found
