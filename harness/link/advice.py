"""What to do about a device that works, but not as well as it could."""

from __future__ import annotations

from harness.fleet.devices import Device
from harness.jobs.probe import Probed
from results.judge.device import environment
from results.judge.device.knobs import LIMITS, Told
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


def told(device: Device, probe: Probed) -> Told:
    """Return what is known of a device, for the knobs."""
    return Told(
        telemetry=probe.telemetry,
        means=probe.means,
        cpus=probe.identity.cpus,
        fixed_clocks=device.own.fixed_clocks,
        asked=device.power_mode,
    )


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
    problem = power_problem(device, probe.telemetry)
    if problem:
        found.append(problem)
    found += [sentence for knob in LIMITS for sentence in knob(told(device, probe)).todo]
    if probe.telemetry.hottest_c is None and device.max_temperature_c is not None:
        found.append("no temperature can be read, so max_temperature_c changes nothing")
    return found
