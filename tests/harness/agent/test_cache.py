"""The models on a device are held under a bound: asked of the real agent, and through every transport."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from harness.agent.cache import make_room
from harness.fleet.devices import make
from harness.jobs.probe import CacheState, Probe
from harness.link import bundle
from harness.link.agent import AgentOnDevice
from harness.transports.local import LocalTransport
from tests.rigs.adbd import AdbServer, Phone
from tests.rigs.bench import Bench
from tests.rigs.sshd import Sshd

MB = 1_000_000
DAY_S = 24 * 3600


@dataclass
class Root:
    """A device's folder with an agent in it."""

    path: Path

    def model(self, letter: str, days: float = 0.0, size: int = MB, name: str = "model.onnx") -> Path:
        """Put a file into the folder of a model, which was used so many days ago."""
        path = self.path / "artifacts" / (letter * 64) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(size))
        old(path.parent, days)
        return path

    def models(self) -> str:
        """Return the letters of the models that are there."""
        return "".join(sorted(path.name[0] for path in (self.path / "artifacts").iterdir()))

    def ask(self, wanted: list[Path], max_bytes: int | None, size: int = MB) -> CacheState:
        """Have the agent make room for files of one size."""
        agent = self.path / "agent" / "agent-now.pyz"
        agent.parent.mkdir(exist_ok=True)
        packed = bundle.build()
        agent.write_bytes(packed.content)
        old(agent, 3)
        files = [{"path": str(path), "size_bytes": size} for path in wanted]
        there = AgentOnDevice(LocalTransport(), [sys.executable, "-I", str(agent)], packed.sha256)
        said = there.carry_out(Probe((), files, {"root": str(self.path), "max_bytes": max_bytes}))
        assert said.cache is not None
        return said.cache


def old(path: Path, days: float) -> None:
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))


@pytest.fixture
def root(tmp_path: Path) -> Root:
    made = Root(tmp_path / "root")
    made.path.mkdir()
    return made


def test_the_least_recently_used_goes_first_and_never_what_is_needed(root: Root) -> None:
    needed = [root.model("a", days=9), root.model("b", days=8)]
    for letter, days in (("c", 2), ("d", 5), ("e", 1)):
        root.model(letter, days)
    new = root.path / "artifacts" / ("f" * 64) / "model.onnx"
    said = root.ask([*needed, new], max_bytes=4 * MB)
    assert root.models() == "abe"
    assert said.removed == ["d" * 64, "c" * 64]
    assert (said.fits, said.needed_bytes, said.kept_bytes) == (True, MB, 2 * MB)
    assert (said.used_bytes, said.removed_bytes, said.bound_bytes) == (3 * MB, 2 * MB, 4 * MB)
    # What was needed just now is the newest by now.
    root.model("f")
    assert root.ask([new], max_bytes=3 * MB).removed == ["e" * 64]


def test_what_does_not_fit_removes_nothing(root: Root) -> None:
    root.model("a", days=1)
    new = [root.path / "artifacts" / (letter * 64) / "model.onnx" for letter in "bc"]
    said = root.ask(new, max_bytes=MB)
    assert (said.fits, said.needed_bytes, said.removed) == (False, 2 * MB, [])
    assert root.models() == "a"


def test_what_is_there_already_always_fits(root: Root) -> None:
    assert root.ask([root.model("a"), root.model("b")], max_bytes=MB).fits
    assert root.models() == "ab"


def test_a_part_counts_for_the_file_and_goes_with_its_end(root: Root) -> None:
    whole = root.model("a")
    stale = root.model("a", name=".part-0123", size=10)
    begun = root.model("b", name=f".model.onnx.{MB}.part", size=MB - 1000)
    said = root.ask([whole, begun.with_name("model.onnx")], max_bytes=2 * MB)
    assert (said.fits, said.needed_bytes) == (True, 1000)
    assert (whole.exists(), stale.exists(), begun.exists()) == (True, False, True)


