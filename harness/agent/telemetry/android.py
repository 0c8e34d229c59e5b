"""Battery and heat as a phone's own services tell them, where its `dumpsys` is."""

import os
import re
from typing import Any, Dict

from harness.agent.files import number, numbers
from harness.agent.programs import printed

_SOURCES = {"AC": "mains", "Dock": "mains", "USB": "usb", "Wireless": "wireless"}
_HAL = "Current temperatures from HAL:"  # after those that are kept from earlier


def read(root: str) -> Dict[str, Any]:
    """Return `thermal_status` (0 none to 6 shutdown), temperatures, `power_source`, charge and heat of the battery."""
    dumpsys = os.path.join(root, "system/bin/dumpsys")
    if not os.path.exists(dumpsys):
        return {}
    return {**_battery(printed(dumpsys, "battery")), **_thermal(printed(dumpsys, "thermalservice"))}


def _battery(said: str) -> Dict[str, Any]:
    fields = dict(re.findall(r"^\s*([\w ]+): (\w+)", said, re.M))
    plugged = [source for name, source in _SOURCES.items() if fields.get(name + " powered") == "true"]
    found = numbers({"battery_percent": fields.get("level", ""), "battery_c": fields.get("temperature", "")})
    if "battery_c" in found:
        found["battery_c"] /= 10
    known = any(name + " powered" in fields for name in _SOURCES)
    return {**found, **({"power_source": sorted(set(plugged)) or ["battery"]} if known else {})}


def _thermal(said: str) -> Dict[str, Any]:
    """See https://source.android.com/docs/core/power/thermal-mitigation; an object's fields are in no certain order."""
    status = re.search(r"^\s*Thermal Status: (\d+)", said, re.M)
    zones = {}
    for fields in re.findall(r"Temperature\{([^}]*)\}", said.partition(_HAL)[2] or said):
        told = dict(part.split("=", 1) for part in fields.split(", ") if "=" in part)
        if "mName" in told:
            zones[told["mName"]] = number(told.get("mValue", ""))
    return {
        **({"thermal_status": int(status.group(1))} if status else {}),
        **({"temperature_c": zones} if zones else {}),
    }
