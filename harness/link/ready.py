"""A device made ready for a run: connected, held, with the agent and its files there; made so again after a loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Self, TypeVar

from harness.errors import (
    AgentError,
    AuthenticationFailed,
    CommandTimeout,
    DeviceFull,
    HostKeyChanged,
    HostKeyUnknown,
    TransferError,
    TransportError,
    Unwritable,
)
from harness.fleet.devices import Device
from harness.jobs.base import Job
from harness.jobs.conversation import is_greeted
from harness.jobs.model import ModelOnDevice
from harness.jobs.probe import CacheState, Probe
from harness.link import bundle, folder, setup_record
from harness.link.advice import power_problem
from harness.link.agent import AgentOnDevice
from harness.link.device_lock import DeviceLock
from harness.link.manners import PATIENCE_S, Claim, Hooks, Manners
from harness.transports import Transport
from harness.workspace import Workspace
from models.artifacts import Artifact
from models.store import ArtifactStore
from results.records import DeviceSeen

# After which part of that time the tries begin; one is left out when the next is due already.
_TRIES = (0.05, 0.3, 1.0)

R = TypeVar("R")

# How many removed models are named.
_SHOWN = 5

# No waiting helps against these.
_FINAL = (AuthenticationFailed, DeviceFull, HostKeyUnknown, HostKeyChanged, Unwritable)


@dataclass(frozen=True)
class File:
    """A file that a run needs on its device: where it lies there and here, and its hash."""

    path: PurePosixPath
    source: Path
    sha256: str


def files_of(artifact: Artifact, store: ArtifactStore, root: PurePosixPath) -> list[File]:
    """The model file, its external data and its reference pair, where they lie on a device whose folder is `root`."""
    there = ModelOnDevice.of(artifact, root).paths
    return [File(path, *source) for path, source in zip(there, store.contents(artifact), strict=True)]


@dataclass
class ReadyDevice:
    """One device while a run works on it, with the files that the run needs there."""

    workspace: Workspace
    device: Device
    claim: Claim
    backend_names: tuple[str, ...] = ()
    files: Collection[File] = ()
    manners: Manners = field(default_factory=Manners)
    hooks: Hooks = field(default_factory=Hooks)
    _transport: Transport | None = field(default=None, init=False)
    _lock: DeviceLock | None = field(default=None, init=False)
    _agent: AgentOnDevice | None = field(default=None, init=False)

    @property
    def agent(self) -> AgentOnDevice:
        """The agent of a device that is ready."""
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
            self.reopen(exc)

    def carry_out(self, job: Job[R]) -> R:
        """Have a job done, by an agent that is pushed again when it no longer starts. Raises TransportError."""
        talk = self.agent.talk(job)
        if not is_greeted(talk.events):
            self.repair()
            talk = self.agent.talk(job)
        return job.record(talk.events, talk.ended)

    def repair(self) -> None:
        """Push again what is gone or damaged on the device: the agent, files of another size. Raises TransportError."""
        self._push_agent()
        self._push_missing()

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

    def reopen(self, lost: TransportError) -> None:
        """Make the device ready again after it was lost. Raises TransportError when it stays away, DeviceBusy."""
        self.close()
        begun = time.monotonic()
        for number, part in enumerate(_TRIES, start=1):
            if isinstance(lost, _FINAL) or self.hooks.pause(0.0):
                break
            passed_s = time.monotonic() - begun
            if any(later * self.manners.reconnect_s <= passed_s for later in _TRIES[number:]):
                continue
            pause_s = max(0.0, part * self.manners.reconnect_s - passed_s)
            self.hooks.say(f"{self.device.name}: {lost}; trying again in {pause_s:.3g} s")
            if self.hooks.pause(pause_s):
                break
            try:
                self._connect()
                self._prepare()
            except TransportError as exc:
                lost = exc
                self.close()
            else:
                return
        raise lost

    def _connect(self) -> None:
        self._transport = self.device.connect(self.workspace.known_hosts)
        self.hooks.opened(self._transport)

    def _prepare(self) -> None:
        self._push_agent()
        if self.agent.lock is not None:
            self._lock = _lock(self.device, self.agent, self.claim)
            self._lock.acquire(self.device.name, self.manners.wait_s, self.hooks.say)
        self._push_missing()

    def _push_agent(self) -> None:
        assert self._transport is not None  # noqa: S101 - called after _connect
        patience_s = self.manners.patience_s
        self._agent = push_agent(self.workspace, self.device, self._transport, self.backend_names, patience_s)

    def _push_missing(self) -> None:
        """Ask for all files at once, have room made for those that are missing, and push these."""
        try:
            wanted = [{"path": str(file.path), "size_bytes": file.source.stat().st_size} for file in self.files]
        except OSError as exc:
            raise TransferError(f"{exc.filename} of this machine cannot be read: {exc.strerror}") from exc
        max_gb = self.device.max_cache_gb
        root = str(self.workspace.device_root(self.device))
        cache = {"root": root, "max_bytes": int(max_gb * 1e9) if max_gb else None}
        probe = self.agent.carry_out(Probe(self.backend_names, wanted, cache))
        self.hooks.on_seen(
            DeviceSeen(
                device=self.device.name,
                at=datetime.now(UTC).isoformat(timespec="seconds"),
                identity=probe.identity,
                backends=probe.backends,
                agent_sha256=self.agent.sha256,
            )
        )
        if problem := power_problem(self.device, probe.telemetry):
            self.hooks.say(f"{self.device.name}: {problem}")
        if probe.cache is not None:
            self._judge(probe.cache)
        missing = set(probe.missing)
        for file in self.files:
            if str(file.path) in missing:
                self.agent.transport.push(file.source, file.path, file.sha256)

    def _judge(self, cache: CacheState) -> None:
        """Say what was removed. Raises DeviceFull."""
        name = self.device.name
        if not cache.fits:
            raise DeviceFull(
                f"the models of this run do not fit on {name}: {_mb(cache.needed_bytes)} are to be pushed to the "
                f"{_mb(cache.kept_bytes)} of them that are there; {_mb(cache.free_bytes)} are free, "
                f"{_mb(cache.used_bytes - cache.kept_bytes)} could be removed, and its cache may take "
                f"{_mb(cache.bound_bytes)} (max_cache_gb). Choose fewer models, make room, or raise max_cache_gb"
            )
        if cache.removed:
            store = ArtifactStore(self.workspace.artifacts)
            names = {artifact.sha256: artifact.model for artifact in store.all()}
            shown = [names.get(sha256, sha256[:12]) for sha256 in cache.removed[:_SHOWN]]
            more = [f"{len(cache.removed) - _SHOWN} more"] if len(cache.removed) > _SHOWN else []
            self.hooks.say(
                f"{name}: its cache was full; removed what was not used for the longest time, "
                f"{_mb(cache.removed_bytes)}: {', '.join(shown + more)}"
            )


@dataclass
class Reservation:
    """A device's lock for work on it that is no measurement: setting it up, cleaning it. A context manager.

    Only a Python there can hold the lock, and the device may have none yet: whoever uses this offers what it finds.
    """

    workspace: Workspace
    device: Device
    transport: Transport
    claim: Claim
    manners: Manners = field(default_factory=Manners)
    say: Callable[[str], None] = lambda _: None
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
            try:
                agent = push_agent(self.workspace, self.device, self.transport, (), self.manners.patience_s, python)
                lock = _lock(self.device, agent, self.claim)
                lock.acquire(self.device.name, self.manners.wait_s, self.say)
            except (AgentError, CommandTimeout, Unwritable):
                continue  # on a full disk too: cleaning it is what makes room
            self._lock = lock
            return


def _lock(device: Device, agent: AgentOnDevice, claim: Claim) -> DeviceLock:
    assert agent.lock is not None  # noqa: S101 - asked only of devices that several hosts reach
    return DeviceLock(agent, agent.lock, claim.reason, claim.token, device.timeout_s)


def push_agent(
    workspace: Workspace,
    device: Device,
    transport: Transport,
    backend_names: Sequence[str],
    patience_s: float = PATIENCE_S,
    python: Sequence[str] = (),
) -> AgentOnDevice:
    """Put the agent with these backends on a device and return how to start it, by another Python if need be.

    Raises TransportError.
    """
    root = workspace.device_root(device)
    if transport.has_shell:
        folder.claim(transport, root, workspace.root if device.folder is None else None)
    path, sha256 = bundle.push(transport, root, workspace.root / "agent", tuple(backend_names))
    return AgentOnDevice(
        transport,
        [*python, "-I", str(path)] if python else setup_record.launch(workspace, device, path),
        sha256,
        patience_s,
        cores=tuple(device.core_set() or ()) or None,
        shield=device.real_time,
        critical_c=device.critical_temperature_c,
        lock=root / "lock" if transport.shared else None,
    )


def _mb(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 10e6 else f"{size / 1e6:.1f} MB"
