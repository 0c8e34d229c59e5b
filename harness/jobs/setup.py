"""Setting a device up, step by step, each a conversation of its own with the Python that it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from harness.agent.jobs import setup as device_side
from harness.jobs.base import E, Ended, Event, Grammar, Hello, Job, Step, Terms, answer
from results.records import Text

_SLOW_S = 900.0  # beyond the user's patience: hashing and unpacking some hundred MB on a slow card


class Described(Event):
    """What a Python there is, and what space there is for the device's folder."""

    event: Literal["described"]
    python: Text
    implementation: Text
    machine: Text
    libc: Text
    bits: int
    free_bytes: Annotated[int, Field(ge=0, le=2**60)]


class Verified(Event):
    """Those of the folders that are whole; by backend what was imported in the environment when it was set up."""

    event: Literal["verified"]
    whole: list[Text]
    versions: dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=200)]]


class Imported(Event):
    event: Literal["imported"]
    version: Annotated[str, Field(max_length=100)]


class Finished(Event):
    """It is done, and there is nothing to tell."""

    event: Literal["finished"]


@dataclass(frozen=True)
class SetupStep(Job[E]):
    """One action and the event that answers it."""

    name = "setup"

    answer: type[E]
    doing: str
    asked: device_side.Request
    planned_s: float = _SLOW_S

    @property
    def grammar(self) -> Grammar:
        return {Hello: Step(self.doing, (self.answer,), self.planned_s)}

    def request(self, terms: Terms) -> device_side.Request:
        return replace(self.asked, give_up_after_s=self.total_s(terms.patience_s))

    def record(self, events: Sequence[Event], ended: Ended) -> E:
        """Return the answer. Raises AgentError, which says why there is none."""
        return answer(self.answer, events, ended)


def describe(root: PurePosixPath) -> SetupStep[Described]:
    """What is this Python?"""
    return SetupStep(Described, "describing itself", device_side.Request("describe", str(root), 0.0), planned_s=0.0)


def verify(root: PurePosixPath, folders: Sequence[str], environment: str = "") -> SetupStep[Verified]:
    """Which of these folders are whole, and what was imported in the environment before?"""
    asked = device_side.Request("verify", str(root), 0.0, folders=list(folders), environment=environment)
    return SetupStep(Verified, "checking what is there", asked)


def unpack(root: PurePosixPath, wheels: Sequence[str]) -> SetupStep[Finished]:
    """Unpack the pushed wheels of these hashes."""
    return SetupStep(Finished, "unpacking", device_side.Request("unpack", str(root), 0.0, wheels=list(wheels)))


def try_import(root: PurePosixPath, wheels: Sequence[str], module: str, package: str) -> SetupStep[Imported]:
    """Import a runtime's module from these wheels: which version of its package is it?"""
    asked = device_side.Request("import", str(root), 0.0, wheels=list(wheels), module=module, package=package)
    return SetupStep(Imported, f"importing {module}", asked)


def activate(
    root: PurePosixPath, environment: str, wheels: Sequence[str], runtimes: Sequence[str], versions: Mapping[str, str]
) -> SetupStep[Finished]:
    """Make this the device's environment, and remove what it does not need."""
    asked = device_side.Request(
        "activate", str(root), 0.0, [], environment, list(wheels), list(runtimes), dict(versions)
    )
    return SetupStep(Finished, "activating", asked)
