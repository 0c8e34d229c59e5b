"""Pin what is installed: one lock file per environment, each the closure of its dependencies. `make lock`."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# File -> what it is for, and the extras whose dependencies it holds besides the base ones.
LOCKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "measure.txt": ("A machine that only measures.", ()),
    "export.txt": ("Measuring, and making artifacts from PyTorch.", ("export",)),
    "test.txt": ("All of it, and what the tests need.", ("export", "optimize", "test")),
}


def closure(name: str, extras: tuple[str, ...]) -> dict[str, str]:
    """Return name -> version of everything that the installed distribution `name` needs with these extras."""
    found: dict[str, str] = {}
    waiting = [(name, extras)]
    visited = set()
    while waiting:
        current, wanted = waiting.pop()
        if (current, wanted) in visited:
            continue
        visited.add((current, wanted))
        installed = metadata.distribution(current)
        # A local build ("+cpu") has no name in any registry.
        found[canonicalize_name(current)] = installed.version.partition("+")[0]
        for line in installed.requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in wanted or ("",)):
                waiting.append((requirement.name, tuple(sorted(requirement.extras))))
    return found


def main() -> None:
    """Write every lock file beside this one."""
    for file, (purpose, extras) in LOCKS.items():
        pins = closure("edgebench", extras)
        del pins["edgebench"]
        lines = [f"# {purpose} Made by: make lock", *(f"{name}=={version}" for name, version in sorted(pins.items()))]
        (Path(__file__).parent / file).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
