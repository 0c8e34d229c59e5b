"""Transports by name, imported when asked for: the built-in ones and third parties'."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module, metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harness.transports.kind import Kind

BUILTIN = {
    "local": "harness.transports.local:Local",
    "ssh": "harness.transports.ssh.kind:Ssh",
    "adb": "harness.transports.adb.kind:Adb",
    "simulated": "harness.transports.simulated:Simulated",
}
GROUP = "edgebench.transports"  # of entry points, "name = package.module:Kind"


def names() -> list[str]:
    """Return the names of all transports."""
    return [*BUILTIN, *sorted(set(_third_party()) - set(BUILTIN))]


@cache
def find(name: str) -> type[Kind]:
    """Return the transport of this name. Raises ValueError, in words for the user."""
    target = BUILTIN.get(name) or _third_party().get(name)
    if target is None:
        near = get_close_matches(name, names(), n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"no transport is called {name!r}; {hint}there are: {', '.join(names())}")
    module, _, attribute = target.partition(":")
    try:
        kind: type[Kind] = getattr(import_module(module), attribute)
    except Exception as exc:  # a third party's module may fail in any way
        raise ValueError(f"the transport {name} cannot be loaded: {target}: {exc}") from exc
    return kind


def having(field: str) -> list[str]:
    """Return the names of the transports that have a field of this name of their own."""
    return [name for name in names() if field in _fields(name)]


def _fields(name: str) -> set[str]:
    try:
        return set(find(name).model_fields)
    except ValueError:  # broken, and not the one that is asked for
        return set()


def _third_party() -> dict[str, str]:
    return {point.name: point.value for point in metadata.entry_points(group=GROUP)}
