"""The seam to whatever runs the devices' work side by side."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future


class Executor(ABC):
    """Runs one piece of work per device, devices side by side, never two pieces on one device."""

    @abstractmethod
    def submit(self, device: str, work: Callable[[], None]) -> Future[None]:
        """Start the work of one device."""

    @abstractmethod
    def close(self) -> None:
        """Wait for all work and end."""
