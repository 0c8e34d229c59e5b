"""A device that is really slowed down in the middle of a restart, and one whose files say so."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from threading import Timer

import pytest

from harness.jobs.base import Event
from harness.jobs.latency import Latency, Target, Warmup
from harness.jobs.model import Loaded, ModelOnDevice
from harness.jobs.outputs import rules
from harness.link import bundle
from harness.link.agent import AgentOnDevice
from harness.transports.local import LocalTransport
from models.store import ArtifactStore
from results.judge.validity import Judgment, judge_restart
from results.records import Profile, Verdict
from tests.harness.link.test_protocol import CASE
from tests.rigs.bench import add_tiny
from tests.rigs.cgroup import group
from tests.rigs.meanwhile import carry_out
from tests.rigs.sysfs import frequency_limit, throttled, write_pi

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="control groups and another /sys need root")

PROFILE = Profile(
    name="short",
    restarts=1,
    min_iterations=5,
    min_seconds=0.4,
    max_seconds=60,
    warmup_min_iterations=1,
    warmup_min_seconds=0,
    warmup_max_seconds=1,
)
OTHER_SYS = ("unshare", "--mount", "--propagation", "private", "sh", "-ec", 'mount --rbind "$1" /sys; shift; exec "$@"')

Command = Callable[..., Sequence[str]]
Judged = Callable[..., Judgment]


@pytest.fixture
def judged(store: ArtifactStore, tmp_path: Path) -> Judged:
    """Runs one restart of the tiny model here, started by a command of its own, and judges it."""

    def judge(
        backend: str, command: Command, meanwhile: Callable[[Event], None], profile: Profile = PROFILE
    ) -> Judgment:
        artifact, packed = add_tiny(store, "onnx"), bundle.build()
        agent, io = tmp_path / packed.name, store.io_path(artifact)
        agent.write_bytes(packed.content)
        case = CASE.model_copy(update={"backend": backend})
        model = ModelOnDevice(
            PurePosixPath(store.model_path(artifact)),
            artifact.sha256,
            PurePosixPath(io),
            artifact.io_sha256,
            [spec.declared for spec in artifact.inputs],
        )
        here = AgentOnDevice(LocalTransport(), command(sys.executable, "-I", str(agent)), packed.sha256)
        restart = carry_out(here, Latency(Target(case, model, rules(artifact, io)), profile), meanwhile)
        assert restart.outcome == "ok", restart.reason
        return judge_restart(restart, case, profile)

    return judge


@pytest.mark.parametrize("is_cut", [True, False])
def test_a_quota_that_is_cut_while_inferences_are_timed(judged: Judged, is_cut: bool) -> None:
    with group(1.5) as made:

        def cut(event: Event) -> None:
            if is_cut and isinstance(event, Warmup):
                made.allow(0.1)  # far less than a busy machine leaves for one thread

        judgment = judged("onnxruntime", made.command, cut)
    assert (judgment.verdict is Verdict.THROTTLED) == is_cut
    assert ("its control group used up its CPU quota of 0.1 CPUs, 1.5 before" in judgment.reason) == is_cut


def test_a_quota_that_is_cut_in_minutes_without_a_pause_is_no_heat(judged: Judged) -> None:
    seconds = {"min_seconds": 2.0, "max_seconds": 2.0, "span_seconds": 0.1}
    with group(1.5) as made:

        def cut(event: Event) -> None:
            if isinstance(event, Warmup):
                Timer(1.0, made.allow, [0.2]).start()

        judgment = judged("onnxruntime", made.command, cut, PROFILE.model_copy(update=seconds))
    assert judgment.verdict is Verdict.CONTENDED
    assert "its control group used up its CPU quota of 0.2 CPUs, 1.5 before" in judgment.reason


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        (throttled, "50005", "its firmware tells of under-voltage and throttling: use a stronger power supply"),
        (throttled, "80000", "its firmware tells of the soft temperature limit: let it cool down"),
        (frequency_limit, "1000000", "the limit on its frequency fell from 1.5 GHz to 1 GHz"),
        (throttled, "0", ""),
    ],
)
def test_what_a_board_s_files_say_in_mid_run(
    judged: Judged, tmp_path: Path, file: Callable[[Path], Path], content: str, words: str
) -> None:
    write_pi(tmp_path / "pi")

    def edit(event: Event) -> None:
        if isinstance(event, Loaded):
            file(tmp_path / "pi").write_text(content)

    judgment = judged("fake", lambda *command: [*OTHER_SYS, "sh", str(tmp_path / "pi/sys"), *command], edit)
    assert (judgment.verdict is Verdict.THROTTLED) == bool(words)
    assert judgment.reason.startswith(words)
