"""A device made ready for a run: connected, held, with the agent and its files there; made so again after a loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Self

from harness import bundle, provision
from harness.advice import power_problem
from harness.device_lock import DeviceLock
from harness.errors import (
    AgentError,
    AuthenticationFailed,
    CommandTimeout,
    HostKeyChanged,
    HostKeyUnknown,
    TransportError,
)
from harness.fleet import Device
from harness.measure import DEFAULT_PATIENCE_S, AgentOnDevice
from harness.transports import Transport
from harness.workspace import Workspace
from results.files import write_file

# How long a device that went away is tried again: a small board starts anew in under a minute.
RECONNECT_S = 60.0
# What part of that time comes before each try.
_PAUSES = (0.05, 0.25, 0.7)

# No waiting helps against these.
_FINAL = (AuthenticationFailed, HostKeyUnknown, HostKeyChanged)


@dataclass(frozen=True)
class Manners:
    """How a session treats its device and its user.

    `reason` is what other hosts are told, `token` makes a later session of the same run inherit the device's lock.
    `opened` gets every new transport; `pause` waits and tells whether the run ends meanwhile.
    """

    reason: str
    token: str
    wait_s: float
    patience_s: float = DEFAULT_PATIENCE_S
    reconnect_s: float = RECONNECT_S
    say: Callable[[str], None] = lambda _: None
    opened: Callable[[Transport], None] = lambda _: None
    pause: Callable[[float], bool] = lambda _: False


@dataclass
class Session:
    """One device while a run works on it. `files` are path there -> file here."""

    workspace: Workspace
    device: Device
    backend_names: tuple[str, ...]
    files: Mapping[PurePosixPath, Path]
    manners: Manners
    _transport: Transport | None = field(default=None, init=False)
    _lock: DeviceLock | None = field(default=None, init=False)
    _agent: AgentOnDevice | None = field(default=None, init=False)

    @property
    def agent(self) -> AgentOnDevice:
        """The agent of an open session."""
        assert self._agent is not None  # noqa: S101 - open() sets it or raises
        return self._agent

    def open(self) -> None:
        """Make the device ready. One that answers at first and is lost then gets further tries.

        Raises TransportError, DeviceBusy.
        """
        self._connect()
        try:
            self._prepare()
        except TransportError as exc:
            self._again(exc)

    def reopen(self, reason: str) -> None:
        """Make the device ready again after it was lost. Raises TransportError when it stays away, DeviceBusy."""
        self._again(TransportError(reason))

    def check(self) -> None:
        """Raise ConnectError when the device is no longer ours."""
        if self._lock is not None:
            self._lock.check()

    def close(self) -> None:
        """Let the device go."""
        if self._lock is not None:
            self._lock.release()
            self._lock = None
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def _again(self, lost: TransportError) -> None:
        for part in _PAUSES:
            if isinstance(lost, _FINAL):
                break
            pause_s = part * self.manners.reconnect_s
            self.manners.say(f"{self.device.name}: {lost}; trying again in {pause_s:g} s")
            self.close()
            if self.manners.pause(pause_s):
                break
            try:
                self._connect()
                self._prepare()
            except TransportError as exc:
                lost = exc
            else:
                return
        self.close()
        raise lost

    def _connect(self) -> None:
        self._transport = self.device.connect(self.workspace.known_hosts)
        self.manners.opened(self._transport)

    def _prepare(self) -> None:
        assert self._transport is not None  # noqa: S101 - called after _connect
        self._agent = push_agent(
            self.workspace, self.device, self._transport, self.backend_names, self.manners.patience_s
        )
        if self._agent.lock is not None:
            self._lock = _lock(self.device, self._agent, self.manners)
            self._lock.acquire(self.device.name, self.manners.wait_s, self.manners.say)
        wanted = [{"path": str(path), "size_bytes": source.stat().st_size} for path, source in self.files.items()]
        probe = self._agent.probe(self.backend_names, wanted)
        if problem := power_problem(self.device, probe.telemetry):
            self.manners.say(f"{self.device.name}: {problem}")
        missing = set(probe.missing)
        for path, source in self.files.items():
            if str(path) in missing:
                self._transport.push(source, path)


@dataclass
class Reservation:
    """A device's lock for work on it that is no measurement: setting it up, cleaning it. A context manager.

    Only a Python there can hold the lock, and the device may have none yet: whoever uses this offers what it finds.
    """

    workspace: Workspace
    device: Device
    transport: Transport
    manners: Manners
    _lock: DeviceLock | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.release()

    def take(self, pythons: Iterable[Sequence[str]]) -> None:
        """Take the lock by the first of these commands that starts the agent; where it is taken, see that it still is.

        Without a command that does, nobody is kept away. Raises DeviceBusy, ConnectError, TransferError.
        """
        if not self.transport.shared:
            return
        if self._lock is not None:
            self._lock.check()
            return
        for python in pythons:
            agent = push_agent(self.workspace, self.device, self.transport, (), self.manners.patience_s, python)
            lock = _lock(self.device, agent, self.manners)
            try:
                lock.acquire(self.device.name, self.manners.wait_s, self.manners.say)
            except (AgentError, CommandTimeout):
                continue
            self._lock = lock
            return


def _lock(device: Device, agent: AgentOnDevice, manners: Manners) -> DeviceLock:
    assert agent.lock is not None  # noqa: S101 - asked only of devices that several hosts reach
    return DeviceLock(agent, agent.lock, manners.reason, manners.token, device.timeout_s)


def push_agent(
    workspace: Workspace,
    device: Device,
    transport: Transport,
    backend_names: Sequence[str],
    patience_s: float,
    python: Sequence[str] = (),
) -> AgentOnDevice:
    """Put the agent with these backends on a device and return how to start it, by another Python if need be.

    Raises TransportError.
    """
    packed = bundle.build(tuple(backend_names))
    local = workspace.root / "agent" / packed.name
    write_file(local, packed.content)
    root = workspace.device_root(device)
    path = root / "agent" / packed.name
    transport.push(local, path)
    return AgentOnDevice(
        transport,
        [*python, "-I", str(path)] if python else provision.launcher(workspace, device, root, path),
        packed.sha256,
        patience_s,
        cores=device.core_set(),
        lock=root / "lock" if transport.shared else None,
    )
