"""What a measurement may do on a device: parsed once, here, and typed from then on."""

from __future__ import annotations

from results.records.base import Said
from results.records.telemetry import Count, Flag, Name


class Means(Said):
    """What a device tells of how it can be measured on; None is what it does not tell."""

    marked_by: Name = None
    """What tells whether an inference lost its core: `schedstat` or `switches`."""
    real_time: Flag = None
    refused: Name = None
    """Why real-time priority is not given."""
    cores: Count = None
    """On how many cores the agent may run."""
    cpuset: Name = None
    """The group that decides this, by its path, and the cores that Android leaves to what runs in the background."""
    background_cpus: Name = None
    is_android: Flag = None
    low_power: Flag = None
    """Whether it saves its battery."""
