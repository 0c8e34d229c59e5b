"""Asking what a device is and has, which files are missing there, and making room for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

import backends
from harness.agent.jobs import probe as device_side
from harness.errors import AgentError
from harness.jobs.base import Ended, Event, Grammar, Hello, Job, Reading, Said, Step, Terms, Tree, answer
from harness.jobs.hold import Busy
from results.records import DeviceIdentity, Means, Text

Size = Annotated[int, Field(ge=0, le=2**60)]


class CacheState(Said):
    """What a device's cache holds after room was made in it; all sizes in bytes.

    `needed_bytes` are still to be pushed, `kept_bytes` are there and needed by the run. When they do not fit, nothing
    was removed.
    """

    fits: bool
    needed_bytes: Size
    kept_bytes: Size
    used_bytes: Size
    free_bytes: Size
    bound_bytes: Size
    removed: Annotated[list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]], Field(max_length=200)]
    removed_bytes: Size


class Probed(Event):
    """What a device is and has, and who has it."""

    event: Literal["probe"]
    system: Tree
    backends: dict[str, Text | None]
    missing: list[Text]
    cache: CacheState | None = None
    telemetry: Reading
    means: Annotated[Means, BeforeValidator(Means.of)] = Means()
    busy: Busy | None = None

    @property
    def identity(self) -> DeviceIdentity:
        return DeviceIdentity.of(self.system)

    @property
    def free_bytes(self) -> int | None:
        """The space left on the disk of its folder, None where it does not say."""
        free = self.system.get("free_bytes")
        return free if isinstance(free, int) else None


@dataclass(frozen=True)
class Probe(Job[Probed]):
    """Which of these backends has the device, and which of `files` ({path, size_bytes}) not?

    With `cache` ({root, max_bytes}) room is made for them.
    """

    name = "probe"

    backends: Sequence[str] = ()
    files: Sequence[dict[str, Any]] = ()
    cache: dict[str, Any] | None = None

    @property
    def grammar(self) -> Grammar:
        return {Hello: Step("looking at the device", (Probed,))}

    def request(self, terms: Terms) -> device_side.Request:
        packages = {name: list(backends.find(name).packages) for name in self.backends}
        limit_s = self.total_s(terms.patience_s)
        return device_side.Request(packages, limit_s, list(self.files), self.cache, terms.lock)

    def record(self, events: Sequence[Event], ended: Ended) -> Probed:
        """Return what the device said. Raises AgentError."""
        try:
            return answer(Probed, events, ended)
        except AgentError as exc:
            raise AgentError(f"the agent does not work there: {exc}") from None
