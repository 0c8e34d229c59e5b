"""What slowed a device down or disturbed it between two readings of its telemetry, as far as they tell. Pure.

A sign returns in words what it found and what to do about it; None when there is nothing, or the device does not tell.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from statistics import fmean

from results.records import Restart, Telemetry

Span = tuple[Telemetry, Telemetry]
Sign = Callable[[Telemetry, Telemetry], str | None]

MAX_DROP = 0.10
"""A clock that fell by more than this share was lowered."""
MAX_SHARE = 0.02
"""Of the time; what was slowed down or taken for less of it is within the noise."""
MAX_OTHERS = 0.10
"""Of the CPUs' time; each device has processes of its own that wake up now and then."""
MAX_JUMP_S = 1.0
MODERATE = 2
"""Android's thermal status from which on it slows down what can be seen (light is 1)."""

_NS_PER_S, _US_PER_S, _MS_PER_S, _KHZ_PER_GHZ = 1e9, 1e6, 1e3, 1e6
_STEADY_GOVERNORS = {"performance", "userspace"}
# The kernel's names for what slows a processor down to cool it; a fan of that name is none.
_SLOWING = re.compile(r"(?!.*fan).*(cpu|processor|powerclamp)", re.IGNORECASE)
_BITS = ("under-voltage", "a capped frequency", "throttling", "the soft temperature limit")
_STRONGER = "use a stronger power supply and a shorter cable"
_COOL = "let it cool down, cool it better, or set max_temperature_c in devices.toml"


def throttling(restart: Restart) -> list[str]:
    """Return what the signs of SLOWED find in a restart, none where it brought no readings."""
    return [*_found(SLOWED, whole(restart)), *_found((quota,), timed(restart))]


def limited(restart: Restart) -> str:
    """Return what is to be said of the CPU quota of the timed inferences, "" when it was not used up."""
    return "; ".join(_found((quota,), timed(restart)))


def disturbances(restarts: Sequence[Restart]) -> list[str]:
    """Return what each sign of DISTURBED finds, of several restarts in the words of the last one, and in how many."""
    found = []
    for sign in DISTURBED:
        words = [one for restart in restarts for one in _found((sign,), timed(restart))]
        if words:
            found.append(f"in {len(words)} of {len(restarts)} restarts {words[-1]}")
    return found


def slowed_now(reading: Telemetry, signs: Sequence[Sign]) -> list[str]:
    """Return what these signs find in one reading alone."""
    return _found(signs, (reading, reading))


def slowed_ever(reading: Telemetry) -> list[str]:
    """Return what a Raspberry Pi's firmware has done since its start, in its own words."""
    return [name for bit, name in enumerate(_BITS) if (reading.throttle_bits or 0) >> (16 + bit) & 1]


def whole(restart: Restart) -> Span | None:
    """Return the readings before the import of the runtime and after the last inference."""
    before, after = restart.telemetry_before, restart.telemetry_after
    return (before, after) if before is not None and after is not None else None


def timed(restart: Restart) -> Span | None:
    """Return the readings around the timed inferences, of which the first has only what counts up; its quota is that
    which the process had at first.
    """
    before, begin, after = restart.telemetry_before, restart.telemetry_timed, restart.telemetry_after
    if before is not None and begin is not None:
        begin = begin.model_copy(update={"cpu_quota": before.cpu_quota})
    begin = begin or before
    return (begin, after) if begin is not None and after is not None else None


def _found(signs: Sequence[Sign], span: Span | None) -> list[str]:
    return [words for sign in signs if span is not None and (words := sign(*span)) is not None]


def elapsed_s(before: Telemetry, after: Telemetry) -> float | None:
    """Return the time between two readings by the clock that nobody sets."""
    if before.monotonic_ns is None or after.monotonic_ns is None:
        return None
    return max(after.monotonic_ns - before.monotonic_ns, 0) / _NS_PER_S or None


def rise(before: Telemetry, after: Telemetry, name: str) -> float | None:
    """Return by how much what counts up has risen; None where it is not told, or began anew."""
    then, now = getattr(before, name), getattr(after, name)
    return now - then if then is not None and now is not None and now >= then else None


