"""How much `bench run` measures: the options, and the profile with its rule of stopping that they mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from harness.cli import shared

if TYPE_CHECKING:
    from results.records import Profile, Stopping


def _percent(_context: click.Context, _option: click.Parameter, value: str | None) -> float | None:
    """A share, from a text like `1%` or `0.5`, which both are percentages."""
    if value is None:
        return None
    try:
        percent = float(value.strip().removesuffix("%"))
    except ValueError:
        percent = 0.0
    if not 0.01 <= percent <= 100:
        raise click.BadParameter(f"{value!r} is no percentage between 0.01% and 100%")
    return percent / 100


_OPTIONS = (
    click.option(
        "--profile", default="quick", show_default=True, type=click.Choice(["quick", "standard", "mlperf", "sustained"])
    ),
    click.option(
        "--minutes",
        type=shared.Within(0.01, 720),
        default=None,
        help="With --profile sustained: how long each case runs without a pause (default: 10).",
    ),
    click.option(
        "--target-ci",
        callback=_percent,
        default=None,
        metavar="PERCENT",
        help="Add restarts until the 95 % interval reaches no further than that (default of standard: 1%).",
    ),
    click.option(
        "--max-minutes",
        type=shared.Positive(max=shared.WEEK_S / 60),
        default=None,
        metavar="MINUTES",
        help="Add restarts until then (default: one for each case, for the most uncertain ones).",
    ),
    click.option(
        "--fixed", is_flag=True, help="Exactly the planned restarts: none added, none repeated when disturbed."
    ),
)


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options of how much is measured."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def planned(
    name: str, minutes: float | None, target: float | None, max_minutes: float | None, *, fixed: bool
) -> tuple[Profile, Stopping | None]:
    """Return the profile and when enough is measured: as was asked for, else as is usual. Raises UsageError."""
    from harness.run.plan import MINUTES, PROFILES, sustained, usual
    from results.records import Stopping

    if name == "sustained":
        if (target, max_minutes) != (None, None):
            raise click.UsageError(
                "--profile sustained has one restart a case; leave out --target-ci and --max-minutes"
            )
        return sustained(MINUTES if minutes is None else minutes), None
    if minutes is not None:
        raise click.UsageError("--minutes is for --profile sustained; the others say themselves how long they measure")
    if fixed and (target, max_minutes) != (None, None):
        raise click.UsageError("--fixed adds no restarts; leave out --target-ci and --max-minutes")
    if fixed:
        return PROFILES[name], None
    profile, stopping = usual(name)
    if target is None and max_minutes is None:
        return profile, stopping
    asked = stopping.target if target is None else target
    return PROFILES[name], Stopping(target=asked, extra=5.0, most=100, max_minutes=max_minutes)
