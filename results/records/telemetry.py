"""The state of a device at one moment: what it said is parsed once, here, and typed from then on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Self

from results.records.base import Record, Word

UNKNOWN = "unknown"
_MAX_WORDS, _MAX_LENGTH, _MAX_ZONES, _MAX_CORES = 16, 64, 64, 4096
_LARGEST = 1e18


class Telemetry(Record):
    """What a device tells of its state; None is what it does not tell.

    `governor` holds each cpufreq governor that is in force on some core, `frequency_khz` one reading a core,
    `temperature_c` the hottest reading of each type of sensor, `steal_ticks` what a hypervisor took since the start.
    """

    governor: tuple[Word, ...] | None = None
    power_mode: Word | None = None
    frequency_khz: tuple[float | None, ...] | None = None
    temperature_c: dict[Word, float] | None = None
    load_1min: float | None = None
    steal_ticks: float | None = None

    @classmethod
    def of(cls, said: object) -> Self:
        """Parse what a device said: bounded, and what makes no sense is as unknown as what is missing.

        Raises ValueError when it is no object at all.
        """
        if not isinstance(said, Mapping):
            raise ValueError("telemetry must be an object")
        return cls.model_validate({name: parse(said.get(name)) for name, parse in _PARSERS.items()})

    @property
    def hottest_c(self) -> float | None:
        """The highest temperature, None when no sensor can be read: those switched off report zero or nonsense."""
        return max((value for value in (self.temperature_c or {}).values() if 0 < value < 200), default=None)


def _words(said: object) -> tuple[str, ...] | None:
    found = {word for one in (said if isinstance(said, list) else [said]) if (word := _word(one)) is not None}
    return tuple(sorted(found)[:_MAX_WORDS]) or None


def _word(said: object) -> str | None:
    return said[:_MAX_LENGTH] if isinstance(said, str) and said != UNKNOWN else None


def _number(said: object) -> float | None:
    is_number = isinstance(said, int | float) and not isinstance(said, bool) and -_LARGEST <= said <= _LARGEST
    return float(said) if is_number else None  # type: ignore[arg-type]  # NaN is between no two numbers


def _numbers(said: object) -> tuple[float | None, ...] | None:
    found = tuple(_number(one) for one in said[:_MAX_CORES]) if isinstance(said, list) else ()
    return found if any(one is not None for one in found) else None


def _zones(said: object) -> dict[str, float] | None:
    zones = list(said.items())[:_MAX_ZONES] if isinstance(said, dict) else []
    return {str(name)[:_MAX_LENGTH]: value for name, one in zones if (value := _number(one)) is not None} or None


_PARSERS: dict[str, Callable[[object], object]] = {
    "governor": _words,
    "power_mode": _word,
    "frequency_khz": _numbers,
    "temperature_c": _zones,
    "load_1min": _number,
    "steal_ticks": _number,
}
