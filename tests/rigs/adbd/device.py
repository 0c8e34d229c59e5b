"""What the phone is: its files, its properties, whom it trusts, and how it misbehaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

FEATURES = ("shell_v2", "cmd", "stat_v2", "ls_v2", "fixed_push_mkdir")

ANDROID_14 = {
    "ro.product.name": "rig",
    "ro.product.model": "Rig_Phone",
    "ro.product.device": "rig",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.build.version.release": "14",
    "ro.build.version.sdk": "34",
}


@dataclass
class Faults:
    """How the phone misbehaves; a test may change it at any time.

    `cut_after` and `stall_after` count down with the bytes that come in from the moment they are set. A cut happens
    once; a stall lasts until `stalled` is reset. The rest holds until it is changed.
    """

    cut_after: int | None = None
    stall_after: int | None = None
    stalled: bool = False
    latency_s: float = 0.0  # before every packet the phone sends
    bytes_per_s: float = 0.0  # at most this much comes in
    kill_shells_after_s: float = 0.0  # each shell is killed this long after its start
    disk_bytes: int | None = None  # a file cannot grow beyond this
    offline: bool = False  # the port is open, but nobody says hello

    def received(self, size: int) -> bool:
        """Count `size` bytes; return True when the connection is to be cut now."""
        if self.stall_after is not None:
            self.stall_after -= size
            if self.stall_after < 0:
                self.stall_after, self.stalled = None, True
        if self.cut_after is not None:
            self.cut_after -= size
            if self.cut_after < 0:
                self.cut_after = None
                return True
        return False


@dataclass
class Device:
    """One phone.

    `root` is the folder on this machine that file transfers see as `/`; `shell` starts the shell, the command line is
    appended to it (for another root: `("chroot", root, "/system/bin/sh", "-c")`). `log` lists what was asked for,
    `bytes_in` counts what has come in.
    """

    root: Path = Path("/")
    shell: Sequence[str] = ("/bin/sh", "-c")
    environment: Mapping[str, str] = field(default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/bin"})
    properties: Mapping[str, str] = field(default_factory=lambda: dict(ANDROID_14))
    features: Sequence[str] = FEATURES
    asks_for_key: bool = False
    accepts_new_keys: bool = True
    keys: set[bytes] = field(default_factory=set)
    faults: Faults = field(default_factory=Faults)
    log: list[tuple[Any, ...]] = field(default_factory=list)
    bytes_in: int = 0

    def path(self, name: str) -> Path:
        """Return where a path of the phone lies on this machine, never outside `root`."""
        inside: list[str] = []
        for part in PurePosixPath("/", name).parts[1:]:
            if part != "..":
                inside.append(part)
            elif inside:
                inside.pop()
        return self.root.joinpath(*inside)

    def command(self, line: str) -> list[str]:
        """Return the argument list that runs a command line there."""
        if self.faults.disk_bytes is not None:
            # The shell's own limit, in blocks of 512 bytes: writing beyond it fails as on a full disk.
            line = f"trap '' XFSZ; ulimit -f {self.faults.disk_bytes // 512}; {line}"
        return [*self.shell, line]

    def banner(self) -> bytes:
        """Return what the phone says of itself when a client connects."""
        keys = ("ro.product.name", "ro.product.model", "ro.product.device")
        said = "".join(f"{key}={self.properties.get(key, '')};" for key in keys)
        return f"device::{said}features={','.join(self.features)}".encode()
