"""Whole restarts over adb: the agent pushed to a phone, started by its shell, and what becomes of it under faults."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from harness.errors import TransportError
from harness.jobs.latency import Latency, Target, Warmup
from harness.jobs.model import ModelOnDevice
from harness.jobs.outputs import rules
from harness.jobs.probe import Probe
from harness.link import bundle
from harness.link.agent import AgentOnDevice
from harness.transports.adb.transport import AdbTransport
from models.store import ArtifactStore
from results.records import Case, Profile, Restart
from tests.rigs.adbd import Phone
from tests.rigs.bench import add_tiny
from tests.rigs.waiting import LIMIT_S, wait_until

QUICK = Profile(
    name="quick",
    restarts=1,
    min_iterations=8,
    min_seconds=0.02,
    max_seconds=2.0,
    warmup_min_iterations=2,
    warmup_min_seconds=0.0,
    warmup_max_seconds=1.0,
)
LONG = QUICK.model_copy(update={"min_seconds": 60.0, "max_seconds": 60.0})
# An agent may be silent for as long as it measures: a phone that hangs is noticed after that.
SHORT = QUICK.model_copy(update={"min_seconds": 2.0, "max_seconds": 2.0})


@pytest.fixture
def agent(adb_transport: AdbTransport, tmp_path: Path) -> AgentOnDevice:
    """The agent on the phone, pushed there."""
    packed = bundle.build()
    (tmp_path / "agent").write_bytes(packed.content)
    there = PurePosixPath(tmp_path / "phone" / packed.name)
    adb_transport.push(tmp_path / "agent", there)
    return AgentOnDevice(adb_transport, [sys.executable, "-I", str(there)], packed.sha256, patience_s=30)


@pytest.fixture
def target(adb_transport: AdbTransport, store: ArtifactStore, tmp_path: Path) -> Callable[..., Target]:
    """Pushes the tiny model and returns a case of it."""

    def make(backend: str, **options: str) -> Target:
        artifact = add_tiny(store, "onnx")
        folder = PurePosixPath(tmp_path / "phone" / artifact.sha256)
        adb_transport.push(store.model_path(artifact), folder / "model.onnx")
        adb_transport.push(store.io_path(artifact), folder / "io.npz")
        case = Case(
            case_id="0" * 16,
            device="phone",
            model="tiny",
            backend=backend,
            precision="fp32",
            threads=1,
            options=options,
            artifact_sha256=artifact.sha256,
            artifact_format="onnx",
        )
        inputs: list[dict[str, Any]] = [spec.model_dump(mode="json") for spec in artifact.inputs]
        return Target(
            case=case,
            model=ModelOnDevice(
                model=folder / "model.onnx",
                model_sha256=artifact.sha256,
                io=folder / "io.npz",
                io_sha256=artifact.io_sha256,
                inputs=inputs,
            ),
            outputs=rules(artifact, store.io_path(artifact)),
        )

    return make


@pytest.fixture(autouse=True)
def nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """No agent outlives its test."""
    yield
    agents = ["pgrep", "-f", f"{tmp_path}/phone/agent"]
    wait_until(lambda: subprocess.run(agents, stdout=subprocess.DEVNULL, check=False).returncode)


def measure_and(
    agent: AgentOnDevice, target: Target, fault: Callable[[], None], profile: Profile = LONG
) -> Restart | TransportError:
    """Run a restart; the fault happens while it measures."""
    made: list[Restart | TransportError] = []
    warm = threading.Event()

    def measure() -> None:
        job, events = Latency(target, profile), []
        talking = agent.converse(job)
        try:
            while True:
                events.append(next(talking))
                if isinstance(events[-1], Warmup):
                    warm.set()
        except StopIteration as stop:
            made.append(job.record(events, stop.value))
        except TransportError as exc:
            made.append(exc)

    thread = threading.Thread(target=measure)
    thread.start()
    assert warm.wait(LIMIT_S), made
    fault()
    thread.join(LIMIT_S)
    assert made, "the restart did not end"
    return made[0]


@pytest.mark.parametrize("backend", ["fake", "onnxruntime"])
def test_a_whole_restart(agent: AgentOnDevice, target: Callable[..., Target], backend: str) -> None:
    restart = agent.carry_out(Latency(target(backend), QUICK))
    assert (restart.outcome, restart.reason) == ("ok", "")
    assert restart.verified
    assert len(restart.samples_ns) >= QUICK.min_iterations
    assert restart.agent["agent_sha256"] == agent.sha256


def test_probe_tells_which_files_are_missing(agent: AgentOnDevice, target: Callable[..., Target]) -> None:
    made = target("fake")
    size = Path(made.model.model).stat().st_size
    files = [{"path": str(made.model.model), "size_bytes": size}, {"path": "/nothing", "size_bytes": 1}]
    said = agent.carry_out(Probe(["onnxruntime"], files))
    assert said.missing == ["/nothing"]
    assert str(said.backends["onnxruntime"]).startswith("onnxruntime ")


@pytest.mark.parametrize("fault", ["reboot", "unplug"])
def test_a_phone_that_goes_away_is_offline(
    agent: AgentOnDevice, target: Callable[..., Target], phone: Phone, fault: str
) -> None:
    made = target("fake")
    long = measure_and(agent, made, {"reboot": phone.reboot, "unplug": phone.unplug}[fault])
    assert isinstance(long, TransportError), long
    assert "went away while a command ran there" in str(long)
    phone.plug_in()
    assert agent.carry_out(Latency(made, QUICK)).outcome == "ok"


def test_a_phone_that_hangs_is_offline(
    agent: AgentOnDevice,
    target: Callable[..., Target],
    phone: Phone,
    adb_transport: AdbTransport,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("harness.transports.adb.connection.KILL_S", 0.5)
    adb_transport.connection.timeout_s = 2
    made = target("fake")
    impatient = AgentOnDevice(agent.transport, agent.command, agent.sha256, patience_s=1.0)
    restart = measure_and(impatient, made, lambda: setattr(phone.faults, "stalled", True), SHORT)
    assert isinstance(restart, TransportError), restart
    assert "does not answer" in str(restart)
    phone.faults.stalled = False
    assert agent.carry_out(Latency(made, QUICK)).outcome == "ok"


def test_an_agent_that_is_killed_is_a_failed_restart(
    agent: AgentOnDevice, target: Callable[..., Target], phone: Phone
) -> None:
    restart = agent.carry_out(Latency(target("fake", fault="crash"), QUICK))
    assert restart.outcome == "failed"
    assert "the process was killed or crashed" in restart.reason


def test_closing_the_transport_ends_the_restart(agent: AgentOnDevice, target: Callable[..., Target]) -> None:
    begun = time.monotonic()
    restart = measure_and(agent, target("fake"), agent.transport.close)
    assert isinstance(restart, Restart), restart
    assert restart.outcome == "failed"
    assert time.monotonic() - begun < 45


def test_a_slow_link_measures_the_same(agent: AgentOnDevice, target: Callable[..., Target], phone: Phone) -> None:
    made = target("fake", sleep_ms="3")
    phone.faults.latency_s = 0.05
    restart = agent.carry_out(Latency(made, QUICK))
    assert restart.outcome == "ok"
    assert min(restart.samples_ns) < 20e6


def test_a_tool_that_measures_itself_brings_one_number(
    agent: AgentOnDevice, target: Callable[..., Target], tmp_path: Path
) -> None:
    tool = tmp_path / "tool"
    tool.write_text(
        "#!/bin/sh\necho 'count=9 first=10 curr=10 min=9 max=11 avg=10 std=1'\n"
        "echo 'Inference timings in us: Init: 7, First inference: 30, Warmup (avg): 10, Inference (avg): 10'\n"
    )
    tool.chmod(0o755)
    restart = agent.carry_out(Latency(target("benchmark_model", binary=str(tool)), QUICK))
    assert (restart.outcome, restart.reason) == ("ok", "")
    assert (restart.load_ns, restart.first_ns, restart.samples_ns) == (7000, 30_000, (10_000,))
    assert restart.actual["aggregate"]["count"] == 9
    assert not restart.verified
    assert restart.peak_rss_bytes
