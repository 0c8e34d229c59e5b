"""How a run treats its devices and its user: plain values, which can be sent to another process, and hooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.transports import Transport
    from results.records import DeviceSeen

# How long one phase may be silent beyond what is planned for it: a slow board loads a large model for minutes.
PATIENCE_S = 120.0
# How long a device that went away is tried again: a small board starts anew in under a minute.
RECONNECT_S = 60.0
# How long a device that somebody else holds is waited for.
WAIT_S = 3600.0


@dataclass(frozen=True)
class Claim:
    """Who takes a device: `reason` is what other hosts are told; later connections by the same `token` inherit it."""

    reason: str
    token: str


@dataclass(frozen=True)
class Manners:
    """How long is waited, in seconds.

    `wait_s` for a device that another run holds, `patience_s` for each answer of an agent beyond what is planned,
    `reconnect_s` for a device that went away.
    """

    wait_s: float = WAIT_S
    patience_s: float = PATIENCE_S
    reconnect_s: float = RECONNECT_S


@dataclass(frozen=True)
class Hooks:
    """What a device's thread tells and asks meanwhile.

    `say` gets sentences for the user, `opened` every new transport, `on_seen` what the device is, at every connection;
    `pause` waits and tells whether the run ends meanwhile.
    """

    say: Callable[[str], None] = lambda _: None
    opened: Callable[[Transport], None] = lambda _: None
    on_seen: Callable[[DeviceSeen], None] = lambda _: None
    pause: Callable[[float], bool] = lambda _: False
