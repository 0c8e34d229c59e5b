"""What makes latencies swing on a device and could be set otherwise: one function a knob, as pyperf's `system` has it.

Each says whether the device has the knob, how it stands, and what to do. Nothing is ever set. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from results.judge.device import telemetry as signs
from results.records import Means, Telemetry


@dataclass(frozen=True)
class Told:
    """What is known of a device; None and "" are what is not.

    `cpus` is how many it has, `fixed_clocks` why its owner cannot set clocks, `asked` the power mode that devices.toml
    asks for. `others` and `stolen` are the shares of all CPUs' time that other processes and a hypervisor took while
    inferences were timed.
    """

    telemetry: Telemetry
    means: Means = field(default_factory=Means)
    cpus: int | None = None
    fixed_clocks: str = ""
    asked: str | None = None
    others: float | None = None
    stolen: float | None = None


@dataclass(frozen=True)
class Knob:
    """A knob: whether the device has (or tells of) it, how it stands, and what to do about that, in sentences."""

    name: str
    available: bool
    now: str
    todo: tuple[str, ...] = ()


UNKNOWN = "cannot be read"
# https://docs.kernel.org/accounting/delay-accounting.html
_COUNT_WAITING = (
    "have the kernel count how long threads wait (CONFIG_SCHEDSTATS, or sudo sysctl kernel.task_delayacct=1)"
)


def governor(told: Told) -> Knob:
    """What decides the clock of a core that is not fully at work."""
    found, mode = told.telemetry.governor, told.telemetry.power_mode
    now = ", ".join([*(found or ()), *([f"nvpmodel {mode}"] if mode else [])])
    # A power mode in devices.toml is a choice already.
    may_choose = not told.fixed_clocks and told.asked is None
    todo: tuple[str, ...] = ()
    if may_choose and found not in (None, ("performance",)):
        todo = (
            f"the governor is {', '.join(found or ())}: latencies swing less with performance "
            "(sudo cpupower frequency-set -g performance)",
        )
    return Knob("governor", bool(now), now or UNKNOWN, todo)


def frequency(told: Told) -> Knob:
    """Within which limits the cores move."""
    reading = told.telemetry
    fastest = max((one for one in reading.frequency_khz or () if one is not None), default=None)
    pairs = zip(reading.frequency_limit_khz or (), reading.frequency_most_khz or (), strict=False)
    held = [most for allowed, most in pairs if allowed and most and allowed < most]
    now = UNKNOWN if fastest is None else f"{fastest / 1e6:.3g} GHz{', fixed' if reading.clocks_are_fixed else ''}"
    # A mode of nvpmodel sets limits, and on some devices nobody may.
    if held and reading.power_mode is None and not told.fixed_clocks:
        lift = f"sudo cpupower frequency-set -u {max(held) / 1e6:g}GHz"
        return Knob("frequency", True, now, (f"its cores may not run as fast as they can: lift the limit, {lift}",))
    return Knob("frequency", fastest is not None, now)


def boost(told: Told) -> Knob:
    """Clocks above the nominal one, which depend on heat and on how many cores work."""
    is_on = told.telemetry.boost
    if is_on is None:
        return Knob("boost", False, UNKNOWN)
    off = "echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost"
    intel = "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"
    todo = f"its clock depends on heat and on how many cores work: switch boost off, {off} (Intel: {intel})"
    return Knob("boost", True, "on" if is_on else "off", (todo,) if is_on else ())


def smt(told: Told) -> Knob:
    """Two threads of the hardware that share a core."""
    is_on = told.telemetry.smt
    if is_on is None:
        return Knob("SMT", False, UNKNOWN)
    todo = (
        "what runs on the other thread of a core slows it down: echo off | sudo tee "
        "/sys/devices/system/cpu/smt/control, or name one thread of each core with cores = … in devices.toml"
    )
    return Knob("SMT", True, "on" if is_on else "off", (todo,) if is_on else ())


def background(told: Told) -> Knob:
    """What else is at work."""
    load, others = told.telemetry.load_1min, told.others
    parts = [
        *([] if others is None else [f"others took {others:.0%} of its CPUs' time while inferences were timed"]),
        *([] if load is None else [f"load {load:g}"]),
    ]
    todo: tuple[str, ...] = ()
    if others is not None and others > signs.MAX_OTHERS:
        todo = ("other processes work beside the measurement: find them with top, end them, or measure when they rest",)
    return Knob("background load", bool(parts), ", ".join(parts) or UNKNOWN, todo)


def cooling(told: Told) -> Knob:
    """How warm it is, and what is done about it."""
    reading = told.telemetry
    at_work = [f"{name} at {state:.0%}" for name, state in sorted((reading.cooling or {}).items()) if state > 0]
    parts = [*([] if reading.hottest_c is None else [f"{reading.hottest_c:.0f} °C"]), *at_work]
    slowed = tuple(signs.slowed_now(reading, [one for one in signs.SLOWED if one is not signs.firmware_bits]))
    is_told = bool(parts) or reading.cooling is not None or reading.thermal_status is not None
    return Knob("cooling", is_told, ", ".join(parts) or ("at rest" if is_told else UNKNOWN), slowed)


def power_supply(told: Told) -> Knob:
    """Where the power comes from, and whether it is enough."""
    reading = told.telemetry
    charge = reading.battery_percent
    parts = [*(reading.power_source or ()), *([] if charge is None else [f"battery at {charge:.0f} %"])]
    todo = signs.slowed_now(reading, [signs.firmware_bits])
    ever = signs.slowed_ever(reading)
    if ever and not todo:
        todo = [f"its firmware has told of {' and '.join(ever)} since its start: watch its power supply and its heat"]
    if reading.power_source == ("battery",):
        todo.append("it runs on its battery: plug it in, many devices are slower without")
    if told.means.low_power:
        todo.append("it saves its battery: adb shell settings put global low_power 0")
    is_told = bool(parts) or reading.throttle_bits is not None
    return Knob("power supply", is_told, ", ".join(parts) or ("enough" if is_told else UNKNOWN), tuple(todo))


def usb_power(told: Told) -> Knob:
    """Power from the port through which the device is measured."""
    sources = told.telemetry.power_source
    if sources is None:
        return Knob("USB power", False, UNKNOWN)
    if sources != ("usb",):
        return Knob("USB power", "usb" in sources, "not the only source" if "usb" in sources else "not used")
    todo = "a port may give less than the work takes: use a powered hub or a charger, and adb over Wi-Fi"
    return Knob("USB power", True, "the only source", (todo,))


def sustained(told: Told) -> Knob:
    """Android's fixed performance mode: clocks that the device can hold for long."""
    if not told.means.is_android:
        return Knob("sustained mode", False, "only Android has it")
    todo = (
        "Android does not tell whether it is on; from Android 11 on, until it starts anew: "
        "adb shell cmd power set-fixed-performance-mode-enabled true"
    )
    return Knob("sustained mode", True, UNKNOWN, (todo,))


