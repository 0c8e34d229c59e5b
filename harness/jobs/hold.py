"""Holding a device: other hosts are kept away until the conversation ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from harness.agent.jobs import hold as device_side
from harness.jobs.base import Ended, Event, Grammar, Hello, Job, Step, Terms


class Busy(Event):
    """Another host has the device, for `held_s` if that is known; `over` says that the wait for it is."""

    event: Literal["busy"]
    owner: Annotated[str, Field(max_length=200)]
    held_s: Annotated[float, Field(ge=0)] | None = None
    over: bool


class Held(Event):
    """The device is ours until the pipe closes."""

    event: Literal["held"]


@dataclass(frozen=True)
class Hold(Job[None]):
    """Wait `wait_s` at most for the lock `path`; the device gives it back when nobody was heard of for `lease_s`."""

    name = "hold"

    path: PurePosixPath
    owner: str
    token: str
    wait_s: float
    lease_s: float

    @property
    def grammar(self) -> Grammar:
        """One `busy` and another one when the wait is over, or `held`."""
        return {
            Hello: Step("taking the device's lock", (Busy, Held), self.wait_s),
            Busy: Step("waiting for the device's lock", (Busy, Held), self.wait_s),
        }

    def total_s(self, patience_s: float) -> float:
        """It waits only once."""
        return self.wait_s + 2 * patience_s

    def request(self, terms: Terms) -> device_side.Request:
        return device_side.Request(str(self.path), self.owner, self.token, self.wait_s, self.lease_s)

    def record(self, events: Sequence[Event], ended: Ended) -> None:
        """Nothing is kept: a lock that is no longer held is no lock."""