def cpu_shares(before: Telemetry, after: Telemetry) -> tuple[float, float] | None:
    """Return the shares of all CPUs' time that other processes and a hypervisor took."""
    busy, idle, stolen, own = (rise(before, after, f"{name}_ticks") for name in ("busy", "idle", "steal", "own"))
    if busy is None or idle is None or stolen is None or own is None or not (total := busy + idle + stolen):
        return None
    return max(busy - own, 0) / total, stolen / total


def mean_cpu_shares(restarts: Sequence[Restart]) -> tuple[float | None, float | None]:
    """Return `cpu_shares` while inferences were timed, over all restarts that tell."""
    spans = [span for restart in restarts if (span := timed(restart)) is not None]
    shares = [one for span in spans if (one := cpu_shares(*span)) is not None]
    if not shares:
        return None, None
    return fmean(others for others, _ in shares), fmean(stolen for _, stolen in shares)


def pressure_share(before: Telemetry, after: Telemetry) -> float | None:
    """Return the share of the time in which some task on the device waited for a CPU."""
    waited, elapsed = rise(before, after, "pressure_us"), elapsed_s(before, after)
    return None if waited is None or elapsed is None else min(waited / _US_PER_S / elapsed, 1.0)


def firmware_bits(before: Telemetry, after: Telemetry) -> str | None:
    """A Raspberry Pi's firmware slows it down now or then, or has done so since the first reading."""
    if before.throttle_bits is None or after.throttle_bits is None:
        return None
    new = (after.throttle_bits & ~before.throttle_bits) >> 16
    found = before.throttle_bits | after.throttle_bits | new
    kinds = [bit for bit in range(len(_BITS)) if found >> bit & 1]
    if not kinds:
        return None
    remedy = [*([_STRONGER] if kinds[0] == 0 else []), *([_COOL] if kinds[-1] > 0 else [])]
    return f"its firmware tells of {' and '.join(_BITS[bit] for bit in kinds)}: {'; '.join(remedy)}"


def thermal_status(before: Telemetry, after: Telemetry) -> str | None:
    """Android says that it is too warm."""
    status = max((one for one in (before.thermal_status, after.thermal_status) if one is not None), default=0)
    return (
        f"its thermal status was {status} ({MODERATE} is moderate, 6 the most): {_COOL}" if status >= MODERATE else None
    )


def hot_processor(before: Telemetry, after: Telemetry) -> str | None:
    """The processor says that it was too hot."""
    hot_ms, elapsed = rise(before, after, "hot_ms"), elapsed_s(before, after)
    if hot_ms is None or elapsed is None or hot_ms / _MS_PER_S <= MAX_SHARE * elapsed:
        return None
    return f"its processor was too hot for {hot_ms:.0f} ms of {elapsed:.2g} s: {_COOL}"


def cooling(before: Telemetry, after: Telemetry) -> str | None:
    """The kernel slows the processor down to cool it, at the begin or the end."""
    states = [*(before.cooling or {}).items(), *(after.cooling or {}).items()]
    names = sorted({name for name, state in states if state > 0 and _SLOWING.match(name)})
    return f"its kernel slows the processor down to cool it ({', '.join(names)}): {_COOL}" if names else None


def lowered_limit(before: Telemetry, after: Telemetry) -> str | None:
    """A core may not run as fast any more as it might before."""
    then, now = before.frequency_limit_khz or (), after.frequency_limit_khz or ()
    pairs = zip(then, now, strict=True) if len(then) == len(now) else ()
    lowered = [(a, b) for a, b in pairs if a is not None and b is not None and b < a]
    if not lowered:
        return None
    was, is_now = min(lowered, key=lambda pair: pair[1] / pair[0])
    return f"the limit on its frequency fell from {_ghz(was)} to {_ghz(is_now)}: {_COOL}; or stop what lowered it"