def cpusets(told: Told) -> Knob:
    """The cores that the measurement and what runs in the background may use."""
    means, cpus = told.means, told.cpus
    if means.cores is None:
        return Knob("cpusets", False, UNKNOWN)
    within = "" if means.cpuset in (None, "/") else f" in {means.cpuset}"
    of = "" if cpus is None else f" of {cpus}"
    behind = "" if means.background_cpus is None else f"; background work on {means.background_cpus}"
    now = f"{means.cores:.0f}{of} cores{within}{behind}"
    if cpus is None or means.cores >= cpus:
        return Knob("cpusets", True, now)
    todo = "the system keeps the measurement on a part of the cores: start it from a shell that may use all of them"
    return Knob("cpusets", True, now, (todo,))


def real_time(told: Told) -> Knob:
    """Priority over other work, where that leaves too few inferences undisturbed."""
    means = told.means
    if means.real_time is None:
        return Knob("real-time", False, UNKNOWN)
    if means.real_time:
        return Knob("real-time", True, "allowed")
    todo = (
        "without real-time priority a busy device yields contended rows: measure as root, or give the account "
        "the limit rtprio 1 (in /etc/security/limits.d)"
    )
    return Knob("real-time", True, means.refused or "not allowed", () if told.means.is_android else (todo,))


def marks(told: Told) -> Knob:
    """What tells that an inference lost its core."""
    by = told.means.marked_by
    if by == "schedstat":
        return Knob("marks", True, "schedstat, the time that each thread waited")
    if by is None:
        return Knob("marks", False, "none", (f"nothing tells which inferences lost their core: {_COUNT_WAITING}",))
    return Knob("marks", True, by, (f"it tells that a core was lost, not for how long: {_COUNT_WAITING}",))


def virtual(told: Told) -> Knob:
    """Other machines on the same hardware."""
    is_virtual, stolen = told.telemetry.virtual, told.stolen
    if not is_virtual:
        return Knob("virtual machine", is_virtual is not None, UNKNOWN if is_virtual is None else "no")
    took = "" if stolen is None else f"; the hypervisor took {stolen:.1%} of its CPUs' time"
    todo = (
        "other machines on its host share caches, memory and clock, which nothing here shows or sets: "
        "ask for dedicated cores, or measure on a machine of your own"
    )
    return Knob("virtual machine", True, f"yes{took}", (todo,))


def quota(told: Told) -> Knob:
    """The share of the CPUs that its control group may have."""
    cpus = told.telemetry.cpu_quota
    if cpus is None:
        return Knob("CPU quota", False, "none")
    todo = (
        f"its control group may use {cpus:g} CPUs, and rows that need more will be throttled: "
        "give it more (cpu.max, docker --cpus), or measure with fewer threads"
    )
    return Knob("CPU quota", True, f"{cpus:g} CPUs", (todo,))


LIMITS: tuple[Callable[[Told], Knob], ...] = (governor, frequency, cooling, power_supply, quota)
"""Those that slow a device down or hold it back; they can be read at any time."""

KNOBS: tuple[Callable[[Told], Knob], ...] = (
    governor,
    frequency,
    boost,
    smt,
    background,
    cooling,
    power_supply,
    usb_power,
    sustained,
    cpusets,
    real_time,
    marks,
    virtual,
    quota,
)
"""All of them. A new one is a function here, and nothing else."""
