"""The device side of adb, spoken to by the real client: a phone made of this machine's shell and files."""

from tests.rigs.adbd.device import Device, Faults
from tests.rigs.adbd.phone import AdbServer, Phone

__all__ = ["AdbServer", "Device", "Faults", "Phone"]