def lower_frequency(before: Telemetry, after: Telemetry) -> str | None:
    """The fastest core is slower after the work than before, though neither governor nor boost has a say in it."""
    # Those that tell whether they are virtual are PCs', which boost where they do not say that they do not.
    may_boost = after.boost if after.boost is not None else after.virtual is not None
    was, is_now = _fastest(before), _fastest(after)
    if may_boost or not _is_steady(before) or not _is_steady(after) or was is None or is_now is None:
        return None
    return f"its frequency fell from {_ghz(was)} to {_ghz(is_now)}: {_COOL}" if is_now < (1 - MAX_DROP) * was else None


def firmware_clock(before: Telemetry, after: Telemetry) -> str | None:
    """A Raspberry Pi's firmware gives the cores a lower clock than the kernel believes them to have."""
    believed, real = _fastest(after), after.firmware_khz
    if believed is None or not real or not _is_steady(before) or not _is_steady(after):
        return None
    slow = real < (1 - MAX_DROP) * believed
    return (
        f"its firmware runs the cores at {_ghz(real)}, not at {_ghz(believed)}: {_STRONGER}; {_COOL}" if slow else None
    )


def quota(before: Telemetry, after: Telemetry) -> str | None:
    """The control group used up its share of the CPUs and had to wait. Time counts for each CPU that waited."""
    waited_us, elapsed = rise(before, after, "quota_throttled_us"), elapsed_s(before, after)
    if waited_us is None or elapsed is None or waited_us / _US_PER_S <= MAX_SHARE * elapsed:
        return None
    was, is_now = before.cpu_quota, after.cpu_quota
    limit = "" if is_now is None else f" of {is_now:g} CPUs"
    limit += f", {was:g} before" if limit and was is not None and was != is_now else ""
    return (
        f"its control group used up its CPU quota{limit}, and waited {waited_us / _US_PER_S:.2g} s in {elapsed:.2g} s: "
        "give it more (cpu.max, docker --cpus), or measure with fewer threads"
    )


def taken_by_others(before: Telemetry, after: Telemetry) -> str | None:
    """Other processes had a large part of the CPUs."""
    shares = cpu_shares(before, after)
    if shares is None or shares[0] <= MAX_OTHERS:
        return None
    return f"other processes took {shares[0]:.0%} of its CPUs' time: end them, or measure when they rest"


def stolen(before: Telemetry, after: Telemetry) -> str | None:
    """A hypervisor gave the CPUs to other machines."""
    shares = cpu_shares(before, after)
    if shares is None or shares[1] <= MAX_SHARE:
        return None
    return (
        f"the hypervisor took {shares[1]:.0%} of its CPUs' time: measure when its host is idle, or on another machine"
    )


def clock_jump(before: Telemetry, after: Telemetry) -> str | None:
    """The clock that may be set went another way than the one that may not: it was set, or the device slept."""
    if before.wall_ns is None or after.wall_ns is None or (elapsed := elapsed_s(before, after)) is None:
        return None
    jump = (after.wall_ns - before.wall_ns) / _NS_PER_S - elapsed
    if abs(jump) <= MAX_JUMP_S:
        return None
    return f"its clock jumped by {jump:+.3g} s: it was set, or the device slept; latencies are timed by another one"


SLOWED: tuple[Sign, ...] = (
    firmware_bits,
    thermal_status,
    hot_processor,
    cooling,
    lowered_limit,
    lower_frequency,
    firmware_clock,
)
"""Signs that the device was slower than it can be, in the readings before and after all of a restart."""
DISTURBED: tuple[Sign, ...] = (taken_by_others, stolen, clock_jump)
"""Signs that something else was at work while inferences were timed."""


def _is_steady(reading: Telemetry) -> bool:
    """Tell whether a core that has nothing to do keeps its clock."""
    return bool(reading.clocks_are_fixed) or set(reading.governor or ("unknown",)) <= _STEADY_GOVERNORS


def _fastest(reading: Telemetry) -> float | None:
    return max((one for one in reading.frequency_khz or () if one is not None), default=None)


def _ghz(khz: float) -> str:
    return f"{khz / _KHZ_PER_GHZ:.3g} GHz"