def test_files_below_a_model_count_and_go_with_it(root: Root) -> None:
    """External data may lie in folders of its own."""
    for letter, days in (("a", 3), ("b", 2)):
        root.model(letter, days, size=10)
        root.model(letter, name="weights/deep/w.bin")
        old(root.path / "artifacts" / (letter * 64), days)
    begun = root.model("c", name="weights/.part-0123", size=MB - 1000)
    said = root.ask([begun.with_name("w.bin")], max_bytes=2 * MB + 10)
    assert said.removed == ["a" * 64]
    assert (said.fits, said.needed_bytes, said.removed_bytes) == (True, 1000, MB + 10)
    assert root.models() == "bc"


def test_old_agents_go_and_what_is_not_ours_stays(root: Root) -> None:
    gone, young, part = f"agent-{'0' * 16}.pyz", f"agent-{'1' * 16}.pyz", f".part-{'0' * 32}"
    for name, days in ((gone, 2), (young, 0.5), (part, 2), ("notes", 99), ("agent-mine.pyz", 99)):
        path = root.path / "agent" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        old(path, days)
    mine = root.path / "artifacts" / "photos"
    mine.mkdir(parents=True)
    (mine / "one").write_bytes(bytes(2 * MB))
    elsewhere = root.path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "two").write_bytes(bytes(2 * MB))
    (root.path / "artifacts" / ("a" * 64)).symlink_to(elsewhere)
    assert root.ask([], max_bytes=1).removed == []
    assert sorted(path.name for path in (root.path / "agent").iterdir()) == [
        young,
        "agent-mine.pyz",
        "agent-now.pyz",
        "notes",
    ]
    assert (mine / "one").exists()
    assert (elsewhere / "two").exists()


