"""The power mode of a Jetson, from nvpmodel's own files: to ask the program may need root."""

import re
from typing import Any, Dict

from harness.agent.files import text


def read(root: str) -> Dict[str, Any]:
    """Return `power_mode`, its name."""
    models = text(root, "etc/nvpmodel.conf", 1 << 20)
    chosen = re.search(r"pmode:(\d+)", text(root, "var/lib/nvpmodel/status"))
    chosen = chosen or re.search(r"^<\s*PM_CONFIG\s+DEFAULT=(\d+)", models, re.M)  # never changed since it was flashed
    names = dict(re.findall(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=([^\s>]+)", models, re.M))
    name = names.get(str(int(chosen.group(1)))) if chosen else None
    return {"power_mode": name} if name else {}
