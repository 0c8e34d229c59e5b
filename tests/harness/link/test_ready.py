"""A device made ready: told what it is, and repaired where the agent on it is gone or damaged; on this machine."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from pathlib import Path, PurePosixPath

import pytest

from harness.errors import AgentError
from harness.fleet.devices import make
from harness.jobs.probe import Probe
from harness.link.manners import PATIENCE_S, Claim, Hooks, Manners
from harness.link.ready import File, ReadyDevice
from harness.workspace import Workspace
from results.files import sha256_of
from results.records import DeviceSeen

QUICK = Manners(wait_s=0, reconnect_s=0)


@pytest.fixture
def seen() -> list[DeviceSeen]:
    return []


@pytest.fixture
def ready(tmp_path: Path, seen: list[DeviceSeen]) -> ReadyDevice:
    """A device that is open, with one file of the run on it."""
    workspace = Workspace(tmp_path / "workspace")
    workspace.root.mkdir(mode=0o700)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    device = make("box", {"transport": "local", "python": str(python)})
    source = tmp_path / "model"
    source.write_bytes(b"a model")
    there = workspace.device_root(device) / "artifacts" / sha256_of(source) / "model.onnx"
    file = File(there, source, sha256_of(source))
    made = ReadyDevice(
        workspace, device, Claim("a test", "token"), ("fake",), (file,), QUICK, Hooks(on_seen=seen.append)
    )
    made.open()
    return made


def agent_of(ready: ReadyDevice) -> Path:
    return Path(next(part for part in ready.agent.command if part.endswith(".pyz")))


def test_a_device_tells_what_it_is_at_every_connection(ready: ReadyDevice, seen: list[DeviceSeen]) -> None:
    ready.close()
    ready.open()
    first, second = seen
    assert (first.device, first.agent_sha256, set(first.backends)) == ("box", ready.agent.sha256, {"fake"})
    assert first.identity == second.identity
    assert first.identity.machine == os.uname().machine
    ready.close()


@pytest.mark.parametrize("fault", ["gone", "cut", "changed", "folder"])
def test_an_agent_that_is_gone_or_damaged_is_pushed_again(ready: ReadyDevice, fault: str) -> None:
    path = agent_of(ready)
    content = path.read_bytes()
    (file,) = ready.files
    if fault == "folder":
        shutil.rmtree(ready.workspace.device_root(ready.device))
    else:
        path.unlink()  # and not its other names
    if fault == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif fault == "changed":
        at = content.index(b'VERSION = "2"')
        path.write_bytes(content[:at] + b'VERSION = "3"' + content[at + 13 :])
    assert ready.carry_out(Probe((), ())).system["python"]
    assert path.read_bytes() == content
    assert Path(file.path).read_bytes() == b"a model"
    ready.close()


def test_a_python_that_is_gone_is_told_after_one_repair(ready: ReadyDevice, tmp_path: Path) -> None:
    (tmp_path / "python").write_text("#!/bin/sh\necho no more >&2\nexit 3\n")
    with pytest.raises(AgentError, match="the agent does not work there: it ended with code 3; last printed: no more"):
        ready.carry_out(Probe())
    ready.close()


def test_how_long_is_waited_can_be_sent_to_another_process() -> None:
    manners = Manners(wait_s=1.0)
    assert pickle.loads(pickle.dumps(manners)) == manners  # noqa: S301 - our own
    assert manners.patience_s == PATIENCE_S


def test_a_file_of_another_size_is_pushed_again_by_a_repair(ready: ReadyDevice) -> None:
    (file,) = ready.files
    Path(file.path).unlink()
    Path(file.path).write_bytes(b"half")
    ready.repair()
    assert Path(file.path).read_bytes() == b"a model"
    assert ready.carry_out(Probe((), ({"path": str(PurePosixPath(file.path)), "size_bytes": 7},))).missing == []
    ready.close()
