"""What goes wrong on the device, as the `error` event: of which kind it is, and in words without a runtime's noise."""

from typing import Any, Dict

from backends.base import Unsupported
from backends.messages import is_lacking, plain, shortened

MAX_MESSAGE = 4000


class Damaged(Exception):
    """A file on the device no longer has the hash it was pushed with."""


class WrongOutput(Exception):
    """The output is not the reference's; the message says how far off."""


_KINDS = (
    (Unsupported, "unsupported", "{}"),
    (Damaged, "damaged", "{}"),
    (WrongOutput, "wrong-output", "wrong output: {}"),
    (MemoryError, "memory", "out of memory"),
    (BaseException, "failed", "{0.__class__.__name__}: {0}"),
)


def error(exc: BaseException, phase: str) -> Dict[str, Any]:
    """Return the event for what was raised while the agent was in this phase."""
    kind, words = next((kind, words) for type_, kind, words in _KINDS if isinstance(exc, type_))
    if kind == "failed" and is_lacking(str(exc)):  # some runtimes find out in the first inference only
        kind, words = "unsupported", "{}"
    return {"event": "error", "phase": phase, "kind": kind, "message": shortened(plain(words.format(exc)), MAX_MESSAGE)}
