"""A job on a device, while something else happens there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from harness.jobs.base import Event, Job
from harness.link.agent import AgentOnDevice

R = TypeVar("R")


def carry_out(agent: AgentOnDevice, job: Job[R], meanwhile: Callable[[Event], None]) -> R:
    """Have a job done and return its record; `meanwhile` is called with each event as it comes."""
    events, talking = [], agent.converse(job)
    while True:
        try:
            events.append(next(talking))
        except StopIteration as stop:
            return job.record(events, stop.value)
        meanwhile(events[-1])
