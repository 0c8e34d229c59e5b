"""How the host reaches a device: one small class each, all behind `Transport`."""

from harness.transports.base import Completed, Stream, Transport

__all__ = ["Completed", "Stream", "Transport"]
