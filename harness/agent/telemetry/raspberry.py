"""What a Raspberry Pi's firmware does behind the kernel's back: under-voltage, throttling, and the clock it really has.

https://www.raspberrypi.com/documentation/computers/os.html#get_throttled has the bits: 0 under-voltage, 1 frequency
capped, 2 throttled, 3 soft temperature limit, all now; 16 to 19 the same since the start.
"""

import os
import re
from typing import Any, Dict

from harness.agent.files import number, text
from harness.agent.programs import printed

_FILE = "sys/devices/platform/soc/soc:firmware/get_throttled"  # has the number alone, in hexadecimal
_PROGRAM = "usr/bin/vcgencmd"


def read(root: str) -> Dict[str, Any]:
    """Return `throttle_bits`, and `firmware_khz`, the clock of the Arm cores."""
    program = os.path.join(root, _PROGRAM)
    said = text(root, _FILE) or printed(program, "get_throttled")
    bits = re.fullmatch(r"(?:throttled=)?(?:0x)?([0-9a-f]{1,8})", said.strip(), re.I)
    clock = re.fullmatch(r"frequency\(\d+\)=(\d+)", printed(program, "measure_clock", "arm").strip())
    return {
        **({"throttle_bits": int(bits.group(1), 16)} if bits else {}),
        **({"firmware_khz": number(clock.group(1), 0.001)} if clock else {}),
    }
