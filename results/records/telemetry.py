"""The state of a device at one moment: what it said is parsed once, here, and typed from then on."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator

from results.records.base import Said, Word, words_of

_MAX_WORDS, _MAX_LENGTH, _MAX_ZONES, _MAX_CORES = 16, 64, 64, 4096
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


def _numbers(said: object) -> tuple[float | None, ...] | None:
    found = tuple(_number(one) for one in said[:_MAX_CORES]) if isinstance(said, list | tuple) else ()
    return found if any(one is not None for one in found) else None


def _zones(said: object) -> dict[str, float] | None:
    zones = list(said.items())[:_MAX_ZONES] if isinstance(said, dict) else []
    return {str(name)[:_MAX_LENGTH]: value for name, one in zones if (value := _number(one)) is not None} or None


class Telemetry(Said):
    """What a device tells of its state; None is what it does not tell. A new reading is one field with its parser.

    `governor` holds each cpufreq governor that is in force on some core, `frequency_khz` one reading a core,
    `temperature_c` the hottest reading of each type of sensor, `steal_ticks` what a hypervisor took since the start.
    """

    governor: Annotated[tuple[Word, ...] | None, BeforeValidator(_words)] = None
    power_mode: Annotated[Word | None, BeforeValidator(_word)] = None
    frequency_khz: Annotated[tuple[float | None, ...] | None, BeforeValidator(_numbers)] = None
    temperature_c: Annotated[dict[Word, float] | None, BeforeValidator(_zones)] = None
    load_1min: Annotated[float | None, BeforeValidator(_number)] = None
    steal_ticks: Annotated[float | None, BeforeValidator(_number)] = None

    @property
    def hottest_c(self) -> float | None:
        """The highest temperature, None when no sensor can be read: those switched off report zero or nonsense."""
        return max((value for value in (self.temperature_c or {}).values() if 0 < value < 200), default=None)
