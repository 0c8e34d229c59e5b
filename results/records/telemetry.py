"""The state of a device at one moment: what it said is parsed once, here, and typed from then on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator

from results.records.base import Said, Word, words_of

_MAX_WORDS, _MAX_LENGTH, _MAX_ENTRIES, _MAX_CORES = 16, 64, 64, 4096
_LARGEST = 1e18


def _word(said: object) -> str | None:
    return (words_of(said) or "")[:_MAX_LENGTH] or None


def _words(said: object) -> tuple[str, ...] | None:
    each = said if isinstance(said, list | tuple) else [said]
    found = {word for one in each if (word := _word(one)) is not None}
    return tuple(sorted(found)[:_MAX_WORDS]) or None


def _number(said: object) -> float | None:
    is_number = isinstance(said, int | float) and not isinstance(said, bool) and -_LARGEST <= said <= _LARGEST
    return float(said) if is_number else None  # type: ignore[arg-type]  # NaN is between no two numbers


def number_within(low: float, high: float) -> Callable[[object], float | None]:
    """A parser of what is said: a number in that range, None for anything else."""

    def parse(said: object) -> float | None:
        value = _number(said)
        return value if value is not None and low <= value <= high else None

    return parse


def _whole(high: int) -> Callable[[object], int | None]:
    def parse(said: object) -> int | None:
        return said if type(said) is int and 0 <= said <= high else None

    return parse


def _flag(said: object) -> bool | None:
    return said if isinstance(said, bool) else None


def _numbers(said: object) -> tuple[float | None, ...] | None:
    found = tuple(_number(one) for one in said[:_MAX_CORES]) if isinstance(said, list | tuple) else ()
    return found if any(one is not None for one in found) else None


def _table(said: object) -> dict[str, float] | None:
    entries = list(said.items())[:_MAX_ENTRIES] if isinstance(said, dict) else []
    return {str(name)[:_MAX_LENGTH]: value for name, one in entries if (value := _number(one)) is not None} or None


Name = Annotated[Word | None, BeforeValidator(_word)]
Names = Annotated[tuple[Word, ...] | None, BeforeValidator(_words)]
Number = Annotated[float | None, BeforeValidator(_number)]
Count = Annotated[float | None, BeforeValidator(number_within(0, _LARGEST))]
Clock = Annotated[int | None, BeforeValidator(_whole(2**63))]
Flag = Annotated[bool | None, BeforeValidator(_flag)]
PerCore = Annotated[tuple[float | None, ...] | None, BeforeValidator(_numbers)]
Table = Annotated[dict[Word, float] | None, BeforeValidator(_table)]


class Telemetry(Said):
    """What a device tells of its state; None is what it does not tell. A new reading is one field with its type.

    What counts up (`*_ticks`, `*_us`, `*_ms`, `*_uj`, `quota_periods`) counts from a start that nobody knows: the
    difference of two readings says what happened between them. docs/measurement.md says where each comes from.
    """

    governor: Names = None
    """Each cpufreq governor that is in force on some core."""
    power_mode: Name = None
    """Of a Jetson, by nvpmodel."""
    frequency_khz: PerCore = None
    """Now, one a core; the next three are the least and the most it may run at, and the most it can."""
    frequency_least_khz: PerCore = None
    frequency_limit_khz: PerCore = None
    frequency_most_khz: PerCore = None
    boost: Flag = None
    smt: Flag = None
    virtual: Flag = None
    """A virtual machine."""
    temperature_c: Table = None
    """The hottest reading of each type of sensor."""
    cooling: Table = None
    """How hard each type of cooling device works, from 0 at rest to 1; one that slows a processor down is one, too."""
    hot_ms: Count = None
    """For how long the processor's package was too hot."""
    throttle_bits: Annotated[int | None, BeforeValidator(_whole(2**32 - 1))] = None
    """Of a Raspberry Pi: 0 under-voltage, 1 frequency capped, 2 throttled, 3 soft temperature limit; + 16 ever."""
    firmware_khz: Count = None
    """The clock of a Raspberry Pi's cores, as its firmware has it."""
    thermal_status: Annotated[int | None, BeforeValidator(_whole(6))] = None
    """Of Android, from 0 (none) by 2 (moderate) and 3 (severe) to 6 (shutdown)."""
    power_source: Names = None
    """`mains`, `usb`, `wireless`; `battery` where there is one and nothing else."""
    battery_percent: Annotated[float | None, BeforeValidator(number_within(0, 100))] = None
    battery_c: Number = None
    energy_uj: Table = None
    """Counters of energy by their zone, which begin anew at `energy_range_uj`."""
    energy_range_uj: Table = None
    power_w: Table = None
    load_1min: Number = None
    runnable: Count = None
    """Tasks that run or wait for a core, that which asks among them."""
    busy_ticks: Count = None
    """Ticks of all CPUs together: at work, idle, taken by a hypervisor; and those that this process worked."""
    idle_ticks: Count = None
    steal_ticks: Number = None
    own_ticks: Count = None
    pressure_us: Count = None
    """While this long, some task waited for a CPU."""
    cpu_quota: Count = None
    """How many CPUs the control group of the process may use."""
    quota_periods: Count = None
    """In this many periods it ran, in so many of them it used its quota up, and its CPUs had to wait for so long."""
    quota_throttled_periods: Count = None
    quota_throttled_us: Count = None
    wall_ns: Clock = None
    """The clock that may be set, since 1970; the other one cannot."""
    monotonic_ns: Clock = None

    @property
    def hottest_c(self) -> float | None:
        """The highest temperature, None when no sensor can be read: those switched off report zero or nonsense."""
        return max((value for value in (self.temperature_c or {}).values() if 0 < value < 200), default=None)

    @property
    def clocks_are_fixed(self) -> bool | None:
        """Whether no core may change its frequency, as after `jetson_clocks`; None where a limit is not known."""
        least, most = self.frequency_least_khz or (), self.frequency_limit_khz or ()
        if not least or len(least) != len(most) or None in (*least, *most):
            return None
        return least == most
