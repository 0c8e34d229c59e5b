"""Devices for provisioning: this machine without network, and a restart of the tiny models on whatever was set up."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path, PurePosixPath

import backends
from harness.jobs.base import Event
from harness.jobs.latency import Latency, Target
from harness.jobs.model import ModelOnDevice
from harness.jobs.outputs import rules
from harness.jobs.probe import Probe
from harness.link import bundle
from harness.link.agent import AgentOnDevice
from harness.link.setup_record import Setup
from harness.transports import Completed, Stream, Transport
from harness.transports.local import LocalTransport
from models.store import ArtifactStore
from results.records import Case, Profile, Restart
from tests.rigs.bench import ROOT, add_tiny
from tests.rigs.meanwhile import carry_out

# What is fetched from package registries is kept here between test runs; git does not see it.
CACHE = ROOT / ".bench-cache" / "setup"

PROFILE = Profile(
    name="test",
    min_iterations=3,
    min_seconds=0.01,
    max_seconds=20.0,
    warmup_min_iterations=1,
    warmup_min_seconds=0.0,
    warmup_max_seconds=1.0,
    restarts=1,
)


@cache
def offline_prefix() -> tuple[str, ...]:
    """Return the command that takes the network away from another, nothing where this machine does not allow it."""
    prefix = ("unshare", "--map-root-user", "--net")
    try:
        allowed = subprocess.run([*prefix, "true"], capture_output=True, timeout=20).returncode == 0
    except OSError:
        allowed = False
    return prefix if allowed else ()


class OfflineTransport(LocalTransport):
    """This machine as a device without network; it notes what is pushed besides the agent."""

    def __init__(self) -> None:
        super().__init__()
        self.pushed: list[PurePosixPath] = []

    def run(self, command: Sequence[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        return super().run([*offline_prefix(), *command], stdin=stdin, timeout_s=timeout_s)

    def stream(self, command: Sequence[str], *, stdin: bytes) -> Stream:
        return super().stream([*offline_prefix(), *command], stdin=stdin)

    def push(self, source: Path, target: PurePosixPath, sha256: str | None = None) -> None:
        if target.parent.name != "agent":
            self.pushed.append(target)
        super().push(source, target, sha256)


def restart_tiny(
    transport: Transport,
    record: Setup,
    store: ArtifactStore,
    backend: str,
    kind: str,
    patience_s: float = 60.0,
    meanwhile: Callable[[Event], None] = lambda _: None,
) -> Restart:
    """Push the agent and the tiny model to a device that was set up and run one restart there."""
    artifact = add_tiny(store, kind)
    root = PurePosixPath(record.folder)
    packed = bundle.build()
    local = store.root / packed.name
    local.write_bytes(packed.content)
    agent, folder = root / "agent" / packed.name, root / "artifacts" / artifact.sha256
    model, io = folder / f"model.{kind}", folder / "io.npz"
    for source, target in ((local, agent), (store.model_path(artifact), model), (store.io_path(artifact), io)):
        transport.push(source, target)
    case = Case(
        case_id="0" * 16,
        device="device",
        model="tiny",
        artifact_sha256=artifact.sha256,
        artifact_format=kind,
        backend=backend,
        precision="fp32",
        threads=1,
    )
    inputs = [spec.model_dump(mode="json") for spec in artifact.inputs]
    right = rules(artifact, store.io_path(artifact))
    what = Target(case, ModelOnDevice(model, artifact.sha256, io, artifact.io_sha256, inputs), right)
    on_device = AgentOnDevice(transport, record.launch(agent), packed.sha256, patience_s)
    probe = on_device.carry_out(Probe([backend]))
    assert probe.backends[backend], probe
    assert backends.find(backend).packages
    return carry_out(on_device, Latency(what, PROFILE), meanwhile)
