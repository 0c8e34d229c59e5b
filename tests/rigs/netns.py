"""A device in a network namespace of its own, whose network can fail as real ones do. Needs root, ip and iptables."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.rigs.sshd import Sshd

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def _call(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PATH": _PATH})
    if done.returncode:
        pytest.skip(f"{' '.join(command)}: {done.stderr.strip()}")


@dataclass(frozen=True)
class Network:
    """The device's side of a link: its namespace and its address."""

    name: str
    address: str

    @property
    def wrap(self) -> Sequence[str]:
        """What starts a command inside."""
        return ("ip", "netns", "exec", self.name)

    def blackhole(self) -> None:
        """Swallow every packet in both directions, telling nobody."""
        for chain in ("INPUT", "OUTPUT"):
            _call(*self.wrap, "iptables", "-I", chain, "-j", "DROP")

    def reset(self) -> None:
        """Answer every packet with a reset, as a device does that has started anew."""
        _call(*self.wrap, "iptables", "-I", "INPUT", "-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset")

    def lose(self, part: float) -> None:
        """Lose a part of the packets that come in."""
        rule = ("-m", "statistic", "--mode", "random", "--probability", str(part), "-j", "DROP")
        _call(*self.wrap, "iptables", "-I", "INPUT", *rule)

    def limit(self, megabits_per_s: int) -> None:
        """Let no more than that through to the device."""
        rate = ("rate", f"{megabits_per_s}mbit", "burst", "512kb", "latency", "20ms")
        _call("tc", "qdisc", "replace", "dev", f"{self.name}a", "root", "tbf", *rate)

    def heal(self) -> None:
        """Let everything pass again."""
        _call(*self.wrap, "iptables", "-F")


@contextmanager
def linked() -> Iterator[Network]:
    """A namespace and a link to it for the length of a block."""
    if os.geteuid() != 0 or not all(shutil.which(tool, path=_PATH) for tool in ("ip", "iptables")):
        pytest.skip("network namespaces need root, iproute2 and iptables")
    number = os.getpid() % 250
    name = f"eb{os.getpid()}"
    here, there = f"10.77.{number}.1", f"10.77.{number}.2"
    try:
        _call("ip", "netns", "add", name)
        _call("ip", "link", "add", f"{name}a", "type", "veth", "peer", "name", "eth0", "netns", name)
        _call("ip", "address", "add", f"{here}/30", "dev", f"{name}a")
        _call("ip", "link", "set", f"{name}a", "up")
        inside = ("ip", "netns", "exec", name)
        _call(*inside, "ip", "link", "set", "lo", "up")
        _call(*inside, "ip", "address", "add", f"{there}/30", "dev", "eth0")
        _call(*inside, "ip", "link", "set", "eth0", "up")
        yield Network(name, there)
    finally:
        # The link first: a namespace lives on while a socket in it does.
        for command in (["ip", "link", "delete", f"{name}a"], ["ip", "netns", "delete", name]):
            subprocess.run(command, capture_output=True, env={**os.environ, "PATH": _PATH})


@contextmanager
def serving_in(network: Network, folder: Path) -> Iterator[Sshd]:
    """An SSH server inside, for the length of a block."""
    server = Sshd(folder, address=network.address, wrap=network.wrap)
    try:
        yield server
    finally:
        server.stop()