def test_an_agent_that_runs_is_never_removed(root: Root) -> None:
    running = root.path / "agent" / f"agent-{'0' * 16}.pyz"
    running.parent.mkdir()
    running.write_bytes(bundle.build().content)
    with subprocess.Popen([sys.executable, "-I", running], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert b'"hello"' in process.stdout.readline()
        old(running, 99)
        root.ask([], max_bytes=1)
        assert running.exists()
        process.stdin.close() if process.stdin else None
        process.wait(60)
    root.ask([], max_bytes=1)
    assert not running.exists()


@pytest.mark.parametrize("can_set_times", [True, False])
def test_an_agent_does_not_remove_itself_whatever_the_clocks_say(
    root: Root, monkeypatch: pytest.MonkeyPatch, can_set_times: bool
) -> None:
    """Those who share a folder with another account cannot set the time of its agent."""
    mine, other = (root.path / "agent" / f"agent-{letter * 16}.pyz" for letter in "01")
    mine.parent.mkdir()
    for path in (mine, other):
        path.touch()
        old(path, 99)

    def refuse(path: str) -> None:
        raise PermissionError(path)

    monkeypatch.setattr("time.time", lambda: 4e9)
    monkeypatch.setattr("os.utime", os.utime if can_set_times else refuse)
    make_room({"root": str(root.path), "max_bytes": 1}, [], [], str(mine))
    assert mine.exists()
    assert other.exists() != can_set_times


def test_a_model_that_is_being_measured_is_never_removed(root: Root) -> None:
    root.model("a", days=9)
    root.model("b", days=8)
    used = os.open(root.path / "artifacts" / ("a" * 64), os.O_RDONLY)
    fcntl.flock(used, fcntl.LOCK_SH)  # as a restart does
    try:
        assert root.ask([], max_bytes=1).removed == ["b" * 64]
    finally:
        os.close(used)
    assert root.ask([], max_bytes=1).removed == ["a" * 64]


def test_links_to_the_store_take_no_room(root: Root, tmp_path: Path) -> None:
    linked = root.model("a", days=1)
    (tmp_path / "store").hardlink_to(linked)
    root.model("b", days=2)
    said = root.ask([], max_bytes=MB)
    assert (said.used_bytes, said.removed) == (MB, [])
    (tmp_path / "source").write_bytes(b"x")
    there = root.path / "artifacts" / "new" / "file"
    LocalTransport().push(tmp_path / "source", PurePosixPath(there))
    assert there.stat().st_nlink == 1  # what a push makes today takes room as on any device


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted by root")
def test_a_small_disk(root: Root) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", str(root.path)], check=True)
    try:
        (root.path / "theirs").write_bytes(bytes(5 * MB))
        root.model("a", days=1, size=10 * MB)
        root.model("b", days=2, size=10 * MB)
        new = root.path / "artifacts" / ("c" * 64) / "model.onnx"
        said = root.ask([new], None, size=24 * MB)
        assert (said.fits, said.removed) == (False, [])
        assert said.free_bytes < 28 * MB
        assert said.bound_bytes == (said.free_bytes + said.used_bytes) * 3 // 4
        assert root.ask([new], None, size=2 * MB).removed == ["b" * 64]
    finally:
        subprocess.run(["umount", "-l", str(root.path)], check=True)


# Through `bench`


@pytest.fixture(params=["local", "ssh", "adb"])
def device(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Bench, Root]:
    """A host whose devices.toml has one device; its folder there."""
    root = tmp_path / "there" / "edgebench"
    root.mkdir(parents=True)
    (root / ".edgebench").touch()
    lines = [
        "[devices.it]",
        f'transport = "{request.param}"',
        f'python = "{sys.executable}"',
        f'root = "{root.parent}"',
    ]
    environment = {"TMPDIR": str(tmp_path)}
    if request.param == "ssh":
        server: Sshd = request.getfixturevalue("server")
        lines += [f'host = "{server.address}"', f"port = {server.port}"]
        environment["HOME"] = str(server.client)
    elif request.param == "adb":
        adb: AdbServer = request.getfixturevalue("adb_server")
        phone: Phone = request.getfixturevalue("phone")
        lines += [f'serial = "{phone.serial}"', f"adb_port = {adb.port}"]
    bench = Bench(tmp_path, environment)
    bench.copy_model()
    (tmp_path / "devices.toml").write_text("\n".join(lines) + "\n")
    return bench, Root(root)


def run(bench: Bench, max_cache_gb: float, expect: int = 0) -> tuple[dict[str, Any], str]:
    path = bench.folder / "devices.toml"
    kept = [line for line in path.read_text().splitlines() if "max_cache_gb" not in line]
    path.write_text("\n".join([*kept, f"max_cache_gb = {max_cache_gb}"]) + "\n")
    done = bench("run", "--device", "it", "--models", "tiny.onnx", "--backends", "fake", "--json", expect=expect)
    (row,) = json.loads(done.stdout)["rows"]
    return row, done.stderr


def test_a_run_holds_the_cache_under_its_bound(device: tuple[Bench, Root]) -> None:
    bench, root = device
    for letter, days in (("a", 3), ("b", 2), ("c", 1)):
        root.model(letter, days)
    row, _ = run(bench, 1e-9, expect=2)
    assert row["verdict"] == "offline"
    assert "do not fit on it: " in row["reason"]
    assert "3.0 MB could be removed" in row["reason"]
    assert root.models() == "abc"  # nothing was pushed, nothing removed
    row, said = run(bench, 0.0025)
    assert row["n_restarts"] == 2
    assert f"it: its cache was full; removed what was not used for the longest time, 1.0 MB: {'a' * 12}" in said
    assert {path.parent.name[0] for path in root.path.glob("artifacts/*/model.onnx")} >= {"b", "c"}
    assert len(list((root.path / "artifacts").iterdir())) == 3


def test_a_bound_must_be_positive() -> None:
    from harness.errors import ConfigError

    with pytest.raises(ConfigError, match="max_cache_gb"):
        make("it", {"transport": "local", "max_cache_gb": 0})
